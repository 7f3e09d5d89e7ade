/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * traffic.c: one end of two-way traffic that counts every frame.
 *
 *     traffic INTERFACE PEER-MAC SECONDS
 *
 * Both ends send frames of EtherType 88B5h (IEEE 802, local experiments) as fast as the window
 * allows, of all sizes from 60 to 1514 bytes, and check the other's: number, length, and every
 * byte of the payload, which follows from the number. An end has at most WINDOW frames under way;
 * each frame says how far the sender has seen the other's. What does not come for a second is
 * given up, and shows in the other end's count of lost frames.
 *
 * The last line is "sent N received N lost N doubled N damaged N"; the exit code is 0 if traffic
 * came.
 */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ETHERTYPE = 0x88b5,
    HEADER = 14,
    FIELDS = 12, /* magic, number, how far the other's frames were seen: big-endian */
    LEAST = 60,
    MOST = 1514,
    WINDOW = 12, /* less than a ring of the driver, so that nothing is ever missed */
    MAGIC = 0x44457654,
    GIVE_UP_MS = 1000,
    DRAIN_MS = 2000,
};

typedef struct End {
    int fd;
    uint8_t mac[6], peer[6];
    uint32_t next;  /* number of the next frame sent */
    uint32_t acked; /* the other has seen all before this one */
    uint32_t seen;  /* the next number expected from the other */
    int64_t moved_ms;
    unsigned long sent, received, lost, doubled, damaged;
    bool owes; /* an acknowledgement */
} End;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned length_of(uint32_t number)
{
    return LEAST + (number * 2654435761u >> 8) % (MOST - LEAST + 1);
}

static void fill(uint8_t *payload, unsigned len, uint32_t number)
{
    uint32_t state = number * 2246822519u + 1;

    for (unsigned i = 0; i < len; i++) {
        state = state * 1664525u + 1013904223u;
        payload[i] = (uint8_t)(state >> 24);
    }
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, 4);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, 4);
    return ntohl(value);
}

/* number 0 is an acknowledgement alone. */
static bool send_frame(End *end, uint32_t number)
{
    uint8_t frame[MOST] = {0};
    unsigned len = number ? length_of(number) : LEAST;

    memcpy(frame, end->peer, 6);
    memcpy(frame + 6, end->mac, 6);
    frame[12] = ETHERTYPE >> 8;
    frame[13] = ETHERTYPE & 0xff;
    put32(frame + HEADER, MAGIC);
    put32(frame + HEADER + 4, number);
    put32(frame + HEADER + 8, end->seen);
    fill(frame + HEADER + FIELDS, len - HEADER - FIELDS, number);
    if (send(end->fd, frame, len, MSG_DONTWAIT) != (ssize_t)len) {
        return false;
    }
    end->owes = false;
    return true;
}

static void take(End *end, const uint8_t *frame, unsigned len)
{
    uint8_t payload[MOST];
    uint32_t number = get32(frame + HEADER + 4), acked = get32(frame + HEADER + 8);
    unsigned body = len - HEADER - FIELDS;

    fill(payload, body, number);
    if (len != (number ? length_of(number) : LEAST) ||
        memcmp(payload, frame + HEADER + FIELDS, body) != 0) {
        end->damaged++;
        return;
    }
    if ((int32_t)(acked - end->acked) > 0 && (int32_t)(end->next - acked) >= 0) {
        end->acked = acked;
        end->moved_ms = now_ms();
    }
    if (number == 0) {
        return;
    }
    end->owes = true;
    if ((int32_t)(number - end->seen) < 0) {
        end->doubled++;
        return;
    }
    end->lost += number - end->seen;
    end->seen = number + 1;
    end->received++;
}

static void receive_all(End *end)
{
    uint8_t frame[2048];
    struct sockaddr_ll from;
    socklen_t from_len = sizeof(from);
    ssize_t len;

    while ((len = recvfrom(end->fd, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from,
                           &from_len)) >= 0) {
        if (from.sll_pkttype == PACKET_HOST && len >= LEAST && len <= MOST &&
            get32(frame + HEADER) == MAGIC) {
            take(end, frame, (unsigned)len);
        }
        from_len = sizeof(from);
    }
}

static void send_some(End *end)
{
    if (end->next != end->acked && now_ms() - end->moved_ms > GIVE_UP_MS) {
        end->acked = end->next;
        end->moved_ms = now_ms();
    }
    while (end->next - end->acked < WINDOW && send_frame(end, end->next)) {
        end->next++;
        end->sent++;
    }
}

static void run(End *end, int64_t until_ms, bool sending)
{
    struct pollfd poll_fd = {.fd = end->fd, .events = POLLIN};

    while (now_ms() < until_ms) {
        if (sending) {
            send_some(end);
        }
        if (end->owes) {
            send_frame(end, 0);
        }
        poll(&poll_fd, 1, 20);
        receive_all(end);
    }
}

static bool open_interface(End *end, const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE)};
    struct ifreq request = {0};
    int bytes = 4 << 20;

    end->fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE));
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (end->fd < 0 || ioctl(end->fd, SIOCGIFHWADDR, &request) < 0) {
        return false;
    }
    memcpy(end->mac, request.ifr_hwaddr.sa_data, 6);
    setsockopt(end->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    address.sll_ifindex = (int)if_nametoindex(name);
    return bind(end->fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

int main(int argc, char **argv)
{
    End end = {.next = 1, .acked = 1, .seen = 1};
    unsigned mac[6];
    int64_t begin = now_ms();

    if (argc != 4 || sscanf(argv[2], "%x:%x:%x:%x:%x:%x", &mac[0], &mac[1], &mac[2], &mac[3],
                            &mac[4], &mac[5]) != 6) {
        fprintf(stderr, "usage: traffic INTERFACE PEER-MAC SECONDS\n");
        return 2;
    }
    for (unsigned i = 0; i < 6; i++) {
        end.peer[i] = (uint8_t)mac[i];
    }
    if (!open_interface(&end, argv[1])) {
        fprintf(stderr, "traffic: %s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    end.moved_ms = begin;
    /* Whoever is first waits for the other: a frame before that would be lost to nobody's blame. */
    while (end.received == 0 && now_ms() < begin + 60000) {
        struct pollfd poll_fd = {.fd = end.fd, .events = POLLIN};

        send_frame(&end, 0);
        if (poll(&poll_fd, 1, 100) > 0) {
            break;
        }
    }
    begin = now_ms();
    end.moved_ms = begin;
    run(&end, begin + 1000 * (int64_t)atoi(argv[3]), true);
    run(&end, now_ms() + DRAIN_MS, false);
    printf("sent %lu received %lu lost %lu doubled %lu damaged %lu\n", end.sent, end.received,
           end.lost, end.doubled, end.damaged);
    return end.received == 0;
}
