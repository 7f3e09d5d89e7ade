/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c: virtio over PCI (virtio 1.4, 4.1): what a PCI function of a virtio device shows, modern,
 * transitional or legacy, and the host of that device.
 *
 * Not modelled: SR-IOV, administration virtqueues, notification through I/O ports of a modern
 * device.
 */
#include "virtio-pci.h"

enum {
    BANK_LEGACY, /* BAR 0 */
    BANK_MODERN, /* BAR 4 */
    BANK_SHM,    /* BAR 2 */
    BANK_CONFIG,
    BANKS,

    VENDOR = 0x1af4,

    /* Where the structures stand in BAR 4. */
    AT_ISR = 0x1000,
    AT_DEVICE = 0x2000,
    AT_NOTIFY = 0x3000,
    MODERN_BYTES = 0x4000,
    COMMON_BYTES = 0x40,
    STRUCTURE_BYTES = 0x1000,

    /* Of 4.1.4.3, the transport's own. */
    COMMON_CONFIG_VECTOR = 0x10,
    COMMON_QUEUE_VECTOR = 0x1a,

    ISR_QUEUE = 1,
    ISR_CONFIG = 2,

    /* Capabilities, 4.1.4. */
    CAPS_AT = 0x60,
    CAP_COMMON = 1,
    CAP_NOTIFY = 2,
    CAP_ISR = 3,
    CAP_DEVICE = 4,
    CAP_PCI = 5,
    CAP_SHM = 8,
    /* The access window is the last one. */
    WINDOW_AT = CAPS_AT + VIRTIO_PCI_CAPS_BYTES + 4 - VIRTIO_PCI_LONG_CAP_BYTES,
    WINDOW_BAR = WINDOW_AT + 4,
    WINDOW_OFFSET = WINDOW_AT + 8,
    WINDOW_LENGTH = WINDOW_AT + 12,
    WINDOW_DATA = WINDOW_AT + 16,
};

/* --- the device below -------------------------------------------------------------- */

/* The function around this device, if it is in one. */
static const struct pci_function *function_of(const struct virtio_pci *s)
{
    for (const DevemuDevice *dev = s->dev->parent; dev; dev = dev->parent) {
        if (dev->model == &pci_function_model) {
            return dev->state;
        }
    }
    return NULL;
}

bool virtio_pci_msix_on(const struct virtio_pci *s)
{
    const struct pci_function *function = function_of(s);

    return function && pci_msix_enabled(function);
}

/* 4.1.5.3, 4.1.5.4. */
static void below_msi(void *host, uint64_t queue, uint32_t data)
{
    DevemuDevice *dev = host;
    struct virtio_pci *s = dev->state;
    bool config = queue == DEVEMU_VIRTIO_CONFIG_CHANGE;

    (void)data;
    if (!virtio_pci_msix_on(s)) {
        s->isr |= config ? ISR_CONFIG : ISR_QUEUE;
        devemu_device_settle(dev);
        return;
    }
    if (config || queue < DEVEMU_VIRTIO_QUEUES) {
        unsigned vector = config ? s->config_vector : s->queue_vector[queue];

        if (vector != VIRTIO_PCI_NO_VECTOR) {
            devemu_send_msi(dev, vector);
        }
    }
}

uint64_t virtio_pci_isr_take(struct virtio_pci *s)
{
    uint64_t isr = s->isr;

    s->isr = 0;
    devemu_device_settle(s->dev);
    return isr;
}

/* 4.1.5.1.2.1: a vector that is not there reads back as none. */
uint16_t virtio_pci_vector_of(const struct virtio_pci *s, uint64_t value)
{
    return value < s->pci.msix_vectors ? (uint16_t)value : VIRTIO_PCI_NO_VECTOR;
}

/* What a reset of the device means here. */
static void forget(struct virtio_pci *s)
{
    s->isr = 0;
    s->config_vector = VIRTIO_PCI_NO_VECTOR;
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        s->queue_vector[i] = VIRTIO_PCI_NO_VECTOR;
        s->pfn[i] = 0;
    }
}

void virtio_pci_status_write(struct virtio_pci *s, uint64_t value)
{
    if (value == 0) {
        forget(s);
    }
    devemu_virtio_write(s->child, DEVEMU_VIRTIO_DEVICE_STATUS, 1, value);
}

