/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: reset values, access conditions, CSR0 and its neighbours. DS "User Accessible
 * Registers". */
#include "nic.h"

typedef struct Value {
    unsigned n, value;
} Value;

static void soft_reset(DevemuFake *f)
{
    devemu_fake_read(f, 0, 0x14, 2);
}

static void expect_csrs(DevemuFake *f, const Value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned got = csr_read(f, values[i].n);

        cr_expect_eq(got, values[i].value, "CSR%u is %04x, not %04x", values[i].n, got,
                     values[i].value);
    }
}

/* --- resets ------------------------------------------------------------------------ */

Test(am79c970a_registers, have_the_datasheets_values_after_power_on)
{
    static const Value csrs[] = {
        {0, 4},       {3, 0},       {4, 0x0115},  {5, 0},       {6, 0},        {12, 0x5452},
        {13, 0x1200}, {14, 0x5634}, {15, 0},      {58, 0x0200}, {59, 0x0105},  {80, 0xd410},
        {82, 0},      {88, 0x1003}, {89, 0x0262}, {94, 0},      {100, 0x0200}, {112, 0},
        {114, 0},     {122, 0},     {124, 0},
    };
    static const Value bcrs[] = {
        {0, 5},       {1, 5},       {2, 2},      {4, 0x80c0}, {5, 0x0084},
        {6, 0x8088},  {7, 0x0090},  {9, 0},      {16, 0},     {17, 0},
        {18, 0x9001}, {19, 0xa000}, {20, 0x200}, {21, 0},     {22, 0xff06},
    };
    g_autoptr(DevemuFake) f = nic_new(NULL);

    expect_csrs(f, csrs, DEVEMU_N_ELEMENTS(csrs));
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(bcrs); i++) {
        unsigned got = bcr_read(f, bcrs[i].n);

        cr_expect_eq(got, bcrs[i].value, "BCR%u is %04x", bcrs[i].n, got);
    }
}

static void write_all(DevemuFake *f)
{
    csr_set_pair(f, 1, 0x12345678);
    csr_write(f, 3, 0x5f7c);
    csr_write(f, 4, 0xfd15 | 0x80);
    csr_write(f, 5, 0xc568);
    csr_write(f, 8, 0x1111);
    csr_write(f, 12, 0x2222);
    csr_write(f, 15, 0x8180);
    csr_set_pair(f, 24, 0x00ab0000);
    csr_write(f, 47, 0x8000);
    csr_write(f, 72, 0xfff1);
    csr_write(f, 74, 0xfff2);
    csr_write(f, 76, 0xfff0);
    csr_write(f, 78, 0xffe0);
    csr_write(f, 80, 0x2820);
    csr_write(f, 82, 0x0777);
    csr_write(f, 94, 0x0123);
    csr_write(f, 100, 0x0100);
    csr_write(f, 122, 1);
    csr_write(f, 124, 0x18);
    bcr_write(f, 2, 0x1004);
    bcr_write(f, 9, 7);
    bcr_write(f, 18, 0x5062);
    bcr_write(f, 20, 3);
    bcr_write(f, 22, 0x1818);
}

static const Value kept[] = {
    {1, 0x5678},  {2, 0x1234},  {8, 0x1111},  {12, 0x2222}, {24, 0},      {25, 0x00ab},
    {47, 0x8000}, {72, 0xfff1}, {74, 0xfff2}, {76, 0xfff0}, {78, 0xffe0},
};

static const Value s_reset[] = {
    {0, 4},  {3, 0},  {4, 0x0115},   {5, 0},   {15, 0},  {80, 0xd410},
    {82, 0}, {94, 0}, {100, 0x0200}, {122, 0}, {124, 0},
};

