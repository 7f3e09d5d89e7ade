/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * harness.c: one input from its head to its end, and what must hold after each operation.
 */
#include "harness.h"

#include <stdlib.h>

/* 1 800 000 000 s: where a host that takes its own clock would be. */
#define LATE_NS UINT64_C(1800000000000000000)

/* Migrations of a run that has them: before each of the first operations, then before each eighth.
 * They cost more than all else. */
#define TWIN_ALL  8
#define TWIN_STEP 8

#define TWIN_OPS     150
#define BIG_STATE    16384 /* bytes: then fewer of all that saves it */
#define BIG_TWIN_OPS 40

#define SNAPSHOTS     12
#define BIG_SNAPSHOTS 2

static const uint8_t weights[FUZZ_OP_COUNT] = {
    [FUZZ_WRITE] = 24,       [FUZZ_READ] = 8,        [FUZZ_REPEAT] = 1,     [FUZZ_RAW_WRITE] = 3,
    [FUZZ_RAW_READ] = 2,     [FUZZ_PEEK] = 1,        [FUZZ_BUS_WRITE] = 2,  [FUZZ_BUS_READ] = 1,
    [FUZZ_CONFIG_WRITE] = 2, [FUZZ_CONFIG_READ] = 1, [FUZZ_RAM_WORDS] = 8,  [FUZZ_RAM_FILL] = 1,
    [FUZZ_RAM_FORGET] = 1,   [FUZZ_TIME_NEXT] = 6,   [FUZZ_TIME_SMALL] = 3, [FUZZ_TIME_MEDIUM] = 3,
    [FUZZ_TIME_HUGE] = 1,    [FUZZ_TIME_IDLE] = 1,   [FUZZ_RECEIVE] = 6,    [FUZZ_LOOP] = 1,
    [FUZZ_READY] = 1,        [FUZZ_LINK] = 1,        [FUZZ_INPUT] = 3,      [FUZZ_LINE] = 4,
    [FUZZ_SCREEN] = 1,       [FUZZ_RESET] = 1,       [FUZZ_SAVE] = 1,       [FUZZ_FRESH] = 1,
    [FUZZ_EDIT] = 2,         [FUZZ_PATCH] = 1,       [FUZZ_UNPLUG] = 1,     [FUZZ_FAIL_DMA] = 1,
    [FUZZ_OWN_DMA] = 1,      [FUZZ_REVOKE] = 1,
};

unsigned fuzz_op_slot(FuzzOp op)
{
    unsigned slot = 0;

    for (unsigned i = 0; i < op; i++) {
        slot += weights[i];
    }
    return slot;
}

static FuzzOp op_of_slot(unsigned slot)
{
    for (unsigned i = 0; i < FUZZ_OP_COUNT; i++) {
        if (slot < weights[i]) {
            return (FuzzOp)i;
        }
        slot -= weights[i];
    }
    return FUZZ_WRITE;
}

/* --- text -------------------------------------------------------------------------- */

/* Also in a run that will crash: what is in the text stands before what it tells is done. */
static void insert(Fuzz *f, size_t at, const char *format, va_list args)
{
    FuzzText *text = f->text;
    char *line = g_strdup_vprintf(format, args);
    char *whole = g_strdup_printf("    %s\n", line);
    size_t len = strlen(whole);

    if (text->len + len + 1 <= sizeof(text->body)) {
        memmove(text->body + at + len, text->body + at, text->len - at + 1);
        memcpy(text->body + at, whole, len);
        text->len += len;
    }
    g_free(whole);
    g_free(line);
}

void fuzz_say(Fuzz *f, const char *format, ...)
{
    va_list args;

    if (f->text && !f->twin) {
        va_start(args, format);
        insert(f, f->text->len, format, args);
        va_end(args);
    }
}

void fuzz_uses(Fuzz *f, unsigned helper)
{
    if (f->text && !f->twin) {
        f->text->uses |= helper;
    }
}

void fuzz_say_before(Fuzz *f, const char *format, ...)
{
    va_list args;

    if (f->text && !f->twin) {
        size_t before = f->text->len;

        va_start(args, format);
        insert(f, f->text->op_at, format, args);
        va_end(args);
        f->text->op_at += f->text->len - before;
    }
}

char *fuzz_bytes(const uint8_t *data, size_t len)
{
    GString *s = g_string_new(NULL);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(s, "%s0x%02x", i ? ", " : "", data[i]);
    }
    return g_string_free(s, FALSE);
}

