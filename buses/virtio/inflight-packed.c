/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight-packed.c: what is in flight in a packed queue, kept in memory that outlives the process.
 * Used descriptors take the places of available ones, so memory has a copy of each: in entries, of
 * which the free ones are linked by `next`, and those of a buffer in the order of its list.
 *
 * Where a server dies while it uses buffers, the first place that they take tells the next one
 * whether the driver sees them: it is written last. "old" words are what holds if it does not.
 */
#include "inflight.h"

enum {
    FREE_HEAD_AT = 12,
    OLD_FREE_HEAD_AT = 14,
    USED_IDX_AT = 16,
    OLD_USED_IDX_AT = 18,
    USED_WRAP_AT = 20, /* a byte, as the next */
    OLD_USED_WRAP_AT = 21,
    HEAD_BYTES = 32,

    ENTRY_BYTES = 32,
    INFLIGHT_AT = 0, /* this, last, num and counter: of the entry that a buffer begins with */
    NEXT_AT = 2,
    LAST_AT = 4,
    NUM_AT = 6,
    COUNTER_AT = 8,
    ID_AT = 16,
    FLAGS_AT = 18,
    LEN_AT = 20,
    ADDR_AT = 24,

    IDS = 65536,
    NOWHERE = 0xffff,
    BOTH = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED,
};

size_t virtq_inflight_packed_bytes(unsigned size)
{
    return HEAD_BYTES + (size_t)size * ENTRY_BYTES;
}

static uint8_t *entry_of(const DevemuVirtqueue *q, unsigned number)
{
    return q->inflight + HEAD_BYTES + (size_t)(number % q->size) * ENTRY_BYTES;
}

static uint16_t get(const DevemuVirtqueue *q, unsigned at)
{
    return inflight_get16(q->inflight + at);
}

static void put(const DevemuVirtqueue *q, unsigned at, unsigned value)
{
    inflight_put16(q->inflight + at, (uint16_t)value);
}

static void set_inflight(const DevemuVirtqueue *q, unsigned number, uint8_t value)
{
    __atomic_store_n(entry_of(q, number) + INFLIGHT_AT, value, __ATOMIC_RELEASE);
}

static bool is_inflight(const DevemuVirtqueue *q, unsigned number)
{
    return __atomic_load_n(entry_of(q, number) + INFLIGHT_AT, __ATOMIC_ACQUIRE) != 0;
}

/* Both wrap counters are in the bit above the offsets here. */
static unsigned used_place(const DevemuVirtqueue *q, unsigned idx_at, unsigned wrap_at)
{
    return (get(q, idx_at) & 0x7fffu) |
           (__atomic_load_n(q->inflight + wrap_at, __ATOMIC_RELAXED) ? 0x8000u : 0);
}

static void put_used_place(const DevemuVirtqueue *q, unsigned idx_at, unsigned wrap_at,
                           unsigned place)
{
    put(q, idx_at, place & 0x7fff);
    __atomic_store_n(q->inflight + wrap_at, (uint8_t)(place >> 15), __ATOMIC_RELAXED);
}

/* --- popped ------------------------------------------------------------------------ */

static void copy_desc(uint8_t *entry, VirtqDesc desc)
{
    inflight_put64(entry + ADDR_AT, desc.addr);
    inflight_put16(entry + ID_AT, (uint16_t)virtq_desc_low(desc));
    inflight_put16(entry + FLAGS_AT, (uint16_t)virtq_desc_high(desc));
    inflight_put32(entry + LEN_AT, virtq_desc_len(desc));
}

static VirtqDesc desc_in(const uint8_t *entry)
{
    uint64_t id = inflight_get16(entry + ID_AT), flags = inflight_get16(entry + FLAGS_AT);

    return (VirtqDesc){inflight_get64(entry + ADDR_AT),
                       inflight_get32(entry + LEN_AT) | id << 32 | flags << 48};
}

