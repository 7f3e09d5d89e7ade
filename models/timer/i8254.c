/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8254.c: Intel 8254 programmable interval timer, clocked as in a PC.
 *
 * Datasheet: Intel 8254, order number 231164-005 (September 1993), below "DS" with the heading of
 * the chapter.
 *
 * Time is counted in CLK pulses of 14.318180 MHz / 12 = 1.1931817 MHz since moment 0 of the host's
 * clock: pulse t is at t * 600000000 / 715909 ns, rounded up to a whole nanosecond, computed anew
 * from t each time, so that nothing adds up. An access acts between the last pulse and the next.
 * A counter is stored as what it was at one pulse, and what it is now follows by arithmetic;
 * reading changes nothing but latches. An OUT that changes has a deadline; a host that comes late
 * sees each level at least once, but whole periods that passed are left out.
 *
 * State at power-up, not defined by the datasheet: control word 36h without a count, OUT high.
 *
 * Not modelled: a CLK input other than the PC's; counts of 1 in modes 2 and 3, which the datasheet
 * forbids (OUT stays high), and digits above 9 in BCD counts (taken as their weight).
 */
#include "i8254-count.h"

enum {
    BANK_IO,
};

enum {
    PORT_CONTROL = 3,
    CW_POWER_ON = 0x36,
};

/* DS "Read-Back Command". */
enum {
    SC_READ_BACK = 3,
    READ_BACK_STATUS = 0x10, /* low: latch status */
    READ_BACK_COUNT = 0x20,  /* low: latch count */
    STATUS_NULL_COUNT = 0x40,
    STATUS_OUTPUT = 0x80,
};

enum {
    RW_LATCH,
    RW_LSB,
    RW_MSB,
    RW_BOTH,
};

#define TICK_MAX (UINT64_C(1) << 54) /* 478 years: what a snapshot may hold */

/* --- time and OUT ------------------------------------------------------------------ */

static uint64_t now_tick(const struct pit *pit)
{
    return pit_tick(devemu_now(pit->dev));
}

/* The counter as it is now. */
static struct pit present(const struct pit *pit, unsigned n)
{
    struct pit now = *pit;

    pit_settle(&now, n, now_tick(pit));
    return now;
}

static void schedule(struct pit *pit, unsigned n, uint64_t now)
{
    uint64_t edge;

    if ((pit->outputs >> n & 1) == 0) {
        return;
    }
    edge = pit_next_edge(pit, n);
    /* A late host: leave out whole periods. */
    if (edge < now && pit_is_periodic(pit, n) && !pit->null_count[n] &&
        pit->load_at[n] == DEVEMU_NEVER) {
        edge += (now - edge) / pit->period[n] * pit->period[n];
    }
    pit->edge_ns[n] = edge == DEVEMU_NEVER ? DEVEMU_NEVER : pit_ns(edge);
}

static void edge_due(struct pit *pit, unsigned n, uint64_t due_ns)
{
    pit_settle(pit, n, pit_tick(due_ns));
    schedule(pit, n, now_tick(pit));
}

static void edge0_due(void *state, uint64_t due_ns)
{
    edge_due(state, 0, due_ns);
}

static void edge1_due(void *state, uint64_t due_ns)
{
    edge_due(state, 1, due_ns);
}

static void edge2_due(void *state, uint64_t due_ns)
{
    edge_due(state, 2, due_ns);
}

/* --- writing counts ---------------------------------------------------------------- */

/* DS "Minimum and Maximum Initial Counts". */
static void check_count(const struct pit *pit, unsigned n)
{
    if (pit_is_periodic(pit, n) && pit_count(pit, n) == 1) {
        devemu_guest_error(pit->dev, "COUNTER: a count of 1 is illegal in modes 2 and 3");
    }
}

/* The count is whole. When it goes to CE is a matter of the mode: in modes 0 and 4 with the next
 * pulse, in modes 2 and 3 so if it is the first one and else at the end of the cycle, in modes 1
 * and 5 after a trigger. */
