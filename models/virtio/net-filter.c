/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-filter.c: which frames the driver wants to have (virtio 1.4, 5.1.6.5.1 to 5.1.6.5.3).
 */
#include "net.h"

static bool in_table(const struct virtio_net *s, unsigned first, unsigned count,
                     const uint8_t *address)
{
    for (unsigned i = first; i < first + count; i++) {
        if (memcmp(s->macs + (size_t)i * NET_MAC, address, NET_MAC) == 0) {
            return true;
        }
    }
    return false;
}

/* 5.1.6.5.1: what suppresses goes before what allows; broadcast is no multicast here. */
static bool address_wanted(const struct virtio_net *s, const uint8_t *address)
{
    static const uint8_t broadcast[NET_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (memcmp(address, broadcast, NET_MAC) == 0) {
        return !s->nobcast;
    }
    if (address[0] & 1) {
        return !s->nomulti && (s->allmulti || s->too_many_multi ||
                               in_table(s, s->unicasts, s->multicasts, address));
    }
    return !s->nouni && (s->alluni || s->too_many_uni || memcmp(address, s->mac, NET_MAC) == 0 ||
                         in_table(s, 0, s->unicasts, address));
}

/* 5.1.6.5.3: of frames that have a tag. */
static bool vlan_wanted(const struct virtio_net *s, const uint8_t *frame, size_t len)
{
    unsigned id;

    if (len < NET_ETHERNET + NET_VLAN_TAG || frame[12] != 0x81 || frame[13] != 0x00) {
        return true;
    }
    id = (unsigned)(frame[14] & 15) << 8 | frame[15];
    return s->vlans[id / 32] >> (id % 32) & 1;
}

/* A driver that has no say in it gets all. */
bool net_wanted(const struct virtio_net *s, const uint8_t *frame, size_t len)
{
    if (s->promisc) {
        return true;
    }
    return (!virtio_has(&s->v, NET_F_CTRL_RX) || address_wanted(s, frame)) &&
           (!virtio_has(&s->v, NET_F_CTRL_VLAN) || vlan_wanted(s, frame, len));
}

/* 5.1.6.5.2.1: the tables are empty after a reset. */
void net_filter_reset(struct virtio_net *s)
{
    memcpy(s->mac, s->own_mac, NET_MAC);
    s->promisc = s->allmulti = s->alluni = s->nomulti = s->nouni = s->nobcast = false;
    s->too_many_uni = s->too_many_multi = false;
    s->unicasts = s->multicasts = 0;
    memset(s->macs, 0, sizeof(s->macs));
    memset(s->vlans, 0, sizeof(s->vlans));
}
