/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lance-tx.c: transmission. DS "Transmit Descriptor Table Entry", "Transmit Operation",
 * "Loopback Operation".
 *
 * A frame is transmitted by tx_one(), whatever the latency. With latency=instant all frames that
 * the controller owns go at once, LANCE_BUDGET descriptors an event; with latency=datasheet a
 * frame leaves, and its descriptor returns, when its last bit would be on a wire of 10 Mb/s, and
 * the next one follows after the gap. Frames of the usual kind (one descriptor, FCS by the
 * controller, no loopback) go through tx_burst(), which does the same with less to decide, and
 * knows one frame ahead that another follows.
 *
 * Backends see no FCS. Where software makes it (DXMTFCS), a right one is taken off, and a frame
 * with a wrong one is lost: that is what the other stations on a wire do with it.
 *
 * Chosen: a frame longer than LANCE_JABBER is cut off by the transceiver (JAB) and lost; its
 * descriptors return as after a success. A frame of no bytes is not sent and raises no TINT.
 */
#include "lance.h"

static const uint8_t zeros[LANCE_MIN_FRAME];

/* --- the end of a frame ------------------------------------------------------------ */

/* The truth table of DS CSR5 (TOKINTD, LTINTEN) and TMD1 (LTINT): errors always interrupt. */
static bool interrupts(const struct lance *s, uint8_t status, bool error)
{
    if (error) {
        return true;
    }
    if (s->csr5 & CSR5_TOKINTD) {
        return false;
    }
    return (s->csr5 & CSR5_LTINTEN) == 0 || (status & TMD_LTINT) != 0;
}

/* MORE, ONE and DEF are the controller's, and zero: nobody disturbs this wire. */
static uint8_t returned(uint8_t status)
{
    return status & (TMD_ADD_FCS | MD_STP | MD_ENP);
}

static void tx_finish(struct lance *s, struct lance_ring *ring, const struct lance_md *md,
                      uint16_t errors)
{
    uint8_t status = returned(md->status) | (errors ? MD_ERR : 0);

    if (lance_md_misc(s, ring, (uint32_t)errors << 16, errors) &&
        lance_md_release(s, ring, md, status, md->flags)) {
        s->csr0 |= interrupts(s, md->status, errors != 0) ? CSR0_TINT : 0;
    }
    lance_ring_next(ring);
}

/* DS TMD2: the transmitter is turned off unless DXSUFLO; then the search for STP goes on. */
static void underflow(struct lance *s, struct lance_ring *ring, const struct lance_md *md)
{
    tx_finish(s, ring, md, TMD2_BUFF | TMD2_UFLO);
    if ((s->csr3 & CSR3_DXSUFLO) == 0) {
        s->csr0 &= (uint16_t)~CSR0_TXON;
    }
}

/* --- what becomes of a frame ------------------------------------------------------- */

/* DS TMD1, ADD_FCS and NO_FCS; DS CSR4, APAD_XMT: padding brings an FCS whatever DXMTFCS says, and
 * makes bit 29 ineffective. */
static bool appends_fcs(const struct lance *s, const struct lance_ring *ring, uint8_t first,
                        uint8_t last, bool padded)
{
    bool add = (s->mode & MODE_DXMTFCS) == 0;

    if (padded) {
        return true;
    }
    if ((s->csr4 & CSR4_APAD_XMT) || !s->chip->pcnet) {
        return add;
    }
    if (ring->style == STYLE_ILACC) {
        return add && (last & TMD_ADD_FCS) == 0;
    }
    return add || (first & TMD_ADD_FCS) != 0;
}

static unsigned port(const struct lance *s)
{
    if (!s->chip->pcnet) {
        return PORT_AUI;
    }
    if (s->asel) {
        return s->link_up ? PORT_10BASE_T : PORT_AUI;
    }
    return (s->mode & MODE_PORTSEL) >> 7;
}

/* DS TMD2, LCAR: the whole frame is sent into the void. Full duplex on AUI or GPSI does not look at
 * the carrier; DLNKTST keeps the T-MAU from noticing. DS CSR0, CERR: half duplex only. */
static uint16_t no_carrier(struct lance *s)
{
    bool duplex = (s->fdc & BCR9_FDEN) != 0;

    if (port(s) == PORT_10BASE_T) {
        if (s->mode & MODE_DLNKTST) {
            return 0;
        }
    } else if (duplex) {
        return 0;
    }
    s->csr0 |= duplex ? 0 : CSR0_CERR;
    return TMD2_LCAR;
}

