/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The block device while requests are under way, with a medium in the test's hands; sections of
 * virtio 1.4.
 */
#include "blk.h"

#define OPEN(options)                                                                              \
    static Probe probe;                                                                            \
    Blk blk = probe_open(&probe, options);                                                         \
    Probe *p = &probe;                                                                             \
    Blk *b = &blk;                                                                                 \
    VdDriver *d = &b->d

/* --- the write cache: 5.2.6.2 ------------------------------------------------------ */

static uint32_t flags_of(Probe *p, Blk *b, uint32_t type)
{
    unsigned i = p->count;

    blk_range(b, 0, 0, 1, 0);
    blk_add(b, 0, type, 0, PAYLOAD, type == T_OUT ? 512 : 16);
    vd_kick(&b->d, 0);
    cr_assert_eq(p->count, i + 1);
    probe_end(p, i, 0, 0);
    return p->requests[i].flags;
}

/* A write MUST be committed before it completes without FLUSH and CONFIG_WCE, and with CONFIG_WCE
 * while writeback is 0. */
Test(blk_flight, stable_writes_are_on_the_medium_when_they_complete)
{
    OPEN(NULL);
    const uint64_t zeroes = VD_BIT(F_WRITE_ZEROES);

    p->info.write_zeroes = true;
    devemu_device_medium(p->dev);
    vd_start(d, zeroes);
    cr_assert_eq(flags_of(p, b, T_OUT), DEVEMU_BLOCK_FUA);
    cr_assert_eq(flags_of(p, b, T_WRITE_ZEROES), DEVEMU_BLOCK_FUA);
    vd_start(d, zeroes | VD_BIT(F_FLUSH));
    cr_assert_eq(flags_of(p, b, T_OUT), 0);
    cr_assert_eq(flags_of(p, b, T_WRITE_ZEROES), 0);
    vd_start(d, zeroes | VD_BIT(F_FLUSH) | VD_BIT(F_CONFIG_WCE));
    cr_assert_eq(blk_config(b, 32, 1), 1);
    cr_assert_eq(flags_of(p, b, T_OUT), 0);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 32, 1, 0);
    cr_assert_eq(blk_config(b, 32, 1), 0);
    cr_assert_eq(flags_of(p, b, T_OUT), DEVEMU_BLOCK_FUA);
    cr_assert_eq(flags_of(p, b, T_WRITE_ZEROES), DEVEMU_BLOCK_FUA);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 32, 1, 1);
    cr_assert_eq(flags_of(p, b, T_OUT), 0);
    probe_close(p, b);
}

/* 5.2.5.2: with CONFIG_WCE and no FLUSH writeback MUST begin as 0. */
Test(blk_flight, writeback_is_off_for_a_driver_that_cannot_flush)
{
    OPEN(NULL);

    vd_start(d, VD_BIT(F_CONFIG_WCE));
    cr_assert_eq(blk_config(b, 32, 1), 0);
    cr_assert_eq(flags_of(p, b, T_OUT), DEVEMU_BLOCK_FUA);
    vd_start(d, VD_BIT(F_FLUSH));
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 32, 1, 0);
    cr_assert_eq(blk_config(b, 32, 1), 1, "not negotiated");
    probe_close(p, b);
}

static void legacy(VdDriver *d, uint64_t features)
{
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    memset(d->queues, 0, sizeof(d->queues));
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 3);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 1);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, 0);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 0);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, features);
}

static void legacy_ok(VdDriver *d)
{
    vd_queue(d, 0);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 7);
    cr_assert_eq(vd_status(d), 7);
}

/* 5.2.5.3: a legacy driver may write writeback before DRIVER_OK; features and status bits change
 * nothing but DRIVER_OK without CONFIG_WCE. */
Test(blk_flight, a_legacy_drivers_writeback_stays)
{
    OPEN(NULL);

    legacy(d, VD_BIT(F_CONFIG_WCE));
    cr_assert_eq(blk_config(b, 32, 1), 1);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 32, 1, 0);
    cr_assert_eq(blk_config(b, 32, 1), 0);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 32, 1, 1);
    legacy_ok(d);
    cr_assert_eq(blk_config(b, 32, 1), 1, "though it has no FLUSH");
    cr_assert_eq(flags_of(p, b, T_OUT), 0);
    legacy(d, VD_BIT(F_CONFIG_WCE));
    legacy_ok(d);
    cr_assert_eq(blk_config(b, 32, 1), 1);
    legacy(d, 0);
    legacy_ok(d);
    cr_assert_eq(blk_config(b, 32, 1), 0);
    cr_assert_eq(flags_of(p, b, T_OUT), DEVEMU_BLOCK_FUA);
    probe_close(p, b);
}

