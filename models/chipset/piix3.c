/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * piix3.c: function 0 of the 82371SB (PIIX3), the PCI to ISA bridge: interrupt routing and the
 * reset control register. The other parts that the datasheet puts into this function (interrupt
 * controllers with ELCR, timer, DMA, NMI) are models of their own.
 *
 * Datasheet: Intel 82371FB (PIIX) and 82371SB (PIIX3), 290550-002, below "DS"; register
 * descriptions are cited by the register's name.
 *
 * Not modelled: ISA recovery times, chip selects and the top of memory (stored: the board decides
 * what answers where); motherboard interrupt and DMA routing; APIC chip select; power management
 * (SMI, APM ports, fast off, clock throttling), which the PM function has.
 */
#include <devemu/chipset.h>
#include <devemu/model.h>

enum {
    BANK_CONFIG,
    BANK_RESET,
};

/* PIRQx route control, DS PIRQRC. */
enum {
    PIRQ_IRQ = 0x0f,
    PIRQ_DISABLE = 1 << 7,
    PIRQ_LINES = 4,
    /* IRQ 0, 1, 2, 8 and 13 cannot be chosen. */
    PIRQ_REACHABLE = 0xdef8,
};

/* Reset control, DS RC. */
enum {
    RC_HARD = 1 << 1,
    RC_CPU = 1 << 2,
    RC_PORT = 0xcf9,
};

/* What the rise of RC_CPU began. */
enum {
    RESET_NONE,
    RESET_INIT,
    RESET_HARD,
};

struct piix3 {
    DevemuDevice *dev;
    uint8_t pirqrc[PIRQ_LINES];
    uint8_t pirqs; /* levels of the inputs */
    uint8_t rc;
    uint8_t resetting;

    /* Stored only. */
    uint8_t iort, tom, apicbase, dlc;
    uint8_t mbirq[2], mbdma[2];
    uint8_t smicntl, ftmr, ctltmr, cthtmr;
    uint8_t unused;
    uint16_t xbcs, mstat, pcsc, smien, smireq;
    uint16_t unused_2[3];
    uint32_t see;
};

/* DS RC: the reset begins when bit 2 goes from 0 to 1; bit 1 says which. */
static void rc_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct piix3 *s = state;

    (void)index;
    if (!(value & RC_CPU)) {
        s->resetting = RESET_NONE;
    } else if (!(old & RC_CPU)) {
        s->resetting = value & RC_HARD ? RESET_HARD : RESET_INIT;
    }
}

static void input_line(void *state, unsigned line, bool level)
{
    struct piix3 *s = state;

    if (line < PIRQ_LINES) {
        s->pirqs = (uint8_t)((s->pirqs & ~(1u << line)) | (unsigned)level << line);
    }
}

