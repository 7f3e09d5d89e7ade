/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of a guest by real sockets, through the device and its driver. */
#define _GNU_SOURCE
#include "../models/virtio/vsock.h"

#include <devemu/backends.h>

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Rig {
    VdDriver d;
    DevemuVsock *vsock;
    GMainContext *context;
    char *dir, *path;
} Rig;

static Rig *rig_new(void)
{
    Rig *r = g_new0(Rig, 1);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    r->d.fake = devemu_fake_new_mode(&devemu_model_virtio_vsock, NULL, VD_RAM, DEVEMU_FAKE_PLAIN);
    r->context = g_main_context_new();
    r->dir = g_dir_make_tmp("vsock-XXXXXX", &error);
    cr_assert(r->dir, "%s", error ? error->message : "");
    r->path = g_build_filename(r->dir, "v", NULL);
    text = g_strconcat("unix:", r->path, NULL);
    r->vsock = devemu_vsock_new(text, r->context, &error);
    cr_assert(r->vsock, "%s", error ? error->message : "");
    devemu_vsock_attach(r->vsock, devemu_fake_device(r->d.fake));
    devemu_vsock_run(r->vsock); /* RESET, to a driver that is not there yet */
    vd_start(&r->d, FEATURES);
    give(&r->d, 32);
    return r;
}

static void rig_free(Rig *r)
{
    devemu_vsock_attach(r->vsock, NULL);
    devemu_vsock_free(r->vsock);
    vd_free(&r->d);
    g_main_context_unref(r->context);
    cr_assert_not(g_file_test(r->path, G_FILE_TEST_EXISTS), "the socket is left");
    g_rmdir(r->dir);
    g_free(r->dir);
    g_free(r->path);
    g_free(r);
}

/* All that there is to do without waiting. */
static void turn(Rig *r)
{
    while (g_main_context_iteration(r->context, FALSE)) {
    }
    devemu_fake_advance(r->d.fake, 1);
}

/* A packet to the guest, however long it takes. */
static Packet await(Rig *r, uint16_t op)
{
    Packet p = {0};

    for (unsigned i = 0; i < 1000 && !next(&r->d, &p); i++) {
        turn(r);
    }
    cr_assert_eq(p.op, op, "%u, not %u", p.op, op);
    return p;
}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    return a;
}

static int dial(const char *path, int type)
{
    struct sockaddr_un a = address(path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0, "%s", path);
    return fd;
}

static int answer(const char *path, int type)
{
    struct sockaddr_un a = address(path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0, "%s", path);
    cr_assert_eq(listen(fd, 4), 0);
    return fd;
}

static void read_exactly(int fd, char *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, to + at, len - at);

        cr_assert_gt(n, 0);
        at += (size_t)n;
    }
}

/* The guest's connection to HOST, from a socket that listens at PATH_HOST. */
static int guest_dials(Rig *r, int type, uint16_t vsock_type)
{
    g_autofree char *path = g_strdup_printf("%s_%u", r->path, HOST);
    int listener = answer(path, type), fd;

    tx(&r->d, (Packet){.op = REQUEST, .type = vsock_type});
    await(r, RESPONSE);
    fd = accept(listener, NULL, NULL);
    cr_assert_geq(fd, 0);
    close(listener);
    g_unlink(path);
    return fd;
}

Test(vsock_unix, a_guest_reaches_a_socket)
{
    Rig *r = rig_new();
    int fd = guest_dials(r, SOCK_STREAM, STREAM);
    char bytes[16] = "";
    Packet p;

    tx(&r->d, (Packet){.op = RW, .len = 10});
    read_exactly(fd, bytes, 10);
    cr_assert_eq(bytes[9], 63);
    cr_assert_eq(write(fd, "hello", 5), 5);
    p = await(r, RW);
    cr_assert_eq(p.len, 5);
    cr_assert_arr_eq(p.data, "hello", 5);
    /* 5.10.6.5: all is said, and all of it arrives. */
    tx(&r->d, (Packet){.op = RW, .len = 3});
    tx(&r->d, (Packet){.op = SHUTDOWN, .flags = 3});
    await(r, RST);
    read_exactly(fd, bytes, 3);
    cr_assert_eq(read(fd, bytes, 1), 0);
    close(fd);
    rig_free(r);
}

