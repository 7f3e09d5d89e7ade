/* SPDX-License-Identifier: BSD-3-Clause */
/* A function alone, as a server uses it. */
#include "toy.h"

static uint64_t read_bank(DevemuDevice *function, unsigned bank, uint64_t at, unsigned size)
{
    return bus_get(function, bank, at, size);
}

Test(pci_function, bank_0_is_configuration_space)
{
    struct host host = {0};
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(make(&toy_model, NULL), NULL);

    devemu_device_set_host(function, &host_ops, &host);
    devemu_device_write(function, 0, 0x3c, 1, 0x0b);

    cr_assert_eq(read_bank(function, 0, 0, 4), 0x56781234);
    cr_assert_eq(read_bank(function, 0, 0x3c, 4), 0xff06010b);
    cr_assert_eq(read_bank(function, 0, TOY_CONFIG_BYTE, 2), 0x5a);
}

Test(pci_function, banks_1_to_6_are_the_bars_while_they_decode)
{
    struct host host = {0};
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(make(&toy_full_model, NULL), NULL);
    uint64_t value;

    devemu_device_set_host(function, &host_ops, &host);
    cr_assert_eq(devemu_device_read(function, 1, TOY_VALUE, 4, &value), DEVEMU_ACCESS_NONE);
    devemu_device_write(function, 0, REG_COMMAND, 2, 7);
    devemu_device_write(function, 1, TOY_VALUE, 4, 0x1234);

    cr_assert_eq(read_bank(function, 1, TOY_VALUE, 4), 0x1234);
    cr_assert_eq(read_bank(function, 2, 12, 4), 1, "MSI-X table");
    cr_assert_eq(read_bank(function, 3, 8, 4), 0xa2);
    cr_assert_eq(devemu_device_read(function, 1, 0x20, 4, &value), DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_read(function, 1, 0x1e, 4, &value), DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_read(function, 4, 0, 4, &value), DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_read(function, 7, 0, 4, &value), DEVEMU_ACCESS_NONE);
}

Test(pci_function, output_line_0_is_the_interrupt)
{
    struct host host = {0};
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(make(&toy_full_model, NULL), NULL);

    devemu_device_set_host(function, &host_ops, &host);
    devemu_device_write(function, 0, REG_COMMAND, 2, 7);
    devemu_device_write(function, 1, TOY_LINE, 1, 3);
    cr_assert_eq(host.lines, 1);
    devemu_device_write(function, 1, TOY_LINE, 1, 2);
    cr_assert_eq(host.lines, 0);
}

Test(pci_function, messages_and_dma_go_to_the_host)
{
    struct host host = {0};
    unsigned at;
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(make(&toy_full_model, NULL), NULL);

    devemu_device_set_host(function, &host_ops, &host);
    devemu_put_le32(host.ram + 8, 0xcafe);
    devemu_device_write(function, 0, REG_COMMAND, 2, 7);
    devemu_device_write(function, 2, 0, 4, 0xfee00000);
    devemu_device_write(function, 2, 8, 4, 0x41);
    devemu_device_write(function, 2, 12, 4, 0);
    devemu_device_write(function, 1, TOY_ADDR, 4, 8);
    devemu_device_write(function, 1, TOY_READ, 4, 0);

    devemu_device_write(function, 1, TOY_MSI, 1, 0);
    cr_assert_eq(host.msis, 0, "not enabled");
    for (at = 0x40; read_bank(function, 0, at, 1) != 0x11; at += 4) {
    }
    devemu_device_write(function, 0, at + 2, 2, 0x8000);
    devemu_device_write(function, 1, TOY_MSI, 1, 0);

    cr_assert_eq(read_bank(function, 1, TOY_READ, 4), 0xcafe);
    cr_assert_eq(host.msis, 1);
    cr_assert_eq(host.msi_addr, 0xfee00000);
    cr_assert_eq(host.msi_data, 0x41);
}

Test(pci_function, servers_are_told_of_the_bars)
{
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(make(&toy_full_model, NULL), NULL);
    DevemuPciBarInfo info;

    cr_assert(devemu_pci_function_bar(function, 0, &info));
    cr_assert(info.io && info.size == 32 && info.base == 0);
    cr_assert(devemu_pci_function_bar(function, 1, &info));
    cr_assert(!info.io && info.size == 4096 && !info.is_64);
    devemu_device_write(function, 0, REG_BAR(3), 4, 1);
    cr_assert(devemu_pci_function_bar(function, 2, &info));
    cr_assert(info.is_64 && info.prefetch && info.base == UINT64_C(0x100000000));
    cr_assert_not(devemu_pci_function_bar(function, 3, &info));
    cr_assert_not(devemu_pci_function_bar(function, 6, &info));
}

Test(pci_function, its_device_can_be_taken_out)
{
    struct host host = {0};
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(make(&toy_full_model, NULL), NULL);
    g_autoptr(DevemuDevice) dev = devemu_device_child(function, 0);

    devemu_device_set_host(function, &host_ops, &host);
    devemu_device_write(function, 0, REG_COMMAND, 2, 7);
    devemu_device_write(function, 1, TOY_LINE, 1, 1);
    devemu_bus_unplug(dev);

    cr_assert_eq(host.lines, 0);
    cr_assert_eq(read_bank(function, 0, 0, 4), 0xffffffff);
    cr_assert_eq(read_bank(function, 1, 0, 4), 0xffffffff);
    devemu_device_reset(function, DEVEMU_RESET_HARD);
}

