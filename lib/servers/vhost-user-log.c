/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-log.c: the log of pages that the device writes, for a migration (spec "Migration").
 *
 * While it is on the device gets no windows that it may write to, so that every write comes by DMA,
 * and is logged when it has been done.
 */
#include "vhost-user.h"

#include <unistd.h>

#define PAGE_SHIFT 12 /* VHOST_LOG_PAGE */

static void close_fd(DevemuVhostUser *s)
{
    if (s->dirty.fd >= 0) {
        close(s->dirty.fd);
    }
    s->dirty.fd = -1;
}

static void unmap(DevemuVhostUser *s)
{
    server_file_unmap(&s->files, s->dirty.file);
    s->dirty.data = NULL;
    s->dirty.file = NULL;
    s->dirty.bytes = 0;
}

/* Windows that were given are no longer good, or may be had again. */
void vhost_log_update(DevemuVhostUser *s)
{
    bool on = s->dirty.data != NULL && (s->features & VHOST_BIT(VHOST_LOG_ALL));

    if (on != s->dirty.on) {
        s->dirty.on = on;
        devemu_device_revoke(s->dev);
    }
}

/* spec: it has an answer, for the client that must know when the old log is not used any more. */
const char *vhost_set_log_base(DevemuVhostUser *s, const VhostMessage *m)
{
    uint64_t bytes = server_get64(m->payload), offset = server_get64(m->payload + 8);
    ServerFile *file = NULL;
    uint8_t *data = NULL;
    int error = 0;

    if (m->fd_count == 1 && bytes > 0) {
        data = server_file_map(&s->files, m->fds[0], offset, bytes, true, &file, &error);
    }
    if (data == NULL) {
        vhost_reply_u64(s, m, 1);
        return "the log is not in its file";
    }
    unmap(s);
    s->dirty.data = data;
    s->dirty.bytes = bytes;
    s->dirty.file = file;
    vhost_log_update(s);
    vhost_reply_u64(s, m, 0);
    return NULL;
}

const char *vhost_set_log_fd(DevemuVhostUser *s, const VhostMessage *m)
{
    if (m->fd_count == 1 && !server_event_usable(m->fds[0], NULL)) {
        return "that is no eventfd";
    }
    close_fd(s);
    if (m->fd_count == 1) {
        s->dirty.fd = m->fds[0];
        m->fds[0] = -1;
    }
    return NULL;
}

/* Pages that the log is too short for are not the client's to know of. */
static void mark(DevemuVhostUser *s, uint64_t at, uint64_t len)
{
    uint64_t last = (at + (len - 1)) >> PAGE_SHIFT;

    for (uint64_t page = at >> PAGE_SHIFT; page <= last && page / 8 < s->dirty.bytes; page++) {
        __atomic_fetch_or(&s->dirty.data[page / 8], (uint8_t)(1u << page % 8), __ATOMIC_SEQ_CST);
    }
}

/* Writes to a used ring are logged where the client says, if it does (VHOST_VRING_F_LOG). */
static bool used_ring_log(const DevemuVhostUser *s, uint64_t addr, uint64_t *ret_at)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        const VhostRing *ring = &s->rings[i];

        if (ring->running && (ring->flags & VHOST_RING_LOG) &&
            addr - ring->used_addr < 6 + 8 * (uint64_t)ring->num) {
            *ret_at = ring->log + (addr - ring->used_addr);
            return true;
        }
    }
    return false;
}

void vhost_log_mark(DevemuVhostUser *s, uint64_t addr, uint64_t guest, uint64_t len)
{
    uint64_t at;

    mark(s, used_ring_log(s, addr, &at) ? at : guest, len);
    if (s->dirty.fd >= 0) {
        server_event_signal(s->dirty.fd, false);
    }
}

void vhost_log_clear(DevemuVhostUser *s)
{
    close_fd(s);
    unmap(s);
    s->dirty.on = false;
}