/* 5.2.6.3: FLUSH_OUT is FLUSH. */
Test(blk_flight, a_legacy_driver_flushes_by_both_names)
{
    OPEN(NULL);

    legacy(d, VD_BIT(F_FLUSH));
    legacy_ok(d);
    blk_add(b, 0, T_FLUSH_OUT, 0, 0, 0);
    blk_add(b, 0, T_FLUSH, 0, 0, 0);
    vd_kick(d, 0);
    cr_assert_eq(p->count, 2);
    cr_assert_eq(p->requests[0].op, DEVEMU_BLOCK_FLUSH);
    cr_assert_eq(p->requests[1].op, DEVEMU_BLOCK_FLUSH);
    probe_end(p, 0, 0, 0);
    probe_end(p, 1, 0, 0);
    probe_close(p, b);
}

/* What completed before a flush MUST be on the medium when that completes: it is the medium's
 * flush, and it is not done before that is. */
Test(blk_flight, a_flush_is_the_mediums)
{
    OPEN(NULL);
    uint32_t id, len;
    unsigned slots[2];

    vd_start(d, VD_BIT(F_FLUSH));
    for (unsigned i = 0; i < 2; i++) {
        slots[i] = blk_add(b, 0, T_FLUSH, 0, 0, 0);
        vd_kick(d, 0);
        cr_assert_eq(p->requests[i].op, DEVEMU_BLOCK_FLUSH);
        cr_assert_not(vd_used(d, 0, &id, &len));
        probe_end(p, i, i ? -EIO : 0, 0);
        cr_assert(vd_used(d, 0, &id, &len));
    }
    cr_assert_eq(blk_status(b, slots[0]), S_OK);
    cr_assert_eq(blk_status(b, slots[1]), S_IOERR);
    probe_close(p, b);
}

/* --- many at once ------------------------------------------------------------------ */

/* 5.2: served probably out of order. */
Test(blk_flight, requests_end_in_any_order)
{
    OPEN(NULL);
    unsigned slots[3];
    uint32_t id, len;

    vd_start(d, 0);
    for (unsigned i = 0; i < 3; i++) {
        slots[i] = blk_add(b, 0, T_IN, i, PAYLOAD + i * 512u, 512);
    }
    vd_kick(d, 0);
    cr_assert_eq(p->count, 3);
    for (unsigned i = 3; i-- > 0;) {
        cr_assert_eq(blk_status(b, slots[i]), S_NONE);
        memset(p->slices[i][0].data, (int)i + 1, 512);
        probe_end(p, i, 0, 0);
        cr_assert(vd_used(d, 0, &id, &len));
        cr_assert_eq(id, i * 3);
        cr_assert_eq(len, 513);
        cr_assert_eq(blk_status(b, slots[i]), S_OK);
        cr_assert_eq(*vd_at(d, PAYLOAD + i * 512u), i + 1, "straight to memory");
    }
    probe_close(p, b);
}

/* One system call down, one notification up. */
Test(blk_flight, a_batch_is_submitted_and_used_together)
{
    OPEN(NULL);
    DevemuBlockCompletion completions[5];
    uint32_t id, len;
    uint64_t vector;

    vd_start(d, 0);
    for (unsigned i = 0; i < 5; i++) {
        blk_add(b, 0, T_IN, i, PAYLOAD + i * 512u, 512);
    }
    vd_kick(d, 0);
    cr_assert_eq(p->count, 5);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(p->more[i], i < 4);
        completions[i] = (DevemuBlockCompletion){.tag = p->requests[i].tag};
    }
    cr_assert_eq(vd_notifications(d, &vector), 0);
    cr_assert(devemu_device_complete(p->dev, completions, 5));
    cr_assert_eq(vd_notifications(d, &vector), 1);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert(vd_used(d, 0, &id, &len));
    }
    probe_close(p, b);
}

/* A request of a batch that ends at once, or fails, does not leave the one before it unsubmitted.
 */
Test(blk_flight, the_last_request_of_a_batch_says_so)
{
    OPEN(NULL);

    vd_start(d, 0);
    blk_add(b, 0, T_IN, 0, PAYLOAD, 512);
    blk_add(b, 0, T_GET_ID, 0, PAYLOAD, 20);
    blk_add(b, 0, T_OUT, 1 << 20, PAYLOAD, 512);
    vd_kick(d, 0);
    cr_assert_eq(p->count, 1);
    cr_assert_not(p->more[0]);
    probe_end(p, 0, 0, 0);
    probe_close(p, b);
}

