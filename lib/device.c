/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c: a device's life, its events, its place in the tree.
 */
#include "internal.h"

/* Timers and children that one devemu_device_run() serves before the host gets its thread back. */
#define RUN_BUDGET 256

#define SETTLE_ROUNDS 8

/* Guest mistakes told in a burst, and how often another one after that. */
#define LOG_BURST     16
#define LOG_REFILL_NS UINT64_C(100000000)

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

DevemuDevice *devemu_device_new_with(const DevemuModel *model, const DevemuSetting *settings,
                                     size_t count, GError **error)
{
    /* The state stands on cache lines of its own behind the device. */
    size_t head = (sizeof(DevemuDevice) + 63) & ~(size_t)63;
    DevemuDevice *dev;

    g_return_val_if_fail(model != NULL && model->state_size >= sizeof(DevemuDevice *), NULL);
    g_return_val_if_fail(count_names(model->inputs) <= DEVEMU_LINES, NULL);
    dev = g_malloc0(head + model->state_size);
    dev->model = model;
    dev->is_bus = model->is_bus;
    dev->bank_count = (unsigned)model->bank_count;
    dev->state = (uint8_t *)dev + head;
    *(DevemuDevice **)dev->state = dev;
    dev->deadline = DEVEMU_NEVER;
    dev->log_tokens = LOG_BURST;
    dev->name = g_strdup(model->name);
    devemu_banks_build(dev);
    timers_stop(dev);
    if (!configure(dev, settings, count, error)) {
        devemu_device_free(dev);
        return NULL;
    }
    dev->busy = true;
    devemu_reset_banks(dev, DEVEMU_RESET_POWER);
    if (model->reset) {
        model->reset(dev->state, DEVEMU_RESET_POWER);
    }
    dev->busy = false;
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

static void tracing_update(DevemuDevice *dev);

void devemu_device_free(DevemuDevice *dev)
{
    if (dev == NULL) {
        return;
    }
    if (dev->parent) {
        devemu_bus_unplug(dev);
    }
    /* Nobody hears of what ends. */
    memset(&dev->ops, 0, sizeof(dev->ops));
    tracing_update(dev);
    while (dev->children && dev->children->len > 0) {
        DevemuDevice *child = g_ptr_array_index(dev->children, dev->children->len - 1);

        devemu_device_orphan(child);
        devemu_device_free(child);
    }
    devemu_wires_drop(dev);
    if (dev->model->finish) {
        dev->model->finish(dev->state);
    }
    devemu_banks_free(dev);
    g_clear_pointer(&dev->children, g_ptr_array_unref);
    g_clear_pointer(&dev->blobs, g_ptr_array_unref);
    g_free(dev->input_counts);
    g_free(dev->name);
    g_free(dev);
}

/* --- host -------------------------------------------------------------------------- */

static void tell_deadline(DevemuDevice *dev);

void devemu_device_set_host(DevemuDevice *dev, const DevemuHostOps *ops, void *host)
{
    g_return_if_fail(dev != NULL);
    memset(&dev->ops, 0, sizeof(dev->ops));
    if (ops) {
        memcpy(&dev->ops, ops, MIN(ops->size, sizeof(dev->ops)));
    }
    dev->host = host;
    tracing_update(dev);
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
    return dev->busy;
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

void devemu_trace_emit(DevemuDevice *dev, DevemuTrace *trace)
{
    const DevemuDevice *above = dev;

    if (dev->decorator) {
        return; /* the device below tells the same */
    }
    trace->device = dev;
    while (above->ops.trace == NULL) {
        above = above->parent;
    }
    above->ops.trace(above->host, trace);
}

static void tracing_update(DevemuDevice *dev)
{
    dev->tracing = dev->ops.trace != NULL || (dev->parent && dev->parent->tracing);
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        tracing_update(g_ptr_array_index(dev->children, i));
    }
}

/* --- the end of an event ----------------------------------------------------------- */

static void tell_line(DevemuDevice *dev, unsigned line, bool level)
{
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_OUTPUT, .at = line, .value = level};

        trace.name = line < count_names(dev->model->outputs) ? dev->model->outputs[line] : NULL;
        devemu_trace_emit(dev, &trace);
    }
    if (dev->ops.set_line) {
        dev->ops.set_line(dev->host, line, level);
    }
    devemu_wires_drive(dev, line, level);
}

static void tell_lines(DevemuDevice *dev)
{
    uint64_t lines = dev->model->lines(dev->state);

    while (G_UNLIKELY(lines != dev->lines)) {
        uint64_t changed = lines ^ dev->lines;
        unsigned line = (unsigned)__builtin_ctzll(changed);

        dev->lines ^= UINT64_C(1) << line;
        tell_line(dev, line, dev->lines >> line & 1);
        if (dev->model->is_bus) {
            /* A bus may have been entered again meanwhile. */
            lines = dev->model->lines(dev->state);
        }
    }
}

