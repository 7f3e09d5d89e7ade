/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest.c: the server of the qtest protocol: lines in, answers out, and the clock.
 *
 * The client may send faster than it reads: while OUT_BOUND bytes wait for it no more is done. A
 * clock_step may pass millions of moments: it is done in slices, so the program's main loop turns.
 */
#define _GNU_SOURCE
#include "qtest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A write of the most bytes as text, with room for what stands before it. */
#define LINE_BOUND   (2 * (size_t)DEVEMU_QTEST_MOST_BYTES + 256)
#define OUT_BOUND    1048576
#define READ_BYTES   65536
#define SLICE        4096 /* moments */
#define SETTLE_ROUND 1024
#define TURN_US      5000 /* then others in the main loop have their turn */

/* --- output ------------------------------------------------------------------------ */

void qtest_say(DevemuQtest *server, const char *format, ...)
{
    size_t from = server->out->len;
    va_list args;

    if (server->gone) {
        return;
    }
    va_start(args, format);
    g_string_append_vprintf(server->out, format, args);
    va_end(args);
    if (server->ops.traffic) {
        server->ops.traffic(server->opaque, false, server->out->str + from);
    }
    g_string_append_c(server->out, '\n');
}

const char *devemu_qtest_output(const DevemuQtest *server, size_t *ret_len)
{
    g_return_val_if_fail(server != NULL && ret_len != NULL, "");
    *ret_len = server->out->len - server->out_at;
    return server->out->str + server->out_at;
}

void devemu_qtest_taken(DevemuQtest *server, size_t len)
{
    g_return_if_fail(server != NULL && len <= server->out->len - server->out_at);
    server->out_at += len;
    if (server->out_at == server->out->len || server->out_at >= OUT_BOUND) {
        g_string_erase(server->out, 0, (gssize)server->out_at);
        server->out_at = 0;
    }
}

/* --- time -------------------------------------------------------------------------- */

uint64_t devemu_qtest_now(const DevemuQtest *server)
{
    g_return_val_if_fail(server != NULL, 0);
    return server->now_ns;
}

/* Devices first, then what lives beside them. Where somebody never comes to rest, time goes on. */
static void run_due(DevemuQtest *server)
{
    for (unsigned i = 0; i < SETTLE_ROUND; i++) {
        bool other = server->ops.deadline && server->ops.run &&
                     server->ops.deadline(server->opaque) <= server->now_ns;

        if (server->deadline_ns <= server->now_ns) {
            devemu_device_run(server->system);
        } else if (other) {
            server->ops.run(server->opaque);
        } else {
            return;
        }
    }
}

void qtest_settle(DevemuQtest *server)
{
    run_due(server);
    if (server->ops.after) {
        server->ops.after(server->opaque);
        run_due(server);
    }
}

/* Some of the moments up to the target, in their order. */
static void step(DevemuQtest *server)
{
    for (unsigned i = 0; i < SLICE && server->now_ns < server->target_ns; i++) {
        uint64_t other =
            server->ops.deadline ? server->ops.deadline(server->opaque) : (uint64_t)DEVEMU_NEVER;
        uint64_t when = MIN(MIN(server->deadline_ns, other), server->target_ns);

        /* What stays due in spite of all is asked again a moment later. */
        server->now_ns = MAX(when, server->now_ns + 1);
        qtest_settle(server);
    }
    if (server->now_ns >= server->target_ns) {
        server->step = QTEST_STEP_NONE;
        qtest_say(server, "OK %" PRIu64, server->now_ns);
    }
}

/* --- lines ------------------------------------------------------------------------- */

void devemu_qtest_line(DevemuQtest *server, unsigned line, bool level)
{
    g_return_if_fail(server != NULL && line < QTEST_LINES);
    if (server->intercepted && server->levels[line] != level) {
        server->levels[line] = level;
        qtest_say(server, "IRQ %s %u", level ? "raise" : "lower", line);
    }
}

/* --- input ------------------------------------------------------------------------- */

