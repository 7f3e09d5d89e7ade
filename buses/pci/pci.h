/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h: inside the PCI bus. A function is a device of its own that stands between the bus and one
 * model: it holds the configuration space and is the model's host. A bus is a device whose children
 * are functions. A bridge is a function with a second bus below it.
 *
 * "PCI 3.0" is the PCI Local Bus Specification, revision 3.0; "bridges 1.2" the PCI-to-PCI Bridge
 * Architecture Specification, revision 1.2; "PM 1.2" the PCI Bus Power Management Interface
 * Specification, revision 1.2; "AF" the ECN Advanced Capabilities for Conventional PCI.
 */
#ifndef DEVEMU_BUSES_PCI_H
#define DEVEMU_BUSES_PCI_H

#include "../../lib/internal.h"

#define PCI_CONFIG_BYTES 256
#define PCI_SLOTS        256 /* device << 3 | function */

/* Banks of a function. The first eight are what the world sees; the others hold the registers, and
 * pci_function.map leads from a byte of configuration space to them. */
enum {
    PCI_BANK_CONFIG,
    PCI_BANK_BAR0,
    PCI_BANK_ROM = PCI_BANK_BAR0 + 6,
    PCI_BANK_HEADER,
    PCI_BANK_POWER,
    PCI_BANK_MSI,
    PCI_BANK_MSIX,
    PCI_BANK_FLR,
    PCI_BANKS,
};

/* Lengths of the capabilities (PCI 3.0 6.8.1.1 with 64-bit address and masks, 6.8.2; PM 1.2 3; AF
 * 1), and of their register tables. */
enum {
    PCI_HEADER_BYTES = 64,
    PCI_POWER_BYTES = 8,
    PCI_MSI_BYTES = 24,
    PCI_MSIX_BYTES = 12,
    PCI_FLR_BYTES = 6,

    PCI_HEADER_ROWS = 40,
    PCI_POWER_ROWS = 6,
    PCI_MSI_ROWS = 8,
    PCI_MSIX_ROWS = 5,
    PCI_FLR_ROWS = 6,
};

/* Where the model's own rows lie over the header, and where nothing is. */
#define PCI_MAP_MODEL 0x8000
#define PCI_MAP_NONE  0

#define PCI_MODEL_RANGES 16
/* BARs, ROM, the model's own, windows of a bridge. */
#define PCI_RANGES (6 + 1 + PCI_MODEL_RANGES + 6)

#define PCI_MSI_VECTORS  32
#define PCI_MSIX_VECTORS 2048

enum {
    COMMAND_IO = 1 << 0,
    COMMAND_MEMORY = 1 << 1,
    COMMAND_MASTER = 1 << 2,
    COMMAND_PARITY = 1 << 6,
    COMMAND_SERR = 1 << 8,
    COMMAND_INTX_DISABLE = 1 << 10,

    STATUS_INTERRUPT = 1 << 3,
    STATUS_CAPABILITIES = 1 << 4,
    STATUS_RECEIVED_MASTER_ABORT = 1 << 13,

    MSI_ENABLE = 1 << 0,
    MSIX_FUNCTION_MASK = 1 << 14,
    MSIX_ENABLE = 1 << 15,

    POWER_STATE = 3, /* D0 is 0, D3hot is 3 */
    POWER_D3HOT = 3,

    BRIDGE_VGA = 1 << 3,
    BRIDGE_RESET = 1 << 6,
};

/* A piece of address space, and what answers there. */
struct pci_range {
    uint64_t base, last;
    DevemuDevice *leaf;
    uint64_t at; /* byte of the bank that stands at base */
    uint32_t bank;
    uint32_t io;
};

/* The same, cut so that pieces do not overlap. */
struct pci_segment {
    uint64_t base;
    uint64_t span; /* bytes less 1 */
    DevemuDevice *leaf;
    uint64_t at;
    uint32_t bank;
};

/* One decoded address space: segments in order of address, and the one hit last. */
struct pci_space {
    struct pci_segment hit;
    struct pci_segment *segments;
    unsigned count, capacity;
};

struct pci_bus;

struct pci_function {
    DevemuDevice *dev;
    DevemuDevice *child;     /* the model; NULL once unplugged */
    DevemuDevice *msix;      /* table and PBA, or NULL */
    DevemuDevice *secondary; /* the bus below a bridge, or NULL */
    const DevemuPci *pci;
    const DevemuBlob *rom;
    struct pci_bus *bus; /* NULL: stands alone */
    uint64_t bar_size[6];
    uint64_t rom_size;
    struct pci_range ranges[PCI_RANGES];
    uint32_t range_count;
    uint16_t command_mask;
    uint8_t devfn;
    uint8_t first_capability;
    uint8_t next_power, next_msi, next_msix, next_flr;
    uint8_t pins;     /* levels of what is below: the model's line 0, or a bridge's INTA..INTD */
    uint8_t messages; /* DevemuPciMessages */
    uint16_t host_vectors; /* of MSI, where the host has that */
    uint16_t map[PCI_CONFIG_BYTES];

    /* Header, both types. */
    uint32_t bar[6];
    uint32_t rom_bar;
    uint16_t command;
    uint16_t status;
    uint8_t cache_line;
    uint8_t latency;
    uint8_t interrupt_line;

