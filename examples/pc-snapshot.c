/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pc-snapshot.c: the machine as one GVariant in a file:
 *
 *     "devices" v   what devemu_device_save() gave for the system bus
 *     "cpu"     ay  what the engine gave
 *     "clock"   t   nanoseconds that were skipped
 *     "nets"    at  position of each network
 *     "map"     ay  a bit for each page of 4 KiB that is not all zero
 *     "pages"   ay  those pages
 */
#include "pc.h"

#include <string.h>

#define PAGE 4096

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

static GVariant *bytes(const void *data, gsize len)
{
    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, len, 1);
}

static void save_memory(const Board *board, GVariantDict *dict)
{
    uint64_t count = board->ram_bytes / PAGE;
    g_autofree uint8_t *map = g_malloc0(count / 8 + 1);
    g_autoptr(GByteArray) pages = g_byte_array_new();

    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *page = board->ram + i * PAGE;

        if (!is_zero(page)) {
            map[i / 8] |= (uint8_t)(1u << i % 8);
            g_byte_array_append(pages, page, PAGE);
        }
    }
    g_variant_dict_insert_value(dict, "map", bytes(map, count / 8 + 1));
    g_variant_dict_insert_value(dict, "pages", bytes(pages->data, pages->len));
}

static GVariant *save_nets(const Board *board)
{
    g_autoptr(GArray) positions = g_array_new(FALSE, FALSE, sizeof(uint64_t));

    for (unsigned i = 0; i < board->nets->len; i++) {
        uint64_t position = devemu_net_position(g_ptr_array_index(board->nets, i));

        g_array_append_val(positions, position);
    }
    return g_variant_new_fixed_array(G_VARIANT_TYPE_UINT64, positions->data, positions->len,
                                     sizeof(uint64_t));
}

bool pc_save(Pc *pc, const char *path, GError **error)
{
    g_autoptr(GVariant) devices = NULL;
    g_autoptr(GBytes) cpu = engine_save(pc->engine);
    g_autoptr(GVariant) all = NULL;
    GVariantDict dict;
    gsize len;
    const void *data = g_bytes_get_data(cpu, &len);

    devemu_device_drain(pc->board->system);
    devices = devemu_device_save(pc->board->system);
    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert_value(&dict, "devices", devices);
    g_variant_dict_insert_value(&dict, "cpu", bytes(data, len));
    g_variant_dict_insert_value(&dict, "clock", g_variant_new_uint64(pc->skipped_ns));
    g_variant_dict_insert_value(&dict, "nets", save_nets(pc->board));
    save_memory(pc->board, &dict);
    all = g_variant_ref_sink(g_variant_dict_end(&dict));
    return g_file_set_contents(path, g_variant_get_data(all), (gssize)g_variant_get_size(all),
                               error);
}

/* The parts of a snapshot, found and of the right type. */
typedef struct Parts {
    GVariant *devices, *cpu, *nets, *map, *pages;
    uint64_t clock;
} Parts;

static void parts_clear(Parts *parts)
{
    g_clear_pointer(&parts->devices, g_variant_unref);
    g_clear_pointer(&parts->cpu, g_variant_unref);
    g_clear_pointer(&parts->nets, g_variant_unref);
    g_clear_pointer(&parts->map, g_variant_unref);
    g_clear_pointer(&parts->pages, g_variant_unref);
}

static bool parts_get(GVariant *all, Parts *parts)
{
    *parts = (Parts){
        .devices = g_variant_lookup_value(all, "devices", G_VARIANT_TYPE_VARDICT),
        .cpu = g_variant_lookup_value(all, "cpu", G_VARIANT_TYPE_BYTESTRING),
        .nets = g_variant_lookup_value(all, "nets", G_VARIANT_TYPE("at")),
        .map = g_variant_lookup_value(all, "map", G_VARIANT_TYPE_BYTESTRING),
        .pages = g_variant_lookup_value(all, "pages", G_VARIANT_TYPE_BYTESTRING),
    };
    return parts->devices && parts->cpu && parts->nets && parts->map && parts->pages &&
           g_variant_lookup(all, "clock", "t", &parts->clock);
}

static unsigned bits(const uint8_t *map, gsize len)
{
    unsigned count = 0;

    for (gsize i = 0; i < len; i++) {
        count += (unsigned)__builtin_popcount(map[i]);
    }
    return count;
}

static bool load_memory(Board *board, const Parts *parts)
{
    uint64_t count = board->ram_bytes / PAGE;
    gsize map_len, pages_len;
    const uint8_t *map = g_variant_get_fixed_array(parts->map, &map_len, 1);
    const uint8_t *pages = g_variant_get_fixed_array(parts->pages, &pages_len, 1);

    if (map_len != count / 8 + 1 || pages_len != (gsize)bits(map, map_len) * PAGE) {
        return false;
    }
    memset(board->ram, 0, board->ram_bytes);
    for (uint64_t i = 0; i < count; i++) {
        if (map[i / 8] >> i % 8 & 1) {
            memcpy(board->ram + i * PAGE, pages, PAGE);
            pages += PAGE;
        }
    }
    return true;
}

static bool load_nets(Board *board, const Parts *parts)
{
    gsize count;
    const uint64_t *positions = g_variant_get_fixed_array(parts->nets, &count, sizeof(uint64_t));

    for (unsigned i = 0; i < board->nets->len && i < count; i++) {
        devemu_net_playback_seek(g_ptr_array_index(board->nets, i), positions[i]);
    }
    return count == board->nets->len;
}

static bool load_parts(Pc *pc, const Parts *parts, GError **error)
{
    gsize len;
    const void *cpu = g_variant_get_fixed_array(parts->cpu, &len, 1);
    g_autoptr(GBytes) bytes_of_cpu = g_bytes_new(cpu, len);

    if (!load_memory(pc->board, parts) || !load_nets(pc->board, parts)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_SNAPSHOT,
                    "the snapshot is of a machine with other memory or other network cards");
        return false;
    }
    /* The CPU first: the devices' lines and the clock meet it as it was. */
    if (!engine_load(pc->engine, bytes_of_cpu, error)) {
        return false;
    }
    pc->skipped_ns = parts->clock;
    if (!devemu_device_load(pc->board->system, parts->devices, error)) {
        return false;
    }
    pc->reset = false;
    pc_map_memory(pc);
    engine_ram_written(pc->engine, 0, pc->board->ram_bytes);
    return true;
}

bool pc_load(Pc *pc, const char *path, GError **error)
{
    g_autoptr(GVariant) all = NULL;
    GError *why = NULL;
    char *data;
    gsize len;
    Parts parts = {0};
    bool ok;

    if (!g_file_get_contents(path, &data, &len, &why)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "snapshot: %s", why->message);
        g_error_free(why);
        return false;
    }
    all = g_variant_ref_sink(
        g_variant_new_from_data(G_VARIANT_TYPE_VARDICT, data, len, FALSE, g_free, data));
    ok = g_variant_is_normal_form(all) && parts_get(all, &parts);
    if (ok) {
        ok = load_parts(pc, &parts, error);
    } else {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_SNAPSHOT,
                    "%s is no snapshot of this program, or is cut off", path);
    }
    parts_clear(&parts);
    return ok;
}
