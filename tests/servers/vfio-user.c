/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c: the vfio-user server by its messages: negotiation, what the device is, accesses to
 * regions, and a stream that is not what it should be. "spec" is QEMU's
 * docs/interop/vfio-user.rst; "rule N" what QEMU 11.1 was seen to need, docs/vfio-user.md.
 */
#define _GNU_SOURCE
#include "../buses/pci/toy.h"
#include "vfio-client.h"

#define BAR0   VFIO_REGION_BAR0
#define ROM    VFIO_REGION_ROM
#define CONFIG VFIO_REGION_CONFIG

static Client *toy_client(void)
{
    Client *c = client_ready(make(&toy_model, NULL));

    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    return c;
}

/* --- version (spec "VFIO_USER_VERSION") -------------------------------------------- */

static void expect_version(const char *json, bool good)
{
    Client *c = client_new(make(&toy_model, NULL), "");
    uint8_t payload[512] = {0};
    size_t len = strlen(json) + 1;

    memcpy(payload + 4, json, len);
    client_send(c, VFIO_USER_VERSION, 0, payload, 4 + len, NULL, 0);
    if (good) {
        client_receive(c);
        cr_assert_eq(server_get32(c->reply + 8), VFIO_TYPE_REPLY, "%s", json);
    } else {
        cr_assert(client_closed(c), "%s", json);
        cr_assert_not_null(strstr(c->log->str, "not JSON"));
    }
    client_free(c);
}

Test(vfio_user, version_is_answered_with_ours_and_capabilities)
{
    Client *c = client_new(make(&toy_model, NULL), "");

    cr_assert_eq(client_version(c, "{\"capabilities\":{\"max_msg_fds\":8}}"), 0);

    cr_assert_eq(server_get16(client_payload(c)), 0);
    cr_assert_eq(server_get16(client_payload(c) + 2), 0);
    cr_assert_eq(c->reply[c->reply_len - 1], 0);
    cr_assert_str_eq((const char *)client_payload(c) + 4,
                     "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
                     "\"max_dma_maps\":65535,\"pgsizes\":4096}}");
    cr_assert_eq(c->server->peer.max_fds, 8);
    cr_assert_eq(c->server->peer.max_xfer, 1048576);
    client_free(c);
}

Test(vfio_user, version_without_capabilities_means_one_descriptor)
{
    Client *c = client_new(make(&toy_model, NULL), "");

    cr_assert_eq(client_version(c, NULL), 0);

    cr_assert_eq(c->server->peer.max_fds, 1);
    client_free(c);
}

Test(vfio_user, a_higher_minor_version_gets_ours)
{
    Client *c = client_new(make(&toy_model, NULL), "");
    uint8_t payload[4] = {0, 0, 9, 0};

    cr_assert_eq(client_ask(c, VFIO_USER_VERSION, payload, 4), 0);

    cr_assert_eq(server_get16(client_payload(c) + 2), 0);
    client_free(c);
}

Test(vfio_user, another_major_version_ends_the_connection)
{
    Client *c = client_new(make(&toy_model, NULL), "");
    uint8_t payload[4] = {1, 0, 0, 0};

    client_send(c, VFIO_USER_VERSION, 0, payload, 4, NULL, 0);

    cr_assert(client_closed(c));
    cr_assert_not_null(strstr(c->log->str, "version 1 of the protocol"));
    client_free(c);
}

Test(vfio_user, a_second_version_is_refused_and_changes_nothing)
{
    Client *c = client_ready(make(&toy_model, NULL));

    cr_assert_eq(client_version(c, "{\"capabilities\":{\"max_msg_fds\":9}}"), EINVAL);

    cr_assert_eq(c->server->peer.max_fds, 1);
    client_free(c);
}

Test(vfio_user, capabilities_may_be_any_json)
{
    expect_version("{}", true);
    expect_version(" { \"capabilities\" : { } } ", true);
    expect_version("{\"capabilities\":{\"a\":[1,-2.5e3,{\"b\":null}],\"c\":\"x\\\"}\"},\"d\":true}",
                   true);
    expect_version("[]", true);
    expect_version("{\"capabilities\":{\"max_msg_fds\":1.5}}", true);
}

