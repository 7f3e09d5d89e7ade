/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma.c: bus master accesses, through windows where the host gives them.
 */
#include "virtio.h"

static inline const DevemuWindow *window_hit(const DevemuDevice *dev, uint64_t addr, size_t len,
                                             bool write)
{
    for (unsigned i = 0; i < DEVEMU_WINDOWS; i++) {
        const DevemuWindow *w = &dev->windows[i];
        uint64_t off = addr - w->addr;

        if (off < w->len && len <= w->len - off && (!write || w->writable)) {
            return w;
        }
    }
    return NULL;
}

static const DevemuWindow *window_fetch(DevemuDevice *dev, uint64_t addr, size_t len, bool write)
{
    DevemuWindow window = {0};
    uint64_t off;

    if (dev->ops.dma_map == NULL || !dev->ops.dma_map(dev->host, addr, &window)) {
        return NULL;
    }
    off = addr - window.addr;
    if (window.data == NULL || off >= window.len || len > window.len - off ||
        (write && !window.writable)) {
        return NULL;
    }
    dev->last_window = (dev->last_window + 1) % DEVEMU_WINDOWS;
    dev->windows[dev->last_window] = window;
    return &dev->windows[dev->last_window];
}

static inline uint8_t *window_at(DevemuDevice *dev, uint64_t addr, size_t len, bool write)
{
    const DevemuWindow *w = window_hit(dev, addr, len, write);

    if (G_UNLIKELY(w == NULL)) {
        w = window_fetch(dev, addr, len, write);
    }
    return w ? w->data + (addr - w->addr) : NULL;
}

static void trace_dma(DevemuDevice *dev, DevemuTraceKind kind, uint64_t addr, const void *data,
                      size_t len, bool ok)
{
    DevemuTrace trace = {.kind = kind, .at = addr, .data = data, .len = len, .value = ok};

    devemu_trace_emit(dev, &trace);
}

bool devemu_dma_read(DevemuDevice *dev, uint64_t addr, void *buf, size_t len)
{
    const uint8_t *from = window_at(dev, addr, len, false);
    bool ok = true;

    if (G_LIKELY(from != NULL)) {
        memcpy(buf, from, len);
    } else if (len > 0) {
        ok = addr + (len - 1) >= addr && dev->ops.dma_read != NULL &&
             dev->ops.dma_read(dev->host, addr, buf, len);
        if (!ok) {
            memset(buf, 0xff, len);
        }
    }
    if (G_UNLIKELY(dev->tracing)) {
        trace_dma(dev, DEVEMU_TRACE_DMA_READ, addr, buf, len, ok);
    }
    return ok;
}

bool devemu_dma_write(DevemuDevice *dev, uint64_t addr, const void *buf, size_t len)
{
    uint8_t *to = window_at(dev, addr, len, true);
    bool ok = true;

    if (G_LIKELY(to != NULL)) {
        memcpy(to, buf, len);
    } else if (len > 0) {
        ok = addr + (len - 1) >= addr && dev->ops.dma_write != NULL &&
             dev->ops.dma_write(dev->host, addr, buf, len);
    }
    if (G_UNLIKELY(dev->tracing)) {
        trace_dma(dev, DEVEMU_TRACE_DMA_WRITE, addr, buf, len, ok);
    }
    return ok;
}

const uint8_t *devemu_dma_view(DevemuDevice *dev, uint64_t addr, size_t len)
{
    const uint8_t *view = window_at(dev, addr, len, false);

    if (G_UNLIKELY(dev->tracing) && view != NULL) {
        trace_dma(dev, DEVEMU_TRACE_DMA_READ, addr, view, len, true);
    }
    return view;
}

uint8_t *devemu_dma_view_write(DevemuDevice *dev, uint64_t addr, size_t len)
{
    if (G_UNLIKELY(dev->tracing)) {
        return NULL; /* what is written must be seen: by devemu_dma_write() */
    }
    return window_at(dev, addr, len, true);
}

bool devemu_dma_deferred(const DevemuDevice *dev)
{
    while (dev && dev->ops.dma_deferred == NULL) {
        dev = dev->parent;
    }
    return dev && dev->ops.dma_deferred(dev->host);
}

static void forget_windows(DevemuDevice *dev)
{
    memset(dev->windows, 0, sizeof(dev->windows));
    devemu_virtio_revoke(dev);
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        forget_windows(g_ptr_array_index(dev->children, i));
    }
}

void devemu_device_revoke(DevemuDevice *dev)
{
    g_return_if_fail(dev != NULL);
    devemu_device_drain(dev);
    forget_windows(dev);
}

void devemu_discard(DevemuDevice *dev, uint64_t addr, uint64_t len)
{
    if (dev->rehearsing || len == 0 || len - 1 > UINT64_MAX - addr) {
        return;
    }
    while (dev && dev->ops.discard == NULL) {
        dev = dev->parent;
    }
    if (dev) {
        dev->ops.discard(dev->host, addr, len);
    }
}