static uint16_t *selected_vector(struct virtio_pci *s)
{
    uint64_t queue = devemu_virtio_read(s->child, DEVEMU_VIRTIO_QUEUE_SELECT, 2);

    return queue < devemu_virtio_read(s->child, DEVEMU_VIRTIO_NUM_QUEUES, 2)
               ? &s->queue_vector[queue]
               : NULL;
}

uint64_t virtio_pci_queue_vector_read(struct virtio_pci *s)
{
    const uint16_t *vector = selected_vector(s);

    return vector ? *vector : VIRTIO_PCI_NO_VECTOR;
}

void virtio_pci_queue_vector_write(struct virtio_pci *s, uint64_t value)
{
    uint16_t *vector = selected_vector(s);

    if (vector) {
        *vector = virtio_pci_vector_of(s, value);
    }
}

/* --- the modern interface: 4.1.4.3 to 4.1.4.6 --------------------------------------- */

static DevemuAccess modern_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct virtio_pci *s = state;

    if (at == COMMON_CONFIG_VECTOR && size == 2) {
        *ret_value = s->config_vector;
    } else if (at == COMMON_QUEUE_VECTOR && size == 2) {
        *ret_value = virtio_pci_queue_vector_read(s);
    } else if (at < COMMON_BYTES && at + size <= COMMON_BYTES) {
        return devemu_device_read(s->child, DEVEMU_VIRTIO_COMMON, at, size, ret_value);
    } else if (at == AT_ISR && size == 1) {
        *ret_value = virtio_pci_isr_take(s);
    } else if (at >= AT_DEVICE && at < AT_NOTIFY) {
        return devemu_device_read(s->child, DEVEMU_VIRTIO_CONFIG, at - AT_DEVICE, size, ret_value);
    } else {
        return DEVEMU_ACCESS_NONE;
    }
    return DEVEMU_ACCESS_OK;
}

static DevemuAccess modern_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct virtio_pci *s = state;

    if (at == COMMON_CONFIG_VECTOR && size == 2) {
        s->config_vector = virtio_pci_vector_of(s, value);
    } else if (at == COMMON_QUEUE_VECTOR && size == 2) {
        virtio_pci_queue_vector_write(s, value);
    } else if (at == DEVEMU_VIRTIO_DEVICE_STATUS && size == 1) {
        virtio_pci_status_write(s, value);
    } else if (at == DEVEMU_VIRTIO_QUEUE_ENABLE && value == 0) {
        /* 4.1.4.3.2: the driver MUST NOT write it. */
        devemu_guest_error(s->dev, "queue_enable: 0 was written");
    } else if (at < COMMON_BYTES && at + size <= COMMON_BYTES) {
        return devemu_device_write(s->child, DEVEMU_VIRTIO_COMMON, at, size, value);
    } else if (at >= AT_DEVICE && at < AT_NOTIFY) {
        return devemu_device_write(s->child, DEVEMU_VIRTIO_CONFIG, at - AT_DEVICE, size, value);
    } else {
        return DEVEMU_ACCESS_NONE;
    }
    return DEVEMU_ACCESS_OK;
}

static void notify_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    const struct virtio_pci *s = state;

    (void)old;
    devemu_device_write(s->child, DEVEMU_VIRTIO_NOTIFY, index * 4, 4, value);
}

static bool is_modern(const void *state)
{
    return ((const struct virtio_pci *)state)->modern;
}

/* --- configuration space: 4.1.4 ------------------------------------------------------ */

static unsigned window_bank(const struct virtio_pci *s)
{
    return s->window_bar == 4 ? BANK_MODERN : s->window_bar == 0 && s->legacy ? BANK_LEGACY : BANKS;
}

/* 4.1.4.9: an access of cap.length bytes at cap.offset of BAR cap.bar. Aligned, and not beyond. */
static bool window_open(const struct virtio_pci *s, uint64_t at, unsigned size)
{
    return at == WINDOW_DATA && s->modern && window_bank(s) != BANKS &&
           devemu_le32(s->window_length) == size && devemu_le32(s->window_offset) % size == 0;
}

