/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake-seen.c: what the fake host saw its device do.
 */
#include "fake.h"

const char *devemu_fake_port_output(const DevemuFake *fake, unsigned port)
{
    const GString *output = port < DEVEMU_PORTS ? fake->port_output[port] : NULL;

    return output ? output->str : "";
}

void devemu_fake_set_offloads(DevemuFake *fake, uint32_t offloads)
{
    fake->offloads = offloads;
}

const DevemuNetOffload *devemu_fake_sent_offload(const DevemuFake *fake, unsigned i)
{
    return i < fake->said->len ? &g_array_index(fake->said, DevemuNetOffload, i) : NULL;
}

unsigned devemu_fake_sent_count(const DevemuFake *fake)
{
    return fake->sent->len;
}

const uint8_t *devemu_fake_sent(const DevemuFake *fake, unsigned i, size_t *ret_len)
{
    gsize len = 0;
    const uint8_t *data = NULL;

    if (i < fake->sent->len) {
        data = g_bytes_get_data(g_ptr_array_index(fake->sent, i), &len);
    }
    if (ret_len) {
        *ret_len = len;
    }
    return data;
}

const char *devemu_fake_output(const DevemuFake *fake)
{
    return fake->output->str;
}

void devemu_fake_clear_sent(DevemuFake *fake)
{
    g_ptr_array_set_size(fake->sent, 0);
    g_array_set_size(fake->said, 0);
    g_string_truncate(fake->output, 0);
}

unsigned devemu_fake_readies(const DevemuFake *fake)
{
    return fake->readies;
}

unsigned devemu_fake_discards(const DevemuFake *fake, uint64_t *ret_addr, uint64_t *ret_len)
{
    *ret_addr = fake->discard_addr;
    *ret_len = fake->discard_len;
    return fake->discards;
}

unsigned devemu_fake_msis(const DevemuFake *fake, uint64_t *ret_addr, uint32_t *ret_data)
{
    if (ret_addr) {
        *ret_addr = fake->msi_addr;
    }
    if (ret_data) {
        *ret_data = fake->msi_data;
    }
    return fake->msis;
}

unsigned devemu_fake_guest_errors(const DevemuFake *fake)
{
    return fake->guest_errors;
}

const char *devemu_fake_last_log(const DevemuFake *fake)
{
    return fake->last_log;
}
