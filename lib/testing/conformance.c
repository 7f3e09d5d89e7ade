/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conformance.c: what follows from a model's tables, checked for any model.
 */
#include "../internal.h"

#include <devemu/testing.h>

#include <stdarg.h>
#include <stdio.h>

typedef struct Check {
    const DevemuModel *model;
    const char *options;
    unsigned failed;
    unsigned events; /* host calls */
} Check;

static void G_GNUC_PRINTF(2, 3) fail(Check *check, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", check->model->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    check->failed++;
}

static unsigned reg_size(const DevemuReg *reg)
{
    return reg->size ? reg->size : 1;
}

static unsigned reg_count(const DevemuReg *reg)
{
    return reg->count ? reg->count : 1;
}

static DevemuDevice *make(Check *check)
{
    GError *error = NULL;
    DevemuDevice *dev = devemu_device_new(check->model, check->options, &error);

    if (dev == NULL) {
        fail(check, "cannot be made: %s", error->message);
        g_error_free(error);
    }
    return dev;
}

/* --- the tables themselves --------------------------------------------------------- */

static void check_masks(Check *check, const DevemuReg *reg)
{
    const uint64_t masks[] = {reg->ro, reg->w1c, reg->w1s, reg->w0c, reg->rc, reg->rsvd};
    uint64_t all = devemu_ones(reg_size(reg)), seen = 0, named = 0;

    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(masks); i++) {
        if (masks[i] & seen) {
            fail(check, "%s: rules overlap in bits %" G_GINT64_MODIFIER "x", reg->name,
                 masks[i] & seen);
        }
        seen |= masks[i];
    }
    if ((seen | reg->wo | reg->reset | reg->stop) & ~all) {
        fail(check, "%s: a rule or the reset value is wider than the register", reg->name);
    }
    for (const DevemuBits *bits = reg->bits; bits && bits->name; bits++) {
        if (bits->mask & named || bits->mask & ~all || bits->mask == 0) {
            fail(check, "%s.%s: the bits overlap others, are none, or lie outside", reg->name,
                 bits->name);
        }
        named |= bits->mask;
    }
}

static void check_place(Check *check, const DevemuBank *bank, const DevemuReg *reg)
{
    unsigned element = bank->kind == DEVEMU_BANK_INDEXED ? 1 : reg_size(reg);
    unsigned stride = reg->stride ? reg->stride : element;

    if (reg->at + (uint64_t)(reg_count(reg) - 1) * stride + element > bank->size) {
        fail(check, "%s: lies outside bank %s", reg->name, bank->name);
    }
    if (reg->width &&
        reg->member + (uint64_t)reg_count(reg) * reg->width > check->model->state_size) {
        fail(check, "%s: lies outside the state", reg->name);
    }
    if (reg->width && !reg->window && reg->width * 8u < 64 &&
        ((reg->reset >> (reg->width * 8u - 1)) >> 1) != 0) {
        fail(check, "%s: the reset value does not fit the member", reg->name);
    }
    if (reg->window && (reg->window > check->model->bank_count ||
                        check->model->banks[reg->window - 1].kind != DEVEMU_BANK_INDEXED)) {
        fail(check, "%s: is a window on no indexed bank", reg->name);
    }
}

static void check_tables(Check *check)
{
    const DevemuModel *model = check->model;

    if (!model->title || !model->datasheet || !model->not_modelled) {
        fail(check, "title, datasheet and not_modelled must be given");
    }
    for (size_t b = 0; b < model->bank_count; b++) {
        const DevemuBank *bank = &model->banks[b];

        for (size_t i = 0; i < bank->reg_count; i++) {
            if (!bank->regs[i].name) {
                fail(check, "bank %s: register %zu has no name", bank->name, i);
                continue;
            }
            check_masks(check, &bank->regs[i]);
            check_place(check, bank, &bank->regs[i]);
        }
    }
}

/* --- every byte of the state has an owner ------------------------------------------ */

static void claim(uint8_t *owners, size_t size, uint64_t at, uint64_t len)
{
    for (uint64_t i = at; i < at + len && i < size; i++) {
        owners[i]++;
    }
}

