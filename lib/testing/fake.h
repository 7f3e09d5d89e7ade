/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake.h: inside the fake host.
 */
#ifndef DEVEMU_TESTING_FAKE_H
#define DEVEMU_TESTING_FAKE_H

#include "cover.h"

#include <devemu/testing.h>

#define FAKE_LINES 64

typedef struct Span {
    uint64_t addr, len;
} Span;

/* A character line that is not the first. */
typedef struct FakePort {
    DevemuFake *fake;
    unsigned number;
} FakePort;

struct DevemuFake {
    const DevemuModel *model;
    DevemuFakeMode mode;
    GArray *settings; /* DevemuSetting, owned copies */
    DevemuDevice *root;
    DevemuDevice *dev;
    char *log_path;

    uint8_t *ram;
    size_t ram_bytes;
    bool map;
    bool deferred;
    Span fail, own;
    unsigned own_bank;
    uint64_t dma_bytes;

    uint64_t now, deadline;
    uint64_t levels;
    unsigned rises[FAKE_LINES];
    unsigned discards;
    uint64_t discard_addr, discard_len;
    unsigned msis;
    uint64_t msi_addr;
    uint32_t msi_data;

    DevemuBlock *block; /* NULL: none */
    GPtrArray *sent;    /* GBytes */
    GArray *said;       /* DevemuNetOffload of each; of frames */
    uint32_t offloads;
    GString *output;
    GString *port_output[DEVEMU_PORTS]; /* NULL: nothing yet */
    FakePort ports[DEVEMU_PORTS];
    uint32_t full_ports; /* by bits: not writable */
    unsigned readies;
    unsigned guest_errors;
    char *last_log;
    DevemuAccess access;
    Cover *cover; /* NULL: nobody asks which registers are touched */
};

#endif
