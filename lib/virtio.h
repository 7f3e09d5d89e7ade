/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio.h: the virtqueues of a virtio device, for the core. */
#ifndef DEVEMU_LIB_VIRTIO_H
#define DEVEMU_LIB_VIRTIO_H

#include "internal.h"

#include <devemu/virtio.h>

/* Nothing, in all of these, where the model is no virtio device. Made when it is configured. */
void devemu_virtio_make(DevemuDevice *dev);
void devemu_virtio_free(DevemuDevice *dev);
void devemu_virtio_revoke(DevemuDevice *dev);
void devemu_virtio_set_polled(DevemuDevice *dev, bool polled);
/* What the queues hold, to be put back behind a rehearsal; their windows are revoked. */
DevemuVirtqueue *devemu_virtio_keep(DevemuDevice *dev);
void devemu_virtio_put_back(DevemuDevice *dev, DevemuVirtqueue *kept);

/* --- what transports do with a device below them ----------------------------------- */

/* A register of the bank COMMON; 0 where there is none. */
uint64_t devemu_virtio_read(DevemuDevice *dev, uint64_t at, unsigned size);
void devemu_virtio_write(DevemuDevice *dev, uint64_t at, unsigned size, uint64_t value);
/* All features that it offers; leaves device_feature_select at 0. */
uint64_t devemu_virtio_offered(DevemuDevice *dev);
/* What the driver accepts, all of it. */
void devemu_virtio_accept(DevemuDevice *dev, uint64_t features);
/* Virtio 1.4, 2.7.2: enable the selected queue, of that Queue Size, in the legacy layout: the three
 * areas follow each other, the last one aligned to a power of two. */
void devemu_virtio_place_legacy(DevemuDevice *dev, uint64_t base, uint64_t size, uint64_t align);

#endif
