/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i440fx.c: the PCI side of the 82441FX PCI and Memory Controller: configuration space, where each
 * piece of the first megabyte leads, and the reset of the CPU.
 *
 * Datasheet: Intel 440FX PCIset, 290549-001, below "DS"; register descriptions are cited by the
 * register's name. The configuration mechanism (CF8h, CFCh) is the PCI bus's.
 *
 * What the attribute registers decide goes out as lines; see devemu/chipset.h.
 *
 * Not modelled: DRAM timing, type and row boundaries (stored); ECC and parity errors; the fixed
 * DRAM hole; DeTurbo mode; write posting and the other performance settings; self-test.
 */
#include <devemu/chipset.h>
#include <devemu/model.h>

enum {
    BANK_CONFIG,
};

/* Programmable attribute map, DS PAM: two segments in each register. */
enum {
    PAM_READ = 1 << 0,
    PAM_WRITE = 1 << 1,
    PAM_FIXED = 0xcc,
    PAM_REGISTERS = 7,
};

/* System management RAM control, DS SMRAM. */
enum {
    SMRAM_BASE = 7 << 0,
    SMRAM_BASE_A0000 = 2 << 0,
    SMRAM_ENABLE = 1 << 3,
    SMRAM_LOCK = 1 << 4,
    SMRAM_CLOSED = 1 << 5,
    SMRAM_OPEN = 1 << 6,
};

/* Turbo reset control, DS TRC. */
enum {
    TRC_DETURBO = 1 << 0,
    TRC_HARD = 1 << 1,
    TRC_RESET = 1 << 2,
};

/* What the rise of TRC_RESET began. */
enum {
    RESET_NONE,
    RESET_INIT,
    RESET_HARD,
};

struct i440fx {
    DevemuDevice *dev;
    uint32_t subsystem; /* property */
    uint8_t pam[PAM_REGISTERS];
    uint8_t smram;
    uint8_t trc;
    uint8_t resetting;

    /* Stored only. */
    uint8_t deturbo, dbc, axc, dramc, dramt;
    uint8_t drb[8];
    uint8_t fdhc, mtt, clt, errcmd, errsts;
    uint16_t pmccfg, drt;
    uint32_t unused;
};

/* The low half of PAM0 is reserved; the high one is the BIOS area at F0000h. */
static void pam_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i440fx *s = state;

    (void)old;
    s->pam[index] = (uint8_t)(value & (index == 0 ? 0x30 : 0x33));
}

/* DS SMRAM: once locked, DRAM cannot be opened any more, nor the lock. */
static void smram_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i440fx *s = state;

    (void)index;
    s->smram = (uint8_t)((value & (SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSED | SMRAM_OPEN)) |
                         (old & SMRAM_LOCK) | SMRAM_BASE_A0000);
    if (s->smram & SMRAM_LOCK) {
        s->smram &= (uint8_t)~SMRAM_OPEN;
    }
}

/* DS TRC: the CPU is reset when bit 2 goes from 0 to 1; bit 1 says how. */
static void trc_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i440fx *s = state;

    (void)index;
    if (!(value & TRC_RESET)) {
        s->resetting = RESET_NONE;
    } else if (!(old & TRC_RESET)) {
        s->resetting = value & TRC_HARD ? RESET_HARD : RESET_INIT;
    }
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits pam_bits[] = {
    {"RE_LOW", 1 << 0},  {"WE_LOW", 1 << 1},  {"CE_LOW", 1 << 2}, {"RE_HIGH", 1 << 4},
    {"WE_HIGH", 1 << 5}, {"CE_HIGH", 1 << 6}, {NULL, 0},
};

static const DevemuBits smram_bits[] = {
    {"DBASESEG", SMRAM_BASE}, {"SMRAME", SMRAM_ENABLE}, {"DLCK", SMRAM_LOCK},
    {"DCLS", SMRAM_CLOSED},   {"DOPEN", SMRAM_OPEN},    {NULL, 0},
};

static const DevemuBits trc_bits[] = {
    {"DM", TRC_DETURBO}, {"SHRE", TRC_HARD}, {"RCPU", TRC_RESET}, {NULL, 0}};

#define F(member) DEVEMU_IN(struct i440fx, member)

static uint64_t subsystem_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct i440fx *)state)->subsystem;
}

static const DevemuReg config_regs[] = {
    {"SUBSYS", "Subsystem ID and vendor ID: reserved, 0, on the 82441FX; see the property",
     "PCI 2.2 6.2.4", .at = 0x2c, .size = 4, .ro = 0xffffffff, .read = subsystem_read},
    {"PMCCFG", "PMC configuration", "DS PMCCFG", .at = 0x50, .size = 2, F(pmccfg)},
    {"DETURBO", "DeTurbo counter", "DS DETURBO", .at = 0x52, F(deturbo)},
    {"DBC", "DRAM buffer control", "DS DBC", .at = 0x53, F(dbc), .reset = 0x83},
    {"AXC", "Auxiliary control", "DS AXC", .at = 0x54, F(axc)},
    {"DRT", "DRAM row type", "DS DRT", .at = 0x55, .size = 2, F(drt)},
    {"DRAMC", "DRAM control", "DS DRAMC", .at = 0x57, F(dramc), .reset = 0x01},
    {"DRAMT", "DRAM timing", "DS DRAMT", .at = 0x58, F(dramt), .reset = 0x10},
    {"PAM", "Programmable attribute map", "DS PAM", pam_bits, .at = 0x59, .count = PAM_REGISTERS,
     DEVEMU_IN_ARRAY(struct i440fx, pam), .ro = PAM_FIXED, .wrote = pam_wrote},
    {"DRB", "DRAM row boundary, in 8 MiB", "DS DRB", .at = 0x60, .count = 8,
     DEVEMU_IN_ARRAY(struct i440fx, drb), .reset = 0x01},
    {"FDHC", "Fixed DRAM hole control", "DS FDHC", .at = 0x68, F(fdhc), .unimpl = true},
    {"MTT", "Multi-transaction timer", "DS MTT", .at = 0x70, F(mtt)},
    {"CLT", "CPU latency timer", "DS CLT", .at = 0x71, F(clt), .reset = 0x10},
    {"SMRAM", "System management RAM control", "DS SMRAM", smram_bits, .at = 0x72, F(smram),
     .reset = SMRAM_BASE_A0000, .ro = SMRAM_BASE | 0x80, .wrote = smram_wrote},
    {"ERRCMD", "Error command", "DS ERRCMD", .at = 0x90, F(errcmd)},
    {"ERRSTS", "Error status", "DS ERRSTS", .at = 0x91, F(errsts), .w1c = 0x11, .ro = 0xee},
    {"TRC", "Turbo reset control", "DS TRC", trc_bits, .at = 0x93, F(trc), .ro = 0xf0,
     .wrote = trc_wrote},
};

