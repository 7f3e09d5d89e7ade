/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest.h: a server of QEMU's qtest protocol: a test program plays the CPU by lines of text, and
 * moves the clock. docs/qtest.md has the commands.
 *
 * The server is the host of one system bus and knows nothing else of the machine: what concerns the
 * board (interrupt inputs by name, resets, networks) it asks of its table of callbacks.
 */
#ifndef DEVEMU_QTEST_H
#define DEVEMU_QTEST_H

#include <devemu/device.h>

#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Most bytes that one command moves, and so what bounds a line and an answer. */
#define DEVEMU_QTEST_MOST_BYTES 16777216

typedef struct DevemuQtest DevemuQtest;

/* What the server asks of its program. Any may be NULL. */
typedef struct DevemuQtestOps {
    size_t size; /* sizeof(DevemuQtestOps) */

    /* A command is about to run: bring in what waits outside (frames in sockets), so that its
     * events see it. */
    void (*before)(void *opaque);
    /* A command, or a moment of a clock_step, has run and is not answered yet: do what its events
     * asked for and could not do themselves (a reset, an ejected card). */
    void (*after)(void *opaque);

    /* Things outside the devices that live on the server's clock (devemu_net_deadline(),
     * devemu_net_run()). */
    uint64_t (*deadline)(void *opaque);
    void (*run)(void *opaque);

    /* irq_intercept_in and irq_intercept_out: from now on devemu_qtest_line() is told of the lines
     * of the device at path; name is a list of lines or NULL. False: no such device. */
    bool (*intercept)(void *opaque, const char *path, const char *name, bool outputs);
    /* set_irq_in. False: no such line. */
    bool (*set_line)(void *opaque, const char *path, const char *name, uint64_t line, bool level);

    /* Every line of the protocol, without its newline; for a log. */
    void (*traffic)(void *opaque, bool from_client, const char *line);
    /* As DevemuHostOps.log. */
    void (*log)(void *opaque, DevemuLogLevel level, const char *text);
    /* The client has gone, and all that it had sent is done. Once. */
    void (*closed)(void *opaque);
} DevemuQtestOps;

/* A server for the tree below system (devemu_model_system), whose host it becomes. ops is copied;
 * system and opaque are borrowed, and system must outlive the server. The clock stands at 0. */
DEVEMU_API DevemuQtest *devemu_qtest_new(DevemuDevice *system, const DevemuQtestOps *ops,
                                         void *opaque);
/* NULL is allowed. The descriptors given to devemu_qtest_open() are closed. */
DEVEMU_API void devemu_qtest_free(DevemuQtest *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuQtest, devemu_qtest_free)

/* The virtual clock, in nanoseconds. */
DEVEMU_API uint64_t devemu_qtest_now(const DevemuQtest *server);

/* An intercepted line (0 to 255) has this level: the client is told of each change, the first time
 * of one from low. Nothing happens before an interception. */
DEVEMU_API void devemu_qtest_line(DevemuQtest *server, unsigned line, bool level);

/* Serve the client at these descriptors (may be the same), polled on context (NULL: the default
 * one). They become non-blocking. Once; on success they belong to the server. */
DEVEMU_API bool devemu_qtest_open(DevemuQtest *server, int in, int out, GMainContext *context,
                                  GError **error);

/*
 * The same without descriptors: bytes of the client; returns how many were taken (fewer while
 * commands wait), then devemu_qtest_run() until it answers false.
 */
DEVEMU_API size_t devemu_qtest_put(DevemuQtest *server, const void *data, size_t len);
/* Do a bounded piece of work: a command, or some of the moments of a clock_step. False: there is
 * nothing to do until the client sends more, or more of the output is taken. */
DEVEMU_API bool devemu_qtest_run(DevemuQtest *server);
/* Output that waits for the client, terminated; owned by the server, good until the next call. */
DEVEMU_API const char *devemu_qtest_output(const DevemuQtest *server, size_t *ret_len);
/* The first len bytes of it were taken. */
DEVEMU_API void devemu_qtest_taken(DevemuQtest *server, size_t len);

#ifdef __cplusplus
}
#endif

#endif
