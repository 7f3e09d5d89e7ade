/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.h: inside the vfio-user server.
 *
 * "spec" is the vfio-user protocol specification, QEMU's docs/interop/vfio-user.rst; "vfio.h" is
 * Linux' include/uapi/linux/vfio.h, whose structures and constants it borrows. Numbers on the
 * socket are in the host's byte order (spec "Protocol Specification"); the bytes of a region are
 * the device's, little-endian.
 *
 * One object is everything: socket, client, and the client's memory and interrupts. Replies are
 * gathered in the stream. What a handler refuses is an errno, which becomes an error reply; what
 * breaks the framing is vfio_fail(), which ends the connection when the handlers have returned.
 */
#ifndef DEVEMU_SERVERS_VFIO_USER_H
#define DEVEMU_SERVERS_VFIO_USER_H

#include <devemu/bus.h>
#include <devemu/vfio-user.h>

#include "server.h"

/* --- the protocol ------------------------------------------------------------------ */

enum {
    VFIO_USER_VERSION = 1,
    VFIO_USER_DMA_MAP = 2,
    VFIO_USER_DMA_UNMAP = 3,
    VFIO_USER_DEVICE_GET_INFO = 4,
    VFIO_USER_DEVICE_GET_REGION_INFO = 5,
    VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
    VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
    VFIO_USER_DEVICE_SET_IRQS = 8,
    VFIO_USER_REGION_READ = 9,
    VFIO_USER_REGION_WRITE = 10,
    VFIO_USER_DMA_READ = 11,
    VFIO_USER_DMA_WRITE = 12,
    VFIO_USER_DEVICE_RESET = 13,
    VFIO_USER_REGION_WRITE_MULTI = 15,
    VFIO_USER_DEVICE_FEATURE = 16,
    VFIO_USER_MIG_DATA_READ = 17,
    VFIO_USER_MIG_DATA_WRITE = 18,
    VFIO_USER_COMMANDS,

    VFIO_HEADER_BYTES = 16,
    VFIO_FLAG_TYPE = 0xf,
    VFIO_TYPE_COMMAND = 0,
    VFIO_TYPE_REPLY = 1,
    VFIO_FLAG_NO_REPLY = 1 << 4,
    VFIO_FLAG_ERROR = 1 << 5,
};

/* vfio.h: regions and interrupts of a PCI device. */
enum {
    VFIO_REGION_BAR0 = 0,
    VFIO_REGION_ROM = 6,
    VFIO_REGION_CONFIG = 7,
    VFIO_REGION_VGA = 8,
    VFIO_REGIONS,

    VFIO_IRQ_INTX = 0,
    VFIO_IRQ_MSI = 1,
    VFIO_IRQ_MSIX = 2,
    VFIO_IRQ_ERR = 3,
    VFIO_IRQ_REQ = 4,
    VFIO_IRQS,
};

/* What we offer, and what nobody may exceed. */
enum {
    VFIO_MAX_XFER = 1 << 20, /* the specification's default for max_data_xfer_size */
    VFIO_MAX_MESSAGE = VFIO_HEADER_BYTES + 16 + VFIO_MAX_XFER,
    VFIO_MAX_FDS = 16,      /* our max_msg_fds; QEMU refuses more */
    VFIO_MAX_MAPS = 65535,  /* the specification's default for max_dma_maps */
    VFIO_IN_BYTES = 65536,  /* what one receive takes, while no longer message comes */
    VFIO_OUT_LIMIT = 65536, /* no command is begun while so much waits for the client */
    VFIO_LEAST_XFER = 64,   /* a client that takes less at once gets no DMA by messages */
    VFIO_DOORBELLS = 64,
};

/* A command as it came. A handler that keeps a descriptor puts -1 in its place. */
typedef struct VfioMessage {
    uint16_t id, command;
    uint32_t flags, error;
    const uint8_t *payload; /* in the receive buffer: good until the handler returns */
    size_t len;
    int *fds;
    unsigned fd_count;
} VfioMessage;

/* A handler's answer besides 0 and an errno: it has taken note of the message, and replies when it
 * can. */
#define VFIO_LATER (-1)

/* 0: done; if no reply was begun, an empty one is made. An errno: refused, before any reply was
 * begun. Or VFIO_LATER. */
typedef struct VfioCommand {
    const char *name;
    size_t least; /* bytes of payload; fewer are EINVAL */
    int (*handle)(DevemuVfioUser *s, const VfioMessage *m);
    bool looks; /* changes neither the device nor what it knows of memory */
} VfioCommand;

/* --- the client's memory ----------------------------------------------------------- */

