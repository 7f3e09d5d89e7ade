/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-tap.c: a Linux tap device (Documentation/networking/tuntap.rst).
 *
 * Where the tap has headers before its frames (IFF_VNET_HDR), checksums and segmentation are left
 * to the kernel, and by the kernel to the device, as far as its driver takes them.
 *
 * Each queue of an interface is a descriptor, and a network of its own (NetTap), in order of queues
 * behind the first one.
 */
#define _DEFAULT_SOURCE
#include "net.h"

#include "../net-offload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define FETCH_FRAMES 64 /* at a time, so that the main loop gets its turn */
#define NO_FD        UINT64_MAX
#define HEADER       DEVEMU_NET_OFFLOAD_BYTES
#define VLAN_TAG     4
#define QUEUES_MAX   16 /* as many as virtio-net has pairs */

/* Of Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

typedef struct NetTap {
    DevemuNet net;
    int fd;
    size_t header; /* bytes before each frame: 0 or HEADER */
    uint32_t can;  /* DEVEMU_OFFLOAD_* of the kernel */
    uint32_t told; /* what the kernel knows that we accept */
    unsigned last; /* which of the two was read last */
    bool multi;    /* one of the interface's queues */
    bool detached; /* the kernel gives it nothing, and takes nothing */
    uint8_t frame[2][HEADER + NET_FRAME_MAX + VLAN_TAG];
} NetTap;

typedef struct TapOptions {
    char *ifname;
    uint64_t fd;
    uint64_t queue_bytes;
    uint64_t queues; /* 0: an interface that has but one */
    bool offload;
} TapOptions;

static const Option tap_options[] = {
    {.name = "ifname", .type = OPTION_TEXT, .member = offsetof(TapOptions, ifname)},
    {.name = "fd", .type = OPTION_UINT, .member = offsetof(TapOptions, fd), .max = G_MAXINT},
    {.name = "queues",
     .type = OPTION_UINT,
     .member = offsetof(TapOptions, queues),
     .min = 1,
     .max = QUEUES_MAX},
    {.name = "offload", .type = OPTION_BOOL, .member = offsetof(TapOptions, offload)},
    NET_OPTION_QUEUE(TapOptions, queue_bytes),
    {.name = NULL},
};

/* --- queues ------------------------------------------------------------------------ */

/* Attach the queue when the driver begins to use it, and the other way round. */
static void tell_use(NetTap *tap)
{
    bool use = tap->multi && net_is_used(&tap->net);
    struct ifreq request = {.ifr_flags = use ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

    if (tap->multi && use == tap->detached && ioctl(tap->fd, TUNSETQUEUE, &request) == 0) {
        tap->detached = !use;
    }
}

/* --- the device's frames ----------------------------------------------------------- */

static uint32_t tap_offloads(DevemuNet *net)
{
    return ((NetTap *)net)->can;
}

static bool tap_send_slices(DevemuNet *net, const DevemuNetOffload *offload,
                            const DevemuSlice *slices, size_t count)
{
    static const DevemuNetOffload plain;
    NetTap *tap = (NetTap *)net;
    uint8_t header[HEADER];
    struct iovec iov[NET_SLICES + 1] = {{header, tap->header}};
    size_t len = tap->header;

    if (tap->detached) {
        tell_use(tap);
    }
    devemu_net_offload_put(offload ? offload : &plain, header);
    for (size_t i = 0; i < count; i++) {
        iov[i + 1] = (struct iovec){(void *)(uintptr_t)slices[i].data, slices[i].len};
        len += slices[i].len;
    }
    return writev(tap->fd, iov, (int)count + 1) == (ssize_t)len;
}

static bool tap_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                     size_t len)
{
    DevemuSlice slice = {data, len};

    return tap_send_slices(net, offload, &slice, 1);
}

/* --- frames for the device --------------------------------------------------------- */

static bool tell(int fd, uint32_t accepts)
{
    unsigned flags = 0;

    /* The kernel has no segmentation without checksums either. */
    if (accepts & DEVEMU_OFFLOAD_CSUM) {
        flags |= TUN_F_CSUM;
        flags |= accepts & DEVEMU_OFFLOAD_TSO4 ? TUN_F_TSO4 : 0;
        flags |= accepts & DEVEMU_OFFLOAD_TSO6 ? TUN_F_TSO6 : 0;
        flags |= accepts & DEVEMU_OFFLOAD_USO ? TUN_F_USO4 | TUN_F_USO6 : 0;
        if (flags & (TUN_F_TSO4 | TUN_F_TSO6)) {
            flags |= accepts & DEVEMU_OFFLOAD_ECN ? TUN_F_TSO_ECN : 0;
        }
    }
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags) == 0;
}

/* What the driver accepts may have changed. Frames of before are cut where they are not taken. */
static void tell_changes(NetTap *tap)
{
    uint32_t accepts = net_accepts(&tap->net) & tap->can;

    if (accepts != tap->told && tell(tap->fd, accepts)) {
        tap->told = accepts;
    }
}

static void tap_watch(DevemuNet *net)
{
    NetTap *tap = (NetTap *)net;

    tell_use(tap);
    if (!tap->detached) {
        tell_changes(tap);
        loop_watch(net->loop, tap->fd, G_IO_IN);
    }
}

/* The next frame, in the one of the two places that was not used last; 0: there is none. */
static size_t read_frame(NetTap *tap)
{
    ssize_t len = read(tap->fd, tap->frame[!tap->last], sizeof(tap->frame[0]));

    if (len <= (ssize_t)tap->header) {
        return 0;
    }
    tap->last = !tap->last;
    return (size_t)len;
}

