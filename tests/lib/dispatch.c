/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The quick ways through register banks do what the slow one does: chips with tables made by
 * chance, each twice, get the same accesses; one has a host that wants a trace, so that all it does
 * goes the slow way.
 */
#include <devemu/device.h>

#include <criterion/criterion.h>

#define CHIPS    400
#define ACCESSES 400
#define ROWS     24
#define BYTES    192 /* of the state that rows may show */
#define INDEXES  4   /* behind them, that select */

enum { OUTER, INNER, BANKS };

struct chance {
    DevemuDevice *dev;
    uint64_t due_ns;
    uint64_t calls;
    uint8_t bytes[BYTES];
    uint8_t indexes[INDEXES];
    uint8_t unused[4];
};

typedef struct Chip {
    DevemuReg rows[BANKS][ROWS];
    DevemuBank banks[BANKS];
    DevemuModel model;
} Chip;

static uint64_t seed;

static uint64_t chance(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % limit;
}

/* --- callbacks --------------------------------------------------------------------- */

static bool even(const void *state)
{
    return (((const struct chance *)state)->bytes[0] & 1) == 0;
}

static bool odd(const void *state)
{
    return !even(state);
}

static uint64_t shows(const void *state, unsigned index)
{
    return ((const struct chance *)state)->calls * 0x9e3779b97f4a7c15 + index;
}

static void note(struct chance *chip, uint64_t what)
{
    chip->calls = (chip->calls ^ what) * 0x100000001b3;
    chip->due_ns = chip->calls & 3 ? chip->calls >> 40 : DEVEMU_NEVER;
    chip->bytes[1]++;
}

static void took(void *state, unsigned index)
{
    note(state, index + 1);
}

static void wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    note(state, index + 3 * value + 7 * old);
}

static void expired(void *state, uint64_t due_ns)
{
    note(state, due_ns);
}

static uint64_t lines(const void *state)
{
    const struct chance *chip = state;

    return (uint64_t)(chip->bytes[1] & 7) | (uint64_t)(chip->bytes[2] & 0x1f) << 3;
}

static DevemuAccess raw_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    *ret_value = at ^ size;
    return ((struct chance *)state)->bytes[3] & 1 ? DEVEMU_ACCESS_OK : DEVEMU_ACCESS_NONE;
}

static DevemuAccess raw_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    note(state, at + size + value);
    return DEVEMU_ACCESS_OK;
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuTimer timers[] = {DEVEMU_TIMER(struct chance, due_ns, expired), {.name = NULL}};
static const char *const outputs[] = {"0", "1", "2", "3", "4", "5", "6", "7", NULL};

/* Each bit of the register by one rule. */
static void rules(DevemuReg *reg, unsigned bits)
{
    uint64_t *masks[] = {&reg->ro, &reg->w1c, &reg->w1s, &reg->w0c, &reg->rc, &reg->rsvd};

    for (unsigned bit = 0; bit < bits && chance(3) == 0; bit++) {
        *masks[chance(G_N_ELEMENTS(masks))] |= UINT64_C(1) << bit;
    }
    if (chance(8) == 0) {
        reg->wo = chance(UINT64_MAX) & (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1);
    }
}

static void stored(DevemuReg *reg)
{
    reg->width = reg->size;
    reg->member = (uint32_t)(offsetof(struct chance, bytes) + chance(BYTES - 32));
    if (reg->count == 1 && reg->size == 1 && chance(6) == 0) {
        reg->member = (uint32_t)(offsetof(struct chance, indexes) + chance(INDEXES));
    }
}

static void callbacks(DevemuReg *reg)
{
    reg->decoded = chance(4) ? NULL : chance(2) ? even : odd;
    reg->writable = chance(8) ? NULL : even;
    reg->read = chance(6) ? NULL : shows;
    reg->took = chance(6) ? NULL : took;
    reg->wrote = chance(4) ? NULL : wrote;
    reg->unimpl = chance(10) == 0;
}

static void row(DevemuReg *reg, const DevemuBank *bank)
{
    bool indexed = bank->kind == DEVEMU_BANK_INDEXED;
    unsigned element;

    memset(reg, 0, sizeof(*reg));
    reg->name = "R";
    reg->size = (uint8_t)(1u << chance(4));
    element = indexed ? 1 : reg->size;
    reg->count = (uint16_t)(chance(4) ? 1 : 1 + chance(4));
    reg->stride = (uint16_t)(chance(3) ? 0 : element + chance(3));
    reg->at =
        (uint32_t)chance(bank->size - (reg->stride ? reg->stride : element) * reg->count + 1u);
    if (chance(2)) {
        reg->at &= ~(element - 1u);
    }
    rules(reg, reg->size * 8u);
    callbacks(reg);
    if (!indexed && chance(5) == 0) {
        reg->window = INNER + 1;
        reg->window_width = 1;
        reg->window_index = (uint32_t)(offsetof(struct chance, indexes) + chance(INDEXES));
    } else if (chance(8)) {
        stored(reg);
    }
    reg->reset =
        chance(UINT64_MAX) & (reg->size == 8 ? UINT64_MAX : (UINT64_C(1) << reg->size * 8) - 1);
}

