/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user.h: inside the vhost-user server.
 *
 * "spec" is the vhost-user protocol specification, QEMU's docs/interop/vhost-user.rst. Numbers on
 * the socket are in the host's byte order. The client is the front-end, we are the back-end.
 *
 * One object is everything: socket, client, its memory and its rings. What a handler refuses is a
 * sentence, which is logged, and is a 1 where the client asked for an answer (REPLY_ACK); what
 * breaks the framing is vhost_fail(), which ends the connection when the handlers have returned.
 */
#ifndef DEVEMU_SERVERS_VHOST_USER_H
#define DEVEMU_SERVERS_VHOST_USER_H

#include <devemu/vhost-user.h>

#include "../virtio.h"
#include "server.h"

#include <pthread.h>

/* --- the protocol ------------------------------------------------------------------ */

enum {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_LOG_BASE = 6,
    VHOST_USER_SET_LOG_FD = 7,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_SET_BACKEND_REQ_FD = 21,
    VHOST_USER_IOTLB_MSG = 22,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_GET_INFLIGHT_FD = 31,
    VHOST_USER_SET_INFLIGHT_FD = 32,
    VHOST_USER_RESET_DEVICE = 34,
    VHOST_USER_VRING_KICK = 35,
    VHOST_USER_GET_MAX_MEM_SLOTS = 36,
    VHOST_USER_ADD_MEM_REG = 37,
    VHOST_USER_REM_MEM_REG = 38,
    VHOST_USER_SET_STATUS = 39,
    VHOST_USER_GET_STATUS = 40,
    VHOST_USER_SET_DEVICE_STATE_FD = 42,
    VHOST_USER_CHECK_DEVICE_STATE = 43,
    VHOST_USER_REQUESTS,

    /* What we ask of the client, on the channel that it gives. */
    VHOST_BACKEND_IOTLB_MSG = 1,
    VHOST_BACKEND_CONFIG_CHANGE = 2,
    VHOST_BACKEND_VRING_CALL = 4,
    VHOST_BACKEND_VRING_ERR = 5,

    VHOST_HEADER_BYTES = 12,
    VHOST_VERSION = 1,
    VHOST_FLAG_VERSION = 3,
    VHOST_FLAG_REPLY = 1 << 2,
    VHOST_FLAG_NEED_REPLY = 1 << 3,

    VHOST_NO_FD = 1 << 8, /* in a number that goes with a descriptor */
    VHOST_RING_LOG = 1,   /* VHOST_VRING_F_LOG */
};

/* Protocol features, by number. */
enum {
    VHOST_F_MQ = 0,
    VHOST_F_LOG_SHMFD = 1,
    VHOST_F_REPLY_ACK = 3,
    VHOST_F_BACKEND_REQ = 5,
    VHOST_F_CONFIG = 9,
    VHOST_F_INFLIGHT_SHMFD = 12,
    VHOST_F_RESET_DEVICE = 13,
    VHOST_F_INBAND_NOTIFICATIONS = 14,
    VHOST_F_CONFIGURE_MEM_SLOTS = 15,
    VHOST_F_STATUS = 16,
    VHOST_F_DEVICE_STATE = 19,
};

/* Feature bits that are the protocol's and not the device's. */
enum {
    VHOST_LOG_ALL = 26,
    VHOST_PROTOCOL_FEATURES = 30,
};

/* What we offer, and what nobody may exceed. */
enum {
    VHOST_MAX_PAYLOAD = 4096,
    VHOST_IN_BYTES = 16384,
    VHOST_OUT_LIMIT = 16384, /* no request is begun while so much waits for the client */
    VHOST_TABLE_REGIONS = 8, /* of SET_MEM_TABLE */
    VHOST_REGIONS = 509,     /* by ADD_MEM_REG; as many memory slots as KVM has */
    VHOST_CONFIG_BYTES = 256,
    VHOST_MISSES = 64, /* pages asked for at a time */
    VHOST_PAGE_BYTES = 4096,
};

#define VHOST_BIT(n) (UINT64_C(1) << (n))

