/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device; sections of virtio 1.4. */
#include "blk.h"

#define OPEN(options, medium)                                                                      \
    Blk blk = blk_open(options, medium);                                                           \
    Blk *b = &blk;                                                                                 \
    VdDriver *d = &b->d

/* --- what it says of itself -------------------------------------------------------- */

/* 5.2.4 */
Test(blk, tells_what_the_medium_is)
{
    OPEN("num_queues=3,size_max=65536", "memory:1M,block-size=4096");

    cr_assert_eq(vd_offered(d) & 0x3ffff,
                 (VD_BIT(F_SIZE_MAX) | VD_BIT(F_SEG_MAX) | VD_BIT(F_GEOMETRY) | VD_BIT(F_BLK_SIZE) |
                  VD_BIT(F_FLUSH) | VD_BIT(F_TOPOLOGY) | VD_BIT(F_CONFIG_WCE) | VD_BIT(F_MQ) |
                  VD_BIT(F_DISCARD) | VD_BIT(F_WRITE_ZEROES) | VD_BIT(F_SECURE_ERASE)),
                 "%x", (unsigned)vd_offered(d));
    cr_assert_eq(blk_config(b, 0, 8), 2048);
    cr_assert_eq(blk_config(b, 8, 4), 65536);
    cr_assert_eq(blk_config(b, 12, 4), 254);
    cr_assert_eq(blk_config(b, 16, 2), 2, "cylinders");
    cr_assert_eq(blk_config(b, 18, 1), 16, "heads");
    cr_assert_eq(blk_config(b, 19, 1), 63, "sectors");
    cr_assert_eq(blk_config(b, 20, 4), 4096);
    cr_assert_eq(blk_config(b, 34, 2), 3);
    cr_assert_gt(blk_config(b, 36, 4), 0);
    cr_assert_eq(blk_config(b, 40, 4), 16);
    cr_assert_eq(blk_config(b, 44, 4) % 8, 0);
    cr_assert_eq(blk_config(b, 48, 4), (64 << 20) / 512);
    cr_assert_eq(blk_config(b, 56, 1), 1);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_NUM_QUEUES, 2), 3);
    blk_close(b);
}

/* 5.2.5.2: FLUSH SHOULD always be offered, and MUST with CONFIG_WCE; no ZONED without zones; RO is
 * the medium's. */
Test(blk, always_offers_flush_and_zones_only_where_there_are_some)
{
    static const char *const options[] = {"config_wce=on", "config_wce=off"};

    for (unsigned i = 0; i < 2; i++) {
        OPEN(options[i], "null:64K,readonly=on");

        cr_assert(vd_offered(d) & VD_BIT(F_FLUSH));
        cr_assert_eq((vd_offered(d) & VD_BIT(F_CONFIG_WCE)) != 0, i == 0);
        cr_assert_not(vd_offered(d) & VD_BIT(F_ZONED));
        cr_assert_not(vd_offered(d) & VD_BIT(F_SCSI));
        cr_assert(vd_offered(d) & VD_BIT(F_RO));
        cr_assert_not(vd_offered(d) & (VD_BIT(F_DISCARD) | VD_BIT(F_WRITE_ZEROES)));
        cr_assert_not(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1) | VD_BIT(F_ZONED)));
        blk_close(b);
    }
}

/* 5.2.5.2: unused0 and unused1 MUST be 0; so is unused2. */
Test(blk, padding_is_zero)
{
    OPEN(NULL, "memory:64K");

    cr_assert_eq(blk_config(b, 33, 1), 0);
    cr_assert_eq(blk_config(b, 57, 1), 0);
    cr_assert_eq(blk_config(b, 58, 2), 0);
    cr_assert_eq(blk_config(b, 92, 4), 0);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 33, 1, 0xff);
    cr_assert_eq(blk_config(b, 33, 1), 0);
    blk_close(b);
}

