/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nic.h: what the tests of the LANCE family share: register access through the ports, rings in
 * guest memory.
 */
#ifndef NIC_H
#define NIC_H

#include <criterion/criterion.h>
#include <devemu/testing.h>

extern const DevemuModel devemu_model_am79c970a;
extern const DevemuModel devemu_model_am7990;

#define RAM_BYTES 0x200000u

enum {
    INIT_AT = 0x1000,
    RX_RING = 0x2000,
    TX_RING = 0x8000,
    RX_BUF = 0x20000,
    TX_BUF = 0x100000,
    BUF_STEP = 0x1000,
};

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
};

enum {
    MODE_PROM = 0x8000,
    MODE_DRCVBC = 0x4000,
    MODE_DRCVPA = 0x2000,
    MODE_MENDECL = 0x0400,
    MODE_INTL = 0x0040,
    MODE_DRTY = 0x0020,
    MODE_FCOLL = 0x0010,
    MODE_DXMTFCS = 0x0008,
    MODE_LOOP = 0x0004,
    MODE_DTX = 0x0002,
    MODE_DRX = 0x0001,
};

enum {
    OWN = 0x80,
    ERR = 0x40,
    STP = 0x02,
    ENP = 0x01,
    RX_OFLO = 0x10,
    RX_CRC = 0x08,
    RX_BUFF = 0x04,
    TX_ADD_FCS = 0x20,
    TX_LTINT = 0x10,
    /* bits 31-16 of TMD2 */
    TX_BUFF = 0x8000,
    TX_UFLO = 0x4000,
    TX_LCAR = 0x0800,
    TX_RTRY = 0x0400,
    /* bits 23-16 of RMD1 */
    RX_PAM = 0x40,
    RX_LAFM = 0x20,
    RX_BAM = 0x10,
};

static const uint8_t nic_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t nic_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* --- registers, WIO ---------------------------------------------------------------- */

static inline unsigned csr_read(DevemuFake *f, unsigned n)
{
    devemu_fake_write(f, 0, 0x12, 2, n);
    return (unsigned)devemu_fake_read(f, 0, 0x10, 2);
}

static inline void csr_write(DevemuFake *f, unsigned n, unsigned value)
{
    devemu_fake_write(f, 0, 0x12, 2, n);
    devemu_fake_write(f, 0, 0x10, 2, value);
}

static inline unsigned bcr_read(DevemuFake *f, unsigned n)
{
    devemu_fake_write(f, 0, 0x12, 2, n);
    return (unsigned)devemu_fake_read(f, 0, 0x16, 2);
}

static inline void bcr_write(DevemuFake *f, unsigned n, unsigned value)
{
    devemu_fake_write(f, 0, 0x12, 2, n);
    devemu_fake_write(f, 0, 0x16, 2, value);
}

static inline uint32_t csr_pair(DevemuFake *f, unsigned n)
{
    uint32_t low = csr_read(f, n);

    return low | (uint32_t)csr_read(f, n + 1) << 16;
}

static inline void csr_set_pair(DevemuFake *f, unsigned n, uint32_t value)
{
    csr_write(f, n, value & 0xffff);
    csr_write(f, n + 1, value >> 16);
}

/* --- rings: i-th descriptor of a ring, in the layout of a software style ----------- */

static inline uint8_t *md_at(DevemuFake *f, unsigned style, uint32_t ring, unsigned i)
{
    return devemu_fake_ram(f) + ring + i * (style == 0 ? 8u : 16u);
}

static inline void md_set(DevemuFake *f, unsigned style, uint32_t ring, unsigned i, uint32_t addr,
                          unsigned len, uint8_t status)
{
    uint8_t *d = md_at(f, style, ring, i);
    uint16_t count = (uint16_t)(0xf000 | ((0x1000 - len) & 0xfff));

    if (style == 0) {
        devemu_put_le16(d, (uint16_t)addr);
        d[2] = (uint8_t)(addr >> 16);
        devemu_put_le16(d + 4, count);
        devemu_put_le16(d + 6, 0x5555);
        d[3] = status;
        return;
    }
    devemu_put_le32(d + (style == 3 ? 8 : 0), addr);
    devemu_put_le32(d + (style == 3 ? 0 : 8), 0x55555555);
    devemu_put_le32(d + 12, 0x99999999);
    devemu_put_le32(d + 4, (uint32_t)status << 24 | count);
}

static inline uint8_t md_status(DevemuFake *f, unsigned style, uint32_t ring, unsigned i)
{
    return md_at(f, style, ring, i)[style == 0 ? 3 : 7];
}

static inline uint8_t md_flags(DevemuFake *f, unsigned style, uint32_t ring, unsigned i)
{
    return style == 0 ? 0 : md_at(f, style, ring, i)[6];
}

