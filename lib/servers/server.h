/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.h: what the servers on UNIX sockets share: addresses, messages with descriptors, the
 * client's memory, the log, a timer.
 */
#ifndef DEVEMU_SERVERS_SERVER_H
#define DEVEMU_SERVERS_SERVER_H

#include "../internal.h"

#include <errno.h>
#include <string.h>

/* --- server-socket.c: where clients come from -------------------------------------- */

typedef struct ServerSocket {
    const char *what; /* the protocol, for people */
    char *path;       /* NULL: not ours to remove */
    uint64_t path_dev, path_ino;
    int listener; /* -1: none */
    int client;   /* -1: none */
} ServerSocket;

/* "PLACE[,name=value...]": the place, with its doubled commas single; the options or NULL. */
char *server_split_address(const char *text, const char **ret_options);
/* place is a path, or "fd:N". */
bool server_socket_open(ServerSocket *socket, const char *place, GError **error);
void server_socket_close(ServerSocket *socket);
/* A client, or -1 and an errno. */
int server_socket_accept(ServerSocket *socket);

/* --- server-stream.c: messages and the descriptors that go with them --------------- */

#define SERVER_FDS 16 /* with one message; QEMU's own limit is lower */

/*
 * Bytes and descriptors of a connection. What was received stands in `in` until its owner has
 * handled it; what is to be sent is gathered in `out`.
 */
typedef struct ServerStream {
    uint8_t *in;
    size_t in_size, in_start, in_end;
    /* Descriptors that came: the first `fd_held` belong to the first message in `in`, the others to
     * the one that holds the byte before in + fd_mark. */
    int fds[SERVER_FDS];
    unsigned fd_count, fd_held;
    size_t fd_mark;

    uint8_t *out;
    size_t out_size, out_start, out_end;
    /* Descriptors (borrowed) that go with the message at out + out_fd_mark, and what ends with it.
     */
    int out_fds[SERVER_FDS];
    unsigned out_fd_count;
    size_t out_fd_mark, out_fd_end;

    bool left;         /* the other end closed it */
    const char *wrong; /* something that no message may be, as a constant sentence */
} ServerStream;

void server_stream_init(ServerStream *stream, size_t in_size);
void server_stream_finish(ServerStream *stream);
/* Nothing has come, nothing goes out. */
void server_stream_reset(ServerStream *stream);

/* Bytes that have come and are not handled. */
static inline size_t server_stream_waiting(const ServerStream *stream)
{
    return stream->in_end - stream->in_start;
}

static inline const uint8_t *server_stream_first(const ServerStream *stream)
{
    return stream->in + stream->in_start;
}

/* Where bytes are received to, with room for a first message of so many bytes; at least one fits
 * while that is not whole. */
uint8_t *server_stream_room(ServerStream *stream, size_t first_bytes, size_t *ret_len);
/* So many bytes were received there, and these descriptors, which are taken over. */
void server_stream_received(ServerStream *stream, size_t len, const int *fds, unsigned fd_count);
/* How many of the descriptors belong to the first message, of so many bytes. */
unsigned server_stream_fds_of(const ServerStream *stream, size_t first_bytes);
/* The first message has been handled, with so many descriptors: those that are not -1 are closed.
 */
void server_stream_drop(ServerStream *stream, size_t first_bytes, unsigned fd_count);

/* len bytes, zero, to be sent behind all others; good until the next. */
uint8_t *server_stream_out(ServerStream *stream, size_t len);
/* Descriptors, which stay the caller's, to go with the message that begins at `at`, the last one in
 * out; once a message, and not while others wait. */
void server_stream_out_fds(ServerStream *stream, size_t at, const int *fds, unsigned count);

static inline bool server_stream_must_send(const ServerStream *stream)
{
    return stream->out_start < stream->out_end;
}

/* One receive from fd. False: nothing came; perhaps the other end left. */
bool server_stream_receive(ServerStream *stream, int fd, size_t first_bytes);
/* False: not all of what waits could be sent; perhaps the other end left. */
bool server_stream_send(ServerStream *stream, int fd);

/* --- server-memory.c: files that the client gives as memory ------------------------ */

typedef struct ServerFile ServerFile;

typedef struct ServerFiles {
    GHashTable *table;
    unsigned faults_seen;
} ServerFiles;

