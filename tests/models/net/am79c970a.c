/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: identity, access to the registers, and what drivers do to find the chip. */
#include "nic.h"

#include <devemu/bus.h>

static unsigned dwio_csr(DevemuFake *f, unsigned n)
{
    devemu_fake_write(f, 0, 0x14, 4, n);
    return (unsigned)devemu_fake_read(f, 0, 0x10, 4);
}

static void dwio_csr_write(DevemuFake *f, unsigned n, unsigned value)
{
    devemu_fake_write(f, 0, 0x14, 4, n);
    devemu_fake_write(f, 0, 0x10, 4, value);
}

static void enter_dwio(DevemuFake *f)
{
    devemu_fake_write(f, 0, 0x12, 2, 0);
    devemu_fake_write(f, 0, 0x10, 4, 0);
}

static bool wio_check(DevemuFake *f)
{
    devemu_fake_write(f, 0, 0x12, 2, 88);
    return devemu_fake_read(f, 0, 0x12, 2) == 88;
}

static bool dwio_check(DevemuFake *f)
{
    devemu_fake_write(f, 0, 0x14, 4, 88);
    return (devemu_fake_read(f, 0, 0x14, 4) & 0xffff) == 88;
}

Test(am79c970a, conforms_to_its_tables)
{
    cr_assert_eq(devemu_conformance(&devemu_model_am79c970a, NULL), 0);
}

/* DS "PCI Configuration Registers" */
Test(am79c970a, says_who_it_is_on_a_pci_bus)
{
    GError *error = NULL;
    DevemuDevice *nic = devemu_device_new(&devemu_model_am79c970a, NULL, &error);
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(nic, &error);
    static const struct {
        unsigned at, size;
        uint64_t value;
    } expected[] = {
        {0x00, 4, 0x20001022}, {0x08, 4, 0x02000016}, {0x06, 2, 0x0280}, {0x0e, 1, 0x00},
        {0x2c, 4, 0},          {0x34, 1, 0},          {0x3d, 1, 0x01},   {0x3e, 2, 0xff06},
    };

    cr_assert_not_null(function, "%s", error ? error->message : "");

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(expected); i++) {
        uint64_t value = 0;

        cr_expect_eq(devemu_device_read(function, 0, expected[i].at, expected[i].size, &value),
                     DEVEMU_ACCESS_OK);
        cr_expect_eq(value, expected[i].value, "config %02x is %lx", expected[i].at,
                     (unsigned long)value);
    }
}

/* DS "I/O Resources": 32 bytes of ports and the same of memory. */
Test(am79c970a, shows_the_same_registers_in_both_bars)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    devemu_fake_write(f, 1, 0x12, 2, 4);
    devemu_fake_write(f, 1, 0x10, 2, 0x0915);

    cr_assert_eq(csr_read(f, 4), 0x0915);
    cr_assert_eq(devemu_fake_read(f, 1, 0x00, 4), 0x12005452);
}

/* DS "I/O Resources": both ways lead to the address PROM, and both enter DWIO. */
Test(am79c970a, is_programmed_through_memory_as_through_ports)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 2, bcr_read(f, 2) | 0x100);
    devemu_fake_write(f, 1, 1, 1, 0xab);
    cr_expect_eq(devemu_fake_read(f, 0, 0, 2), 0xab52);
    devemu_fake_write(f, 1, 0x10, 4, 0);

    cr_expect_eq(dwio_csr(f, 88), 0x02621003);
}

/* DS "Address PROM Space", in any width, in both modes. */
Test(am79c970a, aprom_has_address_hardware_id_sum_and_ww)
{
    g_autoptr(DevemuFake) f = nic_new("mac=52:54:00:aa:bb:cc");
    uint8_t prom[16];
    unsigned sum = 0;

    for (unsigned i = 0; i < 16; i++) {
        prom[i] = (uint8_t)devemu_fake_read(f, 0, i, 1);
        sum += i == 12 || i == 13 ? 0 : prom[i];
    }

    cr_assert_arr_eq(prom, ((uint8_t[]){0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc}), 6);
    cr_assert_eq(prom[9], 0x11);
    cr_assert_eq(prom[14], 'W');
    cr_assert_eq(prom[15], 'W');
    cr_assert_eq(devemu_le16(prom + 12), sum);
    cr_assert_eq(devemu_fake_read(f, 0, 0, 2), 0x5452);
    cr_assert_eq(devemu_fake_read(f, 0, 0, 4), 0xaa005452);
    enter_dwio(f);
    cr_assert_eq(devemu_fake_read(f, 0, 4, 4), 0x0000ccbb);
}

