/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8237.c: Intel 8237A DMA controller with its half of a PC's page registers. One device is one
 * chip; a PC has two, HRQ of the first (8 bits) wired to DREQ0 of the second (16 bits), DACK0 of
 * the second to HLDA of the first.
 *
 * Datasheet: Intel 8237A, order number 231466-005 (September 1993), below "DS" with the heading of
 * the chapter; where it is silent about memory-to-memory transfers: Intersil 82C37A, FN2967, below
 * "82C37A". Page registers and the shifted addresses of 16-bit channels: IBM PC AT Technical
 * Reference, below "AT".
 *
 * How a card transfers: it raises DREQn; when DACKn is high it, or the bus for it, makes cycles in
 * bank "dack", place n: a write is one cycle from device to memory, a read one from memory to
 * device, in the controller's width. The controller moves the data, counts, and answers
 * DEVEMU_ACCESS_NONE where the real one would drive no strobe towards the card: DACKn is not
 * active, or the channel is programmed the other way. In a verify transfer the cycle counts, but
 * memory is left alone and a read gives ones. EOP is high from the cycle that reached terminal
 * count to the next event of the transfer.
 *
 * Bank "page" has the eight page registers of this controller: 80h-87h, or 88h-8Fh for the second;
 * four of them belong to channels, the others are storage.
 *
 * Not modelled: the time that cycles take, so compressed timing and extended write have no effect;
 * DACK sense (the DACK lines are high when active, whatever bit 7 of the command register says);
 * memory-to-memory transfers of a 16-bit controller, which the AT cannot do; EISA's high pages.
 */
#include "i8237-cycle.h"

enum {
    BANK_IO,
    BANK_IO16,
    BANK_PAGE,
    BANK_DACK,
};

enum {
    INPUT_HLDA = 4,
    INPUT_EOP = 5,
    LINE_HRQ = 0,
    LINE_EOP = 1,
    LINE_DACK = 2,
};

/* --- register callbacks ------------------------------------------------------------ */

/* DS "Clear First/Last Flip-Flop": addresses and counts go by bytes, the low one first. */
static uint64_t half_of(const struct dma *dma, uint16_t value)
{
    return dma->flip_flop ? value >> 8 : value & 0xff;
}

static uint16_t with_half(const struct dma *dma, uint16_t old, uint64_t value)
{
    return (uint16_t)(dma->flip_flop ? (old & 0x00ff) | value << 8 : (old & 0xff00) | value);
}

static uint64_t addr_read(const void *state, unsigned ch)
{
    const struct dma *dma = state;

    return half_of(dma, dma->addr[ch]);
}

static uint64_t count_read(const void *state, unsigned ch)
{
    const struct dma *dma = state;

    return half_of(dma, dma->count[ch]);
}

static void half_took(void *state, unsigned ch)
{
    struct dma *dma = state;

    (void)ch;
    dma->flip_flop = !dma->flip_flop;
}

/* DS "Base Address and Base Word Count": written together with the current ones. */
static void addr_wrote(void *state, unsigned ch, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)old;
    dma->base_addr[ch] = with_half(dma, dma->base_addr[ch], value);
    dma->addr[ch] = with_half(dma, dma->addr[ch], value);
    dma->flip_flop = !dma->flip_flop;
}

static void count_wrote(void *state, unsigned ch, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)old;
    dma->base_count[ch] = with_half(dma, dma->base_count[ch], value);
    dma->count[ch] = with_half(dma, dma->count[ch], value);
    dma->flip_flop = !dma->flip_flop;
}

/* DS "Status Register": bits 0-3 are cleared by the read; 4-7 are the requests, masked or not. */
static uint64_t status_read(const void *state, unsigned index)
{
    const struct dma *dma = state;

    (void)index;
    return dma->tc | (dma_dreqs(dma) | dma->request) << 4;
}

static void status_took(void *state, unsigned index)
{
    struct dma *dma = state;

    (void)index;
    dma->tc = 0;
}

static void command_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    dma_arbitrate(state);
}

static uint8_t with_bit(uint8_t set, uint64_t value)
{
    uint8_t bit = (uint8_t)(1u << (value & BIT_CHANNEL));

    return (uint8_t)(value & BIT_SET ? set | bit : set & ~bit);
}

static void request_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)index;
    (void)old;
    dma->request = with_bit(dma->request, value);
    dma_arbitrate(dma);
}

static void mask_bit_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)index;
    (void)old;
    dma->mask = with_bit(dma->mask, value);
    dma_arbitrate(dma);
}

static void mode_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)index;
    (void)old;
    dma->mode[value & MODE_CHANNEL] = value & (uint8_t)~MODE_CHANNEL;
    dma_arbitrate(dma);
}

static void flip_flop_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)index;
    (void)value;
    (void)old;
    dma->flip_flop = false;
}

static uint64_t temp_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct dma *)state)->temp;
}

