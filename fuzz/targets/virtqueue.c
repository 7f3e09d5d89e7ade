/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtqueue.c: the virtqueue engine against a driver that keeps no rule: it writes what it likes to
 * memory, between calls and between the reads of one call. The input is the kind of queue, and
 * then steps of the driver and of the device.
 *
 * What must hold: no access outside memory; a call does a bounded number of accesses, and none if
 * the queue is off or broken; a chain is no longer than the queue, and its segments add up; what
 * is in flight is what was popped and not pushed; a used entry carries the id that was pushed;
 * nothing outside the device's parts of the queue is written; only flush() notifies.
 */
#include <devemu/model.h>
#include <devemu/virtio.h>

#include <glib.h>
#include <string.h>

enum {
    RAM = 0x1000,
    DESC_AT = 0x100,
    DRIVER_AT = 0x500,
    DEVICE_AT = 0x600,
    TABLE_AT = 0x900,
    DATA_AT = 0xd00,
    MOST = 64, /* Queue Size, chains of a pop, chains kept */
    MOST_STEPS = 600,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum Windows { NONE, WHOLE, HALVES, READ_ONLY, MISALIGNED, KINDS } Windows;

typedef struct Target {
    const uint8_t *data;
    size_t left;
    uint8_t *block, *ram, before[RAM];
    Windows windows;
    DevemuVirtqueue *queue;
    DevemuVirtqueueSetup setup;
    unsigned max_size, expected; /* expected: in flight */
    uint16_t idx, place;         /* of the driver when it keeps the rules */
    bool wrap;
    DevemuVirtqueueChain kept[MOST];
    unsigned count;
    unsigned calls;  /* of DMA and windows */
    unsigned meddle; /* so many reads find something else than the one before */
    bool may_notify;
} Target;

static uint8_t byte(Target *t)
{
    return t->left > 0 ? t->left--, *t->data++ : 0;
}

static uint16_t word(Target *t)
{
    uint16_t high = byte(t);

    return (uint16_t)(high << 8 | byte(t));
}

/* --- memory ------------------------------------------------------------------------ */

static bool in_ram(uint64_t addr, uint64_t len)
{
    return addr <= RAM && len <= RAM - addr;
}

static bool dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Target *t = host;

    t->calls++;
    if (!in_ram(addr, len)) {
        return false;
    }
    memcpy(buf, t->ram + addr, len);
    if (t->meddle > 0) {
        t->meddle--;
        for (size_t i = 0; i < len && i < 16; i++) {
            t->before[addr + i] = t->ram[addr + i] ^= byte(t);
        }
    }
    return true;
}

static bool dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Target *t = host;

    t->calls++;
    if (!in_ram(addr, len)) {
        return false;
    }
    memcpy(t->ram + addr, buf, len);
    return true;
}

static bool dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    Target *t = host;
    uint64_t half = addr < RAM / 2 ? 0 : RAM / 2;

    t->calls++;
    if (t->windows == NONE || addr >= RAM) {
        return false;
    }
    *ret_window = t->windows == HALVES ? (DevemuWindow){half, RAM / 2, t->ram + half, true}
                                       : (DevemuWindow){0, RAM, t->ram, t->windows != READ_ONLY};
    return true;
}

static void notify(void *host)
{
    g_assert(((Target *)host)->may_notify);
}

static const DevemuVirtqueueOps ops = {sizeof(ops), dma_read, dma_write, dma_map, notify};

/* Somewhere else, so that a pointer that was kept is one to nothing. */
static void move_memory(Target *t, Windows windows)
{
    uint8_t *block = g_malloc0(RAM + 1), *ram = block + (windows == MISALIGNED);

    if (t->ram != NULL) {
        memcpy(ram, t->ram, RAM);
        g_free(t->block);
    }
    t->block = block;
    t->ram = ram;
    t->windows = windows;
}

/* --- what must hold ---------------------------------------------------------------- */

static bool packed(const Target *t)
{
    return t->setup.features >> VIRTIO_F_RING_PACKED & 1;
}

static void begin(Target *t)
{
    memcpy(t->before, t->ram, RAM);
    t->calls = 0;
}

/* What may have changed. */
static void forgive(Target *t, uint64_t addr, uint64_t len)
{
    if (addr < RAM) {
        memcpy(t->before + addr, t->ram + addr, MIN(len, RAM - addr));
    }
}

