/* SPDX-License-Identifier: BSD-3-Clause */
/* Keyboard and mouse, against IBM's technical reference ("KB", "MS") and Microsoft's IntelliMouse
 * ("IM"), through a controller that does not translate. */
#include "keyboard.h"

#define MS UINT64_C(1000000)

static DevemuFake *plain(void)
{
    return ready_with(NULL, 0x03);
}

static void press(DevemuFake *fake, unsigned code)
{
    key(fake, code, true);
    key(fake, code, false);
}

static void mouse(DevemuFake *fake, uint8_t byte)
{
    command2(fake, 0xd4, byte);
}

/* Takes the answer, which must be an acknowledgement. */
static void mouse_ack(DevemuFake *fake, uint8_t byte)
{
    mouse(fake, byte);
    cr_assert_eq(data(fake), 0xfa);
    devemu_fake_advance(fake, 1000);
}

static void mouse_rate(DevemuFake *fake, uint8_t rate)
{
    mouse_ack(fake, 0xf3);
    mouse_ack(fake, rate);
}

/* --- keyboard: codes --------------------------------------------------------------- */

/* KB "Scan Code Set 2". */
Test(ps2_keyboard, keys_have_codes_of_set_2)
{
    g_autoptr(DevemuFake) fake = plain();

    press(fake, KEY_A);
    assert_bytes(fake, "1c f0 1c");
    press(fake, KEY_UP);
    assert_bytes(fake, "e0 75 e0 f0 75");
    press(fake, KEY_RIGHTCTRL);
    assert_bytes(fake, "e0 14 e0 f0 14");
    press(fake, KEY_KP7);
    assert_bytes(fake, "6c f0 6c");
    press(fake, 255);
    press(fake, 0);
    press(fake, 4000);
    assert_bytes(fake, "");
}

/* KB set 2, keys 124 and 126. */
Test(ps2_keyboard, print_screen_and_pause_have_sequences)
{
    g_autoptr(DevemuFake) fake = plain();

    press(fake, KEY_SYSRQ);
    assert_bytes(fake, "e0 12 e0 7c e0 f0 7c e0 f0 12");
    key(fake, KEY_LEFTSHIFT, true);
    press(fake, KEY_SYSRQ);
    key(fake, KEY_LEFTSHIFT, false);
    assert_bytes(fake, "12 e0 7c e0 f0 7c f0 12");
    key(fake, KEY_LEFTALT, true);
    press(fake, KEY_SYSRQ);
    key(fake, KEY_LEFTALT, false);
    assert_bytes(fake, "11 84 f0 84 f0 11");
    press(fake, KEY_PAUSE);
    assert_bytes(fake, "e1 14 77 e1 f0 14 f0 77");
    key(fake, KEY_LEFTCTRL, true);
    press(fake, KEY_PAUSE);
    key(fake, KEY_LEFTCTRL, false);
    assert_bytes(fake, "14 e0 7e e0 f0 7e f0 14");
}

/* KB command F0h. */
Test(ps2_keyboard, sets_are_chosen_and_asked_for)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xf0);
    assert_bytes(fake, "fa");
    put(fake, 0x00);
    assert_bytes(fake, "fa 02");
    put(fake, 0xf0);
    assert_bytes(fake, "fa");
    put(fake, 0x01);
    assert_bytes(fake, "fa");
    press(fake, KEY_A);
    press(fake, KEY_UP);
    press(fake, KEY_PAUSE);
    assert_bytes(fake, "1e 9e e0 48 e0 c8 e1 1d 45 e1 9d c5");
}

/* KB "Scan Code Set 3": by default letters make, Shift makes and breaks, F1 only makes. */
Test(ps2_keyboard, set_3_has_types_of_keys)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xf0);
    assert_bytes(fake, "fa");
    put(fake, 0x03);
    assert_bytes(fake, "fa");
    press(fake, KEY_A);
    press(fake, KEY_LEFTSHIFT);
    press(fake, KEY_F1);
    assert_bytes(fake, "1c 12 f0 12 07");
    put(fake, 0xfa);
    assert_bytes(fake, "fa");
    press(fake, KEY_A);
    assert_bytes(fake, "1c f0 1c");
}

