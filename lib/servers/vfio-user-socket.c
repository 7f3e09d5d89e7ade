/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-socket.c: addresses, and what the server reads from and writes to its client.
 */
#define _GNU_SOURCE
#include "vfio-user.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Most that the kernel passes at once (SCM_MAX_FD). */
#define SOCKET_FDS 253

/* --- addresses --------------------------------------------------------------------- */

static bool refuse(GError **error, const char *label, const char *what)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "vfio-user: %s: %s", label, what);
    return false;
}

static bool refuse_errno(GError **error, const char *label, const char *what)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "vfio-user: %s: %s: %s", label, what,
                g_strerror(errno));
    return false;
}

/* A socket that a dead server left behind refuses connections; one in use takes them, or has a full
 * backlog. */
static bool is_stale(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused;

    if (probe < 0) {
        return false;
    }
    refused = connect(probe, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
              errno == ECONNREFUSED;
    close(probe);
    return refused;
}

static bool clear_path(const struct sockaddr_un *address, const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        return true; /* bind() says what is wrong, if anything */
    }
    if (!S_ISSOCK(st.st_mode)) {
        return refuse(error, path,
                      "there is something else than a socket of that name; remove it "
                      "or give another name");
    }
    if (!is_stale(address)) {
        return refuse(error, path, "another server listens there; stop it or give another name");
    }
    return unlink(path) == 0 || refuse_errno(error, path, "cannot replace the old socket");
}

static bool listen_at(DevemuVfioUser *s, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;

    if (strlen(path) >= sizeof(address.sun_path)) {
        return refuse(error, path, "the name is too long for a UNIX socket; give a shorter one");
    }
    memcpy(address.sun_path, path, strlen(path));
    if (!clear_path(&address, path, error)) {
        return false;
    }
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listener < 0 ||
        bind(s->listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        lstat(path, &st) < 0) {
        return refuse_errno(error, path, "cannot make the socket");
    }
    s->path = g_strdup(path);
    s->path_dev = st.st_dev;
    s->path_ino = st.st_ino;
    return listen(s->listener, 8) == 0 || refuse_errno(error, path, "cannot listen");
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool take_fd(DevemuVfioUser *s, const char *text, GError **error)
{
    char *end;
    guint64 fd = g_ascii_strtoull(text + 3, &end, 10);
    int flags;

    if (!g_ascii_isdigit(text[3]) || *end != '\0' || fd > G_MAXINT) {
        return refuse(error, text, "fd: must be followed by the number of an open file");
    }
    if (socket_option((int)fd, SO_DOMAIN) != AF_UNIX ||
        socket_option((int)fd, SO_TYPE) != SOCK_STREAM) {
        return refuse(error, text, "this is no open UNIX stream socket");
    }
    flags = fcntl((int)fd, F_GETFL);
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return refuse_errno(error, text, "cannot be used");
    }
    if (socket_option((int)fd, SO_ACCEPTCONN) == 1) {
        s->listener = (int)fd;
    } else {
        s->client = (int)fd;
    }
    return true;
}

bool vfio_socket_open(DevemuVfioUser *s, const char *place, GError **error)
{
    if (place[0] == '\0') {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "vfio-user: give the name of a socket, or fd:N");
        return false;
    }
    return g_str_has_prefix(place, "fd:") ? take_fd(s, place, error) : listen_at(s, place, error);
}

void vfio_socket_close(DevemuVfioUser *s)
{
    struct stat st;

    if (s->path && lstat(s->path, &st) == 0 && st.st_dev == s->path_dev &&
        st.st_ino == s->path_ino) {
        unlink(s->path);
    }
    g_clear_pointer(&s->path, g_free);
    if (s->listener >= 0) {
        close(s->listener);
    }
    if (s->client >= 0) {
        close(s->client);
    }
    s->listener = s->client = -1;
}

/* --- in ---------------------------------------------------------------------------- */

static unsigned take_rights(struct msghdr *message, int fds[SOCKET_FDS])
{
    unsigned count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t bytes = c->cmsg_len - CMSG_LEN(0);

            bytes = MIN(bytes, (SOCKET_FDS - count) * sizeof(int));
            memcpy(fds + count, CMSG_DATA(c), bytes);
            count += (unsigned)(bytes / sizeof(int));
        }
    }
    return count;
}

int vfio_socket_accept(DevemuVfioUser *s)
{
    return accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

bool vfio_socket_receive(DevemuVfioUser *s)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(SOCKET_FDS * sizeof(int))];
    } control;
    struct iovec iov;
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    int fds[SOCKET_FDS];
    ssize_t got;

    iov.iov_base = vfio_room(s, &iov.iov_len);
    got = recvmsg(s->client, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got <= 0) {
        s->left = true;
        return false;
    }
    vfio_received(s, (size_t)got, fds, message.msg_controllen ? take_rights(&message, fds) : 0);
    if (message.msg_flags & MSG_CTRUNC) {
        vfio_fail(s, "file descriptors were lost: this process may not have so many");
    }
    return true;
}

/* --- out --------------------------------------------------------------------------- */

static ssize_t send_plain(DevemuVfioUser *s, size_t end)
{
    return send(s->client, s->out + s->out_start, end - s->out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_with_fds(DevemuVfioUser *s)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(VFIO_MAX_FDS * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {s->out + s->out_start, s->out_fd_end - s->out_start};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(s->out_fd_count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(s->out_fd_count * sizeof(int));
    memcpy(CMSG_DATA(c), s->out_fds, s->out_fd_count * sizeof(int));
    sent = sendmsg(s->client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        s->out_fd_count = 0;
    }
    return sent;
}

bool vfio_socket_send(DevemuVfioUser *s)
{
    while (s->out_start < s->out_end) {
        ssize_t sent;

        if (s->out_fd_count == 0) {
            sent = send_plain(s, s->out_end);
        } else if (s->out_start < s->out_fd_mark) {
            sent = send_plain(s, s->out_fd_mark);
        } else {
            sent = send_with_fds(s);
        }
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            s->left = s->left || errno != EAGAIN;
            return false;
        }
        s->out_start += (size_t)sent;
    }
    return true;
}
