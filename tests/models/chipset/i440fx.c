/* SPDX-License-Identifier: BSD-3-Clause */
#include <devemu/bus.h>
#include <devemu/chipset.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_i440fx;

enum {
    BANK_CONFIG,

    PAM0 = 0x59,
    SMRAM = 0x72,
    TRC = 0x93,
};

static DevemuFake *make(void)
{
    return devemu_fake_new(&devemu_model_i440fx, NULL, 0);
}

static uint64_t get(DevemuFake *fake, unsigned reg)
{
    return devemu_fake_read(fake, BANK_CONFIG, reg, 1);
}

static void set(DevemuFake *fake, unsigned reg, uint64_t value)
{
    devemu_fake_write(fake, BANK_CONFIG, reg, 1, value);
}

Test(i440fx, tables_hold_what_they_promise)
{
    cr_assert_eq(devemu_conformance(&devemu_model_i440fx, NULL), 0);
}

/* DS VID, DID, PCICMD, PCISTS, CLASSC */
Test(i440fx, firmware_finds_the_host_bridge)
{
    g_autoptr(DevemuDevice) function =
        devemu_pci_function_new(devemu_device_new(&devemu_model_i440fx, NULL, NULL), NULL);
    uint64_t value = 0;

    devemu_device_read(function, 0, 0x00, 4, &value);
    cr_assert_eq(value, 0x12378086);
    devemu_device_read(function, 0, 0x04, 4, &value);
    cr_assert_eq(value, 0x02800006);
    devemu_device_write(function, 0, 0x04, 2, 0xffff);
    devemu_device_read(function, 0, 0x04, 2, &value);
    cr_assert_eq(value, 0x0146);
    devemu_device_read(function, 0, 0x08, 4, &value);
    cr_assert_eq(value, 0x06000002);
    devemu_device_read(function, 0, 0x58, 4, &value);
    cr_assert_eq(value, 0x00000010, "DRAMT and the first PAM registers");
}

/* DS PAM: after reset everything above C0000h is PCI. */
Test(i440fx, no_segment_leads_to_dram_after_reset)
{
    g_autoptr(DevemuFake) fake = make();

    for (unsigned n = 0; n < DEVEMU_I440FX_SEGMENTS; n++) {
        cr_assert_not(devemu_fake_line(fake, devemu_i440fx_read_line(n)));
        cr_assert_not(devemu_fake_line(fake, devemu_i440fx_write_line(n)));
    }
}

/* DS PAM: the low half of PAM1 is C0000h, its high half C4000h, and so on; F0000h is in PAM0. */
Test(i440fx, each_half_register_is_one_segment)
{
    g_autoptr(DevemuFake) fake = make();

    for (unsigned n = 0; n < 12; n++) {
        set(fake, PAM0 + 1 + n / 2, n % 2 ? 0x10 : 0x01);
        cr_assert(devemu_fake_line(fake, devemu_i440fx_read_line(n)), "segment %u", n);
        cr_assert_not(devemu_fake_line(fake, devemu_i440fx_write_line(n)));
        set(fake, PAM0 + 1 + n / 2, n % 2 ? 0x20 : 0x02);
        cr_assert_not(devemu_fake_line(fake, devemu_i440fx_read_line(n)));
        cr_assert(devemu_fake_line(fake, devemu_i440fx_write_line(n)), "segment %u", n);
        set(fake, PAM0 + 1 + n / 2, 0);
    }
    set(fake, PAM0, 0xff);
    cr_assert_eq(get(fake, PAM0), 0x30, "the low half is reserved");
    cr_assert(devemu_fake_line(fake, devemu_i440fx_read_line(12)));
    cr_assert(devemu_fake_line(fake, devemu_i440fx_write_line(12)));
}

Test(i440fx, segments_cover_the_area_without_gaps)
{
    uint32_t base = 0xc0000;

    for (unsigned n = 0; n < DEVEMU_I440FX_SEGMENTS; n++) {
        cr_assert_eq(devemu_i440fx_segment_base(n), base);
        base += devemu_i440fx_segment_len(n);
    }
    cr_assert_eq(base, 0x100000);
}

