/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board.c: see board.h.
 */
#include "board.h"

#include <devemu/chipset.h>
#include <devemu/fw-cfg.h>

/* Who is asked first where mappings overlap. */
enum {
    PRIORITY_ISA,   /* subtractive decode */
    PRIORITY_PCI,   /* positive decode */
    PRIORITY_BOARD, /* what the board itself places: BIOS, VGA memory, configuration ports */
    PRIORITY_RAM,
    PRIORITY_SHADOW, /* RAM over ROM, where PAM says so */
};

#define SEGMENT_KIB  UINT64_C(0x400)
#define LOW_RAM      (640 * SEGMENT_KIB)
#define HIGH_RAM     UINT64_C(0x100000)
#define TOP_OF_4G    UINT64_C(0x100000000)
#define BIOS_WINDOW  UINT64_C(0x20000) /* the last 128 KiB of the BIOS appear below 1 MiB, too */
#define MOST_RAM_MIB 3072

/* By this SeaBIOS knows a virtual machine that has fw_cfg. */
#define VIRTUAL_SUBSYSTEM "subsystem=0x11001af4"

/* --- the CPU's socket -------------------------------------------------------------- */

/* A device with nothing but inputs: what the chips drive towards the CPU. */
struct socket {
    DevemuDevice *dev;
    Board *board;
};

enum { PIN_INTR, PIN_A20, PIN_INIT, PIN_RESET, PIN_OFF };

static void socket_line(void *state, unsigned line, bool level)
{
    struct socket *socket = state;
    Board *board = socket->board;

    if (line == PIN_INTR) {
        board->pins.intr(board->opaque, level);
    } else if (line == PIN_A20) {
        board->pins.a20(board->opaque, level);
    } else if (line == PIN_OFF && level) {
        board->pins.power_off(board->opaque);
    } else if (level) {
        board->pins.reset(board->opaque);
    }
}

/* A load changes levels without events: tell those that are not edges. */
static void socket_loaded(void *state)
{
    struct socket *socket = state;
    uint64_t inputs = devemu_device_inputs(socket->dev);

    socket_line(state, PIN_INTR, inputs >> PIN_INTR & 1);
    socket_line(state, PIN_A20, inputs >> PIN_A20 & 1);
}

static const char *const socket_inputs[] = {"INTR", "A20", "INIT", "RESET", "OFF", NULL};
static const DevemuField socket_fields[] = {DEVEMU_SKIP(struct socket, board), {.name = NULL}};

static const DevemuModel socket_model = {
    .name = "cpu",
    .title = "CPU socket",
    .datasheet = "none",
    .not_modelled = "NMI, SMI",
    .state_size = sizeof(struct socket),
    .fields = socket_fields,
    .inputs = socket_inputs,
    .input_line = socket_line,
    .loaded = socket_loaded,
};

/* --- small helpers ----------------------------------------------------------------- */

static DevemuDevice *make(const DevemuModel *model, const char *options, GError **error)
{
    return model ? devemu_device_new(model, options, error) : NULL;
}

/* A chip on the ISA bus; its first ports and interrupt as given, or the model's own. */
static DevemuDevice *isa_chip(Board *board, const char *model, const char *options,
                              uint16_t first_port, uint16_t second_port, int irq, GError **error)
{
    const uint16_t ports[] = {first_port, second_port};
    DevemuDevice *dev = make(devemu_model_find(model), options, error);

    if (dev && !devemu_isa_plug(board->isa, dev, ports, 2, irq, error)) {
        g_clear_pointer(&dev, devemu_device_free);
    }
    return dev;
}

static DevemuDevice *pci_chip(Board *board, const char *model, const char *options, unsigned device,
                              unsigned function, GError **error)
{
    DevemuDevice *dev = make(devemu_model_find(model), options, error);

    if (dev && !devemu_pci_plug(board->pci, dev, (int)(device << 3 | function), error)) {
        g_clear_pointer(&dev, devemu_device_free);
    }
    return dev;
}

