/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c: the fuzzer of the vfio-user server. An input is read from the front: the device and
 * its server's options, then what the client does: messages, raw bytes, answers, files cut short.
 *
 * A message has a header that is right unless the input wants it wrong, and a payload by the row
 * of its command: for each field one byte chooses from what such a field may be interesting with.
 * Descriptors that go with it are memory, eventfds, and what is neither. The server has a real
 * socket; it is run until it has nothing to do after every message, or after several. With
 * FUZZ_VERBOSE set in the environment each message is printed before it is sent.
 */
#define _GNU_SOURCE
#include "../../lib/servers/vfio-user.h"
#include "../../tests/servers/send-fds.h"

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
    FILES = 4, /* memory, memory that may shrink, an eventfd, a pipe */
    MESSAGES = 200,
    TURNS = 64, /* of the server's loop for one message */
    PAYLOAD = 4096,
    DIRTY_PAGES = 14, /* of the specification before 0.9.2 */
};

typedef struct Fuzz {
    const uint8_t *data;
    size_t len;
    bool verbose;
    GMainContext *context;
    DevemuVfioUser *server;
    int fd;
    int files[FILES], pipe_end;
    uint16_t id, asked_id, asked_command;
    uint64_t asked[2];
    uint8_t payload[PAYLOAD + 256];
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
    KIND_ROOM, /* argsz */
    KIND_BITS, /* flags */
    KIND_REGION,
    KIND_AT,    /* offset in a region, 8 bytes */
    KIND_COUNT, /* bytes of an access */
    KIND_ADDR,  /* 8 bytes */
    KIND_LEN,   /* 8 bytes */
    KIND_PAGE,  /* 8 bytes */
    KIND_FEATURE,
    KIND_STATE,
    KIND_IRQ_FLAGS,
    KIND_IRQ,
    KIND_SMALL, /* number of something */
} Kind;

static const uint64_t lengths[] = {0,          1,          0x1000,        0x2000,
                                   0x10000,    MEMORY,     MEMORY + 1,    UINT64_C(1) << 32,
                                   UINT64_MAX, INT64_MAX,  0x1001,        UINT64_C(1) << 35,
                                   0xfffff000, UINT32_MAX, VFIO_MAX_XFER, VFIO_MAX_XFER + 1};
static const uint64_t addresses[] = {
    0, 0x1000, 0x2000, 0x10000, 0x20000, 0x40000000, 1, UINT64_MAX, 0xfffff000, UINT64_MAX - 0xfff};
static const uint64_t offsets[] = {0,    4,    0x10, 0x12, 0x14, 0x16, 0x30,       0x40,
                                   0x1f, 0x20, 0x3c, 0xff, 256,  4096, UINT64_MAX, UINT32_MAX};
static const uint32_t rooms[] = {8, 16, 20, 24, 32, 40, 64, 0, 4, 7, 1032, 65536, UINT32_MAX};
static const uint32_t features[] = {1 | 1 << 16, 2 | 1 << 16, 2 | 1 << 17, 6 | 1 << 17,
                                    7 | 1 << 17, 8 | 1 << 16, 2 | 7 << 16, 3 | 1 << 16};
static const uint32_t irq_flags[] = {0x24, 0x21, 0x22, 0x11, 0x12, 0x09, 0x0a, 0x14, 0x3f};

/* The upper values of a byte are another byte or more, as they are. */
static uint64_t pick(Fuzz *f, const uint64_t *from, size_t count)
{
    uint8_t choice = take(f);
    uint64_t value = 0;

    if (choice < 192) {
        return from[choice % count];
    }
    for (unsigned i = 0; i < 1u << (choice & 3); i++) {
        value |= (uint64_t)take(f) << (8 * i);
    }
    return value;
}

static uint32_t pick32(Fuzz *f, const uint32_t *from, size_t count)
{
    uint8_t choice = take(f);

    return choice < 224 ? from[choice % count] : (uint32_t)choice << 24 | take(f);
}

#define PICK(f, table)   pick(f, table, G_N_ELEMENTS(table))
#define PICK32(f, table) pick32(f, table, G_N_ELEMENTS(table))

