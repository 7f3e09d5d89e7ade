/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk-request.c: the requests of a virtio block device, from their queue until they are used. They
 * stand in a table of fixed size, end in any order, and go with a snapshot if one is taken while
 * they are under way: they begin again where they stood.
 */
#include "blk.h"

/* Used buffers that the driver sees together within an event. */
#define SHOWN_AT_ONCE 8

enum {
    BATCH = 16, /* buffers taken from a queue together */
    NOTHING = -1,
};

/* --- room for them ----------------------------------------------------------------- */

void blk_pools_reset(struct virtio_blk *s)
{
    memset(s->free_requests, 0xff, sizeof(s->free_requests));
    memset(s->free_units, 0xff, sizeof(s->free_units));
    s->free_bounces = (1u << BLK_BOUNCES) - 1;
    s->first_waiting = s->last_waiting = 0;
    s->starved = s->dirty = 0;
    s->holding = false;
    memset(s->flying, 0, sizeof(s->flying));
    memset(s->requests, 0, sizeof(s->requests));
}

static int first_set(const uint64_t *bits, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        if (bits[i] != 0) {
            return (int)(i * 64 + (unsigned)__builtin_ctzll(bits[i]));
        }
    }
    return NOTHING;
}

static bool unit_free(const uint64_t *units, unsigned i)
{
    return units[i / 64] >> (i % 64) & 1;
}

/* The first of count free units in a row. */
static int units_find(const uint64_t *units, unsigned count)
{
    unsigned row = 0;

    if (count == 1) {
        return first_set(units, BLK_UNITS / 64);
    }
    for (unsigned i = 0; i < BLK_UNITS; i++) {
        row = unit_free(units, i) ? row + 1 : 0;
        if (row == count) {
            return (int)(i + 1 - count);
        }
    }
    return NOTHING;
}

static void units_flip(uint64_t *units, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        units[i / 64] ^= BIT(i % 64);
    }
}

static unsigned units_of(unsigned segments)
{
    return (segments + BLK_UNIT - 1) / BLK_UNIT;
}

static unsigned first_unit(const struct virtio_blk *s, const BlkRequest *r)
{
    return (unsigned)(r->chain.segments - s->segments) / BLK_UNIT;
}

/* A request that keeps the buffer; NULL if there is no room now. */
static BlkRequest *request_take(struct virtio_blk *s, unsigned queue,
                                const DevemuVirtqueueChain *chain)
{
    unsigned segments = chain->readable + chain->writable, units = units_of(segments);
    int number = first_set(s->free_requests, BLK_REQUESTS / 64);
    int unit = number == NOTHING ? NOTHING : units_find(s->free_units, units);
    BlkRequest *r;

    if (unit == NOTHING) {
        return NULL;
    }
    s->free_requests[number / 64] &= ~BIT(number % 64);
    units_flip(s->free_units, (unsigned)unit, units);
    r = &s->requests[number];
    r->chain = *chain;
    r->chain.segments = &s->segments[unit * BLK_UNIT];
    memcpy(r->chain.segments, chain->segments, segments * sizeof(*chain->segments));
    r->done = r->piece = 0;
    r->queue = (uint8_t)queue;
    r->state = BLK_WAITING;
    return r;
}

static void request_free(struct virtio_blk *s, BlkRequest *r)
{
    unsigned number = (unsigned)(r - s->requests);

    blk_bounce_free(s, r);
    units_flip(s->free_units, first_unit(s, r), units_of(r->chain.readable + r->chain.writable));
    s->free_requests[number / 64] |= BIT(number % 64);
    r->state = BLK_FREE;
}

/* --- those that wait --------------------------------------------------------------- */

static void wait_last(struct virtio_blk *s, BlkRequest *r)
{
    uint16_t number = (uint16_t)(r - s->requests + 1);

    r->next = 0;
    r->state = BLK_WAITING;
    if (s->last_waiting) {
        s->requests[s->last_waiting - 1].next = number;
    } else {
        s->first_waiting = number;
    }
    s->last_waiting = number;
}

