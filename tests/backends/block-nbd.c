/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-nbd.c: disks behind NBD, with qemu-nbd and nbdkit as servers, and qcow2 images. What is not
 * installed is skipped.
 */
#define _GNU_SOURCE
#include "disk.h"
#include "toy.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static bool has_nbd(void)
{
    g_autofree char *program = g_find_program_in_path("qemu-nbd");
    GError *error = NULL;
    bool built;

    cr_assert_null(devemu_block_new("nbd:/nowhere", NULL, &error));
    built = strstr(error->message, "libnbd") == NULL;
    g_error_free(error);
    return built && program != NULL;
}

#define NEED(condition, what)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            cr_skip_test("%s is not here", what);                                                  \
        }                                                                                          \
    } while (0)

static bool run(const char *const *argv)
{
    int status = -1;

    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL,
                 G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status,
                 NULL);
    return g_spawn_check_wait_status(status, NULL);
}

static char *qcow2_image(const char *size)
{
    char *path = toy_path("disk,1.qcow2");
    const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", path, size, NULL};

    cr_assert(run(argv));
    return path;
}

/* "disk,1.qcow2" is written with two commas. */
static char *qcow2_text(const char *path, const char *options)
{
    g_auto(GStrv) parts = g_strsplit(path, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", parts);

    return g_strdup_printf("qcow2:%s%s", escaped, options);
}

/* --- servers ----------------------------------------------------------------------- */

typedef struct Server {
    char *socket;
    int listener;
    GPid pid;
} Server;

/* The socket is there before the server is: nobody waits for it. */
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(fd, 8), 0);
    return fd;
}

/* In the child: the protocol of systemd's socket activation. */
static void hand_over(gpointer opaque)
{
    char pid[16];

    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    if (GPOINTER_TO_INT(opaque) == 3) {
        fcntl(3, F_SETFD, 0);
    } else {
        dup2(GPOINTER_TO_INT(opaque), 3);
    }
}

static Server server_start(const char *const *argv)
{
    Server server = {.socket = toy_path("s")};
    GError *error = NULL;

    server.listener = listen_at(server.socket);
    g_spawn_async(NULL, (char **)(uintptr_t)argv, NULL,
                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                  hand_over, GINT_TO_POINTER(server.listener), &server.pid, &error);
    cr_assert_null(error);
    close(server.listener);
    return server;
}

static void server_stop(Server *server)
{
    kill(server->pid, SIGTERM); /* or it has ended with its client */
    waitpid(server->pid, NULL, 0);
    toy_unlink(server->socket);
}

static char *raw_image(uint64_t size)
{
    char *path = toy_path("disk.img");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    cr_assert_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
    return path;
}

/* --- NBD --------------------------------------------------------------------------- */

static void with_qemu_nbd(const char *extra, const char *options)
{
    char *path = raw_image(SHADOW_BYTES);
    const char *argv[] = {"qemu-nbd", "-f", "raw", "--discard=unmap", path, extra, NULL};
    Server server = server_start(argv);
    g_autofree char *text = g_strdup_printf("nbd:%s%s", server.socket, options);
    DevemuBlock *block = disk_block(text);

    shadow_run(block, 2000, 21);
    devemu_block_free(block);

    server_stop(&server);
    toy_unlink(path);
}

Test(block_nbd, qemu_nbd_keeps_what_two_thousand_requests_wrote)
{
    NEED(has_nbd(), "qemu-nbd or libnbd");
    with_qemu_nbd("--cache=writeback", "");
}

Test(block_nbd, by_a_uri)
{
    const char *argv[8] = {"qemu-nbd", "-f", "raw", "-r", "-x", "there"};
    char *path;
    Server server;
    g_autofree char *text = NULL;
    DevemuBlock *block;
    Disk *disk;
    uint8_t data[512];

    NEED(has_nbd(), "qemu-nbd or libnbd");
    path = raw_image(65536);
    argv[6] = path;
    server = server_start(argv);
    text = g_strdup_printf("nbd:nbd+unix:///there?socket=%s", server.socket);
    block = disk_block(text);
    disk = disk_new(block);

    cr_assert(disk->info.read_only, "the server says so");
    cr_assert_eq(disk->info.capacity, 65536);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 512), -EROFS);
    disk_free(disk);
    devemu_block_free(block);
    server_stop(&server);
    toy_unlink(path);
}

static bool has_nbdkit(void)
{
    g_autofree char *program = g_find_program_in_path("nbdkit");

    return program != NULL && has_nbd();
}

/* A server that cannot do FUA by itself: a flush follows each such write. It logs both. */
Test(block_nbd, a_server_without_fua_is_asked_to_flush)
{
    char *log = toy_path("log");
    g_autofree char *wrote = g_strdup_printf("pwrite=cat >/dev/null; echo write >>%s", log);
    g_autofree char *flushed = g_strdup_printf("flush=echo flush >>%s", log);
    const char *argv[] = {"nbdkit",
                          "-f",
                          "eval",
                          "get_size=echo 1048576",
                          "pread=exit 1",
                          wrote,
                          flushed,
                          "can_fua=echo none",
                          NULL};
    Server server;
    g_autofree char *text = NULL, *logged = NULL;
    DevemuBlock *block;
    Disk *disk;
    uint8_t data[512] = {0};

    NEED(has_nbdkit(), "nbdkit");
    server = server_start(argv);
    text = g_strdup_printf("nbd:%s", server.socket);
    block = disk_block(text);
    disk = disk_new(block);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 512), 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, DEVEMU_BLOCK_FUA, 0, data, 512), 0);

    cr_assert(g_file_get_contents(log, &logged, NULL, NULL));
    cr_assert_str_eq(logged, "write\nwrite\nflush\n");
    disk_free(disk);
    devemu_block_free(block);
    server_stop(&server);
    toy_unlink(log);
}

