/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve-control.c: commands for a running `serve`: a UNIX stream socket, one command a line, one
 * line in answer: "ok", what was asked for, or "error: SENTENCE".
 */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_BYTES 256

struct Control {
    int listener;
    guint source;
    char *path;
    GPtrArray *served;
    GMainLoop *loop;
    GPtrArray *lines; /* Line, owned */
};

/* A connection, and what it has sent of its next line. */
typedef struct Line {
    Control *control;
    int fd;
    guint source;
    size_t len;
    char text[LINE_BYTES];
} Line;

/* --- commands ---------------------------------------------------------------------- */

typedef struct LinkCall {
    Served *served;
    bool up;
    GAsyncQueue *done;
} LinkCall;

static gboolean set_link(gpointer opaque)
{
    LinkCall *call = opaque;

    devemu_device_link(call->served->dev, call->up);
    g_async_queue_push(call->done, call);
    return G_SOURCE_REMOVE;
}

static char *command_list(Control *control)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < control->served->len; i++) {
        const Served *s = g_ptr_array_index(control->served, i);

        g_string_append_printf(names, "%s%s", i ? " " : "", devemu_device_name(s->dev));
    }
    return g_string_free(names, FALSE);
}

/* On the device's thread, and answered when it is done. */
static char *command_link(Control *control, const char *name, const char *level)
{
    for (guint i = 0; i < control->served->len; i++) {
        Served *s = g_ptr_array_index(control->served, i);
        LinkCall call = {s, strcmp(level, "on") == 0, NULL};

        if (strcmp(devemu_device_name(s->dev), name) != 0) {
            continue;
        }
        if (!call.up && strcmp(level, "off") != 0) {
            return g_strdup_printf("error: a link is on or off, not '%s'", level);
        }
        call.done = g_async_queue_new();
        g_main_context_invoke(s->context, set_link, &call);
        g_async_queue_pop(call.done);
        g_async_queue_unref(call.done);
        return g_strdup("ok");
    }
    return g_strdup_printf("error: there is no device '%s'; list names them", name);
}

typedef struct FramesCall {
    Served *served;
    GString *text;
    GAsyncQueue *done;
} FramesCall;

static gboolean count_frames(gpointer opaque)
{
    FramesCall *call = opaque;
    DevemuNetStats stats;

    for (unsigned i = 0; devemu_net_queue_stats(call->served->backend.net, i, &stats); i++) {
        g_string_append_printf(call->text, "%s%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                               i ? " " : "", stats.frames_in, stats.frames_out);
    }
    g_async_queue_push(call->done, call);
    return G_SOURCE_REMOVE;
}

/* Of each queue: taken by the device, sent by it. */
static char *command_frames(Control *control, const char *name)
{
    for (guint i = 0; i < control->served->len; i++) {
        Served *s = g_ptr_array_index(control->served, i);
        FramesCall call = {.served = s};

        if (strcmp(devemu_device_name(s->dev), name) != 0 || s->backend.net == NULL) {
            continue;
        }
        call.text = g_string_new(NULL);
        call.done = g_async_queue_new();
        g_main_context_invoke(s->context, count_frames, &call);
        g_async_queue_pop(call.done);
        g_async_queue_unref(call.done);
        return g_string_free(call.text, FALSE);
    }
    return g_strdup_printf("error: there is no network device '%s'; list names all devices", name);
}

static char *execute(Control *control, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 4);
    guint count = g_strv_length(words);

    if (count == 1 && strcmp(words[0], "list") == 0) {
        return command_list(control);
    }
    if (count == 1 && strcmp(words[0], "quit") == 0) {
        g_main_loop_quit(control->loop);
        return g_strdup("ok");
    }
    if (count == 3 && strcmp(words[0], "link") == 0) {
        return command_link(control, words[1], words[2]);
    }
    if (count == 2 && strcmp(words[0], "frames") == 0) {
        return command_frames(control, words[1]);
    }
    return g_strdup("error: the commands are: list; link NAME on|off; frames NAME; quit");
}

/* --- connections ------------------------------------------------------------------- */

static void line_free(gpointer opaque)
{
    Line *line = opaque;

    if (line->source) {
        g_source_remove(line->source);
    }
    close(line->fd);
    g_free(line);
}

/* Every whole line in the buffer. */
static bool answer(Line *line)
{
    char *end;

    while ((end = memchr(line->text, '\n', line->len)) != NULL) {
        g_autofree char *said = NULL;
        g_autofree char *reply = NULL;
        size_t used = (size_t)(end + 1 - line->text);

        *end = '\0';
        said = execute(line->control, line->text);
        reply = g_strconcat(said, "\n", NULL);
        if (send(line->fd, reply, strlen(reply), MSG_NOSIGNAL | MSG_DONTWAIT) !=
            (ssize_t)strlen(reply)) {
            return false;
        }
        line->len -= used;
        memmove(line->text, line->text + used, line->len);
    }
    return line->len < LINE_BYTES;
}

static gboolean line_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    Line *line = opaque;
    ssize_t got = recv(fd, line->text + line->len, LINE_BYTES - line->len, MSG_DONTWAIT);

    (void)condition;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    line->len += got > 0 ? (size_t)got : 0;
    if (got > 0 && answer(line)) {
        return G_SOURCE_CONTINUE;
    }
    line->source = 0;
    g_ptr_array_remove_fast(line->control->lines, line);
    return G_SOURCE_REMOVE;
}

static gboolean listener_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    Control *control = opaque;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    Line *line;

    (void)condition;
    if (client < 0) {
        return G_SOURCE_CONTINUE;
    }
    line = g_new0(Line, 1);
    line->control = control;
    line->fd = client;
    line->source = g_unix_fd_add(client, G_IO_IN, line_ready, line);
    g_ptr_array_add(control->lines, line);
    return G_SOURCE_CONTINUE;
}

/* --- life -------------------------------------------------------------------------- */

/* A socket that a dead program left may be replaced. */
static bool bind_path(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct sockaddr *any = (const struct sockaddr *)&address;
    int probe;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (bind(fd, any, sizeof(address)) == 0) {
        return true;
    }
    if (errno != EADDRINUSE || (probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) {
        return false;
    }
    if (connect(probe, any, sizeof(address)) == 0 || errno != ECONNREFUSED) {
        errno = EADDRINUSE;
    } else {
        unlink(path);
        errno = bind(fd, any, sizeof(address)) == 0 ? 0 : errno;
    }
    close(probe);
    return errno == 0;
}

Control *control_new(const char *path, GPtrArray *served, GMainLoop *loop, GError **error)
{
    Control *control = g_new0(Control, 1);

    control->served = served;
    control->loop = loop;
    control->lines = g_ptr_array_new_with_free_func(line_free);
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->listener < 0 || !bind_path(control->listener, path) ||
        listen(control->listener, 4) < 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "--control %s: %s", path,
                    g_strerror(errno));
        control_free(control);
        return NULL;
    }
    control->path = g_strdup(path);
    control->source = g_unix_fd_add(control->listener, G_IO_IN, listener_ready, control);
    return control;
}

void control_free(Control *control)
{
    if (control == NULL) {
        return;
    }
    if (control->source) {
        g_source_remove(control->source);
    }
    g_ptr_array_unref(control->lines);
    if (control->listener >= 0) {
        close(control->listener);
    }
    if (control->path) {
        unlink(control->path);
    }
    g_free(control->path);
    g_free(control);
}
