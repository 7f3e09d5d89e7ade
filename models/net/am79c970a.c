/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * am79c970a.c: AMD PCnet-PCI II, Ethernet controller for PCI.
 *
 * Datasheet: AMD publication 19436, Am79C970A, rev. E, June 2000, below "DS". The engine is in
 * lance.c and its neighbours, the registers in pcnet-csr.c and pcnet-bcr.c, the EEPROM in
 * pcnet-eeprom.c.
 *
 * Decided by other sources than its own datasheet:
 * - DWIO is left by H_RESET only; S_RESET touches no bus configuration register. Linux' pcnet32
 *   (2.4) resets in both modes, one after the other, and still has to find out which mode it is.
 * - CSR124 is written with EN124 and STOP, RCVALGN (CSR122) at any time: the Am79C978A, page 141.
 * - The 36 bytes of the EEPROM and their sum: the Am79C965A, page 113.
 *
 * Facts that no page of the datasheet or driver could be found for, and what is done:
 * - BCR2 can be written at any time; INTLEVEL turns the pin round.
 * - The PCI revision is 16h, as lspci shows of cards with this chip.
 * - A 32-bit write to RDP in WIO mode switches to DWIO, and then is a write to RDP.
 * - An external loopback goes through the T-MAU to the network only with TMAULOOP (BCR2).
 *
 * Not modelled: collisions, deferral, noise and jabber of other stations (so RCC, RCVCCO, EXDINT,
 * MORE, ONE, DEF, LCOL, FRAM and received CRC errors do not come from the wire); SLEEP# and the
 * sleep modes; the external address detection, GPSI and JTAG pins; parity errors and APERREN; the
 * ILACC's meaning of CSR bits (CSRPCNET = 0); FIFO watermarks, burst lengths and ROM timing (BCR18,
 * CSR80, CSR82), which have no effect that a driver can see; the poll of the transmit ring after
 * each received frame; the time between the two interrupts of LAPP (CSR3); time domain
 * reflectometry (TDR and CSR94 are zero).
 */
#include "pcnet.h"

/* --- access to the registers: DS "I/O Resources" ----------------------------------- */

static bool is_wio(const void *state)
{
    const struct pcnet *p = state;

    return (p->bcr18 & BCR18_DWIO) == 0;
}

static bool is_dwio(const void *state)
{
    return !is_wio(state);
}

static bool aprom_writable(const void *state)
{
    const struct pcnet *p = state;

    return (p->bcr2 & BCR2_APROMWE) != 0;
}

/* DS "S_RESET": reading the Reset register. */
static void reset_took(void *state, unsigned index)
{
    struct pcnet *p = state;

    (void)index;
    devemu_reset_banks(p->lance.dev, DEVEMU_RESET_SOFT);
    lance_reset(&p->lance, DEVEMU_RESET_SOFT);
    pcnet_lamps(p);
}

/* DS "Double Word I/O Mode": a write of 32 bits to RDP. */
static void enter_dwio(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pcnet *p = state;

    (void)index;
    (void)old;
    p->bcr18 |= BCR18_DWIO;
    devemu_bank_write(p->lance.dev, BANK_CSR, p->lance.rap, value);
}

static uint64_t all_ones(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return UINT64_MAX;
}

/*
 * Accesses that no row takes: the address PROM in words, and what the datasheet calls undefined,
 * which reads as ones, as a driver's probe for the other mode expects, and changes nothing.
 */
static DevemuAccess other_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct pcnet *p = state;

    *ret_value = UINT64_MAX >> (64 - size * 8);
    if (at + size <= PCNET_APROM) {
        *ret_value = 0;
        for (unsigned i = 0; i < size; i++) {
            *ret_value |= (uint64_t)p->aprom[at + i] << (i * 8);
        }
    }
    return DEVEMU_ACCESS_OK;
}

static DevemuAccess other_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct pcnet *p = state;

    if (at + size > PCNET_APROM) {
        devemu_guest_error(p->lance.dev, "I/O resources: access in a width that is not the mode's");
    } else if (!aprom_writable(p)) {
        devemu_guest_error(p->lance.dev, "APROM: written without APROMWE");
    } else {
        for (unsigned i = 0; i < size; i++) {
            p->aprom[at + i] = (uint8_t)(value >> (i * 8));
        }
    }
    return DEVEMU_ACCESS_OK;
}

