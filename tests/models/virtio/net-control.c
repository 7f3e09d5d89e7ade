/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device's control queue: filters, queues, hash, notifications, statistics; sections of
 * virtio 1.4. The clauses are in clauses.txt. */
#include "net-driver.h"

static const uint64_t basic = VD_BIT(F_MRG_RXBUF) | VD_BIT(F_CTRL_VQ);
static const uint64_t filtered = VD_BIT(F_MRG_RXBUF) | VD_BIT(F_CTRL_VQ) | VD_BIT(F_CTRL_RX) |
                                 VD_BIT(F_CTRL_RX_EXTRA) | VD_BIT(F_CTRL_MAC_ADDR);

static const uint8_t mine[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t other[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x57};
static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};
static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* --- commands as such: 5.1.6.5 --------------------------------------------------------- */

Test(net_control, unknown_commands_are_refused)
{
    ND_OPEN("queues=2,hash=on", basic);
    const uint8_t data[400] = {0};

    for (unsigned class = 0; class < 12; class ++) {
        for (unsigned command = 0; command < 8; command++) {
            cr_assert_eq(nd_command(d, class, command, data, sizeof(data)), ND_ERR,
                         "%u, %u without its feature", class, command);
        }
    }
    vd_free(d);
}

/* Each command that has something to say, with all but its last byte. */
Test(net_control, commands_that_are_cut_off_are_refused)
{
    static const struct {
        uint8_t class, command;
        size_t len;
    } commands[] = {{0, 0, 1},  {0, 5, 1}, {1, 0, 8}, {1, 1, 6}, {2, 0, 2},  {4, 0, 2}, {4, 1, 13},
                    {4, 2, 13}, {5, 0, 8}, {6, 0, 8}, {6, 1, 8}, {6, 2, 12}, {8, 1, 16}};
    ND_OPEN("queues=2,hash=on", vd_offered(d) & ~VD_BIT(VIRTIO_F_EVENT_IDX));
    uint8_t data[16] = {0};

    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        data[0] = commands[i].class == 4 && commands[i].command == 0;
        data[8] = commands[i].class == 8; /* a type of statistics */
        if (commands[i].class == 4 && commands[i].command == 1) {
            data[10] = 1; /* max_tx_vq */
        }
        cr_assert_eq(nd_command(d, commands[i].class, commands[i].command, data, commands[i].len),
                     ND_OK, "%u, %u", commands[i].class, commands[i].command);
        cr_assert_eq(
            nd_command(d, commands[i].class, commands[i].command, data, commands[i].len - 1),
            ND_ERR, "%u, %u", commands[i].class, commands[i].command);
        data[10] = 0;
    }
    vd_free(d);
}

Test(net_control, a_command_without_a_place_for_an_answer_needs_a_reset)
{
    ND_OPEN(NULL, filtered);

    vd_add(d, 2, &(VdPiece){ND_COMMAND, 3, false}, 1);
    vd_kick(d, 2);
    cr_assert(vd_status(d) & DEVEMU_VIRTIO_NEEDS_RESET);
    vd_free(d);
}

/* --- filters: 5.1.6.5.1 to 5.1.6.5.3 ---------------------------------------------------- */

static bool gets(VdDriver *d, const uint8_t *to)
{
    uint8_t frame[64];

    nd_frame(frame, sizeof(frame), 2, 1);
    memcpy(frame, to, 6);
    return nd_arrives(d, 0, frame, sizeof(frame));
}

static void mode(VdDriver *d, unsigned command, uint8_t on)
{
    cr_assert_eq(nd_command(d, 0, command, &on, 1), ND_OK);
}

static void check_gets(VdDriver *d, bool own, bool another, bool multicast, bool broadcast)
{
    cr_assert_eq(gets(d, mine), own);
    cr_assert_eq(gets(d, other), another);
    cr_assert_eq(gets(d, group), multicast);
    cr_assert_eq(gets(d, everybody), broadcast);
}

Test(net_control, a_driver_without_receive_modes_gets_all)
{
    ND_OPEN(NULL, basic);

    nd_fill(d, 0, 8, 2000, VD_DATA);
    check_gets(d, true, true, true, true);
    vd_free(d);
}

Test(net_control, receive_modes_allow_and_suppress)
{
    ND_OPEN(NULL, filtered);
    enum { PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST };

    nd_fill(d, 0, 40, 2000, VD_DATA);
    check_gets(d, true, false, false, true);
    mode(d, PROMISC, 1);
    check_gets(d, true, true, true, true);
    mode(d, NOUNI, 1);
    mode(d, NOBCAST, 1);
    check_gets(d, true, true, true, true); /* promiscuous whatever the others say */
    mode(d, PROMISC, 0);
    check_gets(d, false, false, false, false);
    mode(d, NOUNI, 0);
    mode(d, NOBCAST, 0);
    mode(d, ALLMULTI, 1);
    mode(d, ALLUNI, 1);
    check_gets(d, true, true, true, true);
    mode(d, NOMULTI, 1);
    check_gets(d, true, true, false, true);
    mode(d, NOBCAST, 1);
    check_gets(d, true, true, false, false);
    mode(d, NOUNI, 1);
    check_gets(d, false, false, false, false);
    cr_assert_eq(nd_command(d, 0, PROMISC, "\x02", 1), ND_ERR);
    vd_free(d);
}

Test(net_control, addresses_of_the_table_are_let_in)
{
    ND_OPEN(NULL, filtered);
    uint8_t table[4 + 6 + 4 + 6] = {1, 0, 0, 0};

    nd_fill(d, 0, 20, 2000, VD_DATA);
    memcpy(table + 4, other, 6);
    table[10] = 1;
    memcpy(table + 14, group, 6);
    cr_assert_eq(nd_command(d, 1, 0, table, sizeof(table)), ND_OK);
    check_gets(d, true, true, true, true);
    cr_assert_eq(nd_command(d, 1, 0, table, sizeof(table) - 1), ND_ERR, "half an address");
    check_gets(d, true, true, true, true);
    memset(table, 0, 8);
    cr_assert_eq(nd_command(d, 1, 0, table, 8), ND_OK, "both empty");
    check_gets(d, true, false, false, true);
    /* On reset the table MUST be empty. */
    table[0] = 1;
    memcpy(table + 4, other, 6);
    memset(table + 10, 0, 4);
    cr_assert_eq(nd_command(d, 1, 0, table, 14), ND_OK);
    vd_start(d, filtered);
    nd_fill(d, 0, 8, 2000, VD_DATA);
    check_gets(d, true, false, false, true);
    vd_free(d);
}

