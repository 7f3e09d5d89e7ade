/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c: virtio network device (virtio 1.4, 5.1).
 *
 * Checksums and segmentation are offered whatever the backend can, since the library does the rest
 * (DevemuNetOffload). devemu_device_link(): bit 0 is the link; with bit 1 the driver is asked to
 * announce itself, for after a migration.
 *
 * Not modelled: UFO; coalescing of received segments (RSC_EXT); STANDBY; HASH_TUNNEL; RSS contexts;
 * statistics of speed; big-endian legacy drivers.
 */
#include "net.h"

/* --- features: 5.1.3 ---------------------------------------------------------------- */

static uint64_t offload_features(void)
{
    return NET_GUEST_OFFLOADS | NET_BIT(NET_F_CSUM) | NET_BIT(NET_F_HOST_TSO4) |
           NET_BIT(NET_F_HOST_TSO6) | NET_BIT(NET_F_HOST_ECN) | NET_BIT(NET_F_HOST_USO);
}

static uint64_t control_features(const struct virtio_net *s)
{
    uint64_t features = NET_BIT(NET_F_CTRL_VQ) | NET_BIT(NET_F_CTRL_RX) | NET_BIT(NET_F_CTRL_VLAN) |
                        NET_BIT(NET_F_CTRL_RX_EXTRA) | NET_BIT(NET_F_GUEST_ANNOUNCE) |
                        NET_BIT(NET_F_CTRL_MAC_ADDR);

    features |= s->offload ? NET_BIT(NET_F_CTRL_GUEST_OFFLOADS) : 0;
    features |= s->pairs_max > 1 ? NET_BIT(NET_F_MQ) : 0;
    features |= s->pairs_max > 1 && s->offer_rss ? NET_BIT(NET_F_RSS) : 0;
    features |= s->offer_hash ? NET_BIT(NET_F_HASH_REPORT) : 0;
    features |= s->coalescing ? NET_BIT(NET_F_NOTF_COAL) | NET_BIT(NET_F_VQ_NOTF_COAL) : 0;
    features |= s->statistics ? NET_BIT(NET_F_DEVICE_STATS) : 0;
    return features;
}

static uint64_t net_offer(const void *state)
{
    const struct virtio_net *s = state;
    uint64_t features = NET_BIT(NET_F_MAC) | NET_BIT(NET_F_STATUS) | NET_BIT(NET_F_SPEED_DUPLEX);

    features |= s->offload ? offload_features() : 0;
    features |= s->mergeable ? NET_BIT(NET_F_MRG_RXBUF) : 0;
    features |= s->mtu != 0 ? NET_BIT(NET_F_MTU) : 0;
    features |= s->control ? control_features(s) : 0;
    return features;
}

/* 5.1.3.1: features that need one of others. What needs CTRL_VQ is no mistake without it: a
 * vhost-user front end keeps the control queue to itself. */
static bool net_accept(const void *state, uint64_t features)
{
    static const struct {
        uint8_t feature;
        uint64_t needs;
    } rules[] = {
        {NET_F_GUEST_TSO4, NET_BIT(NET_F_GUEST_CSUM)},
        {NET_F_GUEST_TSO6, NET_BIT(NET_F_GUEST_CSUM)},
        {NET_F_GUEST_ECN, NET_BIT(NET_F_GUEST_TSO4) | NET_BIT(NET_F_GUEST_TSO6)},
        {NET_F_GUEST_USO4, NET_BIT(NET_F_GUEST_CSUM)},
        {NET_F_GUEST_USO6, NET_BIT(NET_F_GUEST_CSUM)},
        {NET_F_HOST_TSO4, NET_BIT(NET_F_CSUM)},
        {NET_F_HOST_TSO6, NET_BIT(NET_F_CSUM)},
        {NET_F_HOST_ECN, NET_BIT(NET_F_HOST_TSO4) | NET_BIT(NET_F_HOST_TSO6)},
        {NET_F_HOST_USO, NET_BIT(NET_F_CSUM)},
    };

    (void)state;
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(rules); i++) {
        if ((features >> rules[i].feature & 1) && !(features & rules[i].needs)) {
            return false;
        }
    }
    return true;
}