/* DS "S_RESET": CSRs 0, 3, 4, 5, 15, 80, 100, 124; not the address and ring registers, no BCR. */
Test(am79c970a_registers, s_reset_affects_what_the_datasheet_says)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_all(f);
    soft_reset(f);

    expect_csrs(f, kept, DEVEMU_N_ELEMENTS(kept));
    expect_csrs(f, s_reset, DEVEMU_N_ELEMENTS(s_reset));
    cr_expect_eq(bcr_read(f, 2), 0x1004);
    cr_expect_eq(bcr_read(f, 9), 7);
    cr_expect_eq(bcr_read(f, 18), 0x5062);
    cr_expect_eq(bcr_read(f, 20), 0x0303);
    cr_expect_eq(bcr_read(f, 22), 0x1818);
}

/* DS "H_RESET": the bus configuration registers too, and the EEPROM is read: PADR. The lengths of
 * the rings are not changed by any reset, DS 135. */
Test(am79c970a_registers, h_reset_affects_all_but_the_ring_registers)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_all(f);
    devemu_device_reset(devemu_fake_device(f), DEVEMU_RESET_HARD);

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(kept); i++) {
        unsigned expected = kept[i].n == 12 ? 0x5452 : kept[i].value;

        cr_expect_eq(csr_read(f, kept[i].n), expected, "CSR%u", kept[i].n);
    }
    expect_csrs(f, s_reset, DEVEMU_N_ELEMENTS(s_reset));
    cr_expect_eq(bcr_read(f, 2), 2);
    cr_expect_eq(bcr_read(f, 9), 0);
    cr_expect_eq(bcr_read(f, 18), 0x9001);
    cr_expect_eq(bcr_read(f, 20), 0x0200);
    cr_expect_eq(bcr_read(f, 22), 0xff06);
}

/* DS CSR0, STOP: the value is exactly STOP; masks and features stay, causes go. */
Test(am79c970a_registers, stop_affects_csr0_and_the_causes)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_all(f);
    bcr_write(f, 20, 2);
    nic_start(f, 2, 0);
    csr_write(f, 4, 0xfd15 | 0x80);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(csr_read(f, 112), 1);
    csr_write(f, 0, CSR0_STOP | CSR0_STRT | CSR0_INIT | CSR0_INEA);

    cr_expect_eq(csr_read(f, 0), CSR0_STOP);
    cr_expect_eq(csr_read(f, 3), 0x5f7c);
    cr_expect_eq(csr_read(f, 4), 0xfd15);
    cr_expect_eq(csr_read(f, 5), 0xc568);
    cr_expect_eq(csr_read(f, 112), 0);
    cr_expect_eq(csr_read(f, 100), 0x0100);
    cr_expect_eq(csr_read(f, 122), 1);
    cr_assert_not(devemu_fake_line(f, 0));
}

/* DS "Register Address Port" */
Test(am79c970a_registers, rap_is_cleared_by_s_reset_and_not_by_stop)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    devemu_fake_write(f, 0, 0x12, 2, 0);
    devemu_fake_write(f, 0, 0x10, 2, CSR0_STOP);
    devemu_fake_write(f, 0, 0x12, 2, 0xff58);
    cr_assert_eq(devemu_fake_read(f, 0, 0x12, 2), 88);
    soft_reset(f);

    cr_assert_eq(devemu_fake_read(f, 0, 0x12, 2), 0);
}

/* --- access conditions ------------------------------------------------------------- */

/* "Read/Write accessible only when either the STOP or the SPND bit is set" */
Test(am79c970a_registers, working_registers_are_written_with_stop_or_spnd_only)
{
    static const unsigned numbers[] = {
        1,  2,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
        27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
        60, 61, 62, 63, 64, 65, 66, 67, 72, 74, 76, 78, 82, 84, 85, 86, 92, 94, 100};
    g_autoptr(DevemuFake) f = nic_new(NULL);

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(numbers); i++) {
        unsigned n = numbers[i];

        csr_write(f, 0, CSR0_STOP);
        csr_write(f, n, 0x0a50);
        cr_expect_eq(csr_read(f, n), 0x0a50, "CSR%u with STOP", n);
    }
    /* running, with both sections off: nothing moves by itself */
    csr_write(f, 15, MODE_DTX | MODE_DRX);
    csr_write(f, 0, CSR0_STRT);
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(numbers); i++) {
        unsigned n = numbers[i], before = csr_read(f, n);

        csr_write(f, n, 0x1230);
        cr_expect_eq(csr_read(f, n), before, "CSR%u while running", n);
    }
    csr_write(f, 5, 1);
    cr_assert_eq(csr_read(f, 5), 1);
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(numbers); i++) {
        csr_write(f, numbers[i], 0x1230);
        cr_expect_eq(csr_read(f, numbers[i]), 0x1230, "CSR%u with SPND", numbers[i]);
    }
}

