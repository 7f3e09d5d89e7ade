/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest.c: the PC of board.h without a CPU, behind QEMU's qtest protocol: what is written for QEMU
 * as a test, a reproducer or a fuzzer's log runs against the models of this library.
 *
 *     qtest -machine pc -device pcnet -qtest stdio <log
 *
 * docs/qtest.md has the command line, the commands and what is not there.
 */
#define _GNU_SOURCE
#include "qtest.h"

#include <devemu/chipset.h>
#include <devemu/fw-cfg.h>

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IRQS 16

/* --- the machine ------------------------------------------------------------------- */

static uint64_t board_clock(void *opaque)
{
    const Qtest *q = opaque;

    return q->server ? devemu_qtest_now(q->server) : 0;
}

static void pin_reset(void *opaque)
{
    ((Qtest *)opaque)->reset = true;
}

static void pin_power_off(void *opaque)
{
    ((Qtest *)opaque)->off = true;
}

static void pin_irq(void *opaque, unsigned irq, bool level)
{
    Qtest *q = opaque;

    if (q->told && q->server) {
        devemu_qtest_line(q->server, irq, level);
    }
}

static const BoardPins pins = {
    .reset = pin_reset,
    .power_off = pin_power_off,
    .irq = pin_irq,
};

static void add_items(void *opaque, DevemuFwCfgBuilder *items)
{
    const QtestOptions *o = &((const Qtest *)opaque)->options;
    uint8_t wait[4];

    devemu_fw_cfg_builder_add(items, DEVEMU_FW_CFG_UUID, o->uuid, sizeof(o->uuid));
    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_NOGRAPHIC, 0, 2);
    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_NUMA, 0, 8);
    devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_BOOT_MENU, o->boot_menu, 2);
    if (o->boot_fail_wait != G_MININT64) {
        devemu_put_le32(wait, (uint32_t)o->boot_fail_wait);
        devemu_fw_cfg_builder_add_file(items, "etc/boot-fail-wait", wait, 4);
    }
    if (o->boot_menu_wait != G_MININT64) {
        devemu_put_le16(wait, (uint16_t)o->boot_menu_wait);
        devemu_fw_cfg_builder_add_file(items, "etc/boot-menu-wait", wait, 2);
    }
}

void qtest_quit(Qtest *q, bool guest)
{
    qtest_event(q, "SHUTDOWN", "\"guest\": %s, \"reason\": \"%s\"", guest ? "true" : "false",
                guest ? "guest-shutdown" : "host-qmp-quit");
    g_main_loop_quit(q->loop);
}

/* -boot once= ends here. A card that the guest was to let go is gone, too. */
void qtest_reset(Qtest *q, bool guest)
{
    qtest_eject_asked(q);
    board_reset(q->board);
    if (q->once) {
        const BoardBoot boot = {q->options.boot_order, q->options.no_floppy_check};

        board_set_boot(q->board, &boot);
        q->once = NULL;
    }
    qtest_event(q, "RESET", "\"guest\": %s, \"reason\": \"%s\"", guest ? "true" : "false",
                guest ? "guest-reset" : "host-qmp-system-reset");
}

/* --- the server's questions -------------------------------------------------------- */

static void on_before(void *opaque)
{
    qtest_nets_before(opaque);
}

static void on_after(void *opaque)
{
    Qtest *q = opaque;

    if (q->ejected) {
        qtest_eject(q, q->ejected);
        q->ejected = 0;
    }
    if (q->reset) {
        q->reset = false;
        qtest_reset(q, true);
    }
    if (q->off) {
        q->off = false;
        qtest_quit(q, true);
    }
    qtest_nets_after(q);
}

static uint64_t on_deadline(void *opaque)
{
    return qtest_nets_deadline(opaque);
}

static void on_run(void *opaque)
{
    qtest_nets_run(opaque);
}

/* There is no I/O APIC, but its inputs are the interrupt lines of the ISA bus. */
static bool is_ioapic(const char *path)
{
    const char *last = strrchr(path, '/');

    return strcmp(last ? last + 1 : path, "ioapic") == 0;
}

static bool on_intercept(void *opaque, const char *path, const char *name, bool outputs)
{
    Qtest *q = opaque;

    if (outputs || name || !is_ioapic(path)) {
        return false;
    }
    q->told = true;
    return true;
}

static bool on_set_line(void *opaque, const char *path, const char *name, uint64_t line, bool level)
{
    Qtest *q = opaque;

    if (name || line >= IRQS || !is_ioapic(path)) {
        return false;
    }
    board_set_irq(q->board, (unsigned)line, level);
    return true;
}

static void on_traffic(void *opaque, bool from_client, const char *line)
{
    Qtest *q = opaque;

    fprintf(q->log, "%c %s\n", from_client ? 'R' : 'S', line);
}

