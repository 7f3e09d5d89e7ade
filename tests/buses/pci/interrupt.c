/* SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

static void place(DevemuDevice *bus, unsigned devfn, unsigned port)
{
    set(bus, devfn, REG_BAR(0), 4, port);
    set(bus, devfn, REG_COMMAND, 2, 7);
}

/* Bridges 1.2 9.1: INTA# of device n is line n & 3. */
Test(interrupt, pins_are_swizzled_by_device)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    for (unsigned i = 0; i < 6; i++) {
        plug(bus, &toy_model, (int)DEV(i));
        place(bus, DEV(i), 0xc000 + 0x20 * i);
        out(bus, 0xc000 + 0x20 * i + TOY_LINE, 1, 1);
        cr_assert_eq(host.lines, 1u << (i & 3));
        out(bus, 0xc000 + 0x20 * i + TOY_LINE, 1, 0);
        cr_assert_eq(host.lines, 0);
    }
}

Test(interrupt, swizzle_begins_where_the_board_says)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, "swizzle-base=1");

    plug(bus, &toy_model, DEV(3));
    plug(bus, &toy_full_model, DEV(4));
    place(bus, DEV(3), 0xc000);
    place(bus, DEV(4), 0xc020);

    out(bus, 0xc000 + TOY_LINE, 1, 1);
    cr_assert_eq(host.lines, 1 << 2, "device 3, INTA#");
    out(bus, 0xc020 + TOY_LINE, 1, 1);
    cr_assert_eq(host.lines, 1 << 2 | 1 << 0, "device 4, INTB#");
}

Test(interrupt, a_shared_line_stays_until_the_last_lets_go)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    plug(bus, &toy_model, DEV(7));
    place(bus, DEV(3), 0xc000);
    place(bus, DEV(7), 0xc020);
    out(bus, 0xc000 + TOY_LINE, 1, 1);
    out(bus, 0xc020 + TOY_LINE, 1, 1);

    out(bus, 0xc000 + TOY_LINE, 1, 0);
    cr_assert_eq(host.lines, 1 << 3);
    out(bus, 0xc020 + TOY_LINE, 1, 0);
    cr_assert_eq(host.lines, 0);
}

/* PCI 3.0 6.2.2 bit 10, 6.2.3 bit 3: the status tells all the same. */
Test(interrupt, disable_bit_gates_the_pin_and_not_the_status)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    place(bus, DEV(3), 0xc000);
    out(bus, 0xc000 + TOY_LINE, 1, 1);
    cr_assert_eq(get(bus, DEV(3), REG_STATUS, 2) & 8, 8);

    set(bus, DEV(3), REG_COMMAND, 2, 0x407);
    cr_assert_eq(host.lines, 0);
    cr_assert_eq(get(bus, DEV(3), REG_STATUS, 2) & 8, 8);
    set(bus, DEV(3), REG_COMMAND, 2, 0x007);
    cr_assert_eq(host.lines, 1 << 3);
    out(bus, 0xc000 + TOY_LINE, 1, 0);
    cr_assert_eq(get(bus, DEV(3), REG_STATUS, 2) & 8, 0);
}

Test(interrupt, other_lines_of_the_model_are_not_the_bus_s)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    place(bus, DEV(3), 0xc000);
    out(bus, 0xc000 + TOY_LINE, 1, 2);

    cr_assert_eq(host.lines, 0);
}

Test(interrupt, a_reset_of_the_bus_drops_the_line)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuDevice *dev = plug(bus, &toy_model, DEV(3));

    place(bus, DEV(3), 0xc000);
    out(bus, 0xc000 + TOY_LINE, 1, 1);
    devemu_device_write(bus, DEVEMU_PCI_MECHANISM_1, 0, 4, 0x80001800);
    devemu_device_reset(bus, DEVEMU_RESET_HARD);

    cr_assert_eq(host.lines, 0);
    cr_assert_eq(get(bus, DEV(3), REG_COMMAND, 2), 0);
    cr_assert_eq(get(bus, DEV(3), REG_BAR(0), 4), 1);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MECHANISM_1, 0, 4), 0);
    cr_assert_eq(((struct toy *)devemu_device_state(dev))->resets, 1);
}
