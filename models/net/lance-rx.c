/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lance-rx.c: address matching, reception. DS "Receive Descriptor Table Entry", "Receive
 * Operation", CSR5 (Magic Packet), CSR3 (LAPP).
 *
 * A frame from the backend has no FCS; the station that sent it made a right one, which is put
 * behind it here. With latency=datasheet another frame is taken only when the one before would
 * have passed on a wire of 10 Mb/s.
 *
 * The backend is told to wait while the next descriptor is not ours (lance_ready()), so that a
 * slow driver costs no frames; a frame that comes all the same is missed as on the chip. When the
 * descriptor is looked at again: at each poll, and when the driver writes CSR0.
 *
 * Chosen: a buffer chain that comes to a descriptor that is not ours ends with BUFF and OFLO
 * together, for the rest of the frame is lost; with LAPPEN one with STP ends the chain likewise,
 * for it was meant for the next frame. The early interrupt of LAPP and the late one are raised in
 * one event. In loopback with the FCS generator at the transmitter no hash is computed, so only
 * physical and broadcast addresses match.
 */
#include "lance.h"

static const uint8_t zeros[LANCE_MIN_FRAME];

enum {
    NO_MATCH = -1,
};

/* --- address matching -------------------------------------------------------------- */

static bool logical_match(const struct lance *s, const uint8_t *address)
{
    unsigned hash;

    if ((s->ladrf[0] | s->ladrf[1] | s->ladrf[2] | s->ladrf[3]) == 0) {
        return false;
    }
    /* DS CSR8: the six most significant bits of the FCS register after the address. */
    hash = ~devemu_crc32(0, address, 6) >> 26;
    return (s->ladrf[hash >> 4] >> (hash & 15) & 1) != 0;
}

/* RMD1 bits 23-16 of a frame that is accepted, or NO_MATCH. DS RMD1: a broadcast sets only BAM,
 * unless DRCVBC leaves it to the logical filter. */
static int match(const struct lance *s, const uint8_t *data, bool hashing)
{
    int accept = s->mode & MODE_PROM ? 0 : NO_MATCH;

    if (data[0] & 1) {
        bool broadcast = (data[0] & data[1] & data[2] & data[3] & data[4] & data[5]) == 0xff;

        if (broadcast && (s->mode & MODE_DRCVBC) == 0) {
            return RMD_BAM;
        }
        return hashing && logical_match(s, data) ? RMD_LAFM : accept;
    }
    if ((s->mode & MODE_DRCVPA) == 0 && devemu_le16(data) == s->padr[0] &&
        devemu_le16(data + 2) == s->padr[1] && devemu_le16(data + 4) == s->padr[2]) {
        return RMD_PAM;
    }
    return accept;
}

/* DS "Magic Packet Operation": six bytes of ones, then the station's address sixteen times. */
static bool is_magic(const struct lance *s, const uint8_t *data, size_t len)
{
    uint8_t pattern[6 * 17];

    memset(pattern, 0xff, 6);
    for (unsigned i = 6; i < sizeof(pattern); i += 2) {
        devemu_put_le16(pattern + i, s->padr[i / 2 % 3]);
    }
    for (size_t i = 0; i + sizeof(pattern) <= len; i++) {
        if (data[i] == 0xff && memcmp(data + i, pattern, sizeof(pattern)) == 0) {
            return true;
        }
    }
    return false;
}

/* DS CSR5, MPPLBA: only physical addresses, or all that the filters accept. The frame itself is
 * thrown away. */
static void receive_magic(struct lance *s, const uint8_t *data, size_t len)
{
    int flags = match(s, data, true);

    if (flags > 0 && ((flags & RMD_PAM) || (s->csr5 & CSR5_MPPLBA)) && is_magic(s, data, len)) {
        s->csr5 |= CSR5_MPINT;
        lance_saw(s, LANCE_SAW_MAGIC);
    }
}

/* --- storing ----------------------------------------------------------------------- */

struct rx_frame {
    DevemuSlice slices[4]; /* alignment, data, padding, FCS */
    size_t len;            /* of all */
    size_t count;          /* message byte count, for RMD2 */
    uint8_t flags;
    uint8_t error; /* CRC and ERR, or 0 */
    uint8_t fcs[LANCE_FCS];
};

