/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-packet.c: a network card of the host, by a packet socket (packet(7)).
 *
 * The device shares the card with the host: it sees what comes in from the cable, for whomever, and
 * not what the host itself sends. Headers before frames (PACKET_VNET_HDR) leave checksums and
 * segmentation to the kernel and the card. What the kernel has put together on its way in (GRO)
 * comes as one long frame, of which only the header says so; it is cut for a driver that does not
 * take it.
 */
#define _GNU_SOURCE
#include "net.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SLOTS          16 /* frames of one call */
#define ROUNDS         4  /* calls of one turn of the main loop */
#define HEADER         DEVEMU_NET_OFFLOAD_BYTES
#define VLAN_TAG       4
#define MAC_ADDRESSES  12
#define RECEIVE_BUFFER (4 << 20)

/* Of Linux 4.20. */
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

typedef struct Slot {
    uint8_t header[HEADER];
    uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))] __attribute__((aligned(8)));
    uint8_t frame[VLAN_TAG + NET_FRAME_MAX]; /* room for a tag, then the frame */
} Slot;

typedef struct NetPacket {
    DevemuNet net;
    int fd;
    uint32_t can;  /* DEVEMU_OFFLOAD_* of the kernel */
    uint64_t lost; /* in the kernel, as last asked */
    Slot *slots;
} NetPacket;

typedef struct PacketOptions {
    char *ifname;
    uint64_t queue_bytes;
    bool promisc, bypass;
} PacketOptions;

static const Option packet_options[] = {
    {.name = "ifname", .type = OPTION_TEXT, .member = offsetof(PacketOptions, ifname)},
    {.name = "promisc", .type = OPTION_BOOL, .member = offsetof(PacketOptions, promisc)},
    {.name = "bypass", .type = OPTION_BOOL, .member = offsetof(PacketOptions, bypass)},
    NET_OPTION_QUEUE(PacketOptions, queue_bytes),
    {.name = NULL},
};

/* Between little-endian and the byte order of the machine, which the kernel has in headers. */
static void to_machine(uint8_t *header)
{
    for (unsigned i = 2; i < HEADER; i += 2) {
        uint16_t value;

        memcpy(&value, header + i, 2);
        value = GUINT16_TO_LE(value);
        memcpy(header + i, &value, 2);
    }
}

/* --- the device's frames ----------------------------------------------------------- */

static uint32_t packet_offloads(DevemuNet *net)
{
    return ((NetPacket *)net)->can;
}

static bool packet_send_slices(DevemuNet *net, const DevemuNetOffload *offload,
                               const DevemuSlice *slices, size_t count)
{
    static const DevemuNetOffload plain;
    NetPacket *packet = (NetPacket *)net;
    uint8_t header[HEADER];
    struct iovec iov[NET_SLICES + 1] = {{header, HEADER}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count + 1};

    devemu_net_offload_put(offload ? offload : &plain, header);
    to_machine(header);
    for (size_t i = 0; i < count; i++) {
        iov[i + 1] = (struct iovec){(void *)(uintptr_t)slices[i].data, slices[i].len};
    }
    return sendmsg(packet->fd, &message, 0) >= 0;
}

static bool packet_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                        size_t len)
{
    DevemuSlice slice = {data, len};

    return packet_send_slices(net, offload, &slice, 1);
}

/* --- frames for the device --------------------------------------------------------- */

static void packet_watch(DevemuNet *net)
{
    loop_watch(net->loop, ((NetPacket *)net)->fd, G_IO_IN);
}

/* The kernel takes a VLAN tag out of the frame and tells it apart: put it back, where there is one.
 * Returns where the frame begins. */
static uint8_t *put_tag_back(Slot *slot, const struct msghdr *message, size_t *len,
                             DevemuNetOffload *offload)
{
    uint8_t *frame = slot->frame + VLAN_TAG;
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    struct tpacket_auxdata aux;
    uint16_t type = ETHERTYPE_VLAN;

    if (control == NULL || control->cmsg_level != SOL_PACKET ||
        control->cmsg_type != PACKET_AUXDATA || *len < MAC_ADDRESSES) {
        return frame;
    }
    memcpy(&aux, CMSG_DATA(control), sizeof(aux));
    if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) {
        return frame;
    }
    type = aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : type;
    frame -= VLAN_TAG;
    memmove(frame, frame + VLAN_TAG, MAC_ADDRESSES);
    frame[MAC_ADDRESSES] = (uint8_t)(type >> 8);
    frame[MAC_ADDRESSES + 1] = (uint8_t)type;
    frame[MAC_ADDRESSES + 2] = (uint8_t)(aux.tp_vlan_tci >> 8);
    frame[MAC_ADDRESSES + 3] = (uint8_t)aux.tp_vlan_tci;
    *len += VLAN_TAG;
    offload->csum_start = (uint16_t)(offload->csum_start + (offload->needs_csum ? VLAN_TAG : 0));
    offload->hdr_len = (uint16_t)(offload->hdr_len + (offload->hdr_len ? VLAN_TAG : 0));
    return frame;
}

static void deliver(NetPacket *packet, Slot *slot, const struct mmsghdr *message, bool more)
{
    DevemuNetOffload offload = {0};
    size_t len = message->msg_len;
    uint8_t *frame;

    to_machine(slot->header);
    if (len <= HEADER || (message->msg_hdr.msg_flags & MSG_TRUNC) ||
        !devemu_net_offload_get(slot->header, &offload)) {
        packet->net.stats.dropped_in++;
        return;
    }
    len -= HEADER;
    frame = put_tag_back(slot, &message->msg_hdr, &len, &offload);
    net_deliver(&packet->net, &offload, frame, len, more);
}

