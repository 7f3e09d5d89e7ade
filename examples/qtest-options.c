/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest-options.c: the command line, as QEMU's test programs write it. What is not known here is
 * named on standard error and passed over: a test gives many options that concern no device.
 */
#include "qtest.h"

#include <devemu/fw-cfg.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool qtest_refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error != NULL && *error == NULL) {
        *error = g_error_new_valist(DEVEMU_ERROR, DEVEMU_ERROR_OPTION, format, args);
    }
    va_end(args);
    return false;
}

void qtest_note(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "qtest: %s\n", text);
}

const char *qtest_setting(const DevemuSetting *settings, const char *name)
{
    const char *text = NULL;

    for (; settings->name; settings++) {
        if (strcmp(settings->name, name) == 0) {
            text = settings->text;
        }
    }
    return text;
}

/* The end of a piece: a comma that is not written twice. */
static const char *piece_end(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == ',' && text[1] == ',') {
            text++;
        } else if (*text == ',') {
            break;
        }
    }
    return text;
}

DevemuSetting *qtest_split(const char *text, char **ret_word, GError **error)
{
    g_autoptr(GString) rest = g_string_new(NULL);
    const char *end = piece_end(text);
    DevemuSetting *settings;

    *ret_word = g_strndup(text, (gsize)(end - text));
    while (*end == ',') {
        const char *from = end + 1;

        end = piece_end(from);
        if (end > from) {
            g_string_append_printf(rest, "%s%.*s%s", rest->len ? "," : "", (int)(end - from), from,
                                   memchr(from, '=', (size_t)(end - from)) ? "" : "=on");
        }
    }
    settings = devemu_settings_parse(rest->str, error);
    if (settings == NULL) {
        g_clear_pointer(ret_word, g_free);
    }
    return settings;
}

/* "order=c,once=d" or, with what the first word stands for, "nda,once=d". */
static DevemuSetting *split_with(const char *first, const char *text, GError **error)
{
    const char *end = piece_end(text);
    bool named = memchr(text, '=', (size_t)(end - text)) != NULL;
    g_autofree char *whole =
        g_strdup_printf("-,%s%s%s", named ? "" : first, named ? "" : "=", text);
    g_autofree char *word = NULL;

    return qtest_split(whole, &word, error);
}

/* --- one option -------------------------------------------------------------------- */

/* A number of MiB, or of the unit that follows it. */
static bool parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    char *end;
    uint64_t value = g_ascii_strtoull(text, &end, 10);
    unsigned shift = 20;

    if (end == text || value == 0) {
        return false;
    }
    if (*end != '\0') {
        const char *unit = strchr(units, g_ascii_toupper(*end));

        if (unit == NULL || (end[1] != '\0' && strcmp(end + 1, "B") != 0)) {
            return false;
        }
        shift = 10 * (unsigned)(unit - units + 1);
    }
    *ret_bytes = value << shift;
    return value <= UINT64_MAX >> shift;
}

static bool take_memory(QtestOptions *o, const char *text, GError **error)
{
    DevemuSetting *settings = split_with("size", text, error);
    const char *size = settings ? qtest_setting(settings, "size") : NULL;
    bool ok = settings && (size == NULL || parse_size(size, &o->ram_bytes));

    if (settings && !ok) {
        qtest_refuse(error, "-m %s: give a size, as in -m 256M", text);
    }
    devemu_settings_free(settings);
    return ok;
}

static bool take_wait(const DevemuSetting *settings, const char *name, int64_t least,
                      int64_t *ret_value, GError **error)
{
    const char *text = qtest_setting(settings, name);

    if (text && !g_ascii_string_to_signed(text, 10, least, 0xffff, ret_value, NULL)) {
        return qtest_refuse(error, "-boot %s=%s: give a number from %" PRId64 " to 65535", name,
                            text, least);
    }
    return true;
}

static void take_text(char **to, const char *text)
{
    if (text) {
        g_free(*to);
        *to = g_strdup(text);
    }
}

static bool take_boot(QtestOptions *o, const char *text, GError **error)
{
    DevemuSetting *settings = split_with("order", text, error);
    const char *menu;
    bool ok;

    if (settings == NULL) {
        return false;
    }
    take_text(&o->boot_order, qtest_setting(settings, "order"));
    take_text(&o->boot_once, qtest_setting(settings, "once"));
    menu = qtest_setting(settings, "menu");
    o->boot_menu = menu ? strcmp(menu, "on") == 0 : o->boot_menu;
    ok = take_wait(settings, "reboot-timeout", -1, &o->boot_fail_wait, error) &&
         take_wait(settings, "splash-time", 0, &o->boot_menu_wait, error);
    devemu_settings_free(settings);
    return ok;
}

