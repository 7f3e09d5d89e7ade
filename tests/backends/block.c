/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c: what all block media have in common, shown with those that need no file.
 */
#include "disk.h"

#include <devemu/record.h>

#include <errno.h>
#include <unistd.h>

/* --- names and options ------------------------------------------------------------- */

Test(block, bad_texts_are_refused_with_a_sentence)
{
    disk_refused("floppy:x", "there is no block medium");
    disk_refused("memory", "how large");
    disk_refused("memory:", "how large");
    disk_refused("memory:12", "must be a number");
    disk_refused("memory:1000", "whole number of blocks");
    disk_refused("memory:1M,color=red", "there is no option color");
    disk_refused("memory:1M,block-size=1000", "power of 2");
    disk_refused("memory:1M,lifetime=4:1:1", "lifetime");
    disk_refused("memory:1M,fault=munch:EIO", "begins with no operation");
    disk_refused("memory:1M,fault=read:EWHAT", "is no error");
    disk_refused("memory:1M,fault=read:every=3", "does nothing");
    disk_refused("memory:1M,fault=read:EIO:every=0", "must be a number");
}

Test(block, options_show_in_what_the_device_is_told)
{
    g_autoptr(DevemuBlock) block =
        disk_block("null:1T,readonly=on,block-size=4K,lifetime=1:5:11,discard=off");
    Disk *disk = disk_new(block);

    cr_assert_eq(disk->media, 1);
    cr_assert_eq(disk->info.capacity, UINT64_C(1) << 40);
    cr_assert_eq(disk->info.block_size, 4096);
    cr_assert_eq(disk->info.physical_size, 4096);
    cr_assert(disk->info.read_only);
    cr_assert_not(disk->info.discard);
    cr_assert_not(disk->info.write_zeroes);
    cr_assert_not(disk->info.write_cache);
    cr_assert(disk->info.lifetime);
    cr_assert_eq(disk->info.life_b, 11);
    disk_free(disk);
}

/* --- requests ---------------------------------------------------------------------- */

Test(block, memory_keeps_what_two_thousand_requests_wrote)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:1M");
    DevemuBlockStats stats;

    shadow_run(block, 2000, 1);

    devemu_block_stats(block, &stats);
    cr_assert_eq(stats.errors, 0);
    cr_assert_eq(stats.in_flight, 0);
    cr_assert_gt(stats.bytes_written, 0);
}

Test(block, memory_of_large_blocks_too)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:1M,block-size=4K");

    shadow_run(block, 2000, 2);
}

Test(block, null_reads_zeroes)
{
    g_autoptr(DevemuBlock) block = disk_block("null:1M");
    Disk *disk = disk_new(block);
    uint8_t data[512];
    static const uint8_t zeroes[512];

    memset(data, 1, sizeof(data));
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 512), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), 0);
    cr_assert_arr_eq(data, zeroes, 512);
    disk_free(disk);
}

Test(block, requests_that_cannot_be_have_their_own_errors)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[1024] = {0};

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 1, data, 512), -EINVAL);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 100), -EINVAL);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 65536, data, 512), -ERANGE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 65024, data, 1024), -ERANGE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, UINT64_MAX - 511, data, 512), -ERANGE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 65536, NULL, 0), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, 0, NULL, 0), -EOPNOTSUPP);
    cr_assert_eq(disk_do(disk, (DevemuBlockOp)99, 0, 0, NULL, 512), -EOPNOTSUPP);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_DISCARD, 0, 0, NULL, 131072), -ERANGE);
    disk_free(disk);
}

Test(block, slices_that_do_not_make_up_the_length_are_refused)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];
    DevemuBlockSlice slices[2] = {{data, SIZE_MAX}, {data, 513}};
    DevemuBlockRequest request = {
        .op = DEVEMU_BLOCK_WRITE, .len = 512, .slices = slices, .count = 2};

    devemu_submit(disk->dev, &request, false);
    disk_wait(disk, 1);

    cr_assert_eq(disk_done(disk, 0)->status, -EINVAL);
    disk_free(disk);
}

