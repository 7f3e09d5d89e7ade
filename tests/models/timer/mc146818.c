/* SPDX-License-Identifier: BSD-3-Clause */
/* Motorola MC146818A, against its datasheet ("DS"), with the sequences of Linux's drivers. */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_mc146818;

enum {
    SECONDS = 0x00,
    SECONDS_ALARM = 0x01,
    MINUTES = 0x02,
    MINUTES_ALARM = 0x03,
    HOURS = 0x04,
    HOURS_ALARM = 0x05,
    DAY = 0x06,
    DATE = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    A = 0x0a,
    B = 0x0b,
    C = 0x0c,
    D = 0x0d,
    CENTURY = 0x32,
};

enum {
    UIP = 0x80,
    SET = 0x80,
    PIE = 0x40,
    AIE = 0x20,
    UIE = 0x10,
    SQWE = 0x08,
    DM = 0x04,
    H24 = 0x02,
    IRQF = 0x80,
    PF = 0x40,
    AF = 0x20,
    UF = 0x10,
};

enum {
    IRQ,
    SQW,
    NMI_MASK,
};

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define US UINT64_C(1000)

static uint8_t get(DevemuFake *fake, unsigned reg)
{
    devemu_fake_write(fake, 0, 0, 1, reg);
    return (uint8_t)devemu_fake_read(fake, 0, 1, 1);
}

static void set(DevemuFake *fake, unsigned reg, unsigned value)
{
    devemu_fake_write(fake, 0, 0, 1, reg);
    devemu_fake_write(fake, 0, 1, 1, value);
}

static DevemuFake *rtc_new(const char *options)
{
    return devemu_fake_new(&devemu_model_mc146818, options, 0);
}

/* Year, month, date, hours, minutes, seconds as 0xYYMMDDhhmmss. */
static uint64_t stamp(DevemuFake *fake)
{
    static const uint8_t regs[] = {YEAR, MONTH, DATE, HOURS, MINUTES, SECONDS};
    uint64_t value = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        value = value << 8 | get(fake, regs[i]);
    }
    return value;
}

static void set_stamp(DevemuFake *fake, uint64_t value)
{
    static const uint8_t regs[] = {SECONDS, MINUTES, HOURS, DATE, MONTH, YEAR};

    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        set(fake, regs[i], value >> (8 * i) & 0xff);
    }
}

static void advance_to(DevemuFake *fake, uint64_t ns)
{
    devemu_fake_advance(fake, ns - devemu_fake_now(fake));
}

Test(mc146818, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_mc146818, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_mc146818, "base=1234567890,sqw=on"), 0);
}

/* --- DS "Time, Calendar, and Alarm Locations" -------------------------------------- */

Test(mc146818, time_begins_at_base)
{
    static const struct {
        const char *options;
        uint64_t stamp;
        uint8_t day, century;
    } cases[] = {
        {NULL, 0x000101000000, 7, 0x20},
        {"base=0", 0x700101000000, 5, 0x19},
        {"base=1234567890", 0x090213233130, 6, 0x20},
        {"base=951782399", 0x000228235959, 2, 0x20},
        {"base=4107542399", 0x000228235959, 1, 0x21},
        {"base=1735689599", 0x241231235959, 3, 0x20},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(DevemuFake) fake = rtc_new(cases[i].options);

        cr_expect_eq(stamp(fake), cases[i].stamp, "%s", cases[i].options);
        cr_expect_eq(get(fake, DAY), cases[i].day, "%s", cases[i].options);
        cr_expect_eq(get(fake, CENTURY), cases[i].century, "%s", cases[i].options);
    }
}

Test(mc146818, a_second_passes_in_a_second)
{
    g_autoptr(DevemuFake) fake = rtc_new("base=1234567890");

    devemu_fake_advance(fake, S - 1);
    cr_assert_eq(get(fake, SECONDS), 0x30);
    devemu_fake_advance(fake, 1);
    cr_assert_eq(get(fake, SECONDS), 0x31);
    devemu_fake_advance(fake, 29 * S);
    cr_assert_eq(stamp(fake), 0x090213233200);
}

