/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * piix4-pm.c: function 3 of the 82371AB (PIIX4): ACPI power management, SMI command port, SMBus
 * host controller. Together with a PIIX3 it makes the chipset that PC firmware for virtual machines
 * knows.
 *
 * Datasheet: Intel 82371AB (PIIX4), 290562-001, below "DS"; register descriptions are cited by the
 * register's name.
 *
 * The PM timer counts the host's clock from its zero; it is the same after every reset.
 *
 * Where no CPU has a system management mode, nobody answers the SMI command port. With smm=off (the
 * default) this model says what firmware and systems ask there: DEVACTB.APMC_EN is set from reset,
 * which SeaBIOS takes for SMM being set up, and the ACPI commands of that firmware's FADT (F1h
 * enable, F0h disable) set and clear SCI_EN at once.
 *
 * Not modelled: device monitors, traps and idle timers; clock and thermal throttling (stored);
 * SMIs other than by the command port, and their enables; general purpose input and output pins;
 * SMBus devices (none answers) and the SMBus slave; the register for resume by other events.
 */
#include "piix4-pm.h"

#include <devemu/chipset.h>

enum {
    BANK_CONFIG,
    BANK_PM,
    BANK_SMBUS,
    BANK_APM,

    PM_BYTES = 64,
    APM_PORT = 0xb2,
    APM_BYTES = 2,
};

enum {
    PMREGMISC_PMIOSE = 1 << 0,
    SMBHSTCFG_ENABLE = 1 << 0,
    SMBHSTCFG_INTSEL = 7 << 1,
    SMBHSTCFG_IRQ9 = 4 << 1,
};

#define DEVACTB_APMC_EN (UINT32_C(1) << 25)

/* PMSTS and PMEN. */
enum {
    PM_TMROF = 1 << 0,
    PM_GBL = 1 << 5,
    PM_PWRBTN = 1 << 8,
    PM_RTC = 1 << 10,
    PM_PWRBTNOR = 1 << 11,
    PM_RSM = 1 << 15,
    PM_EVENTS = PM_TMROF | PM_GBL | PM_PWRBTN | PM_RTC,
    PM_STATUS = PM_EVENTS | PM_PWRBTNOR | PM_RSM,
    /* In the resume well: a reset of the bus leaves them. */
    PM_RESUME = PM_PWRBTN | PM_RTC | PM_PWRBTNOR | PM_RSM,
};

enum {
    PMCNTRL_SCI_EN = 1 << 0,
    PMCNTRL_BRLD_EN_BM = 1 << 1,
    PMCNTRL_GBL_RLS = 1 << 2,
    PMCNTRL_SUS_TYP = 7 << 10,
    PMCNTRL_SUS_EN = 1 << 13,
};

/* SUS_TYP; others do not suspend. */
enum {
    SUSPEND_SOFF,
    SUSPEND_STR,
    SUSPEND_POSCL,
    SUSPEND_POSCCL,
    SUSPEND_POS,
};

/* GPSTS and GPEN. */
enum {
    GP_THRM = 1 << 0,
    GP_USB = 1 << 8,
    GP_GPI = 1 << 9,
    GP_RI = 1 << 10,
    GP_LID = 1 << 11,
    GP_EVENTS = GP_THRM | GP_USB | GP_GPI | GP_RI | GP_LID,
};

enum {
    GLBSTS_BIOS = 1 << 0,
    GLBSTS_APM = 1 << 5,
    GLBSTS_PM1 = 1 << 6,
    GLBSTS_GP = 1 << 7,
    GLBSTS_CLEARED = 0x0d33, /* the others follow from elsewhere */

    GLBEN_BIOS = 1 << 1,

    GLBCTL_SMI_EN = 1 << 0,
    GLBCTL_BIOS_RLS = 1 << 1,
};

/* The SMI command port's ACPI commands, as in the FADT of SeaBIOS and QEMU. */
enum {
    APMC_ACPI_DISABLE = 0xf0,
    APMC_ACPI_ENABLE = 0xf1,
};

/* DS 11.6.2: 14.31818 MHz / 4, 24 bits, an event whenever the top bit changes. */
#define PM_TIMER_HZ   UINT64_C(3579545)
#define PM_TIMER_MASK UINT32_C(0xffffff)
#define PM_TIMER_HALF UINT64_C(0x800000)
#define SECOND_NS     UINT64_C(1000000000)

