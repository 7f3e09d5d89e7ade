/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lance-ring.c: descriptors and buffers in guest memory; the only place that knows their layout.
 *
 *      16-bit (SWSTYLE 0)          32-bit (1, 2)              32-bit, burst friendly (3)
 *   0  address 15-0              0  address 31-0            0  xMD2
 *   2  address 23-16             4  BCNT, ONES              4  BCNT, ONES
 *   3  STATUS                    6  flags                   6  flags
 *   4  BCNT, ONES                7  STATUS                  7  STATUS
 *   6  xMD3                      8  xMD2                    8  address 31-0
 *                               12  reserved               12  reserved
 *
 * The rings, DS 135: CSR76 and CSR78 hold the two's complement of a length, CSR72 and CSR74 count
 * from there up. The datasheet calls both the first descriptor's number the length, and the last
 * one's zero, which leaves one number too many: here the last one's is -1, and zero is taken for
 * the last one, too. A length of zero is none; it counts as one.
 */
#include "lance.h"

/* --- rings ------------------------------------------------------------------------- */

static void ring_open(const struct lance *s, struct lance_ring *ring, const uint16_t *base,
                      const uint16_t *at)
{
    ring->style = (uint8_t)(s->sws & SWS_SWSTYLE);
    ring->size = s->sws & SWS_SSIZE32 ? 16 : 8;
    ring->base = lance_pair(base);
    ring->at = lance_pair(at);
    ring->span = lance_ring_count(ring) * ring->size;
    ring->view = devemu_dma_view_write(s->dev, ring->base, ring->span);
}

void lance_rx_ring(const struct lance *s, struct lance_ring *ring)
{
    ring->counter = s->rcvrc;
    ring->length = s->rcvrl;
    ring_open(s, ring, &s->csr18[CSR_BADR - CSR_CRBA], &s->csr18[CSR_CRDA - CSR_CRBA]);
}

void lance_tx_ring(const struct lance *s, struct lance_ring *ring)
{
    ring->counter = s->xmtrc;
    ring->length = s->xmtrl;
    ring_open(s, ring, &s->csr18[CSR_BADX - CSR_CRBA], &s->csr18[CSR_CXDA - CSR_CRBA]);
}

void lance_rx_ring_keep(struct lance *s, const struct lance_ring *ring, const struct lance_md *md)
{
    s->rcvrc = ring->counter;
    lance_set_pair(lance_csr18(s, CSR_CRDA), ring->at);
    if (md) {
        lance_set_pair(lance_csr18(s, CSR_CRBA), md->addr);
        *lance_csr18(s, CSR_CRBC) = md->bcnt & 0xfff;
        *lance_csr18(s, CSR_CRST) = (uint16_t)(md->status << 8 | md->flags);
    }
}

void lance_tx_ring_keep(struct lance *s, const struct lance_ring *ring, const struct lance_md *md)
{
    s->xmtrc = ring->counter;
    lance_set_pair(lance_csr18(s, CSR_CXDA), ring->at);
    if (md) {
        lance_set_pair(lance_csr18(s, CSR_CXBA), md->addr);
        *lance_csr18(s, CSR_CXBC) = md->bcnt & 0xfff;
        *lance_csr18(s, CSR_CXST) = (uint16_t)(md->status << 8 | md->flags);
    }
}

void lance_rings_restart(struct lance *s)
{
    s->rcvrc = s->rcvrl;
    s->xmtrc = s->xmtrl;
    lance_set_pair(lance_csr18(s, CSR_CRDA), lance_pair(lance_csr18(s, CSR_BADR)));
    lance_set_pair(lance_csr18(s, CSR_CXDA), lance_pair(lance_csr18(s, CSR_BADX)));
    lance_rings_show(s);
}

/* The look-ahead registers, which nothing but a register dump looks at. */
void lance_rings_show(struct lance *s)
{
    struct lance_ring ring;

    lance_rx_ring(s, &ring);
    lance_ring_next(&ring);
    lance_set_pair(lance_csr18(s, CSR_NRDA), ring.at);
    lance_ring_next(&ring);
    lance_set_pair(lance_csr18(s, CSR_NNRDA), ring.at);
    lance_tx_ring(s, &ring);
    lance_ring_next(&ring);
    lance_set_pair(lance_csr18(s, CSR_NXDA), ring.at);
    lance_ring_next(&ring);
    lance_set_pair(lance_csr18(s, CSR_NNXDA), ring.at);
}

/* --- descriptors ------------------------------------------------------------------- */

