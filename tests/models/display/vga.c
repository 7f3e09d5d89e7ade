/* SPDX-License-Identifier: BSD-3-Clause */
/* The VGA, against IBM's technical reference, "Video Subsystem" ("VS"). */
#include <devemu/screen.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>
#include <glib/gstdio.h>

extern const DevemuModel devemu_model_vga;

enum {
    IO,
    VRAM,
};

/* Ports from 3B0h on. */
enum {
    MONO_CRTC = 0x04,
    MONO_STATUS = 0x0a,
    ATTR = 0x10,
    ATTR_DATA = 0x11,
    MISC = 0x12,
    SEQ = 0x14,
    PEL_MASK = 0x16,
    DAC_READ = 0x17,
    DAC_WRITE = 0x18,
    DAC_DATA = 0x19,
    MISC_READ = 0x1c,
    GC = 0x1e,
    CRTC = 0x24,
    STATUS = 0x2a,
};

#define TEXT 0x18000 /* B8000h */
#define MS   UINT64_C(1000000)

/* What the BIOS of a VGA sets (VS "BIOS Modes"); the attribute controller's palette is 0 to 15. */
typedef struct Mode {
    uint8_t misc;
    uint8_t seq[5];
    uint8_t crtc[25];
    uint8_t gc[9];
    uint8_t attr[5]; /* 10h to 14h */
} Mode;

static const Mode mode_3 = {
    0x67,
    {0x03, 0x00, 0x03, 0x00, 0x02},
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff},
    {0x0c, 0x00, 0x0f, 0x08, 0x00},
};

static const Mode mode_12 = {
    0xe3,
    {0x03, 0x01, 0x0f, 0x00, 0x06},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
    {0x01, 0x00, 0x0f, 0x00, 0x00},
};

static const Mode mode_13 = {
    0x63,
    {0x03, 0x01, 0x0f, 0x00, 0x0e},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
    {0x41, 0x00, 0x0f, 0x00, 0x00},
};

static const Mode mode_4 = {
    0x63,
    {0x03, 0x09, 0x03, 0x00, 0x02},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0f, 0x0f, 0xff},
    {0x01, 0x00, 0x03, 0x00, 0x00},
};

static uint8_t in(DevemuFake *fake, unsigned port)
{
    return (uint8_t)devemu_fake_read(fake, IO, port, 1);
}

static void out(DevemuFake *fake, unsigned port, uint8_t value)
{
    devemu_fake_write(fake, IO, port, 1, value);
}

static void set(DevemuFake *fake, unsigned port, uint8_t index, uint8_t value)
{
    out(fake, port, index);
    out(fake, port + 1, value);
}

static uint8_t get(DevemuFake *fake, unsigned port, uint8_t index)
{
    out(fake, port, index);
    return in(fake, port + 1);
}

static void set_attr(DevemuFake *fake, uint8_t index, uint8_t value)
{
    in(fake, STATUS);
    out(fake, ATTR, index);
    out(fake, ATTR, value);
}

static void poke(DevemuFake *fake, uint32_t at, uint8_t value)
{
    devemu_fake_write(fake, VRAM, at, 1, value);
}

static uint8_t peek(DevemuFake *fake, uint32_t at)
{
    return (uint8_t)devemu_fake_read(fake, VRAM, at, 1);
}

static void set_color(DevemuFake *fake, uint8_t color, uint8_t red, uint8_t green, uint8_t blue)
{
    out(fake, DAC_WRITE, color);
    out(fake, DAC_DATA, red);
    out(fake, DAC_DATA, green);
    out(fake, DAC_DATA, blue);
}

/* Colours of the tests: n is n * 4 of 63 in red, 1 in blue. */
static uint32_t color(unsigned n)
{
    unsigned six = n * 4 & 63;

    return (six << 2 | six >> 4) << 16 | 4;
}

