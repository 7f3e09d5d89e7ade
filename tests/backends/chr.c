/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr.c: character backends.
 */
#define _GNU_SOURCE
#include "toy.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

typedef struct World {
    GMainContext *context;
    DevemuChr *chr;
    Toy *toy;
} World;

static World *world_new(const char *text)
{
    World *world = g_new0(World, 1);
    GError *error = NULL;

    world->context = g_main_context_new();
    world->chr = devemu_chr_new(text, world->context, &error);
    cr_assert_null(error, "%s", error ? error->message : "");
    world->toy = toy_new(&toy_char_model);
    devemu_chr_attach(world->chr, world->toy->dev);
    return world;
}

static void world_free(World *world)
{
    toy_free(world->toy);
    devemu_chr_free(world->chr);
    g_main_context_unref(world->context);
    g_free(world);
}

Test(chr, memory_keeps_what_the_device_writes)
{
    World *world = world_new("memory");
    size_t len;

    devemu_send_chars(world->toy->dev, "hello, ", 7);
    devemu_send_chars(world->toy->dev, "wor\0ld", 6);

    cr_assert_arr_eq(devemu_chr_output(world->chr, &len), "hello, wor\0ld", 14);
    cr_assert_eq(len, 13);
    devemu_chr_clear(world->chr);
    cr_assert_str_eq(devemu_chr_output(world->chr, NULL), "");
    cr_assert_null(devemu_chr_path(world->chr));
    world_free(world);
}

Test(chr, bytes_wait_for_a_device_without_room)
{
    World *world = world_new("memory");

    world->toy->room = 3;
    devemu_chr_put(world->chr, "abcdef", 6);
    cr_assert_str_eq(world->toy->chars->str, "", "nothing comes inside put");
    TOY_UNTIL(world->context, world->toy->chars->len == 3);
    cr_assert_eq(devemu_chr_waiting(world->chr), 3);
    toy_make_room(world->toy, 100);
    cr_assert_eq(world->toy->chars->len, 3, "nothing comes inside ready");
    TOY_UNTIL(world->context, world->toy->chars->len == 6);

    cr_assert_str_eq(world->toy->chars->str, "abcdef");
    world_free(world);
}

Test(chr, a_device_that_forgets_to_say_ready_is_asked_again)
{
    World *world = world_new("memory");

    world->toy->room = 0;
    devemu_chr_put(world->chr, "x", 1);
    devemu_chr_run(world->chr);
    world->toy->room = 1;
    TOY_UNTIL(world->context, world->toy->chars->len == 1);

    world_free(world);
}

Test(chr, a_device_that_answers_at_once_is_not_entered_again)
{
    World *world = world_new("memory");

    world->toy->echo = true;
    devemu_chr_put(world->chr, "ping", 4);
    devemu_chr_run(world->chr);

    cr_assert_str_eq(devemu_chr_output(world->chr, NULL), "ping");
    world_free(world);
}

Test(chr, control_lines_are_remembered)
{
    World *world = world_new("null");

    devemu_send_chars(world->toy->dev, "gone", 4);
    devemu_send_control(world->toy->dev, DEVEMU_CHAR_DTR | DEVEMU_CHAR_RTS);

    cr_assert_eq(devemu_chr_control(world->chr), DEVEMU_CHAR_DTR | DEVEMU_CHAR_RTS);
    cr_assert_null(devemu_chr_output(world->chr, NULL));
    world_free(world);
}

Test(chr, file_takes_the_output)
{
    char *path = toy_path("serial.log");
    g_autofree char *text = g_strdup_printf("file:%s", path);
    g_autofree char *content = NULL;
    World *world = world_new(text);

    devemu_send_chars(world->toy->dev, "a line\n", 7);

    cr_assert(g_file_get_contents(path, &content, NULL, NULL));
    cr_assert_str_eq(content, "a line\n");
    world_free(world);
    toy_unlink(path);
}

/* A backend on one end of a socket pair. */
static World *world_on_socket(int *ret_other)
{
    int ends[2];
    g_autofree char *text = NULL;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    text = g_strdup_printf("fd:%d", ends[0]);
    *ret_other = ends[1];
    return world_new(text);
}

Test(chr, a_descriptor_carries_both_directions)
{
    int other;
    World *world = world_on_socket(&other);
    char got[8] = "";

    cr_assert_eq(write(other, "in", 2), 2);
    TOY_UNTIL(world->context, world->toy->chars->len == 2);
    devemu_send_chars(world->toy->dev, "out", 3);

    cr_assert_eq(read(other, got, sizeof(got)), 3);
    cr_assert_str_eq(got, "out");
    world_free(world);
    cr_assert_eq(read(other, got, sizeof(got)), 0, "the descriptor was taken over");
    close(other);
}