static void deliver(NetTap *tap, const uint8_t *frame, size_t len, bool more)
{
    DevemuNetOffload offload = {0};

    if (tap->header == 0 || devemu_net_offload_get(frame, &offload)) {
        net_deliver(&tap->net, &offload, frame + tap->header, len - tap->header, more);
    } else {
        tap->net.stats.dropped_in++; /* a kind of segmentation that nobody asked for */
    }
}

static void tap_fetch(DevemuNet *net)
{
    NetTap *tap = (NetTap *)net;
    size_t len, next;

    tell_changes(tap);
    len = read_frame(tap);
    for (unsigned i = 1; len > 0; i++) {
        unsigned current = tap->last;

        next = i < FETCH_FRAMES && !net_full(net) ? read_frame(tap) : 0;
        deliver(tap, tap->frame[current], len, next > 0);
        len = next;
    }
}

/* --- the network ------------------------------------------------------------------- */

static void tap_finish(DevemuNet *net)
{
    close(((NetTap *)net)->fd);
}

static const NetClass tap_class = {
    .name = "tap",
    .send = tap_send,
    .send_slices = tap_send_slices,
    .offloads = tap_offloads,
    .watch = tap_watch,
    .fetch = tap_fetch,
    .eager = true,
    .finish = tap_finish,
};

static bool refuse(const char *what, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "tap: %s: %s", what, g_strerror(errno));
    return false;
}

static bool open_tap(const TapOptions *options, int *ret_fd, GError **error)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    unsigned features = 0;
    int fd;

    request.ifr_flags |= options->queues > 0 ? IFF_MULTI_QUEUE : 0;

    if (strlen(options->ifname) >= sizeof(request.ifr_name)) {
        return options_refuse(error, "tap: option ifname is \"%s\"; it must be shorter than %d",
                              options->ifname, (int)sizeof(request.ifr_name));
    }
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return refuse("/dev/net/tun", error);
    }
    if (options->offload && ioctl(fd, TUNGETFEATURES, &features) == 0 &&
        (features & IFF_VNET_HDR)) {
        request.ifr_flags |= IFF_VNET_HDR;
    }
    memcpy(request.ifr_name, options->ifname, strlen(options->ifname));
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        if (errno == EINVAL && options->queues > 0) {
            options_refuse(error,
                           "tap: %s exists and has one queue; make it with \"multi_queue\", or "
                           "leave option queues out",
                           options->ifname);
        } else {
            refuse(options->ifname, error);
        }
        close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

static bool take_fd(int fd, int *ret_fd, GError **error)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return refuse("fd", error);
    }
    *ret_fd = fd;
    return true;
}

/* Are there headers, and what can the kernel do? False: headers of a kind that cannot be had here.
 */
static bool find_out(NetTap *tap)
{
    static const uint32_t tries[] = {DEVEMU_OFFLOAD_ALL, DEVEMU_OFFLOAD_ALL & ~DEVEMU_OFFLOAD_USO};
    struct ifreq request = {0};
    int size = HEADER, one = 1;

    if (ioctl(tap->fd, TUNGETIFF, &request) < 0 || !(request.ifr_flags & IFF_VNET_HDR)) {
        return true; /* none; or no tap, but something that carries frames */
    }
    if (ioctl(tap->fd, TUNSETVNETHDRSZ, &size) < 0 ||
        (ioctl(tap->fd, TUNSETVNETLE, &one) < 0 && G_BYTE_ORDER != G_LITTLE_ENDIAN)) {
        return false;
    }
    tap->header = HEADER;
    for (unsigned i = 0; i < G_N_ELEMENTS(tries) && tap->can == 0; i++) {
        tap->can = tell(tap->fd, tries[i]) ? tries[i] : 0;
    }
    return tell(tap->fd, 0);
}

static NetTap *tap_new(int fd, const TapOptions *options, GMainContext *context)
{
    NetTap *tap = net_new(sizeof(NetTap), &tap_class);

    tap->fd = fd;
    tap->multi = options->queues > 0;
    net_make_source(&tap->net, context, options->queue_bytes);
    return tap;
}

/* What the interface is like is known of the first queue. */
static bool add_queues(NetTap *first, const TapOptions *options, GMainContext *context,
                       GError **error)
{
    NetTap *last = first;

    first->net.is_queue = options->queues > 1;
    for (unsigned i = 1; i < options->queues; i++) {
        NetTap *tap;
        int fd;

        if (!open_tap(options, &fd, error)) {
            return false;
        }
        tap = tap_new(fd, options, context);
        tap->header = first->header;
        tap->can = first->can;
        tap->net.queue = i;
        tap->net.is_queue = true;
        last->net.next_queue = &tap->net;
        last = tap;
    }
    return true;
}

DevemuNet *net_tap_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    TapOptions options = {.fd = NO_FD, .queue_bytes = NET_QUEUE_BYTES, .offload = true};
    NetTap *tap = NULL;
    int fd = -1;
    bool ok;

    if (!options_fill("tap", tap_options, settings, &options, error)) {
        return NULL;
    }
    if ((options.ifname == NULL) == (options.fd == NO_FD)) {
        ok = options_refuse(error, "tap: give either ifname or fd");
    } else if (options.ifname == NULL && options.queues > 0) {
        ok = options_refuse(error, "tap: option queues needs ifname; fd is one queue");
    } else if (options.ifname) {
        ok = open_tap(&options, &fd, error);
    } else {
        ok = take_fd((int)options.fd, &fd, error);
    }
    if (ok) {
        tap = tap_new(fd, &options, context);
        ok = find_out(tap) || refuse("headers of frames (IFF_VNET_HDR)", error);
        if (!ok || !add_queues(tap, &options, context, error)) {
            devemu_net_free(&tap->net);
            tap = NULL;
        }
    }
    options_clear(tap_options, &options);
    return tap ? &tap->net : NULL;
}
