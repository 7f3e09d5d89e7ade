/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server-stream.c: what comes from a socket and goes to it: bytes, and whose descriptors are whose.
 */
#define _GNU_SOURCE
#include "server.h"

#include <sys/socket.h>
#include <unistd.h>

/* Most that the kernel passes at once (SCM_MAX_FD). */
#define KERNEL_FDS 253

/* --- life -------------------------------------------------------------------------- */

void server_stream_init(ServerStream *stream, size_t in_size)
{
    stream->in_size = in_size;
    stream->in = g_malloc(in_size);
}

void server_stream_finish(ServerStream *stream)
{
    server_stream_reset(stream);
    g_clear_pointer(&stream->in, g_free);
    g_clear_pointer(&stream->out, g_free);
    stream->out_size = 0;
}

static void close_fds(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

void server_stream_reset(ServerStream *stream)
{
    close_fds(stream->fds, stream->fd_count);
    stream->fd_count = stream->fd_held = 0;
    stream->fd_mark = 0;
    stream->in_start = stream->in_end = 0;
    stream->out_start = stream->out_end = 0;
    stream->out_fd_count = 0;
    stream->left = false;
    stream->wrong = NULL;
}

/* --- in ---------------------------------------------------------------------------- */

uint8_t *server_stream_room(ServerStream *stream, size_t first_bytes, size_t *ret_len)
{
    if (stream->in_start == stream->in_end) {
        stream->in_start = stream->in_end = 0;
    } else if (stream->in_end == stream->in_size ||
               first_bytes > stream->in_size - stream->in_start) {
        memmove(stream->in, stream->in + stream->in_start, server_stream_waiting(stream));
        stream->in_end -= stream->in_start;
        stream->in_start = 0;
    }
    if (first_bytes > stream->in_size) {
        stream->in_size = first_bytes;
        stream->in = g_realloc(stream->in, stream->in_size);
    }
    *ret_len = stream->in_size - stream->in_end;
    return stream->in + stream->in_end;
}

/* Descriptors come with the last message that a receive holds bytes of: the kernel ends a receive
 * behind the piece that they were sent with. */
static void take_fds(ServerStream *stream, const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (stream->fd_count < SERVER_FDS) {
            stream->fds[stream->fd_count++] = fds[i];
        } else {
            close(fds[i]);
            stream->wrong = "a message with more than " G_STRINGIFY(SERVER_FDS) " file descriptors";
        }
    }
    stream->fd_mark = stream->in_end - 1;
}

void server_stream_received(ServerStream *stream, size_t len, const int *fds, unsigned fd_count)
{
    /* What came before belongs to the message that is not whole yet. */
    stream->fd_held = stream->fd_count;
    stream->in_end += len;
    if (fd_count > 0) {
        take_fds(stream, fds, fd_count);
    }
}

unsigned server_stream_fds_of(const ServerStream *stream, size_t first_bytes)
{
    return stream->fd_count > stream->fd_held && stream->fd_mark < stream->in_start + first_bytes
               ? stream->fd_count
               : stream->fd_held;
}

void server_stream_drop(ServerStream *stream, size_t first_bytes, unsigned fd_count)
{
    if (fd_count > 0) {
        close_fds(stream->fds, fd_count);
        memmove(stream->fds, stream->fds + fd_count,
                (stream->fd_count - fd_count) * sizeof(stream->fds[0]));
        stream->fd_count -= fd_count;
    }
    stream->fd_held = 0;
    stream->in_start += first_bytes;
}

static unsigned take_rights(struct msghdr *message, int fds[KERNEL_FDS])
{
    unsigned count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t bytes = c->cmsg_len - CMSG_LEN(0);

            bytes = MIN(bytes, (KERNEL_FDS - count) * sizeof(int));
            memcpy(fds + count, CMSG_DATA(c), bytes);
            count += (unsigned)(bytes / sizeof(int));
        }
    }
    return count;
}

bool server_stream_receive(ServerStream *stream, int fd, size_t first_bytes)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(KERNEL_FDS * sizeof(int))];
    } control;
    struct iovec iov;
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    int fds[KERNEL_FDS];
    ssize_t got;

    iov.iov_base = server_stream_room(stream, first_bytes, &iov.iov_len);
    got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got <= 0) {
        stream->left = true;
        return false;
    }
    server_stream_received(stream, (size_t)got, fds,
                           message.msg_controllen ? take_rights(&message, fds) : 0);
    if (message.msg_flags & MSG_CTRUNC) {
        stream->wrong = "file descriptors were lost: this process may not have so many";
    }
    return true;
}

/* --- out --------------------------------------------------------------------------- */

uint8_t *server_stream_out(ServerStream *stream, size_t len)
{
    uint8_t *at;

    if (stream->out_start == stream->out_end) {
        stream->out_start = stream->out_end = 0;
    }
    if (len > stream->out_size - stream->out_end) {
        stream->out_size = stream->out_end + len;
        stream->out = g_realloc(stream->out, stream->out_size);
    }
    at = stream->out + stream->out_end;
    stream->out_end += len;
    memset(at, 0, len);
    return at;
}

void server_stream_out_fds(ServerStream *stream, size_t at, const int *fds, unsigned count)
{
    g_assert(stream->out_fd_count == 0 && count <= SERVER_FDS);
    memcpy(stream->out_fds, fds, count * sizeof(fds[0]));
    stream->out_fd_count = count;
    stream->out_fd_mark = at;
    stream->out_fd_end = stream->out_end;
}

static ssize_t send_plain(ServerStream *stream, int fd, size_t end)
{
    return send(fd, stream->out + stream->out_start, end - stream->out_start,
                MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_with_fds(ServerStream *stream, int fd)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(SERVER_FDS * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {stream->out + stream->out_start, stream->out_fd_end - stream->out_start};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(stream->out_fd_count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(stream->out_fd_count * sizeof(int));
    memcpy(CMSG_DATA(c), stream->out_fds, stream->out_fd_count * sizeof(int));
    sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        stream->out_fd_count = 0;
    }
    return sent;
}

bool server_stream_send(ServerStream *stream, int fd)
{
    while (stream->out_start < stream->out_end) {
        ssize_t sent;

        if (stream->out_fd_count == 0) {
            sent = send_plain(stream, fd, stream->out_end);
        } else if (stream->out_start < stream->out_fd_mark) {
            sent = send_plain(stream, fd, stream->out_fd_mark);
        } else {
            sent = send_with_fds(stream, fd);
        }
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            stream->left = stream->left || errno != EAGAIN;
            return false;
        }
        stream->out_start += (size_t)sent;
    }
    return true;
}
