/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-msix.c: the MSI-X table and pending bit array behind a BAR (PCI 3.0 6.8.2). A small device
 * below its function, so that only functions with MSI-X carry a table.
 *
 * The table begins at byte 0 of the BAR, the pending bits in its middle; the rest reads as zero.
 * Accesses other than whole dwords and qwords are undefined (6.8.2); we answer any.
 */
#include "pci.h"

enum {
    BANK_BAR,
    BANK_TABLE,
    BANK_PBA,

    ENTRY_BYTES = 16,
    VECTOR_MASKED = 1 << 0,
};

uint64_t pci_msix_bar_size(unsigned vectors)
{
    uint64_t half = 2048;

    while (half < (uint64_t)vectors * ENTRY_BYTES) {
        half *= 2;
    }
    return half * 2;
}

static bool pending(const struct pci_msix *s, unsigned vector)
{
    return s->pending[vector / 64] >> (vector % 64) & 1;
}

static bool untouched(const struct pci_msix *s, unsigned vector)
{
    return s->address[vector] == 0 && s->address_upper[vector] == 0 && s->data[vector] == 0 &&
           s->control[vector] == VECTOR_MASKED;
}

/* A host that has MSI-X itself may keep the table to itself, too: then nothing is written to it. */
static bool masked(const struct pci_msix *s, unsigned vector)
{
    if (s->function->messages != DEVEMU_PCI_MESSAGES_OWN && untouched(s, vector)) {
        return false;
    }
    return (s->function->msix_control & MSIX_FUNCTION_MASK) || (s->control[vector] & VECTOR_MASKED);
}

static void fire(struct pci_msix *s, unsigned vector)
{
    if (s->function->messages != DEVEMU_PCI_MESSAGES_OWN) {
        pci_function_signal(s->function, vector, 0);
        return;
    }
    pci_function_signal(s->function, (uint64_t)s->address_upper[vector] << 32 | s->address[vector],
                        s->data[vector]);
}

void pci_msix_send(DevemuDevice *msix, unsigned vector)
{
    struct pci_msix *s = msix->state;

    if (vector >= s->vectors) {
        return;
    }
    if (masked(s, vector)) {
        s->pending[vector / 64] |= UINT64_C(1) << (vector % 64);
    } else {
        fire(s, vector);
    }
}

/* PCI 3.0 6.8.3.5: what became pending while masked is sent when the mask goes. */
static void flush(struct pci_msix *s, unsigned vector)
{
    if (pending(s, vector) && !masked(s, vector) && pci_msix_enabled(s->function)) {
        s->pending[vector / 64] &= ~(UINT64_C(1) << (vector % 64));
        fire(s, vector);
    }
}

void pci_msix_flush(DevemuDevice *msix)
{
    struct pci_msix *s = msix->state;

    if (!pci_msix_enabled(s->function)) {
        memset(s->pending, 0, sizeof(s->pending));
        return;
    }
    for (unsigned v = 0; v < s->vectors; v++) {
        flush(s, v);
    }
}

static void control_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_msix *s = state;

    (void)value;
    (void)old;
    flush(s, index);
}

/* --- the BAR ----------------------------------------------------------------------- */

/* Which bank a byte range lies in: -1 none, -2 half in and half out. */
static int place(const struct pci_msix *s, uint64_t at, unsigned size, uint64_t *ret_at)
{
    uint64_t table = (uint64_t)s->vectors * ENTRY_BYTES;
    uint64_t pba_end = s->pba_at + (s->vectors + 63) / 64 * 8;

    if (at < table) {
        *ret_at = at;
        return at + size <= table ? BANK_TABLE : -2;
    }
    if (at >= s->pba_at && at < pba_end) {
        *ret_at = at - s->pba_at;
        return at + size <= pba_end ? BANK_PBA : -2;
    }
    return at < s->pba_at && at + size > s->pba_at ? -2 : -1;
}

