/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mc146818.c: Motorola MC146818A real-time clock and CMOS RAM, with the 128 bytes and the two ports
 * of a PC.
 *
 * Datasheet: Motorola MC146818A (Advance Information, 1984), below "DS" with the heading of the
 * chapter. The ports, the NMI mask and the century byte are those of PC chipsets and firmware:
 * Intel 82371AB (PIIX4), 290562-001, NMI registers and RTC registers, below "PIIX4".
 *
 * Time is that of the host's virtual clock, and starts at property "base". Time bytes and flags are
 * computed from the moment when they are looked at; there is a deadline only where an enabled flag
 * will interrupt. The new time stands, UF and AF are set, at the end of the update cycle; while the
 * cycle lasts the bytes read as before (the datasheet leaves them undefined).
 *
 * The file is long because a third of it is tables, and each row has a callback of a few lines.
 *
 * The chip as delivered has registers A and B as firmware leaves them (26h, 02h): its battery kept
 * them.
 *
 * Not modelled: daylight savings (DSE is stored); time bases other than 32.768 kHz (with any other
 * DV the divider chain stands still); the 256 bytes of the PIIX4; the century byte is RAM, as in
 * the chip: firmware counts it.
 */
#include "mc146818-time.h"

enum {
    BANK_IO,
    BANK_CMOS,
};

enum {
    INDEX = 0x7f,
    INDEX_NMI_MASK = 0x80,
};

enum {
    LINE_IRQ,
    LINE_SQW,
    LINE_NMI_MASK,
};

/* --- flags and interrupts ---------------------------------------------------------- */

/* The flags that were set after one moment and up to another. */
static uint8_t flags_between(const struct rtc *rtc, uint64_t from, uint64_t to)
{
    uint8_t flags = 0;
    uint64_t updates;
    uint32_t alarm;

    if (to <= from || !rtc_divides(rtc)) {
        return 0;
    }
    if (rtc_periodic_count(rtc, from) != rtc_periodic_count(rtc, to)) {
        flags |= C_PF;
    }
    updates = rtc_update_count(rtc, to) - rtc_update_count(rtc, from);
    if (updates == 0 || !rtc_updates(rtc)) {
        return flags;
    }
    alarm = rtc_alarm_in(rtc, rtc_second_of_day(rtc, from));
    if (alarm != 0 && alarm <= updates) {
        flags |= C_AF;
    }
    return flags | C_UF;
}

static uint8_t flags_at(const struct rtc *rtc, uint64_t now)
{
    return rtc->ram[RTC_C] | flags_between(rtc, rtc->seen_ns, now);
}

/* Put the flags up to now into register C; before anything changes that they depend on. */
static void gather(struct rtc *rtc, uint64_t now)
{
    rtc->ram[RTC_C] = flags_at(rtc, now);
    rtc->seen_ns = now;
}

/* DS "Register C": IRQF is the AND of flags and enables, of any of the three. The bits stand at the
 * same places in B and C. */
static bool interrupts(const struct rtc *rtc, uint8_t flags)
{
    return (flags & rtc->ram[RTC_B] & C_FLAGS) != 0;
}

/* The next moment at which an enabled flag is set. */
static uint64_t next_flag(const struct rtc *rtc, uint64_t now)
{
    uint8_t enabled = rtc->ram[RTC_B];
    uint64_t next = DEVEMU_NEVER;
    uint64_t updates = rtc_update_count(rtc, now);
    uint64_t when;
    uint32_t alarm;

    if (rtc_divides(rtc) && (enabled & B_PIE)) {
        next = rtc_periodic_ns(rtc, rtc_periodic_count(rtc, now) + 1);
    }
    if (!rtc_updates(rtc)) {
        return next;
    }
    if (enabled & B_UIE) {
        when = rtc_update_ns(rtc, updates + 1);
        next = when < next ? when : next;
    }
    alarm = enabled & B_AIE ? rtc_alarm_in(rtc, rtc_second_of_day(rtc, now)) : 0;
    if (alarm != 0) {
        when = rtc_update_ns(rtc, updates + alarm);
        next = when < next ? when : next;
    }
    return next;
}

