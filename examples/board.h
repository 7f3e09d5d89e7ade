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

/* What the board does to the CPU's pins. Called in the middle of events: take note, act later. Of
 * intr, a20, memory and irq any may be NULL. */
typedef struct BoardPins {
    void (*intr)(void *opaque, bool level);
    void (*a20)(void *opaque, bool open);
    void (*reset)(void *opaque);
    void (*power_off)(void *opaque);
    void (*memory)(void *opaque); /* what devemu_system_ranges() gives has changed */
    void (*irq)(void *opaque, unsigned irq, bool level); /* interrupts before the controllers */
} BoardPins;

/* What the BIOS is to boot from: at most three of a (floppy), c (disk), d (CD), n (network). */
typedef struct BoardBoot {
    const char *order;
    bool no_floppy_check; /* a floppy needs no signature */
} BoardBoot;

typedef struct BoardConfig {
    uint64_t ram_bytes;
    uint64_t rtc_seconds; /* since 1970, at moment 0 */
    const char *firmware; /* a BIOS image of 64 KiB and more, in steps of 64 KiB; may be NULL */
    BoardBoot boot;
    bool loose_config;     /* the low bits of CF8h count, as tests written for QEMU want it */
    char **roms;           /* option ROMs given to the firmware, NULL-terminated, or NULL */
    char **nics;           /* "am79c970a,backend=slirp,...", NULL-terminated, or NULL */
    char **devices;        /* other PCI devices, "virtio-blk,backend=file:...", or NULL */
    const char *record;    /* log of the first NIC, or NULL */
    DevemuChr *serial;     /* COM1; borrowed, may be NULL */
    DevemuChr *debug;      /* port 402h; borrowed, may be NULL */
    GMainContext *context; /* of the networks */
    DevemuNetClock *clock; /* of the networks */
    const BoardPins *pins; /* copied */
    /* More items for the firmware, or NULL. */
    void (*items)(void *opaque, DevemuFwCfgBuilder *items);
    void *opaque; /* for clock, pins and items */
} BoardConfig;

typedef struct Board {
    DevemuDevice *system;
    DevemuDevice *pci;
    DevemuDevice *isa;
    DevemuDevice *pic[2];
    DevemuDevice *vga;
    DevemuDevice *rtc;
    DevemuDevice *socket; /* of the CPU */
    GPtrArray *nets;      /* DevemuNet */
    GPtrArray *nics;      /* DevemuDevice */
    GPtrArray *disks;     /* DevemuBlock */
    GPtrArray *chrs;      /* DevemuChr */
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
/* Pull an ISA interrupt line by hand, in addition to the chips. */
void board_set_irq(Board *board, unsigned irq, bool level);
/* Another boot order, from now on; a reset keeps it. */
void board_set_boot(Board *board, const BoardBoot *boot);

/* Plug a card that the caller made into a PCI slot (negative: the next free one). On failure it is
 * freed. */
bool board_plug(Board *board, DevemuDevice *dev, int device, GError **error);
/* Take such a card out, at any moment, and free it; detach its network before. */
void board_unplug(DevemuDevice *dev);

#endif