static void check_coverage(Check *check)
{
    const DevemuModel *model = check->model;
    g_autofree uint8_t *owners = g_malloc0(model->state_size);
    size_t missing = 0, first = 0;

    claim(owners, model->state_size, 0, sizeof(DevemuDevice *));
    for (size_t b = 0; b < model->bank_count; b++) {
        for (size_t i = 0; i < model->banks[b].reg_count; i++) {
            const DevemuReg *reg = &model->banks[b].regs[i];

            if (!reg->window) {
                claim(owners, model->state_size, reg->member,
                      (uint64_t)reg->width * reg_count(reg));
            }
        }
    }
    for (const DevemuField *f = model->fields; f && f->name; f++) {
        claim(owners, model->state_size, f->member, (uint64_t)f->width * f->count);
    }
    for (const DevemuTimer *t = model->timers; t && t->name; t++) {
        claim(owners, model->state_size, t->member, 8);
    }
    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        claim(owners, model->state_size, p->member, p->width);
    }
    for (size_t i = 0; i < model->state_size; i++) {
        if (owners[i] == 0) {
            first = missing ? first : i;
            missing++;
        }
    }
    if (missing) {
        fail(check, "%zu bytes of the state belong to no row, the first at %zu of %zu", missing,
             first, model->state_size);
    }
}

/* --- creation is silent ------------------------------------------------------------ */

static bool count_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    (void)addr;
    (void)buf;
    (void)len;
    ((Check *)host)->events++;
    return false;
}

static bool count_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    (void)addr;
    (void)buf;
    (void)len;
    ((Check *)host)->events++;
    return false;
}

static void count_msi(void *host, uint64_t addr, uint32_t data)
{
    (void)addr;
    (void)data;
    ((Check *)host)->events++;
}

static void count_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    (void)slices;
    (void)count;
    (void)more;
    ((Check *)net)->events++;
}

static void check_silent(Check *check)
{
    const DevemuHostOps ops = {.size = sizeof(ops),
                               .dma_read = count_dma_read,
                               .dma_write = count_dma_write,
                               .msi = count_msi};
    const DevemuNetOps net = {.size = sizeof(net), .send = count_send};
    g_autoptr(DevemuDevice) dev = make(check);

    if (dev) {
        devemu_device_attach_net(dev, &net, check);
        devemu_device_set_host(dev, &ops, check);
        if (check->events) {
            fail(check, "a new device does %u things unasked", check->events);
        }
    }
}

/* --- registers without callbacks do exactly what their rows say -------------------- */

static uint64_t get(const DevemuDevice *dev, const DevemuReg *reg)
{
    const uint8_t *state = devemu_device_state((DevemuDevice *)(uintptr_t)dev);
    uint64_t value = 0;

    for (unsigned i = 0; i < reg->width; i++) {
        unsigned at = G_BYTE_ORDER == G_LITTLE_ENDIAN ? i : reg->width - 1u - i;

        value |= (uint64_t)state[reg->member + at] << (i * 8);
    }
    return value;
}

static void check_write(Check *check, const DevemuDevice *dev, unsigned bank, const DevemuReg *reg,
                        uint64_t value)
{
    uint64_t all = devemu_ones(reg_size(reg)) & devemu_ones(reg->width);
    uint64_t old = get(dev, reg);
    uint64_t fixed = reg->ro | reg->rsvd | reg->rc;
    uint64_t special = fixed | reg->w1c | reg->w1s | reg->w0c;
    uint64_t expected, got;

    value &= devemu_ones(reg_size(reg));
    expected = (old & fixed) | (value & ~special) | (old & ~value & reg->w1c) |
               ((old | value) & reg->w1s) | (old & value & reg->w0c);
    if (devemu_device_write((DevemuDevice *)(uintptr_t)dev, bank, reg->at, reg_size(reg), value) !=
        DEVEMU_ACCESS_OK) {
        return;
    }
    got = get(dev, reg);
    if ((got ^ expected) & all) {
        fail(check,
             "%s: %" G_GINT64_MODIFIER "x written over %" G_GINT64_MODIFIER
             "x gives %" G_GINT64_MODIFIER "x, not %" G_GINT64_MODIFIER "x",
             reg->name, value, old, got, expected);
    }
}

