/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user-memory.c: the vhost-user server's memory, log, pages, and state; hostile clients. */
#define _GNU_SOURCE
#include "vhost-client.h"

/* --- regions ----------------------------------------------------------------------- */

static bool give_two(VhostClient *c, uint64_t second_guest, uint64_t second_user, uint64_t len,
                     uint64_t offset, unsigned fds)
{
    uint8_t payload[72] = {0};
    const int both[2] = {c->memory, c->memory};

    server_put32(payload, 2);
    vc_region(payload + 8, VC_GUEST, VC_RAM / 2, VC_USER, 0);
    vc_region(payload + 40, second_guest, len, second_user, offset);
    return vc_do_fds(c, VHOST_USER_SET_MEM_TABLE, payload, sizeof(payload), both, fds);
}

Test(vhost_user_memory, table_of_two_regions_of_one_file)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);

    cr_assert(give_two(c, 0x1000, VC_USER + VC_RAM, VC_RAM / 2, VC_RAM / 2, 2));
    cr_assert_eq(c->server->region_count, 2);
    cr_assert_eq(g_hash_table_size(c->server->files.table), 1);
    vc_free(c);
}

Test(vhost_user_memory, tables_that_cannot_be_are_refused_and_the_old_one_stays)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    uint8_t payload[8] = {9};

    cr_assert(vc_give_memory(c));
    cr_assert_not(give_two(c, VC_GUEST, VC_USER + VC_RAM, 4096, 0, 2), "guest overlap");
    cr_assert_not(give_two(c, 0x1000, VC_USER + 4096, 4096, 0, 2), "user overlap");
    cr_assert_not(give_two(c, 0x1000, VC_USER + VC_RAM, 0, 0, 2), "empty");
    cr_assert_not(give_two(c, UINT64_MAX - 10, VC_USER + VC_RAM, 4096, 0, 2), "wraps");
    cr_assert_not(give_two(c, 0x1000, VC_USER + VC_RAM, VC_RAM, 4096, 2), "behind its file");
    cr_assert_not(give_two(c, 0x1000, VC_USER + VC_RAM, 4096, UINT64_MAX, 2), "offset");
    cr_assert_not(give_two(c, 0x1000, VC_USER + VC_RAM, 4096, 0, 1), "a descriptor is missing");
    cr_assert_not(vc_do(c, VHOST_USER_SET_MEM_TABLE, payload, sizeof(payload)), "nine regions");
    payload[0] = 1;
    cr_assert_not(vc_do(c, VHOST_USER_SET_MEM_TABLE, payload, sizeof(payload)), "too short");

    cr_assert_eq(c->server->region_count, 1);
    cr_assert_eq(c->server->regions[0].guest, VC_GUEST);
    vc_free(c);
}

Test(vhost_user_memory, regions_are_added_and_removed)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    uint8_t payload[40] = {0};

    cr_assert_eq(vc_ask_u64(c, VHOST_USER_GET_MAX_MEM_SLOTS), VHOST_REGIONS);
    for (unsigned i = 0; i < 4; i++) {
        vc_region(payload + 8, VC_GUEST + i * 0x10000, 0x10000, VC_USER + i * 0x10000, i * 0x10000);
        cr_assert(vc_do_fds(c, VHOST_USER_ADD_MEM_REG, payload, sizeof(payload), &c->memory, 1));
    }
    cr_assert_not(vc_do_fds(c, VHOST_USER_ADD_MEM_REG, payload, sizeof(payload), &c->memory, 1));
    vc_region(payload + 8, VC_GUEST + 0x10000, 0x10000, VC_USER + 0x10000, 77);
    cr_assert(vc_do(c, VHOST_USER_REM_MEM_REG, payload, sizeof(payload)));
    cr_assert_not(vc_do(c, VHOST_USER_REM_MEM_REG, payload, sizeof(payload)));
    cr_assert_eq(c->server->region_count, 3);
    vc_free(c);
}

