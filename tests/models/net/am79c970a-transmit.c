/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: transmission. DS "Transmit Operation", TMD1, TMD2, CSR4, CSR5. */
#include "nic.h"

static void send_one(DevemuFake *f, unsigned len, unsigned status)
{
    frame_make(tx_buf(f, 0), len, nic_broadcast);
    tx_give(f, 2, 0, len, status);
    demand(f);
}

/* --- buffers ----------------------------------------------------------------------- */

Test(am79c970a_transmit, joins_buffers_from_stp_to_enp)
{
    for (unsigned pieces = 1; pieces <= 16; pieces++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        uint8_t frame[16 * 13];

        nic_start_with(f, 2, 0, 2, 4, 0);
        for (unsigned i = 0; i < pieces; i++) {
            memset(tx_buf(f, i), (int)(i + 1), 13);
            memset(frame + 13 * i, (int)(i + 1), 13);
            tx_give(f, 2, i, 13, (i == 0 ? STP : 0u) | (i == pieces - 1 ? ENP : 0u));
        }
        demand(f);

        cr_assert_eq(devemu_fake_sent_count(f), 1);
        expect_sent(f, 0, frame, 13 * pieces);
        for (unsigned i = 0; i < pieces; i++) {
            cr_assert_eq(md_status(f, 2, TX_RING, i),
                         (i == 0 ? STP : 0) | (i == pieces - 1 ? ENP : 0));
        }
        cr_assert_eq(csr_read(f, 0) & 0xff00, CSR0_TINT);
    }
}

Test(am79c970a_transmit, sends_all_frames_of_a_doorbell_in_order)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start_with(f, 3, 0, 2, 4, 0);
    for (unsigned i = 0; i < 15; i++) {
        frame_make(tx_buf(f, i), 60 + i, nic_broadcast);
        tx_give(f, 3, i, 60 + i, STP | ENP);
    }
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 15);
    for (unsigned i = 0; i < 15; i++) {
        expect_sent(f, i, tx_buf(f, i), 60 + i);
        cr_assert_eq(md_status(f, 3, TX_RING, i), STP | ENP);
    }
}

/* DS "Transmit Descriptor Table Entry": allowed but as the last one of a chain. */
Test(am79c970a_transmit, takes_buffers_of_no_bytes_in_a_chain)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    frame_make(tx_buf(f, 1), 70, nic_broadcast);
    tx_give(f, 2, 0, 0, STP);
    tx_give(f, 2, 1, 70, ENP);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
    expect_sent(f, 0, tx_buf(f, 1), 70);
}

/* Windows NT 4 hands over its first descriptor with a byte count of zero: OWN is cleared, no more.
 */
Test(am79c970a_transmit, gives_a_descriptor_of_no_bytes_back)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 0, STP | ENP);
    tx_give(f, 2, 1, 64, STP | ENP);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP | ENP);
}

/* A bare byte count, without the four ones, is a byte count. */
Test(am79c970a_transmit, does_not_look_at_the_ones_bits)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 64, STP | ENP);
    md_at(f, 2, TX_RING, 0)[5] &= 0x0f;
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
}

/* --- padding, FCS ------------------------------------------------------------------ */

Test(am79c970a_transmit, sends_short_frames_as_they_are_without_apad)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    send_one(f, 42, STP | ENP);

    expect_sent(f, 0, tx_buf(f, 0), 42);
}

/* DS CSR4, APAD_XMT: to 64 bytes with FCS, which is made whatever DXMTFCS says. */
Test(am79c970a_transmit, pads_short_frames_with_apad)
{
    static const unsigned modes[] = {0, MODE_DXMTFCS};

    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        uint8_t frame[60] = {0};

        nic_start(f, 2, modes[i]);
        csr_write(f, 4, 0x0915);
        send_one(f, 42, STP | ENP);
        memcpy(frame, tx_buf(f, 0), 42);

        expect_sent(f, 0, frame, 60);
    }
}

