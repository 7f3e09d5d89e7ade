/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-far.c: memory that is reached by messages. The client has the memory, and answers
 * DMA_READ and DMA_WRITE when the test says so. Order is that of the messages on the socket.
 */
#define _GNU_SOURCE
#include "../buses/pci/toy.h"
#include "vfio-client.h"

extern const DevemuModel devemu_model_am79c970a;

#define BAR0   VFIO_REGION_BAR0
#define CONFIG VFIO_REGION_CONFIG

enum {
    RAM_AT = 0x100000,
    RAM_BYTES = 0x40000,
    INIT_AT = 0x1000,
    RX_RING = 0x2000,
    TX_RING = 0x3000,
    RX_BUF = 0x10000,
    TX_BUF = 0x20000,

    DRX = 1, /* mode */
    RDP = 0x10,
    RAP = 0x12,
    BDP = 0x16,
    INEA = 0x40,
    IDON = 0x100,
    TINT = 0x200,
    RINT = 0x400,
    MERR = 0x800,
    OWN = 0x80,
    WHOLE = 3, /* STP, ENP */
};

typedef struct Far {
    Client *c;
    DevemuDevice *nic;
    uint8_t *ram;
    GPtrArray *sent; /* GBytes: frames of the device */
    unsigned readies;
    int intx;
} Far;

static void net_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    Far *far = net;
    GByteArray *frame = g_byte_array_new();

    (void)more;
    for (size_t i = 0; i < count; i++) {
        g_byte_array_append(frame, slices[i].data, (guint)slices[i].len);
    }
    g_ptr_array_add(far->sent, g_byte_array_free_to_bytes(frame));
}

static void net_ready(void *net)
{
    ((Far *)net)->readies++;
}

static const DevemuNetOps net_ops = {
    .size = sizeof(DevemuNetOps), .send = net_send, .ready = net_ready};

static Far *far_new(const DevemuModel *model, const char *json)
{
    Far *far = g_new0(Far, 1);

    far->nic = devemu_device_new(model, NULL, NULL);
    far->sent = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    far->ram = g_malloc0(RAM_BYTES);
    devemu_device_attach_net(far->nic, &net_ops, far);
    far->c = client_new(far->nic, "");
    cr_assert_eq(client_version(far->c, json), 0);
    cr_assert_eq(client_map(far->c, RAM_AT, RAM_BYTES, -1, 0, 3), 0);
    far->intx = event_new();
    cr_assert_eq(client_irqs(far->c, 1 << 2 | 1 << 5, 0, 0, 1, &far->intx, 1), 0);
    client_write(far->c, CONFIG, 4, 2, 7);
    return far;
}

static void far_free(Far *far)
{
    client_free(far->c);
    g_ptr_array_unref(far->sent);
    close(far->intx);
    g_free(far->ram);
    g_free(far);
}

/* --- the client's side of DMA ------------------------------------------------------ */

/* Has the server something to say? */
static bool says(Far *far)
{
    struct pollfd fd = {.fd = far->c->fd, .events = POLLIN};

    client_run(far->c);
    return far->c->aside.length > 0 || poll(&fd, 1, 0) == 1;
}

typedef struct Dma {
    uint16_t id;
    unsigned command;
    uint64_t addr, count;
} Dma;

/* The next message, which must be a DMA command. */
static Dma dma_get(Far *far)
{
    const uint8_t *m = far->c->reply;
    Dma dma;

    if (far->c->aside.length > 0) {
        g_autoptr(GBytes) bytes = g_queue_pop_head(&far->c->aside);

        far->c->reply_len = g_bytes_get_size(bytes);
        memcpy(far->c->reply, g_bytes_get_data(bytes, NULL), far->c->reply_len);
    } else {
        client_receive(far->c);
    }
    dma = (Dma){server_get16(m), server_get16(m + 2), server_get64(m + 16), server_get64(m + 24)};
    cr_assert_eq(server_get32(m + 8) & VFIO_FLAG_TYPE, VFIO_TYPE_COMMAND);
    cr_assert(dma.command == VFIO_USER_DMA_READ || dma.command == VFIO_USER_DMA_WRITE);
    cr_assert_eq(far->c->reply_len, 32 + (dma.command == VFIO_USER_DMA_WRITE ? dma.count : 0));
    cr_assert(dma.addr >= RAM_AT && dma.addr + dma.count <= RAM_AT + RAM_BYTES, "DMA at %lx",
              (unsigned long)dma.addr);
    if (dma.command == VFIO_USER_DMA_WRITE) {
        memcpy(far->ram + (dma.addr - RAM_AT), m + 32, dma.count);
    }
    return dma;
}

