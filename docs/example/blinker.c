/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blinker.c: a lamp that blinks, with an interrupt: the worked example of docs/writing-a-model.md.
 *
 * Datasheet: "The chip" in that page; section numbers are its.
 *
 * Not modelled: the lamp's afterglow.
 */
#include <devemu/model.h>

/* --- names ------------------------------------------------------------------------- */

enum { CTRL_EN = 0x0001, CTRL_IEN = 0x0002 };
enum { STAT_LAMP = 0x0001, STAT_EDGE = 0x0002 };
enum { LINE_IRQ, LINE_LAMP };

/* --- state ------------------------------------------------------------------------- */

struct blinker {
    DevemuDevice *dev;
    uint64_t unit_ns; /* property: of PERIOD */

    uint64_t edge_ns; /* timer: the lamp changes */
    uint16_t ctrl, stat, period, count;
};

/* --- behaviour --------------------------------------------------------------------- */

/* 3: PERIOD of 0 is 65536 units. */
static uint64_t interval_ns(const struct blinker *b)
{
    return (b->period ? b->period : UINT64_C(65536)) * b->unit_ns;
}

/* 4: the lamp changes each PERIOD. A host that comes late, by years even, costs no loop. */
static void edge(void *state, uint64_t due_ns)
{
    struct blinker *b = state;
    uint64_t late = (devemu_now(b->dev) - due_ns) / interval_ns(b);

    b->stat |= STAT_EDGE;
    b->stat ^= late % 2 == 0 ? STAT_LAMP : 0;
    b->count = (uint16_t)(b->count + late + 1);
    b->edge_ns = due_ns + (late + 1) * interval_ns(b);
}

/* 1: setting EN begins with the lamp off; clearing it puts the lamp out. */
static void ctrl_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct blinker *b = state;

    (void)index;
    if ((value ^ old) & CTRL_EN) {
        b->stat &= (uint16_t)~STAT_LAMP;
        b->edge_ns = value & CTRL_EN ? devemu_now(b->dev) + interval_ns(b) : DEVEMU_NEVER;
    }
}

/* 3: PERIOD can be written while EN is clear. */
static bool is_stopped(const void *state)
{
    return !(((const struct blinker *)state)->ctrl & CTRL_EN);
}

/* --- registers --------------------------------------------------------------------- */

static const DevemuBits ctrl_bits[] = {{"EN", CTRL_EN}, {"IEN", CTRL_IEN}, {.name = NULL}};
static const DevemuBits stat_bits[] = {{"LAMP", STAT_LAMP}, {"EDGE", STAT_EDGE}, {.name = NULL}};

static const DevemuReg regs[] = {
    {
        .name = "CTRL",
        .title = "control",
        .section = "1",
        .bits = ctrl_bits,
        .at = 0x00,
        .size = 2,
        DEVEMU_IN(struct blinker, ctrl),
        .rsvd = 0xfffc,
        .wrote = ctrl_wrote,
    },
    {
        .name = "STAT",
        .title = "status",
        .section = "2",
        .bits = stat_bits,
        .at = 0x02,
        .size = 2,
        DEVEMU_IN(struct blinker, stat),
        .ro = STAT_LAMP,
        .w1c = STAT_EDGE,
        .rsvd = 0xfffc,
    },
    {
        .name = "PERIOD",
        .title = "units between two changes",
        .section = "3",
        .at = 0x04,
        .size = 2,
        DEVEMU_IN(struct blinker, period),
        .reset = 500,
        .writable = is_stopped,
    },
    {
        .name = "COUNT",
        .title = "changes since the last read",
        .section = "4",
        .at = 0x06,
        .size = 2,
        DEVEMU_IN(struct blinker, count),
        .rc = 0xffff,
    },
};

static const DevemuBank banks[] = {
    {
        .name = "regs",
        .kind = DEVEMU_BANK_MMIO,
        .size = 8,
        .regs = regs,
        .reg_count = DEVEMU_N_ELEMENTS(regs),
    },
};

/* --- reset and lines --------------------------------------------------------------- */

static void blinker_reset(void *state, DevemuReset kind)
{
    (void)kind;
    ((struct blinker *)state)->edge_ns = DEVEMU_NEVER;
}

/* 2: IRQ is high while EDGE and IEN are set. */
static uint64_t blinker_lines(const void *state)
{
    const struct blinker *b = state;
    uint64_t irq = (b->stat & STAT_EDGE) && (b->ctrl & CTRL_IEN);
    uint64_t lamp = (b->stat & STAT_LAMP) != 0;

    return irq << LINE_IRQ | lamp << LINE_LAMP;
}

/* A snapshot comes from anywhere: the lamp is lit, and the timer on, only while EN is set. */
static bool blinker_valid(const void *state)
{
    const struct blinker *b = state;

    return is_stopped(b) ? b->edge_ns == DEVEMU_NEVER && !(b->stat & STAT_LAMP)
                         : b->edge_ns != DEVEMU_NEVER;
}

/* --- the rest of the state ---------------------------------------------------------- */

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct blinker, edge_ns, edge),
    {.name = NULL},
};

static const DevemuProperty properties[] = {
    {
        .name = "unit",
        .type = DEVEMU_PROPERTY_UINT,
        DEVEMU_OPTION(struct blinker, unit_ns),
        .value = "1000000",
        .min = 1,
        .max = 1000000000,
        .doc = "nanoseconds of a unit of PERIOD",
    },
    {.name = NULL},
};

static const char *const outputs[] = {[LINE_IRQ] = "IRQ", [LINE_LAMP] = "LAMP", NULL};

/* --- the model ----------------------------------------------------------------------- */

extern const DevemuModel devemu_model_blinker;
const DevemuModel devemu_model_blinker = {
    .name = "blinker",
    .title = "Lamp that blinks",
    .datasheet = "docs/writing-a-model.md, The chip",
    .not_modelled = "the lamp's afterglow",
    .state_size = sizeof(struct blinker),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = blinker_lines,
    .reset = blinker_reset,
    .valid = blinker_valid,
};