Test(am79c970a_transmit, leaves_long_frames_alone_with_apad)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 4, 0x0915);
    send_one(f, 60, STP | ENP);

    expect_sent(f, 0, tx_buf(f, 0), 60);
}

static void put_fcs(uint8_t *frame, size_t len)
{
    devemu_put_le32(frame + len, devemu_crc32(0, frame, len));
}

/* CSR15, DXMTFCS; TMD1, ADD_FCS and, in style 1, NO_FCS; which bit 29 is in which style, and that
 * APAD_XMT makes it ineffective. software: the frame has to end in an FCS made by software. */
Test(am79c970a_transmit, fcs_is_made_by_whom_the_truth_table_says)
{
    static const struct {
        unsigned style, mode, csr4, bit29;
        bool software;
    } rows[] = {
        {2, 0, 0x0115, 0, false},
        {2, 0, 0x0115, TX_ADD_FCS, false},
        {2, MODE_DXMTFCS, 0x0115, 0, true},
        {2, MODE_DXMTFCS, 0x0115, TX_ADD_FCS, false},
        {0, MODE_DXMTFCS, 0x0115, TX_ADD_FCS, false},
        {3, MODE_DXMTFCS, 0x0115, TX_ADD_FCS, false},
        {1, 0, 0x0115, 0, false},
        {1, 0, 0x0115, TX_ADD_FCS, true},
        {1, MODE_DXMTFCS, 0x0115, 0, true},
        {1, MODE_DXMTFCS, 0x0115, TX_ADD_FCS, true},
        {2, MODE_DXMTFCS, 0x0915, TX_ADD_FCS, true},
        {1, 0, 0x0915, TX_ADD_FCS, false},
    };

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        size_t len = 0;

        nic_start(f, rows[i].style, rows[i].mode);
        csr_write(f, 4, rows[i].csr4);
        frame_make(tx_buf(f, 0), 80, nic_broadcast);
        put_fcs(tx_buf(f, 0), 80);
        tx_give(f, rows[i].style, 0, 84, STP | ENP | rows[i].bit29);
        demand(f);

        devemu_fake_sent(f, 0, &len);
        cr_expect_eq(devemu_fake_sent_count(f), 1, "row %zu", i);
        cr_expect_eq(len, rows[i].software ? 80 : 84, "row %zu", i);
    }
}

/* DS TMD1: ADD_FCS is valid with STP, NO_FCS with ENP. */
Test(am79c970a_transmit, add_fcs_counts_with_stp_and_no_fcs_with_enp)
{
    static const struct {
        unsigned style, mode, first, last;
        bool software;
    } rows[] = {{2, MODE_DXMTFCS, TX_ADD_FCS, 0, false},
                {2, MODE_DXMTFCS, 0, TX_ADD_FCS, true},
                {1, 0, TX_ADD_FCS, 0, false},
                {1, 0, 0, TX_ADD_FCS, true}};

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        size_t len = 0;

        nic_start(f, rows[i].style, rows[i].mode);
        frame_make(tx_buf(f, 0), 80, nic_broadcast);
        put_fcs(tx_buf(f, 0), 80);
        memcpy(tx_buf(f, 1), tx_buf(f, 0) + 40, 44);
        tx_give(f, rows[i].style, 0, 40, STP | rows[i].first);
        tx_give(f, rows[i].style, 1, 44, ENP | rows[i].last);
        demand(f);

        devemu_fake_sent(f, 0, &len);
        cr_expect_eq(len, rows[i].software ? 80 : 84, "row %zu", i);
    }
}

/* Software's FCS is wrong: no station on the wire takes the frame. */
Test(am79c970a_transmit, a_frame_with_a_wrong_fcs_is_lost)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, MODE_DXMTFCS);
    send_one(f, 84, STP | ENP);

    cr_assert_eq(devemu_fake_sent_count(f), 0);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP | ENP);
    cr_assert_eq(csr_read(f, 0) & CSR0_TINT, CSR0_TINT);
}

