/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record.c: the recorder. A device whose model is made from that of the device below it: the same
 * banks, lines, PCI and ISA identity, each entry passed on and logged, each answer and output
 * likewise. It gives no windows (dma_map), so that every byte that is moved is seen.
 *
 * An event begins when something comes in and the device is idle, and ends when the device's own
 * event ends; what happens between is its items. Time comes through a timer of the recorder's that
 * always stands at the device's deadline and goes before it.
 *
 * A snapshot of the recorder holds the device as its child. Snapshots in the log are taken when no
 * block request is in flight.
 *
 * The file is long because it is a model and a host at once: each entry and each service has its
 * small function here.
 */
#include <devemu/record.h>

#include "record-log.h"

/* A character line that is not the first. */
typedef struct RecorderPort {
    struct Recorder *recorder;
    unsigned number;
} RecorderPort;

typedef struct Recorder {
    DevemuDevice *dev;
    uint64_t due_ns; /* a timer: the deadline of the device below */
    DevemuDevice *inner;
    RecordWriter writer;
    GByteArray *payload; /* the event under way */
    GByteArray *scratch; /* a snapshot */
    uint64_t events;
    uint64_t time; /* as last told to the log */
    unsigned interval;
    bool open; /* inside an event */

    GHashTable *requests; /* in flight, see devemu_record_requests_new() */
    DevemuBlockInfo medium;
    bool has_medium;
    bool late; /* a snapshot waits until no request is in flight */
    RecorderPort ports[DEVEMU_PORTS];
} Recorder;

/* --- the log ----------------------------------------------------------------------- */

static void put_snapshot(Recorder *r)
{
    GVariant *state = devemu_device_save(r->inner);
    uint8_t flags = r->inner->refused ? RECORD_SNAPSHOT_REFUSED : 0;

    devemu_record_put_snapshot(r->scratch, r->events, devemu_now(r->dev), flags,
                               r->has_medium ? &r->medium : NULL, state);
    devemu_record_add(&r->writer, r->scratch);
    g_variant_unref(state);
}

static bool recording(const Recorder *r)
{
    return r->writer.error == 0 && r->writer.file;
}

/* Before the entry that the event is. */
static void begin(Recorder *r, RecordEvent *event)
{
    if (!recording(r)) {
        return;
    }
    r->late |= r->events > 0 && r->events % r->interval == 0;
    if (r->late && event->kind != RECORD_SETTLE && g_hash_table_size(r->requests) == 0) {
        r->late = false;
        put_snapshot(r);
    }
    r->time = event->time = devemu_now(r->dev);
    g_byte_array_set_size(r->payload, 0);
    devemu_record_put_event(r->payload, event);
    r->open = true;
}

static void end(Recorder *r)
{
    if (!r->open) {
        return;
    }
    r->open = false;
    devemu_record_add(&r->writer, r->payload);
    r->events++;
    if (r->writer.error != 0) {
        char *text = g_strdup_printf("the record log '%s' could not be written (%s): recording has "
                                     "stopped",
                                     r->writer.path, g_strerror(r->writer.error));

        devemu_log(r->dev, DEVEMU_LOG_UNIMPL, text);
        g_free(text);
    }
}

static void end_with(Recorder *r, uint64_t access, uint64_t value)
{
    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_RETURN, access, value);
    }
    end(r);
}

/* Something comes in while the device is in an event: true, and the caller passes it on only. */
static bool inside(const Recorder *r)
{
    return r->inner->busy;
}

/* --- entries: from the host to the device ------------------------------------------ */

static DevemuAccess recorder_read(void *state, unsigned bank, uint64_t at, unsigned size,
                                  uint64_t *ret_value)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_READ, .a = bank, .b = at, .c = size};
    DevemuAccess access;

    if (inside(r)) {
        return devemu_device_read(r->inner, bank, at, size, ret_value);
    }
    begin(r, &event);
    access = devemu_device_read(r->inner, bank, at, size, ret_value);
    end_with(r, access, access == DEVEMU_ACCESS_OK ? *ret_value : 0);
    return access;
}

