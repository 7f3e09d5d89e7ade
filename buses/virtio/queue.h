/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.h: what the two layouts of a virtqueue share. Clauses are those of the specification's
 * "Basic Facilities of a Virtio Device".
 */
#ifndef DEVEMU_VIRTIO_QUEUE_H
#define DEVEMU_VIRTIO_QUEUE_H

#include <devemu/virtio.h>

#include <glib.h>
#include <string.h>

enum {
    VIRTQ_WINDOWS = 8,
    VIRTQ_DESC_SIZE = 16,

    VIRTQ_DESC_F_NEXT = 1,
    VIRTQ_DESC_F_WRITE = 2,
    VIRTQ_DESC_F_INDIRECT = 4,
    VIRTQ_DESC_F_AVAIL = 1 << 7,
    VIRTQ_DESC_F_USED = 1 << 15,
};

/* A part of the queue in memory. */
typedef struct VirtqArea {
    uint64_t addr;
    uint32_t len;
    uint8_t *data; /* window, or NULL */
} VirtqArea;

/* As its two words, in which the compiler keeps it in registers. */
typedef struct VirtqDesc {
    uint64_t addr, rest;
} VirtqDesc;

struct DevemuVirtqueue {
    /* What every buffer touches. */
    bool ready;   /* enabled, not broken, and the areas' windows are those of now */
    bool careful; /* has memory that knows what is in flight, or memory that may be away */
    bool packed, event_idx, indirect;
    bool avail_wrap, used_wrap; /* packed */
    uint16_t avail, used;       /* split: free running indexes; packed: offsets in the ring */
    uint16_t seen;              /* split: the driver's idx when last read */
    unsigned size, max_size;
    unsigned in_flight;               /* buffers (split), places (packed) */
    unsigned since;                   /* used since the last decision to notify, in the same unit */
    DevemuVirtqueueSegment *segments; /* twice max_size, so that a batch gets at least one buffer */
    VirtqArea desc, driver, device;
    DevemuWindow window; /* the one that was used last */

    bool enabled;
    const char *broken;
    DevemuVirtqueueOps ops;
    void *host;
    DevemuWindow windows[VIRTQ_WINDOWS];
    unsigned last;
    bool polled;

    /* Memory that knows what is in flight, or NULL; and what is to be popped again. */
    uint8_t *inflight;
    uint64_t inflight_counter;
    uint16_t *again;
    unsigned again_at, again_count;
    uint16_t *entries; /* packed: where memory has the buffer of each id */

    /* Is memory there, or NULL: always; and the last pop() met some that was not. */
    DevemuVirtqueuePresent *present;
    void *present_opaque;
    bool starved;
};

/* False always. The first reason stays. */
bool virtq_break(DevemuVirtqueue *q, const char *why);
/* The address as a pointer, or NULL where no window holds all of it; not in the last one used. */
uint8_t *virtq_map_slowly(DevemuVirtqueue *q, uint64_t addr, uint64_t len, bool write);
/* Is it there? If not, the queue is starved. */
bool virtq_present(DevemuVirtqueue *q, uint64_t addr, uint64_t len, bool write);
/* Accesses to an area that has no window. False breaks the queue. */
bool virtq_area_read_slowly(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at, void *buf,
                            size_t len);
bool virtq_area_write_slowly(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                             const void *buf, size_t len);
/* Add what the indirect table holds to the chain, which then is whole. False breaks the queue, or
 * starves it. */
bool virtq_indirect(DevemuVirtqueue *q, DevemuVirtqueueChain *chain, VirtqDesc table);

unsigned virtq_split_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count);
bool virtq_split_retake(DevemuVirtqueue *q, unsigned id, DevemuVirtqueueChain *ret_chain);
void virtq_split_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                      const uint32_t *written, unsigned count);
bool virtq_split_show(DevemuVirtqueue *q);
bool virtq_split_flush(DevemuVirtqueue *q); /* true: notify */
bool virtq_split_listen(DevemuVirtqueue *q, bool on);
bool virtq_split_waiting(DevemuVirtqueue *q);
unsigned virtq_packed_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count);
void virtq_packed_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                       const uint32_t *written, unsigned count);
bool virtq_packed_flush(DevemuVirtqueue *q);
bool virtq_packed_listen(DevemuVirtqueue *q, bool on);
bool virtq_packed_waiting(DevemuVirtqueue *q);

