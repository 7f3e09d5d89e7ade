/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-dma.c: the client's memory in the vfio-user server: maps by the specification and as
 * QEMU sends them, what cannot be mapped, files that shrink, and a network card's traffic.
 */
#define _GNU_SOURCE
#include "../buses/pci/toy.h"
#include "vfio-client.h"

#include <devemu/backends.h>
#include <devemu/list.h>

enum {
    BAR0 = VFIO_REGION_BAR0,
    CONFIG = VFIO_REGION_CONFIG,
    READABLE = 1,
    WRITABLE = 2,
    BOTH = 3,
    UNMAP_ALL = 2,
};

static Client *toy_client(void)
{
    Client *c = client_ready(make(&toy_model, NULL));

    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    return c;
}

/* Does the device reach the place? */
static bool writes(Client *c, uint64_t addr, uint32_t value)
{
    client_write(c, BAR0, TOY_ADDR, 4, addr);
    client_write(c, BAR0, TOY_WRITE, 4, value);
    return client_read(c, BAR0, TOY_STATUS, 1) == 1;
}

static bool reads(Client *c, uint64_t addr, uint32_t *ret_value)
{
    client_write(c, BAR0, TOY_ADDR, 4, addr);
    client_write(c, BAR0, TOY_READ, 4, 0);
    *ret_value = (uint32_t)client_read(c, BAR0, TOY_READ, 4);
    return client_read(c, BAR0, TOY_STATUS, 1) == 1;
}

Test(vfio_user_dma, a_map_with_a_descriptor_is_memory_until_it_is_unmapped)
{
    Client *c = toy_client();
    Memory ram = memory_new(0x10000, F_SEAL_SHRINK);
    uint32_t value;

    devemu_put_le32(ram.data + 0x1020, 0x11223344);
    cr_assert_eq(client_map(c, 0x100000, 0x8000, ram.fd, 0x1000, BOTH), 0);
    cr_assert(writes(c, 0x100010, 0xcafe1234));
    cr_assert_eq(devemu_le32(ram.data + 0x1010), 0xcafe1234);
    cr_assert(reads(c, 0x100020, &value));
    cr_assert_eq(value, 0x11223344);
    cr_assert_not(writes(c, 0x108000, 1));
    cr_assert_not(writes(c, 0xffffc, 1));

    cr_assert_eq(client_unmap(c, 0x100000, 0x8000, 0), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 24);
    cr_assert_eq(server_get64(client_payload(c) + 8), 0x100000);
    cr_assert_not(writes(c, 0x100010, 0));
    cr_assert_eq(devemu_le32(ram.data + 0x1010), 0xcafe1234);
    cr_assert_eq(g_hash_table_size(c->server->files.table), 0);
    client_free(c);
}

Test(vfio_user_dma, an_access_may_run_over_maps_that_touch)
{
    Client *c = toy_client();
    Memory ram = memory_new(0x10000, F_SEAL_SHRINK);
    uint32_t value;

    cr_assert_eq(client_map(c, 0x1000, 0x1000, ram.fd, 0x8000, BOTH), 0);
    cr_assert_eq(client_map(c, 0x2000, 0x1000, ram.fd, 0x0000, BOTH), 0);
    cr_assert(writes(c, 0x1ffe, 0x44332211));
    cr_assert_eq(devemu_le16(ram.data + 0x8ffe), 0x2211);
    cr_assert_eq(devemu_le16(ram.data), 0x4433);
    cr_assert(reads(c, 0x1ffe, &value));
    cr_assert_eq(value, 0x44332211);
    client_free(c);
}

/* Rule 6: each map has a fresh descriptor of the same file. */
Test(vfio_user_dma, a_file_is_mapped_once_however_often_it_comes)
{
    Client *c = toy_client();
    Memory ram = memory_new(0x100000, F_SEAL_SHRINK);

    for (unsigned i = 0; i < 256; i++) {
        cr_assert_eq(client_map(c, i * 0x2000, 0x1000, ram.fd, i * 0x1000, BOTH), 0);
    }
    cr_assert_eq(g_hash_table_size(c->server->files.table), 1);
    cr_assert(writes(c, 200 * 0x2000, 7));
    cr_assert_eq(ram.data[200 * 0x1000], 7);
    cr_assert_eq(client_unmap(c, 0, 0, UNMAP_ALL), 0);
    cr_assert_eq(c->server->map_count, 0);
    cr_assert_eq(g_hash_table_size(c->server->files.table), 0);
    client_free(c);
}

