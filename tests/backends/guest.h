/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest.h: the few frames that a guest at 10.0.2.15 sends and understands in the tests.
 */
#ifndef TESTS_BACKENDS_GUEST_H
#define TESTS_BACKENDS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GUEST_IP   0x0a00020f
#define GUEST_HOST 0x0a000202
#define GUEST_DNS  0x0a000203

/* Offsets in a frame. */
enum {
    ETH_TYPE = 12,
    IP = 14,
    IP_PROTOCOL = IP + 9,
    IP_SOURCE = IP + 12,
    L4 = IP + 20, /* without IP options */
    UDP_DATA = L4 + 8,
    ARP_OP = IP + 6,
    ARP_SENDER_MAC = IP + 8,
    ARP_SENDER_IP = IP + 14,
    ARP_TARGET_IP = IP + 24,
};

static const uint8_t guest_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static inline void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value & 0xffff);
}

static inline unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* The Internet checksum (RFC 1071) of bytes added to sum. */
static inline unsigned checksum(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2) {
        sum += get16(p + i);
    }
    if (len & 1) {
        sum += (unsigned)p[len - 1] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum & 0xffff;
}

static inline void guest_ethernet(uint8_t *frame, const uint8_t *to, unsigned type)
{
    if (to) {
        memcpy(frame, to, 6);
    } else {
        memset(frame, 0xff, 6);
    }
    memcpy(frame + 6, guest_mac, 6);
    put16(frame + ETH_TYPE, type);
}

/* op 1 asks for ip, op 2 answers who asked. Returns the length. */
static inline size_t guest_arp(uint8_t *frame, unsigned op, uint32_t ip)
{
    memset(frame, 0, 60);
    guest_ethernet(frame, NULL, 0x0806);
    put16(frame + IP, 1);
    put16(frame + IP + 2, 0x0800);
    frame[IP + 4] = 6;
    frame[IP + 5] = 4;
    put16(frame + ARP_OP, op);
    memcpy(frame + ARP_SENDER_MAC, guest_mac, 6);
    put32(frame + ARP_SENDER_IP, GUEST_IP);
    put32(frame + ARP_TARGET_IP, ip);
    return 60;
}

static inline size_t guest_ip(uint8_t *frame, uint32_t from, uint32_t to, uint8_t protocol,
                              size_t payload)
{
    /* libslirp's stations are 52:55 and the address */
    uint8_t mac[6] = {0x52, 0x55};

    put32(mac + 2, to);
    guest_ethernet(frame, to == UINT32_MAX ? NULL : mac, 0x0800);
    memset(frame + IP, 0, 20);
    frame[IP] = 0x45;
    put16(frame + IP + 2, (unsigned)(20 + payload));
    frame[IP + 8] = 64;
    frame[IP_PROTOCOL] = protocol;
    put32(frame + IP_SOURCE, from);
    put32(frame + IP_SOURCE + 4, to);
    put16(frame + IP + 10, checksum(frame + IP, 20, 0));
    return IP + 20 + payload;
}

static inline size_t guest_ping(uint8_t *frame, uint32_t to, unsigned sequence)
{
    uint8_t *icmp = frame + L4;

    memset(icmp, 0, 8);
    icmp[0] = 8;
    put16(icmp + 4, 0x1234);
    put16(icmp + 6, sequence);
    memset(icmp + 8, 'p', 32);
    put16(icmp + 2, checksum(icmp, 40, 0));
    return guest_ip(frame, GUEST_IP, to, 1, 40);
}

static inline size_t guest_udp(uint8_t *frame, uint32_t from, uint32_t to, unsigned from_port,
                               unsigned to_port, const void *data, size_t len)
{
    uint8_t *udp = frame + L4;

    put16(udp, from_port);
    put16(udp + 2, to_port);
    put16(udp + 4, (unsigned)(8 + len));
    put16(udp + 6, 0); /* none */
    memcpy(udp + 8, data, len);
    return guest_ip(frame, from, to, 17, 8 + len);
}

static inline size_t guest_dhcp_discover(uint8_t *frame)
{
    uint8_t bootp[300] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};

    memcpy(bootp + 28, guest_mac, 6);
    memcpy(bootp + 236, options, sizeof(options));
    return guest_udp(frame, 0, UINT32_MAX, 68, 67, bootp, sizeof(bootp));
}

static inline size_t guest_tftp_read(uint8_t *frame, const char *name)
{
    uint8_t request[128] = {0, 1};
    size_t len = strlen(name) + 1;

    memcpy(request + 2, name, len);
    memcpy(request + 2 + len, "octet", 6);
    return guest_udp(frame, GUEST_IP, GUEST_HOST, 2000, 69, request, 2 + len + 6);
}

static inline size_t guest_tftp_ack(uint8_t *frame, unsigned block)
{
    uint8_t ack[4] = {0, 4};

    put16(ack + 2, block);
    return guest_udp(frame, GUEST_IP, GUEST_HOST, 2000, 69, ack, 4);
}

static inline bool is_arp(const uint8_t *frame, size_t len, unsigned op)
{
    return len >= IP + 28 && get16(frame + ETH_TYPE) == 0x0806 && get16(frame + ARP_OP) == op;
}

static inline bool is_udp(const uint8_t *frame, size_t len)
{
    return len >= UDP_DATA && get16(frame + ETH_TYPE) == 0x0800 && frame[IP_PROTOCOL] == 17;
}

#endif