/* Several PIRQs on one interrupt are ORed: PCI interrupts are shared, level sensitive. */
static uint64_t lines(const void *state)
{
    const struct piix3 *s = state;
    uint64_t out = 0;

    for (unsigned i = 0; i < PIRQ_LINES; i++) {
        if ((s->pirqs >> i & 1) && !(s->pirqrc[i] & PIRQ_DISABLE)) {
            out |= UINT64_C(1) << (s->pirqrc[i] & PIRQ_IRQ);
        }
    }
    out &= PIRQ_REACHABLE;
    out |= (uint64_t)(s->resetting == RESET_INIT) << DEVEMU_PIIX3_INIT;
    out |= (uint64_t)(s->resetting == RESET_HARD) << DEVEMU_PIIX3_RESET;
    return out;
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits pirq_bits[] = {{"IRQ", PIRQ_IRQ}, {"DISABLE", PIRQ_DISABLE}, {NULL, 0}};

static const DevemuBits rc_bits[] = {{"SRST", RC_HARD}, {"RCPU", RC_CPU}, {NULL, 0}};

#define F(member) DEVEMU_IN(struct piix3, member)

static const DevemuReg config_regs[] = {
    {"IORT", "ISA I/O recovery timer", "DS IORT", .at = 0x4c, F(iort), .reset = 0x4d},
    {"XBCS", "X-Bus chip select", "DS XBCS", .at = 0x4e, .size = 2, F(xbcs), .reset = 0x0003},
    {"PIRQRC", "PIRQ route control", "DS PIRQRC", pirq_bits, .at = 0x60, .count = PIRQ_LINES,
     DEVEMU_IN_ARRAY(struct piix3, pirqrc), .reset = PIRQ_DISABLE, .ro = 0x70},
    {"TOM", "Top of memory", "DS TOM", .at = 0x69, F(tom), .reset = 0x02},
    {"MSTAT", "Miscellaneous status", "DS MSTAT", .at = 0x6a, .size = 2, F(mstat)},
    {"MBIRQ", "Motherboard interrupt route control", "DS MBIRQ", .at = 0x70, .count = 2,
     DEVEMU_IN_ARRAY(struct piix3, mbirq), .reset = 0x80, .unimpl = true},
    {"MBDMA", "Motherboard DMA control", "DS MBDMA", .at = 0x76, .count = 2,
     DEVEMU_IN_ARRAY(struct piix3, mbdma), .reset = 0x0c, .unimpl = true},
    {"PCSC", "Programmable chip select control", "DS PCSC", .at = 0x78, .size = 2, F(pcsc),
     .reset = 0x0002, .unimpl = true},
    {"APICBASE", "APIC base address relocation", "DS APICBASE", .at = 0x80, F(apicbase),
     .unimpl = true},
    {"DLC", "Deterministic latency control", "DS DLC", .at = 0x82, F(dlc)},
    {"SMICNTL", "SMI control", "DS SMICNTL", .at = 0xa0, F(smicntl), .reset = 0x08, .unimpl = true},
    {"SMIEN", "SMI enable", "DS SMIEN", .at = 0xa2, .size = 2, F(smien), .unimpl = true},
    {"SEE", "System event enable", "DS SEE", .at = 0xa4, .size = 4, F(see), .unimpl = true},
    {"FTMR", "Fast off timer", "DS FTMR", .at = 0xa8, F(ftmr), .reset = 0x0f, .unimpl = true},
    {"SMIREQ", "SMI request", "DS SMIREQ", .at = 0xaa, .size = 2, F(smireq), .unimpl = true},
    {"CTLTMR", "Clock scale STPCLK# low timer", "DS CTLTMR", .at = 0xac, F(ctltmr), .unimpl = true},
    {"CTHTMR", "Clock scale STPCLK# high timer", "DS CTHTMR", .at = 0xae, F(cthtmr),
     .unimpl = true},
};

static const DevemuReg reset_regs[] = {
    {"RC", "Reset control", "DS RC", rc_bits, .at = 0, F(rc), .ro = 0xf9, .wrote = rc_wrote},
};

static const DevemuBank banks[] = {
    [BANK_CONFIG] = {.name = "config",
                     .kind = DEVEMU_BANK_CONFIG,
                     .size = 256,
                     .regs = config_regs,
                     .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                     .lanes = true},
    [BANK_RESET] = {.name = "reset",
                    .kind = DEVEMU_BANK_PIO,
                    .size = 1,
                    .regs = reset_regs,
                    .reg_count = DEVEMU_N_ELEMENTS(reset_regs)},
};

/* --- reset, fields, identity ------------------------------------------------------- */

/* The PIRQ lines are what others drive: a reset here does not move them. */
static void reset(void *state, DevemuReset kind)
{
    struct piix3 *s = state;

    (void)kind;
    s->resetting = RESET_NONE;
}

static bool valid(const void *state)
{
    const struct piix3 *s = state;

    return s->pirqs < 1 << PIRQ_LINES;
}

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct piix3, pirqs),
    DEVEMU_SAVE_MAX(struct piix3, resetting, RESET_HARD),
    DEVEMU_SKIP(struct piix3, unused),
    DEVEMU_SKIP(struct piix3, unused_2),
    {NULL},
};

static const char *const outputs[] = {
    "IRQ0",  "IRQ1",  "IRQ2",  "IRQ3",  "IRQ4",  "IRQ5",  "IRQ6", "IRQ7",   "IRQ8", "IRQ9",
    "IRQ10", "IRQ11", "IRQ12", "IRQ13", "IRQ14", "IRQ15", "INIT", "CPURST", NULL,
};

static const char *const inputs[] = {"PIRQA", "PIRQB", "PIRQC", "PIRQD", NULL};

/* The port of the reset register lies in the middle of CONFIG_ADDRESS; only byte accesses reach it.
 */
static unsigned ranges(const void *state, DevemuPciRange *ret_ranges, unsigned max)
{
    (void)state;
    (void)max;
    ret_ranges[0] =
        (DevemuPciRange){.io = true, .always = true, .bank = BANK_RESET, .base = RC_PORT, .len = 1};
    return 1;
}

/* One of several functions; always decodes, always a master for ISA. */
static const DevemuPci pci = {
    .vendor = 0x8086,
    .device = 0x7000,
    .class_code = 0x060100,
    .header_type = 0x80,
    .command = 0x0007,
    .command_mask = 0x0008,
    .status = 0x0280,
    .config_bank = BANK_CONFIG + 1,
    .ranges = ranges,
};

const DevemuModel devemu_model_piix3 = {
    .name = "piix3",
    .title = "Intel 82371SB (PIIX3) ISA bridge",
    .datasheet = "Intel 82371FB/82371SB, 290550-002",
    .not_modelled = "chip selects, recovery times and top of memory; motherboard interrupt and DMA "
                    "routing; APIC chip select; power management",
    .state_size = sizeof(struct piix3),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .outputs = outputs,
    .inputs = inputs,
    .lines = lines,
    .reset = reset,
    .valid = valid,
    .input_line = input_line,
    .pci = &pci,
};
