/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port92.c: Port 92h, fast gate A20 and fast reset of the CPU, as in the LPC47B27x Super I/O.
 *
 * Datasheet: SMSC LPC47B27x, rev. 08-10-04, "Port 92 Fast GateA20 and Keyboard Reset" (pages 104
 * and 105), below "DS".
 *
 * The datasheet gives two timings for the reset pulse: in the register's table at least 1 us after
 * 500 ns, in the text and the figure at least 6 us after 14 us. The longer one is taken.
 *
 * Not modelled: the enable bit of KRST_GA20 (the port always answers); the other bits of IBM's
 * system control port A (watchdog, security lock, disk lamp), which the datasheet reserves.
 */
#include <devemu/model.h>

enum {
    BANK_IO,
};

/* The register, DS 104. */
enum {
    PORT92_ALT_RST = 1 << 0,
    PORT92_ALT_A20 = 1 << 1,
    PORT92_RSVD = 0xfc,
    PORT92_RESET = 0x24,
};

enum {
    LINE_A20,
    LINE_RESET,
};

enum {
    LATENCY_INSTANT,
    LATENCY_DATASHEET,
};

#define RESET_DELAY_NS UINT64_C(14000)
#define RESET_PULSE_NS UINT64_C(6000)

struct port92 {
    DevemuDevice *dev;
    uint64_t reset_begin_ns;
    uint64_t reset_end_ns;
    uint32_t latency;
    uint32_t port92;
};

/* DS 104: writing a 1 to bit 0 starts the pulse; another one needs the bit to go back to 0 first.
 */
static void port92_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct port92 *p = state;
    uint64_t now;

    (void)index;
    if ((value & PORT92_ALT_RST) == 0 || (old & PORT92_ALT_RST) != 0) {
        return;
    }
    now = devemu_now(p->dev);
    if (p->latency == LATENCY_DATASHEET) {
        p->reset_begin_ns = now + RESET_DELAY_NS;
    } else {
        p->reset_end_ns = now + RESET_PULSE_NS;
    }
}

static void reset_begins(void *state, uint64_t due_ns)
{
    struct port92 *p = state;

    p->reset_end_ns = due_ns + RESET_PULSE_NS;
}

static void reset_ends(void *state, uint64_t due_ns)
{
    /* lines() sees that the timer is off. */
    (void)state;
    (void)due_ns;
}

static const DevemuBits port92_bits[] = {
    {"ALT_RST", PORT92_ALT_RST},
    {"ALT_A20", PORT92_ALT_A20},
    {0},
};

static const DevemuReg io_regs[] = {
    {
        .name = "PORT92",
        .title = "Port 92 register",
        .section = "p. 104",
        .bits = port92_bits,
        .at = 0,
        .size = 1,
        DEVEMU_IN(struct port92, port92),
        .reset = PORT92_RESET,
        .rsvd = PORT92_RSVD,
        .wrote = port92_wrote,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 1,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
};

static void port92_reset(void *state, DevemuReset kind)
{
    struct port92 *p = state;

    /* DS 104: upon reset the signal is inactive. */
    (void)kind;
    p->reset_begin_ns = DEVEMU_NEVER;
    p->reset_end_ns = DEVEMU_NEVER;
}

static uint64_t port92_lines(const void *state)
{
    const struct port92 *p = state;
    uint64_t lines = 0;

    lines |= p->port92 & PORT92_ALT_A20 ? UINT64_C(1) << LINE_A20 : 0;
    lines |= p->reset_end_ns != DEVEMU_NEVER ? UINT64_C(1) << LINE_RESET : 0;
    return lines;
}

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct port92, reset_begin_ns, reset_begins),
    DEVEMU_TIMER(struct port92, reset_end_ns, reset_ends),
    {0},
};

static const char *const latencies[] = {"instant", "datasheet", NULL};

static const DevemuProperty properties[] = {
    {.name = "latency",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct port92, latency),
     .value = "instant",
     .choices = latencies,
     .doc = "Does the reset pulse begin at once, or after the datasheet's 14 us?"},
    {0},
};

static const char *const outputs[] = {"A20", "RESET", NULL};
static const DevemuIsa isa = {.bases = {0x92}, .irq = 0xff};

const DevemuModel devemu_model_port92 = {
    .name = "port92",
    .title = "Port 92h: fast A20 gate and reset",
    .datasheet = "SMSC LPC47B27x, rev. 08-10-04, Port 92",
    .not_modelled = "the enable bit of KRST_GA20; watchdog, security lock and disk lamp of IBM's "
                    "system control port A",
    .state_size = sizeof(struct port92),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = port92_lines,
    .reset = port92_reset,
    .isa = &isa,
};
