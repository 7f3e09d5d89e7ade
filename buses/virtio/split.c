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

/* The chain that begins at head. A loop ends at the count: no chain has more descriptors than the
 * table. */
static bool walk(DevemuVirtqueue *q, DevemuVirtqueueChain *chain, unsigned head)
{
    unsigned at = head;
    VirtqDesc desc;

    for (unsigned n = 0; n < q->size; n++) {
        if (G_UNLIKELY(at >= q->size)) {
            return virtq_break(q, "virtqueue: a descriptor index is outside the table");
        }
        if (!virtq_desc(q, at, &desc)) {
            return false;
        }
        if (G_UNLIKELY(desc.low & VIRTQ_DESC_F_INDIRECT)) {
            if (desc.low & VIRTQ_DESC_F_NEXT) {
                return virtq_break(q, "virtqueue: INDIRECT and NEXT in one descriptor");
            }
            return virtq_indirect(q, chain, &desc);
        }
        if (!virtq_add(q, chain, &desc, (desc.low & VIRTQ_DESC_F_WRITE) != 0)) {
            return false;
        }
        if (!(desc.low & VIRTQ_DESC_F_NEXT)) {
            return true;
        }
        at = desc.high;
    }
    return virtq_break(q, "virtqueue: a chain is longer than the queue");
}

unsigned virtq_split_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count)
{
    unsigned n = 0;
    uint16_t head;

    if (q->seen == q->avail && !look(q)) {
        return 0;
    }
    while (n < count && q->avail != q->seen && virtq_room(q)) {
        uint32_t at = RING_AT + 2 * (q->avail & (q->size - 1));

        if (!virtq_read16(q, &q->driver, at, &head)) {
            break;
        }
        virtq_begin(q, &chains[n]);
        if (!walk(q, &chains[n], head) || !virtq_end(q, &chains[n])) {
            break;
        }
        chains[n].id = head;
        q->avail++;
        q->in_flight++;
        n++;
    }
    return n;
}

bool virtq_split_retake(DevemuVirtqueue *q, unsigned id, DevemuVirtqueueChain *ret_chain)
{
    DevemuVirtqueueChain chain;

    virtq_begin(q, &chain);
    if (!walk(q, &chain, id) || !virtq_end(q, &chain)) {
        return false;
    }
    chain.id = (uint16_t)id;
    *ret_chain = chain;
    return true;
}

void virtq_split_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, uint32_t written)
{
    uint32_t elem[2] = {GUINT32_TO_LE(chain->id), GUINT32_TO_LE(written)};
    uint32_t at = RING_AT + USED_ELEM * (q->used & (q->size - 1));

    if (virtq_area_write(q, &q->device, at, elem, sizeof(elem))) {
        q->used++;
        q->since++;
        q->in_flight--;
    }
}

/* The Virtqueue Used Ring: len, and the payload, before idx. */
bool virtq_split_show(DevemuVirtqueue *q)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return virtq_write16(q, &q->device, IDX_AT, q->used);
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
    return (q->seen != q->avail || look(q)) && q->seen != q->avail;
}
