/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lance.h: the ring engine that the Am7990 LANCE and the PCnet family share.
 *
 * The chips differ in tables (which registers there are, who may write them when) and in the few
 * facts of struct lance_chip. The parts of the engine follow the chapters of the datasheet:
 * lance.c initialisation, start, stop, suspend, interrupts, polling; lance-ring.c descriptors;
 * lance-tx.c transmission and loopback; lance-rx.c reception and address matching.
 *
 * "DS" in these files is AMD 19436 (Am79C970A, rev. E, June 2000; page numbers are those of its
 * preliminary edition, rev. A); "DS 7990" is AMD 05698 (Am7990).
 */
#ifndef LANCE_H
#define LANCE_H

#include <devemu/model.h>

/* CSR0, controller status */
enum {
    CSR0_ERR = 0x8000,
    CSR0_BABL = 0x4000,
    CSR0_CERR = 0x2000,
    CSR0_MISS = 0x1000,
    CSR0_MERR = 0x0800,
    CSR0_RINT = 0x0400,
    CSR0_TINT = 0x0200,
    CSR0_IDON = 0x0100,
    CSR0_INTR = 0x0080,
    CSR0_INEA = 0x0040,
    CSR0_RXON = 0x0020,
    CSR0_TXON = 0x0010,
    CSR0_TDMD = 0x0008,
    CSR0_STOP = 0x0004,
    CSR0_STRT = 0x0002,
    CSR0_INIT = 0x0001,
    CSR0_ERRORS = CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR,
    CSR0_CAUSES = CSR0_BABL | CSR0_MISS | CSR0_MERR | CSR0_RINT | CSR0_TINT | CSR0_IDON,
    CSR0_W1C = CSR0_ERRORS | CSR0_RINT | CSR0_TINT | CSR0_IDON,
};

/* CSR3, interrupt masks and deferral control; the masks stand where CSR0 has the causes */
enum {
    CSR3_BABLM = 0x4000,
    CSR3_MISSM = 0x1000,
    CSR3_MERRM = 0x0800,
    CSR3_RINTM = 0x0400,
    CSR3_TINTM = 0x0200,
    CSR3_IDONM = 0x0100,
    CSR3_DXSUFLO = 0x0040,
    CSR3_LAPPEN = 0x0020,
    CSR3_DXMT2PD = 0x0010,
    CSR3_EMBA = 0x0008,
    CSR3_BSWP = 0x0004,
    CSR3_ACON = 0x0002, /* Am7990 */
    CSR3_BCON = 0x0001, /* Am7990 */
    CSR3_MASKS = CSR0_CAUSES,
};

/* CSR4, test and features; each cause has its mask one bit below it */
enum {
    CSR4_EN124 = 0x8000,
    CSR4_DMAPLUS = 0x4000,
    CSR4_TIMER = 0x2000,
    CSR4_TXDPOLL = 0x1000,
    CSR4_APAD_XMT = 0x0800,
    CSR4_ASTRP_RCV = 0x0400,
    CSR4_MFCO = 0x0200,
    CSR4_MFCOM = 0x0100,
    CSR4_UINTCMD = 0x0080,
    CSR4_UINT = 0x0040,
    CSR4_RCVCCO = 0x0020,
    CSR4_RCVCCOM = 0x0010,
    CSR4_TXSTRT = 0x0008,
    CSR4_TXSTRTM = 0x0004,
    CSR4_JAB = 0x0002,
    CSR4_JABM = 0x0001,
    CSR4_MASKED = CSR4_MFCO | CSR4_RCVCCO | CSR4_TXSTRT | CSR4_JAB,
    CSR4_W1C = CSR4_MASKED | CSR4_UINT,
};

