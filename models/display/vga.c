/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vga.c: IBM Video Graphics Array: ports, DAC, and the model.
 *
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem",
 * September 1991; register names and bits as there.
 *
 * Not modelled: changes within a frame (a picture is drawn from the state as it is); blanking, skew
 * and sync, but for the time of the retrace; 3C3h (kept, the subsystem always answers); the light
 * pen; memory of 64 KiB (Memory Mode bit 1); wait states.
 *
 * Linear, or otherwise newer than IBM: none. A guest that looks for the Bochs display interface at
 * 1CEh finds nothing there.
 */
#include "vga.h"

/* Ports from 3B0h on. */
enum {
    PORT_BASE = 0x3b0,
    PORT_MONO_CRTC = 0x3b4 - PORT_BASE,
    PORT_MONO_DATA = 0x3b5 - PORT_BASE,
    PORT_MONO_STATUS = 0x3ba - PORT_BASE,
    PORT_ATTR = 0x3c0 - PORT_BASE,
    PORT_ATTR_DATA = 0x3c1 - PORT_BASE,
    PORT_MISC = 0x3c2 - PORT_BASE,
    PORT_VSE = 0x3c3 - PORT_BASE,
    PORT_SEQ = 0x3c4 - PORT_BASE,
    PORT_SEQ_DATA = 0x3c5 - PORT_BASE,
    PORT_PEL_MASK = 0x3c6 - PORT_BASE,
    PORT_DAC_READ = 0x3c7 - PORT_BASE,
    PORT_DAC_WRITE = 0x3c8 - PORT_BASE,
    PORT_DAC_DATA = 0x3c9 - PORT_BASE,
    PORT_FCR = 0x3ca - PORT_BASE,
    PORT_MISC_READ = 0x3cc - PORT_BASE,
    PORT_GC = 0x3ce - PORT_BASE,
    PORT_GC_DATA = 0x3cf - PORT_BASE,
    PORT_CRTC = 0x3d4 - PORT_BASE,
    PORT_CRTC_DATA = 0x3d5 - PORT_BASE,
    PORT_STATUS = 0x3da - PORT_BASE,
    PORTS = 0x30,
};

enum {
    LINE_IRQ,
};

/* Input Status Registers 0, 1 */
enum {
    ISR0_SS = 1 << 4, /* switch sense */
    ISR0_CI = 1 << 7,
    ISR1_DE = 1 << 0, /* 1: no display */
    ISR1_VR = 1 << 3,
};

enum {
    DAC_WRITING = 0,
    DAC_READING = 3,
    DAC_MASK = 0x3f,
};

/* --- general registers ------------------------------------------------------------- */

static bool is_mono(const void *state)
{
    const struct vga *vga = state;

    return !(vga->misc & MISC_IOS);
}

static bool is_color(const void *state)
{
    return !is_mono(state);
}

/* Bit 4 tells a monitor from its load on the DAC: always a colour one is there. */
static uint64_t isr0_read(const void *state, unsigned index)
{
    const struct vga *vga = state;

    (void)index;
    return ISR0_SS | (vga->interrupt ? ISR0_CI : 0);
}

static void misc_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    (void)old;
    vga->misc = value & (MISC_IOS | MISC_ERAM | MISC_CS | MISC_PAGE | MISC_HSP | MISC_VSP);
}

static uint64_t isr1_read(const void *state, unsigned index)
{
    struct vga_beam beam = vga_beam(state);

    (void)index;
    return (beam.display ? 0u : ISR1_DE) | (beam.retrace ? ISR1_VR : 0u);
}

/* Attribute controller, Address Register: reading the status resets the flip-flop. */
static void isr1_took(void *state, unsigned index)
{
    struct vga *vga = state;

    (void)index;
    vga->attr_data = 0;
}

static void fcr_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    (void)old;
    vga->fcr = value & 8;
}

/* --- attribute controller: address and data take turns at one port ----------------- */

static uint64_t attr_read(const void *state, unsigned index)
{
    const struct vga *vga = state;

    (void)index;
    return vga->attr_index;
}