Test(block, a_read_only_medium_is_not_written)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,readonly=on");
    Disk *disk = disk_new(block);
    uint8_t data[512] = {0};

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 512), -EROFS);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
    disk_free(disk);
}

Test(block, nothing_is_delivered_from_inside_submit_and_a_batch_is_one_event)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    for (uint32_t tag = 0; tag < 100; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    }
    cr_assert_eq(disk->done->len, 0);
    disk_wait(disk, 100);

    cr_assert_eq(disk->events, 1);
    disk_free(disk);
}

/* --- a device that cannot take them ------------------------------------------------ */

Test(block, what_a_busy_device_refuses_is_kept)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    devemu_hold(disk->dev);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    cr_assert_eq(disk->done->len, 0);
    cr_assert(disk->dev->refused);
    devemu_release(disk->dev);
    devemu_send_ready(disk->dev);
    cr_assert_eq(disk->done->len, 0, "not from inside ready");
    g_main_context_iteration(NULL, FALSE);

    cr_assert_eq(disk->done->len, 1);
    disk_free(disk);
}

Test(block, a_device_that_never_says_ready_is_asked_again)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    devemu_hold(disk->dev);
    g_main_context_iteration(NULL, FALSE);
    devemu_release(disk->dev);

    disk_wait(disk, 1);
    disk_free(disk);
}

Test(block, order_is_kept_over_a_refusal)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    for (uint32_t tag = 0; tag < 600; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_READ, 0, 0, data, 512);
        if (tag == 300) {
            devemu_hold(disk->dev);
            g_main_context_iteration(NULL, FALSE);
            devemu_release(disk->dev);
        }
    }
    disk_wait(disk, 600);

    for (guint i = 0; i < 600; i++) {
        cr_assert_eq(disk_done(disk, i)->tag, i);
    }
    disk_free(disk);
}

/* --- draining ---------------------------------------------------------------------- */

Test(block, drain_ends_everything_and_tells_the_device)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,latency=60000000");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    for (uint32_t tag = 0; tag < 10; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    }
    devemu_device_drain(disk->dev);

    cr_assert_eq(disk->done->len, 10);
    cr_assert_not(devemu_draining(disk->dev));
    disk_free(disk);
}

static void ask_again(Disk *disk)
{
    static uint8_t data[512];

    if (!devemu_draining(disk->dev)) {
        disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    }
}

Test(block, a_device_knows_that_it_is_drained)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    disk->completed = ask_again;
    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    disk_wait(disk, 5);
    devemu_device_drain(disk->dev);
    while (g_main_context_iteration(NULL, FALSE)) {
    }

    cr_assert_eq(disk->done->len, 6);
    disk_free(disk);
}

static void wait_inside(Disk *disk)
{
    if (disk->events == 1) {
        static uint8_t data[512];

        disk_submit(disk, 2, DEVEMU_BLOCK_READ, 0, 0, data, 512);
        devemu_wait(disk->dev);
        cr_assert_eq(disk->done->len, 1, "not inside the event");
    }
}

Test(block, waiting_inside_an_event_delivers_behind_it)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,latency=60000000");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    disk->completed = wait_inside;
    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    devemu_device_drain(disk->dev);
    disk_wait(disk, 2);

    cr_assert_eq(disk->events, 2);
    disk_free(disk);
}

