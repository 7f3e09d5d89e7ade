/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-migration.c: the states of a migration, its data, and the log of dirty pages. "spec" is
 * QEMU's docs/interop/vfio-user.rst, "vfio.h" Linux' include/uapi/linux/vfio.h.
 */
#define _GNU_SOURCE
#include "../buses/pci/toy.h"
#include "vfio-client.h"

#define BAR0   VFIO_REGION_BAR0
#define CONFIG VFIO_REGION_CONFIG

enum {
    GET = 1 << 16,
    SET = 1 << 17,
    PROBE = 1 << 18,
    MIGRATION = 1,
    DEVICE_STATE = 2,
    LOGGING_START = 6,
    LOGGING_STOP = 7,
    LOGGING_REPORT = 8,

    PAGE = 4096,
    RAM_AT = 0x100000,
    RAM_LEN = 0x100000,
};

/* --- helpers ----------------------------------------------------------------------- */

static int feature(Client *c, uint32_t flags, uint32_t argsz, const void *data, size_t len)
{
    uint8_t payload[8 + 8192] = {0};

    server_put32(payload, argsz);
    server_put32(payload + 4, flags);
    if (len) {
        memcpy(payload + 8, data, len);
    }
    return client_ask(c, VFIO_USER_DEVICE_FEATURE, payload, 8 + len);
}

static int set_state(Client *c, uint32_t state)
{
    uint8_t data[8] = {0};

    server_put32(data, state);
    return feature(c, SET | DEVICE_STATE, 16, data, 8);
}

static uint32_t get_state(Client *c)
{
    cr_assert_eq(feature(c, GET | DEVICE_STATE, 16, NULL, 0), 0);
    return server_get32(client_payload(c) + 8);
}

static int read_data(Client *c, uint32_t argsz, uint32_t size)
{
    uint8_t payload[8];

    server_put32(payload, argsz);
    server_put32(payload + 4, size);
    return client_ask(c, VFIO_USER_MIG_DATA_READ, payload, 8);
}

static int write_data(Client *c, const void *data, uint32_t size)
{
    g_autofree uint8_t *payload = g_malloc0(8 + (size_t)size);

    server_put32(payload, 8 + size);
    server_put32(payload + 4, size);
    if (size) {
        memcpy(payload + 8, data, size);
    }
    return client_ask(c, VFIO_USER_MIG_DATA_WRITE, payload, 8 + (size_t)size);
}

/* All that there is to read now, in pieces of `piece` bytes. */
static void drain(Client *c, GByteArray *stream, uint32_t piece)
{
    uint32_t got;

    do {
        cr_assert_eq(read_data(c, 8 + piece, piece), 0);
        got = server_get32(client_payload(c) + 4);
        cr_assert_leq(got, piece);
        cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 8 + got);
        g_byte_array_append(stream, client_payload(c) + 8, got);
    } while (got == piece);
}

/* The stream of a device that is stopped for it. */
static GByteArray *saved(Client *c)
{
    GByteArray *stream = g_byte_array_new();

    cr_assert_eq(set_state(c, VFIO_STATE_STOP_COPY), 0);
    drain(c, stream, 100);
    return stream;
}

static void load(Client *c, const uint8_t *data, size_t len)
{
    cr_assert_eq(set_state(c, VFIO_STATE_RESUMING), 0);
    for (size_t at = 0; at < len; at += 37) {
        cr_assert_eq(write_data(c, data + at, (uint32_t)MIN(37, len - at)), 0);
    }
}

/* A toy that decodes and may use the bus. */
static Client *toy_client(const DevemuModel *model)
{
    Client *c = client_ready(make(model, NULL));

    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    return c;
}

/* --- features ---------------------------------------------------------------------- */

