/* SPDX-License-Identifier: BSD-3-Clause */
/* packed.c: the packed layout ("Packed Virtqueues"). */
#include "queue.h"

enum {
    FLAGS_AT = 14, /* of a descriptor */
    /* Event suppression structures. */
    EVENT_DESC_AT = 0,
    EVENT_FLAGS_AT = 2,
    RING_EVENT_FLAGS_ENABLE = 0,
    RING_EVENT_FLAGS_DISABLE = 1,
    RING_EVENT_FLAGS_DESC = 2,
    RING_EVENT_FLAGS_MASK = 3,
};

static void step(const DevemuVirtqueue *q, uint16_t *at, bool *wrap, unsigned count)
{
    unsigned next = *at + count;

    if (next >= q->size) {
        next -= q->size;
        *wrap = !*wrap;
    }
    *at = (uint16_t)next;
}

/* Driver and Device Ring Wrap Counters: AVAIL is the driver's counter, USED its inverse. False also
 * where memory does not answer. */
static inline bool available(DevemuVirtqueue *q)
{
    uint16_t flags;
    uint16_t wanted = q->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;

    if (!virtq_read16(q, &q->desc, q->avail * VIRTQ_DESC_SIZE + FLAGS_AT, &flags)) {
        return false;
    }
    return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) == wanted;
}

/* The list that begins at the next available place. */
static bool walk(DevemuVirtqueue *q, DevemuVirtqueueChain *chain)
{
    unsigned at = q->avail;
    unsigned free = q->size - q->in_flight;
    VirtqDesc desc;

    for (unsigned n = 1; n <= free; n++) {
        if (!virtq_desc(q, at, &desc)) {
            return false;
        }
        if (G_UNLIKELY(desc.high & VIRTQ_DESC_F_INDIRECT)) {
            /* Indirect Descriptors: not in a list linked by NEXT. */
            if (n > 1 || (desc.high & VIRTQ_DESC_F_NEXT)) {
                return virtq_break(q, "virtqueue: an INDIRECT descriptor in a list");
            }
            if (!virtq_indirect(q, chain, &desc)) {
                return false;
            }
        } else if (!virtq_add(q, chain, &desc, (desc.high & VIRTQ_DESC_F_WRITE) != 0)) {
            return false;
        }
        if (!(desc.high & VIRTQ_DESC_F_NEXT)) {
            chain->id = desc.low;
            chain->descs = (uint16_t)n;
            return true;
        }
        at = at + 1 == q->size ? 0 : at + 1;
    }
    return virtq_break(q, "virtqueue: a list is longer than the free places of the ring");
}

unsigned virtq_packed_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count)
{
    unsigned n = 0;

    while (n < count && virtq_room(q) && available(q)) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        virtq_begin(q, &chains[n]);
        if (!walk(q, &chains[n]) || !virtq_end(q, &chains[n])) {
            break;
        }
        step(q, &q->avail, &q->avail_wrap, chains[n].descs);
        q->in_flight += chains[n].descs;
        n++;
    }
    return n;
}

/* One used descriptor for the list; its flags come last. In a used descriptor WRITE says that
 * something was written. */
void virtq_packed_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, uint32_t written)
{
    uint32_t at = q->used * VIRTQ_DESC_SIZE;
    uint16_t flags = (q->used_wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0) |
                     (written > 0 ? VIRTQ_DESC_F_WRITE : 0);
    uint32_t len = GUINT32_TO_LE(written);

    if (!virtq_area_write(q, &q->desc, at + 8, &len, sizeof(len)) ||
        !virtq_write16(q, &q->desc, at + 12, chain->id)) {
        return;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (virtq_write16(q, &q->desc, at + FLAGS_AT, flags)) {
        step(q, &q->used, &q->used_wrap, chain->descs);
        q->in_flight -= chain->descs;
        q->since += chain->descs;
    }
}

void virtq_packed_skip(DevemuVirtqueue *q, unsigned places)
{
    step(q, &q->used, &q->used_wrap, places);
}

/* Driver and Device Event Suppression. The specification gives value 3 no meaning; it is taken as
 * ENABLE, as to notify once too often does no harm. */
bool virtq_packed_flush(DevemuVirtqueue *q)
{
    unsigned since = q->since;
    uint16_t event[2];
    unsigned desc, flags, off, back;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    q->since = 0;
    if (!virtq_area_read(q, &q->driver, EVENT_DESC_AT, event, sizeof(event))) {
        return false;
    }
    desc = GUINT16_FROM_LE(event[0]);
    flags = GUINT16_FROM_LE(event[1]) & RING_EVENT_FLAGS_MASK;
    if (flags != RING_EVENT_FLAGS_DESC || !q->event_idx) {
        return flags != RING_EVENT_FLAGS_DISABLE;
    }
    /* How far behind the next used place the event is; past since: not in what was just used. */
    off = desc & 0x7fff;
    back = q->used + (desc >> 15 == q->used_wrap ? 0 : q->size) - off;
    return back - 1 < since;
}

bool virtq_packed_listen(DevemuVirtqueue *q, bool on)
{
    uint16_t desc = (uint16_t)(q->avail | q->avail_wrap << 15);
    uint16_t flags = !on            ? RING_EVENT_FLAGS_DISABLE
                     : q->event_idx ? RING_EVENT_FLAGS_DESC
                                    : RING_EVENT_FLAGS_ENABLE;

    if ((on && q->event_idx && !virtq_write16(q, &q->device, EVENT_DESC_AT, desc))) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (!virtq_write16(q, &q->device, EVENT_FLAGS_AT, flags) || !on) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return available(q);
}