static void on_log(void *opaque, DevemuLogLevel level, const char *text)
{
    if (((const Qtest *)opaque)->options.guest_errors) {
        qtest_note("%s%s", text, level == DEVEMU_LOG_UNIMPL ? " is not modelled" : "");
    }
}

static void on_closed(void *opaque)
{
    g_main_loop_quit(((Qtest *)opaque)->loop);
}

/* --- places of clients ------------------------------------------------------------- */

static int connect_unix(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        qtest_refuse(error, "socket: the name %s is too long", path);
        return -1;
    }
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        qtest_refuse(error, "socket: cannot connect to %s: %s", path, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* Wait for the one client. */
static int accept_unix(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
    } else {
        g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        if (bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
            listen(listener, 1) == 0) {
            fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        }
    }
    if (fd < 0) {
        qtest_refuse(error, "socket: cannot listen at %s: %s", path, g_strerror(errno));
    }
    close(listener);
    return fd;
}

static bool is_on(const DevemuSetting *settings, const char *name)
{
    const char *text = qtest_setting(settings, name);

    return text && strcmp(text, "on") == 0;
}

/* -chardev socket,id=,path=[,server=on] or socket,fd=. */
static bool open_chardev(const DevemuSetting *settings, int fds[2], GError **error)
{
    const char *path = qtest_setting(settings, "path"), *fd = qtest_setting(settings, "fd");
    guint64 number;

    if (fd && g_ascii_string_to_unsigned(fd, 10, 0, G_MAXINT, &number, NULL)) {
        fds[0] = (int)number;
    } else if (path) {
        fds[0] = is_on(settings, "server") ? accept_unix(path, error) : connect_unix(path, error);
    } else {
        return qtest_refuse(error, "chardev: give the path of a socket, or fd=N");
    }
    fds[1] = fds[0];
    return fds[0] >= 0;
}

static bool open_named_chardev(const Qtest *q, const char *id, int fds[2], GError **error)
{
    bool found = false, ok = false;

    for (guint i = 0; i < q->options.chardevs->len && !found; i++) {
        g_autofree char *kind = NULL;
        DevemuSetting *settings =
            qtest_split(g_ptr_array_index(q->options.chardevs, i), &kind, error);

        if (settings == NULL) {
            return false;
        }
        found = g_strcmp0(qtest_setting(settings, "id"), id) == 0;
        if (found && strcmp(kind, "stdio") == 0) {
            fds[0] = STDIN_FILENO;
            fds[1] = STDOUT_FILENO;
            ok = true;
        } else if (found && strcmp(kind, "socket") == 0) {
            ok = open_chardev(settings, fds, error);
        } else if (found) {
            qtest_refuse(error, "chardev %s: there are socket and stdio", id);
        }
        devemu_settings_free(settings);
    }
    return ok || (!found && qtest_refuse(error, "there is no chardev '%s'", id));
}

/* "stdio", "unix:PATH[,server=on]", "fd:N", "chardev:ID". */
static bool open_place(const Qtest *q, const char *text, int fds[2], GError **error)
{
    g_autofree char *word = NULL;
    DevemuSetting *settings = qtest_split(text, &word, error);
    guint64 number;
    bool ok = false;

    if (settings == NULL) {
        return false;
    }
    if (strcmp(word, "stdio") == 0) {
        fds[0] = STDIN_FILENO;
        fds[1] = STDOUT_FILENO;
        ok = true;
    } else if (g_str_has_prefix(word, "unix:")) {
        fds[0] = fds[1] = is_on(settings, "server") ? accept_unix(word + 5, error)
                                                    : connect_unix(word + 5, error);
        ok = fds[0] >= 0;
    } else if (g_str_has_prefix(word, "chardev:")) {
        ok = open_named_chardev(q, word + 8, fds, error);
    } else if (g_str_has_prefix(word, "fd:") &&
               g_ascii_string_to_unsigned(word + 3, 10, 0, G_MAXINT, &number, NULL)) {
        fds[0] = fds[1] = (int)number;
        ok = true;
    } else {
        qtest_refuse(error,
                     "'%s' is no place for a client: there are unix:PATH, stdio, fd:N and "
                     "chardev:ID",
                     text);
    }
    devemu_settings_free(settings);
    return ok;
}

/* --- beginning and end ------------------------------------------------------------- */

/* COM1: a chardev's socket, or what the library knows by the same name. */
static bool open_serial(Qtest *q, GError **error)
{
    const char *text = q->options.serials->len ? g_ptr_array_index(q->options.serials, 0) : "none";
    g_autofree char *number = NULL;
    int fds[2];

    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (g_str_has_prefix(text, "chardev:") || g_str_has_prefix(text, "unix:")) {
        if (!open_place(q, text, fds, error)) {
            return false;
        }
        number = g_strdup_printf("fd:%d", fds[0]);
    }
    q->serial = devemu_chr_new(number ? number : text, NULL, error);
    return q->serial != NULL;
}

