/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-threads.c: a server with its queues on several threads. The other threads are waited
 * for by what they signal; that they share nothing is for tests/lib/threads-vhost.c, under TSan.
 */
#define _GNU_SOURCE
#include "vhost-client.h"

enum {
    TX = 3, /* of the second pair, which is the other thread's */
    NET_MQ = 22,
    NET_CTRL_VQ = 17,
    NET_RSS = 60,
};

#define PROTOCOL                                                                                   \
    (VHOST_BIT(VHOST_F_MQ) | VHOST_BIT(VHOST_F_REPLY_ACK) | VHOST_BIT(VHOST_F_BACKEND_REQ) |       \
     VHOST_BIT(VHOST_F_CONFIG) | VHOST_BIT(VHOST_F_STATUS) | VHOST_BIT(VHOST_F_LOG_SHMFD) |        \
     VHOST_BIT(VHOST_F_CONFIGURE_MEM_SLOTS))

typedef struct Rig {
    VhostClient *c;
    GMainContext *context; /* of the other thread */
    DevemuNet *nets[2];
    int error; /* eventfd */
} Rig;

static DevemuDevice *net_device(const char *options, DevemuNet **ret_net)
{
    DevemuDevice *dev = devemu_device_new(devemu_model_find("virtio-net"), options, NULL);

    *ret_net = devemu_net_null_new();
    devemu_net_attach(*ret_net, dev);
    return dev;
}

/* Two pairs on two threads, agreed, with memory; no ring runs. */
static Rig rig_new(void)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    Rig rig = {.context = g_main_context_new(), .error = -1};
    GError *error = NULL;

    rig.c = vc_new_on(net_device("queues=2", &rig.nets[0]), "", context);
    cr_assert(devemu_vhost_user_add_thread(rig.c->server, net_device("queues=2", &rig.nets[1]),
                                           rig.context, &error),
              "%s", error ? error->message : "");
    cr_assert(vc_do_u64(rig.c, VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL), "%s", rig.c->log->str);
    cr_assert(vc_do_u64(rig.c, VHOST_USER_SET_FEATURES, VC_FEATURES | VHOST_BIT(NET_MQ)));
    cr_assert(vc_give_memory(rig.c));
    return rig;
}

static void rig_free(Rig *rig)
{
    vc_free(rig->c);
    devemu_net_free(rig->nets[0]);
    devemu_net_free(rig->nets[1]);
    g_main_context_unref(rig->context);
    vc_close(&rig->error);
}

static void wait_for(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    cr_assert_eq(poll(&wait, 1, 20000), 1, "nothing is signalled");
}

/* A frame of 60 bytes, in a buffer at the guest's address; its ring is kicked. */
static void send_frame(VhostClient *c, unsigned ring, uint64_t addr)
{
    vc_add(c, ring, addr, 12 + 60, false);
    vc_kick(c, ring);
}

/* A ring that runs already when it gets its descriptor for calls begins with one. */
static void check_sent(VhostClient *c, unsigned ring)
{
    uint32_t id, len;
    uint64_t calls;

    send_frame(c, ring, VC_GUEST + VC_DATA);
    do {
        wait_for(c->call[ring]);
        cr_assert_eq(read(c->call[ring], &calls, sizeof(calls)), (ssize_t)sizeof(calls));
    } while (!vc_used(c, ring, &id, &len));
}

Test(vhost_user_threads, pairs_are_served_and_go_on_where_they_stopped)
{
    Rig rig = rig_new();
    VhostClient *c = rig.c;
    DevemuNetStats stats;

    vc_start_ring(c, 1, 0);
    vc_start_ring(c, TX, 0);
    cr_assert_not(c->server->rings[TX].running, "it is not this thread's");
    for (unsigned i = 0; i < 5; i++) {
        check_sent(c, 1);
        check_sent(c, TX);
    }
    cr_assert_eq(vc_get_base(c, TX), 5);
    cr_assert_eq(vc_get_base(c, 1), 5);
    vc_start_ring(c, TX, 5);
    check_sent(c, TX);
    cr_assert(vc_give_memory(c));
    check_sent(c, TX);
    cr_assert_eq(vc_get_base(c, TX), 7);
    devemu_net_stats(rig.nets[0], &stats);
    cr_assert_eq(stats.frames_out, 5);
    devemu_net_stats(rig.nets[1], &stats);
    cr_assert_eq(stats.frames_out, 7);
    rig_free(&rig);
}

Test(vhost_user_threads, what_is_of_all_queues_is_not_offered)
{
    Rig rig = rig_new();
    uint64_t features = vc_ask_u64(rig.c, VHOST_USER_GET_FEATURES);
    uint64_t protocol = vc_ask_u64(rig.c, VHOST_USER_GET_PROTOCOL_FEATURES);

    cr_assert(features & VHOST_BIT(NET_MQ));
    cr_assert_eq(features & (VHOST_BIT(NET_CTRL_VQ) | VHOST_BIT(NET_RSS)), 0);
    cr_assert_eq(protocol & (VHOST_BIT(VHOST_F_DEVICE_STATE) | VHOST_BIT(VHOST_F_INFLIGHT_SHMFD) |
                             VHOST_BIT(VHOST_F_INBAND_NOTIFICATIONS)),
                 0);
    cr_assert_eq(protocol & PROTOCOL, PROTOCOL);
    cr_assert_not(vc_do_u64(rig.c, VHOST_USER_SET_FEATURES, VC_FEATURES | VHOST_BIT(NET_CTRL_VQ)));
    cr_assert_eq(vc_ask_u64(rig.c, VHOST_USER_GET_QUEUE_NUM), 2);
    rig_free(&rig);
}