Test(vfio_user_migration, stop_copy_and_pre_copy_are_offered)
{
    Client *c = toy_client(&toy_model);

    cr_assert_eq(feature(c, GET | MIGRATION, 16, NULL, 0), 0);

    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 16);
    cr_assert_eq(server_get32(client_payload(c)), 16);
    cr_assert_eq(server_get64(client_payload(c) + 8), 5);
    cr_assert_eq(get_state(c), VFIO_STATE_RUNNING);
    client_free(c);
}

Test(vfio_user_migration, probes_answer_for_exactly_what_there_is)
{
    static const struct {
        uint32_t flags;
        int error;
    } cases[] = {
        {PROBE | GET | MIGRATION, 0},
        {PROBE | SET | MIGRATION, EINVAL},
        {PROBE | GET | SET | DEVICE_STATE, 0},
        {PROBE | SET | LOGGING_START, 0},
        {PROBE | GET | LOGGING_START, EINVAL},
        {PROBE | SET | LOGGING_STOP, 0},
        {PROBE | GET | LOGGING_REPORT, 0},
        {PROBE | SET | LOGGING_REPORT, EINVAL},
        {PROBE | MIGRATION, 0},
        {PROBE | GET | 3, ENOTTY},
        {GET | 0, ENOTTY},
        {GET | 0xffff, ENOTTY},
        {GET | SET | DEVICE_STATE, EINVAL},
        {DEVICE_STATE, EINVAL},
        {1 << 19 | GET | DEVICE_STATE, EINVAL},
        {SET | DEVICE_STATE, EINVAL},
    };
    Client *c = toy_client(&toy_model);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        cr_assert_eq(feature(c, cases[i].flags, 64, NULL, 0), cases[i].error, "case %zu", i);
    }
    client_free(c);
}

Test(vfio_user_migration, get_without_room_says_what_it_needs)
{
    Client *c = toy_client(&toy_model);

    cr_assert_eq(feature(c, GET | DEVICE_STATE, 8, NULL, 0), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 8);
    cr_assert_eq(server_get32(client_payload(c)), 16);
    cr_assert_eq(feature(c, GET | DEVICE_STATE, 7, NULL, 0), EINVAL);
    client_free(c);
}

/* --- states ------------------------------------------------------------------------ */

/* spec "Direct State Transitions", "Complex State Transitions". RESUMING is left with nothing
 * loaded, so that way fails into ERROR. */
Test(vfio_user_migration, every_arc_is_as_the_specification_has_it)
{
    static const uint32_t states[] = {VFIO_STATE_STOP, VFIO_STATE_RUNNING, VFIO_STATE_STOP_COPY,
                                      VFIO_STATE_RESUMING, VFIO_STATE_PRE_COPY};

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        for (uint32_t to = 0; to < 9; to++) {
            Client *c = toy_client(&toy_model);
            bool known = to >= 1 && to <= 6 && to != 5;
            bool ok = known && !(states[i] == VFIO_STATE_STOP_COPY && to == VFIO_STATE_PRE_COPY);
            bool error = known && states[i] == VFIO_STATE_RESUMING && to != VFIO_STATE_RESUMING;

            cr_assert_eq(set_state(c, states[i]), 0);
            cr_assert_eq(set_state(c, to), ok && !error ? 0 : EINVAL, "%u to %u", states[i], to);
            cr_assert_eq(get_state(c), error ? VFIO_STATE_ERROR : ok ? to : states[i]);
            client_free(c);
        }
    }
}

Test(vfio_user_migration, only_a_reset_leaves_the_error_state)
{
    Client *c = toy_client(&toy_model);

    client_write(c, BAR0, TOY_VALUE, 4, 0x1234);
    cr_assert_eq(set_state(c, VFIO_STATE_RESUMING), 0);
    cr_assert_eq(set_state(c, VFIO_STATE_STOP), EINVAL);
    for (uint32_t to = 0; to < 9; to++) {
        cr_assert_eq(set_state(c, to), EINVAL);
    }
    cr_assert_eq(get_state(c), VFIO_STATE_ERROR);

    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_RESET, NULL, 0), 0);

    cr_assert_eq(get_state(c), VFIO_STATE_RUNNING);
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0);
    client_write(c, BAR0, TOY_VALUE, 4, 7);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 7);
    client_free(c);
}

