/* SPDX-License-Identifier: BSD-3-Clause */
#include <devemu/bus.h>
#include <devemu/chipset.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_piix4_pm;

enum {
    BANK_CONFIG,
    BANK_PM,
    BANK_SMBUS,
    BANK_APM,

    PMSTS = 0x00,
    PMEN = 0x02,
    PMCNTRL = 0x04,
    PMTMR = 0x08,
    GPSTS = 0x0c,
    GPEN = 0x0e,
    GLBSTS = 0x18,
    GLBCTL = 0x28,

    SMBHSTSTS = 0,
    SMBHSTCNT = 2,
    SMBHSTADD = 4,
    SMBBLKDAT = 7,
};

#define SECOND UINT64_C(1000000000)

static DevemuFake *make(void)
{
    return devemu_fake_new(&devemu_model_piix4_pm, NULL, 0);
}

static uint64_t pm_get(DevemuFake *fake, unsigned at, unsigned size)
{
    return devemu_fake_read(fake, BANK_PM, at, size);
}

static void pm_set(DevemuFake *fake, unsigned at, unsigned size, uint64_t value)
{
    devemu_fake_write(fake, BANK_PM, at, size, value);
}

Test(piix4_pm, tables_hold_what_they_promise)
{
    cr_assert_eq(devemu_conformance(&devemu_model_piix4_pm, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_piix4_pm, "smm=on"), 0);
}

/* --- the function as firmware sees it */

static uint64_t config_get(DevemuDevice *function, unsigned reg, unsigned size)
{
    uint64_t value = 0;

    devemu_device_read(function, 0, reg, size, &value);
    return value;
}

/* DS VID, DID, CLASSC, INTPN, PMBA, SMBBA */
Test(piix4_pm, firmware_finds_the_function)
{
    g_autoptr(DevemuDevice) function =
        devemu_pci_function_new(devemu_device_new(&devemu_model_piix4_pm, NULL, NULL), NULL);

    cr_assert_eq(config_get(function, 0x00, 4), 0x71138086);
    cr_assert_eq(config_get(function, 0x04, 4), 0x02800000);
    cr_assert_eq(config_get(function, 0x08, 4), 0x06800003);
    cr_assert_eq(config_get(function, 0x3c, 2), 0x0100);
    cr_assert_eq(config_get(function, 0x40, 4), 1);
    cr_assert_eq(config_get(function, 0x90, 4), 1);
    devemu_device_write(function, 0, 0x40, 4, 0xffffffff);
    devemu_device_write(function, 0, 0x90, 4, 0xffffffff);
    cr_assert_eq(config_get(function, 0x40, 4), 0xffc1);
    cr_assert_eq(config_get(function, 0x90, 4), 0xfff1);
    devemu_device_write(function, 0, 0x3c, 1, 9);
    cr_assert_eq(config_get(function, 0x3c, 2), 0x0109);
}

static uint64_t port_get(DevemuDevice *bus, unsigned port, unsigned size)
{
    uint64_t value = UINT64_MAX;

    devemu_device_read(bus, DEVEMU_PCI_IO, port, size, &value);
    return value;
}

static void config_set(DevemuDevice *bus, unsigned reg, unsigned size, uint64_t value)
{
    devemu_device_write(bus, DEVEMU_PCI_CONFIG, (1 << 3 | 3) << 12 | reg, size, value);
}

/* What SeaBIOS 1.16 does: PMBA, PMREGMISC; then SMBBA, SMBHSTCFG, with I/O enabled. */
Test(piix4_pm, port_ranges_open_as_firmware_programs_them)
{
    g_autoptr(DevemuDevice) bus = devemu_device_new(&devemu_model_pci_bus, NULL, NULL);

    cr_assert(
        devemu_bus_plug(bus, devemu_device_new(&devemu_model_piix4_pm, NULL, NULL), "1.3", NULL));
    config_set(bus, 0x40, 4, 0x601);
    cr_assert_eq(port_get(bus, 0x608, 4), UINT64_MAX);
    config_set(bus, 0x80, 1, 1);
    cr_assert_eq(port_get(bus, 0x608, 4), 0);
    cr_assert_eq(port_get(bus, 0x63f, 1), 0);
    cr_assert_eq(port_get(bus, 0x640, 1), UINT64_MAX);

    config_set(bus, 0x90, 4, 0x701);
    config_set(bus, 0xd2, 1, 0x09);
    cr_assert_eq(port_get(bus, 0x700, 1), UINT64_MAX);
    config_set(bus, 0x04, 2, 1);
    cr_assert_eq(port_get(bus, 0x700, 1), 0);
    cr_assert_eq(port_get(bus, 0xb3, 1), 0, "the SMI ports are always there");
}

