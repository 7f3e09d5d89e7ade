/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-ring.c: rings: where they are, when they run, and how they are kicked (spec "Ring
 * states").
 *
 * A ring runs while it is started, enabled and placed, in a device that agreed on features. It is
 * started by SET_VRING_KICK and not by the first kick, as every back-end does it: a kick may have
 * come before, and a guest that goes on after a migration gives none. A ring that is started but
 * not enabled is left alone; its buffers wait.
 *
 * The file is long because each of the nine messages about rings is a handler here, next to what it
 * changes.
 */
#define _GNU_SOURCE
#include "vhost-user.h"

#include <sys/socket.h>
#include <unistd.h>

#define USED_IDX 2 /* in a used ring */

/* --- descriptors ------------------------------------------------------------------- */

static void event_clear(VhostEvent *event)
{
    if (event->fd >= 0) {
        close(event->fd);
    }
    event->fd = -1;
}

static void unwatch(DevemuVhostUser *s, VhostRing *ring)
{
    if (ring->kick_tag) {
        g_source_remove_unix_fd(s->loop.source, ring->kick_tag);
        ring->kick_tag = NULL;
    }
}

static void kick_clear(DevemuVhostUser *s, VhostRing *ring)
{
    unwatch(s, ring);
    event_clear(&ring->kick);
    ring->kicked = ring->polled = false;
}

/* The ring and perhaps the descriptor that come in messages like SET_VRING_KICK. */
static const char *take_event(DevemuVhostUser *s, const VhostMessage *m, VhostRing **ret_ring,
                              VhostEvent *ret_event)
{
    uint64_t number = server_get64(m->payload);
    bool none = number & VHOST_NO_FD;

    if ((number & 0xff) >= s->ring_count) {
        return "there is no such ring";
    }
    if (m->fd_count != !none) {
        return "it has a descriptor and says that it has none, or the other way round";
    }
    *ret_ring = &s->rings[number & 0xff];
    *ret_event = (VhostEvent){.fd = -1};
    if (!none) {
        if (!server_event_usable(m->fds[0], &ret_event->is_socket)) {
            return "the descriptor is neither an eventfd nor a socket";
        }
        ret_event->fd = m->fds[0];
        m->fds[0] = -1;
    }
    return NULL;
}

static void signal_event(const VhostEvent *event)
{
    if (event->fd >= 0) {
        server_event_signal(event->fd, event->is_socket);
    }
}

/* --- the device's side ------------------------------------------------------------- */

static void select_queue(DevemuVhostUser *s, unsigned i)
{
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_SELECT, 2, i);
}

static uint64_t desc_len(const VhostRing *ring)
{
    return (uint64_t)ring->num * 16;
}

static uint64_t avail_len(const DevemuVhostUser *s, const VhostRing *ring)
{
    return vhost_packed(s) ? 4 : 6 + 2 * (uint64_t)ring->num;
}

static uint64_t used_len(const DevemuVhostUser *s, const VhostRing *ring)
{
    return vhost_packed(s) ? 4 : 6 + 8 * (uint64_t)ring->num;
}

/* Where the ring is for the device. False: outside memory. */
static bool find(const DevemuVhostUser *s, const VhostRing *ring, VhostRing *ret_found)
{
    *ret_found = *ring;
    if (vhost_translates(s)) {
        ret_found->desc_addr = ring->desc;
        ret_found->avail_addr = ring->avail;
        ret_found->used_addr = ring->used;
        return true;
    }
    return vhost_user_address(s, ring->desc, desc_len(ring), &ret_found->desc_addr) &&
           vhost_user_address(s, ring->avail, avail_len(s, ring), &ret_found->avail_addr) &&
           vhost_user_address(s, ring->used, used_len(s, ring), &ret_found->used_addr);
}

