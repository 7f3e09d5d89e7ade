/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unix.c: UNIX sockets of backends.
 */
#define _GNU_SOURCE
#include "unix.h"

#include "options.h"

#include <devemu/backends.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 16

int unix_socket(int type)
{
    return socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

bool unix_address(const char *path, struct sockaddr_un *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    return g_strlcpy(ret->sun_path, path, sizeof(ret->sun_path)) < sizeof(ret->sun_path);
}

/* A socket that nobody listens at any more is in the way. */
static void remove_stale(const char *path, const struct sockaddr_un *address, int type)
{
    int fd = unix_socket(type);

    if (fd < 0) {
        return;
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
        errno == ECONNREFUSED) {
        unlink(path);
    }
    close(fd);
}

int unix_listen(const char *path, int type, GError **error)
{
    struct sockaddr_un address;
    bool bound;
    int fd, why;

    if (!unix_address(path, &address)) {
        options_refuse(error, "unix: %s: the path is too long for a socket", path);
        return -1;
    }
    remove_stale(path, &address, type);
    fd = unix_socket(type);
    bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (bound && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    why = errno;
    if (bound) {
        unlink(path);
    }
    if (fd >= 0) {
        close(fd);
    }
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "unix: %s: %s", path, g_strerror(why));
    return -1;
}

int unix_accept(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
