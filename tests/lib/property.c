/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings by name: what is taken, and the sentence for what is not. */
#include "toy.h"

#include <criterion/criterion.h>

static void refused(const char *options, const char *sentence)
{
    g_autoptr(GError) error = NULL;
    DevemuDevice *dev = devemu_device_new(&devemu_model_toy, options, &error);

    cr_assert_null(dev);
    cr_assert(g_error_matches(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION) ||
              g_error_matches(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE));
    cr_assert_str_eq(error->message, sentence);
}

Test(property, every_type_is_read)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(
        &devemu_model_toy, "mode=fast,mac=00:11:22:aa:BB:cc,text=a,,b,number=2K,flag", NULL);
    const struct toy *toy = devemu_device_state(dev);

    cr_assert_eq(toy->mode, 1);
    cr_assert_arr_eq(toy->mac, "\x00\x11\x22\xaa\xbb\xcc", 6);
    cr_assert_str_eq(toy->text, "a,b");
    cr_assert_eq(toy->number, 2048);
    cr_assert(toy->flag);
}

Test(property, defaults_come_from_the_row)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);
    const struct toy *toy = devemu_device_state(dev);

    cr_assert_eq(toy->number, 7);
    cr_assert_eq(toy->mac[0], 0x52);
}

Test(property, a_blob_can_be_data)
{
    const DevemuSetting setting = {.name = "blob", .data = "abc", .len = 3};
    g_autoptr(DevemuDevice) dev = devemu_device_new_with(&devemu_model_toy, &setting, 1, NULL);
    const struct toy *toy = devemu_device_state(dev);

    cr_assert_eq(toy->blob.len, 3);
    cr_assert_arr_eq(toy->blob.data, "abc", 3);
}

Test(property, mistakes_are_one_sentence_that_names_the_property)
{
    refused("colour=red",
            "toy has no property 'colour'; it has: mode, mac, text, blob, number, flag");
    refused("mode=slowly", "toy: property 'mode' is 'slowly', but must be one of: slow, fast");
    refused("mac=1:2:3", "toy: property 'mac' is '1:2:3', but must be a MAC address like "
                         "52:54:00:12:34:56");
    refused("number=0", "toy: property 'number' is '0', but must be a number from 1 to 65536");
    refused("number=-1", "toy: property 'number' is '-1', but must be a number from 1 to 65536");
    refused("number=9x", "toy: property 'number' is '9x', but must be a number from 1 to 65536");
    refused("number=99999999999999999999G", "toy: property 'number' is '99999999999999999999G', "
                                            "but must be a number from 1 to 65536");
    refused("flag=maybe", "toy: property 'flag' is 'maybe', but must be on or off");
    refused("text=12345678", "toy: property 'text' is '12345678', but must be at most 7 characters "
                             "long");
    refused("blob=no/such/file",
            "toy: property 'blob': Failed to open file “no/such/file”: No such "
            "file or directory");
    refused("=5", "options '=5': a property has no name; write name=value,name=value");
}

Test(property, a_blob_of_the_wrong_size_is_refused)
{
    static const uint8_t big[65];
    const DevemuSetting setting = {.name = "blob", .data = big, .len = sizeof(big)};
    g_autoptr(GError) error = NULL;

    cr_assert_null(devemu_device_new_with(&devemu_model_toy, &setting, 1, &error));
    cr_assert_str_eq(error->message,
                     "toy: property 'blob': the data has 65 bytes, but must have from 0 to 64");
}

Test(property, a_number_is_decimal_unless_it_begins_with_0x)
{
    g_autoptr(DevemuDevice) ten = devemu_device_new(&devemu_model_toy, "number=010", NULL);
    g_autoptr(DevemuDevice) sixteen = devemu_device_new(&devemu_model_toy, "number=0x10", NULL);

    cr_assert_eq(((struct toy *)devemu_device_state(ten))->number, 10);
    cr_assert_eq(((struct toy *)devemu_device_state(sixteen))->number, 16);
}
