/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h: the inside of a DevemuNet.
 *
 * Frames for the device travel upwards: a source (slirp, tap, playback, switch port) pushes them
 * into its queue, net_run() offers the head of the queue to what is above: a decorator, which
 * passes it on, a switch, or the device. Whoever returns 0 refuses, and the frame stays. Frames of
 * the device travel downwards through `send` and are never queued here.
 *
 * With a frame goes what its sender left to others (DevemuNetOffload), or NULL. What is below, or
 * above, says what of that it takes; the rest is done in software: downwards in net_send(), upwards
 * in the queue, where a frame is replaced by its pieces.
 */
#ifndef DEVEMU_BACKENDS_NET_H
#define DEVEMU_BACKENDS_NET_H

#include <devemu/backends.h>

#include "loop.h"
#include "options.h"

#define NET_QUEUE_BYTES 262144
#define NET_QUEUE_MIN   2048
#define NET_QUEUE_MAX   1073741824
/* The longest: an IPv6 datagram (virtio 1.4, 5.1.6.3), with two VLAN tags. */
#define NET_FRAME_MAX (65589 + 2 * 4)
#define NET_MTU       1514
#define NET_SLICES    64

/* "queue=BYTES" in a table of options; field is a uint64_t. */
#define NET_OPTION_QUEUE(values, field)                                                            \
    {                                                                                              \
        .name = "queue", .type = OPTION_UINT, .member = offsetof(values, field),                   \
        .min = NET_QUEUE_MIN, .max = NET_QUEUE_MAX                                                 \
    }

typedef struct NetFrame NetFrame;

struct NetFrame {
    NetFrame *next;
    size_t len;
    DevemuNetOffload offload; /* all zero: a plain frame */
    uint8_t data[];
};

/* One kind of network. send is mandatory, and context, if the kind is a source. */
typedef struct NetClass {
    const char *name;
    /* A frame of the device. False: lost. */
    bool (*send)(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len);
    /* The same in pieces, at most NET_SLICES of them; where that saves a copy. */
    bool (*send_slices)(DevemuNet *net, const DevemuNetOffload *offload, const DevemuSlice *slices,
                        size_t count);
    /* The DEVEMU_OFFLOAD_* that may come with a frame; NULL: none. */
    uint32_t (*offloads)(DevemuNet *net);
    /* Decorators: a frame on its way up; see net_pass_up(). */
    size_t (*receive)(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                      size_t len, bool more);
    /* Decorators that let only plain frames up. */
    bool plain;
    /* Sources: say what to watch, with loop_watch(). Called only while the queue has room. */
    void (*watch)(DevemuNet *net);
    /* Sources: fetch from the descriptors. Called only while the queue has room. */
    void (*fetch)(DevemuNet *net);
    /* Sources whose fetch() may be called at any moment, not only behind a sleep. */
    bool eager;
    /* The next moment of the clock at which expire() has something to do. */
    uint64_t (*deadline)(DevemuNet *net);
    void (*expire)(DevemuNet *net, uint64_t now);
    /* What is above can take frames again; beside the queue, which is cared for. */
    void (*woken)(DevemuNet *net);
    /* The queue has room again. */
    void (*drained)(DevemuNet *net);
    /* The clock was replaced: moments that are kept move by delta. */
    void (*shift)(DevemuNet *net, uint64_t delta);
    bool (*flush)(DevemuNet *net, GError **error);
    uint64_t (*position)(const DevemuNet *net);
    /* Sources: frames for the device that were lost in the system. */
    uint64_t (*lost)(DevemuNet *net);
    void (*finish)(DevemuNet *net);
} NetClass;

struct DevemuNet {
    const NetClass *class;
    DevemuDevice *dev; /* above, or ... */
    DevemuNet *outer;  /* ... a decorator, or ... */
    size_t (*join)(void *opaque, DevemuNet *net, const DevemuNetOffload *offload,
                   const uint8_t *data, size_t len); /* ... a switch */
    void *join_opaque;
    DevemuNet *inner; /* below; owned */
    /* One of several queues of the same network, each a network by itself, with the number of its
     * device's queue. The first one, which the program has, owns the others. */
    DevemuNet *next_queue;
    unsigned queue;
    bool is_queue;

    DevemuNetClock *clock; /* NULL: real time */
    void *clock_opaque;

    /* sources */
    Loop *loop;
    bool turning; /* the main loop has come here: frames may go up without waiting */
    NetFrame *head, *tail;
    uint64_t queued_frames;
    uint64_t queued_bytes; /* with the queue's own */
    uint64_t bound_bytes;
    uint64_t due_ns; /* when the head may be offered */

    uint8_t *gather; /* NET_FRAME_MAX bytes, made when needed */
    DevemuNetStats stats;
};

/* A new network of a kind; size is that of a struct that begins with a DevemuNet. source: it has a
 * queue, and lives on context. */
void *net_new(size_t size, const NetClass *class);
void net_make_source(DevemuNet *net, GMainContext *context, uint64_t bound_bytes);
/* Put a decorator above inner, and take that over. */
void net_wrap(DevemuNet *outer, DevemuNet *inner);

uint64_t net_now(const DevemuNet *net);
bool net_full(const DevemuNet *net);
/* Queue a frame for the device; copied. */
void net_push(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len);
/* The same, but past the queue where that is empty and the main loop has come here. more: the next
 * one follows. */
void net_deliver(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                 bool more);
/* The DEVEMU_OFFLOAD_* that what is above net takes now. */
uint32_t net_accepts(const DevemuNet *net);
/* Is it to have frames? The device's driver may not use that queue, or any. */
bool net_is_used(const DevemuNet *net);
/* Free the head of the queue. */
void net_pop(DevemuNet *net);
/* Offer what is in the queue, now. */
void net_offer(DevemuNet *net);
/* Offer the head of the queue as soon as the clock allows. */
void net_wake(DevemuNet *net);
/* What is above net can take frames again: wake where they come from. */
void net_wake_source(DevemuNet *net);
/* A frame to what is above: the bytes taken. */
size_t net_pass_up(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len,
                   bool more);
/* A frame of the device, down to this network. False: lost, and counted. */
bool net_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data, size_t len);
/* NetClass.offloads of what looks at no byte, or passes frames on. */
uint32_t net_takes_all(DevemuNet *net);
/* The innermost network, where the queue is. */
DevemuNet *net_source(DevemuNet *net);

/* Constructors from parsed settings, for devemu_net_new(). */
DevemuNet *net_slirp_new(const DevemuSetting *settings, GMainContext *context, GError **error);
DevemuNet *net_tap_new(const DevemuSetting *settings, GMainContext *context, GError **error);
DevemuNet *net_packet_new(const DevemuSetting *settings, GMainContext *context, GError **error);
DevemuNet *net_stream_new(const DevemuSetting *settings, GMainContext *context, GError **error);

/* Refuse: this build has no such part. NULL, for return. */
void *net_missing(const char *what, const char *library, GError **error);

#endif
