/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-rx.c: frames for the driver (virtio 1.4, 5.1.6.3, 5.1.6.4).
 */
#include "net.h"

enum {
    MERGED = 128, /* buffers of one packet: of 512 bytes or more they hold the longest */
    TRIES = 8,
    NUM_BUFFERS_AT = 10,
    HASH_AT = 12,
    REPORT_AT = 16,

    FULL = 0,
    UNFIT = -1,
};

/* Of as many as are needed; the others are given back. */
static int enough(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count,
                  uint64_t need)
{
    uint64_t room = 0;

    for (unsigned i = 0; i < count; i++) {
        room += chains[i].writable_len;
        if (room >= need) {
            devemu_virtqueue_unpop(q, chains + i + 1, count - i - 1);
            return (int)i + 1;
        }
    }
    return 0;
}

static unsigned guess(const DevemuVirtqueueChain *first, uint64_t need)
{
    uint64_t count = first->writable_len ? need / first->writable_len + 1 : MERGED;

    return count < MERGED ? (unsigned)count : MERGED;
}

/*
 * Buffers for `need` bytes; all of them, or none are taken. FULL: there are not as many yet, and a
 * notification is asked for. UNFIT: they never will be.
 */
static int collect(const struct virtio_net *s, DevemuVirtqueue *q, uint64_t need,
                   DevemuVirtqueueChain *chains)
{
    bool merge = virtio_has(&s->v, NET_F_MRG_RXBUF);
    unsigned want = 1;

    for (unsigned i = 0; i < TRIES; i++) {
        unsigned count = devemu_virtqueue_pop(q, chains, want);
        int used = enough(q, chains, count, need);
        bool more;

        if (used > 0) {
            return used;
        }
        if ((count > 0 && !merge) || count == MERGED) {
            devemu_virtqueue_unpop(q, chains, count);
            return UNFIT;
        }
        more = count == want || devemu_virtqueue_listen(q);
        if (count > 0) {
            want = count == want && want > 1 ? MERGED : guess(chains, need);
            devemu_virtqueue_unpop(q, chains, count);
        }
        if (!more) {
            return FULL;
        }
    }
    return UNFIT;
}

static void make_header(const DevemuNetOffload *offload, const uint8_t *data, unsigned buffers,
                        uint32_t type, uint32_t hash, uint8_t *ret_header)
{
    DevemuNetOffload said = *offload;
    uint16_t report = 0;

    if (said.gso != DEVEMU_GSO_NONE && said.hdr_len <= said.csum_start) {
        /* 5.1.6.4.2: SHOULD be no less than the headers. */
        unsigned transport =
            said.gso == DEVEMU_GSO_UDP ? 8 : (unsigned)(data[said.csum_start + 12] >> 4) * 4;

        said.hdr_len = (uint16_t)(said.csum_start + transport);
    }
    devemu_net_offload_put(&said, ret_header);
    devemu_put_le16(ret_header + NUM_BUFFERS_AT, (uint16_t)buffers);
    for (; type != 0; type >>= 1) {
        report++;
    }
    devemu_put_le32(ret_header + HASH_AT, hash);
    devemu_put_le32(ret_header + REPORT_AT, report);
}

/* Header and frame into the buffers; all but the last are filled (5.1.6.4.2). */
static void fill(DevemuVirtqueue *q, const DevemuVirtqueueChain *chains, unsigned count,
                 const uint8_t *header, size_t header_len, const uint8_t *data, size_t len)
{
    uint32_t written[MERGED];

    for (unsigned i = 0; i < count; i++) {
        size_t skip = i == 0 ? header_len : 0;
        uint64_t room = chains[i].writable_len - skip;
        size_t part = room < len ? (size_t)room : len;

        written[i] = 0;
        if (skip > 0) {
            written[i] = (uint32_t)devemu_virtqueue_write(q, &chains[i], 0, header, skip);
        }
        written[i] += (uint32_t)devemu_virtqueue_write(q, &chains[i], skip, data, part);
        data += part;
        len -= part;
    }
    if (count == 1) {
        devemu_virtqueue_push(q, chains, written[0]);
    } else {
        devemu_virtqueue_push_together(q, chains, written, count);
    }
}