static const DevemuReg io_regs[] = {
    {
        .name = "APROM",
        .title = "address PROM",
        .section = "Address PROM Space",
        .at = 0x00,
        .size = 1,
        .count = PCNET_APROM,
        DEVEMU_IN_ARRAY(struct pcnet, aprom),
        .keep_soft = 0xff,
        .writable = aprom_writable,
    },
    {
        .name = "RDP",
        .title = "register data port",
        .section = "Word I/O Mode",
        .at = 0x10,
        .size = 2,
        .decoded = is_wio,
        DEVEMU_WINDOW(BANK_CSR, struct pcnet, lance.rap),
    },
    {
        .name = "RDP",
        .title = "entry to double word I/O",
        .section = "Double Word I/O Mode",
        .at = 0x10,
        .size = 4,
        .decoded = is_wio,
        .read = all_ones,
        .wrote = enter_dwio,
    },
    {
        .name = "RAP",
        .title = "register address port",
        .section = "Word I/O Mode",
        .at = 0x12,
        .size = 2,
        .decoded = is_wio,
        DEVEMU_IN(struct pcnet, lance.rap),
        .rsvd = 0xff80,
    },
    {
        .name = "RESET",
        .title = "reset register",
        .section = "Word I/O Mode",
        .at = 0x14,
        .size = 2,
        .decoded = is_wio,
        .took = reset_took,
        .ro = 0xffff,
    },
    {
        .name = "BDP",
        .title = "bus configuration register data port",
        .section = "Word I/O Mode",
        .at = 0x16,
        .size = 2,
        .decoded = is_wio,
        DEVEMU_WINDOW(BANK_BCR, struct pcnet, lance.rap),
    },
    {
        .name = "RDP",
        .title = "register data port",
        .section = "Double Word I/O Mode",
        .at = 0x10,
        .size = 4,
        .decoded = is_dwio,
        DEVEMU_WINDOW(BANK_CSR, struct pcnet, lance.rap),
    },
    {
        .name = "RAP",
        .title = "register address port",
        .section = "Double Word I/O Mode",
        .at = 0x14,
        .size = 4,
        .decoded = is_dwio,
        DEVEMU_IN(struct pcnet, lance.rap),
        .rsvd = 0xffffff80,
    },
    {
        .name = "RESET",
        .title = "reset register",
        .section = "Double Word I/O Mode",
        .at = 0x18,
        .size = 4,
        .decoded = is_dwio,
        .took = reset_took,
        .ro = 0xffffffff,
    },
    {
        .name = "BDP",
        .title = "bus configuration register data port",
        .section = "Double Word I/O Mode",
        .at = 0x1c,
        .size = 4,
        .decoded = is_dwio,
        DEVEMU_WINDOW(BANK_BCR, struct pcnet, lance.rap),
    },
};

/* --- PCI configuration space: what BCR22 decides ----------------------------------- */

static uint64_t min_gnt_read(const void *state, unsigned index)
{
    const struct pcnet *p = state;

    (void)index;
    return p->bcr22 & 0xff;
}

static uint64_t max_lat_read(const void *state, unsigned index)
{
    const struct pcnet *p = state;

    (void)index;
    return p->bcr22 >> 8;
}

static const DevemuReg config_regs[] = {
    {
        .name = "MIN_GNT",
        .title = "minimum grant",
        .section = "PCI MIN_GNT Register",
        .at = 0x3e,
        .size = 1,
        .reset = 0x06,
        .ro = 0xff,
        .read = min_gnt_read,
    },
    {
        .name = "MAX_LAT",
        .title = "maximum latency",
        .section = "PCI MAX_LAT Register",
        .at = 0x3f,
        .size = 1,
        .reset = 0xff,
        .ro = 0xff,
        .read = max_lat_read,
    },
};

static const DevemuPci pci = {
    .vendor = 0x1022,
    .device = 0x2000,
    .revision = 0x16,
    .class_code = 0x020000,
    .min_gnt = 0x06,
    .max_lat = 0xff,
    .interrupt_pin = 1,
    .command_mask = 0x0147,
    .status = 0x0280, /* fast back-to-back, medium DEVSEL# */
    .bars = {{.bank = BANK_IO + 1}, {.bank = BANK_MMIO + 1}},
    .config_bank = BANK_CONFIG + 1,
    .rom = "rom",
};

/* --- reset, lines ------------------------------------------------------------------ */

/* DS "H_RESET": the EEPROM is read at its end. S_RESET is the Reset register's. */
static void am79c970a_reset(void *state, DevemuReset kind)
{
    struct pcnet *p = state;

    if (kind == DEVEMU_RESET_POWER) {
        pcnet_eeprom_power(p);
    }
    lance_reset(&p->lance, kind);
    if (kind == DEVEMU_RESET_SOFT) {
        pcnet_lamps(p);
        return;
    }
    microwire_pins(&p->eeprom, false, false, false);
    p->led_ns = DEVEMU_NEVER;
    p->led_lit = 0;
    p->lance.seen = 0;
    p->lance.lamps_busy = 0;
    pcnet_eeprom_load(p);
}