/* Four PCI clocks, long enough for an edge. */
#define SMI_PULSE_NS UINT64_C(120)
/* Four seconds on the power button switch off. */
#define OVERRIDE_NS (4 * SECOND_NS)

/* --- the timer --------------------------------------------------------------------- */

static uint64_t ticks_at(uint64_t ns)
{
    return ns / SECOND_NS * PM_TIMER_HZ + ns % SECOND_NS * PM_TIMER_HZ / SECOND_NS;
}

/* The first nanosecond at which ticks_at() gives so many. */
static uint64_t ns_of(uint64_t ticks)
{
    uint64_t rest = ticks % PM_TIMER_HZ * SECOND_NS;

    return ticks / PM_TIMER_HZ * SECOND_NS + (rest + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

static uint64_t pmtmr_read(const void *state, unsigned index)
{
    const struct piix4_pm *s = state;

    (void)index;
    return ticks_at(devemu_now(s->dev)) & PM_TIMER_MASK;
}

/* While TMROF_STS is set a further change says nothing: no timer is needed then. */
static void timer_arm(struct piix4_pm *s)
{
    uint64_t halves = ticks_at(devemu_now(s->dev)) / PM_TIMER_HALF;

    s->overflow_ns = s->pmsts & PM_TMROF ? DEVEMU_NEVER : ns_of((halves + 1) * PM_TIMER_HALF);
}

static void overflowed(void *state, uint64_t due_ns)
{
    struct piix4_pm *s = state;

    (void)due_ns;
    s->pmsts |= PM_TMROF;
}

/* --- suspend and resume, DS 11.5 --------------------------------------------------- */

static void suspend(struct piix4_pm *s, unsigned type)
{
    if (type <= SUSPEND_POS) {
        s->suspend = (uint8_t)(type + 1);
    }
}

static void resume(struct piix4_pm *s)
{
    if (s->suspend) {
        s->suspend = 0;
        s->pmsts |= PM_RSM;
    }
}

static void button(struct piix4_pm *s, bool pressed)
{
    if (!pressed) {
        s->override_ns = DEVEMU_NEVER;
        return;
    }
    s->pmsts |= PM_PWRBTN;
    if (s->suspend) {
        resume(s);
    } else {
        s->override_ns = devemu_now(s->dev) + OVERRIDE_NS;
    }
}

static void overridden(void *state, uint64_t due_ns)
{
    struct piix4_pm *s = state;

    (void)due_ns;
    s->pmsts = (uint16_t)((s->pmsts & ~PM_PWRBTN) | PM_PWRBTNOR);
    suspend(s, SUSPEND_SOFF);
}

static void alarm(struct piix4_pm *s)
{
    s->pmsts |= PM_RTC;
    if (s->pmen & PM_RTC) {
        resume(s);
    }
}

static const uint16_t gp_events[] = {
    [DEVEMU_PIIX4_THRM] = GP_THRM,
    [DEVEMU_PIIX4_LID] = GP_LID,
    [DEVEMU_PIIX4_RI] = GP_RI,
    [DEVEMU_PIIX4_GPI1] = GP_GPI,
};

static void input_line(void *state, unsigned line, bool level)
{
    struct piix4_pm *s = state;

    if (line == DEVEMU_PIIX4_PWRBTN) {
        button(s, level);
    } else if (level && line == DEVEMU_PIIX4_RTC) {
        alarm(s);
    } else if (level && line < DEVEMU_N_ELEMENTS(gp_events)) {
        s->gpsts |= gp_events[line];
    }
}

/* --- power management registers ---------------------------------------------------- */

static void pmsts_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)old;
    if (value & PM_TMROF) {
        timer_arm(state);
    }
}

/* DS PMCNTRL: SUS_EN is written only, and acts at once. */
static void pmcntrl_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct piix4_pm *s = state;

    (void)index;
    (void)old;
    s->pmcntrl &= (uint16_t) ~(PMCNTRL_SUS_EN | PMCNTRL_GBL_RLS);
    if (value & PMCNTRL_GBL_RLS) {
        s->glbsts |= GLBSTS_BIOS;
    }
    if (value & PMCNTRL_SUS_EN) {
        suspend(s, (unsigned)(value & PMCNTRL_SUS_TYP) >> 10);
    }
}

static bool pm1_event(const struct piix4_pm *s)
{
    return (s->pmsts & s->pmen & PM_EVENTS) != 0;
}

