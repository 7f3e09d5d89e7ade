/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: DS "Loopback Operation". */
#include "nic.h"

typedef struct Kind {
    const char *name;
    unsigned mode;
    bool external;
} Kind;

static const Kind kinds[] = {
    {"external", MODE_LOOP, true},
    {"internal, without MENDEC", MODE_LOOP | MODE_INTL, false},
    {"internal, with MENDEC", MODE_LOOP | MODE_INTL | MODE_MENDECL, false},
};

/* With TMAULOOP (BCR2), so that the external kind gets to the network. */
static void loop_one(DevemuFake *f, unsigned mode, unsigned len)
{
    bcr_write(f, 2, 0x4002);
    nic_start(f, 2, mode);
    rx_give(f, 2, 0, 2048);
    tx_give(f, 2, 0, len, STP | ENP);
    demand(f);
}

/* DXMTFCS = 0: the generator is the transmitter's; the FCS is in the buffer, and nobody checks. */
Test(am79c970a_loopback, transmitters_fcs_is_appended_and_not_checked)
{
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(kinds); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        frame_make(tx_buf(f, 0), 100, nic_mac);
        loop_one(f, kinds[i].mode, 100);

        cr_expect_eq(md_status(f, 2, TX_RING, 0), STP | ENP, "%s", kinds[i].name);
        cr_expect_eq(md_status(f, 2, RX_RING, 0), STP | ENP, "%s", kinds[i].name);
        cr_expect_eq(rmd_count(f, 2, 0), 104, "%s", kinds[i].name);
        cr_expect_arr_eq(rx_buf(f, 0), tx_buf(f, 0), 100);
        cr_expect_eq(devemu_le32(rx_buf(f, 0) + 100), devemu_crc32(0, tx_buf(f, 0), 100));
        cr_expect_eq(devemu_fake_sent_count(f), kinds[i].external, "%s", kinds[i].name);
        cr_expect_eq(csr_read(f, 0) & (CSR0_RINT | CSR0_TINT), CSR0_RINT | CSR0_TINT);
    }
}

/* DXMTFCS = 1: it is the receiver's; software's FCS is checked. */
Test(am79c970a_loopback, softwares_fcs_is_checked)
{
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(kinds) * 2; i++) {
        const Kind *kind = &kinds[i / 2];
        bool wrong = i % 2;
        g_autoptr(DevemuFake) f = nic_new(NULL);

        frame_make(tx_buf(f, 0), 100, nic_mac);
        devemu_put_le32(tx_buf(f, 0) + 100, devemu_crc32(0, tx_buf(f, 0), 100) ^ wrong);
        loop_one(f, kind->mode | MODE_DXMTFCS, 104);

        cr_expect_eq(md_status(f, 2, RX_RING, 0), STP | ENP | (wrong ? ERR | RX_CRC : 0), "%s",
                     kind->name);
        cr_expect_eq(rmd_count(f, 2, 0), 104);
        cr_expect_arr_eq(rx_buf(f, 0), tx_buf(f, 0), 104);
        cr_expect_eq(devemu_fake_sent_count(f), kind->external && !wrong, "%s", kind->name);
    }
}

/* ADD_FCS gives the generator to the transmitter for one frame. */
Test(am79c970a_loopback, add_fcs_counts_here_too)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, MODE_LOOP | MODE_INTL | MODE_DXMTFCS);
    frame_make(tx_buf(f, 0), 100, nic_mac);
    rx_give(f, 2, 0, 2048);
    tx_give(f, 2, 0, 100, STP | ENP | TX_ADD_FCS);
    demand(f);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
    cr_assert_eq(rmd_count(f, 2, 0), 104);
}

Test(am79c970a_loopback, runts_are_accepted)
{
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(kinds); i++) {
        g_autoptr(DevemuFake) f = nic_new("short-frames=runt");

        frame_make(tx_buf(f, 0), 20, nic_mac);
        loop_one(f, kinds[i].mode, 20);

        cr_expect_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
        cr_expect_eq(rmd_count(f, 2, 0), 24);
    }
}

Test(am79c970a_loopback, padding_and_stripping_work_as_ever)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 4, 0x0915);
    frame_make(tx_buf(f, 0), 30, nic_mac);
    loop_one(f, MODE_LOOP | MODE_INTL, 30);
    cr_assert_eq(rmd_count(f, 2, 0), 64);
    cr_assert_eq(rx_buf(f, 0)[30], 0);

    csr_write(f, 4, 0x0d15);
    frame_make(tx_buf(f, 1), 30, nic_mac);
    tx_buf(f, 1)[12] = 0;
    tx_buf(f, 1)[13] = 16;
    rx_give(f, 2, 1, 1024);
    tx_give(f, 2, 1, 30, STP | ENP);
    demand(f);
    cr_assert_eq(rmd_count(f, 2, 1), 30);
}

/* Frames of the network are not received in loopback. */
Test(am79c970a_loopback, the_network_is_not_heard)
{
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(kinds); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start(f, 2, kinds[i].mode);
        rx_give(f, 2, 0, 1024);
        cr_expect_eq(receive_to(f, 60, nic_mac), 60);
        cr_expect_eq(md_status(f, 2, RX_RING, 0), OWN);
    }
}

