/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: software styles, initialisation, the rings. DS "Buffer Management", "Software Access".
 */
#include "nic.h"

/* --- the four software styles ------------------------------------------------------ */

static void one_frame_each_way(unsigned style)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[77];

    nic_start(f, style, 0);
    frame_make(tx_buf(f, 0), 77, nic_broadcast);
    tx_give(f, style, 0, 77, STP | ENP);
    rx_give(f, style, 0, 1024);
    demand(f);
    cr_assert_eq(receive_to(f, 77, nic_mac), 77);

    expect_sent(f, 0, tx_buf(f, 0), 77);
    cr_assert_eq(md_status(f, style, TX_RING, 0), STP | ENP);
    cr_assert_eq(tmd_errors(f, style, 0), 0);
    frame_make(frame, 77, nic_mac);
    cr_assert_arr_eq(rx_buf(f, 0), frame, 77);
    cr_assert_eq(md_status(f, style, RX_RING, 0), STP | ENP);
    cr_assert_eq(rmd_count(f, style, 0), 81);
    cr_assert_eq(md_flags(f, style, RX_RING, 0), style == 0 ? 0 : RX_PAM);
    cr_assert_eq(devemu_le32(rx_buf(f, 0) + 77), devemu_crc32(0, frame, 77));
}

Test(am79c970a_rings, style_0_has_the_16_bit_layout_of_the_lance)
{
    one_frame_each_way(0);
}

Test(am79c970a_rings, style_1_has_the_32_bit_layout_of_the_ilacc)
{
    one_frame_each_way(1);
}

Test(am79c970a_rings, style_2_has_the_32_bit_layout_of_the_pcnet_pci)
{
    one_frame_each_way(2);
}

Test(am79c970a_rings, style_3_has_the_32_bit_layout_in_another_order)
{
    one_frame_each_way(3);
}

/* What the controller does not own of a descriptor stays: BCNT, ONES, the last word. */
Test(am79c970a_rings, fields_of_the_host_are_left_alone)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 1024);
    tx_give(f, 2, 0, 100, STP | ENP | TX_ADD_FCS | TX_LTINT);
    demand(f);
    receive_to(f, 64, nic_mac);

    cr_assert_eq(devemu_le32(md_at(f, 2, TX_RING, 0)), TX_BUF);
    cr_assert_eq(devemu_le16(md_at(f, 2, TX_RING, 0) + 4), 0xff9c);
    cr_assert_eq(devemu_le32(md_at(f, 2, TX_RING, 0) + 12), 0x99999999);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP | ENP | TX_ADD_FCS);
    cr_assert_eq(devemu_le16(md_at(f, 2, RX_RING, 0) + 4), 0xfc00);
    cr_assert_eq(devemu_le32(md_at(f, 2, RX_RING, 0) + 12), 0x99999999);
}

/* DS "Initialization Block": three bits of length in the 16-bit block, four in the 32-bit one,
 * where all above nine is nine. */
Test(am79c970a_rings, lengths_come_from_the_initialization_block_in_twos_complement)
{
    for (unsigned style = 0; style < 4; style++) {
        for (unsigned len = 0; len < (style ? 16 : 8); len++) {
            g_autoptr(DevemuFake) f = nic_new(NULL);
            unsigned expected = 0x10000 - (1u << (len > 9 ? 9 : len));

            nic_start_with(f, style, 0, len, (len + 1) % 8, 0);

            cr_expect_eq(csr_read(f, 76), expected);
            cr_expect_eq(csr_read(f, 78), 0x10000 - (1u << (len + 1) % 8));
            cr_expect_eq(csr_read(f, 6), ((len + 1) % 8) << 12 | len << 8);
        }
    }
}

/* DS "Initialization Block": rings stand at multiples of 8 bytes in the 16-bit layout, of 16 in the
 * others; the lower bits of the addresses are not looked at. */
Test(am79c970a_rings, begin_at_multiples_of_a_descriptor)
{
    for (unsigned style = 0; style < 4; style++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        unsigned low = style ? 15 : 7;
        uint8_t *b = devemu_fake_ram(f) + INIT_AT + (style ? 20 : 16);

        bcr_write(f, 20, style);
        init_block(f, style, 0, 0, 0, 0);
        devemu_put_le32(b, devemu_le32(b) | low);
        devemu_put_le32(b + 4, devemu_le32(b + 4) | low);
        csr_set_pair(f, 1, INIT_AT);
        csr_write(f, 0, CSR0_INIT);

        cr_expect_eq(csr_pair(f, 24), RX_RING, "style %u", style);
        cr_expect_eq(csr_pair(f, 30), TX_RING, "style %u", style);
    }
}

