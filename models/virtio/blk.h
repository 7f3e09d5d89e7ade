/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk.h: the state of a virtio block device, and what its files know of each other. Sections are
 * those of virtio 1.4.
 */
#ifndef DEVEMU_MODELS_VIRTIO_BLK_H
#define DEVEMU_MODELS_VIRTIO_BLK_H

#include "virtio.h"

#define BIT(n) (UINT64_C(1) << (n))

/* 5.2.3 */
enum {
    BLK_F_SIZE_MAX = 1,
    BLK_F_SEG_MAX = 2,
    BLK_F_GEOMETRY = 4,
    BLK_F_RO = 5,
    BLK_F_BLK_SIZE = 6,
    BLK_F_FLUSH = 9,
    BLK_F_TOPOLOGY = 10,
    BLK_F_CONFIG_WCE = 11,
    BLK_F_MQ = 12,
    BLK_F_DISCARD = 13,
    BLK_F_WRITE_ZEROES = 14,
    BLK_F_LIFETIME = 15,
    BLK_F_SECURE_ERASE = 16,
    BLK_F_ZONED = 17,
};

/* 5.2.6, status */
enum {
    BLK_S_OK = 0,
    BLK_S_IOERR = 1,
    BLK_S_UNSUPP = 2,
    BLK_S_ZONE_INVALID_CMD = 3,
    BLK_S_ZONE_UNALIGNED_WP = 4,
    BLK_S_ZONE_OPEN_RESOURCE = 5,
    BLK_S_ZONE_ACTIVE_RESOURCE = 6,
};

enum {
    BLK_SECTOR = 512,
    BLK_HEADER = 16,
    BLK_QUEUE_SIZE = 256,

    /* What is under way, over all queues; a buffer for which there is no room stays in its queue.
     */
    BLK_REQUESTS = 512,
    BLK_UNIT = 8, /* segments that are given out together */
    BLK_UNITS = 512,
    BLK_SEGMENTS = BLK_UNIT * BLK_UNITS,
    /* Memory of our own, for payload that has no window: as large as the largest block. */
    BLK_BOUNCE = 65536,
    BLK_BOUNCES = 4,

    BLK_RANGES = 16, /* of one discard, write zeroes or secure erase */
};

typedef enum BlkState {
    BLK_FREE,
    BLK_WAITING, /* for memory of our own, or to begin again after a load */
    BLK_FLYING,  /* at the medium */
    BLK_LOST,    /* at the medium, but its queue was stopped */
} BlkState;

typedef struct BlkRequest {
    DevemuVirtqueueChain chain; /* its segments are in the pool */
    uint64_t sector;
    uint64_t done;  /* bytes, or ranges, that are */
    uint64_t piece; /* bytes at the medium */
    uint32_t type;
    uint16_t next; /* that waits; number plus 1 */
    uint8_t state; /* BlkState */
    uint8_t queue;
    uint8_t bounce; /* number plus 1 */
} BlkRequest;

/* Requests that are under way when a snapshot is taken. */
typedef struct BlkSaved {
    uint64_t sector[BLK_REQUESTS], done[BLK_REQUESTS];
    uint32_t type[BLK_REQUESTS];
    uint16_t id[BLK_REQUESTS], descs[BLK_REQUESTS];
    uint16_t unit[BLK_REQUESTS], readable[BLK_REQUESTS], writable[BLK_REQUESTS];
    uint8_t queue[BLK_REQUESTS]; /* plus 1; 0: no request */
    uint64_t segment_addr[BLK_SEGMENTS];
    uint32_t segment_len[BLK_SEGMENTS];
} BlkSaved;

/* 5.2.4: what the guest was told, as registers. */
typedef struct BlkConfig {
    uint64_t capacity; /* sectors */
    uint32_t size_max, seg_max;
    uint32_t blk_size;
    uint32_t opt_io_size;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint32_t max_secure_erase_sectors, max_secure_erase_seg, secure_erase_sector_alignment;
    uint32_t zone_sectors, max_open_zones, max_active_zones, max_append_sectors;
    uint32_t write_granularity;
    uint16_t cylinders, min_io_size;
    uint8_t heads, sectors, physical_block_exp, write_zeroes_may_unmap, model;
    uint8_t unused[3];
} BlkConfig;