/* KB commands FBh to FDh: a list of keys, ended by a command. */
Test(ps2_keyboard, types_of_single_keys_can_be_set)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xf0);
    assert_bytes(fake, "fa");
    put(fake, 0x03);
    assert_bytes(fake, "fa");
    put(fake, 0xfc);
    assert_bytes(fake, "fa");
    put(fake, 0x1c);
    assert_bytes(fake, "fa");
    put(fake, 0x1b);
    assert_bytes(fake, "fa");
    put(fake, 0xf4);
    assert_bytes(fake, "fa");
    press(fake, KEY_A);
    press(fake, KEY_S);
    assert_bytes(fake, "1c f0 1c 1b f0 1b");
}

/* --- keyboard: typematic ----------------------------------------------------------- */

/* KB "Typematic": by default after 500 ms, then 10.9 times a second; release ends it. */
Test(ps2_keyboard, a_held_key_repeats)
{
    g_autoptr(DevemuFake) fake = plain();

    key(fake, KEY_A, true);
    cr_assert_eq(data(fake), 0x1c);
    devemu_fake_advance(fake, 500 * MS - 1);
    cr_assert_eq(status(fake) & OBF, 0);
    devemu_fake_advance(fake, 1);
    cr_assert_eq(data(fake), 0x1c);
    devemu_fake_advance(fake, 91 * MS);
    cr_assert_eq(status(fake) & OBF, 0);
    devemu_fake_advance(fake, MS);
    cr_assert_eq(data(fake), 0x1c);
    key(fake, KEY_A, false);
    assert_bytes(fake, "f0 1c");
    devemu_fake_advance(fake, 2000 * MS);
    assert_bytes(fake, "");
}

/* KB command F3h: 250 ms and 30 a second. */
Test(ps2_keyboard, typematic_rate_and_delay_can_be_set)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xf3);
    assert_bytes(fake, "fa");
    put(fake, 0x00);
    assert_bytes(fake, "fa");
    key(fake, KEY_A, true);
    cr_assert_eq(data(fake), 0x1c);
    devemu_fake_advance(fake, 250 * MS);
    cr_assert_eq(data(fake), 0x1c);
    devemu_fake_advance(fake, 34 * MS);
    cr_assert_eq(data(fake), 0x1c);
}

/* KB "Typematic": while nobody reads, repeats are not stored. */
Test(ps2_keyboard, repeats_do_not_fill_the_buffer)
{
    g_autoptr(DevemuFake) fake = plain();

    key(fake, KEY_A, true);
    devemu_fake_advance(fake, 10000 * MS);
    key(fake, KEY_A, false);
    assert_bytes(fake, "1c 1c f0 1c");
}

/* KB "Typematic": the key pressed last repeats. */
Test(ps2_keyboard, the_last_key_repeats)
{
    g_autoptr(DevemuFake) fake = plain();

    key(fake, KEY_A, true);
    key(fake, KEY_S, true);
    assert_bytes(fake, "1c 1b");
    key(fake, KEY_A, false);
    assert_bytes(fake, "f0 1c");
    devemu_fake_advance(fake, 500 * MS);
    cr_assert_eq(data(fake), 0x1b);
}

/* --- keyboard: buffer and commands ------------------------------------------------- */

/* KB "Keyboard Buffer": 16 bytes, then 00h; a sequence is in whole or not at all. */
Test(ps2_keyboard, a_full_buffer_ends_in_an_overrun_code)
{
    g_autoptr(DevemuFake) fake = ready_with(NULL, 0x13);

    for (unsigned i = 0; i < 5; i++) {
        press(fake, KEY_A);
    }
    key(fake, KEY_UP, true); /* two bytes for one place */
    press(fake, KEY_S);
    command(fake, 0xae);

    assert_bytes(fake, "1c f0 1c 1c f0 1c 1c f0 1c 1c f0 1c 1c f0 1c 00");
}

/* KB command EDh, and the lamps. */
Test(ps2_keyboard, leds)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xed);
    assert_bytes(fake, "fa");
    put(fake, 0x05);
    assert_bytes(fake, "fa");
    cr_assert(devemu_fake_line(fake, LED_SCROLL));
    cr_assert_not(devemu_fake_line(fake, LED_NUM));
    cr_assert(devemu_fake_line(fake, LED_CAPS));
}

