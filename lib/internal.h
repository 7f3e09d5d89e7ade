/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * internal.h: the inside of a device, for lib/ and buses/. Models never see it.
 */
#ifndef DEVEMU_INTERNAL_H
#define DEVEMU_INTERNAL_H

#include <devemu/bus.h>
#include <devemu/device.h>

#include <errno.h>
#include <inttypes.h>

/* A row as dispatch wants it: what can be known at creation is known, and what the frequent
 * accesses need stands together. */
typedef struct DevemuRow {
    const DevemuReg *reg;
    bool (*decoded)(const void *state);
    uint64_t (*read)(const void *state, unsigned index);
    uint64_t mask;  /* all bits of the register */
    uint64_t rw;    /* bits that a write simply sets */
    uint64_t shown; /* bits that a read shows */
    uint32_t at;
    uint32_t member;
    uint32_t window_index;
    uint16_t count;
    uint16_t stride;
    uint16_t next; /* the next row of the same place and size, plus 1 */
    uint8_t size;
    uint8_t width;
    uint8_t window;
    uint8_t window_width;
    bool quiet_read;  /* reading changes nothing */
    bool quick_write; /* stored by the masks, and at most `wrote` follows */
    bool special;     /* not all bits are simply set */
    bool still;       /* an index of a window: no line and no deadline hangs on it */
    bool said;        /* the unimplemented register was reported */
} DevemuRow;

/* The rows that cover one place, in the order of the table. */
typedef struct DevemuNode {
    uint16_t row;
    uint16_t next; /* node number plus 1; 0 ends */
} DevemuNode;

typedef struct DevemuBankIndex {
    const DevemuBank *bank;
    DevemuRow *rows;
    uint16_t *first; /* by place: node number plus 1, 0 none */
    DevemuNode *nodes;
    uint64_t places; /* of first; 0: the bank is searched */
    /* By place * 4 + log2 of the size: the first row that begins there in this size, plus 1, in
     * banks where an access needs no more thought than that. Of a bank of indexes only size 1
     * counts. */
    uint16_t *exact;
    uint64_t exact_places;
    bool passing; /* of a bus: every access goes straight to the bank's handlers */
    bool inner;   /* reached through windows only */
} DevemuBankIndex;

typedef struct DevemuWire {
    DevemuDevice *from, *to;
    unsigned output, input;
} DevemuWire;

/* A decorator stands for the one device below it, its first child: it has that one's banks without
 * rows or handlers of its own, accesses come here with the number of the bank, peeks go on to the
 * device below, and what there is to trace that one tells. */
typedef struct DevemuDecorator {
    DevemuAccess (*read)(void *state, unsigned bank, uint64_t at, unsigned size,
                         uint64_t *ret_value);
    DevemuAccess (*write)(void *state, unsigned bank, uint64_t at, unsigned size, uint64_t value);
} DevemuDecorator;

/* Who stands between backends and the devices of a tree: what comes in is his to take or to pass on
 * by devemu_receive_now() and devemu_complete_now(). */
typedef struct DevemuGate {
    size_t (*receive)(void *opaque, DevemuDevice *dev, unsigned port,
                      const DevemuNetOffload *offload, const void *data, size_t len, bool more);
    bool (*complete)(void *opaque, DevemuDevice *dev, const DevemuBlockCompletion *completions,
                     size_t count);
    /* Nothing is taken now. */
    bool (*closed)(void *opaque);
} DevemuGate;

typedef struct DevemuVirtioQueues DevemuVirtioQueues;

/* The backend of a character line, or of a queue of frames, that is not the first. */
typedef struct DevemuPort {
    DevemuCharOps ops;
    void *chr;
    DevemuNetOps net_ops;
    void *net;
} DevemuPort;

#define DEVEMU_LINES   64
#define DEVEMU_WINDOWS 2

/* Guest mistakes told in a burst, and how often another one after that. */
#define DEVEMU_LOG_BURST     16
#define DEVEMU_LOG_REFILL_NS UINT64_C(100000000)

