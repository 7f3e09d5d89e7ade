/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: what broke other models. Each test names the report. */
#include "nic.h"

/* CVE-2015-3209: four descriptors of 4096 bytes overran a transmit buffer. No limit is the chip's
 * but the transceiver's; every descriptor returns. */
Test(am79c970a_security, a_frame_of_many_large_buffers_is_bounded)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start_with(f, 2, 0, 2, 4, 0);
    for (unsigned i = 0; i < 16; i++) {
        tx_give(f, 2, i, 4095, (i == 0 ? STP : 0u) | (i == 15 ? ENP : 0u));
    }
    demand(f);

    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(md_status(f, 2, TX_RING, i) & OWN, 0);
    }
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    cr_assert_eq(csr_read(f, 0) & CSR0_BABL, CSR0_BABL);
    cr_assert_eq(csr_read(f, 4) & 2, 2);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
}

/* The longest frame that is let through. */
Test(am79c970a_security, a_frame_up_to_the_jabber_limit_is_whole)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    size_t len = 0;

    nic_start_with(f, 2, 0, 2, 4, 0);
    for (unsigned i = 0; i < 8; i++) {
        tx_give(f, 2, i, 3125, (i == 0 ? STP : 0u) | (i == 7 ? ENP : 0u));
    }
    demand(f);

    devemu_fake_sent(f, 0, &len);
    cr_assert_eq(len, 25000);
}

/* CVE-2015-7504: the FCS of a looped frame was written behind a buffer of 4096 bytes. */
Test(am79c970a_security, a_looped_frame_of_4096_bytes_has_room_for_its_fcs)
{
    for (unsigned len = 4090; len <= 4098; len++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start_with(f, 2, MODE_LOOP | MODE_INTL, 2, 2, 0);
        frame_make(tx_buf(f, 0), 2048, nic_mac);
        tx_give(f, 2, 0, 2048, STP);
        tx_give(f, 2, 1, len - 2048, ENP);
        rx_give(f, 2, 0, 4000);
        rx_give(f, 2, 1, 4000);
        demand(f);

        cr_assert_eq(md_status(f, 2, RX_RING, 1), ENP);
        cr_assert_eq(rmd_count(f, 2, 1), (len + 4) & 0xfff);
    }
}

/* CVE-2015-7512, CVE-2018-17962: long frames of the backend. */
Test(am79c970a_security, long_frames_of_the_network_stay_inside_the_buffers)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    g_autofree uint8_t *frame = g_malloc0(0x30000);

    nic_start(f, 2, 0);
    memcpy(frame, nic_mac, 6);
    memset(devemu_fake_ram(f) + RX_BUF, 0xcc, 4 * BUF_STEP);
    for (unsigned i = 0; i < 4; i++) {
        rx_give(f, 2, i, 100);
    }
    cr_assert_eq(devemu_fake_receive(f, frame, 0x30000), 0x30000);

    cr_assert_eq(md_status(f, 2, RX_RING, 3) & (ERR | RX_BUFF), ERR | RX_BUFF);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(rx_buf(f, i)[100], 0xcc);
    }
}

/* CVE-2016-7909: ring lengths of zero made the search endless. */
Test(am79c970a_security, ring_lengths_of_zero_end)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 20, 2);
    csr_set_pair(f, 24, RX_RING);
    csr_set_pair(f, 30, TX_RING);
    csr_write(f, 76, 0);
    csr_write(f, 78, 0);
    csr_write(f, 72, 0);
    csr_write(f, 74, 0);
    csr_write(f, 3, 0x0020);
    csr_write(f, 15, MODE_PROM);
    rx_give(f, 2, 0, 16);
    tx_give(f, 2, 0, 60, STP);
    csr_write(f, 0, CSR0_STRT);
    receive_to(f, 60, nic_mac);
    receive_to(f, 60, nic_mac);

    cr_assert_eq(csr_read(f, 0) & CSR0_TXON, 0);
    cr_assert_eq(tmd_errors(f, 2, 0), TX_BUFF | TX_UFLO);
}

/* The longest ring, all the controller's: so much work an event, and the rest later. */
Test(am79c970a_security, a_long_ring_is_served_in_pieces)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 20, 2);
    csr_set_pair(f, 30, 0x100000);
    csr_write(f, 78, 1);
    csr_write(f, 15, MODE_DRX);
    for (unsigned i = 0; i < 2000; i++) {
        md_set(f, 2, 0x100000, i, TX_BUF, 60, OWN | STP | ENP);
    }
    csr_write(f, 0, CSR0_STRT);
    cr_assert_eq(devemu_fake_sent_count(f), 512);
    devemu_fake_advance(f, 0);

    cr_assert_eq(devemu_fake_sent_count(f), 2000);
}

