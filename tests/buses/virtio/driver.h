/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.h: the other side of a virtqueue: a driver that keeps the rules, in memory of its own.
 * Tests break the rules by writing to that memory themselves.
 */
#ifndef TESTS_VIRTIO_DRIVER_H
#define TESTS_VIRTIO_DRIVER_H

#include <devemu/model.h>
#include <devemu/virtio.h>

#include <glib.h>

enum {
    RAM = 1 << 20,
    DESC_AT = 0x1000,
    DRIVER_AT = 0x9000,
    DEVICE_AT = 0xd000,
    TABLE_AT = 0x20000,
    DATA_AT = 0x40000,
    F_NEXT = 1,
    F_WRITE = 2,
    F_INDIRECT = 4,
    F_AVAIL = 0x80,
    F_USED = 0x8000,
};

typedef struct Driver {
    uint8_t *ram;
    DevemuVirtqueue *queue;
    DevemuVirtqueueSetup setup;
    bool packed, map, read_only; /* the windows */
    unsigned size;
    uint16_t next, used; /* split: free running; packed: places */
    bool next_wrap, used_wrap;
    uint16_t idx;                        /* split: of the available ring */
    uint16_t lens[DEVEMU_VIRTQUEUE_MAX]; /* packed: places of each id */
    unsigned notified;
    /* Called before each access by DMA: a driver that changes memory between reads. */
    void (*meddle)(struct Driver *driver, uint64_t addr, size_t len);
    void (*wrote)(struct Driver *driver, uint64_t addr, size_t len); /* after each write by DMA */
} Driver;

static inline bool driver_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Driver *d = host;

    if (d->meddle) {
        d->meddle(d, addr, len);
    }
    if (addr > RAM || len > RAM - addr) {
        return false;
    }
    memcpy(buf, d->ram + addr, len);
    return true;
}

static inline bool driver_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Driver *d = host;

    if (addr > RAM || len > RAM - addr) {
        return false;
    }
    memcpy(d->ram + addr, buf, len);
    if (d->wrote) {
        d->wrote(d, addr, len);
    }
    return true;
}

static inline bool driver_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    Driver *d = host;

    if (!d->map || addr >= RAM) {
        return false;
    }
    *ret_window = (DevemuWindow){0, RAM, d->ram, !d->read_only};
    return true;
}

static inline void driver_notified(void *host)
{
    ((Driver *)host)->notified++;
}

static inline Driver *driver_new(unsigned size, bool packed, bool map, uint64_t features)
{
    static const DevemuVirtqueueOps ops = {sizeof(ops), driver_read, driver_write, driver_map,
                                           driver_notified};
    Driver *d = g_new0(Driver, 1);

    d->ram = g_malloc0(RAM);
    d->packed = packed;
    d->map = map;
    d->size = size;
    d->next_wrap = d->used_wrap = true;
    d->queue = devemu_virtqueue_new(size);
    devemu_virtqueue_set_host(d->queue, &ops, d);
    d->setup = (DevemuVirtqueueSetup){
        .features =
            features | (uint64_t)1 << VIRTIO_F_VERSION_1 | (uint64_t)packed << VIRTIO_F_RING_PACKED,
        .size = size,
        .desc = DESC_AT,
        .driver = DRIVER_AT,
        .device = DEVICE_AT,
    };
    devemu_virtqueue_enable(d->queue, &d->setup);
    return d;
}

static inline void driver_free(Driver *d)
{
    devemu_virtqueue_free(d->queue);
    g_free(d->ram);
    g_free(d);
}

/* A descriptor wherever it stands; last is next (split) or id (packed). */
static inline void put_desc(Driver *d, uint64_t at, uint64_t addr, uint32_t len, uint16_t flags,
                            uint16_t last)
{
    devemu_put_le64(d->ram + at, addr);
    devemu_put_le32(d->ram + at + 8, len);
    devemu_put_le16(d->ram + at + (d->packed ? 14 : 12), flags);
    devemu_put_le16(d->ram + at + (d->packed ? 12 : 14), last);
}

/* The next place of the ring: packed flags follow the wrap counter. */
static inline void give_desc(Driver *d, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
    unsigned at = d->next % d->size;

    if (d->packed) {
        put_desc(d, DESC_AT + at * 16, addr, len, flags | (d->next_wrap ? F_AVAIL : F_USED), id);
        d->next = (uint16_t)(at + 1);
        if (d->next == d->size) {
            d->next = 0;
            d->next_wrap = !d->next_wrap;
        }
    } else {
        put_desc(d, DESC_AT + at * 16, addr, len, flags, (uint16_t)((at + 1) % d->size));
        d->next++;
    }
}

static inline void publish(Driver *d, unsigned head)
{
    if (!d->packed) {
        devemu_put_le16(d->ram + DRIVER_AT + 4 + 2 * (d->idx % d->size), (uint16_t)head);
        devemu_put_le16(d->ram + DRIVER_AT + 2, ++d->idx);
    }
}

/* A buffer of `readable` and then `writable` elements of len bytes each, the first at addr. Returns
 * its id. */
static inline unsigned give(Driver *d, uint64_t addr, unsigned readable, unsigned writable,
                            uint32_t len)
{
    unsigned head = d->next % d->size, count = readable + writable;

    for (unsigned i = 0; i < count; i++) {
        give_desc(d, addr + (uint64_t)i * len, len,
                  (uint16_t)((i + 1 < count ? F_NEXT : 0) | (i >= readable ? F_WRITE : 0)),
                  (uint16_t)head);
    }
    d->lens[head] = (uint16_t)count;
    publish(d, head);
    return head;
}

/* The next used buffer, if there is one. */
static inline bool take(Driver *d, uint32_t *ret_id, uint32_t *ret_len)
{
    const uint8_t *p = d->ram + DESC_AT + d->used % d->size * 16;
    uint16_t flags = devemu_le16(p + 14);

    if (!d->packed) {
        p = d->ram + DEVICE_AT + 4 + 8 * (d->used % d->size);
        if (devemu_le16(d->ram + DEVICE_AT + 2) == d->used) {
            return false;
        }
        *ret_id = devemu_le32(p);
        *ret_len = devemu_le32(p + 4);
        d->used++;
        return true;
    }
    if (!(flags & F_USED) != !d->used_wrap || !(flags & F_AVAIL) != !d->used_wrap) {
        return false;
    }
    *ret_id = devemu_le16(p + 12);
    *ret_len = devemu_le32(p + 8);
    d->used += d->lens[*ret_id % d->size];
    if (d->used >= d->size) {
        d->used -= d->size;
        d->used_wrap = !d->used_wrap;
    }
    return true;
}

/* Both layouts, with and without windows. */
#define EACH(d, size, features)                                                                    \
    for (unsigned mode = 0; mode < 4; mode++)                                                      \
        for (Driver *d = driver_new(size, mode & 1, mode & 2, features); d != NULL;                \
             driver_free(d), d = NULL)

#endif