/* DS BCR2, APROMWE */
Test(am79c970a, aprom_is_written_with_apromwe_only)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    devemu_fake_write(f, 0, 0, 1, 0xee);
    cr_assert_eq(devemu_fake_read(f, 0, 0, 1), 0x52);
    bcr_write(f, 2, bcr_read(f, 2) | 0x100);
    devemu_fake_write(f, 0, 0, 1, 0xee);
    devemu_fake_write(f, 0, 2, 2, 0x1234);

    cr_assert_eq(devemu_fake_read(f, 0, 0, 4), 0x123454ee);
}

/* DS "Double Word I/O Mode" */
Test(am79c970a, a_32_bit_write_to_rdp_enters_dwio)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    cr_assert_eq(bcr_read(f, 18), 0x9001);
    enter_dwio(f);

    devemu_fake_write(f, 0, 0x14, 4, 18);
    cr_assert_eq(devemu_fake_read(f, 0, 0x1c, 4), 0x9081);
    cr_assert_eq(dwio_csr(f, 0), CSR0_STOP);
    cr_assert_eq(dwio_csr(f, 88), 0x02621003);
    cr_assert_eq(devemu_fake_read(f, 0, 0x12, 2), 0xffff);
}

/* The write that switches the mode is a write all the same (a known mistake of models: dropped). */
Test(am79c970a, the_write_that_enters_dwio_reaches_its_register)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    devemu_fake_write(f, 0, 0x12, 2, 4);
    devemu_fake_write(f, 0, 0x10, 4, 0x0915);

    cr_assert_eq(dwio_csr(f, 4), 0x0915);
}

/* DS "S_RESET": no bus configuration register is affected, so not DWIO either. */
Test(am79c970a, s_reset_keeps_dwio_and_h_reset_leaves_it)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    enter_dwio(f);
    devemu_fake_read(f, 0, 0x18, 4);
    cr_assert(dwio_check(f));
    devemu_device_reset(devemu_fake_device(f), DEVEMU_RESET_HARD);

    cr_assert(wio_check(f));
    cr_assert_eq(bcr_read(f, 18), 0x9001);
}

/* Accesses in the other mode's width change nothing. */
Test(am79c970a, a_width_that_is_not_the_modes_changes_nothing)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    csr_write(f, 4, 0x0915);
    devemu_fake_write(f, 0, 0x14, 4, 88);
    devemu_fake_write(f, 0, 0x12, 1, 5);
    cr_assert_eq(devemu_fake_read(f, 0, 0x10, 1), 0xff);
    cr_assert_eq(devemu_fake_read(f, 0, 0x14, 4), 0xffffffff);
    cr_assert_eq(devemu_fake_read(f, 0, 0x12, 2), 4);

    cr_assert_eq(csr_read(f, 4), 0x0915);
    cr_assert_gt(devemu_fake_guest_errors(f), 0);
}

/* Linux pcnet32_probe1(), and iPXE's copy of it: reset and check in word mode, then in double word
 * mode; chip id; addresses of the PROM and of CSR12 to CSR14. */
static bool linux_probe(DevemuFake *f, bool *ret_dwio)
{
    uint32_t id;

    devemu_fake_read(f, 0, 0x14, 2);
    *ret_dwio = false;
    if (!(csr_read(f, 0) == 4 && wio_check(f))) {
        devemu_fake_read(f, 0, 0x18, 4);
        *ret_dwio = true;
        if (!(dwio_csr(f, 0) == 4 && dwio_check(f))) {
            return false;
        }
    }
    id = *ret_dwio ? (dwio_csr(f, 88) & 0xffff) | dwio_csr(f, 89) << 16 : csr_pair(f, 88);
    if ((id & 0xfff) != 3 || ((id >> 12) & 0xffff) != 0x2621) {
        return false;
    }
    for (unsigned i = 0; i < 3; i++) {
        unsigned csr = *ret_dwio ? dwio_csr(f, 12 + i) : csr_read(f, 12 + i);

        if ((csr & 0xff) != devemu_fake_read(f, 0, i * 2, 1) ||
            (csr >> 8 & 0xff) != devemu_fake_read(f, 0, i * 2 + 1, 1)) {
            return false;
        }
    }
    return true;
}

