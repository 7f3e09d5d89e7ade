/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.c: PCI devices for VMMs in other processes, by vfio-user, and virtio devices by vhost-user
 * or, for the kernel's own drivers, by VDUSE.
 *
 *     serve vfio-user:/run/nic.sock am79c970a,mac=52:54:00:12:34:56,backend=slirp,tftp=/srv
 *     qemu-system-x86_64 ... -object memory-backend-memfd,id=ram,size=1G,share=on \
 *         -machine q35,memory-backend=ram \
 *         -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/run/nic.sock"}}'
 *
 *     serve vhost-user:/run/disk.sock virtio-blk,backend=file:/srv/disk.img
 *     qemu-system-x86_64 ... -chardev socket,id=c,path=/run/disk.sock \
 *         -device vhost-user-blk-pci,chardev=c
 *
 * With vhost-user:PATH,threads=N the queues of a network device or a disk are served by N threads,
 * each with a backend of its own: a queue of the same tap, or the same file.
 *
 * Several devices are several pairs of socket and device. A device without a socket before it takes
 * the next one that the program was started with: by --fd, or by socket activation.
 */
#include "serve.h"

#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PREFIX           "vfio-user:"
#define VHOST_PREFIX     "vhost-user:"
#define VDUSE_PREFIX     "vduse:"
#define FIRST_ACTIVATION 3 /* SD_LISTEN_FDS_START */

typedef struct Options {
    char **fds;
    char *control;
    gboolean threads;
    char **pairs;
    unsigned next_fd, activated;
} Options;

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *error = g_error_new_valist(DEVEMU_ERROR, DEVEMU_ERROR_OPTION, format, args);
    va_end(args);
    return false;
}

/* --- the command line -------------------------------------------------------------- */

/* Sockets that the system opened for this program (sd_listen_fds(3)). */
static unsigned count_activated(void)
{
    const char *pid = g_getenv("LISTEN_PID");
    const char *fds = g_getenv("LISTEN_FDS");
    guint64 count = 0;

    if (pid == NULL || fds == NULL || g_ascii_strtoull(pid, NULL, 10) != (guint64)getpid() ||
        !g_ascii_string_to_unsigned(fds, 10, 1, 1024, &count, NULL)) {
        return 0;
    }
    return (unsigned)count;
}

static bool parse(Options *o, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"fd", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o->fds,
         "an open socket, listening or connected, for a device without one (repeatable)", "N"},
        {"threads", 0, 0, G_OPTION_ARG_NONE, &o->threads, "each device on a thread of its own",
         NULL},
        {"control", 0, 0, G_OPTION_ARG_FILENAME, &o->control,
         "take commands at this UNIX socket: list, link, frames, key, get, set, quit", "PATH"},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &o->pairs, NULL, NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(
        "[" PREFIX "PATH[,spin=US]|" VHOST_PREFIX "PATH[,spin=US][,threads=N]|" VDUSE_PREFIX
        "NAME] MODEL[,name=value...] ...");

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_summary(context,
                                 "Put devices on UNIX sockets, for vfio-user and vhost-user "
                                 "clients.");
    if (!g_option_context_parse(context, argc, argv, error)) {
        return false;
    }
    if (o->pairs == NULL) {
        return refuse(error,
                      "give a socket and a device: " PREFIX "/path/sock am79c970a,backend=slirp");
    }
    o->activated = count_activated();
    return true;
}

/* The address for a device that has none before it; NULL if there is none left. */
static char *next_address(Options *o)
{
    unsigned given = o->fds ? g_strv_length(o->fds) : 0;
    unsigned i = o->next_fd++;

    if (i < given) {
        return g_strdup_printf("fd:%s", o->fds[i]);
    }
    return i - given < o->activated ? g_strdup_printf("fd:%u", FIRST_ACTIVATION + i - given) : NULL;
}

/* --- devices ----------------------------------------------------------------------- */

static void say(void *opaque, const char *text)
{
    (void)opaque;
    g_printerr("%s\n", text);
}

/* "am79c970a", "am79c970a.1" ... */
static void name_device(DevemuDevice *dev, const GPtrArray *served)
{
    g_autofree char *name = NULL;
    unsigned twins = 0;

    for (guint i = 0; i < served->len; i++) {
        const Served *other = g_ptr_array_index(served, i);

        twins += devemu_device_model(other->dev) == devemu_device_model(dev);
    }
    if (twins) {
        name = g_strdup_printf("%s.%u", devemu_device_name(dev), twins);
        devemu_device_set_name(dev, name);
    }
}

