/* SPDX-License-Identifier: BSD-3-Clause */
/* Port 92h, against the LPC47B27x datasheet, pages 104 and 105 ("DS"). */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_port92;

enum {
    A20,
    RESET,
};

static uint8_t in(DevemuFake *fake)
{
    return (uint8_t)devemu_fake_read(fake, 0, 0, 1);
}

static void out(DevemuFake *fake, uint8_t value)
{
    devemu_fake_write(fake, 0, 0, 1, value);
}

Test(port92, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_port92, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_port92, "latency=datasheet"), 0);
}

/* DS 104: bits 7, 6, 4, 3 read as 0, bits 5 and 2 as 1. */
Test(port92, reserved_bits_read_as_documented)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port92, NULL, 0);

    cr_assert_eq(in(fake), 0x24);
    out(fake, 0xfe);

    cr_assert_eq(in(fake), 0x26);
    cr_assert_gt(devemu_fake_guest_errors(fake), 0);
}

/* DS 105: bit 1 drives ALT_A20; upon reset it is low. */
Test(port92, bit_1_drives_a20)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port92, NULL, 0);

    cr_assert_not(devemu_fake_line(fake, A20));
    out(fake, in(fake) | 2);
    cr_assert(devemu_fake_line(fake, A20));
    out(fake, in(fake) & ~2);
    cr_assert_not(devemu_fake_line(fake, A20));
    out(fake, in(fake) | 2);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert_not(devemu_fake_line(fake, A20));
}

/* DS 104: a 1 in bit 0 pulses the reset for 6 us. */
Test(port92, bit_0_pulses_reset)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port92, NULL, 0);

    out(fake, 0x25);
    cr_assert(devemu_fake_line(fake, RESET));
    devemu_fake_advance(fake, 5999);
    cr_assert(devemu_fake_line(fake, RESET));
    devemu_fake_advance(fake, 1);
    cr_assert_not(devemu_fake_line(fake, RESET));
}

/* DS 104: another pulse only after bit 0 was 0 again. */
Test(port92, a_second_pulse_needs_bit_0_to_fall)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port92, NULL, 0);

    out(fake, 0x25);
    devemu_fake_advance(fake, 10000);
    out(fake, 0x25);
    cr_assert_not(devemu_fake_line(fake, RESET));
    out(fake, 0x24);
    out(fake, 0x25);
    cr_assert(devemu_fake_line(fake, RESET));
}

/* DS 104, figure: at least 14 us pass before the pulse. */
Test(port92, the_pulse_comes_after_its_delay)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port92, "latency=datasheet", 0);

    out(fake, 0x25);
    devemu_fake_advance(fake, 13999);
    cr_assert_not(devemu_fake_line(fake, RESET));
    devemu_fake_advance(fake, 1);
    cr_assert(devemu_fake_line(fake, RESET));
    devemu_fake_advance(fake, 6000);
    cr_assert_not(devemu_fake_line(fake, RESET));
}

/* DS 104: upon reset the signal is inactive. */
Test(port92, a_hard_reset_ends_the_pulse)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port92, NULL, 0);

    out(fake, 0x25);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);

    cr_assert_not(devemu_fake_line(fake, RESET));
    cr_assert_eq(in(fake), 0x24);
}
