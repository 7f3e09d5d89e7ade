/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk-command.c: what the requests of a virtio block device ask for (virtio 1.4, 5.2.6).
 */
#include "blk.h"

/* 5.2.6, type */
enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_FLUSH_OUT = 5, /* 5.2.6.3, legacy */
    T_GET_ID = 8,
    T_GET_LIFETIME = 10,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,
    T_SECURE_ERASE = 14,
    T_ZONE_APPEND = 15,
    T_ZONE_REPORT = 16,
    T_ZONE_OPEN = 18,
    T_ZONE_CLOSE = 20,
    T_ZONE_FINISH = 22,
    T_ZONE_RESET = 24,
    T_ZONE_RESET_ALL = 26,

    ALWAYS = 0xff, /* no feature */
    LEGACY = 0xfe,

    ID_BYTES = 20,
    LIFETIME_BYTES = 6,
    RANGE_BYTES = 16,
    RANGE_UNMAP = 1,
    REPORT_HEADER = 64, /* and each zone */
    APPEND_TAIL = 9,    /* append_sector, status */
};

typedef struct Command {
    uint8_t type;
    uint8_t feature; /* that must be negotiated */
    DevemuBlockOp op;
    bool (*step)(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh);
    /* NULL: nothing more is to be done where the medium did it. */
    bool (*stepped)(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t value);
} Command;

static bool end(struct virtio_blk *s, BlkRequest *r, uint8_t status, uint64_t filled)
{
    blk_finish(s, r, status, filled);
    return true;
}

/* Bytes of the device-writable part before the status. */
static uint64_t room(const BlkRequest *r)
{
    return r->chain.writable_len - 1;
}

/* Bytes of the device-readable part behind the header. */
static uint64_t given(const BlkRequest *r)
{
    return r->chain.readable_len - BLK_HEADER;
}

static bool inside(const struct virtio_blk *s, uint64_t sector, uint64_t sectors)
{
    return sector <= s->config.capacity && sectors <= s->config.capacity - sector;
}

/* In blocks of the medium? The unit of the protocol is smaller, but a block cannot be written in
 * part; reads are held to the same, as other devices do. */
static bool aligned(const struct virtio_blk *s, uint64_t sector, uint64_t sectors)
{
    return ((sector | sectors) & (s->info.block_size / BLK_SECTOR - 1)) == 0;
}

/* --- reading and writing ----------------------------------------------------------- */

static uint64_t payload(const BlkRequest *r, DevemuBlockOp op)
{
    return op == DEVEMU_BLOCK_READ ? room(r) : given(r);
}

static bool transfer(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    uint64_t len = payload(r, op);
    bool write = op != DEVEMU_BLOCK_READ;

    /* 5.2.6.2: with RO a write MUST be answered with IOERR, and write nothing. */
    if (!s->medium || (write && s->info.read_only) || len % BLK_SECTOR != 0 || r->done > len ||
        !inside(s, r->sector, len / BLK_SECTOR)) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    if (!aligned(s, r->sector, len / BLK_SECTOR)) {
        bool zoned = write && virtio_has(&s->v, BLK_F_ZONED);

        return end(s, r, zoned ? BLK_S_ZONE_UNALIGNED_WP : BLK_S_IOERR, 0);
    }
    if (r->done == len) {
        return end(s, r, BLK_S_OK, write ? 0 : len);
    }
    return blk_move(s, r, op, r->sector * BLK_SECTOR + r->done, len - r->done, fresh);
}

static bool transferred(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t value)
{
    size_t piece = (size_t)r->piece;

    (void)value;
    if (r->bounce && op == DEVEMU_BLOCK_READ &&
        devemu_virtqueue_write(blk_queue(s, r), &r->chain, r->done, blk_bounce(s, r), piece) !=
            piece) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    blk_bounce_free(s, r);
    r->done += piece;
    return transfer(s, r, op, false);
}

/* --- small ones -------------------------------------------------------------------- */

static bool flush(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    (void)fresh;
    blk_submit(s, r, op, 0, 0, 0);
    return true;
}

/* What a small answer holds, as much of it as there is room for. */
static bool answer(struct virtio_blk *s, BlkRequest *r, const void *bytes, size_t len)
{
    size_t part = room(r) < len ? (size_t)room(r) : len;

    if (devemu_virtqueue_write(blk_queue(s, r), &r->chain, 0, bytes, part) != part) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    return end(s, r, BLK_S_OK, part);
}

