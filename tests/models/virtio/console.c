/* SPDX-License-Identifier: BSD-3-Clause */
/* The console device; sections of virtio 1.4. */
#include "driver.h"

#include <devemu/backends.h>

extern const DevemuModel devemu_model_virtio_console;

enum {
    F_SIZE,
    F_MULTIPORT,
    F_EMERG_WRITE,

    CONTROL_RX = 2,
    CONTROL_TX = 3,

    DEVICE_READY = 0,
    DEVICE_ADD,
    DEVICE_REMOVE,
    PORT_READY,
    CONSOLE_PORT,
    RESIZE,
    PORT_OPEN,
    PORT_NAME,

    HOST = DEVEMU_VIRTIO_BANKS, /* bank, and its registers */
    HOST_COLS = 0,
    HOST_ROWS = 2,
    HOST_PORTS = 4,
    HOST_OPEN = 8,
    HOST_GUEST_OPEN = 12,

    MESSAGES = VD_DATA + 0x8000, /* buffers of the control receiveq */
    MESSAGE_BYTES = 64,
};

#define OPEN(options)                                                                              \
    VdDriver driver = vd_new(&devemu_model_virtio_console, options);                               \
    VdDriver *d = &driver

#define MULTIPORT (VD_BIT(F_SIZE) | VD_BIT(F_MULTIPORT))

/* --- one port ------------------------------------------------------------------------- */

static void send_text(VdDriver *d, unsigned queue, const char *text)
{
    memcpy(vd_at(d, VD_DATA), text, strlen(text));
    cr_assert_eq(vd_call(d, queue, &(VdPiece){VD_DATA, (uint32_t)strlen(text), false}, 1), 0);
}

Test(console, sends_what_stands_in_the_transmitq)
{
    OPEN(NULL);

    vd_start(d, 0);
    memcpy(vd_at(d, VD_DATA), "Hello", 5);
    memcpy(vd_at(d, VD_DATA + 0x100), " world", 6);
    vd_call(d, 1, (VdPiece[]){{VD_DATA, 5, false}, {VD_DATA + 0x100, 6, false}}, 2);

    cr_assert_str_eq(devemu_fake_output(d->fake), "Hello world");
    vd_free(d);
}

Test(console, a_long_buffer_goes_out_whole)
{
    OPEN(NULL);
    size_t len = 5000;

    vd_start(d, 0);
    memset(vd_at(d, VD_DATA), 'x', len);
    vd_call(d, 1, &(VdPiece){VD_DATA, (uint32_t)len, false}, 1);

    cr_assert_eq(strspn(devemu_fake_output(d->fake), "x"), len);
    vd_free(d);
}

/* 5.3.6: nothing is lost where the driver has no buffers. */
Test(console, input_waits_for_buffers)
{
    OPEN(NULL);
    uint32_t id, len;
    unsigned readies;

    cr_assert_eq(devemu_fake_receive(d->fake, "abc", 3), 0, "no driver");
    vd_start(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, "abc", 3), 0, "no buffer");
    readies = devemu_fake_readies(d->fake);
    vd_add(d, 0, &(VdPiece){VD_DATA, 4, true}, 1);
    vd_add(d, 0, &(VdPiece){VD_DATA + 0x100, 4, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_readies(d->fake), readies + 1);

    cr_assert_eq(devemu_fake_receive(d->fake, "0123456789", 10), 8);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(len, 4);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(len, 4);
    cr_assert_arr_eq(vd_at(d, VD_DATA), "0123", 4);
    cr_assert_arr_eq(vd_at(d, VD_DATA + 0x100), "4567", 4);
    vd_free(d);
}

/* 5.3.5.1: the device MUST allow a write to emerg_wr, even unconfigured; the lower byte goes out.
 */
Test(console, an_emergency_needs_no_driver)
{
    OPEN(NULL);

    cr_assert(vd_offered(d) & VD_BIT(F_EMERG_WRITE));
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 8, 4, 0x12345621);
    vd_start(d, 0);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 8, 1, '?');

    cr_assert_str_eq(devemu_fake_output(d->fake), "!?");
    cr_assert_eq(devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 8, 4), 0);
    vd_free(d);
}

