/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-coal.c: when the driver is notified of used buffers (virtio 1.4, 5.1.6.5.10).
 *
 * Buffers are shown when they are used; it is the notification that waits, so a driver that polls
 * loses nothing.
 */
#include "net.h"

#define NS_PER_US UINT64_C(1000)

static void notify(struct virtio_net *s, unsigned queue)
{
    *net_stat(s, queue, NET_STAT_INTERRUPTS) += virtio_flush(&s->v, queue);
    s->coal_count[queue] = 0;
    s->flush_pending &= ~NET_BIT(queue);
}

static uint64_t due(const struct virtio_net *s, unsigned queue)
{
    return s->coal_begin[queue] + s->coal_usecs[queue] * NS_PER_US;
}

/* 5.1.6.5.10.1: both are to be there, else each packet is notified of. */
static bool is_on(const struct virtio_net *s, unsigned queue)
{
    return s->coal_packets[queue] != 0 && s->coal_usecs[queue] != 0;
}

static void show(struct virtio_net *s, unsigned queue)
{
    devemu_virtqueue_show(devemu_virtio_queue(s->v.dev, queue));
}

void net_coal_used(struct virtio_net *s, unsigned queue, unsigned packets, bool more)
{
    if (!is_on(s, queue)) {
        s->flush_pending |= NET_BIT(queue);
        if (more) {
            show(s, queue);
            s->flush_ns = devemu_now(s->v.dev);
        } else {
            net_coal_flush(s, 0);
        }
        return;
    }
    if (s->coal_count[queue] == 0) {
        s->coal_begin[queue] = devemu_now(s->v.dev);
        if (due(s, queue) < s->coal_ns) {
            s->coal_ns = due(s, queue);
        }
    }
    s->coal_count[queue] += packets;
    if (s->coal_count[queue] >= s->coal_packets[queue]) {
        notify(s, queue);
    } else {
        show(s, queue);
    }
}

void net_coal_expired(void *state, uint64_t due_ns)
{
    struct virtio_net *s = state;

    for (unsigned i = 0; i < s->v.queue_count; i++) {
        if (s->coal_count[i] == 0) {
            continue;
        }
        if (due(s, i) <= due_ns) {
            notify(s, i);
        } else if (due(s, i) < s->coal_ns) {
            s->coal_ns = due(s, i);
        }
    }
}

void net_coal_flush(void *state, uint64_t due_ns)
{
    struct virtio_net *s = state;

    (void)due_ns;
    s->flush_ns = DEVEMU_NEVER;
    for (uint64_t pending = s->flush_pending; pending != 0; pending &= pending - 1) {
        notify(s, (unsigned)__builtin_ctzll(pending));
    }
}

/* 5.1.6.5.10.4: the condition may be met now. */
void net_coal_set(struct virtio_net *s, unsigned queue, uint32_t packets, uint32_t usecs)
{
    s->coal_packets[queue] = packets;
    s->coal_usecs[queue] = usecs;
    if (s->coal_count[queue] == 0) {
        return;
    }
    if (!is_on(s, queue) || s->coal_count[queue] >= packets) {
        notify(s, queue);
    } else if (due(s, queue) < s->coal_ns) {
        s->coal_ns = due(s, queue);
    }
}

/* 5.1.6.5.10.6: as last set for all queues of its direction. */
void net_coal_queue_reset(struct virtio_net *s, unsigned queue)
{
    unsigned set = net_is_tx(queue) ? 2 : 0;

    s->coal_count[queue] = 0;
    s->coal_begin[queue] = 0;
    s->coal_packets[queue] = s->coal_set[set];
    s->coal_usecs[queue] = s->coal_set[set + 1];
    s->flush_pending &= ~NET_BIT(queue);
}

void net_coal_reset(struct virtio_net *s)
{
    memset(s->coal_set, 0, sizeof(s->coal_set));
    for (unsigned i = 0; i < NET_QUEUES_MAX; i++) {
        net_coal_queue_reset(s, i);
    }
    s->coal_ns = s->flush_ns = DEVEMU_NEVER;
}

void net_coal_loaded(struct virtio_net *s)
{
    for (unsigned i = 0; i < s->v.queue_count; i++) {
        if (s->v.enabled[i] && (s->coal_count[i] != 0 || (s->flush_pending >> i & 1))) {
            devemu_virtqueue_owe(devemu_virtio_queue(s->v.dev, i));
        }
    }
}