typedef struct VhostMessage {
    uint32_t request, flags;
    const uint8_t *payload; /* in the receive buffer: good until the handler returns */
    size_t len;
    int *fds; /* a handler that keeps one puts -1 in its place */
    unsigned fd_count;
} VhostMessage;

/* Why it is refused, as a constant sentence, or NULL: done. */
typedef const char *VhostHandler(DevemuVhostUser *s, const VhostMessage *m);

/* --- the client's memory ----------------------------------------------------------- */

/* A piece of it: the guest's addresses, and the client's own, in which it says where rings are. */
typedef struct VhostRegion {
    uint64_t guest, user, len;
    uint8_t *data;
    ServerFile *file;
} VhostRegion;

/* VIRTIO_F_ACCESS_PLATFORM: what the device calls addresses are the driver's, by pages that the
 * client tells us. */
typedef struct VhostPage {
    uint64_t iova, len, user;
    uint8_t perm; /* VHOST_IOTLB_READ, VHOST_IOTLB_WRITE */
} VhostPage;

/* What the client is asked for, or told of: the page of an access. */
typedef struct VhostMiss {
    uint64_t iova;
    uint8_t perm; /* as above */
} VhostMiss;

/* The log of pages that were written. */
typedef struct VhostLog {
    uint8_t *data; /* NULL: none */
    uint64_t bytes;
    ServerFile *file;
    int fd;  /* to be told of news; -1: none */
    bool on; /* writes are logged */
} VhostLog;

/* --- rings ------------------------------------------------------------------------- */

typedef struct VhostEvent {
    int fd; /* -1: none */
    bool is_socket;
} VhostEvent;

typedef struct VhostRing {
    unsigned index;
    VhostEvent kick, call, err;
    gpointer kick_tag;
    /* As the client has it. */
    bool kicked;  /* started */
    bool enabled; /* by SET_VRING_ENABLE */
    bool polled;  /* it has no descriptor to kick us by */
    bool placed;  /* SET_VRING_ADDR came */
    uint32_t flags, num;
    uint64_t desc, used, avail, log;
    uint32_t position; /* as devemu_virtqueue_position() */
    bool exact;        /* position is ours, not of SET_VRING_BASE */
    /* As the device has it. */
    bool running;
    bool failed; /* it could not be started; until something is set anew */
    uint64_t desc_addr, used_addr, avail_addr;
    /* Buffers that the device leaves where they are, when it stands there. */
    bool left;
    uint32_t left_at;
} VhostRing;

/* What is in flight, for a server that comes after this one. */
typedef struct VhostInflight {
    uint8_t *data; /* NULL: none */
    ServerFile *file;
    unsigned rings, size;
    bool packed; /* the rings for which it is laid out */
} VhostInflight;

/* The device's state on its way to or from the client. */
typedef struct VhostState {
    int fd; /* -1: none, or done */
    gpointer tag;
    bool loading;
    bool good; /* what was asked for last went well */
    GByteArray *bytes;
    size_t at; /* written so far */
} VhostState;

/* --- the server -------------------------------------------------------------------- */

typedef struct VhostThread VhostThread;

struct DevemuVhostUser {
    DevemuDevice *dev; /* owned */
    ServerLoop loop;
    bool inside; /* the dispatch of its source */
    ServerLog log;
    /* Where its lines go; the lock is held meanwhile. */
    DevemuVhostUserLog *sink;
    void *sink_opaque;
    pthread_mutex_t sink_lock;

    /* threads */
    DevemuVhostUser *whole; /* of a part; else NULL */
    VhostThread **threads;
    unsigned thread_count;
    bool told; /* a part has something to say; atomic */

    /* options */
    uint64_t spin_us;

    ServerSocket socket;

    /* time */
    uint64_t deadline_ns;
    bool spinning;    /* rings are looked at, and do not ask for kicks */
    uint64_t busy_ns; /* when there was something in them last */

    /* the connection */
    bool failed; /* ends when the handlers have returned */
    ServerStream stream;
    size_t last_reply; /* where in its out it begins */
    bool replied;      /* the handler under way did */
    uint64_t messages;

