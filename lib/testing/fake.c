/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake.c: the fake host. See testing.h.
 *
 * The file is long because every call of testing.h has four modes to mind, and the struct of all of
 * them is private to it.
 */
#include "fake.h"

#include <devemu/bus.h>
#include <devemu/record.h>

#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where the fake puts the BARs in bus mode, and the ports of an ISA card that names none. */
#define IO_BASE     0xc000u
#define MEMORY_BASE 0xe0000000u
#define BAR_STEP    0x10000u
#define PCI_DEVFN   (3 << 3)

/* --- the host's table -------------------------------------------------------------- */

static bool touches(Span span, uint64_t addr, size_t len)
{
    return span.len > 0 && len > 0 && addr < span.addr + span.len && span.addr < addr + len;
}

static bool in_ram(const DevemuFake *fake, uint64_t addr, size_t len)
{
    return addr <= fake->ram_bytes && len <= fake->ram_bytes - addr;
}

/* A device whose DMA hits its own registers is in an event: it must answer nothing. */
static bool own_registers(DevemuFake *fake, uint64_t addr, size_t len, bool write)
{
    for (size_t i = 0; i < len; i += 2) {
        uint64_t at = (addr - fake->own.addr + i) & 0x1f;
        uint64_t value = 0;
        DevemuAccess access =
            write ? devemu_device_write(fake->dev, fake->own_bank, at & ~1u, 2, 0xffff)
                  : devemu_device_read(fake->dev, fake->own_bank, at & ~1u, 2, &value);

        if (access == DEVEMU_ACCESS_OK) {
            g_error("%s answered its own DMA", fake->model->name);
        }
    }
    return false;
}

static bool fake_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuFake *fake = host;

    fake->dma_bytes += len;
    if (touches(fake->own, addr, len)) {
        return own_registers(fake, addr, len, false);
    }
    if (touches(fake->fail, addr, len) || !in_ram(fake, addr, len)) {
        return false;
    }
    memcpy(buf, fake->ram + addr, len);
    return true;
}

static bool fake_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuFake *fake = host;

    fake->dma_bytes += len;
    if (touches(fake->own, addr, len)) {
        return own_registers(fake, addr, len, true);
    }
    if (touches(fake->fail, addr, len) || !in_ram(fake, addr, len)) {
        return false;
    }
    memcpy(fake->ram + addr, buf, len);
    return true;
}

static bool fake_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuFake *fake = host;

    if (!fake->map || fake->own.len || fake->fail.len || addr >= fake->ram_bytes) {
        return false;
    }
    *ret_window = (DevemuWindow){0, fake->ram_bytes, fake->ram, true};
    return true;
}

static void fake_set_line(void *host, unsigned line, bool level)
{
    DevemuFake *fake = host;
    uint64_t bit;

    if (fake->root != fake->dev && fake->model->pci) {
        line = 0; /* INTA# to INTD# of the bus are all the one function's */
    }
    bit = UINT64_C(1) << (line % FAKE_LINES);
    if (level && !(fake->levels & bit)) {
        fake->rises[line % FAKE_LINES]++;
    }
    fake->levels = level ? fake->levels | bit : fake->levels & ~bit;
}

static void fake_discard(void *host, uint64_t addr, uint64_t len)
{
    DevemuFake *fake = host;

    fake->discards++;
    fake->discard_addr = addr;
    fake->discard_len = len;
}

static void fake_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuFake *fake = host;

    fake->msis++;
    fake->msi_addr = addr;
    fake->msi_data = data;
}

static uint64_t fake_now(void *host)
{
    return ((DevemuFake *)host)->now;
}

static void fake_deadline(void *host, uint64_t when_ns)
{
    ((DevemuFake *)host)->deadline = when_ns;
}

static void fake_log(void *host, DevemuLogLevel level, const char *text)
{
    DevemuFake *fake = host;

    if (level == DEVEMU_LOG_GUEST) {
        fake->guest_errors++;
    }
    g_free(fake->last_log);
    fake->last_log = g_strdup(text);
}