/* UDP segments are taken where both kinds are: one of them alone has no use for a backend. */
uint32_t net_offloads(const void *state)
{
    uint64_t on = ((const struct virtio_net *)state)->guest_offloads;
    uint32_t offloads = 0;

    if (!(on & NET_BIT(NET_F_GUEST_CSUM))) {
        return 0;
    }
    offloads |= DEVEMU_OFFLOAD_CSUM;
    offloads |= on & NET_BIT(NET_F_GUEST_TSO4) ? DEVEMU_OFFLOAD_TSO4 : 0;
    offloads |= on & NET_BIT(NET_F_GUEST_TSO6) ? DEVEMU_OFFLOAD_TSO6 : 0;
    offloads |= on & NET_BIT(NET_F_GUEST_ECN) ? DEVEMU_OFFLOAD_ECN : 0;
    if ((on & NET_BIT(NET_F_GUEST_USO4)) && (on & NET_BIT(NET_F_GUEST_USO6))) {
        offloads |= DEVEMU_OFFLOAD_USO;
    }
    return offloads;
}

/* --- queues: 5.1.2 ------------------------------------------------------------------ */

static unsigned net_queue_size(const void *state, unsigned queue)
{
    const struct virtio_net *s = state;

    return queue < 2U * s->pairs_max + (s->control ? 1 : 0) ? s->queue_size : 0;
}

/* 5.1.6.5.9: what is negotiated is on. Queues with buffers are looked at next, unasked. */
static void net_start(void *state)
{
    struct virtio_net *s = state;

    s->guest_offloads = s->v.features & NET_GUEST_OFFLOADS;
    s->quiet = s->v.pending;
}

static void net_process(void *state, unsigned queue)
{
    struct virtio_net *s = state;
    bool asked = !(s->quiet >> queue & 1);

    s->quiet &= ~NET_BIT(queue);
    if (queue == net_control_queue(s)) {
        net_control(s, queue);
        return;
    }
    *net_stat(s, queue, NET_STAT_NOTIFICATIONS) += asked;
    if (net_is_tx(queue)) {
        net_transmit(s, queue);
    } else if (queue < 2 * net_pairs(s)) {
        devemu_virtqueue_ignore(devemu_virtio_queue(s->v.dev, queue));
        s->starved = false;
        devemu_send_ready(s->v.dev);
    }
}

static void net_queue_reset(void *state, unsigned queue)
{
    struct virtio_net *s = state;

    net_coal_queue_reset(s, queue);
    s->quiet &= ~NET_BIT(queue);
}

static size_t net_ready(const void *state)
{
    const struct virtio_net *s = state;

    return virtio_running(&s->v) && !s->starved;
}

/* --- configuration space: 5.1.4 ------------------------------------------------------ */

void net_mac_changed(struct virtio_net *s)
{
    s->v.generation++;
}

static void net_link(void *state, unsigned link)
{
    struct virtio_net *s = state;
    bool down = !(link & 1);
    bool announce =
        !down && (link & 2) && virtio_has(&s->v, NET_F_GUEST_ANNOUNCE) && virtio_running(&s->v);

    if (down == s->link_down && !announce) {
        return;
    }
    s->link_down = down;
    s->announce |= announce;
    virtio_config_changed(&s->v);
}

static uint64_t mac_read(const void *state, unsigned index)
{
    return ((const struct virtio_net *)state)->mac[index];
}

/* 5.1.4.3: drivers of before write it. */
static bool mac_writable(const void *state)
{
    const struct virtio_net *s = state;

    return !(s->v.driver_features >> VIRTIO_F_VERSION_1 & 1);
}

static void mac_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)old;
    ((struct virtio_net *)state)->mac[index] = (uint8_t)value;
}