    /* negotiation */
    uint64_t features; /* of SET_FEATURES */
    uint64_t protocol; /* of SET_PROTOCOL_FEATURES */
    bool agreed;       /* the device took the features */
    bool begun;        /* a ring has run since the device was reset */
    uint8_t status;    /* of SET_STATUS */
    /* What SET_CONFIG wrote, for the device that is reset by what the driver does not see. */
    uint8_t config[VHOST_CONFIG_BYTES];
    bool config_set[VHOST_CONFIG_BYTES];

    /* requests to the client */
    int channel; /* -1: none */
    gpointer channel_tag;
    ServerStream requests;
    bool channel_stalled;
    uint64_t calls, errors; /* rings of which it is to be told */
    bool config_changed;
    VhostMiss
        misses[VHOST_MISSES]; /* pages that are not there; the client has heard of the first */
    unsigned miss_count, misses_sent;
    VhostMiss denied; /* the last page that does not allow what was tried; perm is 0: none */
    bool denied_sent;

    /* memory */
    VhostRegion regions[VHOST_REGIONS]; /* in order of guest addresses, disjoint */
    unsigned region_count, last_region;
    ServerFiles files;
    VhostPage *pages; /* in order of iova, disjoint */
    unsigned page_count, page_capacity, last_page;
    bool pages_came; /* or may have; rings that starve have not been told */
    VhostLog dirty;
    VhostInflight inflight;
    int inflight_fd; /* of the memory that we made last; -1: none */
    VhostState state;

    VhostRing rings[DEVEMU_VIRTIO_QUEUES];
    unsigned ring_count;
};

static inline bool vhost_packed(const DevemuVhostUser *s)
{
    return s->features >> VIRTIO_F_RING_PACKED & 1;
}

static inline bool vhost_has(const DevemuVhostUser *s, unsigned protocol_feature)
{
    return s->protocol >> protocol_feature & 1;
}

/* --- vhost-user.c: life, time ------------------------------------------------------ */

/* What was the client's goes back, and the device is as it was before it. */
void vhost_clear(DevemuVhostUser *s);
/* A server of dev without a client, for a thread that will iterate context. NULL and an error, and
 * dev stays the caller's. forget() takes it back. */
DevemuVhostUser *vhost_part_new(DevemuVhostUser *whole, DevemuDevice *dev, GMainContext *context,
                                GError **error);
void vhost_part_forget(DevemuVhostUser *part);

/* One line, at a limited rate. */
G_GNUC_PRINTF(2, 3) void vhost_log(DevemuVhostUser *s, const char *format, ...);

/* --- vhost-user-message.c: framing, dispatch, replies ------------------------------ */

/* The connection cannot go on; text says why. */
G_GNUC_PRINTF(2, 3) void vhost_fail(DevemuVhostUser *s, const char *format, ...);
/* One receive. False: nothing came; perhaps the client left. Only while vhost_hungry(). */
bool vhost_receive(DevemuVhostUser *s);
/* Handle what is whole. Stops at VHOST_OUT_LIMIT. */
void vhost_process(DevemuVhostUser *s);
/* Has all that is whole been handled? */
bool vhost_hungry(const DevemuVhostUser *s);
/* Begin the reply with len bytes of payload, to be filled in (they are zero); good until the next
 * reply. */
uint8_t *vhost_reply(DevemuVhostUser *s, const VhostMessage *m, size_t len);
void vhost_reply_u64(DevemuVhostUser *s, const VhostMessage *m, uint64_t value);
/* A descriptor, which stays ours, to go with the reply just begun. */
void vhost_reply_fd(DevemuVhostUser *s, int fd);

/* --- vhost-user-device.c: features, status, configuration -------------------------- */

