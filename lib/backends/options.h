/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h: options of backends as rows of a table.
 */
#ifndef DEVEMU_BACKENDS_OPTIONS_H
#define DEVEMU_BACKENDS_OPTIONS_H

#include <devemu/device.h>

typedef enum OptionType {
    OPTION_TEXT, /* char *, owned */
    OPTION_LIST, /* GPtrArray of char *; repeatable; NULL if never given */
    OPTION_BOOL, /* bool */
    OPTION_UINT, /* uint64_t; suffixes K M G T */
} OptionType;

typedef struct Option {
    const char *name; /* NULL ends the table */
    OptionType type;
    size_t member; /* offset in the struct that is filled */
    uint64_t min, max;
} Option;

/* Fill a struct that holds the defaults from "name=value,..." or NULL. On failure nothing needs to
 * be cleared. kind begins the messages. */
bool options_parse(const char *kind, const Option *table, const char *text, void *values,
                   GError **error);
/* The same from parsed settings (see devemu_settings_parse()). */
bool options_fill(const char *kind, const Option *table, const DevemuSetting *settings,
                  void *values, GError **error);
/* Free the texts and lists. */
void options_clear(const Option *table, void *values);

/* An error of DEVEMU_ERROR_OPTION; false, for return. */
G_GNUC_PRINTF(2, 3) bool options_refuse(GError **error, const char *format, ...);

#endif