static DevemuFake *in_mode(const Mode *mode)
{
    DevemuFake *fake = devemu_fake_new(&devemu_model_vga, NULL, 0);

    out(fake, MISC, mode->misc);
    for (uint8_t i = 0; i < 5; i++) {
        set(fake, SEQ, i, mode->seq[i]);
    }
    set(fake, CRTC, 0x11, mode->crtc[0x11] & 0x7f);
    for (uint8_t i = 0; i < 25; i++) {
        set(fake, CRTC, i, mode->crtc[i]);
    }
    for (uint8_t i = 0; i < 9; i++) {
        set(fake, GC, i, mode->gc[i]);
    }
    in(fake, STATUS);
    out(fake, DAC_WRITE, 0);
    for (uint8_t i = 0; i < 21; i++) {
        out(fake, ATTR, i);
        out(fake, ATTR, i < 16 ? i : mode->attr[i - 16]);
    }
    for (uint8_t i = 0; i < 16; i++) {
        out(fake, DAC_DATA, (uint8_t)(i * 4));
        out(fake, DAC_DATA, 0);
        out(fake, DAC_DATA, 1);
    }
    out(fake, PEL_MASK, 0xff);
    out(fake, ATTR, 0x20);
    return fake;
}

/* One line of one character into the font, as the BIOS does (plane 2, no odd/even). */
static void set_font(DevemuFake *fake, uint8_t character, unsigned line, uint8_t shape)
{
    set(fake, SEQ, 2, 0x04);
    set(fake, SEQ, 4, 0x06);
    set(fake, GC, 5, 0x00);
    set(fake, GC, 6, 0x04);
    poke(fake, character * 32u + line, shape);
    set(fake, SEQ, 2, 0x03);
    set(fake, SEQ, 4, 0x02);
    set(fake, GC, 5, 0x10);
    set(fake, GC, 6, 0x0e);
}

static void print(DevemuFake *fake, unsigned row, unsigned column, const char *text)
{
    for (unsigned i = 0; text[i]; i++) {
        poke(fake, TEXT + (row * 80 + column + i) * 2, (uint8_t)text[i]);
        poke(fake, TEXT + (row * 80 + column + i) * 2 + 1, 0x07);
    }
}

static uint32_t *shot(DevemuFake *fake, unsigned *ret_width, unsigned *ret_height)
{
    DevemuScreen screen = {0};

    devemu_device_screen(devemu_fake_device(fake), &screen);
    screen.capacity = (size_t)screen.width * screen.height;
    screen.pixels = g_new0(uint32_t, screen.capacity);
    cr_assert(devemu_device_screen(devemu_fake_device(fake), &screen));
    *ret_width = screen.width;
    *ret_height = screen.height;
    return screen.pixels;
}

static uint32_t pixel(DevemuFake *fake, unsigned x, unsigned y)
{
    unsigned width, height;
    g_autofree uint32_t *pixels = shot(fake, &width, &height);

    cr_assert(x < width && y < height);
    return pixels[y * width + x];
}

Test(vga, tables_keep_their_word, .timeout = 120)
{
    cr_assert_eq(devemu_conformance(&devemu_model_vga, NULL), 0);
}

/* --- ports ------------------------------------------------------------------------- */

/* VS "Miscellaneous Output Register" bit 0. */
Test(vga, the_crt_controller_moves_with_the_misc_register)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_vga, NULL, 0);

    set(fake, MONO_CRTC, 0x0e, 0x12);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_OK);
    in(fake, CRTC);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE);
    out(fake, MISC, 0x01);
    cr_assert_eq(in(fake, MISC_READ), 0x01);
    cr_assert_eq(get(fake, CRTC, 0x0e), 0x12);
    in(fake, MONO_STATUS);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE);
}

/* VS "Attribute Controller Registers": a flip-flop chooses address or data, the status resets it.
 */
Test(vga, the_attribute_port_takes_turns)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    in(fake, STATUS);
    out(fake, ATTR, 0x05);
    out(fake, ATTR, 0x2a);
    out(fake, ATTR, 0x06);
    in(fake, STATUS);
    out(fake, ATTR, 0x05);
    cr_assert_eq(in(fake, ATTR_DATA), 0x2a);
    cr_assert_eq(in(fake, ATTR), 0x05);
}