/* A range of bus addresses that the client mapped. */
typedef struct VfioMap {
    uint64_t addr, len;
    uint8_t *data;    /* NULL: reached by messages only */
    ServerFile *file; /* that data lies in */
    bool readable, writable;
} VfioMap;

/* --- interrupts -------------------------------------------------------------------- */

typedef struct VfioIrq {
    int *fds; /* -1: none */
    unsigned count;
    unsigned armed; /* vectors below this have or had a descriptor since the index was enabled */
} VfioIrq;

/* A register that the client may write through an eventfd. */
typedef struct VfioDoorbell {
    unsigned region, size;
    unsigned index; /* of the element, which is what is written */
    uint64_t at;
    int fd;
    gpointer tag;
} VfioDoorbell;

/* --- migration ---------------------------------------------------------------------- */

/* vfio.h, enum vfio_device_mig_state. */
enum {
    VFIO_STATE_ERROR = 0,
    VFIO_STATE_STOP = 1,
    VFIO_STATE_RUNNING = 2,
    VFIO_STATE_STOP_COPY = 3,
    VFIO_STATE_RESUMING = 4,
    VFIO_STATE_PRE_COPY = 6,
    VFIO_STATES,

    VFIO_MSIX_VECTORS = 2048, /* PCI 3.0 6.8.2 */
};

typedef struct VfioMigration {
    uint32_t state;
    GByteArray *stream;    /* what is read, or was written */
    size_t stream_at;      /* read so far */
    uint64_t stopped_ns;   /* on our clock */
    uint64_t clock_offset; /* what the device's clock is ahead of ours, modulo 2^64 */
    /* Messages that were sent while it was stopped. */
    uint64_t messages[VFIO_MSIX_VECTORS / 64];
} VfioMigration;

/* The log of writes by DMA. */
typedef struct VfioDirty {
    bool on, all;
    unsigned shift;         /* log2 of its pages */
    GHashTable *chunks;     /* VfioChunk, by number; owned */
    struct VfioChunk *last; /* the one that was used last */
} VfioDirty;

/* Memory that is reached by messages; see vfio-user-work.c. */
typedef enum VfioPhase {
    VFIO_PHASE_IDLE,
    VFIO_PHASE_READING, /* what the event reads is asked for */
    VFIO_PHASE_WRITING, /* it has been rehearsed, and what it writes is on its way */
} VfioPhase;

typedef struct VfioFar {
    size_t maps;                       /* writable ones without a descriptor */
    struct DevemuRehearsal *rehearsal; /* NULL: the events of this device cannot be rehearsed */
    GQueue works;                      /* VfioWork; the first is under way unless IDLE */
    struct VfioWork *parked;           /* a frame that the device did not take; or NULL */
    VfioPhase phase;
    bool stepping, committing;
    bool stale;         /* what was read is old: ask again */
    bool refused;       /* a backend was sent away */
    uint64_t frozen_ns; /* the device's clock, from the last rehearsal to the event; or
                           DEVEMU_NEVER */
    unsigned tries, discards;
    GArray *pieces;    /* VfioPiece: what the event reads */
    size_t bytes;      /* of pieces */
    GHashTable *asked; /* VfioAsked, by number */
    uint16_t id;
    unsigned generation; /* of what is asked for */
    unsigned reading;    /* replies of this generation to come */
    unsigned writing;    /* of writes */
    GArray *failed;      /* bool, by write of the rehearsal */
    guint next_write;    /* of the rehearsal, that the event will do */
    GQueue held;         /* VfioHeld: messages behind a write that is not done yet */
    size_t held_bytes;
} VfioFar;

/* What the client said of itself (spec "Version"). */
typedef struct VfioPeer {
    uint64_t max_fds, max_xfer;
    uint64_t write_multiple; /* 1: it can */
} VfioPeer;

/* --- the server -------------------------------------------------------------------- */

struct DevemuVfioUser {
    DevemuDevice *function; /* owned */
    ServerLoop loop;
    bool inside; /* the dispatch of its source */
    ServerLog log;

    /* options */
    uint64_t spin_us;
    bool write_multiple;

    /* the socket */
    ServerSocket socket;

    /* time */
    uint64_t deadline_ns;

    /* the connection */
    bool negotiated;
    bool failed; /* ends when the handlers have returned */
    VfioPeer peer;
    ServerStream stream;
    size_t last_reply; /* where in its out it begins */
    bool replied;      /* the handler under way did */
    uint64_t messages; /* handled so far */

    VfioMap *maps; /* in order of address, disjoint */
    size_t map_count, map_capacity;
    size_t last_map;
    ServerFiles files;

    VfioIrq irqs[VFIO_IRQS];
    bool intx_level, intx_masked;
    bool intx_news;     /* it rose since it was signalled last */
    uint64_t refire_ns; /* when a level that still stands is signalled again; DEVEMU_NEVER */
    uint64_t refire_last_ns;

