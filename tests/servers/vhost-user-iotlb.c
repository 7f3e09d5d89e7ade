/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user-iotlb.c: the vhost-user server behind an IOMMU: pages that are asked for, come and go.
 */
#define _GNU_SOURCE
#include "vhost-client.h"

/* The ring's areas fill two pages from RING on, of which page 0 has what the device reads; DATA is
 * where buffers are. */
#define RING UINT64_C(0xfff00000)
#define DATA UINT64_C(0xfff40000)
#define PAGE VHOST_PAGE_BYTES

enum {
    READ = 1,
    WRITE = 2,
    BOTH = 3,

    MISS = 1,
    UPDATE = 2,
    INVALIDATE = 3,
    ACCESS_FAIL = 4,
};

/* Page n of the data is page n of the memory there. */
static void map_data(VhostClient *c, unsigned page, unsigned perm)
{
    cr_assert(vc_iotlb(c, DATA + page * PAGE, PAGE, VC_USER + VC_DATA + page * PAGE, perm, UPDATE),
              "%s", c->log->str);
}

static void map_ring(VhostClient *c, unsigned page)
{
    cr_assert(vc_iotlb(c, RING + page * PAGE, PAGE, VC_USER + VC_RINGS + page * PAGE, BOTH, UPDATE),
              "%s", c->log->str);
}

/* A message about a page on the channel; false: there is none. */
static bool hears(VhostClient *c, unsigned type, uint64_t *ret_iova, unsigned *ret_perm)
{
    uint8_t m[VHOST_HEADER_BYTES + 32];

    if (recv(c->channel, m, sizeof(m), MSG_DONTWAIT) <= 0) {
        return false;
    }
    cr_assert_eq(server_get32(m), VHOST_BACKEND_IOTLB_MSG);
    cr_assert_eq(server_get32(m + 4), VHOST_VERSION);
    cr_assert_eq(server_get32(m + 8), 32);
    cr_assert_eq(server_get64(m + 20), PAGE);
    cr_assert_eq(m[37], type);
    *ret_iova = server_get64(m + 12);
    *ret_perm = m[36];
    return true;
}

static void asks(VhostClient *c, uint64_t wanted, unsigned wanted_perm)
{
    uint64_t iova;
    unsigned perm;

    cr_assert(hears(c, MISS, &iova, &perm), "nothing is asked");
    cr_assert_eq(iova, wanted, "0x%" PRIx64, iova);
    cr_assert_eq(perm, wanted_perm);
}

static void asks_no_more(VhostClient *c)
{
    uint64_t iova;
    unsigned perm;

    cr_assert_not(hears(c, MISS, &iova, &perm), "0x%" PRIx64 " is asked for", iova);
}

/* An entropy device whose ring 0 waits for its pages. */
static VhostClient *begin(uint64_t features)
{
    VhostClient *c = vc_new_rng("iommu_platform=on", VC_PROTOCOL);
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert(vc_do_fds(c, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1));
    close(pair[1]);
    c->channel = pair[0];
    features |= VC_FEATURES | VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM);
    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, features), "%s", c->log->str);
    cr_assert(vc_give_memory(c));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, VC_NUM));
    cr_assert(vc_set_addr(c, 0, RING, 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &c->kick[0]));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_CALL, 0, &c->call[0]));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, 0, 1));
    return c;
}

/* And it runs. */
static VhostClient *start(uint64_t features)
{
    VhostClient *c = begin(features);

    asks(c, RING, READ);
    asks(c, RING + PAGE, WRITE);
    map_ring(c, 0);
    map_ring(c, 1);
    asks_no_more(c);
    cr_assert(c->server->rings[0].running, "%s", c->log->str);
    return c;
}

/* There is entropy, and the driver makes a buffer for it available. */
static void wants(VhostClient *c, const char *entropy, uint64_t addr, uint32_t len)
{
    vc_feed(c, entropy);
    vc_add(c, 0, addr, len, true);
    vc_kick(c, 0);
}