static Chip *chip_new(void)
{
    Chip *chip = g_new0(Chip, 1);

    for (unsigned b = 0; b < BANKS; b++) {
        DevemuBank *bank = &chip->banks[b];

        bank->name = b == OUTER ? "outer" : "inner";
        bank->kind = b == INNER  ? DEVEMU_BANK_INDEXED
                     : chance(2) ? DEVEMU_BANK_PIO
                                 : DEVEMU_BANK_MMIO;
        bank->size = 48 + chance(32);
        bank->regs = chip->rows[b];
        bank->reg_count = 1 + chance(ROWS);
        bank->absent = chance(UINT64_MAX);
        if (b == OUTER) {
            bank->lanes = chance(3) == 0;
            bank->sizes = chance(4) ? 0 : (uint8_t)(1 + chance(15));
            bank->decoded = chance(8) ? NULL : even;
            bank->read = chance(3) ? NULL : raw_read;
            bank->write = chance(3) ? NULL : raw_write;
        }
        for (size_t i = 0; i < bank->reg_count; i++) {
            row(&chip->rows[b][i], bank);
        }
    }
    chip->model = (DevemuModel){.name = "chance",
                                .state_size = sizeof(struct chance),
                                .banks = chip->banks,
                                .bank_count = BANKS,
                                .timers = timers,
                                .outputs = outputs,
                                .lines = lines};
    return chip;
}

/* --- two of each ------------------------------------------------------------------- */

typedef struct Host {
    unsigned errors, tells;
} Host;

static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    (void)level;
    (void)text;
    ((Host *)host)->errors++;
}

static void host_set_line(void *host, unsigned line, bool level)
{
    ((Host *)host)->tells += 1 + line + level;
}

static void host_deadline(void *host, uint64_t when_ns)
{
    ((Host *)host)->tells += (unsigned)when_ns;
}

static void host_trace(void *host, const DevemuTrace *trace)
{
    (void)host;
    (void)trace;
}

static DevemuDevice *make(const Chip *chip, Host *host, bool slow)
{
    DevemuHostOps ops = {.size = sizeof(ops),
                         .log = host_log,
                         .set_line = host_set_line,
                         .deadline = host_deadline,
                         .trace = slow ? host_trace : NULL};
    DevemuDevice *dev = devemu_device_new(&chip->model, NULL, NULL);

    devemu_device_set_host(dev, &ops, host);
    return dev;
}

/* All of the state but the first member. */
static bool same_state(DevemuDevice *a, DevemuDevice *b)
{
    const uint8_t *x = devemu_device_state(a), *y = devemu_device_state(b);

    return memcmp(x + sizeof(DevemuDevice *), y + sizeof(DevemuDevice *),
                  sizeof(struct chance) - sizeof(DevemuDevice *)) == 0;
}

static void access_both(DevemuDevice *quick, DevemuDevice *slow)
{
    uint64_t at = chance(84), value = chance(UINT64_MAX), got = 0, expected = 0;
    unsigned size = 1u << chance(4), bank = chance(20) ? OUTER : INNER;
    DevemuAccess a, b;

    if (chance(2)) {
        devemu_device_peek(quick, bank, at, size, &got);
        got = 0;
        a = devemu_device_read(quick, bank, at, size, &got);
        b = devemu_device_read(slow, bank, at, size, &expected);
    } else {
        a = devemu_device_write(quick, bank, at, size, value);
        b = devemu_device_write(slow, bank, at, size, value);
    }
    cr_assert_eq(a, b, "at %#x, %u bytes: %d, not %d", (unsigned)at, size, a, b);
    cr_assert_eq(got, expected, "at %#x, %u bytes", (unsigned)at, size);
    cr_assert(same_state(quick, slow), "at %#x, %u bytes", (unsigned)at, size);
}

static void compare(uint64_t with_seed)
{
    Host hosts[2] = {0};
    DevemuDevice *quick, *slow;
    Chip *chip;

    seed = with_seed;
    chip = chip_new();
    quick = make(chip, &hosts[0], false);
    slow = make(chip, &hosts[1], true);
    for (unsigned i = 0; i < ACCESSES; i++) {
        access_both(quick, slow);
        cr_assert_eq(hosts[0].errors, hosts[1].errors);
        cr_assert_eq(hosts[0].tells, hosts[1].tells);
        cr_assert_eq(devemu_device_lines(quick), lines(devemu_device_state(quick)),
                     "a line was not told");
        cr_assert_eq(devemu_device_deadline(quick), devemu_device_deadline(slow));
    }
    devemu_device_free(quick);
    devemu_device_free(slow);
    g_free(chip);
}

Test(dispatch, quick_and_slow_accesses_do_the_same)
{
    for (unsigned i = 0; i < CHIPS; i++) {
        compare(0x9e3779b97f4a7c15u * (i + 1));
    }
}
