/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-function.c: a PCI function, a device to what is above it and the host of one model.
 */
#include "pci.h"

/* --- the model's host -------------------------------------------------------------- */

static bool may_master(const struct pci_function *s)
{
    return (s->command & COMMAND_MASTER) && pci_awake(s);
}

/* PCI 3.0 6.2.3: nobody claimed what the function began. */
static bool aborted(struct pci_function *s)
{
    s->status |= STATUS_RECEIVED_MASTER_ABORT;
    return false;
}

static bool below_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuDevice *dev = host;
    struct pci_function *s = dev->state;

    if (!may_master(s)) {
        return false;
    }
    return (dev->ops.dma_read && dev->ops.dma_read(dev->host, addr, buf, len)) || aborted(s);
}

static bool below_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuDevice *dev = host;
    struct pci_function *s = dev->state;

    if (!may_master(s)) {
        return false;
    }
    return (dev->ops.dma_write && dev->ops.dma_write(dev->host, addr, buf, len)) || aborted(s);
}

static bool below_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuDevice *dev = host;

    return may_master(dev->state) && dev->ops.dma_map &&
           dev->ops.dma_map(dev->host, addr, ret_window);
}

static void pin_set(DevemuDevice *dev, unsigned pin, bool level)
{
    struct pci_function *s = dev->state;

    s->pins = (uint8_t)((s->pins & ~(1u << pin)) | (unsigned)level << pin);
    devemu_device_settle(dev);
}

/* Line 0 is the interrupt; the others are pins beside the bus. */
static void below_set_line(void *host, unsigned line, bool level)
{
    DevemuDevice *dev = host;

    if (line == 0 && !pci_is_bridge(dev->state)) {
        pin_set(dev, 0, level);
    }
}

static void bridged_set_line(void *host, unsigned line, bool level)
{
    if (line < 4) {
        pin_set(host, line, level);
    }
}

static void below_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuDevice *dev = host;

    (void)data;
    pci_msi_send(dev->state, (unsigned)addr);
}

/* Messages from behind a bridge are what they are. */
static void bridged_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuDevice *dev = host;

    pci_function_signal(dev->state, addr, data);
}

DevemuHostOps pci_below_ops(bool bridged)
{
    DevemuHostOps ops = devemu_passing_ops;

    ops.dma_read = below_dma_read;
    ops.dma_write = below_dma_write;
    ops.dma_map = below_dma_map;
    ops.set_line = bridged ? bridged_set_line : below_set_line;
    ops.msi = bridged ? bridged_msi : below_msi;
    return ops;
}

void pci_function_signal(struct pci_function *s, uint64_t addr, uint32_t data)
{
    /* A message is a write by the function (PCI 3.0 6.8): without bus mastering there is none. */
    if (may_master(s) && s->dev->ops.msi) {
        s->dev->ops.msi(s->dev->host, addr, data);
    }
}

void pci_function_gate(struct pci_function *s)
{
    if (may_master(s)) {
        return;
    }
    if (s->child) {
        devemu_device_revoke(s->child);
    }
    if (s->secondary) {
        devemu_device_revoke(s->secondary);
    }
}

void pci_function_changed(struct pci_function *s)
{
    struct pci_range ranges[PCI_RANGES];
    unsigned count = pci_ranges(s, ranges);

    if (count == s->range_count && memcmp(ranges, s->ranges, count * sizeof(ranges[0])) == 0) {
        return;
    }
    memcpy(s->ranges, ranges, sizeof(ranges));
    s->range_count = count;
    if (s->bus) {
        pci_bus_rebuild(s->bus);
    }
}

/* --- lines, reset, snapshots ------------------------------------------------------- */

/* Line 0 is the pin that the function uses; a bridge has all four. */
static uint64_t function_lines(const void *state)
{
    const struct pci_function *s = state;

    if (s->secondary) {
        return s->pins;
    }
    /* PCI 3.0 6.2.2 bit 10, 6.8.1.3, 6.8.2.3: messages take the place of the pin. */
    if (s->child == NULL || !s->pci->interrupt_pin || (s->command & COMMAND_INTX_DISABLE) ||
        pci_msi_enabled(s) || pci_msix_enabled(s) || !pci_awake(s)) {
        return 0;
    }
    return s->pins & 1;
}

void pci_function_reset(struct pci_function *s)
{
    s->command = s->pci->command;
    pci_function_gate(s);
    if (s->child) {
        devemu_device_reset(s->child, DEVEMU_RESET_HARD);
    }
    if (s->msix) {
        devemu_device_reset(s->msix, DEVEMU_RESET_HARD);
    }
    if (s->secondary) {
        devemu_device_reset(s->secondary, DEVEMU_RESET_HARD);
    }
    pci_function_changed(s);
}