static void put_on_wire(struct lance *s, const uint8_t *data, size_t len, size_t pad, bool own_fcs)
{
    DevemuSlice slices[2] = {{data, len}, {zeros, pad}};

    if (!own_fcs) {
        size_t body = len < LANCE_FCS ? 0 : len - LANCE_FCS;

        if (body == 0 || devemu_crc32(0, data, body) != devemu_le32(data + body)) {
            devemu_guest_error(s->dev, "DXMTFCS: frame without a valid FCS lost");
            return;
        }
        slices[0].len = body;
    }
    devemu_send_frame(s->dev, slices, pad ? 2 : 1, false);
}

/* Chosen, for no page of BCR2 was found: what an external loopback sends through the T-MAU gets to
 * the network with TMAULOOP only; through the other ports it always does. */
static bool reaches_network(const struct lance *s, bool loop)
{
    return !loop || port(s) != PORT_10BASE_T || s->tmauloop;
}

/* All bytes of a frame are there. Returns the bits of TMD2. */
static uint16_t tx_frame(struct lance *s, const struct lance_ring *ring, const uint8_t *data,
                         size_t len, uint8_t first, uint8_t last)
{
    bool loop = (s->mode & MODE_LOOP) != 0;
    bool internal = loop && (s->mode & MODE_INTL);
    bool padded = (s->csr4 & CSR4_APAD_XMT) && len < LANCE_MIN_FRAME;
    size_t pad = padded ? LANCE_MIN_FRAME - len : 0;
    bool own_fcs = appends_fcs(s, ring, first, last, padded);
    uint16_t errors = 0;

    /* DS CSR15, FCOLL: a collision at each attempt, in internal loopback only. */
    if (internal && (s->mode & MODE_FCOLL)) {
        lance_saw(s, LANCE_SAW_COLLISION);
        return TMD2_RTRY;
    }
    if (len + pad + (own_fcs ? LANCE_FCS : 0) > LANCE_MAX_FRAME) {
        s->csr0 |= CSR0_BABL;
    }
    s->csr4 |= s->chip->pcnet ? CSR4_TXSTRT : 0;
    lance_saw(s, LANCE_SAW_XMT);
    if (!internal && !s->link_up) {
        errors = no_carrier(s);
    } else if (!internal && reaches_network(s, loop)) {
        put_on_wire(s, data, len, pad, own_fcs);
    }
    if (loop && (internal || s->link_up)) {
        if (pad) {
            memmove(s->scratch, data, len); /* it may be there already */
            memset(s->scratch + len, 0, pad);
            data = s->scratch;
        }
        lance_rx_loopback(s, data, len + pad, own_fcs);
    }
    return errors;
}

static void jabber(struct lance *s)
{
    devemu_guest_error(s->dev, "TMD1: frame longer than the transceiver lets pass");
    s->csr0 |= CSR0_BABL;
    if (s->chip->pcnet) {
        s->csr4 |= CSR4_JAB;
        lance_saw(s, LANCE_SAW_JABBER);
    }
}

/* --- a frame from the ring --------------------------------------------------------- */

struct tx_pieces {
    size_t len;     /* bytes so far */
    bool jabber;    /* more than can be sent */
    unsigned count; /* descriptors */
};

/* Room first, then the bytes. */
static bool append(struct lance *s, const struct lance_md *md, struct tx_pieces *pieces)
{
    if (pieces->jabber || md->len > LANCE_JABBER - pieces->len) {
        pieces->jabber = true;
        return true;
    }
    if (!lance_buffer_read(s, md->addr, s->scratch + pieces->len, md->len)) {
        return false;
    }
    pieces->len += md->len;
    return true;
}

/*
 * Buffers up to the one with ENP. Those before it are returned as soon as they are read, after a
 * look at the next descriptor; that this one is not ours is an underflow. False: the frame ended
 * otherwise.
 */
static bool gather(struct lance *s, struct lance_ring *ring, struct lance_md *md,
                   struct tx_pieces *pieces)
{
    uint32_t left = lance_ring_count(ring);

    while (append(s, md, pieces)) {
        struct lance_ring ahead = *ring;
        struct lance_md next;

        pieces->count++;
        if (md->status & MD_ENP) {
            return true;
        }
        lance_ring_next(&ahead);
        if (!lance_md_load(s, &ahead, &next)) {
            return false;
        }
        if ((next.status & MD_OWN) == 0 || --left == 0) {
            underflow(s, ring, md);
            return false;
        }
        if (!lance_md_release(s, ring, md, returned(md->status), md->flags)) {
            return false;
        }
        *ring = ahead;
        *md = next;
    }
    return false;
}