static size_t put_field(Fuzz *f, Kind kind, uint8_t *to)
{
    static const Kind wide[] = {KIND_AT, KIND_ADDR, KIND_LEN, KIND_PAGE};
    uint64_t value = 0;

    switch (kind) {
    case KIND_ROOM:
        value = PICK32(f, rooms);
        break;
    case KIND_BITS:
    case KIND_STATE:
    case KIND_REGION:
    case KIND_SMALL:
        value = take(f);
        value = value < 128    ? value % (kind == KIND_BITS ? 4 : 8)
                : value == 255 ? UINT32_MAX
                               : value;
        break;
    case KIND_AT:
        value = PICK(f, offsets);
        break;
    case KIND_COUNT:
        value = take(f);
        value = value < 192 ? 1u << (value % 4) : value == 255 ? UINT32_MAX : value;
        break;
    case KIND_ADDR:
        value = PICK(f, addresses);
        break;
    case KIND_LEN:
        value = PICK(f, lengths);
        break;
    case KIND_PAGE:
        value = UINT64_C(1) << (take(f) % 64);
        break;
    case KIND_FEATURE:
        value = PICK32(f, features);
        break;
    case KIND_IRQ_FLAGS:
        value = PICK32(f, irq_flags);
        break;
    case KIND_IRQ:
        value = take(f) % 6;
        break;
    default:
        break;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(wide); i++) {
        if (kind == wide[i]) {
            server_put64(to, value);
            return 8;
        }
    }
    server_put32(to, (uint32_t)value);
    return 4;
}

/* --- messages ---------------------------------------------------------------------- */

typedef struct Row {
    uint16_t command;
    Kind fields[8];
    bool data; /* bytes behind the fields */
    bool fds;
} Row;

static const Row rows[] = {
    {VFIO_USER_REGION_READ, {KIND_AT, KIND_REGION, KIND_COUNT}, false, false},
    {VFIO_USER_REGION_WRITE, {KIND_AT, KIND_REGION, KIND_COUNT}, true, false},
    {VFIO_USER_REGION_WRITE, {KIND_AT, KIND_REGION, KIND_COUNT}, true, false},
    {VFIO_USER_DMA_MAP, {KIND_ROOM, KIND_BITS, KIND_ADDR, KIND_ADDR, KIND_LEN}, false, true},
    {VFIO_USER_DMA_UNMAP, {KIND_ROOM, KIND_BITS, KIND_ADDR, KIND_LEN}, false, false},
    {VFIO_USER_DEVICE_GET_INFO, {KIND_ROOM, KIND_ZERO4, KIND_ZERO4, KIND_ZERO4}, false, false},
    {VFIO_USER_DEVICE_GET_REGION_INFO,
     {KIND_ROOM, KIND_ZERO4, KIND_REGION, KIND_ZERO4, KIND_AT, KIND_AT},
     false,
     false},
    {VFIO_USER_DEVICE_GET_REGION_IO_FDS,
     {KIND_ROOM, KIND_ZERO4, KIND_REGION, KIND_ZERO4},
     false,
     false},
    {VFIO_USER_DEVICE_GET_IRQ_INFO, {KIND_ROOM, KIND_ZERO4, KIND_IRQ, KIND_ZERO4}, false, false},
    {VFIO_USER_DEVICE_SET_IRQS,
     {KIND_ROOM, KIND_IRQ_FLAGS, KIND_IRQ, KIND_SMALL, KIND_SMALL},
     true,
     true},
    {VFIO_USER_DEVICE_RESET, {KIND_END}, false, false},
    {VFIO_USER_REGION_WRITE_MULTI,
     {KIND_SMALL, KIND_ZERO4, KIND_AT, KIND_REGION, KIND_COUNT, KIND_ADDR},
     true,
     false},
    {VFIO_USER_DEVICE_FEATURE, {KIND_ROOM, KIND_FEATURE, KIND_STATE, KIND_SMALL}, false, false},
    {VFIO_USER_DEVICE_FEATURE, {KIND_ROOM, KIND_FEATURE, KIND_STATE, KIND_SMALL}, false, false},
    {VFIO_USER_DEVICE_FEATURE,
     {KIND_ROOM, KIND_FEATURE, KIND_PAGE, KIND_SMALL, KIND_ZERO4, KIND_ADDR, KIND_LEN},
     false,
     false},
    {VFIO_USER_DEVICE_FEATURE,
     {KIND_ROOM, KIND_FEATURE, KIND_ADDR, KIND_LEN, KIND_PAGE},
     false,
     false},
    {VFIO_USER_MIG_DATA_READ, {KIND_ROOM, KIND_ROOM}, false, false},
    {VFIO_USER_MIG_DATA_WRITE, {KIND_ROOM, KIND_SMALL}, true, false},
    {VFIO_USER_VERSION, {KIND_SMALL}, true, false},
    {DIRTY_PAGES, {KIND_ROOM, KIND_BITS}, true, false},
};

static void print(const Fuzz *f, const uint8_t *bytes, size_t len, unsigned fd_count)
{
    if (f->verbose) {
        fprintf(stderr, "send %zu bytes, %u descriptors:", len, fd_count);
        for (size_t i = 0; i < MIN(len, 96); i++) {
            fprintf(stderr, "%s%02x", i % 4 ? "" : " ", bytes[i]);
        }
        fprintf(stderr, "\n");
    }
}

