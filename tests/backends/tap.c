/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap.c: a tap device in a network namespace of the test's own; skipped where the system grants
 * none.
 */
#define _GNU_SOURCE
#include "netns.h"
#include "packets.h"
#include "toy.h"

#include <linux/if_tun.h>

static DevemuNet *open_tap(const char *options, GMainContext *context)
{
    GError *error = NULL;
    DevemuNet *net = devemu_net_tap_new(options, context, &error);

    if (net == NULL) {
        cr_skip("%s", error->message);
    }
    return net;
}

/* What came that is ours; the kernel announces itself on a new interface, too. */
static guint ours(const Toy *toy)
{
    guint count = 0;

    for (guint i = 0; i < toy->frames->len; i++) {
        size_t len;
        const uint8_t *frame = toy_frame(toy, i, &len);

        count += len > 14 && frame[12] == 0x88 && frame[13] == 0xb5;
    }
    return count;
}

Test(tap, frames_go_both_ways)
{
    GMainContext *context = g_main_context_new();
    DevemuNet *net;
    Toy *toy = toy_new(&toy_net_model);
    uint8_t frame[100], got[200];
    int fd;

    own_network();
    net = open_tap("ifname=devemu0", context);
    devemu_net_attach(net, toy->dev);
    bring_up("devemu0");
    fd = packet_socket("devemu0", 0x88b5, false);

    toy_frame_make(frame, sizeof(frame), 'k', 'd', 1);
    toy_send(toy, frame, sizeof(frame));
    cr_assert_eq(recv(fd, got, sizeof(got), 0), sizeof(frame));
    cr_assert_arr_eq(got, frame, sizeof(frame));
    toy_frame_make(frame, sizeof(frame), 'd', 'k', 2);
    cr_assert_eq(send(fd, frame, sizeof(frame), 0), sizeof(frame));
    TOY_UNTIL(context, ours(toy) == 1);

    close(fd);
    toy_free(toy);
    devemu_net_free(net);
    g_main_context_unref(context);
}

Test(tap, a_slow_device_leaves_frames_in_the_kernel)
{
    GMainContext *context = g_main_context_new();
    DevemuNet *net;
    Toy *toy = toy_new(&toy_net_model);
    DevemuNetStats stats;
    uint8_t frame[1000];
    int fd;

    own_network();
    net = open_tap("ifname=devemu0,queue=4096", context);
    devemu_net_attach(net, toy->dev);
    bring_up("devemu0");
    fd = packet_socket("devemu0", 0x88b5, false);
    toy->room = 0;

    toy_frame_make(frame, sizeof(frame), 'd', 'k', 2);
    for (unsigned i = 0; i < 50; i++) {
        cr_assert_eq(send(fd, frame, sizeof(frame), 0), sizeof(frame));
    }
    toy_settle(context);
    devemu_net_stats(net, &stats);
    cr_assert_leq(stats.waiting_bytes, 5096);
    toy_make_room(toy, 1000);
    TOY_UNTIL(context, ours(toy) == 50);

    close(fd);
    toy_free(toy);
    devemu_net_free(net);
    g_main_context_unref(context);
}

Test(tap, an_open_descriptor_can_be_given)
{
    DevemuNet *net;
    g_autofree char *options = NULL;
    struct ifreq request = {.ifr_name = "devemu1", .ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd;

    own_network();
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        cr_skip("/dev/net/tun: %s", g_strerror(errno));
    }
    options = g_strdup_printf("fd=%d", fd);
    net = open_tap(options, NULL);

    devemu_net_free(net);
    cr_assert_eq(fcntl(fd, F_GETFD), -1, "it was taken over");
}

/* --- offload ----------------------------------------------------------------------- */

typedef struct Rig {
    GMainContext *context;
    DevemuNet *net;
    Toy *toy;
    int fd;
    Packet *packet;
} Rig;

static const PacketKind rig_kind = {.tcp_flags = 0x10};

