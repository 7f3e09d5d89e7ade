/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio.h: a host with memory, and a driver of the registers of virtio over MMIO, around the toy
 * device. Sections are those of virtio 1.4.
 */
#ifndef TESTS_BUSES_VIRTIO_MMIO_H
#define TESTS_BUSES_VIRTIO_MMIO_H

#include "toy.h"

#include <devemu/device.h>

#include <criterion/criterion.h>

enum {
    MAGIC = 0x00,
    VERSION = 0x04,
    DEVICE_ID = 0x08,
    VENDOR_ID = 0x0c,
    DEVICE_FEATURES = 0x10,
    DEVICE_FEATURES_SEL = 0x14,
    DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SEL = 0x24,
    GUEST_PAGE_SIZE = 0x28,
    QUEUE_SEL = 0x30,
    QUEUE_NUM_MAX = 0x34,
    QUEUE_NUM = 0x38,
    QUEUE_ALIGN = 0x3c,
    QUEUE_PFN = 0x40,
    QUEUE_READY = 0x44,
    QUEUE_NOTIFY = 0x50,
    INTERRUPT_STATUS = 0x60,
    INTERRUPT_ACK = 0x64,
    STATUS = 0x70,
    QUEUE_DESC = 0x80,
    QUEUE_DRIVER = 0x90,
    QUEUE_DEVICE = 0xa0,
    SHM_SEL = 0xac,
    SHM_LEN = 0xb0,
    SHM_BASE = 0xb8,
    QUEUE_RESET = 0xc0,
    CONFIG_GENERATION = 0xfc,
    CONFIG = 0x100,

    RAM = 1 << 20,
    RING = 0x4000, /* of queue n: + n * 0x4000 */
    DATA = 0x40000,
    FILL = 0x11223344,
};

#define FEATURE(n) (UINT64_C(1) << (n))

/* A host and a driver in one. */
typedef struct Mmio {
    DevemuDevice *child, *transport;
    uint8_t *ram;
    bool line;
    unsigned rises;
    unsigned errors; /* of the guest */
    uint64_t dmas;
    uint64_t deadline;
    uint64_t driver[TOY_QUEUES], device[TOY_QUEUES]; /* where the rings stand */
    uint16_t avail[TOY_QUEUES], used[TOY_QUEUES];
} Mmio;

static inline bool host_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Mmio *m = host;

    m->dmas++;
    if (addr > RAM || len > RAM - addr) {
        return false;
    }
    memcpy(buf, m->ram + addr, len);
    return true;
}

static inline bool host_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Mmio *m = host;

    m->dmas++;
    if (addr > RAM || len > RAM - addr) {
        return false;
    }
    memcpy(m->ram + addr, buf, len);
    return true;
}

static inline void host_line(void *host, unsigned line, bool level)
{
    Mmio *m = host;

    cr_assert_eq(line, 0);
    m->line = level;
    m->rises += level;
}

static inline void host_log(void *host, DevemuLogLevel level, const char *text)
{
    (void)text;
    ((Mmio *)host)->errors += level == DEVEMU_LOG_GUEST;
}

static inline void host_deadline(void *host, uint64_t when_ns)
{
    ((Mmio *)host)->deadline = when_ns;
}

static const DevemuHostOps host_ops = {
    .size = sizeof(host_ops),
    .dma_read = host_read,
    .dma_write = host_write,
    .set_line = host_line,
    .log = host_log,
    .deadline = host_deadline,
};

static inline void make(Mmio *m, const char *options)
{
    g_autoptr(GError) error = NULL;

    m->child = devemu_device_new(&toy_model, NULL, &error);
    cr_assert(m->child);
    m->transport = devemu_virtio_mmio_new(m->child, options, &error);
    cr_assert(m->transport, "%s", error ? error->message : "");
    devemu_device_set_host(m->transport, &host_ops, m);
}

static inline Mmio *mmio_new(const char *options)
{
    Mmio *m = g_new0(Mmio, 1);

    m->ram = g_malloc0(RAM);
    m->deadline = DEVEMU_NEVER;
    make(m, options);
    return m;
}

static inline void mmio_free(Mmio *m)
{
    devemu_device_free(m->transport);
    g_free(m->ram);
    g_free(m);
}

static inline uint32_t get(Mmio *m, uint64_t at)
{
    uint64_t value = 0;

    cr_assert_eq(devemu_device_read(m->transport, 0, at, 4, &value), DEVEMU_ACCESS_OK, "%03x",
                 (unsigned)at);
    return (uint32_t)value;
}

static inline void put(Mmio *m, uint64_t at, uint64_t value)
{
    cr_assert_eq(devemu_device_write(m->transport, 0, at, 4, value), DEVEMU_ACCESS_OK, "%03x",
                 (unsigned)at);
}

static inline void put64(Mmio *m, uint64_t at, uint64_t value)
{
    put(m, at, value & UINT32_MAX);
    put(m, at + 4, value >> 32);
}