static DevemuAccess recorder_write(void *state, unsigned bank, uint64_t at, unsigned size,
                                   uint64_t value)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_WRITE, .a = bank, .b = at, .c = size, .d = value};
    DevemuAccess access;

    if (inside(r)) {
        return devemu_device_write(r->inner, bank, at, size, value);
    }
    begin(r, &event);
    access = devemu_device_write(r->inner, bank, at, size, value);
    end_with(r, access, 0);
    return access;
}

static void recorder_reset(void *state, DevemuReset kind)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_RESET, .a = kind};

    if (kind == DEVEMU_RESET_POWER || inside(r)) {
        return; /* at creation the device below had its own; a busy one ignores it */
    }
    begin(r, &event);
    devemu_device_reset(r->inner, kind);
    end(r);
}

static void recorder_line(void *state, unsigned line, bool level)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_LINE, .a = line, .b = level};

    if (inside(r)) {
        if (r->open) {
            devemu_record_put_item(r->payload, RECORD_ITEM_LINE, line, level);
        }
        devemu_device_line(r->inner, line, level);
        return;
    }
    begin(r, &event);
    devemu_device_line(r->inner, line, level);
    end(r);
}

static void put_refused(Recorder *r)
{
    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_REFUSED, 0, 0);
    }
}

static size_t recorder_receive_port(void *state, unsigned port, const uint8_t *data, size_t len)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_RECEIVE, .a = port, .data = data, .len = len};
    size_t taken;

    if (inside(r)) {
        put_refused(r);
        return devemu_device_receive_port(r->inner, port, data, len);
    }
    begin(r, &event);
    taken = devemu_device_receive_port(r->inner, port, data, len);
    end_with(r, DEVEMU_ACCESS_OK, taken);
    return taken;
}

static size_t recorder_receive(void *state, const uint8_t *data, size_t len)
{
    return recorder_receive_port(state, 0, data, len);
}

static unsigned recorder_ports(const void *state)
{
    return devemu_device_ports(((const Recorder *)state)->inner);
}

static size_t recorder_packet(void *state, const DevemuNetOffload *offload, const uint8_t *data,
                              size_t len, bool more)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_PACKET, .a = more, .len = DEVEMU_NET_OFFLOAD_BYTES + len};
    uint8_t *all;
    size_t taken;

    if (inside(r)) {
        put_refused(r);
        return devemu_device_receive_packet(r->inner, offload, data, len, more);
    }
    all = g_malloc(event.len);
    devemu_net_offload_put(offload, all);
    memcpy(all + DEVEMU_NET_OFFLOAD_BYTES, data, len);
    event.data = all;
    begin(r, &event);
    g_free(all);
    taken = devemu_device_receive_packet(r->inner, offload, data, len, more);
    end_with(r, DEVEMU_ACCESS_OK, taken);
    return taken;
}

static uint32_t recorder_offloads(const void *state)
{
    return devemu_device_offloads(((const Recorder *)state)->inner);
}

/* A question without effect, but that "no" obliges the device to say when it can. */
static size_t recorder_ready(const void *state)
{
    Recorder *r = devemu_device_state(((const Recorder *)state)->dev);
    RecordEvent event = {.kind = RECORD_READY};
    bool armed = r->inner->refused;
    size_t room = devemu_device_ready(r->inner);

    if (inside(r)) {
        put_refused(r);
    } else if (!armed && r->inner->refused) {
        r->inner->refused = false; /* a snapshot belongs before the event */
        begin(r, &event);
        r->inner->refused = true;
        end_with(r, DEVEMU_ACCESS_OK, 0);
    }
    return room;
}

static void recorder_link(void *state, unsigned link)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_LINK, .a = link};

    if (!inside(r)) {
        begin(r, &event);
        devemu_device_link(r->inner, link);
        end(r);
    }
}

