/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8259.c: Intel 8259A programmable interrupt controller. One device is one chip; two of them, the
 * slave's INT wired to the master's IR2, make the pair of a PC.
 *
 * Datasheet: Intel 8259A/8259A-2, order number 231468-003 (December 1988), below "DS" with the
 * heading of the chapter. The register that makes single inputs level triggered (ELCR) is not part
 * of the 8259A but of PC chipsets: Intel 82371SB (PIIX3), 290550-002, "Interrupt Controller", below
 * "PIIX3".
 *
 * The two INTA# pulses of 8086 mode are one read of bank "inta", which gives the vector. Where the
 * request belongs to a slave the master drives the input's number on CAS0-2 and no data: the value
 * is then INTA_CASCADE (0x100) plus that number, and the caller, who is the bus, reads "inta" of
 * the slave with that identity.
 *
 * The file is long because a third of it is tables, and each row has a callback of a few lines.
 *
 * The chip has no reset pin: a hard reset changes ELCR only.
 *
 * Not modelled: the CALL instruction given in MCS-80/85 mode (all acknowledges are those of 8086
 * mode); the SP#/EN# pin as an output (buffered mode); the moment between the two INTA# pulses.
 */
#include <devemu/model.h>

enum {
    BANK_IO,
    BANK_ELCR,
    BANK_INTA,
};

/* ICW1, DS "Initialization Command Words 1 and 2". */
enum {
    ICW1_IC4 = 1 << 0,
    ICW1_SNGL = 1 << 1,
    ICW1_ADI = 1 << 2,
    ICW1_LTIM = 1 << 3,
    ICW1_ICW1 = 1 << 4,
};

enum {
    ICW2_T = 0xf8, /* T7-T3 of the vector */
    ICW3_ID = 0x07,
};

enum {
    ICW4_UPM = 1 << 0,
    ICW4_AEOI = 1 << 1,
    ICW4_MS = 1 << 2,
    ICW4_BUF = 1 << 3,
    ICW4_SFNM = 1 << 4,
};

/* OCW2 and OCW3, DS "Operation Control Words". */
enum {
    OCW2_L = 0x07,
    OCW2_EOI = 1 << 5,
    OCW2_SL = 1 << 6,
    OCW2_R = 1 << 7,
    OCW3_RIS = 1 << 0,
    OCW3_RR = 1 << 1,
    OCW3_P = 1 << 2,
    OCW3_OCW3 = 1 << 3,
    OCW3_SMM = 1 << 5,
    OCW3_ESMM = 1 << 6,
};

/* The word that the chip waits for at A0 = 1. Before the first initialization it takes no requests.
 */
enum {
    STEP_READY,
    STEP_ICW2,
    STEP_ICW3,
    STEP_ICW4,
    STEP_POWERED_ON,
};

enum {
    INTA_CASCADE = 0x100,
    POLL_I = 0x80,     /* there is an interrupt */
    POLL_ARMED = 0x40, /* our own: the next read is the poll; not part of the byte read */
    NO_LEVEL = 8,
};

struct i8259 {
    DevemuDevice *dev;
    uint32_t step;
    uint32_t poll;   /* the poll byte with POLL_ARMED, or 0 */
    uint16_t lowest; /* level of the lowest priority */
    uint8_t levels;  /* of IR0-IR7 */
    uint8_t edges;   /* edge sense latches */
    uint8_t isr;
    uint8_t imr;
    uint8_t icw1, icw2, icw3, icw4;
    uint8_t elcr;
    uint8_t elcr_mask;
    bool read_isr;
    bool special_mask;
    bool rotate_aeoi;
    bool slave; /* SP#/EN# is low */
};

/* --- priorities -------------------------------------------------------------------- */

/* PIIX3: where there is an ELCR, LTIM has no effect. */
static uint8_t level_triggered(const struct i8259 *pic)
{
    if (pic->elcr_mask) {
        return pic->elcr;
    }
    return pic->icw1 & ICW1_LTIM ? 0xff : 0;
}

