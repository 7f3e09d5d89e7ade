/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-file.c: files as media, by io_uring and by threads. Where the system forbids io_uring its
 * tests are skipped, and the others run.
 */
#define _GNU_SOURCE
#include "disk.h"
#include "toy.h"

#include "../../lib/backends/block-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *image(uint64_t size)
{
    char *path = toy_path("disk.img");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
    return path;
}

/* The medium, or NULL and the test is skipped where this system cannot have it. */
static DevemuBlock *open_image(const char *path, const char *options)
{
    g_autofree char *text = g_strdup_printf("file:%s,%s", path, options);
    GError *error = NULL;
    DevemuBlock *block = devemu_block_new(text, NULL, &error);

    if (block == NULL && (strstr(error->message, "io_uring") || strstr(error->message, "direct"))) {
        cr_log_warn("%s", error->message);
        g_error_free(error);
        return NULL;
    }
    cr_assert_not_null(block, "%s: %s", text, error ? error->message : "?");
    return block;
}

#define OPEN_OR_SKIP(block, path, options)                                                         \
    DevemuBlock *block = open_image(path, options);                                                \
    if (block == NULL) {                                                                           \
        toy_unlink(path);                                                                          \
        cr_skip_test("not on this system");                                                        \
    }

static void refused(const char *options, uint64_t size, const char *says)
{
    char *path = image(size);
    g_autofree char *text = g_strdup_printf("file:%s%s", path, options);

    disk_refused(text, says);
    toy_unlink(path);
}

/* --- what is on the disk ----------------------------------------------------------- */

static void random_requests(const char *options, uint32_t seed)
{
    char *path = image(SHADOW_BYTES);
    OPEN_OR_SKIP(block, path, options);

    shadow_run(block, 2000, seed);

    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, io_uring_keeps_what_two_thousand_requests_wrote)
{
    random_requests("aio=io_uring", 11);
}

Test(block_file, threads_keep_what_two_thousand_requests_wrote)
{
    random_requests("aio=threads", 12);
}

Test(block_file, one_thread_as_well)
{
    random_requests("aio=threads,threads=1", 13);
}

Test(block_file, direct_io_uring_keeps_what_two_thousand_requests_wrote)
{
    random_requests("aio=io_uring,direct=on", 14);
}

Test(block_file, direct_threads_keep_what_two_thousand_requests_wrote)
{
    random_requests("aio=threads,direct=on", 15);
}

Test(block_file, write_through_keeps_what_requests_wrote)
{
    random_requests("aio=threads,cache=writethrough", 16);
}

static void is_in_the_file(const char *options)
{
    char *path = image(65536);
    OPEN_OR_SKIP(block, path, options);
    Disk *disk = disk_new(block);
    char data[1024];
    g_autofree char *whole = NULL;
    gsize len;

    memset(data, 'x', sizeof(data));
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 4096, data, sizeof(data)), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
    cr_assert(g_file_get_contents(path, &whole, &len, NULL));

    cr_assert_eq(len, 65536);
    cr_assert_arr_eq(whole + 4096, data, sizeof(data));
    cr_assert_eq(whole[4095], 0);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, what_io_uring_wrote_is_in_the_file)
{
    is_in_the_file("aio=io_uring");
}

Test(block_file, what_threads_wrote_is_in_the_file)
{
    is_in_the_file("aio=threads");
}

/* --- where the file ends ----------------------------------------------------------- */

static void odd_size(const char *options)
{
    char *path = image(1000);
    OPEN_OR_SKIP(block, path, options);
    Disk *disk = disk_new(block);
    uint8_t data[1024], zeroes[512] = {0};
    struct stat st;

    cr_assert_eq(disk->info.capacity, 1024);
    memset(data, 1, sizeof(data));
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 512, data, 512), 0);
    cr_assert_arr_eq(data, zeroes, 512);
    memset(data, 1, sizeof(data));
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 512, data, 512), 0);
    cr_assert_eq(stat(path, &st), 0);

    cr_assert_eq(st.st_size, 1024);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, the_last_block_may_be_half_with_io_uring)
{
    odd_size("aio=io_uring");
}