Test(vfio_user, capabilities_that_are_no_json_end_the_connection)
{
    expect_version("{", false);
    expect_version("{\"a\"}", false);
    expect_version("{\"a\":}", false);
    expect_version("{\"a\":1,}", false);
    expect_version("{\"a\":1]", false);
    expect_version("{\"a\":-}", false);
    expect_version("{\"a\":\"x}", false);
    expect_version("{\"a\\", false);
    expect_version("{} {}", false);
    expect_version("nonsense", false);
    expect_version("[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]", false);
}

Test(vfio_user, capabilities_without_their_nul_end_the_connection)
{
    Client *c = client_new(make(&toy_model, NULL), "");

    client_send(c, VFIO_USER_VERSION, 0, "\0\0\0\0{}", 6, NULL, 0);

    cr_assert(client_closed(c));
    client_free(c);
}

Test(vfio_user, write_multi_is_offered_to_those_who_ask_where_the_option_says_so)
{
    static const char wish[] = "{\"capabilities\":{\"write_multiple\":true}}";
    Client *c = client_new(make(&toy_model, NULL), ",write-multiple=on");
    Client *d = client_new(make(&toy_model, NULL), ",write-multiple=on");
    Client *e = client_new(make(&toy_model, NULL), "");

    client_version(c, wish);
    cr_assert_not_null(strstr((const char *)client_payload(c) + 4, "\"write_multiple\":true"));
    client_version(d, "{}");
    cr_assert_null(strstr((const char *)client_payload(d) + 4, "write_multiple"));
    client_version(e, wish);
    cr_assert_null(strstr((const char *)client_payload(e) + 4, "write_multiple"));
    client_free(c);
    client_free(d);
    client_free(e);
}

/* --- information ------------------------------------------------------------------- */

Test(vfio_user, device_info_is_pci_with_reset_nine_regions_five_interrupt_types)
{
    Client *c = client_ready(make(&toy_model, NULL));
    uint8_t payload[16] = {16};

    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_INFO, payload, 16), 0);

    cr_assert_eq(server_get32(client_payload(c)), 16);
    cr_assert_eq(server_get32(client_payload(c) + 4), 3);
    cr_assert_eq(server_get32(client_payload(c) + 8), 9);
    cr_assert_eq(server_get32(client_payload(c) + 12), 5);
    payload[0] = 15;
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_INFO, payload, 16), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_INFO, payload, 15), EINVAL);
    client_free(c);
}

static void expect_region(Client *c, unsigned region, uint64_t size, unsigned flags)
{
    uint8_t payload[32] = {32};

    server_put32(payload + 8, region);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_REGION_INFO, payload, 32), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 32);
    cr_assert_eq(server_get32(client_payload(c)), 32);
    cr_assert_eq(server_get32(client_payload(c) + 4), flags, "region %u", region);
    cr_assert_eq(server_get32(client_payload(c) + 8), region);
    cr_assert_eq(server_get32(client_payload(c) + 12), 0);
    cr_assert_eq(server_get64(client_payload(c) + 16), size, "region %u", region);
}

Test(vfio_user, region_info_answers_for_all_regions)
{
    uint8_t image[3000] = {0x55, 0xaa};
    DevemuSetting setting = {"rom", NULL, image, sizeof(image)};
    Client *c = client_ready(devemu_device_new_with(&toy_model, &setting, 1, NULL));
    Client *d = client_ready(make(&toy_full_model, NULL));

    expect_region(c, 0, 0x20, 3);
    expect_region(c, 1, 0x1000, 3);
    expect_region(c, 2, 0, 0);
    expect_region(c, ROM, 4096, 1);
    expect_region(c, CONFIG, 256, 3);
    expect_region(c, VFIO_REGION_VGA, 0, 0);
    expect_region(d, 1, 4096, 3);
    expect_region(d, 2, 0x1000, 3);
    expect_region(d, 3, 0, 0);
    expect_region(d, ROM, 0, 0);
    client_free(c);
    client_free(d);
}