/* --- PM timer, DS 11.6.2 */

Test(piix4_pm, timer_counts_at_its_frequency)
{
    g_autoptr(DevemuFake) fake = make();

    cr_assert_eq(pm_get(fake, PMTMR, 4), 0);
    devemu_fake_advance(fake, SECOND);
    cr_assert_eq(pm_get(fake, PMTMR, 4), 3579545);
    devemu_fake_advance(fake, 4 * SECOND);
    cr_assert_eq(pm_get(fake, PMTMR, 4), 5 * UINT64_C(3579545) & 0xffffff);
    cr_assert_eq(pm_get(fake, PMTMR + 2, 1), 5 * UINT64_C(3579545) >> 16 & 0xff);
    devemu_fake_advance(fake, 40 * 365 * 86400 * SECOND);
    cr_assert_eq(pm_get(fake, PMTMR, 4),
                 (40 * UINT64_C(365) * 86400 + 5) * UINT64_C(3579545) & 0xffffff);
}

Test(piix4_pm, timer_cannot_be_written)
{
    g_autoptr(DevemuFake) fake = make();

    pm_set(fake, PMTMR, 4, 0x123456);
    cr_assert_eq(pm_get(fake, PMTMR, 4), 0);
}

/* The top bit changes every 2^23 counts: 2.343478... s. */
Test(piix4_pm, overflow_comes_at_the_very_count)
{
    g_autoptr(DevemuFake) fake = make();
    const uint64_t half_ns = (UINT64_C(8388608) * SECOND + 3579544) / 3579545;

    pm_set(fake, PMEN, 2, 1);
    pm_set(fake, PMCNTRL, 2, 1);
    devemu_fake_advance(fake, half_ns - 1);
    cr_assert_eq(pm_get(fake, PMTMR, 4), 0x7fffff);
    cr_assert_eq(pm_get(fake, PMSTS, 2), 0);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
    devemu_fake_advance(fake, 1);
    cr_assert_eq(pm_get(fake, PMTMR, 4), 0x800000);
    cr_assert_eq(pm_get(fake, PMSTS, 2), 1);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));

    pm_set(fake, PMSTS, 2, 1);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
    devemu_fake_advance(fake, half_ns - 1);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
    cr_assert_eq(pm_get(fake, PMTMR, 4), 0);
}

/* No wake-ups while nobody clears the bit. */
Test(piix4_pm, an_overflow_that_nobody_clears_needs_no_timer)
{
    g_autoptr(DevemuFake) fake = make();

    cr_assert(devemu_fake_settle(fake, 10 * SECOND));
    cr_assert_eq(pm_get(fake, PMSTS, 2), 1);
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), DEVEMU_NEVER);
}

/* --- SCI */

Test(piix4_pm, sci_needs_status_enable_and_sci_en)
{
    g_autoptr(DevemuFake) fake = make();

    devemu_fake_set_input(fake, DEVEMU_PIIX4_PWRBTN, true);
    devemu_fake_set_input(fake, DEVEMU_PIIX4_PWRBTN, false);
    cr_assert_eq(pm_get(fake, PMSTS, 2), 0x100);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
    pm_set(fake, PMEN, 2, 0x100);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
    cr_assert_eq(pm_get(fake, GLBSTS, 2), 0x40, "PM1_STS");
    pm_set(fake, PMCNTRL, 2, 1);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
    pm_set(fake, PMSTS, 1, 0xff);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SCI), "the other byte");
    pm_set(fake, PMSTS, 2, 0x100);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
}

