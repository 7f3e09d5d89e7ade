/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port61.c: system control port B of the PC AT (61h): gate and data of the speaker, sources of the
 * NMI, the refresh toggle.
 *
 * Datasheet: Intel 82371AB (PIIX4), 290562-001, 4.2.4.1 "NMISC", below "DS". The refresh request is
 * what the PC's counter 1 gives when firmware has set it to 18: one each 15.085 us.
 *
 * Not modelled: NMI through the mask of port 70h (that is the board's, with the clock's NMI-MASK
 * line); the speaker timer status is the input OUT2 as it is, the refresh toggle does not look at
 * counter 1.
 */
#include <devemu/model.h>

enum {
    BANK_IO,
};

/* NMISC, DS 4.2.4.1. */
enum {
    NMISC_TMR2_EN = 1 << 0,
    NMISC_SPKR_EN = 1 << 1,
    NMISC_SERR_DIS = 1 << 2,  /* 1: disabled and cleared */
    NMISC_IOCHK_DIS = 1 << 3, /* 1: disabled and cleared */
    NMISC_REFRESH = 1 << 4,
    NMISC_TMR2_OUT = 1 << 5,
    NMISC_IOCHK = 1 << 6,
    NMISC_SERR = 1 << 7,
    NMISC_RO = 0xf0,
};

enum {
    INPUT_OUT2,
    INPUT_IOCHK,
    INPUT_SERR,
};

enum {
    LINE_GATE2,
    LINE_SPKR,
    LINE_NMI,
};

/* 18 pulses of 14.318180 MHz / 12, as a fraction in lowest terms: so many in so many nanoseconds.
 */
#define REFRESH_PULSES UINT64_C(715909)
#define REFRESH_NS     UINT64_C(10800000000)

struct port61 {
    DevemuDevice *dev;
    uint32_t nmisc;  /* bits 0-3; bits 6 and 7: latched sources */
    uint32_t levels; /* of the inputs */
};

/* --- behaviour --------------------------------------------------------------------- */

/* DS: bit 4 goes back and forth with every refresh cycle. */
static bool refresh_toggle(const struct port61 *p)
{
    uint64_t now = devemu_now(p->dev);
    uint64_t cycles =
        now / REFRESH_NS * REFRESH_PULSES + now % REFRESH_NS * REFRESH_PULSES / REFRESH_NS;

    return cycles & 1;
}

static bool out2(const struct port61 *p)
{
    return p->levels >> INPUT_OUT2 & 1;
}

/* DS: a source is latched when its line is asserted while it is enabled; setting its disable bit
 * clears it. */
static void latch_sources(struct port61 *p)
{
    if (p->levels >> INPUT_IOCHK & 1) {
        p->nmisc |= NMISC_IOCHK;
    }
    if (p->levels >> INPUT_SERR & 1) {
        p->nmisc |= NMISC_SERR;
    }
    if (p->nmisc & NMISC_IOCHK_DIS) {
        p->nmisc &= ~(uint32_t)NMISC_IOCHK;
    }
    if (p->nmisc & NMISC_SERR_DIS) {
        p->nmisc &= ~(uint32_t)NMISC_SERR;
    }
}

static uint64_t nmisc_read(const void *state, unsigned index)
{
    const struct port61 *p = state;

    (void)index;
    return p->nmisc | (refresh_toggle(p) ? NMISC_REFRESH : 0u) | (out2(p) ? NMISC_TMR2_OUT : 0u);
}

static void nmisc_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    latch_sources(state);
}

static void port61_input(void *state, unsigned line, bool level)
{
    struct port61 *p = state;
    uint32_t bit = UINT32_C(1) << (line & 7);

    p->levels = level ? p->levels | bit : p->levels & ~bit;
    latch_sources(p);
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits nmisc_bits[] = {
    {"TMR2_EN", NMISC_TMR2_EN},     {"SPKR_EN", NMISC_SPKR_EN}, {"SERR_DIS", NMISC_SERR_DIS},
    {"IOCHK_DIS", NMISC_IOCHK_DIS}, {"REFRESH", NMISC_REFRESH}, {"TMR2_OUT", NMISC_TMR2_OUT},
    {"IOCHK", NMISC_IOCHK},         {"SERR", NMISC_SERR},       {0},
};

static const DevemuReg io_regs[] = {
    {
        .name = "NMISC",
        .title = "NMI status and control",
        .section = "4.2.4.1",
        .bits = nmisc_bits,
        .at = 0,
        .size = 1,
        DEVEMU_IN(struct port61, nmisc),
        .ro = NMISC_RO,
        .read = nmisc_read,
        .wrote = nmisc_wrote,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 1,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
};

/* --- lines, reset ------------------------------------------------------------------ */

/* DS: the speaker has counter 2's output, let through by bit 1. */
static uint64_t port61_lines(const void *state)
{
    const struct port61 *p = state;
    uint64_t lines = 0;

    lines |= p->nmisc & NMISC_TMR2_EN ? UINT64_C(1) << LINE_GATE2 : 0;
    lines |= (p->nmisc & NMISC_SPKR_EN) && out2(p) ? UINT64_C(1) << LINE_SPKR : 0;
    lines |= p->nmisc & (NMISC_IOCHK | NMISC_SERR) ? UINT64_C(1) << LINE_NMI : 0;
    return lines;
}

/* A line that stays asserted over a reset is a source again. */
static void port61_reset(void *state, DevemuReset kind)
{
    if (kind != DEVEMU_RESET_SOFT) {
        latch_sources(state);
    }
}

static bool port61_valid(const void *state)
{
    const struct port61 *p = state;

    return (p->nmisc & (NMISC_REFRESH | NMISC_TMR2_OUT)) == 0 && p->levels < 8 && p->nmisc <= 0xff;
}

static const DevemuField fields[] = {
    DEVEMU_SAVE_MAX(struct port61, levels, 7),
    {0},
};

static const char *const inputs[] = {"OUT2", "IOCHK", "SERR", NULL};
static const char *const outputs[] = {"GATE2", "SPKR", "NMI", NULL};
static const DevemuIsa isa = {.bases = {0x61}, .irq = 0xff};

const DevemuModel devemu_model_port61 = {
    .name = "port61",
    .title = "Port 61h: speaker, NMI sources, refresh toggle",
    .datasheet = "Intel 82371AB, 290562-001, NMISC",
    .not_modelled = "the NMI mask of port 70h (the board's); the refresh toggle does not look at "
                    "counter 1 of the timer",
    .state_size = sizeof(struct port61),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .outputs = outputs,
    .inputs = inputs,
    .lines = port61_lines,
    .reset = port61_reset,
    .valid = port61_valid,
    .input_line = port61_input,
    .isa = &isa,
};