static void fake_trace(void *host, const DevemuTrace *trace)
{
    DevemuFake *fake = host;

    cover_note(fake->cover, fake->dev, trace);
}

static bool fake_deferred(void *host)
{
    return ((DevemuFake *)host)->deferred;
}

void devemu_fake_set_deferred(DevemuFake *fake, bool on)
{
    fake->deferred = on;
}

static const DevemuHostOps fake_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = fake_dma_read,
    .dma_write = fake_dma_write,
    .dma_map = fake_dma_map,
    .set_line = fake_set_line,
    .msi = fake_msi,
    .now = fake_now,
    .deadline = fake_deadline,
    .log = fake_log,
    .discard = fake_discard,
    .dma_deferred = fake_deferred,
};

/* Tracing takes the slower ways through the library: on request only. */
static void set_host(DevemuFake *fake)
{
    DevemuHostOps ops = fake_ops;

    if (fake->cover) {
        ops.trace = fake_trace;
    }
    devemu_device_set_host(fake->root, &ops, fake);
}

/* --- backends ---------------------------------------------------------------------- */

static void net_send_offload(void *net, const DevemuNetOffload *offload, const DevemuSlice *slices,
                             size_t count, bool more)
{
    DevemuFake *fake = net;
    GByteArray *frame = g_byte_array_new();

    (void)more;
    for (size_t i = 0; i < count; i++) {
        g_byte_array_append(frame, slices[i].data, (guint)slices[i].len);
    }
    g_ptr_array_add(fake->sent, g_byte_array_free_to_bytes(frame));
    g_array_append_val(fake->said, *offload);
}

static void net_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    static const DevemuNetOffload plain;

    net_send_offload(net, &plain, slices, count, more);
}

static uint32_t net_offloads(void *net)
{
    return ((DevemuFake *)net)->offloads;
}

static void net_ready(void *net)
{
    ((DevemuFake *)net)->readies++;
}

static void char_write(void *chr, const void *data, size_t len)
{
    DevemuFake *fake = chr;

    g_ptr_array_add(fake->sent, g_bytes_new(data, len));
    g_string_append_len(fake->output, data, (gssize)len);
}

static bool char_writable(void *chr)
{
    return !(((const DevemuFake *)chr)->full_ports & 1);
}

static const DevemuNetOps net_ops = {.size = sizeof(DevemuNetOps),
                                     .send = net_send,
                                     .ready = net_ready,
                                     .offloads = net_offloads,
                                     .send_offload = net_send_offload};
static const DevemuCharOps char_ops = {
    .size = sizeof(DevemuCharOps),
    .write = char_write,
    .ready = net_ready,
    .writable = char_writable,
};

static void port_write(void *chr, const void *data, size_t len)
{
    const FakePort *port = chr;
    GString **output = &port->fake->port_output[port->number];

    if (*output == NULL) {
        *output = g_string_new(NULL);
    }
    g_string_append_len(*output, data, (gssize)len);
}

static void port_ready(void *chr)
{
    ((const FakePort *)chr)->fake->readies++;
}

static bool port_writable(void *chr)
{
    const FakePort *port = chr;

    return !(port->fake->full_ports >> port->number & 1);
}

void devemu_fake_set_writable(DevemuFake *fake, unsigned port, bool writable)
{
    uint32_t bit = UINT32_C(1) << (port % DEVEMU_PORTS);

    fake->full_ports = writable ? fake->full_ports & ~bit : fake->full_ports | bit;
}

static void attach_ports(DevemuFake *fake)
{
    static const DevemuCharOps ops = {
        .size = sizeof(DevemuCharOps),
        .write = port_write,
        .ready = port_ready,
        .writable = port_writable,
    };

    for (unsigned i = 1; i < devemu_device_ports(fake->dev); i++) {
        fake->ports[i] = (FakePort){.fake = fake, .number = i};
        devemu_device_attach_port(fake->dev, i, &ops, &fake->ports[i]);
    }
}

