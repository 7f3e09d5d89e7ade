/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board-firmware.c: the BIOS image, and what it is told of the machine: fw_cfg and CMOS.
 */
#include "board-parts.h"

#include <devemu/fw-cfg.h>

#include <inttypes.h>

#define TOP_OF_4G UINT64_C(0x100000000)

bool board_read_firmware(Board *board, const char *path, GError **error)
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

/* --- firmware configuration -------------------------------------------------------- */

/* An option ROM says in its PCI data structure what it is for (PCI 3.0 6.3.1.2). */
static bool is_vga_rom(const char *rom, gsize len)
{
    unsigned pcir = len > 0x1a ? devemu_le16(rom + 0x18) : 0;

    return pcir != 0 && pcir + 0x18 <= len && memcmp(rom + pcir, "PCIR", 4) == 0 &&
           (uint8_t)rom[pcir + 0x0f] == 0x03;
}

bool board_check_rom(const char *path, const char *rom, gsize len, GError **error)
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
    if (!board_check_rom(path, rom, len, error)) {
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

/* The memory that can be used: below the hole for PCI, and above 4 GiB. */
static size_t make_e820(const Board *board, uint8_t e820[40])
{
    uint64_t low = board_low_ram(board), high = board->ram_bytes - low;

    memset(e820, 0, 40);
    devemu_put_le64(e820 + 8, low);
    e820[16] = 1; /* usable */
    devemu_put_le64(e820 + 20, TOP_OF_4G);
    devemu_put_le64(e820 + 28, high);
    e820[36] = 1;
    return high ? 40 : 20;
}

bool board_add_fw_cfg(Board *board, const BoardConfig *config, GError **error)
{
    g_autoptr(DevemuFwCfgBuilder) items = devemu_fw_cfg_builder_new();
    g_autofree uint8_t *blob = NULL;
    uint8_t e820[40], port[2] = {0}, wait[2] = {0};
    DevemuSetting setting = {.name = "items"};
    DevemuDevice *dev;

    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_RAM_SIZE, board->ram_bytes, 8);
    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_NB_CPUS, 1, 2);
    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_MAX_CPUS, 1, 2);
    devemu_fw_cfg_builder_add_file(items, "etc/e820", e820, make_e820(board, e820));
    devemu_put_le16(port, config->serial ? 0x3f8 : 0);
    devemu_fw_cfg_builder_add_file(items, "etc/sercon-port", port, sizeof(port));
    devemu_fw_cfg_builder_add_file(items, "etc/show-boot-menu", wait, sizeof(wait));
    for (char **rom = config->roms; rom && *rom; rom++) {
        if (!add_rom(items, *rom, error)) {
            return false;
        }
    }
    if (config->items) {
        config->items(config->opaque, items);
    }
    blob = devemu_fw_cfg_builder_to_blob(items, &setting.len);
    setting.data = blob;
    dev = devemu_device_new_with(devemu_model_find("fw_cfg"), &setting, 1, error);
    return board_isa_plug(board, dev, NULL, -1, error) != NULL;
}

/* --- CMOS -------------------------------------------------------------------------- */

enum {
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_KIB = 0x15,
    CMOS_ABOVE_1M_KIB = 0x17,
    CMOS_ABOVE_1M_AGAIN = 0x30,
    CMOS_ABOVE_16M = 0x34, /* 64 KiB each */
    CMOS_BOOT_FLAGS = 0x38,
    CMOS_BOOT_ORDER = 0x3d,
    CMOS_ABOVE_4G = 0x5b, /* 64 KiB each, three bytes */
};

/* The two bytes by which a PC's BIOS knows what to boot from: SeaBIOS, src/boot.c. The third device
 * stands in the upper half of the flags, whose bit 0 says that no signature of a floppy is looked
 * for. */
static void boot_bytes(const BoardBoot *boot, uint8_t *ret_flags, uint8_t *ret_order)
{
    static const char letters[] = "acdn";
    unsigned number[3] = {0};
    const char *order = boot->order ? boot->order : "";

    for (unsigned i = 0; i < 3 && order[i] != '\0'; i++) {
        const char *letter = strchr(letters, order[i]);

        number[i] = letter ? (unsigned)(letter - letters) + 1 : 0;
    }
    *ret_flags = (uint8_t)(number[2] << 4 | (boot->no_floppy_check ? 1 : 0));
    *ret_order = (uint8_t)(number[1] << 4 | number[0]);
}

/* The memory sizes where BIOSes since the AT look for them, and the boot order. */
static void fill_cmos(const Board *board, const BoardConfig *config, uint8_t cmos[128])
{
    uint64_t low = board_low_ram(board);
    uint64_t above_1m = (low - BOARD_HIGH_RAM) / 1024;
    uint64_t above_16m = low > 0x1000000 ? (low - 0x1000000) >> 16 : 0;
    uint64_t above_4g = (board->ram_bytes - low) >> 16;

    cmos[CMOS_EQUIPMENT] = 0x06; /* coprocessor, PS/2 mouse */
    devemu_put_le16(cmos + CMOS_BASE_KIB, 640);
    devemu_put_le16(cmos + CMOS_ABOVE_1M_KIB, (uint16_t)MIN(above_1m, 0xfc00));
    devemu_put_le16(cmos + CMOS_ABOVE_1M_AGAIN, (uint16_t)MIN(above_1m, 0xfc00));
    devemu_put_le16(cmos + CMOS_ABOVE_16M, (uint16_t)MIN(above_16m, 0xffff));
    devemu_put_le16(cmos + CMOS_ABOVE_4G, (uint16_t)above_4g);
    cmos[CMOS_ABOVE_4G + 2] = (uint8_t)(above_4g >> 16);
    boot_bytes(&config->boot, &cmos[CMOS_BOOT_FLAGS], &cmos[CMOS_BOOT_ORDER]);
}

bool board_add_rtc(Board *board, const BoardConfig *config, GError **error)
{
    uint8_t cmos[128] = {0};
    g_autofree char *base = g_strdup_printf("%" PRIu64, config->rtc_seconds);
    const DevemuSetting settings[] = {
        {.name = "base", .text = base},
        {.name = "cmos", .data = cmos, .len = sizeof(cmos)},
    };

    fill_cmos(board, config, cmos);
    board->rtc = board_isa_plug(
        board, devemu_device_new_with(devemu_model_find("mc146818"), settings, 2, error), NULL, -1,
        error);
    return board->rtc != NULL;
}

/* As a guest would: through the index port, which keeps the last index. */
static void write_cmos(Board *board, uint8_t at, uint8_t value)
{
    unsigned io = (unsigned)devemu_device_bank(board->rtc, "io");

    devemu_device_write(board->rtc, io, 0, 1, at);
    devemu_device_write(board->rtc, io, 1, 1, value);
}

void board_set_boot(Board *board, const BoardBoot *boot)
{
    uint8_t flags, order;

    boot_bytes(boot, &flags, &order);
    write_cmos(board, CMOS_BOOT_FLAGS, flags);
    write_cmos(board, CMOS_BOOT_ORDER, order);
}
