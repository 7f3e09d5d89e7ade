/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netns.h: a network namespace of the test's own, with interfaces in it; a test is skipped where
 * the system grants none. For files that define _GNU_SOURCE.
 */
#ifndef TESTS_BACKENDS_NETNS_H
#define TESTS_BACKENDS_NETNS_H

#include <devemu/backend.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each test is a process, so this is its own. */
static inline void own_network(void)
{
    int fd;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        cr_skip("no network namespace: %s", g_strerror(errno));
    }
    fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
    if (fd >= 0) {
        cr_assert_eq(write(fd, "1", 1), 1); /* nothing that nobody asked for is sent */
        close(fd);
    }
}

static inline void bring_up(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);

    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0, "%s", g_strerror(errno));
    close(fd);
}

/* A raw socket on the interface. type 0 is all; vnet: with a struct virtio_net_hdr before frames.
 */
static inline int packet_socket(const char *name, unsigned type, bool vnet)
{
    struct ifreq request = {0};
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(type ? type : ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1;

    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    cr_assert_eq(ioctl(fd, SIOCGIFINDEX, &request), 0);
    address.sll_ifindex = request.ifr_ifindex;
    cr_assert(!vnet || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) == 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Of a socket with headers. */
static inline ssize_t vnet_send(int fd, const DevemuNetOffload *offload, const uint8_t *data,
                                size_t len)
{
    uint8_t header[DEVEMU_NET_OFFLOAD_BYTES];
    struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)data, len}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    devemu_net_offload_put(offload, header);
    return sendmsg(fd, &message, 0);
}

static inline ssize_t vnet_receive(int fd, DevemuNetOffload *ret_offload, uint8_t *data, size_t len)
{
    uint8_t header[DEVEMU_NET_OFFLOAD_BYTES];
    struct iovec iov[2] = {{header, sizeof(header)}, {data, len}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ssize_t got;

    cr_assert_eq(poll(&wait, 1, 20000), 1, "nothing comes");
    got = recvmsg(fd, &message, 0);
    if (got < (ssize_t)sizeof(header)) {
        return -1;
    }
    cr_assert(devemu_net_offload_get(header, ret_offload));
    return got - (ssize_t)sizeof(header);
}

/* One attribute behind those that a netlink message has; returns it. */
static inline struct rtattr *netlink_add(struct nlmsghdr *message, unsigned short type,
                                         const void *data, size_t len)
{
    struct rtattr *attribute =
        (struct rtattr *)(void *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));

    attribute->rta_type = type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(len);
    if (len > 0) {
        memcpy(RTA_DATA(attribute), data, len);
    }
    message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
    return attribute;
}

static inline void netlink_end(const struct nlmsghdr *message, struct rtattr *attribute)
{
    attribute->rta_len =
        (unsigned short)((const char *)message + message->nlmsg_len - (const char *)attribute);
}

/* Does the message say that this card has its cable, and may send? Before that it loses frames. */
static inline bool says_up(struct nlmsghdr *message, const char *name)
{
    struct rtattr *attribute = IFLA_RTA(NLMSG_DATA(message));
    int left = (int)IFLA_PAYLOAD(message);
    bool is_it = false, is_up = false;

    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type == IFLA_IFNAME) {
            is_it = strcmp(RTA_DATA(attribute), name) == 0;
        } else if (attribute->rta_type == IFLA_OPERSTATE) {
            is_up = *(const uint8_t *)RTA_DATA(attribute) == IF_OPER_UP;
        }
    }
    return message->nlmsg_type == RTM_NEWLINK && is_it && is_up;
}

/* events is a netlink socket that has heard of all changes. */
static inline void wait_until_up(int events, const char *a, const char *b)
{
    static uint64_t bytes[8192 / 8];
    bool a_up = false, b_up = false;

    while (!a_up || !b_up) {
        struct pollfd wait = {.fd = events, .events = POLLIN};
        struct nlmsghdr *message = (struct nlmsghdr *)(void *)bytes;
        size_t left;

        cr_assert_eq(poll(&wait, 1, 20000), 1, "the cards do not come up");
        left = (size_t)recv(events, bytes, sizeof(bytes), 0);
        for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
            a_up |= says_up(message, a);
            b_up |= says_up(message, b);
        }
    }
}

/* A pair of cards on one cable, both up. */
static inline void make_veth(const char *a, const char *b)
{
    union {
        struct nlmsghdr head;
        char bytes[1024];
    } m = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
                    .nlmsg_type = RTM_NEWLINK,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL}};
    struct rtattr *info, *data, *peer;
    const struct sockaddr_nl links = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    int events = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    struct nlmsgerr *answer;

    cr_assert_eq(bind(events, (const struct sockaddr *)&links, sizeof(links)), 0);

    netlink_add(&m.head, IFLA_IFNAME, a, strlen(a) + 1);
    info = netlink_add(&m.head, IFLA_LINKINFO, NULL, 0);
    netlink_add(&m.head, IFLA_INFO_KIND, "veth", 4);
    data = netlink_add(&m.head, IFLA_INFO_DATA, NULL, 0);
    peer = netlink_add(&m.head, VETH_INFO_PEER, NULL, 0);
    m.head.nlmsg_len += sizeof(struct ifinfomsg);
    netlink_add(&m.head, IFLA_IFNAME, b, strlen(b) + 1);
    netlink_end(&m.head, peer);
    netlink_end(&m.head, data);
    netlink_end(&m.head, info);
    cr_assert_eq(send(fd, &m, m.head.nlmsg_len, 0), m.head.nlmsg_len);
    cr_assert_gt(recv(fd, &m, sizeof(m), 0), 0);
    close(fd);
    answer = NLMSG_DATA(&m.head);
    if (answer->error == -EOPNOTSUPP) {
        cr_skip("no veth in this kernel");
    }
    cr_assert_eq(answer->error, 0, "%s", g_strerror(-answer->error));
    bring_up(a);
    bring_up(b);
    wait_until_up(events, a, b);
    close(events);
}

#endif
