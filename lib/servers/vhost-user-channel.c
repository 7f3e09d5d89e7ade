/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-channel.c: requests to the client, on a socket that it gives (spec "Back-end
 * communication"). What cannot be sent now is kept as one bit each, and sent when there is room.
 */
#define _GNU_SOURCE
#include "vhost-user.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUT_LIMIT 4096 /* nothing is begun while so much waits */

void vhost_channel_clear(DevemuVhostUser *s)
{
    if (s->channel_tag) {
        g_source_remove_unix_fd(s->loop.source, s->channel_tag);
        s->channel_tag = NULL;
    }
    if (s->channel >= 0) {
        close(s->channel);
    }
    s->channel = -1;
    server_stream_reset(&s->requests);
    s->channel_stalled = false;
    s->calls = s->errors = 0;
    s->config_changed = false;
    vhost_misses_forget(s);
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

const char *vhost_set_backend_req_fd(DevemuVhostUser *s, const VhostMessage *m)
{
    if (m->fd_count != 1 || !is_socket(m->fds[0])) {
        return "it has no socket with it";
    }
    vhost_channel_clear(s);
    s->channel = m->fds[0];
    m->fds[0] = -1;
    s->channel_tag = g_source_add_unix_fd(s->loop.source, s->channel, G_IO_IN);
    vhost_rings_update(s); /* those whose pages can be asked for now */
    return NULL;
}

/* --- out --------------------------------------------------------------------------- */

static uint8_t *begin(DevemuVhostUser *s, unsigned request, uint32_t len)
{
    uint8_t *header = server_stream_out(&s->requests, VHOST_HEADER_BYTES + len);

    server_put32(header, request);
    server_put32(header + 4, VHOST_VERSION);
    server_put32(header + 8, len);
    return header + VHOST_HEADER_BYTES;
}

static bool full(const DevemuVhostUser *s)
{
    return s->requests.out_end - s->requests.out_start >= OUT_LIMIT;
}

/* An answer is not asked for: User-Mode Linux sends it with interrupts off, and may be waiting for
 * us. */
static void put_rings(DevemuVhostUser *s, uint64_t *rings, unsigned request)
{
    for (; *rings != 0 && !full(s); *rings &= *rings - 1) {
        server_put32(begin(s, request, 8), (uint32_t)__builtin_ctzll(*rings));
    }
}

static void put_page(DevemuVhostUser *s, const VhostMiss *page, uint8_t type)
{
    uint8_t *p = begin(s, VHOST_BACKEND_IOTLB_MSG, VHOST_IOTLB_BYTES);

    server_put64(p, page->iova);
    server_put64(p + 8, VHOST_PAGE_BYTES);
    p[VHOST_IOTLB_PERM_AT] = page->perm;
    p[VHOST_IOTLB_TYPE_AT] = type;
}

static bool has_pages(const DevemuVhostUser *s)
{
    return s->misses_sent < s->miss_count || (s->denied.perm && !s->denied_sent);
}

static void put_pages(DevemuVhostUser *s)
{
    for (; s->misses_sent < s->miss_count && !full(s); s->misses_sent++) {
        put_page(s, &s->misses[s->misses_sent], VHOST_IOTLB_MISS);
    }
    if (s->denied.perm && !s->denied_sent && !full(s)) {
        put_page(s, &s->denied, VHOST_IOTLB_ACCESS_FAIL);
        s->denied_sent = true;
    }
}

static void push(DevemuVhostUser *s)
{
    bool stalled;

    if (s->channel < 0) {
        return;
    }
    do {
        if (s->config_changed && !full(s)) {
            begin(s, VHOST_BACKEND_CONFIG_CHANGE, 0);
            s->config_changed = false;
        }
        put_rings(s, &s->calls, VHOST_BACKEND_VRING_CALL);
        put_rings(s, &s->errors, VHOST_BACKEND_VRING_ERR);
        put_pages(s);
        stalled = !server_stream_send(&s->requests, s->channel);
    } while (!stalled && (s->calls | s->errors || s->config_changed || has_pages(s)));
    if (s->requests.left) {
        vhost_channel_clear(s);
    } else if (stalled != s->channel_stalled) {
        s->channel_stalled = stalled;
        g_source_modify_unix_fd(s->loop.source, s->channel_tag,
                                stalled ? G_IO_IN | G_IO_OUT : G_IO_IN);
    }
}

void vhost_channel_call(DevemuVhostUser *s, unsigned ring)
{
    s->calls |= VHOST_BIT(ring);
    push(s);
}

void vhost_channel_error(DevemuVhostUser *s, unsigned ring)
{
    s->errors |= VHOST_BIT(ring);
    push(s);
}

void vhost_channel_config(DevemuVhostUser *s)
{
    s->config_changed = vhost_has(s, VHOST_F_CONFIG);
    if (s->whole) {
        vhost_thread_tell(s);
    } else {
        push(s);
    }
}

void vhost_channel_pages(DevemuVhostUser *s)
{
    push(s);
}

/* --- in ---------------------------------------------------------------------------- */

void vhost_channel_serve(DevemuVhostUser *s)
{
    if (s->channel_tag == NULL || !g_source_query_unix_fd(s->loop.source, s->channel_tag)) {
        return;
    }
    if (server_stream_receive(&s->requests, s->channel, 0)) {
        server_stream_reset(&s->requests);
    }
    if (s->requests.left) {
        vhost_channel_clear(s);
    } else {
        push(s);
    }
}
