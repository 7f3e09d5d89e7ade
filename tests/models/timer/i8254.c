/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intel 8254, against its datasheet 231164 ("DS"). Each test starts at moment 0, between pulse 0
 * and pulse 1 of CLK; a count that is written there is loaded with pulse 1.
 */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_i8254;

enum {
    CONTROL = 3,
    LSB = 0x10,
    MSB = 0x20,
    BOTH = 0x30,
    BCD = 0x01,
};

#define MODE(m)    ((m) << 1)
#define COUNTER(n) ((n) << 6)

static DevemuFake *pit_new(void)
{
    return devemu_fake_new(&devemu_model_i8254, "gates=7", 0);
}

static uint8_t in(DevemuFake *fake, unsigned port)
{
    return (uint8_t)devemu_fake_read(fake, 0, port, 1);
}

static void out(DevemuFake *fake, unsigned port, unsigned value)
{
    devemu_fake_write(fake, 0, port, 1, value & 0xff);
}

static void out16(DevemuFake *fake, unsigned port, unsigned value)
{
    out(fake, port, value);
    out(fake, port, value >> 8);
}

/* The counter latched, both bytes. */
static unsigned count(DevemuFake *fake, unsigned n)
{
    unsigned low;

    out(fake, CONTROL, COUNTER(n));
    low = in(fake, n);
    return low | (unsigned)in(fake, n) << 8;
}

static unsigned status(DevemuFake *fake, unsigned n)
{
    out(fake, CONTROL, 0xe0 | 2u << n);
    return in(fake, n);
}

/* The first nanosecond at or after a pulse of 14.318180 MHz / 12. */
static uint64_t pulse_ns(uint64_t pulse)
{
    return (pulse * 600000000 + 715908) / 715909;
}

static void go_to(DevemuFake *fake, uint64_t pulse)
{
    devemu_fake_advance(fake, pulse_ns(pulse) - devemu_fake_now(fake));
}

/* OUT has this level up to the nanosecond before a pulse, and the other one from there. */
static void expect_change(DevemuFake *fake, unsigned n, bool before, uint64_t pulse)
{
    devemu_fake_advance(fake, pulse_ns(pulse) - 1 - devemu_fake_now(fake));
    cr_expect_eq(devemu_fake_line(fake, n), before, "before pulse %d", (int)pulse);
    devemu_fake_advance(fake, 1);
    cr_expect_eq(devemu_fake_line(fake, n), !before, "at pulse %d", (int)pulse);
}

Test(i8254, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_i8254, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_i8254, "gates=7,outputs=5"), 0);
}

/* --- DS "Mode 0: Interrupt on Terminal Count" -------------------------------------- */

Test(i8254, mode_0_raises_out_n_plus_1_pulses_after_the_count)
{
    g_autoptr(DevemuFake) fake = pit_new();

    cr_assert(devemu_fake_line(fake, 0));
    out(fake, CONTROL, COUNTER(0) | LSB | MODE(0));
    cr_assert_not(devemu_fake_line(fake, 0));
    out(fake, 0, 4);

    expect_change(fake, 0, false, 5);
    go_to(fake, 100000);
    cr_assert(devemu_fake_line(fake, 0));
}

/* The pulse that loads does not count: figure 15 reads N after it. */
Test(i8254, mode_0_loads_with_the_next_pulse)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(1) | BOTH | MODE(0));
    out16(fake, 1, 1000);
    go_to(fake, 1);
    cr_assert_eq(count(fake, 1), 1000);
    go_to(fake, 2);
    cr_assert_eq(count(fake, 1), 999);
}

Test(i8254, mode_0_goes_on_below_zero)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(1) | BOTH | MODE(0));
    out16(fake, 1, 3);
    go_to(fake, 4);
    cr_assert_eq(count(fake, 1), 0);
    go_to(fake, 5);
    cr_assert_eq(count(fake, 1), 0xffff);
    go_to(fake, 4 + 0x10000 * 3 + 2);
    cr_assert_eq(count(fake, 1), 0xfffe);
}

Test(i8254, mode_0_a_new_count_lowers_out_and_starts_again)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(0));
    out(fake, 0, 3);
    go_to(fake, 20);
    cr_assert(devemu_fake_line(fake, 0));
    out(fake, 0, 2);
    cr_assert_not(devemu_fake_line(fake, 0));
    expect_change(fake, 0, false, 23);
}

