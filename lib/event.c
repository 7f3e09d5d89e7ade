/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * event.c: what comes in, one event at a time, and what is told when it ends.
 */
#include "internal.h"

#include "net-offload.h"

/* Timers and children that one devemu_device_run() serves before the host gets its thread back. */
#define RUN_BUDGET 256

#define SETTLE_ROUNDS 8

void devemu_trace_emit(DevemuDevice *dev, DevemuTrace *trace)
{
    const DevemuDevice *above = dev;

    if (dev->decorator) {
        return; /* the device below tells the same */
    }
    trace->device = dev;
    while (above->ops.trace == NULL) {
        above = above->parent;
    }
    above->ops.trace(above->host, trace);
}

void devemu_tracing_update(DevemuDevice *dev)
{
    dev->tracing = dev->ops.trace != NULL || (dev->parent && dev->parent->tracing);
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        devemu_tracing_update(g_ptr_array_index(dev->children, i));
    }
}

/* --- the end of an event ----------------------------------------------------------- */

void devemu_line_tell(DevemuDevice *dev, unsigned line, bool level)
{
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_OUTPUT, .at = line, .value = level};

        trace.name = line < dev->output_count ? dev->model->outputs[line] : NULL;
        devemu_trace_emit(dev, &trace);
    }
    if (dev->ops.set_line) {
        dev->ops.set_line(dev->host, line, level);
    }
    devemu_wires_drive(dev, line, level);
}

static void tell_lines(DevemuDevice *dev)
{
    uint64_t lines = dev->model->lines(dev->state);

    while (G_UNLIKELY(lines != dev->lines)) {
        uint64_t changed = lines ^ dev->lines;
        unsigned line = (unsigned)__builtin_ctzll(changed);

        dev->lines ^= UINT64_C(1) << line;
        devemu_line_tell(dev, line, dev->lines >> line & 1);
        if (dev->model->is_bus) {
            /* A bus may have been entered again meanwhile. */
            lines = dev->model->lines(dev->state);
        }
    }
}

static uint64_t earliest(const DevemuDevice *dev)
{
    uint64_t when = DEVEMU_NEVER;

    for (const DevemuTimer *t = dev->model->timers; t && t->name; t++) {
        const uint64_t *due = (const uint64_t *)(const void *)((uint8_t *)dev->state + t->member);

        when = MIN(when, *due);
    }
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        const DevemuDevice *child = g_ptr_array_index(dev->children, i);

        when = MIN(when, child->deadline);
    }
    return when;
}

void devemu_deadline_tell(DevemuDevice *dev)
{
    uint64_t when = earliest(dev);

    if (when == dev->deadline) {
        return;
    }
    dev->deadline = when;
    if (dev->ops.deadline) {
        dev->ops.deadline(dev->host, when);
    }
    if (dev->parent) {
        devemu_deadline_tell(dev->parent);
    }
}

void devemu_outputs_tell(DevemuDevice *dev)
{
    if (dev->model->lines) {
        tell_lines(dev);
    }
    devemu_deadline_tell(dev);
}

static void settle_changed(DevemuDevice *dev)
{
    dev->busy++;
    /* An output wired to the device's own input could swing for ever: so many rounds an event. */
    for (unsigned round = 0; round < SETTLE_ROUNDS; round++) {
        if (dev->model->lines) {
            tell_lines(dev);
        }
        if (G_LIKELY(dev->dirty_inputs == 0)) {
            break;
        }
        devemu_inputs_settle(dev);
    }
    devemu_deadline_tell(dev);
    dev->busy--;
}

void devemu_device_settle(DevemuDevice *dev)
{
    uint64_t lines;

    if (G_UNLIKELY(dev->busy) && !dev->is_bus) {
        return; /* the event under way will */
    }
    lines = dev->model->lines ? dev->model->lines(dev->state) : 0;
    if (G_UNLIKELY(lines != dev->lines || dev->dirty_inputs != 0)) {
        settle_changed(dev);
    } else if (earliest(dev) != dev->deadline) {
        devemu_deadline_tell(dev);
    }
}

void devemu_leave(DevemuDevice *dev)
{
    dev->busy--;
    devemu_device_settle(dev);
}

/* --- other events ------------------------------------------------------------------ */

void devemu_device_reset(DevemuDevice *dev, DevemuReset kind)
{
    g_return_if_fail(dev != NULL && kind <= DEVEMU_RESET_SOFT);
    if (dev->busy) {
        return; /* a bus, too: else a reset line could reset for ever */
    }
    devemu_block_drain(dev);
    dev->busy++;
    if (dev->tracing) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_RESET, .value = kind};

        devemu_trace_emit(dev, &trace);
    }
    devemu_reset_banks(dev, kind);
    if (dev->model->reset) {
        dev->model->reset(dev->state, kind);
    }
    devemu_leave(dev);
}

