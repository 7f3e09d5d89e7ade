/* SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

/* PCI 3.0 6.2.5.1: write ones, read back, the zeros are the size. */
Test(bar, sizes_are_found_by_writing_ones)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    plug(bus, &toy_full_model, DEV(4));
    for (unsigned devfn = DEV(3); devfn <= DEV(4); devfn += 8) {
        for (unsigned i = 0; i < 6; i++) {
            set(bus, devfn, REG_BAR(i), 4, 0xffffffff);
        }
    }

    cr_assert_eq(get(bus, DEV(3), REG_BAR(0), 4), 0xffffffe1);
    cr_assert_eq(get(bus, DEV(3), REG_BAR(1), 4), 0xfffff000);
    cr_assert_eq(get(bus, DEV(3), REG_BAR(2), 4), 0);
    cr_assert_eq(get(bus, DEV(4), REG_BAR(1), 4), 0xfffff000, "70 vectors: 2 * 2048 bytes");
    cr_assert_eq(get(bus, DEV(4), REG_BAR(2), 4), 0xfffff00c, "64 bits, prefetchable");
    cr_assert_eq(get(bus, DEV(4), REG_BAR(3), 4), 0xffffffff);
    cr_assert_eq(get(bus, DEV(4), REG_BAR(4), 4), 0);
}

Test(bar, bytes_and_words_write_parts)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_BAR(1), 4, 0x12345000);
    set(bus, DEV(3), REG_BAR(1) + 3, 1, 0xe0);
    set(bus, DEV(3), REG_BAR(1), 2, 0xa0ff);

    cr_assert_eq(get(bus, DEV(3), REG_BAR(1), 4), 0xe034a000);
}

Test(bar, decode_follows_the_command_register)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_BAR(1), 4, 0xe0000000);
    cr_assert_eq(in(bus, 0xc000, 4), 0xffffffff);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xe0000004, 4), 0xffffffff);

    set(bus, DEV(3), REG_COMMAND, 2, 1);
    cr_assert_eq(in(bus, 0xc000, 4), 0);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xe0000004, 4), 0xffffffff);
    set(bus, DEV(3), REG_COMMAND, 2, 2);
    cr_assert_eq(in(bus, 0xc000, 4), 0xffffffff);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xe0000004, 4), 0xa1);
}

Test(bar, a_moved_bar_answers_at_its_new_place_only)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_COMMAND, 2, 3);
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    out(bus, 0xc000, 4, 0x11223344);
    cr_assert_eq(in(bus, 0xc000, 4), 0x11223344);
    set(bus, DEV(3), REG_BAR(0), 4, 0xd020);

    cr_assert_eq(in(bus, 0xc000, 4), 0xffffffff);
    cr_assert_eq(in(bus, 0xd020, 4), 0x11223344);
    cr_assert_eq(in(bus, 0xd01c, 4), 0xffffffff);
    cr_assert_eq(in(bus, 0xd040, 4), 0xffffffff);
}

Test(bar, upper_half_of_a_64_bit_bar_counts)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_full_model, DEV(4));
    set(bus, DEV(4), REG_COMMAND, 2, 2);
    set(bus, DEV(4), REG_BAR(2), 4, 0x00002000);
    set(bus, DEV(4), REG_BAR(3), 4, 0x00000080);

    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, UINT64_C(0x8000002008), 4), 0xa2);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0x2008, 4), 0xffffffff);
    set(bus, DEV(4), REG_BAR(3), 4, 0xffffffff);
    set(bus, DEV(4), REG_BAR(2), 4, 0xffffffff);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, UINT64_MAX - 7, 4), 0xa0 + 0xff8 / 4);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, UINT64_MAX, 1), 0xa0 + 0xfff / 4);
}

Test(bar, zero_is_no_place)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_COMMAND, 2, 3);

    cr_assert_eq(in(bus, 0, 4), 0xffffffff);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0, 4), 0xffffffff);
}

/* 16 address lines on a PC: what stands above is out of reach and does not alias. */
Test(bar, ports_above_64_kib_are_out_of_reach)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_COMMAND, 2, 3);
    set(bus, DEV(3), REG_BAR(0), 4, 0x1c000);

    cr_assert_eq(in(bus, 0xc000, 4), 0xffffffff);
}

