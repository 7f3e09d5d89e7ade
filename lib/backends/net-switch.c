/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-switch.c: a learning switch. Two kinds of port: a device's is a DevemuNet with a queue of its
 * own; a joined network is below the switch as it would be below a device.
 */
#include "net.h"

#include <string.h>

/* Addresses: SETS places by hash, each with WAYS entries, the oldest of which gives way. */
#define SETS    256
#define WAYS    4
#define MAC_LEN 6
#define HEADER  14
/* A full port that took nothing for this long no longer holds a joined network back. */
#define STALL_NS 1000000000

typedef struct Side {
    DevemuSwitch *hub;
    DevemuNet *net;
    bool joined;
} Side;

typedef struct Known {
    uint8_t mac[MAC_LEN];
    Side *side; /* NULL: free */
    uint64_t seen_ns;
} Known;

struct DevemuSwitch {
    unsigned refs; /* the program's and one for each port */
    GMainContext *context;
    GPtrArray *sides; /* Side, owned */
    DevemuNetClock *clock;
    void *clock_opaque;
    struct {
        uint64_t age_s;
        uint64_t queue_bytes;
    } options;
    Known known[SETS][WAYS];
};

typedef struct NetPort {
    DevemuNet net;
    Side *side;
    uint64_t taken_frames; /* at taken_ns */
    uint64_t taken_ns;     /* when the device was last seen to take a frame */
} NetPort;

static const Option switch_options[] = {
    {.name = "age",
     .type = OPTION_UINT,
     .member = offsetof(DevemuSwitch, options.age_s),
     .min = 1,
     .max = 1000000},
    NET_OPTION_QUEUE(DevemuSwitch, options.queue_bytes),
    {.name = NULL},
};

/* --- addresses --------------------------------------------------------------------- */

static Known *set_of(DevemuSwitch *hub, const uint8_t *mac)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (unsigned i = 0; i < MAC_LEN; i++) {
        hash = (hash ^ mac[i]) * 16777619U;
    }
    return hub->known[(hash ^ hash >> 16) % SETS];
}

static bool fresh(const DevemuSwitch *hub, const Known *known, uint64_t now)
{
    return known->side && now - known->seen_ns <= hub->options.age_s * 1000000000;
}

static void learn(DevemuSwitch *hub, const uint8_t *mac, Side *side, uint64_t now)
{
    Known *set = set_of(hub, mac);
    Known *place = &set[0];

    if (mac[0] & 1) {
        return; /* no station sends as a group */
    }
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].side && memcmp(set[i].mac, mac, MAC_LEN) == 0) {
            place = &set[i];
            break;
        }
        if (place->side && (set[i].side == NULL || set[i].seen_ns < place->seen_ns)) {
            place = &set[i];
        }
    }
    memcpy(place->mac, mac, MAC_LEN);
    place->side = side;
    place->seen_ns = now;
}

/* Where mac was last seen, or NULL. */
static Side *lookup(DevemuSwitch *hub, const uint8_t *mac, uint64_t now)
{
    Known *set = set_of(hub, mac);

    for (unsigned i = 0; i < WAYS; i++) {
        if (fresh(hub, &set[i], now) && memcmp(set[i].mac, mac, MAC_LEN) == 0) {
            return set[i].side;
        }
    }
    return NULL;
}

static void forget(DevemuSwitch *hub, const Side *side)
{
    for (unsigned i = 0; i < SETS; i++) {
        for (unsigned j = 0; j < WAYS; j++) {
            if (hub->known[i][j].side == side) {
                hub->known[i][j].side = NULL;
            }
        }
    }
}

/* --- forwarding -------------------------------------------------------------------- */

static void out(Side *side, const DevemuNetOffload *offload, const uint8_t *data, size_t len)
{
    if (side->joined) {
        net_send(side->net, offload, data, len);
    } else if (net_full(side->net)) {
        side->net->stats.dropped_in++;
    } else {
        net_push(side->net, offload, data, len);
    }
}

static void forward(Side *from, Side *to, const DevemuNetOffload *offload, const uint8_t *data,
                    size_t len)
{
    DevemuSwitch *hub = from->hub;

    if (to) {
        if (to != from) {
            out(to, offload, data, len);
        }
        return;
    }
    for (guint i = 0; i < hub->sides->len; i++) {
        Side *side = g_ptr_array_index(hub->sides, i);

        if (side != from) {
            out(side, offload, data, len);
        }
    }
}

/* The one side that a frame is for, or NULL for all. Learns where it comes from. */
static Side *route(Side *from, const uint8_t *data)
{
    uint64_t now = net_now(from->net);

    learn(from->hub, data + MAC_LEN, from, now);
    return data[0] & 1 ? NULL : lookup(from->hub, data, now);
}

static bool port_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                      size_t len)
{
    Side *from = ((NetPort *)net)->side;

    if (len < HEADER) {
        return false;
    }
    forward(from, route(from, data), offload, data, len);
    return true;
}

