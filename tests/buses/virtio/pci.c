/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio over PCI: the transport, with the entropy device behind it. Sections of virtio 1.4. */
#include "../../../models/virtio/virtio.h"

#include <devemu/bus.h>
#include <devemu/virtio.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_virtio_rng;

enum {
    CONFIG, /* banks of a function */
    BAR0,
    BAR1,
    BAR4 = BAR0 + 4,

    RAM_BYTES = 1 << 16,
    DESC = 0x1000,
    AVAIL = 0x2000,
    USED = 0x3000,
    DATA = 0x4000,

    COMMON_VECTOR = 0x10,
    QUEUE_VECTOR = 0x1a,
    ISR = 0x1000,
    NOTIFY = 0x3000,

    VENDOR_CAPABILITY = 9,
    MSIX_CAPABILITY = 0x11,
};

typedef struct Machine {
    uint8_t ram[RAM_BYTES];
    DevemuDevice *dev, *function;
    bool irq;
    unsigned msis;
    uint64_t msi_addr;
    uint32_t msi_data;
    unsigned dma;
} Machine;

static bool move(Machine *m, uint64_t addr, void *to, const void *from, size_t len)
{
    m->dma++;
    if (addr > RAM_BYTES || len > RAM_BYTES - addr) {
        return false;
    }
    memcpy(to ? to : m->ram + addr, from ? from : m->ram + addr, len);
    return true;
}

static bool dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    return move(host, addr, buf, NULL, len);
}

static bool dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    return move(host, addr, NULL, buf, len);
}

static void set_line(void *host, unsigned line, bool level)
{
    cr_assert_eq(line, 0);
    ((Machine *)host)->irq = level;
}

static void msi(void *host, uint64_t addr, uint32_t data)
{
    Machine *m = host;

    m->msis++;
    m->msi_addr = addr;
    m->msi_data = data;
}

static const DevemuHostOps ops = {
    .size = sizeof(ops),
    .dma_read = dma_read,
    .dma_write = dma_write,
    .set_line = set_line,
    .msi = msi,
};

static uint64_t get(Machine *m, unsigned bank, uint64_t at, unsigned size)
{
    uint64_t value = UINT64_MAX;

    devemu_device_read(m->function, bank, at, size, &value);
    return value;
}

static void put(Machine *m, unsigned bank, uint64_t at, unsigned size, uint64_t value)
{
    devemu_device_write(m->function, bank, at, size, value);
}

static Machine *power_on(const char *options)
{
    Machine *m = g_new0(Machine, 1);
    DevemuDevice *transport;

    m->dev = devemu_device_new(&devemu_model_virtio_rng, NULL, NULL);
    transport = devemu_virtio_pci_new(m->dev, options, NULL);
    cr_assert_not_null(transport);
    m->function = devemu_pci_function_new(transport, NULL);
    cr_assert_not_null(m->function);
    devemu_device_set_host(m->function, &ops, m);
    put(m, CONFIG, 4, 2, 7); /* ports, memory, bus master */
    return m;
}

static void power_off(Machine *m)
{
    devemu_device_free(m->function);
    g_free(m);
}

/* Offset of the capability with that ID and, if it is a vendor's, that cfg_type; 0: none. */
static unsigned capability(Machine *m, unsigned id, unsigned type)
{
    for (uint64_t at = get(m, CONFIG, 0x34, 1); at != 0; at = get(m, CONFIG, at + 1, 1)) {
        if (get(m, CONFIG, at, 1) == id &&
            (id != VENDOR_CAPABILITY || get(m, CONFIG, at + 3, 1) == type)) {
            return (unsigned)at;
        }
    }
    return 0;
}

static void negotiate(Machine *m)
{
    put(m, BAR4, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    put(m, BAR4, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 3);
    put(m, BAR4, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 1);
    put(m, BAR4, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, 1);
    put(m, BAR4, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0xb);
    cr_assert_eq(get(m, BAR4, DEVEMU_VIRTIO_DEVICE_STATUS, 1), 0xb);
}

/* One buffer of eight bytes in a queue of four, at these places. */
static void fill_queue(Machine *m, unsigned avail)
{
    memset(m->ram, 0, RAM_BYTES);
    devemu_put_le64(m->ram + DESC, DATA);
    devemu_put_le32(m->ram + DESC + 8, 8);
    devemu_put_le16(m->ram + DESC + 12, 2);
    devemu_put_le16(m->ram + avail + 2, 1);
}

static void start(Machine *m)
{
    fill_queue(m, AVAIL);
    negotiate(m);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_SELECT, 2, 0);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_SIZE, 2, 4);
    /* 4.1.3.1: 64-bit fields by halves. */
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_DESC, 4, DESC);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_DESC + 4, 4, 0);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_DRIVER, 4, AVAIL);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_DEVICE, 4, USED);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
    put(m, BAR4, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0xf);
    put(m, BAR4, NOTIFY, 2, 0);
}