/* 5.2.6: padded with NULs, no terminator where there are 20 characters. */
static bool get_id(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    (void)op;
    (void)fresh;
    return answer(s, r, s->serial, ID_BYTES);
}

/* 5.2.6.2: no reserved values. */
static bool get_lifetime(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    uint8_t bytes[LIFETIME_BYTES];

    (void)op;
    (void)fresh;
    if (room(r) < LIFETIME_BYTES) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    devemu_put_le16(bytes, s->info.pre_eol <= 3 ? s->info.pre_eol : 0);
    devemu_put_le16(bytes + 2, s->info.life_a <= 11 ? s->info.life_a : 0);
    devemu_put_le16(bytes + 4, s->info.life_b <= 11 ? s->info.life_b : 0);
    return answer(s, r, bytes, sizeof(bytes));
}

/* --- ranges: discard, write zeroes, secure erase ----------------------------------- */

typedef struct Range {
    uint64_t sector;
    uint32_t sectors;
} Range;

static uint32_t ranges_max(const struct virtio_blk *s, DevemuBlockOp op)
{
    return op == DEVEMU_BLOCK_DISCARD        ? s->config.max_discard_sectors
           : op == DEVEMU_BLOCK_WRITE_ZEROES ? s->config.max_write_zeroes_sectors
                                             : s->config.max_secure_erase_sectors;
}

/* Range i as it stands in memory now. Returns a status. */
static uint8_t range_read(struct virtio_blk *s, const BlkRequest *r, DevemuBlockOp op, uint64_t i,
                          Range *ret_range, bool *ret_unmap)
{
    uint8_t bytes[RANGE_BYTES];
    uint32_t known = op == DEVEMU_BLOCK_WRITE_ZEROES ? RANGE_UNMAP : 0, flags;

    if (devemu_virtqueue_read(blk_queue(s, r), &r->chain, BLK_HEADER + i * RANGE_BYTES, bytes,
                              RANGE_BYTES) != RANGE_BYTES) {
        return BLK_S_IOERR;
    }
    *ret_range = (Range){devemu_le64(bytes), devemu_le32(bytes + 8)};
    flags = devemu_le32(bytes + 12);
    *ret_unmap = flags & RANGE_UNMAP;
    /* 5.2.6.2: unknown flags, and unmap of a discard, MUST be answered with UNSUPP. */
    if (flags & ~known) {
        return BLK_S_UNSUPP;
    }
    return ret_range->sectors <= ranges_max(s, op) &&
                   inside(s, ret_range->sector, ret_range->sectors) &&
                   aligned(s, ret_range->sector, ret_range->sectors)
               ? BLK_S_OK
               : BLK_S_IOERR;
}

/* Nothing is done if one of the ranges is wrong. */
static uint8_t ranges_check(struct virtio_blk *s, const BlkRequest *r, DevemuBlockOp op)
{
    uint64_t len = given(r);
    Range range;
    bool unmap;

    if (!s->medium || len == 0 || len % RANGE_BYTES != 0 || len > BLK_RANGES * RANGE_BYTES) {
        return BLK_S_IOERR;
    }
    for (uint64_t i = 0; i < len / RANGE_BYTES; i++) {
        uint8_t status = range_read(s, r, op, i, &range, &unmap);

        if (status != BLK_S_OK) {
            return status;
        }
    }
    return BLK_S_OK;
}

/* One range after the other, each read once more: what the driver changed meanwhile is checked as
 * well. */
static bool ranges(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    uint8_t status = r->done == 0 ? ranges_check(s, r, op) : BLK_S_OK;
    Range range;
    bool unmap;

    (void)fresh;
    for (; status == BLK_S_OK && r->done < given(r) / RANGE_BYTES; r->done++) {
        status = range_read(s, r, op, r->done, &range, &unmap);
        if (status == BLK_S_OK && range.sectors != 0) {
            blk_submit(s, r, op, range.sector * BLK_SECTOR, (uint64_t)range.sectors * BLK_SECTOR,
                       0);
            s->held.flags |= unmap ? DEVEMU_BLOCK_UNMAP : 0;
            return true;
        }
    }
    return end(s, r, status, 0);
}

static bool ranges_done(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t value)
{
    (void)value;
    r->done++;
    return ranges(s, r, op, false);
}

