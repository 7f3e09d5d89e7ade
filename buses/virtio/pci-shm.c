/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-shm.c: the BAR that holds the shared memory regions of a virtio device (virtio 1.4, 2.10,
 * 4.1.4.7), one behind the other.
 */
#include "virtio-pci.h"

uint64_t virtio_pci_shm_at(const struct virtio_pci *s, unsigned number)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < number && virtio_pci_shms_of(s)[i].bank; i++) {
        at += (s->child->model->banks[virtio_pci_shms_of(s)[i].bank].size + 4095) & ~UINT64_C(4095);
    }
    return at;
}

/* Which region is at a byte of the BAR, as a bank below and the byte in it. */
static bool shm_find(const struct virtio_pci *s, uint64_t at, unsigned *ret_bank, uint64_t *ret_at)
{
    for (unsigned i = 0; i < DEVEMU_VIRTIO_SHMS && virtio_pci_shms_of(s)[i].bank; i++) {
        uint64_t off = at - virtio_pci_shm_at(s, i);

        if (off < s->child->model->banks[virtio_pci_shms_of(s)[i].bank].size) {
            *ret_bank = virtio_pci_shms_of(s)[i].bank;
            *ret_at = off;
            return true;
        }
    }
    return false;
}

DevemuAccess virtio_pci_shm_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    const struct virtio_pci *s = state;
    unsigned bank;
    uint64_t off;

    return shm_find(s, at, &bank, &off) ? devemu_device_read(s->child, bank, off, size, ret_value)
                                        : DEVEMU_ACCESS_NONE;
}

DevemuAccess virtio_pci_shm_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    const struct virtio_pci *s = state;
    unsigned bank;
    uint64_t off;

    return shm_find(s, at, &bank, &off) ? devemu_device_write(s->child, bank, off, size, value)
                                        : DEVEMU_ACCESS_NONE;
}