Test(vfio_user, region_info_of_what_is_not_there_is_an_error)
{
    Client *c = client_ready(make(&toy_model, NULL));
    uint8_t payload[32] = {32};

    server_put32(payload + 8, 9);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_REGION_INFO, payload, 32), EINVAL);
    server_put32(payload + 8, UINT32_MAX);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_REGION_INFO, payload, 32), EINVAL);
    server_put32(payload + 8, 0);
    payload[0] = 31;
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_REGION_INFO, payload, 32), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_REGION_INFO, payload, 31), EINVAL);
    client_free(c);
}

/* --- regions ----------------------------------------------------------------------- */

Test(vfio_user, configuration_space_is_read_whole_in_one_message)
{
    Client *c = client_ready(make(&toy_model, NULL));

    cr_assert_eq(client_read_bytes(c, CONFIG, 0, 256), 0);

    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 16 + 256);
    cr_assert_eq(devemu_le32(client_payload(c) + 16), 0x56781234);
    cr_assert_eq(client_payload(c)[16 + TOY_CONFIG_BYTE], 0x5a);
    cr_assert_eq(client_payload(c)[16 + 0x3d], 1);
    client_free(c);
}

Test(vfio_user, configuration_writes_are_filtered_by_the_function)
{
    Client *c = client_ready(make(&toy_model, NULL));

    client_write(c, CONFIG, 0, 4, 0xffffffff);
    client_write(c, CONFIG, REG_BAR(0), 4, 0xffffffff);

    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    cr_assert_eq(client_read(c, CONFIG, REG_BAR(0), 4), 0xffffffe1);
    client_free(c);
}

Test(vfio_user, bars_answer_once_they_decode_and_are_ones_before)
{
    Client *c = client_ready(make(&toy_model, NULL));

    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0xffffffff);
    client_write(c, CONFIG, REG_COMMAND, 2, 3);
    client_write(c, BAR0, TOY_VALUE, 4, 0x12345678);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0x12345678);
    cr_assert_eq(client_read(c, 1, 0x10, 4), 0xa4);
    client_free(c);
}

Test(vfio_user, a_width_that_the_device_refuses_is_split)
{
    Client *c = toy_client();

    /* VALUE and LINE ... are registers of four and one bytes side by side. */
    client_write(c, BAR0, TOY_ADDR, 8, UINT64_C(0x1111222233334444));
    cr_assert_eq(client_read(c, BAR0, TOY_ADDR, 4), 0x33334444);
    cr_assert_eq(client_read(c, BAR0, TOY_ADDR, 8) & 0xffffffff, 0x33334444);
    client_free(c);
}

Test(vfio_user, the_reply_to_an_access_repeats_its_place_and_count)
{
    Client *c = toy_client();
    uint8_t payload[24];
    size_t len = write_payload(payload, BAR0, TOY_VALUE, 4, 1);

    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE, payload, len), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 16);
    cr_assert_arr_eq(client_payload(c), payload, 16);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_READ, payload, 16), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 16 + 4);
    cr_assert_arr_eq(client_payload(c), payload, 16);
    client_free(c);
}

Test(vfio_user, accesses_beyond_a_region_are_errors)
{
    Client *c = toy_client();
    uint8_t payload[24];
    size_t len = write_payload(payload, BAR0, TOY_VALUE, 4, 1);

    cr_assert_eq(client_read_bytes(c, BAR0, 0x20, 1), EINVAL);
    cr_assert_eq(client_read_bytes(c, BAR0, 0x1f, 2), EINVAL);
    cr_assert_eq(client_read_bytes(c, BAR0, UINT64_MAX, 2), EINVAL);
    cr_assert_eq(client_read_bytes(c, BAR0, 0, 0), EINVAL);
    cr_assert_eq(client_read_bytes(c, 2, 0, 4), EINVAL);
    cr_assert_eq(client_read_bytes(c, 9, 0, 4), EINVAL);
    cr_assert_eq(client_read_bytes(c, UINT32_MAX, 0, 4), EINVAL);
    cr_assert_eq(client_read_bytes(c, CONFIG, 0, VFIO_MAX_XFER + 1), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_READ, payload, 15), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE, payload, len - 1), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE, payload, len + 1), EINVAL);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0);
    client_free(c);
}