/* len bytes of data are told, whatever is true. */
static void dma_reply(Far *far, const Dma *dma, size_t len, uint32_t error)
{
    g_autofree uint8_t *m = g_malloc0(32 + len);
    size_t bytes = error || dma->command == VFIO_USER_DMA_WRITE ? 16 : 32 + len;

    server_put16(m, dma->id);
    server_put16(m + 2, (uint16_t)dma->command);
    server_put32(m + 4, (uint32_t)bytes);
    server_put32(m + 8, VFIO_TYPE_REPLY | (error ? VFIO_FLAG_ERROR : 0));
    server_put32(m + 12, error);
    server_put64(m + 16, dma->addr);
    server_put64(m + 24, dma->count);
    memcpy(m + 32, far->ram + (dma->addr - RAM_AT), len);
    client_send_bytes(far->c, m, bytes, NULL, 0);
}

static void dma_answer(Far *far, const Dma *dma)
{
    dma_reply(far, dma, dma->command == VFIO_USER_DMA_READ ? dma->count : 0, 0);
}

/* Until the server wants nothing more. */
static void serve(Far *far)
{
    while (says(far)) {
        Dma dma = dma_get(far);

        dma_answer(far, &dma);
    }
}

/* --- a driver ---------------------------------------------------------------------- */

static unsigned csr(Far *far, unsigned n)
{
    client_write(far->c, BAR0, RAP, 2, n);
    return (unsigned)client_read(far->c, BAR0, RDP, 2);
}

static void csr_write(Far *far, unsigned n, unsigned value)
{
    client_write(far->c, BAR0, RAP, 2, n);
    client_write(far->c, BAR0, RDP, 2, value);
}

static uint8_t *md(Far *far, uint32_t ring, unsigned i)
{
    return far->ram + ring + i * 16;
}

static void give(Far *far, uint32_t ring, unsigned i, uint32_t buffer, unsigned len,
                 unsigned status)
{
    devemu_put_le32(md(far, ring, i), RAM_AT + buffer);
    devemu_put_le32(md(far, ring, i) + 4, (OWN | status) << 24 | 0xf000 | (0x1000 - len));
}

static unsigned status_of(Far *far, uint32_t ring, unsigned i)
{
    return md(far, ring, i)[7];
}

/* Software style 2; rings of four; no polls of the transmit ring. The DMA that INIT causes has not
 * been answered. */
static void begin(Far *far, unsigned mode)
{
    uint8_t *b = far->ram + INIT_AT;

    devemu_put_le32(b, mode | 2 << 20 | 2u << 28);
    memcpy(b + 4, "\x52\x54\x00\x12\x34\x56", 6);
    devemu_put_le32(b + 20, RAM_AT + RX_RING);
    devemu_put_le32(b + 24, RAM_AT + TX_RING);
    client_write(far->c, BAR0, RAP, 2, 20);
    client_write(far->c, BAR0, BDP, 2, 2);
    csr_write(far, 4, 0x1115);
    csr_write(far, 1, (RAM_AT + INIT_AT) & 0xffff);
    csr_write(far, 2, (RAM_AT + INIT_AT) >> 16);
    csr_write(far, 0, 1 | 2 | INEA);
}

/* With the receiver off there is no poll, so no DMA but what a test causes. */
static Far *far_started_with(const char *json, unsigned mode)
{
    Far *far = far_new(&devemu_model_am79c970a, json);

    begin(far, mode);
    serve(far);
    csr_write(far, 0, IDON | INEA);
    serve(far);
    event_count(far->intx);
    cr_assert_eq(client_irqs(far->c, 1 | 1 << 4, 0, 0, 1, NULL, 0), 0); /* unmask */
    return far;
}

static Far *far_started(const char *json)
{
    return far_started_with(json, DRX);
}

/* --- the tests --------------------------------------------------------------------- */

