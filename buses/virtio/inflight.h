/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.h: memory that knows what is in flight (the vhost-user specification, "Inflight I/O
 * tracking"), what its two layouts share. Somebody else may write there: each word is looked at
 * once, and no index is believed. Numbers are in the host's byte order.
 */
#ifndef DEVEMU_VIRTIO_INFLIGHT_H
#define DEVEMU_VIRTIO_INFLIGHT_H

#include "queue.h"

#include <stdlib.h>

enum {
    INFLIGHT_VERSION_AT = 8, /* 0 at first */
    INFLIGHT_DESC_NUM_AT = 10,
    INFLIGHT_VERSION = 1,
};

/* A buffer in flight, by its number in memory. */
typedef struct InflightKept {
    uint64_t counter;
    uint16_t number;
} InflightKept;

static inline uint16_t inflight_get16(const uint8_t *at)
{
    return __atomic_load_n((const VirtqWord16 *)(const void *)at, __ATOMIC_RELAXED);
}

static inline void inflight_put16(uint8_t *at, uint16_t value)
{
    __atomic_store_n((VirtqWord16 *)(void *)at, value, __ATOMIC_RELAXED);
}

static inline uint32_t inflight_get32(const uint8_t *at)
{
    return __atomic_load_n((const VirtqWord32 *)(const void *)at, __ATOMIC_RELAXED);
}

static inline void inflight_put32(uint8_t *at, uint32_t value)
{
    __atomic_store_n((VirtqWord32 *)(void *)at, value, __ATOMIC_RELAXED);
}

static inline uint64_t inflight_get64(const uint8_t *at)
{
    return __atomic_load_n((const VirtqWord64 *)(const void *)at, __ATOMIC_RELAXED);
}

static inline void inflight_put64(uint8_t *at, uint64_t value)
{
    __atomic_store_n((VirtqWord64 *)(void *)at, value, __ATOMIC_RELAXED);
}

/* In order of their counters, to be popped again. */
void virtq_inflight_keep(DevemuVirtqueue *q, InflightKept *kept, unsigned count);

/* --- inflight-packed.c ------------------------------------------------------------- */

size_t virtq_inflight_packed_bytes(unsigned size);
void virtq_inflight_packed_begin(DevemuVirtqueue *q);
void virtq_inflight_packed_popped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                                  unsigned count);
void virtq_inflight_packed_unpopped(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                                    unsigned count);
/* Before they are pushed; returns how many, which are to be settled behind it. */
unsigned virtq_inflight_packed_pushed(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains,
                                      unsigned count);
void virtq_inflight_packed_settle(DevemuVirtqueue *q, unsigned count);
bool virtq_inflight_packed_retake(DevemuVirtqueue *q, unsigned number,
                                  DevemuVirtqueueChain *ret_chain);

#endif