static void start_waiting(struct virtio_blk *s)
{
    while (s->first_waiting != 0) {
        BlkRequest *r = &s->requests[s->first_waiting - 1];
        uint16_t next = r->next;

        if (!s->v.enabled[r->queue]) {
            request_free(s, r);
        } else if (!blk_step(s, r, false)) {
            return; /* it stays the first */
        }
        s->first_waiting = next;
        s->last_waiting = next ? s->last_waiting : 0;
    }
}

void blk_look(void *state, uint64_t due_ns)
{
    struct virtio_blk *s = state;

    (void)due_ns;
    blk_tell(s);
    blk_complete(s, NULL, 0);
}

/* --- their end --------------------------------------------------------------------- */

void blk_finish(struct virtio_blk *s, BlkRequest *r, uint8_t status, uint64_t filled)
{
    uint64_t last = r->chain.writable_len - 1;
    DevemuVirtqueue *q = blk_queue(s, r);

    /* 2.7.8.2: as many bytes as were written from the first one on, which does not count the status
     * if there is a gap before it. */
    if (devemu_virtqueue_write(q, &r->chain, last, &status, 1) == 1 && filled == last) {
        filled++;
    }
    devemu_virtqueue_push(q, &r->chain, (uint32_t)(filled < UINT32_MAX ? filled : UINT32_MAX));
    /* A driver that looks at the ring can go on while the rest of a long batch ends. */
    if ((r - s->requests) % SHOWN_AT_ONCE == SHOWN_AT_ONCE - 1) {
        devemu_virtqueue_show(q);
    }
    s->dirty |= BIT(r->queue);
    request_free(s, r);
}

static void show(struct virtio_blk *s)
{
    blk_let_go(s, false);
    while (s->dirty != 0) {
        unsigned queue = (unsigned)__builtin_ctzll(s->dirty);

        s->dirty &= s->dirty - 1;
        virtio_flush(&s->v, queue);
    }
}

static void ended(struct virtio_blk *s, const DevemuBlockCompletion *completion)
{
    BlkRequest *r = &s->requests[completion->tag % BLK_REQUESTS];

    if (r->state == BLK_LOST) {
        request_free(s, r);
        return;
    }
    if (r->state != BLK_FLYING) {
        return;
    }
    s->flying[r->queue]--;
    r->state = BLK_WAITING;
    if (!s->v.enabled[r->queue]) {
        request_free(s, r);
    } else if (!blk_stepped(s, r, completion)) {
        wait_last(s, r);
    }
}

static void feed_starved(struct virtio_blk *s)
{
    uint64_t starved = s->starved;

    for (s->starved = 0; starved != 0; starved &= starved - 1) {
        unsigned queue = (unsigned)__builtin_ctzll(starved);

        if (virtio_ready(&s->v, queue)) {
            virtio_again(&s->v, queue);
        }
    }
}

void blk_complete(void *state, const DevemuBlockCompletion *completions, size_t count)
{
    struct virtio_blk *s = state;

    for (size_t i = 0; i < count; i++) {
        ended(s, &completions[i]);
    }
    start_waiting(s);
    show(s);
    feed_starved(s);
    if (s->v.resetting || s->v.device_resetting) {
        virtio_idle(&s->v);
    }
}

/* Those of the queue do not wait any more. */
static void forget_waiting(struct virtio_blk *s, unsigned queue)
{
    uint16_t number = s->first_waiting;

    s->first_waiting = s->last_waiting = 0;
    while (number != 0) {
        BlkRequest *r = &s->requests[number - 1];

        number = r->next;
        if (r->queue == queue) {
            request_free(s, r);
        } else {
            wait_last(s, r);
        }
    }
}

void blk_forget(struct virtio_blk *s, unsigned queue)
{
    bool waited = false;

    forget_waiting(s, queue);
    for (unsigned i = 0; i < BLK_REQUESTS; i++) {
        BlkRequest *r = &s->requests[i];

        if (r->queue != queue || r->state != BLK_FLYING) {
            continue;
        }
        if (!waited) {
            devemu_wait(s->v.dev);
            waited = true;
        }
        r->state = BLK_LOST;
        s->flying[queue]--;
    }
    s->starved &= ~BIT(queue);
    s->dirty &= ~BIT(queue);
}

/* --- their beginning --------------------------------------------------------------- */

