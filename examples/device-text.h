/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-text.h: a device as people write it, "MODEL,name=value,...": options that the model knows
 * are its own, backend= names its network, and the rest is the network's.
 */
#ifndef EXAMPLES_DEVICE_TEXT_H
#define EXAMPLES_DEVICE_TEXT_H

#include <devemu/backends.h>
#include <devemu/devemu.h>

typedef struct DeviceText {
    const DevemuModel *model;
    char *own;     /* for devemu_device_new() */
    char *network; /* for devemu_net_new(); NULL: a model without a network */
    bool named;    /* backend= was given */
} DeviceText;

/* NULL and one sentence in error; free with device_text_free(). */
DeviceText *device_text_new(const char *text, GError **error);
void device_text_free(DeviceText *text);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DeviceText, device_text_free)

/* The network that it asks for. */
DevemuNet *device_text_net(const DeviceText *text, GMainContext *context, GError **error);

#endif
