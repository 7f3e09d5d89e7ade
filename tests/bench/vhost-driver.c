/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-driver.c: a driver of vhost-user-blk that does nothing else, for two servers in turns:
 * random reads of 4 KiB, by one split ring of VIRTIO 1 with indirect descriptors in a memfd, whose
 * used index it watches without ever sleeping. By hand; tests/bench/vhost starts the servers and
 * this.
 *
 *     vhost-driver null|stamped BLOCKS DEPTH PAIRS MS NAME SOCKET PID NAME SOCKET PID
 *
 * One line: the median IOPS of both, the median of the ratios of the pairs (first by second), and
 * the CPU that each server's process took while it was measured. "stamped": each block begins with
 * its number, and is checked.
 */
#define _GNU_SOURCE
#include "../../lib/servers/vhost-user.h"
#include "../servers/send-fds.h"
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MEM_GUEST UINT64_C(0x40000000)
#define MEM_USER  UINT64_C(0x7f1200000000)
#define NEEDED    (VHOST_BIT(VIRTIO_F_VERSION_1) | VHOST_BIT(RING_INDIRECT))
#define FEATURES  (NEEDED | VHOST_BIT(VHOST_PROTOCOL_FEATURES) | VHOST_BIT(RING_EVENT_IDX))
#define PROTOCOL  (VHOST_BIT(VHOST_F_MQ) | VHOST_BIT(VHOST_F_REPLY_ACK))

enum {
    BLOCK = 4096,
    DEPTH_MAX = 128,
    RING = DEPTH_MAX, /* each request is an indirect descriptor */
    SEGMENTS = 3,
    RING_INDIRECT = 28,
    RING_EVENT_IDX = 29,
    DESC_NEXT = 1,
    DESC_WRITE = 2,
    DESC_INDIRECT = 4,
    NO_NOTIFY = 1,
    AVAIL = 0x4000, /* places in memory; the descriptors are at 0 */
    USED = 0x5000,
    HEADERS = 0x8000,
    STATUSES = 0xa000,
    TABLES = 0xb000, /* to 0xc800 */
    DATA = 0x10000,
    MEM_BYTES = DATA + DEPTH_MAX * BLOCK,
    NOT_ANSWERED = 0xff,
    GIVE_UP_S = 20,
};

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} Desc;

typedef struct Header {
    uint32_t type, reserved;
    uint64_t sector;
} Header;

typedef struct Avail {
    uint16_t flags;
    _Atomic uint16_t idx;
    uint16_t ring[RING];
    _Atomic uint16_t used_event;
} Avail;

typedef struct Used {
    _Atomic uint16_t flags;
    _Atomic uint16_t idx;
    struct {
        uint32_t id, len;
    } ring[RING];
    _Atomic uint16_t avail_event;
} Used;

typedef struct Peer {
    const char *name;
    long pid;
    int fd, kick;
    uint8_t *ram;
    Desc *desc;
    Avail *avail;
    Used *used;
    Header *headers;
    uint8_t *statuses;
    bool event_idx;
    uint16_t made, reaped;
    uint64_t kicks, done;
    double iops[SAMPLES], cpu_s, wall_s;
} Peer;

static uint64_t seed = 1, blocks;
static bool stamped;

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("vhost-driver: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

/* --- messages ---------------------------------------------------------------------- */

static void send_message(const Peer *p, uint32_t request, const void *payload, uint32_t len, int fd)
{
    uint32_t header[3] = {request, VHOST_VERSION, len};
    struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)payload, len}};

    if (send_fds(p->fd, iov, 2, &fd, fd >= 0, MSG_NOSIGNAL) != (ssize_t)(sizeof(header) + len)) {
        fail("%s does not take request %u: %s", p->name, request, strerror(errno));
    }
}

static uint64_t ask(const Peer *p, uint32_t request)
{
    uint8_t reply[VHOST_HEADER_BYTES + sizeof(uint64_t)];
    uint64_t value;

    send_message(p, request, NULL, 0, -1);
    if (recv(p->fd, reply, sizeof(reply), MSG_WAITALL) != (ssize_t)sizeof(reply)) {
        fail("%s does not answer request %u", p->name, request);
    }
    memcpy(&value, reply + VHOST_HEADER_BYTES, sizeof(value));
    return value;
}

static void set_number(const Peer *p, uint32_t request, uint64_t value, int fd)
{
    send_message(p, request, &value, sizeof(value), fd);
}

static void set_state(const Peer *p, uint32_t request, uint32_t value)
{
    const uint32_t state[2] = {0, value};

    send_message(p, request, state, sizeof(state), -1);
}

static int dial(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(to.sun_path)) {
        fail("the name of the socket is too long: %s", path);
    }
    strcpy(to.sun_path, path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        fail("cannot connect to %s: %s", path, strerror(errno));
    }
    return fd;
}

