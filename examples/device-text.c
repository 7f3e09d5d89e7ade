/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-text.c: a device as people write it.
 */
#include "device-text.h"

#include <string.h>

static bool has_property(const DevemuModel *model, const char *name)
{
    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void append_option(GString *to, const DevemuSetting *setting)
{
    g_auto(GStrv) parts = g_strsplit(setting->text, ",", -1);
    g_autofree char *text = g_strjoinv(",,", parts);

    g_string_append_printf(to, "%s%s=%s", to->len ? "," : "", setting->name, text);
}

/* What a model without a network does not know is its own, too, so that it says so. */
static void split(DeviceText *text, const DevemuSetting *settings)
{
    GString *own = g_string_new(NULL), *network = g_string_new("null");
    g_autoptr(GString) rest = g_string_new(NULL);

    for (const DevemuSetting *s = settings; s->name; s++) {
        if (!text->model->is_net || has_property(text->model, s->name)) {
            append_option(own, s);
        } else if (strcmp(s->name, "backend") == 0) {
            text->named = true;
            g_string_assign(network, s->text);
        } else {
            append_option(rest, s);
        }
    }
    if (rest->len) {
        g_string_append_printf(network, ",%s", rest->str);
    }
    text->own = g_string_free(own, FALSE);
    text->network = g_string_free(network, !text->model->is_net);
}

DeviceText *device_text_new(const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 2);
    const DevemuModel *model = parts[0] ? devemu_model_find(parts[0]) : NULL;
    DevemuSetting *settings;
    DeviceText *made;

    if (model == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "there is no device '%s'; dump_model --list names them",
                    parts[0] ? parts[0] : "");
        return NULL;
    }
    settings = devemu_settings_parse(parts[1], error);
    if (settings == NULL) {
        return NULL;
    }
    made = g_new0(DeviceText, 1);
    made->model = model;
    split(made, settings);
    devemu_settings_free(settings);
    return made;
}

void device_text_free(DeviceText *text)
{
    if (text) {
        g_free(text->own);
        g_free(text->network);
        g_free(text);
    }
}

DevemuNet *device_text_net(const DeviceText *text, GMainContext *context, GError **error)
{
    DevemuNet *net = devemu_net_new(text->network, context, error);

    if (net == NULL && !text->named) {
        g_prefix_error(error,
                       "not all of that is of %s, and backend= is not given: ", text->model->name);
    }
    return net;
}