Test(block_file, the_last_block_may_be_half_with_threads)
{
    odd_size("aio=threads");
}

static void shrunk(const char *options)
{
    char *path = image(65536);
    OPEN_OR_SKIP(block, path, options);
    Disk *disk = disk_new(block);
    uint8_t data[4096];

    cr_assert_eq(truncate(path, 10000), 0);

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 4096), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 8192, data, 4096), -EIO);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 32768, data, 4096), -EIO);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, a_file_that_became_shorter_is_an_error_with_io_uring)
{
    shrunk("aio=io_uring");
}

Test(block_file, a_file_that_became_shorter_is_an_error_with_threads)
{
    shrunk("aio=threads");
}

/* RLIMIT_FSIZE stands for a full disk. */
Test(block_file, a_write_that_the_system_refuses_is_an_error)
{
    char *path = image(65536);
    DevemuBlock *block = open_image(path, "aio=threads");
    Disk *disk = disk_new(block);
    struct rlimit limit = {32768, 32768};
    uint8_t data[4096] = {0};

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);

    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 4096), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 30720, data, 4096), -EFBIG, "a short write");
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 40960, data, 4096), -EFBIG);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

/* --- zeroes ------------------------------------------------------------------------ */

static void zeroes_by_hand(const char *options)
{
    char *path = image(4 << 20);
    OPEN_OR_SKIP(block, path, options);
    Disk *disk = disk_new(block);
    size_t len = 3 << 20;
    uint8_t *data = g_malloc(len), *zeroes = g_malloc0(len);

    ((BlockFile *)block)->no_punch = ((BlockFile *)block)->no_zero = true;
    memset(data, 5, len);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 512, data, len), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE_ZEROES, DEVEMU_BLOCK_FUA, 1024, NULL, len - 1024),
                 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 512, data, len), 0);

    cr_assert_eq(data[511], 5);
    cr_assert_arr_eq(data + 512, zeroes, len - 1024);
    cr_assert_eq(data[len - 512], 5);
    g_free(data);
    g_free(zeroes);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, zeroes_are_written_where_the_file_system_cannot_make_them_with_io_uring)
{
    zeroes_by_hand("aio=io_uring");
}

Test(block_file, zeroes_are_written_where_the_file_system_cannot_make_them_with_threads)
{
    zeroes_by_hand("aio=threads");
}

Test(block_file, discard_gives_space_back)
{
    char *path = image(4 << 20);
    DevemuBlock *block = open_image(path, "discard=on");
    Disk *disk = disk_new(block);
    uint8_t *data = g_malloc(4 << 20);
    struct stat before, after;

    memset(data, 5, 4 << 20);
    disk_do(disk, DEVEMU_BLOCK_WRITE, DEVEMU_BLOCK_FUA, 0, data, 4 << 20);
    cr_assert_eq(stat(path, &before), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_DISCARD, 0, 0, NULL, 2 << 20), 0);
    cr_assert_eq(stat(path, &after), 0);

    cr_assert_lt(after.st_blocks, before.st_blocks);
    g_free(data);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

/* --- waiting and polling ----------------------------------------------------------- */

static void drained(const char *options)
{
    char *path = image(4 << 20);
    OPEN_OR_SKIP(block, path, options);
    Disk *disk = disk_new(block);
    uint8_t *data = g_malloc(4 << 20);
    DevemuBlockSlice slice = {data, 8192};
    DevemuBlockRequest request = {.op = DEVEMU_BLOCK_WRITE, .len = 8192, .slices = &slice};

    request.count = 1;
    for (uint32_t tag = 0; tag < 400; tag++) {
        request.tag = tag;
        request.at = tag * 8192;
        /* The last one is promised another, which does not come. */
        devemu_submit(disk->dev, &request, true);
    }
    devemu_device_drain(disk->dev);

    cr_assert_eq(disk->done->len, 400);
    g_free(data);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, drain_waits_for_more_than_a_ring_of_requests)
{
    drained("aio=io_uring");
}

