/* SPDX-License-Identifier: BSD-3-Clause */
/* test-blinker.c: tests of the example, with the fake host and without any test framework. */
#include <devemu/testing.h>

extern const DevemuModel devemu_model_blinker;

enum { CTRL = 0, STAT = 2, PERIOD = 4, COUNT = 6 };
enum { IRQ, LAMP };
enum { MS = 1000000 };

/* --- tests ------------------------------------------------------------------------- */

/* 1, 2: the first change comes a PERIOD after EN, and raises IRQ until EDGE is acknowledged. */
static void an_edge_raises_the_interrupt(void)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_blinker, NULL, 0);

    devemu_fake_write(fake, 0, PERIOD, 2, 10);
    devemu_fake_write(fake, 0, CTRL, 2, 0x0003);
    devemu_fake_advance(fake, 10 * MS - 1);
    g_assert_false(devemu_fake_line(fake, IRQ));
    devemu_fake_advance(fake, 1);

    g_assert_true(devemu_fake_line(fake, IRQ));
    g_assert_true(devemu_fake_line(fake, LAMP));
    g_assert_cmphex(devemu_fake_read(fake, 0, STAT, 2), ==, 0x0003);
    devemu_fake_write(fake, 0, STAT, 2, 0x0002);
    g_assert_false(devemu_fake_line(fake, IRQ));
}

/* 3: a PERIOD written while the lamp blinks is lost, and the guest is told. */
static void the_period_is_fixed_while_it_blinks(void)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_blinker, "unit=1000", 0);

    devemu_fake_write(fake, 0, CTRL, 2, 0x0001);
    devemu_fake_write(fake, 0, PERIOD, 2, 10);

    g_assert_cmpuint(devemu_fake_read(fake, 0, PERIOD, 2), ==, 500);
    g_assert_cmpuint(devemu_fake_guest_errors(fake), ==, 1);
}

/* 4: nothing is lost on a host that comes late, and reading COUNT clears it. */
static void a_late_host_counts_all_the_same(void)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_blinker, NULL, 0);

    devemu_fake_write(fake, 0, PERIOD, 2, 10);
    devemu_fake_write(fake, 0, CTRL, 2, 0x0001);
    devemu_fake_jump(fake, 10005 * (uint64_t)MS);

    g_assert_cmpuint(devemu_fake_read(fake, 0, COUNT, 2), ==, 1000);
    g_assert_cmpuint(devemu_fake_read(fake, 0, COUNT, 2), ==, 0);
    g_assert_false(devemu_fake_line(fake, LAMP));
    devemu_fake_advance(fake, 5 * MS);
    g_assert_true(devemu_fake_line(fake, LAMP));
}

/* --- main -------------------------------------------------------------------------- */

int main(void)
{
    an_edge_raises_the_interrupt();
    the_period_is_fixed_while_it_blinks();
    a_late_host_counts_all_the_same();
    return devemu_conformance(&devemu_model_blinker, NULL) == 0 ? 0 : 1;
}
