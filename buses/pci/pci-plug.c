/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-plug.c: making a function around a model, and putting it into a bus.
 */
#include "pci.h"

#include <devemu/virtio.h>

static bool bad_model(const DevemuModel *model, const char *what, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL, "%s: %s", model->name, what);
    return false;
}

static uint64_t power_of_two(uint64_t bytes, uint64_t least)
{
    uint64_t size = least;

    while (size < bytes) {
        size *= 2;
    }
    return size;
}

/* The blob of that name; a decorator has it from the device below it. */
static const DevemuBlob *find_blob(DevemuDevice *dev, const char *name)
{
    for (; dev; dev = devemu_device_child(dev, 0)) {
        for (const DevemuProperty *p = dev->model->properties; p && p->name; p++) {
            if (p->type == DEVEMU_PROPERTY_BLOB && strcmp(p->name, name) == 0) {
                return (const DevemuBlob *)(const void *)((const uint8_t *)dev->state + p->member);
            }
        }
    }
    return NULL;
}

static bool size_bar(struct pci_function *s, unsigned i, GError **error)
{
    const DevemuModel *model = s->child->model;
    const DevemuPciBar *bar = &s->pci->bars[i];
    const DevemuBank *bank;
    bool io;

    if (bar->bank == 0) {
        return true;
    }
    if (bar->bank > model->bank_count || i >= pci_bar_count(s)) {
        return bad_model(model, "a BAR maps a bank that does not exist", error);
    }
    bank = &model->banks[bar->bank - 1];
    io = bank->kind == DEVEMU_BANK_PIO;
    if ((!io && bank->kind != DEVEMU_BANK_MMIO) || bank->size == 0 ||
        bank->size > UINT64_C(1) << 62 || bar->size > bank->size ||
        (!bar->is_64 && (bar->size ? bar->size : bank->size) > UINT64_C(1) << 31)) {
        return bad_model(model, "a BAR maps a bank of a kind or size that cannot be mapped", error);
    }
    if (bar->is_64 && (io || i + 1 >= pci_bar_count(s) || s->pci->bars[i + 1].bank != 0)) {
        return bad_model(model, "a 64-bit BAR has no room for its upper half", error);
    }
    s->bar_size[i] = power_of_two(bar->size ? bar->size : bank->size, io ? 4 : 16);
    return true;
}

static bool size_msix(struct pci_function *s, GError **error)
{
    const DevemuPci *pci = s->pci;
    unsigned bar = pci->msix_bar;

    if (pci->msix_vectors == 0) {
        return true;
    }
    if (pci->msix_vectors > PCI_MSIX_VECTORS || bar >= pci_bar_count(s) || s->bar_size[bar] ||
        pci_bar_is_upper(s, bar) ||
        (pci->bars[bar].is_64 && (bar + 1 >= pci_bar_count(s) || pci->bars[bar + 1].bank != 0))) {
        return bad_model(s->child->model, "the MSI-X table has no BAR of its own, or is too long",
                         error);
    }
    s->bar_size[bar] = pci_msix_bar_size(pci->msix_vectors);
    return true;
}

static bool size_all(struct pci_function *s, GError **error)
{
    const DevemuModel *model = s->child->model;
    const DevemuPci *pci = s->pci;

    for (unsigned i = 0; i < 6; i++) {
        if (!size_bar(s, i, error)) {
            return false;
        }
    }
    if (!size_msix(s, error)) {
        return false;
    }
    if (pci->config_bank > model->bank_count || pci->interrupt_pin > 4 ||
        pci->msi_vectors > PCI_MSI_VECTORS) {
        return bad_model(model, "what it says of itself to PCI is not possible", error);
    }
    s->rom = pci->rom ? find_blob(s->child, pci->rom) : NULL;
    if (s->rom && s->rom->len > 0) {
        /* PCI 3.0 6.2.5.2: bits 31 to 11 hold the address, 16 MiB are the most. */
        if (s->rom->len > 16 << 20) {
            return bad_model(model, "the expansion ROM is longer than 16 MiB", error);
        }
        s->rom_size = power_of_two(s->rom->len, 2048);
    }
    return true;
}

static uint16_t usual_command(const struct pci_function *s)
{
    unsigned mask = COMMAND_MASTER | COMMAND_PARITY | COMMAND_SERR;

    for (unsigned i = 0; i < pci_bar_count(s); i++) {
        if (s->bar_size[i]) {
            mask |= pci_bar_kind(s, i) & 1 ? COMMAND_IO : COMMAND_MEMORY;
        }
    }
    if (s->rom_size) {
        mask |= COMMAND_MEMORY;
    }
    if (s->pci->interrupt_pin) {
        mask |= COMMAND_INTX_DISABLE;
    }
    if (pci_is_bridge(s)) {
        mask |= COMMAND_IO | COMMAND_MEMORY;
    }
    return (uint16_t)mask;
}

const DevemuPci *devemu_pci_of(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, NULL);
    return dev->model->pci_of ? dev->model->pci_of(dev->state) : dev->model->pci;
}