Test(vfio_user_migration, the_next_client_finds_a_running_device)
{
    Client *c = toy_client(&toy_model);

    cr_assert_eq(set_state(c, VFIO_STATE_RESUMING), 0);
    cr_assert_eq(write_data(c, "x", 1), 0);
    shutdown(c->fd, SHUT_RDWR);
    client_run(c);
    cr_assert_eq(c->server->migration.state, VFIO_STATE_RUNNING);
    cr_assert_eq(c->server->migration.stream->len, 0);
    client_free(c);
}

/* --- while it is stopped ----------------------------------------------------------- */

/* vfio.h: it must not generate interrupts, DMA, or change its state; configuration space stays. */
Test(vfio_user_migration, a_stopped_device_does_nothing)
{
    Client *c = toy_client(&toy_model);
    Memory ram = memory_new(RAM_LEN, F_SEAL_SHRINK);
    int event = event_new();

    cr_assert_eq(client_map(c, RAM_AT, RAM_LEN, ram.fd, 0, 3), 0);
    cr_assert_eq(client_irqs(c, 1 << 2 | 1 << 5, 0, 0, 1, &event, 1), 0);
    client_write(c, BAR0, TOY_VALUE, 4, 0x1234);
    client_write(c, BAR0, TOY_ADDR, 4, RAM_AT);
    cr_assert_eq(set_state(c, VFIO_STATE_STOP), 0);

    client_write(c, BAR0, TOY_VALUE, 4, 0x5678);
    client_write(c, BAR0, TOY_WRITE, 4, 0x5678);
    client_write(c, BAR0, TOY_LINE, 1, 1);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0xffffffff);
    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    client_write(c, CONFIG, 0x3c, 1, 11);
    cr_assert_eq(client_read(c, CONFIG, 0x3c, 1), 11);

    cr_assert_eq(set_state(c, VFIO_STATE_RUNNING), 0);
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 0x1234);
    cr_assert_eq(devemu_le32(ram.data), 0);
    cr_assert_eq(event_count(event), 0);
    close(event);
    memory_free(&ram);
    client_free(c);
}

Test(vfio_user_migration, the_clock_stands_while_the_device_is_stopped)
{
    Client *c = toy_client(&toy_model);
    uint64_t stopped_at;

    cr_assert_eq(set_state(c, VFIO_STATE_STOP), 0);
    stopped_at = vfio_device_now(c->server);
    for (unsigned i = 0; i < 100; i++) {
        client_read(c, CONFIG, 0, 4);
    }
    cr_assert_eq(vfio_device_now(c->server), stopped_at);
    cr_assert_eq(set_state(c, VFIO_STATE_RUNNING), 0);
    cr_assert_geq(vfio_device_now(c->server), stopped_at);
    cr_assert_lt(c->server->migration.clock_offset + server_now() - stopped_at, UINT64_C(1) << 62);
    client_free(c);
}

static unsigned heard, readies;

static size_t hear(void *state, const uint8_t *data, size_t len)
{
    (void)state;
    (void)data;
    heard++;
    return len;
}

static size_t can_hear(const void *state)
{
    (void)state;
    return 1;
}

static void net_ready(void *net)
{
    (void)net;
    readies++;
}

Test(vfio_user_migration, frames_wait_while_the_device_is_stopped)
{
    static const DevemuNetOps net = {.size = sizeof(net), .ready = net_ready};
    DevemuModel model = toy_model;
    DevemuDevice *dev;
    Client *c;

    model.receive = hear;
    model.ready = can_hear;
    dev = make(&model, NULL);
    devemu_device_attach_net(dev, &net, NULL);
    c = client_ready(dev);
    cr_assert_eq(devemu_device_receive(dev, "frame", 5), 5);

    cr_assert_eq(set_state(c, VFIO_STATE_STOP), 0);
    cr_assert_eq(devemu_device_ready(dev), 0);
    cr_assert_eq(devemu_device_receive(dev, "frame", 5), 0);
    cr_assert_eq(readies, 0);
    cr_assert_eq(set_state(c, VFIO_STATE_RUNNING), 0);

    cr_assert_eq(readies, 1);
    cr_assert_eq(devemu_device_receive(dev, "frame", 5), 5);
    cr_assert_eq(heard, 2);
    client_free(c);
}