static DevemuAccess bar_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct pci_msix *s = state;
    uint64_t inner = 0;
    int bank = place(s, at, size, &inner);

    if (bank < 0) {
        *ret_value = 0;
        return bank == -1 ? DEVEMU_ACCESS_OK : DEVEMU_ACCESS_SIZE;
    }
    return devemu_device_read(s->dev, (unsigned)bank, inner, size, ret_value);
}

static DevemuAccess bar_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct pci_msix *s = state;
    uint64_t inner = 0;
    int bank = place(s, at, size, &inner);

    if (bank < 0) {
        return bank == -1 ? DEVEMU_ACCESS_OK : DEVEMU_ACCESS_SIZE;
    }
    return devemu_device_write(s->dev, (unsigned)bank, inner, size, value);
}

/* --- tables ------------------------------------------------------------------------ */

#define A(member) DEVEMU_IN_ARRAY(struct pci_msix, member)

static const DevemuBits control_bits[] = {{"MASKED", VECTOR_MASKED}, {NULL, 0}};

static const DevemuReg table_regs[] = {
    {"ADDRESS", "Message address", "PCI 3.0 6.8.2.7", .at = 0, .size = 4, .count = PCI_MSIX_VECTORS,
     .stride = ENTRY_BYTES, A(address), .ro = 3},
    {"ADDRESS_UPPER", "Its upper half", "PCI 3.0 6.8.2.8", .at = 4, .size = 4,
     .count = PCI_MSIX_VECTORS, .stride = ENTRY_BYTES, A(address_upper)},
    {"DATA", "Message data", "PCI 3.0 6.8.2.6", .at = 8, .size = 4, .count = PCI_MSIX_VECTORS,
     .stride = ENTRY_BYTES, A(data)},
    {"CONTROL", "Vector control", "PCI 3.0 6.8.2.9", control_bits, .at = 12, .size = 4,
     .count = PCI_MSIX_VECTORS, .stride = ENTRY_BYTES, A(control), .reset = VECTOR_MASKED,
     .ro = 0xfffffffe, .wrote = control_wrote},
};

static const DevemuReg pba_regs[] = {
    {"PENDING", "Pending bits", "PCI 3.0 6.8.2.10", .at = 0, .size = 8,
     .count = PCI_MSIX_VECTORS / 64, A(pending), .ro = UINT64_MAX},
};

static const DevemuBank banks[] = {
    [BANK_BAR] = {.name = "bar", .kind = DEVEMU_BANK_MMIO, .read = bar_read, .write = bar_write},
    [BANK_TABLE] = {.name = "table",
                    .kind = DEVEMU_BANK_MMIO,
                    .size = PCI_MSIX_VECTORS * ENTRY_BYTES,
                    .regs = table_regs,
                    .reg_count = DEVEMU_N_ELEMENTS(table_regs),
                    .lanes = true},
    [BANK_PBA] = {.name = "pba",
                  .kind = DEVEMU_BANK_MMIO,
                  .size = PCI_MSIX_VECTORS / 8,
                  .regs = pba_regs,
                  .reg_count = DEVEMU_N_ELEMENTS(pba_regs),
                  .lanes = true},
};

static const DevemuField fields[] = {
    DEVEMU_SKIP(struct pci_msix, function),
    DEVEMU_SKIP(struct pci_msix, vectors),
    DEVEMU_SKIP(struct pci_msix, pba_at),
    {NULL},
};

const DevemuModel pci_msix_model = {
    .name = "pci-msix",
    .title = "MSI-X table of a PCI function",
    .datasheet = "PCI Local Bus Specification 3.0",
    .not_modelled = "nothing known",
    .state_size = sizeof(struct pci_msix),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .is_bus = true,
};

DevemuDevice *pci_msix_new(struct pci_function *s, GError **error)
{
    DevemuDevice *msix = devemu_device_new(&pci_msix_model, NULL, error);

    if (msix) {
        struct pci_msix *m = msix->state;

        m->function = s;
        m->vectors = s->pci->msix_vectors;
        m->pba_at = (uint32_t)(pci_msix_bar_size(m->vectors) / 2);
    }
    return msix;
}