static void recorder_input(void *state, const DevemuInput *input)
{
    Recorder *r = state;
    uint8_t data[24];
    RecordEvent event = {.kind = RECORD_INPUT, .data = data, .len = sizeof(data)};

    devemu_put_le32(data, (uint32_t)input->kind);
    devemu_put_le32(data + 4, input->code);
    devemu_put_le32(data + 8, (uint32_t)input->value);
    devemu_put_le32(data + 12, (uint32_t)input->x);
    devemu_put_le32(data + 16, (uint32_t)input->y);
    devemu_put_le32(data + 20, (uint32_t)input->z);
    if (!inside(r)) {
        begin(r, &event);
        devemu_device_input(r->inner, input);
        end(r);
    }
}

static bool recorder_screen(const void *state, DevemuScreen *screen)
{
    return devemu_device_screen(((const Recorder *)state)->inner, screen);
}

static void recorder_run(void *state, uint64_t due_ns)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_RUN};

    (void)due_ns;
    if (!inside(r)) {
        begin(r, &event);
        devemu_device_run(r->inner);
        end(r);
    }
    r->due_ns = r->inner->deadline;
}

/* The device below has its state already, and will tell lines and deadline next. */
static void recorder_loaded(void *state)
{
    Recorder *r = state;
    RecordEvent event = {.kind = RECORD_LOAD};
    GVariant *saved = devemu_device_save(r->inner);
    GBytes *bytes = devemu_record_state_to_bytes(saved);
    gsize len;

    event.data = g_bytes_get_data(bytes, &len);
    event.len = len;
    begin(r, &event);
    end(r);
    g_bytes_unref(bytes);
    g_variant_unref(saved);
    r->due_ns = r->inner->deadline;
}

static unsigned recorder_ranges(const void *state, DevemuPciRange *ret_ranges, unsigned max)
{
    const Recorder *r = state;

    return r->inner->model->pci->ranges(r->inner->state, ret_ranges, max);
}

static uint64_t recorder_lines(const void *state)
{
    return ((const Recorder *)state)->inner->lines;
}

/* The device below has gone already. */
static void recorder_finish(void *state)
{
    Recorder *r = state;

    devemu_record_close(&r->writer, r->events);
    g_clear_pointer(&r->payload, g_byte_array_unref);
    g_clear_pointer(&r->scratch, g_byte_array_unref);
    g_clear_pointer(&r->requests, g_hash_table_unref);
}

/* --- services: from the device to the host ----------------------------------------- */

/* The answer is put in behind the item, which was there before the host was asked: what comes in
 * while it answers stands after the item. */
static bool inner_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Recorder *r = host;
    guint at = 0;
    bool ok;

    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_DMA_READ, addr, len);
        at = r->payload->len;
        g_byte_array_set_size(r->payload, at + 1 + (guint)len);
        memset(r->payload->data + at, 0, 1 + len);
    }
    ok = r->dev->ops.dma_read && r->dev->ops.dma_read(r->dev->host, addr, buf, len);
    if (r->open && ok) {
        r->payload->data[at] = 1;
        memcpy(r->payload->data + at + 1, buf, len);
    }
    return ok;
}

static bool inner_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Recorder *r = host;
    guint at = 0;
    bool ok;

    if (r->open) {
        const uint8_t no = 0;

        devemu_record_put_item_data(r->payload, RECORD_ITEM_DMA_WRITE, addr, buf, len);
        at = r->payload->len;
        g_byte_array_append(r->payload, &no, 1);
    }
    ok = r->dev->ops.dma_write && r->dev->ops.dma_write(r->dev->host, addr, buf, len);
    if (r->open) {
        r->payload->data[at] = ok;
    }
    return ok;
}

/* Lines and deadline may be told outside an event: by a load, or when the device is put in. */
static bool begin_loose(Recorder *r)
{
    RecordEvent event = {.kind = RECORD_SETTLE};

    if (r->open) {
        return false;
    }
    begin(r, &event);
    return true;
}