/* utc and localtime are the time of the day: the one input that is not the same in every run. */
static bool take_rtc(QtestOptions *o, const char *text, GError **error)
{
    DevemuSetting *settings = split_with("base", text, error);
    const char *base = settings ? qtest_setting(settings, "base") : NULL;
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) date = base ? g_date_time_new_from_iso8601(base, utc) : NULL;
    bool ok = settings != NULL;

    if (base && strcmp(base, "localtime") == 0) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();

        o->rtc_seconds += (uint64_t)(g_date_time_get_utc_offset(now) / 1000000);
    } else if (date) {
        o->rtc_seconds = (uint64_t)MAX(g_date_time_to_unix(date), 0);
    } else if (base && strcmp(base, "utc") != 0) {
        ok = qtest_refuse(error,
                          "-rtc base=%s: give utc, localtime or a moment, as in "
                          "2006-06-17T16:01:21",
                          base);
    }
    devemu_settings_free(settings);
    return ok;
}

static bool take_uuid(QtestOptions *o, const char *text, GError **error)
{
    if (!g_uuid_string_is_valid(text)) {
        return qtest_refuse(error, "-uuid %s: that is no UUID", text);
    }
    for (unsigned i = 0; i < 16; i++) {
        text += *text == '-';
        o->uuid[i] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
        text += 2;
    }
    return true;
}

static bool take_machine(QtestOptions *o, const char *text, GError **error)
{
    DevemuSetting *settings = split_with("type", text, error);
    const char *type = settings ? qtest_setting(settings, "type") : NULL;
    bool ok = settings != NULL;

    if (type && strcmp(type, "pc") != 0 && strcmp(type, "none") != 0 &&
        !g_str_has_prefix(type, "pc-i440fx-")) {
        ok = qtest_refuse(error, "there is no machine '%s'; there are pc and none", type);
    }
    take_text(&o->machine, type);
    devemu_settings_free(settings);
    return ok;
}

/* Flash is where the BIOS is. Other drives have nothing here to sit in. */
static bool take_drive(QtestOptions *o, const char *text, GError **error)
{
    g_autofree char *word = NULL;
    g_autofree char *whole = g_strdup_printf("-,%s", text);
    DevemuSetting *settings = qtest_split(whole, &word, error);
    const char *interface = settings ? qtest_setting(settings, "if") : NULL;

    if (settings == NULL) {
        return false;
    }
    if (interface && strcmp(interface, "pflash") == 0) {
        take_text(&o->bios, qtest_setting(settings, "file"));
    }
    devemu_settings_free(settings);
    return true;
}

static bool take_vga(QtestOptions *o, const char *text, GError **error)
{
    (void)error;
    o->no_vga = strcmp(text, "none") == 0;
    return true;
}

static bool take_net(QtestOptions *o, const char *text, GError **error)
{
    (void)error;
    o->no_net = true;
    if (strcmp(text, "none") != 0) {
        qtest_note("-net and -nic %s make no card here: use -device and -netdev", text);
    }
    return true;
}

static bool take_run_with(QtestOptions *o, const char *text, GError **error)
{
    (void)error;
    o->exit_with_parent = o->exit_with_parent || strstr(text, "exit-with-parent=on") != NULL;
    return true;
}

static bool take_audio(QtestOptions *o, const char *text, GError **error)
{
    (void)text;
    (void)error;
    o->acpi = true;
    return true;
}

static bool take_log_items(QtestOptions *o, const char *text, GError **error)
{
    (void)error;
    o->guest_errors = o->guest_errors || strstr(text, "guest_errors") != NULL;
    return true;
}

/* A monitor of people has no use here. */
static bool take_mon(QtestOptions *o, const char *text, GError **error)
{
    DevemuSetting *settings = split_with("chardev", text, error);
    const char *chardev = settings ? qtest_setting(settings, "chardev") : NULL;
    const char *mode = settings ? qtest_setting(settings, "mode") : NULL;

    if (settings && chardev && mode && strcmp(mode, "control") == 0) {
        g_ptr_array_add(o->monitors, g_strdup_printf("chardev:%s", chardev));
    } else if (settings) {
        qtest_note("-mon %s: only a monitor with mode=control is served", text);
    }
    devemu_settings_free(settings);
    return settings != NULL;
}

/* --- the table --------------------------------------------------------------------- */

