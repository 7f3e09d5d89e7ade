/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * duck.h: a chip for tests of what stands between device and host: it does everything that a device
 * can do to its host, and, if told to, one thing wrong.
 */
#ifndef TESTS_DUCK_H
#define TESTS_DUCK_H

#include <devemu/device.h>

enum {
    DUCK_IO,
    DUCK_CSR, /* behind a window */
    DUCK_MEM, /* 64 bytes of memory, no registers */
    DUCK_CONFIG,
};

enum {
    DUCK_CTRL = 0x00,
    DUCK_STATUS = 0x02,
    DUCK_ADDR = 0x04,
    DUCK_LEN = 0x08,
    DUCK_INDEX = 0x0a,
    DUCK_DATA = 0x0c,
    DUCK_SUM = 0x10,
    DUCK_FRAME = 0x14,
};

enum {
    CTRL_GO = 0x01, /* add up LEN bytes at ADDR, write the sum to ADDR + 100h, done in 500 ns */
    CTRL_TX = 0x02, /* send LEN bytes at ADDR behind a header of four bytes */
    CTRL_MSI = 0x04,
    CTRL_OOPS = 0x08, /* a guest mistake */
    CTRL_DTR = 0x10,

    STATUS_DONE = 0x01,
    STATUS_IN = 0x02,
    STATUS_RX = 0x04,
    STATUS_LINK = 0x08,
};

/* What is wrong with it. */
typedef enum DuckBug {
    BUG_NONE,
    BUG_SUM,      /* adds up one more */
    BUG_ADDRESS,  /* writes the sum four bytes further on */
    BUG_LINE,     /* raises no interrupt */
    BUG_DEADLINE, /* is done after 501 ns */
    BUG_FRAME,    /* sends the last byte of a frame wrong */
    BUG_TWICE,    /* sends frames twice */
    BUG_SILENT,   /* sends no frames */
    BUG_MSI,      /* wrong vector */
    BUG_READ,     /* STATUS reads with a bit more */
    BUG_TAKES,    /* takes a frame though it is full */
    BUG_WIDTH,    /* memory answers in no width but one byte */
} DuckBug;

static DuckBug duck_bug;

struct duck {
    DevemuDevice *dev;
    uint64_t done_ns;
    uint32_t addr, sum;
    uint16_t ctrl, status, len, index, frame, csr[4];
    uint8_t mem[64];
    uint8_t latch;
    uint8_t full;
    uint8_t level;
    DevemuBlob rom;
};

static inline void duck_add(struct duck *duck)
{
    uint8_t buf[64], out[4];

    if (!devemu_dma_read(duck->dev, duck->addr, buf, duck->len & 63)) {
        devemu_guest_error(duck->dev, "ADDR: nothing there");
    }
    duck->sum = duck_bug == BUG_SUM ? 1 : 0;
    for (unsigned i = 0; i < (duck->len & 63); i++) {
        duck->sum += buf[i];
    }
    devemu_put_le32(out, duck->sum);
    devemu_dma_write(duck->dev, duck->addr + (duck_bug == BUG_ADDRESS ? 0x104 : 0x100), out, 4);
    duck->done_ns = devemu_now(duck->dev) + (duck_bug == BUG_DEADLINE ? 501 : 500);
}

static inline void duck_send(struct duck *duck)
{
    uint8_t buf[64] = {0};
    const DevemuSlice slices[] = {{"duck", 4}, {buf, duck->len & 63}};

    devemu_dma_read(duck->dev, duck->addr, buf, duck->len & 63);
    if (duck_bug == BUG_FRAME) {
        buf[(duck->len - 1) & 63]++;
    }
    if (duck_bug != BUG_SILENT) {
        devemu_send_frame(duck->dev, slices, 2, false);
    }
    if (duck_bug == BUG_TWICE) {
        devemu_send_frame(duck->dev, slices, 2, false);
    }
}

