/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock.h: a small driver of the socket device: packets out, packets in.
 */
#ifndef TESTS_MODELS_VIRTIO_VSOCK_H
#define TESTS_MODELS_VIRTIO_VSOCK_H

#include "driver.h"

extern const DevemuModel devemu_model_virtio_vsock;

enum {
    RXQ,
    TXQ,
    EVENTQ,
    REQUEST = 1,
    RESPONSE = 2,
    RST = 3,
    SHUTDOWN = 4,
    RW = 5,
    CREDIT_UPDATE = 6,
    CREDIT_REQUEST = 7,
    STREAM = 1,
    SEQPACKET = 2,

    HEAD = 44,
    ROOM = 64, /* payload of a receive buffer */
    RX_AT = 0x60000,
    GUEST = 1000, /* ports */
    HOST = 52,
    ALLOC = 4096, /* what the driver has for each connection */
    TABLE = 128,  /* connections of the device */
};

#define FEATURES (VD_BIT(0) | VD_BIT(1) | VD_BIT(2))
#define OPEN(options)                                                                              \
    VdDriver driver = vd_new(&devemu_model_virtio_vsock, options);                                 \
    VdDriver *d = &driver;                                                                         \
    vd_start(d, FEATURES)

typedef struct Packet {
    uint64_t src, dst;
    uint32_t src_port, dst_port, len, flags, buf_alloc, fwd_cnt;
    uint16_t type, op;
    const uint8_t *data;
} Packet;

static unsigned rx_given;

static inline void give(VdDriver *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        vd_add(d, RXQ, &(VdPiece){RX_AT + rx_given++ % VD_SIZE * 0x100u, HEAD + ROOM, true}, 1);
    }
    vd_kick(d, RXQ);
}

static inline bool next(VdDriver *d, Packet *ret)
{
    uint32_t id, len;
    const uint8_t *b;

    if (!vd_used(d, RXQ, &id, &len)) {
        return false;
    }
    b = vd_at(d, devemu_le64(vd_at(d, vd_ring(RXQ) + id * 16)));
    *ret = (Packet){devemu_le64(b),
                    devemu_le64(b + 8),
                    devemu_le32(b + 16),
                    devemu_le32(b + 20),
                    devemu_le32(b + 24),
                    devemu_le32(b + 32),
                    devemu_le32(b + 36),
                    devemu_le32(b + 40),
                    devemu_le16(b + 28),
                    devemu_le16(b + 30),
                    b + HEAD};
    cr_assert_eq(len, HEAD + ret->len);
    return true;
}

/* 5.10.6.2: from the host to the guest, of this connection, and this op. */
static inline Packet expect(VdDriver *d, uint16_t op)
{
    Packet p = {0};

    cr_assert(next(d, &p), "op %u does not come", op);
    cr_assert_eq(p.op, op, "%u, not %u", p.op, op);
    cr_assert_eq(p.src, 2);
    cr_assert_eq(p.dst, 3);
    return p;
}

static inline void quiet(VdDriver *d)
{
    Packet p;

    cr_assert_not(next(d, &p));
}

static inline void put(VdDriver *d, Packet p)
{
    uint8_t *b = vd_at(d, VD_DATA);

    devemu_put_le64(b, p.src ? p.src : 3);
    devemu_put_le64(b + 8, p.dst ? p.dst : 2);
    devemu_put_le32(b + 16, p.src_port ? p.src_port : GUEST);
    devemu_put_le32(b + 20, p.dst_port ? p.dst_port : HOST);
    devemu_put_le32(b + 24, p.len);
    devemu_put_le16(b + 28, p.type ? p.type : STREAM);
    devemu_put_le16(b + 30, p.op);
    devemu_put_le32(b + 32, p.flags);
    devemu_put_le32(b + 36, p.buf_alloc ? p.buf_alloc : ALLOC);
    devemu_put_le32(b + 40, p.fwd_cnt);
    for (uint32_t i = 0; i < p.len; i++) {
        b[HEAD + i] = (uint8_t)(i * 7);
    }
}

static inline void tx(VdDriver *d, Packet p)
{
    uint32_t id, len;

    put(d, p);
    vd_add(d, TXQ, &(VdPiece){VD_DATA, HEAD + p.len, false}, 1);
    vd_kick(d, TXQ);
    cr_assert(vd_used(d, TXQ, &id, &len));
}

#endif
