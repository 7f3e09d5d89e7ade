/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-header.c: the first 64 bytes of configuration space, types 0 and 1 (PCI 3.0 6.1 and 6.2;
 * bridges 1.2 3.2). What differs from function to function comes from the model's DevemuPci.
 *
 * Not modelled: BIST, Cardbus CIS; parity and system errors; ISA Enable and the discard timers of a
 * bridge.
 */
#include "pci.h"

static bool is_bridge(const void *state)
{
    return pci_is_bridge(state);
}

static bool is_plain(const void *state)
{
    return !pci_is_bridge(state);
}

/* --- identity: constants of the model ---------------------------------------------- */

static uint64_t vendor_id(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->vendor;
}

static uint64_t device_id(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->device;
}

static uint64_t revision_id(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->revision;
}

static uint64_t class_code(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    return s->pci->class_code >> (index * 8) & 0xff;
}

static uint64_t header_type(const void *state, unsigned index)
{
    const struct pci_function *s = state;
    uint8_t type = s->pci->header_type;

    (void)index;
    /* PCI 3.0 6.2.1: bit 7 says that the device has several functions; scans look at function 0. */
    if (s->bus && (s->devfn & 7) == 0 && pci_bus_siblings(s->bus, s)) {
        type |= 0x80;
    }
    return type;
}

static uint64_t subsystem_vendor(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->subsystem_vendor;
}

static uint64_t subsystem(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->subsystem;
}

static uint64_t capabilities(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->first_capability;
}

static uint64_t interrupt_pin(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->interrupt_pin;
}

static uint64_t min_gnt(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->min_gnt;
}

static uint64_t max_lat(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->pci->max_lat;
}

/* --- command and status (PCI 3.0 6.2.2, 6.2.3) ------------------------------------- */

static void command_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;

    (void)index;
    (void)old;
    s->command = (uint16_t)((value & s->command_mask) | (s->pci->command & ~s->command_mask));
    pci_function_gate(s);
    pci_function_changed(s);
}

static uint64_t status_read(const void *state, unsigned index)
{
    const struct pci_function *s = state;
    uint16_t status = (uint16_t)(s->status | s->pci->status);

    (void)index;
    if (s->first_capability) {
        status |= STATUS_CAPABILITIES;
    }
    /* Says that the function wants an interrupt, whether or not the command register lets it. */
    if (s->pci->interrupt_pin && (s->pins & 1)) {
        status |= STATUS_INTERRUPT;
    }
    return status;
}

/* --- base address registers (PCI 3.0 6.2.5) ---------------------------------------- */

static uint64_t bar_read(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    return s->bar[index] | pci_bar_kind(s, index);
}

static void bar_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;

    (void)old;
    s->bar[index] = (uint32_t)value & pci_bar_mask(s, index);
    pci_function_changed(s);
}

/* PCI 3.0 6.2.5.2: as a BAR, with an enable bit; 2 KiB at least. */
static void rom_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;

    (void)index;
    (void)old;
    s->rom_bar = s->rom_size ? (uint32_t)value & ((uint32_t) ~(s->rom_size - 1) | 1) : 0;
    pci_function_changed(s);
}

/* --- bridges (bridges 1.2 3.2.5) --------------------------------------------------- */

static void window_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    pci_function_changed(state);
}

static uint64_t prefetch_base_read(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return (s->prefetch_base & 0xfff0) | 1; /* 64-bit addresses */
}

static uint64_t prefetch_limit_read(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return (s->prefetch_limit & 0xfff0) | 1;
}

static void bridge_control_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;

    (void)index;
    if (s->secondary && (value & ~old & BRIDGE_RESET)) {
        devemu_device_reset(s->secondary, DEVEMU_RESET_HARD);
    }
    pci_function_changed(s);
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits command_bits[] = {
    {"IO", COMMAND_IO},
    {"MEMORY", COMMAND_MEMORY},
    {"MASTER", COMMAND_MASTER},
    {"SPECIAL", 1 << 3},
    {"MWI", 1 << 4},
    {"SNOOP", 1 << 5},
    {"PARITY", COMMAND_PARITY},
    {"STEPPING", 1 << 7},
    {"SERR", COMMAND_SERR},
    {"FAST_B2B", 1 << 9},
    {"INTX_DISABLE", COMMAND_INTX_DISABLE},
    {NULL, 0},
};

