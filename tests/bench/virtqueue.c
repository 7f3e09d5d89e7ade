/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtqueue.c: what a buffer costs in a virtqueue: popped, looked at, pushed, shown to the driver.
 * Beside it a hand-written walk of the same rings, and libvhost-user if there is one
 * (tests/bench/vhost-peer builds it). By hand, never as a test.
 *
 *     bench_virtqueue [--peer FILE]           the table: medians, all of a row in turns; what the
 *                                             driver takes by itself is measured and taken off
 *     bench_virtqueue [--peer FILE] --only WHO ROW N
 *                                             one of "ours", "least" and "peer", for callgrind:
 *                                             bench_ours(), bench_least() and peer_run() are the
 *                                             device's part
 *     bench_virtqueue --list                  the names of the rows
 *
 * The driver does the least that a driver can: split descriptors stay and idx moves; packed ones
 * get their second half anew. It wants no notification.
 */
#define _POSIX_C_SOURCE 200809L

#include "../buses/virtio/driver.h"
#include "measure.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum {
    QUEUE = 256,
    CHAINS = 64,  /* different ones, each with four places of the table */
    MOST = 32,    /* of a batch */
    PIECE = 64,   /* bytes of an element */
    WRITTEN = 17, /* where something can be */
};

typedef struct Row {
    const char *name;
    bool packed, indirect;
    unsigned descs, batch;
} Row;

static const Row rows[] = {
    {"split, 1 descriptor, alone", false, false, 1, 1},
    {"split, 1 descriptor, 32", false, false, 1, 32},
    {"split, 3 descriptors, 32", false, false, 3, 32},
    {"split, indirect of 3, 32", false, true, 3, 32},
    {"packed, 1 descriptor, alone", true, false, 1, 1},
    {"packed, 1 descriptor, 32", true, false, 1, 32},
    {"packed, 3 descriptors, 32", true, false, 3, 32},
    {"packed, indirect of 3, 32", true, true, 3, 32},
};

/* libvhost-user's, through tests/bench/vhost-peer.c. */
typedef struct Peer {
    void *(*make)(uint8_t *ram, size_t len, unsigned size, uint64_t desc, uint64_t driver,
                  uint64_t device);
    unsigned (*run)(void *peer, unsigned batch, uint32_t written);
} Peer;

typedef struct Env {
    const Row *row;
    Driver *d;
    void *peer;
    uint16_t at, used; /* of the walk by hand */
    bool at_wrap, used_wrap;
    uint64_t sum;
} Env;

static Peer peer;

/* --- the driver -------------------------------------------------------------------- */

/* The elements of a chain: the first is readable, the others are writable. */
static uint16_t element_flags(const Row *row, unsigned i)
{
    return (uint16_t)((i > 0 ? F_WRITE : 0) | (i + 1 < row->descs ? F_NEXT : 0));
}

static void fill_split(Env *env)
{
    const Row *row = env->row;

    for (unsigned c = 0; c < CHAINS; c++) {
        unsigned table = TABLE_AT + c * 4 * 16;
        unsigned place = DESC_AT + c * 4 * 16;

        for (unsigned i = 0; i < row->descs; i++) {
            unsigned next = (row->indirect ? 0 : c * 4) + i + 1;

            put_desc(env->d, (row->indirect ? table : place) + i * 16,
                     DATA_AT + (c * 4 + i) * PIECE, PIECE, element_flags(row, i), (uint16_t)next);
        }
        if (row->indirect) {
            put_desc(env->d, place, table, row->descs * 16, F_INDIRECT, 0);
        }
    }
    for (unsigned i = 0; i < QUEUE; i++) {
        devemu_put_le16(env->d->ram + DRIVER_AT + 4 + 2 * i, (uint16_t)(i % CHAINS * 4));
    }
    devemu_put_le16(env->d->ram + DRIVER_AT, 1); /* no notification */
}

static void fill_packed(Env *env)
{
    for (unsigned i = 0; i < QUEUE; i++) {
        unsigned c = i % CHAINS;

        for (unsigned j = 0; env->row->indirect && j < env->row->descs; j++) {
            put_desc(env->d, TABLE_AT + (c * 4 + j) * 16, DATA_AT + (c * 4 + j) * PIECE, PIECE,
                     j > 0 ? F_WRITE : 0, 0);
        }
        put_desc(env->d, DESC_AT + i * 16,
                 env->row->indirect ? TABLE_AT + c * 4 * 16 : DATA_AT + i * PIECE, 0, 0, 0);
    }
    devemu_put_le16(env->d->ram + DRIVER_AT + 2, 1); /* no notification */
}

