/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.h: for authors of models. A model is a passive state machine described by tables; see
 * docs/writing-a-model.md.
 *
 * A model's state is a plain struct whose first member is `DevemuDevice *dev`, set by the library
 * and handed to the services below. Callbacks get a pointer to that struct. A model needs nothing
 * of GLib and nothing of libc but mem*.
 */
#ifndef DEVEMU_MODEL_H
#define DEVEMU_MODEL_H

#include <devemu/backend.h>
#include <devemu/host.h>

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct _GError;

#define DEVEMU_N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Kinds of reset. POWER happens once, at creation, and makes the whole state: every bit its reset
 * value. */
typedef enum DevemuReset {
    DEVEMU_RESET_POWER,
    DEVEMU_RESET_HARD, /* the bus's reset wire: RST#, RESETDRV; a function level reset */
    DEVEMU_RESET_SOFT, /* the chip's own software reset, where it has one */
    DEVEMU_RESET_STOP, /* a lesser one of the chip's own (CSR0.STOP ...), applied by the model to
                          its tables */
} DevemuReset;

/* A named group of bits. A multi-bit field prints as NAME=value. A table of them ends with a NULL
 * name. */
typedef struct DevemuBits {
    const char *name; /* as printed in the datasheet */
    uint64_t mask;
} DevemuBits;

/*
 * A register. Bits are read-write unless a mask says otherwise; masks of one register may not
 * overlap. Array registers (count > 1) stand every `stride` bytes (or indexes) from `at`, and every
 * `width` bytes in the state.
 */
struct DevemuReg {
    const char *name;    /* as printed in the datasheet */
    const char *title;   /* a few words */
    const char *section; /* of the datasheet */
    const DevemuBits *bits;

    uint32_t at;     /* byte offset in the bank, or index where the bank is one of indexes */
    uint8_t size;    /* bytes on the bus: 1, 2, 4 or 8; 0 is 1 */
    uint16_t count;  /* elements; 0 is 1 */
    uint16_t stride; /* 0 is size (1 in a bank of indexes) */

    uint8_t width;   /* bytes in the state (1, 2, 4, 8); 0: not stored */
    uint32_t member; /* offset in the state; DEVEMU_IN() fills width and member */

    uint64_t reset;     /* value after POWER */
    uint64_t keep_hard; /* bits that HARD leaves alone */
    uint64_t keep_soft; /* bits that SOFT leaves alone */
    uint64_t stop;      /* bits that STOP returns to their reset value; none unless said */

    uint64_t ro;   /* writes ignored; the model changes them */
    uint64_t w1c;  /* writing 1 clears */
    uint64_t w1s;  /* writing 1 sets, 0 does nothing */
    uint64_t w0c;  /* writing 0 clears, 1 does nothing */
    uint64_t rc;   /* read-only, cleared by reading */
    uint64_t wo;   /* write-only: reads as zero, the stored value is the model's */
    uint64_t rsvd; /* writes ignored, reads as the reset value; strict hosts hear of a write that
                      differs */

    bool (*decoded)(
        const void *state); /* several rows may share a place: the first decoded one answers */
    bool (*writable)(const void *state); /* false: the write is ignored, and the guest blamed */

    /* The value on the bus; has no side effect, so a debugger may look. Default: the stored one,
     * less wo. */
    uint64_t (*read)(const void *state, unsigned index);
    /* After a read by the guest: what reading does. */
    void (*took)(void *state, unsigned index);
    /* After a write by the guest. The member already holds what the masks allow; value is what was
     * written, old what stood there before (0 if not stored). */
    void (*wrote)(void *state, unsigned index, uint64_t value, uint64_t old);

    /* A window on another bank (RAP/RDP, CRTC index/data): window is that bank's number plus 1,
     * window_index the offset of the state member (window_width bytes) that selects.
     * DEVEMU_WINDOW() fills the three. */
    uint8_t window;
    uint8_t window_width;
    uint32_t window_index;

    bool unimpl; /* stored, but has no effect: said once in the log */
    /* That it is written matters, not what or how often: a server may let the guest write through
     * an eventfd (KVM's ioeventfd); what is written then is the index of the element. */
    bool doorbell;
};

