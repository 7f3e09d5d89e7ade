/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c: what all networks have in common: the queue, the clock, the way up and the way down.
 */
#include "net.h"

#include "../net-offload.h"

#include <string.h>

/* A device that sends without receiving loses what it sends at this many times the bound. */
#define HARD_FACTOR 4

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
    uint64_t when_ns = DEVEMU_NEVER;

    g_return_val_if_fail(net != NULL, DEVEMU_NEVER);
    for (net = net_source(net); net; net = net->next_queue) {
        when_ns = MIN(when_ns, own_deadline(net));
    }
    return when_ns;
}

static void run(DevemuNet *net)
{
    uint64_t now = net_now(net);

    if (net->class->expire && !net_full(net)) {
        net->class->expire(net, now);
    }
    if (net->head && net->due_ns <= now) {
        net_offer(net);
    }
}

void devemu_net_run(DevemuNet *net)
{
    g_return_if_fail(net != NULL);
    for (net = net_source(net); net; net = net->next_queue) {
        run(net);
    }
}

static void fetch(DevemuNet *net)
{
    if (net->class->eager && !net_full(net)) {
        net->class->fetch(net);
    }
}

void devemu_net_fetch(DevemuNet *net)
{
    g_return_if_fail(net != NULL);
    for (net = net_source(net); net; net = net->next_queue) {
        fetch(net);
    }
}

void devemu_net_set_clock(DevemuNet *net, DevemuNetClock *clock, void *opaque)
{
    g_return_if_fail(net != NULL);
    for (; net; net = net->inner ? net->inner : net->next_queue) {
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

    net->turning = true;
    if (net->class->fetch && !net_full(net)) {
        net->class->fetch(net);
    }
    net->turning = false;
    if (net->clock == NULL) {
        run(net);
    }
}

static const LoopOps loop_ops = {
    .prepare = loop_prepare,
    .due = loop_due,
    .dispatch = loop_dispatch,
};

/* --- the device's side ------------------------------------------------------------- */

static const uint8_t *gather(DevemuNet *net, const DevemuSlice *slices, size_t count)
{
    size_t len = 0;

    if (count == 1) {
        return slices[0].data;
    }
    if (net->gather == NULL) {
        net->gather = g_malloc(NET_FRAME_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (slices[i].len > 0) {
            memcpy(net->gather + len, slices[i].data, slices[i].len);
            len += slices[i].len;
        }
    }
    return net->gather;
}

uint32_t net_takes_all(DevemuNet *net)
{
    (void)net;
    return DEVEMU_OFFLOAD_ALL;
}

static uint32_t offloads(DevemuNet *net)
{
    return net->class->offloads ? net->class->offloads(net) : 0;
}

/* A device that sends and does not receive, with what is answered to it. */
static bool overrun(const DevemuNet *net)
{
    return net->queued_bytes / HARD_FACTOR >= net->bound_bytes;
}

typedef struct Cut {
    DevemuNet *net;
    bool lost;
} Cut;

static void send_piece(void *opaque, const uint8_t *data, size_t len, bool more)
{
    Cut *cut = opaque;

    (void)more;
    cut->lost |= !cut->net->class->send(cut->net, NULL, data, len);
}

/* Counts a frame of which a piece was lost as lost. */
static bool count_out(DevemuNet *net, size_t len, bool sent)
{
    if (sent) {
        net->stats.frames_out++;
        net->stats.bytes_out += len;
    } else {
        net->stats.dropped_out++;
    }
    return sent;
}

bool net_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len)
{
    uint32_t needs = devemu_offload_needs(offload);
    bool sent = false;

    if (overrun(net)) {
        sent = false;
    } else if (!(needs & ~offloads(net))) {
        sent = net->class->send(net, needs ? offload : NULL, data, len);
    } else {
        Cut cut = {.net = net};

        sent = devemu_offload_split(offload, data, len, send_piece, &cut) && !cut.lost;
    }
    return count_out(net, len, sent);
}

static size_t total(const DevemuSlice *slices, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        if (slices[i].len > NET_FRAME_MAX - len) {
            return 0;
        }
        len += slices[i].len;
    }
    return len;
}

/* What the network does not take is cut here. */
static uint32_t ops_offloads(void *opaque)
{
    return net_takes_all(opaque);
}