/* --- data -------------------------------------------------------------------------- */

Test(vfio_user_migration, a_device_goes_on_elsewhere_as_it_was)
{
    Client *from = toy_client(&toy_model), *to = client_ready(make(&toy_model, NULL));
    int event = event_new();
    GByteArray *stream;
    uint64_t clock;

    client_write(from, BAR0, TOY_VALUE, 4, 0xcafe);
    client_write(from, BAR0, TOY_LINE, 1, 1);
    client_write(from, CONFIG, 0x3c, 1, 9);
    stream = saved(from);
    clock = vfio_device_now(from->server);

    load(to, stream->data, stream->len);
    cr_assert_eq(set_state(to, VFIO_STATE_STOP), 0);
    cr_assert_eq(vfio_device_now(to->server), clock);
    cr_assert_eq(client_irqs(to, 1 << 2 | 1 << 5, 0, 0, 1, &event, 1), 0);
    cr_assert_eq(event_count(event), 0, "stopped, it must not interrupt");
    cr_assert_eq(set_state(to, VFIO_STATE_RUNNING), 0);

    cr_assert_eq(event_count(event), 1, "the level that came with the state");
    cr_assert_eq(client_read(to, BAR0, TOY_VALUE, 4), 0xcafe);
    cr_assert_eq(client_read(to, CONFIG, 0x3c, 1), 9);
    g_byte_array_unref(stream);
    close(event);
    client_free(from);
    client_free(to);
}

Test(vfio_user_migration, a_pending_message_is_sent_where_the_device_goes_on)
{
    Client *from = toy_client(&toy_full_model), *to = client_ready(make(&toy_full_model, NULL));
    int events[2] = {event_new(), event_new()};
    GByteArray *stream;

    cr_assert_eq(client_irqs(from, 1 << 2 | 1 << 5, VFIO_IRQ_MSIX, 0, 2, events, 2), 0);
    /* Entry 1 of the table in BAR 1: masked, so the message waits in the PBA. */
    client_write(from, BAR0 + 1, 16, 4, 0x1000);
    client_write(from, BAR0 + 1, 28, 4, 1);
    client_write(from, BAR0, TOY_MSI, 1, 1);
    cr_assert_eq(event_count(events[1]), 0);
    stream = saved(from);

    load(to, stream->data, stream->len);
    cr_assert_eq(client_irqs(to, 1 << 2 | 1 << 5, VFIO_IRQ_MSIX, 0, 2, events, 2), 0);
    cr_assert_eq(set_state(to, VFIO_STATE_RUNNING), 0);
    cr_assert_eq(event_count(events[1]), 0);
    client_write(to, BAR0 + 1, 28, 4, 0);

    cr_assert_eq(event_count(events[1]), 1);
    g_byte_array_unref(stream);
    close(events[0]);
    close(events[1]);
    client_free(from);
    client_free(to);
}

Test(vfio_user_migration, pre_copy_names_the_model_and_stop_copy_goes_on_from_there)
{
    Client *from = toy_client(&toy_model), *to = toy_client(&toy_model);
    GByteArray *stream = g_byte_array_new();
    guint ahead;

    cr_assert_eq(set_state(from, VFIO_STATE_PRE_COPY), 0);
    drain(from, stream, 1000);
    ahead = stream->len;
    cr_assert_gt(ahead, 0);
    cr_assert_eq(memcmp(stream->data + ahead - 3, "toy", 3), 0);
    client_write(from, BAR0, TOY_VALUE, 4, 0xcafe); /* it runs */
    cr_assert_eq(set_state(from, VFIO_STATE_STOP_COPY), 0);
    drain(from, stream, 1000);
    cr_assert_gt(stream->len, ahead);

    load(to, stream->data, stream->len);
    cr_assert_eq(set_state(to, VFIO_STATE_RUNNING), 0);
    cr_assert_eq(client_read(to, BAR0, TOY_VALUE, 4), 0xcafe);
    g_byte_array_unref(stream);
    client_free(from);
    client_free(to);
}