static bool make_board(Qtest *q, GError **error)
{
    const QtestOptions *o = &q->options;
    BoardConfig config = {
        .ram_bytes = o->ram_bytes,
        .rtc_seconds = o->rtc_seconds,
        .firmware = o->bios,
        .boot = {o->boot_once ? o->boot_once : o->boot_order, o->no_floppy_check},
        .loose_config = true,
        .serial = q->serial,
        .clock = board_clock,
        .pins = &pins,
        .items = add_items,
        .opaque = q,
    };

    q->once = o->boot_once;
    q->board = board_new(&config, error);
    return q->board && qtest_make_hotplug(q, error);
}

/* Each of the list, "word,name=value,...". */
static bool each(Qtest *q, const GPtrArray *list,
                 bool (*add)(Qtest *q, const char *word, const DevemuSetting *settings,
                             GError **error),
                 GError **error)
{
    for (guint i = 0; i < list->len; i++) {
        g_autofree char *word = NULL;
        DevemuSetting *settings = qtest_split(g_ptr_array_index(list, i), &word, error);
        bool ok = settings && add(q, word, settings, error);

        devemu_settings_free(settings);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool make_server(Qtest *q, GError **error)
{
    const DevemuQtestOps ops = {
        .size = sizeof(DevemuQtestOps),
        .before = on_before,
        .after = on_after,
        .deadline = on_deadline,
        .run = on_run,
        .intercept = on_intercept,
        .set_line = on_set_line,
        .traffic = q->log ? on_traffic : NULL,
        .log = on_log,
        .closed = on_closed,
    };
    int fds[2];

    q->server = devemu_qtest_new(q->board->system, &ops, q);
    return open_place(q, q->options.qtest, fds, error) &&
           devemu_qtest_open(q->server, fds[0], fds[1], NULL, error);
}

static bool make_monitors(Qtest *q, GError **error)
{
    for (guint i = 0; i < q->options.monitors->len; i++) {
        int fds[2];

        if (!open_place(q, g_ptr_array_index(q->options.monitors, i), fds, error) ||
            !qtest_monitor_new(q, fds[0], fds[1], error)) {
            return false;
        }
    }
    return true;
}

static bool open_log(Qtest *q, GError **error)
{
    const char *path = q->options.log;

    if (path && strcmp(path, "none") != 0) {
        q->log = g_fopen(path, "w");
        if (q->log == NULL) {
            return qtest_refuse(error, "qtest-log: cannot write %s: %s", path, g_strerror(errno));
        }
        setvbuf(q->log, NULL, _IOLBF, 0);
    }
    return true;
}

static gboolean on_signal(gpointer opaque)
{
    g_main_loop_quit(((Qtest *)opaque)->loop);
    return G_SOURCE_CONTINUE;
}

static bool start(Qtest *q, int argc, char **argv, GError **error)
{
    if (!qtest_parse(&q->options, argc, argv, error)) {
        return false;
    }
    if (q->options.exit_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    }
    signal(SIGPIPE, SIG_IGN);
    q->running = q->started = !q->options.paused;
    return open_log(q, error) && open_serial(q, error) && make_board(q, error) &&
           each(q, q->options.netdevs, qtest_add_netdev, error) &&
           each(q, q->options.devices, qtest_add_card, error) && make_server(q, error) &&
           make_monitors(q, error);
}

static void finish(Qtest *q)
{
    g_clear_pointer(&q->monitors, g_ptr_array_unref);
    g_clear_pointer(&q->server, devemu_qtest_free);
    g_clear_pointer(&q->board, board_free);
    qtest_devices_free(q);
    devemu_chr_free(q->serial);
    if (q->log) {
        fclose(q->log);
    }
    g_main_loop_unref(q->loop);
    qtest_options_clear(&q->options);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Qtest q = {0};
    bool ok;

    q.loop = g_main_loop_new(NULL, FALSE);
    q.monitors = g_ptr_array_new_with_free_func(qtest_monitor_free);
    qtest_devices_init(&q);
    ok = start(&q, argc, argv, &error);
    if (ok) {
        g_unix_signal_add(SIGTERM, on_signal, &q);
        g_unix_signal_add(SIGINT, on_signal, &q);
        g_unix_signal_add(SIGHUP, on_signal, &q);
        g_main_loop_run(q.loop);
    } else {
        qtest_note("%s", error->message);
    }
    finish(&q);
    return ok ? 0 : 2;
}
