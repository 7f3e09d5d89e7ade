/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * snapshot.c: the state of a tree as a{sv}.
 *
 *     "model"        s      name of the model
 *     "lines.inputs" t      levels of the input lines
 *     "BANK.REG"     y q u t, or ay aq au at for an array register
 *     "FIELD"        likewise
 *     "timer.NAME"   t      nanoseconds; the greatest value is off
 *     "child.NAME"   a{sv}  a device plugged in
 *
 * A load works on copies of the states; nothing is changed before all of the tree is found good.
 */
#include "internal.h"

/* --- saving ------------------------------------------------------------------------ */

static GVariant *number(unsigned width, uint64_t value)
{
    switch (width) {
    case 1:
        return g_variant_new_byte((guchar)value);
    case 2:
        return g_variant_new_uint16((guint16)value);
    case 4:
        return g_variant_new_uint32((guint32)value);
    default:
        return g_variant_new_uint64(value);
    }
}

static const GVariantType *number_type(unsigned width)
{
    switch (width) {
    case 1:
        return G_VARIANT_TYPE_BYTE;
    case 2:
        return G_VARIANT_TYPE_UINT16;
    case 4:
        return G_VARIANT_TYPE_UINT32;
    default:
        return G_VARIANT_TYPE_UINT64;
    }
}

static GVariant *numbers(const void *state, uint32_t member, unsigned width, unsigned count)
{
    GVariantType *array;
    GVariant *value;
    GBytes *bytes;

    if (count == 1) {
        return number(width, devemu_member_get(state, member, width));
    }
    /* Whatever the integers are, they are in normal form: no need to look at each. */
    array = g_variant_type_new_array(number_type(width));
    bytes = g_bytes_new((const uint8_t *)state + member, (gsize)count * width);
    value = g_variant_new_from_bytes(array, bytes, TRUE);
    g_bytes_unref(bytes);
    g_variant_type_free(array);
    return value;
}

static unsigned stored_bytes(const DevemuReg *reg)
{
    return reg->width * (reg->count ? reg->count : 1u);
}

/* Several rows may show one member: the first one that shows all of it saves it. */
static bool shown_before(const DevemuModel *model, size_t bank, size_t row)
{
    const DevemuReg *reg = &model->banks[bank].regs[row];

    for (size_t b = 0; b <= bank; b++) {
        size_t end = b == bank ? row : model->banks[b].reg_count;

        for (size_t i = 0; i < end; i++) {
            const DevemuReg *before = &model->banks[b].regs[i];

            if (before->member == reg->member && stored_bytes(before) >= stored_bytes(reg)) {
                return true;
            }
        }
    }
    return false;
}

/* One stored thing, whatever table it is in. */
typedef struct Entry {
    const char *prefix, *name;
    uint32_t member;
    unsigned width, count;
    uint64_t max;
    uint64_t fixed, fixed_value; /* reserved bits and what they must be */
    bool optional;
} Entry;

typedef bool EntryFunc(const Entry *entry, void *opaque);

static bool each_register(const DevemuModel *model, EntryFunc *func, void *opaque)
{
    for (size_t b = 0; b < model->bank_count; b++) {
        const DevemuBank *bank = &model->banks[b];

        for (size_t i = 0; i < bank->reg_count; i++) {
            const DevemuReg *reg = &bank->regs[i];
            Entry entry = {
                .prefix = bank->name,
                .name = reg->name,
                .member = reg->member,
                .width = reg->width,
                .count = reg->count ? reg->count : 1,
                .fixed = reg->rsvd,
                .fixed_value = reg->reset & reg->rsvd,
            };

            if (reg->width && !shown_before(model, b, i) && !func(&entry, opaque)) {
                return false;
            }
        }
    }
    return true;
}

