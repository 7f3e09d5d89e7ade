/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board.c: see board.h.
 */
#include "board-parts.h"

#include <devemu/chipset.h>

#include <inttypes.h>

/* Who is asked first where mappings overlap. */
enum {
    PRIORITY_ISA,   /* subtractive decode */
    PRIORITY_PCI,   /* positive decode */
    PRIORITY_BOARD, /* what the board itself places: BIOS, VGA memory, configuration ports */
    PRIORITY_RAM,
    PRIORITY_SHADOW, /* RAM over ROM, where PAM says so */
};

#define LOW_RAM      UINT64_C(0xa0000)
#define TOP_OF_4G    UINT64_C(0x100000000)
#define BIOS_WINDOW  UINT64_C(0x20000) /* the last 128 KiB of the BIOS appear below 1 MiB, too */
#define MOST_RAM_MIB 65536

/* By this SeaBIOS knows a virtual machine that has fw_cfg. */
#define VIRTUAL_SUBSYSTEM "subsystem=0x11001af4"

/* --- the CPU's socket -------------------------------------------------------------- */

/* A device with nothing but inputs: what the chips drive towards the CPU, and, where somebody
 * listens, the interrupt lines of the ISA bus. */
struct socket {
    DevemuDevice *dev;
    Board *board;
};

enum { PIN_INTR, PIN_A20, PIN_INIT, PIN_RESET, PIN_OFF, PIN_IRQ };