static void missed(struct lance *s)
{
    s->csr0 |= CSR0_MISS;
    if (s->chip->pcnet && ++s->csr112 == 0) {
        s->csr4 |= CSR4_MFCO;
    }
}

/* The next `room` bytes of the frame into one buffer. */
static bool fill(struct lance *s, struct rx_frame *frame, const struct lance_md *md)
{
    size_t room = md->len < frame->len ? md->len : frame->len;
    bool swapped = (s->csr3 & CSR3_BSWP) != 0;
    uint8_t *view = swapped ? NULL : devemu_dma_view_write(s->dev, md->addr, room);
    uint32_t to = 0;

    frame->len -= room;
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(frame->slices) && to < room; i++) {
        DevemuSlice *slice = &frame->slices[i];
        size_t n = slice->len < room - to ? slice->len : room - to;

        if (n == 0) {
            continue; /* an empty piece may have no address */
        }
        if (view) {
            memcpy(view + to, slice->data, n);
        } else if (!lance_buffer_write(s, md->addr + to, slice->data, n)) {
            return false;
        }
        slice->data = (const uint8_t *)slice->data + n;
        slice->len -= n;
        to += (uint32_t)n;
    }
    return true;
}

static bool finish(struct lance *s, struct lance_ring *ring, const struct lance_md *md,
                   const struct rx_frame *frame, uint8_t status)
{
    uint16_t count = frame->count & 0xfff;
    bool ok = lance_md_misc(s, ring, (uint32_t)s->runts << 16 | count, count) &&
              lance_md_release(s, ring, md, status | MD_ENP | frame->error, frame->flags);

    lance_ring_next(ring);
    s->runts = 0;
    return ok;
}

/* Into as many buffers as it takes. RINT follows the return of the last descriptor, and with LAPP
 * of the first, too. */
static void store(struct lance *s, struct lance_ring *ring, struct lance_md *md,
                  struct rx_frame *frame)
{
    uint32_t left = lance_ring_count(ring);
    uint8_t status = MD_STP;

    while (fill(s, frame, md)) {
        struct lance_ring ahead = *ring;
        struct lance_md next;

        if (frame->len == 0) {
            s->csr0 |= finish(s, ring, md, frame, status) ? CSR0_RINT : 0;
            return;
        }
        lance_ring_next(&ahead);
        if (!lance_md_load(s, &ahead, &next)) {
            return;
        }
        if ((next.status & MD_OWN) == 0 || --left == 0 ||
            ((s->csr3 & CSR3_LAPPEN) && (next.status & MD_STP))) {
            status |= MD_ERR | RMD_BUFF | RMD_OFLO;
            s->csr0 |= lance_md_release(s, ring, md, status, 0) ? CSR0_RINT : 0;
            lance_ring_next(ring);
            return;
        }
        if (!lance_md_release(s, ring, md, status, 0)) {
            return;
        }
        s->csr0 |= s->csr3 & CSR3_LAPPEN ? CSR0_RINT : 0;
        status = 0;
        *ring = ahead;
        *md = next;
    }
}

/*
 * DS CSR3, LAPPEN: frames begin at a descriptor with STP. The search goes on whoever owns what is
 * on the way, and returns what is ours; it ends at STP, or after a round.
 */
static bool find_start(struct lance *s, struct lance_ring *ring, struct lance_md *md)
{
    for (uint32_t left = lance_ring_count(ring); left > 0; left--) {
        if (!lance_md_load(s, ring, md)) {
            return false;
        }
        if ((s->csr3 & CSR3_LAPPEN) == 0 || (md->status & MD_STP)) {
            break;
        }
        if ((md->status & MD_OWN) &&
            !lance_md_release(s, ring, md, md->status & (uint8_t)~MD_OWN, md->flags)) {
            return false;
        }
        lance_ring_next(ring);
    }
    return (md->status & MD_OWN) && ((s->csr3 & CSR3_LAPPEN) == 0 || (md->status & MD_STP));
}

static void deliver(struct lance *s, struct rx_frame *frame)
{
    struct lance_ring ring;
    struct lance_md md = {0};

    lance_rx_ring(s, &ring);
    if (find_start(s, &ring, &md)) {
        store(s, &ring, &md, frame);
        s->rx_blocked = s->csr0 & CSR0_RXON ? !find_start(s, &ring, &md) : 0;
    } else if (s->csr0 & CSR0_RXON) {
        missed(s);
        s->rx_blocked = 1;
    }
    lance_rx_ring_keep(s, &ring, &md);
}

