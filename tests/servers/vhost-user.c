/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user.c: the vhost-user server: negotiation, memory, rings. */
#define _GNU_SOURCE
#include "vhost-client.h"

#include <devemu/backends.h>

/* An entropy device, whose bytes are `fill`, counting. */
static DevemuChr *chr;

static DevemuDevice *rng_on(const char *options, GMainContext *context)
{
    DevemuDevice *dev = devemu_device_new(devemu_model_find("virtio-rng"), options, NULL);

    cr_assert_not_null(dev);
    chr = devemu_chr_new("memory", context, NULL);
    devemu_chr_attach(chr, dev);
    return dev;
}

static VhostClient *rng_client(uint64_t features, const char *options)
{
    return vc_start(rng_on(options, NULL), features);
}

static void rng_free(VhostClient *c)
{
    vc_free(c);
    g_clear_pointer(&chr, devemu_chr_free);
}

static void feed(const char *text)
{
    devemu_chr_put(chr, text, strlen(text));
}

Test(vhost_user, buffer_is_filled_used_and_signalled)
{
    VhostClient *c = rng_client(0, NULL);
    uint32_t id, len;

    vc_called(c, 0);
    vc_add(c, 0, VC_GUEST + VC_DATA, 64, true);
    vc_kick(c, 0);
    feed("hello");
    devemu_chr_run(chr);

    cr_assert(vc_used(c, 0, &id, &len), "%s", c->log->str);
    cr_assert_eq(id, 0);
    cr_assert_eq(len, 5);
    cr_assert_arr_eq(c->ram + VC_DATA, "hello", 5);
    cr_assert(vc_called(c, 0));
    rng_free(c);
}