Test(net_control, more_addresses_than_the_table_holds_let_all_in)
{
    ND_OPEN(NULL, filtered);
    uint8_t table[4 + 65 * 6 + 4] = {65, 0, 0, 0};

    nd_fill(d, 0, 20, 2000, VD_DATA);
    cr_assert_eq(nd_command(d, 1, 0, table, sizeof(table)), ND_OK);
    check_gets(d, true, true, false, true);
    memset(table, 0, 4);
    table[4] = 65;
    cr_assert_eq(nd_command(d, 1, 0, table, sizeof(table)), ND_OK);
    check_gets(d, true, false, true, true);
    devemu_put_le32(table, 0xffffffff);
    cr_assert_eq(nd_command(d, 1, 0, table, sizeof(table)), ND_ERR, "that are not there");
    vd_free(d);
}

Test(net_control, the_address_is_changed_and_shown)
{
    ND_OPEN(NULL, filtered | VD_BIT(F_MAC));

    nd_fill(d, 0, 8, 2000, VD_DATA);
    cr_assert_eq(nd_command(d, 1, 1, other, 6), ND_OK);
    cr_assert_eq(nd_config(d, 5, 1), other[5]);
    check_gets(d, false, true, false, true);
    cr_assert_eq(nd_command(d, 1, 1, "1234567", 7), ND_ERR, "longer than an address");
    vd_start(d, filtered | VD_BIT(F_MAC));
    cr_assert_eq(nd_config(d, 5, 1), mine[5], "as before after a reset");
    vd_free(d);
}

static bool gets_vlan(VdDriver *d, unsigned id)
{
    uint8_t frame[64];

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    packet_put16(frame + 12, 0x8100);
    packet_put16(frame + 14, 0xe000 | id);
    return nd_arrives(d, 0, frame, sizeof(frame));
}

Test(net_control, vlans_of_the_table_are_let_in)
{
    ND_OPEN(NULL, basic);
    static const uint16_t ids[] = {0, 1, 31, 32, 4095};
    uint8_t id[2];

    nd_fill(d, 0, 8, 2000, VD_DATA);
    cr_assert(gets_vlan(d, 5), "all, without CTRL_VLAN");
    vd_start(d, basic | VD_BIT(F_CTRL_VLAN));
    nd_fill(d, 0, 40, 2000, VD_DATA);
    cr_assert(gets(d, mine), "what has no tag");
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        devemu_put_le16(id, ids[i]);
        cr_assert_not(gets_vlan(d, ids[i]));
        cr_assert_eq(nd_command(d, 2, 0, id, 2), ND_OK);
        cr_assert(gets_vlan(d, ids[i]));
        cr_assert_not(gets_vlan(d, ids[i] ^ 64));
        cr_assert_eq(nd_command(d, 2, 1, id, 2), ND_OK);
        cr_assert_not(gets_vlan(d, ids[i]));
    }
    devemu_put_le16(id, 4096);
    cr_assert_eq(nd_command(d, 2, 0, id, 2), ND_ERR);
    vd_free(d);
}

/* --- announcement: 5.1.6.5.4 ------------------------------------------------------------- */

Test(net_control, a_driver_is_asked_to_announce_itself_until_it_answers)
{
    ND_OPEN(NULL, basic | VD_BIT(F_STATUS) | VD_BIT(F_GUEST_ANNOUNCE));
    uint64_t vector;
    unsigned before = vd_notifications(d, &vector);

    devemu_device_link(devemu_fake_device(d->fake), 3);
    cr_assert_eq(nd_config(d, 6, 2), 3);
    cr_assert_eq(vd_notifications(d, &vector), before + 1);
    cr_assert_eq(vector, DEVEMU_VIRTIO_CONFIG_CHANGE);
    cr_assert_eq(nd_command(d, 3, 0, NULL, 0), ND_OK);
    cr_assert_eq(nd_config(d, 6, 2), 1);
    vd_free(d);
}

/* --- several queues: 5.1.6.5.6 ------------------------------------------------------------ */

static const PacketKind flow_kind = {.udp = true};

/* A packet of flow number n, towards the driver or, turned round, from it. */
static void flow_packet(Packet *packet, unsigned n, bool from_driver)
{
    uint8_t *ports;

    packet_make(packet, &flow_kind, 100, 0);
    ports = packet->data + packet->transport;
    packet_put16(ports, from_driver ? 4000 : 1000 + n);
    packet_put16(ports + 2, from_driver ? 1000 + n : 4000);
    if (from_driver) {
        uint8_t *addresses = packet->data + packet->ip + 12;

        memcpy(addresses, (const uint8_t[]){192, 168, 1, 77, 10, 0, 2, 15}, 8);
    }
}

/* The pair that it comes in on; -1: none. */
static int arrives_on(VdDriver *d, unsigned pairs, const Packet *packet)
{
    uint32_t len;

    devemu_fake_receive(d->fake, packet->data, packet->len);
    for (unsigned i = 0; i < pairs; i++) {
        if (nd_used(d, 2 * i, &len) != NULL) {
            return (int)i;
        }
    }
    return -1;
}

static void fill_all(VdDriver *d, unsigned pairs)
{
    for (unsigned i = 0; i < pairs; i++) {
        nd_fill(d, 2 * i, 50, 512, VD_DATA + i * 0x10000);
    }
}

static uint8_t set_pairs(VdDriver *d, unsigned pairs)
{
    uint8_t data[2];

    devemu_put_le16(data, (uint16_t)pairs);
    return nd_command(d, 4, 0, data, sizeof(data));
}