/* 5.3.6: the driver hears of a new size. */
Test(console, a_new_size_is_told)
{
    OPEN(NULL);
    uint64_t vector, generation;

    vd_start(d, VD_BIT(F_SIZE));
    cr_assert_eq(devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 0, 2), 80);
    cr_assert_eq(devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 2, 2), 25);
    generation = vd_read(d, DEVEMU_VIRTIO_CONFIG_GENERATION, 1);
    devemu_fake_write(d->fake, HOST, HOST_COLS, 2, 132);

    cr_assert_eq(vd_notifications(d, &vector), 1);
    cr_assert_eq(vector, DEVEMU_VIRTIO_CONFIG_CHANGE);
    cr_assert_neq(vd_read(d, DEVEMU_VIRTIO_CONFIG_GENERATION, 1), generation);
    cr_assert_eq(devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 0, 2), 132);
    devemu_fake_write(d->fake, HOST, HOST_ROWS, 2, 25);
    cr_assert_eq(vd_notifications(d, &vector), 1, "no news");
    vd_free(d);
}

Test(console, a_size_that_was_not_asked_for_is_not_told)
{
    OPEN(NULL);
    uint64_t vector;

    vd_start(d, 0);
    devemu_fake_write(d->fake, HOST, HOST_ROWS, 2, 50);
    cr_assert_eq(vd_notifications(d, &vector), 0);
    vd_free(d);
}

/* 5.3.2: the other queues are there with MULTIPORT only. */
Test(console, has_as_many_queues_as_ports_need)
{
    static const struct {
        const char *options;
        unsigned queues, ports;
    } rows[] = {
        {"ports=1", 2, 1}, {"ports=1,consoles=0", 4, 1}, {"ports=2", 6, 2}, {"ports=31", 64, 31}};

    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        OPEN(rows[i].options);

        cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_NUM_QUEUES, 2), rows[i].queues, "%s",
                     rows[i].options);
        cr_assert_eq(!!(vd_offered(d) & VD_BIT(F_MULTIPORT)), rows[i].queues > 2);
        cr_assert_eq(devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 4, 4), rows[i].ports);
        vd_free(d);
    }
}

Test(console, refuses_more_consoles_than_ports)
{
    g_autoptr(GError) error = NULL;

    cr_assert_null(devemu_device_new(&devemu_model_virtio_console, "ports=2,consoles=3", &error));
    cr_assert(g_error_matches(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION));
}

/* 3.1.2 */
Test(console, serves_a_legacy_driver)
{
    OPEN(NULL);

    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 3);
    vd_queue(d, 0);
    vd_queue(d, 1);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 7);
    send_text(d, 1, "old");
    cr_assert_str_eq(devemu_fake_output(d->fake), "old");
    vd_free(d);
}

/* --- several: 5.3.6.2 ------------------------------------------------------------------ */

static void tell(VdDriver *d, uint32_t port, unsigned event, unsigned value)
{
    uint8_t *message = vd_at(d, VD_DATA + 0x4000);

    devemu_put_le32(message, port);
    devemu_put_le16(message + 4, (uint16_t)event);
    devemu_put_le16(message + 6, (uint16_t)value);
    vd_call(d, CONTROL_TX, &(VdPiece){VD_DATA + 0x4000, 8, false}, 1);
}

static void give(VdDriver *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = MESSAGES + (d->queues[CONTROL_RX].avail % VD_SIZE) * (uint64_t)MESSAGE_BYTES;

        vd_add(d, CONTROL_RX, &(VdPiece){at, MESSAGE_BYTES, true}, 1);
    }
    vd_kick(d, CONTROL_RX);
}

/* The next message, of len bytes; NULL if there is none. */
static const uint8_t *message(VdDriver *d, uint32_t *ret_len)
{
    uint32_t id;
    uint16_t slot = d->queues[CONTROL_RX].used;

    if (!vd_used(d, CONTROL_RX, &id, ret_len)) {
        return NULL;
    }
    return vd_at(d, MESSAGES + (slot % VD_SIZE) * (uint64_t)MESSAGE_BYTES);
}