static void socket_line(void *state, unsigned line, bool level)
{
    struct socket *socket = state;
    Board *board = socket->board;

    if (line >= PIN_IRQ) {
        board->pins.irq(board->opaque, line - PIN_IRQ, level);
    } else if (line == PIN_INTR && board->pins.intr) {
        board->pins.intr(board->opaque, level);
    } else if (line == PIN_A20 && board->pins.a20) {
        board->pins.a20(board->opaque, level);
    } else if (line == PIN_OFF && level) {
        board->pins.power_off(board->opaque);
    } else if (line > PIN_A20 && level) {
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

static const char *const socket_inputs[] = {
    "INTR", "A20",  "INIT", "RESET", "OFF",   "IRQ0",  "IRQ1",  "IRQ2",  "IRQ3",  "IRQ4",  "IRQ5",
    "IRQ6", "IRQ7", "IRQ8", "IRQ9",  "IRQ10", "IRQ11", "IRQ12", "IRQ13", "IRQ14", "IRQ15", NULL,
};
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

DevemuDevice *board_isa_plug(Board *board, DevemuDevice *dev, const uint16_t *ports, int irq,
                             GError **error)
{
    if (dev && !devemu_isa_plug(board->isa, dev, ports, ports ? 2 : 0, irq, error)) {
        g_clear_pointer(&dev, devemu_device_free);
    }
    return dev;
}

/* A chip on the ISA bus; its first ports and interrupt as given, or the model's own. */
static DevemuDevice *isa_chip(Board *board, const char *model, const char *options,
                              uint16_t first_port, uint16_t second_port, int irq, GError **error)
{
    const uint16_t ports[] = {first_port, second_port};

    return board_isa_plug(board, make(devemu_model_find(model), options, error), ports, irq, error);
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

static bool map_ram(Board *board, uint64_t base, uint64_t at, uint64_t len, GError **error)
{
    return len == 0 || devemu_system_map_ram(board->system, base, len, board->ram + at,
                                             DEVEMU_RAM_RW, PRIORITY_RAM, error) != 0;
}

static bool map_bios(Board *board, GError **error)
{
    DevemuDevice *system = board->system;
    uint64_t window = MIN(board->bios_bytes, BIOS_WINDOW);

    return board->bios == NULL ||
           (devemu_system_map_ram(system, TOP_OF_4G - board->bios_bytes, board->bios_bytes,
                                  board->bios, DEVEMU_RAM_ROM, PRIORITY_BOARD, error) &&
            devemu_system_map_ram(system, BOARD_HIGH_RAM - window, window,
                                  board->bios + board->bios_bytes - window, DEVEMU_RAM_ROM,
                                  PRIORITY_BOARD, error));
}

static bool map_memory(Board *board, GError **error)
{
    uint64_t low = board_low_ram(board);

    return map_ram(board, 0, 0, LOW_RAM, error) &&
           map_ram(board, BOARD_HIGH_RAM, BOARD_HIGH_RAM, low - BOARD_HIGH_RAM, error) &&
           map_ram(board, TOP_OF_4G, low, board->ram_bytes - low, error) && map_bios(board, error);
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

/* --- chips and wires --------------------------------------------------------------- */

static bool wire(DevemuDevice *from, unsigned output, DevemuDevice *to, unsigned input,
                 GError **error)
{
    return devemu_device_wire(from, output, to, input, error);
}

/* An ISA interrupt line to its input of the pair, and to who listens; IRQ2 is the cascade. */
static bool wire_irq(Board *board, DevemuDevice *from, unsigned output, unsigned irq,
                     GError **error)
{
    return (board->pins.irq == NULL || wire(from, output, board->socket, PIN_IRQ + irq, error)) &&
           (irq == 2 || wire(from, output, board->pic[irq >> 3], irq & 7, error));
}

static bool add_buses(Board *board, bool loose, GError **error)
{
    board->system = make(&devemu_model_system, NULL, error);
    board->pci = make(&devemu_model_pci_bus,
                      loose ? "swizzle-base=1,config-address=loose" : "swizzle-base=1", error);
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

static bool add_interrupts(Board *board, DevemuDevice *piix3, GError **error)
{
    board->pic[0] = isa_chip(board, "i8259", "elcr-mask=0xf8", 0x20, 0x4d0, -1, error);
    board->pic[1] = isa_chip(board, "i8259", "slave=on,elcr-mask=0xde", 0xa0, 0x4d1, -1, error);
    if (!board->pic[0] || !board->pic[1] || !wire(board->pic[1], 0, board->pic[0], 2, error) ||
        !wire(board->pic[0], 0, board->socket, PIN_INTR, error)) {
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
           board_add_rtc(board, config, error);
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

static bool add_keyboard(Board *board, GError **error)
{
    DevemuDevice *socket = board->socket;
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

static bool add_chipset(Board *board, DevemuDevice **ret_piix3, GError **error)
{
    DevemuDevice *socket = board->socket;
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
    DevemuDevice *piix3;

    if ((config->firmware && !board_read_firmware(board, config->firmware, error)) ||
        !add_buses(board, config->loose_config, error)) {
        return false;
    }
    board->socket = make(&socket_model, NULL, error);
    ((struct socket *)devemu_device_state(board->socket))->board = board;
    devemu_bus_plug(board->system, board->socket, NULL, error);
    if (!map_memory(board, error) || !add_chipset(board, &piix3, error) ||
        !add_interrupts(board, piix3, error) || !add_timers(board, config, error) ||
        !add_dma(board, error) || !add_keyboard(board, error) ||
        !add_consoles(board, config, error) || !board_add_fw_cfg(board, config, error) ||
        !board_add_nics(board, config, error) || !board_add_devices(board, config, error)) {
        return false;
    }
    devemu_system_watch(board->system, config->pins->memory, config->opaque);
    return true;
}

/* --- life -------------------------------------------------------------------------- */

static bool get_ram(Board *board, uint64_t bytes, GError **error)
{
    if (bytes < 2 * BOARD_HIGH_RAM || bytes > MOST_RAM_MIB * BOARD_HIGH_RAM ||
        bytes % BOARD_HIGH_RAM != 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "RAM must be a whole number of MiB from 2 to %u", MOST_RAM_MIB);
        return false;
    }
    board->ram_bytes = bytes;
    board->ram = g_try_malloc0(bytes);
    if (board->ram == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "RAM: this computer does not give %" PRIu64 " MiB", bytes >> 20);
    }
    return board->ram != NULL;
}

Board *board_new(const BoardConfig *config, GError **error)
{
    Board *board = g_new0(Board, 1);

    board->pins = *config->pins;
    board->opaque = config->opaque;
    board->nets = g_ptr_array_new_with_free_func((GDestroyNotify)devemu_net_free);
    board->nics = g_ptr_array_new();
    board->disks = g_ptr_array_new_with_free_func((GDestroyNotify)devemu_block_free);
    board->chrs = g_ptr_array_new_with_free_func((GDestroyNotify)devemu_chr_free);
    if (!get_ram(board, config->ram_bytes, error) || !add_all(board, config, error)) {
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
    g_ptr_array_unref(board->disks);
    g_ptr_array_unref(board->chrs);
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

void board_set_irq(Board *board, unsigned irq, bool level)
{
    if (board->pins.irq) {
        devemu_device_line(board->socket, PIN_IRQ + irq, level);
    }
    if (irq != 2) {
        devemu_device_line(board->pic[irq >> 3], irq & 7, level);
    }
}
