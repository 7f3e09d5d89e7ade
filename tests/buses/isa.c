/* SPDX-License-Identifier: BSD-3-Clause */
/* ISA bus: cards at their ports, interrupt fan-in, refusals. */
#include "../lib/toy.h"

#include <devemu/bus.h>

#include <criterion/criterion.h>

typedef struct Isa {
    DevemuDevice *isa, *a, *b;
} Isa;

static Isa isa_new(void)
{
    const uint16_t at_300 = 0x300, at_320 = 0x320;
    Isa isa = {devemu_device_new(&devemu_model_isa, NULL, NULL),
               devemu_device_new(&devemu_model_toy, NULL, NULL),
               devemu_device_new(&devemu_model_toy, NULL, NULL)};

    cr_assert(devemu_isa_plug(isa.isa, isa.a, &at_300, 1, 5, NULL));
    cr_assert(devemu_isa_plug(isa.isa, isa.b, &at_320, 1, 5, NULL));
    return isa;
}

static void raise_irq(DevemuDevice *dev)
{
    devemu_device_write(dev, TOY_IO, TOY_ALARM, 4, 0);
    devemu_device_run(dev);
}

Test(isa, cards_answer_at_their_ports)
{
    Isa isa = isa_new();
    uint64_t value = 0;

    devemu_device_write(isa.isa, DEVEMU_ISA_PIO, 0x33c, 2, 0x77);
    cr_assert_eq(devemu_device_read(isa.isa, DEVEMU_ISA_PIO, 0x33c, 2, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 0x77);
    devemu_device_read(isa.isa, DEVEMU_ISA_PIO, 0x31c, 2, &value);
    cr_assert_eq(value, 0x1234, "the other card has its reset value");

    devemu_device_free(isa.isa);
}

Test(isa, an_interrupt_line_is_high_while_any_card_holds_it)
{
    Isa isa = isa_new();

    raise_irq(isa.a);
    raise_irq(isa.b);
    cr_assert_eq(devemu_device_lines(isa.isa), 1 << 5);
    devemu_device_write(isa.a, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert_eq(devemu_device_lines(isa.isa), 1 << 5);
    devemu_device_write(isa.b, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert_eq(devemu_device_lines(isa.isa), 0);

    devemu_device_free(isa.isa);
}

Test(isa, a_card_that_leaves_lets_its_line_fall)
{
    Isa isa = isa_new();

    raise_irq(isa.a);
    devemu_bus_unplug(isa.a);
    cr_assert_eq(devemu_device_lines(isa.isa), 0);

    devemu_device_free(isa.a);
    devemu_device_free(isa.isa);
}

Test(isa, a_place_is_written_as_its_first_port)
{
    g_autoptr(DevemuDevice) isa = devemu_device_new(&devemu_model_isa, NULL, NULL);
    DevemuDevice *toy = devemu_device_new(&devemu_model_toy, NULL, NULL);
    g_autoptr(GError) error = NULL;
    uint64_t value;

    cr_assert_not(devemu_bus_plug(isa, toy, "COM1", &error));
    cr_assert_str_eq(error->message, "cannot plug toy into the ISA bus at 'COM1': write its first "
                                     "port, like 0x3f8");
    cr_assert(devemu_bus_plug(isa, toy, "0x340", NULL));
    cr_assert_eq(devemu_device_read(isa, DEVEMU_ISA_PIO, 0x340, 2, &value), DEVEMU_ACCESS_OK);
}

Test(isa, a_snapshot_of_the_bus_holds_its_cards)
{
    Isa from = isa_new(), to = isa_new();
    g_autoptr(GVariant) state = NULL;

    raise_irq(from.b);
    state = devemu_device_save(from.isa);
    cr_assert(devemu_device_load(to.isa, state, NULL));
    cr_assert_eq(devemu_device_lines(to.isa), 1 << 5);

    devemu_device_free(from.isa);
    devemu_device_free(to.isa);
}

Test(isa, reset_reaches_the_cards)
{
    Isa isa = isa_new();
    uint64_t value = 0;

    devemu_device_write(isa.a, TOY_IO, TOY_KEPT, 2, 0);
    devemu_device_reset(isa.isa, DEVEMU_RESET_HARD);
    devemu_device_read(isa.a, TOY_IO, TOY_KEPT, 2, &value);
    cr_assert_eq(value, 0x1200);

    devemu_device_free(isa.isa);
}
