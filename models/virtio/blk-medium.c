/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk-medium.c: a virtio block device's way to its medium: payload straight from and to the
 * segments of a request where these have windows, through memory of its own, piece by piece, where
 * they have none or do not fit the medium's limits.
 */
#include "blk.h"

DevemuVirtqueue *blk_queue(struct virtio_blk *s, const BlkRequest *r)
{
    return devemu_virtio_queue(s->v.dev, r->queue);
}

/* --- memory of our own ------------------------------------------------------------- */

void *blk_bounce(struct virtio_blk *s, const BlkRequest *r)
{
    return s->bounces[r->bounce - 1];
}

bool blk_bounce_take(struct virtio_blk *s, BlkRequest *r)
{
    if (r->bounce == 0 && s->free_bounces != 0) {
        r->bounce = (uint8_t)(__builtin_ctz(s->free_bounces) + 1);
        s->free_bounces &= s->free_bounces - 1;
    }
    return r->bounce != 0;
}

void blk_bounce_free(struct virtio_blk *s, BlkRequest *r)
{
    if (r->bounce) {
        s->free_bounces |= 1u << (r->bounce - 1);
        r->bounce = 0;
    }
}

/* --- submitting -------------------------------------------------------------------- */

DevemuBlockSlice *blk_slices(struct virtio_blk *s)
{
    return s->slices[!s->half];
}

void blk_let_go(struct virtio_blk *s, bool more)
{
    if (!s->holding) {
        return;
    }
    s->holding = false;
    if (!devemu_submit(s->v.dev, &s->held, more)) {
        BlkRequest *r = &s->requests[s->held.tag];

        s->flying[r->queue]--;
        blk_finish(s, r, BLK_S_IOERR, 0);
    }
}

void blk_submit(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t at, uint64_t len,
                size_t count)
{
    bool writes = op == DEVEMU_BLOCK_WRITE || op == DEVEMU_BLOCK_WRITE_ZEROES ||
                  op == DEVEMU_BLOCK_ZONE_APPEND;
    uint32_t flags = writes && blk_write_through(s) ? DEVEMU_BLOCK_FUA : 0;

    blk_let_go(s, true);
    s->half = !s->half;
    s->held = (DevemuBlockRequest){
        .tag = (uint32_t)(r - s->requests),
        .op = op,
        .flags = flags,
        .at = at,
        .len = len,
        .slices = s->slices[s->half],
        .count = count,
    };
    s->holding = true;
    r->state = BLK_FLYING;
    s->flying[r->queue]++;
}

/* --- payload ----------------------------------------------------------------------- */

/* Slices for the payload's bytes from `from` on, at most max of them and len bytes. Returns the
 * bytes; 0 where there is no window. */
static uint64_t gather(const BlkRequest *r, bool write, uint64_t from, uint64_t len, size_t max,
                       DevemuBlockSlice *slices, size_t *ret_count)
{
    const DevemuVirtqueueSegment *seg = r->chain.segments + (write ? 0 : r->chain.readable);
    unsigned count = write ? r->chain.readable : r->chain.writable;
    uint64_t got = 0;
    size_t n = 0;

    for (unsigned i = 0; i < count && got < len && n < max; i++) {
        uint64_t part;

        if (from >= seg[i].len) {
            from -= seg[i].len;
            continue;
        }
        if (seg[i].data == NULL) {
            return 0;
        }
        part = seg[i].len - from;
        part = part < len - got ? part : len - got;
        slices[n].data = seg[i].data + from;
        slices[n].len = (size_t)part;
        n++;
        got += part;
        from = 0;
    }
    *ret_count = n;
    return got;
}

/* Drop the last bytes, so that whole blocks are left. */
static size_t trim(DevemuBlockSlice *slices, size_t count, uint64_t bytes)
{
    while (bytes > 0) {
        DevemuBlockSlice *last = &slices[count - 1];

        if (last->len > bytes) {
            last->len -= (size_t)bytes;
            break;
        }
        bytes -= last->len;
        count--;
    }
    return count;
}

static uint64_t whole_blocks(const struct virtio_blk *s, uint64_t len)
{
    return len & ~(uint64_t)(s->info.block_size - 1);
}

/* How much of len bytes goes in one piece, of those that could. 5.2.6.2: a request over two zones
 * is refused by the medium; so that it sees it, no piece but the last ends where a zone does. */
static uint64_t piece_of(const struct virtio_blk *s, uint64_t at, uint64_t len, uint64_t could)
{
    uint64_t piece = whole_blocks(s, could < len ? could : len), zone = s->info.zone_size;

    if (piece < len && piece > s->info.block_size && zone && (at + piece) % zone == 0) {
        piece -= s->info.block_size;
    }
    return piece;
}

bool blk_move(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t at, uint64_t len,
              bool fresh)
{
    bool write = op != DEVEMU_BLOCK_READ;
    uint64_t from = r->done + (write ? BLK_HEADER : 0);
    uint64_t limit = s->info.max_transfer ? whole_blocks(s, s->info.max_transfer) : len;
    uint64_t got, piece;
    size_t max = s->info.max_segments && s->info.max_segments < BLK_QUEUE_SIZE
                     ? s->info.max_segments
                     : BLK_QUEUE_SIZE;
    size_t count = 0;
    DevemuBlockSlice *slices = blk_slices(s);

    limit = limit == 0 || limit > len ? len : limit;
    if (!fresh) {
        devemu_virtqueue_remap(blk_queue(s, r), &r->chain);
    }
    got = gather(r, write, from, limit, max, slices, &count);
    piece = piece_of(s, at, len, got);
    count = trim(slices, count, got - piece);
    if (piece == 0 || (op == DEVEMU_BLOCK_ZONE_APPEND && piece < len)) {
        if (!blk_bounce_take(s, r)) {
            return false;
        }
        piece = piece_of(s, at, len, limit < BLK_BOUNCE ? limit : BLK_BOUNCE);
        if (write && devemu_virtqueue_read(blk_queue(s, r), &r->chain, from, blk_bounce(s, r),
                                           (size_t)piece) != piece) {
            blk_finish(s, r, BLK_S_IOERR, 0);
            return true;
        }
        slices[0] = (DevemuBlockSlice){blk_bounce(s, r), (size_t)piece};
        count = 1;
    }
    r->piece = piece;
    blk_submit(s, r, op, at, piece, count);
    return true;
}