static size_t give(Machine *m)
{
    return devemu_device_receive(m->dev, "12345678", 8);
}

/* --- 4.1.2 ------------------------------------------------------------------------- */

Test(virtio_pci, shows_itself_as_transitional_modern_or_legacy)
{
    Machine *m = power_on(NULL);

    cr_assert_eq(get(m, CONFIG, 0, 4), 0x10051af4);
    cr_assert_eq(get(m, CONFIG, 8, 1), 0, "4.1.2.3");
    cr_assert_eq(get(m, CONFIG, 0x2e, 2), 4, "subsystem: the device type");
    cr_assert(get(m, CONFIG, 0x10, 4) & 1, "4.1.2.3: BAR 0 is ports");
    power_off(m);
    m = power_on("legacy=off");
    cr_assert_eq(get(m, CONFIG, 0, 4), 0x10441af4);
    cr_assert_geq(get(m, CONFIG, 8, 1), 1, "4.1.2.1");
    cr_assert_geq(get(m, CONFIG, 0x2e, 2), 0x40, "4.1.2.1");
    cr_assert_eq(get(m, CONFIG, 0x10, 4), 0);
    power_off(m);
    m = power_on("modern=off");
    cr_assert_eq(get(m, CONFIG, 0, 4), 0x10051af4);
    cr_assert_eq(capability(m, VENDOR_CAPABILITY, 1), 0);
    cr_assert_neq(capability(m, MSIX_CAPABILITY, 0), 0);
    power_off(m);
}

Test(virtio_pci, refuses_to_be_nothing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_virtio_rng, NULL, NULL);

    cr_assert_null(devemu_virtio_pci_new(dev, "legacy=off,modern=off", &error));
    cr_assert_not_null(strstr(error->message, "modern=off"));
}

/* --- 4.1.4 ------------------------------------------------------------------------- */

Test(virtio_pci, has_a_capability_for_each_structure)
{
    Machine *m = power_on(NULL);
    const struct {
        unsigned type, bytes;
        uint32_t least;
    } wanted[] = {{1, 16, 0x38}, {2, 20, 2}, {3, 16, 1}, {4, 16, 1}};

    for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++) {
        unsigned at = capability(m, VENDOR_CAPABILITY, wanted[i].type);

        cr_assert_neq(at, 0, "cfg_type %u", wanted[i].type);
        cr_assert_geq(get(m, CONFIG, at + 2, 1), wanted[i].bytes);
        cr_assert_eq(get(m, CONFIG, at + 4, 1), 4);
        cr_assert_eq(get(m, CONFIG, at + 8, 4) % 4, 0);
        cr_assert_geq(get(m, CONFIG, at + 12, 4), wanted[i].least);
        cr_assert_leq(get(m, CONFIG, at + 8, 4) + get(m, CONFIG, at + 12, 4), 0x4000);
    }
    cr_assert_eq(get(m, CONFIG, capability(m, VENDOR_CAPABILITY, 2) + 16, 4), 4, "multiplier");
    cr_assert_neq(capability(m, VENDOR_CAPABILITY, 5), 0, "4.1.4.9.1");
    power_off(m);
}

/* 4.1.4.5 */
Test(virtio_pci, interrupts_by_the_pin_until_isr_is_read)
{
    Machine *m = power_on("vectors=0");

    start(m);
    cr_assert_not(m->irq);
    cr_assert_eq(give(m), 8);
    cr_assert(m->irq);
    cr_assert_eq(m->msis, 0);
    cr_assert_eq(m->ram[DATA + 7], '8');
    cr_assert_eq(get(m, BAR4, ISR, 1), 1);
    cr_assert_not(m->irq);
    cr_assert_eq(get(m, BAR4, ISR, 1), 0);
    power_off(m);
}

static void enable_msix(Machine *m)
{
    unsigned at = capability(m, MSIX_CAPABILITY, 0);

    for (unsigned v = 0; v < 2; v++) {
        put(m, BAR1, v * 16, 4, 0xfee00000);
        put(m, BAR1, v * 16 + 8, 4, 0x40 + v);
        put(m, BAR1, v * 16 + 12, 4, 0);
    }
    put(m, CONFIG, at + 2, 2, 0x8000);
}

