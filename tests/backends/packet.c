/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packet.c: a network card of the host, which here is one end of a virtual cable in a network
 * namespace of the test's own; skipped where the system grants none.
 */
#define _GNU_SOURCE
#include "netns.h"
#include "packets.h"
#include "toy.h"

typedef struct Rig {
    GMainContext *context;
    DevemuNet *net; /* on "devemu0" */
    Toy *toy;
    int fd; /* on "devemu1", the other end, with headers */
    Packet *packet;
} Rig;

static Rig rig_new(const char *options)
{
    Rig rig = {.context = g_main_context_new()};
    GError *error = NULL;

    own_network();
    make_veth("devemu0", "devemu1");
    rig.net = devemu_net_packet_new(options, rig.context, &error);
    cr_assert_null(error, "%s", error->message);
    rig.toy = toy_new(&toy_packet_model);
    devemu_net_attach(rig.net, rig.toy->dev);
    rig.fd = packet_socket("devemu1", 0, true);
    rig.packet = g_new(Packet, 1);
    return rig;
}

static void rig_free(Rig *rig)
{
    close(rig->fd);
    toy_free(rig->toy);
    devemu_net_free(rig->net);
    g_main_context_unref(rig->context);
    g_free(rig->packet);
}

static void both_ways(const char *options, const PacketKind *kind, bool takes)
{
    Rig rig = rig_new(options);
    Packet *packet = rig.packet;
    DevemuSlice slice = {packet->data, 0};
    g_autofree uint8_t *got = g_malloc(PACKET_MAX);
    DevemuNetOffload offload;
    const DevemuNetOffload *meta;
    size_t len, done = 0;

    packet_make(packet, kind, 5000, 1448);
    slice.len = packet->len;
    cr_assert(devemu_send_packet(rig.toy->dev, &packet->offload, &slice, 1, false));
    cr_assert_gt(vnet_receive(rig.fd, &offload, got, PACKET_MAX), 0);
    cr_assert_eq(offload.gso, packet->offload.gso);
    cr_assert_eq(offload.gso_size, 1448);

    rig.toy->offloads = takes ? DEVEMU_OFFLOAD_ALL : 0;
    cr_assert_gt(vnet_send(rig.fd, &packet->offload, packet->data, packet->len), 0);
    TOY_UNTIL(rig.context, rig.toy->frames->len == (takes ? 1 : 4));
    meta = (const DevemuNetOffload *)(const void *)rig.toy->metas->data;
    cr_assert_eq(meta->gso, takes ? packet->offload.gso : DEVEMU_GSO_NONE);
    cr_assert_eq(meta->csum_start, takes ? packet->transport : 0);
    for (guint f = 0; f < rig.toy->frames->len; f++) {
        const uint8_t *frame = toy_frame(rig.toy, f, &len);

        cr_assert_arr_eq(frame + packet->payload, packet->data + packet->payload + done,
                         len - packet->payload);
        cr_assert_arr_eq(frame, packet->data, packet->ip, "with its VLAN tag");
        done += len - packet->payload;
        if (!takes) {
            packet_check(kind, frame, len);
        }
    }
    cr_assert_eq(done, 5000);
    rig_free(&rig);
}

Test(packet, long_frames_go_both_ways)
{
    both_ways("ifname=devemu0", &(PacketKind){.tcp_flags = 0x18}, true);
}

Test(packet, long_frames_of_ipv6_with_a_vlan_tag_go_both_ways)
{
    both_ways("ifname=devemu0,bypass=off", &(PacketKind){.ipv6 = true, .tags = 1}, true);
}

Test(packet, long_frames_are_cut_for_a_driver_that_does_not_take_them)
{
    both_ways("ifname=devemu0", &(PacketKind){.ipv6 = true, .tcp_flags = 0x19}, false);
}

Test(packet, with_a_vlan_tag_they_are_cut_as_well)
{
    both_ways("ifname=devemu0", &(PacketKind){.tags = 1}, false);
}

