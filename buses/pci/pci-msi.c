/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-msi.c: the MSI and MSI-X capabilities (PCI 3.0 6.8). A model sends a vector's number; here it
 * becomes an address and data, or a pending bit.
 */
#include "pci.h"

enum {
    MSI_MME = 7 << 4,
    MSI_64 = 1 << 7,
    MSI_MASKS = 1 << 8,
};

static unsigned log2_ceil(unsigned n)
{
    unsigned bits = 0;

    while (1u << bits < n) {
        bits++;
    }
    return bits;
}

/* Vectors that software granted. */
static unsigned msi_granted(const struct pci_function *s)
{
    unsigned wanted = log2_ceil(s->pci->msi_vectors);

    if (s->messages == DEVEMU_PCI_MESSAGES_MSI) {
        unsigned granted = log2_ceil(s->host_vectors + 1u);

        return 1u << MIN(granted ? granted - 1 : 0, wanted);
    }
    /* PCI 3.0 6.8.1.3: 6 and 7 are reserved, more than wanted is not allowed; taken as the most. */
    return 1u << MIN((unsigned)(s->msi_control & MSI_MME) >> 4, wanted);
}

static void msi_signal(struct pci_function *s, unsigned vector)
{
    uint32_t data = s->msi_data;

    if (s->messages == DEVEMU_PCI_MESSAGES_MSI) {
        pci_function_signal(s, vector, 0);
        return;
    }
    /* PCI 3.0 6.8.1.6: the function changes the low bits only. */
    data = (data & ~(msi_granted(s) - 1)) | vector;
    pci_function_signal(s, (uint64_t)s->msi_address_upper << 32 | s->msi_address, data);
}

bool pci_msi_enabled(const struct pci_function *s)
{
    return s->messages == DEVEMU_PCI_MESSAGES_OWN ? s->msi_control & MSI_ENABLE
                                                  : s->messages == DEVEMU_PCI_MESSAGES_MSI;
}

bool pci_msix_enabled(const struct pci_function *s)
{
    return s->msix &&
           (s->messages == DEVEMU_PCI_MESSAGES_OWN ? s->msix_control & MSIX_ENABLE
                                                   : s->messages == DEVEMU_PCI_MESSAGES_MSIX);
}

/* Masks may have gone, or MSI itself. */
static void msi_flush(struct pci_function *s)
{
    if (!pci_msi_enabled(s)) {
        s->msi_pending = 0;
        return;
    }
    for (unsigned v = 0; v < msi_granted(s); v++) {
        if ((s->msi_pending & ~s->msi_mask) >> v & 1) {
            s->msi_pending &= ~(UINT32_C(1) << v);
            msi_signal(s, v);
        }
    }
}

void pci_msi_send(struct pci_function *s, unsigned vector)
{
    if (pci_msix_enabled(s)) {
        pci_msix_send(s->msix, vector);
    } else if (pci_msi_enabled(s)) {
        /* With fewer vectors than it wants, a function shares them; we choose the low bits. */
        vector &= msi_granted(s) - 1;
        if (s->msi_mask >> vector & 1) {
            s->msi_pending |= UINT32_C(1) << vector;
        } else {
            msi_signal(s, vector);
        }
    }
}

void devemu_pci_function_messages(DevemuDevice *function, DevemuPciMessages how, unsigned vectors)
{
    struct pci_function *s;

    g_return_if_fail(function != NULL && function->model == &pci_function_model);
    s = function->state;
    s->messages = (uint8_t)how;
    s->host_vectors = (uint16_t)MIN(vectors, PCI_MSI_VECTORS);
    msi_flush(s);
    if (s->msix) {
        pci_msix_flush(s->msix);
    }
    devemu_device_settle(function);
}

/* --- MSI --------------------------------------------------------------------------- */

static uint64_t msi_next(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->next_msi;
}

static uint64_t msi_control_read(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->msi_control | log2_ceil(s->pci->msi_vectors) << 1 | MSI_64 | MSI_MASKS;
}