Test(block_nbd, an_error_of_the_server_is_one_of_the_request)
{
    const char *argv[12] = {"nbdkit",
                            "-f",
                            "--filter=error",
                            "memory",
                            "1M",
                            "error-pread=ENOSPC",
                            "error-pread-rate=100%"};
    Server server;
    g_autofree char *text = NULL;
    DevemuBlock *block;
    Disk *disk;
    uint8_t data[512] = {0};

    NEED(has_nbdkit(), "nbdkit");
    server = server_start(argv);
    text = g_strdup_printf("nbd:%s", server.socket);
    block = disk_block(text);
    disk = disk_new(block);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 0, data, 512), -ENOSPC);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 512), 0);
    disk_free(disk);
    devemu_block_free(block);
    server_stop(&server);
}

Test(block_nbd, a_server_that_dies_fails_what_is_in_flight_and_what_follows)
{
    const char *argv[12] = {"nbdkit", "-f", "--filter=delay", "memory", "1M", "rdelay=60"};
    Server server;
    g_autofree char *text = NULL;
    DevemuBlock *block;
    Disk *disk;
    uint8_t data[512] = {0};

    NEED(has_nbdkit(), "nbdkit");
    server = server_start(argv);
    text = g_strdup_printf("nbd:%s", server.socket);
    block = disk_block(text);
    disk = disk_new(block);
    disk_submit(disk, 1, DEVEMU_BLOCK_READ, 0, 0, data, 512);
    disk_submit(disk, 2, DEVEMU_BLOCK_READ, 0, 512, data, 512);
    g_main_context_iteration(NULL, FALSE);
    kill(server.pid, SIGKILL);
    devemu_device_drain(disk->dev);

    cr_assert_eq(disk->done->len, 2);
    cr_assert_lt(disk_done(disk, 0)->status, 0);
    cr_assert_lt(disk_done(disk, 1)->status, 0);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 0, data, 512), -ENOTCONN);
    devemu_device_drain(disk->dev);
    cr_assert_eq(devemu_block_poll(block), 0);
    disk_free(disk);
    devemu_block_free(block);
    server_stop(&server);
}

Test(block_nbd, what_is_not_there_is_refused_with_a_sentence)
{
    NEED(has_nbd(), "qemu-nbd or libnbd");
    disk_refused("nbd", "where?");
    disk_refused("nbd:/nowhere/socket", "cannot reach '/nowhere/socket'");
    disk_refused("nbd:gopher://x", "cannot reach");
    disk_refused("nbd:/nowhere/socket,cache=none", "there is no option cache");
}

/* --- qcow2 ------------------------------------------------------------------------- */

static void random_qcow2(const char *options)
{
    char *path = qcow2_image("1M");
    g_autofree char *text = qcow2_text(path, options);
    DevemuBlock *block = disk_block(text);
    const char *check[] = {"qemu-img", "check", "-q", "-f", "qcow2", path, NULL};

    shadow_run(block, 2000, 31);
    devemu_block_free(block);

    cr_assert(run(check));
    toy_unlink(path);
}

Test(block_nbd, qcow2_keeps_what_two_thousand_requests_wrote)
{
    NEED(has_nbd(), "qemu-nbd or libnbd");
    random_qcow2("");
}

Test(block_nbd, qcow2_write_through)
{
    NEED(has_nbd(), "qemu-nbd or libnbd");
    random_qcow2(",cache=writethrough");
}

Test(block_nbd, what_was_written_is_in_the_image_and_the_child_is_gone)
{
    char *path;
    g_autofree char *text = NULL;
    DevemuBlock *block;
    Disk *disk;
    uint8_t data[512], back[512];

    NEED(has_nbd(), "qemu-nbd or libnbd");
    path = qcow2_image("16M");
    text = qcow2_text(path, "");
    memset(data, 9, sizeof(data));
    block = disk_block(text);
    disk = disk_new(block);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_WRITE, 0, 8 << 20, data, 512), 0);
    disk_free(disk);
    devemu_block_free(block);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "no child is left");
    cr_assert_eq(errno, ECHILD);
    block = disk_block(text);
    disk = disk_new(block);
    cr_assert_eq(disk_do(disk, DEVEMU_BLOCK_READ, 0, 8 << 20, back, 512), 0);

    cr_assert_arr_eq(back, data, 512);
    disk_free(disk);
    devemu_block_free(block);
    toy_unlink(path);
}

Test(block_nbd, bad_images_are_refused_with_a_sentence)
{
    char *path;
    g_autofree char *text = NULL, *wrong_cache = NULL;

    NEED(has_nbd(), "qemu-nbd or libnbd");
    path = raw_image(65536);
    text = qcow2_text(path, "");
    wrong_cache = qcow2_text(path, ",cache=off");
    disk_refused("qcow2:", "which image");
    disk_refused("qcow2:/nowhere", "cannot open '/nowhere'");
    disk_refused(text, "is no qcow2 image");
    disk_refused(wrong_cache, "there are writeback and writethrough");
    g_setenv("PATH", "/nowhere", TRUE);
    disk_refused(text, "qemu-utils");
    toy_unlink(path);
}
