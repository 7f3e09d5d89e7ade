/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-state.c: the device's state through a pipe of the client's (spec "Migrating back-end
 * state"). It is the library's snapshot, and loaded as carefully.
 */
#define _GNU_SOURCE
#include "vhost-user.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define LEAST_BYTES 65536
#define MOST_BYTES  (64u << 20)

enum {
    DIRECTION_SAVE = 0,
    DIRECTION_LOAD = 1,
};

static void close_fd(DevemuVhostUser *s)
{
    if (s->state.tag) {
        g_source_remove_unix_fd(s->loop.source, s->state.tag);
        s->state.tag = NULL;
    }
    if (s->state.fd >= 0) {
        close(s->state.fd);
    }
    s->state.fd = -1;
}

void vhost_state_clear(DevemuVhostUser *s)
{
    close_fd(s);
    g_clear_pointer(&s->state.bytes, g_byte_array_unref);
    s->state.good = false;
}

/* --- save -------------------------------------------------------------------------- */

/* A pipe that nobody reads any more raises SIGPIPE, which is not to be this program's. */
static ssize_t write_quietly(int fd, const void *bytes, size_t len)
{
    const struct timespec now = {0, 0};
    sigset_t pipe_set, old, pending;
    bool was_pending;
    ssize_t written;
    int error;

    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    written = write(fd, bytes, len);
    error = errno;
    if (written < 0 && error == EPIPE && !was_pending) {
        sigtimedwait(&pipe_set, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return written;
}

static void push(DevemuVhostUser *s)
{
    while (s->state.at < s->state.bytes->len) {
        ssize_t written = write_quietly(s->state.fd, s->state.bytes->data + s->state.at,
                                        s->state.bytes->len - s->state.at);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0 && errno == EAGAIN) {
            return;
        }
        if (written < 0) {
            close_fd(s);
            return;
        }
        s->state.at += (size_t)written;
    }
    s->state.good = true;
    close_fd(s);
}

static void save(DevemuVhostUser *s)
{
    g_autoptr(GVariant) state = NULL;

    devemu_device_drain(s->dev);
    state = devemu_device_save(s->dev);
    s->state.bytes = g_byte_array_new();
    g_byte_array_append(s->state.bytes, g_variant_get_data(state),
                        (guint)g_variant_get_size(state));
    s->state.at = 0;
    push(s);
}

/* --- load -------------------------------------------------------------------------- */

/* False: there is more to come. */
static bool pull(DevemuVhostUser *s)
{
    while (s->state.fd >= 0) {
        guint have = s->state.bytes->len;
        ssize_t got;

        g_byte_array_set_size(s->state.bytes, have + LEAST_BYTES);
        got = read(s->state.fd, s->state.bytes->data + have, LEAST_BYTES);
        g_byte_array_set_size(s->state.bytes, have + (got > 0 ? (guint)got : 0));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return false;
        }
        if (got <= 0 || s->state.bytes->len > MOST_BYTES) {
            s->state.good = got == 0;
            close_fd(s);
        }
    }
    return true;
}

static const char *load(DevemuVhostUser *s)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GError) error = NULL;
    GVariant *state;

    if (!pull(s) || !s->state.good || s->state.bytes == NULL) {
        return "the state has not come whole";
    }
    bytes = g_byte_array_free_to_bytes(g_steal_pointer(&s->state.bytes));
    state = g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, bytes, FALSE);
    if (!devemu_device_load(s->dev, state, &error)) {
        vhost_log(s, "the device's state is refused: %s", error->message);
        return "it was no state of this device";
    }
    vhost_loaded(s);
    return NULL;
}

/* --- the messages ------------------------------------------------------------------ */

static bool running(const DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->ring_count; i++) {
        if (s->rings[i].running) {
            return true;
        }
    }
    return false;
}

static const char *begin(DevemuVhostUser *s, const VhostMessage *m)
{
    uint32_t direction = server_get32(m->payload);
    int flags = m->fd_count == 1 ? fcntl(m->fds[0], F_GETFL) : -1;

    if (direction > DIRECTION_LOAD || server_get32(m->payload + 4) != 0) {
        return "there is no such direction or phase";
    }
    if (running(s)) {
        return "a ring runs";
    }
    if (flags < 0 || fcntl(m->fds[0], F_SETFL, flags | O_NONBLOCK) < 0) {
        return "it has no descriptor that can be used";
    }
    vhost_state_clear(s);
    s->state.fd = m->fds[0];
    m->fds[0] = -1;
    s->state.loading = direction == DIRECTION_LOAD;
    s->state.tag =
        g_source_add_unix_fd(s->loop.source, s->state.fd, s->state.loading ? G_IO_IN : G_IO_OUT);
    if (s->state.loading) {
        s->state.bytes = g_byte_array_new();
    } else {
        save(s);
    }
    return NULL;
}

/* We make no channel of our own. */
const char *vhost_set_device_state_fd(DevemuVhostUser *s, const VhostMessage *m)
{
    const char *why = begin(s, m);

    vhost_reply_u64(s, m, VHOST_NO_FD | (why != NULL));
    return why;
}

const char *vhost_check_device_state(DevemuVhostUser *s, const VhostMessage *m)
{
    const char *why = s->state.loading ? load(s) : NULL;

    if (!s->state.loading && !s->state.good) {
        why = "the state has not gone out whole";
    }
    vhost_reply_u64(s, m, why != NULL);
    vhost_state_clear(s);
    return why;
}

void vhost_state_serve(DevemuVhostUser *s)
{
    if (s->state.tag == NULL || !g_source_query_unix_fd(s->loop.source, s->state.tag)) {
        return;
    }
    if (s->state.loading) {
        pull(s);
    } else {
        push(s);
    }
}
