/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.c: the common registers of virtio devices, and what follows from them. Sections are those
 * of virtio 1.4.
 *
 * Not modelled: administration virtqueues (2.13), SUSPEND (2.1), feature bits from 64 on, and
 * NOTIF_CONFIG_DATA.
 */
#include "virtio-queue.h"

/* How often a queue whose device waits for a backend is looked at all the same. */
#define LATER_NS UINT64_C(100000000)

/* --- features: 2.2, 3.1.1, 6 ------------------------------------------------------- */

uint64_t virtio_offered(const VirtioDevice *v)
{
    const DevemuVirtio *class = virtio_class(v);
    uint64_t features = class->offer(v) | BIT(VIRTIO_F_VERSION_1);

    features |= v->indirect ? BIT(VIRTIO_F_INDIRECT_DESC) : 0;
    features |= v->event_idx ? BIT(VIRTIO_F_EVENT_IDX) : 0;
    features |= v->packed ? BIT(VIRTIO_F_RING_PACKED) : 0;
    features |= v->in_order && class->in_order ? BIT(VIRTIO_F_IN_ORDER) : 0;
    features |= v->ring_reset ? BIT(VIRTIO_F_RING_RESET) : 0;
    features |= v->notification_data ? BIT(VIRTIO_F_NOTIFICATION_DATA) : 0;
    features |= v->access_platform ? BIT(VIRTIO_F_ACCESS_PLATFORM) : 0;
    return features;
}

/* 2.2.2, 6.2: a subset of what is offered; memory behind an IOMMU is not to be taken for any other.
 */
static bool acceptable(const VirtioDevice *v)
{
    uint64_t features = v->driver_features;
    const DevemuVirtio *class = virtio_class(v);

    return (features & ~virtio_offered(v)) == 0 && (features & BIT(VIRTIO_F_VERSION_1)) &&
           (!v->access_platform || (features & BIT(VIRTIO_F_ACCESS_PLATFORM))) &&
           (class->accept == NULL || class->accept(v, features));
}

/* 3.1.2: a legacy driver knows no FEATURES_OK; what it wrote last holds. */
static bool legacy_negotiated(VirtioDevice *v)
{
    const DevemuVirtio *class = virtio_class(v);
    uint64_t features = v->driver_features & virtio_offered(v) & UINT32_MAX;

    if (v->driver_features & BIT(VIRTIO_F_VERSION_1)) {
        devemu_guest_error(v->dev, "device_status: FEATURES_OK is not set");
        return false;
    }
    if (class->accept && !class->accept(v, features)) {
        features = 0;
    }
    v->features = features;
    return true;
}

bool virtio_negotiated(VirtioDevice *v)
{
    return (v->status & DEVEMU_VIRTIO_FEATURES_OK) || legacy_negotiated(v);
}

/* --- notifications ----------------------------------------------------------------- */

DevemuVirtqueue *virtio_ready(VirtioDevice *v, unsigned queue)
{
    DevemuVirtqueue *q = queue < v->queue_count ? devemu_virtio_queue(v->dev, queue) : NULL;

    return q != NULL && virtio_running(v) && v->enabled[queue] && devemu_virtqueue_enabled(q) &&
                   !(v->resetting >> queue & 1)
               ? q
               : NULL;
}

void virtio_again(VirtioDevice *v, unsigned queue)
{
    v->pending |= BIT(queue);
    v->work_ns = devemu_now(v->dev);
}

bool virtio_put_off(VirtioDevice *v, unsigned queue)
{
    if (!devemu_dma_deferred(v->dev)) {
        return false;
    }
    if (virtio_ready(v, queue) != NULL) {
        virtio_again(v, queue);
    }
    return true;
}

void virtio_needs_reset(VirtioDevice *v, const char *why)
{
    if (v->status & DEVEMU_VIRTIO_NEEDS_RESET) {
        return;
    }
    devemu_guest_error(v->dev, why);
    v->status |= DEVEMU_VIRTIO_NEEDS_RESET;
    v->pending = 0;
    /* 2.1.2: with a configuration change notification if DRIVER_OK is set. */
    if (v->status & DEVEMU_VIRTIO_DRIVER_OK) {
        devemu_send_msi(v->dev, DEVEMU_VIRTIO_CONFIG_CHANGE);
    }
}