/* CSR5, extended control and interrupt; each cause has its enable one bit below it */
enum {
    CSR5_TOKINTD = 0x8000,
    CSR5_LTINTEN = 0x4000,
    CSR5_SINT = 0x0800,
    CSR5_SINTE = 0x0400,
    CSR5_SLPINT = 0x0200,
    CSR5_SLPINTE = 0x0100,
    CSR5_EXDINT = 0x0080,
    CSR5_EXDINTE = 0x0040,
    CSR5_MPPLBA = 0x0020,
    CSR5_MPINT = 0x0010,
    CSR5_MPINTE = 0x0008,
    CSR5_MPEN = 0x0004,
    CSR5_MPMODE = 0x0002,
    CSR5_SPND = 0x0001,
    CSR5_W1C = CSR5_SINT | CSR5_SLPINT | CSR5_EXDINT | CSR5_MPINT,
};

/* CSR15, mode */
enum {
    MODE_PROM = 0x8000,
    MODE_DRCVBC = 0x4000,
    MODE_DRCVPA = 0x2000,
    MODE_DLNKTST = 0x1000,
    MODE_DAPC = 0x0800,
    MODE_MENDECL = 0x0400,
    MODE_LRT = 0x0200,
    MODE_PORTSEL = 0x0180,
    MODE_INTL = 0x0040,
    MODE_DRTY = 0x0020,
    MODE_FCOLL = 0x0010,
    MODE_DXMTFCS = 0x0008,
    MODE_LOOP = 0x0004,
    MODE_DTX = 0x0002,
    MODE_DRX = 0x0001,
    MODE_AM7990 = MODE_PROM | 0x7f,
};

/* PORTSEL, DS CSR15 */
enum {
    PORT_AUI,
    PORT_10BASE_T,
    PORT_GPSI,
    PORT_RESERVED,
};

enum {
    CSR124_GPSIEN = 0x10,
    CSR124_RPA = 0x08,
    CSR122_RCVALGN = 0x01,
};

/* BCR20 (CSR58), software style */
enum {
    STYLE_LANCE,
    STYLE_ILACC,
    STYLE_PCNET_PCI,
    STYLE_PCNET_PCI_II,
    SWS_SWSTYLE = 0x00ff,
    SWS_SSIZE32 = 0x0100,
    SWS_CSRPCNET = 0x0200,
    SWS_APERREN = 0x0400,
};

/* BCR9 */
enum {
    BCR9_FDEN = 0x01,
    BCR9_AUIFD = 0x02,
    BCR9_FDRPAD = 0x04,
};

/* Bits 31-24 of RMD1 and TMD1: the STATUS byte */
enum {
    MD_OWN = 0x80,
    MD_ERR = 0x40,
    MD_STP = 0x02,
    MD_ENP = 0x01,
    RMD_FRAM = 0x20,
    RMD_OFLO = 0x10,
    RMD_CRC = 0x08,
    RMD_BUFF = 0x04,
    TMD_ADD_FCS = 0x20, /* NO_FCS where SWSTYLE is ILACC */
    TMD_LTINT = 0x10,   /* MORE when the controller writes it */
    TMD_ONE = 0x08,
    TMD_DEF = 0x04,
};

/* Bits 23-16 of RMD1 */
enum {
    RMD_PAM = 0x40,
    RMD_LAFM = 0x20,
    RMD_BAM = 0x10,
};

/* Bits 31-26 of TMD2, as bits 15-10 of TMD3 in the 16-bit layout */
enum {
    TMD2_BUFF = 0x8000,
    TMD2_UFLO = 0x4000,
    TMD2_EXDEF = 0x2000,
    TMD2_LCOL = 0x1000,
    TMD2_LCAR = 0x0800,
    TMD2_RTRY = 0x0400,
};

