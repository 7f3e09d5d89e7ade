/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-iotlb.c: pages of I/O virtual addresses (spec "IOMMU support"): a cache of what the
 * client said, kept until it takes it back.
 */
#include "vhost-user.h"

/* More are not kept: the client is asked again. */
#define PAGES 16384u

enum {
    PERM_READ = 1,
    PERM_WRITE = 2,

    TYPE_UPDATE = 2,
    TYPE_INVALIDATE = 3,
};

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

/* All pages that touch [iova, last] go. Returns where they were. */
static unsigned drop(DevemuVhostUser *s, uint64_t iova, uint64_t last)
{
    unsigned from = search(s, iova), to = from;

    while (to < s->page_count && s->pages[to].iova <= last) {
        to++;
    }
    if (to > from) {
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

static const char *update(DevemuVhostUser *s, const VhostPage *page)
{
    uint64_t addr;
    unsigned at;

    if (!vhost_user_address(s, page->user, page->len, &addr)) {
        return "a page is outside memory";
    }
    if (s->page_count >= PAGES) {
        vhost_pages_clear(s);
    }
    at = drop(s, page->iova, page->iova + (page->len - 1));
    if (page->perm & (PERM_READ | PERM_WRITE)) {
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
                            .perm = p[24]};
    const char *why = NULL;

    if (page.len == 0 || page.iova + (page.len - 1) < page.iova) {
        return "a page is empty, or wraps";
    }
    if (p[25] == TYPE_UPDATE) {
        why = update(s, &page);
    } else if (p[25] == TYPE_INVALIDATE) {
        drop(s, page.iova, page.iova + (page.len - 1));
    } else {
        why = "it is neither an update nor an invalidation";
    }
    vhost_rings_moved(s);
    return why;
}

void vhost_pages_clear(DevemuVhostUser *s)
{
    devemu_device_revoke(s->dev);
    g_clear_pointer(&s->pages, g_free);
    s->page_count = s->page_capacity = 0;
}