static bool gp_event(const struct piix4_pm *s)
{
    return (s->gpsts & s->gpen & GP_EVENTS) != 0;
}

static uint64_t glbsts_read(const void *state, unsigned index)
{
    const struct piix4_pm *s = state;

    (void)index;
    return s->glbsts | (pm1_event(s) ? GLBSTS_PM1 : 0u) | (gp_event(s) ? GLBSTS_GP : 0u);
}

/* DS GLBCTL: BIOS_RLS tells ACPI that the firmware has let go. */
static void glbctl_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct piix4_pm *s = state;

    (void)index;
    (void)old;
    s->glbctl &= ~(uint32_t)GLBCTL_BIOS_RLS;
    if (value & GLBCTL_BIOS_RLS) {
        s->pmsts |= PM_GBL;
    }
}

/* --- the SMI command port ---------------------------------------------------------- */

static void apmc_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct piix4_pm *s = state;

    (void)index;
    (void)old;
    if (!s->smm && value == APMC_ACPI_ENABLE) {
        s->pmcntrl |= PMCNTRL_SCI_EN;
    }
    if (!s->smm && value == APMC_ACPI_DISABLE) {
        s->pmcntrl &= (uint16_t)~PMCNTRL_SCI_EN;
    }
    if (s->devactb & DEVACTB_APMC_EN) {
        s->glbsts |= GLBSTS_APM;
        if (s->glbctl & GLBCTL_SMI_EN) {
            s->smi = 1;
            s->smi_end_ns = devemu_now(s->dev) + SMI_PULSE_NS;
        }
    }
}