static Rig rig_new(const char *options)
{
    Rig rig = {.context = g_main_context_new()};

    own_network();
    rig.net = open_tap(options, rig.context);
    rig.toy = toy_new(&toy_packet_model);
    devemu_net_attach(rig.net, rig.toy->dev);
    bring_up("devemu0");
    rig.fd = packet_socket("devemu0", ETH_P_IP, true);
    rig.packet = g_new(Packet, 1);
    packet_make(rig.packet, &rig_kind, 5000, 1448);
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

Test(tap, the_kernel_gets_a_long_frame_as_it_is)
{
    Rig rig = rig_new("ifname=devemu0");
    const Packet *packet = rig.packet;
    DevemuSlice slices[2] = {{packet->data, 54}, {packet->data + 54, packet->len - 54}};
    g_autofree uint8_t *got = g_malloc(PACKET_MAX);
    DevemuNetOffload offload;
    DevemuNetStats stats;

    cr_assert(devemu_send_packet(rig.toy->dev, &packet->offload, slices, 2, false));
    cr_assert_eq(vnet_receive(rig.fd, &offload, got, PACKET_MAX), (ssize_t)packet->len);
    cr_assert_arr_eq(got, packet->data, packet->len);
    cr_assert_eq(offload.gso, DEVEMU_GSO_TCPV4);
    cr_assert_eq(offload.gso_size, 1448);
    cr_assert(offload.needs_csum);
    cr_assert_eq(offload.csum_start, packet->transport);
    devemu_net_stats(rig.net, &stats);
    cr_assert_eq(stats.frames_out, 1);
    rig_free(&rig);
}

Test(tap, without_headers_the_kernel_gets_pieces)
{
    Rig rig = rig_new("ifname=devemu0,offload=off");
    const Packet *packet = rig.packet;
    DevemuSlice slice = {packet->data, packet->len};
    g_autofree uint8_t *got = g_malloc(PACKET_MAX);
    DevemuNetOffload offload;

    cr_assert(devemu_send_packet(rig.toy->dev, &packet->offload, &slice, 1, false));
    for (unsigned i = 0; i < 4; i++) {
        ssize_t len = vnet_receive(rig.fd, &offload, got, PACKET_MAX);

        cr_assert_eq(len, i < 3 ? 1502 : 54 + 656);
        cr_assert_eq(offload.gso, DEVEMU_GSO_NONE);
        packet_check(&rig_kind, got, (size_t)len);
    }
    rig_free(&rig);
}

/* What the driver accepts goes to the kernel when it changes, and the kernel does the rest. */
Test(tap, the_kernel_hears_what_the_driver_takes)
{
    static const struct {
        uint32_t offloads;
        guint frames;
    } steps[] = {{0, 4},
                 {DEVEMU_OFFLOAD_CSUM, 4},
                 {DEVEMU_OFFLOAD_CSUM | DEVEMU_OFFLOAD_TSO4, 1},
                 {DEVEMU_OFFLOAD_CSUM | DEVEMU_OFFLOAD_TSO6, 4},
                 {DEVEMU_OFFLOAD_ALL, 1},
                 {0, 4}};
    Rig rig = rig_new("ifname=devemu0");
    const Packet *packet = rig.packet;

    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        guint bytes = 0;

        rig.toy->offloads = steps[i].offloads;
        toy_settle(rig.context);
        g_ptr_array_set_size(rig.toy->frames, 0);
        g_array_set_size(rig.toy->metas, 0);
        cr_assert_gt(vnet_send(rig.fd, &packet->offload, packet->data, packet->len), 0);
        TOY_UNTIL(rig.context, rig.toy->frames->len == steps[i].frames);
        for (guint f = 0; f < rig.toy->frames->len; f++) {
            size_t len;
            const uint8_t *frame = toy_frame(rig.toy, f, &len);
            const DevemuNetOffload *meta = &g_array_index(rig.toy->metas, DevemuNetOffload, f);

            bytes += (guint)len - 54;
            cr_assert_eq(meta->gso, steps[i].frames == 1 ? DEVEMU_GSO_TCPV4 : DEVEMU_GSO_NONE);
            cr_assert(!meta->needs_csum || (steps[i].offloads & DEVEMU_OFFLOAD_CSUM));
            if (!meta->needs_csum) {
                packet_check(&rig_kind, frame, len);
            }
        }
        cr_assert_eq(bytes, 5000);
    }
    rig_free(&rig);
}