static void check_rules(Check *check)
{
    static const uint64_t values[] = {UINT64_MAX, 0, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa};

    for (size_t b = 0; b < check->model->bank_count; b++) {
        const DevemuBank *bank = &check->model->banks[b];

        for (size_t i = 0; i < bank->reg_count && bank->kind != DEVEMU_BANK_INDEXED; i++) {
            const DevemuReg *reg = &bank->regs[i];
            g_autoptr(DevemuDevice) dev = make(check);

            if (dev && reg->width && !reg->wrote && !reg->window && !reg->writable &&
                !reg->decoded) {
                for (unsigned v = 0; v < DEVEMU_N_ELEMENTS(values); v++) {
                    check_write(check, dev, (unsigned)b, reg, values[v]);
                }
            }
        }
    }
}

/* A register answers in its own width; in another only where a second row or a raw handler does. */
static void check_sizes(Check *check)
{
    for (size_t b = 0; b < check->model->bank_count; b++) {
        const DevemuBank *bank = &check->model->banks[b];
        g_autoptr(DevemuDevice) dev = make(check);

        if (!dev || bank->kind == DEVEMU_BANK_INDEXED || bank->reg_count == 0) {
            continue;
        }
        for (uint64_t at = bank->size; at < bank->size + 16; at++) {
            uint64_t value;

            if (devemu_device_read(dev, (unsigned)b, at, 1, &value) == DEVEMU_ACCESS_OK) {
                fail(check, "bank %s answers at %" G_GINT64_MODIFIER "x, behind its end",
                     bank->name, at);
            }
        }
    }
}

/* --- reset ------------------------------------------------------------------------- */

/* Whatever was written: no line may have changed without a word. */
static void check_lines(Check *check, DevemuDevice *dev, const char *name)
{
    uint64_t lines = check->model->lines ? check->model->lines(devemu_device_state(dev)) : 0;

    if (lines != devemu_device_lines(dev)) {
        fail(check, "%s: a write changes lines that nobody is told of", name);
    }
}

static void scribble(Check *check, DevemuDevice *dev)
{
    const DevemuModel *model = devemu_device_model(dev);
    uint64_t x = 88172645463325252u;

    for (unsigned round = 0; round < 3; round++) {
        for (size_t b = 0; b < model->bank_count; b++) {
            for (size_t i = 0; i < model->banks[b].reg_count; i++) {
                const DevemuReg *reg = &model->banks[b].regs[i];

                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                if (model->banks[b].kind != DEVEMU_BANK_INDEXED) {
                    devemu_device_write(dev, (unsigned)b, reg->at, reg_size(reg), x);
                    check_lines(check, dev, reg->name);
                }
            }
        }
    }
}

/* After HARD a register holds what POWER gave it, but for the bits that it keeps. */
static void check_reset(Check *check)
{
    g_autoptr(DevemuDevice) fresh = make(check);
    g_autoptr(DevemuDevice) used = make(check);

    if (!fresh || !used) {
        return;
    }
    scribble(check, used);
    devemu_device_reset(used, DEVEMU_RESET_HARD);
    for (size_t b = 0; b < check->model->bank_count; b++) {
        for (size_t i = 0; i < check->model->banks[b].reg_count; i++) {
            const DevemuReg *reg = &check->model->banks[b].regs[i];
            uint64_t differ = get(fresh, reg) ^ get(used, reg);

            if (reg->width && !reg->window &&
                (differ & ~reg->keep_hard & devemu_ones(reg_size(reg)))) {
                fail(check,
                     "%s: a hard reset leaves %" G_GINT64_MODIFIER "x, power-on %" G_GINT64_MODIFIER
                     "x",
                     reg->name, get(used, reg), get(fresh, reg));
            }
        }
    }
}

/* --- snapshots --------------------------------------------------------------------- */