static bool function_fill(struct pci_function *s, DevemuDevice *dev, GError **error)
{
    s->child = dev;
    s->pci = devemu_pci_of(dev);
    if (!size_all(s, error) || !pci_config_layout(s, error)) {
        return false;
    }
    if (s->pci->msix_vectors && (s->msix = pci_msix_new(s, error)) == NULL) {
        return false;
    }
    if (pci_is_bridge(s) &&
        (s->secondary = devemu_device_new(&devemu_model_pci_bus, NULL, error)) == NULL) {
        return false;
    }
    s->command_mask = s->pci->command_mask ? s->pci->command_mask : usual_command(s);
    s->command = s->pci->command;
    return true;
}

/* Around what says itself what it is to PCI. */
static DevemuDevice *function_around(DevemuDevice *dev, GError **error)
{
    DevemuHostOps ops = pci_below_ops(false), bridged = pci_below_ops(true);
    DevemuDevice *function;
    struct pci_function *s;

    if (devemu_pci_of(dev) == NULL) {
        bad_model(dev->model, "not a PCI device", error);
        return NULL;
    }
    function = devemu_device_new(&pci_function_model, NULL, error);
    if (function == NULL) {
        return NULL;
    }
    s = function->state;
    if (!function_fill(s, dev, error)) {
        devemu_device_free(s->msix);
        devemu_device_free(s->secondary);
        s->child = NULL;
        devemu_device_free(function);
        return NULL;
    }
    devemu_device_adopt(function, dev, &ops, function, dev->name);
    if (s->msix) {
        devemu_device_adopt(function, s->msix, NULL, NULL, "msix");
    }
    if (s->secondary) {
        devemu_device_adopt(function, s->secondary, &bridged, function, "bus");
    }
    pci_function_changed(s);
    return function;
}

DevemuDevice *devemu_pci_function_new(DevemuDevice *dev, GError **error)
{
    DevemuDevice *transport, *function;

    g_return_val_if_fail(dev != NULL && dev->parent == NULL, NULL);
    if (dev->model->virtio == NULL) {
        return function_around(dev, error);
    }
    transport = devemu_virtio_pci_new(dev, NULL, error);
    if (transport == NULL) {
        return NULL;
    }
    function = function_around(transport, error);
    if (function == NULL) {
        devemu_bus_unplug(dev);
    }
    return function;
}

bool devemu_pci_function_bar(const DevemuDevice *function, unsigned bar, DevemuPciBarInfo *ret_info)
{
    const struct pci_function *s;
    uint32_t kind;

    g_return_val_if_fail(function != NULL && function->model == &pci_function_model, false);
    g_return_val_if_fail(bar <= 6 && ret_info != NULL, false);
    s = function->state;
    memset(ret_info, 0, sizeof(*ret_info));
    if (bar == 6) {
        ret_info->size = s->rom_size;
        ret_info->base = s->rom_bar & ~UINT32_C(1);
        return s->rom_size != 0;
    }
    if (s->child == NULL || s->bar_size[bar] == 0) {
        return false;
    }
    kind = pci_bar_kind(s, bar);
    ret_info->size = s->bar_size[bar];
    ret_info->base = s->bar[bar];
    ret_info->io = kind & 1;
    ret_info->is_64 = !ret_info->io && (kind & 4);
    ret_info->prefetch = !ret_info->io && (kind & 8);
    if (ret_info->is_64) {
        ret_info->base |= (uint64_t)s->bar[bar + 1] << 32;
    }
    return true;
}

const uint8_t *devemu_pci_function_rom(const DevemuDevice *function, size_t *ret_len)
{
    const struct pci_function *s;

    g_return_val_if_fail(function != NULL && function->model == &pci_function_model, NULL);
    s = function->state;
    *ret_len = s->child && s->rom ? s->rom->len : 0;
    return *ret_len ? s->rom->data : NULL;
}

/* --- into a bus -------------------------------------------------------------------- */

/* A bus itself, or the bus below a bridge, named by the bridge's function or by its model. */
static DevemuDevice *bus_of(DevemuDevice *dev)
{
    const struct pci_function *s;

    if (dev->model == &devemu_model_pci_bus) {
        return dev;
    }
    if (dev->model != &pci_function_model && dev->parent) {
        dev = dev->parent;
    }
    if (dev->model != &pci_function_model) {
        return NULL;
    }
    s = dev->state;
    return s->secondary;
}

bool devemu_pci_plug(DevemuDevice *bus, DevemuDevice *dev, int devfn, GError **error)
{
    DevemuDevice *function = dev;
    DevemuDevice *real;

    g_return_val_if_fail(bus != NULL && dev != NULL && dev->parent == NULL, false);
    real = bus_of(bus);
    if (real == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "%s is no PCI bus and no bridge: %s cannot be plugged into it", bus->name,
                    dev->name);
        return false;
    }
    if (dev->model != &pci_function_model) {
        function = devemu_pci_function_new(dev, error);
        if (function == NULL) {
            return false;
        }
    }
    if (pci_bus_plug(real, function, devfn, error)) {
        return true;
    }
    if (function != dev) {
        devemu_bus_unplug(dev);
        devemu_device_free(function);
    }
    return false;
}
