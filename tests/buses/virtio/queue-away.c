/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtqueues over memory that may be away (devemu_virtqueue_set_present()). */
#include "driver.h"

#include <criterion/criterion.h>

/* All below `edge` is there. */
typedef struct Away {
    uint64_t edge;
    unsigned asked;
} Away;

static bool present(void *opaque, uint64_t addr, uint64_t len, bool write)
{
    Away *away = opaque;

    (void)write;
    away->asked += addr + len > away->edge;
    return addr + len <= away->edge;
}

static bool map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    (void)host;
    (void)addr;
    (void)ret_window;
    return false;
}

/* Windows hold what is there; buffers are in none. */
static void set(Driver *d, Away *away)
{
    static const DevemuVirtqueueOps ops = {sizeof(ops), driver_read, driver_write, map,
                                           driver_notified};

    devemu_virtqueue_set_host(d->queue, &ops, d);
    devemu_virtqueue_set_present(d->queue, present, away);
}

Test(queue_away, buffers_stay_from_the_first_that_is_away)
{
    EACH(d, 8, 0)
    {
        Away away = {DATA_AT + 200, 0};
        DevemuVirtqueueChain chains[4];
        uint32_t id, len;

        set(d, &away);
        for (unsigned round = 0; round < 20; round++) {
            away.edge = DATA_AT + 200;
            give(d, DATA_AT, 1, 0, 100);
            give(d, DATA_AT + 150, 1, 1, 100);
            give(d, DATA_AT, 0, 1, 100);
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 1);
            cr_assert(devemu_virtqueue_starved(d->queue));
            cr_assert_not(devemu_virtqueue_listen(d->queue), "it would be popped without end");
            cr_assert_not(devemu_virtqueue_waiting(d->queue));
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 1);
            devemu_virtqueue_push(d->queue, &chains[0], 0);
            cr_assert(devemu_virtqueue_flush(d->queue));
            cr_assert(take(d, &id, &len));
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 0);
            cr_assert(devemu_virtqueue_starved(d->queue));

            away.edge = RAM;
            cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 4), 2);
            cr_assert_not(devemu_virtqueue_starved(d->queue));
            cr_assert_eq(chains[0].readable_len + chains[0].writable_len, 200);
            devemu_virtqueue_push_together(d->queue, chains, NULL, 2);
            devemu_virtqueue_flush(d->queue);
            cr_assert(take(d, &id, &len) && take(d, &id, &len));
            cr_assert_not(devemu_virtqueue_listen(d->queue));
            cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
        }
        cr_assert_null(devemu_virtqueue_broken(d->queue));
    }
}

Test(queue_away, all_pieces_of_a_buffer_are_asked_for)
{
    EACH(d, 8, 0)
    {
        Away away = {DATA_AT, 0};
        DevemuVirtqueueChain chain;

        set(d, &away);
        give(d, DATA_AT, 2, 2, 16);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert_eq(away.asked, 4);
    }
}

Test(queue_away, indirect_table_is_waited_for)
{
    EACH(d, 8, (uint64_t)1 << VIRTIO_F_INDIRECT_DESC)
    {
        Away away = {TABLE_AT, 0};
        DevemuVirtqueueChain chain;

        set(d, &away);
        put_desc(d, TABLE_AT, DATA_AT, 64, F_WRITE, 0);
        give_desc(d, TABLE_AT, 16, F_INDIRECT, 0);
        d->lens[0] = 1;
        publish(d, 0);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert(devemu_virtqueue_starved(d->queue));
        cr_assert_null(devemu_virtqueue_broken(d->queue));
        away.edge = DATA_AT;
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        away.edge = RAM;
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
        cr_assert_eq(chain.writable_len, 64);
        cr_assert_eq(chain.segments[0].addr, DATA_AT);
    }
}

/* It breaks as ever behind what waits. */
Test(queue_away, queue_that_is_broken_is_not_starved_again)
{
    EACH(d, 8, 0)
    {
        Away away = {DATA_AT, 0};
        DevemuVirtqueueChain chain;

        set(d, &away);
        give_desc(d, TABLE_AT, 16, F_INDIRECT, 0);
        publish(d, 0);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert_not_null(devemu_virtqueue_broken(d->queue));
        cr_assert_not(devemu_virtqueue_starved(d->queue));
    }
}

Test(queue_away, disabled_queue_forgets_whom_to_ask)
{
    EACH(d, 8, 0)
    {
        Away away = {DATA_AT, 0};
        DevemuVirtqueueChain chain;

        set(d, &away);
        give(d, DATA_AT, 1, 0, 16);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
        cr_assert(devemu_virtqueue_enable(d->queue, &d->setup));
        cr_assert_not(devemu_virtqueue_starved(d->queue));
        cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    }
}

/* What was in flight of a server that died comes again when its memory is there. */
Test(queue_away, buffer_that_comes_again_is_waited_for)
{
    Driver *d = driver_new(8, false, true, 0);
    Away away = {DATA_AT, 0};
    g_autofree uint8_t *memory = g_malloc0(devemu_virtqueue_inflight_bytes(8, false));
    DevemuVirtqueueChain chain;

    devemu_virtqueue_set_inflight(d->queue, memory);
    give(d, DATA_AT, 1, 0, 16);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    cr_assert(devemu_virtqueue_enable(d->queue, &d->setup));
    devemu_virtqueue_set_inflight(d->queue, memory);
    set(d, &away);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
    cr_assert(devemu_virtqueue_starved(d->queue));
    cr_assert_not(devemu_virtqueue_waiting(d->queue));
    away.edge = RAM;
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 0);
    cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 1);
    driver_free(d);
}
