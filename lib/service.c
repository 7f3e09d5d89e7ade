/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * service.c: what a model asks of the library: the clock, messages, payload, the log.
 */
#include "internal.h"

#include "net-offload.h"

uint64_t devemu_now(const DevemuDevice *dev)
{
    while (dev && dev->ops.now == NULL) {
        dev = dev->parent;
    }
    return dev ? dev->ops.now(dev->host) : 0;
}

void devemu_send_msi(DevemuDevice *dev, unsigned vector)
{
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_MSI, .at = vector};

        devemu_trace_emit(dev, &trace);
    }
    if (dev->ops.msi) {
        dev->ops.msi(dev->host, vector, 0);
    }
}

static void trace_send(DevemuDevice *dev, const void *data, size_t len)
{
    DevemuTrace trace = {.kind = DEVEMU_TRACE_SEND, .data = data, .len = len};

    devemu_trace_emit(dev, &trace);
}

static void trace_frame(DevemuDevice *dev, const DevemuSlice *slices, size_t count)
{
    GByteArray *whole = g_byte_array_new();

    for (size_t i = 0; i < count; i++) {
        g_byte_array_append(whole, slices[i].data, (guint)slices[i].len);
    }
    trace_send(dev, whole->data, whole->len);
    g_byte_array_unref(whole);
}

/* The way out for a queue: its own, or the first one's. */
static const DevemuNetOps *net_of(const DevemuDevice *dev, unsigned queue, void **ret_net)
{
    if (queue > 0 && dev->ports && queue < DEVEMU_PORTS && dev->ports[queue].net_ops.send) {
        *ret_net = dev->ports[queue].net;
        return &dev->ports[queue].net_ops;
    }
    *ret_net = dev->net;
    return &dev->net_ops;
}

static void send_frame(DevemuDevice *dev, unsigned queue, const DevemuSlice *slices, size_t count,
                       bool more)
{
    void *net;
    const DevemuNetOps *ops = net_of(dev, queue, &net);

    if (G_UNLIKELY(dev->tracing)) {
        trace_frame(dev, slices, count);
    }
    if (!devemu_vsock_frame(dev, slices, count) && ops->send) {
        ops->send(net, slices, count, more);
    }
}

void devemu_send_frame(DevemuDevice *dev, const DevemuSlice *slices, size_t count, bool more)
{
    send_frame(dev, 0, slices, count, more);
}

typedef struct SendPlain {
    const DevemuNetOps *ops;
    void *net;
} SendPlain;

static void send_plain(void *opaque, const uint8_t *data, size_t len, bool more)
{
    const SendPlain *to = opaque;
    DevemuSlice slice = {data, len};

    to->ops->send(to->net, &slice, 1, more);
}

static void send_in_software(SendPlain to, const DevemuNetOffload *offload,
                             const DevemuSlice *slices, size_t count, size_t len)
{
    g_autofree uint8_t *frame = NULL;
    size_t at = 0;

    if (count == 1) {
        devemu_offload_split(offload, slices[0].data, len, send_plain, &to);
        return;
    }
    frame = g_malloc(len);
    for (size_t i = 0; i < count; i++) {
        if (slices[i].len > 0) {
            memcpy(frame + at, slices[i].data, slices[i].len);
            at += slices[i].len;
        }
    }
    devemu_offload_split(offload, frame, len, send_plain, &to);
}

bool devemu_send_queue(DevemuDevice *dev, unsigned queue, const DevemuNetOffload *offload,
                       const DevemuSlice *slices, size_t count, bool more)
{
    uint32_t needs = devemu_offload_needs(offload);
    const DevemuNetOps *ops;
    void *net;
    size_t len = 0;

    if (needs == 0) {
        send_frame(dev, queue, slices, count, more);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        len += slices[i].len;
    }
    if (!devemu_offload_fits(offload, len)) {
        return false;
    }
    if (G_UNLIKELY(dev->tracing)) {
        trace_frame(dev, slices, count);
    }
    ops = net_of(dev, queue, &net);
    if (ops->send_offload && ops->offloads && !(needs & ~ops->offloads(net))) {
        ops->send_offload(net, offload, slices, count, more);
    } else if (ops->send) {
        send_in_software((SendPlain){ops, net}, offload, slices, count, len);
    }
    return true;
}

