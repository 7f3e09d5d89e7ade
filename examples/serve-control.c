/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve-control.c: commands for a running `serve`: a UNIX stream socket, one command a line, one
 * line in answer: "ok", what was asked for, or "error: SENTENCE".
 */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdarg.h>
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

#define HOST_BANK "host" /* registers for the program around a device */

/* What a command asks of a device: words are those behind its name, and nothing else is in them. */
typedef struct Call {
    Served *served;
    char *const *words;
    char *(*command)(Served *s, char *const *words);
    char *answer;
    GAsyncQueue *done;
} Call;

static char *ok(void)
{
    return g_strdup("ok");
}

static char *wrong(const char *format, ...) G_GNUC_PRINTF(1, 2);

static char *wrong(const char *format, ...)
{
    g_autofree char *sentence = NULL;
    va_list args;

    va_start(args, format);
    sentence = g_strdup_vprintf(format, args);
    va_end(args);
    return g_strconcat("error: ", sentence, NULL);
}

/* "on" or "off". */
static bool parse_switch(const char *word, bool *ret_on)
{
    *ret_on = strcmp(word, "on") == 0;
    return *ret_on || strcmp(word, "off") == 0;
}

static char *command_link(Served *s, char *const *words)
{
    bool on;

    if (!parse_switch(words[0], &on)) {
        return wrong("a link is on or off, not '%s'", words[0]);
    }
    devemu_device_link(s->dev, on);
    return ok();
}

/* Of each queue: taken by the device, sent by it. */
static char *command_frames(Served *s, char *const *words)
{
    GString *text = g_string_new(NULL);
    DevemuNetStats stats;

    (void)words;
    if (s->backend.net == NULL) {
        g_string_free(text, TRUE);
        return wrong("%s is no network device", devemu_device_name(s->dev));
    }
    for (unsigned i = 0; devemu_net_queue_stats(s->backend.net, i, &stats); i++) {
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, i ? " " : "",
                               stats.frames_in, stats.frames_out);
    }
    return g_string_free(text, FALSE);
}

static char *command_key(Served *s, char *const *words)
{
    DevemuDevice *dev = s->dev;
    DevemuInput input = {.kind = DEVEMU_INPUT_KEY};
    guint64 code;
    bool on;

    if (devemu_device_model(dev)->input == NULL) {
        return wrong("%s has no keys", devemu_device_name(dev));
    }
    if (!g_ascii_string_to_unsigned(words[0], 10, 1, G_MAXUINT16, &code, NULL)) {
        return wrong("a key is a number of Linux's input-event-codes.h, 1 or more, not '%s'",
                     words[0]);
    }
    if (!parse_switch(words[1], &on)) {
        return wrong("a key is on or off, not '%s'", words[1]);
    }
    input.code = (unsigned)code;
    input.value = on;
    devemu_device_input(dev, &input);
    return ok();
}

/* The register "name" or "name[i]" of the device's bank for the program around it; NULL: none. */
static const DevemuReg *find_register(DevemuDevice *dev, const char *text, uint64_t *ret_at)
{
    int number = devemu_device_bank(dev, HOST_BANK);
    const DevemuBank *bank = number < 0 ? NULL : &devemu_device_model(dev)->banks[number];
    size_t len = strcspn(text, "[");
    g_autofree char *name = g_strndup(text, len);
    char *end = NULL;
    guint64 index = text[len] ? g_ascii_strtoull(text + len + 1, &end, 10) : 0;

    if (end && strcmp(end, "]") != 0) {
        return NULL;
    }
    for (size_t i = 0; bank && i < bank->reg_count; i++) {
        const DevemuReg *reg = &bank->regs[i];

        if (strcmp(reg->name, name) == 0 && index < MAX(reg->count, 1)) {
            *ret_at = reg->at + index * (reg->stride ? reg->stride : reg->size);
            return reg;
        }
    }
    return NULL;
}

static char *no_register(DevemuDevice *dev, const char *name)
{
    return wrong("%s has no register '%s' for its host; its register reference names them",
                 devemu_device_name(dev), name);
}

static char *command_get(Served *s, char *const *words)
{
    DevemuDevice *dev = s->dev;
    uint64_t at, value = 0;
    const DevemuReg *reg = find_register(dev, words[0], &at);

    if (reg == NULL) {
        return no_register(dev, words[0]);
    }
    if (devemu_device_read(dev, (unsigned)devemu_device_bank(dev, HOST_BANK), at, reg->size,
                           &value) != DEVEMU_ACCESS_OK) {
        return wrong("%s cannot be read now", words[0]);
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, value);
}

static char *command_set(Served *s, char *const *words)
{
    DevemuDevice *dev = s->dev;
    uint64_t at;
    guint64 value, most;
    const DevemuReg *reg = find_register(dev, words[0], &at);

    if (reg == NULL) {
        return no_register(dev, words[0]);
    }
    most = UINT64_MAX >> (64 - 8 * reg->size);
    if (!g_ascii_string_to_unsigned(words[1], 10, 0, most, &value, NULL)) {
        return wrong("%s takes a number from 0 to %" G_GUINT64_FORMAT ", not '%s'", words[0], most,
                     words[1]);
    }
    if (devemu_device_write(dev, (unsigned)devemu_device_bank(dev, HOST_BANK), at, reg->size,
                            value) != DEVEMU_ACCESS_OK) {
        return wrong("%s cannot be written now", words[0]);
    }
    return ok();
}

static gboolean execute_call(gpointer opaque)
{
    Call *call = opaque;

    call->answer = call->command(call->served, call->words);
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
static char *call_device(Control *control, const char *name, const Call *what)
{
    for (guint i = 0; i < control->served->len; i++) {
        Served *s = g_ptr_array_index(control->served, i);
        Call call = *what;

        if (strcmp(devemu_device_name(s->dev), name) != 0) {
            continue;
        }
        if (s->other_count > 0) {
            return wrong("'%s' is on several threads, and takes no commands", name);
        }
        call.served = s;
        call.done = g_async_queue_new();
        g_main_context_invoke(s->context, execute_call, &call);
        g_async_queue_pop(call.done);
        g_async_queue_unref(call.done);
        return call.answer;
    }
    return wrong("there is no device '%s'; list names them", name);
}

static char *execute(Control *control, const char *line)
{
    static const struct {
        const char *name;
        guint words; /* behind the device */
        char *(*command)(Served *s, char *const *words);
    } commands[] = {
        {"link", 1, command_link}, {"frames", 0, command_frames}, {"key", 2, command_key},
        {"get", 1, command_get},   {"set", 2, command_set},
    };
    g_auto(GStrv) words = g_strsplit(line, " ", 5);
    guint count = g_strv_length(words);

    if (count == 1 && strcmp(words[0], "list") == 0) {
        return command_list(control);
    }
    if (count == 1 && strcmp(words[0], "quit") == 0) {
        g_main_loop_quit(control->loop);
        return ok();
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (count == 2 + commands[i].words && strcmp(words[0], commands[i].name) == 0) {
            const Call call = {.words = words + 2, .command = commands[i].command};

            return call_device(control, words[1], &call);
        }
    }
    return wrong("the commands are: list; link NAME on|off; frames NAME; key NAME CODE on|off; "
                 "get NAME REGISTER; set NAME REGISTER VALUE; quit");
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