static const DevemuBits status_bits[] = {
    {"INTERRUPT", STATUS_INTERRUPT},
    {"CAPABILITIES", STATUS_CAPABILITIES},
    {"66MHZ", 1 << 5},
    {"FAST_B2B", 1 << 7},
    {"MASTER_PARITY", 1 << 8},
    {"DEVSEL", 3 << 9},
    {"SIG_TARGET_ABORT", 1 << 11},
    {"REC_TARGET_ABORT", 1 << 12},
    {"REC_MASTER_ABORT", STATUS_RECEIVED_MASTER_ABORT},
    {"SIG_SYSTEM_ERROR", 1 << 14},
    {"PARITY_ERROR", 1 << 15},
    {NULL, 0},
};

static const DevemuBits bridge_bits[] = {
    {"PARITY", 1 << 0},      {"SERR", 1 << 1},     {"ISA", 1 << 2},
    {"VGA", BRIDGE_VGA},     {"VGA_16", 1 << 4},   {"MASTER_ABORT", 1 << 5},
    {"RESET", BRIDGE_RESET}, {"FAST_B2B", 1 << 7}, {NULL, 0},
};

#define F(member)    DEVEMU_IN(struct pci_function, member)
#define ERROR_STATUS 0xf900

const DevemuReg pci_header_regs[] = {
    {"VENDOR_ID", "Vendor", "PCI 3.0 6.2.1", .at = 0x00, .size = 2, .ro = 0xffff,
     .read = vendor_id},
    {"DEVICE_ID", "Device", "PCI 3.0 6.2.1", .at = 0x02, .size = 2, .ro = 0xffff,
     .read = device_id},
    {"COMMAND", "Command", "PCI 3.0 6.2.2", command_bits, .at = 0x04, .size = 2, F(command),
     .wrote = command_wrote},
    {"STATUS", "Status", "PCI 3.0 6.2.3", status_bits, .at = 0x06, .size = 2, F(status),
     .w1c = ERROR_STATUS, .ro = 0xffff & ~ERROR_STATUS, .read = status_read},
    {"REVISION_ID", "Revision", "PCI 3.0 6.2.1", .at = 0x08, .ro = 0xff, .read = revision_id},
    {"CLASS_CODE", "Class, from the programming interface up", "PCI 3.0 6.2.1", .at = 0x09,
     .count = 3, .ro = 0xff, .read = class_code},
    {"CACHE_LINE_SIZE", "Cache line, in dwords", "PCI 3.0 6.2.4", .at = 0x0c, F(cache_line)},
    {"LATENCY_TIMER", "Latency timer, in bus clocks", "PCI 3.0 6.2.4", .at = 0x0d, F(latency)},
    {"HEADER_TYPE", "Header type", "PCI 3.0 6.2.1", .at = 0x0e, .ro = 0xff, .read = header_type},
    {"BIST", "Self-test: none", "PCI 3.0 6.2.4", .at = 0x0f, .ro = 0xff},

    /* Type 0. */
    {"BAR", "Base address", "PCI 3.0 6.2.5.1", .at = 0x10, .size = 4, .count = 6,
     DEVEMU_IN_ARRAY(struct pci_function, bar), .read = bar_read, .wrote = bar_wrote,
     .decoded = is_plain},
    {"CARDBUS_CIS", "Card information: none", "PCI 3.0 6.2.4", .at = 0x28, .size = 4,
     .ro = 0xffffffff, .decoded = is_plain},
    {"SUBSYSTEM_VENDOR_ID", "Vendor of the card", "PCI 3.0 6.2.4", .at = 0x2c, .size = 2,
     .ro = 0xffff, .read = subsystem_vendor, .decoded = is_plain},
    {"SUBSYSTEM_ID", "Card", "PCI 3.0 6.2.4", .at = 0x2e, .size = 2, .ro = 0xffff,
     .read = subsystem, .decoded = is_plain},
    {"ROM_BASE", "Base address of the expansion ROM", "PCI 3.0 6.2.5.2", .at = 0x30, .size = 4,
     F(rom_bar), .wrote = rom_wrote, .decoded = is_plain},
    {"RESERVED_38", "Reserved", "PCI 3.0 6.1", .at = 0x38, .size = 4, .ro = 0xffffffff,
     .decoded = is_plain},
    {"MIN_GNT", "Burst length wanted, in 250 ns", "PCI 3.0 6.2.4", .at = 0x3e, .ro = 0xff,
     .read = min_gnt, .decoded = is_plain},
    {"MAX_LAT", "Latency borne, in 250 ns", "PCI 3.0 6.2.4", .at = 0x3f, .ro = 0xff,
     .read = max_lat, .decoded = is_plain},

    /* Both. */
    {"CAPABILITIES", "First capability", "PCI 3.0 6.7", .at = 0x34, .ro = 0xff,
     .read = capabilities},
    {"RESERVED_35", "Reserved", "PCI 3.0 6.1", .at = 0x35, .count = 3, .ro = 0xff},
    {"INTERRUPT_LINE", "Where firmware routed it", "PCI 3.0 6.2.4", .at = 0x3c, F(interrupt_line)},
    {"INTERRUPT_PIN", "INTA# is 1; 0 is none", "PCI 3.0 6.2.4", .at = 0x3d, .ro = 0xff,
     .read = interrupt_pin},

    /* Type 1. */
    {"BRIDGE_BAR", "Base address", "bridges 1.2 3.2.5.1", .at = 0x10, .size = 4, .count = 2,
     DEVEMU_IN_ARRAY(struct pci_function, bar), .read = bar_read, .wrote = bar_wrote,
     .decoded = is_bridge},
    {"PRIMARY_BUS", "Bus above", "bridges 1.2 3.2.5.2", .at = 0x18, F(primary),
     .decoded = is_bridge},
    {"SECONDARY_BUS", "Bus below", "bridges 1.2 3.2.5.3", .at = 0x19, F(secondary_number),
     .decoded = is_bridge},
    {"SUBORDINATE_BUS", "Highest bus below", "bridges 1.2 3.2.5.4", .at = 0x1a, F(subordinate),
     .decoded = is_bridge},
    {"SECONDARY_LATENCY", "Latency timer of the bus below", "bridges 1.2 3.2.5.5", .at = 0x1b,
     F(secondary_latency), .decoded = is_bridge},
    {"IO_BASE", "Ports from", "bridges 1.2 3.2.5.6", .at = 0x1c, F(io_base), .ro = 0x0f,
     .wrote = window_wrote, .decoded = is_bridge},
    {"IO_LIMIT", "Ports to", "bridges 1.2 3.2.5.6", .at = 0x1d, F(io_limit), .ro = 0x0f,
     .wrote = window_wrote, .decoded = is_bridge},
    {"SECONDARY_STATUS", "Status of the bus below", "bridges 1.2 3.2.5.7", status_bits, .at = 0x1e,
     .size = 2, F(secondary_status), .w1c = ERROR_STATUS, .ro = 0xffff & ~ERROR_STATUS,
     .decoded = is_bridge},
    {"MEMORY_BASE", "Memory from", "bridges 1.2 3.2.5.8", .at = 0x20, .size = 2, F(memory_base),
     .ro = 0x0f, .wrote = window_wrote, .decoded = is_bridge},
    {"MEMORY_LIMIT", "Memory to", "bridges 1.2 3.2.5.8", .at = 0x22, .size = 2, F(memory_limit),
     .ro = 0x0f, .wrote = window_wrote, .decoded = is_bridge},
    {"PREFETCH_BASE", "Prefetchable memory from", "bridges 1.2 3.2.5.9", .at = 0x24, .size = 2,
     F(prefetch_base), .ro = 0x0f, .read = prefetch_base_read, .wrote = window_wrote,
     .decoded = is_bridge},
    {"PREFETCH_LIMIT", "Prefetchable memory to", "bridges 1.2 3.2.5.9", .at = 0x26, .size = 2,
     F(prefetch_limit), .ro = 0x0f, .read = prefetch_limit_read, .wrote = window_wrote,
     .decoded = is_bridge},
    {"PREFETCH_BASE_UPPER", "Its upper half", "bridges 1.2 3.2.5.10", .at = 0x28, .size = 4,
     F(prefetch_base_upper), .wrote = window_wrote, .decoded = is_bridge},
    {"PREFETCH_LIMIT_UPPER", "Its upper half", "bridges 1.2 3.2.5.10", .at = 0x2c, .size = 4,
     F(prefetch_limit_upper), .wrote = window_wrote, .decoded = is_bridge},
    {"IO_BASE_UPPER", "16 address lines: none", "bridges 1.2 3.2.5.11", .at = 0x30, .size = 2,
     .ro = 0xffff, .decoded = is_bridge},
    {"IO_LIMIT_UPPER", "16 address lines: none", "bridges 1.2 3.2.5.11", .at = 0x32, .size = 2,
     .ro = 0xffff, .decoded = is_bridge},
    {"BRIDGE_ROM_BASE", "Base address of the expansion ROM", "bridges 1.2 3.2.5.14", .at = 0x38,
     .size = 4, F(rom_bar), .wrote = rom_wrote, .decoded = is_bridge},
    {"BRIDGE_CONTROL", "Bridge control", "bridges 1.2 3.2.5.18", bridge_bits, .at = 0x3e, .size = 2,
     F(bridge_control), .rsvd = 0xff00, .wrote = bridge_control_wrote, .decoded = is_bridge},
};
