/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio.c: virtio over MMIO (virtio 1.4, 4.2): one page of registers around a virtio device, of
 * version 2 or of the legacy version 1, and the host of that device.
 *
 * Not modelled: shared memory regions: all read as not there.
 */
#include "../../lib/virtio.h"

enum {
    MMIO_BYTES = 0x200,
    AT_CONFIG = 0x100,

    MAGIC = 0x74726976,
    VENDOR = 0x1af4, /* ours to choose; the one of virtio over PCI */

    LEGACY_ALIGN = 4096, /* until the driver says another; chosen */
    F_ANY_LAYOUT = 1 << 27,

    INTERRUPT_USED = 1,
    INTERRUPT_CONFIG = 2,

    NO_QUEUE = 0xffff,
};

struct virtio_mmio {
    DevemuDevice *dev;
    DevemuDevice *child;
    uint32_t interrupt_status;
    uint32_t page_size;
    uint32_t align[DEVEMU_VIRTIO_QUEUES];
    uint32_t pfn[DEVEMU_VIRTIO_QUEUES];
    uint32_t version; /* property */
    uint32_t unused;
};

/* --- the device below -------------------------------------------------------------- */

/* By a peek, as registers are read for a debugger, too. */
static uint64_t common_read(const struct virtio_mmio *s, uint64_t at, unsigned size)
{
    uint64_t value = 0;

    devemu_device_peek(s->child, DEVEMU_VIRTIO_COMMON, at, size, &value);
    return value;
}

static void common_write(const struct virtio_mmio *s, uint64_t at, unsigned size, uint64_t value)
{
    devemu_virtio_write(s->child, at, size, value);
}

/* 4.2.3.4: one line for all. */
static void below_msi(void *host, uint64_t queue, uint32_t data)
{
    DevemuDevice *dev = host;
    struct virtio_mmio *s = dev->state;

    (void)data;
    s->interrupt_status |= queue == DEVEMU_VIRTIO_CONFIG_CHANGE ? INTERRUPT_CONFIG : INTERRUPT_USED;
    devemu_device_settle(dev);
}

/* What a reset of the device means here. */
static void forget(struct virtio_mmio *s)
{
    s->interrupt_status = 0;
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        s->align[i] = LEGACY_ALIGN;
        s->pfn[i] = 0;
    }
}

static bool is_modern(const void *state)
{
    return ((const struct virtio_mmio *)state)->version == 2;
}

static bool is_legacy(const void *state)
{
    return !is_modern(state);
}

/* --- registers of both versions: 4.2.2 ----------------------------------------------- */

static uint64_t version_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_mmio *)state)->version;
}

static uint64_t device_id_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_mmio *)state)->child->model->virtio->device_id;
}

/* A legacy driver is shown what it can use: the first word, where the queues do not care how
 * buffers are laid out. */
static uint64_t device_features_read(const void *state, unsigned index)
{
    const struct virtio_mmio *s = state;
    uint64_t features = common_read(s, DEVEMU_VIRTIO_DEVICE_FEATURE, 4);

    (void)index;
    if (is_modern(s)) {
        return features;
    }
    return common_read(s, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4) == 0 ? features | F_ANY_LAYOUT
                                                                       : 0;
}

/* Numbers of 32 bits for fields of 16: what does not fit is no queue, and no Queue Size. */
static void queue_sel_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)old;
    common_write(state, DEVEMU_VIRTIO_QUEUE_SELECT, 2, MIN(value, NO_QUEUE));
}

static void queue_num_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)old;
    common_write(state, DEVEMU_VIRTIO_QUEUE_SIZE, 2, MIN(value, UINT16_MAX));
}

/* 4.2.3.3: the queue stands in the low half, whether or not there are data behind it. */
static void queue_notify_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    const struct virtio_mmio *s = state;
    uint64_t queue = value & 0xffff;

    (void)index;
    (void)old;
    if (queue < DEVEMU_VIRTIO_QUEUES) {
        devemu_device_write(s->child, DEVEMU_VIRTIO_NOTIFY, queue * 4, 4, value);
    }
}

static void interrupt_ack_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_mmio *s = state;

    (void)index;
    (void)old;
    s->interrupt_status &= (uint32_t)~value;
    devemu_device_settle(s->dev);
}

static void status_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_mmio *s = state;

    (void)index;
    (void)old;
    if (value == 0) {
        forget(s);
        devemu_device_settle(s->dev);
    }
    /* Bits from 8 on are none of a device's; 0 alone resets. */
    if (value == 0 || (value & 0xff) != 0) {
        common_write(s, DEVEMU_VIRTIO_DEVICE_STATUS, 1, value & 0xff);
    }
}

