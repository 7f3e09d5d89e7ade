/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock.h: the inside of a DevemuVsock: vsock.c is the device's side, vsock-link.c the sockets.
 */
#ifndef DEVEMU_BACKENDS_VSOCK_H
#define DEVEMU_BACKENDS_VSOCK_H

#include <devemu/backends.h>

#include "loop.h"
#include "options.h"
#include "unix.h"

enum {
    LINKS = 128,          /* connections, with those that have not said CONNECT */
    FIRST_PORT = 1 << 30, /* of the host's ports; they count upwards from there */
    LINE_BYTES = 32,
    RETRY_MS = 10, /* a device that never says "ready" is asked again after this */
};

typedef enum LinkState {
    LINK_GREETING, /* the host's program has not said CONNECT yet */
    LINK_CALLING,  /* the guest has not answered */
    LINK_OPEN,
} LinkState;

typedef struct Link {
    int fd;
    LinkState state;
    uint8_t type;
    uint32_t guest_port, host_port;
    uint32_t sent, limit;    /* bytes to the guest, and how many may be */
    uint32_t passed, told;   /* bytes of the guest that are on their way, and as it was told */
    GByteArray *out;         /* bytes, or what there is of a message, that are not */
    GByteArray *messages;    /* whole messages that are not, each behind its length, 4 bytes */
    guint messages_at;       /* the first of them */
    GByteArray *in;          /* what the device has not taken yet */
    bool in_ends, in_eor;    /* that is the end of a message, and of a record */
    bool eof;                /* nothing more comes from the socket */
    uint8_t shut, shut_told; /* SHUTDOWN that the guest is to hear, and has heard */
    bool host_deaf;          /* the program takes nothing more: what comes for it goes nowhere */
    bool guest_done; /* the guest sends nothing more: shut the socket down when out is empty */
    bool guest_deaf; /* and wants nothing more */
    bool half_closed;
    bool dead;                /* freed when nobody looks at it */
    bool call, accept, close; /* messages that the guest is to hear */
} Link;

typedef struct Listener {
    int fd;
    uint8_t type;
    char *path;
} Listener;

struct DevemuVsock {
    DevemuDevice *dev;
    Loop *loop;
    char *path;
    Listener listeners[2];
    GPtrArray *links; /* Link, owned */
    GArray *refusals; /* DevemuVsockMessage: CLOSE for connections that are not there */
    uint32_t next_port;
    bool reset;   /* RESET is to be sent before anything else */
    bool blocked; /* the device takes nothing now */
    gint64 retry_us;
};

Link *vsock_link_new(DevemuVsock *v, int fd, uint8_t type, LinkState state);
void vsock_link_free(void *opaque);
Link *vsock_link_find(const DevemuVsock *v, uint32_t guest_port, uint32_t host_port);
/* Has it something for its program? */
bool vsock_link_waits(const Link *l);
/* Has the guest room? */
static inline bool vsock_link_room(const Link *l)
{
    return l->limit - l->sent - 1 < INT32_MAX;
}
/* A socket for connections of that type. */
static inline int vsock_socket_type(uint8_t type)
{
    return type == DEVEMU_VSOCK_STREAM ? SOCK_STREAM : SOCK_SEQPACKET;
}
/* The program takes nothing more; what it said before may still be there to be read. */
void vsock_host_is_deaf(Link *l);
void vsock_link_write(Link *l);
void vsock_link_read(Link *l);
void vsock_accept_link(DevemuVsock *v, const Listener *listener);
/* False: that is none. */
bool vsock_read_greeting(DevemuVsock *v, Link *l);

#endif