Test(i8254, mode_0_the_first_byte_of_two_stops_counting)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | BOTH | MODE(0));
    out16(fake, 0, 10);
    go_to(fake, 4);
    out(fake, 0, 5);
    go_to(fake, 100);
    cr_assert_not(devemu_fake_line(fake, 0));
    cr_assert_eq(count(fake, 0), 7);
    out(fake, 0, 0);
    expect_change(fake, 0, false, 106);
}

Test(i8254, mode_0_counts_while_gate_is_high)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, NULL, 0);

    devemu_fake_set_input(fake, 2, true);
    out(fake, CONTROL, COUNTER(2) | BOTH | MODE(0));
    out16(fake, 2, 10);
    go_to(fake, 4);
    devemu_fake_set_input(fake, 2, false);
    go_to(fake, 50);
    cr_assert_eq(count(fake, 2), 7);
    devemu_fake_set_input(fake, 2, true);
    expect_change(fake, 2, false, 57);
}

/* A count written while GATE is low is loaded all the same, and OUT rises N pulses after GATE. */
Test(i8254, mode_0_loads_while_gate_is_low)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=3", 0);

    out(fake, CONTROL, COUNTER(2) | LSB | MODE(0));
    out(fake, 2, 5);
    go_to(fake, 1);
    cr_assert_eq(in(fake, 2), 5);
    go_to(fake, 10);
    devemu_fake_set_input(fake, 2, true);
    expect_change(fake, 2, false, 15);
}

/* Linux quick_pit_calibrate() and pit_calibrate_tsc(): counter 2, mode 0, seen through OUT2. */
Test(i8254, mode_0_measures_50_ms_for_linux)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "outputs=5", 0);
    const unsigned latch = 1193182 / 20;

    devemu_fake_set_input(fake, 2, true);
    out(fake, CONTROL, 0xb0);
    out16(fake, 2, latch);
    expect_change(fake, 2, false, latch + 1);
    cr_assert_leq(devemu_fake_now(fake), 50001000);
    cr_assert_geq(devemu_fake_now(fake), 49999000);
}

/* --- DS "Mode 1: Hardware Retriggerable One-Shot" ---------------------------------- */

Test(i8254, mode_1_gives_a_pulse_of_n_after_a_trigger)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(1));
    out(fake, 0, 3);
    go_to(fake, 10);
    cr_assert(devemu_fake_line(fake, 0));
    devemu_fake_set_input(fake, 0, true);
    expect_change(fake, 0, true, 11);
    devemu_fake_set_input(fake, 0, false); /* no effect on OUT */
    expect_change(fake, 0, false, 14);
    cr_assert_eq(in(fake, 0), 0);
    go_to(fake, 15);
    cr_assert_eq(in(fake, 0), 0xff);
}

Test(i8254, mode_1_can_be_triggered_again)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(1));
    out(fake, 0, 5);
    devemu_fake_set_input(fake, 0, true);
    go_to(fake, 4);
    devemu_fake_set_input(fake, 0, false);
    devemu_fake_set_input(fake, 0, true);
    expect_change(fake, 0, false, 10);
}

Test(i8254, mode_1_takes_a_new_count_with_the_next_trigger)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(1));
    out(fake, 0, 5);
    devemu_fake_set_input(fake, 0, true);
    go_to(fake, 2);
    out(fake, 0, 2);
    cr_assert_eq(status(fake, 0) & 0x40, 0x40);
    expect_change(fake, 0, false, 6);
    devemu_fake_set_input(fake, 0, false);
    devemu_fake_set_input(fake, 0, true);
    expect_change(fake, 0, true, 7);
    cr_assert_eq(status(fake, 0) & 0x40, 0x00);
    expect_change(fake, 0, false, 9);
}

Test(i8254, mode_1_is_not_armed_without_a_count)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(1));
    devemu_fake_set_input(fake, 0, true);
    go_to(fake, 100);
    cr_assert(devemu_fake_line(fake, 0));
}

/* --- DS "Mode 2: Rate Generator" --------------------------------------------------- */

Test(i8254, mode_2_is_low_for_one_pulse_of_n)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    out(fake, 0, 4);
    for (unsigned i = 0; i < 5; i++) {
        expect_change(fake, 0, true, 4 + 4 * i);
        cr_expect_eq(in(fake, 0), 1);
        expect_change(fake, 0, false, 5 + 4 * i);
        cr_expect_eq(in(fake, 0), 4);
    }
}