/* All of it is asked for at once. */
static bool present(DevemuVhostUser *s, const VhostRing *ring)
{
    bool desc = vhost_pages_present(s, ring->desc, desc_len(ring), vhost_packed(s));
    bool avail = vhost_pages_present(s, ring->avail, avail_len(s, ring), false);
    bool used = vhost_pages_present(s, ring->used, used_len(s, ring), true);

    return desc && avail && used;
}

/*
 * A split ring's used idx is in its memory. What lies between it and the client's position was in
 * the hands of a server that is gone: where memory knows which they are, it says so; else a device
 * that uses buffers in order takes them again.
 * Positions that are no such thing are of a ring that was not cleared.
 */
static bool split_position(DevemuVhostUser *s, VhostRing *ring)
{
    uint16_t avail = (uint16_t)ring->position, used;

    if (!vhost_host_dma_read(s, ring->used_addr + USED_IDX, &used, sizeof(used))) {
        return false;
    }
    used = GUINT16_FROM_LE(used);
    if (vhost_inflight_knows(s, ring->index)) {
        avail = used;
    } else if ((uint16_t)(avail - used) > ring->num) {
        used = avail;
    } else if (devemu_device_model(s->dev)->virtio->in_order) {
        avail = used;
    }
    ring->position = avail | (uint32_t)used << 16;
    return true;
}

/* DPDK gives the half for available buffers alone, and means both. Memory that knows what was in
 * flight knows it all. */
static void packed_position(const DevemuVhostUser *s, VhostRing *ring)
{
    if (vhost_inflight_knows(s, ring->index)) {
        ring->position = 0x80008000;
    } else if (ring->position >> 16 == 0) {
        ring->position |= ring->position << 16;
    }
}

static bool position(DevemuVhostUser *s, VhostRing *ring)
{
    if (ring->exact) {
        return true;
    }
    if (vhost_packed(s)) {
        packed_position(s, ring);
        return true;
    }
    return split_position(s, ring);
}

static bool any_running(const DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        if (s->rings[i].running) {
            return true;
        }
    }
    return false;
}

/* Is it the first ring of a driver that begins anew? */
static bool begins(const DevemuVhostUser *s, const VhostRing *ring)
{
    uint16_t avail = (uint16_t)ring->position;

    return s->begun && !any_running(s) && !ring->exact && avail == (vhost_packed(s) ? 0x8000 : 0);
}

static const char *start(DevemuVhostUser *s, unsigned i)
{
    VhostRing *ring = &s->rings[i];
    VhostRing found;

    if (!find(s, ring, &found)) {
        return "it is outside memory";
    }
    if (begins(s, ring)) {
        vhost_begin(s);
    }
    if (!position(s, &found)) {
        return "it is outside memory";
    }
    select_queue(s, i);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_SIZE, 2, found.num);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_DESC, 8, found.desc_addr);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_DRIVER, 8, found.avail_addr);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_DEVICE, 8, found.used_addr);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_POSITION, 4, found.position);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
    if (devemu_virtio_read(s->dev, DEVEMU_VIRTIO_QUEUE_ENABLE, 2) != 1) {
        return "its size, place or position is not possible";
    }
    *ring = found;
    ring->running = true;
    ring->left = false;
    vhost_inflight_track(s, i);
    if (vhost_translates(s)) {
        devemu_virtqueue_set_present(devemu_virtio_queue(s->dev, i), vhost_pages_present, s);
    }
    vhost_driver_ok(s);
    devemu_virtqueue_set_polled(devemu_virtio_queue(s->dev, i), s->spinning);
    return NULL;
}

/* What a backend has of it comes back first. Buffers that the device holds without a backend it
 * takes again: they come behind the position. */
static void stop(DevemuVhostUser *s, unsigned i)
{
    VhostRing *ring = &s->rings[i];
    uint32_t used;

    if (!ring->running) {
        return;
    }
    devemu_device_drain(s->dev);
    select_queue(s, i);
    used = (uint32_t)devemu_virtio_read(s->dev, DEVEMU_VIRTIO_QUEUE_POSITION, 4) >> 16;
    ring->position = used | used << 16;
    ring->exact = true;
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 0);
    ring->running = false;
}

