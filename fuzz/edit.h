/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * edit.h: hostile snapshots. Used by the fuzzer, and copied into the tests that fuzz/replay prints.
 */
#ifndef DEVEMU_FUZZ_EDIT_H
#define DEVEMU_FUZZ_EDIT_H

#include <devemu/device.h>

/* BEGIN edit */
static GVariant *number_edited(GVariant *old, unsigned index, uint64_t value)
{
    switch (g_variant_get_type_string(old)[0]) {
    case 'y':
        return g_variant_new_byte((guchar)value);
    case 'q':
        return g_variant_new_uint16((guint16)value);
    case 'u':
        return g_variant_new_uint32((guint32)value);
    case 'a': {
        gsize len = g_variant_get_size(old);
        unsigned width = 1u << (strchr("yqut", g_variant_get_type_string(old)[1]) - "yqut");
        uint8_t *data = g_memdup2(g_variant_get_data(old), len);

        for (unsigned i = 0; i < width && len >= width; i++) {
            data[index % (len / width) * width + i] = (uint8_t)(value >> (i * 8));
        }
        return g_variant_new_from_data(g_variant_get_type(old), data, len, TRUE, g_free, data);
    }
    default:
        return g_variant_new_uint64(value); /* in the place of a text, too */
    }
}

/* path: "key" or "child.NAME/key". */
static GVariant *edited(GVariant *dict, const char *path, unsigned index, uint64_t value)
{
    const char *slash = strchr(path, '/');
    char *key = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup(path);
    GVariantDict change;
    GVariant *old = g_variant_lookup_value(dict, key, NULL);

    g_variant_dict_init(&change, dict);
    g_variant_dict_insert_value(&change, key,
                                slash ? edited(old, slash + 1, index, value)
                                      : number_edited(old, index, value));
    g_variant_unref(old);
    g_free(key);
    return g_variant_dict_end(&change);
}

static G_GNUC_UNUSED bool load_edited(DevemuDevice *dev, const char *path, unsigned index,
                                      uint64_t value, GVariant **ret_state, GError **error)
{
    GVariant *state = devemu_device_save(dev);
    GVariant *other = g_variant_ref_sink(edited(state, path, index, value));
    bool ok = devemu_device_load(dev, other, error);

    if (ret_state) {
        *ret_state = g_variant_ref(other);
    }
    g_variant_unref(other);
    g_variant_unref(state);
    return ok;
}
/* END edit */

/* BEGIN patch */
/* One byte of the serialised snapshot changed, and cut bytes off its end. */
static G_GNUC_UNUSED bool load_patched(DevemuDevice *dev, size_t at, uint8_t flip, size_t cut,
                                       GError **error)
{
    GVariant *state = devemu_device_save(dev), *other;
    gsize len = g_variant_get_size(state);
    uint8_t *data = g_memdup2(g_variant_get_data(state), len);
    bool ok;

    data[at % len] ^= flip;
    other =
        g_variant_new_from_data(G_VARIANT_TYPE_VARDICT, data, len - cut % len, FALSE, g_free, data);
    ok = devemu_device_load(dev, g_variant_ref_sink(other), error);
    g_variant_unref(other);
    g_variant_unref(state);
    return ok;
}
/* END patch */

#endif