#define DEVEMU_WIDTH(type, field) ((uint8_t)sizeof(((type *)0)->field))
#define DEVEMU_IN(type, field)    .width = DEVEMU_WIDTH(type, field), .member = offsetof(type, field)
/* An array register stored in an array: width of one element. */
#define DEVEMU_IN_ARRAY(type, field)                                                               \
    .width = DEVEMU_WIDTH(type, field[0]), .member = offsetof(type, field)
#define DEVEMU_WINDOW(bank, type, field)                                                           \
    .window = (bank) + 1, .window_width = DEVEMU_WIDTH(type, field),                               \
    .window_index = offsetof(type, field)

typedef enum DevemuBankKind {
    DEVEMU_BANK_PIO,     /* ports */
    DEVEMU_BANK_MMIO,    /* memory */
    DEVEMU_BANK_CONFIG,  /* PCI configuration space: rows lie over the header that the bus supplies
                          */
    DEVEMU_BANK_INDEXED, /* reached through a window only; `at` counts registers, every access has
                            the row's size */
    DEVEMU_BANK_CYCLE,   /* special bus cycles: an interrupt acknowledge, a DMA acknowledge */
} DevemuBankKind;

/* Which sizes of access a bank answers: the size in bytes is the bit. */
enum {
    DEVEMU_SIZE_1 = 1,
    DEVEMU_SIZE_2 = 2,
    DEVEMU_SIZE_4 = 4,
    DEVEMU_SIZE_8 = 8,
    DEVEMU_SIZE_ANY = 15,
};

struct DevemuBank {
    const char *name; /* short, lower case: "io", "csr" */
    DevemuBankKind kind;
    uint64_t size; /* bytes; indexes where the kind is INDEXED */
    const DevemuReg *regs;
    size_t reg_count;

    /* Widths that are answered; others are DEVEMU_ACCESS_SIZE, which a bus may split. 0: those of
     * the rows met. */
    uint8_t sizes;
    /* Any size at any place touches the byte lanes of the registers below it (PCI configuration
     * space, HPET). A row's `wrote` is called once per register, with the bytes not written as they
     * were. */
    bool lanes;
    /* What an index without a register reads as; in a bank with lanes, what the eight bytes of each
     * aligned quadword read as where there is none. */
    uint64_t absent;

    /* False: the bank answers nothing now. */
    bool (*decoded)(const void *state);

    /* Where the bank is memory, or its shape changes with the mode, instead of rows, or beside
     * them: called for an access that no row takes. DEVEMU_ACCESS_NONE if it is nothing here
     * either. */
    DevemuAccess (*read)(void *state, uint64_t at, unsigned size, uint64_t *ret_value);
    DevemuAccess (*write)(void *state, uint64_t at, unsigned size, uint64_t value);
};

/* A member of the state that is neither register nor timer. Ends with a NULL name. */
typedef struct DevemuField {
    const char *name;
    uint32_t member;
    uint32_t width;       /* bytes of one element (1, 2, 4, 8): integers, saved little-endian */
    uint32_t count;       /* elements */
    bool skip;            /* not saved: configuration, pointers, what can be computed */
    uint64_t max;         /* greatest value that a snapshot may hold; 0: no limit */
    bool since_absent_ok; /* may be missing in an old snapshot: keeps its reset value */
} DevemuField;

#define DEVEMU_SAVE(type, field)                                                                   \
    {                                                                                              \
        .name = #field, .member = offsetof(type, field), .width = sizeof(((type *)0)->field),      \
        .count = 1, .max = _Generic(((type *)0)->field, bool : 1, default : 0)                     \
    }
/* An integer that must stay at or below limit (an index, a count). */
#define DEVEMU_SAVE_MAX(type, field, limit)                                                        \
    {                                                                                              \
        .name = #field, .member = offsetof(type, field), .width = sizeof(((type *)0)->field),      \
        .count = 1, .max = (limit)                                                                 \
    }
#define DEVEMU_SAVE_ARRAY(type, field)                                                             \
    {                                                                                              \
        .name = #field, .member = offsetof(type, field), .width = sizeof(((type *)0)->field[0]),   \
        .count = sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]),                       \
        .max = _Generic(((type *)0)->field[0], bool : 1, default : 0)                              \
    }
