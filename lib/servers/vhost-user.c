/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.c: the life of a server: one GSource for its socket, its client, the rings' kicks and
 * its device's time. Time is the monotonic clock; the next deadline is a timerfd, as in
 * vfio-user.c.
 */
#define _GNU_SOURCE
#include "vhost-user.h"

#include "../backends/options.h"

#include <sched.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* After a failed accept(). */
#define LISTEN_AGAIN_NS 100000000

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

void devemu_vhost_user_set_log(DevemuVhostUser *server, DevemuVhostUserLog *log, void *opaque)
{
    g_return_if_fail(server != NULL);
    server->log.sink = log;
    server->log.opaque = opaque;
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
    if (s->log.sink) {
        s->log.sink(s->log.opaque, text);
    }
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

/* --- the client -------------------------------------------------------------------- */

static void watch_client(DevemuVhostUser *s)
{
    s->client_tag = g_source_add_unix_fd(s->source, s->socket.client, G_IO_IN);
    s->stalled = false;
}

static void watch_listener(DevemuVhostUser *s, bool on)
{
    if (on && s->socket.listener >= 0) {
        s->listener_tag = g_source_add_unix_fd(s->source, s->socket.listener, G_IO_IN);
    } else if (!on && s->listener_tag) {
        g_source_remove_unix_fd(s->source, s->listener_tag);
        s->listener_tag = NULL;
    }
}

/* While there is a client, the next one waits; also while this process can open no more files. */
static void accept_client(DevemuVhostUser *s)
{
    if (server_socket_accept(&s->socket) >= 0) {
        watch_listener(s, false);
        watch_client(s);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        vhost_log(s, "cannot take a client: %s", g_strerror(errno));
        watch_listener(s, false);
        s->listen_ns = server_now() + LISTEN_AGAIN_NS;
    }
}

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

/* What was the client's goes back, and the device is as it was before it. */
static void clear(DevemuVhostUser *s)
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
    g_source_remove_unix_fd(s->source, s->client_tag);
    s->client_tag = NULL;
    close(s->socket.client);
    s->socket.client = -1;
    clear(s);
    watch_listener(s, true);
}

/* Send what waits; while the socket is full, nothing more is taken in. */
static void push(DevemuVhostUser *s)
{
    bool stalled = !server_stream_send(&s->stream, s->socket.client) && !s->stream.left;

    if (stalled != s->stalled) {
        s->stalled = stalled;
        g_source_modify_unix_fd(s->source, s->client_tag, stalled ? G_IO_OUT : G_IO_IN);
    }
}

static bool lost(const DevemuVhostUser *s)
{
    return s->failed || s->stream.left;
}

/* One receive; what is whole is handled, and what comes of it sent. */
static void serve_client(DevemuVhostUser *s)
{
    if (!s->stalled) {
        vhost_receive(s);
    }
    do {
        vhost_process(s);
        push(s);
    } while (!s->stalled && !lost(s) && !vhost_hungry(s));
}

/* --- the source -------------------------------------------------------------------- */

static DevemuVhostUser *server_of(GSource *source)
{
    return ((VhostSource *)source)->server;
}

static uint64_t next_moment(const DevemuVhostUser *s)
{
    return MIN(s->deadline_ns, s->listen_ns);
}

/* Memory can fail at any of the device's events, those of its backends, too. */
static bool over(DevemuVhostUser *s)
{
    if (server_files_broken(&s->files)) {
        vhost_fail(s, "the client cut a file short that it had given as memory");
    }
    return s->socket.client >= 0 && lost(s);
}

static gboolean source_prepare(GSource *source, gint *ret_timeout)
{
    DevemuVhostUser *s = server_of(source);
    uint64_t when_ns = next_moment(s);

    *ret_timeout = -1;
    if (s->inside) {
        return FALSE;
    }
    if (over(s) || s->spinning) {
        return TRUE;
    }
    if (when_ns == DEVEMU_NEVER) {
        return FALSE;
    }
    if (when_ns <= server_now()) {
        return TRUE;
    }
    if (when_ns < s->armed_ns) {
        s->armed_ns = when_ns;
        server_timer_set(s->timer, when_ns);
    }
    return FALSE;
}

