/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-stream.c: frames over a stream socket, each behind its length (QEMU's -netdev socket).
 */
#define _DEFAULT_SOURCE
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES 4
#define LATE_BYTES 262144 /* output that may wait; a frame for which there is no room is lost */
#define NO_FD      UINT64_MAX

typedef struct NetStream {
    DevemuNet net;
    int fd; /* -1: closed by the other end */
    size_t have;
    GByteArray *late;
    uint8_t in[HEAD_BYTES + NET_FRAME_MAX];
} NetStream;

typedef struct StreamOptions {
    uint64_t fd;
    uint64_t queue_bytes;
} StreamOptions;

static const Option stream_options[] = {
    {.name = "fd", .type = OPTION_UINT, .member = offsetof(StreamOptions, fd), .max = G_MAXINT},
    NET_OPTION_QUEUE(StreamOptions, queue_bytes),
    {.name = NULL},
};

static void stream_end(NetStream *stream)
{
    close(stream->fd);
    stream->fd = -1;
    g_byte_array_set_size(stream->late, 0);
}

/* --- the device's frames ----------------------------------------------------------- */

static void write_late(NetStream *stream)
{
    while (stream->fd >= 0 && stream->late->len > 0) {
        ssize_t done = send(stream->fd, stream->late->data, stream->late->len, MSG_NOSIGNAL);

        if (done >= 0) {
            g_byte_array_remove_range(stream->late, 0, (guint)done);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            stream_end(stream);
        }
    }
}

static bool stream_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                        size_t len)
{
    NetStream *stream = (NetStream *)net;
    const uint8_t head[HEAD_BYTES] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                      (uint8_t)(len >> 8), (uint8_t)len};

    (void)offload;
    write_late(stream);
    if (stream->fd < 0 || HEAD_BYTES + len > LATE_BYTES - stream->late->len) {
        return false;
    }
    g_byte_array_append(stream->late, head, sizeof(head));
    g_byte_array_append(stream->late, data, (guint)len);
    write_late(stream);
    return true;
}

/* --- frames for the device --------------------------------------------------------- */

static size_t frame_bytes(const NetStream *stream)
{
    const uint8_t *head = stream->in;

    return (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
}

/* What the next read is for: the length, or the frame behind it. */
static size_t wanted(const NetStream *stream)
{
    return stream->have < HEAD_BYTES ? HEAD_BYTES : HEAD_BYTES + frame_bytes(stream);
}

static void take(NetStream *stream)
{
    if (stream->have < HEAD_BYTES || stream->have < wanted(stream)) {
        return;
    }
    if (frame_bytes(stream) > 0) {
        net_push(&stream->net, NULL, stream->in + HEAD_BYTES, frame_bytes(stream));
    }
    stream->have = 0;
}

static void stream_fetch(DevemuNet *net)
{
    NetStream *stream = (NetStream *)net;

    write_late(stream);
    while (stream->fd >= 0 && !net_full(net)) {
        ssize_t len = recv(stream->fd, stream->in + stream->have, wanted(stream) - stream->have, 0);

        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len < 0 && errno == EAGAIN) {
            return;
        }
        if (len <= 0) {
            stream_end(stream);
            return;
        }
        stream->have += (size_t)len;
        if (stream->have >= HEAD_BYTES && frame_bytes(stream) > NET_FRAME_MAX) {
            stream_end(stream);
            return;
        }
        take(stream);
    }
}

static void stream_watch(DevemuNet *net)
{
    NetStream *stream = (NetStream *)net;

    if (stream->fd >= 0) {
        loop_watch(net->loop, stream->fd, G_IO_IN | (stream->late->len > 0 ? G_IO_OUT : 0));
    }
}

/* --- the network ------------------------------------------------------------------- */

static void stream_finish(DevemuNet *net)
{
    NetStream *stream = (NetStream *)net;

    if (stream->fd >= 0) {
        stream_end(stream);
    }
    g_byte_array_unref(stream->late);
}

static const NetClass stream_class = {
    .name = "stream",
    .send = stream_send,
    .watch = stream_watch,
    .fetch = stream_fetch,
    .eager = true,
    .finish = stream_finish,
};

DevemuNet *net_stream_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    StreamOptions options = {.fd = NO_FD, .queue_bytes = NET_QUEUE_BYTES};
    NetStream *stream;
    int flags;

    if (!options_fill("stream", stream_options, settings, &options, error)) {
        return NULL;
    }
    if (options.fd == NO_FD) {
        options_refuse(error, "stream: option fd is missing; it is the number of a socket");
        return NULL;
    }
    flags = fcntl((int)options.fd, F_GETFL);
    if (flags < 0 || fcntl((int)options.fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "stream: fd=%d: %s", (int)options.fd,
                    g_strerror(errno));
        return NULL;
    }
    stream = net_new(sizeof(NetStream), &stream_class);
    stream->fd = (int)options.fd;
    stream->late = g_byte_array_new();
    net_make_source(&stream->net, context, options.queue_bytes);
    return &stream->net;
}
