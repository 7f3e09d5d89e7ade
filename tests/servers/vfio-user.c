/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.c: the vfio-user server by its messages: negotiation, regions, and a stream that is not
 * what it should be. "spec" is QEMU's docs/interop/vfio-user.rst.
 */
#define _GNU_SOURCE
#include "../buses/pci/toy.h"
#include "vfio-client.h"

#define BAR0   VFIO_REGION_BAR0
#define CONFIG VFIO_REGION_CONFIG

static void decode(Client *c)
{
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
}

Test(vfio_user, first_message_is_answered_with_version_and_capabilities)
{
    Client *c = client_new(make(&toy_model, NULL), "");

    cr_assert_eq(client_version(c, "{\"capabilities\":{\"max_msg_fds\":16}}"), 0);

    cr_assert_eq(vfio_get16(client_payload(c)), 0);
    cr_assert_eq(vfio_get16(client_payload(c) + 2), 0);
    cr_assert_eq(c->reply[c->reply_len - 1], 0);
    cr_assert_not_null(strstr((const char *)client_payload(c) + 4, "{\"capabilities\":{"));
    client_free(c);
}

Test(vfio_user, device_info_has_nine_regions_and_five_interrupt_types)
{
    Client *c = client_ready(make(&toy_model, NULL));
    uint8_t payload[16] = {16};

    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_INFO, payload, 16), 0);

    cr_assert_eq(vfio_get32(client_payload(c)), 16);
    cr_assert_eq(vfio_get32(client_payload(c) + 4), 3);
    cr_assert_eq(vfio_get32(client_payload(c) + 8), 9);
    cr_assert_eq(vfio_get32(client_payload(c) + 12), 5);
    client_free(c);
}

Test(vfio_user, configuration_space_is_read_whole_in_one_message)
{
    Client *c = client_ready(make(&toy_model, NULL));

    cr_assert_eq(client_read_bytes(c, CONFIG, 0, 256), 0);

    cr_assert_eq(devemu_le32(client_payload(c) + 16), 0x56781234);
    cr_assert_eq(client_payload(c)[16 + TOY_CONFIG_BYTE], 0x5a);
    client_free(c);
}

Test(vfio_user, posted_writes_are_done_before_the_read_behind_them)
{
    Client *c = client_ready(make(&toy_model, NULL));

    decode(c);
    for (unsigned i = 1; i <= 1000; i++) {
        client_post(c, BAR0, TOY_VALUE, 4, i);
    }
    cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), 1000);
    client_free(c);
}

Test(vfio_user, dma_goes_through_memory_that_the_client_gave)
{
    Client *c = client_ready(make(&toy_model, NULL));
    Memory ram = memory_new(0x10000, F_SEAL_SHRINK);

    decode(c);
    cr_assert_eq(client_map(c, 0x100000, 0x10000, ram.fd, 0, 3), 0);
    client_write(c, BAR0, TOY_ADDR, 4, 0x100010);
    client_write(c, BAR0, TOY_WRITE, 4, 0xcafe1234);
    cr_assert_eq(client_read(c, BAR0, TOY_STATUS, 1), 1);
    cr_assert_eq(devemu_le32(ram.data + 0x10), 0xcafe1234);
    cr_assert_eq(client_unmap(c, 0x100000, 0x10000, 0), 0);
    client_write(c, BAR0, TOY_WRITE, 4, 0);
    cr_assert_eq(client_read(c, BAR0, TOY_STATUS, 1), 0);
    cr_assert_eq(devemu_le32(ram.data + 0x10), 0xcafe1234);
    memory_free(&ram);
    client_free(c);
}