Test(am79c970a_registers, csr16_and_17_are_csr1_and_2)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 16, 0x4320);
    csr_write(f, 17, 0x0001);

    cr_assert_eq(csr_pair(f, 1), 0x00014320);
}

Test(am79c970a_registers, csr58_is_bcr20_and_style_decides_ssize32_and_csrpcnet)
{
    static const unsigned expected[] = {0x0200, 0x0101, 0x0302, 0x0303};
    g_autoptr(DevemuFake) f = nic_new(NULL);

    for (unsigned style = 0; style < 4; style++) {
        csr_write(f, 58, style);
        cr_expect_eq(bcr_read(f, 20), expected[style]);
        bcr_write(f, 20, 0x0400 | style);
        cr_expect_eq(csr_read(f, 58), 0x0400 | expected[style]);
    }
    nic_start(f, 2, 0);
    bcr_write(f, 20, 0);
    cr_expect_eq(bcr_read(f, 20), 0x0302);
    csr_write(f, 58, 0);
    cr_expect_eq(bcr_read(f, 20), 0x0302);
}

/* DS BCR20: the other styles are reserved; taken for style 0. */
Test(am79c970a_registers, reserved_styles_are_refused)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 20, 3);
    bcr_write(f, 20, 0x0404);

    cr_assert_eq(bcr_read(f, 20), 0x0600);
    cr_assert_eq(devemu_fake_guest_errors(f), 1);
}

/* DS CSR124: needs EN124, and STOP; SPND is not enough. */
Test(am79c970a_registers, csr124_is_written_with_en124_only)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 124, 8);
    cr_assert_eq(csr_read(f, 124), 0);
    csr_write(f, 4, 0x8115);
    csr_write(f, 124, 8);
    cr_assert_eq(csr_read(f, 124), 8);
    nic_start(f, 2, 0);
    csr_write(f, 124, 0);
    cr_assert_eq(csr_read(f, 124), 8);
    csr_write(f, 5, 1);
    csr_write(f, 124, 0);

    cr_assert_eq(csr_read(f, 124), 8);
}

Test(am79c970a_registers, read_only_registers_do_not_move)
{
    static const unsigned numbers[] = {6, 59, 88, 89, 112, 114};
    g_autoptr(DevemuFake) f = nic_new(NULL);

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(numbers); i++) {
        unsigned before = csr_read(f, numbers[i]);

        csr_write(f, numbers[i], 0xa5a5);
        cr_expect_eq(csr_read(f, numbers[i]), before, "CSR%u", numbers[i]);
    }
}

/* DS BCR0, BCR1: reserved for the ISA version of the chip; BCR21: no effect on a PCI bus. */
Test(am79c970a_registers, of_other_buses_hold_what_is_written_until_h_reset)
{
    static const Value bcrs[] = {{0, 0x0005}, {1, 0x0005}, {21, 0x0000}};
    g_autoptr(DevemuFake) f = nic_new(NULL);

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(bcrs); i++) {
        bcr_write(f, bcrs[i].n, 0xa5f0);
        cr_expect_eq(bcr_read(f, bcrs[i].n), 0xa5f0, "BCR%u", bcrs[i].n);
    }
    soft_reset(f);
    cr_expect_eq(bcr_read(f, 21), 0xa5f0);
    devemu_device_reset(devemu_fake_device(f), DEVEMU_RESET_HARD);
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(bcrs); i++) {
        cr_expect_eq(bcr_read(f, bcrs[i].n), bcrs[i].value, "BCR%u", bcrs[i].n);
    }
}

