/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * toy.h: a PCI device with one of everything, a bridge, and a host with RAM, for tests of the bus.
 */
#ifndef TESTS_BUSES_PCI_TOY_H
#define TESTS_BUSES_PCI_TOY_H

#include <devemu/bus.h>

#include <criterion/criterion.h>

/* --- the device: ports that do what they are told ---------------------------------- */

enum {
    TOY_IO,
    TOY_MEMORY,
    TOY_CONFIG,
    TOY_EXTRA,

    TOY_VALUE = 0x00,  /* a dword */
    TOY_LINE = 0x04,   /* bit 0: output line 0, bit 1: output line 1 */
    TOY_MSI = 0x05,    /* send this vector */
    TOY_STATUS = 0x06, /* did the last DMA work? */
    TOY_ADDR = 0x08,   /* where DMA goes */
    TOY_READ = 0x0c,   /* write: read by DMA; read: what came */
    TOY_WRITE = 0x10,  /* write: write by DMA */

    TOY_CONFIG_BYTE = 0x60,
    TOY_RANGE = 0x64, /* word: base of 16 more ports, 0 none */
};

struct toy {
    DevemuDevice *dev;
    uint32_t value, addr, data;
    uint8_t line, status, config, unused;
    uint16_t range;
    uint16_t resets;
    uint32_t unused_2;
    DevemuBlob rom;
};

static void toy_msi(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct toy *s = state;

    (void)index;
    (void)old;
    devemu_send_msi(s->dev, (unsigned)value);
}

static void toy_read(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct toy *s = state;
    uint8_t buf[4];

    (void)index;
    (void)value;
    (void)old;
    s->status = devemu_dma_read(s->dev, s->addr, buf, 4);
    s->data = devemu_le32(buf);
}

static void toy_write(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct toy *s = state;
    uint8_t buf[4];

    (void)index;
    (void)old;
    devemu_put_le32(buf, (uint32_t)value);
    s->status = devemu_dma_write(s->dev, s->addr, buf, 4);
}

static DevemuAccess toy_memory_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    (void)state;
    (void)size;
    *ret_value = 0xa0 + at / 4;
    return DEVEMU_ACCESS_OK;
}

static void toy_reset(void *state, DevemuReset kind)
{
    struct toy *s = state;

    s->resets = kind == DEVEMU_RESET_POWER ? 0 : (uint16_t)(s->resets + 1);
}

static uint64_t toy_lines(const void *state)
{
    return ((const struct toy *)state)->line & 3;
}

static unsigned toy_ranges(const void *state, DevemuPciRange *ret_ranges, unsigned max)
{
    const struct toy *s = state;

    (void)max;
    ret_ranges[0] =
        (DevemuPciRange){.io = true, .bank = TOY_EXTRA, .base = s->range, .len = 16, .at = 0};
    return s->range ? 1 : 0;
}

#define TOY_F(member) DEVEMU_IN(struct toy, member)

static const DevemuReg toy_io_regs[] = {
    {"VALUE", .at = TOY_VALUE, .size = 4, TOY_F(value)},
    {"LINE", .at = TOY_LINE, TOY_F(line)},
    {"MSI", .at = TOY_MSI, .wrote = toy_msi},
    {"STATUS", .at = TOY_STATUS, TOY_F(status), .ro = 0xff},
    {"ADDR", .at = TOY_ADDR, .size = 4, TOY_F(addr)},
    {"READ", .at = TOY_READ, .size = 4, TOY_F(data), .ro = 0xffffffff, .wrote = toy_read},
    {"WRITE", .at = TOY_WRITE, .size = 4, .wrote = toy_write},
};

static const DevemuReg toy_config_regs[] = {
    {"CONFIG_BYTE", .at = TOY_CONFIG_BYTE, TOY_F(config), .reset = 0x5a},
    {"RANGE", .at = TOY_RANGE, .size = 2, TOY_F(range)},
};

static const DevemuReg toy_extra_regs[] = {
    {"EXTRA", .at = 0, .size = 4, TOY_F(value)},
};

static const DevemuBank toy_banks[] = {
    [TOY_IO] = {.name = "io",
                .kind = DEVEMU_BANK_PIO,
                .size = 0x20,
                .regs = toy_io_regs,
                .reg_count = DEVEMU_N_ELEMENTS(toy_io_regs)},
    [TOY_MEMORY] = {.name = "memory",
                    .kind = DEVEMU_BANK_MMIO,
                    .size = 0x1000,
                    .read = toy_memory_read},
    [TOY_CONFIG] = {.name = "config",
                    .kind = DEVEMU_BANK_CONFIG,
                    .size = 256,
                    .regs = toy_config_regs,
                    .reg_count = DEVEMU_N_ELEMENTS(toy_config_regs),
                    .lanes = true},
    [TOY_EXTRA] = {.name = "extra",
                   .kind = DEVEMU_BANK_PIO,
                   .size = 16,
                   .regs = toy_extra_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(toy_extra_regs)},
};