#define DEVEMU_SKIP(type, field)                                                                   \
    {                                                                                              \
        .name = #field, .member = offsetof(type, field), .width = 1,                               \
        .count = sizeof(((type *)0)->field), .skip = true                                          \
    }

/* A timer is a moment in the state. The library clears it to DEVEMU_NEVER and then calls expired,
 * which may set it again; due_ns is the moment it was set to, at or before now. Ends with a NULL
 * name. */
typedef struct DevemuTimer {
    const char *name;
    uint32_t member; /* a uint64_t: nanoseconds, DEVEMU_NEVER when off */
    void (*expired)(void *state, uint64_t due_ns);
} DevemuTimer;

#define DEVEMU_TIMER(type, field, callback)                                                        \
    {                                                                                              \
        .name = #field, .member = offsetof(type, field), .expired = (callback)                     \
    }

typedef enum DevemuPropertyType {
    DEVEMU_PROPERTY_UINT, /* decimal or 0x..., suffixes K M G; stored in width bytes */
    DEVEMU_PROPERTY_BOOL, /* on/off, yes/no, true/false; stored in a bool */
    DEVEMU_PROPERTY_ENUM, /* one of choices; stored as its number, in width bytes */
    DEVEMU_PROPERTY_MAC,  /* 52:54:00:12:34:56; stored in uint8_t[6] */
    DEVEMU_PROPERTY_TEXT, /* stored in char[width], terminated */
    DEVEMU_PROPERTY_BLOB, /* a file's name; stored in a DevemuBlob that the library owns */
} DevemuPropertyType;

typedef struct DevemuBlob {
    const uint8_t *data;
    size_t len; /* bytes; 0 if not given */
} DevemuBlob;

/* A setting given at creation, fixed afterwards, not part of a snapshot. Ends with a NULL name. */
typedef struct DevemuProperty {
    const char *name;
    DevemuPropertyType type;
    uint32_t member;
    uint32_t width;
    const char *value;          /* default, as text; NULL: zero, empty */
    const char *const *choices; /* ENUM: NULL-terminated */
    uint64_t min, max;          /* UINT: value; BLOB: bytes. max 0: no limit */
    const char *doc;            /* a sentence, with the unit */
} DevemuProperty;

#define DEVEMU_OPTION(type, field)                                                                 \
    .member = offsetof(type, field), .width = sizeof(((type *)0)->field)

/* What a PCI function says of a model. The bus supplies the type 0 header, BARs, capabilities and
 * INTx from it. */
typedef struct DevemuPciBar {
    unsigned bank; /* number of the model's bank that the BAR maps, plus 1; 0: no BAR */
    bool is_64;
    bool prefetch;
    uint64_t size; /* bytes, where the BAR shows less than the whole bank; 0: all of it */
} DevemuPciBar;

/* A place that a function decodes besides its BARs: fixed ports, or a base register of its own. */
typedef struct DevemuPciRange {
    bool io;       /* ports, else memory */
    bool always;   /* whatever the command register says */
    uint16_t bank; /* number of the model's bank that answers */
    uint64_t base, len;
    uint64_t at; /* byte of the bank that stands at base */
} DevemuPciRange;

typedef struct DevemuPci {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint8_t revision;
    uint32_t class_code; /* base class << 16 | sub-class << 8 | programming interface */
    uint8_t min_gnt, max_lat;
    uint8_t interrupt_pin; /* 1 = INTA#; output line 0 of the model drives it; 0: none */
    uint8_t header_type;   /* 0, or 0x80 with several functions, 1 for a bridge */
    uint16_t command_mask; /* bits of the command register that can be set; 0: the usual ones for
                              the BARs */
    uint16_t status;       /* constant bits of the status register */
    DevemuPciBar bars[6];
    unsigned config_bank; /* number of the model's CONFIG bank plus 1; 0: none */
    const char *rom;      /* name of the BLOB property that holds the expansion ROM; NULL: no ROM */
    unsigned msi_vectors; /* 0: no MSI capability */
    unsigned msix_vectors; /* 0: no MSI-X capability */
    unsigned msix_bar;     /* the BAR (0..5) that holds the table and the PBA, made by the bus */
    bool power_management; /* PCI power management capability */
    bool flr; /* function level reset, through the PCI Express or Advanced Features capability */

    uint16_t command; /* command register after reset; bits outside command_mask stay so */
    /* Where the capabilities stand, for chips whose datasheet says so; 0: the bus finds room above
     * 0x40. */
    uint8_t power_management_at, msi_at, msix_at, flr_at;
    /* Offset of the first capability among the rows of the config bank; it follows those of the
     * bus. */
    uint8_t capabilities;
    /* Places decoded besides the BARs, at most max of them; a function of the state, asked after
     * each write to the config bank, each reset and each load. */
    unsigned (*ranges)(const void *state, DevemuPciRange *ret_ranges, unsigned max);
} DevemuPci;

