/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices below devices: leaving while lines are high, the end of a tree, reset from inside a
 * reset. */
#include "toy.h"

#include <devemu/bus.h>

#include <criterion/criterion.h>

typedef struct Cards {
    DevemuDevice *isa, *a, *b;
} Cards;

static DevemuDevice *card(DevemuDevice *isa, uint16_t base)
{
    DevemuDevice *dev = devemu_device_new(&devemu_model_toy, NULL, NULL);

    cr_assert(devemu_isa_plug(isa, dev, &base, 1, 5, NULL));
    return dev;
}

static Cards cards_new(void)
{
    Cards c = {.isa = devemu_device_new(&devemu_model_isa, NULL, NULL)};

    c.a = card(c.isa, 0x300);
    c.b = card(c.isa, 0x320);
    return c;
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

Test(tree, a_device_whose_falling_line_comes_back_to_it_leaves_no_level_behind)
{
    Cards c = cards_new();

    /* The toy's line 1 is a copy of its input 0. */
    cr_assert(devemu_device_wire(c.a, 0, c.b, 0, NULL));
    cr_assert(devemu_device_wire(c.b, 1, c.a, 0, NULL));
    raise_irq(c.a);
    cr_assert_eq(devemu_device_lines(c.isa), 1 << 5);

    devemu_bus_unplug(c.a);
    cr_assert_eq(devemu_device_lines(c.isa), 0);
    cr_assert_not(level(c.b));

    devemu_device_free(c.a);
    devemu_device_free(c.isa);
}

Test(tree, inputs_that_wires_held_up_fall_when_the_device_leaves)
{
    Cards c = cards_new();

    cr_assert(devemu_device_wire(c.a, 0, c.b, 0, NULL));
    raise_irq(c.a);
    cr_assert(level(c.b));

    devemu_bus_unplug(c.b);
    cr_assert_not(level(c.b));
    cr_assert_eq(devemu_device_inputs(c.b), 0);

    devemu_device_free(c.b);
    devemu_device_free(c.isa);
}

Test(tree, a_device_that_comes_back_tells_the_lines_that_it_left_with)
{
    Cards c = cards_new();
    const uint16_t base = 0x300;

    raise_irq(c.a);
    devemu_bus_unplug(c.a);
    cr_assert_eq(devemu_device_lines(c.isa), 0);
    cr_assert(devemu_isa_plug(c.isa, c.a, &base, 1, 5, NULL));
    cr_assert_eq(devemu_device_lines(c.isa), 1 << 5);

    devemu_device_free(c.isa);
}

/* --- the end ----------------------------------------------------------------------- */

struct snoop {
    DevemuDevice *dev;
};

/* Whenever its input changes it writes to where the toy stands. */
static void snoop_line(void *state, unsigned line, bool level)
{
    uint8_t ones[2] = {0xff, 0xff};

    (void)line;
    (void)level;
    devemu_dma_write(((struct snoop *)state)->dev, 0x1000 + TOY_KEPT, ones, 2);
}

static const char *const snoop_inputs[] = {"IN", NULL};
static const DevemuModel snoop_model = {.name = "snoop",
                                        .state_size = sizeof(struct snoop),
                                        .inputs = snoop_inputs,
                                        .input_line = snoop_line};

static DevemuDevice *plugged(DevemuDevice *bus, const DevemuModel *model)
{
    DevemuDevice *dev = devemu_device_new(model, NULL, NULL);

    cr_assert(devemu_bus_plug(bus, dev, NULL, NULL));
    return dev;
}

Test(tree, what_a_device_does_as_its_tree_ends_reaches_none_that_is_gone)
{
    DevemuDevice *system = devemu_device_new(&devemu_model_system, NULL, NULL);
    DevemuDevice *snoop = plugged(system, &snoop_model);
    DevemuDevice *source = plugged(system, &devemu_model_toy);
    DevemuDevice *target = plugged(system, &devemu_model_toy);

    cr_assert(
        devemu_system_map(system, DEVEMU_SYSTEM_MEMORY, 0x1000, 32, target, TOY_IO, 0, 0, NULL));
    cr_assert(devemu_device_wire(source, 0, snoop, 0, NULL));
    raise_irq(source);

    /* The address sanitizer watches. */
    devemu_device_free(system);
}

Test(tree, a_device_freed_below_another_bus_is_forgotten_by_the_system)
{
    g_autoptr(DevemuDevice) system = devemu_device_new(&devemu_model_system, NULL, NULL);
    DevemuDevice *isa = plugged(system, &devemu_model_isa);
    DevemuDevice *toy = card(isa, 0x300);
    uint64_t value;

    cr_assert(devemu_system_map(system, DEVEMU_SYSTEM_MEMORY, 0x1000, 32, toy, TOY_IO, 0, 0, NULL));
    cr_assert_eq(devemu_device_read(system, DEVEMU_SYSTEM_MEMORY, 0x1000 + TOY_KEPT, 2, &value),
                 DEVEMU_ACCESS_OK);
    devemu_device_free(toy);
    cr_assert_eq(devemu_device_read(system, DEVEMU_SYSTEM_MEMORY, 0x1000 + TOY_KEPT, 2, &value),
                 DEVEMU_ACCESS_NONE);
}

Test(tree, a_bus_takes_along_the_mappings_of_what_is_plugged_into_it)
{
    g_autoptr(DevemuDevice) system = devemu_device_new(&devemu_model_system, NULL, NULL);
    DevemuDevice *isa = plugged(system, &devemu_model_isa);
    DevemuDevice *toy = card(isa, 0x300);
    uint64_t value;

    cr_assert(devemu_system_map(system, DEVEMU_SYSTEM_MEMORY, 0x1000, 32, toy, TOY_IO, 0, 0, NULL));
    devemu_device_free(isa);
    cr_assert_eq(devemu_device_read(system, DEVEMU_SYSTEM_MEMORY, 0x1000 + TOY_KEPT, 2, &value),
                 DEVEMU_ACCESS_NONE);
}

Test(tree, a_bus_cannot_be_plugged_below_itself)
{
    g_autoptr(DevemuDevice) system = devemu_device_new(&devemu_model_system, NULL, NULL);
    g_autoptr(GError) error = NULL;

    cr_assert_not(devemu_bus_plug(system, system, NULL, &error));
    cr_assert_str_eq(error->message, "system cannot be plugged into itself");
}

/* --- reset ------------------------------------------------------------------------- */

typedef struct Resets {
    DevemuDevice *isa, *b;
    unsigned of_b;
} Resets;

static void reset_again(void *host, unsigned line, bool level)
{
    (void)line;
    if (level) {
        return;
    }
    devemu_device_reset(((Resets *)host)->isa, DEVEMU_RESET_HARD);
}

static void count_resets(void *host, const DevemuTrace *trace)
{
    Resets *resets = host;

    resets->of_b += trace->kind == DEVEMU_TRACE_RESET && trace->device == resets->b;
}

Test(tree, a_reset_that_a_reset_causes_is_ignored)
{
    Cards c = cards_new();
    Resets resets = {.isa = c.isa, .b = c.b};
    const DevemuHostOps ops = {.size = sizeof(ops), .set_line = reset_again, .trace = count_resets};

    raise_irq(c.a);
    devemu_device_set_host(c.isa, &ops, &resets);
    resets.of_b = 0;
    devemu_device_reset(c.isa, DEVEMU_RESET_HARD);
    cr_assert_eq(resets.of_b, 1);

    devemu_device_set_host(c.isa, NULL, NULL);
    devemu_device_free(c.isa);
}