/* DS CSR2: the highest byte of all addresses where SSIZE32 is zero. */
Test(am79c970a_rings, csr2_gives_the_highest_address_byte_in_style_0)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 0, CSR0_STOP);
    init_block(f, 0, 0, 0, 0, 0);
    csr_set_pair(f, 1, INIT_AT);
    csr_write(f, 0, CSR0_INIT);
    cr_assert_eq(csr_pair(f, 24), RX_RING);
    csr_write(f, 0, CSR0_STOP);
    csr_write(f, 2, 0x8000);
    devemu_fake_write(f, 0, 0x12, 2, 0);
    devemu_fake_write(f, 0, 0x10, 2, CSR0_INIT);

    /* nothing is there; the address was the whole one */
    cr_assert_eq(csr_read(f, 0) & (CSR0_MERR | CSR0_IDON), CSR0_MERR);
}

/* --- places in the rings ----------------------------------------------------------- */

Test(am79c970a_rings, counters_run_from_the_length_up_and_begin_again)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    for (unsigned i = 0; i < 9; i++) {
        rx_give(f, 2, i % 4, 1024);
        tx_give(f, 2, i % 4, 60, STP | ENP);
        cr_assert_eq(csr_read(f, 72), 0xfffc + i % 4);
        cr_assert_eq(csr_read(f, 74), 0xfffc + i % 4);
        cr_assert_eq(csr_pair(f, 28), RX_RING + 16 * (i % 4));
        cr_assert_eq(csr_pair(f, 34), TX_RING + 16 * (i % 4));
        demand(f);
        receive_to(f, 60, nic_mac);
        cr_assert_eq(md_status(f, 2, RX_RING, i % 4), STP | ENP);
        cr_assert_eq(md_status(f, 2, TX_RING, i % 4), STP | ENP);
    }
}

/* DS CSR24, 25, 30, 31, 76, 78: "alternative initialisation", by registers and STRT alone. */
Test(am79c970a_rings, can_be_set_up_by_registers_alone)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[60];

    bcr_write(f, 20, 2);
    csr_write(f, 12, 0x5452);
    csr_write(f, 13, 0x1200);
    csr_write(f, 14, 0x5634);
    csr_write(f, 15, 0);
    csr_set_pair(f, 24, RX_RING);
    csr_set_pair(f, 30, TX_RING);
    csr_write(f, 47, 0);
    csr_write(f, 76, 0x10000 - 3);
    csr_write(f, 78, 0x10000 - 5);
    rx_give(f, 2, 0, 1024);
    rx_give(f, 2, 1, 1024);
    rx_give(f, 2, 2, 1024);
    for (unsigned i = 0; i < 5; i++) {
        tx_give(f, 2, i, 60 + i, STP | ENP);
    }
    csr_write(f, 0, CSR0_STRT | CSR0_INEA);

    cr_assert_eq(devemu_fake_sent_count(f), 5);
    cr_assert_eq(csr_pair(f, 34), TX_RING);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(receive_to(f, 60, nic_mac), 60);
    }
    frame_make(frame, 60, nic_mac);
    cr_assert_arr_eq(rx_buf(f, 2), frame, 60);
    cr_assert_eq(csr_pair(f, 28), RX_RING);
}

/* DS CSR26, 32, 36, 38: where the next descriptor is, and the one after it. */
Test(am79c970a_rings, look_ahead_from_the_start)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start_with(f, 2, 0, 1, 2, 0);

    cr_assert_eq(csr_pair(f, 26), RX_RING + 16);
    cr_assert_eq(csr_pair(f, 36), RX_RING);
    cr_assert_eq(csr_pair(f, 32), TX_RING + 16);
    cr_assert_eq(csr_pair(f, 38), TX_RING + 32);
}

/* DS "Re-Initialization": unlike the C-LANCE, the controller begins at the base again. */
Test(am79c970a_rings, a_restart_begins_at_the_base)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);
    csr_write(f, 0, CSR0_STOP);
    cr_assert_eq(csr_pair(f, 34), TX_RING + 16);
    tx_give(f, 2, 0, 61, STP | ENP);
    csr_write(f, 0, CSR0_STRT);

    cr_assert_eq(devemu_fake_sent_count(f), 2);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP | ENP);
}

/* FreeBSD and NetBSD pcn(4): 512 transmit descriptors in style 3, the longest ring that a block can
 * describe. */
Test(am79c970a_rings, may_have_512_descriptors)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start_with(f, 3, 0, 2, 9, 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 512; i++) {
            md_set(f, 3, TX_RING, i, TX_BUF, 60 + i, OWN | STP | ENP);
        }
        demand(f);
        devemu_fake_advance(f, 0);
    }

    cr_assert_eq(devemu_fake_sent_count(f), 1024);
    for (unsigned i = 0; i < 1024; i += 511) {
        size_t len = 0;

        devemu_fake_sent(f, i, &len);
        cr_expect_eq(len, 60 + i % 512);
    }
    cr_assert_eq(csr_pair(f, 34), TX_RING);
    cr_assert_eq(csr_read(f, 74), 0x10000 - 512);
}