static void attach(DevemuFake *fake)
{
    if (fake->block) {
        devemu_block_attach(fake->block, fake->dev);
    }
    if (fake->model->is_char) {
        devemu_device_attach_char(fake->dev, &char_ops, fake);
        attach_ports(fake);
    } else {
        devemu_device_attach_net(fake->dev, &net_ops, fake);
    }
}

void devemu_fake_set_block(DevemuFake *fake, DevemuBlock *block)
{
    fake->block = block;
    devemu_block_set_clock(block, fake_now, fake);
    devemu_block_attach(block, fake->dev);
}

/* --- making the device in each mode ------------------------------------------------ */

static G_GNUC_NORETURN void give_up(const DevemuFake *fake, GError *error)
{
    fprintf(stderr, "%s: %s\n", fake->model->name, error ? error->message : "cannot be made");
    exit(2);
}

static DevemuDevice *make(DevemuFake *fake)
{
    GError *error = NULL;
    DevemuDevice *dev =
        devemu_device_new_with(fake->model, (const DevemuSetting *)(void *)fake->settings->data,
                               fake->settings->len, &error);

    if (dev == NULL) {
        give_up(fake, error);
    }
    return dev;
}

static uint64_t bar_base(const DevemuFake *fake, unsigned bar)
{
    const DevemuBank *bank = &fake->model->banks[fake->model->pci->bars[bar].bank - 1];

    return (bank->kind == DEVEMU_BANK_PIO ? IO_BASE : MEMORY_BASE) + bar * BAR_STEP / 16;
}

static void config_write(DevemuFake *fake, unsigned reg, uint32_t value)
{
    devemu_device_write(fake->root, DEVEMU_PCI_CONFIG, (uint64_t)PCI_DEVFN << 12 | reg, 4, value);
}

static void make_pci(DevemuFake *fake)
{
    GError *error = NULL;

    fake->root = devemu_device_new(&devemu_model_pci_bus, NULL, &error);
    if (fake->root == NULL || !devemu_pci_plug(fake->root, fake->dev, PCI_DEVFN, &error)) {
        give_up(fake, error);
    }
    set_host(fake);
    for (unsigned bar = 0; bar < 6; bar++) {
        if (fake->model->pci->bars[bar].bank) {
            config_write(fake, 0x10 + 4 * bar, (uint32_t)bar_base(fake, bar));
        }
    }
    config_write(fake, 0x04, 0x0007); /* I/O, memory, bus master: PCI 3.0 6.2.2 */
}

static void make_isa(DevemuFake *fake)
{
    GError *error = NULL;

    fake->root = devemu_device_new(&devemu_model_isa, NULL, &error);
    if (fake->root == NULL || !devemu_isa_plug(fake->root, fake->dev, NULL, 0, -1, &error)) {
        give_up(fake, error);
    }
    set_host(fake);
}

static void make_recorded(DevemuFake *fake)
{
    GError *error = NULL;
    int fd = g_file_open_tmp("devemu-fake-XXXXXX.log", &fake->log_path, &error);

    if (fd < 0) {
        give_up(fake, error);
    }
    close(fd);
    fake->dev =
        devemu_recorder_new_with(fake->model, (const DevemuSetting *)(void *)fake->settings->data,
                                 fake->settings->len, fake->log_path, 50, &error);
    if (fake->dev == NULL) {
        give_up(fake, error);
    }
    fake->root = fake->dev;
    set_host(fake);
}

static void make_first(DevemuFake *fake)
{
    if (fake->mode == DEVEMU_FAKE_RECORD) {
        make_recorded(fake);
    } else {
        fake->dev = make(fake);
        if (fake->mode == DEVEMU_FAKE_BUS && fake->model->pci) {
            make_pci(fake);
        } else if (fake->mode == DEVEMU_FAKE_BUS && fake->model->isa) {
            make_isa(fake);
        } else {
            fake->root = fake->dev;
            set_host(fake);
        }
    }
    attach(fake);
}

