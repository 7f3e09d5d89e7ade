/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-offload.c: checksums and segmentation in software.
 *
 * A frame and what is said of it come from a guest, or from a guest's guest: all is checked before
 * the first piece is made, and the pieces are bounded by GSO_SIZE_MIN.
 */
#include "net-offload.h"

#include <devemu/model.h>

#include <glib.h>

/* A smaller gso_size is refused. Linux refuses the same (TCP_MIN_GSO_SIZE); so a frame of 64 KiB
 * makes 8192 pieces at most. */
#define GSO_SIZE_MIN 8

#define ETHERTYPE_AT  12
#define MAC_HEADER    14
#define VLAN_TAG      4
#define VLAN_TAGS_MAX 2
#define IPV4_HEADER   20
#define IPV6_HEADER   40
#define TCP_HEADER    20
#define UDP_HEADER    8

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TYPE_CVLAN = 0x8100,
    TYPE_SVLAN = 0x88a8,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    TCP_CHECKSUM = 16, /* of the header: csum_offset */
    UDP_CHECKSUM = 6,
    TCP_FLAGS = 13,
    TCP_FIN = 0x01,
    TCP_PSH = 0x08,
    TCP_CWR = 0x80,
};

/* virtio_net_hdr */
enum {
    HDR_NEEDS_CSUM = 1,
    HDR_DATA_VALID = 2,
    HDR_GSO_NONE = 0,
    HDR_GSO_TCPV4 = 1,
    HDR_GSO_TCPV6 = 4,
    HDR_GSO_UDP_L4 = 5,
    HDR_GSO_ECN = 0x80,
};

/* --- big-endian -------------------------------------------------------------------- */

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, size_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value & 0xffff);
}

/* --- the internet checksum (RFC 1071) ---------------------------------------------- */

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* In the byte order of the machine, which the sum does not care for until its end. */
uint64_t devemu_offload_sum(uint64_t sum, const uint8_t *data, size_t len)
{
    uint64_t native = 0;
    size_t at = 0;

    for (; len - at >= 4; at += 4) {
        uint32_t word;

        memcpy(&word, data + at, 4);
        native += word;
    }
    if (len - at > 0) {
        uint8_t rest[4] = {0};
        uint32_t word;

        memcpy(rest, data + at, len - at);
        memcpy(&word, rest, 4);
        native += word;
    }
    return sum + GUINT16_FROM_BE(fold(native));
}

/* Complete the checksum of frame, whose checksum field holds the pseudo header's. A sum of 0 is
 * written as ones, which is the same number: 0 says in UDP that there is no checksum. */
static void complete(uint8_t *frame, size_t len, size_t start, size_t offset)
{
    uint16_t checksum = (uint16_t)~fold(devemu_offload_sum(0, frame + start, len - start));

    put16(frame + start + offset, checksum ? checksum : 0xffff);
}

/* --- what an offload says ---------------------------------------------------------- */

uint32_t devemu_offload_needs(const DevemuNetOffload *offload)
{
    uint32_t needs = 0;

    if (offload == NULL) {
        return 0;
    }
    needs |= offload->needs_csum || offload->data_valid ? DEVEMU_OFFLOAD_CSUM : 0;
    needs |= offload->gso == DEVEMU_GSO_TCPV4 ? DEVEMU_OFFLOAD_TSO4 : 0;
    needs |= offload->gso == DEVEMU_GSO_TCPV6 ? DEVEMU_OFFLOAD_TSO6 : 0;
    needs |= offload->gso == DEVEMU_GSO_UDP ? DEVEMU_OFFLOAD_USO : 0;
    needs |= offload->gso != DEVEMU_GSO_NONE && offload->ecn ? DEVEMU_OFFLOAD_ECN : 0;
    return needs;
}

bool devemu_offload_fits(const DevemuNetOffload *offload, size_t len)
{
    size_t header = offload->gso == DEVEMU_GSO_UDP ? UDP_HEADER : TCP_HEADER;

    if (offload->needs_csum && (size_t)offload->csum_start + offload->csum_offset + 2 > len) {
        return false;
    }
    if (offload->gso == DEVEMU_GSO_NONE) {
        return true;
    }
    return offload->gso <= DEVEMU_GSO_UDP && offload->needs_csum &&
           offload->gso_size >= GSO_SIZE_MIN && offload->csum_start >= MAC_HEADER + IPV4_HEADER &&
           offload->csum_start + header <= len;
}