Test(vsock_unix, nobody_listens)
{
    Rig *r = rig_new();

    tx(&r->d, (Packet){.op = REQUEST});
    await(r, RST);
    rig_free(r);
}

static Packet greeted(Rig *r, int fd, const char *line)
{
    cr_assert_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
    return await(r, REQUEST);
}

Test(vsock_unix, a_program_reaches_the_guest)
{
    Rig *r = rig_new();
    int fd = dial(r->path, SOCK_STREAM);
    char line[32] = "";
    g_autofree char *ok = NULL;
    Packet p;

    p = greeted(r, fd, "CONNECT 1000\nand more");
    cr_assert_eq(p.dst_port, GUEST);
    tx(&r->d, (Packet){.op = RESPONSE, .dst_port = p.src_port});
    ok = g_strdup_printf("OK %u\n", p.src_port);
    read_exactly(fd, line, strlen(ok));
    cr_assert_str_eq(line, ok);
    p = await(r, RW);
    cr_assert_eq(p.len, 8);
    cr_assert_arr_eq(p.data, "and more", 8);
    /* Half a close, then the other half. */
    shutdown(fd, SHUT_WR);
    p = await(r, SHUTDOWN);
    cr_assert_eq(p.flags, 2);
    tx(&r->d, (Packet){.op = RW, .len = 4, .dst_port = p.src_port});
    read_exactly(fd, line, 4);
    close(fd);
    p = await(r, SHUTDOWN);
    cr_assert_eq(p.flags, 3);
    tx(&r->d, (Packet){.op = RST, .dst_port = p.src_port});
    turn(r);
    rig_free(r);
}

Test(vsock_unix, a_program_is_refused)
{
    static const char *const lines[] = {"GET / HTTP/1.0\n", "CONNECT x\n", "CONNECT 4294967296\n",
                                        "CONNECT 00000000000000000000000000001\n"};
    Rig *r = rig_new();
    int fd = dial(r->path, SOCK_STREAM);
    char byte;
    Packet p = greeted(r, fd, "CONNECT 1000\n");

    tx(&r->d, (Packet){.op = RST, .dst_port = p.src_port});
    turn(r);
    cr_assert_eq(read(fd, &byte, 1), 0, "no OK");
    close(fd);
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        fd = dial(r->path, SOCK_STREAM);
        cr_assert_gt(write(fd, lines[i], strlen(lines[i])), 0);
        turn(r);
        turn(r);
        cr_assert_leq(recv(fd, &byte, 1, MSG_DONTWAIT), 0, "%s", lines[i]);
        cr_assert_neq(errno, EAGAIN, "%s", lines[i]);
        errno = 0;
        close(fd);
    }
    rig_free(r);
}

/* More than all buffers on the way hold, while the guest is slow, and nothing is lost. */
Test(vsock_unix, credit_holds_a_program_back)
{
    enum { TOTAL = 100000 };
    Rig *r = rig_new();
    int fd = guest_dials(r, SOCK_STREAM, STREAM);
    uint32_t came = 0, written = 0;
    uint8_t bytes[1000];
    Packet p;

    while (came < TOTAL) {
        for (unsigned i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (uint8_t)((written + i) * 13 >> 3);
        }
        if (written < TOTAL && send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
            written += sizeof(bytes);
        }
        turn(r);
        while (next(&r->d, &p)) {
            for (uint32_t i = 0; p.op == RW && i < p.len; i++, came++) {
                cr_assert_eq(p.data[i], (uint8_t)(came * 13 >> 3));
            }
            give(&r->d, 1);
        }
        if (written % 5000 == 0) {
            tx(&r->d, (Packet){.op = CREDIT_UPDATE, .fwd_cnt = came});
        }
    }
    close(fd);
    rig_free(r);
}

