/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr-pty.c: a pseudo-terminal. Its slave side is held open here, so that a program that closes it
 * is no hang-up, and what is written while nobody looks is kept as far as it fits.
 */
#define _GNU_SOURCE
#include "chr.h"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static const ChrClass pty_class = {
    .name = "pty",
    .write = chr_fd_write,
    .watch = chr_fd_watch,
    .fetch = chr_fd_fetch,
    .writable = chr_fd_writable,
    .finish = chr_fd_finish,
};

static bool open_slave(ChrFd *fd, GError **error)
{
    char name[128];
    struct termios mode;

    if (grantpt(fd->in) != 0 || unlockpt(fd->in) != 0 ||
        ptsname_r(fd->in, name, sizeof(name)) != 0) {
        chr_refuse("pty", error);
        return false;
    }
    fd->keep = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd->keep < 0 || tcgetattr(fd->keep, &mode) != 0) {
        chr_refuse(name, error);
        return false;
    }
    cfmakeraw(&mode);
    tcsetattr(fd->keep, TCSANOW, &mode);
    fd->chr.path = g_strdup(name);
    return true;
}

DevemuChr *chr_pty_make(const char *arg, GMainContext *context, GError **error)
{
    static const Option none[] = {{.name = NULL}};
    ChrFd *fd;
    int master;

    if (!options_parse("pty", none, arg, NULL, error)) {
        return NULL;
    }
    master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0) {
        return chr_refuse("pty", error);
    }
    fd = chr_fd_new(sizeof(ChrFd), &pty_class, context);
    fd->in = fd->out = master;
    fd->close_in = fd->close_out = true;
    if (!open_slave(fd, error)) {
        devemu_chr_free(&fd->chr);
        return NULL;
    }
    return &fd->chr;
}