Test(vfio_user_far, init_reads_its_block_and_says_so_when_it_is_here)
{
    Far *far = far_new(&devemu_model_am79c970a, NULL);
    Dma dma;

    begin(far, DRX);
    cr_assert(says(far));
    dma = dma_get(far);

    cr_assert_eq(dma.command, VFIO_USER_DMA_READ);
    cr_assert_eq(dma.addr, RAM_AT + INIT_AT);
    cr_assert_eq(dma.count, 28);
    cr_assert_eq(client_read(far->c, BAR0, RDP, 2) & IDON, 0);
    cr_assert_eq(event_count(far->intx), 0);
    dma_answer(far, &dma);
    serve(far);
    cr_assert(client_read(far->c, BAR0, RDP, 2) & IDON);
    cr_assert_eq(event_count(far->intx), 1);
    cr_assert_eq(csr(far, 12), 0x5452);
    far_free(far);
}

Test(vfio_user_far, frame_is_sent_and_its_descriptor_returned_before_the_interrupt)
{
    Far *far = far_started(NULL);
    const uint8_t *data;
    size_t len;

    for (unsigned i = 0; i < 100; i++) {
        far->ram[TX_BUF + i] = (uint8_t)(i * 3);
    }
    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    while (says(far)) {
        Dma dma = dma_get(far);

        cr_assert_eq(event_count(far->intx), 0);
        if (dma.command == VFIO_USER_DMA_WRITE) {
            /* Registers are as before until memory is as after. */
            cr_assert_eq(client_read(far->c, BAR0, RDP, 2) & TINT, 0);
        }
        dma_answer(far, &dma);
    }

    cr_assert_eq(event_count(far->intx), 1);
    cr_assert(client_read(far->c, BAR0, RDP, 2) & TINT);
    cr_assert_eq(status_of(far, TX_RING, 0), WHOLE);
    cr_assert_eq(far->sent->len, 1);
    data = g_bytes_get_data(g_ptr_array_index(far->sent, 0), &len);
    cr_assert_eq(len, 100);
    cr_assert_arr_eq(data, far->ram + TX_BUF, 100);
    far_free(far);
}

/* What an event wrote is what it reads: round the ring, it meets descriptors that it gave back. */
Test(vfio_user_far, ring_given_whole_is_sent_once)
{
    Far *far = far_started(NULL);

    for (unsigned i = 0; i < 4; i++) {
        far->ram[TX_BUF + 0x100 * i] = (uint8_t)(i + 1);
        give(far, TX_RING, i, TX_BUF + 0x100 * i, 100, WHOLE);
    }
    csr_write(far, 0, 8 | INEA);
    serve(far);

    cr_assert_eq(far->sent->len, 4);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(far->sent, i), NULL);

        cr_assert_eq(data[0], i + 1);
        cr_assert_eq(status_of(far, TX_RING, i), WHOLE);
    }
    far_free(far);
}

Test(vfio_user_far, frame_is_stored_while_another_one_waits)
{
    Far *far = far_started_with(NULL, 0);
    uint8_t frame[80] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0};

    give(far, RX_RING, 0, RX_BUF, 1536, 0);
    give(far, RX_RING, 1, RX_BUF + 2048, 1536, 0);
    csr_write(far, 0, INEA);
    serve(far);

    cr_assert_eq(devemu_device_receive(far->nic, frame, sizeof(frame)), sizeof(frame));
    cr_assert_eq(devemu_device_ready(far->nic), 0);
    cr_assert_eq(devemu_device_receive(far->nic, frame, sizeof(frame)), 0);
    cr_assert_eq(far->readies, 0);
    serve(far);
    cr_assert_geq(far->readies, 1);
    frame[20] = 7;
    cr_assert_eq(devemu_device_receive(far->nic, frame, sizeof(frame)), sizeof(frame));
    serve(far);

    cr_assert_eq(status_of(far, RX_RING, 0), WHOLE);
    cr_assert_eq(status_of(far, RX_RING, 1), WHOLE);
    cr_assert_eq(far->ram[RX_BUF + 20], 0);
    cr_assert_arr_eq(far->ram + RX_BUF + 2048, frame, sizeof(frame));
    cr_assert(client_read(far->c, BAR0, RDP, 2) & RINT);
    far_free(far);
}

Test(vfio_user_far, accesses_are_served_while_a_client_does_not_answer)
{
    Far *far = far_started(NULL);

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma_get(far);

    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(client_read(far->c, BAR0, RDP, 2) & TINT, 0);
    }
    cr_assert_not(says(far));
    cr_assert_eq(far->sent->len, 0);
    far_free(far);
}