Test(block, revoke_reset_and_free_wait_for_requests)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,latency=60000000");
    Disk *disk = disk_new(block);
    uint8_t data[512];
    DevemuBlockStats stats;

    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    devemu_device_revoke(disk->dev);
    cr_assert_eq(disk->done->len, 1);
    disk_submit(disk, 2, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    devemu_device_reset(disk->dev, DEVEMU_RESET_HARD);
    cr_assert_eq(disk->done->len, 2);
    disk_submit(disk, 3, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    disk_free(disk);

    devemu_block_stats(block, &stats);
    cr_assert_eq(stats.requests[DEVEMU_BLOCK_READ], 3);
    cr_assert_eq(stats.in_flight, 0);
}

/* --- a size that changes ----------------------------------------------------------- */

Test(block, the_device_hears_of_a_new_size)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    GError *error = NULL;
    uint8_t data[512] = {1};

    cr_assert(devemu_block_resize(block, 131072, &error));
    cr_assert_eq(disk->media, 2);
    cr_assert_eq(disk->info.capacity, 131072);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 131072 - 512, data, 512), 0);
    cr_assert(devemu_block_resize(block, 512, &error));
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 512, data, 512), -ERANGE);
    cr_assert_not(devemu_block_resize(block, 1000, &error));
    cr_assert_not_null(strstr(error->message, "multiple of 512"));
    g_error_free(error);
    disk_free(disk);
}

Test(block, a_busy_device_hears_of_a_new_size_later)
{
    g_autoptr(DevemuBlock) block = disk_block("null:64K");
    Disk *disk = disk_new(block);

    devemu_hold(disk->dev);
    cr_assert(devemu_block_resize(block, 131072, NULL));
    devemu_release(disk->dev);
    cr_assert_eq(disk->media, 1);
    g_main_context_iteration(NULL, FALSE);

    cr_assert_eq(disk->info.capacity, 131072);
    disk_free(disk);
}

/* --- faults ------------------------------------------------------------------------ */

Test(block, every_third_write_fails_twice)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,fault=write:ENOSPC:every=3:times=2");
    Disk *disk = disk_new(block);
    uint8_t data[512] = {0};

    for (unsigned i = 1; i <= 12; i++) {
        int expect = i == 3 || i == 6 ? -ENOSPC : 0;

        cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), 0);
        cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 512), expect, "write %u", i);
    }
    disk_free(disk);
}

Test(block, a_fault_has_its_place)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,fault=any:EIO:at=4096:len=512");
    Disk *disk = disk_new(block);
    uint8_t data[1024] = {0};

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 3584, data, 512), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 3584, data, 1024), -EIO);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 4096, data, 512), -EIO);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 4608, data, 512), 0);
    disk_free(disk);
}

Test(block, a_disk_dies_after_so_many_requests)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,fault=any:ENODEV:after=2");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), -ENODEV);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_FLUSH, 0, 0, NULL, 0), -ENODEV);
    disk_free(disk);
}

Test(block, a_torn_write_leaves_its_first_half)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,fault=write:torn:times=1");
    Disk *disk = disk_new(block);
    uint8_t data[2048], back[2048], zeroes[1024] = {0};
    DevemuBlockSlice slices[2] = {{data, 700}, {data + 700, 1348}};
    DevemuBlockRequest request = {
        .op = DEVEMU_BLOCK_WRITE, .len = 2048, .slices = slices, .count = 2};

    memset(data, 7, sizeof(data));
    devemu_submit(disk->dev, &request, false);
    disk_wait(disk, 1);
    cr_assert_eq(disk_done(disk, 0)->status, -EIO);
    disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, back, 2048);

    cr_assert_arr_eq(back, data, 1024);
    cr_assert_arr_eq(back + 1024, zeroes, 1024);
    disk_free(disk);
}

/* --- time -------------------------------------------------------------------------- */

static uint64_t virtual_now;

static uint64_t virtual_clock(void *opaque)
{
    (void)opaque;
    return virtual_now;
}

static DevemuBlock *virtual_block(const char *text)
{
    DevemuBlock *block = disk_block(text);

    virtual_now = 1000;
    devemu_block_set_clock(block, virtual_clock, NULL);
    return block;
}

/* From deadline to deadline, until so many requests have ended. */
static void run_virtual(DevemuBlock *block, const Disk *disk, guint count)
{
    while (disk->done->len < count) {
        uint64_t next = devemu_block_deadline(block);

        cr_assert_neq(next, DEVEMU_NEVER);
        cr_assert_geq(next, virtual_now);
        virtual_now = next;
        devemu_block_run(block);
    }
}