static uint64_t status_read(const void *state, unsigned index)
{
    const struct virtio_net *s = state;

    (void)index;
    return (s->link_down ? 0 : 1) | (s->announce ? 2 : 0);
}

static uint64_t pairs_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_net *)state)->pairs_max;
}

static uint64_t mtu_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_net *)state)->mtu;
}

static uint64_t speed_read(const void *state, unsigned index)
{
    const struct virtio_net *s = state;

    (void)index;
    return s->speed ? s->speed : UINT32_MAX;
}

/* Full, where a speed is known. */
static uint64_t duplex_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_net *)state)->speed ? 1 : 0xff;
}

static uint64_t key_size_read(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return NET_RSS_KEY;
}

static uint64_t table_length_read(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return NET_RSS_TABLE;
}

static uint64_t hash_types_read(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return NET_HASH_ALL;
}

static const DevemuBits status_bits[] = {{"LINK_UP", 1}, {"ANNOUNCE", 2}, {.name = NULL}};

#define SHOWN(label, words, place, bytes, reader)                                                  \
    {                                                                                              \
        .name = (label), .title = (words), .section = "5.1.4", .at = (place), .size = (bytes),     \
        .read = (reader)                                                                           \
    }

static const DevemuReg config_regs[] = {
    {.name = "mac",
     .title = "Ethernet address",
     .section = "5.1.4",
     .at = 0,
     .size = 1,
     .count = NET_MAC,
     .writable = mac_writable,
     .read = mac_read,
     .wrote = mac_wrote},
    {.name = "status",
     .title = "Link, and a wish to be announced",
     .section = "5.1.4",
     .bits = status_bits,
     .at = 6,
     .size = 2,
     .read = status_read},
    SHOWN("max_virtqueue_pairs", "Pairs of queues", 8, 2, pairs_read),
    SHOWN("mtu", "Greatest packet, 0 if none is said", 10, 2, mtu_read),
    SHOWN("speed", "In Mbit/s, all ones if it is not known", 12, 4, speed_read),
    SHOWN("duplex", "1: full, 255: not known", 16, 1, duplex_read),
    SHOWN("rss_max_key_size", "Bytes of a hash key", 17, 1, key_size_read),
    SHOWN("rss_max_indirection_table_length", "Entries of the table", 18, 2, table_length_read),
    SHOWN("supported_hash_types", "Kinds of packets that have a hash", 20, 4, hash_types_read),
};

static const DevemuBank banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config",
                              .kind = DEVEMU_BANK_MMIO,
                              .size = 24,
                              .regs = config_regs,
                              .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                              .lanes = true},
};

/* --- reset, snapshots ----------------------------------------------------------------- */

static bool net_configure(void *state, const char **ret_property, const char **ret_message)
{
    struct virtio_net *s = state;

    if (s->own_mac[0] & 1) {
        *ret_property = "mac";
        *ret_message = "is the address of a group; its first byte must be even";
        return false;
    }
    if (s->queue_size & (s->queue_size - 1)) {
        *ret_property = "queue_size";
        *ret_message = "must be a power of two";
        return false;
    }
    if (s->mtu != 0 && s->mtu < 68) {
        *ret_property = "mtu";
        *ret_message = "must be at least 68, or 0 for none";
        return false;
    }
    return virtio_configure(state, ret_property, ret_message);
}

static void net_reset(void *state, DevemuReset kind)
{
    struct virtio_net *s = state;

    virtio_reset(state, kind);
    net_filter_reset(s);
    net_coal_reset(s);
    s->pairs = 1;
    s->rss = s->starved = s->announce = false;
    s->link_down = kind == DEVEMU_RESET_POWER ? false : s->link_down;
    s->hash_types = 0;
    s->rss_mask = s->rss_unclassified = 0;
    s->guest_offloads = 0;
    s->quiet = 0;
    memset(s->rss_table, 0, sizeof(s->rss_table));
    memset(s->hash_key, 0, sizeof(s->hash_key));
    memset(s->flows, 0, sizeof(s->flows));
    memset(s->stats, 0, sizeof(s->stats));
    net_hash_key(s);
}

