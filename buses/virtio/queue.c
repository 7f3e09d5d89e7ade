/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.c: what is common to virtqueues of both layouts: set-up, windows, indirect tables, copying.
 */
#include "queue.h"

bool virtq_break(DevemuVirtqueue *q, const char *why)
{
    if (q->broken == NULL) {
        q->broken = why;
    }
    q->ready = false;
    return false;
}

/* --- windows ----------------------------------------------------------------------- */

uint8_t *virtq_map_slowly(DevemuVirtqueue *q, uint64_t addr, uint64_t len, bool write)
{
    DevemuWindow window = {0};

    for (unsigned i = 0; i < VIRTQ_WINDOWS; i++) {
        if (virtq_window_holds(&q->windows[i], addr, len, write)) {
            q->window = q->windows[i];
            return q->windows[i].data + (addr - q->windows[i].addr);
        }
    }
    if (q->ops.dma_map == NULL || !q->ops.dma_map(q->host, addr, &window) ||
        !virtq_window_holds(&window, addr, len, write)) {
        return NULL;
    }
    q->last = (q->last + 1) % VIRTQ_WINDOWS;
    q->windows[q->last] = window;
    q->window = window;
    return window.data + (addr - window.addr);
}

bool virtq_present(DevemuVirtqueue *q, uint64_t addr, uint64_t len, bool write)
{
    if (q->present == NULL || q->present(q->present_opaque, addr, len, write)) {
        return true;
    }
    q->starved = true;
    return false;
}

/* Where the host's memory is not aligned as the bus is, the area goes by DMA. */
static void map_area(DevemuVirtqueue *q, VirtqArea *area, bool write, unsigned align)
{
    uint8_t *data = virtq_map(q, area->addr, area->len, write);

    area->data = (uintptr_t)data % align == 0 ? data : NULL;
}

static bool get_ready(DevemuVirtqueue *q)
{
    if (!q->enabled || q->broken != NULL) {
        return false;
    }
    map_area(q, &q->desc, q->packed, sizeof(uint64_t));
    map_area(q, &q->driver, false, q->packed ? sizeof(uint32_t) : sizeof(uint16_t));
    map_area(q, &q->device, true, sizeof(uint16_t));
    q->ready = true;
    return true;
}

static bool bus_read(DevemuVirtqueue *q, uint64_t addr, void *buf, size_t len)
{
    return len == 0 || (addr + (len - 1) >= addr && q->ops.dma_read != NULL &&
                        q->ops.dma_read(q->host, addr, buf, len));
}

static bool bus_write(DevemuVirtqueue *q, uint64_t addr, const void *buf, size_t len)
{
    return len == 0 || (addr + (len - 1) >= addr && q->ops.dma_write != NULL &&
                        q->ops.dma_write(q->host, addr, buf, len));
}

bool virtq_area_read_slowly(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at, void *buf,
                            size_t len)
{
    return bus_read(q, area->addr + at, buf, len) ||
           virtq_break(q, "virtqueue: the queue is outside memory");
}

bool virtq_area_write_slowly(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                             const void *buf, size_t len)
{
    return bus_write(q, area->addr + at, buf, len) ||
           virtq_break(q, "virtqueue: the queue is outside memory");
}

/* --- indirect tables --------------------------------------------------------------- */

/* A driver need not align a table. */
static inline VirtqDesc table_view(const uint8_t *at)
{
    uint64_t words[2];

    if (G_LIKELY((uintptr_t)at % sizeof(uint64_t) == 0)) {
        return (VirtqDesc){virtq_load64(at), virtq_load64(at + 8)};
    }
    memcpy(words, at, sizeof(words));
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return (VirtqDesc){GUINT64_FROM_LE(words[0]), GUINT64_FROM_LE(words[1])};
}

