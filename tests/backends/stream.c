/* SPDX-License-Identifier: BSD-3-Clause */
/* stream.c: frames behind their lengths, over one end of a socket pair; the test is the other. */
#include "toy.h"

#include <sys/socket.h>
#include <unistd.h>

typedef struct Wire {
    GMainContext *context;
    DevemuNet *net;
    Toy *toy;
    int fd; /* the other end */
} Wire;

static void wire_new(Wire *wire, const char *options)
{
    int fds[2];
    g_autofree char *text = NULL;
    GError *error = NULL;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    text = g_strdup_printf("stream,fd=%d%s", fds[0], options);
    wire->context = g_main_context_new();
    wire->net = devemu_net_new(text, wire->context, &error);
    cr_assert_not_null(wire->net, "%s", error ? error->message : "");
    wire->toy = toy_new(&toy_net_model);
    devemu_net_attach(wire->net, wire->toy->dev);
    wire->fd = fds[1];
}

static void wire_free(Wire *wire)
{
    devemu_net_attach(wire->net, NULL);
    toy_free(wire->toy);
    devemu_net_free(wire->net);
    if (wire->fd >= 0) {
        close(wire->fd);
    }
    g_main_context_unref(wire->context);
}

static void put(const Wire *wire, const void *data, size_t len)
{
    cr_assert_eq(write(wire->fd, data, len), (ssize_t)len);
}

Test(stream, a_frame_goes_out_behind_its_length)
{
    Wire wire;
    uint8_t frame[60], got[128];

    wire_new(&wire, "");
    toy_frame_make(frame, sizeof(frame), 1, 2, 0x5a);
    toy_send(wire.toy, frame, sizeof(frame));

    cr_assert_eq(read(wire.fd, got, sizeof(got)), 64);
    cr_assert_eq(memcmp(got, "\0\0\0\x3c", 4), 0);
    cr_assert_eq(memcmp(got + 4, frame, sizeof(frame)), 0);
    wire_free(&wire);
}

Test(stream, a_frame_comes_in_however_it_is_cut)
{
    Wire wire;
    uint8_t bytes[2 * 64] = {0, 0, 0, 60};
    size_t len;

    wire_new(&wire, "");
    toy_frame_make(bytes + 4, 60, 1, 2, 0x11);
    memcpy(bytes + 64, bytes, 64);
    bytes[127] = 0x77;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        put(&wire, bytes + i, 1);
        toy_settle(wire.context);
    }

    cr_assert_eq(wire.toy->frames->len, 2);
    cr_assert_eq(memcmp(toy_frame(wire.toy, 0, &len), bytes + 4, 60), 0);
    cr_assert_eq(len, 60);
    cr_assert_eq(toy_frame(wire.toy, 1, &len)[59], 0x77);
    wire_free(&wire);
}

Test(stream, fetch_reads_without_the_main_loop)
{
    Wire wire;
    uint8_t bytes[64] = {0, 0, 0, 60};

    wire_new(&wire, "");
    put(&wire, bytes, sizeof(bytes));
    devemu_net_fetch(wire.net);
    devemu_net_run(wire.net);

    cr_assert_eq(wire.toy->frames->len, 1);
    wire_free(&wire);
}

Test(stream, a_host_that_polls_the_device_needs_no_main_loop)
{
    Wire wire;
    uint8_t bytes[64] = {0, 0, 0, 60};

    wire_new(&wire, "");
    cr_assert_eq(devemu_device_poll(wire.toy->dev), 0);
    put(&wire, bytes, sizeof(bytes));

    cr_assert_eq(devemu_device_poll(wire.toy->dev), 1);
    cr_assert_eq(wire.toy->frames->len, 1);
    wire_free(&wire);
}

Test(stream, what_the_device_cannot_take_waits_and_then_in_the_socket)
{
    Wire wire;
    uint8_t bytes[1004] = {0, 0, 1000 >> 8, 1000 & 0xff};

    wire_new(&wire, ",queue=4096");
    wire.toy->room = 0;
    for (unsigned i = 0; i < 16; i++) {
        bytes[4] = (uint8_t)i;
        put(&wire, bytes, sizeof(bytes));
        devemu_net_fetch(wire.net);
        devemu_net_run(wire.net);
    }
    cr_assert_eq(wire.toy->frames->len, 0);
    toy_make_room(wire.toy, 100);
    TOY_UNTIL(wire.context, wire.toy->frames->len == 16);

    for (unsigned i = 0; i < 16; i++) {
        size_t len;

        cr_assert_eq(toy_frame(wire.toy, i, &len)[0], i, "in order, none lost");
    }
    wire_free(&wire);
}

Test(stream, a_reader_that_sleeps_costs_frames_and_no_more)
{
    Wire wire;
    uint8_t frame[1500] = {2};
    DevemuNetStats stats;

    wire_new(&wire, "");
    for (unsigned i = 0; i < 2000; i++) {
        toy_send(wire.toy, frame, sizeof(frame));
    }
    devemu_net_stats(wire.net, &stats);

    cr_assert_gt(stats.frames_out, 100);
    cr_assert_gt(stats.dropped_out, 1000);
    cr_assert_eq(stats.frames_out + stats.dropped_out, 2000);
    wire_free(&wire);
}

Test(stream, an_impossible_length_or_an_end_stops_the_stream)
{
    static const uint8_t lengths[][4] = {{0xff, 0xff, 0xff, 0xff}, {0, 1, 0x10, 0}};
    uint8_t frame[60] = {2};

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        Wire wire;
        char byte;

        wire_new(&wire, "");
        put(&wire, lengths[i], 4);
        toy_settle(wire.context);
        cr_assert_eq(read(wire.fd, &byte, 1), 0, "the descriptor is closed");
        toy_send(wire.toy, frame, sizeof(frame));
        toy_settle(wire.context);
        cr_assert_eq(wire.toy->frames->len, 0);
        wire_free(&wire);
    }
}

Test(stream, an_end_that_closes_is_no_harm)
{
    Wire wire;
    uint8_t frame[60] = {2};

    wire_new(&wire, "");
    close(wire.fd);
    wire.fd = -1;
    for (unsigned i = 0; i < 3; i++) {
        toy_send(wire.toy, frame, sizeof(frame));
        toy_settle(wire.context);
    }
    wire_free(&wire);
}

Test(stream, mistakes_are_named)
{
    static const char *const texts[] = {"stream", "stream,fd=9999", "stream,fd=x",
                                        "stream,path=/x"};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        GError *error = NULL;

        cr_assert_null(devemu_net_new(texts[i], NULL, &error));
        cr_assert_not_null(strstr(error->message, "stream: "), "%s", error->message);
        g_error_free(error);
    }
}
