/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock.h: inside the virtio socket device. Sections are those of virtio 1.4.
 */
#ifndef DEVEMU_MODELS_VIRTIO_VSOCK_H
#define DEVEMU_MODELS_VIRTIO_VSOCK_H

#include "virtio.h"

enum {
    RXQ,
    TXQ,
    EVENTQ,
    QUEUES,
    QUEUE_SIZE = 256,

    F_STREAM = 0,
    F_SEQPACKET = 1,
    F_NO_IMPLIED_STREAM = 2,

    CONNECTIONS = 128,
    REPLIES = 64,
    HEAD = 44,
    HOST_CID = 2,
    CHUNK = 4096,

    OP_REQUEST = 1,
    OP_RESPONSE = 2,
    OP_RST = 3,
    OP_SHUTDOWN = 4,
    OP_RW = 5,
    OP_CREDIT_UPDATE = 6,
    OP_CREDIT_REQUEST = 7,

    SHUTDOWN_BOTH = DEVEMU_VSOCK_NO_RECEIVE | DEVEMU_VSOCK_NO_SEND,
};

/* Time to answer, for a clean disconnect (5.10.6.5). Linux gives as much. */
#define END_NS UINT64_C(8000000000)

/* Of a connection. */
enum {
    FREE,
    ASKED,   /* the guest asked the host */
    CALLING, /* the host asked the guest */
    OPEN,
    ENDING, /* the guest is to hear RST, and nothing else */
    STATES,
};

/* What the guest is to hear, in this order. */
enum {
    TELL_REQUEST = 1 << 0,
    TELL_RESPONSE = 1 << 1,
    TELL_CREDIT = 1 << 2,
    ASK_CREDIT = 1 << 3,
    TELL_SHUTDOWN = 1 << 4,
    TELL_RST = 1 << 5,
    TELL_ALL = 0x3f,
};

struct virtio_vsock {
    VirtioDevice v;
    uint64_t guest_cid; /* property */
    uint64_t end_ns;    /* timer: the earliest of `ends_ns` */
    uint64_t ends_ns[CONNECTIONS];
    uint32_t guest_port[CONNECTIONS], host_port[CONNECTIONS];
    uint32_t peer_alloc[CONNECTIONS], peer_fwd[CONNECTIONS]; /* as the guest said */
    uint32_t sent[CONNECTIONS];                              /* bytes to the guest */
    uint32_t came[CONNECTIONS], gone[CONNECTIONS];           /* from it, and on from the backend */
    uint32_t told[CONNECTIONS];                              /* `gone` as the guest knows it */
    uint8_t state[CONNECTIONS], type[CONNECTIONS], tell[CONNECTIONS];
    uint8_t guest_shut[CONNECTIONS], host_shut[CONNECTIONS];
    /* RST for connections that are not there. */
    uint32_t reply_guest[REPLIES], reply_host[REPLIES];
    uint8_t reply_type[REPLIES];
    uint8_t reply_at, reply_count;
    bool transport_reset; /* the event is to be told */
    bool seqpacket;       /* property */
    bool starved;         /* the guest has no buffer for what it is to hear */
    uint8_t unused[3];
};

typedef struct Packet {
    uint64_t src_cid, dst_cid;
    uint32_t guest_port, host_port;
    uint32_t len;
    uint16_t type, op;
    uint32_t flags;
    uint32_t buf_alloc, fwd_cnt;
} Packet;

/* --- vsock-packet.c: connections, and packets to the guest ------------------------------ */

bool vsock_load(DevemuVirtqueue *q, const DevemuVirtqueueChain *chain, Packet *ret);
/* A packet to the guest, with as much of data as its buffer holds: *len bytes. False: there is no
 * buffer. One that does not hold a header is given back empty. */
bool vsock_put(struct virtio_vsock *s, Packet *p, const uint8_t *data, size_t *len);
/* CONNECTIONS: there is none. */
unsigned vsock_find(const struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port);
unsigned vsock_new(struct virtio_vsock *s, uint32_t guest_port, uint32_t host_port, uint8_t type,
                   uint8_t state);
void vsock_free(struct virtio_vsock *s, unsigned i);
/* To the backend. */
void vsock_message(struct virtio_vsock *s, unsigned i, DevemuVsockOp op, uint8_t flags);
/* The guest hears RST. */
void vsock_end(struct virtio_vsock *s, unsigned i);
/* So does the backend. */
void vsock_break_off(struct virtio_vsock *s, unsigned i);
/* 5.10.6.3: bytes for which the guest has room. What it says may be nonsense: then none. */
uint32_t vsock_peer_free(const struct virtio_vsock *s, unsigned i);
/* All that the guest is to hear; false if a buffer is missing. */
bool vsock_tell(struct virtio_vsock *s);
/* RST where there is no connection; there is room for it. */
void vsock_reply(struct virtio_vsock *s, const Packet *p);

/* --- vsock-tx.c: what the guest sends --------------------------------------------------- */

/* 5.10.3.2: a stream socket is implied unless the driver knows that it is not. */
bool vsock_type_known(const struct virtio_vsock *s, unsigned type);
void vsock_transmit(struct virtio_vsock *s);

#endif