Test(vfio_user_far, client_that_leaves_in_the_middle_leaves_nothing)
{
    Far *far = far_started(NULL);

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    close(far->c->fd);
    far->c->fd = -1;
    client_run(far->c);

    cr_assert_eq(devemu_device_receive(far->nic, far->ram, 64), 64);
    cr_assert_eq(far->sent->len, 0);
    far_free(far);
}

Test(vfio_user_far, write_makes_what_was_read_old)
{
    Far *far = far_started(NULL);
    Dma dma;

    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma = dma_get(far);
    cr_assert_eq(dma.addr, RAM_AT + TX_RING);
    /* The data is on its way, and then the guest gives the descriptor away and says so. */
    dma_answer(far, &dma);
    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    client_post(far->c, BAR0, RDP, 2, 8 | INEA);
    serve(far);

    cr_assert_eq(far->sent->len, 1);
    cr_assert_eq(status_of(far, TX_RING, 0), WHOLE);
    far_free(far);
}

/* The event is done before the write; its interrupt waits for memory. */
Test(vfio_user_far, write_while_an_event_writes_finds_it_done)
{
    Far *far = far_started(NULL);
    Dma dma;

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    do {
        cr_assert(says(far));
        dma = dma_get(far);
        if (dma.command == VFIO_USER_DMA_READ) {
            dma_answer(far, &dma);
        }
    } while (dma.command == VFIO_USER_DMA_READ);
    cr_assert_eq(client_read(far->c, BAR0, RDP, 2) & TINT, 0);
    client_write(far->c, BAR0, RAP, 2, 0);

    cr_assert(client_read(far->c, BAR0, RDP, 2) & TINT);
    cr_assert_eq(far->sent->len, 1);
    cr_assert_eq(event_count(far->intx), 0);
    dma_answer(far, &dma);
    serve(far);
    cr_assert_eq(event_count(far->intx), 1);
    cr_assert_eq(far->sent->len, 1);
    far_free(far);
}

Test(vfio_user_far, guest_that_writes_without_end_does_not_stop_an_event)
{
    Far *far = far_started(NULL);

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    for (unsigned i = 0; i < 200 && far->sent->len == 0; i++) {
        if (says(far)) {
            Dma dma = dma_get(far);

            client_post(far->c, BAR0, RAP, 2, 0);
            dma_answer(far, &dma);
        }
    }

    cr_assert_eq(far->sent->len, 1);
    serve(far);
    cr_assert_eq(status_of(far, TX_RING, 0), WHOLE);
    far_free(far);
}

Test(vfio_user_far, error_replies_are_dma_that_failed)
{
    Far *far = far_started(NULL);
    Dma dma;

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma = dma_get(far);
    dma_reply(far, &dma, 0, EFAULT);
    serve(far);

    cr_assert(client_read(far->c, BAR0, RDP, 2) & MERR);
    cr_assert_not_null(strstr(far->c->log->str, "DMA_READ at 0x103000 failed"));
    far_free(far);
}

Test(vfio_user_far, write_that_failed_is_seen_by_the_device)
{
    Far *far = far_started(NULL);

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    while (says(far)) {
        Dma dma = dma_get(far);

        dma_reply(far, &dma, dma.command == VFIO_USER_DMA_READ ? dma.count : 0,
                  dma.command == VFIO_USER_DMA_WRITE ? EPERM : 0);
    }

    cr_assert(client_read(far->c, BAR0, RDP, 2) & MERR);
    far_free(far);
}

Test(vfio_user_far, short_reply_is_dma_that_failed)
{
    Far *far = far_started(NULL);
    Dma dma;

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma = dma_get(far);
    dma_reply(far, &dma, dma.count - 1, 0);
    serve(far);

    cr_assert(client_read(far->c, BAR0, RDP, 2) & MERR);
    far_free(far);
}

Test(vfio_user_far, second_reply_to_a_command_ends_the_connection)
{
    Far *far = far_started(NULL);
    Dma dma;

    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma = dma_get(far);
    dma_answer(far, &dma);
    dma_answer(far, &dma);

    cr_assert(client_closed(far->c));
    far_free(far);
}