Test(i8254, mode_2_begins_again_when_gate_rises)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    devemu_fake_set_input(fake, 0, true);
    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    out(fake, 0, 4);
    go_to(fake, 4);
    cr_assert_not(devemu_fake_line(fake, 0));
    devemu_fake_set_input(fake, 0, false);
    cr_assert(devemu_fake_line(fake, 0)); /* high at once */
    go_to(fake, 20);
    cr_assert(devemu_fake_line(fake, 0));
    devemu_fake_set_input(fake, 0, true);
    expect_change(fake, 0, true, 24);
    expect_change(fake, 0, false, 25);
}

Test(i8254, mode_2_takes_a_new_count_at_the_end_of_the_cycle)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    out(fake, 0, 10);
    go_to(fake, 3);
    out(fake, 0, 4);
    cr_assert_eq(status(fake, 0) & 0x40, 0x40);
    expect_change(fake, 0, true, 10);
    expect_change(fake, 0, false, 11);
    cr_assert_eq(status(fake, 0) & 0x40, 0x00);
    expect_change(fake, 0, true, 14);
}

/* A cycle that ends between the two bytes of a count goes on with the old one. */
Test(i8254, mode_2_takes_no_half_of_a_count)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | BOTH | MODE(2));
    out16(fake, 0, 0x0104);
    out(fake, 0, 0x08);
    go_to(fake, 1 + 0x104);
    cr_assert_eq(count(fake, 0), 0x104);
    out(fake, 0, 0x00);
    go_to(fake, 1 + 0x208);
    cr_assert_eq(count(fake, 0), 0x008);
}

/* DS "Minimum and Maximum Initial Counts". */
Test(i8254, mode_2_with_a_count_of_1_is_a_mistake)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    out(fake, 0, 1);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
    go_to(fake, 100);
    cr_assert(devemu_fake_line(fake, 0));
    out(fake, 0, 6);
    go_to(fake, 101);
    cr_assert_eq(in(fake, 0), 6);
}

/* --- DS "Mode 3: Square Wave Mode" ------------------------------------------------- */

Test(i8254, mode_3_with_an_even_count_is_high_for_one_half)
{
    g_autoptr(DevemuFake) fake = pit_new();
    static const uint8_t counts[] = {4, 2, 4, 2};

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(3));
    out(fake, 0, 4);
    for (unsigned pulse = 1; pulse < 20; pulse++) {
        go_to(fake, pulse);
        cr_expect_eq(in(fake, 0), counts[(pulse - 1) % 4]);
        cr_expect_eq(devemu_fake_line(fake, 0), (pulse - 1) % 4 < 2);
    }
}

/* Figure 18: 4 2 0 while OUT is high, 4 2 while it is low. */
Test(i8254, mode_3_with_an_odd_count_is_high_for_one_pulse_more)
{
    g_autoptr(DevemuFake) fake = pit_new();
    static const uint8_t counts[] = {4, 2, 0, 4, 2};

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(3));
    out(fake, 0, 5);
    for (unsigned pulse = 1; pulse < 20; pulse++) {
        go_to(fake, pulse);
        cr_expect_eq(in(fake, 0), counts[(pulse - 1) % 5]);
        cr_expect_eq(devemu_fake_line(fake, 0), (pulse - 1) % 5 < 3);
    }
}

Test(i8254, mode_3_takes_a_new_count_at_the_end_of_the_half)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(3));
    out(fake, 0, 20);
    go_to(fake, 3);
    out(fake, 0, 6);
    expect_change(fake, 0, true, 11);
    expect_change(fake, 0, false, 14);
    expect_change(fake, 0, true, 17);
}

Test(i8254, mode_3_is_high_while_gate_is_low)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(3));
    out(fake, 0, 5);
    devemu_fake_set_input(fake, 0, true);
    go_to(fake, 4);
    cr_assert_not(devemu_fake_line(fake, 0));
    cr_assert_eq(in(fake, 0), 4);
    devemu_fake_set_input(fake, 0, false);
    cr_assert(devemu_fake_line(fake, 0));
    cr_assert_eq(in(fake, 0), 4);
    go_to(fake, 30);
    devemu_fake_set_input(fake, 0, true);
    expect_change(fake, 0, true, 34);
    expect_change(fake, 0, false, 36);
}