/* False: there is no room for it now. */
static bool begin(struct virtio_blk *s, unsigned queue, const DevemuVirtqueueChain *chain)
{
    uint8_t header[BLK_HEADER];
    BlkRequest *r;

    if (chain->writable_len == 0) {
        /* Nobody could be told that it went wrong. */
        virtio_needs_reset(&s->v, "request: it has no room for a status");
        return true;
    }
    r = request_take(s, queue, chain);
    if (r == NULL) {
        return false;
    }
    if (devemu_virtqueue_read(blk_queue(s, r), &r->chain, 0, header, BLK_HEADER) != BLK_HEADER) {
        blk_finish(s, r, BLK_S_IOERR, 0);
        return true;
    }
    r->type = devemu_le32(header);
    r->sector = devemu_le64(header + 8);
    if (!blk_step(s, r, true)) {
        wait_last(s, r);
    }
    return true;
}

/* Those of a batch. False: no more now. */
static bool begin_all(struct virtio_blk *s, DevemuVirtqueue *q, unsigned queue,
                      const DevemuVirtqueueChain *chains, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!begin(s, queue, &chains[i])) {
            devemu_virtqueue_unpop(q, &chains[i], count - i);
            s->starved |= BIT(queue);
            return false;
        }
        if (!virtio_running(&s->v)) {
            return false;
        }
    }
    return true;
}

/* Up to budget buffers. */
static void take(struct virtio_blk *s, DevemuVirtqueue *q, unsigned queue, unsigned budget)
{
    DevemuVirtqueueChain chains[BATCH];
    unsigned n;

    do {
        while (budget > 0 &&
               (n = devemu_virtqueue_pop(q, chains, budget < BATCH ? budget : BATCH)) > 0) {
            if (!begin_all(s, q, queue, chains, n)) {
                return;
            }
            budget -= n;
        }
        if (budget == 0) {
            virtio_again(&s->v, queue);
            return;
        }
    } while (devemu_virtqueue_listen(q));
}

void blk_process(void *state, unsigned queue)
{
    struct virtio_blk *s = state;
    DevemuVirtqueue *q = virtio_ready(&s->v, queue);

    if (q == NULL) {
        return;
    }
    if (devemu_draining(s->v.dev)) {
        virtio_again(&s->v, queue);
        return;
    }
    if (s->untold) {
        s->untold = false;
        blk_tell(s);
    }
    take(s, q, queue, s->v.size[queue]);
    show(s);
}

/* --- snapshots --------------------------------------------------------------------- */

static void save_one(struct virtio_blk *s, unsigned i)
{
    const BlkRequest *r = &s->requests[i];
    BlkSaved *to = &s->saved;

    to->queue[i] = (uint8_t)(r->queue + 1);
    to->sector[i] = r->sector;
    to->done[i] = r->done;
    to->type[i] = r->type;
    to->id[i] = r->chain.id;
    to->descs[i] = r->chain.descs;
    to->unit[i] = (uint16_t)first_unit(s, r);
    to->readable[i] = (uint16_t)r->chain.readable;
    to->writable[i] = (uint16_t)r->chain.writable;
    for (unsigned n = 0; n < r->chain.readable + r->chain.writable; n++) {
        to->segment_addr[to->unit[i] * BLK_UNIT + n] = r->chain.segments[n].addr;
        to->segment_len[to->unit[i] * BLK_UNIT + n] = r->chain.segments[n].len;
    }
}

void blk_saving(void *state)
{
    struct virtio_blk *s = state;
    bool any = false;

    virtio_saving(state);
    memset(&s->saved, 0, sizeof(s->saved));
    for (unsigned i = 0; i < BLK_REQUESTS; i++) {
        if (s->requests[i].state == BLK_WAITING || s->requests[i].state == BLK_FLYING) {
            save_one(s, i);
            any = true;
        }
    }
    /* They begin again behind the load; the snapshot says so itself, so that it is saved again as
     * it was loaded. */
    if (any && s->look_ns == DEVEMU_NEVER) {
        s->look_ns = devemu_now(s->v.dev);
    }
}

static uint64_t sum(const uint32_t *lens, unsigned count)
{
    uint64_t sum = 0;

    while (count-- > 0) {
        sum += lens[count];
    }
    return sum;
}