static inline void duck_ctrl_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct duck *duck = (struct duck *)state;

    (void)index;
    (void)old;
    if (value & CTRL_GO) {
        duck_add(duck);
    }
    if (value & CTRL_TX) {
        duck_send(duck);
    }
    if (value & CTRL_MSI) {
        devemu_send_msi(duck->dev, duck_bug == BUG_MSI ? 4 : 3);
    }
    if (value & CTRL_OOPS) {
        devemu_guest_error(duck->dev, "CTRL.OOPS");
    }
}

static inline uint64_t duck_status_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct duck *)state)->status | (duck_bug == BUG_READ ? 0x100u : 0);
}

static inline void duck_frame_took(void *state, unsigned index)
{
    struct duck *duck = (struct duck *)state;

    (void)index;
    duck->full = 0;
    devemu_send_ready(duck->dev);
}

static inline void duck_done(void *state, uint64_t due_ns)
{
    struct duck *duck = (struct duck *)state;

    duck->csr[2] = (uint16_t)due_ns;
    duck->csr[1] = (uint16_t)devemu_now(duck->dev);
    duck->status |= STATUS_DONE;
}

static inline uint64_t duck_lines(const void *state)
{
    const struct duck *duck = (const struct duck *)state;
    bool irq = (duck->status & (STATUS_DONE | STATUS_RX)) != 0;

    return (uint64_t)(irq && duck_bug != BUG_LINE) | (uint64_t)duck->level << 1;
}

static inline void duck_input_line(void *state, unsigned line, bool level)
{
    struct duck *duck = (struct duck *)state;

    if (line == 0) {
        duck->status = (uint16_t)((duck->status & ~STATUS_IN) | (level ? STATUS_IN : 0));
        duck->level = level;
    }
}

static inline size_t duck_receive(void *state, const uint8_t *data, size_t len)
{
    struct duck *duck = (struct duck *)state;

    if (duck->full && duck_bug != BUG_TAKES) {
        return 0;
    }
    duck->full = 1;
    duck->frame++;
    duck->status |= STATUS_RX;
    devemu_dma_write(duck->dev, duck->addr + 0x200, data, len);
    return len;
}

static inline size_t duck_ready(const void *state)
{
    return ((const struct duck *)state)->full ? 0 : 1;
}

static inline void duck_link(void *state, unsigned link)
{
    struct duck *duck = (struct duck *)state;

    duck->status = (uint16_t)((duck->status & ~STATUS_LINK) | (link ? STATUS_LINK : 0));
}

static inline void duck_complete(void *state, const DevemuBlockCompletion *completions,
                                 size_t count)
{
    (void)count;
    ((struct duck *)state)->csr[3] =
        (uint16_t)(completions[0].tag + (uint32_t)completions[0].status);
}

static inline void duck_input(void *state, const DevemuInput *input)
{
    struct duck *duck = (struct duck *)state;

    duck->csr[3] = (uint16_t)(input->code + (unsigned)input->value + (unsigned)input->x);
}

static inline bool duck_screen(const void *state, DevemuScreen *screen)
{
    (void)state;
    screen->width = 4;
    screen->height = 2;
    return false;
}

static inline DevemuAccess duck_mem_read(void *state, uint64_t at, unsigned size,
                                         uint64_t *ret_value)
{
    const struct duck *duck = (const struct duck *)state;
    uint64_t value = 0;

    if (size > (duck_bug == BUG_WIDTH ? 1 : 4)) {
        return DEVEMU_ACCESS_SIZE;
    }
    memcpy(&value, duck->mem + at, size);
    *ret_value = value;
    return DEVEMU_ACCESS_OK;
}

static inline DevemuAccess duck_mem_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct duck *duck = (struct duck *)state;

    if (size > 4) {
        return DEVEMU_ACCESS_SIZE;
    }
    memcpy(duck->mem + at, &value, size);
    return DEVEMU_ACCESS_OK;
}

/* With bit 0 of its latch the chip has ports at 3f0h. */
static inline unsigned duck_ranges(const void *state, DevemuPciRange *ret_ranges, unsigned max)
{
    if (max == 0 || !(((const struct duck *)state)->latch & 1)) {
        return 0;
    }
    ret_ranges[0] = (DevemuPciRange){
        .io = true, .always = true, .bank = DUCK_IO, .base = 0x3f0, .len = 4, .at = DUCK_CTRL};
    return 1;
}

