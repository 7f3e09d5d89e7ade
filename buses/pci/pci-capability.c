/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-capability.c: power management (PM 1.2) and function level reset (AF).
 *
 * Not modelled: PME#, D1 and D2, the data register; transactions pending at a reset, which happens
 * at once.
 */
#include "pci.h"

/* --- power management -------------------------------------------------------------- */

enum {
    PMC_VERSION_1_2 = 3,
    PMCSR_NO_SOFT_RESET = 1 << 3,
};

static uint64_t power_next(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->next_power;
}

static uint64_t power_control_read(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->power_control | PMCSR_NO_SOFT_RESET;
}

/* PM 1.2 3.2.4: a state that the function has not got is discarded. Coming back from D3hot keeps
 * the configuration, as No_Soft_Reset says. */
static void power_control_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;
    uint64_t power = value & POWER_STATE;

    (void)index;
    s->power_control = (uint16_t)(power == 0 || power == POWER_D3HOT ? power : old);
    pci_function_gate(s);
    pci_function_changed(s);
}

static const DevemuBits power_bits[] = {
    {"POWER_STATE", POWER_STATE}, {"NO_SOFT_RESET", PMCSR_NO_SOFT_RESET}, {NULL, 0}};

const DevemuReg pci_power_regs[] = {
    {"CAP_ID", "Power management", "PM 1.2 3.2.1", .at = 0, .reset = 0x01, .ro = 0xff},
    {"NEXT", "Next capability", "PM 1.2 3.2.2", .at = 1, .ro = 0xff, .read = power_next},
    {"PMC", "Power management capabilities", "PM 1.2 3.2.3", .at = 2, .size = 2,
     .reset = PMC_VERSION_1_2, .ro = 0xffff},
    {"PMCSR", "Power management control and status", "PM 1.2 3.2.4", power_bits, .at = 4, .size = 2,
     DEVEMU_IN(struct pci_function, power_control), .ro = 0xfffc, .read = power_control_read,
     .wrote = power_control_wrote},
    {"PMCSR_BSE", "Bridge support: none", "PM 1.2 3.2.5", .at = 6, .ro = 0xff},
    {"DATA", "Data: none", "PM 1.2 3.2.6", .at = 7, .ro = 0xff},
};

/* --- function level reset ---------------------------------------------------------- */

enum {
    AF_INITIATE_FLR = 1 << 0,
    AF_CAP_TP = 1 << 0,
    AF_CAP_FLR = 1 << 1,
};

static uint64_t flr_next(const void *state, unsigned index)
{
    const struct pci_function *s = state;

    (void)index;
    return s->next_flr;
}

static void flr_control_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pci_function *s = state;

    (void)index;
    (void)old;
    if (!(value & AF_INITIATE_FLR)) {
        return;
    }
    if (s->child == NULL || devemu_device_busy(s->child)) {
        devemu_guest_error(s->dev, "AF_CONTROL: reset by the function's own bus cycle, ignored");
        return;
    }
    devemu_reset_banks(s->dev, DEVEMU_RESET_HARD);
    pci_function_reset(s);
}

static const DevemuBits flr_bits[] = {{"INITIATE_FLR", AF_INITIATE_FLR}, {NULL, 0}};

const DevemuReg pci_flr_regs[] = {
    {"CAP_ID", "Advanced features", "AF 1", .at = 0, .reset = 0x13, .ro = 0xff},
    {"NEXT", "Next capability", "AF 1", .at = 1, .ro = 0xff, .read = flr_next},
    {"LENGTH", "Bytes of this capability", "AF 1", .at = 2, .reset = PCI_FLR_BYTES, .ro = 0xff},
    {"AF_CAP", "Reset and pending bit are there", "AF 1", .at = 3, .reset = AF_CAP_TP | AF_CAP_FLR,
     .ro = 0xff},
    {"AF_CONTROL", "Control", "AF 1", flr_bits, .at = 4, .wo = 0xff, .wrote = flr_control_wrote},
    {"AF_STATUS", "No transaction is pending", "AF 1", .at = 5, .ro = 0xff},
};
