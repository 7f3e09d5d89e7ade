/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device: features, configuration, frames both ways; sections of virtio 1.4. The
 * clauses are in clauses.txt. */
#include "net-driver.h"

static const uint64_t both = VD_BIT(F_MRG_RXBUF) | VD_BIT(F_CSUM) | VD_BIT(F_GUEST_CSUM);
static const uint64_t all_tso = VD_BIT(F_CSUM) | VD_BIT(F_HOST_TSO4) | VD_BIT(F_HOST_TSO6) |
                                VD_BIT(F_HOST_USO) | VD_BIT(F_HOST_ECN) | VD_BIT(F_GUEST_CSUM) |
                                VD_BIT(F_GUEST_TSO4) | VD_BIT(F_GUEST_TSO6) | VD_BIT(F_GUEST_ECN) |
                                VD_BIT(F_GUEST_USO4) | VD_BIT(F_GUEST_USO6) | VD_BIT(F_MRG_RXBUF);

static const uint8_t no_header[20];

/* --- features and configuration: 5.1.3, 5.1.4 ----------------------------------------- */

Test(net, features_that_need_others_are_not_taken_alone)
{
    static const struct {
        unsigned feature, needs;
    } rules[] = {
        {F_GUEST_TSO4, F_GUEST_CSUM}, {F_GUEST_TSO6, F_GUEST_CSUM}, {F_GUEST_USO4, F_GUEST_CSUM},
        {F_GUEST_USO6, F_GUEST_CSUM}, {F_HOST_TSO4, F_CSUM},        {F_HOST_TSO6, F_CSUM},
        {F_HOST_USO, F_CSUM},
    };
    VdDriver driver = vd_new(&devemu_model_virtio_net, "queues=2"), *d = &driver;
    const uint64_t modern = VD_BIT(VIRTIO_F_VERSION_1);

    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++) {
        cr_assert_not(vd_negotiate(d, modern | VD_BIT(rules[i].feature)), "%u", rules[i].feature);
        cr_assert(vd_negotiate(d, modern | VD_BIT(rules[i].feature) | VD_BIT(rules[i].needs)), "%u",
                  rules[i].feature);
    }
    cr_assert_not(vd_negotiate(d, modern | VD_BIT(F_CSUM) | VD_BIT(F_HOST_ECN)),
                  "neither TSO4 nor TSO6");
    cr_assert_not(vd_negotiate(d, modern | VD_BIT(F_GUEST_CSUM) | VD_BIT(F_GUEST_ECN)));
    vd_free(d);
}

Test(net, configuration_says_what_the_options_say)
{
    VdDriver driver = vd_new(&devemu_model_virtio_net,
                             "mac=02:11:22:33:44:55,queues=3,mtu=9000,speed=25000,hash=on");
    VdDriver *d = &driver;
    static const uint8_t mac[] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
    uint64_t offered = vd_offered(d);

    for (unsigned i = 0; i < 6; i++) {
        cr_assert_eq(nd_config(d, i, 1), mac[i]);
    }
    cr_assert_eq(nd_config(d, 0, 4), 0x33221102, "in any width");
    cr_assert_eq(nd_config(d, 6, 2), 1, "LINK_UP");
    cr_assert_eq(nd_config(d, 8, 2), 3);
    cr_assert_eq(nd_config(d, 10, 2), 9000);
    cr_assert_eq(nd_config(d, 12, 4), 25000);
    cr_assert_eq(nd_config(d, 16, 1), 1, "full duplex");
    cr_assert_geq(nd_config(d, 17, 1), 40);
    cr_assert_geq(nd_config(d, 18, 2), 128);
    cr_assert_eq(nd_config(d, 20, 4), 0x1ff);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_NUM_QUEUES, 2), 7);
    cr_assert(offered & VD_BIT(F_MTU));
    cr_assert(offered & VD_BIT(F_MQ));
    cr_assert(offered & VD_BIT(F_RSS));
    cr_assert(offered & VD_BIT(F_HASH_REPORT));
    /* 5.1.4.2: the driver writes none of it. */
    cr_assert(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1)));
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 0, 1, 0x66);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 10, 2, 1);
    cr_assert_eq(nd_config(d, 0, 1), 0x02);
    cr_assert_eq(nd_config(d, 10, 2), 9000);
    vd_free(d);
}

