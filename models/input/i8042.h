/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8042.h: what the two files of the keyboard controller share: i8042.c has ports, cables and the
 * model, i8042-command.c the controller's own commands.
 */
#ifndef I8042_H
#define I8042_H

#include "ps2.h"

enum {
    BANK_DATA,    /* 60h */
    BANK_COMMAND, /* 64h */
    BANK_RAM,
};

/* HITR "Status Register" */
enum {
    STATUS_OBF = 1 << 0,
    STATUS_IBF = 1 << 1,
    STATUS_SYS = 1 << 2,
    STATUS_CMD = 1 << 3,
    STATUS_INH = 1 << 4, /* 1: the lock is open */
    STATUS_AOBF = 1 << 5,
    STATUS_TO = 1 << 6,
    STATUS_PERR = 1 << 7,
};

/* HITR "Controller Command Byte", byte 0 of the RAM */
enum {
    CCB_KBD_IRQ = 1 << 0,
    CCB_AUX_IRQ = 1 << 1,
    CCB_SYS = 1 << 2,
    CCB_KBD_OFF = 1 << 4,
    CCB_AUX_OFF = 1 << 5,
    CCB_TRANSLATE = 1 << 6,
    CCB_POWER = CCB_KBD_OFF | CCB_AUX_OFF,
};

/* HITR "Output Port" */
enum {
    P2_RESET = 1 << 0, /* active-low */
    P2_A20 = 1 << 1,
    P2_IRQ1 = 1 << 4,
    P2_IRQ12 = 1 << 5,
    P2_LINES = P2_RESET | P2_A20,
    P2_IDLE = 0xcc, /* clocks and data of both cables */
};

/* Where a byte goes, or comes from. */
enum {
    PORT_NONE,
    PORT_KBD,
    PORT_AUX,
};

enum {
    LATENCY_INSTANT,
    LATENCY_DATASHEET,
};

#define RAM_BYTES 32

#define BYTE_NS  UINT64_C(1000000) /* 11 bits at about 11 kHz */
#define GAP_NS   UINT64_C(1000)    /* latency=instant: between two bytes, so that the IRQ falls */
#define PULSE_NS UINT64_C(6000)    /* HITR commands F0h to FFh: about 6 us */

struct i8042 {
    DevemuDevice *dev;

    /* configuration */
    uint8_t latency;
    bool has_mouse;

    uint8_t output; /* output buffer */
    uint8_t obf, obf_aux;
    uint8_t timeout;      /* status: a device did not answer */
    uint8_t last_command; /* status: 64h was written last */
    uint8_t command;      /* waits for its byte at 60h; 0 none */
    uint8_t p2;           /* output port */
    uint8_t pulsing;      /* bits of P2 that are low for a moment */
    uint8_t release;      /* translation: F0h came */
    uint8_t sending;      /* PORT_*: a byte is on its way to a device */
    uint8_t sent;
    uint8_t unused[3];
    uint8_t ram[RAM_BYTES];

    uint64_t fetch_ns; /* the next byte of a device is in */
    uint64_t send_ns;  /* the byte is with the device */
    uint64_t pulse_ns;

    struct ps2_kbd kbd;
    struct ps2_mouse mouse;
};

static inline bool i8042_slow(const struct i8042 *c)
{
    return c->latency == LATENCY_DATASHEET;
}

/* A byte of a device goes on its way, if one waits and the output buffer is free. */
void i8042_fetch(struct i8042 *c, uint64_t from_ns, uint64_t gap_ns);
void i8042_put_output(struct i8042 *c, uint8_t byte, bool aux);
/* A byte for a device; opens its interface. */
void i8042_send(struct i8042 *c, unsigned port, uint8_t byte);

/* 64h was written, or 60h while a command waits for a byte. */
void i8042_command(struct i8042 *c, uint8_t command);
void i8042_command_data(struct i8042 *c, uint8_t command, uint8_t byte);
void i8042_pulse_done(void *state, uint64_t due_ns);

#endif
