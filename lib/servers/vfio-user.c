/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c: the life of a server: one GSource for its socket, its client and its device's time.
 *
 * A dispatch is one receive, of all that is there up to a bound, and one send. Time is the
 * monotonic clock.
 */
#define _GNU_SOURCE
#include "vfio-user.h"

#include "../../buses/pci/pci.h"
#include "../backends/options.h"

#include <unistd.h>

/* While both sides spin, the other sources of the context get their turn after so many receives. */
#define SPIN_ROUNDS 64

typedef struct VfioSource {
    GSource source;
    DevemuVfioUser *server;
} VfioSource;

static const Option options_table[] = {
    {.name = "spin",
     .type = OPTION_UINT,
     .member = offsetof(DevemuVfioUser, spin_us),
     .max = 1000000},
    {.name = "write-multiple",
     .type = OPTION_BOOL,
     .member = offsetof(DevemuVfioUser, write_multiple)},
    {.name = NULL},
};

/* --- log --------------------------------------------------------------------------- */

void vfio_log(DevemuVfioUser *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    server_log_va(&s->log, format, args);
    va_end(args);
}

void devemu_vfio_user_set_log(DevemuVfioUser *server, DevemuVfioUserLog *log, void *opaque)
{
    g_return_if_fail(server != NULL);
    server->log.sink = log;
    server->log.opaque = opaque;
}

/* --- the device's host ------------------------------------------------------------- */

static uint64_t host_now(void *host)
{
    const DevemuVfioUser *s = host;

    return s->far.frozen_ns != DEVEMU_NEVER ? s->far.frozen_ns : vfio_device_now(s);
}

static void host_deadline(void *host, uint64_t when_ns)
{
    vfio_set_deadline(host, when_ns);
}

/* The library limits the rate of these. */
static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    const DevemuVfioUser *s = host;

    (void)level;
    if (s->log.sink) {
        s->log.sink(s->log.opaque, text);
    }
}

static const DevemuHostOps host_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = vfio_host_dma_read,
    .dma_write = vfio_host_dma_write,
    .dma_map = vfio_host_dma_map,
    .set_line = vfio_host_set_line,
    .msi = vfio_host_msi,
    .now = host_now,
    .deadline = host_deadline,
    .log = host_log,
    .dma_deferred = vfio_host_dma_deferred,
};

/* --- the client -------------------------------------------------------------------- */

/* What was the client's goes back, and the device is as it was before it. */
static void forget_client(DevemuVfioUser *s)
{
    vfio_doorbells_clear(s);
    server_loop_forget(&s->loop, &s->socket);
    vfio_work_clear(s);
    vfio_message_reset(s);
    vfio_maps_clear(s);
    vfio_irqs_clear(s);
    vfio_dirty_clear(s);
    vfio_reset(s);
    server_loop_listen(&s->loop, &s->socket);
}

static bool lost(const DevemuVfioUser *s)
{
    return s->failed || s->stream.left;
}

/* Handle what is there and send what comes of it, until more must come in or go out. */
static void pump(DevemuVfioUser *s)
{
    do {
        vfio_process(s);
        server_loop_push(&s->loop, &s->socket, &s->stream);
    } while (!s->loop.stalled && !lost(s) && !vfio_hungry(s));
}

/* While an event waits for memory, time does. */
static uint64_t next_moment(const DevemuVfioUser *s)
{
    uint64_t deadline_ns = vfio_work_pending(s) ? DEVEMU_NEVER : s->deadline_ns;

    return MIN(MIN(deadline_ns, s->refire_ns), s->loop.listen_ns);
}

/* Has an event put something in the way out that was not the client's doing? */
static bool must_push(const DevemuVfioUser *s)
{
    return s->socket.client >= 0 && !s->loop.stalled && server_stream_must_send(&s->stream);
}

/* One receive; or, with the option "spin", one after the other until none has come for so long. */
static void serve_client(DevemuVfioUser *s)
{
    uint64_t until = 0, now = 0;
    unsigned rounds = 0;

    pump(s);
    while (!s->loop.stalled && !lost(s)) {
        bool came = vfio_receive(s);

        if (came) {
            pump(s);
            rounds++;
        }
        if (s->spin_us == 0 || rounds == SPIN_ROUNDS) {
            break;
        }
        now = server_now();
        until = came || until == 0 ? now + s->spin_us * 1000 : until;
        if (now >= until || now >= next_moment(s)) {
            break;
        }
    }
    if (s->refire_ns != DEVEMU_NEVER) {
        vfio_irqs_heard(s, server_now());
    }
}

/* What the client sent before it rang is done before. */
static void serve_doorbells(DevemuVfioUser *s)
{
    for (unsigned i = 0; i < SPIN_ROUNDS && !s->loop.stalled && !lost(s) && vfio_receive(s); i++) {
        pump(s);
    }
    if (!lost(s)) {
        vfio_doorbells_ring(s);
    }
}

/* --- the source -------------------------------------------------------------------- */

static DevemuVfioUser *server_of(GSource *source)
{
    return ((VfioSource *)source)->server;
}