/* DS "Edge and Level Triggered Modes": an input must stay high until it is acknowledged, so in both
 * modes a request goes when the input falls (the latch is cleared in input_line()). */
static uint8_t irr(const struct i8259 *pic)
{
    uint8_t level = level_triggered(pic);

    return (uint8_t)((pic->levels & level) | (pic->edges & ~level));
}

static bool is_slave(const struct i8259 *pic)
{
    /* DS "ICW4": in buffered mode M/S says what the pin says otherwise. */
    return pic->icw4 & ICW4_BUF ? (pic->icw4 & ICW4_MS) == 0 : pic->slave;
}

/* Inputs of a master with a slave behind them. */
static uint8_t cascaded(const struct i8259 *pic)
{
    return (pic->icw1 & ICW1_SNGL) || is_slave(pic) ? 0 : pic->icw3;
}

/* The level of highest priority in a set; NO_LEVEL if it is empty. Ranks are from lowest + 1 on. */
static unsigned highest(const struct i8259 *pic, uint8_t set)
{
    for (unsigned rank = 0; rank < 8; rank++) {
        unsigned level = (pic->lowest + 1u + rank) & 7;

        if (set >> level & 1) {
            return level;
        }
    }
    return NO_LEVEL;
}

static unsigned rank_of(const struct i8259 *pic, unsigned level)
{
    return level == NO_LEVEL ? NO_LEVEL : (level - pic->lowest - 1u) & 7;
}

/* DS "Special Mask Mode": a level in service whose mask bit is set holds back no other one. */
static uint8_t blocking(const struct i8259 *pic)
{
    return pic->special_mask ? (uint8_t)(pic->isr & ~pic->imr) : pic->isr;
}

/* The request that INTA# would be given to; NO_LEVEL if there is none that may interrupt. */
static unsigned winner(const struct i8259 *pic)
{
    unsigned level, busy;

    /* DS "Initialization": ready to accept requests after the command words. */
    if (pic->step != STEP_READY) {
        return NO_LEVEL;
    }
    level = highest(pic, (uint8_t)(irr(pic) & ~pic->imr));
    if (level == NO_LEVEL) {
        return NO_LEVEL;
    }
    /* DS "Fully Nested Mode": levels of the same or lower priority wait. In special mask mode a
     * masked level in service blocks itself only by its mask bit. */
    busy = highest(pic, blocking(pic));
    if (rank_of(pic, level) < rank_of(pic, busy)) {
        return level;
    }
    /* DS "The Special Fully Nested Mode" a.: a slave in service is not locked out. */
    if (level == busy && (pic->icw4 & ICW4_SFNM) && (cascaded(pic) >> level & 1)) {
        return level;
    }
    return NO_LEVEL;
}

/* --- interrupt sequence ------------------------------------------------------------ */

/* DS "Automatic Rotation", "Specific Rotation". */
static void lowest_is(struct i8259 *pic, unsigned level)
{
    pic->lowest = level & 7;
}

/* DS "Interrupt Sequence" 3: the ISR bit is set, the latch of the request reset. */
static void acknowledge(struct i8259 *pic, unsigned level)
{
    uint8_t bit;

    if (level == NO_LEVEL) {
        return; /* DS "Interrupt Sequence": too short a request: as IR7, but nothing is in service
                 */
    }
    bit = (uint8_t)(1u << level);
    pic->edges &= (uint8_t)~bit;
    if ((pic->icw4 & ICW4_AEOI) == 0) {
        pic->isr |= bit;
    } else if (pic->rotate_aeoi) {
        /* DS "Automatic EOI Mode": the EOI comes with the last INTA#. */
        lowest_is(pic, level);
    }
}

static uint64_t inta_read(const void *state, unsigned index)
{
    const struct i8259 *pic = state;
    unsigned level = winner(pic);

    (void)index;
    if (level != NO_LEVEL && (cascaded(pic) >> level & 1)) {
        return INTA_CASCADE | level;
    }
    return (pic->icw2 & ICW2_T) | (level == NO_LEVEL ? 7 : level);
}

static void inta_took(void *state, unsigned index)
{
    struct i8259 *pic = state;

    (void)index;
    acknowledge(pic, winner(pic));
}