    VfioDoorbell doorbells[VFIO_DOORBELLS];
    unsigned doorbell_count;
    unsigned doorbells_made; /* of these regions */

    VfioMigration migration;
    VfioDirty dirty;
    VfioFar far;
};

/* --- vfio-user.c: life, time ------------------------------------------------------- */

/* One line, at a limited rate. */
G_GNUC_PRINTF(2, 3) void vfio_log(DevemuVfioUser *s, const char *format, ...);

/* --- vfio-user-message.c: framing, dispatch, replies ------------------------------- */

/* The connection cannot go on; text says why. */
G_GNUC_PRINTF(2, 3) void vfio_fail(DevemuVfioUser *s, const char *format, ...);
/* One receive. False: nothing came; perhaps the client left. Only while vfio_hungry(). */
bool vfio_receive(DevemuVfioUser *s);
/* Handle what is whole. Stops at VFIO_OUT_LIMIT. */
void vfio_process(DevemuVfioUser *s);
/* Handle a command. */
void vfio_handle(DevemuVfioUser *s, const VfioMessage *m);
/* Has all that is whole been handled? */
bool vfio_hungry(const DevemuVfioUser *s);
void vfio_message_reset(DevemuVfioUser *s);
/* Begin the reply to m with len bytes of payload, to be filled in (they are zero); good until the
 * next reply. NULL if the client wants none. */
uint8_t *vfio_reply(DevemuVfioUser *s, const VfioMessage *m, size_t len);
/* The same for what was put off: header only, errno or 0. */
void vfio_reply_error(DevemuVfioUser *s, const VfioMessage *m, int error);
/* Descriptors, which stay ours, to go with the reply just begun; once a message. */
void vfio_reply_fds(DevemuVfioUser *s, const int *fds, unsigned count);

/* --- handlers ---------------------------------------------------------------------- */

int vfio_version(DevemuVfioUser *s, const VfioMessage *m);

int vfio_dma_map(DevemuVfioUser *s, const VfioMessage *m);
int vfio_dma_unmap(DevemuVfioUser *s, const VfioMessage *m);

int vfio_device_info(DevemuVfioUser *s, const VfioMessage *m);
int vfio_region_info(DevemuVfioUser *s, const VfioMessage *m);
int vfio_region_read(DevemuVfioUser *s, const VfioMessage *m);
int vfio_region_write(DevemuVfioUser *s, const VfioMessage *m);
int vfio_region_write_multi(DevemuVfioUser *s, const VfioMessage *m);
int vfio_device_reset(DevemuVfioUser *s, const VfioMessage *m);
/* What a write to a region does, at once; and as the client's, see vfio_work_store(). */
void vfio_region_put(DevemuVfioUser *s, unsigned region, uint64_t at, size_t count,
                     const uint8_t *from);
void vfio_region_store(DevemuVfioUser *s, unsigned region, uint64_t at, size_t count,
                       const uint8_t *from);

int vfio_irq_info(DevemuVfioUser *s, const VfioMessage *m);
int vfio_set_irqs(DevemuVfioUser *s, const VfioMessage *m);

/* --- vfio-user-dma.c --------------------------------------------------------------- */

bool vfio_host_dma_read(void *host, uint64_t addr, void *buf, size_t len);
bool vfio_host_dma_write(void *host, uint64_t addr, const void *buf, size_t len);
bool vfio_host_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window);
/* The map that holds addr, or NULL. Good until the next message. */
VfioMap *vfio_map_find(DevemuVfioUser *s, uint64_t addr);
void vfio_maps_clear(DevemuVfioUser *s);
bool vfio_host_dma_deferred(void *host);

/* --- vfio-user-far.c: memory that is reached by messages --------------------------- */

/* Is any memory of the client's so? */
static inline bool vfio_far(const DevemuVfioUser *s)
{
    return s->far.maps > 0 && s->far.rehearsal && s->peer.max_xfer >= VFIO_LEAST_XFER;
}

/* A reply to a command of ours came. False: nobody asked. */
bool vfio_answered(DevemuVfioUser *s, const VfioMessage *m);
bool vfio_far_read(DevemuVfioUser *s, uint64_t addr, void *buf, size_t len);
bool vfio_far_write(DevemuVfioUser *s, uint64_t addr, const void *buf, size_t len);
/* What the rehearsal wants to know. */
extern const struct DevemuRehearsalOps vfio_far_rehearsal;
/* Note what the last rehearsal missed, and ask. False: that is too much for one event. */
bool vfio_far_ask_missing(DevemuVfioUser *s);
/* What was read is old; and: ask for it again. */
void vfio_far_discard(DevemuVfioUser *s);
void vfio_far_ask_wanted(DevemuVfioUser *s);
/* Send what the last rehearsal wrote to memory far away. */
void vfio_far_send_writes(DevemuVfioUser *s);
/* What was read is forgotten, and replies to come are ignored. */
void vfio_far_forget(DevemuVfioUser *s);

