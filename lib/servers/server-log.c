/* SPDX-License-Identifier: BSD-3-Clause */
/* server-log.c: what servers tell people, at a limited rate; moments; the client's eventfds. */
#define _GNU_SOURCE
#include "server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t server_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool allowed(ServerLog *log)
{
    uint64_t now = server_now();

    if (now >= log->refill_ns) {
        log->refill_ns = now + DEVEMU_LOG_REFILL_NS;
        log->tokens = MIN(log->tokens + 1, DEVEMU_LOG_BURST);
    }
    if (log->sink == NULL || log->tokens == 0) {
        return false;
    }
    log->tokens--;
    return true;
}

void server_log(ServerLog *log, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    server_log_va(log, format, args);
    va_end(args);
}

void server_log_va(ServerLog *log, const char *format, va_list args)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;

    if (allowed(log)) {
        text = g_strdup_vprintf(format, args);
        line = g_strdup_printf("%s: %s: %s", log->what, log->label, text);
        log->sink(log->opaque, line);
    }
}

/* An anonymous file has no type. */
bool server_event_usable(int fd, bool *ret_socket)
{
    struct stat st;
    bool is_socket;
    int flags;

    if (fstat(fd, &st) < 0) {
        return false;
    }
    is_socket = S_ISSOCK(st.st_mode);
    if ((st.st_mode & S_IFMT) != 0 && !(ret_socket && is_socket)) {
        return false;
    }
    if (ret_socket) {
        *ret_socket = is_socket;
    }
    flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}

void server_event_signal(int fd, bool is_socket)
{
    const uint64_t one = 1;
    ssize_t written G_GNUC_UNUSED = is_socket
                                        ? send(fd, &one, sizeof(one), MSG_NOSIGNAL | MSG_DONTWAIT)
                                        : write(fd, &one, sizeof(one));
}