Test(vfio_user_migration, data_moves_in_its_states_only_and_within_its_bounds)
{
    Client *c = toy_client(&toy_model);
    uint8_t payload[9] = {0};

    cr_assert_eq(read_data(c, 108, 100), EINVAL);
    cr_assert_eq(write_data(c, "x", 1), EINVAL);
    cr_assert_eq(set_state(c, VFIO_STATE_STOP_COPY), 0);
    cr_assert_eq(write_data(c, "x", 1), EINVAL);
    cr_assert_eq(read_data(c, 7, 0), EINVAL);
    cr_assert_eq(read_data(c, 107, 100), EINVAL);
    cr_assert_eq(read_data(c, UINT32_MAX, UINT32_MAX), EINVAL);
    cr_assert_eq(read_data(c, 8 + VFIO_MAX_XFER, VFIO_MAX_XFER), 0);
    cr_assert_eq(set_state(c, VFIO_STATE_RESUMING), 0);
    cr_assert_eq(read_data(c, 108, 100), EINVAL);
    server_put32(payload + 4, 2); /* two bytes, and one comes */
    cr_assert_eq(client_ask(c, VFIO_USER_MIG_DATA_WRITE, payload, 9), EINVAL);
    server_put32(payload + 4, UINT32_MAX);
    cr_assert_eq(client_ask(c, VFIO_USER_MIG_DATA_WRITE, payload, 9), EINVAL);
    client_free(c);
}

Test(vfio_user_migration, a_stream_longer_than_any_state_is_refused)
{
    Client *c = toy_client(&toy_model);
    g_autofree uint8_t *megabyte = g_malloc0(1 << 20);
    unsigned taken = 0;

    cr_assert_eq(set_state(c, VFIO_STATE_RESUMING), 0);
    while (taken < 100 && write_data(c, megabyte, 1 << 20) == 0) {
        taken++;
    }
    cr_assert_eq(taken, 64);
    cr_assert_eq(write_data(c, "x", 1), EFBIG);
    client_free(c);
}

/* What is cut off, longer, or of another model is refused whole: a reset finds the device alive,
 * and the right stream is taken then. */