/* VS "Address Register" bit 5. */
Test(vga, the_palette_is_locked_while_it_is_shown)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    set_attr(fake, 0x25, 0x11);
    in(fake, STATUS);
    out(fake, ATTR, 0x25);

    cr_assert_eq(in(fake, ATTR_DATA), 0x05);
    cr_assert_gt(devemu_fake_guest_errors(fake), 0);
}

/* VS "Vertical Retrace End Register" bit 7. */
Test(vga, registers_0_to_7_can_be_protected)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    set(fake, CRTC, 0x00, 0x11);
    set(fake, CRTC, 0x07, 0x00);
    cr_assert_eq(get(fake, CRTC, 0x00), 0x5f);
    cr_assert_eq(get(fake, CRTC, 0x07), 0x0f);
    set(fake, CRTC, 0x11, 0x0e);
    set(fake, CRTC, 0x00, 0x11);
    cr_assert_eq(get(fake, CRTC, 0x00), 0x11);
}

/* VS "Video Digital-to-Analog Converter": three bytes a colour, six bits each, the address goes on.
 */
Test(vga, the_dac_takes_three_bytes_a_colour)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_vga, NULL, 0);

    set_color(fake, 0x40, 1, 2, 3);
    out(fake, DAC_DATA, 0xff);
    out(fake, DAC_DATA, 5);
    cr_assert_eq(in(fake, DAC_READ), 0);
    out(fake, DAC_DATA, 6);
    cr_assert_eq(in(fake, DAC_WRITE), 0x42);
    out(fake, DAC_READ, 0x40);
    cr_assert_eq(in(fake, DAC_READ), 3);
    cr_assert_eq(in(fake, DAC_DATA), 1);
    cr_assert_eq(in(fake, DAC_DATA), 2);
    cr_assert_eq(in(fake, DAC_DATA), 3);
    cr_assert_eq(in(fake, DAC_DATA), 0x3f);
}

/* VS "Input Status Register 1": 25.175 or 28.322 MHz, 900 dots, 449 lines; retrace from line 412 on
 * for two lines. */
Test(vga, the_status_follows_the_beam)
{
    static const struct {
        unsigned line, percent;
        uint8_t status;
    } moments[] = {
        {0, 1, 0x00},    {0, 75, 0x00},   {0, 85, 0x01},   {399, 40, 0x00}, {400, 40, 0x01},
        {411, 40, 0x01}, {412, 40, 0x09}, {413, 40, 0x09}, {414, 40, 0x01}, {449, 40, 0x00},
    };
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    for (unsigned i = 0; i < G_N_ELEMENTS(moments); i++) {
        uint64_t dots = moments[i].line * 900u + moments[i].percent * 9u;
        uint64_t at = dots * 1000000000 / 28322000;

        devemu_fake_advance(fake, at - devemu_fake_now(fake));
        cr_assert_eq(in(fake, STATUS), moments[i].status, "line %u", moments[i].line);
    }
}

/* VS "Feature Control Register": written at the status port of the mode (3BAh or 3DAh), read at
 * 3CAh; bit 3 alone is there. */
Test(vga, feature_control_is_written_where_the_status_is_read)
{
    enum { FCR_READ = 0x1a };
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_vga, NULL, 0);

    out(fake, MISC, 0x00);
    out(fake, MONO_STATUS, 0xff);
    cr_assert_eq(in(fake, FCR_READ), 0x08);
    out(fake, STATUS, 0x00);
    cr_assert_eq(in(fake, FCR_READ), 0x08, "3DAh is not there in a monochrome mode");
    out(fake, MISC, 0x01);
    out(fake, STATUS, 0x00);

    cr_assert_eq(in(fake, FCR_READ), 0x00);
}

/* VS "Video Subsystem Enable Register": bit 0 alone is there, and does nothing here. */
Test(vga, video_subsystem_enable_is_stored)
{
    enum { VSE = 0x13 };
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);
    uint8_t gc = in(fake, GC);

    cr_assert_eq(in(fake, VSE), 0x01);
    out(fake, VSE, 0xfe);

    cr_assert_eq(in(fake, VSE), 0x00);
    cr_assert_eq(in(fake, GC), gc, "the ports still answer");
}

