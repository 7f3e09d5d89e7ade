/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest.h: what the files of the qtest program share: qtest.c (the program), qtest-options.c (the
 * command line), qtest-net.c, qtest-devices.c (cards, hot plug), qtest-qmp.c (the monitor's
 * protocol) and qtest-commands.c (its commands).
 */
#ifndef EXAMPLES_QTEST_H
#define EXAMPLES_QTEST_H

#include "board.h"

#include <devemu/qtest.h>

#include <glib.h>
#include <stdio.h>

/* What the command line says. In the lists stand the texts of options that can be given many times.
 */
typedef struct QtestOptions {
    char *qtest, *log, *machine, *bios;
    GPtrArray *devices, *netdevs, *chardevs, *monitors, *serials, *globals;
    uint64_t ram_bytes;
    uint64_t rtc_seconds;
    char *boot_order, *boot_once;
    bool no_floppy_check, boot_menu;
    int64_t boot_fail_wait, boot_menu_wait; /* G_MININT64: not given */
    uint8_t uuid[16];
    bool nodefaults, no_net, no_vga, paused, exit_with_parent, guest_errors;
    bool acpi; /* clients that give -audio want a member "acpi" of machines */
} QtestOptions;

typedef struct Monitor Monitor;

typedef struct Netdev {
    char *id;
    DevemuNet *net;
    bool clocked;      /* its moments are of the virtual clock */
    DevemuDevice *dev; /* the card, or NULL */
} Netdev;

typedef struct Card {
    char *id; /* NULL: none given */
    DevemuDevice *dev;
    Netdev *netdev;
    unsigned slot;
    bool asked; /* the guest has been asked to let it go */
} Card;

typedef struct Qtest {
    QtestOptions options;
    Board *board;
    DevemuQtest *server;
    DevemuDevice *hotplug;
    GPtrArray *nets;     /* struct Netdev */
    GHashTable *hubs;    /* number: DevemuSwitch */
    GPtrArray *cards;    /* struct Card */
    GPtrArray *monitors; /* Monitor */
    DevemuChr *serial;
    FILE *log;
    GMainLoop *loop;
    bool told;             /* the interrupt lines are intercepted */
    bool reset, off;       /* asked for by the guest */
    bool running, started; /* as the monitor sees it */
    const char *once;      /* boot order until the first reset */
    uint32_t ejected;      /* slots that the guest has let go */
} Qtest;

/* --- qtest-options.c ---------------------------------------------------------------- */

bool qtest_parse(QtestOptions *options, int argc, char **argv, GError **error);
void qtest_options_clear(QtestOptions *options);
/* An error of DEVEMU_ERROR_OPTION; false, for return. */
bool qtest_refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* A line for the person on standard error. */
void qtest_note(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The value of a setting, or NULL. */
const char *qtest_setting(const DevemuSetting *settings, const char *name);
/* "value,name=value": the first word goes to *ret_word (free with g_free()), the rest is parsed.
 * A name without "=" counts as "name=on". */
DevemuSetting *qtest_split(const char *text, char **ret_word, GError **error);

/* --- qtest-net.c -------------------------------------------------------------------- */

bool qtest_add_netdev(Qtest *q, const char *kind, const DevemuSetting *settings, GError **error);
bool qtest_del_netdev(Qtest *q, const char *id, GError **error);
Netdev *qtest_find_netdev(const Qtest *q, const char *id);
void qtest_free_netdev(gpointer netdev);
void qtest_nets_before(Qtest *q);
void qtest_nets_after(Qtest *q);
uint64_t qtest_nets_deadline(Qtest *q);
void qtest_nets_run(Qtest *q);

/* --- qtest-devices.c ---------------------------------------------------------------- */

bool qtest_add_card(Qtest *q, const char *driver, const DevemuSetting *settings, GError **error);
/* The guest is asked to let a card go. */
bool qtest_ask_card(Qtest *q, const char *id, GError **error);
bool qtest_set_link(Qtest *q, const char *id, bool up);
/* Take out what the guest let go (mask of slots) or, at a reset, what it was asked for. */
void qtest_eject(Qtest *q, uint32_t slots);
void qtest_eject_asked(Qtest *q);
/* The i-th name that -device knows; NULL past the last. */
const char *qtest_driver(unsigned i);
bool qtest_make_hotplug(Qtest *q, GError **error);
void qtest_devices_init(Qtest *q);

void qtest_devices_free(Qtest *q);

/* --- qtest-qmp.c -------------------------------------------------------------------- */

/* A monitor at a descriptor, which it takes over. */
bool qtest_monitor_new(Qtest *q, int in, int out, GError **error);
void qtest_monitor_free(gpointer monitor);
/* An event for all monitors; data is JSON text without the braces, or NULL. */
void qtest_event(Qtest *q, const char *name, const char *data_format, ...) G_GNUC_PRINTF(3, 4);

/* --- qtest.c ------------------------------------------------------------------------ */

void qtest_reset(Qtest *q, bool guest);
void qtest_quit(Qtest *q, bool guest);

#endif
