/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vga-draw.c: what the VGA shows: addresses of the CRT controller, dots of the attribute
 * controller, colours of the DAC, and the time of the beam; see vga.c.
 *
 * A picture is drawn from the state as it is; changes within a frame are not seen.
 */
#include "vga.h"

#define CHARS_MAX     256
#define DOTS_MAX      9
#define NS_PER_S      UINT64_C(1000000000)
#define CURSOR_FRAMES 8  /* on, and off */
#define BLINK_FRAMES  16 /* on, and off */

/* The addressing of the CRT controller. */
struct picture {
    const struct vga *vga;
    unsigned chars, dots;
    unsigned lines;
    bool graphics;
    bool cursor_on, blink_on;
};

/* --- timing (CRT Controller Registers) --------------------------------------------- */

static unsigned bits(uint8_t value, unsigned bit, unsigned to)
{
    return (unsigned)(value >> bit & 1) << to;
}

unsigned vga_display_lines(const struct vga *vga)
{
    uint8_t cr7 = vga->crtc[7];

    return (vga->crtc[0x12] | bits(cr7, 1, 8) | bits(cr7, 6, 9)) + 1u;
}

static unsigned total_lines(const struct vga *vga)
{
    uint8_t cr7 = vga->crtc[7];

    return (vga->crtc[6] | bits(cr7, 0, 8) | bits(cr7, 5, 9)) + 2u;
}

static unsigned retrace_line(const struct vga *vga)
{
    uint8_t cr7 = vga->crtc[7];

    return vga->crtc[0x10] | bits(cr7, 2, 8) | bits(cr7, 7, 9);
}

static unsigned line_compare(const struct vga *vga)
{
    return vga->crtc[0x18] | bits(vga->crtc[7], 4, 8) | bits(vga->crtc[9], 6, 9);
}

static unsigned char_dots(const struct vga *vga)
{
    return vga->seq[1] & SR1_D89 ? 8 : 9;
}

/* Miscellaneous Output bits 2, 3: 25.175 or 28.322 MHz. The two others are for adapters with clocks
 * of their own. */
static uint64_t dot_hz(const struct vga *vga)
{
    uint64_t hz = (vga->misc >> MISC_CS_SHIFT & 3) == 1 ? 28322000 : 25175000;

    return vga->seq[1] & SR1_DC ? hz / 2 : hz;
}

/* Vertical Retrace End: four bits are compared, so a retrace lasts 1 to 16 lines. */
static bool in_retrace(const struct vga *vga, unsigned line)
{
    unsigned start = retrace_line(vga);
    unsigned length = (vga->crtc[0x11] - start) & CR11_VRE;

    return line >= start && line < start + (length ? length : 16);
}

struct vga_beam vga_beam(const struct vga *vga)
{
    uint64_t now = devemu_now(vga->dev);
    uint64_t line_dots = (vga->crtc[0] + UINT64_C(5)) * char_dots(vga);
    uint64_t lines = total_lines(vga);
    struct vga_beam beam = {.frame_ns = line_dots * lines * NS_PER_S / dot_hz(vga)};
    uint64_t in_frame = now % beam.frame_ns;
    uint64_t line = in_frame * lines / beam.frame_ns;
    uint64_t in_line = in_frame * lines % beam.frame_ns;
    uint64_t column = in_line * (vga->crtc[0] + UINT64_C(5)) / beam.frame_ns;

    beam.frame = now / beam.frame_ns;
    beam.display = line < vga_display_lines(vga) && column <= vga->crtc[1];
    beam.retrace = in_retrace(vga, (unsigned)line);
    beam.retrace_ns = now - in_frame + retrace_line(vga) * beam.frame_ns / lines;
    if (beam.retrace_ns <= now) {
        beam.retrace_ns += beam.frame_ns;
    }
    return beam;
}