static void waits(VhostClient *c)
{
    uint32_t id, len;

    cr_assert_not(vc_used(c, 0, &id, &len), "buffer %u is used", id);
    cr_assert_null(devemu_virtqueue_broken(devemu_virtio_queue(c->server->dev, 0)));
    cr_assert_eq(devemu_virtio_read(c->server->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1) &
                     DEVEMU_VIRTIO_NEEDS_RESET,
                 0);
    cr_assert_eq(g_main_context_iteration(c->context, FALSE), FALSE, "it is busy");
}

static void used(VhostClient *c, unsigned wanted_id, unsigned wanted_len)
{
    uint32_t id, len;

    vc_run(c);
    cr_assert(vc_used(c, 0, &id, &len), "the buffer does not come back: %s", c->log->str);
    cr_assert_eq(id, wanted_id);
    cr_assert_eq(len, wanted_len);
}

/* --- rings ------------------------------------------------------------------------- */

Test(vhost_user_iotlb, ring_runs_when_all_its_pages_are_there)
{
    VhostClient *c = begin(0);

    asks(c, RING, READ);
    asks(c, RING + PAGE, WRITE);
    asks_no_more(c);
    cr_assert_not(c->server->rings[0].running);
    map_ring(c, 1);
    cr_assert_not(c->server->rings[0].running);
    asks_no_more(c);
    map_ring(c, 0);
    cr_assert(c->server->rings[0].running, "%s", c->log->str);
    cr_assert_str_eq(c->log->str, "");
    vc_free(c);
}

Test(vhost_user_iotlb, ring_whose_page_goes_stops_and_goes_on_where_it_was)
{
    VhostClient *c = start(0);

    map_data(c, 0, BOTH);
    wants(c, "one", DATA, 3);
    used(c, 0, 3);

    cr_assert(vc_iotlb(c, RING + PAGE, PAGE, 0, 0, INVALIDATE));
    cr_assert_not(c->server->rings[0].running);
    asks(c, RING + PAGE, WRITE);
    wants(c, "two", DATA, 3);
    waits(c);
    map_ring(c, 1);
    used(c, 1, 3);
    cr_assert_arr_eq(c->ram + VC_DATA, "two", 3);
    vc_free(c);
}

Test(vhost_user_iotlb, page_that_is_said_twice_stops_nothing)
{
    VhostClient *c = start(0);

    map_ring(c, 1);
    cr_assert(c->server->rings[0].running);
    cr_assert_not(c->server->rings[0].exact, "it was stopped");
    vc_free(c);
}

/* --- buffers ----------------------------------------------------------------------- */

Test(vhost_user_iotlb, buffer_waits_for_its_page_and_needs_no_other_kick)
{
    VhostClient *c = start(0);

    wants(c, "late", DATA + 8, 4);
    waits(c);
    asks(c, DATA, WRITE);
    vc_kick(c, 0);
    waits(c);
    asks_no_more(c);

    map_data(c, 0, WRITE);
    used(c, 0, 4);
    cr_assert_arr_eq(c->ram + VC_DATA + 8, "late", 4);
    vc_free(c);
}

Test(vhost_user_iotlb, buffers_wait_in_their_order)
{
    VhostClient *c = start(0);

    map_data(c, 1, BOTH);
    vc_feed(c, "zero");
    vc_feed(c, "once");
    vc_add(c, 0, DATA, 4, true);
    vc_add(c, 0, DATA + PAGE, 4, true);
    vc_kick(c, 0);
    waits(c);
    map_data(c, 0, BOTH);
    used(c, 0, 4);
    used(c, 1, 4);
    cr_assert_arr_eq(c->ram + VC_DATA, "zero", 4);
    cr_assert_arr_eq(c->ram + VC_DATA + PAGE, "once", 4);
    vc_free(c);
}

