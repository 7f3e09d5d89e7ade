/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8254-count.h: the counting elements of the 8254, for i8254.c.
 */
#ifndef DEVEMU_MODELS_TIMER_I8254_COUNT_H
#define DEVEMU_MODELS_TIMER_I8254_COUNT_H

#include <devemu/model.h>

enum {
    PIT_COUNTERS = 3,
    PIT_COUNT_MAX = 65536,
};

/* Control word, DS "Programming the 8254". */
enum {
    CW_BCD = 0x01,
    CW_M = 0x0e,
    CW_M_SHIFT = 1,
    CW_RW = 0x30,
    CW_RW_SHIFT = 4,
    CW_SC_SHIFT = 6,
    CW_STORED = 0x3f,
};

/* What the counting element does. */
enum {
    PHASE_NONE,  /* no count since it was programmed */
    PHASE_WAIT,  /* there is a count, it waits for the next pulse or for a trigger */
    PHASE_COUNT, /* it counts towards a change of OUT */
    PHASE_PAST,  /* it counts on; OUT will not change */
};

struct pit {
    DevemuDevice *dev;

    uint64_t edge_ns[PIT_COUNTERS]; /* OUT may change */
    uint64_t base[PIT_COUNTERS];    /* pulse at which the counting element held `value` */
    uint64_t load_at[PIT_COUNTERS]; /* pulse that takes CR to CE; DEVEMU_NEVER: none */
    uint32_t value[PIT_COUNTERS];   /* mode 3: pulses left in this half-cycle */
    uint32_t period[PIT_COUNTERS];  /* modes 2 and 3: the count loaded */
    uint16_t cr[PIT_COUNTERS];      /* the last whole count, as written */
    uint16_t latch[PIT_COUNTERS];
    uint16_t gates; /* levels of the GATEs at power-on */
    uint8_t control[PIT_COUNTERS];
    uint8_t status[PIT_COUNTERS]; /* latched */
    uint8_t phase[PIT_COUNTERS];
    uint8_t low[PIT_COUNTERS]; /* first byte of a count of two */
    bool out[PIT_COUNTERS];
    bool gate[PIT_COUNTERS];
    bool null_count[PIT_COUNTERS];
    bool write_msb[PIT_COUNTERS]; /* the next byte of a count written, read */
    bool read_msb[PIT_COUNTERS];
    bool count_latched[PIT_COUNTERS];
    bool status_latched[PIT_COUNTERS];
    uint8_t outputs; /* counters whose OUT is followed */
};

/* The last CLK pulse at or before a moment; the first whole nanosecond at or after a pulse. */
uint64_t pit_tick(uint64_t ns);
uint64_t pit_ns(uint64_t tick);

/* 0 to 5. */
unsigned pit_mode(const struct pit *pit, unsigned n);
/* Mode 2 or 3. */
bool pit_is_periodic(const struct pit *pit, unsigned n);
/* CR as a number of pulses, 1 to 65536. */
uint32_t pit_count(const struct pit *pit, unsigned n);
/* CE as the bus shows it. */
uint16_t pit_ce(const struct pit *pit, unsigned n);
uint32_t pit_from_bcd(uint16_t bcd);

/* Bring a counter to a pulse, not before its base. */
void pit_settle(struct pit *pit, unsigned n, uint64_t tick);
/* The next pulse after its base at which OUT may change, or a count is loaded. */
uint64_t pit_next_edge(const struct pit *pit, unsigned n);

#endif
