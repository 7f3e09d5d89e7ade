/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * am7990.c: AMD LANCE, local area network controller for Ethernet.
 *
 * Datasheet: AMD publication 05698, Am7990, below "DS 7990". The engine is in lance.c and its
 * neighbours. The chip has two ports of 16 bits, RDP and RAP, four registers, addresses of 24 bits
 * and the 16-bit layout of descriptors.
 *
 * The host's memory is what stands on the low byte lane first: on a 68000 bus, whose even byte is
 * on the high lane, the board hands it over with the bytes of each word swapped.
 *
 * Chosen: CSR1, CSR2 and CSR3 read as they are without STOP; the datasheet calls that undefined.
 *
 * Not modelled: collisions, deferral and noise on the wire; byte accesses of the bus, ACON and BCON
 * (pin functions); the limit of 32 bytes to a frame in internal loopback.
 */
#include "lance.h"

enum {
    BANK_PORTS,
    BANK_CSR,
};

static const DevemuBits csr0_bits[] = {
    {"ERR", CSR0_ERR},
    {"BABL", CSR0_BABL},
    {"CERR", CSR0_CERR},
    {"MISS", CSR0_MISS},
    {"MERR", CSR0_MERR},
    {"RINT", CSR0_RINT},
    {"TINT", CSR0_TINT},
    {"IDON", CSR0_IDON},
    {"INTR", CSR0_INTR},
    {"INEA", CSR0_INEA},
    {"RXON", CSR0_RXON},
    {"TXON", CSR0_TXON},
    {"TDMD", CSR0_TDMD},
    {"STOP", CSR0_STOP},
    {"STRT", CSR0_STRT},
    {"INIT", CSR0_INIT},
    {0},
};

static const DevemuBits csr3_bits[] = {
    {"BSWP", CSR3_BSWP}, {"ACON", CSR3_ACON}, {"BCON", CSR3_BCON}, {0}};

static const DevemuReg port_regs[] = {
    {
        .name = "RDP",
        .title = "register data port",
        .section = "Register Data Port",
        .at = 0,
        .size = 2,
        DEVEMU_WINDOW(BANK_CSR, struct lance, rap),
    },
    {
        .name = "RAP",
        .title = "register address port",
        .section = "Register Address Port",
        .at = 2,
        .size = 2,
        DEVEMU_IN(struct lance, rap),
        .rsvd = 0xfffc,
    },
};

static const DevemuReg csr_regs[] = {
    {
        .name = "CSR0",
        .title = "control and status",
        .section = "CSR0",
        .bits = csr0_bits,
        .at = 0,
        .size = 2,
        DEVEMU_IN(struct lance, csr0),
        .reset = CSR0_STOP,
        .stop = 0xffff,
        .ro = CSR0_ERR | CSR0_INTR | CSR0_RXON | CSR0_TXON,
        .w1c = CSR0_W1C,
        .w1s = CSR0_TDMD | CSR0_STOP | CSR0_STRT | CSR0_INIT,
        .read = lance_csr0_read,
        .wrote = lance_csr0_wrote,
    },
    {
        .name = "CSR1",
        .title = "initialization block address, lower",
        .section = "CSR1",
        .at = 1,
        .size = 2,
        DEVEMU_IN(struct lance, iadr[0]),
        .keep_hard = 0xffff,
        .rsvd = 0x0001,
        .writable = lance_stopped,
    },
    {
        .name = "CSR2",
        .title = "initialization block address, upper",
        .section = "CSR2",
        .at = 2,
        .size = 2,
        DEVEMU_IN(struct lance, iadr[1]),
        .keep_hard = 0xffff,
        .rsvd = 0xff00,
        .writable = lance_stopped,
    },
    {
        .name = "CSR3",
        .title = "bus interface",
        .section = "CSR3",
        .bits = csr3_bits,
        .at = 3,
        .size = 2,
        DEVEMU_IN(struct lance, csr3),
        .stop = 0xffff,
        .rsvd = 0xfff8,
        .writable = lance_stopped,
    },
};

static const DevemuBank banks[] = {
    [BANK_PORTS] = {.name = "ports",
                    .kind = DEVEMU_BANK_PIO,
                    .size = 4,
                    .regs = port_regs,
                    .reg_count = DEVEMU_N_ELEMENTS(port_regs)},
    [BANK_CSR] = {.name = "csr",
                  .kind = DEVEMU_BANK_INDEXED,
                  .size = 4,
                  .regs = csr_regs,
                  .reg_count = DEVEMU_N_ELEMENTS(csr_regs)},
};

static const struct lance_chip chip = {
    .mode = MODE_AM7990,
    .swap = 1,
    .init_ns = 12 * 600, /* DS 7990: twelve words, a bus cycle of 600 ns each */
    .poll_ns = 1600000,  /* DS 7990 "Polling" */
};