static void start_ring(Peer *p, int memory)
{
    const uint64_t table[5] = {1, MEM_GUEST, MEM_BYTES, MEM_USER, 0};
    const uint64_t addresses[5] = {0, MEM_USER, MEM_USER + USED, MEM_USER + AVAIL, 0};
    int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    p->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    send_message(p, VHOST_USER_SET_MEM_TABLE, table, sizeof(table), memory);
    set_state(p, VHOST_USER_SET_VRING_NUM, RING);
    set_state(p, VHOST_USER_SET_VRING_BASE, 0);
    send_message(p, VHOST_USER_SET_VRING_ADDR, addresses, sizeof(addresses), -1);
    set_number(p, VHOST_USER_SET_VRING_CALL, 0, call);
    set_number(p, VHOST_USER_SET_VRING_KICK, 0, p->kick);
    set_state(p, VHOST_USER_SET_VRING_ENABLE, 1);
    ask(p, VHOST_USER_GET_FEATURES); /* all of it is done */
}

/* The descriptors never change: a request is a number, and a slot. */
static void lay_out(Peer *p)
{
    Desc *tables = (Desc *)(void *)(p->ram + TABLES);

    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        const uint32_t place = i * SEGMENTS * sizeof(Desc);
        Desc *table = tables + i * SEGMENTS;

        p->desc[i] = (Desc){MEM_GUEST + TABLES + place, SEGMENTS * sizeof(Desc), DESC_INDIRECT, 0};
        table[0] = (Desc){MEM_GUEST + HEADERS + i * sizeof(Header), sizeof(Header), DESC_NEXT, 1};
        table[1] = (Desc){MEM_GUEST + DATA + (uint64_t)i * BLOCK, BLOCK, DESC_NEXT | DESC_WRITE, 2};
        table[2] = (Desc){MEM_GUEST + STATUSES + i, 1, DESC_WRITE, 0};
    }
    p->avail->flags = 1; /* no interrupts; with EVENT_IDX used_event says so */
}

static void peer_open(Peer *p, char *const argv[])
{
    int memory = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t features;

    p->name = argv[0];
    p->fd = dial(argv[1]);
    p->pid = strtol(argv[2], NULL, 10);
    if (ftruncate(memory, MEM_BYTES) < 0 || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
        fail("no memory: %s", strerror(errno));
    }
    p->ram = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory, 0);
    if (p->ram == MAP_FAILED) {
        fail("no memory: %s", strerror(errno));
    }
    p->desc = (Desc *)(void *)p->ram;
    p->avail = (Avail *)(void *)(p->ram + AVAIL);
    p->used = (Used *)(void *)(p->ram + USED);
    p->headers = (Header *)(void *)(p->ram + HEADERS);
    p->statuses = p->ram + STATUSES;
    lay_out(p);
    features = ask(p, VHOST_USER_GET_FEATURES) & FEATURES;
    if ((features & NEEDED) != NEEDED) {
        fail("%s has no VIRTIO_F_VERSION_1, or no indirect descriptors", p->name);
    }
    p->event_idx = features & VHOST_BIT(RING_EVENT_IDX);
    set_number(p, VHOST_USER_SET_PROTOCOL_FEATURES,
               ask(p, VHOST_USER_GET_PROTOCOL_FEATURES) & PROTOCOL, -1);
    send_message(p, VHOST_USER_SET_OWNER, NULL, 0, -1);
    set_number(p, VHOST_USER_SET_FEATURES, features, -1);
    start_ring(p, memory);
}

/* --- the driver -------------------------------------------------------------------- */

static void submit(Peer *p, unsigned slot)
{
    uint64_t block = 0;

    seed = seed * UINT64_C(6364136223846793005) + 1;
    block = (seed >> 33) % blocks;
    p->headers[slot] = (Header){.sector = block * (BLOCK / 512)};
    p->statuses[slot] = NOT_ANSWERED;
    p->avail->ring[p->made++ % RING] = (uint16_t)slot;
}