static DevemuAccess window_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    const struct virtio_pci *s = state;

    if (at < WINDOW_DATA) {
        return DEVEMU_ACCESS_SIZE; /* bytes side by side */
    }
    if (!window_open(s, at, size)) {
        *ret_value = 0;
        return DEVEMU_ACCESS_OK;
    }
    return devemu_device_read(s->dev, window_bank(s), devemu_le32(s->window_offset), size,
                              ret_value);
}

static DevemuAccess window_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    const struct virtio_pci *s = state;

    if (at < WINDOW_DATA) {
        return DEVEMU_ACCESS_SIZE;
    }
    if (window_open(s, at, size)) {
        devemu_device_write(s->dev, window_bank(s), devemu_le32(s->window_offset), size, value);
    }
    return DEVEMU_ACCESS_OK;
}

static bool never(const void *state)
{
    (void)state;
    return false;
}

/* A capability at the end of those that are there; the list goes on behind it. */
static uint8_t *put_cap(struct virtio_pci *s, unsigned *place, unsigned bytes, unsigned type,
                        uint32_t offset, uint32_t length)
{
    uint8_t *at = s->caps + (*place - CAPS_AT);

    *place += bytes;
    at[0] = 0x09; /* vendor specific */
    at[1] = (uint8_t)*place;
    at[2] = (uint8_t)bytes;
    at[3] = (uint8_t)type;
    at[4] = 4; /* BAR */
    devemu_put_le32(at + 8, offset);
    devemu_put_le32(at + 12, length);
    return at;
}

/* 4.1.4.7. */
static uint8_t *put_shms(struct virtio_pci *s, unsigned *place, uint8_t *last)
{
    for (unsigned i = 0; i < DEVEMU_VIRTIO_SHMS && virtio_pci_shms_of(s)[i].bank; i++) {
        uint64_t at = virtio_pci_shm_at(s, i),
                 length = s->child->model->banks[virtio_pci_shms_of(s)[i].bank].size;

        last = put_cap(s, place, VIRTIO_PCI_CAP64_BYTES, CAP_SHM, (uint32_t)at, (uint32_t)length);
        last[4] = 2;
        last[5] = virtio_pci_shms_of(s)[i].id;
        devemu_put_le32(last + 16, (uint32_t)(at >> 32));
        devemu_put_le32(last + 20, (uint32_t)(length >> 32));
    }
    return last;
}

static void fill_caps(struct virtio_pci *s)
{
    unsigned place = CAPS_AT;
    uint8_t *at, *window = s->caps + (WINDOW_AT - CAPS_AT);

    memset(s->caps, 0, sizeof(s->caps));
    put_cap(s, &place, VIRTIO_PCI_CAP_BYTES, CAP_COMMON, 0, COMMON_BYTES);
    at = put_cap(s, &place, VIRTIO_PCI_LONG_CAP_BYTES, CAP_NOTIFY, AT_NOTIFY, STRUCTURE_BYTES);
    devemu_put_le32(at + 16, 4); /* notify_off_multiplier */
    put_cap(s, &place, VIRTIO_PCI_CAP_BYTES, CAP_ISR, AT_ISR, 1);
    at = put_cap(s, &place, VIRTIO_PCI_CAP_BYTES, CAP_DEVICE, AT_DEVICE, STRUCTURE_BYTES);
    at = put_shms(s, &place, at);
    at[1] = WINDOW_AT;
    window[0] = 0x09;
    window[2] = VIRTIO_PCI_LONG_CAP_BYTES;
    window[3] = CAP_PCI;
}

/* --- tables -------------------------------------------------------------------------- */

static const DevemuReg modern_regs[] = {
    {.name = "queue_notify",
     .title = "Buffers are available in queue n",
     .section = "4.1.4.4",
     .at = AT_NOTIFY,
     .size = 2,
     .count = DEVEMU_VIRTIO_QUEUES,
     .stride = 4,
     .wrote = notify_wrote,
     .doorbell = true},
    {.name = "queue_notify_data",
     .title = "The same, with VIRTIO_F_NOTIFICATION_DATA",
     .section = "4.1.5.2",
     .at = AT_NOTIFY,
     .size = 4,
     .count = DEVEMU_VIRTIO_QUEUES,
     .stride = 4,
     .wrote = notify_wrote},
};