void vga_retrace_arm(struct vga *vga)
{
    uint8_t cr11 = vga->crtc[0x11];
    bool wanted = (cr11 & (CR11_CVI | CR11_EVI)) == CR11_CVI && !vga->interrupt;

    vga->retrace_ns = wanted ? vga_beam(vga).retrace_ns : DEVEMU_NEVER;
}

/* --- addresses --------------------------------------------------------------------- */

static unsigned start_address(const struct vga *vga)
{
    return (unsigned)vga->crtc[0x0c] << 8 | vga->crtc[0x0d];
}

static unsigned cursor_address(const struct vga *vga)
{
    return (unsigned)vga->crtc[0x0e] << 8 | vga->crtc[0x0f];
}

/* Underline Location bits 5, 6; CRT Mode Control bits 0, 1, 3, 5, 6. */
static uint32_t planes_at(const struct vga *vga, unsigned ma, unsigned row_scan)
{
    uint8_t mode = vga->crtc[0x17];
    unsigned at = ma;

    if (vga->crtc[0x14] & CR14_DW) {
        at = ma << 2 | (ma >> 14 & 3);
    } else if (!(mode & CR17_WB)) {
        at = ma << 1 | (ma >> (mode & CR17_AW ? 15 : 13) & 1);
    }
    if (!(mode & CR17_CMS0)) {
        at = (at & ~(1u << 13)) | (row_scan & 1) << 13;
    }
    if (!(mode & CR17_CMS1)) {
        at = (at & ~(1u << 14)) | (row_scan >> 1 & 1) << 14;
    }
    return vga->vram[at & (VGA_PLANE_BYTES - 1)];
}

static unsigned count_shift(const struct vga *vga)
{
    if (vga->crtc[0x14] & CR14_CB4) {
        return 2;
    }
    return vga->crtc[0x17] & CR17_CBT ? 1 : 0;
}

/* --- colours (Attribute Controller Registers, Video DAC) --------------------------- */

/* A four-bit colour on its way to the DAC. */
static uint8_t palette(const struct vga *vga, unsigned color)
{
    uint8_t value = vga->attr[color & vga->attr[0x12] & 15];
    uint8_t select = vga->attr[0x14];

    if (vga->attr[0x10] & AR10_PS) {
        value = (uint8_t)((value & 0x0f) | (select & 3) << 4);
    }
    return (uint8_t)(value | (select & 0x0c) << 4);
}

static uint32_t dac_rgb(const struct vga *vga, uint8_t color)
{
    const uint8_t *six = &vga->dac[(color & vga->pel_mask) * 3];
    uint32_t rgb = 0;

    for (unsigned i = 0; i < 3; i++) {
        rgb = rgb << 8 | (uint32_t)(six[i] << 2 | six[i] >> 4);
    }
    return rgb;
}

/* --- characters -------------------------------------------------------------------- */

/* Character Map Select: bit 3 of the attribute chooses one of two fonts in plane 2. */
static unsigned font_at(const struct vga *vga, uint8_t attribute)
{
    uint8_t select = vga->seq[3];
    unsigned map =
        attribute & 8 ? (select >> 2 & 3) | (select >> 3 & 4) : (select & 3) | (select >> 2 & 4);

    return (map & 3) * 0x4000 + (map >> 2) * 0x2000;
}

static bool cursor_here(const struct picture *pic, unsigned ma, unsigned row_scan)
{
    const struct vga *vga = pic->vga;

    return pic->cursor_on && !(vga->crtc[0x0a] & CRA_OFF) && ma == cursor_address(vga) &&
           row_scan >= (vga->crtc[0x0a] & CRA_START) && row_scan <= (vga->crtc[0x0b] & CRB_END);
}