/* 5.2.6.2: a new capacity SHOULD come with a notification; 2.5.2: and another generation. */
Test(blk, a_new_capacity_is_told)
{
    OPEN(NULL, "memory:64K");
    uint64_t vector, generation;
    unsigned before;

    cr_assert(devemu_block_resize(b->block, 128 << 10, NULL));
    vd_wait(d);
    cr_assert_eq(vd_notifications(d, &vector), 0, "3.1.1: not before DRIVER_OK");
    cr_assert_eq(blk_config(b, 0, 8), 256);
    vd_start(d, 0);
    cr_assert_eq(blk_do(b, T_IN, 300, PAYLOAD, 512), S_IOERR);
    generation = vd_read(d, DEVEMU_VIRTIO_CONFIG_GENERATION, 1);
    before = vd_notifications(d, &vector);
    cr_assert(devemu_block_resize(b->block, 256 << 10, NULL));
    vd_wait(d);
    cr_assert_eq(vd_notifications(d, &vector), before + 1);
    cr_assert_eq(vector, DEVEMU_VIRTIO_CONFIG_CHANGE);
    cr_assert_neq(vd_read(d, DEVEMU_VIRTIO_CONFIG_GENERATION, 1), generation);
    cr_assert_eq(blk_config(b, 0, 8), 512);
    cr_assert_eq(blk_do(b, T_IN, 300, PAYLOAD, 512), S_OK);
    blk_close(b);
}

/* --- reading and writing ----------------------------------------------------------- */

/* 5.2.6 */
Test(blk, what_was_written_is_read)
{
    OPEN(NULL, "memory:64K");

    vd_start(d, VD_BIT(F_FLUSH));
    blk_fill(b, PAYLOAD, 4096, 1);
    cr_assert_eq(blk_do(b, T_OUT, 5, PAYLOAD, 4096), S_OK);
    cr_assert_eq(b->written, 1, "the status");
    cr_assert_eq(blk_do(b, T_FLUSH, 0, 0, 0), S_OK);
    cr_assert_eq(blk_do(b, T_IN, 6, PAYLOAD + 0x2000, 1024), S_OK);
    cr_assert_eq(b->written, 1025);
    cr_assert_arr_eq(vd_at(d, PAYLOAD + 0x2000), vd_at(d, PAYLOAD + 512), 1024);
    cr_assert_eq(blk_do(b, T_IN, 127, PAYLOAD + 0x2000, 512), S_OK, "the last sector");
    blk_close(b);
}

/* 2.7.4, 5.2.6: any layout; the status is the last device-writable byte. */
Test(blk, header_data_and_status_may_be_cut_anywhere)
{
    OPEN(NULL, "memory:64K");
    unsigned slot;
    uint32_t id, len;

    vd_start(d, 0);
    slot = blk_header(b, T_OUT, 3);
    blk_fill(b, PAYLOAD, 1024, 9);
    {
        const VdPiece pieces[] = {{blk_header_at(slot), 3, false},
                                  {blk_header_at(slot) + 3, 13, false},
                                  {PAYLOAD, 1, false},
                                  {PAYLOAD + 1, 700, false},
                                  {PAYLOAD + 701, 323, false},
                                  {blk_header_at(slot) + 16, 1, true}};

        vd_add(d, 0, pieces, 6);
    }
    vd_kick(d, 0);
    vd_wait(d);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(blk_status(b, slot), S_OK);

    /* Data and status in one element, which begins before the data of the disk ends. */
    memset(vd_at(d, PAYLOAD + 0x1000), 0xee, 1200);
    slot = blk_header(b, T_IN, 3);
    {
        const VdPiece pieces[] = {{blk_header_at(slot), 16, false},
                                  {PAYLOAD + 0x1000, 5, true},
                                  {PAYLOAD + 0x1005, 1020, true}};

        vd_add(d, 0, pieces, 3);
    }
    vd_kick(d, 0);
    vd_wait(d);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(len, 1025);
    cr_assert_arr_eq(vd_at(d, PAYLOAD + 0x1000), vd_at(d, PAYLOAD), 1024);
    cr_assert_eq(*vd_at(d, PAYLOAD + 0x1000 + 1024), S_OK);
    cr_assert_eq(*vd_at(d, PAYLOAD + 0x1000 + 1025), 0xee);
    blk_close(b);
}