/* More than the device has room for stays in the queues: 8 times 32 requests of 20 elements, each
 * in three of 512 units. */
Test(blk_flight, what_has_no_room_waits_in_its_queue)
{
    OPEN("num_queues=8");
    unsigned used = 0;
    uint32_t id, len;

    vd_start(d, VD_BIT(F_MQ));
    for (unsigned queue = 0; queue < 8; queue++) {
        unsigned slot = blk_header(b, T_IN, 0);
        VdPiece pieces[20] = {{blk_header_at(slot), 16, false}};

        for (unsigned i = 1; i < 20; i++) {
            pieces[i] = (VdPiece){PAYLOAD + i * 512u, i < 19 ? 512 : 513, true};
        }
        vd_add(d, queue, pieces, 20);
        for (unsigned i = 1; i < 32; i++) {
            vd_add_again(d, queue, 0);
        }
        vd_kick(d, queue);
    }
    cr_assert_eq(p->count, 170, "%u", p->count);
    for (unsigned i = 0; i < p->count; i++) {
        probe_end(p, i, 0, 0);
        devemu_fake_advance(d->fake, 1);
    }
    cr_assert_eq(p->count, 256, "%u", p->count);
    for (unsigned queue = 0; queue < 8; queue++) {
        while (vd_used(d, queue, &id, &len)) {
            cr_assert_eq(len, 19 * 512 + 1);
            used++;
        }
    }
    cr_assert_eq(used, 256);
    probe_close(p, b);
}

/* --- limits of the medium ---------------------------------------------------------- */

Test(blk_flight, a_request_is_cut_to_what_the_medium_takes)
{
    OPEN(NULL);
    uint32_t id, len;
    uint64_t at = 0;

    p->info.max_transfer = 1024 + 100;
    devemu_device_medium(p->dev);
    vd_start(d, 0);
    blk_add(b, 0, T_OUT, 4, PAYLOAD, 2560);
    vd_kick(d, 0);
    for (unsigned i = 0; i < p->count; i++) {
        cr_assert_leq(p->requests[i].len, 1024);
        cr_assert_eq(p->requests[i].at, 2048 + at);
        cr_assert_eq(p->slices[i][0].data, vd_at(d, PAYLOAD + at));
        at += p->requests[i].len;
        cr_assert_not(vd_used(d, 0, &id, &len));
        probe_end(p, i, 0, 0);
    }
    cr_assert_eq(p->count, 3);
    cr_assert_eq(at, 2560);
    cr_assert(vd_used(d, 0, &id, &len));
    probe_close(p, b);
}

/* Pieces end where blocks do, whatever the driver's elements are; what does not fit so goes through
 * the device's own memory. */
Test(blk_flight, pieces_are_whole_blocks)
{
    OPEN(NULL);
    unsigned slot;
    VdPiece pieces[12];
    uint64_t at = 0;
    uint32_t id, len;

    p->info.max_segments = 3;
    devemu_device_medium(p->dev);
    vd_start(d, 0);
    slot = blk_header(b, T_OUT, 0);
    blk_fill(b, PAYLOAD, 2048, 5);
    pieces[0] = (VdPiece){blk_header_at(slot), 16, false};
    for (unsigned i = 0; i < 8; i++) {
        pieces[i + 1] = (VdPiece){PAYLOAD + i * 200u, i < 7 ? 200 : 648, false};
    }
    pieces[9] = (VdPiece){blk_header_at(slot) + 16, 1, true};
    vd_add(d, 0, pieces, 10);
    vd_kick(d, 0);
    for (unsigned i = 0; i < p->count; i++) {
        uint64_t got = 0;

        cr_assert_leq(p->requests[i].count, 3);
        cr_assert_eq(p->requests[i].len % 512, 0);
        cr_assert_eq(p->requests[i].at, at);
        for (size_t n = 0; n < p->requests[i].count; n++) {
            const DevemuBlockSlice *slice = &p->slices[i][n];

            cr_assert_arr_eq(slice->data, vd_at(d, PAYLOAD + at + got), slice->len);
            got += slice->len;
        }
        cr_assert_eq(got, p->requests[i].len);
        at += got;
        probe_end(p, i, 0, 0);
    }
    cr_assert_eq(at, 2048);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(blk_status(b, slot), S_OK);
    probe_close(p, b);
}