/* DS "Features": end of month and leap year; each fourth of the two-digit years is one. */
Test(mc146818, the_calendar_knows_months_and_leap_years)
{
    static const struct {
        uint64_t before, after;
    } cases[] = {
        {0x990228235959, 0x990301000000}, {0x000228235959, 0x000229000000},
        {0x000229235959, 0x000301000000}, {0x040228235959, 0x040229000000},
        {0x050430235959, 0x050501000000}, {0x050131235959, 0x050201000000},
        {0x051231235959, 0x060101000000}, {0x991231235959, 0x000101000000},
        {0x960229235959, 0x960301000000}, {0x031231235959, 0x040101000000},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(DevemuFake) fake = rtc_new(NULL);

        set(fake, B, SET | H24);
        set_stamp(fake, cases[i].before);
        set(fake, DAY, 7);
        set(fake, B, H24);
        devemu_fake_advance(fake, S);
        cr_expect_eq(stamp(fake), cases[i].after);
        cr_expect_eq(get(fake, DAY), 1);
    }
}

/* The time is arithmetic: years pass at once. */
Test(mc146818, a_long_jump_lands_on_the_right_second)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    devemu_fake_advance(fake, UINT64_C(7671) * 86400 * S + 3661 * S);
    cr_assert_eq(stamp(fake), 0x210101010101); /* 21 years, 6 of them leap years */
    cr_assert_eq(get(fake, DAY), 6);           /* a Friday */
    devemu_fake_advance(fake, UINT64_C(36525) * 86400 * S);
    cr_assert_eq(stamp(fake), 0x210101010101);
    cr_assert_eq(get(fake, DAY), 5); /* 36525 days are 5217 weeks and 6 days */
}

/* DS Table 2: binary, and 12 hours with PM in bit 7. */
Test(mc146818, hours_and_numbers_have_four_forms)
{
    static const struct {
        uint8_t b, hours[4];
    } cases[] = {
        {H24, {0x00, 0x11, 0x12, 0x23}},
        {0, {0x12, 0x11, 0x92, 0x91}},
        {DM | H24, {0x00, 0x0b, 0x0c, 0x17}},
        {DM, {0x0c, 0x0b, 0x8c, 0x8b}},
    };
    static const uint8_t at[] = {0, 11, 12, 23};

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(DevemuFake) fake = rtc_new(NULL);

        set(fake, B, SET | cases[i].b);
        set(fake, HOURS, cases[i].hours[0]);
        set(fake, B, cases[i].b);
        for (unsigned h = 0; h < 4; h++) {
            advance_to(fake, at[h] * 3600 * S + 59 * S);
            cr_expect_eq(get(fake, HOURS), cases[i].hours[h]);
            cr_expect_eq(get(fake, SECONDS), cases[i].b & DM ? 59 : 0x59);
        }
    }
}

/* A byte written while the clock runs. */
Test(mc146818, a_time_byte_can_be_written_while_the_clock_runs)
{
    g_autoptr(DevemuFake) fake = rtc_new("base=1234567890");

    set(fake, MINUTES, 0x05);
    cr_assert_eq(stamp(fake), 0x090213230530);
    cr_assert_eq(get(fake, DAY), 6);
    devemu_fake_advance(fake, S);
    cr_assert_eq(stamp(fake), 0x090213230531);
}

/* --- DS "Register A", "Update Cycle" ----------------------------------------------- */

/* Table 6: 244 us and the update cycle's 1984 us before the new time stands. */
Test(mc146818, uip_is_set_before_and_during_the_update_cycle)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    cr_assert_eq(get(fake, A), 0x26);
    advance_to(fake, 5 * S - 2228 * US - 1);
    cr_assert_eq(get(fake, A), 0x26);
    advance_to(fake, 5 * S - 2228 * US);
    cr_assert_eq(get(fake, A), UIP | 0x26);
    advance_to(fake, 5 * S - 1);
    cr_assert_eq(get(fake, A), UIP | 0x26);
    cr_assert_eq(get(fake, SECONDS), 0x04);
    advance_to(fake, 5 * S);
    cr_assert_eq(get(fake, A), 0x26);
    cr_assert_eq(get(fake, SECONDS), 0x05);
}

