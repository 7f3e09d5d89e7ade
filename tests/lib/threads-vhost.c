/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user server whose queues are on three threads, under a driver for each queue on a thread
 * of its own, while the front-end stops and starts rings, gives memory anew and resets the device.
 * For TSan, as threads.c.
 */
#define _GNU_SOURCE
#include "threads.h"

#include "../../lib/servers/vhost-user.h"
#include "../servers/send-fds.h"

#include <devemu/backends.h>
#include <devemu/list.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    DRIVERS = 3,
    ROUNDS = 40,
    REQUESTS = 20, /* of each driver between two changes */
    NUM = 16,
    RING_BYTES = 0x4000, /* desc at 0, avail at 0x800, used at 0x1000, data at 0x2000 */
    RAM = 6 * RING_BYTES,
    PATIENCE_MS = 60000,
};

#define GUEST UINT64_C(0x40000000)
#define USER  UINT64_C(0x7f1200000000)

typedef struct Front Front;

typedef struct Driver {
    Front *front;
    unsigned ring;
    pthread_t thread;
    int kick, call;
    uint16_t index; /* of the next buffer */
    unsigned done;  /* requests; atomic */
    bool failed;    /* atomic */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool pause, paused;
    bool quit; /* atomic */
} Driver;

struct Front {
    bool is_net;
    GMainContext *context;
    DevemuVhostUser *server;
    int fd, memory;
    uint8_t *ram;
    Driver drivers[DRIVERS];
    GMainContext *contexts[DRIVERS];
    DevemuNet *nets[DRIVERS];
    DevemuBlock *blocks[DRIVERS];
};

/* --- the driver of a ring ---------------------------------------------------------- */

static void put_desc(uint8_t *ring, unsigned i, uint64_t addr, uint32_t len, unsigned flags)
{
    devemu_put_le64(ring + 16 * (size_t)i, addr);
    devemu_put_le32(ring + 16 * (size_t)i + 8, len);
    devemu_put_le16(ring + 16 * (size_t)i + 12, (uint16_t)flags);
    devemu_put_le16(ring + 16 * (size_t)i + 14, (uint16_t)(i + 1));
}

/* A frame behind its header, or a read of one sector. */
static void make_request(const Driver *d, uint8_t *ring)
{
    uint64_t data = GUEST + (uint64_t)d->ring * RING_BYTES + 0x2000;

    memset(ring + 0x2000, 0, 0x1000);
    if (d->front->is_net) {
        put_desc(ring, 0, data, 12, 1);
        put_desc(ring, 1, data + 16, 60, 0);
    } else {
        put_desc(ring, 0, data, 16, 1);
        put_desc(ring, 1, data + 512, 512, 3);
        put_desc(ring, 2, data + 1024, 1, 2);
        ring[0x2000 + 1024] = 0xff;
    }
}

static bool wait_used(Driver *d, const uint8_t *ring)
{
    const uint16_t *used = (const uint16_t *)(const void *)(ring + 0x1002);
    struct pollfd call = {.fd = d->call, .events = POLLIN};
    uint64_t count;

    while (__atomic_load_n(used, __ATOMIC_ACQUIRE) != d->index) {
        if (poll(&call, 1, PATIENCE_MS) != 1 || read(d->call, &count, 8) != 8) {
            return false;
        }
        if (__atomic_load_n(&d->quit, __ATOMIC_ACQUIRE)) {
            return true;
        }
    }
    return d->front->is_net || ring[0x2000 + 1024] == 0;
}

static bool request(Driver *d)
{
    uint8_t *ring = d->front->ram + (size_t)d->ring * RING_BYTES;
    uint16_t *avail = (uint16_t *)(void *)(ring + 0x802);
    const uint64_t one = 1;

    make_request(d, ring);
    devemu_put_le16(ring + 0x804 + 2 * (size_t)(d->index % NUM), 0);
    d->index++;
    __atomic_store_n(avail, d->index, __ATOMIC_RELEASE);
    return write(d->kick, &one, sizeof(one)) == (ssize_t)sizeof(one) && wait_used(d, ring);
}

/* May it go on? */
static bool go_on(Driver *d)
{
    pthread_mutex_lock(&d->lock);
    while (d->pause) {
        d->paused = true;
        g_main_context_wakeup(d->front->context);
        pthread_cond_wait(&d->changed, &d->lock);
    }
    d->paused = false;
    pthread_mutex_unlock(&d->lock);
    return !__atomic_load_n(&d->quit, __ATOMIC_ACQUIRE);
}

static void *drive(void *opaque)
{
    Driver *d = opaque;

    while (go_on(d)) {
        if (!request(d)) {
            __atomic_store_n(&d->failed, true, __ATOMIC_RELEASE);
            g_main_context_wakeup(d->front->context);
            break;
        }
        __atomic_fetch_add(&d->done, 1, __ATOMIC_ACQ_REL);
    }
    return NULL;
}

static void set_pause(Front *f, bool pause)
{
    for (unsigned i = 0; i < DRIVERS; i++) {
        Driver *d = &f->drivers[i];

        pthread_mutex_lock(&d->lock);
        d->pause = pause;
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
    }
}