static void count_written(struct pit *pit, unsigned n, uint64_t tick)
{
    unsigned mode = pit_mode(pit, n);

    pit->null_count[n] = true;
    check_count(pit, n);
    if (mode == 0 || mode == 4 || (pit_is_periodic(pit, n) && pit->phase[n] < PHASE_COUNT)) {
        pit->load_at[n] = tick + 1;
    }
    if (mode == 0 || pit->phase[n] == PHASE_NONE) {
        pit->phase[n] = PHASE_WAIT;
    }
    if (mode == 0) {
        pit->out[n] = false;
    }
}

/* DS "Mode 0": the first byte stops counting and sets OUT low at once; elsewhere it does nothing.
 */
static void first_byte(struct pit *pit, unsigned n, uint8_t value)
{
    pit->low[n] = value;
    pit->write_msb[n] = true;
    if (pit_mode(pit, n) == 0) {
        pit->out[n] = false;
        pit->phase[n] = PHASE_NONE;
        pit->load_at[n] = DEVEMU_NEVER;
    }
}

static void counter_wrote(void *state, unsigned n, uint64_t value, uint64_t old)
{
    struct pit *pit = state;
    unsigned rw = (pit->control[n] & CW_RW) >> CW_RW_SHIFT;
    uint64_t tick = now_tick(pit);

    (void)old;
    pit_settle(pit, n, tick);
    /* DS "Write Operations": CR is cleared when the counter is programmed, so that the byte which
     * is not written is zero. */
    if (rw == RW_BOTH && !pit->write_msb[n]) {
        first_byte(pit, n, (uint8_t)value);
    } else {
        pit->cr[n] = (uint16_t)(rw == RW_LSB ? value : value << 8 | pit->low[n]);
        pit->low[n] = 0;
        pit->write_msb[n] = false;
        count_written(pit, n, tick);
    }
    schedule(pit, n, tick);
}

/* --- control words ----------------------------------------------------------------- */

/* DS "Counter Latch Command": held until read or programmed; another latch meanwhile is ignored. */
static void latch_count(struct pit *pit, unsigned n)
{
    struct pit now;

    if (!pit->count_latched[n]) {
        now = present(pit, n);
        pit->latch[n] = pit_ce(&now, n);
        pit->count_latched[n] = true;
    }
}

/* DS "Read-Back Command": the output, the null count flag, and the control word as written. */
static void latch_status(struct pit *pit, unsigned n)
{
    struct pit now;

    if (!pit->status_latched[n]) {
        now = present(pit, n);
        pit->status[n] = (uint8_t)(now.control[n] | (now.null_count[n] ? STATUS_NULL_COUNT : 0) |
                                   (now.out[n] ? STATUS_OUTPUT : 0));
        pit->status_latched[n] = true;
    }
}

static void read_back(struct pit *pit, uint8_t value)
{
    for (unsigned n = 0; n < PIT_COUNTERS; n++) {
        if ((value >> (n + 1) & 1) == 0) {
            continue;
        }
        if ((value & READ_BACK_COUNT) == 0) {
            latch_count(pit, n);
        }
        if ((value & READ_BACK_STATUS) == 0) {
            latch_status(pit, n);
        }
    }
}

/* DS "Operation Common to All Modes": the control logic is reset and OUT goes to its first state at
 * once, without a pulse. What CE holds stays till a count is loaded. */
static void program(struct pit *pit, unsigned n, uint8_t value)
{
    uint64_t tick = now_tick(pit);
    uint16_t ce;

    pit_settle(pit, n, tick);
    ce = pit_ce(pit, n);
    pit->control[n] = value & CW_STORED;
    pit->value[n] = pit->control[n] & CW_BCD ? pit_from_bcd(ce) : ce;
    pit->phase[n] = PHASE_NONE;
    pit->load_at[n] = DEVEMU_NEVER;
    pit->cr[n] = 0;
    pit->low[n] = 0;
    pit->null_count[n] = true;
    pit->write_msb[n] = false;
    pit->read_msb[n] = false;
    pit->count_latched[n] = false;
    pit->status_latched[n] = false;
    pit->out[n] = pit_mode(pit, n) != 0;
    schedule(pit, n, tick);
}

static void control_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pit *pit = state;
    unsigned n = (unsigned)(value >> CW_SC_SHIFT);

    (void)index;
    (void)old;
    if (n == SC_READ_BACK) {
        read_back(pit, (uint8_t)value);
    } else if ((value & CW_RW) >> CW_RW_SHIFT == RW_LATCH) {
        latch_count(pit, n);
    } else {
        program(pit, n, (uint8_t)value);
    }
}