static void smi_ended(void *state, uint64_t due_ns)
{
    struct piix4_pm *s = state;

    (void)due_ns;
    s->smi = 0;
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits pmba_bits[] = {{"RTE", 1 << 0}, {"BASE", 0xffc0}, {NULL, 0}};
static const DevemuBits smbba_bits[] = {{"RTE", 1 << 0}, {"BASE", 0xfff0}, {NULL, 0}};
static const DevemuBits devactb_bits[] = {{"APMC_EN", DEVACTB_APMC_EN}, {NULL, 0}};
static const DevemuBits pmregmisc_bits[] = {{"PMIOSE", PMREGMISC_PMIOSE}, {NULL, 0}};
static const DevemuBits smbhstcfg_bits[] = {
    {"SMB_HST_EN", SMBHSTCFG_ENABLE}, {"SMB_INTRSEL", SMBHSTCFG_INTSEL}, {NULL, 0}};

static const DevemuBits pmsts_bits[] = {
    {"TMROF_STS", PM_TMROF},
    {"GBL_STS", PM_GBL},
    {"PWRBTN_STS", PM_PWRBTN},
    {"RTC_STS", PM_RTC},
    {"PWRBTNOR_STS", PM_PWRBTNOR},
    {"RSM_STS", PM_RSM},
    {NULL, 0},
};
static const DevemuBits pmen_bits[] = {{"TMROF_EN", PM_TMROF},
                                       {"GBL_EN", PM_GBL},
                                       {"PWRBTN_EN", PM_PWRBTN},
                                       {"RTC_EN", PM_RTC},
                                       {NULL, 0}};
static const DevemuBits pmcntrl_bits[] = {
    {"SCI_EN", PMCNTRL_SCI_EN},   {"BRLD_EN_BM", PMCNTRL_BRLD_EN_BM}, {"GBL_RLS", PMCNTRL_GBL_RLS},
    {"SUS_TYP", PMCNTRL_SUS_TYP}, {"SUS_EN", PMCNTRL_SUS_EN},         {NULL, 0},
};
static const DevemuBits gp_bits[] = {{"THRM", GP_THRM}, {"USB", GP_USB}, {"GPI", GP_GPI},
                                     {"RI", GP_RI},     {"LID", GP_LID}, {NULL, 0}};
static const DevemuBits glbsts_bits[] = {{"BIOS_STS", GLBSTS_BIOS},
                                         {"APM_STS", GLBSTS_APM},
                                         {"PM1_STS", GLBSTS_PM1},
                                         {"GP_STS", GLBSTS_GP},
                                         {NULL, 0}};
static const DevemuBits glben_bits[] = {{"BIOS_EN", GLBEN_BIOS}, {NULL, 0}};
static const DevemuBits glbctl_bits[] = {
    {"SMI_EN", GLBCTL_SMI_EN}, {"BIOS_RLS", GLBCTL_BIOS_RLS}, {"EOS", 1 << 16}, {NULL, 0}};
#define F(member) DEVEMU_IN(struct piix4_pm, member)
#define R(index)  .width = 4, .member = offsetof(struct piix4_pm, devres) + (index)*4

static const DevemuReg config_regs[] = {
    {"INTERRUPT_PIN", "INTA#, which is never driven: SCI has a pin", "DS INTPN", .at = 0x3d,
     .reset = 1, .ro = 0xff},
    {"PMBA", "Power management base address", "DS PMBA", pmba_bits, .at = 0x40, .size = 4, F(pmba),
     .reset = 1, .ro = 0xffff003f},
    {"CNTA", "Count A", "DS CNTA", .at = 0x44, .size = 4, F(cnta), .unimpl = true},
    {"CNTB", "Count B", "DS CNTB", .at = 0x48, .size = 4, F(cntb), .unimpl = true},
    {"GPICTL", "General purpose input control", "DS GPICTL", .at = 0x4c, .size = 4, F(gpictl),
     .unimpl = true},
    {"DEVRESD", "Device resource D", "DS DEVRESD", .at = 0x50, .size = 4, R(3), .ro = 0xff000000,
     .unimpl = true},
    {"DEVACTA", "Device activity A", "DS DEVACTA", .at = 0x54, .size = 4, F(devacta),
     .unimpl = true},
    {"DEVACTB", "Device activity B", "DS DEVACTB", devactb_bits, .at = 0x58, .size = 4, F(devactb)},
    {"DEVRESA", "Device resource A", "DS DEVRESA", .at = 0x5c, .size = 4, R(0), .unimpl = true},
    {"DEVRESB", "Device resource B", "DS DEVRESB", .at = 0x60, .size = 4, R(1), .unimpl = true},
    {"DEVRESC", "Device resource C", "DS DEVRESC", .at = 0x64, .size = 4, R(2), .unimpl = true},
    {"DEVRESE", "Device resource E", "DS DEVRESE", .at = 0x68, .size = 4, R(4), .ro = 0xff000000,
     .unimpl = true},
    {"DEVRESF", "Device resource F", "DS DEVRESF", .at = 0x6c, .size = 4, R(5), .unimpl = true},
    {"DEVRESG", "Device resource G", "DS DEVRESG", .at = 0x70, .size = 4, R(6), .ro = 0xff000000,
     .unimpl = true},
    {"DEVRESH", "Device resource H", "DS DEVRESH", .at = 0x74, .size = 4, R(7), .unimpl = true},
    {"DEVRESI", "Device resource I", "DS DEVRESI", .at = 0x78, .size = 4, R(8), .unimpl = true},
    {"DEVRESJ", "Device resource J", "DS DEVRESJ", .at = 0x7c, .size = 4, R(9), .unimpl = true},
    {"PMREGMISC", "Miscellaneous power management", "DS PMREGMISC", pmregmisc_bits, .at = 0x80,
     F(pmregmisc), .ro = 0xfe},
    {"SMBBA", "SMBus base address", "DS SMBBA", smbba_bits, .at = 0x90, .size = 4, F(smbba),
     .reset = 1, .ro = 0xffff000f},
    {"SMBHSTCFG", "SMBus host configuration", "DS SMBHSTCFG", smbhstcfg_bits, .at = 0xd2,
     F(smbhstcfg), .ro = 0xf0},
    {"SMBSLVC", "SMBus slave command", "DS SMBSLVC", .at = 0xd3, F(smbslvc)},
    {"SMBSHDW", "SMBus slave shadow ports", "DS SMBSHDW1", .at = 0xd4, .count = 2,
     DEVEMU_IN_ARRAY(struct piix4_pm, smbshdw)},
    {"SMBREV", "SMBus revision", "DS SMBREV", .at = 0xd6, .ro = 0xff},
};

static const DevemuReg pm_regs[] = {
    {"PMSTS", "Power management status", "DS PMSTS", pmsts_bits, .at = 0x00, .size = 2, F(pmsts),
     .w1c = PM_STATUS, .ro = 0xffff & ~PM_STATUS, .keep_hard = PM_RESUME, .wrote = pmsts_wrote},
    {"PMEN", "Power management resume enable", "DS PMEN", pmen_bits, .at = 0x02, .size = 2, F(pmen),
     .ro = 0xffff & ~PM_EVENTS, .keep_hard = PM_RTC},
    {"PMCNTRL", "Power management control", "DS PMCNTRL", pmcntrl_bits, .at = 0x04, .size = 2,
     F(pmcntrl), .ro = 0xc3f8, .wrote = pmcntrl_wrote},
    {"PMTMR", "Power management timer", "DS PMTMR", .at = 0x08, .size = 4, .ro = 0xffffffff,
     .read = pmtmr_read},
    {"GPSTS", "General purpose status", "DS GPSTS", gp_bits, .at = 0x0c, .size = 2, F(gpsts),
     .w1c = GP_EVENTS, .ro = 0xffff & ~GP_EVENTS},
    {"GPEN", "General purpose enable", "DS GPEN", gp_bits, .at = 0x0e, .size = 2, F(gpen),
     .ro = 0xffff & ~GP_EVENTS},
    {"PCNTRL", "Processor control", "DS PCNTRL", .at = 0x10, .size = 4, F(pcntrl), .unimpl = true},
    {"PLVL", "Processor levels 2 and 3: reading stops the clock, here it does nothing", "DS PLVL2",
     .at = 0x14, .count = 2, .ro = 0xff},
    {"GLBSTS", "Global status", "DS GLBSTS", glbsts_bits, .at = 0x18, .size = 2, F(glbsts),
     .w1c = GLBSTS_CLEARED, .ro = 0xffff & ~GLBSTS_CLEARED, .read = glbsts_read},
    {"DEVSTS", "Device status: no monitor", "DS DEVSTS", .at = 0x1c, .size = 4, .ro = 0xffffffff},
    {"GLBEN", "Global enable", "DS GLBEN", glben_bits, .at = 0x20, .size = 2, F(glben),
     .unimpl = true},
    {"GLBCTL", "Global control", "DS GLBCTL", glbctl_bits, .at = 0x28, .size = 4, F(glbctl),
     .wrote = glbctl_wrote},
    {"DEVCTL", "Device control", "DS DEVCTL", .at = 0x2c, .size = 4, F(devctl), .unimpl = true},
    {"GPIREG", "General purpose inputs: open", "DS GPIREG", .at = 0x30, .count = 3, .reset = 0xff,
     .ro = 0xff},
    {"GPOREG", "General purpose outputs", "DS GPOREG", .at = 0x34, .size = 4, F(gpo),
     .reset = 0x7fffbfff, .unimpl = true},
};

static const DevemuReg apm_regs[] = {
    {"APMC", "SMI command", "DS APMC", .at = 0, F(apmc), .wrote = apmc_wrote},
    {"APMS", "SMI status", "DS APMS", .at = 1, F(apms)},
};

static const DevemuBank banks[] = {
    [BANK_CONFIG] = {.name = "config",
                     .kind = DEVEMU_BANK_CONFIG,
                     .size = 256,
                     .regs = config_regs,
                     .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                     .lanes = true},
    [BANK_PM] = {.name = "pm",
                 .kind = DEVEMU_BANK_PIO,
                 .size = PM_BYTES,
                 .regs = pm_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(pm_regs),
                 .lanes = true},
    [BANK_SMBUS] = {.name = "smbus",
                    .kind = DEVEMU_BANK_PIO,
                    .size = SMBUS_BYTES,
                    .regs = piix4_smbus_regs,
                    .reg_count = DEVEMU_N_ELEMENTS(piix4_smbus_regs),
                    .lanes = true},
    [BANK_APM] = {.name = "apm",
                  .kind = DEVEMU_BANK_PIO,
                  .size = APM_BYTES,
                  .regs = apm_regs,
                  .reg_count = DEVEMU_N_ELEMENTS(apm_regs)},
};

/* --- reset and lines --------------------------------------------------------------- */

static void reset(void *state, DevemuReset kind)
{
    struct piix4_pm *s = state;

    if (!s->smm) {
        s->devactb |= DEVACTB_APMC_EN;
    }
    s->suspend = 0;
    s->smi = 0;
    s->smi_end_ns = DEVEMU_NEVER;
    piix4_smbus_reset(s, kind);
    s->override_ns = DEVEMU_NEVER;
    timer_arm(s);
}

/* With SCI_EN off the same events are for SMI (DS 11.6.1), which is not modelled. */
static bool sci(const struct piix4_pm *s)
{
    bool smbus = (s->smbhstcfg & SMBHSTCFG_INTSEL) == SMBHSTCFG_IRQ9 && piix4_smbus_interrupt(s);

    return ((s->pmcntrl & PMCNTRL_SCI_EN) && (pm1_event(s) || gp_event(s))) || smbus;
}

static uint64_t lines(const void *state)
{
    const struct piix4_pm *s = state;
    bool deep = s->suspend == SUSPEND_SOFF + 1;

    return (uint64_t)sci(s) << DEVEMU_PIIX4_SCI | (uint64_t)s->smi << DEVEMU_PIIX4_SMI |
           (uint64_t)(s->suspend != 0) << DEVEMU_PIIX4_SUSA |
           (uint64_t)(deep || s->suspend == SUSPEND_STR + 1) << DEVEMU_PIIX4_SUSB |
           (uint64_t)deep << DEVEMU_PIIX4_SUSC;
}

/* --- fields, timers, properties, identity ------------------------------------------ */

static const DevemuField fields[] = {
    DEVEMU_SAVE_MAX(struct piix4_pm, suspend, SUSPEND_POS + 1),
    DEVEMU_SAVE_MAX(struct piix4_pm, smi, 1),
    DEVEMU_SAVE_MAX(struct piix4_pm, block_index, SMB_BLOCK - 1),
    DEVEMU_SAVE_ARRAY(struct piix4_pm, block),
    DEVEMU_SKIP(struct piix4_pm, unused),
    DEVEMU_SKIP(struct piix4_pm, unused_2),
    {NULL},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct piix4_pm, overflow_ns, overflowed),
    DEVEMU_TIMER(struct piix4_pm, override_ns, overridden),
    DEVEMU_TIMER(struct piix4_pm, smi_end_ns, smi_ended),
    DEVEMU_TIMER(struct piix4_pm, smbus_done_ns, piix4_smbus_done),
    {NULL},
};

