/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-client.c: see vfio-user-client.h.
 */
#define _GNU_SOURCE
#include "vfio-user-client.h"

#include "send-fds.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    HEADER = 16,
    MOST = 2 << 20,
    XFER = 1 << 20,

    VERSION = 1,
    DMA_MAP = 2,
    DMA_UNMAP = 3,
    SET_IRQS = 8,
    REGION_READ = 9,
    REGION_WRITE = 10,
    DMA_READ = 11,
    DMA_WRITE = 12,
    DEVICE_RESET = 13,
    DEVICE_FEATURE = 16,
    MIG_DATA_READ = 17,
    MIG_DATA_WRITE = 18,

    REPLY = 1,
    NO_REPLY = 1 << 4,
    FAILED = 1 << 5,

    GET = 1 << 16,
    SET = 1 << 17,
    DEVICE_STATE = 2,
    LOGGING_START = 6,
    LOGGING_STOP = 7,
    LOGGING_REPORT = 8,
};

typedef struct Header {
    uint16_t id, command;
    uint32_t size, flags, error;
} Header;

/* --- the socket -------------------------------------------------------------------- */

static int gone(VuClient *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
    return ENOTCONN;
}

static bool send_all(VuClient *c, struct iovec *iov, size_t count, const int *fds,
                     unsigned fd_count)
{
    while (count > 0) {
        ssize_t sent = send_fds(c->fd, iov, count, fds, fd_count, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        fd_count = 0;
        while (count > 0 && (size_t)sent >= iov->iov_len) {
            sent -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + sent;
            iov->iov_len -= (size_t)sent;
        }
    }
    return true;
}

static bool receive_all(VuClient *c, void *to, size_t len)
{
    uint8_t *at = to;

    while (len > 0) {
        ssize_t got = recv(c->fd, at, len, c->spin ? MSG_DONTWAIT : 0);

        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        len -= (size_t)got;
    }
    return true;
}

static bool send_message(VuClient *c, const Header *header, const void *a, size_t a_len,
                         const void *b, size_t b_len, const int *fds, unsigned fd_count)
{
    Header copy = *header;
    struct iovec iov[3] = {
        {&copy, HEADER}, {(void *)(uintptr_t)a, a_len}, {(void *)(uintptr_t)b, b_len}};

    copy.size = (uint32_t)(HEADER + a_len + b_len);
    return send_all(c, iov, 3, fds, fd_count);
}

/* --- the server's commands --------------------------------------------------------- */

static uint8_t *find(VuClient *c, uint64_t addr, uint64_t len)
{
    for (unsigned i = 0; i < c->range_count; i++) {
        const VuRange *r = &c->ranges[i];

        if (addr >= r->addr && addr - r->addr <= r->len && len <= r->len - (addr - r->addr)) {
            return r->data + (addr - r->addr);
        }
    }
    return NULL;
}

/* DMA_READ and DMA_WRITE: address, count, and behind them the data. */
static bool answer(VuClient *c, const Header *command, const uint8_t *payload, size_t len)
{
    Header reply = {.id = command->id, .command = command->command, .flags = REPLY};
    bool write = command->command == DMA_WRITE;
    uint64_t place[2];
    uint8_t *data;

    if (len < sizeof(place) || (command->command != DMA_READ && !write)) {
        return false;
    }
    memcpy(place, payload, sizeof(place));
    data = find(c, place[0], place[1]);
    if (place[1] > XFER || (write && len - sizeof(place) != place[1])) {
        return false;
    }
    c->dma_messages++;
    if (data == NULL) {
        reply.flags |= FAILED;
        reply.error = EFAULT;
        return send_message(c, &reply, NULL, 0, NULL, 0, NULL, 0);
    }
    if (write) {
        memcpy(data, payload + sizeof(place), place[1]);
    }
    return send_message(c, &reply, place, sizeof(place), data, write ? 0 : place[1], NULL, 0);
}

/* The next message, into c->reply. */
static bool receive_message(VuClient *c, Header *ret_header)
{
    if (!receive_all(c, ret_header, HEADER) || ret_header->size < HEADER ||
        ret_header->size > MOST) {
        return false;
    }
    c->reply_len = ret_header->size - HEADER;
    return receive_all(c, c->reply, c->reply_len);
}

static int wait_reply(VuClient *c, const Header *asked)
{
    Header got;

    for (;;) {
        if (!receive_message(c, &got)) {
            return gone(c);
        }
        if ((got.flags & 0xf) == REPLY) {
            break;
        }
        if (!answer(c, &got, c->reply, c->reply_len)) {
            return gone(c);
        }
    }
    if (got.id != asked->id || got.command != asked->command) {
        return gone(c);
    }
    return got.flags & FAILED ? (int)got.error : 0;
}

/* --- messages ---------------------------------------------------------------------- */

static int ask_two(VuClient *c, unsigned command, const void *a, size_t a_len, const void *b,
                   size_t b_len, const int *fds, unsigned fd_count)
{
    Header header = {.id = ++c->id, .command = (uint16_t)command};

    if (c->fd < 0) {
        return ENOTCONN;
    }
    if (!send_message(c, &header, a, a_len, b, b_len, fds, fd_count)) {
        return gone(c);
    }
    return wait_reply(c, &header);
}

int vu_ask(VuClient *c, unsigned command, const void *payload, size_t len, const int *fds,
           unsigned fd_count)
{
    return ask_two(c, command, payload, len, NULL, 0, fds, fd_count);
}

int vu_map(VuClient *c, uint64_t addr, uint64_t len, uint8_t *data, int fd)
{
    const struct {
        uint32_t argsz, flags;
        uint64_t offset, addr, len;
    } map = {32, 3, 0, addr, len};
    int error = c->range_count == VU_RANGES
                    ? ENOSPC
                    : vu_ask(c, DMA_MAP, &map, sizeof(map), &fd, fd >= 0 ? 1 : 0);

    if (error == 0) {
        c->ranges[c->range_count++] = (VuRange){addr, len, data};
    }
    return error;
}

int vu_unmap(VuClient *c, uint64_t addr, uint64_t len)
{
    const struct {
        uint32_t argsz, flags;
        uint64_t addr, len;
    } unmap = {24, 0, addr, len};

    for (unsigned i = 0; i < c->range_count; i++) {
        if (c->ranges[i].addr == addr && c->ranges[i].len == len) {
            c->ranges[i] = c->ranges[--c->range_count];
        }
    }
    return vu_ask(c, DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0);
}

typedef struct Access {
    uint64_t at;
    uint32_t region, count;
} Access;

int vu_read(VuClient *c, unsigned region, uint64_t at, unsigned size, uint64_t *ret_value)
{
    Access access = {at, region, size};
    int error = vu_ask(c, REGION_READ, &access, sizeof(access), NULL, 0);

    if (error == 0 && c->reply_len != sizeof(access) + size) {
        return gone(c);
    }
    if (error == 0) {
        *ret_value = 0;
        memcpy(ret_value, c->reply + sizeof(access), size);
    }
    return error;
}

int vu_write(VuClient *c, unsigned region, uint64_t at, unsigned size, uint64_t value)
{
    Access access = {at, region, size};

    return ask_two(c, REGION_WRITE, &access, sizeof(access), &value, size, NULL, 0);
}

int vu_post(VuClient *c, unsigned region, uint64_t at, unsigned size, uint64_t value)
{
    Header header = {.id = ++c->id, .command = REGION_WRITE, .flags = NO_REPLY};
    Access access = {at, region, size};

    if (c->fd < 0 || !send_message(c, &header, &access, sizeof(access), &value, size, NULL, 0)) {
        return gone(c);
    }
    return 0;
}

int vu_reset(VuClient *c)
{
    return vu_ask(c, DEVICE_RESET, NULL, 0, NULL, 0);
}

static int set_irqs(VuClient *c, uint32_t flags, unsigned index, unsigned start, int fd)
{
    const uint32_t set[5] = {20, flags, index, start, 1};

    return vu_ask(c, SET_IRQS, set, sizeof(set), &fd, fd >= 0 ? 1 : 0);
}

int vu_irq(VuClient *c, unsigned index, unsigned vector, int fd)
{
    return set_irqs(c, 1 << 2 | 1 << 5, index, vector, fd);
}

int vu_unmask(VuClient *c)
{
    return set_irqs(c, 1 << 0 | 1 << 4, VU_INTX, 0, -1);
}

/* --- migration --------------------------------------------------------------------- */

static int feature(VuClient *c, uint32_t flags, uint32_t room, const void *data, size_t len)
{
    const uint32_t head[2] = {8 + room, flags};

    return ask_two(c, DEVICE_FEATURE, head, sizeof(head), data, len, NULL, 0);
}

int vu_set_state(VuClient *c, uint32_t state)
{
    const uint32_t data[2] = {state, 0};

    return feature(c, SET | DEVICE_STATE, 8, data, sizeof(data));
}

int vu_get_state(VuClient *c, uint32_t *ret_state)
{
    int error = feature(c, GET | DEVICE_STATE, 8, NULL, 0);

    if (error == 0) {
        memcpy(ret_state, c->reply + 8, 4);
    }
    return error;
}

int vu_read_data(VuClient *c, GByteArray *to)
{
    const uint32_t request[2] = {8 + 1000, 1000};
    uint32_t got = request[1];

    while (got == request[1]) {
        int error = vu_ask(c, MIG_DATA_READ, request, sizeof(request), NULL, 0);

        if (error) {
            return error;
        }
        memcpy(&got, c->reply + 4, 4);
        g_byte_array_append(to, c->reply + 8, got);
    }
    return 0;
}

int vu_write_data(VuClient *c, const GByteArray *from)
{
    for (size_t at = 0; at < from->len;) {
        uint32_t step = (uint32_t)MIN(1500, from->len - at);
        const uint32_t head[2] = {8 + step, step};
        int error = ask_two(c, MIG_DATA_WRITE, head, sizeof(head), from->data + at, step, NULL, 0);

        if (error) {
            return error;
        }
        at += step;
    }
    return 0;
}

int vu_log_start(VuClient *c, uint64_t page_size)
{
    const uint64_t data[2] = {page_size, 0};
    uint64_t chosen;
    int error = feature(c, SET | LOGGING_START, 16, data, sizeof(data));

    if (error == 0) {
        memcpy(&chosen, c->reply + 8, 8);
        error = chosen == page_size ? 0 : ENOTSUP;
    }
    return error;
}

int vu_log_stop(VuClient *c)
{
    return feature(c, SET | LOGGING_STOP, 0, NULL, 0);
}

int vu_log_report(VuClient *c, uint64_t addr, uint64_t len, uint64_t page_size, uint64_t *bits)
{
    const uint64_t data[3] = {addr, len, page_size};
    size_t bytes = (size_t)(((len - 1) / page_size / 64 + 1) * 8);
    int error = feature(c, GET | LOGGING_REPORT, (uint32_t)(24 + bytes), data, sizeof(data));

    if (error == 0 && c->reply_len != 8 + 24 + bytes) {
        return gone(c);
    }
    if (error == 0) {
        memcpy(bits, c->reply + 8 + 24, bytes);
    }
    return error;
}

/* --- life -------------------------------------------------------------------------- */

VuClient *vu_client_new(int fd)
{
    static const char version[] = "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}";
    VuClient *c = g_new0(VuClient, 1);

    c->fd = fd;
    c->reply = g_malloc(MOST);
    if (vu_ask(c, VERSION, version, sizeof(version), NULL, 0) != 0) {
        g_clear_pointer(&c, vu_client_free);
    }
    return c;
}

VuClient *vu_client_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(address.sun_path)) {
        return NULL;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return NULL;
    }
    return vu_client_new(fd);
}

void vu_client_free(VuClient *c)
{
    if (c) {
        gone(c);
        g_free(c->reply);
        g_free(c);
    }
}

/* --- other processes --------------------------------------------------------------- */

pid_t vu_spawn(const char *const *argv, const int *fds, unsigned fd_count, int *ret_out)
{
    int out[2] = {-1, -1};
    pid_t pid;

    if (ret_out && pipe2(out, O_CLOEXEC) < 0) {
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        for (unsigned i = 0; i < fd_count; i++) {
            fcntl(fds[i], F_SETFD, 0);
        }
        if (ret_out) {
            dup2(out[1], STDOUT_FILENO);
        }
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    for (unsigned i = 0; i < fd_count; i++) {
        close(fds[i]);
    }
    if (ret_out) {
        close(out[1]);
        *ret_out = out[0];
    }
    return pid;
}
