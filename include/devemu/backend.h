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

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of payload; often a view into guest memory, good for the call only. */
typedef struct DevemuSlice {
    const void *data;
    size_t len; /* bytes */
} DevemuSlice;

/* How a frame that is longer than the network's may be cut into such that are not. */
typedef enum DevemuGso {
    DEVEMU_GSO_NONE,
    DEVEMU_GSO_TCPV4,
    DEVEMU_GSO_TCPV6,
    DEVEMU_GSO_UDP, /* each piece is a datagram of its own (USO), over IPv4 or IPv6 */
} DevemuGso;

/* What the sender of a frame left to others. All zero: nothing, a plain frame. Numbers count from
 * the first byte of the frame. */
typedef struct DevemuNetOffload {
    /* A checksum is to be completed: over all from csum_start on, into the two bytes csum_offset
     * behind it, which hold the sum of the pseudo header. With a gso, csum_start is where the TCP
     * or UDP header begins. */
    bool needs_csum;
    bool data_valid;   /* the checksum was verified; what stands in the frame may be none */
    bool ecn;          /* TCP: CWR is set, which is for the first piece only */
    uint8_t gso;       /* DevemuGso; not NONE: needs_csum is set, too */
    uint16_t hdr_len;  /* headers that each piece repeats; a hint */
    uint16_t gso_size; /* payload bytes of a piece */
    uint16_t csum_start, csum_offset;
} DevemuNetOffload;

/* What a receiver of frames takes as it is. */
enum {
    DEVEMU_OFFLOAD_CSUM = 1 << 0, /* needs_csum, data_valid */
    DEVEMU_OFFLOAD_TSO4 = 1 << 1,
    DEVEMU_OFFLOAD_TSO6 = 1 << 2,
    DEVEMU_OFFLOAD_ECN = 1 << 3, /* with TSO4, TSO6 */
    DEVEMU_OFFLOAD_USO = 1 << 4, /* over both IPs */
    DEVEMU_OFFLOAD_ALL = 31,
};

/* The same as the bytes that virtio, taps and packet sockets put before a frame (struct
 * virtio_net_hdr, little-endian). get() is false for a kind of segmentation that is not above. */
#define DEVEMU_NET_OFFLOAD_BYTES 10
DEVEMU_API void devemu_net_offload_put(const DevemuNetOffload *offload, void *header);
DEVEMU_API bool devemu_net_offload_get(const void *header, DevemuNetOffload *ret_offload);

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
    /* The DEVEMU_OFFLOAD_* that send_offload takes; it may change. The library does the rest in
     * software, and hands the frames to send. NULL: none. */
    uint32_t (*offloads)(void *net);
    /* As send, for a frame that is not plain. */
    void (*send_offload)(void *net, const DevemuNetOffload *offload, const DevemuSlice *slices,
                         size_t count, bool more);
    /* Deliver what has come, for a host that polls; returns how many frames the device took. NULL:
     * the network comes by itself. */
    unsigned (*poll)(void *net);
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
    /* May the device write on? false: so much waits for the reader that a device which can hold the
     * rest back had better do so, until devemu_device_writable(). Others write all the same, and
     * what there is no room for is lost. NULL: always. */
    bool (*writable)(void *chr);
} DevemuCharOps;

enum {
    DEVEMU_CHAR_DTR = 1 << 0,
    DEVEMU_CHAR_RTS = 1 << 1,
    DEVEMU_CHAR_BREAK = 1 << 2,
};

/*
 * Block. A device submits requests (devemu_submit() in model.h); each ends in one
 * DevemuBlockCompletion, in any order. Places and lengths are bytes, and multiples of
 * DevemuBlockInfo.block_size.
 */
typedef enum DevemuBlockOp {
    DEVEMU_BLOCK_READ,
    DEVEMU_BLOCK_WRITE,
    DEVEMU_BLOCK_FLUSH,        /* what has completed is on the medium when this completes */
    DEVEMU_BLOCK_DISCARD,      /* the contents are not wanted any more; a hint */
    DEVEMU_BLOCK_WRITE_ZEROES, /* reads as zeroes from now on */
    DEVEMU_BLOCK_SECURE_ERASE, /* as discard, and no copy may be left anywhere */
    /* Zoned media. Zones are named by their first byte. */
    DEVEMU_BLOCK_ZONE_REPORT, /* DevemuBlockZone for each zone from the one that holds `at`, as many
                                 as the slices hold (len is theirs); the completion's value is their
                                 number */
    DEVEMU_BLOCK_ZONE_OPEN,
    DEVEMU_BLOCK_ZONE_CLOSE,
    DEVEMU_BLOCK_ZONE_FINISH,
    DEVEMU_BLOCK_ZONE_RESET,
    DEVEMU_BLOCK_ZONE_RESET_ALL,
    DEVEMU_BLOCK_ZONE_APPEND, /* write behind what zone `at` has; the completion's value is where */
    DEVEMU_BLOCK_OPS,
} DevemuBlockOp;