/* Numbers of the registers that the engine itself works with. */
enum {
    CSR_CRBA = 18,
    CSR_CXBA = 20,
    CSR_BADR = 24,
    CSR_NRDA = 26,
    CSR_CRDA = 28,
    CSR_BADX = 30,
    CSR_NXDA = 32,
    CSR_CXDA = 34,
    CSR_NNRDA = 36,
    CSR_NNXDA = 38,
    CSR_CRBC = 40,
    CSR_CRST = 41,
    CSR_CXBC = 42,
    CSR_CXST = 43,
    CSR_PXDA = 60,
    CSR_PXBC = 62,
    CSR_PXST = 63,
};

enum {
    LATENCY_INSTANT,
    LATENCY_DATASHEET,
};

/* What a frame from the backend that is shorter than Ethernet's minimum is. */
enum {
    SHORT_PAD,  /* padded by the station that sent it; the backend saw it before that */
    SHORT_RUNT, /* a fragment on the wire */
};

#define LANCE_FCS       4u
#define LANCE_MIN_FRAME 60u   /* without FCS */
#define LANCE_MAX_FRAME 1518u /* with FCS; more is BABL */
/* What leaves the transmitter before the transceiver's jabber function cuts it off: 20 ms at
 * 10 Mb/s (ISO 8802-3, 8.2.1.5: 20 to 150 ms). */
#define LANCE_JABBER 25000u
/* Pieces of a frame that are passed on without copying. */
#define LANCE_SLICES 16u
/* Descriptors served in one event: the longest ring that an initialization block can describe. */
#define LANCE_BUDGET 512u
/* The same where every read by DMA is a message, and an event is tried anew for each. */
#define LANCE_BUDGET_DEFERRED 8u

/* 10 Mb/s */
#define LANCE_BYTE_NS        UINT64_C(800)
#define LANCE_PREAMBLE_BYTES 8u
#define LANCE_GAP_NS         UINT64_C(9600)
/* PCI clock: 33 MHz */
#define LANCE_CLOCK_NS UINT64_C(30)

/* What a register access asked for, where DMA is put off. */
enum {
    LANCE_WORK_RX = 1 << 0,
    LANCE_WORK_TX = 1 << 1,
};

/* Activity for lamps. */
enum {
    LANCE_SAW_RCV = 1 << 0,   /* carrier on the wire */
    LANCE_SAW_MATCH = 1 << 1, /* a frame for this station */
    LANCE_SAW_XMT = 1 << 2,
    LANCE_SAW_MAGIC = 1 << 3,
    LANCE_SAW_JABBER = 1 << 4,
    LANCE_SAW_COLLISION = 1 << 5,
};

/* What distinguishes the chips, beyond their tables. */
struct lance_chip {
    uint16_t mode;            /* bits of the mode register that exist */
    uint8_t swap;             /* BSWP: byte a of the buffer is at a ^ swap */
    bool pcnet;               /* a PCnet; else a LANCE */
    uint32_t init_ns;         /* reading of the initialization block */
    uint32_t poll_ns;         /* polling interval; 0: as CSR47 says */
    void (*saw)(void *state); /* what lamps show has changed; may be NULL */
};

struct lance {
    DevemuDevice *dev;
    const struct lance_chip *chip;

    /* configuration */
    uint32_t latency;
    uint32_t short_frames;
    uint8_t mac[6];
    bool link;
    uint8_t reserved[1];

    /* timers */
    uint64_t poll_ns; /* next poll of the descriptors */
    uint64_t init_ns; /* the initialization block has been read */
    uint64_t tx_ns;   /* the frame on the wire ends, or the transmitter goes on */
    uint64_t work_ns; /* rings are looked at, behind the access that asked for it */
    uint64_t rx_ns;   /* the wire is free for another frame to this station */
    uint64_t gap_ns;  /* no timer: when the gap after the last frame sent is over */