Test(net_control, a_flow_comes_back_where_it_was_sent)
{
    ND_OPEN("queues=3", basic | VD_BIT(F_MQ));
    g_autofree Packet *packet = g_new(Packet, 1);
    static const uint8_t header[12];
    unsigned used[3] = {0};

    fill_all(d, 3);
    for (unsigned n = 0; n < 8; n++) {
        flow_packet(packet, n, false);
        cr_assert_eq(arrives_on(d, 3, packet), 0, "receiveq1 alone after a reset");
    }
    cr_assert_eq(set_pairs(d, 3), ND_OK);
    for (unsigned n = 0; n < 24; n++) {
        flow_packet(packet, n, false);
        used[arrives_on(d, 3, packet)]++;
    }
    cr_assert(used[0] > 0 && used[1] > 0 && used[2] > 0, "%u %u %u", used[0], used[1], used[2]);
    for (unsigned n = 0; n < 9; n++) {
        unsigned pair = n / 3;

        flow_packet(packet, n, true);
        nd_send(d, 2 * pair + 1, header, 12, packet->data, packet->len, 12, 50);
        flow_packet(packet, n, false);
        cr_assert_eq(arrives_on(d, 3, packet), (int)pair);
    }
    cr_assert_eq(set_pairs(d, 1), ND_OK);
    for (unsigned n = 0; n < 9; n++) {
        flow_packet(packet, n, false);
        cr_assert_eq(arrives_on(d, 3, packet), 0, "none above virtqueue_pairs");
    }
    cr_assert_eq(set_pairs(d, 0), ND_ERR);
    cr_assert_eq(set_pairs(d, 4), ND_ERR);
    vd_free(d);
}

static void reset_queue(VdDriver *d, unsigned queue)
{
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, queue);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_RESET, 2, 1);
}

Test(net_control, flows_of_a_queue_that_is_reset_go_elsewhere)
{
    ND_OPEN("queues=2", basic | VD_BIT(F_MQ) | VD_BIT(VIRTIO_F_RING_RESET));
    g_autofree Packet *packet = g_new(Packet, 1);

    fill_all(d, 2);
    cr_assert_eq(set_pairs(d, 2), ND_OK);
    reset_queue(d, 0);
    for (unsigned n = 0; n < 9; n++) {
        flow_packet(packet, n, false);
        cr_assert_eq(arrives_on(d, 2, packet), 1);
    }
    reset_queue(d, 2);
    flow_packet(packet, 0, false);
    cr_assert_eq(devemu_fake_receive(d->fake, packet->data, packet->len), packet->len, "dropped");
    vd_free(d);
}

/* A front end that keeps the control queue to itself switches queues on, and sends no command. */
Test(net_control, without_a_control_queue_all_enabled_queues_are_used)
{
    ND_OPEN("queues=2", VD_BIT(F_MRG_RXBUF) | VD_BIT(F_MQ));
    g_autofree Packet *packet = g_new(Packet, 1);
    unsigned used[2] = {0};

    fill_all(d, 2);
    for (unsigned n = 0; n < 20; n++) {
        flow_packet(packet, n, false);
        used[arrives_on(d, 2, packet)]++;
    }
    cr_assert(used[0] > 0 && used[1] > 0);
    vd_free(d);
}

/* --- hash and RSS: 5.1.6.4.1, 5.1.6.4.3, 5.1.6.5.7 ------------------------------------------- */

/* Key and results are those of Microsoft's "Verifying the RSS Hash Calculation". */
static const uint8_t rss_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                    0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                    0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static const struct {
    uint8_t source[4], destination[4];
    uint16_t ports[2];
    uint32_t ip, tcp;
} ipv4_hashes[] = {
    {{66, 9, 149, 187}, {161, 142, 100, 80}, {2794, 1766}, 0x323e8fc2, 0x51ccc178},
    {{199, 92, 111, 2}, {65, 69, 140, 83}, {14230, 4739}, 0xd718262a, 0xc626b0ea},
    {{24, 19, 198, 95}, {12, 22, 207, 184}, {12898, 38024}, 0xd2d0a5de, 0x5c2b394a},
    {{38, 27, 205, 30}, {209, 142, 163, 6}, {48228, 2217}, 0x82989176, 0xafc7327f},
    {{153, 39, 163, 191}, {202, 188, 127, 2}, {44251, 1303}, 0x5d1809c5, 0x10e828a2},
};
static const uint8_t ipv6_source[16] = {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff,
                                        0,    0,    0,    0,    0,    0,    0,    7};
static const uint8_t ipv6_destination[16] = {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03,
                                             0,    0,    0,    0,    0,    0,    0,    1};
enum { IPV6_HASH = 0x2cc18cd5, IPV6_TCP_HASH = 0x40207d3d };

static uint8_t hash_config(VdDriver *d, uint32_t types)
{
    uint8_t data[13 + 40] = {0};

    devemu_put_le32(data, types);
    data[12] = 40;
    memcpy(data + 13, rss_key, 40);
    return nd_command(d, 4, 2, data, sizeof(data));
}

/* What the header says of a packet that came in: hash_report, and *ret_value. */
static unsigned reported(VdDriver *d, const Packet *packet, uint32_t *ret_value)
{
    uint32_t len;
    const uint8_t *buffer;

    devemu_fake_receive(d->fake, packet->data, packet->len);
    buffer = nd_used(d, 0, &len);
    cr_assert_not_null(buffer);
    cr_assert_eq(len, packet->len + 20);
    cr_assert_arr_eq(buffer + 20, packet->data, packet->len);
    *ret_value = devemu_le32(buffer + 12);
    return devemu_le16(buffer + 16);
}

static void ipv4_packet(Packet *packet, const PacketKind *kind, unsigned i)
{
    packet_make(packet, kind, 50, 0);
    memcpy(packet->data + packet->ip + 12, ipv4_hashes[i].source, 4);
    memcpy(packet->data + packet->ip + 16, ipv4_hashes[i].destination, 4);
    packet_put16(packet->data + packet->transport, ipv4_hashes[i].ports[0]);
    packet_put16(packet->data + packet->transport + 2, ipv4_hashes[i].ports[1]);
}

