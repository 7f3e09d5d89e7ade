/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unix.h: UNIX sockets of backends. type is SOCK_STREAM or SOCK_SEQPACKET; no socket blocks.
 */
#ifndef DEVEMU_BACKENDS_UNIX_H
#define DEVEMU_BACKENDS_UNIX_H

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

int unix_socket(int type);
/* False: the path is too long. */
bool unix_address(const char *path, struct sockaddr_un *ret);
/* A socket that listens at path, in place of one that nobody listens at any more; -1 and an error
 * that begins with "unix: ". Who closes it removes the path. */
int unix_listen(const char *path, int type, GError **error);
/* The next that waits there; -1: none. */
int unix_accept(int listener);

#endif