typedef struct Row {
    const char *name;
    bool (*take)(QtestOptions *o, const char *text, GError **error);
    size_t list, text, flag; /* or: offset of the member, plus 1 */
    bool argument;           /* one that is passed over */
} Row;

#define MEMBER(field) (offsetof(QtestOptions, field) + 1)

static const Row rows[] = {
    {"qtest", .text = MEMBER(qtest)},
    {"qtest-log", .text = MEMBER(log)},
    {"machine", take_machine},
    {"M", take_machine},
    {"m", take_memory},
    {"device", .list = MEMBER(devices)},
    {"netdev", .list = MEMBER(netdevs)},
    {"chardev", .list = MEMBER(chardevs)},
    {"mon", take_mon},
    {"qmp", .list = MEMBER(monitors)},
    {"serial", .list = MEMBER(serials)},
    {"global", .list = MEMBER(globals)},
    {"boot", take_boot},
    {"rtc", take_rtc},
    {"uuid", take_uuid},
    {"bios", .text = MEMBER(bios)},
    {"drive", take_drive},
    {"vga", take_vga},
    {"net", take_net},
    {"nic", take_net},
    {"run-with", take_run_with},
    {"audio", take_audio},
    {"d", take_log_items},
    {"nodefaults", .flag = MEMBER(nodefaults)},
    {"no-fd-bootchk", .flag = MEMBER(no_floppy_check)},
    {"S", .flag = MEMBER(paused)},
    /* Of no concern to a machine without a CPU, a screen and a sound. */
    {"accel", .argument = true},
    {"display", .argument = true},
    {"audiodev", .argument = true},
    {"cpu", .argument = true},
    {"name", .argument = true},
    {"trace", .argument = true},
    {"L", .argument = true},
    {"nographic"},
    {"no-user-config"},
};

static void *member(QtestOptions *o, size_t at)
{
    return (uint8_t *)o + at - 1;
}

static const Row *find_row(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool take_row(QtestOptions *o, const Row *row, const char *text, GError **error)
{
    if (row->take) {
        return row->take(o, text, error);
    }
    if (row->list) {
        g_ptr_array_add(*(GPtrArray **)member(o, row->list), g_strdup(text));
    } else if (row->text) {
        take_text(member(o, row->text), text);
    } else if (row->flag) {
        *(bool *)member(o, row->flag) = true;
    }
    return true;
}

static bool wants_argument(const Row *row)
{
    return row->take || row->list || row->text || row->argument;
}

static void options_init(QtestOptions *o)
{
    GPtrArray **lists[] = {&o->devices,  &o->netdevs, &o->chardevs,
                           &o->monitors, &o->serials, &o->globals};

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        *lists[i] = g_ptr_array_new_with_free_func(g_free);
    }
    o->machine = g_strdup("pc");
    o->boot_order = g_strdup("cad");
    o->ram_bytes = 128 << 20;
    o->rtc_seconds = (uint64_t)time(NULL);
    o->boot_fail_wait = o->boot_menu_wait = G_MININT64;
}

bool qtest_parse(QtestOptions *o, int argc, char **argv, GError **error)
{
    options_init(o);
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i] + (argv[i][0] == '-') + g_str_has_prefix(argv[i], "--");
        const Row *row = find_row(name);

        if (argv[i][0] != '-') {
            qtest_note("disk image %s is passed over: there is no disk", argv[i]);
        } else if (row == NULL) {
            bool argument = i + 1 < argc && argv[i + 1][0] != '-';

            qtest_note("option %s%s%s is not known and passed over", argv[i], argument ? " " : "",
                       argument ? argv[i + 1] : "");
            i += argument;
        } else if (wants_argument(row) && i + 1 == argc) {
            return qtest_refuse(error, "option -%s wants an argument", row->name);
        } else {
            i += wants_argument(row);
            if (!take_row(o, row, argv[i], error)) {
                return false;
            }
        }
    }
    if (o->qtest == NULL) {
        return qtest_refuse(error, "give the client's place: -qtest unix:PATH, stdio or fd:N");
    }
    return true;
}

void qtest_options_clear(QtestOptions *o)
{
    GPtrArray **lists[] = {&o->devices,  &o->netdevs, &o->chardevs,
                           &o->monitors, &o->serials, &o->globals};
    char **texts[] = {&o->qtest, &o->log, &o->machine, &o->bios, &o->boot_order, &o->boot_once};

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_clear_pointer(lists[i], g_ptr_array_unref);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_clear_pointer(texts[i], g_free);
    }
}
