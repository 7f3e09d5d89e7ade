/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed virtqueues whose server dies with buffers in its hands (devemu_virtqueue_set_inflight()).
 */
#include "driver.h"

#include <criterion/criterion.h>
#include <devemu/testing.h>

enum {
    SIZE = 8,
    DEATHS = 64,
    USED_RAM = TABLE_AT + 0x1000, /* but for payload */
    INDIRECT = 1 << VIRTIO_F_INDIRECT_DESC,
};

typedef struct Dying {
    Driver *driver;
    uint8_t *memory;
    /* As all was behind each access by DMA. */
    Driver drivers[DEATHS];
    uint8_t *rams[DEATHS], *memories[DEATHS];
    unsigned count;
} Dying;

static Dying *dying;

static size_t bytes(void)
{
    return devemu_virtqueue_inflight_bytes(SIZE, true);
}

static void die_here(Driver *d, uint64_t addr, size_t len)
{
    (void)addr;
    (void)len;
    cr_assert_lt(dying->count, DEATHS);
    dying->drivers[dying->count] = *d;
    dying->rams[dying->count] = g_memdup2(d->ram, USED_RAM);
    dying->memories[dying->count] = g_memdup2(dying->memory, bytes());
    dying->count++;
}

static void dying_free(Dying *all)
{
    for (unsigned i = 0; i < all->count; i++) {
        g_free(all->rams[i]);
        g_free(all->memories[i]);
    }
    driver_free(all->driver);
    g_free(all->memory);
    g_free(all);
}

static void push(Driver *d, const DevemuVirtqueueChain *chain)
{
    devemu_virtqueue_push(d->queue, chain, 0);
    devemu_virtqueue_flush(d->queue);
}

static void one_round(Driver *d)
{
    DevemuVirtqueueChain chain;
    uint32_t id, len;
    unsigned given = give(d, DATA_AT, 1, 0, 16);

    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    push(d, &chain);
    cr_assert(take(d, &id, &len));
    cr_assert_eq(id, given);
}

/* A queue that has gone round by so many places, over memory. */
static Driver *begin(unsigned places, uint8_t *memory)
{
    Driver *d = driver_new(SIZE, true, false, INDIRECT);

    devemu_virtqueue_set_inflight(d->queue, memory);
    for (unsigned i = 0; i < places; i++) {
        one_round(d);
    }
    return d;
}

/* The next server: a queue of its own, which is told of no position. */
static Driver *next_server(const Driver *from, const uint8_t *ram, uint8_t *memory)
{
    Driver *d = driver_new(SIZE, true, true, INDIRECT);

    memcpy(d->ram, ram, USED_RAM);
    memcpy(d->lens, from->lens, sizeof(d->lens));
    d->next = from->next;
    d->next_wrap = from->next_wrap;
    d->used = from->used;
    d->used_wrap = from->used_wrap;
    devemu_virtqueue_set_inflight(d->queue, memory);
    return d;
}

static void is_as_given(const DevemuVirtqueueChain *chain, const Driver *d)
{
    unsigned count = d->lens[chain->id];

    cr_assert_eq(chain->readable + chain->writable, count);
    cr_assert_eq(chain->descs, count);
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(chain->segments[i].addr, DATA_AT + chain->id * 0x1000 + i * 16);
        cr_assert_eq(chain->segments[i].len, 16);
        cr_assert_not_null(chain->segments[i].data);
    }
}

static unsigned give_list(Driver *d, unsigned count)
{
    return give(d, DATA_AT + d->next % SIZE * 0x1000, count - 1, 1, 16);
}

static unsigned take_all(Driver *d, unsigned *seen)
{
    unsigned count = 0;
    uint32_t id, len;

    for (; take(d, &id, &len); count++) {
        cr_assert_not(*seen >> id & 1, "%u is used twice", id);
        *seen |= 1u << id;
    }
    return count;
}

static unsigned free_entries(const uint8_t *memory)
{
    unsigned count = 0;
    uint16_t at;

    memcpy(&at, memory + 12, 2);
    for (; at < SIZE && count <= SIZE; count++) {
        memcpy(&at, memory + 32 + at * 32 + 2, 2);
    }
    return count;
}

/* All that is not used yet comes once, and all is used once in the end; an eager driver takes what
 * it sees before that. */
