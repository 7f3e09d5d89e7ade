/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slirp.c: user-mode network; the guest is a toy device and the frames of guest.h. Everything real
 * stays on the loopback interface.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "toy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct World {
    GMainContext *context;
    DevemuNet *net;
    Toy *toy;
    uint8_t frame[2048]; /* for the test to fill and send */
} World;

static void need_slirp(void)
{
    GError *error = NULL;
    DevemuNet *net = devemu_net_slirp_new(NULL, NULL, &error);

    if (net == NULL) {
        cr_skip("%s", error->message);
    }
    devemu_net_free(net);
}

TestSuite(slirp, .init = need_slirp);

static World *world_new(const char *options)
{
    World *world = g_new0(World, 1);
    GError *error = NULL;

    world->context = g_main_context_new();
    world->net = devemu_net_slirp_new(options, world->context, &error);
    cr_assert_null(error, "%s", error ? error->message : "");
    world->toy = toy_new(&toy_net_model);
    devemu_net_attach(world->net, world->toy->dev);
    return world;
}

static void world_free(World *world)
{
    toy_free(world->toy);
    devemu_net_free(world->net);
    g_main_context_unref(world->context);
    g_free(world);
}

static void send_frame(World *world, size_t len)
{
    toy_send(world->toy, world->frame, len);
}

/* The next frame that is not an ARP request; those are answered. A guest without room makes it for
 * one frame at a time. */
static const uint8_t *next_frame(World *world, guint *position, size_t *ret_len)
{
    for (;;) {
        const uint8_t *frame;

        if (world->toy->room == 0) {
            toy_make_room(world->toy, 1);
        }
        TOY_UNTIL(world->context, world->toy->frames->len > *position);
        frame = toy_frame(world->toy, (*position)++, ret_len);
        if (!is_arp(frame, *ret_len, 1)) {
            return frame;
        }
        send_frame(world, guest_arp(world->frame, 2, get32(frame + ARP_SENDER_IP)));
    }
}

