/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: reception. DS "Receive Operation", RMD1, RMD2, CSR3 (LAPP), CSR4, CSR15, CSR122. */
#include "nic.h"

/* --- buffers ----------------------------------------------------------------------- */

/* A limit of three descriptors is a known mistake of models. */
Test(am79c970a_receive, spreads_a_frame_over_as_many_buffers_as_it_takes)
{
    for (unsigned pieces = 1; pieces <= 16; pieces++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        unsigned size = (604 + pieces - 1) / pieces;
        uint8_t frame[604];

        nic_start_with(f, 2, 0, 4, 2, 0);
        for (unsigned i = 0; i < 16; i++) {
            rx_give(f, 2, i, size);
        }
        cr_assert_eq(receive_to(f, 600, nic_mac), 600);

        frame_make(frame, 600, nic_mac);
        devemu_put_le32(frame + 600, devemu_crc32(0, frame, 600));
        for (unsigned i = 0, at = 0; i < pieces; i++, at += size) {
            unsigned n = 604 - at < size ? 604 - at : size;

            cr_assert_arr_eq(rx_buf(f, i), frame + at, n);
            cr_assert_eq(md_status(f, 2, RX_RING, i),
                         (i == 0 ? STP : 0) | (i == pieces - 1 ? ENP : 0));
        }
        cr_assert_eq(rmd_count(f, 2, pieces - 1), 604);
        cr_assert_eq(md_status(f, 2, RX_RING, pieces % 16), pieces == 16 ? STP : OWN);
        cr_assert_eq(csr_read(f, 0) & 0xff00, CSR0_RINT);
    }
}

/* DS RMD1, BUFF and OFLO; RINT. */
Test(am79c970a_receive, ends_with_buff_where_the_next_buffer_is_not_owned)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 32);
    rx_give(f, 2, 1, 32);
    receive_to(f, 60 + 40, nic_mac);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), ERR | RX_OFLO | RX_BUFF);
    cr_assert_eq(csr_read(f, 0) & (CSR0_RINT | CSR0_MISS), CSR0_RINT);
    cr_assert_eq(csr_pair(f, 28), RX_RING + 32);
    rx_give(f, 2, 2, 1024);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 2), STP | ENP);
}

/* The count has twelve bits; the frame is stored whole. */
Test(am79c970a_receive, stores_frames_of_any_length)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[9000];

    nic_start(f, 2, 0);
    for (unsigned i = 0; i < 4; i++) {
        rx_give(f, 2, i, 4000);
    }
    receive_to(f, 9000, nic_mac);

    frame_make(frame, 9000, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 2), ENP);
    cr_assert_eq(rmd_count(f, 2, 2), 9004 & 0xfff);
    cr_assert_arr_eq(rx_buf(f, 0), frame, 4000);
    cr_assert_arr_eq(rx_buf(f, 2), frame + 8000, 1000);
    cr_assert_eq(devemu_le32(rx_buf(f, 2) + 1000), devemu_crc32(0, frame, 9000));
}

Test(am79c970a_receive, the_fcs_may_fall_across_two_buffers)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[100], fcs[4];

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 102);
    rx_give(f, 2, 1, 102);
    receive_to(f, 100, nic_mac);
    frame_make(frame, 100, nic_mac);
    devemu_put_le32(fcs, devemu_crc32(0, frame, 100));

    cr_assert_arr_eq(rx_buf(f, 0) + 100, fcs, 2);
    cr_assert_arr_eq(rx_buf(f, 1), fcs + 2, 2);
    cr_assert_eq(rmd_count(f, 2, 1), 104);
}

/* --- missed frames ----------------------------------------------------------------- */

/* DS CSR0, MISS; CSR112; CSR4, MFCO */
Test(am79c970a_receive, counts_missed_frames_and_says_when_the_count_wraps)
{
    uint8_t frame[60];
    g_autoptr(DevemuFake) f =
        devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);

    nic_start(f, 2, 0);
    frame_make(frame, 60, nic_mac);
    for (unsigned i = 0; i < 65535; i++) {
        devemu_fake_receive(f, frame, 60);
    }
    cr_assert_eq(csr_read(f, 112), 65535);
    cr_assert_eq(csr_read(f, 0) & (CSR0_ERR | CSR0_MISS), CSR0_ERR | CSR0_MISS);
    cr_assert_eq(csr_read(f, 4), 0x0115);
    csr_write(f, 3, 0x1000);
    cr_assert_not(devemu_fake_line(f, 0));
    devemu_fake_receive(f, frame, 60);

    cr_assert_eq(csr_read(f, 112), 0);
    cr_assert_eq(csr_read(f, 4), 0x0315);
    cr_assert_not(devemu_fake_line(f, 0));
    csr_write(f, 4, 0x0015);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 4, 0x0215);
    cr_assert_not(devemu_fake_line(f, 0));
}

