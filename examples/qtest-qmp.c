/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest-qmp.c: QMP, the monitor's protocol, as far as a client of qtest needs it: greeting,
 * negotiation, requests and events. JSON itself is json-glib's; here a stream of bytes is cut into
 * messages, strings in single quotes are put into double ones, and what is no JSON is found at its
 * first wrong byte, as QEMU does.
 */
#include "qtest.h"

#ifdef DEVEMU_HAVE_JSON

#include "qtest-qmp.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_BYTES 1048576
#define OUT_BYTES     16777216 /* a client that lets more wait is cut off */
#define MOST_DEPTH    128

/* Where in a message the reader is. */
typedef enum Where { BETWEEN, PLAIN, STRING, ESCAPE, LOST } Where;

struct Monitor {
    Qtest *q;
    int in, out;
    guint in_source, out_source; /* 0: none */
    bool negotiated;
    GString *message; /* so far, in JSON proper */
    GString *late;    /* output that the descriptor did not take */
    Where where;
    char quote;
    unsigned depth;
};

/* --- output ------------------------------------------------------------------------ */

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque);

static void hang_up(Monitor *monitor)
{
    g_clear_handle_id(&monitor->in_source, g_source_remove);
    g_clear_handle_id(&monitor->out_source, g_source_remove);
    g_string_truncate(monitor->late, 0);
    if (monitor->in >= 0 && monitor->in != monitor->out) {
        close(monitor->in);
    }
    if (monitor->out >= 0) {
        close(monitor->out);
    }
    monitor->in = monitor->out = -1;
}

static void flush(Monitor *monitor)
{
    while (monitor->out >= 0 && monitor->late->len > 0) {
        ssize_t done = write(monitor->out, monitor->late->str, monitor->late->len);

        if (done >= 0) {
            g_string_erase(monitor->late, 0, done);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            hang_up(monitor);
        }
    }
    if (monitor->late->len > OUT_BYTES) {
        hang_up(monitor);
    } else if (monitor->late->len > 0 && monitor->out_source == 0) {
        monitor->out_source = g_unix_fd_add(monitor->out, G_IO_OUT, on_writable, monitor);
    }
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    Monitor *monitor = opaque;

    (void)fd;
    (void)condition;
    monitor->out_source = 0;
    flush(monitor);
    return G_SOURCE_REMOVE;
}

static void send_text(Monitor *monitor, const char *text)
{
    if (monitor->out >= 0) {
        g_string_append_printf(monitor->late, "%s\r\n", text);
        flush(monitor);
    }
}

static void send_object(Monitor *monitor, JsonObject *object, JsonNode *id)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;

    if (id) {
        json_object_set_member(object, "id", json_node_copy(id));
    }
    json_node_take_object(node, object);
    text = json_to_string(node, FALSE);
    send_text(monitor, text);
}

static void send_error(Monitor *monitor, const char *class, const char *desc, JsonNode *id)
{
    JsonObject *answer = json_object_new(), *error = json_object_new();

    json_object_set_string_member(error, "class", class);
    json_object_set_string_member(error, "desc", desc);
    json_object_set_object_member(answer, "error", error);
    send_object(monitor, answer, id);
}

/* Events come behind the negotiation only. */
void qtest_event(Qtest *q, const char *name, const char *data_format, ...)
{
    gint64 now = g_get_real_time();
    g_autofree char *data = NULL, *text = NULL;
    va_list args;

    if (data_format) {
        va_start(args, data_format);
        data = g_strdup_vprintf(data_format, args);
        va_end(args);
    }
    text = g_strdup_printf("{\"timestamp\": {\"seconds\": %" PRId64 ", \"microseconds\": %" PRId64
                           "}, \"event\": \"%s\"%s%s%s}",
                           now / G_USEC_PER_SEC, now % G_USEC_PER_SEC, name,
                           data ? ", \"data\": {" : "", data ? data : "", data ? "}" : "");
    for (guint i = 0; q->monitors && i < q->monitors->len; i++) {
        Monitor *monitor = g_ptr_array_index(q->monitors, i);

        if (monitor->negotiated) {
            send_text(monitor, text);
        }
    }
}

/* --- requests ---------------------------------------------------------------------- */

