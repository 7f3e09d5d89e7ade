/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-client.h: a vfio-user client for tests, on one end of a socket pair whose other end a server
 * has. Nothing waits for a thread: the server is run by iterating its context until it has nothing
 * more to do.
 */
#ifndef TESTS_SERVERS_VFIO_CLIENT_H
#define TESTS_SERVERS_VFIO_CLIENT_H

#include "../../lib/servers/vfio-user.h"
#include "send-fds.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_BYTES (VFIO_MAX_MESSAGE + 4096)

typedef struct Client {
    GMainContext *context;
    DevemuVfioUser *server;
    int fd;
    uint16_t id;
    uint8_t reply[CLIENT_BYTES]; /* the last one, header and all */
    size_t reply_len;
    int reply_fds[VFIO_MAX_FDS];
    unsigned reply_fd_count;
    GQueue aside; /* GBytes: commands of the server's that came instead of a reply */
    GString *log;
} Client;

G_GNUC_UNUSED static void client_log(void *opaque, const char *text)
{
    g_string_append_printf(((Client *)opaque)->log, "%s\n", text);
}

/* A server around dev, and this client at its socket. options begins with a comma, or is "". */
G_GNUC_UNUSED static Client *client_new_on(DevemuDevice *dev, const char *options,
                                           GMainContext *context)
{
    Client *c = g_new0(Client, 1);
    GError *error = NULL;
    g_autofree char *address = NULL;
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    address = g_strdup_printf("fd:%d%s", pair[1], options);
    c->context = g_main_context_ref(context);
    c->fd = pair[0];
    c->log = g_string_new(NULL);
    c->server = devemu_vfio_user_new(dev, address, c->context, &error);
    cr_assert_not_null(c->server, "%s", error ? error->message : "");
    devemu_vfio_user_set_log(c->server, client_log, c);
    return c;
}

G_GNUC_UNUSED static Client *client_new(DevemuDevice *dev, const char *options)
{
    g_autoptr(GMainContext) context = g_main_context_new();

    return client_new_on(dev, options, context);
}

G_GNUC_UNUSED static void client_free(Client *c)
{
    devemu_vfio_user_free(c->server);
    if (c->fd >= 0) {
        close(c->fd);
    }
    for (unsigned i = 0; i < c->reply_fd_count; i++) {
        close(c->reply_fds[i]);
    }
    g_main_context_unref(c->context);
    g_queue_clear_full(&c->aside, (GDestroyNotify)g_bytes_unref);
    g_string_free(c->log, TRUE);
    g_free(c);
}

/* Let the server do all that it has to do now. */
G_GNUC_UNUSED static void client_run(Client *c)
{
    while (g_main_context_iteration(c->context, FALSE)) {
    }
}

G_GNUC_UNUSED static bool client_closed(Client *c)
{
    char byte;

    client_run(c);
    return recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

G_GNUC_UNUSED static void client_send_bytes(Client *c, const void *data, size_t len, const int *fds,
                                            unsigned fd_count)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    while (len > 0) {
        ssize_t sent = send_fds(c->fd, &iov, 1, fds, fd_count, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN) {
            g_main_context_iteration(c->context, TRUE);
            continue;
        }
        cr_assert_gt(sent, 0);
        iov.iov_base = (uint8_t *)iov.iov_base + sent;
        iov.iov_len -= (size_t)sent;
        fd_count = 0;
        len -= (size_t)sent;
    }
}

/* Put a command on the socket; flags as VFIO_FLAG_NO_REPLY. */
G_GNUC_UNUSED static void client_send(Client *c, unsigned command, unsigned flags,
                                      const void *payload, size_t len, const int *fds,
                                      unsigned fd_count)
{
    g_autofree uint8_t *message = g_malloc0(VFIO_HEADER_BYTES + len);

    server_put16(message, ++c->id);
    server_put16(message + 2, (uint16_t)command);
    server_put32(message + 4, (uint32_t)(VFIO_HEADER_BYTES + len));
    server_put32(message + 8, flags);
    if (len) {
        memcpy(message + VFIO_HEADER_BYTES, payload, len);
    }
    client_send_bytes(c, message, VFIO_HEADER_BYTES + len, fds, fd_count);
}