size_t devemu_qtest_put(DevemuQtest *server, const void *data, size_t len)
{
    size_t room;

    g_return_val_if_fail(server != NULL, 0);
    if (server->in_at > 0 && server->in_at >= server->in->len / 2) {
        g_string_erase(server->in, 0, (gssize)server->in_at);
        server->in_looked -= server->in_at;
        server->in_at = 0;
    }
    room = LINE_BOUND + 1 - MIN(server->in->len, LINE_BOUND + 1);
    len = MIN(len, room);
    if (len > 0) {
        g_string_append_len(server->in, data, (gssize)len);
    }
    return len;
}

/* The next whole line, with its newline made an end; NULL if there is none yet. */
static char *next_line(DevemuQtest *server)
{
    char *text = server->in->str;
    char *end = memchr(text + server->in_looked, '\n', server->in->len - server->in_looked);
    char *line = text + server->in_at;

    if (end == NULL) {
        server->in_looked = server->in->len;
        if (server->in_looked - server->in_at >= LINE_BOUND) {
            server->skipping = true;
        }
        if (server->skipping) {
            g_string_truncate(server->in, 0);
            server->in_at = server->in_looked = 0;
        }
        return NULL;
    }
    *end = '\0';
    server->in_at = server->in_looked = (size_t)(end - text) + 1;
    return line;
}

static void do_line(DevemuQtest *server, char *line)
{
    if (server->skipping) {
        server->skipping = false;
        qtest_say(server, "FAIL the line is longer than %zu bytes", LINE_BOUND);
        return;
    }
    if (server->ops.traffic) {
        server->ops.traffic(server->opaque, true, line);
    }
    qtest_command(server, line);
}

static bool is_behind(const DevemuQtest *server)
{
    return server->out->len - server->out_at >= OUT_BOUND;
}

bool devemu_qtest_run(DevemuQtest *server)
{
    char *line;

    g_return_val_if_fail(server != NULL, false);
    if (is_behind(server)) {
        return false;
    }
    if (server->step != QTEST_STEP_NONE) {
        step(server);
        return true;
    }
    line = next_line(server);
    if (line == NULL) {
        return false;
    }
    do_line(server, line);
    if (server->step != QTEST_STEP_NONE) {
        step(server);
    }
    return true;
}

/* --- descriptors ------------------------------------------------------------------- */

static bool has_work(const DevemuQtest *server)
{
    return !is_behind(server) &&
           (server->step != QTEST_STEP_NONE || memchr(server->in->str + server->in_looked, '\n',
                                                      server->in->len - server->in_looked) != NULL);
}

/* A client that reads nothing more may go on sending commands; their answers are lost. */
static void lose_reader(DevemuQtest *server)
{
    server->gone = true;
    g_string_truncate(server->out, 0);
    server->out_at = 0;
}

static void write_out(DevemuQtest *server)
{
    size_t len;
    const char *data = devemu_qtest_output(server, &len);

    while (len > 0) {
        ssize_t done = send(server->fd_out, data, len, MSG_NOSIGNAL);

        if (done < 0 && errno == ENOTSOCK) {
            done = write(server->fd_out, data, len);
        }
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno != EAGAIN) {
            lose_reader(server);
        }
        if (done < 0) {
            return;
        }
        devemu_qtest_taken(server, (size_t)done);
        data = devemu_qtest_output(server, &len);
    }
}

static void read_in(DevemuQtest *server)
{
    g_autofree char *data = g_malloc(READ_BYTES);
    size_t pending = server->in->len - server->in_at;
    ssize_t len;

    if (pending >= LINE_BOUND) {
        return;
    }
    len = read(server->fd_in, data, MIN(READ_BYTES, LINE_BOUND - pending));
    if (len > 0) {
        devemu_qtest_put(server, data, (size_t)len);
    } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        server->ended = true;
    }
}

static void loop_prepare(void *owner)
{
    DevemuQtest *server = owner;
    bool in = !server->ended && !is_behind(server) && !has_work(server);
    bool out = server->out->len > server->out_at && !server->gone;

    loop_watch_begin(server->loop);
    if (server->fd_in == server->fd_out && (in || out)) {
        loop_watch(server->loop, server->fd_in, (in ? G_IO_IN : 0) | (out ? G_IO_OUT : 0));
    } else {
        if (in) {
            loop_watch(server->loop, server->fd_in, G_IO_IN);
        }
        if (out) {
            loop_watch(server->loop, server->fd_out, G_IO_OUT);
        }
    }
    loop_watch_end(server->loop);
}

