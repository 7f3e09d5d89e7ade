/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr-unix.c: a UNIX socket, for one program at a time. The next one waits in the socket's queue.
 * Output that no program has taken is kept for the one that comes, as far as it fits; so is what
 * was left when the last one went, though not what its socket had.
 */
#define _DEFAULT_SOURCE
#include "chr.h"
#include "unix.h"

#include <unistd.h>

typedef struct ChrUnix {
    ChrFd fd; /* both ways the program's socket; -1: nobody is there */
    int listener;
    bool deaf; /* the program takes nothing more; what it said may still be there to be read */
} ChrUnix;

static void hang_up(ChrUnix *u)
{
    close(u->fd.out);
    u->fd.in = u->fd.out = -1;
    u->deaf = false;
}

/* A socket whose other end is gone always has that to say, so it is watched only while it is of
 * use. */
static void unix_watch(DevemuChr *chr, bool room)
{
    const ChrUnix *u = (const ChrUnix *)chr;
    const ChrFd *fd = &u->fd;

    if (fd->out < 0) {
        loop_watch(chr->loop, u->listener, G_IO_IN);
        return;
    }
    if (fd->in < 0) { /* it will say nothing more: does it listen? */
        loop_watch(chr->loop, fd->out, fd->late->len > 0 ? G_IO_OUT : 0);
    } else if (room || !u->deaf) {
        loop_watch(chr->loop, fd->out,
                   (room ? G_IO_IN : 0) | (fd->late->len > 0 && !u->deaf ? G_IO_OUT : 0));
    }
}

static void look_for_program(ChrUnix *u)
{
    int fd = loop_found(u->fd.chr.loop, u->listener) ? unix_accept(u->listener) : -1;

    if (fd >= 0) {
        u->fd.in = u->fd.out = fd;
    }
}

static void unix_fetch(DevemuChr *chr)
{
    ChrUnix *u = (ChrUnix *)chr;
    ChrFd *fd = &u->fd;
    GIOCondition found;

    if (fd->out < 0) {
        look_for_program(u);
        return;
    }
    found = loop_found(chr->loop, fd->out);
    u->deaf = u->deaf || (found & (G_IO_HUP | G_IO_ERR)) ||
              (fd->late->len > 0 && (found & G_IO_OUT) && !chr_fd_flush(fd));
    if (fd->in >= 0 && (found & (G_IO_IN | G_IO_HUP | G_IO_ERR))) {
        chr_fd_read(fd);
    }
    if (u->deaf && fd->in < 0) {
        hang_up(u);
    }
}

static void unix_finish(DevemuChr *chr)
{
    ChrUnix *u = (ChrUnix *)chr;

    chr_fd_finish(chr);
    if (u->listener >= 0) {
        close(u->listener);
        unlink(chr->path);
    }
}

static const ChrClass unix_class = {
    .name = "unix",
    .write = chr_fd_write,
    .watch = unix_watch,
    .fetch = unix_fetch,
    .writable = chr_fd_writable,
    .finish = unix_finish,
};

DevemuChr *chr_unix_make(const char *arg, GMainContext *context, GError **error)
{
    ChrUnix *u;
    int listener;

    if (arg == NULL || arg[0] == '\0') {
        options_refuse(error, "unix: give the name of a socket, as in unix:/run/console.sock");
        return NULL;
    }
    listener = unix_listen(arg, SOCK_STREAM, error);
    if (listener < 0) {
        return NULL;
    }
    u = (ChrUnix *)chr_fd_new(sizeof(ChrUnix), &unix_class, context);
    u->listener = listener;
    u->fd.close_in = u->fd.close_out = true;
    u->fd.patient = true;
    u->fd.chr.path = g_strdup(arg);
    return &u->fd.chr;
}
