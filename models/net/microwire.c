/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * microwire.c: 93C46 serial EEPROM, 64 words of 16 bits.
 *
 * Datasheet: National Semiconductor NM93C46, "Instruction Set" and "Functional Description",
 * below "DS".
 *
 * Not modelled: programming time (it is over when chip select rises again), wear.
 */
#include "microwire.h"

enum {
    IDLE,    /* waits for the start bit */
    COMMAND, /* two bits of operation, six of address */
    READ,
    DATA_WRITE, /* sixteen bits of data */
    DATA_WRITE_ALL,
    /* carried out when chip select falls */
    PROGRAM,
    PROGRAM_ALL,
    ERASE,
    ERASE_ALL,
    DONE, /* nothing more until chip select falls */
};

enum {
    OP_EXTENDED = 0,
    OP_WRITE = 1,
    OP_READ = 2,
    OP_ERASE = 3,
    /* the two highest address bits of an extended operation */
    EXT_EWDS = 0,
    EXT_WRAL = 1,
    EXT_ERAL = 2,
    EXT_EWEN = 3,
};

void microwire_power(struct microwire *m)
{
    m->shift = 0;
    m->phase = IDLE;
    m->count = 0;
    m->address = 0;
    m->enabled = 0; /* DS: power on disables programming */
    m->cs = 0;
    m->sk = 0;
    m->data_out = 1;
}

bool microwire_valid(const struct microwire *m)
{
    return m->phase < MICROWIRE_PHASES && m->count <= 16 && m->address < MICROWIRE_WORDS;
}

static void extended(struct microwire *m)
{
    static const uint8_t phases[] = {
        [EXT_EWDS] = DONE, [EXT_WRAL] = DATA_WRITE_ALL, [EXT_ERAL] = ERASE_ALL, [EXT_EWEN] = DONE};
    unsigned what = m->address >> 4 & 3;

    m->phase = phases[what];
    if (what == EXT_EWEN || what == EXT_EWDS) {
        m->enabled = what == EXT_EWEN;
    }
}

static void command(struct microwire *m)
{
    static const uint8_t phases[] = {
        [OP_EXTENDED] = DONE, [OP_WRITE] = DATA_WRITE, [OP_READ] = READ, [OP_ERASE] = ERASE};
    unsigned op = m->shift >> 6 & 3;

    m->address = m->shift & (MICROWIRE_WORDS - 1);
    m->phase = phases[op];
    m->count = 0;
    m->shift = 0;
    if (op == OP_EXTENDED) {
        extended(m);
    } else if (op == OP_READ) {
        /* DS: a dummy zero comes before the word, most significant bit first. */
        m->data_out = 0;
        m->shift = m->words[m->address];
        m->count = 16;
    }
}

/* DS: with chip select kept high the next word follows. */
static void read_bit(struct microwire *m)
{
    if (m->count == 0) {
        m->address = (m->address + 1) & (MICROWIRE_WORDS - 1);
        m->shift = m->words[m->address];
        m->count = 16;
    }
    m->data_out = m->shift >> 15 & 1;
    m->shift = (uint16_t)(m->shift << 1);
    m->count--;
}

static void clock(struct microwire *m, bool di)
{
    bool data = m->phase == DATA_WRITE || m->phase == DATA_WRITE_ALL;

    if (m->phase == IDLE) {
        m->phase = di ? COMMAND : IDLE;
        m->shift = 0;
        m->count = 0;
    } else if (m->phase == READ) {
        read_bit(m);
    } else if (m->phase == COMMAND || data) {
        m->shift = (uint16_t)(m->shift << 1 | di);
        m->count++;
        if (m->phase == COMMAND && m->count == 8) {
            command(m);
        } else if (data && m->count == 16) {
            m->phase = m->phase == DATA_WRITE ? PROGRAM : PROGRAM_ALL;
        }
    }
}

static void fill(struct microwire *m, uint16_t value)
{
    for (unsigned i = 0; i < MICROWIRE_WORDS; i++) {
        m->words[i] = value;
    }
}

/* Chip select falls. */
static void finish(struct microwire *m)
{
    if (m->enabled) {
        if (m->phase == PROGRAM) {
            m->words[m->address] = m->shift;
        } else if (m->phase == ERASE) {
            m->words[m->address] = 0xffff;
        } else if (m->phase == PROGRAM_ALL) {
            fill(m, m->shift);
        } else if (m->phase == ERASE_ALL) {
            fill(m, 0xffff);
        }
    }
    m->phase = IDLE;
    m->count = 0;
    m->data_out = 1; /* ready, when selected again; else pulled up */
}

void microwire_pins(struct microwire *m, bool cs, bool sk, bool di)
{
    if (!cs && m->cs) {
        finish(m);
    } else if (cs && sk && !m->sk) {
        clock(m, di);
    }
    m->cs = cs;
    m->sk = sk;
}
