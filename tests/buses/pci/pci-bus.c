/* SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

/* --- configuration mechanism #1, PCI 3.0 3.2.2.3.2 */

static DevemuAccess port_read(DevemuDevice *bus, unsigned port, unsigned size, uint64_t *ret_value)
{
    return devemu_device_read(bus, DEVEMU_PCI_MECHANISM_1, port - 0xcf8, size, ret_value);
}

static uint64_t port_get(DevemuDevice *bus, unsigned port, unsigned size)
{
    uint64_t value = 0;

    cr_assert_eq(port_read(bus, port, size, &value), DEVEMU_ACCESS_OK);
    return value;
}

static void port_set(DevemuDevice *bus, unsigned port, unsigned size, uint64_t value)
{
    cr_assert_eq(devemu_device_write(bus, DEVEMU_PCI_MECHANISM_1, port - 0xcf8, size, value),
                 DEVEMU_ACCESS_OK);
}

Test(pci_bus, address_and_data_reach_configuration_space)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3) + 0);
    plug(bus, &toy_full_model, DEV(3) + 5);
    port_set(bus, 0xcf8, 4, 0x80001800);
    cr_assert_eq(port_get(bus, 0xcf8, 4), 0x80001800);
    cr_assert_eq(port_get(bus, 0xcfc, 4), 0x56781234);
    cr_assert_eq(port_get(bus, 0xcfc, 2), 0x1234);
    cr_assert_eq(port_get(bus, 0xcfe, 2), 0x5678);
    cr_assert_eq(port_get(bus, 0xcff, 1), 0x56);

    port_set(bus, 0xcf8, 4, 0x80001d00);
    cr_assert_eq(port_get(bus, 0xcfc, 4), 0x9abc1234);
    port_set(bus, 0xcf8, 4, 0x80001d3c);
    port_set(bus, 0xcfc, 1, 0x0a);
    cr_assert_eq(get(bus, DEV(3) + 5, 0x3c, 1), 0x0a);
}

Test(pci_bus, nothing_answers_while_the_enable_bit_is_off)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    uint64_t value;

    plug(bus, &toy_model, DEV(3));
    port_set(bus, 0xcf8, 4, 0x00001800);

    cr_assert_eq(port_read(bus, 0xcfc, 4, &value), DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_write(bus, DEVEMU_PCI_MECHANISM_1, 4, 4, 0), DEVEMU_ACCESS_NONE);
}

/* A byte at CF9h is the reset register of the chipset, not a part of CONFIG_ADDRESS. */
Test(pci_bus, narrow_accesses_to_the_address_are_not_for_it)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    uint64_t value;

    port_set(bus, 0xcf8, 4, 0x80001800);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(port_read(bus, 0xcf8 + i, 1, &value), DEVEMU_ACCESS_NONE);
        cr_assert_eq(devemu_device_write(bus, DEVEMU_PCI_MECHANISM_1, i, 1, 0xff),
                     DEVEMU_ACCESS_NONE);
    }
    cr_assert_eq(devemu_device_write(bus, DEVEMU_PCI_MECHANISM_1, 0, 2, 0xffff),
                 DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_write(bus, DEVEMU_PCI_MECHANISM_1, 2, 4, 0xffff),
                 DEVEMU_ACCESS_NONE);

    cr_assert_eq(port_get(bus, 0xcf8, 4), 0x80001800);
}

Test(pci_bus, low_bits_of_the_address_are_zero)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    port_set(bus, 0xcf8, 4, 0x80001803);

    cr_assert_eq(port_get(bus, 0xcf8, 4), 0x80001800);
    cr_assert_eq(port_get(bus, 0xcfc, 2), 0x1234);
}

Test(pci_bus, a_loose_bus_adds_the_low_bits)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, "config-address=loose");

    plug(bus, &toy_model, DEV(3));
    port_set(bus, 0xcf8, 4, 0x80001802);
    cr_assert_eq(port_get(bus, 0xcfc, 2), 0x5678);
    cr_assert_eq(port_get(bus, 0xcfd, 1), 0x56);

    port_set(bus, 0xcf8, 4, 0x800018ff);
    cr_assert_eq(port_get(bus, 0xcfc, 4), 0xffffffff, "past the end");
    port_set(bus, 0xcfc, 4, 0);
}

