/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch.c: a learning switch, in virtual time.
 */
#include "toy.h"

#define PORTS 3

typedef struct World {
    DevemuSwitch *hub;
    DevemuNet *ports[PORTS];
    Toy *toys[PORTS];
    uint64_t now;
} World;

static World *world_new(const char *options)
{
    World *world = g_new0(World, 1);

    world->hub = devemu_switch_new(options, NULL, NULL);
    devemu_switch_set_clock(world->hub, toy_clock, &world->now);
    for (unsigned i = 0; i < PORTS; i++) {
        world->ports[i] = devemu_switch_port(world->hub);
        world->toys[i] = toy_new(&toy_net_model);
        devemu_net_attach(world->ports[i], world->toys[i]->dev);
    }
    return world;
}

static void world_free(World *world)
{
    for (unsigned i = 0; i < PORTS; i++) {
        toy_free(world->toys[i]);
        devemu_net_free(world->ports[i]);
    }
    devemu_switch_free(world->hub);
    g_free(world);
}

/* Station `from` at a port sends to station `to`; the frames that each port gets, as digits. */
static unsigned gets(World *world, unsigned port, uint8_t from, uint8_t to)
{
    unsigned result = 0;
    uint8_t frame[100];

    toy_frame_make(frame, sizeof(frame), to, from, 0);
    toy_send(world->toys[port], frame, sizeof(frame));
    world->now++;
    devemu_switch_run(world->hub);
    for (unsigned i = 0; i < PORTS; i++) {
        result = result * 10 + world->toys[i]->frames->len;
        g_ptr_array_set_size(world->toys[i]->frames, 0);
    }
    return result;
}

Test(switch_, frames_go_everywhere_until_the_station_is_known)
{
    World *world = world_new(NULL);

    cr_assert_eq(gets(world, 0, 'a', 'b'), 11);
    cr_assert_eq(gets(world, 1, 'b', 'a'), 100);
    cr_assert_eq(gets(world, 0, 'a', 'b'), 10);
    cr_assert_eq(gets(world, 0, 'a', 0xff), 11, "broadcast");
    world_free(world);
}

Test(switch_, a_station_that_moves_is_found_at_its_new_port)
{
    World *world = world_new(NULL);

    gets(world, 0, 'a', 0xff);
    gets(world, 2, 'a', 0xff);

    cr_assert_eq(gets(world, 1, 'b', 'a'), 1);
    world_free(world);
}

Test(switch_, a_frame_to_its_own_port_goes_nowhere)
{
    World *world = world_new(NULL);

    gets(world, 0, 'a', 0xff);

    cr_assert_eq(gets(world, 0, 'b', 'a'), 0);
    world_free(world);
}

Test(switch_, stations_are_forgotten_with_time)
{
    World *world = world_new("age=10");

    gets(world, 0, 'a', 0xff);
    world->now += 9000000000;
    cr_assert_eq(gets(world, 1, 'b', 'a'), 100);
    world->now += 2000000000;
    cr_assert_eq(gets(world, 1, 'b', 'a'), 101);
    world_free(world);
}

Test(switch_, a_port_that_goes_takes_its_stations_along)
{
    World *world = world_new(NULL);

    gets(world, 0, 'a', 0xff);
    devemu_net_attach(world->ports[0], NULL);
    devemu_net_free(world->ports[0]);
    world->ports[0] = devemu_switch_port(world->hub);
    devemu_net_attach(world->ports[0], world->toys[0]->dev);

    cr_assert_eq(gets(world, 1, 'b', 'a'), 101);
    world_free(world);
}

Test(switch_, many_stations_need_no_memory)
{
    World *world = world_new(NULL);
    uint8_t frame[60];

    toy_frame_make(frame, sizeof(frame), 'z', 0, 0);
    for (unsigned i = 0; i < 100000; i++) {
        frame[8] = (uint8_t)(i >> 16);
        frame[9] = (uint8_t)(i >> 8);
        frame[10] = (uint8_t)i;
        toy_send(world->toys[0], frame, sizeof(frame));
    }
    world->now++;
    devemu_switch_run(world->hub);
    gets(world, 1, 'b', 0xff);

    cr_assert_eq(gets(world, 0, 'a', 'b'), 10, "the newest is known");
    world_free(world);
}

Test(switch_, a_full_port_loses_frames_and_counts_them)
{
    World *world = world_new("queue=2048");
    DevemuNetStats stats;

    gets(world, 1, 'b', 0xff);
    world->toys[1]->room = 0;
    for (unsigned i = 0; i < 100; i++) {
        gets(world, 0, 'a', 'b');
    }

    devemu_net_stats(world->ports[1], &stats);
    cr_assert_eq(stats.waiting_frames + stats.dropped_in, 100);
    cr_assert_lt(stats.waiting_bytes, 2048 + 100);
    cr_assert_gt(stats.dropped_in, 70);
    world_free(world);
}

Test(switch_, a_frame_without_a_header_is_lost)
{
    World *world = world_new(NULL);
    DevemuNetStats stats;

    toy_send(world->toys[0], "short", 5);

    devemu_net_stats(world->ports[0], &stats);
    cr_assert_eq(stats.dropped_out, 1);
    world_free(world);
}

Test(switch_, two_switches_can_be_joined_and_nothing_is_lost_between_them)
{
    World *one = world_new("queue=2048");
    World *two = world_new("queue=262144");
    DevemuNetStats stats;

    /* A port of `two` is a network of `one`. */
    devemu_switch_join(one->hub, devemu_switch_port(two->hub));
    gets(one, 0, 'a', 0xff); /* now `one` knows a; `two` learns it, too */
    one->toys[0]->room = 0;
    for (unsigned i = 0; i < 200; i++) {
        gets(two, 1, 'b', 'a');
    }
    for (unsigned i = 0; i < 200; i++) {
        one->now += 1000000;
        two->now += 1000000;
        toy_make_room(one->toys[0], 1);
        for (unsigned j = 0; j < 3; j++) {
            one->now++;
            two->now++;
            devemu_switch_run(two->hub);
            devemu_switch_run(one->hub);
        }
    }

    cr_assert_eq(one->toys[0]->frames->len, 200);
    devemu_net_stats(one->ports[0], &stats);
    cr_assert_eq(stats.dropped_in, 0);
    world_free(one);
    world_free(two);
}

Test(switch_, a_port_that_stands_still_does_not_hold_a_joined_network_for_ever)
{
    World *one = world_new("queue=2048");
    World *two = world_new(NULL);

    devemu_switch_join(one->hub, devemu_switch_port(two->hub));
    gets(one, 0, 'a', 0xff);
    gets(one, 1, 'c', 0xff);
    one->toys[0]->room = 0;
    for (unsigned i = 0; i < 100; i++) {
        gets(two, 1, 'b', 'a');
    }
    gets(two, 1, 'b', 'c');
    for (unsigned i = 0; i < 500; i++) {
        one->now += 10000000;
        two->now += 10000000;
        devemu_switch_run(two->hub);
        devemu_switch_run(one->hub);
    }

    cr_assert_eq(one->toys[1]->frames->len, 1, "c gets its frame");
    world_free(one);
    world_free(two);
}

Test(switch_, what_a_person_writes_wrong_is_named)
{
    GError *error = NULL;

    cr_assert_null(devemu_switch_new("age=0", NULL, &error));
    cr_assert_str_eq(error->message,
                     "switch: option age is \"0\"; it must be a number from 1 to 1000000");
    g_error_free(error);
}