static void attr_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    (void)old;
    if (vga->attr_data) {
        devemu_bank_write(vga->dev, VGA_BANK_ATTR, vga->attr_index & AR_INDEX, value);
    } else {
        vga->attr_index = value & (AR_INDEX | AR_PAS);
    }
    vga->attr_data = !vga->attr_data;
}

static uint64_t attr_data_read(const void *state, unsigned index)
{
    const struct vga *vga = state;

    (void)index;
    return devemu_bank_peek(vga->dev, VGA_BANK_ATTR, vga->attr_index & AR_INDEX);
}

/* --- video DAC --------------------------------------------------------------------- */

static void dac_load(struct vga *vga)
{
    memcpy(vga->dac_latch, &vga->dac[vga->dac_read * 3u], 3);
}

static uint64_t dac_state_read(const void *state, unsigned index)
{
    const struct vga *vga = state;

    (void)index;
    return vga->dac_state;
}

static void dac_read_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    (void)old;
    vga->dac_read = (uint8_t)value;
    vga->dac_part = 0;
    vga->dac_state = DAC_READING;
    dac_load(vga);
}

static void dac_write_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    (void)value;
    (void)old;
    vga->dac_part = 0;
    vga->dac_state = DAC_WRITING;
}

static uint64_t dac_data_read(const void *state, unsigned index)
{
    const struct vga *vga = state;

    (void)index;
    return vga->dac_latch[vga->dac_part];
}

static void dac_data_took(void *state, unsigned index)
{
    struct vga *vga = state;

    (void)index;
    if (++vga->dac_part == 3) {
        vga->dac_part = 0;
        vga->dac_read++;
        dac_load(vga);
    }
}

/* The third byte stores all three. */
static void dac_data_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct vga *vga = state;

    (void)index;
    (void)old;
    vga->dac_latch[vga->dac_part] = value & DAC_MASK;
    if (++vga->dac_part == 3) {
        memcpy(&vga->dac[vga->dac_write * 3u], vga->dac_latch, 3);
        vga->dac_part = 0;
        vga->dac_write++;
    }
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits isr0_bits[] = {{"SS", ISR0_SS}, {"CI", ISR0_CI}, {0}};
static const DevemuBits isr1_bits[] = {{"DE", ISR1_DE}, {"VR", ISR1_VR}, {0}};
static const DevemuBits misc_bits[] = {
    {"IOS", MISC_IOS},
    {"ERAM", MISC_ERAM},
    {"CS", MISC_CS},
    {"PAGE", MISC_PAGE},
    {"HSP", MISC_HSP},
    {"VSP", MISC_VSP},
    {0},
};
static const DevemuBits attr_bits[] = {{"INDEX", AR_INDEX}, {"PAS", AR_PAS}, {0}};

