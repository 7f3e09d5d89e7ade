/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user.c: the vhost-user server: negotiation, memory, rings. */
#define _GNU_SOURCE
#include "vhost-client.h"

static VhostClient *rng_client(uint64_t features, const char *options)
{
    VhostClient *c = vc_new_rng(options, VC_PROTOCOL);

    vc_start(c, features);
    return c;
}

Test(vhost_user, buffer_is_filled_used_and_signalled)
{
    VhostClient *c = rng_client(0, NULL);
    uint32_t id, len;

    vc_called(c, 0);
    vc_feed(c, "hello");
    vc_add(c, 0, VC_GUEST + VC_DATA, 64, true);
    vc_kick(c, 0);

    cr_assert(vc_used(c, 0, &id, &len), "%s", c->log->str);
    cr_assert_eq(id, 0);
    cr_assert_eq(len, 5);
    cr_assert_arr_eq(c->ram + VC_DATA, "hello", 5);
    cr_assert(vc_called(c, 0));
    vc_free(c);
}

/* --- negotiation ------------------------------------------------------------------- */

Test(vhost_user, all_that_is_offered_is_what_the_device_and_the_protocol_have)
{
    VhostClient *c = vc_new_rng("packed=on", VC_PROTOCOL);
    uint64_t features = vc_ask_u64(c, VHOST_USER_GET_FEATURES);

    cr_assert(features & VHOST_BIT(VIRTIO_F_VERSION_1));
    cr_assert(features & VHOST_BIT(VIRTIO_F_RING_PACKED));
    cr_assert(features & VHOST_BIT(VHOST_LOG_ALL));
    cr_assert_not(features & VHOST_BIT(VIRTIO_F_NOTIFICATION_DATA));
    cr_assert_eq(vc_ask_u64(c, VHOST_USER_GET_QUEUE_NUM), 1);
    vc_free(c);
}

Test(vhost_user, features_that_are_not_offered_are_refused)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);

    cr_assert_not(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES | VHOST_BIT(50)));
    cr_assert(strstr(c->log->str, "SET_FEATURES is refused"));
    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    vc_free(c);
}

Test(vhost_user, client_without_reply_ack_gets_no_answers)
{
    DevemuChr *chr;
    VhostClient *c = vc_new_on(vc_rng(NULL, &chr), "", g_main_context_default());
    const uint64_t none = 0;

    vc_send(c, VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_FLAG_NEED_REPLY, &none, 8, NULL, 0);

    cr_assert_not(vc_receive(c, VHOST_USER_SET_PROTOCOL_FEATURES));
    vc_free(c);
}

/* spec "In-band notifications": an error that has no other way to be told. */
Test(vhost_user, in_band_without_a_channel_ends_the_connection)
{
    DevemuChr *chr;
    VhostClient *c = vc_new_on(vc_rng(NULL, &chr), "", g_main_context_default());
    const uint64_t features =
        VHOST_BIT(VHOST_F_INBAND_NOTIFICATIONS) | VHOST_BIT(VHOST_F_REPLY_ACK);

    vc_send(c, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &features, 8, NULL, 0);

    cr_assert(vc_closed(c));
    vc_free(c);
}

/* spec "Multiple queue support", and what clients ask for: pairs of a network device. */
Test(vhost_user, network_device_has_pairs_of_queues)
{
    DevemuDevice *dev = devemu_device_new(devemu_model_find("virtio-net"), "queues=4", NULL);
    VhostClient *c = vc_new(dev, VC_PROTOCOL);

    cr_assert_eq(vc_ask_u64(c, VHOST_USER_GET_QUEUE_NUM), 4);
    vc_free(c);
}

Test(vhost_user, configuration_space_is_read_and_zero_behind_its_end)
{
    DevemuDevice *dev =
        devemu_device_new(devemu_model_find("virtio-net"), "mac=52:54:00:11:22:33", NULL);
    VhostClient *c = vc_new(dev, VC_PROTOCOL | VHOST_BIT(VHOST_F_CONFIG));
    uint8_t payload[12 + 200] = {0};
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x11, 0x22, 0x33};

    server_put32(payload + 4, 200);
    vc_ask(c, VHOST_USER_GET_CONFIG, payload, sizeof(payload));
    cr_assert_eq(c->reply_len, sizeof(payload));
    cr_assert_arr_eq(vc_payload(c) + 12, mac, 6);
    cr_assert_eq(vc_payload(c)[12 + 199], 0);

    /* No payload is how an error is told. */
    server_put32(payload + 4, 257);
    vc_ask(c, VHOST_USER_GET_CONFIG, payload, sizeof(payload));
    cr_assert_eq(c->reply_len, 0);
    vc_free(c);
}

/* --- rings ------------------------------------------------------------------------- */

