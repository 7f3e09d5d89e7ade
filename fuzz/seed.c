/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seed.c: inputs to begin with. Without a script, from the tables: every register read, written,
 * its bits set one by one, and every kind of event. With one, what it says, a line each:
 *
 * - head bus map refill nosy trace options late twin: first, if at all
 * - options NAME=VALUE...: behind "head options"; choices and switches, the others keep their value
 * - bytes HEX...: what options take, by hand
 * - reg NAME VALUE [ELEMENT]: write a register by its name, through its window if it has one
 * - get NAME [ELEMENT]: read it
 * - write BANK AT SIZE VALUE, read BANK AT SIZE
 * - ram AT WORD...: at most eight
 * - time NS, next: next is to the deadline
 * - frame broadcast|mac|multicast LEN, chars BYTE..., key CODE VALUE, button CODE VALUE, move X Y
 * - line N LEVEL, link N, reset hard|soft, save, fresh, edit, unplug, screen, ready, loop
 * - repeat COUNT: the last reg again, counting up
 *
 *     fuzz_seed MODEL OUTPUT-FILE SCRIPT
 *     fuzz_seed MODEL OUTPUT-FOLDER
 */
#include "harness.h"

#include <stdlib.h>

typedef struct Seed {
    const DevemuModel *model;
    GByteArray *bytes;
    const char *where; /* for messages */
} Seed;

static void put(Seed *s, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(value >> (i * 8));

        g_byte_array_append(s->bytes, &byte, 1);
    }
}

static void put_op(Seed *s, FuzzOp op)
{
    put(s, fuzz_op_slot(op), 1);
}

static void put_length(Seed *s, unsigned len)
{
    put(s, 0x80, 1);
    put(s, len, 2);
}

static void put_time(Seed *s, uint64_t ns)
{
    if (ns < 0x10000) {
        put_op(s, FUZZ_TIME_SMALL);
        put(s, ns, 2);
    } else if (ns < 65536000) {
        put_op(s, FUZZ_TIME_MEDIUM);
        put(s, ns / 1000, 2);
    } else {
        put_op(s, FUZZ_TIME_HUGE);
        put(s, 63 - (unsigned)__builtin_clzll(ns), 1);
    }
}

/* --- rows -------------------------------------------------------------------------- */

static unsigned rows_count(const DevemuModel *model)
{
    unsigned count = 0;

    for (size_t b = 0; b < model->bank_count; b++) {
        count += (unsigned)model->banks[b].reg_count;
    }
    return count;
}

static const DevemuReg *row_reg(const DevemuModel *model, unsigned row, const DevemuBank **ret_bank)
{
    *ret_bank = model->banks;
    for (size_t b = 0; b < model->bank_count; b++) {
        *ret_bank = &model->banks[b];
        if (row < model->banks[b].reg_count) {
            return &model->banks[b].regs[row];
        }
        row -= (unsigned)model->banks[b].reg_count;
    }
    g_assert_not_reached();
}

static void put_row(Seed *s, unsigned row, unsigned element)
{
    const DevemuBank *bank;
    const DevemuReg *reg = row_reg(s->model, row, &bank);

    put(s, row, rows_count(s->model) > 256 ? 2 : 1);
    if (reg->count > 1) {
        put(s, element, reg->count > 256 ? 2 : 1);
    }
}

static void put_window(Seed *s, unsigned row)
{
    const DevemuBank *bank;

    row_reg(s->model, row, &bank);
    if (bank->kind == DEVEMU_BANK_INDEXED) {
        put(s, 0, 1);
    }
}

static bool has_window(const Seed *s, unsigned row)
{
    const DevemuBank *own, *other;

    row_reg(s->model, row, &own);
    for (unsigned i = 0; i < rows_count(s->model); i++) {
        unsigned window = row_reg(s->model, i, &other)->window;

        if (window && &s->model->banks[window - 1] == own) {
            return true;
        }
    }
    return own->kind != DEVEMU_BANK_INDEXED;
}

/* Behind the value of a write. */
static void put_way(Seed *s, unsigned row)
{
    put_window(s, row);
    if (!has_window(s, row)) {
        put(s, row, 1);
    }
}