Test(piix4_pm, general_purpose_events_raise_sci)
{
    static const struct {
        unsigned line;
        uint64_t bit;
    } events[] = {
        {DEVEMU_PIIX4_THRM, 0x001},
        {DEVEMU_PIIX4_GPI1, 0x200},
        {DEVEMU_PIIX4_RI, 0x400},
        {DEVEMU_PIIX4_LID, 0x800},
    };
    g_autoptr(DevemuFake) fake = make();

    pm_set(fake, PMCNTRL, 2, 1);
    pm_set(fake, GPEN, 2, 0xffff);
    cr_assert_eq(pm_get(fake, GPEN, 2), 0x0f01);
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(events); i++) {
        devemu_fake_set_input(fake, events[i].line, true);
        cr_assert_eq(pm_get(fake, GPSTS, 2), events[i].bit);
        cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
        pm_set(fake, GPSTS, 2, events[i].bit);
        cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
    }
}

/* DS GLBCTL, PMCNTRL: the two semaphores between ACPI and firmware. */
Test(piix4_pm, releases_set_the_others_status)
{
    g_autoptr(DevemuFake) fake = make();

    pm_set(fake, GLBCTL, 4, 2);
    cr_assert_eq(pm_get(fake, PMSTS, 2), 0x20);
    cr_assert_eq(pm_get(fake, GLBCTL, 4), 0);
    pm_set(fake, PMCNTRL, 2, 4);
    cr_assert_eq(pm_get(fake, GLBSTS, 2) & 1, 1);
    cr_assert_eq(pm_get(fake, PMCNTRL, 2), 0);
}

/* --- suspend */

Test(piix4_pm, suspend_pins_follow_the_type)
{
    static const unsigned pins[] = {7, 3, 1, 1, 1, 0, 0, 0};

    for (unsigned type = 0; type < 8; type++) {
        g_autoptr(DevemuFake) fake = make();
        unsigned got = 0;

        pm_set(fake, PMCNTRL, 2, type << 10);
        cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SUSA), "no SUS_EN yet");
        pm_set(fake, PMCNTRL, 2, type << 10 | 1 << 13);
        got |= (unsigned)devemu_fake_line(fake, DEVEMU_PIIX4_SUSA);
        got |= (unsigned)devemu_fake_line(fake, DEVEMU_PIIX4_SUSB) << 1;
        got |= (unsigned)devemu_fake_line(fake, DEVEMU_PIIX4_SUSC) << 2;
        cr_assert_eq(got, pins[type], "SUS_TYP %u", type);
        cr_assert_eq(pm_get(fake, PMCNTRL, 2), type << 10, "SUS_EN reads as 0");
    }
}

Test(piix4_pm, the_power_button_wakes)
{
    g_autoptr(DevemuFake) fake = make();

    pm_set(fake, PMCNTRL, 2, 1 << 10 | 1 << 13);
    devemu_fake_set_input(fake, DEVEMU_PIIX4_PWRBTN, true);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SUSB));
    cr_assert_eq(pm_get(fake, PMSTS, 2), 0x8100);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert_eq(pm_get(fake, PMSTS, 2), 0x8100, "the resume well keeps its status");
}

Test(piix4_pm, an_alarm_wakes_if_enabled)
{
    g_autoptr(DevemuFake) fake = make();

    pm_set(fake, PMCNTRL, 2, 4 << 10 | 1 << 13);
    devemu_fake_set_input(fake, DEVEMU_PIIX4_RTC, true);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SUSA));
    cr_assert_eq(pm_get(fake, PMSTS, 2), 0x0400);
    devemu_fake_set_input(fake, DEVEMU_PIIX4_RTC, false);
    pm_set(fake, PMEN, 2, 0x400);
    devemu_fake_set_input(fake, DEVEMU_PIIX4_RTC, true);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SUSA));
    cr_assert_eq(pm_get(fake, PMSTS, 2), 0x8400);
}