static void draw_char(const struct picture *pic, unsigned ma, unsigned row_scan, uint8_t *dots)
{
    const struct vga *vga = pic->vga;
    uint32_t cell = planes_at(vga, ma, row_scan);
    uint8_t mode = vga->attr[0x10];
    uint8_t code = vga_plane(cell, 0), attribute = vga_plane(cell, 1);
    unsigned font = font_at(vga, attribute) + code * 32u + row_scan;
    unsigned shape = (unsigned)vga_plane(vga->vram[font], 2) << 1;
    uint8_t fore = attribute & 15, back = attribute >> 4;

    /* Attribute Mode Control bits 1, 2, 3. */
    if (mode & AR10_EB) {
        back &= 7;
        shape = attribute & 0x80 && !pic->blink_on ? 0 : shape;
    }
    if (mode & AR10_ELG && code >= 0xc0 && code <= 0xdf) {
        shape |= shape >> 1 & 1;
    }
    if (mode & AR10_ME && (attribute & 0x77) == 1 && row_scan == (vga->crtc[0x14] & CR14_UL)) {
        shape = 0x1ff;
    }
    if (cursor_here(pic, ma, row_scan)) {
        shape = 0x1ff;
    }
    fore = palette(vga, fore);
    back = palette(vga, back);
    for (unsigned i = 0; i < pic->dots; i++) {
        dots[i] = shape & 0x100 >> i ? fore : back;
    }
}

/* --- dots (Graphics Mode register bits 5, 6) --------------------------------------- */

static void draw_planar(const struct vga *vga, uint32_t cell, uint8_t *dots)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned color = 0;

        for (unsigned plane = 0; plane < VGA_PLANES; plane++) {
            color |= (unsigned)(vga_plane(cell, plane) >> (7 - i) & 1) << plane;
        }
        dots[i] = palette(vga, color);
    }
}

/* Two bits of a dot stand side by side: planes 0 and 2 give the first four dots, 1 and 3 the rest.
 */
static void draw_interleaved(const struct vga *vga, uint32_t cell, uint8_t *dots)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned shift = 6 - (i & 3) * 2;
        unsigned low = vga_plane(cell, i / 4) >> shift & 3;
        unsigned high = vga_plane(cell, 2 + i / 4) >> shift & 3;

        dots[i] = palette(vga, high << 2 | low);
    }
}

/* Eight bits a dot, each two dot clocks wide; they go round the palette. */
static void draw_256(uint32_t cell, uint8_t *dots)
{
    for (unsigned i = 0; i < 8; i++) {
        dots[i] = vga_plane(cell, i / 2);
    }
}

static void draw_dots(const struct picture *pic, unsigned ma, unsigned row_scan, uint8_t *dots)
{
    const struct vga *vga = pic->vga;
    uint32_t cell = planes_at(vga, ma, row_scan);

    if (vga->gc[5] & GR5_C256) {
        draw_256(cell, dots);
    } else if (vga->gc[5] & GR5_SR) {
        draw_interleaved(vga, cell, dots);
    } else {
        draw_planar(vga, cell, dots);
    }
}

/* --- lines ------------------------------------------------------------------------- */

/* Horizontal PEL Panning: dots to the left. With nine dots 8 is none. */
static unsigned panning(const struct picture *pic)
{
    unsigned value = pic->vga->attr[0x13] & 15;

    if (pic->dots == 9) {
        return value >= 8 ? 0 : value + 1;
    }
    return value & 7;
}

static void draw_line(const struct picture *pic, unsigned ma, unsigned row_scan, unsigned pan,
                      uint32_t *pixels)
{
    uint8_t dots[(CHARS_MAX + 1) * DOTS_MAX];
    unsigned shift = count_shift(pic->vga);

    for (unsigned c = 0; c <= pic->chars; c++) {
        unsigned at = (ma + (c >> shift)) & 0xffff;

        if (pic->graphics) {
            draw_dots(pic, at, row_scan, &dots[c * pic->dots]);
        } else {
            draw_char(pic, at, row_scan, &dots[c * pic->dots]);
        }
    }
    for (unsigned x = 0; x < pic->chars * pic->dots; x++) {
        pixels[x] = dac_rgb(pic->vga, dots[x + pan]);
    }
}