Test(vhost_user_memory, ring_stops_when_its_memory_goes_and_goes_on_when_it_comes_back)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    uint8_t payload[40] = {0};

    vc_start(c, 0);
    vc_feed(c, "one");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 3), 3);
    vc_region(payload + 8, VC_GUEST, VC_RAM, VC_USER, 0);
    cr_assert(vc_do(c, VHOST_USER_REM_MEM_REG, payload, sizeof(payload)));
    cr_assert_not(c->server->rings[0].running);

    cr_assert(vc_do_fds(c, VHOST_USER_ADD_MEM_REG, payload, sizeof(payload), &c->memory, 1));
    cr_assert(c->server->rings[0].running, "%s", c->log->str);
    vc_feed(c, "two");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 3), 3);
    vc_free(c);
}

Test(vhost_user_memory, ring_outside_memory_does_not_start)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    cr_assert(vc_give_memory(c));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, VC_NUM));
    cr_assert(vc_set_addr(c, 0, VC_USER + VC_RAM - 0x1000, 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &c->kick[0]));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, 0, 1));

    cr_assert_not(c->server->rings[0].running);
    cr_assert(strstr(c->log->str, "ring 0 cannot be started"), "%s", c->log->str);
    vc_free(c);
}

Test(vhost_user_memory, buffer_outside_memory_is_used_with_nothing_in_it)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);

    vc_start(c, 0);
    vc_feed(c, "lost");
    cr_assert_eq(vc_fetch(c, 0, 0x1000, 4), 0);
    vc_free(c);
}

Test(vhost_user_memory, file_that_is_cut_short_ends_the_connection)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    uint8_t payload[40] = {0};
    int open_file = memfd_create("open", MFD_CLOEXEC);

    cr_assert_eq(ftruncate(open_file, VC_RAM), 0);
    vc_start(c, 0);
    vc_region(payload + 8, 0x1000, VC_RAM, VC_USER + VC_RAM, 0);
    cr_assert(vc_do_fds(c, VHOST_USER_ADD_MEM_REG, payload, sizeof(payload), &open_file, 1));
    cr_assert_eq(ftruncate(open_file, 0), 0);
    vc_feed(c, "gone");
    vc_add(c, 0, 0x1000, 4, true);
    vc_kick(c, 0);

    cr_assert(vc_closed(c));
    close(open_file);
    vc_free(c);
}

/* --- the log ----------------------------------------------------------------------- */

static uint8_t *give_log(VhostClient *c, size_t bytes, int *ret_fd)
{
    uint64_t payload[2] = {bytes, 0};

    *ret_fd = memfd_create("log", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(*ret_fd, (off_t)bytes), 0);
    vc_send(c, VHOST_USER_SET_LOG_BASE, 0, payload, sizeof(payload), ret_fd, 1);
    cr_assert(vc_receive(c, VHOST_USER_SET_LOG_BASE));
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
}

static bool dirty(const uint8_t *log, uint64_t addr)
{
    return log[(addr >> 12) / 8] >> (addr >> 12) % 8 & 1;
}

/* spec "Migration": data and the used ring. */
Test(vhost_user_memory, all_that_is_written_is_logged_while_the_log_is_on)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    const size_t bytes = (VC_GUEST + VC_RAM) >> 15;
    uint8_t *log;
    int fd;

    vc_start(c, 0);
    log = give_log(c, bytes, &fd);
    vc_feed(c, "aaaabbbb");
    vc_fetch(c, 0, VC_GUEST + VC_DATA, 4);
    cr_assert_not(dirty(log, VC_GUEST + VC_DATA));

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES | VHOST_BIT(VHOST_LOG_ALL)));
    cr_assert(c->server->rings[0].running);
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 4);
    cr_assert_arr_eq(c->ram + VC_DATA, "bbbb", 4);
    cr_assert(dirty(log, VC_GUEST + VC_DATA));
    cr_assert(dirty(log, VC_GUEST + VC_RINGS + 0x1000));
    cr_assert_not(dirty(log, VC_GUEST + VC_DATA + 0x1000));

    /* Where the client says that the used ring is to be logged. */
    memset(log, 0, bytes);
    cr_assert(vc_set_addr(c, 0, vc_ring_user(0), VHOST_RING_LOG, 0x5000));
    vc_feed(c, "cc");
    vc_fetch(c, 0, VC_GUEST + VC_DATA, 2);
    cr_assert(dirty(log, 0x5000));
    cr_assert_not(dirty(log, VC_GUEST + VC_RINGS + 0x1000));

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    memset(log, 0, bytes);
    vc_feed(c, "dd");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 2), 2);
    cr_assert_not(dirty(log, VC_GUEST + VC_DATA));
    munmap(log, bytes);
    close(fd);
    vc_free(c);
}