Test(net, what_is_off_is_not_offered)
{
    VdDriver driver = vd_new(&devemu_model_virtio_net, "offload=off,ctrl_vq=off,mrg_rxbuf=off");
    VdDriver *d = &driver;
    uint64_t offered = vd_offered(d) & ((UINT64_C(1) << 24) - 1);

    cr_assert_eq(offered, VD_BIT(F_MAC) | VD_BIT(F_STATUS));
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_NUM_QUEUES, 2), 2);
    cr_assert_eq(nd_config(d, 12, 4), UINT32_MAX, "a speed that is not known");
    cr_assert_eq(nd_config(d, 16, 1), 0xff);
    vd_free(d);
}

Test(net, the_link_is_in_status_and_stops_frames)
{
    ND_OPEN(NULL, VD_BIT(F_STATUS));
    uint8_t frame[100];
    uint64_t vector;
    unsigned before = vd_notifications(d, &vector);
    uint64_t generation = vd_read(d, DEVEMU_VIRTIO_CONFIG_GENERATION, 1);

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    nd_fill(d, 0, 4, 2048, VD_DATA);
    devemu_device_link(devemu_fake_device(d->fake), 0);
    cr_assert_eq(nd_config(d, 6, 2), 0);
    cr_assert_eq(vd_notifications(d, &vector), before + 1);
    cr_assert_eq(vector, DEVEMU_VIRTIO_CONFIG_CHANGE);
    cr_assert_neq(vd_read(d, DEVEMU_VIRTIO_CONFIG_GENERATION, 1), generation);
    cr_assert_not(nd_arrives(d, 0, frame, sizeof(frame)));
    nd_send(d, 1, no_header, 12, frame, sizeof(frame), 12, 50);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 0);
    devemu_device_link(devemu_fake_device(d->fake), 1);
    cr_assert(nd_arrives(d, 0, frame, sizeof(frame)));
    nd_send(d, 1, no_header, 12, frame, sizeof(frame), 12, 50);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 1);
    vd_free(d);
}

/* --- transmission: 5.1.6.2 ------------------------------------------------------------ */

Test(net, a_frame_may_be_arranged_in_any_way)
{
    static const uint32_t splits[][2] = {{12, 100}, {1, 11}, {13, 1}, {50, 62}, {12, 1}, {5, 3}};

    for (unsigned map = 0; map < 2; map++) {
        VdDriver driver = vd_new(&devemu_model_virtio_net, NULL), *d = &driver;
        uint8_t frame[200];

        devemu_fake_set_map(d->fake, map);
        vd_start(d, both);
        nd_frame(frame, sizeof(frame), 2, 1);
        for (unsigned i = 0; i < G_N_ELEMENTS(splits); i++) {
            size_t len;
            const uint8_t *sent;

            devemu_fake_clear_sent(d->fake);
            nd_send(d, 1, no_header, 12, frame, sizeof(frame), splits[i][0], splits[i][1]);
            cr_assert_eq(devemu_fake_sent_count(d->fake), 1);
            sent = devemu_fake_sent(d->fake, 0, &len);
            cr_assert_eq(len, sizeof(frame));
            cr_assert_arr_eq(sent, frame, len);
        }
        vd_free(d);
    }
}

Test(net, a_checksum_is_left_to_the_backend_or_done)
{
    static const PacketKind kind = {.tcp_flags = 0x10};
    ND_OPEN(NULL, both);
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t header[12] = {0};
    size_t len;
    const uint8_t *sent;

    packet_make(packet, &kind, 300, 0);
    devemu_net_offload_put(&packet->offload, header);
    nd_send(d, 1, header, 12, packet->data, packet->len, 12, 100);
    sent = devemu_fake_sent(d->fake, 0, &len);
    packet_check(&kind, sent, len);
    devemu_fake_set_offloads(d->fake, DEVEMU_OFFLOAD_CSUM);
    nd_send(d, 1, header, 12, packet->data, packet->len, 12, 100);
    sent = devemu_fake_sent(d->fake, 1, &len);
    cr_assert_arr_eq(sent, packet->data, packet->len);
    cr_assert(devemu_fake_sent_offload(d->fake, 1)->needs_csum);
    cr_assert_eq(devemu_fake_sent_offload(d->fake, 1)->csum_start, packet->transport);
    vd_free(d);
}

