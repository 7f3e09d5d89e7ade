/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-client.h: a vhost-user front-end for tests, on one end of a socket pair whose other end a
 * server has, with a driver of split rings. Nothing waits for a thread: the server is run by
 * iterating its context until it has nothing more to do.
 *
 * The memory is one memfd. The guest sees it at VC_GUEST, and this client says that it has it at
 * VC_USER.
 */
#ifndef TESTS_SERVERS_VHOST_CLIENT_H
#define TESTS_SERVERS_VHOST_CLIENT_H

#include "../../lib/servers/vhost-user.h"
#include "send-fds.h"

#include <criterion/criterion.h>
#include <devemu/backends.h>
#include <devemu/list.h>
#include <devemu/testing.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define VC_GUEST UINT64_C(0x40000000)
#define VC_USER  UINT64_C(0x7f1200000000)

enum {
    VC_RAM = 1 << 20,
    VC_NUM = 16,        /* entries of a ring */
    VC_RINGS = 0x10000, /* in memory: desc at 0, avail at 0x800, used at 0x1000 of each ring's */
    VC_RING_BYTES = 0x2000,
    VC_DATA = 0x40000,
};

typedef struct VhostClient {
    GMainContext *context;
    DevemuVhostUser *server;
    int fd, channel; /* channel: our end of it, or -1 */
    int memory;
    uint8_t *ram;
    uint8_t reply[VHOST_HEADER_BYTES + VHOST_MAX_PAYLOAD];
    size_t reply_len; /* of its payload */
    int reply_fd;
    int kick[DEVEMU_VIRTIO_QUEUES], call[DEVEMU_VIRTIO_QUEUES];
    uint16_t avail[DEVEMU_VIRTIO_QUEUES], used[DEVEMU_VIRTIO_QUEUES];
    GString *log;
    DevemuChr *chr; /* of the device; or NULL */
} VhostClient;

G_GNUC_UNUSED static void vc_log(void *opaque, const char *text)
{
    g_string_append_printf(((VhostClient *)opaque)->log, "%s\n", text);
}

/* --- life -------------------------------------------------------------------------- */

G_GNUC_UNUSED static VhostClient *vc_new_on(DevemuDevice *dev, const char *options,
                                            GMainContext *context)
{
    VhostClient *c = g_new0(VhostClient, 1);
    GError *error = NULL;
    g_autofree char *address = NULL;
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    address = g_strdup_printf("fd:%d%s", pair[1], options);
    c->context = g_main_context_ref(context);
    c->fd = pair[0];
    c->channel = c->reply_fd = -1;
    c->log = g_string_new(NULL);
    c->memory = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    cr_assert_eq(ftruncate(c->memory, VC_RAM), 0);
    cr_assert_eq(fcntl(c->memory, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    c->ram = mmap(NULL, VC_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, c->memory, 0);
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        c->kick[i] = c->call[i] = -1;
    }
    c->server = devemu_vhost_user_new(dev, address, c->context, &error);
    cr_assert_not_null(c->server, "%s", error ? error->message : "");
    devemu_vhost_user_set_log(c->server, vc_log, c);
    return c;
}

G_GNUC_UNUSED static void vc_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

G_GNUC_UNUSED static void vc_free(VhostClient *c)
{
    devemu_vhost_user_free(c->server);
    devemu_chr_free(c->chr);
    vc_close(&c->fd);
    vc_close(&c->channel);
    vc_close(&c->reply_fd);
    close(c->memory);
    munmap(c->ram, VC_RAM);
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        vc_close(&c->kick[i]);
        vc_close(&c->call[i]);
    }
    g_main_context_unref(c->context);
    g_string_free(c->log, TRUE);
    g_free(c);
}

/* Let the server do all that it has to do now, and its device's characters come. */
G_GNUC_UNUSED static void vc_run(VhostClient *c)
{
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned i = 0; i < 100 && g_main_context_iteration(c->context, FALSE); i++) {
        }
        if (c->chr) {
            devemu_chr_run(c->chr);
        }
    }
}