/* What an ISA card or motherboard chip says of itself. */
typedef struct DevemuIsa {
    uint16_t bases[8]; /* default port of each PIO bank, in the order of the banks; 0: not placed */
    uint8_t irq;       /* default interrupt, driven by output line 0; 0xff: none */
} DevemuIsa;

/* A shared memory region (virtio 1.4, 2.10): a bank of the device, at its place in a BAR or where
 * the transport has it. */
typedef struct DevemuVirtioShm {
    uint8_t id;
    uint8_t bank;
} DevemuVirtioShm;

#define DEVEMU_VIRTIO_SHMS 3u

/*
 * What a virtio device says of itself to its transport. Its banks 0 and 1 are those of virtio.h,
 * bank 2 is its configuration space; models/virtio/virtio.h has them, and all that devices share.
 */
typedef struct DevemuVirtio {
    uint16_t device_id;       /* virtio 1.4, 5: 1 network, 2 block ... */
    uint16_t transitional_id; /* PCI Device ID of a transitional device (4.1.2.1); 0: modern only */
    uint32_t class_code;      /* PCI class of the function */
    bool in_order;            /* uses buffers in the order in which they came */
    DevemuVirtioShm shms[DEVEMU_VIRTIO_SHMS]; /* bank 0 ends them */
    /* Feature bits of the device type that are offered, a function of the configuration. */
    uint64_t (*offer)(const void *state);
    /* Greatest Queue Size; 0: no such queue. Queues are numbered without holes. */
    unsigned (*queue_size)(const void *state, unsigned queue);
    /* Do these features go together? NULL: always. */
    bool (*accept)(const void *state, uint64_t features);
    /* DRIVER_OK: from now on the device may use buffers. May be NULL. */
    void (*start)(void *state);
    /* There may be available buffers: use a bounded number of them. */
    void (*process)(void *state, unsigned queue);
    /* Are buffers of the queue in use by a backend, so that its memory may still be touched? Then a
     * reset lasts until virtio_idle(). NULL: never. */
    bool (*busy)(const void *state, unsigned queue);
    /* A queue was reset: buffers that are held are forgotten. NULL: none ever are. */
    void (*queue_reset)(void *state, unsigned queue);
} DevemuVirtio;

#define DEVEMU_PORTS 32u /* most character lines of a device, and most of its network queues */

struct DevemuModel {
    const char *name;         /* "am79c970a" */
    const char *title;        /* "AMD PCnet-PCI II Ethernet controller" */
    const char *datasheet;    /* number and revision */
    const char *not_modelled; /* one sentence, or a list separated by "; "; the model list in the
                                 docs shows it */
    size_t state_size;

    const DevemuBank *banks;
    size_t bank_count;
    const DevemuField *fields;
    const DevemuTimer *timers;
    const DevemuProperty *properties;
    const char *const *outputs; /* names of the output lines, NULL-terminated; at most 64 */
    const char *const *inputs;

    /* Levels of all output lines, bit n is line n; a function of the state, called by the library.
     */
    uint64_t (*lines)(const void *state);

    /* Check and complete the configuration, after the properties are set and before POWER. False
     * refuses: *ret_property is the property's name, *ret_message says what is wrong with it and
     * what to do ("must be 256 bytes long"). */
    bool (*configure)(void *state, const char **ret_property, const char **ret_message);
    /* Beyond the tables, after them. */
    void (*reset)(void *state, DevemuReset kind);
    /* Is a loaded state one that this chip can be in? Called on a copy, before anything changes. */
    bool (*valid)(const void *state);
    /* After a load: compute what is not saved. */
    void (*loaded)(void *state);
    /* Before a save: bring what stands outside the state (virtqueues) into it. */
    void (*saving)(void *state);
    /* Buses only: free what plugging allocated. */
    void (*finish)(void *state);

