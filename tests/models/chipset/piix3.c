/* SPDX-License-Identifier: BSD-3-Clause */
#include <devemu/bus.h>
#include <devemu/chipset.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_piix3;

enum {
    BANK_CONFIG,
    BANK_RESET,

    PIRQRC = 0x60,
};

static DevemuFake *make(void)
{
    return devemu_fake_new(&devemu_model_piix3, NULL, 0);
}

static void route(DevemuFake *fake, unsigned pirq, uint64_t value)
{
    devemu_fake_write(fake, BANK_CONFIG, PIRQRC + pirq, 1, value);
}

static unsigned irqs(DevemuFake *fake)
{
    unsigned levels = 0;

    for (unsigned i = 0; i < 16; i++) {
        levels |= (unsigned)devemu_fake_line(fake, i) << i;
    }
    return levels;
}

Test(piix3, tables_hold_what_they_promise)
{
    cr_assert_eq(devemu_conformance(&devemu_model_piix3, NULL), 0);
}

/* DS VID, DID, PCICMD, CLASSC, HEADT */
Test(piix3, firmware_finds_an_isa_bridge_of_several_functions)
{
    g_autoptr(DevemuDevice) function =
        devemu_pci_function_new(devemu_device_new(&devemu_model_piix3, NULL, NULL), NULL);
    uint64_t value = 0;

    devemu_device_read(function, 0, 0x00, 4, &value);
    cr_assert_eq(value, 0x70008086);
    devemu_device_read(function, 0, 0x04, 4, &value);
    cr_assert_eq(value, 0x02800007);
    devemu_device_read(function, 0, 0x08, 4, &value);
    cr_assert_eq(value >> 8, 0x060100);
    devemu_device_read(function, 0, 0x0e, 1, &value);
    cr_assert_eq(value, 0x80);
    devemu_device_read(function, 0, 0x60, 4, &value);
    cr_assert_eq(value, 0x80808080);
    devemu_device_read(function, 0, 0x4c, 4, &value);
    cr_assert_eq(value, 0x0003004d);
}

/* DS PIRQRC: bit 7 is set after reset: nothing is routed. */
Test(piix3, pirqs_go_nowhere_after_reset)
{
    g_autoptr(DevemuFake) fake = make();

    for (unsigned i = 0; i < 4; i++) {
        devemu_fake_set_input(fake, i, true);
    }
    cr_assert_eq(irqs(fake), 0);
}

Test(piix3, each_pirq_goes_to_its_interrupt)
{
    g_autoptr(DevemuFake) fake = make();

    for (unsigned irq = 0; irq < 16; irq++) {
        bool reachable = irq > 2 && irq != 8 && irq != 13;

        route(fake, 2, irq);
        devemu_fake_set_input(fake, 2, true);
        cr_assert_eq(irqs(fake), reachable ? 1u << irq : 0, "IRQ%u", irq);
        devemu_fake_set_input(fake, 2, false);
        cr_assert_eq(irqs(fake), 0);
    }
}

Test(piix3, pirqs_share_an_interrupt)
{
    g_autoptr(DevemuFake) fake = make();

    route(fake, 0, 11);
    route(fake, 3, 11);
    devemu_fake_set_input(fake, 0, true);
    devemu_fake_set_input(fake, 3, true);
    devemu_fake_set_input(fake, 0, false);
    cr_assert_eq(irqs(fake), 1 << 11);
    devemu_fake_set_input(fake, 3, false);
    cr_assert_eq(irqs(fake), 0);
}

Test(piix3, rerouting_moves_a_level_that_is_high)
{
    g_autoptr(DevemuFake) fake = make();

    route(fake, 1, 10);
    devemu_fake_set_input(fake, 1, true);
    route(fake, 1, 5);
    cr_assert_eq(irqs(fake), 1 << 5);
    route(fake, 1, 0x85);
    cr_assert_eq(irqs(fake), 0);
}

/* DS RC: the reset begins when bit 2 rises. */
Test(piix3, reset_control_tells_soft_from_hard)
{
    g_autoptr(DevemuFake) fake = make();

    devemu_fake_write(fake, BANK_RESET, 0, 1, 0x04);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX3_INIT));
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX3_RESET));
    devemu_fake_write(fake, BANK_RESET, 0, 1, 0x02);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX3_INIT));
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX3_RESET), "bit 1 alone does nothing");
    devemu_fake_write(fake, BANK_RESET, 0, 1, 0xff);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX3_RESET));
    cr_assert_eq(devemu_fake_read(fake, BANK_RESET, 0, 1), 0x06);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX3_RESET));
    cr_assert_eq(devemu_fake_read(fake, BANK_RESET, 0, 1), 0);
}

/* The register lies inside CONFIG_ADDRESS; a byte there is the chip's, a dword the host bridge's.
 */
Test(piix3, reset_control_answers_at_its_port)
{
    g_autoptr(DevemuDevice) bus = devemu_device_new(&devemu_model_pci_bus, NULL, NULL);
    uint64_t value = 0;

    cr_assert(devemu_bus_plug(bus, devemu_device_new(&devemu_model_piix3, NULL, NULL), "1", NULL));
    cr_assert_eq(devemu_device_write(bus, DEVEMU_PCI_IO, 0xcf9, 1, 0x02), DEVEMU_ACCESS_OK);
    cr_assert_eq(devemu_device_read(bus, DEVEMU_PCI_IO, 0xcf9, 1, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 0x02);
    cr_assert_eq(devemu_device_read(bus, DEVEMU_PCI_IO, 0xcf8, 4, &value), DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_read(bus, DEVEMU_PCI_MECHANISM_1, 1, 1, &value), DEVEMU_ACCESS_NONE);
}

/* Registers that are stored only: what they are after reset, and after all ones were written. */
static const struct {
    unsigned reg, size;
    uint64_t reset, ones;
} stored[] = {
    {0x4c, 1, 0x4d, 0xff},     {0x4e, 2, 0x0003, 0xffff}, {0x60, 4, 0x80808080, 0x8f8f8f8f},
    {0x69, 1, 0x02, 0xff},     {0x6a, 2, 0x0000, 0xffff}, {0x70, 2, 0x8080, 0xffff},
    {0x76, 2, 0x0c0c, 0xffff}, {0x78, 2, 0x0002, 0xffff}, {0x80, 1, 0x00, 0xff},
    {0x82, 1, 0x00, 0xff},     {0xa0, 1, 0x08, 0xff},     {0xa2, 2, 0x0000, 0xffff},
    {0xa4, 4, 0, 0xffffffff},  {0xa8, 1, 0x0f, 0xff},     {0xaa, 2, 0x0000, 0xffff},
    {0xac, 1, 0x00, 0xff},     {0xae, 1, 0x00, 0xff},
};

Test(piix3, settings_of_the_isa_bus_are_stored)
{
    g_autoptr(DevemuFake) fake = make();

    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(stored); i++) {
        unsigned reg = stored[i].reg, size = stored[i].size;

        cr_assert_eq(devemu_fake_read(fake, BANK_CONFIG, reg, size), stored[i].reset, "%02x", reg);
        devemu_fake_write(fake, BANK_CONFIG, reg, size, UINT64_MAX);
        cr_assert_eq(devemu_fake_read(fake, BANK_CONFIG, reg, size), stored[i].ones, "%02x", reg);
    }
}