Test(pci_bus, absent_functions_read_as_ones)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));

    cr_assert_eq(get(bus, DEV(4), 0, 4), 0xffffffff);
    cr_assert_eq(get(bus, DEV(3) + 1, 0, 2), 0xffff);
    cr_assert_eq(get_on(bus, 1, DEV(3), 0, 1), 0xff);
    cr_assert_eq(get(bus, DEV(3), 0x100, 4), 0xffffffff, "no extended space");
    cr_assert_eq(get(bus, DEV(3), 0xfe, 4), 0xffffffff, "across the end");
    set(bus, DEV(4), 0, 4, 0);
    set(bus, DEV(3), 0xffc, 4, 0);
}

Test(pci_bus, header_type_tells_of_several_functions)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuDevice *second;

    plug(bus, &toy_model, DEV(3));
    cr_assert_eq(get(bus, DEV(3), 0x0e, 1), 0);
    second = plug(bus, &toy_model, DEV(3) + 1);
    cr_assert_eq(get(bus, DEV(3), 0x0e, 1), 0x80);
    devemu_bus_unplug(second);
    cr_assert_eq(get(bus, DEV(3), 0x0e, 1), 0);
    devemu_device_free(second);
}

/* --- plugging */

Test(pci_bus, places_are_named_in_hexadecimal)
{
    static const char *const bad[] = {"", "20", "1.8", "1.", "x", "3:0", "-1", "1.0.0", " 3"};
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    GError *error = NULL;

    cr_assert(devemu_bus_plug(bus, make(&toy_model, NULL), "1f.7", &error));
    cr_assert(devemu_bus_plug(bus, make(&toy_model, NULL), "0a", &error));
    cr_assert_eq(get(bus, DEV(0x1f) + 7, 0, 2), 0x1234);
    cr_assert_eq(get(bus, DEV(10), 0, 2), 0x1234);
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(bad); i++) {
        g_autoptr(DevemuDevice) dev = make(&toy_model, NULL);

        cr_assert_not(devemu_bus_plug(bus, dev, bad[i], &error), "'%s'", bad[i]);
        cr_assert_eq(error->code, DEVEMU_ERROR_BUS);
        g_clear_error(&error);
    }
}

Test(pci_bus, without_a_place_the_next_free_device_is_taken)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(1) + 3);
    for (unsigned i = 0; i < 31; i++) {
        plug(bus, &toy_model, -1);
    }
    cr_assert_eq(get(bus, DEV(0), 0, 2), 0x1234);
    cr_assert_eq(get(bus, DEV(1), 0, 2), 0xffff);
    cr_assert_eq(get(bus, DEV(31), 0, 2), 0x1234);

    g_autoptr(DevemuDevice) last = make(&toy_model, NULL);
    g_autoptr(GError) error = NULL;
    cr_assert_not(devemu_pci_plug(bus, last, -1, &error));
    cr_assert_not_null(error);
}

Test(pci_bus, a_taken_place_is_refused_and_the_device_stays_the_callers)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autoptr(DevemuDevice) dev = make(&toy_model, NULL);
    g_autoptr(GError) error = NULL;

    plug(bus, &toy_model, DEV(3));

    cr_assert_not(devemu_pci_plug(bus, dev, DEV(3), &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_BUS);
    cr_assert_null(devemu_device_parent(dev));
    g_clear_error(&error);
    cr_assert_not(devemu_pci_plug(bus, dev, 256, &error));
}

Test(pci_bus, what_is_no_pci_device_is_refused)
{
    DevemuModel model = toy_model;
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autoptr(DevemuDevice) dev = NULL;
    g_autoptr(GError) error = NULL;

    model.pci = NULL;
    dev = make(&model, NULL);

    cr_assert_not(devemu_bus_plug(bus, dev, NULL, &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_MODEL);
}

Test(pci_bus, unplugging_drops_lines_and_places)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autoptr(DevemuDevice) dev = plug(bus, &toy_model, DEV(3));

    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    out(bus, 0xc000 + TOY_LINE, 1, 1);
    cr_assert_neq(host.lines, 0);
    devemu_bus_unplug(dev);

    cr_assert_eq(host.lines, 0);
    cr_assert_eq(in(bus, 0xc000, 4), 0xffffffff);
    cr_assert_eq(get(bus, DEV(3), 0, 4), 0xffffffff);
    cr_assert_null(devemu_device_parent(dev));
    cr_assert_null(devemu_device_child(bus, 0));
    cr_assert(devemu_pci_plug(bus, dev, DEV(5), NULL));
    cr_assert_eq(get(bus, DEV(5), REG_COMMAND, 2), 0, "a new function around the old device");
    devemu_bus_unplug(dev);
}

