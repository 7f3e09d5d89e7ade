/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c: a device's life, its host and its backends.
 */
#include "virtio.h"

GQuark devemu_error_quark(void)
{
    return g_quark_from_static_string("devemu-error-quark");
}

/* --- life -------------------------------------------------------------------------- */

static unsigned count_names(const char *const *names)
{
    unsigned count = 0;

    while (names && names[count]) {
        count++;
    }
    return count;
}

static void timers_stop(DevemuDevice *dev)
{
    for (const DevemuTimer *t = dev->model->timers; t && t->name; t++) {
        devemu_member_set(dev->state, t->member, 8, DEVEMU_NEVER);
    }
}

static bool configure(DevemuDevice *dev, const DevemuSetting *settings, size_t count,
                      GError **error)
{
    const DevemuModel *model = dev->model;
    const char *property = "", *message = "is not possible";

    if (!devemu_properties_apply(dev, settings, count, error)) {
        return false;
    }
    if (model->configure && !model->configure(dev->state, &property, &message)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION, "%s: property '%s' %s", model->name,
                    property, message);
        return false;
    }
    return true;
}

static bool has_optional_field(const DevemuModel *model)
{
    for (const DevemuField *f = model->fields; f && f->name; f++) {
        if (f->since_absent_ok) {
            return true;
        }
    }
    return false;
}

static void power_on(DevemuDevice *dev)
{
    dev->busy++;
    devemu_reset_banks(dev, DEVEMU_RESET_POWER);
    if (dev->model->reset) {
        dev->model->reset(dev->state, DEVEMU_RESET_POWER);
    }
    dev->busy--;
    if (has_optional_field(dev->model)) {
        dev->fresh = g_memdup2(dev->state, dev->model->state_size);
    }
}

DevemuDevice *devemu_device_new_with(const DevemuModel *model, const DevemuSetting *settings,
                                     size_t count, GError **error)
{
    /* The state stands on cache lines of its own behind the device. */
    size_t head = (sizeof(DevemuDevice) + 63) & ~(size_t)63;
    DevemuDevice *dev;

    g_return_val_if_fail(model != NULL && model->state_size >= sizeof(DevemuDevice *), NULL);
    g_return_val_if_fail(count_names(model->inputs) <= DEVEMU_LINES, NULL);
    g_return_val_if_fail(count_names(model->outputs) <= DEVEMU_LINES, NULL);
    dev = g_malloc0(head + model->state_size);
    dev->model = model;
    dev->is_bus = model->is_bus;
    dev->bank_count = (unsigned)model->bank_count;
    dev->input_count = count_names(model->inputs);
    dev->output_count = count_names(model->outputs);
    dev->state = (uint8_t *)dev + head;
    *(DevemuDevice **)dev->state = dev;
    dev->deadline = DEVEMU_NEVER;
    dev->log_tokens = DEVEMU_LOG_BURST;
    dev->name = g_strdup(model->name);
    devemu_banks_build(dev);
    timers_stop(dev);
    if (!configure(dev, settings, count, error)) {
        devemu_device_free(dev);
        return NULL;
    }
    devemu_virtio_make(dev);
    power_on(dev);
    return dev;
}

DevemuDevice *devemu_device_new(const DevemuModel *model, const char *options, GError **error)
{
    DevemuSetting *settings = devemu_settings_parse(options, error);
    DevemuDevice *dev;
    size_t count = 0;

    if (settings == NULL) {
        return NULL;
    }
    while (settings[count].name) {
        count++;
    }
    dev = devemu_device_new_with(model, settings, count, error);
    devemu_settings_free(settings);
    return dev;
}

static void child_free(gpointer child, gpointer opaque)
{
    (void)opaque;
    devemu_device_free(child);
}

/* All of them are cut off before the first is freed: what one does as its lines fall may reach
 * another. Nobody outside hears of what ends. */
static void children_free(DevemuDevice *dev)
{
    GPtrArray *gone = g_ptr_array_new();

    memset(&dev->ops, 0, sizeof(dev->ops));
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        DevemuDevice *child = g_ptr_array_index(dev->children, i);

        memset(&child->ops, 0, sizeof(child->ops));
    }
    devemu_tracing_update(dev);
    devemu_wires_drop(dev);
    while (dev->children && dev->children->len > 0) {
        DevemuDevice *child = g_ptr_array_index(dev->children, dev->children->len - 1);

        devemu_device_orphan(child);
        g_ptr_array_add(gone, child);
    }
    g_ptr_array_foreach(gone, child_free, NULL);
    g_ptr_array_unref(gone);
}

void devemu_device_free(DevemuDevice *dev)
{
    if (dev == NULL) {
        return;
    }
    g_return_if_fail(!dev->busy);
    devemu_device_drain(dev);
    if (dev->parent) {
        devemu_bus_unplug(dev);
    }
    children_free(dev);
    if (dev->model->finish) {
        dev->model->finish(dev->state);
    }
    devemu_virtio_free(dev);
    devemu_banks_free(dev);
    g_clear_pointer(&dev->children, g_ptr_array_unref);
    g_clear_pointer(&dev->blobs, g_ptr_array_unref);
    g_free(dev->input_counts);
    g_free(dev->ports);
    g_free(dev->fresh);
    g_free(dev->name);
    g_free(dev);
}

