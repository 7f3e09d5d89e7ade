/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c: round trips of the vfio-user server beside a bare ping-pong of messages of the same
 * lengths over the same kind of socket. By hand, never as a test.
 *
 *     bench_vfio_user            the table: median of PAIRS samples, ours and the bare one in turn,
 *                                and the median of the ratios of pairs
 *
 * A read is 32 bytes there and 34 back, a write 34 and 32. Posted writes go one after the other,
 * and a read behind them ends a sample.
 */
#define _GNU_SOURCE
#include <devemu/devemu.h>
#include <devemu/vfio-user.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAIRS = 21,
    HEADER = 16,
    ACCESS = 16,
    RDP = 0x10,
    RAP = 0x12,
    CONFIG = 7,
    REGION_READ = 9,
    REGION_WRITE = 10,
    NO_REPLY = 1 << 4,
};

typedef enum Kind { KIND_READ, KIND_WRITE, KIND_POSTED } Kind;

typedef struct Mode {
    const char *name;
    unsigned cores[2]; /* client's, server's */
    bool spin;
    unsigned count; /* messages in a sample */
} Mode;

static const Mode modes[] = {
    {"two cores, both spin", {0, 1}, true, 4000},
    {"one core", {0, 0}, false, 2000},
    {"two cores, blocking", {0, 1}, false, 400},
};

