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

enum { BOTH = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED };

/* A place of the ring and, as the driver marks what is available there, the wrap counter: AVAIL is
 * the counter and USED its inverse (Driver and Device Ring Wrap Counters). */
typedef struct Place {
    unsigned at, mark;
} Place;

static inline Place place(unsigned at, bool wrap)
{
    return (Place){at, wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED};
}

static inline void step(Place *p, unsigned size, unsigned count)
{
    p->at += count;
    if (G_UNLIKELY(p->at >= size)) {
        p->at -= size;
        p->mark ^= BOTH;
    }
}

/* The descriptor there if it is available. False if not, or if memory does not answer. The rest of
 * the list was there before its flags were. */
static inline bool first(DevemuVirtqueue *q, Place p, VirtqDesc *ret_desc)
{
    const uint8_t *data = q->desc.data;
    uint16_t flags;

    if (G_LIKELY(data != NULL)) {
        uint64_t second;

        data += (size_t)p.at * VIRTQ_DESC_SIZE;
        second = virtq_load64_acquire(data + 8);
        if ((second >> 48 & BOTH) != p.mark) {
            return false;
        }
        *ret_desc = (VirtqDesc){virtq_load64(data), second};
        return true;
    }
    if (!virtq_read16(q, &q->desc, p.at * VIRTQ_DESC_SIZE + FLAGS_AT, &flags) ||
        (flags & BOTH) != p.mark) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return virtq_desc(q, p.at, ret_desc);
}

/* The list that begins with *desc, of at most `free` places. */
static G_GNUC_NO_INLINE bool walk(DevemuVirtqueue *q, unsigned at, VirtqDesc desc, unsigned free,
                                  DevemuVirtqueueSegment *segments, DevemuVirtqueueChain *ret_chain)
{
    DevemuVirtqueueChain chain = {.segments = segments};

    for (unsigned n = 1;; n++) {
        unsigned flags = virtq_desc_high(desc);

        chain.descs = (uint16_t)n;
        chain.id = (uint16_t)virtq_desc_low(desc);
        if (G_UNLIKELY(flags & VIRTQ_DESC_F_INDIRECT)) {
            /* Indirect Descriptors: not in a list linked by NEXT. */
            if (n > 1 || (flags & VIRTQ_DESC_F_NEXT)) {
                return virtq_break(q, "virtqueue: an INDIRECT descriptor in a list");
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
        at = at + 1 == q->size ? 0 : at + 1;
        if (G_UNLIKELY(n == free)) {
            return virtq_break(q, "virtqueue: a list is longer than the free places of the ring");
        }
        if (!virtq_desc(q, at, &desc)) {
            return false;
        }
    }
}

static inline bool take(DevemuVirtqueue *q, Place p, unsigned free, const DevemuWindow *window,
                        DevemuVirtqueueSegment *segments, DevemuVirtqueueChain *ret_chain)
{
    VirtqDesc desc;

    if (!first(q, p, &desc)) {
        return false;
    }
    if (G_UNLIKELY(free == 0)) {
        return virtq_break(q, "virtqueue: a list is longer than the free places of the ring");
    }
    if (G_LIKELY(virtq_one(window, desc, virtq_desc_high(desc), segments, ret_chain))) {
        ret_chain->id = (uint16_t)virtq_desc_low(desc);
        ret_chain->descs = 1;
        return true;
    }
    return walk(q, p.at, desc, free, segments, ret_chain);
}

unsigned virtq_packed_pop(DevemuVirtqueue *q, DevemuVirtqueueChain *chains, unsigned count)
{
    DevemuVirtqueueSegment *next = q->segments, *last = next + q->max_size;
    DevemuWindow window = q->window;
    Place avail = place(q->avail, q->avail_wrap);
    unsigned size = q->size, free = size - q->in_flight, n;

    for (n = 0; n < count && next <= last; n++) {
        if (!take(q, avail, free, &window, next, &chains[n])) {
            break;
        }
        step(&avail, size, chains[n].descs);
        free -= chains[n].descs;
        next += chains[n].readable + chains[n].writable;
    }
    q->avail = (uint16_t)avail.at;
    q->avail_wrap = avail.mark == VIRTQ_DESC_F_AVAIL;
    q->in_flight = size - free;
    return n;
}

/* The second half of a used descriptor, but for AVAIL and USED. WRITE says that something was
 * written. */
static inline uint64_t used_word(const DevemuVirtqueueChain *chain, uint32_t written)
{
    uint64_t flags = written > 0 ? VIRTQ_DESC_F_WRITE : 0;

    return written | (uint64_t)chain->id << 32 | flags << 48;
}

/* One used descriptor for the list; its flags come last, or all at once. */
static inline bool write_used(DevemuVirtqueue *q, uint8_t *ring, unsigned at_place, uint64_t word)
{
    uint32_t at = at_place * VIRTQ_DESC_SIZE;
    uint64_t le;

    if (G_LIKELY(ring != NULL)) {
        virtq_store64_release(ring + at + 8, word);
        return true;
    }
    le = GUINT64_TO_LE(word);
    if (!virtq_area_write_slowly(q, &q->desc, at + 8, &le, 6)) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return virtq_write16(q, &q->desc, at + FLAGS_AT, (uint16_t)(word >> 48));
}

/* The driver sees each at once, and none behind one that it does not see: the first is written
 * last. What is pushed after a reset is dropped. */
void virtq_packed_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                       const uint32_t *written, unsigned count)
{
    static const uint64_t both = (uint64_t)BOTH << 48;
    uint8_t *ring = q->desc.data;
    unsigned size = q->size, left = q->in_flight, at = q->used;
    uint64_t wrap = q->used_wrap ? both : 0, first_wrap = wrap;

    for (unsigned i = 0; i < count; i++) {
        unsigned descs = chains[i].descs;
        uint64_t word = used_word(&chains[i], written != NULL ? written[i] : 0) | wrap;

        if (descs > left || (i > 0 && !write_used(q, ring, at, word))) {
            break;
        }
        at += descs;
        if (G_UNLIKELY(at >= size)) {
            at -= size;
            wrap ^= both;
        }
        left -= descs;
    }
    if (left == q->in_flight ||
        !write_used(q, ring, q->used,
                    used_word(&chains[0], written != NULL ? written[0] : 0) | first_wrap)) {
        return;
    }
    q->used = (uint16_t)at;
    q->used_wrap = wrap != 0;
    q->since += q->in_flight - left;
    q->in_flight = left;
}

/* Driver and Device Event Suppression. The specification gives value 3 no meaning; it is taken as
 * ENABLE, as to notify once too often does no harm. */
bool virtq_packed_flush(DevemuVirtqueue *q)
{
    unsigned since = q->since;
    uint32_t event;
    unsigned desc, flags, off, back;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    q->since = 0;
    if (!virtq_read32(q, &q->driver, 0, &event)) {
        return false;
    }
    desc = event & 0xffff;
    flags = event >> 16 & RING_EVENT_FLAGS_MASK;
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
    return virtq_packed_waiting(q);
}

bool virtq_packed_waiting(DevemuVirtqueue *q)
{
    VirtqDesc next;

    return first(q, place(q->avail, q->avail_wrap), &next);
}