static const QmpCommand *find_command(const char *name)
{
    for (const QmpCommand *command = qmp_commands; command->name; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static void not_found(Monitor *monitor, const char *desc, const char *name, JsonNode *id)
{
    g_autofree char *text = g_strdup_printf(desc, name);

    send_error(monitor, "CommandNotFound", text, id);
}

static void send_return(Monitor *monitor, JsonNode *value, JsonNode *id)
{
    JsonObject *answer = json_object_new();

    json_object_set_member(answer, "return", value);
    send_object(monitor, answer, id);
}

static JsonNode *empty_object(void)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, json_object_new());
    return node;
}

/* No capability is offered, so none can be asked for. */
static void negotiate(Monitor *monitor, JsonObject *arguments, JsonNode *id)
{
    JsonArray *enable = arguments && json_object_has_member(arguments, "enable") &&
                                JSON_NODE_HOLDS_ARRAY(json_object_get_member(arguments, "enable"))
                            ? json_object_get_array_member(arguments, "enable")
                            : NULL;

    if (enable && json_array_get_length(enable) > 0) {
        send_error(monitor, "GenericError", "there is no such capability", id);
        return;
    }
    monitor->negotiated = true;
    send_return(monitor, empty_object(), id);
}

static void execute(Monitor *monitor, const char *name, JsonObject *arguments, JsonNode *id)
{
    const QmpCommand *command = find_command(name);
    g_autoptr(GError) error = NULL;
    JsonNode *value;

    if (!monitor->negotiated && strcmp(name, "qmp_capabilities") == 0) {
        negotiate(monitor, arguments, id);
    } else if (!monitor->negotiated) {
        not_found(monitor, "Expecting capabilities negotiation with 'qmp_capabilities', not %s",
                  name, id);
    } else if (strcmp(name, "qmp_capabilities") == 0) {
        not_found(monitor, "Capabilities negotiation is already complete, command %s ignored", name,
                  id);
    } else if (command == NULL) {
        not_found(monitor, "The command %s has not been found", name, id);
    } else {
        value = command->run(monitor->q, arguments, &error);
        if (value) {
            send_return(monitor, value, id);
        } else {
            send_error(monitor, "GenericError", error ? error->message : "failed", id);
        }
    }
}

/* The members of a request are known, and of these types. */
static const char *check_request(JsonObject *request)
{
    g_autoptr(GList) names = json_object_get_members(request);

    for (GList *name = names; name; name = name->next) {
        JsonNode *node = json_object_get_member(request, name->data);

        if (strcmp(name->data, "execute") == 0) {
            if (json_node_get_value_type(node) != G_TYPE_STRING) {
                return "QMP input member 'execute' must be a string";
            }
        } else if (strcmp(name->data, "arguments") == 0) {
            if (!JSON_NODE_HOLDS_OBJECT(node)) {
                return "QMP input member 'arguments' must be an object";
            }
        } else if (strcmp(name->data, "id") != 0) {
            return "QMP input member is unexpected";
        }
    }
    return json_object_has_member(request, "execute") ? NULL : "QMP input lacks member 'execute'";
}

static void handle(Monitor *monitor, const char *text)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root =
        json_parser_load_from_data(parser, text, -1, NULL) ? json_parser_get_root(parser) : NULL;
    JsonObject *request;
    JsonNode *id;
    const char *wrong;

    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
        send_error(monitor, "GenericError",
                   root ? "QMP input must be a JSON object" : "JSON parse error", NULL);
        return;
    }
    request = json_node_get_object(root);
    id = json_object_get_member(request, "id");
    wrong = check_request(request);
    if (wrong) {
        send_error(monitor, "GenericError", wrong, id);
        return;
    }
    execute(monitor, json_object_get_string_member(request, "execute"),
            json_object_has_member(request, "arguments")
                ? json_object_get_object_member(request, "arguments")
                : NULL,
            id);
}

/* --- the stream -------------------------------------------------------------------- */

static void end_message(Monitor *monitor, Where where)
{
    g_string_truncate(monitor->message, 0);
    monitor->depth = 0;
    monitor->where = where;
}

static void complete(Monitor *monitor)
{
    g_autofree char *text = g_strdup(monitor->message->str);

    end_message(monitor, BETWEEN);
    handle(monitor, text);
}

/* From here on everything is passed over until something that may begin anew. */
static void wrong_byte(Monitor *monitor)
{
    end_message(monitor, LOST);
    send_error(monitor, "GenericError", "JSON parse error", NULL);
}