/* DRIVER_OK in SET_STATUS is not waited for: QEMU's generic vhost-user devices never send it. */
static bool wanted(const DevemuVhostUser *s, const VhostRing *ring)
{
    return ring->kicked && ring->enabled && ring->placed && ring->num > 0 && s->agreed;
}

static void update(DevemuVhostUser *s, unsigned i)
{
    VhostRing *ring = &s->rings[i];
    bool want = wanted(s, ring);

    if (ring->running && !want) {
        stop(s, i);
    } else if (!ring->running && want && !ring->failed &&
               (!vhost_translates(s) || present(s, ring))) {
        const char *why = start(s, i);

        if (why) {
            ring->failed = true;
            vhost_log(s, "ring %u cannot be started: %s", i, why);
            signal_event(&ring->err);
        }
    }
}

void vhost_rings_update(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        update(s, i);
    }
}

void vhost_rings_stop(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        stop(s, i);
        s->rings[i].failed = false;
    }
}

void vhost_rings_halt(DevemuVhostUser *s)
{
    vhost_rings_stop(s);
    for (unsigned i = 0; i < s->ring_count; i++) {
        kick_clear(s, &s->rings[i]);
    }
}

static bool moved(const DevemuVhostUser *s, const VhostRing *ring)
{
    VhostRing found;

    return !find(s, ring, &found) || found.desc_addr != ring->desc_addr ||
           found.avail_addr != ring->avail_addr || found.used_addr != ring->used_addr;
}

void vhost_rings_moved(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        if (s->rings[i].running && moved(s, &s->rings[i])) {
            stop(s, i);
        }
        s->rings[i].failed = false;
    }
    s->pages_came = true;
    vhost_rings_update(s);
}

static bool touches(uint64_t addr, uint64_t len, uint64_t iova, uint64_t last)
{
    return addr <= last && iova <= addr + (len - 1);
}

void vhost_rings_lose(DevemuVhostUser *s, uint64_t iova, uint64_t last)
{
    for (unsigned i = 0; vhost_translates(s) && i < s->ring_count; i++) {
        const VhostRing *ring = &s->rings[i];

        if (ring->running && (touches(ring->desc, desc_len(ring), iova, last) ||
                              touches(ring->avail, avail_len(s, ring), iova, last) ||
                              touches(ring->used, used_len(s, ring), iova, last))) {
            stop(s, i);
        }
    }
}

/* --- notifications ----------------------------------------------------------------- */

void vhost_notify(DevemuVhostUser *s, unsigned queue)
{
    devemu_device_write(s->dev, DEVEMU_VIRTIO_NOTIFY, 4 * (uint64_t)queue, 2, queue);
}

/* A device may leave buffers where they are (to receive in): once it was told of them, they are no
 * news. */
static bool look(DevemuVhostUser *s, unsigned i)
{
    VhostRing *ring = &s->rings[i];
    DevemuVirtqueue *q = devemu_virtio_queue(s->dev, i);
    uint32_t at;

    if (!devemu_virtqueue_waiting(q)) {
        ring->left = false;
        return false;
    }
    at = devemu_virtqueue_position(q);
    if (ring->left && ring->left_at == at) {
        return false;
    }
    vhost_notify(s, i);
    ring->left_at = devemu_virtqueue_position(q);
    ring->left = ring->left_at == at;
    return true;
}

bool vhost_rings_look(DevemuVhostUser *s)
{
    bool any = false;

    for (unsigned i = 0; i < s->ring_count; i++) {
        any |= s->rings[i].running && look(s, i);
    }
    return any;
}

bool vhost_rings_unkicked(const DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        if (s->rings[i].running && s->rings[i].polled) {
            return true;
        }
    }
    return false;
}

void vhost_rings_listen(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        if (s->rings[i].running) {
            vhost_notify(s, i);
        }
    }
}