/* --- the queue's place in version 1: 4.2.4 ------------------------------------------- */

/* The driver's own queue_select; DEVEMU_VIRTIO_QUEUES if that is no queue. */
static unsigned selected(const struct virtio_mmio *s)
{
    uint64_t queue = common_read(s, DEVEMU_VIRTIO_QUEUE_SELECT, 2);

    return queue < common_read(s, DEVEMU_VIRTIO_NUM_QUEUES, 2) ? (unsigned)queue
                                                               : DEVEMU_VIRTIO_QUEUES;
}

static void queue_align_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_mmio *s = state;
    unsigned queue = selected(s);

    (void)index;
    (void)old;
    if (queue < DEVEMU_VIRTIO_QUEUES) {
        s->align[queue] = (uint32_t)value;
    }
}

static uint64_t queue_pfn_read(const void *state, unsigned index)
{
    const struct virtio_mmio *s = state;
    unsigned queue = selected(s);

    (void)index;
    return queue < DEVEMU_VIRTIO_QUEUES ? s->pfn[queue] : 0;
}

/* A sum cannot wrap: the address has at most 64 bits less 2^33, the rest less than 2^32. */
static bool place_queue(struct virtio_mmio *s, uint64_t base, uint64_t align)
{
    if (align == 0 || (align & (align - 1)) != 0) {
        devemu_guest_error(s->dev, "QueueAlign: not a power of two");
        return false;
    }
    devemu_virtio_place_legacy(s->child, base, common_read(s, DEVEMU_VIRTIO_QUEUE_SIZE, 2), align);
    return common_read(s, DEVEMU_VIRTIO_QUEUE_ENABLE, 2) == 1;
}

/* 0 takes the queue away. A place that is not possible reads back as 0: not in use. */
static void queue_pfn_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_mmio *s = state;
    unsigned queue = selected(s);

    (void)index;
    (void)old;
    if (queue == DEVEMU_VIRTIO_QUEUES) {
        return;
    }
    common_write(s, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 0);
    s->pfn[queue] = 0;
    if (value != 0 && place_queue(s, value * s->page_size, s->align[queue])) {
        s->pfn[queue] = (uint32_t)value;
    }
}

/* --- registers that are the device's own ---------------------------------------------- */

/* One for each register below: a row's callbacks know nothing of the row. */
#define READS(function, place, bytes)                                                              \
    static uint64_t function(const void *state, unsigned index)                                    \
    {                                                                                              \
        (void)index;                                                                               \
        return common_read(state, (place), (bytes));                                               \
    }
#define WRITES(function, place, bytes)                                                             \
    static void function(void *state, unsigned index, uint64_t value, uint64_t old)                \
    {                                                                                              \
        (void)index;                                                                               \
        (void)old;                                                                                 \
        common_write(state, (place), (bytes), value);                                              \
    }

WRITES(device_features_sel_wrote, DEVEMU_VIRTIO_DEVICE_FEATURE_SELECT, 4)
WRITES(driver_features_sel_wrote, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4)
WRITES(driver_features_wrote, DEVEMU_VIRTIO_DRIVER_FEATURE, 4)
READS(queue_num_max_read, DEVEMU_VIRTIO_QUEUE_MAX, 2)
READS(queue_ready_read, DEVEMU_VIRTIO_QUEUE_ENABLE, 2)
WRITES(queue_ready_wrote, DEVEMU_VIRTIO_QUEUE_ENABLE, 2)
READS(status_read, DEVEMU_VIRTIO_DEVICE_STATUS, 1)
READS(queue_reset_read, DEVEMU_VIRTIO_QUEUE_RESET, 2)
WRITES(queue_reset_wrote, DEVEMU_VIRTIO_QUEUE_RESET, 2)
READS(generation_read, DEVEMU_VIRTIO_CONFIG_GENERATION, 1)
WRITES(desc_low_wrote, DEVEMU_VIRTIO_QUEUE_DESC, 4)
WRITES(desc_high_wrote, DEVEMU_VIRTIO_QUEUE_DESC + 4, 4)
WRITES(driver_low_wrote, DEVEMU_VIRTIO_QUEUE_DRIVER, 4)
WRITES(driver_high_wrote, DEVEMU_VIRTIO_QUEUE_DRIVER + 4, 4)
WRITES(device_low_wrote, DEVEMU_VIRTIO_QUEUE_DEVICE, 4)
WRITES(device_high_wrote, DEVEMU_VIRTIO_QUEUE_DEVICE + 4, 4)

/* --- the configuration space ------------------------------------------------------------ */