struct DevemuDevice {
    const DevemuModel *model;
    const DevemuDecorator *decorator; /* NULL: a device in its own right */
    void *state;
    DevemuHostOps ops;
    void *host;

    unsigned bank_count;
    unsigned input_count, output_count; /* lines */
    unsigned busy;                      /* events under way; only a bus can be in several */
    bool is_bus;     /* may be entered again; not while it is held, see devemu_hold() */
    bool tracing;    /* the host, or one further up, wants every event */
    bool rehearsing; /* nothing that happens now has happened, see rehearse.h */
    bool refused;    /* a frame, character or completion was not taken since the last ready */
    uint64_t lines;  /* as told to the host and the wires */
    uint64_t deadline;
    DevemuBankIndex *banks;
    DevemuWindow windows[DEVEMU_WINDOWS];
    unsigned last_window;

    uint64_t inputs;        /* levels as told to the model */
    uint64_t host_inputs;   /* levels as the host set them */
    uint64_t dirty_inputs;  /* may have changed while busy */
    uint16_t *input_counts; /* high sources per line */
    GPtrArray *wires_out;   /* DevemuWire, owned */
    GPtrArray *wires_in;    /* DevemuWire, borrowed */

    DevemuVirtioQueues *virtio; /* NULL: no virtio device */
    DevemuNetOps net_ops;
    void *net;
    DevemuCharOps char_ops;
    void *chr;
    DevemuPort *ports; /* DEVEMU_PORTS, the first not used; NULL: no port has a backend */
    DevemuVsockOps vsock_ops;
    void *vsock;
    DevemuBlockOps block_ops;
    void *block;
    unsigned draining;      /* its requests are waited for */
    const DevemuGate *gate; /* NULL: none */
    void *gate_opaque;

    char *name;
    DevemuDevice *parent;
    GPtrArray *children; /* DevemuDevice, owned */
    GPtrArray *blobs;    /* GBytes behind BLOB properties */
    void *fresh;         /* the state after POWER, where a snapshot may lack a field; else NULL */

    unsigned log_tokens;
    uint64_t log_refill_ns;
};

/* --- events: what every entry does ------------------------------------------------- */

/* False if the device is in an event of its own and no bus. */
static inline bool devemu_enter(DevemuDevice *dev)
{
    if (G_UNLIKELY(dev->busy) && !dev->is_bus) {
        return false;
    }
    dev->busy++;
    return true;
}

/* Between these two a device, a bus too, answers nothing and tells nothing; inputs that change are
 * only marked. */
static inline void devemu_hold(DevemuDevice *dev)
{
    dev->busy++;
    dev->is_bus = false;
}

static inline void devemu_release(DevemuDevice *dev)
{
    dev->busy--;
    dev->is_bus = dev->model->is_bus;
}

/* End of an event: lines, deadline, inputs that changed meanwhile. */
void devemu_leave(DevemuDevice *dev);
/* A bus, or the library, changed the state outside an entry. */
void devemu_device_settle(DevemuDevice *dev);
/* One output line, to the host and along the wires. */
void devemu_line_tell(DevemuDevice *dev, unsigned line, bool level);
/* Of a device that is held: its lines and its deadline, but no inputs. */
void devemu_outputs_tell(DevemuDevice *dev);
void devemu_deadline_tell(DevemuDevice *dev);

/* Not rate-limited. */
void devemu_log(DevemuDevice *dev, DevemuLogLevel level, const char *text);

void devemu_trace_emit(DevemuDevice *dev, DevemuTrace *trace);
/* A host came or went: who wants a trace, from here down? */
void devemu_tracing_update(DevemuDevice *dev);

/* --- backends' entries behind the gate --------------------------------------------- */

/* Of the device and all below it. gate NULL: none. */
void devemu_gate_set(DevemuDevice *dev, const DevemuGate *gate, void *opaque);
/* offload: what the device takes; NULL: none. port: of a device with several network queues, the
 * number of the backend's plus 1, or 0 for a backend that has but one. */
size_t devemu_receive_now(DevemuDevice *dev, unsigned port, const DevemuNetOffload *offload,
                          const void *data, size_t len, bool more);
