/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-peer.c: libvhost-user for bench_virtqueue. tests/bench/vhost-peer builds it together with
 * libvhost-user (GPL-2.0-or-later) as a library of its own, which is used here and nowhere else.
 */
#include "libvhost-user.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>

enum { MOST = 32 };

void *peer_new(uint8_t *ram, size_t len, unsigned size, uint64_t desc, uint64_t driver,
               uint64_t device);
unsigned peer_run(void *peer, unsigned batch, uint32_t written);

static void panic(VuDev *dev, const char *text)
{
    (void)dev;
    (void)text;
    abort();
}

static void set_watch(VuDev *dev, int fd, int condition, vu_watch_cb cb, void *data)
{
    (void)dev;
    (void)fd;
    (void)condition;
    (void)cb;
    (void)data;
}

static void remove_watch(VuDev *dev, int fd)
{
    (void)dev;
    (void)fd;
}

void *peer_new(uint8_t *ram, size_t len, unsigned size, uint64_t desc, uint64_t driver,
               uint64_t device)
{
    static const VuDevIface iface;
    VuDev *dev = calloc(1, sizeof(*dev));
    VuVirtq *vq;

    if (dev == NULL || !vu_init(dev, 1, 0, panic, NULL, set_watch, remove_watch, &iface)) {
        abort();
    }
    dev->nregions = 1;
    dev->regions[0] = (VuDevRegion){.size = len, .mmap_addr = (uint64_t)(uintptr_t)ram};
    vq = vu_get_queue(dev, 0);
    vq->vring.num = size;
    vq->vring.desc = (void *)(ram + desc);
    vq->vring.avail = (void *)(ram + driver);
    vq->vring.used = (void *)(ram + device);
    vq->enable = 1;
    vq->started = true;
    return dev;
}

/* As its own samples do it: each popped, filled, freed; then flushed and notified at once. */
__attribute__((noinline)) unsigned peer_run(void *peer, unsigned batch, uint32_t written)
{
    VuDev *dev = peer;
    VuVirtq *vq = vu_get_queue(dev, 0);
    VuVirtqElement *elems[MOST];
    unsigned n = 0, sum = 0;

    while (n < batch && (elems[n] = vu_queue_pop(dev, vq, sizeof(VuVirtqElement))) != NULL) {
        n++;
    }
    for (unsigned i = 0; i < n; i++) {
        sum += elems[i]->out_num > 0 ? (unsigned)(uintptr_t)elems[i]->out_sg[0].iov_base : 0;
        vu_queue_fill(dev, vq, elems[i], elems[i]->in_num > 0 ? written : 0, i);
        free(elems[i]);
    }
    vu_queue_flush(dev, vq, n);
    vu_queue_notify(dev, vq);
    return sum;
}