/* A ring that its driver broke is told by its descriptor for errors, too. */
static void tell_errors(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        const char *why = devemu_virtqueue_broken(devemu_virtio_queue(s->dev, i));

        if (!s->rings[i].running || why == NULL) {
            continue;
        }
        if (s->rings[i].err.fd >= 0) {
            signal_event(&s->rings[i].err);
        } else if (vhost_has(s, VHOST_F_INBAND_NOTIFICATIONS)) {
            vhost_channel_error(s, i);
        }
    }
}

void vhost_host_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuVhostUser *s = host;

    (void)data;
    if (addr >= s->ring_count) {
        vhost_channel_config(s);
        tell_errors(s);
    } else if (s->rings[addr].call.fd >= 0) {
        signal_event(&s->rings[addr].call);
    } else if (vhost_has(s, VHOST_F_INBAND_NOTIFICATIONS)) {
        vhost_channel_call(s, (unsigned)addr);
    }
}

void vhost_rings_feed(DevemuVhostUser *s)
{
    if (!s->pages_came) {
        return;
    }
    s->pages_came = false;
    for (unsigned i = 0; i < s->ring_count; i++) {
        if (s->rings[i].running && devemu_virtqueue_starved(devemu_virtio_queue(s->dev, i))) {
            vhost_notify(s, i);
        }
    }
}

static bool kicked(const DevemuVhostUser *s, const VhostRing *ring)
{
    return ring->kick_tag && g_source_query_unix_fd(s->loop.source, ring->kick_tag);
}

bool vhost_rings_kicked(const DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        if (kicked(s, &s->rings[i])) {
            return true;
        }
    }
    return false;
}

/* Empty it. A socket whose other end is gone is readable for ever. */
static void drain_kick(DevemuVhostUser *s, VhostRing *ring)
{
    uint8_t bytes[64];
    ssize_t got = ring->kick.is_socket ? recv(ring->kick.fd, bytes, sizeof(bytes), MSG_DONTWAIT)
                                       : read(ring->kick.fd, bytes, 8);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        unwatch(s, ring);
    }
}

void vhost_rings_serve(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        VhostRing *ring = &s->rings[i];

        if (kicked(s, ring)) {
            drain_kick(s, ring);
            if (ring->running) {
                vhost_notify(s, i);
            }
        }
    }
}

/* --- the messages ------------------------------------------------------------------ */

static const char *take_state(DevemuVhostUser *s, const VhostMessage *m, VhostRing **ret_ring,
                              uint32_t *ret_num)
{
    uint32_t index = server_get32(m->payload);

    if (index >= s->ring_count) {
        return "there is no such ring";
    }
    *ret_ring = &s->rings[index];
    *ret_num = server_get32(m->payload + 4);
    return NULL;
}

const char *vhost_set_vring_num(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    uint32_t num;
    const char *why = take_state(s, m, &ring, &num);

    if (why) {
        return why;
    }
    if (ring->running) {
        return "the ring runs";
    }
    select_queue(s, ring->index);
    if (num == 0 || num > devemu_virtio_read(s->dev, DEVEMU_VIRTIO_QUEUE_MAX, 2)) {
        return "the device has no queue of that size";
    }
    ring->num = num;
    ring->failed = false;
    vhost_rings_update(s);
    return NULL;
}

/* While a ring runs this is for the log. */
const char *vhost_set_vring_addr(DevemuVhostUser *s, const VhostMessage *m)
{
    const uint8_t *p = m->payload;
    VhostRing *ring;
    uint32_t flags;
    const char *why = take_state(s, m, &ring, &flags);

    if (why) {
        return why;
    }
    if (ring->running && (ring->desc != server_get64(p + 8) || ring->used != server_get64(p + 16) ||
                          ring->avail != server_get64(p + 24))) {
        stop(s, ring->index);
    }
    ring->flags = flags;
    ring->desc = server_get64(p + 8);
    ring->used = server_get64(p + 16);
    ring->avail = server_get64(p + 24);
    ring->log = server_get64(p + 32);
    ring->placed = true;
    ring->failed = false;
    vhost_rings_update(s);
    return NULL;
}

