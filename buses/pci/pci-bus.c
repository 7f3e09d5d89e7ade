/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-bus.c: a bus segment: address decode, configuration mechanism #1 (PCI 3.0 3.2.2.3.2), the
 * interrupt lines.
 */
#include "pci.h"

#define ADDRESS_ENABLE (UINT32_C(1) << 31)

/* Banks that nobody but this file sees. */
enum {
    BANK_REGISTERS = DEVEMU_PCI_CONFIG + 1,
    BANKS,
};

enum {
    ADDRESS_LOW = 3, /* always 0 on a real bridge */

    /* The two halves of mechanism #1. */
    PORT_ADDRESS = 0,
    PORT_DATA = 4,
};

/* --- decode ------------------------------------------------------------------------ */

void pci_bus_rebuild(struct pci_bus *bus)
{
    pci_space_clear(&bus->io);
    pci_space_clear(&bus->memory);
    for (unsigned i = 0; i < PCI_SLOTS; i++) {
        const struct pci_function *f = bus->slots[i];

        for (unsigned r = 0; f && r < f->range_count; r++) {
            pci_space_add(f->ranges[r].io ? &bus->io : &bus->memory, &f->ranges[r]);
        }
    }
}

/* The access may move what it hits: nothing of the segment is used behind it. */
static DevemuAccess space_read(struct pci_space *space, uint64_t at, unsigned size,
                               uint64_t *ret_value)
{
    const struct pci_segment *seg = pci_space_find(space, at);
    uint64_t off;

    if (seg == NULL) {
        return DEVEMU_ACCESS_NONE;
    }
    off = at - seg->base;
    if (G_UNLIKELY(size - 1 > seg->span - off)) {
        return DEVEMU_ACCESS_SIZE;
    }
    return devemu_device_read(seg->leaf, seg->bank, seg->at + off, size, ret_value);
}

static DevemuAccess space_write(struct pci_space *space, uint64_t at, unsigned size, uint64_t value)
{
    const struct pci_segment *seg = pci_space_find(space, at);
    uint64_t off;

    if (seg == NULL) {
        return DEVEMU_ACCESS_NONE;
    }
    off = at - seg->base;
    if (G_UNLIKELY(size - 1 > seg->span - off)) {
        return DEVEMU_ACCESS_SIZE;
    }
    return devemu_device_write(seg->leaf, seg->bank, seg->at + off, size, value);
}

static DevemuAccess io_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct pci_bus *s = state;

    return space_read(&s->io, at, size, ret_value);
}

static DevemuAccess io_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct pci_bus *s = state;

    return space_write(&s->io, at, size, value);
}

static DevemuAccess memory_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct pci_bus *s = state;

    return space_read(&s->memory, at, size, ret_value);
}

static DevemuAccess memory_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct pci_bus *s = state;

    return space_write(&s->memory, at, size, value);
}

/* --- configuration ----------------------------------------------------------------- */

/* The bus of that number at or below this one (bridges 1.2 3.1.2): a bridge takes what lies from
 * its secondary to its subordinate number. The way leads down the tree only. */
static struct pci_bus *bus_numbered(struct pci_bus *bus, unsigned own, unsigned number)
{
    while (number != own) {
        struct pci_function *bridge = NULL;

        for (unsigned i = 0; bus->bridges && i < PCI_SLOTS && bridge == NULL; i++) {
            struct pci_function *f = bus->slots[i];

            if (f && f->secondary && f->secondary_number && number >= f->secondary_number &&
                number <= f->subordinate) {
                bridge = f;
            }
        }
        if (bridge == NULL) {
            return NULL;
        }
        own = bridge->secondary_number;
        bus = bridge->secondary->state;
    }
    return bus;
}

static struct pci_function *function_numbered(struct pci_bus *s, unsigned number, unsigned devfn)
{
    struct pci_bus *bus = bus_numbered(s, 0, number);

    return bus ? bus->slots[devfn] : NULL;
}

