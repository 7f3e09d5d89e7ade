/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock-packet.c: connections of the virtio socket device, and packets to its guest.
 */
#include "vsock.h"

/* --- packets in memory: 5.10.6 -------------------------------------------------------- */

bool vsock_load(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, Packet *ret)
{
    uint8_t b[HEAD];

    if (devemu_virtqueue_read(q, chain, 0, b, HEAD) < HEAD) {
        return false;
    }
    *ret = (Packet){
        .src_cid = devemu_le64(b),
        .dst_cid = devemu_le64(b + 8),
        .guest_port = devemu_le32(b + 16),
        .host_port = devemu_le32(b + 20),
        .len = devemu_le32(b + 24),
        .type = devemu_le16(b + 28),
        .op = devemu_le16(b + 30),
        .flags = devemu_le32(b + 32),
        .buf_alloc = devemu_le32(b + 36),
        .fwd_cnt = devemu_le32(b + 40),
    };
    return true;
}

static void packet_store(const struct virtio_vsock *s, const Packet *p, uint8_t *b)
{
    devemu_put_le64(b, HOST_CID);
    devemu_put_le64(b + 8, s->guest_cid);
    devemu_put_le32(b + 16, p->host_port);
    devemu_put_le32(b + 20, p->guest_port);
    devemu_put_le32(b + 24, p->len);
    devemu_put_le16(b + 28, p->type);
    devemu_put_le16(b + 30, p->op);
    devemu_put_le32(b + 32, p->flags);
    devemu_put_le32(b + 36, p->buf_alloc);
    devemu_put_le32(b + 40, p->fwd_cnt);
}

bool vsock_put(struct virtio_vsock *s, Packet *p, const uint8_t *data, size_t *len)
{
    DevemuVirtqueue *q = virtio_ready(&s->v, RXQ);
    DevemuVirtqueueChain chain;
    uint8_t head[HEAD];

    for (unsigned n = 0; q != NULL && n < QUEUE_SIZE; n++) {
        if (devemu_virtqueue_pop(q, &chain, 1) == 0 &&
            (!devemu_virtqueue_listen(q) || devemu_virtqueue_pop(q, &chain, 1) == 0)) {
            break;
        }
        if (chain.writable_len < HEAD + (*len > 0)) {
            devemu_guest_error(s->v.dev, "rx: a buffer is shorter than a packet");
            devemu_virtqueue_push(q, &chain, 0);
            continue;
        }
        if (*len > chain.writable_len - HEAD) {
            *len = (size_t)(chain.writable_len - HEAD);
            p->flags = 0; /* the message goes on */
        }
        p->len = (uint32_t)*len;
        packet_store(s, p, head);
        devemu_virtqueue_write(q, &chain, 0, head, HEAD);
        devemu_virtqueue_write(q, &chain, HEAD, data, *len);
        devemu_virtqueue_push(q, &chain, (uint32_t)(HEAD + *len));
        return true;
    }
    s->starved = true;
    return false;
}

/* --- connections ---------------------------------------------------------------------- */

unsigned vsock_find(const struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port)
{
    unsigned i = 0;

    while (i < CONNECTIONS && (s->state[i] == FREE || s->guest_port[i] != guest_port ||
                               s->host_port[i] != host_port)) {
        i++;
    }
    return i;
}

unsigned vsock_new(struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port, uint8_t type,
                   uint8_t state)
{
    unsigned i = 0;

    while (i < CONNECTIONS && s->state[i] != FREE) {
        i++;
    }
    if (i < CONNECTIONS) {
        s->ends_ns[i] = DEVEMU_NEVER;
        s->guest_port[i] = guest_port;
        s->host_port[i] = host_port;
        s->peer_alloc[i] = s->peer_fwd[i] = s->sent[i] = 0;
        s->came[i] = s->gone[i] = s->told[i] = 0;
        s->state[i] = state;
        s->type[i] = type;
        s->tell[i] = s->guest_shut[i] = s->host_shut[i] = 0;
    }
    return i;
}

void vsock_free(struct virtio_vsock *s, unsigned i)
{
    s->state[i] = FREE;
    s->tell[i] = 0;
    s->ends_ns[i] = DEVEMU_NEVER;
}

void vsock_message(struct virtio_vsock *s, unsigned i, DevemuVsockOp op, uint8_t flags)
{
    const DevemuVsockMessage m = {
        .op = (uint8_t)op,
        .type = s->type[i],
        .flags = flags,
        .guest_port = s->guest_port[i],
        .host_port = s->host_port[i],
        .limit = s->peer_fwd[i] + s->peer_alloc[i],
    };

    devemu_send_vsock(s->v.dev, &m);
}

void vsock_end(struct virtio_vsock *s, unsigned i)
{
    s->state[i] = ENDING;
    s->tell[i] = TELL_RST;
    s->ends_ns[i] = DEVEMU_NEVER;
}

void vsock_break_off(struct virtio_vsock *s, unsigned i)
{
    vsock_message(s, i, DEVEMU_VSOCK_CLOSE, 0);
    vsock_end(s, i);
}

uint32_t vsock_peer_free(const struct virtio_vsock *s, unsigned i)
{
    uint32_t in_use = s->sent[i] - s->peer_fwd[i];

    return in_use <= s->peer_alloc[i] ? s->peer_alloc[i] - in_use : 0;
}

/* --- what the guest is to hear --------------------------------------------------------- */

static uint16_t op_of(unsigned tell)
{
    static const uint16_t ops[] = {OP_REQUEST,        OP_RESPONSE, OP_CREDIT_UPDATE,
                                   OP_CREDIT_REQUEST, OP_SHUTDOWN, OP_RST};

    return ops[__builtin_ctz(tell)];
}

static bool tell_one(struct virtio_vsock *s, unsigned i)
{
    unsigned tell = s->tell[i] & -(unsigned)s->tell[i];
    Packet p = {
        .guest_port = s->guest_port[i],
        .host_port = s->host_port[i],
        .type = s->type[i],
        .op = op_of(tell),
        .flags = tell == TELL_SHUTDOWN ? s->host_shut[i] : 0,
        .buf_alloc = DEVEMU_VSOCK_BUFFER,
        .fwd_cnt = s->gone[i],
    };
    size_t none = 0;

    if (!vsock_put(s, &p, NULL, &none)) {
        return false;
    }
    s->told[i] = s->gone[i];
    s->tell[i] &= (uint8_t)~tell;
    if (tell == TELL_RST) {
        vsock_free(s, i);
    }
    return true;
}

static bool tell_reply(struct virtio_vsock *s)
{
    Packet p = {
        .guest_port = s->reply_guest[s->reply_at],
        .host_port = s->reply_host[s->reply_at],
        .type = s->reply_type[s->reply_at],
        .op = OP_RST,
    };
    size_t none = 0;

    if (!vsock_put(s, &p, NULL, &none)) {
        return false;
    }
    s->reply_at = (uint8_t)((s->reply_at + 1) % REPLIES);
    s->reply_count--;
    return true;
}

bool vsock_tell(struct virtio_vsock *s)
{
    while (s->reply_count > 0) {
        if (!tell_reply(s)) {
            return false;
        }
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        while (s->tell[i] != 0) {
            if (!tell_one(s, i)) {
                return false;
            }
        }
    }
    return true;
}

void vsock_reply(struct virtio_vsock *s, const Packet *p)
{
    unsigned at = (s->reply_at + s->reply_count) % REPLIES;

    s->reply_guest[at] = p->guest_port;
    s->reply_host[at] = p->host_port;
    s->reply_type[at] = (uint8_t)p->type;
    s->reply_count++;
}