static DevemuAccess config_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    const struct virtio_mmio *s = state;

    return at < AT_CONFIG ? DEVEMU_ACCESS_NONE
                          : devemu_device_read(s->child, DEVEMU_VIRTIO_CONFIG, at - AT_CONFIG, size,
                                               ret_value);
}

static DevemuAccess config_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    const struct virtio_mmio *s = state;

    return at < AT_CONFIG
               ? DEVEMU_ACCESS_NONE
               : devemu_device_write(s->child, DEVEMU_VIRTIO_CONFIG, at - AT_CONFIG, size, value);
}

/* --- tables ------------------------------------------------------------------------------ */

static const DevemuBits interrupt_bits[] = {
    {"USED_BUFFER", INTERRUPT_USED},
    {"CONFIGURATION_CHANGE", INTERRUPT_CONFIG},
    {NULL},
};

#define NAMED(label, words, place)                                                                 \
    .name = (label), .title = (words), .section = "4.2.2", .at = (place), .size = 4
#define ALL_OF_IT UINT32_MAX

static const DevemuReg regs[] = {
    {NAMED("MagicValue", "\"virt\"", 0x000), .reset = MAGIC, .ro = ALL_OF_IT},
    {NAMED("Version", "1 is legacy", 0x004), .ro = ALL_OF_IT, .read = version_read},
    {NAMED("DeviceID", "Device type", 0x008), .ro = ALL_OF_IT, .read = device_id_read},
    {NAMED("VendorID", "Vendor", 0x00c), .reset = VENDOR, .ro = ALL_OF_IT},
    {NAMED("DeviceFeatures", "32 of the features that the device offers", 0x010), .ro = ALL_OF_IT,
     .read = device_features_read},
    {NAMED("DeviceFeaturesSel", "Which 32", 0x014), .wo = ALL_OF_IT,
     .wrote = device_features_sel_wrote},
    {NAMED("DriverFeatures", "32 of the features that the driver accepts", 0x020), .wo = ALL_OF_IT,
     .wrote = driver_features_wrote},
    {NAMED("DriverFeaturesSel", "Which 32", 0x024), .wo = ALL_OF_IT,
     .wrote = driver_features_sel_wrote},
    {NAMED("GuestPageSize", "Unit of QueuePFN, bytes", 0x028),
     DEVEMU_IN(struct virtio_mmio, page_size), .wo = ALL_OF_IT, .decoded = is_legacy},
    {NAMED("QueueSel", "Which queue the registers below are of", 0x030), .wo = ALL_OF_IT,
     .wrote = queue_sel_wrote},
    {NAMED("QueueNumMax", "Greatest Queue Size; 0: no such queue", 0x034), .ro = ALL_OF_IT,
     .read = queue_num_max_read},
    {NAMED("QueueNum", "Queue Size", 0x038), .wo = ALL_OF_IT, .wrote = queue_num_wrote},
    {NAMED("QueueAlign", "Alignment of the used ring, bytes", 0x03c), .wo = ALL_OF_IT,
     .decoded = is_legacy, .wrote = queue_align_wrote},
    {NAMED("QueuePFN", "Page where the queue begins; 0: not in use", 0x040), .decoded = is_legacy,
     .read = queue_pfn_read, .wrote = queue_pfn_wrote},
    {NAMED("QueueReady", "Is the queue in use?", 0x044), .decoded = is_modern,
     .read = queue_ready_read, .wrote = queue_ready_wrote},
    {NAMED("QueueNotify", "Buffers are available", 0x050), .wo = ALL_OF_IT,
     .wrote = queue_notify_wrote},
    {NAMED("InterruptStatus", "What has happened", 0x060), .bits = interrupt_bits,
     DEVEMU_IN(struct virtio_mmio, interrupt_status), .ro = ALL_OF_IT},
    {NAMED("InterruptACK", "1 clears a bit of InterruptStatus", 0x064), .bits = interrupt_bits,
     .wo = ALL_OF_IT, .wrote = interrupt_ack_wrote},
    {NAMED("Status", "Device status; 0 resets", 0x070), .read = status_read, .wrote = status_wrote},
#define HALF(label, words, place, function)                                                        \
    {                                                                                              \
        NAMED(label, words, place), .wo = ALL_OF_IT, .decoded = is_modern, .wrote = (function)     \
    }
    HALF("QueueDescLow", "Address of the Descriptor Area", 0x080, desc_low_wrote),
    HALF("QueueDescHigh", "Its upper half", 0x084, desc_high_wrote),
    HALF("QueueDriverLow", "Address of the Driver Area", 0x090, driver_low_wrote),
    HALF("QueueDriverHigh", "Its upper half", 0x094, driver_high_wrote),
    HALF("QueueDeviceLow", "Address of the Device Area", 0x0a0, device_low_wrote),
    HALF("QueueDeviceHigh", "Its upper half", 0x0a4, device_high_wrote),
    {NAMED("SHMSel", "Which shared memory region", 0x0ac), .wo = ALL_OF_IT, .decoded = is_modern},
#define SHM(label, words, place)                                                                   \
    {                                                                                              \
        NAMED(label, words, place), .reset = UINT32_MAX, .ro = ALL_OF_IT, .decoded = is_modern     \
    }
    SHM("SHMLenLow", "Bytes of it; all ones: there is none", 0x0b0),
    SHM("SHMLenHigh", "Their upper half", 0x0b4),
    SHM("SHMBaseLow", "Its address", 0x0b8),
    SHM("SHMBaseHigh", "Its upper half", 0x0bc),
    {NAMED("QueueReset", "1 resets the queue, and stays until that is done", 0x0c0),
     .decoded = is_modern, .read = queue_reset_read, .wrote = queue_reset_wrote},
    {NAMED("ConfigGeneration", "Changes with the configuration space", 0x0fc), .ro = ALL_OF_IT,
     .decoded = is_modern, .read = generation_read},
};