static const DevemuBits duck_ctrl_bits[] = {
    {"DTR", CTRL_DTR}, {"OOPS", CTRL_OOPS}, {"MSI", CTRL_MSI},
    {"TX", CTRL_TX},   {"GO", CTRL_GO},     {NULL, 0},
};

static const DevemuBits duck_status_bits[] = {
    {"COUNT", 0x00f0}, {"LINK", STATUS_LINK}, {"RX", STATUS_RX},
    {"IN", STATUS_IN}, {"DONE", STATUS_DONE}, {NULL, 0},
};

static const DevemuReg duck_io[] = {
    {.name = "CTRL",
     .bits = duck_ctrl_bits,
     .at = DUCK_CTRL,
     .size = 2,
     DEVEMU_IN(struct duck, ctrl),
     .wrote = duck_ctrl_wrote},
    {.name = "STATUS",
     .bits = duck_status_bits,
     .at = DUCK_STATUS,
     .size = 2,
     DEVEMU_IN(struct duck, status),
     .read = duck_status_read,
     .w1c = STATUS_DONE | STATUS_RX,
     .ro = STATUS_IN | STATUS_LINK},
    {.name = "ADDR", .at = DUCK_ADDR, .size = 4, DEVEMU_IN(struct duck, addr)},
    {.name = "LEN", .at = DUCK_LEN, .size = 2, DEVEMU_IN(struct duck, len)},
    {.name = "INDEX", .at = DUCK_INDEX, .size = 2, DEVEMU_IN(struct duck, index)},
    {.name = "DATA", .at = DUCK_DATA, .size = 2, DEVEMU_WINDOW(DUCK_CSR, struct duck, index)},
    {.name = "SUM", .at = DUCK_SUM, .size = 4, DEVEMU_IN(struct duck, sum), .ro = 0xffffffff},
    {.name = "FRAME",
     .at = DUCK_FRAME,
     .size = 2,
     DEVEMU_IN(struct duck, frame),
     .ro = 0xffff,
     .took = duck_frame_took},
};

static const DevemuReg duck_csr[] = {
    {.name = "CSR", .at = 0, .size = 2, .count = 4, DEVEMU_IN_ARRAY(struct duck, csr)},
};

static const DevemuReg duck_config[] = {
    {.name = "LATCH", .at = 0x40, .size = 1, DEVEMU_IN(struct duck, latch)},
};

static const DevemuBank duck_banks[] = {
    [DUCK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 32,
                 .regs = duck_io,
                 .reg_count = DEVEMU_N_ELEMENTS(duck_io)},
    [DUCK_CSR] = {.name = "csr",
                  .kind = DEVEMU_BANK_INDEXED,
                  .size = 8,
                  .regs = duck_csr,
                  .reg_count = DEVEMU_N_ELEMENTS(duck_csr),
                  .absent = 0xdead},
    [DUCK_MEM] = {.name = "mem",
                  .kind = DEVEMU_BANK_MMIO,
                  .size = 64,
                  .read = duck_mem_read,
                  .write = duck_mem_write},
    [DUCK_CONFIG] = {.name = "config",
                     .kind = DEVEMU_BANK_CONFIG,
                     .size = 256,
                     .regs = duck_config,
                     .reg_count = DEVEMU_N_ELEMENTS(duck_config)},
};

static const DevemuField duck_fields[] = {
    DEVEMU_SAVE_ARRAY(struct duck, mem),
    DEVEMU_SAVE_MAX(struct duck, full, 1),
    DEVEMU_SAVE_MAX(struct duck, level, 1),
    {.name = NULL},
};

static const DevemuTimer duck_timers[] = {
    DEVEMU_TIMER(struct duck, done_ns, duck_done),
    {.name = NULL},
};

static const DevemuProperty duck_properties[] = {
    {.name = "rom",
     .type = DEVEMU_PROPERTY_BLOB,
     DEVEMU_OPTION(struct duck, rom),
     .max = 4096,
     .doc = "Expansion ROM."},
    {.name = NULL},
};

