/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pc-options.c: the command line of the example VMM.
 */
#include "pc.h"

#include <string.h>

/* Virtual time is in 64 bits of nanoseconds; this is a little less. */
#define MOST_SECONDS 9e9

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *error = g_error_new_valist(DEVEMU_ERROR, DEVEMU_ERROR_OPTION, format, args);
    va_end(args);
    return false;
}

/* Options that say nothing without another one, or name what is not there. */
static bool check(const PcOptions *o, GError **error)
{
    g_autofree char *model = NULL;

    if (o->firmware == NULL) {
        return refuse(error, "give a BIOS image with --firmware FILE");
    }
    if (o->record && o->nics == NULL) {
        return refuse(error, "--record logs the first network card: give one with --nic");
    }
    if (o->until &&
        (o->until[0] == '\0' || o->serial == NULL || !g_str_has_prefix(o->serial, "std"))) {
        return refuse(error, "--until needs a text, and --serial stdout, where COM1 prints it");
    }
    if (o->trace_device == NULL) {
        return true;
    }
    if (o->trace == NULL) {
        return refuse(error, "--trace-device chooses from a trace: give its file with --trace");
    }
    /* The second device of a model is called like the first, with a number behind a dot. */
    model = g_strndup(o->trace_device, strcspn(o->trace_device, "."));
    if (devemu_model_find(model) == NULL) {
        return refuse(error,
                      "--trace-device: there is no device '%s'; dump_model --list names them",
                      o->trace_device);
    }
    return true;
}

bool pc_options(PcOptions *o, int *argc, char ***argv, GError **error)
{
    double seconds = 0;
    gint64 stop_at = 0;
    const GOptionEntry entries[] = {
        {"firmware", 'f', 0, G_OPTION_ARG_FILENAME, &o->firmware, "BIOS image", "FILE"},
        {"rom", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->roms, "option ROM (VGA BIOS ...)", "FILE"},
        {"ram", 'm', 0, G_OPTION_ARG_INT, &o->ram_mib, "memory in MiB (64)", "N"},
        {"nic", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o->nics,
         "network card: am79c970a,backend=slirp,tftp=DIR,bootfile=NAME,rom=FILE,mac=...", "TEXT"},
        {"device", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o->devices,
         "another PCI device: virtio-blk,backend=file:DISK ... (repeatable)", "TEXT"},
        {"boot", 0, 0, G_OPTION_ARG_STRING, &o->boot,
         "where from, in this order: a floppy, c disk, d CD, n network (n)", "LETTERS"},
        {"serial", 0, 0, G_OPTION_ARG_STRING, &o->serial,
         "COM1: stdio, stdout, pty, file:PATH, unix:PATH, fd:N, null", "TEXT"},
        {"debug", 0, 0, G_OPTION_ARG_STRING, &o->debug, "port 402h: as --serial", "TEXT"},
        {"screen", 0, 0, G_OPTION_ARG_FILENAME, &o->screen,
         "write the screen as PNG at the end and on SIGUSR1", "FILE"},
        {"trace", 0, 0, G_OPTION_ARG_FILENAME, &o->trace, "write every event of the devices",
         "FILE"},
        {"trace-device", 0, 0, G_OPTION_ARG_STRING, &o->trace_device, "only of this device",
         "NAME"},
        {"record", 0, 0, G_OPTION_ARG_FILENAME, &o->record, "log of the first network card",
         "FILE"},
        {"until", 0, 0, G_OPTION_ARG_STRING, &o->until, "stop when COM1 has printed this", "TEXT"},
        {"limit", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "stop at this virtual time", "SECONDS"},
        {"stop-at", 0, 0, G_OPTION_ARG_INT64, &stop_at, "the same in nanoseconds", "NS"},
        {"load", 0, 0, G_OPTION_ARG_FILENAME, &o->load, "begin with this snapshot", "FILE"},
        {"save", 0, 0, G_OPTION_ARG_FILENAME, &o->save, "write a snapshot at the end", "FILE"},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "print what the guest does wrong",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- a PC made of libdevemu's models");

    o->ram_mib = 64;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error)) {
        return false;
    }
    if (*argc > 1) {
        return refuse(error, "no such argument: %s", (*argv)[1]);
    }
    if (stop_at < 0) {
        return refuse(error, "--stop-at must be a number of nanoseconds, 0 or more");
    }
    if (!(seconds >= 0 && seconds <= MOST_SECONDS)) {
        return refuse(error, "--limit must be a number of seconds from 0 to %.0f", MOST_SECONDS);
    }
    o->stop_at = stop_at > 0 ? (uint64_t)stop_at : DEVEMU_NEVER;
    if (seconds > 0) {
        o->stop_at = (uint64_t)(seconds * 1e9);
    }
    return check(o, error);
}
