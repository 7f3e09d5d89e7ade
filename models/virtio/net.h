/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h: the inside of the virtio network device. Sections are those of virtio 1.4.
 *
 * net.c has the tables, net-tx.c and net-rx.c the two directions, net-filter.c what is let in,
 * net-hash.c the hash of a packet, net-steer.c the queue that it is for, net-control.c and
 * net-stats.c the commands of the control queue, net-coal.c when the driver is notified.
 */
#ifndef DEVEMU_MODELS_VIRTIO_NET_H
#define DEVEMU_MODELS_VIRTIO_NET_H

#include "virtio.h"

enum {
    NET_PAIRS_MAX = 16,
    NET_QUEUES_MAX = 2 * NET_PAIRS_MAX + 1,
    NET_MAC = 6,
    NET_MACS = 64,        /* of the filter table */
    NET_VLAN_WORDS = 128, /* a bit for each of 4096 */
    NET_RSS_TABLE = 128,  /* the least that 5.1.4.1 allows */
    NET_RSS_KEY = 40,     /* likewise */
    NET_FLOWS = 256,
    NET_ETHERNET = 14,
    NET_VLAN_TAG = 4,
    NET_FRAME = 65589 + 2 * NET_VLAN_TAG, /* 5.1.6.3: the longest; with tags */
    NET_HEADER = 12,                      /* struct virtio_net_hdr */
    NET_HEADER_LEGACY = 10,
    NET_HEADER_HASH = 20,
    NET_BATCH = 32,
    NET_SLICES = 64,
};

/* 5.1.3, by number. */
enum {
    NET_F_CSUM = 0,
    NET_F_GUEST_CSUM = 1,
    NET_F_CTRL_GUEST_OFFLOADS = 2,
    NET_F_MTU = 3,
    NET_F_MAC = 5,
    NET_F_GUEST_TSO4 = 7,
    NET_F_GUEST_TSO6 = 8,
    NET_F_GUEST_ECN = 9,
    NET_F_HOST_TSO4 = 11,
    NET_F_HOST_TSO6 = 12,
    NET_F_HOST_ECN = 13,
    NET_F_MRG_RXBUF = 15,
    NET_F_STATUS = 16,
    NET_F_CTRL_VQ = 17,
    NET_F_CTRL_RX = 18,
    NET_F_CTRL_VLAN = 19,
    NET_F_CTRL_RX_EXTRA = 20,
    NET_F_GUEST_ANNOUNCE = 21,
    NET_F_MQ = 22,
    NET_F_CTRL_MAC_ADDR = 23,
    NET_F_DEVICE_STATS = 50,
    NET_F_VQ_NOTF_COAL = 52,
    NET_F_NOTF_COAL = 53,
    NET_F_GUEST_USO4 = 54,
    NET_F_GUEST_USO6 = 55,
    NET_F_HOST_USO = 56,
    NET_F_HASH_REPORT = 57,
    NET_F_RSS = 60,
    NET_F_SPEED_DUPLEX = 63,
};
#define NET_BIT(n) (UINT64_C(1) << (n))

/* 5.1.6.4.1: supported_hash_types. */
enum {
    NET_HASH_IPV4 = 1 << 0,
    NET_HASH_TCPV4 = 1 << 1,
    NET_HASH_UDPV4 = 1 << 2,
    NET_HASH_IPV6 = 1 << 3,
    NET_HASH_TCPV6 = 1 << 4,
    NET_HASH_UDPV6 = 1 << 5,
    NET_HASH_IP_EX = 1 << 6,
    NET_HASH_TCP_EX = 1 << 7,
    NET_HASH_UDP_EX = 1 << 8,
    NET_HASH_ALL = 0x1ff,
};

/* What is counted of each queue (5.1.6.5.11); the two meanings of a line are those of a receive and
 * of a transmit queue. */
enum {
    NET_STAT_NOTIFICATIONS, /* in the control queue: commands */
    NET_STAT_PACKETS,       /* in the control queue: commands that were carried out */
    NET_STAT_BYTES,
    NET_STAT_INTERRUPTS,
    NET_STAT_DROPS,
    NET_STAT_DROPS_OTHER, /* overruns; malformed */
    NET_STAT_CSUM_VALID,  /* valid; none */
    NET_STAT_CSUM_NEEDS,
    NET_STAT_CSUM_NONE, /* receive only */
    NET_STAT_GSO_PACKETS,
    NET_STAT_GSO_BYTES,
    NET_STATS,
};