/* The list at that place of the ring. Memory whose free entries are no list does not get it. */
static void record(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, unsigned place)
{
    unsigned head = get(q, FREE_HEAD_AT), at = head, last = head;
    uint8_t *first = entry_of(q, head);
    VirtqDesc desc;

    for (unsigned n = 0; n < chain->descs; n++) {
        if (at >= q->size || !virtq_desc(q, (place + n) % q->size, &desc)) {
            return;
        }
        copy_desc(entry_of(q, at), desc);
        last = at;
        at = inflight_get16(entry_of(q, at) + NEXT_AT);
    }
    inflight_put64(first + COUNTER_AT, q->inflight_counter++);
    inflight_put16(first + LAST_AT, (uint16_t)last);
    inflight_put16(first + NUM_AT, chain->descs);
    set_inflight(q, head, 1);
    put(q, FREE_HEAD_AT, at);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put(q, OLD_FREE_HEAD_AT, at);
    q->entries[chain->id] = (uint16_t)head;
}

void virtq_inflight_packed_popped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                                  unsigned count)
{
    unsigned total = 0, place;

    for (unsigned i = 0; i < count; i++) {
        total += chains[i].descs;
    }
    place = q->avail + q->size - total;
    for (unsigned i = 0; i < count; i++) {
        record(q, &chains[i], place);
        place += chains[i].descs;
    }
}

/* Its entries are free again, if it has any. */
static bool release(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain)
{
    unsigned head = q->entries[chain->id], last;

    if (head == NOWHERE) {
        return false;
    }
    q->entries[chain->id] = NOWHERE;
    last = inflight_get16(entry_of(q, head) + LAST_AT);
    inflight_put16(entry_of(q, last) + NEXT_AT, get(q, FREE_HEAD_AT));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put(q, FREE_HEAD_AT, head);
    return true;
}

void virtq_inflight_packed_unpopped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                                    unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        unsigned head = q->entries[chains[i].id];

        if (release(q, &chains[i])) {
            set_inflight(q, head, 0);
            put(q, OLD_FREE_HEAD_AT, head);
        }
    }
}

/* --- pushed ------------------------------------------------------------------------ */

unsigned virtq_inflight_packed_pushed(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                                      unsigned count)
{
    unsigned left = q->in_flight, used = q->used, wrap = q->used_wrap, released = 0;

    for (unsigned i = 0; i < count && chains[i].descs <= left; i++) {
        released += release(q, &chains[i]);
        left -= chains[i].descs;
        used += chains[i].descs;
    }
    if (used >= q->size) {
        used -= q->size;
        wrap = !wrap;
    }
    put_used_place(q, USED_IDX_AT, USED_WRAP_AT, used | wrap << 15);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return released;
}

/* The free entries begin with those of the last buffers, each list before the one released before.
 */
