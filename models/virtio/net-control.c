/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-control.c: the commands of the control queue (virtio 1.4, 5.1.6.5).
 */
#include "net.h"

enum {
    OK = 0,
    ERR = 1,
    COMMAND_AT = 2, /* class, command, then what they say */
    PAIRS_MAX = 0x8000,
    RESERVED_QUEUE_BIT = 0x8000,
    VLANS = 4096,
};

bool net_command_read(const struct net_command *c, uint64_t at, void *buf, size_t len)
{
    return at <= c->len && len <= c->len - at &&
           devemu_virtqueue_read(c->q, c->chain, COMMAND_AT + at, buf, len) == len;
}

/* --- receive modes and filters: 5.1.6.5.1 to 5.1.6.5.3 ------------------------------ */

static bool set_mode(const struct net_command *c, bool *ret_mode)
{
    uint8_t value;

    if (!net_command_read(c, 0, &value, 1) || value > 1) {
        return false;
    }
    *ret_mode = value;
    return true;
}

static bool rx_promisc(struct virtio_net *s, struct net_command *c)
{
    return set_mode(c, &s->promisc);
}

static bool rx_allmulti(struct virtio_net *s, struct net_command *c)
{
    return set_mode(c, &s->allmulti);
}

static bool rx_alluni(struct virtio_net *s, struct net_command *c)
{
    return set_mode(c, &s->alluni);
}

static bool rx_nomulti(struct virtio_net *s, struct net_command *c)
{
    return set_mode(c, &s->nomulti);
}

static bool rx_nouni(struct virtio_net *s, struct net_command *c)
{
    return set_mode(c, &s->nouni);
}

static bool rx_nobcast(struct virtio_net *s, struct net_command *c)
{
    return set_mode(c, &s->nobcast);
}

/* One of the two tables, at *at: how many addresses it has, and if they are too many to be kept. */
static bool read_table(const struct net_command *c, uint64_t *at, uint8_t *to, unsigned room,
                       uint32_t *ret_count, bool *ret_too_many)
{
    uint8_t head[4];
    uint64_t bytes;

    if (!net_command_read(c, *at, head, sizeof(head))) {
        return false;
    }
    *ret_count = devemu_le32(head);
    *ret_too_many = *ret_count > room;
    bytes = (uint64_t)*ret_count * NET_MAC;
    if (bytes > c->len - *at - sizeof(head)) {
        return false;
    }
    if (*ret_too_many) {
        *ret_count = 0;
    } else if (!net_command_read(c, *at + sizeof(head), to, (size_t)bytes)) {
        return false;
    }
    *at += sizeof(head) + bytes;
    return true;
}

/* More than there is room for: all addresses of that kind are let in. */
static bool mac_table_set(struct virtio_net *s, struct net_command *c)
{
    uint8_t macs[NET_MACS * NET_MAC] = {0};
    uint32_t unicasts, multicasts;
    bool too_many_uni, too_many_multi;
    uint64_t at = 0;

    if (!read_table(c, &at, macs, NET_MACS, &unicasts, &too_many_uni) ||
        !read_table(c, &at, macs + (size_t)unicasts * NET_MAC, NET_MACS - unicasts, &multicasts,
                    &too_many_multi)) {
        return false;
    }
    memcpy(s->macs, macs, sizeof(macs));
    s->unicasts = (uint8_t)unicasts;
    s->multicasts = (uint8_t)multicasts;
    s->too_many_uni = too_many_uni;
    s->too_many_multi = too_many_multi;
    return true;
}

static bool mac_addr_set(struct virtio_net *s, struct net_command *c)
{
    uint8_t mac[NET_MAC];

    if (c->len != NET_MAC || !net_command_read(c, 0, mac, NET_MAC)) {
        return false;
    }
    memcpy(s->mac, mac, NET_MAC);
    net_mac_changed(s);
    return true;
}

static bool vlan_set(struct virtio_net *s, const struct net_command *c, bool on)
{
    uint8_t data[2];
    unsigned id;

    if (!net_command_read(c, 0, data, sizeof(data)) || (id = devemu_le16(data)) >= VLANS) {
        return false;
    }
    if (on) {
        s->vlans[id / 32] |= UINT32_C(1) << (id % 32);
    } else {
        s->vlans[id / 32] &= ~(UINT32_C(1) << (id % 32));
    }
    return true;
}

static bool vlan_add(struct virtio_net *s, struct net_command *c)
{
    return vlan_set(s, c, true);
}

static bool vlan_del(struct virtio_net *s, struct net_command *c)
{
    return vlan_set(s, c, false);
}

/* 5.1.6.5.4.1: the bit goes before the buffer is used. */
static bool announce_ack(struct virtio_net *s, struct net_command *c)
{
    (void)c;
    s->announce = false;
    return true;
}

/* --- multiqueue, hash: 5.1.6.5.5 to 5.1.6.5.7 --------------------------------------- */

