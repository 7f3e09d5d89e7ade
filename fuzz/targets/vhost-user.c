/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.c: the fuzzer of the vhost-user server. An input is read from the front: the device,
 * then what the client does: messages, raw bytes, kicks, buffers in its rings, files cut short.
 *
 * A message has a header that is right unless the input wants it wrong, and a payload by the row
 * of its request: for each field one byte chooses from what such a field may be interesting with.
 * Descriptors that go with it are memory, eventfds, and what is neither. The server has a real
 * socket; it is run until it has nothing to do after every message, or after several. With
 * FUZZ_VERBOSE set in the environment each message is printed before it is sent.
 */
#define _GNU_SOURCE
#include "../../lib/servers/vhost-user.h"
#include "../../tests/servers/send-fds.h"

#include <devemu/backends.h>
#include <devemu/list.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
    MEMORY = 0x20000,
    FILES = 5, /* memory, memory that may shrink, an eventfd, a socket, a pipe */
    OPS = 200,
    TURNS = 64, /* of the server's loop for one message */
};

#define GUEST UINT64_C(0x10000)
#define USER  UINT64_C(0x700000000000)

typedef struct Fuzz {
    const uint8_t *data;
    size_t len;
    bool verbose;
    GMainContext *context;
    DevemuVhostUser *server;
    DevemuChr *chr;
    DevemuNet *net;
    DevemuBlock *block;
    int fd, other; /* the client's end of the socket; of the channel */
    int files[FILES];
    int ends[2]; /* the other ends of a socket and a pipe */
    uint8_t *ram;
    uint8_t payload[VHOST_MAX_PAYLOAD];
} Fuzz;

static uint8_t take(Fuzz *f)
{
    if (f->len == 0) {
        return 0;
    }
    f->len--;
    return *f->data++;
}

/* --- fields ------------------------------------------------------------------------ */

typedef enum Kind {
    KIND_END,
    KIND_ZERO4,
    KIND_ZERO8,
    KIND_RING,     /* 4 bytes */
    KIND_RING_FD,  /* 8 bytes, with a flag */
    KIND_NUM,      /* 4 bytes: a size, a base, 0 or 1 */
    KIND_COUNT,    /* 4 bytes: of regions */
    KIND_FEATURES, /* 8 bytes */
    KIND_PROTOCOL,
    KIND_GUEST, /* 8 bytes: an address */
    KIND_USER,
    KIND_LEN,
    KIND_STATUS,
    KIND_CONFIG_AT, /* 4 bytes */
    KIND_BYTES,     /* 16 of the input */
    KIND_IOTLB,     /* permission and type */
} Kind;

typedef struct Row {
    unsigned request;
    Kind kinds[12];
    unsigned fds;
} Row;

