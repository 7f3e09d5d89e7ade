/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * snapshot.c: states saved and loaded, whole and hostile. A snapshot with a change in it is either
 * refused, and then nothing has changed, or it is a state that the device goes on from.
 */
#include "edit.h"
#include "harness.h"

static const char round_trip[] = "cr_expect(round_trip(devemu_fake_device(fake)));";

void fuzz_op_save(Fuzz *f)
{
    GVariant *before = devemu_device_save(f->top), *after;
    GError *error = NULL;

    fuzz_say(f, "cr_expect(round_trip(devemu_fake_device(fake)));");
    fuzz_uses(f, FUZZ_USES_ROUND);
    if (!devemu_device_load(f->top, before, &error)) {
        fuzz_fail(f, round_trip, "the device refuses its own snapshot: %s",
                  error ? error->message : "without a message");
    }
    after = devemu_device_save(f->top);
    if (!g_variant_equal(before, after)) {
        fuzz_fail(f, round_trip, "saved, loaded and saved again is not the same");
    }
    g_variant_unref(before);
    g_variant_unref(after);
}

void fuzz_op_fresh(Fuzz *f)
{
    if (!f->plugged) {
        return;
    }
    fuzz_say(f, "fake = migrate(fake);");
    fuzz_uses(f, FUZZ_USES_MIGRATE);
    fuzz_migrate(f);
}

/* --- one number changed ------------------------------------------------------------ */

/* "child.NAME/key" of some number, and the number. */
static char *take_path(Fuzz *f, GVariant *dict, GVariant **ret_old)
{
    gsize count = g_variant_n_children(dict);
    gsize n = fuzz_take(&f->in, count > 256 ? 2 : 1) % count;
    GVariant *entry = g_variant_get_child_value(dict, n);
    GVariant *value;
    const char *key;
    char *path;

    g_variant_get(entry, "{&sv}", &key, &value);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_VARDICT)) {
        char *rest = take_path(f, value, ret_old);

        path = g_strconcat(key, "/", rest, NULL);
        g_free(rest);
        g_variant_unref(value);
    } else {
        path = g_strdup(key);
        *ret_old = value;
    }
    g_variant_unref(entry);
    return path;
}

static uint64_t old_number(GVariant *old, unsigned index)
{
    switch (g_variant_get_type_string(old)[0]) {
    case 'y':
        return g_variant_get_byte(old);
    case 'q':
        return g_variant_get_uint16(old);
    case 'u':
        return g_variant_get_uint32(old);
    case 't':
        return g_variant_get_uint64(old);
    default:
        return index;
    }
}

static uint64_t take_number(Fuzz *f, uint64_t old)
{
    switch (fuzz_byte(&f->in) % 12) {
    case 0:
        return fuzz_take(&f->in, 1);
    case 1:
        return fuzz_take(&f->in, 2);
    case 2:
        return fuzz_take(&f->in, 4);
    case 3:
        return fuzz_take(&f->in, 8);
    case 4:
        return old + 1;
    case 5:
        return old - 1;
    case 6:
        return 0;
    case 7:
        return UINT64_MAX;
    case 8:
        return UINT64_MAX - 1;
    case 9:
        return f->now + fuzz_take(&f->in, 2);
    case 10:
        return old ^ UINT64_C(1) << fuzz_byte(&f->in) % 64;
    default:
        return UINT64_C(0x8000000000000000) >> fuzz_byte(&f->in) % 64;
    }
}

/* The first entry that is not the same in both, whatever their order, or NULL. Free with g_free. */
static char *difference(GVariant *a, GVariant *b)
{
    char *found = g_variant_n_children(a) == g_variant_n_children(b) ? NULL : g_strdup("entries");
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, a);
    while (!found && g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        GVariant *other = g_variant_lookup_value(b, key, g_variant_get_type(value));

        if (other && g_variant_is_of_type(value, G_VARIANT_TYPE_VARDICT)) {
            char *below = difference(value, other);

            found = below ? g_strconcat(key, "/", below, NULL) : NULL;
            g_free(below);
        } else if (!other || !g_variant_equal(value, other)) {
            found = g_strdup(key);
        }
        g_clear_pointer(&other, g_variant_unref);
        g_variant_unref(value);
    }
    return found;
}

static void judge(Fuzz *f, bool ok, GVariant *before, GVariant *loaded, GError *error)
{
    GVariant *after = devemu_device_save(f->top);
    char *other = ok && loaded ? difference(loaded, after) : NULL;

    fuzz_digest_number(f, ok);
    if (!ok && error == NULL) {
        fuzz_fail(f, NULL, "a snapshot was refused without a message");
    }
    if (!ok && !g_variant_equal(before, after)) {
        fuzz_fail(f, NULL, "a refused snapshot changed the device");
    }
    if (other) {
        fuzz_fail(f, NULL, "an accepted snapshot is saved as another one: %s", other);
    }
    g_variant_unref(after);
    g_clear_error(&error);
}

void fuzz_op_edit(Fuzz *f)
{
    GVariant *before = devemu_device_save(f->top), *loaded = NULL, *old = NULL;
    char *path = take_path(f, before, &old);
    unsigned index = g_variant_get_type_string(old)[0] == 'a' ? (unsigned)fuzz_take(&f->in, 2) : 0;
    uint64_t value = take_number(f, old_number(old, index));
    GError *error = NULL;
    bool ok;

    fuzz_say(f,
             "load_edited(devemu_fake_device(fake), \"%s\", %u, UINT64_C(0x%" PRIx64
             "), NULL, NULL);",
             path, index, value);
    fuzz_uses(f, FUZZ_USES_EDIT);
    ok = load_edited(f->top, path, index, value, &loaded, &error);
    judge(f, ok, before, loaded, error);
    g_variant_unref(loaded);
    g_free(path);
    g_variant_unref(old);
    g_variant_unref(before);
}

void fuzz_op_patch(Fuzz *f)
{
    GVariant *before;
    GError *error = NULL;
    size_t at, cut;
    uint8_t flip;
    bool ok;

    before = devemu_device_save(f->top);
    at = fuzz_take(&f->in, 3) % g_variant_get_size(before);
    flip = fuzz_byte(&f->in);
    cut = flip == 0 ? fuzz_take(&f->in, 2) : 0;
    fuzz_say(f, "load_patched(devemu_fake_device(fake), %zu, 0x%02x, %zu, NULL);", at, flip, cut);
    fuzz_uses(f, FUZZ_USES_PATCH);
    ok = load_patched(f->top, at, flip, cut, &error);
    judge(f, ok, before, NULL, error);
    g_variant_unref(before);
}
