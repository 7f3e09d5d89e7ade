/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c: options of backends.
 */
#include "options.h"

#include <string.h>

bool options_refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error != NULL && *error == NULL) {
        *error = g_error_new_valist(DEVEMU_ERROR, DEVEMU_ERROR_OPTION, format, args);
    }
    va_end(args);
    return false;
}

static bool parse_bool(const char *text, bool *ret_value)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_value = i & 1;
            return true;
        }
    }
    return false;
}

static bool parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    static const char suffixes[] = "KMGT";
    char *end;
    const char *suffix;
    uint64_t value;

    if (!g_ascii_isdigit(text[0])) {
        return false;
    }
    value = g_ascii_strtoull(text, &end, 0);
    suffix = *end ? strchr(suffixes, *end) : NULL;
    if (suffix) {
        unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);

        if (value > UINT64_MAX >> shift) {
            return false;
        }
        value <<= shift;
        end++;
    }
    if (*end != '\0' || value < min || value > max) {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool set(const char *kind, const Option *option, const char *text, void *values,
                GError **error)
{
    uint8_t *member = (uint8_t *)values + option->member;

    switch (option->type) {
    case OPTION_TEXT: {
        char **slot = (char **)(void *)member;

        g_free(*slot);
        *slot = g_strdup(text);
        return true;
    }
    case OPTION_LIST: {
        GPtrArray **slot = (GPtrArray **)(void *)member;

        if (*slot == NULL) {
            *slot = g_ptr_array_new_with_free_func(g_free);
        }
        g_ptr_array_add(*slot, g_strdup(text));
        return true;
    }
    case OPTION_BOOL:
        return parse_bool(text, (bool *)(void *)member) ||
               options_refuse(error, "%s: option %s is \"%s\"; it must be on or off", kind,
                              option->name, text);
    case OPTION_UINT:
        return parse_uint(text, option->min, option->max, (uint64_t *)(void *)member) ||
               options_refuse(error,
                              "%s: option %s is \"%s\"; it must be a number from %" G_GUINT64_FORMAT
                              " to %" G_GUINT64_FORMAT,
                              kind, option->name, text, option->min, option->max);
    }
    g_assert_not_reached();
}

static const Option *find(const Option *table, const char *name)
{
    for (; table->name; table++) {
        if (strcmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

static bool refuse_name(const char *kind, const Option *table, const char *name, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (const Option *option = table; option->name; option++) {
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", option->name);
    }
    if (known->len == 0) {
        return options_refuse(error, "%s: there is no option %s, nor any other", kind, name);
    }
    return options_refuse(error, "%s: there is no option %s; there are %s", kind, name, known->str);
}

bool options_fill(const char *kind, const Option *table, const DevemuSetting *settings,
                  void *values, GError **error)
{
    for (; settings && settings->name; settings++) {
        const Option *option = find(table, settings->name);

        if (option == NULL) {
            refuse_name(kind, table, settings->name, error);
            options_clear(table, values);
            return false;
        }
        if (!set(kind, option, settings->text ? settings->text : "", values, error)) {
            options_clear(table, values);
            return false;
        }
    }
    return true;
}

bool options_parse(const char *kind, const Option *table, const char *text, void *values,
                   GError **error)
{
    DevemuSetting *settings = NULL;
    bool ok;

    if (text && text[0]) {
        settings = devemu_settings_parse(text, error);
        if (settings == NULL) {
            options_clear(table, values);
            return false;
        }
    }
    ok = options_fill(kind, table, settings, values, error);
    devemu_settings_free(settings);
    return ok;
}

void options_clear(const Option *table, void *values)
{
    for (; table->name; table++) {
        uint8_t *member = (uint8_t *)values + table->member;

        if (table->type == OPTION_TEXT) {
            g_clear_pointer((char **)(void *)member, g_free);
        } else if (table->type == OPTION_LIST) {
            g_clear_pointer((GPtrArray **)(void *)member, g_ptr_array_unref);
        }
    }
}