static const struct {
    const char *name;
    Kind kind;
    size_t there, back;
} rows[] = {
    {"read", KIND_READ, HEADER + ACCESS, HEADER + ACCESS + 2},
    {"write", KIND_WRITE, HEADER + ACCESS + 2, HEADER + ACCESS},
    {"posted write", KIND_POSTED, HEADER + ACCESS + 2, HEADER + ACCESS + 2},
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_vfio_user: %s: %s\n", what, strerror(errno));
        exit(2);
    }
}

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void pin(unsigned core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* --- one end ----------------------------------------------------------------------- */

static void receive(int fd, uint8_t *buf, size_t len, bool spin)
{
    size_t have = 0;

    while (have < len) {
        ssize_t got = recv(fd, buf + have, len - have, spin ? MSG_DONTWAIT : 0);

        if (got > 0) {
            have += (size_t)got;
        } else {
            must(got < 0 && (errno == EAGAIN || errno == EINTR), "receive");
        }
    }
}

static void transmit(int fd, const uint8_t *buf, size_t len)
{
    must(send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len, "send");
}

static size_t build(uint8_t *m, unsigned command, uint32_t flags, unsigned region, uint64_t at,
                    uint16_t value)
{
    uint32_t size = HEADER + ACCESS + (command == REGION_WRITE ? 2 : 0), count = 2;
    uint16_t words[2] = {1, (uint16_t)command};

    memset(m, 0, 64);
    memcpy(m, words, 4);
    memcpy(m + 4, &size, 4);
    memcpy(m + 8, &flags, 4);
    memcpy(m + 16, &at, 8);
    memcpy(m + 24, &region, 4);
    memcpy(m + 28, &count, 4);
    memcpy(m + 32, &value, 2);
    return size;
}

static void round_trip(int fd, const uint8_t *message, size_t len, size_t back, bool spin)
{
    uint8_t reply[64];

    transmit(fd, message, len);
    receive(fd, reply, back, spin);
}

/* What a client does, whoever is at the other end; nanoseconds a message. */
static double client(int fd, unsigned row, const Mode *mode)
{
    uint8_t message[64], read[64];
    size_t len = build(message, rows[row].kind == KIND_READ ? REGION_READ : REGION_WRITE,
                       rows[row].kind == KIND_POSTED ? NO_REPLY : 0, 0,
                       rows[row].kind == KIND_READ ? RDP : RAP, 0);
    size_t read_len = build(read, REGION_READ, 0, 0, RDP, 0);
    double from = now_ns();

    for (unsigned i = 0; i < mode->count; i++) {
        if (rows[row].kind == KIND_POSTED) {
            transmit(fd, message, len);
        } else {
            round_trip(fd, message, len, rows[row].back, mode->spin);
        }
    }
    if (rows[row].kind == KIND_POSTED) {
        round_trip(fd, read, read_len, HEADER + ACCESS + 2, mode->spin);
    }
    return (now_ns() - from) / mode->count;
}

/* --- the bare server --------------------------------------------------------------- */

typedef struct Bare {
    int fd;
    const Mode *mode;
    unsigned row;
    sem_t go;
    bool ends;
} Bare;

/* As many bytes as a receive gives; nothing is looked at but their number. */
static void bare_sample(const Bare *b)
{
    static uint8_t buf[65536];
    uint8_t reply[64] = {0};
    bool posted = rows[b->row].kind == KIND_POSTED;
    size_t want = rows[b->row].there * b->mode->count + (posted ? HEADER + ACCESS : 0), have = 0;

    while (have < want) {
        ssize_t got = recv(b->fd, buf, sizeof(buf), b->mode->spin ? MSG_DONTWAIT : 0);

        if (got < 0) {
            continue;
        }
        have += (size_t)got;
        if (!posted || have == want) {
            transmit(b->fd, reply, rows[b->row].back);
        }
    }
}

static void *bare_thread(void *opaque)
{
    Bare *b = opaque;

    pin(b->mode->cores[1]);
    for (;;) {
        sem_wait(&b->go);
        if (b->ends) {
            return NULL;
        }
        bare_sample(b);
    }
}

/* --- ours -------------------------------------------------------------------------- */

typedef struct Ours {
    GMainContext *context;
    GMainLoop *loop;
    const Mode *mode;
} Ours;

static void *our_thread(void *opaque)
{
    Ours *o = opaque;

    pin(o->mode->cores[1]);
    g_main_context_push_thread_default(o->context);
    g_main_loop_run(o->loop);
    g_main_context_pop_thread_default(o->context);
    return NULL;
}

static void say_hello(int fd)
{
    uint8_t message[64] = {0}, reply[512];
    const uint16_t words[2] = {1, 1};
    const uint32_t size = HEADER + 4;

    memcpy(message, words, 4);
    memcpy(message + 4, &size, 4);
    transmit(fd, message, size);
    must(recv(fd, reply, sizeof(reply), 0) > HEADER, "no hello");
    round_trip(fd, message, build(message, REGION_WRITE, 0, CONFIG, 4, 5), HEADER + ACCESS, false);
}

/* --- the table --------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, PAIRS, sizeof(values[0]), by_value);
    return values[PAIRS / 2];
}

/* Until the other server has stopped spinning. */
static void settle(const Mode *mode)
{
    if (mode->spin) {
        usleep(5000);
    }
}

static void measure(const Mode *mode, int our_fd, Bare *bare, int bare_fd, unsigned row)
{
    double ours[PAIRS], minimum[PAIRS], ratios[PAIRS];

    bare->row = row;
    for (unsigned i = 0; i < PAIRS; i++) {
        settle(mode);
        ours[i] = client(our_fd, row, mode);
        settle(mode);
        sem_post(&bare->go);
        minimum[i] = client(bare_fd, row, mode);
        ratios[i] = ours[i] / minimum[i];
    }
    printf("%-22s %-14s %9.2f %9.2f %6.2f\n", mode->name, rows[row].name, median(ours) / 1000,
           median(minimum) / 1000, median(ratios));
}

static void run_mode(const Mode *mode)
{
    DevemuDevice *dev = devemu_device_new(devemu_model_find("am79c970a"), NULL, NULL);
    Ours ours = {.context = g_main_context_new(), .mode = mode};
    Bare bare = {.mode = mode};
    g_autoptr(GError) error = NULL;
    g_autofree char *address = NULL;
    DevemuVfioUser *server;
    pthread_t threads[2];
    int pair[2], bare_pair[2];

    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
             socketpair(AF_UNIX, SOCK_STREAM, 0, bare_pair) == 0,
         "socket");
    address = g_strdup_printf("fd:%d,spin=%u", pair[1], mode->spin ? 2000 : 0);
    server = devemu_vfio_user_new(dev, address, ours.context, &error);
    must(server != NULL, "no server");
    ours.loop = g_main_loop_new(ours.context, FALSE);
    bare.fd = bare_pair[1];
    sem_init(&bare.go, 0, 0);
    pin(mode->cores[0]);
    pthread_create(&threads[0], NULL, our_thread, &ours);
    pthread_create(&threads[1], NULL, bare_thread, &bare);
    say_hello(pair[0]);
    for (unsigned row = 0; row < G_N_ELEMENTS(rows); row++) {
        measure(mode, pair[0], &bare, bare_pair[0], row);
    }
    bare.ends = true;
    sem_post(&bare.go);
    g_main_loop_quit(ours.loop);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    devemu_vfio_user_free(server);
    g_main_loop_unref(ours.loop);
    g_main_context_unref(ours.context);
    sem_destroy(&bare.go);
    close(pair[0]);
    close(bare_pair[0]);
    close(bare_pair[1]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%-22s %-14s %9s %9s %6s\n", "", "", "ours, us", "bare, us", "ratio");
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        run_mode(&modes[i]);
    }
    return 0;
}