static void inner_set_line(void *host, unsigned line, bool level)
{
    Recorder *r = host;
    const DevemuModel *model = r->inner->model;
    bool loose;

    if (!r->open && (model->lines(r->inner->state) >> line & 1) != level) {
        return; /* falls because the device is taken apart: no event */
    }
    loose = begin_loose(r);
    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_OUTPUT, line, level);
    }
    devemu_device_settle(r->dev);
    if (loose) {
        end(r);
    }
}

static void inner_deadline(void *host, uint64_t when_ns)
{
    Recorder *r = host;
    bool loose = begin_loose(r);

    r->due_ns = when_ns;
    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_DEADLINE, when_ns, 0);
    }
    if (loose) {
        end(r);
    }
}

static void inner_msi(void *host, uint64_t addr, uint32_t data)
{
    Recorder *r = host;

    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_MSI, addr, data);
    }
    if (r->dev->ops.msi) {
        r->dev->ops.msi(r->dev->host, addr, data);
    }
}

static uint64_t inner_now(void *host)
{
    Recorder *r = host;
    uint64_t now = devemu_now(r->dev);

    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_NOW, now - r->time, 0);
        r->time = now;
    }
    return now;
}

static const DevemuHostOps inner_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = inner_dma_read,
    .dma_write = inner_dma_write,
    .set_line = inner_set_line,
    .msi = inner_msi,
    .now = inner_now,
    .deadline = inner_deadline,
};

/* --- payload: from the device to the backend --------------------------------------- */

static void inner_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    Recorder *r = net;

    if (r->open) {
        devemu_record_put_frame(r->payload, NULL, slices, count, more);
    }
    devemu_send_frame(r->dev, slices, count, more);
}

/* Whatever the backend takes: what the device does must not depend on that. */
static uint32_t inner_offloads(void *net)
{
    (void)net;
    return DEVEMU_OFFLOAD_ALL;
}

static void inner_send_offload(void *net, const DevemuNetOffload *offload,
                               const DevemuSlice *slices, size_t count, bool more)
{
    Recorder *r = net;

    if (r->open) {
        devemu_record_put_frame(r->payload, offload, slices, count, more);
    }
    devemu_send_packet(r->dev, offload, slices, count, more);
}

static void inner_write(void *chr, const void *data, size_t len)
{
    Recorder *r = chr;

    if (r->open) {
        devemu_record_put_item_data(r->payload, RECORD_ITEM_CHARS, 0, data, len);
    }
    devemu_send_chars(r->dev, data, len);
}

static void inner_port_write(void *chr, const void *data, size_t len)
{
    const RecorderPort *port = chr;
    Recorder *r = port->recorder;

    if (r->open) {
        devemu_record_put_item_data(r->payload, RECORD_ITEM_CHARS, port->number, data, len);
    }
    devemu_send_port(r->dev, port->number, data, len);
}

static void inner_control(void *chr, unsigned lines)
{
    Recorder *r = chr;

    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_CONTROL, lines, 0);
    }
    devemu_send_control(r->dev, lines);
}

static void inner_ready(void *backend)
{
    Recorder *r = backend;

    if (r->open) {
        devemu_record_put_item(r->payload, RECORD_ITEM_READY, 0, 0);
    }
    devemu_send_ready(r->dev);
}

static void inner_port_ready(void *chr)
{
    inner_ready(((const RecorderPort *)chr)->recorder);
}

static void attach_ports(Recorder *r)
{
    static const DevemuCharOps ops = {
        .size = sizeof(ops), .write = inner_port_write, .ready = inner_port_ready};

    for (unsigned i = 1; i < devemu_device_ports(r->inner); i++) {
        r->ports[i] = (RecorderPort){.recorder = r, .number = i};
        devemu_device_attach_port(r->inner, i, &ops, &r->ports[i]);
    }
}