static bool map_ports(Board *board, DevemuDevice *dev, const char *bank, uint64_t base,
                      uint64_t len, int priority, GError **error)
{
    int number = devemu_device_bank(dev, bank);

    g_return_val_if_fail(number >= 0, false);
    return devemu_system_map(board->system, DEVEMU_SYSTEM_PIO, base, len, dev, (unsigned)number, 0,
                             priority, error) != 0;
}

/* --- memory ------------------------------------------------------------------------ */

static bool read_firmware(Board *board, const char *path, GError **error)
{
    GError *why = NULL;
    char *data;

    if (!g_file_get_contents(path, &data, &board->bios_bytes, &why)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "firmware: %s", why->message);
        g_error_free(why);
        return false;
    }
    board->bios = (uint8_t *)data;
    if (board->bios_bytes < 0x10000 || board->bios_bytes > 0x1000000 ||
        board->bios_bytes % 0x10000 != 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE,
                    "firmware: %s has %" G_GSIZE_FORMAT
                    " bytes, but a BIOS has a multiple of 64 KiB, at most 16 MiB",
                    path, board->bios_bytes);
        return false;
    }
    return true;
}

static bool map_memory(Board *board, GError **error)
{
    DevemuDevice *system = board->system;
    uint64_t window = MIN(board->bios_bytes, BIOS_WINDOW);

    return devemu_system_map_ram(system, 0, LOW_RAM, board->ram, DEVEMU_RAM_RW, PRIORITY_RAM,
                                 error) &&
           devemu_system_map_ram(system, HIGH_RAM, board->ram_bytes - HIGH_RAM,
                                 board->ram + HIGH_RAM, DEVEMU_RAM_RW, PRIORITY_RAM, error) &&
           devemu_system_map_ram(system, TOP_OF_4G - board->bios_bytes, board->bios_bytes,
                                 board->bios, DEVEMU_RAM_ROM, PRIORITY_BOARD, error) &&
           devemu_system_map_ram(system, HIGH_RAM - window, window,
                                 board->bios + board->bios_bytes - window, DEVEMU_RAM_ROM,
                                 PRIORITY_BOARD, error);
}

/* RAM over the ROM area and the VGA window, behind the host bridge's gates. */
static bool map_shadows(Board *board, DevemuDevice *bridge, GError **error)
{
    unsigned id;

    for (unsigned n = 0; n < DEVEMU_I440FX_SEGMENTS; n++) {
        uint32_t base = devemu_i440fx_segment_base(n);

        id = devemu_system_map_ram(board->system, base, devemu_i440fx_segment_len(n),
                                   board->ram + base, DEVEMU_RAM_RW, PRIORITY_SHADOW, error);
        if (id == 0) {
            return false;
        }
        devemu_system_gate(board->system, id, bridge, devemu_i440fx_read_line(n),
                           devemu_i440fx_write_line(n));
    }
    id = devemu_system_map_ram(board->system, 0xa0000, 0x20000, board->ram + 0xa0000, DEVEMU_RAM_RW,
                               PRIORITY_SHADOW, error);
    if (id != 0) {
        devemu_system_gate(board->system, id, bridge, DEVEMU_I440FX_SMRAM_OPEN,
                           DEVEMU_I440FX_SMRAM_OPEN);
    }
    return id != 0;
}

/* --- firmware configuration -------------------------------------------------------- */

/* An option ROM says in its PCI data structure what it is for (PCI 3.0 6.3.1.2). */
static bool is_vga_rom(const char *rom, gsize len)
{
    unsigned pcir = len > 0x1a ? devemu_le16(rom + 0x18) : 0;

    return pcir != 0 && pcir + 0x18 <= len && memcmp(rom + pcir, "PCIR", 4) == 0 &&
           (uint8_t)rom[pcir + 0x0f] == 0x03;
}

static bool check_rom(const char *path, const char *rom, gsize len, GError **error)
{
    if (len >= 3 && (uint8_t)rom[0] == 0x55 && (uint8_t)rom[1] == 0xaa) {
        return true;
    }
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE,
                "ROM: %s is no option ROM: it does not begin with 55h AAh", path);
    return false;
}

