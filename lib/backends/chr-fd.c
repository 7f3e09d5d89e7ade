/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr-fd.c: characters to and from file descriptors.
 */
#define _DEFAULT_SOURCE
#include "chr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LATE_BYTES 65536
/* From a device that holds output back one piece more may come, of this size at most. */
#define PIECE_BYTES (1 << 20)
#define READ_BYTES  4096

/* --- output ------------------------------------------------------------------------ */

/* The bytes that the descriptor took; -1 if it will never take any more. */
static ssize_t write_some(const ChrFd *fd, const uint8_t *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        /* A peer that is gone is no signal. */
        ssize_t result = fd->patient ? send(fd->out, data + done, len - done, MSG_NOSIGNAL)
                                     : write(fd->out, data + done, len - done);

        if (result >= 0) {
            done += (size_t)result;
        } else if (errno == EAGAIN && fd->blocking) {
            struct pollfd wait = {.fd = fd->out, .events = POLLOUT};

            poll(&wait, 1, -1);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return (ssize_t)done;
}

static void drop(ChrFd *fd, size_t len)
{
    fd->chr.dropped += len;
}

void chr_fd_write(DevemuChr *chr, const uint8_t *data, size_t len)
{
    ChrFd *fd = (ChrFd *)chr;
    ssize_t done = 0;
    size_t room;

    if (fd->out < 0 && !fd->patient) {
        drop(fd, len);
        return;
    }
    if (fd->late->len == 0 && fd->out >= 0) {
        done = write_some(fd, data, len);
        if (done < 0 && !fd->patient) {
            drop(fd, len);
            return;
        }
        done = MAX(done, 0);
    }
    data += done;
    len -= (size_t)done;
    room = LATE_BYTES + (chr->asks ? PIECE_BYTES : 0);
    room = room > fd->late->len ? room - fd->late->len : 0;
    if (len > room) {
        drop(fd, len - room);
        len = room;
    }
    if (len > 0) {
        g_byte_array_append(fd->late, data, (guint)len);
    }
}

bool chr_fd_flush(ChrFd *fd)
{
    ssize_t done = write_some(fd, fd->late->data, fd->late->len);

    if (done > 0) {
        g_byte_array_remove_range(fd->late, 0, (guint)done);
    }
    return done >= 0;
}

static void write_late(ChrFd *fd)
{
    if (!chr_fd_flush(fd)) {
        drop(fd, fd->late->len);
        g_byte_array_set_size(fd->late, 0);
    }
}

bool chr_fd_writable(const DevemuChr *chr)
{
    return ((const ChrFd *)chr)->late->len < LATE_BYTES;
}

/* --- the main loop ----------------------------------------------------------------- */

void chr_fd_watch(DevemuChr *chr, bool room)
{
    const ChrFd *fd = (const ChrFd *)chr;
    GIOCondition in = room && fd->in >= 0 ? G_IO_IN : 0;
    GIOCondition out = fd->late->len > 0 ? G_IO_OUT : 0;

    if (in && out && fd->in == fd->out) {
        loop_watch(chr->loop, fd->in, in | out);
        return;
    }
    if (in) {
        loop_watch(chr->loop, fd->in, in);
    }
    if (out) {
        loop_watch(chr->loop, fd->out, out);
    }
}

static void close_input(ChrFd *fd)
{
    if (fd->close_in && fd->in != fd->out) {
        close(fd->in);
    }
    fd->in = -1;
}

void chr_fd_read(ChrFd *fd)
{
    uint8_t bytes[READ_BYTES];
    ssize_t len = read(fd->in, bytes, sizeof(bytes));

    if (len > 0) {
        chr_push(&fd->chr, bytes, (size_t)len);
    } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_input(fd);
    }
}

void chr_fd_fetch(DevemuChr *chr)
{
    ChrFd *fd = (ChrFd *)chr;

    if (fd->late->len > 0 && loop_found(chr->loop, fd->out) & (G_IO_OUT | G_IO_ERR | G_IO_HUP)) {
        write_late(fd);
    }
    if (fd->in >= 0 && (loop_found(chr->loop, fd->in) & (G_IO_IN | G_IO_ERR | G_IO_HUP))) {
        chr_fd_read(fd);
    }
}

/* --- making and freeing ------------------------------------------------------------ */

ChrFd *chr_fd_new(size_t size, const ChrClass *class, GMainContext *context)
{
    ChrFd *fd = chr_new(size, class, context);

    fd->in = -1;
    fd->out = -1;
    fd->keep = -1;
    fd->late = g_byte_array_new();
    return fd;
}

void chr_fd_finish(DevemuChr *chr)
{
    ChrFd *fd = (ChrFd *)chr;

    if (fd->late->len > 0 && fd->out >= 0) {
        write_late(fd);
    }
    if (fd->in >= 0) {
        close_input(fd);
    }
    if (fd->out >= 0 && fd->close_out) {
        close(fd->out);
    }
    if (fd->keep >= 0) {
        close(fd->keep);
    }
    g_byte_array_unref(fd->late);
}

static const ChrClass fd_class = {
    .name = "fd",
    .write = chr_fd_write,
    .watch = chr_fd_watch,
    .fetch = chr_fd_fetch,
    .writable = chr_fd_writable,
    .finish = chr_fd_finish,
};

bool chr_nonblocking(const char *kind, int fd, GError **error)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        chr_refuse(kind, error);
        return false;
    }
    return true;
}

DevemuChr *chr_fd_make(const char *arg, GMainContext *context, GError **error)
{
    g_autofree char *name = g_strconcat("fd:", arg, NULL);
    ChrFd *fd;
    guint64 number;

    if (arg == NULL || !g_ascii_string_to_unsigned(arg, 10, 0, G_MAXINT, &number, NULL)) {
        options_refuse(error, "fd: give the number of an open file descriptor, as in fd:3");
        return NULL;
    }
    if (!chr_nonblocking(name, (int)number, error)) {
        return NULL;
    }
    fd = chr_fd_new(sizeof(ChrFd), &fd_class, context);
    fd->in = fd->out = (int)number;
    fd->close_in = fd->close_out = true;
    return &fd->chr;
}

DevemuChr *chr_file_make(const char *arg, GMainContext *context, GError **error)
{
    ChrFd *fd;
    int file;

    if (arg == NULL || arg[0] == '\0') {
        options_refuse(error, "file: give the name of a file, as in file:serial.log");
        return NULL;
    }
    file = open(arg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "file: %s: %s", arg, g_strerror(errno));
        return NULL;
    }
    fd = chr_fd_new(sizeof(ChrFd), &fd_class, context);
    fd->out = file;
    fd->close_out = true;
    fd->blocking = true;
    return &fd->chr;
}