static bool all_paused(Front *f)
{
    unsigned count = 0;

    for (unsigned i = 0; i < DRIVERS; i++) {
        Driver *d = &f->drivers[i];

        pthread_mutex_lock(&d->lock);
        count += d->paused || __atomic_load_n(&d->failed, __ATOMIC_ACQUIRE);
        pthread_mutex_unlock(&d->lock);
    }
    return count == DRIVERS;
}

/* --- the front-end ----------------------------------------------------------------- */

/* Asks for an answer in any case; its number, or UINT64_MAX. */
static uint64_t ask(Front *f, unsigned request, const void *payload, size_t len, const int *fds,
                    unsigned fd_count)
{
    uint8_t message[VHOST_HEADER_BYTES + 64], reply[VHOST_HEADER_BYTES + 8];
    struct iovec iov = {message, VHOST_HEADER_BYTES + len};
    ssize_t got;

    server_put32(message, request);
    server_put32(message + 4, VHOST_VERSION | VHOST_FLAG_NEED_REPLY);
    server_put32(message + 8, (uint32_t)len);
    if (len > 0) {
        memcpy(message + VHOST_HEADER_BYTES, payload, len);
    }
    if (send_fds(f->fd, &iov, 1, fds, fd_count, MSG_NOSIGNAL) < 0) {
        return UINT64_MAX;
    }
    while ((got = recv(f->fd, reply, sizeof(reply), MSG_DONTWAIT)) < 0 && errno == EAGAIN) {
        g_main_context_iteration(f->context, TRUE);
    }
    return got == (ssize_t)sizeof(reply) ? server_get64(reply + VHOST_HEADER_BYTES) : UINT64_MAX;
}

static bool ask_state(Front *f, unsigned request, uint32_t ring, uint32_t number)
{
    const uint32_t state[2] = {ring, number};

    return ask(f, request, state, sizeof(state), NULL, 0) == 0;
}

static bool give_memory(Front *f)
{
    uint8_t payload[40] = {0};

    server_put32(payload, 1);
    server_put64(payload + 8, GUEST);
    server_put64(payload + 16, RAM);
    server_put64(payload + 24, USER);
    return ask(f, VHOST_USER_SET_MEM_TABLE, payload, sizeof(payload), &f->memory, 1) == 0;
}

static bool kick_by(Front *f, const Driver *d)
{
    const uint64_t ring = d->ring;

    return ask(f, VHOST_USER_SET_VRING_KICK, &ring, sizeof(ring), &d->kick, 1) == 0;
}

static bool start_ring(Front *f, const Driver *d)
{
    const uint64_t ring = d->ring, base = USER + ring * RING_BYTES;
    uint8_t addr[40] = {0};

    server_put32(addr, d->ring);
    server_put64(addr + 8, base);
    server_put64(addr + 16, base + 0x1000);
    server_put64(addr + 24, base + 0x800);
    return ask_state(f, VHOST_USER_SET_VRING_NUM, d->ring, NUM) &&
           ask_state(f, VHOST_USER_SET_VRING_BASE, d->ring, 0) &&
           ask(f, VHOST_USER_SET_VRING_ADDR, addr, sizeof(addr), NULL, 0) == 0 &&
           ask(f, VHOST_USER_SET_VRING_CALL, &ring, sizeof(ring), &d->call, 1) == 0 &&
           kick_by(f, d) && ask_state(f, VHOST_USER_SET_VRING_ENABLE, d->ring, 1);
}

/* From the beginning, with rings that are empty. */
static bool begin(Front *f)
{
    const uint64_t features = VHOST_BIT(VIRTIO_F_VERSION_1) | VHOST_BIT(VHOST_PROTOCOL_FEATURES) |
                              (f->is_net ? VHOST_BIT(22) : VHOST_BIT(12)); /* MQ */
    bool good;

    memset(f->ram, 0, RAM);
    good = ask(f, VHOST_USER_SET_FEATURES, &features, sizeof(features), NULL, 0) == 0;
    for (unsigned i = 0; i < DRIVERS && good; i++) {
        f->drivers[i].index = 0;
        good = start_ring(f, &f->drivers[i]);
    }
    return good;
}

/* Stop a ring whose driver goes on, and let it go on where it was. */
static bool stop_and_start(Front *f, const Driver *d)
{
    const uint32_t state[2] = {d->ring, 0};
    uint64_t answer = ask(f, VHOST_USER_GET_VRING_BASE, state, sizeof(state), NULL, 0);

    return (uint32_t)answer == d->ring &&
           ask_state(f, VHOST_USER_SET_VRING_BASE, d->ring, (uint32_t)(answer >> 32)) &&
           kick_by(f, d);
}

static bool reset(Front *f)
{
    bool good;

    set_pause(f, true);
    while (!all_paused(f)) {
        g_main_context_iteration(f->context, TRUE);
    }
    good = ask(f, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0) == 0 && begin(f);
    set_pause(f, false);
    return good;
}