/* --- initialization ---------------------------------------------------------------- */

/* DS "Initialization Command Words 1 and 2" a-f. That ISR is cleared, too, is not said there; PC
 * firmware that starts again with an interrupt in service needs it. */
static void icw1_wrote(struct i8259 *pic, uint8_t value)
{
    pic->icw1 = value;
    pic->edges = 0;
    pic->imr = 0;
    pic->isr = 0;
    pic->lowest = 7;
    pic->icw3 = 7; /* the slave's identity; a master's is written before it is used */
    pic->special_mask = false;
    pic->read_isr = false;
    pic->poll = 0;
    pic->rotate_aeoi = false;
    if ((value & ICW1_IC4) == 0) {
        pic->icw4 = 0;
    }
    pic->step = STEP_ICW2;
}

static void icw2_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8259 *pic = state;

    (void)index;
    (void)value;
    (void)old;
    if ((pic->icw1 & ICW1_SNGL) == 0) {
        pic->step = STEP_ICW3;
    } else {
        pic->step = pic->icw1 & ICW1_IC4 ? STEP_ICW4 : STEP_READY;
    }
}

static void icw3_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8259 *pic = state;

    (void)index;
    (void)value;
    (void)old;
    pic->step = pic->icw1 & ICW1_IC4 ? STEP_ICW4 : STEP_READY;
}

static void icw4_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8259 *pic = state;

    (void)index;
    (void)old;
    pic->step = STEP_READY;
    if ((value & ICW4_UPM) == 0) {
        devemu_guest_error(pic->dev, "ICW4.uPM: MCS-80/85 mode is not modelled");
    }
}

static bool wants_icw2(const void *state)
{
    return ((const struct i8259 *)state)->step == STEP_ICW2;
}

static bool wants_icw3(const void *state)
{
    return ((const struct i8259 *)state)->step == STEP_ICW3;
}

static bool wants_icw4(const void *state)
{
    return ((const struct i8259 *)state)->step == STEP_ICW4;
}

/* --- operation command words ------------------------------------------------------- */

/* DS "End of Interrupt": the specific EOI names its level; the non-specific one takes the highest
 * in service, except that one masked in special mask mode is not cleared. */
static void end_of_interrupt(struct i8259 *pic, uint8_t value)
{
    unsigned level = value & OCW2_SL ? value & OCW2_L : highest(pic, blocking(pic));

    if (level == NO_LEVEL) {
        return;
    }
    pic->isr &= (uint8_t) ~(1u << level);
    if (value & OCW2_R) {
        lowest_is(pic, level);
    }
}

static void ocw2_wrote(struct i8259 *pic, uint8_t value)
{
    if (value & OCW2_EOI) {
        end_of_interrupt(pic, value);
    } else if ((value & (OCW2_R | OCW2_SL)) == (OCW2_R | OCW2_SL)) {
        lowest_is(pic, value & OCW2_L);
    } else if ((value & OCW2_SL) == 0) {
        pic->rotate_aeoi = (value & OCW2_R) != 0;
    }
    /* R = 0, SL = 1, EOI = 0: no operation. */
}

static void ocw3_wrote(struct i8259 *pic, uint8_t value)
{
    unsigned level;

    if (value & OCW3_ESMM) {
        pic->special_mask = (value & OCW3_SMM) != 0;
    }
    if (value & OCW3_RR) {
        pic->read_isr = (value & OCW3_RIS) != 0;
    }
    /* DS "Poll Command": the requests are frozen from this write to the read. With no request the
     * level bits are not defined; they are 0 here. */
    if (value & OCW3_P) {
        level = winner(pic);
        pic->poll = POLL_ARMED | (level == NO_LEVEL ? 0 : POLL_I | level);
    }
}

static void command_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8259 *pic = state;

    (void)index;
    (void)old;
    if (value & ICW1_ICW1) {
        icw1_wrote(pic, (uint8_t)value);
    } else if (value & OCW3_OCW3) {
        ocw3_wrote(pic, (uint8_t)value);
    } else {
        ocw2_wrote(pic, (uint8_t)value);
    }
}

