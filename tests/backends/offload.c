/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * offload.c: checksums and segmentation where one side cannot do them, between a toy device and a
 * backend of the test's own, or another toy.
 */
#include "packets.h"
#include "toy.h"

#include <devemu/record.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Wire {
    GPtrArray *frames; /* GBytes */
    GArray *metas;     /* DevemuNetOffload of each; none: plain */
    uint32_t offloads;
    unsigned mores;
} Wire;

static void add(Wire *wire, const DevemuNetOffload *offload, const DevemuSlice *slices,
                size_t count, bool more)
{
    GByteArray *frame = g_byte_array_new();

    for (size_t i = 0; i < count; i++) {
        g_byte_array_append(frame, slices[i].data, (guint)slices[i].len);
    }
    g_ptr_array_add(wire->frames, g_byte_array_free_to_bytes(frame));
    g_array_append_val(wire->metas, *offload);
    wire->mores += more;
}

static void wire_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    static const DevemuNetOffload plain;

    add(net, &plain, slices, count, more);
}

static void wire_send_offload(void *net, const DevemuNetOffload *offload, const DevemuSlice *slices,
                              size_t count, bool more)
{
    add(net, offload, slices, count, more);
}

static uint32_t wire_offloads(void *net)
{
    return ((Wire *)net)->offloads;
}

static const DevemuNetOps wire_ops = {
    .size = sizeof(wire_ops),
    .send = wire_send,
    .offloads = wire_offloads,
    .send_offload = wire_send_offload,
};

static Wire *wire_new(DevemuDevice *dev, uint32_t offloads)
{
    Wire *wire = g_new0(Wire, 1);

    wire->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    wire->metas = g_array_new(FALSE, FALSE, sizeof(DevemuNetOffload));
    wire->offloads = offloads;
    devemu_device_attach_net(dev, &wire_ops, wire);
    return wire;
}

static void wire_free(Wire *wire)
{
    g_ptr_array_unref(wire->frames);
    g_array_unref(wire->metas);
    g_free(wire);
}

static bool send_packet(Toy *toy, const Packet *packet)
{
    DevemuSlice slices[3] = {{packet->data, 7},
                             {packet->data + 7, packet->len - 8},
                             {packet->data + packet->len - 1, 1}};

    return devemu_send_packet(toy->dev, &packet->offload, slices, 3, false);
}

/* --- checksums --------------------------------------------------------------------- */

/* A literal: UDP 10.0.0.1:4660 -> 10.0.0.2:22136, "abc", and its checksum worked out by hand:
 * the pseudo header a00+1+a00+2+11+b = 141f; with 1234+5678+b and 6162+6300 that is 1 4138, in one
 * word 4139, whose complement is bec6. */
Test(offload, a_checksum_worked_out_by_hand)
{
    static const uint8_t frame[] = {
        2,    0,    0,    0,    0, 1,  2,    0,    0,   0,   0,    2,    8,  0, /* Ethernet */
        0x45, 0,    0,    31,   0, 0,  0,    0,    64,  17,  0x66, 0xcc, 10, 0,
        0,    1,    10,   0,    0, 2,                             /* IPv4 */
        0x12, 0x34, 0x56, 0x78, 0, 11, 0x14, 0x1f, 'a', 'b', 'c', /* UDP */
    };
    DevemuNetOffload offload = {.needs_csum = true, .csum_start = 34, .csum_offset = 6};
    DevemuSlice slice = {frame, sizeof(frame)};
    Toy *toy = toy_new(&toy_packet_model);
    Wire *wire = wire_new(toy->dev, 0);
    const uint8_t *sent;
    size_t len;

    cr_assert(devemu_send_packet(toy->dev, &offload, &slice, 1, false));

    cr_assert_eq(wire->frames->len, 1);
    sent = g_bytes_get_data(g_ptr_array_index(wire->frames, 0), &len);
    cr_assert_eq(len, sizeof(frame));
    cr_assert_eq(packet_get16(sent + 40), 0xbec6, "%04x", packet_get16(sent + 40));
    wire_free(wire);
    toy_free(toy);
}