#define BYTES(label, place, field, bytes, fixed)                                                   \
    {                                                                                              \
        .name = (label), .section = "4.1.4", .at = (place), .size = 1, .count = (bytes),           \
        DEVEMU_IN_ARRAY(struct virtio_pci, field), .ro = (fixed), .decoded = is_modern             \
    }

static const DevemuReg config_regs[] = {
    /* Of the window's capability the bar stands before these bytes, the others behind. */
    {.name = "window_bar",
     .section = "4.1.4.9",
     .at = WINDOW_BAR,
     .size = 1,
     DEVEMU_IN(struct virtio_pci, window_bar),
     .decoded = is_modern},
    BYTES("window_offset", WINDOW_OFFSET, window_offset, 4, 0),
    BYTES("window_length", WINDOW_LENGTH, window_length, 4, 0),
    BYTES("capabilities", CAPS_AT, caps, VIRTIO_PCI_CAPS_BYTES, 0xff),
    {.name = "pci_cfg_data", .section = "4.1.4.9", .at = WINDOW_DATA, .size = 4, .decoded = never},
};

static const DevemuBank banks[BANKS] = {
    [BANK_LEGACY] = {.name = "legacy",
                     .kind = DEVEMU_BANK_PIO,
                     .size = VIRTIO_PCI_LEGACY_BYTES,
                     .read = virtio_pci_legacy_read,
                     .write = virtio_pci_legacy_write},
    [BANK_MODERN] = {.name = "modern",
                     .kind = DEVEMU_BANK_MMIO,
                     .size = MODERN_BYTES,
                     .regs = modern_regs,
                     .reg_count = G_N_ELEMENTS(modern_regs),
                     .read = modern_read,
                     .write = modern_write},
    [BANK_SHM] = {.name = "shm",
                  .kind = DEVEMU_BANK_MMIO,
                  .size = UINT64_C(1) << 48,
                  .read = virtio_pci_shm_read,
                  .write = virtio_pci_shm_write},
    [BANK_CONFIG] = {.name = "pci",
                     .kind = DEVEMU_BANK_CONFIG,
                     .size = PCI_CONFIG_BYTES,
                     .regs = config_regs,
                     .reg_count = G_N_ELEMENTS(config_regs),
                     .read = window_read,
                     .write = window_write},
};

static const DevemuField fields[] = {
    DEVEMU_SKIP(struct virtio_pci, child),
    DEVEMU_SKIP(struct virtio_pci, pci),
    DEVEMU_SAVE(struct virtio_pci, isr),
    DEVEMU_SAVE(struct virtio_pci, config_vector),
    DEVEMU_SAVE_ARRAY(struct virtio_pci, queue_vector),
    DEVEMU_SAVE_ARRAY(struct virtio_pci, pfn),
    DEVEMU_SKIP(struct virtio_pci, unused),
    {NULL},
};

static const DevemuProperty properties[] = {
    {.name = "legacy",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct virtio_pci, legacy),
     .value = "on",
     .doc = "Show the legacy interface, where the device has one?"},
    {.name = "modern",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct virtio_pci, modern),
     .value = "on",
     .doc = "Show the interface of virtio 1.0 and later?"},
    {.name = "vectors",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct virtio_pci, vectors),
     .value = "0xffffffff",
     .doc = "MSI-X vectors; at most, and by default, one for each queue and one more"},
    {.name = "rom",
     .type = DEVEMU_PROPERTY_BLOB,
     DEVEMU_OPTION(struct virtio_pci, rom),
     .max = 16 << 20,
     .doc = "Image of the expansion ROM"},
    {NULL},
};

static const char *const outputs[] = {"INTx", NULL};

/* --- life ---------------------------------------------------------------------------- */

static uint64_t transport_lines(const void *state)
{
    return ((const struct virtio_pci *)state)->isr != 0;
}

static void transport_reset(void *state, DevemuReset kind)
{
    struct virtio_pci *s = state;

    forget(s);
    if (s->child) {
        fill_caps(s);
        devemu_device_reset(s->child, kind);
    }
}

