/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-memory.c: the client's memory: a table of regions, and the device's way to it.
 *
 * A region has two addresses: the guest's, in which buffers are given, and the client's own, in
 * which it says where rings are. Where there is an IOMMU the device's addresses are pages of the
 * client's own (vhost-user-iotlb.c), and the guest's matter for the log only.
 */
#include "vhost-user.h"

#define REGION_BYTES 32

/* --- the table --------------------------------------------------------------------- */

static const VhostRegion *region_find(DevemuVhostUser *s, uint64_t guest)
{
    unsigned low = 0, high = s->region_count;

    if (s->last_region < s->region_count &&
        guest - s->regions[s->last_region].guest < s->regions[s->last_region].len) {
        return &s->regions[s->last_region];
    }
    while (low < high) {
        unsigned mid = low + (high - low) / 2;

        if (s->regions[mid].guest + (s->regions[mid].len - 1) < guest) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == s->region_count || guest < s->regions[low].guest) {
        return NULL;
    }
    s->last_region = low;
    return &s->regions[low];
}

static const VhostRegion *region_of_user(const DevemuVhostUser *s, uint64_t user)
{
    for (unsigned i = 0; i < s->region_count; i++) {
        if (user - s->regions[i].user < s->regions[i].len) {
            return &s->regions[i];
        }
    }
    return NULL;
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a <= b + (b_len - 1) && b <= a + (a_len - 1);
}

static VhostRegion read_region(const uint8_t *from)
{
    return (VhostRegion){.guest = server_get64(from),
                         .len = server_get64(from + 8),
                         .user = server_get64(from + 16)};
}

/* The new region's place in the table, or why it has none. */
static const char *place(const VhostRegion *regions, unsigned count, const VhostRegion *region,
                         unsigned *ret_at)
{
    unsigned at = 0;

    if (region->len == 0 || region->guest + (region->len - 1) < region->guest ||
        region->user + (region->len - 1) < region->user) {
        return "a region is empty, or wraps";
    }
    for (unsigned i = 0; i < count; i++) {
        if (overlaps(region->guest, region->len, regions[i].guest, regions[i].len) ||
            overlaps(region->user, region->len, regions[i].user, regions[i].len)) {
            return "regions overlap";
        }
        at += regions[i].guest < region->guest;
    }
    *ret_at = at;
    return NULL;
}

/* Put the region that `from` describes into a table. */
static const char *insert(DevemuVhostUser *s, VhostRegion *regions, unsigned *count,
                          const uint8_t *from, int fd)
{
    VhostRegion region = read_region(from);
    unsigned at;
    int error = 0;
    const char *why = place(regions, *count, &region, &at);

    if (why) {
        return why;
    }
    region.data = server_file_map(&s->files, fd, server_get64(from + 24), region.len, true,
                                  &region.file, &error);
    if (region.data == NULL) {
        return error == EINVAL ? "a region is not in its file" : "a file cannot be mapped";
    }
    memmove(&regions[at + 1], &regions[at], (*count - at) * sizeof(region));
    regions[at] = region;
    (*count)++;
    return NULL;
}

static void unmap(DevemuVhostUser *s, VhostRegion *regions, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        server_file_unmap(&s->files, regions[i].file);
    }
}

/* --- the messages ------------------------------------------------------------------ */

/* The new table is whole before the old one goes. */
const char *vhost_set_mem_table(DevemuVhostUser *s, const VhostMessage *m)
{
    uint32_t count = server_get32(m->payload);
    VhostRegion regions[VHOST_TABLE_REGIONS];
    unsigned made = 0;
    const char *why = NULL;

    if (count > VHOST_TABLE_REGIONS) {
        return "it has more than 8 regions";
    }
    if (m->len < 8 + (size_t)count * REGION_BYTES) {
        return "it is too short for its regions";
    }
    if (m->fd_count != count) {
        return "it has not as many descriptors as regions";
    }
    for (unsigned i = 0; i < count && !why; i++) {
        why = insert(s, regions, &made, m->payload + 8 + i * REGION_BYTES, m->fds[i]);
    }
    if (why) {
        unmap(s, regions, made);
        return why;
    }
    devemu_device_revoke(s->dev);
    unmap(s, s->regions, s->region_count);
    memcpy(s->regions, regions, made * sizeof(regions[0]));
    s->region_count = made;
    vhost_rings_moved(s);
    return NULL;
}

const char *vhost_get_max_mem_slots(DevemuVhostUser *s, const VhostMessage *m)
{
    vhost_reply_u64(s, m, VHOST_REGIONS);
    return NULL;
}

const char *vhost_add_mem_reg(DevemuVhostUser *s, const VhostMessage *m)
{
    const char *why;

    if (m->fd_count != 1) {
        return "it has no descriptor";
    }
    if (s->region_count == VHOST_REGIONS) {
        return "there are too many regions";
    }
    why = insert(s, s->regions, &s->region_count, m->payload + 8, m->fds[0]);
    if (why == NULL) {
        vhost_rings_moved(s);
    }
    return why;
}

