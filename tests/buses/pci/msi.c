/* SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

#define TABLE 0xe0000000u
#define PBA   (TABLE + 0x800)

static DevemuDevice *make_one(struct host *host, unsigned *ret_msi, unsigned *ret_msix)
{
    DevemuDevice *bus = make_bus(host, NULL);

    plug(bus, &toy_full_model, DEV(3));
    set(bus, DEV(3), REG_BAR(0), 4, 0xc000);
    set(bus, DEV(3), REG_BAR(1), 4, TABLE);
    set(bus, DEV(3), REG_COMMAND, 2, 7);
    *ret_msi = find_capability(bus, DEV(3), 0x05);
    *ret_msix = find_capability(bus, DEV(3), 0x11);
    return bus;
}

static void send(DevemuDevice *bus, unsigned vector)
{
    out(bus, 0xc000 + TOY_MSI, 1, vector);
}

static uint64_t table_get(DevemuDevice *bus, uint64_t at, unsigned size)
{
    return bus_get(bus, DEVEMU_PCI_MEMORY, at, size);
}

static void table_set(DevemuDevice *bus, uint64_t at, unsigned size, uint64_t value)
{
    devemu_device_write(bus, DEVEMU_PCI_MEMORY, at, size, value);
}

static void entry_set(DevemuDevice *bus, unsigned vector, uint64_t addr, uint32_t data,
                      uint32_t control)
{
    table_set(bus, TABLE + 16 * vector, 8, addr);
    table_set(bus, TABLE + 16 * vector + 8, 4, data);
    table_set(bus, TABLE + 16 * vector + 12, 4, control);
}

/* PCI 3.0 6.8.1.3 */
Test(msi, capability_says_what_it_can)
{
    struct host host;
    unsigned at, unused;
    g_autoptr(DevemuDevice) bus = make_one(&host, &at, &unused);

    cr_assert_eq(get(bus, DEV(3), at + 2, 2), 0x0184, "64 bits, masks, 4 vectors");
    set(bus, DEV(3), at + 4, 4, 0xffffffff);
    cr_assert_eq(get(bus, DEV(3), at + 4, 4), 0xfffffffc);
}

Test(msi, nothing_is_sent_while_disabled)
{
    struct host host;
    unsigned at, unused;
    g_autoptr(DevemuDevice) bus = make_one(&host, &at, &unused);

    send(bus, 0);

    cr_assert_eq(host.msis, 0);
}

/* PCI 3.0 6.8.1.6: the low bits of the data are the vector. */
Test(msi, vector_is_in_the_low_bits_of_the_data)
{
    struct host host;
    unsigned at, unused;
    g_autoptr(DevemuDevice) bus = make_one(&host, &at, &unused);

    set(bus, DEV(3), at + 4, 4, 0xfee01000);
    set(bus, DEV(3), at + 8, 4, 0x12);
    set(bus, DEV(3), at + 12, 2, 0x4143);
    set(bus, DEV(3), at + 2, 2, 0x0021);
    send(bus, 2);
    cr_assert_eq(host.msis, 1);
    cr_assert_eq(host.msi_addr, UINT64_C(0x12fee01000));
    cr_assert_eq(host.msi_data, 0x4142);

    set(bus, DEV(3), at + 2, 2, 0x0001);
    send(bus, 2);
    cr_assert_eq(host.msi_data, 0x4143, "one vector granted: all share it");
}

Test(msi, more_vectors_than_wanted_are_not_granted)
{
    struct host host;
    unsigned at, unused;
    g_autoptr(DevemuDevice) bus = make_one(&host, &at, &unused);

    set(bus, DEV(3), at + 12, 2, 0x40);
    set(bus, DEV(3), at + 2, 2, 0x0071);
    send(bus, 255);

    cr_assert_eq(host.msis, 1);
    cr_assert_eq(host.msi_data, 0x43);
}

/* PCI 3.0 6.8.1.7, 6.8.1.8 */
Test(msi, a_masked_vector_is_pending_until_unmasked)
{
    struct host host;
    unsigned at, unused;
    g_autoptr(DevemuDevice) bus = make_one(&host, &at, &unused);

    set(bus, DEV(3), at + 12, 2, 0x40);
    set(bus, DEV(3), at + 2, 2, 0x0021);
    set(bus, DEV(3), at + 16, 4, 0xffffffff);
    cr_assert_eq(get(bus, DEV(3), at + 16, 4), 0xf);
    send(bus, 1);
    cr_assert_eq(host.msis, 0);
    cr_assert_eq(get(bus, DEV(3), at + 20, 4), 2);
    set(bus, DEV(3), at + 16, 4, 0xd);

    cr_assert_eq(host.msis, 1);
    cr_assert_eq(host.msi_data, 0x41);
    cr_assert_eq(get(bus, DEV(3), at + 20, 4), 0);
}

/* PCI 3.0 6.8.1.3: with MSI on the pin is silent. */
Test(msi, messages_replace_the_pin)
{
    struct host host;
    unsigned at, msix;
    g_autoptr(DevemuDevice) bus = make_one(&host, &at, &msix);

    out(bus, 0xc000 + TOY_LINE, 1, 1);
    cr_assert_neq(host.lines, 0);
    set(bus, DEV(3), at + 2, 2, 1);
    cr_assert_eq(host.lines, 0);
    set(bus, DEV(3), at + 2, 2, 0);
    cr_assert_neq(host.lines, 0);
    set(bus, DEV(3), msix + 2, 2, 0x8000);
    cr_assert_eq(host.lines, 0);
}