/* Line 0 is high while INTA# is low. DS BCR2, INTLEVEL: with one the pin is high while a request
 * stands, and low otherwise, which on a PCI bus is the wrong way round. */
static uint64_t am79c970a_lines(const void *state)
{
    const struct pcnet *p = state;
    bool inverted = (p->bcr2 & BCR2_INTLEVEL) != 0;

    return (uint64_t)(lance_interrupt(&p->lance) != inverted) << LINE_INTA | (uint64_t)p->lamps
                                                                                 << LINE_LEDS;
}

static void am79c970a_link(void *state, unsigned link)
{
    lance_link(state, link);
    pcnet_lamps(state);
}

static bool am79c970a_valid(const void *state)
{
    const struct pcnet *p = state;
    bool wide = (p->lance.sws & SWS_SSIZE32) != 0;
    unsigned style = p->lance.sws & SWS_SWSTYLE;

    return lance_valid(state) && microwire_valid(&p->eeprom) && style <= STYLE_PCNET_PCI_II &&
           wide == (style != STYLE_LANCE) && p->lance.asel == ((p->bcr2 & BCR2_ASEL) != 0) &&
           p->lance.lamps_busy == (p->led_ns != DEVEMU_NEVER);
}

static void am79c970a_loaded(void *state)
{
    pcnet_ports(state);
    pcnet_lamps(state);
}

static const struct lance_chip chip = {
    .mode = 0xffff,
    .swap = 3,
    .pcnet = true,
    /* Chosen: seven double words, one bus access of ten clocks each. */
    .init_ns = 7 * 10 * 30,
    .saw = pcnet_saw,
};

static bool am79c970a_configure(void *state, const char **ret_property, const char **ret_message)
{
    struct pcnet *p = state;

    p->lance.chip = &chip;
    if (p->eeprom_image.len != 0 && p->eeprom_image.len != PCNET_EEPROM_BYTES) {
        *ret_property = "eeprom";
        *ret_message = "must be 128 bytes long, the contents of a 93C46";
        return false;
    }
    if (p->lance.mac[0] & 1) {
        *ret_property = "mac";
        *ret_message = "must be the address of one station: the first byte has to be even";
        return false;
    }
    return true;
}

static const DevemuBank banks[] = {
    [BANK_IO] = {.name = "io",
                 .kind = DEVEMU_BANK_PIO,
                 .size = 0x20,
                 .regs = io_regs,
                 .reg_count = DEVEMU_N_ELEMENTS(io_regs),
                 .read = other_read,
                 .write = other_write},
    [BANK_MMIO] = {.name = "mmio",
                   .kind = DEVEMU_BANK_MMIO,
                   .size = 0x20,
                   .regs = io_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(io_regs),
                   .read = other_read,
                   .write = other_write},
    [BANK_CSR] = {.name = "csr",
                  .kind = DEVEMU_BANK_INDEXED,
                  .size = 128,
                  .regs = pcnet_csrs,
                  .reg_count = PCNET_CSRS},
    [BANK_BCR] = {.name = "bcr",
                  .kind = DEVEMU_BANK_INDEXED,
                  .size = 128,
                  .regs = pcnet_bcrs,
                  .reg_count = PCNET_BCRS},
    [BANK_CONFIG] = {.name = "config",
                     .kind = DEVEMU_BANK_CONFIG,
                     .size = 0x100,
                     .regs = config_regs,
                     .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                     .lanes = true},
};

/* --- fields, timers, properties ---------------------------------------------------- */

