/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h: virtqueues as a device sees them, virtio devices as a transport sees them, and the
 * transports (OASIS Virtual I/O Device, 1.4).
 *
 * A queue needs somebody's DMA and somebody to notify, and nothing else: no device, no transport.
 * It can be handed to another thread whole; all calls for one queue come from one thread at a time.
 * Nothing is allocated after creation, and payload is not copied where there are windows.
 *
 * Whatever the driver writes, a call does a bounded amount of work, each descriptor is read once
 * and decoded from the copy, and a queue that breaks the rules is broken from then on: pop() gives
 * nothing more, and the owner sets DEVICE_NEEDS_RESET.
 */
#ifndef DEVEMU_VIRTIO_H
#define DEVEMU_VIRTIO_H

#include <devemu/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Feature bits that concern queues, by number. */
enum {
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_ACCESS_PLATFORM = 33,
    VIRTIO_F_RING_PACKED = 34,
    VIRTIO_F_IN_ORDER = 35,
    VIRTIO_F_ORDER_PLATFORM = 36,
    VIRTIO_F_NOTIFICATION_DATA = 38,
    VIRTIO_F_RING_RESET = 40,
};

#define DEVEMU_VIRTQUEUE_MAX 32768u /* greatest Queue Size */

typedef struct DevemuVirtqueue DevemuVirtqueue;

/* What a queue asks of its owner; size and NULL as in DevemuHostOps. */
typedef struct DevemuVirtqueueOps {
    size_t size;
    bool (*dma_read)(void *host, uint64_t addr, void *buf, size_t len);
    bool (*dma_write)(void *host, uint64_t addr, const void *buf, size_t len);
    /* A window stays valid until devemu_virtqueue_revoke(). */
    bool (*dma_map)(void *host, uint64_t addr, DevemuWindow *ret_window);
    /* A used buffer notification: the driver wants to hear. */
    void (*notify)(void *host);
} DevemuVirtqueueOps;

/* What the driver set up. */
typedef struct DevemuVirtqueueSetup {
    uint64_t features; /* as negotiated */
    unsigned size;     /* Queue Size: a power of two in a split queue */
    uint64_t desc;     /* Descriptor Area */
    uint64_t driver;   /* Driver Area: available ring, or driver event suppression */
    uint64_t device;   /* Device Area: used ring, or device event suppression */
    bool resume;       /* go on at position, from devemu_virtqueue_position() */
    uint32_t position;
    bool rewind; /* and give again the buffers that were in flight there */
} DevemuVirtqueueSetup;

/* A piece of a buffer. */
typedef struct DevemuVirtqueueSegment {
    uint64_t addr;
    uint8_t *data; /* a window to it, or NULL: then use devemu_virtqueue_read() and _write() */
    uint32_t len;
} DevemuVirtqueueSegment;

/* A buffer: device-readable segments, then device-writable ones. The segments belong to the queue
 * and last until its next pop(); a device that keeps the buffer longer copies them. */
typedef struct DevemuVirtqueueChain {
    DevemuVirtqueueSegment *segments;
    uint32_t readable, writable; /* segments */
    uint64_t readable_len, writable_len;
    uint16_t id;    /* of the buffer */
    uint16_t descs; /* places it holds in a packed ring */
} DevemuVirtqueueChain;

/* max_size is the greatest Queue Size (1..32768), and the most segments of a buffer. NULL if it is
 * out of range. */
DEVEMU_API DevemuVirtqueue *devemu_virtqueue_new(unsigned max_size);
DEVEMU_API void devemu_virtqueue_free(DevemuVirtqueue *queue);
DEVEMU_API void devemu_virtqueue_set_host(DevemuVirtqueue *queue, const DevemuVirtqueueOps *ops,
                                          void *host);

/* Start with what the driver set up. False, and the queue stays off, if the size is 0, above the
 * maximum or no power of two where it must be, an area is misaligned or wraps, or the position is
 * none. Reads nothing of memory. */
