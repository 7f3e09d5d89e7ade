/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device on a zoned medium; sections of virtio 1.4. */
#include "blk.h"

/* Eight zones of 128 KiB: two conventional ones, then sequential ones; two may be open, three
 * active. */
#define MEDIUM "memory:1M,zoned=128K,zones-conventional=2,zones-open=2,zones-active=3"

#define OPEN(options)                                                                              \
    Blk blk = blk_open(options, MEDIUM);                                                           \
    Blk *b = &blk;                                                                                 \
    VdDriver *d = &b->d;                                                                           \
    vd_start(d, VD_BIT(F_ZONED))

enum { ZONE = 256 }; /* sectors */

enum { EMPTY = 1, IMPLICIT = 2, EXPLICIT = 3, CLOSED = 4, FULL = 14 };

static uint8_t zone(Blk *b, uint32_t type, unsigned i)
{
    return blk_do(b, type, i * (uint64_t)ZONE, 0, 0);
}

/* A report from the zone that holds sector: the number of zones. */
static unsigned report(Blk *b, uint64_t sector, uint32_t len)
{
    memset(vd_at(&b->d, PAYLOAD), 0xee, 1024);
    cr_assert_eq(blk_do(b, T_ZONE_REPORT, sector, PAYLOAD, len), S_OK);
    return (unsigned)devemu_le64(vd_at(&b->d, PAYLOAD));
}

static unsigned state(Blk *b, unsigned i)
{
    cr_assert_eq(report(b, i * (uint64_t)ZONE, 128), 1);
    return *vd_at(&b->d, PAYLOAD + 64 + 25);
}

static uint64_t pointer(Blk *b, unsigned i)
{
    cr_assert_eq(report(b, i * (uint64_t)ZONE, 128), 1);
    return devemu_le64(vd_at(&b->d, PAYLOAD + 64 + 16));
}

static uint8_t put(Blk *b, uint64_t sector, unsigned sectors)
{
    return blk_do(b, T_OUT, sector, PAYLOAD + 0x1000, sectors * 512);
}

/* append_sector and status behind each other in one element. */
static uint8_t append(Blk *b, uint64_t sector, unsigned sectors, uint64_t *ret_sector)
{
    VdDriver *d = &b->d;
    unsigned slot = blk_header(b, T_ZONE_APPEND, sector);
    const VdPiece pieces[] = {{blk_header_at(slot), 16, false},
                              {PAYLOAD + 0x1000, sectors * 512, false},
                              {PAYLOAD, 9, true}};
    uint32_t id;

    memset(vd_at(d, PAYLOAD), 0xee, 9);
    vd_add(d, 0, pieces, 3);
    vd_kick(d, 0);
    vd_wait(d);
    cr_assert(vd_used(d, 0, &id, &b->written));
    *ret_sector = devemu_le64(vd_at(d, PAYLOAD));
    return *vd_at(d, PAYLOAD + 8);
}

/* --- initialization: 5.2.5.2 ------------------------------------------------------- */

Test(blk_zoned, tells_the_zones_of_the_medium)
{
    OPEN(NULL);
    uint64_t append_max = blk_config(b, 84, 4);

    cr_assert_eq(blk_config(b, 72, 4), ZONE);
    cr_assert_eq(blk_config(b, 76, 4), 2);
    cr_assert_eq(blk_config(b, 80, 4), 3);
    cr_assert_eq(blk_config(b, 88, 4), 512);
    cr_assert_eq(blk_config(b, 92, 1), 1, "host-managed");
    cr_assert_eq(blk_config(b, 93, 1), 0);
    cr_assert_eq(blk_config(b, 94, 2), 0);
    cr_assert(vd_offered(d) & VD_BIT(F_SIZE_MAX));
    cr_assert_gt(append_max, 0);
    cr_assert_leq(append_max * 512, blk_config(b, 8, 4) * blk_config(b, 12, 4));
    cr_assert_not(vd_offered(d) & VD_BIT(F_DISCARD), "5.2.5.1");
    blk_close(b);
}

Test(blk_zoned, a_host_managed_medium_wants_a_driver_that_knows)
{
    OPEN(NULL);

    cr_assert_not(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1)));
    cr_assert(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1) | VD_BIT(F_ZONED)));
    blk_close(b);
}

