/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest.c: text of a qtest client against the PC of examples/board.h with one network card. The
 * input is what the client sends, cut where its first byte says.
 *
 * What must hold: every line that is not empty gets one answer, in order, that begins with OK, FAIL
 * or ERR; the clock never goes back; and nothing else happens to this program.
 */
#include "../../examples/board.h"

#include <devemu/qtest.h>

#include <stdlib.h>
#include <string.h>

/* What one input may cost: moments of the clock in slices, and long pieces of memory. */
#define MOST_PIECES 400
#define LONG_BYTES  4096
#define MOST_LONG   4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Target {
    Board *board;
    DevemuDevice *card;
    DevemuQtest *server;
    bool told, reset;
    unsigned commands, answers, expected;
    uint64_t now_ns;
} Target;

static void pin_reset(void *opaque)
{
    ((Target *)opaque)->reset = true;
}

static void pin_irq(void *opaque, unsigned irq, bool level)
{
    Target *t = opaque;

    if (t->told && t->server) {
        devemu_qtest_line(t->server, irq, level);
    }
}

static const BoardPins pins = {.reset = pin_reset, .power_off = pin_reset, .irq = pin_irq};

/* A frame comes in at every fourth command. */
static void before(void *opaque)
{
    static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
    Target *t = opaque;

    if (t->commands++ % 4 == 3) {
        devemu_device_receive(t->card, frame, sizeof(frame));
    }
}

static void after(void *opaque)
{
    Target *t = opaque;

    if (t->reset) {
        t->reset = false;
        board_reset(t->board);
    }
    g_assert(devemu_qtest_now(t->server) >= t->now_ns);
    t->now_ns = devemu_qtest_now(t->server);
}

static bool intercept(void *opaque, const char *path, const char *name, bool outputs)
{
    Target *t = opaque;

    (void)name;
    t->told = !outputs && strcmp(path, "ioapic") == 0;
    return t->told;
}

static bool set_line(void *opaque, const char *path, const char *name, uint64_t line, bool level)
{
    (void)path;
    (void)name;
    if (line >= 16) {
        return false;
    }
    board_set_irq(((Target *)opaque)->board, (unsigned)line, level);
    return true;
}

static const DevemuQtestOps ops = {
    .size = sizeof(DevemuQtestOps),
    .before = before,
    .after = after,
    .intercept = intercept,
    .set_line = set_line,
};

static void start(Target *t)
{
    const BoardConfig config = {.ram_bytes = 2 << 20,
                                .rtc_seconds = 1000000000,
                                .loose_config = true,
                                .pins = &pins,
                                .opaque = t};

    t->board = board_new(&config, NULL);
    g_assert(t->board);
    t->card = devemu_device_new(devemu_model_find("am79c970a"), NULL, NULL);
    g_assert(board_plug(t->board, t->card, 4, NULL));
    t->server = devemu_qtest_new(t->board->system, &ops, t);
}

/* Lines of answers; those about interrupts come in between. */
static void take_output(Target *t)
{
    size_t len;
    const char *text = devemu_qtest_output(t->server, &len);
    const char *line = text, *end;

    while ((end = memchr(line, '\n', len - (size_t)(line - text))) != NULL) {
        if (!g_str_has_prefix(line, "IRQ ")) {
            g_assert(g_str_has_prefix(line, "OK") || g_str_has_prefix(line, "FAIL") ||
                     g_str_has_prefix(line, "ERR "));
            t->answers++;
        }
        line = end + 1;
    }
    g_assert(line == text + len);
    devemu_qtest_taken(t->server, len);
}

/* A long piece takes long: the second number of such a line is its length. */
static bool is_long(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \r", -1);
    unsigned seen = 0;

    for (char **word = words; *word; word++) {
        if (**word && ++seen == 3) {
            return g_ascii_strtoull(*word, NULL, 0) > LONG_BYTES;
        }
    }
    return false;
}

/* The text without what takes too long; how many answers it must get. */
static GString *prepare(Target *t, const uint8_t *data, size_t size)
{
    GString *text = g_string_new(NULL);
    unsigned longs = 0;

    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        g_autofree char *line = g_strndup((const char *)data, len);
        bool keep = !is_long(line) || longs++ < MOST_LONG;

        if (keep) {
            g_string_append_len(text, (const char *)data, (gssize)len + (end ? 1 : 0));
            t->expected += end && line[strspn(line, " \r")] != '\0';
        }
        len += end ? 1 : 0;
        data += len;
        size -= len;
    }
    return text;
}

static void feed(Target *t, const GString *text, size_t cut)
{
    size_t done = 0;
    bool more = true;

    for (unsigned i = 0; i < MOST_PIECES + text->len && (more || done < text->len); i++) {
        size_t len = MIN(cut, text->len - done);

        done += devemu_qtest_put(t->server, text->str + done, len);
        more = devemu_qtest_run(t->server);
        take_output(t);
    }
    g_assert(t->answers == t->expected || (more && t->answers < t->expected));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Target t = {0};
    GString *text;

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    if (size == 0) {
        return 0;
    }
    start(&t);
    text = prepare(&t, data, size);
    feed(&t, text, data[0] == '\n' || data[0] == ' ' ? 7 : 4096);
    g_string_free(text, TRUE);
    devemu_qtest_free(t.server);
    t.server = NULL;
    board_free(t.board);
    return 0;
}
