/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * property.c: settings by name, checked against the model's rows.
 */
#include "internal.h"

/* --- "name=value,name=value" ------------------------------------------------------- */

/* One item up to a single comma; ",," is a comma. Moves *text behind it. */
static char *next_item(const char **text)
{
    GString *item = g_string_new(NULL);
    const char *p = *text;

    while (*p) {
        if (*p == ',') {
            if (p[1] != ',') {
                break;
            }
            p++;
        }
        g_string_append_c(item, *p++);
    }
    *text = *p ? p + 1 : p;
    return g_string_free(item, FALSE);
}

DevemuSetting *devemu_settings_parse(const char *options, GError **error)
{
    GArray *settings = g_array_new(TRUE, TRUE, sizeof(DevemuSetting));
    const char *p = options ? options : "";

    while (*p) {
        char *item = next_item(&p);
        char *equals = strchr(item, '=');
        DevemuSetting setting = {0};

        if (equals == item || *item == '\0') {
            g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                        "options '%s': a property has no name; write name=value,name=value",
                        options);
            g_free(item);
            devemu_settings_free((DevemuSetting *)(void *)g_array_free(settings, FALSE));
            return NULL;
        }
        setting.name = g_strndup(item, equals ? (gsize)(equals - item) : strlen(item));
        setting.text = g_strdup(equals ? equals + 1 : "on");
        g_array_append_val(settings, setting);
        g_free(item);
    }
    return (DevemuSetting *)(void *)g_array_free(settings, FALSE);
}

void devemu_settings_free(DevemuSetting *settings)
{
    for (DevemuSetting *s = settings; s && s->name; s++) {
        g_free((char *)(uintptr_t)s->name);
        g_free((char *)(uintptr_t)s->text);
    }
    g_free(settings);
}

/* --- one value --------------------------------------------------------------------- */

typedef struct Target {
    DevemuDevice *dev;
    const DevemuProperty *property;
} Target;

static bool refuse(Target t, const char *text, const char *expected, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                "%s: property '%s' is '%s', but must be %s", t.dev->model->name, t.property->name,
                text, expected);
    return false;
}

static bool parse_uint(const char *text, uint64_t *ret_value)
{
    char *end;
    uint64_t unit = 1;
    uint64_t value;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    value = g_ascii_strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
    if (errno != 0) {
        return false;
    }
    switch (*end) {
    case 'K':
    case 'k':
        unit = 1024;
        end++;
        break;
    case 'M':
        unit = 1024 * 1024;
        end++;
        break;
    case 'G':
        unit = 1024 * 1024 * 1024;
        end++;
        break;
    default:
        break;
    }
    if (*end != '\0' || value > UINT64_MAX / unit) {
        return false;
    }
    *ret_value = value * unit;
    return true;
}

static bool set_uint(Target t, const char *text, GError **error)
{
    unsigned bits = t.property->width * 8;
    uint64_t most = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    uint64_t max = t.property->max ? t.property->max : most;
    uint64_t value;

    if (!parse_uint(text, &value) || value < t.property->min || value > max) {
        char *expected = g_strdup_printf(
            "a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, t.property->min, max);

        refuse(t, text, expected, error);
        g_free(expected);
        return false;
    }
    devemu_member_set(t.dev->state, t.property->member, t.property->width, value);
    return true;
}

static bool set_bool(Target t, const char *text, GError **error)
{
    static const char *const yes[] = {"on", "yes", "true", "1", NULL};
    static const char *const no[] = {"off", "no", "false", "0", NULL};
    bool value = g_strv_contains(yes, text);

    if (!value && !g_strv_contains(no, text)) {
        return refuse(t, text, "on or off", error);
    }
    memcpy((uint8_t *)t.dev->state + t.property->member, &value, sizeof(value));
    return true;
}

static bool set_enum(Target t, const char *text, GError **error)
{
    char *names, *expected;

    for (unsigned i = 0; t.property->choices[i]; i++) {
        if (strcmp(t.property->choices[i], text) == 0) {
            devemu_member_set(t.dev->state, t.property->member, t.property->width, i);
            return true;
        }
    }
    names = g_strjoinv(", ", (char **)(uintptr_t)t.property->choices);
    expected = g_strdup_printf("one of: %s", names);
    refuse(t, text, expected, error);
    g_free(expected);
    g_free(names);
    return false;
}

static bool set_mac(Target t, const char *text, GError **error)
{
    uint8_t mac[6];
    const char *p = text;

    for (unsigned i = 0; i < 6; i++) {
        if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]) || p[2] != (i < 5 ? ':' : '\0')) {
            return refuse(t, text, "a MAC address like 52:54:00:12:34:56", error);
        }
        mac[i] = (uint8_t)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
        p += i < 5 ? 3 : 2;
    }
    memcpy((uint8_t *)t.dev->state + t.property->member, mac, sizeof(mac));
    return true;
}

