/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock.c: a client and a server of AF_VSOCK, for the guest.
 *
 *     vsock stream|seqpacket connect CID PORT BYTES
 *     vsock stream|seqpacket listen PORT
 *
 * connect sends so many bytes, reads as many, and demands that they are those that it sent: the
 * peer echoes. At the end it shuts its sending side down and demands the end of the stream. listen
 * takes one connection and echoes it until the peer has no more. Messages of seqpacket are of all
 * sizes up to 5000 bytes, and come whole. The last line is "echoed N"; the exit code is 0 if all
 * was right.
 */
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE = 5000, CHUNK = 65536, PATIENCE_MS = 30000 };

static uint8_t byte_of(size_t n)
{
    return (uint8_t)(n * 2654435761u >> 13);
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static size_t message_size(int type, size_t number, size_t left)
{
    size_t size = type == SOCK_SEQPACKET ? 1 + number * 977 % MESSAGE : CHUNK;

    return size < left ? size : left;
}

/* What comes must be what was sent. 0 at the end of the stream. */
static ssize_t compare(int fd, int type, size_t received, size_t expected)
{
    uint8_t data[CHUNK];
    ssize_t n = recv(fd, data, sizeof(data), 0);

    for (ssize_t i = 0; i < n; i++) {
        if (data[i] != byte_of(received + (size_t)i)) {
            fprintf(stderr, "byte %zu is damaged\n", received + (size_t)i);
            return -1;
        }
    }
    if (n > 0 && type == SOCK_SEQPACKET && (size_t)n != expected) {
        fprintf(stderr, "a message of %zu bytes came as %zd\n", expected, n);
        return -1;
    }
    return n;
}

/* Sends while there is room, reads while there is something: the echo of a stream may fill both ways. */
static int echo_client(int fd, int type, size_t bytes)
{
    uint8_t data[CHUNK];
    size_t sent = 0, received = 0, messages_out = 0, messages_in = 0;

    while (received < bytes) {
        struct pollfd p = {fd, (short)(POLLIN | (sent < bytes ? POLLOUT : 0)), 0};

        if (poll(&p, 1, PATIENCE_MS) <= 0) {
            return fail("nothing came");
        }
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            size_t expected = message_size(type, messages_in++, bytes - received);
            ssize_t n = compare(fd, type, received, expected);

            if (n <= 0) {
                return fail("recv");
            }
            received += (size_t)n;
        }
        if (p.revents & POLLOUT) {
            size_t size = message_size(type, messages_out, bytes - sent);

            for (size_t i = 0; i < size; i++) {
                data[i] = byte_of(sent + i);
            }
            ssize_t n = send(fd, data, size, type == SOCK_STREAM ? MSG_DONTWAIT : 0);

            if (n > 0) {
                sent += (size_t)n;
                messages_out++;
            }
        }
    }
    shutdown(fd, SHUT_WR);
    if (recv(fd, data, 1, 0) != 0) {
        return fail("no end of the stream");
    }
    printf("echoed %zu\n", received);
    return 0;
}

static int echo_server(int fd)
{
    uint8_t data[CHUNK];
    size_t echoed = 0;
    ssize_t n;

    while ((n = recv(fd, data, sizeof(data), 0)) > 0) {
        for (ssize_t done = 0, m; done < n; done += m) {
            m = send(fd, data + done, (size_t)(n - done), 0);
            if (m <= 0) {
                return fail("send");
            }
        }
        echoed += (size_t)n;
    }
    if (n < 0) {
        return fail("recv");
    }
    printf("echoed %zu\n", echoed);
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_vm addr = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY};
    int type = argc > 1 && strcmp(argv[1], "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_STREAM;
    int fd = socket(AF_VSOCK, type, 0);

    if (fd < 0) {
        return fail("socket");
    }
    if (argc == 6 && strcmp(argv[2], "connect") == 0) {
        addr.svm_cid = (unsigned)strtoul(argv[3], NULL, 10);
        addr.svm_port = (unsigned)strtoul(argv[4], NULL, 10);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
            return fail("connect");
        }
        return echo_client(fd, type, strtoul(argv[5], NULL, 10));
    }
    if (argc == 4 && strcmp(argv[2], "listen") == 0) {
        addr.svm_port = (unsigned)strtoul(argv[3], NULL, 10);
        if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
            return fail("listen");
        }
        printf("listening\n");
        fflush(stdout);
        int peer = accept(fd, NULL, NULL);

        return peer < 0 ? fail("accept") : echo_server(peer);
    }
    fprintf(stderr, "usage: vsock stream|seqpacket connect CID PORT BYTES | listen PORT\n");
    return 2;
}