static void msi_control_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;

    (void)index;
    (void)value;
    (void)old;
    msi_flush(s);
}

/* PCI 3.0 6.8.1.7: mask bits of vectors that are not implemented are reserved. */
static void msi_mask_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;
    unsigned vectors = 1u << log2_ceil(s->pci->msi_vectors);

    (void)index;
    (void)old;
    s->msi_mask = (uint32_t)(value & ((UINT64_C(1) << vectors) - 1));
    msi_flush(s);
}

static const DevemuBits msi_control_bits[] = {
    {"ENABLE", MSI_ENABLE},         {"MMC", 7 << 1}, {"MME", MSI_MME}, {"64", MSI_64},
    {"PER_VECTOR_MASK", MSI_MASKS}, {NULL, 0}};

#define F(member) DEVEMU_IN(struct pci_function, member)

const DevemuReg pci_msi_regs[] = {
    {"CAP_ID", "Message signalled interrupts", "PCI 3.0 6.8.1.1", .at = 0, .reset = 0x05,
     .ro = 0xff},
    {"NEXT", "Next capability", "PCI 3.0 6.8.1.2", .at = 1, .ro = 0xff, .read = msi_next},
    {"CONTROL", "Message control", "PCI 3.0 6.8.1.3", msi_control_bits, .at = 2, .size = 2,
     F(msi_control), .ro = 0xff8e, .read = msi_control_read, .wrote = msi_control_wrote},
    {"ADDRESS", "Message address", "PCI 3.0 6.8.1.4", .at = 4, .size = 4, F(msi_address), .ro = 3},
    {"ADDRESS_UPPER", "Its upper half", "PCI 3.0 6.8.1.5", .at = 8, .size = 4,
     F(msi_address_upper)},
    {"DATA", "Message data", "PCI 3.0 6.8.1.6", .at = 12, .size = 2, F(msi_data)},
    {"MASK", "One bit a vector", "PCI 3.0 6.8.1.7", .at = 16, .size = 4, F(msi_mask),
     .wrote = msi_mask_wrote},
    {"PENDING", "One bit a vector", "PCI 3.0 6.8.1.8", .at = 20, .size = 4, F(msi_pending),
     .ro = 0xffffffff},
};

/* --- MSI-X: the capability; the table is in pci-msix.c ----------------------------- */

static uint64_t msix_next(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->next_msix;
}

static uint64_t msix_control_read(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->msix_control | ((s->pci->msix_vectors - 1) & 0x7ff);
}

static void msix_control_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;

    (void)index;
    (void)value;
    (void)old;
    if (s->msix) {
        pci_msix_flush(s->msix);
    }
}

static uint64_t msix_table(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->msix_bar;
}

static uint64_t msix_pba(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return pci_msix_bar_size(s->pci->msix_vectors) / 2 | s->pci->msix_bar;
}

static const DevemuBits msix_control_bits[] = {
    {"SIZE", 0x7ff}, {"FUNCTION_MASK", MSIX_FUNCTION_MASK}, {"ENABLE", MSIX_ENABLE}, {NULL, 0}};

const DevemuReg pci_msix_regs[] = {
    {"CAP_ID", "MSI-X", "PCI 3.0 6.8.2.1", .at = 0, .reset = 0x11, .ro = 0xff},
    {"NEXT", "Next capability", "PCI 3.0 6.8.2.2", .at = 1, .ro = 0xff, .read = msix_next},
    {"CONTROL", "Message control", "PCI 3.0 6.8.2.3", msix_control_bits, .at = 2, .size = 2,
     F(msix_control), .ro = 0x3fff, .read = msix_control_read, .wrote = msix_control_wrote},
    {"TABLE", "Place of the table", "PCI 3.0 6.8.2.4", .at = 4, .size = 4, .ro = 0xffffffff,
     .read = msix_table},
    {"PBA", "Place of the pending bits", "PCI 3.0 6.8.2.5", .at = 8, .size = 4, .ro = 0xffffffff,
     .read = msix_pba},
};
