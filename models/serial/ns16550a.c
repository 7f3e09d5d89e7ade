/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns16550a.c: National PC16550D (NS16550AF) UART with FIFOs.
 *
 * Datasheet: National Semiconductor PC16550D, TL/C/8652, June 1995 ("DS").
 *
 * Not modelled: the DMA signalling pins RXRDY and TXRDY (a PC does not wire them; FCR bit 3 is
 * kept, without effect); parity and framing errors from outside (a character backend has none; a
 * break can be told by the modem inputs); BAUDOUT and a separate RCLK.
 *
 * Modem inputs, devemu_device_link(): CTS 1, DSR 2, RI 4, DCD 8, and 16 while the other end holds
 * the line in a break. All are active-high here.
 */
#include "ns16550a.h"

enum {
    BANK_IO,
};

#define DEFAULT_CLOCK "1843200" /* the PC's */

static const uint8_t triggers[4] = {1, 4, 8, 14};

/* --- modem control and status (DS 8.8, 8.9) ---------------------------------------- */

/* What the status register sees: the inputs, or in loopback the outputs. */
static uint8_t modem_levels(const struct ns16550a *u)
{
    uint8_t levels = 0;

    if (!(u->mcr & MCR_LOOP)) {
        return u->modem_in & 0x0f;
    }
    levels |= u->mcr & MCR_RTS ? MODEM_CTS : 0;
    levels |= u->mcr & MCR_DTR ? MODEM_DSR : 0;
    levels |= u->mcr & MCR_OUT1 ? MODEM_RI : 0;
    levels |= u->mcr & MCR_OUT2 ? MODEM_DCD : 0;
    return levels;
}

/* DS 8.9: bits 0, 1 and 3 tell any change, bit 2 that RI went away. */
static void modem_changed(struct ns16550a *u, uint8_t before)
{
    uint8_t now = modem_levels(u);
    uint8_t changed = before ^ now;

    u->msr_deltas |= changed & (MSR_DCTS | MSR_DDSR | MSR_DDCD);
    u->msr_deltas |= changed & before & MODEM_RI ? MSR_TERI : 0;
}

/* DS 8.8 bit 4: in loopback the output pins are inactive. DS 8.1 bit 6: break. */
static void control_tell(struct ns16550a *u)
{
    uint8_t lines = 0;

    if (!(u->mcr & MCR_LOOP)) {
        lines |= u->mcr & MCR_DTR ? DEVEMU_CHAR_DTR : 0;
        lines |= u->mcr & MCR_RTS ? DEVEMU_CHAR_RTS : 0;
        lines |= u->lcr & LCR_BREAK ? DEVEMU_CHAR_BREAK : 0;
    }
    if (lines != u->control_out) {
        u->control_out = lines;
        devemu_send_control(u->dev, lines);
    }
}

static void uart_link(void *state, unsigned link)
{
    struct ns16550a *u = state;
    uint8_t before = modem_levels(u);
    bool breaks = (link & ~(unsigned)u->modem_in & MODEM_BREAK) != 0;

    u->modem_in = link & 0x1f;
    modem_changed(u, before);
    /* DS 8.4 bit 4: only one zero character is loaded however long the break lasts. */
    if (breaks && !(u->mcr & MCR_LOOP)) {
        ns16550a_rx_put(u, 0, LSR_BI | LSR_FE, devemu_now(u->dev));
    }
}

/* --- interrupts (DS 8.6, 8.11) ----------------------------------------------------- */

static bool received_enough(const struct ns16550a *u)
{
    return u->rx_count >= (ns16550a_fifos(u) ? triggers[u->fcr >> FCR_TRIGGER_SHIFT] : 1);
}