/* A long frame that waits while the driver changes its mind is cut. */
Test(tap, what_waits_is_cut_for_a_driver_of_after)
{
    Rig rig = rig_new("ifname=devemu0");
    const Packet *packet = rig.packet;
    DevemuNetStats stats;

    rig.toy->offloads = DEVEMU_OFFLOAD_ALL;
    toy_settle(rig.context);
    rig.toy->room = 0;
    cr_assert_gt(vnet_send(rig.fd, &packet->offload, packet->data, packet->len), 0);
    do {
        g_main_context_iteration(rig.context, TRUE);
        devemu_net_stats(rig.net, &stats);
    } while (stats.waiting_frames == 0);
    cr_assert_eq(stats.waiting_frames, 1);

    rig.toy->offloads = 0;
    rig.toy->room = 2;
    devemu_send_ready(rig.toy->dev);
    TOY_UNTIL(rig.context, rig.toy->frames->len == 2);
    devemu_net_stats(rig.net, &stats);
    cr_assert_eq(stats.waiting_frames, 2);
    toy_make_room(rig.toy, 100);
    TOY_UNTIL(rig.context, rig.toy->frames->len == 4);
    for (guint f = 0; f < 4; f++) {
        size_t len;
        const uint8_t *frame = toy_frame(rig.toy, f, &len);

        packet_check(&rig_kind, frame, len);
    }
    devemu_net_stats(rig.net, &stats);
    cr_assert_eq(stats.waiting_frames + stats.waiting_bytes, 0);
    rig_free(&rig);
}

/* --- queues ------------------------------------------------------------------------ */

/* The UDP flow of that number, from the device or to it. */
static void flow_packet(Packet *packet, unsigned flow, bool from_device)
{
    static const PacketKind kind = {.udp = true};
    uint8_t addresses[8], *ports;

    packet_make(packet, &kind, 100, 0);
    ports = packet->data + packet->transport;
    packet_put16(ports, from_device ? 4000 : 1000 + flow);
    packet_put16(ports + 2, from_device ? 1000 + flow : 4000);
    if (from_device) {
        memcpy(addresses, packet->data + packet->ip + 16, 4);
        memcpy(addresses + 4, packet->data + packet->ip + 12, 4);
        memcpy(packet->data + packet->ip + 12, addresses, 8);
    }
}

/* Send a flow by a queue of the device, so that the kernel learns where it belongs. */
static void leave_by(const Rig *rig, unsigned queue, unsigned flow)
{
    DevemuSlice slice;

    flow_packet(rig->packet, flow, true);
    slice = (DevemuSlice){rig->packet->data, rig->packet->len};
    cr_assert(devemu_send_queue(rig->toy->dev, queue, &(DevemuNetOffload){0}, &slice, 1, false));
}

/* The device's queue by which a flow of the kernel's comes. */
static unsigned comes_by(const Rig *rig, unsigned flow)
{
    static const DevemuNetOffload plain;

    g_array_set_size(rig->toy->queues, 0);
    flow_packet(rig->packet, flow, false);
    cr_assert_gt(vnet_send(rig->fd, &plain, rig->packet->data, rig->packet->len), 0);
    TOY_UNTIL(rig->context, rig->toy->queues->len == 1);
    return g_array_index(rig->toy->queues, unsigned, 0);
}

static Rig queues_rig(const char *options, unsigned used)
{
    Rig rig = {.context = g_main_context_new()};

    own_network();
    rig.net = open_tap(options, rig.context);
    rig.toy = toy_new(&toy_queues_model);
    rig.toy->used = used;
    devemu_net_attach(rig.net, rig.toy->dev);
    bring_up("devemu0");
    toy_settle(rig.context);
    rig.fd = packet_socket("devemu0", ETH_P_IP, true);
    rig.packet = g_new(Packet, 1);
    return rig;
}