Test(vfio_user_dma, a_map_may_be_read_only)
{
    Client *c = toy_client();
    Memory ram = memory_new(0x1000, F_SEAL_SHRINK);
    uint32_t value;

    cr_assert_eq(client_map(c, 0, 0x1000, ram.fd, 0, READABLE), 0);
    cr_assert(reads(c, 0, &value));
    cr_assert_not(writes(c, 0, 1));
    cr_assert_eq(ram.data[0], 0);
    client_free(c);
}

/* Rule 7. */
Test(vfio_user_dma, unmapping_takes_all_that_lies_in_the_range_or_nothing)
{
    Client *c = toy_client();

    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(client_map(c, i * 0x1000, 0x1000, -1, 0, BOTH), 0);
    }
    cr_assert_eq(client_unmap(c, 0x100000, 0x1000, 0), 0);
    cr_assert_eq(client_unmap(c, 0x800, 0x1800, 0), EINVAL);
    cr_assert_eq(client_unmap(c, 0x1000, 0x800, 0), EINVAL);
    cr_assert_eq(c->server->map_count, 4);
    cr_assert_eq(client_unmap(c, 0x1000, 0x2000, 0), 0);
    cr_assert_eq(c->server->map_count, 2);
    cr_assert_null(vfio_map_find(c->server, 0x1000));
    cr_assert_not_null(vfio_map_find(c->server, 0x3fff));
    cr_assert_eq(client_unmap(c, 0, UINT64_MAX, 0), 0);
    cr_assert_eq(c->server->map_count, 0);
    client_free(c);
}

Test(vfio_user_dma, unmaps_that_cannot_be_are_errors)
{
    Client *c = toy_client();
    uint8_t payload[24] = {23};

    cr_assert_eq(client_unmap(c, 0, 0, 0), EINVAL);
    cr_assert_eq(client_unmap(c, UINT64_MAX, 2, 0), EINVAL);
    cr_assert_eq(client_unmap(c, 0, 0x1000, UNMAP_ALL), EINVAL);
    cr_assert_eq(client_unmap(c, 0, 0x1000, 1), EINVAL);
    cr_assert_eq(client_unmap(c, 0, 0x1000, 4), EINVAL);
    server_put64(payload + 16, 0x1000);
    cr_assert_eq(client_ask(c, VFIO_USER_DMA_UNMAP, payload, 24), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_DMA_UNMAP, payload, 23), EINVAL);
    client_free(c);
}

/* spec: a map over an existing one is EEXIST. */
Test(vfio_user_dma, maps_that_overlap_are_refused)
{
    Client *c = toy_client();

    cr_assert_eq(client_map(c, 0x2000, 0x2000, -1, 0, BOTH), 0);
    cr_assert_eq(client_map(c, 0x2000, 0x2000, -1, 0, BOTH), EEXIST);
    cr_assert_eq(client_map(c, 0x1000, 0x1001, -1, 0, BOTH), EEXIST);
    cr_assert_eq(client_map(c, 0x3fff, 0x1000, -1, 0, BOTH), EEXIST);
    cr_assert_eq(client_map(c, 0x2800, 1, -1, 0, BOTH), EEXIST);
    cr_assert_eq(client_map(c, 0, UINT64_MAX, -1, 0, BOTH), EEXIST);
    cr_assert_eq(client_map(c, 0x1000, 0x1000, -1, 0, BOTH), 0);
    cr_assert_eq(client_map(c, 0x4000, 0x1000, -1, 0, BOTH), 0);
    client_free(c);
}

Test(vfio_user_dma, maps_that_wrap_or_are_nothing_are_errors)
{
    Client *c = toy_client();
    uint8_t payload[32] = {31};
    Memory ram = memory_new(0x1000, 0);
    int fds[2] = {ram.fd, ram.fd};

    cr_assert_eq(client_map(c, 0, 0, -1, 0, BOTH), EINVAL);
    cr_assert_eq(client_map(c, UINT64_MAX, 2, -1, 0, BOTH), EINVAL);
    cr_assert_eq(client_map(c, 0x1000, UINT64_MAX, -1, 0, BOTH), EINVAL);
    cr_assert_eq(client_map(c, 0, 0x1000, -1, 0, 0), EINVAL);
    cr_assert_eq(client_map(c, 0, 0x1000, -1, 0, 8 | BOTH), EINVAL);
    cr_assert_eq(client_map(c, UINT64_MAX - 0xfff, 0x1000, -1, 0, BOTH), 0);
    server_put32(payload + 4, BOTH);
    server_put64(payload + 24, 0x1000);
    cr_assert_eq(client_ask(c, VFIO_USER_DMA_MAP, payload, 32), EINVAL);
    payload[0] = 32;
    cr_assert_eq(client_ask(c, VFIO_USER_DMA_MAP, payload, 31), EINVAL);
    cr_assert_eq(client_ask_fds(c, VFIO_USER_DMA_MAP, payload, 32, fds, 2), EINVAL);
    cr_assert_eq(c->server->map_count, 1);
    client_free(c);
}