/* DS 135: any length from 1 to 65535. */
Test(am79c970a_rings, may_have_one_descriptor)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start_with(f, 2, 0, 0, 0, 0);
    for (unsigned i = 0; i < 5; i++) {
        rx_give(f, 2, 0, 1024);
        tx_give(f, 2, 0, 60, STP | ENP);
        demand(f);
        cr_assert_eq(receive_to(f, 60, nic_mac), 60);
        cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
    }

    cr_assert_eq(devemu_fake_sent_count(f), 5);
}

/* The current descriptor is what CSR34 says, also after a write in suspension. */
Test(am79c970a_rings, follow_registers_written_in_suspension)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 5, 1);
    csr_set_pair(f, 34, TX_RING + 32);
    csr_write(f, 74, 0xfffe);
    tx_give(f, 2, 2, 60, STP | ENP);
    csr_write(f, 5, 0);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
    cr_assert_eq(csr_pair(f, 34), TX_RING + 48);
}

/* DS 135: "A counter value of ZERO corresponds to the last descriptor in the ring". */
Test(am79c970a_rings, a_counter_of_zero_is_the_last_descriptor)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 5, 1);
    csr_set_pair(f, 34, TX_RING + 48);
    csr_write(f, 74, 0);
    tx_give(f, 2, 3, 60, STP | ENP);
    tx_give(f, 2, 0, 61, STP | ENP);
    csr_write(f, 5, 0);

    cr_assert_eq(devemu_fake_sent_count(f), 2);
    cr_assert_eq(csr_pair(f, 34), TX_RING + 16);
}

/* --- ownership --------------------------------------------------------------------- */

/* A search of the whole ring for a descriptor that is owned is a known mistake of models. */
Test(am79c970a_rings, the_receiver_waits_at_a_descriptor_that_is_not_owned)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    rx_give(f, 2, 1, 1024);
    rx_give(f, 2, 2, 1024);
    rx_give(f, 2, 3, 1024);
    cr_assert_eq(receive_to(f, 60, nic_mac), 60);

    cr_assert_eq(csr_read(f, 0) & (CSR0_MISS | CSR0_RINT), CSR0_MISS);
    cr_assert_eq(csr_pair(f, 28), RX_RING);
    for (unsigned i = 1; i < 4; i++) {
        cr_assert_eq(md_status(f, 2, RX_RING, i), OWN);
    }
    rx_give(f, 2, 0, 1024);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
}

Test(am79c970a_rings, the_transmitter_waits_at_a_descriptor_that_is_not_owned)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    tx_give(f, 2, 1, 60, STP | ENP);
    demand(f);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 2);
}

/* DS "Transmit Descriptor Table Entry": OWN without STP is given back, and the next one looked at.
 */
Test(am79c970a_rings, descriptors_that_begin_no_frame_are_given_back)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 60, ENP);
    tx_give(f, 2, 1, 60, 0);
    tx_give(f, 2, 2, 62, STP | ENP);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), ENP);
    cr_assert_eq(md_status(f, 2, TX_RING, 1), 0);
    expect_sent(f, 0, tx_buf(f, 2), 62);
}

/* Frames held back by the network come when the driver gives buffers and acknowledges, or at the
 * next poll. */
Test(am79c970a_rings, the_network_waits_while_no_buffer_is_there)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 0);
    rx_give(f, 2, 0, 1024);
    csr_write(f, 0, CSR0_INEA);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 1);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 0);
    rx_give(f, 2, 1, 1024);
    devemu_fake_advance(f, 2000000);

    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 1);
    cr_assert_geq(devemu_fake_readies(f), 1);
    csr_write(f, 0, CSR0_STOP);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 1);
}

/* The same through a host without windows. */
Test(am79c970a_rings, work_without_views_of_memory)
{
    for (unsigned style = 0; style < 4; style++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        devemu_fake_set_map(f, false);
        nic_start(f, style, 0);
        rx_give(f, style, 0, 40);
        rx_give(f, style, 1, 40);
        frame_make(tx_buf(f, 0), 1514, nic_broadcast);
        tx_give(f, style, 0, 1514, STP | ENP);
        tx_give(f, style, 1, 30, STP);
        tx_give(f, style, 2, 30, ENP);
        demand(f);
        receive_to(f, 60, nic_mac);

        cr_assert_eq(devemu_fake_sent_count(f), 2);
        expect_sent(f, 0, tx_buf(f, 0), 1514);
        cr_assert_eq(md_status(f, style, RX_RING, 0), STP);
        cr_assert_eq(md_status(f, style, RX_RING, 1), ENP);
        cr_assert_eq(rmd_count(f, style, 1), 64);
        cr_assert_gt(devemu_fake_dma_bytes(f), 1514);
    }
}