/* --- zones ------------------------------------------------------------------------- */

static bool zone(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    bool all = op == DEVEMU_BLOCK_ZONE_RESET_ALL;

    (void)fresh;
    if (!s->medium || s->info.read_only) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    if (!all && (r->sector >= s->config.capacity || r->sector % s->config.zone_sectors != 0)) {
        return end(s, r, BLK_S_ZONE_INVALID_CMD, 0);
    }
    blk_submit(s, r, op, all ? 0 : r->sector * BLK_SECTOR, 0, 0);
    return true;
}

/* 5.2.6.2: the lowest sector of a zone, and not more than max_append_sectors. */
static bool append(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    uint64_t len = given(r);

    if (!s->medium || s->info.read_only || r->chain.writable_len < APPEND_TAIL) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    if (s->config.max_append_sectors == 0) {
        return end(s, r, BLK_S_UNSUPP, 0);
    }
    if (r->sector >= s->config.capacity || r->sector % s->config.zone_sectors != 0 ||
        len > (uint64_t)s->config.max_append_sectors * BLK_SECTOR) {
        return end(s, r, BLK_S_ZONE_INVALID_CMD, 0);
    }
    if (len % s->config.write_granularity != 0) {
        return end(s, r, BLK_S_ZONE_UNALIGNED_WP, 0);
    }
    if (len == 0) {
        return end(s, r, BLK_S_ZONE_INVALID_CMD, 0); /* where would it be? We chose. */
    }
    return blk_move(s, r, op, r->sector * BLK_SECTOR, len, fresh);
}

static bool appended(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t value)
{
    uint64_t at = r->chain.writable_len - APPEND_TAIL;
    uint8_t bytes[8];

    (void)op;
    devemu_put_le64(bytes, value / BLK_SECTOR);
    if (devemu_virtqueue_write(blk_queue(s, r), &r->chain, at, bytes, 8) != 8) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    return end(s, r, BLK_S_OK, at == 0 ? 8 : 0);
}

static bool report(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, bool fresh)
{
    uint64_t zones, most = BLK_BOUNCE / sizeof(DevemuBlockZone);

    (void)fresh;
    if (!s->medium || room(r) < REPORT_HEADER) {
        return end(s, r, BLK_S_IOERR, 0);
    }
    if (r->sector >= s->config.capacity) {
        return end(s, r, BLK_S_ZONE_INVALID_CMD, 0);
    }
    if (!blk_bounce_take(s, r)) {
        return false;
    }
    zones = room(r) / REPORT_HEADER - 1;
    r->piece = (zones < most ? zones : most) * sizeof(DevemuBlockZone);
    blk_slices(s)[0] = (DevemuBlockSlice){blk_bounce(s, r), (size_t)r->piece};
    blk_submit(s, r, op, r->sector * BLK_SECTOR, r->piece, 1);
    return true;
}

static void descriptor(uint8_t *bytes, const DevemuBlockZone *z)
{
    memset(bytes, 0, REPORT_HEADER);
    devemu_put_le64(bytes, z->capacity / BLK_SECTOR);
    devemu_put_le64(bytes + 8, z->start / BLK_SECTOR);
    devemu_put_le64(bytes + 16, z->write_pointer / BLK_SECTOR);
    bytes[24] = (uint8_t)z->type;
    bytes[25] = (uint8_t)z->state;
}

static bool reported(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t value)
{
    uint64_t most = r->piece / sizeof(DevemuBlockZone), zones = value < most ? value : most;
    uint8_t bytes[REPORT_HEADER] = {0};
    bool good;

    (void)op;
    devemu_put_le64(bytes, zones);
    good = devemu_virtqueue_write(blk_queue(s, r), &r->chain, 0, bytes, REPORT_HEADER) ==
           REPORT_HEADER;
    for (uint64_t i = 0; good && i < zones; i++) {
        DevemuBlockZone z;

        memcpy(&z, (const uint8_t *)blk_bounce(s, r) + i * sizeof(z), sizeof(z));
        descriptor(bytes, &z);
        good = devemu_virtqueue_write(blk_queue(s, r), &r->chain, (i + 1) * REPORT_HEADER, bytes,
                                      REPORT_HEADER) == REPORT_HEADER;
    }
    return good ? end(s, r, BLK_S_OK, (zones + 1) * REPORT_HEADER) : end(s, r, BLK_S_IOERR, 0);
}

