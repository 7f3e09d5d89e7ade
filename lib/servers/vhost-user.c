/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.c: the life of a server: one GSource for its socket, its client, the rings' kicks and
 * its device's time, which is the monotonic clock.
 */
#define _GNU_SOURCE
#include "vhost-user.h"

#include "../backends/options.h"

#include <sched.h>
#include <unistd.h>

/* While rings are polled, the other sources of the context get their turn after so long; and the
 * clock is read once for so many looks that found nothing. */
#define SLICE_NS 50000
#define LOOKS    16

typedef struct VhostSource {
    GSource source;
    DevemuVhostUser *server;
} VhostSource;

static const Option options_table[] = {
    {.name = "spin",
     .type = OPTION_UINT,
     .member = offsetof(DevemuVhostUser, spin_us),
     .max = 1000000},
    {.name = NULL},
};

/* --- log --------------------------------------------------------------------------- */

void vhost_log(DevemuVhostUser *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    server_log_va(&s->log, format, args);
    va_end(args);
}

/* From any of the server's threads. */
static void say(void *opaque, const char *text)
{
    DevemuVhostUser *s = opaque;

    pthread_mutex_lock(&s->sink_lock);
    if (s->sink) {
        s->sink(s->sink_opaque, text);
    }
    pthread_mutex_unlock(&s->sink_lock);
}

void devemu_vhost_user_set_log(DevemuVhostUser *server, DevemuVhostUserLog *log, void *opaque)
{
    g_return_if_fail(server != NULL);
    pthread_mutex_lock(&server->sink_lock);
    server->sink = log;
    server->sink_opaque = opaque;
    pthread_mutex_unlock(&server->sink_lock);
}

/* --- the device's host ------------------------------------------------------------- */

static uint64_t host_now(void *host)
{
    (void)host;
    return server_now();
}

static void host_deadline(void *host, uint64_t when_ns)
{
    ((DevemuVhostUser *)host)->deadline_ns = when_ns;
}

/* The library limits the rate of these. */
static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    const DevemuVhostUser *s = host;

    (void)level;
    s->log.sink(s->log.opaque, text);
}

static const DevemuHostOps host_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = vhost_host_dma_read,
    .dma_write = vhost_host_dma_write,
    .dma_map = vhost_host_dma_map,
    .msi = vhost_host_msi,
    .now = host_now,
    .deadline = host_deadline,
    .log = host_log,
};

/* --- polling ----------------------------------------------------------------------- */

static void set_spinning(DevemuVhostUser *s, bool on)
{
    if (s->spinning != on) {
        s->spinning = on;
        devemu_device_set_polled(s->dev, on);
        if (!on) {
            vhost_rings_listen(s);
        }
    }
}

static bool look(DevemuVhostUser *s)
{
    bool busy = vhost_rings_look(s);

    return devemu_device_poll(s->dev) > 0 || busy;
}

/* Look at the rings until they have been idle for as long as the option says; without end where
 * there is no other way to know. */
static void spin(DevemuVhostUser *s)
{
    uint64_t now = server_now(), until = now + SLICE_NS;
    bool endless = vhost_rings_unkicked(s);

    if (!s->spinning) {
        s->busy_ns = now;
        set_spinning(s, true);
    }
    while (now < until) {
        bool busy = false;

        for (unsigned i = 0; i < LOOKS; i++) {
            busy |= look(s);
        }
        now = server_now();
        if (s->deadline_ns <= now) {
            devemu_device_run(s->dev);
            busy = true;
        }
        if (busy) {
            s->busy_ns = now;
        } else if (!endless && now - s->busy_ns >= s->spin_us * 1000) {
            set_spinning(s, false);
            return;
        } else {
            /* Who works for us on this processor (the kernel's worker behind a file) gets it. */
            sched_yield();
        }
    }
}