static const DevemuBank banks[] = {
    {.name = "mmio",
     .kind = DEVEMU_BANK_MMIO,
     .size = MMIO_BYTES,
     .regs = regs,
     .reg_count = G_N_ELEMENTS(regs),
     .read = config_read,
     .write = config_write},
};

static const DevemuField fields[] = {
    DEVEMU_SKIP(struct virtio_mmio, child),
    DEVEMU_SAVE_ARRAY(struct virtio_mmio, align),
    DEVEMU_SAVE_ARRAY(struct virtio_mmio, pfn),
    DEVEMU_SKIP(struct virtio_mmio, unused),
    {NULL},
};

static const DevemuProperty properties[] = {
    {.name = "version",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct virtio_mmio, version),
     .value = "2",
     .min = 1,
     .max = 2,
     .doc = "Version of the interface: 2, or 1 for legacy drivers"},
    {NULL},
};

static const char *const outputs[] = {"INT", NULL};

/* --- life --------------------------------------------------------------------------------- */

static uint64_t transport_lines(const void *state)
{
    return ((const struct virtio_mmio *)state)->interrupt_status != 0;
}

static void transport_reset(void *state, DevemuReset kind)
{
    struct virtio_mmio *s = state;

    forget(s);
    if (s->child) {
        devemu_device_reset(s->child, kind);
    }
}

static bool transport_valid(const void *state)
{
    const struct virtio_mmio *s = state;

    return s->interrupt_status <= (INTERRUPT_USED | INTERRUPT_CONFIG);
}

/* It stands for the device alone. */
static void transport_unplug(DevemuDevice *dev, DevemuDevice *child)
{
    struct virtio_mmio *s = dev->state;

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

static const DevemuModel virtio_mmio_model = {
    .name = "virtio-mmio",
    .title = "virtio over MMIO",
    .datasheet = "OASIS Virtual I/O Device 1.4, 4.2",
    .not_modelled = "shared memory regions",
    .state_size = sizeof(struct virtio_mmio),
    .banks = banks,
    .bank_count = G_N_ELEMENTS(banks),
    .fields = fields,
    .properties = properties,
    .outputs = outputs,
    .lines = transport_lines,
    .reset = transport_reset,
    .valid = transport_valid,
    .unplug = transport_unplug,
    .is_bus = true,
};

DevemuDevice *devemu_virtio_mmio_new(DevemuDevice *dev, const char *options, GError **error)
{
    DevemuHostOps ops = devemu_passing_ops;
    DevemuDevice *transport;
    struct virtio_mmio *s;

    g_return_val_if_fail(dev != NULL && dev->parent == NULL, NULL);
    if (dev->model->virtio == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL, "%s: not a virtio device",
                    dev->model->name);
        return NULL;
    }
    transport = devemu_device_new(&virtio_mmio_model, options, error);
    if (transport == NULL) {
        return NULL;
    }
    s = transport->state;
    if (is_legacy(s) && dev->model->virtio->transitional_id == 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "%s has no legacy interface: version must be 2", dev->model->name);
        devemu_device_free(transport);
        return NULL;
    }
    s->child = dev;
    ops.msi = below_msi;
    devemu_device_adopt(transport, dev, &ops, transport, dev->name);
    return transport;
}
