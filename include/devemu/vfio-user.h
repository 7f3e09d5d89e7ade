/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.h: a PCI device of this library for a VMM in another process: QEMU, cloud-hypervisor,
 * libvfio-user's and SPDK's clients. The server is the device's host; what it does is in
 * docs/vfio-user.md.
 *
 * Threads: a server and its device are one monitor (device.h): the thread that iterates the context
 * is the one that calls into the device, its backends included. Servers on different contexts are
 * independent.
 */
#ifndef DEVEMU_VFIO_USER_H
#define DEVEMU_VFIO_USER_H

#include <devemu/device.h>

#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DevemuVfioUser DevemuVfioUser;

/*
 * Put a PCI device on a socket, for one client after the other. dev is a function
 * (devemu_pci_function_new()) or a model's device, which gets a function around it; the server
 * takes it over on success and frees it. address is
 *
 *     PATH                the name of a new UNIX socket; one that nobody listens on any more is
 *                         replaced
 *     fd:N                an open UNIX socket, listening or connected; taken over
 *
 * and options, a comma in a path written ",,":
 *
 *     spin=MICROSECONDS   look at the socket for so long before sleeping (0; at most 1000000)
 *     write-multiple=on|off   offer REGION_WRITE_MULTI to clients that ask for it (off)
 *
 * context NULL is the default one; a reference is kept. NULL and one sentence in error if it cannot
 * be done.
 *
 * When a client goes, its memory and descriptors are given back and the device is reset. A client
 * whose memory may shrink (a file without F_SEAL_SHRINK) makes the library install a handler for
 * SIGBUS, once a process, which passes on what is not its own.
 */
DEVEMU_API DevemuVfioUser *devemu_vfio_user_new(DevemuDevice *dev, const char *address,
                                                GMainContext *context, GError **error);
/* NULL is allowed. On the thread of the context, or when nobody iterates it. */
DEVEMU_API void devemu_vfio_user_free(DevemuVfioUser *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuVfioUser, devemu_vfio_user_free)

/* Hear what the server and its device have to say: one line without a newline, at a limited rate.
 * opaque is borrowed. log NULL: nobody. */
typedef void DevemuVfioUserLog(void *opaque, const char *text);
DEVEMU_API void devemu_vfio_user_set_log(DevemuVfioUser *server, DevemuVfioUserLog *log,
                                         void *opaque);

#ifdef __cplusplus
}
#endif

#endif