Test(offload, checksums_are_completed_for_a_backend_that_cannot)
{
    static const PacketKind kinds[] = {
        {0}, {.udp = true}, {.ipv6 = true}, {.ipv6 = true, .udp = true}, {.tags = 2, .udp = true}};
    Toy *toy = toy_new(&toy_packet_model);
    Wire *wire = wire_new(toy->dev, DEVEMU_OFFLOAD_TSO4);
    Packet *packet = g_new(Packet, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        for (unsigned payload = 0; payload < 9; payload++) {
            size_t len;
            const uint8_t *sent;

            packet_make(packet, &kinds[i], payload, 0);
            cr_assert(send_packet(toy, packet));
            sent = g_bytes_get_data(g_ptr_array_index(wire->frames, wire->frames->len - 1), &len);
            cr_assert_eq(len, packet->len);
            packet_check(&kinds[i], sent, len);
        }
    }
    g_free(packet);
    wire_free(wire);
    toy_free(toy);
}

/* RFC 768: a checksum that comes out as zero is sent as ones. */
Test(offload, a_sum_of_zero_is_not_sent_as_none)
{
    static const PacketKind kind = {.udp = true};
    Toy *toy = toy_new(&toy_packet_model);
    Wire *wire = wire_new(toy->dev, 0);
    Packet *packet = g_new(Packet, 1);
    const uint8_t *sent;
    size_t len;
    uint32_t sum;

    packet_make(packet, &kind, 2, 0);
    packet_put16(packet->data + packet->payload, 0);
    sum = packet_words(0, packet->data + packet->transport, packet->len - packet->transport);
    packet_put16(packet->data + packet->payload, 0xffff ^ sum);
    cr_assert(send_packet(toy, packet));

    sent = g_bytes_get_data(g_ptr_array_index(wire->frames, 0), &len);
    cr_assert_eq(packet_get16(sent + packet->transport + 6), 0xffff);
    g_free(packet);
    wire_free(wire);
    toy_free(toy);
}

Test(offload, what_the_backend_takes_passes_as_it_is)
{
    static const PacketKind kind = {0};
    Toy *toy = toy_new(&toy_packet_model);
    Wire *wire = wire_new(toy->dev, DEVEMU_OFFLOAD_CSUM | DEVEMU_OFFLOAD_TSO4);
    Packet *packet = g_new(Packet, 1);
    GBytes *frame;

    packet_make(packet, &kind, 5000, 1000);
    cr_assert(send_packet(toy, packet));

    cr_assert_eq(wire->frames->len, 1);
    frame = g_ptr_array_index(wire->frames, 0);
    cr_assert_eq(g_bytes_get_size(frame), packet->len);
    cr_assert_arr_eq(g_bytes_get_data(frame, NULL), packet->data, packet->len);
    cr_assert_arr_eq(wire->metas->data, &packet->offload, sizeof(packet->offload));

    packet->offload.ecn = true; /* which it does not take */
    cr_assert(send_packet(toy, packet));
    cr_assert_eq(wire->frames->len, 6);
    g_free(packet);
    wire_free(wire);
    toy_free(toy);
}

/* --- segmentation ------------------------------------------------------------------ */

/* All pieces of a packet: lengths, sums, numbers, flags, and the payload, in order and whole. */
static void check_pieces(const PacketKind *kind, const Packet *packet, GPtrArray *frames, guint at)
{
    size_t payload = packet->len - packet->payload, done = 0;
    guint count = frames->len - at;

    cr_assert_eq(count,
                 MAX(1, (payload + packet->offload.gso_size - 1) / packet->offload.gso_size));
    for (guint i = 0; i < count; i++) {
        size_t len;
        const uint8_t *frame = g_bytes_get_data(g_ptr_array_index(frames, at + i), &len);
        const uint8_t *t = frame + packet->transport;
        bool last = i + 1 == count;

        packet_check(kind, frame, len);
        cr_assert_eq(len - packet->payload, last ? payload - done : packet->offload.gso_size,
                     "piece %u", i);
        cr_assert_arr_eq(frame, packet->data, packet->ip);
        cr_assert_arr_eq(frame + packet->payload, packet->data + packet->payload + done,
                         len - packet->payload);
        if (!kind->ipv6) {
            cr_assert_eq(packet_get16(frame + packet->ip + 4), (0xfffe + i) & 0xffff);
        }
        if (!kind->udp) {
            uint32_t seq = packet_get16(t + 4) << 16 | packet_get16(t + 6);
            uint8_t flags = kind->tcp_flags;

            flags &= (uint8_t)(last ? 0xff : ~0x09);   /* FIN and PSH: the last */
            flags &= (uint8_t)(i == 0 ? 0xff : ~0x80); /* CWR: the first (RFC 3168, 6.1.2) */
            cr_assert_eq(seq, (uint32_t)(0xfffffd00U + done));
            cr_assert_eq(t[13], flags, "flags %02x of piece %u", t[13], i);
            cr_assert_arr_eq(t + 20, packet->data + packet->transport + 20, kind->tcp_options);
        }
        done += len - packet->payload;
    }
    cr_assert_eq(done, payload);
}