/* --- host -------------------------------------------------------------------------- */

void devemu_device_set_host(DevemuDevice *dev, const DevemuHostOps *ops, void *host)
{
    g_return_if_fail(dev != NULL);
    devemu_device_drain(dev);
    memset(&dev->ops, 0, sizeof(dev->ops));
    if (ops) {
        memcpy(&dev->ops, ops, MIN(ops->size, sizeof(dev->ops)));
    }
    dev->host = host;
    devemu_tracing_update(dev);
    devemu_device_revoke(dev);
    /* The new host knows of no line and no deadline. */
    if (dev->ops.set_line) {
        for (unsigned line = 0; line < DEVEMU_LINES; line++) {
            if (dev->lines >> line & 1) {
                dev->ops.set_line(dev->host, line, true);
            }
        }
    }
    if (dev->ops.deadline && dev->deadline != DEVEMU_NEVER) {
        dev->ops.deadline(dev->host, dev->deadline);
    }
    devemu_device_settle(dev);
}

const DevemuHostOps *devemu_device_host_ops(const DevemuDevice *dev, void **ret_host)
{
    *ret_host = dev->host;
    return &dev->ops;
}

const DevemuModel *devemu_device_model(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, NULL);
    return dev->model;
}

const char *devemu_device_name(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, NULL);
    return dev->name;
}

void devemu_device_set_name(DevemuDevice *dev, const char *name)
{
    g_return_if_fail(dev != NULL && name != NULL);
    g_free(dev->name);
    dev->name = g_strdup(name);
}

void *devemu_device_state(DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, NULL);
    return dev->state;
}

DevemuDevice *devemu_device_parent(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, NULL);
    return dev->parent;
}

DevemuDevice *devemu_device_child(const DevemuDevice *dev, unsigned i)
{
    g_return_val_if_fail(dev != NULL, NULL);
    return dev->children && i < dev->children->len ? g_ptr_array_index(dev->children, i) : NULL;
}

int devemu_device_bank(const DevemuDevice *dev, const char *name)
{
    g_return_val_if_fail(dev != NULL && name != NULL, -1);
    for (size_t b = 0; b < dev->model->bank_count; b++) {
        if (strcmp(dev->model->banks[b].name, name) == 0) {
            return (int)b;
        }
    }
    return -1;
}

bool devemu_device_busy(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, false);
    return dev->busy != 0;
}

uint64_t devemu_device_lines(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, 0);
    return dev->lines;
}

uint64_t devemu_device_inputs(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, 0);
    return dev->inputs;
}

uint64_t devemu_device_deadline(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, DEVEMU_NEVER);
    return dev->deadline;
}

/* --- backends ---------------------------------------------------------------------- */

void devemu_device_attach_net(DevemuDevice *dev, const DevemuNetOps *ops, void *net)
{
    g_return_if_fail(dev != NULL);
    DEVEMU_COPY_OPS(dev->net_ops, ops);
    dev->net = net;
}

void devemu_device_attach_char(DevemuDevice *dev, const DevemuCharOps *ops, void *chr)
{
    g_return_if_fail(dev != NULL);
    DEVEMU_COPY_OPS(dev->char_ops, ops);
    dev->chr = chr;
}

unsigned devemu_device_ports(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, 0);
    return dev->model->ports ? MIN(dev->model->ports(dev->state), DEVEMU_PORTS) : 1;
}

unsigned devemu_device_net_queues(const DevemuDevice *dev)
{
    g_return_val_if_fail(dev != NULL, 0);
    return dev->model->queues ? MIN(dev->model->queues(dev->state), DEVEMU_PORTS - 1) : 1;
}

static DevemuPort *port_of(DevemuDevice *dev, unsigned port)
{
    if (dev->ports == NULL) {
        dev->ports = g_new0(DevemuPort, DEVEMU_PORTS);
    }
    return &dev->ports[port];
}

bool devemu_device_attach_net_queue(DevemuDevice *dev, unsigned queue, const DevemuNetOps *ops,
                                    void *net)
{
    g_return_val_if_fail(dev != NULL, false);
    if (queue >= devemu_device_net_queues(dev)) {
        return false;
    }
    if (queue == 0) {
        devemu_device_attach_net(dev, ops, net);
        return true;
    }
    DEVEMU_COPY_OPS(port_of(dev, queue)->net_ops, ops);
    port_of(dev, queue)->net = net;
    return true;
}

bool devemu_device_attach_port(DevemuDevice *dev, unsigned port, const DevemuCharOps *ops,
                               void *chr)
{
    g_return_val_if_fail(dev != NULL, false);
    if (port >= devemu_device_ports(dev)) {
        return false;
    }
    if (port == 0) {
        devemu_device_attach_char(dev, ops, chr);
        return true;
    }
    DEVEMU_COPY_OPS(port_of(dev, port)->ops, ops);
    port_of(dev, port)->chr = chr;
    return true;
}
