/* SPDX-License-Identifier: BSD-3-Clause */
/* Am7990 LANCE. "DS 7990" is AMD 05698. */
#include "nic.h"

static unsigned read_reg(DevemuFake *f, unsigned n)
{
    devemu_fake_write(f, 0, 2, 2, n);
    return (unsigned)devemu_fake_read(f, 0, 0, 2);
}

static void write_reg(DevemuFake *f, unsigned n, unsigned value)
{
    devemu_fake_write(f, 0, 2, 2, n);
    devemu_fake_write(f, 0, 0, 2, value);
}

static DevemuFake *lance_new(const char *options)
{
    return devemu_fake_new(&devemu_model_am7990, options, RAM_BYTES);
}

static void lance_start(DevemuFake *f, unsigned mode, unsigned csr3)
{
    write_reg(f, 0, CSR0_STOP);
    init_block(f, 0, mode, 2, 2, 0);
    write_reg(f, 1, INIT_AT & 0xffff);
    write_reg(f, 2, INIT_AT >> 16);
    write_reg(f, 3, csr3);
    write_reg(f, 0, CSR0_INIT);
    devemu_fake_advance(f, 10000);
    cr_assert(read_reg(f, 0) & CSR0_IDON);
    write_reg(f, 0, CSR0_STRT | CSR0_IDON | CSR0_INEA);
}

Test(am7990, conforms_to_its_tables)
{
    cr_assert_eq(devemu_conformance(&devemu_model_am7990, NULL), 0);
}

Test(am7990, stands_still_after_reset)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    cr_assert_eq(read_reg(f, 0), CSR0_STOP);
    cr_assert_eq(read_reg(f, 3), 0);
    cr_assert_not(devemu_fake_line(f, 0));
}

/* DS 7990, CSR1 to CSR3 */
Test(am7990, csr1_to_3_are_written_with_stop_only)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    lance_start(f, 0, 7);
    write_reg(f, 1, 0x4444);
    write_reg(f, 2, 0x0044);
    write_reg(f, 3, 0);

    cr_assert_eq(read_reg(f, 1), INIT_AT);
    cr_assert_eq(read_reg(f, 2), 0);
    cr_assert_eq(read_reg(f, 3), 7);
    cr_assert_geq(devemu_fake_guest_errors(f), 3);
}

/* DS 7990, CSR3: cleared by STOP. */
Test(am7990, stop_clears_csr0_and_csr3_and_not_the_address)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    lance_start(f, 0, 4);
    write_reg(f, 0, CSR0_STOP | CSR0_STRT | CSR0_INIT);

    cr_assert_eq(read_reg(f, 0), CSR0_STOP);
    cr_assert_eq(read_reg(f, 3), 0);
    cr_assert_eq(read_reg(f, 1), INIT_AT);
}

/* DS 7990, CSR0: INEA cannot be set while STOP is. */
Test(am7990, inea_needs_stop_to_be_zero)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    write_reg(f, 0, CSR0_INEA);
    cr_assert_eq(read_reg(f, 0), CSR0_STOP);
    lance_start(f, 0, 0);

    cr_assert_eq(read_reg(f, 0) & CSR0_INEA, CSR0_INEA);
}

Test(am7990, sends_and_receives_in_the_16_bit_layout)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);
    uint8_t frame[80];

    lance_start(f, 0, 0);
    frame_make(tx_buf(f, 0), 80, nic_broadcast);
    tx_give(f, 0, 0, 80, STP | ENP);
    rx_give(f, 0, 0, 50);
    rx_give(f, 0, 1, 50);
    write_reg(f, 0, CSR0_TDMD | CSR0_INEA);
    receive_to(f, 80, nic_mac);

    expect_sent(f, 0, tx_buf(f, 0), 80);
    cr_assert_eq(md_status(f, 0, TX_RING, 0), STP | ENP);
    frame_make(frame, 80, nic_mac);
    cr_assert_arr_eq(rx_buf(f, 0), frame, 50);
    cr_assert_arr_eq(rx_buf(f, 1), frame + 50, 30);
    cr_assert_eq(md_status(f, 0, RX_RING, 0), STP);
    cr_assert_eq(md_status(f, 0, RX_RING, 1), ENP);
    cr_assert_eq(rmd_count(f, 0, 1), 84);
    cr_assert_eq(devemu_le16(md_at(f, 0, RX_RING, 1)), (RX_BUF + BUF_STEP) & 0xffff);
    cr_assert_eq(md_at(f, 0, RX_RING, 1)[2], (RX_BUF + BUF_STEP) >> 16);
    cr_assert_eq(read_reg(f, 0) & 0xff00, CSR0_RINT | CSR0_TINT);
    cr_assert(devemu_fake_line(f, 0));
    write_reg(f, 0, CSR0_RINT | CSR0_TINT | CSR0_INEA);
    cr_assert_not(devemu_fake_line(f, 0));
}