Test(bar, where_two_overlap_the_lower_device_answers)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuDevice *low = plug(bus, &toy_model, DEV(3));
    DevemuDevice *high = plug(bus, &toy_full_model, DEV(4));

    for (unsigned devfn = DEV(3); devfn <= DEV(4); devfn += 8) {
        set(bus, devfn, REG_COMMAND, 2, 3);
        set(bus, devfn, REG_BAR(0), 4, 0xc000);
    }
    out(bus, 0xc000, 4, 0x1);
    cr_assert_eq(((struct toy *)devemu_device_state(low))->value, 1);
    cr_assert_eq(((struct toy *)devemu_device_state(high))->value, 0);

    set(bus, DEV(3), REG_COMMAND, 2, 0);
    out(bus, 0xc000, 4, 0x2);
    cr_assert_eq(((struct toy *)devemu_device_state(low))->value, 1);
    cr_assert_eq(((struct toy *)devemu_device_state(high))->value, 2);
}

/* A small range inside a large one splits it: every byte has one owner. */
Test(bar, pieces_around_an_inner_range_still_answer)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuDevice *inner = plug(bus, &toy_model, DEV(3));

    plug(bus, &toy_full_model, DEV(4));
    set(bus, DEV(3), REG_COMMAND, 2, 1);
    set(bus, DEV(3), TOY_RANGE, 2, 0xc008);
    set(bus, DEV(4), REG_COMMAND, 2, 1);
    set(bus, DEV(4), REG_BAR(0), 4, 0xc000);

    out(bus, 0xc008, 4, 0xabc);
    cr_assert_eq(((struct toy *)devemu_device_state(inner))->value, 0xabc);
    out(bus, 0xc000, 4, 0xdef);
    cr_assert_eq(in(bus, 0xc000, 4), 0xdef);
    cr_assert_eq(in(bus, 0xc006, 1), 0, "status register of the outer one");
    cr_assert_eq(in(bus, 0xc018, 4), 0xffffffff, "outer, no register there");
}

Test(bar, an_access_over_the_edge_is_to_be_split)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    uint64_t value;

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_COMMAND, 2, 3);
    set(bus, DEV(3), REG_BAR(1), 4, 0xe0000000);

    cr_assert_eq(devemu_device_read(bus, DEVEMU_PCI_MEMORY, 0xe0000ffe, 4, &value),
                 DEVEMU_ACCESS_SIZE);
    cr_assert_eq(devemu_device_read(bus, DEVEMU_PCI_MEMORY, 0xdffffffe, 4, &value),
                 DEVEMU_ACCESS_NONE);
}

/* PCI 3.0 6.2.5.2: an enable bit of its own, and Memory Space in the command register. */
Test(bar, expansion_rom_answers_when_both_bits_are_set)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug_with_rom(bus, DEV(3));
    set(bus, DEV(3), REG_ROM, 4, 0xfffff800);
    cr_assert_eq(get(bus, DEV(3), REG_ROM, 4), 0xfffff000, "3000 bytes in 4 KiB");
    set(bus, DEV(3), REG_ROM, 4, 0xfe000001);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xfe000100, 4), 0xffffffff);
    set(bus, DEV(3), REG_COMMAND, 2, 2);

    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xfe000104, 4), 0x07060504);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xfe000bb6, 4), 0xffffb7b6, "end of the image");
    devemu_device_write(bus, DEVEMU_PCI_MEMORY, 0xfe000104, 4, 0);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xfe000104, 4), 0x07060504);
    set(bus, DEV(3), REG_ROM, 4, 0xfe000000);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xfe000104, 4), 0xffffffff);
}

Test(bar, a_device_without_image_has_no_rom_bar)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_ROM, 4, 0xffffffff);

    cr_assert_eq(get(bus, DEV(3), REG_ROM, 4), 0);
}

/* Random places, random order: what answers is what a search through all ranges finds. */
Test(bar, decode_agrees_with_a_plain_search)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    struct toy *toys[8];
    unsigned bases[8] = {0};
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (unsigned i = 0; i < 8; i++) {
        toys[i] = devemu_device_state(plug(bus, &toy_model, (int)DEV(i)));
        toys[i]->value = i;
        set(bus, DEV(i), REG_COMMAND, 2, 1);
    }
    for (unsigned round = 0; round < 2000; round++) {
        unsigned i = (unsigned)g_rand_int_range(rand, 0, 8);
        unsigned port = 0xc000 + 4 * (unsigned)g_rand_int_range(rand, 0, 64);
        unsigned owner = 0xffffffff;

        bases[i] = 0xc000 + 0x8 * (unsigned)g_rand_int_range(rand, 0, 32);
        set(bus, DEV(i), TOY_RANGE, 2, bases[i]);
        for (unsigned j = 8; j-- > 0;) {
            if (bases[j] && port >= bases[j] && port < bases[j] + 16) {
                owner = port == bases[j] ? j : 0xffffffff;
            }
        }
        cr_assert_eq(in(bus, port, 4), owner, "round %u port %x", round, port);
    }
}