    /* registers, by number */
    uint16_t csr0;
    uint16_t iadr[2];
    uint16_t csr3;
    uint16_t csr4;
    uint16_t csr5;
    uint16_t csr6;
    uint16_t ladrf[4];
    uint16_t padr[3];
    uint16_t mode;
    uint16_t csr18[28]; /* CSR18 to CSR45 */
    uint16_t csr46;
    uint16_t pollint;
    uint16_t csr60[8]; /* CSR60 to CSR67 */
    uint16_t rcvrc;
    uint16_t xmtrc;
    uint16_t rcvrl;
    uint16_t xmtrl;
    uint16_t csr100;
    uint16_t csr112;
    uint16_t csr114;
    uint16_t csr122;
    uint16_t csr124;
    uint16_t sws; /* BCR20, CSR58 */
    uint16_t fdc; /* BCR9 */
    uint16_t rap;

    /* beside the registers */
    uint8_t link_up;
    uint8_t suspending; /* SPND was asked for, the frame on the wire is not yet over */
    uint8_t rx_blocked; /* the descriptor for the next frame was not ours when last looked at */
    uint8_t runts;      /* RPC */
    uint8_t asel;       /* the port is selected by the link: BCR2.ASEL */
    uint8_t tmauloop;   /* BCR2.TMAULOOP */
    uint8_t seen;       /* activity since the lamps were last set */
    uint8_t lamps_busy; /* they are set again at a timer */
    uint8_t work;       /* what waits for work_ns: LANCE_WORK_... */
    uint8_t spare[1];

    /* A frame whose pieces have to be put together; not part of the state between events. */
    uint8_t scratch[LANCE_JABBER + 12];
};

/* A ring, in the hands of the engine for the length of an event. */
struct lance_ring {
    uint32_t base;
    uint32_t at;      /* current descriptor */
    uint16_t counter; /* its number, two's complement: -length is the first, DS 135 */
    uint16_t length;  /* two's complement */
    uint32_t span;    /* bytes of the view */
    uint8_t size;     /* bytes of a descriptor */
    uint8_t style;
    uint8_t *view; /* of the whole ring, or NULL */
};

/* A descriptor, copied once. */
struct lance_md {
    uint32_t addr;
    uint16_t bcnt;  /* as written, ONES and all */
    uint8_t status; /* bits 31-24 of xMD1 */
    uint8_t flags;  /* bits 23-16 of xMD1, 0 in the 16-bit layout */
    uint32_t len;   /* bytes of the buffer */
};

static inline uint32_t lance_ring_count(const struct lance_ring *ring)
{
    return ring->length ? 0x10000u - ring->length : 1;
}

static inline void lance_ring_next(struct lance_ring *ring)
{
    uint16_t next = (uint16_t)(ring->counter + 1);

    if (ring->counter == 0 || next == 0) {
        ring->counter = ring->length;
        ring->at = ring->base;
    } else {
        ring->counter = next;
        ring->at += ring->size;
    }
}

/* The current descriptor in the view, or NULL: registers may have been set to a place outside the
 * ring. */
static inline uint8_t *lance_md_view(const struct lance_ring *ring)
{
    uint32_t off = ring->at - ring->base;

    return ring->view && off <= ring->span - ring->size ? ring->view + off : NULL;
}

/* The 32-bit layouts, in views: where xMD2 and the address are. */
static inline unsigned lance_misc_at(const struct lance_ring *ring)
{
    return ring->style == STYLE_PCNET_PCI_II ? 0 : 8;
}

static inline unsigned lance_addr_at(const struct lance_ring *ring)
{
    return ring->style == STYLE_PCNET_PCI_II ? 8 : 0;
}

static inline uint32_t lance_pair(const uint16_t *low)
{
    return low[0] | (uint32_t)low[1] << 16;
}

static inline void lance_set_pair(uint16_t *low, uint32_t value)
{
    low[0] = (uint16_t)value;
    low[1] = (uint16_t)(value >> 16);
}

static inline uint16_t *lance_csr18(struct lance *s, unsigned number)
{
    return &s->csr18[number - CSR_CRBA];
}

