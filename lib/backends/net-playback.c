/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-playback.c: a network that is a recording. Frames do not pass through the queue: each is
 * offered from the file's copy in the first run at or after its time, until the device takes it.
 */
#include "capture.h"
#include "net.h"

#include <string.h>

#define RETRY_NS  10000000
#define BYTES_MAX 1073741824

typedef struct Recorded {
    uint64_t time_ns;
    size_t at; /* in bytes */
    size_t len;
} Recorded;

typedef struct NetPlayback {
    DevemuNet net;
    GByteArray *bytes;
    GArray *frames; /* Recorded */
    guint position;
    uint64_t retry_ns; /* the frame at position was refused; ask again then. 0: it was not */
    uint64_t base_ns;  /* real time at which the recording's time 0 stands */
    const char *fault; /* while reading: why the file is refused */
} NetPlayback;

static const Recorded *recorded(const NetPlayback *playback, guint i)
{
    return &g_array_index(playback->frames, Recorded, i);
}

static bool playback_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                          size_t len)
{
    (void)net;
    (void)offload;
    (void)data;
    (void)len;
    return true;
}

static uint64_t playback_deadline(DevemuNet *net)
{
    const NetPlayback *playback = (const NetPlayback *)net;

    if (playback->position >= playback->frames->len) {
        return DEVEMU_NEVER;
    }
    return MAX(recorded(playback, playback->position)->time_ns + playback->base_ns,
               playback->retry_ns);
}

static void playback_expire(DevemuNet *net, uint64_t now)
{
    NetPlayback *playback = (NetPlayback *)net;

    while (playback_deadline(net) <= now) {
        const Recorded *frame = recorded(playback, playback->position);

        if (net_pass_up(net, NULL, playback->bytes->data + frame->at, frame->len, false) == 0) {
            playback->retry_ns = now + RETRY_NS;
            return;
        }
        playback->retry_ns = 0;
        playback->position++;
    }
}

/* The device can take frames again: as net_wake(), which cares for the queue. */
static void playback_woken(DevemuNet *net)
{
    NetPlayback *playback = (NetPlayback *)net;

    if (playback->retry_ns != 0) {
        playback->retry_ns = net_now(net) + (net->clock ? 1 : 0);
    }
}

static void playback_shift(DevemuNet *net, uint64_t delta)
{
    NetPlayback *playback = (NetPlayback *)net;

    (void)delta;
    playback->retry_ns = 0;
    playback->base_ns = net->clock ? 0 : net_now(net);
}

static uint64_t playback_position(const DevemuNet *net)
{
    return ((const NetPlayback *)net)->position;
}

static void playback_finish(DevemuNet *net)
{
    NetPlayback *playback = (NetPlayback *)net;

    g_byte_array_unref(playback->bytes);
    g_array_unref(playback->frames);
}

static const NetClass playback_class = {
    .name = "playback",
    .send = playback_send,
    .offloads = net_takes_all,
    .deadline = playback_deadline,
    .expire = playback_expire,
    .woken = playback_woken,
    .shift = playback_shift,
    .position = playback_position,
    .finish = playback_finish,
};

static void add(void *opaque, uint64_t time_ns, const uint8_t *data, size_t len)
{
    NetPlayback *playback = opaque;
    Recorded frame = {.time_ns = time_ns, .at = playback->bytes->len, .len = len};

    if (playback->frames->len > 0 &&
        recorded(playback, playback->frames->len - 1)->time_ns > time_ns) {
        playback->fault = "its frames are not in the order of their times";
    }
    if (playback->bytes->len > BYTES_MAX) {
        playback->fault = "it is longer than 1 GiB";
        return;
    }
    g_byte_array_append(playback->bytes, data, (guint)len);
    g_array_append_val(playback->frames, frame);
}

DevemuNet *devemu_net_playback_new(const char *path, GMainContext *context, GError **error)
{
    NetPlayback *playback;

    g_return_val_if_fail(path != NULL, NULL);
    playback = net_new(sizeof(NetPlayback), &playback_class);
    playback->bytes = g_byte_array_new();
    playback->frames = g_array_new(FALSE, FALSE, sizeof(Recorded));
    net_make_source(&playback->net, context, NET_QUEUE_BYTES);
    playback->base_ns = net_now(&playback->net);
    if (!capture_read("playback", path, add, playback, error)) {
        devemu_net_free(&playback->net);
        return NULL;
    }
    if (playback->fault) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "playback: %s: %s", path,
                    playback->fault);
        devemu_net_free(&playback->net);
        return NULL;
    }
    return &playback->net;
}

static NetPlayback *find_playback(DevemuNet *net)
{
    net = net_source(net);
    return net->class == &playback_class ? (NetPlayback *)net : NULL;
}

void devemu_net_playback_seek(DevemuNet *net, uint64_t position)
{
    NetPlayback *playback;

    g_return_if_fail(net != NULL);
    playback = find_playback(net);
    g_return_if_fail(playback != NULL);
    playback->position = (guint)MIN(position, playback->frames->len);
    playback->retry_ns = 0;
}

void devemu_net_playback_seek_time(DevemuNet *net, uint64_t now_ns)
{
    NetPlayback *playback;
    guint low = 0, high;

    g_return_if_fail(net != NULL);
    playback = find_playback(net);
    g_return_if_fail(playback != NULL);
    high = playback->frames->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (recorded(playback, middle)->time_ns > now_ns) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    devemu_net_playback_seek(net, low);
}
