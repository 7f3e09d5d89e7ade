/* SPDX-License-Identifier: BSD-3-Clause */
/* Port 61h, against NMISC of the PIIX4 datasheet 290562 ("DS"). */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_port61;

enum {
    OUT2,
    IOCHK,
    SERR,
};

enum {
    GATE2,
    SPKR,
    NMI,
};

static uint8_t in(DevemuFake *fake)
{
    return (uint8_t)devemu_fake_read(fake, 0, 0, 1);
}

static void out(DevemuFake *fake, uint8_t value)
{
    devemu_fake_write(fake, 0, 0, 1, value);
}

Test(port61, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_port61, NULL), 0);
}

/* DS 4.2.4.1: bits 0-3 read and write, 4-7 read only, 00h after reset. */
Test(port61, the_lower_half_reads_back)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port61, NULL, 0);

    cr_assert_eq(in(fake)&0xef, 0x00);
    out(fake, 0xff);
    cr_assert_eq(in(fake)&0xef, 0x0f);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert_eq(in(fake)&0xef, 0x00);
}

/* DS 4.2.4.1 bit 0. */
Test(port61, bit_0_is_the_gate_of_counter_2)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port61, NULL, 0);

    cr_assert_not(devemu_fake_line(fake, GATE2));
    out(fake, 0x01);
    cr_assert(devemu_fake_line(fake, GATE2));
}

/* DS 4.2.4.1 bits 1 and 5. */
Test(port61, bit_1_lets_the_counter_to_the_speaker)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port61, NULL, 0);

    devemu_fake_set_input(fake, OUT2, true);
    cr_assert_eq(in(fake)&0x20, 0x20);
    cr_assert_not(devemu_fake_line(fake, SPKR));
    out(fake, 0x02);
    cr_assert(devemu_fake_line(fake, SPKR));
    devemu_fake_set_input(fake, OUT2, false);
    cr_assert_not(devemu_fake_line(fake, SPKR));
    cr_assert_eq(in(fake)&0x20, 0x00);
}

/* DS 4.2.4.1 bits 3 and 6; 2 and 7: a pulse is kept, the disable bit clears it. */
Test(port61, a_pulse_is_an_nmi_until_its_disable_bit_is_set)
{
    static const struct {
        unsigned line;
        uint8_t disable, status;
    } sources[] = {{IOCHK, 0x08, 0x40}, {SERR, 0x04, 0x80}};

    for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++) {
        g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port61, NULL, 0);

        devemu_fake_set_input(fake, sources[i].line, true);
        devemu_fake_set_input(fake, sources[i].line, false);
        cr_assert_eq(in(fake)&0xc0, sources[i].status);
        cr_assert(devemu_fake_line(fake, NMI));

        out(fake, sources[i].disable);
        cr_assert_eq(in(fake)&0xc0, 0);
        cr_assert_not(devemu_fake_line(fake, NMI));
        devemu_fake_set_input(fake, sources[i].line, true);
        cr_assert_eq(in(fake)&0xc0, 0);
        out(fake, 0); /* it is still there */
        cr_assert_eq(in(fake)&0xc0, sources[i].status);
    }
}

/* DS 4.2.4.1 bit 4: 18 pulses of 1.1931817 MHz are 15.0857 us. */
Test(port61, bit_4_toggles_with_every_refresh)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port61, NULL, 0);

    cr_assert_eq(in(fake)&0x10, 0x00);
    devemu_fake_advance(fake, 15085);
    cr_assert_eq(in(fake)&0x10, 0x00);
    devemu_fake_advance(fake, 1);
    cr_assert_eq(in(fake)&0x10, 0x10);
    devemu_fake_advance(fake, 15086);
    cr_assert_eq(in(fake)&0x10, 0x00);
}

/* The AT BIOS waits by counting edges: 66288 a second, less a part of one. */
Test(port61, the_refresh_toggle_does_not_drift)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_port61, NULL, 0);

    devemu_fake_advance(fake, UINT64_C(3600000000000));
    /* 3600 s * 14318180 Hz / 12 / 18 = 238636333.3 */
    cr_assert_eq(in(fake)&0x10, 0x10);
    devemu_fake_advance(fake, 10000); /* another 0.66 of a cycle, together 0.99 */
    cr_assert_eq(in(fake)&0x10, 0x10);
    devemu_fake_advance(fake, 100);
    cr_assert_eq(in(fake)&0x10, 0x00);
}