Test(vhost_user_memory, log_that_is_too_short_or_outside_its_file)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    uint64_t payload[2] = {1 << 20, 4096};
    uint8_t *log;
    int fd;

    vc_start(c, VHOST_BIT(VHOST_LOG_ALL));
    log = give_log(c, 4096, &fd); /* covers the first 128 MiB only */
    vc_feed(c, "x");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 1), 1);
    for (unsigned i = 0; i < 4096; i++) {
        cr_assert_eq(log[i], 0);
    }
    vc_send(c, VHOST_USER_SET_LOG_BASE, 0, payload, sizeof(payload), &fd, 1);
    cr_assert(vc_receive(c, VHOST_USER_SET_LOG_BASE));
    cr_assert_eq(server_get64(vc_payload(c)), 1);
    munmap(log, 4096);
    close(fd);
    vc_free(c);
}

/* --- an IOMMU ---------------------------------------------------------------------- */

#define IOVA UINT64_C(0xfff00000)

Test(vhost_user_memory, addresses_are_pages_that_the_client_names)
{
    VhostClient *c = vc_new_rng("iommu_platform=on", VC_PROTOCOL);

    cr_assert(
        vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES | VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM)));
    cr_assert(vc_give_memory(c));
    cr_assert(vc_iotlb(c, IOVA, 0x2000, VC_USER + VC_RINGS, 3, 2));
    cr_assert(vc_iotlb(c, IOVA + 0x10000, 0x1000, VC_USER + VC_DATA, 3, 2));
    cr_assert_not(vc_iotlb(c, IOVA, 0x1000, VC_USER + VC_RAM, 3, 2), "outside memory");
    cr_assert_not(vc_iotlb(c, IOVA, 0, VC_USER, 3, 2), "empty");
    cr_assert_not(vc_iotlb(c, IOVA, 0x1000, VC_USER, 3, 7), "no such type");
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, VC_NUM));
    cr_assert(vc_set_addr(c, 0, IOVA, 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &c->kick[0]));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, 0, 1));
    cr_assert(c->server->rings[0].running, "%s", c->log->str);
    vc_feed(c, "page");
    cr_assert_eq(vc_fetch(c, 0, IOVA + 0x10000, 4), 4);
    cr_assert_arr_eq(c->ram + VC_DATA, "page", 4);

    /* The guest's own address is not one of the device's. */
    vc_feed(c, "none");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 0);
    vc_free(c);
}

/* --- in flight --------------------------------------------------------------------- */

#define VC_INFLIGHT (VC_PROTOCOL | VHOST_BIT(VHOST_F_INFLIGHT_SHMFD))

static void ask_inflight(VhostClient *c, uint8_t payload[24])
{
    memset(payload, 0, 24);
    server_put16(payload + 16, 1);
    server_put16(payload + 18, VC_NUM);
    vc_ask(c, VHOST_USER_GET_INFLIGHT_FD, payload, 20);
    memcpy(payload, vc_payload(c), 20);
}

/* A server dies with buffers in its hands, out of order; the next one gives them to its device
 * first. Our device keeps none, so the memory is written as such a server leaves it. */
