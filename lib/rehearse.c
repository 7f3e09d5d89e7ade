/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rehearse.c: see rehearse.h. A device is its struct, its state and two arrays that change with
 * events; models allocate nothing, so copies of these are the whole tree.
 */
#include "rehearse.h"

#include "virtio.h"

typedef struct Kept {
    DevemuDevice *dev;
    DevemuDevice core;
    void *state;
    uint16_t *input_counts;
    DevemuVirtqueue *virtio;
} Kept;

/* --- ways out that lead nowhere ---------------------------------------------------- */

static bool covers(const DevemuRange *range, uint64_t addr, size_t len)
{
    uint64_t at = addr - range->addr;

    return at < range->len && len <= range->len - at;
}

/* What the event itself wrote lies over what is in memory. */
static void overlay(const DevemuRehearsal *r, uint64_t addr, uint8_t *buf, size_t len)
{
    for (guint i = 0; i < r->writes->len; i++) {
        const DevemuRange *w = &g_array_index(r->writes, DevemuRange, i);
        uint64_t from = MAX(addr, w->addr);
        uint64_t last = MIN(addr + (len - 1), w->addr + (w->len - 1));

        if (from <= last) {
            memcpy(buf + (from - addr), r->bytes->data + w->at + (from - w->addr),
                   (size_t)(last - from) + 1);
        }
    }
}

static bool overwritten(const DevemuRehearsal *r, uint64_t addr, size_t len)
{
    for (guint i = 0; i < r->writes->len; i++) {
        if (covers(&g_array_index(r->writes, DevemuRange, i), addr, len)) {
            return true;
        }
    }
    return false;
}

static void miss(DevemuRehearsal *r, uint64_t addr, size_t len)
{
    DevemuRange range = {.addr = addr, .len = len};

    if (r->missing->len == DEVEMU_REHEARSAL_RANGES) {
        r->overflowed = true;
    } else {
        g_array_append_val(r->missing, range);
    }
}

static bool rehearsed_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuRehearsal *r = host;
    DevemuFetched fetched = DEVEMU_FETCHED;

    if (!overwritten(r, addr, len)) {
        fetched = r->ops->read(r->opaque, addr, buf, len);
    }
    if (fetched == DEVEMU_FETCH_MISSING) {
        miss(r, addr, len);
    }
    if (fetched != DEVEMU_FETCHED) {
        return false;
    }
    overlay(r, addr, buf, len);
    return true;
}

static bool rehearsed_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuRehearsal *r = host;
    DevemuRange range = {.addr = addr, .len = len, .at = r->bytes->len};

    if (!r->ops->write(r->opaque, addr, len)) {
        return false;
    }
    if (r->writes->len == DEVEMU_REHEARSAL_WRITES || len > DEVEMU_REHEARSAL_BYTES - r->bytes->len) {
        r->overflowed = true;
        return true;
    }
    g_array_append_val(r->writes, range);
    g_byte_array_append(r->bytes, buf, (guint)len);
    return true;
}

static uint64_t rehearsed_now(void *host)
{
    const DevemuRehearsal *r = host;

    return r->host_ops.now ? r->host_ops.now(r->host) : 0;
}

static bool rehearsed_deferred(void *host)
{
    const DevemuRehearsal *r = host;

    return r->host_ops.dma_deferred && r->host_ops.dma_deferred(r->host);
}

static const DevemuHostOps rehearsed_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = rehearsed_read,
    .dma_write = rehearsed_write,
    .now = rehearsed_now,
    .dma_deferred = rehearsed_deferred,
};

static void no_submit(void *block, const DevemuBlockRequest *request, bool more)
{
    (void)block;
    (void)request;
    (void)more;
}