/* --- vfio-user-work.c: events that wait for such memory ---------------------------- */

void vfio_work_init(DevemuVfioUser *s);
/* The device was reset: events that wait are gone. Replies to what was asked may come. */
void vfio_work_reset(DevemuVfioUser *s);
/* The client is gone. */
void vfio_work_clear(DevemuVfioUser *s);
void vfio_work_finish(DevemuVfioUser *s);
/* The deadline has come. */
void vfio_work_run(DevemuVfioUser *s);
/* A write to a BAR that the device may need such memory for; and behind it, step(). */
void vfio_work_store(DevemuVfioUser *s, unsigned region, uint64_t at, size_t count,
                     const uint8_t *from);
/* Is an event under way that time must wait for? */
bool vfio_work_pending(const DevemuVfioUser *s);
/* Must this command wait for a write before it? Then it has been put aside. */
bool vfio_work_holds(DevemuVfioUser *s, const VfioMessage *m);
/* The guest, or its memory, may have changed. */
void vfio_work_touch(DevemuVfioUser *s);
/* Go on as far as it goes. */
void vfio_work_step(DevemuVfioUser *s);

/* --- vfio-user-irq.c --------------------------------------------------------------- */

void vfio_irqs_init(DevemuVfioUser *s);
void vfio_irqs_clear(DevemuVfioUser *s);
void vfio_irqs_finish(DevemuVfioUser *s);
/* The client said something. */
void vfio_irqs_heard(DevemuVfioUser *s, uint64_t now);
void vfio_host_set_line(void *host, unsigned line, bool level);
void vfio_host_msi(void *host, uint64_t addr, uint32_t data);
/* The moment has come to signal a level again. */
void vfio_irqs_refire(DevemuVfioUser *s, uint64_t now);

/* Interrupts that waited for writes to memory. */
void vfio_irqs_flush(DevemuVfioUser *s);
/* Interrupts that waited while the device was stopped. */
void vfio_irqs_go(DevemuVfioUser *s);

/* --- vfio-user-migration.c --------------------------------------------------------- */

int vfio_device_feature(DevemuVfioUser *s, const VfioMessage *m);
int vfio_mig_data_read(DevemuVfioUser *s, const VfioMessage *m);
int vfio_mig_data_write(DevemuVfioUser *s, const VfioMessage *m);
void vfio_migration_init(DevemuVfioUser *s);
/* Reset the device; it runs then, whatever state it was in. */
void vfio_reset(DevemuVfioUser *s);
void vfio_migration_finish(DevemuVfioUser *s);
/* The device's clock, and its next deadline by that clock. */
uint64_t vfio_device_now(const DevemuVfioUser *s);
void vfio_set_deadline(DevemuVfioUser *s, uint64_t when_ns);
/* Begin the reply to a GET with len bytes of data. NULL if the client wants none, or has less room.
 */
uint8_t *vfio_feature_reply(DevemuVfioUser *s, const VfioMessage *m, size_t len);
/* Neither the device's state nor anything outside may change. */
static inline bool vfio_state_stops(uint32_t state)
{
    return state != VFIO_STATE_RUNNING && state != VFIO_STATE_PRE_COPY;
}

static inline bool vfio_stopped(const DevemuVfioUser *s)
{
    return vfio_state_stops(s->migration.state);
}

/* --- vfio-user-dirty.c ------------------------------------------------------------- */

int vfio_dirty_start(DevemuVfioUser *s, const VfioMessage *m);
int vfio_dirty_stop(DevemuVfioUser *s, const VfioMessage *m);
int vfio_dirty_report(DevemuVfioUser *s, const VfioMessage *m);
void vfio_dirty_mark(DevemuVfioUser *s, uint64_t addr, size_t len);
void vfio_dirty_clear(DevemuVfioUser *s);

/* --- vfio-user-doorbell.c ---------------------------------------------------------- */

int vfio_region_io_fds(DevemuVfioUser *s, const VfioMessage *m);
/* Did the last sleep find one? */
bool vfio_doorbells_rung(const DevemuVfioUser *s);
void vfio_doorbells_ring(DevemuVfioUser *s);
/* While the device is stopped nobody looks at them. */
void vfio_doorbells_watch(DevemuVfioUser *s, bool on);
void vfio_doorbells_clear(DevemuVfioUser *s);

#endif