static bool same_state(const DevemuDevice *dev, GVariant *state)
{
    g_autoptr(GVariant) now = devemu_device_save(dev);

    return g_variant_equal(now, state);
}

/* Refused with a reason, and nothing changed; or, where the bytes still make a state, taken whole.
 */
static void check_load(Check *check, DevemuDevice *dev, GVariant *state, GVariant *bad,
                       const char *what, bool must_refuse)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) hold = g_variant_ref_sink(bad);

    if (devemu_device_load(dev, hold, &error)) {
        if (must_refuse) {
            fail(check, "a snapshot that is %s was taken", what);
        }
        devemu_device_load(dev, state, NULL);
    } else if (!error || !error->message[0]) {
        fail(check, "a snapshot that is %s was refused without a word", what);
    } else if (!same_state(dev, state)) {
        fail(check, "a refused snapshot (%s) changed the device", what);
    }
}

static GVariant *without(GVariant *state, const char *drop, const char *rename)
{
    GVariantBuilder builder;
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    g_variant_iter_init(&iter, state);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        if (strcmp(key, drop) != 0) {
            g_variant_builder_add(&builder, "{sv}", key, value);
        } else if (rename) {
            g_variant_builder_add(&builder, "{sv}", rename, value);
        }
        g_variant_unref(value);
    }
    return g_variant_builder_end(&builder);
}

static bool optional(const DevemuModel *model, const char *key)
{
    for (const DevemuField *f = model->fields; f && f->name; f++) {
        if (f->since_absent_ok && strcmp(f->name, key) == 0) {
            return true;
        }
    }
    return false;
}

static void check_keys(Check *check, DevemuDevice *dev, GVariant *state)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, state);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        g_variant_unref(value);
        if (!optional(check->model, key)) {
            check_load(check, dev, state, without(state, key, NULL), "missing an entry", true);
        }
        check_load(check, dev, state, without(state, key, "no.such.entry"), "renamed in an entry",
                   true);
    }
}

static GVariant *from_bytes(const uint8_t *bytes, gsize len)
{
    GBytes *copy = g_bytes_new(bytes, len);
    GVariant *variant = g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, copy, FALSE);

    g_bytes_unref(copy);
    return variant;
}

static void check_bytes(Check *check, DevemuDevice *dev, GVariant *state)
{
    gsize size = g_variant_get_size(state);
    g_autofree uint8_t *bytes = g_memdup2(g_variant_get_data(state), size);
    gsize step = MAX(size / 200, 1);

    for (gsize cut = 0; cut < size; cut += step) {
        check_load(check, dev, state, from_bytes(bytes, cut), "cut off", true);
    }
    for (gsize at = 0; at < size; at += step) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            bytes[at] ^= (uint8_t)(1u << bit);
            check_load(check, dev, state, from_bytes(bytes, size), "flipped in a bit", false);
            bytes[at] ^= (uint8_t)(1u << bit);
        }
    }
}

static void check_snapshot(Check *check)
{
    g_autoptr(DevemuDevice) dev = make(check);
    g_autoptr(DevemuDevice) other = make(check);
    g_autoptr(GVariant) state = NULL;
    g_autoptr(GError) error = NULL;

    if (!dev || !other) {
        return;
    }
    scribble(check, dev);
    state = devemu_device_save(dev);
    if (!devemu_device_load(other, state, &error)) {
        fail(check, "its own snapshot is refused: %s", error->message);
        return;
    }
    if (!same_state(other, state)) {
        fail(check, "save, load, save gives another snapshot");
    }
    if (devemu_device_lines(dev) != devemu_device_lines(other)) {
        fail(check, "lines differ after a load");
    }
    check_keys(check, other, state);
    check_bytes(check, other, state);
}

unsigned devemu_conformance(const DevemuModel *model, const char *options)
{
    Check check = {.model = model, .options = options};

    g_return_val_if_fail(model != NULL, 1);
    check_tables(&check);
    check_coverage(&check);
    check_silent(&check);
    check_rules(&check);
    check_sizes(&check);
    check_reset(&check);
    check_snapshot(&check);
    return check.failed;
}