static uint8_t interrupt_id(const struct ns16550a *u)
{
    if ((u->ier & IER_ELSI) && (u->lsr_errors & LSR_ERRORS)) {
        return IIR_LINE;
    }
    if ((u->ier & IER_ERBFI) && received_enough(u)) {
        return IIR_RECEIVED;
    }
    if ((u->ier & IER_ERBFI) && u->timeout) {
        return IIR_TIMEOUT;
    }
    if ((u->ier & IER_ETBEI) && u->thre_pending) {
        return IIR_THRE;
    }
    if ((u->ier & IER_EDSSI) && u->msr_deltas) {
        return IIR_MODEM;
    }
    return IIR_NONE;
}

/* On a PC, OUT2 opens the way of INTR to the bus. In loopback the pin is inactive, so nothing
 * passes. */
static uint64_t uart_lines(const void *state)
{
    const struct ns16550a *u = state;
    uint8_t pins = u->mcr & MCR_LOOP ? 0 : u->mcr;
    bool gate = !u->out2_gate || (pins & MCR_OUT2);
    uint64_t lines = 0;

    lines |= gate && interrupt_id(u) != IIR_NONE ? UINT64_C(1) << LINE_INTR : 0;
    lines |= pins & MCR_OUT1 ? UINT64_C(1) << LINE_OUT1 : 0;
    lines |= pins & MCR_OUT2 ? UINT64_C(1) << LINE_OUT2 : 0;
    return lines;
}

/* --- register callbacks ------------------------------------------------------------ */

static bool dlab(const void *state)
{
    const struct ns16550a *u = state;

    return u->lcr & LCR_DLAB;
}

static bool not_dlab(const void *state)
{
    return !dlab(state);
}

static uint64_t rbr_read(const void *state, unsigned index)
{
    const struct ns16550a *u = state;

    (void)index;
    return u->rx_count > 0 ? u->rx[u->rx_head] : u->rx_last;
}

static void rbr_took(void *state, unsigned index)
{
    (void)index;
    ns16550a_rx_take(state);
}

static void thr_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)old;
    ns16550a_tx_put(state, (uint8_t)value);
}

/* DS 8.7, 8.6: enabling the interrupt while THRE is 1 brings it at once; Linux relies on it. */
static void ier_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct ns16550a *u = state;

    (void)index;
    if ((value & ~old & IER_ETBEI) && u->thre) {
        u->thre_pending = 1;
    }
}

static uint64_t iir_read(const void *state, unsigned index)
{
    const struct ns16550a *u = state;

    (void)index;
    return interrupt_id(u) | (ns16550a_fifos(u) ? IIR_FIFOS : 0);
}

/* DS Table IV: reading the IIR serves THRE if it is the source shown. */
static void iir_took(void *state, unsigned index)
{
    struct ns16550a *u = state;

    (void)index;
    if (interrupt_id(u) == IIR_THRE) {
        u->thre_pending = 0;
    }
}

/* DS 8.5 */
static void fcr_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct ns16550a *u = state;
    bool toggled = ((value ^ u->fcr) & FCR_ENABLE) != 0;

    (void)index;
    (void)old;
    /* Bit 0 must be 1 when other bits are written, or they are not programmed. */
    if (value & FCR_ENABLE) {
        u->fcr = value & FCR_KEPT;
    } else {
        u->fcr &= (uint8_t)~FCR_ENABLE;
    }
    if (toggled || ((value & FCR_RFR) && ns16550a_fifos(u))) {
        ns16550a_rx_clear(u);
    }
    if (toggled || ((value & FCR_XFR) && ns16550a_fifos(u))) {
        ns16550a_tx_clear(u);
        u->thre_delays = 0; /* DS 8.11 B: the first indication after changing FCR0 is immediate */
    }
    ns16550a_go_on(u);
    if (ns16550a_rx_room(u) > 0) {
        devemu_send_ready(u->dev);
    }
}

static void lcr_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    if ((value ^ old) & LCR_BREAK) {
        control_tell(state);
    }
}

static void mcr_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct ns16550a *u = state;
    uint8_t after = u->mcr;
    uint8_t before;

    (void)index;
    (void)value;
    u->mcr = (uint8_t)old;
    before = modem_levels(u);
    u->mcr = after;
    modem_changed(u, before);
    control_tell(u);
}