G_GNUC_UNUSED static void client_receive_bytes(Client *c, uint8_t *to, size_t len)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(VFIO_MAX_FDS * sizeof(int))];
    } control;

    while (len > 0) {
        struct iovec iov = {to, len};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        ssize_t got = recvmsg(c->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *cmsg;

        if (got < 0 && errno == EAGAIN) {
            g_main_context_iteration(c->context, TRUE);
            continue;
        }
        cr_assert_gt(got, 0, "the server closed the connection: %s", c->log->str);
        cmsg = message.msg_controllen ? CMSG_FIRSTHDR(&message) : NULL;
        if (cmsg) {
            c->reply_fd_count = (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(c->reply_fds, CMSG_DATA(cmsg), c->reply_fd_count * sizeof(int));
        }
        to += got;
        len -= (size_t)got;
    }
}

/* The next message of the server's, whatever it is. */
G_GNUC_UNUSED static void client_receive(Client *c)
{
    for (unsigned i = 0; i < c->reply_fd_count; i++) {
        close(c->reply_fds[i]);
    }
    c->reply_fd_count = 0;
    client_receive_bytes(c, c->reply, VFIO_HEADER_BYTES);
    c->reply_len = server_get32(c->reply + 4);
    cr_assert(c->reply_len >= VFIO_HEADER_BYTES && c->reply_len <= sizeof(c->reply));
    client_receive_bytes(c, c->reply + VFIO_HEADER_BYTES, c->reply_len - VFIO_HEADER_BYTES);
}

/* A command and its reply, which must echo number and command. Returns the errno of the reply; an
 * error reply is a header only. */
G_GNUC_UNUSED static int client_ask_fds(Client *c, unsigned command, const void *payload,
                                        size_t len, const int *fds, unsigned fd_count)
{
    uint32_t flags;

    client_send(c, command, 0, payload, len, fds, fd_count);
    client_receive(c);
    while ((server_get32(c->reply + 8) & VFIO_FLAG_TYPE) == VFIO_TYPE_COMMAND) {
        g_queue_push_tail(&c->aside, g_bytes_new(c->reply, c->reply_len));
        client_receive(c);
    }
    flags = server_get32(c->reply + 8);
    cr_assert_eq(server_get16(c->reply), c->id);
    cr_assert_eq(server_get16(c->reply + 2), command);
    cr_assert_eq(flags & VFIO_FLAG_TYPE, VFIO_TYPE_REPLY);
    if (flags & VFIO_FLAG_ERROR) {
        cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES);
        return (int)server_get32(c->reply + 12);
    }
    return 0;
}

G_GNUC_UNUSED static int client_ask(Client *c, unsigned command, const void *payload, size_t len)
{
    return client_ask_fds(c, command, payload, len, NULL, 0);
}

/* The payload of the last reply. */
G_GNUC_UNUSED static const uint8_t *client_payload(const Client *c)
{
    return c->reply + VFIO_HEADER_BYTES;
}

/* --- commands ---------------------------------------------------------------------- */

G_GNUC_UNUSED static int client_version(Client *c, const char *json)
{
    uint8_t payload[512] = {0};
    size_t len = json ? strlen(json) + 1 : 0;

    if (json) {
        memcpy(payload + 4, json, len);
    }
    return client_ask(c, VFIO_USER_VERSION, payload, 4 + len);
}

/* A client that has said hello. */
G_GNUC_UNUSED static Client *client_ready(DevemuDevice *dev)
{
    Client *c = client_new(dev, "");

    cr_assert_eq(client_version(c, NULL), 0);
    return c;
}

G_GNUC_UNUSED static void access_payload(uint8_t payload[16], unsigned region, uint64_t at,
                                         uint32_t count)
{
    server_put64(payload, at);
    server_put32(payload + 8, region);
    server_put32(payload + 12, count);
}