static inline bool table_desc(DevemuVirtqueue *q, const uint8_t *view, uint64_t addr, unsigned at,
                              VirtqDesc *ret_desc)
{
    uint64_t words[2];

    if (G_LIKELY(view != NULL)) {
        *ret_desc = table_view(view + (size_t)at * VIRTQ_DESC_SIZE);
        return true;
    }
    if (!bus_read(q, addr + (uint64_t)at * VIRTQ_DESC_SIZE, words, sizeof(words))) {
        return virtq_break(q, "virtqueue: an indirect table is outside memory");
    }
    *ret_desc = (VirtqDesc){GUINT64_FROM_LE(words[0]), GUINT64_FROM_LE(words[1])};
    return true;
}

/* Packed, "Indirect Flag": all of the table, in order, and only WRITE means something. */
static bool packed_table(DevemuVirtqueue *q, DevemuVirtqueueChain *ret_chain, const uint8_t *view,
                         uint64_t addr, unsigned count)
{
    DevemuVirtqueueChain chain;
    VirtqDesc desc;

    if (count > q->max_size) {
        return virtq_break(q, "virtqueue: a chain is longer than the queue");
    }
    virtq_copy(ret_chain, &chain);
    for (unsigned i = 0; i < count; i++) {
        if (!table_desc(q, view, addr, i, &desc) ||
            !virtq_add(q, &chain, desc, (virtq_desc_high(desc) & VIRTQ_DESC_F_WRITE) != 0)) {
            return false;
        }
    }
    return virtq_end(q, &chain, ret_chain);
}

/* Split, "Indirect Descriptors": linked by next from number 0. */
static bool split_table(DevemuVirtqueue *q, DevemuVirtqueueChain *ret_chain, const uint8_t *view,
                        uint64_t addr, unsigned count)
{
    DevemuVirtqueueChain chain;
    unsigned at = 0, flags;
    VirtqDesc desc;

    virtq_copy(ret_chain, &chain);
    for (unsigned n = 0; n < count; n++) {
        if (G_UNLIKELY(at >= count)) {
            return virtq_break(q, "virtqueue: an index is outside its indirect table");
        }
        if (G_UNLIKELY(chain.readable + chain.writable == q->max_size)) {
            return virtq_break(q, "virtqueue: a chain is longer than the queue");
        }
        if (!table_desc(q, view, addr, at, &desc)) {
            return false;
        }
        flags = virtq_desc_low(desc);
        if (G_UNLIKELY(flags & VIRTQ_DESC_F_INDIRECT)) {
            return virtq_break(q, "virtqueue: an indirect table inside an indirect table");
        }
        if (!virtq_add(q, &chain, desc, (flags & VIRTQ_DESC_F_WRITE) != 0)) {
            return false;
        }
        if (!(flags & VIRTQ_DESC_F_NEXT)) {
            return virtq_end(q, &chain, ret_chain);
        }
        at = virtq_desc_high(desc);
    }
    return virtq_break(q, "virtqueue: a loop in an indirect table");
}

/* WRITE in the descriptor that refers to a table is ignored. */
bool virtq_indirect(DevemuVirtqueue *q, DevemuVirtqueueChain *chain, VirtqDesc table)
{
    uint32_t len = virtq_desc_len(table), count = len / VIRTQ_DESC_SIZE;
    const uint8_t *view;

    if (!q->indirect) {
        return virtq_break(q, "virtqueue: INDIRECT without VIRTIO_F_INDIRECT_DESC");
    }
    if (count == 0 || len % VIRTQ_DESC_SIZE != 0) {
        return virtq_break(q, "virtqueue: an indirect table is not of whole descriptors");
    }
    view = virtq_map(q, table.addr, len, false);
    if (view == NULL && !virtq_present(q, table.addr, len, false)) {
        return false;
    }
    return q->packed ? packed_table(q, chain, view, table.addr, count)
                     : split_table(q, chain, view, table.addr, count);
}

/* --- set-up ------------------------------------------------------------------------ */

