/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.h: what a device asks of the world.
 *
 * Everything above a model is a host: a VMM, a bus, a decorator, a test, a fuzzer. All of them fill
 * this one table. No callback may enter the calling device again (it answers DEVEMU_ACCESS_BUSY);
 * all are made on the thread that entered the device. Pointers handed to a callback die when it
 * returns.
 */
#ifndef DEVEMU_HOST_H
#define DEVEMU_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DEVEMU_API __attribute__((visibility("default")))
#else
#define DEVEMU_API
#endif

/* A moment that never comes: no deadline, timer off. All times are nanoseconds of the host's
 * virtual clock. */
#define DEVEMU_NEVER UINT64_MAX

typedef struct DevemuDevice DevemuDevice;
typedef struct DevemuModel DevemuModel;
typedef struct DevemuBank DevemuBank;
typedef struct DevemuReg DevemuReg;

/* How an access ended. Not an error: the host decides what the CPU sees (ones, zeros, a fault). */
typedef enum DevemuAccess {
    DEVEMU_ACCESS_OK = 0,
    DEVEMU_ACCESS_NONE, /* nothing answers at this place */
    DEVEMU_ACCESS_SIZE, /* something is there, but not in this width or alignment */
    DEVEMU_ACCESS_BUSY, /* the device is in the middle of an event of its own */
} DevemuAccess;

/* Why a device speaks. The text is one line without a newline; the library limits the rate. */
typedef enum DevemuLogLevel {
    DEVEMU_LOG_GUEST,  /* the guest broke a rule of the datasheet */
    DEVEMU_LOG_UNIMPL, /* the guest used what is not modelled; once per register */
    DEVEMU_LOG_DEBUG,
} DevemuLogLevel;

/*
 * A piece of bus memory that a device may touch directly: bus addresses [addr, addr + len) are at
 * data. The host keeps it valid until it calls devemu_device_revoke().
 */
typedef struct DevemuWindow {
    uint64_t addr;
    uint64_t len; /* bytes; 0: no window */
    uint8_t *data;
    bool writable;
} DevemuWindow;

typedef enum DevemuTraceKind {
    DEVEMU_TRACE_READ,     /* register or memory read: bank, reg, index, at, size, value, access */
    DEVEMU_TRACE_WRITE,    /* likewise */
    DEVEMU_TRACE_OUTPUT,   /* an output line changed: at = line, value = level, name */
    DEVEMU_TRACE_INPUT,    /* an input line changed: at = line, value = level, name */
    DEVEMU_TRACE_DMA_READ, /* at = bus address, data, len, value = 1 if it succeeded */
    DEVEMU_TRACE_DMA_WRITE,
    DEVEMU_TRACE_MSI,      /* at = address, value = data */
    DEVEMU_TRACE_TIMER,    /* a timer expired: name, value = the moment it was due */
    DEVEMU_TRACE_RECEIVE,  /* a frame or bytes came in: data, len; value = bytes taken */
    DEVEMU_TRACE_SEND,     /* a frame or bytes went out: data, len */
    DEVEMU_TRACE_RESET,    /* value = DevemuReset */
    DEVEMU_TRACE_LOG,      /* name = text, value = DevemuLogLevel */
    DEVEMU_TRACE_SUBMIT,   /* a block request: index = tag, name = operation, at, value = bytes */
    DEVEMU_TRACE_COMPLETE, /* one has ended: index = tag, value = status as int64_t */
} DevemuTraceKind;

/* One event of a device. Fields that the kind does not name are zero. Lives for the call only. */
typedef struct DevemuTrace {
    DevemuTraceKind kind;
    DevemuAccess access;
    const DevemuDevice *device;
    const DevemuBank *bank;
    const DevemuReg *reg; /* NULL where there is no register, or a bank has none (memory) */
    unsigned index;       /* element of a register array */
    unsigned size;        /* bytes of an access */
    uint64_t at;
    uint64_t value;
    const void *data;
    size_t len; /* bytes of data */
    const char *name;
} DevemuTrace;

/*
 * The table of services. size is sizeof(DevemuHostOps) as the caller compiled it; the library
 * copies MIN(size, its own) into a zeroed table, so the table grows at the end and an absent tail
 * is NULL. Any callback may be NULL: then reads by DMA fail, time stands at 0, and what is sent is
 * lost.
 */
typedef struct DevemuHostOps {
    size_t size;

    /* Copy len bytes from or to the bus. False if any byte could not be reached; the rest is still
     * moved where the host can. Bus addresses are 64 bits; a range that wraps fails. */
    bool (*dma_read)(void *host, uint64_t addr, void *buf, size_t len);
    bool (*dma_write)(void *host, uint64_t addr, const void *buf, size_t len);

    /* The largest window that holds addr, for direct access; false where there is none (device
     * memory, a decorator that must see every byte). See devemu_device_revoke(). */
    bool (*dma_map)(void *host, uint64_t addr, DevemuWindow *ret_window);

    /* An output line changed. Called once per change, at the end of the event that changed it. */
    void (*set_line)(void *host, unsigned line, bool level);

    /* A message signalled interrupt. From a PCI function: a write of data (32 bits, little-endian)
     * to addr. From a bare model, or after devemu_pci_function_messages(): addr is the number of
     * its vector, data 0. */
    void (*msi)(void *host, uint64_t addr, uint32_t data);

    /* The host's virtual clock, in nanoseconds; never goes backwards. */
    uint64_t (*now)(void *host);

    /* The device wants devemu_device_run() at this moment, or DEVEMU_NEVER. A moment already past
     * means: as soon as possible. Called on change only. */
    void (*deadline)(void *host, uint64_t when_ns);

    void (*log)(void *host, DevemuLogLevel level, const char *text);

    /* Every event, if not NULL. Costs one branch when it is NULL. */
    void (*trace)(void *host, const DevemuTrace *trace);

    /* Is memory reached by messages, so that a register access should move no DMA? The answer may
     * change with time. NULL: no. See devemu_dma_deferred(). */
    bool (*dma_deferred)(void *host);

    /* The guest needs what stands in these bytes no more: a host may give the memory back to its
     * system, so that they read as zeroes when they are touched again, or do nothing. */
    void (*discard)(void *host, uint64_t addr, uint64_t len);
} DevemuHostOps;

#ifdef __cplusplus
}
#endif

#endif