static const Row rows[] = {
    {VHOST_USER_GET_FEATURES, {0}, 0},
    {VHOST_USER_SET_FEATURES, {KIND_FEATURES}, 0},
    {VHOST_USER_SET_OWNER, {0}, 0},
    {VHOST_USER_RESET_OWNER, {0}, 0},
    {VHOST_USER_SET_MEM_TABLE,
     {KIND_COUNT, KIND_ZERO4, KIND_GUEST, KIND_LEN, KIND_USER, KIND_LEN, KIND_GUEST, KIND_LEN,
      KIND_USER, KIND_ZERO8},
     1},
    {VHOST_USER_SET_LOG_BASE, {KIND_LEN, KIND_LEN}, 1},
    {VHOST_USER_SET_LOG_FD, {0}, 1},
    {VHOST_USER_SET_VRING_NUM, {KIND_RING, KIND_NUM}, 0},
    {VHOST_USER_SET_VRING_ADDR,
     {KIND_RING, KIND_NUM, KIND_USER, KIND_USER, KIND_USER, KIND_GUEST},
     0},
    {VHOST_USER_SET_VRING_BASE, {KIND_RING, KIND_NUM}, 0},
    {VHOST_USER_GET_VRING_BASE, {KIND_RING, KIND_NUM}, 0},
    {VHOST_USER_SET_VRING_KICK, {KIND_RING_FD}, 1},
    {VHOST_USER_SET_VRING_CALL, {KIND_RING_FD}, 1},
    {VHOST_USER_SET_VRING_ERR, {KIND_RING_FD}, 1},
    {VHOST_USER_GET_PROTOCOL_FEATURES, {0}, 0},
    {VHOST_USER_SET_PROTOCOL_FEATURES, {KIND_PROTOCOL}, 0},
    {VHOST_USER_GET_QUEUE_NUM, {0}, 0},
    {VHOST_USER_SET_VRING_ENABLE, {KIND_RING, KIND_NUM}, 0},
    {VHOST_USER_SET_BACKEND_REQ_FD, {0}, 1},
    {VHOST_USER_IOTLB_MSG, {KIND_GUEST, KIND_LEN, KIND_USER, KIND_IOTLB}, 0},
    {VHOST_USER_GET_CONFIG, {KIND_CONFIG_AT, KIND_CONFIG_AT, KIND_ZERO4, KIND_BYTES}, 0},
    {VHOST_USER_SET_CONFIG, {KIND_CONFIG_AT, KIND_CONFIG_AT, KIND_ZERO4, KIND_BYTES}, 0},
    {VHOST_USER_GET_INFLIGHT_FD, {KIND_LEN, KIND_LEN, KIND_NUM}, 0},
    {VHOST_USER_SET_INFLIGHT_FD, {KIND_LEN, KIND_LEN, KIND_NUM}, 1},
    {VHOST_USER_RESET_DEVICE, {0}, 0},
    {VHOST_USER_VRING_KICK, {KIND_RING, KIND_NUM}, 0},
    {VHOST_USER_GET_MAX_MEM_SLOTS, {0}, 0},
    {VHOST_USER_ADD_MEM_REG, {KIND_ZERO8, KIND_GUEST, KIND_LEN, KIND_USER, KIND_ZERO8}, 1},
    {VHOST_USER_REM_MEM_REG, {KIND_ZERO8, KIND_GUEST, KIND_LEN, KIND_USER, KIND_ZERO8}, 0},
    {VHOST_USER_SET_STATUS, {KIND_STATUS}, 0},
    {VHOST_USER_GET_STATUS, {0}, 0},
    {VHOST_USER_SET_DEVICE_STATE_FD, {KIND_NUM, KIND_ZERO4}, 1},
    {VHOST_USER_CHECK_DEVICE_STATE, {0}, 0},
    {99, {KIND_BYTES}, 1},
};

static const uint64_t lengths[] = {0,          MEMORY,    MEMORY / 2, 0x1000,     1,
                                   UINT64_MAX, INT64_MAX, 0xfff,      0x100000000};
static const uint64_t guests[] = {GUEST, 0, GUEST + MEMORY / 2, UINT64_MAX, UINT64_MAX - 0xfff};
static const uint32_t nums[] = {16, 0, 1, 256, 8, 3, 0x8000, 0x80008000, UINT32_MAX};

static size_t put32(uint8_t *to, uint32_t value)
{
    server_put32(to, value);
    return 4;
}

static size_t put64(uint8_t *to, uint64_t value)
{
    server_put64(to, value);
    return 8;
}

static size_t put_field(Fuzz *f, Kind kind, uint8_t *to)
{
    uint8_t choice = kind == KIND_ZERO4 || kind == KIND_ZERO8 ? 0 : take(f);

    switch (kind) {
    case KIND_END:
        return 0;
    case KIND_ZERO4:
        return put32(to, 0);
    case KIND_ZERO8:
        return put64(to, 0);
    case KIND_RING:
        return put32(to, choice % 6);
    case KIND_RING_FD:
        return put64(to, choice % 6 | (choice & 0x80 ? VHOST_NO_FD : 0));
    case KIND_NUM:
        return put32(to, nums[choice % G_N_ELEMENTS(nums)]);
    case KIND_COUNT:
        return put32(to, choice < 200 ? 1 : choice % 10);
    case KIND_FEATURES:
        return put64(to, VHOST_BIT(VIRTIO_F_VERSION_1) |
                             (uint64_t)(choice & 1) << VHOST_PROTOCOL_FEATURES |
                             (uint64_t)(choice >> 1 & 1) << VHOST_LOG_ALL |
                             (uint64_t)(choice >> 2 & 1) << VIRTIO_F_RING_PACKED |
                             (uint64_t)(choice >> 3 & 1) << VIRTIO_F_EVENT_IDX |
                             (uint64_t)(choice >> 4 & 1) << VIRTIO_F_INDIRECT_DESC |
                             (uint64_t)(choice >> 5 & 1) << VIRTIO_F_ACCESS_PLATFORM |
                             (choice == 0xff ? UINT64_MAX : 0));
    case KIND_PROTOCOL:
        return put64(to, choice < 200 ? f->server->protocol | 0x8d22b : (uint64_t)choice << 9);
    case KIND_GUEST:
        return put64(to, guests[choice % G_N_ELEMENTS(guests)] + (choice >> 4) * 0x1000u);
    case KIND_USER:
        return put64(to, choice < 240 ? USER + choice * 0x200u : choice);
    case KIND_LEN:
        return put64(to, lengths[choice % G_N_ELEMENTS(lengths)]);
    case KIND_STATUS:
        return put64(to, choice);
    case KIND_CONFIG_AT:
        return put32(to, choice < 250 ? choice % 80 : UINT32_MAX - choice % 4);
    case KIND_BYTES:
        for (unsigned i = 0; i < 16; i++) {
            to[i] = take(f);
        }
        return 16;
    case KIND_IOTLB:
        to[0] = choice & 3;
        to[1] = choice >> 2 & 7;
        return 8;
    }
    return 0;
}

