/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtqueues with a driver that keeps the rules: both layouts, with windows and without. The
 * clauses are in clauses.txt. */
#include "driver.h"

#include <criterion/criterion.h>

static const uint64_t event_idx = (uint64_t)1 << VIRTIO_F_EVENT_IDX;
static const uint64_t indirect = (uint64_t)1 << VIRTIO_F_INDIRECT_DESC;

static DevemuVirtqueueChain pop_one(Driver *d)
{
    DevemuVirtqueueChain chain = {0};

    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1, "%s",
                 devemu_virtqueue_broken(d->queue));
    return chain;
}

static void use_one(Driver *d, uint32_t written)
{
    DevemuVirtqueueChain chain = pop_one(d);

    devemu_virtqueue_push(d->queue, &chain, written);
    devemu_virtqueue_flush(d->queue);
}

Test(queue, gives_readable_then_writable_elements)
{
    EACH(d, 8, 0)
    {
        unsigned id = give(d, DATA_AT, 2, 1, 100);
        DevemuVirtqueueChain chain = pop_one(d);

        cr_assert_eq(chain.id, id);
        cr_assert_eq(chain.readable, 2);
        cr_assert_eq(chain.writable, 1);
        cr_assert_eq(chain.readable_len, 200);
        cr_assert_eq(chain.writable_len, 100);
        cr_assert_eq(chain.segments[2].addr, DATA_AT + 200);
        cr_assert_eq(chain.segments[1].data, d->map ? d->ram + DATA_AT + 100 : NULL);
    }
}

Test(queue, is_empty_before_the_driver_gives_anything)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chain;

        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert_null(devemu_virtqueue_broken(d->queue));
    }
}

Test(queue, payload_is_copied_across_elements)
{
    EACH(d, 8, 0)
    {
        uint8_t buf[8] = {0};
        DevemuVirtqueueChain chain;

        memcpy(d->ram + DATA_AT, "abcdefgh", 8);
        give(d, DATA_AT, 2, 2, 4);
        chain = pop_one(d);
        cr_assert_eq(devemu_virtqueue_read(d->queue, &chain, 3, buf, 8), 5);
        cr_assert_eq(memcmp(buf, "defgh", 5), 0);
        cr_assert_eq(devemu_virtqueue_write(d->queue, &chain, 2, "123456789", 9), 6);
        cr_assert_eq(memcmp(d->ram + DATA_AT,
                            "abcdefgh\0\0"
                            "123456\0",
                            17),
                     0);
    }
}

Test(queue, used_buffers_carry_id_and_length_round_and_round)
{
    EACH(d, 8, 0)
    {
        for (unsigned i = 0; i < 70000; i++) {
            unsigned id = give(d, DATA_AT, 1, i % 3, 16);
            uint32_t used = 99, len = 99;

            use_one(d, i % 50);
            cr_assert(take(d, &used, &len));
            cr_assert_eq(used, id);
            cr_assert_eq(len, i % 50);
            cr_assert_not(take(d, &used, &len));
        }
    }
}

Test(queue, packed_size_need_not_be_a_power_of_two)
{
    Driver *d = driver_new(7, true, true, 0);

    for (unsigned i = 0; i < 100; i++) {
        uint32_t id, len;
        unsigned given = give(d, DATA_AT, 2, 1, 16);

        use_one(d, 1);
        cr_assert(take(d, &id, &len));
        cr_assert_eq(id, given);
    }
    driver_free(d);
}

Test(queue, buffers_may_be_used_out_of_order)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chains[3];
        uint32_t id, len;

        for (unsigned i = 0; i < 3; i++) {
            give(d, DATA_AT, 0, 1, 16);
        }
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 3);
        for (unsigned i = 3; i-- > 0;) {
            devemu_virtqueue_push(d->queue, &chains[i], i);
        }
        devemu_virtqueue_flush(d->queue);
        for (unsigned i = 3; i-- > 0;) {
            cr_assert(take(d, &id, &len));
            cr_assert_eq(id, chains[i].id);
            cr_assert_eq(len, i);
        }
    }
}