Test(vhost_user_memory, buffers_in_flight_of_a_server_that_died_come_again)
{
    VhostClient *c = vc_new_rng(NULL, VC_INFLIGHT);
    uint8_t payload[24], *region;
    uint32_t id, len;

    ask_inflight(c, payload);
    cr_assert_geq(server_get64(payload), 16 + 16 * VC_NUM);
    cr_assert_geq(c->reply_fd, 0);
    region = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, c->reply_fd, 0);
    server_put16(region + 8, 1);       /* version */
    server_put16(region + 10, VC_NUM); /* desc_num */
    server_put16(region + 14, 0);      /* used_idx: one behind the ring's */
    server_put16(region + 12, 1);      /* the last batch: 1 was used, and never marked so */
    region[16 + 1 * 16] = 1;
    region[16 + 0 * 16] = 1;
    server_put64(region + 16 + 0 * 16 + 8, 7); /* counters: 2 before 0 */
    region[16 + 2 * 16] = 1;
    server_put64(region + 16 + 2 * 16 + 8, 5);
    for (unsigned i = 0; i < 3; i++) {
        vc_add(c, 0, VC_GUEST + VC_DATA + i * 16, 4, true);
    }
    devemu_put_le32(vc_ring(c, 0) + 0x1004, 1);
    devemu_put_le16(vc_ring(c, 0) + 0x1002, 1);
    c->used[0] = 1;

    cr_assert(vc_do_fds(c, VHOST_USER_SET_INFLIGHT_FD, payload, 20, &c->reply_fd, 1), "%s",
              c->log->str);
    vc_start(c, 0);
    vc_feed(c, "twotzero");
    vc_kick(c, 0);

    cr_assert(vc_used(c, 0, &id, &len), "%s", c->log->str);
    cr_assert_eq(id, 2);
    cr_assert(vc_used(c, 0, &id, &len));
    cr_assert_eq(id, 0);
    cr_assert_not(vc_used(c, 0, &id, &len));
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(region[16 + i * 16], 0, "%u is still in flight", i);
    }
    cr_assert_eq(server_get16(region + 14), 3);
    munmap(region, 4096);
    vc_free(c);
}

/* The same of a packed ring. Its memory has copies of the descriptors; the ring's positions are not
 * asked of the client. */
Test(vhost_user_memory, buffers_in_flight_of_a_packed_ring_come_again)
{
    VhostClient *c = vc_new_rng("packed=on", VC_INFLIGHT);
    uint8_t payload[24], *region, *ring = vc_ring(c, 0);

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES | VHOST_BIT(VIRTIO_F_RING_PACKED)),
              "%s", c->log->str);
    ask_inflight(c, payload);
    cr_assert_geq(server_get64(payload), 32 + 32 * VC_NUM);
    region = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, c->reply_fd, 0);
    server_put16(region + 8, 1);       /* version */
    server_put16(region + 10, VC_NUM); /* desc_num */
    server_put16(region + 12, 2);      /* free_head */
    server_put16(region + 14, 2);      /* old_free_head */
    region[20] = region[21] = 1;       /* the wrap counters */
    for (unsigned i = 0; i < VC_NUM; i++) {
        server_put16(region + 32 + i * 32 + 2, (uint16_t)(i + 1)); /* next */
    }
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *entry = region + 32 + i * 32, *desc = ring + i * 16;

        devemu_put_le64(desc, VC_GUEST + VC_DATA + i * 16);
        devemu_put_le32(desc + 8, 4);
        devemu_put_le16(desc + 12, (uint16_t)i);
        devemu_put_le16(desc + 14, 0x82); /* AVAIL, WRITE */
        entry[0] = 1;
        server_put16(entry + 4, (uint16_t)i);  /* last */
        server_put16(entry + 6, 1);            /* num */
        server_put64(entry + 8, 9 - i);        /* counter: 1 before 0 */
        server_put16(entry + 16, (uint16_t)i); /* id */
        server_put16(entry + 18, 0x82);        /* flags */
        server_put32(entry + 20, 4);           /* len */
        server_put64(entry + 24, VC_GUEST + VC_DATA + i * 16);
    }

    cr_assert(vc_do_fds(c, VHOST_USER_SET_INFLIGHT_FD, payload, 20, &c->reply_fd, 1), "%s",
              c->log->str);
    vc_start(c, VHOST_BIT(VIRTIO_F_RING_PACKED));
    vc_feed(c, "one.");
    vc_feed(c, "zero");
    vc_kick(c, 0);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(devemu_le16(ring + i * 16 + 14), 0x8082, "place %u: %s", i, c->log->str);
        cr_assert_eq(devemu_le16(ring + i * 16 + 12), 1 - i);
        cr_assert_eq(region[32 + i * 32], 0, "%u is still in flight", i);
    }
    cr_assert_arr_eq(c->ram + VC_DATA, "zero", 4);
    cr_assert_arr_eq(c->ram + VC_DATA + 16, "one.", 4);
    cr_assert_eq(server_get16(region + 18), 2);
    munmap(region, 4096);
    vc_free(c);
}

