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

typedef struct VirtqDesc {
    uint64_t addr;
    uint32_t len;
    uint16_t low, high; /* the two words behind: flags and next (split), id and flags (packed) */
} VirtqDesc;

struct DevemuVirtqueue {
    DevemuVirtqueueOps ops;
    void *host;
    const char *broken;
    bool enabled, packed, event_idx, indirect;
    bool stale; /* the areas' windows are to be fetched */
    unsigned size, max_size;
    VirtqArea desc, driver, device;

    /* Split: free running indexes. Packed: offsets in the ring. */
    uint16_t avail, used;
    uint16_t seen;              /* split: the driver's idx when last read */
    bool avail_wrap, used_wrap; /* packed */
    unsigned in_flight;         /* buffers (split), places (packed) */
    unsigned since;             /* used since the last decision to notify, in the same unit */

    DevemuWindow windows[VIRTQ_WINDOWS];
    unsigned hit, last;
    DevemuVirtqueueSegment *segments; /* twice max_size, so that a batch gets at least one buffer */
    unsigned taken;
};

/* False always. The first reason stays. */
bool virtq_break(DevemuVirtqueue *q, const char *why);
/* The address as a pointer, or NULL where no window holds all of it; not in the last one used. */
uint8_t *virtq_map_slowly(DevemuVirtqueue *q, uint64_t addr, uint64_t len, bool write);
/* Accesses to an area that has no window. False breaks the queue. */
bool virtq_area_read_slowly(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at, void *buf,
                            size_t len);
bool virtq_area_write_slowly(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                             const void *buf, size_t len);
/* Add what the indirect table at *table holds to the chain. */
bool virtq_indirect(DevemuVirtqueue *q, DevemuVirtqueueChain *chain, const VirtqDesc *table);

unsigned virtq_split_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count);
bool virtq_split_retake(DevemuVirtqueue *q, unsigned id, DevemuVirtqueueChain *ret_chain);
void virtq_split_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, uint32_t written);
bool virtq_split_show(DevemuVirtqueue *q);
bool virtq_split_flush(DevemuVirtqueue *q); /* true: notify */
bool virtq_split_listen(DevemuVirtqueue *q, bool on);
unsigned virtq_packed_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count);
void virtq_packed_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, uint32_t written);
/* The next used place is behind so many. */
void virtq_packed_skip(DevemuVirtqueue *q, unsigned places);
bool virtq_packed_flush(DevemuVirtqueue *q);
bool virtq_packed_listen(DevemuVirtqueue *q, bool on);

/* What was read from memory before is not read again: the copy is what counts. */
static inline void virtq_copied(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline uint8_t *virtq_map(DevemuVirtqueue *q, uint64_t addr, uint64_t len, bool write)
{
    const DevemuWindow *w = &q->windows[q->hit];
    uint64_t off = addr - w->addr;

    if (G_LIKELY(off < w->len && len <= w->len - off && (!write || w->writable))) {
        return w->data + off;
    }
    return virtq_map_slowly(q, addr, len, write);
}

static inline bool virtq_area_read(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                                   void *buf, size_t len)
{
    if (G_LIKELY(area->data != NULL)) {
        memcpy(buf, area->data + at, len);
        virtq_copied();
        return true;
    }
    return virtq_area_read_slowly(q, area, at, buf, len);
}

static inline bool virtq_area_write(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                                    const void *buf, size_t len)
{
    if (G_LIKELY(area->data != NULL)) {
        memcpy(area->data + at, buf, len);
        return true;
    }
    return virtq_area_write_slowly(q, area, at, buf, len);
}

static inline bool virtq_read16(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                                uint16_t *ret_value)
{
    uint16_t value;

    if (!virtq_area_read(q, area, at, &value, sizeof(value))) {
        return false;
    }
    *ret_value = GUINT16_FROM_LE(value);
    return true;
}

static inline bool virtq_write16(DevemuVirtqueue *q, const VirtqArea *area, uint32_t at,
                                 uint16_t value)
{
    uint16_t le = GUINT16_TO_LE(value);

    return virtq_area_write(q, area, at, &le, sizeof(le));
}

static inline void virtq_decode(const uint64_t *words, VirtqDesc *ret_desc)
{
    uint64_t second = GUINT64_FROM_LE(words[1]);

    ret_desc->addr = GUINT64_FROM_LE(words[0]);
    ret_desc->len = (uint32_t)second;
    ret_desc->low = (uint16_t)(second >> 32);
    ret_desc->high = (uint16_t)(second >> 48);
}

/* Descriptor `at` of the Descriptor Area, copied once. */
static inline bool virtq_desc(DevemuVirtqueue *q, unsigned at, VirtqDesc *ret_desc)
{
    uint64_t words[2];

    if (!virtq_area_read(q, &q->desc, at * VIRTQ_DESC_SIZE, words, sizeof(words))) {
        return false;
    }
    virtq_decode(words, ret_desc);
    return true;
}

static inline void virtq_begin(DevemuVirtqueue *q, DevemuVirtqueueChain *chain)
{
    *chain = (DevemuVirtqueueChain){.segments = q->segments + q->taken};
}

/* Is there room for another buffer, however long? */
static inline bool virtq_room(const DevemuVirtqueue *q)
{
    return q->taken <= q->max_size;
}

static inline bool virtq_add(DevemuVirtqueue *q, DevemuVirtqueueChain *chain, const VirtqDesc *desc,
                             bool write)
{
    DevemuVirtqueueSegment *segment = &q->segments[q->taken];

    if (G_UNLIKELY(chain->readable + chain->writable == q->max_size)) {
        return virtq_break(q, "virtqueue: a chain is longer than the queue");
    }
    segment->addr = desc->addr;
    segment->len = desc->len;
    segment->data = virtq_map(q, desc->addr, desc->len, write);
    if (write) {
        chain->writable++;
        chain->writable_len += desc->len;
    } else if (G_UNLIKELY(chain->writable > 0)) {
        return virtq_break(q, "virtqueue: a device-readable element follows a writable one");
    } else {
        chain->readable++;
        chain->readable_len += desc->len;
    }
    q->taken++;
    return true;
}

/* The Virtqueue Descriptor Table: no chain is longer than 2^32 bytes. */
static inline bool virtq_end(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain)
{
    return chain->readable_len + chain->writable_len <= (uint64_t)1 << 32 ||
           virtq_break(q, "virtqueue: a chain has more than 2^32 bytes");
}

#endif
