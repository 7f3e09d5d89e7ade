/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-config.c: the 256 bytes of configuration space as one: a map says of each byte whether it is
 * the header's, a capability's or the model's own.
 */
#include "pci.h"

/* --- layout ------------------------------------------------------------------------ */

static void place(struct pci_function *s, unsigned at, unsigned bytes, unsigned bank)
{
    for (unsigned i = 0; i < bytes; i++) {
        s->map[at + i] = (uint16_t)(bank << 8 | i);
    }
}

/* A capability's dwords are its own, to the end of the last one. */
static bool free_at(const struct pci_function *s, unsigned at, unsigned bytes)
{
    if (at < PCI_HEADER_BYTES || at % 4 != 0 || at + (bytes + 3) / 4 * 4 > PCI_CONFIG_BYTES) {
        return false;
    }
    for (unsigned i = 0; i < (bytes + 3) / 4 * 4; i++) {
        if (s->map[at + i] != PCI_MAP_NONE) {
            return false;
        }
    }
    return true;
}

/* Put a capability in front of the list. */
static bool add_capability(struct pci_function *s, unsigned at, unsigned bytes, unsigned bank,
                           uint8_t *next, GError **error)
{
    bool anywhere = at == 0;

    if (anywhere) {
        at = PCI_HEADER_BYTES;
        while (at < PCI_CONFIG_BYTES && !free_at(s, at, bytes)) {
            at += 4;
        }
    }
    if (!free_at(s, at, bytes)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "%s: no room in configuration space for the capability in bank '%s'%s",
                    s->child->model->name, pci_function_model.banks[bank].name,
                    anywhere ? "" : " where the model wants it");
        return false;
    }
    place(s, at, bytes, bank);
    *next = s->first_capability;
    s->first_capability = (uint8_t)at;
    return true;
}

static bool add_capabilities(struct pci_function *s, GError **error)
{
    const DevemuPci *pci = s->pci;

    s->first_capability = pci->capabilities;
    if (pci->flr &&
        !add_capability(s, pci->flr_at, PCI_FLR_BYTES, PCI_BANK_FLR, &s->next_flr, error)) {
        return false;
    }
    if (pci->msix_vectors &&
        !add_capability(s, pci->msix_at, PCI_MSIX_BYTES, PCI_BANK_MSIX, &s->next_msix, error)) {
        return false;
    }
    if (pci->msi_vectors &&
        !add_capability(s, pci->msi_at, PCI_MSI_BYTES, PCI_BANK_MSI, &s->next_msi, error)) {
        return false;
    }
    return !pci->power_management || add_capability(s, pci->power_management_at, PCI_POWER_BYTES,
                                                    PCI_BANK_POWER, &s->next_power, error);
}

static bool lay_row(struct pci_function *s, const DevemuReg *reg, GError **error)
{
    unsigned size = reg->size ? reg->size : 1;
    unsigned stride = reg->stride ? reg->stride : size;

    for (unsigned e = 0; e < (reg->count ? reg->count : 1u); e++) {
        uint64_t at = reg->at + (uint64_t)e * stride;

        if (at + size > PCI_CONFIG_BYTES) {
            g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                        "%s: %s stands beyond configuration space", s->child->model->name,
                        reg->name);
            return false;
        }
        for (unsigned b = 0; b < size; b++) {
            s->map[at + b] = (uint16_t)(PCI_MAP_MODEL | (at + b));
        }
    }
    return true;
}

/* A decorator has the banks of what is below it, but not the rows. */
static const DevemuModel *model_below(const DevemuDevice *dev)
{
    while (dev->decorator) {
        dev = devemu_device_child(dev, 0);
    }
    return dev->model;
}

