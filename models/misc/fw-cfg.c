/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fw-cfg.c: the firmware configuration device that QEMU defines, which firmware asks for memory
 * size, ACPI tables, kernels and files.
 *
 * Specification: QEMU, docs/specs/fw_cfg.rst ("FW"), the x86 placement: selector 510h, data 511h,
 * DMA address 514h.
 *
 * The items come from the program as one packed list (property "items", made by the builder in
 * <devemu/fw-cfg.h>): for each item its key (2 bytes), two zero bytes, its length (4 bytes), all
 * little-endian, then its bytes. Signature (0) and feature bitmap (1) are the model's own.
 *
 * Not modelled: writable items (a write by DMA ends with the error bit, as for a read-only item in
 * FW); the memory-mapped placement of Arm.
 */
#include <devemu/model.h>

enum {
    BANK_IO,
};

/* FW "Selector Register": bit 14 asks for write mode, which the traditional interface ignores. */
enum {
    KEY_SIGNATURE = 0x0000,
    KEY_ID = 0x0001,
    KEY_WRITE_MODE = 0x4000,
};

/* FW "Revision / feature bitmap". */
enum {
    ID_TRADITIONAL = 1 << 0,
    ID_DMA = 1 << 1,
};

/* FW "Guest-side DMA Interface": the control field. */
enum {
    DMA_ERROR = 1 << 0,
    DMA_READ = 1 << 1,
    DMA_SKIP = 1 << 2,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
};

#define DMA_SIGNATURE_HIGH UINT32_C(0x51454d55) /* "QEMU" */
#define DMA_SIGNATURE_LOW  UINT32_C(0x20434647) /* " CFG" */

#define ITEM_HEAD 8 /* bytes before an item's data */

/* Bytes behind an item's end that one DMA read fills with zeros. FW sets no bound; a length of 4
 * GiB would be unbounded work, so a read that goes further behind the end fails (chosen). */
#define DMA_ZEROS_MAX 65536

struct fw_cfg {
    DevemuDevice *dev;
    DevemuBlob items;
    bool dma;
    uint8_t id[4];

    /* What the selector says; computed again after a load. */
    bool item_own; /* the item is the model's own */
    uint16_t selector;
    uint32_t item_at; /* of its data in items */
    uint32_t item_len;

    uint32_t offset; /* of the next byte in the item; stays at UINT32_MAX */
    uint32_t dma_high;
};

static const uint8_t signature[4] = {'Q', 'E', 'M', 'U'};

/* --- byte order: all that is in guest memory is big-endian (FW "DMA") -------------- */

static uint32_t swap32(uint32_t value)
{
    return value >> 24 | (value >> 8 & 0xff00) | (value << 8 & 0xff0000) | value << 24;
}

static uint32_t be32(const uint8_t *p)
{
    return swap32(devemu_le32(p));
}