/* The ownership bit first, then what it guards. */
static void md_decode(const struct lance_ring *ring, uint32_t high, const uint8_t *d,
                      struct lance_md *md)
{
    if (ring->size == 8) {
        md->status = *(const volatile uint8_t *)(d + 3);
        devemu_dma_order();
        md->flags = 0;
        md->bcnt = devemu_le16(d + 4);
        md->addr = devemu_le16(d) | (uint32_t)d[2] << 16 | high;
        return;
    }
    md->status = *(const volatile uint8_t *)(d + 7);
    devemu_dma_order();
    md->flags = d[6];
    md->bcnt = devemu_le16(d + 4);
    md->addr = devemu_le32(d + lance_addr_at(ring));
}

bool lance_md_load(struct lance *s, const struct lance_ring *ring, struct lance_md *md)
{
    const uint8_t *d = lance_md_view(ring);
    uint8_t copy[16];

    if (d == NULL) {
        if (!devemu_dma_read(s->dev, ring->at, copy, ring->size)) {
            lance_bus_error(s, "descriptor: cannot be read");
            return false;
        }
        d = copy;
    }
    md_decode(ring, lance_pair(s->iadr) & 0xff000000, d, md);
    /* DS "Transmit Descriptor Table Entry": a byte count of zero is 4096 for the LANCE only. */
    md->len = (0x1000u - md->bcnt) & 0xfff;
    if (md->len == 0 && !s->chip->pcnet) {
        md->len = 0x1000;
    }
    return true;
}

/* The word with the ownership bit, last of all. */
bool lance_md_release(struct lance *s, const struct lance_ring *ring, const struct lance_md *md,
                      uint8_t status, uint8_t flags)
{
    uint8_t *d = lance_md_view(ring);
    unsigned at = ring->size == 8 ? 2 : 4;
    uint8_t word[4];

    if (ring->size == 8) {
        word[0] = (uint8_t)(md->addr >> 16);
        word[1] = status;
    } else {
        devemu_put_le32(word, (uint32_t)status << 24 | (uint32_t)flags << 16 | md->bcnt);
    }
    if (d) {
        devemu_dma_order();
        memcpy(d + at, word, ring->size == 8 ? 2 : 4);
        return true;
    }
    if (!devemu_dma_write(s->dev, (uint64_t)ring->at + at, word, ring->size == 8 ? 2 : 4)) {
        lance_bus_error(s, "descriptor: cannot be written");
        return false;
    }
    return true;
}

bool lance_md_misc(struct lance *s, const struct lance_ring *ring, uint32_t misc32, uint16_t misc16)
{
    uint8_t *d = lance_md_view(ring);
    unsigned at = lance_misc_at(ring);
    unsigned len = 4;
    uint8_t word[4];

    devemu_put_le32(word, misc32);
    if (ring->size == 8) {
        devemu_put_le16(word, misc16);
        at = 6;
        len = 2;
    }
    if (d) {
        memcpy(d + at, word, len);
        return true;
    }
    if (!devemu_dma_write(s->dev, (uint64_t)ring->at + at, word, len)) {
        lance_bus_error(s, "descriptor: cannot be written");
        return false;
    }
    return true;
}

/* --- buffers ----------------------------------------------------------------------- */

/* DS CSR3: BSWP swaps the bytes of buffers, and of nothing else. */
bool lance_buffer_read(struct lance *s, uint32_t addr, uint8_t *to, size_t len)
{
    bool ok = true;

    if (s->csr3 & CSR3_BSWP) {
        for (size_t i = 0; i < len && ok; i++) {
            ok = devemu_dma_read(s->dev, (uint32_t)(addr + i) ^ s->chip->swap, to + i, 1);
        }
    } else if (len > 0) {
        ok = devemu_dma_read(s->dev, addr, to, len);
    }
    if (!ok) {
        lance_bus_error(s, "transmit buffer: cannot be read");
    }
    return ok;
}

bool lance_buffer_write(struct lance *s, uint32_t addr, const uint8_t *from, size_t len)
{
    bool ok = true;

    if (s->csr3 & CSR3_BSWP) {
        for (size_t i = 0; i < len && ok; i++) {
            ok = devemu_dma_write(s->dev, (uint32_t)(addr + i) ^ s->chip->swap, from + i, 1);
        }
    } else if (len > 0) {
        ok = devemu_dma_write(s->dev, addr, from, len);
    }
    if (!ok) {
        lance_bus_error(s, "receive buffer: cannot be written");
    }
    return ok;
}