Test(vhost_user_iotlb, all_pages_of_a_buffer_are_asked_for_at_once)
{
    VhostClient *c = start(0);
    g_autofree char *text = g_strnfill(2 * PAGE, 'p');

    wants(c, text, DATA + PAGE / 2, 2 * PAGE);
    for (unsigned i = 0; i < 3; i++) {
        asks(c, DATA + i * PAGE, WRITE);
    }
    asks_no_more(c);
    map_data(c, 2, BOTH);
    map_data(c, 0, BOTH);
    waits(c);
    asks_no_more(c);
    map_data(c, 1, BOTH);
    used(c, 0, 2 * PAGE);
    cr_assert_arr_eq(c->ram + VC_DATA + PAGE / 2, text, 2 * PAGE);
    vc_free(c);
}

Test(vhost_user_iotlb, no_more_are_asked_for_than_can_be_kept)
{
    enum { PAGES = VHOST_MISSES + 20 };
    VhostClient *c = start(0);

    wants(c, "x", DATA, PAGES * PAGE);
    for (unsigned i = 0; i < VHOST_MISSES; i++) {
        asks(c, DATA + i * PAGE, WRITE);
    }
    asks_no_more(c);
    for (unsigned i = 0; i < PAGES; i++) {
        waits(c);
        map_data(c, i, BOTH);
        vc_run(c);
        if (i + VHOST_MISSES < PAGES) {
            asks(c, DATA + (i + VHOST_MISSES) * PAGE, WRITE);
        }
        asks_no_more(c);
    }
    used(c, 0, 1);
    vc_free(c);
}

Test(vhost_user_iotlb, indirect_table_is_waited_for)
{
    VhostClient *c = start(VHOST_BIT(VIRTIO_F_INDIRECT_DESC));
    uint8_t *table = c->ram + VC_DATA;

    devemu_put_le64(table, DATA + PAGE);
    devemu_put_le32(table + 8, 5);
    devemu_put_le16(table + 12, 2);
    vc_add(c, 0, DATA, 16, false);
    devemu_put_le16(vc_ring(c, 0) + 12, 4);
    vc_feed(c, "table");
    vc_kick(c, 0);
    waits(c);
    asks(c, DATA, READ);
    map_data(c, 0, READ);
    vc_run(c);
    waits(c);
    asks(c, DATA + PAGE, WRITE);
    map_data(c, 1, WRITE);
    used(c, 0, 5);
    cr_assert_arr_eq(c->ram + VC_DATA + PAGE, "table", 5);
    vc_free(c);
}

Test(vhost_user_iotlb, page_that_went_is_asked_for_again)
{
    VhostClient *c = start(0);

    map_data(c, 0, BOTH);
    wants(c, "a", DATA, 1);
    used(c, 0, 1);
    cr_assert(vc_iotlb(c, DATA, PAGE, 0, 0, INVALIDATE));
    wants(c, "b", DATA, 1);
    waits(c);
    asks(c, DATA, WRITE);

    /* One that was not there at all: what was asked for it may have had no answer. */
    cr_assert(vc_iotlb(c, DATA, PAGE, 0, 0, INVALIDATE));
    vc_run(c);
    asks(c, DATA, WRITE);
    asks_no_more(c);
    cr_assert(vc_iotlb(c, DATA, PAGE, VC_USER + VC_DATA + PAGE, BOTH, UPDATE));
    used(c, 1, 1);
    cr_assert_eq(c->ram[VC_DATA + PAGE], 'b');
    vc_free(c);
}

