/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vga-regs.c: the indexed registers of the VGA; see vga.c. Sections are those of the "Video
 * Subsystem" chapter named there.
 */
#include "vga.h"

/* --- sequencer --------------------------------------------------------------------- */

static const DevemuBits sr0_bits[] = {{"ASR", SR0_AR}, {"SR", SR0_SR}, {0}};
static const DevemuBits sr1_bits[] = {
    {"D89", SR1_D89}, {"SL", 1 << 2}, {"DC", SR1_DC}, {"SH4", 1 << 4}, {"SO", SR1_SO}, {0},
};
static const DevemuBits sr4_bits[] = {{"EM", SR4_EM}, {"OE", SR4_OE}, {"CH4", SR4_CH4}, {0}};

const DevemuReg vga_seq_regs[VGA_SEQ_REGS] = {
    {
        .name = "SR0",
        .title = "Reset",
        .section = "Sequencer Registers",
        .bits = sr0_bits,
        .at = 0,
        DEVEMU_IN(struct vga, seq[0]),
        .ro = 0xfc,
    },
    {
        .name = "SR1",
        .title = "Clocking Mode",
        .section = "Sequencer Registers",
        .bits = sr1_bits,
        .at = 1,
        DEVEMU_IN(struct vga, seq[1]),
        .ro = 0xc2,
    },
    {
        .name = "SR2",
        .title = "Map Mask",
        .section = "Sequencer Registers",
        .at = 2,
        DEVEMU_IN(struct vga, seq[2]),
        .ro = 0xf0,
    },
    {
        .name = "SR3",
        .title = "Character Map Select",
        .section = "Sequencer Registers",
        .at = 3,
        DEVEMU_IN(struct vga, seq[3]),
        .ro = 0xc0,
    },
    {
        .name = "SR4",
        .title = "Memory Mode",
        .section = "Sequencer Registers",
        .bits = sr4_bits,
        .at = 4,
        DEVEMU_IN(struct vga, seq[4]),
        .ro = 0xf1,
    },
};

/* --- CRT controller ---------------------------------------------------------------- */

/* Vertical Retrace End bit 7: registers 0 to 7 are protected, but for bit 4 of 7. */
static bool crtc_unprotected(const void *state)
{
    const struct vga *vga = state;

    return !(vga->crtc[0x11] & CR11_PROTECT);
}

static void overflow_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    if (!crtc_unprotected(vga)) {
        vga->crtc[7] = (uint8_t)((old & ~(uint64_t)CR7_LC8) | (value & CR7_LC8));
    }
}

/* Vertical Retrace End bits 4, 5. */
static void retrace_end_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    (void)old;
    if (!(value & CR11_CVI)) {
        vga->interrupt = 0;
    }
    vga_retrace_arm(vga);
}

static const DevemuBits cr7_bits[] = {
    {"VT8", CR7_VT8},   {"VDE8", CR7_VDE8}, {"VRS8", CR7_VRS8},
    {"VBS8", 1 << 3},   {"LC8", CR7_LC8},   {"VT9", CR7_VT9},
    {"VDE9", CR7_VDE9}, {"VRS9", CR7_VRS9}, {0},
};
static const DevemuBits cr9_bits[] = {
    {"MSL", CR9_MSL}, {"VBS9", 1 << 5}, {"LC9", CR9_LC9}, {"DSC", CR9_DSC}, {0},
};
static const DevemuBits cr11_bits[] = {
    {"VRE", CR11_VRE}, {"CVI", CR11_CVI},    {"EVI", CR11_EVI},
    {"S5R", 1 << 6},   {"PR", CR11_PROTECT}, {0},
};
static const DevemuBits cr14_bits[] = {{"SUL", CR14_UL}, {"CB4", CR14_CB4}, {"DW", CR14_DW}, {0}};
static const DevemuBits cr17_bits[] = {
    {"CMS0", CR17_CMS0}, {"SRC", CR17_CMS1}, {"HRS", 1 << 2},   {"CB2", CR17_CBT},
    {"ADW", CR17_AW},    {"WB", CR17_WB},    {"RST", CR17_RUN}, {0},
};

