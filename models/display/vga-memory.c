/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vga-memory.c: how the CPU reaches the four planes of the VGA; see vga.c. Every access is one byte
 * wide; a wider one is several, lowest address first.
 */
#include "vga.h"

/* Where a CPU address leads. */
struct place {
    uint32_t at;    /* in each plane */
    uint8_t planes; /* that odd/even or chain-4 lets through */
    uint8_t plane;  /* the one that a read in mode 0 takes */
};

/* Miscellaneous register (GR6) bits 2, 3: which part of A0000h to BFFFFh. */
static bool decode(const struct vga *vga, uint64_t at, uint32_t *ret_offset)
{
    static const struct {
        uint32_t base, len;
    } maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned map = vga->gc[6] >> GR6_MM_SHIFT & 3;

    if (!(vga->misc & MISC_ERAM) || at < maps[map].base || at - maps[map].base >= maps[map].len) {
        return false;
    }
    *ret_offset = (uint32_t)(at - maps[map].base);
    return true;
}

/* GR6 bit 1: in odd/even modes A0 chooses the plane, and a higher bit takes its place: A16 with the
 * 128 KiB map, else the page bit of Miscellaneous Output. Sources contradict each other on the
 * sense of that bit; with 1 as the even page what the BIOS sets for text is what the screen shows.
 */
static uint32_t odd_even_address(const struct vga *vga, uint32_t offset)
{
    uint32_t low = (vga->gc[6] >> GR6_MM_SHIFT & 3) == 0 ? offset >> 16 & 1
                   : vga->misc & MISC_PAGE               ? 0
                                                         : 1;

    return (offset & 0xfffe) | low;
}

static struct place place(const struct vga *vga, uint32_t offset, bool write)
{
    struct place p = {
        .at = offset & 0xffff,
        .planes = 0x0f,
        .plane = vga->gc[4] & 3,
    };
    bool odd_even = write ? !(vga->seq[4] & SR4_OE) : (vga->gc[5] & GR5_OE) != 0;

    if (vga->seq[4] & SR4_CH4) {
        /* Memory Mode (SR4) bit 3: A0 and A1 choose the plane, and are zero for it. */
        p.plane = offset & 3;
        p.planes = (uint8_t)(1 << p.plane);
        p.at = offset & 0xfffc;
        return p;
    }
    if (odd_even) {
        p.plane = (uint8_t)((p.plane & 2) | (offset & 1));
        p.planes = offset & 1 ? 0x0a : 0x05;
    }
    if (vga->gc[6] & GR6_OE) {
        p.at = odd_even_address(vga, offset);
    }
    return p;
}

/* --- reading (Graphics Mode register, GR5 bit 3) ----------------------------------- */

static uint8_t compare(const struct vga *vga)
{
    uint8_t differs = 0;

    for (unsigned plane = 0; plane < VGA_PLANES; plane++) {
        uint8_t want = vga->gc[2] >> plane & 1 ? 0xff : 0;

        if (vga->gc[7] >> plane & 1) {
            differs |= vga_plane(vga->latches, plane) ^ want;
        }
    }
    return (uint8_t)~differs;
}

static uint8_t read_byte(struct vga *vga, uint32_t offset)
{
    struct place p = place(vga, offset, false);

    vga->latches = vga->vram[p.at];
    return vga->gc[5] & GR5_RM ? compare(vga) : vga_plane(vga->latches, p.plane);
}

DevemuAccess vga_vram_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct vga *vga = state;
    uint64_t value = 0;
    uint32_t offset;

    if (!decode(vga, at, &offset)) {
        return DEVEMU_ACCESS_NONE;
    }
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = decode(vga, at + i, &offset) ? read_byte(vga, offset) : 0xff;

        value |= (uint64_t)byte << (i * 8);
    }
    *ret_value = value;
    return DEVEMU_ACCESS_OK;
}

/* --- writing (Graphics Mode register, GR5 bits 0, 1) ------------------------------- */

static uint8_t rotated(const struct vga *vga, uint8_t value)
{
    unsigned count = vga->gc[3] & 7;

    return (uint8_t)(value >> count | value << (8 - count));
}

/* Data Rotate (GR3) bits 3, 4, and Bit Mask. */
static uint8_t combine(const struct vga *vga, uint8_t value, uint8_t latch, uint8_t mask)
{
    uint8_t results[4];

    results[0] = value;
    results[1] = value & latch;
    results[2] = value | latch;
    results[3] = value ^ latch;
    value = results[vga->gc[3] >> 3 & 3];
    return (uint8_t)((value & mask) | (latch & ~mask));
}

static uint8_t spread(unsigned bit)
{
    return bit & 1 ? 0xff : 0;
}

static uint8_t written(const struct vga *vga, unsigned plane, uint8_t value)
{
    uint8_t latch = vga_plane(vga->latches, plane);
    uint8_t set = spread((unsigned)vga->gc[0] >> plane);

    switch (vga->gc[5] & GR5_WM) {
    case 0:
        value = vga->gc[1] >> plane & 1 ? set : rotated(vga, value);
        return combine(vga, value, latch, vga->gc[8]);
    case 1:
        return latch;
    case 2:
        return combine(vga, spread((unsigned)value >> plane), latch, vga->gc[8]);
    default:
        return combine(vga, set, latch, vga->gc[8] & rotated(vga, value));
    }
}

static void write_byte(struct vga *vga, uint32_t offset, uint8_t value)
{
    struct place p = place(vga, offset, true);
    uint8_t planes = p.planes & vga->seq[2];

    uint32_t mask = 0, result = 0;

    for (unsigned plane = 0; plane < VGA_PLANES; plane++) {
        if (planes >> plane & 1) {
            mask |= UINT32_C(0xff) << (plane * 8);
            result |= (uint32_t)written(vga, plane, value) << (plane * 8);
        }
    }
    vga->vram[p.at] = (vga->vram[p.at] & ~mask) | result;
}

DevemuAccess vga_vram_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct vga *vga = state;
    uint32_t offset;

    if (!decode(vga, at, &offset)) {
        return DEVEMU_ACCESS_NONE;
    }
    for (unsigned i = 0; i < size; i++) {
        if (decode(vga, at + i, &offset)) {
            write_byte(vga, offset, (uint8_t)(value >> (i * 8)));
        }
    }
    return DEVEMU_ACCESS_OK;
}