/* Header and data of a write in one element. */
Test(blk, data_may_stand_in_the_headers_element)
{
    OPEN(NULL, "memory:64K");
    uint32_t id, len;

    vd_start(d, 0);
    blk_fill(b, PAYLOAD, 528, 4);
    devemu_put_le32(vd_at(d, PAYLOAD), T_OUT);
    devemu_put_le64(vd_at(d, PAYLOAD + 8), 7);
    {
        const VdPiece pieces[] = {{PAYLOAD, 528, false}, {HEADERS, 1, true}};

        vd_add(d, 0, pieces, 2);
    }
    vd_kick(d, 0);
    vd_wait(d);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(*vd_at(d, HEADERS), S_OK);
    cr_assert_eq(blk_do(b, T_IN, 7, PAYLOAD + 0x1000, 512), S_OK);
    cr_assert_arr_eq(vd_at(d, PAYLOAD + 0x1000), vd_at(d, PAYLOAD + 16), 512);
    blk_close(b);
}

/* 5.2.6.2: with RO a write MUST be answered with IOERR, and write nothing. */
Test(blk, a_read_only_medium_is_not_written)
{
    OPEN(NULL, "memory:64K,readonly=on");

    vd_start(d, 0);
    blk_fill(b, PAYLOAD, 512, 1);
    cr_assert_eq(blk_do(b, T_OUT, 0, PAYLOAD, 512), S_IOERR);
    cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD, 512), S_OK);
    cr_assert_eq(*vd_at(d, PAYLOAD), 0);
    blk_close(b);
}

Test(blk, what_is_outside_the_medium_or_no_sectors_fails)
{
    OPEN(NULL, "memory:64K,block-size=1024");
    static const struct {
        uint64_t sector;
        uint32_t len;
    } bad[] = {{127, 1024},
               {128, 512},
               {UINT64_MAX, 512},
               {UINT64_MAX / 512 + 1, 1024},
               {0, 1000},
               {0, 511},
               {1, 1024},
               {0, 512},
               {UINT64_C(1) << 55, 1024},
               {126, 2 * 1024 + 0}};

    vd_start(d, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        cr_assert_eq(blk_do(b, T_IN, bad[i].sector, PAYLOAD, bad[i].len), S_IOERR, "%u", i);
        cr_assert_eq(blk_do(b, T_OUT, bad[i].sector, PAYLOAD, bad[i].len), S_IOERR, "%u", i);
    }
    cr_assert_eq(blk_do(b, T_IN, 126, PAYLOAD, 1024), S_OK);
    cr_assert_eq(blk_do(b, T_IN, 128, 0, 0), S_OK, "nothing, at the end");
    blk_close(b);
}

Test(blk, an_error_of_the_medium_is_an_error_of_the_request)
{
    OPEN(NULL, "memory:64K,fault=read:EIO:at=4K");

    vd_start(d, 0);
    cr_assert_eq(blk_do(b, T_IN, 8, PAYLOAD, 512), S_IOERR);
    cr_assert_eq(b->written, 0, "2.7.8.2: the first byte was not");
    cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD, 512), S_OK);
    blk_close(b);
}

/* Without windows payload goes through memory of the device's own, in pieces. */
Test(blk, serves_a_host_without_windows)
{
    OPEN(NULL, "memory:1M");
    enum { LEN = 200 * 1024 };

    devemu_fake_set_map(d->fake, false);
    vd_start(d, 0);
    blk_fill(b, PAYLOAD, LEN, 3);
    cr_assert_eq(blk_do(b, T_OUT, 8, PAYLOAD, LEN), S_OK);
    cr_assert_eq(blk_do(b, T_IN, 8, PAYLOAD + LEN, LEN), S_OK);
    cr_assert_eq(b->written, LEN + 1);
    cr_assert_arr_eq(vd_at(d, PAYLOAD + LEN), vd_at(d, PAYLOAD), LEN);
    blk_close(b);
}

/* More of those than there is memory for wait for each other. */
Test(blk, requests_without_windows_wait_for_memory)
{
    OPEN(NULL, "memory:1M");
    unsigned slots[16];
    uint32_t id, len;

    devemu_fake_set_map(d->fake, false);
    vd_start(d, 0);
    for (unsigned i = 0; i < 16; i++) {
        blk_fill(b, PAYLOAD + i * 1024u, 1024, i * 3 + 1);
        slots[i] = blk_add(b, 0, T_OUT, i * 2, PAYLOAD + i * 1024u, 1024);
    }
    vd_kick(d, 0);
    vd_wait(d);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert(vd_used(d, 0, &id, &len));
        cr_assert_eq(blk_status(b, slots[i]), S_OK);
    }
    cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD + 0x8000, 16 * 1024), S_OK);
    cr_assert_arr_eq(vd_at(d, PAYLOAD + 0x8000), vd_at(d, PAYLOAD), 16 * 1024);
    blk_close(b);
}