static void string_byte(Monitor *monitor, char byte)
{
    if ((unsigned char)byte < 0x20 || (unsigned char)byte >= 0xfe) {
        wrong_byte(monitor);
    } else if (monitor->where == ESCAPE) {
        monitor->where = STRING;
        if (byte == '\'') {
            g_string_truncate(monitor->message, monitor->message->len - 1);
        }
        g_string_append_c(monitor->message, byte);
    } else if (byte == monitor->quote) {
        monitor->where = PLAIN;
        g_string_append_c(monitor->message, '"');
    } else {
        g_string_append(monitor->message, byte == '"' ? "\\" : "");
        g_string_append_c(monitor->message, byte);
        monitor->where = byte == '\\' ? ESCAPE : STRING;
    }
}

static bool is_plain(char byte)
{
    return g_ascii_isalnum(byte) || (byte != '\0' && strchr(" \t\r\n{}[],:+-.", byte));
}

static void plain_byte(Monitor *monitor, char byte)
{
    bool opens = byte == '{' || byte == '[', closes = byte == '}' || byte == ']';

    if (byte == '"' || byte == '\'') {
        monitor->where = STRING;
        monitor->quote = byte;
        g_string_append_c(monitor->message, '"');
        return;
    }
    if (!is_plain(byte) || (closes && monitor->depth == 0) || monitor->depth + opens > MOST_DEPTH) {
        wrong_byte(monitor);
        return;
    }
    /* The bracket that closes is the one of what was opened last; nothing is kept of that, so
     * json-glib finds "{]" wrong. */
    if (monitor->depth == 0 && g_ascii_isspace(byte)) {
        if (monitor->message->len > 0) {
            complete(monitor);
        }
        return;
    }
    monitor->where = PLAIN;
    monitor->depth += opens;
    monitor->depth -= closes;
    g_string_append_c(monitor->message, byte);
    if (closes && monitor->depth == 0) {
        complete(monitor);
    }
}

static void take_byte(Monitor *monitor, char byte)
{
    if (monitor->where == LOST) {
        if (byte != '\n' && byte != '{') {
            return;
        }
        monitor->where = BETWEEN;
    }
    if (monitor->where == STRING || monitor->where == ESCAPE) {
        string_byte(monitor, byte);
    } else {
        plain_byte(monitor, byte);
    }
    if (monitor->message->len > MESSAGE_BYTES) {
        wrong_byte(monitor);
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    Monitor *monitor = opaque;
    char bytes[4096];
    ssize_t len = read(fd, bytes, sizeof(bytes));

    (void)condition;
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
        monitor->in_source = 0;
        return G_SOURCE_REMOVE;
    }
    for (ssize_t i = 0; i < len && monitor->in >= 0; i++) {
        take_byte(monitor, bytes[i]);
    }
    return monitor->in_source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

bool qtest_monitor_new(Qtest *q, int in, int out, GError **error)
{
    Monitor *monitor;

    if (!g_unix_set_fd_nonblocking(in, TRUE, error) ||
        !g_unix_set_fd_nonblocking(out, TRUE, error)) {
        return false;
    }
    monitor = g_new0(Monitor, 1);
    monitor->q = q;
    monitor->in = in;
    monitor->out = out;
    monitor->message = g_string_new(NULL);
    monitor->late = g_string_new(NULL);
    monitor->in_source = g_unix_fd_add(in, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, monitor);
    g_ptr_array_add(q->monitors, monitor);
    send_text(monitor,
              "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 1, \"major\": 11}, "
              "\"package\": \"libdevemu\"}, \"capabilities\": []}}");
    return true;
}

void qtest_monitor_free(gpointer data)
{
    Monitor *monitor = data;

    flush(monitor);
    hang_up(monitor);
    g_string_free(monitor->message, TRUE);
    g_string_free(monitor->late, TRUE);
    g_free(monitor);
}

#else

bool qtest_monitor_new(Qtest *q, int in, int out, GError **error)
{
    (void)q;
    (void)in;
    (void)out;
    return qtest_refuse(error, "this program was built without json-glib and speaks no QMP");
}

void qtest_monitor_free(gpointer monitor)
{
    (void)monitor;
}

void qtest_event(Qtest *q, const char *name, const char *data_format, ...)
{
    (void)q;
    (void)name;
    (void)data_format;
}

#endif