Test(chr, a_descriptor_that_nobody_reads_keeps_64k_and_then_loses)
{
    int other;
    World *world = world_on_socket(&other);
    uint8_t block[4096];
    g_autofree uint8_t *sink = g_malloc(1 << 20);
    uint64_t written = 0, seen = 0;
    ssize_t len;

    memset(block, 'x', sizeof(block));
    while (devemu_chr_dropped(world->chr) == 0) {
        devemu_send_chars(world->toy->dev, block, sizeof(block));
        written += sizeof(block);
        cr_assert_lt(written, 1 << 24);
    }
    fcntl(other, F_SETFL, O_NONBLOCK);
    while ((len = read(other, sink, 1 << 20)) > 0 ||
           seen < written - devemu_chr_dropped(world->chr)) {
        seen += len > 0 ? (uint64_t)len : 0;
        g_main_context_iteration(world->context, FALSE);
    }

    cr_assert_eq(seen + devemu_chr_dropped(world->chr), written);
    world_free(world);
    close(other);
}

Test(chr, a_full_device_leaves_input_in_the_descriptor)
{
    int other;
    World *world = world_on_socket(&other);
    char block[1024];

    memset(block, 'y', sizeof(block));
    world->toy->room = 0;
    fcntl(other, F_SETFL, O_NONBLOCK);
    for (unsigned i = 0; i < 64; i++) {
        cr_assert_eq(write(other, block, sizeof(block)), sizeof(block));
    }
    toy_settle(world->context);
    cr_assert_leq(devemu_chr_waiting(world->chr), 8192);
    toy_make_room(world->toy, UINT32_MAX);
    TOY_UNTIL(world->context, world->toy->chars->len == 65536);

    world_free(world);
    close(other);
}

Test(chr, the_end_of_the_input_is_no_busy_loop)
{
    int other;
    World *world = world_on_socket(&other);

    close(other);
    TOY_UNTIL(world->context, !g_main_context_pending(world->context));
    for (unsigned i = 0; i < 3; i++) {
        g_main_context_iteration(world->context, FALSE);
    }

    cr_assert_not(g_main_context_iteration(world->context, FALSE));
    world_free(world);
}

Test(chr, a_pty_can_be_opened_closed_and_opened_again)
{
    World *world = world_new("pty");
    char got[16] = "";

    for (unsigned i = 0; i < 2; i++) {
        int slave = open(devemu_chr_path(world->chr), O_RDWR | O_NOCTTY);

        cr_assert_geq(slave, 0);
        g_string_truncate(world->toy->chars, 0);
        cr_assert_eq(write(slave, "ls\r", 3), 3);
        TOY_UNTIL(world->context, world->toy->chars->len == 3);
        cr_assert_str_eq(world->toy->chars->str, "ls\r", "nothing is translated");
        devemu_send_chars(world->toy->dev, "a\nb", 3);
        cr_assert_eq(read(slave, got, sizeof(got)), 3);
        cr_assert_arr_eq(got, "a\nb", 3);
        close(slave);
    }
    world_free(world);
}

/* The standard input and output of a child are a terminal; the parent holds its other end. */
static int run_on_terminal(void (*child)(void), int *ret_master)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    int slave, pid, status;

    cr_assert_geq(master, 0);
    cr_assert_eq(grantpt(master) | unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    pid = fork();
    if (pid == 0) {
        dup2(slave, 0);
        dup2(slave, 1);
        child();
        exit(0);
    }
    waitpid(pid, &status, 0);
    close(slave);
    *ret_master = master;
    return status;
}

static void stdio_child(void)
{
    struct termios mode;
    static World *world; /* still there at exit, for the leak checker */
    GError *error = NULL;

    world = world_new("stdio");

    if (tcgetattr(0, &mode) != 0 || mode.c_lflag & (ECHO | ICANON) || !(mode.c_lflag & ISIG)) {
        _exit(1);
    }
    if (devemu_chr_new("stdio", NULL, &error) != NULL) {
        _exit(2);
    }
    g_error_free(error);
    devemu_send_chars(world->toy->dev, "prompt> ", 8);
    /* exit() without devemu_chr_free() */
}