enum {
    DEVEMU_BLOCK_FUA = 1 << 0,   /* WRITE, WRITE_ZEROES, ZONE_APPEND: completes when this is on the
                                    medium. A device with its write cache off sets it on each. */
    DEVEMU_BLOCK_UNMAP = 1 << 1, /* WRITE_ZEROES: may give the space back */
};

/* A piece of a request's memory: filled by READ and ZONE_REPORT, read by WRITE and ZONE_APPEND. */
typedef struct DevemuBlockSlice {
    void *data;
    size_t len; /* bytes; any */
} DevemuBlockSlice;

/* The request and its array of slices live for the call of submit only; what slices point to stays
 * until the completion. */
typedef struct DevemuBlockRequest {
    uint32_t tag; /* the device's own; no two requests in flight have the same */
    DevemuBlockOp op;
    uint32_t flags;
    uint64_t at;
    uint64_t len; /* bytes of the medium; with slices, the sum of theirs; 0 for FLUSH and zones */
    const DevemuBlockSlice *slices;
    size_t count;
} DevemuBlockRequest;

/*
 * The end of a request. status is 0 or a negative errno: -EINVAL not in whole blocks, over a limit
 * of DevemuBlockInfo, or nothing that can be done with such a zone, -ERANGE outside the medium,
 * -EROFS a change to a read-only one, -EOPNOTSUPP an operation that it does not have, -ESPIPE a
 * write that is not at the zone's write pointer, -ETOOMANYREFS and -EOVERFLOW too many zones open
 * or active, -EIO and others from the medium. What a failed read left in memory, or a failed write
 * on the medium, is not known.
 */
typedef struct DevemuBlockCompletion {
    uint32_t tag;
    int32_t status;
    uint64_t value; /* ZONE_REPORT, ZONE_APPEND; else 0 */
} DevemuBlockCompletion;

typedef enum DevemuBlockZoned {
    DEVEMU_BLOCK_NOT_ZONED,
    DEVEMU_BLOCK_HOST_AWARE,
    DEVEMU_BLOCK_HOST_MANAGED,
} DevemuBlockZoned;

/* What a medium is. Bytes throughout; what is 0 is not known, or not bounded. */
typedef struct DevemuBlockInfo {
    uint64_t capacity;
    uint32_t block_size;     /* a power of 2, at least 512 */
    uint32_t physical_size;  /* as many bytes as are written without a read; at least block_size */
    uint32_t min_io, opt_io; /* preferred sizes of a request */
    uint64_t max_transfer;   /* READ and WRITE */
    uint32_t max_segments;   /* slices of a request */
    bool read_only;
    bool write_cache; /* a write may be lost until a FLUSH, or with FUA, is done. FLUSH is always
                         allowed. */
    bool rotational;
    bool discard, write_zeroes, secure_erase;
    bool zeroes_unmap; /* WRITE_ZEROES with UNMAP may give space back */
    uint32_t discard_granularity;
    uint64_t max_discard, max_zeroes, max_erase; /* of one request */

    DevemuBlockZoned zoned;
    uint64_t zone_size; /* the last zone may be smaller */
    uint32_t zone_max_open, zone_max_active;
    uint32_t zone_max_append;
    uint32_t zone_write_granularity;

    bool lifetime;                    /* the next three are known; values of JEDEC eMMC 5.1 */
    uint16_t pre_eol, life_a, life_b; /* PRE_EOL_INFO, DEVICE_LIFE_TIME_EST_TYP_A, _B */
} DevemuBlockInfo;

typedef enum DevemuBlockZoneType {
    DEVEMU_ZONE_CONVENTIONAL = 1,
    DEVEMU_ZONE_SEQUENTIAL = 2, /* write required */
    DEVEMU_ZONE_PREFERRED = 3,
} DevemuBlockZoneType;

/* As in ZBC, ZAC and virtio. */
typedef enum DevemuBlockZoneState {
    DEVEMU_ZONE_NOT_WP = 0, /* conventional */
    DEVEMU_ZONE_EMPTY = 1,
    DEVEMU_ZONE_IMPLICIT_OPEN = 2,
    DEVEMU_ZONE_EXPLICIT_OPEN = 3,
    DEVEMU_ZONE_CLOSED = 4,
    DEVEMU_ZONE_READ_ONLY = 13,
    DEVEMU_ZONE_FULL = 14,
    DEVEMU_ZONE_OFFLINE = 15,
} DevemuBlockZoneState;

