/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board.h: a PC of about 1997 (i440FX, PIIX3, PIIX4, PCnet), every chip a model of this library. It
 * knows no CPU: an engine drives it through the system bus and hears of the CPU's pins through
 * BoardPins.
 */
#ifndef EXAMPLES_BOARD_H
#define EXAMPLES_BOARD_H

#include <devemu/backends.h>
#include <devemu/devemu.h>

#include <glib.h>

/* What the board does to the CPU's pins. Called in the middle of events: take note, act later. */
typedef struct BoardPins {
    void (*intr)(void *opaque, bool level);
    void (*a20)(void *opaque, bool open);
    void (*reset)(void *opaque);
    void (*power_off)(void *opaque);
    void (*memory)(void *opaque); /* what devemu_system_ranges() gives has changed */
} BoardPins;

typedef struct BoardConfig {
    uint64_t ram_bytes;
    uint64_t rtc_seconds;  /* since 1970, at moment 0 */
    const char *firmware;  /* a BIOS image of 64 KiB to 256 KiB and more, in steps of 64 KiB */
    char **roms;           /* option ROMs given to the firmware, NULL-terminated, or NULL */
    char **nics;           /* "am79c970a,backend=slirp,...", NULL-terminated, or NULL */
    const char *record;    /* log of the first NIC, or NULL */
    DevemuChr *serial;     /* COM1; borrowed, may be NULL */
    DevemuChr *debug;      /* port 402h; borrowed, may be NULL */
    GMainContext *context; /* of the networks */
    DevemuNetClock *clock; /* of the networks */
    const BoardPins *pins; /* copied */
    void *opaque;          /* for clock and pins */
} BoardConfig;

typedef struct Board {
    DevemuDevice *system;
    DevemuDevice *pci;
    DevemuDevice *isa;
    DevemuDevice *pic[2];
    DevemuDevice *vga;
    GPtrArray *nets; /* DevemuNet */
    GPtrArray *nics; /* DevemuDevice */
    uint8_t *ram;
    uint64_t ram_bytes;
    uint8_t *bios;
    gsize bios_bytes;
    BoardPins pins;
    void *opaque;
} Board;

/* A board, powered on, without a host: give board->system one. NULL and one sentence in error. */
Board *board_new(const BoardConfig *config, GError **error);
void board_free(Board *board);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Board, board_free)

/* The interrupt acknowledge cycle: the vector that the 8259 pair puts on the bus. */
uint8_t board_acknowledge(Board *board);
void board_reset(Board *board);

#endif