/* --- reading ----------------------------------------------------------------------- */

static bool reads_msb(const struct pit *pit, unsigned n)
{
    return (pit->control[n] & CW_RW) >> CW_RW_SHIFT == RW_MSB || pit->read_msb[n];
}

/* DS "Read-Back Command": status comes first where both are latched. */
static uint64_t counter_read(const void *state, unsigned n)
{
    const struct pit *pit = state;
    uint16_t count = pit->latch[n];

    if (pit->status_latched[n]) {
        return pit->status[n];
    }
    if (!pit->count_latched[n]) {
        struct pit now = present(pit, n);

        count = pit_ce(&now, n);
    }
    return reads_msb(pit, n) ? count >> 8 : count & 0xff;
}

static void counter_took(void *state, unsigned n)
{
    struct pit *pit = state;

    if (pit->status_latched[n]) {
        pit->status_latched[n] = false;
        return;
    }
    if ((pit->control[n] & CW_RW) >> CW_RW_SHIFT == RW_BOTH) {
        pit->read_msb[n] = !pit->read_msb[n];
    }
    if (!pit->read_msb[n]) {
        pit->count_latched[n] = false;
    }
}

/* --- GATE -------------------------------------------------------------------------- */

/* DS "Mode 2", "Mode 3": OUT goes high at once when GATE falls. In mode 3 what CE holds stays. */
static void gate_fell(struct pit *pit, unsigned n)
{
    if (!pit_is_periodic(pit, n) || pit->out[n]) {
        return;
    }
    pit->out[n] = true;
    if (pit_mode(pit, n) == 3) {
        pit->value[n] += pit->period[n] & 1;
    }
}

/* DS "Gate", "Mode 1" to "Mode 5": a rising edge loads with the next pulse. */
static void gate_rose(struct pit *pit, unsigned n, uint64_t tick)
{
    unsigned mode = pit_mode(pit, n);

    if (mode != 0 && mode != 4 && pit->phase[n] != PHASE_NONE) {
        pit->load_at[n] = tick + 1;
    }
}