static bool add_rom(DevemuFwCfgBuilder *items, const char *path, GError **error)
{
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *rom = NULL, *name = NULL;
    GError *why = NULL;
    gsize len;

    if (!g_file_get_contents(path, &rom, &len, &why)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "ROM: %s", why->message);
        g_error_free(why);
        return false;
    }
    if (!check_rom(path, rom, len, error)) {
        return false;
    }
    name = g_strdup_printf(
        "%s/%s", is_vga_rom(rom, len) || strstr(base, "vga") ? "vgaroms" : "genroms", base);
    if (!devemu_fw_cfg_builder_add_file(items, name, rom, len)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "ROM: %s is given twice", base);
        return false;
    }
    return true;
}

static bool add_fw_cfg(Board *board, const BoardConfig *config, GError **error)
{
    g_autoptr(DevemuFwCfgBuilder) items = devemu_fw_cfg_builder_new();
    g_autofree uint8_t *blob = NULL;
    uint8_t e820[20] = {0}, port[2] = {0}, wait[2] = {0};
    DevemuSetting setting = {.name = "items"};
    DevemuDevice *dev;

    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_RAM_SIZE, board->ram_bytes, 8);
    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_NB_CPUS, 1, 2);
    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_MAX_CPUS, 1, 2);
    devemu_put_le64(e820 + 8, board->ram_bytes);
    e820[16] = 1; /* usable */
    devemu_fw_cfg_builder_add_file(items, "etc/e820", e820, sizeof(e820));
    devemu_put_le16(port, config->serial ? 0x3f8 : 0);
    devemu_fw_cfg_builder_add_file(items, "etc/sercon-port", port, sizeof(port));
    devemu_fw_cfg_builder_add_file(items, "etc/show-boot-menu", wait, sizeof(wait));
    for (char **rom = config->roms; rom && *rom; rom++) {
        if (!add_rom(items, *rom, error)) {
            return false;
        }
    }
    blob = devemu_fw_cfg_builder_to_blob(items, &setting.len);
    setting.data = blob;
    dev = devemu_device_new_with(devemu_model_find("fw_cfg"), &setting, 1, error);
    if (dev && !devemu_isa_plug(board->isa, dev, NULL, 0, -1, error)) {
        g_clear_pointer(&dev, devemu_device_free);
    }
    return dev != NULL;
}

/* The memory sizes where BIOSes since the AT look for them, and the boot order: network. */
static DevemuDevice *make_rtc(Board *board, uint64_t seconds, GError **error)
{
    uint8_t cmos[128] = {0};
    g_autofree char *base = g_strdup_printf("%" G_GUINT64_FORMAT, seconds);
    const DevemuSetting settings[] = {
        {.name = "base", .text = base},
        {.name = "cmos", .data = cmos, .len = sizeof(cmos)},
    };
    uint64_t above_1m = (board->ram_bytes - HIGH_RAM) / SEGMENT_KIB;
    uint64_t above_16m = board->ram_bytes > 0x1000000 ? (board->ram_bytes - 0x1000000) >> 16 : 0;
    DevemuDevice *dev;

    devemu_put_le16(cmos + 0x15, 640);
    devemu_put_le16(cmos + 0x17, (uint16_t)MIN(above_1m, 0xfc00));
    devemu_put_le16(cmos + 0x30, (uint16_t)MIN(above_1m, 0xfc00));
    devemu_put_le16(cmos + 0x34, (uint16_t)MIN(above_16m, 0xffff));
    cmos[0x14] = 0x06; /* equipment: coprocessor, PS/2 mouse */
    cmos[0x38] = 0x01; /* no boot signature check */
    cmos[0x3d] = 0x04; /* boot from the network */
    dev = devemu_device_new_with(devemu_model_find("mc146818"), settings, 2, error);
    if (dev && !devemu_isa_plug(board->isa, dev, NULL, 0, -1, error)) {
        g_clear_pointer(&dev, devemu_device_free);
    }
    return dev;
}

/* --- network ----------------------------------------------------------------------- */

