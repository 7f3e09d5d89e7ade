/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * debugcon.c: the debug port of Bochs (E9h) and of QEMU's isa-debugcon (402h): what is written goes
 * out as a character, a read tells that the port is there.
 *
 * There is no datasheet; SeaBIOS (debug port 402h) and Bochs BIOS (E9h) show the protocol: write
 * bytes, and before the first one read the port and expect E9h.
 *
 * Not modelled: nothing known.
 */
#include <devemu/model.h>

enum {
    BANK_IO,
};

#define DEFAULT_READBACK "0xe9"

struct debugcon {
    DevemuDevice *dev;
    uint64_t readback;
};

static uint64_t data_read(const void *state, unsigned index)
{
    const struct debugcon *con = state;

    (void)index;
    return con->readback;
}

static void data_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct debugcon *con = state;
    uint8_t c = (uint8_t)value;

    (void)index;
    (void)old;
    devemu_send_chars(con->dev, &c, 1);
}

static const DevemuReg io_regs[] = {
    {
        .name = "DATA",
        .title = "character out, presence in",
        .section = "SeaBIOS debug port",
        .at = 0,
        .size = 1,
        .read = data_read,
        .wrote = data_wrote,
    },
};

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 1,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs)},
};

static const DevemuProperty properties[] = {
    {.name = "readback",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct debugcon, readback),
     .value = DEFAULT_READBACK,
     .max = 0xff,
     .doc = "What a read of the port gives; guests look for 0xe9."},
    {0},
};

static const DevemuIsa isa = {.bases = {0x402}, .irq = 0xff};

const DevemuModel devemu_model_debugcon = {
    .name = "debugcon",
    .title = "Debug console port",
    .datasheet = "none; the protocol of the Bochs and QEMU debug ports",
    .not_modelled = "nothing known",
    .state_size = sizeof(struct debugcon),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .properties = properties,
    .isa = &isa,
    .is_char = true,
};
