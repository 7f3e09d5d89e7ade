/* SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

#include <devemu/record.h>

#include <glib/gstdio.h>
#include <unistd.h>

/* --- the header, PCI 3.0 6.1 and 6.2 */

Test(config, identity_is_that_of_the_model)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));

    cr_assert_eq(get(bus, DEV(3), 0x00, 4), 0x56781234);
    cr_assert_eq(get(bus, DEV(3), 0x08, 4), 0x02000042);
    cr_assert_eq(get(bus, DEV(3), 0x2c, 4), 0x11001af4);
    cr_assert_eq(get(bus, DEV(3), 0x3c, 4), 0xff060100);
    cr_assert_eq(get(bus, DEV(3), 0x34, 1), 0, "no capability");
}

Test(config, identity_cannot_be_written)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    for (unsigned reg = 0; reg < 256; reg += 4) {
        set(bus, DEV(3), reg, 4, 0xffffffff);
    }

    cr_assert_eq(get(bus, DEV(3), 0x00, 4), 0x56781234);
    cr_assert_eq(get(bus, DEV(3), 0x08, 4), 0x02000042);
    cr_assert_eq(get(bus, DEV(3), 0x0e, 1), 0);
    cr_assert_eq(get(bus, DEV(3), 0x3d, 1), 1);
    cr_assert_eq(get(bus, DEV(3), 0x80, 4), 0, "what is not there reads as zero");
}

Test(config, every_width_reads_the_same_bytes)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_full_model, DEV(3));
    set(bus, DEV(3), 0x3c, 1, 0x0b);

    for (unsigned reg = 0; reg < 256; reg += 4) {
        uint64_t dword = get(bus, DEV(3), reg, 4);

        cr_assert_eq(get(bus, DEV(3), reg, 2), dword & 0xffff);
        cr_assert_eq(get(bus, DEV(3), reg + 2, 2), dword >> 16);
        for (unsigned i = 0; i < 4; i++) {
            cr_assert_eq(get(bus, DEV(3), reg + i, 1), dword >> (8 * i) & 0xff, "byte %02x",
                         reg + i);
        }
        if (reg < 248) {
            cr_assert_eq(get(bus, DEV(3), reg, 8), dword | get(bus, DEV(3), reg + 4, 4) << 32);
        }
    }
}

/* PCI 3.0 6.2.2: bits that a device has no use for stay 0. */
Test(config, command_holds_only_the_bits_of_the_device)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_COMMAND, 2, 0xffff);

    cr_assert_eq(get(bus, DEV(3), REG_COMMAND, 2), 0x0547);
}

/* PCI 3.0 6.2.3: error bits are cleared by writing ones; a write of bytes leaves the others. */
Test(config, status_bits_are_cleared_by_ones)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), REG_COMMAND, 2, 0x0005);
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    out(bus, 0xc000 + TOY_ADDR, 4, 0x80000000);
    out(bus, 0xc000 + TOY_READ, 4, 0);
    cr_assert_eq(get(bus, DEV(3), REG_STATUS, 2), 0x2280, "received master abort");

    set(bus, DEV(3), REG_COMMAND, 2, 0x0005);
    set(bus, DEV(3), REG_STATUS, 1, 0xff);
    cr_assert_eq(get(bus, DEV(3), REG_STATUS, 2), 0x2280);
    set(bus, DEV(3), REG_COMMAND, 4, 0xffff0005);
    cr_assert_eq(get(bus, DEV(3), REG_STATUS, 2), 0x0280);
}

/* --- the model's own registers */

Test(config, rows_of_the_model_lie_in_the_same_space)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    cr_assert_eq(get(bus, DEV(3), TOY_CONFIG_BYTE, 4), 0x5a);
    set(bus, DEV(3), TOY_CONFIG_BYTE, 4, 0xffffff77);

    cr_assert_eq(get(bus, DEV(3), TOY_CONFIG_BYTE, 4), 0x77);
    cr_assert_eq(get(bus, DEV(3), TOY_CONFIG_BYTE, 8), 0x0000000000000077);
}

