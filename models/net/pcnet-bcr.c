/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcnet-bcr.c: DS "Bus Configuration Registers". S_RESET and STOP leave all of them alone (DS
 * "S_RESET"); what comes from the EEPROM is in pcnet-eeprom.c.
 */
#include "pcnet.h"

#define LED_STRETCH_NS UINT64_C(26000000) /* DS BCR4, PSE: 26 ms at least */

/* --- lamps: BCR4 to BCR7 ----------------------------------------------------------- */

/* The signals that each enable bit lets through. Without PSE the pulses of a frame are too short
 * for any eye, and only what lasts is shown. */
static bool led_out(const struct pcnet *p, unsigned i)
{
    unsigned on = 0, led = p->leds[i];
    bool duplex = (p->lance.fdc & BCR9_FDEN) != 0;

    on |= p->lance.link_up && !duplex ? LED_LNKSE : 0;
    on |= p->lance.link_up && duplex ? LED_LNKSE | LED_FDLSE : 0;
    on |= p->lance.link_up ? LED_RXPOLE : 0; /* the polarity is right */
    on |= p->lance.csr5 & CSR5_MPINT ? LED_MPSE : 0;
    if (led & LED_PSE) {
        on |= p->led_lit & LANCE_SAW_RCV ? LED_RCVE : 0;
        on |= p->led_lit & LANCE_SAW_MATCH ? LED_RCVME : 0;
        on |= p->led_lit & LANCE_SAW_XMT ? LED_XMTE : 0;
        on |= p->led_lit & LANCE_SAW_JABBER ? LED_JABE : 0;
        on |= p->led_lit & LANCE_SAW_COLLISION ? LED_COLE : 0;
    }
    return (led & on) != 0;
}

/* Which lamps are lit; LEDPOL says how the pin does it, and is not seen here. */
void pcnet_lamps(struct pcnet *p)
{
    p->lamps = 0;
    for (unsigned i = 0; i < PCNET_LEDS; i++) {
        bool lit = led_out(p, i) && (p->leds[i] & LED_LEDDIS) == 0;

        p->lamps |= (uint8_t)(lit << i);
    }
}

void pcnet_saw(void *state)
{
    struct pcnet *p = state;

    p->led_lit |= p->lance.seen;
    p->lance.seen = 0;
    if (p->led_lit) {
        p->lance.lamps_busy = 1;
        p->led_ns = devemu_now(p->lance.dev) + LED_STRETCH_NS;
    }
    pcnet_lamps(p);
}

void pcnet_led_expired(void *state, uint64_t due_ns)
{
    struct pcnet *p = state;

    p->led_lit = p->lance.seen;
    p->lance.seen = 0;
    p->lance.lamps_busy = p->led_lit != 0;
    if (p->led_lit) {
        uint64_t late_ns = devemu_now(p->lance.dev) - due_ns;

        p->led_ns = due_ns + (late_ns / LED_STRETCH_NS + 1) * LED_STRETCH_NS;
    }
    pcnet_lamps(p);
}

static uint64_t led_value(const struct pcnet *p, unsigned i)
{
    return p->leds[i] | (led_out(p, i) ? LED_LEDOUT : 0);
}

static uint64_t lnkst_read(const void *state, unsigned index)
{
    (void)index;
    return led_value(state, 0);
}

static uint64_t led1_read(const void *state, unsigned index)
{
    (void)index;
    return led_value(state, 1);
}

static uint64_t led2_read(const void *state, unsigned index)
{
    (void)index;
    return led_value(state, 2);
}

static uint64_t led3_read(const void *state, unsigned index)
{
    (void)index;
    return led_value(state, 3);
}

static void led_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    pcnet_lamps(state);
}

/* DS BCR2, LEDPE */
static bool led_writable(const void *state)
{
    const struct pcnet *p = state;

    return (p->bcr2 & BCR2_LEDPE) != 0;
}

/* --- the others -------------------------------------------------------------------- */

/* What the engine has to know of BCR2. */
void pcnet_ports(struct pcnet *p)
{
    p->lance.asel = (p->bcr2 & BCR2_ASEL) != 0;
    p->lance.tmauloop = (p->bcr2 & BCR2_TMAULOOP) != 0;
}

static void bcr2_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    pcnet_ports(state);
}

static void fdc_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)value;
    (void)old;
    pcnet_lamps(state);
}