static bool has_property(const DevemuModel *model, const char *name)
{
    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void append_option(GString *to, const DevemuSetting *setting)
{
    g_auto(GStrv) parts = g_strsplit(setting->text, ",", -1);
    g_autofree char *text = g_strjoinv(",,", parts);

    g_string_append_printf(to, "%s%s=%s", to->len ? "," : "", setting->name, text);
}

/* A card carries any bytes; this board wants what its firmware would run. */
static bool check_nic_rom(const char *path, GError **error)
{
    g_autofree char *rom = NULL;
    gsize len;

    return path == NULL || !g_file_get_contents(path, &rom, &len, NULL) ||
           check_rom(path, rom, len, error);
}

/* Options that the model knows are its own, backend= names the network, the rest is the network's.
 */
static DevemuDevice *make_nic(Board *board, const BoardConfig *config, const char *text,
                              GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 2);
    const DevemuModel *model = parts[0] ? devemu_model_find(parts[0]) : NULL;
    g_autoptr(GString) own = g_string_new(NULL);
    g_autoptr(GString) rest = g_string_new(NULL);
    g_autofree char *backend = g_strdup("null");
    bool record = config->record && board->nics->len == 0;
    bool named = false, good = true;
    DevemuSetting *settings;
    DevemuDevice *dev;
    DevemuNet *net;

    if (model == NULL || !model->is_net || !model->pci) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "NIC: there is no PCI network card '%s'; try am79c970a",
                    parts[0] ? parts[0] : "");
        return NULL;
    }
    settings = devemu_settings_parse(parts[1], error);
    if (settings == NULL) {
        return NULL;
    }
    for (const DevemuSetting *s = settings; s->name; s++) {
        if (strcmp(s->name, "backend") == 0) {
            named = true;
            g_free(backend);
            backend = g_strdup(s->text);
        } else {
            append_option(has_property(model, s->name) ? own : rest, s);
            good = good && (strcmp(s->name, "rom") != 0 || check_nic_rom(s->text, error));
        }
    }
    devemu_settings_free(settings);
    if (!good) {
        return NULL;
    }
    if (rest->len) {
        g_string_prepend_c(rest, ',');
    }
    g_string_prepend(rest, backend);
    net = devemu_net_new(rest->str, config->context, error);
    if (net == NULL) {
        if (!named) {
            g_prefix_error(
                error, "NIC: not all of that is of %s, and backend= is not given: ", model->name);
        }
        return NULL;
    }
    g_ptr_array_add(board->nets, net);
    devemu_net_set_clock(net, config->clock, config->opaque);
    dev = record ? devemu_recorder_new(model, own->str, config->record, 0, error)
                 : devemu_device_new(model, own->str, error);
    if (dev) {
        devemu_net_attach(net, dev);
    }
    return dev;
}

static bool add_nics(Board *board, const BoardConfig *config, GError **error)
{
    for (char **text = config->nics; text && *text; text++) {
        DevemuDevice *dev = make_nic(board, config, *text, error);

        if (dev == NULL) {
            return false;
        }
        if (!devemu_pci_plug(board->pci, dev, (int)((3 + board->nics->len) << 3), error)) {
            devemu_device_free(dev);
            return false;
        }
        g_ptr_array_add(board->nics, dev);
    }
    return true;
}

/* --- chips and wires --------------------------------------------------------------- */

static bool wire(DevemuDevice *from, unsigned output, DevemuDevice *to, unsigned input,
                 GError **error)
{
    return devemu_device_wire(from, output, to, input, error);
}

/* An ISA interrupt line to its input of the pair; IRQ2 is the cascade. */
static bool wire_irq(Board *board, DevemuDevice *from, unsigned output, unsigned irq,
                     GError **error)
{
    return irq == 2 || wire(from, output, board->pic[irq >> 3], irq & 7, error);
}

static bool add_buses(Board *board, GError **error)
{
    board->system = make(&devemu_model_system, NULL, error);
    board->pci = make(&devemu_model_pci_bus, "swizzle-base=1", error);
    board->isa = make(&devemu_model_isa, NULL, error);
    return board->system && board->pci && board->isa &&
           devemu_bus_plug(board->system, board->pci, NULL, error) &&
           devemu_bus_plug(board->system, board->isa, NULL, error) &&
           devemu_system_map(board->system, DEVEMU_SYSTEM_PIO, 0, 0x10000, board->isa,
                             DEVEMU_ISA_PIO, 0, PRIORITY_ISA, error) &&
           devemu_system_map(board->system, DEVEMU_SYSTEM_PIO, 0, 0x10000, board->pci,
                             DEVEMU_PCI_IO, 0, PRIORITY_PCI, error) &&
           devemu_system_map(board->system, DEVEMU_SYSTEM_PIO, 0xcf8, 8, board->pci,
                             DEVEMU_PCI_MECHANISM_1, 0, PRIORITY_BOARD, error) &&
           devemu_system_map(board->system, DEVEMU_SYSTEM_MEMORY, 0, TOP_OF_4G, board->pci,
                             DEVEMU_PCI_MEMORY, 0, PRIORITY_PCI, error);
}