Test(am79c970a, is_found_by_linux_pcnet32_and_ipxe_in_word_mode)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    bool dwio = true;

    cr_assert(linux_probe(f, &dwio));
    cr_assert_not(dwio);
}

Test(am79c970a, is_found_by_linux_pcnet32_and_ipxe_where_another_left_it_in_dwio)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    bool dwio = false;

    enter_dwio(f);
    dwio_csr_write(f, 3, 0x1000);

    cr_assert(linux_probe(f, &dwio));
    cr_assert(dwio);
    cr_assert_eq(dwio_csr(f, 3), 0);
}

/* FreeBSD and NetBSD pcn(4): reset in both modes, a 32-bit write to RDP, then only double words;
 * software style 3. */
Test(am79c970a, is_found_by_bsd_pcn)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    devemu_fake_read(f, 0, 0x18, 4);
    devemu_fake_read(f, 0, 0x14, 2);
    devemu_fake_write(f, 0, 0x10, 4, 0);
    devemu_fake_write(f, 0, 0x14, 4, 20);
    devemu_fake_write(f, 0, 0x1c, 4, 3);

    cr_assert_eq(devemu_fake_read(f, 0, 0x1c, 4), 0x0303);
    cr_assert_eq(dwio_csr(f, 88) & 0xfff, 3);
    cr_assert_eq(dwio_csr(f, 12), 0x5452);
}

/* 9front ether79c970: software reset in both modes; the mode is the one in which CSR0 is exactly
 * STOP. */
Test(am79c970a, is_found_by_9front)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    devemu_fake_read(f, 0, 0x18, 4);
    devemu_fake_read(f, 0, 0x14, 2);

    cr_assert_eq(csr_read(f, 0), CSR0_STOP);
    cr_assert_eq(csr_read(f, 88) & 0xfff, 3);
}

/* Haiku: reset by reading and writing, double word mode; after a STOP it restarts with STRT and
 * INEA alone. */
Test(am79c970a, is_restarted_by_haiku_without_init)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    devemu_fake_read(f, 0, 0x14, 2);
    devemu_fake_write(f, 0, 0x14, 2, 0);
    nic_start(f, 2, 0);
    csr_write(f, 0, CSR0_STOP);
    cr_assert_eq(csr_read(f, 0), CSR0_STOP);
    csr_write(f, 0, CSR0_INEA | CSR0_STRT);

    cr_assert_eq(csr_read(f, 0), CSR0_INEA | CSR0_RXON | CSR0_TXON | CSR0_STRT);
}

/* Linux pcnet32_open() in style 2, one frame each way, then the handler's acknowledgement. */
Test(am79c970a, serves_linux_pcnet32_from_open_to_interrupt)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[100];

    devemu_fake_read(f, 0, 0x14, 2);
    bcr_write(f, 20, 2);
    bcr_write(f, 2, (bcr_read(f, 2) & ~2u) | 2);
    bcr_write(f, 2, bcr_read(f, 2) | 0x1000);
    init_block(f, 2, 0x0080, 4, 4, 0);
    for (unsigned i = 0; i < 16; i++) {
        rx_give(f, 2, i, 1544);
    }
    csr_write(f, 4, 0x0915);
    csr_set_pair(f, 1, INIT_AT);
    csr_write(f, 0, CSR0_INIT);
    cr_assert(csr_read(f, 0) & CSR0_IDON);
    csr_write(f, 0, 0x0042);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 0, csr_read(f, 0) & ~0x004fu);
    cr_assert_not(devemu_fake_line(f, 0));
    csr_write(f, 0, CSR0_INEA);

    frame_make(tx_buf(f, 0), 100, nic_broadcast);
    tx_give(f, 2, 0, 100, STP | ENP);
    csr_write(f, 0, CSR0_INEA | CSR0_TDMD);
    expect_sent(f, 0, tx_buf(f, 0), 100);
    cr_assert_eq(md_status(f, 2, TX_RING, 0), STP | ENP);
    cr_assert_eq(receive_to(f, 100, nic_mac), 100);
    frame_make(frame, 100, nic_mac);
    cr_assert_eq(md_status(f, 2, RX_RING, 0), STP | ENP);
    cr_assert_eq(rmd_count(f, 2, 0), 104);
    cr_assert_arr_eq(rx_buf(f, 0), frame, 100);

    cr_assert_eq(csr_read(f, 0) & 0xffff, 0x06f3);
    cr_assert(devemu_fake_line(f, 0));
    csr_write(f, 0, csr_read(f, 0) & ~0x004fu);
    cr_assert_not(devemu_fake_line(f, 0));
}