static DevemuDevice *make_device(const Served *s, const DeviceText *text, GMainContext *context,
                                 DeviceBackend *ret_backend, GError **error)
{
    g_autofree char *own = NULL;
    DevemuDevice *dev;

    if (s->by != BY_VFIO_USER && text->model->virtio == NULL) {
        refuse(error, "'%s' is no virtio device; vhost-user and VDUSE have no other",
               text->model->name);
        return NULL;
    }
    if (s->by != BY_VFIO_USER && text->transport[0] != '\0') {
        refuse(error, "'%s' has options for PCI, but vhost-user and VDUSE have no PCI",
               text->model->name);
        return NULL;
    }
    if (text->model->pci == NULL && text->model->virtio == NULL) {
        refuse(error, "'%s' is no PCI device; vfio-user has no other", text->model->name);
        return NULL;
    }
    /* The kernel takes no other from user space. */
    own = s->by == BY_VDUSE
              ? g_strconcat("iommu_platform=on", text->own[0] ? "," : "", text->own, NULL)
              : g_strdup(text->own);
    dev = devemu_device_new(text->model, own, error);
    if (dev == NULL) {
        return NULL;
    }
    if (!device_text_backend(text, context, ret_backend, error) ||
        !device_backend_attach(ret_backend, dev, error)) {
        devemu_device_free(dev);
        return NULL;
    }
    return dev;
}

/* On success the server has the device. */
static bool put_vfio(Served *s, DevemuDevice *dev, const DeviceText *text, GError **error)
{
    DevemuDevice *top = device_text_transport(dev, text, error);

    if (top == NULL) {
        return false;
    }
    s->server = devemu_vfio_user_new(top, s->address, s->context, error);
    if (s->server == NULL) {
        devemu_device_free(top);
        return false;
    }
    devemu_vfio_user_set_log(s->server, say, NULL);
    return true;
}

/* Where that option begins, with its comma, or NULL; a comma of a path is written ",,". */
static char *find_option(char *address, const char *option)
{
    while ((address = strchr(address, ',')) != NULL && !g_str_has_prefix(address, option)) {
        address += address[1] == ',' ? 2 : 1;
    }
    return address;
}

/* Takes ",threads=N" out of a vhost-user address, which is the library's otherwise. */
static bool take_threads(Served *s, unsigned *ret_count, GError **error)
{
    static const char name[] = ",threads=";
    char *at = s->by == BY_VHOST_USER ? find_option(s->address, name) : NULL, *end;
    guint64 count;

    *ret_count = 1;
    if (at == NULL) {
        return true;
    }
    count = g_ascii_strtoull(at + strlen(name), &end, 10);
    if (count < 1 || count > SERVED_THREADS || (*end != '\0' && *end != ',')) {
        return refuse(error, "%s: threads is from 1 to %d", s->address, SERVED_THREADS);
    }
    memmove(at, end, strlen(end) + 1);
    *ret_count = (unsigned)count;
    return true;
}

/* What every thread can have of its own, and is the same for all: a tap by its queues, a file (of
 * which the first has the lock), or nothing. NULL: something else. */
static DeviceText *text_of_thread(const char *line, const DeviceText *text, GError **error)
{
    g_autofree char *again = NULL;

    if (g_str_has_prefix(text->backend, "file:") && strstr(text->backend, ",zoned=") == NULL) {
        again = g_strconcat(line, ",lock=off", NULL);
    } else if (g_str_has_prefix(text->backend, "null") ||
               (g_str_has_prefix(text->backend, "tap,") && strstr(text->backend, ",queues="))) {
        again = g_strdup(line);
    } else {
        refuse(
            error,
            "'%s' cannot be for several threads; there are file: (not zoned), null, and tap with "
            "queues=N",
            text->backend);
        return NULL;
    }
    return device_text_new(again, error);
}

static bool add_threads(Served *s, const char *line, const DeviceText *text, unsigned count,
                        GError **error)
{
    g_autoptr(DeviceText) again = count > 1 ? text_of_thread(line, text, error) : NULL;

    if (count > 1 && again == NULL) {
        return false;
    }
    for (unsigned i = 1; i < count; i++) {
        ServedThread *other = &s->others[s->other_count++];
        DevemuDevice *dev;

        other->context = g_main_context_new();
        dev = make_device(s, again, other->context, &other->backend, error);
        if (dev == NULL) {
            return false;
        }
        if (!devemu_vhost_user_add_thread(s->vhost_server, dev, other->context, error)) {
            devemu_device_free(dev);
            return false;
        }
    }
    return true;
}

static bool put_vhost(Served *s, DevemuDevice *dev, GError **error)
{
    s->vhost_server = devemu_vhost_user_new(dev, s->address, s->context, error);
    if (s->vhost_server == NULL) {
        devemu_device_free(dev);
        return false;
    }
    devemu_vhost_user_set_log(s->vhost_server, say, NULL);
    return true;
}

static bool put_vduse(Served *s, DevemuDevice *dev, GError **error)
{
    s->vduse_server = devemu_vduse_new(dev, s->address, s->context, error);
    if (s->vduse_server == NULL) {
        devemu_device_free(dev);
        return false;
    }
    devemu_vduse_set_log(s->vduse_server, say, NULL);
    return true;
}

static bool put(Served *s, DevemuDevice *dev, const DeviceText *text, GError **error)
{
    switch (s->by) {
    case BY_VHOST_USER:
        return put_vhost(s, dev, error);
    case BY_VDUSE:
        return put_vduse(s, dev, error);
    case BY_VFIO_USER:
    default:
        return put_vfio(s, dev, text, error);
    }
}