bool pci_config_layout(struct pci_function *s, GError **error)
{
    place(s, 0, PCI_HEADER_BYTES, PCI_BANK_HEADER);
    if (s->pci->config_bank) {
        const DevemuBank *bank = &model_below(s->child)->banks[s->pci->config_bank - 1];

        for (size_t i = 0; i < bank->reg_count; i++) {
            if (!lay_row(s, &bank->regs[i], error)) {
                return false;
            }
        }
    }
    return add_capabilities(s, error);
}

/* --- access ------------------------------------------------------------------------ */

/* How many of the bytes from at on lie side by side in one bank: a power of two up to limit. */
static unsigned run(const struct pci_function *s, uint64_t at, unsigned limit)
{
    unsigned count = 1;

    while (count < limit && s->map[at] != PCI_MAP_NONE &&
           s->map[at + count] == s->map[at] + count) {
        count++;
    }
    return count >= 8 ? 8 : count >= 4 ? 4 : count >= 2 ? 2 : 1;
}

static DevemuAccess part_read(struct pci_function *s, unsigned where, unsigned size,
                              uint64_t *ret_value)
{
    if (where == PCI_MAP_NONE) {
        return DEVEMU_ACCESS_NONE;
    }
    if (where & PCI_MAP_MODEL) {
        return devemu_device_read(s->child, s->pci->config_bank - 1, where & 0xff, size, ret_value);
    }
    return devemu_device_read(s->dev, where >> 8, where & 0xff, size, ret_value);
}

static DevemuAccess part_write(struct pci_function *s, unsigned where, unsigned size,
                               uint64_t value)
{
    DevemuAccess access;

    if (where == PCI_MAP_NONE) {
        return DEVEMU_ACCESS_NONE;
    }
    if (where & PCI_MAP_MODEL) {
        access = devemu_device_write(s->child, s->pci->config_bank - 1, where & 0xff, size, value);
        pci_function_changed(s);
        return access;
    }
    return devemu_device_write(s->dev, where >> 8, where & 0xff, size, value);
}

/* Every byte of configuration space answers: what is not there reads as zero (PCI 3.0 6.1). */
DevemuAccess pci_config_read(struct pci_function *s, uint64_t at, unsigned size,
                             uint64_t *ret_value)
{
    uint64_t value = 0;
    unsigned limit = size;

    if (s->child == NULL || at >= PCI_CONFIG_BYTES || size > PCI_CONFIG_BYTES - at) {
        *ret_value = UINT64_MAX >> (64 - size * 8);
        return DEVEMU_ACCESS_OK;
    }
    for (unsigned i = 0; i < size;) {
        unsigned step = run(s, at + i, MIN(limit, size - i));
        uint64_t part = 0;
        DevemuAccess access = part_read(s, s->map[at + i], step, &part);

        if (access == DEVEMU_ACCESS_BUSY) {
            return access;
        }
        if (access == DEVEMU_ACCESS_SIZE && step > 1) {
            limit = step / 2;
            continue;
        }
        if (access == DEVEMU_ACCESS_OK) {
            value |= part << (i * 8);
        }
        limit = size;
        i += step;
    }
    *ret_value = value;
    return DEVEMU_ACCESS_OK;
}

DevemuAccess pci_config_write(struct pci_function *s, uint64_t at, unsigned size, uint64_t value)
{
    unsigned limit = size;

    if (s->child == NULL || at >= PCI_CONFIG_BYTES || size > PCI_CONFIG_BYTES - at) {
        return DEVEMU_ACCESS_OK;
    }
    for (unsigned i = 0; i < size;) {
        unsigned step = run(s, at + i, MIN(limit, size - i));
        uint64_t part = value >> (i * 8) & (UINT64_MAX >> (64 - step * 8));
        DevemuAccess access = part_write(s, s->map[at + i], step, part);

        if (access == DEVEMU_ACCESS_BUSY) {
            return access;
        }
        if (access == DEVEMU_ACCESS_SIZE && step > 1) {
            limit = step / 2;
            continue;
        }
        limit = size;
        i += step;
    }
    return DEVEMU_ACCESS_OK;
}