/* It is laid out for one kind of ring, and serves no other. */
Test(vhost_user_memory, memory_of_split_rings_is_not_used_for_packed_ones)
{
    VhostClient *c = vc_new_rng("packed=on", VC_INFLIGHT);
    uint8_t payload[24], *region;

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    ask_inflight(c, payload);
    region = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, c->reply_fd, 0);
    vc_start(c, VHOST_BIT(VIRTIO_F_RING_PACKED));
    cr_assert_eq(server_get16(region + 8), 0);
    munmap(region, 4096);
    vc_free(c);
}

Test(vhost_user_memory, memory_for_buffers_in_flight_must_be_large_enough)
{
    VhostClient *c = vc_new_rng(NULL, VC_INFLIGHT);
    uint8_t payload[24];
    int fd;

    ask_inflight(c, payload);
    fd = dup(c->reply_fd);
    server_put16(payload + 18, 1024);
    cr_assert_not(vc_do_fds(c, VHOST_USER_SET_INFLIGHT_FD, payload, 20, &fd, 1));
    server_put16(payload + 18, VC_NUM);
    server_put64(payload + 8, 1 << 20);
    cr_assert_not(vc_do_fds(c, VHOST_USER_SET_INFLIGHT_FD, payload, 20, &fd, 1));
    cr_assert_not(vc_do(c, VHOST_USER_SET_INFLIGHT_FD, payload, 20));
    close(fd);
    vc_free(c);
}

/* --- the device's state ------------------------------------------------------------ */

#define VC_STATE (VC_PROTOCOL | VHOST_BIT(VHOST_F_DEVICE_STATE))

static uint64_t set_state_fd(VhostClient *c, uint32_t direction, int fd)
{
    const uint32_t payload[2] = {direction, 0};

    vc_send(c, VHOST_USER_SET_DEVICE_STATE_FD, 0, payload, sizeof(payload), &fd, 1);
    cr_assert(vc_receive(c, VHOST_USER_SET_DEVICE_STATE_FD));
    return server_get64(vc_payload(c));
}

Test(vhost_user_memory, state_goes_from_one_server_to_another)
{
    VhostClient *from = vc_new_rng(NULL, VC_STATE), *to;
    g_autofree uint8_t *bytes = g_malloc(1 << 16);
    ssize_t len;
    int ends[2];

    vc_start(from, VHOST_BIT(VIRTIO_F_EVENT_IDX));
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(set_state_fd(from, 0, ends[1]), VHOST_NO_FD | 1, "a ring runs");
    vc_get_base(from, 0);
    cr_assert_eq(set_state_fd(from, 0, ends[1]), VHOST_NO_FD);
    close(ends[1]);
    vc_run(from);
    len = read(ends[0], bytes, 1 << 16);
    cr_assert_gt(len, 100);
    cr_assert_eq(read(ends[0], bytes + len, 1), 0, "the end does not come");
    close(ends[0]);
    cr_assert_eq(vc_ask_u64(from, VHOST_USER_CHECK_DEVICE_STATE), 0);

    to = vc_new_rng(NULL, VC_STATE);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(set_state_fd(to, 1, ends[0]), VHOST_NO_FD);
    close(ends[0]);
    cr_assert_eq(write(ends[1], bytes, (size_t)len), len);
    close(ends[1]);
    cr_assert_eq(vc_ask_u64(to, VHOST_USER_CHECK_DEVICE_STATE), 0, "%s", to->log->str);
    cr_assert(to->server->agreed);
    vc_start(to, VHOST_BIT(VIRTIO_F_EVENT_IDX));
    vc_feed(to, "there");
    cr_assert_eq(vc_fetch(to, 0, VC_GUEST + VC_DATA, 5), 5);

    vc_free(to);
    vc_free(from);
}