Test(mc146818, set_clears_uip)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    advance_to(fake, S - 1000 * US);
    cr_assert_eq(get(fake, A) & UIP, UIP);
    set(fake, B, SET | H24);
    cr_assert_eq(get(fake, A) & UIP, 0);
    advance_to(fake, 2 * S - 1000 * US);
    cr_assert_eq(get(fake, A) & UIP, 0);
}

/* "When the divider reset is removed, the first update cycle begins one-half second later". */
Test(mc146818, the_first_update_begins_half_a_second_after_the_divider_reset)
{
    g_autoptr(DevemuFake) fake = rtc_new("base=1234567890");

    advance_to(fake, 123 * MS);
    set(fake, A, 0x76);
    advance_to(fake, 10 * S + 77 * MS);
    cr_assert_eq(stamp(fake), 0x090213233130); /* it stood */
    set(fake, A, 0x26);
    advance_to(fake, 10 * S + 577 * MS - 244 * US - 1);
    cr_assert_eq(get(fake, A) & UIP, 0);
    devemu_fake_advance(fake, 1);
    cr_assert_eq(get(fake, A) & UIP, UIP);
    advance_to(fake, 10 * S + 577 * MS + 1984 * US - 1);
    cr_assert_eq(get(fake, SECONDS), 0x30);
    devemu_fake_advance(fake, 1);
    cr_assert_eq(get(fake, SECONDS), 0x31);
    cr_assert_eq(get(fake, A) & UIP, 0);
    devemu_fake_advance(fake, S);
    cr_assert_eq(get(fake, SECONDS), 0x32);
}

/* Table 5, 32.768 kHz; PF comes first half a period after the divider chain began. */
Test(mc146818, each_rate_has_its_period)
{
    static const uint64_t hz[] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                  256, 128, 64,  32,   16,   8,    4,    2};

    for (unsigned rate = 1; rate < 16; rate++) {
        g_autoptr(DevemuFake) fake = rtc_new(NULL);
        uint64_t first, begin = S - 1984 * US; /* of an update cycle */

        set(fake, A, 0x20 | rate);
        set(fake, B, PIE | H24);
        advance_to(fake, begin);
        get(fake, C);
        cr_expect_not(devemu_fake_line(fake, IRQ));
        first = begin + (S / 2 + hz[rate] - 1) / hz[rate];
        advance_to(fake, first - 1);
        cr_expect_not(devemu_fake_line(fake, IRQ), "rate %u", rate);
        advance_to(fake, first);
        cr_expect(devemu_fake_line(fake, IRQ), "rate %u", rate);
        cr_expect_eq(get(fake, C) & ~UF, IRQF | PF);
        cr_expect_not(devemu_fake_line(fake, IRQ));
        /* the thousandth after that */
        advance_to(fake, begin + (S / 2 + 1000 * S + hz[rate] - 1) / hz[rate] - 1);
        get(fake, C);
        cr_expect_not(devemu_fake_line(fake, IRQ), "rate %u", rate);
        devemu_fake_advance(fake, 1);
        cr_expect(devemu_fake_line(fake, IRQ), "rate %u", rate);
    }
}

Test(mc146818, rate_0_gives_no_periodic_flag)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, A, 0x20);
    set(fake, B, PIE | H24);
    devemu_fake_advance(fake, S / 2);
    cr_assert_eq(get(fake, C), 0);
}

/* --- DS "Register B" --------------------------------------------------------------- */

