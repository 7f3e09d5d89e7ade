/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packets.h: TCP and UDP over IPv4 and IPv6, made and checked by code that shares nothing with the
 * library's: sums go word by word.
 */
#ifndef TESTS_BACKENDS_PACKETS_H
#define TESTS_BACKENDS_PACKETS_H

#include <devemu/backend.h>

#include <criterion/criterion.h>
#include <glib.h>
#include <string.h>

#define PACKET_MAX 65597 /* an IPv6 datagram, with two VLAN tags */

typedef struct PacketKind {
    bool ipv6, udp;
    unsigned tags;       /* VLAN */
    unsigned ip_options; /* bytes: of IPv4, or of an extension header of IPv6 */
    unsigned tcp_options;
    uint8_t tcp_flags;
} PacketKind;

typedef struct Packet {
    uint8_t data[PACKET_MAX];
    size_t len;
    size_t ip, transport, payload; /* where they begin */
    DevemuNetOffload offload;
} Packet;

static inline void packet_put16(uint8_t *p, size_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline unsigned packet_get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t packet_words(uint32_t sum, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Of a transport segment of len bytes (RFC 9293, 3.1; RFC 8200, 8.1). */
static inline uint32_t packet_pseudo(const Packet *packet, const PacketKind *kind, size_t len)
{
    const uint8_t *addresses = packet->data + packet->ip + (kind->ipv6 ? 8 : 12);
    uint8_t rest[8] = {0};
    uint32_t sum = packet_words(0, addresses, kind->ipv6 ? 32 : 8);

    packet_put16(rest, len >> 16);
    packet_put16(rest + 2, len & 0xffff);
    rest[7] = kind->udp ? 17 : 6;
    return packet_words(sum, rest, sizeof(rest));
}

static inline size_t packet_make_ip(Packet *packet, const PacketKind *kind, size_t payload)
{
    uint8_t *ip = packet->data + packet->ip;
    uint8_t protocol = kind->udp ? 17 : 6;
    size_t header = (kind->ipv6 ? 40 : 20) + kind->ip_options;

    if (kind->ipv6) {
        ip[0] = 0x60;
        packet_put16(ip + 4, header - 40 + payload);
        ip[6] = kind->ip_options ? 0 : protocol; /* hop-by-hop options */
        ip[7] = 64;
        for (unsigned i = 0; i < 32; i++) {
            ip[8 + i] = (uint8_t)(i * 7 + 3);
        }
        if (kind->ip_options) {
            ip[40] = protocol;
            ip[41] = (uint8_t)(kind->ip_options / 8 - 1);
        }
        return header;
    }
    ip[0] = (uint8_t)(0x40 | header / 4);
    packet_put16(ip + 2, MIN(header + payload, 0xffff));
    packet_put16(ip + 4, 0xfffe); /* goes round */
    ip[6] = 0x40;                 /* DF */
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, (const uint8_t[]){10, 0, 2, 15, 192, 168, 1, 77}, 8);
    memset(ip + 20, 1, kind->ip_options);
    packet_put16(ip + 10, 0xffff ^ packet_words(0, ip, header));
    return header;
}

static inline void packet_make_transport(Packet *packet, const PacketKind *kind)
{
    uint8_t *t = packet->data + packet->transport;
    size_t len = packet->len - packet->transport;

    packet_put16(t, 0x1234);
    packet_put16(t + 2, 80);
    if (kind->udp) {
        packet_put16(t + 4, MIN(len, 0xffff));
    } else {
        memcpy(t + 4, "\xff\xff\xfd\x00", 4); /* goes round, too */
        memcpy(t + 8, "\x01\x02\x03\x04", 4);
        t[12] = (uint8_t)((20 + kind->tcp_options) / 4 << 4);
        t[13] = kind->tcp_flags;
        packet_put16(t + 14, 4096);
        memset(t + 20, 1, kind->tcp_options);
    }
}

/* A packet of so many bytes of payload, its checksum left to others; gso_size 0: not to be cut. */
static inline void packet_make(Packet *packet, const PacketKind *kind, size_t payload,
                               unsigned gso_size)
{
    size_t header = kind->udp ? 8 : 20 + kind->tcp_options;
    size_t offset = kind->udp ? 6 : 16;

    memset(packet, 0, sizeof(*packet));
    packet->ip = 14 + 4 * (size_t)kind->tags;
    memcpy(packet->data, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12);
    for (unsigned i = 0; i < kind->tags; i++) {
        packet_put16(packet->data + 12 + 4 * i, i + 1 < kind->tags ? 0x88a8 : 0x8100);
        packet_put16(packet->data + 14 + 4 * i, 0x0123);
    }
    packet_put16(packet->data + packet->ip - 2, kind->ipv6 ? 0x86dd : 0x0800);
    packet->transport = packet->ip + packet_make_ip(packet, kind, header + payload);
    packet->payload = packet->transport + header;
    packet->len = packet->payload + payload;
    cr_assert_leq(packet->len, PACKET_MAX);
    packet_make_transport(packet, kind);
    for (size_t i = 0; i < payload; i++) {
        packet->data[packet->payload + i] = (uint8_t)(i * 31 + i / 251);
    }
    packet_put16(packet->data + packet->transport + offset,
                 packet_pseudo(packet, kind, packet->len - packet->transport));
    packet->offload = (DevemuNetOffload){
        .needs_csum = true,
        .csum_start = (uint16_t)packet->transport,
        .csum_offset = (uint16_t)offset,
        .gso_size = (uint16_t)gso_size,
        .hdr_len = (uint16_t)packet->payload,
    };
    if (gso_size) {
        packet->offload.gso = kind->udp    ? DEVEMU_GSO_UDP
                              : kind->ipv6 ? DEVEMU_GSO_TCPV6
                                           : DEVEMU_GSO_TCPV4;
    }
}

/* Are lengths and checksums of a plain frame of this kind right? */
static inline void packet_check(const PacketKind *kind, const uint8_t *data, size_t len)
{
    Packet whole = {.ip = 14 + 4 * (size_t)kind->tags};
    const uint8_t *ip = whole.data + whole.ip;
    size_t transport = whole.ip + (kind->ipv6 ? 40 : 20) + kind->ip_options;

    memcpy(whole.data, data, len);
    if (kind->ipv6) {
        cr_assert_eq(packet_get16(ip + 4), len - whole.ip - 40);
    } else {
        cr_assert_eq(packet_get16(ip + 2), len - whole.ip);
        cr_assert_eq(packet_words(0, ip, transport - whole.ip), 0xffff);
    }
    if (kind->udp) {
        cr_assert_eq(packet_get16(data + transport + 4), len - transport);
        cr_assert_neq(packet_get16(data + transport + 6), 0, "0 is no checksum");
    }
    cr_assert_eq(packet_words(packet_pseudo(&whole, kind, len - transport), data + transport,
                              len - transport),
                 0xffff);
}

#endif
