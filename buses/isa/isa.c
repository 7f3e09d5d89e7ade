/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * isa.c: the ISA bus: ports and 16 MiB of memory, eight and sixteen bit cycles, and sixteen
 * interrupt lines with fan-in. Accesses wider than a card go out as several cycles, lowest address
 * first (IEEE P996, bus conversion).
 *
 * Not modelled: wait states, refresh, bus mastering by a card, the ten bit decode of early cards (a
 * port above 3ffh is answered only where it is mapped).
 */
#include "../space.h"

#define ISA_IRQS 16

struct slot {
    DevemuDevice *isa;
    DevemuDevice *card;
    int irq; /* negative: none */
};

struct isa {
    DevemuDevice *dev;
    DevemuSpace spaces[2];
    GPtrArray *slots; /* struct slot */
    unsigned levels[ISA_IRQS];
};

static DevemuAccess isa_pio_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct isa *isa = state;

    return devemu_space_read(&isa->spaces[DEVEMU_ISA_PIO], at, size, ret_value);
}

static DevemuAccess isa_pio_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct isa *isa = state;

    return devemu_space_write(&isa->spaces[DEVEMU_ISA_PIO], at, size, value);
}

static DevemuAccess isa_memory_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct isa *isa = state;

    return devemu_space_read(&isa->spaces[DEVEMU_ISA_MEMORY], at, size, ret_value);
}

static DevemuAccess isa_memory_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct isa *isa = state;

    return devemu_space_write(&isa->spaces[DEVEMU_ISA_MEMORY], at, size, value);
}

/* --- cards ------------------------------------------------------------------------- */

static void card_line(void *host, unsigned line, bool level)
{
    struct slot *slot = host;
    struct isa *isa = slot->isa->state;

    if (line != 0 || slot->irq < 0) {
        return;
    }
    isa->levels[slot->irq] += level ? 1u : -1u;
    devemu_device_settle(slot->isa);
}

static bool card_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    return devemu_passing_ops.dma_read(((struct slot *)host)->isa, addr, buf, len);
}

static bool card_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    return devemu_passing_ops.dma_write(((struct slot *)host)->isa, addr, buf, len);
}

static bool card_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    return devemu_passing_ops.dma_map(((struct slot *)host)->isa, addr, ret_window);
}

static const DevemuHostOps card_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = card_dma_read,
    .dma_write = card_dma_write,
    .dma_map = card_dma_map,
    .set_line = card_line,
};

static bool map_ports(struct isa *isa, DevemuDevice *dev, const uint16_t *bases, size_t count,
                      GError **error)
{
    const DevemuModel *model = dev->model;
    unsigned port_bank = 0;

    for (size_t b = 0; b < model->bank_count; b++) {
        uint16_t base;

        if (model->banks[b].kind != DEVEMU_BANK_PIO) {
            continue;
        }
        base = port_bank < count && bases[port_bank] ? bases[port_bank]
               : model->isa && port_bank < DEVEMU_N_ELEMENTS(model->isa->bases)
                   ? model->isa->bases[port_bank]
                   : 0;
        port_bank++;
        if (base != 0 &&
            devemu_space_add(&isa->spaces[DEVEMU_ISA_PIO],
                             &(DevemuMapping){.base = base, .dev = dev, .bank = (unsigned)b},
                             model->banks[b].size, error) == 0) {
            devemu_space_remove(&isa->spaces[DEVEMU_ISA_PIO], dev);
            return false;
        }
    }
    return true;
}

bool devemu_isa_plug(DevemuDevice *isa, DevemuDevice *dev, const uint16_t *bases, size_t count,
                     int irq, GError **error)
{
    struct isa *state;
    struct slot *slot;

    g_return_val_if_fail(isa != NULL && isa->model == &devemu_model_isa && dev != NULL, false);
    state = isa->state;
    if (irq < 0 && dev->model->isa && dev->model->isa->irq < ISA_IRQS) {
        irq = dev->model->isa->irq;
    }
    if (irq >= ISA_IRQS || dev->parent) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS, "cannot plug %s into the ISA bus: %s",
                    dev->name,
                    dev->parent ? "it is plugged in already" : "it has no interrupt above 15");
        return false;
    }
    if (!map_ports(state, dev, bases, count, error)) {
        return false;
    }
    slot = g_new0(struct slot, 1);
    *slot = (struct slot){.isa = isa, .card = dev, .irq = irq};
    g_ptr_array_add(state->slots, slot);
    devemu_device_adopt(isa, dev, &card_ops, slot, dev->name);
    return true;
}