/* DS CSR0, BABL: 1519 bytes and more, with FCS; the frame is sent all the same. */
Test(am79c970a_transmit, babbles_at_1519_bytes)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    send_one(f, 1514, STP | ENP);
    cr_assert_eq(csr_read(f, 0) & (CSR0_BABL | CSR0_ERR), 0);
    tx_give(f, 2, 1, 1515, STP | ENP);
    demand(f);

    cr_assert_eq(csr_read(f, 0) & (CSR0_BABL | CSR0_ERR | CSR0_INTR),
                 CSR0_BABL | CSR0_ERR | CSR0_INTR);
    cr_assert_eq(devemu_fake_sent_count(f), 2);
    cr_assert_eq(md_status(f, 2, TX_RING, 1), STP | ENP);
    csr_write(f, 0, CSR0_BABL | CSR0_TINT | CSR0_INEA);
    cr_assert_eq(csr_read(f, 0) & 0xff80, 0);
}

/* The same length, with the FCS in it. */
Test(am79c970a_transmit, babbles_at_1519_bytes_with_the_fcs_of_software)
{
    for (unsigned len = 1518; len <= 1519; len++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start(f, 2, MODE_DXMTFCS);
        frame_make(tx_buf(f, 0), len, nic_broadcast);
        put_fcs(tx_buf(f, 0), len - 4);
        tx_give(f, 2, 0, len, STP | ENP);
        demand(f);

        cr_expect_eq((csr_read(f, 0) & CSR0_BABL) != 0, len == 1519);
        cr_expect_eq(devemu_fake_sent_count(f), 1);
    }
}

/* --- interrupts -------------------------------------------------------------------- */

/* DS CSR5, TOKINTD and LTINTEN; TMD1, LTINT; errors interrupt in any case. */
Test(am79c970a_transmit, tint_follows_the_truth_table)
{
    for (unsigned row = 0; row < 16; row++) {
        bool tokintd = (row & 1) != 0, ltinten = (row & 2) != 0, ltint = (row & 4) != 0;
        bool error = (row & 8) != 0;
        bool expected = error || (!tokintd && (!ltinten || ltint));
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start(f, 2, 0);
        csr_write(f, 5, (tokintd ? 0x8000u : 0) | (ltinten ? 0x4000u : 0));
        if (error) {
            devemu_device_link(devemu_fake_device(f), 0);
        }
        send_one(f, 60, STP | ENP | (ltint ? TX_LTINT : 0u));

        cr_expect_eq((csr_read(f, 0) & CSR0_TINT) != 0, expected,
                     "TOKINTD=%d LTINTEN=%d LTINT=%d error=%d", tokintd, ltinten, ltint, error);
        cr_expect_eq(md_status(f, 2, TX_RING, 0) & ~ERR, STP | ENP);
    }
}

/* The bit of the last descriptor decides. */
Test(am79c970a_transmit, ltint_counts_with_enp)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 5, 0x4000);
    tx_give(f, 2, 0, 40, STP | TX_LTINT);
    tx_give(f, 2, 1, 40, ENP);
    demand(f);
    cr_assert_eq(csr_read(f, 0) & CSR0_TINT, 0);
    tx_give(f, 2, 2, 40, STP);
    tx_give(f, 2, 3, 40, ENP | TX_LTINT);
    demand(f);

    cr_assert_eq(csr_read(f, 0) & CSR0_TINT, CSR0_TINT);
}

/* --- errors ------------------------------------------------------------------------ */

/* DS TMD2, LCAR; CSR0, CERR. The port follows the link (ASEL), or is what PORTSEL says. */
Test(am79c970a_transmit, loses_the_carrier_without_link)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    devemu_device_link(devemu_fake_device(f), 0);
    send_one(f, 60, STP | ENP);

    cr_assert_eq(md_status(f, 2, TX_RING, 0), ERR | STP | ENP);
    cr_assert_eq(tmd_errors(f, 2, 0), TX_LCAR);
    cr_assert_eq(csr_read(f, 0) & (CSR0_ERR | CSR0_CERR | CSR0_TINT),
                 CSR0_ERR | CSR0_CERR | CSR0_TINT);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    devemu_device_link(devemu_fake_device(f), 1);
    tx_give(f, 2, 1, 60, STP | ENP);
    demand(f);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
}