G_GNUC_UNUSED static bool vc_closed(VhostClient *c)
{
    char byte;

    vc_run(c);
    return recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

/* --- messages ---------------------------------------------------------------------- */

G_GNUC_UNUSED static void vc_send_raw(VhostClient *c, const void *data, size_t len, const int *fds,
                                      unsigned fd_count)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    cr_assert_eq(send_fds(c->fd, &iov, 1, fds, fd_count, MSG_NOSIGNAL | MSG_DONTWAIT),
                 (ssize_t)len);
}

G_GNUC_UNUSED static void vc_send(VhostClient *c, unsigned request, unsigned flags,
                                  const void *payload, size_t len, const int *fds,
                                  unsigned fd_count)
{
    uint8_t message[VHOST_HEADER_BYTES + VHOST_MAX_PAYLOAD + 64];

    server_put32(message, request);
    server_put32(message + 4, VHOST_VERSION | flags);
    server_put32(message + 8, (uint32_t)len);
    if (len) {
        memcpy(message + VHOST_HEADER_BYTES, payload, len);
    }
    vc_send_raw(c, message, VHOST_HEADER_BYTES + len, fds, fd_count);
    vc_run(c);
}

/* The reply that the server has sent. False: there is none. */
G_GNUC_UNUSED static bool vc_receive(VhostClient *c, unsigned request)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {c->reply, VHOST_HEADER_BYTES};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t got = recvmsg(c->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got <= 0) {
        return false;
    }
    vc_close(&c->reply_fd);
    if (message.msg_controllen && CMSG_FIRSTHDR(&message)) {
        memcpy(&c->reply_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    }
    cr_assert_eq(got, VHOST_HEADER_BYTES);
    cr_assert_eq(server_get32(c->reply), request);
    cr_assert_eq(server_get32(c->reply + 4), VHOST_VERSION | VHOST_FLAG_REPLY);
    c->reply_len = server_get32(c->reply + 8);
    if (c->reply_len) {
        cr_assert_eq(recv(c->fd, c->reply + VHOST_HEADER_BYTES, c->reply_len, MSG_DONTWAIT),
                     (ssize_t)c->reply_len);
    }
    return true;
}

G_GNUC_UNUSED static const uint8_t *vc_payload(const VhostClient *c)
{
    return c->reply + VHOST_HEADER_BYTES;
}

/* A request that answers by itself. */
G_GNUC_UNUSED static void vc_ask(VhostClient *c, unsigned request, const void *payload, size_t len)
{
    vc_send(c, request, 0, payload, len, NULL, 0);
    cr_assert(vc_receive(c, request), "no answer to request %u: %s", request, c->log->str);
}

G_GNUC_UNUSED static uint64_t vc_ask_u64(VhostClient *c, unsigned request)
{
    vc_ask(c, request, NULL, 0);
    cr_assert_eq(c->reply_len, 8);
    return server_get64(vc_payload(c));
}

/* A request with REPLY_ACK: was it done? */
G_GNUC_UNUSED static bool vc_do_fds(VhostClient *c, unsigned request, const void *payload,
                                    size_t len, const int *fds, unsigned fd_count)
{
    vc_send(c, request, VHOST_FLAG_NEED_REPLY, payload, len, fds, fd_count);
    cr_assert(vc_receive(c, request), "no answer to request %u: %s", request, c->log->str);
    cr_assert_eq(c->reply_len, 8);
    return server_get64(vc_payload(c)) == 0;
}

G_GNUC_UNUSED static bool vc_do(VhostClient *c, unsigned request, const void *payload, size_t len)
{
    return vc_do_fds(c, request, payload, len, NULL, 0);
}

G_GNUC_UNUSED static bool vc_do_u64(VhostClient *c, unsigned request, uint64_t value)
{
    return vc_do(c, request, &value, sizeof(value));
}

G_GNUC_UNUSED static bool vc_do_state(VhostClient *c, unsigned request, uint32_t index,
                                      uint32_t num)
{
    const uint32_t state[2] = {index, num};

    return vc_do(c, request, state, sizeof(state));
}

G_GNUC_UNUSED static uint32_t vc_get_base(VhostClient *c, uint32_t index)
{
    const uint32_t state[2] = {index, 0};

    vc_ask(c, VHOST_USER_GET_VRING_BASE, state, sizeof(state));
    cr_assert_eq(c->reply_len, 8);
    cr_assert_eq(server_get32(vc_payload(c)), index);
    return server_get32(vc_payload(c) + 4);
}