Test(net, long_packets_are_left_to_the_backend_or_cut)
{
    static const PacketKind kinds[] = {{.tcp_flags = 0x98}, {.ipv6 = true}, {.udp = true}};
    ND_OPEN(NULL, all_tso);
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t header[12] = {0};

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        size_t len, bytes = 0;

        packet_make(packet, &kinds[i], 60000, 1400);
        packet->offload.ecn = i == 0;
        devemu_net_offload_put(&packet->offload, header);
        devemu_fake_set_offloads(d->fake, DEVEMU_OFFLOAD_ALL);
        devemu_fake_clear_sent(d->fake);
        nd_send(d, 1, header, 12, packet->data, packet->len, 12, 30000);
        cr_assert_eq(devemu_fake_sent_count(d->fake), 1);
        cr_assert_eq(devemu_fake_sent_offload(d->fake, 0)->gso, packet->offload.gso);
        cr_assert_eq(devemu_fake_sent_offload(d->fake, 0)->gso_size, 1400);
        cr_assert_eq(devemu_fake_sent_offload(d->fake, 0)->ecn, i == 0);

        devemu_fake_set_offloads(d->fake, 0);
        devemu_fake_clear_sent(d->fake);
        nd_send(d, 1, header, 12, packet->data, packet->len, 12, 30000);
        cr_assert_eq(devemu_fake_sent_count(d->fake), (60000 + 1399) / 1400);
        for (unsigned n = 0; n < devemu_fake_sent_count(d->fake); n++) {
            const uint8_t *sent = devemu_fake_sent(d->fake, n, &len);

            packet_check(&kinds[i], sent, len);
            bytes += len - packet->payload;
        }
        cr_assert_eq(bytes, 60000);
    }
    vd_free(d);
}

/* Flags that are not known are ignored; csum_start without NEEDS_CSUM is not used. */
Test(net, what_a_header_says_without_a_flag_is_not_used)
{
    ND_OPEN(NULL, both);
    uint8_t frame[100], header[12] = {0xfe, 0};
    size_t len;

    devemu_fake_set_offloads(d->fake, DEVEMU_OFFLOAD_ALL);
    memset(header + 2, 0xff, 10); /* places that are not there */
    nd_frame(frame, sizeof(frame), 2, 1);
    nd_send(d, 1, header, 12, frame, sizeof(frame), 12, 50);
    cr_assert_arr_eq(devemu_fake_sent(d->fake, 0, &len), frame, sizeof(frame));
    cr_assert_not(devemu_fake_sent_offload(d->fake, 0)->needs_csum);
    cr_assert_not(devemu_fake_sent_offload(d->fake, 0)->data_valid);
    vd_free(d);
}

Test(net, hdr_len_is_not_relied_on)
{
    static const PacketKind kind = {.tcp_flags = 0x10};
    ND_OPEN(NULL, all_tso);
    g_autofree Packet *packet = g_new(Packet, 1);
    uint8_t header[12] = {0};
    size_t len;

    for (unsigned hdr_len = 0; hdr_len < 0x10000; hdr_len += 0x3333) {
        devemu_fake_clear_sent(d->fake);
        packet_make(packet, &kind, 3000, 1000);
        packet->offload.hdr_len = (uint16_t)hdr_len;
        devemu_net_offload_put(&packet->offload, header);
        nd_send(d, 1, header, 12, packet->data, packet->len, 12, 100);
        cr_assert_eq(devemu_fake_sent_count(d->fake), 3);
        for (unsigned n = 0; n < 3; n++) {
            const uint8_t *sent = devemu_fake_sent(d->fake, n, &len);

            cr_assert_eq(len, 1054);
            packet_check(&kind, sent, len);
        }
    }
    vd_free(d);
}

Test(net, malformed_packets_are_used_and_not_sent)
{
    ND_OPEN(NULL, VD_BIT(F_CSUM) | VD_BIT(F_HOST_TSO4));
    static const struct {
        uint8_t header[12];
        size_t len;
    } bad[] = {
        {{0}, 13},                                   /* no Ethernet header */
        {{1, 0, 0, 0, 0, 0, 90, 0, 9, 0}, 100},      /* a checksum behind the end */
        {{1, 4, 54, 0, 0x20, 3, 34, 0, 16, 0}, 100}, /* TCPv6 is not negotiated */
        {{1, 3, 54, 0, 0x20, 3, 34, 0, 16, 0}, 100}, /* UFO */
        {{0, 1, 54, 0, 0x20, 3, 34, 0, 16, 0}, 100}, /* no NEEDS_CSUM */
        {{1, 1, 54, 0, 0, 0, 34, 0, 16, 0}, 100},    /* no gso_size */
    };
    uint8_t frame[100];

    nd_frame(frame, sizeof(frame), 2, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        nd_send(d, 1, bad[i].header, 12, frame, bad[i].len, 12, 5);
        cr_assert_eq(devemu_fake_sent_count(d->fake), 0, "%u", i);
        cr_assert_eq(vd_status(d), 0xf);
    }
    nd_send(d, 1, no_header, 12, frame, 100, 12, 5);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 1);
    vd_free(d);
}