const char *vhost_set_vring_base(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    uint32_t num;
    const char *why = take_state(s, m, &ring, &num);

    if (why) {
        return why;
    }
    if (ring->running) {
        return "the ring runs";
    }
    ring->position = num;
    ring->exact = false;
    ring->failed = false;
    vhost_rings_update(s);
    return NULL;
}

const char *vhost_get_vring_base(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    uint32_t num;
    const char *why = take_state(s, m, &ring, &num);
    uint8_t *reply;

    if (why) {
        return why;
    }
    stop(s, ring->index);
    kick_clear(s, ring);
    if (!any_running(s)) {
        vhost_pages_clear(s); /* a client whose rings are stopped does not tell of changes (QEMU) */
    }
    reply = vhost_reply(s, m, 8);
    server_put32(reply, server_get32(m->payload));
    server_put32(reply + 4, vhost_packed(s) ? ring->position : ring->position & 0xffff);
    return NULL;
}

const char *vhost_set_vring_kick(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    VhostEvent event;
    const char *why = take_event(s, m, &ring, &event);

    if (why) {
        return why;
    }
    kick_clear(s, ring);
    ring->kick = event;
    ring->polled = event.fd < 0;
    ring->kicked = true;
    ring->failed = false;
    if (event.fd >= 0) {
        ring->kick_tag = g_source_add_unix_fd(s->loop.source, event.fd, G_IO_IN);
    }
    vhost_rings_update(s);
    return NULL;
}

/* What was signalled before there was a descriptor is not lost. */
const char *vhost_set_vring_call(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    VhostEvent event;
    const char *why = take_event(s, m, &ring, &event);

    if (why == NULL) {
        event_clear(&ring->call);
        ring->call = event;
        if (ring->running) {
            signal_event(&event);
        }
    }
    return why;
}

const char *vhost_set_vring_err(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    VhostEvent event;
    const char *why = take_event(s, m, &ring, &event);

    if (why == NULL) {
        event_clear(&ring->err);
        ring->err = event;
    }
    return why;
}

const char *vhost_set_vring_enable(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    uint32_t num;
    const char *why = take_state(s, m, &ring, &num);

    if (why) {
        return why;
    }
    if (num > 1) {
        return "a ring is enabled by 1, or disabled by 0";
    }
    ring->enabled = num;
    ring->failed = false;
    vhost_rings_update(s);
    return NULL;
}

/* spec "In-band notifications": this starts the ring, too. */
const char *vhost_vring_kick(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRing *ring;
    uint32_t num;
    const char *why = take_state(s, m, &ring, &num);

    if (why) {
        return why;
    }
    ring->kicked = true;
    vhost_rings_update(s);
    if (ring->running) {
        vhost_notify(s, ring->index);
    }
    return NULL;
}

/* --- life -------------------------------------------------------------------------- */

static void ring_init(VhostRing *ring, unsigned index)
{
    *ring = (VhostRing){.index = index, .kick = {.fd = -1}, .call = {.fd = -1}, .err = {.fd = -1}};
}

void vhost_rings_init(DevemuVhostUser *s)
{
    s->ring_count = (unsigned)devemu_virtio_read(s->dev, DEVEMU_VIRTIO_NUM_QUEUES, 2);
    for (unsigned i = 0; i < s->ring_count; i++) {
        ring_init(&s->rings[i], i);
    }
}

void vhost_rings_clear(DevemuVhostUser *s)
{
    vhost_rings_halt(s);
    for (unsigned i = 0; i < s->ring_count; i++) {
        event_clear(&s->rings[i].call);
        event_clear(&s->rings[i].err);
        ring_init(&s->rings[i], i);
    }
}