Test(blk_zoned, a_host_aware_medium_serves_anybody)
{
    static Probe probe = {.info = {.zoned = DEVEMU_BLOCK_HOST_AWARE,
                                   .zone_size = 128 << 10,
                                   .zone_max_append = 65536}};
    Blk blk = probe_open(&probe, NULL);
    VdDriver *d = &blk.d;

    cr_assert_eq(blk_config(&blk, 92, 1), 2);
    vd_start(d, VD_BIT(F_ZONED));
    cr_assert_eq(blk_config(&blk, 72, 4), ZONE);
    cr_assert_eq(blk_config(&blk, 92, 1), 2);
    vd_start(d, 0);
    for (unsigned at = 72; at < 96; at += 4) {
        cr_assert_eq(blk_config(&blk, at, 4), 0);
    }
    probe_close(&probe, &blk);
}

Test(blk_zoned, a_legacy_driver_gets_no_zones)
{
    OPEN(NULL);

    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    memset(d->queues, 0, sizeof(d->queues));
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 3);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 0);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, VD_BIT(F_ZONED) | VD_BIT(F_FLUSH));
    vd_queue(d, 0);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 7);
    cr_assert_eq(zone(b, T_ZONE_RESET, 2), S_UNSUPP);
    cr_assert_eq(blk_do(b, T_ZONE_REPORT, 0, PAYLOAD, 128), S_UNSUPP);
    cr_assert_eq(blk_config(b, 92, 1), 0);
    blk_close(b);
}

/* --- operation: 5.2.6 -------------------------------------------------------------- */

Test(blk_zoned, a_report_begins_with_the_zone_of_a_sector)
{
    OPEN(NULL);
    const uint8_t *second = vd_at(d, PAYLOAD + 128);

    cr_assert_eq(report(b, ZONE + 7, 64 + 64 * 3 + 10), 3);
    cr_assert_eq(b->written, 256, "whole descriptors");
    cr_assert_eq(*vd_at(d, PAYLOAD + 256), 0xee);
    cr_assert_eq(devemu_le64(vd_at(d, PAYLOAD + 64 + 8)), ZONE);
    cr_assert_eq(*vd_at(d, PAYLOAD + 64 + 24), 1, "conventional");
    cr_assert_eq(*vd_at(d, PAYLOAD + 64 + 25), 0);
    cr_assert_eq(devemu_le64(second), ZONE);
    cr_assert_eq(devemu_le64(second + 8), 2 * ZONE);
    cr_assert_eq(devemu_le64(second + 16), 2 * ZONE);
    cr_assert_eq(second[24], 2, "sequential");
    cr_assert_eq(second[25], EMPTY);
    for (unsigned i = 26; i < 64; i++) {
        cr_assert_eq(second[i], 0);
    }
    cr_assert_eq(report(b, 6 * ZONE, 1024), 2, "the last ones");
    cr_assert_eq(report(b, 0, 64), 0);
    cr_assert_eq(blk_do(b, T_ZONE_REPORT, 0, PAYLOAD, 63), S_IOERR);
    cr_assert_eq(blk_do(b, T_ZONE_REPORT, 8 * ZONE, PAYLOAD, 128), S_ZONE_INVALID_CMD);
    blk_close(b);
}

Test(blk_zoned, zones_are_opened_closed_finished_and_reset)
{
    OPEN(NULL);

    cr_assert_eq(zone(b, T_ZONE_OPEN, 2), S_OK);
    cr_assert_eq(state(b, 2), EXPLICIT);
    cr_assert_eq(zone(b, T_ZONE_CLOSE, 2), S_OK);
    cr_assert_eq(state(b, 2), EMPTY, "nothing was written");
    cr_assert_eq(zone(b, T_ZONE_CLOSE, 2), S_ZONE_INVALID_CMD);
    cr_assert_eq(put(b, 2 * ZONE, 1), S_OK);
    cr_assert_eq(state(b, 2), IMPLICIT);
    cr_assert_eq(zone(b, T_ZONE_CLOSE, 2), S_OK);
    cr_assert_eq(state(b, 2), CLOSED);
    cr_assert_eq(zone(b, T_ZONE_CLOSE, 2), S_OK);
    cr_assert_eq(zone(b, T_ZONE_FINISH, 2), S_OK);
    cr_assert_eq(state(b, 2), FULL);
    cr_assert_eq(zone(b, T_ZONE_FINISH, 2), S_OK);
    cr_assert_eq(zone(b, T_ZONE_OPEN, 2), S_ZONE_INVALID_CMD);
    cr_assert_eq(zone(b, T_ZONE_RESET, 2), S_OK);
    cr_assert_eq(state(b, 2), EMPTY);
    cr_assert_eq(zone(b, T_ZONE_RESET, 2), S_OK);
    cr_assert_eq(blk_do(b, T_ZONE_OPEN, 2 * ZONE + 1, 0, 0), S_ZONE_INVALID_CMD);
    cr_assert_eq(blk_do(b, T_ZONE_OPEN, 8 * ZONE, 0, 0), S_ZONE_INVALID_CMD);
    cr_assert_eq(blk_do(b, T_ZONE_OPEN, UINT64_MAX - 255, 0, 0), S_ZONE_INVALID_CMD);
    blk_close(b);
}