static const char *const duck_outputs[] = {"IRQ", "COPY", NULL};
static const char *const duck_inputs[] = {"IN", NULL};
static const DevemuIsa duck_isa = {.bases = {0x300}, .irq = 5};
static const DevemuPci duck_pci = {
    .vendor = 0x1234,
    .device = 0x5678,
    .class_code = 0x020000,
    .interrupt_pin = 1,
    .bars = {{.bank = DUCK_IO + 1}, {.bank = DUCK_MEM + 1}},
    .config_bank = DUCK_CONFIG + 1,
    .rom = "rom",
    .msi_vectors = 4,
    .ranges = duck_ranges,
};

static const DevemuModel devemu_model_duck = {
    .name = "duck",
    .title = "a duck",
    .datasheet = "none",
    .not_modelled = "water",
    .state_size = sizeof(struct duck),
    .banks = duck_banks,
    .bank_count = DEVEMU_N_ELEMENTS(duck_banks),
    .fields = duck_fields,
    .timers = duck_timers,
    .properties = duck_properties,
    .outputs = duck_outputs,
    .inputs = duck_inputs,
    .lines = duck_lines,
    .input_line = duck_input_line,
    .receive = duck_receive,
    .ready = duck_ready,
    .link = duck_link,
    .complete = duck_complete,
    .input = duck_input,
    .screen = duck_screen,
    .pci = &duck_pci,
    .isa = &duck_isa,
    .is_net = true,
};

/* --- a host for it ----------------------------------------------------------------- */

typedef struct Pond {
    DevemuDevice *dev;
    uint8_t ram[4096];
    uint64_t now, deadline;
    uint64_t lines;
    uint32_t digest; /* of all that the device did */
    unsigned logs, msis, frames, readies;
    char *last_log;
    bool feedback; /* output COPY falls: input IN falls too; it rises: it falls again */
} Pond;

static inline void pond_note(Pond *pond, const void *data, size_t len)
{
    pond->digest = devemu_crc32(pond->digest, data, len);
}

static inline void pond_note_number(Pond *pond, uint64_t number)
{
    pond_note(pond, &number, sizeof(number));
}

static inline bool pond_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Pond *pond = (Pond *)host;

    pond_note_number(pond, addr);
    if (addr > sizeof(pond->ram) || len > sizeof(pond->ram) - addr) {
        return false;
    }
    memcpy(buf, pond->ram + addr, len);
    return true;
}

static inline bool pond_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Pond *pond = (Pond *)host;

    pond_note_number(pond, addr);
    pond_note(pond, buf, len);
    if (addr > sizeof(pond->ram) || len > sizeof(pond->ram) - addr) {
        return false;
    }
    memcpy(pond->ram + addr, buf, len);
    return true;
}

static inline void pond_set_line(void *host, unsigned line, bool level)
{
    Pond *pond = (Pond *)host;

    pond_note_number(pond, line * 2 + level);
    pond->lines = (pond->lines & ~(UINT64_C(1) << line)) | (uint64_t)level << line;
    if (pond->feedback && line == 1 && level) {
        devemu_device_line(pond->dev, 0, false);
    }
}

static inline void pond_msi(void *host, uint64_t addr, uint32_t data)
{
    Pond *pond = (Pond *)host;

    pond_note_number(pond, addr + data);
    pond->msis++;
}

static inline uint64_t pond_now(void *host)
{
    return ((Pond *)host)->now;
}

static inline void pond_deadline(void *host, uint64_t when_ns)
{
    Pond *pond = (Pond *)host;

    pond_note_number(pond, when_ns);
    pond->deadline = when_ns;
}

static inline void pond_log(void *host, DevemuLogLevel level, const char *text)
{
    Pond *pond = (Pond *)host;

    (void)level;
    pond->logs++;
    g_free(pond->last_log);
    pond->last_log = g_strdup(text);
}

static inline void pond_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    Pond *pond = (Pond *)net;

    pond_note_number(pond, more);
    for (size_t i = 0; i < count; i++) {
        pond_note(pond, slices[i].data, slices[i].len);
    }
    pond->frames++;
}

static inline void pond_ready(void *net)
{
    ((Pond *)net)->readies++;
}