/* Behind a call that touches the rings alone. */
static void check(Target *t, unsigned most_calls)
{
    unsigned size = t->setup.size;

    forgive(t, t->setup.device, packed(t) ? 4 : 6 + 8 * size);
    forgive(t, t->setup.desc, packed(t) ? 16 * size : 0);
    g_assert(memcmp(t->ram, t->before, RAM) == 0);
    g_assert(t->calls <= most_calls);
    g_assert(devemu_virtqueue_in_flight(t->queue) == t->expected);
    g_assert(t->expected <= t->max_size);
}

static bool off(const Target *t)
{
    return !devemu_virtqueue_enabled(t->queue) || devemu_virtqueue_broken(t->queue) != NULL;
}

static void check_chain(const Target *t, const DevemuVirtqueueChain *chain)
{
    uint64_t lens[2] = {0, 0};

    g_assert(chain->readable + chain->writable >= 1);
    g_assert(chain->readable + chain->writable <= t->max_size);
    for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
        const DevemuVirtqueueSegment *s = &chain->segments[i];
        bool write = i >= chain->readable;

        lens[write] += s->len;
        g_assert(s->data == NULL || (in_ram(s->addr, s->len) && s->data == t->ram + s->addr));
        g_assert(s->data == NULL || !write || t->windows != READ_ONLY);
    }
    g_assert(lens[0] == chain->readable_len && lens[1] == chain->writable_len);
    g_assert(lens[0] + lens[1] <= (uint64_t)1 << 32);
    g_assert(packed(t) ? chain->descs >= 1 && chain->descs <= t->setup.size
                       : chain->id < t->setup.size);
}

static unsigned places(const Target *t, const DevemuVirtqueueChain *chain)
{
    return packed(t) ? chain->descs : 1;
}

/* --- the device -------------------------------------------------------------------- */

static void keep(Target *t, const DevemuVirtqueueChain *chain)
{
    unsigned segments = chain->readable + chain->writable;

    t->kept[t->count] = *chain;
    t->kept[t->count++].segments = g_memdup2(chain->segments, segments * sizeof(*chain->segments));
}

static void drop(Target *t, unsigned at, unsigned count)
{
    for (unsigned i = at; i < at + count; i++) {
        g_free(t->kept[i].segments);
    }
    t->count -= count;
    memmove(&t->kept[at], &t->kept[at + count], (t->count - at) * sizeof(t->kept[0]));
}

static void pop(Target *t)
{
    DevemuVirtqueueChain chains[MOST];
    unsigned count = byte(t) % (MOST - t->count + 1), n;
    bool was_off = off(t);

    begin(t);
    n = devemu_virtqueue_pop(t->queue, chains, count);
    g_assert(n <= count && (!was_off || n == 0));
    for (unsigned i = 0; i < n; i++) {
        check_chain(t, &chains[i]);
        t->expected += places(t, &chains[i]);
        keep(t, &chains[i]);
    }
    check(t, was_off ? 0 : 3 + 2 * (8 + 4 * count + 4 * t->max_size));
}

/* The used entry that the first of some buffers got. */
static void check_used(const Target *t, uint32_t position, const DevemuVirtqueueChain *chain,
                       uint32_t written)
{
    unsigned used = position >> 16 & (packed(t) ? 0x7fff : 0xffff);
    uint64_t at = packed(t) ? t->setup.desc + used * 16 + 8
                            : t->setup.device + 4 + 8 * (used % t->setup.size);
    const uint8_t *p = t->ram + at;

    g_assert(in_ram(at, 8));
    g_assert(packed(t) ? devemu_le16(p + 4) == chain->id && devemu_le32(p) == written
                       : devemu_le32(p) == chain->id && devemu_le32(p + 4) == written);
}

static void push(Target *t)
{
    unsigned at = t->count > 0 ? byte(t) % t->count : 0, count = byte(t) % (t->count - at + 1);
    uint32_t position = devemu_virtqueue_position(t->queue), written[MOST];
    bool was_off = off(t), zero = byte(t) & 1;

    for (unsigned i = 0; i < count; i++) {
        written[i] = zero ? 0 : byte(t);
    }
    begin(t);
    if (count == 1) {
        devemu_virtqueue_push(t->queue, &t->kept[at], written[0]);
    } else {
        devemu_virtqueue_push_together(t->queue, &t->kept[at], zero ? NULL : written, count);
    }
    if (!off(t)) {
        for (unsigned i = 0; i < count; i++) {
            t->expected -= places(t, &t->kept[at + i]);
        }
    } else {
        t->expected = devemu_virtqueue_in_flight(t->queue); /* some, until one failed */
    }
    check(t, was_off ? 0 : 3 + 2 * count);
    if (count > 0 && !off(t)) {
        check_used(t, position, &t->kept[at], written[0]);
    }
    drop(t, at, count);
}