static bool each_entry(const DevemuModel *model, EntryFunc *func, void *opaque)
{
    if (!each_register(model, func, opaque)) {
        return false;
    }
    for (const DevemuField *f = model->fields; f && f->name; f++) {
        Entry entry = {.name = f->name,
                       .member = f->member,
                       .width = f->width,
                       .count = f->count,
                       .max = f->max,
                       .optional = f->since_absent_ok};

        if (!f->skip && !func(&entry, opaque)) {
            return false;
        }
    }
    for (const DevemuTimer *t = model->timers; t && t->name; t++) {
        Entry entry = {
            .prefix = "timer", .name = t->name, .member = t->member, .width = 8, .count = 1};

        if (!func(&entry, opaque)) {
            return false;
        }
    }
    return true;
}

static void entry_key(const Entry *entry, char *key, size_t size)
{
    g_snprintf(key, size, "%s%s%s", entry->prefix ? entry->prefix : "", entry->prefix ? "." : "",
               entry->name);
}

typedef struct Saving {
    const DevemuDevice *dev;
    GVariantBuilder *builder;
} Saving;

static bool save_entry(const Entry *entry, void *opaque)
{
    Saving *saving = opaque;
    char key[128];

    entry_key(entry, key, sizeof(key));
    g_variant_builder_add(saving->builder, "{sv}", key,
                          numbers(saving->dev->state, entry->member, entry->width, entry->count));
    return true;
}

static GVariant *save_tree(const DevemuDevice *dev)
{
    GVariantBuilder builder;
    Saving saving = {dev, &builder};

    if (dev->model->saving) {
        dev->model->saving(dev->state);
    }
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&builder, "{sv}", "model", g_variant_new_string(dev->model->name));
    g_variant_builder_add(&builder, "{sv}", "lines.inputs", g_variant_new_uint64(dev->inputs));
    each_entry(dev->model, save_entry, &saving);
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        const DevemuDevice *child = g_ptr_array_index(dev->children, i);
        char *key = g_strconcat("child.", child->name, NULL);

        g_variant_builder_add(&builder, "{sv}", key, save_tree(child));
        g_free(key);
    }
    return g_variant_builder_end(&builder);
}

GVariant *devemu_device_save(const DevemuDevice *dev)
{
    GVariant *state, *normal;

    g_return_val_if_fail(dev != NULL, NULL);
    state = g_variant_ref_sink(save_tree(dev));
    normal = g_variant_get_normal_form(state);
    g_variant_unref(state);
    return normal;
}

/* --- loading ----------------------------------------------------------------------- */

/* A device's state to be: checked, not yet in force. */
typedef struct Plan {
    DevemuDevice *dev;
    void *state;
    uint64_t inputs;
    GPtrArray *children; /* Plan */
    unsigned known;      /* keys of the snapshot that were used */
    GHashTable *entries; /* of the snapshot, GVariant by key */
    gsize count;         /* of them, with any key that stands there twice */
    GError **error;
} Plan;

static void plan_free(void *opaque)
{
    Plan *plan = opaque;

    if (plan) {
        g_free(plan->state);
        g_ptr_array_unref(plan->children);
        g_hash_table_unref(plan->entries);
        g_free(plan);
    }
}

/* Looking up in a dictionary of GVariant is a search. */
static GHashTable *entries_of(GVariant *dict)
{
    GHashTable *entries =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_variant_unref);
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, dict);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        g_hash_table_insert(entries, (gpointer)(uintptr_t)key, value);
    }
    return entries;
}

/* NULL if there is none of that type. */
static GVariant *entry_of_type(const Plan *plan, const char *key, const GVariantType *type)
{
    GVariant *value = g_hash_table_lookup(plan->entries, key);

    return value && g_variant_is_of_type(value, type) ? value : NULL;
}

static bool bad(const Plan *plan, const char *key, const char *what)
{
    g_set_error(plan->error, DEVEMU_ERROR, DEVEMU_ERROR_SNAPSHOT,
                "snapshot of %s: entry '%s' %s; the device is unchanged", plan->dev->name, key,
                what);
    return false;
}

static uint64_t number_get(GVariant *value, unsigned width)
{
    switch (width) {
    case 1:
        return g_variant_get_byte(value);
    case 2:
        return g_variant_get_uint16(value);
    case 4:
        return g_variant_get_uint32(value);
    default:
        return g_variant_get_uint64(value);
    }
}