typedef struct DevemuBlockZone {
    uint64_t start, capacity, write_pointer;
    uint32_t type, state; /* DevemuBlockZoneType, DevemuBlockZoneState */
} DevemuBlockZone;

typedef struct DevemuBlockOps {
    size_t size; /* sizeof(DevemuBlockOps) */
    /* What the medium is now. When that changes the backend calls devemu_device_medium(). */
    void (*info)(void *block, DevemuBlockInfo *ret_info);
    /* A request. more: another follows in the same event, so the system call can wait. Never
     * completes it from inside this call. */
    void (*submit)(void *block, const DevemuBlockRequest *request, bool more);
    /* Return when no request is in flight, that is, nobody touches its memory any more, and the
     * device has been offered every completion. May be called from inside an event of the device:
     * then completions that it refused wait until ready, or for a moment. */
    void (*drain)(void *block);
    /* The device, which had refused completions, can take them now. Do not deliver them from inside
     * this call. */
    void (*ready)(void *block);
    /* Complete what has ended: for a host that does not sleep. Returns how many. */
    unsigned (*poll)(void *block);
    /* The host polls, until this is switched off: no loop need wake for what ends. */
    void (*set_polled)(void *block, bool polled);
} DevemuBlockOps;

/*
 * Sockets between a guest and its host, as virtio's socket device has them: connections between a
 * port of either side. What happens on one is a message; it means the same in both directions, that
 * of the device, for what its guest does, and that of the backend, for what the host's programs do.
 * A connection is named by both ports and its type.
 */
typedef enum DevemuVsockOp {
    DEVEMU_VSOCK_CONNECT, /* a new connection, limit as in CREDIT; ends in ACCEPT or CLOSE */
    DEVEMU_VSOCK_ACCEPT,  /* limit as in CREDIT */
    DEVEMU_VSOCK_DATA,    /* within the limit of the other side */
    DEVEMU_VSOCK_CREDIT, /* the other side may send `limit` bytes in all since the connection began,
                            modulo 2^32 */
    DEVEMU_VSOCK_SHUTDOWN, /* flags: this side will not send, or not receive, any more */
    DEVEMU_VSOCK_CLOSE,    /* the connection is gone: refused, broken off, or done. No answer. */
    DEVEMU_VSOCK_RESET,    /* from the backend: all connections are gone */
    DEVEMU_VSOCK_OPS,
} DevemuVsockOp;

enum {
    DEVEMU_VSOCK_STREAM = 1,    /* type: bytes */
    DEVEMU_VSOCK_SEQPACKET = 2, /* type: messages */

    DEVEMU_VSOCK_NO_RECEIVE = 1 << 0, /* SHUTDOWN */
    DEVEMU_VSOCK_NO_SEND = 1 << 1,

    DEVEMU_VSOCK_EOM = 1 << 0, /* DATA, SEQPACKET: a message ends here */
    DEVEMU_VSOCK_EOR = 1 << 1, /* and a record (MSG_EOR) */

    DEVEMU_VSOCK_BUFFER = 128 << 10, /* bytes that a backend holds of each connection: its first
                                        limit, which device and backend know without being told */
    DEVEMU_VSOCK_DATA_MAX = 16384,   /* bytes of one DATA */
};

typedef struct DevemuVsockMessage {
    uint8_t op, type, flags;
    uint32_t guest_port, host_port;
    uint32_t limit;
    const void *data; /* DATA; good for the call only */
    size_t len;
} DevemuVsockMessage;

typedef struct DevemuVsockOps {
    size_t size; /* sizeof(DevemuVsockOps) */
    /* A message of the device. Cannot be refused: limits bound what can come. */
    void (*send)(void *vsock, const DevemuVsockMessage *message);
    /* The device can take messages again (devemu_device_vsock()). Do not deliver them from inside
     * this call. */
    void (*ready)(void *vsock);
    /* A snapshot was loaded: what the device believes of its connections is of another time. The
     * backend forgets them, and sends RESET before anything else. */
    void (*restored)(void *vsock);
} DevemuVsockOps;

/* A person's input. */
typedef enum DevemuInputKind {
    DEVEMU_INPUT_KEY, /* code = Linux input event code (KEY_A = 30 ...), value = 1 press, 0 release
                       */
    DEVEMU_INPUT_BUTTON, /* code = 0 left, 1 right, 2 middle; value = 1 press, 0 release */
    DEVEMU_INPUT_MOVE,   /* x, y: relative, y grows downwards; z: wheel */
    DEVEMU_INPUT_PLACE,  /* x, y: where on the screen, 0..32767 each, from the upper left corner */
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