Test(am79c970a_receive, frames_for_others_are_not_missed)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    receive_to(f, 60, (const uint8_t[]){2, 2, 2, 2, 2, 2});

    cr_assert_eq(csr_read(f, 112), 0);
}

/* Reception between INIT and STRT is a known mistake of models. */
Test(am79c970a_receive, needs_rxon)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, MODE_DRX);
    rx_give(f, 2, 0, 1024);
    cr_assert_eq(receive_to(f, 60, nic_mac), 60);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), OWN);
    cr_assert_eq(csr_read(f, 112), 0);
}

Test(am79c970a_receive, needs_a_link)
{
    g_autoptr(DevemuFake) f = nic_new("link=off");

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 1024);
    receive_to(f, 60, nic_mac);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), OWN);
}

/* --- addresses --------------------------------------------------------------------- */

/* DS CSR15, RMD1. The hash of 01:00:5e:00:00:01 is bit 54 of the filter. */
Test(am79c970a_receive, accepts_what_the_filters_say_and_tells_why)
{
    static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};
    static const uint8_t other[6] = {0x02, 0x00, 0x5e, 0x00, 0x00, 0x01};
    static const struct {
        unsigned mode;
        uint64_t ladrf;
        const uint8_t *to;
        int flags; /* -1: not accepted */
    } rows[] = {
        {0, 0, nic_mac, RX_PAM},
        {0, 0, nic_broadcast, RX_BAM},
        {0, 0, group, -1},
        {0, 0, other, -1},
        {0, UINT64_C(1) << 54, group, RX_LAFM},
        {0, ~(UINT64_C(1) << 54), group, -1},
        {0, UINT64_MAX, other, -1},
        {0, UINT64_MAX, nic_broadcast, RX_BAM},
        {MODE_DRCVBC, 0, nic_broadcast, -1},
        {MODE_DRCVBC, UINT64_MAX, nic_broadcast, RX_LAFM},
        {MODE_DRCVPA, 0, nic_mac, -1},
        {MODE_DRCVPA, UINT64_MAX, nic_mac, -1},
        {MODE_PROM, 0, other, 0},
        {MODE_PROM, 0, group, 0},
        {MODE_PROM, 0, nic_mac, RX_PAM},
        {MODE_PROM | MODE_DRCVPA, 0, nic_mac, 0},
        {MODE_PROM | MODE_DRCVBC, 0, nic_broadcast, 0},
    };

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start_with(f, 2, rows[i].mode, 2, 2, rows[i].ladrf);
        rx_give(f, 2, 0, 1024);
        cr_assert_eq(receive_to(f, 60, rows[i].to), 60);

        if (rows[i].flags < 0) {
            cr_expect_eq(md_status(f, 2, RX_RING, 0), OWN, "row %zu", i);
        } else {
            cr_expect_eq(md_status(f, 2, RX_RING, 0), STP | ENP, "row %zu", i);
            cr_expect_eq(md_flags(f, 2, RX_RING, 0), rows[i].flags, "row %zu", i);
        }
    }
}

/* --- short frames, stripping, alignment -------------------------------------------- */

/* The station that sent it padded it: the backend saw it before that. */
Test(am79c970a_receive, short_frames_of_the_network_arrive_padded)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[60] = {0};

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 1024);
    receive_to(f, 42, nic_mac);
    frame_make(frame, 42, nic_mac);

    cr_assert_eq(rmd_count(f, 2, 0), 64);
    cr_assert_arr_eq(rx_buf(f, 0), frame, 60);
    cr_assert_eq(devemu_le32(rx_buf(f, 0) + 60), devemu_crc32(0, frame, 60));
}