static bool transport_valid(const void *state)
{
    const struct virtio_pci *s = state;

    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        if (s->queue_vector[i] != virtio_pci_vector_of(s, s->queue_vector[i])) {
            return false;
        }
    }
    return s->config_vector == virtio_pci_vector_of(s, s->config_vector) &&
           s->isr <= (ISR_QUEUE | ISR_CONFIG);
}

static void transport_loaded(void *state)
{
    fill_caps(state);
}

static const DevemuPci *transport_pci(const void *state)
{
    return &((const struct virtio_pci *)state)->pci;
}

/* It stands for the device alone. */
static void transport_unplug(DevemuDevice *dev, DevemuDevice *child)
{
    struct virtio_pci *s = dev->state;

    if (child != s->child) {
        return;
    }
    devemu_device_orphan(child);
    s->child = NULL;
    if (dev->parent) {
        devemu_bus_unplug(dev);
    }
    devemu_device_free(dev);
}

static const DevemuModel virtio_pci_model = {
    .name = "virtio-pci",
    .title = "virtio over PCI",
    .datasheet = "OASIS Virtual I/O Device 1.4, 4.1",
    .not_modelled = "SR-IOV; administration virtqueues",
    .state_size = sizeof(struct virtio_pci),
    .banks = banks,
    .bank_count = BANKS,
    .fields = fields,
    .properties = properties,
    .outputs = outputs,
    .lines = transport_lines,
    .reset = transport_reset,
    .valid = transport_valid,
    .loaded = transport_loaded,
    .unplug = transport_unplug,
    .pci_of = transport_pci,
    .is_bus = true,
};

/* 4.1.2. */
static void fill_pci(struct virtio_pci *s)
{
    const DevemuVirtio *virtio = s->child->model->virtio;
    uint32_t vectors = (uint32_t)devemu_virtio_read(s->child, DEVEMU_VIRTIO_NUM_QUEUES, 2) + 1;

    s->pci = (DevemuPci){
        .vendor = VENDOR,
        .device = (uint16_t)(s->legacy ? virtio->transitional_id : 0x1040 + virtio->device_id),
        .subsystem_vendor = VENDOR,
        .subsystem = (uint16_t)(s->legacy ? virtio->device_id : 0x1100),
        .revision = s->legacy ? 0 : 1,
        .class_code = virtio->class_code,
        .interrupt_pin = 1,
        .msix_vectors = MIN(s->vectors, vectors),
        .msix_bar = 1,
        .config_bank = BANK_CONFIG + 1,
        .capabilities = s->modern ? CAPS_AT : 0,
        .rom = "rom",
        .power_management = true,
        .flr = true,
    };
    if (s->legacy) {
        s->pci.bars[0].bank = BANK_LEGACY + 1;
    }
    if (s->modern) {
        s->pci.bars[4] = (DevemuPciBar){.bank = BANK_MODERN + 1, .is_64 = true, .prefetch = true};
    }
    if (s->modern && virtio_pci_shm_at(s, DEVEMU_VIRTIO_SHMS) > 0) {
        s->pci.bars[2] = (DevemuPciBar){.bank = BANK_SHM + 1,
                                        .is_64 = true,
                                        .prefetch = true,
                                        .size = virtio_pci_shm_at(s, DEVEMU_VIRTIO_SHMS)};
    }
    fill_caps(s);
}

DevemuDevice *devemu_virtio_pci_new(DevemuDevice *dev, const char *options, GError **error)
{
    DevemuHostOps ops = devemu_passing_ops;
    DevemuDevice *transport;
    struct virtio_pci *s;

    g_return_val_if_fail(dev != NULL && dev->parent == NULL, NULL);
    if (dev->model->virtio == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL, "%s: not a virtio device",
                    dev->model->name);
        return NULL;
    }
    transport = devemu_device_new(&virtio_pci_model, options, error);
    if (transport == NULL) {
        return NULL;
    }
    s = transport->state;
    s->legacy = s->legacy && dev->model->virtio->transitional_id != 0;
    if (!s->legacy && !s->modern) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "%s: with modern=off it must have a legacy interface, and has none",
                    dev->model->name);
        devemu_device_free(transport);
        return NULL;
    }
    s->child = dev;
    fill_pci(s);
    ops.msi = below_msi;
    devemu_device_adopt(transport, dev, &ops, transport, dev->name);
    return transport;
}