static uint64_t be64(const uint8_t *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

/* The FWCfgDmaAccess structure. */
struct dma_access {
    uint32_t control;
    uint32_t length;
    uint64_t address;
};

#define DMA_ACCESS_BYTES 16

static bool dma_access_load(struct fw_cfg *cfg, uint64_t addr, struct dma_access *ret_access)
{
    uint8_t raw[DMA_ACCESS_BYTES];

    if (!devemu_dma_read(cfg->dev, addr, raw, sizeof(raw))) {
        return false;
    }
    ret_access->control = be32(raw);
    ret_access->length = be32(raw + 4);
    ret_access->address = be64(raw + 8);
    return true;
}

static void dma_access_finish(struct fw_cfg *cfg, uint64_t addr, bool error)
{
    uint8_t raw[4] = {0, 0, 0, error ? DMA_ERROR : 0};

    devemu_dma_write(cfg->dev, addr, raw, sizeof(raw));
}

/* --- items ------------------------------------------------------------------------- */

static void item_find(struct fw_cfg *cfg)
{
    uint16_t key = cfg->selector & (uint16_t)~KEY_WRITE_MODE;
    size_t at = 0;

    cfg->item_own = key == KEY_SIGNATURE || key == KEY_ID;
    cfg->item_at = 0;
    cfg->item_len = cfg->item_own ? 4 : 0;
    /* fw_cfg_configure() has seen that every head and every item fits. */
    while (!cfg->item_own && at < cfg->items.len) {
        uint32_t len = devemu_le32(cfg->items.data + at + 4);

        if (devemu_le16(cfg->items.data + at) == key) {
            cfg->item_at = (uint32_t)at + ITEM_HEAD;
            cfg->item_len = len;
            return;
        }
        at += ITEM_HEAD + (size_t)len;
    }
}

static const uint8_t *item_data(const struct fw_cfg *cfg)
{
    uint16_t key = cfg->selector & (uint16_t)~KEY_WRITE_MODE;

    if (cfg->item_own) {
        return key == KEY_ID ? cfg->id : signature;
    }
    return cfg->items.data + cfg->item_at;
}

static void item_select(struct fw_cfg *cfg, uint16_t key)
{
    cfg->selector = key;
    cfg->offset = 0;
    item_find(cfg);
}

static uint32_t item_left(const struct fw_cfg *cfg)
{
    return cfg->offset < cfg->item_len ? cfg->item_len - cfg->offset : 0;
}

static void item_advance(struct fw_cfg *cfg, uint32_t len)
{
    cfg->offset = len <= UINT32_MAX - cfg->offset ? cfg->offset + len : UINT32_MAX;
}

/* --- DMA --------------------------------------------------------------------------- */

/* FW "Data Register": behind the item's end every byte is zero. */
static bool dma_zeros(struct fw_cfg *cfg, uint64_t addr, uint32_t len)
{
    static const uint8_t zeros[256];

    if (len > DMA_ZEROS_MAX) {
        devemu_guest_error(cfg->dev, "DMA: read of more than 64 KiB behind the end of an item");
        return false;
    }
    while (len > 0) {
        uint32_t part = len < sizeof(zeros) ? len : (uint32_t)sizeof(zeros);

        if (!devemu_dma_write(cfg->dev, addr, zeros, part)) {
            return false;
        }
        addr += part;
        len -= part;
    }
    return true;
}

static bool dma_read(struct fw_cfg *cfg, const struct dma_access *access)
{
    uint32_t left = item_left(cfg);
    uint32_t len = access->length < left ? access->length : left;
    bool ok = access->length == 0 || access->address + (access->length - 1) >= access->address;

    if (ok && len > 0) {
        ok = devemu_dma_write(cfg->dev, access->address, item_data(cfg) + cfg->offset, len);
    }
    ok = ok && dma_zeros(cfg, access->address + len, access->length - len);
    item_advance(cfg, access->length);
    return ok;
}

/* FW "Guest-side DMA Interface": select comes first; read goes before write, write before skip. */
static bool dma_do(struct fw_cfg *cfg, const struct dma_access *access)
{
    if (access->control & DMA_SELECT) {
        item_select(cfg, (uint16_t)(access->control >> 16));
    }
    if (access->control & DMA_READ) {
        return dma_read(cfg, access);
    }
    if (access->control & DMA_WRITE) {
        devemu_guest_error(cfg->dev, "DMA: write to a read-only item");
        return false;
    }
    if (access->control & DMA_SKIP) {
        item_advance(cfg, access->length);
    }
    return true;
}

/* --- registers --------------------------------------------------------------------- */

static bool has_dma(const void *state)
{
    const struct fw_cfg *cfg = state;

    return cfg->dma;
}

static void selector_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)old;
    item_select(state, (uint16_t)value);
}

static uint64_t data_read(const void *state, unsigned index)
{
    const struct fw_cfg *cfg = state;

    (void)index;
    return item_left(cfg) > 0 ? item_data(cfg)[cfg->offset] : 0;
}

static void data_took(void *state, unsigned index)
{
    (void)index;
    item_advance(state, 1);
}

static uint64_t dma_high_read(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return swap32(DMA_SIGNATURE_HIGH);
}

static uint64_t dma_low_read(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return swap32(DMA_SIGNATURE_LOW);
}