static const PacketKind pieces_kinds[] = {
    {.tcp_flags = 0x19},
    {.tcp_flags = 0xd9, .tcp_options = 12},
    {.tcp_flags = 0x90, .tcp_options = 40, .tags = 1, .ip_options = 40},
    {.ipv6 = true, .tcp_flags = 0x99},
    {.ipv6 = true, .tcp_flags = 0x10, .ip_options = 16, .tags = 2},
    {.udp = true},
    {.udp = true, .ipv6 = true},
    {.udp = true, .ip_options = 8, .tags = 2},
};
static const struct {
    size_t payload;
    unsigned gso_size;
} pieces_sizes[] = {{0, 1000}, {1, 1000},     {999, 1000},   {1000, 1000},   {1001, 1000},
                    {7, 8},    {65000, 1448}, {65000, 1449}, {65000, 65000}, {20000, 8}};

Test(offload, frames_are_cut_for_a_backend_that_cannot)
{
    Toy *toy = toy_new(&toy_packet_model);
    Wire *wire = wire_new(toy->dev, DEVEMU_OFFLOAD_CSUM);
    Packet *packet = g_new(Packet, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(pieces_kinds); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(pieces_sizes); j++) {
            packet_make(packet, &pieces_kinds[i], pieces_sizes[j].payload,
                        pieces_sizes[j].gso_size);
            g_ptr_array_set_size(wire->frames, 0);
            wire->mores = 0;
            cr_assert(send_packet(toy, packet));
            check_pieces(&pieces_kinds[i], packet, wire->frames, 0);
            cr_assert_eq(wire->mores, wire->frames->len - 1, "all but the last");
        }
    }
    g_free(packet);
    wire_free(wire);
    toy_free(toy);
}

Test(offload, frames_are_cut_for_a_driver_that_does_not_take_them)
{
    Toy *toy = toy_new(&toy_packet_model);
    Packet *packet = g_new(Packet, 1);
    const PacketKind *kind = &pieces_kinds[1];

    packet_make(packet, kind, 5000, 1448);
    toy->offloads = DEVEMU_OFFLOAD_CSUM | DEVEMU_OFFLOAD_TSO4;
    cr_assert_eq(
        devemu_device_receive_packet(toy->dev, &packet->offload, packet->data, packet->len, true),
        packet->len);
    cr_assert_eq(toy->frames->len, 1);
    cr_assert_arr_eq(toy->metas->data, &packet->offload, sizeof(packet->offload));
    cr_assert_eq(toy->mores, 1);

    toy->offloads = DEVEMU_OFFLOAD_CSUM;
    cr_assert_eq(
        devemu_device_receive_packet(toy->dev, &packet->offload, packet->data, packet->len, false),
        packet->len);
    check_pieces(kind, packet, toy->frames, 1);
    cr_assert_eq(toy->mores, 4, "three more of four");

    toy->room = 0;
    cr_assert_eq(
        devemu_device_receive_packet(toy->dev, &packet->offload, packet->data, packet->len, false),
        0);
    g_free(packet);
    toy_free(toy);
}

/* A model of before knows plain frames alone. */
Test(offload, an_old_model_sees_plain_frames)
{
    Toy *toy = toy_new(&toy_net_model);
    Packet *packet = g_new(Packet, 1);
    const PacketKind *kind = &pieces_kinds[5];
    DevemuNetOffload valid = {.data_valid = true};

    toy->offloads = DEVEMU_OFFLOAD_ALL;
    cr_assert_eq(devemu_device_offloads(toy->dev), 0);
    packet_make(packet, kind, 5000, 1448);
    devemu_device_receive_packet(toy->dev, &packet->offload, packet->data, packet->len, false);
    check_pieces(kind, packet, toy->frames, 0);
    devemu_device_receive_packet(toy->dev, &valid, packet->data, 100, false);
    cr_assert_eq(toy->frames->len, 5);
    g_free(packet);
    toy_free(toy);
}

/* --- what is not true -------------------------------------------------------------- */

