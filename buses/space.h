/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.h: an address space: who answers where. Mappings overlap by priority; the flat list of
 * segments is made anew after a change, never in the path of an access.
 */
#ifndef DEVEMU_SPACE_H
#define DEVEMU_SPACE_H

#include "../lib/internal.h"

typedef struct DevemuMapping {
    unsigned id;
    uint64_t base, last; /* inclusive */
    DevemuDevice *dev;   /* NULL: memory */
    unsigned bank;
    uint64_t at; /* byte of the bank, or of the memory, that base is */
    uint8_t *ram;
    bool reads, writes; /* enabled */
    bool rom;           /* writes are swallowed */
    int priority;
} DevemuMapping;

typedef struct DevemuSegment {
    uint64_t base, last;
    unsigned first, count; /* of `order`: mappings, highest priority first */
} DevemuSegment;

typedef struct DevemuSpace {
    uint64_t last;    /* greatest address */
    GArray *mappings; /* DevemuMapping */
    GArray *segments; /* DevemuSegment, by address, without holes */
    GArray *order;    /* unsigned: number of a mapping */
    unsigned hit;     /* segment of the last access */
    unsigned next_id;
    unsigned changes; /* of the mappings since the beginning */
    bool stale;
} DevemuSpace;

void devemu_space_init(DevemuSpace *space, uint64_t last);
void devemu_space_finish(DevemuSpace *space);

/* Returns the mapping's id, or 0 and error if the range wraps, is empty or does not fit. */
unsigned devemu_space_add(DevemuSpace *space, const DevemuMapping *mapping, uint64_t len,
                          GError **error);
/* Every mapping of dev and of what is below it goes. True if there were any. */
bool devemu_space_remove(DevemuSpace *space, const DevemuDevice *dev);
/* True if anything changed. */
bool devemu_space_enable(DevemuSpace *space, unsigned id, bool reads, bool writes);

DevemuAccess devemu_space_read(DevemuSpace *space, uint64_t at, unsigned size, uint64_t *ret_value);
DevemuAccess devemu_space_write(DevemuSpace *space, uint64_t at, unsigned size, uint64_t value);

/* Any number of bytes; false if some were not answered: they read as ones. */
bool devemu_space_dma(DevemuSpace *space, uint64_t at, uint8_t *buf, size_t len, bool write);
/* The largest piece of memory around `at` that one block of host memory answers. */
bool devemu_space_window(DevemuSpace *space, uint64_t at, DevemuWindow *ret_window,
                         bool *ret_readable);

#endif