Test(vhost_user_memory, state_that_is_none_is_refused)
{
    VhostClient *c = vc_new_rng(NULL, VC_STATE);
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(set_state_fd(c, 1, ends[0]), VHOST_NO_FD);
    close(ends[0]);
    cr_assert_eq(write(ends[1], "rubbish", 7), 7);
    cr_assert_eq(vc_ask_u64(c, VHOST_USER_CHECK_DEVICE_STATE), 1, "the end has not come");
    close(ends[1]);

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(set_state_fd(c, 1, ends[0]), VHOST_NO_FD);
    close(ends[0]);
    cr_assert_eq(write(ends[1], "rubbish", 7), 7);
    close(ends[1]);
    cr_assert_eq(vc_ask_u64(c, VHOST_USER_CHECK_DEVICE_STATE), 1);
    vc_free(c);
}

/* --- messages that are none -------------------------------------------------------- */

static bool closes(const uint8_t *bytes, size_t len)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    bool closed;

    vc_send_raw(c, bytes, len, NULL, 0);
    closed = vc_closed(c);
    vc_free(c);
    return closed;
}

Test(vhost_user_memory, headers_that_cannot_be_end_the_connection)
{
    static const uint8_t version[] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t reply[] = {1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t size[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 16, 0, 0};

    cr_assert(closes(version, sizeof(version)));
    cr_assert(closes(reply, sizeof(reply)));
    cr_assert(closes(size, sizeof(size)));
}

Test(vhost_user_memory, requests_that_are_wrong_are_refused_and_the_connection_stays)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    const uint64_t ring_99 = 99;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_not(vc_do(c, 77, NULL, 0), "unknown");
    cr_assert_not(vc_do(c, VHOST_USER_SET_FEATURES, "1234", 4), "short");
    cr_assert_not(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 64, 16), "no such ring");
    cr_assert_not(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, 0), "size 0");
    cr_assert_not(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, 1 << 20), "too large");
    cr_assert_not(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, 0, 2));
    cr_assert_not(vc_do(c, VHOST_USER_SET_VRING_KICK, &ring_99, 8), "no such ring, and no fd");
    cr_assert_not(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &ends[1]), "a pipe");
    cr_assert_not(vc_give_event(c, VHOST_USER_SET_VRING_CALL, 0, &c->memory), "a file");
    cr_assert_not(vc_do(c, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0), "no descriptor");
    cr_assert_not(vc_do_u64(c, VHOST_USER_SET_STATUS, 1), "not negotiated");
    cr_assert_eq(c->server->stream.fd_count, 0);

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    close(ends[0]);
    close(ends[1]);
    vc_free(c);
}

Test(vhost_user_memory, size_that_is_no_power_of_two_does_not_start)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    cr_assert(vc_give_memory(c));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, 12));
    cr_assert(vc_set_addr(c, 0, vc_ring_user(0), 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &c->kick[0]));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, 0, 1));
    cr_assert_not(c->server->rings[0].running);
    vc_free(c);
}

Test(vhost_user_memory, message_in_pieces_is_one_message)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    uint8_t message[20] = {VHOST_USER_SET_FEATURES, 0, 0, 0, 9, 0, 0, 0, 8};

    server_put64(message + 12, VC_FEATURES);
    for (unsigned i = 0; i < sizeof(message); i++) {
        vc_send_raw(c, message + i, 1, NULL, 0);
        vc_run(c);
    }
    cr_assert(vc_receive(c, VHOST_USER_SET_FEATURES));
    cr_assert_eq(server_get64(vc_payload(c)), 0);
    vc_free(c);
}
