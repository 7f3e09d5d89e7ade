/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * toy.h: a chip that exists only here, with one of everything that a table can say.
 */
#ifndef TESTS_TOY_H
#define TESTS_TOY_H

#include <devemu/device.h>

enum {
    TOY_IO,    /* bank of ports */
    TOY_INNER, /* behind the window */
    TOY_LANES, /* any size anywhere */
};

/* Port numbers of bank TOY_IO. */
enum {
    TOY_CTRL = 0x00,   /* RW 16 bits, bits 15:12 reserved as 1010b */
    TOY_STATUS = 0x02, /* bit 0 W1C interrupt, bit 1 RO input, bit 2 RC, bit 3 W1S, bit 4 W0C */
    TOY_INDEX = 0x04,  /* index of the window */
    TOY_DATA = 0x06,   /* the window */
    TOY_ALARM = 0x08,  /* 32 bits: arms the timer that many ns ahead; raises STATUS.0 */
    TOY_DMA = 0x0c,    /* 32 bits: reads 4 bytes there, adds 1, writes them back */
    TOY_LOCKED = 0x10, /* writable while CTRL.0 */
    TOY_BANKED = 0x12, /* two registers: CTRL.1 chooses */
    TOY_SECRET = 0x14, /* write-only */
    TOY_ARRAY = 0x18,  /* four bytes */
    TOY_KEPT = 0x1c,   /* survives HARD in its low byte, SOFT whole */
    TOY_FRAMES = 0x1e, /* RO: frames received */
};

struct toy {
    DevemuDevice *dev;
    DevemuBlob blob;
    uint64_t alarm_ns;
    uint32_t alarm;
    uint32_t dma;
    uint32_t wide[2];
    uint16_t ctrl, status, index, locked, banked[2], secret, kept, frames;
    uint16_t inner[4];
    uint8_t array[4];
    uint8_t fields[4];
    uint8_t level;
    uint8_t mode;
    uint8_t mac[6];
    char text[8];
    bool flag;
    bool full;
    uint32_t number;
    uint8_t late; /* not in snapshots of the first version */
    uint8_t pad[7];
};

static inline bool toy_unlocked(const void *state)
{
    return (((const struct toy *)state)->ctrl & 1) != 0;
}

static inline bool toy_bank0(const void *state)
{
    return (((const struct toy *)state)->ctrl & 2) == 0;
}

static inline bool toy_bank1(const void *state)
{
    return !toy_bank0(state);
}

static inline void toy_alarm_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct toy *toy = (struct toy *)state;

    (void)index;
    (void)old;
    toy->alarm_ns = devemu_now(toy->dev) + value;
}

static inline void toy_alarm_expired(void *state, uint64_t due_ns)
{
    struct toy *toy = (struct toy *)state;

    (void)due_ns;
    toy->status |= 1;
}

static inline void toy_dma_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct toy *toy = (struct toy *)state;
    uint8_t buf[4];

    (void)index;
    (void)old;
    if (!devemu_dma_read(toy->dev, value, buf, 4)) {
        devemu_guest_error(toy->dev, "DMA to nowhere");
    }
    devemu_put_le32(buf, devemu_le32(buf) + 1);
    devemu_dma_write(toy->dev, value, buf, 4);
}

static inline uint64_t toy_lines(const void *state)
{
    const struct toy *toy = (const struct toy *)state;

    return (uint64_t)(toy->status & 1) | (uint64_t)(toy->status & 2);
}

static inline void toy_input(void *state, unsigned line, bool level)
{
    struct toy *toy = (struct toy *)state;

    if (line == 0) {
        toy->status = (uint16_t)((toy->status & ~2u) | (level ? 2 : 0));
        toy->level = level;
    }
}

static inline size_t toy_receive(void *state, const uint8_t *data, size_t len)
{
    struct toy *toy = (struct toy *)state;

    (void)data;
    if (toy->full) {
        return 0;
    }
    toy->frames++;
    toy->full = true;
    return len;
}

static inline size_t toy_ready(const void *state)
{
    return ((const struct toy *)state)->full ? 0 : 1;
}

static inline void toy_frames_took(void *state, unsigned index)
{
    struct toy *toy = (struct toy *)state;

    (void)index;
    toy->full = false;
    devemu_send_ready(toy->dev);
}

static inline bool toy_valid(const void *state)
{
    return ((const struct toy *)state)->mode != 3;
}

static const DevemuBits toy_ctrl_bits[] = {
    {"ONES", 0xf000}, {"FIELD", 0x00f0}, {"BANK", 2}, {"UNLOCK", 1}, {NULL, 0}};