bool devemu_complete_now(DevemuDevice *dev, const DevemuBlockCompletion *completions, size_t count);

/* A frame of the device is a message; false: there is no backend for those. */
bool devemu_vsock_frame(DevemuDevice *dev, const DevemuSlice *slices, size_t count);

/* Its name; any number. */
const char *devemu_block_op_name(uint64_t op);
/* The requests of this device, not of those below it. */
void devemu_block_drain(DevemuDevice *dev);

#define DEVEMU_COPY_OPS(to, from)                                                                  \
    do {                                                                                           \
        memset(&(to), 0, sizeof(to));                                                              \
        if (from) {                                                                                \
            memcpy(&(to), (from), MIN((from)->size, sizeof(to)));                                  \
        }                                                                                          \
    } while (0)

/* --- the tree ---------------------------------------------------------------------- */

/* Put child below parent: its deadline counts, it is run, saved and loaded with the parent. Reset
 * is the bus's business. name is made unique ("x", "x.1"). ops and host as
 * devemu_device_set_host(). */
void devemu_device_adopt(DevemuDevice *parent, DevemuDevice *child, const DevemuHostOps *ops,
                         void *host, const char *name);
/* Take it out again: lines fall, wires go, the host is gone. The caller owns child. */
void devemu_device_orphan(DevemuDevice *child);
/* Is dev top, or somewhere below it? */
static inline bool devemu_device_is_below(const DevemuDevice *dev, const DevemuDevice *top)
{
    while (dev && dev != top) {
        dev = dev->parent;
    }
    return dev != NULL;
}
const DevemuHostOps *devemu_device_host_ops(const DevemuDevice *dev, void **ret_host);
/* A table that passes DMA and MSI from a child on to the host of a bus; host is the bus. Clock, log
 * and trace need no passing: the library asks the nearest host above that has them. */
extern const DevemuHostOps devemu_passing_ops;

/* --- parts ------------------------------------------------------------------------- */

void devemu_banks_build(DevemuDevice *dev);
void devemu_banks_free(DevemuDevice *dev);
bool devemu_properties_apply(DevemuDevice *dev, const DevemuSetting *settings, size_t count,
                             GError **error);
void devemu_wires_drop(DevemuDevice *dev);
void devemu_wires_drive(DevemuDevice *dev, unsigned output, bool level);
/* Tell the model the inputs that are marked. */
void devemu_inputs_settle(DevemuDevice *dev);
/* After a load, when all outputs are told: who holds the levels that the model was loaded with. */
void devemu_inputs_loaded(DevemuDevice *dev);

/* All bits of that many bytes. */
static inline uint64_t devemu_ones(unsigned bytes)
{
    return bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << (bytes * 8)) - 1;
}

/* Where an element of an array register stands in the state. */
static inline uint32_t devemu_row_element(const DevemuRow *row, unsigned index)
{
    return row->member + (uint32_t)index * row->width;
}

/* An integer of width bytes in the state. */
static inline uint64_t devemu_member_get(const void *state, uint32_t member, unsigned width)
{
    const uint8_t *p = (const uint8_t *)state + member;
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (width) {
    case 1:
        memcpy(&v8, p, 1);
        return v8;
    case 2:
        memcpy(&v16, p, 2);
        return v16;
    case 4:
        memcpy(&v32, p, 4);
        return v32;
    case 8:
        memcpy(&v64, p, 8);
        return v64;
    default:
        return 0;
    }
}

static inline void devemu_member_set(void *state, uint32_t member, unsigned width, uint64_t value)
{
    uint8_t *p = (uint8_t *)state + member;
    uint8_t v8 = (uint8_t)value;
    uint16_t v16 = (uint16_t)value;
    uint32_t v32 = (uint32_t)value;

    switch (width) {
    case 1:
        memcpy(p, &v8, 1);
        break;
    case 2:
        memcpy(p, &v16, 2);
        break;
    case 4:
        memcpy(p, &v32, 4);
        break;
    case 8:
        memcpy(p, &value, 8);
        break;
    default:
        break;
    }
}

#endif