/* Another device with the state of the old one. */
static void migrate(DevemuFake *fake)
{
    GError *error = NULL;
    GVariant *state;
    bool waits;

    if (fake->mode != DEVEMU_FAKE_MIGRATE) {
        return;
    }
    devemu_device_drain(fake->dev);
    state = devemu_device_save(fake->dev);
    waits = devemu_device_ready(fake->dev) == 0;
    if (fake->block) {
        devemu_device_set_host(fake->dev, NULL, NULL); /* that its medium goes, nobody hears */
        devemu_block_attach(fake->block, NULL);
    }
    devemu_device_free(fake->dev);
    fake->dev = fake->root = make(fake);
    fake->deadline = DEVEMU_NEVER;
    if (!devemu_device_load(fake->dev, state, &error)) {
        give_up(fake, error);
    }
    g_variant_unref(state);
    set_host(fake);
    attach(fake);
    if (fake->levels != devemu_device_lines(fake->dev)) {
        g_error("%s: lines %016" G_GINT64_MODIFIER "x became %016" G_GINT64_MODIFIER
                "x by a migration",
                fake->model->name, fake->levels, devemu_device_lines(fake->dev));
    }
    if (waits) {
        devemu_device_ready(fake->dev);
    }
}

/* --- life -------------------------------------------------------------------------- */

static void setting_clear(void *opaque)
{
    DevemuSetting *setting = opaque;

    g_free((char *)(uintptr_t)setting->name);
    g_free((char *)(uintptr_t)setting->text);
    g_free((void *)(uintptr_t)setting->data);
}

static DevemuFakeMode mode_from_environment(void)
{
    const char *mode = g_getenv("DEVEMU_FAKE_MODE");

    if (g_strcmp0(mode, "migrate") == 0) {
        return DEVEMU_FAKE_MIGRATE;
    }
    if (g_strcmp0(mode, "bus") == 0) {
        return DEVEMU_FAKE_BUS;
    }
    return g_strcmp0(mode, "record") == 0 ? DEVEMU_FAKE_RECORD : DEVEMU_FAKE_PLAIN;
}

static DevemuFake *fake_new(const DevemuModel *model, const DevemuSetting *settings, size_t count,
                            size_t ram_bytes, DevemuFakeMode mode)
{
    DevemuFake *fake = g_new0(DevemuFake, 1);

    fake->model = model;
    fake->mode = mode;
    fake->settings = g_array_new(TRUE, TRUE, sizeof(DevemuSetting));
    g_array_set_clear_func(fake->settings, setting_clear);
    for (size_t i = 0; i < count; i++) {
        DevemuSetting copy = {
            .name = g_strdup(settings[i].name),
            .text = g_strdup(settings[i].text),
            .data = g_memdup2(settings[i].data, settings[i].len),
            .len = settings[i].len,
        };

        g_array_append_val(fake->settings, copy);
    }
    fake->ram = g_malloc0(ram_bytes ? ram_bytes : 1);
    fake->ram_bytes = ram_bytes;
    fake->map = true;
    fake->deadline = DEVEMU_NEVER;
    fake->sent = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    fake->said = g_array_new(FALSE, TRUE, sizeof(DevemuNetOffload));
    fake->output = g_string_new(NULL);
    fake->last_log = g_strdup("");
    fake->cover = cover_new();
    make_first(fake);
    return fake;
}

DevemuFake *devemu_fake_new_mode(const DevemuModel *model, const char *options, size_t ram_bytes,
                                 DevemuFakeMode mode)
{
    GError *error = NULL;
    DevemuSetting *settings;
    DevemuFake *fake;
    size_t count = 0;

    g_return_val_if_fail(model != NULL, NULL);
    settings = devemu_settings_parse(options, &error);
    if (settings == NULL) {
        fprintf(stderr, "%s: %s\n", model->name, error->message);
        exit(2);
    }
    while (settings[count].name) {
        count++;
    }
    fake = fake_new(model, settings, count, ram_bytes, mode);
    devemu_settings_free(settings);
    return fake;
}

DevemuFake *devemu_fake_new(const DevemuModel *model, const char *options, size_t ram_bytes)
{
    return devemu_fake_new_mode(model, options, ram_bytes, mode_from_environment());
}