static void attach(Recorder *r)
{
    static const DevemuNetOps net = {.size = sizeof(net),
                                     .send = inner_send,
                                     .ready = inner_ready,
                                     .offloads = inner_offloads,
                                     .send_offload = inner_send_offload};
    static const DevemuCharOps chr = {
        .size = sizeof(chr), .write = inner_write, .ready = inner_ready, .control = inner_control};

    if (r->inner->model->is_char) {
        devemu_device_attach_char(r->inner, &chr, r);
        attach_ports(r);
    } else {
        devemu_device_attach_net(r->inner, &net, r);
    }
}

/* --- requests: down to the block backend, and what comes back ---------------------- */

static void inner_submit(void *block, const DevemuBlockRequest *request, bool more)
{
    Recorder *r = block;

    devemu_record_requests_add(r->requests, request);
    if (r->open) {
        devemu_record_put_request(r->payload, request, more);
    }
    devemu_submit(r->dev, request, more);
}

static void inner_info(void *block, DevemuBlockInfo *ret_info)
{
    *ret_info = ((Recorder *)block)->medium;
}

static void inner_drain(void *block)
{
    devemu_block_drain(((Recorder *)block)->dev);
}

static const DevemuBlockOps block_ops = {
    .size = sizeof(DevemuBlockOps),
    .info = inner_info,
    .submit = inner_submit,
    .drain = inner_drain,
    .ready = inner_ready,
};

/* A backend's entries come when the device below is idle, see devemu_complete_now(). */
static void recorder_complete(void *state, const DevemuBlockCompletion *completions, size_t count)
{
    Recorder *r = state;
    GByteArray *data = devemu_record_completions(r->requests, completions, count);
    RecordEvent event = {.kind = RECORD_COMPLETE, .a = count, .data = data->data, .len = data->len};

    begin(r, &event);
    devemu_device_complete(r->inner, completions, count);
    end(r);
    g_byte_array_unref(data);
}

static void recorder_medium(void *state, const DevemuBlockInfo *info)
{
    Recorder *r = state;
    uint8_t data[RECORD_MEDIUM_BYTES];
    RecordEvent event = {.kind = RECORD_MEDIUM, .data = data, .len = info ? sizeof(data) : 0};

    if (info) {
        devemu_record_medium_to_bytes(info, data);
    }
    begin(r, &event);
    r->has_medium = info != NULL;
    r->medium = info ? *info : (DevemuBlockInfo){0};
    devemu_device_attach_block(r->inner, info ? &block_ops : NULL, r);
    end(r);
}

/* --- the model, made to measure ---------------------------------------------------- */

static const DevemuDecorator decorator = {.read = recorder_read, .write = recorder_write};

static const DevemuTimer timers[] = {DEVEMU_TIMER(Recorder, due_ns, recorder_run), {0}};

static DevemuBank *copy_banks(const DevemuModel *model)
{
    DevemuBank *banks = g_new0(DevemuBank, model->bank_count);

    for (size_t i = 0; i < model->bank_count; i++) {
        banks[i] = (DevemuBank){
            .name = model->banks[i].name,
            .kind = model->banks[i].kind,
            .size = model->banks[i].size,
        };
    }
    return banks;
}

static DevemuPci *copy_pci(const DevemuModel *model)
{
    DevemuPci *pci;

    if (model->pci == NULL) {
        return NULL;
    }
    pci = g_memdup2(model->pci, sizeof(*pci));
    if (pci->ranges) {
        pci->ranges = recorder_ranges;
    }
    return pci;
}