Test(piix4_pm, four_seconds_on_the_button_switch_off)
{
    g_autoptr(DevemuFake) fake = make();

    pm_set(fake, PMSTS, 2, 0xffff);
    devemu_fake_set_input(fake, DEVEMU_PIIX4_PWRBTN, true);
    devemu_fake_advance(fake, 3 * SECOND);
    devemu_fake_set_input(fake, DEVEMU_PIIX4_PWRBTN, false);
    devemu_fake_advance(fake, 3 * SECOND);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SUSC));
    devemu_fake_set_input(fake, DEVEMU_PIIX4_PWRBTN, true);
    devemu_fake_advance(fake, 4 * SECOND - 1);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SUSC));
    devemu_fake_advance(fake, 1);
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SUSC));
    cr_assert_eq(pm_get(fake, PMSTS, 2) & 0x900, 0x800);
}

/* --- the SMI command port */

Test(piix4_pm, without_smm_the_acpi_commands_take_effect_at_once)
{
    g_autoptr(DevemuFake) fake = make();

    cr_assert_eq(devemu_fake_read(fake, BANK_CONFIG, 0x58, 4), 1 << 25, "SeaBIOS sees SMM set up");
    devemu_fake_write(fake, BANK_APM, 0, 1, 0xf1);
    cr_assert_eq(pm_get(fake, PMCNTRL, 2), 1);
    devemu_fake_write(fake, BANK_APM, 0, 1, 0xf0);
    cr_assert_eq(pm_get(fake, PMCNTRL, 2), 0);
    devemu_fake_write(fake, BANK_APM, 1, 1, 0x5a);
    cr_assert_eq(devemu_fake_read(fake, BANK_APM, 1, 1), 0x5a);
    cr_assert_eq(devemu_fake_read(fake, BANK_APM, 0, 1), 0xf0);
}

/* DS DEVACTB, GLBCTL: a write to B2h makes an SMI if both enables are set. */
Test(piix4_pm, with_smm_the_command_port_makes_an_smi)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_piix4_pm, "smm=on", 0);

    cr_assert_eq(devemu_fake_read(fake, BANK_CONFIG, 0x58, 4), 0);
    devemu_fake_write(fake, BANK_APM, 0, 1, 0xf1);
    cr_assert_eq(pm_get(fake, PMCNTRL, 2), 0);
    devemu_fake_write(fake, BANK_CONFIG, 0x58, 4, 1 << 25);
    devemu_fake_write(fake, BANK_APM, 0, 1, 0);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SMI));
    pm_set(fake, GLBCTL, 4, 1);
    for (unsigned i = 0; i < 2; i++) {
        devemu_fake_write(fake, BANK_APM, 0, 1, 0);
        cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SMI));
        devemu_fake_advance(fake, 120);
        cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SMI));
    }
    cr_assert_eq(pm_get(fake, GLBSTS, 2) & 0x20, 0x20);
    pm_set(fake, GLBSTS, 2, 0x20);
    cr_assert_eq(pm_get(fake, GLBSTS, 2) & 0x20, 0);
}

/* --- SMBus */

Test(piix4_pm, an_smbus_transfer_finds_nobody)
{
    g_autoptr(DevemuFake) fake = make();

    devemu_fake_write(fake, BANK_CONFIG, 0xd2, 1, 0x09);
    devemu_fake_write(fake, BANK_SMBUS, SMBHSTADD, 1, 0xa1);
    devemu_fake_write(fake, BANK_SMBUS, SMBHSTCNT, 1, 0x49);
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBHSTSTS, 1), 0x01, "busy");
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBHSTCNT, 1), 0x09, "START reads as 0");
    devemu_fake_advance(fake, 1000000);
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBHSTSTS, 1), 0x04, "no answer");
    cr_assert(devemu_fake_line(fake, DEVEMU_PIIX4_SCI), "IRQ9, as SMBHSTCFG says");
    devemu_fake_write(fake, BANK_SMBUS, SMBHSTSTS, 1, 0x04);
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBHSTSTS, 1), 0);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_PIIX4_SCI));
}

Test(piix4_pm, an_smbus_transfer_can_be_killed)
{
    g_autoptr(DevemuFake) fake = make();

    devemu_fake_write(fake, BANK_SMBUS, SMBHSTCNT, 1, 0x40);
    devemu_fake_write(fake, BANK_SMBUS, SMBHSTCNT, 1, 0x02);
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBHSTSTS, 1), 0x10);
    devemu_fake_advance(fake, 1000000);
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBHSTSTS, 1), 0x10);
}