static bool add_interrupts(Board *board, DevemuDevice *socket, DevemuDevice *piix3, GError **error)
{
    board->pic[0] = isa_chip(board, "i8259", "elcr-mask=0xf8", 0x20, 0x4d0, -1, error);
    board->pic[1] = isa_chip(board, "i8259", "slave=on,elcr-mask=0xde", 0xa0, 0x4d1, -1, error);
    if (!board->pic[0] || !board->pic[1] || !wire(board->pic[1], 0, board->pic[0], 2, error) ||
        !wire(board->pic[0], 0, socket, PIN_INTR, error)) {
        return false;
    }
    for (unsigned irq = 0; irq < 16; irq++) {
        if (!wire_irq(board, board->isa, irq, irq, error) ||
            !wire_irq(board, piix3, DEVEMU_PIIX3_IRQ0 + irq, irq, error)) {
            return false;
        }
    }
    for (unsigned pin = 0; pin < 4; pin++) {
        if (!wire(board->pci, pin, piix3, DEVEMU_PIIX3_PIRQA + pin, error)) {
            return false;
        }
    }
    return true;
}

static bool add_timers(Board *board, const BoardConfig *config, GError **error)
{
    DevemuDevice *pit = isa_chip(board, "i8254", "outputs=5", 0, 0, -1, error);
    DevemuDevice *port61 = pit ? isa_chip(board, "port61", NULL, 0, 0, -1, error) : NULL;

    return port61 && wire(pit, 2, port61, 0, error) && wire(port61, 0, pit, 2, error) &&
           make_rtc(board, config->rtc_seconds, error) != NULL;
}

/* The second controller counts words, and its ports stand two apart. */
static bool add_dma(Board *board, GError **error)
{
    DevemuDevice *low = isa_chip(board, "i8237", NULL, 0, 0, -1, error);
    DevemuDevice *high = low ? isa_chip(board, "i8237", "width=16", 0, 0, -1, error) : NULL;

    return high && map_ports(board, low, "io", 0x00, 16, PRIORITY_BOARD, error) &&
           map_ports(board, low, "page", 0x80, 8, PRIORITY_BOARD, error) &&
           map_ports(board, high, "io16", 0xc0, 32, PRIORITY_BOARD, error) &&
           map_ports(board, high, "page", 0x88, 8, PRIORITY_BOARD, error);
}

static bool add_keyboard(Board *board, DevemuDevice *socket, GError **error)
{
    DevemuDevice *kbc = isa_chip(board, "i8042", NULL, 0, 0, -1, error);
    DevemuDevice *fast = kbc ? isa_chip(board, "port92", NULL, 0, 0, -1, error) : NULL;

    return fast && wire_irq(board, kbc, 1, 12, error) && wire(kbc, 2, socket, PIN_A20, error) &&
           wire(kbc, 3, socket, PIN_INIT, error) && wire(fast, 0, socket, PIN_A20, error) &&
           wire(fast, 1, socket, PIN_INIT, error);
}

static bool add_consoles(Board *board, const BoardConfig *config, GError **error)
{
    DevemuDevice *uart = isa_chip(board, "ns16550a", NULL, 0, 0, -1, error);
    DevemuDevice *debug = uart ? isa_chip(board, "debugcon", NULL, 0, 0, -1, error) : NULL;
    int vram;

    board->vga = debug ? isa_chip(board, "vga", NULL, 0, 0, -1, error) : NULL;
    if (board->vga == NULL) {
        return false;
    }
    if (config->serial) {
        devemu_chr_attach(config->serial, uart);
    }
    if (config->debug) {
        devemu_chr_attach(config->debug, debug);
    }
    vram = devemu_device_bank(board->vga, "vram");
    return devemu_system_map(board->system, DEVEMU_SYSTEM_MEMORY, 0xa0000, 0x20000, board->vga,
                             (unsigned)vram, 0, PRIORITY_BOARD, error) != 0;
}