const DevemuReg vga_crtc_regs[VGA_CRTC_REGS] = {
    {
        .name = "CR0",
        .title = "Horizontal Total",
        .section = "CRT Controller Registers",
        .at = 0x00,
        DEVEMU_IN(struct vga, crtc[0x00]),
        .writable = crtc_unprotected,
    },
    {
        .name = "CR1",
        .title = "Horizontal Display-Enable End",
        .section = "CRT Controller Registers",
        .at = 0x01,
        DEVEMU_IN(struct vga, crtc[0x01]),
        .writable = crtc_unprotected,
    },
    {
        .name = "CR2",
        .title = "Start Horizontal Blanking",
        .section = "CRT Controller Registers",
        .at = 0x02,
        DEVEMU_IN(struct vga, crtc[0x02]),
        .writable = crtc_unprotected,
    },
    {
        .name = "CR3",
        .title = "End Horizontal Blanking",
        .section = "CRT Controller Registers",
        .at = 0x03,
        DEVEMU_IN(struct vga, crtc[0x03]),
        .writable = crtc_unprotected,
    },
    {
        .name = "CR4",
        .title = "Start Horizontal Retrace Pulse",
        .section = "CRT Controller Registers",
        .at = 0x04,
        DEVEMU_IN(struct vga, crtc[0x04]),
        .writable = crtc_unprotected,
    },
    {
        .name = "CR5",
        .title = "End Horizontal Retrace",
        .section = "CRT Controller Registers",
        .at = 0x05,
        DEVEMU_IN(struct vga, crtc[0x05]),
        .writable = crtc_unprotected,
    },
    {
        .name = "CR6",
        .title = "Vertical Total",
        .section = "CRT Controller Registers",
        .at = 0x06,
        DEVEMU_IN(struct vga, crtc[0x06]),
        .writable = crtc_unprotected,
    },
    {
        .name = "CR7",
        .title = "Overflow",
        .section = "CRT Controller Registers",
        .bits = cr7_bits,
        .at = 0x07,
        DEVEMU_IN(struct vga, crtc[0x07]),
        .wrote = overflow_wrote,
    },
    {
        .name = "CR8",
        .title = "Preset Row Scan",
        .section = "CRT Controller Registers",
        .at = 0x08,
        DEVEMU_IN(struct vga, crtc[0x08]),
        .ro = 0x80,
    },
    {
        .name = "CR9",
        .title = "Maximum Scan Line",
        .section = "CRT Controller Registers",
        .bits = cr9_bits,
        .at = 0x09,
        DEVEMU_IN(struct vga, crtc[0x09]),
    },
    {
        .name = "CRA",
        .title = "Cursor Start",
        .section = "CRT Controller Registers",
        .at = 0x0a,
        DEVEMU_IN(struct vga, crtc[0x0a]),
        .ro = 0xc0,
    },
    {
        .name = "CRB",
        .title = "Cursor End",
        .section = "CRT Controller Registers",
        .at = 0x0b,
        DEVEMU_IN(struct vga, crtc[0x0b]),
        .ro = 0x80,
    },
    {
        .name = "CRC",
        .title = "Start Address High",
        .section = "CRT Controller Registers",
        .at = 0x0c,
        DEVEMU_IN(struct vga, crtc[0x0c]),
    },
    {
        .name = "CRD",
        .title = "Start Address Low",
        .section = "CRT Controller Registers",
        .at = 0x0d,
        DEVEMU_IN(struct vga, crtc[0x0d]),
    },
    {
        .name = "CRE",
        .title = "Cursor Location High",
        .section = "CRT Controller Registers",
        .at = 0x0e,
        DEVEMU_IN(struct vga, crtc[0x0e]),
    },
    {
        .name = "CRF",
        .title = "Cursor Location Low",
        .section = "CRT Controller Registers",
        .at = 0x0f,
        DEVEMU_IN(struct vga, crtc[0x0f]),
    },
    {
        .name = "CR10",
        .title = "Vertical Retrace Start",
        .section = "CRT Controller Registers",
        .at = 0x10,
        DEVEMU_IN(struct vga, crtc[0x10]),
    },
    {
        .name = "CR11",
        .title = "Vertical Retrace End",
        .section = "CRT Controller Registers",
        .bits = cr11_bits,
        .at = 0x11,
        DEVEMU_IN(struct vga, crtc[0x11]),
        .wrote = retrace_end_wrote,
    },
    {
        .name = "CR12",
        .title = "Vertical Display-Enable End",
        .section = "CRT Controller Registers",
        .at = 0x12,
        DEVEMU_IN(struct vga, crtc[0x12]),
    },
    {
        .name = "CR13",
        .title = "Offset",
        .section = "CRT Controller Registers",
        .at = 0x13,
        DEVEMU_IN(struct vga, crtc[0x13]),
    },
    {
        .name = "CR14",
        .title = "Underline Location",
        .section = "CRT Controller Registers",
        .bits = cr14_bits,
        .at = 0x14,
        DEVEMU_IN(struct vga, crtc[0x14]),
        .ro = 0x80,
    },
    {
        .name = "CR15",
        .title = "Start Vertical Blanking",
        .section = "CRT Controller Registers",
        .at = 0x15,
        DEVEMU_IN(struct vga, crtc[0x15]),
    },
    {
        .name = "CR16",
        .title = "End Vertical Blanking",
        .section = "CRT Controller Registers",
        .at = 0x16,
        DEVEMU_IN(struct vga, crtc[0x16]),
    },
    {
        .name = "CR17",
        .title = "CRT Mode Control",
        .section = "CRT Controller Registers",
        .bits = cr17_bits,
        .at = 0x17,
        DEVEMU_IN(struct vga, crtc[0x17]),
        .ro = 0x10,
    },
    {
        .name = "CR18",
        .title = "Line Compare",
        .section = "CRT Controller Registers",
        .at = 0x18,
        DEVEMU_IN(struct vga, crtc[0x18]),
    },
};

