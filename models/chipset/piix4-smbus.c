/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * piix4-smbus.c: the SMBus host controller of the 82371AB; see piix4-pm.c. Nobody is on the bus.
 */
#include "piix4-pm.h"

enum {
    SMB_BUSY = 1 << 0,
    SMB_INTER = 1 << 1,
    SMB_DEV_ERR = 1 << 2,
    SMB_BUS_ERR = 1 << 3,
    SMB_FAILED = 1 << 4,
    SMB_STATUS = SMB_INTER | SMB_DEV_ERR | SMB_BUS_ERR | SMB_FAILED,

    SMB_INTEREN = 1 << 0,
    SMB_KILL = 1 << 1,
    SMB_START = 1 << 6,
};

/* An address that nobody acknowledges: start, eight bits and the missing acknowledge; the SMBus
 * specification allows 10 to 100 kHz, we choose 16 kHz. */
#define SMB_ADDRESS_NS UINT64_C(625000)

/* --- SMBus host: nobody is on the bus ---------------------------------------------- */

static bool smbus_busy(const struct piix4_pm *s)
{
    return s->smbus_done_ns != DEVEMU_NEVER;
}

static uint64_t smbhststs_read(const void *state, unsigned index)
{
    const struct piix4_pm *s = state;

    (void)index;
    return s->smbhststs | (smbus_busy(s) ? SMB_BUSY : 0u);
}

void piix4_smbus_done(void *state, uint64_t due_ns)
{
    struct piix4_pm *s = state;

    (void)due_ns;
    s->smbhststs |= SMB_DEV_ERR;
}

static void smbhstcnt_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct piix4_pm *s = state;

    (void)index;
    (void)old;
    s->smbhstcnt &= (uint8_t)~SMB_START;
    if (value & SMB_KILL) {
        if (smbus_busy(s)) {
            s->smbus_done_ns = DEVEMU_NEVER;
            s->smbhststs |= SMB_FAILED;
        }
    } else if ((value & SMB_START) && !smbus_busy(s)) {
        s->smbus_done_ns = devemu_now(s->dev) + SMB_ADDRESS_NS;
    }
}

/* DS SMBBLKDAT: reading the control register returns to the first byte. */
static void smbhstcnt_took(void *state, unsigned index)
{
    struct piix4_pm *s = state;

    (void)index;
    s->block_index = 0;
}

static uint64_t block_read(const void *state, unsigned index)
{
    const struct piix4_pm *s = state;

    (void)index;
    return s->block[s->block_index];
}

static void block_took(void *state, unsigned index)
{
    struct piix4_pm *s = state;

    (void)index;
    s->block_index = (s->block_index + 1) % SMB_BLOCK;
}

static void block_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct piix4_pm *s = state;

    (void)old;
    s->block[s->block_index] = (uint8_t)value;
    block_took(s, index);
}

static const DevemuBits smbhststs_bits[] = {
    {"HOST_BUSY", SMB_BUSY},  {"INTER", SMB_INTER},   {"DEV_ERR", SMB_DEV_ERR},
    {"BUS_ERR", SMB_BUS_ERR}, {"FAILED", SMB_FAILED}, {NULL, 0},
};
static const DevemuBits smbhstcnt_bits[] = {{"INTEREN", SMB_INTEREN},
                                            {"KILL", SMB_KILL},
                                            {"SMB_CMD_PROT", 7 << 2},
                                            {"START", SMB_START},
                                            {NULL, 0}};

#define F(member) DEVEMU_IN(struct piix4_pm, member)

const DevemuReg piix4_smbus_regs[] = {
    {"SMBHSTSTS", "Host status", "DS SMBHSTSTS", smbhststs_bits, .at = 0x0, F(smbhststs),
     .w1c = SMB_STATUS, .ro = 0xff & ~SMB_STATUS, .read = smbhststs_read},
    {"SMBSLVSTS", "Slave status", "DS SMBSLVSTS", .at = 0x1, F(smbslvsts), .w1c = 0x3c, .ro = 0xc3},
    {"SMBHSTCNT", "Host control", "DS SMBHSTCNT", smbhstcnt_bits, .at = 0x2, F(smbhstcnt),
     .ro = 0xa0, .wrote = smbhstcnt_wrote, .took = smbhstcnt_took},
    {"SMBHSTCMD", "Host command", "DS SMBHSTCMD", .at = 0x3, F(smbhstcmd)},
    {"SMBHSTADD", "Host address", "DS SMBHSTADD", .at = 0x4, F(smbhstadd)},
    {"SMBHSTDAT", "Host data 0 and 1", "DS SMBHSTDAT0", .at = 0x5, .count = 2,
     DEVEMU_IN_ARRAY(struct piix4_pm, smbhstdat)},
    {"SMBBLKDAT", "Block data, byte by byte", "DS SMBBLKDAT", .at = 0x7, .read = block_read,
     .took = block_took, .wrote = block_wrote},
    {"SMBSLVCNT", "Slave control", "DS SMBSLVCNT", .at = 0x8, F(smbslvcnt), .unimpl = true},
    {"SMBSHDWCMD", "Shadow command", "DS SMBSHDWCMD", .at = 0x9, F(smbshdwcmd), .ro = 0xff},
    {"SMBSLVEVT", "Slave event", "DS SMBSLVEVT", .at = 0xa, .size = 2, F(smbslvevt)},
    {"SMBSLVDAT", "Slave data", "DS SMBSLVDAT", .at = 0xc, .size = 2, F(smbslvdat), .ro = 0xffff},
};

/* --- for the rest of the chip ------------------------------------------------------ */

void piix4_smbus_reset(struct piix4_pm *s, DevemuReset kind)
{
    if (kind == DEVEMU_RESET_POWER) {
        memset(s->block, 0, sizeof(s->block));
    }
    s->block_index = 0;
    s->smbus_done_ns = DEVEMU_NEVER;
}

bool piix4_smbus_interrupt(const struct piix4_pm *s)
{
    return (s->smbhstcnt & SMB_INTEREN) && (s->smbhststs & SMB_STATUS);
}