Test(vfio_user_dma, what_is_not_in_the_file_or_no_file_cannot_be_mapped)
{
    Client *c = toy_client();
    Memory ram = memory_new(0x3000, 0);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", ram.fd);
    int read_only = open(path, O_RDONLY | O_CLOEXEC);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int event = event_new();

    cr_assert_eq(client_map(c, 0, 0x4000, ram.fd, 0, BOTH), EINVAL);
    cr_assert_eq(client_map(c, 0, 0x1000, ram.fd, 0x2001, BOTH), EINVAL);
    cr_assert_eq(client_map(c, 0, 0x2000, ram.fd, UINT64_MAX - 0xfff, BOTH), EINVAL);
    cr_assert_eq(client_map(c, 0, 0x1000, null, 0, BOTH), EINVAL);
    cr_assert_eq(client_map(c, 0, 0x1000, event, 0, BOTH), EINVAL);
    cr_assert_eq(client_map(c, 0, 0x1000, read_only, 0, BOTH), EACCES);
    cr_assert_eq(c->server->map_count, 0);
    cr_assert_eq(client_map(c, 0, 0x1000, read_only, 0, READABLE), 0);
    cr_assert_eq(client_map(c, 0x1000, 0x3000, ram.fd, 0, BOTH), 0);
    client_free(c);
}

Test(vfio_user_dma, a_file_may_grow_between_maps)
{
    Client *c = toy_client();
    Memory ram = memory_new(0x1000, 0);

    cr_assert_eq(client_map(c, 0, 0x1000, ram.fd, 0, BOTH), 0);
    cr_assert_eq(ftruncate(ram.fd, 0x2000), 0);
    cr_assert_eq(client_map(c, 0x1000, 0x1000, ram.fd, 0x1000, BOTH), 0);
    cr_assert(writes(c, 0x0ffe, 0x11111111));
    cr_assert(writes(c, 0x1ffc, 0x22222222));
    client_free(c);
}

/* Accesses behind the end of a file are SIGBUS: the client pays, nobody else. */
Test(vfio_user_dma, a_file_that_shrinks_ends_the_connection_and_not_the_process)
{
    Client *c = toy_client();
    Client *other = toy_client();
    Memory ram = memory_new(0x3000, 0);
    Memory good = memory_new(0x1000, 0);
    uint8_t payload[24];

    cr_assert_eq(client_map(c, 0, 0x3000, ram.fd, 0, BOTH), 0);
    cr_assert_eq(client_map(other, 0, 0x1000, good.fd, 0, BOTH), 0);
    cr_assert(writes(c, 0x2000, 1));
    cr_assert_eq(ftruncate(ram.fd, 0x1000), 0);
    client_post(c, BAR0, TOY_ADDR, 4, 0x2000);
    client_send(c, VFIO_USER_REGION_WRITE, 0, payload,
                write_payload(payload, BAR0, TOY_WRITE, 4, 2), NULL, 0);
    client_run(c);

    cr_assert_not_null(strstr(c->log->str, "cut a file short"), "%s", c->log->str);
    cr_assert_eq(c->server->socket.client, -1);
    cr_assert(writes(other, 0, 5));
    cr_assert_eq(good.data[0], 5);
    cr_assert_eq(other->log->len, 0);
    client_free(c);
    client_free(other);
}

Test(vfio_user_dma, windows_are_taken_back_when_their_map_goes)
{
    Client *c = toy_client();
    Memory ram = memory_new(0x1000, F_SEAL_SHRINK);
    Memory next = memory_new(0x1000, F_SEAL_SHRINK);

    cr_assert_eq(client_map(c, 0, 0x1000, ram.fd, 0, BOTH), 0);
    cr_assert(writes(c, 0, 1));
    cr_assert_eq(client_unmap(c, 0, 0x1000, 0), 0);
    cr_assert_eq(client_map(c, 0, 0x1000, next.fd, 0, BOTH), 0);
    cr_assert(writes(c, 0, 2));
    cr_assert_eq(ram.data[0], 1);
    cr_assert_eq(next.data[0], 2);
    client_free(c);
}