/* 4.1.5.1.2, 4.1.5.3 */
Test(virtio_pci, sends_the_vector_of_the_queue)
{
    Machine *m = power_on(NULL);

    cr_assert_eq(get(m, CONFIG, capability(m, MSIX_CAPABILITY, 0) + 2, 2) & 0x7ff, 1);
    enable_msix(m);
    start(m);
    cr_assert_eq(give(m), 8);
    cr_assert_eq(m->msis, 0, "no vector yet");
    cr_assert_eq(get(m, BAR4, QUEUE_VECTOR, 2), 0xffff);
    put(m, BAR4, QUEUE_VECTOR, 2, 2);
    cr_assert_eq(get(m, BAR4, QUEUE_VECTOR, 2), 0xffff, "there is none of that number");
    put(m, BAR4, QUEUE_VECTOR, 2, 1);
    cr_assert_eq(get(m, BAR4, QUEUE_VECTOR, 2), 1);
    devemu_put_le16(m->ram + AVAIL + 2, 2);
    put(m, BAR4, NOTIFY, 2, 0);
    cr_assert_eq(give(m), 8);
    cr_assert_eq(m->msis, 1);
    cr_assert_eq(m->msi_data, 0x41);
    cr_assert_not(m->irq);
    power_off(m);
}

/* 4.1.5.4, 2.1.2 */
Test(virtio_pci, tells_of_a_device_that_needs_a_reset)
{
    Machine *m = power_on(NULL);

    enable_msix(m);
    put(m, BAR4, COMMON_VECTOR, 2, 0);
    start(m);
    devemu_put_le16(m->ram + AVAIL + 2, 500);
    give(m);
    cr_assert(get(m, BAR4, DEVEMU_VIRTIO_DEVICE_STATUS, 1) & DEVEMU_VIRTIO_NEEDS_RESET);
    cr_assert_eq(m->msis, 0, "the reset in start() forgot the vector");
    start(m);
    put(m, BAR4, COMMON_VECTOR, 2, 0);
    devemu_put_le16(m->ram + AVAIL + 2, 500);
    put(m, BAR4, NOTIFY, 4, 0);
    give(m);
    cr_assert_eq(m->msis, 1);
    cr_assert_eq(m->msi_data, 0x40);
    power_off(m);
}

/* 4.1.4.3.1: a queue's size reads 0 where there is none; 4.1.4.3.2: 0 in queue_enable does nothing.
 */
Test(virtio_pci, keeps_a_queue_on)
{
    Machine *m = power_on(NULL);

    start(m);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 0);
    cr_assert_eq(get(m, BAR4, DEVEMU_VIRTIO_QUEUE_ENABLE, 2), 1);
    cr_assert_eq(give(m), 8);
    put(m, BAR4, DEVEMU_VIRTIO_QUEUE_SELECT, 2, 9);
    cr_assert_eq(get(m, BAR4, DEVEMU_VIRTIO_QUEUE_SIZE, 2), 0);
    put(m, BAR4, QUEUE_VECTOR, 2, 0);
    cr_assert_eq(get(m, BAR4, QUEUE_VECTOR, 2), 0xffff);
    power_off(m);
}

/* --- 4.1.4.7: shared memory --------------------------------------------------------- */

typedef struct Shared {
    VirtioDevice v;
    uint8_t bytes[256];
} Shared;

static uint64_t no_features(const void *state)
{
    (void)state;
    return 0;
}

static unsigned no_queue(const void *state, unsigned queue)
{
    (void)state;
    (void)queue;
    return 0;
}

static DevemuAccess shared_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    *ret_value = ((const Shared *)state)->bytes[at % 256];
    return size == 1 ? DEVEMU_ACCESS_OK : DEVEMU_ACCESS_SIZE;
}

static DevemuAccess shared_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    ((Shared *)state)->bytes[at % 256] = (uint8_t)value;
    return size == 1 ? DEVEMU_ACCESS_OK : DEVEMU_ACCESS_SIZE;
}

#define SHARED_BYTES 0x1001

static const DevemuBank shared_banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config", .kind = DEVEMU_BANK_MMIO},
    {.name = "first", .kind = DEVEMU_BANK_MMIO, .size = SHARED_BYTES, .read = shared_read},
    {.name = "second",
     .kind = DEVEMU_BANK_MMIO,
     .size = UINT64_C(5) << 32,
     .read = shared_read,
     .write = shared_write},
};