/* --- the table --------------------------------------------------------------------- */

static const Command commands[] = {
    {T_IN, ALWAYS, DEVEMU_BLOCK_READ, transfer, transferred},
    {T_OUT, ALWAYS, DEVEMU_BLOCK_WRITE, transfer, transferred},
    {T_FLUSH, ALWAYS, DEVEMU_BLOCK_FLUSH, flush, NULL},
    {T_FLUSH_OUT, LEGACY, DEVEMU_BLOCK_FLUSH, flush, NULL},
    {T_GET_ID, ALWAYS, 0, get_id, NULL},
    {T_GET_LIFETIME, BLK_F_LIFETIME, 0, get_lifetime, NULL},
    {T_DISCARD, BLK_F_DISCARD, DEVEMU_BLOCK_DISCARD, ranges, ranges_done},
    {T_WRITE_ZEROES, BLK_F_WRITE_ZEROES, DEVEMU_BLOCK_WRITE_ZEROES, ranges, ranges_done},
    {T_SECURE_ERASE, BLK_F_SECURE_ERASE, DEVEMU_BLOCK_SECURE_ERASE, ranges, ranges_done},
    {T_ZONE_APPEND, BLK_F_ZONED, DEVEMU_BLOCK_ZONE_APPEND, append, appended},
    {T_ZONE_REPORT, BLK_F_ZONED, DEVEMU_BLOCK_ZONE_REPORT, report, reported},
    {T_ZONE_OPEN, BLK_F_ZONED, DEVEMU_BLOCK_ZONE_OPEN, zone, NULL},
    {T_ZONE_CLOSE, BLK_F_ZONED, DEVEMU_BLOCK_ZONE_CLOSE, zone, NULL},
    {T_ZONE_FINISH, BLK_F_ZONED, DEVEMU_BLOCK_ZONE_FINISH, zone, NULL},
    {T_ZONE_RESET, BLK_F_ZONED, DEVEMU_BLOCK_ZONE_RESET, zone, NULL},
    {T_ZONE_RESET_ALL, BLK_F_ZONED, DEVEMU_BLOCK_ZONE_RESET_ALL, zone, NULL},
};

static bool allowed(const struct virtio_blk *s, uint8_t feature)
{
    if (feature == LEGACY) {
        return !virtio_has(&s->v, VIRTIO_F_VERSION_1);
    }
    /* A zoned device whose driver does not know of it, or whose medium is another one now. */
    if (feature == BLK_F_ZONED && s->config.zone_sectors == 0) {
        return false;
    }
    return feature == ALWAYS || virtio_has(&s->v, feature);
}

static const Command *command_of(const struct virtio_blk *s, const BlkRequest *r)
{
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(commands); i++) {
        if (commands[i].type == r->type) {
            return allowed(s, commands[i].feature) ? &commands[i] : NULL;
        }
    }
    return NULL;
}

bool blk_step(struct virtio_blk *s, BlkRequest *r, bool fresh)
{
    const Command *c = command_of(s, r);

    return c ? c->step(s, r, c->op, fresh) : end(s, r, BLK_S_UNSUPP, 0);
}

/* backend.h says which errors these are. */
static uint8_t status_of(const struct virtio_blk *s, int32_t error)
{
    bool zoned = virtio_has(&s->v, BLK_F_ZONED);

    return error == -EOPNOTSUPP              ? BLK_S_UNSUPP
           : zoned && error == -EINVAL       ? BLK_S_ZONE_INVALID_CMD
           : zoned && error == -ESPIPE       ? BLK_S_ZONE_UNALIGNED_WP
           : zoned && error == -ETOOMANYREFS ? BLK_S_ZONE_OPEN_RESOURCE
           : zoned && error == -EOVERFLOW    ? BLK_S_ZONE_ACTIVE_RESOURCE
                                             : BLK_S_IOERR;
}

bool blk_stepped(struct virtio_blk *s, BlkRequest *r, const DevemuBlockCompletion *completion)
{
    const Command *c = command_of(s, r);

    if (completion->status != 0 || c == NULL) {
        return end(s, r, status_of(s, completion->status), 0);
    }
    return c->stepped ? c->stepped(s, r, c->op, completion->value) : end(s, r, BLK_S_OK, 0);
}
