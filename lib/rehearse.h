/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rehearse.h: an event tried without consequences, for a host whose memory is far away.
 *
 * devemu_dma_read() returns the data, inside an event, and a device in an event cannot be entered.
 * A host that must ask for the data and serve accesses meanwhile has the event rehearsed: the whole
 * tree is put aside, every way out does nothing, and reads by DMA are answered with what is here
 * already. Then all is put back. What was missing is fetched, and the event rehearsed again, until
 * nothing is missing: then it is run.
 *
 * Between devemu_rehearse_begin() and _end() the entries of the tree are called as ever:
 * devemu_device_run(), a write, devemu_receive().
 */
#ifndef DEVEMU_REHEARSE_H
#define DEVEMU_REHEARSE_H

#include "internal.h"

/* What one rehearsal notes; more is not noted, and shows in `overflowed`. */
#define DEVEMU_REHEARSAL_RANGES 256
#define DEVEMU_REHEARSAL_WRITES 4096
#define DEVEMU_REHEARSAL_BYTES  (UINT32_C(4) << 20)

typedef enum DevemuFetched {
    DEVEMU_FETCHED, /* buf is filled */
    DEVEMU_FETCH_FAILED,
    DEVEMU_FETCH_MISSING,
} DevemuFetched;

typedef struct DevemuRehearsalOps {
    DevemuFetched (*read)(void *opaque, uint64_t addr, void *buf, size_t len);
    /* Would this write succeed? It is not to be done. */
    bool (*write)(void *opaque, uint64_t addr, size_t len);
} DevemuRehearsalOps;

typedef struct DevemuRange {
    uint64_t addr;
    size_t len;
    size_t at; /* of a write: where its bytes stand in `bytes` */
} DevemuRange;

typedef struct DevemuRehearsal {
    DevemuDevice *top;
    const DevemuRehearsalOps *ops;
    void *opaque;
    DevemuHostOps host_ops; /* the real host's */
    void *host;
    GArray *kept; /* of every device of the tree */

    /* The outcome, until the next rehearsal. */
    GArray *missing;   /* DevemuRange, in order */
    GArray *writes;    /* DevemuRange, in order; complete if nothing was missing */
    GByteArray *bytes; /* of the writes */
    bool overflowed;
} DevemuRehearsal;

/* ops is borrowed. top has no parent. */
DevemuRehearsal *devemu_rehearsal_new(DevemuDevice *top, const DevemuRehearsalOps *ops,
                                      void *opaque);
void devemu_rehearsal_free(DevemuRehearsal *r);
/* Can this tree be rehearsed? Not where a bus or a decorator has memory or files of its own. */
bool devemu_rehearsal_possible(const DevemuDevice *top);
void devemu_rehearse_begin(DevemuRehearsal *r);
/* All is as before. True if nothing was missing. */
bool devemu_rehearse_end(DevemuRehearsal *r);

#endif
