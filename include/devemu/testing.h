/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * testing.h: a fake host for tests of models and drivers; library devemu-testing. It has RAM for
 * DMA, a virtual clock that moves only when told to, a log of lines, MSIs and frames, and modes
 * that run any scenario in another way.
 */
#ifndef DEVEMU_TESTING_H
#define DEVEMU_TESTING_H

#include <devemu/backends.h>
#include <devemu/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DevemuFake DevemuFake;

/*
 * How scenarios run; from the environment variable DEVEMU_FAKE_MODE unless set by hand. Migrate:
 * before every access the device is saved, freed, made anew and loaded. Bus: a PCI model sits
 * behind a PCI bus, and accesses go through its BARs. Record: the device runs under a recorder, and
 * its log is replayed when the fake is freed.
 */
typedef enum DevemuFakeMode {
    DEVEMU_FAKE_PLAIN,   /* "" */
    DEVEMU_FAKE_MIGRATE, /* "migrate" */
    DEVEMU_FAKE_BUS,     /* "bus" */
    DEVEMU_FAKE_RECORD,  /* "record" */
} DevemuFakeMode;

/* A host with ram_bytes of RAM from address 0 around a new device. A bad option ends the test with
 * its message. */
DEVEMU_API DevemuFake *devemu_fake_new(const DevemuModel *model, const char *options,
                                       size_t ram_bytes);
/* The same for one mode, whatever the environment says. */
DEVEMU_API DevemuFake *devemu_fake_new_mode(const DevemuModel *model, const char *options,
                                            size_t ram_bytes, DevemuFakeMode mode);
/* As devemu_fake_new(), with blobs and other settings as data. */
DEVEMU_API DevemuFake *devemu_fake_new_with(const DevemuModel *model, const DevemuSetting *settings,
                                            size_t count, size_t ram_bytes);
DEVEMU_API void devemu_fake_free(DevemuFake *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuFake, devemu_fake_free)

/* The device as it is now: in migrate mode another one after every access. */
DEVEMU_API DevemuDevice *devemu_fake_device(DevemuFake *fake);
DEVEMU_API uint8_t *devemu_fake_ram(DevemuFake *fake);

/* Accesses; what is not answered reads as ones. */
DEVEMU_API uint64_t devemu_fake_read(DevemuFake *fake, unsigned bank, uint64_t at, unsigned size);
DEVEMU_API void devemu_fake_write(DevemuFake *fake, unsigned bank, uint64_t at, unsigned size,
                                  uint64_t value);
/* How the last access ended. */
DEVEMU_API DevemuAccess devemu_fake_access(const DevemuFake *fake);

/* Scripted accesses, for tables in tests. expect is compared under mask; a difference fails the
 * Criterion-neutral way: the function returns the index of the first bad step, or -1, and prints it
 * to stderr. */
typedef enum DevemuStepKind {
    DEVEMU_STEP_READ,
    DEVEMU_STEP_WRITE,
    DEVEMU_STEP_TIME, /* value nanoseconds pass */
    DEVEMU_STEP_LINE, /* expect output line `at` at level value */
} DevemuStepKind;

typedef struct DevemuStep {
    DevemuStepKind kind;
    unsigned bank, size;
    uint64_t at, value, mask; /* mask 0: all bits */
} DevemuStep;

/* Do the steps in order up to the first bad one. */
DEVEMU_API int devemu_fake_script(DevemuFake *fake, const DevemuStep *steps, size_t count);

/* Let ns nanoseconds pass: the device runs at each deadline on the way. */
DEVEMU_API void devemu_fake_advance(DevemuFake *fake, uint64_t ns);
/* ns nanoseconds pass at once, as on a busy host: the device runs behind its deadlines, or not at
 * all (idle). */
DEVEMU_API void devemu_fake_jump(DevemuFake *fake, uint64_t ns);
DEVEMU_API void devemu_fake_idle(DevemuFake *fake, uint64_t ns);
DEVEMU_API uint64_t devemu_fake_now(const DevemuFake *fake);
/* Run until the device has no deadline, or limit nanoseconds passed. False if the limit came first.
 */
DEVEMU_API bool devemu_fake_settle(DevemuFake *fake, uint64_t limit_ns);