/* VS "Vertical Retrace End Register" bits 4, 5: armed by 1, 0; one interrupt, held until cleared.
 */
Test(vga, vertical_interrupt)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    set(fake, CRTC, 0x11, 0x1e);
    cr_assert_not(devemu_fake_line(fake, 0));
    devemu_fake_advance(fake, 15 * MS);
    cr_assert(devemu_fake_line(fake, 0));
    cr_assert_eq(in(fake, MISC) & 0x80, 0x80);
    set(fake, CRTC, 0x11, 0x0e);
    cr_assert_not(devemu_fake_line(fake, 0));
    devemu_fake_advance(fake, 30 * MS);
    cr_assert_not(devemu_fake_line(fake, 0));
}

/* --- memory ------------------------------------------------------------------------ */

/* VS "Miscellaneous Register" (GR6): four windows; Miscellaneous Output bit 1 opens them. */
Test(vga, the_window_moves)
{
    static const struct {
        uint8_t map;
        uint32_t first, last;
    } maps[] = {{0, 0, 0x1ffff}, {1, 0, 0xffff}, {2, 0x10000, 0x17fff}, {3, 0x18000, 0x1ffff}};
    g_autoptr(DevemuFake) fake = in_mode(&mode_12);

    for (unsigned i = 0; i < G_N_ELEMENTS(maps); i++) {
        set(fake, GC, 6, (uint8_t)(1 | maps[i].map << 2));
        for (uint32_t at = 0; at < 0x20000; at += 0x7fff) {
            bool inside = at >= maps[i].first && at <= maps[i].last;

            peek(fake, at);
            cr_assert_eq(devemu_fake_access(fake), inside ? DEVEMU_ACCESS_OK : DEVEMU_ACCESS_NONE);
        }
    }
    out(fake, MISC, 0xe1);
    peek(fake, 0x18000);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE);
}

/* VS "Map Mask", "Read Map Select". */
Test(vga, planes_are_written_and_read_apart)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_12);

    for (uint8_t plane = 0; plane < 4; plane++) {
        set(fake, SEQ, 2, (uint8_t)(1 << plane));
        poke(fake, 0x1234, (uint8_t)(0x10 + plane));
    }

    for (uint8_t plane = 0; plane < 4; plane++) {
        set(fake, GC, 4, plane);
        cr_assert_eq(peek(fake, 0x1234), 0x10 + plane);
    }
}

/* VS "Graphics Mode Register": write mode 0 with rotation, set/reset, function and bit mask. */
Test(vga, write_mode_0)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_12);

    poke(fake, 0, 0xf0);
    peek(fake, 0);
    set(fake, GC, 3, 0x1c); /* XOR, rotate by 4 */
    set(fake, GC, 8, 0x3f);
    set(fake, GC, 1, 0x02);
    set(fake, GC, 0, 0x00);
    poke(fake, 0, 0xa5);

    set(fake, GC, 4, 0);
    cr_assert_eq(peek(fake, 0), 0xc0 | ((0x5a ^ 0xf0) & 0x3f));
    set(fake, GC, 4, 1);
    cr_assert_eq(peek(fake, 0), 0xf0);
}

/* Write mode 1 copies the latches. */
Test(vga, write_mode_1)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_12);

    set(fake, SEQ, 2, 0x05);
    poke(fake, 7, 0x99);
    set(fake, SEQ, 2, 0x0f);
    set(fake, GC, 5, 0x01);
    peek(fake, 7);
    poke(fake, 8, 0x00);

    cr_assert_eq(peek(fake, 8), 0x99);
    set(fake, GC, 4, 1);
    cr_assert_eq(peek(fake, 8), 0x00);
}

/* Write mode 2 spreads a colour, mode 3 has the CPU's byte as a mask. */
Test(vga, write_modes_2_and_3)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_12);

    set(fake, GC, 5, 0x02);
    set(fake, GC, 8, 0x0f);
    peek(fake, 0);
    poke(fake, 0, 0x01);
    cr_assert_eq(peek(fake, 0), 0x0f);
    set(fake, GC, 5, 0x03);
    set(fake, GC, 8, 0xff);
    set(fake, GC, 0, 0x01);
    poke(fake, 0, 0x80);
    cr_assert_eq(peek(fake, 0), 0x8f);
    set(fake, GC, 4, 1);
    cr_assert_eq(peek(fake, 0), 0x00);
}

