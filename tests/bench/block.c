/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c: reads of 4 KiB at random from each kind of medium: memory polled, files by the main
 * loop, beside a loop over io_uring that does nothing else and sleeps likewise. The two are
 * measured in turns, and the ratio is the median of the pairs. By hand; tests/bench/run builds and
 * runs it.
 */
#define _GNU_SOURCE
#include <devemu/backends.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef DEVEMU_HAVE_URING
#include <liburing.h>
#endif

enum { BLOCK = 4096, BLOCKS = 1024, DEPTH_MAX = 128, ROUNDS = 5 };

typedef struct Reader {
    DevemuDevice *dev;
    uint32_t *unused; /* tags */
    unsigned unused_count;
    uint64_t done;
} Reader;

static uint8_t *memory;
static uint64_t seed = 1;

static uint64_t next_place(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1;
    return (seed >> 33) % BLOCKS * BLOCK;
}

static void complete(void *state, const DevemuBlockCompletion *completions, size_t count)
{
    Reader *reader = state;

    for (size_t i = 0; i < count; i++) {
        reader->unused[reader->unused_count++] = completions[i].tag;
    }
    reader->done += count;
}

static const DevemuField fields[] = {DEVEMU_SKIP(Reader, unused), {.name = NULL}};

static const DevemuModel model = {
    .name = "reader",
    .state_size = sizeof(Reader),
    .fields = fields,
    .complete = complete,
    .is_block = true,
};

/* Of all threads: on tmpfs the kernel's part is done within the calls, and a machine that others
 * use, too, has no better clock. */
static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double per_second(uint64_t count, double since)
{
    return (double)count / (cpu_seconds() - since);
}

static double ours(const char *text, bool polled, unsigned depth, uint64_t count)
{
    GError *error = NULL;
    DevemuBlock *block = devemu_block_new(text, NULL, &error);
    DevemuDevice *dev;
    uint32_t tags[DEPTH_MAX];
    Reader *reader;
    uint64_t sent = 0;
    double since;
    double rate;

    if (block == NULL) {
        fprintf(stderr, "%s\n", error->message);
        exit(2);
    }
    dev = devemu_device_new(&model, NULL, NULL);
    reader = devemu_device_state(dev);
    reader->unused = tags;
    while (reader->unused_count < depth) {
        tags[reader->unused_count] = reader->unused_count;
        reader->unused_count++;
    }
    devemu_block_attach(block, dev);
    devemu_block_set_polled(block, polled);
    since = cpu_seconds();
    while (reader->done < count) {
        while (reader->unused_count > 0) {
            uint32_t tag = tags[--reader->unused_count];
            DevemuBlockSlice slice = {memory + (size_t)tag * BLOCK, BLOCK};
            DevemuBlockRequest request = {
                .tag = tag, .at = next_place(), .len = BLOCK, .slices = &slice, .count = 1};

            devemu_submit(dev, &request, reader->unused_count > 0);
            sent++;
        }
        if (polled) {
            devemu_block_poll(block);
        } else {
            g_main_context_iteration(NULL, TRUE);
        }
    }
    rate = per_second(sent, since);
    devemu_device_free(dev);
    devemu_block_free(block);
    return rate;
}

#ifdef DEVEMU_HAVE_URING

static double bare(const char *path, unsigned depth, uint64_t count)
{
    struct io_uring ring;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint64_t done = 0;
    unsigned unused = depth;
    uint64_t tags[DEPTH_MAX];
    double since;

    if (fd < 0 || io_uring_queue_init(256, &ring, 0) < 0 ||
        io_uring_register_files(&ring, &fd, 1) < 0) {
        fprintf(stderr, "no io_uring here\n");
        exit(2);
    }
    for (unsigned i = 0; i < depth; i++) {
        tags[i] = i;
    }
    since = cpu_seconds();
    while (done < count) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;

        while (unused > 0) {
            uint64_t tag = tags[--unused];
            struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

            io_uring_prep_read(sqe, 0, memory + tag * BLOCK, BLOCK, next_place());
            sqe->flags |= IOSQE_FIXED_FILE;
            io_uring_sqe_set_data64(sqe, tag);
        }
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            tags[unused++] = cqe->user_data;
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
        done += seen;
    }
    io_uring_queue_exit(&ring);
    close(fd);
    return per_second(done, since);
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static void beside_bare(const char *path, unsigned depth, uint64_t count)
{
    g_autofree char *text = g_strdup_printf("file:%s,aio=io_uring", path);
    double ratios[ROUNDS], best = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        double rate = ours(text, false, depth, count);

        ratios[i] = rate / bare(path, depth, count);
        best = MAX(best, rate);
    }
    qsort(ratios, ROUNDS, sizeof(ratios[0]), by_size);
    printf("%-28s %5u %12.0f %8.2f\n", "file on tmpfs, io_uring", depth, best / 1000,
           ratios[ROUNDS / 2]);
}

#endif

static void alone(const char *name, const char *text, bool polled, unsigned depth, uint64_t count)
{
    double best = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        best = MAX(best, ours(text, polled, depth, count));
    }
    printf("%-28s %5u %12.0f\n", name, depth, best / 1000);
}

int main(void)
{
    static const unsigned depths[] = {1, 32, 128};
    char name[] = "/dev/shm/devemu-bench-XXXXXX";
    int fd = mkstemp(name);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd); /* nothing is left behind */
    g_autofree char *threads = g_strdup_printf("file:%s,aio=threads", path);

    unlink(name);
    memory = g_malloc0((size_t)DEPTH_MAX * BLOCK);
    if (fd < 0 || posix_fallocate(fd, 0, (off_t)BLOCKS * BLOCK) != 0) {
        perror(name);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%-28s %5s %12s %8s\n", "reads of 4 KiB", "depth", "1000/CPU s", "of bare");
    for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
        alone("null", "null:64M", true, depths[i], 200000);
        alone("memory", "memory:64M", true, depths[i], 100000);
#ifdef DEVEMU_HAVE_URING
        beside_bare(path, depths[i], 50000);
#endif
        alone("file on tmpfs, threads", threads, false, depths[i], 5000);
    }
    close(fd);
    g_free(memory);
    return 0;
}