/* DS "Programming the 8254": X11 is mode 3, X10 mode 2. */
Test(i8254, modes_6_and_7_are_2_and_3)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(7));
    out(fake, 0, 4);
    cr_assert_eq(status(fake, 0) & 0x3f, LSB | MODE(7));
    expect_change(fake, 0, true, 3);
    out(fake, CONTROL, COUNTER(1) | LSB | MODE(6));
    out(fake, 1, 4);
    expect_change(fake, 1, true, 7);
}

/* --- DS "Mode 4: Software Triggered Strobe" ---------------------------------------- */

Test(i8254, mode_4_strobes_n_plus_1_pulses_after_the_count)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(4));
    out(fake, 0, 3);
    expect_change(fake, 0, true, 4);
    expect_change(fake, 0, false, 5);
    cr_assert_eq(in(fake, 0), 0xff);
    go_to(fake, 5 + 2 * 0x10000);
    cr_assert(devemu_fake_line(fake, 0));
    cr_assert_eq(devemu_fake_rises(fake, 0), 2); /* at power-on, and the strobe's end */
}

Test(i8254, mode_4_goes_on_from_a_new_count)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(4));
    out(fake, 0, 5);
    go_to(fake, 3);
    out(fake, 0, 3);
    expect_change(fake, 0, true, 7);
}

Test(i8254, mode_4_stops_while_gate_is_low)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    devemu_fake_set_input(fake, 0, true);
    out(fake, CONTROL, COUNTER(0) | LSB | MODE(4));
    out(fake, 0, 3);
    go_to(fake, 2);
    devemu_fake_set_input(fake, 0, false);
    go_to(fake, 20);
    devemu_fake_set_input(fake, 0, true);
    expect_change(fake, 0, true, 22);
    devemu_fake_set_input(fake, 0, false); /* no effect on OUT */
    expect_change(fake, 0, false, 23);
}

/* --- DS "Mode 5: Hardware Triggered Strobe" ---------------------------------------- */

Test(i8254, mode_5_strobes_n_plus_1_pulses_after_the_trigger)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(5));
    out(fake, 0, 3);
    go_to(fake, 10);
    devemu_fake_set_input(fake, 0, true);
    devemu_fake_set_input(fake, 0, false);
    expect_change(fake, 0, true, 14);
    expect_change(fake, 0, false, 15);
}

Test(i8254, mode_5_can_be_triggered_again)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "gates=0", 0);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(5));
    out(fake, 0, 3);
    devemu_fake_set_input(fake, 0, true);
    go_to(fake, 3);
    devemu_fake_set_input(fake, 0, false);
    devemu_fake_set_input(fake, 0, true);
    expect_change(fake, 0, true, 7);
}

/* --- DS "Programming the 8254", "Write Operations" --------------------------------- */

Test(i8254, zero_is_the_largest_count)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | BOTH | MODE(2));
    out16(fake, 0, 0);
    out(fake, CONTROL, COUNTER(1) | BOTH | MODE(2) | BCD);
    out16(fake, 1, 0);
    expect_change(fake, 1, true, 10000);
    expect_change(fake, 0, true, 65536);
}

Test(i8254, bcd_counts_decades)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | BOTH | MODE(0) | BCD);
    out16(fake, 0, 0x1000);
    go_to(fake, 2);
    cr_assert_eq(count(fake, 0), 0x0999);
    expect_change(fake, 0, false, 1001);
    go_to(fake, 1002);
    cr_assert_eq(count(fake, 0), 0x9999);
}

Test(i8254, the_byte_that_is_not_written_is_zero)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | MSB | MODE(2));
    out(fake, 0, 2);
    go_to(fake, 1);
    cr_assert_eq(in(fake, 0), 2);
    go_to(fake, 2);
    cr_assert_eq(in(fake, 0), 1);
    expect_change(fake, 0, true, 512);

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    out(fake, 0, 3);
    go_to(fake, 513);
    cr_assert_eq(in(fake, 0), 3);
}

/* DS "Operation Common to All Modes": OUT goes to its first state without a pulse. */
Test(i8254, a_control_word_acts_at_once)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(0));
    cr_assert_not(devemu_fake_line(fake, 0));
    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    cr_assert(devemu_fake_line(fake, 0));
    out(fake, 0, 3);
    go_to(fake, 3);
    cr_assert_not(devemu_fake_line(fake, 0));
    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    cr_assert(devemu_fake_line(fake, 0));
    go_to(fake, 100);
    cr_assert(devemu_fake_line(fake, 0));
}

