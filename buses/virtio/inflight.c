/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c: what is in flight in a queue, kept in memory that outlives the process: that of split
 * queues, and the way to that of packed ones.
 */
#include "inflight.h"

enum {
    HEAD_BYTES = 16,
    LAST_BATCH_AT = 12,
    USED_IDX_AT = 14,

    DESC_BYTES = 16,
    INFLIGHT_AT = 0,
    NEXT_AT = 6,
    COUNTER_AT = 8,
};

static uint8_t *desc_of(const DevemuVirtqueue *q, unsigned id)
{
    return q->inflight + HEAD_BYTES + (size_t)(id % q->size) * DESC_BYTES;
}

static void set_inflight(const DevemuVirtqueue *q, unsigned id, uint8_t value)
{
    __atomic_store_n(desc_of(q, id) + INFLIGHT_AT, value, __ATOMIC_RELEASE);
}

size_t devemu_virtqueue_inflight_bytes(unsigned size, bool packed)
{
    return packed ? virtq_inflight_packed_bytes(size) : HEAD_BYTES + (size_t)size * DESC_BYTES;
}

void virtq_inflight_popped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    if (q->packed) {
        virtq_inflight_packed_popped(q, chains, count);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        inflight_put64(desc_of(q, chains[i].id) + COUNTER_AT, q->inflight_counter++);
        set_inflight(q, chains[i].id, 1);
    }
}

void virtq_inflight_unpopped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    if (q->packed) {
        virtq_inflight_packed_unpopped(q, chains, count);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        set_inflight(q, chains[i].id, 0);
    }
}

static void pushed(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        inflight_put16(desc_of(q, chains[i].id) + NEXT_AT,
                       inflight_get16(q->inflight + LAST_BATCH_AT));
        inflight_put16(q->inflight + LAST_BATCH_AT, chains[i].id);
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void virtq_inflight_push(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                         const uint32_t *written, unsigned count)
{
    unsigned n;

    if (q->packed) {
        n = virtq_inflight_packed_pushed(q, chains, count);
        virtq_packed_push(q, chains, written, count);
        virtq_inflight_packed_settle(q, n);
    } else {
        pushed(q, chains, MIN(count, q->in_flight));
        virtq_split_push(q, chains, written, count);
    }
}

/* Those of the last batch are not in flight any more: their used idx is `used`. */
static void settle(DevemuVirtqueue *q, uint16_t used)
{
    unsigned batch = (uint16_t)(used - inflight_get16(q->inflight + USED_IDX_AT));
    unsigned id = inflight_get16(q->inflight + LAST_BATCH_AT);

    for (unsigned n = 0; n < MIN(batch, q->size); n++) {
        set_inflight(q, id, 0);
        id = inflight_get16(desc_of(q, id) + NEXT_AT);
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    inflight_put16(q->inflight + USED_IDX_AT, used);
}

void virtq_inflight_shown(DevemuVirtqueue *q)
{
    settle(q, q->used);
}

/* --- recovery ---------------------------------------------------------------------- */

static int by_counter(const void *a, const void *b)
{
    const InflightKept *x = a, *y = b;

    return (x->counter > y->counter) - (x->counter < y->counter);
}

void virtq_inflight_keep(DevemuVirtqueue *q, InflightKept *kept, unsigned count)
{
    qsort(kept, count, sizeof(*kept), by_counter);
    q->again = g_new(uint16_t, count + 1);
    q->again_at = 0;
    q->again_count = count;
    for (unsigned i = 0; i < count; i++) {
        q->again[i] = kept[i].number;
        q->inflight_counter = kept[i].counter + 1;
    }
}

static void recover(DevemuVirtqueue *q)
{
    g_autofree InflightKept *kept = g_new(InflightKept, q->size);
    unsigned count = 0;

    settle(q, q->used);
    for (unsigned id = 0; id < q->size; id++) {
        uint64_t counter = inflight_get64(desc_of(q, id) + COUNTER_AT);

        if (__atomic_load_n(desc_of(q, id) + INFLIGHT_AT, __ATOMIC_ACQUIRE)) {
            kept[count++] = (InflightKept){counter, (uint16_t)id};
        }
    }
    virtq_inflight_keep(q, kept, count);
    q->seen = q->avail = (uint16_t)(q->used + count);
    q->in_flight = count;
}

static void begin_split(DevemuVirtqueue *q)
{
    if (inflight_get16(q->inflight + INFLIGHT_VERSION_AT) == INFLIGHT_VERSION) {
        recover(q);
        return;
    }
    inflight_put16(q->inflight + INFLIGHT_DESC_NUM_AT, (uint16_t)q->size);
    inflight_put16(q->inflight + USED_IDX_AT, q->used);
    inflight_put16(q->inflight + INFLIGHT_VERSION_AT, INFLIGHT_VERSION);
}

void devemu_virtqueue_set_inflight(DevemuVirtqueue *q, void *memory)
{
    if (!q->enabled) {
        return;
    }
    q->inflight = memory;
    q->careful = true;
    if (q->packed) {
        virtq_inflight_packed_begin(q);
    } else {
        begin_split(q);
    }
}

unsigned virtq_inflight_again(DevemuVirtqueue *q, DevemuVirtqueueChain *ret_chain)
{
    unsigned number = q->again[q->again_at];
    bool taken = q->packed ? virtq_inflight_packed_retake(q, number, ret_chain)
                           : virtq_split_retake(q, number, ret_chain);

    return taken ? 1 : 0;
}