VhostHandler vhost_get_features, vhost_set_features, vhost_set_owner, vhost_reset_owner;
VhostHandler vhost_get_protocol_features, vhost_set_protocol_features, vhost_get_queue_num;
VhostHandler vhost_get_config, vhost_set_config;
VhostHandler vhost_reset_device, vhost_set_status, vhost_get_status;
/* Bring the device from reset to where a driver has agreed on features. */
void vhost_begin(DevemuVhostUser *s);
/* The device's state was loaded: what it has agreed on. */
void vhost_loaded(DevemuVhostUser *s);
/* The device may use its rings: it has a driver. */
void vhost_driver_ok(DevemuVhostUser *s);
/* All is as before the first client. */
void vhost_device_clear(DevemuVhostUser *s);
/* Would a client see the same device in both? */
bool vhost_same_device(DevemuVhostUser *one, DevemuVhostUser *other);

/* --- vhost-user-memory.c ----------------------------------------------------------- */

VhostHandler vhost_set_mem_table, vhost_get_max_mem_slots, vhost_add_mem_reg, vhost_rem_mem_reg;
bool vhost_host_dma_read(void *host, uint64_t addr, void *buf, size_t len);
bool vhost_host_dma_write(void *host, uint64_t addr, const void *buf, size_t len);
bool vhost_host_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window);
/* What the device calls len bytes at the client's own address: false if that is not one region. */
bool vhost_user_address(const DevemuVhostUser *s, uint64_t user, uint64_t len, uint64_t *ret_addr);
/* The memory at the client's own address, and how much there is. */
uint8_t *vhost_user_data(const DevemuVhostUser *s, uint64_t user, uint64_t *ret_len,
                         uint64_t *ret_guest);
void vhost_memory_clear(DevemuVhostUser *s);

/* --- vhost-user-iotlb.c ------------------------------------------------------------ */

/* IOTLB_MSG, both ways: address, bytes, address in the client's memory (8 bytes each), then
 * permissions and type (a byte each). */
enum {
    VHOST_IOTLB_PERM_AT = 24,
    VHOST_IOTLB_TYPE_AT = 25,
    VHOST_IOTLB_BYTES = 32, /* as QEMU pads it */

    VHOST_IOTLB_READ = 1,
    VHOST_IOTLB_WRITE = 2,

    VHOST_IOTLB_MISS = 1,
    VHOST_IOTLB_UPDATE = 2,
    VHOST_IOTLB_INVALIDATE = 3,
    VHOST_IOTLB_ACCESS_FAIL = 4,
};

static inline uint8_t vhost_iotlb_perm(bool write)
{
    return write ? VHOST_IOTLB_WRITE : VHOST_IOTLB_READ;
}

VhostHandler vhost_iotlb_msg;
static inline bool vhost_translates(const DevemuVhostUser *s)
{
    return s->features >> VIRTIO_F_ACCESS_PLATFORM & 1;
}

/* The page that holds iova, or NULL. Good until the next message. */
const VhostPage *vhost_page_find(DevemuVhostUser *s, uint64_t iova);
static inline bool vhost_page_allows(const VhostPage *page, bool write)
{
    return page->perm & vhost_iotlb_perm(write);
}

/* Is each byte of it in a page? Asks for those that are not, where there is a client to be asked;
 * where there is none, yes. */
DevemuVirtqueuePresent vhost_pages_present;
/* An access at addr was tried that its page does not allow. */
void vhost_page_deny(DevemuVhostUser *s, uint64_t addr, bool write);
/* What is asked for is forgotten, to be asked for again. */
void vhost_misses_forget(DevemuVhostUser *s);
void vhost_pages_clear(DevemuVhostUser *s);

/* --- vhost-user-log.c -------------------------------------------------------------- */

VhostHandler vhost_set_log_base, vhost_set_log_fd;
/* Features or the log have changed. */
void vhost_log_update(DevemuVhostUser *s);
/* Bytes at these guest addresses were written, for the device at addr. */
void vhost_log_mark(DevemuVhostUser *s, uint64_t addr, uint64_t guest, uint64_t len);
void vhost_log_clear(DevemuVhostUser *s);

/* --- vhost-user-ring.c ------------------------------------------------------------- */