static const DevemuField toy_fields[] = {
    DEVEMU_SAVE(struct toy, resets),
    DEVEMU_SKIP(struct toy, unused),
    DEVEMU_SKIP(struct toy, unused_2),
    {NULL},
};

static const DevemuProperty toy_properties[] = {
    {"rom", DEVEMU_PROPERTY_BLOB, DEVEMU_OPTION(struct toy, rom), .doc = "expansion ROM"},
    {NULL},
};

static const char *const toy_outputs[] = {"INTA", "SIDE", NULL};

#define TOY_MODEL(label, identity)                                                                 \
    {                                                                                              \
        .name = (label), .title = "Toy", .datasheet = "none", .not_modelled = "nothing",           \
        .state_size = sizeof(struct toy), .banks = toy_banks,                                      \
        .bank_count = DEVEMU_N_ELEMENTS(toy_banks), .fields = toy_fields,                          \
        .properties = toy_properties, .outputs = toy_outputs, .lines = toy_lines,                  \
        .reset = toy_reset, .pci = (identity)                                                      \
    }

/* Ports in BAR 0, memory in BAR 1, registers at 60h, ranges: no capabilities. */
static const DevemuPci toy_pci = {
    .vendor = 0x1234,
    .device = 0x5678,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .revision = 0x42,
    .class_code = 0x020000,
    .min_gnt = 6,
    .max_lat = 0xff,
    .interrupt_pin = 1,
    .status = 0x0280,
    .bars = {{.bank = TOY_IO + 1}, {.bank = TOY_MEMORY + 1}},
    .config_bank = TOY_CONFIG + 1,
    .rom = "rom",
    .ranges = toy_ranges,
};
G_GNUC_UNUSED static const DevemuModel toy_model = TOY_MODEL("toy", &toy_pci);

/* All capabilities, a 64-bit BAR, and INTB#. */
static const DevemuPci toy_full_pci = {
    .vendor = 0x1234,
    .device = 0x9abc,
    .class_code = 0x020000,
    .interrupt_pin = 2,
    .bars = {{.bank = TOY_IO + 1}, {0}, {.bank = TOY_MEMORY + 1, .is_64 = true, .prefetch = true}},
    .msi_vectors = 4,
    .msix_vectors = 70,
    .msix_bar = 1,
    .power_management = true,
    .flr = true,
};
G_GNUC_UNUSED static const DevemuModel toy_full_model = TOY_MODEL("toy-full", &toy_full_pci);

static const DevemuPci toy_bridge_pci = {
    .vendor = 0x1234,
    .device = 0x0001,
    .class_code = 0x060400,
    .header_type = 1,
};
G_GNUC_UNUSED static const DevemuModel toy_bridge_model = TOY_MODEL("toy-bridge", &toy_bridge_pci);

/* --- the host ---------------------------------------------------------------------- */

#define HOST_RAM 0x10000

struct host {
    uint8_t ram[HOST_RAM];
    uint64_t lines;
    unsigned msis;
    uint64_t msi_addr;
    uint32_t msi_data;
    bool map;
    DevemuDevice *bus; /* DMA outside RAM goes here, if given */
};

static bool host_bus_dma(struct host *h, uint64_t addr, uint8_t *buf, size_t len, bool write)
{
    bool ok = true;

    for (size_t i = 0; i < len; i++) {
        uint64_t value = buf[i];
        DevemuAccess access =
            write ? devemu_device_write(h->bus, DEVEMU_PCI_MEMORY, addr + i, 1, value)
                  : devemu_device_read(h->bus, DEVEMU_PCI_MEMORY, addr + i, 1, &value);

        ok = ok && access == DEVEMU_ACCESS_OK;
        buf[i] = (uint8_t)value;
    }
    return ok;
}

static bool host_read(void *host, uint64_t addr, void *buf, size_t len)
{
    struct host *h = host;

    if (addr > HOST_RAM || len > HOST_RAM - addr) {
        return h->bus && host_bus_dma(h, addr, buf, len, false);
    }
    memcpy(buf, h->ram + addr, len);
    return true;
}

static bool host_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    struct host *h = host;
    uint8_t copy[8];

    if (addr > HOST_RAM || len > HOST_RAM - addr) {
        memcpy(copy, buf, MIN(len, sizeof(copy)));
        return h->bus && host_bus_dma(h, addr, copy, MIN(len, sizeof(copy)), true);
    }
    memcpy(h->ram + addr, buf, len);
    return true;
}

static bool host_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    struct host *h = host;

    *ret_window = (DevemuWindow){0, HOST_RAM, h->ram, true};
    return h->map && addr < HOST_RAM;
}

static void host_line(void *host, unsigned line, bool level)
{
    struct host *h = host;

    h->lines = level ? h->lines | UINT64_C(1) << line : h->lines & ~(UINT64_C(1) << line);
}

