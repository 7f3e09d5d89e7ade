/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcap.c: captures, read back byte by byte: the file format is that of pcap-savefile(5) with the
 * nanosecond magic.
 */
#include "toy.h"

static uint32_t number(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, 4); /* the writer's byte order */
    return value;
}

typedef struct World {
    char *path;
    DevemuSwitch *hub;
    DevemuNet *other, *net;
    Toy *far, *near;
    uint64_t now;
} World;

/* Two devices on a switch, a capture before one of them. */
static World *world_new(unsigned flush_frames)
{
    World *world = g_new0(World, 1);
    GError *error = NULL;

    world->path = toy_path("capture.pcap");
    world->hub = devemu_switch_new(NULL, NULL, NULL);
    devemu_switch_set_clock(world->hub, toy_clock, &world->now);
    world->other = devemu_switch_port(world->hub);
    world->net =
        devemu_net_pcap_new(devemu_switch_port(world->hub), world->path, flush_frames, &error);
    if (world->net == NULL) {
        cr_skip("%s", error->message);
    }
    world->far = toy_new(&toy_net_model);
    world->near = toy_new(&toy_net_model);
    devemu_net_attach(world->other, world->far->dev);
    devemu_net_attach(world->net, world->near->dev);
    return world;
}

static void world_free(World *world)
{
    toy_free(world->far);
    toy_free(world->near);
    devemu_net_free(world->net);
    devemu_net_free(world->other);
    devemu_switch_free(world->hub);
    toy_unlink(world->path);
    g_free(world);
}

static void send_to(Toy *toy, uint8_t to, uint8_t from)
{
    uint8_t frame[60];

    toy_frame_make(frame, sizeof(frame), to, from, 0x5a);
    toy_send(toy, frame, sizeof(frame));
}

static size_t size_of(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize len;

    cr_assert(g_file_get_contents(path, &bytes, &len, NULL));
    return len;
}

Test(pcap, both_directions_are_written_with_the_clocks_nanoseconds)
{
    World *world = world_new(0);
    g_autofree char *bytes = NULL;
    const uint8_t *record;
    gsize len;

    world->now = 3000000123;
    send_to(world->near, 'f', 'n');
    send_to(world->far, 'n', 'f');
    world->now = 3000000456;
    devemu_net_run(world->net);
    cr_assert(devemu_net_flush(world->net, NULL));

    cr_assert(g_file_get_contents(world->path, &bytes, &len, NULL));
    cr_assert_eq(len, 24 + 2 * (16 + 60));
    record = (const uint8_t *)bytes;
    cr_assert_eq(number(record), 0xa1b23c4d);
    cr_assert_eq(number(record + 20), 1); /* LINKTYPE_ETHERNET */
    record += 24;
    cr_assert_eq(number(record), 3);
    cr_assert_eq(number(record + 4), 123);
    cr_assert_eq(number(record + 8), 60);
    cr_assert_eq(number(record + 12), 60);
    cr_assert_eq(record[16 + 5], 'f');
    record += 16 + 60;
    cr_assert_eq(number(record + 4), 456);
    cr_assert_eq(record[16 + 5], 'n');
    world_free(world);
}

Test(pcap, a_frame_that_waits_is_captured_when_the_device_takes_it)
{
    World *world = world_new(1);

    world->near->room = 0;
    send_to(world->far, 'n', 'f');
    world->now = 10;
    devemu_net_run(world->net);
    cr_assert_eq(size_of(world->path), 24);
    toy_make_room(world->near, 1);
    world->now = 20000000;
    devemu_net_run(world->net);

    cr_assert_eq(size_of(world->path), 24 + 16 + 60);
    world_free(world);
}

Test(pcap, the_file_is_whole_after_every_nth_frame_and_when_freed)
{
    World *world = world_new(2);
    g_autofree char *path = g_strdup(world->path);

    for (unsigned i = 0; i < 3; i++) {
        send_to(world->near, 'f', 'n');
    }
    cr_assert_eq(size_of(path), 24 + 2 * 76);
    toy_free(world->near);
    devemu_net_free(world->net);
    cr_assert_eq(size_of(path), 24 + 3 * 76);

    toy_free(world->far);
    devemu_net_free(world->other);
    devemu_switch_free(world->hub);
    toy_unlink(world->path);
    g_free(world);
}

Test(pcap, a_full_disk_is_told)
{
    DevemuNet *inner = devemu_net_null_new();
    GError *error = NULL;
    DevemuNet *net = devemu_net_pcap_new(inner, "/dev/full", 0, &error);
    Toy *toy;

    if (net == NULL) {
        devemu_net_free(inner);
        cr_skip("%s", error->message);
    }
    toy = toy_new(&toy_net_model);
    devemu_net_attach(net, toy->dev);
    send_to(toy, 'f', 'n');

    cr_assert_not(devemu_net_flush(net, &error));
    cr_assert_eq(error->code, DEVEMU_ERROR_FILE);
    cr_assert_not_null(strstr(error->message, "pcap: /dev/full: "));
    g_error_free(error);
    toy_free(toy);
    devemu_net_free(net);
}

Test(pcap, it_can_be_asked_for_by_name_in_front_of_any_network)
{
    char *path = toy_path("by-name.pcap");
    g_autofree char *text = g_strdup_printf("null,pcap=%s,flush=1", path);
    GError *error = NULL;
    DevemuNet *net = devemu_net_new(text, NULL, &error);
    Toy *toy;

    if (net == NULL) {
        cr_skip("%s", error->message);
    }
    toy = toy_new(&toy_net_model);
    devemu_net_attach(net, toy->dev);
    send_to(toy, 'f', 'n');

    cr_assert_eq(size_of(path), 24 + 76);
    toy_free(toy);
    devemu_net_free(net);
    toy_unlink(path);
}