Test(block, with_a_clock_requests_end_in_run_alone)
{
    g_autoptr(DevemuBlock) block = virtual_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    cr_assert_eq(devemu_block_deadline(block), DEVEMU_NEVER);
    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    devemu_block_run(block);
    cr_assert_eq(devemu_block_poll(block), 0);
    cr_assert_eq(disk->done->len, 0);
    cr_assert_eq(devemu_block_deadline(block), 1001);
    virtual_now = 1001;
    devemu_block_run(block);

    cr_assert_eq(disk->done->len, 1);
    cr_assert_eq(devemu_block_deadline(block), DEVEMU_NEVER);
    disk_free(disk);
}

/* 100 at once and then one each 10 ms: what "burst" is. */
Test(block, a_rate_of_requests_holds_in_virtual_time)
{
    g_autoptr(DevemuBlock) block = virtual_block("memory:64K,iops=100,burst=50");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    for (uint32_t tag = 0; tag < 105; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    }
    virtual_now++;
    devemu_block_run(block);
    cr_assert_eq(disk->done->len, 6, "the burst and one, not %u", disk->done->len);
    run_virtual(block, disk, 105);

    cr_assert_eq(virtual_now, 1001 + 99 * UINT64_C(10000000), "%" PRIu64, virtual_now);
    disk_free(disk);
}

Test(block, a_rate_of_bytes_holds_in_virtual_time)
{
    g_autoptr(DevemuBlock) block = virtual_block("memory:64K,bps=512000,burst=0");
    Disk *disk = disk_new(block);
    uint8_t data[5120];

    for (uint32_t tag = 0; tag < 11; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_READ, 0, 0, data, 5120);
        disk_submit(disk, 100 + tag, DEVEMU_BLOCK_FLUSH, 0, 0, NULL, 0);
    }
    run_virtual(block, disk, 22);

    cr_assert_eq(virtual_now, 1001 + 10 * UINT64_C(10000000), "%" PRIu64, virtual_now);
    disk_free(disk);
}

Test(block, latency_and_slow_requests_in_virtual_time)
{
    g_autoptr(DevemuBlock) block =
        virtual_block("memory:64K,latency=100,fault=read:delay=1000:every=2");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    for (uint32_t tag = 0; tag < 3; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    }
    run_virtual(block, disk, 2);
    cr_assert_eq(virtual_now, 1000 + 100000 + 1);
    run_virtual(block, disk, 3);

    cr_assert_eq(virtual_now, 1000 + 1100000 + 1);
    cr_assert_eq(disk_done(disk, 2)->tag, 1);
    disk_free(disk);
}

Test(block, latency_in_real_time_is_the_loops)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K,latency=300");
    Disk *disk = disk_new(block);
    uint8_t data[512];
    gint64 before = g_get_monotonic_time();

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), 0);

    cr_assert_geq(g_get_monotonic_time() - before, 300);
    disk_free(disk);
}

Test(block, polling_needs_no_loop)
{
    g_autoptr(DevemuBlock) block = disk_block("memory:64K");
    Disk *disk = disk_new(block);
    uint8_t data[512];

    devemu_block_set_polled(block, true);
    cr_assert_eq(devemu_block_poll(block), 0);
    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    disk_submit(disk, 2, DEVEMU_BLOCK_READ, 0, 1, data, 512);

    cr_assert_eq(devemu_block_poll(block), 2);
    cr_assert_eq(disk->done->len, 2);
    cr_assert_eq(disk_done(disk, 1)->status, -EINVAL);
    disk_free(disk);
}

/* --- zones ------------------------------------------------------------------------- */

static DevemuBlockZone zone_at(Disk *disk, uint64_t at)
{
    DevemuBlockZone zone = {0};
    guint before = disk->done->len;

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_REPORT, 0, at, &zone, sizeof(zone)), 0);
    cr_assert_eq(disk_done(disk, before)->value, 1);
    return zone;
}