static DevemuModel *model_new(const DevemuModel *model)
{
    DevemuModel *copy = g_new0(DevemuModel, 1);

    *copy = (DevemuModel){
        .name = model->name,
        .title = model->title,
        .datasheet = model->datasheet,
        .not_modelled = model->not_modelled,
        .state_size = sizeof(Recorder),
        .banks = copy_banks(model),
        .bank_count = model->bank_count,
        .timers = timers,
        .outputs = model->outputs,
        .inputs = model->inputs,
        .lines = model->lines ? recorder_lines : NULL,
        .reset = recorder_reset,
        .loaded = recorder_loaded,
        .finish = recorder_finish,
        .input_line = model->input_line ? recorder_line : NULL,
        .receive = model->receive ? recorder_receive : NULL,
        .receive_port = model->receive_port ? recorder_receive_port : NULL,
        .ports = model->ports ? recorder_ports : NULL,
        .receive_packet = model->receive_packet ? recorder_packet : NULL,
        .offloads = model->offloads ? recorder_offloads : NULL,
        .ready = (model->receive || model->receive_packet) && model->ready ? recorder_ready : NULL,
        .link = model->link ? recorder_link : NULL,
        .complete = model->complete ? recorder_complete : NULL,
        .medium = model->medium ? recorder_medium : NULL,
        .input = model->input ? recorder_input : NULL,
        .screen = model->screen ? recorder_screen : NULL,
        .pci = copy_pci(model),
        .isa = model->isa,
        .is_net = model->is_net,
        .is_char = model->is_char,
        .is_block = model->is_block,
        .is_vsock = model->is_vsock,
        .is_bus = true,
    };
    return copy;
}

static void model_free(void *opaque)
{
    DevemuModel *model = opaque;

    g_free((void *)(uintptr_t)model->banks);
    g_free((void *)(uintptr_t)model->pci);
    g_free(model);
}

/* --- creation ---------------------------------------------------------------------- */

static DevemuDevice *recorder_around(DevemuDevice *inner, RecordWriter writer, unsigned interval)
{
    DevemuModel *model = model_new(inner->model);
    DevemuDevice *dev = devemu_device_new_with(model, NULL, 0, NULL);
    Recorder *r = dev->state;

    r->inner = inner;
    r->writer = writer;
    r->payload = g_byte_array_new();
    r->scratch = g_byte_array_new();
    r->requests = devemu_record_requests_new();
    r->interval = interval ? interval : RECORD_DEFAULT_INTERVAL;
    dev->decorator = &decorator;
    /* The model goes when the device has gone: what stands behind blobs is freed last. */
    dev->blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_ptr_array_add(dev->blobs,
                    g_bytes_new_with_free_func(model, sizeof(*model), model_free, model));
    attach(r);
    devemu_device_adopt(dev, inner, &inner_ops, r, inner->model->name);
    return dev;
}

DevemuDevice *devemu_recorder_new_with(const DevemuModel *model, const DevemuSetting *settings,
                                       size_t count, const char *path, unsigned interval,
                                       GError **error)
{
    RecordSettings resolved;
    const DevemuSetting *all;
    DevemuDevice *inner;
    RecordWriter writer;
    bool ok = false;

    g_return_val_if_fail(model != NULL && path != NULL, NULL);
    if (model->is_bus || model->plug) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "%s is a bus: record the devices plugged into it instead", model->name);
        return NULL;
    }
    resolved = devemu_record_settings(model, settings, count);
    all = (const DevemuSetting *)(void *)resolved.all->data;
    inner = devemu_device_new_with(model, all, resolved.all->len, error);
    if (inner) {
        ok = devemu_record_create(&writer, path, model->name, all, resolved.all->len, error);
    }
    devemu_record_settings_clear(&resolved);
    if (!ok) {
        devemu_device_free(inner);
        return NULL;
    }
    return recorder_around(inner, writer, interval);
}

DevemuDevice *devemu_recorder_new(const DevemuModel *model, const char *options, const char *path,
                                  unsigned interval, GError **error)
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
    dev = devemu_recorder_new_with(model, settings, count, path, interval, error);
    devemu_settings_free(settings);
    return dev;
}

bool devemu_recorder_flush(DevemuDevice *recorder, GError **error)
{
    g_return_val_if_fail(recorder != NULL && recorder->decorator == &decorator, false);
    return devemu_record_flush(&((Recorder *)recorder->state)->writer, error);
}