/* DS BCR20: SSIZE32 and CSRPCNET follow SWSTYLE. */
void pcnet_sws_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    static const uint16_t follow[] = {
        [STYLE_LANCE] = SWS_CSRPCNET,
        [STYLE_ILACC] = SWS_SSIZE32,
        [STYLE_PCNET_PCI] = SWS_SSIZE32 | SWS_CSRPCNET,
        [STYLE_PCNET_PCI_II] = SWS_SSIZE32 | SWS_CSRPCNET,
    };
    struct pcnet *p = state;
    unsigned style = p->lance.sws & SWS_SWSTYLE;

    (void)index;
    (void)value;
    (void)old;
    if (style > STYLE_PCNET_PCI_II) {
        devemu_guest_error(p->lance.dev, "BCR20: reserved SWSTYLE");
        style = STYLE_LANCE;
        p->lance.sws &= (uint16_t)~SWS_SWSTYLE;
    }
    p->lance.sws &= (uint16_t) ~(SWS_SSIZE32 | SWS_CSRPCNET);
    p->lance.sws |= follow[style];
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits bcr2_bits[] = {
    {"TMAULOOP", BCR2_TMAULOOP},
    {"LEDPE", BCR2_LEDPE},
    {"APROMWE", BCR2_APROMWE},
    {"INTLEVEL", BCR2_INTLEVEL},
    {"DXCVRCTL", BCR2_DXCVRCTL},
    {"DXCVRPOL", BCR2_DXCVRPOL},
    {"EADISEL", BCR2_EADISEL},
    {"AWAKE", BCR2_AWAKE},
    {"ASEL", BCR2_ASEL},
    {"XMAUSEL", BCR2_XMAUSEL},
    {0},
};

static const DevemuBits led_bits[] = {
    {"LEDOUT", LED_LEDOUT}, {"LEDPOL", LED_LEDPOL},
    {"LEDDIS", LED_LEDDIS}, {"MPSE", LED_MPSE},
    {"FDLSE", LED_FDLSE},   {"PSE", LED_PSE},
    {"LNKSE", LED_LNKSE},   {"RCVME", LED_RCVME},
    {"XMTE", LED_XMTE},     {"RXPOLE", LED_RXPOLE},
    {"RCVE", LED_RCVE},     {"JABE", LED_JABE},
    {"COLE", LED_COLE},     {0},
};

static const DevemuBits bcr9_bits[] = {
    {"FDRPAD", BCR9_FDRPAD}, {"AUIFD", BCR9_AUIFD}, {"FDEN", BCR9_FDEN}, {0}};

static const DevemuBits bcr18_bits[] = {
    {"ROMTMG", BCR18_ROMTMG}, {"MEMCMD", BCR18_MEMCMD},
    {"EXTREQ", BCR18_EXTREQ}, {"DWIO", BCR18_DWIO},
    {"BREADE", BCR18_BREADE}, {"BWRITE", BCR18_BWRITE},
    {"LINBC", BCR18_LINBC},   {0},
};

static const DevemuBits bcr19_bits[] = {
    {"PVALID", BCR19_PVALID}, {"PREAD", BCR19_PREAD}, {"EEDET", BCR19_EEDET}, {"EEN", BCR19_EEN},
    {"ECS", BCR19_ECS},       {"ESK", BCR19_ESK},     {"EDI/EDO", BCR19_EDI}, {0},
};

static const DevemuBits bcr20_bits[] = {
    {"APERREN", SWS_APERREN},
    {"CSRPCNET", SWS_CSRPCNET},
    {"SSIZE32", SWS_SSIZE32},
    {"SWSTYLE", SWS_SWSTYLE},
    {0},
};

static const DevemuBits bcr22_bits[] = {{"MAX_LAT", 0xff00}, {"MIN_GNT", 0x00ff}, {0}};

