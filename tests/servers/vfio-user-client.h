/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-client.h: a vfio-user client for test programs whose server is another process: it
 * waits at the socket. (vfio-client.h is for tests that have the server inside.) Nothing here ends
 * the program: every call says how it went, since servers are killed on purpose.
 *
 * The protocol's facts are those of QEMU's docs/interop/vfio-user.rst and linux/vfio.h.
 */
#ifndef TESTS_SERVERS_VFIO_USER_CLIENT_H
#define TESTS_SERVERS_VFIO_USER_CLIENT_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    VU_BAR0 = 0,
    VU_CONFIG = 7,

    VU_INTX = 0,
    VU_MSI = 1,
    VU_MSIX = 2,

    VU_ERROR = 0,
    VU_STOP = 1,
    VU_RUNNING = 2,
    VU_STOP_COPY = 3,
    VU_RESUMING = 4,
    VU_PRE_COPY = 6,

    VU_RANGES = 8,
};

/* Memory that the client gave, or would have read and written by messages. */
typedef struct VuRange {
    uint64_t addr, len;
    uint8_t *data;
} VuRange;

typedef struct VuClient {
    int fd;    /* -1: none, or the server has gone */
    bool spin; /* look at the socket again and again instead of sleeping */
    uint16_t id;
    VuRange ranges[VU_RANGES];
    unsigned range_count;
    uint64_t dma_messages; /* DMA_READ and DMA_WRITE answered */
    uint8_t *reply;        /* payload of the last reply */
    size_t reply_len;
} VuClient;

/* --- life -------------------------------------------------------------------------- */

/* A connected socket, which is taken over; NULL and nothing said if the server does not agree. */
VuClient *vu_client_new(int fd);
/* The server listens at path. NULL if there is none. */
VuClient *vu_client_connect(const char *path);
void vu_client_free(VuClient *c);

/* --- messages: all return 0, the errno of the reply, or ENOTCONN ------------------- */

int vu_ask(VuClient *c, unsigned command, const void *payload, size_t len, const int *fds,
           unsigned fd_count);
/* fd -1: memory by messages only. */
int vu_map(VuClient *c, uint64_t addr, uint64_t len, uint8_t *data, int fd);
int vu_unmap(VuClient *c, uint64_t addr, uint64_t len);
int vu_read(VuClient *c, unsigned region, uint64_t at, unsigned size, uint64_t *ret_value);
int vu_write(VuClient *c, unsigned region, uint64_t at, unsigned size, uint64_t value);
/* No reply comes. */
int vu_post(VuClient *c, unsigned region, uint64_t at, unsigned size, uint64_t value);
int vu_reset(VuClient *c);
/* An eventfd for a vector of an index; -1: none. */
int vu_irq(VuClient *c, unsigned index, unsigned vector, int fd);
int vu_unmask(VuClient *c);

int vu_set_state(VuClient *c, uint32_t state);
int vu_get_state(VuClient *c, uint32_t *ret_state);
/* Append what there is to read. */
int vu_read_data(VuClient *c, GByteArray *to);
int vu_write_data(VuClient *c, const GByteArray *from);
int vu_log_start(VuClient *c, uint64_t page_size);
int vu_log_stop(VuClient *c);
/* One bit a page, page_size * 64 in each word of bits. */
int vu_log_report(VuClient *c, uint64_t addr, uint64_t len, uint64_t page_size, uint64_t *bits);

/* --- other processes --------------------------------------------------------------- */

/* Run argv with these descriptors kept open, which are closed here. Its standard output is at
 * *ret_out if that is not NULL. -1 if it cannot be started. */
pid_t vu_spawn(const char *const *argv, const int *fds, unsigned fd_count, int *ret_out);

#endif