static bool set_text(Target t, const char *text, GError **error)
{
    if (strlen(text) >= t.property->width) {
        char *expected = g_strdup_printf("at most %u characters long", t.property->width - 1);

        refuse(t, text, expected, error);
        g_free(expected);
        return false;
    }
    memcpy((char *)t.dev->state + t.property->member, text, strlen(text) + 1);
    return true;
}

static bool set_bytes(Target t, GBytes *bytes, const char *origin, GError **error)
{
    DevemuBlob blob;
    gsize len;

    blob.data = g_bytes_get_data(bytes, &len);
    blob.len = len;
    if (len < t.property->min || (t.property->max && len > t.property->max)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE,
                    "%s: property '%s': %s has %" G_GSIZE_FORMAT
                    " bytes, but must have from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                    t.dev->model->name, t.property->name, origin, len, t.property->min,
                    t.property->max ? t.property->max : (uint64_t)G_MAXSIZE);
        g_bytes_unref(bytes);
        return false;
    }
    if (t.dev->blobs == NULL) {
        t.dev->blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    }
    g_ptr_array_add(t.dev->blobs, bytes);
    memcpy((uint8_t *)t.dev->state + t.property->member, &blob, sizeof(blob));
    return true;
}

static bool set_file(Target t, const char *path, GError **error)
{
    GError *why = NULL;
    char *data;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, &why)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "%s: property '%s': %s",
                    t.dev->model->name, t.property->name, why->message);
        g_error_free(why);
        return false;
    }
    return set_bytes(t, g_bytes_new_take(data, len), path, error);
}

static bool set_value(Target t, const DevemuSetting *setting, GError **error)
{
    const char *text = setting->text ? setting->text : "";

    switch (t.property->type) {
    case DEVEMU_PROPERTY_UINT:
        return set_uint(t, text, error);
    case DEVEMU_PROPERTY_BOOL:
        return set_bool(t, text, error);
    case DEVEMU_PROPERTY_ENUM:
        return set_enum(t, text, error);
    case DEVEMU_PROPERTY_MAC:
        return set_mac(t, text, error);
    case DEVEMU_PROPERTY_TEXT:
        return set_text(t, text, error);
    case DEVEMU_PROPERTY_BLOB:
        return setting->data
                   ? set_bytes(t, g_bytes_new(setting->data, setting->len), "the data", error)
                   : set_file(t, text, error);
    default:
        g_return_val_if_reached(false);
    }
}

/* --- all of them ------------------------------------------------------------------- */

static const DevemuProperty *find(const DevemuModel *model, const char *name)
{
    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

static bool unknown(const DevemuModel *model, const char *name, GError **error)
{
    GString *names = g_string_new(NULL);

    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", p->name);
    }
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION, "%s has no property '%s'; it has: %s",
                model->name, name, names->len ? names->str : "none");
    g_string_free(names, TRUE);
    return false;
}

bool devemu_properties_apply(DevemuDevice *dev, const DevemuSetting *settings, size_t count,
                             GError **error)
{
    for (const DevemuProperty *p = dev->model->properties; p && p->name; p++) {
        DevemuSetting setting = {.name = p->name, .text = p->value};

        if (p->value && !set_value((Target){dev, p}, &setting, error)) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const DevemuProperty *p = find(dev->model, settings[i].name);

        if (p == NULL) {
            return unknown(dev->model, settings[i].name, error);
        }
        if (!set_value((Target){dev, p}, &settings[i], error)) {
            return false;
        }
    }
    return true;
}