static const DevemuBank banks[] = {
    [BANK_CONFIG] = {.name = "config",
                     .kind = DEVEMU_BANK_CONFIG,
                     .size = 256,
                     .regs = config_regs,
                     .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                     .lanes = true},
};

/* --- reset and lines --------------------------------------------------------------- */

static void reset(void *state, DevemuReset kind)
{
    struct i440fx *s = state;

    (void)kind;
    s->resetting = RESET_NONE;
}

static bool valid(const void *state)
{
    const struct i440fx *s = state;

    return s->resetting <= RESET_HARD && (s->smram & SMRAM_BASE) == SMRAM_BASE_A0000 &&
           !((s->smram & SMRAM_LOCK) && (s->smram & SMRAM_OPEN));
}

/* Segments 0 to 11 are the halves of PAM1 to PAM6 in order, 12 is the high half of PAM0. */
static unsigned attributes(const struct i440fx *s, unsigned segment)
{
    unsigned half = segment + 2;

    if (segment == DEVEMU_I440FX_SEGMENTS - 1) {
        half = 1;
    }
    return s->pam[half / 2] >> (half % 2 * 4);
}

static uint64_t lines(const void *state)
{
    const struct i440fx *s = state;
    bool enabled = (s->smram & SMRAM_ENABLE) != 0;
    uint64_t out = 0;

    for (unsigned n = 0; n < DEVEMU_I440FX_SEGMENTS; n++) {
        unsigned pam = attributes(s, n);

        out |= (uint64_t)((pam & PAM_READ) != 0) << devemu_i440fx_read_line(n);
        out |= (uint64_t)((pam & PAM_WRITE) != 0) << devemu_i440fx_write_line(n);
    }
    out |= (uint64_t)(enabled && (s->smram & SMRAM_OPEN)) << DEVEMU_I440FX_SMRAM_OPEN;
    out |= (uint64_t)enabled << DEVEMU_I440FX_SMRAM_CODE;
    out |= (uint64_t)(enabled && !(s->smram & SMRAM_CLOSED)) << DEVEMU_I440FX_SMRAM_DATA;
    out |= (uint64_t)(s->resetting == RESET_INIT) << DEVEMU_I440FX_INIT;
    out |= (uint64_t)(s->resetting == RESET_HARD) << DEVEMU_I440FX_RESET;
    return out;
}

/* --- fields, identity -------------------------------------------------------------- */

static const DevemuField fields[] = {
    DEVEMU_SAVE_MAX(struct i440fx, resetting, RESET_HARD),
    DEVEMU_SKIP(struct i440fx, unused),
    {NULL},
};

static const DevemuProperty properties[] = {
    {.name = "subsystem",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct i440fx, subsystem),
     .doc = "What configuration register 2Ch reads as: subsystem ID << 16 | vendor ID. SeaBIOS "
            "looks there for 0x11001af4 to know a virtual machine with fw_cfg."},
    {.name = NULL},
};

static const char *const outputs[] = {
    "C0000.RE",   "C0000.WE", "C4000.RE", "C4000.WE", "C8000.RE", "C8000.WE",   "CC000.RE",
    "CC000.WE",   "D0000.RE", "D0000.WE", "D4000.RE", "D4000.WE", "D8000.RE",   "D8000.WE",
    "DC000.RE",   "DC000.WE", "E0000.RE", "E0000.WE", "E4000.RE", "E4000.WE",   "E8000.RE",
    "E8000.WE",   "EC000.RE", "EC000.WE", "F0000.RE", "F0000.WE", "SMRAM.OPEN", "SMRAM.CODE",
    "SMRAM.DATA", "INIT",     "CPURST",   NULL,
};

/* The chip is always a master; SERR# and parity can be chosen. */
static const DevemuPci pci = {
    .vendor = 0x8086,
    .device = 0x1237,
    .revision = 0x02,
    .class_code = 0x060000,
    .command = 0x0006,
    .command_mask = 0x0140,
    .status = 0x0280,
    .config_bank = BANK_CONFIG + 1,
};

const DevemuModel devemu_model_i440fx = {
    .name = "i440fx",
    .title = "Intel 82441FX host bridge",
    .datasheet = "Intel 440FX PCIset, 290549-001",
    .not_modelled = "DRAM timing and sizing; ECC and parity; fixed DRAM hole; DeTurbo; self-test",
    .state_size = sizeof(struct i440fx),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .properties = properties,
    .outputs = outputs,
    .lines = lines,
    .reset = reset,
    .valid = valid,
    .pci = &pci,
};
