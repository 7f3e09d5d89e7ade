/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-decode.c: one address space of a bus as an ordered list of pieces that do not overlap. Built
 * when a base address register or a command register changes, searched by accesses.
 */
#include "pci.h"

static void forget(struct pci_space *space)
{
    memset(&space->hit, 0, sizeof(space->hit));
}

void pci_space_clear(struct pci_space *space)
{
    space->count = 0;
    forget(space);
}

void pci_space_free(struct pci_space *space)
{
    g_clear_pointer(&space->segments, g_free);
    space->capacity = 0;
    pci_space_clear(space);
}

/* The first segment that ends at or behind at. */
static unsigned lower_bound(const struct pci_space *space, uint64_t at)
{
    unsigned from = 0, to = space->count;

    while (from < to) {
        unsigned middle = (from + to) / 2;
        const struct pci_segment *seg = &space->segments[middle];

        if (seg->base + seg->span < at) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static void insert(struct pci_space *space, unsigned i, uint64_t base, uint64_t last,
                   const struct pci_range *range)
{
    if (space->count == space->capacity) {
        space->capacity = space->capacity ? space->capacity * 2 : 16;
        space->segments = g_renew(struct pci_segment, space->segments, space->capacity);
    }
    memmove(&space->segments[i + 1], &space->segments[i],
            (space->count - i) * sizeof(space->segments[0]));
    space->count++;
    space->segments[i] = (struct pci_segment){
        .base = base,
        .span = last - base,
        .leaf = range->leaf,
        .at = range->at + (base - range->base),
        .bank = range->bank,
    };
}

void pci_space_add(struct pci_space *space, const struct pci_range *range)
{
    uint64_t from = range->base;
    unsigned i = lower_bound(space, from);

    forget(space);
    for (;; i++) {
        const struct pci_segment *seg = i < space->count ? &space->segments[i] : NULL;
        uint64_t until = range->last;

        if (seg && seg->base <= from) {
            uint64_t last = seg->base + seg->span;

            if (last >= range->last) {
                return;
            }
            from = last + 1;
            continue;
        }
        if (seg && seg->base <= range->last) {
            until = seg->base - 1;
        }
        insert(space, i, from, until, range);
        if (until == range->last) {
            return;
        }
        from = until + 1;
    }
}

const struct pci_segment *pci_space_search(struct pci_space *space, uint64_t at)
{
    unsigned i = lower_bound(space, at);

    if (i == space->count || space->segments[i].base > at) {
        return NULL;
    }
    space->hit = space->segments[i];
    return &space->hit;
}
