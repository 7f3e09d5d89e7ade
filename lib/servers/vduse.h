/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vduse.h: inside the VDUSE server.
 */
#ifndef DEVEMU_SERVERS_VDUSE_H
#define DEVEMU_SERVERS_VDUSE_H

#include "../virtio.h"
#include "server.h"

#include <devemu/vduse.h>

/* A piece of the kernel's IOVA space, mapped. */
typedef struct VduseRegion {
    uint64_t start, last;
    uint8_t *data;
    uint8_t perm;
} VduseRegion;

typedef struct VduseKick {
    int fd;
    gpointer tag;
} VduseKick;

struct DevemuVduse {
    DevemuDevice *dev;
    char *name;
    GSource *source;
    int control, fd;
    gpointer tag;
    unsigned queue_count;
    VduseKick kicks[DEVEMU_VIRTIO_QUEUES];
    GArray *regions; /* VduseRegion */
    uint64_t deadline_ns;
    ServerLog log;
};

void vduse_say(DevemuVduse *s, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The region around addr, or NULL; asks the kernel for one that is not known yet. */
VduseRegion *vduse_region_at(DevemuVduse *s, uint64_t addr);
/* VDUSE_UPDATE_IOTLB: what touches the range is asked for anew. */
void vduse_regions_drop(DevemuVduse *s, uint64_t start, uint64_t last);
/* Copy to `to`, or from `from`, whichever is not NULL. */
bool vduse_move(DevemuVduse *s, uint64_t addr, uint8_t *to, const uint8_t *from, size_t len);

#endif