/* DS 135: bits 15 and 14 are written as zeros and read as ones. */
Test(am79c970a_registers, csr80_reads_ones_where_zeros_are_written)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 80, 0x0a08);

    cr_assert_eq(csr_read(f, 80), 0xca08);
}

Test(am79c970a_registers, of_other_members_of_the_family_are_not_there)
{
    static const unsigned csrs[] = {7, 116, 125};
    static const unsigned bcrs[] = {23, 24, 25, 28, 31, 32, 33, 34, 36, 45};
    g_autoptr(DevemuFake) f = nic_new(NULL);

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(csrs); i++) {
        csr_write(f, csrs[i], 0xffff);
        cr_expect_eq(csr_read(f, csrs[i]), 0);
    }
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(bcrs); i++) {
        bcr_write(f, bcrs[i], 0xffff);
        cr_expect_eq(bcr_read(f, bcrs[i]), 0);
    }
}

/* --- CSR0 -------------------------------------------------------------------------- */

/* A STOP bit that leaves TXON behind is a known mistake of models. */
Test(am79c970a_registers, stop_wins_over_strt_and_init)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    cr_assert_eq(csr_read(f, 0) & 0x30, 0x30);
    csr_write(f, 0, CSR0_STOP | CSR0_STRT | CSR0_INIT | CSR0_TDMD | CSR0_INEA);

    cr_assert_eq(csr_read(f, 0), CSR0_STOP);
}

Test(am79c970a_registers, writing_zeros_to_csr0_sets_and_clears_nothing_but_inea)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 0, 0);

    cr_assert_eq(csr_read(f, 0), CSR0_RXON | CSR0_TXON | CSR0_STRT | CSR0_INIT);
}

/* DS CSR0: with STRT and INIT together the initialization comes first. */
Test(am79c970a_registers, init_and_strt_together_initialise_and_start)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 20, 2);
    init_block(f, 2, MODE_DRX, 3, 4, 0x8877665544332211);
    csr_set_pair(f, 1, INIT_AT);
    csr_write(f, 0, CSR0_INIT | CSR0_STRT);

    cr_assert_eq(csr_read(f, 0), CSR0_IDON | CSR0_INTR | CSR0_TXON | CSR0_STRT | CSR0_INIT);
    cr_assert_eq(csr_read(f, 15), MODE_DRX);
    cr_assert_eq(csr_read(f, 8), 0x2211);
    cr_assert_eq(csr_read(f, 11), 0x8877);
    cr_assert_eq(csr_read(f, 6), 0x4300);
    cr_assert_eq(csr_read(f, 76), 0xfff8);
    cr_assert_eq(csr_read(f, 78), 0xfff0);
}

Test(am79c970a_registers, init_alone_starts_nothing)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 20, 2);
    init_block(f, 2, 0, 0, 0, 0);
    rx_give(f, 2, 0, 1024);
    csr_set_pair(f, 1, INIT_AT);
    csr_write(f, 0, CSR0_INIT);

    cr_assert_eq(csr_read(f, 0), CSR0_IDON | CSR0_INTR | CSR0_INIT);
    receive_to(f, 64, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 0), OWN);
    cr_assert_eq(csr_read(f, 0) & CSR0_MISS, 0);
}

/* DS "Initialization": with latency=datasheet the block takes time to read. */
Test(am79c970a_registers, idon_comes_later_with_the_datasheets_latency)
{
    g_autoptr(DevemuFake) f = nic_new("latency=datasheet");

    bcr_write(f, 20, 2);
    init_block(f, 2, 0, 0, 0, 0);
    csr_set_pair(f, 1, INIT_AT);
    csr_write(f, 0, CSR0_INIT | CSR0_STRT | CSR0_INEA);
    cr_assert_eq(csr_read(f, 0), CSR0_INIT | CSR0_STRT | CSR0_INEA);
    devemu_fake_advance(f, 2099);
    cr_assert_not(devemu_fake_line(f, 0));
    devemu_fake_advance(f, 1);

    cr_assert(devemu_fake_line(f, 0));
    cr_assert_eq(csr_read(f, 0),
                 CSR0_IDON | CSR0_INTR | CSR0_INEA | CSR0_RXON | CSR0_TXON | CSR0_STRT | CSR0_INIT);
}

