/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.h: a virtio device of this library for a driver in another process: a VMM (QEMU,
 * cloud-hypervisor), User-Mode Linux, DPDK's virtio-user. The server is the device's host; what it
 * does is in docs/vhost-user.md.
 *
 * Threads: a server and its device are one monitor (device.h): the thread that iterates the context
 * is the one that calls into the device, its backends included. Servers on different contexts are
 * independent. devemu_vhost_user_add_thread() is for a device whose queues are to be served by
 * several.
 */
#ifndef DEVEMU_VHOST_USER_H
#define DEVEMU_VHOST_USER_H

#include <devemu/device.h>

#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DevemuVhostUser DevemuVhostUser;

/*
 * Put a device of a model with `virtio` on a socket, for one client after the other; the server
 * takes it over on success and frees it. address is
 *
 *     PATH                the name of a new UNIX socket; one that nobody listens on any more is
 *                         replaced
 *     fd:N                an open UNIX socket, listening or connected; taken over
 *
 * and options, a comma in a path written ",,":
 *
 *     spin=MICROSECONDS   look at the rings for so long before sleeping (0; at most 1000000)
 *
 * context NULL is the default one; a reference is kept. NULL and one sentence in error if it cannot
 * be done.
 *
 * When a client goes, its memory and descriptors are given back and the device is reset. A client
 * whose memory may shrink (a file without F_SEAL_SHRINK) makes the library install a handler for
 * SIGBUS, once a process, which passes on what is not its own.
 */
DEVEMU_API DevemuVhostUser *devemu_vhost_user_new(DevemuDevice *dev, const char *address,
                                                  GMainContext *context, GError **error);
/* NULL is allowed. On the thread of the context, or when nobody iterates it. */
DEVEMU_API void devemu_vhost_user_free(DevemuVhostUser *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuVhostUser, devemu_vhost_user_free)

/*
 * Serve some of the queues on another thread, which the server starts here and ends in
 * devemu_vhost_user_free(): of N threads with the server's own, queue n (of a network device: pair
 * n) is thread n modulo N's. dev is what that thread has of the device: another one, of the same
 * model and options, with a backend of its own that lives on context: another queue of the same tap
 * ("queues=1"), or the same file (with "lock=off"). The server takes dev over on success, and its
 * thread iterates context, which nobody else may; the backend is freed behind the server. Before
 * the first client, and for virtio-net and virtio-blk alone.
 *
 * With threads there are no control queue, RSS, IOMMU, in-band notifications, INFLIGHT_SHMFD and
 * DEVICE_STATE. dev and the server's own device are not to be called into any more (resize, link).
 */
DEVEMU_API bool devemu_vhost_user_add_thread(DevemuVhostUser *server, DevemuDevice *dev,
                                             GMainContext *context, GError **error);

/* Hear what the server and its device have to say: one line without a newline, at a limited rate.
 * opaque is borrowed. log NULL: nobody. It is called from any of the server's threads, by one at a
 * time. */
typedef void DevemuVhostUserLog(void *opaque, const char *text);
DEVEMU_API void devemu_vhost_user_set_log(DevemuVhostUser *server, DevemuVhostUserLog *log,
                                          void *opaque);

#ifdef __cplusplus
}
#endif

#endif