static void draw(const struct picture *pic, uint32_t *pixels)
{
    const struct vga *vga = pic->vga;
    unsigned ma = start_address(vga) + (vga->crtc[8] >> CR8_BYTE_PAN_SHIFT & 3);
    unsigned row_scan = vga->crtc[8] & CR8_PRS;
    unsigned pan = panning(pic);
    bool again = false;

    for (unsigned y = 0; y < pic->lines; y++) {
        draw_line(pic, ma & 0xffff, row_scan, pan, &pixels[(size_t)y * pic->chars * pic->dots]);
        if (y == line_compare(vga)) {
            /* Line Compare: from the next line on the memory's beginning is shown. */
            ma = 0;
            row_scan = 0;
            again = false;
            pan = vga->attr[0x10] & AR10_PP ? 0 : pan;
            continue;
        }
        again = (vga->crtc[9] & CR9_DSC) && !again;
        if (again) {
            continue;
        }
        if (row_scan == (vga->crtc[9] & CR9_MSL)) {
            row_scan = 0;
            ma += vga->crtc[0x13] * 2u;
        } else {
            row_scan = (row_scan + 1) & CR9_MSL;
        }
    }
}

/* Is anything shown but one colour? Reset, Clocking Mode bit 5, CRT Mode Control bit 7, and the
 * palette address source. */
static bool shows(const struct vga *vga)
{
    return (vga->seq[0] & SR0_RUN) == SR0_RUN && !(vga->seq[1] & SR1_SO) &&
           (vga->crtc[0x17] & CR17_RUN) && (vga->attr_index & AR_PAS);
}

static void fill(const struct picture *pic, uint32_t *pixels)
{
    const struct vga *vga = pic->vga;
    uint32_t color = vga->attr_index & AR_PAS ? 0 : dac_rgb(vga, vga->attr[0x11]);

    for (size_t i = 0; i < (size_t)pic->lines * pic->chars * pic->dots; i++) {
        pixels[i] = color;
    }
}

static struct picture picture(const struct vga *vga)
{
    uint64_t frame = vga_beam(vga).frame;
    struct picture pic = {
        .vga = vga,
        .chars = vga->crtc[1] + 1u,
        .lines = vga_display_lines(vga),
        .graphics = vga->gc[6] & GR6_GM,
        .cursor_on = frame / CURSOR_FRAMES % 2 == 0,
        .blink_on = frame / BLINK_FRAMES % 2 == 0,
    };

    /* Graphics modes use eight dots; a ninth would be a copy of nothing (chosen). */
    pic.dots = pic.graphics ? 8 : char_dots(vga);
    return pic;
}

bool vga_screen(const void *state, DevemuScreen *screen)
{
    struct picture pic = picture(state);

    screen->width = pic.chars * pic.dots;
    screen->height = pic.lines;
    if (screen->pixels == NULL || screen->capacity < (size_t)screen->width * screen->height) {
        return false;
    }
    if (shows(state)) {
        draw(&pic, screen->pixels);
    } else {
        fill(&pic, screen->pixels);
    }
    return true;
}

/* --- the text behind the picture --------------------------------------------------- */

size_t vga_text(const void *state, uint8_t *cells, size_t capacity, unsigned *ret_columns)
{
    struct picture pic = picture(state);
    unsigned row_lines = ((pic.vga->crtc[9] & CR9_MSL) + 1u)
                         << (pic.vga->crtc[9] & CR9_DSC ? 1 : 0);
    unsigned rows = pic.lines / row_lines;
    unsigned ma = start_address(pic.vga);

    *ret_columns = pic.chars;
    if (pic.graphics || !shows(pic.vga)) {
        return 0;
    }
    for (unsigned i = 0; i < rows * pic.chars && i < capacity; i++) {
        unsigned at =
            ma + i / pic.chars * pic.vga->crtc[0x13] * 2u + (i % pic.chars >> count_shift(pic.vga));

        cells[i] = vga_plane(planes_at(pic.vga, at & 0xffff, 0), 0);
    }
    return (size_t)rows * pic.chars;
}