void devemu_net_offload_put(const DevemuNetOffload *offload, void *header)
{
    static const uint8_t types[] = {
        [DEVEMU_GSO_NONE] = HDR_GSO_NONE,
        [DEVEMU_GSO_TCPV4] = HDR_GSO_TCPV4,
        [DEVEMU_GSO_TCPV6] = HDR_GSO_TCPV6,
        [DEVEMU_GSO_UDP] = HDR_GSO_UDP_L4,
    };
    uint8_t *p = header;

    p[0] = (uint8_t)((offload->needs_csum ? HDR_NEEDS_CSUM : 0) |
                     (offload->data_valid ? HDR_DATA_VALID : 0));
    p[1] = (uint8_t)(types[offload->gso & 3] | (offload->ecn ? HDR_GSO_ECN : 0));
    devemu_put_le16(p + 2, offload->hdr_len);
    devemu_put_le16(p + 4, offload->gso_size);
    devemu_put_le16(p + 6, offload->csum_start);
    devemu_put_le16(p + 8, offload->csum_offset);
}

bool devemu_net_offload_get(const void *header, DevemuNetOffload *ret_offload)
{
    const uint8_t *p = header;
    DevemuNetOffload offload = {
        .needs_csum = p[0] & HDR_NEEDS_CSUM,
        .data_valid = p[0] & HDR_DATA_VALID,
        .ecn = p[1] & HDR_GSO_ECN,
        .hdr_len = devemu_le16(p + 2),
        .gso_size = devemu_le16(p + 4),
        .csum_start = devemu_le16(p + 6),
        .csum_offset = devemu_le16(p + 8),
    };

    switch (p[1] & ~HDR_GSO_ECN) {
    case HDR_GSO_NONE:
        offload.gso = DEVEMU_GSO_NONE;
        break;
    case HDR_GSO_TCPV4:
        offload.gso = DEVEMU_GSO_TCPV4;
        break;
    case HDR_GSO_TCPV6:
        offload.gso = DEVEMU_GSO_TCPV6;
        break;
    case HDR_GSO_UDP_L4:
        offload.gso = DEVEMU_GSO_UDP;
        break;
    default:
        return false;
    }
    *ret_offload = offload;
    return true;
}

/* --- segmentation ------------------------------------------------------------------ */

/* A frame that is to be cut, taken apart. */
typedef struct Whole {
    const uint8_t *data;
    size_t len;
    size_t network;   /* where the IP header begins */
    size_t transport; /* where the TCP or UDP header begins */
    size_t payload;   /* and what is behind it */
    size_t gso_size;
    bool is_ipv6, is_udp;
} Whole;

/* Where the IP header begins, behind at most two VLAN tags, and its type; 0: nowhere. */
static size_t find_network(const uint8_t *data, size_t len, uint16_t *ret_type)
{
    size_t at = ETHERTYPE_AT;

    for (unsigned tags = 0; tags <= VLAN_TAGS_MAX && at + 2 <= len; tags++) {
        *ret_type = get16(data + at);
        if (*ret_type != TYPE_CVLAN && *ret_type != TYPE_SVLAN) {
            return at + 2;
        }
        at += VLAN_TAG;
    }
    return 0;
}

/* IPv6 headers may be followed by others, which are repeated as they are. */
static bool network_fits(const Whole *whole, uint16_t type)
{
    const uint8_t *ip = whole->data + whole->network;
    size_t room = whole->transport - whole->network;

    if (type == TYPE_IPV6) {
        return room >= IPV6_HEADER && ip[0] >> 4 == 6;
    }
    /* Neither a fragment, nor going to be continued by one. */
    return type == TYPE_IPV4 && room >= IPV4_HEADER && ip[0] >> 4 == 4 &&
           (size_t)(ip[0] & 15) * 4 == room && !(get16(ip + 6) & 0x3fff) &&
           ip[9] == (whole->is_udp ? PROTOCOL_UDP : PROTOCOL_TCP);
}