/* --- reading ----------------------------------------------------------------------- */

/* DS "Poll Command": the next RD#, whatever A0, is the poll; it overrides the status read. */
static uint64_t status_read(const void *state, unsigned index)
{
    const struct i8259 *pic = state;

    (void)index;
    if (pic->poll) {
        return pic->poll & ~(uint32_t)POLL_ARMED;
    }
    return pic->read_isr ? pic->isr : irr(pic);
}

static uint64_t mask_read(const void *state, unsigned index)
{
    const struct i8259 *pic = state;

    (void)index;
    return pic->poll ? pic->poll & ~(uint32_t)POLL_ARMED : pic->imr;
}

static void read_took(void *state, unsigned index)
{
    struct i8259 *pic = state;

    (void)index;
    if (pic->poll & POLL_I) {
        acknowledge(pic, pic->poll & OCW2_L);
    }
    pic->poll = 0;
}

/* --- ELCR -------------------------------------------------------------------------- */

static bool has_elcr(const void *state)
{
    return ((const struct i8259 *)state)->elcr_mask != 0;
}

static void elcr_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8259 *pic = state;

    (void)index;
    (void)value;
    (void)old;
    pic->elcr &= pic->elcr_mask;
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits command_bits[] = {
    {"R", OCW2_R},
    {"SL", OCW2_SL},
    {"EOI", OCW2_EOI},
    {"ICW1", ICW1_ICW1},
    {"D3", ICW1_LTIM},
    {"D2-0", 0x07},
    {0},
};

static const DevemuBits icw2_bits[] = {{"T7-3", ICW2_T}, {0}};
static const DevemuBits icw4_bits[] = {
    {"uPM", ICW4_UPM}, {"AEOI", ICW4_AEOI}, {"M/S", ICW4_MS},
    {"BUF", ICW4_BUF}, {"SFNM", ICW4_SFNM}, {0},
};

static const DevemuReg io_regs[] = {
    {
        .name = "COMMAND",
        .title = "ICW1, OCW2 and OCW3 by bits 4 and 3; reads as IRR, ISR or poll byte",
        .section = "Initialization Command Words 1 and 2; Operation Control Words",
        .bits = command_bits,
        .at = 0,
        .size = 1,
        .read = status_read,
        .took = read_took,
        .wrote = command_wrote,
    },
    {
        .name = "ICW2",
        .title = "vector",
        .section = "Initialization Command Words 1 and 2",
        .bits = icw2_bits,
        .at = 1,
        .size = 1,
        DEVEMU_IN(struct i8259, icw2),
        .keep_hard = 0xff,
        .decoded = wants_icw2,
        .read = mask_read,
        .took = read_took,
        .wrote = icw2_wrote,
    },
    {
        .name = "ICW3",
        .title = "inputs with a slave, or the slave's identity",
        .section = "Initialization Command Word 3",
        .at = 1,
        .size = 1,
        DEVEMU_IN(struct i8259, icw3),
        .keep_hard = 0xff,
        .decoded = wants_icw3,
        .read = mask_read,
        .took = read_took,
        .wrote = icw3_wrote,
    },
    {
        .name = "ICW4",
        .title = "modes",
        .section = "Initialization Command Word 4",
        .bits = icw4_bits,
        .at = 1,
        .size = 1,
        DEVEMU_IN(struct i8259, icw4),
        .keep_hard = 0xff,
        .decoded = wants_icw4,
        .read = mask_read,
        .took = read_took,
        .wrote = icw4_wrote,
    },
    {
        .name = "IMR",
        .title = "interrupt mask (OCW1)",
        .section = "Operation Control Word 1",
        .at = 1,
        .size = 1,
        DEVEMU_IN(struct i8259, imr),
        .keep_hard = 0xff,
        .read = mask_read,
        .took = read_took,
    },
};

static const DevemuReg elcr_regs[] = {
    {
        .name = "ELCR",
        .title = "inputs that are level triggered",
        .section = "PIIX3, ELCR1 and ELCR2",
        .at = 0,
        .size = 1,
        DEVEMU_IN(struct i8259, elcr),
        .wrote = elcr_wrote,
    },
};