static GIOCondition query(const DevemuVhostUser *s, gpointer tag)
{
    return tag ? g_source_query_unix_fd(s->source, tag) : 0;
}

static gboolean source_check(GSource *source)
{
    DevemuVhostUser *s = server_of(source);
    uint64_t when_ns = next_moment(s);

    if (s->inside) {
        return FALSE;
    }
    return query(s, s->client_tag) || query(s, s->listener_tag) || query(s, s->timer_tag) ||
           query(s, s->channel_tag) || query(s, s->state.tag) || vhost_rings_kicked(s) ||
           s->spinning || (when_ns != DEVEMU_NEVER && when_ns <= server_now());
}

static void tick(DevemuVhostUser *s)
{
    uint64_t now, expirations;

    if (query(s, s->timer_tag)) {
        ssize_t got G_GNUC_UNUSED = read(s->timer, &expirations, sizeof(expirations));

        s->armed_ns = DEVEMU_NEVER;
    }
    if (next_moment(s) == DEVEMU_NEVER) {
        return;
    }
    now = server_now();
    if (s->listen_ns <= now) {
        s->listen_ns = DEVEMU_NEVER;
        watch_listener(s, true);
    }
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
    if (query(s, s->listener_tag)) {
        accept_client(s);
    } else if (query(s, s->client_tag)) {
        serve_client(s);
    }
    if (!lost(s)) {
        vhost_rings_serve(s);
    }
    vhost_channel_serve(s);
    vhost_state_serve(s);
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
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (s->timer < 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND,
                    "vhost-user: cannot make a timer: %s", g_strerror(errno));
        return false;
    }
    s->source = g_source_new(&source_funcs, sizeof(VhostSource));
    ((VhostSource *)s->source)->server = s;
    g_source_set_name(s->source, "vhost-user");
    /* See vfio-user.c. */
    g_source_set_can_recurse(s->source, TRUE);
    s->timer_tag = g_source_add_unix_fd(s->source, s->timer, G_IO_IN);
    if (s->socket.client >= 0) {
        watch_client(s);
    } else {
        watch_listener(s, true);
    }
    g_source_attach(s->source, context);
    return true;
}

/* --- life -------------------------------------------------------------------------- */

static bool read_address(DevemuVhostUser *s, const char *address, GError **error)
{
    const char *options;

    s->log.label = server_split_address(address, &options);
    return options_parse("vhost-user", options_table, options, s, error) &&
           server_socket_open(&s->socket, s->log.label, error);
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
    s = g_new0(DevemuVhostUser, 1);
    s->socket = (ServerSocket){.what = "vhost-user", .listener = -1, .client = -1};
    s->log = (ServerLog){.what = "vhost-user", .tokens = DEVEMU_LOG_BURST};
    s->timer = s->channel = s->dirty.fd = s->state.fd = s->inflight_fd = -1;
    s->deadline_ns = s->armed_ns = s->listen_ns = DEVEMU_NEVER;
    if (!read_address(s, address, error) || !source_new(s, context, error)) {
        devemu_vhost_user_free(s);
        return NULL;
    }
    server_stream_init(&s->stream, VHOST_IN_BYTES);
    server_stream_init(&s->requests, VHOST_IN_BYTES);
    server_files_init(&s->files);
    s->dev = dev;
    vhost_rings_init(s);
    devemu_device_set_host(dev, &host_ops, s);
    return s;
}

void devemu_vhost_user_free(DevemuVhostUser *s)
{
    if (s == NULL) {
        return;
    }
    if (s->dev) {
        clear(s);
        devemu_device_set_host(s->dev, NULL, NULL);
        devemu_device_free(s->dev);
        server_files_finish(&s->files);
    }
    if (s->source) {
        g_source_destroy(s->source);
        g_source_unref(s->source);
    }
    server_socket_close(&s->socket);
    if (s->timer >= 0) {
        close(s->timer);
    }
    server_stream_finish(&s->stream);
    server_stream_finish(&s->requests);
    g_free(s->log.label);
    g_free(s);
}
