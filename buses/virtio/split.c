/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * split.c: the split layout ("Split Virtqueues"). Fields are little-endian; a legacy device of a
 * big-endian guest is not served.
 */
#include "queue.h"

enum {
    VIRTQ_AVAIL_F_NO_INTERRUPT = 1,
    VIRTQ_USED_F_NO_NOTIFY = 1,
    FLAGS_AT = 0, /* of both rings */
    IDX_AT = 2,
    RING_AT = 4,
    USED_ELEM = 8,
};

/* The Virtqueue Available Ring: idx grows, and not past what the ring can hold. */
static bool look(DevemuVirtqueue *q)
{
    uint16_t idx;

    if (!virtq_read16(q, &q->driver, IDX_AT, &idx)) {
        return false;
    }
    if ((uint16_t)(idx - q->avail) + q->in_flight > q->size) {
        return virtq_break(q, "virtqueue: the available idx jumps");
    }
    q->seen = idx;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return true;
}

/* The chain that begins with *desc. A loop ends at the count: no chain has more descriptors than
 * the table. */
static G_GNUC_NO_INLINE bool walk(DevemuVirtqueue *q, VirtqDesc desc,
                                  DevemuVirtqueueSegment *segments, DevemuVirtqueueChain *ret_chain)
{
    DevemuVirtqueueChain chain = {.segments = segments};

    for (unsigned n = 1;; n++) {
        unsigned flags = virtq_desc_low(desc), next = virtq_desc_high(desc);

        if (G_UNLIKELY(flags & VIRTQ_DESC_F_INDIRECT)) {
            if (flags & VIRTQ_DESC_F_NEXT) {
                return virtq_break(q, "virtqueue: INDIRECT and NEXT in one descriptor");
            }
            virtq_copy(&chain, ret_chain);
            return virtq_indirect(q, ret_chain, desc);
        }
        if (!virtq_add(q, &chain, desc, (flags & VIRTQ_DESC_F_WRITE) != 0)) {
            return false;
        }
        if (!(flags & VIRTQ_DESC_F_NEXT)) {
            return virtq_end(q, &chain, ret_chain);
        }
        if (G_UNLIKELY(n == q->size)) {
            return virtq_break(q, "virtqueue: a chain is longer than the queue");
        }
        if (G_UNLIKELY(next >= q->size)) {
            return virtq_break(q, "virtqueue: a descriptor index is outside the table");
        }
        if (!virtq_desc(q, next, &desc)) {
            return false;
        }
    }
}

static inline bool take(DevemuVirtqueue *q, unsigned head, const DevemuWindow *window,
                        DevemuVirtqueueSegment *segments, DevemuVirtqueueChain *ret_chain)
{
    VirtqDesc desc;

    if (G_UNLIKELY(head >= q->size)) {
        return virtq_break(q, "virtqueue: a descriptor index is outside the table");
    }
    if (!virtq_desc(q, head, &desc) ||
        (!virtq_one(window, desc, virtq_desc_low(desc), segments, ret_chain) &&
         !walk(q, desc, segments, ret_chain))) {
        return false;
    }
    ret_chain->id = (uint16_t)head;
    ret_chain->descs = 0;
    return true;
}

unsigned virtq_split_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count)
{
    DevemuVirtqueueSegment *next = q->segments, *last = next + q->max_size;
    DevemuWindow window = q->window;
    unsigned mask = q->size - 1, avail = q->avail, n;
    uint16_t head;

    if (q->seen == q->avail && !look(q)) {
        return 0;
    }
    count = MIN(count, (uint16_t)(q->seen - avail));
    for (n = 0; n < count && next <= last; n++) {
        if (!virtq_read16(q, &q->driver, RING_AT + 2 * ((avail + n) & mask), &head) ||
            !take(q, head, &window, next, &chains[n])) {
            break;
        }
        next += chains[n].readable + chains[n].writable;
    }
    q->avail = (uint16_t)(avail + n);
    q->in_flight += n;
    return n;
}

bool virtq_split_retake(DevemuVirtqueue *q, unsigned id, DevemuVirtqueueChain *ret_chain)
{
    DevemuVirtqueueChain chain;

    if (!take(q, id, &q->window, q->segments, &chain)) {
        return false;
    }
    *ret_chain = chain;
    return true;
}

/* What is pushed after a reset is dropped. */
void virtq_split_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                      const uint32_t *written, unsigned count)
{
    uint8_t *ring = q->device.data;
    unsigned mask = q->size - 1, used = q->used, n;

    count = MIN(count, q->in_flight);
    for (n = 0; n < count; n++) {
        uint64_t elem = chains[n].id | (uint64_t)(written != NULL ? written[n] : 0) << 32;
        uint32_t at = RING_AT + USED_ELEM * ((used + n) & mask);

        elem = GUINT64_TO_LE(elem);
        if (G_LIKELY(ring != NULL)) {
            memcpy(ring + at, &elem, sizeof(elem));
        } else if (!virtq_area_write_slowly(q, &q->device, at, &elem, sizeof(elem))) {
            break;
        }
    }
    q->used = (uint16_t)(used + n);
    q->since += n;
    q->in_flight -= n;
}

/* The Virtqueue Used Ring: len, and the payload, before idx. */
bool virtq_split_show(DevemuVirtqueue *q)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (!virtq_write16(q, &q->device, IDX_AT, q->used)) {
        return false;
    }
    if (G_UNLIKELY(q->inflight != NULL)) {
        virtq_inflight_shown(q);
    }
    return true;
}

/* Used Buffer Notification Suppression. */
bool virtq_split_flush(DevemuVirtqueue *q)
{
    uint32_t used_event_at = RING_AT + 2 * q->size;
    uint16_t word;
    unsigned since = q->since;

    if (!virtq_split_show(q)) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    q->since = 0;
    if (!virtq_read16(q, &q->driver, q->event_idx ? used_event_at : FLAGS_AT, &word)) {
        return false;
    }
    return q->event_idx ? (uint16_t)(q->used - 1 - word) < since
                        : !(word & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

/* Available Buffer Notification Suppression. With EVENT_IDX flags stay 0, and an avail_event that
 * is not moved asks for nothing more. */
bool virtq_split_listen(DevemuVirtqueue *q, bool on)
{
    uint32_t avail_event_at = RING_AT + USED_ELEM * q->size;
    bool ok = true;

    if (!q->event_idx) {
        ok = virtq_write16(q, &q->device, FLAGS_AT, on ? 0 : VIRTQ_USED_F_NO_NOTIFY);
    } else if (on) {
        ok = virtq_write16(q, &q->device, avail_event_at, q->avail);
    }
    if (!ok || !on) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return virtq_split_waiting(q);
}

bool virtq_split_waiting(DevemuVirtqueue *q)
{
    return (q->seen != q->avail || look(q)) && q->seen != q->avail;
}