/* Values of JEDEC that are reserved MUST NOT be sent. */
Test(blk_flight, reserved_lifetimes_are_not_known)
{
    OPEN(NULL);
    uint32_t id, len;
    unsigned slot;

    p->info.lifetime = true;
    p->info.pre_eol = 4;
    p->info.life_a = 12;
    p->info.life_b = 11;
    devemu_device_medium(p->dev);
    vd_start(d, VD_BIT(F_LIFETIME));
    slot = blk_add(b, 0, T_GET_LIFETIME, 0, PAYLOAD, 6);
    vd_kick(d, 0);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(blk_status(b, slot), S_OK);
    cr_assert_eq(devemu_le16(vd_at(d, PAYLOAD)), 0);
    cr_assert_eq(devemu_le16(vd_at(d, PAYLOAD + 2)), 0);
    cr_assert_eq(devemu_le16(vd_at(d, PAYLOAD + 4)), 11);
    probe_close(p, b);
}

/* A range that the driver changes while one before it is at the medium is checked once more. */
Test(blk_flight, ranges_that_change_are_checked_again)
{
    OPEN(NULL);
    uint32_t id, len;
    unsigned slot;

    p->info.discard = true;
    devemu_device_medium(p->dev);
    vd_start(d, VD_BIT(F_DISCARD));
    blk_range(b, 0, 0, 8, 0);
    blk_range(b, 1, 8, 8, 0);
    slot = blk_add(b, 0, T_DISCARD, 0, PAYLOAD, 32);
    vd_kick(d, 0);
    cr_assert_eq(p->count, 1);
    blk_range(b, 1, 2040, 9, 0);
    probe_end(p, 0, 0, 0);
    cr_assert_eq(p->count, 1);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(blk_status(b, slot), S_IOERR);
    probe_close(p, b);
}

/* --- resets ------------------------------------------------------------------------ */

/* 4.1.4.3.2: the status reads 0 when the reset is done, which is not while the medium may write to
 * memory; nothing is used after it. */
Test(blk_flight, a_reset_waits_for_the_medium)
{
    OPEN(NULL);
    unsigned slot;
    uint32_t id, len;

    vd_start(d, 0);
    slot = blk_add(b, 0, T_IN, 0, PAYLOAD, 512);
    vd_kick(d, 0);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    cr_assert_neq(vd_status(d), 0);
    probe_end(p, 0, 0, 0);
    cr_assert_eq(vd_status(d), 0);
    cr_assert_eq(blk_status(b, slot), S_NONE);
    cr_assert_not(vd_used(d, 0, &id, &len));
    vd_start(d, 0);
    slot = blk_add(b, 0, T_IN, 0, PAYLOAD, 512);
    vd_kick(d, 0);
    probe_end(p, 1, 0, 0);
    cr_assert_eq(blk_status(b, slot), S_OK);
    probe_close(p, b);
}

/* 2.6.1.1 */
Test(blk_flight, a_queue_reset_waits_for_its_requests_alone)
{
    OPEN("num_queues=2");
    unsigned slots[2];
    uint32_t id, len;

    vd_start(d, VD_BIT(F_MQ) | VD_BIT(VIRTIO_F_RING_RESET));
    slots[0] = blk_add(b, 0, T_IN, 0, PAYLOAD, 512);
    slots[1] = blk_add(b, 1, T_IN, 0, PAYLOAD, 512);
    vd_kick(d, 0);
    vd_kick(d, 1);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, 1);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_RESET, 2, 1);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_RESET, 2), 1);
    probe_end(p, 0, 0, 0);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(blk_status(b, slots[0]), S_OK);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_RESET, 2), 1);
    probe_end(p, 1, 0, 0);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_RESET, 2), 0);
    cr_assert_eq(blk_status(b, slots[1]), S_NONE);
    cr_assert_not(vd_used(d, 1, &id, &len));
    probe_close(p, b);
}

/* A server that takes a queue away waits for the memory, and hears of nothing later. */
Test(blk_flight, a_queue_that_is_stopped_lets_go_of_memory)
{
    OPEN(NULL);
    unsigned slot, drains;
    uint32_t id, len;

    vd_start(d, 0);
    slot = blk_add(b, 0, T_IN, 0, PAYLOAD, 512);
    vd_kick(d, 0);
    drains = p->drains;
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, 0);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 0);
    cr_assert_eq(p->drains, drains + 1);
    vd_queue(d, 0);
    probe_end(p, 0, 0, 0);
    cr_assert_eq(blk_status(b, slot), S_NONE);
    cr_assert_not(vd_used(d, 0, &id, &len));
    slot = blk_add(b, 0, T_IN, 0, PAYLOAD, 512);
    vd_kick(d, 0);
    probe_end(p, 1, 0, 0);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(blk_status(b, slot), S_OK);
    probe_close(p, b);
}

