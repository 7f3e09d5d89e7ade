/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-steer.c: the receive queue that a frame is for (virtio 1.4, 5.1.6.5.5 to 5.1.6.5.7).
 */
#include "net.h"

/* The same for both directions of a flow. */
static uint8_t flow_number(const struct net_flow *flow)
{
    size_t half = flow->is_ipv6 ? 16 : 4;
    uint32_t sum = 0;

    for (size_t i = 0; i < half; i += 4) {
        sum ^= devemu_le32(flow->addresses + i) ^ devemu_le32(flow->addresses + half + i);
    }
    if (flow->is_tcp || flow->is_udp) {
        sum ^= devemu_le16(flow->ports) ^ devemu_le16(flow->ports + 2);
    }
    sum *= 0x9e3779b1; /* 2^32 by the golden ratio: spreads neighbours */
    return (uint8_t)(sum >> 24);
}

/* 5.1.6.5.6: a flow that was sent on transmitq X comes in on receiveq X. */
void net_steer_learn(struct virtio_net *s, const uint8_t *frame, size_t len, unsigned pair)
{
    struct net_flow flow;

    if (!s->rss && net_flow_of(&flow, frame, len)) {
        s->flows[flow_number(&flow)] = (uint8_t)(pair + 1);
    }
}

static bool is_ready(struct virtio_net *s, unsigned pair)
{
    return virtio_ready(&s->v, 2 * pair) != NULL;
}

/* Without a control queue it is the transport that switches queues on (vhost-user). */
static unsigned pairs_in_use(const struct virtio_net *s)
{
    return virtio_has(&s->v, NET_F_CTRL_VQ) ? s->pairs : net_pairs(s);
}

unsigned net_queues(const void *state)
{
    return ((const struct virtio_net *)state)->pairs_max;
}

/* With RSS it is the table that says which; the backend's queues may be any. */
bool net_uses_queue(const void *state, unsigned pair)
{
    const struct virtio_net *s = state;

    return virtio_running(&s->v) && pair < net_pairs(s) && (s->rss || pair < pairs_in_use(s)) &&
           (s->v.enabled[2 * pair] || s->v.enabled[2 * pair + 1]);
}

int net_steer_queue(struct virtio_net *s, unsigned pair, const struct net_flow *flow, uint32_t type,
                    uint32_t hash)
{
    return !s->rss && pair < pairs_in_use(s) && is_ready(s, pair) ? (int)pair
                                                                  : net_steer(s, flow, type, hash);
}

int net_steer(struct virtio_net *s, const struct net_flow *flow, uint32_t type, uint32_t hash)
{
    unsigned pairs = pairs_in_use(s), number, first;

    if (s->rss) {
        /* 5.1.6.5.7.2.1; if that queue is being reset, the frame is dropped. */
        unsigned pair = type != 0 ? s->rss_table[hash & s->rss_mask] : s->rss_unclassified;

        return is_ready(s, pair) ? (int)pair : -1;
    }
    number = flow_number(flow);
    first = s->flows[number] != 0 ? s->flows[number] - 1U : number;
    /* 5.1.6.5.6.2: another one if that is being reset, and none if all are. */
    for (unsigned i = 0; i < pairs; i++) {
        unsigned pair = (first + i) % pairs;

        if (is_ready(s, pair)) {
            return (int)pair;
        }
    }
    return -1;
}