/* A batch is used with one notification. */
Test(net, a_batch_is_sent_with_one_notification)
{
    ND_OPEN(NULL, both);
    uint8_t frame[60];
    uint64_t vector;
    unsigned before = vd_notifications(d, &vector);
    uint32_t id, len;

    nd_frame(frame, sizeof(frame), 2, 1);
    memcpy(vd_at(d, VD_DATA + 12), frame, sizeof(frame));
    for (unsigned i = 0; i < 20; i++) {
        vd_add(d, 1, &(VdPiece){VD_DATA, 12 + sizeof(frame), false}, 1);
    }
    vd_kick(d, 1);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 20);
    cr_assert_eq(vd_notifications(d, &vector), before + 1);
    cr_assert_eq(vector, 1);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert(vd_used(d, 1, &id, &len));
        cr_assert_eq(id, i);
    }
    vd_free(d);
}

/* --- reception: 5.1.6.3, 5.1.6.4 ------------------------------------------------------- */

Test(net, without_mergeable_buffers_a_frame_is_in_one)
{
    ND_OPEN(NULL, VD_BIT(F_GUEST_CSUM));
    uint8_t frame[1514];
    uint32_t len;
    const uint8_t *buffer;

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    vd_add(d, 0, (const VdPiece[]){{VD_DATA, 7, true}, {VD_DATA + 7, 1519, true}}, 2);
    vd_add(d, 0, &(VdPiece){VD_DATA + 2048, 1000, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, frame, sizeof(frame)), sizeof(frame));
    buffer = nd_used(d, 0, &len);
    cr_assert_eq(len, 1526);
    cr_assert_eq(devemu_le16(buffer + 10), 1, "num_buffers");
    cr_assert_arr_eq(buffer, no_header, 10);
    cr_assert_arr_eq(buffer + 12, frame, sizeof(frame));
    /* One that does not fit is lost, and its buffer is not. */
    cr_assert_eq(devemu_fake_receive(d->fake, frame, sizeof(frame)), sizeof(frame));
    cr_assert_null(nd_used(d, 0, &len));
    cr_assert_eq(devemu_fake_receive(d->fake, frame, 900), 900);
    cr_assert_not_null(nd_used(d, 0, &len));
    cr_assert_eq(len, 912);
    vd_free(d);
}

Test(net, a_packet_is_spread_over_buffers_that_are_filled)
{
    for (unsigned map = 0; map < 2; map++) {
        static const PacketKind kind = {.tcp_flags = 0x10};
        VdDriver driver = vd_new(&devemu_model_virtio_net, NULL), *d = &driver;
        g_autofree Packet *packet = g_new(Packet, 1);
        uint8_t *buffer;
        size_t done;
        uint32_t len;
        unsigned count;
        DevemuNetOffload said;

        devemu_fake_set_map(d->fake, map);
        vd_start(d, all_tso);
        packet_make(packet, &kind, 20000, 1448);
        nd_fill(d, 0, 20, 2000, VD_DATA);
        cr_assert_eq(
            devemu_fake_receive_packet(d->fake, &packet->offload, packet->data, packet->len, false),
            packet->len);
        buffer = nd_used(d, 0, &len);
        cr_assert(devemu_net_offload_get(buffer, &said));
        cr_assert_eq(said.gso, DEVEMU_GSO_TCPV4);
        cr_assert_eq(said.gso_size, 1448);
        cr_assert(said.needs_csum);
        cr_assert_eq(said.csum_start, packet->transport);
        cr_assert_geq(said.hdr_len, packet->payload);
        count = devemu_le16(buffer + 10);
        cr_assert_eq(count, (packet->len + 12 + 1999) / 2000);
        cr_assert_arr_eq(buffer + 12, packet->data, 1988);
        done = 1988;
        for (unsigned i = 1; i < count; i++) {
            buffer = nd_used(d, 0, &len);
            cr_assert_not_null(buffer, "all at once");
            cr_assert(i + 1 == count || len == 2000);
            cr_assert_arr_eq(buffer, packet->data + done, len);
            done += len;
        }
        cr_assert_eq(done, packet->len);
        cr_assert_null(nd_used(d, 0, &len));
        vd_free(d);
    }
}