static const DevemuReg io_regs[] = {
    {
        .name = "MONO_CRTC_ADDRESS",
        .title = "CRT controller address, monochrome",
        .section = "CRT Controller Registers",
        .at = PORT_MONO_CRTC,
        DEVEMU_IN(struct vga, crtc_index),
        .ro = 0xc0,
        .decoded = is_mono,
    },
    {
        .name = "MONO_CRTC_DATA",
        .title = "CRT controller data, monochrome",
        .section = "CRT Controller Registers",
        .at = PORT_MONO_DATA,
        .decoded = is_mono,
        DEVEMU_WINDOW(VGA_BANK_CRTC, struct vga, crtc_index),
    },
    {
        .name = "MONO_ISR1_FCR",
        .title = "Input Status 1 (read), Feature Control (write), monochrome",
        .section = "General Registers",
        .bits = isr1_bits,
        .at = PORT_MONO_STATUS,
        .decoded = is_mono,
        .read = isr1_read,
        .took = isr1_took,
        .wrote = fcr_wrote,
    },
    {
        .name = "ATTR_ADDRESS",
        .title = "attribute controller address, and data (write)",
        .section = "Attribute Controller Registers",
        .bits = attr_bits,
        .at = PORT_ATTR,
        .read = attr_read,
        .wrote = attr_wrote,
    },
    {
        .name = "ATTR_DATA",
        .title = "attribute controller data (read)",
        .section = "Attribute Controller Registers",
        .at = PORT_ATTR_DATA,
        .ro = 0xff,
        .read = attr_data_read,
    },
    {
        .name = "ISR0_MISC",
        .title = "Input Status 0 (read), Miscellaneous Output (write)",
        .section = "General Registers",
        .bits = isr0_bits,
        .at = PORT_MISC,
        .read = isr0_read,
        .wrote = misc_wrote,
    },
    {
        .name = "VSE",
        .title = "Video Subsystem Enable",
        .section = "General Registers",
        .at = PORT_VSE,
        DEVEMU_IN(struct vga, vse),
        .reset = 1,
        .ro = 0xfe,
        .unimpl = true,
    },
    {
        .name = "SEQ_ADDRESS",
        .title = "sequencer address",
        .section = "Sequencer Registers",
        .at = PORT_SEQ,
        DEVEMU_IN(struct vga, seq_index),
        .ro = 0xf8,
    },
    {
        .name = "SEQ_DATA",
        .title = "sequencer data",
        .section = "Sequencer Registers",
        .at = PORT_SEQ_DATA,
        DEVEMU_WINDOW(VGA_BANK_SEQ, struct vga, seq_index),
    },
    {
        .name = "PEL_MASK",
        .title = "PEL Mask",
        .section = "Video Digital-to-Analog Converter",
        .at = PORT_PEL_MASK,
        DEVEMU_IN(struct vga, pel_mask),
    },
    {
        .name = "DAC_STATE_READ",
        .title = "DAC State (read), PEL Address Read Mode (write)",
        .section = "Video Digital-to-Analog Converter",
        .at = PORT_DAC_READ,
        .read = dac_state_read,
        .wrote = dac_read_wrote,
    },
    {
        .name = "DAC_WRITE",
        .title = "PEL Address Write Mode",
        .section = "Video Digital-to-Analog Converter",
        .at = PORT_DAC_WRITE,
        DEVEMU_IN(struct vga, dac_write),
        .wrote = dac_write_wrote,
    },
    {
        .name = "DAC_DATA",
        .title = "PEL Data",
        .section = "Video Digital-to-Analog Converter",
        .at = PORT_DAC_DATA,
        .read = dac_data_read,
        .took = dac_data_took,
        .wrote = dac_data_wrote,
    },
    {
        .name = "FCR",
        .title = "Feature Control (read)",
        .section = "General Registers",
        .at = PORT_FCR,
        DEVEMU_IN(struct vga, fcr),
        .ro = 0xff,
    },
    {
        .name = "MISC",
        .title = "Miscellaneous Output (read)",
        .section = "General Registers",
        .bits = misc_bits,
        .at = PORT_MISC_READ,
        DEVEMU_IN(struct vga, misc),
        .ro = 0xff,
    },
    {
        .name = "GC_ADDRESS",
        .title = "graphics controller address",
        .section = "Graphics Controller Registers",
        .at = PORT_GC,
        DEVEMU_IN(struct vga, gc_index),
        .ro = 0xf0,
    },
    {
        .name = "GC_DATA",
        .title = "graphics controller data",
        .section = "Graphics Controller Registers",
        .at = PORT_GC_DATA,
        DEVEMU_WINDOW(VGA_BANK_GC, struct vga, gc_index),
    },
    {
        .name = "CRTC_ADDRESS",
        .title = "CRT controller address",
        .section = "CRT Controller Registers",
        .at = PORT_CRTC,
        DEVEMU_IN(struct vga, crtc_index),
        .ro = 0xc0,
        .decoded = is_color,
    },
    {
        .name = "CRTC_DATA",
        .title = "CRT controller data",
        .section = "CRT Controller Registers",
        .at = PORT_CRTC_DATA,
        .decoded = is_color,
        DEVEMU_WINDOW(VGA_BANK_CRTC, struct vga, crtc_index),
    },
    {
        .name = "ISR1_FCR",
        .title = "Input Status 1 (read), Feature Control (write)",
        .section = "General Registers",
        .bits = isr1_bits,
        .at = PORT_STATUS,
        .decoded = is_color,
        .read = isr1_read,
        .took = isr1_took,
        .wrote = fcr_wrote,
    },
};