static void unpop(Target *t)
{
    unsigned count = byte(t) % (t->count + 1);

    /* Only what was popped last may be given back; that is so if nothing was pushed but the
     * oldest. What else happens must stay bounded. */
    begin(t);
    devemu_virtqueue_unpop(t->queue, t->kept + t->count - count, count);
    for (unsigned i = t->count - count; i < t->count; i++) {
        t->expected -= places(t, &t->kept[i]);
    }
    check(t, 0);
    drop(t, t->count - count, count);
}

static void flush(Target *t)
{
    bool was_off = off(t);

    begin(t);
    t->may_notify = !was_off;
    if (byte(t) & 1) {
        t->may_notify = false;
        devemu_virtqueue_show(t->queue);
    } else {
        devemu_virtqueue_flush(t->queue);
    }
    t->may_notify = false;
    check(t, was_off ? 0 : 5);
}

static void listen(Target *t)
{
    bool was_off = off(t);

    begin(t);
    if (byte(t) & 1) {
        devemu_virtqueue_ignore(t->queue);
    } else {
        g_assert(!devemu_virtqueue_listen(t->queue) || !was_off);
    }
    check(t, was_off ? 0 : 8);
}

static void payload(Target *t)
{
    uint8_t buf[40] = {0};
    unsigned at = byte(t), len = byte(t) % sizeof(buf);
    const DevemuVirtqueueChain *chain;
    size_t n;

    if (t->count == 0) {
        return;
    }
    chain = &t->kept[byte(t) % t->count];
    n = devemu_virtqueue_read(t->queue, chain, at, buf, len);
    g_assert(n <= len && n <= chain->readable_len);
    n = devemu_virtqueue_write(t->queue, chain, at, buf, len);
    g_assert(n <= len && n <= chain->writable_len);
}

/* Chains kept over it get their windows anew. */
static void revoke(Target *t)
{
    move_memory(t, byte(t) % KINDS);
    begin(t);
    devemu_virtqueue_revoke(t->queue);
    check(t, 0);
    for (unsigned i = 0; i < t->count; i++) {
        devemu_virtqueue_remap(t->queue, &t->kept[i]);
        check_chain(t, &t->kept[i]);
    }
    check(t, MOST * t->max_size);
}

static void retake(Target *t)
{
    DevemuVirtqueueChain chain;
    bool was_off = off(t);

    begin(t);
    if (devemu_virtqueue_retake(t->queue, byte(t), &chain)) {
        check_chain(t, &chain);
        g_assert(!was_off && !packed(t));
    }
    check(t, was_off ? 0 : 3 + 2 * (8 + 4 * t->max_size));
}

/* --- set-up ------------------------------------------------------------------------ */

static void disable(Target *t)
{
    begin(t);
    devemu_virtqueue_disable(t->queue);
    t->expected = 0;
    devemu_virtqueue_push_together(t->queue, t->kept, NULL, t->count);
    devemu_virtqueue_flush(t->queue);
    check(t, 0);
    g_assert(memcmp(t->ram, t->before, RAM) == 0);
    drop(t, 0, t->count);
}

static uint64_t odd_address(Target *t, uint64_t usual)
{
    uint8_t how = byte(t);

    return how < 0x80   ? usual
           : how < 0xc0 ? word(t)
           : how < 0xf0 ? usual + how - 0xd0
                        : UINT64_MAX - word(t);
}

static void enable(Target *t)
{
    uint8_t how = byte(t);
    bool keeps = (how & 3) == 1; /* what is in flight */

    t->setup.position = devemu_virtqueue_position(t->queue);
    t->setup.resume = (how & 3) != 0;
    t->setup.rewind = (how & 3) == 2;
    if ((how & 3) == 3) {
        t->setup.position = (uint32_t)word(t) << 16;
        t->setup.position |= word(t);
    }
    if (!keeps || off(t)) {
        disable(t);
        t->setup.features = (uint64_t)1 << VIRTIO_F_VERSION_1 |
                            (uint64_t)(how >> 2 & 1) << VIRTIO_F_RING_PACKED |
                            (uint64_t)(how >> 3 & 1) << VIRTIO_F_EVENT_IDX |
                            (uint64_t)(how >> 4 & 1) << VIRTIO_F_INDIRECT_DESC |
                            (uint64_t)(how >> 5 & 1) << VIRTIO_F_IN_ORDER;
        t->setup.size = how & 0x40 ? byte(t) : 1u << (how >> 7) * 2;
        t->setup.desc = odd_address(t, DESC_AT);
        t->setup.driver = odd_address(t, DRIVER_AT);
        t->setup.device = odd_address(t, DEVICE_AT);
        t->idx = t->place = 0;
        t->wrap = true;
    }
    begin(t);
    if (!devemu_virtqueue_enable(t->queue, &t->setup)) {
        g_assert(!devemu_virtqueue_enabled(t->queue));
        drop(t, 0, t->count);
        t->setup.size = 1; /* no queue, so none to check */
    }
    if (keeps && t->count > 0) {
        g_assert(devemu_virtqueue_in_flight(t->queue) == t->expected);
    }
    t->expected = devemu_virtqueue_in_flight(t->queue);
    check(t, 0);
}