/* Buffers for a part of it: nothing is used, and the frame comes when there are more. */
Test(net, a_packet_waits_for_all_its_buffers)
{
    ND_OPEN(NULL, both | VD_BIT(VIRTIO_F_EVENT_IDX));
    uint8_t frame[1514];
    uint32_t len;
    unsigned readies;

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    nd_fill(d, 0, 3, 400, VD_DATA);
    cr_assert_eq(devemu_fake_receive(d->fake, frame, sizeof(frame)), 0);
    cr_assert_null(nd_used(d, 0, &len));
    cr_assert_eq(devemu_device_ready(devemu_fake_device(d->fake)), 0);
    /* 2.7.10: a notification is asked for behind what is there. */
    cr_assert_eq(devemu_le16(vd_at(d, vd_ring(0) + 0x1000 + 4 + 8 * VD_SIZE)), 3);
    readies = devemu_fake_readies(d->fake);
    nd_fill(d, 0, 1, 400, VD_DATA + 2000);
    cr_assert_eq(devemu_fake_readies(d->fake), readies + 1);
    cr_assert_eq(devemu_fake_receive(d->fake, frame, sizeof(frame)), sizeof(frame));
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_not_null(nd_used(d, 0, &len));
    }
    cr_assert_eq(len, 1526 - 1200);
    vd_free(d);
}

Test(net, a_driver_gets_no_more_than_it_negotiated)
{
    static const PacketKind kind = {.tcp_flags = 0x10};
    static const uint64_t features[] = {0, VD_BIT(F_GUEST_CSUM),
                                        VD_BIT(F_GUEST_CSUM) | VD_BIT(F_GUEST_TSO6)};
    g_autofree Packet *packet = g_new(Packet, 1);
    const DevemuNetOffload valid = {.data_valid = true};

    packet_make(packet, &kind, 5000, 1448);
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        ND_OPEN(NULL, features[i]);
        const uint8_t *buffer;
        uint32_t len;

        nd_fill(d, 0, 10, 2000, VD_DATA);
        devemu_fake_receive_packet(d->fake, &packet->offload, packet->data, packet->len, false);
        for (unsigned n = 0; n < 4; n++) {
            buffer = nd_used(d, 0, &len);
            cr_assert_not_null(buffer);
            cr_assert_eq(buffer[0], 0, "flags");
            cr_assert_eq(buffer[1], 0, "gso_type");
            packet_check(&kind, buffer + 12, len - 12);
        }
        devemu_fake_receive_packet(d->fake, &valid, packet->data, 500, false);
        buffer = nd_used(d, 0, &len);
        cr_assert_eq(buffer[0], i == 0 ? 0 : 2, "DATA_VALID");
        vd_free(d);
    }
}

Test(net, frames_of_a_batch_come_with_one_notification)
{
    ND_OPEN(NULL, both);
    uint8_t frame[60];
    uint64_t vector;
    unsigned before;
    uint32_t len;

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    nd_fill(d, 0, 10, 2000, VD_DATA);
    before = vd_notifications(d, &vector);
    for (unsigned i = 0; i < 4; i++) {
        devemu_fake_receive_packet(d->fake, NULL, frame, sizeof(frame), i < 3);
    }
    cr_assert_eq(vd_notifications(d, &vector), before + 1);
    /* More was promised, and does not come. */
    devemu_fake_receive_packet(d->fake, NULL, frame, sizeof(frame), true);
    cr_assert_eq(vd_notifications(d, &vector), before + 1);
    devemu_fake_advance(d->fake, 1);
    cr_assert_eq(vd_notifications(d, &vector), before + 2);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_not_null(nd_used(d, 0, &len));
    }
    vd_free(d);
}