/* VS "Color Compare", "Color Don't Care". */
Test(vga, read_mode_1_compares_colours)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_12);

    set(fake, SEQ, 2, 0x05);
    poke(fake, 0, 0xf0);
    set(fake, GC, 5, 0x08);
    set(fake, GC, 2, 0x05);
    cr_assert_eq(peek(fake, 0), 0xf0);
    set(fake, GC, 2, 0x07);
    cr_assert_eq(peek(fake, 0), 0x00);
    set(fake, GC, 7, 0x0d);
    cr_assert_eq(peek(fake, 0), 0xf0);
}

/* VS "Memory Mode Register" bit 2: even addresses are characters in plane 0, odd ones attributes.
 */
Test(vga, text_is_odd_even)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    devemu_fake_write(fake, VRAM, TEXT + 6, 2, 0x1f41);
    cr_assert_eq(devemu_fake_read(fake, VRAM, TEXT + 6, 2), 0x1f41);
    set(fake, SEQ, 4, 0x06);
    set(fake, GC, 5, 0x00);
    set(fake, GC, 6, 0x04);
    cr_assert_eq(peek(fake, 6), 0x41);
    set(fake, GC, 4, 1);
    cr_assert_eq(peek(fake, 6), 0x1f);
    cr_assert_eq(peek(fake, 7), 0x00);
}

/* VS "Memory Mode Register" bit 3; a wide access is several narrow ones. */
Test(vga, chain_4_is_linear)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_13);

    devemu_fake_write(fake, VRAM, 0x1000, 8, UINT64_C(0x8877665544332211));
    cr_assert_eq(devemu_fake_read(fake, VRAM, 0x1002, 4), 0x66554433);
    set(fake, SEQ, 4, 0x06);
    set(fake, GC, 4, 2);
    cr_assert_eq(peek(fake, 0x1004), 0x77);
}

/* --- the screen -------------------------------------------------------------------- */

/* VS "BIOS Modes", mode 3: 720 by 400, characters of 9 by 16. */
Test(vga, text_mode_draws_the_font)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);
    unsigned width, height;
    g_autofree uint32_t *pixels = NULL;

    set_font(fake, 'X', 3, 0x81);
    poke(fake, TEXT + 162, 'X');
    poke(fake, TEXT + 163, 0x2e);
    pixels = shot(fake, &width, &height);

    cr_assert_eq(width, 720);
    cr_assert_eq(height, 400);
    cr_assert_eq(pixels[(16 + 3) * 720 + 9], color(14));
    cr_assert_eq(pixels[(16 + 3) * 720 + 10], color(2));
    cr_assert_eq(pixels[(16 + 3) * 720 + 16], color(14));
    cr_assert_eq(pixels[(16 + 3) * 720 + 17], color(2));
    cr_assert_eq(pixels[(16 + 2) * 720 + 9], color(2));
}

/* VS "Attribute Mode Control Register" bit 2: line characters go on in the ninth dot. */
Test(vga, line_characters_are_nine_dots_wide)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    set_font(fake, 0xc4, 0, 0xff);
    set_font(fake, 'A', 0, 0xff);
    poke(fake, TEXT, 0xc4);
    poke(fake, TEXT + 1, 0x0f);
    poke(fake, TEXT + 2, 'A');
    poke(fake, TEXT + 3, 0x0f);

    cr_assert_eq(pixel(fake, 8, 0), color(15));
    cr_assert_eq(pixel(fake, 16, 0), color(15));
    cr_assert_eq(pixel(fake, 17, 0), color(0));
}

/* VS "Attribute Mode Control Register" bit 3: blinking, or bright backgrounds. */
Test(vga, bit_7_of_the_attribute_blinks)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    set_font(fake, 'X', 0, 0xff);
    poke(fake, TEXT, 'X');
    poke(fake, TEXT + 1, 0x91);
    cr_assert_eq(pixel(fake, 0, 0), color(1));
    devemu_fake_advance(fake, 300 * MS);
    cr_assert_eq(pixel(fake, 0, 0), color(1));
    set_attr(fake, 0x10, 0x04);
    out(fake, ATTR, 0x20);
    cr_assert_eq(pixel(fake, 0, 1), color(9));
}