static void pit_input(void *state, unsigned line, bool level)
{
    struct pit *pit = state;
    uint64_t tick = now_tick(pit);

    if (line >= PIT_COUNTERS || pit->gate[line] == level) {
        return;
    }
    pit_settle(pit, line, tick);
    pit->gate[line] = level;
    if (level) {
        gate_rose(pit, line, tick);
    } else {
        gate_fell(pit, line);
    }
    schedule(pit, line, tick);
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits control_bits[] = {
    {"SC", 0xc0}, {"RW", CW_RW}, {"M", CW_M}, {"BCD", CW_BCD}, {0},
};

static const DevemuReg io_regs[] = {
    {
        .name = "COUNTER",
        .title = "count of counter 0, 1, 2; reads what was latched first",
        .section = "Write Operations; Read Operations",
        .at = 0,
        .size = 1,
        .count = PIT_COUNTERS,
        .read = counter_read,
        .took = counter_took,
        .wrote = counter_wrote,
    },
    {
        .name = "CONTROL",
        .title = "control word, counter latch, read-back; the bus floats when it is read",
        .section = "Control Word Register; Counter Latch Command; Read-Back Command",
        .bits = control_bits,
        .at = PORT_CONTROL,
        .size = 1,
        .reset = 0xff,
        .wrote = control_wrote,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 4,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
};

/* --- reset, lines, snapshot -------------------------------------------------------- */

/* There is no reset pin. */
static void pit_reset(void *state, DevemuReset kind)
{
    struct pit *pit = state;

    if (kind != DEVEMU_RESET_POWER) {
        return;
    }
    for (unsigned n = 0; n < PIT_COUNTERS; n++) {
        pit->load_at[n] = DEVEMU_NEVER;
        pit->control[n] = CW_POWER_ON;
        pit->period[n] = PIT_COUNT_MAX;
        pit->out[n] = true;
        pit->null_count[n] = true;
        pit->gate[n] = pit->gates >> n & 1;
    }
}

static uint64_t pit_lines(const void *state)
{
    const struct pit *pit = state;
    uint64_t lines = 0;

    for (unsigned n = 0; n < PIT_COUNTERS; n++) {
        lines |= (uint64_t)(pit->out[n] || (pit->outputs >> n & 1) == 0) << n;
    }
    return lines;
}

static bool counter_valid(const struct pit *pit, unsigned n)
{
    bool counts = pit->phase[n] >= PHASE_COUNT;

    if ((pit->control[n] & ~CW_STORED) || (pit->control[n] & CW_RW) == 0 ||
        pit->phase[n] > PHASE_PAST) {
        return false;
    }
    if (pit->base[n] > TICK_MAX || pit->value[n] > PIT_COUNT_MAX || pit->period[n] == 0 ||
        pit->period[n] > PIT_COUNT_MAX) {
        return false;
    }
    if (pit->load_at[n] != DEVEMU_NEVER && (pit->load_at[n] == 0 || pit->load_at[n] > TICK_MAX)) {
        return false;
    }
    return !pit_is_periodic(pit, n) || !counts ||
           (pit->value[n] != 0 && pit->phase[n] == PHASE_COUNT);
}

static bool pit_valid(const void *state)
{
    return counter_valid(state, 0) && counter_valid(state, 1) && counter_valid(state, 2);
}

static const DevemuField fields[] = {
    DEVEMU_SAVE_ARRAY(struct pit, base),
    DEVEMU_SAVE_ARRAY(struct pit, load_at),
    DEVEMU_SAVE_ARRAY(struct pit, value),
    DEVEMU_SAVE_ARRAY(struct pit, period),
    DEVEMU_SAVE_ARRAY(struct pit, cr),
    DEVEMU_SAVE_ARRAY(struct pit, latch),
    DEVEMU_SAVE_ARRAY(struct pit, control),
    DEVEMU_SAVE_ARRAY(struct pit, status),
    DEVEMU_SAVE_ARRAY(struct pit, phase),
    DEVEMU_SAVE_ARRAY(struct pit, low),
    DEVEMU_SAVE_ARRAY(struct pit, out),
    DEVEMU_SAVE_ARRAY(struct pit, gate),
    DEVEMU_SAVE_ARRAY(struct pit, null_count),
    DEVEMU_SAVE_ARRAY(struct pit, write_msb),
    DEVEMU_SAVE_ARRAY(struct pit, read_msb),
    DEVEMU_SAVE_ARRAY(struct pit, count_latched),
    DEVEMU_SAVE_ARRAY(struct pit, status_latched),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct pit, edge_ns[0], edge0_due),
    DEVEMU_TIMER(struct pit, edge_ns[1], edge1_due),
    DEVEMU_TIMER(struct pit, edge_ns[2], edge2_due),
    {0},
};

static const DevemuProperty properties[] = {
    {.name = "gates",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct pit, gates),
     .value = "3",
     .max = 7,
     .doc = "Levels of GATE0, GATE1 and GATE2 at power-on, one bit each; they stay until the input "
            "changes (PC: 0 and 1 are tied high)."},
    {.name = "outputs",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct pit, outputs),
     .value = "7",
     .max = 7,
     .doc = "Counters whose OUT is followed, one bit each; another one's line stays high and costs "
            "no deadlines (5 for a PC where nothing listens to the refresh request)."},
    {0},
};

static const char *const inputs[] = {"GATE0", "GATE1", "GATE2", NULL};
static const char *const outputs[] = {"OUT0", "OUT1", "OUT2", NULL};
static const DevemuIsa isa = {.bases = {0x40}, .irq = 0};

const DevemuModel devemu_model_i8254 = {
    .name = "i8254",
    .title = "Intel 8254 programmable interval timer",
    .datasheet = "Intel 8254, 231164-005",
    .not_modelled =
        "a CLK other than the PC's 1.1931817 MHz; the illegal count of 1 in modes 2 and "
        "3 (OUT stays high); digits above 9 in BCD counts (taken as their weight)",
    .state_size = sizeof(struct pit),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .inputs = inputs,
    .lines = pit_lines,
    .reset = pit_reset,
    .valid = pit_valid,
    .input_line = pit_input,
    .isa = &isa,
};
