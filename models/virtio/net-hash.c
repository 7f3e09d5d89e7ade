/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-hash.c: IP packets and their Toeplitz hash (virtio 1.4, 5.1.6.4.1).
 */
#include "net.h"

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TYPE_CVLAN = 0x8100,
    TYPE_SVLAN = 0x88a8,
    VLAN_TAGS_MAX = 2,

    TCP = 6,
    UDP = 17,
    HOP_BY_HOP = 0,
    ROUTING = 43,
    FRAGMENT = 44,
    DESTINATION = 60,
    EXTENSIONS_MAX = 8,

    PAD1 = 0,
    HOME_ADDRESS = 0xc9, /* RFC 6275, 6.3 */
    ROUTING_TYPE_2 = 2,  /* RFC 6275, 6.4 */
    IPV6_ADDRESS = 16,
};

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* --- packets ----------------------------------------------------------------------- */

static void take_ports(struct net_flow *flow, unsigned protocol, const uint8_t *transport,
                       size_t len)
{
    if ((protocol == TCP || protocol == UDP) && len >= sizeof(flow->ports)) {
        flow->is_tcp = protocol == TCP;
        flow->is_udp = protocol == UDP;
        memcpy(flow->ports, transport, sizeof(flow->ports));
    }
}

/* Ports are in the first fragment only, so fragments have none: all go the same way. */
static bool take_ipv4(struct net_flow *flow, const uint8_t *ip, size_t len)
{
    size_t header;

    if (len < 20 || ip[0] >> 4 != 4) {
        return false;
    }
    header = (size_t)(ip[0] & 15) * 4;
    memcpy(flow->addresses, ip + 12, 8);
    if (header >= 20 && header <= len && (be16(ip + 6) & 0x3fff) == 0) {
        take_ports(flow, ip[9], ip + header, len - header);
    }
    return true;
}

/* The home address option, if it is among the options of a destination options header. */
static void take_home_address(struct net_flow *flow, const uint8_t *options, size_t len)
{
    size_t at = 0;

    while (at + 2 <= len) {
        size_t next = at + 2 + options[at + 1];

        if (options[at] == PAD1) {
            at++;
            continue;
        }
        if (options[at] == HOME_ADDRESS && options[at + 1] == IPV6_ADDRESS && next <= len) {
            memcpy(flow->extended, options + at + 2, IPV6_ADDRESS);
        }
        at = next;
    }
}

static void take_extension(struct net_flow *flow, unsigned kind, const uint8_t *header, size_t len)
{
    flow->has_extension = true;
    if (kind == DESTINATION) {
        take_home_address(flow, header + 2, len - 2);
    } else if (kind == ROUTING && header[2] == ROUTING_TYPE_2 && len >= 8 + IPV6_ADDRESS) {
        memcpy(flow->extended + IPV6_ADDRESS, header + 8, IPV6_ADDRESS);
    }
}

static bool take_ipv6(struct net_flow *flow, const uint8_t *ip, size_t len)
{
    unsigned kind;
    size_t at = 40;

    if (len < 40 || ip[0] >> 4 != 6) {
        return false;
    }
    flow->is_ipv6 = true;
    memcpy(flow->addresses, ip + 8, sizeof(flow->addresses));
    memcpy(flow->extended, ip + 8, sizeof(flow->extended));
    kind = ip[6];
    for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
        size_t bytes;

        if (kind == FRAGMENT) {
            flow->has_extension = true;
            return true;
        }
        if (kind != HOP_BY_HOP && kind != ROUTING && kind != DESTINATION) {
            take_ports(flow, kind, ip + at, len - at);
            return true;
        }
        if (len - at < 8 || len - at < (bytes = ((size_t)ip[at + 1] + 1) * 8)) {
            return true;
        }
        take_extension(flow, kind, ip + at, bytes);
        kind = ip[at];
        at += bytes;
    }
    return true;
}

bool net_flow_of(struct net_flow *ret_flow, const uint8_t *frame, size_t len)
{
    size_t at = 12;

    *ret_flow = (struct net_flow){.is_ipv6 = false};
    for (unsigned tags = 0; tags <= VLAN_TAGS_MAX && at + 2 <= len; tags++) {
        unsigned type = be16(frame + at);

        if (type == TYPE_IPV4) {
            return take_ipv4(ret_flow, frame + at + 2, len - at - 2);
        }
        if (type == TYPE_IPV6) {
            return take_ipv6(ret_flow, frame + at + 2, len - at - 2);
        }
        if (type != TYPE_CVLAN && type != TYPE_SVLAN) {
            return false;
        }
        at += NET_VLAN_TAG;
    }
    return false;
}

/* --- Toeplitz ---------------------------------------------------------------------- */

/* 32 bits of the key from bit `at` on; behind its end there are zeros. */
static uint32_t key_bits(const struct virtio_net *s, unsigned at)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < 5; i++) {
        unsigned byte = at / 8 + i;

        bits = bits << 8 | (byte < NET_RSS_KEY ? s->hash_key[byte] : 0);
    }
    return (uint32_t)(bits >> (8 - at % 8));
}

/* Each bit of the input that is set adds the 32 bits of the key that begin at its place: here, for
 * four bits of the input at a time. */
void net_hash_key(struct virtio_net *s)
{
    for (unsigned nibble = 0; nibble < DEVEMU_N_ELEMENTS(s->hash_table); nibble++) {
        for (unsigned value = 0; value < 16; value++) {
            uint32_t sum = 0;

            for (unsigned bit = 0; bit < 4; bit++) {
                sum ^= value >> (3 - bit) & 1 ? key_bits(s, nibble * 4 + bit) : 0;
            }
            s->hash_table[nibble][value] = sum;
        }
    }
}

static uint32_t toeplitz(const struct virtio_net *s, const uint8_t *input, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum ^= s->hash_table[2 * i][input[i] >> 4] ^ s->hash_table[2 * i + 1][input[i] & 15];
    }
    return sum;
}

/* The three types of one kind of packet, in the order in which they are looked at. */
static uint32_t choose(uint32_t types, const struct net_flow *flow, uint32_t tcp, uint32_t udp,
                       uint32_t ip)
{
    if (flow->is_tcp && (types & tcp)) {
        return tcp;
    }
    if (flow->is_udp && (types & udp)) {
        return udp;
    }
    return types & ip;
}

uint32_t net_hash(const struct virtio_net *s, const struct net_flow *flow, uint32_t *ret_hash)
{
    uint32_t types = s->hash_types, type = 0;
    const uint8_t *addresses = flow->addresses;
    size_t len = flow->is_ipv6 ? 32 : 8;
    uint8_t input[36];

    if (!flow->is_ipv6) {
        type = choose(types, flow, NET_HASH_TCPV4, NET_HASH_UDPV4, NET_HASH_IPV4);
    } else {
        if (flow->has_extension) {
            type = choose(types, flow, NET_HASH_TCP_EX, NET_HASH_UDP_EX, NET_HASH_IP_EX);
            addresses = type != 0 ? flow->extended : addresses;
        }
        if (type == 0) {
            type = choose(types, flow, NET_HASH_TCPV6, NET_HASH_UDPV6, NET_HASH_IPV6);
        }
    }
    memcpy(input, addresses, len);
    if (type & ~(uint32_t)(NET_HASH_IPV4 | NET_HASH_IPV6 | NET_HASH_IP_EX)) {
        memcpy(input + len, flow->ports, sizeof(flow->ports));
        len += sizeof(flow->ports);
    }
    *ret_hash = type != 0 ? toeplitz(s, input, len) : 0;
    return type;
}
