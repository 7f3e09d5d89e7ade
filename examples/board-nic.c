/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board-nic.c: network cards, from a line of text or made by the program.
 */
#include "board-parts.h"
#include "device-text.h"

#include <string.h>

/* --- network ----------------------------------------------------------------------- */

/* A card carries any bytes; this board wants what its firmware would run. */
static bool check_nic_rom(const DeviceText *text, GError **error)
{
    DevemuSetting *settings = devemu_settings_parse(text->own, NULL);
    bool good = true;

    for (const DevemuSetting *s = settings; s && s->name; s++) {
        g_autofree char *rom = NULL;
        gsize len;

        if (strcmp(s->name, "rom") == 0 && g_file_get_contents(s->text, &rom, &len, NULL)) {
            good = good && board_check_rom(s->text, rom, len, error);
        }
    }
    devemu_settings_free(settings);
    return good;
}

static DeviceText *read_nic(const char *text, GError **error)
{
    g_autofree char *name = g_strndup(text, strcspn(text, ","));
    const DevemuModel *model = devemu_model_find(name);

    if (model == NULL || !model->is_net || (!model->pci && !model->virtio)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "NIC: there is no PCI network card '%s'; try am79c970a", name);
        return NULL;
    }
    return device_text_new(text, error);
}

static DevemuDevice *make_nic(Board *board, const BoardConfig *config, const char *line,
                              GError **error)
{
    g_autoptr(DeviceText) text = read_nic(line, error);
    bool record = config->record && board->nics->len == 0;
    DevemuDevice *dev;
    DeviceBackend backend;

    if (text == NULL || !check_nic_rom(text, error)) {
        return NULL;
    }
    if (!device_text_backend(text, config->context, &backend, error)) {
        if (!text->named) {
            g_prefix_error(error, "NIC: ");
        }
        return NULL;
    }
    g_ptr_array_add(board->nets, backend.net);
    devemu_net_set_clock(backend.net, config->clock, config->opaque);
    dev = record ? devemu_recorder_new(text->model, text->own, config->record, 0, error)
                 : devemu_device_new(text->model, text->own, error);
    if (dev) {
        devemu_net_attach(backend.net, dev);
    }
    return dev ? device_text_transport(dev, text, error) : NULL;
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

/* Its backend is the board's, which frees it behind the device. */
static DevemuDevice *make_device(Board *board, const BoardConfig *config, const char *line,
                                 GError **error)
{
    g_autoptr(DeviceText) text = device_text_new(line, error);
    DeviceBackend backend;
    DevemuDevice *dev;

    if (text == NULL || !device_text_backend(text, config->context, &backend, error)) {
        return NULL;
    }
    if (backend.net) {
        devemu_net_set_clock(backend.net, config->clock, config->opaque);
        g_ptr_array_add(board->nets, backend.net);
    }
    if (backend.block) {
        devemu_block_set_clock(backend.block, config->clock, config->opaque);
        g_ptr_array_add(board->disks, backend.block);
    }
    if (backend.chr) {
        g_ptr_array_add(board->chrs, backend.chr);
    }
    for (unsigned i = 0; i < DEVEMU_PORTS; i++) {
        if (backend.ports[i]) {
            g_ptr_array_add(board->chrs, backend.ports[i]);
        }
    }
    dev = devemu_device_new(text->model, text->own, error);
    if (dev == NULL) {
        return NULL;
    }
    if (!device_backend_attach(&backend, dev, error)) {
        devemu_device_free(dev);
        return NULL;
    }
    return device_text_transport(dev, text, error);
}

bool board_add_devices(Board *board, const BoardConfig *config, GError **error)
{
    for (char **text = config->devices; text && *text; text++) {
        DevemuDevice *dev = make_device(board, config, *text, error);

        if (dev == NULL || !board_plug(board, dev, -1, error)) {
            return false;
        }
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
