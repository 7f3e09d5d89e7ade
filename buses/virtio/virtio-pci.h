/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-pci.h: inside virtio's PCI transport.
 */
#ifndef DEVEMU_BUSES_VIRTIO_PCI_H
#define DEVEMU_BUSES_VIRTIO_PCI_H

#include "../../lib/virtio.h"
#include "../pci/pci.h"

enum {
    VIRTIO_PCI_NO_VECTOR = 0xffff,
    VIRTIO_PCI_LEGACY_BYTES = 128,

    /* Capabilities, 4.1.4: bytes of one, of the two with four more, and of one with 64-bit offset
     * and length; all of them without the last four, which are the access window's data. */
    VIRTIO_PCI_CAP_BYTES = 16,
    VIRTIO_PCI_LONG_CAP_BYTES = 20,
    VIRTIO_PCI_CAP64_BYTES = 24,
    VIRTIO_PCI_CAPS_BYTES = 3 * VIRTIO_PCI_CAP_BYTES + 2 * VIRTIO_PCI_LONG_CAP_BYTES - 4 +
                            DEVEMU_VIRTIO_SHMS * VIRTIO_PCI_CAP64_BYTES,
};

struct virtio_pci {
    DevemuDevice *dev;
    DevemuDevice *child;
    DevemuPci pci;
    uint8_t caps[VIRTIO_PCI_CAPS_BYTES];
    uint8_t window_bar;
    uint8_t isr;
    uint16_t config_vector;
    uint8_t window_offset[4], window_length[4];
    uint16_t queue_vector[DEVEMU_VIRTIO_QUEUES];
    uint32_t pfn[DEVEMU_VIRTIO_QUEUES];
    DevemuBlob rom;
    uint32_t vectors; /* property: UINT32_MAX: as many as are of use */
    bool legacy, modern;
    uint8_t unused[2];
};

/* Of both interfaces. */
bool virtio_pci_msix_on(const struct virtio_pci *s);
uint64_t virtio_pci_isr_take(struct virtio_pci *s);
uint16_t virtio_pci_vector_of(const struct virtio_pci *s, uint64_t value);
void virtio_pci_status_write(struct virtio_pci *s, uint64_t value);
uint64_t virtio_pci_queue_vector_read(struct virtio_pci *s);
void virtio_pci_queue_vector_write(struct virtio_pci *s, uint64_t value);
/* The bank of the legacy interface. */
DevemuAccess virtio_pci_legacy_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value);
DevemuAccess virtio_pci_legacy_write(void *state, uint64_t at, unsigned size, uint64_t value);

/* The regions; bank 0 ends them. */
static inline const DevemuVirtioShm *virtio_pci_shms_of(const struct virtio_pci *s)
{
    return s->child->model->virtio->shms;
}

/* Where a region begins in its BAR, to the page; of number DEVEMU_VIRTIO_SHMS: where they end. */
uint64_t virtio_pci_shm_at(const struct virtio_pci *s, unsigned number);
/* The bank of that BAR. */
DevemuAccess virtio_pci_shm_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value);
DevemuAccess virtio_pci_shm_write(void *state, uint64_t at, unsigned size, uint64_t value);

#endif