Test(block_file, drain_waits_for_threads)
{
    drained("aio=threads");
}

static void polled(const char *options)
{
    char *path = image(1 << 20);
    OPEN_OR_SKIP(block, path, options);
    Disk *disk = disk_new(block);
    uint8_t data[16][4096];
    unsigned told = 0;

    devemu_block_set_polled(block, true);
    for (uint32_t tag = 0; tag < 16; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_READ, 0, tag * 4096, data[tag], 4096);
    }
    while (told < 16) {
        told += devemu_block_poll(block);
    }
    cr_assert_eq(disk->done->len, 16);
    disk_submit(disk, 20, DEVEMU_BLOCK_FLUSH, 0, 0, NULL, 0);
    devemu_block_set_polled(block, false);
    disk_wait(disk, 17);

    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, io_uring_can_be_polled)
{
    polled("aio=io_uring");
}

Test(block_file, threads_can_be_polled)
{
    polled("aio=threads");
}

Test(block_file, freeing_waits_for_what_nobody_wants_any_more)
{
    char *path = image(1 << 20);
    DevemuBlock *block = open_image(path, "discard=on");
    Disk *disk = disk_new(block);
    static uint8_t data[65536];

    for (uint32_t tag = 0; tag < 16; tag++) {
        disk_submit(disk, tag, DEVEMU_BLOCK_WRITE, 0, tag * 65536, data, 65536);
    }
    devemu_block_attach(block, NULL);
    cr_assert_eq(disk->done->len, 16);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

static uint64_t now;

static uint64_t clock_now(void *opaque)
{
    (void)opaque;
    return now;
}

/* Large and small requests end in their order, each at the moment after it began. */
Test(block_file, a_real_file_is_deterministic_in_virtual_time)
{
    char *path = image(1 << 20);
    DevemuBlock *block = open_image(path, "aio=threads,latency=10");
    Disk *disk = disk_new(block);
    static uint8_t data[65536];

    devemu_block_set_clock(block, clock_now, NULL);
    for (uint32_t tag = 0; tag < 40; tag++) {
        now = tag * 7;
        disk_submit(disk, tag, tag % 3 ? DEVEMU_BLOCK_READ : DEVEMU_BLOCK_WRITE, 0, 0, data,
                    tag % 2 ? 65536 : 512);
    }
    for (uint32_t tag = 0; tag < 40; tag++) {
        now = devemu_block_deadline(block);
        cr_assert_eq(now, 10000 + tag * 7, "request %u at %" PRIu64, tag, now);
        devemu_block_run(block);
        now = devemu_block_deadline(block);
        devemu_block_run(block);
        cr_assert_eq(disk->done->len, tag + 1);
        cr_assert_eq(disk_done(disk, tag)->tag, tag);
    }

    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

/* --- size -------------------------------------------------------------------------- */

Test(block_file, a_file_grows_and_the_device_hears_of_it)
{
    char *path = image(65536);
    DevemuBlock *block = open_image(path, "discard=on");
    Disk *disk = disk_new(block);
    uint8_t data[512] = {1};

    cr_assert(devemu_block_resize(block, 131072, NULL));
    cr_assert_eq(disk->info.capacity, 131072);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 131072 - 512, data, 512), 0);
    cr_assert_eq(data[0], 0);

    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

/* --- a block device ---------------------------------------------------------------- */

static char *loop_device(const char *path)
{
    const char *argv[] = {"losetup", "--find", "--show", path, NULL};
    char *name = NULL;
    int status = -1;

    if (!g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &name, NULL,
                      &status, NULL) ||
        !g_spawn_check_wait_status(status, NULL)) {
        g_free(name);
        return NULL;
    }
    return g_strchomp(name);
}

static void loop_device_end(const char *name)
{
    const char *argv[] = {"losetup", "--detach", name, NULL};

    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                 NULL, NULL);
}