    /* An input line changed. */
    void (*input_line)(void *state, unsigned line, bool level);
    /* A frame (network: all or nothing) or bytes (characters). Returns the bytes taken; 0 asks to
     * be offered again after DevemuNetOps.ready or DevemuCharOps.ready. A frame that the chip loses
     * (wrong address, MISS) is taken. */
    size_t (*receive)(void *state, const uint8_t *data, size_t len);
    /* Devices with several character lines: how many there are, a function of the configuration, at
     * most DEVEMU_PORTS, and bytes for a port that is not 0, as receive. */
    unsigned (*ports)(const void *state);
    size_t (*receive_port)(void *state, unsigned port, const uint8_t *data, size_t len);
    /* A port for which devemu_port_writable() was false can be written to again. A hint: nobody
     * says it after a snapshot was loaded. */
    void (*writable)(void *state, unsigned port);
    /* Network devices whose drivers take frames that are not plain: in place of receive. more:
     * another frame follows at once, so telling the driver can wait; for a moment that a timer
     * ends, since it may be refused before it gets here. */
    size_t (*receive_packet)(void *state, const DevemuNetOffload *offload, const uint8_t *data,
                             size_t len, bool more);
    /* Network devices with several queues (pairs of them), whose backend may have several, too: how
     * many there are, a function of the configuration, at most DEVEMU_PORTS; does the driver use
     * that one now; and a frame by the backend's queue of that number, as receive_packet, which is
     * for backends with one alone. */
    unsigned (*queues)(const void *state);
    bool (*uses_queue)(const void *state, unsigned queue);
    size_t (*receive_queue)(void *state, unsigned queue, const DevemuNetOffload *offload,
                            const uint8_t *data, size_t len, bool more);
    /* The DEVEMU_OFFLOAD_* that the driver takes now: receive_packet gets no others. */
    uint32_t (*offloads)(const void *state);
    /* How many bytes receive would take now (characters), or if a frame would be stored rather than
     * missed (network). */
    size_t (*ready)(const void *state);
    /* Link or carrier came or went; for characters: modem inputs, bits as in the model's
     * documentation. */
    void (*link)(void *state, unsigned link);
    /* Requests of devemu_submit() have ended: all that ended together, in one event. */
    void (*complete)(void *state, const DevemuBlockCompletion *completions, size_t count);
    /* The block backend came or has changed (its capacity, say); NULL: there is none any more. The
     * model keeps a copy of what it needs; in a snapshot is only what its guest was told. */
    void (*medium)(void *state, const DevemuBlockInfo *info);
    void (*input)(void *state, const DevemuInput *input);
    /* Fill *screen; false if pixels is NULL or too small: width and height are set all the same. */
    bool (*screen)(const void *state, DevemuScreen *screen);
    /* What a text mode shows: the characters (code page 437 on a PC) row by row into cells, as many
     * as fit. Returns rows * columns, and the columns; 0 where there is a picture or nothing. */
    size_t (*text)(const void *state, uint8_t *cells, size_t capacity, unsigned *ret_columns);

    /* Buses only: see devemu_bus_plug() and devemu_bus_unplug(). unplug may free the bus, if that
     * stands for dev alone. */
    bool (*plug)(DevemuDevice *bus, DevemuDevice *dev, const char *where, struct _GError **error);
    void (*unplug)(DevemuDevice *bus, DevemuDevice *dev);
    /* Buses only: dev, somewhere below, is about to be unplugged with all that is below it: drop
     * what points there. Called before unplug. */
    void (*forget)(DevemuDevice *bus, DevemuDevice *dev);

    const DevemuPci *pci; /* NULL: not a PCI device */
    /* Where what it says to PCI depends on the state; NULL: pci says it all. */
    const DevemuPci *(*pci_of)(const void *state);
    const DevemuIsa *isa;
    const DevemuVirtio *virtio;

    bool is_net;   /* sends frames */
    bool is_char;  /* sends characters */
    bool is_block; /* submits requests to a medium */
    bool is_vsock; /* has connections to the host: messages come to receive, as bytes (see
                      devemu_vsock_unpack()), of which it returns those that it took, or 0 */
    bool is_bus;   /* passes accesses on; may be entered again while it does */
};