/* What is asked of a backend is still answered. */
static void close_ways(DevemuDevice *dev)
{
    memset(&dev->net_ops, 0, sizeof(dev->net_ops));
    dev->char_ops =
        (DevemuCharOps){.size = sizeof(dev->char_ops), .writable = dev->char_ops.writable};
    memset(&dev->vsock_ops, 0, sizeof(dev->vsock_ops));
    if (dev->block_ops.submit) {
        dev->block_ops.submit = no_submit;
    }
    dev->block_ops.drain = NULL;
    dev->block_ops.ready = NULL;
    memset(dev->windows, 0, sizeof(dev->windows));
    dev->ops.log = NULL;
    dev->ops.trace = NULL;
    dev->tracing = false;
    dev->rehearsing = true;
}

/* --- copies ------------------------------------------------------------------------ */

static void keep(DevemuRehearsal *r, DevemuDevice *dev)
{
    Kept kept = {.dev = dev};

    memcpy(&kept.core, dev, sizeof(*dev));
    kept.virtio = devemu_virtio_keep(dev);
    kept.state = g_memdup2(dev->state, dev->model->state_size);
    if (dev->input_counts) {
        kept.input_counts =
            g_memdup2(dev->input_counts, dev->input_count * sizeof(dev->input_counts[0]));
    }
    g_array_append_val(r->kept, kept);
    close_ways(dev);
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        keep(r, g_ptr_array_index(dev->children, i));
    }
}

static void put_back(const Kept *kept)
{
    DevemuDevice *dev = kept->dev;

    memcpy(dev, &kept->core, sizeof(*dev));
    memcpy(dev->state, kept->state, dev->model->state_size);
    devemu_virtio_put_back(dev, kept->virtio);
    g_free(kept->state);
    if (kept->input_counts) {
        memcpy(dev->input_counts, kept->input_counts,
               dev->input_count * sizeof(dev->input_counts[0]));
        g_free(kept->input_counts);
    }
}

/* --- the rehearsal ----------------------------------------------------------------- */

bool devemu_rehearsal_possible(const DevemuDevice *top)
{
    if (top->decorator || top->model->finish) {
        return false;
    }
    for (unsigned i = 0; top->children && i < top->children->len; i++) {
        if (!devemu_rehearsal_possible(g_ptr_array_index(top->children, i))) {
            return false;
        }
    }
    return true;
}

DevemuRehearsal *devemu_rehearsal_new(DevemuDevice *top, const DevemuRehearsalOps *ops,
                                      void *opaque)
{
    DevemuRehearsal *r = g_new0(DevemuRehearsal, 1);

    g_assert(top->parent == NULL);
    r->top = top;
    r->ops = ops;
    r->opaque = opaque;
    r->kept = g_array_new(FALSE, FALSE, sizeof(Kept));
    r->missing = g_array_new(FALSE, FALSE, sizeof(DevemuRange));
    r->writes = g_array_new(FALSE, FALSE, sizeof(DevemuRange));
    r->bytes = g_byte_array_new();
    return r;
}

void devemu_rehearsal_free(DevemuRehearsal *r)
{
    if (r == NULL) {
        return;
    }
    g_assert(r->kept->len == 0);
    g_array_unref(r->kept);
    g_array_unref(r->missing);
    g_array_unref(r->writes);
    g_byte_array_unref(r->bytes);
    g_free(r);
}

void devemu_rehearse_begin(DevemuRehearsal *r)
{
    DevemuDevice *top = r->top;

    g_assert(r->kept->len == 0 && !top->busy && devemu_rehearsal_possible(top));
    g_array_set_size(r->missing, 0);
    g_array_set_size(r->writes, 0);
    g_byte_array_set_size(r->bytes, 0);
    r->overflowed = false;
    r->host_ops = top->ops;
    r->host = top->host;
    keep(r, top);
    top->ops = rehearsed_ops;
    top->host = r;
}

bool devemu_rehearse_end(DevemuRehearsal *r)
{
    for (guint i = 0; i < r->kept->len; i++) {
        put_back(&g_array_index(r->kept, Kept, i));
    }
    g_array_set_size(r->kept, 0);
    return r->missing->len == 0;
}