void fuzz_fail(Fuzz *f, const char *check, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (f->text) {
        bool twin = f->twin;

        f->twin = false;
        fuzz_say(f, "/* fuzz: %s */", text);
        if (check) {
            fuzz_say(f, "%s", check);
        }
        f->text->broken = true;
        f->twin = twin;
    }
    fprintf(stderr, "fuzz: %s, operation %u: %s\n", f->model->name, f->op, text);
    g_free(text);
    abort();
}

/* FNV-1a, a word at a time. */
void fuzz_digest(Fuzz *f, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (; len >= 8; p += 8, len -= 8) {
        fuzz_digest_number(f, devemu_le64(p));
    }
    for (; len > 0; p++, len--) {
        fuzz_digest_number(f, *p);
    }
}

/* --- operations -------------------------------------------------------------------- */

typedef void OpFunc(Fuzz *f);

static void op_revoke(Fuzz *f)
{
    fuzz_say(f, "devemu_device_revoke(devemu_fake_device(fake));");
    devemu_device_revoke(f->top);
}

static OpFunc *const op_funcs[FUZZ_OP_COUNT] = {
    [FUZZ_WRITE] = fuzz_op_write,
    [FUZZ_READ] = fuzz_op_read,
    [FUZZ_REPEAT] = fuzz_op_repeat,
    [FUZZ_RAW_WRITE] = fuzz_op_raw_write,
    [FUZZ_RAW_READ] = fuzz_op_raw_read,
    [FUZZ_PEEK] = fuzz_op_peek,
    [FUZZ_BUS_WRITE] = fuzz_op_bus_write,
    [FUZZ_BUS_READ] = fuzz_op_bus_read,
    [FUZZ_CONFIG_WRITE] = fuzz_op_config_write,
    [FUZZ_CONFIG_READ] = fuzz_op_config_read,
    [FUZZ_RAM_WORDS] = fuzz_op_ram_words,
    [FUZZ_RAM_FILL] = fuzz_op_ram_fill,
    [FUZZ_RAM_FORGET] = fuzz_op_ram_forget,
    [FUZZ_RECEIVE] = fuzz_op_receive,
    [FUZZ_LOOP] = fuzz_op_loop,
    [FUZZ_READY] = fuzz_op_ready,
    [FUZZ_LINK] = fuzz_op_link,
    [FUZZ_INPUT] = fuzz_op_input,
    [FUZZ_LINE] = fuzz_op_line,
    [FUZZ_SCREEN] = fuzz_op_screen,
    [FUZZ_RESET] = fuzz_op_reset,
    [FUZZ_SAVE] = fuzz_op_save,
    [FUZZ_FRESH] = fuzz_op_fresh,
    [FUZZ_EDIT] = fuzz_op_edit,
    [FUZZ_PATCH] = fuzz_op_patch,
    [FUZZ_UNPLUG] = fuzz_unplug,
    [FUZZ_FAIL_DMA] = fuzz_op_fail_dma,
    [FUZZ_OWN_DMA] = fuzz_op_own_dma,
    [FUZZ_REVOKE] = op_revoke,
};

static bool is_snapshot(FuzzOp op)
{
    return op == FUZZ_SAVE || op == FUZZ_FRESH || op == FUZZ_EDIT || op == FUZZ_PATCH;
}

static void check(Fuzz *f)
{
    uint64_t lines = f->model->lines ? f->model->lines(devemu_device_state(f->dev)) : 0;

    if (devemu_device_busy(f->dev) || devemu_device_busy(f->top)) {
        fuzz_fail(f, NULL, "the device stays busy after its event");
    }
    if ((f->plugged || !f->bus) && lines != devemu_device_lines(f->dev)) {
        fuzz_fail(f, NULL, "lines() says %#" PRIx64 ", told were %#" PRIx64, lines,
                  devemu_device_lines(f->dev));
    }
    if (f->lines != devemu_device_lines(f->top)) {
        fuzz_fail(f, NULL, "the host was told lines %#" PRIx64 ", the device has %#" PRIx64,
                  f->lines, devemu_device_lines(f->top));
    }
    if (f->deadline != devemu_device_deadline(f->top)) {
        fuzz_fail(f, NULL, "the host was told deadline %" PRIu64 ", the device has %" PRIu64,
                  f->deadline, devemu_device_deadline(f->top));
    }
    fuzz_digest_number(f, f->lines);
    fuzz_digest_number(f, f->deadline);
}