/* spec: the offset does not matter, and a descriptor that came with it is closed. */
const char *vhost_rem_mem_reg(DevemuVhostUser *s, const VhostMessage *m)
{
    VhostRegion region = read_region(m->payload + 8);

    for (unsigned i = 0; i < s->region_count; i++) {
        const VhostRegion *r = &s->regions[i];

        if (r->guest == region.guest && r->user == region.user && r->len == region.len) {
            devemu_device_revoke(s->dev);
            server_file_unmap(&s->files, r->file);
            s->region_count--;
            memmove(&s->regions[i], &s->regions[i + 1],
                    (s->region_count - i) * sizeof(s->regions[0]));
            vhost_rings_moved(s);
            return NULL;
        }
    }
    return "there is no such region";
}

void vhost_memory_clear(DevemuVhostUser *s)
{
    devemu_device_revoke(s->dev);
    unmap(s, s->regions, s->region_count);
    s->region_count = 0;
}

/* --- the client's own addresses ---------------------------------------------------- */

uint8_t *vhost_user_data(const DevemuVhostUser *s, uint64_t user, uint64_t *ret_len,
                         uint64_t *ret_guest)
{
    const VhostRegion *region = region_of_user(s, user);

    if (region == NULL) {
        return NULL;
    }
    *ret_len = region->len - (user - region->user);
    *ret_guest = region->guest + (user - region->user);
    return region->data + (user - region->user);
}

bool vhost_user_address(const DevemuVhostUser *s, uint64_t user, uint64_t len, uint64_t *ret_addr)
{
    uint64_t room, guest;

    if (vhost_user_data(s, user, &room, &guest) == NULL || len > room) {
        return false;
    }
    *ret_addr = guest;
    return true;
}

/* --- the device's accesses --------------------------------------------------------- */

/* What lies at the device's address, how much of it, and the guest's address for the log. */
static uint8_t *piece(DevemuVhostUser *s, uint64_t addr, bool write, uint64_t *ret_len,
                      uint64_t *ret_guest)
{
    const VhostPage *page;
    const VhostRegion *region;
    uint8_t *data;
    uint64_t len;

    if (G_LIKELY(!vhost_translates(s))) {
        region = region_find(s, addr);
        if (region == NULL) {
            return NULL;
        }
        *ret_len = region->len - (addr - region->guest);
        *ret_guest = addr;
        return region->data + (addr - region->guest);
    }
    page = vhost_page_find(s, addr);
    if (page == NULL) {
        return NULL;
    }
    if (!vhost_page_allows(page, write)) {
        vhost_page_deny(s, addr, write);
        return NULL;
    }
    data = vhost_user_data(s, page->user + (addr - page->iova), &len, ret_guest);
    *ret_len = MIN(len, page->len - (addr - page->iova));
    return data;
}

bool vhost_host_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    uint8_t *to = buf;
    uint64_t room, guest;
    size_t step;

    for (; len > 0; addr += step, to += step, len -= step) {
        const uint8_t *from = piece(host, addr, false, &room, &guest);

        if (from == NULL) {
            return false;
        }
        step = (size_t)MIN(len, room);
        memcpy(to, from, step);
    }
    return true;
}

/* The log comes last: a client that sees the bit finds what was written. */
bool vhost_host_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuVhostUser *s = host;
    const uint8_t *from = buf;
    uint64_t room, guest;
    size_t step;

    for (; len > 0; addr += step, from += step, len -= step) {
        uint8_t *to = piece(s, addr, true, &room, &guest);

        if (to == NULL) {
            return false;
        }
        step = (size_t)MIN(len, room);
        memcpy(to, from, step);
        if (G_UNLIKELY(s->dirty.on)) {
            vhost_log_mark(s, addr, guest, step);
        }
    }
    return true;
}

/* While writes are logged they must come by vhost_host_dma_write(). */
bool vhost_host_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuVhostUser *s = host;
    const VhostPage *page;
    const VhostRegion *region;
    uint64_t guest, len;
    uint8_t *data;

    if (G_LIKELY(!vhost_translates(s))) {
        region = region_find(s, addr);
        if (region == NULL) {
            return false;
        }
        *ret_window = (DevemuWindow){region->guest, region->len, region->data, !s->dirty.on};
        return true;
    }
    page = vhost_page_find(s, addr);
    if (page == NULL || !vhost_page_allows(page, false)) {
        return false;
    }
    data = vhost_user_data(s, page->user, &len, &guest);
    if (data == NULL || len < page->len) {
        return false;
    }
    *ret_window =
        (DevemuWindow){page->iova, page->len, data, vhost_page_allows(page, true) && !s->dirty.on};
    return true;
}