static bool take_value(Plan *plan, const Entry *entry, const char *key, GVariant *value)
{
    if (entry->count == 1) {
        if (!g_variant_is_of_type(value, number_type(entry->width))) {
            return bad(plan, key, "has the wrong type");
        }
        devemu_member_set(plan->state, entry->member, entry->width,
                          number_get(value, entry->width));
    } else {
        GVariantType *type = g_variant_type_new_array(number_type(entry->width));
        bool right = g_variant_is_of_type(value, type);
        gsize count = 0;
        gconstpointer data;

        g_variant_type_free(type);
        if (!right) {
            return bad(plan, key, "has the wrong type");
        }
        data = g_variant_get_fixed_array(value, &count, entry->width);
        if (count != entry->count) {
            return bad(plan, key, "has the wrong length");
        }
        memcpy((uint8_t *)plan->state + entry->member, data, count * entry->width);
    }
    for (unsigned i = 0; (entry->max || entry->fixed) && i < entry->count; i++) {
        uint64_t v = devemu_member_get(plan->state, entry->member + i * entry->width, entry->width);

        if (entry->max && v > entry->max) {
            return bad(plan, key, "is greater than this chip can hold");
        }
        if ((v & entry->fixed) != entry->fixed_value) {
            return bad(plan, key, "has reserved bits that this chip cannot hold");
        }
    }
    return true;
}

static bool load_entry(const Entry *entry, void *opaque)
{
    Plan *plan = opaque;
    GVariant *value;
    char key[128];

    entry_key(entry, key, sizeof(key));
    value = g_hash_table_lookup(plan->entries, key);
    if (value == NULL && entry->optional) {
        memcpy((uint8_t *)plan->state + entry->member,
               (const uint8_t *)plan->dev->fresh + entry->member, entry->width * entry->count);
        return true;
    }
    if (value == NULL) {
        return bad(plan, key, "is missing");
    }
    plan->known++;
    return take_value(plan, entry, key, value);
}

static bool load_head(Plan *plan)
{
    GVariant *model = entry_of_type(plan, "model", G_VARIANT_TYPE_STRING);
    GVariant *inputs = entry_of_type(plan, "lines.inputs", G_VARIANT_TYPE_UINT64);

    if (model == NULL) {
        return bad(plan, "model", "is missing or no text");
    }
    if (strcmp(g_variant_get_string(model, NULL), plan->dev->model->name) != 0) {
        return bad(plan, "model", "names another model");
    }
    if (inputs == NULL) {
        return bad(plan, "lines.inputs", "is missing or no number");
    }
    plan->inputs = g_variant_get_uint64(inputs);
    if (plan->dev->input_count < DEVEMU_LINES && plan->inputs >> plan->dev->input_count != 0) {
        return bad(plan, "lines.inputs", "names lines that this chip does not have");
    }
    plan->known += 2;
    return true;
}

static Plan *plan_tree(DevemuDevice *dev, GVariant *dict, GError **error);

static bool load_children(Plan *plan)
{
    for (unsigned i = 0; plan->dev->children && i < plan->dev->children->len; i++) {
        DevemuDevice *child = g_ptr_array_index(plan->dev->children, i);
        char *key = g_strconcat("child.", child->name, NULL);
        GVariant *dict = entry_of_type(plan, key, G_VARIANT_TYPE_VARDICT);
        Plan *below = NULL;

        if (dict == NULL) {
            bad(plan, key, "is missing");
        } else {
            below = plan_tree(child, dict, plan->error);
        }
        g_free(key);
        if (below == NULL) {
            return false;
        }
        g_ptr_array_add(plan->children, below);
        plan->known++;
    }
    return true;
}

static bool unknown_entry(Plan *plan)
{
    if (plan->known == plan->count) {
        return true;
    }
    return bad(plan, plan->dev->model->name, "has more beside it than this model knows");
}

static bool load_valid(Plan *plan)
{
    const DevemuModel *model = plan->dev->model;

    return !model->valid || model->valid(plan->state) ||
           bad(plan, model->name, "is a state that this chip cannot be in");
}