Test(vfio_user, rom_is_read_whether_or_not_it_is_enabled_and_cannot_be_written)
{
    uint8_t image[3000];
    DevemuSetting setting = {"rom", NULL, image, sizeof(image)};
    Client *c;

    for (size_t i = 0; i < sizeof(image); i++) {
        image[i] = (uint8_t)(i * 7);
    }
    c = client_ready(devemu_device_new_with(&toy_model, &setting, 1, NULL));
    client_write(c, ROM, 0, 4, 0);
    cr_assert_eq(client_read_bytes(c, ROM, 0, 4096), 0);
    cr_assert_arr_eq(client_payload(c) + 16, image, sizeof(image));
    cr_assert_eq(client_payload(c)[16 + 3000], 0xff);
    cr_assert_eq(client_payload(c)[16 + 4095], 0xff);
    /* QEMU sizes it through configuration space. */
    client_write(c, CONFIG, REG_ROM, 4, 0xfffff800);
    cr_assert_eq(client_read(c, CONFIG, REG_ROM, 4), 0xfffff000);
    client_free(c);
}

/* --- posted writes ----------------------------------------------------------------- */

Test(vfio_user, posted_writes_are_done_in_order_before_the_read_behind_them)
{
    Client *c = toy_client();
    uint64_t before = c->server->messages;

    for (unsigned i = 1; i <= 1000; i++) {
        client_post(c, BAR0, TOY_VALUE, 4, i);
    }
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 1000);
    cr_assert_eq(c->server->messages, before + 1001);
    client_free(c);
}

Test(vfio_user, many_posted_writes_are_one_receive)
{
    Client *c = toy_client();

    for (unsigned i = 1; i <= 100; i++) {
        client_post(c, BAR0, TOY_VALUE, 4, i);
    }
    g_main_context_iteration(c->context, FALSE);

    cr_assert_eq(
        ((struct toy *)devemu_device_state(devemu_device_child(c->server->function, 0)))->value,
        100);
    client_free(c);
}

Test(vfio_user, a_posted_write_that_is_refused_has_no_reply)
{
    Client *c = toy_client();

    client_post(c, BAR0, 0x1000, 4, 1);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0);
    client_free(c);
}

Test(vfio_user, a_read_that_wants_no_reply_is_not_done)
{
    Client *c = toy_client();
    uint8_t payload[16];

    access_payload(payload, BAR0, TOY_VALUE, 4);
    client_send(c, VFIO_USER_REGION_READ, VFIO_FLAG_NO_REPLY, payload, 16, NULL, 0);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0);
    client_free(c);
}

static void put_write(uint8_t *to, unsigned region, uint64_t at, unsigned size, uint64_t value)
{
    access_payload(to, region, at, size);
    devemu_put_le64(to + 16, value);
}

Test(vfio_user, write_multi_does_all_in_order_or_none)
{
    Client *c = toy_client();
    uint8_t payload[8 + 3 * 24];

    server_put64(payload, 3);
    put_write(payload + 8, BAR0, TOY_VALUE, 4, 1);
    put_write(payload + 32, BAR0, TOY_ADDR, 4, 2);
    put_write(payload + 56, BAR0, TOY_VALUE, 4, 3);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE_MULTI, payload, sizeof(payload)), 0);
    cr_assert_eq(server_get64(client_payload(c)), 3);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 3);
    cr_assert_eq(client_read(c, BAR0, TOY_ADDR, 4), 2);

    put_write(payload + 8, BAR0, TOY_VALUE, 4, 9);
    put_write(payload + 56, BAR0, 0x1f, 4, 9);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE_MULTI, payload, sizeof(payload)), EINVAL);
    put_write(payload + 56, BAR0, TOY_VALUE, 9, 9);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE_MULTI, payload, sizeof(payload)), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE_MULTI, payload, sizeof(payload) - 1), EINVAL);
    server_put64(payload, UINT64_MAX / 24 + 2);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE_MULTI, payload, sizeof(payload)), EINVAL);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 3);
    client_free(c);
}

/* --- reset ------------------------------------------------------------------------- */