struct virtio_net {
    VirtioDevice v;
    uint64_t coal_ns;  /* timer: the next notification that was held back */
    uint64_t flush_ns; /* timer: frames were taken, more were promised, and none came */

    /* Receive modes and filters: 5.1.6.5.1 to 5.1.6.5.3. */
    uint8_t mac[NET_MAC];
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    bool too_many_uni, too_many_multi;
    uint8_t unicasts, multicasts; /* in macs, in this order */
    uint8_t macs[NET_MACS * NET_MAC];
    uint32_t vlans[NET_VLAN_WORDS];

    /* Steering and hash: 5.1.6.5.6, 5.1.6.5.7. */
    uint32_t hash_types;
    uint16_t pairs; /* in use */
    uint16_t rss_mask, rss_unclassified;
    uint16_t rss_table[NET_RSS_TABLE]; /* receive queue pairs */
    uint8_t hash_key[NET_RSS_KEY];
    uint8_t flows[NET_FLOWS]; /* pair + 1 that last sent such a flow */
    bool rss;                 /* the last command says so */
    bool starved;             /* a frame waits for receive buffers */
    bool link_down;
    bool announce;
    uint8_t unused_1[2];
    uint64_t guest_offloads; /* as features */

    /* Notification coalescing: 5.1.6.5.10. */
    uint64_t coal_begin[NET_QUEUES_MAX]; /* of what is counted */
    uint32_t coal_count[NET_QUEUES_MAX];
    uint32_t coal_packets[NET_QUEUES_MAX];
    uint32_t coal_usecs[NET_QUEUES_MAX];
    uint32_t coal_set[4]; /* as last set for all: receive packets, usecs, transmit ... */
    uint32_t unused_2;
    uint64_t flush_pending; /* receive queues with frames that were shown, and not notified of */
    uint64_t quiet;         /* queues that are processed without the driver having notified */

    uint64_t stats[NET_STATS * NET_QUEUES_MAX];

    /* Not saved. */
    uint32_t hash_table[NET_RSS_KEY * 2 - 8][16]; /* of the key, for each nibble of the input */
    uint8_t bounce[NET_FRAME];                    /* a frame from memory without windows */
    uint8_t unused_3[3];

    /* Properties. */
    uint8_t own_mac[NET_MAC];
    uint16_t mtu; /* 0: none is said */
    uint32_t queue_size;
    uint32_t speed;
    uint8_t pairs_max;
    bool offload, mergeable, control, offer_rss, offer_hash, coalescing, statistics;
};

/* An IP packet as steering and hash see it; copied, so it does not change meanwhile. */
struct net_flow {
    bool is_ipv6, has_extension, is_tcp, is_udp;
    uint8_t addresses[32]; /* source, destination; of IPv4 in the first 8 bytes */
    uint8_t extended[32];  /* the same with home address and routing header type 2 */
    uint8_t ports[4];
};

static inline uint64_t *net_stat(struct virtio_net *s, unsigned queue, unsigned what)
{
    return &s->stats[queue * NET_STATS + what];
}

static inline bool net_is_tx(unsigned queue)
{
    return queue % 2 == 1;
}

/* 5.1.6: bytes of struct virtio_net_hdr. */
static inline unsigned net_header(const struct virtio_net *s)
{
    if (virtio_has(&s->v, NET_F_HASH_REPORT)) {
        return NET_HEADER_HASH;
    }
    return virtio_has(&s->v, VIRTIO_F_VERSION_1) || virtio_has(&s->v, NET_F_MRG_RXBUF)
               ? NET_HEADER
               : NET_HEADER_LEGACY;
}

/* 5.1.2: pairs of queues that are there, before the control queue. */
static inline unsigned net_pairs(const struct virtio_net *s)
{
    return virtio_has(&s->v, NET_F_MQ) || virtio_has(&s->v, NET_F_RSS) ? s->pairs_max : 1;
}

