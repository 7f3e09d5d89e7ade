/* SPDX-License-Identifier: BSD-3-Clause */
/* The keyboard and auxiliary device controller, against IBM's technical reference ("HITR"), with
 * what SeaBIOS and Linux i8042 do. The devices on the cables have tests of their own in ps2.c. */
#include "keyboard.h"

#define MS 1000000

Test(i8042, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_i8042, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_i8042, "latency=datasheet,mouse=off"), 0);
}

/* HITR commands AAh, ABh, A9h; status bit 2. */
Test(i8042, self_test_and_interface_tests)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8042, NULL, 0);

    cr_assert_eq(status(fake), INH);
    command(fake, 0xaa);
    cr_assert_eq(status(fake), INH | CMD | SYS | OBF);
    cr_assert_eq(data(fake), 0x55);
    command(fake, 0xab);
    cr_assert_eq(data(fake), 0x00);
    command(fake, 0xa9);
    cr_assert_eq(data(fake), 0x00);
    cr_assert_eq(status(fake), INH | CMD | SYS);
}

/* HITR commands 20h to 3Fh, 60h to 7Fh. */
Test(i8042, the_ram_is_read_and_written)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8042, NULL, 0);

    command2(fake, 0x60, 0x47);
    command2(fake, 0x7f, 0x99);
    command(fake, 0x20);
    cr_assert_eq(data(fake), 0x47);
    command(fake, 0x3f);
    cr_assert_eq(data(fake), 0x99);
}

/* HITR commands A7h, A8h, ADh, AEh set and clear bits of the command byte. */
Test(i8042, interfaces_are_switched)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x00);

    command(fake, 0xa7);
    command(fake, 0xad);
    command(fake, 0x20);
    cr_assert_eq(data(fake), 0x30);
    command(fake, 0xa8);
    command(fake, 0xae);
    command(fake, 0x20);
    cr_assert_eq(data(fake), 0x00);
}

/* HITR "Output Port"; D0h, D1h. At reset all of its bits are one. */
Test(i8042, the_output_port_gates_a20)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8042, NULL, 0);

    cr_assert(devemu_fake_line(fake, A20));
    command2(fake, 0xd1, 0xdd);
    cr_assert_not(devemu_fake_line(fake, A20));
    command(fake, 0xd0);
    cr_assert_eq(data(fake) & 0x03, 0x01);
    command2(fake, 0xd1, 0xdf);
    cr_assert(devemu_fake_line(fake, A20));
    command(fake, 0xdd);
    cr_assert_not(devemu_fake_line(fake, A20));
    command(fake, 0xdf);
    cr_assert(devemu_fake_line(fake, A20));
}

/* HITR commands F0h to FFh: bits that are 0 pulse for about 6 us. FEh resets, FFh does nothing. */
Test(i8042, fe_pulses_reset)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8042, NULL, 0);

    command(fake, 0xff);
    cr_assert_not(devemu_fake_line(fake, RESET));
    command(fake, 0xfe);
    cr_assert(devemu_fake_line(fake, RESET));
    cr_assert(devemu_fake_line(fake, A20));
    devemu_fake_advance(fake, 5999);
    cr_assert(devemu_fake_line(fake, RESET));
    devemu_fake_advance(fake, 1);
    cr_assert_not(devemu_fake_line(fake, RESET));
}

/* HITR "Output Port" bit 0: held as long as it is 0. */
Test(i8042, the_output_port_holds_reset)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8042, NULL, 0);

    command2(fake, 0xd1, 0xde);
    devemu_fake_advance(fake, MS);
    cr_assert(devemu_fake_line(fake, RESET));
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert_not(devemu_fake_line(fake, RESET));
}

/* HITR command byte bit 0: IRQ1 with the output buffer full, until 60h is read. */
Test(i8042, a_byte_raises_irq1_until_it_is_read)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x01);

    key(fake, KEY_A, true);
    cr_assert(devemu_fake_line(fake, IRQ1));
    cr_assert_not(devemu_fake_line(fake, IRQ12));
    cr_assert_eq(status(fake) & (OBF | AOBF), OBF);
    cr_assert_eq(data(fake), 0x1c);
    cr_assert_not(devemu_fake_line(fake, IRQ1));
    cr_assert_eq(status(fake) & OBF, 0);
}

/* An edge for every byte: the line falls between two. */
Test(i8042, bytes_in_a_row_give_edges)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x01);

    key(fake, KEY_A, true);
    key(fake, KEY_A, false);
    cr_assert_eq(data(fake), 0x1c);
    cr_assert_not(devemu_fake_line(fake, IRQ1));
    devemu_fake_advance(fake, 1000);
    cr_assert(devemu_fake_line(fake, IRQ1));
    cr_assert_eq(data(fake), 0xf0);
    devemu_fake_advance(fake, 1000);
    cr_assert_eq(data(fake), 0x1c);
}

/* HITR command D4h and command byte bit 1: the mouse has IRQ12, and status bit 5. */
Test(i8042, the_mouse_answers_through_irq12)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x03);

    command2(fake, 0xd4, 0xf2);
    cr_assert(devemu_fake_line(fake, IRQ12));
    cr_assert_not(devemu_fake_line(fake, IRQ1));
    cr_assert_eq(status(fake) & (OBF | AOBF), OBF | AOBF);
    assert_bytes(fake, "mfa m00");
}

/* HITR commands D2h, D3h; Linux i8042_check_aux() looks for the byte, its flag and its interrupt.
 */