static const DevemuNetOffload plain;

/* The card is the host's as well: what that sends is for the cable alone. */
Test(packet, what_the_host_sends_is_not_heard)
{
    Rig rig = rig_new("ifname=devemu0");
    int host = packet_socket("devemu0", 0x88b5, false);
    uint8_t frame[100];
    size_t len;

    toy_frame_make(frame, sizeof(frame), 'k', 'h', 1);
    cr_assert_eq(send(host, frame, sizeof(frame), 0), sizeof(frame));
    toy_frame_make(frame, sizeof(frame), 'k', 'c', 2);
    cr_assert_gt(vnet_send(rig.fd, &plain, frame, sizeof(frame)), 0);
    TOY_UNTIL(rig.context, rig.toy->frames->len > 0);
    cr_assert_eq(toy_frame(rig.toy, 0, &len)[11], 'c');
    toy_settle(rig.context);
    cr_assert_eq(rig.toy->frames->len, 1);
    close(host);
    rig_free(&rig);
}

/* Frames for the device, all of which have come in at its card when this returns: somebody else
 * there has seen them. */
static void send_and_see(const Rig *rig, int witness, unsigned count)
{
    static uint8_t frame[1500], seen[1500];

    toy_frame_make(frame, sizeof(frame), 'd', 'c', 2);
    for (unsigned i = 0; i < count; i++) {
        cr_assert_gt(vnet_send(rig->fd, &plain, frame, sizeof(frame)), 0);
    }
    for (unsigned i = 0; i < count; i++) {
        struct pollfd wait = {.fd = witness, .events = POLLIN};

        cr_assert_eq(poll(&wait, 1, 20000), 1);
        cr_assert_eq(recv(witness, seen, sizeof(seen), 0), sizeof(seen));
    }
}

/* A batch is read in one call, and the device hears that more follows. The last frame may come
 * behind the others, as the witness may see it first. */
Test(packet, frames_of_a_batch_say_that_more_follow)
{
    Rig rig = rig_new("ifname=devemu0");
    int witness = packet_socket("devemu0", 0x88b5, false);

    send_and_see(&rig, witness, 41);
    TOY_UNTIL(rig.context, rig.toy->frames->len == 41);
    cr_assert(rig.toy->mores == 15 + 15 + 7 || rig.toy->mores == 15 + 15 + 8, "%u", rig.toy->mores);
    close(witness);
    rig_free(&rig);
}

/* Nothing is lost unseen: what the kernel had no room for is counted. */
Test(packet, what_the_kernel_loses_is_counted)
{
    Rig rig = rig_new("ifname=devemu0");
    int witness = packet_socket("devemu0", 0x88b5, false);
    DevemuNetStats stats;

    for (unsigned i = 0; i < 80; i++) {
        send_and_see(&rig, witness, 50);
        send_and_see(&rig, witness, 50);
    }
    devemu_net_stats(rig.net, &stats);
    cr_assert_gt(stats.dropped_in, 0);
    TOY_UNTIL(rig.context,
              (devemu_net_stats(rig.net, &stats), rig.toy->frames->len + stats.dropped_in == 8000));
    close(witness);
    rig_free(&rig);
}

Test(packet, what_is_wrong_is_named)
{
    static const struct {
        const char *options, *message;
    } bad[] = {
        {NULL, "packet: option ifname is missing; it names a network card"},
        {"ifname=devemu9", "packet: devemu9: No such device"},
        {"ifname=lo,promisc=maybe", "packet: option promisc is \"maybe\"; it must be on or off"},
        {"ifname=a_name_that_is_too_long",
         "packet: option ifname is \"a_name_that_is_too_long\"; it must be shorter than 16"},
    };

    own_network();
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;

        cr_assert_null(devemu_net_packet_new(bad[i].options, NULL, &error));
        cr_assert_str_eq(error->message, bad[i].message);
        g_error_free(error);
    }
}