static bool pairs_set(struct virtio_net *s, struct net_command *c)
{
    uint8_t data[2];
    unsigned pairs;

    if (!net_command_read(c, 0, data, sizeof(data))) {
        return false;
    }
    pairs = devemu_le16(data);
    if (pairs == 0 || pairs > s->pairs_max) {
        return false;
    }
    s->pairs = (uint16_t)pairs;
    s->rss = false;
    return true;
}

/* hash_key_length and the key. */
static bool read_key(const struct net_command *c, uint64_t at, uint8_t *ret_key)
{
    uint8_t len;

    memset(ret_key, 0, NET_RSS_KEY);
    return net_command_read(c, at, &len, 1) && len <= NET_RSS_KEY &&
           net_command_read(c, at + 1, ret_key, len);
}

static bool is_queue(const struct virtio_net *s, unsigned id)
{
    return !(id & RESERVED_QUEUE_BIT) && id < s->pairs_max;
}

/* The entries of the indirection table; false: one of them is no receive queue. */
static bool read_entries(const struct virtio_net *s, const struct net_command *c, unsigned count,
                         uint16_t *ret_table)
{
    uint8_t data[2 * NET_RSS_TABLE];

    if (!net_command_read(c, 8, data, 2 * (size_t)count)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        ret_table[i] = devemu_le16(data + 2 * (size_t)i);
        if (!is_queue(s, ret_table[i])) {
            return false;
        }
    }
    return true;
}

static bool rss_config(struct virtio_net *s, struct net_command *c)
{
    uint8_t head[8], tail[2], key[NET_RSS_KEY];
    uint16_t table[NET_RSS_TABLE] = {0};
    unsigned count, unclassified, senders;
    uint32_t types;

    if (!net_command_read(c, 0, head, sizeof(head))) {
        return false;
    }
    types = devemu_le32(head);
    count = devemu_le16(head + 4) + 1U;
    unclassified = devemu_le16(head + 6);
    if ((types & ~(uint32_t)NET_HASH_ALL) || count > NET_RSS_TABLE || (count & (count - 1)) ||
        !is_queue(s, unclassified) || !read_entries(s, c, count, table) ||
        !net_command_read(c, 8 + 2 * (uint64_t)count, tail, sizeof(tail)) ||
        !read_key(c, 10 + 2 * (uint64_t)count, key)) {
        return false;
    }
    senders = devemu_le16(tail);
    if (senders == 0 || senders > s->pairs_max) {
        return false;
    }
    s->rss = true;
    s->hash_types = types;
    s->rss_mask = (uint16_t)(count - 1);
    s->rss_unclassified = (uint16_t)unclassified;
    memcpy(s->rss_table, table, sizeof(table));
    memcpy(s->hash_key, key, sizeof(key));
    net_hash_key(s);
    return true;
}

static bool hash_config(struct virtio_net *s, struct net_command *c)
{
    uint8_t head[12], key[NET_RSS_KEY];

    if (!net_command_read(c, 0, head, sizeof(head)) ||
        (devemu_le32(head) & ~(uint32_t)NET_HASH_ALL) || !read_key(c, sizeof(head), key)) {
        return false;
    }
    s->hash_types = devemu_le32(head);
    memcpy(s->hash_key, key, sizeof(key));
    net_hash_key(s);
    return true;
}

/* --- offloads: 5.1.6.5.9 ------------------------------------------------------------ */

static bool guest_offloads_set(struct virtio_net *s, struct net_command *c)
{
    uint8_t data[8];
    uint64_t offloads;

    if (!net_command_read(c, 0, data, sizeof(data))) {
        return false;
    }
    offloads = devemu_le64(data);
    if (offloads & ~(NET_GUEST_OFFLOADS & s->v.features)) {
        return false;
    }
    s->guest_offloads = offloads;
    return true;
}

/* --- notification coalescing: 5.1.6.5.10 -------------------------------------------- */

static bool coal_all(struct virtio_net *s, const struct net_command *c, bool tx)
{
    uint32_t *set = &s->coal_set[tx ? 2 : 0];
    uint8_t data[8];

    if (!net_command_read(c, 0, data, sizeof(data))) {
        return false;
    }
    set[0] = devemu_le32(data);
    set[1] = devemu_le32(data + 4);
    for (unsigned i = tx; i < 2 * net_pairs(s); i += 2) {
        net_coal_set(s, i, set[0], set[1]);
    }
    return true;
}

static bool coal_tx_set(struct virtio_net *s, struct net_command *c)
{
    return coal_all(s, c, true);
}

static bool coal_rx_set(struct virtio_net *s, struct net_command *c)
{
    return coal_all(s, c, false);
}

/* The queue that is meant; false unless it is an enabled receive or transmit queue. What is
 * reserved is ignored. */