/* DS "Receive Exception Conditions", CSR124 (RPA), BCR9 (FDEN, FDRPAD), RMD2 (RPC) */
Test(am79c970a_receive, runts_are_rejected_unless_rpa_or_full_duplex)
{
    static const struct {
        unsigned csr124, fdc;
        bool accepted;
    } rows[] = {{0, 0, false}, {8, 0, true}, {0, 1, true}, {0, 5, false}, {8, 5, true}};

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new("short-frames=runt");

        csr_write(f, 4, 0x8115);
        csr_write(f, 124, rows[i].csr124);
        bcr_write(f, 9, rows[i].fdc);
        nic_start(f, 2, 0);
        rx_give(f, 2, 0, 1024);
        receive_to(f, 59, nic_mac);
        cr_expect_eq(md_status(f, 2, RX_RING, 0), rows[i].accepted ? STP | ENP : OWN);
        if (rows[i].accepted) {
            cr_expect_eq(rmd_count(f, 2, 0), 63);
        } else {
            receive_to(f, 60, nic_mac);
            cr_expect_eq(rmd_count(f, 2, 0), 1 << 16 | 64);
        }
    }
}

/* DS RMD2, RPC: runts since the frame before, told once; with RCVALGN, too. */
Test(am79c970a_receive, runts_are_told_once)
{
    for (unsigned align = 0; align < 2; align++) {
        g_autoptr(DevemuFake) f = nic_new("short-frames=runt");

        nic_start(f, 2, 0);
        csr_write(f, 122, align);
        rx_give(f, 2, 0, 1024);
        rx_give(f, 2, 1, 1024);
        receive_to(f, 59, nic_mac);
        receive_to(f, 59, nic_mac);
        receive_to(f, 60, nic_mac);
        receive_to(f, 60, nic_mac);

        cr_expect_eq(rmd_count(f, 2, 0), 2 << 16 | 64);
        cr_expect_eq(rmd_count(f, 2, 1), 64);
    }
}

/* DS CSR4, ASTRP_RCV: 802.3 frames with a length below 46 lose padding and FCS. */
Test(am79c970a_receive, strips_padding_and_fcs_with_astrp_rcv)
{
    static const struct {
        unsigned type, len, count;
    } rows[] = {
        {10, 60, 24},   {0, 60, 14},        {45, 60, 59},   {46, 60, 64},  {0x800, 60, 64},
        {10, 1000, 24}, {0x0500, 100, 104}, {46, 100, 104}, {45, 100, 59}, {40, 20, 54},
    };

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        uint8_t frame[1000];

        nic_start(f, 2, 0);
        csr_write(f, 4, 0x0515);
        rx_give(f, 2, 0, 2048);
        frame_make(frame, rows[i].len, nic_mac);
        frame[12] = (uint8_t)(rows[i].type >> 8);
        frame[13] = (uint8_t)rows[i].type;
        memset(rx_buf(f, 0), 0xcc, 2048);
        devemu_fake_receive(f, frame, rows[i].len);

        cr_expect_eq(rmd_count(f, 2, 0), rows[i].count, "row %zu: %u", i, rmd_count(f, 2, 0));
        cr_expect_eq(rx_buf(f, 0)[rows[i].count], 0xcc, "row %zu", i);
        for (unsigned at = rows[i].len; at < rows[i].count && at < 60; at++) {
            cr_expect_eq(rx_buf(f, 0)[at], 0, "row %zu: padding at %u", i, at);
        }
        cr_expect_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
    }
}

/* DS CSR122, RCVALGN: two bytes before the destination, which the count leaves out. */
Test(am79c970a_receive, inserts_two_bytes_with_rcvalgn)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[60];

    csr_write(f, 122, 1);
    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 1024);
    receive_to(f, 60, nic_mac);
    frame_make(frame, 60, nic_mac);

    cr_assert_arr_eq(rx_buf(f, 0) + 2, frame, 60);
    cr_assert_eq(rmd_count(f, 2, 0), 64);
}

/* DS CSR3, BSWP */
Test(am79c970a_receive, swaps_buffers_with_bswp)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[60];

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0004);
    rx_give(f, 2, 0, 1024);
    receive_to(f, 60, nic_mac);
    frame_make(frame, 60, nic_mac);

    for (unsigned i = 0; i < 60; i++) {
        cr_assert_eq(rx_buf(f, 0)[i ^ 3], frame[i]);
    }
    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
}

/* --- LAPP: DS CSR3, LAPPEN --------------------------------------------------------- */

