/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-tx.c: frames that the driver sends (virtio 1.4, 5.1.6.2).
 */
#include "net.h"

/* Of a frame, where steering looks for a flow. */
#define HEAD_BYTES 128

/* The frame behind the header as pieces of memory; 0 where there is no window to one of them, or
 * where they are too many. */
static unsigned slices_of(const DevemuVirtqueueChain *chain, unsigned skip, DevemuSlice *slices)
{
    unsigned count = 0;

    for (unsigned i = 0; i < chain->readable; i++) {
        const DevemuVirtqueueSegment *segment = &chain->segments[i];

        if (skip >= segment->len) {
            skip -= segment->len;
            continue;
        }
        if (segment->data == NULL || count == NET_SLICES) {
            return 0;
        }
        slices[count++] = (DevemuSlice){segment->data + skip, segment->len - skip};
        skip = 0;
    }
    return count;
}

static uint64_t feature_of(const DevemuNetOffload *offload)
{
    static const uint64_t features[] = {
        [DEVEMU_GSO_NONE] = NET_BIT(NET_F_CSUM),
        [DEVEMU_GSO_TCPV4] = NET_BIT(NET_F_HOST_TSO4),
        [DEVEMU_GSO_TCPV6] = NET_BIT(NET_F_HOST_TSO6),
        [DEVEMU_GSO_UDP] = NET_BIT(NET_F_HOST_USO),
    };

    return features[offload->gso];
}

/* False: not what was negotiated. 5.1.6.2.2: flags that are not known are ignored, csum_start and
 * csum_offset without NEEDS_CSUM as well, and hdr_len is not relied on. */
static bool take_offload(const struct virtio_net *s, const uint8_t *header, size_t len,
                         DevemuNetOffload *ret_offload)
{
    if (!devemu_net_offload_get(header, ret_offload)) {
        return false;
    }
    ret_offload->data_valid = false;
    if (!virtio_has(&s->v, NET_F_CSUM)) {
        ret_offload->needs_csum = false;
    }
    if (ret_offload->hdr_len > len) {
        ret_offload->hdr_len = 0;
    }
    if (!ret_offload->needs_csum && ret_offload->gso == DEVEMU_GSO_NONE) {
        *ret_offload = (DevemuNetOffload){.gso = DEVEMU_GSO_NONE};
        return true;
    }
    return (s->v.features & feature_of(ret_offload)) != 0;
}

static void count_sent(struct virtio_net *s, unsigned queue, const DevemuNetOffload *offload,
                       size_t len)
{
    ++*net_stat(s, queue, NET_STAT_PACKETS);
    *net_stat(s, queue, NET_STAT_BYTES) += len;
    ++*net_stat(s, queue, offload->needs_csum ? NET_STAT_CSUM_NEEDS : NET_STAT_CSUM_VALID);
    if (offload->gso != DEVEMU_GSO_NONE) {
        ++*net_stat(s, queue, NET_STAT_GSO_PACKETS);
        *net_stat(s, queue, NET_STAT_GSO_BYTES) += len;
    }
}

/* False: malformed. */
static bool send(struct virtio_net *s, unsigned queue, const DevemuVirtqueueChain *chain, bool more)
{
    DevemuVirtqueue *q = devemu_virtio_queue(s->v.dev, queue);
    uint8_t header[NET_HEADER_HASH];
    unsigned skip = net_header(s), count;
    DevemuSlice slices[NET_SLICES];
    DevemuNetOffload offload;
    size_t len;

    if (chain->readable_len < skip + NET_ETHERNET || chain->readable_len > skip + NET_FRAME ||
        devemu_virtqueue_read(q, chain, 0, header, skip) < skip) {
        return false;
    }
    len = (size_t)chain->readable_len - skip;
    if (!take_offload(s, header, len, &offload)) {
        return false;
    }
    count = slices_of(chain, skip, slices);
    if (count == 0) {
        if (devemu_virtqueue_read(q, chain, skip, s->bounce, len) < len) {
            return false;
        }
        slices[0] = (DevemuSlice){s->bounce, len};
        count = 1;
    }
    if (s->pairs_max > 1) {
        uint8_t head[HEAD_BYTES];

        net_steer_learn(s, head, devemu_virtqueue_read(q, chain, skip, head, sizeof(head)),
                        queue / 2);
    }
    if (!devemu_send_queue(s->v.dev, queue / 2, &offload, slices, count, more)) {
        return false;
    }
    count_sent(s, queue, &offload, len);
    return true;
}

static void send_or_drop(struct virtio_net *s, unsigned queue, const DevemuVirtqueueChain *chain,
                         bool more)
{
    if (s->link_down) {
        ++*net_stat(s, queue, NET_STAT_DROPS);
    } else if (!send(s, queue, chain, more)) {
        ++*net_stat(s, queue, NET_STAT_DROPS);
        ++*net_stat(s, queue, NET_STAT_DROPS_OTHER);
    }
}

/* As many as the queue holds; returns how many that were not. */
static unsigned send_batches(struct virtio_net *s, unsigned queue, unsigned budget)
{
    DevemuVirtqueue *q = devemu_virtio_queue(s->v.dev, queue);
    DevemuVirtqueueChain chains[NET_BATCH];

    while (budget > 0) {
        unsigned count = devemu_virtqueue_pop(q, chains, budget < NET_BATCH ? budget : NET_BATCH);

        if (count == 0) {
            break;
        }
        for (unsigned i = 0; i < count; i++) {
            send_or_drop(s, queue, &chains[i], i + 1 < count);
        }
        for (unsigned i = 0; i < count; i++) {
            devemu_virtqueue_push(q, &chains[i], 0);
        }
        net_coal_used(s, queue, count, false);
        budget -= count;
    }
    return budget;
}

void net_transmit(struct virtio_net *s, unsigned queue)
{
    unsigned budget = s->v.size[queue];
    DevemuVirtqueue *q;

    while ((q = virtio_ready(&s->v, queue)) != NULL) {
        devemu_virtqueue_ignore(q);
        budget = send_batches(s, queue, budget);
        if (budget == 0) {
            s->quiet |= NET_BIT(queue);
            virtio_again(&s->v, queue);
            return;
        }
        if (!devemu_virtqueue_listen(q)) {
            return;
        }
    }
}