static inline bool lance_suspended(const struct lance *s)
{
    return (s->csr5 & CSR5_SPND) != 0;
}

/* DS: nothing is received or transmitted while the controller looks for Magic Packets. */
static inline bool lance_magic(const struct lance *s)
{
    return (s->csr5 & (CSR5_MPEN | CSR5_MPMODE)) == (CSR5_MPEN | CSR5_MPMODE);
}

/* Buffers and descriptors may be touched. */
static inline bool lance_active(const struct lance *s)
{
    return !lance_suspended(s) && !lance_magic(s);
}

static inline uint64_t lance_wire_ns(size_t len)
{
    return (len + LANCE_PREAMBLE_BYTES) * LANCE_BYTE_NS;
}

static inline void lance_saw(struct lance *s, unsigned what)
{
    s->seen |= (uint8_t)what;
    if (!s->lamps_busy || what == LANCE_SAW_MAGIC) {
        s->chip->saw(s);
    }
}

/* lance.c */
bool lance_stopped(const void *state);              /* CSR0.STOP */
bool lance_stopped_or_suspended(const void *state); /* for rows that are writable only then */
uint64_t lance_csr0_read(const void *state, unsigned index);
void lance_csr0_wrote(void *state, unsigned index, uint64_t value, uint64_t old);
void lance_csr5_wrote(void *state, unsigned index, uint64_t value, uint64_t old);
uint64_t lance_csr46_read(const void *state, unsigned index);
bool lance_interrupt(const struct lance *s); /* is the interrupt pin driven? */
void lance_stop(struct lance *s);
void lance_reset(struct lance *s, DevemuReset kind);
void lance_bus_error(struct lance *s, const char *text);
void lance_link(void *state, unsigned link);
bool lance_valid(const void *state);
void lance_suspend_if_idle(struct lance *s);
void lance_poll_expired(void *state, uint64_t due_ns);
void lance_init_expired(void *state, uint64_t due_ns);
void lance_work_expired(void *state, uint64_t due_ns);

/* lance-ring.c */
void lance_rx_ring(const struct lance *s, struct lance_ring *ring);
void lance_tx_ring(const struct lance *s, struct lance_ring *ring);
/* Back to the working registers; md is the descriptor last looked at, or NULL. */
void lance_rx_ring_keep(struct lance *s, const struct lance_ring *ring, const struct lance_md *md);
void lance_tx_ring_keep(struct lance *s, const struct lance_ring *ring, const struct lance_md *md);
void lance_rings_restart(struct lance *s);
void lance_rings_show(struct lance *s);
/* These end in lance_bus_error() and false if the bus fails. */
bool lance_md_load(struct lance *s, const struct lance_ring *ring, struct lance_md *md);
bool lance_md_release(struct lance *s, const struct lance_ring *ring, const struct lance_md *md,
                      uint8_t status, uint8_t flags);
/* RMD2, TMD2 of the 32-bit layouts, RMD3, TMD3 of the 16-bit one. */
bool lance_md_misc(struct lance *s, const struct lance_ring *ring, uint32_t misc32,
                   uint16_t misc16);
bool lance_buffer_read(struct lance *s, uint32_t addr, uint8_t *to, size_t len);
bool lance_buffer_write(struct lance *s, uint32_t addr, const uint8_t *from, size_t len);

/* lance-tx.c */
void lance_tx_poll(struct lance *s);
void lance_tx_expired(void *state, uint64_t due_ns);

/* lance-rx.c */
size_t lance_receive(void *state, const uint8_t *data, size_t len);
size_t lance_ready(const void *state);
void lance_rx_poll(struct lance *s);
void lance_rx_expired(void *state, uint64_t due_ns);
/* A frame of the station's own transmitter, as it is on the wire but for the FCS where that is the
 * transmitter's (own_fcs). */
void lance_rx_loopback(struct lance *s, const uint8_t *data, size_t len, bool own_fcs);

#endif