Test(vhost_user_iotlb, stop_leaves_what_waits_in_its_ring)
{
    VhostClient *c = start(0);

    wants(c, "still", DATA, 5);
    asks(c, DATA, WRITE);
    cr_assert_eq(vc_get_base(c, 0), 0);
    cr_assert_eq(c->server->page_count, 0, "pages are kept of which nobody tells");

    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_BASE, 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &c->kick[0]));
    asks(c, RING, READ);
    asks(c, RING + PAGE, WRITE);
    map_ring(c, 0);
    map_ring(c, 1);
    vc_run(c);
    asks(c, DATA, WRITE);
    map_data(c, 0, BOTH);
    used(c, 0, 5);
    vc_free(c);
}

/* --- what is refused --------------------------------------------------------------- */

Test(vhost_user_iotlb, access_that_its_page_does_not_allow_fails_and_is_told_once)
{
    VhostClient *c = start(0);
    uint64_t iova;
    unsigned perm;

    map_data(c, 0, READ);
    for (unsigned i = 0; i < 2; i++) {
        wants(c, "no", DATA, 2);
        used(c, i, 0);
    }
    cr_assert(hears(c, ACCESS_FAIL, &iova, &perm), "nothing is told");
    cr_assert_eq(iova, DATA);
    cr_assert_eq(perm, WRITE);
    asks_no_more(c);
    cr_assert(strstr(c->log->str, "0xfff40000"), "%s", c->log->str);
    cr_assert_eq(c->ram[VC_DATA], 0);

    map_data(c, 0, BOTH);
    wants(c, "now", DATA, 3);
    used(c, 2, 3);
    vc_free(c);
}

Test(vhost_user_iotlb, messages_that_are_none_are_refused_and_harm_nothing)
{
    VhostClient *c = start(0);
    VhostClient *without;

    cr_assert_not(vc_iotlb(c, DATA, PAGE, VC_USER, BOTH, MISS), "a miss is ours");
    cr_assert_not(vc_iotlb(c, DATA, PAGE, VC_USER, BOTH, ACCESS_FAIL));
    cr_assert_not(vc_iotlb(c, DATA, PAGE, VC_USER, BOTH, 0));
    cr_assert_not(vc_iotlb(c, DATA, PAGE, VC_USER, 4, UPDATE), "no such permission");
    cr_assert_not(vc_iotlb(c, DATA, 0, VC_USER, BOTH, UPDATE), "empty");
    cr_assert_not(vc_iotlb(c, UINT64_MAX - 1, 4096, VC_USER, BOTH, UPDATE), "wraps");
    cr_assert_not(vc_iotlb(c, DATA, VC_RAM, VC_USER + PAGE, BOTH, UPDATE), "outside memory");
    cr_assert_not(vc_iotlb(c, DATA, PAGE, UINT64_MAX - 100, BOTH, UPDATE), "outside memory");
    cr_assert(strstr(c->log->str, "IOTLB_MSG"), "%s", c->log->str);
    cr_assert(c->server->rings[0].running);
    cr_assert_eq(c->server->page_count, 2);
    asks_no_more(c);
    vc_free(c);

    without = vc_new_rng(NULL, VC_PROTOCOL);
    vc_start(without, 0);
    cr_assert_not(vc_iotlb(without, DATA, PAGE, VC_USER, BOTH, UPDATE), "there is no IOMMU");
    vc_free(without);
}

/* The table of pages is bounded; the ring goes, is asked for and comes again. */
Test(vhost_user_iotlb, more_pages_than_are_kept_lose_nothing)
{
    VhostClient *c = start(0);
    bool lost = false;

    for (unsigned i = 0; i < 40000 && !lost; i++) {
        cr_assert(vc_iotlb(c, i * UINT64_C(0x2000), PAGE, VC_USER, BOTH, UPDATE));
        lost = !c->server->rings[0].running;
    }
    cr_assert(lost, "all are kept");
    asks(c, RING, READ);
    asks(c, RING + PAGE, WRITE);
    map_ring(c, 0);
    map_ring(c, 1);
    map_data(c, 0, BOTH);
    wants(c, "on", DATA, 2);
    used(c, 0, 2);
    vc_free(c);
}