Test(blk_zoned, a_conventional_zone_is_not_managed)
{
    OPEN(NULL);
    static const uint32_t types[] = {T_ZONE_OPEN, T_ZONE_CLOSE, T_ZONE_FINISH, T_ZONE_RESET};

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        cr_assert_eq(zone(b, types[i], 1), S_ZONE_INVALID_CMD);
    }
    cr_assert_eq(put(b, 100, 4), S_OK, "anywhere");
    cr_assert_eq(put(b, ZONE - 2, 4), S_OK, "over two of them");
    blk_close(b);
}

Test(blk_zoned, reset_all_empties_every_sequential_zone)
{
    OPEN(NULL);

    cr_assert_eq(put(b, 2 * ZONE, 1), S_OK);
    cr_assert_eq(zone(b, T_ZONE_OPEN, 3), S_OK);
    cr_assert_eq(zone(b, T_ZONE_FINISH, 4), S_OK);
    cr_assert_eq(blk_do(b, T_ZONE_RESET_ALL, 0, 0, 0), S_OK);
    for (unsigned i = 2; i < 8; i++) {
        cr_assert_eq(state(b, i), EMPTY);
        cr_assert_eq(pointer(b, i), i * ZONE);
    }
    blk_close(b);
}

Test(blk_zoned, resources_run_out)
{
    OPEN(NULL);

    cr_assert_eq(zone(b, T_ZONE_OPEN, 2), S_OK);
    cr_assert_eq(zone(b, T_ZONE_OPEN, 3), S_OK);
    cr_assert_eq(zone(b, T_ZONE_OPEN, 4), S_ZONE_OPEN_RESOURCE);
    cr_assert_eq(put(b, 4 * ZONE, 1), S_ZONE_OPEN_RESOURCE);
    cr_assert_eq(state(b, 4), EMPTY);
    cr_assert_eq(put(b, 2 * ZONE, 1), S_OK);
    cr_assert_eq(put(b, 3 * ZONE, 1), S_OK);
    cr_assert_eq(zone(b, T_ZONE_CLOSE, 2), S_OK);
    cr_assert_eq(zone(b, T_ZONE_CLOSE, 3), S_OK);
    cr_assert_eq(put(b, 4 * ZONE, 1), S_OK);
    cr_assert_eq(zone(b, T_ZONE_OPEN, 5), S_ZONE_ACTIVE_RESOURCE);
    cr_assert_eq(put(b, 5 * ZONE, 1), S_ZONE_ACTIVE_RESOURCE);
    cr_assert_eq(state(b, 5), EMPTY);
    blk_close(b);
}

Test(blk_zoned, writes_go_on_at_the_write_pointer)
{
    OPEN(NULL);

    cr_assert_eq(put(b, 2 * ZONE, 8), S_OK);
    cr_assert_eq(pointer(b, 2), 2 * ZONE + 8);
    cr_assert_eq(put(b, 2 * ZONE + 9, 1), S_ZONE_UNALIGNED_WP);
    cr_assert_eq(put(b, 2 * ZONE, 1), S_ZONE_UNALIGNED_WP);
    cr_assert_eq(put(b, 2 * ZONE + 8, ZONE - 8), S_OK);
    cr_assert_eq(state(b, 2), FULL);
    cr_assert_eq(put(b, 3 * ZONE - 1, 1), S_ZONE_INVALID_CMD);
    blk_close(b);
}

Test(blk_zoned, requests_stay_in_one_zone)
{
    static const bool maps[] = {true, false};

    for (unsigned i = 0; i < 2; i++) {
        Blk blk = blk_open(NULL, MEDIUM);
        Blk *b = &blk;

        devemu_fake_set_map(b->d.fake, maps[i]);
        vd_start(&b->d, VD_BIT(F_ZONED));
        cr_assert_eq(put(b, 2 * ZONE, ZONE + 1), S_ZONE_INVALID_CMD);
        cr_assert_eq(blk_do(b, T_IN, 3 * ZONE - 1, PAYLOAD, 1024), S_ZONE_INVALID_CMD);
        cr_assert_eq(blk_do(b, T_IN, 3 * ZONE - 128, PAYLOAD, 256 * 512), S_ZONE_INVALID_CMD);
        cr_assert_eq(blk_do(b, T_IN, ZONE - 128, PAYLOAD, 256 * 512), S_OK, "conventional");
        cr_assert_eq(blk_do(b, T_IN, 2 * ZONE - 128, PAYLOAD, 256 * 512), S_OK,
                     "from a conventional one on");
        cr_assert_eq(blk_do(b, T_IN, 3 * ZONE, PAYLOAD, ZONE * 512), S_OK);
        blk_close(b);
    }
}