static void check_mode_child(void)
{
    DevemuChr *chr = devemu_chr_new("stdio,signals=off", NULL, NULL);
    struct termios mode;

    if (tcgetattr(0, &mode) != 0 || mode.c_lflag & (ECHO | ICANON | ISIG)) {
        _exit(1);
    }
    devemu_chr_free(chr);
    if (tcgetattr(0, &mode) != 0 || (mode.c_lflag & (ECHO | ICANON)) != (ECHO | ICANON)) {
        _exit(2);
    }
}

Test(chr, a_terminal_is_raw_while_it_is_used_and_as_before_after_exit)
{
    struct termios mode;
    char got[32] = "";
    int master;

    cr_assert_eq(run_on_terminal(stdio_child, &master), 0);

    cr_assert_eq(tcgetattr(master, &mode), 0);
    cr_assert_eq(mode.c_lflag & (ECHO | ICANON), ECHO | ICANON);
    cr_assert_eq(read(master, got, sizeof(got)), 8);
    cr_assert_str_eq(got, "prompt> ");
    close(master);
}

Test(chr, a_terminal_is_as_before_after_free)
{
    int master;

    cr_assert_eq(run_on_terminal(check_mode_child, &master), 0);
    close(master);
}

/* --- a UNIX socket ------------------------------------------------------------------ */

static World *world_at(char *path)
{
    g_autofree char *text = g_strdup_printf("unix:%s", path);

    return world_new(text);
}

/* A program at the socket; it blocks. */
static int program(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void read_exactly(int fd, void *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = read(fd, (char *)to + at, len - at);

        cr_assert_gt(got, 0);
        at += (size_t)got;
    }
}

Test(chr_unix, one_program_talks_and_the_next_one_waits)
{
    char *path = toy_path("chr");
    World *world = world_at(path);
    int first = program(path), next = program(path);
    char got[8] = "";

    cr_assert_str_eq(devemu_chr_path(world->chr), path);
    cr_assert_eq(write(next, "next", 4), 4);
    cr_assert_eq(write(first, "first", 5), 5);
    TOY_UNTIL(world->context, world->toy->chars->len == 5);
    cr_assert_str_eq(world->toy->chars->str, "first");
    devemu_send_chars(world->toy->dev, "out", 3);
    read_exactly(first, got, 3);
    cr_assert_str_eq(got, "out");
    close(first);
    TOY_UNTIL(world->context, world->toy->chars->len == 9);
    cr_assert_str_eq(world->toy->chars->str, "firstnext");

    world_free(world);
    cr_assert_eq(read(next, got, 1), 0);
    cr_assert_neq(access(path, F_OK), 0, "the socket is removed");
    close(next);
    toy_unlink(path);
}