DevemuVirtqueue *devemu_virtqueue_new(unsigned max_size)
{
    DevemuVirtqueue *q;

    if (max_size == 0 || max_size > DEVEMU_VIRTQUEUE_MAX) {
        return NULL;
    }
    q = g_new0(DevemuVirtqueue, 1);
    q->max_size = max_size;
    q->segments = g_new0(DevemuVirtqueueSegment, (size_t)max_size * 2);
    return q;
}

void devemu_virtqueue_free(DevemuVirtqueue *q)
{
    if (q != NULL) {
        g_free(q->again);
        g_free(q->entries);
        g_free(q->segments);
        g_free(q);
    }
}

void devemu_virtqueue_set_host(DevemuVirtqueue *q, const DevemuVirtqueueOps *ops, void *host)
{
    memset(&q->ops, 0, sizeof(q->ops));
    memcpy(&q->ops, ops, MIN(ops->size, sizeof(q->ops)));
    q->host = host;
    devemu_virtqueue_revoke(q);
}

static bool area_set(VirtqArea *area, uint64_t addr, uint32_t len, unsigned align)
{
    *area = (VirtqArea){.addr = addr, .len = len};
    return addr % align == 0 && addr + (len - 1) >= addr;
}

/* A position with more in flight than the queue can hold is none. */
static bool position_set(DevemuVirtqueue *q, const DevemuVirtqueueSetup *setup)
{
    uint32_t begin = q->packed ? 0x80008000 : 0; /* the wrap counters begin as 1 */
    uint32_t position = setup->resume ? setup->position : begin;
    uint16_t avail = (uint16_t)(position >> (setup->rewind ? 16 : 0));
    uint16_t used = (uint16_t)(position >> 16);

    if (q->packed) {
        q->avail_wrap = avail >> 15;
        q->used_wrap = used >> 15;
        q->avail = avail & 0x7fff;
        q->used = used & 0x7fff;
        q->in_flight = q->avail - q->used + (q->avail_wrap == q->used_wrap ? 0 : q->size);
        return q->avail < q->size && q->used < q->size && q->in_flight <= q->size;
    }
    q->seen = q->avail = avail;
    q->used = used;
    q->in_flight = (uint16_t)(avail - used);
    return q->in_flight <= q->size;
}

bool devemu_virtqueue_enable(DevemuVirtqueue *q, const DevemuVirtqueueSetup *setup)
{
    uint32_t size = setup->size;

    devemu_virtqueue_disable(q);
    if (size == 0 || size > q->max_size) {
        return false;
    }
    q->packed = setup->features >> VIRTIO_F_RING_PACKED & 1;
    q->event_idx = setup->features >> VIRTIO_F_EVENT_IDX & 1;
    q->indirect = setup->features >> VIRTIO_F_INDIRECT_DESC & 1;
    q->size = size;
    if (!q->packed && (size & (size - 1)) != 0) {
        return false;
    }
    q->enabled =
        area_set(&q->desc, setup->desc, size * VIRTQ_DESC_SIZE, 16) &&
        area_set(&q->driver, setup->driver, q->packed ? 4 : 6 + 2 * size, q->packed ? 4 : 2) &&
        area_set(&q->device, setup->device, q->packed ? 4 : 6 + 8 * size, 4) &&
        position_set(q, setup);
    if (!q->enabled) {
        q->in_flight = 0;
    }
    return q->enabled;
}

void devemu_virtqueue_disable(DevemuVirtqueue *q)
{
    q->enabled = false;
    q->broken = NULL;
    q->in_flight = q->since = 0;
    q->inflight = NULL;
    g_clear_pointer(&q->again, g_free);
    g_clear_pointer(&q->entries, g_free);
    q->again_at = q->again_count = 0;
    q->present = NULL;
    q->careful = q->starved = false;
    devemu_virtqueue_revoke(q);
}

bool devemu_virtqueue_enabled(const DevemuVirtqueue *q)
{
    return q->enabled;
}

const char *devemu_virtqueue_broken(const DevemuVirtqueue *q)
{
    return q->broken;
}

