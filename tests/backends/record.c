/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record.c: recordings and their playback, at the very same times.
 */
#include "toy.h"

/* A device at `near` records what one at `far` sends; both on one clock. */
typedef struct World {
    DevemuSwitch *hub;
    DevemuNet *other, *net;
    Toy *far, *near;
    uint64_t now;
} World;

static bool world_init(World *world, const char *path)
{
    GError *error = NULL;
    DevemuNet *port;

    *world = (World){.now = 0};
    world->hub = devemu_switch_new(NULL, NULL, NULL);
    devemu_switch_set_clock(world->hub, toy_clock, &world->now);
    world->other = devemu_switch_port(world->hub);
    port = devemu_switch_port(world->hub);
    world->net = devemu_net_record_new(port, path, &error);
    if (world->net == NULL) {
        cr_skip("%s", error->message);
    }
    world->far = toy_new(&toy_net_model);
    world->near = toy_new(&toy_net_model);
    devemu_net_attach(world->other, world->far->dev);
    devemu_net_attach(world->net, world->near->dev);
    return true;
}

static void world_finish(World *world)
{
    toy_free(world->far);
    toy_free(world->near);
    devemu_net_free(world->net);
    devemu_net_free(world->other);
    devemu_switch_free(world->hub);
}

static void far_sends(World *world, uint8_t number)
{
    uint8_t frame[60];

    toy_frame_make(frame, sizeof(frame), 'n', 'f', number);
    toy_send(world->far, frame, sizeof(frame));
}

/* Frames 1..5 sent at 100, 200 ...; taken at 101, 201, and 3..5 at 700, when there is room. */
static char *record(void)
{
    char *path = toy_path("net.rec");
    World world;

    world_init(&world, path);
    for (uint8_t i = 1; i <= 5; i++) {
        world.now = i * 100U;
        if (i == 3) {
            world.near->room = 0;
        }
        far_sends(&world, i);
        world.now++;
        devemu_net_run(world.net);
    }
    world.now = 699;
    toy_make_room(world.near, 10);
    world.now = devemu_net_deadline(world.net);
    cr_assert_eq(world.now, 700);
    devemu_net_run(world.net);
    cr_assert_eq(world.near->frames->len, 5);
    cr_assert_eq(devemu_net_position(world.net), 5);
    world_finish(&world);
    return path;
}

static const uint64_t expected_times[] = {101, 201, 700, 700, 700};

static void check_from(DevemuNet *net, Toy *toy, uint64_t *now, guint first)
{
    while (devemu_net_deadline(net) != DEVEMU_NEVER) {
        guint before = toy->frames->len;

        *now = devemu_net_deadline(net);
        devemu_net_run(net);
        for (guint i = before; i < toy->frames->len; i++) {
            size_t len;

            cr_assert_eq(*now, expected_times[first + i]);
            cr_assert_eq(toy_frame(toy, i, &len)[20], first + i + 1);
        }
    }
    cr_assert_eq(toy->frames->len, 5 - first);
}

Test(record, playback_delivers_the_same_frames_at_the_same_times)
{
    char *path = record();
    DevemuNet *net = devemu_net_playback_new(path, NULL, NULL);
    Toy *toy = toy_new(&toy_net_model);
    uint64_t now = 0;

    devemu_net_set_clock(net, toy_clock, &now);
    devemu_net_attach(net, toy->dev);
    cr_assert_eq(devemu_net_deadline(net), 101);
    now = 100;
    devemu_net_run(net);
    cr_assert_eq(toy->frames->len, 0);
    check_from(net, toy, &now, 0);

    cr_assert_eq(devemu_net_position(net), 5);
    toy_free(toy);
    devemu_net_free(net);
    toy_unlink(path);
}