/* VS "Cursor" registers; it blinks, eight frames on and eight off. */
Test(vga, the_cursor_stands_where_it_was_put)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    poke(fake, TEXT + 5 * 2 + 1, 0x07);
    set(fake, CRTC, 0x0f, 5);
    cr_assert_eq(pixel(fake, 45, 13), color(7));
    cr_assert_eq(pixel(fake, 45, 12), color(0));
    cr_assert_eq(pixel(fake, 45, 15), color(0));
    devemu_fake_advance(fake, 130 * MS);
    cr_assert_eq(pixel(fake, 45, 13), color(0));
    devemu_fake_advance(fake, 120 * MS);
    set(fake, CRTC, 0x0a, 0x20);
    cr_assert_eq(pixel(fake, 45, 13), color(0));
}

/* VS "Start Address", "Line Compare". */
Test(vga, the_screen_scrolls_and_splits)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);
    g_autofree char *text = NULL;

    print(fake, 0, 0, "first");
    print(fake, 1, 0, "second");
    set(fake, CRTC, 0x0d, 80);
    text = devemu_screen_text(devemu_fake_device(fake));
    cr_assert(g_str_has_prefix(text, "second\n\n"));
    set_font(fake, 's', 0, 0xff);
    cr_assert_eq(pixel(fake, 0, 0), color(7));
    set_font(fake, 'f', 1, 0xff);
    cr_assert_eq(pixel(fake, 0, 101), color(0));
    set(fake, CRTC, 0x18, 99);
    set(fake, CRTC, 0x11, 0x0e);
    set(fake, CRTC, 0x07, 0x0f);
    set(fake, CRTC, 0x09, 0x0f);
    cr_assert_eq(pixel(fake, 0, 101), color(7));
}

/* VS "Horizontal PEL Panning": with nine dots 8 is none, 0 one to the left. */
Test(vga, panning_moves_dots)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    set_font(fake, 'X', 0, 0x10);
    poke(fake, TEXT, 'X');
    poke(fake, TEXT + 1, 0x0f);
    cr_assert_eq(pixel(fake, 3, 0), color(15));
    set_attr(fake, 0x13, 0x00);
    out(fake, ATTR, 0x20);
    cr_assert_eq(pixel(fake, 2, 0), color(15));
}

/* VS "Clocking Mode" bit 5, "Address Register" bit 5. */
Test(vga, the_screen_can_be_off)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);

    set_attr(fake, 0x11, 0x04);
    poke(fake, TEXT + 1, 0x70);
    cr_assert_eq(pixel(fake, 0, 0), color(4));
    out(fake, ATTR, 0x20);
    cr_assert_eq(pixel(fake, 0, 0), color(7));
    set(fake, SEQ, 1, 0x20);
    cr_assert_eq(pixel(fake, 0, 0), 0);
}

/* Mode 12h: 640 by 480 in 16 colours. */
Test(vga, mode_12h)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_12);
    unsigned width, height;
    g_autofree uint32_t *pixels = NULL;

    set(fake, SEQ, 2, 0x09);
    poke(fake, 80 * 100 + 10, 0x40);
    pixels = shot(fake, &width, &height);

    cr_assert_eq(width, 640);
    cr_assert_eq(height, 480);
    cr_assert_eq(pixels[100 * 640 + 80], color(0));
    cr_assert_eq(pixels[100 * 640 + 81], color(9));
    cr_assert_eq(pixels[101 * 640 + 81], color(0));
    cr_assert_null(devemu_screen_text(devemu_fake_device(fake)));
}