Test(am79c970a_registers, tdmd_is_reset_without_txon)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 0, CSR0_TDMD);
    cr_assert_eq(csr_read(f, 0), CSR0_STOP);
    nic_start(f, 2, MODE_DTX);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);

    cr_assert_eq(csr_read(f, 0) & CSR0_TDMD, 0);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
}

/* DS CSR3: each mask hides its cause from INTR, and from nothing else. */
Test(am79c970a_registers, masks_of_csr3_hide_causes_from_intr)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(csr_read(f, 0) & 0xff80, CSR0_ERR | CSR0_MISS | CSR0_INTR);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 3, 0x1000);

    cr_assert_eq(csr_read(f, 0) & 0xff80, CSR0_ERR | CSR0_MISS);
    cr_assert_not(devemu_fake_line(f, 0));
    csr_write(f, 3, 0);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 0, CSR0_MISS | CSR0_INEA);
    cr_assert_eq(csr_read(f, 0) & 0xff80, 0);
}

/* DS CSR3: a mask stands where CSR0 has its cause; CERR has none, and does not interrupt. */
Test(am79c970a_registers, each_cause_of_csr0_has_a_mask_of_its_own)
{
    const unsigned masks = 0x5f00;
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 20, 2);
    init_block(f, 2, 0, 2, 2, 0);
    csr_set_pair(f, 1, INIT_AT);
    csr_write(f, 0, CSR0_INIT | CSR0_STRT | CSR0_INEA); /* IDON */
    receive_to(f, 60, nic_mac);                         /* MISS */
    rx_give(f, 2, 0, 1024);
    receive_to(f, 60, nic_mac); /* RINT */
    tx_give(f, 2, 0, 1515, STP | ENP);
    demand(f); /* BABL, TINT */
    devemu_device_link(devemu_fake_device(f), 0);
    tx_give(f, 2, 1, 60, STP | ENP);
    demand(f); /* CERR */
    devemu_fake_fail_dma(f, TX_RING, 64);
    demand(f); /* MERR */
    cr_assert_eq(csr_read(f, 0) & 0x7f00, 0x7f00);

    csr_write(f, 3, masks);
    cr_assert_eq(csr_read(f, 0) & CSR0_INTR, 0);
    cr_assert_not(devemu_fake_line(f, 0));
    for (unsigned cause = 0x4000; cause >= 0x0100; cause >>= 1) {
        if (cause == CSR0_CERR) {
            continue;
        }
        csr_write(f, 3, masks & ~cause);
        cr_expect_eq(csr_read(f, 0) & CSR0_INTR, CSR0_INTR, "cause %04x", cause);
        cr_expect(devemu_fake_line(f, 0), "cause %04x", cause);
        csr_write(f, 0, cause | CSR0_INEA);
        cr_expect_not(devemu_fake_line(f, 0), "cause %04x", cause);
    }
    cr_assert_eq(csr_read(f, 0) & 0xff80, CSR0_ERR | CSR0_CERR);
}

Test(am79c970a_registers, inea_alone_gates_the_pin_and_not_intr)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 0, 0);
    csr_write(f, 4, 0x0115 | 0x80);

    cr_assert_eq(csr_read(f, 0) & CSR0_INTR, CSR0_INTR);
    cr_assert_not(devemu_fake_line(f, 0));
    csr_write(f, 0, CSR0_INEA);
    cr_assert(devemu_fake_line(f, 0));
}

/* --- CSR4, CSR5 -------------------------------------------------------------------- */

/* DS CSR4: UINTCMD sets UINT and clears itself. */
Test(am79c970a_registers, uintcmd_makes_a_user_interrupt)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 4, 0x0115 | 0x80);

    cr_assert_eq(csr_read(f, 4), 0x0115 | 0x40);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 4, 0x0115 | 0x40);
    cr_assert_eq(csr_read(f, 4), 0x0115);
    cr_assert_not(devemu_fake_line(f, 0));
}