/* --- snapshots --------------------------------------------------------------------- */

/* A snapshot that was taken without waiting has the requests in it: they begin again. */
Test(blk_flight, requests_under_way_go_with_a_snapshot)
{
    OPEN(NULL);
    unsigned slots[4];
    GError *error = NULL;
    GVariant *state;
    uint32_t id, len;

    vd_start(d, 0);
    for (unsigned i = 0; i < 4; i++) {
        slots[i] = blk_add(b, 0, i % 2 ? T_OUT : T_IN, i * 2, PAYLOAD + i * 1024u, 1024);
    }
    vd_kick(d, 0);
    probe_end(p, 2, 0, 0);
    state = devemu_device_save(p->dev);
    for (unsigned i = 0; i < 4; i++) {
        if (!p->done[i]) {
            probe_end(p, i, -EIO, 0); /* what becomes of them there is nobody's business */
        }
        *vd_at(d, blk_header_at(slots[i]) + 16) = S_NONE;
    }
    cr_assert(devemu_device_load(p->dev, state, &error), "%s", error ? error->message : "?");
    devemu_fake_advance(d->fake, 1);
    cr_assert_eq(p->count, 7, "%u", p->count);
    for (unsigned i = 4; i < 7; i++) {
        unsigned was = i == 4 ? 0 : i == 5 ? 1 : 3;

        cr_assert_eq(p->requests[i].op, p->requests[was].op);
        cr_assert_eq(p->requests[i].at, p->requests[was].at);
        cr_assert_eq(p->requests[i].len, 1024);
        cr_assert_eq(p->slices[i][0].data, vd_at(d, PAYLOAD + was * 1024u));
        probe_end(p, i, 0, 0);
        cr_assert_eq(blk_status(b, slots[was]), S_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(vd_used(d, 0, &id, &len));
    }
    cr_assert_not(vd_used(d, 0, &id, &len));
    g_variant_unref(state);
    probe_close(p, b);
}

/* In the middle of a request that is done in pieces, it goes on with the piece. */
Test(blk_flight, a_request_in_pieces_goes_on_behind_those_that_are_done)
{
    OPEN(NULL);
    GVariant *state;
    unsigned slot;

    p->info.max_transfer = 1024;
    devemu_device_medium(p->dev);
    vd_start(d, 0);
    slot = blk_add(b, 0, T_IN, 0, PAYLOAD, 2048);
    vd_kick(d, 0);
    probe_end(p, 0, 0, 0);
    cr_assert_eq(p->count, 2);
    state = devemu_device_save(p->dev);
    probe_end(p, 1, 0, 0);
    cr_assert_eq(blk_status(b, slot), S_OK);
    *vd_at(d, blk_header_at(slot) + 16) = S_NONE;
    cr_assert(devemu_device_load(p->dev, state, NULL));
    devemu_fake_advance(d->fake, 1);
    cr_assert_eq(p->count, 3);
    cr_assert_eq(p->requests[2].at, 1024);
    probe_end(p, 2, 0, 0);
    cr_assert_eq(blk_status(b, slot), S_OK);
    g_variant_unref(state);
    probe_close(p, b);
}

/* A disk that has grown while the device was a snapshot: its driver hears when it next comes. */
Test(blk_flight, a_medium_that_is_another_after_a_load_is_told)
{
    OPEN(NULL);
    GVariant *state;
    uint64_t vector;
    unsigned before;

    vd_start(d, 0);
    state = devemu_device_save(p->dev);
    p->info.capacity *= 2;
    devemu_device_medium(p->dev);
    cr_assert_eq(blk_config(b, 0, 8), 4096);
    before = vd_notifications(d, &vector);
    cr_assert(devemu_device_load(p->dev, state, NULL));
    vd_kick(d, 0);
    cr_assert_eq(blk_config(b, 0, 8), 4096);
    cr_assert_eq(vd_notifications(d, &vector), before + 1);
    cr_assert_eq(vector, DEVEMU_VIRTIO_CONFIG_CHANGE);
    g_variant_unref(state);
    probe_close(p, b);
}