static Plan *plan_tree(DevemuDevice *dev, GVariant *dict, GError **error)
{
    Plan *plan = g_new0(Plan, 1);

    plan->dev = dev;
    plan->entries = entries_of(dict);
    plan->count = g_variant_n_children(dict);
    plan->error = error;
    plan->state = g_memdup2(dev->state, dev->model->state_size);
    plan->children = g_ptr_array_new_with_free_func(plan_free);
    if (!load_head(plan) || !each_entry(dev->model, load_entry, plan) || !load_children(plan) ||
        !unknown_entry(plan) || !load_valid(plan)) {
        plan_free(plan);
        return NULL;
    }
    return plan;
}

/* Every device gets its state before any of them speaks. */
static void plan_commit(const Plan *plan)
{
    memcpy(plan->dev->state, plan->state, plan->dev->model->state_size);
    plan->dev->inputs = plan->inputs;
    devemu_device_revoke(plan->dev);
    for (unsigned i = 0; i < plan->children->len; i++) {
        plan_commit(g_ptr_array_index(plan->children, i));
    }
}

static void plan_loaded(const Plan *plan)
{
    for (unsigned i = 0; i < plan->children->len; i++) {
        plan_loaded(g_ptr_array_index(plan->children, i));
    }
    if (plan->dev->model->loaded) {
        plan->dev->model->loaded(plan->dev->state);
    }
    if (plan->dev->vsock_ops.restored) {
        plan->dev->vsock_ops.restored(plan->dev->vsock);
    }
}

static void plan_hold(const Plan *plan)
{
    devemu_hold(plan->dev);
    for (unsigned i = 0; i < plan->children->len; i++) {
        plan_hold(g_ptr_array_index(plan->children, i));
    }
}

static void plan_tell(const Plan *plan)
{
    for (unsigned i = 0; i < plan->children->len; i++) {
        plan_tell(g_ptr_array_index(plan->children, i));
    }
    devemu_outputs_tell(plan->dev);
}

static void plan_release(const Plan *plan)
{
    devemu_inputs_loaded(plan->dev);
    devemu_release(plan->dev);
    for (unsigned i = 0; i < plan->children->len; i++) {
        plan_release(g_ptr_array_index(plan->children, i));
    }
}

static void plan_settle(const Plan *plan)
{
    for (unsigned i = 0; i < plan->children->len; i++) {
        plan_settle(g_ptr_array_index(plan->children, i));
    }
    devemu_device_settle(plan->dev);
}

/* All outputs first, while nobody listens: on the way from the old levels to the new ones an input
 * with several sources may swing, and no model may take that for an edge. */
static void plan_lines(const Plan *plan)
{
    plan_hold(plan);
    plan_tell(plan);
    plan_release(plan);
    plan_settle(plan);
}

static bool any_busy(const DevemuDevice *dev)
{
    bool busy = dev->busy != 0;

    for (unsigned i = 0; !busy && dev->children && i < dev->children->len; i++) {
        busy = any_busy(g_ptr_array_index(dev->children, i));
    }
    return busy;
}

bool devemu_device_load(DevemuDevice *dev, GVariant *state, GError **error)
{
    GVariant *normal = NULL;
    Plan *plan = NULL;
    bool ok;

    g_return_val_if_fail(dev != NULL && state != NULL, false);
    g_return_val_if_fail(!any_busy(dev), false);
    devemu_device_drain(dev);
    g_variant_ref_sink(state);
    if (!g_variant_is_of_type(state, G_VARIANT_TYPE_VARDICT) || !g_variant_is_normal_form(state)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_SNAPSHOT,
                    "snapshot of %s: not a snapshot, or cut off; the device is unchanged",
                    dev->name);
    } else {
        normal = g_variant_get_normal_form(state);
        plan = plan_tree(dev, normal, error);
    }
    if (plan) {
        plan_commit(plan);
        plan_loaded(plan);
        plan_lines(plan);
    }
    ok = plan != NULL;
    plan_free(plan);
    g_clear_pointer(&normal, g_variant_unref);
    g_variant_unref(state);
    return ok;
}