VhostHandler vhost_set_vring_num, vhost_set_vring_addr, vhost_set_vring_base, vhost_get_vring_base;
VhostHandler vhost_set_vring_kick, vhost_set_vring_call, vhost_set_vring_err;
VhostHandler vhost_set_vring_enable, vhost_vring_kick;
/* Start or stop each ring as all that was said asks for. */
void vhost_rings_update(DevemuVhostUser *s);
/* Stop all; they go on where they are. */
void vhost_rings_stop(DevemuVhostUser *s);
/* And not before they are started again. */
void vhost_rings_halt(DevemuVhostUser *s);
/* Memory has moved. */
void vhost_rings_moved(DevemuVhostUser *s);
/* Pages are about to go: stop what has its ring in them. It starts again when they are back. */
void vhost_rings_lose(DevemuVhostUser *s, uint64_t iova, uint64_t last);
/* Pages have come: go on with rings that starve. */
void vhost_rings_feed(DevemuVhostUser *s);
/* A descriptor, or the lack of one, says that there are buffers. */
bool vhost_rings_kicked(const DevemuVhostUser *s);
void vhost_rings_serve(DevemuVhostUser *s);

void vhost_notify(DevemuVhostUser *s, unsigned queue);
/* Look at each; true if there was something. */
bool vhost_rings_look(DevemuVhostUser *s);
/* Does one run that has no descriptor to be kicked by? */
bool vhost_rings_unkicked(const DevemuVhostUser *s);
/* Hear of what came while kicks were not asked for. */
void vhost_rings_listen(DevemuVhostUser *s);
void vhost_host_msi(void *host, uint64_t addr, uint32_t data);
void vhost_rings_init(DevemuVhostUser *s);
void vhost_rings_clear(DevemuVhostUser *s);

/* --- vhost-user-inflight.c --------------------------------------------------------- */

VhostHandler vhost_get_inflight_fd, vhost_set_inflight_fd;
/* Is there memory from before for this ring? */
bool vhost_inflight_knows(const DevemuVhostUser *s, unsigned ring);
/* The ring has been started. */
void vhost_inflight_track(DevemuVhostUser *s, unsigned ring);
/* It and the descriptor that we gave go. */
void vhost_inflight_finish(DevemuVhostUser *s);

/* --- vhost-user-state.c: the device's state, for a migration ----------------------- */

VhostHandler vhost_set_device_state_fd, vhost_check_device_state;
/* Go on with what the descriptor is ready for. */
void vhost_state_serve(DevemuVhostUser *s);
void vhost_state_clear(DevemuVhostUser *s);

/* --- vhost-user-thread.c: queues on other threads ---------------------------------- */

static inline bool vhost_has_threads(const DevemuVhostUser *s)
{
    return s->thread_count > 0 || s->whole != NULL;
}

/* Of the whole. Between these two all others have let go of their queues. */
void vhost_threads_stop(DevemuVhostUser *s);
void vhost_threads_go(DevemuVhostUser *s);
/* Do what the message says, at the parts that it concerns. */
const char *vhost_threads_handle(DevemuVhostUser *s, VhostHandler *handle, const VhostMessage *m);
void vhost_threads_clear(DevemuVhostUser *s);
void vhost_threads_end(DevemuVhostUser *s);
/* Does a part's device need a reset? While they are stopped. */
bool vhost_threads_need_reset(const DevemuVhostUser *s);
/* Of a part: the whole is to look at it, from its own thread. */
void vhost_thread_tell(DevemuVhostUser *part);
void vhost_threads_hear(DevemuVhostUser *s);

/* --- vhost-user-channel.c: requests to the client ---------------------------------- */

VhostHandler vhost_set_backend_req_fd;
void vhost_channel_call(DevemuVhostUser *s, unsigned ring);
void vhost_channel_error(DevemuVhostUser *s, unsigned ring);
void vhost_channel_config(DevemuVhostUser *s);
/* Of pages: there are misses, or an access was denied. */
void vhost_channel_pages(DevemuVhostUser *s);
/* Take in replies, send what waits. */
void vhost_channel_serve(DevemuVhostUser *s);
void vhost_channel_clear(DevemuVhostUser *s);

#endif