static uint64_t earliest(const DevemuDevice *dev)
{
    uint64_t when = DEVEMU_NEVER;

    for (const DevemuTimer *t = dev->model->timers; t && t->name; t++) {
        const uint64_t *due = (const uint64_t *)(const void *)((uint8_t *)dev->state + t->member);

        when = MIN(when, *due);
    }
    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        const DevemuDevice *child = g_ptr_array_index(dev->children, i);

        when = MIN(when, child->deadline);
    }
    return when;
}

static void tell_deadline(DevemuDevice *dev)
{
    uint64_t when = earliest(dev);

    if (when == dev->deadline) {
        return;
    }
    dev->deadline = when;
    if (dev->ops.deadline) {
        dev->ops.deadline(dev->host, when);
    }
    if (dev->parent) {
        tell_deadline(dev->parent);
    }
}

static void settle_changed(DevemuDevice *dev)
{
    bool was_busy = dev->busy;

    dev->busy = true;
    /* An output wired to the device's own input could swing for ever: so many rounds an event. */
    for (unsigned round = 0; round < SETTLE_ROUNDS; round++) {
        if (dev->model->lines) {
            tell_lines(dev);
        }
        if (G_LIKELY(dev->dirty_inputs == 0)) {
            break;
        }
        devemu_inputs_settle(dev);
    }
    tell_deadline(dev);
    dev->busy = was_busy;
}

void devemu_device_settle(DevemuDevice *dev)
{
    uint64_t lines;

    if (G_UNLIKELY(dev->busy) && !dev->is_bus) {
        return; /* the event under way will */
    }
    lines = dev->model->lines ? dev->model->lines(dev->state) : 0;
    if (G_UNLIKELY(lines != dev->lines || dev->dirty_inputs != 0)) {
        settle_changed(dev);
    } else if (earliest(dev) != dev->deadline) {
        tell_deadline(dev);
    }
}

void devemu_leave(DevemuDevice *dev)
{
    dev->busy = false;
    devemu_device_settle(dev);
}

/* --- other events ------------------------------------------------------------------ */

void devemu_device_reset(DevemuDevice *dev, DevemuReset kind)
{
    g_return_if_fail(dev != NULL && kind <= DEVEMU_RESET_SOFT);
    if (!devemu_enter(dev)) {
        return;
    }
    if (dev->tracing) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_RESET, .value = kind};

        devemu_trace_emit(dev, &trace);
    }
    devemu_reset_banks(dev, kind);
    if (dev->model->reset) {
        dev->model->reset(dev->state, kind);
    }
    devemu_leave(dev);
}

static const DevemuTimer *next_timer(const DevemuDevice *dev, uint64_t now, uint64_t *ret_due)
{
    const DevemuTimer *next = NULL;

    *ret_due = DEVEMU_NEVER;
    for (const DevemuTimer *t = dev->model->timers; t && t->name; t++) {
        uint64_t due = devemu_member_get(dev->state, t->member, 8);

        if (due < *ret_due && due <= now) {
            next = t;
            *ret_due = due;
        }
    }
    return next;
}

static DevemuDevice *next_child(const DevemuDevice *dev, uint64_t limit, uint64_t now)
{
    DevemuDevice *next = NULL;

    for (unsigned i = 0; dev->children && i < dev->children->len; i++) {
        DevemuDevice *child = g_ptr_array_index(dev->children, i);

        if (child->deadline <= now && child->deadline < limit) {
            next = child;
            limit = child->deadline;
        }
    }
    return next;
}

static void expire(DevemuDevice *dev, const DevemuTimer *timer, uint64_t due)
{
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_TIMER, .name = timer->name, .value = due};

        devemu_trace_emit(dev, &trace);
    }
    devemu_member_set(dev->state, timer->member, 8, DEVEMU_NEVER);
    timer->expired(dev->state, due);
}

void devemu_device_run(DevemuDevice *dev)
{
    uint64_t now;

    g_return_if_fail(dev != NULL);
    if (dev->busy) {
        return;
    }
    now = devemu_now(dev);
    for (unsigned i = 0; i < RUN_BUDGET && dev->deadline <= now; i++) {
        uint64_t due;
        const DevemuTimer *timer = next_timer(dev, now, &due);
        DevemuDevice *child = next_child(dev, timer ? due : DEVEMU_NEVER, now);

        if (child) {
            uint64_t before = child->deadline;

            devemu_device_run(child);
            if (child->deadline == before) {
                break; /* busy: it is served when its event has ended */
            }
        } else if (timer) {
            dev->busy = true;
            expire(dev, timer, due);
            devemu_leave(dev);
        } else {
            tell_deadline(dev);
            break;
        }
    }
}