    /* Header, type 1. */
    uint8_t primary, secondary_number, subordinate;
    uint8_t secondary_latency;
    uint8_t io_base, io_limit;
    uint8_t unused_2[3];
    uint16_t secondary_status;
    uint16_t memory_base, memory_limit;
    uint16_t prefetch_base, prefetch_limit;
    uint16_t bridge_control;
    uint32_t prefetch_base_upper, prefetch_limit_upper;

    /* Capabilities. */
    uint16_t power_control;
    uint16_t msi_control;
    uint16_t msi_data;
    uint16_t msix_control;
    uint32_t msi_address, msi_address_upper;
    uint32_t msi_mask, msi_pending;
};

struct pci_msix {
    DevemuDevice *dev;
    struct pci_function *function;
    uint32_t vectors;
    uint32_t pba_at;
    uint32_t address[PCI_MSIX_VECTORS];
    uint32_t address_upper[PCI_MSIX_VECTORS];
    uint32_t data[PCI_MSIX_VECTORS];
    uint32_t control[PCI_MSIX_VECTORS];
    uint64_t pending[PCI_MSIX_VECTORS / 64];
};

struct pci_bus {
    DevemuDevice *dev;
    struct pci_function *slots[PCI_SLOTS];
    struct pci_space io, memory;
    uint16_t interrupts[4]; /* functions that pull the line */
    uint32_t bridges;
    uint32_t swizzle_base;
    uint32_t address; /* CONFIG_ADDRESS */
    uint8_t loose;
    uint8_t unused[3];
};

extern const DevemuModel pci_function_model;
extern const DevemuModel pci_msix_model;

extern const DevemuReg pci_header_regs[PCI_HEADER_ROWS];
extern const DevemuReg pci_power_regs[PCI_POWER_ROWS];
extern const DevemuReg pci_msi_regs[PCI_MSI_ROWS];
extern const DevemuReg pci_msix_regs[PCI_MSIX_ROWS];
extern const DevemuReg pci_flr_regs[PCI_FLR_ROWS];

static inline bool pci_is_bridge(const struct pci_function *s)
{
    return s->pci && (s->pci->header_type & 0x7f) == 1;
}

/* In D3hot a function answers configuration accesses only (PM 1.2 5.4.1). */
static inline bool pci_awake(const struct pci_function *s)
{
    return (s->power_control & POWER_STATE) != POWER_D3HOT;
}

/* --- pci-function.c */

/* Decode may have changed: tell the bus. */
void pci_function_changed(struct pci_function *s);
/* Bus mastering or the power state may have changed: take back the windows. */
void pci_function_gate(struct pci_function *s);
void pci_function_reset(struct pci_function *s);
/* What the function is to its model, or to the bus below a bridge; their host is its device. */
DevemuHostOps pci_below_ops(bool bridged);
/* A message on the bus; in the hands of the host addr is the vector. */
void pci_function_signal(struct pci_function *s, uint64_t addr, uint32_t data);

/* --- pci-ranges.c */

/* What the function decodes now; returns their number. */
unsigned pci_ranges(const struct pci_function *s, struct pci_range ret_ranges[PCI_RANGES]);
/* BARs of a type 1 header are two. */
unsigned pci_bar_count(const struct pci_function *s);
/* Bits of a BAR that hold the address. */
uint32_t pci_bar_mask(const struct pci_function *s, unsigned bar);
/* Bits of a BAR that say what it is. */
uint32_t pci_bar_kind(const struct pci_function *s, unsigned bar);
bool pci_bar_is_upper(const struct pci_function *s, unsigned bar);

/* --- pci-config.c */

/* Lay out the configuration space: header, the model's rows, capabilities. */
bool pci_config_layout(struct pci_function *s, GError **error);
DevemuAccess pci_config_read(struct pci_function *s, uint64_t at, unsigned size,
                             uint64_t *ret_value);
DevemuAccess pci_config_write(struct pci_function *s, uint64_t at, unsigned size, uint64_t value);

/* --- pci-msi.c, pci-msix.c */

void pci_msi_send(struct pci_function *s, unsigned vector);
bool pci_msi_enabled(const struct pci_function *s);
bool pci_msix_enabled(const struct pci_function *s);
DevemuDevice *pci_msix_new(struct pci_function *s, GError **error);
/* Bytes of the BAR, and where in it the PBA begins. */
uint64_t pci_msix_bar_size(unsigned vectors);
void pci_msix_send(DevemuDevice *msix, unsigned vector);
/* Masks may have gone: send what is pending. */
void pci_msix_flush(DevemuDevice *msix);

/* --- pci-decode.c */

void pci_space_clear(struct pci_space *space);
void pci_space_free(struct pci_space *space);
/* Earlier ranges win where ranges overlap. */
void pci_space_add(struct pci_space *space, const struct pci_range *range);
/* The segment that holds at, or NULL. Good until the space changes. */
const struct pci_segment *pci_space_search(struct pci_space *space, uint64_t at);

static inline const struct pci_segment *pci_space_find(struct pci_space *space, uint64_t at)
{
    if (G_LIKELY(at - space->hit.base <= space->hit.span && space->hit.leaf)) {
        return &space->hit;
    }
    return pci_space_search(space, at);
}

/* --- pci-bus.c */

void pci_bus_rebuild(struct pci_bus *bus);
/* Are there other functions of the same device? */
bool pci_bus_siblings(const struct pci_bus *bus, const struct pci_function *f);
bool pci_bus_plug(DevemuDevice *bus, DevemuDevice *function, int devfn, GError **error);

#endif