/* Bits 31-16 of TMD2, TMD3 */
static inline unsigned tmd_errors(DevemuFake *f, unsigned style, unsigned i)
{
    const uint8_t *d = md_at(f, style, TX_RING, i);

    return style == 0 ? devemu_le16(d + 6) : devemu_le32(d + (style == 3 ? 0 : 8)) >> 16;
}

static inline unsigned rmd_count(DevemuFake *f, unsigned style, unsigned i)
{
    const uint8_t *d = md_at(f, style, RX_RING, i);

    return style == 0 ? devemu_le16(d + 6) : devemu_le32(d + (style == 3 ? 0 : 8));
}

static inline uint8_t *rx_buf(DevemuFake *f, unsigned i)
{
    return devemu_fake_ram(f) + RX_BUF + i * BUF_STEP;
}

static inline uint8_t *tx_buf(DevemuFake *f, unsigned i)
{
    return devemu_fake_ram(f) + TX_BUF + i * BUF_STEP;
}

static inline void rx_give(DevemuFake *f, unsigned style, unsigned i, unsigned len)
{
    md_set(f, style, RX_RING, i, RX_BUF + i * BUF_STEP, len, OWN);
}

static inline void tx_give(DevemuFake *f, unsigned style, unsigned i, unsigned len, unsigned status)
{
    md_set(f, style, TX_RING, i, TX_BUF + i * BUF_STEP, len, (uint8_t)(OWN | status));
}

/* --- initialisation ---------------------------------------------------------------- */

static inline void init_block(DevemuFake *f, unsigned style, unsigned mode, unsigned rlen,
                              unsigned tlen, uint64_t ladrf)
{
    uint8_t *b = devemu_fake_ram(f) + INIT_AT;

    if (style == 0) {
        devemu_put_le16(b, (uint16_t)mode);
        memcpy(b + 2, nic_mac, 6);
        devemu_put_le64(b + 8, ladrf);
        devemu_put_le32(b + 16, RX_RING | rlen << 29);
        devemu_put_le32(b + 20, TX_RING | tlen << 29);
        return;
    }
    devemu_put_le32(b, mode | rlen << 20 | tlen << 28);
    memcpy(b + 4, nic_mac, 6);
    devemu_put_le16(b + 10, 0);
    devemu_put_le64(b + 12, ladrf);
    devemu_put_le32(b + 20, RX_RING);
    devemu_put_le32(b + 24, TX_RING);
}

static inline DevemuFake *nic_new(const char *options)
{
    return devemu_fake_new(&devemu_model_am79c970a, options, RAM_BYTES);
}

/* Rings of 2^rlen and 2^tlen descriptors, none of them the controller's yet; initialised, stopped
 * no more, and started. */
static inline void nic_start_with(DevemuFake *f, unsigned style, unsigned mode, unsigned rlen,
                                  unsigned tlen, uint64_t ladrf)
{
    csr_write(f, 0, CSR0_STOP);
    bcr_write(f, 20, style);
    init_block(f, style, mode, rlen, tlen, ladrf);
    csr_set_pair(f, 1, INIT_AT);
    csr_write(f, 0, CSR0_INIT | CSR0_STRT);
    devemu_fake_advance(f, 10000);
    cr_assert(csr_read(f, 0) & CSR0_IDON);
    csr_write(f, 0, CSR0_IDON | CSR0_INEA);
}

static inline void nic_start(DevemuFake *f, unsigned style, unsigned mode)
{
    nic_start_with(f, style, mode, 2, 2, 0);
}

static inline void demand(DevemuFake *f)
{
    csr_write(f, 0, CSR0_TDMD | CSR0_INEA);
}

/* --- frames ------------------------------------------------------------------------ */

/* Destination, source 02:00:00:00:00:01, type 88b5h, then numbers. */
static inline void frame_make(uint8_t *frame, size_t len, const uint8_t *to)
{
    static const uint8_t from[8] = {2, 0, 0, 0, 0, 1, 0x88, 0xb5};

    for (size_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 7 + 3);
    }
    memcpy(frame, to, len < 6 ? len : 6);
    if (len >= 14) {
        memcpy(frame + 6, from, 8);
    }
}

static inline size_t receive_to(DevemuFake *f, size_t len, const uint8_t *to)
{
    uint8_t frame[9000];

    frame_make(frame, len, to);
    return devemu_fake_receive(f, frame, len);
}

static inline void expect_sent(DevemuFake *f, unsigned i, const uint8_t *data, size_t len)
{
    size_t got_len = 0;
    const uint8_t *got = devemu_fake_sent(f, i, &got_len);

    cr_assert_not_null(got, "frame %u was not sent", i);
    cr_assert_eq(got_len, len, "frame %u has %zu bytes, not %zu", i, got_len, len);
    cr_assert_arr_eq(got, data, len);
}

#endif
