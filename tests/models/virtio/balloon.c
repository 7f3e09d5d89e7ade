/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory balloon; sections of virtio 1.4. */
#include "driver.h"

extern const DevemuModel devemu_model_virtio_balloon;

enum {
    F_STATS_VQ = 1,
    F_DEFLATE_ON_OOM,
    F_FREE_PAGE_HINT,
    F_PAGE_POISON,
    F_PAGE_REPORTING,

    INFLATEQ = 0,
    DEFLATEQ,
    STATSQ,
    FREE_PAGE_VQ,
    REPORTING_VQ,

    NUM_PAGES = 0, /* configuration space */
    ACTUAL = 4,
    CMD_ID = 8,
    POISON_VAL = 12,

    HOST = DEVEMU_VIRTIO_BANKS, /* bank, and its registers */
    HOST_TARGET = 0,
    HOST_ACTUAL = 4,
    HOST_STATS_REQUEST = 8,
    HOST_STATS_COUNT = 12,
    HOST_STATS_KNOWN = 16,
    HOST_HINT = 20,
    HOST_HINTING = 24,
    HOST_HINTED = 32,
    HOST_STAT = 64,

    HINT_STOP = 0,
    HINT_DONE,
    HINT_START,

    STAT_MEMFREE = 4,
    STAT_MEMTOT = 5,
};

#define OPEN(options)                                                                              \
    VdDriver driver = vd_new(&devemu_model_virtio_balloon, options);                               \
    VdDriver *d = &driver

#define ALL                                                                                        \
    (VD_BIT(F_STATS_VQ) | VD_BIT(F_FREE_PAGE_HINT) | VD_BIT(F_PAGE_POISON) |                       \
     VD_BIT(F_PAGE_REPORTING))

static uint64_t config(VdDriver *d, uint64_t at)
{
    return devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, at, 4);
}

static uint64_t host(VdDriver *d, uint64_t at)
{
    return devemu_fake_read(d->fake, HOST, at, 4);
}

static void operate(VdDriver *d, uint64_t at, uint64_t value)
{
    devemu_fake_write(d->fake, HOST, at, 4, value);
}

static void name_pages(VdDriver *d, unsigned queue, const uint32_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        devemu_put_le32(vd_at(d, VD_DATA + i * 4), pages[i]);
    }
    cr_assert_eq(vd_call(d, queue, &(VdPiece){VD_DATA, count * 4, false}, 1), 0);
}

/* 5.5.6 */
Test(balloon, a_new_target_is_told)
{
    OPEN(NULL);
    uint64_t vector;

    vd_start(d, 0);
    operate(d, HOST_TARGET, 1000);
    cr_assert_eq(vd_notifications(d, &vector), 1);
    cr_assert_eq(vector, DEVEMU_VIRTIO_CONFIG_CHANGE);
    cr_assert_eq(config(d, NUM_PAGES), 1000);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, NUM_PAGES, 4, 5);
    cr_assert_eq(config(d, NUM_PAGES), 1000, "the driver reads it only");
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, ACTUAL, 4, 7);
    cr_assert_eq(host(d, HOST_ACTUAL), 7);
    vd_start(d, 0);
    cr_assert_eq(config(d, NUM_PAGES), 1000);
    cr_assert_eq(host(d, HOST_ACTUAL), 0, "a driver that begins has given nothing");
    vd_free(d);
}

/* Neighbours go as one. */
Test(balloon, inflated_pages_are_given_away)
{
    OPEN(NULL);
    uint64_t addr, len;

    vd_start(d, 0);
    name_pages(d, INFLATEQ, (const uint32_t[]){0x80, 0x81, 0x82}, 3);
    cr_assert_eq(devemu_fake_discards(d->fake, &addr, &len), 1);
    cr_assert_eq(addr, 0x80000);
    cr_assert_eq(len, 0x3000);
    name_pages(d, INFLATEQ, (const uint32_t[]){0x90, 0x8f, 0xfffffffe, 0xffffffff}, 4);
    cr_assert_eq(devemu_fake_discards(d->fake, &addr, &len), 4);
    cr_assert_eq(addr, UINT64_C(0xfffffffe) << 12);
    cr_assert_eq(len, 0x2000);
    vd_free(d);
}

Test(balloon, deflated_pages_are_left_alone)
{
    OPEN(NULL);
    uint64_t addr, len;

    vd_start(d, 0);
    name_pages(d, DEFLATEQ, (const uint32_t[]){0x80, 0x81, 0x82}, 3);
    cr_assert_eq(devemu_fake_discards(d->fake, &addr, &len), 0);
    vd_free(d);
}

