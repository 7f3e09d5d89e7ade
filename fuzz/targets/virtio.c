/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.c: a driver that means no good against any virtio device, straight on its common
 * registers. The input chooses device, medium, features and ring layout, and then says what the
 * driver does: buffers of any shape, rings written over, resets in the middle, snapshots.
 *
 * What must hold: a bounded number of accesses to memory for each thing the driver does; no
 * notification but for a queue or the configuration, and none before DRIVER_OK; nothing written to
 * memory by a device that was reset; a state that another device takes over.
 */
#include <devemu/backends.h>
#include <devemu/device.h>
#include <devemu/list.h>
#include <devemu/virtio.h>

#include <string.h>

#define RAM_BYTES  0x40000u
#define RING_BYTES 0x1000u
#define DATA       0x20000u
#define QUEUES     5u /* those that the driver uses */
#define SIZE       16u
#define OPS        300u

/* Accesses to memory that one step may cost: a few queues of buffers of as many elements. */
#define MOST_ACCESSES 400000u
#define MOST_STEPS    5000u /* of the clock */

enum {
    HEAD_MAP = 1 << 0,    /* windows */
    HEAD_CHANGE = 1 << 1, /* memory changes as it is read */
    HEAD_LEGACY = 1 << 2, /* no FEATURES_OK, no VERSION_1 */
    HEAD_DEFER = 1 << 3,  /* no DMA in accesses */
    HEAD_PACKED = 1 << 4, /* offered; and taken, if the features say so */
    HEAD_QUEUES = 1 << 5, /* several queues */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Queue {
    uint16_t avail;
    uint16_t desc;
    bool wrap;
} Queue;

typedef struct Target {
    const uint8_t *at, *end;
    const DevemuModel *model;
    char *options;
    unsigned head;
    DevemuDevice *dev;
    DevemuBlock *block;
    uint64_t now_ns, features;
    unsigned accesses;
    uint8_t noise;
    bool quiet; /* the device was reset: it must not write */
    Queue queues[QUEUES];
    uint8_t ram[RAM_BYTES];
} Target;

static uint64_t take(Target *t, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && t->at < t->end; i++) {
        value |= (uint64_t)*t->at++ << (8 * i);
    }
    return value;
}

/* --- the host ---------------------------------------------------------------------- */

static bool reachable(Target *t, uint64_t addr, size_t len)
{
    g_assert(++t->accesses < MOST_ACCESSES);
    return addr < RAM_BYTES && len <= RAM_BYTES - addr;
}

static bool dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Target *t = host;

    if (!reachable(t, addr, len)) {
        return false;
    }
    memcpy(buf, t->ram + addr, len);
    if ((t->head & HEAD_CHANGE) && len > 0 && t->accesses % 7 == 3) {
        t->noise = (uint8_t)(t->noise * 5 + 3);
        t->ram[addr + t->noise % len] ^= (uint8_t)(1 << t->noise % 8);
    }
    return true;
}

static bool dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Target *t = host;

    g_assert(!t->quiet);
    if (!reachable(t, addr, len)) {
        return false;
    }
    memcpy(t->ram + addr, buf, len);
    return true;
}

/* Two windows with a gap, so that elements may lie across. */
static bool dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    Target *t = host;
    uint64_t half = RAM_BYTES / 2 + 0x8000;

    if (!(t->head & HEAD_MAP) || addr >= RAM_BYTES || (addr >= half && addr < half + 0x1000)) {
        return false;
    }
    *ret_window = addr < half
                      ? (DevemuWindow){0, half, t->ram, true}
                      : (DevemuWindow){half + 0x1000, RAM_BYTES - half - 0x1000,
                                       t->ram + half + 0x1000, (t->head & HEAD_CHANGE) == 0};
    return true;
}

static uint64_t peek(Target *t, uint64_t at, unsigned size)
{
    uint64_t value = 0;

    devemu_device_peek(t->dev, DEVEMU_VIRTIO_COMMON, at, size, &value);
    return value;
}

static void msi(void *host, uint64_t addr, uint32_t data)
{
    Target *t = host;

    g_assert(data == 0);
    g_assert(addr == DEVEMU_VIRTIO_CONFIG_CHANGE || addr < DEVEMU_VIRTIO_QUEUES);
    g_assert(!t->quiet);
}

static uint64_t now(void *host)
{
    return ((Target *)host)->now_ns;
}

static bool dma_deferred(void *host)
{
    return ((Target *)host)->head & HEAD_DEFER;
}

static const DevemuHostOps host_ops = {
    .size = sizeof(host_ops),
    .dma_read = dma_read,
    .dma_write = dma_write,
    .dma_map = dma_map,
    .msi = msi,
    .now = now,
    .dma_deferred = dma_deferred,
};