Test(net, packets_above_the_mtu_are_not_passed_on)
{
    ND_OPEN("mtu=1000", VD_BIT(F_MTU) | both);
    uint8_t frame[1100];

    nd_fill(d, 0, 10, 2000, VD_DATA);
    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    cr_assert(nd_arrives(d, 0, frame, 1014));
    cr_assert_not(nd_arrives(d, 0, frame, 1015));
    memcpy(frame + 12, "\x81\0\0\x01", 4);
    cr_assert(nd_arrives(d, 0, frame, 1018), "a tag is no part of it");
    /* Of the driver's own no more is asked than to send them. */
    nd_send(d, 1, no_header, 12, frame, 1014, 12, 100);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 1);
    vd_free(d);
}

Test(net, a_buffer_without_room_for_the_header_needs_a_reset)
{
    ND_OPEN(NULL, both);
    uint8_t frame[60];

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    vd_add(d, 0, &(VdPiece){VD_DATA, 11, true}, 1);
    vd_add(d, 0, &(VdPiece){VD_DATA + 100, 1000, true}, 1);
    vd_kick(d, 0);
    devemu_fake_receive(d->fake, frame, sizeof(frame));
    cr_assert(vd_status(d) & DEVEMU_VIRTIO_NEEDS_RESET);
    vd_free(d);
}

/* Empty buffers make no endless work. */
Test(net, many_buffers_of_nothing_are_no_place_for_a_frame)
{
    ND_OPEN(NULL, both);
    uint8_t frame[1514];

    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    for (unsigned i = 0; i < VD_SIZE; i++) {
        vd_add(d, 0, &(VdPiece){VD_DATA, i % 2, true}, 1);
    }
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, frame, sizeof(frame)), 0);
    cr_assert_eq(vd_status(d), 0xf);
    vd_free(d);
}

/* --- legacy: 5.1.6.1 ------------------------------------------------------------------ */

static void start_legacy(VdDriver *d, uint32_t features)
{
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    memset(d->queues, 0, sizeof(d->queues));
    d->features = features;
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 3);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 0);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, features);
    vd_queue(d, 0);
    vd_queue(d, 1);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 7);
    devemu_fake_advance(d->fake, 1);
}

Test(net, a_legacy_header_is_two_bytes_shorter)
{
    VdDriver driver = vd_new(&devemu_model_virtio_net, NULL), *d = &driver;
    uint8_t frame[100];
    const uint8_t *buffer;
    uint32_t len;
    size_t sent_len;

    nd_frame(frame, sizeof(frame), 0x52, 0x77);
    start_legacy(d, 1U << F_MAC);
    nd_fill(d, 0, 2, 2000, VD_DATA);
    devemu_fake_receive(d->fake, frame, sizeof(frame));
    buffer = nd_used(d, 0, &len);
    cr_assert_eq(len, 110);
    cr_assert_arr_eq(buffer + 10, frame, sizeof(frame));
    nd_send(d, 1, no_header, 10, frame, sizeof(frame), 10, 20);
    devemu_fake_sent(d->fake, 0, &sent_len);
    cr_assert_eq(sent_len, sizeof(frame));

    start_legacy(d, 1U << F_MAC | 1U << F_MRG_RXBUF);
    nd_fill(d, 0, 2, 2000, VD_DATA);
    devemu_fake_receive(d->fake, frame, sizeof(frame));
    buffer = nd_used(d, 0, &len);
    cr_assert_eq(len, 112);
    cr_assert_eq(devemu_le16(buffer + 10), 1);
    vd_free(d);
}

/* 5.1.4.3 */
Test(net, a_legacy_driver_writes_the_address)
{
    VdDriver driver = vd_new(&devemu_model_virtio_net, NULL), *d = &driver;

    start_legacy(d, 1U << F_MAC);
    for (unsigned i = 0; i < 6; i++) {
        devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, i, 1, 0x10 + i);
    }
    for (unsigned i = 0; i < 6; i++) {
        cr_assert_eq(nd_config(d, i, 1), 0x10 + i);
    }
    vd_free(d);
}

/* --- mistakes of a person --------------------------------------------------------------- */

Test(net, options_that_are_not_possible)
{
    static const struct {
        const char *options, *message;
    } bad[] = {
        {"mac=53:54:00:00:00:01",
         "virtio-net: property 'mac' is the address of a group; its first byte must be even"},
        {"queue_size=100", "virtio-net: property 'queue_size' must be a power of two"},
        {"mtu=67", "virtio-net: property 'mtu' must be at least 68, or 0 for none"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;

        cr_assert_null(devemu_device_new(&devemu_model_virtio_net, bad[i].options, &error));
        cr_assert_str_eq(error->message, bad[i].message);
        g_error_free(error);
    }
}
