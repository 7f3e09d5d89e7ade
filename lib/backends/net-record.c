/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-record.c: what a device took from its network, and when; for net-playback.c.
 */
#include "capture.h"
#include "net.h"

typedef struct NetRecord {
    DevemuNet net;
    Capture *capture;
    uint64_t position;
} NetRecord;

static bool record_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                        size_t len)
{
    return net_send(net->inner, offload, data, len);
}

static size_t record_receive(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                             size_t len, bool more)
{
    NetRecord *record = (NetRecord *)net;
    uint64_t time_ns = net_now(net);
    size_t taken = net_pass_up(net, offload, data, len, more);

    if (taken > 0) {
        capture_append(record->capture, time_ns, data, len);
        record->position++;
    }
    return taken;
}

static bool record_flush(DevemuNet *net, GError **error)
{
    return capture_flush(((NetRecord *)net)->capture, error);
}

static uint64_t record_position(const DevemuNet *net)
{
    return ((const NetRecord *)net)->position;
}

static void record_finish(DevemuNet *net)
{
    capture_free(((NetRecord *)net)->capture);
}

static const NetClass record_class = {
    .name = "record",
    .send = record_send,
    .offloads = net_takes_all,
    .plain = true, /* the file has no place for more */
    .receive = record_receive,
    .flush = record_flush,
    .position = record_position,
    .finish = record_finish,
};

DevemuNet *devemu_net_record_new(DevemuNet *inner, const char *path, GError **error)
{
    NetRecord *record;
    Capture *capture;

    g_return_val_if_fail(inner != NULL && path != NULL, NULL);
    g_return_val_if_fail(inner->outer == NULL && inner->dev == NULL && inner->join == NULL, NULL);
    capture = capture_new("record", path, error);
    if (capture == NULL) {
        return NULL;
    }
    record = net_new(sizeof(NetRecord), &record_class);
    record->capture = capture;
    net_wrap(&record->net, inner);
    return &record->net;
}
