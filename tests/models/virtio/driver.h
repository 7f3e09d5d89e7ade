/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.h: a small virtio driver for tests, straight on a device's common registers in a fake
 * host: split virtqueues in the fake's memory, buffers of a few segments, and what a driver sees.
 */
#ifndef TESTS_MODELS_VIRTIO_DRIVER_H
#define TESTS_MODELS_VIRTIO_DRIVER_H

#include <devemu/testing.h>
#include <devemu/virtio.h>

#include <criterion/criterion.h>

enum {
    VD_QUEUES = 8,
    VD_SIZE = 64,           /* Queue Size of each queue */
    VD_RING_BYTES = 0x2000, /* descriptors, available ring, used ring */
    VD_RINGS = 0x10000,
    VD_DATA = 0x40000, /* where buffers of a test may begin */
    VD_RAM = 1 << 20,

    VD_NEXT = 1,
    VD_WRITE = 2,
    VD_INDIRECT = 4,
};

#define VD_BIT(n) (UINT64_C(1) << (n))

/* A piece of a buffer. */
typedef struct VdPiece {
    uint64_t addr;
    uint32_t len;
    bool write; /* by the device */
} VdPiece;

typedef struct VdQueue {
    uint16_t free; /* next descriptor to use; buffers of a test are few */
    uint16_t avail, used;
} VdQueue;

typedef struct VdDriver {
    DevemuFake *fake;
    uint64_t features;
    VdQueue queues[VD_QUEUES];
} VdDriver;

static inline void vd_write(VdDriver *d, uint64_t at, unsigned size, uint64_t value)
{
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_COMMON, at, size, value);
}

static inline uint64_t vd_read(VdDriver *d, uint64_t at, unsigned size)
{
    return devemu_fake_read(d->fake, DEVEMU_VIRTIO_COMMON, at, size);
}

static inline uint8_t vd_status(VdDriver *d)
{
    return (uint8_t)vd_read(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1);
}

static inline uint64_t vd_offered(VdDriver *d)
{
    uint64_t features;

    vd_write(d, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4, 0);
    features = vd_read(d, DEVEMU_VIRTIO_DEVICE_FEATURE, 4);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4, 1);
    return features | vd_read(d, DEVEMU_VIRTIO_DEVICE_FEATURE, 4) << 32;
}

/* 3.1.1 steps 1 to 6; true if the device took the features. */
static inline bool vd_negotiate(VdDriver *d, uint64_t features)
{
    const uint8_t begun = DEVEMU_VIRTIO_ACKNOWLEDGE | DEVEMU_VIRTIO_DRIVER;

    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    memset(d->queues, 0, sizeof(d->queues));
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, DEVEMU_VIRTIO_ACKNOWLEDGE);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, begun);
    for (unsigned half = 0; half < 2; half++) {
        vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, half);
        vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, features >> (half * 32) & UINT32_MAX);
    }
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, begun | DEVEMU_VIRTIO_FEATURES_OK);
    d->features = features;
    return vd_status(d) & DEVEMU_VIRTIO_FEATURES_OK;
}

static inline uint64_t vd_ring(unsigned queue)
{
    return VD_RINGS + (uint64_t)queue * VD_RING_BYTES;
}

static inline uint8_t *vd_at(VdDriver *d, uint64_t addr)
{
    return devemu_fake_ram(d->fake) + addr;
}

/* Set queue up, with VD_SIZE entries, and enable it. */
static inline void vd_queue(VdDriver *d, unsigned queue)
{
    uint64_t ring = vd_ring(queue);

    memset(vd_at(d, ring), 0, VD_RING_BYTES);
    d->queues[queue] = (VdQueue){0};
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, queue);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SIZE, 2, VD_SIZE);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_DESC, 8, ring);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_DRIVER, 8, ring + 0x800);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_DEVICE, 8, ring + 0x1000);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
}

/* Everything up to DRIVER_OK, with all queues up to VD_QUEUES. */
static inline void vd_start(VdDriver *d, uint64_t features)
{
    unsigned queues;

    cr_assert(vd_negotiate(d, features | VD_BIT(VIRTIO_F_VERSION_1)), "features are refused");
    queues = (unsigned)vd_read(d, DEVEMU_VIRTIO_NUM_QUEUES, 2);
    for (unsigned i = 0; i < queues && i < VD_QUEUES; i++) {
        vd_queue(d, i);
    }
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1,
             DEVEMU_VIRTIO_ACKNOWLEDGE | DEVEMU_VIRTIO_DRIVER | DEVEMU_VIRTIO_FEATURES_OK |
                 DEVEMU_VIRTIO_DRIVER_OK);
    cr_assert(vd_status(d) & DEVEMU_VIRTIO_DRIVER_OK);
    devemu_fake_advance(d->fake, 1);
}