/* While IRQ# is asserted nothing more can happen to it. */
static void schedule(struct rtc *rtc, uint64_t now)
{
    rtc->event_ns = interrupts(rtc, rtc->ram[RTC_C]) ? DEVEMU_NEVER : next_flag(rtc, now);
}

static void event_due(void *state, uint64_t due_ns)
{
    struct rtc *rtc = state;
    uint64_t now = devemu_now(rtc->dev);

    (void)due_ns;
    gather(rtc, now);
    schedule(rtc, now);
}

/* --- square wave ------------------------------------------------------------------- */

static bool sqw_runs(const struct rtc *rtc)
{
    return rtc->follow_sqw && (rtc->ram[RTC_B] & B_SQWE) && rtc_divides(rtc) &&
           (rtc->ram[RTC_A] & A_RS);
}

/* DS "SQW": the tap that RS selects, while SQWE is set. */
static void sqw_start(struct rtc *rtc, uint64_t now)
{
    uint64_t half = rtc_half_count(rtc, now);

    rtc->sqw = sqw_runs(rtc) && (half & 1);
    rtc->sqw_ns = sqw_runs(rtc) ? rtc_half_ns(rtc, half + 1) : DEVEMU_NEVER;
}

static void sqw_due(void *state, uint64_t due_ns)
{
    struct rtc *rtc = state;
    uint64_t half = rtc_half_count(rtc, due_ns);
    uint64_t now_half = rtc_half_count(rtc, devemu_now(rtc->dev));

    if (!sqw_runs(rtc)) {
        return;
    }
    rtc->sqw = half & 1;
    half++;
    if (now_half > half) {
        half += (now_half - half) & ~UINT64_C(1); /* late: whole periods are left out */
    }
    rtc->sqw_ns = rtc_half_ns(rtc, half);
}

/* --- changes of mode --------------------------------------------------------------- */

/* Flags and time up to now, with everything as it was. */
static void stop(struct rtc *rtc, uint64_t now)
{
    gather(rtc, now);
    if (rtc_updates(rtc)) {
        rtc_freeze(rtc, now);
    }
}

static void go_on(struct rtc *rtc, uint64_t now)
{
    if (rtc_updates(rtc)) {
        rtc_thaw(rtc, now);
    }
    schedule(rtc, now);
    sqw_start(rtc, now);
}

/* DS "Register A": when the divider reset is removed the first update cycle begins half a second
 * later. */
static void a_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct rtc *rtc = state;
    uint64_t now = devemu_now(rtc->dev);
    uint8_t next = rtc->ram[RTC_A];
    bool divided;

    (void)index;
    (void)value;
    rtc->ram[RTC_A] = (uint8_t)old;
    divided = rtc_divides(rtc);
    stop(rtc, now);
    rtc->ram[RTC_A] = next;
    if (!divided && rtc_divides(rtc)) {
        rtc->phase_ns = (now + RTC_SECOND_NS / 2 + RTC_UPDATE_NS) % RTC_SECOND_NS;
    }
    go_on(rtc, now);
}

/* DS "Register B": SET stops the updates, not the divider chain; going high it clears UIE. */
static void b_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct rtc *rtc = state;
    uint64_t now = devemu_now(rtc->dev);
    uint8_t next = rtc->ram[RTC_B];

    (void)index;
    (void)value;
    rtc->ram[RTC_B] = (uint8_t)old;
    stop(rtc, now);
    if ((next & B_SET) && (old & B_SET) == 0) {
        next &= (uint8_t)~B_UIE;
    }
    rtc->ram[RTC_B] = next;
    go_on(rtc, now);
}

static void time_wrote(struct rtc *rtc, unsigned at)
{
    uint64_t now = devemu_now(rtc->dev);
    uint8_t next = rtc->ram[at];

    stop(rtc, now);
    rtc->ram[at] = next;
    go_on(rtc, now);
}

static void alarm_wrote(struct rtc *rtc, unsigned at, uint64_t old)
{
    uint64_t now = devemu_now(rtc->dev);
    uint8_t next = rtc->ram[at];

    rtc->ram[at] = (uint8_t)old;
    gather(rtc, now);
    rtc->ram[at] = next;
    schedule(rtc, now);
}

