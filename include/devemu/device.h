/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h: what the world does to a device.
 *
 * Threads: a tree of devices (a bus and all that is plugged in) is one monitor: calls into it come
 * from one thread at a time, and the library takes no lock. Different trees are independent. Every
 * entry runs one event to its end, then tells the host once which lines and which deadline changed.
 * A device entered again from inside its own event (by a DMA that hits its registers) answers
 * DEVEMU_ACCESS_BUSY.
 */
#ifndef DEVEMU_DEVICE_H
#define DEVEMU_DEVICE_H

#include <devemu/backend.h>
#include <devemu/host.h>
#include <devemu/model.h>

#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Errors of the person who configures or loads; messages name the thing and say what to do. */
#define DEVEMU_ERROR (devemu_error_quark())
DEVEMU_API GQuark devemu_error_quark(void);

typedef enum DevemuError {
    DEVEMU_ERROR_OPTION,   /* unknown property, wrong type, value out of range */
    DEVEMU_ERROR_FILE,     /* a file could not be read or has the wrong size */
    DEVEMU_ERROR_MODEL,    /* no such model */
    DEVEMU_ERROR_BUS,      /* place taken, does not fit */
    DEVEMU_ERROR_SNAPSHOT, /* refused; the device is as it was */
    DEVEMU_ERROR_LOG,      /* a record log that cannot be used */
    DEVEMU_ERROR_BACKEND,  /* network, character or block backend */
} DevemuError;

/* One setting by name. text, or for a BLOB property also data and len (copied). */
typedef struct DevemuSetting {
    const char *name;
    const char *text;
    const void *data;
    size_t len;
} DevemuSetting;

/*
 * Make a device, powered on. options is "name=value,name=value" (a comma in a value is written
 * ",,") or NULL. Makes no host call. NULL and error on an unknown or bad setting. Free with
 * devemu_device_free(), unless a bus owns it.
 */
DEVEMU_API DevemuDevice *devemu_device_new(const DevemuModel *model, const char *options,
                                           GError **error);
DEVEMU_API DevemuDevice *devemu_device_new_with(const DevemuModel *model,
                                                const DevemuSetting *settings, size_t count,
                                                GError **error);
/* NULL is allowed. Frees the tree below it, too, and unplugs it first where it is plugged in. Not
 * from inside its own events. */
DEVEMU_API void devemu_device_free(DevemuDevice *dev);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuDevice, devemu_device_free)

/*
 * Give the device its host; ops is copied, host is borrowed and must outlive the device or the next
 * call. Lines that are high and a deadline that stands are told at once. A bus does this for what
 * is plugged in. NULL ops: no host.
 */
DEVEMU_API void devemu_device_set_host(DevemuDevice *dev, const DevemuHostOps *ops, void *host);

/* What the device was made from. */
DEVEMU_API const DevemuModel *devemu_device_model(const DevemuDevice *dev);
/* The name within its bus ("am79c970a", "am79c970a.1"); the model's name until plugged. Owned by
 * the device. */
DEVEMU_API const char *devemu_device_name(const DevemuDevice *dev);
DEVEMU_API void devemu_device_set_name(DevemuDevice *dev, const char *name);
/* The model's state; for the model, its bus and tests. */
DEVEMU_API void *devemu_device_state(DevemuDevice *dev);
/* The device that this one is plugged into, or NULL. */
DEVEMU_API DevemuDevice *devemu_device_parent(const DevemuDevice *dev);
/* The i-th device plugged in, NULL past the last. */
DEVEMU_API DevemuDevice *devemu_device_child(const DevemuDevice *dev, unsigned i);
/* A bank's number by its name; -1 if there is none. */
DEVEMU_API int devemu_device_bank(const DevemuDevice *dev, const char *name);
/* Is it inside an event? Then every entry is refused. */
DEVEMU_API bool devemu_device_busy(const DevemuDevice *dev);

/*
 * An access of size bytes (1, 2, 4, 8) at byte `at` of a bank. *ret_value is written on
 * DEVEMU_ACCESS_OK only; what the CPU sees otherwise is the caller's choice. Values are numbers;
 * the bus is little-endian.
 */
DEVEMU_API DevemuAccess devemu_device_read(DevemuDevice *dev, unsigned bank, uint64_t at,
                                           unsigned size, uint64_t *ret_value);