/* Linux pcnet32_watchdog(): the link is down where BCR4 reads exactly C0h. */
Test(am79c970a, bcr4_shows_the_link_to_linux)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    cr_assert_eq(bcr_read(f, 4), 0x80c0);
    cr_assert(devemu_fake_line(f, 1));
    devemu_device_link(devemu_fake_device(f), 0);

    cr_assert_eq(bcr_read(f, 4), 0x00c0);
    cr_assert_not(devemu_fake_line(f, 1));
}

Test(am79c970a, begins_without_a_cable_where_link_is_off)
{
    g_autoptr(DevemuFake) f = nic_new("link=off");

    cr_assert_eq(bcr_read(f, 4), 0x00c0);
}

/* DS BCR7, PSE: the lamp of a transmission stays lit for 26 ms at least, and goes out. */
Test(am79c970a, a_lamp_shows_a_transmission)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    cr_assert_eq(bcr_read(f, 7), 0x0090);
    tx_give(f, 2, 0, 60, STP | ENP);
    demand(f);

    cr_assert_eq(bcr_read(f, 7), 0x8090);
    cr_assert(devemu_fake_line(f, 4));
    devemu_fake_advance(f, 25000000);
    cr_assert(devemu_fake_line(f, 4));
    devemu_fake_advance(f, 30000000);
    cr_assert_not(devemu_fake_line(f, 4));
    cr_assert_eq(bcr_read(f, 7), 0x0090);
}

/* DS BCR2, LEDPE */
Test(am79c970a, lamps_are_programmed_with_ledpe_only)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 5, 0x0040);
    cr_assert_eq(bcr_read(f, 5), 0x0084);
    bcr_write(f, 2, bcr_read(f, 2) | 0x1000);
    bcr_write(f, 5, 0x0040);

    cr_assert_eq(bcr_read(f, 5), 0x8040);
    cr_assert(devemu_fake_line(f, 2));
    bcr_write(f, 5, 0x2040);
    cr_assert_not(devemu_fake_line(f, 2));
}

/* DS BCR4 to BCR7: each lamp shows what it is told to, here the link (LNKSE), until LEDDIS. */
Test(am79c970a, each_lamp_can_show_the_link)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    bcr_write(f, 2, bcr_read(f, 2) | 0x1000);
    for (unsigned led = 0; led < 4; led++) {
        bcr_write(f, 4 + led, 0x2040);
        cr_expect_not(devemu_fake_line(f, 1 + led), "LED%u is off", led);
        cr_expect_eq(bcr_read(f, 4 + led), 0xa040);
        bcr_write(f, 4 + led, 0x0040);
        cr_expect(devemu_fake_line(f, 1 + led), "LED%u is on", led);
    }
    devemu_device_link(devemu_fake_device(f), 0);

    for (unsigned led = 0; led < 4; led++) {
        cr_expect_eq(bcr_read(f, 4 + led), 0x0040);
        cr_expect_not(devemu_fake_line(f, 1 + led), "LED%u goes out", led);
    }
}

