/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.h: what is common to buses. A bus is a device to what is above it and a host to what is
 * plugged into it; it owns what is plugged in. Plugging is configuration: it allocates, and errors
 * are GErrors.
 */
#ifndef DEVEMU_BUS_H
#define DEVEMU_BUS_H

#include <devemu/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Put dev below bus. The bus takes it over on success; on failure it stays the caller's. where is
 * the bus's own way to name a place ("1f.0" for PCI, "0x3f8" for ISA), or NULL for the default or
 * next free one. */
DEVEMU_API bool devemu_bus_plug(DevemuDevice *bus, DevemuDevice *dev, const char *where,
                                GError **error);
/* Take dev out, at any moment outside its own events: lines fall, its places answer nothing. The
 * caller owns it again. */
DEVEMU_API void devemu_bus_unplug(DevemuDevice *dev);

/* --- system bus: memory and ports, priorities, holes ------------------------------- */

extern DEVEMU_API const DevemuModel devemu_model_system;

/* Banks of the system bus. */
enum {
    DEVEMU_SYSTEM_PIO,    /* 64 KiB of ports */
    DEVEMU_SYSTEM_MEMORY, /* all 64-bit addresses */
};

/*
 * Let a bank of dev (any device of the tree) answer at [base, base + len) of a space, from byte
 * `at` of that bank. Where mappings overlap the highest priority is asked first; one that answers
 * DEVEMU_ACCESS_NONE lets the next be asked. A width that a bank refuses is split into narrower
 * accesses, lowest address first. Returns a handle for devemu_system_enable(), or 0 and error if
 * the range wraps or the bank is too small.
 */
DEVEMU_API unsigned devemu_system_map(DevemuDevice *system, unsigned space, uint64_t base,
                                      uint64_t len, DevemuDevice *dev, unsigned bank, uint64_t at,
                                      int priority, GError **error);
/* Memory of the host: data must outlive the system bus. Without any, DMA goes up to the system
 * bus's own host. */
typedef enum DevemuRam {
    DEVEMU_RAM_RW,  /* reads and writes */
    DEVEMU_RAM_ROM, /* reads; writes go nowhere */
} DevemuRam;
DEVEMU_API unsigned devemu_system_map_ram(DevemuDevice *system, uint64_t base, uint64_t len,
                                          void *data, DevemuRam kind, int priority, GError **error);
/* Switch a mapping for reads and writes apart (PAM: read from ROM, write to RAM); part of the
 * snapshot of whoever commands it, not of the bus. */
DEVEMU_API void devemu_system_enable(DevemuDevice *system, unsigned mapping, bool reads,
                                     bool writes);
/* Let output lines of a device of the tree do it: reads and writes follow the lines. Survives
 * snapshots. At most 32 gates a system. */
DEVEMU_API void devemu_system_gate(DevemuDevice *system, unsigned mapping, DevemuDevice *dev,
                                   unsigned read_line, unsigned write_line);

/*
 * The flat view for a VMM that maps memory itself (KVM, Unicorn): called for each maximal range of
 * memory that one piece of host memory answers, in order of address; and again, from the beginning,
 * after changed() was called.
 */
typedef void DevemuSystemRange(void *opaque, uint64_t base, uint64_t len, uint8_t *data,
                               bool readable, bool writable);
DEVEMU_API void devemu_system_ranges(DevemuDevice *system, DevemuSystemRange *range, void *opaque);
DEVEMU_API void devemu_system_watch(DevemuDevice *system, void (*changed)(void *opaque),
                                    void *opaque);

/*
 * Hear of every write that a device makes to the host's memory (a CPU that translates code, dirty
 * pages). While somebody listens, devices get no window to write through. written NULL: nobody.
 */
DEVEMU_API void devemu_system_watch_writes(DevemuDevice *system,
                                           void (*written)(void *opaque, uint64_t addr,
                                                           uint64_t len),
                                           void *opaque);

/* --- ISA --------------------------------------------------------------------------- */

extern DEVEMU_API const DevemuModel devemu_model_isa;

enum {
    DEVEMU_ISA_PIO,
    DEVEMU_ISA_MEMORY, /* 16 MiB */
};