Test(balloon, deflate_on_oom_is_an_option)
{
    OPEN("deflate_on_oom=on");
    VdDriver other = vd_new(&devemu_model_virtio_balloon, NULL);

    cr_assert(vd_offered(d) & VD_BIT(F_DEFLATE_ON_OOM));
    cr_assert_not(vd_offered(&other) & VD_BIT(F_DEFLATE_ON_OOM));
    vd_free(&other);
    vd_free(d);
}

/* --- statistics: 5.5.6.3 -------------------------------------------------------------------- */

static void give_stats(VdDriver *d, uint64_t free, uint64_t total)
{
    uint8_t *entries = vd_at(d, VD_DATA);

    devemu_put_le16(entries, STAT_MEMTOT);
    devemu_put_le64(entries + 2, total);
    devemu_put_le16(entries + 10, 999);
    devemu_put_le64(entries + 12, 1);
    devemu_put_le16(entries + 20, STAT_MEMFREE);
    devemu_put_le64(entries + 22, free);
    vd_add(d, STATSQ, &(VdPiece){VD_DATA, 30, false}, 1);
    vd_kick(d, STATSQ);
}

/* 5.5.6.3.2: MUST ignore tags it does not recognize, MUST accept entries in any order. */
Test(balloon, takes_statistics_in_any_order)
{
    OPEN(NULL);
    uint32_t id, len;

    vd_start(d, ALL);
    give_stats(d, 123, UINT64_C(1) << 40);
    cr_assert_eq(host(d, HOST_STATS_COUNT), 1);
    cr_assert_eq(host(d, HOST_STATS_KNOWN), 1 << STAT_MEMFREE | 1 << STAT_MEMTOT);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_STAT + 8 * STAT_MEMFREE, 8), 123);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_STAT + 8 * STAT_MEMTOT, 8), UINT64_C(1)
                                                                                      << 40);
    cr_assert_not(vd_used(d, STATSQ, &id, &len), "kept until it is wanted");

    operate(d, HOST_STATS_REQUEST, 1);
    cr_assert(vd_used(d, STATSQ, &id, &len));
    give_stats(d, 100, UINT64_C(1) << 40);
    cr_assert_eq(host(d, HOST_STATS_COUNT), 2);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_STAT + 8 * STAT_MEMFREE, 8), 100);
    vd_free(d);
}

Test(balloon, a_request_waits_for_the_buffer)
{
    OPEN(NULL);
    uint32_t id, len;

    vd_start(d, ALL);
    operate(d, HOST_STATS_REQUEST, 1);
    give_stats(d, 1, 2);
    cr_assert(vd_used(d, STATSQ, &id, &len), "asked already");
    cr_assert_eq(len, 0);
    give_stats(d, 1, 2);
    cr_assert_not(vd_used(d, STATSQ, &id, &len));
    vd_free(d);
}

/* Ours: a host that answers no DMA inside an access gets it from a timer. */
Test(balloon, a_request_waits_for_a_moment_that_is_good_for_dma)
{
    VdDriver driver = vd_new_deferring(&devemu_model_virtio_balloon, NULL);
    VdDriver *d = &driver;
    uint32_t id, len;

    vd_start(d, ALL);
    give_stats(d, 1, 2);
    devemu_fake_set_deferred(d->fake, true);
    operate(d, HOST_STATS_REQUEST, 1);
    cr_assert_not(vd_used(d, STATSQ, &id, &len));
    devemu_fake_advance(d->fake, 1);

    cr_assert(vd_used(d, STATSQ, &id, &len));
    vd_free(d);
}

/* 5.5.6.3.3 */
Test(balloon, a_legacy_drivers_first_statistics_are_anything)
{
    OPEN(NULL);

    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 3);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 0);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, VD_BIT(F_STATS_VQ));
    vd_queue(d, STATSQ);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 7);
    give_stats(d, 1, 2);
    cr_assert_eq(host(d, HOST_STATS_COUNT), 0);
    operate(d, HOST_STATS_REQUEST, 1);
    give_stats(d, 3, 4);
    cr_assert_eq(host(d, HOST_STATS_COUNT), 1);
    vd_free(d);
}

/* --- hints: 5.5.6.7 ------------------------------------------------------------------------ */

static void give_id(VdDriver *d, uint32_t id)
{
    devemu_put_le32(vd_at(d, VD_DATA), id);
    vd_call(d, FREE_PAGE_VQ, &(VdPiece){VD_DATA, 4, false}, 1);
}

static void give_pages(VdDriver *d)
{
    vd_call(d, FREE_PAGE_VQ, &(VdPiece){0x80000, 0x10000, true}, 1);
}

