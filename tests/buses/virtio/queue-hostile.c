/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtqueues with a driver that breaks the rules: the queue breaks, says why, and stops there. */
#include "driver.h"

#include <criterion/criterion.h>

static const uint64_t indirect = (uint64_t)1 << VIRTIO_F_INDIRECT_DESC;

static void breaks(Driver *d, const char *why)
{
    DevemuVirtqueueChain chains[4];

    cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 0);
    cr_assert_str_eq(devemu_virtqueue_broken(d->queue), why);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 0);
    cr_assert_not(devemu_virtqueue_listen(d->queue));
    cr_assert(devemu_virtqueue_enable(d->queue, &d->setup), "a reset mends it");
    cr_assert_null(devemu_virtqueue_broken(d->queue));
}

Test(queue_hostile, a_loop_in_a_chain)
{
    EACH(d, 4, 0)
    {
        for (unsigned i = 0; i < 4; i++) {
            give_desc(d, DATA_AT, 16, F_NEXT, 0);
        }
        publish(d, 0);
        breaks(d, d->packed ? "virtqueue: a list is longer than the free places of the ring"
                            : "virtqueue: a chain is longer than the queue");
    }
}

Test(queue_hostile, a_loop_in_an_indirect_table)
{
    EACH(d, 8, indirect)
    {
        put_desc(d, TABLE_AT, DATA_AT, 16, F_NEXT, 1);
        put_desc(d, TABLE_AT + 16, DATA_AT, 16, F_NEXT, 0);
        give_desc(d, TABLE_AT, 32, F_INDIRECT, 0);
        publish(d, 0);
        if (!d->packed) { /* there is no next in a packed table */
            breaks(d, "virtqueue: a loop in an indirect table");
        }
    }
}

Test(queue_hostile, a_table_longer_than_the_queue)
{
    EACH(d, 4, indirect)
    {
        for (unsigned i = 0; i < 5; i++) {
            put_desc(d, TABLE_AT + i * 16, DATA_AT, 16, i < 4 ? F_NEXT : 0, (uint16_t)(i + 1));
        }
        give_desc(d, TABLE_AT, 5 * 16, F_INDIRECT, 0);
        publish(d, 0);
        breaks(d, "virtqueue: a chain is longer than the queue");
    }
}

Test(queue_hostile, an_indirect_table_inside_an_indirect_table)
{
    Driver *d = driver_new(4, false, true, indirect);

    put_desc(d, TABLE_AT, TABLE_AT, 16, F_INDIRECT, 0);
    give_desc(d, TABLE_AT, 16, F_INDIRECT, 0);
    publish(d, 0);
    breaks(d, "virtqueue: an indirect table inside an indirect table");
    driver_free(d);
}

Test(queue_hostile, an_indirect_table_of_no_or_half_descriptors)
{
    static const uint32_t lens[] = {0, 15, 17, UINT32_MAX};

    for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++) {
        EACH(d, 4, indirect)
        {
            give_desc(d, TABLE_AT, lens[i], F_INDIRECT, 0);
            publish(d, 0);
            breaks(d, "virtqueue: an indirect table is not of whole descriptors");
        }
    }
}

Test(queue_hostile, an_indirect_table_outside_memory)
{
    EACH(d, 4, indirect)
    {
        give_desc(d, UINT64_MAX - 7, 32, F_INDIRECT, 0);
        publish(d, 0);
        breaks(d, "virtqueue: an indirect table is outside memory");
    }
}

Test(queue_hostile, indirect_that_was_not_negotiated)
{
    EACH(d, 4, 0)
    {
        give_desc(d, TABLE_AT, 16, F_INDIRECT, 0);
        publish(d, 0);
        breaks(d, "virtqueue: INDIRECT without VIRTIO_F_INDIRECT_DESC");
    }
}

Test(queue_hostile, indirect_and_next_together)
{
    EACH(d, 4, indirect)
    {
        give_desc(d, TABLE_AT, 16, F_INDIRECT | F_NEXT, 0);
        give_desc(d, DATA_AT, 16, 0, 0);
        publish(d, 0);
        breaks(d, d->packed ? "virtqueue: an INDIRECT descriptor in a list"
                            : "virtqueue: INDIRECT and NEXT in one descriptor");
    }
}

Test(queue_hostile, an_indirect_descriptor_at_the_end_of_a_packed_list)
{
    Driver *d = driver_new(4, true, true, indirect);

    put_desc(d, TABLE_AT, DATA_AT, 16, 0, 0);
    give_desc(d, DATA_AT, 16, F_NEXT, 0);
    give_desc(d, TABLE_AT, 16, F_INDIRECT, 0);
    breaks(d, "virtqueue: an INDIRECT descriptor in a list");
    driver_free(d);
}

Test(queue_hostile, a_readable_element_behind_a_writable_one)
{
    EACH(d, 4, 0)
    {
        give_desc(d, DATA_AT, 16, F_WRITE | F_NEXT, 0);
        give_desc(d, DATA_AT, 16, 0, 0);
        publish(d, 0);
        breaks(d, "virtqueue: a device-readable element follows a writable one");
    }
}

Test(queue_hostile, more_than_four_gibibytes)
{
    EACH(d, 4, 0)
    {
        give_desc(d, DATA_AT, UINT32_MAX, F_NEXT, 0);
        give_desc(d, DATA_AT, 2, 0, 0);
        publish(d, 0);
        breaks(d, "virtqueue: a chain has more than 2^32 bytes");
    }
}