static bool add_chipset(Board *board, DevemuDevice *socket, DevemuDevice **ret_piix3,
                        GError **error)
{
    DevemuDevice *bridge = pci_chip(board, "i440fx", VIRTUAL_SUBSYSTEM, 0, 0, error);
    DevemuDevice *piix3 = bridge ? pci_chip(board, "piix3", NULL, 1, 0, error) : NULL;
    DevemuDevice *pm = piix3 ? pci_chip(board, "piix4_pm", NULL, 1, 3, error) : NULL;

    *ret_piix3 = piix3;
    return pm && map_shadows(board, bridge, error) &&
           wire(piix3, DEVEMU_PIIX3_INIT, socket, PIN_INIT, error) &&
           wire(piix3, DEVEMU_PIIX3_RESET, socket, PIN_RESET, error) &&
           wire(bridge, DEVEMU_I440FX_INIT, socket, PIN_INIT, error) &&
           wire(bridge, DEVEMU_I440FX_RESET, socket, PIN_RESET, error) &&
           wire(pm, DEVEMU_PIIX4_SUSC, socket, PIN_OFF, error);
}

static bool add_all(Board *board, const BoardConfig *config, GError **error)
{
    DevemuDevice *socket, *piix3;

    if (!read_firmware(board, config->firmware, error) || !add_buses(board, error)) {
        return false;
    }
    socket = make(&socket_model, NULL, error);
    ((struct socket *)devemu_device_state(socket))->board = board;
    devemu_bus_plug(board->system, socket, NULL, error);
    if (!map_memory(board, error) || !add_chipset(board, socket, &piix3, error) ||
        !add_interrupts(board, socket, piix3, error) || !add_timers(board, config, error) ||
        !add_dma(board, error) || !add_keyboard(board, socket, error) ||
        !add_consoles(board, config, error) || !add_fw_cfg(board, config, error) ||
        !add_nics(board, config, error)) {
        return false;
    }
    devemu_system_watch(board->system, config->pins->memory, config->opaque);
    return true;
}

/* --- life -------------------------------------------------------------------------- */

Board *board_new(const BoardConfig *config, GError **error)
{
    Board *board = g_new0(Board, 1);

    board->pins = *config->pins;
    board->opaque = config->opaque;
    board->nets = g_ptr_array_new_with_free_func((GDestroyNotify)devemu_net_free);
    board->nics = g_ptr_array_new();
    board->ram_bytes = config->ram_bytes;
    if (config->ram_bytes < 2 * HIGH_RAM || config->ram_bytes > MOST_RAM_MIB * HIGH_RAM ||
        config->ram_bytes % HIGH_RAM != 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "RAM must be a whole number of MiB from 2 to %u", MOST_RAM_MIB);
        board_free(board);
        return NULL;
    }
    board->ram = g_malloc0(config->ram_bytes);
    if (!add_all(board, config, error)) {
        board_free(board);
        return NULL;
    }
    return board;
}

void board_free(Board *board)
{
    if (board == NULL) {
        return;
    }
    devemu_device_free(board->system);
    g_ptr_array_unref(board->nics);
    g_ptr_array_unref(board->nets);
    g_free(board->ram);
    g_free(board->bios);
    g_free(board);
}

uint8_t board_acknowledge(Board *board)
{
    unsigned inta = (unsigned)devemu_device_bank(board->pic[0], "inta");
    uint64_t vector = 0;

    devemu_device_read(board->pic[0], inta, 0, 2, &vector);
    if (vector & 0x100) {
        devemu_device_read(board->pic[1], inta, 0, 2, &vector);
    }
    return (uint8_t)vector;
}

void board_reset(Board *board)
{
    devemu_device_reset(board->system, DEVEMU_RESET_HARD);
}