static uint64_t lsr_read(const void *state, unsigned index)
{
    const struct ns16550a *u = state;
    uint64_t lsr = u->lsr_errors;

    (void)index;
    lsr |= u->rx_count > 0 ? LSR_DR : 0;
    lsr |= u->thre ? LSR_THRE : 0;
    lsr |= u->thre && !u->tsr_busy && u->tx_count == 0 ? LSR_TEMT : 0;
    for (unsigned i = 0; ns16550a_fifos(u) && i < u->rx_count; i++) {
        lsr |= u->rx_errors[(u->rx_head + i) % FIFO_SIZE] ? LSR_FIFO_ERROR : 0;
    }
    return lsr;
}

/* DS 8.4: reading clears the error bits; bit 7 stays while later characters have errors. */
static void lsr_took(void *state, unsigned index)
{
    struct ns16550a *u = state;

    (void)index;
    u->lsr_errors = 0;
    if (u->rx_count > 0) {
        u->rx_errors[u->rx_head] = 0;
    }
}

static uint64_t msr_read(const void *state, unsigned index)
{
    const struct ns16550a *u = state;

    (void)index;
    return u->msr_deltas | (uint64_t)modem_levels(u) << MSR_LEVEL_SHIFT;
}

static void msr_took(void *state, unsigned index)
{
    struct ns16550a *u = state;

    (void)index;
    u->msr_deltas = 0;
}

/* DS 8.3: loading a latch loads the baud counter; what had waited for a clock begins. */
static void divisor_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    ns16550a_go_on(state);
}

/* --- tables (DS 8.0, Table II) ----------------------------------------------------- */

static const DevemuBits ier_bits[] = {
    {"ERBFI", IER_ERBFI}, {"ETBEI", IER_ETBEI}, {"ELSI", IER_ELSI}, {"EDSSI", IER_EDSSI}, {0},
};

static const DevemuBits iir_bits[] = {
    {"IPEND#", IIR_NONE},
    {"ID", 0x0e},
    {"FIFOS", IIR_FIFOS},
    {0},
};

static const DevemuBits lcr_bits[] = {
    {"WLS", LCR_WLS},     {"STB", LCR_STB},     {"PEN", LCR_PEN},   {"EPS", LCR_EPS},
    {"STICK", LCR_STICK}, {"BREAK", LCR_BREAK}, {"DLAB", LCR_DLAB}, {0},
};

static const DevemuBits mcr_bits[] = {
    {"DTR", MCR_DTR},   {"RTS", MCR_RTS},   {"OUT1", MCR_OUT1},
    {"OUT2", MCR_OUT2}, {"LOOP", MCR_LOOP}, {0},
};

static const DevemuBits lsr_bits[] = {
    {"DR", LSR_DR},
    {"OE", LSR_OE},
    {"PE", LSR_PE},
    {"FE", LSR_FE},
    {"BI", LSR_BI},
    {"THRE", LSR_THRE},
    {"TEMT", LSR_TEMT},
    {"FIFO_ERROR", LSR_FIFO_ERROR},
    {0},
};

static const DevemuBits msr_bits[] = {
    {"DCTS", MSR_DCTS},
    {"DDSR", MSR_DDSR},
    {"TERI", MSR_TERI},
    {"DDCD", MSR_DDCD},
    {"CTS", MODEM_CTS << MSR_LEVEL_SHIFT},
    {"DSR", MODEM_DSR << MSR_LEVEL_SHIFT},
    {"RI", MODEM_RI << MSR_LEVEL_SHIFT},
    {"DCD", MODEM_DCD << MSR_LEVEL_SHIFT},
    {0},
};

