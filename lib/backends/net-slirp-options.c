/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-slirp-options.c: from text to SlirpConfig (version 4: libslirp 4.7) and port forwards.
 */
#define _DEFAULT_SOURCE
#include "net.h"

#ifdef DEVEMU_HAVE_SLIRP

#include "net-slirp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define MTU_MIN 68
#define MTU_MAX 65521
/* Of DHCP's fields (RFC 2131 2, RFC 2132 2). */
#define BOOTFILE_MAX 127
#define TEXT_MAX     255
#define HOSTNAME_MAX 32 /* libslirp's buffer */

#define TEXT(key, field)                                                                           \
    {                                                                                              \
        .name = (key), .type = OPTION_TEXT, .member = offsetof(SlirpOptions, field)                \
    }
#define LIST(key, field)                                                                           \
    {                                                                                              \
        .name = (key), .type = OPTION_LIST, .member = offsetof(SlirpOptions, field)                \
    }
#define BOOL(key, field)                                                                           \
    {                                                                                              \
        .name = (key), .type = OPTION_BOOL, .member = offsetof(SlirpOptions, field)                \
    }
#define SIZE(key, field)                                                                           \
    {                                                                                              \
        .name = (key), .type = OPTION_UINT, .member = offsetof(SlirpOptions, field),               \
        .min = MTU_MIN, .max = MTU_MAX                                                             \
    }

static const Option table[] = {
    BOOL("ipv4", ipv4),
    BOOL("ipv6", ipv6),
    TEXT("net", network),
    TEXT("host", host),
    TEXT("dns", dns),
    TEXT("dhcpstart", dhcpstart),
    TEXT("ipv6-net", network6),
    TEXT("ipv6-host", host6),
    TEXT("ipv6-dns", dns6),
    TEXT("hostname", hostname),
    TEXT("domainname", domainname),
    LIST("dnssearch", dnssearch),
    TEXT("tftp", tftp),
    TEXT("bootfile", bootfile),
    TEXT("tftp-server", tftp_server),
    BOOL("restrict", restricted),
    BOOL("host-loopback", host_loopback),
    BOOL("dhcp", dhcp),
    BOOL("resolve", resolve),
    LIST("hostfwd", hostfwd),
    SIZE("mtu", mtu),
    SIZE("mru", mru),
    NET_OPTION_QUEUE(SlirpOptions, queue_bytes),
    {.name = NULL},
};

bool slirp_options_parse(SlirpOptions *options, const DevemuSetting *settings, GError **error)
{
    *options = (SlirpOptions){
        .ipv4 = true,
        .ipv6 = true,
        .host_loopback = true,
        .dhcp = true,
        .resolve = true,
        .mtu = 1500,
        .mru = 1500,
        .queue_bytes = NET_QUEUE_BYTES,
    };
    return options_fill("slirp", table, settings, options, error);
}

void slirp_options_clear(SlirpOptions *options)
{
    g_clear_pointer(&options->search, g_free);
    options_clear(table, options);
}

/* --- addresses --------------------------------------------------------------------- */

static bool address4(const char *name, const char *text, struct in_addr *ret_address,
                     GError **error)
{
    return inet_pton(AF_INET, text, ret_address) == 1 ||
           options_refuse(error, "slirp: option %s is \"%s\"; it must be an IPv4 address", name,
                          text);
}

static bool address6(const char *name, const char *text, struct in6_addr *ret_address,
                     GError **error)
{
    return inet_pton(AF_INET6, text, ret_address) == 1 ||
           options_refuse(error, "slirp: option %s is \"%s\"; it must be an IPv6 address", name,
                          text);
}

