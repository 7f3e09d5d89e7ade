/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c: what all networks have in common, with a switch port as the source of frames.
 */
#include "toy.h"

/* Two devices on a switch: what `from` sends, `to` gets through the queue of its port. */
typedef struct Pair {
    GMainContext *context;
    DevemuSwitch *hub;
    DevemuNet *port_a, *port_b;
    Toy *a, *b;
    uint64_t now;
} Pair;

static Pair *pair_new(const char *options, bool clock)
{
    Pair *pair = g_new0(Pair, 1);

    pair->context = g_main_context_new();
    pair->hub = devemu_switch_new(options, pair->context, NULL);
    if (clock) {
        devemu_switch_set_clock(pair->hub, toy_clock, &pair->now);
    }
    pair->port_a = devemu_switch_port(pair->hub);
    pair->port_b = devemu_switch_port(pair->hub);
    pair->a = toy_new(&toy_net_model);
    pair->b = toy_new(&toy_net_model);
    devemu_net_attach(pair->port_a, pair->a->dev);
    devemu_net_attach(pair->port_b, pair->b->dev);
    return pair;
}

static void pair_free(Pair *pair)
{
    toy_free(pair->a);
    toy_free(pair->b);
    devemu_net_free(pair->port_a);
    devemu_net_free(pair->port_b);
    devemu_switch_free(pair->hub);
    g_main_context_unref(pair->context);
    g_free(pair);
}

static void send_number(Toy *toy, uint8_t number)
{
    uint8_t frame[60];

    toy_frame_make(frame, sizeof(frame), 'b', 'a', number);
    toy_send(toy, frame, sizeof(frame));
}

Test(net, a_frame_never_arrives_inside_the_call_that_sends_it)
{
    Pair *pair = pair_new(NULL, false);

    send_number(pair->a, 1);

    cr_assert_eq(pair->b->frames->len, 0);
    TOY_UNTIL(pair->context, pair->b->frames->len == 1);
    pair_free(pair);
}

Test(net, a_device_that_answers_at_once_is_not_entered_again)
{
    Pair *pair = pair_new(NULL, false);
    DevemuNetStats stats;

    pair->b->echo = true;
    send_number(pair->a, 1);
    TOY_UNTIL(pair->context, pair->b->frames->len == 1);
    toy_settle(pair->context);

    devemu_net_stats(pair->port_b, &stats);
    cr_assert_eq(stats.frames_in, 1);
    cr_assert_eq(stats.frames_out, 1); /* to its own address: nobody gets it */
    cr_assert_eq(stats.bytes_out, 60);
    pair_free(pair);
}

Test(net, frames_wait_for_a_device_that_has_no_room_and_keep_their_order)
{
    Pair *pair = pair_new(NULL, false);
    DevemuNetStats stats;

    pair->b->room = 0;
    for (uint8_t i = 1; i <= 5; i++) {
        send_number(pair->a, i);
    }
    toy_settle(pair->context);
    devemu_net_stats(pair->port_b, &stats);
    cr_assert_eq(stats.waiting_frames, 5);
    cr_assert_eq(stats.waiting_bytes, 300);
    cr_assert_eq(pair->b->frames->len, 0);

    toy_make_room(pair->b, 2);
    cr_assert_eq(pair->b->frames->len, 0, "delivered inside ready()");
    TOY_UNTIL(pair->context, pair->b->frames->len == 2);
    toy_make_room(pair->b, 10);
    TOY_UNTIL(pair->context, pair->b->frames->len == 5);

    for (guint i = 0; i < 5; i++) {
        size_t len;

        cr_assert_eq(toy_frame(pair->b, i, &len)[20], i + 1);
    }
    devemu_net_stats(pair->port_b, &stats);
    cr_assert_eq(stats.waiting_bytes, 0);
    pair_free(pair);
}

Test(net, a_device_that_forgets_to_say_ready_is_asked_again)
{
    Pair *pair = pair_new(NULL, false);

    pair->b->room = 0;
    send_number(pair->a, 1);
    toy_settle(pair->context);
    pair->b->room = 1;

    TOY_UNTIL(pair->context, pair->b->frames->len == 1);
    pair_free(pair);
}

Test(net, without_a_device_frames_wait)
{
    Pair *pair = pair_new(NULL, false);

    devemu_net_attach(pair->port_b, NULL);
    send_number(pair->a, 1);
    toy_settle(pair->context);
    cr_assert_eq(pair->b->frames->len, 0);
    devemu_net_attach(pair->port_b, pair->b->dev);

    TOY_UNTIL(pair->context, pair->b->frames->len == 1);
    pair_free(pair);
}

