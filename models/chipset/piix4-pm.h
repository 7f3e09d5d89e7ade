/* SPDX-License-Identifier: BSD-3-Clause */
/* piix4-pm.h: the state of function 3 of the 82371AB, and its SMBus host controller's part. */
#ifndef DEVEMU_MODELS_CHIPSET_PIIX4_PM_H
#define DEVEMU_MODELS_CHIPSET_PIIX4_PM_H

#include <devemu/model.h>

enum {
    SMBUS_BYTES = 16,
    SMB_BLOCK = 32, /* bytes of a block transfer */
    SMBUS_ROWS = 11,
};

struct piix4_pm {
    DevemuDevice *dev;
    uint64_t overflow_ns;
    uint64_t override_ns;
    uint64_t smi_end_ns;
    uint64_t smbus_done_ns; /* off: not busy */

    uint32_t pmba, smbba, devactb;
    uint16_t pmsts, pmen, pmcntrl;
    uint16_t gpsts, gpen;
    uint16_t glbsts, glben;
    uint8_t pmregmisc, smbhstcfg;
    uint8_t suspend; /* SUS_TYP plus 1; 0: working */
    uint8_t smi;     /* the pulse */
    uint8_t apmc, apms;
    uint32_t glbctl;

    uint8_t smbhststs, smbslvsts, smbhstcnt, smbhstcmd, smbhstadd;
    uint8_t smbhstdat[2];
    uint8_t block_index;
    uint8_t block[SMB_BLOCK];
    uint8_t smbslvcnt, smbshdwcmd;
    uint16_t smbslvevt, smbslvdat;
    uint8_t smbslvc, smbshdw[2];

    bool smm; /* property */

    /* Stored only. */
    uint16_t unused;
    uint32_t cnta, cntb, gpictl;
    uint32_t devacta, devres[10];
    uint32_t pcntrl, devctl, gpo;
    uint32_t unused_2;
};

extern const DevemuReg piix4_smbus_regs[SMBUS_ROWS];

/* The timer smbus_done_ns has come. */
void piix4_smbus_done(void *state, uint64_t due_ns);
void piix4_smbus_reset(struct piix4_pm *s, DevemuReset kind);
/* Does the host controller want an interrupt? */
bool piix4_smbus_interrupt(const struct piix4_pm *s);

#endif
