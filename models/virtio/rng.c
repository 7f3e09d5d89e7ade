/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rng.c: virtio entropy device (virtio 1.4, 5.4).
 *
 * The random bytes come from a character backend ("random"), which hears that there is room when
 * the driver gives buffers.
 *
 * Not modelled: VIRTIO_RNG_F_LEAK, which no released specification has.
 */
#include "virtio.h"

enum {
    REQUESTQ,
    QUEUES,
    QUEUE_SIZE = 256,
    /* What one buffer at most gets; it need not be filled (5.4.6.2: one byte at least). */
    ROOM = 4096,
};

struct virtio_rng {
    VirtioDevice v;
    bool hungry; /* there may be buffers */
    uint8_t unused[7];
};

static uint64_t rng_offer(const void *state)
{
    (void)state;
    return 0;
}

static unsigned rng_queue_size(const void *state, unsigned queue)
{
    (void)state;
    return queue < QUEUES ? QUEUE_SIZE : 0;
}

static void rng_process(void *state, unsigned queue)
{
    struct virtio_rng *s = state;

    (void)queue;
    s->hungry = true;
    devemu_send_ready(s->v.dev);
}

static size_t rng_ready(const void *state)
{
    const struct virtio_rng *s = state;

    return s->hungry && virtio_running(&s->v) ? ROOM : 0;
}

static size_t rng_receive(void *state, const uint8_t *data, size_t len)
{
    struct virtio_rng *s = state;
    DevemuVirtqueue *q = virtio_ready(&s->v, REQUESTQ);
    DevemuVirtqueueChain chain;
    size_t taken = 0;

    for (unsigned n = 0; q != NULL && n < QUEUE_SIZE && taken < len; n++) {
        size_t put;

        if (devemu_virtqueue_pop(q, &chain, 1) == 0 &&
            (!devemu_virtqueue_listen(q) || devemu_virtqueue_pop(q, &chain, 1) == 0)) {
            s->hungry = false;
            break;
        }
        put = devemu_virtqueue_write(q, &chain, 0, data + taken, len - taken);
        devemu_virtqueue_push(q, &chain, (uint32_t)put);
        taken += put;
    }
    virtio_flush(&s->v, REQUESTQ);
    return taken;
}

static void rng_reset(void *state, DevemuReset kind)
{
    struct virtio_rng *s = state;

    virtio_reset(state, kind);
    s->hungry = false;
}

static const DevemuBank banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config", .kind = DEVEMU_BANK_MMIO},
};

static const DevemuField fields[] = {
    VIRTIO_FIELDS,
    DEVEMU_SAVE(struct virtio_rng, hungry),
    DEVEMU_SKIP(struct virtio_rng, unused),
    {0},
};

static const DevemuTimer timers[] = {VIRTIO_TIMERS, {0}};
static const DevemuProperty properties[] = {VIRTIO_PROPERTIES, {0}};

static const DevemuVirtio virtio = {
    .device_id = 4,
    .transitional_id = 0x1005,
    .class_code = 0x00ff00, /* what drivers and systems know it by: no class of its own */
    .in_order = true,
    .offer = rng_offer,
    .queue_size = rng_queue_size,
    .process = rng_process,
};

const DevemuModel devemu_model_virtio_rng = {
    .name = "virtio-rng",
    .title = "virtio entropy device",
    .datasheet = "OASIS Virtual I/O Device 1.4, 5.4",
    .not_modelled = "nothing of the entropy device; of all virtio devices: administration "
                    "virtqueues, SUSPEND, NOTIF_CONFIG_DATA",
    .state_size = sizeof(struct virtio_rng),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .configure = virtio_configure,
    .reset = rng_reset,
    .saving = virtio_saving,
    .valid = virtio_valid,
    .loaded = virtio_loaded,
    .receive = rng_receive,
    .ready = rng_ready,
    .virtio = &virtio,
    .is_char = true,
};