/* PCI 3.0 6.1: nobody there: master abort, all ones. */
static DevemuAccess one_read(struct pci_function *f, uint64_t at, unsigned size,
                             uint64_t *ret_value)
{
    if (f == NULL) {
        *ret_value = UINT64_MAX >> (64 - size * 8);
        return DEVEMU_ACCESS_OK;
    }
    return pci_config_read(f, at, size, ret_value);
}

static DevemuAccess one_write(struct pci_function *f, uint64_t at, unsigned size, uint64_t value)
{
    return f ? pci_config_write(f, at, size, value) : DEVEMU_ACCESS_OK;
}

static DevemuAccess config_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct pci_function *f = function_numbered(state, at >> 20 & 0xff, at >> 12 & 0xff);

    return one_read(f, at & 0xfff, size, ret_value);
}

static DevemuAccess config_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct pci_function *f = function_numbered(state, at >> 20 & 0xff, at >> 12 & 0xff);

    return one_write(f, at & 0xfff, size, value);
}

/* Is it CONFIG_DATA, and does the address register let it through? */
static bool is_data(const struct pci_bus *s, uint64_t at, uint64_t *ret_register)
{
    if (at < PORT_DATA || !(s->address & ADDRESS_ENABLE)) {
        return false;
    }
    *ret_register = (s->address & 0xff) | (at & 3);
    return true;
}

/* PCI 3.0 3.2.2.3.2: only a whole dword at CF8h is CONFIG_ADDRESS; anything else there, and all
 * while bit 31 is 0, is an ordinary port. */
static DevemuAccess mechanism_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct pci_bus *s = state;
    uint64_t reg = 0;

    if (at == PORT_ADDRESS && size == 4) {
        *ret_value = devemu_bank_read(s->dev, BANK_REGISTERS, 0);
        return DEVEMU_ACCESS_OK;
    }
    if (!is_data(s, at, &reg)) {
        return DEVEMU_ACCESS_NONE;
    }
    return one_read(function_numbered(s, s->address >> 16 & 0xff, s->address >> 8 & 0xff), reg,
                    size, ret_value);
}

static DevemuAccess mechanism_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct pci_bus *s = state;
    uint64_t reg = 0;

    if (at == PORT_ADDRESS && size == 4) {
        devemu_bank_write(s->dev, BANK_REGISTERS, 0, value);
        return DEVEMU_ACCESS_OK;
    }
    if (!is_data(s, at, &reg)) {
        return DEVEMU_ACCESS_NONE;
    }
    return one_write(function_numbered(s, s->address >> 16 & 0xff, s->address >> 8 & 0xff), reg,
                     size, value);
}

static void address_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_bus *s = state;

    (void)index;
    (void)value;
    (void)old;
    if (!s->loose) {
        s->address &= ~(uint32_t)ADDRESS_LOW;
    }
}

/* --- what functions ask of the bus ------------------------------------------------- */

static void slot_set_line(void *host, unsigned line, bool level)
{
    struct pci_function *f = host;
    struct pci_bus *s = f->bus;
    /* A function drives one pin, a bridge all four. */
    unsigned pin = f->secondary ? line : f->pci->interrupt_pin - 1u;
    unsigned wire = ((f->devfn >> 3) - s->swizzle_base + pin) & 3;

    if (line >= 4) {
        return;
    }
    if (level) {
        s->interrupts[wire]++;
    } else if (s->interrupts[wire] > 0) {
        s->interrupts[wire]--;
    }
    devemu_device_settle(s->dev);
}

static bool slot_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    const DevemuDevice *bus = ((struct pci_function *)host)->bus->dev;

    return bus->ops.dma_read && bus->ops.dma_read(bus->host, addr, buf, len);
}

static bool slot_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    const DevemuDevice *bus = ((struct pci_function *)host)->bus->dev;

    return bus->ops.dma_write && bus->ops.dma_write(bus->host, addr, buf, len);
}

static bool slot_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    const DevemuDevice *bus = ((struct pci_function *)host)->bus->dev;

    return bus->ops.dma_map && bus->ops.dma_map(bus->host, addr, ret_window);
}