Test(queue_hostile, a_head_and_a_next_outside_the_table)
{
    Driver *d = driver_new(4, false, true, 0);

    publish(d, 4);
    breaks(d, "virtqueue: a descriptor index is outside the table");
    d->idx = 0;
    put_desc(d, DESC_AT, DATA_AT, 16, F_NEXT, 0xffff);
    publish(d, 0);
    breaks(d, "virtqueue: a descriptor index is outside the table");
    driver_free(d);
}

Test(queue_hostile, an_index_that_jumps)
{
    Driver *d = driver_new(4, false, true, 0);

    devemu_put_le16(d->ram + DRIVER_AT + 2, 5);
    breaks(d, "virtqueue: the available idx jumps");
    devemu_put_le16(d->ram + DRIVER_AT + 2, 0xffff); /* backwards */
    breaks(d, "virtqueue: the available idx jumps");
    driver_free(d);
}

Test(queue_hostile, more_buffers_than_the_queue_has_in_the_devices_hands)
{
    Driver *d = driver_new(4, false, true, 0);
    DevemuVirtqueueChain chains[4];

    for (unsigned i = 0; i < 4; i++) {
        give(d, DATA_AT, 1, 0, 16);
    }
    cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 4);
    give(d, DATA_AT, 1, 0, 16);
    breaks(d, "virtqueue: the available idx jumps");
    driver_free(d);
}

Test(queue_hostile, a_packed_ring_that_says_available_again)
{
    Driver *d = driver_new(4, true, true, 0);
    DevemuVirtqueueChain chains[4];

    for (unsigned i = 0; i < 4; i++) {
        give(d, DATA_AT, 1, 0, 16);
    }
    cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 4);
    give(d, DATA_AT, 1, 0, 16);
    breaks(d, "virtqueue: a list is longer than the free places of the ring");
    driver_free(d);
}

Test(queue_hostile, a_queue_outside_memory)
{
    for (unsigned part = 0; part < 2; part++) {
        EACH(d, 4, 0)
        {
            give(d, DATA_AT, 1, 0, 16);
            d->setup.desc = part == 0 || d->packed ? 0x100000000 : DESC_AT;
            d->setup.driver = part == 1 ? 0x100000000 : DRIVER_AT;
            devemu_virtqueue_enable(d->queue, &d->setup);
            breaks(d, "virtqueue: the queue is outside memory");
        }
    }
}

Test(queue_hostile, a_used_ring_outside_memory)
{
    EACH(d, 4, 0)
    {
        DevemuVirtqueueChain chain;

        give(d, DATA_AT, 1, 0, 16);
        d->setup.device = 0x100000000;
        devemu_virtqueue_enable(d->queue, &d->setup);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
        devemu_virtqueue_push(d->queue, &chain, 0);
        devemu_virtqueue_flush(d->queue);
        devemu_virtqueue_ignore(d->queue);
        cr_assert_str_eq(devemu_virtqueue_broken(d->queue),
                         "virtqueue: the queue is outside memory");
    }
}

Test(queue_hostile, a_payload_outside_memory_moves_nothing_and_breaks_nothing)
{
    EACH(d, 4, 0)
    {
        DevemuVirtqueueChain chain;
        uint8_t buf[4];

        give(d, UINT64_MAX - 1, 1, 0, 4);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
        cr_assert_null(chain.segments[0].data);
        cr_assert_eq(devemu_virtqueue_read(d->queue, &chain, 0, buf, 4), 0);
        cr_assert_null(devemu_virtqueue_broken(d->queue));
    }
}

/* Memory that only DMA may write, if anything. */
Test(queue_hostile, a_read_only_window_is_not_written_through)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        Driver *d = driver_new(4, packed, true, 0);
        DevemuVirtqueueChain chain;
        uint32_t id, len;

        d->read_only = true;
        devemu_virtqueue_revoke(d->queue);
        give(d, DATA_AT, 1, 1, 4);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
        cr_assert_not_null(chain.segments[0].data);
        cr_assert_null(chain.segments[1].data);
        devemu_virtqueue_push(d->queue, &chain, 4);
        devemu_virtqueue_flush(d->queue);
        cr_assert(take(d, &id, &len));
        cr_assert_eq(len, 4);
        driver_free(d);
    }
}

/* Every byte that was just read is another one at the next read. */
static void scramble(Driver *d, uint64_t addr, size_t len)
{
    static uint32_t seed = 1;

    for (size_t i = 0; i < len && addr + i < RAM; i++) {
        seed = seed * 1664525 + 1013904223;
        d->ram[addr + i] = (uint8_t)(seed >> 24);
    }
}

Test(queue_hostile, memory_that_changes_between_reads_is_bounded_work)
{
    for (unsigned round = 0; round < 3000; round++) {
        Driver *d = driver_new(16, round & 1, false, indirect);
        DevemuVirtqueueChain chains[16];
        unsigned n, calls = 0;

        give(d, DATA_AT, 1, 1, 16);
        d->meddle = scramble;
        while ((n = devemu_virtqueue_pop(d->queue, chains, 16)) > 0 && ++calls < 40) {
            for (unsigned i = 0; i < n; i++) {
                cr_assert_leq(chains[i].readable + chains[i].writable, 16);
                cr_assert_leq(chains[i].readable_len + chains[i].writable_len, (uint64_t)1 << 32);
                cr_assert_geq(chains[i].readable + chains[i].writable, 1);
                devemu_virtqueue_push(d->queue, &chains[i], 0);
            }
            devemu_virtqueue_flush(d->queue);
        }
        cr_assert_leq(devemu_virtqueue_in_flight(d->queue), 16);
        driver_free(d);
    }
}