/* Returns how many frames there were. */
static unsigned receive(NetPacket *packet)
{
    struct mmsghdr messages[SLOTS];
    struct iovec iov[SLOTS][2];
    int count;

    for (unsigned i = 0; i < SLOTS; i++) {
        Slot *slot = &packet->slots[i];

        iov[i][0] = (struct iovec){slot->header, HEADER};
        iov[i][1] = (struct iovec){slot->frame + VLAN_TAG, NET_FRAME_MAX};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = iov[i],
                                                   .msg_iovlen = 2,
                                                   .msg_control = slot->control,
                                                   .msg_controllen = sizeof(slot->control)}};
    }
    count = recvmmsg(packet->fd, messages, SLOTS, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        deliver(packet, &packet->slots[i], &messages[i], i + 1 < count);
    }
    return count > 0 ? (unsigned)count : 0;
}

static void packet_fetch(DevemuNet *net)
{
    for (unsigned i = 0; i < ROUNDS && !net_full(net); i++) {
        if (receive((NetPacket *)net) < SLOTS) {
            return;
        }
    }
}

static uint64_t packet_lost(DevemuNet *net)
{
    NetPacket *packet = (NetPacket *)net;
    struct tpacket_stats stats;
    socklen_t len = sizeof(stats);

    /* The kernel counts from 0 again each time it is asked. */
    if (getsockopt(packet->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0) {
        packet->lost += stats.tp_drops;
    }
    return packet->lost;
}

/* --- the network ------------------------------------------------------------------- */

static void packet_finish(DevemuNet *net)
{
    NetPacket *packet = (NetPacket *)net;

    close(packet->fd);
    g_free(packet->slots);
}

static const NetClass packet_class = {
    .name = "packet",
    .send = packet_send,
    .send_slices = packet_send_slices,
    .offloads = packet_offloads,
    .watch = packet_watch,
    .fetch = packet_fetch,
    .eager = true,
    .lost = packet_lost,
    .finish = packet_finish,
};

static bool refuse(const char *what, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "packet: %s: %s", what,
                g_strerror(errno));
    return false;
}

/* Its number; the card must be one that carries Ethernet. */
static bool find_card(int fd, const char *ifname, int *ret_index, GError **error)
{
    struct ifreq request = {0};

    if (strlen(ifname) >= sizeof(request.ifr_name)) {
        return options_refuse(error, "packet: option ifname is \"%s\"; it must be shorter than %d",
                              ifname, (int)sizeof(request.ifr_name));
    }
    memcpy(request.ifr_name, ifname, strlen(ifname));
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) {
        return refuse(ifname, error);
    }
    if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND,
                    "packet: %s is no Ethernet card; name one that is", ifname);
        return false;
    }
    if (ioctl(fd, SIOCGIFINDEX, &request) < 0) {
        return refuse(ifname, error);
    }
    *ret_index = request.ifr_ifindex;
    return true;
}

static bool set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) == 0;
}

/* Linux 6.2 and later know UDP segmentation in these headers; earlier ones refuse such a frame. */
static bool has_uso(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    char *rest;

    if (uname(&name) < 0) {
        return false;
    }
    major = (unsigned)g_ascii_strtoull(name.release, &rest, 10);
    minor = *rest == '.' ? (unsigned)g_ascii_strtoull(rest + 1, NULL, 10) : 0;
    return major > 6 || (major == 6 && minor >= 2);
}

static bool set_up(NetPacket *packet, const PacketOptions *options, GError **error)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq promiscuous = {.mr_type = PACKET_MR_PROMISC};
    int bytes = RECEIVE_BUFFER, fd = packet->fd;

    if (!find_card(fd, options->ifname, &address.sll_ifindex, error)) {
        return false;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* as far as it goes */
    }
    if (!set(fd, PACKET_VNET_HDR, 1) || !set(fd, PACKET_AUXDATA, 1) ||
        !set(fd, PACKET_IGNORE_OUTGOING, 1) ||
        (options->bypass && !set(fd, PACKET_QDISC_BYPASS, 1))) {
        return refuse("options of the socket", error);
    }
    promiscuous.mr_ifindex = address.sll_ifindex;
    if (options->promisc &&
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) < 0) {
        return refuse(options->ifname, error);
    }
    return bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
           refuse(options->ifname, error);
}

DevemuNet *net_packet_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    PacketOptions options = {.queue_bytes = NET_QUEUE_BYTES, .promisc = true, .bypass = true};
    NetPacket *packet = NULL;
    int fd;

    if (!options_fill("packet", packet_options, settings, &options, error)) {
        return NULL;
    }
    if (options.ifname == NULL) {
        options_refuse(error, "packet: option ifname is missing; it names a network card");
        return NULL;
    }
    /* Protocol 0: nothing comes before bind(). */
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        refuse("socket", error);
    } else {
        packet = net_new(sizeof(NetPacket), &packet_class);
        packet->fd = fd;
        packet->can = DEVEMU_OFFLOAD_ALL & ~(has_uso() ? 0U : (uint32_t)DEVEMU_OFFLOAD_USO);
        packet->slots = g_new(Slot, SLOTS);
        net_make_source(&packet->net, context, options.queue_bytes);
        if (!set_up(packet, &options, error)) {
            devemu_net_free(&packet->net);
            packet = NULL;
        }
    }
    options_clear(packet_options, &options);
    return packet ? &packet->net : NULL;
}