static inline void run(Mmio *m)
{
    for (unsigned i = 0; i < 100 && m->deadline != DEVEMU_NEVER; i++) {
        devemu_device_run(m->transport);
    }
    cr_assert_eq(m->deadline, DEVEMU_NEVER);
}

static inline void features(Mmio *m, uint64_t accepted)
{
    put(m, STATUS, 0);
    put(m, STATUS, 1);
    put(m, STATUS, 3);
    for (unsigned half = 0; half < 2; half++) {
        put(m, DRIVER_FEATURES_SEL, half);
        put(m, DRIVER_FEATURES, accepted >> (half * 32) & UINT32_MAX);
    }
}

static inline uint64_t offered(Mmio *m)
{
    uint64_t low;

    put(m, DEVICE_FEATURES_SEL, 0);
    low = get(m, DEVICE_FEATURES);
    put(m, DEVICE_FEATURES_SEL, 1);
    return low | (uint64_t)get(m, DEVICE_FEATURES) << 32;
}

static inline void place(Mmio *m, unsigned queue, uint64_t driver, uint64_t device)
{
    memset(m->ram + RING + queue * 0x4000, 0, 0x4000);
    m->driver[queue] = driver;
    m->device[queue] = device;
    m->avail[queue] = m->used[queue] = 0;
}

static inline void modern_queue(Mmio *m, unsigned queue)
{
    uint64_t desc = RING + queue * 0x4000;

    place(m, queue, desc + 0x1000, desc + 0x2000);
    put(m, QUEUE_SEL, queue);
    cr_assert_eq(get(m, QUEUE_READY), 0);
    cr_assert_eq(get(m, QUEUE_NUM_MAX), TOY_SIZE);
    put(m, QUEUE_NUM, TOY_SIZE);
    put64(m, QUEUE_DESC, desc);
    put64(m, QUEUE_DRIVER, desc + 0x1000);
    put64(m, QUEUE_DEVICE, desc + 0x2000);
    put(m, QUEUE_READY, 1);
    cr_assert_eq(get(m, QUEUE_READY), 1);
}

/* 4.2.3.1, 4.2.3.2: all up to DRIVER_OK. */
static inline void modern_start(Mmio *m, uint64_t more)
{
    features(m, more | FEATURE(VIRTIO_F_VERSION_1));
    put(m, STATUS, 11);
    cr_assert_eq(get(m, STATUS), 11);
    modern_queue(m, 0);
    modern_queue(m, 1);
    put(m, STATUS, 15);
    cr_assert_eq(get(m, STATUS), 15);
    put(m, CONFIG + TOY_FILL, FILL);
    put(m, INTERRUPT_ACK, 3);
    run(m);
}

/* 4.2.4: queue 0 with pages of 1 KiB and a used ring aligned to 256 bytes. */
static inline void legacy_start(Mmio *m)
{
    features(m, FEATURE(3));
    put(m, GUEST_PAGE_SIZE, 1024);
    put(m, QUEUE_SEL, 0);
    cr_assert_eq(get(m, QUEUE_PFN), 0);
    cr_assert_eq(get(m, QUEUE_NUM_MAX), TOY_SIZE);
    put(m, QUEUE_NUM, 8);
    put(m, QUEUE_ALIGN, 256);
    /* 8 descriptors are 128 bytes; the available ring ends at 150. */
    place(m, 0, RING + 128, RING + 256);
    put(m, QUEUE_PFN, RING / 1024);
    cr_assert_eq(get(m, QUEUE_PFN), RING / 1024);
    put(m, STATUS, 7);
    cr_assert_eq(get(m, STATUS), 7);
    put(m, CONFIG + TOY_FILL, FILL);
    put(m, INTERRUPT_ACK, 3);
    run(m);
}

/* A buffer of four bytes, given without a notification; size is the Queue Size. */
static inline void give(Mmio *m, unsigned queue, unsigned size)
{
    unsigned at = m->avail[queue] % size;
    uint8_t *desc = m->ram + RING + queue * 0x4000 + at * 16;

    devemu_put_le64(desc, DATA + at * 16);
    devemu_put_le32(desc + 8, 4);
    devemu_put_le16(desc + 12, 2);
    devemu_put_le16(m->ram + m->driver[queue] + 4 + at * 2, (uint16_t)at);
    devemu_put_le16(m->ram + m->driver[queue] + 2, ++m->avail[queue]);
}

static inline bool back(Mmio *m, unsigned queue)
{
    if (devemu_le16(m->ram + m->device[queue] + 2) == m->used[queue]) {
        return false;
    }
    m->used[queue]++;
    return true;
}

/* A buffer there and back. */
static inline void call(Mmio *m, unsigned size)
{
    uint8_t *data = m->ram + DATA + m->avail[0] % size * 16;

    devemu_put_le32(data, 0);
    give(m, 0, size);
    put(m, QUEUE_NOTIFY, 0);
    run(m);
    cr_assert(back(m, 0));
    cr_assert_eq(devemu_le32(data), FILL);
}

#endif