static void ipv6_packet(Packet *packet, const PacketKind *kind)
{
    packet_make(packet, kind, 50, 0);
    memcpy(packet->data + packet->ip + 8, ipv6_source, 16);
    memcpy(packet->data + packet->ip + 24, ipv6_destination, 16);
    packet_put16(packet->data + packet->transport, 2794);
    packet_put16(packet->data + packet->transport + 2, 1766);
}

Test(net_control, hashes_are_those_of_the_verification_suite)
{
    ND_OPEN("hash=on", basic | VD_BIT(F_HASH_REPORT));
    g_autofree Packet *packet = g_new(Packet, 1);
    uint32_t value;

    nd_fill(d, 0, 60, 512, VD_DATA);
    for (unsigned i = 0; i < G_N_ELEMENTS(ipv4_hashes); i++) {
        for (unsigned udp = 0; udp < 2; udp++) {
            const PacketKind kind = {.udp = udp, .tags = i % 3, .ip_options = i % 2 * 8};

            ipv4_packet(packet, &kind, i);
            cr_assert_eq(hash_config(d, 0x1ff), ND_OK);
            cr_assert_eq(reported(d, packet, &value), udp ? 3 : 2);
            cr_assert_eq(value, ipv4_hashes[i].tcp, "%08x", value);
            cr_assert_eq(hash_config(d, 1), ND_OK);
            cr_assert_eq(reported(d, packet, &value), 1);
            cr_assert_eq(value, ipv4_hashes[i].ip);
            cr_assert_eq(hash_config(d, 1 << 3 | (udp ? 1 << 1 : 1 << 2)), ND_OK);
            cr_assert_eq(reported(d, packet, &value), 0, "NONE");
        }
    }
    vd_free(d);
}

Test(net_control, hashes_of_ipv6_and_its_extensions)
{
    static const PacketKind plain = {.ipv6 = true}, extended = {.ipv6 = true, .ip_options = 24};
    ND_OPEN("hash=on", basic | VD_BIT(F_HASH_REPORT));
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t *extension;
    uint32_t value;

    nd_fill(d, 0, 60, 512, VD_DATA);
    ipv6_packet(packet, &plain);
    cr_assert_eq(hash_config(d, 0x1ff), ND_OK);
    cr_assert_eq(reported(d, packet, &value), 5, "TCPv6");
    cr_assert_eq(value, IPV6_TCP_HASH);
    cr_assert_eq(hash_config(d, 1 << 3), ND_OK);
    cr_assert_eq(reported(d, packet, &value), 4);
    cr_assert_eq(value, IPV6_HASH);

    /* With a header that says nothing of addresses: another type, the same hash. */
    ipv6_packet(packet, &extended);
    cr_assert_eq(hash_config(d, 0x1ff), ND_OK);
    cr_assert_eq(reported(d, packet, &value), 8, "TCPv6_EX");
    cr_assert_eq(value, IPV6_TCP_HASH);
    cr_assert_eq(hash_config(d, 1 << 6), ND_OK);
    cr_assert_eq(reported(d, packet, &value), 7);
    cr_assert_eq(value, IPV6_HASH);
    cr_assert_eq(hash_config(d, 1 << 4), ND_OK, "no type of those: extensions are skipped");
    cr_assert_eq(reported(d, packet, &value), 5);
    cr_assert_eq(value, IPV6_TCP_HASH);

    /* The home address takes the source's place, a routing header type 2 the destination's. */
    extension = packet->data + packet->ip + 40;
    memcpy(packet->data + packet->ip + 8, ipv6_destination, 16);
    packet->data[packet->ip + 6] = 60;
    memcpy(extension + 2, (const uint8_t[]){0, 0, 0, 0, 0xc9, 16}, 6);
    memcpy(extension + 8, ipv6_source, 16);
    cr_assert_eq(hash_config(d, 0x1ff), ND_OK);
    cr_assert_eq(reported(d, packet, &value), 8);
    cr_assert_eq(value, IPV6_TCP_HASH);
    memcpy(packet->data + packet->ip + 8, ipv6_source, 16);
    memcpy(packet->data + packet->ip + 24, ipv6_source, 16);
    packet->data[packet->ip + 6] = 43;
    memcpy(extension + 1, (const uint8_t[]){2, 2, 1, 0, 0, 0, 0}, 7);
    memcpy(extension + 8, ipv6_destination, 16);
    cr_assert_eq(reported(d, packet, &value), 8);
    cr_assert_eq(value, IPV6_TCP_HASH);
    vd_free(d);
}

/* Frames that are cut off anywhere have a hash of what is there, and nothing else is read. */
Test(net_control, hashes_of_frames_that_end_early)
{
    static const PacketKind kinds[] = {{.tags = 2}, {.ipv6 = true, .ip_options = 16}};
    ND_OPEN("hash=on,queues=2", basic | VD_BIT(F_HASH_REPORT) | VD_BIT(F_MQ));
    g_autofree Packet *packet = g_new(Packet, 1);
    uint32_t len;

    cr_assert_eq(hash_config(d, 0x1ff), ND_OK);
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        packet_make(packet, &kinds[i], 10, 0);
        for (size_t n = 14; n < packet->len; n++) {
            g_autofree uint8_t *frame = g_memdup2(packet->data, n); /* so the end is the end */

            nd_fill(d, 0, 1, 512, VD_DATA);
            devemu_fake_receive(d->fake, frame, n);
            cr_assert_not_null(nd_used(d, 0, &len));
        }
    }
    vd_free(d);
}