Test(chr_unix, a_socket_that_a_dead_program_left_is_replaced)
{
    char *path = toy_path("chr");
    g_autofree char *text = g_strdup_printf("unix:%s", path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    GError *error = NULL;
    World *world;

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    cr_assert_eq(bind(left, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(left);
    world = world_at(path);
    cr_assert_null(devemu_chr_new(text, world->context, &error), "this one lives");
    cr_assert_not_null(strstr(error->message, "Address already in use"), "%s", error->message);
    cr_assert_eq(access(path, F_OK), 0);

    g_error_free(error);
    world_free(world);
    toy_unlink(path);
}

Test(chr_unix, output_waits_for_a_program)
{
    char *path = toy_path("chr");
    World *world = world_at(path);
    g_autofree char *block = g_malloc(65536), *got = g_malloc(65536);
    int fd;

    memset(block, 'x', 65536);
    block[0] = 'a';
    devemu_send_chars(world->toy->dev, block, 65536);
    devemu_send_chars(world->toy->dev, "lost", 4);
    cr_assert_eq(devemu_chr_dropped(world->chr), 4);
    fd = program(path);
    TOY_UNTIL(world->context, devemu_port_writable(world->toy->dev, 0));
    read_exactly(fd, got, 65536);

    cr_assert_arr_eq(got, block, 65536);
    close(fd);
    world_free(world);
    toy_unlink(path);
}

Test(chr_unix, what_a_program_said_before_it_went_still_comes)
{
    char *path = toy_path("chr");
    World *world = world_at(path);
    g_autofree char *block = g_malloc0(32768);
    int fd = program(path);

    world->toy->room = 0;
    cr_assert_eq(write(fd, block, 32768), 32768);
    close(fd);
    TOY_UNTIL(world->context, devemu_chr_waiting(world->chr) >= 4096);
    devemu_send_chars(world->toy->dev, "nobody", 6);
    toy_settle(world->context);
    toy_make_room(world->toy, UINT32_MAX);
    TOY_UNTIL(world->context, world->toy->chars->len == 32768);
    fd = program(path);
    TOY_UNTIL(world->context, poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1);
    read_exactly(fd, block, 6);

    cr_assert_arr_eq(block, "nobody", 6);
    close(fd);
    world_free(world);
    toy_unlink(path);
}

Test(chr_unix, a_program_that_has_said_all_may_listen_on)
{
    char *path = toy_path("chr");
    World *world = world_at(path);
    int first = program(path), next = program(path);
    char got[8] = "";

    cr_assert_eq(write(first, "bye", 3), 3);
    shutdown(first, SHUT_WR);
    TOY_UNTIL(world->context, world->toy->chars->len == 3);
    toy_settle(world->context);
    devemu_send_chars(world->toy->dev, "out", 3);
    read_exactly(first, got, 3);
    cr_assert_str_eq(got, "out");
    close(first);
    cr_assert_eq(write(next, "next", 4), 4);
    TOY_UNTIL(world->context, world->toy->chars->len == 7);

    close(next);
    world_free(world);
    toy_unlink(path);
}

/* Send pieces until the backend says that it has enough. The bytes that were sent. */
static size_t fill(World *world, const char *piece, size_t len)
{
    size_t sent = 0;

    while (devemu_port_writable(world->toy->dev, 0)) {
        devemu_send_chars(world->toy->dev, piece, len);
        sent += len;
        cr_assert_lt(sent, 1 << 24);
    }
    return sent;
}

Test(chr_unix, a_device_that_asks_is_held_back_and_loses_nothing)
{
    char *path = toy_path("chr");
    World *world = world_at(path);
    g_autofree char *piece = g_malloc(1 << 20), *got = NULL;
    int fd = program(path);
    size_t sent;

    memset(piece, 'x', 1 << 20);
    sent = fill(world, piece, 1 << 20);
    cr_assert_eq(devemu_chr_dropped(world->chr), 0);
    toy_settle(world->context);
    cr_assert_eq(world->toy->writable, 0, "nobody has read");
    got = g_malloc0(sent + 1);
    for (size_t at = 0; at < sent;) {
        ssize_t len = recv(fd, got + at, sent - at, MSG_DONTWAIT);

        at += len > 0 ? (size_t)len : 0;
        g_main_context_iteration(world->context, FALSE);
    }
    TOY_UNTIL(world->context, world->toy->writable == 1);
    toy_settle(world->context);

    cr_assert_eq(world->toy->writable, 1, "it is said once");
    cr_assert_eq(strspn(got, "x"), sent);
    cr_assert_eq(devemu_chr_dropped(world->chr), 0);
    close(fd);
    world_free(world);
    toy_unlink(path);
}

Test(chr_unix, the_next_program_gets_what_was_left)
{
    char *path = toy_path("chr");
    World *world = world_at(path);
    g_autofree char *piece = g_malloc(65536);
    int fd = program(path);
    int waits;

    memset(piece, 'x', 65536);
    fill(world, piece, 65536);
    close(fd);
    fd = program(path);
    TOY_UNTIL(world->context, world->toy->writable == 1);
    waits = 0;
    TOY_UNTIL(world->context, ioctl(fd, FIONREAD, &waits) == 0 && waits > 0);
    read_exactly(fd, piece, 1);

    cr_assert_eq(piece[0], 'x');
    close(fd);
    world_free(world);
    toy_unlink(path);
}

static void refuses(const char *text, const char *message)
{
    GError *error = NULL;

    cr_assert_null(devemu_chr_new(text, NULL, &error), "%s", text);
    cr_assert_eq(error->domain, DEVEMU_ERROR);
    cr_assert_not_null(strstr(error->message, message), "%s: %s", text, error->message);
    g_error_free(error);
}

Test(chr, what_a_person_writes_wrong_is_named)
{
    char long_path[200] = "unix:";

    memset(long_path + 5, 'x', sizeof(long_path) - 6);
    refuses("studio",
            "\"studio\"; there are fd:N, file:PATH, memory, null, pty, random, stdio, unix:PATH");
    refuses("fd", "fd: give the number");
    refuses("fd:one", "fd: give the number");
    refuses("fd:999", "fd:999: ");
    refuses("file:", "file: give the name");
    refuses("file:/nowhere/at/all", "file: /nowhere/at/all: ");
    refuses("stdio,raw=maybe", "option raw is \"maybe\"");
    refuses("unix:", "unix: give the name of a socket");
    refuses("unix:/nowhere/at/all", "unix: /nowhere/at/all: No such file");
    refuses(long_path, "the path is too long for a socket");
    refuses("pty,speed=9600", "pty: there is no option speed, nor any other");
}