/* 5.2.2 */
Test(blk, every_queue_is_served_and_notifies_for_itself)
{
    OPEN("num_queues=4", "memory:64K");
    unsigned slots[4], before;
    uint32_t id, len;
    uint64_t vector;

    vd_start(d, VD_BIT(F_MQ));
    for (unsigned i = 0; i < 4; i++) {
        slots[i] = blk_add(b, i, T_IN, i, PAYLOAD + i * 512u, 512);
    }
    for (unsigned i = 4; i-- > 0;) {
        before = vd_notifications(d, &vector);
        vd_kick(d, i);
        vd_wait(d);
        cr_assert(vd_used(d, i, &id, &len));
        cr_assert_eq(blk_status(b, slots[i]), S_OK);
        cr_assert_eq(vd_notifications(d, &vector), before + 1);
        cr_assert_eq(vector, i);
    }
    blk_close(b);
}

/* --- other requests ---------------------------------------------------------------- */

/* 5.2.6 */
Test(blk, get_id_pads_with_nuls_and_needs_no_terminator)
{
    static const struct {
        const char *options, *id;
    } ids[] = {{"serial=disk-1", "disk-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0"},
               {"serial=12345678901234567890", "12345678901234567890"},
               {NULL, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"}};

    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        OPEN(ids[i].options, "memory:64K");

        vd_start(d, 0);
        memset(vd_at(d, PAYLOAD), 0xee, 21);
        cr_assert_eq(blk_do(b, T_GET_ID, 0, PAYLOAD, 20), S_OK);
        cr_assert_eq(b->written, 21);
        cr_assert_arr_eq(vd_at(d, PAYLOAD), ids[i].id, 20);
        cr_assert_eq(*vd_at(d, PAYLOAD + 20), 0xee);
        cr_assert_eq(blk_do(b, T_GET_ID, 0, PAYLOAD, 4), S_OK, "a short one gets its part");
        blk_close(b);
    }
}

/* 5.2.6.2: LIFETIME where the medium knows it, and no reserved values. */
Test(blk, lifetime_is_what_the_medium_says)
{
    OPEN(NULL, "memory:64K,lifetime=2:3:11");

    vd_start(d, VD_BIT(F_LIFETIME));
    cr_assert_eq(blk_do(b, T_GET_LIFETIME, 0, PAYLOAD, 6), S_OK);
    cr_assert_eq(devemu_le16(vd_at(d, PAYLOAD)), 2);
    cr_assert_eq(devemu_le16(vd_at(d, PAYLOAD + 2)), 3);
    cr_assert_eq(devemu_le16(vd_at(d, PAYLOAD + 4)), 11);
    cr_assert_eq(blk_do(b, T_GET_LIFETIME, 0, PAYLOAD, 5), S_IOERR);
    vd_start(d, 0);
    cr_assert_eq(blk_do(b, T_GET_LIFETIME, 0, PAYLOAD, 6), S_UNSUPP, "not negotiated");
    blk_close(b);
}

/* 5.2.6.2: what needs ZONED MUST be answered with UNSUPP without; so is what nobody knows. */
Test(blk, unknown_and_zone_requests_are_unsupported)
{
    OPEN(NULL, "memory:64K");
    static const uint32_t types[] = {T_SCSI_CMD,
                                     3,
                                     T_FLUSH_OUT,
                                     6,
                                     T_ZONE_APPEND,
                                     T_ZONE_REPORT,
                                     T_ZONE_OPEN,
                                     T_ZONE_CLOSE,
                                     T_ZONE_FINISH,
                                     T_ZONE_RESET,
                                     T_ZONE_RESET_ALL,
                                     0x80000000u | T_OUT,
                                     0x100,
                                     UINT32_MAX};

    vd_start(d, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        cr_assert_eq(blk_do(b, types[i], 0, PAYLOAD, 512), S_UNSUPP, "%x", types[i]);
        cr_assert_eq(blk_do(b, types[i], 0, 0, 0), S_UNSUPP, "%x", types[i]);
    }
    blk_close(b);
}

/* --- ranges ------------------------------------------------------------------------ */

#define RANGES (VD_BIT(F_DISCARD) | VD_BIT(F_WRITE_ZEROES) | VD_BIT(F_SECURE_ERASE))

static const uint32_t range_types[] = {T_DISCARD, T_WRITE_ZEROES, T_SECURE_ERASE};

/* 5.2.6.2: reads after a write zeroes MUST return zeroes, with unmap and without. */
Test(blk, write_zeroes_writes_zeroes_in_each_range)
{
    OPEN(NULL, "memory:64K");

    vd_start(d, RANGES);
    for (unsigned unmap = 0; unmap < 2; unmap++) {
        memset(vd_at(d, PAYLOAD + 0x1000), 0x55, 0x8000);
        cr_assert_eq(blk_do(b, T_OUT, 0, PAYLOAD + 0x1000, 0x8000), S_OK);
        blk_range(b, 0, 1, 2, unmap);
        blk_range(b, 1, 8, 0, unmap);
        blk_range(b, 2, 16, 16, unmap);
        cr_assert_eq(blk_do(b, T_WRITE_ZEROES, 0, PAYLOAD, 48), S_OK);
        cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD + 0x1000, 0x8000), S_OK);
        for (unsigned sector = 0; sector < 64; sector++) {
            bool zero = (sector >= 1 && sector < 3) || (sector >= 16 && sector < 32);

            cr_assert_eq(*vd_at(d, PAYLOAD + 0x1000 + sector * 512u), zero ? 0 : 0x55, "%u",
                         sector);
        }
    }
    blk_close(b);
}

