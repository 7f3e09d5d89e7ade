/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8254-count.c: the counting elements of the 8254: six modes as arithmetic between two pulses of
 * CLK. The datasheet ("DS") and what is not modelled: see i8254.c.
 */
#include "i8254-count.h"

/* 14.318180 MHz / 12, as a fraction in lowest terms: so many pulses in so many nanoseconds. */
#define CLK_PULSES UINT64_C(715909)
#define CLK_NS     UINT64_C(600000000)

/* --- time -------------------------------------------------------------------------- */

uint64_t pit_tick(uint64_t ns)
{
    return ns / CLK_NS * CLK_PULSES + ns % CLK_NS * CLK_PULSES / CLK_NS;
}

uint64_t pit_ns(uint64_t tick)
{
    uint64_t whole = tick / CLK_PULSES;
    uint64_t rest = tick % CLK_PULSES;

    if (whole >= UINT64_MAX / CLK_NS) {
        return DEVEMU_NEVER;
    }
    return whole * CLK_NS + (rest * CLK_NS + CLK_PULSES - 1) / CLK_PULSES;
}

/* --- a counter's mode and count ---------------------------------------------------- */

/* DS "Programming the 8254": M2 is not looked at in modes 2 and 3. */
unsigned pit_mode(const struct pit *pit, unsigned n)
{
    unsigned mode = (pit->control[n] & CW_M) >> CW_M_SHIFT;

    return mode > 5 ? mode - 4 : mode;
}

bool pit_is_periodic(const struct pit *pit, unsigned n)
{
    unsigned mode = pit_mode(pit, n);

    return mode == 2 || mode == 3;
}

/* DS "Gate": a level in modes 0, 2, 3 and 4, a rising edge in modes 1, 2, 3 and 5. */
static bool gate_stops(const struct pit *pit, unsigned n)
{
    unsigned mode = pit_mode(pit, n);

    return !pit->gate[n] && mode != 1 && mode != 5;
}

static uint32_t modulus(const struct pit *pit, unsigned n)
{
    return pit->control[n] & CW_BCD ? 10000 : PIT_COUNT_MAX;
}

uint32_t pit_from_bcd(uint16_t bcd)
{
    return (bcd >> 12) * 1000u + (bcd >> 8 & 15) * 100u + (bcd >> 4 & 15) * 10u + (bcd & 15);
}

static uint16_t to_bcd(uint32_t value)
{
    return (uint16_t)(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
                      value % 10);
}

/* DS "Operation Common to All Modes": 0 is the largest count. */
uint32_t pit_count(const struct pit *pit, unsigned n)
{
    uint32_t count = pit->control[n] & CW_BCD ? pit_from_bcd(pit->cr[n]) : pit->cr[n];

    return count ? count : modulus(pit, n);
}

/* DS "Mode 3": high for (N + 1) / 2 pulses, low for (N - 1) / 2 where N is odd. */
static uint32_t half_of(uint32_t period, bool high)
{
    return (period + (high ? 1 : 0)) / 2;
}

/* What CE holds, as the bus would show it. In mode 3 it is even and goes down by two; with an odd
 * count it is one less than the count and reaches 0 while OUT is high. */
uint16_t pit_ce(const struct pit *pit, unsigned n)
{
    uint32_t value = pit->value[n];

    if (pit_mode(pit, n) == 3 && pit->phase[n] >= PHASE_COUNT) {
        value = 2 * value - ((pit->period[n] & pit->out[n]) != 0 ? 2 : 0);
    }
    return pit->control[n] & CW_BCD ? to_bcd(value) : (uint16_t)value;
}

/* --- counting ---------------------------------------------------------------------- */

/* Modes 0, 1, 4 and 5: down to zero, then around. */
static void count_once(struct pit *pit, unsigned n, uint64_t pulses)
{
    unsigned mode = pit_mode(pit, n);
    uint32_t value = pit->value[n];
    uint32_t top = modulus(pit, n) - 1;

    if (pit->phase[n] == PHASE_COUNT && pulses >= value) {
        bool strobe = mode >= 4;

        /* DS "Mode 0", "Mode 1": OUT goes high at zero. "Mode 4", "Mode 5": low for one pulse. */
        pit->out[n] = !strobe || pulses > value;
        pit->phase[n] = pit->out[n] ? PHASE_PAST : PHASE_COUNT;
    }
    pit->value[n] = pulses <= value ? value - (uint32_t)pulses
                                    : top - (uint32_t)((pulses - value - 1) % (top + 1u));
}

