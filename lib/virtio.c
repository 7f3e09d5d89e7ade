/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.c: the virtqueues of a virtio device: they live as long as it does, and what they ask of
 * their owner is asked of its host.
 */
#include "virtio.h"

#include "../buses/virtio/queue.h"

typedef struct Slot {
    DevemuDevice *dev;
    unsigned number;
} Slot;

struct DevemuVirtioQueues {
    unsigned count;
    DevemuVirtqueue *queues[DEVEMU_VIRTIO_QUEUES];
    Slot slots[DEVEMU_VIRTIO_QUEUES];
};

static bool slot_read(void *host, uint64_t addr, void *buf, size_t len)
{
    return devemu_dma_read(((Slot *)host)->dev, addr, buf, len);
}

static bool slot_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    return devemu_dma_write(((Slot *)host)->dev, addr, buf, len);
}

/* A tracer is to see every byte. */
static bool slot_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    const DevemuDevice *dev = ((Slot *)host)->dev;

    return !dev->tracing && dev->ops.dma_map != NULL &&
           dev->ops.dma_map(dev->host, addr, ret_window);
}

static void slot_notify(void *host)
{
    const Slot *slot = host;

    devemu_send_msi(slot->dev, slot->number);
}

static const DevemuVirtqueueOps slot_ops = {
    .size = sizeof(slot_ops),
    .dma_read = slot_read,
    .dma_write = slot_write,
    .dma_map = slot_map,
    .notify = slot_notify,
};

void devemu_virtio_make(DevemuDevice *dev)
{
    const DevemuVirtio *virtio = dev->model->virtio;
    DevemuVirtioQueues *all;

    if (virtio == NULL) {
        return;
    }
    all = dev->virtio = g_new0(DevemuVirtioQueues, 1);
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        unsigned size = virtio->queue_size(dev->state, i);

        if (size == 0) {
            break;
        }
        all->queues[i] = devemu_virtqueue_new(size);
        g_assert(all->queues[i] != NULL);
        all->slots[i] = (Slot){.dev = dev, .number = i};
        devemu_virtqueue_set_host(all->queues[i], &slot_ops, &all->slots[i]);
        all->count = i + 1;
    }
}

void devemu_virtio_free(DevemuDevice *dev)
{
    for (unsigned i = 0; dev->virtio && i < dev->virtio->count; i++) {
        devemu_virtqueue_free(dev->virtio->queues[i]);
    }
    g_clear_pointer(&dev->virtio, g_free);
}

void devemu_virtio_revoke(DevemuDevice *dev)
{
    for (unsigned i = 0; dev->virtio && i < dev->virtio->count; i++) {
        devemu_virtqueue_revoke(dev->virtio->queues[i]);
    }
}

void devemu_virtio_set_polled(DevemuDevice *dev, bool polled)
{
    for (unsigned i = 0; dev->virtio && i < dev->virtio->count; i++) {
        devemu_virtqueue_set_polled(dev->virtio->queues[i], polled);
    }
}

DevemuVirtqueue *devemu_virtio_queue(const DevemuDevice *dev, unsigned queue)
{
    return dev->virtio && queue < dev->virtio->count ? dev->virtio->queues[queue] : NULL;
}

/* --- rehearsals -------------------------------------------------------------------- */

DevemuVirtqueue *devemu_virtio_keep(DevemuDevice *dev)
{
    DevemuVirtqueue *kept;

    if (dev->virtio == NULL || dev->virtio->count == 0) {
        return NULL;
    }
    kept = g_new(DevemuVirtqueue, dev->virtio->count);
    for (unsigned i = 0; i < dev->virtio->count; i++) {
        kept[i] = *dev->virtio->queues[i];
    }
    devemu_virtio_revoke(dev);
    return kept;
}

void devemu_virtio_put_back(DevemuDevice *dev, DevemuVirtqueue *kept)
{
    for (unsigned i = 0; kept && i < dev->virtio->count; i++) {
        *dev->virtio->queues[i] = kept[i];
    }
    g_free(kept);
}

/* --- transports -------------------------------------------------------------------- */

uint64_t devemu_virtio_read(DevemuDevice *dev, uint64_t at, unsigned size)
{
    uint64_t value = 0;

    devemu_device_read(dev, DEVEMU_VIRTIO_COMMON, at, size, &value);
    return value;
}

void devemu_virtio_write(DevemuDevice *dev, uint64_t at, unsigned size, uint64_t value)
{
    devemu_device_write(dev, DEVEMU_VIRTIO_COMMON, at, size, value);
}

uint64_t devemu_virtio_offered(DevemuDevice *dev)
{
    uint64_t high;

    devemu_virtio_write(dev, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4, 1);
    high = devemu_virtio_read(dev, DEVEMU_VIRTIO_DEVICE_FEATURE, 4);
    devemu_virtio_write(dev, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4, 0);
    return high << 32 | devemu_virtio_read(dev, DEVEMU_VIRTIO_DEVICE_FEATURE, 4);
}

void devemu_virtio_accept(DevemuDevice *dev, uint64_t features)
{
    for (unsigned half = 0; half < 2; half++) {
        devemu_virtio_write(dev, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, half);
        devemu_virtio_write(dev, DEVEMU_VIRTIO_DRIVER_FEATURE, 4,
                            features >> (half * 32) & UINT32_MAX);
    }
}

void devemu_virtio_place_legacy(DevemuDevice *dev, uint64_t base, uint64_t size, uint64_t align)
{
    uint64_t avail = base + 16 * size, end = avail + 6 + 2 * size;

    devemu_virtio_write(dev, DEVEMU_VIRTIO_QUEUE_DESC, 8, base);
    devemu_virtio_write(dev, DEVEMU_VIRTIO_QUEUE_DRIVER, 8, avail);
    devemu_virtio_write(dev, DEVEMU_VIRTIO_QUEUE_DEVICE, 8, (end + align - 1) & ~(align - 1));
    devemu_virtio_write(dev, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
}