/* And the guest, whose program of the host does not read. */
Test(vsock_unix, credit_holds_the_guest_back)
{
    enum { PIECE = 4096, TOTAL = 256 * PIECE };
    Rig *r = rig_new();
    int fd = guest_dials(r, SOCK_STREAM, STREAM);
    uint32_t sent = 0, fwd = 0, got = 0;
    char bytes[PIECE];
    Packet p;

    for (unsigned idle = 0; got < TOTAL; idle++) {
        cr_assert_lt(idle, 100000u, "%u of %u", got, sent);
        if (sent < TOTAL && sent + PIECE - fwd <= DEVEMU_VSOCK_BUFFER) {
            tx(&r->d, (Packet){.op = RW, .len = PIECE});
            sent += PIECE;
        } else {
            ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

            got += n > 0 ? (uint32_t)n : 0;
        }
        turn(r);
        while (next(&r->d, &p)) {
            cr_assert_eq(p.op, CREDIT_UPDATE);
            fwd = p.fwd_cnt;
            give(&r->d, 1);
        }
    }
    close(fd);
    rig_free(r);
}

Test(vsock_unix, messages_stay_messages)
{
    Rig *r = rig_new();
    int fd = guest_dials(r, SOCK_SEQPACKET, SEQPACKET);
    char bytes[256];
    Packet p;

    tx(&r->d, (Packet){.op = RW, .type = SEQPACKET, .len = 10});
    tx(&r->d, (Packet){.op = RW, .type = SEQPACKET, .len = 10, .flags = 1});
    tx(&r->d, (Packet){.op = RW, .type = SEQPACKET, .len = 5, .flags = 1});
    cr_assert_eq(read(fd, bytes, sizeof(bytes)), 20);
    cr_assert_eq(read(fd, bytes, sizeof(bytes)), 5);
    cr_assert_eq(send(fd, bytes, 100, 0), 100);
    cr_assert_eq(send(fd, bytes, 7, 0), 7);
    p = await(r, RW);
    cr_assert_eq(p.len, ROOM);
    cr_assert_eq(p.flags, 0);
    p = await(r, RW);
    cr_assert_eq(p.len, 100 - ROOM);
    cr_assert_eq(p.flags & 1, 1);
    p = await(r, RW);
    cr_assert_eq(p.len, 7);
    cr_assert_eq(p.flags & 1, 1);
    close(fd);
    await(r, SHUTDOWN);
    rig_free(r);
}

Test(vsock_unix, a_program_reaches_the_guest_by_messages)
{
    Rig *r = rig_new();
    g_autofree char *path = g_strconcat(r->path, "_seqpacket", NULL);
    int fd = dial(path, SOCK_SEQPACKET);
    char line[32] = "";
    Packet p = greeted(r, fd, "CONNECT 1000\n");

    cr_assert_eq(p.type, SEQPACKET);
    tx(&r->d, (Packet){.op = RESPONSE, .type = SEQPACKET, .dst_port = p.src_port});
    cr_assert_gt(read(fd, line, sizeof(line)), 0);
    cr_assert(g_str_has_prefix(line, "OK "));
    close(fd);
    rig_free(r);
}

/* 5.10.6.7: after a load the guest hears that its connections are gone, and the programs see it. */
Test(vsock_unix, a_load_ends_connections)
{
    Rig *r = rig_new();
    int fd = guest_dials(r, SOCK_STREAM, STREAM);
    DevemuDevice *dev = devemu_fake_device(r->d.fake);
    uint32_t id, len;
    char byte;

    vd_add(&r->d, EVENTQ, &(VdPiece){VD_DATA + 0x1000, 8, true}, 1);
    cr_assert(devemu_device_load(dev, devemu_device_save(dev), NULL));
    turn(r);
    cr_assert(vd_used(&r->d, EVENTQ, &id, &len));
    cr_assert_eq(read(fd, &byte, 1), 0);
    tx(&r->d, (Packet){.op = RW, .len = 1});
    await(r, RST);
    close(fd);
    rig_free(r);
}

Test(vsock_unix, mistakes_are_said_in_a_sentence)
{
    g_autofree char *path = g_strnfill(200, 'x'), *text = g_strconcat("unix:", path, NULL);
    g_autoptr(GError) error = NULL;

    cr_assert_null(devemu_vsock_new("tcp:1", NULL, &error));
    cr_assert_str_eq(error->message,
                     "there are no connections of the kind 'tcp:1'; write unix:PATH, or null");
    g_clear_error(&error);
    cr_assert_null(devemu_vsock_new(text, NULL, &error));
    g_clear_error(&error);
    cr_assert_null(devemu_vsock_new("unix:/nowhere/at/all", NULL, &error));
    cr_assert(strstr(error->message, "/nowhere/at/all: No such file"), "%s", error->message);
}
