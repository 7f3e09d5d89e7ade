/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.h: the inside of a DevemuBlock.
 *
 * A request goes from the device through what all kinds have in common (checks, faults, rate,
 * latency: block.c) to its kind, which ends it by block_done(), at once or later. What has ended
 * waits until the main loop, or whoever polls or drains, tells the device.
 */
#ifndef DEVEMU_BACKENDS_BLOCK_H
#define DEVEMU_BACKENDS_BLOCK_H

#include <devemu/backends.h>

#include "loop.h"
#include "options.h"

#include <sys/uio.h>

typedef struct BlockRequest BlockRequest;

/* A system call of a request to a file. */
typedef enum BlockStepKind {
    BLOCK_STEP_READ,
    BLOCK_STEP_WRITE,
    BLOCK_STEP_SYNC,
    BLOCK_STEP_ALLOCATE, /* fallocate() */
} BlockStepKind;

typedef struct BlockStep {
    BlockStepKind kind;
    const struct iovec *iov;
    size_t count;
    uint64_t at, len;
    int flags; /* RWF_* or FALLOC_FL_* */
} BlockStep;

struct BlockRequest {
    BlockRequest *next; /* in the list that it is in */
    DevemuBlock *block;
    uint64_t serial; /* requests in the order in which they came */
    uint32_t tag;
    DevemuBlockOp asked; /* by the device */
    DevemuBlockOp op;    /* of the medium */
    uint32_t flags;
    uint64_t at, len;
    int status;
    uint64_t value;

    uint64_t due_ns; /* when it may begin */
    int verdict;     /* status that a fault has decided on; 0: none */

    struct iovec *iov; /* owned; of the slices */
    size_t count;
    size_t room; /* in iov */

    /* The kind's, zero at first. */
    uint64_t done;  /* bytes */
    unsigned stage; /* what comes next */
    int result;     /* of a worker */
    BlockStep step;
    void *bounce; /* memory of the kind's own in place of the device's; iov is then `one` */
    struct iovec one;
    struct iovec *user_iov; /* the device's */
    size_t user_count;
    struct iovec *cut; /* the rest of iov, owned; with cut_room */
    size_t cut_room;
};

typedef struct BlockQueue {
    BlockRequest *head, *tail;
    size_t count;
} BlockQueue;

void block_queue_push(BlockQueue *queue, BlockRequest *request);
BlockRequest *block_queue_pop(BlockQueue *queue);
/* Behind all that are not `later`. */
void block_queue_insert(BlockQueue *queue, BlockRequest *request,
                        bool (*later)(const BlockRequest *a, const BlockRequest *b));

BlockRequest *block_request_new(DevemuBlock *block, const DevemuBlockRequest *from);
void block_request_free(BlockRequest *request);
/* Can such a medium do that? 0 or a negative errno. */
int block_check(const DevemuBlockInfo *info, const DevemuBlockRequest *request);
/* The pieces of request from byte `from` on, at most max of them and len bytes. Good until the next
 * call. */
const struct iovec *block_cut(BlockRequest *request, uint64_t from, uint64_t len, size_t max,
                              size_t *ret_count);

typedef struct BlockClass {
    const char *name;
    void (*submit)(DevemuBlock *block, BlockRequest *request);
    /* All that was submitted may go to the system. NULL: nothing to do. */
    void (*kick)(DevemuBlock *block);
    /* block_done() for what has ended; no system call if nothing has. The four are NULL where
     * submit ends everything. */
    void (*reap)(DevemuBlock *block);
    /* Sleep until something has ended, and reap. */
    void (*wait)(DevemuBlock *block);
    /* What the loop watches, with loop_watch(); and after it woke. */
    void (*watch)(DevemuBlock *block);
    void (*fetch)(DevemuBlock *block);
    void (*set_polled)(DevemuBlock *block, bool polled);
    bool (*resize)(DevemuBlock *block, uint64_t capacity, GError **error);
    void (*finish)(DevemuBlock *block);
} BlockClass;

/* --- options of every kind --------------------------------------------------------- */