static bool is_over(const DevemuQtest *server)
{
    return server->ended && !has_work(server) &&
           (server->gone || server->out->len == server->out_at);
}

static bool loop_due(void *owner, gint *ret_timeout_ms)
{
    const DevemuQtest *server = owner;

    if (has_work(server) || (is_over(server) && !server->closed)) {
        *ret_timeout_ms = 0;
        return true;
    }
    return false;
}

static void loop_dispatch(void *owner)
{
    DevemuQtest *server = owner;
    gint64 until_us = g_get_monotonic_time() + TURN_US;

    if (!server->ended &&
        loop_found(server->loop, server->fd_in) & (G_IO_IN | G_IO_HUP | G_IO_ERR)) {
        read_in(server);
    }
    write_out(server);
    while (devemu_qtest_run(server) && g_get_monotonic_time() < until_us) {
    }
    write_out(server);
    if (is_over(server) && !server->closed) {
        server->closed = true;
        if (server->ops.closed) {
            server->ops.closed(server->opaque);
        }
    }
}

static const LoopOps loop_ops = {
    .prepare = loop_prepare,
    .due = loop_due,
    .dispatch = loop_dispatch,
};

bool devemu_qtest_open(DevemuQtest *server, int in, int out, GMainContext *context, GError **error)
{
    const int fds[2] = {in, out};

    g_return_val_if_fail(server != NULL && server->loop == NULL, false);
    for (unsigned i = 0; i < 2; i++) {
        int flags = fcntl(fds[i], F_GETFL);

        if (flags < 0 || fcntl(fds[i], F_SETFL, flags | O_NONBLOCK) < 0) {
            g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND,
                        "qtest: descriptor %d cannot be used: %s", fds[i], g_strerror(errno));
            return false;
        }
    }
    server->fd_in = in;
    server->fd_out = out;
    server->loop = loop_new(context, &loop_ops, server, "qtest");
    return true;
}

/* --- the host of the system -------------------------------------------------------- */

static uint64_t host_now(void *host)
{
    return ((DevemuQtest *)host)->now_ns;
}

static void host_deadline(void *host, uint64_t when_ns)
{
    ((DevemuQtest *)host)->deadline_ns = when_ns;
}

/* There is no local APIC: a message is a write to memory, where tests look for it. */
static void host_msi(void *host, uint64_t addr, uint32_t data)
{
    devemu_device_write(((DevemuQtest *)host)->system, DEVEMU_SYSTEM_MEMORY, addr, 4, data);
}

static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    DevemuQtest *server = host;

    if (server->ops.log) {
        server->ops.log(server->opaque, level, text);
    }
}

DevemuQtest *devemu_qtest_new(DevemuDevice *system, const DevemuQtestOps *ops, void *opaque)
{
    static const DevemuHostOps host = {
        .size = sizeof(DevemuHostOps),
        .msi = host_msi,
        .now = host_now,
        .deadline = host_deadline,
        .log = host_log,
    };
    DevemuQtest *server;

    g_return_val_if_fail(devemu_device_model(system) == &devemu_model_system, NULL);
    server = g_new0(DevemuQtest, 1);
    server->system = system;
    if (ops) {
        memcpy(&server->ops, ops, MIN(ops->size, sizeof(server->ops)));
    }
    server->opaque = opaque;
    server->deadline_ns = DEVEMU_NEVER;
    server->in = g_string_new(NULL);
    server->out = g_string_new(NULL);
    server->fd_in = server->fd_out = -1;
    devemu_device_set_host(system, &host, server);
    return server;
}

void devemu_qtest_free(DevemuQtest *server)
{
    if (server == NULL) {
        return;
    }
    devemu_device_set_host(server->system, NULL, NULL);
    loop_free(server->loop);
    if (server->fd_in >= 0) {
        close(server->fd_in);
    }
    if (server->fd_out >= 0 && server->fd_out != server->fd_in) {
        close(server->fd_out);
    }
    g_string_free(server->in, TRUE);
    g_string_free(server->out, TRUE);
    g_free(server->intercepted);
    g_free(server);
}