/* Output lines 0..15 of the ISA bus are IRQ0..IRQ15 (ORed over the cards). Put each PIO bank n of
 * dev at bases[n] (0: the model's default) and its output line 0 on irq (negative: the model's
 * default). */
DEVEMU_API bool devemu_isa_plug(DevemuDevice *isa, DevemuDevice *dev, const uint16_t *bases,
                                size_t count, int irq, GError **error);

/* --- PCI --------------------------------------------------------------------------- */

/* One bus segment with configuration mechanism #1. */
extern DEVEMU_API const DevemuModel devemu_model_pci_bus;

/* Banks of the PCI bus. */
enum {
    DEVEMU_PCI_IO,          /* 64 KiB, positive decode by the BARs; NONE elsewhere */
    DEVEMU_PCI_MEMORY,      /* 64-bit */
    DEVEMU_PCI_MECHANISM_1, /* eight ports: CONFIG_ADDRESS, CONFIG_DATA; map at 0xcf8 */
    DEVEMU_PCI_CONFIG, /* all configuration space: at = bus << 20 | device << 15 | function << 12 |
                          register (ECAM) */
};

/* Output lines 0..3 of the bus are INTA#..INTD# after the swizzle: line (device - base + pin - 1) &
 * 3, base being the bus's property "swizzle-base". */

/* devfn is device << 3 | function; negative: the next free device. bus may also be a bridge: then
 * it is the bus below it. A dev that is no function yet gets one around it; devemu_bus_unplug(dev)
 * takes it out of both. */
DEVEMU_API bool devemu_pci_plug(DevemuDevice *bus, DevemuDevice *dev, int devfn, GError **error);
/* A PCI function around one model, to be used with a bus or alone (a server): it owns dev, holds
 * the configuration space, BARs, MSI and MSI-X, and gates decode and bus mastering. Bank 0 is
 * configuration space; banks 1..6 are the BARs, bank 7 the expansion ROM. Output line 0 is INTx. */
DEVEMU_API DevemuDevice *devemu_pci_function_new(DevemuDevice *dev, GError **error);

/* What a device says of itself to PCI; NULL if it cannot be a function by itself. Lives as long as
 * the device. */
DEVEMU_API const DevemuPci *devemu_pci_of(const DevemuDevice *dev);

typedef struct DevemuPciBarInfo {
    uint64_t size; /* bytes, a power of two */
    uint64_t base; /* as the guest placed it, whether or not it is decoded */
    bool io, is_64, prefetch;
} DevemuPciBarInfo;

/* What a BAR (0..5; 6: the expansion ROM) of a function looks like; false if there is none. For
 * servers. */
DEVEMU_API bool devemu_pci_function_bar(const DevemuDevice *function, unsigned bar,
                                        DevemuPciBarInfo *ret_info);

/* The image in the expansion ROM, whether or not its BAR is enabled; NULL and 0 if there is none.
 * Owned by the function. */
DEVEMU_API const uint8_t *devemu_pci_function_rom(const DevemuDevice *function, size_t *ret_len);

/* Who knows whether messages are on, and where they go. */
typedef enum DevemuPciMessages {
    DEVEMU_PCI_MESSAGES_OWN,  /* the function: MSI and MSI-X as its registers say */
    DEVEMU_PCI_MESSAGES_MSI,  /* the host: MSI is on */
    DEVEMU_PCI_MESSAGES_MSIX, /* the host: MSI-X is on */
} DevemuPciMessages;

/*
 * For a host that emulates MSI and MSI-X itself (VFIO): while how is not OWN, INTx is off, and
 * DevemuHostOps.msi hears the bare number of a vector. vectors says how many MSI vectors the guest
 * was granted; the function shares them as it does its own. Masks are obeyed where the host passes
 * them on: those of the MSI capability, and of entries of the MSI-X table that were written.
 * Survives resets, and is no part of a snapshot.
 */
DEVEMU_API void devemu_pci_function_messages(DevemuDevice *function, DevemuPciMessages how,
                                             unsigned vectors);

#ifdef __cplusplus
}
#endif

#endif
