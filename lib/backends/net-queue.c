/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-queue.c: frames on their way up to the device.
 */
#include "net.h"

#include "../net-offload.h"

#include <string.h>

/* A device that never says "ready" is asked again after this. */
#define RETRY_NS 10000000

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

static NetFrame *frame_new(const DevemuNetOffload *offload, const uint8_t *data, size_t len)
{
    NetFrame *frame = g_malloc(sizeof(NetFrame) + len);

    frame->next = NULL;
    frame->len = len;
    frame->offload = offload ? *offload : (DevemuNetOffload){0};
    memcpy(frame->data, data, len);
    return frame;
}

static void count_in(DevemuNet *net, const NetFrame *frame)
{
    net->queued_frames++;
    net->queued_bytes += sizeof(NetFrame) + frame->len;
}

void net_push(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len)
{
    NetFrame *frame = frame_new(offload, data, len);

    if (net->tail) {
        net->tail->next = frame;
    } else {
        net->head = frame;
        net->due_ns = DEVEMU_NEVER; /* what was said while there was nothing to offer */
        net_wake(net);
    }
    net->tail = frame;
    count_in(net, frame);
}

void net_pop(DevemuNet *net)
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

uint32_t net_accepts(const DevemuNet *net)
{
    uint32_t accepts = DEVEMU_OFFLOAD_ALL;

    while (net->outer) {
        net = net->outer;
        if (net->class->plain) {
            return 0;
        }
    }
    if (net->join == NULL) {
        accepts = net->dev ? devemu_device_offloads(net->dev) : 0;
    }
    return accepts;
}

bool net_is_used(const DevemuNet *net)
{
    if (net->outer || net->join) {
        return true; /* the first queue; the others have nobody */
    }
    if (net->dev == NULL) {
        return net->queue == 0;
    }
    if (net->is_queue) {
        return devemu_device_uses_queue(net->dev, net->queue);
    }
    for (unsigned i = 0; i < devemu_device_net_queues(net->dev); i++) {
        if (devemu_device_uses_queue(net->dev, i)) {
            return true;
        }
    }
    return false;
}

/* Where pieces of the head of the queue go. */
typedef struct Pieces {
    DevemuNet *net;
    NetFrame *last; /* NULL: none so far */
    NetFrame *rest; /* what follows the head */
} Pieces;

static void insert_piece(void *opaque, const uint8_t *data, size_t len, bool more)
{
    Pieces *pieces = opaque;
    NetFrame *frame = frame_new(NULL, data, len);

    (void)more;
    if (pieces->last) {
        pieces->last->next = frame;
    } else {
        pieces->net->head = frame;
    }
    frame->next = pieces->rest;
    pieces->last = frame;
    count_in(pieces->net, frame);
}

/* The head, in place of which its pieces are put where what is above does not take it as it is. A
 * head that cannot be cut is lost, and none comes in its place. */
static void fit_head(DevemuNet *net)
{
    NetFrame *head = net->head;
    uint32_t needs = devemu_offload_needs(&head->offload);
    Pieces pieces = {.net = net, .rest = head->next};

    if (!(needs & ~net_accepts(net)) && devemu_offload_fits(&head->offload, head->len)) {
        return;
    }
    if (!devemu_offload_split(&head->offload, head->data, head->len, insert_piece, &pieces)) {
        net->stats.dropped_in++;
        net_pop(net);
        return;
    }
    if (net->tail == head) {
        net->tail = pieces.last;
    }
    net->queued_frames--;
    net->queued_bytes -= sizeof(NetFrame) + head->len;
    g_free(head);
}

size_t net_pass_up(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                   bool more)
{
    size_t taken = 0;

    if (net->join) {
        taken = net->join(net->join_opaque, net, offload, data, len);
    } else if (net->outer) {
        taken = net->outer->class->receive(net->outer, offload, data, len, more);
    } else if (net->dev && devemu_device_ready(net->dev) > 0) {
        taken = net->is_queue
                    ? devemu_device_receive_queue(net->dev, net->queue, offload, data, len, more)
                    : devemu_device_receive_packet(net->dev, offload, data, len, more);
    }
    if (taken > 0) {
        net->stats.frames_in++;
        net->stats.bytes_in += len;
    }
    return taken;
}

void net_deliver(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                 bool more)
{
    uint32_t needs = devemu_offload_needs(offload);

    if (net->turning && net->head == NULL && net->clock == NULL &&
        (needs == 0 || (!(needs & ~net_accepts(net)) && devemu_offload_fits(offload, len))) &&
        net_pass_up(net, needs ? offload : NULL, data, len, more) > 0) {
        return;
    }
    net_push(net, needs ? offload : NULL, data, len);
}

static bool has_top(const DevemuNet *net)
{
    while (net->outer) {
        net = net->outer;
    }
    return net->dev != NULL || net->join != NULL;
}

static const DevemuNetOffload *offload_of(const NetFrame *frame)
{
    return devemu_offload_needs(&frame->offload) ? &frame->offload : NULL;
}

/* Offer what was queued before this call: what is answered meanwhile is for later. */
static void offer_queue(DevemuNet *net)
{
    if (!has_top(net)) {
        return;
    }
    for (uint64_t left = net->queued_frames; left > 0; left--) {
        uint64_t before = net->queued_frames;

        fit_head(net);
        if (net->queued_frames < before) {
            continue;
        }
        left += net->queued_frames - before;
        if (net_pass_up(net, offload_of(net->head), net->head->data, net->head->len, left > 1) ==
            0) {
            net->due_ns = MIN(net->due_ns, net_now(net) + RETRY_NS);
            return;
        }
        net_pop(net);
    }
    if (net->head && net->due_ns == DEVEMU_NEVER) {
        net_wake(net);
    }
}

void net_offer(DevemuNet *net)
{
    bool was_full = net_full(net);

    net->due_ns = DEVEMU_NEVER;
    offer_queue(net);
    if (was_full && !net_full(net) && net->class->drained) {
        net->class->drained(net);
    }
}
