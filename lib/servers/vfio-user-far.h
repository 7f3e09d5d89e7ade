/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-far.h: what vfio-user-far.c and vfio-user-work.c share.
 */
#ifndef DEVEMU_SERVERS_VFIO_USER_FAR_H
#define DEVEMU_SERVERS_VFIO_USER_FAR_H

#include "../rehearse.h"
#include "vfio-user.h"

enum {
    FAR_ACCESS_BYTES = 16, /* spec "VFIO_USER_DMA_READ": address, count; then data */

    /* What one event may read; more fails. */
    FAR_PIECES = 4096,
    FAR_BYTES = 4 << 20,
    FAR_ASKED_LIMIT = 32768, /* commands without an answer */
};

/* Numbers of writes that no rehearsal foresaw, and of those that need no message any more. */
#define FAR_POSTED UINT32_C(0xffffffff)
#define FAR_DONE   UINT32_C(0xfffffffe)

typedef enum VfioPieceState {
    PIECE_WANTED,
    PIECE_ASKED,
    PIECE_HERE,
    PIECE_FAILED,
} VfioPieceState;

typedef struct VfioPiece {
    uint64_t addr;
    size_t len;
    size_t left; /* bytes to come */
    VfioPieceState state;
    uint8_t *data; /* owned */
} VfioPiece;

/* A command of ours that is not answered yet. */
typedef struct VfioAsked {
    uint16_t id, command;
    guint index; /* of the piece, or the write */
    size_t at;   /* byte of the piece */
    size_t len;
    uint64_t addr;
    unsigned generation;
} VfioAsked;

#endif