static void put_reg(Seed *s, unsigned row, unsigned element, uint64_t value)
{
    const DevemuBank *bank;
    const DevemuReg *reg = row_reg(s->model, row, &bank);

    put_op(s, FUZZ_WRITE);
    put_row(s, row, element);
    put(s, FUZZ_VALUE_RAW, 1);
    put(s, value, reg->size ? reg->size : 1);
    put_way(s, row);
}

static void put_get(Seed *s, unsigned row, unsigned element)
{
    put_op(s, FUZZ_READ);
    put_row(s, row, element);
    put_window(s, row);
}

/* --- scripts ----------------------------------------------------------------------- */

static G_NORETURN void stop(const Seed *s, const char *what, const char *word)
{
    fprintf(stderr, "%s: %s '%s'\n", s->where, what, word ? word : "");
    exit(1);
}

static uint64_t number(const Seed *s, const char *word)
{
    char *end = NULL;
    uint64_t value = word ? g_ascii_strtoull(word, &end, 0) : 0;

    if (word == NULL || *end != '\0') {
        stop(s, "expected a number, found", word);
    }
    return value;
}

static unsigned find_row(const Seed *s, const char *name)
{
    const DevemuBank *bank;
    unsigned count = rows_count(s->model);

    for (unsigned row = 0; row < count; row++) {
        if (name && strcmp(row_reg(s->model, row, &bank)->name, name) == 0) {
            return row;
        }
    }
    stop(s, "no register", name);
}

static unsigned find_bank(const Seed *s, const char *name)
{
    for (size_t b = 0; b < s->model->bank_count; b++) {
        if (name && strcmp(s->model->banks[b].name, name) == 0) {
            return (unsigned)b;
        }
    }
    stop(s, "no bank", name);
}

typedef void LineFunc(Seed *s, char **words);

static void line_head(Seed *s, char **words)
{
    static const char *const names[] = {"bus",   "map",     "refill", "nosy",
                                        "trace", "options", "late",   "twin"};
    unsigned head = 0;

    for (unsigned i = 1; words[i]; i++) {
        unsigned bit = 0;

        while (bit < 8 && strcmp(names[bit], words[i]) != 0) {
            bit++;
        }
        if (bit == 8) {
            stop(s, "no such head", words[i]);
        }
        head |= 1u << bit;
    }
    s->bytes->data[0] = (uint8_t)head;
}

static void line_bytes(Seed *s, char **words)
{
    for (unsigned i = 1; words[i]; i++) {
        put(s, g_ascii_strtoull(words[i], NULL, 16), 1);
    }
}

static const char *option_value(const DevemuProperty *p, char **words)
{
    size_t len = strlen(p->name);

    for (unsigned i = 1; words[i]; i++) {
        if (strncmp(words[i], p->name, len) == 0 && words[i][len] == '=') {
            return words[i] + len + 1;
        }
    }
    return p->value ? p->value : "";
}

static void line_options(Seed *s, char **words)
{
    for (const DevemuProperty *p = s->model->properties; p && p->name; p++) {
        const char *value = option_value(p, words);
        unsigned choice = 0;

        switch (p->type) {
        case DEVEMU_PROPERTY_ENUM:
            while (p->choices[choice] && strcmp(p->choices[choice], value) != 0) {
                choice++;
            }
            put(s, choice, 1);
            break;
        case DEVEMU_PROPERTY_BOOL:
            put(s, strcmp(value, "on") == 0, 1);
            break;
        case DEVEMU_PROPERTY_UINT:
        case DEVEMU_PROPERTY_BLOB:
            put(s, 0, 1);
            break;
        default:
            break;
        }
    }
}

static void line_reg(Seed *s, char **words)
{
    put_reg(s, find_row(s, words[1]), words[2] && words[3] ? (unsigned)number(s, words[3]) : 0,
            number(s, words[2]));
}

static void line_get(Seed *s, char **words)
{
    put_get(s, find_row(s, words[1]), words[1] && words[2] ? (unsigned)number(s, words[2]) : 0);
}

