/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock-tx.c: what the guest of a virtio socket device sends.
 */
#include "vsock.h"

/* --- what the guest sends: 5.10.6.4 to 5.10.6.6 ------------------------------------------ */

bool vsock_type_known(const struct virtio_vsock *s, unsigned type)
{
    if (type == DEVEMU_VSOCK_STREAM) {
        return virtio_has(&s->v, F_STREAM) || !virtio_has(&s->v, F_NO_IMPLIED_STREAM);
    }
    return type == DEVEMU_VSOCK_SEQPACKET && virtio_has(&s->v, F_SEQPACKET);
}

static void request(struct virtio_vsock *s, const Packet *p)
{
    unsigned i = vsock_new(s, p->guest_port, p->host_port, (uint8_t)p->type, ASKED);

    if (i == CONNECTIONS) {
        vsock_reply(s, p);
        return;
    }
    s->peer_alloc[i] = p->buf_alloc;
    s->peer_fwd[i] = p->fwd_cnt;
    vsock_message(s, i, DEVEMU_VSOCK_CONNECT, 0);
}

static void data(struct virtio_vsock *s, unsigned i, const Packet *p,
                 const DevemuVirtqueueChain *chain)
{
    DevemuVirtqueue *q = devemu_virtio_queue(s->v.dev, TXQ);
    uint8_t flags = p->type == DEVEMU_VSOCK_SEQPACKET ? p->flags & 3 : 0;
    uint8_t bytes[CHUNK];
    DevemuVsockMessage m = {
        .op = DEVEMU_VSOCK_DATA,
        .type = s->type[i],
        .guest_port = s->guest_port[i],
        .host_port = s->host_port[i],
        .data = bytes,
    };

    /* 5.10.6.3: not more than there is room for. */
    if (p->len > DEVEMU_VSOCK_BUFFER - (s->came[i] - s->gone[i]) ||
        p->len > chain->readable_len - HEAD || (s->guest_shut[i] & DEVEMU_VSOCK_NO_SEND)) {
        devemu_guest_error(s->v.dev, "tx: more data than there are, or than there is room for");
        vsock_break_off(s, i);
        return;
    }
    for (uint32_t at = 0; at < p->len || (p->len == 0 && at == 0 && flags); at += (uint32_t)m.len) {
        m.len = p->len - at < CHUNK ? p->len - at : CHUNK;
        if (devemu_virtqueue_read(q, chain, HEAD + (uint64_t)at, bytes, m.len) < m.len) {
            vsock_break_off(s, i);
            return;
        }
        m.flags = at + m.len == p->len ? flags : 0;
        devemu_send_vsock(s->v.dev, &m);
        if (m.len == 0) {
            break;
        }
    }
    s->came[i] += p->len;
}

static void shut(struct virtio_vsock *s, unsigned i, const Packet *p)
{
    uint8_t flags = p->flags & SHUTDOWN_BOTH;

    s->guest_shut[i] |= flags;
    vsock_message(s, i, DEVEMU_VSOCK_SHUTDOWN, s->guest_shut[i]);
}

/* Of an open connection. */
static void open_packet(struct virtio_vsock *s, unsigned i, const Packet *p,
                        const DevemuVirtqueueChain *chain)
{
    switch (p->op) {
    case OP_RW:
        data(s, i, p, chain);
        break;
    case OP_SHUTDOWN:
        shut(s, i, p);
        break;
    case OP_CREDIT_REQUEST:
        s->tell[i] |= TELL_CREDIT;
        break;
    case OP_CREDIT_UPDATE:
        break;
    default:
        devemu_guest_error(s->v.dev, "tx: op is none for this connection");
        vsock_break_off(s, i);
        break;
    }
}

/* Every packet tells of the guest's room. */
static void credit(struct virtio_vsock *s, unsigned i, const Packet *p)
{
    bool news = s->peer_alloc[i] != p->buf_alloc || s->peer_fwd[i] != p->fwd_cnt;

    s->peer_alloc[i] = p->buf_alloc;
    s->peer_fwd[i] = p->fwd_cnt;
    if (news && s->state[i] == OPEN) {
        vsock_message(s, i, DEVEMU_VSOCK_CREDIT, 0);
    }
}

static void packet(struct virtio_vsock *s, const Packet *p, const DevemuVirtqueueChain *chain)
{
    unsigned i = vsock_find(s, p->guest_port, p->host_port);

    if (i < CONNECTIONS && s->state[i] == ENDING) {
        if (p->op == OP_RST) {
            vsock_free(s, i);
        } /* else RST is the answer, and on its way */
    } else if (p->op == OP_RST) {
        if (i < CONNECTIONS) {
            vsock_message(s, i, DEVEMU_VSOCK_CLOSE, 0);
            vsock_free(s, i);
        }
    } else if (!vsock_type_known(s, p->type) || (i < CONNECTIONS && s->type[i] != p->type)) {
        vsock_reply(s, p);
    } else if (i == CONNECTIONS && p->op == OP_REQUEST) {
        request(s, p);
    } else if (i == CONNECTIONS) {
        vsock_reply(s, p);
    } else if (s->state[i] == CALLING && p->op == OP_RESPONSE && !(s->tell[i] & TELL_REQUEST)) {
        s->state[i] = OPEN;
        s->peer_alloc[i] = p->buf_alloc;
        s->peer_fwd[i] = p->fwd_cnt;
        vsock_message(s, i, DEVEMU_VSOCK_ACCEPT, 0);
    } else if (s->state[i] == OPEN) {
        credit(s, i, p);
        open_packet(s, i, p, chain);
    } else {
        devemu_guest_error(s->v.dev, "tx: op is none for a connection that is not open");
        vsock_break_off(s, i);
    }
}

/* 5.10.6.1.2: as long as there is room for a reply. */
void vsock_transmit(struct virtio_vsock *s)
{
    DevemuVirtqueue *q = virtio_ready(&s->v, TXQ);
    DevemuVirtqueueChain chain;
    unsigned budget = QUEUE_SIZE;
    Packet p;

    while (q != NULL && s->reply_count < REPLIES) {
        if (budget == 0) {
            virtio_again(&s->v, TXQ);
            break;
        }
        if (devemu_virtqueue_pop(q, &chain, 1) == 0 &&
            (!devemu_virtqueue_listen(q) || devemu_virtqueue_pop(q, &chain, 1) == 0)) {
            break;
        }
        budget--;
        if (!vsock_load(q, &chain, &p)) {
            devemu_guest_error(s->v.dev, "tx: a packet without a header");
        } else if (p.src_cid != s->guest_cid || p.dst_cid != HOST_CID) {
            devemu_guest_error(s->v.dev, "tx: not from the guest's CID to the host's");
        } else {
            packet(s, &p, &chain);
        }
        devemu_virtqueue_push(q, &chain, 0);
        if (s->reply_count == REPLIES) {
            vsock_tell(s);
        }
    }
    virtio_flush(&s->v, TXQ);
}
