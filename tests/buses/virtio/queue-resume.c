/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtqueues that go on at a position: snapshots, and buffers that were in flight. */
#include "driver.h"

#include <criterion/criterion.h>

static void go_on(Driver *d, bool rewind)
{
    d->setup.position = devemu_virtqueue_position(d->queue);
    d->setup.resume = true;
    d->setup.rewind = rewind;
    cr_assert(devemu_virtqueue_enable(d->queue, &d->setup));
}

static void give_many(Driver *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        give(d, DATA_AT + i * 64, 1, 1, 16);
    }
}

static void push(Driver *d, const DevemuVirtqueueChain *chain)
{
    devemu_virtqueue_push(d->queue, chain, 0);
    devemu_virtqueue_flush(d->queue);
}

static void used_is(Driver *d, unsigned wanted)
{
    uint32_t id = 99, len;

    cr_assert(take(d, &id, &len));
    cr_assert_eq(id, wanted);
}

Test(queue_resume, buffers_in_flight_are_so_still_and_can_be_pushed)
{
    EACH(d, 8, 0)
    {
        for (unsigned round = 0; round < 50; round++) {
            DevemuVirtqueueChain chains[3];

            give_many(d, 3);
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 2), 2);
            go_on(d, false);
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), d->packed ? 4 : 2);
            cr_assert_eq(devemu_virtqueue_pop(d->queue, &chains[2], 3), 1);
            for (unsigned i = 3; i-- > 0;) {
                push(d, &chains[i]);
                used_is(d, chains[i].id);
            }
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
        }
    }
}

Test(queue_resume, rewound_buffers_come_again)
{
    EACH(d, 8, 0)
    {
        for (unsigned round = 0; round < 50; round++) {
            DevemuVirtqueueChain before[3], again[3];

            give_many(d, 3);
            cr_assert_eq(devemu_virtqueue_pop(d->queue, before, 3), 3);
            push(d, &before[0]);
            used_is(d, before[0].id);
            go_on(d, true);
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
            cr_assert_eq(devemu_virtqueue_pop(d->queue, again, 3), 2);
            for (unsigned i = 0; i < 2; i++) {
                cr_assert_eq(again[i].id, before[i + 1].id);
                cr_assert_eq(again[i].readable_len, 16);
                push(d, &again[i]);
                used_is(d, again[i].id);
            }
        }
    }
}

Test(queue_resume, a_whole_queue_in_flight_is_told_from_an_empty_one)
{
    EACH(d, 4, 0)
    {
        DevemuVirtqueueChain chains[4];

        for (unsigned i = 0; i < 4; i++) {
            give(d, DATA_AT, 1, 0, 16);
        }
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 4);
        go_on(d, false);
        cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 4);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 0);
        cr_assert_null(devemu_virtqueue_broken(d->queue));
    }
}

Test(queue_resume, split_retakes_a_buffer_by_its_id)
{
    for (unsigned map = 0; map < 2; map++) {
        Driver *d = driver_new(8, false, map, 0);
        DevemuVirtqueueChain chains[3], again;

        give_many(d, 3);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 3);
        push(d, &chains[0]);
        push(d, &chains[2]);
        go_on(d, false);
        cr_assert(devemu_virtqueue_retake(d->queue, chains[1].id, &again));
        cr_assert_eq(again.id, chains[1].id);
        cr_assert_eq(again.readable, 1);
        cr_assert_eq(again.writable, 1);
        cr_assert_eq(again.segments[0].addr, DATA_AT + 64);
        cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 1);
        push(d, &again);
        cr_assert_not(devemu_virtqueue_retake(d->queue, chains[1].id, &again), "none in flight");
        cr_assert_null(devemu_virtqueue_broken(d->queue));
        driver_free(d);
    }
}

Test(queue_resume, retaking_what_is_no_buffer_breaks_the_queue)
{
    Driver *d = driver_new(4, false, true, 0);
    DevemuVirtqueueChain chain;

    give(d, DATA_AT, 1, 0, 16);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    cr_assert_not(devemu_virtqueue_retake(d->queue, 4, &chain));
    cr_assert_str_eq(devemu_virtqueue_broken(d->queue),
                     "virtqueue: a descriptor index is outside the table");
    driver_free(d);
}

Test(queue_resume, packed_retakes_nothing)
{
    Driver *d = driver_new(4, true, true, 0);
    DevemuVirtqueueChain chain;

    give(d, DATA_AT, 1, 0, 16);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    cr_assert_not(devemu_virtqueue_retake(d->queue, chain.id, &chain));
    cr_assert_null(devemu_virtqueue_broken(d->queue));
    driver_free(d);
}

Test(queue_resume, segments_find_their_windows_again)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueSegment kept[2];
        DevemuVirtqueueChain chain;
        uint8_t *old = d->ram;

        give(d, DATA_AT, 1, 1, 16);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
        memcpy(kept, chain.segments, sizeof(kept));
        chain.segments = kept;
        d->ram = g_memdup2(old, RAM);
        g_free(old);
        devemu_virtqueue_revoke(d->queue);
        devemu_virtqueue_remap(d->queue, &chain);
        cr_assert_eq(kept[0].data, d->map ? d->ram + DATA_AT : NULL);
        cr_assert_eq(kept[1].data, d->map ? d->ram + DATA_AT + 16 : NULL);
    }
}

Test(queue_resume, refuses_a_position_that_cannot_be)
{
    EACH(d, 8, 0)
    {
        /* Split: more in flight than places, or fewer than none. Packed: a place outside, likewise
         * more, used ahead of available. */
        static const uint32_t split[] = {9, 1u << 16, 0x00020001, 0x0000ffff};
        static const uint32_t packed[] = {0x80088000, 0x80008008, 0x80000001, 0x80018000};

        d->setup.resume = true;
        for (unsigned i = 0; i < 4; i++) {
            d->setup.position = d->packed ? packed[i] : split[i];
            cr_assert_not(devemu_virtqueue_enable(d->queue, &d->setup), "position %u", i);
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
        }
        d->setup.position = d->packed ? 0x80000000 : 8;
        cr_assert(devemu_virtqueue_enable(d->queue, &d->setup), "all of them");
        cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 8);
    }
}