void virtq_inflight_packed_settle(DevemuVirtqueue *q, unsigned count)
{
    unsigned at = get(q, FREE_HEAD_AT), used = used_place(q, USED_IDX_AT, USED_WRAP_AT);

    if (used != (q->used | (unsigned)q->used_wrap << 15)) {
        return; /* the queue broke */
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (unsigned i = 0; i < count; i++) {
        set_inflight(q, at, 0);
        at = inflight_get16(entry_of(q, inflight_get16(entry_of(q, at) + LAST_AT)) + NEXT_AT);
    }
    put(q, OLD_FREE_HEAD_AT, get(q, FREE_HEAD_AT));
    put_used_place(q, OLD_USED_IDX_AT, OLD_USED_WRAP_AT, used);
}

/* --- recovery ---------------------------------------------------------------------- */

/* Does the driver see what was being used? */
static bool submitted(DevemuVirtqueue *q, unsigned old)
{
    unsigned available = old >> 15 ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
    VirtqDesc desc;

    return virtq_desc(q, (old & 0x7fff) % q->size, &desc) &&
           (virtq_desc_high(desc) & BOTH) != available;
}

static void commit_or_roll_back(DevemuVirtqueue *q)
{
    unsigned used = used_place(q, USED_IDX_AT, USED_WRAP_AT);
    unsigned old = used_place(q, OLD_USED_IDX_AT, OLD_USED_WRAP_AT);

    if (used != old && submitted(q, old)) {
        put(q, OLD_FREE_HEAD_AT, get(q, FREE_HEAD_AT));
        put_used_place(q, OLD_USED_IDX_AT, OLD_USED_WRAP_AT, used);
    } else {
        put_used_place(q, USED_IDX_AT, USED_WRAP_AT, old);
    }
    put(q, FREE_HEAD_AT, get(q, OLD_FREE_HEAD_AT));
    for (unsigned n = 0, at = get(q, FREE_HEAD_AT); n < q->size && at < q->size; n++) {
        set_inflight(q, at, 0);
        at = inflight_get16(entry_of(q, at) + NEXT_AT);
    }
}

/* Where the queue stands, with that many places in flight. */
static void stand(DevemuVirtqueue *q, unsigned places)
{
    unsigned used = used_place(q, USED_IDX_AT, USED_WRAP_AT);

    if ((used & 0x7fff) >= q->size || places > q->size) {
        virtq_break(q, "virtqueue: the memory of what is in flight contradicts itself");
        places = 0;
    }
    q->used = (uint16_t)((used & 0x7fff) % q->size);
    q->used_wrap = used >> 15;
    q->avail = (uint16_t)(q->used + places);
    q->avail_wrap = q->used_wrap;
    if (q->avail >= q->size) {
        q->avail = (uint16_t)(q->avail - q->size);
        q->avail_wrap = !q->avail_wrap;
    }
    q->in_flight = places;
}

static void recover(DevemuVirtqueue *q)
{
    g_autofree InflightKept *kept = g_new(InflightKept, q->size);
    unsigned count = 0;
    uint64_t places = 0;

    commit_or_roll_back(q);
    for (unsigned i = 0; i < q->size; i++) {
        const uint8_t *entry = entry_of(q, i), *last;

        if (is_inflight(q, i)) {
            kept[count++] = (InflightKept){inflight_get64(entry + COUNTER_AT), (uint16_t)i};
            places += inflight_get16(entry + NUM_AT);
            last = entry_of(q, inflight_get16(entry + LAST_AT));
            q->entries[inflight_get16(last + ID_AT)] = (uint16_t)i;
        }
    }
    stand(q, (unsigned)places);
    virtq_inflight_keep(q, kept, count);
}

static void clear(DevemuVirtqueue *q)
{
    unsigned used = q->used | (unsigned)q->used_wrap << 15;

    put(q, INFLIGHT_DESC_NUM_AT, q->size);
    put(q, FREE_HEAD_AT, 0);
    put(q, OLD_FREE_HEAD_AT, 0);
    put_used_place(q, USED_IDX_AT, USED_WRAP_AT, used);
    put_used_place(q, OLD_USED_IDX_AT, OLD_USED_WRAP_AT, used);
    for (unsigned i = 0; i < q->size; i++) {
        set_inflight(q, i, 0);
        inflight_put16(entry_of(q, i) + NEXT_AT, (uint16_t)(i + 1));
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put(q, INFLIGHT_VERSION_AT, INFLIGHT_VERSION);
}

/* Memory of another size knows nothing of this queue. */
void virtq_inflight_packed_begin(DevemuVirtqueue *q)
{
    q->entries = g_new(uint16_t, IDS);
    memset(q->entries, 0xff, IDS * sizeof(q->entries[0]));
    if (get(q, INFLIGHT_VERSION_AT) == INFLIGHT_VERSION &&
        get(q, INFLIGHT_DESC_NUM_AT) == q->size) {
        recover(q);
    } else {
        clear(q);
    }
}

/* The list as it was in the ring. */
bool virtq_inflight_packed_retake(DevemuVirtqueue *q, unsigned number,
                                  DevemuVirtqueueChain *ret_chain)
{
    DevemuVirtqueueChain chain = {.segments = q->segments};
    unsigned num = inflight_get16(entry_of(q, number) + NUM_AT);

    if (num == 0 || num > q->size) {
        return virtq_break(q, "virtqueue: the memory of what is in flight contradicts itself");
    }
    for (unsigned n = 1; n <= num; n++) {
        const uint8_t *entry = entry_of(q, number);
        VirtqDesc desc = desc_in(entry);
        unsigned flags = virtq_desc_high(desc);

        chain.descs = (uint16_t)num;
        chain.id = (uint16_t)virtq_desc_low(desc);
        if (flags & VIRTQ_DESC_F_INDIRECT) {
            virtq_copy(&chain, ret_chain);
            return num == 1 ? virtq_indirect(q, ret_chain, desc)
                            : virtq_break(q, "virtqueue: an INDIRECT descriptor in a list");
        }
        if (!virtq_add(q, &chain, desc, (flags & VIRTQ_DESC_F_WRITE) != 0)) {
            return false;
        }
        number = inflight_get16(entry + NEXT_AT);
    }
    return virtq_end(q, &chain, ret_chain);
}