/* --- register callbacks ------------------------------------------------------------ */

static uint64_t time_read(const struct rtc *rtc, unsigned at)
{
    struct rtc now;

    if (!rtc_updates(rtc)) {
        return rtc->ram[at];
    }
    now = *rtc;
    rtc_freeze(&now, devemu_now(rtc->dev));
    return now.ram[at];
}

static uint64_t seconds_read(const void *state, unsigned index)
{
    (void)index;
    return time_read(state, RTC_SECONDS);
}

static uint64_t minutes_read(const void *state, unsigned index)
{
    (void)index;
    return time_read(state, RTC_MINUTES);
}

static uint64_t hours_read(const void *state, unsigned index)
{
    (void)index;
    return time_read(state, RTC_HOURS);
}

static uint64_t date_read(const void *state, unsigned index)
{
    return time_read(state, RTC_DAY + index);
}

static void seconds_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    time_wrote(state, RTC_SECONDS);
}

static void minutes_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    time_wrote(state, RTC_MINUTES);
}

static void hours_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    time_wrote(state, RTC_HOURS);
}

static void date_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)value;
    (void)old;
    time_wrote(state, RTC_DAY + index);
}

static void seconds_alarm_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    alarm_wrote(state, RTC_SECONDS_ALARM, old);
}

static void minutes_alarm_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    alarm_wrote(state, RTC_MINUTES_ALARM, old);
}

static void hours_alarm_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    alarm_wrote(state, RTC_HOURS_ALARM, old);
}

static uint64_t a_read(const void *state, unsigned index)
{
    const struct rtc *rtc = state;

    (void)index;
    return rtc->ram[RTC_A] | (rtc_uip(rtc, devemu_now(rtc->dev)) ? A_UIP : 0u);
}

static uint64_t c_read(const void *state, unsigned index)
{
    const struct rtc *rtc = state;
    uint8_t flags = flags_at(rtc, devemu_now(rtc->dev));

    (void)index;
    return flags | (interrupts(rtc, flags) ? C_IRQF : 0u);
}

/* DS "Register C": a read clears all flags. */
static void c_took(void *state, unsigned index)
{
    struct rtc *rtc = state;
    uint64_t now = devemu_now(rtc->dev);

    (void)index;
    gather(rtc, now);
    rtc->ram[RTC_C] = 0;
    schedule(rtc, now);
}

/* PIIX4, NMIEN: write-only; what a read gives is the bus without a driver. */
static uint64_t index_read(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return 0xff;
}

static void index_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct rtc *rtc = state;

    (void)index;
    (void)old;
    rtc->index = value & INDEX;
    rtc->nmi_masked = (value & INDEX_NMI_MASK) != 0;
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits index_bits[] = {{"NMI_MASK", INDEX_NMI_MASK}, {"INDEX", INDEX}, {0}};
static const DevemuBits a_bits[] = {{"UIP", A_UIP}, {"DV", A_DV}, {"RS", A_RS}, {0}};
static const DevemuBits b_bits[] = {
    {"SET", B_SET},     {"PIE", B_PIE},   {"AIE", B_AIE},
    {"UIE", B_UIE},     {"SQWE", B_SQWE}, {"DM", B_DM},
    {"24/12", B_24_12}, {"DSE", B_DSE},   {0},
};
static const DevemuBits c_bits[] = {
    {"IRQF", C_IRQF}, {"PF", C_PF}, {"AF", C_AF}, {"UF", C_UF}, {0},
};
static const DevemuBits d_bits[] = {{"VRT", D_VRT}, {0}};

static const DevemuReg io_regs[] = {
    {
        .name = "INDEX",
        .title = "register number, NMI mask",
        .section = "PIIX4, NMIEN",
        .bits = index_bits,
        .at = 0,
        .size = 1,
        DEVEMU_IN(struct rtc, index),
        .keep_hard = 0xff,
        .read = index_read,
        .wrote = index_wrote,
    },
    {
        .name = "DATA",
        .title = "register that INDEX names",
        .section = "PIIX4, RTC data",
        .at = 1,
        .size = 1,
        DEVEMU_WINDOW(BANK_CMOS, struct rtc, index),
    },
};

