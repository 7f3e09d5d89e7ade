/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backend.h: what a device sends its payload to. The other direction is an entry of the device:
 * devemu_device_receive(), devemu_device_input(), devemu_device_complete().
 *
 * A backend is borrowed by the device and must outlive it. Its callbacks are called on the device's
 * thread and must not enter the device; a backend that has an answer at once queues it and delivers
 * it from its own main loop.
 */
#ifndef DEVEMU_BACKEND_H
#define DEVEMU_BACKEND_H

#include <devemu/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of payload; often a view into guest memory, good for the call only. */
typedef struct DevemuSlice {
    const void *data;
    size_t len; /* bytes */
} DevemuSlice;

/* Network. Frames are Ethernet frames from destination address to the end of the payload, without
 * FCS. */
typedef struct DevemuNetOps {
    size_t size; /* sizeof(DevemuNetOps) */
    /* A frame leaves the device. more: another follows in the same event, so waking somebody can
     * wait. */
    void (*send)(void *net, const DevemuSlice *slices, size_t count, bool more);
    /* The device, which had refused a frame (devemu_device_receive() returned 0), can take one now.
     * Do not deliver it from inside this call. */
    void (*ready)(void *net);
} DevemuNetOps;

/* Characters. */
typedef struct DevemuCharOps {
    size_t size; /* sizeof(DevemuCharOps) */
    void (*write)(void *chr, const void *data, size_t len);
    /* The device has room again for bytes that devemu_device_receive() did not take. As
     * DevemuNetOps.ready. */
    void (*ready)(void *chr);
    /* Modem control outputs changed (bit mask of DEVEMU_CHAR_*), or a break was sent. */
    void (*control)(void *chr, unsigned lines);
} DevemuCharOps;

enum {
    DEVEMU_CHAR_DTR = 1 << 0,
    DEVEMU_CHAR_RTS = 1 << 1,
    DEVEMU_CHAR_BREAK = 1 << 2,
};

/* Block. Requests are asynchronous and end in devemu_device_complete(dev, tag, status). */
typedef enum DevemuBlockOp {
    DEVEMU_BLOCK_READ,
    DEVEMU_BLOCK_WRITE,
    DEVEMU_BLOCK_FLUSH,
    DEVEMU_BLOCK_DISCARD,
} DevemuBlockOp;

typedef struct DevemuBlockOps {
    size_t size; /* sizeof(DevemuBlockOps) */
    /* Bytes of the medium. */
    uint64_t (*capacity)(void *block);
    /* tag is the device's own small number. Buffers stay valid until completion. */
    void (*submit)(void *block, uint32_t tag, DevemuBlockOp op, uint64_t at, void *buf, size_t len);
} DevemuBlockOps;

/* A person's input. */
typedef enum DevemuInputKind {
    DEVEMU_INPUT_KEY, /* code = Linux input event code (KEY_A = 30 ...), value = 1 press, 0 release
                       */
    DEVEMU_INPUT_BUTTON, /* code = 0 left, 1 right, 2 middle; value = 1 press, 0 release */
    DEVEMU_INPUT_MOVE,   /* x, y: relative, y grows downwards; z: wheel */
} DevemuInputKind;

typedef struct DevemuInput {
    DevemuInputKind kind;
    unsigned code;
    int value;
    int x, y, z;
} DevemuInput;

/* A picture of a screen: width * height pixels 0x00RRGGBB. pixels belongs to the caller of
 * devemu_device_screen(). */
typedef struct DevemuScreen {
    unsigned width, height;
    uint32_t *pixels;
    size_t capacity; /* pixels that fit */
} DevemuScreen;

#ifdef __cplusplus
}
#endif

#endif