static const DevemuVirtio shared_virtio = {
    .device_id = 26,
    .offer = no_features,
    .queue_size = no_queue,
    .shms = {{.id = 7, .bank = DEVEMU_VIRTIO_BANKS}, {.id = 9, .bank = DEVEMU_VIRTIO_BANKS + 1}},
};

static const DevemuModel shared_model = {
    .name = "shared",
    .state_size = sizeof(Shared),
    .banks = shared_banks,
    .bank_count = G_N_ELEMENTS(shared_banks),
    .configure = virtio_configure,
    .reset = virtio_reset,
    .virtio = &shared_virtio,
};

Test(virtio_pci, shows_shared_memory_in_a_bar)
{
    DevemuDevice *dev = devemu_device_new(&shared_model, NULL, NULL);
    Machine *m = g_new0(Machine, 1);
    DevemuPciBarInfo bar;
    unsigned at;

    m->function = devemu_pci_function_new(dev, NULL);
    devemu_device_set_host(m->function, &ops, m);
    put(m, CONFIG, 4, 2, 7);
    cr_assert(devemu_pci_function_bar(m->function, 2, &bar));
    cr_assert_eq(bar.size, UINT64_C(8) << 32);
    cr_assert(bar.is_64);
    at = capability(m, VENDOR_CAPABILITY, 8);
    cr_assert_eq(get(m, CONFIG, at + 2, 1), 24);
    cr_assert_eq(get(m, CONFIG, at + 4, 1), 2);
    cr_assert_eq(get(m, CONFIG, at + 5, 1), 7);
    cr_assert_eq(get(m, CONFIG, at + 12, 4), SHARED_BYTES);
    at = (unsigned)get(m, CONFIG, at + 1, 1);
    cr_assert_eq(get(m, CONFIG, at + 5, 1), 9);
    cr_assert_eq(get(m, CONFIG, at + 8, 4), 0x2000);
    cr_assert_eq(get(m, CONFIG, at + 20, 4), 5);
    put(m, BAR0 + 2, 0x2005, 1, 0x5a);
    cr_assert_eq(((const Shared *)devemu_device_state(dev))->bytes[5], 0x5a);
    cr_assert_eq(get(m, BAR0 + 2, 0x2005, 1), 0x5a);
    cr_assert_eq(get(m, BAR0 + 2, 0x1800, 1), UINT64_MAX, "between the two");
    cr_assert_neq(capability(m, VENDOR_CAPABILITY, 5), 0, "the list goes on");
    power_off(m);
}

/* --- 4.1.4.9 ----------------------------------------------------------------------- */

Test(virtio_pci, is_reached_through_configuration_space)
{
    Machine *m = power_on(NULL);
    unsigned at = capability(m, VENDOR_CAPABILITY, 5);

    put(m, CONFIG, at + 4, 1, 4);
    put(m, CONFIG, at + 8, 4, DEVEMU_VIRTIO_DEVICE_STATUS);
    put(m, CONFIG, at + 12, 4, 1);
    put(m, CONFIG, at + 16, 1, 3);
    cr_assert_eq(get(m, BAR4, DEVEMU_VIRTIO_DEVICE_STATUS, 1), 3);
    cr_assert_eq(get(m, CONFIG, at + 16, 1), 3);
    put(m, CONFIG, at + 8, 4, DEVEMU_VIRTIO_NUM_QUEUES);
    put(m, CONFIG, at + 12, 4, 2);
    cr_assert_eq(get(m, CONFIG, at + 16, 2), 1);
    cr_assert_eq(get(m, CONFIG, at + 12, 4), 2, "it is a register");
    put(m, CONFIG, at + 12, 4, 3);
    cr_assert_eq(get(m, CONFIG, at + 16, 4), 0, "no such length");
    put(m, CONFIG, at + 8, 4, 0xfffffffc);
    put(m, CONFIG, at + 12, 4, 4);
    put(m, CONFIG, at + 16, 4, 1);
    get(m, CONFIG, at + 16, 4);
    put(m, CONFIG, at + 4, 1, 3);
    cr_assert_eq(get(m, CONFIG, at + 16, 4), 0, "nothing is there");
    power_off(m);
}

/* --- 4.1.4.10: legacy -------------------------------------------------------------- */

enum {
    L_DEVICE,
    L_DRIVER = 4,
    L_PFN = 8,
    L_SIZE = 12,
    L_SELECT = 14,
    L_NOTIFY = 16,
    L_STATUS = 18
};