Test(vfio_user_far, reply_with_another_command_ends_the_connection)
{
    Far *far = far_started(NULL);
    Dma dma;

    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma = dma_get(far);
    dma.command = VFIO_USER_DMA_WRITE;
    dma_answer(far, &dma);

    cr_assert(client_closed(far->c));
    far_free(far);
}

/* spec "Read and Write Operations": not more than the peer's max_data_xfer_size. Replies come in
 * any order. */
Test(vfio_user_far, long_accesses_are_cut_and_put_together)
{
    Far *far = far_started("{\"capabilities\":{\"max_data_xfer_size\":64}}");
    Dma dma[16];
    unsigned count = 0;

    for (unsigned i = 0; i < 600; i++) {
        far->ram[TX_BUF + i] = (uint8_t)(i * 7);
    }
    give(far, TX_RING, 0, TX_BUF, 600, WHOLE);
    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma[0] = dma_get(far);
    dma_answer(far, &dma[0]);
    while (says(far)) {
        dma[count] = dma_get(far);
        cr_assert_leq(dma[count].count, 64);
        count++;
    }
    cr_assert_eq(count, 10);
    while (count > 0) {
        dma_answer(far, &dma[--count]);
    }
    serve(far);

    cr_assert_eq(far->sent->len, 1);
    cr_assert_arr_eq(g_bytes_get_data(g_ptr_array_index(far->sent, 0), NULL), far->ram + TX_BUF,
                     600);
    far_free(far);
}

/* The toy moves DMA in its register writes: such a write is answered, then done, and what comes
 * behind it waits. */
Test(vfio_user_far, write_that_moves_dma_is_answered_first_and_done_in_order)
{
    Far *far = far_new(&toy_model, NULL);
    uint8_t payload[16];
    Dma dma;

    devemu_put_le32(far->ram + 0x10, 0xcafe1234);
    client_write(far->c, BAR0, TOY_ADDR, 4, RAM_AT + 0x10);
    client_write(far->c, BAR0, TOY_READ, 4, 0);
    access_payload(payload, BAR0, TOY_READ, 4);
    client_send(far->c, VFIO_USER_REGION_READ, 0, payload, 16, NULL, 0);
    cr_assert(says(far));
    dma = dma_get(far);
    cr_assert_not(says(far));
    dma_answer(far, &dma);

    client_receive(far->c);
    cr_assert_eq(server_get16(far->c->reply + 2), VFIO_USER_REGION_READ);
    cr_assert_eq(devemu_le32(client_payload(far->c) + 16), 0xcafe1234);
    cr_assert_eq(client_read(far->c, BAR0, TOY_STATUS, 1), 1);
    far_free(far);
}

Test(vfio_user_far, memory_with_and_without_descriptor_goes_together)
{
    Far *far = far_new(&toy_model, NULL);
    Memory near = memory_new(0x1000, F_SEAL_SHRINK);

    /* A write over the seam of both. */
    cr_assert_eq(client_map(far->c, RAM_AT - 0x1000, 0x1000, near.fd, 0, 3), 0);
    client_write(far->c, BAR0, TOY_ADDR, 4, RAM_AT - 2);
    client_write(far->c, BAR0, TOY_WRITE, 4, 0x44332211);
    serve(far);
    cr_assert_eq(client_read(far->c, BAR0, TOY_STATUS, 1), 1);
    cr_assert_eq(devemu_le16(near.data + 0xffe), 0x2211);
    cr_assert_eq(devemu_le16(far->ram), 0x4433);

    client_write(far->c, BAR0, TOY_READ, 4, 0);
    serve(far);
    cr_assert_eq(client_read(far->c, BAR0, TOY_READ, 4), 0x44332211);
    memory_free(&near);
    far_free(far);
}

Test(vfio_user_far, memory_unmapped_meanwhile_is_dma_that_failed)
{
    Far *far = far_started(NULL);
    Dma dma;

    give(far, TX_RING, 0, TX_BUF, 100, WHOLE);
    csr_write(far, 0, 8 | INEA);
    cr_assert(says(far));
    dma = dma_get(far);
    cr_assert_eq(client_unmap(far->c, RAM_AT, RAM_BYTES, 0), 0);
    dma_answer(far, &dma);
    client_run(far->c);

    cr_assert(client_read(far->c, BAR0, RDP, 2) & MERR);
    cr_assert_eq(far->sent->len, 0);
    far_free(far);
}