Test(pci_bus, freeing_a_device_takes_it_out)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuDevice *dev = plug(bus, &toy_full_model, DEV(3));

    devemu_device_free(dev);

    cr_assert_eq(get(bus, DEV(3), 0, 4), 0xffffffff);
    cr_assert_null(devemu_device_child(bus, 0));
}

Test(pci_bus, a_function_can_be_plugged_and_unplugged_as_it_is)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(make(&toy_model, NULL), NULL);

    cr_assert(devemu_bus_plug(bus, function, "3", NULL));
    set(bus, DEV(3), 0x3c, 1, 0x0b);
    devemu_bus_unplug(function);
    cr_assert_eq(get(bus, DEV(3), 0x3c, 1), 0xff);
    cr_assert(devemu_bus_plug(bus, function, "4", NULL));

    cr_assert_eq(get(bus, DEV(4), 0x3c, 1), 0x0b);
    devemu_bus_unplug(function);
}

/* --- DMA */

Test(pci_bus, bus_mastering_gates_dma)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    for (unsigned map = 0; map < 2; map++) {
        DevemuDevice *dev = plug(bus, &toy_model, DEV(3));

        host.map = map;
        devemu_put_le32(host.ram + 0x100, 0x11223344);
        set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
        set(bus, DEV(3), REG_COMMAND, 2, 3);
        out(bus, 0xc000 + TOY_ADDR, 4, 0x100);
        out(bus, 0xc000 + TOY_READ, 4, 0);
        cr_assert_eq(in(bus, 0xc000 + TOY_STATUS, 1), 0);
        cr_assert_eq(in(bus, 0xc000 + TOY_READ, 4), 0xffffffff, "ones");
        out(bus, 0xc000 + TOY_WRITE, 4, 0x55);
        cr_assert_eq(devemu_le32(host.ram + 0x100), 0x11223344);
        cr_assert_eq(get(bus, DEV(3), REG_STATUS, 2), 0x0280, "nothing was tried");

        set(bus, DEV(3), REG_COMMAND, 2, 7);
        out(bus, 0xc000 + TOY_READ, 4, 0);
        cr_assert_eq(in(bus, 0xc000 + TOY_STATUS, 1), 1);
        cr_assert_eq(in(bus, 0xc000 + TOY_READ, 4), 0x11223344);
        out(bus, 0xc000 + TOY_WRITE, 4, 0x55);
        cr_assert_eq(devemu_le32(host.ram + 0x100), 0x55);

        set(bus, DEV(3), REG_COMMAND, 2, 3);
        out(bus, 0xc000 + TOY_WRITE, 4, 0x66);
        cr_assert_eq(devemu_le32(host.ram + 0x100), 0x55, "the window is revoked");
        devemu_device_free(dev);
    }
}

Test(pci_bus, dma_between_devices_goes_through_the_bus)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    host.bus = bus;
    plug(bus, &toy_model, DEV(3));
    plug(bus, &toy_full_model, DEV(4));
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_BAR(1), 4, 0xe0000000);
    set(bus, DEV(4), REG_BAR(0), 4, 0xc020);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    set(bus, DEV(4), REG_COMMAND, 2, 7);

    out(bus, 0xc020 + TOY_ADDR, 4, 0xe0000010);
    out(bus, 0xc020 + TOY_READ, 4, 0);
    cr_assert_eq(in(bus, 0xc020 + TOY_READ, 4), 0xa4a4a4a4);
    out(bus, 0xc000 + TOY_ADDR, 4, 0xe0000010);
    out(bus, 0xc000 + TOY_READ, 4, 0);
    cr_assert_eq(in(bus, 0xc000 + TOY_STATUS, 1), 0, "its own registers do not answer");
    cr_assert_eq(in(bus, 0xc000 + TOY_READ, 4), 0xffffffff);
}

/* A device that moves its own BAR by DMA to configuration space, in the middle of an access. */
static bool write_config(void *host, uint64_t addr, const void *buf, size_t len)
{
    struct host *h = host;

    return devemu_device_write(h->bus, DEVEMU_PCI_CONFIG, addr & 0xfffffff, (unsigned)len,
                               devemu_le32(buf)) == DEVEMU_ACCESS_OK;
}