DEVEMU_API DevemuAccess devemu_device_write(DevemuDevice *dev, unsigned bank, uint64_t at,
                                            unsigned size, uint64_t value);
/* A read without side effects, for debuggers and monitors; of registers only. */
DEVEMU_API DevemuAccess devemu_device_peek(const DevemuDevice *dev, unsigned bank, uint64_t at,
                                           unsigned size, uint64_t *ret_value);

/* HARD is the reset wire of its bus; a bus passes it on to all below that are not busy. Nothing
 * happens while the device is busy, so a reset that a line asks for is done behind the event that
 * moved the line. */
DEVEMU_API void devemu_device_reset(DevemuDevice *dev, DevemuReset kind);
/* An input line has this level; no change is no event. A line that changes while the device is busy
 * is seen when its event ends. */
DEVEMU_API void devemu_device_line(DevemuDevice *dev, unsigned line, bool level);
/* Levels of the output lines as last told to the host. */
DEVEMU_API uint64_t devemu_device_lines(const DevemuDevice *dev);
/* Levels of the input lines as last told to the model. */
DEVEMU_API uint64_t devemu_device_inputs(const DevemuDevice *dev);
/* Time has come to the deadline, or to any moment: the host's clock says which. The work of one
 * call is bounded: if the deadline has still come when it returns, call again. */
DEVEMU_API void devemu_device_run(DevemuDevice *dev);
/* The earliest moment at which devemu_device_run() has something to do. */
DEVEMU_API uint64_t devemu_device_deadline(const DevemuDevice *dev);
/* Windows that dma_map gave are no longer good: memory moved, bus mastering was switched. Goes down
 * the tree. Block requests may be at work in windows: it waits for them, as devemu_device_drain().
 */
DEVEMU_API void devemu_device_revoke(DevemuDevice *dev);

/*
 * Wait until no block request of the device or below it is in flight, with their completions
 * delivered: before a snapshot, and whenever memory that they use goes away (devemu_device_revoke()
 * and what frees or unplugs devices do it by themselves). Outside events of the tree; from inside
 * one, requests end all the same, but completions may be delivered after it.
 */
DEVEMU_API void devemu_device_drain(DevemuDevice *dev);

/*
 * For a host that polls and does not sleep: while `polled` is on, virtqueues ask for no
 * notifications and a block backend wakes no loop, and devemu_device_poll() completes the block
 * requests that have ended and delivers the frames that have come; it returns how many. When
 * polling is switched off, notify each virtqueue once. Of this device alone, outside its events.
 */
DEVEMU_API void devemu_device_set_polled(DevemuDevice *dev, bool polled);
DEVEMU_API unsigned devemu_device_poll(DevemuDevice *dev);

/*
 * Connect output line `output` of one device to input line `input` of another in the same tree.
 * Several outputs on one input are ORed, with devemu_device_line() as one more source. The host
 * hears of the line as well.
 */
DEVEMU_API bool devemu_device_wire(DevemuDevice *from, unsigned output, DevemuDevice *to,
                                   unsigned input, GError **error);

/* Backends: ops is copied, the backend is borrowed. NULL ops detaches. */
DEVEMU_API void devemu_device_attach_net(DevemuDevice *dev, const DevemuNetOps *ops, void *net);
/* How many queues of frames (virtio-net: pairs of queues) can have a backend of their own; and a
 * backend for one of them. The first is that of devemu_device_attach_net(), and stands in for those
 * that have none. False: there is no such queue. */
DEVEMU_API unsigned devemu_device_net_queues(const DevemuDevice *dev);
DEVEMU_API bool devemu_device_attach_net_queue(DevemuDevice *dev, unsigned queue,
                                               const DevemuNetOps *ops, void *net);
DEVEMU_API void devemu_device_attach_char(DevemuDevice *dev, const DevemuCharOps *ops, void *chr);
/* Character lines of the device: more than one where each has a port of its own (virtio-console).
 */
DEVEMU_API unsigned devemu_device_ports(const DevemuDevice *dev);
/* Port 0 is that of devemu_device_attach_char(). False: there is no such port. */
DEVEMU_API bool devemu_device_attach_port(DevemuDevice *dev, unsigned port,
                                          const DevemuCharOps *ops, void *chr);
/* Requests in flight are waited for, and the model hears what the medium is. Not from inside an
 * event of the device. */