/* TXSTRT is bit 3; setting its mask, bit 2, instead is a known mistake of models. */
Test(am79c970a_registers, txstrt_is_set_by_a_transmission_and_can_interrupt)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 3, 0x0200);
    csr_write(f, 4, 0x0111);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);

    cr_assert_eq(csr_read(f, 4), 0x0119);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 4, 0x0119);
    cr_assert_eq(csr_read(f, 4), 0x0111);
    cr_assert_not(devemu_fake_line(f, 0));
}

/* DS CSR4, JAB */
Test(am79c970a_registers, jab_can_interrupt_and_is_cleared_by_a_one)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start_with(f, 2, 0, 2, 3, 0);
    csr_write(f, 3, 0x5f00);
    for (unsigned i = 0; i < 7; i++) {
        tx_give(f, 2, i, 4000, (i == 0 ? STP : 0u) | (i == 6 ? ENP : 0u));
    }
    demand(f);
    cr_assert_eq(csr_read(f, 4), 0x0117);
    cr_assert_not(devemu_fake_line(f, 0));
    csr_write(f, 4, 0x0114);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 4, 0x0116);

    cr_assert_not(devemu_fake_line(f, 0));
    cr_assert_eq(csr_read(f, 4), 0x0114);
}

/* DS CSR47: 65536 clocks after INIT; two's complement; bits 3-0 ignored. CSR46 counts up. */
Test(am79c970a_registers, poll_counter_runs_from_the_interval_to_zero)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 47, 0x1234);
    nic_start(f, 2, 0);
    cr_assert_eq(csr_read(f, 47), 0);
    csr_write(f, 0, CSR0_STOP);
    csr_write(f, 47, 0xff0f);
    csr_write(f, 0, CSR0_STRT);

    cr_assert_eq(csr_read(f, 46), 0xff00);
    devemu_fake_advance(f, 100 * 30);
    cr_assert_eq(csr_read(f, 46), 0xff64);
    devemu_fake_advance(f, 156 * 30);
    cr_assert_eq(csr_read(f, 46), 0xff00);
}

/* DS "Polling" */
Test(am79c970a_registers, the_transmit_ring_is_polled_after_the_interval_and_not_by_reads)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    devemu_fake_advance(f, 1966080 - 10000);
    tx_give(f, 2, 0, 60, STP | ENP);
    for (unsigned i = 0; i < 100; i++) {
        csr_read(f, i);
        bcr_read(f, i);
    }
    devemu_fake_advance(f, 1966080 - 1);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    devemu_fake_advance(f, 1);
    cr_assert_eq(devemu_fake_sent_count(f), 1);

    tx_give(f, 2, 1, 60, STP | ENP);
    csr_read(f, 0);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
    devemu_fake_advance(f, 1966080);
    cr_assert_eq(devemu_fake_sent_count(f), 2);
}

/* DS CSR4, TXDPOLL */
Test(am79c970a_registers, txdpoll_leaves_transmission_to_tdmd)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 4, 0x1115);
    tx_give(f, 2, 0, 60, STP | ENP);
    devemu_fake_advance(f, 100000000);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    demand(f);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
}

/* --- SPND -------------------------------------------------------------------------- */

Test(am79c970a_registers, spnd_needs_stop_to_be_zero)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 5, 1);

    cr_assert_eq(csr_read(f, 5), 0);
}

