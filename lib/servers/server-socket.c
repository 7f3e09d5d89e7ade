/* SPDX-License-Identifier: BSD-3-Clause */
/* server-socket.c: where clients come from: a path, or a descriptor. */
#define _GNU_SOURCE
#include "server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool refuse(const ServerSocket *s, GError **error, const char *label, const char *what)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "%s: %s: %s", s->what, label, what);
    return false;
}

static bool refuse_errno(const ServerSocket *s, GError **error, const char *label, const char *what)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "%s: %s: %s: %s", s->what, label, what,
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

static bool clear_path(const ServerSocket *s, const struct sockaddr_un *address, const char *path,
                       GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        return true; /* bind() says what is wrong, if anything */
    }
    if (!S_ISSOCK(st.st_mode)) {
        return refuse(s, error, path,
                      "there is something else than a socket of that name; remove it "
                      "or give another name");
    }
    if (!is_stale(address)) {
        return refuse(s, error, path, "another server listens there; stop it or give another name");
    }
    return unlink(path) == 0 || refuse_errno(s, error, path, "cannot replace the old socket");
}

static bool listen_at(ServerSocket *s, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;

    if (strlen(path) >= sizeof(address.sun_path)) {
        return refuse(s, error, path, "the name is too long for a UNIX socket; give a shorter one");
    }
    memcpy(address.sun_path, path, strlen(path));
    if (!clear_path(s, &address, path, error)) {
        return false;
    }
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listener < 0 ||
        bind(s->listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        lstat(path, &st) < 0) {
        return refuse_errno(s, error, path, "cannot make the socket");
    }
    s->path = g_strdup(path);
    s->path_dev = st.st_dev;
    s->path_ino = st.st_ino;
    return listen(s->listener, 8) == 0 || refuse_errno(s, error, path, "cannot listen");
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool take_fd(ServerSocket *s, const char *text, GError **error)
{
    char *end;
    guint64 fd = g_ascii_strtoull(text + 3, &end, 10);
    int flags;

    if (!g_ascii_isdigit(text[3]) || *end != '\0' || fd > G_MAXINT) {
        return refuse(s, error, text, "fd: must be followed by the number of an open file");
    }
    if (socket_option((int)fd, SO_DOMAIN) != AF_UNIX ||
        socket_option((int)fd, SO_TYPE) != SOCK_STREAM) {
        return refuse(s, error, text, "this is no open UNIX stream socket");
    }
    flags = fcntl((int)fd, F_GETFL);
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return refuse_errno(s, error, text, "cannot be used");
    }
    if (socket_option((int)fd, SO_ACCEPTCONN) == 1) {
        s->listener = (int)fd;
    } else {
        s->client = (int)fd;
    }
    return true;
}

char *server_split_address(const char *text, const char **ret_options)
{
    GString *place = g_string_new(NULL);

    while (*text && (*text != ',' || text[1] == ',')) {
        text += *text == ',' ? 1 : 0;
        g_string_append_c(place, *text++);
    }
    *ret_options = *text == ',' ? text + 1 : NULL;
    return g_string_free(place, FALSE);
}

bool server_socket_open(ServerSocket *s, const char *place, GError **error)
{
    if (place[0] == '\0') {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "%s: give the name of a socket, or fd:N", s->what);
        return false;
    }
    return g_str_has_prefix(place, "fd:") ? take_fd(s, place, error) : listen_at(s, place, error);
}

void server_socket_close(ServerSocket *s)
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

int server_socket_accept(ServerSocket *s)
{
    return s->client = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