static bool endless_read(void *host, uint64_t addr, void *buf, size_t len)
{
    static const uint8_t owned[16] = {[5] = 0xf0, [7] = OWN | STP};

    ++*(unsigned *)host;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)buf)[i] = owned[(addr + i) % 16];
    }
    return true;
}

static bool endless_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    (void)host, (void)addr, (void)buf, (void)len;
    return true;
}

/* CVE-2016-7909: a ring that never ends. This one lies where writes do nothing, so that no
 * descriptor is ever given back, and has no end of a frame. */
Test(am79c970a_security, a_ring_in_read_only_memory_is_bounded_work)
{
    static const DevemuHostOps ops = {sizeof(ops), .dma_read = endless_read,
                                      .dma_write = endless_write};
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_am79c970a, NULL, NULL);
    static const unsigned writes[][2] = {{15, MODE_DRX}, {3, 0x40}, {78, 1}, {0, CSR0_STRT}};
    unsigned reads = 0;

    devemu_device_set_host(dev, &ops, &reads);
    devemu_device_write(dev, 0, 0x12, 2, 20);
    devemu_device_write(dev, 0, 0x16, 2, 2);
    for (unsigned i = 0; i < G_N_ELEMENTS(writes); i++) {
        devemu_device_write(dev, 0, 0x12, 2, writes[i][0]);
        devemu_device_write(dev, 0, 0x10, 2, writes[i][1]);
    }

    cr_assert_gt(reads, 512);
    cr_assert_lt(reads, 2 * 65536);
}

/* CVE-2021-3416: a looped frame was stored in the device's own registers, which started the next
 * one. A busy device answers nothing. */
Test(am79c970a_security, dma_into_its_own_registers_changes_nothing)
{
    g_autoptr(DevemuFake) f =
        devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);

    nic_start(f, 2, MODE_LOOP | MODE_INTL);
    frame_make(tx_buf(f, 0), 60, nic_mac);
    tx_give(f, 2, 0, 60, STP | ENP);
    md_set(f, 2, RX_RING, 0, 0x180000, 1024, OWN);
    devemu_fake_own_dma(f, 0x180000, 0x1000, 1);
    demand(f);

    cr_assert_eq(csr_read(f, 0) & CSR0_MERR, CSR0_MERR);
    cr_assert_eq(csr_read(f, 0) & 0x30, 0);
}

/* Every address that the controller is given may be its own: descriptors, blocks, buffers. */
Test(am79c970a_security, rings_in_its_own_registers_change_nothing)
{
    static const uint32_t own[] = {INIT_AT, RX_RING, TX_RING, RX_BUF, TX_BUF};

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(own); i++) {
        g_autoptr(DevemuFake) f =
            devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);

        devemu_fake_own_dma(f, own[i], 64, i % 2);
        bcr_write(f, 20, 2);
        init_block(f, 2, 0, 2, 2, 0);
        csr_set_pair(f, 1, INIT_AT);
        rx_give(f, 2, 0, 1024);
        tx_give(f, 2, 0, 60, STP | ENP);
        csr_write(f, 0, CSR0_INIT | CSR0_STRT | CSR0_TDMD);
        receive_to(f, 60, nic_mac);

        cr_expect_eq(csr_read(f, 0) & CSR0_MERR, CSR0_MERR, "address %zu", i);
    }
}

/* 7b50d00911: ENP without STP copied before the buffer. */
Test(am79c970a_security, enp_without_stp_is_no_frame)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 60, ENP);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 0);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), ENP);
}

/* A host whose RAM begins at 2 GiB. */
#define HIGH UINT32_C(0x80000000)

static bool high_read(void *host, uint64_t addr, void *buf, size_t len)
{
    if (addr < HIGH || addr + len > HIGH + RAM_BYTES) {
        return false;
    }
    memcpy(buf, (uint8_t *)host + (addr - HIGH), len);
    return true;
}

static bool high_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    if (addr < HIGH || addr + len > HIGH + RAM_BYTES) {
        return false;
    }
    memcpy((uint8_t *)host + (addr - HIGH), buf, len);
    return true;
}

static unsigned high_csr(DevemuDevice *nic, unsigned n)
{
    uint64_t value = 0;

    devemu_device_write(nic, 0, 0x12, 2, n);
    devemu_device_read(nic, 0, 0x10, 2, &value);
    return (unsigned)value;
}

static void high_csr_write(DevemuDevice *nic, unsigned n, unsigned value)
{
    devemu_device_write(nic, 0, 0x12, 2, n);
    devemu_device_write(nic, 0, 0x10, 2, value);
}

/* 366c933245: addresses of 2 GiB and more are not negative. In the 16-bit layout CSR2 has the
 * highest byte of every address, DS CSR2. */
