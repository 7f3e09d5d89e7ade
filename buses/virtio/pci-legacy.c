/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-legacy.c: the legacy interface of virtio over PCI (virtio 1.4, 4.1.4.10): one window of I/O
 * ports.
 */
#include "virtio-pci.h"

enum {
    LEGACY_DEVICE_FEATURES = 0,
    LEGACY_DRIVER_FEATURES = 4,
    LEGACY_QUEUE_PFN = 8,
    LEGACY_QUEUE_SIZE = 12,
    LEGACY_QUEUE_SELECT = 14,
    LEGACY_QUEUE_NOTIFY = 16,
    LEGACY_STATUS = 18,
    LEGACY_ISR = 19,
    LEGACY_CONFIG_VECTOR = 20, /* with MSI-X on */
    LEGACY_QUEUE_VECTOR = 22,
    LEGACY_ALIGN = 4096,
    F_ANY_LAYOUT = 1 << 27, /* offered to legacy drivers: the queues do not care */
};

static uint64_t legacy_features(struct virtio_pci *s)
{
    devemu_virtio_write(s->child, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4, 0);
    return devemu_virtio_read(s->child, DEVEMU_VIRTIO_DEVICE_FEATURE, 4) | F_ANY_LAYOUT;
}

static uint64_t driver_features_read(struct virtio_pci *s)
{
    devemu_virtio_write(s->child, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 0);
    return devemu_virtio_read(s->child, DEVEMU_VIRTIO_DRIVER_FEATURE, 4);
}

static void driver_features_write(struct virtio_pci *s, uint64_t value)
{
    devemu_virtio_write(s->child, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 0);
    devemu_virtio_write(s->child, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, value);
}

/* 0 takes the queue away. */
static void pfn_write(struct virtio_pci *s, uint64_t value)
{
    uint64_t queue = devemu_virtio_read(s->child, DEVEMU_VIRTIO_QUEUE_SELECT, 2);
    uint64_t size = devemu_virtio_read(s->child, DEVEMU_VIRTIO_QUEUE_SIZE, 2);

    if (size == 0 || queue >= DEVEMU_VIRTIO_QUEUES) {
        return;
    }
    s->pfn[queue] = (uint32_t)value;
    devemu_virtio_write(s->child, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 0);
    if (value != 0) {
        devemu_virtio_place_legacy(s->child, value * LEGACY_ALIGN, size, LEGACY_ALIGN);
    }
}

static uint64_t pfn_read(const struct virtio_pci *s)
{
    uint64_t queue = devemu_virtio_read(s->child, DEVEMU_VIRTIO_QUEUE_SELECT, 2);

    return queue < DEVEMU_VIRTIO_QUEUES ? s->pfn[queue] : 0;
}

/* The vectors stand there while MSI-X is on, and push the configuration space back. */
static unsigned legacy_config_at(const struct virtio_pci *s)
{
    return virtio_pci_msix_on(s) ? LEGACY_CONFIG_VECTOR + 4 : LEGACY_CONFIG_VECTOR;
}

static bool legacy_register_read(struct virtio_pci *s, uint64_t place, uint64_t *ret_value)
{
    switch (place) {
    case LEGACY_DEVICE_FEATURES << 4 | 4:
        *ret_value = legacy_features(s);
        return true;
    case LEGACY_DRIVER_FEATURES << 4 | 4:
        *ret_value = driver_features_read(s);
        return true;
    case LEGACY_QUEUE_PFN << 4 | 4:
        *ret_value = pfn_read(s);
        return true;
    case LEGACY_QUEUE_SIZE << 4 | 2:
        *ret_value = devemu_virtio_read(s->child, DEVEMU_VIRTIO_QUEUE_SIZE, 2);
        return true;
    case LEGACY_QUEUE_SELECT << 4 | 2:
        *ret_value = devemu_virtio_read(s->child, DEVEMU_VIRTIO_QUEUE_SELECT, 2);
        return true;
    case LEGACY_QUEUE_NOTIFY << 4 | 2:
        *ret_value = 0;
        return true;
    case LEGACY_STATUS << 4 | 1:
        *ret_value = devemu_virtio_read(s->child, DEVEMU_VIRTIO_DEVICE_STATUS, 1);
        return true;
    case LEGACY_ISR << 4 | 1:
        *ret_value = virtio_pci_isr_take(s);
        return true;
    case LEGACY_CONFIG_VECTOR << 4 | 2:
        *ret_value = s->config_vector;
        return true;
    case LEGACY_QUEUE_VECTOR << 4 | 2:
        *ret_value = virtio_pci_queue_vector_read(s);
        return true;
    default:
        return false;
    }
}

static bool legacy_register_write(struct virtio_pci *s, uint64_t place, uint64_t value)
{
    switch (place) {
    case LEGACY_DRIVER_FEATURES << 4 | 4:
        driver_features_write(s, value);
        return true;
    case LEGACY_QUEUE_PFN << 4 | 4:
        pfn_write(s, value);
        return true;
    case LEGACY_QUEUE_SELECT << 4 | 2:
        devemu_virtio_write(s->child, DEVEMU_VIRTIO_QUEUE_SELECT, 2, value);
        return true;
    case LEGACY_QUEUE_NOTIFY << 4 | 2:
        if (value < DEVEMU_VIRTIO_QUEUES) {
            devemu_device_write(s->child, DEVEMU_VIRTIO_NOTIFY, value * 4, 2, value);
        }
        return true;
    case LEGACY_STATUS << 4 | 1:
        virtio_pci_status_write(s, value);
        return true;
    case LEGACY_CONFIG_VECTOR << 4 | 2:
        s->config_vector = virtio_pci_vector_of(s, value);
        return true;
    case LEGACY_QUEUE_VECTOR << 4 | 2:
        virtio_pci_queue_vector_write(s, value);
        return true;
    case LEGACY_DEVICE_FEATURES << 4 | 4: /* read-only */
    case LEGACY_QUEUE_SIZE << 4 | 2:
    case LEGACY_ISR << 4 | 1:
        return true;
    default:
        return false;
    }
}

DevemuAccess virtio_pci_legacy_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct virtio_pci *s = state;
    unsigned config = legacy_config_at(s);

    if (at >= config) {
        return devemu_device_read(s->child, DEVEMU_VIRTIO_CONFIG, at - config, size, ret_value);
    }
    return legacy_register_read(s, at << 4 | size, ret_value) ? DEVEMU_ACCESS_OK
                                                              : DEVEMU_ACCESS_SIZE;
}

DevemuAccess virtio_pci_legacy_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct virtio_pci *s = state;
    unsigned config = legacy_config_at(s);

    if (at >= config) {
        return devemu_device_write(s->child, DEVEMU_VIRTIO_CONFIG, at - config, size, value);
    }
    return legacy_register_write(s, at << 4 | size, value) ? DEVEMU_ACCESS_OK : DEVEMU_ACCESS_SIZE;
}