/* --- set-up ------------------------------------------------------------------------ */

#define VC_PROTOCOL                                                                                \
    (VHOST_BIT(VHOST_F_MQ) | VHOST_BIT(VHOST_F_REPLY_ACK) | VHOST_BIT(VHOST_F_BACKEND_REQ) |       \
     VHOST_BIT(VHOST_F_RESET_DEVICE) | VHOST_BIT(VHOST_F_CONFIGURE_MEM_SLOTS) |                    \
     VHOST_BIT(VHOST_F_LOG_SHMFD))
#define VC_FEATURES (VHOST_BIT(VIRTIO_F_VERSION_1) | VHOST_BIT(VHOST_PROTOCOL_FEATURES))

/* An entropy device, whose bytes come from vc_feed(). */
G_GNUC_UNUSED static DevemuDevice *vc_rng(const char *options, DevemuChr **ret_chr)
{
    DevemuDevice *dev = devemu_device_new(devemu_model_find("virtio-rng"), options, NULL);

    cr_assert_not_null(dev);
    *ret_chr = devemu_chr_new("memory", NULL, NULL);
    devemu_chr_attach(*ret_chr, dev);
    return dev;
}

G_GNUC_UNUSED static void vc_feed(VhostClient *c, const char *text)
{
    devemu_chr_put(c->chr, text, strlen(text));
}

/* A client that has said what it can do. */
G_GNUC_UNUSED static VhostClient *vc_new(DevemuDevice *dev, uint64_t protocol)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    VhostClient *c = vc_new_on(dev, "", context);

    cr_assert(vc_ask_u64(c, VHOST_USER_GET_FEATURES) & VHOST_BIT(VHOST_PROTOCOL_FEATURES));
    cr_assert_eq(vc_ask_u64(c, VHOST_USER_GET_PROTOCOL_FEATURES) & protocol, protocol);
    cr_assert(vc_do_u64(c, VHOST_USER_SET_PROTOCOL_FEATURES, protocol), "%s", c->log->str);
    cr_assert(vc_do(c, VHOST_USER_SET_OWNER, NULL, 0));
    return c;
}

G_GNUC_UNUSED static void vc_region(uint8_t to[32], uint64_t guest, uint64_t len, uint64_t user,
                                    uint64_t offset)
{
    server_put64(to, guest);
    server_put64(to + 8, len);
    server_put64(to + 16, user);
    server_put64(to + 24, offset);
}

G_GNUC_UNUSED static bool vc_give_memory(VhostClient *c)
{
    uint8_t payload[40] = {0};

    server_put32(payload, 1);
    vc_region(payload + 8, VC_GUEST, VC_RAM, VC_USER, 0);
    return vc_do_fds(c, VHOST_USER_SET_MEM_TABLE, payload, sizeof(payload), &c->memory, 1);
}

G_GNUC_UNUSED static uint8_t *vc_ring(VhostClient *c, unsigned ring)
{
    return c->ram + VC_RINGS + ring * VC_RING_BYTES;
}

G_GNUC_UNUSED static bool vc_set_addr(VhostClient *c, unsigned ring, uint64_t base, uint32_t flags,
                                      uint64_t log)
{
    uint8_t payload[40];

    server_put32(payload, ring);
    server_put32(payload + 4, flags);
    server_put64(payload + 8, base);
    server_put64(payload + 16, base + 0x1000);
    server_put64(payload + 24, base + 0x800);
    server_put64(payload + 32, log);
    return vc_do(c, VHOST_USER_SET_VRING_ADDR, payload, sizeof(payload));
}

G_GNUC_UNUSED static uint64_t vc_ring_user(unsigned ring)
{
    return VC_USER + VC_RINGS + (uint64_t)ring * VC_RING_BYTES;
}