Test(vhost_user, ring_does_nothing_before_it_is_enabled)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);
    uint32_t id, len;

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    cr_assert(vc_give_memory(c));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, VC_NUM));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_BASE, 0, 0));
    cr_assert(vc_set_addr(c, 0, vc_ring_user(0), 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &c->kick[0]));
    vc_add(c, 0, VC_GUEST + VC_DATA, 64, true);
    vc_feed(c, "early");
    vc_kick(c, 0);
    cr_assert_not(vc_used(c, 0, &id, &len));

    /* The kick came before: the ring is looked at when it is enabled. */
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, 0, 1));
    vc_run(c);
    cr_assert(vc_used(c, 0, &id, &len), "%s", c->log->str);
    vc_free(c);
}

/* spec "Ring states": SET_FEATURES without VHOST_USER_F_PROTOCOL_FEATURES enables all rings. */
Test(vhost_user, plain_client_has_its_rings_enabled)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL);

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VHOST_BIT(VIRTIO_F_VERSION_1)));
    cr_assert(vc_give_memory(c));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, VC_NUM));
    cr_assert(vc_set_addr(c, 0, vc_ring_user(0), 0, 0));
    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_KICK, 0, &c->kick[0]));

    cr_assert(c->server->rings[0].running, "%s", c->log->str);
    vc_free(c);
}

Test(vhost_user, ring_goes_on_where_it_was_stopped)
{
    VhostClient *c = rng_client(0, NULL);
    uint32_t base;

    vc_feed(c, "0123456789");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 4);
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 4);
    base = vc_get_base(c, 0);
    cr_assert_eq(base, 2);
    cr_assert_not(c->server->rings[0].running);

    vc_start_ring(c, 0, base);
    vc_feed(c, "ab");
    cr_assert_geq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 2);
    vc_free(c);
}

/* Buffers that the device left in the ring are its driver's again. */
Test(vhost_user, stopped_ring_says_where_unused_buffers_begin)
{
    VhostClient *c = rng_client(0, NULL);

    vc_add(c, 0, VC_GUEST + VC_DATA, 4, true);
    vc_add(c, 0, VC_GUEST + VC_DATA, 4, true);
    vc_kick(c, 0);

    cr_assert_eq(vc_get_base(c, 0), 0);
    vc_free(c);
}

/* spec "A vring descriptor indices": both, with their wrap counters. */
Test(vhost_user, packed_ring_says_both_positions)
{
    VhostClient *c = vc_new_rng("packed=on", VC_PROTOCOL);
    uint8_t *desc = vc_ring(c, 0);

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES | VHOST_BIT(VIRTIO_F_RING_PACKED)));
    cr_assert(vc_give_memory(c));
    vc_start_ring(c, 0, 0x8000); /* as DPDK does */
    cr_assert(c->server->rings[0].running, "%s", c->log->str);
    devemu_put_le64(desc, VC_GUEST + VC_DATA);
    devemu_put_le32(desc + 8, 64);
    devemu_put_le16(desc + 12, 7);
    devemu_put_le16(desc + 14, 2 | 1 << 7);
    vc_feed(c, "packed");
    vc_kick(c, 0);

    cr_assert_arr_eq(c->ram + VC_DATA, "packed", 6);
    cr_assert_eq(devemu_le16(desc + 14), 2 | 1 << 7 | 1 << 15);
    cr_assert_eq(vc_get_base(c, 0), 0x80018001);
    vc_free(c);
}

Test(vhost_user, ring_without_a_kick_descriptor_is_polled)
{
    VhostClient *c = rng_client(0, NULL);
    const uint64_t none = VHOST_NO_FD;
    uint32_t id, len;

    cr_assert(vc_do(c, VHOST_USER_SET_VRING_KICK, &none, sizeof(none)));
    vc_feed(c, "look");
    vc_add(c, 0, VC_GUEST + VC_DATA, 4, true);
    vc_run(c);
    vc_run(c);

    cr_assert(vc_used(c, 0, &id, &len), "%s", c->log->str);
    cr_assert_arr_eq(c->ram + VC_DATA, "look", 4);
    vc_free(c);
}

Test(vhost_user, ring_without_a_call_descriptor_is_used_all_the_same)
{
    VhostClient *c = rng_client(0, NULL);
    const uint64_t none = VHOST_NO_FD;

    cr_assert(vc_do(c, VHOST_USER_SET_VRING_CALL, &none, sizeof(none)));
    vc_feed(c, "calm");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 4);
    vc_free(c);
}

/* spec "Back-end communication" and "In-band notifications". */
Test(vhost_user, kicks_and_calls_go_in_band)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL | VHOST_BIT(VHOST_F_INBAND_NOTIFICATIONS));
    uint8_t message[VHOST_HEADER_BYTES + 8];
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert(vc_do_fds(c, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1));
    close(pair[1]);
    c->channel = pair[0];
    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    cr_assert(vc_give_memory(c));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_NUM, 0, VC_NUM));
    cr_assert(vc_set_addr(c, 0, vc_ring_user(0), 0, 0));
    cr_assert(vc_do_state(c, VHOST_USER_SET_VRING_ENABLE, 0, 1));
    cr_assert_not(c->server->rings[0].running);
    vc_feed(c, "band");
    vc_add(c, 0, VC_GUEST + VC_DATA, 4, true);
    cr_assert(vc_do_state(c, VHOST_USER_VRING_KICK, 0, 0));
    vc_run(c);

    cr_assert_arr_eq(c->ram + VC_DATA, "band", 4);
    cr_assert_eq(recv(c->channel, message, sizeof(message), MSG_DONTWAIT),
                 (ssize_t)sizeof(message));
    cr_assert_eq(server_get32(message), VHOST_BACKEND_VRING_CALL);
    cr_assert_eq(server_get32(message + 4), VHOST_VERSION);
    cr_assert_eq(server_get32(message + 12), 0);
    vc_free(c);
}