static int bound_socket(int type, uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, type, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* A port that nobody has: another may take it, but on a test machine nobody does. */
static uint16_t free_port(int type)
{
    uint16_t port;

    close(bound_socket(type, &port));
    return port;
}

Test(slirp, the_router_answers_arp_and_ping)
{
    World *world = world_new("ipv6=off");
    const uint8_t *frame;
    guint position = 0;
    size_t len;

    send_frame(world, guest_arp(world->frame, 1, GUEST_HOST));
    TOY_UNTIL(world->context, world->toy->frames->len == 1);
    frame = toy_frame(world->toy, position++, &len);
    cr_assert(is_arp(frame, len, 2));
    cr_assert_eq(get32(frame + ARP_SENDER_IP), GUEST_HOST);

    send_frame(world, guest_ping(world->frame, GUEST_HOST, 7));
    frame = next_frame(world, &position, &len);
    cr_assert_eq(frame[IP_PROTOCOL], 1);
    cr_assert_eq(frame[L4], 0); /* echo reply */
    cr_assert_eq(get16(frame + L4 + 6), 7);
    world_free(world);
}

Test(slirp, addresses_are_those_of_the_options)
{
    World *world = world_new("ipv6=off,net=10.0.0.0/16,host=10.0.9.1,dns=10.0.9.2");
    size_t len;

    send_frame(world, guest_arp(world->frame, 1, 0x0a000901));
    send_frame(world, guest_arp(world->frame, 1, GUEST_HOST));
    send_frame(world, guest_arp(world->frame, 1, 0x0a000902));
    TOY_UNTIL(world->context, world->toy->frames->len == 2);
    toy_settle(world->context);

    cr_assert_eq(world->toy->frames->len, 2);
    cr_assert_eq(get32(toy_frame(world->toy, 0, &len) + ARP_SENDER_IP), 0x0a000901);
    cr_assert_eq(get32(toy_frame(world->toy, 1, &len) + ARP_SENDER_IP), 0x0a000902);
    world_free(world);
}

static const uint8_t *dhcp_option(const uint8_t *frame, size_t len, uint8_t code)
{
    size_t at = UDP_DATA + 240;

    while (at + 1 < len && frame[at] != 255) {
        if (frame[at] == code) {
            return frame + at + 1;
        }
        at += frame[at] ? 2U + frame[at + 1] : 1;
    }
    return NULL;
}

Test(slirp, dhcp_gives_the_address_the_name_server_and_the_boot_file)
{
    g_autofree char *folder = g_dir_make_tmp(NULL, NULL);
    g_autofree char *options = g_strdup_printf(
        "ipv6=off,tftp=%s,bootfile=boot.ipxe,dns=10.0.2.77,domainname=guests.test,hostname=guest",
        folder);
    World *world = world_new(options);
    const uint8_t *frame, *option;
    guint position = 0;
    size_t len;

    send_frame(world, guest_dhcp_discover(world->frame));
    frame = next_frame(world, &position, &len);

    cr_assert(is_udp(frame, len));
    cr_assert_eq(get32(frame + UDP_DATA + 16), GUEST_IP);
    cr_assert_str_eq((const char *)frame + UDP_DATA + 108, "boot.ipxe");
    option = dhcp_option(frame, len, 6);
    cr_assert_not_null(option);
    cr_assert_eq(get32(option + 1), 0x0a00024d);
    option = dhcp_option(frame, len, 15);
    cr_assert_not_null(option);
    cr_assert_arr_eq(option + 1, "guests.test", 11);
    world_free(world);
    remove(folder);
}

Test(slirp, dhcp_can_be_off)
{
    World *world = world_new("ipv6=off,dhcp=off");

    send_frame(world, guest_dhcp_discover(world->frame));
    send_frame(world, guest_arp(world->frame, 1, GUEST_HOST));
    TOY_UNTIL(world->context, world->toy->frames->len == 1);
    toy_settle(world->context);

    cr_assert_eq(world->toy->frames->len, 1);
    world_free(world);
}

Test(slirp, tftp_serves_the_folder)
{
    char *path = toy_path("kernel");
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *options = g_strdup_printf("ipv6=off,tftp=%s", folder);
    g_autoptr(GByteArray) got = g_byte_array_new();
    uint8_t file[1300];
    World *world;
    guint position = 0;
    size_t len;

    for (size_t i = 0; i < sizeof(file); i++) {
        file[i] = (uint8_t)(i * 7);
    }
    cr_assert(g_file_set_contents(path, (const char *)file, sizeof(file), NULL));
    world = world_new(options);
    send_frame(world, guest_arp(world->frame, 2, GUEST_HOST)); /* so that libslirp knows us */
    send_frame(world, guest_tftp_read(world->frame, "kernel"));
    for (unsigned block = 1; block <= 3; block++) {
        const uint8_t *frame = next_frame(world, &position, &len);
        size_t bytes = get16(frame + L4 + 4) - 12;

        cr_assert(is_udp(frame, len));
        cr_assert_eq(get16(frame + UDP_DATA), 3); /* DATA */
        cr_assert_eq(get16(frame + UDP_DATA + 2), block);
        g_byte_array_append(got, frame + UDP_DATA + 4, (guint)bytes);
        send_frame(world, guest_tftp_ack(world->frame, block));
    }

    cr_assert_eq(got->len, sizeof(file));
    cr_assert_arr_eq(got->data, file, sizeof(file));
    world_free(world);
    toy_unlink(path);
}

/* --- the host's network ------------------------------------------------------------ */

static int udp_client(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

Test(slirp, no_forwarded_frame_is_lost_however_slow_the_guest)
{
    enum { COUNT = 60, SIZE = 1000 };
    uint16_t port = free_port(SOCK_DGRAM);
    g_autofree char *options =
        g_strdup_printf("ipv6=off,queue=4096,hostfwd=udp:127.0.0.1:%u-:9", port);
    World *world = world_new(options);
    int client = udp_client(port);
    DevemuNetStats stats;
    guint position = 0;
    size_t len;

    world->toy->room = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        uint8_t datagram[SIZE] = {(uint8_t)i};

        cr_assert_eq(send(client, datagram, sizeof(datagram), 0), SIZE);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        const uint8_t *frame;

        toy_settle(world->context);
        devemu_net_stats(world->net, &stats);
        /* libslirp itself keeps a few for a guest that it does not know yet */
        cr_assert_leq(stats.waiting_bytes, 4096 + 8 * (SIZE + 42));
        do {
            frame = next_frame(world, &position, &len);
        } while (!is_udp(frame, len));
        cr_assert_eq(frame[UDP_DATA], i, "datagram %u came instead of %u", frame[UDP_DATA], i);
    }

    devemu_net_stats(world->net, &stats);
    cr_assert_eq(stats.dropped_in, 0);
    cr_assert_eq(stats.waiting_frames, 0);
    close(client);
    world_free(world);
}

/* Just enough TCP to take what comes: answers SYN, acknowledges data in order. */
typedef struct Tcp {
    uint32_t expected; /* sequence number */
    GByteArray *got;
    bool finished;
} Tcp;

static void tcp_answer(World *world, Tcp *tcp, const uint8_t *frame)
{
    const uint8_t *in = frame + L4;
    uint8_t *out = world->frame + L4;
    size_t header = (size_t)(in[12] >> 4) * 4;
    size_t payload = get16(frame + IP + 2) - 20 - header;
    uint8_t flags = in[13];
    uint8_t pseudo[12] = {0};

    if (flags & 2) { /* SYN */
        tcp->expected = get32(in + 4) + 1;
    } else if (get32(in + 4) == tcp->expected) {
        g_byte_array_append(tcp->got, in + header, (guint)payload);
        tcp->expected += (uint32_t)payload + (flags & 1);
        tcp->finished |= flags & 1;
    }
    memset(out, 0, 20);
    put16(out, get16(in + 2));
    put16(out + 2, get16(in));
    put32(out + 4, flags & 2 ? 1000 : 1001);
    put32(out + 8, tcp->expected);
    out[12] = 5 << 4;
    out[13] = flags & 2 ? 0x12 : 0x10; /* SYN ACK, or ACK */
    put16(out + 14, 32768);
    put32(pseudo, GUEST_IP);
    put32(pseudo + 4, get32(frame + IP_SOURCE));
    pseudo[9] = 6;
    put16(pseudo + 10, 20);
    put16(out + 16, checksum(out, 20, (uint32_t)(~checksum(pseudo, sizeof(pseudo), 0) & 0xffff)));
    send_frame(world, guest_ip(world->frame, GUEST_IP, get32(frame + IP_SOURCE), 6, 20));
}

Test(slirp, a_forwarded_stream_arrives_whole_at_a_slow_guest)
{
    enum { BYTES = 300000 };
    uint16_t port = free_port(SOCK_STREAM);
    g_autofree char *options =
        g_strdup_printf("ipv6=off,queue=8192,hostfwd=tcp:127.0.0.1:%u-:80", port);
    World *world = world_new(options);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    g_autofree uint8_t *data = g_malloc(BYTES);
    Tcp tcp = {.got = g_byte_array_new()};
    guint position = 0;
    size_t sent = 0, len;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    for (size_t i = 0; i < BYTES; i++) {
        data[i] = (uint8_t)(i ^ i >> 8);
    }
    world->toy->room = 0;
    connect(client, (struct sockaddr *)&address, sizeof(address));
    while (!tcp.finished) {
        const uint8_t *frame;
        ssize_t result = send(client, data + sent, BYTES - sent, MSG_NOSIGNAL);

        sent += result > 0 ? (size_t)result : 0;
        if (sent == BYTES) {
            shutdown(client, SHUT_WR);
        }
        frame = next_frame(world, &position, &len);
        if (get16(frame + ETH_TYPE) == 0x0800 && frame[IP_PROTOCOL] == 6) {
            tcp_answer(world, &tcp, frame);
        }
    }

    cr_assert_eq(tcp.got->len, BYTES);
    cr_assert_arr_eq(tcp.got->data, data, BYTES);
    g_byte_array_unref(tcp.got);
    close(client);
    world_free(world);
}

static bool reaches_host(const char *options)
{
    World *world = world_new(options);
    uint16_t port;
    int server = bound_socket(SOCK_DGRAM, &port);
    char got[8] = "";
    ssize_t len;

    fcntl(server, F_SETFL, O_NONBLOCK);
    send_frame(world, guest_udp(world->frame, GUEST_IP, GUEST_HOST, 3000, port, "hello", 5));
    toy_settle(world->context);
    len = recv(server, got, sizeof(got), 0); /* the loopback interface is synchronous */
    close(server);
    world_free(world);
    return len == 5 && memcmp(got, "hello", 5) == 0;
}

Test(slirp, restrict_keeps_the_guest_from_the_hosts_network)
{
    cr_assert(reaches_host("ipv6=off"));
    cr_assert_not(reaches_host("ipv6=off,restrict=on"));
    cr_assert_not(reaches_host("ipv6=off,host-loopback=off"));
}

Test(slirp, routers_announce_themselves_over_ipv6)
{
    /* Router solicitation (RFC 4861 4.1) from the unspecified address to ff02::2. */
    World *world = world_new("ipv4=off,ipv6-net=fd00:1::/64");
    uint8_t *frame = world->frame;
    uint8_t pseudo[40] = {0};
    static const uint8_t all_routers[6] = {0x33, 0x33, 0, 0, 0, 2};
    guint position = 0;
    const uint8_t *answer;
    size_t len;

    memset(frame, 0, 14 + 40 + 8);
    guest_ethernet(frame, all_routers, 0x86dd);
    frame[14] = 0x60;
    put16(frame + 14 + 4, 8);
    frame[14 + 6] = 58;
    frame[14 + 7] = 255;
    frame[14 + 24] = 0xff;
    frame[14 + 25] = 0x02;
    frame[14 + 39] = 2;
    frame[14 + 40] = 133;
    memcpy(pseudo, frame + 14 + 8, 32);
    pseudo[35] = 8;
    pseudo[39] = 58;
    put16(frame + 14 + 42,
          checksum(frame + 14 + 40, 8, (uint32_t)(~checksum(pseudo, sizeof(pseudo), 0) & 0xffff)));
    send_frame(world, 14 + 40 + 8);

    do {
        answer = next_frame(world, &position, &len);
        cr_assert_eq(get16(answer + ETH_TYPE), 0x86dd);
    } while (answer[14 + 40] != 134); /* router advertisement */
    cr_assert_not_null(memmem(answer, len, "\xfd\x00\x00\x01", 4));
    world_free(world);
}

/* --- time -------------------------------------------------------------------------- */

Test(slirp, on_a_programs_clock_the_same_frames_come_at_the_same_times)
{
    uint64_t times[2][3];

    for (unsigned run = 0; run < 2; run++) {
        World *world = world_new("ipv6=off");
        uint64_t now = 0;
        unsigned seen = 0;

        devemu_net_set_clock(world->net, toy_clock, &now);
        now = 5000;
        send_frame(world, guest_arp(world->frame, 1, GUEST_HOST));
        while (seen < 3) {
            now = MAX(now, devemu_net_deadline(world->net));
            devemu_net_run(world->net);
            if (world->toy->frames->len > seen) {
                times[run][seen++] = now;
                now += 250;
                send_frame(world, guest_ping(world->frame, GUEST_HOST, seen));
            }
        }
        cr_assert_eq(times[run][0], 5001);
        world_free(world);
    }
    cr_assert_arr_eq(times[0], times[1], sizeof(times[0]));
}

Test(slirp, a_device_that_floods_and_never_receives_cannot_fill_the_memory)
{
    World *world = world_new("ipv6=off,queue=4096");
    DevemuNetStats stats;

    world->toy->room = 0;
    for (unsigned i = 0; i < 10000; i++) {
        send_frame(world, guest_ping(world->frame, GUEST_HOST, i));
        if (i == 0) {
            send_frame(world, guest_arp(world->frame, 1, GUEST_HOST));
        }
    }

    devemu_net_stats(world->net, &stats);
    cr_assert_lt(stats.waiting_bytes, 5 * 4096);
    cr_assert_gt(stats.dropped_out, 5000);
    cr_assert_eq(stats.dropped_in, 0);
    world_free(world);
}

/* --- options ----------------------------------------------------------------------- */

static void refuses(const char *options, const char *message)
{
    GError *error = NULL;
    DevemuNet *net = devemu_net_slirp_new(options, NULL, &error);

    cr_assert_null(net, "%s", options);
    cr_assert_not_null(strstr(error->message, message), "%s: %s", options, error->message);
    g_error_free(error);
}

Test(slirp, what_a_person_writes_wrong_is_named)
{
    refuses("colour=red", "there is no option colour");
    refuses("ipv4=perhaps", "option ipv4 is \"perhaps\"; it must be on or off");
    refuses("net=10.0.2.0", "option net is");
    refuses("net=10.0.2.0/30", "1 to 27 bits");
    refuses("net=ten/8", "must be an IPv4 address");
    refuses("dns=192.168.1.1", "option dns is \"192.168.1.1\"; it must be in the guest's network");
    refuses("dns=10.0.2.2", "they must differ");
    refuses("ipv6-dns=1.2.3.4", "must be an IPv6 address");
    refuses("ipv4=off,ipv6=off", "one must be on");
    refuses("tftp=/nowhere/at/all", "must be a directory");
    refuses("mtu=20", "from 68 to 65521");
    refuses("queue=1", "option queue is \"1\"");
    refuses("hostfwd=tcp:8080-:80", "must look like");
    refuses("hostfwd=icmp::1-:1", "must look like");
    refuses("hostfwd=tcp:127.0.0.1:0-:80", "must look like");
    refuses("hostfwd=tcp:127.0.0.1:80-:80-:80", "must look like");
    refuses("hostfwd=tcp:[::1]:80-[fec0::zz]:80", "must look like");
    refuses("hostname=a-host-with-a-name-of-more-than-32", "longer than 32");
}

Test(slirp, a_port_that_is_taken_is_named)
{
    uint16_t port;
    int server = bound_socket(SOCK_STREAM, &port);
    g_autofree char *options = g_strdup_printf("hostfwd=tcp:127.0.0.1:%u-:80", port);

    cr_assert_eq(listen(server, 1), 0);
    refuses(options, "slirp: hostfwd tcp:127.0.0.1:");
    close(server);
}

Test(slirp, several_forwards_and_search_domains_are_taken)
{
    uint16_t port = free_port(SOCK_STREAM);
    g_autofree char *options =
        g_strdup_printf("hostfwd=tcp:127.0.0.1:%u-:80,hostfwd=udp:127.0.0.1:%u-10.0.2.16:53,"
                        "dnssearch=a.test,dnssearch=b.test,mtu=9000,resolve=off",
                        port, port);
    World *world = world_new(options);

    world_free(world);
}