static void put_out(Fuzz *f, const uint8_t *bytes, size_t len, const int *fds, unsigned fd_count)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};

    print(f, bytes, len, fd_count);
    if (send_fds(f->fd, &iov, 1, fds, fd_count, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && f->verbose) {
        fprintf(stderr, "not taken\n");
    }
}

static void turn(Fuzz *f)
{
    for (unsigned i = 0; i < TURNS && g_main_context_iteration(f->context, FALSE); i++) {
    }
}

static unsigned take_fds(Fuzz *f, int *fds)
{
    uint8_t choice = take(f);
    unsigned count = choice < 192 ? choice % 3 : choice % 9;

    for (unsigned i = 0; i < count; i++) {
        fds[i] = f->files[(choice >> 4 ^ i) % FILES];
    }
    return count;
}

/* The bytes of an access follow its count; other data have a length of their own. */
static size_t put_data(Fuzz *f, const Row *row, size_t at)
{
    size_t len = take(f);

    if (row->command == VFIO_USER_REGION_WRITE && len < 192) {
        len = server_get32(f->payload + 12) & 0xff;
    } else if (row->command == VFIO_USER_MIG_DATA_WRITE && len < 192) {
        len = server_get32(f->payload + 4) & 0xff;
    }
    for (size_t i = 0; i < len; i++) {
        f->payload[at + i] = take(f);
    }
    return at + len;
}

/* Header and payload in one piece, or in two with a turn of the server between them. */
static void send_message(Fuzz *f, const Row *row)
{
    uint8_t message[VFIO_HEADER_BYTES + sizeof(f->payload)] = {0};
    uint8_t how = take(f);
    size_t len = 0;
    unsigned fd_count = 0;
    int fds[8];

    for (const Kind *kind = row->fields; *kind != KIND_END; kind++) {
        len += put_field(f, *kind, f->payload + len);
    }
    len = row->data ? put_data(f, row, len) : len;
    fd_count = row->fds || (how & 0x20) ? take_fds(f, fds) : 0;
    server_put16(message, ++f->id);
    server_put16(message + 2, row->command);
    server_put32(message + 4, (uint32_t)(VFIO_HEADER_BYTES + len));
    server_put32(message + 8, how & 3 ? 0 : VFIO_FLAG_NO_REPLY);
    if ((how & 0xc0) == 0xc0) {
        message[4 + take(f) % 8] = take(f); /* size or flags are wrong */
    }
    memcpy(message + VFIO_HEADER_BYTES, f->payload, len);
    len += VFIO_HEADER_BYTES;
    if ((how & 0x1c) == 0x1c) {
        size_t cut = take(f) % len;

        put_out(f, message, cut, NULL, 0);
        turn(f);
        put_out(f, message + cut, len - cut, fds, fd_count);
    } else {
        put_out(f, message, len, fds, fd_count);
    }
    if (how & 8) {
        turn(f);
    }
}

/* --- what else a client does ------------------------------------------------------- */