static const DevemuBank banks[] = {
    [VGA_BANK_IO] = {.name = "io",
                     .kind = DEVEMU_BANK_PIO,
                     .size = PORTS,
                     .regs = io_regs,
                     .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
    [VGA_BANK_VRAM] = {.name = "vram",
                       .kind = DEVEMU_BANK_MMIO,
                       .size = 0x20000,
                       .sizes = DEVEMU_SIZE_ANY,
                       .read = vga_vram_read,
                       .write = vga_vram_write},
    [VGA_BANK_SEQ] = {.name = "seq",
                      .kind = DEVEMU_BANK_INDEXED,
                      .size = 8,
                      .regs = vga_seq_regs,
                      .reg_count = VGA_SEQ_REGS},
    [VGA_BANK_CRTC] = {.name = "crtc",
                       .kind = DEVEMU_BANK_INDEXED,
                       .size = 64,
                       .regs = vga_crtc_regs,
                       .reg_count = VGA_CRTC_REGS},
    [VGA_BANK_GC] = {.name = "gc",
                     .kind = DEVEMU_BANK_INDEXED,
                     .size = 16,
                     .regs = vga_gc_regs,
                     .reg_count = VGA_GC_REGS},
    [VGA_BANK_ATTR] = {.name = "attr",
                       .kind = DEVEMU_BANK_INDEXED,
                       .size = 32,
                       .regs = vga_attr_regs,
                       .reg_count = VGA_ATTR_ROWS},
};

/* --- vertical interrupt ------------------------------------------------------------ */

static void retraced(void *state, uint64_t due_ns)
{
    struct vga *vga = state;

    (void)due_ns;
    vga->interrupt = 1;
}

static uint64_t vga_lines(const void *state)
{
    const struct vga *vga = state;

    return vga->interrupt ? UINT64_C(1) << LINE_IRQ : 0;
}

/* --- reset: the tables clear the registers; what is in memory and in the DAC stays --- */

static void vga_reset(void *state, DevemuReset kind)
{
    struct vga *vga = state;

    (void)kind;
    vga->attr_index = 0;
    vga->attr_data = 0;
    vga->dac_part = 0;
    vga->dac_state = DAC_WRITING;
    vga->interrupt = 0;
    vga->retrace_ns = DEVEMU_NEVER;
}

static bool vga_valid(const void *state)
{
    const struct vga *vga = state;

    for (size_t i = 0; i < sizeof(vga->dac); i++) {
        if (vga->dac[i] > DAC_MASK) {
            return false;
        }
    }
    return (vga->attr_index & ~(AR_INDEX | AR_PAS)) == 0 && vga->dac_latch[0] <= DAC_MASK &&
           vga->dac_latch[1] <= DAC_MASK && vga->dac_latch[2] <= DAC_MASK;
}

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct vga, attr_index),
    DEVEMU_SAVE_MAX(struct vga, attr_data, 1),
    DEVEMU_SAVE(struct vga, dac_read),
    DEVEMU_SAVE_MAX(struct vga, dac_part, 2),
    DEVEMU_SAVE_MAX(struct vga, dac_state, DAC_READING),
    DEVEMU_SAVE_ARRAY(struct vga, dac_latch),
    DEVEMU_SAVE_MAX(struct vga, interrupt, 1),
    DEVEMU_SAVE(struct vga, latches),
    DEVEMU_SKIP(struct vga, unused),
    DEVEMU_SAVE_ARRAY(struct vga, dac),
    DEVEMU_SAVE_ARRAY(struct vga, vram),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct vga, retrace_ns, retraced),
    {0},
};

static const char *const outputs[] = {"IRQ2", NULL};
static const DevemuIsa isa = {.bases = {PORT_BASE}, .irq = 9};

const DevemuModel devemu_model_vga = {
    .name = "vga",
    .title = "IBM Video Graphics Array",
    .datasheet = "IBM Personal System/2 Hardware Interface Technical Reference, Video Subsystem, "
                 "September 1991",
    .not_modelled = "changes within a frame; blanking, skew and sync but for the time of the "
                    "retrace; 3C3h has no effect; memory of 64 KiB",
    .state_size = sizeof(struct vga),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .outputs = outputs,
    .lines = vga_lines,
    .reset = vga_reset,
    .valid = vga_valid,
    .screen = vga_screen,
    .text = vga_text,
    .isa = &isa,
};
