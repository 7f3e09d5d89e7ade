/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c: what all networks have in common: the queue, the clock, the way up and the way down.
 */
#include "net.h"

#include <string.h>

/* A device that never says "ready" is asked again after this. */
#define RETRY_NS 10000000
/* A device that sends without receiving loses what it sends at this many times the bound. */
#define HARD_FACTOR 4

struct NetFrame {
    NetFrame *next;
    size_t len;
    uint8_t data[];
};

/* --- the queue --------------------------------------------------------------------- */

bool net_full(const DevemuNet *net)
{
    return net->queued_bytes >= net->bound_bytes;
}

void net_wake(DevemuNet *net)
{
    /* On a clock of the program's, a frame and its answer never share a moment: so a playback that
     * delivers in the first run at that moment delivers where the recording did. */
    uint64_t due_ns = net_now(net) + (net->clock ? 1 : 0);

    net->due_ns = MIN(net->due_ns, due_ns);
}

void net_push(DevemuNet *net, const uint8_t *data, size_t len)
{
    NetFrame *frame = g_malloc(sizeof(NetFrame) + len);

    frame->next = NULL;
    frame->len = len;
    memcpy(frame->data, data, len);
    if (net->tail) {
        net->tail->next = frame;
    } else {
        net->head = frame;
        net->due_ns = DEVEMU_NEVER; /* what was said while there was nothing to offer */
        net_wake(net);
    }
    net->tail = frame;
    net->queued_frames++;
    net->queued_bytes += sizeof(NetFrame) + len;
}

static void pop(DevemuNet *net)
{
    NetFrame *frame = net->head;

    net->head = frame->next;
    if (net->head == NULL) {
        net->tail = NULL;
    }
    net->queued_frames--;
    net->queued_bytes -= sizeof(NetFrame) + frame->len;
    g_free(frame);
}

size_t net_pass_up(DevemuNet *net, const uint8_t *data, size_t len)
{
    size_t taken = 0;

    if (net->join) {
        taken = net->join(net->join_opaque, net, data, len);
    } else if (net->outer) {
        taken = net->outer->class->receive(net->outer, data, len);
    } else if (net->dev && devemu_device_ready(net->dev) > 0) {
        taken = devemu_device_receive(net->dev, data, len);
    }
    if (taken > 0) {
        net->stats.frames_in++;
        net->stats.bytes_in += len;
    }
    return taken;
}

static bool has_top(const DevemuNet *net)
{
    while (net->outer) {
        net = net->outer;
    }
    return net->dev != NULL || net->join != NULL;
}

/* Offer what was queued before this call: what is answered meanwhile is for later. */
static void offer_queue(DevemuNet *net)
{
    for (uint64_t left = net->queued_frames; left > 0; left--) {
        if (net_pass_up(net, net->head->data, net->head->len) == 0) {
            if (has_top(net)) {
                net->due_ns = MIN(net->due_ns, net_now(net) + RETRY_NS);
            }
            return;
        }
        pop(net);
    }
    if (net->head && net->due_ns == DEVEMU_NEVER) {
        net_wake(net);
    }
}

static void deliver(DevemuNet *net)
{
    bool was_full = net_full(net);

    net->due_ns = DEVEMU_NEVER;
    offer_queue(net);
    if (was_full && !net_full(net) && net->class->drained) {
        net->class->drained(net);
    }
}

/* --- time -------------------------------------------------------------------------- */

uint64_t net_now(const DevemuNet *net)
{
    return net->clock ? net->clock(net->clock_opaque) : (uint64_t)g_get_monotonic_time() * 1000;
}

static uint64_t own_deadline(DevemuNet *net)
{
    uint64_t when_ns = net->head ? net->due_ns : DEVEMU_NEVER;

    if (net->class->deadline && !net_full(net)) {
        when_ns = MIN(when_ns, net->class->deadline(net));
    }
    return when_ns;
}

uint64_t devemu_net_deadline(DevemuNet *net)
{
    g_return_val_if_fail(net != NULL, DEVEMU_NEVER);
    return own_deadline(net_source(net));
}

void devemu_net_run(DevemuNet *net)
{
    uint64_t now;

    g_return_if_fail(net != NULL);
    net = net_source(net);
    now = net_now(net);
    if (net->class->expire && !net_full(net)) {
        net->class->expire(net, now);
    }
    if (net->head && net->due_ns <= now) {
        deliver(net);
    }
}

void devemu_net_fetch(DevemuNet *net)
{
    g_return_if_fail(net != NULL);
    net = net_source(net);
    if (net->class->eager && !net_full(net)) {
        net->class->fetch(net);
    }
}

void devemu_net_set_clock(DevemuNet *net, DevemuNetClock *clock, void *opaque)
{
    g_return_if_fail(net != NULL);
    for (; net; net = net->inner) {
        uint64_t before = net_now(net);

        net->clock = clock;
        net->clock_opaque = opaque;
        if (net->class->shift) {
            net->class->shift(net, net_now(net) - before);
        }
        net->due_ns = DEVEMU_NEVER;
        net_wake(net);
    }
}

/* --- the main loop ----------------------------------------------------------------- */

static void loop_prepare(void *owner)
{
    DevemuNet *net = owner;

    loop_watch_begin(net->loop);
    if (net->class->watch && !net_full(net)) {
        net->class->watch(net);
    }
    loop_watch_end(net->loop);
}