static const DevemuProperty properties[] = {
    {"smm", DEVEMU_PROPERTY_BOOL, DEVEMU_OPTION(struct piix4_pm, smm), .value = "off",
     .doc = "on: firmware sets up system management mode, and an SMI handler serves port B2h; off: "
            "the model does what firmware expects of the handler"},
    {NULL},
};

static const char *const outputs[] = {"SCI", "SMI", "SUSA", "SUSB", "SUSC", NULL};
static const char *const inputs[] = {"PWRBTN", "RTC", "THRM", "LID", "RI", "GPI1", NULL};

/* DS PMREGMISC: its bit alone opens the PM ports; the SMBus needs I/O space enabled, too. */
static unsigned ranges(const void *state, DevemuPciRange *ret_ranges, unsigned max)
{
    const struct piix4_pm *s = state;
    unsigned count = 0;

    (void)max;
    ret_ranges[count++] = (DevemuPciRange){
        .io = true, .always = true, .bank = BANK_APM, .base = APM_PORT, .len = APM_BYTES};
    if ((s->pmregmisc & PMREGMISC_PMIOSE) && (s->pmba & 0xffc0)) {
        ret_ranges[count++] = (DevemuPciRange){
            .io = true, .always = true, .bank = BANK_PM, .base = s->pmba & 0xffc0, .len = PM_BYTES};
    }
    if ((s->smbhstcfg & SMBHSTCFG_ENABLE) && (s->smbba & 0xfff0)) {
        ret_ranges[count++] = (DevemuPciRange){
            .io = true, .bank = BANK_SMBUS, .base = s->smbba & 0xfff0, .len = SMBUS_BYTES};
    }
    return count;
}

static const DevemuPci pci = {
    .vendor = 0x8086,
    .device = 0x7113,
    .revision = 0x03,
    .class_code = 0x068000,
    .command_mask = 0x0001,
    .status = 0x0280,
    .config_bank = BANK_CONFIG + 1,
    .ranges = ranges,
};

const DevemuModel devemu_model_piix4_pm = {
    .name = "piix4_pm",
    .title = "Intel 82371AB (PIIX4) power management",
    .datasheet = "Intel 82371AB, 290562-001",
    .not_modelled = "device monitors, traps and idle timers; throttling; SMIs other than by the "
                    "command port; general purpose pins; SMBus devices and slave",
    .state_size = sizeof(struct piix4_pm),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .inputs = inputs,
    .lines = lines,
    .reset = reset,
    .input_line = input_line,
    .pci = &pci,
};