/* DS CSR5, SPND: rings keep their places, and work goes on without initialisation. */
Test(am79c970a_registers, spnd_stops_both_rings_where_they_are)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 1024);
    rx_give(f, 2, 1, 1024);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);
    receive_to(f, 60, nic_mac);
    csr_write(f, 5, 1);
    cr_assert_eq(csr_read(f, 5), 1);
    cr_assert_eq(csr_read(f, 0) & 0x30, 0x30);
    cr_assert_eq(csr_pair(f, 28), RX_RING + 16);
    cr_assert_eq(csr_pair(f, 34), TX_RING + 16);
    cr_assert_eq(csr_pair(f, 26), RX_RING + 32);

    tx_give(f, 2, 1, 61, STP | ENP);
    demand(f);
    devemu_fake_advance(f, 10000000);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 0);
    receive_to(f, 60, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), OWN);
    csr_write(f, 5, 0);

    cr_assert_eq(devemu_fake_sent_count(f), 2);
    cr_assert_eq(receive_to(f, 60, nic_mac), 60);
    cr_assert_eq(md_status(f, 2, RX_RING, 1), STP | ENP);
}

/* DS CSR46, CSR5: the counter stands still, and goes on from there. */
Test(am79c970a_registers, poll_counter_stands_still_in_suspension)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    unsigned count;

    nic_start(f, 2, 0);
    devemu_fake_advance(f, 300000);
    csr_write(f, 5, 1);
    count = csr_read(f, 46);
    cr_assert_gt(count, 0x2000);
    devemu_fake_advance(f, 300000);
    cr_assert_eq(csr_read(f, 46), count);
    csr_write(f, 5, 0);
    tx_give(f, 2, 0, 60, STP | ENP);
    devemu_fake_advance(f, (0x10000 - count) * 30 - 1);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    devemu_fake_advance(f, 1);

    cr_assert_eq(devemu_fake_sent_count(f), 1);
}

/* DS CSR5, SPND: after the frame under way */
Test(am79c970a_registers, spnd_reads_as_one_when_the_frame_is_over)
{
    g_autoptr(DevemuFake) f = nic_new("latency=datasheet");

    nic_start(f, 2, 0);
    tx_give(f, 2, 0, 1000, STP | ENP);
    tx_give(f, 2, 1, 1000, STP | ENP);
    demand(f);
    csr_write(f, 5, 1);
    cr_assert_eq(csr_read(f, 5), 0);
    devemu_fake_advance(f, 2000000);

    cr_assert_eq(csr_read(f, 5), 1);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
    csr_write(f, 5, 0);
    devemu_fake_advance(f, 2000000);
    cr_assert_eq(devemu_fake_sent_count(f), 2);
}

Test(am79c970a_registers, stop_and_resets_end_spnd)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 5, 1);
    csr_write(f, 0, CSR0_STOP);
    cr_assert_eq(csr_read(f, 5), 0);
    csr_write(f, 0, CSR0_STRT);
    csr_write(f, 5, 1);
    cr_assert_eq(csr_read(f, 5), 1);
    soft_reset(f);

    cr_assert_eq(csr_read(f, 5), 0);
}

/* --- errors of the bus ------------------------------------------------------------- */

/* DS CSR0, MERR; CSR5, SINT, which interrupts even without INEA. */
Test(am79c970a_registers, merr_follows_a_failed_access)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 5, 0x0400);
    tx_give(f, 2, 0, 60, STP | ENP);
    devemu_fake_fail_dma(f, TX_RING, 64);
    demand(f);

    cr_assert_eq(csr_read(f, 0) & (CSR0_ERR | CSR0_MERR | CSR0_INTR | 0x30),
                 CSR0_ERR | CSR0_MERR | CSR0_INTR);
    cr_assert_eq(csr_read(f, 5), 0x0c00);
    csr_write(f, 0, CSR0_MERR);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 5, 0x0c00);
    cr_assert_not(devemu_fake_line(f, 0));
    cr_assert_eq(csr_read(f, 0) & CSR0_ERR, 0);
}

Test(am79c970a_registers, merr_follows_an_initialization_block_that_cannot_be_read)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_set_pair(f, 1, 0xfffffff0);
    csr_write(f, 0, CSR0_INIT | CSR0_STRT);

    cr_assert_eq(csr_read(f, 0) & (CSR0_MERR | CSR0_IDON | 0x30), CSR0_MERR);
}