static bool take_apart(const DevemuNetOffload *offload, Whole *whole)
{
    static const uint16_t types[] = {
        [DEVEMU_GSO_TCPV4] = TYPE_IPV4, [DEVEMU_GSO_TCPV6] = TYPE_IPV6};
    uint16_t type = 0;
    size_t header = UDP_HEADER;

    whole->is_udp = offload->gso == DEVEMU_GSO_UDP;
    whole->transport = offload->csum_start;
    whole->gso_size = offload->gso_size;
    whole->network = find_network(whole->data, whole->len, &type);
    whole->is_ipv6 = type == TYPE_IPV6;
    if (whole->network == 0 || whole->network > whole->transport || !network_fits(whole, type) ||
        (!whole->is_udp && type != types[offload->gso]) ||
        offload->csum_offset != (whole->is_udp ? UDP_CHECKSUM : TCP_CHECKSUM)) {
        return false;
    }
    if (!whole->is_udp) {
        header = (size_t)(whole->data[whole->transport + 12] >> 4) * 4;
    }
    whole->payload = whole->transport + header;
    return header >= (whole->is_udp ? UDP_HEADER : TCP_HEADER) && whole->payload <= whole->len;
}

static void fit_ip(const Whole *whole, uint8_t *frame, size_t len, size_t number)
{
    uint8_t *ip = frame + whole->network;

    if (whole->is_ipv6) {
        put16(ip + 4, len - whole->network - IPV6_HEADER);
        return;
    }
    put16(ip + 2, len - whole->network);
    put16(ip + 4, get16(ip + 4) + number); /* each datagram has its own identification */
    put16(ip + 10, 0);
    put16(ip + 10, (uint16_t)~fold(devemu_offload_sum(0, ip, whole->transport - whole->network)));
}

/* RFC 3168, 6.1.2: CWR is in the first piece only, so the peer sees it once. */
static void fit_tcp(uint8_t *tcp, size_t at, bool first, bool last)
{
    put32(tcp + 4, (uint32_t)(get32(tcp + 4) + at));
    tcp[TCP_FLAGS] &= (uint8_t) ~((last ? 0 : TCP_FIN | TCP_PSH) | (first ? 0 : TCP_CWR));
}

/* The pseudo header's sum has the length in it: take the old one out, put the new one in. */
static void fit_pseudo(uint8_t *checksum, size_t old_len, size_t new_len)
{
    uint64_t sum = get16(checksum);

    sum += (uint16_t)~fold(old_len);
    put16(checksum, fold(sum + new_len));
}

/* The piece whose payload begins at byte `at` of the payload; frame holds the headers already. */
static size_t make_piece(const Whole *whole, uint8_t *frame, size_t at)
{
    size_t rest = whole->len - whole->payload - at;
    size_t count = MIN(rest, whole->gso_size);
    size_t len = whole->payload + count;
    uint8_t *transport = frame + whole->transport;

    memcpy(frame, whole->data, whole->payload);
    memcpy(frame + whole->payload, whole->data + whole->payload + at, count);
    fit_ip(whole, frame, len, at / whole->gso_size);
    if (whole->is_udp) {
        put16(transport + 4, len - whole->transport);
    } else {
        fit_tcp(transport, at, at == 0, count == rest);
    }
    fit_pseudo(transport + (whole->is_udp ? UDP_CHECKSUM : TCP_CHECKSUM),
               whole->len - whole->transport, len - whole->transport);
    complete(frame, len, whole->transport, whole->is_udp ? UDP_CHECKSUM : TCP_CHECKSUM);
    return len;
}

static bool cut(const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                DevemuFrameSink *sink, void *opaque)
{
    Whole whole = {.data = data, .len = len};
    g_autofree uint8_t *frame = NULL;
    size_t at = 0, count;

    if (!take_apart(offload, &whole)) {
        return false;
    }
    count = len - whole.payload;
    frame = g_malloc(whole.payload + MIN(count, whole.gso_size));
    do {
        size_t piece = make_piece(&whole, frame, at);

        at += whole.gso_size;
        sink(opaque, frame, piece, at < count);
    } while (at < count);
    return true;
}

bool devemu_offload_split(const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                          DevemuFrameSink *sink, void *opaque)
{
    g_autofree uint8_t *frame = NULL;

    if (offload && !devemu_offload_fits(offload, len)) {
        return false;
    }
    if (offload && offload->gso != DEVEMU_GSO_NONE) {
        return cut(offload, data, len, sink, opaque);
    }
    if (offload && offload->needs_csum) {
        frame = g_memdup2(data, len);
        complete(frame, len, offload->csum_start, offload->csum_offset);
        data = frame;
    }
    sink(opaque, data, len, false);
    return true;
}