typedef struct BlockCommon {
    bool read_only, discard;
    uint64_t block_size; /* 0: the medium's */
    uint64_t iops, bps, burst_ms;
    uint64_t latency_us;
    GPtrArray *faults;
    char *lifetime;
    uint64_t zone_size; /* 0: no zones */
    uint64_t zones_conventional, zones_open, zones_active;
} BlockCommon;

/* --- rate: block-limit.c ----------------------------------------------------------- */

/* A token bucket each for requests and bytes, kept as the moment at which it is full again. */
typedef struct BlockLimit {
    uint64_t per_second; /* 0: no limit */
    uint64_t burst_ns;
    uint64_t full_ns;
} BlockLimit;

/* Take amount at now: the moment at which that may begin. */
uint64_t block_limit_take(BlockLimit *limit, uint64_t amount, uint64_t now);

/* --- faults: block-fault.c --------------------------------------------------------- */

typedef struct BlockFaults BlockFaults;

/* texts as the option has them; NULL with no texts or an error. */
BlockFaults *block_faults_new(const GPtrArray *texts, GError **error);
void block_faults_free(BlockFaults *faults);
/* What is to befall this request: sets verdict, cuts what it writes, adds to *delay_ns. True if it
 * goes to the medium all the same. */
bool block_faults_apply(BlockFaults *faults, BlockRequest *request, uint64_t *delay_ns);

/* --- zones: block-zone.c ----------------------------------------------------------- */

typedef struct BlockZones BlockZones;

/* Puts what zones change into info. Free with g_free(). NULL and error if they are not possible. */
BlockZones *block_zones_new(const BlockCommon *common, DevemuBlockInfo *info, GError **error);
/* GO_ON: the request, which may have become another, goes to the medium; else it has ended with 0
 * or a negative errno. */
enum { BLOCK_ZONES_GO_ON = 1 };
int block_zones_begin(BlockZones *zones, BlockRequest *request);
/* It has ended. */
void block_zones_end(const BlockZones *zones, BlockRequest *request);

/* --- a medium ---------------------------------------------------------------------- */

struct DevemuBlock {
    const BlockClass *class;
    DevemuDevice *dev;
    Loop *loop;
    DevemuBlockInfo info;

    BlockQueue done;    /* for the device */
    BlockQueue delayed; /* by due_ns */
    BlockQueue unused;
    size_t in_flight; /* with the kind */
    bool unkicked;
    bool polled;
    bool telling;      /* the device's medium() is due */
    uint64_t retry_ns; /* the device refused: ask again; 0: it did not */
    uint64_t serial;
    uint64_t wake_ns; /* of the program's clock: something ends */

    DevemuBlockClock *clock; /* NULL: real time */
    void *clock_opaque;
    int timer; /* a timerfd for delayed; -1: none yet */

    bool delays; /* there are limits, latency or faults */
    BlockLimit requests, bytes;
    uint64_t latency_ns;
    BlockFaults *faults;
    BlockZones *zones; /* NULL: not zoned */
    DevemuBlockStats stats;
};

/* A new medium; size is that of a struct that begins with a DevemuBlock. The kind fills info. NULL
 * if an option of every kind is wrong. */
void *block_new(size_t size, const BlockClass *class, const BlockCommon *common,
                GMainContext *context, GError **error);
/* The request, which the kind has, has ended: 0 or a negative errno. */
void block_done(BlockRequest *request, int status);
/* info is whole: what options change in it. False if they do not fit. */
bool block_finish_info(DevemuBlock *block, const BlockCommon *common, GError **error);

/* Is text, which may be NULL, a choice of the option "cache"? */
bool block_cache_good(const char *kind, const char *text, GError **error);

/* settings are those that not every kind has. */
typedef DevemuBlock *BlockMake(const DevemuSetting *settings, const BlockCommon *common,
                               GMainContext *context, GError **error);
BlockMake block_file_make, block_memory_make, block_null_make, block_nbd_make, block_qcow2_make;

/* An error of DEVEMU_ERROR_BACKEND; NULL, for return. */
G_GNUC_PRINTF(2, 3) void *block_refuse(GError **error, const char *format, ...);

#endif
