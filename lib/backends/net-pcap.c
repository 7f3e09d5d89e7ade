/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-pcap.c: a capture in front of any other network.
 */
#include "capture.h"
#include "net.h"

typedef struct NetPcap {
    DevemuNet net;
    Capture *capture;
    unsigned flush_frames; /* 0: never by itself */
    unsigned unflushed;
} NetPcap;

static void append(NetPcap *pcap, const uint8_t *data, size_t len)
{
    const DevemuNet *net = &pcap->net;
    uint64_t time_ns = net->clock ? net_now(net) : (uint64_t)g_get_real_time() * 1000;

    capture_append(pcap->capture, time_ns, data, len);
    pcap->unflushed++;
    if (pcap->unflushed == pcap->flush_frames) {
        pcap->unflushed = 0;
        capture_flush(pcap->capture, NULL);
    }
}

/* As the device sends it: with offloads long, and without a checksum, as on any host. */
static bool pcap_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                      size_t len)
{
    append((NetPcap *)net, data, len);
    return net_send(net->inner, offload, data, len);
}

static size_t pcap_receive(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                           size_t len, bool more)
{
    size_t taken = net_pass_up(net, offload, data, len, more);

    if (taken > 0) {
        append((NetPcap *)net, data, len);
    }
    return taken;
}

static bool pcap_flush(DevemuNet *net, GError **error)
{
    ((NetPcap *)net)->unflushed = 0;
    return capture_flush(((NetPcap *)net)->capture, error);
}

static void pcap_finish(DevemuNet *net)
{
    capture_free(((NetPcap *)net)->capture);
}

static const NetClass pcap_class = {
    .name = "pcap",
    .send = pcap_send,
    .offloads = net_takes_all,
    .receive = pcap_receive,
    .flush = pcap_flush,
    .finish = pcap_finish,
};

DevemuNet *devemu_net_pcap_new(DevemuNet *inner, const char *path, unsigned flush_frames,
                               GError **error)
{
    NetPcap *pcap;
    Capture *capture;

    g_return_val_if_fail(inner != NULL && path != NULL, NULL);
    g_return_val_if_fail(inner->outer == NULL && inner->dev == NULL && inner->join == NULL, NULL);
    capture = capture_new("pcap", path, error);
    if (capture == NULL) {
        return NULL;
    }
    pcap = net_new(sizeof(NetPcap), &pcap_class);
    pcap->capture = capture;
    pcap->flush_frames = flush_frames;
    net_wrap(&pcap->net, inner);
    return &pcap->net;
}