static void finish(Driver *d, const uint8_t *memory, unsigned count, const unsigned *ids,
                   bool eager)
{
    DevemuVirtqueueChain chain;
    unsigned seen = 0, taken = eager ? take_all(d, &seen) : 0;

    while (devemu_virtqueue_pop(d->queue, &chain, 1) == 1) {
        is_as_given(&chain, d);
        push(d, &chain);
    }
    cr_assert_null(devemu_virtqueue_broken(d->queue), "%s", devemu_virtqueue_broken(d->queue));
    taken += take_all(d, &seen);
    cr_assert_eq(taken, count);
    for (unsigned i = 0; i < count; i++) {
        cr_assert(seen >> ids[i] & 1, "%u is lost", ids[i]);
    }
    cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
    for (unsigned i = 0; i < 2 * SIZE; i++) {
        one_round(d);
    }
    cr_assert_eq(free_entries(memory), SIZE);
}

/* The specification's QueueRegionPacked and DescStatePacked. */
Test(queue_inflight, layout_is_that_of_the_specification)
{
    g_autofree uint8_t *m = g_malloc0(bytes());
    Driver *d = begin(0, m);
    DevemuVirtqueueChain chain;
    uint16_t word[16];
    uint32_t len;
    uint64_t addr;

    cr_assert_eq(bytes(), 32 + 32 * SIZE);
    give(d, DATA_AT, 1, 1, 16);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    memcpy(word, m, 32);
    cr_assert_eq(word[4], 1, "version");
    cr_assert_eq(word[5], SIZE, "desc_num");
    cr_assert_eq(word[6], 2, "free_head");
    cr_assert_eq(word[7], 2, "old_free_head");
    cr_assert_eq(word[8], 0, "used_idx");
    cr_assert_eq(m[20], 1, "used_wrap_counter");
    cr_assert_eq(m[21], 1, "old_used_wrap_counter");
    cr_assert_eq(m[32], 1, "inflight");
    memcpy(word, m + 32, 32);
    cr_assert_eq(word[2], 1, "last");
    cr_assert_eq(word[3], 2, "num");
    cr_assert_eq(word[9] & 3, F_NEXT, "flags");
    memcpy(&len, m + 32 + 20, 4);
    cr_assert_eq(len, 16, "len");
    memcpy(&addr, m + 64 + 24, 8);
    cr_assert_eq(addr, DATA_AT + 16);
    push(d, &chain);
    memcpy(word, m, 32);
    cr_assert_eq(word[6], 0, "free_head");
    cr_assert_eq(word[7], 0, "old_free_head");
    cr_assert_eq(word[8], 2, "used_idx");
    cr_assert_eq(word[9], 2, "old_used_idx");
    cr_assert_eq(m[32], 0);
    driver_free(d);
}

Test(queue_inflight, buffers_of_a_server_that_died_come_again_in_their_order)
{
    for (unsigned places = 0; places < 2 * SIZE; places++) {
        g_autofree uint8_t *memory = g_malloc0(bytes());
        Driver *d = begin(places, memory), *next;
        DevemuVirtqueueChain chains[3], chain;
        const unsigned ids[] = {give_list(d, 1), give_list(d, 2), give_list(d, 3)};

        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 3);
        push(d, &chains[1]); /* in the places of the first, and of one of its own */
        next = next_server(d, d->ram, memory);
        driver_free(d);

        cr_assert(devemu_virtqueue_waiting(next->queue));
        cr_assert_eq(devemu_virtqueue_in_flight(next->queue), 4);
        cr_assert_eq(devemu_virtqueue_pop(next->queue, &chain, 1), 1);
        cr_assert_eq(chain.id, ids[0]);
        is_as_given(&chain, next);
        push(next, &chain);
        cr_assert_eq(devemu_virtqueue_pop(next->queue, &chain, 1), 1);
        cr_assert_eq(chain.id, ids[2]);
        is_as_given(&chain, next);
        push(next, &chain);
        finish(next, memory, 3, ids, false);
        driver_free(next);
    }
}

