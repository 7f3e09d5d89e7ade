/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree.c: devices below devices.
 */
#include "internal.h"

static bool name_taken(const DevemuDevice *parent, const char *name)
{
    for (unsigned i = 0; i < parent->children->len; i++) {
        const DevemuDevice *child = g_ptr_array_index(parent->children, i);

        if (strcmp(child->name, name) == 0) {
            return true;
        }
    }
    return false;
}

void devemu_device_adopt(DevemuDevice *parent, DevemuDevice *child, const DevemuHostOps *ops,
                         void *host, const char *name)
{
    char *unique;

    g_return_if_fail(parent != NULL && child != NULL && child->parent == NULL);
    g_return_if_fail(!devemu_device_is_below(parent, child));
    unique = g_strdup(name);
    if (parent->children == NULL) {
        parent->children = g_ptr_array_new();
    }
    for (unsigned i = 1; name_taken(parent, unique); i++) {
        g_free(unique);
        unique = g_strdup_printf("%s.%u", name, i);
    }
    g_free(child->name);
    child->name = unique;
    child->parent = parent;
    g_ptr_array_add(parent->children, child);
    devemu_device_set_host(child, ops, host);
    devemu_deadline_tell(parent);
}

/* Held, so that what its falling lines cause elsewhere cannot raise them again. The inputs that its
 * wires held up fall last, while there is still a clock. */
static void disconnect(DevemuDevice *dev)
{
    devemu_hold(dev);
    for (unsigned line = 0; line < DEVEMU_LINES; line++) {
        if (dev->lines >> line & 1) {
            dev->lines &= ~(UINT64_C(1) << line);
            devemu_line_tell(dev, line, false);
        }
    }
    devemu_wires_drop(dev);
    dev->dirty_inputs |= dev->inputs;
    devemu_inputs_settle(dev);
    devemu_release(dev);
}

void devemu_device_orphan(DevemuDevice *child)
{
    DevemuDevice *parent = child->parent;

    g_return_if_fail(parent != NULL);
    devemu_device_drain(child);
    disconnect(child);
    g_ptr_array_remove(parent->children, child);
    child->parent = NULL;
    memset(&child->ops, 0, sizeof(child->ops));
    child->host = NULL;
    devemu_tracing_update(child);
    devemu_device_revoke(child);
    devemu_deadline_tell(parent);
}

/* --- passing on: what a bus does for its children by default ----------------------- */

static bool pass_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuDevice *bus = host;

    return bus->ops.dma_read && bus->ops.dma_read(bus->host, addr, buf, len);
}

static bool pass_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuDevice *bus = host;

    return bus->ops.dma_write && bus->ops.dma_write(bus->host, addr, buf, len);
}

static bool pass_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuDevice *bus = host;

    return bus->ops.dma_map && bus->ops.dma_map(bus->host, addr, ret_window);
}

static void pass_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuDevice *bus = host;

    if (bus->ops.msi) {
        bus->ops.msi(bus->host, addr, data);
    }
}

const DevemuHostOps devemu_passing_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = pass_dma_read,
    .dma_write = pass_dma_write,
    .dma_map = pass_dma_map,
    .msi = pass_msi,
};
