/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vduse-memory.c: the IOVA space that the kernel gives a VDUSE device, piece by piece as it is
 * used.
 */
#define _GNU_SOURCE
#include "vduse.h"

#include <linux/vduse.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static VduseRegion *region_find(DevemuVduse *s, uint64_t addr)
{
    for (guint i = 0; i < s->regions->len; i++) {
        VduseRegion *region = &g_array_index(s->regions, VduseRegion, i);

        if (addr >= region->start && addr <= region->last) {
            return region;
        }
    }
    return NULL;
}

VduseRegion *vduse_region_at(DevemuVduse *s, uint64_t addr)
{
    struct vduse_iotlb_entry entry = {.start = addr, .last = addr, .perm = VDUSE_ACCESS_RO};
    VduseRegion region, *known = region_find(s, addr);
    int prot, fd;

    if (known) {
        return known;
    }
    fd = ioctl(s->fd, VDUSE_IOTLB_GET_FD, &entry);
    if (fd < 0) {
        return NULL;
    }
    prot = (entry.perm & VDUSE_ACCESS_RO ? PROT_READ : 0) |
           (entry.perm & VDUSE_ACCESS_WO ? PROT_WRITE : 0);
    region = (VduseRegion){.start = entry.start, .last = entry.last, .perm = entry.perm};
    region.data =
        mmap(NULL, entry.last - entry.start + 1, prot, MAP_SHARED, fd, (off_t)entry.offset);
    close(fd);
    if (region.data == MAP_FAILED) {
        vduse_say(s, "the memory at %" PRIx64 " cannot be mapped: %s", addr, g_strerror(errno));
        return NULL;
    }
    g_array_append_val(s->regions, region);
    return &g_array_index(s->regions, VduseRegion, s->regions->len - 1);
}

void vduse_regions_drop(DevemuVduse *s, uint64_t start, uint64_t last)
{
    devemu_device_revoke(s->dev);
    for (guint i = s->regions->len; i-- > 0;) {
        VduseRegion *region = &g_array_index(s->regions, VduseRegion, i);

        if (region->start <= last && region->last >= start) {
            munmap(region->data, region->last - region->start + 1);
            g_array_remove_index_fast(s->regions, i);
        }
    }
}

bool vduse_move(DevemuVduse *s, uint64_t addr, uint8_t *to, const uint8_t *from, size_t len)
{
    while (len > 0) {
        VduseRegion *region = vduse_region_at(s, addr);
        size_t part;

        if (region == NULL || !(region->perm & (to ? VDUSE_ACCESS_RO : VDUSE_ACCESS_WO))) {
            return false;
        }
        part = (size_t)MIN(len - 1, region->last - addr) + 1;
        memcpy(to ? to : region->data + (addr - region->start),
               to ? region->data + (addr - region->start) : from, part);
        to = to ? to + part : NULL;
        from = from ? from + part : NULL;
        addr += part;
        len -= part;
    }
    return true;
}