/* Lines: level now, and rises since the last call of devemu_fake_rises(). */
DEVEMU_API bool devemu_fake_line(const DevemuFake *fake, unsigned line);
DEVEMU_API unsigned devemu_fake_rises(DevemuFake *fake, unsigned line);
DEVEMU_API void devemu_fake_set_input(DevemuFake *fake, unsigned line, bool level);

/* Frames or characters in; as devemu_device_receive(). */
DEVEMU_API size_t devemu_fake_receive(DevemuFake *fake, const void *data, size_t len);
/* Characters for one of several lines, and all that came from it (port 0: devemu_fake_output()). */
DEVEMU_API size_t devemu_fake_receive_port(DevemuFake *fake, unsigned port, const void *data,
                                           size_t len);
DEVEMU_API const char *devemu_fake_port_output(const DevemuFake *fake, unsigned port);
/* What DevemuCharOps.writable() answers for a port; true at first. The device does not hear of it:
 * see devemu_device_writable(). */
DEVEMU_API void devemu_fake_set_writable(DevemuFake *fake, unsigned port, bool writable);
/* The same as devemu_device_receive_packet(). */
DEVEMU_API size_t devemu_fake_receive_packet(DevemuFake *fake, const DevemuNetOffload *offload,
                                             const void *data, size_t len, bool more);
/* The DEVEMU_OFFLOAD_* that this backend takes of frames; none at first. What was said of the i-th
 * frame, NULL past the last. */
DEVEMU_API void devemu_fake_set_offloads(DevemuFake *fake, uint32_t offloads);
DEVEMU_API const DevemuNetOffload *devemu_fake_sent_offload(const DevemuFake *fake, unsigned i);
/* What the device sent: number of sends, one of them (owned by the fake), and all characters so
 * far, terminated. */
DEVEMU_API unsigned devemu_fake_sent_count(const DevemuFake *fake);
DEVEMU_API const uint8_t *devemu_fake_sent(const DevemuFake *fake, unsigned i, size_t *ret_len);
DEVEMU_API const char *devemu_fake_output(const DevemuFake *fake);
DEVEMU_API void devemu_fake_clear_sent(DevemuFake *fake);
/* Times that the backend was told "ready". */
DEVEMU_API unsigned devemu_fake_readies(const DevemuFake *fake);

/* The medium of the device, in every mode. Borrowed; it takes the fake's clock, and requests end as
 * that goes on, in devemu_fake_advance() and its like. */
DEVEMU_API void devemu_fake_set_block(DevemuFake *fake, DevemuBlock *block);

/* Ranges that the device said its guest needs no more (DevemuHostOps.discard), and the last one. */
DEVEMU_API unsigned devemu_fake_discards(const DevemuFake *fake, uint64_t *ret_addr,
                                         uint64_t *ret_len);

/* MSIs so far, the last one's address and data. */
DEVEMU_API unsigned devemu_fake_msis(const DevemuFake *fake, uint64_t *ret_addr,
                                     uint32_t *ret_data);

/* Guest mistakes logged so far, and the last text ("" if none). */
DEVEMU_API unsigned devemu_fake_guest_errors(const DevemuFake *fake);
DEVEMU_API const char *devemu_fake_last_log(const DevemuFake *fake);

/* DMA faults: accesses that touch [addr, addr + len) fail; len 0 ends it. */
DEVEMU_API void devemu_fake_fail_dma(DevemuFake *fake, uint64_t addr, uint64_t len);
/* DMA that touches [addr, addr + len) goes to the device's own bank from byte 0: the re-entry case.
 * len 0 ends it. */
DEVEMU_API void devemu_fake_own_dma(DevemuFake *fake, uint64_t addr, uint64_t len, unsigned bank);
/* Without dma_map (on by default), so that every byte goes through dma_read and dma_write. Set
 * before any access. */
DEVEMU_API void devemu_fake_set_map(DevemuFake *fake, bool on);
/* What DevemuHostOps.dma_deferred answers; false at first. DMA is answered all the same. */
DEVEMU_API void devemu_fake_set_deferred(DevemuFake *fake, bool on);
/* Bytes moved by DMA through the callbacks. */
DEVEMU_API uint64_t devemu_fake_dma_bytes(const DevemuFake *fake);

/* All the checks that follow from a model's tables: reset values, access rules, coverage of the
 * state, snapshots, refusal of broken ones. Prints each failed check to stderr and returns their
 * number. */
DEVEMU_API unsigned devemu_conformance(const DevemuModel *model, const char *options);

#ifdef __cplusplus
}
#endif

#endif