/* DS SMBBLKDAT: 32 bytes, one after the other; reading SMBHSTCNT begins again. */
Test(piix4_pm, block_data_goes_round)
{
    g_autoptr(DevemuFake) fake = make();

    devemu_fake_read(fake, BANK_SMBUS, SMBHSTCNT, 1);
    for (unsigned i = 0; i < 33; i++) {
        devemu_fake_write(fake, BANK_SMBUS, SMBBLKDAT, 1, 0x40 + i);
    }
    devemu_fake_read(fake, BANK_SMBUS, SMBHSTCNT, 1);
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBBLKDAT, 1), 0x60);
    for (unsigned i = 1; i < 32; i++) {
        cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBBLKDAT, 1), 0x40 + i);
    }
    cr_assert_eq(devemu_fake_read(fake, BANK_SMBUS, SMBBLKDAT, 1), 0x60);
}

/* --- registers that are stored only: after reset, and after all ones were written */

static const struct {
    unsigned bank, reg, size;
    uint64_t reset, ones;
} stored[] = {
    {BANK_CONFIG, 0x3d, 1, 0x01, 0x01},
    {BANK_CONFIG, 0x40, 4, 0x01, 0xffc1},
    {BANK_CONFIG, 0x44, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x48, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x4c, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x50, 4, 0, 0x00ffffff},
    {BANK_CONFIG, 0x54, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x58, 4, 0x02000000, 0xffffffff},
    {BANK_CONFIG, 0x5c, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x60, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x64, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x68, 4, 0, 0x00ffffff},
    {BANK_CONFIG, 0x6c, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x70, 4, 0, 0x00ffffff},
    {BANK_CONFIG, 0x74, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x78, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x7c, 4, 0, 0xffffffff},
    {BANK_CONFIG, 0x80, 1, 0, 0x01},
    {BANK_CONFIG, 0x90, 4, 0x01, 0xfff1},
    {BANK_CONFIG, 0xd2, 1, 0, 0x0f},
    {BANK_CONFIG, 0xd3, 1, 0, 0xff},
    {BANK_CONFIG, 0xd4, 2, 0, 0xffff},
    {BANK_CONFIG, 0xd6, 1, 0, 0},
    {BANK_PM, 0x10, 4, 0, 0xffffffff},
    {BANK_PM, 0x14, 2, 0, 0},
    {BANK_PM, 0x1c, 4, 0, 0},
    {BANK_PM, 0x20, 2, 0, 0xffff},
    {BANK_PM, 0x2c, 4, 0, 0xffffffff},
    {BANK_PM, 0x30, 2, 0xffff, 0xffff},
    {BANK_PM, 0x34, 4, 0x7fffbfff, 0xffffffff},
    {BANK_SMBUS, 0x1, 1, 0, 0},
    {BANK_SMBUS, 0x3, 1, 0, 0xff},
    {BANK_SMBUS, 0x4, 1, 0, 0xff},
    {BANK_SMBUS, 0x5, 2, 0, 0xffff},
    {BANK_SMBUS, 0x8, 1, 0, 0xff},
    {BANK_SMBUS, 0x9, 1, 0, 0},
    {BANK_SMBUS, 0xa, 2, 0, 0xffff},
    {BANK_SMBUS, 0xc, 2, 0, 0},
};

Test(piix4_pm, settings_without_effect_are_stored)
{
    g_autoptr(DevemuFake) fake = make();

    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(stored); i++) {
        unsigned bank = stored[i].bank, reg = stored[i].reg, size = stored[i].size;

        cr_assert_eq(devemu_fake_read(fake, bank, reg, size), stored[i].reset, "%u %02x", bank,
                     reg);
        devemu_fake_write(fake, bank, reg, size, UINT64_MAX);
        cr_assert_eq(devemu_fake_read(fake, bank, reg, size), stored[i].ones, "%u %02x", bank, reg);
    }
}