/* 5.2.6.2: unknown flags MUST be answered with UNSUPP, unmap too except for write zeroes; and the
 * other ranges are left alone. */
Test(blk, unknown_flags_of_ranges_are_unsupported)
{
    OPEN(NULL, "memory:64K");

    vd_start(d, RANGES);
    memset(vd_at(d, PAYLOAD + 0x1000), 0x55, 512);
    cr_assert_eq(blk_do(b, T_OUT, 0, PAYLOAD + 0x1000, 512), S_OK);
    for (unsigned i = 0; i < 3; i++) {
        for (uint32_t flag = 2; flag != 0; flag <<= 1) {
            blk_range(b, 0, 0, 1, 0);
            blk_range(b, 1, 1, 1, flag);
            cr_assert_eq(blk_do(b, range_types[i], 0, PAYLOAD, 32), S_UNSUPP, "%x", flag);
        }
        blk_range(b, 1, 1, 1, 1);
        cr_assert_eq(blk_do(b, range_types[i], 0, PAYLOAD, 32),
                     range_types[i] == T_WRITE_ZEROES ? S_OK : S_UNSUPP);
        if (i == 0) {
            cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD + 0x1000, 512), S_OK);
            cr_assert_eq(*vd_at(d, PAYLOAD + 0x1000), 0x55);
        }
    }
    blk_close(b);
}

Test(blk, absurd_ranges_fail_and_change_nothing)
{
    OPEN(NULL, "memory:64K");
    static const struct {
        uint64_t sector;
        uint32_t sectors;
    } bad[] = {{0, UINT32_MAX}, {127, 2},
               {128, 1},        {129, 0},
               {UINT64_MAX, 1}, {UINT64_MAX, UINT32_MAX},
               {1, 128},        {UINT64_C(1) << 55, 1}};

    vd_start(d, RANGES);
    memset(vd_at(d, PAYLOAD + 0x1000), 0x55, 512);
    cr_assert_eq(blk_do(b, T_OUT, 0, PAYLOAD + 0x1000, 512), S_OK);
    for (unsigned t = 0; t < 3; t++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
            blk_range(b, 0, 0, 1, 0);
            blk_range(b, 1, bad[i].sector, bad[i].sectors, 0);
            cr_assert_eq(blk_do(b, range_types[t], 0, PAYLOAD, 32), S_IOERR, "%u", i);
        }
        for (unsigned i = 0; i < 17; i++) {
            blk_range(b, i, 0, 1, 0);
        }
        cr_assert_eq(blk_do(b, range_types[t], 0, PAYLOAD, 17 * 16), S_IOERR, "too many");
        cr_assert_eq(blk_do(b, range_types[t], 0, PAYLOAD, 15), S_IOERR);
        cr_assert_eq(blk_do(b, range_types[t], 0, 0, 0), S_IOERR);
    }
    cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD + 0x1000, 512), S_OK);
    cr_assert_eq(*vd_at(d, PAYLOAD + 0x1000), 0x55);
    blk_range(b, 0, 0, 128, 0);
    for (unsigned t = 0; t < 3; t++) {
        cr_assert_eq(blk_do(b, range_types[t], 0, PAYLOAD, 16), S_OK);
    }
    vd_start(d, 0);
    for (unsigned t = 0; t < 3; t++) {
        cr_assert_eq(blk_do(b, range_types[t], 0, PAYLOAD, 16), S_UNSUPP, "not negotiated");
    }
    blk_close(b);
}