static void slot_msi(void *host, uint64_t addr, uint32_t data)
{
    const DevemuDevice *bus = ((struct pci_function *)host)->bus->dev;

    if (bus->ops.msi) {
        bus->ops.msi(bus->host, addr, data);
    }
}

static uint64_t slot_now(void *host)
{
    return devemu_now(((struct pci_function *)host)->bus->dev);
}

static void slot_log(void *host, DevemuLogLevel level, const char *text)
{
    const DevemuDevice *bus = ((struct pci_function *)host)->bus->dev;

    if (bus->ops.log) {
        bus->ops.log(bus->host, level, text);
    }
}

static const DevemuHostOps slot_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = slot_dma_read,
    .dma_write = slot_dma_write,
    .dma_map = slot_dma_map,
    .set_line = slot_set_line,
    .msi = slot_msi,
    .now = slot_now,
    .log = slot_log,
};

static uint64_t bus_lines(const void *state)
{
    const struct pci_bus *s = state;
    uint64_t lines = 0;

    for (unsigned i = 0; i < 4; i++) {
        lines |= (uint64_t)(s->interrupts[i] > 0) << i;
    }
    return lines;
}

/* --- plugging ---------------------------------------------------------------------- */

bool pci_bus_siblings(const struct pci_bus *bus, const struct pci_function *f)
{
    unsigned device = f->devfn & ~7u;

    for (unsigned i = 0; i < 8; i++) {
        if (bus->slots[device + i] && bus->slots[device + i] != f) {
            return true;
        }
    }
    return false;
}

static int next_free(const struct pci_bus *s)
{
    for (int device = 0; device < PCI_SLOTS; device += 8) {
        bool taken = false;

        for (int i = 0; i < 8; i++) {
            taken = taken || s->slots[device + i];
        }
        if (!taken) {
            return device;
        }
    }
    return -1;
}

bool pci_bus_plug(DevemuDevice *bus, DevemuDevice *function, int devfn, GError **error)
{
    struct pci_bus *s = bus->state;
    struct pci_function *f = function->state;
    char name[16];

    if (devfn < 0) {
        devfn = next_free(s);
    }
    if (devfn < 0 || devfn >= PCI_SLOTS || s->slots[devfn]) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "%s: no place for %s: it is taken, or the bus is full", bus->name,
                    f->child ? f->child->name : function->name);
        return false;
    }
    f->bus = s;
    f->devfn = (uint8_t)devfn;
    s->slots[devfn] = f;
    s->bridges += f->secondary != NULL;
    g_snprintf(name, sizeof(name), "%02x.%x", devfn >> 3, devfn & 7);
    devemu_device_adopt(bus, function, &slot_ops, f, name);
    pci_bus_rebuild(s);
    return true;
}

/* "1f", "1f.0": device and function, hexadecimal. */
static bool bus_plug(DevemuDevice *bus, DevemuDevice *dev, const char *where, GError **error)
{
    guint64 device, function = 0;
    gchar *end = NULL;
    bool good;

    if (where == NULL) {
        return devemu_pci_plug(bus, dev, -1, error);
    }
    good = g_ascii_isxdigit(*where);
    device = g_ascii_strtoull(where, &end, 16);
    if (good && *end == '.') {
        good = g_ascii_isxdigit(end[1]);
        function = g_ascii_strtoull(end + 1, &end, 16);
    }
    if (!good || *end != '\0' || device > 0x1f || function > 7) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "%s: '%s' is no place; say DEVICE or DEVICE.FUNCTION in hexadecimal, up to "
                    "1f.7",
                    bus->name, where);
        return false;
    }
    return devemu_pci_plug(bus, dev, (int)(device << 3 | function), error);
}

static void bus_unplug(DevemuDevice *bus, DevemuDevice *dev)
{
    struct pci_bus *s = bus->state;
    struct pci_function *f = dev->state;

    devemu_device_orphan(dev);
    s->slots[f->devfn] = NULL;
    s->bridges -= f->secondary != NULL;
    f->bus = NULL;
    pci_bus_rebuild(s);
}

static void bus_finish(void *state)
{
    struct pci_bus *s = state;

    pci_space_free(&s->io);
    pci_space_free(&s->memory);
}