Test(mc146818, set_stops_the_time_but_not_the_periodic_interrupt)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, B, SET | H24);
    devemu_fake_advance(fake, 10 * S);
    cr_assert_eq(get(fake, SECONDS), 0x00);
    cr_assert_eq(get(fake, C), PF);
    set(fake, SECONDS, 0xee);
    cr_assert_eq(get(fake, SECONDS), 0xee);
    set(fake, SECONDS, 0x20);
    set(fake, B, H24);
    devemu_fake_advance(fake, S);
    cr_assert_eq(get(fake, SECONDS), 0x21);
}

/* The divider chain goes on under SET: updates keep their place in the second. */
Test(mc146818, set_keeps_the_phase_of_the_second)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    advance_to(fake, 300 * MS);
    set(fake, B, SET | H24);
    advance_to(fake, 5 * S + 700 * MS);
    set(fake, B, H24);
    advance_to(fake, 6 * S - 1);
    cr_assert_eq(get(fake, SECONDS), 0x00);
    advance_to(fake, 6 * S);
    cr_assert_eq(get(fake, SECONDS), 0x01);
}

Test(mc146818, set_going_high_clears_uie)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, B, UIE | H24);
    set(fake, B, SET | UIE | H24);
    cr_assert_eq(get(fake, B), SET | H24);
}

/* DS "Reset". */
Test(mc146818, a_reset_clears_enables_and_flags_and_keeps_the_time)
{
    g_autoptr(DevemuFake) fake = rtc_new("base=1234567890");

    set(fake, A, 0x2f);
    set(fake, B, PIE | AIE | UIE | SQWE | H24 | 1);
    set(fake, 0x40, 0x5a);
    devemu_fake_advance(fake, 2 * S);
    cr_assert(devemu_fake_line(fake, IRQ));
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);

    cr_assert_not(devemu_fake_line(fake, IRQ));
    cr_assert_eq(get(fake, C), 0);
    cr_assert_eq(get(fake, B), H24 | 1);
    cr_assert_eq(get(fake, A), 0x2f);
    cr_assert_eq(get(fake, 0x40), 0x5a);
    cr_assert_eq(stamp(fake), 0x090213233132);
}

/* --- DS "Register C", "Interrupts" ------------------------------------------------- */

Test(mc146818, flags_are_set_without_enables_and_cleared_by_reading)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    devemu_fake_advance(fake, S);
    cr_assert_not(devemu_fake_line(fake, IRQ));
    cr_assert_eq(get(fake, C), PF | UF);
    cr_assert_eq(get(fake, C), 0);
    devemu_fake_advance(fake, 100 * MS);
    cr_assert_eq(get(fake, C), PF);
}

/* "If an interrupt flag is already set when the interrupt becomes enabled, IRQ is immediately
 * activated". */
Test(mc146818, enabling_an_interrupt_whose_flag_is_set_interrupts_at_once)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    devemu_fake_advance(fake, S);
    set(fake, B, UIE | H24);
    cr_assert(devemu_fake_line(fake, IRQ));
    set(fake, B, H24);
    cr_assert_not(devemu_fake_line(fake, IRQ));
    set(fake, B, UIE | H24);
    cr_assert_eq(get(fake, C), IRQF | PF | UF);
    cr_assert_not(devemu_fake_line(fake, IRQ));
}

Test(mc146818, the_update_ended_interrupt_comes_with_the_new_time)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, B, UIE | H24);
    for (unsigned i = 1; i < 5; i++) {
        advance_to(fake, i * S - 1);
        cr_expect_not(devemu_fake_line(fake, IRQ));
        devemu_fake_advance(fake, 1);
        cr_expect(devemu_fake_line(fake, IRQ));
        cr_expect_eq(get(fake, SECONDS), i);
        get(fake, C);
    }
}

/* Nothing is to be done while nothing interrupts, and no more while IRQ# is asserted. */
Test(mc146818, there_is_a_deadline_only_for_an_interrupt)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), DEVEMU_NEVER);
    set(fake, B, UIE | H24);
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), S);
    devemu_fake_advance(fake, 100 * S);
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), DEVEMU_NEVER);
    get(fake, C);
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), 101 * S);
}

/* --- alarm ------------------------------------------------------------------------- */

