/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-net.c: a virtio-net by vhost-user, polling, whose network is the least there is:
 *
 *     bench_vhost_net SOCKET source LEN    frames of LEN bytes without end, 32 at a time
 *     bench_vhost_net SOCKET sink          takes all
 *     bench_vhost_net SOCKET loop          sends each frame back
 *
 * tests/bench/vhost-net runs it beside DPDK's own back end.
 */
#include <devemu/backends.h>
#include <devemu/list.h>
#include <devemu/vhost-user.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BURST = 32, KEPT = 512, FRAME = 2048 };

typedef struct Network {
    DevemuDevice *dev;
    unsigned len; /* of what comes; 0: none does */
    bool loop;
    unsigned head, count;
    uint16_t lens[KEPT];
    uint8_t frames[KEPT][FRAME];
} Network;

/* As DPDK's: a frame is copied out of the driver's memory, and what there is no room for is lost.
 */
static void network_send(void *opaque, const DevemuSlice *slices, size_t count, bool more)
{
    Network *net = opaque;
    unsigned at = (net->head + net->count) % KEPT;
    size_t len = 0;

    (void)more;
    if (!net->loop || net->count == KEPT) {
        return;
    }
    for (size_t i = 0; i < count && len + slices[i].len <= FRAME; i++) {
        memcpy(net->frames[at] + len, slices[i].data, slices[i].len);
        len += slices[i].len;
    }
    net->lens[at] = (uint16_t)len;
    net->count++;
}

static bool deliver(Network *net, const uint8_t *frame, unsigned len, bool more)
{
    return devemu_device_receive_packet(net->dev, NULL, frame, len, more) != 0;
}

static unsigned network_poll(void *opaque)
{
    Network *net = opaque;
    unsigned done = 0;

    if (net->len) {
        while (done < BURST && deliver(net, net->frames[0], net->len, done + 1 < BURST)) {
            done++;
        }
        return done;
    }
    for (; done < BURST && net->count > 0; done++) {
        if (!deliver(net, net->frames[net->head], net->lens[net->head],
                     done + 1 < BURST && net->count > 1)) {
            break;
        }
        net->head = (net->head + 1) % KEPT;
        net->count--;
    }
    return done;
}

static void network_ready(void *opaque)
{
    (void)opaque; /* it is polled */
}

static void say(void *opaque, const char *text)
{
    (void)opaque;
    fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    static const DevemuSetting settings[] = {{"mac", "02:00:00:00:00:02", NULL, 0},
                                             {"packed", "on", NULL, 0}};
    static const DevemuNetOps ops = {.size = sizeof(DevemuNetOps),
                                     .send = network_send,
                                     .ready = network_ready,
                                     .poll = network_poll};
    static Network net;
    g_autofree char *address = NULL;
    GError *error = NULL;
    DevemuVhostUser *server = NULL;

    if (argc < 3) {
        fprintf(stderr, "usage: bench_vhost_net SOCKET source LEN|sink|loop\n");
        return 2;
    }
    net.loop = strcmp(argv[2], "loop") == 0;
    net.len = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
    memcpy(net.frames[0], "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08", 13);
    net.dev = devemu_device_new_with(devemu_model_find("virtio-net"), settings,
                                     G_N_ELEMENTS(settings), &error);
    if (net.dev) {
        devemu_device_attach_net(net.dev, &ops, &net);
        address = g_strdup_printf("%s,spin=1000000", argv[1]);
        server = devemu_vhost_user_new(net.dev, address, NULL, &error);
    }
    if (server == NULL) {
        fprintf(stderr, "bench_vhost_net: %s\n", error->message);
        return 2;
    }
    devemu_vhost_user_set_log(server, say, NULL);
    for (;;) {
        g_main_context_iteration(NULL, TRUE);
    }
}
