/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h: what all virtio devices share: the common registers, the status machine, the
 * negotiation of features, notifications, resets. Sections are those of virtio 1.4.
 *
 * A device's state begins with a VirtioDevice; its banks begin with VIRTIO_BANKS, its fields,
 * timers and properties hold VIRTIO_FIELDS, VIRTIO_TIMERS and VIRTIO_PROPERTIES, and it calls
 * virtio_reset(), virtio_saving(), virtio_loaded(), virtio_valid() and virtio_configure() first in
 * its own callbacks, or names them as such.
 */
#ifndef DEVEMU_MODELS_VIRTIO_H
#define DEVEMU_MODELS_VIRTIO_H

#include <devemu/model.h>
#include <devemu/virtio.h>

typedef struct VirtioDevice {
    DevemuDevice *dev;
    uint64_t work_ns; /* queues in `pending` are to be processed */
    uint64_t pending;
    uint64_t resetting; /* queues whose reset waits for a backend */
    uint64_t resume;    /* queues that go on at a position when they are enabled */
    uint64_t driver_features;
    uint64_t features; /* as negotiated; 0 before */

    /* The registers of the selected queue, kept for each below. */
    uint64_t queue_desc, queue_driver, queue_device;
    uint32_t queue_position;
    uint16_t queue_size;
    uint16_t queue_enable;

    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select;
    uint8_t status;
    uint8_t generation;
    bool device_resetting; /* status 0 was written, and a backend has buffers */
    uint8_t unused_1[3];

    uint64_t desc[DEVEMU_VIRTIO_QUEUES];
    uint64_t driver[DEVEMU_VIRTIO_QUEUES];
    uint64_t device[DEVEMU_VIRTIO_QUEUES];
    uint32_t position[DEVEMU_VIRTIO_QUEUES];
    uint16_t size[DEVEMU_VIRTIO_QUEUES];
    bool enabled[DEVEMU_VIRTIO_QUEUES];
    uint8_t queue_count;

    /* Properties. */
    bool packed, event_idx, indirect, in_order, ring_reset, notification_data, access_platform;
    uint32_t unused_2[2];
} VirtioDevice;

extern const DevemuReg virtio_common_regs[];
extern const DevemuReg virtio_notify_regs[];
#define VIRTIO_COMMON_REGS 19
#define VIRTIO_NOTIFY_REGS 2

/* The device's own bank, its configuration space, follows as DEVEMU_VIRTIO_CONFIG. */
#define VIRTIO_BANKS                                                                               \
    [DEVEMU_VIRTIO_COMMON] = {.name = "common",                                                    \
                              .kind = DEVEMU_BANK_MMIO,                                            \
                              .size = DEVEMU_VIRTIO_COMMON_BYTES,                                  \
                              .regs = virtio_common_regs,                                          \
                              .reg_count = VIRTIO_COMMON_REGS,                                     \
                              .lanes = true},                                                      \
    [DEVEMU_VIRTIO_NOTIFY] = {.name = "notify",                                                    \
                              .kind = DEVEMU_BANK_MMIO,                                            \
                              .size = 4 * DEVEMU_VIRTIO_QUEUES,                                    \
                              .regs = virtio_notify_regs,                                          \
                              .reg_count = VIRTIO_NOTIFY_REGS}

#define VIRTIO_FIELDS                                                                              \
    DEVEMU_SAVE(VirtioDevice, pending), DEVEMU_SAVE(VirtioDevice, resetting),                      \
        DEVEMU_SAVE(VirtioDevice, resume), DEVEMU_SAVE(VirtioDevice, driver_features),             \
        DEVEMU_SAVE(VirtioDevice, features), DEVEMU_SAVE(VirtioDevice, device_resetting),          \
        DEVEMU_SKIP(VirtioDevice, unused_1), DEVEMU_SAVE_ARRAY(VirtioDevice, desc),                \
        DEVEMU_SAVE_ARRAY(VirtioDevice, driver), DEVEMU_SAVE_ARRAY(VirtioDevice, device),          \
        DEVEMU_SAVE_ARRAY(VirtioDevice, position), DEVEMU_SAVE_ARRAY(VirtioDevice, size),          \
        DEVEMU_SAVE_ARRAY(VirtioDevice, enabled), DEVEMU_SKIP(VirtioDevice, queue_count),          \
        DEVEMU_SKIP(VirtioDevice, unused_2)