Test(am79c970a_loopback, addresses_are_matched)
{
    static const uint8_t other[6] = {0x02, 0, 0, 0, 0, 9};
    g_autoptr(DevemuFake) f = nic_new(NULL);

    frame_make(tx_buf(f, 0), 60, other);
    loop_one(f, MODE_LOOP | MODE_INTL, 60);
    cr_assert_eq(md_status(f, 2, RX_RING, 0), OWN);
    frame_make(tx_buf(f, 1), 60, nic_broadcast);
    tx_give(f, 2, 1, 60, STP | ENP);
    demand(f);

    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
    cr_assert_eq(md_flags(f, 2, RX_RING, 0), RX_BAM);
}

/* The hash of group addresses uses the FCS generator: with it at the transmitter there is none. */
Test(am79c970a_loopback, group_addresses_need_the_generator_at_the_receiver)
{
    static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};

    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start_with(f, 2, MODE_LOOP | MODE_INTL | (i ? MODE_DXMTFCS : 0u), 2, 2, UINT64_MAX);
        frame_make(tx_buf(f, 0), 100, group);
        devemu_put_le32(tx_buf(f, 0) + 100, devemu_crc32(0, tx_buf(f, 0), 100));
        rx_give(f, 2, 0, 1024);
        tx_give(f, 2, 0, 104, STP | ENP);
        demand(f);

        cr_expect_eq(md_status(f, 2, RX_RING, 0), i ? STP | ENP : OWN);
    }
}

/* DS CSR15, FCOLL: each attempt collides; RTRY after the last. */
Test(am79c970a_loopback, forced_collisions_end_in_rtry)
{
    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        loop_one(f, MODE_LOOP | MODE_INTL | MODE_FCOLL | (i ? MODE_DRTY : 0u), 60);

        cr_expect_eq(md_status(f, 2, TX_RING, 0), ERR | STP | ENP);
        cr_expect_eq(tmd_errors(f, 2, 0), TX_RTRY);
        cr_expect_eq(md_status(f, 2, RX_RING, 0), OWN);
        cr_expect_eq(csr_read(f, 0) & CSR0_TINT, CSR0_TINT);
    }
}

/* DS CSR15, FCOLL: in internal loopback only. */
Test(am79c970a_loopback, collisions_are_not_forced_outside_of_the_internal_one)
{
    static const unsigned modes[] = {0, MODE_INTL, MODE_LOOP};

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(modes); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        loop_one(f, modes[i] | MODE_FCOLL, 60);

        cr_expect_eq(tmd_errors(f, 2, 0), 0);
        cr_expect_eq(devemu_fake_sent_count(f), 1);
    }
}

/* DS TMD2: LCAR has no meaning in internal loopback; the external one needs the wire. */
Test(am79c970a_loopback, only_the_external_one_needs_a_link)
{
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(kinds); i++) {
        g_autoptr(DevemuFake) f = nic_new("link=off");

        frame_make(tx_buf(f, 0), 60, nic_mac);
        loop_one(f, kinds[i].mode, 60);

        cr_expect_eq(tmd_errors(f, 2, 0), kinds[i].external ? TX_LCAR : 0);
        cr_expect_eq(md_status(f, 2, RX_RING, 0), kinds[i].external ? OWN : STP | ENP);
    }
}

/* DS BCR2, TMAULOOP; CSR15, PORTSEL: the loop is closed in the T-MAU, or through the network. */
Test(am79c970a_loopback, the_external_one_passes_the_tmau_with_tmauloop_only)
{
    static const struct {
        unsigned bcr2, portsel;
        bool sent;
    } rows[] = {{0x0002, 0, false},     {0x4002, 0, true},       {0x0000, 0x0000, true},
                {0x4000, 0x0000, true}, {0x0000, 0x0080, false}, {0x4000, 0x0080, true}};

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        bcr_write(f, 2, rows[i].bcr2);
        nic_start(f, 2, MODE_LOOP | rows[i].portsel);
        frame_make(tx_buf(f, 0), 60, nic_mac);
        rx_give(f, 2, 0, 2048);
        tx_give(f, 2, 0, 60, STP | ENP);
        demand(f);

        cr_expect_eq(devemu_fake_sent_count(f), rows[i].sent, "row %zu", i);
        cr_expect_eq(md_status(f, 2, RX_RING, 0), STP | ENP, "row %zu", i);
        cr_expect_eq(md_status(f, 2, TX_RING, 0), STP | ENP, "row %zu", i);
    }
}

/* Linux pcnet32_loopback_test(): CSR15 |= 44h by registers, in style 2, BCNT of 60. */
Test(am79c970a_loopback, passes_the_self_test_of_linux)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 0, CSR0_STOP);
    csr_write(f, 15, csr_read(f, 15) | 0x44);
    for (unsigned i = 0; i < 4; i++) {
        frame_make(tx_buf(f, i), 60, nic_mac);
        rx_give(f, 2, i, 1544);
        tx_give(f, 2, i, 60, STP | ENP);
    }
    csr_write(f, 0, CSR0_STRT);

    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(md_status(f, 2, RX_RING, i) & OWN, 0);
        cr_assert_arr_eq(rx_buf(f, i), tx_buf(f, i), 60);
    }
    cr_assert_eq(devemu_fake_sent_count(f), 0);
}

Test(am79c970a_loopback, missed_frames_are_counted)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, MODE_LOOP | MODE_INTL);
    frame_make(tx_buf(f, 0), 60, nic_mac);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);

    cr_assert_eq(csr_read(f, 112), 1);
    cr_assert_eq(csr_read(f, 0) & (CSR0_MISS | CSR0_TINT), CSR0_MISS | CSR0_TINT);
}