G_GNUC_UNUSED static int client_read_bytes(Client *c, unsigned region, uint64_t at, uint32_t count)
{
    uint8_t payload[16];

    access_payload(payload, region, at, count);
    return client_ask(c, VFIO_USER_REGION_READ, payload, sizeof(payload));
}

G_GNUC_UNUSED static uint64_t client_read(Client *c, unsigned region, uint64_t at, unsigned size)
{
    uint8_t bytes[8] = {0};

    cr_assert_eq(client_read_bytes(c, region, at, size), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 16 + size);
    memcpy(bytes, client_payload(c) + 16, size);
    return devemu_le64(bytes);
}

G_GNUC_UNUSED static size_t write_payload(uint8_t payload[24], unsigned region, uint64_t at,
                                          unsigned size, uint64_t value)
{
    access_payload(payload, region, at, size);
    devemu_put_le64(payload + 16, value);
    return 16 + size;
}

G_GNUC_UNUSED static void client_write(Client *c, unsigned region, uint64_t at, unsigned size,
                                       uint64_t value)
{
    uint8_t payload[24];
    size_t len = write_payload(payload, region, at, size, value);

    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE, payload, len), 0);
}

/* Posted: no reply comes, and the server has not been run. */
G_GNUC_UNUSED static void client_post(Client *c, unsigned region, uint64_t at, unsigned size,
                                      uint64_t value)
{
    uint8_t payload[24];
    size_t len = write_payload(payload, region, at, size, value);

    client_send(c, VFIO_USER_REGION_WRITE, VFIO_FLAG_NO_REPLY, payload, len, NULL, 0);
}

/* flags: 1 readable, 2 writable. fd -1: none. */
G_GNUC_UNUSED static int client_map(Client *c, uint64_t addr, uint64_t len, int fd, uint64_t offset,
                                    unsigned flags)
{
    uint8_t payload[32];

    server_put32(payload, 32);
    server_put32(payload + 4, flags);
    server_put64(payload + 8, offset);
    server_put64(payload + 16, addr);
    server_put64(payload + 24, len);
    return client_ask_fds(c, VFIO_USER_DMA_MAP, payload, 32, &fd, fd >= 0 ? 1 : 0);
}

G_GNUC_UNUSED static int client_unmap(Client *c, uint64_t addr, uint64_t len, unsigned flags)
{
    uint8_t payload[24];

    server_put32(payload, 24);
    server_put32(payload + 4, flags);
    server_put64(payload + 8, addr);
    server_put64(payload + 16, len);
    return client_ask(c, VFIO_USER_DMA_UNMAP, payload, 24);
}

/* --- interrupts -------------------------------------------------------------------- */

G_GNUC_UNUSED static int client_irqs(Client *c, unsigned flags, unsigned index, unsigned start,
                                     unsigned count, const int *fds, unsigned fd_count)
{
    uint8_t payload[20];

    server_put32(payload, 20);
    server_put32(payload + 4, flags);
    server_put32(payload + 8, index);
    server_put32(payload + 12, start);
    server_put32(payload + 16, count);
    return client_ask_fds(c, VFIO_USER_DEVICE_SET_IRQS, payload, 20, fds, fd_count);
}

G_GNUC_UNUSED static int event_new(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

/* How often it was signalled since it was asked last. */
G_GNUC_UNUSED static uint64_t event_count(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* --- memory ------------------------------------------------------------------------ */

typedef struct Memory {
    int fd;
    size_t len;
    uint8_t *data;
} Memory;

/* seals: as fcntl's F_ADD_SEALS. */
G_GNUC_UNUSED static Memory memory_new(size_t len, unsigned seals)
{
    Memory memory = {.fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING), .len = len};

    cr_assert_geq(memory.fd, 0);
    cr_assert_eq(ftruncate(memory.fd, (off_t)len), 0);
    if (seals) {
        cr_assert_eq(fcntl(memory.fd, F_ADD_SEALS, seals), 0);
    }
    memory.data = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
    cr_assert_neq(memory.data, MAP_FAILED);
    return memory;
}

G_GNUC_UNUSED static void memory_free(Memory *memory)
{
    munmap(memory->data, memory->len);
    close(memory->fd);
}

#endif
