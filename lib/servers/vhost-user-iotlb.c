/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-iotlb.c: pages of I/O virtual addresses (spec "IOMMU support"): a cache of what the
 * client said, kept until it takes it back.
 *
 * A page that is not there is asked for, once, and nothing waits: a ring does not run while its own
 * areas are away, and a buffer of which a piece is away stays in its ring until an update has come
 * (devemu_virtqueue_set_present()). An answer that never comes starves that ring and no other.
 */
#include "vhost-user.h"

/* More are not kept: the client is asked again. */
#define PAGES 16384u

#define PERMS (VHOST_IOTLB_READ | VHOST_IOTLB_WRITE)

/* The first page that ends at or behind iova. */
static unsigned search(const DevemuVhostUser *s, uint64_t iova)
{
    unsigned low = 0, high = s->page_count;

    while (low < high) {
        unsigned mid = low + (high - low) / 2;

        if (s->pages[mid].iova + (s->pages[mid].len - 1) < iova) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

const VhostPage *vhost_page_find(DevemuVhostUser *s, uint64_t iova)
{
    unsigned i = s->last_page;

    if (i < s->page_count && iova - s->pages[i].iova < s->pages[i].len) {
        return &s->pages[i];
    }
    i = search(s, iova);
    if (i == s->page_count || iova < s->pages[i].iova) {
        return NULL;
    }
    s->last_page = i;
    return &s->pages[i];
}

/* --- what is asked for ------------------------------------------------------------- */

void vhost_misses_forget(DevemuVhostUser *s)
{
    s->miss_count = s->misses_sent = 0;
    s->denied.perm = 0;
}

/* False: no more can be asked now. An update that comes makes room. */
static bool ask(DevemuVhostUser *s, uint64_t iova, bool write)
{
    for (unsigned i = 0; i < s->miss_count; i++) {
        if (s->misses[i].iova == iova) {
            return true;
        }
    }
    if (s->miss_count == VHOST_MISSES) {
        return false;
    }
    s->misses[s->miss_count++] = (VhostMiss){iova, vhost_iotlb_perm(write)};
    return true;
}

/* The client has spoken of [iova, last]. */
static void answered(DevemuVhostUser *s, uint64_t iova, uint64_t last)
{
    unsigned kept = 0, sent = 0;

    for (unsigned i = 0; i < s->miss_count; i++) {
        VhostMiss miss = s->misses[i];

        if (miss.iova > last || miss.iova + (VHOST_PAGE_BYTES - 1) < iova) {
            s->misses[kept++] = miss;
            sent += i < s->misses_sent;
        }
    }
    s->miss_count = kept;
    s->misses_sent = sent;
    if (s->denied.iova <= last && s->denied.iova + (VHOST_PAGE_BYTES - 1) >= iova) {
        s->denied.perm = 0;
    }
}

bool vhost_pages_present(void *opaque, uint64_t addr, uint64_t len, bool write)
{
    DevemuVhostUser *s = opaque;
    bool there = true, room = true;
    uint64_t step;

    if (s->channel < 0 || len == 0 || len - 1 > UINT64_MAX - addr) {
        return true;
    }
    for (; len > 0 && room; addr += step, len -= step) {
        const VhostPage *page = vhost_page_find(s, addr);

        if (page) {
            step = page->len - (addr - page->iova);
        } else {
            step = VHOST_PAGE_BYTES - addr % VHOST_PAGE_BYTES;
            room = ask(s, addr - addr % VHOST_PAGE_BYTES, write);
            there = false;
        }
        step = MIN(step, len);
    }
    if (!there) {
        vhost_channel_pages(s);
    }
    return there;
}

/* Each page once, until the client speaks of it or another is denied. */
void vhost_page_deny(DevemuVhostUser *s, uint64_t addr, bool write)
{
    const VhostMiss denied = {addr - addr % VHOST_PAGE_BYTES, vhost_iotlb_perm(write)};

    if (s->denied.iova == denied.iova && s->denied.perm == denied.perm) {
        return;
    }
    vhost_log(s, "the page at 0x%" PRIx64 " does not let the device %s", denied.iova,
              write ? "write" : "read");
    s->denied = denied;
    s->denied_sent = false;
    vhost_channel_pages(s);
}

/* --- pages ------------------------------------------------------------------------- */

/* All pages that touch [iova, last] go. Returns where they were. */
static unsigned drop(DevemuVhostUser *s, uint64_t iova, uint64_t last)
{
    unsigned from = search(s, iova), to = from;

    while (to < s->page_count && s->pages[to].iova <= last) {
        to++;
    }
    if (to > from) {
        vhost_rings_lose(s, s->pages[from].iova,
                         s->pages[to - 1].iova + (s->pages[to - 1].len - 1));
        devemu_device_revoke(s->dev);
        memmove(&s->pages[from], &s->pages[to], (s->page_count - to) * sizeof(s->pages[0]));
        s->page_count -= to - from;
    }
    return from;
}

static void insert(DevemuVhostUser *s, unsigned at, const VhostPage *page)
{
    if (s->page_count == s->page_capacity) {
        s->page_capacity = MAX(64, s->page_capacity * 2);
        s->pages = g_renew(VhostPage, s->pages, s->page_capacity);
    }
    memmove(&s->pages[at + 1], &s->pages[at], (s->page_count - at) * sizeof(*page));
    s->pages[at] = *page;
    s->page_count++;
}

/* Two misses may have led to one page. */
static bool known(DevemuVhostUser *s, const VhostPage *page)
{
    const VhostPage *old = vhost_page_find(s, page->iova);

    return old && old->iova == page->iova && old->len == page->len && old->user == page->user &&
           old->perm == page->perm;
}

static const char *update(DevemuVhostUser *s, const VhostPage *page)
{
    uint64_t addr;
    unsigned at;

    if (!vhost_user_address(s, page->user, page->len, &addr)) {
        return "a page is outside memory";
    }
    if (page->perm & ~PERMS) {
        return "a page is read, written, or both";
    }
    if (known(s, page)) {
        return NULL;
    }
    if (s->page_count >= PAGES) {
        vhost_pages_clear(s);
    }
    at = drop(s, page->iova, page->iova + (page->len - 1));
    if (page->perm) {
        insert(s, at, page);
    }
    return NULL;
}

const char *vhost_iotlb_msg(DevemuVhostUser *s, const VhostMessage *m)
{
    const uint8_t *p = m->payload;
    const VhostPage page = {.iova = server_get64(p),
                            .len = server_get64(p + 8),
                            .user = server_get64(p + 16),
                            .perm = p[VHOST_IOTLB_PERM_AT]};
    const char *why = NULL;

    if (page.len == 0 || page.iova + (page.len - 1) < page.iova) {
        return "a page is empty, or wraps";
    }
    if (!vhost_translates(s)) {
        return "there is no IOMMU without VIRTIO_F_ACCESS_PLATFORM";
    }
    answered(s, page.iova, page.iova + (page.len - 1));
    if (p[VHOST_IOTLB_TYPE_AT] == VHOST_IOTLB_UPDATE) {
        why = update(s, &page);
    } else if (p[VHOST_IOTLB_TYPE_AT] == VHOST_IOTLB_INVALIDATE) {
        drop(s, page.iova, page.iova + (page.len - 1));
    } else {
        why = "it is neither an update nor an invalidation";
    }
    vhost_rings_moved(s);
    return why;
}

void vhost_pages_clear(DevemuVhostUser *s)
{
    vhost_rings_lose(s, 0, UINT64_MAX);
    devemu_device_revoke(s->dev);
    vhost_misses_forget(s);
    g_clear_pointer(&s->pages, g_free);
    s->page_count = s->page_capacity = 0;
}