static void drive_packed(Env *env)
{
    const Row *row = env->row;
    Driver *d = env->d;
    unsigned descs = row->indirect ? 1 : row->descs;
    uint64_t len = row->indirect ? row->descs * 16 : PIECE;

    for (unsigned i = 0; i < row->batch; i++) {
        for (unsigned j = 0; j < descs; j++) {
            uint64_t flags = (row->indirect ? F_INDIRECT : element_flags(row, j)) |
                             (d->next_wrap ? F_AVAIL : F_USED);

            devemu_put_le64(d->ram + DESC_AT + d->next * 16 + 8,
                            len | (uint64_t)i << 32 | flags << 48);
            if (++d->next == QUEUE) {
                d->next = 0;
                d->next_wrap = !d->next_wrap;
            }
        }
    }
}

static void drive(Env *env)
{
    if (env->row->packed) {
        drive_packed(env);
    } else {
        env->d->idx += env->row->batch;
        devemu_put_le16(env->d->ram + DRIVER_AT + 2, env->d->idx);
    }
}

/* --- the device -------------------------------------------------------------------- */

void bench_ours(Env *env);
void bench_least(Env *env);

__attribute__((noinline)) void bench_ours(Env *env)
{
    DevemuVirtqueueChain chains[MOST];
    uint32_t written[MOST];
    unsigned n = devemu_virtqueue_pop(env->d->queue, chains, env->row->batch);

    for (unsigned i = 0; i < n; i++) {
        env->sum += (uintptr_t)chains[i].segments[0].data;
        written[i] = chains[i].writable > 0 ? WRITTEN : 0;
    }
    devemu_virtqueue_push_together(env->d->queue, chains, written, n);
    devemu_virtqueue_flush(env->d->queue);
}

/* The address of an element that lies in memory. */
static inline uint64_t least_address(const uint8_t *desc)
{
    uint64_t addr = devemu_le64(desc);

    return addr < RAM && devemu_le32(desc + 8) <= RAM - addr ? addr : 0;
}

static inline uint64_t least_table(const uint8_t *ram, const uint8_t *desc)
{
    const uint8_t *table = ram + least_address(desc);
    uint64_t sum = 0;

    for (unsigned i = 0; i < devemu_le32(desc + 8) / 16; i++) {
        sum += least_address(table + i * 16);
    }
    return sum;
}

static void least_split(Env *env)
{
    uint8_t *ram = env->d->ram;
    uint16_t idx = devemu_le16(ram + DRIVER_AT + 2);

    while (env->at != idx) {
        unsigned head = devemu_le16(ram + DRIVER_AT + 4 + 2 * (env->at++ % QUEUE)) % QUEUE;
        const uint8_t *desc = ram + DESC_AT + head * 16;
        uint8_t *used = ram + DEVICE_AT + 4 + 8 * (env->used++ % QUEUE);

        while (devemu_le16(desc + 12) & F_NEXT) {
            env->sum += least_address(desc);
            desc = ram + DESC_AT + devemu_le16(desc + 14) % QUEUE * 16;
        }
        env->sum +=
            devemu_le16(desc + 12) & F_INDIRECT ? least_table(ram, desc) : least_address(desc);
        devemu_put_le64(used, head | (uint64_t)WRITTEN << 32);
    }
    devemu_put_le16(ram + DEVICE_AT + 2, env->used);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    env->d->notified += devemu_le16(ram + DRIVER_AT) == 0;
}

