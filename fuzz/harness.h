/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * harness.h: one harness for every model. An input is a head (how the device is set up) and then
 * operations, read from the front; what the device reads by DMA is taken from the back, at the
 * moment it is read. All that the harness knows of a model comes from its tables.
 *
 * Ways to run one input: fuzz_run() under libFuzzer or as a corpus replay, and with a text, which
 * is the body of a Criterion test that does the same through the fake host.
 */
#ifndef DEVEMU_FUZZ_HARNESS_H
#define DEVEMU_FUZZ_HARNESS_H

#include <devemu/backends.h>
#include <devemu/bus.h>
#include <devemu/device.h>
#include <devemu/list.h>

#include <inttypes.h>
#include <stdio.h>

#define FUZZ_RAM_BYTES 0x10000u
#define FUZZ_GRANULE   16u /* bytes of RAM that are filled at a time */
#define FUZZ_OPS       400 /* of one input */
#define FUZZ_SETTINGS  16
#define FUZZ_BARS      7 /* six and the ROM */
#define FUZZ_DEVFN     (3 << 3)
#define FUZZ_FRAME     65536u
#define FUZZ_MEDIUM    "memory:256K,fault=any:EIO:at=8K:len=1K,fault=any:delay=10:every=3"

/* DMA to this range goes to the device's own registers. */
#define FUZZ_OWN_BASE  0x10000000u
#define FUZZ_OWN_BYTES 0x10000000u

/* Work of one operation that no guest may ask for. */
#define FUZZ_DMA_CALLS 200000u
#define FUZZ_DMA_BYTES (64u << 20)

/* Times that the device may want to run again at one moment. */
#define FUZZ_STALLS 64

/* The clock stops here: about 146 years. */
#define FUZZ_CLOCK_MAX (UINT64_C(1) << 62)

/* --- the first byte of an input ---------------------------------------------------- */

enum {
    FUZZ_HEAD_BUS = 1 << 0,     /* behind a PCI or ISA bus, if the model can */
    FUZZ_HEAD_MAP = 1 << 1,     /* the host gives windows */
    FUZZ_HEAD_REFILL = 1 << 2,  /* memory changes under every read */
    FUZZ_HEAD_NOSY = 1 << 3,    /* every callback tries to enter the device again */
    FUZZ_HEAD_TRACE = 1 << 4,   /* the host traces */
    FUZZ_HEAD_OPTIONS = 1 << 5, /* a byte or more for each property follows */
    FUZZ_HEAD_LATE = 1 << 6,    /* the clock starts in 2027 */
    FUZZ_HEAD_TWIN = 1 << 7,    /* if not late: run it again with migrations, compare */
};

/* --- operations: the first byte of each, modulo FUZZ_OP_SLOTS, through a table of weights --- */

typedef enum FuzzOp {
    FUZZ_WRITE,  /* row, element, kind of value */
    FUZZ_READ,   /* row, element */
    FUZZ_REPEAT, /* count: the last write again, with the value counting up */
    FUZZ_RAW_WRITE,
    FUZZ_RAW_READ,
    FUZZ_PEEK,
    FUZZ_BUS_WRITE, /* any place of the bus */
    FUZZ_BUS_READ,
    FUZZ_CONFIG_WRITE,
    FUZZ_CONFIG_READ,
    FUZZ_RAM_WORDS, /* address, count, words */
    FUZZ_RAM_FILL,
    FUZZ_RAM_FORGET, /* memory is filled anew when it is read */
    FUZZ_TIME_NEXT,  /* to the deadline, or about it */
    FUZZ_TIME_SMALL,
    FUZZ_TIME_MEDIUM,
    FUZZ_TIME_HUGE,
    FUZZ_TIME_IDLE, /* time passes, but the host does not run the device */
    FUZZ_RECEIVE,
    FUZZ_LOOP, /* the last frame sent comes back */
    FUZZ_READY,
    FUZZ_LINK,
    FUZZ_INPUT,
    FUZZ_LINE,
    FUZZ_SCREEN,
    FUZZ_RESET,
    FUZZ_SAVE,  /* saved, loaded and saved again */
    FUZZ_FRESH, /* another device takes the state over */
    FUZZ_EDIT,  /* a snapshot with one number changed */
    FUZZ_PATCH, /* a snapshot with one byte changed, or cut off */
    FUZZ_UNPLUG,
    FUZZ_FAIL_DMA,
    FUZZ_OWN_DMA,
    FUZZ_REVOKE,
    FUZZ_OP_COUNT,
} FuzzOp;

#define FUZZ_OP_SLOTS 96

/* The first slot of the table of weights that holds op. */
unsigned fuzz_op_slot(FuzzOp op);

