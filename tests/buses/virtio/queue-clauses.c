/* SPDX-License-Identifier: BSD-3-Clause */
/* What "Basic Facilities of a Virtio Device" demands of a device about queues, as far as the other
 * tests of queues do not show it by the way. The clauses are in clauses.txt. */
#include "driver.h"

#include <criterion/criterion.h>

static const uint64_t event_idx = (uint64_t)1 << VIRTIO_F_EVENT_IDX;
static const uint64_t in_order = (uint64_t)1 << VIRTIO_F_IN_ORDER;
static const uint64_t indirect = (uint64_t)1 << VIRTIO_F_INDIRECT_DESC;

static DevemuVirtqueueChain pop_one(Driver *d)
{
    DevemuVirtqueueChain chain = {0};

    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1, "%s",
                 devemu_virtqueue_broken(d->queue));
    return chain;
}

static void push(Driver *d, const DevemuVirtqueueChain *chain, uint32_t written)
{
    devemu_virtqueue_push(d->queue, chain, written);
    devemu_virtqueue_flush(d->queue);
}

/* A buffer given, used, and taken by the driver. */
static void round_trip(Driver *d)
{
    DevemuVirtqueueChain chain;
    uint32_t id, len;

    give(d, DATA_AT, 1, 0, 16);
    chain = pop_one(d);
    push(d, &chain, 0);
    cr_assert(take(d, &id, &len));
}

/* --- messages ---------------------------------------------------------------------- */

/* Twelve bytes to read and twelve to write, in elements of each length; by a table or direct. */
Test(queue_clauses, a_message_is_the_same_however_it_is_cut)
{
    for (unsigned len = 1; len <= 12; len += 1 + len / 4) {
        for (unsigned table = 0; table < 2; table++) {
            EACH(d, 32, indirect)
            {
                unsigned half = (12 + len - 1) / len, head = d->next;
                uint8_t in[13] = {0};
                DevemuVirtqueueChain chain;

                memcpy(d->ram + DATA_AT, "Hello, queue", 12);
                for (unsigned i = 0; i < 2 * half; i++) {
                    unsigned off = i % half * len;
                    uint16_t flags =
                        (uint16_t)((i >= half ? F_WRITE : 0) | (i + 1 < 2 * half ? F_NEXT : 0));
                    uint64_t addr = DATA_AT + off + (i >= half ? 0x100 : 0);

                    if (table) {
                        put_desc(d, TABLE_AT + i * 16, addr, MIN(len, 12 - off),
                                 d->packed ? flags & F_WRITE : flags, (uint16_t)(i + 1));
                    } else {
                        give_desc(d, addr, MIN(len, 12 - off), flags, (uint16_t)head);
                    }
                }
                if (table) {
                    give_desc(d, TABLE_AT, 2 * half * 16, F_INDIRECT, (uint16_t)head);
                }
                publish(d, head);
                chain = pop_one(d);
                cr_assert_eq(devemu_virtqueue_read(d->queue, &chain, 0, in, 13), 12);
                cr_assert_str_eq((char *)in, "Hello, queue");
                cr_assert_eq(devemu_virtqueue_write(d->queue, &chain, 0, "How are you?!", 13), 12);
                cr_assert_eq(memcmp(d->ram + DATA_AT + 0x100, "How are you?\0", 13), 0);
                cr_assert_eq(memcmp(d->ram + DATA_AT, "Hello, queue\0", 13), 0);
            }
        }
    }
}

Test(queue_clauses, packed_lists_keep_their_order_over_the_end_of_the_ring)
{
    for (unsigned map = 0; map < 2; map++) {
        Driver *d = driver_new(5, true, map, 0);

        for (unsigned i = 0; i < 40; i++) {
            unsigned given = give(d, DATA_AT, 2, 1, 16);
            DevemuVirtqueueChain chain = pop_one(d);
            uint32_t id, len;

            for (unsigned k = 0; k < 3; k++) {
                cr_assert_eq(chain.segments[k].addr, DATA_AT + k * 16);
            }
            push(d, &chain, 1);
            cr_assert(take(d, &id, &len));
            cr_assert_eq(id, given);
        }
        driver_free(d);
    }
}