/* --- from the wire to a frame ------------------------------------------------------ */

/* DS CSR4, ASTRP_RCV: with an 802.3 length below 46, padding and FCS are left out. */
static bool strips(const struct lance *s, const uint8_t *data, size_t len, size_t *ret_keep)
{
    unsigned type;

    if ((s->csr4 & CSR4_ASTRP_RCV) == 0 || len < 14) {
        return false;
    }
    type = (unsigned)data[12] << 8 | data[13];
    if (type >= 46) {
        return false;
    }
    *ret_keep = 14 + type;
    return true;
}

static void put_slice(struct rx_frame *frame, unsigned i, const void *data, size_t len)
{
    frame->slices[i] = (DevemuSlice){data, len};
    frame->len += len;
}

/* The usual kind: one buffer that can be seen, and no option. False: nothing was done. */
static bool rx_simple(struct lance *s, const uint8_t *data, size_t len, size_t pad, uint8_t flags)
{
    size_t total = len + pad + LANCE_FCS;
    struct lance_ring ring;
    uint32_t rmd1, crc, addr;
    uint8_t *d, *to;

    if ((s->csr3 & (CSR3_BSWP | CSR3_LAPPEN)) || (s->csr4 & CSR4_ASTRP_RCV) || s->csr122 ||
        (s->sws & SWS_SSIZE32) == 0) {
        return false;
    }
    lance_rx_ring(s, &ring);
    d = lance_md_view(&ring);
    if (d == NULL || (*(const volatile uint8_t *)(d + 7) & MD_OWN) == 0) {
        return false;
    }
    devemu_dma_order();
    rmd1 = devemu_le32(d + 4);
    addr = devemu_le32(d + lance_addr_at(&ring));
    if (total > ((0x1000u - rmd1) & 0xfff)) {
        return false;
    }
    to = devemu_dma_view_write(s->dev, addr, total);
    if (to == NULL) {
        return false;
    }
    memcpy(to, data, len);
    crc = devemu_crc32(0, data, len);
    if (pad) {
        memset(to + len, 0, pad);
        crc = devemu_crc32(crc, zeros, pad);
    }
    devemu_put_le32(to + len + pad, crc);
    devemu_put_le32(d + lance_misc_at(&ring), (uint32_t)s->runts << 16 | (uint32_t)total);
    devemu_dma_order();
    rmd1 = (rmd1 & 0xffff) | (uint32_t)flags << 16 | (uint32_t)(MD_STP | MD_ENP) << 24;
    devemu_put_le32(d + 4, rmd1);
    s->runts = 0;
    s->csr0 |= CSR0_RINT;
    lance_set_pair(lance_csr18(s, CSR_CRBA), addr);
    *lance_csr18(s, CSR_CRBC) = rmd1 & 0xfff;
    *lance_csr18(s, CSR_CRST) = (uint16_t)(rmd1 >> 16);
    lance_ring_next(&ring);
    lance_rx_ring_keep(s, &ring, NULL);
    d = lance_md_view(&ring);
    s->rx_blocked = d != NULL && (*(const volatile uint8_t *)(d + 7) & MD_OWN) == 0;
    return true;
}

/* data and pad zeros are the frame without FCS, unless has_fcs. */
static void rx_frame(struct lance *s, const uint8_t *data, size_t len, size_t pad, bool has_fcs,
                     int flags)
{
    struct rx_frame frame = {.flags = s->sws & SWS_SSIZE32 ? (uint8_t)flags : 0};
    size_t keep;

    if (s->csr122 & CSR122_RCVALGN) {
        put_slice(&frame, 0, zeros, 2); /* DS CSR122: any two bytes, which MCNT does not count */
    }
    if (strips(s, data, len, &keep) && keep < len + pad) {
        put_slice(&frame, 1, data, keep < len ? keep : len);
        put_slice(&frame, 2, zeros, keep < len ? 0 : keep - len);
        frame.count = keep;
    } else {
        frame.count = len + pad;
        put_slice(&frame, 1, data, len);
        put_slice(&frame, 2, zeros, pad);
        if (!has_fcs) {
            uint32_t crc = devemu_crc32(0, data, len);

            devemu_put_le32(frame.fcs, pad ? devemu_crc32(crc, zeros, pad) : crc);
            put_slice(&frame, 3, frame.fcs, LANCE_FCS);
            frame.count += LANCE_FCS;
        }
    }
    if (has_fcs && (len < LANCE_FCS || devemu_crc32(0, data, len - LANCE_FCS) !=
                                           devemu_le32(data + (len - LANCE_FCS)))) {
        frame.error = MD_ERR | RMD_CRC;
    }
    deliver(s, &frame);
}