static bool coal_queue(const struct virtio_net *s, const struct net_command *c, unsigned *ret_queue)
{
    uint8_t data[4];

    if (!net_command_read(c, 0, data, sizeof(data))) {
        return false;
    }
    *ret_queue = devemu_le16(data);
    return *ret_queue < 2 * net_pairs(s) && s->v.enabled[*ret_queue];
}

static bool coal_vq_set(struct virtio_net *s, struct net_command *c)
{
    uint8_t data[8];
    unsigned queue;

    if (!coal_queue(s, c, &queue) || !net_command_read(c, 4, data, sizeof(data))) {
        return false;
    }
    net_coal_set(s, queue, devemu_le32(data), devemu_le32(data + 4));
    return true;
}

/* struct virtio_net_ctrl_coal is what the command says, and written by the device, so it stands
 * before the ack. */
static bool coal_vq_get(struct virtio_net *s, struct net_command *c)
{
    uint8_t data[8];
    unsigned queue;

    if (!coal_queue(s, c, &queue)) {
        return false;
    }
    devemu_put_le32(data, s->coal_packets[queue]);
    devemu_put_le32(data + 4, s->coal_usecs[queue]);
    return devemu_virtqueue_write(c->q, c->chain, 0, data, sizeof(data)) == sizeof(data);
}

/* --- the table ---------------------------------------------------------------------- */

static const struct {
    uint8_t class, command;
    uint8_t feature; /* without which there is no such command */
    uint8_t ack_at;
    bool (*run)(struct virtio_net *s, struct net_command *c);
} commands[] = {
    {0, 0, NET_F_CTRL_RX, 0, rx_promisc},
    {0, 1, NET_F_CTRL_RX, 0, rx_allmulti},
    {0, 2, NET_F_CTRL_RX_EXTRA, 0, rx_alluni},
    {0, 3, NET_F_CTRL_RX_EXTRA, 0, rx_nomulti},
    {0, 4, NET_F_CTRL_RX_EXTRA, 0, rx_nouni},
    {0, 5, NET_F_CTRL_RX_EXTRA, 0, rx_nobcast},
    {1, 0, NET_F_CTRL_RX, 0, mac_table_set},
    {1, 1, NET_F_CTRL_MAC_ADDR, 0, mac_addr_set},
    {2, 0, NET_F_CTRL_VLAN, 0, vlan_add},
    {2, 1, NET_F_CTRL_VLAN, 0, vlan_del},
    {3, 0, NET_F_GUEST_ANNOUNCE, 0, announce_ack},
    {4, 0, NET_F_MQ, 0, pairs_set},
    {4, 1, NET_F_RSS, 0, rss_config},
    {4, 2, NET_F_HASH_REPORT, 0, hash_config},
    {5, 0, NET_F_CTRL_GUEST_OFFLOADS, 0, guest_offloads_set},
    {6, 0, NET_F_NOTF_COAL, 0, coal_tx_set},
    {6, 1, NET_F_NOTF_COAL, 0, coal_rx_set},
    {6, 2, NET_F_VQ_NOTF_COAL, 0, coal_vq_set},
    {6, 3, NET_F_VQ_NOTF_COAL, 8, coal_vq_get},
    {8, 0, NET_F_DEVICE_STATS, 0, net_stats_query},
    {8, 1, NET_F_DEVICE_STATS, 0, net_stats_get},
};

static bool run(struct virtio_net *s, struct net_command *c, const uint8_t *head)
{
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(commands); i++) {
        if (commands[i].class == head[0] && commands[i].command == head[1] &&
            virtio_has(&s->v, commands[i].feature)) {
            c->ack_at = commands[i].ack_at;
            return c->chain->writable_len > c->ack_at && commands[i].run(s, c);
        }
    }
    return false;
}

static bool use(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                uint32_t *ret_written)
{
    struct virtio_net *s = state;
    struct net_command c = {.q = devemu_virtio_queue(s->v.dev, queue), .chain = chain};
    uint64_t *done = net_stat(s, queue, NET_STAT_PACKETS);
    uint8_t head[COMMAND_AT], ack = OK;

    if (chain->writable_len == 0 ||
        devemu_virtqueue_read(c.q, chain, 0, head, sizeof(head)) < sizeof(head)) {
        /* There is no place for an answer, or nothing is asked. */
        virtio_needs_reset(&s->v, "controlq: a command without class, command or ack");
        return true;
    }
    c.len = chain->readable_len - COMMAND_AT;
    ++*net_stat(s, queue, NET_STAT_NOTIFICATIONS);
    ++*done; /* 5.1.6.5.11.3: with this one; taken back if it fails */
    if (!run(s, &c, head)) {
        --*done;
        ack = ERR;
        c.written = 0;
        c.ack_at = chain->writable_len > c.ack_at ? c.ack_at : 0;
    }
    devemu_virtqueue_write(c.q, chain, c.ack_at, &ack, 1);
    *ret_written = c.ack_at + 1 + c.written;
    return true;
}

void net_control(struct virtio_net *s, unsigned queue)
{
    virtio_each(&s->v, queue, use);
}