static bool change(Front *f, unsigned round)
{
    const Driver *d = &f->drivers[round % DRIVERS];

    switch (round % 4) {
    case 0:
        return stop_and_start(f, d);
    case 1:
        return give_memory(f);
    case 2:
        return ask_state(f, VHOST_USER_SET_VRING_ENABLE, d->ring, 0) &&
               ask_state(f, VHOST_USER_SET_VRING_ENABLE, d->ring, 1);
    default:
        return reset(f);
    }
}

/* Until each driver has done so many requests; the first one's are done here. */
static bool progress(Front *f, unsigned requests)
{
    unsigned before[DRIVERS], late;

    for (unsigned i = 0; i < DRIVERS; i++) {
        before[i] = __atomic_load_n(&f->drivers[i].done, __ATOMIC_ACQUIRE);
    }
    do {
        g_main_context_iteration(f->context, TRUE);
        late = 0;
        for (unsigned i = 0; i < DRIVERS; i++) {
            if (__atomic_load_n(&f->drivers[i].failed, __ATOMIC_ACQUIRE)) {
                fprintf(stderr, "the driver of ring %u waits in vain\n", f->drivers[i].ring);
                return false;
            }
            late += __atomic_load_n(&f->drivers[i].done, __ATOMIC_ACQUIRE) - before[i] < requests;
        }
    } while (late > 0);
    return true;
}

/* --- life -------------------------------------------------------------------------- */

static DevemuDevice *make_device(Front *f, unsigned i)
{
    DevemuDevice *dev =
        devemu_device_new(devemu_model_find(f->is_net ? "virtio-net" : "virtio-blk"),
                          f->is_net ? "queues=3" : "num_queues=3", NULL);

    if (f->is_net) {
        f->nets[i] = devemu_net_null_new();
        devemu_net_attach(f->nets[i], dev);
    } else {
        f->blocks[i] = devemu_block_new("null:1M", f->contexts[i], NULL);
        devemu_block_attach(f->blocks[i], dev);
    }
    return dev;
}

static void make_server(Front *f)
{
    g_autofree char *address = NULL;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        abort();
    }
    f->fd = pair[0];
    address = g_strdup_printf("fd:%d", pair[1]);
    for (unsigned i = 0; i < DRIVERS; i++) {
        DevemuDevice *dev;

        f->contexts[i] = g_main_context_new();
        dev = make_device(f, i);
        if (i == 0) {
            f->context = f->contexts[0];
            f->server = devemu_vhost_user_new(dev, address, f->context, NULL);
        } else if (!devemu_vhost_user_add_thread(f->server, dev, f->contexts[i], NULL)) {
            abort();
        }
    }
}

static void make_memory(Front *f)
{
    f->memory = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ftruncate(f->memory, RAM) != 0 || fcntl(f->memory, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
        abort();
    }
    f->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory, 0);
}

static void make_drivers(Front *f)
{
    for (unsigned i = 0; i < DRIVERS; i++) {
        Driver *d = &f->drivers[i];

        d->front = f;
        d->ring = f->is_net ? 2 * i + 1 : i;
        d->kick = eventfd(0, EFD_CLOEXEC);
        d->call = eventfd(0, EFD_CLOEXEC);
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->changed, NULL);
    }
}

/* The client goes while its drivers are at work, and they hear nothing more. */
static void end(Front *f)
{
    const uint64_t one = 1;

    close(f->fd);
    while (f->server->socket.client >= 0) {
        g_main_context_iteration(f->context, TRUE);
    }
    devemu_vhost_user_free(f->server);
    for (unsigned i = 0; i < DRIVERS; i++) {
        Driver *d = &f->drivers[i];

        __atomic_store_n(&d->quit, true, __ATOMIC_RELEASE);
        if (write(d->call, &one, sizeof(one)) != (ssize_t)sizeof(one)) {
            abort();
        }
        pthread_join(d->thread, NULL);
        close(d->kick);
        close(d->call);
        devemu_net_free(f->nets[i]);
        devemu_block_free(f->blocks[i]);
        g_main_context_unref(f->contexts[i]);
    }
    munmap(f->ram, RAM);
    close(f->memory);
}

bool vhost_threads_work(bool is_net)
{
    const uint64_t protocol =
        VHOST_BIT(VHOST_F_MQ) | VHOST_BIT(VHOST_F_REPLY_ACK) | VHOST_BIT(VHOST_F_RESET_DEVICE);
    g_autofree Front *f = g_new0(Front, 1);
    bool good;

    f->is_net = is_net;
    make_server(f);
    make_memory(f);
    make_drivers(f);
    good = ask(f, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, sizeof(protocol), NULL, 0) == 0 &&
           give_memory(f) && begin(f);
    for (unsigned i = 0; i < DRIVERS; i++) {
        pthread_create(&f->drivers[i].thread, NULL, drive, &f->drivers[i]);
    }
    for (unsigned round = 0; round < ROUNDS && good; round++) {
        good = progress(f, REQUESTS) && change(f, round);
        if (!good) {
            fprintf(stderr, "round %u of %s fails\n", round, is_net ? "net" : "blk");
        }
    }
    good = good && progress(f, REQUESTS);
    end(f);
    return good;
}