static void expect(VdDriver *d, uint32_t port, unsigned event, unsigned value)
{
    uint32_t len;
    const uint8_t *m = message(d, &len);

    cr_assert_not_null(m, "no message, where port %u event %u is due", port, event);
    cr_assert_eq(devemu_le32(m), port);
    cr_assert_eq(devemu_le16(m + 4), event, "event %u, not %u", devemu_le16(m + 4), event);
    cr_assert_eq(devemu_le16(m + 6), value);
}

static void expect_nothing(VdDriver *d)
{
    uint32_t len;

    cr_assert_null(message(d, &len));
}

/* All ports are added, ready and open. */
static void start_ports(VdDriver *d, unsigned count)
{
    vd_start(d, MULTIPORT);
    give(d, 40);
    tell(d, 0, DEVICE_READY, 1);
    for (unsigned i = 0; i < count; i++) {
        expect(d, i, DEVICE_ADD, 0);
    }
    expect_nothing(d);
    for (unsigned i = 0; i < count; i++) {
        uint32_t len;

        tell(d, i, PORT_READY, 1);
        tell(d, i, PORT_OPEN, 1);
        while (message(d, &len)) {
            continue;
        }
    }
}

Test(console, says_of_each_port_what_it_is)
{
    OPEN("ports=2,names=:org.example.agent");
    uint32_t len;
    const uint8_t *m;

    vd_start(d, MULTIPORT);
    give(d, 20);
    expect_nothing(d);
    tell(d, 0, DEVICE_READY, 1);
    expect(d, 0, DEVICE_ADD, 0);
    expect(d, 1, DEVICE_ADD, 0);
    expect_nothing(d);

    tell(d, 0, PORT_READY, 1);
    expect(d, 0, CONSOLE_PORT, 1);
    m = message(d, &len);
    cr_assert_eq(devemu_le16(m + 4), RESIZE);
    cr_assert_eq(len, 12);
    cr_assert_eq(devemu_le16(m + 8), 80, "columns first");
    cr_assert_eq(devemu_le16(m + 10), 25);
    expect(d, 0, PORT_OPEN, 1);
    expect_nothing(d);

    tell(d, 1, PORT_READY, 1);
    expect(d, 1, PORT_OPEN, 1);
    m = message(d, &len);
    cr_assert_eq(devemu_le16(m + 4), PORT_NAME);
    cr_assert_eq(len, 8 + strlen("org.example.agent"), "no NUL");
    cr_assert_arr_eq(m + 8, "org.example.agent", len - 8);
    expect_nothing(d);
    vd_free(d);
}

Test(console, messages_wait_for_buffers)
{
    OPEN("ports=3");

    vd_start(d, MULTIPORT);
    tell(d, 0, DEVICE_READY, 1);
    for (unsigned i = 0; i < 3; i++) {
        expect_nothing(d);
        give(d, 1);
        expect(d, i, DEVICE_ADD, 0);
    }
    give(d, 1);
    expect_nothing(d);
    vd_free(d);
}

Test(console, each_port_has_characters_of_its_own)
{
    OPEN("ports=3");
    uint32_t id, len;

    start_ports(d, 3);
    send_text(d, 1, "zero");
    send_text(d, 5, "one");
    send_text(d, 7, "two");
    cr_assert_str_eq(devemu_fake_output(d->fake), "zero");
    cr_assert_str_eq(devemu_fake_port_output(d->fake, 1), "one");
    cr_assert_str_eq(devemu_fake_port_output(d->fake, 2), "two");

    vd_add(d, 6, &(VdPiece){VD_DATA, 16, true}, 1);
    vd_kick(d, 6);
    cr_assert_eq(devemu_fake_receive_port(d->fake, 1, "in", 2), 0, "no buffer there");
    cr_assert_eq(devemu_fake_receive_port(d->fake, 2, "in", 2), 2);
    cr_assert(vd_used(d, 6, &id, &len));
    cr_assert_eq(len, 2);
    cr_assert_arr_eq(vd_at(d, VD_DATA), "in", 2);
    vd_free(d);
}