Test(i8042, bytes_can_be_put_into_the_output_buffer)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x33);

    command2(fake, 0xd3, 0xa5);
    cr_assert(devemu_fake_line(fake, IRQ12));
    cr_assert_eq(status(fake) & (OBF | AOBF), OBF | AOBF);
    cr_assert_eq(data(fake), 0xa5);
    command2(fake, 0xd2, 0x5a);
    cr_assert(devemu_fake_line(fake, IRQ1));
    cr_assert_eq(status(fake) & (OBF | AOBF), OBF);
    cr_assert_eq(data(fake), 0x5a);
}

/* HITR command byte bit 6: set 2 in, set 1 out; F0h becomes bit 7; replies pass, but 83h of the
 * identification becomes 41h. */
Test(i8042, translation)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x41);

    key(fake, KEY_A, true);
    key(fake, KEY_A, false);
    key(fake, KEY_UP, true);
    key(fake, KEY_UP, false);
    key(fake, KEY_F7, true);
    key(fake, KEY_F7, false);
    assert_bytes(fake, "1e 9e e0 48 e0 c8 41 c1");
    put(fake, 0xf2);
    assert_bytes(fake, "fa ab 41");
}

/* HITR command byte bits 4, 5: a closed interface lets nothing through, and loses nothing. */
Test(i8042, a_closed_interface_holds_bytes)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x11);

    key(fake, KEY_A, true);
    assert_bytes(fake, "");
    command(fake, 0xae);
    assert_bytes(fake, "1c");
}

Test(i8042, a_byte_for_a_device_opens_its_interface)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x30);

    put(fake, 0xee);
    assert_bytes(fake, "ee");
    command2(fake, 0xd4, 0xf2);
    assert_bytes(fake, "mfa m00");
    command(fake, 0x20);
    cr_assert_eq(data(fake) & 0x30, 0);
}

/* HITR status bit 6: nobody there. */
Test(i8042, a_missing_mouse_times_out)
{
    g_autoptr(DevemuFake) fake = ready_with("mouse=off", 0x03);

    command2(fake, 0xd4, 0xf2);
    cr_assert_eq(status(fake) & (OBF | AOBF | TO), OBF | AOBF | TO);
    cr_assert_eq(data(fake), 0xfe);
    move(fake, 1, 1, 1);
    button(fake, 0, true);
    assert_bytes(fake, "");
}

/* HITR commands A4h, C0h, E0h. */
Test(i8042, small_commands)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x20);

    command(fake, 0xa4);
    cr_assert_eq(data(fake), 0xf1);
    command(fake, 0xc0);
    cr_assert_eq(data(fake) & 0x80, 0x80);
    command(fake, 0xe0);
    cr_assert_eq(data(fake), 0x01);
}

Test(i8042, an_unknown_command_is_a_mistake_of_the_guest)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x20);

    command(fake, 0x80);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
    cr_assert_eq(status(fake) & OBF, 0);
}

/* HITR "Timing": a byte takes about a millisecond on the cable, each way; IBF stands meanwhile. */
Test(i8042, bytes_take_their_time)
{
    g_autoptr(DevemuFake) fake = ready_with("latency=datasheet", 0x01);

    put(fake, 0xee);
    cr_assert_eq(status(fake) & IBF, IBF);
    put(fake, 0xff);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
    devemu_fake_advance(fake, MS);
    cr_assert_eq(status(fake) & (IBF | OBF), 0);
    devemu_fake_advance(fake, MS - 1);
    cr_assert_not(devemu_fake_line(fake, IRQ1));
    devemu_fake_advance(fake, 1);
    cr_assert(devemu_fake_line(fake, IRQ1));
    cr_assert_eq(data(fake), 0xee);
}

/* The keyboard's self test takes half a second. */
Test(i8042, reset_of_the_keyboard_takes_its_time)
{
    g_autoptr(DevemuFake) fake = ready_with("latency=datasheet", 0x41);

    put(fake, 0xff);
    assert_bytes(fake, "fa");
    devemu_fake_advance(fake, 480 * (uint64_t)MS);
    cr_assert_eq(status(fake) & OBF, 0);
    devemu_fake_advance(fake, 20 * (uint64_t)MS);
    assert_bytes(fake, "aa");
}

/* What SeaBIOS ps2_keyboard_setup() does. */
Test(i8042, seabios_sets_the_keyboard_up)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8042, NULL, 0);

    command(fake, 0xaa);
    assert_bytes(fake, "55");
    command(fake, 0xab);
    assert_bytes(fake, "00");
    command2(fake, 0x60, 0x30);
    put(fake, 0xff);
    assert_bytes(fake, "fa aa");
    put(fake, 0xf5);
    assert_bytes(fake, "fa");
    put(fake, 0xf0);
    assert_bytes(fake, "fa");
    put(fake, 0x02);
    assert_bytes(fake, "fa");
    command2(fake, 0x60, 0x61);
    put(fake, 0xf4);
    assert_bytes(fake, "fa");
    key(fake, KEY_ESC, true);
    cr_assert(devemu_fake_line(fake, IRQ1));
    cr_assert_eq(data(fake), 0x01);
}

/* The reset wire goes to the controller, not along the cables. */
Test(i8042, a_hard_reset_leaves_the_keyboard_alone)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x01);

    put(fake, 0xed);
    put(fake, 0x04);
    assert_bytes(fake, "fa fa");
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert(devemu_fake_line(fake, LED_CAPS));
    cr_assert_eq(status(fake), INH);
}