/* DS 7990, TMD1: there is no ADD_FCS; bit 13 is reserved. */
Test(am7990, has_no_add_fcs)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);
    size_t len = 0;

    lance_start(f, MODE_DXMTFCS, 0);
    frame_make(tx_buf(f, 0), 80, nic_broadcast);
    devemu_put_le32(tx_buf(f, 0) + 80, devemu_crc32(0, tx_buf(f, 0), 80));
    tx_give(f, 0, 0, 84, STP | ENP | TX_ADD_FCS);
    write_reg(f, 0, CSR0_TDMD);

    devemu_fake_sent(f, 0, &len);
    cr_assert_eq(len, 80);
}

/* A restart without INIT goes on where the rings were, unlike the PCnets. */
Test(am7990, a_restart_goes_on_where_the_rings_were)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    lance_start(f, 0, 0);
    tx_give(f, 0, 0, 60, STP | ENP);
    write_reg(f, 0, CSR0_TDMD);
    write_reg(f, 0, CSR0_STOP);
    tx_give(f, 0, 1, 61, STP | ENP);
    write_reg(f, 0, CSR0_STRT);

    cr_assert_eq(devemu_fake_sent_count(f), 2);
}

/* A byte count of zero is 4096 for this chip. */
Test(am7990, a_byte_count_of_zero_is_4096)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);
    size_t len = 0;

    lance_start(f, 0, 0);
    tx_give(f, 0, 0, 0, STP | ENP);
    write_reg(f, 0, CSR0_TDMD);

    devemu_fake_sent(f, 0, &len);
    cr_assert_eq(len, 4096);
    cr_assert_eq(read_reg(f, 0) & CSR0_BABL, CSR0_BABL);
}

/* DS 7990, CSR3: BSWP swaps the bytes of words. */
Test(am7990, swaps_bytes_of_words_with_bswp)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);
    uint8_t frame[64];

    lance_start(f, 0, 4);
    frame_make(frame, 64, nic_broadcast);
    for (unsigned i = 0; i < 64; i++) {
        tx_buf(f, 0)[i ^ 1] = frame[i];
    }
    tx_give(f, 0, 0, 64, STP | ENP);
    write_reg(f, 0, CSR0_TDMD);

    expect_sent(f, 0, frame, 64);
}

/* DS 7990 "Polling": 1.6 ms. */
Test(am7990, polls_the_transmit_ring)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    lance_start(f, 0, 0);
    tx_give(f, 0, 0, 60, STP | ENP);
    devemu_fake_advance(f, 1600000 - 1);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    devemu_fake_advance(f, 1);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
}

/* DS 7990, TMD3: LCAR; CSR0, CERR */
Test(am7990, loses_the_carrier_without_link)
{
    g_autoptr(DevemuFake) f = lance_new("link=off");

    lance_start(f, 0, 0);
    tx_give(f, 0, 0, 60, STP | ENP);
    write_reg(f, 0, CSR0_TDMD);

    cr_assert_eq(md_status(f, 0, TX_RING, 0), ERR | STP | ENP);
    cr_assert_eq(tmd_errors(f, 0, 0), TX_LCAR);
    cr_assert_eq(read_reg(f, 0) & (CSR0_ERR | CSR0_CERR), CSR0_ERR | CSR0_CERR);
}

/* DS 7990, CSR0: MISS, and no counter anywhere. */
Test(am7990, misses_a_frame_without_a_buffer)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    lance_start(f, 0, 0);
    receive_to(f, 60, nic_mac);

    cr_assert_eq(read_reg(f, 0) & 0xff80, CSR0_ERR | CSR0_MISS | CSR0_INTR);
    cr_assert(devemu_fake_line(f, 0));
}

Test(am7990, merr_follows_a_failed_access)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    lance_start(f, 0, 0);
    tx_give(f, 0, 0, 60, STP | ENP);
    devemu_fake_fail_dma(f, TX_RING, 8);
    write_reg(f, 0, CSR0_TDMD);

    cr_assert_eq(read_reg(f, 0) & (CSR0_MERR | 0x30), CSR0_MERR);
}

/* DS 7990 "Loopback": internal, FCS as CSR15 says. */
Test(am7990, loops_back)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    lance_start(f, MODE_LOOP | MODE_INTL, 0);
    frame_make(tx_buf(f, 0), 28, nic_mac);
    rx_give(f, 0, 0, 64);
    tx_give(f, 0, 0, 28, STP | ENP);
    write_reg(f, 0, CSR0_TDMD);

    cr_assert_eq(md_status(f, 0, RX_RING, 0), STP | ENP);
    cr_assert_eq(rmd_count(f, 0, 0), 32);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
}

Test(am7990, rap_selects_one_of_four)
{
    g_autoptr(DevemuFake) f = lance_new(NULL);

    devemu_fake_write(f, 0, 2, 2, 0xffff);

    cr_assert_eq(devemu_fake_read(f, 0, 2, 2), 3);
}