static const DevemuReg toy_io[] = {
    {.name = "CTRL",
     .bits = toy_ctrl_bits,
     .at = TOY_CTRL,
     .size = 2,
     DEVEMU_IN(struct toy, ctrl),
     .reset = 0xa000,
     .rsvd = 0xf000},
    {.name = "STATUS",
     .at = TOY_STATUS,
     .size = 2,
     DEVEMU_IN(struct toy, status),
     .w1c = 1,
     .ro = 2,
     .rc = 4,
     .w1s = 8,
     .w0c = 16},
    {.name = "INDEX", .at = TOY_INDEX, .size = 2, DEVEMU_IN(struct toy, index)},
    {.name = "DATA", .at = TOY_DATA, .size = 2, DEVEMU_WINDOW(TOY_INNER, struct toy, index)},
    {.name = "ALARM",
     .at = TOY_ALARM,
     .size = 4,
     DEVEMU_IN(struct toy, alarm),
     .wrote = toy_alarm_wrote},
    {.name = "DMA", .at = TOY_DMA, .size = 4, DEVEMU_IN(struct toy, dma), .wrote = toy_dma_wrote},
    {.name = "LOCKED",
     .at = TOY_LOCKED,
     .size = 2,
     DEVEMU_IN(struct toy, locked),
     .writable = toy_unlocked},
    {.name = "BANK0",
     .at = TOY_BANKED,
     .size = 2,
     DEVEMU_IN(struct toy, banked[0]),
     .decoded = toy_bank0},
    {.name = "BANK1",
     .at = TOY_BANKED,
     .size = 2,
     DEVEMU_IN(struct toy, banked[1]),
     .decoded = toy_bank1},
    {.name = "SECRET", .at = TOY_SECRET, .size = 2, DEVEMU_IN(struct toy, secret), .wo = 0xffff},
    {.name = "ARRAY", .at = TOY_ARRAY, .size = 1, .count = 4, DEVEMU_IN_ARRAY(struct toy, array)},
    {.name = "KEPT",
     .at = TOY_KEPT,
     .size = 2,
     DEVEMU_IN(struct toy, kept),
     .reset = 0x1234,
     .keep_hard = 0xff,
     .keep_soft = 0xffff},
    {.name = "FRAMES",
     .at = TOY_FRAMES,
     .size = 2,
     DEVEMU_IN(struct toy, frames),
     .ro = 0xffff,
     .took = toy_frames_took},
};

static const DevemuReg toy_inner[] = {
    {.name = "INNER", .at = 0, .size = 2, .count = 4, DEVEMU_IN_ARRAY(struct toy, inner)},
};

static const DevemuReg toy_lanes[] = {
    {.name = "WIDE",
     .at = 0,
     .size = 4,
     .count = 2,
     DEVEMU_IN_ARRAY(struct toy, wide),
     .w1c = 0xff000000},
};

static const DevemuBank toy_banks[] = {
    [TOY_IO] = {.name = "io",
                .kind = DEVEMU_BANK_PIO,
                .size = 32,
                .regs = toy_io,
                .reg_count = DEVEMU_N_ELEMENTS(toy_io)},
    [TOY_INNER] = {.name = "inner",
                   .kind = DEVEMU_BANK_INDEXED,
                   .size = 8,
                   .regs = toy_inner,
                   .reg_count = DEVEMU_N_ELEMENTS(toy_inner),
                   .absent = 0xdead},
    [TOY_LANES] = {.name = "lanes",
                   .kind = DEVEMU_BANK_MMIO,
                   .size = 16,
                   .regs = toy_lanes,
                   .reg_count = DEVEMU_N_ELEMENTS(toy_lanes),
                   .lanes = true,
                   .absent = 0xff},
};

static const DevemuField toy_fields[] = {DEVEMU_SAVE_ARRAY(struct toy, fields),
                                         DEVEMU_SAVE_MAX(struct toy, level, 1),
                                         DEVEMU_SAVE(struct toy, full),
                                         {.name = "late",
                                          .member = offsetof(struct toy, late),
                                          .width = 1,
                                          .count = 1,
                                          .since_absent_ok = true},
                                         DEVEMU_SKIP(struct toy, pad),
                                         {.name = NULL}};

static const DevemuTimer toy_timers[] = {DEVEMU_TIMER(struct toy, alarm_ns, toy_alarm_expired),
                                         {.name = NULL}};

static const char *const toy_modes[] = {"slow", "fast", NULL};

static const DevemuProperty toy_properties[] = {
    {.name = "mode",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct toy, mode),
     .choices = toy_modes,
     .doc = "how"},
    {.name = "mac",
     .type = DEVEMU_PROPERTY_MAC,
     DEVEMU_OPTION(struct toy, mac),
     .value = "52:54:00:12:34:56",
     .doc = "address"},
    {.name = "text", .type = DEVEMU_PROPERTY_TEXT, DEVEMU_OPTION(struct toy, text), .doc = "words"},
    {.name = "blob",
     .type = DEVEMU_PROPERTY_BLOB,
     DEVEMU_OPTION(struct toy, blob),
     .max = 64,
     .doc = "bytes"},
    {.name = "number",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct toy, number),
     .value = "7",
     .min = 1,
     .max = 65536,
     .doc = "count"},
    {.name = "flag", .type = DEVEMU_PROPERTY_BOOL, DEVEMU_OPTION(struct toy, flag), .doc = "yes?"},
    {.name = NULL},
};

static const char *const toy_outputs[] = {"IRQ", "COPY", NULL};
static const char *const toy_inputs[] = {"IN", "IN1", NULL};

static const DevemuModel devemu_model_toy = {
    .name = "toy",
    .title = "a toy",
    .datasheet = "none",
    .not_modelled = "anything real",
    .state_size = sizeof(struct toy),
    .banks = toy_banks,
    .bank_count = DEVEMU_N_ELEMENTS(toy_banks),
    .fields = toy_fields,
    .timers = toy_timers,
    .properties = toy_properties,
    .outputs = toy_outputs,
    .inputs = toy_inputs,
    .lines = toy_lines,
    .input_line = toy_input,
    .valid = toy_valid,
    .receive = toy_receive,
    .ready = toy_ready,
    .is_net = true,
};

#endif