static unsigned put_place(Seed *s, char **words)
{
    unsigned bank = find_bank(s, words[1]);
    uint64_t at = number(s, words[2]), bytes = s->model->banks[bank].size;
    unsigned size = (unsigned)number(s, words[3]);

    put(s, bank, 1);
    put(s, (unsigned)__builtin_ctz(size), 1);
    put(s, at, bytes > 0x10000 ? 3 : bytes > 0x100 ? 2 : 1);
    return size;
}

static void line_write(Seed *s, char **words)
{
    unsigned size;

    put_op(s, FUZZ_RAW_WRITE);
    size = put_place(s, words);
    put(s, number(s, words[4]), size);
}

static void line_read(Seed *s, char **words)
{
    put_op(s, FUZZ_RAW_READ);
    put_place(s, words);
}

static void line_ram(Seed *s, char **words)
{
    unsigned count = g_strv_length(words) - 2;

    put_op(s, FUZZ_RAM_WORDS);
    put(s, number(s, words[1]), 2);
    put(s, count - 1, 1);
    for (unsigned i = 0; i < count; i++) {
        put(s, FUZZ_WORD_RAW, 1);
        put(s, number(s, words[2 + i]), 4);
    }
}

static void line_time(Seed *s, char **words)
{
    put_time(s, number(s, words[1]));
}

static void line_next(Seed *s, char **words)
{
    (void)words;
    put_op(s, FUZZ_TIME_NEXT);
    put(s, 0, 1);
}

static void put_frame(Seed *s, unsigned kind, unsigned len)
{
    put_op(s, FUZZ_RECEIVE);
    put(s, kind, 1);
    put_length(s, len);
    put(s, 0x0008, 4);
}

static void line_frame(Seed *s, char **words)
{
    unsigned kind = words[1] && strcmp(words[1], "mac") == 0         ? 1
                    : words[1] && strcmp(words[1], "multicast") == 0 ? 2
                                                                     : 0;

    put_frame(s, kind, (unsigned)number(s, words[2]));
}

static void line_chars(Seed *s, char **words)
{
    unsigned count = g_strv_length(words) - 1;

    put_op(s, FUZZ_RECEIVE);
    put(s, count % 17, 1);
    for (unsigned i = 0; i < count % 17; i++) {
        put(s, number(s, words[1 + i]), 1);
    }
}

static void line_key(Seed *s, char **words)
{
    unsigned kind = strcmp(words[0], "key") == 0 ? DEVEMU_INPUT_KEY : DEVEMU_INPUT_BUTTON;
    unsigned value = (unsigned)number(s, words[2]);

    put_op(s, FUZZ_INPUT);
    /* The kind is the byte modulo 3, the value its bits 4 and 5. */
    for (unsigned byte = value << 4; byte < (value << 4) + 16; byte++) {
        if (byte % 3 == kind) {
            put(s, byte, 1);
            break;
        }
    }
    put(s, number(s, words[1]), 1);
}

static void line_move(Seed *s, char **words)
{
    put_op(s, FUZZ_INPUT);
    put(s, DEVEMU_INPUT_MOVE, 1);
    put(s, 0, 1);
    put(s, number(s, words[1]), 1);
    put(s, number(s, words[2]), 1);
    put(s, 0, 1);
}

static void line_line(Seed *s, char **words)
{
    put_op(s, FUZZ_LINE);
    put(s, number(s, words[1]) << 1 | number(s, words[2]), 1);
}

static void line_link(Seed *s, char **words)
{
    put_op(s, FUZZ_LINK);
    put(s, number(s, words[1]), 1);
}

static void line_reset(Seed *s, char **words)
{
    put_op(s, FUZZ_RESET);
    put(s, words[1] && strcmp(words[1], "hard") == 0, 1);
}

static void line_edit(Seed *s, char **words)
{
    (void)words;
    put_op(s, FUZZ_EDIT);
    put(s, 0x1000203, 4);
}

static void line_screen(Seed *s, char **words)
{
    (void)words;
    put_op(s, FUZZ_SCREEN);
    put(s, 0, 1);
}

static void line_repeat(Seed *s, char **words)
{
    put_op(s, FUZZ_REPEAT);
    put(s, (number(s, words[1]) & 31) | 64, 1);
}

