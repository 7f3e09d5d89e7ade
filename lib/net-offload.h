/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-offload.h: checksums and segmentation in software, for the side that cannot do them.
 */
#ifndef DEVEMU_NET_OFFLOAD_H
#define DEVEMU_NET_OFFLOAD_H

#include <devemu/backend.h>

/* The DEVEMU_OFFLOAD_* that a receiver must take to get the frame as it is. NULL: none. */
uint32_t devemu_offload_needs(const DevemuNetOffload *offload);

/* Are all numbers within a frame of len bytes? */
bool devemu_offload_fits(const DevemuNetOffload *offload, size_t len);

/* Make plain frames of one that is not: sink gets each of them, one after the other. False, and
 * sink gets none: the frame is not what offload says. */
typedef void DevemuFrameSink(void *opaque, const uint8_t *data, size_t len, bool more);
bool devemu_offload_split(const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                          DevemuFrameSink *sink, void *opaque);

/* The internet checksum's sum of so many bytes, added to sum; not folded. The first byte is the
 * upper half of a word. */
uint64_t devemu_offload_sum(uint64_t sum, const uint8_t *data, size_t len);

#endif