static const DevemuTimer *next_timer(const DevemuDevice *dev, uint64_t now, uint64_t *ret_due)
{
    const DevemuTimer *next = NULL;

    *ret_due = DEVEMU_NEVER;
    for (const DevemuTimer *t = dev->model->timers; t && t->name; t++) {
        uint64_t due = devemu_member_get(dev->state, t->member, 8);

        if (due < *ret_due && due <= now) {
            next = t;
            *ret_due = due;
        }
    }
    return next;
}

static DevemuDevice *next_child(const DevemuDevice *dev, uint64_t limit, uint64_t now)
{
    DevemuDevice *next = NULL;

    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        DevemuDevice *child = g_ptr_array_index(dev->children, i);

        if (child->deadline <= now && child->deadline < limit) {
            next = child;
            limit = child->deadline;
        }
    }
    return next;
}

static void expire(DevemuDevice *dev, const DevemuTimer *timer, uint64_t due)
{
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_TIMER, .name = timer->name, .value = due};

        devemu_trace_emit(dev, &trace);
    }
    devemu_member_set(dev->state, timer->member, 8, DEVEMU_NEVER);
    timer->expired(dev->state, due);
}

void devemu_device_run(DevemuDevice *dev)
{
    uint64_t now;

    g_return_if_fail(dev != NULL);
    if (dev->busy) {
        return;
    }
    now = devemu_now(dev);
    for (unsigned i = 0; i < RUN_BUDGET && dev->deadline <= now; i++) {
        uint64_t due;
        const DevemuTimer *timer = next_timer(dev, now, &due);
        DevemuDevice *child = next_child(dev, timer ? due : DEVEMU_NEVER, now);

        if (child) {
            uint64_t before = child->deadline;

            devemu_device_run(child);
            if (child->deadline == before) {
                break; /* busy: it is served when its event has ended */
            }
        } else if (timer) {
            dev->busy++;
            expire(dev, timer, due);
            devemu_leave(dev);
        } else {
            devemu_deadline_tell(dev);
            break;
        }
    }
}

void devemu_gate_set(DevemuDevice *dev, const DevemuGate *gate, void *opaque)
{
    dev->gate = gate;
    dev->gate_opaque = opaque;
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        devemu_gate_set(g_ptr_array_index(dev->children, i), gate, opaque);
    }
}

static bool listens(const DevemuModel *model)
{
    return model->receive || model->receive_packet;
}

size_t devemu_receive_now(DevemuDevice *dev, unsigned port, const DevemuNetOffload *offload,
                          const void *data, size_t len, bool more)
{
    static const DevemuNetOffload plain;
    size_t taken;

    if (!devemu_enter(dev)) {
        dev->refused = true;
        return 0;
    }
    if (port > 0 && dev->model->receive_queue) {
        taken = dev->model->receive_queue(dev->state, port - 1, offload ? offload : &plain, data,
                                          len, more);
    } else if (port > 0) {
        taken = dev->model->receive_port(dev->state, port, data, len);
    } else if (dev->model->receive_packet) {
        taken = dev->model->receive_packet(dev->state, offload ? offload : &plain, data, len, more);
    } else {
        taken = dev->model->receive(dev->state, data, len);
    }
    if (taken < len) {
        dev->refused = true;
    }
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {
            .kind = DEVEMU_TRACE_RECEIVE, .index = port, .data = data, .len = len, .value = taken};

        devemu_trace_emit(dev, &trace);
    }
    devemu_leave(dev);
    return taken;
}

static size_t receive(DevemuDevice *dev, unsigned port, const DevemuNetOffload *offload,
                      const void *data, size_t len, bool more)
{
    if (G_UNLIKELY(dev->gate != NULL)) {
        return dev->gate->receive(dev->gate_opaque, dev, port, offload, data, len, more);
    }
    return devemu_receive_now(dev, port, offload, data, len, more);
}

size_t devemu_device_receive(DevemuDevice *dev, const void *data, size_t len)
{
    g_return_val_if_fail(dev != NULL && (data != NULL || len == 0), 0);
    if (!listens(dev->model)) {
        return len; /* nobody listens: gone, as on a wire */
    }
    return receive(dev, 0, NULL, data, len, false);
}

