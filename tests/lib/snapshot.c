/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshots of trees: names, order, refusal. The per-model rules are the conformance test's. */
#include "toy.h"

#include <devemu/bus.h>

#include <criterion/criterion.h>

static DevemuDevice *tree_new(void)
{
    DevemuDevice *system = devemu_device_new(&devemu_model_system, NULL, NULL);

    for (unsigned i = 0; i < 2; i++) {
        DevemuDevice *toy = devemu_device_new(&devemu_model_toy, NULL, NULL);

        cr_assert(devemu_bus_plug(system, toy, NULL, NULL));
    }
    return system;
}

Test(snapshot, holds_registers_fields_and_timers_by_name)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(GVariant) state = NULL;
    guint16 ctrl;
    guint64 alarm;

    devemu_device_write(dev, TOY_IO, TOY_CTRL, 2, 0xa0f0);
    state = devemu_device_save(dev);

    cr_assert(g_variant_lookup(state, "io.CTRL", "q", &ctrl));
    cr_assert_eq(ctrl, 0xa0f0);
    cr_assert(g_variant_lookup(state, "timer.alarm_ns", "t", &alarm));
    cr_assert_eq(alarm, UINT64_MAX);
}

Test(snapshot, a_tree_is_loaded_whole_or_not_at_all)
{
    g_autoptr(DevemuDevice) from = tree_new();
    g_autoptr(DevemuDevice) to = tree_new();
    g_autoptr(GVariant) good = NULL, before = NULL, after = NULL;
    g_autoptr(GError) error = NULL;
    struct toy *last = devemu_device_state(devemu_device_child(from, 1));

    devemu_device_write(devemu_device_child(from, 0), TOY_IO, TOY_LOCKED, 2, 1);
    devemu_device_write(devemu_device_child(from, 0), TOY_IO, TOY_CTRL, 2, 0xa0f0);
    last->level = 7; /* greater than its row allows */
    good = devemu_device_save(from);
    before = devemu_device_save(to);

    cr_assert_not(devemu_device_load(to, good, &error));
    cr_assert_str_eq(error->message,
                     "snapshot of toy.1: entry 'level' is greater than this chip can "
                     "hold; the device is unchanged");
    after = devemu_device_save(to);
    cr_assert(g_variant_equal(before, after), "the first child was good, but may not be changed");
}

Test(snapshot, the_model_has_the_last_word)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(GVariant) state = devemu_device_save(dev);
    g_autoptr(GError) error = NULL;
    struct toy *toy = devemu_device_state(dev);

    toy->mode = 3; /* configuration: what valid() refuses in the toy */
    cr_assert_not(devemu_device_load(dev, state, &error));
    cr_assert_str_eq(error->message,
                     "snapshot of toy: entry 'toy' is a state that this chip cannot "
                     "be in; the device is unchanged");
}

Test(snapshot, other_things_are_no_snapshot)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(GError) error = NULL;

    cr_assert_not(devemu_device_load(dev, g_variant_new_string("hello"), &error));
    cr_assert_str_eq(error->message,
                     "snapshot of toy: not a snapshot, or cut off; the device is unchanged");
}

Test(snapshot, deadlines_and_lines_are_told_after_a_load)
{
    g_autoptr(DevemuDevice) from = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(DevemuDevice) to = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(GVariant) state = NULL;

    devemu_device_line(from, 0, true);
    devemu_device_write(from, TOY_IO, TOY_ALARM, 4, 77);
    state = devemu_device_save(from);
    cr_assert(devemu_device_load(to, state, NULL));
    cr_assert_eq(devemu_device_deadline(to), 77);
    cr_assert_eq(devemu_device_lines(to), 2);
    devemu_device_line(to, 0, false);
    cr_assert_eq(devemu_device_lines(to), 0, "the host holds the line as it was");
}

/* The state with one entry left out, or another in its place. */
static GVariant *edited(GVariant *state, const char *key, GVariant *value)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, state);
    g_variant_dict_remove(&dict, key);
    if (value) {
        g_variant_dict_insert_value(&dict, key, value);
    }
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

Test(snapshot, a_field_that_an_old_state_lacks_has_its_reset_value)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(GVariant) state = devemu_device_save(dev);
    g_autoptr(GVariant) old = edited(state, "late", NULL);
    struct toy *toy = devemu_device_state(dev);

    toy->late = 5;
    cr_assert(devemu_device_load(dev, old, NULL));
    cr_assert_eq(toy->late, 0);
}

Test(snapshot, input_lines_that_the_chip_does_not_have_are_refused)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(GVariant) state = devemu_device_save(dev);
    g_autoptr(GVariant) hostile = edited(state, "lines.inputs", g_variant_new_uint64(4));
    g_autoptr(GError) error = NULL;

    cr_assert_not(devemu_device_load(dev, hostile, &error));
    cr_assert_str_eq(error->message, "snapshot of toy: entry 'lines.inputs' names lines that this "
                                     "chip does not have; the device is unchanged");
}

struct views {
    DevemuDevice *dev;
    uint32_t value;
    uint32_t unused;
};

static const DevemuReg view_rows[] = {
    {.name = "LOW", .at = 0, .size = 1, DEVEMU_IN(struct views, value)},
    {.name = "WHOLE", .at = 4, .size = 4, DEVEMU_IN(struct views, value)},
};

Test(snapshot, a_narrow_view_of_a_register_does_not_stand_for_all_of_it)
{
    DevemuReg rows[2] = {view_rows[0], view_rows[1]};
    const DevemuBank bank = {
        .name = "io", .kind = DEVEMU_BANK_PIO, .size = 8, .regs = rows, .reg_count = 2};
    const DevemuModel model = {
        .name = "views", .state_size = sizeof(struct views), .banks = &bank, .bank_count = 1};
    g_autoptr(DevemuDevice) from = NULL, to = NULL;
    g_autoptr(GVariant) state = NULL;

    rows[0].width = 1;
    from = devemu_device_new(&model, NULL, NULL);
    to = devemu_device_new(&model, NULL, NULL);
    devemu_device_write(from, 0, 4, 4, 0x12345678);
    state = devemu_device_save(from);
    cr_assert(devemu_device_load(to, state, NULL));
    cr_assert_eq(((struct views *)devemu_device_state(to))->value, 0x12345678);
}