static const DevemuField fields[] = {
    DEVEMU_SKIP(struct pcnet, lance.chip),
    DEVEMU_SKIP(struct pcnet, lance.reserved),
    DEVEMU_SAVE(struct pcnet, lance.gap_ns),
    DEVEMU_SAVE_MAX(struct pcnet, lance.link_up, 1),
    DEVEMU_SAVE_MAX(struct pcnet, lance.suspending, 1),
    DEVEMU_SAVE_MAX(struct pcnet, lance.rx_blocked, 1),
    DEVEMU_SAVE(struct pcnet, lance.runts),
    DEVEMU_SAVE_MAX(struct pcnet, lance.asel, 1),
    DEVEMU_SKIP(struct pcnet, lance.tmauloop),
    DEVEMU_SAVE(struct pcnet, lance.seen),
    DEVEMU_SAVE_MAX(struct pcnet, lance.lamps_busy, 1),
    DEVEMU_SAVE_MAX(struct pcnet, lance.work, LANCE_WORK_RX | LANCE_WORK_TX),
    DEVEMU_SKIP(struct pcnet, lance.spare),
    DEVEMU_SKIP(struct pcnet, lance.scratch),
    DEVEMU_SAVE_ARRAY(struct pcnet, eeprom.words),
    DEVEMU_SAVE(struct pcnet, eeprom.shift),
    DEVEMU_SAVE_MAX(struct pcnet, eeprom.phase, MICROWIRE_PHASES - 1),
    DEVEMU_SAVE_MAX(struct pcnet, eeprom.count, 16),
    DEVEMU_SAVE_MAX(struct pcnet, eeprom.address, MICROWIRE_WORDS - 1),
    DEVEMU_SAVE_MAX(struct pcnet, eeprom.enabled, 1),
    DEVEMU_SAVE_MAX(struct pcnet, eeprom.cs, 1),
    DEVEMU_SAVE_MAX(struct pcnet, eeprom.sk, 1),
    DEVEMU_SAVE_MAX(struct pcnet, eeprom.data_out, 1),
    DEVEMU_SKIP(struct pcnet, eeprom.spare),
    DEVEMU_SAVE(struct pcnet, led_lit),
    DEVEMU_SKIP(struct pcnet, lamps),
    DEVEMU_SKIP(struct pcnet, spare),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct pcnet, lance.poll_ns, lance_poll_expired),
    DEVEMU_TIMER(struct pcnet, lance.init_ns, lance_init_expired),
    DEVEMU_TIMER(struct pcnet, lance.work_ns, lance_work_expired),
    DEVEMU_TIMER(struct pcnet, lance.tx_ns, lance_tx_expired),
    DEVEMU_TIMER(struct pcnet, lance.rx_ns, lance_rx_expired),
    DEVEMU_TIMER(struct pcnet, led_ns, pcnet_led_expired),
    {0},
};

static const char *const latencies[] = {"instant", "datasheet", NULL};
static const char *const shorts[] = {"pad", "runt", NULL};

static const DevemuProperty properties[] = {
    {.name = "mac",
     .type = DEVEMU_PROPERTY_MAC,
     DEVEMU_OPTION(struct pcnet, lance.mac),
     .value = "52:54:00:12:34:56",
     .doc = "Ethernet address in the EEPROM; not used if an image of the EEPROM is given"},
    {.name = "latency",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct pcnet, lance.latency),
     .value = "instant",
     .choices = latencies,
     .doc = "Do frames take no time, or as long as on a wire of 10 Mb/s?"},
    {.name = "short-frames",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct pcnet, lance.short_frames),
     .value = "pad",
     .choices = shorts,
     .doc = "What a frame of less than 60 bytes from the network is: padded by its sender before "
            "it came here, or a runt on the wire"},
    {.name = "link",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct pcnet, lance.link),
     .value = "on",
     .doc = "Is the cable plugged in at the beginning?"},
    {.name = "eeprom",
     .type = DEVEMU_PROPERTY_BLOB,
     DEVEMU_OPTION(struct pcnet, eeprom_image),
     .doc = "Contents of the EEPROM, 128 bytes; without it one is made from mac"},
    {.name = "rom",
     .type = DEVEMU_PROPERTY_BLOB,
     DEVEMU_OPTION(struct pcnet, rom),
     .max = 0x20000,
     .doc =
         "Expansion ROM, 128 KiB at most; the chip's own address pins reach 64 KiB, but Debian's "
         "iPXE for it is larger"},
    {0},
};

static const char *const outputs[] = {"INTA#", "LNKST", "LED1", "LED2", "LED3", NULL};

const DevemuModel devemu_model_am79c970a = {
    .name = "am79c970a",
    .title = "AMD PCnet-PCI II Ethernet controller",
    .datasheet = "AMD 19436, Am79C970A, rev. E, June 2000",
    .not_modelled =
        "collisions, deferral and noise on the wire; SLEEP# and sleep modes; EADI, GPSI "
        "and JTAG pins; parity errors; ILACC meaning of CSR bits; FIFO watermarks, "
        "burst lengths and ROM timing; the transmit poll after a received frame; the time "
        "between the two interrupts of LAPP; time domain reflectometry",
    .state_size = sizeof(struct pcnet),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = am79c970a_lines,
    .configure = am79c970a_configure,
    .reset = am79c970a_reset,
    .valid = am79c970a_valid,
    .loaded = am79c970a_loaded,
    .receive = lance_receive,
    .ready = lance_ready,
    .link = am79c970a_link,
    .pci = &pci,
    .is_net = true,
};