static bool net_valid(const void *state)
{
    const struct virtio_net *s = state;

    for (unsigned i = 0; i < NET_RSS_TABLE; i++) {
        if (s->rss_table[i] >= s->pairs_max) {
            return false;
        }
    }
    for (unsigned i = 0; i < NET_FLOWS; i++) {
        if (s->flows[i] > s->pairs_max) {
            return false;
        }
    }
    return s->unicasts + s->multicasts <= NET_MACS && s->pairs >= 1 && s->pairs <= s->pairs_max &&
           s->rss_mask < NET_RSS_TABLE && s->rss_unclassified < s->pairs_max &&
           (s->hash_types & ~(uint32_t)NET_HASH_ALL) == 0 &&
           ((s->flush_pending | s->quiet) >> s->v.queue_count) == 0 && virtio_valid(state);
}

static void net_loaded(void *state)
{
    struct virtio_net *s = state;

    virtio_loaded(state);
    net_hash_key(s);
    net_coal_loaded(s);
}

static const DevemuField fields[] = {
    VIRTIO_FIELDS,
    DEVEMU_SAVE_ARRAY(struct virtio_net, mac),
    DEVEMU_SAVE(struct virtio_net, promisc),
    DEVEMU_SAVE(struct virtio_net, allmulti),
    DEVEMU_SAVE(struct virtio_net, alluni),
    DEVEMU_SAVE(struct virtio_net, nomulti),
    DEVEMU_SAVE(struct virtio_net, nouni),
    DEVEMU_SAVE(struct virtio_net, nobcast),
    DEVEMU_SAVE(struct virtio_net, too_many_uni),
    DEVEMU_SAVE(struct virtio_net, too_many_multi),
    DEVEMU_SAVE_MAX(struct virtio_net, unicasts, NET_MACS),
    DEVEMU_SAVE_MAX(struct virtio_net, multicasts, NET_MACS),
    DEVEMU_SAVE_ARRAY(struct virtio_net, macs),
    DEVEMU_SAVE_ARRAY(struct virtio_net, vlans),
    DEVEMU_SAVE(struct virtio_net, hash_types),
    DEVEMU_SAVE_MAX(struct virtio_net, pairs, NET_PAIRS_MAX),
    DEVEMU_SAVE_MAX(struct virtio_net, rss_mask, NET_RSS_TABLE - 1),
    DEVEMU_SAVE_MAX(struct virtio_net, rss_unclassified, NET_PAIRS_MAX - 1),
    DEVEMU_SAVE_ARRAY(struct virtio_net, rss_table),
    DEVEMU_SAVE_ARRAY(struct virtio_net, hash_key),
    DEVEMU_SAVE_ARRAY(struct virtio_net, flows),
    DEVEMU_SAVE(struct virtio_net, rss),
    DEVEMU_SAVE(struct virtio_net, starved),
    DEVEMU_SAVE(struct virtio_net, link_down),
    DEVEMU_SAVE(struct virtio_net, announce),
    DEVEMU_SKIP(struct virtio_net, unused_1),
    DEVEMU_SAVE(struct virtio_net, guest_offloads),
    DEVEMU_SAVE_ARRAY(struct virtio_net, coal_begin),
    DEVEMU_SAVE_ARRAY(struct virtio_net, coal_count),
    DEVEMU_SAVE_ARRAY(struct virtio_net, coal_packets),
    DEVEMU_SAVE_ARRAY(struct virtio_net, coal_usecs),
    DEVEMU_SAVE_ARRAY(struct virtio_net, coal_set),
    DEVEMU_SKIP(struct virtio_net, unused_2),
    DEVEMU_SAVE(struct virtio_net, flush_pending),
    DEVEMU_SAVE(struct virtio_net, quiet),
    DEVEMU_SAVE_ARRAY(struct virtio_net, stats),
    DEVEMU_SKIP(struct virtio_net, hash_table),
    DEVEMU_SKIP(struct virtio_net, bounce),
    DEVEMU_SKIP(struct virtio_net, unused_3),
    {.name = NULL},
};