static void line_plain(Seed *s, char **words)
{
    static const struct {
        const char *name;
        FuzzOp op;
    } plain[] = {{"save", FUZZ_SAVE},   {"fresh", FUZZ_FRESH}, {"unplug", FUZZ_UNPLUG},
                 {"ready", FUZZ_READY}, {"loop", FUZZ_LOOP},   {"forget", FUZZ_RAM_FORGET}};

    for (unsigned i = 0; i < G_N_ELEMENTS(plain); i++) {
        if (strcmp(plain[i].name, words[0]) == 0) {
            put_op(s, plain[i].op);
            return;
        }
    }
    stop(s, "no such line", words[0]);
}

static void script_line(Seed *s, char **words)
{
    static const struct {
        const char *name;
        LineFunc *func;
    } lines[] = {
        {"head", line_head},     {"bytes", line_bytes},   {"reg", line_reg},
        {"get", line_get},       {"write", line_write},   {"read", line_read},
        {"ram", line_ram},       {"time", line_time},     {"next", line_next},
        {"frame", line_frame},   {"chars", line_chars},   {"key", line_key},
        {"button", line_key},    {"move", line_move},     {"line", line_line},
        {"link", line_link},     {"reset", line_reset},   {"edit", line_edit},
        {"screen", line_screen}, {"repeat", line_repeat}, {"options", line_options},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        if (strcmp(lines[i].name, words[0]) == 0) {
            lines[i].func(s, words);
            return;
        }
    }
    line_plain(s, words);
}