/* The frame whose first descriptor, ours and with STP, is *md. Returns how many it had. */
static unsigned tx_one(struct lance *s, struct lance_ring *ring, struct lance_md *md)
{
    uint8_t first = md->status;
    struct tx_pieces pieces = {.count = 1};
    const uint8_t *data = NULL;
    uint16_t errors = 0;

    if ((first & MD_ENP) && (s->csr3 & CSR3_BSWP) == 0 && md->len > 0) {
        data = devemu_dma_view(s->dev, md->addr, md->len);
        pieces.len = md->len;
    }
    if (data == NULL) {
        pieces = (struct tx_pieces){0};
        data = s->scratch;
        if (!gather(s, ring, md, &pieces)) {
            return pieces.count;
        }
    }
    if (pieces.jabber) {
        jabber(s);
    } else if (pieces.len > 0) {
        errors = tx_frame(s, ring, data, pieces.len, first, md->status);
    } else {
        /* DS "Transmit Descriptor Table Entry": OWN is cleared, no more. */
        (void)lance_md_release(s, ring, md, returned(md->status), md->flags);
        lance_ring_next(ring);
        return pieces.count;
    }
    tx_finish(s, ring, md, errors);
    return pieces.count;
}

/* --- the usual kind ---------------------------------------------------------------- */

struct tx_item {
    uint8_t *d; /* the descriptor, in the view */
    const uint8_t *data;
    uint32_t len;
    uint32_t tmd1;
};

/* Nothing to decide but the descriptors, which are of the 32-bit layout, and in a view. */
static bool can_burst(const struct lance *s, const struct lance_ring *ring)
{
    return ring->view != NULL && s->link_up && (s->mode & (MODE_LOOP | MODE_DXMTFCS)) == 0 &&
           (s->csr3 & CSR3_BSWP) == 0 && ring->size == 16 && ring->style != STYLE_ILACC;
}

/* A frame in one buffer that can be seen, and no babble. */
static inline bool burst_item(struct lance *s, const struct lance_ring *ring, struct tx_item *item)
{
    const uint8_t whole = MD_OWN | MD_STP | MD_ENP;
    uint8_t *d = lance_md_view(ring);

    if (d == NULL || (*(const volatile uint8_t *)(d + 7) & whole) != whole) {
        return false;
    }
    devemu_dma_order();
    item->d = d;
    item->tmd1 = devemu_le32(d + 4);
    item->len = (0x1000u - item->tmd1) & 0xfff;
    if (item->len - 1u >= LANCE_MAX_FRAME - LANCE_FCS) {
        return false; /* none, or too long */
    }
    item->data = devemu_dma_view(s->dev, devemu_le32(d + lance_addr_at(ring)), item->len);
    return item->data != NULL;
}

/* The same as tx_finish() without errors. */
static inline void burst_finish(struct lance *s, const struct lance_ring *ring,
                                const struct tx_item *item)
{
    uint8_t status = (uint8_t)(item->tmd1 >> 24);

    devemu_put_le32(item->d + lance_misc_at(ring), 0);
    devemu_dma_order();
    devemu_put_le32(item->d + 4, (uint32_t)returned(status) << 24 | (item->tmd1 & 0xffffff));
    s->csr0 |= interrupts(s, status, false) ? CSR0_TINT : 0;
}

/* Returns the descriptors that are left of the budget. */
static unsigned tx_burst(struct lance *s, struct lance_ring *ring, unsigned budget)
{
    bool pads = (s->csr4 & CSR4_APAD_XMT) != 0;
    struct tx_item item, next;
    bool more = budget > 0 && burst_item(s, ring, &item);

    if (!more) {
        return budget;
    }
    s->csr4 |= s->chip->pcnet ? CSR4_TXSTRT : 0;
    lance_saw(s, LANCE_SAW_XMT);
    while (more) {
        bool is_short = pads && item.len < LANCE_MIN_FRAME;
        DevemuSlice slices[2] = {{item.data, item.len}, {zeros, LANCE_MIN_FRAME - item.len}};
        uint32_t at = ring->at;

        budget--;
        lance_ring_next(ring);
        more = budget > 0 && ring->at != at && burst_item(s, ring, &next);
        devemu_send_frame(s->dev, slices, is_short ? 2 : 1, more);
        burst_finish(s, ring, &item);
        if (more) {
            item = next;
        } else {
            lance_set_pair(s->csr60, at);
            s->csr60[CSR_PXBC - CSR_PXDA] = item.tmd1 & 0xfff;
            s->csr60[CSR_PXST - CSR_PXDA] = (uint16_t)(item.tmd1 >> 16);
        }
    }
    return budget;
}

/* --- the ring ---------------------------------------------------------------------- */

/* DS "Transmit Descriptor Table Entry": a descriptor that is ours but begins no frame is given
 * back, and the next one is looked at. False: there is none for us. */
static bool find_start(struct lance *s, struct lance_ring *ring, struct lance_md *md,
                       unsigned *budget)
{
    while (*budget > 0) {
        if (!lance_md_load(s, ring, md) || (md->status & MD_OWN) == 0) {
            return false;
        }
        if (md->status & MD_STP) {
            return true;
        }
        devemu_guest_error(s->dev, "TMD1: OWN without STP where a frame must begin");
        if (!lance_md_release(s, ring, md, returned(md->status), md->flags)) {
            return false;
        }
        lance_ring_next(ring);
        (*budget)--;
    }
    return false;
}