Test(net, with_a_clock_frames_come_in_run_alone_and_never_at_the_moment_they_were_sent)
{
    Pair *pair = pair_new(NULL, true);

    pair->now = 1000;
    send_number(pair->a, 1);
    toy_settle(pair->context);
    cr_assert_eq(pair->b->frames->len, 0);
    cr_assert_eq(devemu_net_deadline(pair->port_b), 1001);
    cr_assert_eq(devemu_switch_deadline(pair->hub), 1001);
    devemu_net_run(pair->port_b);
    cr_assert_eq(pair->b->frames->len, 0);

    pair->now = 1001;
    devemu_switch_run(pair->hub);
    cr_assert_eq(pair->b->frames->len, 1);
    cr_assert_eq(devemu_net_deadline(pair->port_b), DEVEMU_NEVER);
    pair_free(pair);
}

Test(net, with_a_clock_a_refused_frame_has_a_deadline_when_the_device_is_ready)
{
    Pair *pair = pair_new(NULL, true);

    pair->b->room = 0;
    send_number(pair->a, 1);
    pair->now = 1;
    devemu_switch_run(pair->hub);
    cr_assert_gt(devemu_switch_deadline(pair->hub), 1000000);

    pair->now = 500;
    toy_make_room(pair->b, 1);
    devemu_device_receive(pair->b->dev, "", 0);
    cr_assert_eq(devemu_switch_deadline(pair->hub), 501);
    pair->now = 501;
    devemu_switch_run(pair->hub);
    cr_assert_eq(pair->b->frames->len, 1);
    pair_free(pair);
}

Test(net, slices_are_put_together_and_empty_or_giant_frames_are_lost)
{
    Pair *pair = pair_new(NULL, true);
    uint8_t frame[60];
    DevemuNetStats stats;
    DevemuSlice three[3] = {{frame, 10}, {NULL, 0}, {frame + 10, 50}};
    DevemuSlice giant[2] = {{frame, 60}, {frame, SIZE_MAX}};
    size_t len;

    toy_frame_make(frame, sizeof(frame), 'b', 'a', 7);
    devemu_send_frame(pair->a->dev, three, 3, false);
    devemu_send_frame(pair->a->dev, giant, 2, false);
    devemu_send_frame(pair->a->dev, NULL, 0, false);
    pair->now++;
    devemu_switch_run(pair->hub);

    cr_assert_eq(pair->b->frames->len, 1);
    cr_assert_arr_eq(toy_frame(pair->b, 0, &len), frame, 60);
    cr_assert_eq(len, 60);
    devemu_net_stats(pair->port_a, &stats);
    cr_assert_eq(stats.dropped_out, 2);
    cr_assert_eq(stats.frames_out, 1);
    pair_free(pair);
}

static void refuses(const char *text, const char *message)
{
    GError *error = NULL;
    DevemuNet *net = devemu_net_new(text, NULL, &error);

    cr_assert_null(net, "%s", text);
    cr_assert_not_null(error, "%s", text);
    cr_assert_eq(error->domain, DEVEMU_ERROR);
    cr_assert_not_null(strstr(error->message, message), "%s: %s", text, error->message);
    g_error_free(error);
}

Test(net, what_a_person_writes_wrong_is_named)
{
    refuses("slurp", "\"slurp\"; there are null, packet, playback, slirp, stream, tap");
    refuses("null,color=red", "null: there is no option color");
    refuses("null,flush=many", "option flush is \"many\"");
    refuses("null,pcap=/nowhere/at/all", "pcap: ");
    refuses("null,record=/nowhere/at/all", "record: ");
    refuses("playback", "option path is missing");
    refuses("playback,path=/nowhere/at/all", "playback: ");
    refuses("tap", "tap: give either ifname or fd");
    refuses("tap,ifname=a-name-that-is-too-long", "must be shorter than 16");
}

Test(net, null_takes_everything_and_says_nothing)
{
    DevemuNet *net = devemu_net_new("null", NULL, NULL);
    Toy *toy = toy_new(&toy_net_model);
    DevemuNetStats stats;

    devemu_net_attach(net, toy->dev);
    send_number(toy, 1);

    devemu_net_stats(net, &stats);
    cr_assert_eq(stats.frames_out, 1);
    cr_assert_eq(devemu_net_deadline(net), DEVEMU_NEVER);
    devemu_net_run(net);
    toy_free(toy);
    devemu_net_free(net);
    devemu_net_free(NULL);
}