/* "ADDRESS/BITS", in two. */
static bool prefix(const char *name, const char *text, unsigned max_bits, char **ret_address,
                   unsigned *ret_bits, GError **error)
{
    const char *slash = strchr(text, '/');
    guint64 bits;

    if (slash == NULL || !g_ascii_string_to_unsigned(slash + 1, 10, 1, max_bits, &bits, NULL)) {
        return options_refuse(error,
                              "slirp: option %s is \"%s\"; it must be an address, a slash, and 1 "
                              "to %u bits",
                              name, text, max_bits);
    }
    *ret_address = g_strndup(text, (gsize)(slash - text));
    *ret_bits = (unsigned)bits;
    return true;
}

/* An address of the guest's network: the option, or the network's number-th. */
static bool member4(const SlirpConfig *config, const char *name, const char *text, uint32_t number,
                    struct in_addr *ret_address, GError **error)
{
    uint32_t network = config->vnetwork.s_addr;
    uint32_t mask = config->vnetmask.s_addr;

    if (text == NULL) {
        ret_address->s_addr = network | (htonl(number) & ~mask);
        return true;
    }
    if (!address4(name, text, ret_address, error)) {
        return false;
    }
    return (ret_address->s_addr & mask) == network ||
           options_refuse(error, "slirp: option %s is \"%s\"; it must be in the guest's network",
                          name, text);
}

static bool config4(const SlirpOptions *options, SlirpConfig *config, GError **error)
{
    g_autofree char *text = NULL;
    unsigned bits;

    /* 27 bits still hold the default addresses .2 .3 .15 */
    if (!prefix("net", options->network ? options->network : "10.0.2.0/24", 27, &text, &bits,
                error) ||
        !address4("net", text, &config->vnetwork, error)) {
        return false;
    }
    config->in_enabled = options->ipv4;
    config->vnetmask.s_addr = htonl(UINT32_MAX << (32 - bits));
    config->vnetwork.s_addr &= config->vnetmask.s_addr;
    if (!member4(config, "host", options->host, 2, &config->vhost, error) ||
        !member4(config, "dns", options->dns, 3, &config->vnameserver, error) ||
        !member4(config, "dhcpstart", options->dhcpstart, 15, &config->vdhcp_start, error)) {
        return false;
    }
    if (config->vhost.s_addr == config->vnameserver.s_addr) {
        return options_refuse(error, "slirp: options host and dns are the same; they must differ");
    }
    return true;
}

static bool config6(const SlirpOptions *options, SlirpConfig *config, GError **error)
{
    g_autofree char *text = NULL;
    unsigned bits;

    if (!prefix("ipv6-net", options->network6 ? options->network6 : "fec0::/64", 126, &text, &bits,
                error) ||
        !address6("ipv6-net", text, &config->vprefix_addr6, error)) {
        return false;
    }
    config->in6_enabled = options->ipv6;
    config->vprefix_len = (uint8_t)bits;
    config->vhost6 = config->vprefix_addr6;
    config->vhost6.s6_addr[15] |= 2;
    config->vnameserver6 = config->vprefix_addr6;
    config->vnameserver6.s6_addr[15] |= 3;
    return (options->host6 == NULL ||
            address6("ipv6-host", options->host6, &config->vhost6, error)) &&
           (options->dns6 == NULL ||
            address6("ipv6-dns", options->dns6, &config->vnameserver6, error));
}

/* --- the rest ---------------------------------------------------------------------- */

static bool fits(const char *name, const char *text, size_t max, GError **error)
{
    return text == NULL || strlen(text) <= max ||
           options_refuse(error, "slirp: option %s is longer than %zu bytes", name, max);
}

static bool check_texts(const SlirpOptions *options, GError **error)
{
    if (options->tftp && !g_file_test(options->tftp, G_FILE_TEST_IS_DIR)) {
        return options_refuse(error, "slirp: option tftp is \"%s\"; it must be a directory",
                              options->tftp);
    }
    if (!options->ipv4 && !options->ipv6) {
        return options_refuse(error, "slirp: options ipv4 and ipv6 are both off; one must be on");
    }
    return fits("bootfile", options->bootfile, BOOTFILE_MAX, error) &&
           fits("hostname", options->hostname, HOSTNAME_MAX, error) &&
           fits("domainname", options->domainname, TEXT_MAX, error) &&
           fits("tftp-server", options->tftp_server, TEXT_MAX, error);
}