Test(offload, places_outside_the_frame_are_refused)
{
    static const PacketKind kind = {0};
    Toy *toy = toy_new(&toy_packet_model);
    Wire *wire = wire_new(toy->dev, DEVEMU_OFFLOAD_ALL);
    Packet *packet = g_new(Packet, 1);
    static const DevemuNetOffload bad[] = {
        {.needs_csum = true, .csum_start = 100, .csum_offset = 3},
        {.needs_csum = true, .csum_start = 65535, .csum_offset = 65535},
        {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = 4, .gso_size = 100},
        {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = 1, .gso_size = 7},
        {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = 1},
        {.csum_start = 34, .csum_offset = 16, .gso = 1, .gso_size = 100},
        {.needs_csum = true, .csum_start = 85, .csum_offset = 16, .gso = 1, .gso_size = 100},
        {.needs_csum = true, .csum_start = 33, .csum_offset = 16, .gso = 1, .gso_size = 100},
    };

    packet_make(packet, &kind, 50, 0); /* 104 bytes */
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        packet->offload = bad[i];
        cr_assert_not(send_packet(toy, packet), "%u", i);
    }
    cr_assert_eq(wire->frames->len, 0);
    g_free(packet);
    wire_free(wire);
    toy_free(toy);
}

/* Headers that are not there: nothing is sent, and nothing is read outside the frame. */
Test(offload, frames_that_are_not_what_they_are_said_to_be_are_lost)
{
    static const struct {
        size_t at;
        uint8_t value;
        uint8_t gso;
    } bad[] = {
        {13, 0x06, DEVEMU_GSO_TCPV4}, /* ARP */
        {14, 0x46, DEVEMU_GSO_TCPV4}, /* IP options, so TCP is elsewhere */
        {14, 0x65, DEVEMU_GSO_TCPV4}, /* version */
        {20, 0x20, DEVEMU_GSO_TCPV4}, /* more fragments */
        {21, 0x01, DEVEMU_GSO_TCPV4}, /* a fragment */
        {23, 17, DEVEMU_GSO_TCPV4},   /* UDP */
        {46, 0x40, DEVEMU_GSO_TCPV4}, /* a TCP header of 16 bytes */
        {46, 0xf0, DEVEMU_GSO_TCPV4}, /* of 60, of which 40 are there */
        {13, 0x00, DEVEMU_GSO_TCPV6}, /* another IP */
        {13, 0x00, DEVEMU_GSO_UDP},   /* TCP */
        {12, 0x81, DEVEMU_GSO_TCPV4}, /* a VLAN tag that is none */
    };
    static const PacketKind kind = {0};
    Toy *toy = toy_new(&toy_packet_model);
    Wire *wire = wire_new(toy->dev, 0);
    Packet *packet = g_new(Packet, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        packet_make(packet, &kind, 20, 10);
        packet->data[bad[i].at] = bad[i].value;
        packet->offload.gso = bad[i].gso;
        cr_assert(send_packet(toy, packet));
        cr_assert_eq(wire->frames->len, 0, "%u", i);
    }
    packet_make(packet, &kind, 20, 10);
    cr_assert(send_packet(toy, packet));
    cr_assert_eq(wire->frames->len, 2, "the same frame as it should be");
    g_free(packet);
    wire_free(wire);
    toy_free(toy);
}

/* --- ready-made networks ----------------------------------------------------------- */

typedef struct Hub {
    GMainContext *context;
    DevemuSwitch *hub;
    DevemuNet *ports[2];
    Toy *toys[2];
} Hub;

/* Two devices on a switch; around is put around the second's port. */
static Hub hub_new(DevemuNet *(*around)(DevemuNet *port, const char *path), const char *path)
{
    Hub hub = {.context = g_main_context_new()};

    hub.hub = devemu_switch_new(NULL, hub.context, NULL);
    for (unsigned i = 0; i < 2; i++) {
        hub.ports[i] = devemu_switch_port(hub.hub);
        if (i == 1 && around) {
            hub.ports[i] = around(hub.ports[i], path);
        }
        hub.toys[i] = toy_new(&toy_packet_model);
        hub.toys[i]->offloads = DEVEMU_OFFLOAD_ALL;
        devemu_net_attach(hub.ports[i], hub.toys[i]->dev);
    }
    return hub;
}

static void hub_free(Hub *hub)
{
    for (unsigned i = 0; i < 2; i++) {
        toy_free(hub->toys[i]);
        devemu_net_free(hub->ports[i]);
    }
    devemu_switch_free(hub->hub);
    g_main_context_unref(hub->context);
}

