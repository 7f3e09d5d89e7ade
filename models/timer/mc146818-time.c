/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mc146818-time.c: the clock, calendar and divider chain of the MC146818A, all of it a function of
 * the moment, so that a year that passes costs no more than a second. The datasheet ("DS"): see
 * mc146818.c.
 */
#include "mc146818-time.h"

/* --- divider chain ----------------------------------------------------------------- */

/* The 32.768 kHz of the crystal, as a fraction in lowest terms: so many ticks in so many ns. */
#define CRYSTAL_TICKS UINT64_C(64)
#define CRYSTAL_NS    UINT64_C(1953125)

bool rtc_divides(const struct rtc *rtc)
{
    return (rtc->ram[RTC_A] & A_DV) == A_DV_32KHZ;
}

bool rtc_updates(const struct rtc *rtc)
{
    return rtc_divides(rtc) && (rtc->ram[RTC_B] & B_SET) == 0;
}

uint64_t rtc_update_count(const struct rtc *rtc, uint64_t ns)
{
    return (ns + RTC_SECOND_NS - rtc->phase_ns) / RTC_SECOND_NS;
}

uint64_t rtc_update_ns(const struct rtc *rtc, uint64_t count)
{
    return (count - 1) * RTC_SECOND_NS + rtc->phase_ns;
}

/* DS "Register A", Table 6: tBUC and tUC before the new time stands. */
bool rtc_uip(const struct rtc *rtc, uint64_t now)
{
    uint64_t since = (now + RTC_SECOND_NS - rtc->phase_ns) % RTC_SECOND_NS;

    return rtc_updates(rtc) && since >= RTC_SECOND_NS - RTC_UPDATE_NS - RTC_BEFORE_NS;
}

/* DS Table 5, 32.768 kHz: crystal ticks of a period; 0 is none. */
static uint64_t period_ticks(const struct rtc *rtc)
{
    unsigned rate = rtc->ram[RTC_A] & A_RS;

    if (rate == 0) {
        return 0;
    }
    return UINT64_C(1) << (rate < 3 ? rate + 6 : rate - 1);
}

/* Where all taps of the divider chain go low: when an update cycle begins. */
static uint64_t chain_ns(const struct rtc *rtc)
{
    return (rtc->phase_ns + RTC_SECOND_NS - RTC_UPDATE_NS) % RTC_SECOND_NS;
}

static uint64_t crystal_ticks(const struct rtc *rtc, uint64_t ns)
{
    uint64_t x = ns + RTC_SECOND_NS - chain_ns(rtc);

    return x / CRYSTAL_NS * CRYSTAL_TICKS + x % CRYSTAL_NS * CRYSTAL_TICKS / CRYSTAL_NS;
}

static uint64_t crystal_ns(const struct rtc *rtc, uint64_t ticks)
{
    uint64_t x = ticks / CRYSTAL_TICKS * CRYSTAL_NS +
                 (ticks % CRYSTAL_TICKS * CRYSTAL_NS + CRYSTAL_TICKS - 1) / CRYSTAL_TICKS;

    return x + chain_ns(rtc) - RTC_SECOND_NS;
}

uint64_t rtc_half_count(const struct rtc *rtc, uint64_t ns)
{
    uint64_t period = period_ticks(rtc);

    return period ? crystal_ticks(rtc, ns) / (period / 2) : 0;
}

uint64_t rtc_half_ns(const struct rtc *rtc, uint64_t count)
{
    uint64_t period = period_ticks(rtc);

    return period ? crystal_ns(rtc, count * (period / 2)) : DEVEMU_NEVER;
}

/* DS "Update Cycle", Figure "Update-Ended and Periodic Interrupt Relationships": PF is set half a
 * period before the update cycle begins, that is with each rising edge of the tap. */
uint64_t rtc_periodic_count(const struct rtc *rtc, uint64_t ns)
{
    return (rtc_half_count(rtc, ns) + 1) / 2;
}

uint64_t rtc_periodic_ns(const struct rtc *rtc, uint64_t count)
{
    return rtc_half_ns(rtc, 2 * count - 1);
}

/* --- how numbers are written: DS "Time, Calendar, and Alarm Locations" ------------- */

static uint8_t pack(const struct rtc *rtc, unsigned value)
{
    return (uint8_t)(rtc->ram[RTC_B] & B_DM ? value : value / 10 << 4 | value % 10);
}