/* A device alone in a fake host; options as for devemu_device_new(). */
static inline VdDriver vd_new(const DevemuModel *model, const char *options)
{
    return (VdDriver){.fake = devemu_fake_new(model, options, VD_RAM)};
}

/* The same on a host that can answer that DMA is to be put off: a log of that cannot be replayed,
 * since recorders do not ask. */
static inline VdDriver vd_new_deferring(const DevemuModel *model, const char *options)
{
    return (VdDriver){.fake = devemu_fake_new_mode(model, options, VD_RAM, DEVEMU_FAKE_PLAIN)};
}

static inline void vd_free(VdDriver *d)
{
    devemu_fake_free(d->fake);
}

/* Make a buffer available, without a notification. Returns its id. */
static inline uint16_t vd_add(VdDriver *d, unsigned queue, const VdPiece *pieces, unsigned count)
{
    VdQueue *q = &d->queues[queue];
    uint64_t ring = vd_ring(queue);
    uint16_t head = q->free % VD_SIZE;

    for (unsigned i = 0; i < count; i++) {
        uint16_t at = (uint16_t)((head + i) % VD_SIZE), next = (uint16_t)((at + 1) % VD_SIZE);
        uint8_t *desc = vd_at(d, ring + at * 16u);

        devemu_put_le64(desc, pieces[i].addr);
        devemu_put_le32(desc + 8, pieces[i].len);
        devemu_put_le16(desc + 12, (uint16_t)((pieces[i].write ? VD_WRITE : 0) |
                                              (i + 1 < count ? VD_NEXT : 0)));
        devemu_put_le16(desc + 14, next);
    }
    q->free = (uint16_t)(q->free + count);
    devemu_put_le16(vd_at(d, ring + 0x800 + 4 + (q->avail % VD_SIZE) * 2u), head);
    q->avail++;
    devemu_put_le16(vd_at(d, ring + 0x800 + 2), q->avail);
    return head;
}

/* A buffer that is in the queue once more, as no good driver does. */
static inline void vd_add_again(VdDriver *d, unsigned queue, uint16_t head)
{
    VdQueue *q = &d->queues[queue];
    uint64_t avail = vd_ring(queue) + 0x800;

    devemu_put_le16(vd_at(d, avail + 4 + (q->avail % VD_SIZE) * 2u), head);
    q->avail++;
    devemu_put_le16(vd_at(d, avail + 2), q->avail);
}

static inline void vd_kick(VdDriver *d, unsigned queue)
{
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_NOTIFY, queue * 4, 2, queue);
    devemu_fake_advance(d->fake, 1);
}

/* Time for a backend to end what it has. */
static inline void vd_wait(VdDriver *d)
{
    devemu_fake_advance(d->fake, 1000);
}

/* The next used buffer; false if there is none. */
static inline bool vd_used(VdDriver *d, unsigned queue, uint32_t *ret_id, uint32_t *ret_len)
{
    VdQueue *q = &d->queues[queue];
    uint64_t ring = vd_ring(queue) + 0x1000;
    const uint8_t *elem = vd_at(d, ring + 4 + (q->used % VD_SIZE) * 8u);

    if (devemu_le16(vd_at(d, ring + 2)) == q->used) {
        return false;
    }
    *ret_id = devemu_le32(elem);
    *ret_len = devemu_le32(elem + 4);
    q->used++;
    return true;
}

/* One buffer there and back; returns the bytes written to it. */
static inline uint32_t vd_call(VdDriver *d, unsigned queue, const VdPiece *pieces, unsigned count)
{
    uint16_t id = vd_add(d, queue, pieces, count);
    uint32_t used = UINT32_MAX, len = 0;

    vd_kick(d, queue);
    cr_assert(vd_used(d, queue, &used, &len), "queue %u: the buffer does not come back", queue);
    cr_assert_eq(used, id);
    return len;
}

/* Notifications so far, and what the last one was for: a queue, or
 * DEVEMU_VIRTIO_CONFIG_CHANGE. */
static inline unsigned vd_notifications(VdDriver *d, uint64_t *ret_vector)
{
    uint32_t data;

    return devemu_fake_msis(d->fake, ret_vector, &data);
}

#endif
