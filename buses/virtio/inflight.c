/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c: what is in flight in a split queue, kept in memory that outlives the process (the
 * vhost-user specification, "Inflight I/O tracking"). Somebody else may write there: each word is
 * looked at once, and no index is believed.
 */
#include "queue.h"

enum {
    HEAD_BYTES = 16,
    VERSION_AT = 8,
    DESC_NUM_AT = 10,
    LAST_BATCH_AT = 12,
    USED_IDX_AT = 14,

    DESC_BYTES = 16,
    INFLIGHT_AT = 0,
    NEXT_AT = 6,
    COUNTER_AT = 8,

    VERSION = 1,
};

/* Numbers are in the host's byte order. */
static uint16_t get16(const uint8_t *at)
{
    return __atomic_load_n((const VirtqWord16 *)(const void *)at, __ATOMIC_RELAXED);
}

static void put16(uint8_t *at, uint16_t value)
{
    __atomic_store_n((VirtqWord16 *)(void *)at, value, __ATOMIC_RELAXED);
}

static uint64_t get64(const uint8_t *at)
{
    return __atomic_load_n((const VirtqWord64 *)(const void *)at, __ATOMIC_RELAXED);
}

static void put64(uint8_t *at, uint64_t value)
{
    __atomic_store_n((VirtqWord64 *)(void *)at, value, __ATOMIC_RELAXED);
}

static uint8_t *desc_of(const DevemuVirtqueue *q, unsigned id)
{
    return q->inflight + HEAD_BYTES + (size_t)(id % q->size) * DESC_BYTES;
}

static void set_inflight(const DevemuVirtqueue *q, unsigned id, uint8_t value)
{
    __atomic_store_n(desc_of(q, id) + INFLIGHT_AT, value, __ATOMIC_RELEASE);
}

size_t devemu_virtqueue_inflight_bytes(unsigned size)
{
    return HEAD_BYTES + (size_t)size * DESC_BYTES;
}

void virtq_inflight_popped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put64(desc_of(q, chains[i].id) + COUNTER_AT, q->inflight_counter++);
        set_inflight(q, chains[i].id, 1);
    }
}

void virtq_inflight_unpopped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        set_inflight(q, chains[i].id, 0);
    }
}

void virtq_inflight_pushed(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put16(desc_of(q, chains[i].id) + NEXT_AT, get16(q->inflight + LAST_BATCH_AT));
        put16(q->inflight + LAST_BATCH_AT, chains[i].id);
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* Those of the last batch are not in flight any more: their used idx is `used`. */
static void settle(DevemuVirtqueue *q, uint16_t used)
{
    unsigned batch = (uint16_t)(used - get16(q->inflight + USED_IDX_AT));
    unsigned id = get16(q->inflight + LAST_BATCH_AT);

    for (unsigned n = 0; n < MIN(batch, q->size); n++) {
        set_inflight(q, id, 0);
        id = get16(desc_of(q, id) + NEXT_AT);
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put16(q->inflight + USED_IDX_AT, used);
}

void virtq_inflight_shown(DevemuVirtqueue *q)
{
    settle(q, q->used);
}

/* --- recovery ---------------------------------------------------------------------- */

typedef struct Kept {
    uint64_t counter;
    uint16_t id;
} Kept;

static int by_counter(const void *a, const void *b)
{
    const Kept *x = a, *y = b;

    return (x->counter > y->counter) - (x->counter < y->counter);
}

static void recover(DevemuVirtqueue *q)
{
    g_autofree Kept *kept = g_new(Kept, q->size);
    unsigned count = 0;

    settle(q, q->used);
    for (unsigned id = 0; id < q->size; id++) {
        uint64_t counter = get64(desc_of(q, id) + COUNTER_AT);

        if (__atomic_load_n(desc_of(q, id) + INFLIGHT_AT, __ATOMIC_ACQUIRE)) {
            kept[count++] = (Kept){counter, (uint16_t)id};
        }
    }
    qsort(kept, count, sizeof(*kept), by_counter);
    q->again = g_new(uint16_t, count + 1);
    q->again_count = count;
    for (unsigned i = 0; i < count; i++) {
        q->again[i] = kept[i].id;
        q->inflight_counter = kept[i].counter + 1;
    }
    q->seen = q->avail = (uint16_t)(q->used + count);
    q->in_flight = count;
}

void devemu_virtqueue_set_inflight(DevemuVirtqueue *q, void *memory)
{
    if (!q->enabled || q->packed) {
        return;
    }
    q->inflight = memory;
    q->careful = true;
    if (get16(q->inflight + VERSION_AT) == VERSION) {
        recover(q);
    } else {
        put16(q->inflight + DESC_NUM_AT, (uint16_t)q->size);
        put16(q->inflight + USED_IDX_AT, q->used);
        put16(q->inflight + VERSION_AT, VERSION);
    }
}

unsigned virtq_inflight_again(DevemuVirtqueue *q, DevemuVirtqueueChain *ret_chain)
{
    return virtq_split_retake(q, q->again[q->again_at], ret_chain) ? 1 : 0;
}