/* DS "Reset", "Master Clear". */
static void clear(struct dma *dma)
{
    dma->command = 0;
    dma->tc = 0;
    dma->request = 0;
    dma->temp = 0;
    dma->flip_flop = false;
    dma->mask = 15;
    dma->active = NO_CHANNEL;
    dma->lowest = CHANNELS - 1;
    dma->eop = false;
    dma->memory_ns = DEVEMU_NEVER;
}

static void master_clear_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    clear(state);
}

static void clear_mask_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)index;
    (void)value;
    (void)old;
    dma->mask = 0;
    dma_arbitrate(dma);
}

static void mask_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct dma *dma = state;

    (void)index;
    (void)old;
    dma->mask = value & 15;
    dma_arbitrate(dma);
}

/* The AT's second controller has a register at every second port; it answers at the one above, too.
 */
static DevemuAccess io16_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct dma *dma = state;

    (void)size;
    *ret_value = devemu_bank_read(dma->dev, BANK_IO, at >> 1);
    return DEVEMU_ACCESS_OK;
}

static DevemuAccess io16_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct dma *dma = state;

    (void)size;
    devemu_bank_write(dma->dev, BANK_IO, at >> 1, value);
    return DEVEMU_ACCESS_OK;
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits command_bits[] = {
    {"MEM_TO_MEM", CMD_MEM_TO_MEM}, {"CH0_HOLD", CMD_CH0_HOLD},   {"DISABLE", CMD_DISABLE},
    {"COMPRESSED", CMD_COMPRESSED}, {"ROTATE", CMD_ROTATE},       {"EXTENDED", CMD_EXTENDED},
    {"DREQ_LOW", CMD_DREQ_LOW},     {"DACK_HIGH", CMD_DACK_HIGH}, {0},
};

static const DevemuBits bit_bits[] = {{"SET", BIT_SET}, {"CHANNEL", BIT_CHANNEL}, {0}};
static const DevemuBits mode_bits[] = {
    {"SERVICE", MODE_SERVICE}, {"DECREMENT", MODE_DECREMENT}, {"AUTOINIT", MODE_AUTOINIT},
    {"TYPE", MODE_TYPE},       {"CHANNEL", MODE_CHANNEL},     {0},
};

/* DS Figure 6: reading a register that can only be written is illegal; the bus is not driven. */
static const DevemuReg io_regs[] = {
    {
        .name = "ADDRESS",
        .title = "base and current address of channel 0-3",
        .section = "Current Address Register; Base Address",
        .at = 0,
        .count = CHANNELS,
        .stride = 2,
        .read = addr_read,
        .took = half_took,
        .wrote = addr_wrote,
    },
    {
        .name = "COUNT",
        .title = "base and current word count of channel 0-3",
        .section = "Current Word Register; Base Word Count",
        .at = 1,
        .count = CHANNELS,
        .stride = 2,
        .read = count_read,
        .took = half_took,
        .wrote = count_wrote,
    },
    {
        .name = "COMMAND",
        .title = "command; reads as status: requests in bits 7-4, terminal counts in 3-0",
        .section = "Command Register; Status Register",
        .bits = command_bits,
        .at = 8,
        DEVEMU_IN(struct dma, command),
        .read = status_read,
        .took = status_took,
        .wrote = command_wrote,
    },
    {
        .name = "REQUEST",
        .title = "software request of one channel",
        .section = "Request Register",
        .bits = bit_bits,
        .at = 9,
        .reset = 0xff,
        .wrote = request_wrote,
    },
    {
        .name = "MASK_BIT",
        .title = "mask of one channel",
        .section = "Mask Register",
        .bits = bit_bits,
        .at = 10,
        .reset = 0xff,
        .wrote = mask_bit_wrote,
    },
    {
        .name = "MODE",
        .title = "mode of one channel",
        .section = "Mode Register",
        .bits = mode_bits,
        .at = 11,
        .reset = 0xff,
        .wrote = mode_wrote,
    },
    {
        .name = "CLEAR_FLIP_FLOP",
        .title = "the next byte is the low one",
        .section = "Software Commands",
        .at = 12,
        .reset = 0xff,
        .wrote = flip_flop_wrote,
    },
    {
        .name = "MASTER_CLEAR",
        .title = "reset; reads as the temporary register",
        .section = "Software Commands; Temporary Register",
        .at = 13,
        .read = temp_read,
        .wrote = master_clear_wrote,
    },
    {
        .name = "CLEAR_MASK",
        .title = "no channel is masked",
        .section = "Software Commands",
        .at = 14,
        .reset = 0xff,
        .wrote = clear_mask_wrote,
    },
    {
        .name = "MASK",
        .title = "masks of all channels",
        .section = "Mask Register",
        .at = 15,
        .reset = 0xff,
        .wrote = mask_wrote,
    },
};

