/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-stats.c: device statistics (virtio 1.4, 5.1.6.5.11).
 *
 * What this device does not do is counted as nothing: it puts no frames together, and does not know
 * if a backend cuts them.
 */
#include "net.h"

enum {
    ENTRY = 16, /* of a request */
    REPLY = 8,  /* head of a reply */
    VALUES_MAX = 6,
    NOTHING = 0xff,
    QUEUE_CONTROL = 2, /* as which queues a type is of; 0 receive, 1 transmit */
};

static const struct {
    uint8_t type;
    uint8_t queue;
    uint8_t count;
    uint64_t features; /* one of them is to be negotiated; 0: none */
    uint8_t values[VALUES_MAX];
} types[] = {
    {32, QUEUE_CONTROL, 2, 0, {NET_STAT_NOTIFICATIONS, NET_STAT_PACKETS}},
    {0,
     0,
     6,
     0,
     {NET_STAT_NOTIFICATIONS, NET_STAT_PACKETS, NET_STAT_BYTES, NET_STAT_INTERRUPTS, NET_STAT_DROPS,
      NET_STAT_DROPS_OTHER}},
    {1,
     0,
     4,
     NET_BIT(NET_F_GUEST_CSUM),
     {NET_STAT_CSUM_VALID, NET_STAT_CSUM_NEEDS, NET_STAT_CSUM_NONE, NOTHING}},
    {2,
     0,
     4,
     NET_BIT(NET_F_GUEST_TSO4) | NET_BIT(NET_F_GUEST_TSO6),
     {NET_STAT_GSO_PACKETS, NET_STAT_GSO_BYTES, NOTHING, NOTHING}},
    {16,
     1,
     6,
     0,
     {NET_STAT_NOTIFICATIONS, NET_STAT_PACKETS, NET_STAT_BYTES, NET_STAT_INTERRUPTS, NET_STAT_DROPS,
      NET_STAT_DROPS_OTHER}},
    {17, 1, 2, NET_BIT(NET_F_CSUM), {NET_STAT_CSUM_VALID, NET_STAT_CSUM_NEEDS}},
    {18,
     1,
     6,
     NET_BIT(NET_F_HOST_TSO4) | NET_BIT(NET_F_HOST_TSO6) | NET_BIT(NET_F_HOST_USO),
     {NET_STAT_GSO_PACKETS, NET_STAT_GSO_BYTES, NOTHING, NOTHING, NET_STAT_GSO_PACKETS,
      NET_STAT_GSO_BYTES}},
};

bool net_stats_query(struct virtio_net *s, struct net_command *c)
{
    uint64_t supported = 0;
    uint8_t data[8];

    (void)s;
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(types); i++) {
        supported |= NET_BIT(types[i].type);
    }
    devemu_put_le64(data, supported);
    c->written =
        (uint32_t)devemu_virtqueue_write(c->q, c->chain, c->ack_at + 1, data, sizeof(data));
    return c->written == sizeof(data);
}

static bool is_of_queue(const struct virtio_net *s, unsigned i, unsigned queue)
{
    if (queue == net_control_queue(s)) {
        return types[i].queue == QUEUE_CONTROL;
    }
    return queue < 2 * net_pairs(s) && types[i].queue == (net_is_tx(queue) ? 1 : 0);
}

/* 5.1.6.5.11.11: the queue is there, and the types are known, of this queue, and negotiated. */
static bool entry_good(const struct virtio_net *s, unsigned queue, uint64_t bitmap)
{
    uint64_t allowed = 0;

    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(types); i++) {
        if (is_of_queue(s, i, queue) &&
            (types[i].features == 0 || (s->v.features & types[i].features))) {
            allowed |= NET_BIT(types[i].type);
        }
    }
    return allowed != 0 && (bitmap & ~allowed) == 0;
}

static void put_reply(struct virtio_net *s, struct net_command *c, unsigned queue, unsigned i)
{
    uint8_t reply[REPLY + 8 * VALUES_MAX] = {types[i].type};
    size_t len = REPLY + 8 * (size_t)types[i].count;

    devemu_put_le16(reply + 2, (uint16_t)queue);
    devemu_put_le16(reply + 6, (uint16_t)len);
    for (unsigned n = 0; n < types[i].count; n++) {
        uint8_t what = types[i].values[n];

        devemu_put_le64(reply + REPLY + 8 * (size_t)n,
                        what == NOTHING ? 0 : *net_stat(s, queue, what));
    }
    c->written +=
        (uint32_t)devemu_virtqueue_write(c->q, c->chain, c->ack_at + 1 + c->written, reply, len);
}

/* No more entries than there are queues are of use. */
static bool read_entry(const struct net_command *c, uint64_t i, unsigned *ret_queue,
                       uint64_t *ret_bitmap)
{
    uint8_t entry[ENTRY];

    if (!net_command_read(c, i * ENTRY, entry, sizeof(entry))) {
        return false;
    }
    *ret_queue = devemu_le16(entry);
    *ret_bitmap = devemu_le64(entry + 8);
    return true;
}

/* A request with one mistake is refused whole, so it is read twice; what a driver changes between
 * is looked at again. */
bool net_stats_get(struct virtio_net *s, struct net_command *c)
{
    uint64_t count = c->len / ENTRY, bitmap;
    unsigned queue;

    if (count == 0 || c->len % ENTRY != 0 || count > NET_QUEUES_MAX) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!read_entry(c, i, &queue, &bitmap) || !entry_good(s, queue, bitmap)) {
            return false;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!read_entry(c, i, &queue, &bitmap) || !entry_good(s, queue, bitmap)) {
            return false;
        }
        for (unsigned t = 0; t < DEVEMU_N_ELEMENTS(types); t++) {
            if (bitmap >> types[t].type & 1) {
                put_reply(s, c, queue, t);
            }
        }
    }
    return true;
}