void server_files_init(ServerFiles *files);
/* All have been unmapped. */
void server_files_finish(ServerFiles *files);
/* len bytes from offset of the file: where they are, or NULL and an errno. Files that are mapped
 * already are mapped once. */
uint8_t *server_file_map(ServerFiles *files, int fd, uint64_t offset, uint64_t len, bool writable,
                         ServerFile **ret_file, int *ret_error);
void server_file_unmap(ServerFiles *files, ServerFile *file);
/* Did a file shrink under us? */
bool server_files_broken(ServerFiles *files);

/* --- server-log.c: one line for people, and the time ----------------------------------- */

typedef void ServerLogSink(void *opaque, const char *text);

typedef struct ServerLog {
    const char *what; /* the protocol */
    char *label;      /* the address */
    ServerLogSink *sink;
    void *opaque;
    unsigned tokens;
    uint64_t refill_ns;
} ServerLog;

/* Nanoseconds of the monotonic clock. */
uint64_t server_now(void);
/* At a limited rate. */
void server_log(ServerLog *log, const char *format, ...) G_GNUC_PRINTF(2, 3);
void server_log_va(ServerLog *log, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

/* --- server-loop.c: the part of a GSource that all servers have --------------------- */

/* Clients come one after the other; time is a timerfd, since a GMainContext sleeps whole
 * milliseconds, and that is set only when a moment is earlier than what it is set to. */
typedef struct ServerLoop {
    GSource *source; /* NULL: none yet */
    gpointer listener_tag, client_tag, timer_tag;
    int timer;          /* -1: none yet */
    bool stalled;       /* the socket is full: nothing is taken in until it has room */
    uint64_t armed_ns;  /* what the timer is set to */
    uint64_t listen_ns; /* when to look for clients again, after a failure; or DEVEMU_NEVER */
} ServerLoop;

void server_loop_init(ServerLoop *loop);
/* source is taken over, whether or not it can be done, and attached; what is its name, and the
 * protocol's. */
bool server_loop_open(ServerLoop *loop, GSource *source, const ServerSocket *socket,
                      const char *what, GMainContext *context, GError **error);
void server_loop_close(ServerLoop *loop);
/* Did something come at this descriptor? tag may be NULL. */
GIOCondition server_loop_query(const ServerLoop *loop, gpointer tag);
/* Take a client. While there is one, the next one waits; also while this process can open no more
 * files. */
void server_loop_accept(ServerLoop *loop, ServerSocket *socket, ServerLog *log);
/* The client is gone; the next is heard after server_loop_listen(). */
void server_loop_forget(ServerLoop *loop, ServerSocket *socket);
void server_loop_listen(ServerLoop *loop, const ServerSocket *socket);
/* Send what waits; while the socket is full, nothing more is taken in. */
void server_loop_push(ServerLoop *loop, const ServerSocket *socket, ServerStream *stream);
/* Has the moment come? Else the timer will say so. */
bool server_loop_due(ServerLoop *loop, uint64_t when_ns);
/* The timer, if it has run out, is to be set again. */
void server_loop_woke(ServerLoop *loop);
/* Clients are looked for again, if it is time. */
void server_loop_again(ServerLoop *loop, const ServerSocket *socket, uint64_t now_ns);

/* --- eventfds that the client gives ------------------------------------------------ */

/* May it be used without waiting? An eventfd, or a socket if ret_socket is not NULL; writing to a
 * pipe could make the server wait. Makes it non-blocking. */
bool server_event_usable(int fd, bool *ret_socket);
/* A counter that is full has been signalled well enough. */
void server_event_signal(int fd, bool is_socket);

/* --- numbers on the socket: the host's byte order ---------------------------------- */

static inline uint16_t server_get16(const uint8_t *p)
{
    uint16_t value;

    memcpy(&value, p, sizeof(value));
    return value;
}

static inline uint32_t server_get32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
    return value;
}

static inline uint64_t server_get64(const uint8_t *p)
{
    uint64_t value;

    memcpy(&value, p, sizeof(value));
    return value;
}

static inline void server_put16(uint8_t *p, uint16_t value)
{
    memcpy(p, &value, sizeof(value));
}

static inline void server_put32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, sizeof(value));
}

static inline void server_put64(uint8_t *p, uint64_t value)
{
    memcpy(p, &value, sizeof(value));
}

#endif