/* Kinds of a value that is written. */
typedef enum FuzzValue {
    FUZZ_VALUE_RAW, /* as many bytes as the register has */
    FUZZ_VALUE_ZERO,
    FUZZ_VALUE_ONES,
    FUZZ_VALUE_BIT,
    FUZZ_VALUE_FLIP, /* what is there, one named field inverted */
    FUZZ_VALUE_RESET,
    FUZZ_VALUE_POINTER,
    FUZZ_VALUE_LENGTH, /* two's complement of a length */
    FUZZ_VALUE_LAST,   /* the last value read */
    FUZZ_VALUE_BYTE,
    FUZZ_VALUE_TWO_BITS,
    FUZZ_VALUE_FLIP_TWO,
    FUZZ_VALUE_FIELD,   /* a number in a field, the rest zero */
    FUZZ_VALUE_INSERT,  /* a number in a field, the rest as it is */
    FUZZ_VALUE_HALF,    /* two bytes */
    FUZZ_VALUE_SHIFTED, /* a byte at any bit */
    FUZZ_VALUE_COUNT,
} FuzzValue;

/* Kinds of a word in memory; FUZZ_WORD_SWAP on top turns its bytes round. */
typedef enum FuzzWord {
    FUZZ_WORD_KEEP,
    FUZZ_WORD_ZERO,
    FUZZ_WORD_ONES,
    FUZZ_WORD_RAW,
    FUZZ_WORD_POINTER,
    FUZZ_WORD_POINTER_FLAGS, /* flags in the top byte */
    FUZZ_WORD_LENGTH_FLAGS,  /* flags, then f000h and the two's complement of a length */
    FUZZ_WORD_LENGTH,
    FUZZ_WORD_POINTER_TOP, /* a number in the top three bits */
    FUZZ_WORD_BYTE,
    FUZZ_WORD_LOW,
    FUZZ_WORD_HIGH,
    FUZZ_WORD_COUNT,
    FUZZ_WORD_SWAP = 0x80,
} FuzzWord;

/* --- the input --------------------------------------------------------------------- */

typedef struct FuzzInput {
    const uint8_t *data;
    size_t front, back; /* data[front, back) is not used yet */
    bool ended;
} FuzzInput;

uint64_t fuzz_take(FuzzInput *in, unsigned bytes);
uint64_t fuzz_take_back(FuzzInput *in, unsigned bytes);

static inline uint8_t fuzz_byte(FuzzInput *in)
{
    return (uint8_t)fuzz_take(in, 1);
}

typedef uint64_t FuzzTake(FuzzInput *in, unsigned bytes);

/* A length of a buffer or frame; from the input. */
unsigned fuzz_length(FuzzInput *in, FuzzTake *take);
/* A word of memory; old is what is there. */
uint32_t fuzz_word(FuzzInput *in, FuzzTake *take, uint32_t old);

/* --- the text: body of a Criterion test -------------------------------------------- */

enum {
    FUZZ_USES_MIGRATE = 1 << 0,
    FUZZ_USES_EDIT = 1 << 1,
    FUZZ_USES_PATCH = 1 << 2,
    FUZZ_USES_SCREEN = 1 << 3,
    FUZZ_USES_ROUND = 1 << 4,
};

typedef struct FuzzText {
    size_t len;
    size_t op_at; /* where the text of the operation under way begins */
    unsigned uses;
    bool bus, pci, refill;
    bool broken; /* fuzz_fail() was called */
    char settings[96 * 1024];
    char body[4 << 20];
} FuzzText;

/* --- a run ------------------------------------------------------------------------- */

/* A register as the fuzzer sees it. */
typedef struct FuzzRow {
    const DevemuReg *reg;
    unsigned bank;
    unsigned count, stride, size;
} FuzzRow;

static inline bool fuzz_head_twin(unsigned head)
{
    return (head & (FUZZ_HEAD_TWIN | FUZZ_HEAD_LATE)) == FUZZ_HEAD_TWIN;
}

typedef struct FuzzBar {
    bool io;
    bool used;
    unsigned bank; /* of the model, or UINT_MAX: made by the bus */
    uint64_t base;
} FuzzBar;

typedef struct Fuzz {
    const DevemuModel *model;
    FuzzInput in;
    FuzzText *text;
    unsigned head;
    bool twin; /* this is the run with migrations */

    FuzzRow *rows;
    unsigned row_count;
    const uint8_t *mac; /* of the device's state, or NULL */

    DevemuSetting settings[FUZZ_SETTINGS];
    unsigned setting_count;

    DevemuDevice *top, *dev;
    DevemuBlock *block; /* of a model that has a medium; else NULL */
    bool bus, plugged;
    FuzzBar bars[FUZZ_BARS];

    DevemuHostOps ops;
    uint8_t *ram;
    uint8_t defined[FUZZ_RAM_BYTES / FUZZ_GRANULE];
    uint64_t fail_addr, fail_len;
    bool own;
    unsigned own_bank;
    unsigned dma_calls;
    uint64_t dma_bytes;

    uint64_t now, born, deadline;
    uint64_t lines; /* of top, as told */
    uint64_t logs, unimpls;

    uint64_t last_read;
    unsigned last_row, last_element;
    uint64_t last_write;
    uint8_t *frame; /* last frame sent */
    size_t frame_len;
    uint8_t sink;

    unsigned op;
    uint64_t digest;
    uint64_t digests[FUZZ_OPS + 2];
    unsigned digest_count;
} Fuzz;

