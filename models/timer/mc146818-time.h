/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mc146818-time.h: the clock, calendar and divider chain of the MC146818A, for mc146818.c.
 */
#ifndef DEVEMU_MODELS_TIMER_MC146818_TIME_H
#define DEVEMU_MODELS_TIMER_MC146818_TIME_H

#include <devemu/model.h>

/* DS "Address Map"; the century is a byte of RAM in which PC firmware keeps it. */
enum {
    RTC_SECONDS,
    RTC_SECONDS_ALARM,
    RTC_MINUTES,
    RTC_MINUTES_ALARM,
    RTC_HOURS,
    RTC_HOURS_ALARM,
    RTC_DAY,
    RTC_DATE,
    RTC_MONTH,
    RTC_YEAR,
    RTC_A,
    RTC_B,
    RTC_C,
    RTC_D,
    RTC_RAM,
    RTC_CENTURY = 0x32,
    RTC_BYTES = 128,
};

/* DS "Register A" to "Register D". */
enum {
    A_RS = 0x0f,
    A_DV = 0x70,
    A_DV_32KHZ = 0x20,
    A_UIP = 0x80,
    B_DSE = 0x01,
    B_24_12 = 0x02,
    B_DM = 0x04,
    B_SQWE = 0x08,
    B_UIE = 0x10,
    B_AIE = 0x20,
    B_PIE = 0x40,
    B_SET = 0x80,
    C_UF = 0x10,
    C_AF = 0x20,
    C_PF = 0x40,
    C_FLAGS = 0x70,
    C_IRQF = 0x80,
    D_VRT = 0x80,
};

#define RTC_SECOND_NS  UINT64_C(1000000000)
#define RTC_BEFORE_NS  UINT64_C(244000)  /* UIP before an update cycle, DS Table 6, tBUC */
#define RTC_UPDATE_NS  UINT64_C(1984000) /* update cycle at 32.768 kHz, DS Table 6, tUC */
#define RTC_DAY_S      UINT64_C(86400)
#define RTC_CALENDAR_S (36525 * RTC_DAY_S)    /* years 00 to 99, each fourth a leap year */
#define RTC_CYCLE_S    (7 * RTC_CALENDAR_S)   /* after which days of the week repeat, too */
#define RTC_BASE_MAX   UINT64_C(253402300799) /* the end of year 9999 */

struct rtc {
    DevemuDevice *dev;
    uint64_t event_ns; /* a flag that interrupts will be set */
    uint64_t sqw_ns;   /* SQW changes */
    uint64_t seen_ns;  /* register C holds the flags up to this moment */
    uint64_t epoch_s;  /* calendar seconds at update 0, modulo RTC_CYCLE_S */
    uint64_t phase_ns; /* moment within a second at which update cycles end */
    uint64_t base_s;
    DevemuBlob cmos;
    uint32_t weekday;       /* of day 0 of the calendar, 0 is Sunday */
    uint8_t ram[RTC_BYTES]; /* time bytes are current only while there are no updates */
    uint8_t index;
    bool nmi_masked;
    bool sqw;
    bool follow_sqw;
};

/* Does the divider chain run? Are there update cycles? */
bool rtc_divides(const struct rtc *rtc);
bool rtc_updates(const struct rtc *rtc);

/* Update cycles that ended at or before a moment, counted from one before moment 0; and back. */
uint64_t rtc_update_count(const struct rtc *rtc, uint64_t ns);
uint64_t rtc_update_ns(const struct rtc *rtc, uint64_t count);
/* Is an update cycle under way, or begins within tBUC? */
bool rtc_uip(const struct rtc *rtc, uint64_t now);

/* Periodic interrupts at or before a moment; and back. 0 and never if the rate is none. */
uint64_t rtc_periodic_count(const struct rtc *rtc, uint64_t ns);
uint64_t rtc_periodic_ns(const struct rtc *rtc, uint64_t count);
/* Half periods of the square wave, likewise; odd ones are high. */
uint64_t rtc_half_count(const struct rtc *rtc, uint64_t ns);
uint64_t rtc_half_ns(const struct rtc *rtc, uint64_t count);

/* The time bytes as they are at a moment, into ram; and from there on as they are in ram. */
void rtc_freeze(struct rtc *rtc, uint64_t now);
void rtc_thaw(struct rtc *rtc, uint64_t now);
/* Seconds of the day. */
uint32_t rtc_second_of_day(const struct rtc *rtc, uint64_t now);
/* Updates from a second of the day to the next alarm, 1 to 86400; 0 if the alarm bytes match never.
 */
uint32_t rtc_alarm_in(const struct rtc *rtc, uint32_t second_of_day);
/* Put the date of base_s into ram. */
void rtc_set_base(struct rtc *rtc);

#endif