/* --- bad buffers ------------------------------------------------------------------- */

Test(blk, a_request_without_a_whole_header_fails)
{
    OPEN(NULL, "memory:64K");
    uint32_t id, len;

    vd_start(d, 0);
    for (uint32_t n = 0; n < 16; n++) {
        const VdPiece pieces[] = {{PAYLOAD, n, false}, {HEADERS, 1, true}};

        memset(vd_at(d, PAYLOAD), 0, 16);
        *vd_at(d, HEADERS) = S_NONE;
        vd_add(d, 0, n ? pieces : pieces + 1, n ? 2 : 1);
        vd_kick(d, 0);
        vd_wait(d);
        cr_assert(vd_used(d, 0, &id, &len));
        cr_assert_eq(*vd_at(d, HEADERS), S_IOERR, "%u bytes", n);
    }
    blk_close(b);
}

/* Nobody could be told what became of it. */
Test(blk, a_request_without_a_status_needs_a_reset)
{
    OPEN(NULL, "memory:64K");
    uint32_t id, len;

    vd_start(d, 0);
    blk_header(b, T_OUT, 0);
    vd_add(d, 0, &(VdPiece){HEADERS, 16, false}, 1);
    blk_add(b, 0, T_IN, 0, PAYLOAD, 512);
    vd_kick(d, 0);
    vd_wait(d);
    cr_assert(vd_status(d) & DEVEMU_VIRTIO_NEEDS_RESET);
    cr_assert_not(vd_used(d, 0, &id, &len));
    vd_start(d, 0);
    cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD, 512), S_OK);
    blk_close(b);
}

/* Memory that is not there moves nothing. */
Test(blk, payload_outside_memory_fails)
{
    OPEN(NULL, "memory:16M");

    vd_start(d, 0);
    cr_assert_eq(blk_do(b, T_OUT, 0, 0xfffff000, 512), S_IOERR);
    cr_assert_eq(blk_do(b, T_IN, 0, VD_RAM - 512, 1024), S_IOERR);
    cr_assert_eq(blk_do(b, T_OUT, 0, VD_RAM - 0x10000, 8 << 20), S_IOERR);
    cr_assert_eq(blk_do(b, T_IN, 0, 0, 0x80000000), S_IOERR, "larger than the disk");
    cr_assert_eq(blk_do(b, T_GET_ID, 0, UINT64_MAX - 8, 20), S_IOERR);
    cr_assert_eq(blk_do(b, T_DISCARD, 0, 0xfffff000, 16), S_UNSUPP);
    cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD, 512), S_OK);
    cr_assert_eq(vd_status(d), 0xf);
    blk_close(b);
}

/* No medium: requests fail, and the size is what it was. */
Test(blk, without_a_medium_requests_fail)
{
    Blk blk = {.d = vd_new(&devemu_model_virtio_blk, NULL)};
    Blk *b = &blk;

    vd_start(&b->d, 0);
    cr_assert_eq(blk_config(b, 0, 8), 0);
    cr_assert_eq(blk_do(b, T_IN, 0, PAYLOAD, 512), S_IOERR);
    cr_assert_eq(blk_do(b, T_OUT, 0, PAYLOAD, 512), S_IOERR);
    cr_assert_eq(blk_do(b, T_FLUSH, 0, 0, 0), S_IOERR);
    vd_free(&b->d);
}