/* The client hears of it by the descriptor for errors, by its channel, and in the status. */
Test(vhost_user_threads, a_ring_that_breaks_on_another_thread_is_told)
{
    Rig rig = rig_new();
    VhostClient *c = rig.c;
    uint8_t header[VHOST_HEADER_BYTES];
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    c->channel = pair[0];
    cr_assert(vc_do_fds(c, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1));
    close(pair[1]);
    vc_start_ring(c, TX, 0);
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_ERR, TX, &rig.error));
    cr_assert_eq(vc_ask_u64(c, VHOST_USER_GET_STATUS) & DEVEMU_VIRTIO_NEEDS_RESET, 0);

    c->avail[TX] = VC_NUM + 1; /* more than there are */
    send_frame(c, TX, VC_GUEST + VC_DATA);
    wait_for(rig.error);
    cr_assert(vc_ask_u64(c, VHOST_USER_GET_STATUS) & DEVEMU_VIRTIO_NEEDS_RESET);
    vc_run(c);
    wait_for(c->channel);
    cr_assert_eq(recv(c->channel, header, sizeof(header), MSG_DONTWAIT), VHOST_HEADER_BYTES);
    cr_assert_eq(server_get32(header), VHOST_BACKEND_CONFIG_CHANGE);
    rig_free(&rig);
}

Test(vhost_user_threads, a_file_that_is_cut_short_ends_the_connection)
{
    Rig rig = rig_new();
    VhostClient *c = rig.c;
    uint8_t payload[40] = {0};
    int open_file = memfd_create("open", MFD_CLOEXEC);

    cr_assert_eq(ftruncate(open_file, VC_RAM), 0);
    vc_start_ring(c, TX, 0);
    vc_region(payload + 8, 0x1000, VC_RAM, VC_USER + VC_RAM, 0);
    cr_assert(vc_do_fds(c, VHOST_USER_ADD_MEM_REG, payload, sizeof(payload), &open_file, 1));
    cr_assert_eq(ftruncate(open_file, 0), 0);
    send_frame(c, TX, 0x1000);
    wait_for(c->call[TX]);
    while (c->server->socket.client >= 0) {
        g_main_context_iteration(c->context, TRUE);
    }
    cr_assert(vc_closed(c));
    close(open_file);
    rig_free(&rig);
}

/* What another thread writes is in the log, at its place. */
Test(vhost_user_threads, what_another_thread_writes_is_logged)
{
    Rig rig = rig_new();
    VhostClient *c = rig.c;
    const size_t bytes = (VC_GUEST + VC_RAM) >> 15;
    const uint64_t payload[2] = {bytes, 0},
                   used = VC_GUEST + VC_RINGS + TX * VC_RING_BYTES + 0x1000;
    int fd = memfd_create("log", MFD_CLOEXEC);
    uint8_t *log;

    cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
    vc_send(c, VHOST_USER_SET_LOG_BASE, 0, payload, sizeof(payload), &fd, 1);
    cr_assert(vc_receive(c, VHOST_USER_SET_LOG_BASE));
    cr_assert_eq(server_get64(vc_payload(c)), 0);
    log = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    vc_start_ring(c, TX, 0);
    check_sent(c, TX);
    cr_assert_eq(log[(used >> 12) / 8] >> (used >> 12) % 8 & 1, 0);
    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES,
                        VC_FEATURES | VHOST_BIT(NET_MQ) | VHOST_BIT(VHOST_LOG_ALL)));
    check_sent(c, TX);
    cr_assert_eq(log[(used >> 12) / 8] >> (used >> 12) % 8 & 1, 1);
    munmap(log, bytes);
    close(fd);
    rig_free(&rig);
}

/* --- what cannot be ---------------------------------------------------------------- */

static void check_refused(VhostClient *c, DevemuDevice *dev, GMainContext *context,
                          const char *message)
{
    GError *error = NULL;

    cr_assert_not(devemu_vhost_user_add_thread(c->server, dev, context, &error));
    cr_assert_not_null(strstr(error->message, message), "%s", error->message);
    g_error_free(error);
    devemu_device_free(dev);
}

Test(vhost_user_threads, the_device_of_a_thread_is_the_same)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(GMainContext) other = g_main_context_new();
    DevemuBlock *blocks[2] = {devemu_block_new("null:1M", context, NULL),
                              devemu_block_new("null:2M", other, NULL)};
    DevemuDevice *devices[2];
    DevemuChr *chr;
    DevemuNet *net;
    VhostClient *c;

    for (unsigned i = 0; i < 2; i++) {
        devices[i] = devemu_device_new(devemu_model_find("virtio-blk"), "num_queues=2", NULL);
        devemu_block_attach(blocks[i], devices[i]);
    }
    c = vc_new_on(devices[0], "", context);
    check_refused(c, vc_rng(NULL, &chr), other, "is served by one thread");
    devemu_chr_free(chr);
    check_refused(c, net_device("queues=2", &net), other, "is not the same");
    devemu_net_free(net);
    check_refused(c, devices[1], other, "is not the same");
    check_refused(c, net_device("queues=2,iommu_platform=on", &net), other, "one thread");
    devemu_net_free(net);
    vc_free(c);
    devemu_block_free(blocks[0]);
    devemu_block_free(blocks[1]);
}
