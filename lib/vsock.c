/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock.c: connections between a guest and its host. Their messages go as bytes where frames go, so
 * that what stands between a device and its backend (recorders, gates, traces) need not know them.
 */
#include "internal.h"

void devemu_device_attach_vsock(DevemuDevice *dev, const DevemuVsockOps *ops, void *vsock)
{
    g_return_if_fail(dev != NULL);
    DEVEMU_COPY_OPS(dev->vsock_ops, ops);
    dev->vsock = vsock;
}

bool devemu_device_vsock(DevemuDevice *dev, const DevemuVsockMessage *message, size_t *ret_taken)
{
    uint8_t bytes[DEVEMU_VSOCK_HEAD + DEVEMU_VSOCK_DATA_MAX];
    size_t taken;

    g_return_val_if_fail(dev != NULL && message != NULL && ret_taken != NULL, false);
    g_return_val_if_fail(message->len <= DEVEMU_VSOCK_DATA_MAX, false);
    devemu_vsock_pack(message, bytes);
    if (message->len > 0) {
        memcpy(bytes + DEVEMU_VSOCK_HEAD, message->data, message->len);
    }
    taken = devemu_device_receive(dev, bytes, DEVEMU_VSOCK_HEAD + message->len);
    if (taken < DEVEMU_VSOCK_HEAD) {
        return false;
    }
    *ret_taken = taken - DEVEMU_VSOCK_HEAD;
    return true;
}

/* --- the device's side ---------------------------------------------------------------- */

void devemu_send_vsock(DevemuDevice *dev, const DevemuVsockMessage *message)
{
    uint8_t head[DEVEMU_VSOCK_HEAD];
    const DevemuSlice slices[] = {{head, sizeof(head)}, {message->data, message->len}};

    devemu_vsock_pack(message, head);
    devemu_send_frame(dev, slices, message->len > 0 ? 2 : 1, false);
}

/* A device sends a head and the data behind it; what was recorded may come in one piece. */
bool devemu_vsock_frame(DevemuDevice *dev, const DevemuSlice *slices, size_t count)
{
    DevemuVsockMessage message;

    if (dev->vsock_ops.send == NULL) {
        return false;
    }
    if (count > 0 && devemu_vsock_unpack(slices[0].data, slices[0].len, &message)) {
        if (count > 1) {
            message.data = slices[1].data;
            message.len = slices[1].len;
        }
        dev->vsock_ops.send(dev->vsock, &message);
    }
    return true;
}