/* Read what the server has to say; keep its last command. */
static void listen_to(Fuzz *f)
{
    uint8_t bytes[65536];
    ssize_t got;

    while ((got = recv(f->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        for (size_t at = 0; at + VFIO_HEADER_BYTES + 16 <= (size_t)got;) {
            uint32_t size = server_get32(bytes + at + 4);

            if ((server_get32(bytes + at + 8) & VFIO_FLAG_TYPE) == VFIO_TYPE_COMMAND) {
                f->asked_id = server_get16(bytes + at);
                f->asked_command = server_get16(bytes + at + 2);
                f->asked[0] = server_get64(bytes + at + 16);
                f->asked[1] = server_get64(bytes + at + 24);
            }
            at += MAX(size, VFIO_HEADER_BYTES);
        }
    }
}

/* A reply to the server's last command, right or not. */
static void answer(Fuzz *f)
{
    uint8_t message[VFIO_HEADER_BYTES + 16 + 2048] = {0};
    uint8_t how = take(f);
    size_t len = 16;

    listen_to(f);
    if (f->asked_command == VFIO_USER_DMA_READ) {
        len += (size_t)MIN(f->asked[1], 2048);
    }
    server_put16(message, f->asked_id);
    server_put16(message + 2, f->asked_command);
    server_put32(message + 8, VFIO_TYPE_REPLY | (how & 1 ? VFIO_FLAG_ERROR : 0));
    server_put64(message + 16, f->asked[0]);
    server_put64(message + 24, f->asked[1]);
    for (size_t i = 16; i < MIN(len, 80); i++) {
        message[VFIO_HEADER_BYTES + i] = take(f);
    }
    if (how & 0x80) {
        message[take(f) % 32] = take(f);
    }
    len = how & 1 ? VFIO_HEADER_BYTES : VFIO_HEADER_BYTES + len;
    server_put32(message + 4, (uint32_t)len);
    put_out(f, message, len, NULL, 0);
    turn(f);
}

static void send_raw(Fuzz *f)
{
    uint8_t bytes[64];
    size_t len = take(f) % sizeof(bytes) + 1;

    for (size_t i = 0; i < len; i++) {
        bytes[i] = take(f);
    }
    put_out(f, bytes, len, NULL, 0);
    turn(f);
}

static void cut_file(Fuzz *f)
{
    int ok G_GNUC_UNUSED = ftruncate(f->files[1], (take(f) & 0x1f) * 4096);

    turn(f);
}

/* What was saved comes back, with a byte of it changed perhaps. */
static void migrate(Fuzz *f)
{
    static const uint8_t states[] = {VFIO_STATE_STOP_COPY, VFIO_STATE_RESUMING, VFIO_STATE_RUNNING};
    DevemuVfioUser *s = f->server;
    GByteArray *copy = g_byte_array_new();
    uint8_t how = take(f);

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        uint8_t message[VFIO_HEADER_BYTES + 16] = {0};

        server_put16(message + 2, VFIO_USER_DEVICE_FEATURE);
        server_put32(message + 4, sizeof(message));
        server_put32(message + 16, 16);
        server_put32(message + 20, 2 | 1 << 17);
        server_put32(message + 24, states[i]);
        put_out(f, message, sizeof(message), NULL, 0);
        turn(f);
        listen_to(f);
        if (states[i] == VFIO_STATE_STOP_COPY) {
            g_byte_array_append(copy, s->migration.stream->data, s->migration.stream->len);
            for (unsigned n = 0; copy->len > 0 && n < (how & 3u); n++) {
                unsigned at = take(f);

                at |= (unsigned)take(f) << 8;
                copy->data[at % copy->len] = take(f);
            }
        } else if (s->migration.state == VFIO_STATE_RESUMING) {
            g_byte_array_append(s->migration.stream, copy->data, copy->len);
        }
    }
    g_byte_array_unref(copy);
}

/* --- a life ------------------------------------------------------------------------ */

static DevemuDevice *make_device(uint8_t choice)
{
    const DevemuModel *found = devemu_model_find("am79c970a");

    for (size_t i = 0; choice % 4 == 3 && devemu_models[i]; i++) {
        if (devemu_models[i]->pci && i >= choice / 4 % 32u) {
            found = devemu_models[i];
            break;
        }
    }
    return devemu_device_new(found, NULL, NULL);
}

static bool begin(Fuzz *f)
{
    static const char version[] =
        "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true}}";
    uint8_t hello[VFIO_HEADER_BYTES + sizeof(version)] = {0};
    uint8_t head = take(f);
    DevemuDevice *dev = make_device(take(f));
    g_autofree char *address = NULL;
    int pair[2], ends[2];

    if (dev == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        return false;
    }
    f->fd = pair[0];
    f->pipe_end = ends[0];
    f->files[0] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    f->files[1] = memfd_create("open", MFD_CLOEXEC);
    f->files[2] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->files[3] = ends[1];
    if (ftruncate(f->files[0], MEMORY) < 0 || ftruncate(f->files[1], MEMORY) < 0 ||
        fcntl(f->files[0], F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
        return false;
    }
    address = g_strdup_printf("fd:%d,write-multiple=%s", pair[1], head & 1 ? "on" : "off");
    f->context = g_main_context_new();
    f->server = devemu_vfio_user_new(dev, address, f->context, NULL);
    g_assert(f->server != NULL);
    if (head & 0xe) {
        server_put16(hello + 2, VFIO_USER_VERSION);
        server_put32(hello + 4, sizeof(hello));
        memcpy(hello + VFIO_HEADER_BYTES, version, sizeof(version));
        put_out(f, hello, sizeof(hello), NULL, 0);
        turn(f);
    }
    return true;
}

static void end(Fuzz *f)
{
    turn(f);
    listen_to(f);
    close(f->fd);
    turn(f);
    devemu_vfio_user_free(f->server);
    g_main_context_unref(f->context);
    for (unsigned i = 0; i < FILES; i++) {
        close(f->files[i]);
    }
    close(f->pipe_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Fuzz *f = g_new0(Fuzz, 1);

    f->data = data;
    f->len = len;
    f->verbose = g_getenv("FUZZ_VERBOSE") != NULL;
    if (!begin(f)) {
        g_error("vfio-user: no descriptors left");
    }
    for (unsigned i = 0; i < MESSAGES && f->len > 0 && f->server->socket.client >= 0; i++) {
        static void (*const others[])(Fuzz * f) = {turn,     listen_to, answer,
                                                   send_raw, cut_file,  migrate};
        uint8_t op = take(f);

        if (op < 208) {
            send_message(f, &rows[op % G_N_ELEMENTS(rows)]);
        } else {
            others[op % G_N_ELEMENTS(others)](f);
        }
    }
    end(f);
    g_free(f);
    return 0;
}