/* DS "Read/Write Operations Summary": A1, A0 = 11 is three-state. */
Test(i8254, the_control_port_does_not_drive_the_bus)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, 0x34);
    cr_assert_eq(in(fake, CONTROL), 0xff);
}

/* --- DS "Counter Latch Command" ---------------------------------------------------- */

Test(i8254, a_latched_count_stays_until_it_is_read)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | BOTH | MODE(2));
    out16(fake, 0, 0x1234);
    go_to(fake, 2);
    out(fake, CONTROL, COUNTER(0));
    go_to(fake, 5);
    out(fake, CONTROL, COUNTER(0)); /* ignored */
    go_to(fake, 100);
    cr_assert_eq(in(fake, 0), 0x33);
    cr_assert_eq(in(fake, 0), 0x12);
    cr_assert_eq(in(fake, 0), (0x1234 - 99) & 0xff);
    cr_assert_eq(in(fake, 0), (0x1234 - 99) >> 8);
}

Test(i8254, a_control_word_drops_what_is_latched)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | BOTH | MODE(2));
    out16(fake, 0, 0x1234);
    go_to(fake, 1);
    out(fake, CONTROL, 0xc2);
    out(fake, CONTROL, COUNTER(0) | LSB | MODE(2));
    out(fake, 0, 9);
    go_to(fake, 3);
    cr_assert_eq(in(fake, 0), 8);
}

/* Reads and writes of one counter may alternate. */
Test(i8254, reading_and_writing_have_their_own_byte_order)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | BOTH | MODE(2));
    out16(fake, 0, 0x1234);
    go_to(fake, 1);
    cr_assert_eq(in(fake, 0), 0x34);
    out(fake, 0, 0x00);
    cr_assert_eq(in(fake, 0), 0x12);
    out(fake, 0, 0x02);
    go_to(fake, 1 + 0x1234);
    cr_assert_eq(count(fake, 0), 0x0200);
}

/* --- DS "Read-Back Command" -------------------------------------------------------- */

Test(i8254, the_status_byte_shows_out_null_count_and_the_control_word)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(1) | LSB | MODE(0));
    cr_assert_eq(status(fake, 1), 0x40 | LSB);
    out(fake, 1, 3);
    cr_assert_eq(status(fake, 1), 0x40 | LSB);
    go_to(fake, 1);
    cr_assert_eq(status(fake, 1), LSB);
    go_to(fake, 4);
    cr_assert_eq(status(fake, 1), 0x80 | LSB);
}

/* Null count is set by the second byte of two. */
Test(i8254, null_count_waits_for_the_second_byte)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(1) | BOTH | MODE(2));
    out16(fake, 1, 100);
    go_to(fake, 1);
    out(fake, 1, 50);
    cr_assert_eq(status(fake, 1) & 0x40, 0x00);
    out(fake, 1, 0);
    cr_assert_eq(status(fake, 1) & 0x40, 0x40);
}

/* Figure 12, and: if both are latched the status is read first. */
Test(i8254, read_back_latches_counts_and_status_of_several_counters)
{
    g_autoptr(DevemuFake) fake = pit_new();

    for (unsigned n = 0; n < 3; n++) {
        out(fake, CONTROL, COUNTER(n) | BOTH | MODE(2));
        out16(fake, n, 0x1000 + n);
    }
    go_to(fake, 1);
    out(fake, CONTROL, 0xca); /* count and status of counters 0 and 2 */
    go_to(fake, 100);
    for (unsigned n = 0; n < 3; n += 2) {
        cr_expect_eq(in(fake, n), 0x80 | BOTH | MODE(2));
        cr_expect_eq(in(fake, n), n);
        cr_expect_eq(in(fake, n), 0x10);
    }
    cr_assert_eq(count(fake, 1), 0x1001 - 99);
}

Test(i8254, a_second_status_latch_is_ignored)
{
    g_autoptr(DevemuFake) fake = pit_new();

    out(fake, CONTROL, COUNTER(0) | LSB | MODE(0));
    out(fake, 0, 2);
    out(fake, CONTROL, 0xe2);
    go_to(fake, 10);
    out(fake, CONTROL, 0xe2);
    cr_assert_eq(in(fake, 0), 0x40 | LSB);
    cr_assert_eq(status(fake, 0), 0x80 | LSB);
}

