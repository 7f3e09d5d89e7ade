/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-text.c: a device as people write it.
 */
#include "device-text.h"

#include <string.h>

#define TRANSPORT "pci."
#define PORT      "port."

static bool has_property(const DevemuModel *model, const char *name)
{
    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void append_option(GString *to, const DevemuSetting *setting)
{
    g_auto(GStrv) parts = g_strsplit(setting->text, ",", -1);
    g_autofree char *text = g_strjoinv(",,", parts);

    g_string_append_printf(to, "%s%s=%s", to->len ? "," : "", setting->name, text);
}

static bool has_backend(const DevemuModel *model)
{
    return model->is_net || model->is_char || model->is_block || model->is_vsock;
}

/* The number of "port.N", 0 if it is none of a port that the library can have. */
static unsigned port_number(const DevemuModel *model, const char *name)
{
    guint64 port = 0;

    if (model->ports == NULL || !g_str_has_prefix(name, PORT) ||
        !g_ascii_string_to_unsigned(name + strlen(PORT), 10, 1, DEVEMU_PORTS - 1, &port, NULL)) {
        return 0;
    }
    return (unsigned)port;
}

/* Was it given before? */
static bool is_again(const DevemuSetting *settings, const DevemuSetting *s)
{
    while (settings != s && strcmp(settings->name, s->name) != 0) {
        settings++;
    }
    return settings != s;
}

/* What a model without a backend does not know is its own, too, so that it says so. */
static void split(DeviceText *text, const DevemuSetting *settings)
{
    GString *own = g_string_new(NULL), *backend = g_string_new("null");
    GString *transport = g_string_new(NULL);
    g_autoptr(GString) rest = g_string_new(NULL);

    for (const DevemuSetting *s = settings; s->name; s++) {
        unsigned port = port_number(text->model, s->name);

        if (port > 0) {
            g_free(text->ports[port]);
            text->ports[port] = g_strdup(s->text);
        } else if (text->model->virtio && g_str_has_prefix(s->name, TRANSPORT)) {
            const DevemuSetting plain = {.name = s->name + strlen(TRANSPORT), .text = s->text};

            append_option(transport, &plain);
        } else if (!has_backend(text->model) || (has_property(text->model, s->name) &&
                                                 !(text->named && is_again(settings, s)))) {
            append_option(own, s);
        } else if (strcmp(s->name, "backend") == 0) {
            text->named = true;
            g_string_assign(backend, s->text);
        } else {
            append_option(rest, s);
        }
    }
    if (rest->len) {
        g_string_append_printf(backend, ",%s", rest->str);
    }
    text->own = g_string_free(own, FALSE);
    text->transport = g_string_free(transport, FALSE);
    text->backend = g_string_free(backend, !has_backend(text->model));
}

DeviceText *device_text_new(const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 2);
    const DevemuModel *model = parts[0] ? devemu_model_find(parts[0]) : NULL;
    DevemuSetting *settings;
    DeviceText *made;

    if (model == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "there is no device '%s'; dump_model --list names them",
                    parts[0] ? parts[0] : "");
        return NULL;
    }
    settings = devemu_settings_parse(parts[1], error);
    if (settings == NULL) {
        return NULL;
    }
    made = g_new0(DeviceText, 1);
    made->model = model;
    split(made, settings);
    devemu_settings_free(settings);
    return made;
}

void device_text_free(DeviceText *text)
{
    if (text) {
        g_free(text->own);
        g_free(text->backend);
        g_free(text->transport);
        for (unsigned i = 0; i < DEVEMU_PORTS; i++) {
            g_free(text->ports[i]);
        }
        g_free(text);
    }
}

static bool make_ports(const DeviceText *text, GMainContext *context, DeviceBackend *ret_backend,
                       GError **error)
{
    for (unsigned i = 0; i < DEVEMU_PORTS; i++) {
        if (text->ports[i] == NULL) {
            continue;
        }
        ret_backend->ports[i] = devemu_chr_new(text->ports[i], context, error);
        if (ret_backend->ports[i] == NULL) {
            g_prefix_error(error, PORT "%u: ", i);
            return false;
        }
    }
    return true;
}

bool device_text_backend(const DeviceText *text, GMainContext *context, DeviceBackend *ret_backend,
                         GError **error)
{
    bool made = true;

    memset(ret_backend, 0, sizeof(*ret_backend));
    if (text->model->is_net) {
        ret_backend->net = devemu_net_new(text->backend, context, error);
        made = ret_backend->net != NULL;
    } else if (text->model->is_char) {
        ret_backend->chr = devemu_chr_new(text->backend, context, error);
        made = ret_backend->chr != NULL;
    } else if (text->model->is_vsock) {
        ret_backend->vsock = devemu_vsock_new(text->backend, context, error);
        made = ret_backend->vsock != NULL;
    } else if (text->model->is_block) {
        if (!text->named) {
            g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                        "%s needs a medium: backend=file:PATH, or backend=memory:SIZE",
                        text->model->name);
            return false;
        }
        ret_backend->block = devemu_block_new(text->backend, context, error);
        made = ret_backend->block != NULL;
    }
    if (!made && !text->named) {
        g_prefix_error(error,
                       "not all of that is of %s, and backend= is not given: ", text->model->name);
    }
    return made && make_ports(text, context, ret_backend, error);
}

bool device_backend_attach(const DeviceBackend *backend, DevemuDevice *dev, GError **error)
{
    if (backend->net) {
        devemu_net_attach(backend->net, dev);
    }
    if (backend->chr) {
        devemu_chr_attach(backend->chr, dev);
    }
    for (unsigned i = 0; i < DEVEMU_PORTS; i++) {
        if (backend->ports[i] && !devemu_chr_attach_port(backend->ports[i], dev, i)) {
            g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                        "%s has no port %u; ports= says how many there are",
                        devemu_device_name(dev), i);
            return false;
        }
    }
    if (backend->vsock) {
        devemu_vsock_attach(backend->vsock, dev);
    }
    if (backend->block) {
        devemu_block_attach(backend->block, dev);
    }
    return true;
}

void device_backend_clear(DeviceBackend *backend)
{
    g_clear_pointer(&backend->net, devemu_net_free);
    g_clear_pointer(&backend->chr, devemu_chr_free);
    for (unsigned i = 0; i < DEVEMU_PORTS; i++) {
        g_clear_pointer(&backend->ports[i], devemu_chr_free);
    }
    g_clear_pointer(&backend->block, devemu_block_free);
    g_clear_pointer(&backend->vsock, devemu_vsock_free);
}

DevemuDevice *device_text_transport(DevemuDevice *dev, const DeviceText *text, GError **error)
{
    DevemuDevice *transport =
        text->model->virtio ? devemu_virtio_pci_new(dev, text->transport, error) : dev;

    if (transport == NULL) {
        devemu_device_free(dev);
    }
    return transport;
}
