/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns16550a.h: what the two files of the PC16550D share: ns16550a.c has registers, modem control and
 * interrupts, ns16550a-line.c the receiver and the transmitter. "DS" is the datasheet named there.
 */
#ifndef NS16550A_H
#define NS16550A_H

#include <devemu/model.h>

/* --- what the datasheet names ------------------------------------------------------ */

/* DS 8.7 */
enum {
    IER_ERBFI = 1 << 0,
    IER_ETBEI = 1 << 1,
    IER_ELSI = 1 << 2,
    IER_EDSSI = 1 << 3,
    IER_RSVD = 0xf0,
};

/* DS 8.6, Table IV */
enum {
    IIR_NONE = 0x01,
    IIR_LINE = 0x06,
    IIR_RECEIVED = 0x04,
    IIR_TIMEOUT = 0x0c,
    IIR_THRE = 0x02,
    IIR_MODEM = 0x00,
    IIR_FIFOS = 0xc0,
};

/* DS 8.5 */
enum {
    FCR_ENABLE = 1 << 0,
    FCR_RFR = 1 << 1,
    FCR_XFR = 1 << 2,
    FCR_DMA = 1 << 3,
    FCR_TRIGGER_SHIFT = 6,
    FCR_KEPT = 0xc9,
};

/* DS 8.1 */
enum {
    LCR_WLS = 0x03,
    LCR_STB = 1 << 2,
    LCR_PEN = 1 << 3,
    LCR_EPS = 1 << 4,
    LCR_STICK = 1 << 5,
    LCR_BREAK = 1 << 6,
    LCR_DLAB = 1 << 7,
};

/* DS 8.8 */
enum {
    MCR_DTR = 1 << 0,
    MCR_RTS = 1 << 1,
    MCR_OUT1 = 1 << 2,
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4,
    MCR_RSVD = 0xe0,
};

/* DS 8.4 */
enum {
    LSR_DR = 1 << 0,
    LSR_OE = 1 << 1,
    LSR_PE = 1 << 2,
    LSR_FE = 1 << 3,
    LSR_BI = 1 << 4,
    LSR_THRE = 1 << 5,
    LSR_TEMT = 1 << 6,
    LSR_FIFO_ERROR = 1 << 7,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI,
};

/* DS 8.9 */
enum {
    MSR_DCTS = 1 << 0,
    MSR_DDSR = 1 << 1,
    MSR_TERI = 1 << 2,
    MSR_DDCD = 1 << 3,
    MSR_LEVEL_SHIFT = 4,
    MSR_DELTAS = 0x0f,
};

/* Modem inputs, in the order of the MSR. */
enum {
    MODEM_CTS = 1 << 0,
    MODEM_DSR = 1 << 1,
    MODEM_RI = 1 << 2,
    MODEM_DCD = 1 << 3,
    MODEM_BREAK = 1 << 4,
};

enum {
    LINE_INTR,
    LINE_OUT1,
    LINE_OUT2,
};

enum {
    LATENCY_INSTANT,
    LATENCY_DATASHEET,
};

#define FIFO_SIZE      16
#define TIMEOUT_CHARS  4 /* DS 8.11 */
#define CLOCKS_PER_BIT 16
#define NS_PER_S       UINT64_C(1000000000)

struct ns16550a {
    DevemuDevice *dev;

    /* configuration */
    uint32_t clock_hz;
    uint16_t latency;
    bool out2_gate;
    bool overrun;

    /* registers */
    uint8_t ier;
    uint8_t fcr;
    uint8_t lcr;
    uint8_t mcr;
    uint8_t lsr_errors; /* OE, and PE FE BI of the character on top of the FIFO */
    uint8_t msr_deltas;
    uint8_t scr;
    uint8_t dll;
    uint8_t dlm;

    uint8_t modem_in;     /* MODEM_*, as the world drives them */
    uint8_t control_out;  /* DEVEMU_CHAR_*, as told to the backend */
    uint8_t thre;         /* LSR bit 5 */
    uint8_t thre_pending; /* its interrupt was not yet seen or served */
    uint8_t thre_delays;  /* DS 8.11: fewer than two bytes in the FIFO since THRE was last 1 */
    uint8_t timeout;      /* character time-out indication */
    uint8_t tsr_busy;
    uint8_t tsr;

    uint8_t tx[FIFO_SIZE]; /* THR, or the XMIT FIFO */
    uint8_t tx_head, tx_count;
    uint8_t rx_last; /* last character read */
    uint8_t rx[FIFO_SIZE];
    uint8_t rx_errors[FIFO_SIZE]; /* LSR_PE, LSR_FE, LSR_BI */
    uint8_t rx_head, rx_count;
    uint8_t wire[FIFO_SIZE]; /* latency=datasheet: characters on their way in */
    uint8_t wire_head, wire_count;

    uint64_t tx_ns;      /* the character in the TSR is out */
    uint64_t thre_ns;    /* delayed THRE */
    uint64_t wire_ns;    /* the next character is in */
    uint64_t timeout_ns; /* four characters' time without receiving or reading */
};

static inline bool ns16550a_fifos(const struct ns16550a *u)
{
    return u->fcr & FCR_ENABLE;
}

static inline uint8_t ns16550a_depth(const struct ns16550a *u)
{
    return ns16550a_fifos(u) ? FIFO_SIZE : 1;
}

/* A character has arrived, with its LSR error bits. */
void ns16550a_rx_put(struct ns16550a *u, uint8_t c, uint8_t errors, uint64_t at_ns);
/* The CPU reads one. */
void ns16550a_rx_take(struct ns16550a *u);
void ns16550a_rx_clear(struct ns16550a *u);
/* Characters that the backend may give now. */
uint8_t ns16550a_rx_room(const struct ns16550a *u);
void ns16550a_tx_put(struct ns16550a *u, uint8_t c);
void ns16550a_tx_clear(struct ns16550a *u);
/* What waits for a clock, or for room, goes on if it can. */
void ns16550a_go_on(struct ns16550a *u);

/* Entries of the model. */
size_t ns16550a_ready(const void *state);
size_t ns16550a_receive(void *state, const uint8_t *data, size_t len);
void ns16550a_tx_done(void *state, uint64_t due_ns);
void ns16550a_thre_delayed(void *state, uint64_t due_ns);
void ns16550a_wire_arrived(void *state, uint64_t due_ns);
void ns16550a_timed_out(void *state, uint64_t due_ns);

#endif