Test(vfio_user, device_reset_resets_function_and_model)
{
    Client *c = toy_client();
    struct toy *toy = devemu_device_state(devemu_device_child(c->server->function, 0));

    client_write(c, BAR0, TOY_VALUE, 4, 5);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_RESET, NULL, 0), 0);

    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES);
    cr_assert_eq(toy->resets, 1);
    cr_assert_eq(client_read(c, CONFIG, REG_COMMAND, 2), 0);
    client_free(c);
}

Test(vfio_user, function_level_reset_comes_as_a_configuration_write)
{
    Client *c = client_ready(make(&toy_full_model, NULL));
    struct toy *toy = devemu_device_state(devemu_device_child(c->server->function, 0));
    unsigned at = (unsigned)client_read(c, CONFIG, 0x34, 1);

    while (at && client_read(c, CONFIG, at, 1) != 0x13) {
        at = (unsigned)client_read(c, CONFIG, at + 1, 1);
    }
    cr_assert_neq(at, 0);
    client_write(c, CONFIG, at + 4, 1, 1);
    cr_assert_eq(toy->resets, 1);
    client_free(c);
}

/* --- the stream -------------------------------------------------------------------- */

static void send_header(Client *c, unsigned command, uint32_t size, uint32_t flags)
{
    uint8_t header[VFIO_HEADER_BYTES] = {1};

    server_put16(header + 2, (uint16_t)command);
    server_put32(header + 4, size);
    server_put32(header + 8, flags);
    client_send_bytes(c, header, sizeof(header), NULL, 0);
}

static void expect_end(Client *c, const char *why)
{
    cr_assert(client_closed(c), "%s", why);
    cr_assert_not_null(strstr(c->log->str, why), "%s", c->log->str);
    cr_assert_eq(strchr(c->log->str, '\n'), c->log->str + c->log->len - 1, "more than one line");
    client_free(c);
}

Test(vfio_user, a_length_that_cannot_be_ends_the_connection)
{
    static const uint32_t lengths[] = {0, 1, 15, VFIO_MAX_MESSAGE + 1, 0x80000000, UINT32_MAX};

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        Client *c = client_ready(make(&toy_model, NULL));

        send_header(c, VFIO_USER_REGION_READ, lengths[i], 0);
        expect_end(c, "a message of");
    }
}

Test(vfio_user, a_message_before_version_ends_the_connection)
{
    Client *c = client_new(make(&toy_model, NULL), "");

    send_header(c, VFIO_USER_DEVICE_RESET, 16, 0);
    expect_end(c, "must be VERSION");
}

Test(vfio_user, a_message_of_no_type_ends_the_connection)
{
    Client *c = client_ready(make(&toy_model, NULL));

    send_header(c, VFIO_USER_DEVICE_RESET, 16, 7);
    expect_end(c, "a message of type 7");
}

Test(vfio_user, a_reply_that_was_not_asked_ends_the_connection)
{
    Client *c = client_ready(make(&toy_model, NULL));

    send_header(c, VFIO_USER_DMA_READ, 16, VFIO_TYPE_REPLY);
    expect_end(c, "a reply to command 11");
}

Test(vfio_user, unknown_commands_are_not_supported_and_the_stream_goes_on)
{
    static const unsigned unknown[] = {0, 11, 12, 14, 19, 255, 65535};
    Client *c = toy_client();

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        cr_assert_eq(client_ask(c, unknown[i], "some bytes", 10), ENOTSUP, "%u", unknown[i]);
    }
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0);
    client_free(c);
}

Test(vfio_user, a_message_may_come_byte_by_byte)
{
    Client *c = toy_client();
    uint8_t message[32] = {1};

    server_put16(message + 2, VFIO_USER_REGION_READ);
    server_put32(message + 4, 32);
    access_payload(message + 16, CONFIG, 0, 4);
    for (size_t i = 0; i < sizeof(message); i++) {
        client_send_bytes(c, message + i, 1, NULL, 0);
        client_run(c);
    }
    client_receive(c);
    cr_assert_eq(devemu_le32(client_payload(c) + 16), 0x56781234);
    client_free(c);
}

