/* SPDX-License-Identifier: BSD-3-Clause */
/* The debug console port, against what SeaBIOS and Bochs BIOS do with it. */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_debugcon;

Test(debugcon, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_debugcon, NULL), 0);
}

Test(debugcon, a_written_byte_goes_out)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_debugcon, NULL, 0);

    for (const char *p = "Hello\n"; *p; p++) {
        devemu_fake_write(fake, 0, 0, 1, (uint8_t)*p);
    }

    cr_assert_str_eq(devemu_fake_output(fake), "Hello\n");
}

/* SeaBIOS debug_preinit(): no E9h, no output. */
Test(debugcon, a_read_tells_that_the_port_is_there)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_debugcon, NULL, 0);
    g_autoptr(DevemuFake) other = devemu_fake_new(&devemu_model_debugcon, "readback=0x5a", 0);

    cr_assert_eq(devemu_fake_read(fake, 0, 0, 1), 0xe9);
    cr_assert_eq(devemu_fake_read(other, 0, 0, 1), 0x5a);
}

Test(debugcon, an_impossible_readback_is_refused)
{
    g_autoptr(GError) error = NULL;
    DevemuDevice *dev = devemu_device_new(&devemu_model_debugcon, "readback=256", &error);

    cr_assert_null(dev);
    cr_assert_not_null(strstr(error->message, "readback"));
}