void vhost_clear(DevemuVhostUser *s)
{
    vhost_rings_clear(s);
    vhost_device_clear(s);
    vhost_channel_clear(s);
    vhost_log_clear(s);
    vhost_pages_clear(s);
    vhost_memory_clear(s);
    vhost_inflight_finish(s);
    vhost_state_clear(s);
    server_stream_reset(&s->stream);
    s->failed = false;
    set_spinning(s, false);
}

static void forget_client(DevemuVhostUser *s)
{
    server_loop_forget(&s->loop, &s->socket);
    vhost_threads_clear(s);
    vhost_clear(s);
    server_loop_listen(&s->loop, &s->socket);
}

static bool lost(const DevemuVhostUser *s)
{
    return s->failed || s->stream.left;
}

/* One receive; what is whole is handled, and what comes of it sent. */
static void serve_client(DevemuVhostUser *s)
{
    if (!s->loop.stalled) {
        vhost_receive(s);
    }
    do {
        vhost_process(s);
        server_loop_push(&s->loop, &s->socket, &s->stream);
    } while (!s->loop.stalled && !lost(s) && !vhost_hungry(s));
}

/* --- the source -------------------------------------------------------------------- */

static DevemuVhostUser *server_of(GSource *source)
{
    return ((VhostSource *)source)->server;
}

static uint64_t next_moment(const DevemuVhostUser *s)
{
    return MIN(s->deadline_ns, s->loop.listen_ns);
}

/* Memory can fail at any of the device's events, those of its backends, too. */
static bool over(DevemuVhostUser *s)
{
    if (server_files_broken(&s->files)) {
        vhost_fail(s, "the client cut a file short that it had given as memory");
    }
    return s->socket.client >= 0 && lost(s);
}

static bool has_heard(const DevemuVhostUser *s)
{
    return __atomic_load_n(&s->told, __ATOMIC_ACQUIRE);
}

static gboolean source_prepare(GSource *source, gint *ret_timeout)
{
    DevemuVhostUser *s = server_of(source);

    *ret_timeout = -1;
    if (s->inside) {
        return FALSE;
    }
    if (over(s) || s->spinning || has_heard(s)) {
        return TRUE;
    }
    return server_loop_due(&s->loop, next_moment(s));
}

static gboolean source_check(GSource *source)
{
    DevemuVhostUser *s = server_of(source);
    uint64_t when_ns = next_moment(s);

    if (s->inside) {
        return FALSE;
    }
    return server_loop_query(&s->loop, s->loop.client_tag) ||
           server_loop_query(&s->loop, s->loop.listener_tag) ||
           server_loop_query(&s->loop, s->loop.timer_tag) ||
           server_loop_query(&s->loop, s->channel_tag) ||
           server_loop_query(&s->loop, s->state.tag) || vhost_rings_kicked(s) || s->spinning ||
           has_heard(s) || (when_ns != DEVEMU_NEVER && when_ns <= server_now());
}

static void tick(DevemuVhostUser *s)
{
    uint64_t now;

    server_loop_woke(&s->loop);
    if (next_moment(s) == DEVEMU_NEVER) {
        return;
    }
    now = server_now();
    server_loop_again(&s->loop, &s->socket, now);
    if (s->deadline_ns <= now) {
        devemu_device_run(s->dev);
    }
}

/* What the client said before it kicked is done before. */
static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    DevemuVhostUser *s = server_of(source);
    bool kicked = vhost_rings_kicked(s);

    (void)callback;
    (void)user_data;
    s->inside = true;
    if (server_loop_query(&s->loop, s->loop.listener_tag)) {
        server_loop_accept(&s->loop, &s->socket, &s->log);
    } else if (server_loop_query(&s->loop, s->loop.client_tag)) {
        serve_client(s);
    }
    if (!lost(s)) {
        vhost_rings_feed(s);
        vhost_rings_serve(s);
    }
    vhost_channel_serve(s);
    vhost_state_serve(s);
    vhost_threads_hear(s);
    tick(s);
    if (!lost(s) && (s->spinning || (kicked && s->spin_us > 0) || vhost_rings_unkicked(s))) {
        spin(s);
    }
    if (over(s)) {
        forget_client(s);
    }
    s->inside = false;
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
};