static void least_packed(Env *env)
{
    uint8_t *ram = env->d->ram;

    for (;;) {
        uint8_t *desc = ram + DESC_AT + env->at * 16, *used = desc;
        uint64_t second = devemu_le64(desc + 8);
        unsigned n = 1;

        if ((second >> 48 & (F_AVAIL | F_USED)) != (env->at_wrap ? F_AVAIL : F_USED)) {
            break;
        }
        while (second >> 48 & F_NEXT && env->at + n < QUEUE) {
            env->sum += least_address(desc);
            desc += 16;
            second = devemu_le64(desc + 8);
            n++;
        }
        env->sum += second >> 48 & F_INDIRECT ? least_table(ram, desc) : least_address(desc);
        devemu_put_le64(used + 8, WRITTEN | (second & (uint64_t)0xffff << 32) |
                                      (env->at_wrap ? (uint64_t)(F_AVAIL | F_USED) << 48 : 0));
        env->at = (uint16_t)(env->at + n);
        if (env->at >= QUEUE) {
            env->at = 0;
            env->at_wrap = !env->at_wrap;
        }
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    env->d->notified += devemu_le16(ram + DRIVER_AT + 2) == 0;
}

__attribute__((noinline)) void bench_least(Env *env)
{
    if (env->row->packed) {
        least_packed(env);
    } else {
        least_split(env);
    }
}

static void bench_peer(Env *env)
{
    env->sum += peer.run(env->peer, env->row->batch, WRITTEN);
}

static void bench_driver(Env *env)
{
    (void)env;
}

/* --- measuring --------------------------------------------------------------------- */

typedef void Device(Env *env);

/* Of a size that lists of three do not divide a packed ring could have one over its end, which
 * the walk by hand does not do. */
static Env *env_new(const Row *row, bool with_peer)
{
    Env *env = g_new0(Env, 1);
    uint64_t features = (uint64_t)row->indirect << VIRTIO_F_INDIRECT_DESC;

    env->row = row;
    env->d = driver_new(QUEUE, row->packed, true, features);
    env->at_wrap = env->used_wrap = true;
    if (row->packed) {
        fill_packed(env);
    } else {
        fill_split(env);
    }
    if (with_peer) {
        env->peer = peer.make(env->d->ram, RAM, QUEUE, DESC_AT, DRIVER_AT, DEVICE_AT);
    }
    return env;
}

static void env_free(Env *env)
{
    driver_free(env->d);
    g_free(env);
}

static double sample(Device *device, Env *env, unsigned n)
{
    double begin = now_ns();

    for (unsigned i = 0; i < n; i++) {
        drive(env);
        device(env);
    }
    return (now_ns() - begin) / n / env->row->batch;
}

static bool has_peer(const Row *row)
{
    return peer.make != NULL && !row->packed; /* it has no packed queues */
}

static void measure(const Row *row)
{
    Device *devices[] = {bench_driver, bench_ours, bench_least, bench_peer};
    double ns[4][SAMPLES], ratio[SAMPLES], driver;
    unsigned count = has_peer(row) ? 4 : 3;
    Env *env[4];

    for (unsigned k = 0; k < count; k++) {
        env[k] = env_new(row, k == 3);
        sample(devices[k], env[k], 1000);
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        for (unsigned k = 0; k < count; k++) {
            ns[k][i] = sample(devices[k], env[k], (unsigned)(SAMPLE_NS / 20 / row->batch));
        }
        ratio[i] = count == 4 ? ns[3][i] / ns[1][i] : 0;
    }
    driver = median(ns[0]);
    printf("%-30s %7.1f %7.1f %8.1f", row->name, median(ns[1]) - driver, median(ns[2]) - driver,
           driver);
    if (count == 4) {
        printf(" %9.1f %6.1fx", median(ns[3]) - driver, median(ratio));
    }
    printf("\n");
    fflush(stdout);
    for (unsigned k = 0; k < count; k++) {
        env_free(env[k]);
    }
}

static int only(const char *who, const char *name, unsigned n)
{
    Device *device = strcmp(who, "ours") == 0    ? bench_ours
                     : strcmp(who, "least") == 0 ? bench_least
                                                 : bench_peer;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Env *env;

        if (strcmp(rows[i].name, name) != 0 || (device == bench_peer && !has_peer(&rows[i]))) {
            continue;
        }
        env = env_new(&rows[i], device == bench_peer);
        sample(device, env, n);
        printf("%u\n", rows[i].batch);
        env_free(env);
        return 0;
    }
    fprintf(stderr, "bench_virtqueue: no row '%s' for '%s'\n", name, who);
    return 2;
}

static bool load_peer(const char *path)
{
    void *lib = dlopen(path, RTLD_NOW);
    union {
        void *object;
        Peer function;
    } make = {lib != NULL ? dlsym(lib, "peer_new") : NULL},
      run = {lib != NULL ? dlsym(lib, "peer_run") : NULL};

    if (make.object == NULL || run.object == NULL) {
        fprintf(stderr, "bench_virtqueue: cannot use %s: %s\n", path, dlerror());
        return false;
    }
    memcpy(&peer.make, &make, sizeof(peer.make));
    memcpy(&peer.run, &run, sizeof(peer.run));
    return true;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--peer") == 0) {
        if (!load_peer(argv[2])) {
            return 2;
        }
        argv += 2;
        argc -= 2;
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
            printf("%s\n", rows[i].name);
        }
        return 0;
    }
    if (argc == 5 && strcmp(argv[1], "--only") == 0) {
        return only(argv[2], argv[3], (unsigned)atoi(argv[4]));
    }
    printf("%-30s %7s %7s %8s %9s %7s\n", "a buffer, in ns", "ours", "minimum", "(driver)",
           peer.make ? "libvhost-" : "", peer.make ? "ratio" : "");
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        measure(&rows[i]);
    }
    return 0;
}