/* What SeaBIOS does to copy itself: write through to RAM, then read from there, then close. */
Test(i440fx, firmware_shadows_itself_with_dword_writes)
{
    g_autoptr(DevemuFake) fake = make();

    devemu_fake_write(fake, BANK_CONFIG, 0x5a, 4, 0x33333333);
    devemu_fake_write(fake, BANK_CONFIG, 0x58, 2, 0x3010);
    cr_assert(devemu_fake_line(fake, devemu_i440fx_write_line(12)));
    cr_assert(devemu_fake_line(fake, devemu_i440fx_read_line(7)));
    set(fake, PAM0, 0x10);
    cr_assert(devemu_fake_line(fake, devemu_i440fx_read_line(12)));
    cr_assert_not(devemu_fake_line(fake, devemu_i440fx_write_line(12)));
}

/* DS SMRAM */
Test(i440fx, smram_opens_and_closes)
{
    g_autoptr(DevemuFake) fake = make();

    cr_assert_eq(get(fake, SMRAM), 0x02);
    set(fake, SMRAM, 0x4a);
    cr_assert(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_OPEN));
    cr_assert(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_CODE));
    cr_assert(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_DATA));
    set(fake, SMRAM, 0x2a);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_OPEN));
    cr_assert(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_CODE));
    cr_assert_not(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_DATA));
    set(fake, SMRAM, 0x42);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_OPEN), "DOPEN needs SMRAME");
    set(fake, SMRAM, 0x00);
    cr_assert_eq(get(fake, SMRAM), 0x02, "the segment is fixed");
}

Test(i440fx, a_locked_smram_cannot_be_opened_again)
{
    g_autoptr(DevemuFake) fake = make();

    set(fake, SMRAM, 0x5a);
    cr_assert_eq(get(fake, SMRAM), 0x1a, "locking closes");
    set(fake, SMRAM, 0x4a);
    cr_assert_eq(get(fake, SMRAM), 0x1a);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_I440FX_SMRAM_OPEN));
}

/* DS TRC: a rise of bit 2 resets, bit 1 says how. */
Test(i440fx, turbo_reset_control_resets_the_cpu)
{
    g_autoptr(DevemuFake) fake = make();

    set(fake, TRC, 0x04);
    cr_assert(devemu_fake_line(fake, DEVEMU_I440FX_INIT));
    set(fake, TRC, 0x06);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_I440FX_RESET), "no rise");
    set(fake, TRC, 0x02);
    cr_assert_not(devemu_fake_line(fake, DEVEMU_I440FX_INIT));
    set(fake, TRC, 0x06);
    cr_assert(devemu_fake_line(fake, DEVEMU_I440FX_RESET));
}

/* Registers that are stored only: what they are after reset, and after all ones were written. */
static const struct {
    unsigned reg, size;
    uint64_t reset, ones;
} stored[] = {
    {0x2c, 4, 0, 0},
    {0x50, 2, 0x0000, 0xffff},
    {0x52, 1, 0x00, 0xff},
    {0x53, 1, 0x83, 0xff},
    {0x54, 1, 0x00, 0xff},
    {0x55, 2, 0x0000, 0xffff},
    {0x57, 1, 0x01, 0xff},
    {0x58, 1, 0x10, 0xff},
    {0x60, 4, 0x01010101, 0xffffffff},
    {0x64, 4, 0x01010101, 0xffffffff},
    {0x68, 1, 0x00, 0xff},
    {0x70, 1, 0x00, 0xff},
    {0x71, 1, 0x10, 0xff},
    {0x90, 1, 0x00, 0xff},
    {0x91, 1, 0x00, 0x00},
};

Test(i440fx, settings_of_the_memory_controller_are_stored)
{
    g_autoptr(DevemuFake) fake = make();

    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(stored); i++) {
        unsigned reg = stored[i].reg, size = stored[i].size;

        cr_assert_eq(devemu_fake_read(fake, BANK_CONFIG, reg, size), stored[i].reset, "%02x", reg);
        devemu_fake_write(fake, BANK_CONFIG, reg, size, UINT64_MAX);
        cr_assert_eq(devemu_fake_read(fake, BANK_CONFIG, reg, size), stored[i].ones, "%02x", reg);
    }
}

Test(i440fx, turbo_reset_control_reads_back)
{
    g_autoptr(DevemuFake) fake = make();

    set(fake, TRC, 0xff);
    cr_assert_eq(get(fake, TRC), 0x0f);
}

/* SeaBIOS takes 1af4:1100 there for a machine with fw_cfg. */
Test(i440fx, the_board_chooses_the_subsystem)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i440fx, "subsystem=0x11001af4", 0);

    devemu_fake_write(fake, BANK_CONFIG, 0x2c, 4, 0);
    cr_assert_eq(devemu_fake_read(fake, BANK_CONFIG, 0x2c, 4), 0x11001af4);
}