/* Show the device what submit() has made, and wake it if it wants that. */
static void publish(Peer *p)
{
    uint16_t old = atomic_load_explicit(&p->avail->idx, memory_order_relaxed);
    const uint64_t one = 1;
    bool kick;

    if (old == p->made) {
        return;
    }
    atomic_store_explicit(&p->avail->idx, p->made, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (p->event_idx) {
        uint16_t event = atomic_load_explicit(&p->used->avail_event, memory_order_relaxed);

        kick = (uint16_t)(p->made - event - 1) < (uint16_t)(p->made - old);
    } else {
        kick = !(atomic_load_explicit(&p->used->flags, memory_order_relaxed) & NO_NOTIFY);
    }
    if (kick) {
        p->kicks++;
        if (write(p->kick, &one, sizeof(one)) < 0 && errno != EAGAIN) {
            fail("cannot wake %s: %s", p->name, strerror(errno));
        }
    }
}

static void check(const Peer *p, uint32_t slot)
{
    uint64_t stamp;

    if (slot >= DEPTH_MAX || p->statuses[slot] != 0) {
        fail("%s: request %u ends with status %u", p->name, slot,
             slot < DEPTH_MAX ? p->statuses[slot] : 0);
    }
    memcpy(&stamp, p->ram + DATA + (size_t)slot * BLOCK, sizeof(stamp));
    if (stamped && stamp != p->headers[slot].sector / (BLOCK / 512)) {
        fail("%s: block %llu has the content of %llu", p->name,
             (unsigned long long)(p->headers[slot].sector / (BLOCK / 512)),
             (unsigned long long)stamp);
    }
}

/* Take what has been used; `again`: and ask for as many more. */
static unsigned reap(Peer *p, bool again)
{
    uint16_t until = atomic_load_explicit(&p->used->idx, memory_order_acquire);
    unsigned count = (uint16_t)(until - p->reaped);

    if (count == 0) {
        return 0;
    }
    for (; p->reaped != until; p->reaped++) {
        uint32_t id = p->used->ring[p->reaped % RING].id;

        check(p, id);
        if (again) {
            submit(p, id);
        }
    }
    /* As far from what comes next as can be: no interrupts. */
    atomic_store_explicit(&p->avail->used_event, (uint16_t)(until + 0x8000), memory_order_relaxed);
    publish(p);
    p->done += count;
    return count;
}

static double run_for(Peer *p, double ns)
{
    double begin = now_ns(), last = begin, now = begin;
    uint64_t done = p->done;

    while (now - begin < ns) {
        if (reap(p, true) > 0) {
            last = now;
        } else if (now - last > GIVE_UP_S * 1e9) {
            fail("%s answers nothing", p->name);
        }
        now = now_ns();
    }
    return (double)(p->done - done) * 1e9 / (now - begin);
}

/* User and system time of all of its threads (proc(5)), seconds. */
static double cpu_of(const Peer *p)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    const char *name_end = NULL;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/stat", p->pid);
    f = fopen(path, "r");
    if (f != NULL && fgets(text, sizeof(text), f) != NULL) {
        name_end = strrchr(text, ')');
    }
    if (f != NULL) {
        fclose(f);
    }
    if (name_end == NULL ||
        sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2) {
        fail("there is no process %ld", p->pid);
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double sample(Peer *p, unsigned depth, double ns)
{
    double begin, cpu, iops;

    for (unsigned i = 0; i < depth; i++) {
        submit(p, i);
    }
    publish(p);
    run_for(p, ns / 5);
    cpu = cpu_of(p);
    begin = now_ns();
    iops = run_for(p, ns);
    p->wall_s += (now_ns() - begin) / 1e9;
    p->cpu_s += cpu_of(p) - cpu;
    begin = now_ns();
    while (p->reaped != p->made) {
        if (reap(p, false) == 0 && now_ns() - begin > GIVE_UP_S * 1e9) {
            fail("%s does not end %u requests", p->name, (unsigned)(uint16_t)(p->made - p->reaped));
        }
    }
    return iops;
}

static double median_of(double *values, unsigned count)
{
    qsort(values, count, sizeof(double), by_value);
    return values[count / 2];
}

static unsigned number(const char *text, unsigned max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*end != '\0' || value == 0 || value > max) {
        fail("'%s' is no number from 1 to %u", text, max);
    }
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    Peer peers[2] = {{0}};
    double ratios[SAMPLES], load = 0;
    unsigned depth, pairs, ms;

    if (argc != 12 || (strcmp(argv[1], "null") != 0 && strcmp(argv[1], "stamped") != 0)) {
        fail("null|stamped BLOCKS DEPTH PAIRS MS NAME SOCKET PID NAME SOCKET PID");
    }
    stamped = strcmp(argv[1], "stamped") == 0;
    blocks = number(argv[2], 1u << 30);
    depth = number(argv[3], DEPTH_MAX);
    pairs = number(argv[4], SAMPLES);
    ms = number(argv[5], 60000);
    peer_open(&peers[0], argv + 6);
    peer_open(&peers[1], argv + 9);
    for (unsigned i = 0; i < pairs; i++) {
        for (unsigned j = 0; j < 2; j++) {
            peers[j].iops[i] = sample(&peers[j], depth, ms * 1e6);
        }
        ratios[i] = peers[0].iops[i] / peers[1].iops[i];
    }
    getloadavg(&load, 1);
    printf("%5u", depth);
    for (unsigned j = 0; j < 2; j++) {
        Peer *p = &peers[j];

        printf(" | %s %8.0f IOPS, CPU %3.0f %%, kicks %.3f", p->name, median_of(p->iops, pairs),
               p->cpu_s / p->wall_s * 100, (double)p->kicks / (double)p->done);
    }
    printf(" | ratio %.2f", median_of(ratios, pairs));
    printf(" (%.2f to %.2f) | load %.1f\n", ratios[0], ratios[pairs - 1], load);
    return 0;
}
