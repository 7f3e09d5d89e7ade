/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-queue.c: the common registers of virtio devices, and the queues that they set up. Sections
 * are those of virtio 1.4.
 */
#include "virtio-queue.h"

/* --- features: 2.2 ------------------------------------------------------------------ */

static uint64_t device_feature_read(const void *state, unsigned index)
{
    const VirtioDevice *v = state;

    (void)index;
    return v->device_feature_select < 2
               ? virtio_offered(v) >> (v->device_feature_select * 32) & UINT32_MAX
               : 0;
}

static uint64_t driver_feature_read(const void *state, unsigned index)
{
    const VirtioDevice *v = state;

    (void)index;
    return v->driver_feature_select < 2
               ? v->driver_features >> (v->driver_feature_select * 32) & UINT32_MAX
               : 0;
}

static void driver_feature_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    VirtioDevice *v = state;
    unsigned shift = v->driver_feature_select * 32;

    (void)index;
    (void)old;
    if (v->driver_feature_select < 2) {
        v->driver_features = (v->driver_features & ~((uint64_t)UINT32_MAX << shift)) | value
                                                                                           << shift;
    }
}

bool virtio_features_open(const void *state)
{
    const VirtioDevice *v = state;

    return !(v->status & (DEVEMU_VIRTIO_FEATURES_OK | DEVEMU_VIRTIO_DRIVER_OK));
}

/* --- the selected queue ---------------------------------------------------------- */

static bool queue_selected(const VirtioDevice *v)
{
    return v->queue_select < v->queue_count;
}

/* Show the registers of the selected queue. */
void virtio_queue_show(VirtioDevice *v)
{
    unsigned i = v->queue_select;
    bool there = queue_selected(v);

    v->queue_desc = there ? v->desc[i] : 0;
    v->queue_driver = there ? v->driver[i] : 0;
    v->queue_device = there ? v->device[i] : 0;
    v->queue_size = there ? v->size[i] : 0;
    v->queue_enable = there && v->enabled[i];
    v->queue_position = there ? v->position[i] : 0;
}

void virtio_queue_clear(VirtioDevice *v, unsigned i)
{
    DevemuVirtqueue *q = devemu_virtio_queue(v->dev, i);

    if (q) {
        devemu_virtqueue_disable(q);
    }
    v->enabled[i] = false;
    v->desc[i] = v->driver[i] = v->device[i] = 0;
    v->position[i] = 0;
    v->resume &= ~BIT(i);
    v->pending &= ~BIT(i);
    v->size[i] = i < v->queue_count ? virtio_queue_max(v, i) : 0;
}

bool virtio_queue_enable(VirtioDevice *v, unsigned i)
{
    const DevemuVirtqueueSetup setup = {
        .features = v->features,
        .size = v->size[i],
        .desc = v->desc[i],
        .driver = v->driver[i],
        .device = v->device[i],
        .resume = v->resume >> i & 1,
        .position = v->position[i],
    };

    v->enabled[i] = devemu_virtqueue_enable(devemu_virtio_queue(v->dev, i), &setup);
    v->resume &= ~BIT(i);
    return v->enabled[i];
}

static void stop_queue(VirtioDevice *v, unsigned i)
{
    DevemuVirtqueue *q = devemu_virtio_queue(v->dev, i);

    v->position[i] = devemu_virtqueue_position(q);
    v->enabled[i] = false;
    v->pending &= ~BIT(i);
    devemu_virtqueue_disable(q);
    if (virtio_class(v)->queue_reset) {
        virtio_class(v)->queue_reset(v, i);
    }
}

bool virtio_queue_busy(const VirtioDevice *v, unsigned i)
{
    return virtio_class(v)->busy && virtio_class(v)->busy(v, i);
}

static bool queue_open(const void *state)
{
    const VirtioDevice *v = state;

    return queue_selected(v) && !v->enabled[v->queue_select] && !v->device_resetting;
}

static bool queue_exists(const void *state)
{
    const VirtioDevice *v = state;

    return queue_selected(v) && !v->device_resetting && !(v->resetting >> v->queue_select & 1);
}

static void select_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    virtio_queue_show(state);
}

static void queue_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    VirtioDevice *v = state;
    unsigned i = v->queue_select;

    (void)index;
    (void)value;
    (void)old;
    v->size[i] = v->queue_size;
    v->desc[i] = v->queue_desc;
    v->driver[i] = v->queue_driver;
    v->device[i] = v->queue_device;
}

static void position_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    VirtioDevice *v = state;

    (void)index;
    (void)old;
    v->position[v->queue_select] = (uint32_t)value;
    v->resume |= BIT(v->queue_select);
}