size_t devemu_device_receive_port(DevemuDevice *dev, unsigned port, const void *data, size_t len)
{
    g_return_val_if_fail(dev != NULL && (data != NULL || len == 0), 0);
    if (port == 0) {
        return devemu_device_receive(dev, data, len);
    }
    if (port >= devemu_device_ports(dev)) {
        return len;
    }
    return receive(dev, port, NULL, data, len, false);
}

uint32_t devemu_device_offloads(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, 0);
    return dev->model->receive_packet && dev->model->offloads ? dev->model->offloads(dev->state)
                                                              : 0;
}

typedef struct Pieces {
    DevemuDevice *dev;
    unsigned port;
    bool more;    /* behind the last one */
    bool begun;   /* the first was offered */
    bool refused; /* the first was */
} Pieces;

static void receive_piece(void *opaque, const uint8_t *data, size_t len, bool more)
{
    Pieces *pieces = opaque;

    if (!pieces->refused) {
        size_t taken = receive(pieces->dev, pieces->port, NULL, data, len, more || pieces->more);

        pieces->refused = !pieces->begun && taken == 0;
        pieces->begun = true;
    }
}

static size_t receive_packet(DevemuDevice *dev, unsigned port, const DevemuNetOffload *offload,
                             const void *data, size_t len, bool more)
{
    uint32_t needs = devemu_offload_needs(offload);
    Pieces pieces = {.dev = dev, .port = port, .more = more};

    if (!listens(dev->model)) {
        return len;
    }
    if (needs == 0 ||
        (!(needs & ~devemu_device_offloads(dev)) && devemu_offload_fits(offload, len))) {
        return receive(dev, port, needs ? offload : NULL, data, len, more);
    }
    devemu_offload_split(offload, data, len, receive_piece, &pieces);
    return pieces.refused ? 0 : len;
}

size_t devemu_device_receive_packet(DevemuDevice *dev, const DevemuNetOffload *offload,
                                    const void *data, size_t len, bool more)
{
    g_return_val_if_fail(dev != NULL && (data != NULL || len == 0), 0);
    return receive_packet(dev, 0, offload, data, len, more);
}

size_t devemu_device_receive_queue(DevemuDevice *dev, unsigned queue,
                                   const DevemuNetOffload *offload, const void *data, size_t len,
                                   bool more)
{
    g_return_val_if_fail(dev != NULL && (data != NULL || len == 0), 0);
    if (queue >= devemu_device_net_queues(dev)) {
        return len;
    }
    return receive_packet(dev, dev->model->receive_queue ? queue + 1 : 0, offload, data, len, more);
}

bool devemu_device_uses_queue(const DevemuDevice *dev, unsigned queue)
{
    g_return_val_if_fail(dev != NULL, false);
    return queue < devemu_device_net_queues(dev) &&
           (dev->model->uses_queue == NULL || dev->model->uses_queue(dev->state, queue));
}

size_t devemu_device_ready(DevemuDevice *dev)
{
    size_t room = SIZE_MAX;

    g_return_val_if_fail(dev != NULL, 0);
    if (!listens(dev->model)) {
        return room;
    }
    if (dev->gate && dev->gate->closed(dev->gate_opaque)) {
        room = 0;
    } else if (dev->model->ready) {
        room = dev->busy ? 0 : dev->model->ready(dev->state);
    }
    if (room == 0) {
        dev->refused = true;
    }
    return room;
}

bool devemu_device_writable(DevemuDevice *dev, unsigned port)
{
    g_return_val_if_fail(dev != NULL, true);
    if (dev->model->writable == NULL || port >= devemu_device_ports(dev)) {
        return true;
    }
    if (!devemu_enter(dev)) {
        return false;
    }
    dev->model->writable(dev->state, port);
    devemu_leave(dev);
    return true;
}

void devemu_device_link(DevemuDevice *dev, unsigned link)
{
    g_return_if_fail(dev != NULL);
    if (dev->model->link && devemu_enter(dev)) {
        dev->model->link(dev->state, link);
        devemu_leave(dev);
    }
}

void devemu_device_input(DevemuDevice *dev, const DevemuInput *input)
{
    g_return_if_fail(dev != NULL && input != NULL);
    if (dev->model->input && devemu_enter(dev)) {
        dev->model->input(dev->state, input);
        devemu_leave(dev);
    }
}

bool devemu_device_screen(const DevemuDevice *dev, DevemuScreen *screen)
{
    g_return_val_if_fail(dev != NULL && screen != NULL, false);
    return dev->model->screen && dev->model->screen(dev->state, screen);
}