/* Is this port full, and its device at work on it? */
static bool congested(const Side *side)
{
    NetPort *port;
    uint64_t now;

    if (side == NULL || side->joined || !net_full(side->net)) {
        return false;
    }
    port = (NetPort *)side->net;
    now = net_now(side->net);
    if (port->taken_ns == 0 || port->taken_frames != side->net->stats.frames_in) {
        port->taken_frames = side->net->stats.frames_in;
        port->taken_ns = now;
    }
    return now - port->taken_ns < STALL_NS;
}

/* A frame from a joined network. 0: held back. */
static size_t joined_receive(void *opaque, DevemuNet *net, const DevemuNetOffload *offload,
                             const uint8_t *data, size_t len)
{
    Side *from = opaque;
    Side *to;

    (void)net;
    if (len < HEADER) {
        return len;
    }
    to = route(from, data);
    if (congested(to)) {
        return 0;
    }
    forward(from, to, offload, data, len);
    return len;
}

static void port_drained(DevemuNet *net)
{
    DevemuSwitch *hub = ((NetPort *)net)->side->hub;

    ((NetPort *)net)->taken_ns = 0;
    for (guint i = 0; i < hub->sides->len; i++) {
        const Side *side = g_ptr_array_index(hub->sides, i);

        if (side->joined) {
            net_wake_source(side->net);
        }
    }
}

/* --- making and freeing ------------------------------------------------------------ */

static void release(DevemuSwitch *hub)
{
    if (--hub->refs > 0) {
        return;
    }
    for (guint i = 0; i < hub->sides->len; i++) {
        devemu_net_free(((Side *)g_ptr_array_index(hub->sides, i))->net); /* joined ones are left */
    }
    g_ptr_array_unref(hub->sides);
    if (hub->context) {
        g_main_context_unref(hub->context);
    }
    g_free(hub);
}

static void port_finish(DevemuNet *net)
{
    Side *side = ((NetPort *)net)->side;
    DevemuSwitch *hub = side->hub;

    forget(hub, side);
    g_ptr_array_remove(hub->sides, side);
    release(hub);
}

static const NetClass port_class = {
    .name = "switch",
    .send = port_send,
    .offloads = net_takes_all, /* each port does what its own device does not take */
    .drained = port_drained,
    .finish = port_finish,
};

static Side *add_side(DevemuSwitch *hub, DevemuNet *net, bool joined)
{
    Side *side = g_new0(Side, 1);

    side->hub = hub;
    side->net = net;
    side->joined = joined;
    g_ptr_array_add(hub->sides, side);
    if (hub->clock) {
        devemu_net_set_clock(net, hub->clock, hub->clock_opaque);
    }
    return side;
}

DevemuSwitch *devemu_switch_new(const char *options, GMainContext *context, GError **error)
{
    DevemuSwitch *hub = g_new0(DevemuSwitch, 1);

    hub->options.age_s = 300;
    hub->options.queue_bytes = NET_QUEUE_BYTES;
    if (!options_parse("switch", switch_options, options, hub, error)) {
        g_free(hub);
        return NULL;
    }
    hub->refs = 1;
    hub->context = context ? g_main_context_ref(context) : NULL;
    hub->sides = g_ptr_array_new_with_free_func(g_free);
    return hub;
}

void devemu_switch_free(DevemuSwitch *hub)
{
    if (hub) {
        release(hub);
    }
}

DevemuNet *devemu_switch_port(DevemuSwitch *hub)
{
    NetPort *port;

    g_return_val_if_fail(hub != NULL, NULL);
    port = net_new(sizeof(NetPort), &port_class);
    net_make_source(&port->net, hub->context, hub->options.queue_bytes);
    hub->refs++;
    port->side = add_side(hub, &port->net, false);
    return &port->net;
}

void devemu_switch_join(DevemuSwitch *hub, DevemuNet *net)
{
    g_return_if_fail(hub != NULL && net != NULL);
    g_return_if_fail(net->outer == NULL && net->dev == NULL && net->join == NULL);
    net->join_opaque = add_side(hub, net, true);
    net->join = joined_receive;
    net_wake_source(net);
}

/* --- all sides at once ------------------------------------------------------------- */

void devemu_switch_set_clock(DevemuSwitch *hub, DevemuNetClock *clock, void *opaque)
{
    g_return_if_fail(hub != NULL);
    hub->clock = clock;
    hub->clock_opaque = opaque;
    for (guint i = 0; i < hub->sides->len; i++) {
        devemu_net_set_clock(((Side *)g_ptr_array_index(hub->sides, i))->net, clock, opaque);
    }
}

uint64_t devemu_switch_deadline(DevemuSwitch *hub)
{
    uint64_t when_ns = DEVEMU_NEVER;

    g_return_val_if_fail(hub != NULL, DEVEMU_NEVER);
    for (guint i = 0; i < hub->sides->len; i++) {
        when_ns =
            MIN(when_ns, devemu_net_deadline(((Side *)g_ptr_array_index(hub->sides, i))->net));
    }
    return when_ns;
}

void devemu_switch_run(DevemuSwitch *hub)
{
    g_return_if_fail(hub != NULL);
    for (guint i = 0; i < hub->sides->len; i++) {
        devemu_net_run(((Side *)g_ptr_array_index(hub->sides, i))->net);
    }
}