Test(queue_clauses, the_greatest_queue_can_be_full)
{
    Driver *d = driver_new(DEVEMU_VIRTQUEUE_MAX, false, true, 0);
    g_autofree DevemuVirtqueueChain *chains = g_new0(DevemuVirtqueueChain, DEVEMU_VIRTQUEUE_MAX);
    unsigned got = 0, n;

    d->setup.desc = 0x10000;
    d->setup.driver = 0x90000;
    d->setup.device = 0xa1000;
    for (unsigned i = 0; i < DEVEMU_VIRTQUEUE_MAX; i++) {
        put_desc(d, 0x10000 + i * 16, 0, 1, 0, 0);
        devemu_put_le16(d->ram + 0x90004 + 2 * i, (uint16_t)i);
    }
    devemu_put_le16(d->ram + 0x90002, (uint16_t)DEVEMU_VIRTQUEUE_MAX);
    cr_assert(devemu_virtqueue_enable(d->queue, &d->setup));
    while ((n = devemu_virtqueue_pop(d->queue, chains + got, DEVEMU_VIRTQUEUE_MAX - got)) > 0) {
        got += n;
    }
    cr_assert_eq(got, DEVEMU_VIRTQUEUE_MAX);
    cr_assert_eq(chains[got - 1].id, DEVEMU_VIRTQUEUE_MAX - 1);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 1), 0);
    cr_assert_null(devemu_virtqueue_broken(d->queue));
    driver_free(d);
}

/* --- availability ------------------------------------------------------------------ */

Test(queue_clauses, packed_takes_a_descriptor_only_when_avail_has_changed)
{
    /* Both counters begin as 1. */
    static const uint16_t no[] = {0, F_USED, F_AVAIL | F_USED};

    for (unsigned map = 0; map < 2; map++) {
        Driver *d = driver_new(4, true, map, 0);
        DevemuVirtqueueChain chains[8];

        for (unsigned i = 0; i < G_N_ELEMENTS(no); i++) {
            put_desc(d, DESC_AT, DATA_AT, 16, no[i], 0);
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 1), 0, "flags %#x", no[i]);
        }
        for (unsigned i = 0; i < 4; i++) {
            give(d, DATA_AT, 1, 0, 16);
        }
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 8), 4, "and none of them twice");
        cr_assert_null(devemu_virtqueue_broken(d->queue));
        driver_free(d);
    }
}

Test(queue_clauses, notifications_without_a_reason_do_nothing)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chain;

        for (unsigned i = 0; i < 3; i++) {
            cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
            devemu_virtqueue_flush(d->queue);
            cr_assert_not(devemu_virtqueue_listen(d->queue));
        }
        round_trip(d);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert_eq(d->notified, 1);
    }
}

/* --- used buffers ------------------------------------------------------------------ */

/* What the driver has at the moment at which it can see that the buffer is used. */
static void sees_all(Driver *d, uint64_t addr, size_t len)
{
    uint64_t shown = d->packed ? DESC_AT + 14 : DEVICE_AT + 2;

    if (addr <= shown && shown < addr + len) {
        const uint8_t *used = d->ram + (d->packed ? DESC_AT + 8 : DEVICE_AT + 8);

        cr_assert_eq(devemu_le32(used), 5, "the length");
        cr_assert_eq(memcmp(d->ram + DATA_AT, "ready", 5), 0, "the payload");
        d->lens[100]++;
    }
}

Test(queue_clauses, length_and_payload_are_there_when_a_buffer_is_shown)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        Driver *d = driver_new(8, packed, false, 0);
        DevemuVirtqueueChain chain;

        give(d, DATA_AT, 0, 1, 16);
        chain = pop_one(d);
        d->wrote = sees_all;
        cr_assert_eq(devemu_virtqueue_write(d->queue, &chain, 0, "ready", 5), 5);
        push(d, &chain, 5);
        cr_assert_eq(d->lens[100], 1, "shown once");
        driver_free(d);
    }
}

Test(queue_clauses, packed_leaves_a_used_descriptor_alone)
{
    for (unsigned map = 0; map < 2; map++) {
        Driver *d = driver_new(8, true, map, event_idx);
        DevemuVirtqueueChain chains[8];
        uint8_t before[16];

        for (unsigned i = 0; i < 8; i++) {
            give(d, DATA_AT, 0, 1, 16);
        }
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 8), 8);
        devemu_virtqueue_push(d->queue, &chains[0], 7);
        memcpy(before, d->ram + DESC_AT, 16);
        devemu_virtqueue_push_together(d->queue, &chains[1], NULL, 7);
        devemu_virtqueue_flush(d->queue);
        devemu_virtqueue_ignore(d->queue);
        devemu_virtqueue_listen(d->queue);
        cr_assert_eq(memcmp(d->ram + DESC_AT, before, 16), 0);
        driver_free(d);
    }
}

Test(queue_clauses, packed_says_whether_something_was_written)
{
    for (unsigned map = 0; map < 2; map++) {
        Driver *d = driver_new(8, true, map, 0);

        for (unsigned written = 0; written < 2; written++) {
            DevemuVirtqueueChain chain;

            give(d, DATA_AT, 0, 1, 16);
            chain = pop_one(d);
            push(d, &chain, written);
            cr_assert_eq(devemu_le16(d->ram + DESC_AT + written * 16 + 14),
                         F_AVAIL | F_USED | (written ? F_WRITE : 0));
        }
        driver_free(d);
    }
}