static void on_a_device(const char *options)
{
    char *path = image(SHADOW_BYTES);
    g_autofree char *name = loop_device(path);
    DevemuBlock *block;
    GError *error = NULL;

    if (name == NULL) {
        toy_unlink(path);
        cr_skip_test("no loop devices here (root and losetup)");
    }
    block = open_image(name, options);
    if (block) {
        cr_expect(((BlockFile *)block)->is_device);
        cr_expect_not(devemu_block_resize(block, 4096, &error));
        cr_expect_not_null(strstr(error->message, "block device"));
        g_clear_error(&error);
        shadow_run(block, 500, 18);
    }
    devemu_block_free(block);
    loop_device_end(name);
    toy_unlink(path);
}

Test(block_file, a_block_device_by_io_uring)
{
    on_a_device("aio=io_uring");
}

Test(block_file, a_block_device_by_threads)
{
    on_a_device("aio=threads,direct=on");
}

/* --- refusals ---------------------------------------------------------------------- */

Test(block_file, bad_files_are_refused_with_a_sentence)
{
    disk_refused("file", "which one");
    disk_refused("file:", "which one");
    disk_refused("file:/nowhere/at/all", "cannot open '/nowhere/at/all'");
    disk_refused("file:/", "cannot open");
    disk_refused("file:/,readonly=on", "neither a file nor a block device");
    disk_refused("file:/dev/null", "neither a file nor a block device");
    refused("", 0, "is empty");
    refused(",aio=native", 512, "there are io_uring and threads");
    refused(",cache=none", 512, "there are writeback and writethrough");
    refused(",threads=0", 512, "must be a number");
}

Test(block_file, one_writer_or_many_readers)
{
    char *path = image(65536);
    g_autofree char *text = g_strdup_printf("file:%s", path);
    g_autofree char *reader = g_strdup_printf("file:%s,readonly=on", path);
    g_autofree char *unlocked = g_strdup_printf("file:%s,lock=off", path);
    DevemuBlock *first = disk_block(text), *second;

    disk_refused(text, "somebody else uses");
    disk_refused(reader, "somebody else uses");
    second = disk_block(unlocked);
    devemu_block_free(second);
    devemu_block_free(first);
    first = disk_block(reader);
    second = disk_block(reader);
    disk_refused(text, "somebody else uses");
    devemu_block_free(first);
    devemu_block_free(second);
    first = disk_block(text);
    devemu_block_free(first);
    toy_unlink(path);
}

static bool qemu_writes(const char *path)
{
    g_autofree char *program = g_find_program_in_path("qemu-io");
    g_autofree char *image_options = g_strdup_printf("driver=raw,file.filename=%s", path);
    const char *argv[] = {program, "--image-opts", image_options, "-c", "write 0 512", NULL};
    int status = -1;

    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL,
                 G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                 &status, NULL);
    return g_spawn_check_wait_status(status, NULL);
}

Test(block_file, qemu_and_we_see_each_others_locks)
{
    char *path = image(65536);
    g_autofree char *text = g_strdup_printf("file:%s", path);
    g_autofree char *program = g_find_program_in_path("qemu-io");
    DevemuBlock *block;

    if (program == NULL) {
        toy_unlink(path);
        cr_skip_test("no qemu-io here (qemu-utils)");
    }
    cr_assert(qemu_writes(path));
    block = disk_block(text);
    cr_assert_not(qemu_writes(path), "while we write");
    devemu_block_free(block);
    cr_assert(qemu_writes(path));
    toy_unlink(path);
}

/* --- a system without io_uring ----------------------------------------------------- */

/* As Docker's default profile: io_uring_setup() is not permitted. */
static void forbid_io_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {G_N_ELEMENTS(filter), filter};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(block_file, threads_stand_in_where_io_uring_is_forbidden)
{
    char *path = image(SHADOW_BYTES);
    DevemuBlock *block;

    forbid_io_uring();
    block = open_image(path, "discard=on");
    cr_assert_eq(block->class, &block_threads_class);
    shadow_run(block, 200, 17);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_file, asking_for_io_uring_where_it_is_forbidden_is_refused)
{
    forbid_io_uring();
    refused(",aio=io_uring", 512, "use aio=threads");
}
