/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket device between a driver and messages of a backend; sections of virtio 1.4. */
#include "vsock.h"

/* The next message to the backend. */
static DevemuVsockMessage said(VdDriver *d, DevemuVsockOp op)
{
    DevemuVsockMessage m = {0};
    const uint8_t *bytes;
    size_t len;

    cr_assert_gt(devemu_fake_sent_count(d->fake), 0, "message %u does not come", op);
    bytes = devemu_fake_sent(d->fake, 0, &len);
    cr_assert(devemu_vsock_unpack(bytes, len, &m));
    cr_assert_eq(m.op, op, "%u, not %u", m.op, op);
    cr_assert_eq(m.guest_port, GUEST);
    cr_assert_eq(m.host_port, HOST);
    return m;
}

static size_t tell(VdDriver *d, DevemuVsockMessage m)
{
    uint8_t bytes[DEVEMU_VSOCK_HEAD + 1024];

    m.type = m.type ? m.type : STREAM;
    m.guest_port = m.guest_port ? m.guest_port : GUEST;
    m.host_port = m.host_port ? m.host_port : HOST;
    devemu_vsock_pack(&m, bytes);
    if (m.len) {
        memcpy(bytes + DEVEMU_VSOCK_HEAD, m.data, m.len);
    }
    return devemu_fake_receive(d->fake, bytes, DEVEMU_VSOCK_HEAD + m.len);
}

static void connected(VdDriver *d, uint16_t type)
{
    tx(d, (Packet){.op = REQUEST, .type = type});
    cr_assert_eq(said(d, DEVEMU_VSOCK_CONNECT).limit, ALLOC);
    devemu_fake_clear_sent(d->fake);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_ACCEPT, .type = (uint8_t)type});
    expect(d, RESPONSE);
}

/* 5.10.4: guest_cid is not a reserved one. */
Test(vsock, has_an_address)
{
    VdDriver driver = vd_new(&devemu_model_virtio_vsock, "guest-cid=77");
    VdDriver *d = &driver;
    g_autoptr(GError) error = NULL;

    cr_assert_eq(devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 0, 4), 77);
    cr_assert_eq(devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 4, 4), 0);
    cr_assert_eq(vd_offered(d) & 7, 7);
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("guest-cid=%u", i);

        cr_assert_null(devemu_device_new(&devemu_model_virtio_vsock, text, &error));
        g_clear_error(&error);
    }
    cr_assert_null(devemu_device_new(&devemu_model_virtio_vsock, "guest-cid=0xffffffff", &error));
    vd_free(d);
}

/* 5.10.6.5 */
Test(vsock, a_guest_connects_and_talks)
{
    OPEN(NULL);
    DevemuVsockMessage m;
    Packet p;

    give(d, 4);
    connected(d, STREAM);
    tx(d, (Packet){.op = RW, .len = 100});
    m = said(d, DEVEMU_VSOCK_DATA);
    cr_assert_eq(m.len, 100);
    cr_assert_eq(((const uint8_t *)m.data)[99], (uint8_t)(99 * 7));
    cr_assert_eq(tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA, .data = "hello", .len = 5}),
                 DEVEMU_VSOCK_HEAD + 5);
    p = expect(d, RW);
    cr_assert_eq(p.len, 5);
    cr_assert_eq(p.src_port, HOST);
    cr_assert_eq(p.dst_port, GUEST);
    cr_assert_eq(p.buf_alloc, DEVEMU_VSOCK_BUFFER);
    cr_assert_arr_eq(p.data, "hello", 5);
    quiet(d);
    vd_free(d);
}

/* 5.10.6.5: RST where nobody listens. */
Test(vsock, a_guest_is_refused)
{
    OPEN(NULL);

    give(d, 4);
    tx(d, (Packet){.op = REQUEST});
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CLOSE});
    expect(d, RST);
    tx(d, (Packet){.op = RW, .len = 1});
    expect(d, RST);
    quiet(d);
    vd_free(d);
}

Test(vsock, a_host_connects)
{
    OPEN(NULL);

    give(d, 4);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CONNECT});
    expect(d, REQUEST);
    tx(d, (Packet){.op = RESPONSE, .buf_alloc = 99});
    cr_assert_eq(said(d, DEVEMU_VSOCK_ACCEPT).limit, 99);
    devemu_fake_clear_sent(d->fake);
    tx(d, (Packet){.op = RST});
    said(d, DEVEMU_VSOCK_CLOSE);
    quiet(d);
    vd_free(d);
}

Test(vsock, a_host_is_refused)
{
    OPEN(NULL);

    give(d, 4);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CONNECT});
    expect(d, REQUEST);
    tx(d, (Packet){.op = RST});
    said(d, DEVEMU_VSOCK_CLOSE);
    devemu_fake_clear_sent(d->fake);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CONNECT});
    expect(d, REQUEST);
    vd_free(d);
}

