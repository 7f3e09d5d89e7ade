/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * send-fds.h: one sendmsg() with descriptors, for what plays a client: tests, fuzz targets,
 * benches.
 */
#ifndef TESTS_SERVERS_SEND_FDS_H
#define TESTS_SERVERS_SEND_FDS_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SEND_FDS_MAX 253 /* of Linux (unix(7)) */

/* As sendmsg(2); the descriptors stay the caller's. */
static inline ssize_t send_fds(int fd, struct iovec *iov, size_t iov_count, const int *fds,
                               unsigned fd_count, int flags)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = iov_count};

    if (fd_count) {
        struct cmsghdr *cmsg;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
    }
    return sendmsg(fd, &message, flags);
}

#endif