static const DevemuReg io_regs[] = {
    {
        .name = "RBR_THR",
        .title = "receiver buffer (read), transmitter holding (write)",
        .section = "8.0",
        .at = 0,
        .decoded = not_dlab,
        .read = rbr_read,
        .took = rbr_took,
        .wrote = thr_wrote,
    },
    {
        .name = "DLL",
        .title = "divisor latch, least significant byte",
        .section = "8.3",
        .at = 0,
        DEVEMU_IN(struct ns16550a, dll),
        .keep_hard = 0xff,
        .keep_soft = 0xff,
        .decoded = dlab,
        .wrote = divisor_wrote,
    },
    {
        .name = "IER",
        .title = "interrupt enable",
        .section = "8.7",
        .bits = ier_bits,
        .at = 1,
        DEVEMU_IN(struct ns16550a, ier),
        .rsvd = IER_RSVD,
        .decoded = not_dlab,
        .wrote = ier_wrote,
    },
    {
        .name = "DLM",
        .title = "divisor latch, most significant byte",
        .section = "8.3",
        .at = 1,
        DEVEMU_IN(struct ns16550a, dlm),
        .keep_hard = 0xff,
        .keep_soft = 0xff,
        .decoded = dlab,
        .wrote = divisor_wrote,
    },
    {
        .name = "IIR_FCR",
        .title = "interrupt identification (read), FIFO control (write)",
        .section = "8.6, 8.5",
        .bits = iir_bits,
        .at = 2,
        .read = iir_read,
        .took = iir_took,
        .wrote = fcr_wrote,
    },
    {
        .name = "LCR",
        .title = "line control",
        .section = "8.1",
        .bits = lcr_bits,
        .at = 3,
        DEVEMU_IN(struct ns16550a, lcr),
        .wrote = lcr_wrote,
    },
    {
        .name = "MCR",
        .title = "modem control",
        .section = "8.8",
        .bits = mcr_bits,
        .at = 4,
        DEVEMU_IN(struct ns16550a, mcr),
        .rsvd = MCR_RSVD,
        .wrote = mcr_wrote,
    },
    {
        .name = "LSR",
        .title = "line status",
        .section = "8.4",
        .bits = lsr_bits,
        .at = 5,
        .ro = 0xff,
        .read = lsr_read,
        .took = lsr_took,
    },
    {
        .name = "MSR",
        .title = "modem status",
        .section = "8.9",
        .bits = msr_bits,
        .at = 6,
        .ro = 0xff,
        .read = msr_read,
        .took = msr_took,
    },
    {
        /* DS Table III does not name it: master reset leaves it alone. */
        .name = "SCR",
        .title = "scratchpad",
        .section = "8.10",
        .at = 7,
        DEVEMU_IN(struct ns16550a, scr),
        .keep_hard = 0xff,
        .keep_soft = 0xff,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 8,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
};

/* --- reset (DS Table III) ---------------------------------------------------------- */

static void uart_reset(void *state, DevemuReset kind)
{
    struct ns16550a *u = state;

    u->fcr = 0;
    u->lsr_errors = 0;
    u->msr_deltas = 0;
    u->tsr_busy = 0;
    u->wire_head = 0;
    u->wire_count = 0;
    u->tx_ns = DEVEMU_NEVER;
    u->wire_ns = DEVEMU_NEVER;
    ns16550a_rx_clear(u);
    ns16550a_tx_clear(u);
    u->thre = 1;
    u->thre_pending = 0;
    u->thre_delays = 1;
    if (kind != DEVEMU_RESET_POWER) {
        control_tell(u);
        devemu_send_ready(u->dev);
    }
}

static bool uart_valid(const void *state)
{
    const struct ns16550a *u = state;
    uint8_t depth = ns16550a_depth(u);

    return (u->fcr & ~FCR_KEPT) == 0 && u->tx_count <= depth && u->rx_count <= depth &&
           (u->tsr_busy != 0) == (u->tx_ns != DEVEMU_NEVER);
}

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct ns16550a, fcr),
    DEVEMU_SAVE_MAX(struct ns16550a, lsr_errors, LSR_ERRORS),
    DEVEMU_SAVE_MAX(struct ns16550a, msr_deltas, MSR_DELTAS),
    DEVEMU_SAVE_MAX(struct ns16550a, modem_in, 0x1f),
    DEVEMU_SAVE_MAX(struct ns16550a, control_out, 7),
    DEVEMU_SAVE_MAX(struct ns16550a, thre, 1),
    DEVEMU_SAVE_MAX(struct ns16550a, thre_pending, 1),
    DEVEMU_SAVE_MAX(struct ns16550a, thre_delays, 1),
    DEVEMU_SAVE_MAX(struct ns16550a, timeout, 1),
    DEVEMU_SAVE_MAX(struct ns16550a, tsr_busy, 1),
    DEVEMU_SAVE(struct ns16550a, tsr),
    DEVEMU_SAVE_ARRAY(struct ns16550a, tx),
    DEVEMU_SAVE_MAX(struct ns16550a, tx_head, FIFO_SIZE - 1),
    DEVEMU_SAVE_MAX(struct ns16550a, tx_count, FIFO_SIZE),
    DEVEMU_SAVE(struct ns16550a, rx_last),
    DEVEMU_SAVE_ARRAY(struct ns16550a, rx),
    DEVEMU_SAVE_ARRAY(struct ns16550a, rx_errors),
    DEVEMU_SAVE_MAX(struct ns16550a, rx_head, FIFO_SIZE - 1),
    DEVEMU_SAVE_MAX(struct ns16550a, rx_count, FIFO_SIZE),
    DEVEMU_SAVE_ARRAY(struct ns16550a, wire),
    DEVEMU_SAVE_MAX(struct ns16550a, wire_head, FIFO_SIZE - 1),
    DEVEMU_SAVE_MAX(struct ns16550a, wire_count, FIFO_SIZE),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct ns16550a, tx_ns, ns16550a_tx_done),
    DEVEMU_TIMER(struct ns16550a, thre_ns, ns16550a_thre_delayed),
    DEVEMU_TIMER(struct ns16550a, wire_ns, ns16550a_wire_arrived),
    DEVEMU_TIMER(struct ns16550a, timeout_ns, ns16550a_timed_out),
    {0},
};