static void ops_send_offload(void *opaque, const DevemuNetOffload *offload,
                             const DevemuSlice *slices, size_t count, bool more)
{
    DevemuNet *net = opaque;
    uint32_t needs = devemu_offload_needs(offload);
    size_t len = total(slices, count);

    (void)more;
    if (len == 0) {
        net->stats.dropped_out++;
    } else if (net->class->send_slices && count <= NET_SLICES && !(needs & ~offloads(net))) {
        count_out(net, len,
                  !overrun(net) &&
                      net->class->send_slices(net, needs ? offload : NULL, slices, count));
    } else {
        net_send(net, offload, gather(net, slices, count), len);
    }
}

static void ops_send(void *opaque, const DevemuSlice *slices, size_t count, bool more)
{
    ops_send_offload(opaque, NULL, slices, count, more);
}

static void ops_ready(void *opaque)
{
    net_wake_source(opaque);
}

static unsigned ops_poll(void *opaque)
{
    DevemuNet *net = opaque;
    uint64_t before = net->stats.frames_in;

    fetch(net_source(net));
    run(net_source(net));
    return (unsigned)(net->stats.frames_in - before);
}

void devemu_net_attach(DevemuNet *net, DevemuDevice *dev)
{
    static const DevemuNetOps ops = {.size = sizeof(DevemuNetOps),
                                     .send = ops_send,
                                     .ready = ops_ready,
                                     .offloads = ops_offloads,
                                     .send_offload = ops_send_offload,
                                     .poll = ops_poll};

    g_return_if_fail(net != NULL);
    g_return_if_fail(net->outer == NULL && net->join == NULL);
    for (; net; net = net->next_queue) {
        if (net->dev) {
            devemu_device_attach_net_queue(net->dev, net->queue, NULL, NULL);
        }
        net->dev = dev && devemu_device_attach_net_queue(dev, net->queue, &ops, net) ? dev : NULL;
        if (net->dev) {
            net_wake_source(net);
        }
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

/* What a queue has, beside what passed through it. */
static void add_waiting(const DevemuNet *queue, DevemuNetStats *stats)
{
    stats->dropped_in += queue->stats.dropped_in;
    if (queue->class->lost) {
        DevemuNet *asked = (DevemuNet *)(uintptr_t)queue; /* its own count moves, nothing else */

        stats->dropped_in += queue->class->lost(asked);
    }
    stats->waiting_frames += queue->queued_frames;
    stats->waiting_bytes += queue->queued_bytes - queue->queued_frames * sizeof(NetFrame);
}

static void add_passed(const DevemuNet *net, DevemuNetStats *stats)
{
    stats->frames_out += net->stats.frames_out;
    stats->bytes_out += net->stats.bytes_out;
    stats->dropped_out += net->stats.dropped_out;
    stats->frames_in += net->stats.frames_in;
    stats->bytes_in += net->stats.bytes_in;
}

void devemu_net_stats(const DevemuNet *net, DevemuNetStats *ret_stats)
{
    const DevemuNet *source = net;

    g_return_if_fail(net != NULL && ret_stats != NULL);
    while (source->inner) {
        source = source->inner;
    }
    *ret_stats = (DevemuNetStats){0};
    for (; net; net = net->next_queue) {
        add_passed(net, ret_stats);
    }
    for (; source; source = source->next_queue) {
        add_waiting(source, ret_stats);
    }
}

bool devemu_net_queue_stats(const DevemuNet *net, unsigned queue, DevemuNetStats *ret_stats)
{
    g_return_val_if_fail(net != NULL && ret_stats != NULL, false);
    while (net && net->queue != queue) {
        net = net->next_queue;
    }
    *ret_stats = (DevemuNetStats){0};
    if (net) {
        add_passed(net, ret_stats);
        while (net->inner) {
            net = net->inner;
        }
        add_waiting(net, ret_stats);
    }
    return net != NULL;
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
    DevemuNet *next;

    for (; net; net = next) {
        next = net->inner ? net->inner : net->next_queue;
        loop_free(net->loop);
        if (net->class->finish) {
            net->class->finish(net);
        }
        while (net->head) {
            net_pop(net);
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