Test(pci_bus, a_bar_may_move_during_the_devices_own_event)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuHostOps ops = host_ops;

    ops.dma_write = write_config;
    host.bus = bus;
    devemu_device_set_host(bus, &ops, &host);
    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_COMMAND, 2, 7);

    out(bus, 0xc000 + TOY_ADDR, 4, (uint32_t)ecam(0, DEV(3), REG_BAR(0)));
    out(bus, 0xc000 + TOY_WRITE, 4, 0xd000);
    cr_assert_eq(in(bus, 0xc000 + TOY_STATUS, 1), 0xff);
    cr_assert_eq(in(bus, 0xd000 + TOY_STATUS, 1), 1);

    out(bus, 0xd000 + TOY_ADDR, 4, (uint32_t)ecam(0, DEV(3), TOY_CONFIG_BYTE));
    out(bus, 0xd000 + TOY_WRITE, 4, 0x11);
    cr_assert_eq(in(bus, 0xd000 + TOY_STATUS, 1), 0, "its own rows are busy");
    out(bus, 0xd000 + TOY_ADDR, 4, (uint32_t)ecam(0, DEV(3), REG_COMMAND));
    out(bus, 0xd000 + TOY_WRITE, 4, 0);
    cr_assert_eq(in(bus, 0xd000 + TOY_STATUS, 1), 0xff, "it switched itself off");
}

/* --- snapshots */

Test(pci_bus, a_snapshot_brings_back_decode_lines_and_address)
{
    struct host host, other;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autoptr(DevemuDevice) copy = make_bus(&other, NULL);
    g_autoptr(GVariant) state = NULL;
    g_autoptr(GError) error = NULL;
    unsigned at;

    plug(bus, &toy_full_model, DEV(3));
    plug(copy, &toy_full_model, DEV(3));
    at = find_capability(bus, DEV(3), 0x11);
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_BAR(1), 4, 0xe0000000);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    devemu_device_write(bus, DEVEMU_PCI_MEMORY, 0xe0000010, 4, 0xfee00000);
    out(bus, 0xc000 + TOY_LINE, 1, 1);
    devemu_device_write(bus, DEVEMU_PCI_MECHANISM_1, 0, 4, 0x80001810);
    state = devemu_device_save(bus);
    cr_assert(devemu_device_load(copy, state, &error), "%s", error ? error->message : "");

    cr_assert_eq(other.lines, host.lines);
    cr_assert_eq(in(copy, 0xc000 + TOY_LINE, 1), 1);
    cr_assert_eq(bus_get(copy, DEVEMU_PCI_MEMORY, 0xe0000010, 4), 0xfee00000);
    cr_assert_eq(bus_get(copy, DEVEMU_PCI_MECHANISM_1, 4, 4), 0xc001);
    cr_assert_eq(get(copy, DEV(3), at + 2, 2), 69);
    out(copy, 0xc000 + TOY_LINE, 1, 0);
    cr_assert_eq(other.lines, 0);

    g_autoptr(GVariant) fresh = devemu_device_save(copy);
    set(copy, DEV(3), REG_COMMAND, 2, 0);
    cr_assert(devemu_device_load(copy, fresh, NULL));
    cr_assert_eq(in(copy, 0xc000 + TOY_LINE, 1), 0, "decode is back");
}

/* Replace one entry of the function's dictionary. */
static GVariant *edited(DevemuDevice *bus, const char *key, GVariant *value)
{
    g_autoptr(GVariant) whole = devemu_device_save(bus);
    g_autoptr(GVariant) inner = g_variant_lookup_value(whole, "child.03.0", G_VARIANT_TYPE_VARDICT);
    GVariantDict outer_dict, inner_dict;

    g_variant_dict_init(&inner_dict, inner);
    cr_assert(g_variant_dict_contains(&inner_dict, key), "%s", key);
    g_variant_dict_insert_value(&inner_dict, key, value);
    g_variant_dict_init(&outer_dict, whole);
    g_variant_dict_insert_value(&outer_dict, "child.03.0", g_variant_dict_end(&inner_dict));
    return g_variant_dict_end(&outer_dict);
}

