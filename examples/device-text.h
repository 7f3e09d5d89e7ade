/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-text.h: a device as people write it, "MODEL,name=value,...": options that the model knows
 * are its own, backend= names its network, characters or medium, and the rest is that one's, also
 * what both know and is given a second time, behind backend= (queues= of virtio-net and of a tap);
 * port.N= names the characters of a further port (virtio-console), with all their options. Those
 * that begin with "pci." are for virtio's PCI transport.
 */
#ifndef EXAMPLES_DEVICE_TEXT_H
#define EXAMPLES_DEVICE_TEXT_H

#include <devemu/backends.h>
#include <devemu/devemu.h>

typedef struct DeviceText {
    const DevemuModel *model;
    char *own;                 /* for devemu_device_new() */
    char *backend;             /* for devemu_net_new() and its like; NULL: a model without one */
    char *transport;           /* for devemu_virtio_pci_new() */
    bool named;                /* backend= was given */
    char *ports[DEVEMU_PORTS]; /* for devemu_chr_new(); NULL: nothing is connected */
} DeviceText;

/* What is on the other side of a device; at most one of the first three. */
typedef struct DeviceBackend {
    DevemuNet *net;
    DevemuChr *chr;
    DevemuBlock *block;
    DevemuChr *ports[DEVEMU_PORTS];
    DevemuVsock *vsock;
} DeviceBackend;

/* NULL and one sentence in error; free with device_text_free(). */
DeviceText *device_text_new(const char *text, GError **error);
void device_text_free(DeviceText *text);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DeviceText, device_text_free)

/* The backend that it asks for, not yet attached. */
bool device_text_backend(const DeviceText *text, GMainContext *context, DeviceBackend *ret_backend,
                         GError **error);
/* False: the device has no such port. */
bool device_backend_attach(const DeviceBackend *backend, DevemuDevice *dev, GError **error);
void device_backend_clear(DeviceBackend *backend);

/* What goes into a PCI function: dev, or virtio's transport around it. dev is taken over, and freed
 * where that cannot be. */
DevemuDevice *device_text_transport(DevemuDevice *dev, const DeviceText *text, GError **error);

#endif