size_t devemu_device_receive(DevemuDevice *dev, const void *data, size_t len)
{
    size_t taken;

    g_return_val_if_fail(dev != NULL && (data != NULL || len == 0), 0);
    if (dev->model->receive == NULL) {
        return len; /* nobody listens: gone, as on a wire */
    }
    if (!devemu_enter(dev)) {
        dev->refused = true;
        return 0;
    }
    taken = dev->model->receive(dev->state, data, len);
    if (taken < len) {
        dev->refused = true;
    }
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {
            .kind = DEVEMU_TRACE_RECEIVE, .data = data, .len = len, .value = taken};

        devemu_trace_emit(dev, &trace);
    }
    devemu_leave(dev);
    return taken;
}

size_t devemu_device_ready(DevemuDevice *dev)
{
    size_t room;

    g_return_val_if_fail(dev != NULL, 0);
    if (dev->model->receive == NULL || dev->model->ready == NULL) {
        return SIZE_MAX;
    }
    room = dev->busy ? 0 : dev->model->ready(dev->state);
    if (room == 0) {
        dev->refused = true;
    }
    return room;
}

void devemu_device_link(DevemuDevice *dev, unsigned link)
{
    g_return_if_fail(dev != NULL);
    if (dev->model->link && devemu_enter(dev)) {
        dev->model->link(dev->state, link);
        devemu_leave(dev);
    }
}

void devemu_device_complete(DevemuDevice *dev, uint32_t tag, int status)
{
    g_return_if_fail(dev != NULL);
    if (dev->model->complete && devemu_enter(dev)) {
        dev->model->complete(dev->state, tag, status);
        devemu_leave(dev);
    }
}

void devemu_device_input(DevemuDevice *dev, const DevemuInput *input)
{
    g_return_if_fail(dev != NULL && input != NULL);
    if (dev->model->input && devemu_enter(dev)) {
        dev->model->input(dev->state, input);
        devemu_leave(dev);
    }
}

bool devemu_device_screen(const DevemuDevice *dev, DevemuScreen *screen)
{
    g_return_val_if_fail(dev != NULL && screen != NULL, false);
    return dev->model->screen && dev->model->screen(dev->state, screen);
}

/* --- backends ---------------------------------------------------------------------- */

#define COPY_OPS(to, from)                                                                         \
    do {                                                                                           \
        memset(&(to), 0, sizeof(to));                                                              \
        if (from) {                                                                                \
            memcpy(&(to), (from), MIN((from)->size, sizeof(to)));                                  \
        }                                                                                          \
    } while (0)

void devemu_device_attach_net(DevemuDevice *dev, const DevemuNetOps *ops, void *net)
{
    g_return_if_fail(dev != NULL);
    COPY_OPS(dev->net_ops, ops);
    dev->net = net;
}

void devemu_device_attach_char(DevemuDevice *dev, const DevemuCharOps *ops, void *chr)
{
    g_return_if_fail(dev != NULL);
    COPY_OPS(dev->char_ops, ops);
    dev->chr = chr;
}

void devemu_device_attach_block(DevemuDevice *dev, const DevemuBlockOps *ops, void *block)
{
    g_return_if_fail(dev != NULL);
    COPY_OPS(dev->block_ops, ops);
    dev->block = block;
}

/* --- services for models ----------------------------------------------------------- */

uint64_t devemu_now(const DevemuDevice *dev)
{
    while (dev && dev->ops.now == NULL) {
        dev = dev->parent;
    }
    return dev ? dev->ops.now(dev->host) : 0;
}

void devemu_send_msi(DevemuDevice *dev, unsigned vector)
{
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_MSI, .at = vector};

        devemu_trace_emit(dev, &trace);
    }
    if (dev->ops.msi) {
        dev->ops.msi(dev->host, vector, 0);
    }
}

static void trace_send(DevemuDevice *dev, const void *data, size_t len)
{
    DevemuTrace trace = {.kind = DEVEMU_TRACE_SEND, .data = data, .len = len};

    devemu_trace_emit(dev, &trace);
}

static void trace_frame(DevemuDevice *dev, const DevemuSlice *slices, size_t count)
{
    GByteArray *whole = g_byte_array_new();

    for (size_t i = 0; i < count; i++) {
        g_byte_array_append(whole, slices[i].data, (guint)slices[i].len);
    }
    trace_send(dev, whole->data, whole->len);
    g_byte_array_unref(whole);
}