static void one_op(Fuzz *f, unsigned *snapshots)
{
    FuzzOp op = op_of_slot(fuzz_byte(&f->in) % FUZZ_OP_SLOTS);

    if (f->in.ended) {
        return;
    }
    if (f->text) {
        f->text->op_at = f->text->len;
    }
    f->dma_calls = 0;
    f->dma_bytes = 0;
    if (f->twin && f->plugged &&
        (f->op % TWIN_STEP == 0 || (f->op < TWIN_ALL && f->model->state_size <= BIG_STATE))) {
        fuzz_migrate(f);
    }
    if (is_snapshot(op) &&
        (*snapshots)++ >= (f->model->state_size > BIG_STATE ? BIG_SNAPSHOTS : SNAPSHOTS)) {
        op = FUZZ_WRITE;
    }
    if (f->block && is_snapshot(op)) {
        fuzz_say(f, "devemu_device_drain(devemu_fake_device(fake));");
        devemu_device_drain(f->top);
    }
    if (op >= FUZZ_TIME_NEXT && op <= FUZZ_TIME_IDLE) {
        fuzz_op_time(f, op);
    } else {
        op_funcs[op](f);
    }
    fuzz_block_end(f);
    check(f);
}

/* --- a run ------------------------------------------------------------------------- */

static void begin(Fuzz *f)
{
    f->head = fuzz_byte(&f->in);
    if (f->head & FUZZ_HEAD_OPTIONS) {
        fuzz_settings_take(f);
    }
    fuzz_rows_init(f);
    fuzz_host_init(f);
}

static void end(Fuzz *f)
{
    if (f->dev) {
        fuzz_world_free(f);
    }
    fuzz_settings_free(f);
    g_free(f->rows);
}

static void compare(Fuzz *f, const Fuzz *first)
{
    if (f->op < first->digest_count && f->digest != first->digests[f->op]) {
        fuzz_fail(f, NULL,
                  "with migrations, this operation ends differently: run "
                  "the test with DEVEMU_FAKE_MODE=migrate");
    }
}

static unsigned op_limit(const Fuzz *f)
{
    if (!fuzz_head_twin(f->head)) {
        return FUZZ_OPS;
    }
    return f->model->state_size > BIG_STATE ? BIG_TWIN_OPS : TWIN_OPS;
}

static void run(Fuzz *f, const Fuzz *first)
{
    unsigned snapshots = 0, limit;

    begin(f);
    limit = op_limit(f);
    if (!fuzz_world_new(f)) {
        return;
    }
    if (f->text) {
        f->text->bus = f->bus;
        f->text->pci = f->model->pci != NULL;
        f->text->refill = (f->head & FUZZ_HEAD_REFILL) != 0;
    }
    fuzz_say(f, "devemu_fake_set_map(fake, %s);", f->head & FUZZ_HEAD_MAP ? "true" : "false");
    if (f->head & FUZZ_HEAD_LATE) {
        fuzz_say(f, "devemu_fake_jump(fake, %" PRIu64 "u);", LATE_NS);
        fuzz_time(f, LATE_NS, true);
    }
    for (f->op = 0; f->op < limit && !f->in.ended; f->op++) {
        one_op(f, &snapshots);
        f->digests[f->op] = f->digest;
        f->digest_count = f->op + 1;
        if (first) {
            compare(f, first);
        }
    }
    if (f->in.back % (f->model->state_size > BIG_STATE ? 16 : 4) == 0) {
        fuzz_op_save(f);
    }
    fuzz_digest(f, f->ram, FUZZ_RAM_BYTES);
    f->digests[f->op] = f->digest;
    f->digest_count = f->op + 1;
    if (first) {
        compare(f, first);
    }
}

void fuzz_run(const DevemuModel *model, const uint8_t *data, size_t len, FuzzText *text)
{
    Fuzz *f = g_new0(Fuzz, 1);
    bool twin;

    /* A misused interface is a bug of this library or of the harness. */
    g_log_set_always_fatal((GLogLevelFlags)(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING));
    f->model = model;
    f->text = text;
    f->in = (FuzzInput){.data = data, .back = len};
    run(f, NULL);
    twin = fuzz_head_twin(f->head);
    end(f);
    if (twin) {
        Fuzz *second = g_new0(Fuzz, 1);

        second->model = model;
        second->text = text;
        second->twin = true;
        second->in = (FuzzInput){.data = data, .back = len};
        run(second, f);
        end(second);
        g_free(second);
    }
    g_free(f);
}