static const DevemuReg cmos_regs[] = {
    {
        .name = "Seconds",
        .section = "Time, Calendar, and Alarm Locations",
        .at = RTC_SECONDS,
        DEVEMU_IN(struct rtc, ram[RTC_SECONDS]),
        .keep_hard = 0xff,
        .read = seconds_read,
        .wrote = seconds_wrote,
    },
    {
        .name = "SecondsAlarm",
        .section = "Time, Calendar, and Alarm Locations",
        .at = RTC_SECONDS_ALARM,
        DEVEMU_IN(struct rtc, ram[RTC_SECONDS_ALARM]),
        .keep_hard = 0xff,
        .wrote = seconds_alarm_wrote,
    },
    {
        .name = "Minutes",
        .section = "Time, Calendar, and Alarm Locations",
        .at = RTC_MINUTES,
        DEVEMU_IN(struct rtc, ram[RTC_MINUTES]),
        .keep_hard = 0xff,
        .read = minutes_read,
        .wrote = minutes_wrote,
    },
    {
        .name = "MinutesAlarm",
        .section = "Time, Calendar, and Alarm Locations",
        .at = RTC_MINUTES_ALARM,
        DEVEMU_IN(struct rtc, ram[RTC_MINUTES_ALARM]),
        .keep_hard = 0xff,
        .wrote = minutes_alarm_wrote,
    },
    {
        .name = "Hours",
        .section = "Time, Calendar, and Alarm Locations",
        .at = RTC_HOURS,
        DEVEMU_IN(struct rtc, ram[RTC_HOURS]),
        .keep_hard = 0xff,
        .read = hours_read,
        .wrote = hours_wrote,
    },
    {
        .name = "HoursAlarm",
        .section = "Time, Calendar, and Alarm Locations",
        .at = RTC_HOURS_ALARM,
        DEVEMU_IN(struct rtc, ram[RTC_HOURS_ALARM]),
        .keep_hard = 0xff,
        .wrote = hours_alarm_wrote,
    },
    {
        .name = "Calendar",
        .title = "day of the week, date of the month, month, year",
        .section = "Time, Calendar, and Alarm Locations",
        .at = RTC_DAY,
        .count = 4,
        DEVEMU_IN(struct rtc, ram[RTC_DAY]),
        .keep_hard = 0xff,
        .read = date_read,
        .wrote = date_wrote,
    },
    {
        .name = "A",
        .title = "Register A",
        .section = "Register A",
        .bits = a_bits,
        .at = RTC_A,
        DEVEMU_IN(struct rtc, ram[RTC_A]),
        .reset = 0x26,
        .keep_hard = 0xff,
        .ro = A_UIP,
        .read = a_read,
        .wrote = a_wrote,
    },
    {
        .name = "B",
        .title = "Register B",
        .section = "Register B; Reset",
        .bits = b_bits,
        .at = RTC_B,
        DEVEMU_IN(struct rtc, ram[RTC_B]),
        .reset = B_24_12,
        .keep_hard = B_SET | B_DM | B_24_12 | B_DSE,
        .wrote = b_wrote,
    },
    {
        .name = "C",
        .title = "Register C",
        .section = "Register C; Reset",
        .bits = c_bits,
        .at = RTC_C,
        DEVEMU_IN(struct rtc, ram[RTC_C]),
        .ro = 0xff,
        .read = c_read,
        .took = c_took,
    },
    {
        .name = "D",
        .title = "Register D; the battery is always good",
        .section = "Register D",
        .bits = d_bits,
        .at = RTC_D,
        DEVEMU_IN(struct rtc, ram[RTC_D]),
        .reset = D_VRT,
        .keep_hard = 0xff,
        .ro = 0xff,
    },
    {
        .name = "RAM",
        .title = "CMOS RAM; 32h is the century",
        .section = "Static CMOS RAM",
        .at = RTC_RAM,
        .count = RTC_BYTES - RTC_RAM,
        DEVEMU_IN(struct rtc, ram[RTC_RAM]),
        .keep_hard = 0xff,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 2,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
    [BANK_CMOS] = {.name = "cmos",
                   .kind = DEVEMU_BANK_INDEXED,
                   .size = RTC_BYTES,
                   .regs = cmos_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(cmos_regs)},
};

/* --- reset, lines, snapshot -------------------------------------------------------- */

static void power_on(struct rtc *rtc)
{
    if (rtc->cmos.len > RTC_RAM) {
        memcpy(rtc->ram + RTC_RAM, rtc->cmos.data + RTC_RAM, rtc->cmos.len - RTC_RAM);
    }
    rtc_set_base(rtc);
    rtc_thaw(rtc, 0);
}

/* DS "Reset": the flags and enables, not the time, the calendar or the RAM. */
static void rtc_reset(void *state, DevemuReset kind)
{
    struct rtc *rtc = state;
    uint64_t now = kind == DEVEMU_RESET_POWER ? 0 : devemu_now(rtc->dev);

    if (kind == DEVEMU_RESET_SOFT) {
        return;
    }
    if (kind == DEVEMU_RESET_POWER) {
        power_on(rtc);
    }
    rtc->seen_ns = now;
    rtc->nmi_masked = true; /* PIIX4, NMIEN: 80h after reset */
    schedule(rtc, now);
    sqw_start(rtc, now);
}

static uint64_t rtc_lines(const void *state)
{
    const struct rtc *rtc = state;
    uint64_t lines = 0;

    lines |= interrupts(rtc, rtc->ram[RTC_C]) ? UINT64_C(1) << LINE_IRQ : 0;
    lines |= rtc->sqw ? UINT64_C(1) << LINE_SQW : 0;
    lines |= rtc->nmi_masked ? UINT64_C(1) << LINE_NMI_MASK : 0;
    return lines;
}

static bool rtc_valid(const void *state)
{
    const struct rtc *rtc = state;

    return rtc->index <= INDEX && rtc->weekday < 7 && rtc->phase_ns < RTC_SECOND_NS &&
           rtc->epoch_s < RTC_CYCLE_S && (rtc->ram[RTC_A] & A_UIP) == 0 &&
           (rtc->ram[RTC_C] & ~C_FLAGS) == 0 && rtc->ram[RTC_D] == D_VRT;
}

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct rtc, seen_ns),
    DEVEMU_SAVE(struct rtc, epoch_s),
    DEVEMU_SAVE(struct rtc, phase_ns),
    DEVEMU_SAVE_MAX(struct rtc, weekday, 6),
    DEVEMU_SAVE(struct rtc, nmi_masked),
    DEVEMU_SAVE(struct rtc, sqw),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct rtc, event_ns, event_due),
    DEVEMU_TIMER(struct rtc, sqw_ns, sqw_due),
    {0},
};