Test(am79c970a_transmit, does_not_look_for_a_carrier_in_full_duplex_on_aui)
{
    static const struct {
        unsigned portsel, fdc;
        bool lcar, cerr;
    } rows[] = {
        {0x0000, 0, true, true},   {0x0000, 1, false, false}, {0x0080, 0, true, true},
        {0x0080, 1, true, false},  {0x0100, 0, true, true},   {0x0100, 1, false, false},
        {0x1080, 0, false, false},
    };

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new("link=off");

        bcr_write(f, 2, 0);
        bcr_write(f, 9, rows[i].fdc);
        nic_start(f, 2, rows[i].portsel);
        send_one(f, 60, STP | ENP);

        cr_expect_eq(tmd_errors(f, 2, 0), rows[i].lcar ? TX_LCAR : 0, "row %zu", i);
        cr_expect_eq((csr_read(f, 0) & CSR0_CERR) != 0, rows[i].cerr, "row %zu", i);
    }
}

/* DS TMD2, BUFF and UFLO; CSR3, DXSUFLO = 0: the transmitter is turned off. */
Test(am79c970a_transmit, underflows_where_the_next_buffer_is_not_owned)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 40, STP);
    tx_give(f, 2, 1, 40, 0);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 0);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP);
    cr_assert_eq(md_status(f, 2, TX_RING, 1), ERR);
    cr_assert_eq(tmd_errors(f, 2, 1), TX_BUFF | TX_UFLO);
    cr_assert_eq(csr_read(f, 0) & (CSR0_TINT | 0x30), CSR0_TINT | CSR0_RXON);
}

/* DXSUFLO = 1: the search for the next STP goes on. */
Test(am79c970a_transmit, recovers_from_an_underflow_with_dxsuflo)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0040);
    tx_give(f, 2, 0, 40, STP);
    demand(f);
    cr_assert_eq(tmd_errors(f, 2, 0), TX_BUFF | TX_UFLO);
    cr_assert_eq(csr_read(f, 0) & 0x30, 0x30);
    tx_give(f, 2, 1, 40, ENP);
    tx_give(f, 2, 2, 64, STP | ENP);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
    cr_assert_eq(md_status(f, 2, TX_RING, 1), ENP);
}

/* DS CSR3, BSWP: buffers only, in double words. Models that ignore it on PCI are known. */
Test(am79c970a_transmit, swaps_buffers_with_bswp)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[68];

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0004);
    frame_make(frame, 64, nic_broadcast);
    for (unsigned i = 0; i < 64; i++) {
        tx_buf(f, 0)[i ^ 3] = frame[i];
        tx_buf(f, 1)[(i + 1) ^ 3] = frame[i];
    }
    tx_give(f, 2, 0, 64, STP | ENP);
    md_set(f, 2, TX_RING, 1, TX_BUF + BUF_STEP + 1, 64, OWN | STP | ENP);
    demand(f);

    expect_sent(f, 0, frame, 64);
    expect_sent(f, 1, frame, 64);
}

/* --- time -------------------------------------------------------------------------- */

