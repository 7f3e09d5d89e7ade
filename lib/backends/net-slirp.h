/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-slirp.h: the options of the slirp network, as libslirp wants them.
 */
#ifndef DEVEMU_BACKENDS_NET_SLIRP_H
#define DEVEMU_BACKENDS_NET_SLIRP_H

#include "net.h"

#include <netinet/in.h>
#include <slirp/libslirp.h>

typedef struct SlirpOptions {
    bool ipv4, ipv6, restricted, host_loopback, dhcp, resolve;
    char *network, *host, *dns, *dhcpstart;
    char *network6, *host6, *dns6;
    char *hostname, *domainname, *tftp, *bootfile, *tftp_server;
    GPtrArray *dnssearch, *hostfwd;
    const char **search; /* dnssearch as libslirp wants it */
    uint64_t mtu, mru, queue_bytes;
} SlirpOptions;

/* Clear with slirp_options_clear(), also after a failure. */
bool slirp_options_parse(SlirpOptions *options, const DevemuSetting *settings, GError **error);
void slirp_options_clear(SlirpOptions *options);
/* Texts in the configuration belong to options. */
bool slirp_options_config(SlirpOptions *options, SlirpConfig *ret_config, GError **error);
/* One hostfwd=, set up. */
bool slirp_options_forward(Slirp *slirp, const char *text, GError **error);

#endif