void devemu_virtqueue_revoke(DevemuVirtqueue *q)
{
    memset(q->windows, 0, sizeof(q->windows));
    memset(&q->window, 0, sizeof(q->window));
    q->desc.data = q->driver.data = q->device.data = NULL;
    q->ready = false;
}

uint32_t devemu_virtqueue_position(const DevemuVirtqueue *q)
{
    return (uint32_t)(q->avail | (q->packed && q->avail_wrap) << 15) |
           (uint32_t)(q->used | (q->packed && q->used_wrap) << 15) << 16;
}

unsigned devemu_virtqueue_in_flight(const DevemuVirtqueue *q)
{
    return q->in_flight;
}

/* --- running ----------------------------------------------------------------------- */

static inline bool ready(DevemuVirtqueue *q)
{
    return G_LIKELY(q->ready) || get_ready(q);
}

static inline unsigned take(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count)
{
    return q->packed ? virtq_packed_pop(q, chains, count) : virtq_split_pop(q, chains, count);
}

/* What was popped last is available again. */
static void put_back(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        unsigned places = q->packed ? chains[i].descs : 1;

        if (places > q->in_flight) {
            return; /* reset meanwhile */
        }
        q->in_flight -= places;
        if (q->packed && q->avail < places) {
            q->avail_wrap = !q->avail_wrap;
            q->avail = (uint16_t)(q->avail + q->size);
        }
        q->avail = (uint16_t)(q->avail - places);
    }
}

/* A window holds what is there; the rest is asked for all at once. */
static bool chain_present(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain)
{
    bool there = true;

    for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
        const DevemuVirtqueueSegment *s = &chain->segments[i];

        if (s->data == NULL && !virtq_present(q, s->addr, s->len, i >= chain->readable)) {
            there = false;
        }
    }
    return there;
}

static G_GNUC_NO_INLINE unsigned pop_carefully(DevemuVirtqueue *q, DevemuVirtqueueChain *chains,
                                               unsigned count)
{
    bool again = q->again_at < q->again_count;
    unsigned n, there = 0;

    q->starved = false;
    if (again) {
        n = count > 0 ? virtq_inflight_again(q, chains) : 0;
    } else {
        n = take(q, chains, count);
    }
    while (there < n && chain_present(q, &chains[there])) {
        there++;
    }
    if (again) {
        q->again_at += there;
        return there;
    }
    put_back(q, chains + there, n - there);
    if (q->inflight != NULL) {
        virtq_inflight_popped(q, chains, there);
    }
    return there;
}

unsigned devemu_virtqueue_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count)
{
    if (!ready(q)) {
        return 0;
    }
    return G_UNLIKELY(q->careful) ? pop_carefully(q, chains, count) : take(q, chains, count);
}

bool devemu_virtqueue_retake(DevemuVirtqueue *q, unsigned id, DevemuVirtqueueChain *ret_chain)
{
    if (!ready(q) || q->packed || q->in_flight == 0) {
        return false;
    }
    return virtq_split_retake(q, id, ret_chain) ||
           virtq_break(q, "virtqueue: an indirect table is outside memory");
}

void devemu_virtqueue_set_present(DevemuVirtqueue *q, DevemuVirtqueuePresent *present, void *opaque)
{
    if (q->enabled) {
        q->present = present;
        q->present_opaque = opaque;
        q->careful = q->inflight != NULL || present != NULL;
    }
}

bool devemu_virtqueue_starved(const DevemuVirtqueue *q)
{
    return q->starved;
}

void devemu_virtqueue_remap(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain)
{
    for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
        DevemuVirtqueueSegment *s = &chain->segments[i];

        s->data = virtq_map(q, s->addr, s->len, i >= chain->readable);
    }
}

void devemu_virtqueue_unpop(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    put_back(q, chains, count);
    if (q->inflight != NULL) {
        virtq_inflight_unpopped(q, chains, count);
    }
}