/* DS "Mode 2": low while the count is 1; reloaded at its end, by then with a new count if one was
 * written. */
static void count_rate(struct pit *pit, unsigned n, uint64_t pulses)
{
    if (pulses < pit->value[n]) {
        pit->value[n] -= (uint32_t)pulses;
    } else {
        pulses -= pit->value[n];
        pit->period[n] = pit_count(pit, n);
        pit->null_count[n] = false;
        pit->value[n] = pit->period[n] - (uint32_t)(pulses % pit->period[n]);
    }
    pit->out[n] = pit->value[n] != 1 || pit->period[n] == 1;
}

/* DS "Mode 3": a new count is taken at the end of a half-cycle. */
static void count_square(struct pit *pit, unsigned n, uint64_t pulses)
{
    uint32_t half;

    if (pulses < pit->value[n]) {
        pit->value[n] -= (uint32_t)pulses;
        return;
    }
    pulses -= pit->value[n];
    pit->period[n] = pit_count(pit, n);
    pit->null_count[n] = false;
    pit->out[n] = !pit->out[n] || pit->period[n] == 1;
    pulses %= pit->period[n];
    half = half_of(pit->period[n], pit->out[n]);
    if (pulses >= half) {
        pulses -= half;
        pit->out[n] = !pit->out[n];
        half = half_of(pit->period[n], pit->out[n]);
    }
    pit->value[n] = half - (uint32_t)pulses;
}

typedef void CountFunc(struct pit *pit, unsigned n, uint64_t pulses);

static CountFunc *const count_funcs[] = {count_once,   count_once, count_rate,
                                         count_square, count_once, count_once};

static void count_to(struct pit *pit, unsigned n, uint64_t tick)
{
    uint64_t pulses = tick > pit->base[n] ? tick - pit->base[n] : 0;

    pit->base[n] = tick;
    if (pulses == 0 || pit->phase[n] < PHASE_COUNT) {
        return;
    }
    if (!gate_stops(pit, n)) {
        count_funcs[pit_mode(pit, n)](pit, n, pulses);
    } else if (pit_mode(pit, n) == 4 && !pit->out[n]) {
        /* DS "Mode 4": GATE has no effect on OUT, so the strobe ends. */
        pit->out[n] = true;
        pit->phase[n] = PHASE_PAST;
    }
}

/* CR goes to CE. */
static void load(struct pit *pit, unsigned n)
{
    pit->base[n] = pit->load_at[n];
    pit->load_at[n] = DEVEMU_NEVER;
    pit->period[n] = pit_count(pit, n);
    pit->null_count[n] = false;
    pit->phase[n] = PHASE_COUNT;
    pit->out[n] = pit_mode(pit, n) >= 2;
    pit->value[n] = pit_mode(pit, n) == 3 ? half_of(pit->period[n], true) : pit->period[n];
}

/* Bring a counter to a pulse. DS: the pulse that loads does not decrement. */
void pit_settle(struct pit *pit, unsigned n, uint64_t tick)
{
    if (pit->load_at[n] <= tick) {
        count_to(pit, n, pit->load_at[n] - 1);
        load(pit, n);
    }
    count_to(pit, n, tick);
}

/* --- OUT --------------------------------------------------------------------------- */

/* The next pulse after base at which OUT may change, or something is to be looked at. */
uint64_t pit_next_edge(const struct pit *pit, unsigned n)
{
    uint64_t base = pit->base[n];

    if (pit->load_at[n] != DEVEMU_NEVER) {
        return pit->load_at[n];
    }
    if (pit->phase[n] != PHASE_COUNT) {
        return DEVEMU_NEVER;
    }
    if (gate_stops(pit, n)) {
        return pit->out[n] || pit_mode(pit, n) != 4 ? DEVEMU_NEVER : base + 1;
    }
    if (!pit_is_periodic(pit, n)) {
        return pit->value[n] ? base + pit->value[n] : base + 1;
    }
    if (pit->period[n] == 1 && !pit->null_count[n]) {
        return DEVEMU_NEVER;
    }
    return base + (pit_mode(pit, n) == 2 && pit->value[n] > 1 ? pit->value[n] - 1 : pit->value[n]);
}