/* where: the first port, "0x3f8". */
static bool isa_plug(DevemuDevice *bus, DevemuDevice *dev, const char *where, GError **error)
{
    uint16_t base = 0;

    if (where) {
        guint64 value;

        if (!g_ascii_string_to_unsigned(g_str_has_prefix(where, "0x") ? where + 2 : where, 16, 1,
                                        0xffff, &value, NULL)) {
            g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                        "cannot plug %s into the ISA bus at '%s': write its first port, like 0x3f8",
                        dev->name, where);
            return false;
        }
        base = (uint16_t)value;
    }
    return devemu_isa_plug(bus, dev, &base, 1, -1, error);
}

static void isa_unplug(DevemuDevice *bus, DevemuDevice *dev)
{
    struct isa *isa = bus->state;

    devemu_space_remove(&isa->spaces[DEVEMU_ISA_PIO], dev);
    devemu_space_remove(&isa->spaces[DEVEMU_ISA_MEMORY], dev);
    devemu_device_orphan(dev);
    for (unsigned i = 0; i < isa->slots->len; i++) {
        if (((struct slot *)g_ptr_array_index(isa->slots, i))->card == dev) {
            g_ptr_array_remove_index(isa->slots, i);
            break;
        }
    }
}

/* --- the device -------------------------------------------------------------------- */

static uint64_t isa_lines(const void *state)
{
    const struct isa *isa = state;
    uint64_t lines = 0;

    for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
        lines |= (uint64_t)(isa->levels[irq] > 0) << irq;
    }
    return lines;
}

static bool isa_configure(void *state, const char **ret_property, const char **ret_message)
{
    struct isa *isa = state;

    (void)ret_property;
    (void)ret_message;
    devemu_space_init(&isa->spaces[DEVEMU_ISA_PIO], 0xffff);
    devemu_space_init(&isa->spaces[DEVEMU_ISA_MEMORY], 0xffffff);
    isa->slots = g_ptr_array_new_with_free_func(g_free);
    return true;
}

static void isa_finish(void *state)
{
    struct isa *isa = state;

    if (isa->slots) {
        devemu_space_finish(&isa->spaces[DEVEMU_ISA_PIO]);
        devemu_space_finish(&isa->spaces[DEVEMU_ISA_MEMORY]);
        g_ptr_array_unref(isa->slots);
    }
}

static void isa_reset(void *state, DevemuReset kind)
{
    struct isa *isa = state;
    DevemuDevice *card;

    for (unsigned i = 0; (card = devemu_device_child(isa->dev, i)) != NULL; i++) {
        devemu_device_reset(card, kind);
    }
}

static const DevemuBank isa_banks[] = {
    [DEVEMU_ISA_PIO] = {.name = "io",
                        .kind = DEVEMU_BANK_PIO,
                        .size = 0x10000,
                        .read = isa_pio_read,
                        .write = isa_pio_write},
    [DEVEMU_ISA_MEMORY] = {.name = "memory",
                           .kind = DEVEMU_BANK_MMIO,
                           .size = 0x1000000,
                           .read = isa_memory_read,
                           .write = isa_memory_write},
};

static const DevemuField isa_fields[] = {
    DEVEMU_SKIP(struct isa, spaces),
    DEVEMU_SKIP(struct isa, slots),
    DEVEMU_SKIP(struct isa, levels), /* a function of the cards' lines */
    {0},
};

static const char *const isa_outputs[] = {
    "IRQ0", "IRQ1",  "IRQ2",  "IRQ3",  "IRQ4",  "IRQ5",  "IRQ6",  "IRQ7", "IRQ8",
    "IRQ9", "IRQ10", "IRQ11", "IRQ12", "IRQ13", "IRQ14", "IRQ15", NULL,
};

const DevemuModel devemu_model_isa = {
    .name = "isa",
    .title = "ISA bus",
    .datasheet = "IEEE P996",
    .not_modelled = "wait states; refresh; bus mastering by a card; ten bit decode",
    .state_size = sizeof(struct isa),
    .banks = isa_banks,
    .bank_count = DEVEMU_N_ELEMENTS(isa_banks),
    .fields = isa_fields,
    .outputs = isa_outputs,
    .lines = isa_lines,
    .configure = isa_configure,
    .reset = isa_reset,
    .finish = isa_finish,
    .plug = isa_plug,
    .unplug = isa_unplug,
    .is_bus = true,
};