DevemuFake *devemu_fake_new_with(const DevemuModel *model, const DevemuSetting *settings,
                                 size_t count, size_t ram_bytes)
{
    g_return_val_if_fail(model != NULL, NULL);
    return fake_new(model, settings, count, ram_bytes, mode_from_environment());
}

static void replay(DevemuFake *fake)
{
    GError *error = NULL;
    DevemuReplay *again = devemu_replay_new(fake->log_path, fake->model, &error);

    if (again == NULL || !devemu_replay_run(again, &error)) {
        g_error("%s: the record does not replay: %s\n%s", fake->model->name, error->message,
                again && devemu_replay_report(again) ? devemu_replay_report(again) : "");
    }
    devemu_replay_free(again);
    g_unlink(fake->log_path);
    g_free(fake->log_path);
}

void devemu_fake_free(DevemuFake *fake)
{
    if (fake == NULL) {
        return;
    }
    devemu_device_free(fake->root);
    cover_free(fake->cover);
    if (fake->mode == DEVEMU_FAKE_RECORD) {
        replay(fake);
    }
    g_array_unref(fake->settings);
    g_ptr_array_unref(fake->sent);
    g_array_unref(fake->said);
    g_string_free(fake->output, TRUE);
    for (unsigned i = 0; i < DEVEMU_PORTS; i++) {
        if (fake->port_output[i]) {
            g_string_free(fake->port_output[i], TRUE);
        }
    }
    g_free(fake->last_log);
    g_free(fake->ram);
    g_free(fake);
}

DevemuDevice *devemu_fake_device(DevemuFake *fake)
{
    return fake->dev;
}

uint8_t *devemu_fake_ram(DevemuFake *fake)
{
    return fake->ram;
}

/* --- accesses ---------------------------------------------------------------------- */

/* In bus mode: through the BAR or the port that maps the bank, if any does. */
static DevemuDevice *route(const DevemuFake *fake, unsigned *bank, uint64_t *at)
{
    const DevemuModel *model = fake->model;
    unsigned port_bank = 0;

    if (fake->root == fake->dev) {
        return fake->dev;
    }
    if (model->pci) {
        for (unsigned bar = 0; bar < 6; bar++) {
            if (model->pci->bars[bar].bank == *bank + 1) {
                *at += bar_base(fake, bar);
                *bank =
                    model->banks[*bank].kind == DEVEMU_BANK_PIO ? DEVEMU_PCI_IO : DEVEMU_PCI_MEMORY;
                return fake->root;
            }
        }
        return fake->dev;
    }
    for (unsigned b = 0; b < *bank; b++) {
        port_bank += model->banks[b].kind == DEVEMU_BANK_PIO;
    }
    if (model->banks[*bank].kind == DEVEMU_BANK_PIO &&
        port_bank < DEVEMU_N_ELEMENTS(model->isa->bases) && model->isa->bases[port_bank]) {
        *at += model->isa->bases[port_bank];
        *bank = DEVEMU_ISA_PIO;
        return fake->root;
    }
    return fake->dev;
}

uint64_t devemu_fake_read(DevemuFake *fake, unsigned bank, uint64_t at, unsigned size)
{
    uint64_t value = size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
    DevemuDevice *dev;

    migrate(fake);
    dev = route(fake, &bank, &at);
    fake->access = devemu_device_read(dev, bank, at, size, &value);
    return value;
}

void devemu_fake_write(DevemuFake *fake, unsigned bank, uint64_t at, unsigned size, uint64_t value)
{
    DevemuDevice *dev;

    migrate(fake);
    dev = route(fake, &bank, &at);
    fake->access = devemu_device_write(dev, bank, at, size, value);
}

DevemuAccess devemu_fake_access(const DevemuFake *fake)
{
    return fake->access;
}

/* --- time -------------------------------------------------------------------------- */

/* At one moment a device may have several things to do, but not for ever. */
#define STALL_LIMIT 100000