struct virtio_blk {
    VirtioDevice v;
    uint64_t look_ns; /* after a load */
    BlkConfig config;
    bool writeback, writeback_set; /* the driver's choice, if it made one */

    /* Properties. */
    bool config_wce;
    uint8_t unused_1;
    uint32_t num_queues, size_max;
    char serial[21];
    uint8_t unused_2[3];

    bool medium; /* there is one */
    bool untold; /* a snapshot was loaded that another medium wrote */
    uint8_t unused_3[2];
    DevemuBlockInfo info;

    uint64_t free_requests[BLK_REQUESTS / 64], free_units[BLK_UNITS / 64];
    uint64_t starved; /* queues that have buffers for which there was no room */
    uint64_t dirty;   /* queues with buffers to show */
    uint32_t free_bounces;
    uint16_t first_waiting, last_waiting; /* plus 1 */
    uint16_t flying[DEVEMU_VIRTIO_QUEUES];
    BlkRequest requests[BLK_REQUESTS];
    DevemuVirtqueueSegment segments[BLK_SEGMENTS];

    /* The last request of an event, which is to say that none follows, is held back until that is
     * known. */
    DevemuBlockRequest held;
    DevemuBlockSlice slices[2][BLK_QUEUE_SIZE];
    bool holding;
    uint8_t half; /* slices of held */
    uint8_t unused_4[6];

    uint64_t bounces[BLK_BOUNCES][BLK_BOUNCE / 8];
    BlkSaved saved;
};

/* --- blk.c: what it is ------------------------------------------------------------- */

/* Is a write to be on the medium when it is complete (5.2.6.2)? */
bool blk_write_through(const struct virtio_blk *s);
/* If the medium is not what the guest was told, tell it. */
void blk_tell(struct virtio_blk *s);
/* Does the configuration space say what the medium is? */
bool blk_told(const struct virtio_blk *s);

/* --- blk-request.c: requests from the queue to the queue --------------------------- */

/* The queue's memory is not touched from now on. */
void blk_forget(struct virtio_blk *s, unsigned queue);
void blk_pools_reset(struct virtio_blk *s);
void blk_process(void *state, unsigned queue);
void blk_complete(void *state, const DevemuBlockCompletion *completions, size_t count);
void blk_saving(void *state);
bool blk_saved_valid(const struct virtio_blk *s);
void blk_loaded(void *state);
/* After a load: is the medium what it was? Begin the requests that were under way. */
void blk_look(void *state, uint64_t due_ns);
/* The request is done: write its status; the first `filled` device-writable bytes were written. */
void blk_finish(struct virtio_blk *s, BlkRequest *r, uint8_t status, uint64_t filled);

/* --- blk-command.c: what a request asks for ---------------------------------------- */

/* Do the next part of it: hand it to the medium, or finish it. fresh: its windows are good. False:
 * there is no memory for it now. */
bool blk_step(struct virtio_blk *s, BlkRequest *r, bool fresh);
/* The part is done. */
bool blk_stepped(struct virtio_blk *s, BlkRequest *r, const DevemuBlockCompletion *completion);

/* --- blk-medium.c: to the medium --------------------------------------------------- */

DevemuVirtqueue *blk_queue(struct virtio_blk *s, const BlkRequest *r);
void *blk_bounce(struct virtio_blk *s, const BlkRequest *r);
/* Take a buffer of our own; false if there is none. */
bool blk_bounce_take(struct virtio_blk *s, BlkRequest *r);
void blk_bounce_free(struct virtio_blk *s, BlkRequest *r);
/* Bytes of the medium at `at`, with count slices of blk_slices(). */
void blk_submit(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t at, uint64_t len,
                size_t count);
DevemuBlockSlice *blk_slices(struct virtio_blk *s);
/* Let the request that is held back go. */
void blk_let_go(struct virtio_blk *s, bool more);
/* The next piece of a request whose payload begins behind `skip` bytes of its readable or writable
 * part; as blk_step(). */
bool blk_move(struct virtio_blk *s, BlkRequest *r, DevemuBlockOp op, uint64_t at, uint64_t len,
              bool fresh);

#endif