/* --- the driver -------------------------------------------------------------------- */

static void scribble(Target *t)
{
    unsigned at = word(t) % RAM, len = byte(t) % 32;

    for (unsigned i = at; i < at + len && i < RAM; i++) {
        t->ram[i] = byte(t);
    }
}

static void put_desc(Target *t, unsigned at, uint64_t addr, uint32_t len, unsigned flags,
                     unsigned last)
{
    if (in_ram(at, 16)) {
        devemu_put_le64(t->ram + at, addr);
        devemu_put_le32(t->ram + at + 8, len);
        devemu_put_le16(t->ram + at + (packed(t) ? 14 : 12), (uint16_t)flags);
        devemu_put_le16(t->ram + at + (packed(t) ? 12 : 14), (uint16_t)last);
    }
}

/* One descriptor, of any kind, in the table or in an indirect one. */
static void describe(Target *t)
{
    static const uint32_t lens[] = {0, 1, 16, 32, 48, RAM / 2, RAM, UINT32_MAX};
    uint8_t place = byte(t), how = byte(t);
    uint64_t addr = how & 0x40 ? TABLE_AT + (how & 0x30u) : odd_address(t, DATA_AT + place * 3u);
    unsigned flags = byte(t);

    put_desc(t, (place & 0x80 ? TABLE_AT : DESC_AT) + (place & 0x3f) * 16u, addr, lens[how & 7],
             (flags & 0x87) | (flags & 0x40) << 9, byte(t));
}

/* A buffer by the rules: next places, linked, and shown. */
static void give(Target *t)
{
    uint8_t how = byte(t);
    unsigned count = 1 + (how & 3), readable = how >> 2 & 3, size = MAX(t->setup.size, 1);
    unsigned first = t->place % size;

    for (unsigned i = 0; i < count; i++) {
        unsigned at = t->place % size;
        unsigned flags = (i + 1 < count ? 1 : 0) | (i >= readable ? 2 : 0);

        if (how & 0x80) { /* a table of that many */
            put_desc(t, TABLE_AT + i * 16, DATA_AT + at * 8u, how, flags, i + 1);
            flags = 4;
        }
        if (!(how & 0x80) || i == 0) {
            put_desc(t, (unsigned)t->setup.desc + at * 16, how & 0x80 ? TABLE_AT : DATA_AT + at * 8,
                     how & 0x80 ? count * 16 : how,
                     flags | (packed(t) ? t->wrap ? 0x80 : 0x8000 : 0),
                     packed(t) ? first : (at + 1) % size);
            t->place = (uint16_t)(at + 1 == size ? 0 : at + 1);
            t->wrap ^= at + 1 == size;
        }
    }
    if (!packed(t) && in_ram(t->setup.driver, 6 + 2 * size)) {
        devemu_put_le16(t->ram + t->setup.driver + 4 + 2 * (t->idx % size), (uint16_t)first);
        devemu_put_le16(t->ram + t->setup.driver + 2, ++t->idx);
    }
}

static void meddle(Target *t)
{
    t->meddle = byte(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const steps[])(Target * t) = {pop,     give,   push,     flush,    listen, give,
                                                pop,     push,   describe, scribble, unpop,  revoke,
                                                payload, retake, meddle,   enable};
    g_autofree Target *t = g_new0(Target, 1);

    t->data = data;
    t->left = size;
    t->max_size = 1 + byte(t) % MOST;
    move_memory(t, byte(t) % KINDS);
    t->queue = devemu_virtqueue_new(t->max_size);
    devemu_virtqueue_set_host(t->queue, &ops, t);
    enable(t);
    for (unsigned i = 0; i < MOST_STEPS && t->left > 0; i++) {
        steps[byte(t) % G_N_ELEMENTS(steps)](t);
    }
    disable(t);
    devemu_virtqueue_free(t->queue);
    g_free(t->block);
    return 0;
}