/* Run one input. text may be NULL. Aborts with a message when an invariant is broken. */
void fuzz_run(const DevemuModel *model, const uint8_t *data, size_t len, FuzzText *text);

/* An invariant is broken. check is a line for the printed test, or NULL. */
G_NORETURN void fuzz_fail(Fuzz *f, const char *check, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* A line of the test. Nothing without a text. */
void fuzz_say(Fuzz *f, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same, before what the operation under way has said. */
void fuzz_say_before(Fuzz *f, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The text calls this function, FUZZ_USES_*. */
void fuzz_uses(Fuzz *f, unsigned helper);
/* Does it take frames or characters? */
static inline bool fuzz_listens(const DevemuModel *model)
{
    return model->receive || model->receive_packet;
}

/* What the test calls the device. */
static inline const char *fuzz_dev(const Fuzz *f)
{
    return f->bus ? "dev" : "devemu_fake_device(fake)";
}
/* Bytes as the inside of a C array. */
char *fuzz_bytes(const uint8_t *data, size_t len);

void fuzz_digest(Fuzz *f, const void *data, size_t len);
static inline void fuzz_digest_number(Fuzz *f, uint64_t number)
{
    f->digest = (f->digest ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    f->digest ^= f->digest >> 29;
}

/* world.c: making, plugging, replacing the device. */
bool fuzz_world_new(Fuzz *f);
void fuzz_world_free(Fuzz *f);
void fuzz_settings_take(Fuzz *f);
void fuzz_settings_free(Fuzz *f);
void fuzz_plug(Fuzz *f);
void fuzz_unplug(Fuzz *f);
/* Another device with the state of this one. */
void fuzz_migrate(Fuzz *f);

/* host.c */
void fuzz_host_init(Fuzz *f);
void fuzz_attach(Fuzz *f);
/* After an operation. */
void fuzz_block_end(Fuzz *f);
/* The world begins again: no line, no deadline known. */
void fuzz_host_forget(Fuzz *f);
/* The clock goes on, and with run the device runs. */
void fuzz_time(Fuzz *f, uint64_t ns, bool run);

/* access.c */
void fuzz_rows_init(Fuzz *f);
DevemuAccess fuzz_read(Fuzz *f, unsigned bank, uint64_t at, unsigned size, const char *name);
DevemuAccess fuzz_write(Fuzz *f, unsigned bank, uint64_t at, unsigned size, uint64_t value,
                        const char *name);
DevemuAccess fuzz_top_write(Fuzz *f, unsigned bank, uint64_t at, unsigned size, uint64_t value,
                            const char *name);
DevemuAccess fuzz_top_read(Fuzz *f, unsigned bank, uint64_t at, unsigned size, const char *name);
void fuzz_op_write(Fuzz *f);
void fuzz_op_read(Fuzz *f);
void fuzz_op_repeat(Fuzz *f);
void fuzz_op_raw_write(Fuzz *f);
void fuzz_op_raw_read(Fuzz *f);
void fuzz_op_peek(Fuzz *f);
void fuzz_op_bus_write(Fuzz *f);
void fuzz_op_bus_read(Fuzz *f);
void fuzz_op_config_write(Fuzz *f);
void fuzz_op_config_read(Fuzz *f);

/* snapshot.c */
void fuzz_op_save(Fuzz *f);
void fuzz_op_fresh(Fuzz *f);
void fuzz_op_edit(Fuzz *f);
void fuzz_op_patch(Fuzz *f);

/* events.c */
void fuzz_op_ram_words(Fuzz *f);
void fuzz_op_ram_fill(Fuzz *f);
void fuzz_op_ram_forget(Fuzz *f);
void fuzz_op_time(Fuzz *f, FuzzOp op);
void fuzz_op_receive(Fuzz *f);
void fuzz_op_loop(Fuzz *f);
void fuzz_op_ready(Fuzz *f);
void fuzz_op_link(Fuzz *f);
void fuzz_op_input(Fuzz *f);
void fuzz_op_line(Fuzz *f);
void fuzz_op_screen(Fuzz *f);
void fuzz_op_reset(Fuzz *f);
void fuzz_op_fail_dma(Fuzz *f);
void fuzz_op_own_dma(Fuzz *f);

#endif
