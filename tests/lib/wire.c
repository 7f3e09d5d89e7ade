/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines between devices: fan-in, late plugging, loops, snapshots. */
#include "toy.h"

#include <devemu/bus.h>

#include <criterion/criterion.h>

typedef struct Tree {
    DevemuDevice *system, *a, *b, *c;
} Tree;

static Tree tree_new(void)
{
    Tree t = {.system = devemu_device_new(&devemu_model_system, NULL, NULL)};
    DevemuDevice **all[] = {&t.a, &t.b, &t.c};

    for (unsigned i = 0; i < 3; i++) {
        *all[i] = devemu_device_new(&devemu_model_toy, NULL, NULL);
        cr_assert(devemu_bus_plug(t.system, *all[i], NULL, NULL));
    }
    return t;
}

static void raise_irq(DevemuDevice *dev)
{
    devemu_device_write(dev, TOY_IO, TOY_ALARM, 4, 0);
    devemu_device_run(dev);
}

static bool level(DevemuDevice *dev)
{
    return ((struct toy *)devemu_device_state(dev))->level;
}

Test(wire, an_input_is_high_while_any_source_is)
{
    Tree t = tree_new();

    cr_assert(devemu_device_wire(t.a, 0, t.c, 0, NULL));
    cr_assert(devemu_device_wire(t.b, 0, t.c, 0, NULL));
    raise_irq(t.a);
    raise_irq(t.b);
    cr_assert(level(t.c));
    devemu_device_write(t.a, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert(level(t.c));
    devemu_device_write(t.b, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert_not(level(t.c));
    devemu_device_line(t.c, 0, true);
    cr_assert(level(t.c));

    devemu_device_free(t.system);
}

Test(wire, a_line_that_is_high_is_seen_when_the_wire_is_drawn)
{
    Tree t = tree_new();

    raise_irq(t.a);
    cr_assert(devemu_device_wire(t.a, 0, t.b, 0, NULL));
    cr_assert(level(t.b));

    devemu_device_free(t.system);
}

Test(wire, unplugging_the_source_lets_the_line_fall)
{
    Tree t = tree_new();

    cr_assert(devemu_device_wire(t.a, 0, t.b, 0, NULL));
    raise_irq(t.a);
    devemu_bus_unplug(t.a);
    cr_assert_not(level(t.b));

    devemu_device_free(t.a);
    devemu_device_free(t.system);
}

Test(wire, an_output_on_its_own_input_does_not_go_on_for_ever)
{
    Tree t = tree_new();

    cr_assert(devemu_device_wire(t.a, 0, t.a, 0, NULL));
    raise_irq(t.a);
    cr_assert(level(t.a));

    devemu_device_free(t.system);
}

Test(wire, a_loaded_tree_has_its_levels_and_sees_no_edges)
{
    Tree t = tree_new(), u = tree_new();
    g_autoptr(GVariant) state = NULL;

    cr_assert(devemu_device_wire(t.a, 0, t.c, 0, NULL));
    cr_assert(devemu_device_wire(u.a, 0, u.c, 0, NULL));
    raise_irq(t.a);
    state = devemu_device_save(t.system);
    cr_assert(devemu_device_load(u.system, state, NULL));
    cr_assert(level(u.c));
    devemu_device_write(u.a, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert_not(level(u.c));

    devemu_device_free(t.system);
    devemu_device_free(u.system);
}

Test(wire, a_line_that_does_not_exist_is_refused)
{
    Tree t = tree_new();
    g_autoptr(GError) error = NULL;

    cr_assert_not(devemu_device_wire(t.a, 2, t.b, 0, &error));
    cr_assert_str_eq(error->message,
                     "cannot wire output 2 of toy to input 0 of toy.1: no such line");

    devemu_device_free(t.system);
}

static void count_inputs(void *host, const DevemuTrace *trace)
{
    *(unsigned *)host += trace->kind == DEVEMU_TRACE_INPUT;
}

Test(wire, a_load_that_changes_which_source_is_high_is_no_edge)
{
    Tree t = tree_new(), u = tree_new();
    DevemuHostOps ops = {.size = sizeof(ops), .trace = count_inputs};
    g_autoptr(GVariant) state = NULL;
    unsigned inputs = 0;

    cr_assert(devemu_device_wire(t.a, 0, t.c, 0, NULL));
    cr_assert(devemu_device_wire(t.b, 0, t.c, 0, NULL));
    cr_assert(devemu_device_wire(u.a, 0, u.c, 0, NULL));
    cr_assert(devemu_device_wire(u.b, 0, u.c, 0, NULL));
    raise_irq(t.b);
    raise_irq(u.a);
    devemu_device_set_host(u.system, &ops, &inputs);
    state = devemu_device_save(t.system);
    cr_assert(devemu_device_load(u.system, state, NULL));
    cr_assert_eq(inputs, 0);
    cr_assert(level(u.c));
    devemu_device_write(u.b, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert_not(level(u.c), "b alone held it");

    devemu_device_free(t.system);
    devemu_device_free(u.system);
}

Test(wire, a_loaded_level_that_the_wires_contradict_is_mended)
{
    Tree t = tree_new();
    g_autoptr(GVariant) low = devemu_device_save(t.b);

    cr_assert(devemu_device_wire(t.a, 0, t.b, 0, NULL));
    raise_irq(t.a);
    cr_assert(level(t.b));
    cr_assert(devemu_device_load(t.b, low, NULL));
    cr_assert(level(t.b), "a still drives it");
    devemu_device_write(t.a, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert_not(level(t.b));

    devemu_device_free(t.system);
}