Test(pci_function, each_of_six_bars_has_a_bank)
{
    const DevemuPci pci = {
        .bars =
            {{TOY_IO + 1}, {TOY_IO + 1}, {TOY_IO + 1}, {TOY_IO + 1}, {TOY_IO + 1}, {TOY_IO + 1}},
    };
    DevemuModel model = toy_model;
    g_autoptr(DevemuDevice) function = NULL;

    model.pci = &pci;
    function = devemu_pci_function_new(make(&model, NULL), NULL);
    devemu_device_write(function, 0, REG_COMMAND, 2, 1);
    for (unsigned bank = 1; bank <= 6; bank++) {
        cr_assert_eq(devemu_device_write(function, bank, TOY_VALUE, 4, 0x100 + bank),
                     DEVEMU_ACCESS_OK);
        cr_assert_eq(read_bank(function, bank, TOY_VALUE, 4), 0x100 + bank);
        cr_assert_eq(devemu_device_write(function, bank, 0x20, 1, 0), DEVEMU_ACCESS_NONE);
    }
    cr_assert_eq(devemu_device_write(function, 7, 0, 4, 0), DEVEMU_ACCESS_NONE);
}

/* Registers of one byte each, in a bank that does not do lanes: wider accesses are taken apart. */
Test(pci_function, wide_accesses_reach_narrow_registers)
{
    static const DevemuReg regs[] = {
        {"A", .at = 0x60, TOY_F(config)},
        {"B", .at = 0x61, TOY_F(line)},
    };
    DevemuBank banks[DEVEMU_N_ELEMENTS(toy_banks)];
    DevemuModel model = toy_model;
    g_autoptr(DevemuDevice) function = NULL;

    memcpy(banks, toy_banks, sizeof(toy_banks));
    banks[TOY_CONFIG].regs = regs;
    banks[TOY_CONFIG].reg_count = 2;
    banks[TOY_CONFIG].lanes = false;
    model.banks = banks;
    function = devemu_pci_function_new(make(&model, NULL), NULL);
    devemu_device_write(function, 0, 0x60, 4, 0x44332211);

    cr_assert_eq(read_bank(function, 0, 0x60, 4), 0x2211);
    cr_assert_eq(read_bank(function, 0, 0x61, 1), 0x22);
    devemu_device_write(function, 0, 0xfe, 4, 0);
    cr_assert_eq(read_bank(function, 0, 0xff, 1), 0);
}

/* --- what a model may not say of itself */

static void refused(const DevemuPci *pci)
{
    DevemuModel model = toy_model;
    g_autoptr(DevemuDevice) dev = NULL;
    g_autoptr(GError) error = NULL;

    model.pci = pci;
    dev = make(&model, NULL);
    cr_assert_null(devemu_pci_function_new(dev, &error));
    cr_assert_not_null(error);
    cr_assert_eq(error->code, DEVEMU_ERROR_MODEL);
}

Test(pci_function, impossible_identities_are_refused)
{
    refused(&(DevemuPci){.bars = {{.bank = 99}}});
    refused(&(DevemuPci){.bars = {{.bank = TOY_CONFIG + 1}}});
    refused(&(DevemuPci){.bars = {{.bank = TOY_IO + 1, .is_64 = true}}});
    refused(&(DevemuPci){.bars = {[5] = {.bank = TOY_MEMORY + 1, .is_64 = true}}});
    refused(&(DevemuPci){.bars = {{.bank = TOY_MEMORY + 1, .is_64 = true}, {.bank = TOY_IO + 1}}});
    refused(&(DevemuPci){.bars = {{.bank = TOY_IO + 1}}, .msix_vectors = 2, .msix_bar = 0});
    refused(&(DevemuPci){.msix_vectors = 2049});
    refused(&(DevemuPci){.msix_vectors = 2, .msix_bar = 6});
    refused(&(DevemuPci){.msi_vectors = 33});
    refused(&(DevemuPci){.interrupt_pin = 5});
    refused(&(DevemuPci){.config_bank = 99});
    refused(&(DevemuPci){.msix_vectors = 1, .msix_bar = 5, .bars = {[5] = {.is_64 = true}}});
    refused(&(DevemuPci){.flr = true, .flr_at = 0xfc});
    refused(&(DevemuPci){.msix_vectors = 1, .msix_at = 0x44, .flr = true, .flr_at = 0x48});
    refused(&(DevemuPci){.header_type = 1, .bars = {[2] = {.bank = TOY_IO + 1}}});
    refused(&(DevemuPci){.msi_vectors = 1, .msi_at = 0x3c});
    refused(&(DevemuPci){.msi_vectors = 1, .msi_at = 0xec});
    refused(&(DevemuPci){.msi_vectors = 1, .msi_at = 0x51});
}