Test(mc146818, the_alarm_comes_at_its_second)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, HOURS_ALARM, 0x13);
    set(fake, MINUTES_ALARM, 0x02);
    set(fake, SECONDS_ALARM, 0x59);
    set(fake, B, AIE | H24);
    advance_to(fake, (13 * 3600 + 2 * 60 + 59) * S - 1);
    cr_assert_not(devemu_fake_line(fake, IRQ));
    devemu_fake_advance(fake, 1);
    cr_assert(devemu_fake_line(fake, IRQ));
    cr_assert_eq(get(fake, C), IRQF | PF | AF | UF);
    devemu_fake_advance(fake, 86400 * S - 1);
    cr_assert_not(devemu_fake_line(fake, IRQ));
    devemu_fake_advance(fake, 1);
    cr_assert(devemu_fake_line(fake, IRQ));
}

/* "Don't care" from C0h to FFh: each hour, each minute, each second. */
Test(mc146818, alarm_bytes_may_be_dont_care)
{
    static const struct {
        uint8_t hours, minutes, seconds;
        uint64_t first, second;
    } cases[] = {
        {0xff, 0x10, 0x20, 620, 4220},     {0xc0, 0xc0, 0x07, 7, 67},
        {0xff, 0xff, 0xff, 1, 2},          {0x05, 0xff, 0x30, 18030, 18090},
        {0x05, 0x00, 0xff, 18000, 18001},  {0xff, 0x59, 0xff, 3540, 3541},
        {0x00, 0x00, 0x00, 86400, 172800}, {0x00, 0xff, 0x00, 60, 120},
        {0x23, 0x59, 0x59, 86399, 172799},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(DevemuFake) fake = rtc_new(NULL);

        set(fake, HOURS_ALARM, cases[i].hours);
        set(fake, MINUTES_ALARM, cases[i].minutes);
        set(fake, SECONDS_ALARM, cases[i].seconds);
        set(fake, B, AIE | H24);
        cr_expect_eq(devemu_device_deadline(devemu_fake_device(fake)), cases[i].first * S, "%u", i);
        advance_to(fake, cases[i].first * S);
        cr_expect_eq(get(fake, C) & AF, AF, "%u", i);
        cr_expect_eq(devemu_device_deadline(devemu_fake_device(fake)), cases[i].second * S, "%u",
                     i);
    }
}

Test(mc146818, an_alarm_that_is_no_time_never_comes)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, HOURS_ALARM, 0xff);
    set(fake, MINUTES_ALARM, 0x60);
    set(fake, SECONDS_ALARM, 0xff);
    set(fake, B, AIE | H24);
    devemu_fake_advance(fake, UINT64_C(10) * 86400 * S);
    cr_assert_eq(get(fake, C), PF | UF);
}

Test(mc146818, the_alarm_follows_the_form_of_the_hours)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, B, SET | DM);
    set(fake, HOURS, 11);
    set(fake, MINUTES, 59);
    set(fake, SECONDS, 58);
    set(fake, HOURS_ALARM, 0x80 | 12);
    set(fake, MINUTES_ALARM, 0);
    set(fake, SECONDS_ALARM, 0);
    set(fake, B, AIE | DM);
    advance_to(fake, 2 * S);
    cr_assert_eq(get(fake, C) & AF, AF);
    cr_assert_eq(get(fake, HOURS), 0x80 | 12);
}

/* An alarm that passed while it was not enabled, seen much later. */
Test(mc146818, the_alarm_flag_is_found_after_a_long_jump)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, HOURS_ALARM, 0x13);
    set(fake, MINUTES_ALARM, 0x00);
    set(fake, SECONDS_ALARM, 0x00);
    advance_to(fake, (13 * 3600 - 1) * S);
    cr_assert_eq(get(fake, C), PF | UF);
    devemu_fake_advance(fake, UINT64_C(1000) * 86400 * S);
    cr_assert_eq(get(fake, C), PF | AF | UF);
}

