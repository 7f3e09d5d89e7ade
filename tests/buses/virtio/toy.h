/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * toy.h: a virtio device for tests of transports. Queue 0 fills each buffer with what it says;
 * queue 1 keeps a buffer until "release" is written, so that a reset has to wait for it.
 */
#ifndef TESTS_BUSES_VIRTIO_TOY_H
#define TESTS_BUSES_VIRTIO_TOY_H

#include "../../../models/virtio/virtio.h"

enum {
    TOY_FILL = 0,    /* configuration: 4 bytes that buffers are filled with; a write changes the
                        configuration space "by itself" */
    TOY_RELEASE = 4, /* configuration: 1 byte */
    TOY_SIZE = 16,
    TOY_QUEUES = 2,
};

struct toy {
    VirtioDevice v;
    uint32_t fill;
    bool kept;
    uint8_t unused[3];
};

static inline uint64_t toy_offer(const void *state)
{
    (void)state;
    return 1 << 3;
}

static inline unsigned toy_queue_size(const void *state, unsigned queue)
{
    (void)state;
    return queue < TOY_QUEUES ? TOY_SIZE : 0;
}

static inline bool toy_use(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                           uint32_t *ret_written)
{
    struct toy *s = (struct toy *)state;
    uint8_t fill[4];

    if (queue == 1) {
        s->kept = true;
        return false;
    }
    devemu_put_le32(fill, s->fill);
    *ret_written =
        (uint32_t)devemu_virtqueue_write(devemu_virtio_queue(s->v.dev, queue), chain, 0, fill, 4);
    return true;
}

static inline void toy_process(void *state, unsigned queue)
{
    virtio_each((VirtioDevice *)state, queue, toy_use);
}

static inline bool toy_busy(const void *state, unsigned queue)
{
    return queue == 1 && ((const struct toy *)state)->kept;
}

static inline void toy_fill_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    virtio_config_changed((VirtioDevice *)state);
}

static inline void toy_release_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct toy *s = (struct toy *)state;

    (void)index;
    (void)value;
    (void)old;
    s->kept = false;
    virtio_idle(&s->v);
}

static inline void toy_reset(void *state, DevemuReset kind)
{
    virtio_reset(state, kind);
    ((struct toy *)state)->kept = false;
}

static const DevemuReg toy_regs[] = {
    {.name = "fill",
     .at = TOY_FILL,
     .size = 4,
     DEVEMU_IN(struct toy, fill),
     .wrote = toy_fill_wrote},
    {.name = "release", .at = TOY_RELEASE, .size = 1, .wrote = toy_release_wrote},
};

static const DevemuBank toy_banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config",
                              .kind = DEVEMU_BANK_MMIO,
                              .size = 8,
                              .regs = toy_regs,
                              .reg_count = DEVEMU_N_ELEMENTS(toy_regs),
                              .lanes = true},
};

static const DevemuField toy_fields[] = {
    VIRTIO_FIELDS,
    DEVEMU_SAVE(struct toy, kept),
    DEVEMU_SKIP(struct toy, unused),
    {.name = NULL},
};

static const DevemuTimer toy_timers[] = {VIRTIO_TIMERS, {.name = NULL}};
static const DevemuProperty toy_properties[] = {VIRTIO_PROPERTIES, {.name = NULL}};

static const DevemuVirtio toy_virtio = {
    .device_id = 42,
    .transitional_id = 0x1009,
    .class_code = 0x00ff00,
    .offer = toy_offer,
    .queue_size = toy_queue_size,
    .process = toy_process,
    .busy = toy_busy,
};

static const DevemuModel toy_model = {
    .name = "toy",
    .title = "virtio device for tests",
    .state_size = sizeof(struct toy),
    .banks = toy_banks,
    .bank_count = DEVEMU_N_ELEMENTS(toy_banks),
    .fields = toy_fields,
    .timers = toy_timers,
    .properties = toy_properties,
    .configure = virtio_configure,
    .reset = toy_reset,
    .saving = virtio_saving,
    .valid = virtio_valid,
    .loaded = virtio_loaded,
    .virtio = &toy_virtio,
};

#endif