Test(am79c970a_security, high_addresses_are_not_sign_extended)
{
    static const DevemuHostOps ops = {
        .size = sizeof(ops), .dma_read = high_read, .dma_write = high_write};

    for (unsigned style = 0; style < 4; style++) {
        /* only to lay things out: the same RAM, seen from 0 */
        g_autoptr(DevemuFake) f =
            devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);
        DevemuDevice *nic = devemu_device_new(&devemu_model_am79c970a, NULL, NULL);
        uint8_t *ram = devemu_fake_ram(f), frame[60];

        cr_assert_not_null(nic);
        init_block(f, style, 0, 0, 0, 0);
        if (style != 0) {
            devemu_put_le32(ram + INIT_AT + 20, HIGH + RX_RING);
            devemu_put_le32(ram + INIT_AT + 24, HIGH + TX_RING);
        }
        md_set(f, style, RX_RING, 0, HIGH + RX_BUF, 1024, OWN);
        md_set(f, style, TX_RING, 0, HIGH + TX_BUF, 60, OWN | STP | ENP);
        frame_make(frame, 60, nic_mac);

        devemu_device_set_host(nic, &ops, ram);
        high_csr_write(nic, 58, style);
        high_csr_write(nic, 1, INIT_AT);
        high_csr_write(nic, 2, HIGH >> 16);
        high_csr_write(nic, 0, CSR0_INIT | CSR0_STRT);
        cr_assert_eq(devemu_device_receive(nic, frame, 60), 60);

        cr_expect_eq(high_csr(nic, 0) & (CSR0_MERR | CSR0_RINT | CSR0_TINT), CSR0_RINT | CSR0_TINT,
                     "style %u", style);
        cr_expect_eq(md_status(f, style, TX_RING, 0), STP | ENP);
        cr_expect_eq(md_status(f, style, RX_RING, 0), STP | ENP);
        cr_expect_arr_eq(rx_buf(f, 0), frame, 60);
        devemu_device_free(nic);
    }
}

/* The last bytes of the address space: what goes beyond them is no memory. */
Test(am79c970a_security, a_buffer_does_not_wrap_to_address_0)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    md_set(f, 2, TX_RING, 0, 0xfffffff0, 60, OWN | STP | ENP);
    demand(f);

    cr_assert_eq(csr_read(f, 0) & CSR0_MERR, CSR0_MERR);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
}

/* ee76c1f821, b0ba0b9b6b: frames that waited come when the controller is started, or are let go
 * when it is stopped. */
Test(am79c970a_security, the_network_is_told_when_stop_ends)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    unsigned before;

    nic_start(f, 2, 0);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 0);
    before = devemu_fake_readies(f);
    csr_write(f, 0, CSR0_STOP);

    cr_assert_gt(devemu_fake_readies(f), before);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 1);
}

/* 6a5287ce80: the filter's place in the block is not a multiple of eight. */
Test(am79c970a_security, blocks_may_stand_at_any_word)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t block[28];

    bcr_write(f, 20, 2);
    init_block(f, 2, 0, 2, 2, 0x1122334455667788);
    memcpy(block, devemu_fake_ram(f) + INIT_AT, 28);
    memcpy(devemu_fake_ram(f) + INIT_AT + 2, block, 28);
    csr_set_pair(f, 1, INIT_AT + 2);
    csr_write(f, 0, CSR0_INIT);

    cr_assert_eq(csr_read(f, 8), 0x7788);
    cr_assert_eq(csr_pair(f, 24), RX_RING);
}

/* Faults in the middle of each kind of access. */
Test(am79c970a_security, a_fault_anywhere_turns_both_sections_off)
{
    static const uint32_t at[] = {RX_RING, RX_RING + 16, RX_BUF + 20,
                                  TX_RING, TX_RING + 16, TX_BUF + 20};

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(at); i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);

        nic_start(f, 2, 0);
        rx_give(f, 2, 0, 40);
        rx_give(f, 2, 1, 1024);
        tx_give(f, 2, 0, 40, STP);
        tx_give(f, 2, 1, 40, ENP);
        devemu_fake_fail_dma(f, at[i], 1);
        demand(f);
        receive_to(f, 60, nic_mac);

        cr_expect_eq(csr_read(f, 0) & (CSR0_MERR | 0x30), CSR0_MERR, "fault %zu", i);
    }
}

/* Receive buffers of no bytes, all round the ring. */
Test(am79c970a_security, receive_buffers_of_no_bytes_end)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    for (unsigned i = 0; i < 4; i++) {
        rx_give(f, 2, i, 0);
    }
    receive_to(f, 60, nic_mac);

    cr_assert_eq(md_status(f, 2, RX_RING, 0) & OWN, 0);
    cr_assert_eq(csr_read(f, 0) & CSR0_RINT, CSR0_RINT);
}