/* --- time -------------------------------------------------------------------------- */

/* Linux with HZ = 100 (PIT_LATCH 11932) for an hour: the edges are where arithmetic puts them. */
Test(i8254, mode_2_does_not_drift_in_an_hour)
{
    g_autoptr(DevemuFake) fake =
        devemu_fake_new_mode(&devemu_model_i8254, NULL, 0, DEVEMU_FAKE_PLAIN);
    const uint64_t hour = UINT64_C(3600000000000);
    const uint64_t latch = 11932;
    uint64_t pulses = 715909 * UINT64_C(6000); /* of an hour, exactly */
    uint64_t last;

    out(fake, CONTROL, 0x34);
    out16(fake, 0, latch);
    devemu_fake_rises(fake, 0);
    devemu_fake_advance(fake, hour);

    cr_assert_eq(devemu_fake_rises(fake, 0), (pulses - 1) / latch);
    last = 1 + (pulses - 1) / latch * latch;
    expect_change(fake, 0, true, last + latch - 1);
    expect_change(fake, 0, false, last + latch);
}

/* The BIOS's 18.2 Hz: count 65536, mode 3. */
Test(i8254, mode_3_does_not_drift_in_ten_minutes)
{
    g_autoptr(DevemuFake) fake = pit_new();
    uint64_t pulses = 715909 * UINT64_C(1000);

    out(fake, CONTROL, 0x36);
    out16(fake, 0, 0);
    devemu_fake_rises(fake, 0);
    devemu_fake_advance(fake, UINT64_C(600000000000));

    cr_assert_eq(devemu_fake_rises(fake, 0), (pulses - 1) / 65536);
    expect_change(fake, 0, false, 1 + ((pulses - 1) / 65536 + 1) * 65536);
}

/* A counter whose output nobody follows counts all the same. */
Test(i8254, an_output_that_is_not_followed_has_no_deadline)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8254, "outputs=5", 0);

    out(fake, CONTROL, COUNTER(1) | LSB | MODE(2));
    out(fake, 1, 18);
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), DEVEMU_NEVER);
    go_to(fake, 1 + 18 * 1000000 + 17);
    cr_assert_eq(in(fake, 1), 1);
    cr_assert_eq(status(fake, 1), 0x00 | LSB | MODE(2));
    cr_assert(devemu_fake_line(fake, 1));
}

/* --- a host that comes late -------------------------------------------------------- */

typedef struct Late {
    uint64_t now;
    unsigned rises;
    bool level;
} Late;

static uint64_t late_now(void *host)
{
    return ((Late *)host)->now;
}

static void late_line(void *host, unsigned line, bool level)
{
    Late *late = host;

    if (line == 0) {
        late->rises += level && !late->level;
        late->level = level;
    }
}

Test(i8254, a_late_host_sees_an_edge_and_the_phase_is_kept)
{
    DevemuHostOps ops = {.size = sizeof(ops), .now = late_now, .set_line = late_line};
    static const uint64_t late_by[] = {1, 10, 11932, 11933, 11931, UINT64_C(1193181) * 3600 * 24};

    for (unsigned mode = 2; mode <= 3; mode++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(late_by); i++) {
            g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_i8254, NULL, NULL);
            Late late = {0};
            uint64_t edge;

            devemu_device_set_host(dev, &ops, &late);
            devemu_device_write(dev, 0, CONTROL, 1, BOTH | MODE(mode));
            devemu_device_write(dev, 0, 0, 1, 11932 & 0xff);
            devemu_device_write(dev, 0, 0, 1, 11932 >> 8);
            late.now = pulse_ns(1 + 11932 + late_by[i]);
            late.rises = 0;
            devemu_device_run(dev);

            cr_expect(late.rises || !late.level);
            cr_expect_leq(late.rises, 3);
            cr_expect_gt(devemu_device_deadline(dev), late.now);
            late.now = devemu_device_deadline(dev);
            devemu_device_run(dev);
            if (!late.level) {
                late.now = devemu_device_deadline(dev);
                devemu_device_run(dev);
            }
            edge = (late.now - 1) * 715909 / 600000000 + 1; /* the pulse of this rise */
            cr_expect(late.level);
            cr_expect_eq((edge - 1) % 11932, 0);
        }
    }
}