Test(offload, a_switch_passes_long_frames_on_to_who_takes_them)
{
    static const PacketKind kind = {.tcp_flags = 0x19};
    Hub hub = hub_new(NULL, NULL);
    Packet *packet = g_new(Packet, 1);

    packet_make(packet, &kind, 5000, 1448);
    cr_assert(send_packet(hub.toys[0], packet));
    TOY_UNTIL(hub.context, hub.toys[1]->frames->len == 1);
    cr_assert_arr_eq(hub.toys[1]->metas->data, &packet->offload, sizeof(packet->offload));

    hub.toys[1]->offloads = DEVEMU_OFFLOAD_CSUM;
    cr_assert(send_packet(hub.toys[0], packet));
    TOY_UNTIL(hub.context, hub.toys[1]->frames->len == 5);
    check_pieces(&kind, packet, hub.toys[1]->frames, 1);
    g_free(packet);
    hub_free(&hub);
}

Test(offload, the_longest_frame_there_is)
{
    static const PacketKind kind = {.ipv6 = true, .tags = 2};
    Hub hub = hub_new(NULL, NULL);
    Packet *packet = g_new(Packet, 1);

    packet_make(packet, &kind, 65535 - 20, 1440);
    cr_assert_eq(packet->len, PACKET_MAX);
    cr_assert(send_packet(hub.toys[0], packet));
    TOY_UNTIL(hub.context, hub.toys[1]->frames->len == 1);
    hub.toys[1]->offloads = 0;
    cr_assert(send_packet(hub.toys[0], packet));
    TOY_UNTIL(hub.context, hub.toys[1]->frames->len == 1 + (65515 + 1439) / 1440);
    check_pieces(&kind, packet, hub.toys[1]->frames, 1);
    g_free(packet);
    hub_free(&hub);
}

/* One that cannot be cut is lost and counted, and those behind it are not. */
Test(offload, a_long_frame_that_cannot_be_cut_is_counted)
{
    static const PacketKind kind = {0};
    Hub hub = hub_new(NULL, NULL);
    Packet *packet = g_new(Packet, 1);
    DevemuNetStats stats;

    hub.toys[1]->offloads = 0;
    packet_make(packet, &kind, 100, 50);
    packet->data[packet->ip] = 0x65;
    cr_assert(send_packet(hub.toys[0], packet));
    cr_assert(send_packet(hub.toys[0], packet));
    packet->data[packet->ip] = 0x45;
    cr_assert(send_packet(hub.toys[0], packet));
    cr_assert(send_packet(hub.toys[0], packet));
    TOY_UNTIL(hub.context, hub.toys[1]->frames->len == 4);
    devemu_net_stats(hub.ports[1], &stats);
    cr_assert_eq(stats.dropped_in, 2);
    cr_assert_eq(stats.frames_in, 4);
    cr_assert_eq(stats.waiting_frames + stats.waiting_bytes, 0);
    g_free(packet);
    hub_free(&hub);
}

static DevemuNet *capture(DevemuNet *port, const char *path)
{
    GError *error = NULL;
    DevemuNet *net = devemu_net_pcap_new(port, path, 0, &error);

    if (net == NULL) {
        cr_skip("%s", error->message);
    }
    return net;
}

static DevemuNet *record(DevemuNet *port, const char *path)
{
    GError *error = NULL;
    DevemuNet *net = devemu_net_record_new(port, path, &error);

    if (net == NULL) {
        cr_skip("%s", error->message);
    }
    return net;
}

/* As on a host with such a card, a capture has the frame as it passed: long. */
Test(offload, a_capture_has_the_long_frame)
{
    static const PacketKind kind = {0};
    char *path = toy_path("long.pcap");
    Hub hub = hub_new(capture, path);
    Packet *packet = g_new(Packet, 1);
    g_autofree char *file = NULL;
    gsize len;

    packet_make(packet, &kind, 60000, 1448);
    cr_assert(send_packet(hub.toys[0], packet));
    TOY_UNTIL(hub.context, hub.toys[1]->frames->len == 1);
    cr_assert(devemu_net_flush(hub.ports[1], NULL));
    cr_assert(g_file_get_contents(path, &file, &len, NULL));
    cr_assert_eq(len, 24 + 16 + packet->len);
    cr_assert_arr_eq(file + 40, packet->data, packet->len);
    g_free(packet);
    hub_free(&hub);
    toy_unlink(path);
}

