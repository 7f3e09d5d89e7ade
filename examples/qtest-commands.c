/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest-commands.c: the monitor's commands, those that clients of qtest give. Answers have the
 * members that QEMU's schema makes mandatory, and no others: its clients read them strictly.
 */
#include "qtest-qmp.h"

#include <string.h>

/* --- values ------------------------------------------------------------------------ */

static JsonNode *object_node(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return node;
}

static JsonNode *array_node(JsonArray *array)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(node, array);
    return node;
}

static JsonNode *nothing(void)
{
    return object_node(json_object_new());
}

/* A member of that type, or NULL. */
static JsonNode *member(JsonObject *arguments, const char *name, GType type)
{
    JsonNode *node = arguments ? json_object_get_member(arguments, name) : NULL;

    return node && json_node_get_value_type(node) == type ? node : NULL;
}

static const char *text_of(JsonObject *arguments, const char *name, GError **error)
{
    JsonNode *node = member(arguments, name, G_TYPE_STRING);

    if (node == NULL) {
        qtest_refuse(error, "Parameter '%s' is missing", name);
        return NULL;
    }
    return json_node_get_string(node);
}

/* --- what there is ----------------------------------------------------------------- */

static JsonNode *query_version(Qtest *q, JsonObject *arguments, GError **error)
{
    JsonObject *version = json_object_new(), *numbers = json_object_new();

    (void)q;
    (void)arguments;
    (void)error;
    json_object_set_int_member(numbers, "micro", 0);
    json_object_set_int_member(numbers, "minor", 1);
    json_object_set_int_member(numbers, "major", 11);
    json_object_set_object_member(version, "qemu", numbers);
    json_object_set_string_member(version, "package", "libdevemu");
    return object_node(version);
}

static JsonNode *query_name(Qtest *q, JsonObject *arguments, GError **error)
{
    (void)q;
    (void)arguments;
    (void)error;
    return nothing();
}

static JsonNode *query_none(Qtest *q, JsonObject *arguments, GError **error)
{
    (void)q;
    (void)arguments;
    (void)error;
    return array_node(json_array_new());
}

static JsonNode *query_commands(Qtest *q, JsonObject *arguments, GError **error)
{
    JsonArray *list = json_array_new();

    (void)q;
    (void)arguments;
    (void)error;
    for (const QmpCommand *command = qmp_commands; command->name; command++) {
        JsonObject *item = json_object_new();

        json_object_set_string_member(item, "name", command->name);
        json_array_add_object_element(list, item);
    }
    return array_node(list);
}

static void add_machine(const Qtest *q, JsonArray *list, const char *name, const char *alias)
{
    static const char *const never[] = {"hotpluggable-cpus", "numa-mem-supported", "deprecated"};
    JsonObject *item = json_object_new();

    json_object_set_string_member(item, "name", name);
    if (alias) {
        json_object_set_string_member(item, "alias", alias);
    }
    json_object_set_int_member(item, "cpu-max", 1);
    for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
        json_object_set_boolean_member(item, never[i], FALSE);
    }
    if (q->options.acpi) {
        json_object_set_boolean_member(item, "acpi", FALSE);
    }
    json_array_add_object_element(list, item);
}

static JsonNode *query_machines(Qtest *q, JsonObject *arguments, GError **error)
{
    JsonArray *list = json_array_new();

    (void)arguments;
    (void)error;
    add_machine(q, list, "none", NULL);
    add_machine(q, list, "pc-i440fx-11.1", "pc");
    return array_node(list);
}

static JsonNode *qom_list_types(Qtest *q, JsonObject *arguments, GError **error)
{
    JsonArray *list = json_array_new();
    JsonNode *implements = member(arguments, "implements", G_TYPE_STRING);
    const char *kind = implements ? json_node_get_string(implements) : "device";
    const char *name;

    (void)q;
    (void)error;
    for (unsigned i = 0; (name = qtest_driver(i)) != NULL; i++) {
        if (strcmp(kind, "device") == 0 || strcmp(kind, "pci-device") == 0) {
            JsonObject *item = json_object_new();

            json_object_set_string_member(item, "name", name);
            json_object_set_string_member(item, "parent", "pci-device");
            json_array_add_object_element(list, item);
        }
    }
    return array_node(list);
}

/* --- running ----------------------------------------------------------------------- */

static JsonNode *query_status(Qtest *q, JsonObject *arguments, GError **error)
{
    JsonObject *status = json_object_new();

    (void)arguments;
    (void)error;
    json_object_set_boolean_member(status, "running", q->running);
    json_object_set_string_member(status, "status",
                                  q->running   ? "running"
                                  : q->started ? "paused"
                                               : "prelaunch");
    return object_node(status);
}