Test(vfio_user, the_longest_message_is_taken_between_short_ones)
{
    Client *c = toy_client();
    g_autofree uint8_t *payload = g_malloc0(16 + VFIO_MAX_XFER);

    access_payload(payload, 1, 0, VFIO_MAX_XFER);
    client_post(c, BAR0, TOY_VALUE, 4, 77);
    cr_assert_eq(client_ask(c, VFIO_USER_REGION_WRITE, payload, 16 + VFIO_MAX_XFER), EINVAL);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 77);
    client_free(c);
}

Test(vfio_user, replies_come_in_order_with_the_numbers_of_their_commands)
{
    Client *c = toy_client();
    uint16_t first = (uint16_t)(c->id + 1);
    uint8_t payload[16];

    access_payload(payload, CONFIG, 0, 4);
    for (unsigned i = 0; i < 50; i++) {
        client_send(c, VFIO_USER_REGION_READ, 0, payload, 16, NULL, 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        client_receive(c);
        cr_assert_eq(server_get16(c->reply), (uint16_t)(first + i));
    }
    client_free(c);
}

/* Output is bounded: a client that asks and never reads is not asked to any more. */
Test(vfio_user, a_client_that_does_not_read_is_not_read_from)
{
    Client *c = toy_client();
    uint8_t message[32] = {1};
    unsigned sent = 0;

    server_put16(message + 2, VFIO_USER_REGION_READ);
    server_put32(message + 4, 32);
    access_payload(message + 16, 1, 0, 4096);
    for (unsigned quiet = 0; quiet < 3;) {
        if (send(c->fd, message, sizeof(message), MSG_DONTWAIT) == sizeof(message)) {
            sent++;
            quiet = 0;
        } else {
            quiet++;
        }
        cr_assert_lt(sent, 100000);
        client_run(c);
    }
    cr_assert(c->server->loop.stalled);
    cr_assert_leq(c->server->stream.out_size, VFIO_OUT_LIMIT + 4096 + 32);
    for (unsigned i = 0; i < sent; i++) {
        client_receive(c);
        cr_assert_eq(c->reply_len, 32 + 4096);
    }
    cr_assert_not(c->server->loop.stalled);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0);
    client_free(c);
}

Test(vfio_user, descriptors_nobody_wants_are_closed)
{
    Client *c = toy_client();
    Memory memory = memory_new(4096, 0);
    int fds[VFIO_MAX_FDS];
    int before, after;

    for (unsigned i = 0; i < VFIO_MAX_FDS; i++) {
        fds[i] = memory.fd;
    }
    before = dup(memory.fd);
    cr_assert_eq(client_ask_fds(c, VFIO_USER_DEVICE_RESET, NULL, 0, fds, VFIO_MAX_FDS), 0);
    after = dup(memory.fd);
    cr_assert_eq(after, before + 1);
    client_free(c);
}

Test(vfio_user, more_descriptors_than_allowed_end_the_connection)
{
    Client *c = toy_client();
    Memory memory = memory_new(4096, 0);
    int fds[VFIO_MAX_FDS + 1];

    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = memory.fd;
    }
    client_send(c, VFIO_USER_DEVICE_RESET, 0, NULL, 0, fds, G_N_ELEMENTS(fds));
    expect_end(c, "more than 16 file descriptors");
}

/* A receive may hold several messages and the descriptors of the last. */
Test(vfio_user, descriptors_go_with_the_message_that_they_came_with)
{
    Client *c = toy_client();
    Memory memory = memory_new(8192, 0);
    uint8_t payload[32] = {0};

    client_post(c, BAR0, TOY_VALUE, 4, 1);
    server_put32(payload, 32);
    server_put32(payload + 4, 3);
    server_put64(payload + 24, 4096);
    client_send(c, VFIO_USER_DMA_MAP, 0, payload, 32, &memory.fd, 1);
    server_put64(payload + 16, 4096);
    client_send(c, VFIO_USER_DMA_MAP, 0, payload, 32, NULL, 0);
    client_receive(c);
    client_receive(c);

    cr_assert_not_null(vfio_map_find(c->server, 0)->data);
    cr_assert_null(vfio_map_find(c->server, 4096)->data);
    client_free(c);
}