DEVEMU_API bool devemu_virtqueue_enable(DevemuVirtqueue *queue, const DevemuVirtqueueSetup *setup);
/* Stop, and forget all buffers: a device or queue reset (VIRTIO_F_RING_RESET). No access to memory
 * happens after it. */
DEVEMU_API void devemu_virtqueue_disable(DevemuVirtqueue *queue);
DEVEMU_API bool devemu_virtqueue_enabled(const DevemuVirtqueue *queue);
/* Why the queue is broken, as a constant sentence, or NULL if it is not. */
DEVEMU_API const char *devemu_virtqueue_broken(const DevemuVirtqueue *queue);
/* All windows became invalid. */
DEVEMU_API void devemu_virtqueue_revoke(DevemuVirtqueue *queue);

/* Up to count available buffers, in order. Returns how many; 0: none now, or broken. Fewer than
 * count does not say that there are no more. */
DEVEMU_API unsigned devemu_virtqueue_pop(DevemuVirtqueue *queue, DevemuVirtqueueChain *chains,
                                         unsigned count);
/* Give back the last `count` buffers that were popped, in the order of pop(): they are available as
 * before. listen() before it asks for buffers behind them. */
DEVEMU_API void devemu_virtqueue_unpop(DevemuVirtqueue *queue, const DevemuVirtqueueChain *chains,
                                       unsigned count);
/* The buffer is used; written is how many bytes, from the first device-writable one, were written.
 * The driver may see it from flush() on, or earlier. In order of pop() where VIRTIO_F_IN_ORDER is
 * negotiated. */
DEVEMU_API void devemu_virtqueue_push(DevemuVirtqueue *queue, const DevemuVirtqueueChain *chain,
                                      uint32_t written);
/* push() for each, in this order, but the driver sees all of them or none. written may be NULL
 * where nothing was written to any. */
DEVEMU_API void devemu_virtqueue_push_together(DevemuVirtqueue *queue,
                                               const DevemuVirtqueueChain *chains,
                                               const uint32_t *written, unsigned count);
/* Show the driver what was pushed, and notify it if it wants to be: true if it was. */
DEVEMU_API bool devemu_virtqueue_flush(DevemuVirtqueue *queue);
/* Show it, and leave it to a later flush() to notify, of this as well. */
DEVEMU_API void devemu_virtqueue_show(DevemuVirtqueue *queue);
/* Before a snapshot, or in another queue, something was shown that no flush() followed: the next
 * one decides of that as well, if need be once too often. */
DEVEMU_API void devemu_virtqueue_owe(DevemuVirtqueue *queue);

/* Ask for available buffer notifications, or say that they are not needed (the driver may send them
 * all the same). listen() returns true if there is a buffer already: pop() again, as no
 * notification may come for it. */
DEVEMU_API bool devemu_virtqueue_listen(DevemuVirtqueue *queue);
DEVEMU_API void devemu_virtqueue_ignore(DevemuVirtqueue *queue);
/* Is there an available buffer? For an owner that polls: it asks for no notifications, and while
 * `polled` is on, listen() does not either. When it is switched off, listen(). */
DEVEMU_API bool devemu_virtqueue_waiting(DevemuVirtqueue *queue);
DEVEMU_API void devemu_virtqueue_set_polled(DevemuVirtqueue *queue, bool polled);

/* Copy from the device-readable part of a buffer, or to the device-writable one, from byte `at` of
 * that part. Returns the bytes moved: fewer than len where the part ends or memory does not answer.
 */
DEVEMU_API size_t devemu_virtqueue_read(DevemuVirtqueue *queue, const DevemuVirtqueueChain *chain,
                                        uint64_t at, void *buf, size_t len);
DEVEMU_API size_t devemu_virtqueue_write(DevemuVirtqueue *queue, const DevemuVirtqueueChain *chain,
                                         uint64_t at, const void *buf, size_t len);