static void expect_zone(Disk *disk, uint64_t at, DevemuBlockZoneState state, uint64_t pointer)
{
    DevemuBlockZone zone = zone_at(disk, at);

    cr_assert_eq(zone.state, state, "zone %" PRIu64 " is in state %u, not %u", at, zone.state,
                 state);
    cr_assert_eq(zone.write_pointer, pointer);
}

/* Eight zones of 64 KiB, the last one of 32, the first one conventional. */
static DevemuBlock *zoned(const char *options)
{
    g_autofree char *text =
        g_strdup_printf("memory:480K,zoned=64K,zones-conventional=1%s", options);

    return disk_block(text);
}

#define ZONE 65536

Test(block_zones, are_reported)
{
    g_autoptr(DevemuBlock) block = zoned("");
    Disk *disk = disk_new(block);
    DevemuBlockZone zones[10];

    cr_assert_eq(disk->info.zoned, DEVEMU_BLOCK_HOST_MANAGED);
    cr_assert_eq(disk->info.zone_size, ZONE);
    cr_assert_not(disk->info.discard);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_REPORT, 0, 0, zones, sizeof(zones)), 0);
    cr_assert_eq(disk_done(disk, 0)->value, 8);

    cr_assert_eq(zones[0].type, DEVEMU_ZONE_CONVENTIONAL);
    cr_assert_eq(zones[0].state, DEVEMU_ZONE_NOT_WP);
    cr_assert_eq(zones[7].type, DEVEMU_ZONE_SEQUENTIAL);
    cr_assert_eq(zones[7].start, 7 * ZONE);
    cr_assert_eq(zones[7].capacity, 32768);
    cr_assert_eq(zones[7].write_pointer, 7 * ZONE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_REPORT, 0, 480 << 10, zones, 100), -ERANGE);
    disk_free(disk);
}

Test(block_zones, are_written_in_sequence)
{
    g_autoptr(DevemuBlock) block = zoned("");
    Disk *disk = disk_new(block);
    static uint8_t data[ZONE], back[2048], zeroes[1024];

    memset(data, 3, sizeof(data));
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE + 512, data, 512), -ESPIPE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE, data, 1024), 0);
    expect_zone(disk, ZONE, DEVEMU_ZONE_IMPLICIT_OPEN, ZONE + 1024);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE, data, 512), -ESPIPE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE + 1024, data, ZONE), -EINVAL, "over");
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, ZONE, back, 2048), 0);
    cr_assert_arr_eq(back, data, 1024);
    cr_assert_arr_eq(back + 1024, zeroes, 1024);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE + 1024, data, ZONE - 1024), 0);
    expect_zone(disk, ZONE, DEVEMU_ZONE_FULL, 2 * ZONE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 512, data, 512), 0, "conventional");
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE - 512, data, 1024), -EINVAL);
    disk_free(disk);
}

Test(block_zones, reset_brings_zeroes_back)
{
    g_autoptr(DevemuBlock) block = zoned("");
    Disk *disk = disk_new(block);
    uint8_t data[512], zeroes[512] = {0};

    memset(data, 3, sizeof(data));
    disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE, data, 512);
    disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 2 * ZONE, data, 512);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_RESET, 0, ZONE + 512, NULL, 0), -EINVAL);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_RESET, 0, ZONE, NULL, 0), 0);
    expect_zone(disk, ZONE, DEVEMU_ZONE_EMPTY, ZONE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, ZONE, data, 512), 0);
    cr_assert_arr_eq(data, zeroes, 512);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_RESET_ALL, 0, 0, NULL, 0), 0);
    expect_zone(disk, 2 * ZONE, DEVEMU_ZONE_EMPTY, 2 * ZONE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_RESET, 0, 0, NULL, 0), -EINVAL, "conventional");
    disk_free(disk);
}