static void bus_reset(void *state, DevemuReset kind)
{
    struct pci_bus *s = state;

    for (unsigned i = 0; kind != DEVEMU_RESET_POWER && i < PCI_SLOTS; i++) {
        if (s->slots[i]) {
            devemu_device_reset(s->slots[i]->dev, DEVEMU_RESET_HARD);
        }
    }
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits address_bits[] = {{"ENABLE", ADDRESS_ENABLE}, {"BUS", 0xff0000},
                                          {"DEVICE", 0xf800},         {"FUNCTION", 0x700},
                                          {"REGISTER", 0xfc},         {NULL, 0}};

static const DevemuReg regs[] = {
    {"CONFIG_ADDRESS", "Configuration address", "PCI 3.0 3.2.2.3.2", address_bits, .at = 0,
     .size = 4, DEVEMU_IN(struct pci_bus, address), .rsvd = 0x7f000000, .wrote = address_wrote},
};

static const DevemuBank banks[BANKS] = {
    [DEVEMU_PCI_IO] = {.name = "io",
                       .kind = DEVEMU_BANK_PIO,
                       .size = 0x10000,
                       .read = io_read,
                       .write = io_write},
    [DEVEMU_PCI_MEMORY] = {.name = "memory",
                           .kind = DEVEMU_BANK_MMIO,
                           .read = memory_read,
                           .write = memory_write},
    [DEVEMU_PCI_MECHANISM_1] = {.name = "mechanism-1",
                                .kind = DEVEMU_BANK_PIO,
                                .size = 8,
                                .read = mechanism_read,
                                .write = mechanism_write},
    [DEVEMU_PCI_CONFIG] = {.name = "config",
                           .kind = DEVEMU_BANK_CONFIG,
                           .size = UINT64_C(256) << 20,
                           .read = config_read,
                           .write = config_write},
    [BANK_REGISTERS] = {.name = "registers",
                        .kind = DEVEMU_BANK_INDEXED,
                        .size = 1,
                        .regs = regs,
                        .reg_count = DEVEMU_N_ELEMENTS(regs)},
};

static const DevemuField fields[] = {
    DEVEMU_SKIP(struct pci_bus, slots),
    DEVEMU_SKIP(struct pci_bus, io),
    DEVEMU_SKIP(struct pci_bus, memory),
    DEVEMU_SKIP(struct pci_bus, interrupts),
    DEVEMU_SKIP(struct pci_bus, bridges),
    DEVEMU_SKIP(struct pci_bus, unused),
    {NULL},
};

static const char *const address_choices[] = {"strict", "loose", NULL};

static const DevemuProperty properties[] = {
    {"config-address", DEVEMU_PROPERTY_ENUM, DEVEMU_OPTION(struct pci_bus, loose),
     .value = "strict", .choices = address_choices,
     .doc = "strict: bits 1:0 of CONFIG_ADDRESS are zero, as on every real bridge; loose: they are "
            "kept and added to the data port's offset, as clients of QEMU expect"},
    {"swizzle-base", DEVEMU_PROPERTY_UINT, DEVEMU_OPTION(struct pci_bus, swizzle_base),
     .value = "0", .max = 31,
     .doc = "the device whose INTA# is output line 0: 0 by the bridge specification, 1 on boards "
            "with i440FX and PIIX"},
    {NULL},
};

static const char *const outputs[] = {"INTA", "INTB", "INTC", "INTD", NULL};

const DevemuModel devemu_model_pci_bus = {
    .name = "pci-bus",
    .title = "PCI bus",
    .datasheet = "PCI Local Bus Specification 3.0",
    .not_modelled = "special cycles; parity; arbitration and latency",
    .state_size = sizeof(struct pci_bus),
    .banks = banks,
    .bank_count = BANKS,
    .fields = fields,
    .properties = properties,
    .outputs = outputs,
    .lines = bus_lines,
    .reset = bus_reset,
    .finish = bus_finish,
    .plug = bus_plug,
    .unplug = bus_unplug,
    .is_bus = true,
};