void virtio_config_changed(VirtioDevice *v)
{
    v->generation++;
    /* 3.1.1: no notification before DRIVER_OK. */
    if (virtio_running(v)) {
        devemu_send_msi(v->dev, DEVEMU_VIRTIO_CONFIG_CHANGE);
    }
}

bool virtio_flush(VirtioDevice *v, unsigned queue)
{
    DevemuVirtqueue *q = devemu_virtio_queue(v->dev, queue);
    const char *broken;
    bool notified;

    if (q == NULL || !v->enabled[queue]) {
        return false;
    }
    notified = devemu_virtqueue_flush(q);
    broken = devemu_virtqueue_broken(q);
    if (broken) {
        virtio_needs_reset(v, broken);
    }
    return notified;
}

static void later(VirtioDevice *v, unsigned queue)
{
    uint64_t due_ns = devemu_now(v->dev) + LATER_NS;

    v->pending |= BIT(queue);
    v->work_ns = v->work_ns < due_ns ? v->work_ns : due_ns;
}

void virtio_each_if(VirtioDevice *v, unsigned queue, VirtioUse *use, VirtioMay *may)
{
    DevemuVirtqueue *q = virtio_ready(v, queue);
    unsigned budget = v->size[queue % DEVEMU_VIRTIO_QUEUES];
    DevemuVirtqueueChain chain;
    bool held = false;

    while (q != NULL) {
        while (budget > 0 && devemu_virtqueue_pop(q, &chain, 1) == 1) {
            uint32_t written = 0;

            held = may != NULL && !may(v, queue);
            if (held) {
                devemu_virtqueue_unpop(q, &chain, 1);
                break;
            }
            budget--;
            if (use(v, queue, &chain, &written)) {
                devemu_virtqueue_push(q, &chain, written);
            }
        }
        virtio_flush(v, queue);
        q = virtio_ready(v, queue);
        if (q != NULL && held) {
            later(v, queue);
            return;
        }
        if (q == NULL || !devemu_virtqueue_listen(q)) {
            return;
        }
        if (budget == 0) {
            virtio_again(v, queue);
            return;
        }
    }
}

void virtio_each(VirtioDevice *v, unsigned queue, VirtioUse *use)
{
    virtio_each_if(v, queue, use, NULL);
}

void virtio_process(VirtioDevice *v, unsigned queue)
{
    DevemuVirtqueue *q = virtio_ready(v, queue);
    const char *broken;

    if (q == NULL) {
        return;
    }
    virtio_class(v)->process(v, queue);
    broken = v->enabled[queue] ? devemu_virtqueue_broken(q) : NULL;
    if (broken) {
        virtio_needs_reset(v, broken);
    }
}

void virtio_work(void *state, uint64_t due_ns)
{
    VirtioDevice *v = state;
    uint64_t pending = v->pending;

    (void)due_ns;
    v->pending = 0;
    for (; pending != 0; pending &= pending - 1) {
        virtio_process(v, (unsigned)__builtin_ctzll(pending));
    }
}

/* --- status: 2.1, 3.1 -------------------------------------------------------------- */

static bool device_busy(const VirtioDevice *v)
{
    for (unsigned i = 0; i < v->queue_count; i++) {
        if (virtio_queue_busy(v, i)) {
            return true;
        }
    }
    return false;
}

static void device_reset(VirtioDevice *v)
{
    const DevemuModel *model = devemu_device_model(v->dev);

    devemu_reset_banks(v->dev, DEVEMU_RESET_SOFT);
    model->reset(v, DEVEMU_RESET_SOFT);
}

/* 4.1.4.3.2: the reset is complete when the status reads 0. */
static void device_reset_begin(VirtioDevice *v)
{
    if (!device_busy(v)) {
        device_reset(v);
        return;
    }
    v->device_resetting = true;
    v->pending = 0;
    for (unsigned i = 0; i < v->queue_count; i++) {
        devemu_virtqueue_disable(devemu_virtio_queue(v->dev, i));
        v->enabled[i] = false;
    }
    virtio_queue_show(v);
}

void virtio_idle(VirtioDevice *v)
{
    for (unsigned i = 0; i < v->queue_count; i++) {
        if ((v->resetting >> i & 1) && !virtio_queue_busy(v, i)) {
            virtio_queue_reset_end(v, i);
        }
    }
    if (v->device_resetting && !device_busy(v)) {
        device_reset(v);
    }
}