/* --- backends ---------------------------------------------------------------------- */

static void frame_sent(void *opaque, const DevemuSlice *slices, size_t count, bool more)
{
    volatile uint8_t sum = 0;

    (void)opaque;
    (void)more;
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < slices[i].len; n += 64) {
            sum = (uint8_t)(sum + ((const uint8_t *)slices[i].data)[n]);
        }
    }
}

static void chars_sent(void *opaque, const void *data, size_t len)
{
    const DevemuSlice slice = {data, len};

    frame_sent(opaque, &slice, 1, false);
}

static void ready(void *opaque)
{
    (void)opaque;
}

static const DevemuNetOps net_ops = {sizeof(net_ops), .send = frame_sent, .ready = ready};
static const DevemuCharOps char_ops = {sizeof(char_ops), .write = chars_sent, .ready = ready};

static DevemuBlock *medium(unsigned kind)
{
    static const char *const texts[] = {
        "memory:128K",
        "memory:128K,zoned=16K,zones-conventional=1,zones-open=2,zones-active=3",
        "memory:128K,block-size=4096,latency=1",
        "memory:64K,fault=any:EIO:every=5,iops=100000",
        "null:1T,readonly=on,lifetime=1:2:3",
        "memory:128K,block-size=65536",
    };

    return devemu_block_new(texts[kind % G_N_ELEMENTS(texts)], NULL, NULL);
}

static void connect_all(Target *t)
{
    devemu_device_set_host(t->dev, &host_ops, t);
    if (t->model->is_net) {
        devemu_device_attach_net(t->dev, &net_ops, t);
    }
    if (t->model->is_char) {
        devemu_device_attach_char(t->dev, &char_ops, t);
    }
    if (t->model->is_block && t->block) {
        devemu_block_attach(t->block, t->dev);
    }
}

/* --- time -------------------------------------------------------------------------- */

static void run(Target *t, uint64_t ns)
{
    uint64_t until = t->now_ns + ns;

    for (unsigned i = 0; i < MOST_STEPS; i++) {
        uint64_t when = devemu_device_deadline(t->dev);

        if (t->block) {
            when = MIN(when, devemu_block_deadline(t->block));
        }
        if (when > until) {
            break;
        }
        t->now_ns = MAX(t->now_ns, when);
        if (t->block && devemu_block_deadline(t->block) <= t->now_ns) {
            devemu_block_run(t->block);
        }
        devemu_device_run(t->dev);
        if (i % 64 == 63) {
            t->now_ns++;
        }
    }
    t->now_ns = MAX(t->now_ns, until);
}

/* --- the driver -------------------------------------------------------------------- */

static void put(Target *t, uint64_t at, unsigned size, uint64_t value)
{
    devemu_device_write(t->dev, DEVEMU_VIRTIO_COMMON, at, size, value);
}

static uint64_t ring(unsigned queue)
{
    return 0x1000 + queue * 3u * RING_BYTES;
}