static bool fill(Served *s, const GPtrArray *served, const char *line, GError **error)
{
    g_autoptr(DeviceText) text = device_text_new(line, error);
    unsigned threads;
    DevemuDevice *dev = text && take_threads(s, &threads, error)
                            ? make_device(s, text, s->context, &s->backend, error)
                            : NULL;

    if (dev == NULL) {
        return false;
    }
    name_device(dev, served);
    if (!put(s, dev, text, error)) {
        return false;
    }
    s->dev = dev;
    return add_threads(s, line, text, threads, error);
}

static void served_free(gpointer opaque)
{
    Served *s = opaque;

    if (s->thread) {
        g_main_loop_quit(s->loop);
        g_thread_join(s->thread);
    }
    devemu_vfio_user_free(s->server);
    devemu_vhost_user_free(s->vhost_server);
    devemu_vduse_free(s->vduse_server);
    device_backend_clear(&s->backend);
    for (unsigned i = 0; i < s->other_count; i++) {
        device_backend_clear(&s->others[i].backend);
        g_main_context_unref(s->others[i].context);
    }
    g_clear_pointer(&s->loop, g_main_loop_unref);
    g_main_context_unref(s->context);
    g_free(s->address);
    g_free(s);
}

/* address is taken over. */
static bool serve(GPtrArray *served, char *address, ServedBy by, const char *line, bool threads,
                  GError **error)
{
    Served *s = g_new0(Served, 1);

    s->address = address;
    s->by = by;
    s->context = threads ? g_main_context_new() : g_main_context_ref(g_main_context_default());
    if (fill(s, served, line, error)) {
        g_ptr_array_add(served, s);
        return true;
    }
    served_free(s);
    return false;
}

/* The socket's name behind the protocol's; NULL: that is no address. */
static const char *address_of(const char *arg, ServedBy *ret_by)
{
    static const char *const prefixes[] = {
        [BY_VFIO_USER] = PREFIX,
        [BY_VHOST_USER] = VHOST_PREFIX,
        [BY_VDUSE] = VDUSE_PREFIX,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(arg, prefixes[i])) {
            *ret_by = (ServedBy)i;
            return arg + strlen(prefixes[i]);
        }
    }
    return NULL;
}

static bool serve_all(Options *o, GPtrArray *served, GError **error)
{
    g_autofree char *address = NULL;
    ServedBy by = BY_VFIO_USER;

    for (char **arg = o->pairs; *arg; arg++) {
        ServedBy other = BY_VFIO_USER;
        const char *place = address_of(*arg, &other);

        if (place && address) {
            return refuse(error, "%s: a device must follow its socket", address);
        }
        if (place) {
            address = g_strdup(place);
            by = other;
            continue;
        }
        by = address ? by : BY_VFIO_USER;
        address = address ? address : next_address(o);
        if (address == NULL) {
            return refuse(error, "%s: no socket for it; put " PREFIX "PATH before it, or give --fd",
                          *arg);
        }
        if (!serve(served, g_steal_pointer(&address), by, *arg, o->threads, error)) {
            return false;
        }
    }
    return address == NULL || refuse(error, "%s: a device must follow its socket", address);
}

/* --- running ----------------------------------------------------------------------- */

static gpointer run_thread(gpointer opaque)
{
    Served *s = opaque;

    g_main_context_push_thread_default(s->context);
    g_main_loop_run(s->loop);
    g_main_context_pop_thread_default(s->context);
    return NULL;
}

static void start_threads(GPtrArray *served)
{
    for (guint i = 0; i < served->len; i++) {
        Served *s = g_ptr_array_index(served, i);

        s->loop = g_main_loop_new(s->context, FALSE);
        s->thread = g_thread_new("device", run_thread, s);
    }
}

/* One line, for scripts that wait for it. */
static void announce(const GPtrArray *served)
{
    g_autoptr(GString) line = g_string_new("listening on");

    for (guint i = 0; i < served->len; i++) {
        g_string_append_printf(line, " %s", ((Served *)g_ptr_array_index(served, i))->address);
    }
    g_print("%s\n", line->str);
}

static gboolean stop(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static bool run(Options *o, GPtrArray *served, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Control *control = NULL;

    if (!serve_all(o, served, error) ||
        (o->control && (control = control_new(o->control, served, loop, error)) == NULL)) {
        return false;
    }
    g_unix_signal_add(SIGINT, stop, loop);
    g_unix_signal_add(SIGTERM, stop, loop);
    if (o->threads) {
        start_threads(served);
    }
    announce(served);
    g_main_loop_run(loop);
    control_free(control);
    return true;
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) served = g_ptr_array_new_with_free_func(served_free);
    g_autoptr(GError) error = NULL;
    Options options = {NULL};
    bool ok = parse(&options, &argc, &argv, &error) && run(&options, served, &error);

    if (!ok) {
        g_printerr("serve: %s\n", error->message);
    }
    g_strfreev(options.fds);
    g_strfreev(options.pairs);
    g_free(options.control);
    return ok ? 0 : 2;
}
