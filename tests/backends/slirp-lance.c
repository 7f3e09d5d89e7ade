/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slirp-lance.c: libslirp and an Am79C970A whose driver is slow: rings and descriptors as in the
 * datasheet (AMD 19436), chapter "Descriptors and Buffers", software style 2.
 */
#define _DEFAULT_SOURCE
#include "guest.h"
#include "toy.h"

#include <devemu/list.h>
#include <devemu/testing.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RDP = 0x10,
    RAP = 0x12,
    BDP = 0x16,
    INIT_BLOCK = 0x100,
    RX_RING = 0x200,
    TX_RING = 0x300,
    BUFFERS = 0x1000,
    TX_BUFFER = 0x8000,
    RING_LOG2 = 2,
    RING_LEN = 1 << RING_LOG2,
    BUFFER_BYTES = 1536,
};

#define OWN 0x80000000U

typedef struct World {
    GMainContext *context;
    DevemuFake *fake;
    DevemuNet *net;
    unsigned rx_at;
} World;

static void csr_write(World *world, unsigned index, unsigned value)
{
    devemu_fake_write(world->fake, 0, RAP, 2, index);
    devemu_fake_write(world->fake, 0, RDP, 2, value);
}

static unsigned csr_read(World *world, unsigned index)
{
    devemu_fake_write(world->fake, 0, RAP, 2, index);
    return (unsigned)devemu_fake_read(world->fake, 0, RDP, 2);
}

static uint8_t *ram(World *world, uint64_t addr)
{
    return devemu_fake_ram(world->fake) + addr;
}

static void rx_give(World *world, unsigned i)
{
    devemu_put_le32(ram(world, RX_RING + i * 16U), BUFFERS + i * BUFFER_BYTES);
    devemu_put_le32(ram(world, RX_RING + i * 16U + 4), OWN | 0xf000 | (-BUFFER_BYTES & 0xfff));
}

static World *world_new(const char *options)
{
    World *world = g_new0(World, 1);
    GError *error = NULL;

    world->context = g_main_context_new();
    world->net = devemu_net_slirp_new(options, world->context, &error);
    if (world->net == NULL) {
        cr_skip("%s", error->message);
    }
    world->fake =
        devemu_fake_new_mode(devemu_model_find("am79c970a"), NULL, 0x10000, DEVEMU_FAKE_PLAIN);
    devemu_net_attach(world->net, devemu_fake_device(world->fake));
    for (unsigned i = 0; i < RING_LEN; i++) {
        rx_give(world, i);
    }
    devemu_put_le32(ram(world, INIT_BLOCK), (uint32_t)RING_LOG2 << 28 | RING_LOG2 << 20);
    memcpy(ram(world, INIT_BLOCK + 4), guest_mac, 6);
    devemu_put_le32(ram(world, INIT_BLOCK + 20), RX_RING);
    devemu_put_le32(ram(world, INIT_BLOCK + 24), TX_RING);
    devemu_fake_write(world->fake, 0, RAP, 2, 20);
    devemu_fake_write(world->fake, 0, BDP, 2, 2);
    csr_write(world, 1, INIT_BLOCK);
    csr_write(world, 2, 0);
    csr_write(world, 0, 0x0001); /* INIT */
    devemu_fake_advance(world->fake, 1000000);
    cr_assert(csr_read(world, 0) & 0x0100, "IDON");
    csr_write(world, 0, 0x0102); /* STRT */
    return world;
}

static void world_free(World *world)
{
    devemu_fake_free(world->fake);
    devemu_net_free(world->net);
    g_main_context_unref(world->context);
    g_free(world);
}

static void send_frame(World *world, size_t len)
{
    devemu_put_le32(ram(world, TX_RING), TX_BUFFER);
    devemu_put_le32(ram(world, TX_RING + 4), OWN | 0x0300f000 | (-(unsigned)len & 0xfff));
    csr_write(world, 0, 0x0008); /* TDMD */
}

/* The driver looks once: one frame at most leaves the ring. NULL: none there. */
static const uint8_t *take(World *world)
{
    static uint8_t frame[BUFFER_BYTES];
    unsigned i = world->rx_at;

    if (devemu_le32(ram(world, RX_RING + i * 16U + 4)) & OWN) {
        return NULL;
    }
    memcpy(frame, ram(world, BUFFERS + (uint64_t)i * BUFFER_BYTES), BUFFER_BYTES);
    rx_give(world, i);
    csr_write(world, 0, 0x0400); /* RINT */
    world->rx_at = (i + 1) % RING_LEN;
    return frame;
}

static int client_socket(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

Test(slirp_lance, no_frame_is_missed_with_four_descriptors_and_a_slow_driver)
{
    enum { COUNT = 60, SIZE = 1000 };
    uint16_t port = free_port();
    g_autofree char *options =
        g_strdup_printf("ipv6=off,queue=4096,hostfwd=udp:127.0.0.1:%u-:9", port);
    World *world = world_new(options);
    int client = client_socket(port);
    unsigned next = 0;
    gint64 limit_us = g_get_monotonic_time() + 20000000;

    for (unsigned i = 0; i < COUNT; i++) {
        uint8_t datagram[SIZE] = {(uint8_t)i};

        cr_assert_eq(send(client, datagram, sizeof(datagram), 0), SIZE);
    }
    while (next < COUNT) {
        const uint8_t *frame;

        cr_assert_lt(g_get_monotonic_time(), limit_us, "%u datagrams came", next);
        toy_settle(world->context); /* more than the driver can take */
        frame = take(world);
        if (frame == NULL) {
            devemu_fake_advance(world->fake, 2000000); /* the chip polls */
        } else if (is_arp(frame, 60, 1)) {
            send_frame(world, guest_arp(ram(world, TX_BUFFER), 2, get32(frame + ARP_SENDER_IP)));
        } else if (is_udp(frame, 60)) {
            cr_assert_eq(frame[UDP_DATA], next, "%u came instead of %u", frame[UDP_DATA], next);
            next++;
        }
    }

    cr_assert_eq(csr_read(world, 0) & 0x1000, 0, "MISS");
    cr_assert_eq(csr_read(world, 112), 0, "missed frame count");
    close(client);
    world_free(world);
}
