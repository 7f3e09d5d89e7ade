/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-null.c: a cable that ends nowhere.
 */
#include "net.h"

static bool null_send(DevemuNet *net, const DevemuNetOffload *offload, const uint8_t *data,
                      size_t len)
{
    (void)net;
    (void)offload;
    (void)data;
    (void)len;
    return true;
}

static const NetClass null_class = {
    .name = "null",
    .send = null_send,
    .offloads = net_takes_all,
};

DevemuNet *devemu_net_null_new(void)
{
    return net_new(sizeof(DevemuNet), &null_class);
}