/* --- services; dev is the first member of the model's state ------------------------ */

/* True if all len bytes were read. On failure buf holds ones. A range that wraps fails. */
DEVEMU_API bool devemu_dma_read(DevemuDevice *dev, uint64_t addr, void *buf, size_t len);
DEVEMU_API bool devemu_dma_write(DevemuDevice *dev, uint64_t addr, const void *buf, size_t len);
/* A direct view of len bytes at addr, or NULL if the host has none: then use devemu_dma_read().
 * Valid until the current event ends. The guest can change it at any time: decode from a copy. */
DEVEMU_API const uint8_t *devemu_dma_view(DevemuDevice *dev, uint64_t addr, size_t len);
DEVEMU_API uint8_t *devemu_dma_view_write(DevemuDevice *dev, uint64_t addr, size_t len);

/* Should DMA be put off until a register access has been answered? Then set a timer to
 * devemu_now() instead: DMA at a timer, or for a frame, is as good as ever. DMA inside an access
 * may fail on such a host. */
DEVEMU_API bool devemu_dma_deferred(const DevemuDevice *dev);

/* The guest needs what stands there no more: see DevemuHostOps.discard. */
DEVEMU_API void devemu_discard(DevemuDevice *dev, uint64_t addr, uint64_t len);

/* What was read or written in views before this is seen by the guest's processors before what comes
 * after: between an ownership bit and what it guards. */
static inline void devemu_dma_order(void)
{
#if defined(__GNUC__)
    __atomic_thread_fence(__ATOMIC_ACQ_REL);
#endif
}

/* Virtqueue number `queue` of a virtio device (virtio.h), made with the device; NULL if there is
 * none. Its DMA and its notifications are the device's: devemu_send_msi() with the queue's number.
 */
struct DevemuVirtqueue;
DEVEMU_API struct DevemuVirtqueue *devemu_virtio_queue(const DevemuDevice *dev, unsigned queue);

/* Nanoseconds of the host's clock. */
DEVEMU_API uint64_t devemu_now(const DevemuDevice *dev);
DEVEMU_API void devemu_send_msi(DevemuDevice *dev, unsigned vector);
/* A frame, or characters, to the backend. */
DEVEMU_API void devemu_send_frame(DevemuDevice *dev, const DevemuSlice *slices, size_t count,
                                  bool more);
/* The same for a frame that may not be plain. What the backend does not take as it is is done here.
 * False, and nothing is sent: offload names places that are not in the frame. Where there are no
 * such headers as it says, the frame is lost on its way. */
DEVEMU_API bool devemu_send_packet(DevemuDevice *dev, const DevemuNetOffload *offload,
                                   const DevemuSlice *slices, size_t count, bool more);
/* The same by one of its queues: to the backend's of that number, or to the only one. */
DEVEMU_API bool devemu_send_queue(DevemuDevice *dev, unsigned queue,
                                  const DevemuNetOffload *offload, const DevemuSlice *slices,
                                  size_t count, bool more);
DEVEMU_API void devemu_send_chars(DevemuDevice *dev, const void *data, size_t len);
DEVEMU_API void devemu_send_port(DevemuDevice *dev, unsigned port, const void *data, size_t len);
/* For a device that can hold characters back: false, and it had better, until DevemuModel.writable.
 * Under a recorder it is always true: what a device does must not depend on its backend. */
DEVEMU_API bool devemu_port_writable(DevemuDevice *dev, unsigned port);
/* To the backend of connections. Where there is none it goes out as a frame, the bytes of
 * DEVEMU_VSOCK_HEAD before the data: what recorders and tests see. */
DEVEMU_API void devemu_send_vsock(DevemuDevice *dev, const DevemuVsockMessage *message);
DEVEMU_API void devemu_send_control(DevemuDevice *dev, unsigned lines);
/* A frame or bytes that were refused can come now. Cheap to call often: passes on only after a
 * refusal. */
DEVEMU_API void devemu_send_ready(DevemuDevice *dev);

/*
 * A request to the block backend; see DevemuBlockRequest. False if there is none: nothing will
 * complete. more: another follows in this event, and the last has more false. The memory of its
 * slices must stay until the completion: the model's own, or devemu_dma_view(), whose windows
 * outlive the event here, since the library waits for requests before windows go. A host that gives
 * no windows wants buffers of the model's own, and a copy by DMA.
 */