static size_t rss_command(uint8_t *data, uint32_t types, unsigned count, unsigned unclassified,
                          unsigned senders)
{
    devemu_put_le32(data, types);
    devemu_put_le16(data + 4, (uint16_t)(count - 1));
    devemu_put_le16(data + 6, (uint16_t)unclassified);
    for (unsigned i = 0; i < count; i++) {
        devemu_put_le16(data + 8 + 2 * i, (uint16_t)(i % 3));
    }
    devemu_put_le16(data + 8 + 2 * count, (uint16_t)senders);
    data[10 + 2 * count] = 40;
    memcpy(data + 11 + 2 * count, rss_key, 40);
    return 51 + 2 * (size_t)count;
}

Test(net_control, rss_chooses_by_hash_and_table)
{
    static const PacketKind kind = {0};
    ND_OPEN("queues=3", basic | VD_BIT(F_RSS) | VD_BIT(VIRTIO_F_RING_RESET));
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t data[400];
    size_t len = rss_command(data, 1 << 1, 128, 1, 3);

    fill_all(d, 3);
    cr_assert_eq(nd_command(d, 4, 1, data, len), ND_OK);
    for (unsigned i = 0; i < G_N_ELEMENTS(ipv4_hashes); i++) {
        ipv4_packet(packet, &kind, i);
        cr_assert_eq(arrives_on(d, 3, packet), (ipv4_hashes[i].tcp & 127) % 3);
    }
    flow_packet(packet, 0, false);
    cr_assert_eq(arrives_on(d, 3, packet), 1, "unclassified_queue, for UDP");
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1 << 1, 4, 2, 1)), ND_OK);
    for (unsigned i = 0; i < G_N_ELEMENTS(ipv4_hashes); i++) {
        ipv4_packet(packet, &kind, i);
        cr_assert_eq(arrives_on(d, 3, packet), (ipv4_hashes[i].tcp & 3) % 3);
    }
    flow_packet(packet, 0, false);
    cr_assert_eq(arrives_on(d, 3, packet), 2);
    reset_queue(d, 4);
    cr_assert_eq(arrives_on(d, 3, packet), -1, "its queue is reset: dropped");
    vd_free(d);
}

Test(net_control, rss_that_cannot_be_is_refused)
{
    ND_OPEN("queues=3", basic | VD_BIT(F_RSS));
    uint8_t data[600];

    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1, 128, 2, 3)), ND_OK);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1, 256, 2, 3)), ND_ERR);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1, 3, 2, 3)), ND_ERR);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1 << 9, 4, 2, 3)), ND_ERR);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1, 4, 3, 3)), ND_ERR);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1, 4, 2, 0)), ND_ERR);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1, 4, 2, 4)), ND_ERR);
    rss_command(data, 1, 4, 2, 3);
    data[8] = 3; /* no queue */
    cr_assert_eq(nd_command(d, 4, 1, data, 59), ND_ERR);
    rss_command(data, 1, 4, 2, 3);
    data[18] = 41; /* a longer key */
    cr_assert_eq(nd_command(d, 4, 1, data, 60), ND_ERR);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1, 4, 2, 3)), ND_OK);
    vd_free(d);
}

/* --- a backend with queues ------------------------------------------------------------------- */

/* Frames that came to each of its queues. */
typedef struct Queue {
    unsigned sent;
} Queue;

static void queue_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    (void)slices;
    (void)count;
    (void)more;
    ((Queue *)net)->sent++;
}

/* A device alone, whatever the mode: what stands between has one queue. */
static VdDriver open_queues(const char *options, uint64_t features, Queue *queues, unsigned count)
{
    static const DevemuNetOps ops = {.size = sizeof(ops), .send = queue_send};
    VdDriver d = {
        .fake = devemu_fake_new_mode(&devemu_model_virtio_net, options, VD_RAM, DEVEMU_FAKE_PLAIN)};

    for (unsigned i = 0; i < count; i++) {
        queues[i].sent = 0;
        cr_assert(devemu_device_attach_net_queue(devemu_fake_device(d.fake), i, &ops, &queues[i]));
    }
    cr_assert_not(devemu_device_attach_net_queue(devemu_fake_device(d.fake), 3, &ops, NULL));
    vd_start(&d, features);
    return d;
}

/* The pair that a frame by that queue of the backend comes in on; -1: none. */
static int arrives_from(VdDriver *d, unsigned queue, const Packet *packet)
{
    uint32_t len;

    cr_assert_eq(devemu_device_receive_queue(devemu_fake_device(d->fake), queue, NULL, packet->data,
                                             packet->len, false),
                 packet->len);
    for (unsigned i = 0; i < 3; i++) {
        if (nd_used(d, 2 * i, &len) != NULL) {
            return (int)i;
        }
    }
    return -1;
}

static unsigned uses(VdDriver *d)
{
    unsigned used = 0;

    for (unsigned i = 0; i < 4; i++) {
        used |= (unsigned)devemu_device_uses_queue(devemu_fake_device(d->fake), i) << i;
    }
    return used;
}

Test(net_control, a_pair_sends_and_receives_by_its_queue_of_the_backend)
{
    Queue queues[3];
    VdDriver driver = open_queues("queues=3", basic | VD_BIT(F_MQ), queues, 2), *d = &driver;
    g_autofree Packet *packet = g_new(Packet, 1);
    static const uint8_t header[12];

    fill_all(d, 3);
    flow_packet(packet, 0, false);
    cr_assert_eq(uses(d), 1);
    cr_assert_eq(arrives_from(d, 1, packet), 0, "pair 1 is not in use");
    cr_assert_eq(set_pairs(d, 3), ND_OK);
    cr_assert_eq(uses(d), 7);
    for (unsigned n = 0; n < 12; n++) {
        flow_packet(packet, n / 3, false);
        cr_assert_eq(arrives_from(d, n % 3, packet), (int)(n % 3));
    }
    for (unsigned pair = 0; pair < 3; pair++) {
        flow_packet(packet, pair, true);
        nd_send(d, 2 * pair + 1, header, 12, packet->data, packet->len, 12, 50);
    }
    cr_assert_eq(queues[0].sent, 2, "its own, and that of the pair whose queue has no backend");
    cr_assert_eq(queues[1].sent, 1);
    cr_assert_eq(set_pairs(d, 2), ND_OK);
    cr_assert_eq(uses(d), 3);
    vd_free(d);
}