/* 5.10.6.3: RW MUST NOT be sent without room for it. */
Test(vsock, sends_no_more_than_the_guest_has_room_for)
{
    OPEN(NULL);
    static const char bytes[100];
    Packet p;

    give(d, 8);
    tx(d, (Packet){.op = REQUEST, .buf_alloc = 60});
    devemu_fake_clear_sent(d->fake);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_ACCEPT});
    expect(d, RESPONSE);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA, .data = bytes, .len = 60});
    p = expect(d, RW);
    cr_assert_eq(p.len, 60);
    expect(d, CREDIT_REQUEST);
    tx(d, (Packet){.op = CREDIT_UPDATE, .buf_alloc = 60, .fwd_cnt = 10});
    cr_assert_eq(said(d, DEVEMU_VSOCK_CREDIT).limit, 70);
    devemu_fake_clear_sent(d->fake);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA, .data = bytes, .len = 11});
    expect(d, RST); /* the backend knew; nothing of it is sent */
    said(d, DEVEMU_VSOCK_CLOSE);
    vd_free(d);
}

/* The guest may say that it has more in use than there is. */
Test(vsock, room_that_cannot_be_is_none)
{
    OPEN(NULL);

    give(d, 8);
    connected(d, STREAM);
    tx(d, (Packet){.op = CREDIT_UPDATE, .buf_alloc = 10, .fwd_cnt = 0x80000000});
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA, .data = "x", .len = 1});
    expect(d, RST);
    vd_free(d);
}

/* 5.10.6.3: and tells the guest how much was passed on. */
Test(vsock, grants_as_the_backend_passes_on)
{
    OPEN(NULL);
    Packet p;

    give(d, 8);
    connected(d, STREAM);
    for (unsigned i = 0; i < 40; i++) {
        tx(d, (Packet){.op = RW, .len = 1024});
    }
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CREDIT, .limit = DEVEMU_VSOCK_BUFFER + 1024});
    quiet(d);
    tx(d, (Packet){.op = CREDIT_REQUEST});
    p = expect(d, CREDIT_UPDATE);
    cr_assert_eq(p.buf_alloc, DEVEMU_VSOCK_BUFFER);
    cr_assert_eq(p.fwd_cnt, 1024);
    tell(d,
         (DevemuVsockMessage){.op = DEVEMU_VSOCK_CREDIT, .limit = DEVEMU_VSOCK_BUFFER + 40 * 1024});
    p = expect(d, CREDIT_UPDATE);
    cr_assert_eq(p.fwd_cnt, 40 * 1024);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CREDIT, .limit = 7});
    tx(d, (Packet){.op = CREDIT_REQUEST});
    cr_assert_eq(expect(d, CREDIT_UPDATE).fwd_cnt, 40 * 1024, "nonsense changes nothing");
    vd_free(d);
}

Test(vsock, a_guest_that_sends_more_than_it_may_is_cut_off)
{
    OPEN(NULL);
    unsigned sent = DEVEMU_VSOCK_BUFFER / 4096;

    give(d, 8);
    connected(d, STREAM);
    for (unsigned i = 0; i < sent; i++) {
        tx(d, (Packet){.op = RW, .len = 4096});
    }
    quiet(d);
    tx(d, (Packet){.op = RW, .len = 1});
    expect(d, RST);
    cr_assert_gt(devemu_fake_guest_errors(d->fake), 0);
    vd_free(d);
}

/* A packet that says that it is longer than its buffer. */
Test(vsock, data_that_are_not_there_end_the_connection)
{
    OPEN(NULL);

    give(d, 8);
    connected(d, STREAM);
    put(d, (Packet){.op = RW, .len = 100});
    vd_add(d, TXQ, &(VdPiece){VD_DATA, HEAD + 50, false}, 1);
    vd_add(d, TXQ, &(VdPiece){VD_DATA, HEAD - 1, false}, 1);
    vd_kick(d, TXQ);
    expect(d, RST);
    quiet(d);
    said(d, DEVEMU_VSOCK_CLOSE);
    vd_free(d);
}

/* 5.10.6.4: RST for an unknown type; 5.10.3.2 */
Test(vsock, unknown_types_are_reset)
{
    OPEN(NULL);

    give(d, 8);
    tx(d, (Packet){.op = REQUEST, .type = 3});
    cr_assert_eq(expect(d, RST).type, 3);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 0);
    vd_start(d, VD_BIT(1) | VD_BIT(2));
    rx_given = 0;
    give(d, 8);
    tx(d, (Packet){.op = REQUEST});
    cr_assert_eq(expect(d, RST).type, STREAM, "not implied");
    vd_start(d, 0);
    give(d, 8);
    tx(d, (Packet){.op = REQUEST, .type = SEQPACKET});
    cr_assert_eq(expect(d, RST).type, SEQPACKET);
    connected(d, STREAM);
    vd_free(d);
}

