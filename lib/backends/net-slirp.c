/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-slirp.c: user-mode network by libslirp.
 *
 * libslirp hands out a frame and forgets it, whatever send_packet() says. So every frame is queued,
 * and libslirp is kept from making more while the queue is full: its sockets are not polled, its
 * timers stand. What it still makes then are answers to frames that the device itself sends, and
 * those end at a hard bound (net_send()).
 */
#include "net.h"

#ifdef DEVEMU_HAVE_SLIRP

#include "net-slirp.h"

#define NS_PER_MS 1000000

typedef struct SlirpTimer {
    SlirpTimerId id;
    void *opaque;
    uint64_t when_ns;
} SlirpTimer;

typedef struct NetSlirp {
    DevemuNet net;
    Slirp *slirp;
    GArray *fds;       /* int, by the index that libslirp knows */
    GPtrArray *timers; /* SlirpTimer, owned */
    uint64_t poll_ns;  /* when libslirp wants to be polled for its timers */
    bool hurry;        /* poll as soon as the clock allows */
    bool stale;        /* fds and poll_ns are of before */
} NetSlirp;

/* --- what libslirp asks for -------------------------------------------------------- */

static ssize_t slirp_send_packet(const void *data, size_t len, void *opaque)
{
    NetSlirp *net = opaque;

    net_push(&net->net, NULL, data, len);
    return (ssize_t)len;
}

static void slirp_guest_error(const char *text, void *opaque)
{
    (void)text;
    (void)opaque;
}

static int64_t slirp_clock(void *opaque)
{
    return (int64_t)net_now(opaque);
}

static void *slirp_timer_new(SlirpTimerId id, void *timer_opaque, void *opaque)
{
    NetSlirp *net = opaque;
    SlirpTimer *timer = g_new0(SlirpTimer, 1);

    timer->id = id;
    timer->opaque = timer_opaque;
    timer->when_ns = DEVEMU_NEVER;
    g_ptr_array_add(net->timers, timer);
    return timer;
}

static void slirp_timer_free(void *timer, void *opaque)
{
    NetSlirp *net = opaque;

    g_ptr_array_remove(net->timers, timer);
}

static void slirp_timer_mod(void *opaque_timer, int64_t expire_ms, void *opaque)
{
    SlirpTimer *timer = opaque_timer;

    (void)opaque;
    timer->when_ns = (uint64_t)expire_ms * NS_PER_MS;
}

/* The set of descriptors is read anew before every sleep, so nothing to do. */
static void slirp_poll_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void slirp_notify(void *opaque)
{
    ((NetSlirp *)opaque)->stale = true;
}

static const SlirpCb slirp_callbacks = {
    .send_packet = slirp_send_packet,
    .guest_error = slirp_guest_error,
    .clock_get_ns = slirp_clock,
    .timer_new_opaque = slirp_timer_new,
    .timer_free = slirp_timer_free,
    .timer_mod = slirp_timer_mod,
    .register_poll_fd = slirp_poll_fd,
    .unregister_poll_fd = slirp_poll_fd,
    .notify = slirp_notify,
};

/* --- sockets ----------------------------------------------------------------------- */

static int add_poll(int fd, int events, void *opaque)
{
    NetSlirp *net = opaque;
    GIOCondition condition = 0;

    condition |= events & SLIRP_POLL_IN ? G_IO_IN : 0;
    condition |= events & SLIRP_POLL_OUT ? G_IO_OUT : 0;
    condition |= events & SLIRP_POLL_PRI ? G_IO_PRI : 0;
    condition |= events & SLIRP_POLL_ERR ? G_IO_ERR : 0;
    condition |= events & SLIRP_POLL_HUP ? G_IO_HUP : 0;
    loop_watch(net->net.loop, fd, condition);
    g_array_append_val(net->fds, fd);
    return (int)net->fds->len - 1;
}

static int get_events(int index, void *opaque)
{
    NetSlirp *net = opaque;
    GIOCondition found;
    int events = 0;

    if (index < 0 || (guint)index >= net->fds->len) {
        return 0;
    }
    found = loop_found(net->net.loop, g_array_index(net->fds, int, index));
    events |= found & G_IO_IN ? SLIRP_POLL_IN : 0;
    events |= found & G_IO_OUT ? SLIRP_POLL_OUT : 0;
    events |= found & G_IO_PRI ? SLIRP_POLL_PRI : 0;
    events |= found & G_IO_ERR ? SLIRP_POLL_ERR : 0;
    events |= found & G_IO_HUP ? SLIRP_POLL_HUP : 0;
    return events;
}

static void slirp_watch(DevemuNet *base)
{
    NetSlirp *net = (NetSlirp *)base;
    uint32_t timeout_ms = UINT32_MAX;

    g_array_set_size(net->fds, 0);
    slirp_pollfds_fill(net->slirp, &timeout_ms, add_poll, net);
    if (net->hurry) {
        timeout_ms = 0;
    }
    if (timeout_ms != UINT32_MAX) {
        uint64_t poll_ns = net_now(base) + timeout_ms * UINT64_C(1000000) + (base->clock ? 1 : 0);

        /* Not later than before, or a busy main loop would put it off for ever. */
        net->poll_ns = MIN(net->poll_ns, poll_ns);
    }
    net->stale = false;
}

