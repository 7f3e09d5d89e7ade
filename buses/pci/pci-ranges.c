/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-ranges.c: what a function decodes, from its base address registers, its command register, its
 * windows if it is a bridge, and what its model says of places of its own.
 */
#include "pci.h"

struct list {
    struct pci_range *ranges;
    unsigned count;
};

static void add(struct list *list, struct pci_range range)
{
    /* 16 address lines of I/O space: what stands above is out of reach, what wraps is nowhere. */
    uint64_t limit = range.io ? 0xffff : UINT64_MAX;

    if (range.base > limit || range.last < range.base || list->count == PCI_RANGES) {
        return;
    }
    range.last = MIN(range.last, limit);
    list->ranges[list->count++] = range;
}

unsigned pci_bar_count(const struct pci_function *s)
{
    return pci_is_bridge(s) ? 2 : 6;
}

bool pci_bar_is_upper(const struct pci_function *s, unsigned bar)
{
    return bar > 0 && s->bar_size[bar - 1] != 0 && s->pci->bars[bar - 1].is_64;
}

uint32_t pci_bar_kind(const struct pci_function *s, unsigned bar)
{
    const DevemuPciBar *b = &s->pci->bars[bar];

    if (s->bar_size[bar] == 0) {
        return 0;
    }
    if (b->bank && s->child->model->banks[b->bank - 1].kind == DEVEMU_BANK_PIO) {
        return 1; /* PCI 3.0 6.2.5.1 figure 6-6 */
    }
    return (b->is_64 ? 4u : 0) | (b->prefetch ? 8u : 0);
}

uint32_t pci_bar_mask(const struct pci_function *s, unsigned bar)
{
    if (pci_bar_is_upper(s, bar)) {
        return (uint32_t)(~(s->bar_size[bar - 1] - 1) >> 32);
    }
    return s->bar_size[bar] ? (uint32_t) ~(s->bar_size[bar] - 1) : 0;
}

static bool space_enabled(const struct pci_function *s, bool io)
{
    return (s->command & (io ? COMMAND_IO : COMMAND_MEMORY)) != 0;
}

static void add_bars(const struct pci_function *s, struct list *list)
{
    for (unsigned i = 0; i < pci_bar_count(s); i++) {
        bool io = s->bar_size[i] && (pci_bar_kind(s, i) & 1);
        uint64_t base = s->bar[i] & pci_bar_mask(s, i);
        bool table = s->msix && i == s->pci->msix_bar;

        if (s->bar_size[i] == 0 || !space_enabled(s, io)) {
            continue;
        }
        if (s->pci->bars[i].is_64) {
            base |= (uint64_t)s->bar[i + 1] << 32;
        }
        /* 0 is "not placed yet" to firmware and operating systems; a decode there would hide RAM or
         * the ports of the board, so we choose none. */
        if (base == 0) {
            continue;
        }
        add(list, (struct pci_range){
                      .io = io,
                      .base = base,
                      .last = base + (s->bar_size[i] - 1),
                      .leaf = table ? s->msix : s->child,
                      .bank = table ? 0 : s->pci->bars[i].bank - 1,
                  });
    }
    if (s->rom_size && (s->rom_bar & 1) && space_enabled(s, false) && s->rom_bar > 1) {
        uint64_t base = s->rom_bar & ~UINT32_C(1);

        add(list, (struct pci_range){.base = base,
                                     .last = base + (s->rom_size - 1),
                                     .leaf = s->dev,
                                     .bank = PCI_BANK_ROM});
    }
}

static void add_model_ranges(const struct pci_function *s, struct list *list)
{
    DevemuPciRange own[PCI_MODEL_RANGES];
    unsigned count = 0;

    if (s->pci->ranges) {
        count = s->pci->ranges(s->child->state, own, PCI_MODEL_RANGES);
    }
    g_assert(count <= PCI_MODEL_RANGES);
    for (unsigned i = 0; i < count; i++) {
        if (own[i].len == 0 || own[i].bank >= s->child->model->bank_count ||
            (!own[i].always && !space_enabled(s, own[i].io))) {
            continue;
        }
        add(list, (struct pci_range){
                      .io = own[i].io,
                      .base = own[i].base,
                      .last = own[i].base + (own[i].len - 1),
                      .leaf = s->child,
                      .bank = own[i].bank,
                      .at = own[i].at,
                  });
    }
}

static void add_window(const struct pci_function *s, struct list *list, bool io, uint64_t base,
                       uint64_t last)
{
    if (!space_enabled(s, io)) {
        return;
    }
    add(list, (struct pci_range){
                  .io = io,
                  .base = base,
                  .last = last,
                  .leaf = s->secondary,
                  .bank = io ? DEVEMU_PCI_IO : DEVEMU_PCI_MEMORY,
                  .at = base,
              });
}

/* Bridges 1.2 3.2.5.6 to 3.2.5.10: a window whose base is above its limit is closed. */
static void add_windows(const struct pci_function *s, struct list *list)
{
    uint64_t base = (uint64_t)s->prefetch_base_upper << 32 | (s->prefetch_base & 0xfff0u) << 16;
    uint64_t last =
        (uint64_t)s->prefetch_limit_upper << 32 | (s->prefetch_limit & 0xfff0u) << 16 | 0xfffff;

    add_window(s, list, true, (s->io_base & 0xf0u) << 8, (s->io_limit & 0xf0u) << 8 | 0xfff);
    add_window(s, list, false, (uint64_t)(s->memory_base & 0xfff0u) << 16,
               (uint64_t)(s->memory_limit & 0xfff0u) << 16 | 0xfffff);
    add_window(s, list, false, base, last);
    /* Bridges 1.2 3.2.5.18: VGA memory and ports, whatever the windows say. */
    if (s->bridge_control & BRIDGE_VGA) {
        add_window(s, list, false, 0xa0000, 0xbffff);
        add_window(s, list, true, 0x3b0, 0x3bb);
        add_window(s, list, true, 0x3c0, 0x3df);
    }
}

unsigned pci_ranges(const struct pci_function *s, struct pci_range ret_ranges[PCI_RANGES])
{
    struct list list = {ret_ranges, 0};

    memset(ret_ranges, 0, PCI_RANGES * sizeof(ret_ranges[0]));
    if (s->child == NULL) {
        return 0;
    }
    if (pci_awake(s)) {
        add_bars(s, &list);
    }
    add_model_ranges(s, &list);
    if (s->secondary && pci_awake(s)) {
        add_windows(s, &list);
    }
    return list.count;
}
