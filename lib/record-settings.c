/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record-settings.c: the settings that a log must hold for its replay to need no files.
 */
#include "record-log.h"

static bool is_given(const DevemuSetting *settings, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_setting(RecordSettings *s, const DevemuModel *model, DevemuSetting setting)
{
    char *contents;
    gsize len;

    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        /* A file that cannot be read stays a name: the device says what is wrong with it. */
        if (p->type == DEVEMU_PROPERTY_BLOB && strcmp(p->name, setting.name) == 0 &&
            setting.data == NULL && setting.text &&
            g_file_get_contents(setting.text, &contents, &len, NULL)) {
            g_ptr_array_add(s->files, contents);
            setting.data = contents;
            setting.len = len;
        }
    }
    g_array_append_val(s->all, setting);
}

RecordSettings devemu_record_settings(const DevemuModel *model, const DevemuSetting *settings,
                                      size_t count)
{
    RecordSettings s = {g_array_new(TRUE, TRUE, sizeof(DevemuSetting)),
                        g_ptr_array_new_with_free_func(g_free)};

    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        if (p->type == DEVEMU_PROPERTY_BLOB && p->value && !is_given(settings, count, p->name)) {
            add_setting(&s, model, (DevemuSetting){.name = p->name, .text = p->value});
        }
    }
    for (size_t i = 0; i < count; i++) {
        add_setting(&s, model, settings[i]);
    }
    return s;
}

void devemu_record_settings_clear(RecordSettings *s)
{
    g_array_unref(s->all);
    g_ptr_array_unref(s->files);
}