static unsigned unpack(const struct rtc *rtc, uint8_t value)
{
    return rtc->ram[RTC_B] & B_DM ? value : (value >> 4) * 10u + (value & 15);
}

static uint8_t pack_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->ram[RTC_B] & B_24_12) {
        return pack(rtc, hour);
    }
    return (uint8_t)(pack(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
}

static unsigned unpack_hour(const struct rtc *rtc, uint8_t value)
{
    if (rtc->ram[RTC_B] & B_24_12) {
        return unpack(rtc, value) % 24;
    }
    return unpack(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* --- calendar ---------------------------------------------------------------------- */

static const uint8_t month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

static unsigned days_of(unsigned month, bool leap)
{
    return month_days[month] + (month == 1 && leap ? 1u : 0u);
}

/* Day of the year to month (from 0) and day of the month (from 0). */
static unsigned split_year(unsigned day, bool leap, unsigned *ret_day)
{
    unsigned month = 0;

    while (month < 11 && day >= days_of(month, leap)) {
        day -= days_of(month, leap);
        month++;
    }
    *ret_day = day;
    return month;
}

static void freeze_date(struct rtc *rtc, uint64_t days)
{
    unsigned day = (unsigned)(days % 36525);
    unsigned rest = day % 1461; /* a leap year first, then three others */
    unsigned in_four = rest < 366 ? 0 : 1 + (rest - 366) / 365;
    unsigned month, date;

    month = split_year(in_four ? (rest - 366) % 365 : rest, in_four == 0, &date);
    rtc->ram[RTC_DAY] = pack(rtc, 1 + (unsigned)((days + rtc->weekday) % 7));
    rtc->ram[RTC_DATE] = pack(rtc, date + 1);
    rtc->ram[RTC_MONTH] = pack(rtc, month + 1);
    rtc->ram[RTC_YEAR] = pack(rtc, day / 1461 * 4 + in_four);
}

/* A day or month of 0, or more than there are, is no date: the datasheet leaves open what becomes
 * of it; here it is taken modulo, and the days beyond a month go into the next. */
static unsigned thaw_date(const struct rtc *rtc)
{
    unsigned year = unpack(rtc, rtc->ram[RTC_YEAR]) % 100;
    unsigned month = (unpack(rtc, rtc->ram[RTC_MONTH]) + 11) % 12;
    unsigned day = year * 365 + (year + 3) / 4 + (unpack(rtc, rtc->ram[RTC_DATE]) + 30) % 31;

    for (unsigned m = 0; m < month; m++) {
        day += days_of(m, year % 4 == 0);
    }
    return day % 36525;
}

static uint64_t calendar_s(const struct rtc *rtc, uint64_t now)
{
    return (rtc->epoch_s + rtc_update_count(rtc, now) % RTC_CYCLE_S) % RTC_CYCLE_S;
}

uint32_t rtc_second_of_day(const struct rtc *rtc, uint64_t now)
{
    return (uint32_t)(calendar_s(rtc, now) % RTC_DAY_S);
}

void rtc_freeze(struct rtc *rtc, uint64_t now)
{
    uint64_t s = calendar_s(rtc, now);
    unsigned of_day = (unsigned)(s % RTC_DAY_S);

    rtc->ram[RTC_SECONDS] = pack(rtc, of_day % 60);
    rtc->ram[RTC_MINUTES] = pack(rtc, of_day / 60 % 60);
    rtc->ram[RTC_HOURS] = pack_hour(rtc, of_day / 3600);
    freeze_date(rtc, s / RTC_DAY_S);
}

void rtc_thaw(struct rtc *rtc, uint64_t now)
{
    unsigned day = thaw_date(rtc);
    unsigned weekday = (unpack(rtc, rtc->ram[RTC_DAY]) + 6) % 7;
    uint64_t s = day * RTC_DAY_S + unpack_hour(rtc, rtc->ram[RTC_HOURS]) * UINT64_C(3600) +
                 unpack(rtc, rtc->ram[RTC_MINUTES]) % 60 * 60 +
                 unpack(rtc, rtc->ram[RTC_SECONDS]) % 60;

    rtc->weekday = (weekday + 7 - day % 7) % 7;
    rtc->epoch_s = (s + RTC_CYCLE_S - rtc_update_count(rtc, now) % RTC_CYCLE_S) % RTC_CYCLE_S;
}

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

void rtc_set_base(struct rtc *rtc)
{
    uint64_t days = rtc->base_s / RTC_DAY_S;
    unsigned of_day = (unsigned)(rtc->base_s % RTC_DAY_S);
    unsigned year = 1970 + (unsigned)(days / 146097) * 400;
    unsigned day = (unsigned)(days % 146097);
    unsigned month, date;

    while (day >= (is_leap(year) ? 366u : 365u)) {
        day -= is_leap(year) ? 366 : 365;
        year++;
    }
    month = split_year(day, is_leap(year), &date);
    rtc->ram[RTC_SECONDS] = pack(rtc, of_day % 60);
    rtc->ram[RTC_MINUTES] = pack(rtc, of_day / 60 % 60);
    rtc->ram[RTC_HOURS] = pack_hour(rtc, of_day / 3600);
    rtc->ram[RTC_DAY] = pack(rtc, 1 + (unsigned)((days + 4) % 7)); /* 1970 began on a Thursday */
    rtc->ram[RTC_DATE] = pack(rtc, date + 1);
    rtc->ram[RTC_MONTH] = pack(rtc, month + 1);
    rtc->ram[RTC_YEAR] = pack(rtc, year % 100);
    rtc->ram[RTC_CENTURY] = pack(rtc, year / 100);
}

/* --- alarm ------------------------------------------------------------------------- */

/* DS "Time, Calendar, and Alarm Locations": two ones at the top are "don't care". */
static bool matches(uint8_t alarm, uint8_t packed)
{
    return alarm >= 0xc0 || alarm == packed;
}

static bool second_matches(const struct rtc *rtc, unsigned second)
{
    return matches(rtc->ram[RTC_SECONDS_ALARM], pack(rtc, second));
}

static bool minute_matches(const struct rtc *rtc, unsigned minute)
{
    return matches(rtc->ram[RTC_MINUTES_ALARM], pack(rtc, minute));
}

static bool hour_matches(const struct rtc *rtc, unsigned hour)
{
    return matches(rtc->ram[RTC_HOURS_ALARM], pack_hour(rtc, hour));
}

typedef bool MatchFunc(const struct rtc *rtc, unsigned value);

/* The first value from `from` on that matches; count if none does. */
static unsigned first_match(const struct rtc *rtc, MatchFunc *func, unsigned from, unsigned count)
{
    while (from < count && !func(rtc, from)) {
        from++;
    }
    return from;
}

/* The first alarm at or after a second of the day; RTC_DAY_S if there is none in that day. All
 * fields match somewhere. */
static uint32_t alarm_from(const struct rtc *rtc, uint32_t second_of_day)
{
    unsigned h = second_of_day / 3600, m = second_of_day / 60 % 60, s = second_of_day % 60;
    unsigned hour = first_match(rtc, hour_matches, h, 24);
    unsigned minute = 60, second = 60;

    if (hour == h) {
        minute = first_match(rtc, minute_matches, m, 60);
        if (minute == m) {
            second = first_match(rtc, second_matches, s, 60);
            minute = second < 60 ? m : first_match(rtc, minute_matches, m + 1, 60);
        }
        hour = minute < 60 ? h : first_match(rtc, hour_matches, h + 1, 24);
    }
    if (hour == 24) {
        return (uint32_t)RTC_DAY_S;
    }
    if (minute == 60) {
        minute = first_match(rtc, minute_matches, 0, 60);
    }
    if (second == 60) {
        second = first_match(rtc, second_matches, 0, 60);
    }
    return hour * 3600 + minute * 60 + second;
}

uint32_t rtc_alarm_in(const struct rtc *rtc, uint32_t second_of_day)
{
    uint32_t at;

    if (first_match(rtc, hour_matches, 0, 24) == 24 ||
        first_match(rtc, minute_matches, 0, 60) == 60 ||
        first_match(rtc, second_matches, 0, 60) == 60) {
        return 0;
    }
    at = second_of_day + 1 < RTC_DAY_S ? alarm_from(rtc, second_of_day + 1) : (uint32_t)RTC_DAY_S;
    if (at == RTC_DAY_S) {
        at += alarm_from(rtc, 0);
    }
    return at - second_of_day;
}