/* A recorder looks like what it records, to the last register. */
Test(config, a_recorded_device_has_the_same_space)
{
    const DevemuSetting rom = {"rom", NULL, "image", 5};
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    g_autofree char *path = NULL;
    DevemuDevice *recorder;
    int fd = g_file_open_tmp(NULL, &path, NULL);

    cr_assert_geq(fd, 0);
    close(fd);
    recorder = devemu_recorder_new_with(&toy_model, &rom, 1, path, 0, NULL);
    cr_assert_not_null(recorder);
    cr_assert(devemu_pci_plug(bus, recorder, DEV(3), NULL));

    cr_assert_eq(get(bus, DEV(3), 0x00, 4), 0x56781234);
    cr_assert_eq(get(bus, DEV(3), TOY_CONFIG_BYTE, 1), 0x5a);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    set(bus, DEV(3), TOY_RANGE, 2, 0x600);
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_ROM, 4, 0xfe000001);
    out(bus, 0x600, 4, 0x1234);
    cr_assert_eq(in(bus, 0xc000, 4), 0x1234);
    cr_assert_eq(bus_get(bus, DEVEMU_PCI_MEMORY, 0xfe000000, 4), 0x67616d69);
    out(bus, 0xc000 + TOY_LINE, 1, 1);
    cr_assert_eq(host.lines, 1 << 3);
    devemu_device_free(recorder);
    g_unlink(path);
}

Test(config, ranges_of_the_model_follow_its_registers_and_the_command)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    plug(bus, &toy_model, DEV(3));
    set(bus, DEV(3), TOY_RANGE, 2, 0x600);
    cr_assert_eq(in(bus, 0x600, 4), 0xffffffff, "I/O is off");
    set(bus, DEV(3), REG_COMMAND, 2, 1);
    out(bus, 0x600, 4, 0x12345678);
    cr_assert_eq(in(bus, 0x600, 4), 0x12345678);

    set(bus, DEV(3), TOY_RANGE, 2, 0x700);
    cr_assert_eq(in(bus, 0x600, 4), 0xffffffff);
    cr_assert_eq(in(bus, 0x700, 4), 0x12345678);
    set(bus, DEV(3), TOY_RANGE, 2, 0);
    cr_assert_eq(in(bus, 0x700, 4), 0xffffffff);
}

/* --- capabilities, PCI 3.0 6.7 */

Test(config, capabilities_are_one_list)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    unsigned seen = 0;

    plug(bus, &toy_full_model, DEV(3));
    cr_assert(get(bus, DEV(3), REG_STATUS, 2) & 0x10);
    for (unsigned at = (unsigned)get(bus, DEV(3), 0x34, 1); at;
         at = (unsigned)get(bus, DEV(3), at + 1, 1)) {
        cr_assert_eq(at % 4, 0);
        cr_assert_geq(at, 0x40);
        cr_assert_lt(++seen, 10);
    }

    cr_assert_eq(seen, 4);
    cr_assert(find_capability(bus, DEV(3), 0x01) && find_capability(bus, DEV(3), 0x05) &&
              find_capability(bus, DEV(3), 0x11) && find_capability(bus, DEV(3), 0x13));
}

Test(config, capabilities_stand_where_the_model_wants_them_before_its_own)
{
    DevemuPci pci = toy_pci;
    DevemuModel model = toy_model;
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);

    pci.power_management = true;
    pci.power_management_at = 0xdc;
    pci.capabilities = TOY_CONFIG_BYTE;
    model.pci = &pci;
    plug(bus, &model, DEV(3));

    cr_assert_eq(get(bus, DEV(3), 0x34, 1), 0xdc);
    cr_assert_eq(get(bus, DEV(3), 0xdc, 2), 0x6001);
}