/* 10 Mb/s: 8 bytes of preamble, the frame, 4 of FCS, 800 ns each; 9.6 us of gap. */
Test(am79c970a_transmit, takes_wire_time_with_the_datasheets_latency)
{
    g_autoptr(DevemuFake) f = nic_new("latency=datasheet");

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 60, STP | ENP);
    tx_give(f, 2, 1, 1514, STP | ENP);
    demand(f);
    cr_assert_eq(csr_read(f, 0) & CSR0_TDMD, 0);
    devemu_fake_advance(f, 72 * 800 - 1);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), OWN | STP | ENP);
    devemu_fake_advance(f, 1);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP | ENP);
    cr_assert(devemu_fake_line(f, 0));

    devemu_fake_advance(f, 9600 + 1526 * 800 - 1);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
    devemu_fake_advance(f, 1);
    cr_assert_eq(devemu_fake_sent_count(f), 2);

    tx_give(f, 2, 2, 60, STP | ENP);
    demand(f);
    devemu_fake_advance(f, 9600 + 72 * 800 - 1);
    cr_assert_eq(devemu_fake_sent_count(f), 2);
    devemu_fake_advance(f, 1);
    cr_assert_eq(devemu_fake_sent_count(f), 3);
}

/* Padding (APAD_XMT) and the FCS, whoever makes it, take their time, too. */
Test(am79c970a_transmit, takes_the_wire_time_of_what_is_sent)
{
    static const struct {
        unsigned mode, csr4, bit29, len, bytes;
    } rows[] = {
        {0, 0x0115, 0, 42, 46},
        {0, 0x0915, 0, 42, 64},
        {MODE_DXMTFCS, 0x0115, 0, 84, 84},
        {MODE_DXMTFCS, 0x0115, TX_ADD_FCS, 84, 88},
        {MODE_DXMTFCS, 0x0915, 0, 42, 64},
    };

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new("latency=datasheet");

        nic_start(f, 2, rows[i].mode);
        csr_write(f, 4, rows[i].csr4);
        tx_give(f, 2, 0, rows[i].len, STP | ENP | rows[i].bit29);
        demand(f);
        devemu_fake_advance(f, (8 + rows[i].bytes) * 800 - 1);
        cr_expect_eq(md_status(f, 2, TX_RING, 0) & OWN, OWN, "row %zu", i);
        devemu_fake_advance(f, 1);
        cr_expect_eq(md_status(f, 2, TX_RING, 0) & OWN, 0, "row %zu", i);
    }
}

/* DS CSR60 to CSR63: the descriptor before the current one, as it was read; on the quick path and,
 * with BSWP, on the other. */
Test(am79c970a_transmit, leaves_the_previous_descriptor_in_its_registers)
{
    static const unsigned swap[] = {0, 0x0004};

    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start(f, 2, 0);
        csr_write(f, 3, swap[i]);
        tx_give(f, 2, 0, 60, STP | ENP);
        tx_give(f, 2, 1, 64, STP | ENP | TX_LTINT);
        demand(f);

        cr_expect_eq(csr_pair(f, 60), TX_RING + 16);
        cr_expect_eq(csr_read(f, 62), 0x1000 - 64);
        cr_expect_eq(csr_read(f, 63), (OWN | STP | ENP | TX_LTINT) << 8);
    }
}

/* DS "S_RESET": what a packet driver does that is loaded again while frames are on their way. */
Test(am79c970a_transmit, s_reset_ends_a_frame_on_the_wire_and_a_new_start_sends_it)
{
    g_autoptr(DevemuFake) f = nic_new("latency=datasheet");

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 1514, STP | ENP);
    rx_give(f, 2, 0, 2048);
    receive_to(f, 1514, nic_mac);
    demand(f);
    devemu_fake_advance(f, 1000);
    devemu_fake_read(f, 0, 0x14, 2);
    cr_assert(devemu_fake_settle(f, 100000000));
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), OWN | STP | ENP);
    cr_assert_eq(csr_read(f, 0), CSR0_STOP);
    nic_start(f, 2, 0);
    devemu_fake_advance(f, 2000000);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP | ENP);
}

Test(am79c970a_transmit, stop_ends_a_frame_on_the_wire)
{
    g_autoptr(DevemuFake) f = nic_new("latency=datasheet");

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 1514, STP | ENP);
    demand(f);
    csr_write(f, 0, CSR0_STOP);

    cr_assert(devemu_fake_settle(f, 100000000));
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), OWN | STP | ENP);
}
