/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-queue.h: what virtio.c and virtio-queue.c know of each other.
 */
#ifndef DEVEMU_MODELS_VIRTIO_QUEUE_H
#define DEVEMU_MODELS_VIRTIO_QUEUE_H

#include "virtio.h"

#define BIT(n) (UINT64_C(1) << (n))

static inline const DevemuVirtio *virtio_class(const VirtioDevice *v)
{
    return devemu_device_model(v->dev)->virtio;
}

static inline uint16_t virtio_queue_max(const VirtioDevice *v, unsigned queue)
{
    return (uint16_t)virtio_class(v)->queue_size(v, queue);
}

/* virtio.c: all features that the device offers. */
uint64_t virtio_offered(const VirtioDevice *v);
/* Are there negotiated features, be it as a legacy driver leaves them? */
bool virtio_negotiated(VirtioDevice *v);
/* 2.2.1: not after FEATURES_OK. state is a VirtioDevice. */
bool virtio_features_open(const void *state);
/* The queue was notified. */
void virtio_process(VirtioDevice *v, unsigned queue);
void virtio_status_wrote(void *state, unsigned index, uint64_t value, uint64_t old);

/* virtio-queue.c: show the registers of the selected queue. */
void virtio_queue_show(VirtioDevice *v);
/* As after a reset. */
void virtio_queue_clear(VirtioDevice *v, unsigned queue);
bool virtio_queue_enable(VirtioDevice *v, unsigned queue);
/* Has a backend buffers of it? */
bool virtio_queue_busy(const VirtioDevice *v, unsigned queue);
void virtio_queue_reset_end(VirtioDevice *v, unsigned queue);

#endif