static uint64_t next_deadline(const DevemuFake *fake)
{
    return fake->block ? MIN(fake->deadline, devemu_block_deadline(fake->block)) : fake->deadline;
}

static bool run_to(DevemuFake *fake, uint64_t target)
{
    unsigned stalled = 0;

    while (next_deadline(fake) <= target) {
        uint64_t before = next_deadline(fake);

        if (before > fake->now) {
            fake->now = before;
            stalled = 0;
        }
        if (fake->block && devemu_block_deadline(fake->block) <= fake->now) {
            devemu_block_run(fake->block);
        }
        if (fake->deadline <= fake->now) {
            devemu_device_run(fake->root);
        }
        if (++stalled > STALL_LIMIT) {
            g_error("%s does not let time go on at %" G_GUINT64_FORMAT " ns", fake->model->name,
                    fake->now);
        }
    }
    return next_deadline(fake) == DEVEMU_NEVER;
}

void devemu_fake_advance(DevemuFake *fake, uint64_t ns)
{
    uint64_t target = ns > DEVEMU_NEVER - 1 - fake->now ? DEVEMU_NEVER - 1 : fake->now + ns;

    migrate(fake);
    run_to(fake, target);
    fake->now = target;
}

void devemu_fake_idle(DevemuFake *fake, uint64_t ns)
{
    fake->now = ns > DEVEMU_NEVER - 1 - fake->now ? DEVEMU_NEVER - 1 : fake->now + ns;
}

void devemu_fake_jump(DevemuFake *fake, uint64_t ns)
{
    migrate(fake);
    devemu_fake_idle(fake, ns);
    run_to(fake, fake->now);
}

uint64_t devemu_fake_now(const DevemuFake *fake)
{
    return fake->now;
}

bool devemu_fake_settle(DevemuFake *fake, uint64_t limit_ns)
{
    migrate(fake);
    return run_to(fake, fake->now + limit_ns);
}

/* --- lines ------------------------------------------------------------------------- */

bool devemu_fake_line(const DevemuFake *fake, unsigned line)
{
    if (fake->root != fake->dev) {
        return devemu_device_lines(fake->dev) >> line & 1;
    }
    return fake->levels >> line & 1;
}

unsigned devemu_fake_rises(DevemuFake *fake, unsigned line)
{
    unsigned rises = fake->rises[line % FAKE_LINES];

    fake->rises[line % FAKE_LINES] = 0;
    return rises;
}

void devemu_fake_set_input(DevemuFake *fake, unsigned line, bool level)
{
    migrate(fake);
    devemu_device_line(fake->dev, line, level);
}

/* --- payload ----------------------------------------------------------------------- */

size_t devemu_fake_receive(DevemuFake *fake, const void *data, size_t len)
{
    return devemu_fake_receive_packet(fake, NULL, data, len, false);
}

size_t devemu_fake_receive_port(DevemuFake *fake, unsigned port, const void *data, size_t len)
{
    migrate(fake);
    return devemu_device_receive_port(fake->dev, port, data, len);
}

size_t devemu_fake_receive_packet(DevemuFake *fake, const DevemuNetOffload *offload,
                                  const void *data, size_t len, bool more)
{
    migrate(fake);
    return devemu_device_receive_packet(fake->dev, offload, data, len, more);
}

/* --- DMA that goes wrong ----------------------------------------------------------- */

void devemu_fake_fail_dma(DevemuFake *fake, uint64_t addr, uint64_t len)
{
    fake->fail = (Span){addr, len};
    devemu_device_revoke(fake->root);
}

void devemu_fake_own_dma(DevemuFake *fake, uint64_t addr, uint64_t len, unsigned bank)
{
    fake->own = (Span){addr, len};
    fake->own_bank = bank;
    devemu_device_revoke(fake->root);
}

void devemu_fake_set_map(DevemuFake *fake, bool on)
{
    fake->map = on;
    devemu_device_revoke(fake->root);
}

uint64_t devemu_fake_dma_bytes(const DevemuFake *fake)
{
    return fake->dma_bytes;
}