const DevemuReg pcnet_bcrs[PCNET_BCRS] = {
    {
        .name = "MSRDA",
        .title = "master mode read active (no effect)",
        .section = "BCR0",
        .at = 0,
        .size = 2,
        DEVEMU_IN(struct pcnet, bcr0),
        .reset = 0x0005,
        .keep_soft = 0xffff,
    },
    {
        .name = "MSWRA",
        .title = "master mode write active (no effect)",
        .section = "BCR1",
        .at = 1,
        .size = 2,
        DEVEMU_IN(struct pcnet, bcr1),
        .reset = 0x0005,
        .keep_soft = 0xffff,
    },
    {
        .name = "MC",
        .title = "miscellaneous configuration",
        .section = "BCR2",
        .bits = bcr2_bits,
        .at = 2,
        .size = 2,
        DEVEMU_IN(struct pcnet, bcr2),
        .reset = 0x0002,
        .keep_soft = 0xffff,
        .rsvd = BCR2_RES,
        .wrote = bcr2_wrote,
    },
    {
        .name = "LNKST",
        .title = "link status LED",
        .section = "BCR4",
        .bits = led_bits,
        .at = 4,
        .size = 2,
        DEVEMU_IN(struct pcnet, leds[0]),
        .reset = 0x00c0,
        .keep_soft = 0xffff,
        .ro = LED_LEDOUT,
        .rsvd = LED_RES,
        .writable = led_writable,
        .read = lnkst_read,
        .wrote = led_wrote,
    },
    {
        .name = "LED1",
        .title = "LED1 status",
        .section = "BCR5",
        .bits = led_bits,
        .at = 5,
        .size = 2,
        DEVEMU_IN(struct pcnet, leds[1]),
        .reset = 0x0084,
        .keep_soft = 0xffff,
        .ro = LED_LEDOUT,
        .rsvd = LED_RES,
        .writable = led_writable,
        .read = led1_read,
        .wrote = led_wrote,
    },
    {
        .name = "LED2",
        .title = "LED2 status",
        .section = "BCR6",
        .bits = led_bits,
        .at = 6,
        .size = 2,
        DEVEMU_IN(struct pcnet, leds[2]),
        .reset = 0x0088,
        .keep_soft = 0xffff,
        .ro = LED_LEDOUT,
        .rsvd = LED_RES,
        .writable = led_writable,
        .read = led2_read,
        .wrote = led_wrote,
    },
    {
        .name = "LED3",
        .title = "LED3 status",
        .section = "BCR7",
        .bits = led_bits,
        .at = 7,
        .size = 2,
        DEVEMU_IN(struct pcnet, leds[3]),
        .reset = 0x0090,
        .keep_soft = 0xffff,
        .ro = LED_LEDOUT,
        .rsvd = LED_RES,
        .writable = led_writable,
        .read = led3_read,
        .wrote = led_wrote,
    },
    {
        .name = "FDC",
        .title = "full-duplex control",
        .section = "BCR9",
        .bits = bcr9_bits,
        .at = 9,
        .size = 2,
        DEVEMU_IN(struct pcnet, lance.fdc),
        .keep_soft = 0xffff,
        .rsvd = 0xfff8,
        .wrote = fdc_wrote,
    },
    {
        .name = "IOBASEL",
        .title = "reserved on PCI",
        .section = "BCR16",
        .at = 16,
        .size = 2,
        .ro = 0xffff,
    },
    {
        .name = "IOBASEU",
        .title = "reserved on PCI",
        .section = "BCR17",
        .at = 17,
        .size = 2,
        .ro = 0xffff,
    },
    {
        .name = "BSBC",
        .title = "burst and bus control",
        .section = "BCR18",
        .bits = bcr18_bits,
        .at = 18,
        .size = 2,
        DEVEMU_IN(struct pcnet, bcr18),
        .reset = 0x9001,
        .keep_soft = 0xffff,
        .ro = BCR18_DWIO,
        .rsvd = BCR18_RES,
    },
    {
        .name = "EECAS",
        .title = "EEPROM control and status",
        .section = "BCR19",
        .bits = bcr19_bits,
        .at = 19,
        .size = 2,
        DEVEMU_IN(struct pcnet, bcr19),
        .reset = BCR19_PVALID | BCR19_EEDET,
        .keep_soft = 0xffff,
        .ro = BCR19_PVALID | BCR19_EEDET,
        .rsvd = BCR19_RES,
        .read = pcnet_bcr19_read,
        .wrote = pcnet_bcr19_wrote,
    },
    {
        .name = "SWS",
        .title = "software style",
        .section = "BCR20",
        .bits = bcr20_bits,
        .at = 20,
        .size = 2,
        DEVEMU_IN(struct pcnet, lance.sws),
        .reset = SWS_CSRPCNET,
        .keep_soft = 0xffff,
        .ro = SWS_CSRPCNET | SWS_SSIZE32,
        .rsvd = 0xf800,
        .writable = lance_stopped_or_suspended,
        .wrote = pcnet_sws_wrote,
    },
    {
        .name = "INTCON",
        .title = "interrupt control (no effect)",
        .section = "BCR21",
        .at = 21,
        .size = 2,
        DEVEMU_IN(struct pcnet, bcr21),
        .keep_soft = 0xffff,
    },
    {
        .name = "PCILAT",
        .title = "PCI latency",
        .section = "BCR22",
        .bits = bcr22_bits,
        .at = 22,
        .size = 2,
        DEVEMU_IN(struct pcnet, bcr22),
        .reset = 0xff06,
        .keep_soft = 0xffff,
        .writable = lance_stopped_or_suspended,
    },
};
