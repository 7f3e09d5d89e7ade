/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vga.h: what the files of the VGA share: vga.c has the ports and the model, vga-regs.c the indexed
 * registers, vga-memory.c the way from the CPU to the planes, vga-draw.c the way to the screen.
 */
#ifndef VGA_H
#define VGA_H

#include <devemu/model.h>

enum {
    VGA_BANK_IO,   /* 3B0h to 3DFh */
    VGA_BANK_VRAM, /* A0000h to BFFFFh */
    VGA_BANK_SEQ,
    VGA_BANK_CRTC,
    VGA_BANK_GC,
    VGA_BANK_ATTR,
};

#define VGA_SEQ_REGS    5
#define VGA_CRTC_REGS   25
#define VGA_GC_REGS     9
#define VGA_ATTR_REGS   21
#define VGA_ATTR_ROWS   6
#define VGA_PLANES      4
#define VGA_PLANE_BYTES 65536
#define VGA_DAC_COLORS  256

/* Miscellaneous Output */
enum {
    MISC_IOS = 1 << 0, /* CRT controller at 3D4h rather than 3B4h */
    MISC_ERAM = 1 << 1,
    MISC_CS_SHIFT = 2,
    MISC_CS = 3 << MISC_CS_SHIFT,
    MISC_PAGE = 1 << 5,
    MISC_HSP = 1 << 6,
    MISC_VSP = 1 << 7,
};

/* Sequencer */
enum {
    SR0_AR = 1 << 0,
    SR0_SR = 1 << 1,
    SR0_RUN = SR0_AR | SR0_SR,
    SR1_D89 = 1 << 0, /* characters are 8 dots wide */
    SR1_DC = 1 << 3,  /* dot clock halved */
    SR1_SO = 1 << 5,  /* screen off */
    SR4_EM = 1 << 1,
    SR4_OE = 1 << 2, /* 0: odd/even */
    SR4_CH4 = 1 << 3,
};

/* Graphics controller */
enum {
    GR5_WM = 3,
    GR5_RM = 1 << 3,
    GR5_OE = 1 << 4,
    GR5_SR = 1 << 5,
    GR5_C256 = 1 << 6,
    GR6_GM = 1 << 0,
    GR6_OE = 1 << 1,
    GR6_MM_SHIFT = 2,
};

/* CRT controller; numbers with more than eight bits have the rest elsewhere */
enum {
    CR7_VT8 = 1 << 0,
    CR7_VDE8 = 1 << 1,
    CR7_VRS8 = 1 << 2,
    CR7_LC8 = 1 << 4,
    CR7_VT9 = 1 << 5,
    CR7_VDE9 = 1 << 6,
    CR7_VRS9 = 1 << 7,
    CR8_PRS = 0x1f,
    CR8_BYTE_PAN_SHIFT = 5,
    CR9_MSL = 0x1f,
    CR9_LC9 = 1 << 6,
    CR9_DSC = 1 << 7,
    CRA_OFF = 1 << 5,
    CRA_START = 0x1f,
    CRB_END = 0x1f,
    CR11_VRE = 0x0f,
    CR11_CVI = 1 << 4, /* 0 clears the interrupt */
    CR11_EVI = 1 << 5, /* 0 enables it */
    CR11_PROTECT = 1 << 7,
    CR14_UL = 0x1f,
    CR14_CB4 = 1 << 5,
    CR14_DW = 1 << 6,
    CR17_CMS0 = 1 << 0,
    CR17_CMS1 = 1 << 1,
    CR17_CBT = 1 << 3,
    CR17_AW = 1 << 5,
    CR17_WB = 1 << 6, /* 1: byte mode */
    CR17_RUN = 1 << 7,
};

/* Attribute controller */
enum {
    AR_INDEX = 0x1f,
    AR_PAS = 1 << 5, /* the palette drives the screen */
    AR10_G = 1 << 0,
    AR10_ME = 1 << 1,
    AR10_ELG = 1 << 2,
    AR10_EB = 1 << 3,
    AR10_PP = 1 << 5,
    AR10_PW = 1 << 6,
    AR10_PS = 1 << 7,
};

struct vga {
    DevemuDevice *dev;
    uint64_t retrace_ns; /* the next vertical retrace, while somebody waits for its interrupt */

    uint32_t latches; /* plane n in byte n */
    uint8_t misc;
    uint8_t fcr;
    uint8_t vse;
    uint8_t seq_index, gc_index, crtc_index, attr_index;
    uint8_t attr_data; /* flip-flop: 3C0h takes data next */
    uint8_t seq[VGA_SEQ_REGS];
    uint8_t gc[VGA_GC_REGS];
    uint8_t attr[VGA_ATTR_REGS];
    uint8_t crtc[VGA_CRTC_REGS];
    uint8_t pel_mask;
    uint8_t dac_read, dac_write; /* colours */
    uint8_t dac_part;            /* of a colour: red, green, blue */
    uint8_t dac_state;           /* 3C7h: 0 writing, 3 reading */
    uint8_t dac_latch[3];
    uint8_t interrupt; /* vertical retrace */
    uint8_t unused[7];

    uint8_t dac[VGA_DAC_COLORS * 3]; /* six bits each */
    uint32_t vram[VGA_PLANE_BYTES];  /* plane n in byte n */
};

/* The byte of one plane. */
static inline uint8_t vga_plane(uint32_t planes, unsigned plane)
{
    return (uint8_t)(planes >> (plane * 8));
}

/* vga-regs.c */
extern const DevemuReg vga_seq_regs[];
extern const DevemuReg vga_crtc_regs[];
extern const DevemuReg vga_gc_regs[];
extern const DevemuReg vga_attr_regs[];

/* vga-memory.c */
DevemuAccess vga_vram_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value);
DevemuAccess vga_vram_write(void *state, uint64_t at, unsigned size, uint64_t value);

/* vga-draw.c */
bool vga_screen(const void *state, DevemuScreen *screen);
size_t vga_text(const void *state, uint8_t *cells, size_t capacity, unsigned *ret_columns);

/* --- timing, from the CRT controller ----------------------------------------------- */

/* Where the beam is, and when. */
struct vga_beam {
    uint64_t frame_ns;
    uint64_t frame;      /* frames since the clock's zero */
    uint64_t retrace_ns; /* next begin of the vertical retrace, after now */
    bool display;        /* not in a border or retrace */
    bool retrace;        /* vertical */
};

struct vga_beam vga_beam(const struct vga *vga);
unsigned vga_display_lines(const struct vga *vga);
/* The interrupt was enabled, cleared or has come: set the timer. */
void vga_retrace_arm(struct vga *vga);

#endif
