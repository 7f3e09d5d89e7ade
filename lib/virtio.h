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

#endif