Test(vsock, addresses_that_are_not_ours_are_dropped)
{
    OPEN(NULL);

    give(d, 8);
    tx(d, (Packet){.op = REQUEST, .src = 9});
    tx(d, (Packet){.op = REQUEST, .dst = 9});
    quiet(d);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 0);
    vd_free(d);
}

/* 5.10.6.6.1: boundaries of messages and records, in pieces both ways. */
Test(vsock, seqpacket_keeps_boundaries)
{
    OPEN(NULL);
    static const char bytes[100];
    Packet p;

    give(d, 8);
    connected(d, SEQPACKET);
    tx(d, (Packet){.op = RW, .type = SEQPACKET, .len = 10});
    cr_assert_eq(said(d, DEVEMU_VSOCK_DATA).flags, 0);
    devemu_fake_clear_sent(d->fake);
    tx(d, (Packet){.op = RW, .type = SEQPACKET, .len = 10, .flags = 3});
    cr_assert_eq(said(d, DEVEMU_VSOCK_DATA).flags, DEVEMU_VSOCK_EOM | DEVEMU_VSOCK_EOR);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA,
                                 .type = SEQPACKET,
                                 .flags = DEVEMU_VSOCK_EOM,
                                 .data = bytes,
                                 .len = 100});
    p = expect(d, RW);
    cr_assert_eq(p.len, ROOM);
    cr_assert_eq(p.flags, 0, "it goes on");
    p = expect(d, RW);
    cr_assert_eq(p.len, 100 - ROOM);
    cr_assert_eq(p.flags, 1);
    vd_free(d);
}

/* 5.10.6.1.2: the tx queue is processed while the rx queue has no buffers, as far as replies can be
 * kept. */
Test(vsock, transmits_without_receive_buffers)
{
    OPEN(NULL);
    uint32_t id, len;
    unsigned used = 0, replies = 0;
    Packet p;

    tx(d, (Packet){.op = REQUEST});
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_ACCEPT});
    tx(d, (Packet){.op = RW, .len = 10});
    cr_assert_eq(devemu_fake_sent_count(d->fake), 2, "with no receive buffer at all");
    for (unsigned i = 0; i < 100; i++) {
        put(d, (Packet){.op = RW, .src_port = 7});
        vd_add(d, TXQ, &(VdPiece){VD_DATA, HEAD, false}, 1);
        if (i % 50 == 49) {
            vd_kick(d, TXQ);
            while (vd_used(d, TXQ, &id, &len)) {
                used++;
            }
        }
    }
    cr_assert_lt(used, 100, "replies are not kept without bound");
    cr_assert_geq(used, 50);
    for (unsigned i = 0; i < 4; i++) {
        give(d, 32);
        devemu_fake_advance(d->fake, 1);
        while (next(d, &p)) {
            replies += p.op == RST;
        }
        while (vd_used(d, TXQ, &id, &len)) {
            used++;
        }
    }
    cr_assert_eq(used, 100);
    cr_assert_eq(replies, 100);
    vd_free(d);
}

Test(vsock, data_wait_for_a_buffer)
{
    OPEN(NULL);
    unsigned readies;

    give(d, 1);
    connected(d, STREAM);
    cr_assert_eq(tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA, .data = "x", .len = 1}), 0);
    readies = devemu_fake_readies(d->fake);
    give(d, 1);
    cr_assert_eq(devemu_fake_readies(d->fake), readies + 1);
    cr_assert_eq(tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA, .data = "x", .len = 1}),
                 DEVEMU_VSOCK_HEAD + 1);
    expect(d, RW);
    vd_free(d);
}

/* 5.10.6.5: hints stay; RST follows. */
Test(vsock, a_guest_shuts_down_in_steps)
{
    OPEN(NULL);

    give(d, 8);
    connected(d, STREAM);
    tx(d, (Packet){.op = SHUTDOWN, .flags = 2});
    cr_assert_eq(said(d, DEVEMU_VSOCK_SHUTDOWN).flags, DEVEMU_VSOCK_NO_SEND);
    devemu_fake_clear_sent(d->fake);
    tx(d, (Packet){.op = SHUTDOWN, .flags = 1});
    cr_assert_eq(said(d, DEVEMU_VSOCK_SHUTDOWN).flags, 3, "bits that were set stay");
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CLOSE});
    expect(d, RST);
    quiet(d);
    vd_free(d);
}