Test(queue, a_batch_ends_where_segments_end_and_loses_nothing)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chains[8];
        unsigned got = 0, n;

        for (unsigned i = 0; i < 4; i++) {
            give(d, DATA_AT, 2, 0, 16);
        }
        while ((n = devemu_virtqueue_pop(d->queue, chains, 8)) > 0) {
            got += n;
        }
        cr_assert_eq(got, 4);
        cr_assert_eq(devemu_virtqueue_in_flight(d->queue), d->packed ? 8 : 4);
        cr_assert_null(devemu_virtqueue_broken(d->queue));
    }
}

Test(queue, buffers_can_be_given_back_and_popped_again)
{
    EACH(d, 8, 0)
    {
        for (unsigned round = 0; round < 20; round++) {
            DevemuVirtqueueChain chains[3], again[3];
            uint32_t id, len;

            for (unsigned i = 0; i < 3; i++) {
                give(d, DATA_AT, 1, 1, 16);
            }
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 3);
            cr_assert_not(devemu_virtqueue_listen(d->queue));
            devemu_virtqueue_unpop(d->queue, chains + 1, 2);
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), mode & 1 ? 2 : 1);
            cr_assert_eq(devemu_virtqueue_pop(d->queue, again, 3), 2);
            for (unsigned i = 0; i < 3; i++) {
                cr_assert(i == 0 || again[i - 1].id == chains[i].id);
                devemu_virtqueue_push(d->queue, &chains[i], i);
            }
            devemu_virtqueue_flush(d->queue);
            for (unsigned i = 0; i < 3; i++) {
                cr_assert(take(d, &id, &len));
                cr_assert_eq(id, chains[i].id);
            }
            cr_assert_null(devemu_virtqueue_broken(d->queue));
        }
    }
}

/* Network device, "Processing of Incoming Packets": buffers of one packet are seen together. In a
 * packed ring each is seen as it is written, so the first one must be the last: the driver looks
 * before each access. */
static unsigned seen_early;

static void look_early(Driver *d, uint64_t addr, size_t len)
{
    uint32_t id, bytes;

    (void)addr;
    (void)len;
    seen_early += take(d, &id, &bytes);
}

Test(queue, buffers_of_one_packet_are_seen_together)
{
    EACH(d, 8, 0)
    {
        for (unsigned round = 0; round < 20; round++) {
            static const uint32_t written[] = {11, 22, 33};
            DevemuVirtqueueChain chains[3];
            uint32_t id, len;

            for (unsigned i = 0; i < 3; i++) {
                give(d, DATA_AT, 0, 1, 16);
            }
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 3);
            seen_early = 0;
            d->meddle = look_early;
            devemu_virtqueue_push_together(d->queue, chains, written, 3);
            d->meddle = NULL;
            cr_assert_eq(seen_early, 0);
            devemu_virtqueue_show(d->queue);
            for (unsigned i = 0; i < 3; i++) {
                cr_assert(take(d, &id, &len));
                cr_assert_eq(id, chains[i].id);
                cr_assert_eq(len, written[i]);
            }
            devemu_virtqueue_flush(d->queue);
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
        }
    }
}

/* What is shown is seen, and the notification for it comes with the next flush. */
Test(queue, used_buffers_can_be_shown_without_a_notification)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chain;
        uint32_t id, len;
        unsigned before = d->notified;

        give(d, DATA_AT, 0, 1, 16);
        chain = pop_one(d);
        devemu_virtqueue_push(d->queue, &chain, 5);
        devemu_virtqueue_show(d->queue);
        cr_assert(take(d, &id, &len));
        cr_assert_eq(d->notified, before);
        devemu_virtqueue_flush(d->queue);
        cr_assert_eq(d->notified, before + 1);
        devemu_virtqueue_flush(d->queue);
        cr_assert_eq(d->notified, before + 1);
        devemu_virtqueue_owe(d->queue); /* as after a load */
        devemu_virtqueue_flush(d->queue);
        cr_assert_eq(d->notified, before + 2);
    }
}

Test(queue, indirect_tables_are_followed_and_their_write_flag_ignored)
{
    EACH(d, 4, indirect)
    {
        DevemuVirtqueueChain chain;
        unsigned head = d->next;

        put_desc(d, TABLE_AT, DATA_AT, 10, F_NEXT, 1);
        put_desc(d, TABLE_AT + 16, DATA_AT + 64, 20, F_WRITE, 0);
        give_desc(d, TABLE_AT, 32, F_INDIRECT | F_WRITE, 0);
        publish(d, head);
        chain = pop_one(d);
        cr_assert_eq(chain.readable_len, 10);
        cr_assert_eq(chain.writable_len, 20);
    }
}