/* A message is a write by the function: PCI 3.0 6.2.2 bit 2. */
Test(msi, no_message_without_bus_mastering)
{
    struct host host;
    unsigned at, unused;
    g_autoptr(DevemuDevice) bus = make_one(&host, &at, &unused);

    set(bus, DEV(3), at + 2, 2, 1);
    set(bus, DEV(3), REG_COMMAND, 2, 3);
    send(bus, 0);

    cr_assert_eq(host.msis, 0);
}

/* --- MSI-X, PCI 3.0 6.8.2 */

Test(msix, capability_names_table_and_pba)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    cr_assert_eq(get(bus, DEV(3), at + 2, 2), 69);
    cr_assert_eq(get(bus, DEV(3), at + 4, 4), 1);
    cr_assert_eq(get(bus, DEV(3), at + 8, 4), 0x801);
}

Test(msix, entries_are_masked_after_reset)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    for (unsigned v = 0; v < 70; v++) {
        cr_assert_eq(table_get(bus, TABLE + 16 * v + 12, 4), 1);
        cr_assert_eq(table_get(bus, TABLE + 16 * v, 8), 0);
    }
    cr_assert_eq(table_get(bus, TABLE + 16 * 70 + 12, 4), 0, "behind the table");
}

Test(msix, an_unmasked_entry_sends_its_message)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    entry_set(bus, 69, UINT64_C(0x1fee00000), 0xabcd1234, 0);
    send(bus, 69);
    cr_assert_eq(host.msis, 0, "not enabled");
    set(bus, DEV(3), at + 2, 2, 0x8000);
    send(bus, 69);

    cr_assert_eq(host.msis, 1);
    cr_assert_eq(host.msi_addr, UINT64_C(0x1fee00000));
    cr_assert_eq(host.msi_data, 0xabcd1234);
}

/* PCI 3.0 6.8.3.5 */
Test(msix, masked_vectors_pend_and_are_sent_on_unmasking)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    set(bus, DEV(3), at + 2, 2, 0x8000);
    entry_set(bus, 65, 0xfee00000, 0x77, 1);
    send(bus, 65);
    send(bus, 65);
    cr_assert_eq(host.msis, 0);
    cr_assert_eq(table_get(bus, PBA, 8), 0);
    cr_assert_eq(table_get(bus, PBA + 8, 8), 2);
    table_set(bus, TABLE + 16 * 65 + 12, 4, 0);

    cr_assert_eq(host.msis, 1);
    cr_assert_eq(host.msi_data, 0x77);
    cr_assert_eq(table_get(bus, PBA + 8, 8), 0);
}

Test(msix, function_mask_holds_all_back)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    entry_set(bus, 0, 0xfee00000, 0x10, 0);
    entry_set(bus, 1, 0xfee00000, 0x11, 0);
    set(bus, DEV(3), at + 2, 2, 0xc000);
    send(bus, 0);
    send(bus, 1);
    cr_assert_eq(host.msis, 0);
    cr_assert_eq(table_get(bus, PBA, 4), 3);
    set(bus, DEV(3), at + 2, 2, 0x8000);

    cr_assert_eq(host.msis, 2);
    cr_assert_eq(table_get(bus, PBA, 4), 0);
}

Test(msix, vectors_beyond_the_table_are_lost)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    set(bus, DEV(3), at + 2, 2, 0x8000);
    send(bus, 70);
    send(bus, 255);

    cr_assert_eq(host.msis, 0);
    cr_assert_eq(table_get(bus, PBA + 8, 8), 0);
}

/* Any width, anywhere (6.8.2 calls it undefined): no harm, and bytes are bytes. */
Test(msix, table_takes_any_width)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    for (unsigned i = 0; i < 12; i++) {
        table_set(bus, TABLE + i, 1, 0x10 * (i & 15) + 0xc);
    }
    cr_assert_eq(table_get(bus, TABLE, 8), UINT64_C(0x7c6c5c4c3c2c1c0c));
    cr_assert_eq(table_get(bus, TABLE + 3, 2), 0x4c3c);
    for (uint64_t place = 0; place < 0x1000; place++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            table_set(bus, TABLE + place, size, UINT64_MAX);
            table_get(bus, TABLE + place, size);
        }
    }
    cr_assert_eq(table_get(bus, PBA, 8), 0, "read-only");
}

Test(msix, disabling_forgets_what_pends)
{
    struct host host;
    unsigned unused, at;
    g_autoptr(DevemuDevice) bus = make_one(&host, &unused, &at);

    set(bus, DEV(3), at + 2, 2, 0x8000);
    send(bus, 3);
    set(bus, DEV(3), at + 2, 2, 0);
    table_set(bus, TABLE + 16 * 3 + 12, 4, 0);
    set(bus, DEV(3), at + 2, 2, 0x8000);

    cr_assert_eq(host.msis, 0);
    cr_assert_eq(table_get(bus, PBA, 8), 0);
}