Test(record, playback_goes_on_from_a_time_or_a_position)
{
    static const struct {
        uint64_t time_ns;
        guint first;
    } cases[] = {{0, 0}, {100, 0}, {101, 1}, {500, 2}, {700, 5}, {DEVEMU_NEVER, 5}};
    char *path = record();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        DevemuNet *net = devemu_net_playback_new(path, NULL, NULL);
        Toy *toy = toy_new(&toy_net_model);
        uint64_t now = 0;

        devemu_net_set_clock(net, toy_clock, &now);
        devemu_net_attach(net, toy->dev);
        now = 1000;
        devemu_net_run(net);
        cr_assert_eq(devemu_net_position(net), 5);
        g_ptr_array_set_size(toy->frames, 0);
        devemu_net_playback_seek_time(net, cases[i].time_ns); /* back, after a snapshot */
        cr_assert_eq(devemu_net_position(net), cases[i].first);
        check_from(net, toy, &now, cases[i].first);

        g_ptr_array_set_size(toy->frames, 0);
        devemu_net_playback_seek(net, 3);
        check_from(net, toy, &now, 3);
        toy_free(toy);
        devemu_net_free(net);
    }
    toy_unlink(path);
}

Test(record, a_device_that_refuses_gets_the_frame_as_soon_as_it_is_ready)
{
    char *path = record();
    DevemuNet *net = devemu_net_playback_new(path, NULL, NULL);
    Toy *toy = toy_new(&toy_net_model);
    uint64_t now = 0;

    devemu_net_set_clock(net, toy_clock, &now);
    devemu_net_attach(net, toy->dev);
    toy->room = 0;
    now = 101;
    devemu_net_run(net);
    cr_assert_eq(toy->frames->len, 0);
    cr_assert_gt(devemu_net_deadline(net), 101);
    now = 150;
    devemu_device_receive(toy->dev, "", 0); /* the device knows that it refused */
    toy_make_room(toy, 10);
    now = 10000101;
    devemu_net_run(net);

    cr_assert_eq(toy->frames->len, 5);
    toy_free(toy);
    devemu_net_free(net);
    toy_unlink(path);
}

Test(record, playback_runs_in_real_time_without_a_clock)
{
    char *path = record();
    GMainContext *context = g_main_context_new();
    g_autofree char *text = g_strdup_printf("playback,path=%s", path);
    DevemuNet *net = devemu_net_new(text, context, NULL);
    Toy *toy = toy_new(&toy_net_model);

    devemu_net_attach(net, toy->dev);
    TOY_UNTIL(context, toy->frames->len == 5);

    toy_free(toy);
    devemu_net_free(net);
    g_main_context_unref(context);
    toy_unlink(path);
}

static void refuses_file(const void *bytes, size_t len, const char *message)
{
    char *path = toy_path("broken.rec");
    GError *error = NULL;

    cr_assert(g_file_set_contents(path, bytes, (gssize)len, NULL));
    cr_assert_null(devemu_net_playback_new(path, NULL, &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_FILE);
    cr_assert_not_null(strstr(error->message, message), "%s", error->message);
    g_error_free(error);
    toy_unlink(path);
}

Test(record, a_file_that_is_no_recording_is_refused)
{
    char *path = record();
    g_autofree char *bytes = NULL;
    gsize len;
    uint32_t word;

    cr_assert(g_file_get_contents(path, &bytes, &len, NULL));
    refuses_file("hello, world, this is a text", 28, "playback: ");
    refuses_file("", 0, "playback: ");
    refuses_file(bytes, len - 7, "playback: "); /* ends in a frame */
    word = 9999;
    memcpy(bytes + 24 + 4, &word, 4); /* the first frame's nanoseconds */
    refuses_file(bytes, len, "not in the order of their times");
    word = 7;
    memcpy(bytes + 24 + 8, &word, 4); /* captured fewer than there were */
    refuses_file(bytes, len, "playback: ");
    word = 105;
    memcpy(bytes + 20, &word, 4); /* 802.11 */
    refuses_file(bytes, len, "no Ethernet frames");
    toy_unlink(path);
}