static const DevemuHostOps pond_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = pond_dma_read,
    .dma_write = pond_dma_write,
    .set_line = pond_set_line,
    .msi = pond_msi,
    .now = pond_now,
    .deadline = pond_deadline,
    .log = pond_log,
};

static const DevemuNetOps pond_net = {
    .size = sizeof(DevemuNetOps), .send = pond_send, .ready = pond_ready};

static inline Pond *pond_new(DevemuDevice *dev)
{
    Pond *pond = g_new0(Pond, 1);

    pond->dev = dev;
    pond->deadline = DEVEMU_NEVER;
    for (unsigned i = 0; i < sizeof(pond->ram); i++) {
        pond->ram[i] = (uint8_t)(i * 7 + 1);
    }
    devemu_device_set_host(dev, &pond_ops, pond);
    devemu_device_attach_net(dev, &pond_net, pond);
    return pond;
}

static inline void pond_free(Pond *pond)
{
    devemu_device_free(pond->dev);
    g_free(pond->last_log);
    g_free(pond);
}

static inline uint64_t pond_read(Pond *pond, unsigned bank, uint64_t at, unsigned size)
{
    uint64_t value = 0;
    DevemuAccess access = devemu_device_read(pond->dev, bank, at, size, &value);

    pond_note_number(pond, access);
    pond_note_number(pond, value);
    return value;
}

static inline void pond_write(Pond *pond, unsigned bank, uint64_t at, unsigned size, uint64_t value)
{
    pond_note_number(pond, devemu_device_write(pond->dev, bank, at, size, value));
}

static inline void pond_advance(Pond *pond, uint64_t ns)
{
    pond->now += ns;
    if (pond->deadline <= pond->now) {
        devemu_device_run(pond->dev);
    }
}

static inline void pond_rare(Pond *pond, uint32_t r)
{
    DevemuInput input = {.kind = DEVEMU_INPUT_KEY, .code = r & 0xff, .value = 1, .x = -3};
    DevemuBlockCompletion completion = {.tag = r & 0xff, .status = -1};

    switch (r >> 8 & 7) {
    case 0:
        devemu_device_reset(pond->dev, r & 1 ? DEVEMU_RESET_HARD : DEVEMU_RESET_SOFT);
        break;
    case 1:
        devemu_device_link(pond->dev, r & 1);
        break;
    case 2:
        devemu_device_complete(pond->dev, &completion, 1);
        break;
    case 3:
        devemu_device_input(pond->dev, &input);
        break;
    default:
        pond_note_number(pond, devemu_device_ready(pond->dev));
        break;
    }
}

/* So many pieces of a life that the seed decides. */
static inline void pond_live(Pond *pond, unsigned count, uint32_t seed)
{
    static const uint8_t words[] = {DUCK_CTRL,  DUCK_STATUS, DUCK_LEN,
                                    DUCK_INDEX, DUCK_DATA,   DUCK_FRAME};

    for (unsigned i = 0; i < count; i++) {
        uint32_t r;

        seed = seed * 1664525u + 1013904223u;
        r = seed >> 8;
        switch (r & 7) {
        case 0:
        case 1:
            pond_write(pond, DUCK_IO, words[(r >> 3) % sizeof(words)], 2, r >> 6 & 0xffff);
            break;
        case 2:
            pond_read(pond, DUCK_IO, words[(r >> 3) % sizeof(words)], 2);
            break;
        case 3:
            pond_write(pond, DUCK_IO, DUCK_ADDR, 4, r >> 4 & 0x11ff);
            break;
        case 4:
            pond_write(pond, DUCK_MEM, r >> 3 & 63, 1u << (r >> 9 & 1), r >> 10);
            pond_read(pond, DUCK_MEM, r >> 3 & 67, 1u << (r >> 9 & 3));
            break;
        case 5:
            pond_advance(pond, r >> 3 & 0x3ff);
            break;
        case 6:
            pond_note_number(pond, devemu_device_receive(pond->dev, &r, 1 + (r >> 3 & 3)));
            devemu_device_line(pond->dev, 0, r >> 6 & 1);
            break;
        default:
            pond_rare(pond, r >> 3);
            break;
        }
    }
}

#endif