static void previous(struct lance *s, const struct lance_ring *ring, const struct lance_md *md)
{
    lance_set_pair(s->csr60, ring->at);
    s->csr60[CSR_PXBC - CSR_PXDA] = md->bcnt & 0xfff;
    s->csr60[CSR_PXST - CSR_PXDA] = (uint16_t)(md->status << 8 | md->flags);
}

static void tx_instant(struct lance *s)
{
    unsigned used, budget = devemu_dma_deferred(s->dev) ? LANCE_BUDGET_DEFERRED : LANCE_BUDGET;
    struct lance_md md = {0};
    struct lance_ring ring;

    lance_tx_ring(s, &ring);
    while (budget > 0 && (s->csr0 & CSR0_TXON)) {
        if (can_burst(s, &ring)) {
            budget = tx_burst(s, &ring, budget);
        }
        if (!find_start(s, &ring, &md, &budget)) {
            break;
        }
        previous(s, &ring, &md);
        used = tx_one(s, &ring, &md);
        budget -= used < budget ? used : budget;
    }
    lance_tx_ring_keep(s, &ring, &md);
    if (budget == 0 && (s->csr0 & CSR0_TXON)) {
        s->tx_ns = devemu_now(s->dev); /* more next time */
    }
}

/* Bytes that the frame at *ring will put on the wire, FCS and all; the descriptors are only looked
 * at. */
static size_t wire_bytes(struct lance *s, struct lance_ring ring, struct lance_md md)
{
    uint32_t left = lance_ring_count(&ring);
    uint8_t first = md.status;
    size_t len = md.len;
    bool padded;

    while ((md.status & MD_ENP) == 0 && len <= LANCE_JABBER && --left > 0) {
        lance_ring_next(&ring);
        if (!lance_md_load(s, &ring, &md) || (md.status & MD_OWN) == 0) {
            break;
        }
        len += md.len;
    }
    padded = len < LANCE_MIN_FRAME && (s->csr4 & CSR4_APAD_XMT);
    len = padded ? LANCE_MIN_FRAME : len;
    return len + (appends_fcs(s, &ring, first, md.status, padded) ? LANCE_FCS : 0);
}

/* latency=datasheet: begin with the next frame, at start_ns or as soon as the gap is over. */
static void tx_begin(struct lance *s, uint64_t start_ns)
{
    unsigned budget = LANCE_BUDGET;
    struct lance_ring ring;
    struct lance_md md = {0};

    lance_tx_ring(s, &ring);
    if (find_start(s, &ring, &md, &budget)) {
        start_ns = start_ns < s->gap_ns ? s->gap_ns : start_ns;
        s->csr4 |= s->chip->pcnet ? CSR4_TXSTRT : 0;
        s->tx_ns = start_ns + lance_wire_ns(wire_bytes(s, ring, md));
    } else if (budget == 0) {
        s->tx_ns = start_ns;
    }
    lance_tx_ring_keep(s, &ring, &md);
    if ((s->csr0 & CSR0_TXON) == 0) {
        s->tx_ns = DEVEMU_NEVER;
    }
}

/* The frame on the wire has ended. */
static void tx_end(struct lance *s, uint64_t due_ns)
{
    struct lance_ring ring;
    struct lance_md md = {0};

    lance_tx_ring(s, &ring);
    if (lance_md_load(s, &ring, &md) && (md.status & MD_OWN) && (md.status & MD_STP)) {
        previous(s, &ring, &md);
        tx_one(s, &ring, &md);
        s->gap_ns = due_ns + LANCE_GAP_NS;
    }
    lance_tx_ring_keep(s, &ring, &md);
}

void lance_tx_poll(struct lance *s)
{
    if ((s->csr0 & CSR0_TXON) == 0 || !lance_active(s) || s->suspending) {
        return;
    }
    if (s->latency == LATENCY_INSTANT) {
        s->csr0 &= (uint16_t)~CSR0_TDMD;
        tx_instant(s);
    } else if (s->tx_ns == DEVEMU_NEVER) {
        s->csr0 &= (uint16_t)~CSR0_TDMD;
        tx_begin(s, devemu_now(s->dev));
    }
}

void lance_tx_expired(void *state, uint64_t due_ns)
{
    struct lance *s = state;

    if (s->latency == LATENCY_INSTANT) {
        lance_tx_poll(s);
        return;
    }
    tx_end(s, due_ns);
    lance_suspend_if_idle(s);
    if ((s->csr0 & CSR0_TXON) && lance_active(s)) {
        s->csr0 &= (uint16_t)~CSR0_TDMD;
        tx_begin(s, due_ns);
    }
}