/* Where the queue stands, for a snapshot, all that was pushed being flushed: the next available in
 * bits 0..15, the next used in 16..31, as indexes (split) or as offset and wrap counter (packed;
 * bits 15 and 31). What lies between is in flight, and is when a queue goes on there: the device
 * pushes those buffers by their ids, or has them popped again by `rewind`, which begins with the
 * next used and is for buffers that are used in order of pop(). */
DEVEMU_API uint32_t devemu_virtqueue_position(const DevemuVirtqueue *queue);
/* Buffers (packed: places) that were popped and not pushed. */
DEVEMU_API unsigned devemu_virtqueue_in_flight(const DevemuVirtqueue *queue);
/* Buffer id, which is in flight since a position, once more from the descriptor table. Its segments
 * last as those of pop(). False if nothing is in flight, if the queue is packed, where a used
 * descriptor may stand in its place (keep the segments, and devemu_virtqueue_remap()), or if the
 * chain breaks the queue. */
DEVEMU_API bool devemu_virtqueue_retake(DevemuVirtqueue *queue, unsigned id,
                                        DevemuVirtqueueChain *ret_chain);
/* Find the segments' windows again, by address and length: for a buffer that is kept over a
 * revoke() or in a snapshot. */
DEVEMU_API void devemu_virtqueue_remap(DevemuVirtqueue *queue, const DevemuVirtqueueChain *chain);

/*
 * Keep what is in flight in memory that outlives the process, in the layout of vhost-user's
 * "Inflight I/O tracking": devemu_virtqueue_inflight_bytes() of it, zero at first, the queue's
 * until it is disabled. After enable(), whose position gives the next used as memory has it (split;
 * in a packed queue this memory knows it); if it knows of buffers in flight, pop() gives them
 * again, in their order, before all others.
 */
DEVEMU_API size_t devemu_virtqueue_inflight_bytes(unsigned size, bool packed);
DEVEMU_API void devemu_virtqueue_set_inflight(DevemuVirtqueue *queue, void *memory);

/*
 * Memory that may be away, behind an IOMMU whose pages must be asked for: `present` says if all of
 * a piece can be reached now, and asks for what cannot. pop() leaves a buffer of which a piece is
 * away, and those behind it, where they are, and the queue is starved: as if nothing were
 * available, until pop() is called again. Its owner sees that it is when memory has come. After
 * enable(), until the queue is disabled; the queue's own areas are always there.
 */
typedef bool DevemuVirtqueuePresent(void *opaque, uint64_t addr, uint64_t len, bool write);
DEVEMU_API void devemu_virtqueue_set_present(DevemuVirtqueue *queue,
                                             DevemuVirtqueuePresent *present, void *opaque);
DEVEMU_API bool devemu_virtqueue_starved(const DevemuVirtqueue *queue);

/* --- devices, as a transport sees them --------------------------------------------- */

/*
 * A device of a model with `virtio` is driven through two banks of registers, whatever the
 * transport, and says that it used a buffer by DevemuHostOps.msi with the number of the queue, that
 * its configuration changed with DEVEMU_VIRTIO_CONFIG_CHANGE. It knows no addresses but those of
 * DMA.
 */
enum {
    DEVEMU_VIRTIO_COMMON, /* bank: the registers below */
    DEVEMU_VIRTIO_NOTIFY, /* bank: a write to byte 4 * n notifies queue n, whatever the value */
    DEVEMU_VIRTIO_CONFIG, /* bank: the device's configuration space */
    DEVEMU_VIRTIO_BANKS,  /* the first one that is the model's own business */
};

#define DEVEMU_VIRTIO_QUEUES        64u
#define DEVEMU_VIRTIO_CONFIG_CHANGE 0xffffu

/* Registers of the bank COMMON: the common configuration of 4.1.4.3 without the interrupt vectors
 * (0x10, 0x1a), which are the transport's, then some of ours. Little-endian numbers. */