/* --- what the client does ---------------------------------------------------------- */

static void turn(Fuzz *f)
{
    uint8_t junk[4096];

    for (unsigned i = 0; i < TURNS && g_main_context_iteration(f->context, FALSE); i++) {
    }
    while (recv(f->fd, junk, sizeof(junk), MSG_DONTWAIT) > 0) {
    }
    while (recv(f->other, junk, sizeof(junk), MSG_DONTWAIT) > 0) {
    }
}

static void put_out(Fuzz *f, const uint8_t *bytes, size_t len, const int *fds, unsigned fd_count)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    ssize_t sent G_GNUC_UNUSED;

    if (f->verbose) {
        fprintf(stderr, "request %u, %zu bytes, %u descriptors\n",
                len >= 4 ? server_get32(bytes) : 0, len, fd_count);
    }
    sent = send_fds(f->fd, &iov, 1, fds, fd_count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static unsigned take_fds(Fuzz *f, const Row *row, int fds[32])
{
    uint8_t how = take(f);
    unsigned count = how < 220 ? row->fds : how % 20u;

    for (unsigned i = 0; i < count; i++) {
        bool memory =
            row->request == VHOST_USER_SET_MEM_TABLE || row->request == VHOST_USER_ADD_MEM_REG ||
            row->request == VHOST_USER_SET_LOG_BASE || row->request == VHOST_USER_SET_INFLIGHT_FD;
        bool channel = row->request == VHOST_USER_SET_BACKEND_REQ_FD;

        fds[i] = f->files[how >= 192 ? how % FILES : memory ? how & 1 : channel ? 3 : 2];
    }
    return count;
}

static void send_message(Fuzz *f, const Row *row)
{
    uint8_t how = take(f);
    uint8_t *message = f->payload;
    size_t len = VHOST_HEADER_BYTES;
    int fds[32];
    unsigned fd_count = take_fds(f, row, fds);

    for (unsigned i = 0; row->kinds[i] != KIND_END && i < G_N_ELEMENTS(row->kinds); i++) {
        len += put_field(f, row->kinds[i], message + len);
    }
    server_put32(message, row->request);
    server_put32(message + 4, (how & 0x1f) == 0x1f ? take(f) : VHOST_VERSION | (how & 1) << 3);
    server_put32(message + 8,
                 (how & 0xe0) == 0xe0 ? (uint32_t)take(f) << (how & 16) : (uint32_t)len - 12);
    put_out(f, message, len, fds, fd_count);
    if (how & 2) {
        turn(f);
    }
}

static void send_raw(Fuzz *f)
{
    size_t len = take(f) % 40u;

    for (size_t i = 0; i < len; i++) {
        f->payload[i] = take(f);
    }
    put_out(f, f->payload, len, f->files, take(f) == 7 ? 2 : 0);
}

/* A split ring's worth: a descriptor, an entry, an index; anywhere. */
static void scribble(Fuzz *f)
{
    uint32_t at = (uint32_t)(take(f) * 0x200u + take(f) * 2u) % (MEMORY - 16);

    devemu_put_le64(f->ram + at, guests[take(f) % G_N_ELEMENTS(guests)] + take(f) * 0x100u);
    devemu_put_le32(f->ram + at + 8, take(f) * 16u);
    devemu_put_le16(f->ram + at + 12, take(f) & 7);
    devemu_put_le16(f->ram + at + 14, take(f));
}

static void add_index(Fuzz *f)
{
    uint32_t at = take(f) * 0x200u % (MEMORY - 4) + 2;

    devemu_put_le16(f->ram + at, (uint16_t)(devemu_le16(f->ram + at) + take(f) % 4));
}

static void kick(Fuzz *f)
{
    const uint64_t one = 1;
    ssize_t written G_GNUC_UNUSED = write(f->files[2], &one, sizeof(one));

    turn(f);
}

static void feed(Fuzz *f)
{
    static const uint8_t frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (f->chr) {
        devemu_chr_put(f->chr, frame, 64);
    } else {
        devemu_device_receive(f->server->dev, frame, sizeof(frame));
    }
    turn(f);
}

static void cut_file(Fuzz *f)
{
    int failed G_GNUC_UNUSED = ftruncate(f->files[1], take(f) & 1 ? 0 : MEMORY);
}

static void run_turn(Fuzz *f)
{
    turn(f);
}

/* --- a life ------------------------------------------------------------------------ */

static DevemuDevice *make_device(Fuzz *f)
{
    static const char *const names[] = {"virtio-rng", "virtio-net", "virtio-blk"};
    uint8_t choice = take(f);
    const DevemuModel *model = devemu_model_find(names[choice % 3]);
    DevemuDevice *dev;

    model = model ? model : devemu_model_find("virtio-rng");
    dev =
        devemu_device_new(model, choice & 0x80 ? "packed=on,iommu_platform=on" : "packed=on", NULL);
    if (model->is_char) {
        f->chr = devemu_chr_new("memory", f->context, NULL);
        devemu_chr_attach(f->chr, dev);
    } else if (model->is_net) {
        f->net = devemu_net_null_new();
        devemu_net_attach(f->net, dev);
    } else {
        f->block = devemu_block_new("memory:1M", f->context, NULL);
        devemu_block_attach(f->block, dev);
    }
    return dev;
}

static bool open_files(Fuzz *f)
{
    int sockets[2], ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0 ||
        pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        return false;
    }
    f->files[0] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    f->files[1] = memfd_create("open", MFD_CLOEXEC);
    f->files[2] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->files[3] = sockets[0];
    f->files[4] = ends[1];
    f->other = f->ends[0] = sockets[1];
    f->ends[1] = ends[0];
    return ftruncate(f->files[0], MEMORY) == 0 && ftruncate(f->files[1], MEMORY) == 0 &&
           fcntl(f->files[0], F_ADD_SEALS, F_SEAL_SHRINK) == 0;
}