static const DevemuReg page_regs[] = {
    {
        .name = "PAGE",
        .title = "address bits 16-23; 7, 3, 1, 2: channels 0-3, the others storage",
        .section = "AT, DMA page registers",
        .at = 0,
        .count = 8,
        DEVEMU_IN_ARRAY(struct dma, page),
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 16,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
    [BANK_IO16] = {.name = "io16",
                   .kind = DEVEMU_BANK_PIO,
                   .size = 32,
                   .sizes = DEVEMU_SIZE_1,
                   .read = io16_read,
                   .write = io16_write},
    [BANK_PAGE] = {.name = "page",
                   .kind = DEVEMU_BANK_PIO,
                   .size = 8,
                   .regs = page_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(page_regs)},
    [BANK_DACK] = {.name = "dack",
                   .kind = DEVEMU_BANK_CYCLE,
                   .size = 8,
                   .sizes = DEVEMU_SIZE_1 | DEVEMU_SIZE_2,
                   .read = dma_dack_read,
                   .write = dma_dack_write},
};

/* --- lines, reset, snapshot -------------------------------------------------------- */

static void dma_input(void *state, unsigned line, bool level)
{
    struct dma *dma = state;
    uint8_t bit = (uint8_t)(1u << (line & (CHANNELS - 1)));

    if (line == INPUT_EOP) {
        if (level) {
            dma_external_eop(dma);
        }
        return;
    }
    if (line == INPUT_HLDA) {
        dma->hlda = level;
    } else {
        dma->dreq = (uint8_t)(level ? dma->dreq | bit : dma->dreq & ~bit);
        dma->eop = false;
    }
    dma_arbitrate(dma);
}

static uint64_t dma_lines(const void *state)
{
    const struct dma *dma = state;
    uint64_t lines = 0;

    if (dma_eligible(dma) || dma->active != NO_CHANNEL || dma_memory_asked(dma) ||
        dma_memory_busy(dma)) {
        lines |= UINT64_C(1) << LINE_HRQ;
    }
    if (dma->active != NO_CHANNEL) {
        lines |= UINT64_C(1) << (LINE_DACK + dma->active);
    }
    return lines | (dma->eop ? UINT64_C(1) << LINE_EOP : 0);
}

static void dma_reset(void *state, DevemuReset kind)
{
    if (kind != DEVEMU_RESET_SOFT) {
        clear(state);
    }
}

static bool dma_valid(const void *state)
{
    const struct dma *dma = state;

    for (unsigned ch = 0; ch < CHANNELS; ch++) {
        if (dma->mode[ch] & MODE_CHANNEL) {
            return false;
        }
    }
    return dma->active <= NO_CHANNEL && dma->lowest < CHANNELS;
}

static const DevemuField fields[] = {
    DEVEMU_SAVE_ARRAY(struct dma, base_addr),
    DEVEMU_SAVE_ARRAY(struct dma, base_count),
    DEVEMU_SAVE_ARRAY(struct dma, addr),
    DEVEMU_SAVE_ARRAY(struct dma, count),
    DEVEMU_SAVE_ARRAY(struct dma, mode),
    DEVEMU_SAVE_MAX(struct dma, tc, 15),
    DEVEMU_SAVE_MAX(struct dma, request, 15),
    DEVEMU_SAVE_MAX(struct dma, mask, 15),
    DEVEMU_SAVE(struct dma, temp),
    DEVEMU_SAVE_MAX(struct dma, dreq, 15),
    DEVEMU_SAVE_MAX(struct dma, active, NO_CHANNEL),
    DEVEMU_SAVE_MAX(struct dma, lowest, CHANNELS - 1),
    DEVEMU_SAVE(struct dma, hlda),
    DEVEMU_SAVE(struct dma, eop),
    DEVEMU_SAVE(struct dma, flip_flop),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct dma, memory_ns, dma_memory_due),
    {0},
};

static const char *const widths[] = {"8", "16", NULL};

static const DevemuProperty properties[] = {
    {.name = "width",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct dma, wide),
     .value = "8",
     .choices = widths,
     .doc = "Bits that a cycle moves; with 16 addresses and counts are those of words."},
    {.name = "cascaded",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct dma, cascaded),
     .doc = "Does the controller wait for HLDA? If not it has the bus whenever it wants it."},
    {0},
};

static const char *const inputs[] = {"DREQ0", "DREQ1", "DREQ2", "DREQ3", "HLDA", "EOP", NULL};
static const char *const outputs[] = {"HRQ", "EOP", "DACK0", "DACK1", "DACK2", "DACK3", NULL};

const DevemuModel devemu_model_i8237 = {
    .name = "i8237",
    .title = "Intel 8237A DMA controller with page registers",
    .datasheet = "Intel 8237A, 231466-005",
    .not_modelled = "the time that cycles take (compressed timing, extended write); DACK sense; "
                    "memory-to-memory transfers of a 16-bit controller; EISA's high page registers",
    .state_size = sizeof(struct dma),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .inputs = inputs,
    .lines = dma_lines,
    .reset = dma_reset,
    .valid = dma_valid,
    .input_line = dma_input,
};