G_GNUC_UNUSED static bool vc_give_event(VhostClient *c, unsigned request, unsigned ring, int *fd)
{
    const uint64_t number = ring;

    if (*fd < 0) {
        *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return vc_do_fds(c, request, &number, sizeof(number), fd, 1);
}

/* All that makes a ring run. */
G_GNUC_UNUSED static void vc_start_ring(VhostClient *c, unsigned ring, uint32_t base)
{
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, ring, VC_NUM));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_BASE, ring, base));
    cr_assert(vc_set_addr(c, ring, vc_ring_user(ring), 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, ring, &c->kick[ring]));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_CALL, ring, &c->call[ring]));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, ring, 1));
}

/* The same, of an entropy device. */
G_GNUC_UNUSED static VhostClient *vc_new_rng(const char *options, uint64_t protocol)
{
    DevemuChr *chr;
    VhostClient *c = vc_new(vc_rng(options, &chr), protocol);

    c->chr = chr;
    return c;
}

/* Memory, and ring 0 runs. */
G_GNUC_UNUSED static void vc_start(VhostClient *c, uint64_t features)
{
    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES | features), "%s", c->log->str);
    cr_assert(vc_give_memory(c), "%s", c->log->str);
    vc_start_ring(c, 0, 0);
    cr_assert(c->server->rings[0].running, "%s", c->log->str);
}

/* A message about pages, of that type. */
G_GNUC_UNUSED static bool vc_iotlb(VhostClient *c, uint64_t iova, uint64_t len, uint64_t user,
                                   unsigned perm, unsigned type)
{
    uint8_t payload[32] = {0};

    server_put64(payload, iova);
    server_put64(payload + 8, len);
    server_put64(payload + 16, user);
    payload[24] = (uint8_t)perm;
    payload[25] = (uint8_t)type;
    return vc_do(c, VHOST_USER_IOTLB_MSG, payload, sizeof(payload));
}

/* --- the driver of a split ring ---------------------------------------------------- */

/* Make a buffer of one piece available, at the guest's address. Returns its id. */
G_GNUC_UNUSED static unsigned vc_add(VhostClient *c, unsigned ring, uint64_t addr, uint32_t len,
                                     bool write)
{
    uint8_t *base = vc_ring(c, ring), *desc;
    unsigned id = c->avail[ring] % VC_NUM;

    desc = base + id * 16;
    devemu_put_le64(desc, addr);
    devemu_put_le32(desc + 8, len);
    devemu_put_le16(desc + 12, write ? 2 : 0);
    devemu_put_le16(desc + 14, 0);
    devemu_put_le16(base + 0x800 + 4 + id * 2, (uint16_t)id);
    c->avail[ring]++;
    devemu_put_le16(base + 0x800 + 2, c->avail[ring]);
    return id;
}

G_GNUC_UNUSED static void vc_kick(VhostClient *c, unsigned ring)
{
    const uint64_t one = 1;

    cr_assert_eq(write(c->kick[ring], &one, sizeof(one)), (ssize_t)sizeof(one));
    vc_run(c);
}

G_GNUC_UNUSED static bool vc_used(VhostClient *c, unsigned ring, uint32_t *ret_id,
                                  uint32_t *ret_len)
{
    const uint8_t *used = vc_ring(c, ring) + 0x1000;
    const uint8_t *elem = used + 4 + (c->used[ring] % VC_NUM) * 8;

    if (devemu_le16(used + 2) == c->used[ring]) {
        return false;
    }
    *ret_id = devemu_le32(elem);
    *ret_len = devemu_le32(elem + 4);
    c->used[ring]++;
    return true;
}

/* Has the server signalled? */
G_GNUC_UNUSED static bool vc_called(VhostClient *c, unsigned ring)
{
    uint64_t count;

    return read(c->call[ring], &count, sizeof(count)) == sizeof(count);
}

/* One buffer for the device to write to, there and back. Returns the bytes written. */
G_GNUC_UNUSED static uint32_t vc_fetch(VhostClient *c, unsigned ring, uint64_t addr, uint32_t len)
{
    unsigned id = vc_add(c, ring, addr, len, true);
    uint32_t used_id = UINT32_MAX, used_len = 0;

    vc_kick(c, ring);
    cr_assert(vc_used(c, ring, &used_id, &used_len), "the buffer does not come back: %s",
              c->log->str);
    cr_assert_eq(used_id, id);
    return used_len;
}

#endif
