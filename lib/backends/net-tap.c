/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-tap.c: a Linux tap device (Documentation/networking/tuntap.rst).
 */
#define _DEFAULT_SOURCE
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FETCH_FRAMES 64 /* at a time, so that the main loop gets its turn */
#define NO_FD        UINT64_MAX

typedef struct NetTap {
    DevemuNet net;
    int fd;
    uint8_t frame[NET_FRAME_MAX];
} NetTap;

typedef struct TapOptions {
    char *ifname;
    uint64_t fd;
    uint64_t queue_bytes;
} TapOptions;

static const Option tap_options[] = {
    {.name = "ifname", .type = OPTION_TEXT, .member = offsetof(TapOptions, ifname)},
    {.name = "fd", .type = OPTION_UINT, .member = offsetof(TapOptions, fd), .max = G_MAXINT},
    NET_OPTION_QUEUE(TapOptions, queue_bytes),
    {.name = NULL},
};

static bool tap_send(DevemuNet *net, const uint8_t *data, size_t len)
{
    return write(((NetTap *)net)->fd, data, len) == (ssize_t)len;
}

static void tap_watch(DevemuNet *net)
{
    loop_watch(net->loop, ((NetTap *)net)->fd, G_IO_IN);
}

static void tap_fetch(DevemuNet *net)
{
    NetTap *tap = (NetTap *)net;

    for (unsigned i = 0; i < FETCH_FRAMES && !net_full(net); i++) {
        ssize_t len = read(tap->fd, tap->frame, sizeof(tap->frame));

        if (len <= 0) {
            return;
        }
        net_push(net, tap->frame, (size_t)len);
    }
}

static void tap_finish(DevemuNet *net)
{
    close(((NetTap *)net)->fd);
}

static const NetClass tap_class = {
    .name = "tap",
    .send = tap_send,
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

static bool open_tap(const char *ifname, int *ret_fd, GError **error)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd;

    if (strlen(ifname) >= sizeof(request.ifr_name)) {
        return options_refuse(error, "tap: option ifname is \"%s\"; it must be shorter than %d",
                              ifname, (int)sizeof(request.ifr_name));
    }
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return refuse("/dev/net/tun", error);
    }
    memcpy(request.ifr_name, ifname, strlen(ifname));
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        refuse(ifname, error);
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

DevemuNet *net_tap_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    TapOptions options = {.fd = NO_FD, .queue_bytes = NET_QUEUE_BYTES};
    NetTap *tap;
    int fd = -1;
    bool ok;

    if (!options_fill("tap", tap_options, settings, &options, error)) {
        return NULL;
    }
    if ((options.ifname == NULL) == (options.fd == NO_FD)) {
        ok = options_refuse(error, "tap: give either ifname or fd");
    } else if (options.ifname) {
        ok = open_tap(options.ifname, &fd, error);
    } else {
        ok = take_fd((int)options.fd, &fd, error);
    }
    if (ok) {
        tap = net_new(sizeof(NetTap), &tap_class);
        tap->fd = fd;
        net_make_source(&tap->net, context, options.queue_bytes);
    }
    options_clear(tap_options, &options);
    return ok ? &tap->net : NULL;
}