static void set_queue(Target *t, unsigned queue)
{
    t->queues[queue] = (Queue){.wrap = true};
    memset(t->ram + ring(queue), 0, 3 * RING_BYTES);
    put(t, DEVEMU_VIRTIO_QUEUE_SELECT, 2, queue);
    put(t, DEVEMU_VIRTIO_QUEUE_SIZE, 2, SIZE);
    put(t, DEVEMU_VIRTIO_QUEUE_DESC, 8, ring(queue));
    put(t, DEVEMU_VIRTIO_QUEUE_DRIVER, 8, ring(queue) + RING_BYTES);
    put(t, DEVEMU_VIRTIO_QUEUE_DEVICE, 8, ring(queue) + 2 * RING_BYTES);
    put(t, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
}

static void start(Target *t)
{
    uint64_t offered = 0;
    uint8_t begun = DEVEMU_VIRTIO_ACKNOWLEDGE | DEVEMU_VIRTIO_DRIVER;

    put(t, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    run(t, 2000);
    put(t, DEVEMU_VIRTIO_DEVICE_STATUS, 1, begun);
    for (unsigned half = 0; half < 2; half++) {
        put(t, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4, half);
        offered |= peek(t, DEVEMU_VIRTIO_DEVICE_FEATURE, 4) << (32 * half);
    }
    t->features &= offered;
    if (t->head & HEAD_LEGACY) {
        t->features &= UINT32_MAX;
    } else {
        t->features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
    }
    for (unsigned half = 0; half < 2; half++) {
        put(t, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, half);
        put(t, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, t->features >> (32 * half) & UINT32_MAX);
    }
    if (!(t->head & HEAD_LEGACY)) {
        begun |= DEVEMU_VIRTIO_FEATURES_OK;
        put(t, DEVEMU_VIRTIO_DEVICE_STATUS, 1, begun);
    }
    for (unsigned i = 0; i < QUEUES; i++) {
        set_queue(t, i);
    }
    put(t, DEVEMU_VIRTIO_DEVICE_STATUS, 1, begun | DEVEMU_VIRTIO_DRIVER_OK);
    t->quiet = false;
}

static bool packed(const Target *t)
{
    return t->features >> VIRTIO_F_RING_PACKED & 1;
}

/* An element, with some bytes of the input at its beginning. */
static void element(Target *t, uint8_t *desc, unsigned kind)
{
    static const uint32_t lens[] = {0,  1,   2,   10,  12,   16,   17,     24,
                                    64, 128, 512, 513, 1536, 4096, 0x8000, UINT32_MAX};
    uint64_t addr = DATA + (uint64_t)take(t, 1) * 512;
    uint32_t len = lens[kind & 15];

    if (kind & 16) {
        addr = take(t, 8);
    } else if (kind & 64) {
        unsigned count = (unsigned)take(t, 1) % 33;

        for (unsigned i = 0; i < count && addr + i < RAM_BYTES; i++) {
            t->ram[addr + i] = (uint8_t)take(t, 1);
        }
    }
    devemu_put_le64(desc, addr);
    devemu_put_le32(desc + 8, len);
}

static void add(Target *t)
{
    unsigned what = (unsigned)take(t, 1), queue = what % QUEUES, count = 1 + what / 32 % 8;
    Queue *q = &t->queues[queue];
    uint16_t head = (uint16_t)(q->desc % SIZE);
    bool first_wrap = q->wrap;

    for (unsigned i = 0; i < count; i++) {
        uint8_t *desc = t->ram + ring(queue) + q->desc % SIZE * 16u;
        unsigned kind = (unsigned)take(t, 1);
        unsigned flags = (i + 1 < count ? 1 : 0) | (kind & 32 ? 2 : 0);

        element(t, desc, kind);
        if ((kind & 0x90) == 0x90) {
            flags ^= (unsigned)take(t, 1) & 7;
        }
        if (packed(t)) {
            /* The first one last, as a driver does; here nobody looks before. */
            bool wrap = i == 0 ? first_wrap : q->wrap;

            devemu_put_le16(desc + 12, head);
            devemu_put_le16(desc + 14, (uint16_t)(flags | (wrap ? 1u << 7 : 1u << 15)));
        } else {
            devemu_put_le16(desc + 12, (uint16_t)flags);
            devemu_put_le16(desc + 14, (uint16_t)((q->desc + 1) % SIZE));
        }
        q->desc++;
        if (q->desc % SIZE == 0) {
            q->wrap = !q->wrap;
        }
    }
    if (!packed(t)) {
        uint8_t *avail = t->ram + ring(queue) + RING_BYTES;

        devemu_put_le16(avail + 4 + q->avail % SIZE * 2u, head);
        devemu_put_le16(avail + 2, ++q->avail);
    }
}

static void kick(Target *t)
{
    devemu_device_write(t->dev, DEVEMU_VIRTIO_NOTIFY, take(t, 1) % QUEUES * 4, 2, 0);
}

static void access_any(Target *t)
{
    unsigned bank = (unsigned)take(t, 1), at = (unsigned)take(t, 1), size = 1u << (at >> 6);
    uint64_t value;

    at &= 0x3f;
    if (bank & 0x40) {
        at *= 2;
    }
    if (bank & 0x80) {
        devemu_device_write(t->dev, bank % DEVEMU_VIRTIO_BANKS, at, size, take(t, size));
    } else {
        devemu_device_read(t->dev, bank % DEVEMU_VIRTIO_BANKS, at, size, &value);
    }
}

static void receive(Target *t)
{
    uint8_t data[2048];
    size_t len = (size_t)take(t, 2) % sizeof(data), given = MIN(len, (size_t)take(t, 1) % 64);

    memset(data, 0x5a, sizeof(data));
    for (size_t i = 0; i < given; i++) {
        data[i] = (uint8_t)take(t, 1);
    }
    if (t->model->is_net || t->model->is_char) {
        devemu_device_receive(t->dev, data, len);
    }
}

static void poke(Target *t)
{
    uint64_t addr = take(t, 3) % RAM_BYTES;
    unsigned count = (unsigned)take(t, 1) % 17;

    for (unsigned i = 0; i < count && addr + i < RAM_BYTES; i++) {
        t->ram[addr + i] = (uint8_t)take(t, 1);
    }
}

/* Another device takes the state over; drained, or in the middle of requests. */
static void move_on(Target *t, bool drained)
{
    DevemuDevice *other = devemu_device_new(t->model, t->options, NULL);
    GVariant *state;

    if (drained) {
        devemu_device_drain(t->dev);
    }
    state = devemu_device_save(t->dev);
    if (t->block) {
        devemu_block_attach(t->block, NULL);
    }
    devemu_device_free(t->dev);
    t->dev = other;
    g_assert(devemu_device_load(other, state, NULL));
    g_variant_unref(state);
    connect_all(t);
}

/* After a reset that is done the device is still, until the driver begins anew. */
static void reset(Target *t)
{
    put(t, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    run(t, 100000000);
    g_assert(peek(t, DEVEMU_VIRTIO_DEVICE_STATUS, 1) == 0);
    t->quiet = true;
    for (unsigned i = 0; i < QUEUES; i++) {
        devemu_device_write(t->dev, DEVEMU_VIRTIO_NOTIFY, i * 4, 2, 0);
    }
    run(t, 1000000);
    start(t);
}

static void reset_queue(Target *t)
{
    unsigned queue = (unsigned)take(t, 1);

    put(t, DEVEMU_VIRTIO_QUEUE_SELECT, 2, queue % QUEUES);
    put(t, queue & 0x80 ? DEVEMU_VIRTIO_QUEUE_ENABLE : DEVEMU_VIRTIO_QUEUE_RESET, 2,
        queue & 0x80 ? 0 : 1);
    if (queue & 0x40) {
        run(t, 2000);
    }
    set_queue(t, queue % QUEUES);
}

static void change_medium(Target *t)
{
    uint64_t blocks = take(t, 1);
    DevemuBlockInfo info;

    if (t->block == NULL) {
        return;
    }
    devemu_block_info(t->block, &info);
    devemu_block_resize(t->block, MAX(blocks, 1) * info.block_size, NULL);
}

static void step(Target *t)
{
    unsigned op = (unsigned)take(t, 1);

    t->accesses = 0;
    switch (op % 24) {
    case 0:
        access_any(t);
        break;
    case 1:
        receive(t);
        break;
    case 2:
        poke(t);
        break;
    case 3:
        move_on(t, op & 0x80);
        break;
    case 4:
        devemu_device_revoke(t->dev);
        break;
    case 5:
        reset_queue(t);
        break;
    case 6:
        reset(t);
        break;
    case 7:
        change_medium(t);
        break;
    case 8:
        devemu_device_reset(t->dev, DEVEMU_RESET_HARD);
        start(t);
        break;
    case 9:
        devemu_device_drain(t->dev);
        break;
    case 10:
    case 11:
    case 12:
        run(t, (uint64_t)1 << op / 24);
        break;
    case 13:
    case 14:
    case 15:
    case 16:
        kick(t);
        break;
    default:
        add(t);
        break;
    }
}

/* --- one input --------------------------------------------------------------------- */

static const DevemuModel *choose(unsigned number)
{
    unsigned count = 0;

    for (unsigned i = 0; devemu_models[i]; i++) {
        count += devemu_models[i]->virtio != NULL;
    }
    number %= count;
    for (unsigned i = 0;; i++) {
        if (devemu_models[i]->virtio && number-- == 0) {
            return devemu_models[i];
        }
    }
}

static bool has_property(const DevemuModel *model, const char *name)
{
    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void make(Target *t)
{
    GString *options = g_string_new("indirect_desc=on");

    if (t->head & HEAD_PACKED) {
        g_string_append(options, ",packed=on");
    }
    if ((t->head & HEAD_QUEUES) && has_property(t->model, "num_queues")) {
        g_string_append(options, ",num_queues=4");
    }
    t->options = g_string_free(options, FALSE);
    t->dev = devemu_device_new(t->model, t->options, NULL);
    g_assert(t->dev);
    if (t->model->is_block) {
        t->block = medium((unsigned)take(t, 1));
        g_assert(t->block);
        devemu_block_set_clock(t->block, now, t);
    }
    connect_all(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Target *t;

    if (size < 10) {
        return 0;
    }
    t = g_new0(Target, 1);
    t->at = data;
    t->end = data + size;
    t->model = choose((unsigned)take(t, 1));
    t->head = (unsigned)take(t, 1);
    t->features = ~take(t, 8);
    make(t);
    start(t);
    for (unsigned i = 0; i < OPS && t->at < t->end; i++) {
        step(t);
    }
    t->accesses = 0;
    reset(t);
    move_on(t, true);
    if (t->block) {
        devemu_block_attach(t->block, NULL);
    }
    devemu_device_free(t->dev);
    devemu_block_free(t->block);
    g_free(t->options);
    g_free(t);
    return 0;
}