/* 5.5.6.7.2: MUST ignore pages with another ID than the current one. */
Test(balloon, counts_hints_of_the_current_round)
{
    OPEN(NULL);
    uint64_t addr, len, first;

    vd_start(d, ALL);
    memset(vd_at(d, 0x80000), 0x5a, 0x10000);
    give_pages(d);
    operate(d, HOST_HINT, HINT_START);
    first = config(d, CMD_ID);
    cr_assert_geq(first, 2);
    give_pages(d);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_HINTED, 8), 0, "no ID yet");
    give_id(d, (uint32_t)first + 1);
    give_pages(d);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_HINTED, 8), 0, "another ID");
    give_id(d, (uint32_t)first);
    cr_assert_eq(host(d, HOST_HINTING), 1);
    give_pages(d);
    give_pages(d);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_HINTED, 8), 0x20000);
    give_id(d, 0);
    cr_assert_eq(host(d, HOST_HINTING), 0);
    give_pages(d);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_HINTED, 8), 0x20000);
    cr_assert_eq(devemu_fake_discards(d->fake, &addr, &len), 0);
    cr_assert_eq(*vd_at(d, 0x80000), 0x5a, "never touched");
    vd_free(d);
}

/* 5.5.6.7.2: MUST report DONE; MUST NOT reuse an ID. */
Test(balloon, each_round_has_an_id_of_its_own)
{
    OPEN(NULL);
    uint64_t first, vector;

    vd_start(d, ALL);
    operate(d, HOST_HINT, HINT_START);
    first = config(d, CMD_ID);
    give_id(d, (uint32_t)first);
    operate(d, HOST_HINT, HINT_STOP);
    cr_assert_eq(config(d, CMD_ID), 0);
    cr_assert_eq(host(d, HOST_HINTING), 0);
    operate(d, HOST_HINT, HINT_START);
    cr_assert_gt(config(d, CMD_ID), first);
    operate(d, HOST_HINT, HINT_DONE);
    cr_assert_eq(config(d, CMD_ID), 1);
    cr_assert_eq(vd_notifications(d, &vector) > 0 ? vector : 0, DEVEMU_VIRTIO_CONFIG_CHANGE);
    vd_free(d);
}

Test(balloon, no_hints_without_the_feature)
{
    OPEN(NULL);

    vd_start(d, 0);
    operate(d, HOST_HINT, HINT_START);
    cr_assert_eq(config(d, CMD_ID), 0);
    vd_free(d);
}

/* --- reports: 5.5.6.9 ------------------------------------------------------------------------ */

static unsigned report(VdDriver *d)
{
    uint64_t addr, len;

    vd_call(d, REPORTING_VQ, (VdPiece[]){{0x80000, 0x4000, true}, {0x90000, 0x8000, true}}, 2);
    return devemu_fake_discards(d->fake, &addr, &len);
}

Test(balloon, reported_pages_are_given_away)
{
    OPEN(NULL);
    uint64_t addr, len;

    vd_start(d, VD_BIT(F_PAGE_REPORTING));
    cr_assert_eq(report(d), 2);
    devemu_fake_discards(d->fake, &addr, &len);
    cr_assert_eq(addr, 0x90000);
    cr_assert_eq(len, 0x8000);
    vd_free(d);
}

/* 5.5.6.9.2: MUST NOT give a page another value than poison_val. */
Test(balloon, poisoned_pages_stay)
{
    OPEN(NULL);

    vd_start(d, ALL);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, POISON_VAL, 4, 0xaaaaaaaa);
    cr_assert_eq(report(d), 0);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, POISON_VAL, 4, 0);
    cr_assert_eq(report(d), 2, "zeroes are as good as what was there");
    vd_free(d);
}

/* --- hostile drivers ------------------------------------------------------------------------- */

Test(balloon, odd_buffers_do_no_harm)
{
    OPEN(NULL);
    uint64_t addr, len;
    uint32_t id, used;
    unsigned errors;

    vd_start(d, ALL);
    errors = devemu_fake_guest_errors(d->fake);
    vd_call(d, INFLATEQ, &(VdPiece){VD_DATA, 3, false}, 1);
    vd_call(d, INFLATEQ, &(VdPiece){VD_DATA, 8, true}, 1);
    vd_call(d, INFLATEQ, &(VdPiece){UINT64_MAX - 100, 64, false}, 1);
    cr_assert_eq(devemu_fake_discards(d->fake, &addr, &len), 0);
    vd_call(d, FREE_PAGE_VQ, &(VdPiece){VD_DATA, 3, false}, 1);
    vd_call(d, INFLATEQ, &(VdPiece){VD_DATA, 0x10000, false}, 1);
    cr_assert_eq(devemu_fake_guest_errors(d->fake), errors + 2);
    give_stats(d, 1, 2);
    give_stats(d, 1, 2);
    cr_assert(vd_used(d, STATSQ, &id, &used), "one is enough");
    cr_assert_not(vd_used(d, STATSQ, &id, &used));
    cr_assert_eq(vd_status(d), 0xf);
    vd_free(d);
}