/* Memory can fail at any of the device's events, those of its backends, too. */
static bool over(DevemuVfioUser *s)
{
    if (server_files_broken(&s->files)) {
        vfio_fail(s, "the client cut a file short that it had given as memory");
    }
    return s->socket.client >= 0 && lost(s);
}

static gboolean source_prepare(GSource *source, gint *ret_timeout)
{
    DevemuVfioUser *s = server_of(source);

    *ret_timeout = -1;
    if (s->inside) {
        return FALSE;
    }
    if (over(s) || must_push(s)) {
        return TRUE;
    }
    return server_loop_due(&s->loop, next_moment(s));
}

static gboolean source_check(GSource *source)
{
    DevemuVfioUser *s = server_of(source);
    uint64_t when_ns = next_moment(s);

    if (s->inside) {
        return FALSE;
    }
    return server_loop_query(&s->loop, s->loop.client_tag) ||
           server_loop_query(&s->loop, s->loop.listener_tag) ||
           server_loop_query(&s->loop, s->loop.timer_tag) || must_push(s) ||
           vfio_doorbells_rung(s) || (when_ns != DEVEMU_NEVER && when_ns <= server_now());
}

static void tick(DevemuVfioUser *s)
{
    uint64_t now;

    server_loop_woke(&s->loop);
    if (next_moment(s) == DEVEMU_NEVER) {
        return;
    }
    now = server_now();
    vfio_irqs_refire(s, now);
    server_loop_again(&s->loop, &s->socket, now);
    if (s->deadline_ns <= now && !vfio_work_pending(s)) {
        vfio_work_run(s);
    }
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    DevemuVfioUser *s = server_of(source);

    (void)callback;
    (void)user_data;
    s->inside = true;
    if (server_loop_query(&s->loop, s->loop.listener_tag)) {
        server_loop_accept(&s->loop, &s->socket, &s->log);
    } else if (server_loop_query(&s->loop, s->loop.client_tag)) {
        serve_client(s);
    }
    if (vfio_doorbells_rung(s)) {
        serve_doorbells(s);
    }
    tick(s);
    if (must_push(s)) {
        server_loop_push(&s->loop, &s->socket, &s->stream);
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

static bool source_new(DevemuVfioUser *s, GMainContext *context, GError **error)
{
    GSource *source = g_source_new(&source_funcs, sizeof(VfioSource));

    ((VfioSource *)source)->server = s;
    return server_loop_open(&s->loop, source, &s->socket, "vfio-user", context, error);
}

/* --- life -------------------------------------------------------------------------- */

static bool read_address(DevemuVfioUser *s, const char *address, GError **error)
{
    const char *options;

    s->log.label = server_split_address(address, &options);
    return options_parse("vfio-user", options_table, options, s, error) &&
           server_socket_open(&s->socket, s->log.label, error);
}

static void take_device(DevemuVfioUser *s, DevemuDevice *function)
{
    s->function = function;
    vfio_migration_init(s);
    vfio_irqs_init(s);
    vfio_work_init(s);
    devemu_device_set_host(function, &host_ops, s);
}

DevemuVfioUser *devemu_vfio_user_new(DevemuDevice *dev, const char *address, GMainContext *context,
                                     GError **error)
{
    DevemuDevice *function = dev;
    DevemuVfioUser *s;

    g_return_val_if_fail(dev != NULL && dev->parent == NULL && address != NULL, NULL);
    if (dev->model != &pci_function_model) {
        function = devemu_pci_function_new(dev, error);
        if (function == NULL) {
            return NULL;
        }
    }
    s = g_new0(DevemuVfioUser, 1);
    s->socket = (ServerSocket){.what = "vfio-user", .listener = -1, .client = -1};
    s->log = (ServerLog){.what = "vfio-user", .tokens = DEVEMU_LOG_BURST};
    server_loop_init(&s->loop);
    s->deadline_ns = s->refire_ns = DEVEMU_NEVER;
    if (!read_address(s, address, error) || !source_new(s, context, error)) {
        if (function != dev) {
            devemu_bus_unplug(dev);
            devemu_device_free(function);
        }
        devemu_vfio_user_free(s);
        return NULL;
    }
    server_stream_init(&s->stream, VFIO_IN_BYTES);
    server_files_init(&s->files);
    take_device(s, function);
    return s;
}

void devemu_vfio_user_free(DevemuVfioUser *s)
{
    if (s == NULL) {
        return;
    }
    if (s->function) {
        devemu_device_set_host(s->function, NULL, NULL);
        vfio_doorbells_clear(s);
        vfio_message_reset(s);
        vfio_maps_clear(s);
        vfio_irqs_finish(s);
        vfio_dirty_clear(s);
        vfio_work_finish(s);
        vfio_migration_finish(s);
        devemu_device_free(s->function);
        server_files_finish(&s->files);
    }
    server_loop_close(&s->loop);
    server_socket_close(&s->socket);
    server_stream_finish(&s->stream);
    g_free(s->log.label);
    g_free(s);
}