Test(blk_zoned, what_was_not_written_reads_as_zeroes)
{
    OPEN(NULL);

    memset(vd_at(d, PAYLOAD + 0x1000), 0x55, 4096);
    cr_assert_eq(put(b, 2 * ZONE, 8), S_OK);
    cr_assert_eq(zone(b, T_ZONE_RESET, 2), S_OK);
    cr_assert_eq(put(b, 2 * ZONE, 2), S_OK);
    cr_assert_eq(blk_do(b, T_IN, 2 * ZONE, PAYLOAD + 0x4000, 4096), S_OK);
    cr_assert_eq(*vd_at(d, PAYLOAD + 0x4000 + 1023), 0x55);
    cr_assert_eq(*vd_at(d, PAYLOAD + 0x4000 + 1024), 0);
    cr_assert_eq(*vd_at(d, PAYLOAD + 0x4000 + 4095), 0);
    blk_close(b);
}

/* --- append ------------------------------------------------------------------------ */

Test(blk_zoned, an_append_tells_where_it_went)
{
    OPEN(NULL);
    uint64_t where;

    blk_fill(b, PAYLOAD + 0x1000, 2048, 3);
    cr_assert_eq(append(b, 4 * ZONE, 3, &where), S_OK);
    cr_assert_eq(where, 4 * ZONE);
    cr_assert_eq(b->written, 9);
    cr_assert_eq(append(b, 4 * ZONE, 1, &where), S_OK);
    cr_assert_eq(where, 4 * ZONE + 3);
    cr_assert_eq(state(b, 4), IMPLICIT);
    cr_assert_eq(pointer(b, 4), 4 * ZONE + 4);
    cr_assert_eq(blk_do(b, T_IN, 4 * ZONE, PAYLOAD + 0x4000, 2048), S_OK);
    cr_assert_arr_eq(vd_at(d, PAYLOAD + 0x4000), vd_at(d, PAYLOAD + 0x1000), 1536);
    cr_assert_arr_eq(vd_at(d, PAYLOAD + 0x4600), vd_at(d, PAYLOAD + 0x1000), 512);
    blk_close(b);
}

Test(blk_zoned, an_append_names_the_zone_by_its_lowest_sector)
{
    OPEN(NULL);
    uint64_t where;

    cr_assert_eq(append(b, 4 * ZONE + 1, 1, &where), S_ZONE_INVALID_CMD);
    cr_assert_eq(append(b, 8 * ZONE, 1, &where), S_ZONE_INVALID_CMD);
    cr_assert_eq(blk_do(b, T_ZONE_APPEND, 4 * ZONE, PAYLOAD, 512), S_IOERR, "no append_sector");
    cr_assert_eq(pointer(b, 4), 4 * ZONE);
    blk_close(b);
}

Test(blk_zoned, appends_only_to_sequential_zones)
{
    OPEN(NULL);
    uint64_t where;

    cr_assert_eq(append(b, ZONE, 1, &where), S_ZONE_INVALID_CMD);
    blk_close(b);
}

Test(blk_zoned, appends_have_a_greatest_size)
{
    OPEN(NULL);
    unsigned most = (unsigned)blk_config(b, 84, 4);
    static Probe probe = {.info = {.zoned = DEVEMU_BLOCK_HOST_MANAGED, .zone_size = 128 << 10}};
    Blk none;
    uint64_t where;

    cr_assert_eq(append(b, 4 * ZONE, most + 1, &where), S_ZONE_INVALID_CMD);
    cr_assert_eq(append(b, 4 * ZONE, most, &where), S_OK);
    cr_assert_eq(append(b, 4 * ZONE, most, &where), S_OK);
    cr_assert_eq(append(b, 4 * ZONE, 1, &where), S_ZONE_INVALID_CMD, "the zone is full");
    blk_close(b);

    none = probe_open(&probe, NULL);
    vd_start(&none.d, VD_BIT(F_ZONED));
    cr_assert_eq(append(&none, 4 * ZONE, 1, &where), S_UNSUPP);
    probe_close(&probe, &none);
}