static bool source_new(DevemuVhostUser *s, GMainContext *context, GError **error)
{
    GSource *source = g_source_new(&source_funcs, sizeof(VhostSource));

    ((VhostSource *)source)->server = s;
    return server_loop_open(&s->loop, source, &s->socket, "vhost-user", context, error);
}

/* --- life -------------------------------------------------------------------------- */

static bool read_address(DevemuVhostUser *s, const char *address, GError **error)
{
    const char *options;

    s->log.label = server_split_address(address, &options);
    return options_parse("vhost-user", options_table, options, s, error) &&
           server_socket_open(&s->socket, s->log.label, error);
}

/* All but its socket, its device and its source. */
static DevemuVhostUser *server_new(DevemuVhostUser *whole)
{
    DevemuVhostUser *s = g_new0(DevemuVhostUser, 1);

    s->whole = whole;
    s->socket = (ServerSocket){.what = "vhost-user", .listener = -1, .client = -1};
    s->log = (ServerLog){.what = "vhost-user", .tokens = DEVEMU_LOG_BURST, .sink = say};
    s->log.opaque = whole ? whole : s;
    pthread_mutex_init(&s->sink_lock, NULL);
    s->channel = s->dirty.fd = s->state.fd = s->inflight_fd = -1;
    server_loop_init(&s->loop);
    s->deadline_ns = DEVEMU_NEVER;
    return s;
}

static void take_device(DevemuVhostUser *s, DevemuDevice *dev)
{
    server_stream_init(&s->stream, VHOST_IN_BYTES);
    server_stream_init(&s->requests, VHOST_IN_BYTES);
    server_files_init(&s->files);
    s->dev = dev;
    vhost_rings_init(s);
    devemu_device_set_host(dev, &host_ops, s);
}

DevemuVhostUser *devemu_vhost_user_new(DevemuDevice *dev, const char *address,
                                       GMainContext *context, GError **error)
{
    DevemuVhostUser *s;

    g_return_val_if_fail(dev != NULL && dev->parent == NULL && address != NULL, NULL);
    if (dev->model->virtio == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "'%s' is no virtio device; vhost-user has no other", dev->model->name);
        return NULL;
    }
    s = server_new(NULL);
    if (!read_address(s, address, error) || !source_new(s, context, error)) {
        devemu_vhost_user_free(s);
        return NULL;
    }
    take_device(s, dev);
    return s;
}

DevemuVhostUser *vhost_part_new(DevemuVhostUser *whole, DevemuDevice *dev, GMainContext *context,
                                GError **error)
{
    DevemuVhostUser *s = server_new(whole);

    s->log.label = g_strdup(whole->log.label);
    s->spin_us = whole->spin_us;
    if (!source_new(s, context, error)) {
        devemu_vhost_user_free(s);
        return NULL;
    }
    take_device(s, dev);
    return s;
}

void vhost_part_forget(DevemuVhostUser *part)
{
    devemu_device_set_host(part->dev, NULL, NULL);
    part->dev = NULL;
    server_files_finish(&part->files);
    devemu_vhost_user_free(part);
}

void devemu_vhost_user_free(DevemuVhostUser *s)
{
    if (s == NULL) {
        return;
    }
    vhost_threads_end(s);
    if (s->dev) {
        vhost_clear(s);
        devemu_device_set_host(s->dev, NULL, NULL);
        devemu_device_free(s->dev);
        server_files_finish(&s->files);
    }
    server_loop_close(&s->loop);
    server_socket_close(&s->socket);
    server_stream_finish(&s->stream);
    server_stream_finish(&s->requests);
    pthread_mutex_destroy(&s->sink_lock);
    g_free(s->log.label);
    g_free(s);
}