/* --- traffic ----------------------------------------------------------------------- */

enum {
    RDP = 0x10,
    RAP = 0x12,
    BASE = 0x100000, /* bus address of the card's memory */
    INIT = 0x0000,
    RX_RING = 0x1000,
    TX_RING = 0x2000,
    RX_BUFFER = 0x3000,
    TX_BUFFER = 0x4000,
};

static void csr(Client *c, unsigned index, unsigned value)
{
    client_write(c, BAR0, RAP, 2, index);
    client_write(c, BAR0, RDP, 2, value);
}

static unsigned csr0(Client *c)
{
    client_write(c, BAR0, RAP, 2, 0);
    return (unsigned)client_read(c, BAR0, RDP, 2);
}

/* Software style 2: 32-bit descriptors; rings of one. */
static void lay_out(uint8_t *ram)
{
    devemu_put_le16(ram + INIT, 0x8000); /* promiscuous */
    memcpy(ram + INIT + 4, "\x52\x54\0\x12\x34\x56", 6);
    devemu_put_le32(ram + INIT + 20, BASE + RX_RING);
    devemu_put_le32(ram + INIT + 24, BASE + TX_RING);
    devemu_put_le32(ram + RX_RING, BASE + RX_BUFFER);
    devemu_put_le32(ram + RX_RING + 4, 0x80000000 | 0xf000 | (0x1000 - 1536));
    devemu_put_le32(ram + TX_RING, BASE + TX_BUFFER);
    devemu_put_le32(ram + TX_RING + 4, 0x83000000 | 0xf000 | (0x1000 - 60));
    for (unsigned i = 0; i < 60; i++) {
        ram[TX_BUFFER + i] = (uint8_t)(i * 3);
    }
}

static void start(Client *c)
{
    client_write(c, CONFIG, REG_COMMAND, 2, 5);
    client_write(c, BAR0, RAP, 2, 20);
    client_write(c, BAR0, 0x16, 2, 2);
    csr(c, 1, (BASE + INIT) & 0xffff);
    csr(c, 2, (BASE + INIT) >> 16);
    csr(c, 0, 0x0043); /* INIT, STRT, INEA */
}

/* A frame goes out of one client's memory and into the other's, through two servers on a switch,
 * with interrupts at both ends. */
Test(vfio_user_dma, two_cards_on_a_switch_exchange_a_frame, .timeout = 60)
{
    GMainContext *context = g_main_context_new();
    DevemuSwitch *hub = devemu_switch_new(NULL, context, NULL);
    Client *ends[2];
    DevemuNet *nets[2];
    Memory rams[2];
    int events[2];

    for (unsigned i = 0; i < 2; i++) {
        DevemuDevice *dev = make(devemu_model_find("am79c970a"), NULL);

        nets[i] = devemu_switch_port(hub);
        devemu_net_attach(nets[i], dev);
        ends[i] = client_new_on(dev, "", context);
        cr_assert_eq(client_version(ends[i], NULL), 0);
        rams[i] = memory_new(0x10000, F_SEAL_SHRINK);
        events[i] = event_new();
        lay_out(rams[i].data);
        cr_assert_eq(client_map(ends[i], BASE, 0x10000, rams[i].fd, 0, BOTH), 0);
        cr_assert_eq(client_irqs(ends[i], 4 | 32, 0, 0, 1, &events[i], 1), 0);
    }
    devemu_put_le32(rams[1].data + TX_RING + 4, 0);
    start(ends[1]);
    while (!(csr0(ends[1]) & 0x0100)) {
        g_main_context_iteration(context, FALSE);
    }
    start(ends[0]);
    while (devemu_le32(rams[1].data + RX_RING + 4) & 0x80000000) {
        g_main_context_iteration(context, TRUE);
    }

    cr_assert_eq(devemu_le32(rams[1].data + RX_RING + 8) & 0xfff, 64);
    cr_assert_arr_eq(rams[1].data + RX_BUFFER, rams[0].data + TX_BUFFER, 60);
    cr_assert_eq(csr0(ends[1]) & 0x0400, 0x0400);
    cr_assert_gt(event_count(events[1]), 0);
    while (!(csr0(ends[0]) & 0x0200)) {
        g_main_context_iteration(context, FALSE);
    }
    cr_assert_gt(event_count(events[0]), 0);
    for (unsigned i = 0; i < 2; i++) {
        client_free(ends[i]);
        devemu_net_free(nets[i]);
        memory_free(&rams[i]);
    }
    devemu_switch_free(hub);
    g_main_context_unref(context);
}
