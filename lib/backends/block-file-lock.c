/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-file-lock.c: who may use an image at the same time.
 *
 * QEMU locks single bytes of an image, far behind its first hundred: a shared lock at 100 + n says
 * "I do n", at 200 + n "nobody else may do n", where n is 0 for reading, 1 for writing and 3 for
 * changing the size. The same bytes here keep QEMU and its tools from our images, and us from
 * theirs. Locks belong to the open file (F_OFD_SETLK), so two media of one program see each other.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "block-file.h"

#include <errno.h>
#include <fcntl.h>

enum { DOES = 100, FORBIDS = 200, READS = 0, WRITES = 1, RESIZES = 3 };

static bool hold(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool held_by_others(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool block_file_lock(int fd, const char *path, bool read_only, GError **error)
{
    bool ok = hold(fd, DOES + READS) && hold(fd, FORBIDS + WRITES) && hold(fd, FORBIDS + RESIZES);

    if (!read_only) {
        ok = ok && hold(fd, DOES + WRITES);
    }
    if (!ok && errno != EAGAIN && errno != EACCES) {
        return true; /* a file system without locks */
    }
    if (!ok || held_by_others(fd, DOES + WRITES) || held_by_others(fd, DOES + RESIZES) ||
        (!read_only && held_by_others(fd, FORBIDS + WRITES))) {
        block_refuse(error,
                     "file: somebody else uses '%s'; two writers would spoil it (lock=off if you "
                     "know better)",
                     path);
        return false;
    }
    return true;
}

void block_file_unlock(int fd)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    fcntl(fd, F_OFD_SETLK, &all);
}
