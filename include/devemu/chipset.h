/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chipset.h: the output and input lines of the chipset models, for boards that wire them.
 */
#ifndef DEVEMU_CHIPSET_H
#define DEVEMU_CHIPSET_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * i440fx. The 13 memory segments from C0000h up: 0 to 11 are 16 KiB each, 12 is F0000h with 64 KiB.
 * Each has a line for reads and a line for writes: high sends them to DRAM, low to PCI. So a board
 * maps RAM over each segment above what PCI has there, and hands the two lines to
 * devemu_system_gate().
 */
enum {
    DEVEMU_I440FX_SEGMENTS = 13,

    DEVEMU_I440FX_PAM = 0,         /* reads of segment n: PAM + 2 n; writes: PAM + 2 n + 1 */
    DEVEMU_I440FX_SMRAM_OPEN = 26, /* DRAM at A0000h..BFFFFh for every CPU access */
    DEVEMU_I440FX_SMRAM_CODE = 27, /* the same for fetches of a CPU in SMM */
    DEVEMU_I440FX_SMRAM_DATA = 28, /* and for its data */
    DEVEMU_I440FX_INIT = 29,       /* rises: soft reset of the CPU */
    DEVEMU_I440FX_RESET = 30,      /* rises: hard reset of the CPU and the PCI bus */
};

static inline unsigned devemu_i440fx_read_line(unsigned segment)
{
    return DEVEMU_I440FX_PAM + 2 * segment;
}

static inline unsigned devemu_i440fx_write_line(unsigned segment)
{
    return DEVEMU_I440FX_PAM + 2 * segment + 1;
}

static inline uint32_t devemu_i440fx_segment_base(unsigned segment)
{
    return UINT32_C(0xc0000) + segment * UINT32_C(0x4000);
}

static inline uint32_t devemu_i440fx_segment_len(unsigned segment)
{
    return segment == DEVEMU_I440FX_SEGMENTS - 1 ? UINT32_C(0x10000) : UINT32_C(0x4000);
}

/* piix3. Input lines 0 to 3 are PIRQA# to PIRQD#, output lines 0 to 15 the ISA interrupts. */
enum {
    DEVEMU_PIIX3_IRQ0 = 0,
    DEVEMU_PIIX3_INIT = 16,  /* rises: soft reset of the CPU */
    DEVEMU_PIIX3_RESET = 17, /* rises: hard reset of all (CPURST, PCIRST#, RSTDRV) */
};

enum {
    DEVEMU_PIIX3_PIRQA = 0,
};

/* piix4_pm. */
enum {
    DEVEMU_PIIX4_SCI = 0,  /* to IRQ9 */
    DEVEMU_PIIX4_SMI = 1,  /* a pulse: system management interrupt */
    DEVEMU_PIIX4_SUSA = 2, /* high: suspended in any way */
    DEVEMU_PIIX4_SUSB = 3, /* high: suspend to RAM, or deeper */
    DEVEMU_PIIX4_SUSC = 4, /* high: suspend to disk, soft off */
};

enum {
    DEVEMU_PIIX4_PWRBTN = 0, /* power button: high while pressed */
    DEVEMU_PIIX4_RTC = 1,    /* alarm of the real time clock (IRQ8) */
    DEVEMU_PIIX4_THRM = 2,
    DEVEMU_PIIX4_LID = 3,
    DEVEMU_PIIX4_RI = 4,
    DEVEMU_PIIX4_GPI1 = 5,
};

#ifdef __cplusplus
}
#endif

#endif