/* DS BCR5: MPSE, FDLSE, RCVME, XMTE, RCVE, each for itself; PSE makes pulses long enough. */
Test(am79c970a, lamps_show_what_their_bits_say)
{
    enum { FDLSE = 0x100, RCVME = 0x20, XMTE = 0x10, RCVE = 0x04 };
    static const uint8_t other[6] = {2, 2, 2, 2, 2, 2};
    static const unsigned bits[] = {FDLSE, RCVME, XMTE, RCVE};
    static const struct {
        unsigned fdc, lit;
        const uint8_t *receive;
        bool send;
    } rows[] = {{0, 0, NULL, false},
                {1, FDLSE, NULL, false},
                {0, RCVE, other, false},
                {0, RCVE | RCVME, nic_mac, false},
                {0, XMTE, NULL, true}};

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(rows) * DEVEMU_N_ELEMENTS(bits); i++) {
        unsigned row = (unsigned)i / 4, bit = bits[i % 4];
        g_autoptr(DevemuFake) f = nic_new(NULL);

        bcr_write(f, 2, 0x1002);
        bcr_write(f, 5, 0x0080 | bit);
        bcr_write(f, 9, rows[row].fdc);
        nic_start(f, 2, 0);
        rx_give(f, 2, 0, 1024);
        if (rows[row].receive) {
            receive_to(f, 60, rows[row].receive);
        }
        if (rows[row].send) {
            tx_give(f, 2, 0, 60, STP | ENP);
            demand(f);
        }

        cr_expect_eq(devemu_fake_line(f, 2), (rows[row].lit & bit) != 0, "row %u, bit %x", row,
                     bit);
    }
}

/* DS "Magic Packet Operation": a lamp shows one (MPSE), until MPINT is cleared; STOP does that. */
Test(am79c970a, a_lamp_shows_a_magic_packet)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    uint8_t frame[102];

    bcr_write(f, 2, 0x1002);
    bcr_write(f, 5, 0x0200);
    for (unsigned way = 0; way < 2; way++) {
        nic_start(f, 2, MODE_PROM);
        csr_write(f, 5, 0x002e);
        memset(frame, 0xff, 6);
        for (unsigned i = 0; i < 16; i++) {
            memcpy(frame + 6 + 6 * i, nic_mac, 6);
        }
        cr_assert_not(devemu_fake_line(f, 2));
        devemu_fake_receive(f, frame, 102);
        cr_assert(devemu_fake_line(f, 2));
        if (way == 0) {
            csr_write(f, 5, 0x001e);
        } else {
            csr_write(f, 0, CSR0_STOP);
        }
        cr_assert_eq(csr_read(f, 5) & 0x10, 0);

        cr_assert_not(devemu_fake_line(f, 2), "way %u", way);
    }
}

/* DS BCR2, INTLEVEL */
Test(am79c970a, intlevel_turns_the_interrupt_pin_round)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    nic_start(f, 2, 0);
    csr_write(f, 4, 0x0115 | 0x80);
    cr_assert(devemu_fake_line(f, 0));
    bcr_write(f, 2, bcr_read(f, 2) | 0x80);
    cr_assert_not(devemu_fake_line(f, 0));
    csr_write(f, 4, 0x0115 | 0x40);

    cr_assert(devemu_fake_line(f, 0));
}

/* DS "PCI MIN_GNT Register": an alias of BCR22 */
Test(am79c970a, bcr22_shows_in_configuration_space)
{
    GError *error = NULL;
    DevemuDevice *nic = devemu_device_new(&devemu_model_am79c970a, NULL, &error);
    g_autoptr(DevemuDevice) function = devemu_pci_function_new(nic, &error);
    uint64_t value = 0;

    cr_assert_not_null(function);
    devemu_device_write(nic, 0, 0x12, 2, 22);
    devemu_device_write(nic, 0, 0x16, 2, 0x1818);

    cr_assert_eq(devemu_device_read(function, 0, 0x3e, 2, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 0x1818);
}

Test(am79c970a, refuses_a_group_address)
{
    GError *error = NULL;

    cr_assert_null(devemu_device_new(&devemu_model_am79c970a, "mac=01:00:5e:00:00:01", &error));
    cr_assert_not_null(strstr(error->message, "mac"));
    g_error_free(error);
}