/* Linux throws away what comes for a port that nobody has open. */
Test(console, a_port_that_the_guest_has_closed_takes_nothing)
{
    OPEN("ports=2");
    unsigned readies;

    start_ports(d, 2);
    vd_add(d, 0, &(VdPiece){VD_DATA, 16, true}, 1);
    vd_kick(d, 0);
    vd_add(d, 4, &(VdPiece){VD_DATA + 0x100, 16, true}, 1);
    vd_kick(d, 4);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_GUEST_OPEN, 4), 3);
    tell(d, 0, PORT_OPEN, 0);
    tell(d, 1, PORT_OPEN, 0);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_GUEST_OPEN, 4), 0);
    cr_assert_eq(devemu_fake_receive(d->fake, "x", 1), 0);
    cr_assert_eq(devemu_fake_receive_port(d->fake, 1, "x", 1), 0);
    readies = devemu_fake_readies(d->fake);
    tell(d, 0, PORT_OPEN, 1);
    cr_assert_gt(devemu_fake_readies(d->fake), readies);
    tell(d, 1, PORT_OPEN, 1);
    cr_assert_eq(devemu_fake_receive(d->fake, "x", 1), 1);
    cr_assert_eq(devemu_fake_receive_port(d->fake, 1, "x", 1), 1);
    vd_free(d);
}

/* The host's side opens and closes. */
Test(console, tells_when_the_host_closes_a_port)
{
    OPEN("ports=2");

    start_ports(d, 2);
    devemu_fake_write(d->fake, HOST, HOST_OPEN, 4, 1);
    expect(d, 1, PORT_OPEN, 0);
    devemu_fake_write(d->fake, HOST, HOST_OPEN, 4, 3);
    expect(d, 1, PORT_OPEN, 1);
    expect_nothing(d);
    vd_free(d);
}

/* 5.3.6.2.1: never DEVICE_ADD for a port that exists or is not below max_nr_ports, nor
 * DEVICE_REMOVE for one that was not added. */
Test(console, adds_and_removes_a_port_once)
{
    OPEN("ports=2");

    start_ports(d, 2);
    devemu_fake_write(d->fake, HOST, HOST_PORTS, 4, UINT32_MAX);
    expect_nothing(d);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_PORTS, 4), 3);
    devemu_fake_write(d->fake, HOST, HOST_PORTS, 4, 1);
    expect(d, 1, DEVICE_REMOVE, 0);
    devemu_fake_write(d->fake, HOST, HOST_PORTS, 4, 1);
    expect_nothing(d);
    cr_assert_eq(devemu_fake_receive_port(d->fake, 1, "x", 1), 0);
    devemu_fake_write(d->fake, HOST, HOST_PORTS, 4, 3);
    expect(d, 1, DEVICE_ADD, 0);
    expect_nothing(d);
    vd_free(d);
}

Test(console, a_port_that_comes_and_goes_unseen_is_not_told)
{
    OPEN("ports=2");

    vd_start(d, MULTIPORT);
    devemu_fake_write(d->fake, HOST, HOST_PORTS, 4, 1);
    give(d, 8);
    tell(d, 0, DEVICE_READY, 1);
    expect(d, 0, DEVICE_ADD, 0);
    expect_nothing(d);
    vd_free(d);
}

Test(console, resizes_with_a_message)
{
    OPEN("ports=2");
    uint32_t len;
    const uint8_t *m;

    start_ports(d, 2);
    devemu_fake_write(d->fake, HOST, HOST_ROWS, 2, 43);
    m = message(d, &len);
    cr_assert_not_null(m);
    cr_assert_eq(devemu_le16(m + 4), RESIZE);
    cr_assert_eq(devemu_le16(m + 10), 43);
    expect_nothing(d);
    vd_free(d);
}