/* DS "Loopback Operation": one FCS generator; at the transmitter the receiver does not check. */
void lance_rx_loopback(struct lance *s, const uint8_t *data, size_t len, bool own_fcs)
{
    int flags;

    if ((s->csr0 & CSR0_RXON) == 0 || len < 6) {
        return;
    }
    flags = match(s, data, !own_fcs);
    if (flags == NO_MATCH) {
        return;
    }
    rx_frame(s, data, len, 0, !own_fcs, flags);
}

/* DS CSR124, BCR9: less than 64 bytes with FCS is a runt, which full duplex accepts unless FDRPAD.
 */
static bool accepts_runts(const struct lance *s)
{
    return (s->csr124 & CSR124_RPA) != 0 || (s->fdc & (BCR9_FDEN | BCR9_FDRPAD)) == BCR9_FDEN;
}

static void pace(struct lance *s, size_t len)
{
    if (s->latency == LATENCY_DATASHEET) {
        s->rx_ns = devemu_now(s->dev) + lance_wire_ns(len + LANCE_FCS) + LANCE_GAP_NS;
    }
}

size_t lance_receive(void *state, const uint8_t *data, size_t len)
{
    struct lance *s = state;
    size_t pad = 0;
    int flags;

    /* In loopback the station hears only itself. */
    if ((s->csr0 & CSR0_RXON) == 0 || (s->mode & MODE_LOOP) || !s->link_up || len < 6) {
        return len;
    }
    if (lance_magic(s)) {
        receive_magic(s, data, len);
        return len;
    }
    if (lance_suspended(s)) {
        return len;
    }
    if (s->rx_ns != DEVEMU_NEVER) {
        return 0;
    }
    flags = match(s, data, true);
    if (flags == NO_MATCH) {
        lance_saw(s, LANCE_SAW_RCV);
        return len;
    }
    if (len < LANCE_MIN_FRAME) {
        if (s->short_frames == SHORT_PAD) {
            pad = LANCE_MIN_FRAME - len;
        } else if (!accepts_runts(s)) {
            s->runts += s->runts < 255;
            return len;
        }
    }
    lance_saw(s, LANCE_SAW_RCV | LANCE_SAW_MATCH);
    if (!rx_simple(s, data, len, pad, (uint8_t)flags)) {
        rx_frame(s, data, len, pad, false, flags);
    }
    pace(s, len + pad);
    return len;
}

/* --- waiting ----------------------------------------------------------------------- */

size_t lance_ready(const void *state)
{
    const struct lance *s = state;

    if ((s->csr0 & CSR0_RXON) == 0 || lance_magic(s)) {
        return 1; /* taken, and lost or looked at */
    }
    return !s->rx_blocked && !lance_suspended(s) && s->rx_ns == DEVEMU_NEVER;
}

/* DS "Polling": who owns the current receive descriptor? */
void lance_rx_poll(struct lance *s)
{
    struct lance_ring ring;
    struct lance_md md = {0};

    if ((s->csr0 & CSR0_RXON) == 0) {
        return;
    }
    lance_rx_ring(s, &ring);
    s->rx_blocked = !find_start(s, &ring, &md) && (s->csr0 & CSR0_RXON);
    lance_rx_ring_keep(s, &ring, &md);
    if (!s->rx_blocked && s->rx_ns == DEVEMU_NEVER) {
        devemu_send_ready(s->dev);
    }
}

void lance_rx_expired(void *state, uint64_t due_ns)
{
    struct lance *s = state;

    (void)due_ns;
    if (!s->rx_blocked) {
        devemu_send_ready(s->dev);
    }
}