/* A recording has no place for what is said of frames, so the device gets what is played back. */
Test(offload, a_recorded_device_gets_plain_frames)
{
    static const PacketKind kind = {0};
    char *path = toy_path("plain.pcap");
    Hub hub = hub_new(record, path);
    Packet *packet = g_new(Packet, 1);

    packet_make(packet, &kind, 5000, 1448);
    cr_assert(send_packet(hub.toys[0], packet));
    TOY_UNTIL(hub.context, hub.toys[1]->frames->len == 4);
    check_pieces(&kind, packet, hub.toys[1]->frames, 0);
    cr_assert(send_packet(hub.toys[1], packet)); /* the other way it does not matter */
    TOY_UNTIL(hub.context, hub.toys[0]->frames->len == 1);
    g_free(packet);
    hub_free(&hub);
    toy_unlink(path);
}

Test(offload, a_stream_carries_plain_frames)
{
    static const PacketKind kind = {.udp = true};
    int fds[2];
    g_autofree char *options = NULL;
    DevemuNet *net;
    Toy *toy = toy_new(&toy_packet_model);
    Packet *packet = g_new(Packet, 1);
    uint8_t got[4 + 1490];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    options = g_strdup_printf("fd=%d", fds[0]);
    net = devemu_net_stream_new(options, NULL, NULL);
    devemu_net_attach(net, toy->dev);
    packet_make(packet, &kind, 4 * 1448, 1448);
    cr_assert(send_packet(toy, packet));
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(recv(fds[1], got, sizeof(got), MSG_WAITALL), sizeof(got));
        cr_assert_eq(packet_get16(got + 2), 1490);
        packet_check(&kind, got + 4, 1490);
    }
    close(fds[1]);
    g_free(packet);
    toy_free(toy);
    devemu_net_free(net);
}

/* --- the recorder ------------------------------------------------------------------ */

/* toy_packet_model sends back what it takes, so a log has both directions. */
static size_t loop_receive(void *state, const DevemuNetOffload *offload, const uint8_t *data,
                           size_t len, bool more)
{
    Toy *toy = state;
    DevemuSlice slices[2] = {{data, 10}, {data + 10, len - 10}};

    devemu_send_packet(toy->dev, offload, slices, 2, more);
    return len;
}

static uint32_t loop_offloads(const void *state)
{
    (void)state;
    return DEVEMU_OFFLOAD_ALL;
}

static const DevemuModel loop_model = {
    .name = "toy-loop",
    .title = "a plug that sends back what it gets",
    .datasheet = "none",
    .not_modelled = "nothing known",
    .state_size = sizeof(Toy),
    .fields = toy_fields,
    .receive_packet = loop_receive,
    .offloads = loop_offloads,
    .is_net = true,
};

Test(offload, a_log_has_what_was_said_of_frames)
{
    static const PacketKind kind = {.tcp_flags = 0x90};
    char *path = toy_path("packets.log");
    GError *error = NULL;
    DevemuDevice *dev = devemu_recorder_new(&loop_model, NULL, path, 0, &error);
    Packet *packet = g_new(Packet, 1);
    Wire *wire;
    DevemuReplay *replay;
    g_autoptr(GString) text = g_string_new(NULL);

    cr_assert_null(error);
    wire = wire_new(dev, 0); /* the backend cannot, and the log does not depend on that */
    cr_assert_eq(devemu_device_offloads(dev), DEVEMU_OFFLOAD_ALL);
    packet_make(packet, &kind, 5000, 1448);
    packet->offload.ecn = true;
    devemu_device_receive_packet(dev, &packet->offload, packet->data, packet->len, true);
    check_pieces(&kind, packet, wire->frames, 0);
    devemu_device_free(dev);

    replay = devemu_replay_new(path, &loop_model, &error);
    cr_assert_null(error);
    cr_assert(devemu_replay_run(replay, &error), "%s", error ? error->message : "");
    for (uint64_t i = 0; i < devemu_replay_count(replay); i++) {
        g_autofree char *line = devemu_replay_event_text(replay, i);

        g_string_append(text, line);
    }
    cr_assert_not_null(strstr(text->str, "receive, with more to come, TCPv4 in pieces of 1448 with "
                                         "ECN, checksum from 34 at 50, 5054 bytes"),
                       "%s", text->str);
    devemu_replay_free(replay);
    toy_unlink(path);
    g_free(packet);
    wire_free(wire);
}