/* Whatever it was doing when it died: each buffer is used once. */
Test(queue_inflight, server_dies_between_any_two_writes)
{
    for (unsigned places = 0; places < 2 * SIZE; places += 3) {
        DevemuVirtqueueChain chains[4];
        unsigned ids[4];

        dying = g_new0(Dying, 1);
        dying->memory = g_malloc0(bytes());
        dying->driver = begin(places, dying->memory);
        for (unsigned i = 0; i < 4; i++) {
            ids[i] = give_list(dying->driver, i % 2 + 1);
        }
        dying->driver->wrote = dying->driver->meddle = die_here;
        cr_assert_eq(devemu_virtqueue_pop(dying->driver->queue, chains, 4), 4);
        devemu_virtqueue_push_together(dying->driver->queue,
                                       (DevemuVirtqueueChain[]){chains[3], chains[1]}, NULL, 2);
        push(dying->driver, &chains[0]);
        push(dying->driver, &chains[2]);
        dying->driver->wrote = dying->driver->meddle = NULL;
        cr_assert_gt(dying->count, 12);

        for (unsigned i = 0; i < 2 * dying->count; i++) {
            unsigned n = i / 2;
            g_autofree uint8_t *memory = g_memdup2(dying->memories[n], bytes());
            Driver *next = next_server(&dying->drivers[n], dying->rams[n], memory);

            finish(next, memory, 4, ids, i % 2);
            driver_free(next);
        }
        dying_free(dying);
    }
}

Test(queue_inflight, buffers_that_were_given_back_are_available_and_no_more)
{
    for (unsigned places = 0; places < 2 * SIZE; places++) {
        g_autofree uint8_t *memory = g_malloc0(bytes());
        Driver *d = begin(places, memory), *next;
        DevemuVirtqueueChain chains[3];
        const unsigned ids[] = {give_list(d, 2), give_list(d, 1), give_list(d, 3)};

        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 3);
        devemu_virtqueue_unpop(d->queue, &chains[1], 2);
        next = next_server(d, d->ram, memory);
        cr_assert_eq(devemu_virtqueue_in_flight(next->queue), 2);
        finish(next, memory, 3, ids, false);
        driver_free(next);
        driver_free(d);
    }
}

Test(queue_inflight, indirect_table_is_read_again)
{
    g_autofree uint8_t *memory = g_malloc0(bytes());
    Driver *d = begin(3, memory), *next;
    DevemuVirtqueueChain chain;

    put_desc(d, TABLE_AT, DATA_AT, 16, 0, 0);
    put_desc(d, TABLE_AT + 16, DATA_AT + 16, 16, F_WRITE, 0);
    give_desc(d, TABLE_AT, 32, F_INDIRECT, 5);
    d->lens[5] = 1;
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    next = next_server(d, d->ram, memory);
    cr_assert_eq(devemu_virtqueue_pop(next->queue, &chain, 1), 1);
    cr_assert_eq(chain.id, 5);
    cr_assert_eq(chain.descs, 1);
    cr_assert_eq(chain.readable, 1);
    cr_assert_eq(chain.writable, 1);
    push(next, &chain);
    driver_free(next);
    driver_free(d);
}

Test(queue_inflight, memory_of_another_size_is_begun_anew)
{
    g_autofree uint8_t *memory = g_malloc0(devemu_virtqueue_inflight_bytes(16, true));
    Driver *d = driver_new(16, true, true, 0);
    DevemuVirtqueueChain chain;

    devemu_virtqueue_set_inflight(d->queue, memory);
    give(d, DATA_AT, 1, 0, 16);
    cr_assert_eq(devemu_virtqueue_pop(d->queue, &chain, 1), 1);
    driver_free(d);
    d = begin(20, memory);
    cr_assert_eq(devemu_virtqueue_in_flight(d->queue), 0);
    driver_free(d);
}

/* Somebody else writes there: it may break the queue, and nothing else. */
Test(queue_inflight, rubbish_in_memory_breaks_the_queue_at_worst)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(34);
    unsigned broken = 0;

    for (unsigned round = 0; round < 400; round++) {
        g_autofree uint8_t *memory = g_malloc0(bytes());
        Driver *d = begin(round % 11, memory), *next;
        DevemuVirtqueueChain chains[3];

        give_list(d, 1);
        give_list(d, 3);
        cr_assert_eq(devemu_virtqueue_pop(d->queue, chains, 3), 2);
        for (unsigned i = 0; i < round % 9 + 1; i++) {
            memory[g_rand_int_range(rand, 12, (gint32)bytes())] = (uint8_t)g_rand_int(rand);
        }
        next = next_server(d, d->ram, memory);
        for (unsigned i = 0; i < 50 && devemu_virtqueue_pop(next->queue, chains, 1) == 1; i++) {
            memory[g_rand_int_range(rand, 12, (gint32)bytes())] = (uint8_t)g_rand_int(rand);
            push(next, chains);
        }
        broken += devemu_virtqueue_broken(next->queue) != NULL;
        driver_free(next);
        driver_free(d);
    }
    cr_assert_gt(broken, 0);
}