/* --- RAM, register D, the ports of the PC ------------------------------------------ */

Test(mc146818, the_ram_has_114_bytes)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    for (unsigned i = 0x0e; i < 0x80; i++) {
        set(fake, i, i ^ 0x5a);
    }
    for (unsigned i = 0x0e; i < 0x80; i++) {
        cr_expect_eq(get(fake, i), i ^ 0x5a);
    }
}

Test(mc146818, the_ram_may_come_from_an_image)
{
    uint8_t image[64];
    DevemuSetting settings[] = {{.name = "cmos", .data = image, .len = sizeof(image)}};
    g_autoptr(DevemuFake) fake = NULL;

    memset(image, 0xa5, sizeof(image));
    fake = devemu_fake_new_with(&devemu_model_mc146818, settings, 1, 0);
    cr_assert_eq(get(fake, 0x0e), 0xa5);
    cr_assert_eq(get(fake, 0x3f), 0xa5);
    cr_assert_eq(get(fake, 0x40), 0x00);
    cr_assert_eq(get(fake, CENTURY), 0x20);
    cr_assert_eq(stamp(fake), 0x000101000000);
}

/* DS "Register D"; registers C and D are read only. */
Test(mc146818, ram_and_time_are_valid)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    set(fake, D, 0x00);
    set(fake, C, 0xff);
    cr_assert_eq(get(fake, D), 0x80);
    cr_assert_eq(get(fake, C), 0x00);
}

/* PIIX4, NMIEN: bit 7 of port 70h masks the NMI, which reads as nothing. */
Test(mc146818, the_index_port_masks_the_nmi)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);

    cr_assert(devemu_fake_line(fake, NMI_MASK));
    devemu_fake_write(fake, 0, 0, 1, CENTURY);
    cr_assert_not(devemu_fake_line(fake, NMI_MASK));
    devemu_fake_write(fake, 0, 0, 1, 0x80 | CENTURY);
    cr_assert(devemu_fake_line(fake, NMI_MASK));
    cr_assert_eq(devemu_fake_read(fake, 0, 1, 1), 0x20);
    cr_assert_eq(devemu_fake_read(fake, 0, 0, 1), 0xff);
}

/* DS "SQW": the tap that the rate selects, while SQWE is set. */
Test(mc146818, the_square_wave_has_the_selected_rate)
{
    g_autoptr(DevemuFake) fake = rtc_new("sqw=on");
    const uint64_t begin = S - 1984 * US; /* all taps go low */

    set(fake, A, 0x2f); /* 2 Hz */
    cr_assert_not(devemu_fake_line(fake, SQW));
    advance_to(fake, begin);
    set(fake, B, SQWE | H24);
    for (unsigned i = 0; i < 5; i++) {
        advance_to(fake, begin + i * 500 * MS + 250 * MS - 1);
        cr_expect_not(devemu_fake_line(fake, SQW));
        devemu_fake_advance(fake, 1);
        cr_expect(devemu_fake_line(fake, SQW));
        devemu_fake_advance(fake, 250 * MS - 1);
        cr_expect(devemu_fake_line(fake, SQW));
    }
    set(fake, B, H24);
    cr_assert_not(devemu_fake_line(fake, SQW));
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), DEVEMU_NEVER);
}

/* --- Linux ------------------------------------------------------------------------- */

/* drivers/rtc/rtc-mc146818-lib.c, mc146818_avoid_UIP(): seconds, UIP, the rest, UIP, seconds. */
Test(mc146818, linux_reads_the_time)
{
    g_autoptr(DevemuFake) fake = rtc_new("base=1234567890");
    unsigned tries = 0;
    uint64_t time;
    uint8_t seconds;

    devemu_fake_advance(fake, S - MS);
    do {
        devemu_fake_advance(fake, MS);
        cr_assert_lt(++tries, 10);
        seconds = get(fake, SECONDS);
        if (get(fake, A) & UIP) {
            continue;
        }
        time = stamp(fake);
    } while (get(fake, A) & UIP || get(fake, SECONDS) != seconds);
    cr_assert_eq(time, 0x090213233131);
    cr_assert_eq(get(fake, B) & (DM | H24), H24);
}