static const DevemuTimer timers[] = {
    VIRTIO_TIMERS,
    DEVEMU_TIMER(struct virtio_net, coal_ns, net_coal_expired),
    DEVEMU_TIMER(struct virtio_net, flush_ns, net_coal_flush),
    {.name = NULL},
};

#define NET_SWITCH(property, member, on, sentence)                                                 \
    {                                                                                              \
        .name = (property), .type = DEVEMU_PROPERTY_BOOL,                                          \
        DEVEMU_OPTION(struct virtio_net, member), .value = (on), .doc = (sentence)                 \
    }
#define NET_NUMBER(property, member, number, least, greatest, sentence)                            \
    {                                                                                              \
        .name = (property), .type = DEVEMU_PROPERTY_UINT,                                          \
        DEVEMU_OPTION(struct virtio_net, member), .value = (number), .min = (least),               \
        .max = (greatest), .doc = (sentence)                                                       \
    }

static const DevemuProperty properties[] = {
    {.name = "mac",
     .type = DEVEMU_PROPERTY_MAC,
     DEVEMU_OPTION(struct virtio_net, own_mac),
     .value = "52:54:00:12:34:56",
     .doc = "Ethernet address"},
    NET_NUMBER("queues", pairs_max, "1", 1, NET_PAIRS_MAX, "Pairs of queues (MQ)"),
    NET_NUMBER("queue_size", queue_size, "256", 2, 32768,
               "Greatest Queue Size, a power of two; and the most pieces of a buffer"),
    NET_NUMBER("mtu", mtu, "0", 0, 65535, "Greatest packet in bytes; 0: none is said"),
    NET_NUMBER("speed", speed, "0", 0, 0x7fffffff, "Of the link in Mbit/s; 0: not known"),
    NET_SWITCH("offload", offload, "on", "Offer checksum and segmentation offload?"),
    NET_SWITCH("mrg_rxbuf", mergeable, "on", "Offer mergeable receive buffers (MRG_RXBUF)?"),
    NET_SWITCH("ctrl_vq", control, "on", "Offer a control queue, and all that needs it?"),
    NET_SWITCH("rss", offer_rss, "on", "Offer RSS, where there are several pairs of queues?"),
    NET_SWITCH("hash", offer_hash, "off", "Offer to report a packet's hash (HASH_REPORT)?"),
    NET_SWITCH("notf_coal", coalescing, "on", "Offer notification coalescing?"),
    NET_SWITCH("stats", statistics, "on", "Offer device statistics?"),
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

static const DevemuVirtio virtio = {
    .device_id = 1,
    .transitional_id = 0x1000,
    .class_code = 0x020000, /* an Ethernet controller */
    .in_order = true,
    .offer = net_offer,
    .queue_size = net_queue_size,
    .accept = net_accept,
    .start = net_start,
    .process = net_process,
    .queue_reset = net_queue_reset,
};

const DevemuModel devemu_model_virtio_net = {
    .name = "virtio-net",
    .title = "virtio network device",
    .datasheet = "OASIS Virtual I/O Device 1.4, 5.1",
    .not_modelled = "UFO; coalescing of received segments (RSC_EXT); STANDBY; HASH_TUNNEL; RSS "
                    "contexts; statistics of speed; big-endian legacy drivers",
    .state_size = sizeof(struct virtio_net),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .configure = net_configure,
    .reset = net_reset,
    .saving = virtio_saving,
    .valid = net_valid,
    .loaded = net_loaded,
    .receive_packet = net_receive,
    .queues = net_queues,
    .uses_queue = net_uses_queue,
    .receive_queue = net_receive_queue,
    .offloads = net_offloads,
    .ready = net_ready,
    .link = net_link,
    .virtio = &virtio,
    .is_net = true,
};