Test(vhost_user, broken_ring_is_told_by_its_error_descriptor)
{
    VhostClient *c = rng_client(0, NULL);
    int err = -1;
    uint64_t count;

    cr_assert(vc_give_event(c, VHOST_USER_SET_VRING_ERR, 0, &err));
    devemu_put_le16(vc_ring(c, 0) + 0x800 + 2, 1000); /* an available idx that jumps */
    vc_feed(c, "x");
    vc_kick(c, 0);

    cr_assert_eq(read(err, &count, sizeof(count)), (ssize_t)sizeof(count));
    close(err);
    vc_free(c);
}

/* --- status and resets ------------------------------------------------------------- */

Test(vhost_user, status_is_kept_and_zero_stops_the_rings)
{
    VhostClient *c = vc_new_rng(NULL, VC_PROTOCOL | VHOST_BIT(VHOST_F_STATUS));

    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    cr_assert(vc_do_u64(c, VHOST_USER_SET_STATUS, 11));
    cr_assert_eq(vc_ask_u64(c, VHOST_USER_GET_STATUS), 11);
    cr_assert(vc_give_memory(c));
    vc_start_ring(c, 0, 0);
    cr_assert(c->server->rings[0].running);

    cr_assert(vc_do_u64(c, VHOST_USER_SET_STATUS, 0));
    cr_assert_not(c->server->rings[0].running);
    cr_assert_eq(vc_ask_u64(c, VHOST_USER_GET_STATUS), 0);
    vc_free(c);
}

Test(vhost_user, reset_device_disables_and_forgets)
{
    VhostClient *c = rng_client(0, NULL);

    cr_assert(vc_do(c, VHOST_USER_RESET_DEVICE, NULL, 0));
    cr_assert_not(c->server->rings[0].running);
    cr_assert_not(c->server->rings[0].enabled);
    cr_assert_eq(devemu_virtio_read(c->server->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1), 0);

    /* And it can be used anew. */
    memset(vc_ring(c, 0), 0, VC_RING_BYTES);
    c->avail[0] = c->used[0] = 0;
    cr_assert(vc_do_u64(c, VHOST_USER_SET_FEATURES, VC_FEATURES));
    vc_start_ring(c, 0, 0);
    vc_feed(c, "anew");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 4);
    vc_free(c);
}

Test(vhost_user, next_client_finds_the_device_as_the_first_did)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    DevemuChr *chr;
    g_autofree char *path = g_strdup_printf("vhost-%d.sock", (int)getpid());
    struct sockaddr_un {
        sa_family_t family;
        char path[108];
    } address = {AF_UNIX, ""};
    DevemuVhostUser *server = devemu_vhost_user_new(vc_rng(NULL, &chr), path, context, NULL);

    cr_assert_not_null(server);
    g_strlcpy(address.path, path, sizeof(address.path));
    for (unsigned i = 0; i < 10; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        /* Rubbish, or nothing at all. */
        cr_assert_eq(send(fd, "GET / HTTP/1.0\r\n\r\n", i % 2 ? 18 : 3, MSG_NOSIGNAL),
                     i % 2 ? 18 : 3);
        close(fd);
        while (g_main_context_iteration(context, FALSE)) {
        }
        cr_assert_eq(server->socket.client, -1);
    }
    devemu_vhost_user_free(server);
    devemu_chr_free(chr);
}

/* The option "spin": a buffer is seen without a kick, for a while behind one with a kick. */
Test(vhost_user, ring_is_looked_at_for_a_while_after_a_kick)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    DevemuChr *chr;
    VhostClient *c = vc_new_on(vc_rng(NULL, &chr), ",spin=1000000", context);
    uint32_t id, len;

    c->chr = chr;
    cr_assert(vc_do_u64(c, VHOST_USER_SET_PROTOCOL_FEATURES, VC_PROTOCOL));
    vc_start(c, 0);
    vc_feed(c, "kick");
    cr_assert_eq(vc_fetch(c, 0, VC_GUEST + VC_DATA, 4), 4);
    cr_assert(c->server->spinning);
    cr_assert_eq(devemu_le16(vc_ring(c, 0) + 0x1000), 1, "the driver is to kick");

    vc_feed(c, "seen");
    vc_add(c, 0, VC_GUEST + VC_DATA, 4, true);
    vc_run(c);
    cr_assert(vc_used(c, 0, &id, &len));
    cr_assert_arr_eq(c->ram + VC_DATA, "seen", 4);
    vc_free(c);
}
