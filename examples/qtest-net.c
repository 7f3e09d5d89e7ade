/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest-net.c: -netdev: user-mode networks on the server's clock, and sockets, which know none.
 */
#include "qtest.h"

#include <string.h>

Netdev *qtest_find_netdev(const Qtest *q, const char *id)
{
    for (guint i = 0; i < q->nets->len; i++) {
        Netdev *netdev = g_ptr_array_index(q->nets, i);

        if (strcmp(netdev->id, id) == 0) {
            return netdev;
        }
    }
    return NULL;
}

void qtest_free_netdev(gpointer data)
{
    Netdev *netdev = data;

    devemu_net_free(netdev->net);
    g_free(netdev->id);
    g_free(netdev);
}

static uint64_t net_clock(void *opaque)
{
    const Qtest *q = opaque;

    return q->server ? devemu_qtest_now(q->server) : 0;
}

/* Options by other names, or none, go to the network as they are; it complains of what it does not
 * know. */
static DevemuNet *net_with(const char *kind, const DevemuSetting *settings, GError **error)
{
    g_autoptr(GString) text = g_string_new(kind);

    for (; settings->name; settings++) {
        g_auto(GStrv) parts = g_strsplit(settings->text, ",", -1);
        g_autofree char *doubled = g_strjoinv(",,", parts);

        if (strcmp(settings->name, "id") != 0) {
            g_string_append_printf(text, ",%s=%s", settings->name, doubled);
        }
    }
    return devemu_net_new(text->str, NULL, error);
}

/* User-mode network; where the library has none, frames go nowhere. */
static DevemuNet *make_user(Qtest *q, const DevemuSetting *settings, bool *ret_clocked,
                            GError **error)
{
    g_autoptr(GError) why = NULL;
    DevemuNet *net = net_with("slirp", settings, &why);

    if (net == NULL && g_error_matches(why, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND)) {
        qtest_note("-netdev user: %s; frames go nowhere", why->message);
        return devemu_net_null_new();
    }
    if (net == NULL) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    devemu_net_set_clock(net, net_clock, q);
    *ret_clocked = true;
    return net;
}

static DevemuNet *make_hubport(Qtest *q, const DevemuSetting *settings, GError **error)
{
    const char *number = qtest_setting(settings, "hubid");
    DevemuSwitch *hub;

    if (number == NULL) {
        qtest_refuse(error, "-netdev hubport: option hubid is missing");
        return NULL;
    }
    hub = g_hash_table_lookup(q->hubs, number);
    if (hub == NULL) {
        hub = devemu_switch_new(NULL, NULL, error);
        g_hash_table_insert(q->hubs, g_strdup(number), hub);
    }
    return devemu_switch_port(hub);
}

static DevemuNet *make_net(Qtest *q, const char *kind, const DevemuSetting *settings,
                           bool *ret_clocked, GError **error)
{
    if (strcmp(kind, "user") == 0) {
        return make_user(q, settings, ret_clocked, error);
    }
    if (strcmp(kind, "socket") == 0 && qtest_setting(settings, "fd")) {
        return net_with("stream", settings, error);
    }
    if (strcmp(kind, "tap") == 0) {
        return net_with("tap", settings, error);
    }
    if (strcmp(kind, "hubport") == 0) {
        return make_hubport(q, settings, error);
    }
    qtest_refuse(error, "-netdev %s: there are user, socket,fd=N, tap,fd=N and hubport", kind);
    return NULL;
}

bool qtest_add_netdev(Qtest *q, const char *kind, const DevemuSetting *settings, GError **error)
{
    const char *id = qtest_setting(settings, "id");
    bool clocked = false;
    Netdev *netdev;
    DevemuNet *net;

    if (id == NULL || qtest_find_netdev(q, id)) {
        return qtest_refuse(error, "-netdev %s: %s", kind,
                            id ? "that id is taken" : "option id is missing");
    }
    net = make_net(q, kind, settings, &clocked, error);
    if (net == NULL) {
        return false;
    }
    netdev = g_new0(Netdev, 1);
    netdev->id = g_strdup(id);
    netdev->net = net;
    netdev->clocked = clocked;
    g_ptr_array_add(q->nets, netdev);
    return true;
}

bool qtest_del_netdev(Qtest *q, const char *id, GError **error)
{
    Netdev *netdev = qtest_find_netdev(q, id);

    if (netdev == NULL) {
        return qtest_refuse(error, "Device '%s' not found", id);
    }
    if (netdev->dev) {
        return qtest_refuse(error, "netdev '%s' is in use", id);
    }
    g_ptr_array_remove(q->nets, netdev);
    return true;
}

/* What a socket has comes in before a command, and what a card takes now is delivered behind it;
 * both without the clock. */
static void run_unclocked(Qtest *q, bool fetch)
{
    for (guint i = 0; i < q->nets->len; i++) {
        Netdev *netdev = g_ptr_array_index(q->nets, i);

        if (!netdev->clocked) {
            if (fetch) {
                devemu_net_fetch(netdev->net);
            }
            devemu_net_run(netdev->net);
        }
    }
}

void qtest_nets_before(Qtest *q)
{
    run_unclocked(q, true);
}

void qtest_nets_after(Qtest *q)
{
    run_unclocked(q, false);
}

uint64_t qtest_nets_deadline(Qtest *q)
{
    uint64_t when = DEVEMU_NEVER;

    for (guint i = 0; i < q->nets->len; i++) {
        Netdev *netdev = g_ptr_array_index(q->nets, i);

        if (netdev->clocked) {
            when = MIN(when, devemu_net_deadline(netdev->net));
        }
    }
    return when;
}

void qtest_nets_run(Qtest *q)
{
    for (guint i = 0; i < q->nets->len; i++) {
        Netdev *netdev = g_ptr_array_index(q->nets, i);

        if (netdev->clocked) {
            devemu_net_run(netdev->net);
        }
    }
}