Test(queue, split_takes_direct_descriptors_before_an_indirect_one)
{
    Driver *d = driver_new(4, false, true, indirect);
    DevemuVirtqueueChain chain;

    put_desc(d, TABLE_AT, DATA_AT, 10, F_WRITE, 0);
    give_desc(d, DATA_AT, 5, F_NEXT, 0);
    give_desc(d, TABLE_AT, 16, F_INDIRECT, 0);
    publish(d, 0);
    chain = pop_one(d);
    cr_assert_eq(chain.readable_len, 5);
    cr_assert_eq(chain.writable_len, 10);
    driver_free(d);
}

Test(queue, packed_ignores_reserved_flags_in_an_indirect_table)
{
    Driver *d = driver_new(4, true, true, indirect);
    DevemuVirtqueueChain chain;

    put_desc(d, TABLE_AT, DATA_AT, 10, F_INDIRECT, 77);
    put_desc(d, TABLE_AT + 16, DATA_AT, 10, F_NEXT | F_WRITE, 78);
    give_desc(d, TABLE_AT, 32, F_INDIRECT, 3);
    chain = pop_one(d);
    cr_assert_eq(chain.id, 3);
    cr_assert_eq(chain.readable, 1);
    cr_assert_eq(chain.writable, 1);
    driver_free(d);
}

/* --- notifications ----------------------------------------------------------------- */

Test(queue, notifies_unless_the_driver_says_not_to)
{
    EACH(d, 8, 0)
    {
        give(d, DATA_AT, 1, 0, 16);
        use_one(d, 0);
        cr_assert_eq(d->notified, 1);
        devemu_put_le16(d->ram + DRIVER_AT + (d->packed ? 2 : 0), 1);
        give(d, DATA_AT, 1, 0, 16);
        use_one(d, 0);
        cr_assert_eq(d->notified, 1);
    }
}

Test(queue, notifies_once_a_batch_and_not_without_one)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chains[2];

        give(d, DATA_AT, 1, 0, 16);
        give(d, DATA_AT, 1, 0, 16);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 2), 2);
        devemu_virtqueue_push(d->queue, &chains[0], 0);
        devemu_virtqueue_push(d->queue, &chains[1], 0);
        cr_assert_eq(d->notified, 0);
        devemu_virtqueue_flush(d->queue);
        devemu_virtqueue_flush(d->queue);
        cr_assert_eq(d->notified, 1);
    }
}

Test(queue, event_idx_notifies_at_the_event_only)
{
    EACH(d, 8, event_idx)
    {
        if (d->packed) {
            devemu_put_le16(d->ram + DRIVER_AT, 3 | 1 << 15);
            devemu_put_le16(d->ram + DRIVER_AT + 2, 2);
        } else {
            devemu_put_le16(d->ram + DRIVER_AT, 1); /* must be ignored */
            devemu_put_le16(d->ram + DRIVER_AT + 4 + 2 * 8, 3);
        }
        for (unsigned i = 0; i < 12; i++) {
            uint32_t id, len;

            give(d, DATA_AT, 1, 0, 16);
            use_one(d, 0);
            cr_assert(take(d, &id, &len));
            cr_assert_eq(d->notified, i >= 3, "mode %u, buffer %u", mode, i);
        }
    }
}

Test(queue, event_idx_sees_an_event_inside_a_batch_over_the_wrap)
{
    EACH(d, 4, event_idx)
    {
        DevemuVirtqueueChain chains[3];
        uint32_t id, len;

        devemu_put_le16(d->ram + DRIVER_AT + (d->packed ? 2 : 4 + 2 * 4), d->packed ? 2 : 4);
        devemu_put_le16(d->ram + DRIVER_AT, 0); /* packed: place 0 of the second round */
        for (unsigned i = 0; i < 3; i++) {
            give(d, DATA_AT, 1, 0, 16);
            use_one(d, 0);
            cr_assert(take(d, &id, &len));
        }
        cr_assert_eq(d->notified, 0);
        for (unsigned i = 0; i < 3; i++) {
            give(d, DATA_AT, 1, 0, 16);
        }
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 3);
        for (unsigned i = 0; i < 3; i++) {
            devemu_virtqueue_push(d->queue, &chains[i], 0);
        }
        devemu_virtqueue_flush(d->queue);
        cr_assert_eq(d->notified, 1);
    }
}