static const DevemuProperty properties[] = {
    {.name = "base",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct rtc, base_s),
     .value = "946684800",
     .max = RTC_BASE_MAX,
     .doc =
         "Time at moment 0 of the host's clock, in seconds since 1970, UTC or local as the guest "
         "expects it; the default is the beginning of the year 2000."},
    {.name = "cmos",
     .type = DEVEMU_PROPERTY_BLOB,
     DEVEMU_OPTION(struct rtc, cmos),
     .max = RTC_BYTES,
     .doc = "Contents of the RAM, as an image of all bytes from 00h on; bytes 00h to 0Dh and the "
            "century at 32h are not taken."},
    {.name = "sqw",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct rtc, follow_sqw),
     .doc = "Is the square wave output followed? It costs a deadline for each edge; else it stays "
            "low."},
    {0},
};

static const char *const outputs[] = {"IRQ", "SQW", "NMI_MASK", NULL};
static const DevemuIsa isa = {.bases = {0x70}, .irq = 8};

const DevemuModel devemu_model_mc146818 = {
    .name = "mc146818",
    .title = "Motorola MC146818A real-time clock and CMOS RAM",
    .datasheet = "Motorola MC146818A, Advance Information; ports: Intel 82371AB, 290562-001",
    .not_modelled =
        "daylight savings; time bases other than 32.768 kHz; the upper 128 bytes of the "
        "PIIX4; the chip does not count the century",
    .state_size = sizeof(struct rtc),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = rtc_lines,
    .reset = rtc_reset,
    .valid = rtc_valid,
    .isa = &isa,
};
