/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-inflight.c: memory that knows which buffers are in flight, kept by the client for the
 * server that comes after one that died (spec "Inflight I/O tracking").
 */
#define _GNU_SOURCE
#include "vhost-user.h"

#include <sys/mman.h>
#include <unistd.h>

#define ALIGN      64
#define VERSION_AT 8 /* in a ring's memory; 0 at first */

static size_t ring_bytes(unsigned size, bool is_packed)
{
    return (devemu_virtqueue_inflight_bytes(size, is_packed) + ALIGN - 1) / ALIGN * ALIGN;
}

static void drop(DevemuVhostUser *s)
{
    if (s->inflight.data) {
        server_file_unmap(&s->files, s->inflight.file);
    }
    s->inflight = (VhostInflight){.data = NULL};
}

static void close_made(DevemuVhostUser *s)
{
    if (s->inflight_fd >= 0) {
        close(s->inflight_fd);
    }
    s->inflight_fd = -1;
}

void vhost_inflight_finish(DevemuVhostUser *s)
{
    drop(s);
    close_made(s);
}

/* fd stays the caller's. */
static bool use(DevemuVhostUser *s, int fd, uint64_t offset, uint64_t bytes, unsigned rings,
                unsigned size)
{
    VhostInflight made = {.rings = rings, .size = size, .packed = vhost_packed(s)};
    int error = 0;

    if (rings == 0 || rings > s->ring_count || size == 0 || size > DEVEMU_VIRTQUEUE_MAX ||
        bytes < rings * ring_bytes(size, made.packed) || offset % ALIGN != 0) {
        return false;
    }
    made.data = server_file_map(&s->files, fd, offset, bytes, true, &made.file, &error);
    if (made.data == NULL) {
        return false;
    }
    vhost_rings_stop(s);
    drop(s);
    s->inflight = made;
    vhost_rings_update(s);
    return true;
}

static void reply(DevemuVhostUser *s, const VhostMessage *m, uint64_t bytes, int fd)
{
    uint8_t *p = vhost_reply(s, m, m->len);

    memcpy(p, m->payload, m->len);
    server_put64(p, bytes);
    server_put64(p + 8, 0);
    if (bytes) {
        vhost_reply_fd(s, fd);
    }
}

/* No bytes: there is none. The descriptor goes out with the reply, at once. */
const char *vhost_get_inflight_fd(DevemuVhostUser *s, const VhostMessage *m)
{
    unsigned rings = server_get16(m->payload + 16), size = server_get16(m->payload + 18);
    uint64_t bytes = rings * ring_bytes(size, vhost_packed(s));

    close_made(s);
    s->inflight_fd = memfd_create("inflight", MFD_CLOEXEC);
    if (s->inflight_fd < 0 || bytes == 0 || rings > s->ring_count ||
        ftruncate(s->inflight_fd, (off_t)bytes) < 0 ||
        !use(s, s->inflight_fd, 0, bytes, rings, size)) {
        reply(s, m, 0, -1);
        return "there is no such memory";
    }
    reply(s, m, bytes, s->inflight_fd);
    return NULL;
}

const char *vhost_set_inflight_fd(DevemuVhostUser *s, const VhostMessage *m)
{
    if (m->fd_count != 1) {
        return "it has no descriptor";
    }
    return use(s, m->fds[0], server_get64(m->payload + 8), server_get64(m->payload),
               server_get16(m->payload + 16), server_get16(m->payload + 18))
               ? NULL
               : "the memory is not in its file, or not for these rings";
}

static uint8_t *memory_of(const DevemuVhostUser *s, unsigned ring)
{
    const VhostInflight *m = &s->inflight;

    return m->data && ring < m->rings && s->rings[ring].num <= m->size &&
                   m->packed == vhost_packed(s)
               ? m->data + ring * ring_bytes(m->size, m->packed)
               : NULL;
}

bool vhost_inflight_knows(const DevemuVhostUser *s, unsigned ring)
{
    const uint8_t *memory = memory_of(s, ring);

    return memory && server_get16(memory + VERSION_AT) != 0;
}

void vhost_inflight_track(DevemuVhostUser *s, unsigned ring)
{
    uint8_t *memory = memory_of(s, ring);

    if (memory) {
        devemu_virtqueue_set_inflight(devemu_virtio_queue(s->dev, ring), memory);
    }
}