/* KB command EDh: a command in the place of the option is a command. */
Test(ps2_keyboard, a_command_ends_the_wait_for_an_option)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xed);
    assert_bytes(fake, "fa");
    key(fake, KEY_A, true);
    assert_bytes(fake, "");
    put(fake, 0xee);
    assert_bytes(fake, "ee");
    press(fake, KEY_S);
    assert_bytes(fake, "1b f0 1b");
}

/* KB commands EEh, F2h, FFh. */
Test(ps2_keyboard, echo_identity_and_reset)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xee);
    assert_bytes(fake, "ee");
    put(fake, 0xf2);
    assert_bytes(fake, "fa ab 83");
    put(fake, 0xff);
    assert_bytes(fake, "fa aa");
}

/* KB commands F4h, F5h, F6h. */
Test(ps2_keyboard, scanning_is_switched)
{
    g_autoptr(DevemuFake) fake = plain();

    put(fake, 0xf5);
    assert_bytes(fake, "fa");
    press(fake, KEY_A);
    assert_bytes(fake, "");
    put(fake, 0xf6);
    assert_bytes(fake, "fa");
    press(fake, KEY_A);
    assert_bytes(fake, "");
    put(fake, 0xf4);
    assert_bytes(fake, "fa");
    press(fake, KEY_A);
    assert_bytes(fake, "1c f0 1c");
}

/* KB command FEh, and the answer to what is no command. */
Test(ps2_keyboard, resend)
{
    g_autoptr(DevemuFake) fake = plain();

    key(fake, KEY_A, true);
    assert_bytes(fake, "1c");
    put(fake, 0xfe);
    assert_bytes(fake, "1c");
    put(fake, 0x0f);
    assert_bytes(fake, "fe");
    put(fake, 0xfe);
    assert_bytes(fake, "1c");
}

/* --- mouse ------------------------------------------------------------------------- */

/* MS command FFh. */
Test(ps2_mouse, reset_tells_of_the_self_test_and_the_identity)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xff);

    assert_bytes(fake, "mfa maa m00");
}

/* MS "Data Packet Format": y grows upwards. */
Test(ps2_mouse, stream_mode_sends_packets_of_three_bytes)
{
    g_autoptr(DevemuFake) fake = plain();

    move(fake, 9, 9, 0);
    assert_bytes(fake, "");
    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 5, 3, 0);
    assert_bytes(fake, "m28 m05 mfd");
    move(fake, -2, -7, 0);
    devemu_fake_advance(fake, 10 * MS);
    assert_bytes(fake, "m18 mfe m07");
    button(fake, 0, true);
    assert_bytes(fake, "m09 m00 m00");
    button(fake, 1, true);
    button(fake, 2, true);
    devemu_fake_advance(fake, 10 * MS);
    assert_bytes(fake, "m0f m00 m00");
    button(fake, 9, true);
    assert_bytes(fake, "");
}

/* MS "Stream Mode": a packet in a sample; what moves between is added up. */
Test(ps2_mouse, the_sample_rate_bounds_packets)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 1, 0, 0);
    move(fake, 2, 0, 0);
    move(fake, 3, 0, 0);
    assert_bytes(fake, "m08 m01 m00");
    devemu_fake_advance(fake, 10 * MS);
    assert_bytes(fake, "m08 m05 m00");
}

/* A click shorter than a sample is not lost. */
Test(ps2_mouse, a_short_click_is_seen)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 1, 0, 0);
    button(fake, 1, true);
    button(fake, 1, false);
    devemu_fake_advance(fake, 10 * MS);
    assert_bytes(fake, "m08 m01 m00 m0a m00 m00");
    devemu_fake_advance(fake, 10 * MS);
    assert_bytes(fake, "m08 m00 m00");
}

/* Chosen: what one packet cannot hold comes with the next. */
Test(ps2_mouse, long_ways_take_several_packets)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse_rate(fake, 200);
    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 300, 0, 0);
    assert_bytes(fake, "m08 mff m00 m08 m2d m00");
}

/* MS commands E6h, E7h. */
Test(ps2_mouse, scaling_2_1)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xe7);
    assert_bytes(fake, "mfa");
    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 4, 7, 0);
    assert_bytes(fake, "m28 m06 mf2");
}