/* Ours: a host that answers no DMA inside an access gets it from a timer. */
Test(console, a_message_waits_for_a_moment_that_is_good_for_dma)
{
    VdDriver driver = vd_new_deferring(&devemu_model_virtio_console, "ports=2");
    VdDriver *d = &driver;

    start_ports(d, 2);
    devemu_fake_set_deferred(d->fake, true);
    devemu_fake_write(d->fake, HOST, HOST_OPEN, 4, 1);
    expect_nothing(d);
    devemu_fake_advance(d->fake, 1);

    expect(d, 1, PORT_OPEN, 0);
    expect_nothing(d);
    vd_free(d);
}

/* 2.1: and it begins anew, with the ports as the host has them. */
Test(console, a_reset_forgets_what_the_driver_knew)
{
    OPEN("ports=2");

    start_ports(d, 2);
    devemu_fake_write(d->fake, HOST, HOST_COLS, 2, 100);
    vd_start(d, MULTIPORT);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_GUEST_OPEN, 4), 0);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_COLS, 2), 100);
    give(d, 8);
    expect_nothing(d);
    tell(d, 0, DEVICE_READY, 1);
    expect(d, 0, DEVICE_ADD, 0);
    expect(d, 1, DEVICE_ADD, 0);
    expect_nothing(d);
    vd_free(d);
}

/* A driver without MULTIPORT has port 0, open, and the other queues do nothing. */
Test(console, multiport_can_be_declined)
{
    OPEN("ports=2");
    uint32_t id, len;

    vd_start(d, 0);
    send_text(d, 1, "plain");
    cr_assert_str_eq(devemu_fake_output(d->fake), "plain");
    vd_add(d, 5, &(VdPiece){VD_DATA, 4, false}, 1);
    vd_kick(d, 5);
    cr_assert_not(vd_used(d, 5, &id, &len));
    vd_add(d, 0, &(VdPiece){VD_DATA, 4, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, "x", 1), 1);
    cr_assert_eq(devemu_fake_receive_port(d->fake, 1, "x", 1), 0);
    vd_free(d);
}

/* --- hostile drivers -------------------------------------------------------------------- */

Test(console, bad_messages_are_the_drivers_fault)
{
    OPEN("ports=2");
    unsigned errors;

    start_ports(d, 2);
    errors = devemu_fake_guest_errors(d->fake);
    tell(d, 2, PORT_OPEN, 1);
    tell(d, UINT32_MAX, PORT_READY, 1);
    tell(d, 0, RESIZE, 0);
    vd_call(d, CONTROL_TX, &(VdPiece){VD_DATA, 7, false}, 1);
    cr_assert_eq(devemu_fake_guest_errors(d->fake), errors + 4);
    cr_assert_eq(devemu_fake_read(d->fake, HOST, HOST_GUEST_OPEN, 4), 3);
    cr_assert_eq(vd_status(d), 0xf);
    vd_free(d);
}

Test(console, a_message_does_not_fit_and_waits)
{
    OPEN("ports=2");
    uint32_t id, len;

    vd_start(d, MULTIPORT);
    vd_add(d, CONTROL_RX, &(VdPiece){MESSAGES, 7, true}, 1);
    vd_add(d, CONTROL_RX, &(VdPiece){MESSAGES + MESSAGE_BYTES, 8, true}, 1);
    tell(d, 0, DEVICE_READY, 1);
    cr_assert(vd_used(d, CONTROL_RX, &id, &len));
    cr_assert_eq(len, 0);
    expect(d, 0, DEVICE_ADD, 0);
    expect_nothing(d);
    vd_free(d);
}

Test(console, buffers_of_the_wrong_kind_move_nothing)
{
    OPEN(NULL);
    uint32_t id, len;

    vd_start(d, 0);
    vd_add(d, 0, &(VdPiece){VD_DATA, 8, false}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, "abc", 3), 0);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(len, 0);
    vd_call(d, 1, &(VdPiece){VD_DATA, 8, true}, 1);
    vd_call(d, 1, &(VdPiece){UINT64_MAX - 100, 8, false}, 1);
    cr_assert_str_eq(devemu_fake_output(d->fake), "");
    vd_free(d);
}