#define VIRTIO_TIMERS DEVEMU_TIMER(VirtioDevice, work_ns, virtio_work)

#define VIRTIO_SWITCH(property, member, on, sentence)                                              \
    {                                                                                              \
        .name = (property), .type = DEVEMU_PROPERTY_BOOL, DEVEMU_OPTION(VirtioDevice, member),     \
        .value = (on), .doc = (sentence)                                                           \
    }
#define VIRTIO_PROPERTIES                                                                          \
    VIRTIO_SWITCH("packed", packed, "off", "Offer packed virtqueues (RING_PACKED)?"),              \
        VIRTIO_SWITCH("event_idx", event_idx, "on", "Offer EVENT_IDX?"),                           \
        VIRTIO_SWITCH("indirect_desc", indirect, "on", "Offer INDIRECT_DESC?"),                    \
        VIRTIO_SWITCH("in_order", in_order, "on",                                                  \
                      "Offer IN_ORDER, if the device uses buffers in order?"),                     \
        VIRTIO_SWITCH("queue_reset", ring_reset, "on", "Offer RING_RESET?"),                       \
        VIRTIO_SWITCH("notification_data", notification_data, "on", "Offer NOTIFICATION_DATA?"),   \
        VIRTIO_SWITCH("iommu_platform", access_platform, "off",                                    \
                      "Offer ACCESS_PLATFORM: memory is behind an IOMMU?")

/* --- the model's callbacks --------------------------------------------------------- */

bool virtio_configure(void *state, const char **ret_property, const char **ret_message);
/* Of every kind. */
void virtio_reset(void *state, DevemuReset kind);
void virtio_saving(void *state);
bool virtio_valid(const void *state);
void virtio_loaded(void *state);
void virtio_work(void *state, uint64_t due_ns);

/* --- services for devices ---------------------------------------------------------- */

static inline bool virtio_has(const VirtioDevice *v, unsigned feature)
{
    return v->features >> feature & 1;
}

/* May the device use buffers and send notifications? */
static inline bool virtio_running(const VirtioDevice *v)
{
    return (v->status & (DEVEMU_VIRTIO_DRIVER_OK | DEVEMU_VIRTIO_NEEDS_RESET)) ==
               DEVEMU_VIRTIO_DRIVER_OK &&
           !v->device_resetting;
}

/* The queue, if the device may take buffers from it now, else NULL. */
DevemuVirtqueue *virtio_ready(VirtioDevice *v, unsigned queue);
/* There is more to do in the queue than one event should: process() is called again soon. */
void virtio_again(VirtioDevice *v, unsigned queue);
/* For what the host's side does to a queue in an access or an input: where DMA is not answered in
 * those, this is true, and process() is called at a moment when it is. */
bool virtio_put_off(VirtioDevice *v, unsigned queue);
/* Show the driver what was pushed; looks at whether the queue is broken. True: it was notified. */
bool virtio_flush(VirtioDevice *v, unsigned queue);
/* The driver did something after which only a reset helps (2.1.2); why is a constant sentence. */
void virtio_needs_reset(VirtioDevice *v, const char *why);
/* Something in the configuration space changed by itself (2.5, 4.1.4.3.1). */
void virtio_config_changed(VirtioDevice *v);
/* A backend gave back the last buffer, or one of them: a reset may be waiting for it. */
void virtio_idle(VirtioDevice *v);

/*
 * The process() of a device that looks at one buffer at a time: `use` is called for each, up to a
 * Queue Size of them an event. It returns true if the buffer is used, with *ret_written bytes
 * written to it; false if the device keeps it, and its segments, for later.
 */
typedef bool VirtioUse(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                       uint32_t *ret_written);
void virtio_each(VirtioDevice *v, unsigned queue, VirtioUse *use);
/* The same while `may` says so, which is asked before each buffer. When it does not, the rest stays
 * with the driver; the device calls virtio_again() when it may go on, and process() is called now
 * and then meanwhile, since a snapshot may be loaded where nobody knows that somebody waits. */
typedef bool VirtioMay(void *state, unsigned queue);
void virtio_each_if(VirtioDevice *v, unsigned queue, VirtioUse *use, VirtioMay *may);

#endif
