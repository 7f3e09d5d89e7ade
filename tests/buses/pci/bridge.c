/* SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

/* Bus 0: bridge at 1. Bus 1: bridge at 2 and a toy at 5. Bus 2: a toy at 6. */
static DevemuDevice *make_tree(struct host *host)
{
    DevemuDevice *bus = make_bus(host, NULL);
    DevemuDevice *first = plug(bus, &toy_bridge_model, DEV(1));
    DevemuDevice *second = plug(first, &toy_bridge_model, DEV(2));

    plug(first, &toy_model, DEV(5));
    plug(second, &toy_full_model, DEV(6));
    set_on(bus, 0, DEV(1), 0x18, 4, 0x00020100);
    set_on(bus, 1, DEV(2), 0x18, 4, 0x00020201);
    return bus;
}

/* Ports D000h-EFFFh and memory E0000000h-E01FFFFFh to bus 1; the upper halves on to bus 2. */
static void open_windows(DevemuDevice *bus)
{
    set_on(bus, 0, DEV(1), 0x1c, 2, 0xe0d0);
    set_on(bus, 0, DEV(1), 0x20, 4, 0xe010e000);
    set_on(bus, 1, DEV(2), 0x1c, 2, 0xe0e0);
    set_on(bus, 1, DEV(2), 0x20, 4, 0xe010e010);
    for (unsigned i = 0; i < 2; i++) {
        unsigned devfn = i == 0 ? DEV(1) : DEV(2);

        set_on(bus, i, devfn, 0x24, 4, 0x0000fff0);
        set_on(bus, i, devfn, REG_COMMAND, 2, 7);
    }
}

/* Bridges 1.2 3.1.2: from secondary to subordinate number, a bridge passes cycles on. */
Test(bridge, configuration_finds_its_way_down)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);

    cr_assert_eq(get_on(bus, 0, DEV(1), 0, 4), 0x00011234);
    cr_assert_eq(get_on(bus, 0, DEV(1), 0x0e, 1), 1);
    cr_assert_eq(get_on(bus, 1, DEV(5), 0, 4), 0x56781234);
    cr_assert_eq(get_on(bus, 2, DEV(6), 0, 4), 0x9abc1234);
    cr_assert_eq(get_on(bus, 3, DEV(6), 0, 4), 0xffffffff);
    set_on(bus, 0, DEV(1), 0x1a, 1, 1);
    cr_assert_eq(get_on(bus, 2, DEV(6), 0, 4), 0xffffffff);
}

Test(bridge, nothing_is_behind_a_bridge_without_numbers)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);

    set_on(bus, 0, DEV(1), 0x18, 4, 0);
    for (unsigned number = 1; number < 256; number++) {
        cr_assert_eq(get_on(bus, number, DEV(5), 0, 4), 0xffffffff);
    }
    set_on(bus, 0, DEV(1), 0x18, 4, 0x00ff0000);
    cr_assert_eq(get_on(bus, 1, DEV(5), 0, 4), 0xffffffff);
}

/* Bridges 1.2 3.2.5.6, 3.2.5.8 */
Test(bridge, windows_pass_ports_and_memory)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);

    set_on(bus, 1, DEV(5), REG_BAR(0), 4, 0xd000);
    set_on(bus, 1, DEV(5), REG_BAR(1), 4, 0xe0000000);
    set_on(bus, 1, DEV(5), REG_COMMAND, 2, 7);
    set_on(bus, 2, DEV(6), REG_BAR(0), 4, 0xe020);
    set_on(bus, 2, DEV(6), REG_COMMAND, 2, 7);
    cr_assert_eq(in(bus, 0xd000, 4), 0xffffffff);
    open_windows(bus);

    out(bus, 0xd000, 4, 0x11);
    out(bus, 0xe020, 4, 0x22);
    cr_assert_eq(in(bus, 0xd000, 4), 0x11);
    cr_assert_eq(in(bus, 0xe020, 4), 0x22);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xe0000004, 4), 0xa1);
    set_on(bus, 1, DEV(5), REG_BAR(0), 4, 0xf000);
    cr_assert_eq(in(bus, 0xf000, 4), 0xffffffff, "outside the window");
    set_on(bus, 0, DEV(1), 0x1c, 2, 0xd0f0);
    cr_assert_eq(in(bus, 0xe020, 4), 0xffffffff, "base above limit");
}

Test(bridge, vga_ports_and_memory_pass_when_told)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);

    set_on(bus, 1, DEV(5), REG_COMMAND, 2, 1);
    set_on(bus, 1, DEV(5), TOY_RANGE, 2, 0x3c0);
    set_on(bus, 0, DEV(1), REG_COMMAND, 2, 3);
    set_on(bus, 0, DEV(1), 0x1c, 2, 0x00f0);
    cr_assert_eq(in(bus, 0x3c0, 4), 0xffffffff);
    set_on(bus, 0, DEV(1), 0x3e, 2, 8);
    out(bus, 0x3c0, 4, 0x33);
    cr_assert_eq(in(bus, 0x3c0, 4), 0x33);
}