bool slirp_options_config(SlirpOptions *options, SlirpConfig *ret_config, GError **error)
{
    SlirpConfig config = {
        .version = 4,
        .restricted = options->restricted,
        .vhostname = options->hostname,
        .tftp_server_name = options->tftp_server,
        .tftp_path = options->tftp,
        .bootfile = options->bootfile,
        .vdomainname = options->domainname,
        .if_mtu = options->mtu,
        .if_mru = options->mru,
        .disable_host_loopback = !options->host_loopback,
        .disable_dns = !options->resolve,
        .disable_dhcp = !options->dhcp,
    };

    if (!check_texts(options, error) || !config4(options, &config, error) ||
        !config6(options, &config, error)) {
        return false;
    }
    if (options->dnssearch) {
        options->search = g_new0(const char *, options->dnssearch->len + 1);
        for (guint i = 0; i < options->dnssearch->len; i++) {
            options->search[i] = g_ptr_array_index(options->dnssearch, i);
        }
        config.vdnssearch = options->search;
    }
    *ret_config = config;
    return true;
}

/* --- port forwards ----------------------------------------------------------------- */

typedef union Endpoint {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Endpoint;

/* "ADDRESS:PORT", the address empty or, if it is an IPv6 one, in brackets. */
static bool parse_endpoint(const char *text, Endpoint *ret_endpoint)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *address = NULL;
    Endpoint endpoint = {.v4.sin_family = AF_INET};
    guint64 port;
    size_t len;

    if (colon == NULL || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL)) {
        return false;
    }
    len = (size_t)(colon - text);
    endpoint.v4.sin_port = htons((uint16_t)port);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        address = g_strndup(text + 1, len - 2);
        endpoint = (Endpoint){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)}};
        if (inet_pton(AF_INET6, address, &endpoint.v6.sin6_addr) != 1) {
            return false;
        }
    } else if (len > 0) {
        address = g_strndup(text, len);
        if (inet_pton(AF_INET, address, &endpoint.v4.sin_addr) != 1) {
            return false;
        }
    }
    *ret_endpoint = endpoint;
    return true;
}

static socklen_t endpoint_size(const Endpoint *endpoint)
{
    return endpoint->any.sa_family == AF_INET ? sizeof(endpoint->v4) : sizeof(endpoint->v6);
}

static bool parse_forward(const char *text, Endpoint *ret_host, Endpoint *ret_guest, int *ret_flags)
{
    g_auto(GStrv) ends = NULL;

    if (g_str_has_prefix(text, "tcp:")) {
        *ret_flags = 0;
    } else if (g_str_has_prefix(text, "udp:")) {
        *ret_flags = SLIRP_HOSTFWD_UDP;
    } else {
        return false;
    }
    ends = g_strsplit(text + 4, "-", 0);
    return g_strv_length(ends) == 2 && parse_endpoint(ends[0], ret_host) &&
           parse_endpoint(ends[1], ret_guest);
}

bool slirp_options_forward(Slirp *slirp, const char *text, GError **error)
{
    Endpoint host, guest;
    int flags;

    if (!parse_forward(text, &host, &guest, &flags)) {
        return options_refuse(error,
                              "slirp: option hostfwd is \"%s\"; it must look like "
                              "tcp:127.0.0.1:8080-:80",
                              text);
    }
    if (slirp_add_hostxfwd(slirp, &host.any, endpoint_size(&host), &guest.any,
                           endpoint_size(&guest), flags) != 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "slirp: hostfwd %s: %s", text,
                    g_strerror(errno));
        return false;
    }
    return true;
}

#endif