/* mc146818_set_time(): SET, divider reset, the bytes, SET off, divider on: the first second is half
 * a second long. */
Test(mc146818, linux_sets_the_time)
{
    g_autoptr(DevemuFake) fake = rtc_new(NULL);
    uint8_t b, a;

    devemu_fake_advance(fake, 1234 * MS);
    b = get(fake, B);
    set(fake, B, b | SET);
    a = get(fake, A);
    set(fake, A, a | 0x70);
    set_stamp(fake, 0x250704120000);
    set(fake, CENTURY, 0x20);
    set(fake, B, b);
    set(fake, A, a);

    cr_assert_eq(stamp(fake), 0x250704120000);
    devemu_fake_advance(fake, 500 * MS + 1984 * US);
    cr_assert_eq(stamp(fake), 0x250704120001);
    devemu_fake_advance(fake, 59 * S);
    cr_assert_eq(stamp(fake), 0x250704120100);
}

/* drivers/rtc/rtc-cmos.c, cmos_set_alarm(), cmos_interrupt(), cmos_irq_disable(). */
Test(mc146818, linux_sets_an_alarm_and_takes_its_interrupt)
{
    g_autoptr(DevemuFake) fake = rtc_new("base=1234567890");
    uint8_t b = get(fake, B);

    set(fake, B, b & ~AIE);
    cr_assert_eq(get(fake, C) & (b & (PIE | AIE | UIE)), 0);
    set(fake, HOURS_ALARM, 0x23);
    set(fake, MINUTES_ALARM, 0x32);
    set(fake, SECONDS_ALARM, 0x00);
    set(fake, B, b | AIE);
    cr_assert_eq(get(fake, C) & IRQF, 0);
    devemu_fake_advance(fake, 30 * S);
    cr_assert(devemu_fake_line(fake, IRQ));
    cr_assert_eq(get(fake, C) & (IRQF | AF), IRQF | AF);
    set(fake, B, b & ~AIE);
    devemu_fake_advance(fake, 86400 * S);
    cr_assert_not(devemu_fake_line(fake, IRQ));
}

/* The BIOS's INT 15h, AH = 83h/86h: periodic interrupts of 976 us are counted; none is lost in a
 * minute if each is taken. */
Test(mc146818, a_minute_has_61440_periodic_interrupts)
{
    g_autoptr(DevemuFake) fake =
        devemu_fake_new_mode(&devemu_model_mc146818, NULL, 0, DEVEMU_FAKE_PLAIN);
    unsigned count = 0;

    set(fake, B, PIE | H24);
    while (devemu_fake_now(fake) < 60 * S) {
        uint64_t due = devemu_device_deadline(devemu_fake_device(fake));

        advance_to(fake, MIN(due, 60 * S));
        if (devemu_fake_line(fake, IRQ)) {
            count++;
            get(fake, C);
        }
    }
    cr_assert_eq(count, 61440);
}

/* --- a host that comes late -------------------------------------------------------- */

static uint64_t late_now(void *host)
{
    return *(uint64_t *)host;
}

Test(mc146818, a_late_host_gets_one_interrupt_and_the_phase_is_kept)
{
    DevemuHostOps ops = {.size = sizeof(ops), .now = late_now};
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_mc146818, NULL, NULL);
    uint64_t now = 0, value;

    devemu_device_set_host(dev, &ops, &now);
    devemu_device_write(dev, 0, 0, 1, B);
    devemu_device_write(dev, 0, 1, 1, UIE | H24);
    now = 1000 * S + 77;
    devemu_device_run(dev);
    cr_assert_eq(devemu_device_lines(dev) & 1, 1);
    devemu_device_write(dev, 0, 0, 1, C);
    cr_assert_eq(devemu_device_read(dev, 0, 1, 1, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(devemu_device_deadline(dev), 1001 * S);
}