void devemu_send_frame(DevemuDevice *dev, const DevemuSlice *slices, size_t count, bool more)
{
    if (G_UNLIKELY(dev->tracing)) {
        trace_frame(dev, slices, count);
    }
    if (dev->net_ops.send) {
        dev->net_ops.send(dev->net, slices, count, more);
    }
}

void devemu_send_chars(DevemuDevice *dev, const void *data, size_t len)
{
    if (G_UNLIKELY(dev->tracing)) {
        trace_send(dev, data, len);
    }
    if (dev->char_ops.write) {
        dev->char_ops.write(dev->chr, data, len);
    }
}

void devemu_send_control(DevemuDevice *dev, unsigned lines)
{
    if (dev->char_ops.control) {
        dev->char_ops.control(dev->chr, lines);
    }
}

void devemu_send_ready(DevemuDevice *dev)
{
    if (!dev->refused) {
        return;
    }
    dev->refused = false;
    if (dev->net_ops.ready) {
        dev->net_ops.ready(dev->net);
    }
    if (dev->char_ops.ready) {
        dev->char_ops.ready(dev->chr);
    }
}

static bool log_allowed(DevemuDevice *dev)
{
    uint64_t now = devemu_now(dev);

    if (now >= dev->log_refill_ns) {
        dev->log_refill_ns = now + LOG_REFILL_NS;
        dev->log_tokens = MIN(dev->log_tokens + 1, LOG_BURST);
    }
    if (dev->log_tokens == 0) {
        return false;
    }
    dev->log_tokens--;
    return true;
}

void devemu_log(DevemuDevice *dev, DevemuLogLevel level, const char *text)
{
    const DevemuDevice *above = dev;

    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_LOG, .name = text, .value = level};

        devemu_trace_emit(dev, &trace);
    }
    while (above && above->ops.log == NULL) {
        above = above->parent;
    }
    if (above) {
        char *line = g_strdup_printf("%s: %s", dev->name, text);

        above->ops.log(above->host, level, line);
        g_free(line);
    }
}

void devemu_guest_error(DevemuDevice *dev, const char *text)
{
    if (log_allowed(dev)) {
        devemu_log(dev, DEVEMU_LOG_GUEST, text);
    }
}

/* --- the tree ---------------------------------------------------------------------- */

static bool name_taken(const DevemuDevice *parent, const char *name)
{
    for (unsigned i = 0; i < parent->children->len; i++) {
        const DevemuDevice *child = g_ptr_array_index(parent->children, i);

        if (strcmp(child->name, name) == 0) {
            return true;
        }
    }
    return false;
}

void devemu_device_adopt(DevemuDevice *parent, DevemuDevice *child, const DevemuHostOps *ops,
                         void *host, const char *name)
{
    char *unique = g_strdup(name);

    g_return_if_fail(parent != NULL && child != NULL && child->parent == NULL);
    if (parent->children == NULL) {
        parent->children = g_ptr_array_new();
    }
    for (unsigned i = 1; name_taken(parent, unique); i++) {
        g_free(unique);
        unique = g_strdup_printf("%s.%u", name, i);
    }
    g_free(child->name);
    child->name = unique;
    child->parent = parent;
    g_ptr_array_add(parent->children, child);
    devemu_device_set_host(child, ops, host);
    tell_deadline(parent);
}

void devemu_device_orphan(DevemuDevice *child)
{
    DevemuDevice *parent = child->parent;

    g_return_if_fail(parent != NULL);
    for (unsigned line = 0; line < DEVEMU_LINES; line++) {
        if (child->lines >> line & 1) {
            child->lines &= ~(UINT64_C(1) << line);
            tell_line(child, line, false);
        }
    }
    devemu_wires_drop(child);
    g_ptr_array_remove(parent->children, child);
    child->parent = NULL;
    memset(&child->ops, 0, sizeof(child->ops));
    child->host = NULL;
    tracing_update(child);
    devemu_device_revoke(child);
    tell_deadline(parent);
}

/* --- passing on: what a bus does for its children by default ----------------------- */

static bool pass_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuDevice *bus = host;

    return bus->ops.dma_read && bus->ops.dma_read(bus->host, addr, buf, len);
}

static bool pass_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuDevice *bus = host;

    return bus->ops.dma_write && bus->ops.dma_write(bus->host, addr, buf, len);
}

static bool pass_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuDevice *bus = host;

    return bus->ops.dma_map && bus->ops.dma_map(bus->host, addr, ret_window);
}

static void pass_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuDevice *bus = host;

    if (bus->ops.msi) {
        bus->ops.msi(bus->host, addr, data);
    }
}

const DevemuHostOps devemu_passing_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = pass_dma_read,
    .dma_write = pass_dma_write,
    .dma_map = pass_dma_map,
    .msi = pass_msi,
};