bool devemu_send_packet(DevemuDevice *dev, const DevemuNetOffload *offload,
                        const DevemuSlice *slices, size_t count, bool more)
{
    return devemu_send_queue(dev, 0, offload, slices, count, more);
}

void devemu_send_chars(DevemuDevice *dev, const void *data, size_t len)
{
    if (G_UNLIKELY(dev->tracing)) {
        trace_send(dev, data, len);
    }
    if (dev->char_ops.write) {
        dev->char_ops.write(dev->chr, data, len);
    }
}

void devemu_send_port(DevemuDevice *dev, unsigned port, const void *data, size_t len)
{
    if (port == 0) {
        devemu_send_chars(dev, data, len);
        return;
    }
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_SEND, .index = port, .data = data, .len = len};

        devemu_trace_emit(dev, &trace);
    }
    if (dev->ports && port < DEVEMU_PORTS && dev->ports[port].ops.write && !dev->rehearsing) {
        dev->ports[port].ops.write(dev->ports[port].chr, data, len);
    }
}

bool devemu_port_writable(DevemuDevice *dev, unsigned port)
{
    if (port == 0) {
        return dev->char_ops.writable == NULL || dev->char_ops.writable(dev->chr);
    }
    return dev->ports == NULL || port >= DEVEMU_PORTS || dev->ports[port].ops.writable == NULL ||
           dev->ports[port].ops.writable(dev->ports[port].chr);
}

void devemu_send_control(DevemuDevice *dev, unsigned lines)
{
    if (dev->char_ops.control) {
        dev->char_ops.control(dev->chr, lines);
    }
}

void devemu_send_ready(DevemuDevice *dev)
{
    if (!dev->refused) {
        return;
    }
    dev->refused = false;
    if (dev->net_ops.ready) {
        dev->net_ops.ready(dev->net);
    }
    if (dev->char_ops.ready) {
        dev->char_ops.ready(dev->chr);
    }
    for (unsigned i = 1; dev->ports && !dev->rehearsing && i < DEVEMU_PORTS; i++) {
        if (dev->ports[i].ops.ready) {
            dev->ports[i].ops.ready(dev->ports[i].chr);
        }
        if (dev->ports[i].net_ops.ready) {
            dev->ports[i].net_ops.ready(dev->ports[i].net);
        }
    }
    if (dev->block_ops.ready) {
        dev->block_ops.ready(dev->block);
    }
    if (dev->vsock_ops.ready) {
        dev->vsock_ops.ready(dev->vsock);
    }
}

static bool log_allowed(DevemuDevice *dev)
{
    uint64_t now = devemu_now(dev);

    /* A refill far ahead: the clock was set back, by the load of an older state. */
    if (now >= dev->log_refill_ns || dev->log_refill_ns - now > DEVEMU_LOG_REFILL_NS) {
        dev->log_refill_ns = now + DEVEMU_LOG_REFILL_NS;
        dev->log_tokens = MIN(dev->log_tokens + 1, DEVEMU_LOG_BURST);
    }
    if (dev->log_tokens == 0) {
        return false;
    }
    dev->log_tokens--;
    return true;
}

void devemu_log(DevemuDevice *dev, DevemuLogLevel level, const char *text)
{
    const DevemuDevice *above = dev;

    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_LOG, .name = text, .value = level};

        devemu_trace_emit(dev, &trace);
    }
    while (above && above->ops.log == NULL) {
        above = above->parent;
    }
    if (above) {
        char *line = g_strdup_printf("%s: %s", dev->name, text);

        above->ops.log(above->host, level, line);
        g_free(line);
    }
}

void devemu_guest_error(DevemuDevice *dev, const char *text)
{
    if (log_allowed(dev)) {
        devemu_log(dev, DEVEMU_LOG_GUEST, text);
    }
}