/* Buffers may have been made available before. */
static void driver_ok(VirtioDevice *v)
{
    for (unsigned i = 0; i < v->queue_count; i++) {
        if (v->enabled[i]) {
            virtio_again(v, i);
        }
    }
    if (virtio_class(v)->start) {
        virtio_class(v)->start(v);
    }
}

void virtio_status_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    VirtioDevice *v = state;
    uint8_t set = (uint8_t)(value & ~old);

    (void)index;
    v->status = (uint8_t)old;
    if (v->device_resetting) {
        return;
    }
    if (value == 0) {
        device_reset_begin(v);
        return;
    }
    /* 2.1.1: a driver clears no bit; 2.1.2: NEEDS_RESET is the device's. */
    v->status |= set & (DEVEMU_VIRTIO_ACKNOWLEDGE | DEVEMU_VIRTIO_DRIVER | DEVEMU_VIRTIO_FAILED);
    if (set & DEVEMU_VIRTIO_FEATURES_OK) {
        if (acceptable(v)) {
            v->features = v->driver_features;
            v->status |= DEVEMU_VIRTIO_FEATURES_OK;
        } else {
            devemu_guest_error(v->dev, "device_status: these features do not go together");
        }
    }
    if ((set & DEVEMU_VIRTIO_DRIVER_OK) && virtio_negotiated(v)) {
        v->status |= DEVEMU_VIRTIO_DRIVER_OK;
        driver_ok(v);
    }
}

/* --- life -------------------------------------------------------------------------- */

bool virtio_configure(void *state, const char **ret_property, const char **ret_message)
{
    VirtioDevice *v = state;

    (void)ret_property;
    (void)ret_message;
    while (v->queue_count < DEVEMU_VIRTIO_QUEUES && virtio_queue_max(v, v->queue_count) > 0) {
        v->queue_count++;
    }
    return true;
}

void virtio_reset(void *state, DevemuReset kind)
{
    VirtioDevice *v = state;

    (void)kind;
    v->pending = v->resetting = v->resume = 0;
    v->work_ns = DEVEMU_NEVER;
    v->driver_features = v->features = 0;
    v->device_resetting = false;
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        virtio_queue_clear(v, i);
        if (i < v->queue_count && virtio_class(v)->queue_reset) {
            virtio_class(v)->queue_reset(v, i);
        }
    }
    virtio_queue_show(v);
}

void virtio_saving(void *state)
{
    VirtioDevice *v = state;

    for (unsigned i = 0; i < v->queue_count; i++) {
        const DevemuVirtqueue *q = devemu_virtio_queue(v->dev, i);

        if (v->enabled[i] && devemu_virtqueue_enabled(q)) {
            v->position[i] = devemu_virtqueue_position(q);
        }
    }
    virtio_queue_show(v);
}

/* Do the registers of the selected queue show what is kept of it? */
static bool shows_selected(const VirtioDevice *v)
{
    unsigned i = v->queue_select;

    if (i >= v->queue_count) {
        return (v->queue_desc | v->queue_driver | v->queue_device | v->queue_position |
                v->queue_size | v->queue_enable) == 0;
    }
    return v->queue_desc == v->desc[i] && v->queue_driver == v->driver[i] &&
           v->queue_device == v->device[i] && v->queue_position == v->position[i] &&
           v->queue_size == v->size[i] && v->queue_enable == v->enabled[i];
}

bool virtio_valid(const void *state)
{
    const VirtioDevice *v = state;
    uint64_t there = v->queue_count < 64 ? BIT(v->queue_count) - 1 : UINT64_MAX;

    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        unsigned max = i < v->queue_count ? virtio_queue_max(v, i) : 0;

        if (v->enabled[i] && (v->size[i] == 0 || v->size[i] > max || (v->resume >> i & 1))) {
            return false;
        }
    }
    /* A legacy driver may change its mind behind the first queue_enable. */
    return ((v->pending | v->resetting | v->resume) & ~there) == 0 &&
           (virtio_features_open(v) || (v->features & ~v->driver_features) == 0) &&
           shows_selected(v);
}

void virtio_loaded(void *state)
{
    VirtioDevice *v = state;

    for (unsigned i = 0; i < v->queue_count; i++) {
        bool was = v->enabled[i];

        devemu_virtqueue_disable(devemu_virtio_queue(v->dev, i));
        if (was) {
            /* One that cannot go on there stays silent until it is reset. */
            v->resume |= BIT(i);
            virtio_queue_enable(v, i);
            v->enabled[i] = true;
        }
    }
    virtio_queue_show(v);
}
