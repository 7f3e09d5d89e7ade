/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-dma.c: the client's memory: a sorted table of maps, and the device's way to it.
 *
 * A map with a descriptor is memory, and the device gets windows into it; one without can be
 * reached by messages only. An access may run over any number of maps that touch.
 */
#include "vfio-user.h"

enum {
    MAP_READABLE = 1 << 0,
    MAP_WRITABLE = 1 << 1,
    UNMAP_ALL = 1 << 1, /* vfio.h; QEMU sends it */
};

/* --- the table --------------------------------------------------------------------- */

/* The first map that ends behind addr. */
static size_t search(const DevemuVfioUser *s, uint64_t addr)
{
    size_t low = 0, high = s->map_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const VfioMap *map = &s->maps[mid];

        if (map->addr + (map->len - 1) < addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

VfioMap *vfio_map_find(DevemuVfioUser *s, uint64_t addr)
{
    size_t i = s->last_map;

    if (i < s->map_count && addr - s->maps[i].addr < s->maps[i].len) {
        return &s->maps[i];
    }
    i = search(s, addr);
    if (i == s->map_count || addr < s->maps[i].addr) {
        return NULL;
    }
    s->last_map = i;
    return &s->maps[i];
}

/* QEMU maps ROMs without a descriptor, too; nobody's rings are there. */
static bool is_far(const VfioMap *map)
{
    return map->data == NULL && map->writable;
}

static void insert(DevemuVfioUser *s, size_t i, const VfioMap *map)
{
    if (s->map_count == s->map_capacity) {
        s->map_capacity = MAX(16, s->map_capacity * 2);
        s->maps = g_renew(VfioMap, s->maps, s->map_capacity);
    }
    memmove(&s->maps[i + 1], &s->maps[i], (s->map_count - i) * sizeof(*map));
    s->maps[i] = *map;
    s->map_count++;
}

static void drop(DevemuVfioUser *s, size_t from, size_t to)
{
    if (from == to) {
        return;
    }
    /* Before the memory goes, nobody may look at it. */
    devemu_device_revoke(s->function);
    vfio_far_forget(s); /* an event that waits for it finds out */
    for (size_t i = from; i < to; i++) {
        s->far.maps -= is_far(&s->maps[i]);
        server_file_unmap(&s->files, s->maps[i].file);
    }
    memmove(&s->maps[from], &s->maps[to], (s->map_count - to) * sizeof(s->maps[0]));
    s->map_count -= to - from;
}

void vfio_maps_clear(DevemuVfioUser *s)
{
    drop(s, 0, s->map_count);
    g_clear_pointer(&s->maps, g_free);
    s->map_capacity = 0;
}

/* --- the messages (spec "VFIO_USER_DMA_MAP", "VFIO_USER_DMA_UNMAP") ----------------- */

static bool wraps(uint64_t addr, uint64_t len)
{
    return len == 0 || addr + (len - 1) < addr;
}

int vfio_dma_map(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t flags = server_get32(m->payload + 4);
    uint64_t offset = server_get64(m->payload + 8);
    VfioMap map = {
        .addr = server_get64(m->payload + 16),
        .len = server_get64(m->payload + 24),
        .readable = flags & MAP_READABLE,
        .writable = flags & MAP_WRITABLE,
    };
    size_t i;
    int error = 0;

    if (server_get32(m->payload) < 32 || flags == 0 ||
        flags & ~(uint32_t)(MAP_READABLE | MAP_WRITABLE) || wraps(map.addr, map.len) ||
        m->fd_count > 1) {
        return EINVAL;
    }
    i = search(s, map.addr);
    if (i < s->map_count && s->maps[i].addr <= map.addr + (map.len - 1)) {
        return EEXIST;
    }
    if (s->map_count == VFIO_MAX_MAPS) {
        return ENOSPC;
    }
    if (m->fd_count == 1) {
        map.data =
            server_file_map(&s->files, m->fds[0], offset, map.len, map.writable, &map.file, &error);
        if (map.data == NULL) {
            return error;
        }
    }
    insert(s, i, &map);
    if (is_far(&map)) {
        s->far.maps++;
        devemu_device_revoke(s->function);
    }
    return 0;
}

/*
 * Everything that lies in the range goes, be it one map, many or none: with a vIOMMU, QEMU unmaps
 * great ranges in which nothing was. A range that cuts a map in two is refused.
 */
static int unmap(DevemuVfioUser *s, uint32_t flags, uint64_t addr, uint64_t len)
{
    size_t from, to;

    if (flags == UNMAP_ALL && addr == 0 && len == 0) {
        drop(s, 0, s->map_count);
        return 0;
    }
    if (flags != 0 || wraps(addr, len)) {
        return EINVAL;
    }
    from = search(s, addr);
    to = search(s, addr + (len - 1));
    if (from < s->map_count && s->maps[from].addr < addr) {
        return EINVAL;
    }
    if (to < s->map_count && s->maps[to].addr <= addr + (len - 1)) {
        if (s->maps[to].addr + (s->maps[to].len - 1) != addr + (len - 1)) {
            return EINVAL;
        }
        to++;
    }
    drop(s, from, to);
    return 0;
}

int vfio_dma_unmap(DevemuVfioUser *s, const VfioMessage *m)
{
    int error;
    uint8_t *reply;

    if (server_get32(m->payload) < 24) {
        return EINVAL;
    }
    error = unmap(s, server_get32(m->payload + 4), server_get64(m->payload + 8),
                  server_get64(m->payload + 16));
    if (error) {
        return error;
    }
    reply = vfio_reply(s, m, 24);
    if (reply) {
        memcpy(reply, m->payload, 24);
    }
    return 0;
}

/* --- the device's accesses --------------------------------------------------------- */

/* The piece of [addr, addr + len) that lies in one map with memory. */
static uint8_t *piece(DevemuVfioUser *s, uint64_t addr, size_t len, bool write, size_t *ret_len)
{
    const VfioMap *map = vfio_map_find(s, addr);
    uint64_t at;

    if (map == NULL || map->data == NULL || !(write ? map->writable : map->readable)) {
        return NULL;
    }
    at = addr - map->addr;
    *ret_len = (size_t)MIN(len, map->len - at);
    return map->data + at;
}

bool vfio_host_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuVfioUser *s = host;
    uint8_t *to = buf;
    size_t step;

    if (G_UNLIKELY(vfio_far(s))) {
        return vfio_far_read(s, addr, buf, len);
    }
    for (; len > 0; addr += step, to += step, len -= step) {
        const uint8_t *from = piece(host, addr, len, false, &step);

        if (from == NULL) {
            return false;
        }
        memcpy(to, from, step);
    }
    return true;
}

bool vfio_host_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuVfioUser *s = host;
    const uint8_t *from = buf;
    size_t step;

    if (G_UNLIKELY(s->dirty.on)) {
        vfio_dirty_mark(s, addr, len);
    }
    if (G_UNLIKELY(vfio_far(s))) {
        return vfio_far_write(s, addr, buf, len);
    }
    for (; len > 0; addr += step, from += step, len -= step) {
        uint8_t *to = piece(host, addr, len, true, &step);

        if (to == NULL) {
            return false;
        }
        memcpy(to, from, step);
    }
    return true;
}

bool vfio_host_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuVfioUser *s = host;
    const VfioMap *map = vfio_map_find(s, addr);

    /* An event that is rehearsed must not write. */
    if (map == NULL || map->data == NULL || !map->readable || vfio_far(s)) {
        return false;
    }
    /* While writes are logged, they must come by vfio_host_dma_write(). */
    *ret_window = (DevemuWindow){map->addr, map->len, map->data, map->writable && !s->dirty.on};
    return true;
}

bool vfio_host_dma_deferred(void *host)
{
    return vfio_far(host);
}