static uint64_t position_read(const void *state, unsigned index)
{
    const VirtioDevice *v = state;
    unsigned i = v->queue_select;

    (void)index;
    return queue_selected(v) && v->enabled[i]
               ? devemu_virtqueue_position(devemu_virtio_queue(v->dev, i))
               : v->queue_position;
}

static uint64_t in_flight_read(const void *state, unsigned index)
{
    const VirtioDevice *v = state;
    unsigned i = v->queue_select;

    (void)index;
    return queue_selected(v) && v->enabled[i]
               ? devemu_virtqueue_in_flight(devemu_virtio_queue(v->dev, i))
               : 0;
}

static void enable_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    VirtioDevice *v = state;
    unsigned i = v->queue_select;

    (void)index;
    if (value == 1 && !old) {
        if (virtio_negotiated(v) && !virtio_queue_enable(v, i)) {
            devemu_guest_error(v->dev, "queue_enable: the size or an address is not possible");
        }
        if (virtio_running(v) && v->enabled[i]) {
            virtio_again(v, i);
        }
    } else if (value == 0 && old) {
        stop_queue(v, i);
    }
    virtio_queue_show(v);
}

/* 2.6.1, 4.1.4.3.1: reads as 1 until the device has let go of the queue. */
static uint64_t queue_reset_read(const void *state, unsigned index)
{
    const VirtioDevice *v = state;

    (void)index;
    return queue_selected(v) ? v->resetting >> v->queue_select & 1 : 0;
}

void virtio_queue_reset_end(VirtioDevice *v, unsigned i)
{
    v->resetting &= ~BIT(i);
    if (virtio_class(v)->queue_reset) {
        virtio_class(v)->queue_reset(v, i);
    }
    virtio_queue_clear(v, i);
    virtio_queue_show(v);
}

static void queue_reset_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    VirtioDevice *v = state;
    unsigned i = v->queue_select;

    (void)index;
    (void)old;
    if (value != 1 || !virtio_has(v, VIRTIO_F_RING_RESET) || !v->enabled[i]) {
        return;
    }
    devemu_virtqueue_disable(devemu_virtio_queue(v->dev, i));
    v->enabled[i] = false;
    v->pending &= ~BIT(i);
    if (virtio_queue_busy(v, i)) {
        v->resetting |= BIT(i);
        virtio_queue_show(v);
    } else {
        virtio_queue_reset_end(v, i);
    }
}

static uint64_t num_queues_read(const void *state, unsigned index)
{
    (void)index;
    return ((const VirtioDevice *)state)->queue_count;
}

static uint64_t notify_off_read(const void *state, unsigned index)
{
    const VirtioDevice *v = state;

    (void)index;
    return queue_selected(v) ? v->queue_select : 0;
}

static uint64_t queue_max_read(const void *state, unsigned index)
{
    const VirtioDevice *v = state;

    (void)index;
    return queue_selected(v) ? virtio_queue_max(v, v->queue_select) : 0;
}

/* --- notifications: 4.1.5.2 --------------------------------------------------------- */

static void notify_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    VirtioDevice *v = state;

    (void)value;
    (void)old;
    if (virtio_ready(v, index) == NULL) {
        return;
    }
    if (devemu_dma_deferred(v->dev)) {
        virtio_again(v, index);
    } else {
        virtio_process(v, index);
    }
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits status_bits[] = {
    {"ACKNOWLEDGE", DEVEMU_VIRTIO_ACKNOWLEDGE},
    {"DRIVER", DEVEMU_VIRTIO_DRIVER},
    {"DRIVER_OK", DEVEMU_VIRTIO_DRIVER_OK},
    {"FEATURES_OK", DEVEMU_VIRTIO_FEATURES_OK},
    {"DEVICE_NEEDS_RESET", DEVEMU_VIRTIO_NEEDS_RESET},
    {"FAILED", DEVEMU_VIRTIO_FAILED},
    {0},
};

#define SECTION "4.1.4.3"
#define QUEUE_REGISTER(label, words, place, bytes, field)                                          \
    {                                                                                              \
        .name = (label), .title = (words), .section = SECTION, .at = (place), .size = (bytes),     \
        DEVEMU_IN(VirtioDevice, field), .writable = queue_open, .wrote = queue_wrote               \
    }
#define SHOWN(label, words, place, bytes, reader)                                                  \
    {                                                                                              \
        .name = (label), .title = (words), .section = SECTION, .at = (place), .size = (bytes),     \
        .read = (reader)                                                                           \
    }