/* A soft reset from above is the wire's, too: a function has no other. */
static void function_reset(void *state, DevemuReset kind)
{
    if (kind != DEVEMU_RESET_POWER) {
        pci_function_reset(state);
    }
}

static bool function_valid(const void *state)
{
    const struct pci_function *s = state;
    unsigned power = s->power_control & POWER_STATE;

    for (unsigned i = 0; i < 6; i++) {
        if (s->bar[i] & ~(i < pci_bar_count(s) ? pci_bar_mask(s, i) : 0)) {
            return false;
        }
    }
    return (s->command & ~s->command_mask) == (s->pci->command & ~s->command_mask) &&
           (s->rom_bar & ~(s->rom_size ? (uint32_t) ~(s->rom_size - 1) | 1 : 0)) == 0 &&
           (power == 0 || power == POWER_D3HOT);
}

static void function_loaded(void *state)
{
    pci_function_gate(state);
    pci_function_changed(state);
}

/* --- banks seen from above --------------------------------------------------------- */

static DevemuAccess config_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    return pci_config_read(state, at, size, ret_value);
}

static DevemuAccess config_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    return pci_config_write(state, at, size, value);
}

/* The device and bank behind a BAR, if it decodes; a server knows the place, so none is asked for.
 */
static DevemuDevice *bar_target(const struct pci_function *s, unsigned bar, unsigned *ret_bank)
{
    bool io;

    if (s->child == NULL || s->bar_size[bar] == 0 || !pci_awake(s)) {
        return NULL;
    }
    io = pci_bar_kind(s, bar) & 1;
    if (!(s->command & (io ? COMMAND_IO : COMMAND_MEMORY))) {
        return NULL;
    }
    if (s->msix && bar == s->pci->msix_bar) {
        *ret_bank = 0;
        return s->msix;
    }
    *ret_bank = s->pci->bars[bar].bank - 1;
    return s->child;
}

static DevemuAccess bar_read(struct pci_function *s, unsigned bar, uint64_t at, unsigned size,
                             uint64_t *ret_value)
{
    unsigned bank = 0;
    DevemuDevice *target = bar_target(s, bar, &bank);

    if (target == NULL || at >= s->bar_size[bar] || size > s->bar_size[bar] - at) {
        return DEVEMU_ACCESS_NONE;
    }
    return devemu_device_read(target, bank, at, size, ret_value);
}

static DevemuAccess bar_write(struct pci_function *s, unsigned bar, uint64_t at, unsigned size,
                              uint64_t value)
{
    unsigned bank = 0;
    DevemuDevice *target = bar_target(s, bar, &bank);

    if (target == NULL || at >= s->bar_size[bar] || size > s->bar_size[bar] - at) {
        return DEVEMU_ACCESS_NONE;
    }
    return devemu_device_write(target, bank, at, size, value);
}

static DevemuAccess bar0_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    return bar_read(state, 0, at, size, ret_value);
}

static DevemuAccess bar0_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    return bar_write(state, 0, at, size, value);
}

static DevemuAccess bar1_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    return bar_read(state, 1, at, size, ret_value);
}

static DevemuAccess bar1_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    return bar_write(state, 1, at, size, value);
}

static DevemuAccess bar2_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    return bar_read(state, 2, at, size, ret_value);
}

static DevemuAccess bar2_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    return bar_write(state, 2, at, size, value);
}

static DevemuAccess bar3_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    return bar_read(state, 3, at, size, ret_value);
}

static DevemuAccess bar3_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    return bar_write(state, 3, at, size, value);
}

static DevemuAccess bar4_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    return bar_read(state, 4, at, size, ret_value);
}

static DevemuAccess bar4_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    return bar_write(state, 4, at, size, value);
}

static DevemuAccess bar5_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    return bar_read(state, 5, at, size, ret_value);
}

static DevemuAccess bar5_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    return bar_write(state, 5, at, size, value);
}

/* What lies behind the image in the BAR reads as ones, as an unwritten ROM does. */
static DevemuAccess rom_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    const struct pci_function *s = state;
    uint64_t value = 0;

    if (s->rom_size == 0 || at >= s->rom_size || size > s->rom_size - at ||
        !(s->command & COMMAND_MEMORY) || !(s->rom_bar & 1) || !pci_awake(s)) {
        return DEVEMU_ACCESS_NONE;
    }
    for (unsigned i = 0; i < size; i++) {
        uint64_t byte = at + i < s->rom->len ? s->rom->data[at + i] : 0xff;

        value |= byte << (i * 8);
    }
    *ret_value = value;
    return DEVEMU_ACCESS_OK;
}