Test(console, a_port_that_was_not_added_sends_nothing)
{
    OPEN("ports=2");
    unsigned errors;

    vd_start(d, MULTIPORT);
    errors = devemu_fake_guest_errors(d->fake);
    send_text(d, 5, "ghost");
    cr_assert_str_eq(devemu_fake_port_output(d->fake, 1), "");
    cr_assert_eq(devemu_fake_guest_errors(d->fake), errors + 1);
    vd_free(d);
}

/* --- backends of ports -------------------------------------------------------------------- */

Test(console, a_port_that_is_not_there_has_no_backend)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_virtio_console, "ports=2", NULL);
    g_autoptr(DevemuChr) chr = devemu_chr_new("memory", NULL, NULL);

    cr_assert_eq(devemu_device_ports(dev), 2);
    cr_assert(devemu_chr_attach_port(chr, dev, 1));
    cr_assert_not(devemu_chr_attach_port(chr, dev, 2));
    cr_assert_not(devemu_device_attach_port(dev, 2, NULL, NULL));
    cr_assert_eq(devemu_device_receive_port(dev, 2, "x", 1), 1, "gone, as on a wire");
    devemu_chr_attach(chr, NULL);
}

/* --- slow readers: ours ---------------------------------------------------------------- */

/* What a device does under a recorder must not depend on its backend. */
static bool is_recorded(void)
{
    return g_strcmp0(g_getenv("DEVEMU_FAKE_MODE"), "record") == 0;
}

static bool came(VdDriver *d, unsigned queue)
{
    uint32_t id, len;

    return vd_used(d, queue, &id, &len);
}

/* Two buffers for port 1 while its backend is full. */
static void hold_port(VdDriver *d)
{
    start_ports(d, 2);
    devemu_fake_set_writable(d->fake, 1, false);
    memcpy(vd_at(d, VD_DATA + 0x200), "held", 4);
    vd_add(d, 5, &(VdPiece){VD_DATA + 0x200, 2, false}, 1);
    vd_add(d, 5, &(VdPiece){VD_DATA + 0x202, 2, false}, 1);
    vd_kick(d, 5);
    devemu_fake_advance(d->fake, 1000000000);
    cr_assert_eq(came(d, 5), is_recorded());
}

Test(console, a_generic_port_waits_for_its_reader)
{
    OPEN("ports=2");

    hold_port(d);
    send_text(d, 1, "port 0 goes on");
    devemu_fake_set_writable(d->fake, 1, true);
    devemu_device_writable(devemu_fake_device(d->fake), 1);
    devemu_fake_advance(d->fake, 1);

    cr_assert(came(d, 5));
    cr_assert_eq(came(d, 5), !is_recorded(), "two in all");
    cr_assert_str_eq(devemu_fake_port_output(d->fake, 1), "held");
    vd_free(d);
}

Test(console, a_port_that_waits_is_looked_at_now_and_then)
{
    OPEN("ports=2");

    hold_port(d);
    devemu_fake_set_writable(d->fake, 1, true);
    devemu_fake_advance(d->fake, 100000000);

    cr_assert(came(d, 5), "nobody has to say so, as where a snapshot was loaded");
    cr_assert_str_eq(devemu_fake_port_output(d->fake, 1), "held");
    vd_free(d);
}

/* Linux's driver would spin. */
Test(console, a_console_does_not_wait_for_its_reader)
{
    OPEN("ports=2");

    start_ports(d, 2);
    devemu_fake_set_writable(d->fake, 0, false);
    send_text(d, 1, "goes out");

    cr_assert_str_eq(devemu_fake_output(d->fake), "goes out");
    vd_free(d);
}

Test(console, a_port_that_waits_is_forgotten_by_a_reset)
{
    OPEN("ports=2");

    hold_port(d);
    vd_start(d, MULTIPORT);
    devemu_fake_set_writable(d->fake, 1, true);
    devemu_device_writable(devemu_fake_device(d->fake), 1);
    devemu_fake_advance(d->fake, 1000000000);

    cr_assert_not(came(d, 5));
    vd_free(d);
}