Test(block_zones, append_says_where_it_wrote)
{
    g_autoptr(DevemuBlock) block = zoned("");
    Disk *disk = disk_new(block);
    uint8_t data[1024], back[1024];

    memset(data, 3, sizeof(data));
    for (guint i = 0; i < 64; i++) {
        disk_submit(disk, i, DEVEMU_BLOCK_ZONE_APPEND, 0, ZONE, data, 1024);
    }
    disk_wait(disk, 64);
    for (guint i = 0; i < 64; i++) {
        cr_assert_eq(disk_done(disk, i)->status, 0);
        cr_assert_eq(disk_done(disk, i)->value, ZONE + i * 1024);
    }
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_APPEND, 0, ZONE, data, 1024), -EINVAL, "full");
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_APPEND, 0, 2 * ZONE + 512, data, 512), -EINVAL);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_APPEND, 0, 0, data, 512), -EINVAL);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_APPEND, 0, 2 * ZONE, NULL, 0), -EINVAL);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, ZONE * 2 - 1024, back, 1024), 0);
    cr_assert_arr_eq(back, data, 1024);
    disk_free(disk);
}

Test(block_zones, go_from_state_to_state)
{
    g_autoptr(DevemuBlock) block = zoned("");
    Disk *disk = disk_new(block);
    uint8_t data[512] = {0};

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_CLOSE, 0, ZONE, NULL, 0), -EINVAL, "empty");
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, ZONE, NULL, 0), 0);
    expect_zone(disk, ZONE, DEVEMU_ZONE_EXPLICIT_OPEN, ZONE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_CLOSE, 0, ZONE, NULL, 0), 0);
    expect_zone(disk, ZONE, DEVEMU_ZONE_EMPTY, ZONE);
    disk_do(disk, DEVEMU_BLOCK_WRITE, 0, ZONE, data, 512);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_CLOSE, 0, ZONE, NULL, 0), 0);
    expect_zone(disk, ZONE, DEVEMU_ZONE_CLOSED, ZONE + 512);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_FINISH, 0, ZONE, NULL, 0), 0);
    expect_zone(disk, ZONE, DEVEMU_ZONE_FULL, 2 * ZONE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, ZONE, NULL, 0), -EINVAL, "full");
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_FINISH, 0, ZONE, NULL, 0), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, 480 << 10, NULL, 0), -ERANGE);
    disk_free(disk);
}

Test(block_zones, have_limits_of_open_and_active_ones)
{
    g_autoptr(DevemuBlock) block = zoned(",zones-open=2,zones-active=3");
    Disk *disk = disk_new(block);
    uint8_t data[512] = {0};

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, ZONE, NULL, 0), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 2 * ZONE, data, 512), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 3 * ZONE, data, 512), 0);
    expect_zone(disk, 2 * ZONE, DEVEMU_ZONE_CLOSED, 2 * ZONE + 512);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 4 * ZONE, data, 512), -EOVERFLOW);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, 3 * ZONE, NULL, 0), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, 2 * ZONE, NULL, 0), -ETOOMANYREFS);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_FINISH, 0, 3 * ZONE, NULL, 0), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, 2 * ZONE, NULL, 0), 0);
    disk_free(disk);
}

Test(block_zones, of_a_read_only_disk_are_only_looked_at)
{
    g_autoptr(DevemuBlock) block = zoned(",readonly=on");
    Disk *disk = disk_new(block);

    expect_zone(disk, ZONE, DEVEMU_ZONE_EMPTY, ZONE);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_ZONE_OPEN, 0, ZONE, NULL, 0), -EROFS);
    disk_free(disk);
}

Test(block_zones, that_cannot_be_are_refused)
{
    disk_refused("memory:1M,zoned=1000", "whole blocks");
    disk_refused("memory:1G,zoned=512", "of them at most");
    disk_refused("memory:1M,zoned=64K,zones-open=4,zones-active=2", "cannot be more");
}