DEVEMU_API bool devemu_submit(DevemuDevice *dev, const DevemuBlockRequest *request, bool more);
/* Is the library waiting for the device's requests to end (devemu_device_drain())? Then submit no
 * new ones that a guest asked for meanwhile; set a timer to devemu_now() to look for them. */
DEVEMU_API bool devemu_draining(const DevemuDevice *dev);
/* Wait, inside an event, until the device's requests are done with their memory: for a reset of a
 * queue, say. Their completions come after this event. devemu_device_reset() waits by itself, and
 * the completions come before the reset. */
DEVEMU_API void devemu_wait(DevemuDevice *dev);

/* The guest broke a rule: text is a constant string that begins with the register or rule.
 * Rate-limited. */
DEVEMU_API void devemu_guest_error(DevemuDevice *dev, const char *text);

/* Return the bits of every register that this kind of reset affects to their reset value; POWER,
 * HARD and SOFT are applied by the library before model->reset; STOP and SOFT also by the model
 * itself. Does not call model->reset. */
DEVEMU_API void devemu_reset_banks(DevemuDevice *dev, DevemuReset kind);

/* A register of one of the device's own banks, with all its rules and trace, as a window does. */
DEVEMU_API uint64_t devemu_bank_read(DevemuDevice *dev, unsigned bank, uint64_t at);
DEVEMU_API void devemu_bank_write(DevemuDevice *dev, unsigned bank, uint64_t at, uint64_t value);
/* The same without side effects. */
DEVEMU_API uint64_t devemu_bank_peek(const DevemuDevice *dev, unsigned bank, uint64_t at);

/* CRC-32 of IEEE 802.3 (the FCS), as zlib's crc32(): begin with crc 0, go on with what came out. On
 * the wire the result goes out least significant byte first. */
DEVEMU_API uint32_t devemu_crc32(uint32_t crc, const void *data, size_t len);

/* --- byte order: guest memory is bytes --------------------------------------------- */

static inline uint16_t devemu_le16(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t devemu_le32(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t devemu_le64(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint64_t)devemu_le32(b) | (uint64_t)devemu_le32(b + 4) << 32;
}

static inline void devemu_put_le16(void *p, uint16_t value)
{
    uint8_t *b = (uint8_t *)p;
    b[0] = (uint8_t)value;
    b[1] = (uint8_t)(value >> 8);
}

static inline void devemu_put_le32(void *p, uint32_t value)
{
    uint8_t *b = (uint8_t *)p;
    devemu_put_le16(b, (uint16_t)value);
    devemu_put_le16(b + 2, (uint16_t)(value >> 16));
}

static inline void devemu_put_le64(void *p, uint64_t value)
{
    uint8_t *b = (uint8_t *)p;
    devemu_put_le32(b, (uint32_t)value);
    devemu_put_le32(b + 4, (uint32_t)(value >> 32));
}

/* --- messages of connections as bytes ------------------------------------------------ */

#define DEVEMU_VSOCK_HEAD 16

static inline void devemu_vsock_pack(const DevemuVsockMessage *message, uint8_t *head)
{
    head[0] = message->op;
    head[1] = message->type;
    head[2] = message->flags;
    head[3] = 0;
    devemu_put_le32(head + 4, message->guest_port);
    devemu_put_le32(head + 8, message->host_port);
    devemu_put_le32(head + 12, message->limit);
}

/* False: that is no message. */
static inline bool devemu_vsock_unpack(const uint8_t *data, size_t len,
                                       DevemuVsockMessage *ret_message)
{
    if (len < DEVEMU_VSOCK_HEAD || data[0] >= DEVEMU_VSOCK_OPS) {
        return false;
    }
    ret_message->op = data[0];
    ret_message->type = data[1];
    ret_message->flags = data[2];
    ret_message->guest_port = devemu_le32(data + 4);
    ret_message->host_port = devemu_le32(data + 8);
    ret_message->limit = devemu_le32(data + 12);
    ret_message->data = data + DEVEMU_VSOCK_HEAD;
    ret_message->len = len - DEVEMU_VSOCK_HEAD;
    return true;
}

#ifdef __cplusplus
}
#endif

#endif