Test(queue_clauses, with_in_order_buffers_are_used_in_the_order_of_the_ring)
{
    EACH(d, 8, in_order)
    {
        for (unsigned round = 0; round < 20; round++) {
            DevemuVirtqueueChain chains[5];
            unsigned given[5];

            for (unsigned i = 0; i < 5; i++) {
                given[i] = give(d, DATA_AT, 1, 0, 16);
            }
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 5), 5);
            devemu_virtqueue_push_together(d->queue, chains, NULL, 5);
            devemu_virtqueue_flush(d->queue);
            for (unsigned i = 0; i < 5; i++) {
                uint32_t id, len;

                cr_assert(take(d, &id, &len));
                cr_assert_eq(id, given[i]);
                cr_assert_eq(chains[i].id, given[i]);
            }
        }
    }
}

/* --- notification ------------------------------------------------------------------ */

Test(queue_clauses, without_event_idx_used_event_is_ignored)
{
    EACH(d, 8, 0)
    {
        devemu_put_le16(d->ram + DRIVER_AT + (d->packed ? 0 : 4 + 2 * 8), 0x4321);
        for (unsigned i = 1; i <= 20; i++) {
            round_trip(d);
            cr_assert_eq(d->notified, i);
        }
    }
}

/* Split: the index at the event comes again after 65536 buffers. Packed: after two rounds. */
Test(queue_clauses, an_event_comes_again_when_the_index_does)
{
    EACH(d, 8, event_idx)
    {
        unsigned period = d->packed ? 16 : 65536;

        devemu_put_le16(d->ram + DRIVER_AT + (d->packed ? 0 : 4 + 2 * 8), d->packed ? 1 << 15 : 0);
        devemu_put_le16(d->ram + DRIVER_AT + 2, d->packed ? 2 : 0);
        for (unsigned i = 0; i < 2 * period; i++) {
            round_trip(d);
            cr_assert_eq(d->notified, 1 + i / period, "buffer %u", i);
        }
    }
}

Test(queue_clauses, packed_event_flags_of_every_value)
{
    static const struct {
        uint16_t flags;
        bool event_idx, notifies;
    } cases[] = {
        {0, false, true},       {0, true, true}, /* ENABLE, wherever the event is */
        {1, false, false},      {1, true, false}, {0xfffc, false, true},
        {0xfffd, false, false}, {2, false, true}, /* DESC is not for it */
        {2, true, false},                         /* the event is elsewhere */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Driver *d = driver_new(8, true, i & 1, cases[i].event_idx ? event_idx : 0);

        devemu_put_le16(d->ram + DRIVER_AT, 5 | 1 << 15);
        devemu_put_le16(d->ram + DRIVER_AT + 2, cases[i].flags);
        round_trip(d);
        cr_assert_eq(d->notified, cases[i].notifies, "case %u", i);
        driver_free(d);
    }
}

/* --- reset ------------------------------------------------------------------------- */

static void touched(Driver *d, uint64_t addr, size_t len)
{
    (void)addr;
    (void)len;
    d->lens[100]++;
}

/* The rings as a driver finds them when it sets a queue up. */
static void forget(Driver *d)
{
    memset(d->ram, 0, RAM);
    d->next = d->used = d->idx = 0;
    d->next_wrap = d->used_wrap = true;
}

Test(queue_clauses, a_queue_that_was_reset_begins_anew)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chain;

        for (unsigned i = 0; i < 11; i++) {
            round_trip(d);
        }
        give(d, DATA_AT, 1, 0, 16);
        give(d, DATA_AT, 1, 0, 16);
        chain = pop_one(d);
        devemu_virtqueue_push(d->queue, &chain, 0); /* and not shown */
        chain = pop_one(d);
        d->notified = 0;
        devemu_virtqueue_disable(d->queue);
        forget(d);
        cr_assert(devemu_virtqueue_enable(d->queue, &d->setup));
        cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
        cr_assert_eq(devemu_virtqueue_position(d->queue), d->packed ? 0x80008000 : 0);
        devemu_virtqueue_push(d->queue, &chain, 0); /* of the queue before: of no use */
        devemu_virtqueue_flush(d->queue);
        cr_assert_eq(d->notified, 0);
        for (unsigned i = 0; i < 11; i++) {
            round_trip(d);
        }
    }
}

Test(queue_clauses, a_queue_that_is_not_enabled_consumes_nothing)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        Driver *d = driver_new(8, packed, false, 0);
        DevemuVirtqueueChain chain;

        give(d, DATA_AT, 1, 0, 16);
        devemu_virtqueue_disable(d->queue);
        d->meddle = d->wrote = touched;
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert_not(devemu_virtqueue_listen(d->queue));
        devemu_virtqueue_ignore(d->queue);
        devemu_virtqueue_flush(d->queue);
        cr_assert_eq(d->lens[100], 0);
        cr_assert_eq(d->notified, 0);
        driver_free(d);
    }
}
