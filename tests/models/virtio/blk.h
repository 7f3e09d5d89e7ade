/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk.h: requests to a virtio block device; and a medium that shows what it is asked and ends it
 * when a test says so.
 */
#ifndef TESTS_MODELS_VIRTIO_BLK_H
#define TESTS_MODELS_VIRTIO_BLK_H

#include "driver.h"

#include <devemu/model.h>

extern const DevemuModel devemu_model_virtio_blk;

enum {
    F_SIZE_MAX = 1,
    F_SEG_MAX = 2,
    F_GEOMETRY = 4,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_SCSI = 7,
    F_FLUSH = 9,
    F_TOPOLOGY = 10,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14,
    F_LIFETIME = 15,
    F_SECURE_ERASE = 16,
    F_ZONED = 17,

    T_IN = 0,
    T_OUT = 1,
    T_SCSI_CMD = 2,
    T_FLUSH = 4,
    T_FLUSH_OUT = 5,
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

    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,
    S_ZONE_INVALID_CMD = 3,
    S_ZONE_UNALIGNED_WP = 4,
    S_ZONE_OPEN_RESOURCE = 5,
    S_ZONE_ACTIVE_RESOURCE = 6,
    S_NONE = 0xee, /* what stands there before */

    HEADERS = VD_DATA,           /* of request i: 32 bytes, the status behind the header */
    PAYLOAD = VD_DATA + 0x10000, /* payload of a test */
};

typedef struct Blk {
    VdDriver d;
    DevemuBlock *block;
    unsigned slot; /* of the next request */
    uint32_t written;
} Blk;

/* A device on a medium of the library. */
static inline Blk blk_open(const char *options, const char *medium)
{
    GError *error = NULL;
    Blk b = {.d = vd_new(&devemu_model_virtio_blk, options)};

    b.block = devemu_block_new(medium, NULL, &error);
    cr_assert_not_null(b.block, "%s: %s", medium, error ? error->message : "?");
    devemu_fake_set_block(b.d.fake, b.block);
    return b;
}

static inline void blk_close(Blk *b)
{
    vd_free(&b->d);
    devemu_block_free(b->block);
}

static inline uint64_t blk_config(Blk *b, uint64_t at, unsigned size)
{
    return devemu_fake_read(b->d.fake, DEVEMU_VIRTIO_CONFIG, at, size);
}

static inline uint64_t blk_header_at(unsigned slot)
{
    return HEADERS + slot * 32u;
}

/* Header and empty status of a new request; its slot. */
static inline unsigned blk_header(Blk *b, uint32_t type, uint64_t sector)
{
    unsigned slot = b->slot++ % 512;
    uint8_t *header = vd_at(&b->d, blk_header_at(slot));

    devemu_put_le32(header, type);
    devemu_put_le32(header + 4, 0);
    devemu_put_le64(header + 8, sector);
    header[16] = S_NONE;
    return slot;
}

static inline uint8_t blk_status(Blk *b, unsigned slot)
{
    return *vd_at(&b->d, blk_header_at(slot) + 16);
}

static inline bool blk_reads(uint32_t type)
{
    return type == T_IN || type == T_GET_ID || type == T_GET_LIFETIME || type == T_ZONE_REPORT;
}

/* Make a request of the usual layout available: header, data, status. Its slot. */
static inline unsigned blk_add(Blk *b, unsigned queue, uint32_t type, uint64_t sector,
                               uint64_t data, uint32_t len)
{
    unsigned slot = blk_header(b, type, sector);
    VdPiece pieces[3] = {{blk_header_at(slot), 16, false},
                         {data, len, blk_reads(type)},
                         {blk_header_at(slot) + 16, 1, true}};

    if (len == 0) {
        pieces[1] = pieces[2];
    }
    vd_add(&b->d, queue, pieces, len == 0 ? 2 : 3);
    return slot;
}

/* One request to its end: its status. */
static inline uint8_t blk_do(Blk *b, uint32_t type, uint64_t sector, uint64_t data, uint32_t len)
{
    unsigned slot = blk_add(b, 0, type, sector, data, len);
    uint32_t id;

    vd_kick(&b->d, 0);
    vd_wait(&b->d);
    cr_assert(vd_used(&b->d, 0, &id, &b->written), "request %u does not come back", type);
    return blk_status(b, slot);
}

static inline void blk_fill(Blk *b, uint64_t addr, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) {
        *vd_at(&b->d, addr + i) = (uint8_t)(seed + i * 7 + i / 512 * 13);
    }
}

/* A range of a discard or its like, at PAYLOAD. */
static inline void blk_range(Blk *b, unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    uint8_t *range = vd_at(&b->d, PAYLOAD + i * 16u);

    devemu_put_le64(range, sector);
    devemu_put_le32(range + 8, sectors);
    devemu_put_le32(range + 12, flags);
}

/* --- a medium in the test's hands --------------------------------------------------- */

enum { PROBE_MAX = 1024, PROBE_SLICES = 300 };

typedef struct Probe {
    DevemuBlockInfo info;
    DevemuDevice *dev;
    unsigned count; /* requests so far */
    bool more[PROBE_MAX], done[PROBE_MAX];
    DevemuBlockRequest requests[PROBE_MAX];
    DevemuBlockSlice slices[PROBE_MAX][4]; /* the first ones */
    unsigned drains;
} Probe;

static inline void probe_info(void *opaque, DevemuBlockInfo *ret_info)
{
    *ret_info = ((Probe *)opaque)->info;
}

static inline void probe_submit(void *opaque, const DevemuBlockRequest *request, bool more)
{
    Probe *p = opaque;
    unsigned i = p->count++;

    cr_assert_lt(i, PROBE_MAX);
    p->requests[i] = *request;
    p->requests[i].slices = p->slices[i];
    p->more[i] = more;
    for (size_t n = 0; n < request->count && n < 4; n++) {
        p->slices[i][n] = request->slices[n];
    }
}

/* It has let go of the memory; the completions come when the test says so. */
static inline void probe_drain(void *opaque)
{
    ((Probe *)opaque)->drains++;
}

static const DevemuBlockOps probe_ops = {
    .size = sizeof(DevemuBlockOps),
    .info = probe_info,
    .submit = probe_submit,
    .drain = probe_drain,
};

/* A device alone, whatever the mode: nobody else could have this medium. */
static inline Blk probe_open(Probe *p, const char *options)
{
    Blk b = {.d = {.fake = devemu_fake_new_mode(&devemu_model_virtio_blk, options, VD_RAM,
                                                DEVEMU_FAKE_PLAIN)}};

    if (p->info.capacity == 0) {
        p->info.capacity = 1 << 20;
    }
    if (p->info.block_size == 0) {
        p->info.block_size = p->info.physical_size = 512;
    }
    p->dev = devemu_fake_device(b.d.fake);
    devemu_device_attach_block(p->dev, &probe_ops, p);
    return b;
}

static inline void probe_close(Probe *p, Blk *b)
{
    devemu_device_attach_block(p->dev, NULL, NULL);
    vd_free(&b->d);
}

/* Request i ends. */
static inline void probe_end(Probe *p, unsigned i, int status, uint64_t value)
{
    DevemuBlockCompletion completion = {p->requests[i].tag, status, value};

    cr_assert_lt(i, p->count);
    cr_assert_not(p->done[i]);
    p->done[i] = true;
    cr_assert(devemu_device_complete(p->dev, &completion, 1));
}

#endif
