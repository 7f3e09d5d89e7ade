/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock-link.c: the socket of each connection.
 */
#define _GNU_SOURCE
#include "vsock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* --- links ---------------------------------------------------------------------------- */

void vsock_link_free(void *opaque)
{
    Link *l = opaque;

    close(l->fd);
    g_byte_array_unref(l->out);
    g_byte_array_unref(l->in);
    g_byte_array_unref(l->messages);
    g_free(l);
}

Link *vsock_link_new(DevemuVsock *v, int fd, uint8_t type, LinkState state)
{
    Link *l = g_new0(Link, 1);

    l->fd = fd;
    l->type = type;
    l->state = state;
    l->out = g_byte_array_new();
    l->in = g_byte_array_new();
    l->messages = g_byte_array_new();
    g_ptr_array_add(v->links, l);
    return l;
}

Link *vsock_link_find(const DevemuVsock *v, uint32_t guest_port, uint32_t host_port)
{
    for (unsigned i = 0; i < v->links->len; i++) {
        Link *l = g_ptr_array_index(v->links, i);

        if (!l->dead && l->state != LINK_GREETING && l->guest_port == guest_port &&
            l->host_port == host_port) {
            return l;
        }
    }
    return NULL;
}

bool vsock_link_waits(const Link *l)
{
    return (l->type == DEVEMU_VSOCK_STREAM ? l->out : l->messages)->len > 0;
}

/* --- to the host's program ------------------------------------------------------------ */

/* The room of those that went is used again when it is the greater part. */
static void message_went(Link *l, size_t len)
{
    l->passed += (uint32_t)len;
    l->messages_at += (guint)(4 + len);
    if (l->messages_at > l->messages->len / 2) {
        g_byte_array_remove_range(l->messages, 0, l->messages_at);
        l->messages_at = 0;
    }
}

void vsock_host_is_deaf(Link *l)
{
    l->host_deaf = true;
    l->shut |= DEVEMU_VSOCK_NO_RECEIVE;
    while (l->messages->len > 0) {
        message_went(l, devemu_le32(l->messages->data + l->messages_at));
    }
    l->passed += l->out->len;
    g_byte_array_set_size(l->out, 0);
}

static bool write_messages(Link *l)
{
    while (l->messages->len > 0) {
        const uint8_t *first = l->messages->data + l->messages_at;
        size_t len = devemu_le32(first);
        ssize_t done = send(l->fd, first + 4, len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_EOR);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return errno == EAGAIN;
        }
        message_went(l, len);
    }
    return true;
}

static bool write_bytes(Link *l)
{
    while (l->out->len > 0) {
        ssize_t done = send(l->fd, l->out->data, l->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return errno == EAGAIN;
        }
        l->passed += (uint32_t)done;
        g_byte_array_remove_range(l->out, 0, (guint)done);
    }
    return true;
}

void vsock_link_write(Link *l)
{
    bool well = l->type == DEVEMU_VSOCK_STREAM ? write_bytes(l) : write_messages(l);

    if (!well) {
        vsock_host_is_deaf(l);
    }
    if (l->guest_done && !l->half_closed && !vsock_link_waits(l)) {
        shutdown(l->fd, SHUT_WR);
        l->half_closed = true;
    }
    if (l->guest_done && l->guest_deaf && !vsock_link_waits(l)) {
        l->close = true;
    }
}

/* --- from the host's programs -------------------------------------------------------------- */

void vsock_accept_link(DevemuVsock *v, const Listener *listener)
{
    int fd = unix_accept(listener->fd);

    if (fd >= 0) {
        vsock_link_new(v, fd, listener->type, LINK_GREETING);
    }
}

/* "CONNECT port\n", as much of it as came; it is read a byte at a time, since data may follow. */
static bool greeting(DevemuVsock *v, Link *l)
{
    static const char word[] = "CONNECT ";
    char line[LINE_BYTES + 1] = "";
    guint64 port;
    size_t len;

    memcpy(line, l->in->data, MIN(l->in->len, LINE_BYTES));
    len = strlen(line);
    if (len == 0 || line[len - 1] != '\n') {
        return len < LINE_BYTES;
    }
    line[len - 1] = '\0';
    if (!g_str_has_prefix(line, word) ||
        !g_ascii_string_to_unsigned(line + strlen(word), 10, 0, G_MAXUINT32, &port, NULL)) {
        return false;
    }
    do {
        l->host_port = v->next_port++;
        v->next_port = MAX(v->next_port, (uint32_t)FIRST_PORT);
    } while (vsock_link_find(v, (uint32_t)port, l->host_port));
    l->guest_port = (uint32_t)port;
    l->state = LINK_CALLING;
    l->call = true;
    g_byte_array_set_size(l->in, 0);
    return true;
}

bool vsock_read_greeting(DevemuVsock *v, Link *l)
{
    while (l->state == LINK_GREETING) {
        uint8_t bytes[LINE_BYTES];
        ssize_t len = recv(l->fd, bytes, l->type == DEVEMU_VSOCK_STREAM ? 1 : sizeof(bytes), 0);

        if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        }
        if (len <= 0) {
            return false;
        }
        g_byte_array_append(l->in, bytes, (guint)len);
        if (!greeting(v, l)) {
            return false;
        }
    }
    return true;
}

/* Its program closed one direction, or all. */
static void no_more(Link *l)
{
    struct pollfd look = {.fd = l->fd};

    l->eof = true;
    l->shut |= DEVEMU_VSOCK_NO_SEND;
    if (poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR))) {
        vsock_host_is_deaf(l);
    }
}

/* As much as the guest has room for. */
static void read_bytes(Link *l)
{
    uint8_t bytes[DEVEMU_VSOCK_DATA_MAX];
    ssize_t len = recv(l->fd, bytes, MIN(l->limit - l->sent, sizeof(bytes)), 0);

    if (len > 0) {
        g_byte_array_append(l->in, bytes, (guint)len);
    } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        no_more(l);
    }
}

/* A message is as long as it is; the guest gets it in pieces, as it has room. */
static void read_message(Link *l)
{
    struct iovec io = {0};
    struct msghdr head = {.msg_iov = &io, .msg_iovlen = 1};
    ssize_t len = recv(l->fd, NULL, 0, MSG_PEEK | MSG_TRUNC);

    if (len < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            no_more(l);
        }
        return;
    }
    g_byte_array_set_size(l->in, (guint)len);
    io.iov_base = l->in->data;
    io.iov_len = (size_t)len;
    len = recvmsg(l->fd, &head, 0);
    if (len <= 0) {
        g_byte_array_set_size(l->in, 0);
        no_more(l); /* an empty message cannot be told from the end, and is taken for it */
        return;
    }
    l->in_ends = true;
    l->in_eor = (head.msg_flags & MSG_EOR) != 0;
}

void vsock_link_read(Link *l)
{
    if (l->in->len > 0 || l->eof || l->close || !vsock_link_room(l)) {
        return;
    }
    if (l->type == DEVEMU_VSOCK_STREAM) {
        read_bytes(l);
    } else {
        read_message(l);
    }
}
