/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server-loop.c: clients and time in a server's GSource, see server.h.
 */
#define _GNU_SOURCE
#include "server.h"

#include <sys/timerfd.h>
#include <unistd.h>

/* After a failed accept(). */
#define LISTEN_AGAIN_NS 100000000

void server_loop_init(ServerLoop *loop)
{
    *loop = (ServerLoop){.timer = -1, .armed_ns = DEVEMU_NEVER, .listen_ns = DEVEMU_NEVER};
}

static void watch_client(ServerLoop *loop, const ServerSocket *socket)
{
    loop->client_tag = g_source_add_unix_fd(loop->source, socket->client, G_IO_IN);
    loop->stalled = false;
}

static void ignore_listener(ServerLoop *loop)
{
    if (loop->listener_tag) {
        g_source_remove_unix_fd(loop->source, loop->listener_tag);
        loop->listener_tag = NULL;
    }
}

void server_loop_listen(ServerLoop *loop, const ServerSocket *socket)
{
    if (socket->listener >= 0) {
        loop->listener_tag = g_source_add_unix_fd(loop->source, socket->listener, G_IO_IN);
    }
}

bool server_loop_open(ServerLoop *loop, GSource *source, const ServerSocket *socket,
                      const char *what, GMainContext *context, GError **error)
{
    loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer < 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "%s: cannot make a timer: %s", what,
                    g_strerror(errno));
        g_source_unref(source);
        return false;
    }
    loop->source = source;
    g_source_set_name(source, what);
    /* Else GLib takes the descriptors out of the poll and back in at each dispatch, and wakes the
     * loop for each: two system calls a descriptor. The server guards itself instead. */
    g_source_set_can_recurse(source, TRUE);
    loop->timer_tag = g_source_add_unix_fd(source, loop->timer, G_IO_IN);
    if (socket->client >= 0) {
        watch_client(loop, socket);
    } else {
        server_loop_listen(loop, socket);
    }
    g_source_attach(source, context);
    return true;
}

void server_loop_close(ServerLoop *loop)
{
    if (loop->source) {
        g_source_destroy(loop->source);
        g_source_unref(loop->source);
    }
    if (loop->timer >= 0) {
        close(loop->timer);
    }
}

GIOCondition server_loop_query(const ServerLoop *loop, gpointer tag)
{
    return tag ? g_source_query_unix_fd(loop->source, tag) : 0;
}

/* --- the client -------------------------------------------------------------------- */

void server_loop_accept(ServerLoop *loop, ServerSocket *socket, ServerLog *log)
{
    if (server_socket_accept(socket) >= 0) {
        ignore_listener(loop);
        watch_client(loop, socket);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        server_log(log, "cannot take a client: %s", g_strerror(errno));
        ignore_listener(loop);
        loop->listen_ns = server_now() + LISTEN_AGAIN_NS;
    }
}

void server_loop_forget(ServerLoop *loop, ServerSocket *socket)
{
    g_source_remove_unix_fd(loop->source, loop->client_tag);
    loop->client_tag = NULL;
    close(socket->client);
    socket->client = -1;
}

void server_loop_push(ServerLoop *loop, const ServerSocket *socket, ServerStream *stream)
{
    bool stalled = !server_stream_send(stream, socket->client) && !stream->left;

    if (stalled != loop->stalled) {
        loop->stalled = stalled;
        g_source_modify_unix_fd(loop->source, loop->client_tag, stalled ? G_IO_OUT : G_IO_IN);
    }
}

/* --- time -------------------------------------------------------------------------- */

bool server_loop_due(ServerLoop *loop, uint64_t when_ns)
{
    const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(when_ns / 1000000000),
                                               .tv_nsec = (long)(when_ns % 1000000000)}};

    if (when_ns == DEVEMU_NEVER) {
        return false;
    }
    if (when_ns <= server_now()) {
        return true;
    }
    if (when_ns < loop->armed_ns) {
        loop->armed_ns = when_ns;
        timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &at, NULL);
    }
    return false;
}

void server_loop_woke(ServerLoop *loop)
{
    uint64_t expirations;

    if (server_loop_query(loop, loop->timer_tag)) {
        ssize_t got G_GNUC_UNUSED = read(loop->timer, &expirations, sizeof(expirations));

        loop->armed_ns = DEVEMU_NEVER;
    }
}

void server_loop_again(ServerLoop *loop, const ServerSocket *socket, uint64_t now_ns)
{
    if (loop->listen_ns <= now_ns) {
        loop->listen_ns = DEVEMU_NEVER;
        server_loop_listen(loop, socket);
    }
}