/* FW: a write to the least significant half starts the operation; afterwards the register is 0. */
static void dma_low_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct fw_cfg *cfg = state;
    uint64_t addr = (uint64_t)swap32(cfg->dma_high) << 32 | swap32((uint32_t)value);
    struct dma_access access;

    (void)index;
    (void)old;
    cfg->dma_high = 0;
    if (!dma_access_load(cfg, addr, &access)) {
        dma_access_finish(cfg, addr, true);
        return;
    }
    dma_access_finish(cfg, addr, !dma_do(cfg, &access));
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuReg io_regs[] = {
    {
        .name = "SELECTOR",
        .title = "item that DATA reads",
        .section = "Selector (Control) Register",
        .at = 0,
        .size = 2,
        DEVEMU_IN(struct fw_cfg, selector),
        .wo = 0xffff,
        .wrote = selector_wrote,
    },
    {
        /* FW note on the placement: overlaps the selector's high byte. */
        .name = "DATA",
        .title = "next byte of the item",
        .section = "Data Register",
        .at = 1,
        .size = 1,
        .read = data_read,
        .took = data_took,
    },
    {
        .name = "DMA_HIGH",
        .title = "DMA address, most significant half, big-endian",
        .section = "Guest-side DMA Interface",
        .at = 4,
        .size = 4,
        DEVEMU_IN(struct fw_cfg, dma_high),
        .decoded = has_dma,
        .read = dma_high_read,
    },
    {
        .name = "DMA_LOW",
        .title = "DMA address, least significant half, big-endian; starts the operation",
        .section = "Guest-side DMA Interface",
        .at = 8,
        .size = 4,
        .decoded = has_dma,
        .read = dma_low_read,
        .wrote = dma_low_wrote,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 12,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
};

/* --- configuration, reset ---------------------------------------------------------- */

static bool fw_cfg_configure(void *state, const char **ret_property, const char **ret_message)
{
    struct fw_cfg *cfg = state;
    size_t at = 0;

    *ret_property = "items";
    while (at < cfg->items.len) {
        if (cfg->items.len - at < ITEM_HEAD) {
            *ret_message = "ends in the middle of an item's head; make it with the builder";
            return false;
        }
        if (devemu_le16(cfg->items.data + at) & KEY_WRITE_MODE) {
            *ret_message = "has a key with bit 14 set; keys are 0 to 3fffh and 8000h to bfffh";
            return false;
        }
        if (devemu_le32(cfg->items.data + at + 4) > cfg->items.len - at - ITEM_HEAD) {
            *ret_message = "has an item that is longer than the list; make it with the builder";
            return false;
        }
        at += ITEM_HEAD + (size_t)devemu_le32(cfg->items.data + at + 4);
    }
    cfg->id[0] = (uint8_t)(ID_TRADITIONAL | (cfg->dma ? ID_DMA : 0));
    return true;
}

static void fw_cfg_reset(void *state, DevemuReset kind)
{
    (void)kind;
    item_select(state, KEY_SIGNATURE);
}

static void fw_cfg_loaded(void *state)
{
    item_find(state);
}

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct fw_cfg, offset),   DEVEMU_SKIP(struct fw_cfg, id),
    DEVEMU_SKIP(struct fw_cfg, item_own), DEVEMU_SKIP(struct fw_cfg, item_at),
    DEVEMU_SKIP(struct fw_cfg, item_len), {0},
};

static const DevemuProperty properties[] = {
    {.name = "items",
     .type = DEVEMU_PROPERTY_BLOB,
     DEVEMU_OPTION(struct fw_cfg, items),
     .max = UINT32_MAX,
     .doc =
         "The items, packed: key (2 bytes), 0 (2 bytes), length (4 bytes), data; little-endian."},
    {.name = "dma",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct fw_cfg, dma),
     .value = "on",
     .doc = "Is the DMA interface there?"},
    {0},
};

static const DevemuIsa isa = {.bases = {0x510}, .irq = 0xff};

const DevemuModel devemu_model_fw_cfg = {
    .name = "fw_cfg",
    .title = "QEMU firmware configuration device",
    .datasheet = "QEMU docs/specs/fw_cfg.rst",
    .not_modelled = "writable items; the memory-mapped placement of Arm",
    .state_size = sizeof(struct fw_cfg),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .properties = properties,
    .configure = fw_cfg_configure,
    .reset = fw_cfg_reset,
    .loaded = fw_cfg_loaded,
    .isa = &isa,
};
