/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board-nic.c: network cards, from a line of text or made by the program.
 */
#include "board-parts.h"

#include <string.h>

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
           board_check_rom(path, rom, len, error);
}

/* Options that the model knows are its own, backend= names the network, the rest is the network's.
 */
static bool split_options(const DevemuModel *model, const char *text, GString *own,
                          GString *network, bool *ret_named, GError **error)
{
    DevemuSetting *settings = devemu_settings_parse(text, error);
    g_autoptr(GString) rest = g_string_new(NULL);
    bool good = settings != NULL;

    *ret_named = false;
    g_string_assign(network, "null");
    for (const DevemuSetting *s = settings; good && s->name; s++) {
        if (strcmp(s->name, "backend") == 0) {
            *ret_named = true;
            g_string_assign(network, s->text);
        } else {
            append_option(has_property(model, s->name) ? own : rest, s);
            good = strcmp(s->name, "rom") != 0 || check_nic_rom(s->text, error);
        }
    }
    devemu_settings_free(settings);
    if (rest->len) {
        g_string_append_printf(network, ",%s", rest->str);
    }
    return good;
}

static DevemuDevice *make_nic(Board *board, const BoardConfig *config, const char *text,
                              GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 2);
    const DevemuModel *model = parts[0] ? devemu_model_find(parts[0]) : NULL;
    g_autoptr(GString) own = g_string_new(NULL);
    g_autoptr(GString) network = g_string_new(NULL);
    bool record = config->record && board->nics->len == 0;
    DevemuDevice *dev;
    DevemuNet *net;
    bool named;

    if (model == NULL || !model->is_net || !model->pci) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "NIC: there is no PCI network card '%s'; try am79c970a",
                    parts[0] ? parts[0] : "");
        return NULL;
    }
    if (!split_options(model, parts[1], own, network, &named, error)) {
        return NULL;
    }
    net = devemu_net_new(network->str, config->context, error);
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

bool board_add_nics(Board *board, const BoardConfig *config, GError **error)
{
    for (char **text = config->nics; text && *text; text++) {
        DevemuDevice *dev = make_nic(board, config, *text, error);

        if (dev == NULL || !board_plug(board, dev, 3 + (int)board->nics->len, error)) {
            return false;
        }
        g_ptr_array_add(board->nics, dev);
    }
    return true;
}

bool board_plug(Board *board, DevemuDevice *dev, int device, GError **error)
{
    if (devemu_pci_plug(board->pci, dev, device < 0 ? -1 : device << 3, error)) {
        return true;
    }
    devemu_device_free(dev);
    return false;
}

void board_unplug(DevemuDevice *dev)
{
    devemu_bus_unplug(dev);
    devemu_device_free(dev);
}