void devemu_virtqueue_push_together(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                                    const uint32_t *written, unsigned count)
{
    if (!ready(q)) {
        return;
    }
    if (G_UNLIKELY(q->inflight != NULL)) {
        virtq_inflight_push(q, chains, written, count);
    } else if (q->packed) {
        virtq_packed_push(q, chains, written, count);
    } else {
        virtq_split_push(q, chains, written, count);
    }
}

void devemu_virtqueue_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, uint32_t written)
{
    devemu_virtqueue_push_together(q, chain, &written, 1);
}

void devemu_virtqueue_show(DevemuVirtqueue *q)
{
    if (q->since > 0 && !q->packed && ready(q)) {
        virtq_split_show(q);
    }
}

void devemu_virtqueue_owe(DevemuVirtqueue *q)
{
    q->since = q->size;
}

bool devemu_virtqueue_flush(DevemuVirtqueue *q)
{
    if (q->since == 0 || !ready(q) || !(q->packed ? virtq_packed_flush(q) : virtq_split_flush(q))) {
        return false;
    }
    if (q->ops.notify != NULL) {
        q->ops.notify(q->host);
    }
    return true;
}

bool devemu_virtqueue_waiting(DevemuVirtqueue *q)
{
    return ready(q) &&
           (q->again_at < q->again_count ||
            (q->packed ? virtq_packed_waiting(q) : virtq_split_waiting(q))) &&
           !q->starved;
}

void devemu_virtqueue_set_polled(DevemuVirtqueue *q, bool polled)
{
    q->polled = polled;
    if (polled) {
        devemu_virtqueue_ignore(q);
    }
}

bool devemu_virtqueue_listen(DevemuVirtqueue *q)
{
    if (G_UNLIKELY(q->polled)) {
        return devemu_virtqueue_waiting(q);
    }
    return ready(q) &&
           ((q->packed ? virtq_packed_listen(q, true) : virtq_split_listen(q, true)) ||
            q->again_at < q->again_count) &&
           !q->starved;
}

void devemu_virtqueue_ignore(DevemuVirtqueue *q)
{
    if (ready(q)) {
        (void)(q->packed ? virtq_packed_listen(q, false) : virtq_split_listen(q, false));
    }
}

/* --- payload ----------------------------------------------------------------------- */

/* One step of a copy: to a segment, or from it. */
typedef bool Move(DevemuVirtqueue *q, const DevemuVirtqueueSegment *s, uint32_t off, void *buf,
                  size_t len);

static bool move_in(DevemuVirtqueue *q, const DevemuVirtqueueSegment *s, uint32_t off, void *buf,
                    size_t len)
{
    if (s->data == NULL) {
        return bus_read(q, s->addr + off, buf, len);
    }
    memcpy(buf, s->data + off, len);
    return true;
}

static bool move_out(DevemuVirtqueue *q, const DevemuVirtqueueSegment *s, uint32_t off, void *buf,
                     size_t len)
{
    if (s->data == NULL) {
        return bus_write(q, s->addr + off, buf, len);
    }
    memcpy(s->data + off, buf, len);
    return true;
}

static size_t move(DevemuVirtqueue *q, const DevemuVirtqueueSegment *s, unsigned count, uint64_t at,
                   uint8_t *buf, size_t len, Move *each)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < len; i++) {
        size_t n;

        if (at >= s[i].len) {
            at -= s[i].len;
            continue;
        }
        n = MIN(len - done, s[i].len - at);
        if (!each(q, &s[i], (uint32_t)at, buf + done, n)) {
            break;
        }
        done += n;
        at = 0;
    }
    return done;
}

size_t devemu_virtqueue_read(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, uint64_t at,
                             void *buf, size_t len)
{
    return move(q, chain->segments, chain->readable, at, buf, len, move_in);
}

size_t devemu_virtqueue_write(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, uint64_t at,
                              const void *buf, size_t len)
{
    union {
        const void *from;
        void *to;
    } bytes = {.from = buf}; /* move_out() only reads it */

    return move(q, chain->segments + chain->readable, chain->writable, at, bytes.to, len, move_out);
}