static void count_received(struct virtio_net *s, unsigned queue, const DevemuNetOffload *offload,
                           size_t len)
{
    ++*net_stat(s, queue, NET_STAT_PACKETS);
    *net_stat(s, queue, NET_STAT_BYTES) += len;
    if (offload->needs_csum) {
        ++*net_stat(s, queue, NET_STAT_CSUM_NEEDS);
    } else {
        ++*net_stat(s, queue, offload->data_valid ? NET_STAT_CSUM_VALID : NET_STAT_CSUM_NONE);
    }
    if (offload->gso != DEVEMU_GSO_NONE) {
        ++*net_stat(s, queue, NET_STAT_GSO_PACKETS);
        *net_stat(s, queue, NET_STAT_GSO_BYTES) += len;
    }
}

/* 5.1.4.1: no frame of more than mtu, beside the Ethernet header, unless it is to be cut. */
static bool is_too_long(const struct virtio_net *s, const DevemuNetOffload *offload,
                        const uint8_t *data, size_t len)
{
    size_t tag = data[12] == 0x81 && data[13] == 0 ? NET_VLAN_TAG : 0;

    return virtio_has(&s->v, NET_F_MTU) && offload->gso == DEVEMU_GSO_NONE &&
           len > s->mtu + NET_ETHERNET + tag;
}

static size_t drop(struct virtio_net *s, unsigned queue, size_t len, bool is_overrun)
{
    ++*net_stat(s, queue, NET_STAT_DROPS);
    *net_stat(s, queue, NET_STAT_DROPS_OTHER) += is_overrun;
    return len;
}

/* Nothing more comes before there are buffers: what was put off is due. */
static size_t refuse(struct virtio_net *s)
{
    s->starved = true;
    if (s->flush_pending != 0) {
        net_coal_flush(s, 0);
    }
    return 0;
}

static size_t deliver(struct virtio_net *s, unsigned queue, const DevemuNetOffload *offload,
                      const uint8_t *data, size_t len, const uint32_t *type_and_hash, bool more)
{
    DevemuVirtqueue *q = virtio_ready(&s->v, queue);
    DevemuVirtqueueChain chains[MERGED];
    uint8_t header[NET_HEADER_HASH];
    size_t header_len = net_header(s);
    int count = collect(s, q, header_len + len, chains);

    if (count <= 0) {
        if (devemu_virtqueue_broken(q) != NULL) {
            virtio_needs_reset(&s->v, devemu_virtqueue_broken(q));
            return drop(s, queue, len, false);
        }
        return count == FULL ? refuse(s) : drop(s, queue, len, true);
    }
    if (chains[0].writable_len < header_len) {
        virtio_needs_reset(&s->v, "receiveq: a buffer is too small for the header");
        return drop(s, queue, len, false);
    }
    make_header(offload, data, (unsigned)count, type_and_hash[0], type_and_hash[1], header);
    fill(q, chains, (unsigned)count, header, header_len, data, len);
    count_received(s, queue, offload, len);
    net_coal_used(s, queue, 1, more);
    return len;
}

/* from: the backend's queue, or -1 if it has but one. */
static size_t receive(struct virtio_net *s, int from, const DevemuNetOffload *offload,
                      const uint8_t *data, size_t len, bool more)
{
    uint32_t type_and_hash[2] = {0, 0};
    struct net_flow flow = {.is_ipv6 = false};
    int pair = 0;

    if (!virtio_running(&s->v) || s->link_down || len < NET_ETHERNET || len > NET_FRAME ||
        !net_wanted(s, data, len)) {
        return len;
    }
    if (is_too_long(s, offload, data, len)) {
        return drop(s, 0, len, false);
    }
    if (s->hash_types != 0 || s->pairs_max > 1) {
        if (net_flow_of(&flow, data, len)) {
            type_and_hash[0] = net_hash(s, &flow, &type_and_hash[1]);
        }
        pair = from < 0
                   ? net_steer(s, &flow, type_and_hash[0], type_and_hash[1])
                   : net_steer_queue(s, (unsigned)from, &flow, type_and_hash[0], type_and_hash[1]);
    } else if (virtio_ready(&s->v, 0) == NULL) {
        pair = -1;
    }
    if (pair < 0) {
        return drop(s, 0, len, false);
    }
    return deliver(s, 2 * (unsigned)pair, offload, data, len, type_and_hash, more);
}

size_t net_receive(void *state, const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                   bool more)
{
    return receive(state, -1, offload, data, len, more);
}

size_t net_receive_queue(void *state, unsigned pair, const DevemuNetOffload *offload,
                         const uint8_t *data, size_t len, bool more)
{
    return receive(state, (int)pair, offload, data, len, more);
}