const DevemuReg virtio_common_regs[VIRTIO_COMMON_REGS] = {
    {.name = "device_feature_select",
     .title = "Which 32 bits of the offered features are shown",
     .section = SECTION,
     .at = DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT,
     .size = 4,
     DEVEMU_IN(VirtioDevice, device_feature_select)},
    SHOWN("device_feature", "Features that the device offers", DEVEMU_VIRTIO_DEVICE_FEATURE, 4,
          device_feature_read),
    {.name = "driver_feature_select",
     .title = "Which 32 bits of the accepted features are shown",
     .section = SECTION,
     .at = DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT,
     .size = 4,
     DEVEMU_IN(VirtioDevice, driver_feature_select)},
    {.name = "driver_feature",
     .title = "Features that the driver accepts",
     .section = SECTION,
     .at = DEVEMU_VIRTIO_DRIVER_FEATURE,
     .size = 4,
     .writable = virtio_features_open,
     .read = driver_feature_read,
     .wrote = driver_feature_wrote},
    SHOWN("num_queues", "Number of queues", DEVEMU_VIRTIO_NUM_QUEUES, 2, num_queues_read),
    {.name = "device_status",
     .title = "Device status; 0 resets",
     .section = "2.1",
     .bits = status_bits,
     .at = DEVEMU_VIRTIO_DEVICE_STATUS,
     .size = 1,
     DEVEMU_IN(VirtioDevice, status),
     .wrote = virtio_status_wrote},
    {.name = "config_generation",
     .title = "Changes with the configuration space",
     .section = SECTION,
     .at = DEVEMU_VIRTIO_CONFIG_GENERATION,
     .size = 1,
     DEVEMU_IN(VirtioDevice, generation),
     .ro = 0xff},
    {.name = "queue_select",
     .title = "Which queue the registers below are of",
     .section = SECTION,
     .at = DEVEMU_VIRTIO_QUEUE_SELECT,
     .size = 2,
     DEVEMU_IN(VirtioDevice, queue_select),
     .wrote = select_wrote},
    QUEUE_REGISTER("queue_size", "Queue Size, at first the greatest", DEVEMU_VIRTIO_QUEUE_SIZE, 2,
                   queue_size),
    {.name = "queue_enable",
     .title = "Is the queue in use?",
     .section = SECTION,
     .at = DEVEMU_VIRTIO_QUEUE_ENABLE,
     .size = 2,
     DEVEMU_IN(VirtioDevice, queue_enable),
     .writable = queue_exists,
     .wrote = enable_wrote},
    SHOWN("queue_notify_off", "Where to notify the queue", DEVEMU_VIRTIO_QUEUE_NOTIFY_OFF, 2,
          notify_off_read),
    QUEUE_REGISTER("queue_desc", "Address of the Descriptor Area", DEVEMU_VIRTIO_QUEUE_DESC, 8,
                   queue_desc),
    QUEUE_REGISTER("queue_driver", "Address of the Driver Area", DEVEMU_VIRTIO_QUEUE_DRIVER, 8,
                   queue_driver),
    QUEUE_REGISTER("queue_device", "Address of the Device Area", DEVEMU_VIRTIO_QUEUE_DEVICE, 8,
                   queue_device),
    SHOWN("queue_notif_config_data", "Value to notify with", DEVEMU_VIRTIO_QUEUE_NOTIF_CONFIG_DATA,
          2, notify_off_read),
    {.name = "queue_reset",
     .title = "1 resets the queue, and stays until that is done",
     .section = "2.6.1",
     .at = DEVEMU_VIRTIO_QUEUE_RESET,
     .size = 2,
     .writable = queue_exists,
     .read = queue_reset_read,
     .wrote = queue_reset_wrote},
    {.name = "queue_position",
     .title = "Where the queue stands, or goes on",
     .section = "ours",
     .at = DEVEMU_VIRTIO_QUEUE_POSITION,
     .size = 4,
     DEVEMU_IN(VirtioDevice, queue_position),
     .writable = queue_open,
     .read = position_read,
     .wrote = position_wrote},
    SHOWN("queue_in_flight", "Buffers in the device's hands", DEVEMU_VIRTIO_QUEUE_IN_FLIGHT, 2,
          in_flight_read),
    SHOWN("queue_max", "Greatest Queue Size", DEVEMU_VIRTIO_QUEUE_MAX, 2, queue_max_read),
};

#define NOTIFY(label, bytes)                                                                       \
    {                                                                                              \
        .name = (label), .title = "Buffers are available in queue n", .section = "4.1.4.4",        \
        .size = (bytes), .count = DEVEMU_VIRTIO_QUEUES, .stride = 4, .wrote = notify_wrote,        \
        .doorbell = true                                                                           \
    }

/* Four bytes with NOTIFICATION_DATA (4.1.5.2): what they say the ring says as well. */
const DevemuReg virtio_notify_regs[VIRTIO_NOTIFY_REGS] = {
    NOTIFY("queue_notify", 2),
    NOTIFY("queue_notify_data", 4),
};