/* sockets: read and write those that the last sleep found; otherwise timers only. */
static void slirp_poll(NetSlirp *net, bool sockets)
{
    net->hurry = false;
    net->poll_ns = DEVEMU_NEVER;
    net->stale = true;
    slirp_pollfds_poll(net->slirp, /* select_error= */ !sockets, get_events, net);
}

static void slirp_fetch(DevemuNet *base)
{
    slirp_poll((NetSlirp *)base, true);
}

/* --- time -------------------------------------------------------------------------- */

static uint64_t slirp_deadline(DevemuNet *base)
{
    NetSlirp *net = (NetSlirp *)base;
    uint64_t when_ns;

    if (net->stale) {
        loop_watch_begin(base->loop);
        slirp_watch(base);
        loop_watch_end(base->loop);
    }
    when_ns = net->poll_ns;
    for (guint i = 0; i < net->timers->len; i++) {
        when_ns = MIN(when_ns, ((SlirpTimer *)g_ptr_array_index(net->timers, i))->when_ns);
    }
    return when_ns;
}

static void slirp_expire(DevemuNet *base, uint64_t now)
{
    NetSlirp *net = (NetSlirp *)base;

    for (guint i = 0; i < net->timers->len; i++) {
        SlirpTimer *timer = g_ptr_array_index(net->timers, i);

        if (timer->when_ns <= now) {
            timer->when_ns = DEVEMU_NEVER;
            slirp_handle_timer(net->slirp, timer->id, timer->opaque);
        }
    }
    if (net->poll_ns <= now) {
        slirp_poll(net, false);
    }
}

static void slirp_shift(DevemuNet *base, uint64_t delta)
{
    NetSlirp *net = (NetSlirp *)base;

    for (guint i = 0; i < net->timers->len; i++) {
        SlirpTimer *timer = g_ptr_array_index(net->timers, i);

        if (timer->when_ns != DEVEMU_NEVER) {
            timer->when_ns += delta;
        }
    }
    net->poll_ns = DEVEMU_NEVER;
    net->stale = true;
}

/* --- the network ------------------------------------------------------------------- */

/* libslirp keeps packets for a station that it does not know; when the station answers, they go out
 * in the next poll, or are dropped a second after they came. So the poll must not wait. */
static bool may_resolve(const uint8_t *data, size_t len)
{
    return len >= 14 && ((data[12] == 0x08 && data[13] == 0x06) || /* ARP */
                         (data[12] == 0x86 && data[13] == 0xdd));  /* IPv6, with its neighbours */
}

static bool slirp_send(DevemuNet *base, const DevemuNetOffload *offload, const uint8_t *data,
                       size_t len)
{
    NetSlirp *net = (NetSlirp *)base;

    (void)offload;
    slirp_input(net->slirp, data, (int)len);
    net->stale = true;
    net->hurry |= may_resolve(data, len);
    return true;
}

static void slirp_finish(DevemuNet *base)
{
    NetSlirp *net = (NetSlirp *)base;

    if (net->slirp) {
        slirp_cleanup(net->slirp);
    }
    g_array_unref(net->fds);
    g_ptr_array_unref(net->timers);
}

static const NetClass slirp_class = {
    .name = "slirp",
    .send = slirp_send,
    .watch = slirp_watch,
    .fetch = slirp_fetch,
    .deadline = slirp_deadline,
    .expire = slirp_expire,
    .shift = slirp_shift,
    .finish = slirp_finish,
};

static bool set_up(NetSlirp *net, SlirpOptions *options, GError **error)
{
    SlirpConfig config;

    if (!slirp_options_config(options, &config, error)) {
        return false;
    }
    net->net.bound_bytes = options->queue_bytes;
    net->slirp = slirp_new(&config, &slirp_callbacks, net);
    if (net->slirp == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "slirp: libslirp %s did not start",
                    slirp_version_string());
        return false;
    }
    for (guint i = 0; options->hostfwd && i < options->hostfwd->len; i++) {
        if (!slirp_options_forward(net->slirp, g_ptr_array_index(options->hostfwd, i), error)) {
            return false;
        }
    }
    return true;
}

DevemuNet *net_slirp_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    SlirpOptions options;
    NetSlirp *net;
    bool ok;

    if (!slirp_options_parse(&options, settings, error)) {
        return NULL;
    }
    net = net_new(sizeof(NetSlirp), &slirp_class);
    net->fds = g_array_new(FALSE, FALSE, sizeof(int));
    net->timers = g_ptr_array_new_with_free_func(g_free);
    net->poll_ns = DEVEMU_NEVER;
    net_make_source(&net->net, context, NET_QUEUE_BYTES);
    ok = set_up(net, &options, error);
    slirp_options_clear(&options);
    if (!ok) {
        devemu_net_free(&net->net);
        return NULL;
    }
    net->stale = true;
    return &net->net;
}

#else

DevemuNet *net_slirp_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    (void)settings;
    (void)context;
    return net_missing("slirp", "libslirp", error);
}

#endif