Test(vfio_user_migration, a_wrong_stream_is_refused_whole)
{
    Client *from = toy_client(&toy_model), *to = toy_client(&toy_model);
    Client *other = toy_client(&toy_full_model);
    GByteArray *stream;

    client_write(from, BAR0, TOY_VALUE, 4, 0xcafe);
    stream = saved(from);
    for (guint len = 0; len < stream->len; len++) {
        load(to, stream->data, len);
        cr_assert_eq(set_state(to, VFIO_STATE_RUNNING), EINVAL, "cut at %u", len);
        cr_assert_eq(get_state(to), VFIO_STATE_ERROR);
        cr_assert_eq(client_ask(to, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    }
    load(other, stream->data, stream->len);
    cr_assert_eq(set_state(other, VFIO_STATE_STOP), EINVAL);
    g_byte_array_append(stream, (const guint8 *)"x", 1);
    load(to, stream->data, stream->len);
    cr_assert_eq(set_state(to, VFIO_STATE_STOP), EINVAL);
    cr_assert_eq(client_ask(to, VFIO_USER_DEVICE_RESET, NULL, 0), 0);

    load(to, stream->data, stream->len - 1);
    cr_assert_eq(set_state(to, VFIO_STATE_RUNNING), 0);
    cr_assert_eq(client_read(to, BAR0, TOY_VALUE, 4), 0xcafe);
    g_byte_array_unref(stream);
    client_free(from);
    client_free(to);
    client_free(other);
}

/* --- dirty pages ------------------------------------------------------------------- */

static int start_logging(Client *c, uint64_t page_size, uint32_t ranges, uint64_t addr,
                         uint64_t len)
{
    uint8_t data[16 + 16 * 300] = {0};

    server_put64(data, page_size);
    server_put32(data + 8, ranges);
    for (unsigned i = 0; i < MIN(ranges, 300); i++) {
        server_put64(data + 16 + 16 * i, addr);
        server_put64(data + 24 + 16 * i, len);
    }
    return feature(c, SET | LOGGING_START, 24, data, 16 + 16 * MIN(ranges, 300));
}

static int report(Client *c, uint64_t addr, uint64_t len, uint64_t page_size)
{
    uint8_t data[24];

    server_put64(data, addr);
    server_put64(data + 8, len);
    server_put64(data + 16, page_size);
    return feature(c, GET | LOGGING_REPORT, 2 << 20, data, 24);
}

static uint64_t bitmap(const Client *c, unsigned word)
{
    return server_get64(client_payload(c) + 8 + 24 + 8 * word);
}

static void dirty(Client *c, uint64_t addr)
{
    client_write(c, BAR0, TOY_ADDR, 4, addr);
    client_write(c, BAR0, TOY_WRITE, 4, 0x1234);
}

static Client *logged(Memory *ram)
{
    Client *c = toy_client(&toy_model);

    *ram = memory_new(RAM_LEN, F_SEAL_SHRINK);
    cr_assert_eq(client_map(c, RAM_AT, RAM_LEN, ram->fd, 0, 3), 0);
    dirty(c, RAM_AT + 7 * PAGE); /* through a window, which is taken away then */
    cr_assert_eq(start_logging(c, PAGE, 1, RAM_AT, RAM_LEN), 0);
    cr_assert_eq(server_get64(client_payload(c) + 8), PAGE);
    return c;
}

Test(vfio_user_migration, written_pages_are_reported_once)
{
    Memory ram;
    Client *c = logged(&ram);

    dirty(c, RAM_AT + 2 * PAGE);
    dirty(c, RAM_AT + 5 * PAGE - 2);
    dirty(c, RAM_AT + 255 * PAGE);

    cr_assert_eq(report(c, RAM_AT, RAM_LEN, PAGE), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 8 + 24 + 32);
    cr_assert_eq(bitmap(c, 0), 1 << 2 | 1 << 4 | 1 << 5);
    cr_assert_eq(bitmap(c, 3), UINT64_C(1) << 63);
    cr_assert_eq(report(c, RAM_AT, RAM_LEN, PAGE), 0);
    cr_assert_eq(bitmap(c, 0) | bitmap(c, 3), 0);
    cr_assert_eq(devemu_le32(ram.data + 2 * PAGE), 0x1234);
    memory_free(&ram);
    client_free(c);
}

/* vfio.h: "replicating bits if the internal page size is lower than requested", and what is not
 * reported whole stays dirty. */
Test(vfio_user_migration, reports_come_in_any_page_size)
{
    Memory ram;
    Client *c = logged(&ram);

    dirty(c, RAM_AT + 17 * PAGE);
    cr_assert_eq(report(c, RAM_AT, RAM_LEN, 16 * PAGE), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 8 + 24 + 8);
    cr_assert_eq(bitmap(c, 0), 2);
    cr_assert_eq(feature(c, SET | LOGGING_STOP, 8, NULL, 0), 0);

    cr_assert_eq(start_logging(c, 4 * PAGE, 0, 0, 0), 0);
    cr_assert_eq(server_get64(client_payload(c) + 8), 4 * PAGE);
    dirty(c, RAM_AT + 17 * PAGE);
    cr_assert_eq(report(c, RAM_AT + 18 * PAGE, PAGE, PAGE), 0);
    cr_assert_eq(bitmap(c, 0), 1);
    cr_assert_eq(report(c, RAM_AT, RAM_LEN, PAGE), 0);
    cr_assert_eq(bitmap(c, 0), 0xf << 16);
    memory_free(&ram);
    client_free(c);
}

Test(vfio_user_migration, the_page_size_is_at_least_4_kib)
{
    Client *c = toy_client(&toy_model);

    cr_assert_eq(start_logging(c, 512, 0, 0, 0), 0);
    cr_assert_eq(server_get64(client_payload(c) + 8), PAGE);
    client_free(c);
}

Test(vfio_user_migration, logging_ends_and_windows_come_back)
{
    Memory ram;
    Client *c = logged(&ram);
    DevemuWindow window;

    cr_assert(vfio_host_dma_map(c->server, RAM_AT, &window));
    cr_assert_not(window.writable);
    cr_assert_eq(feature(c, SET | LOGGING_STOP, 8, NULL, 0), 0);
    cr_assert(vfio_host_dma_map(c->server, RAM_AT, &window));
    cr_assert(window.writable);
    cr_assert_eq(report(c, RAM_AT, RAM_LEN, PAGE), EINVAL);
    memory_free(&ram);
    client_free(c);
}

Test(vfio_user_migration, hostile_logging_requests_are_refused)
{
    Client *c = toy_client(&toy_model);

    cr_assert_eq(report(c, 0, PAGE, PAGE), EINVAL, "not started");
    cr_assert_eq(start_logging(c, 0, 0, 0, 0), EINVAL);
    cr_assert_eq(start_logging(c, 3 * PAGE, 0, 0, 0), EINVAL);
    cr_assert_eq(start_logging(c, PAGE, 257, 0, PAGE), E2BIG);
    cr_assert_eq(start_logging(c, PAGE, UINT32_MAX, 0, PAGE), E2BIG);
    cr_assert_eq(start_logging(c, PAGE, 1, 1, PAGE), EINVAL);
    cr_assert_eq(start_logging(c, PAGE, 1, 0, 0), EINVAL);
    cr_assert_eq(start_logging(c, PAGE, 1, UINT64_MAX - PAGE + 1, 2 * PAGE), EOVERFLOW);
    cr_assert_eq(start_logging(c, UINT64_C(1) << 63, 0, 0, 0), 0);
    cr_assert_eq(server_get64(client_payload(c) + 8), 1 << 30);
    cr_assert_eq(start_logging(c, PAGE, 0, 0, 0), EINVAL, "twice");
    cr_assert_eq(report(c, 0, 0, PAGE), EINVAL);
    cr_assert_eq(report(c, 0, PAGE, 2048), EINVAL);
    cr_assert_eq(report(c, 0, PAGE, 3 * PAGE), EINVAL);
    cr_assert_eq(report(c, UINT64_MAX, 2, PAGE), EOVERFLOW);
    cr_assert_eq(report(c, 0, UINT64_MAX, PAGE), E2BIG);
    cr_assert_eq(report(c, 0, UINT64_C(1) << 35, PAGE), E2BIG);
    cr_assert_eq(report(c, 0, UINT64_MAX, UINT64_C(1) << 63), 0);
    client_free(c);
}

Test(vfio_user_migration, writes_scattered_over_all_memory_make_all_dirty)
{
    Memory ram;
    Client *c = logged(&ram);

    for (uint64_t i = 0; i < 70000; i++) {
        vfio_dirty_mark(c->server, i << 40 | i << 24, 1);
    }
    cr_assert_leq(g_hash_table_size(c->server->dirty.chunks), 65536);
    cr_assert_eq(report(c, RAM_AT, 64 * PAGE, PAGE), 0);
    cr_assert_eq(bitmap(c, 0), UINT64_MAX);
    memory_free(&ram);
    client_free(c);
}