static void script(Seed *s, const char *path)
{
    GError *error = NULL;
    char *text;
    char **lines;

    if (!g_file_get_contents(path, &text, NULL, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
    lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        char *line = g_strstrip(g_strdelimit(lines[i], "\t", ' '));
        GStrvBuilder *builder = g_strv_builder_new();
        char **parts = g_strsplit(line, " ", -1);
        char **words;

        for (unsigned p = 0; parts[p]; p++) {
            if (*parts[p]) {
                g_strv_builder_add(builder, parts[p]);
            }
        }
        words = g_strv_builder_end(builder);
        if (words[0] && words[0][0] != '#') {
            script_line(s, words);
        }
        g_strfreev(words);
        g_strfreev(parts);
        g_strv_builder_unref(builder);
    }
    g_strfreev(lines);
    g_free(text);
}

/* --- from the tables --------------------------------------------------------------- */

static void all_reads(Seed *s)
{
    for (unsigned row = 0; row < rows_count(s->model); row++) {
        put_get(s, row, 0);
    }
}

static void all_writes(Seed *s)
{
    for (unsigned row = 0; row < rows_count(s->model); row++) {
        put_reg(s, row, 0, UINT64_MAX);
        put_get(s, row, 0);
    }
    line_next(s, NULL);
    for (unsigned row = 0; row < rows_count(s->model); row++) {
        put_reg(s, row, 0, 0);
    }
    line_next(s, NULL);
    all_reads(s);
}

static void all_bits(Seed *s)
{
    const DevemuBank *bank;

    for (unsigned row = 0; row < rows_count(s->model) && s->bytes->len < 1500; row++) {
        const DevemuReg *reg = row_reg(s->model, row, &bank);

        for (unsigned i = 0; reg->bits && reg->bits[i].name; i++) {
            put_op(s, FUZZ_WRITE);
            put_row(s, row, 0);
            put(s, FUZZ_VALUE_FLIP, 1);
            put(s, i, 1);
            put_way(s, row);
        }
        if (row % 4 == 3) {
            line_next(s, NULL);
        }
    }
}

/* Pointers to memory that looks like descriptors in every register. */
static void all_pointers(Seed *s)
{
    for (unsigned row = 0; row < rows_count(s->model) && s->bytes->len < 1500; row++) {
        put_op(s, FUZZ_WRITE);
        put_row(s, row, 0);
        put(s, FUZZ_VALUE_POINTER, 1);
        put(s, 0x1000, 2);
        put_way(s, row);
        put_op(s, FUZZ_WRITE);
        put_row(s, row, 0);
        put(s, FUZZ_VALUE_BIT, 1);
        put(s, row, 1);
        put_way(s, row);
    }
    line_next(s, NULL);
    for (unsigned i = 0; i < 24; i++) { /* taken from the end */
        put(s, 0x8300 | i % 7, 2);
        put(s, FUZZ_WORD_POINTER_FLAGS + i % 4, 1);
    }
}

static void all_events(Seed *s)
{
    for (unsigned i = 0; i < 4; i++) {
        put_frame(s, 0, 60);
        line_next(s, NULL);
        put_frame(s, 1, 1514);
        put_op(s, FUZZ_INPUT);
        put(s, 0x1e00 + 0x10 * i + i % 3, 2);
        put(s, 0x010203, 3);
        put_op(s, FUZZ_LINE);
        put(s, i * 2 + 1, 1);
        put_time(s, 1000u << (i * 5));
        put_op(s, FUZZ_LINE);
        put(s, i * 2, 1);
        put_op(s, FUZZ_LINK);
        put(s, i, 1);
    }
    put_op(s, FUZZ_SAVE);
    put_op(s, FUZZ_FRESH);
    put_op(s, FUZZ_UNPLUG);
    line_next(s, NULL);
    put_op(s, FUZZ_UNPLUG);
    for (unsigned i = 0; i < 20; i++) {
        put_op(s, FUZZ_EDIT);
        put(s, i, 1);
        put(s, 7, 1);
    }
    line_screen(s, NULL);
    put_op(s, FUZZ_RESET);
    put(s, 1, 1);
    all_reads(s);
}

static void config_space(Seed *s)
{
    for (unsigned reg = 0; reg < 0x100; reg += 4) {
        put_op(s, FUZZ_CONFIG_READ);
        put(s, reg | 2 << 8, 2);
    }
    for (unsigned reg = 0x40; reg < 0x100; reg += 4) {
        put_op(s, FUZZ_CONFIG_WRITE);
        put(s, reg | 2 << 8, 2);
        put(s, UINT32_MAX, 4);
    }
    all_writes(s);
}

static void from_tables(const DevemuModel *model, const char *folder)
{
    static const struct {
        const char *name;
        void (*make)(Seed *s);
        unsigned head;
    } kinds[] = {
        {"reads", all_reads, FUZZ_HEAD_TRACE},
        {"writes", all_writes, FUZZ_HEAD_TWIN},
        {"writes-bus", all_writes, FUZZ_HEAD_BUS | FUZZ_HEAD_MAP},
        {"bits", all_bits, FUZZ_HEAD_NOSY},
        {"pointers", all_pointers, 0},
        {"pointers-refill", all_pointers, FUZZ_HEAD_REFILL},
        {"events", all_events, FUZZ_HEAD_LATE},
        {"events-bus", all_events, FUZZ_HEAD_BUS | FUZZ_HEAD_TRACE},
        {"config", config_space, FUZZ_HEAD_BUS},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        Seed s = {.model = model, .bytes = g_byte_array_new()};
        char *name = g_strdup_printf("tables-%s", kinds[i].name);
        char *path = g_build_filename(folder, name, NULL);
        bool bus = (kinds[i].head & FUZZ_HEAD_BUS) != 0;

        put(&s, kinds[i].head, 1);
        kinds[i].make(&s);
        if ((!bus || model->pci || model->isa) && (kinds[i].make != config_space || model->pci)) {
            g_file_set_contents(path, (const char *)s.bytes->data, s.bytes->len, NULL);
        }
        g_byte_array_unref(s.bytes);
        g_free(path);
        g_free(name);
    }
}

int main(int argc, char **argv)
{
    const DevemuModel *model = argc > 2 ? devemu_model_find(argv[1]) : NULL;

    if (model == NULL) {
        fprintf(stderr, "usage: fuzz_seed MODEL FOLDER | fuzz_seed MODEL FILE SCRIPT\n");
        return 2;
    }
    if (argc == 3) {
        from_tables(model, argv[2]);
    } else {
        Seed s = {.model = model, .bytes = g_byte_array_new(), .where = argv[3]};

        put(&s, 0, 1);
        script(&s, argv[3]);
        if (!g_file_set_contents(argv[2], (const char *)s.bytes->data, s.bytes->len, NULL)) {
            fprintf(stderr, "cannot write %s\n", argv[2]);
            return 1;
        }
        g_byte_array_unref(s.bytes);
    }
    return 0;
}