/* inflight.c; only where there is such memory. */
void virtq_inflight_popped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count);
void virtq_inflight_unpopped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                             unsigned count);
/* virtq_split_push() or virtq_packed_push(), with what memory has to know of it. */
void virtq_inflight_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                         const uint32_t *written, unsigned count);
/* Of a split queue: the driver sees what was pushed. */
void virtq_inflight_shown(DevemuVirtqueue *q);
/* The next buffer that is to be popped again, which the caller then counts; 0: it breaks the queue,
 * or is away. */
unsigned virtq_inflight_again(DevemuVirtqueue *q, DevemuVirtqueueChain *ret_chain);

/* --- memory that somebody else writes at the same time ----------------------------- */

/* What is read is read once, whole, and never again: the copy is what counts. So the loads are
 * atomic, but in no order, unless they say so. */
typedef uint16_t G_GNUC_MAY_ALIAS VirtqWord16;
typedef uint32_t G_GNUC_MAY_ALIAS VirtqWord32;
typedef uint64_t G_GNUC_MAY_ALIAS VirtqWord64;

static inline uint16_t virtq_load16(const void *at)
{
    return GUINT16_FROM_LE(__atomic_load_n((const VirtqWord16 *)at, __ATOMIC_RELAXED));
}

static inline uint32_t virtq_load32(const void *at)
{
    return GUINT32_FROM_LE(__atomic_load_n((const VirtqWord32 *)at, __ATOMIC_RELAXED));
}

static inline uint64_t virtq_load64(const void *at)
{
    return GUINT64_FROM_LE(__atomic_load_n((const VirtqWord64 *)at, __ATOMIC_RELAXED));
}

static inline uint64_t virtq_load64_acquire(const void *at)
{
    return GUINT64_FROM_LE(__atomic_load_n((const VirtqWord64 *)at, __ATOMIC_ACQUIRE));
}

static inline void virtq_store16(void *at, uint16_t value)
{
    __atomic_store_n((VirtqWord16 *)at, GUINT16_TO_LE(value), __ATOMIC_RELAXED);
}

static inline void virtq_store64_release(void *at, uint64_t value)
{
    __atomic_store_n((VirtqWord64 *)at, GUINT64_TO_LE(value), __ATOMIC_RELEASE);
}

static inline bool virtq_read16(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                                uint16_t *ret_value)
{
    if (G_LIKELY(area->data != NULL)) {
        *ret_value = virtq_load16(area->data + at);
        return true;
    }
    if (!virtq_area_read_slowly(q, area, at, ret_value, sizeof(*ret_value))) {
        return false;
    }
    *ret_value = GUINT16_FROM_LE(*ret_value);
    return true;
}

static inline bool virtq_read32(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                                uint32_t *ret_value)
{
    if (G_LIKELY(area->data != NULL)) {
        *ret_value = virtq_load32(area->data + at);
        return true;
    }
    if (!virtq_area_read_slowly(q, area, at, ret_value, sizeof(*ret_value))) {
        return false;
    }
    *ret_value = GUINT32_FROM_LE(*ret_value);
    return true;
}

static inline bool virtq_write16(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                                 uint16_t value)
{
    uint16_t le = GUINT16_TO_LE(value);

    if (G_LIKELY(area->data != NULL)) {
        virtq_store16(area->data + at, value);
        return true;
    }
    return virtq_area_write_slowly(q, area, at, &le, sizeof(le));
}

/* --- descriptors ------------------------------------------------------------------- */

static inline uint32_t virtq_desc_len(VirtqDesc desc)
{
    return (uint32_t)desc.rest;
}

/* The two halfwords behind: flags and next (split), id and flags (packed). */
static inline unsigned virtq_desc_low(VirtqDesc desc)
{
    return desc.rest >> 32 & 0xffff;
}

static inline unsigned virtq_desc_high(VirtqDesc desc)
{
    return (unsigned)(desc.rest >> 48);
}

