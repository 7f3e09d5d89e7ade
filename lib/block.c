/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c: a device and its block backend: requests down, completions up, and the wait for what is
 * in flight.
 */
#include "virtio.h"

/* --- the device's side ------------------------------------------------------------- */

const char *devemu_block_op_name(uint64_t op)
{
    static const char *const names[DEVEMU_BLOCK_OPS] = {
        [DEVEMU_BLOCK_READ] = "read",
        [DEVEMU_BLOCK_WRITE] = "write",
        [DEVEMU_BLOCK_FLUSH] = "flush",
        [DEVEMU_BLOCK_DISCARD] = "discard",
        [DEVEMU_BLOCK_WRITE_ZEROES] = "write zeroes",
        [DEVEMU_BLOCK_SECURE_ERASE] = "secure erase",
        [DEVEMU_BLOCK_ZONE_REPORT] = "zone report",
        [DEVEMU_BLOCK_ZONE_OPEN] = "zone open",
        [DEVEMU_BLOCK_ZONE_CLOSE] = "zone close",
        [DEVEMU_BLOCK_ZONE_FINISH] = "zone finish",
        [DEVEMU_BLOCK_ZONE_RESET] = "zone reset",
        [DEVEMU_BLOCK_ZONE_RESET_ALL] = "zone reset all",
        [DEVEMU_BLOCK_ZONE_APPEND] = "zone append",
    };

    return op < DEVEMU_BLOCK_OPS ? names[op] : "?";
}

bool devemu_submit(DevemuDevice *dev, const DevemuBlockRequest *request, bool more)
{
    if (dev->block_ops.submit == NULL) {
        return false;
    }
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_SUBMIT,
                             .index = request->tag,
                             .name = devemu_block_op_name(request->op),
                             .at = request->at,
                             .value = request->len};

        devemu_trace_emit(dev, &trace);
    }
    dev->block_ops.submit(dev->block, request, more);
    return true;
}

bool devemu_draining(const DevemuDevice *dev)
{
    return dev->draining != 0;
}

void devemu_wait(DevemuDevice *dev)
{
    devemu_block_drain(dev);
}

/* --- the backend's side ------------------------------------------------------------ */

/* A decorator can be entered while the device below is in an event; that one must be asked. */
static bool enter(DevemuDevice *dev)
{
    const DevemuDevice *real = dev;

    while (real->decorator) {
        real = devemu_device_child(real, 0);
    }
    return !real->busy && devemu_enter(dev);
}

bool devemu_complete_now(DevemuDevice *dev, const DevemuBlockCompletion *completions, size_t count)
{
    if (!enter(dev)) {
        dev->refused = true;
        return false;
    }
    for (size_t i = 0; G_UNLIKELY(dev->tracing) && i < count; i++) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_COMPLETE,
                             .index = completions[i].tag,
                             .value = (uint64_t)(int64_t)completions[i].status};

        devemu_trace_emit(dev, &trace);
    }
    dev->model->complete(dev->state, completions, count);
    devemu_leave(dev);
    return true;
}

bool devemu_device_complete(DevemuDevice *dev, const DevemuBlockCompletion *completions,
                            size_t count)
{
    g_return_val_if_fail(dev != NULL && (completions != NULL || count == 0), true);
    if (dev->model->complete == NULL || count == 0) {
        return true;
    }
    if (G_UNLIKELY(dev->gate != NULL)) {
        return dev->gate->complete(dev->gate_opaque, dev, completions, count);
    }
    return devemu_complete_now(dev, completions, count);
}

bool devemu_device_medium(DevemuDevice *dev)
{
    DevemuBlockInfo info = {0};

    g_return_val_if_fail(dev != NULL, true);
    if (dev->model->medium == NULL) {
        return true;
    }
    if (!enter(dev)) {
        dev->refused = true;
        return false;
    }
    if (dev->block_ops.info) {
        dev->block_ops.info(dev->block, &info);
    }
    dev->model->medium(dev->state, dev->block_ops.info ? &info : NULL);
    devemu_leave(dev);
    return true;
}

void devemu_device_attach_block(DevemuDevice *dev, const DevemuBlockOps *ops, void *block)
{
    g_return_if_fail(dev != NULL && !dev->busy);
    devemu_block_drain(dev);
    DEVEMU_COPY_OPS(dev->block_ops, ops);
    dev->block = block;
    devemu_device_medium(dev);
}

/* --- waiting ----------------------------------------------------------------------- */

void devemu_block_drain(DevemuDevice *dev)
{
    if (dev->block_ops.drain) {
        dev->draining++;
        dev->block_ops.drain(dev->block);
        dev->draining--;
    }
}

static void mark(DevemuDevice *dev, unsigned by)
{
    dev->draining += by;
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        mark(g_ptr_array_index(dev->children, i), by);
    }
}

static void drain(DevemuDevice *dev)
{
    if (dev->block_ops.drain) {
        dev->block_ops.drain(dev->block);
    }
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        drain(g_ptr_array_index(dev->children, i));
    }
}

void devemu_device_drain(DevemuDevice *dev)
{
    g_return_if_fail(dev != NULL);
    mark(dev, 1);
    drain(dev);
    mark(dev, UINT_MAX); /* that is, one less */
}

/* --- polling ----------------------------------------------------------------------- */

void devemu_device_set_polled(DevemuDevice *dev, bool polled)
{
    g_return_if_fail(dev != NULL && !dev->busy);
    devemu_virtio_set_polled(dev, polled);
    if (dev->block_ops.set_polled) {
        dev->block_ops.set_polled(dev->block, polled);
    }
}

unsigned devemu_device_poll(DevemuDevice *dev)
{
    unsigned count = 0;

    g_return_val_if_fail(dev != NULL, 0);
    if (dev->block_ops.poll) {
        count += dev->block_ops.poll(dev->block);
    }
    if (dev->net_ops.poll) {
        count += dev->net_ops.poll(dev->net);
    }
    for (unsigned i = 1; dev->ports && i < devemu_device_net_queues(dev); i++) {
        if (dev->ports[i].net_ops.poll) {
            count += dev->ports[i].net_ops.poll(dev->ports[i].net);
        }
    }
    return count;
}
