/* SPDX-License-Identifier: BSD-3-Clause */
/* net-driver.h: what a driver of the network device does, for tests. */
#ifndef TESTS_MODELS_VIRTIO_NET_DRIVER_H
#define TESTS_MODELS_VIRTIO_NET_DRIVER_H

#include "../../backends/packets.h"
#include "driver.h"

extern const DevemuModel devemu_model_virtio_net;

/* Feature bits, by the names of 5.1.3. */
enum {
    F_CSUM = 0,
    F_GUEST_CSUM = 1,
    F_CTRL_GUEST_OFFLOADS = 2,
    F_MTU = 3,
    F_MAC = 5,
    F_GUEST_TSO4 = 7,
    F_GUEST_TSO6 = 8,
    F_GUEST_ECN = 9,
    F_HOST_TSO4 = 11,
    F_HOST_TSO6 = 12,
    F_HOST_ECN = 13,
    F_MRG_RXBUF = 15,
    F_STATUS = 16,
    F_CTRL_VQ = 17,
    F_CTRL_RX = 18,
    F_CTRL_VLAN = 19,
    F_CTRL_RX_EXTRA = 20,
    F_GUEST_ANNOUNCE = 21,
    F_MQ = 22,
    F_CTRL_MAC_ADDR = 23,
    F_DEVICE_STATS = 50,
    F_VQ_NOTF_COAL = 52,
    F_NOTF_COAL = 53,
    F_GUEST_USO4 = 54,
    F_GUEST_USO6 = 55,
    F_HOST_USO = 56,
    F_HASH_REPORT = 57,
    F_RSS = 60,
    F_SPEED_DUPLEX = 63,
};

enum {
    ND_COMMAND = VD_DATA - 0x8000, /* where commands are made */
    ND_ANSWER = VD_DATA - 0x4000,
    ND_OK = 0,
    ND_ERR = 1,
    ND_NO_ANSWER = 0x99,
};

/* A device with these options and features, running. */
#define ND_OPEN(options, features)                                                                 \
    VdDriver driver = vd_new(&devemu_model_virtio_net, (options));                                 \
    VdDriver *d = &driver;                                                                         \
    vd_start(d, (features))

static inline bool nd_has(const VdDriver *d, unsigned feature)
{
    return d->features >> feature & 1;
}

static inline uint64_t nd_config(VdDriver *d, uint64_t at, unsigned size)
{
    return devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, at, size);
}

/* 5.1.2 */
static inline unsigned nd_control_queue(VdDriver *d)
{
    return nd_has(d, F_MQ) || nd_has(d, F_RSS) ? 2 * (unsigned)nd_config(d, 8, 2) : 2;
}

/* A command; `answer` bytes are wanted behind the ack, which is returned. *ret_written: bytes that
 * the device says it wrote. */
static inline uint8_t nd_ask(VdDriver *d, unsigned class, unsigned command, const void *data,
                             size_t len, size_t answer, uint32_t *ret_written)
{
    uint8_t *at = vd_at(d, ND_COMMAND);
    const VdPiece pieces[] = {{ND_COMMAND, 2, false},
                              {ND_COMMAND + 2, (uint32_t)len, false},
                              {ND_ANSWER, 1 + (uint32_t)answer, true}};
    const VdPiece short_pieces[] = {pieces[0], pieces[2]};

    at[0] = (uint8_t) class;
    at[1] = (uint8_t)command;
    if (len > 0) {
        memcpy(at + 2, data, len);
    }
    memset(vd_at(d, ND_ANSWER), ND_NO_ANSWER, 1 + answer);
    *ret_written =
        vd_call(d, nd_control_queue(d), len > 0 ? pieces : short_pieces, len > 0 ? 3 : 2);
    return *vd_at(d, ND_ANSWER);
}

static inline uint8_t nd_command(VdDriver *d, unsigned class, unsigned command, const void *data,
                                 size_t len)
{
    uint32_t written;
    uint8_t ack = nd_ask(d, class, command, data, len, 0, &written);

    cr_assert_eq(written, 1);
    return ack;
}

/* Empty receive buffers of one piece, one behind the other. */
static inline void nd_fill(VdDriver *d, unsigned queue, unsigned count, uint32_t size, uint64_t at)
{
    for (unsigned i = 0; i < count; i++) {
        memset(vd_at(d, at + (uint64_t)i * size), 0xee, size);
        vd_add(d, queue, &(VdPiece){at + (uint64_t)i * size, size, true}, 1);
    }
    vd_kick(d, queue);
}

/* Where the first piece of a buffer is. */
static inline uint8_t *nd_buffer(VdDriver *d, unsigned queue, uint32_t id)
{
    return vd_at(d, devemu_le64(vd_at(d, vd_ring(queue) + id * 16u)));
}

/* The next used buffer of a queue; NULL if there is none. */
static inline uint8_t *nd_used(VdDriver *d, unsigned queue, uint32_t *ret_len)
{
    uint32_t id;

    return vd_used(d, queue, &id, ret_len) ? nd_buffer(d, queue, id) : NULL;
}

/* A frame of len bytes, to a station that ends in `to`. */
static inline void nd_frame(uint8_t *frame, size_t len, uint8_t first, uint8_t to)
{
    for (size_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 7);
    }
    memcpy(frame, (const uint8_t[]){first, 0x54, 0, 0x12, 0x34, to, 2, 0, 0, 0, 0, 9, 0x88, 0xb5},
           14);
}

/* Offer a frame; true if one was put into receive queue `queue`. */
static inline bool nd_arrives(VdDriver *d, unsigned queue, const uint8_t *frame, size_t len)
{
    uint32_t written;

    devemu_fake_receive(d->fake, frame, len);
    return nd_used(d, queue, &written) != NULL;
}

/* Send header and frame as pieces of these lengths (the last one takes the rest). */
static inline void nd_send(VdDriver *d, unsigned queue, const uint8_t *header, size_t header_len,
                           const uint8_t *frame, size_t len, uint32_t first, uint32_t second)
{
    uint64_t at = VD_DATA + 0x80000;
    uint32_t total = (uint32_t)(header_len + len);
    VdPiece pieces[3] = {{at, first, false}, {at + first, second, false}};

    memcpy(vd_at(d, at), header, header_len);
    memcpy(vd_at(d, at + header_len), frame, len);
    pieces[2] = (VdPiece){at + first + second, total - first - second, false};
    cr_assert_eq(vd_call(d, queue, pieces, 3), 0, "nothing is written to what is sent");
}

#endif