static const char *const latencies[] = {"instant", "datasheet", NULL};

static const DevemuProperty properties[] = {
    {.name = "latency",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct ns16550a, latency),
     .value = "instant",
     .choices = latencies,
     .doc = "Does a character take no time, or the time that divisor and word length give?"},
    {.name = "clock",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct ns16550a, clock_hz),
     .value = DEFAULT_CLOCK,
     .min = 1000,
     .max = 24000000,
     .doc = "Frequency at XIN, in Hz."},
    {.name = "out2-gate",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct ns16550a, out2_gate),
     .value = "on",
     .doc = "Does INTR reach the bus only while OUT2 is active, as a PC wires it?"},
    {.name = "overrun",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct ns16550a, overrun),
     .value = "off",
     .doc = "Are characters that find no room lost with OE, as on a wire, rather than held back?"},
    {0},
};

static const char *const outputs[] = {"INTR", "OUT1", "OUT2", NULL};
static const DevemuIsa isa = {.bases = {0x3f8}, .irq = 4};

const DevemuModel devemu_model_ns16550a = {
    .name = "ns16550a",
    .title = "National PC16550D UART",
    .datasheet = "National Semiconductor PC16550D, TL/C/8652, June 1995",
    .not_modelled =
        "DMA signalling (RXRDY, TXRDY); parity and framing errors from outside; BAUDOUT "
        "and a separate RCLK",
    .state_size = sizeof(struct ns16550a),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = uart_lines,
    .reset = uart_reset,
    .valid = uart_valid,
    .receive = ns16550a_receive,
    .ready = ns16550a_ready,
    .link = uart_link,
    .isa = &isa,
    .is_char = true,
};