Test(config, a_capability_over_registers_of_the_model_is_refused)
{
    DevemuPci pci = toy_pci;
    DevemuModel model = toy_model;
    g_autoptr(DevemuDevice) dev = NULL;
    g_autoptr(GError) error = NULL;

    pci.power_management = true;
    pci.power_management_at = 0x5c;
    model.pci = &pci;
    dev = make(&model, NULL);

    cr_assert_null(devemu_pci_function_new(dev, &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_MODEL);
    cr_assert_null(devemu_device_parent(dev), "the device is still the caller's");
}

/* PM 1.2 5.4.1: in D3hot only configuration space answers; D1 and D2 are not there. */
Test(config, a_sleeping_function_answers_configuration_only)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    unsigned pm;

    plug(bus, &toy_full_model, DEV(3));
    pm = find_capability(bus, DEV(3), 0x01);
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    out(bus, 0xc000 + TOY_LINE, 1, 1);
    cr_assert_eq(host.lines, 1 << ((3 + 1) & 3));

    set(bus, DEV(3), pm + 4, 2, 3);
    cr_assert_eq(in(bus, 0xc000 + TOY_LINE, 1), 0xff);
    cr_assert_eq(host.lines, 0);
    cr_assert_eq(get(bus, DEV(3), 0, 2), 0x1234);
    set(bus, DEV(3), pm + 4, 2, 1);
    cr_assert_eq(get(bus, DEV(3), pm + 4, 2) & 3, 3);
    set(bus, DEV(3), pm + 4, 2, 0);
    cr_assert_eq(in(bus, 0xc000 + TOY_LINE, 1), 1);
    cr_assert_neq(host.lines, 0);
}

/* AF 1: the reset takes the model and its configuration along; writing 0 does nothing. */
Test(config, function_level_reset_resets_the_function)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuDevice *dev = plug(bus, &toy_full_model, DEV(3));
    const struct toy *toy = devemu_device_state(dev);
    unsigned af = find_capability(bus, DEV(3), 0x13);

    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    out(bus, 0xc000 + TOY_VALUE, 4, 0x1234);
    set(bus, DEV(3), af + 4, 1, 0);
    cr_assert_eq(toy->resets, 0);
    set(bus, DEV(3), af + 4, 1, 1);

    cr_assert_eq(toy->resets, 1);
    cr_assert_eq(toy->value, 0);
    cr_assert_eq(get(bus, DEV(3), REG_COMMAND, 2), 0);
    cr_assert_eq(get(bus, DEV(3), REG_BAR(0), 4), 1);
    cr_assert_eq(in(bus, 0xc000, 4), 0xffffffff);
    cr_assert_eq(get(bus, DEV(3), af + 4, 2), 0);
}

Test(config, registers_beyond_the_space_are_refused)
{
    static const DevemuReg regs[] = {{"FAR", .at = 0xfe, .size = 4, TOY_F(value)}};
    DevemuBank banks[DEVEMU_N_ELEMENTS(toy_banks)];
    DevemuModel model = toy_model;
    g_autoptr(DevemuDevice) dev = NULL;
    g_autoptr(GError) error = NULL;

    memcpy(banks, toy_banks, sizeof(toy_banks));
    banks[TOY_CONFIG].size = 0x200;
    banks[TOY_CONFIG].regs = regs;
    banks[TOY_CONFIG].reg_count = 1;
    model.banks = banks;
    dev = make(&model, NULL);

    cr_assert_null(devemu_pci_function_new(dev, &error));
    cr_assert_not_null(error);
}

/* A function that resets itself by a bus cycle of its own: refused, and said. */
static bool config_dma(void *host, uint64_t addr, const void *buf, size_t len)
{
    struct host *h = host;

    return devemu_device_write(h->bus, DEVEMU_PCI_CONFIG, addr, (unsigned)len, devemu_le32(buf)) ==
           DEVEMU_ACCESS_OK;
}

Test(config, a_function_does_not_reset_itself_in_the_middle_of_an_event)
{
    struct host host;
    g_autoptr(DevemuDevice) bus = make_bus(&host, NULL);
    DevemuDevice *dev = plug(bus, &toy_full_model, DEV(3));
    const struct toy *toy = devemu_device_state(dev);
    unsigned af = find_capability(bus, DEV(3), 0x13);
    DevemuHostOps ops = host_ops;

    ops.dma_write = config_dma;
    host.bus = bus;
    devemu_device_set_host(bus, &ops, &host);
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    out(bus, 0xc000 + TOY_ADDR, 4, (uint32_t)ecam(0, DEV(3), af + 4));
    out(bus, 0xc000 + TOY_WRITE, 4, 1);

    cr_assert_eq(toy->resets, 0);
    cr_assert_eq(in(bus, 0xc000 + TOY_STATUS, 1), 1);
}
