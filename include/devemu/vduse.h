/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vduse.h: a virtio device of this library for the kernel's own drivers: a vDPA device in user
 * space (linux/vduse.h, Linux 5.15 and later). The server is the device's host; the kernel is the
 * driver, or hands the device on to a guest (vhost-vdpa).
 *
 * Threads: as vhost-user.h.
 */
#ifndef DEVEMU_VDUSE_H
#define DEVEMU_VDUSE_H

#include <devemu/device.h>

#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DevemuVduse DevemuVduse;

/*
 * Make /dev/vduse/NAME of a virtio device, which the server takes over on success and frees. It
 * must be a network or a disk, the classes that the kernel takes, and offer ACCESS_PLATFORM
 * ("iommu_platform=on"). Then "vdpa dev add name NAME mgmtdev vduse" gives it to the kernel.
 * context NULL is the default one; a reference is kept. NULL and one sentence in error if it cannot
 * be done.
 */
DEVEMU_API DevemuVduse *devemu_vduse_new(DevemuDevice *dev, const char *name, GMainContext *context,
                                         GError **error);
/* NULL is allowed. While the kernel still holds the device ("vdpa dev del" was not said) the name
 * stays behind, without anybody at its other end. */
DEVEMU_API void devemu_vduse_free(DevemuVduse *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuVduse, devemu_vduse_free)

/* Hear what the server and its device have to say: one line without a newline, at a limited rate.
 * opaque is borrowed. log NULL: nobody. */
typedef void DevemuVduseLog(void *opaque, const char *text);
DEVEMU_API void devemu_vduse_set_log(DevemuVduse *server, DevemuVduseLog *log, void *opaque);

#ifdef __cplusplus
}
#endif

#endif