static bool loop_due(void *owner, gint *ret_timeout_ms)
{
    DevemuNet *net = owner;
    uint64_t when_ns, now;

    if (net->clock) {
        return false;
    }
    when_ns = own_deadline(net);
    now = net_now(net);
    if (when_ns <= now) {
        *ret_timeout_ms = 0;
        return true;
    }
    if (when_ns != DEVEMU_NEVER) {
        *ret_timeout_ms = (gint)MIN((when_ns - now + 999999) / 1000000, G_MAXINT);
    }
    return false;
}

static void loop_dispatch(void *owner)
{
    DevemuNet *net = owner;

    if (net->class->fetch && !net_full(net)) {
        net->class->fetch(net);
    }
    if (net->clock == NULL) {
        devemu_net_run(net);
    }
}

static const LoopOps loop_ops = {
    .prepare = loop_prepare,
    .due = loop_due,
    .dispatch = loop_dispatch,
};

/* --- the device's side ------------------------------------------------------------- */

static const uint8_t *gather(DevemuNet *net, const DevemuSlice *slices, size_t count,
                             size_t *ret_len)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        if (slices[i].len > NET_FRAME_MAX - len) {
            return NULL;
        }
        len += slices[i].len;
    }
    *ret_len = len;
    if (count == 1) {
        return slices[0].data;
    }
    if (net->gather == NULL) {
        net->gather = g_malloc(NET_FRAME_MAX);
    }
    len = 0;
    for (size_t i = 0; i < count; i++) {
        if (slices[i].len > 0) {
            memcpy(net->gather + len, slices[i].data, slices[i].len);
            len += slices[i].len;
        }
    }
    return net->gather;
}

bool net_send(DevemuNet *net, const uint8_t *data, size_t len)
{
    bool sent =
        net->queued_bytes / HARD_FACTOR < net->bound_bytes && net->class->send(net, data, len);

    if (sent) {
        net->stats.frames_out++;
        net->stats.bytes_out += len;
    } else {
        net->stats.dropped_out++;
    }
    return sent;
}

static void ops_send(void *opaque, const DevemuSlice *slices, size_t count, bool more)
{
    DevemuNet *net = opaque;
    size_t len;
    const uint8_t *data = gather(net, slices, count, &len);

    (void)more;
    if (data == NULL || len == 0) {
        net->stats.dropped_out++;
        return;
    }
    net_send(net, data, len);
}

static void ops_ready(void *opaque)
{
    net_wake_source(opaque);
}

void devemu_net_attach(DevemuNet *net, DevemuDevice *dev)
{
    static const DevemuNetOps ops = {
        .size = sizeof(DevemuNetOps), .send = ops_send, .ready = ops_ready};

    g_return_if_fail(net != NULL);
    g_return_if_fail(net->outer == NULL && net->join == NULL);
    if (net->dev) {
        devemu_device_attach_net(net->dev, NULL, NULL);
    }
    net->dev = dev;
    if (dev) {
        devemu_device_attach_net(dev, &ops, net);
        net_wake_source(net);
    }
}

/* --- decorators -------------------------------------------------------------------- */

DevemuNet *net_source(DevemuNet *net)
{
    while (net->inner) {
        net = net->inner;
    }
    return net;
}

void net_wrap(DevemuNet *outer, DevemuNet *inner)
{
    outer->inner = inner;
    inner->outer = outer;
    outer->clock = inner->clock;
    outer->clock_opaque = inner->clock_opaque;
}

void net_wake_source(DevemuNet *net)
{
    net = net_source(net);
    net_wake(net);
    if (net->class->woken) {
        net->class->woken(net);
    }
}

bool devemu_net_flush(DevemuNet *net, GError **error)
{
    bool ok = true;

    g_return_val_if_fail(net != NULL, false);
    for (; net; net = net->inner) {
        if (net->class->flush && !net->class->flush(net, ok ? error : NULL)) {
            ok = false;
        }
    }
    return ok;
}

void devemu_net_stats(const DevemuNet *net, DevemuNetStats *ret_stats)
{
    const DevemuNet *source = net;

    g_return_if_fail(net != NULL && ret_stats != NULL);
    while (source->inner) {
        source = source->inner;
    }
    *ret_stats = net->stats;
    ret_stats->dropped_in = source->stats.dropped_in;
    ret_stats->waiting_frames = source->queued_frames;
    ret_stats->waiting_bytes = source->queued_bytes - source->queued_frames * sizeof(NetFrame);
}

uint64_t devemu_net_position(const DevemuNet *net)
{
    g_return_val_if_fail(net != NULL, 0);
    for (; net; net = net->inner) {
        if (net->class->position) {
            return net->class->position(net);
        }
    }
    return 0;
}

/* --- making and freeing ------------------------------------------------------------ */

void *net_new(size_t size, const NetClass *class)
{
    DevemuNet *net = g_malloc0(size);

    net->class = class;
    net->due_ns = DEVEMU_NEVER;
    net->bound_bytes = NET_QUEUE_BYTES;
    return net;
}

void net_make_source(DevemuNet *net, GMainContext *context, uint64_t bound_bytes)
{
    net->bound_bytes = bound_bytes;
    net->loop = loop_new(context, &loop_ops, net, net->class->name);
}

void devemu_net_free(DevemuNet *net)
{
    DevemuNet *inner;

    for (; net; net = inner) {
        inner = net->inner;
        loop_free(net->loop);
        if (net->class->finish) {
            net->class->finish(net);
        }
        while (net->head) {
            pop(net);
        }
        g_free(net->gather);
        g_free(net);
    }
}

void *net_missing(const char *what, const char *library, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND,
                "%s: this build of libdevemu has no %s; build it with that library", what, library);
    return NULL;
}