Test(pci_bus, impossible_snapshots_are_refused)
{
    const guint32 bars[6] = {0xc004, 0, 0, 0, 0, 0};
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_full_model, DEV(3));

    cr_assert_not(devemu_device_load(
        bus,
        edited(bus, "header.BAR",
               g_variant_new_fixed_array(G_VARIANT_TYPE_UINT32, bars, 6, sizeof(guint32))),
        NULL));
    cr_assert_not(
        devemu_device_load(bus, edited(bus, "header.COMMAND", g_variant_new_uint16(0x0800)), NULL));
    cr_assert_not(
        devemu_device_load(bus, edited(bus, "header.ROM_BASE", g_variant_new_uint32(1)), NULL));
    cr_assert_not(devemu_device_load(bus, edited(bus, "pm.PMCSR", g_variant_new_uint16(2)), NULL));
    cr_assert(
        devemu_device_load(bus, edited(bus, "header.COMMAND", g_variant_new_uint16(7)), NULL));
    cr_assert_eq(get(bus, DEV(3), REG_COMMAND, 2), 7);
}

/* --- anything at all: nothing may crash, and what is plugged in stays what it is */

struct mess {
    DevemuDevice *bus;
    DevemuDevice *toy;
    GRand *rand;
    GVariant *saved;
};

static void mess_rarely(struct mess *m)
{
    switch (g_rand_int_range(m->rand, 0, 4)) {
    case 0:
        g_clear_pointer(&m->saved, g_variant_unref);
        m->saved = devemu_device_save(m->bus);
        break;
    case 1:
        if (m->saved) {
            cr_assert(devemu_device_load(m->bus, m->saved, NULL));
        }
        break;
    case 2:
        devemu_bus_unplug(m->toy);
        cr_assert(devemu_pci_plug(m->bus, m->toy, DEV(4), NULL));
        break;
    default:
        devemu_device_reset(m->bus, DEVEMU_RESET_HARD);
        break;
    }
}

static void mess_often(struct mess *m)
{
    unsigned size = 1u << g_rand_int_range(m->rand, 0, 4);
    unsigned devfn = (unsigned)g_rand_int_range(m->rand, 0, 6) << 3;
    unsigned reg = (unsigned)g_rand_int_range(m->rand, 0, 260);
    uint64_t value = g_rand_int(m->rand);
    uint64_t place = g_rand_int(m->rand) & (g_rand_boolean(m->rand) ? 0xffffffff : 0xffff);
    uint64_t config = ecam((unsigned)g_rand_int_range(m->rand, 0, 3), devfn, reg);

    switch (g_rand_int_range(m->rand, 0, 7)) {
    case 0:
        devemu_device_write(m->bus, DEVEMU_PCI_CONFIG, config, size, value);
        break;
    case 1:
        devemu_device_read(m->bus, DEVEMU_PCI_CONFIG, config, size, &value);
        break;
    case 2:
        devemu_device_write(m->bus, DEVEMU_PCI_MECHANISM_1, value & 7, size, value);
        break;
    case 3:
        out(m->bus, value & 0xffff, size, (uint32_t)place);
        break;
    case 4:
        devemu_device_write(m->bus, DEVEMU_PCI_MEMORY, place, size, value);
        break;
    case 5:
        set(m->bus, devfn, 0x18, 4, 0x00020100);
        break;
    default:
        set(m->bus, devfn, REG_COMMAND, 2, 7);
        break;
    }
}

Test(pci_bus, random_traffic_does_no_harm)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, "config-address=loose");
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    struct mess mess = {.bus = bus, .rand = rand};

    host.bus = bus;
    host.map = true;
    plug(plug(bus, &toy_bridge_model, DEV(1)), &toy_full_model, DEV(2));
    plug_with_rom(bus, DEV(3));
    mess.toy = plug(bus, &toy_full_model, DEV(4));
    for (unsigned i = 0; i < 100000; i++) {
        mess_often(&mess);
        if (i % 500 == 0) {
            mess_rarely(&mess);
        }
    }

    cr_assert_eq(get(bus, DEV(1), 0, 4), 0x00011234);
    cr_assert_eq(get(bus, DEV(3), 0, 4), 0x56781234);
    cr_assert_eq(get(bus, DEV(4), 0, 4), 0x9abc1234);
    g_clear_pointer(&mess.saved, g_variant_unref);
}