/* The segments' places in its units, which are none of another request's. */
static bool saved_one_valid(const BlkSaved *from, unsigned i, uint64_t *units)
{
    unsigned readable = from->readable[i], writable = from->writable[i];
    unsigned count = units_of(readable + writable), unit = from->unit[i];
    const uint32_t *lens = from->segment_len + unit * BLK_UNIT;

    if (readable == 0 || writable == 0 || readable + writable > BLK_QUEUE_SIZE ||
        unit + count > BLK_UNITS) {
        return false;
    }
    for (unsigned n = unit; n < unit + count; n++) {
        if (!unit_free(units, n)) {
            return false;
        }
    }
    units_flip(units, unit, count);
    return sum(lens, readable) >= BLK_HEADER && sum(lens + readable, writable) >= 1;
}

static bool saved_none_valid(const BlkSaved *from, unsigned i)
{
    return (from->sector[i] | from->done[i] | from->type[i] | from->id[i] | from->descs[i] |
            from->unit[i] | from->readable[i] | from->writable[i]) == 0;
}

/* Segments from the first to before the end, which hold nothing. */
static bool segments_empty(const BlkSaved *from, unsigned first, unsigned end)
{
    uint64_t any = 0;

    for (unsigned n = first; n < end; n++) {
        any |= from->segment_addr[n] | from->segment_len[n];
    }
    return any == 0;
}

bool blk_saved_valid(const struct virtio_blk *s)
{
    const BlkSaved *from = &s->saved;
    uint64_t units[BLK_UNITS / 64];

    memset(units, 0xff, sizeof(units));
    for (unsigned i = 0; i < BLK_REQUESTS; i++) {
        unsigned first = from->unit[i] * BLK_UNIT, segments = from->readable[i] + from->writable[i];

        if (from->queue[i] == 0) {
            if (!saved_none_valid(from, i)) {
                return false;
            }
        } else if (from->queue[i] > s->v.queue_count || !s->v.enabled[from->queue[i] - 1] ||
                   s->look_ns == DEVEMU_NEVER || !saved_one_valid(from, i, units) ||
                   !segments_empty(from, first + segments, first + units_of(segments) * BLK_UNIT)) {
            return false;
        }
    }
    for (unsigned n = 0; n < BLK_UNITS; n++) {
        if (unit_free(units, n) && !segments_empty(from, n * BLK_UNIT, (n + 1) * BLK_UNIT)) {
            return false;
        }
    }
    return true;
}

static void load_one(struct virtio_blk *s, unsigned i)
{
    const BlkSaved *from = &s->saved;
    BlkRequest *r = &s->requests[i];
    unsigned unit = from->unit[i], segments = from->readable[i] + from->writable[i];

    s->free_requests[i / 64] &= ~BIT(i % 64);
    units_flip(s->free_units, unit, units_of(segments));
    *r = (BlkRequest){
        .sector = from->sector[i],
        .done = from->done[i],
        .type = from->type[i],
        .queue = (uint8_t)(from->queue[i] - 1),
        .chain =
            {
                .segments = &s->segments[unit * BLK_UNIT],
                .readable = from->readable[i],
                .writable = from->writable[i],
                .id = from->id[i],
                .descs = from->descs[i],
            },
    };
    for (unsigned n = 0; n < segments; n++) {
        r->chain.segments[n] = (DevemuVirtqueueSegment){
            .addr = from->segment_addr[unit * BLK_UNIT + n],
            .len = from->segment_len[unit * BLK_UNIT + n],
        };
    }
    r->chain.readable_len = sum(from->segment_len + unit * BLK_UNIT, r->chain.readable);
    r->chain.writable_len =
        sum(from->segment_len + unit * BLK_UNIT + r->chain.readable, r->chain.writable);
    wait_last(s, r);
}

void blk_loaded(void *state)
{
    struct virtio_blk *s = state;

    virtio_loaded(state);
    blk_pools_reset(s);
    for (unsigned i = 0; i < BLK_REQUESTS; i++) {
        if (s->saved.queue[i]) {
            load_one(s, i);
        }
    }
    s->untold = !blk_told(s);
}