/* 5.10.6.5: and where the guest does not answer, RST after a while. */
Test(vsock, a_shutdown_without_an_answer_ends)
{
    OPEN(NULL);
    const uint64_t second = 1000000000;

    give(d, 8);
    connected(d, STREAM);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_DATA, .data = "x", .len = 1});
    expect(d, RW);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_SHUTDOWN, .flags = 3});
    cr_assert_eq(expect(d, SHUTDOWN).flags, 3);
    devemu_fake_advance(d->fake, 9 * second);
    expect(d, CREDIT_REQUEST); /* it has not read all */
    tx(d, (Packet){.op = CREDIT_UPDATE, .fwd_cnt = 1});
    quiet(d);
    devemu_fake_advance(d->fake, 9 * second);
    expect(d, RST);
    quiet(d);
    vd_free(d);
}

Test(vsock, the_table_is_bounded)
{
    OPEN(NULL);

    for (unsigned i = 0; i < TABLE; i++) {
        tx(d, (Packet){.op = REQUEST, .src_port = 2000 + i});
    }
    cr_assert_eq(devemu_fake_sent_count(d->fake), TABLE);
    give(d, 8);
    tx(d, (Packet){.op = REQUEST});
    expect(d, RST);
    devemu_fake_clear_sent(d->fake);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CONNECT});
    said(d, DEVEMU_VSOCK_CLOSE);
    vd_free(d);
}

/* 5.10.6.7 */
Test(vsock, tells_of_an_interrupted_transport)
{
    OPEN(NULL);
    uint32_t id, len;

    give(d, 8);
    connected(d, STREAM);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_RESET});
    memset(vd_at(d, VD_DATA + 0x1000), 0xff, 8);
    vd_add(d, EVENTQ, &(VdPiece){VD_DATA + 0x1000, 8, true}, 1);
    vd_kick(d, EVENTQ);
    cr_assert(vd_used(d, EVENTQ, &id, &len));
    cr_assert_eq(len, 4);
    cr_assert_eq(devemu_le32(vd_at(d, VD_DATA + 0x1000)), 0);
    vd_add(d, EVENTQ, &(VdPiece){VD_DATA + 0x1000, 8, true}, 1);
    vd_kick(d, EVENTQ);
    cr_assert_not(vd_used(d, EVENTQ, &id, &len), "once");
    tx(d, (Packet){.op = RW, .len = 1});
    expect(d, RST); /* the connection is gone */
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_RESET});
    cr_assert(vd_used(d, EVENTQ, &id, &len), "at once where there is a buffer");
    vd_free(d);
}

static unsigned restored;

static void hear_restored(void *vsock)
{
    (void)vsock;
    restored++;
}

static void hear_nothing(void *vsock, const DevemuVsockMessage *message)
{
    (void)vsock;
    (void)message;
}

/* The backend hears of a snapshot that was loaded, and no frame is sent where it stands. */
Test(vsock, a_backend_hears_of_a_load)
{
    static const DevemuVsockOps ops = {
        .size = sizeof(ops), .send = hear_nothing, .restored = hear_restored};
    DevemuDevice *dev = devemu_device_new(&devemu_model_virtio_vsock, NULL, NULL);

    devemu_device_attach_vsock(dev, &ops, NULL);
    cr_assert(devemu_device_load(dev, devemu_device_save(dev), NULL));
    cr_assert_eq(restored, 1);
    devemu_device_free(dev);
}

/* What the backend says is not to be trusted with more than the connection. */
Test(vsock, messages_out_of_place_do_nothing)
{
    OPEN(NULL);

    give(d, 8);
    for (unsigned op = 0; op < DEVEMU_VSOCK_OPS; op++) {
        if (op != DEVEMU_VSOCK_CONNECT) {
            tell(d, (DevemuVsockMessage){.op = (uint8_t)op, .flags = 0xff, .limit = 5});
        }
    }
    quiet(d);
    cr_assert_eq(devemu_fake_receive(d->fake, "short", 5), 5);
    connected(d, STREAM);
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_ACCEPT});
    tell(d, (DevemuVsockMessage){.op = DEVEMU_VSOCK_CONNECT});
    said(d, DEVEMU_VSOCK_CLOSE); /* the ports are in use */
    quiet(d);
    vd_free(d);
}

/* A reset by the driver ends what the host's programs hold. */
Test(vsock, a_reset_closes_all)
{
    OPEN(NULL);

    give(d, 8);
    connected(d, STREAM);
    vd_start(d, FEATURES);
    said(d, DEVEMU_VSOCK_CLOSE);
    give(d, 8);
    tx(d, (Packet){.op = RW});
    expect(d, RST);
    vd_free(d);
}