static bool begin(Fuzz *f)
{
    g_autofree char *address = NULL;
    uint8_t hello[] = {VHOST_USER_SET_PROTOCOL_FEATURES,
                       0,
                       0,
                       0,
                       1,
                       0,
                       0,
                       0,
                       8,
                       0,
                       0,
                       0,
                       0x2b,
                       0xf2,
                       9,
                       0,
                       0,
                       0,
                       0,
                       0};
    int pair[2];

    if (!open_files(f) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return false;
    }
    f->ram = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, f->files[0], 0);
    f->fd = pair[0];
    address = g_strdup_printf("fd:%d", pair[1]);
    f->context = g_main_context_new();
    f->server = devemu_vhost_user_new(make_device(f), address, f->context, NULL);
    g_assert(f->server != NULL && f->ram != MAP_FAILED);
    if (take(f) & 0xe) {
        put_out(f, hello, sizeof(hello), NULL, 0);
        turn(f);
    }
    return true;
}

static void end(Fuzz *f)
{
    turn(f);
    close(f->fd);
    turn(f);
    devemu_vhost_user_free(f->server);
    devemu_chr_free(f->chr);
    devemu_net_free(f->net);
    devemu_block_free(f->block);
    g_main_context_unref(f->context);
    munmap(f->ram, MEMORY);
    for (unsigned i = 0; i < FILES; i++) {
        close(f->files[i]);
    }
    close(f->ends[0]);
    close(f->ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const others[])(Fuzz * f) = {run_turn, kick,     scribble, add_index, feed,
                                               kick,     send_raw, cut_file, scribble};
    Fuzz *f = g_new0(Fuzz, 1);

    f->data = data;
    f->len = len;
    f->verbose = g_getenv("FUZZ_VERBOSE") != NULL;
    if (!begin(f)) {
        g_error("vhost-user: no descriptors left");
    }
    for (unsigned i = 0; i < OPS && f->len > 0 && f->server->socket.client >= 0; i++) {
        uint8_t op = take(f);

        if (op < 160) {
            send_message(f, &rows[op % G_N_ELEMENTS(rows)]);
        } else {
            others[op % G_N_ELEMENTS(others)](f);
        }
    }
    end(f);
    g_free(f);
    return 0;
}
