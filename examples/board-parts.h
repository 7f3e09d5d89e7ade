/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board-parts.h: what the files of the board share: board.c (chips and wires), board-firmware.c
 * (what the firmware is told), board-nic.c (network cards and other
 * PCI devices).
 */
#ifndef EXAMPLES_BOARD_PARTS_H
#define EXAMPLES_BOARD_PARTS_H

#include "board.h"

#define BOARD_HIGH_RAM UINT64_C(0x100000)
#define BOARD_PCI_HOLE UINT64_C(0xe0000000) /* RAM that reaches here goes on at 4 GiB */

static inline uint64_t board_low_ram(const Board *board)
{
    return MIN(board->ram_bytes, BOARD_PCI_HOLE);
}

/* Put a device on the ISA bus; NULL if it is none, or does not fit: then it is freed. ports are
 * two, or NULL. */
DevemuDevice *board_isa_plug(Board *board, DevemuDevice *dev, const uint16_t *ports, int irq,
                             GError **error);

bool board_read_firmware(Board *board, const char *path, GError **error);
/* Does it begin as one? path is for the complaint. */
bool board_check_rom(const char *path, const char *rom, gsize len, GError **error);
bool board_add_fw_cfg(Board *board, const BoardConfig *config, GError **error);
bool board_add_rtc(Board *board, const BoardConfig *config, GError **error);
bool board_add_nics(Board *board, const BoardConfig *config, GError **error);
bool board_add_devices(Board *board, const BoardConfig *config, GError **error);

#endif