DEVEMU_API void devemu_device_attach_block(DevemuDevice *dev, const DevemuBlockOps *ops,
                                           void *block);
DEVEMU_API void devemu_device_attach_vsock(DevemuDevice *dev, const DevemuVsockOps *ops,
                                           void *vsock);
/* A message for the device. False if it cannot take any now: offer it again after the backend's
 * ready(). Of DATA it may take a part: *ret_taken bytes. */
DEVEMU_API bool devemu_device_vsock(DevemuDevice *dev, const DevemuVsockMessage *message,
                                    size_t *ret_taken);

/* A frame or characters for the device. Returns the bytes taken; less than len (0 for a frame):
 * offer the rest again after the backend's ready(). 0 while the device is busy. */
DEVEMU_API size_t devemu_device_receive(DevemuDevice *dev, const void *data, size_t len);
/* Characters for a port. */
DEVEMU_API size_t devemu_device_receive_port(DevemuDevice *dev, unsigned port, const void *data,
                                             size_t len);
/* The backend of a port, of which DevemuCharOps.writable() was false, has room again. False while
 * the device is busy: call again. */
DEVEMU_API bool devemu_device_writable(DevemuDevice *dev, unsigned port);
/* A frame that may not be plain; offload NULL: it is. What the device's driver does not take
 * (devemu_device_offloads()) is done in software. That may make several frames of one: 0 is
 * returned if the first of them is refused; a later one that is refused is lost, so who must lose
 * none asks before. more: another one follows at once. */
DEVEMU_API size_t devemu_device_receive_packet(DevemuDevice *dev, const DevemuNetOffload *offload,
                                               const void *data, size_t len, bool more);
/* The same by the backend of one of its queues; for those that have several. */
DEVEMU_API size_t devemu_device_receive_queue(DevemuDevice *dev, unsigned queue,
                                              const DevemuNetOffload *offload, const void *data,
                                              size_t len, bool more);
/* Does the device's driver use that queue now? */
DEVEMU_API bool devemu_device_uses_queue(const DevemuDevice *dev, unsigned queue);
/* The DEVEMU_OFFLOAD_* that the device's driver takes now. */
DEVEMU_API uint32_t devemu_device_offloads(const DevemuDevice *dev);
/* Would a frame be stored now (then not 0)? How many characters would be taken? 0 arms the
 * backend's ready() as a refused devemu_device_receive() does. */
DEVEMU_API size_t devemu_device_ready(DevemuDevice *dev);
/* Requests have ended: all of them are told in one event. False, and none is, while the device is
 * busy or stopped: offer them again after the backend's ready(), or after a while. */
DEVEMU_API bool devemu_device_complete(DevemuDevice *dev, const DevemuBlockCompletion *completions,
                                       size_t count);
/* The block backend's info() gives something else than before. False while the device is busy: call
 * again. */
DEVEMU_API bool devemu_device_medium(DevemuDevice *dev);
/* Network: 1 up, 0 down. Characters: modem inputs. This and the next are lost while the device is
 * busy: a backend calls from its own loop. */
DEVEMU_API void devemu_device_link(DevemuDevice *dev, unsigned link);
DEVEMU_API void devemu_device_input(DevemuDevice *dev, const DevemuInput *input);
DEVEMU_API bool devemu_device_screen(const DevemuDevice *dev, DevemuScreen *screen);

/*
 * The state of the device and all below it, a new floating-free GVariant a{sv} in normal form.
 * Names, not offsets; so it can be printed (g_variant_print), compared and edited. Free with
 * g_variant_unref(). Block requests in flight are not in it: call devemu_device_drain() first.
 */
DEVEMU_API GVariant *devemu_device_save(const DevemuDevice *dev);
/* Checked whole before anything changes: on false the device is as it was. Takes a floating
 * reference. Not from inside an event of the tree. */
DEVEMU_API bool devemu_device_load(DevemuDevice *dev, GVariant *state, GError **error);

/* "name=value,..." as an array of settings that ends with a NULL name; free with
 * devemu_settings_free(). */
DEVEMU_API DevemuSetting *devemu_settings_parse(const char *options, GError **error);
DEVEMU_API void devemu_settings_free(DevemuSetting *settings);

#ifdef __cplusplus
}
#endif

#endif