Test(tap, each_queue_of_the_device_has_one_of_the_tap)
{
    static const DevemuNetOffload plain;
    Rig rig = queues_rig("ifname=devemu0,queues=2", 3);
    DevemuNetStats stats, both;

    for (unsigned flow = 0; flow < 8; flow++) {
        leave_by(&rig, flow % 2, flow);
        cr_assert_eq(comes_by(&rig, flow), flow % 2);
    }
    for (unsigned flow = 0; flow < 8; flow++) {
        leave_by(&rig, (flow + 1) % 2, flow);
        cr_assert_eq(comes_by(&rig, flow), (flow + 1) % 2, "a flow that moves is followed");
    }
    for (unsigned queue = 0; queue < 2; queue++) {
        cr_assert(devemu_net_queue_stats(rig.net, queue, &stats));
        cr_assert_eq(stats.frames_out, 8);
        cr_assert_eq(stats.frames_in, 8);
    }
    cr_assert_not(devemu_net_queue_stats(rig.net, 2, &stats));
    flow_packet(rig.packet, 1, false);
    cr_assert_gt(vnet_send(rig.fd, &plain, rig.packet->data, rig.packet->len), 0);
    flow_packet(rig.packet, 2, false);
    cr_assert_gt(vnet_send(rig.fd, &plain, rig.packet->data, rig.packet->len), 0);
    cr_assert_eq(devemu_device_poll(rig.toy->dev), 2, "a host that polls gets those of both");
    devemu_net_stats(rig.net, &both);
    cr_assert_eq(both.frames_out, 16);
    cr_assert_eq(both.frames_in, 18);
    cr_assert_eq(both.dropped_in + both.dropped_out, 0);
    rig_free(&rig);
}

/* What the kernel would have put into a queue that is not used comes by the other one. */
Test(tap, a_queue_that_is_not_used_is_detached)
{
    Rig rig = queues_rig("ifname=devemu0,queues=2", 1);

    for (unsigned flow = 0; flow < 16; flow++) {
        cr_assert_eq(comes_by(&rig, flow), 0);
    }
    rig.toy->used = 3;
    leave_by(&rig, 1, 5);
    cr_assert_eq(comes_by(&rig, 5), 1, "what is sent attaches it");
    rig.toy->used = 2;
    toy_settle(rig.context);
    for (unsigned flow = 0; flow < 16; flow++) {
        cr_assert_eq(comes_by(&rig, flow), 1);
    }
    rig.toy->used = 1;
    toy_settle(rig.context);
    cr_assert_eq(comes_by(&rig, 5), 0);
    rig_free(&rig);
}

/* Of other networks, perhaps of other programs. */
Test(tap, queues_of_one_interface_can_be_opened_one_by_one)
{
    Rig rig = queues_rig("ifname=devemu0,queues=1", 0);
    DevemuNet *other = open_tap("ifname=devemu0,queues=1", rig.context);
    Toy *toy = toy_new(&toy_queues_model);

    toy->used = 1;
    devemu_net_attach(other, toy->dev);
    toy_settle(rig.context);
    for (unsigned flow = 0; flow < 16; flow++) {
        static const DevemuNetOffload plain;

        flow_packet(rig.packet, flow, false);
        cr_assert_gt(vnet_send(rig.fd, &plain, rig.packet->data, rig.packet->len), 0);
        TOY_UNTIL(rig.context, toy->frames->len == flow + 1);
    }
    cr_assert_eq(rig.toy->frames->len, 0, "its driver uses no queue");
    toy_free(toy);
    devemu_net_free(other);
    rig_free(&rig);
}

Test(tap, queues_that_cannot_be_are_refused)
{
    GError *error = NULL;
    DevemuNet *net;

    own_network();
    net = open_tap("ifname=devemu0", NULL);
    cr_assert_null(devemu_net_tap_new("ifname=devemu0,queues=2", NULL, &error));
    cr_assert_not_null(strstr(error->message, "make it with \"multi_queue\""), "%s",
                       error->message);
    g_clear_error(&error);
    cr_assert_null(devemu_net_tap_new("fd=0,queues=2", NULL, &error));
    cr_assert_str_eq(error->message, "tap: option queues needs ifname; fd is one queue");
    g_clear_error(&error);
    cr_assert_null(devemu_net_tap_new("ifname=devemu0,queues=17", NULL, &error));
    g_clear_error(&error);
    devemu_net_free(net);
}

Test(tap, what_the_system_refuses_is_named)
{
    GError *error = NULL;

    cr_assert_null(devemu_net_tap_new("fd=999", NULL, &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_BACKEND);
    cr_assert_not_null(strstr(error->message, "tap: fd: "));
    g_error_free(error);
}
