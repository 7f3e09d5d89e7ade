/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The 8254 against another one that is written as the datasheet 231164 ("DS") describes it, pulse
 * by pulse, with random programs: count, status and OUT are compared after each step.
 */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_i8254;

enum {
    CONTROL = 3,
    ROUNDS = 25,
    STEPS = 200,
};

/* --- a counter that is clocked ----------------------------------------------------- */

typedef struct Counter {
    unsigned control; /* as in the status byte */
    unsigned cr, low;
    long ce;
    unsigned loaded; /* the count that went to CE last */
    bool out, gate, null_count;
    bool msb_next;
    bool written; /* a count since the control word */
    bool counts;
    bool done;    /* OUT changed; it goes on counting only */
    bool loading; /* with the next pulse */
} Counter;

static unsigned mode_of(const Counter *c)
{
    return c->control >> 1 & 7;
}

static bool is_bcd(const Counter *c)
{
    return c->control & 1;
}

static unsigned rw_of(const Counter *c)
{
    return c->control >> 4 & 3;
}

static unsigned from_bcd(unsigned v)
{
    return (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
}

static unsigned to_bcd(unsigned v)
{
    return v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

static long largest(const Counter *c)
{
    return is_bcd(c) ? 10000 : 65536;
}

static unsigned count_of(const Counter *c)
{
    unsigned count = is_bcd(c) ? from_bcd(c->cr) : c->cr;

    return count ? count : (unsigned)largest(c);
}

static unsigned shown(const Counter *c)
{
    return is_bcd(c) ? to_bcd((unsigned)c->ce) : (unsigned)c->ce & 0xffff;
}

static void take_cr(Counter *c)
{
    c->loaded = count_of(c);
    c->null_count = false;
    /* DS "Mode 3": the initial count minus one is loaded if it is odd. */
    c->ce = mode_of(c) == 3 ? c->loaded & ~1u : c->loaded;
}

static void pulse_once(Counter *c)
{
    bool strobe = mode_of(c) >= 4;

    c->ce = (c->ce + largest(c) - 1) % largest(c);
    if (c->ce == 0 && !c->done) {
        c->out = !strobe;
        c->done = !strobe;
    }
}

static void pulse_rate(Counter *c)
{
    if (--c->ce == 0) {
        take_cr(c);
    }
    c->out = c->ce != 1 || c->loaded == 1;
}

/* DS "Mode 3": with an odd count, while OUT is high, the end is one pulse after 2: at 0. */
static void pulse_square(Counter *c)
{
    bool odd_high = (c->loaded & 1) && c->out;

    if (c->loaded != 1 && c->ce != (odd_high ? 0 : 2)) {
        c->ce -= 2;
        return;
    }
    take_cr(c);
    c->out = !c->out || c->loaded == 1;
}

static void pulse(Counter *c)
{
    unsigned mode = mode_of(c);

    if (c->loading) {
        c->loading = false;
        c->counts = true;
        c->done = false;
        c->out = mode >= 2;
        take_cr(c);
        return;
    }
    if (!c->counts) {
        return;
    }
    if (mode >= 4 && !c->out) {
        c->out = true;
        c->done = true;
    }
    if (!c->gate && mode != 1 && mode != 5) {
        return;
    }
    if (mode == 2) {
        pulse_rate(c);
    } else if (mode == 3) {
        pulse_square(c);
    } else {
        pulse_once(c);
    }
}

static void program(Counter *c, unsigned control)
{
    unsigned ce = shown(c);
    bool gate = c->gate;

    *c = (Counter){.control = control, .gate = gate, .null_count = true};
    c->ce = is_bcd(c) ? from_bcd(ce) : ce;
    c->out = mode_of(c) != 0;
}

static void write_count(Counter *c, unsigned value)
{
    unsigned mode = mode_of(c);

    if (rw_of(c) == 3 && !c->msb_next) {
        c->low = value;
        c->msb_next = true;
        if (mode == 0) {
            c->out = c->counts = c->loading = c->written = false;
        }
        return;
    }
    c->cr = rw_of(c) == 1 ? value : value << 8 | (rw_of(c) == 3 ? c->low : 0);
    c->msb_next = false;
    c->null_count = true;
    c->written = true;
    if (mode == 0) {
        c->out = c->counts = false;
    }
    if (mode == 0 || mode == 4 || ((mode == 2 || mode == 3) && !c->counts)) {
        c->loading = true;
    }
}

static void set_gate(Counter *c, bool level)
{
    unsigned mode = mode_of(c);

    if (level && !c->gate && mode != 0 && mode != 4 && c->written) {
        c->loading = true;
    }
    if (!level && c->counts && (mode == 2 || mode == 3)) {
        c->out = true;
    }
    c->gate = level;
}

/* --- both of them ------------------------------------------------------------------ */

typedef struct Both {
    DevemuFake *fake;
    Counter counters[3];
    uint64_t pulses;
    GRand *rand;
} Both;

static unsigned any(Both *both, unsigned below)
{
    return (unsigned)g_rand_int_range(both->rand, 0, (gint32)below);
}

static void out(Both *both, unsigned port, unsigned value)
{
    devemu_fake_write(both->fake, 0, port, 1, value);
}

static unsigned in(Both *both, unsigned port)
{
    return (unsigned)devemu_fake_read(both->fake, 0, port, 1);
}

static void any_control(Both *both, unsigned n)
{
    unsigned control = (1 + any(both, 3)) << 4 | any(both, 6) << 1 | (any(both, 4) == 0);

    out(both, CONTROL, n << 6 | control);
    program(&both->counters[n], control);
}

static void any_count(Both *both, unsigned n)
{
    Counter *c = &both->counters[n];
    bool high = rw_of(c) == 2 || (rw_of(c) == 3 && c->msb_next);
    unsigned value = any(both, 5) == 0 ? any(both, 100) : any(both, 12);

    if (high) {
        value = any(both, 6) == 0 ? any(both, 3) : 0;
    }
    value = is_bcd(c) ? to_bcd(value) : value;
    out(both, n, value);
    write_count(c, value);
}

static void any_gate(Both *both, unsigned n)
{
    bool level = any(both, 3) != 0;

    devemu_fake_set_input(both->fake, n, level);
    set_gate(&both->counters[n], level);
}

static void any_time(Both *both)
{
    unsigned pulses = any(both, 10) == 0 ? any(both, 70000) : any(both, 6);

    for (unsigned i = 0; i < pulses; i++) {
        for (unsigned n = 0; n < 3; n++) {
            pulse(&both->counters[n]);
        }
    }
    both->pulses += pulses;
    devemu_fake_advance(both->fake,
                        (both->pulses * 600000000 + 715908) / 715909 - devemu_fake_now(both->fake));
}

static void compare(Both *both, unsigned n)
{
    const Counter *c = &both->counters[n];
    unsigned status, count = 0, expected = shown(c);

    out(both, CONTROL, 0xc0 | 2u << n);
    status = in(both, n);
    if (rw_of(c) & 1) {
        count = in(both, n);
    }
    if (rw_of(c) & 2) {
        count |= in(both, n) << 8;
    }
    expected &= (rw_of(c) & 1 ? 0x00ff : 0) | (rw_of(c) & 2 ? 0xff00 : 0);
    cr_assert_eq(count, expected, "pulse %u, counter %u, mode %u: %x, not %x",
                 (unsigned)both->pulses, n, mode_of(c), count, expected);
    cr_assert_eq(status, c->control | (c->null_count ? 0x40u : 0) | (c->out ? 0x80u : 0));
    cr_assert_eq(devemu_fake_line(both->fake, n), c->out);
}

static void any_program(unsigned seed)
{
    Both both = {.fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0),
                 .rand = g_rand_new_with_seed(seed)};

    for (unsigned n = 0; n < 3; n++) {
        any_control(&both, n);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned n = any(&both, 3), what = any(&both, 12);

        if (what == 0) {
            any_control(&both, n);
        } else if (what < 4) {
            any_count(&both, n);
        } else if (what < 6) {
            any_gate(&both, n);
        } else {
            any_time(&both);
        }
        for (unsigned i = 0; i < 3; i++) {
            compare(&both, i);
        }
    }
    g_rand_free(both.rand);
    devemu_fake_free(both.fake);
}

Test(i8254_clocked, random_programs_run_as_pulse_by_pulse)
{
    for (unsigned seed = 1; seed <= ROUNDS; seed++) {
        any_program(seed);
    }
}