/* The ring of 256 entries from page 1 on: available ring at its end, used ring on the next page. */
Test(virtio_pci, serves_a_legacy_driver)
{
    Machine *m = power_on("modern=off");
    const unsigned avail = DESC + 256 * 16, used = 0x3000;

    fill_queue(m, avail);
    cr_assert(get(m, BAR0, L_DEVICE, 4) & 1u << 27, "ANY_LAYOUT");
    put(m, BAR0, L_STATUS, 1, 0);
    put(m, BAR0, L_STATUS, 1, 3);
    put(m, BAR0, L_DRIVER, 4, get(m, BAR0, L_DEVICE, 4) & ~(UINT64_C(1) << VIRTIO_F_EVENT_IDX));
    cr_assert_eq(get(m, BAR0, L_DRIVER, 4) >> 29 & 1, 0);
    put(m, BAR0, L_SELECT, 2, 0);
    cr_assert_eq(get(m, BAR0, L_SIZE, 2), 256);
    put(m, BAR0, L_PFN, 4, 1);
    cr_assert_eq(get(m, BAR0, L_PFN, 4), 1);
    put(m, BAR0, L_STATUS, 1, 7);
    put(m, BAR0, L_NOTIFY, 2, 0);
    cr_assert_eq(give(m), 8);
    cr_assert_eq(devemu_le16(m->ram + used + 2), 1);
    cr_assert(m->irq);
    cr_assert_eq(get(m, BAR0, 19, 1), 1);
    cr_assert_not(m->irq);
    put(m, BAR0, L_PFN, 4, 0);
    cr_assert_eq(get(m, BAR0, L_PFN, 4), 0);
    put(m, BAR0, L_NOTIFY, 2, 0);
    cr_assert_eq(give(m), 0, "the queue is gone");
    put(m, BAR0, L_STATUS, 1, 0);
    cr_assert_eq(get(m, BAR0, L_STATUS, 1), 0);
    power_off(m);
}

/* 4.1.4.10: with MSI-X on there are two registers more. */
Test(virtio_pci, legacy_vectors_come_with_msix)
{
    Machine *m = power_on(NULL);

    cr_assert_eq(get(m, BAR0, 20, 2), UINT64_MAX, "the rng has no configuration space");
    enable_msix(m);
    put(m, BAR0, L_SELECT, 2, 0);
    put(m, BAR0, 20, 2, 0);
    put(m, BAR0, 22, 2, 1);
    cr_assert_eq(get(m, BAR0, 20, 2), 0);
    cr_assert_eq(get(m, BAR0, 22, 2), 1);
    put(m, BAR0, L_STATUS, 1, 0);
    cr_assert_eq(get(m, BAR0, 22, 2), 0xffff);
    power_off(m);
}

/* --- life -------------------------------------------------------------------------- */

Test(virtio_pci, moves_nothing_without_bus_mastering)
{
    Machine *m = power_on(NULL);

    start(m);
    put(m, CONFIG, 4, 2, 3);
    m->dma = 0;
    give(m);
    cr_assert_eq(m->dma, 0);
    cr_assert_eq(m->msis, 0);
    power_off(m);
}

Test(virtio_pci, goes_on_after_a_snapshot)
{
    Machine *a = power_on(NULL), *b = power_on(NULL);

    enable_msix(a);
    start(a);
    put(a, BAR4, QUEUE_VECTOR, 2, 1);
    memcpy(b->ram, a->ram, RAM_BYTES);
    cr_assert(devemu_device_load(b->function, devemu_device_save(a->function), NULL));
    cr_assert_eq(give(b), 8);
    cr_assert_eq(b->msis, 1);
    cr_assert_eq(b->msi_data, 0x41);
    cr_assert_eq(b->ram[DATA], '1');
    power_off(a);
    power_off(b);
}

Test(virtio_pci, unplugs_the_device_whole)
{
    DevemuDevice *bus = devemu_device_new(&devemu_model_pci_bus, NULL, NULL);
    DevemuDevice *dev = devemu_device_new(&devemu_model_virtio_rng, NULL, NULL);
    uint64_t value = 0;

    cr_assert(devemu_pci_plug(bus, dev, 3 << 3, NULL));
    devemu_device_read(bus, DEVEMU_PCI_CONFIG, 3 << 15, 4, &value);
    cr_assert_eq(value, 0x10051af4);
    devemu_bus_unplug(dev);
    cr_assert_null(devemu_device_parent(dev));
    cr_assert_null(devemu_device_child(bus, 0));
    devemu_device_free(dev);
    devemu_device_free(bus);
}