/* The control queue's number; past all queues if there is none. */
static inline unsigned net_control_queue(const struct virtio_net *s)
{
    return virtio_has(&s->v, NET_F_CTRL_VQ) ? 2 * net_pairs(s) : NET_QUEUES_MAX;
}

/* --- net-tx.c, net-rx.c ------------------------------------------------------------ */

void net_transmit(struct virtio_net *s, unsigned queue);
size_t net_receive(void *state, const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                   bool more);
size_t net_receive_queue(void *state, unsigned pair, const DevemuNetOffload *offload,
                         const uint8_t *data, size_t len, bool more);

/* --- net-filter.c ------------------------------------------------------------------ */

void net_filter_reset(struct virtio_net *s);
bool net_wanted(const struct virtio_net *s, const uint8_t *frame, size_t len);

/* --- net-hash.c -------------------------------------------------------------------- */

/* False: no IP packet, or one that is cut off. */
bool net_flow_of(struct net_flow *ret_flow, const uint8_t *frame, size_t len);
/* The type, one of NET_HASH_*, of those in `types`; 0: there is no hash. */
uint32_t net_hash(const struct virtio_net *s, const struct net_flow *flow, uint32_t *ret_hash);
/* The key was changed, or loaded. */
void net_hash_key(struct virtio_net *s);

/* --- net-steer.c ------------------------------------------------------------------- */

/* A frame of this flow was sent on a pair. */
void net_steer_learn(struct virtio_net *s, const uint8_t *frame, size_t len, unsigned pair);
/* The pair that the frame is for, -1: none, it is dropped. */
int net_steer(struct virtio_net *s, const struct net_flow *flow, uint32_t type, uint32_t hash);
/* The same where the backend has a queue for each pair, and the frame came by that one's: what
 * chose it (a tap: the kernel) learns from what is sent there, as net_steer_learn() does. */
int net_steer_queue(struct virtio_net *s, unsigned pair, const struct net_flow *flow, uint32_t type,
                    uint32_t hash);
/* For the library: pairs, and those in use. */
unsigned net_queues(const void *state);
bool net_uses_queue(const void *state, unsigned pair);

/* --- net-coal.c -------------------------------------------------------------------- */

void net_coal_reset(struct virtio_net *s);
void net_coal_queue_reset(struct virtio_net *s, unsigned queue);
/* So many packets were pushed. more: others follow at once. */
void net_coal_used(struct virtio_net *s, unsigned queue, unsigned packets, bool more);
void net_coal_set(struct virtio_net *s, unsigned queue, uint32_t packets, uint32_t usecs);
void net_coal_expired(void *state, uint64_t due_ns);
void net_coal_flush(void *state, uint64_t due_ns);
void net_coal_loaded(struct virtio_net *s);

/* --- net-control.c, net-stats.c ---------------------------------------------------- */

/* A command: what it says begins at byte 2 of the readable part. */
struct net_command {
    DevemuVirtqueue *q;
    const DevemuVirtqueueChain *chain;
    uint64_t len;     /* of what it says */
    uint32_t ack_at;  /* in the writable part */
    uint32_t written; /* behind the ack */
};

/* So many bytes of it from byte `at`; false: they are not there. */
bool net_command_read(const struct net_command *c, uint64_t at, void *buf, size_t len);
void net_control(struct virtio_net *s, unsigned queue);
bool net_stats_query(struct virtio_net *s, struct net_command *c);
bool net_stats_get(struct virtio_net *s, struct net_command *c);

/* net.c */
void net_mac_changed(struct virtio_net *s);
/* The DEVEMU_OFFLOAD_* of guest_offloads. */
uint32_t net_offloads(const void *state);
/* Those features that a driver can switch on and off. */
#define NET_GUEST_OFFLOADS                                                                         \
    (NET_BIT(NET_F_GUEST_CSUM) | NET_BIT(NET_F_GUEST_TSO4) | NET_BIT(NET_F_GUEST_TSO6) |           \
     NET_BIT(NET_F_GUEST_ECN) | NET_BIT(NET_F_GUEST_USO4) | NET_BIT(NET_F_GUEST_USO6))

#endif