Test(net_control, rss_is_above_the_queues_of_the_backend)
{
    static const PacketKind kind = {0};
    Queue queues[3];
    VdDriver driver = open_queues("queues=3", basic | VD_BIT(F_RSS), queues, 3), *d = &driver;
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t data[400];

    fill_all(d, 3);
    cr_assert_eq(nd_command(d, 4, 1, data, rss_command(data, 1 << 1, 128, 1, 3)), ND_OK);
    cr_assert_eq(uses(d), 7);
    for (unsigned i = 0; i < G_N_ELEMENTS(ipv4_hashes); i++) {
        ipv4_packet(packet, &kind, i);
        cr_assert_eq(arrives_from(d, i % 3, packet), (ipv4_hashes[i].tcp & 127) % 3);
    }
    vd_free(d);
}

/* --- offloads: 5.1.6.5.9 ------------------------------------------------------------------------
 */

Test(net_control, offloads_are_switched_off_and_on)
{
    static const PacketKind kind = {.tcp_flags = 0x10};
    ND_OPEN(NULL,
            basic | VD_BIT(F_CTRL_GUEST_OFFLOADS) | VD_BIT(F_GUEST_CSUM) | VD_BIT(F_GUEST_TSO4));
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t data[8] = {0};
    uint32_t len;

    packet_make(packet, &kind, 5000, 1448);
    nd_fill(d, 0, 40, 8192, VD_DATA);
    devemu_fake_receive_packet(d->fake, &packet->offload, packet->data, packet->len, false);
    cr_assert_eq(nd_used(d, 0, &len)[1], 1, "on, as negotiated");
    cr_assert_eq(nd_command(d, 5, 0, data, 8), ND_OK);
    devemu_fake_receive_packet(d->fake, &packet->offload, packet->data, packet->len, false);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *buffer = nd_used(d, 0, &len);

        cr_assert_eq(buffer[0] | buffer[1], 0);
        packet_check(&kind, buffer + 12, len - 12);
    }
    devemu_put_le64(data, VD_BIT(F_GUEST_CSUM) | VD_BIT(F_GUEST_TSO4));
    cr_assert_eq(nd_command(d, 5, 0, data, 8), ND_OK);
    devemu_fake_receive_packet(d->fake, &packet->offload, packet->data, packet->len, false);
    cr_assert_eq(nd_used(d, 0, &len)[1], 1);
    devemu_put_le64(data, VD_BIT(F_GUEST_TSO6));
    cr_assert_eq(nd_command(d, 5, 0, data, 8), ND_ERR, "not negotiated");
    vd_free(d);
}

/* --- notification coalescing: 5.1.6.5.10
 * ---------------------------------------------------------- */

static const uint64_t coalescing =
    VD_BIT(F_MRG_RXBUF) | VD_BIT(F_CTRL_VQ) | VD_BIT(F_NOTF_COAL) | VD_BIT(F_VQ_NOTF_COAL);
enum { TX_SET, RX_SET, VQ_SET, VQ_GET };

static uint8_t coalesce(VdDriver *d, unsigned command, unsigned queue, uint32_t packets,
                        uint32_t usecs)
{
    uint8_t data[12] = {(uint8_t)queue, 0, 0x77, 0x77};
    size_t at = command == VQ_SET ? 4 : 0;

    devemu_put_le32(data + at, packets);
    devemu_put_le32(data + at + 4, usecs);
    return nd_command(d, 6, command, data, at + 8);
}

static uint8_t coalesced(VdDriver *d, unsigned queue, uint32_t *ret_packets, uint32_t *ret_usecs)
{
    const uint8_t data[4] = {(uint8_t)queue};
    uint32_t written;
    uint8_t first = nd_ask(d, 6, VQ_GET, data, sizeof(data), 8, &written);

    if (written == 1) {
        return first;
    }
    cr_assert_eq(written, 9);
    *ret_packets = devemu_le32(vd_at(d, ND_ANSWER));
    *ret_usecs = devemu_le32(vd_at(d, ND_ANSWER + 4));
    return *vd_at(d, ND_ANSWER + 8);
}

static unsigned told(VdDriver *d)
{
    uint64_t vector;

    return vd_notifications(d, &vector);
}

static void arrive(VdDriver *d, unsigned count)
{
    uint8_t frame[64];

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    for (unsigned i = 0; i < count; i++) {
        cr_assert(nd_arrives(d, 0, frame, sizeof(frame)), "shown at once");
    }
}

Test(net_control, notifications_wait_for_packets_or_time)
{
    ND_OPEN(NULL, coalescing);
    unsigned before;

    nd_fill(d, 0, 60, 512, VD_DATA);
    cr_assert_eq(coalesce(d, RX_SET, 0, 5, 100), ND_OK);
    before = told(d);
    arrive(d, 4);
    cr_assert_eq(told(d), before);
    arrive(d, 1);
    cr_assert_eq(told(d), before + 1, "max_packets");
    arrive(d, 2);
    devemu_fake_advance(d->fake, 99999);
    cr_assert_eq(told(d), before + 1);
    devemu_fake_advance(d->fake, 1);
    cr_assert_eq(told(d), before + 2, "max_usecs");
    devemu_fake_advance(d->fake, 1000000);
    cr_assert_eq(told(d), before + 2, "nothing since");
    /* Either of them 0: after each packet. */
    cr_assert_eq(coalesce(d, RX_SET, 0, 5, 0), ND_OK);
    before = told(d);
    arrive(d, 3);
    cr_assert_eq(told(d), before + 3);
    cr_assert_eq(coalesce(d, RX_SET, 0, 0, 5), ND_OK);
    before = told(d);
    arrive(d, 3);
    cr_assert_eq(told(d), before + 3);
    vd_free(d);
}