/* There is no CPU to stop: the client moves the clock, and may do so all the same. */
static JsonNode *stop(Qtest *q, JsonObject *arguments, GError **error)
{
    (void)arguments;
    (void)error;
    if (q->running) {
        q->running = false;
        qtest_event(q, "STOP", NULL);
    }
    return nothing();
}

static JsonNode *cont(Qtest *q, JsonObject *arguments, GError **error)
{
    (void)arguments;
    (void)error;
    if (!q->running) {
        q->running = q->started = true;
        qtest_event(q, "RESUME", NULL);
    }
    return nothing();
}

static JsonNode *system_reset(Qtest *q, JsonObject *arguments, GError **error)
{
    (void)arguments;
    (void)error;
    qtest_reset(q, false);
    return nothing();
}

static JsonNode *quit(Qtest *q, JsonObject *arguments, GError **error)
{
    (void)arguments;
    (void)error;
    qtest_quit(q, false);
    return nothing();
}

/* --- devices ----------------------------------------------------------------------- */

/* A value as -device takes it. */
static char *value_text(JsonNode *node)
{
    GType type = json_node_get_value_type(node);

    if (type == G_TYPE_STRING) {
        return g_strdup(json_node_get_string(node));
    }
    if (type == G_TYPE_BOOLEAN) {
        return g_strdup(json_node_get_boolean(node) ? "on" : "off");
    }
    return json_to_string(node, FALSE);
}

/* Arguments as settings; text is the caller's. */
static GArray *settings_of(JsonObject *arguments, GPtrArray *texts)
{
    g_autoptr(GList) names = json_object_get_members(arguments);
    GArray *settings = g_array_new(TRUE, TRUE, sizeof(DevemuSetting));

    for (GList *name = names; name; name = name->next) {
        char *text = value_text(json_object_get_member(arguments, name->data));
        const DevemuSetting setting = {.name = name->data, .text = text};

        g_ptr_array_add(texts, text);
        g_array_append_val(settings, setting);
    }
    return settings;
}

static JsonNode *device_add(Qtest *q, JsonObject *arguments, GError **error)
{
    const char *driver = text_of(arguments, "driver", error);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) settings = NULL;

    if (driver == NULL) {
        return NULL;
    }
    settings = settings_of(arguments, texts);
    return qtest_add_card(q, driver, (const DevemuSetting *)(void *)settings->data, error)
               ? nothing()
               : NULL;
}

static JsonNode *device_del(Qtest *q, JsonObject *arguments, GError **error)
{
    const char *id = text_of(arguments, "id", error);

    return id && qtest_ask_card(q, id, error) ? nothing() : NULL;
}

static JsonNode *netdev_add(Qtest *q, JsonObject *arguments, GError **error)
{
    const char *type = text_of(arguments, "type", error);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) settings = NULL;
    guint kept = 0;

    if (type == NULL) {
        return NULL;
    }
    settings = settings_of(arguments, texts);
    while (kept < settings->len) {
        if (strcmp(g_array_index(settings, DevemuSetting, kept).name, "type") == 0) {
            g_array_remove_index(settings, kept);
        } else {
            kept++;
        }
    }
    return qtest_add_netdev(q, type, (const DevemuSetting *)(void *)settings->data, error)
               ? nothing()
               : NULL;
}

static JsonNode *netdev_del(Qtest *q, JsonObject *arguments, GError **error)
{
    const char *id = text_of(arguments, "id", error);

    return id && qtest_del_netdev(q, id, error) ? nothing() : NULL;
}

static JsonNode *set_link(Qtest *q, JsonObject *arguments, GError **error)
{
    const char *name = text_of(arguments, "name", error);
    JsonNode *up = member(arguments, "up", G_TYPE_BOOLEAN);

    if (name == NULL || up == NULL) {
        qtest_refuse(error, "Parameter 'up' is missing");
        return NULL;
    }
    if (!qtest_set_link(q, name, json_node_get_boolean(up))) {
        qtest_refuse(error, "Device '%s' not found", name);
        return NULL;
    }
    return nothing();
}

static JsonNode *human_monitor(Qtest *q, JsonObject *arguments, GError **error)
{
    const char *line = text_of(arguments, "command-line", error);

    (void)q;
    if (line) {
        qtest_refuse(error, "there is no monitor for people here: %s", line);
    }
    return NULL;
}

const QmpCommand qmp_commands[] = {
    {"query-version", query_version},
    {"query-name", query_name},
    {"query-status", query_status},
    {"query-commands", query_commands},
    {"query-machines", query_machines},
    {"query-block", query_none},
    {"query-named-block-nodes", query_none},
    {"qom-list-types", qom_list_types},
    {"system_reset", system_reset},
    {"stop", stop},
    {"cont", cont},
    {"quit", quit},
    {"device_add", device_add},
    {"device_del", device_del},
    {"netdev_add", netdev_add},
    {"netdev_del", netdev_del},
    {"set_link", set_link},
    {"human-monitor-command", human_monitor},
    {NULL, NULL},
};