/* DS "Magic Packet Operation", CSR5 */
static size_t magic_frame(uint8_t *frame, const uint8_t *to)
{
    frame_make(frame, 200, to);
    memset(frame + 50, 0xff, 6);
    for (unsigned i = 0; i < 16; i++) {
        memcpy(frame + 56 + 6 * i, nic_mac, 6);
    }
    return 200;
}

Test(am79c970a_registers, magic_packet_sets_mpint_and_nothing_is_stored)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[200];

    nic_start(f, 2, 0);
    rx_give(f, 2, 0, 1024);
    tx_give(f, 2, 0, 60, STP | ENP);
    csr_write(f, 5, 0x000e);
    receive_to(f, 200, nic_mac);
    demand(f);
    cr_assert_eq(csr_read(f, 5), 0x000e);
    devemu_fake_receive(f, frame, magic_frame(frame, nic_mac));

    cr_assert_eq(csr_read(f, 5), 0x001e);
    cr_assert(devemu_fake_line(f, 0));
    cr_assert_eq(md_status(f, 2, RX_RING, 0), OWN);
    cr_assert_eq(devemu_fake_sent_count(f), 0);
    csr_write(f, 5, 0x001e);
    cr_assert_not(devemu_fake_line(f, 0));
    csr_write(f, 5, 0);
    cr_assert_eq(devemu_fake_sent_count(f), 1);
    receive_to(f, 200, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
}

/* A Magic Packet needs no buffer: the network does not wait for one. */
Test(am79c970a_registers, magic_packets_come_without_a_buffer)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 0);
    csr_write(f, 5, 0x000e);

    cr_assert_eq(devemu_device_ready(devemu_fake_device(f)), 1);
}

/* DS CSR5: MPEN works where MPMODE says so; SLEEP#, the other way, is not modelled. */
Test(am79c970a_registers, magic_packet_mode_needs_mpmode_and_mpen)
{
    static const unsigned values[] = {0x000a, 0x000c};

    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(DevemuFake) f = nic_new(NULL);
        uint8_t frame[200];

        nic_start(f, 2, 0);
        rx_give(f, 2, 0, 1024);
        csr_write(f, 5, values[i]);
        devemu_fake_receive(f, frame, magic_frame(frame, nic_mac));

        cr_expect_eq(csr_read(f, 5), values[i]);
        cr_expect_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
    }
}

Test(am79c970a_registers, mpplba_widens_what_a_magic_packet_may_be_addressed_to)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[200];

    nic_start(f, 2, 0);
    csr_write(f, 5, 0x000e);
    devemu_fake_receive(f, frame, magic_frame(frame, nic_broadcast));
    cr_assert_eq(csr_read(f, 5) & 0x10, 0);
    csr_write(f, 5, 0x002e);
    devemu_fake_receive(f, frame, magic_frame(frame, nic_broadcast));

    cr_assert_eq(csr_read(f, 5) & 0x10, 0x10);
}

Test(am79c970a_registers, a_broken_magic_packet_wakes_nobody)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[200];

    nic_start(f, 2, 0);
    csr_write(f, 5, 0x000e);
    magic_frame(frame, nic_mac);
    frame[56 + 6 * 15 + 5] ^= 1;
    devemu_fake_receive(f, frame, 200);

    cr_assert_eq(csr_read(f, 5) & 0x10, 0);
}

/* DS BCR0, BCR1, BCR21: stored, and of no effect. BCR6 and BCR7 are lamps like BCR5. */
Test(am79c970a_registers, those_without_effect_hold_what_is_written)
{
    static const unsigned numbers[] = {0, 1, 21};
    g_autoptr(DevemuFake) f = nic_new(NULL);

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(numbers); i++) {
        bcr_write(f, numbers[i], 0x1234);
        cr_expect_eq(bcr_read(f, numbers[i]), 0x1234);
    }
    bcr_write(f, 2, bcr_read(f, 2) | 0x1000);
    for (unsigned n = 4; n < 8; n++) {
        bcr_write(f, n, 0x0010);
        cr_expect_eq(bcr_read(f, n), 0x0010);
    }
}