static void host_msi(void *host, uint64_t addr, uint32_t data)
{
    struct host *h = host;

    h->msis++;
    h->msi_addr = addr;
    h->msi_data = data;
}

static const DevemuHostOps host_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = host_read,
    .dma_write = host_write,
    .dma_map = host_map,
    .set_line = host_line,
    .msi = host_msi,
};

/* --- helpers ----------------------------------------------------------------------- */

G_GNUC_UNUSED static DevemuDevice *make(const DevemuModel *model, const char *options)
{
    GError *error = NULL;
    DevemuDevice *dev = devemu_device_new(model, options, &error);

    cr_assert_not_null(dev, "%s", error ? error->message : "");
    return dev;
}

G_GNUC_UNUSED static DevemuDevice *make_bus(struct host *host, const char *options)
{
    DevemuDevice *bus = make(&devemu_model_pci_bus, options);

    memset(host, 0, sizeof(*host));
    devemu_device_set_host(bus, &host_ops, host);
    return bus;
}

G_GNUC_UNUSED static DevemuDevice *plug(DevemuDevice *bus, const DevemuModel *model, int devfn)
{
    DevemuDevice *dev = make(model, NULL);
    GError *error = NULL;

    cr_assert(devemu_pci_plug(bus, dev, devfn, &error), "%s", error ? error->message : "");
    return dev;
}

/* A toy whose ROM is 3000 bytes: 0, 1, 2 ... */
G_GNUC_UNUSED static DevemuDevice *plug_with_rom(DevemuDevice *bus, int devfn)
{
    uint8_t image[3000];
    DevemuSetting setting = {"rom", NULL, image, sizeof(image)};
    GError *error = NULL;
    DevemuDevice *dev;

    for (size_t i = 0; i < sizeof(image); i++) {
        image[i] = (uint8_t)i;
    }
    dev = devemu_device_new_with(&toy_model, &setting, 1, &error);
    cr_assert_not_null(dev, "%s", error ? error->message : "");
    cr_assert(devemu_pci_plug(bus, dev, devfn, &error), "%s", error ? error->message : "");
    return dev;
}

static uint64_t ecam(unsigned number, unsigned devfn, unsigned reg)
{
    return (uint64_t)number << 20 | devfn << 12 | reg;
}

G_GNUC_UNUSED static uint64_t get_on(DevemuDevice *bus, unsigned number, unsigned devfn,
                                     unsigned reg, unsigned size)
{
    uint64_t value = 0;

    cr_assert_eq(devemu_device_read(bus, DEVEMU_PCI_CONFIG, ecam(number, devfn, reg), size, &value),
                 DEVEMU_ACCESS_OK);
    return value;
}

G_GNUC_UNUSED static void set_on(DevemuDevice *bus, unsigned number, unsigned devfn, unsigned reg,
                                 unsigned size, uint64_t value)
{
    cr_assert_eq(devemu_device_write(bus, DEVEMU_PCI_CONFIG, ecam(number, devfn, reg), size, value),
                 DEVEMU_ACCESS_OK);
}

G_GNUC_UNUSED static uint64_t get(DevemuDevice *bus, unsigned devfn, unsigned reg, unsigned size)
{
    return get_on(bus, 0, devfn, reg, size);
}

G_GNUC_UNUSED static void set(DevemuDevice *bus, unsigned devfn, unsigned reg, unsigned size,
                              uint64_t value)
{
    set_on(bus, 0, devfn, reg, size, value);
}

/* What a CPU sees: ones where nobody answers. */
G_GNUC_UNUSED static uint64_t bus_get(DevemuDevice *bus, unsigned space, uint64_t at, unsigned size)
{
    uint64_t value = 0;

    if (devemu_device_read(bus, space, at, size, &value) != DEVEMU_ACCESS_OK) {
        return UINT64_MAX >> (64 - size * 8);
    }
    return value;
}

G_GNUC_UNUSED static uint32_t in(DevemuDevice *bus, uint64_t port, unsigned size)
{
    return (uint32_t)bus_get(bus, DEVEMU_PCI_IO, port, size);
}

G_GNUC_UNUSED static void out(DevemuDevice *bus, uint64_t port, unsigned size, uint32_t value)
{
    devemu_device_write(bus, DEVEMU_PCI_IO, port, size, value);
}

/* Where a capability stands; 0: nowhere. */
G_GNUC_UNUSED static unsigned find_capability(DevemuDevice *bus, unsigned devfn, unsigned id)
{
    unsigned at = (unsigned)get(bus, devfn, 0x34, 1);

    for (unsigned i = 0; at != 0 && i < 48; i++) {
        if (get(bus, devfn, at, 1) == id) {
            return at;
        }
        at = (unsigned)get(bus, devfn, at + 1, 1);
    }
    return 0;
}

#define REG_COMMAND 0x04
#define REG_STATUS  0x06
#define REG_BAR(n)  (0x10 + 4 * (n))
#define REG_ROM     0x30

#define DEV(n) ((n) << 3)

#endif