static bool am7990_configure(void *state, const char **ret_property, const char **ret_message)
{
    struct lance *s = state;

    (void)ret_property;
    (void)ret_message;
    s->chip = &chip;
    return true;
}

static void am7990_reset(void *state, DevemuReset kind)
{
    lance_reset(state, kind);
}

static uint64_t am7990_lines(const void *state)
{
    return lance_interrupt(state);
}

static const DevemuField fields[] = {
    DEVEMU_SKIP(struct lance, chip),
    DEVEMU_SKIP(struct lance, reserved),
    DEVEMU_SAVE_MAX(struct lance, work, LANCE_WORK_RX | LANCE_WORK_TX),
    DEVEMU_SKIP(struct lance, spare),
    DEVEMU_SKIP(struct lance, scratch),
    DEVEMU_SAVE(struct lance, gap_ns),
    DEVEMU_SAVE(struct lance, csr6),
    DEVEMU_SAVE_ARRAY(struct lance, ladrf),
    DEVEMU_SAVE_ARRAY(struct lance, padr),
    DEVEMU_SAVE(struct lance, mode),
    DEVEMU_SAVE_ARRAY(struct lance, csr18),
    DEVEMU_SAVE(struct lance, csr46),
    DEVEMU_SAVE_ARRAY(struct lance, csr60),
    DEVEMU_SAVE(struct lance, rcvrc),
    DEVEMU_SAVE(struct lance, xmtrc),
    DEVEMU_SAVE(struct lance, rcvrl),
    DEVEMU_SAVE(struct lance, xmtrl),
    DEVEMU_SAVE_MAX(struct lance, link_up, 1),
    DEVEMU_SAVE_MAX(struct lance, rx_blocked, 1),
    DEVEMU_SAVE(struct lance, runts),
    /* only PCnets have these */
    DEVEMU_SKIP(struct lance, mac),
    DEVEMU_SKIP(struct lance, csr4),
    DEVEMU_SKIP(struct lance, csr5),
    DEVEMU_SKIP(struct lance, pollint),
    DEVEMU_SKIP(struct lance, csr100),
    DEVEMU_SKIP(struct lance, csr112),
    DEVEMU_SKIP(struct lance, csr114),
    DEVEMU_SKIP(struct lance, csr122),
    DEVEMU_SKIP(struct lance, csr124),
    DEVEMU_SKIP(struct lance, sws),
    DEVEMU_SKIP(struct lance, fdc),
    DEVEMU_SKIP(struct lance, suspending),
    DEVEMU_SKIP(struct lance, asel),
    DEVEMU_SKIP(struct lance, tmauloop),
    DEVEMU_SKIP(struct lance, seen),
    DEVEMU_SKIP(struct lance, lamps_busy),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct lance, poll_ns, lance_poll_expired),
    DEVEMU_TIMER(struct lance, init_ns, lance_init_expired),
    DEVEMU_TIMER(struct lance, work_ns, lance_work_expired),
    DEVEMU_TIMER(struct lance, tx_ns, lance_tx_expired),
    DEVEMU_TIMER(struct lance, rx_ns, lance_rx_expired),
    {0},
};

static const char *const latencies[] = {"instant", "datasheet", NULL};
static const char *const shorts[] = {"pad", "runt", NULL};

static const DevemuProperty properties[] = {
    {.name = "latency",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct lance, latency),
     .value = "instant",
     .choices = latencies,
     .doc = "Do frames take no time, or as long as on a wire of 10 Mb/s?"},
    {.name = "short-frames",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct lance, short_frames),
     .value = "pad",
     .choices = shorts,
     .doc = "What a frame of less than 60 bytes from the network is: padded by its sender before "
            "it came here, or a runt on the wire"},
    {.name = "link",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct lance, link),
     .value = "on",
     .doc = "Is the cable plugged in at the beginning?"},
    {0},
};

static const char *const outputs[] = {"INTR#", NULL};
/* Where the NE2100 and its like have the ports. */
static const DevemuIsa isa = {.bases = {0x310}, .irq = 3};

const DevemuModel devemu_model_am7990 = {
    .name = "am7990",
    .title = "AMD LANCE Ethernet controller",
    .datasheet = "AMD 05698, Am7990",
    .not_modelled =
        "collisions, deferral and noise on the wire; byte accesses of the bus, ACON and "
        "BCON; the limit of 32 bytes to a frame in internal loopback",
    .state_size = sizeof(struct lance),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = am7990_lines,
    .configure = am7990_configure,
    .reset = am7990_reset,
    .valid = lance_valid,
    .receive = lance_receive,
    .ready = lance_ready,
    .link = lance_link,
    .isa = &isa,
    .is_net = true,
};