/* Bridges 1.2 9.1: INTA# of device 6 on bus 2 is line 2 there, INTB# line 3; bridge 2 turns it by
 * its number, bridge 1 by its own. */
Test(bridge, interrupts_are_turned_at_each_bridge)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);

    open_windows(bus);
    set_on(bus, 2, DEV(6), REG_BAR(0), 4, 0xe020);
    set_on(bus, 2, DEV(6), REG_COMMAND, 2, 7);
    out(bus, 0xe020 + TOY_LINE, 1, 1);

    cr_assert_eq(host.lines, UINT64_C(1) << ((6 + 1 + 2 + 1) & 3));
    out(bus, 0xe020 + TOY_LINE, 1, 0);
    cr_assert_eq(host.lines, 0);
}

/* Bridges 1.2 3.2.4.3: Bus Master of the bridge gates what comes from below, messages too. */
Test(bridge, dma_and_messages_need_every_bridge)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);
    unsigned at;

    open_windows(bus);
    set_on(bus, 2, DEV(6), REG_BAR(0), 4, 0xe020);
    set_on(bus, 2, DEV(6), REG_COMMAND, 2, 7);
    for (at = 0x40; get_on(bus, 2, DEV(6), at, 1) != 5; at += 4) {
    }
    set_on(bus, 2, DEV(6), at + 4, 4, 0xfee00000);
    set_on(bus, 2, DEV(6), at + 2, 2, 1);
    devemu_put_le32(host.ram + 0x40, 0x77);
    out(bus, 0xe020 + TOY_ADDR, 4, 0x40);
    out(bus, 0xe020 + TOY_READ, 4, 0);
    cr_assert_eq(in(bus, 0xe020 + TOY_READ, 4), 0x77);
    out(bus, 0xe020 + TOY_MSI, 1, 0);
    cr_assert_eq(host.msis, 1);

    set_on(bus, 0, DEV(1), REG_COMMAND, 2, 3);
    out(bus, 0xe020 + TOY_READ, 4, 0);
    cr_assert_eq(in(bus, 0xe020 + TOY_READ, 4), 0xffffffff);
    out(bus, 0xe020 + TOY_MSI, 1, 0);
    cr_assert_eq(host.msis, 1);
}

/* Bridges 1.2 3.2.5.18 bit 6 */
Test(bridge, secondary_reset_resets_what_is_below)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);

    set_on(bus, 1, DEV(5), REG_COMMAND, 2, 7);
    set_on(bus, 0, DEV(1), 0x3e, 2, 0x40);
    cr_assert_eq(get_on(bus, 1, DEV(5), REG_COMMAND, 2), 0);
    cr_assert_eq(get_on(bus, 0, DEV(1), 0x18, 4), 0x00020100);
}

Test(bridge, unplugging_a_bridge_takes_its_bus_along)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_tree(&host);
    DevemuDevice *function = devemu_device_child(bus, 0);

    open_windows(bus);
    set_on(bus, 2, DEV(6), REG_BAR(0), 4, 0xe020);
    set_on(bus, 2, DEV(6), REG_COMMAND, 2, 7);
    out(bus, 0xe020 + TOY_LINE, 1, 1);
    devemu_bus_unplug(function);
    cr_assert_eq(host.lines, 0);
    cr_assert_eq(in(bus, 0xe020, 4), 0xffffffff);
    cr_assert_eq(get_on(bus, 1, DEV(5), 0, 4), 0xffffffff);
    devemu_device_free(function);
}

Test(bridge, a_device_that_is_no_bridge_takes_nothing)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autoptr(DevemuDevice) dev = make(&toy_model, NULL);
    g_autoptr(GError) error = NULL;
    DevemuDevice *toy = plug(bus, &toy_model, DEV(1));

    cr_assert_not(devemu_pci_plug(toy, dev, DEV(2), &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_BUS);
}

Test(bridge, places_below_a_bridge_are_named_as_on_any_bus)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autoptr(GError) error = NULL;
    DevemuDevice *plain;

    cr_assert(devemu_bus_plug(bus, make(&toy_bridge_model, NULL), "1", NULL));
    set_on(bus, 0, DEV(1), 0x18, 4, 0x00010100);
    cr_assert(devemu_bus_plug(devemu_device_child(bus, 0), make(&toy_model, NULL), "1e.2", NULL));
    cr_assert_eq(get_on(bus, 1, DEV(0x1e) + 2, 0, 4), 0x56781234);

    cr_assert(devemu_bus_plug(bus, make(&toy_model, NULL), "2", NULL));
    plain = make(&toy_model, NULL);
    cr_assert_not(devemu_bus_plug(devemu_device_child(bus, 1), plain, NULL, &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_BUS);
    devemu_device_free(plain);
}