/* Mode 13h: 320 by 200 in 256 colours, each dot two wide and two high. */
Test(vga, mode_13h)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_13);
    unsigned width, height;
    g_autofree uint32_t *pixels = NULL;

    set_color(fake, 200, 63, 0, 0);
    poke(fake, 320 * 50 + 7, 200);
    pixels = shot(fake, &width, &height);

    cr_assert_eq(width, 640);
    cr_assert_eq(height, 400);
    cr_assert_eq(pixels[100 * 640 + 14], 0xff0000);
    cr_assert_eq(pixels[101 * 640 + 15], 0xff0000);
    cr_assert_eq(pixels[100 * 640 + 13], color(0));
    cr_assert_eq(pixels[102 * 640 + 14], color(0));
}

/* Mode 4: 320 by 200 in four colours; odd lines lie 8 KiB behind the even ones. */
Test(vga, mode_4)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_4);
    unsigned width, height;
    g_autofree uint32_t *pixels = NULL;

    poke(fake, TEXT + 1, 0x1b);
    poke(fake, TEXT + 0x2000, 0xc0);
    pixels = shot(fake, &width, &height);

    cr_assert_eq(width, 320);
    cr_assert_eq(height, 400);
    cr_assert_eq(pixels[4], color(0));
    cr_assert_eq(pixels[5], color(1));
    cr_assert_eq(pixels[6], color(2));
    cr_assert_eq(pixels[7], color(3));
    cr_assert_eq(pixels[2 * 320], color(3));
    cr_assert_eq(pixels[2 * 320 + 1], color(0));
}

/* Whatever the registers hold, a picture stays within its bounds. */
Test(vga, wild_registers_draw_something)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);
    uint32_t x = 1;

    for (unsigned round = 0; round < 8; round++) {
        unsigned width, height;
        g_autofree uint32_t *pixels = NULL;

        for (uint8_t i = 0; i < 25; i++) {
            x = x * 1664525 + 1013904223;
            set(fake, CRTC, i, i == 0x11 ? 0 : (uint8_t)(x >> 24));
        }
        set(fake, CRTC, 0x17, (uint8_t)(x >> 16 | 0x80));
        set(fake, GC, 6, (uint8_t)round);
        set(fake, GC, 5, (uint8_t)(round << 4));
        set_attr(fake, 0x13, (uint8_t)(x >> 8));
        out(fake, ATTR, 0x20);
        pixels = shot(fake, &width, &height);
        cr_assert(width <= 2304 && height <= 1024);
        in(fake, STATUS);
    }
}

Test(vga, too_small_a_buffer_is_refused_with_the_size)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);
    uint32_t few[10];
    DevemuScreen screen = {.pixels = few, .capacity = G_N_ELEMENTS(few)};

    cr_assert_not(devemu_device_screen(devemu_fake_device(fake), &screen));

    cr_assert_eq(screen.width, 720);
    cr_assert_eq(screen.height, 400);
}

Test(vga, text_is_told_in_utf_8)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);
    g_autofree char *text = NULL;

    print(fake, 0, 2, "A\x81\xb3~");
    print(fake, 24, 79, "z");
    text = devemu_screen_text(devemu_fake_device(fake));

    cr_assert(g_str_has_prefix(text, "  A\xc3\xbc\xe2\x94\x82~\n\n"));
    cr_assert(g_str_has_suffix(text, "z\n"));
}

Test(vga, a_picture_is_written)
{
    g_autoptr(DevemuFake) fake = in_mode(&mode_3);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strdup_printf("vga-test-%d.png", (int)g_random_int_range(0, 1 << 30));
    g_autofree char *png = NULL;
    gsize len;

    if (!devemu_screen_write_png(devemu_fake_device(fake), path, &error)) {
        cr_assert_not_null(strstr(error->message, "libpng"));
        return;
    }
    cr_assert(g_file_get_contents(path, &png, &len, NULL));
    g_unlink(path);

    cr_assert_gt(len, 24);
    cr_assert_arr_eq(png, "\x89PNG\r\n\x1a\n", 8);
    cr_assert_arr_eq(png + 16, "\0\0\2\xd0\0\0\1\x90", 8);
    cr_assert_not(devemu_screen_write_png(devemu_fake_device(fake), "no/such/folder/x", &error));
    cr_assert_not_null(strstr(error->message, "no/such/folder/x"));
}