enum {
    DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT = 0x00, /* 4 bytes */
    DEVEMU_VIRTIO_DEVICE_FEATURE = 0x04,
    DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT = 0x08,
    DEVEMU_VIRTIO_DRIVER_FEATURE = 0x0c,
    DEVEMU_VIRTIO_NUM_QUEUES = 0x12,        /* 2 */
    DEVEMU_VIRTIO_DEVICE_STATUS = 0x14,     /* 1; 0 resets */
    DEVEMU_VIRTIO_CONFIG_GENERATION = 0x15, /* 1 */
    DEVEMU_VIRTIO_QUEUE_SELECT = 0x16,      /* 2 */
    DEVEMU_VIRTIO_QUEUE_SIZE = 0x18,        /* 2 */
    DEVEMU_VIRTIO_QUEUE_ENABLE = 0x1c,      /* 2; 0 stops the queue, where the transport lets it */
    DEVEMU_VIRTIO_QUEUE_NOTIFY_OFF = 0x1e,  /* 2 */
    DEVEMU_VIRTIO_QUEUE_DESC = 0x20,        /* 8 */
    DEVEMU_VIRTIO_QUEUE_DRIVER = 0x28,
    DEVEMU_VIRTIO_QUEUE_DEVICE = 0x30,
    DEVEMU_VIRTIO_QUEUE_NOTIF_CONFIG_DATA = 0x38, /* 2 */
    DEVEMU_VIRTIO_QUEUE_RESET = 0x3a,             /* 2 */
    /* Where the selected queue stands, as devemu_virtqueue_position(). Written while the queue is
     * off: where it goes on when it is enabled. */
    DEVEMU_VIRTIO_QUEUE_POSITION = 0x40, /* 4 */
    /* Its buffers in the device's hands, as devemu_virtqueue_in_flight(). */
    DEVEMU_VIRTIO_QUEUE_IN_FLIGHT = 0x44, /* 2 */
    DEVEMU_VIRTIO_QUEUE_MAX = 0x46,       /* 2; greatest Queue Size */
    DEVEMU_VIRTIO_COMMON_BYTES = 0x48,
};

/* 2.1, Device Status Field. */
enum {
    DEVEMU_VIRTIO_ACKNOWLEDGE = 1,
    DEVEMU_VIRTIO_DRIVER = 2,
    DEVEMU_VIRTIO_DRIVER_OK = 4,
    DEVEMU_VIRTIO_FEATURES_OK = 8,
    DEVEMU_VIRTIO_NEEDS_RESET = 64,
    DEVEMU_VIRTIO_FAILED = 128,
};

/*
 * virtio over PCI (4.1): a model for a PCI function around a virtio device, which it takes over on
 * success. devemu_pci_function_new() and devemu_pci_plug() do it by themselves for a virtio device.
 * Options: "legacy=on|off" (transitional, where there is such a device; default on),
 * "modern=on|off" (on; off is a legacy device), "vectors=N" (MSI-X; default one for each queue and
 * one for the configuration; 0: none), "rom=FILE" (the expansion ROM).
 */
DEVEMU_API DevemuDevice *devemu_virtio_pci_new(DevemuDevice *dev, const char *options,
                                               GError **error);

/*
 * virtio over MMIO (4.2): a device around a virtio device, which it takes over on success. Bank 0
 * is its 512 bytes of registers, to be placed by devemu_system_map(), output line 0 its interrupt.
 * Options: "version=1|2" (2; 1 is the legacy interface, for devices that have one).
 * devemu_bus_unplug(dev) takes the virtio device out of it, and frees what is around it.
 */
DEVEMU_API DevemuDevice *devemu_virtio_mmio_new(DevemuDevice *dev, const char *options,
                                                GError **error);

#ifdef __cplusplus
}
#endif

#endif