Test(am79c970a_receive, lapp_begins_frames_at_stp_and_returns_what_is_before)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[60];

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0020);
    md_set(f, 2, RX_RING, 0, RX_BUF, 1024, OWN);
    md_set(f, 2, RX_RING, 1, RX_BUF + BUF_STEP, 1024, 0);
    md_set(f, 2, RX_RING, 2, RX_BUF + 2 * BUF_STEP, 40, OWN | STP);
    md_set(f, 2, RX_RING, 3, RX_BUF + 3 * BUF_STEP, 1024, OWN);
    receive_to(f, 60, nic_mac);
    frame_make(frame, 60, nic_mac);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), 0);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), 0);
    cr_assert_eq(md_status(f, 2, RX_RING, 2), STP);
    cr_assert_eq(md_status(f, 2, RX_RING, 3), ENP);
    cr_assert_arr_eq(rx_buf(f, 2), frame, 40);
    cr_assert_arr_eq(rx_buf(f, 3), frame + 40, 20);
}

Test(am79c970a_receive, lapp_skips_to_the_next_stp_after_a_frame)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0020);
    md_set(f, 2, RX_RING, 0, RX_BUF, 1024, OWN | STP);
    md_set(f, 2, RX_RING, 1, RX_BUF + BUF_STEP, 1024, OWN);
    md_set(f, 2, RX_RING, 2, RX_BUF + 2 * BUF_STEP, 1024, OWN);
    md_set(f, 2, RX_RING, 3, RX_BUF + 3 * BUF_STEP, 1024, OWN | STP);
    receive_to(f, 60, nic_mac);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), 0);
    cr_assert_eq(md_status(f, 2, RX_RING, 2), 0);
    cr_assert_eq(md_status(f, 2, RX_RING, 3), OWN | STP);
    cr_assert_eq(csr_pair(f, 28), RX_RING + 48);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 3), STP | ENP);
}

/* Found but not owned: the controller waits there. */
Test(am79c970a_receive, lapp_waits_at_an_stp_that_is_not_owned)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0020);
    md_set(f, 2, RX_RING, 1, RX_BUF + BUF_STEP, 1024, STP);
    md_set(f, 2, RX_RING, 2, RX_BUF + 2 * BUF_STEP, 1024, OWN | STP);
    receive_to(f, 60, nic_mac);

    cr_assert_eq(csr_read(f, 0) & (CSR0_MISS | CSR0_RINT), CSR0_MISS);
    cr_assert_eq(csr_pair(f, 28), RX_RING + 16);
    cr_assert_eq(md_status(f, 2, RX_RING, 2), OWN | STP);
}

/* A buffer with STP is the next frame's. */
Test(am79c970a_receive, lapp_does_not_go_on_into_a_buffer_with_stp)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0020);
    md_set(f, 2, RX_RING, 0, RX_BUF, 40, OWN | STP);
    md_set(f, 2, RX_RING, 1, RX_BUF + BUF_STEP, 1024, OWN | STP);
    receive_to(f, 60, nic_mac);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), ERR | RX_OFLO | RX_BUFF | STP);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), OWN | STP);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), STP | ENP);
}

/* RINT comes after the first buffer already. */
Test(am79c970a_receive, lapp_interrupts_after_the_first_buffer)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0020);
    md_set(f, 2, RX_RING, 0, RX_BUF, 40, OWN | STP);
    md_set(f, 2, RX_RING, 1, 0xfff00000, 1024, OWN);
    receive_to(f, 60, nic_mac);

    cr_assert_eq(csr_read(f, 0) & (CSR0_RINT | CSR0_MERR), CSR0_RINT | CSR0_MERR);
    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP);
}

/* --- time -------------------------------------------------------------------------- */

Test(am79c970a_receive, takes_the_next_frame_after_wire_time_with_the_datasheets_latency)
{
    g_autoptr(DevemuFake) f = nic_new("latency=datasheet");
    unsigned before;

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 1024);
    rx_give(f, 2, 1, 1024);
    csr_write(f, 0, CSR0_INEA);
    cr_assert_eq(receive_to(f, 60, nic_mac), 60);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 0);
    cr_assert_eq(receive_to(f, 60, nic_mac), 0);
    before = devemu_fake_readies(f);
    devemu_fake_advance(f, 72 * 800 + 9600);

    cr_assert_eq(devemu_fake_readies(f), before + 1);
    cr_assert_eq(receive_to(f, 60, nic_mac), 60);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), STP | ENP);
}