Test(queue, asks_for_notifications_and_does_without)
{
    EACH(d, 8, 0)
    {
        const uint8_t *flags = d->ram + DEVICE_AT + (d->packed ? 2 : 0);

        devemu_virtqueue_ignore(d->queue);
        cr_assert_eq(devemu_le16(flags), 1);
        cr_assert_not(devemu_virtqueue_listen(d->queue));
        cr_assert_eq(devemu_le16(flags), 0);
        give(d, DATA_AT, 1, 0, 16);
        cr_assert(devemu_virtqueue_listen(d->queue), "one came meanwhile");
    }
}

Test(queue, with_event_idx_asks_for_the_next_buffer)
{
    EACH(d, 8, event_idx)
    {
        give(d, DATA_AT, 1, 0, 16);
        use_one(d, 0);
        devemu_virtqueue_ignore(d->queue);
        cr_assert_not(devemu_virtqueue_listen(d->queue));
        if (d->packed) {
            cr_assert_eq(devemu_le16(d->ram + DEVICE_AT), 1 | 1 << 15);
            cr_assert_eq(devemu_le16(d->ram + DEVICE_AT + 2), 2);
        } else {
            cr_assert_eq(devemu_le16(d->ram + DEVICE_AT + 4 + 8 * 8), 1);
            cr_assert_eq(devemu_le16(d->ram + DEVICE_AT), 0, "flags stay 0");
        }
    }
}

/* --- life -------------------------------------------------------------------------- */

Test(queue, goes_on_in_another_queue_at_any_moment)
{
    EACH(d, 8, 0)
    {
        for (unsigned i = 0; i < 70000; i++) {
            uint32_t id, len;
            unsigned given = give(d, DATA_AT, 1, i % 2, 16);

            if (i % 7 == 0 || i > 65530) {
                d->setup.position = devemu_virtqueue_position(d->queue);
                d->setup.resume = true;
                cr_assert(devemu_virtqueue_enable(d->queue, &d->setup));
            }
            use_one(d, 0);
            cr_assert(take(d, &id, &len));
            cr_assert_eq(id, given);
        }
    }
}

Test(queue, a_disabled_queue_touches_nothing)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueChain chain;
        uint32_t id, len;

        give(d, DATA_AT, 1, 0, 16);
        give(d, DATA_AT, 1, 0, 16);
        chain = pop_one(d);
        devemu_virtqueue_disable(d->queue);
        devemu_virtqueue_push(d->queue, &chain, 0);
        devemu_virtqueue_flush(d->queue);
        cr_assert_not(take(d, &id, &len));
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert_eq(d->notified, 0);
    }
}

Test(queue, refuses_a_setup_that_cannot_be)
{
    EACH(d, 8, 0)
    {
        DevemuVirtqueueSetup s[] = {d->setup, d->setup, d->setup, d->setup, d->setup, d->setup};

        s[0].size = 0;
        s[1].size = 16; /* above the maximum */
        s[2].desc += 8;
        s[3].driver += 1;
        s[4].device += 2;
        s[5].desc = UINT64_MAX - 15; /* wraps */
        for (unsigned i = 0; i < 6; i++) {
            cr_assert_not(devemu_virtqueue_enable(d->queue, &s[i]), "setup %u", i);
            cr_assert_not(devemu_virtqueue_enabled(d->queue));
        }
        s[0].size = 6;
        cr_assert_eq(devemu_virtqueue_enable(d->queue, &s[0]), d->packed);
    }
}

Test(queue, windows_are_fetched_again_after_a_revoke)
{
    EACH(d, 8, 0)
    {
        uint8_t *old = d->ram;

        give(d, DATA_AT, 1, 0, 16);
        use_one(d, 0);
        d->ram = g_malloc(RAM);
        memcpy(d->ram, old, RAM);
        memset(old, 0xff, RAM);
        g_free(old);
        devemu_virtqueue_revoke(d->queue);
        give(d, DATA_AT, 1, 0, 16);
        cr_assert_eq(pop_one(d).segments[0].data, d->map ? d->ram + DATA_AT : NULL);
    }
}