static const DevemuReg inta_regs[] = {
    {
        .name = "INTA",
        .title = "interrupt acknowledge: vector, or 0x100 + number on CAS0-2",
        .section = "Interrupt Sequence; Cascade Mode",
        .at = 0,
        .size = 2,
        .ro = 0xffff,
        .read = inta_read,
        .took = inta_took,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 2,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
    [BANK_ELCR] = {.name = "elcr",
                   .kind = DEVEMU_BANK_PIO,
                   .size = 1,
                   .regs = elcr_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(elcr_regs),
                   .decoded = has_elcr},
    [BANK_INTA] = {.name = "inta",
                   .kind = DEVEMU_BANK_CYCLE,
                   .size = 2,
                   .regs = inta_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(inta_regs)},
};

/* --- lines, reset ------------------------------------------------------------------ */

static void i8259_input(void *state, unsigned line, bool level)
{
    struct i8259 *pic = state;
    uint8_t bit = (uint8_t)(1u << (line & 7));

    if (level) {
        pic->levels |= bit;
        pic->edges |= bit;
    } else {
        pic->levels &= (uint8_t)~bit;
        pic->edges &= (uint8_t)~bit;
    }
}

static uint64_t i8259_lines(const void *state)
{
    return winner(state) != NO_LEVEL;
}

static void i8259_reset(void *state, DevemuReset kind)
{
    struct i8259 *pic = state;

    if (kind == DEVEMU_RESET_POWER) {
        pic->step = STEP_POWERED_ON;
        pic->lowest = 7;
    }
}

static bool i8259_valid(const void *state)
{
    const struct i8259 *pic = state;

    return pic->step <= STEP_POWERED_ON && pic->lowest < 8 && (pic->edges & ~pic->levels) == 0 &&
           (pic->elcr & ~pic->elcr_mask) == 0;
}

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct i8259, levels),
    DEVEMU_SAVE(struct i8259, edges),
    DEVEMU_SAVE(struct i8259, isr),
    DEVEMU_SAVE(struct i8259, icw1),
    DEVEMU_SAVE_MAX(struct i8259, step, STEP_POWERED_ON),
    DEVEMU_SAVE_MAX(struct i8259, lowest, 7),
    DEVEMU_SAVE_MAX(struct i8259, poll, 0xff),
    DEVEMU_SAVE(struct i8259, read_isr),
    DEVEMU_SAVE(struct i8259, special_mask),
    DEVEMU_SAVE(struct i8259, rotate_aeoi),
    {0},
};

static const DevemuProperty properties[] = {
    {.name = "slave",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct i8259, slave),
     .doc = "Is SP#/EN# low, so that the chip is a slave?"},
    {.name = "elcr-mask",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct i8259, elcr_mask),
     .doc = "Inputs that ELCR can make level triggered (PC: 0xf8 master, 0xde slave); 0: there is "
            "no ELCR, and ICW1.LTIM rules."},
    {0},
};

static const char *const inputs[] = {"IR0", "IR1", "IR2", "IR3", "IR4", "IR5", "IR6", "IR7", NULL};
static const char *const outputs[] = {"INT", NULL};
static const DevemuIsa isa = {.bases = {0x20, 0x4d0}, .irq = 0xff};

const DevemuModel devemu_model_i8259 = {
    .name = "i8259",
    .title = "Intel 8259A interrupt controller",
    .datasheet = "Intel 8259A, 231468-003; ELCR: Intel 82371SB, 290550-002",
    .not_modelled = "the CALL instruction of MCS-80/85 mode; SP#/EN# as an output (buffered mode); "
                    "the moment between the two INTA# pulses",
    .state_size = sizeof(struct i8259),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .properties = properties,
    .outputs = outputs,
    .inputs = inputs,
    .lines = i8259_lines,
    .reset = i8259_reset,
    .valid = i8259_valid,
    .input_line = i8259_input,
    .isa = &isa,
};