static DevemuAccess rom_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    uint64_t unused;

    (void)value;
    return rom_read(state, at, size, &unused);
}

/* --- the model of functions -------------------------------------------------------- */

#define SEEN(label, reader, writer)                                                                \
    {                                                                                              \
        .name = (label), .kind = DEVEMU_BANK_MMIO, .read = (reader), .write = (writer)             \
    }
#define REGISTERS(label, table, bytes)                                                             \
    {                                                                                              \
        .name = (label), .kind = DEVEMU_BANK_CONFIG, .size = (bytes), .regs = (table),             \
        .reg_count = DEVEMU_N_ELEMENTS(table), .lanes = true                                       \
    }

static const DevemuBank banks[PCI_BANKS] = {
    [PCI_BANK_CONFIG] = {.name = "config",
                         .kind = DEVEMU_BANK_CONFIG,
                         .size = PCI_CONFIG_BYTES,
                         .read = config_read,
                         .write = config_write},
    [PCI_BANK_BAR0] = SEEN("bar0", bar0_read, bar0_write),
    [PCI_BANK_BAR0 + 1] = SEEN("bar1", bar1_read, bar1_write),
    [PCI_BANK_BAR0 + 2] = SEEN("bar2", bar2_read, bar2_write),
    [PCI_BANK_BAR0 + 3] = SEEN("bar3", bar3_read, bar3_write),
    [PCI_BANK_BAR0 + 4] = SEEN("bar4", bar4_read, bar4_write),
    [PCI_BANK_BAR0 + 5] = SEEN("bar5", bar5_read, bar5_write),
    [PCI_BANK_ROM] = SEEN("rom", rom_read, rom_write),
    [PCI_BANK_HEADER] = REGISTERS("header", pci_header_regs, PCI_HEADER_BYTES),
    [PCI_BANK_POWER] = REGISTERS("pm", pci_power_regs, PCI_POWER_BYTES),
    [PCI_BANK_MSI] = REGISTERS("msi", pci_msi_regs, PCI_MSI_BYTES),
    [PCI_BANK_MSIX] = REGISTERS("msix", pci_msix_regs, PCI_MSIX_BYTES),
    [PCI_BANK_FLR] = REGISTERS("af", pci_flr_regs, PCI_FLR_BYTES),
};

#define SKIP(member) DEVEMU_SKIP(struct pci_function, member)

static const DevemuField fields[] = {
    SKIP(child),
    SKIP(msix),
    SKIP(secondary),
    SKIP(pci),
    SKIP(rom),
    SKIP(bus),
    SKIP(bar_size),
    SKIP(rom_size),
    SKIP(ranges),
    SKIP(range_count),
    SKIP(command_mask),
    SKIP(devfn),
    SKIP(first_capability),
    SKIP(next_power),
    SKIP(next_msi),
    SKIP(next_msix),
    SKIP(next_flr),
    SKIP(pins),
    SKIP(messages),
    SKIP(host_vectors),
    SKIP(map),
    SKIP(unused_2),
    {NULL},
};

static const char *const outputs[] = {"INTx", "INTB", "INTC", "INTD", NULL};

/* Taking the model out of its function takes the function out of the bus, and ends it. */
static void function_unplug(DevemuDevice *dev, DevemuDevice *child)
{
    struct pci_function *s = dev->state;

    if (child != s->child) {
        return;
    }
    devemu_device_orphan(child);
    s->child = NULL;
    pci_function_changed(s);
    if (s->bus) {
        devemu_device_free(dev);
    }
}

static bool function_plug(DevemuDevice *dev, DevemuDevice *child, const char *where, GError **error)
{
    struct pci_function *s = dev->state;

    if (s->secondary == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "%s is no bridge: %s cannot be plugged into it", dev->name, child->name);
        return false;
    }
    return devemu_bus_plug(s->secondary, child, where, error);
}

const DevemuModel pci_function_model = {
    .name = "pci-function",
    .title = "PCI function around a model",
    .datasheet = "PCI Local Bus Specification 3.0",
    .not_modelled = "BIST; parity and system errors; PME#",
    .state_size = sizeof(struct pci_function),
    .banks = banks,
    .bank_count = PCI_BANKS,
    .fields = fields,
    .outputs = outputs,
    .lines = function_lines,
    .reset = function_reset,
    .valid = function_valid,
    .loaded = function_loaded,
    .plug = function_plug,
    .unplug = function_unplug,
    .is_bus = true,
};