/* Descriptor `at` of the Descriptor Area. */
static inline bool virtq_desc(DevemuVirtqueue *q, unsigned at, VirtqDesc *ret_desc)
{
    const uint8_t *data = q->desc.data;
    uint64_t words[2];

    if (G_LIKELY(data != NULL)) {
        data += (size_t)at * VIRTQ_DESC_SIZE;
        *ret_desc = (VirtqDesc){virtq_load64(data), virtq_load64(data + 8)};
        return true;
    }
    if (!virtq_area_read_slowly(q, &q->desc, at * VIRTQ_DESC_SIZE, words, sizeof(words))) {
        return false;
    }
    *ret_desc = (VirtqDesc){GUINT64_FROM_LE(words[0]), GUINT64_FROM_LE(words[1])};
    return true;
}

/* --- chains ------------------------------------------------------------------------ */

static inline bool virtq_window_holds(const DevemuWindow *w, uint64_t addr, uint64_t len,
                                      bool write)
{
    uint64_t off = addr - w->addr;

    return off < w->len && len <= w->len - off && (!write || w->writable);
}

static inline uint8_t *virtq_map(DevemuVirtqueue *q, uint64_t addr, uint64_t len, bool write)
{
    if (G_LIKELY(virtq_window_holds(&q->window, addr, len, write))) {
        return q->window.data + (addr - q->window.addr);
    }
    return virtq_map_slowly(q, addr, len, write);
}

/* What most chains are: one direct descriptor, in the window that was used last. False, and
 * nothing is done, if this is another one. */
static inline bool virtq_one(const DevemuWindow *window, VirtqDesc desc, unsigned flags,
                             DevemuVirtqueueSegment *segment, DevemuVirtqueueChain *ret_chain)
{
    bool write = (flags & VIRTQ_DESC_F_WRITE) != 0;
    uint32_t len = virtq_desc_len(desc);

    if (G_UNLIKELY((flags & (VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_INDIRECT)) != 0 ||
                   !virtq_window_holds(window, desc.addr, len, write))) {
        return false;
    }
    segment->addr = desc.addr;
    segment->data = window->data + (desc.addr - window->addr);
    segment->len = len;
    ret_chain->segments = segment;
    ret_chain->readable = !write;
    ret_chain->writable = write;
    ret_chain->readable_len = write ? 0 : len;
    ret_chain->writable_len = write ? len : 0;
    return true;
}

/* Add an element to a chain of which *chain tells what is there; the caller knows that it is not
 * too long. */
static inline bool virtq_add(DevemuVirtqueue *q, DevemuVirtqueueChain *chain, VirtqDesc desc,
                             bool write)
{
    DevemuVirtqueueSegment *segment = &chain->segments[chain->readable + chain->writable];
    uint32_t len = virtq_desc_len(desc);

    segment->addr = desc.addr;
    segment->len = len;
    segment->data = virtq_map(q, desc.addr, len, write);
    if (write) {
        chain->writable++;
        chain->writable_len += len;
        return true;
    }
    chain->readable++;
    chain->readable_len += len;
    return G_LIKELY(chain->writable == 0) ||
           virtq_break(q, "virtqueue: a device-readable element follows a writable one");
}

/* Field by field, as the wide loads of a copy would wait for the narrow stores before. */
static inline void virtq_copy(const DevemuVirtqueueChain *chain, DevemuVirtqueueChain *ret_chain)
{
    ret_chain->segments = chain->segments;
    ret_chain->readable = chain->readable;
    ret_chain->writable = chain->writable;
    ret_chain->readable_len = chain->readable_len;
    ret_chain->writable_len = chain->writable_len;
    ret_chain->id = chain->id;
    ret_chain->descs = chain->descs;
}

/* The chain is whole. The Virtqueue Descriptor Table: none is longer than 2^32 bytes. */
static inline bool virtq_end(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain,
                             DevemuVirtqueueChain *ret_chain)
{
    virtq_copy(chain, ret_chain);
    return G_LIKELY(chain->readable_len + chain->writable_len <= (uint64_t)1 << 32) ||
           virtq_break(q, "virtqueue: a chain has more than 2^32 bytes");
}

#endif