Test(net_control, notifications_of_sent_packets_wait_as_well)
{
    static const uint8_t header[12];
    ND_OPEN(NULL, coalescing);
    uint8_t frame[64];
    unsigned before;

    nd_frame(frame, sizeof(frame), 2, 1);
    cr_assert_eq(coalesce(d, TX_SET, 0, 3, 1000), ND_OK);
    before = told(d);
    nd_send(d, 1, header, 12, frame, sizeof(frame), 12, 5);
    nd_send(d, 1, header, 12, frame, sizeof(frame), 12, 5);
    cr_assert_eq(told(d), before);
    nd_send(d, 1, header, 12, frame, sizeof(frame), 12, 5);
    cr_assert_eq(told(d), before + 1);
    vd_free(d);
}

Test(net_control, new_parameters_hold_at_once)
{
    ND_OPEN(NULL, coalescing);
    unsigned before;

    nd_fill(d, 0, 60, 512, VD_DATA);
    cr_assert_eq(coalesce(d, RX_SET, 0, 15, 1000), ND_OK);
    arrive(d, 10);
    before = told(d);
    cr_assert_eq(coalesce(d, RX_SET, 0, 8, 1000), ND_OK);
    cr_assert_eq(told(d), before + 2, "of the packets, and of the command");
    arrive(d, 5);
    before = told(d);
    cr_assert_eq(coalesce(d, RX_SET, 0, 8, 10), ND_OK);
    devemu_fake_advance(d->fake, 10000);
    cr_assert_eq(told(d), before + 2);
    vd_free(d);
}

/* The sequence of commands that the specification has as an example. */
Test(net_control, the_last_command_for_a_queue_holds)
{
    ND_OPEN("queues=2", coalescing | VD_BIT(F_MQ));
    uint32_t packets, usecs;

    cr_assert_eq(coalesce(d, RX_SET, 0, 1, 11), ND_OK);
    cr_assert_eq(coalesce(d, VQ_SET, 0, 2, 22), ND_OK);
    cr_assert_eq(coalesced(d, 0, &packets, &usecs), ND_OK);
    cr_assert(packets == 2 && usecs == 22);
    cr_assert_eq(coalesced(d, 2, &packets, &usecs), ND_OK);
    cr_assert(packets == 1 && usecs == 11);
    cr_assert_eq(coalesce(d, VQ_SET, 1, 4, 44), ND_OK);
    cr_assert_eq(coalesced(d, 3, &packets, &usecs), ND_OK);
    cr_assert(packets == 0 && usecs == 0);
    cr_assert_eq(coalesce(d, TX_SET, 0, 5, 55), ND_OK);
    cr_assert_eq(coalesced(d, 1, &packets, &usecs), ND_OK);
    cr_assert(packets == 5 && usecs == 55);
    /* Not of the control queue, nor of one that is not there. */
    cr_assert_eq(coalesce(d, VQ_SET, 4, 1, 1), ND_ERR);
    cr_assert_eq(coalesce(d, VQ_SET, 99, 1, 1), ND_ERR);
    cr_assert_eq(coalesced(d, 4, &packets, &usecs), ND_ERR);
    vd_free(d);
}

Test(net_control, a_queue_that_is_enabled_anew_has_what_was_set_for_all)
{
    ND_OPEN("queues=2", coalescing | VD_BIT(F_MQ) | VD_BIT(VIRTIO_F_RING_RESET));
    uint32_t packets, usecs;

    cr_assert_eq(coalesce(d, RX_SET, 0, 7, 70), ND_OK);
    cr_assert_eq(coalesce(d, VQ_SET, 0, 1, 10), ND_OK);
    cr_assert_eq(coalesce(d, VQ_SET, 1, 2, 20), ND_OK);
    for (unsigned i = 0; i < 2; i++) {
        reset_queue(d, i);
        cr_assert_eq(coalesced(d, i, &packets, &usecs), ND_ERR, "not enabled");
        vd_queue(d, i);
    }
    cr_assert_eq(coalesced(d, 0, &packets, &usecs), ND_OK);
    cr_assert(packets == 7 && usecs == 70);
    cr_assert_eq(coalesced(d, 1, &packets, &usecs), ND_OK);
    cr_assert(packets == 0 && usecs == 0);
    vd_start(d, coalescing | VD_BIT(F_MQ));
    cr_assert_eq(coalesced(d, 0, &packets, &usecs), ND_OK);
    cr_assert(packets == 0 && usecs == 0, "a reset sets all to 0");
    vd_free(d);
}

Test(net_control, a_driver_that_polls_is_not_notified)
{
    ND_OPEN(NULL, coalescing);
    unsigned before;

    nd_fill(d, 0, 60, 512, VD_DATA);
    cr_assert_eq(coalesce(d, RX_SET, 0, 5, 100), ND_OK);
    devemu_put_le16(vd_at(d, vd_ring(0) + 0x800), 1); /* NO_INTERRUPT */
    before = told(d);
    arrive(d, 12);
    cr_assert_eq(told(d), before);
    vd_free(d);
}

/* --- statistics: 5.1.6.5.11
 * ------------------------------------------------------------------------- */

enum { RX_BASIC = 0, RX_CSUM = 1, RX_GSO = 2, TX_BASIC = 16, TX_CSUM = 17, TX_GSO = 18, CVQ = 32 };

static const uint64_t counted = VD_BIT(F_MRG_RXBUF) | VD_BIT(F_CTRL_VQ) | VD_BIT(F_DEVICE_STATS) |
                                VD_BIT(F_CSUM) | VD_BIT(F_GUEST_CSUM) | VD_BIT(F_HOST_TSO4) |
                                VD_BIT(F_GUEST_TSO4);

static void stats_entry(uint8_t *entry, unsigned queue, uint64_t bitmap)
{
    memset(entry, 0, 16);
    devemu_put_le16(entry, (uint16_t)queue);
    devemu_put_le64(entry + 8, bitmap);
}