/* --- graphics controller ----------------------------------------------------------- */

static const DevemuBits gr3_bits[] = {{"RC", 0x07}, {"FS", 0x18}, {0}};
static const DevemuBits gr5_bits[] = {
    {"WM", GR5_WM}, {"RM", GR5_RM}, {"OE", GR5_OE}, {"SR", GR5_SR}, {"C256", GR5_C256}, {0},
};
static const DevemuBits gr6_bits[] = {
    {"GM", GR6_GM}, {"OE", GR6_OE}, {"MM", 3 << GR6_MM_SHIFT}, {0}};

const DevemuReg vga_gc_regs[VGA_GC_REGS] = {
    {
        .name = "GR0",
        .title = "Set/Reset",
        .section = "Graphics Controller Registers",
        .at = 0,
        DEVEMU_IN(struct vga, gc[0]),
        .ro = 0xf0,
    },
    {
        .name = "GR1",
        .title = "Enable Set/Reset",
        .section = "Graphics Controller Registers",
        .at = 1,
        DEVEMU_IN(struct vga, gc[1]),
        .ro = 0xf0,
    },
    {
        .name = "GR2",
        .title = "Color Compare",
        .section = "Graphics Controller Registers",
        .at = 2,
        DEVEMU_IN(struct vga, gc[2]),
        .ro = 0xf0,
    },
    {
        .name = "GR3",
        .title = "Data Rotate",
        .section = "Graphics Controller Registers",
        .bits = gr3_bits,
        .at = 3,
        DEVEMU_IN(struct vga, gc[3]),
        .ro = 0xe0,
    },
    {
        .name = "GR4",
        .title = "Read Map Select",
        .section = "Graphics Controller Registers",
        .at = 4,
        DEVEMU_IN(struct vga, gc[4]),
        .ro = 0xfc,
    },
    {
        .name = "GR5",
        .title = "Graphics Mode",
        .section = "Graphics Controller Registers",
        .bits = gr5_bits,
        .at = 5,
        DEVEMU_IN(struct vga, gc[5]),
        .ro = 0x84,
    },
    {
        .name = "GR6",
        .title = "Miscellaneous",
        .section = "Graphics Controller Registers",
        .bits = gr6_bits,
        .at = 6,
        DEVEMU_IN(struct vga, gc[6]),
        .ro = 0xf0,
    },
    {
        .name = "GR7",
        .title = "Color Don't Care",
        .section = "Graphics Controller Registers",
        .at = 7,
        DEVEMU_IN(struct vga, gc[7]),
        .ro = 0xf0,
    },
    {
        .name = "GR8",
        .title = "Bit Mask",
        .section = "Graphics Controller Registers",
        .at = 8,
        DEVEMU_IN(struct vga, gc[8]),
    },
};

/* --- attribute controller ---------------------------------------------------------- */

/* Address Register bit 5: while the palette drives the screen it cannot be loaded. */
static bool palette_loadable(const void *state)
{
    const struct vga *vga = state;

    return !(vga->attr_index & AR_PAS);
}

static const DevemuBits ar10_bits[] = {
    {"G", AR10_G},   {"ME", AR10_ME}, {"ELG", AR10_ELG}, {"EB", AR10_EB},
    {"PP", AR10_PP}, {"PW", AR10_PW}, {"PS", AR10_PS},   {0},
};

const DevemuReg vga_attr_regs[VGA_ATTR_ROWS] = {
    {
        .name = "AR0",
        .title = "Internal Palette 0 to 15",
        .section = "Attribute Controller Registers",
        .at = 0,
        .count = 16,
        .width = 1,
        .member = offsetof(struct vga, attr),
        .ro = 0xc0,
        .writable = palette_loadable,
    },
    {
        .name = "AR10",
        .title = "Attribute Mode Control",
        .section = "Attribute Controller Registers",
        .bits = ar10_bits,
        .at = 0x10,
        DEVEMU_IN(struct vga, attr[0x10]),
        .ro = 0x10,
    },
    {
        .name = "AR11",
        .title = "Overscan Color",
        .section = "Attribute Controller Registers",
        .at = 0x11,
        DEVEMU_IN(struct vga, attr[0x11]),
    },
    {
        .name = "AR12",
        .title = "Color Plane Enable",
        .section = "Attribute Controller Registers",
        .at = 0x12,
        DEVEMU_IN(struct vga, attr[0x12]),
        .ro = 0xc0,
    },
    {
        .name = "AR13",
        .title = "Horizontal PEL Panning",
        .section = "Attribute Controller Registers",
        .at = 0x13,
        DEVEMU_IN(struct vga, attr[0x13]),
        .ro = 0xf0,
    },
    {
        .name = "AR14",
        .title = "Color Select",
        .section = "Attribute Controller Registers",
        .at = 0x14,
        DEVEMU_IN(struct vga, attr[0x14]),
        .ro = 0xf0,
    },
};
