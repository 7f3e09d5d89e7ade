/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap.c: a tap device in a network namespace of the test's own; skipped where the system grants
 * none.
 */
#define _GNU_SOURCE
#include "toy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each test is a process, so this is its own. */
static void own_network(void)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        cr_skip("no network namespace: %s", g_strerror(errno));
    }
}

static DevemuNet *open_tap(const char *options, GMainContext *context)
{
    GError *error = NULL;
    DevemuNet *net = devemu_net_tap_new(options, context, &error);

    if (net == NULL) {
        cr_skip("%s", error->message);
    }
    return net;
}

static void bring_up(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);

    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0, "%s", g_strerror(errno));
    close(fd);
}

/* A raw socket on the interface. */
static int packet_socket(const char *name)
{
    struct ifreq request = {0};
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(0x88b5));

    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    cr_assert_eq(ioctl(fd, SIOCGIFINDEX, &request), 0);
    address.sll_ifindex = request.ifr_ifindex;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
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
    fd = packet_socket("devemu0");

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
    fd = packet_socket("devemu0");
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

Test(tap, what_the_system_refuses_is_named)
{
    GError *error = NULL;

    cr_assert_null(devemu_net_tap_new("fd=999", NULL, &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_BACKEND);
    cr_assert_not_null(strstr(error->message, "tap: fd: "));
    g_error_free(error);
}