/* MS commands F0h, EBh: in remote mode only when asked, and not scaled. */
Test(ps2_mouse, remote_mode_waits_to_be_asked)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xe7);
    assert_bytes(fake, "mfa");
    mouse(fake, 0xf0);
    assert_bytes(fake, "mfa");
    move(fake, 4, 0, 0);
    assert_bytes(fake, "");
    mouse(fake, 0xeb);
    assert_bytes(fake, "mfa m08 m04 m00");
    mouse(fake, 0xea);
    assert_bytes(fake, "mfa");
}

/* MS commands EEh, ECh. */
Test(ps2_mouse, wrap_mode_echoes)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xee);
    assert_bytes(fake, "mfa");
    mouse(fake, 0x42);
    assert_bytes(fake, "m42");
    mouse(fake, 0xf4);
    assert_bytes(fake, "mf4");
    mouse(fake, 0xec);
    assert_bytes(fake, "mfa");
    mouse(fake, 0xf2);
    assert_bytes(fake, "mfa m00");
}

/* MS command E9h. */
Test(ps2_mouse, status_request)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xe9);
    assert_bytes(fake, "mfa m00 m02 m64");
    mouse_rate(fake, 40);
    mouse(fake, 0xe8);
    assert_bytes(fake, "mfa");
    mouse(fake, 0x03);
    assert_bytes(fake, "mfa");
    mouse(fake, 0xe7);
    assert_bytes(fake, "mfa");
    button(fake, 0, true);
    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    mouse(fake, 0xe9);
    assert_bytes(fake, "mfa m34 m03 m28");
    mouse(fake, 0xf6);
    assert_bytes(fake, "mfa");
    mouse(fake, 0xe9);
    assert_bytes(fake, "mfa m04 m02 m64");
}

/* IM: 200, 100, 80 turn the wheel on; towards the user is positive. */
Test(ps2_mouse, the_knock_turns_the_wheel_on)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse_rate(fake, 200);
    mouse_rate(fake, 100);
    mouse_rate(fake, 80);
    mouse(fake, 0xf2);
    assert_bytes(fake, "mfa m03");
    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 0, 0, 1);
    assert_bytes(fake, "m08 m00 m00 mff");
    move(fake, 0, 0, -2);
    devemu_fake_advance(fake, 20 * MS);
    assert_bytes(fake, "m08 m00 m00 m02");
    mouse(fake, 0xff);
    assert_bytes(fake, "mfa maa m00");
}

Test(ps2_mouse, another_knock_does_not)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse_rate(fake, 200);
    mouse_rate(fake, 80);
    mouse_rate(fake, 80);
    mouse(fake, 0xf2);
    assert_bytes(fake, "mfa m00");
}

/* MS "Error Handling": Resend for the first bad byte, Error for the second. */
Test(ps2_mouse, bad_bytes)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0x77);
    assert_bytes(fake, "mfe");
    mouse(fake, 0x77);
    assert_bytes(fake, "mfc");
    mouse(fake, 0xf3);
    assert_bytes(fake, "mfa");
    mouse(fake, 0x63);
    assert_bytes(fake, "mfe");
    mouse(fake, 0x64);
    assert_bytes(fake, "mfa");
}

/* MS command FEh: the last packet again. */
Test(ps2_mouse, resend_repeats_the_packet)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 5, 0, 0);
    assert_bytes(fake, "m08 m05 m00");
    mouse(fake, 0xfe);
    assert_bytes(fake, "m08 m05 m00");
}

/* A command in the middle of a packet gives the rest up. */
Test(ps2_mouse, a_command_stops_a_packet)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 5, 6, 0);
    cr_assert_eq(data(fake), 0x28);
    mouse(fake, 0xf5);
    assert_bytes(fake, "mfa");
}

/* Mouse and keyboard take turns at one output buffer. */
Test(ps2_mouse, both_devices_share_the_buffer)
{
    g_autoptr(DevemuFake) fake = plain();

    mouse(fake, 0xf4);
    assert_bytes(fake, "mfa");
    move(fake, 1, 0, 0);
    press(fake, KEY_A);
    assert_bytes(fake, "m08 1c f0 1c m01 m00");
}