/* The values of one type, of a queue. */
static const uint8_t *stats(VdDriver *d, unsigned queue, unsigned type, size_t count)
{
    uint8_t entry[16];
    uint32_t written;
    const uint8_t *reply = vd_at(d, ND_ANSWER + 1);

    stats_entry(entry, queue, VD_BIT(type));
    cr_assert_eq(nd_ask(d, 8, 1, entry, sizeof(entry), 500, &written), ND_OK);
    cr_assert_eq(written, 1 + 8 + 8 * count);
    cr_assert_eq(reply[0], type);
    cr_assert_eq(devemu_le16(reply + 2), queue);
    cr_assert_eq(devemu_le16(reply + 6), 8 + 8 * count, "size");
    return reply + 8;
}

static uint64_t value_of(const uint8_t *values, unsigned i)
{
    return devemu_le64(values + 8 * (size_t)i);
}

Test(net_control, what_was_received_and_sent_is_counted)
{
    static const PacketKind kind = {.tcp_flags = 0x10};
    ND_OPEN(NULL, counted);
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t header[12] = {0};
    const uint8_t *v;
    uint32_t written, len;

    cr_assert_eq(nd_ask(d, 8, 0, NULL, 0, 8, &written), ND_OK);
    cr_assert_eq(written, 9);
    cr_assert_eq(devemu_le64(vd_at(d, ND_ANSWER + 1)), VD_BIT(CVQ) | 7 << 16 | 7);

    packet_make(packet, &kind, 3000, 1000);
    nd_fill(d, 0, 20, 2000, VD_DATA);
    devemu_fake_receive_packet(d->fake, &packet->offload, packet->data, packet->len, false);
    devemu_fake_receive(d->fake, packet->data, 100);
    while (nd_used(d, 0, &len) != NULL) {
    }
    devemu_net_offload_put(&packet->offload, header);
    nd_send(d, 1, header, 12, packet->data, packet->len, 12, 100);
    nd_send(d, 1, header, 12, packet->data, 20, 12, 10); /* malformed */

    v = stats(d, 0, RX_BASIC, 6);
    cr_assert_eq(value_of(v, 0), 1, "rx_notifications");
    cr_assert_eq(value_of(v, 1), 2, "rx_packets");
    cr_assert_eq(value_of(v, 2), packet->len + 100, "rx_bytes");
    cr_assert_eq(value_of(v, 3), 2, "rx_interrupts");
    v = stats(d, 0, RX_CSUM, 4);
    cr_assert(value_of(v, 0) == 0 && value_of(v, 1) == 1 && value_of(v, 2) == 1);
    v = stats(d, 0, RX_GSO, 4);
    cr_assert(value_of(v, 0) == 1 && value_of(v, 1) == packet->len);
    v = stats(d, 1, TX_BASIC, 6);
    cr_assert_eq(value_of(v, 0), 2, "tx_notifications");
    cr_assert_eq(value_of(v, 1), 1, "tx_packets");
    cr_assert_eq(value_of(v, 2), packet->len, "tx_bytes");
    cr_assert_eq(value_of(v, 4), 1, "tx_drops");
    cr_assert_eq(value_of(v, 5), 1, "tx_drop_malformed");
    v = stats(d, 1, TX_CSUM, 2);
    cr_assert(value_of(v, 0) == 0 && value_of(v, 1) == 1);
    v = stats(d, 1, TX_GSO, 6);
    cr_assert(value_of(v, 0) == 1 && value_of(v, 1) == packet->len);
    nd_command(d, 0, 0, "\1", 1); /* refused: CTRL_RX is not negotiated */
    v = stats(d, 2, CVQ, 2);
    cr_assert_eq(value_of(v, 0), 9, "commands, with this one");
    cr_assert_eq(value_of(v, 1), 8, "and those that went well");
    vd_free(d);
}

/* One mistake, and the whole command is refused. */
Test(net_control, statistics_that_are_not_there_are_refused)
{
    static const struct {
        unsigned queue;
        uint64_t bitmap;
    } bad[] = {
        {3, VD_BIT(RX_BASIC)}, /* no such queue */
        {0, VD_BIT(3)},        /* a type that is not known here */
        {0, VD_BIT(TX_BASIC)}, /* of another kind of queue */
        {1, VD_BIT(TX_BASIC) | VD_BIT(RX_BASIC)},
        {2, VD_BIT(RX_BASIC)},
        {0, VD_BIT(CVQ)},
    };
    ND_OPEN(NULL, counted);
    uint8_t entries[32];
    uint32_t written;

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        stats_entry(entries, 0, VD_BIT(RX_BASIC));
        stats_entry(entries + 16, bad[i].queue, bad[i].bitmap);
        cr_assert_eq(nd_ask(d, 8, 1, entries, sizeof(entries), 500, &written), ND_ERR, "%u", i);
        cr_assert_eq(written, 1);
    }
    vd_start(d, counted & ~VD_BIT(F_GUEST_TSO4));
    stats_entry(entries, 0, VD_BIT(RX_GSO));
    cr_assert_eq(nd_ask(d, 8, 1, entries, 16, 500, &written), ND_ERR, "its feature is missing");
    vd_free(d);
}

/* Several types of several queues, in a place that is too small: so much as fits. */
Test(net_control, statistics_are_written_as_far_as_there_is_room)
{
    ND_OPEN(NULL, counted);
    uint8_t entries[32];
    uint32_t written;

    stats_entry(entries, 0, VD_BIT(RX_BASIC) | VD_BIT(RX_CSUM));
    stats_entry(entries + 16, 1, VD_BIT(TX_BASIC));
    cr_assert_eq(nd_ask(d, 8, 1, entries, sizeof(entries), 500, &written), ND_OK);
    cr_assert_eq(written, 1 + 56 + 40 + 56);
    cr_assert_eq(*vd_at(d, ND_ANSWER + 1 + 56), RX_CSUM);
    cr_assert_eq(*vd_at(d, ND_ANSWER + 1 + 96), TX_BASIC);
    cr_assert_eq(*vd_at(d, ND_ANSWER + 1 + 152), ND_NO_ANSWER);
    cr_assert_eq(nd_ask(d, 8, 1, entries, sizeof(entries), 100, &written), ND_OK);
    cr_assert_eq(written, 101);
    vd_free(d);
}
