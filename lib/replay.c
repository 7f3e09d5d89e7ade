/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.c: runs one device from a record log. What the device asks is answered from the log; what
 * it puts out is encoded as the recorder would, and compared with what stands there.
 *
 * The file is long because it is the other side of record.c, service by service and event by event.
 */
#include <devemu/list.h>

#include "replay.h"

/* --- items ------------------------------------------------------------------------- */

static bool next_is(const DevemuReplay *r, RecordItemKind kind)
{
    return r->items.p < r->items.end && *r->items.p == (uint8_t)kind;
}

static bool take(DevemuReplay *r, RecordItem *ret_item)
{
    if (!devemu_record_get_item(&r->items, ret_item)) {
        devemu_replay_broken(r, "it is malformed");
        return false;
    }
    return true;
}

/* What came in while the device was at it. */
static void take_meanwhile(DevemuReplay *r)
{
    RecordItem item;

    while (next_is(r, RECORD_ITEM_LINE) || next_is(r, RECORD_ITEM_REFUSED)) {
        if (!take(r, &item)) {
            return;
        }
        if (item.kind == RECORD_ITEM_REFUSED) {
            r->dev->refused = true;
        } else if (item.a < DEVEMU_LINES) {
            devemu_device_line(r->dev, (unsigned)item.a, item.b != 0);
        } else {
            devemu_replay_broken(r, "it has an input line that no device has");
            return;
        }
    }
}

static void take_now(DevemuReplay *r)
{
    RecordItem item;

    if (take(r, &item)) {
        r->now += item.a;
    }
}

/* All that stands before the next output. */
static void take_asides(DevemuReplay *r)
{
    for (;;) {
        take_meanwhile(r);
        if (r->outcome != OUTCOME_SAME || !next_is(r, RECORD_ITEM_NOW)) {
            return;
        }
        take_now(r);
    }
}

/* Is r->did what the log has next? Then it is passed over, up to the host's answer. */
static bool matches(DevemuReplay *r)
{
    if (!r->comparing || r->outcome != OUTCOME_SAME) {
        return false;
    }
    take_asides(r);
    if (r->outcome != OUTCOME_SAME) {
        return false;
    }
    if (r->did->len > (size_t)(r->items.end - r->items.p) ||
        memcmp(r->did->data, r->items.p, r->did->len) != 0) {
        devemu_replay_differs(r);
        return false;
    }
    r->items.p += r->did->len;
    return true;
}

static void did(DevemuReplay *r, RecordItemKind kind, uint64_t a, uint64_t b)
{
    g_byte_array_set_size(r->did, 0);
    devemu_record_put_item(r->did, kind, a, b);
}

static void output(DevemuReplay *r, RecordItemKind kind, uint64_t a, uint64_t b)
{
    did(r, kind, a, b);
    if (matches(r)) {
        take_meanwhile(r);
    }
}

/* --- the device's host ------------------------------------------------------------- */

static bool replay_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuReplay *r = host;
    bool ok;

    did(r, RECORD_ITEM_DMA_READ, addr, len);
    if (!matches(r)) {
        return false;
    }
    ok = devemu_record_get_u8(&r->items) != 0;
    if (r->items.bad || len > (size_t)(r->items.end - r->items.p)) {
        devemu_replay_broken(r, "it is malformed");
        return false;
    }
    memcpy(buf, r->items.p, len);
    r->items.p += len;
    take_meanwhile(r);
    return ok;
}

static bool replay_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuReplay *r = host;
    bool ok;

    g_byte_array_set_size(r->did, 0);
    devemu_record_put_item_data(r->did, RECORD_ITEM_DMA_WRITE, addr, buf, len);
    if (!matches(r)) {
        return true;
    }
    ok = devemu_record_get_u8(&r->items) != 0;
    if (r->items.bad) {
        devemu_replay_broken(r, "it is malformed");
    }
    take_meanwhile(r);
    return ok;
}

static void replay_set_line(void *host, unsigned line, bool level)
{
    output(host, RECORD_ITEM_OUTPUT, line, level);
}

static void replay_msi(void *host, uint64_t addr, uint32_t data)
{
    output(host, RECORD_ITEM_MSI, addr, data);
}

static uint64_t replay_now(void *host)
{
    DevemuReplay *r = host;

    if (r->comparing && r->outcome == OUTCOME_SAME && next_is(r, RECORD_ITEM_NOW)) {
        take_now(r);
    }
    return r->now;
}

static void replay_deadline(void *host, uint64_t when_ns)
{
    output(host, RECORD_ITEM_DEADLINE, when_ns, 0);
}

static void replay_trace(void *host, const DevemuTrace *trace)
{
    DevemuReplay *r = host;
    Seen *seen = &r->seen[r->seen_count++ % SEEN_MAX];

    seen->event = r->position;
    seen->trace = *trace;
    if (trace->data) {
        memcpy(seen->data, trace->data, MIN(trace->len, sizeof(seen->data)));
        seen->trace.data = seen->data;
    }
    if (trace->name) {
        g_strlcpy(seen->name, trace->name, sizeof(seen->name));
        seen->trace.name = seen->name;
    }
}

static void replay_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    DevemuReplay *r = net;

    g_byte_array_set_size(r->did, 0);
    devemu_record_put_frame(r->did, NULL, slices, count, more);
    if (matches(r)) {
        take_meanwhile(r);
    }
}

static uint32_t replay_offloads(void *net)
{
    (void)net;
    return DEVEMU_OFFLOAD_ALL; /* as the recorder */
}

static void replay_send_offload(void *net, const DevemuNetOffload *offload,
                                const DevemuSlice *slices, size_t count, bool more)
{
    DevemuReplay *r = net;

    g_byte_array_set_size(r->did, 0);
    devemu_record_put_frame(r->did, offload, slices, count, more);
    if (matches(r)) {
        take_meanwhile(r);
    }
}

static void replay_write(void *chr, const void *data, size_t len)
{
    DevemuReplay *r = chr;

    g_byte_array_set_size(r->did, 0);
    devemu_record_put_item_data(r->did, RECORD_ITEM_CHARS, 0, data, len);
    if (matches(r)) {
        take_meanwhile(r);
    }
}

static void replay_port_write(void *chr, const void *data, size_t len)
{
    const ReplayPort *port = chr;
    DevemuReplay *r = port->replay;

    g_byte_array_set_size(r->did, 0);
    devemu_record_put_item_data(r->did, RECORD_ITEM_CHARS, port->number, data, len);
    if (matches(r)) {
        take_meanwhile(r);
    }
}

static void replay_control(void *chr, unsigned lines)
{
    output(chr, RECORD_ITEM_CONTROL, lines, 0);
}

static void replay_ready(void *backend)
{
    output(backend, RECORD_ITEM_READY, 0, 0);
}

static void replay_info(void *block, DevemuBlockInfo *ret_info)
{
    *ret_info = ((DevemuReplay *)block)->medium;
}

static void replay_submit(void *block, const DevemuBlockRequest *request, bool more)
{
    DevemuReplay *r = block;

    g_byte_array_set_size(r->did, 0);
    devemu_record_put_request(r->did, request, more);
    if (matches(r)) {
        devemu_record_requests_add(r->requests, request);
        take_meanwhile(r);
    }
}

/* A medium of len bytes of description; 0: none. */
static void set_medium(DevemuReplay *r, const uint8_t *data, size_t len)
{
    static const DevemuBlockOps block = {
        .size = sizeof(block), .info = replay_info, .submit = replay_submit, .ready = replay_ready};

    if (len > 0 && !devemu_record_medium_from_bytes(&r->medium, data, len)) {
        devemu_replay_broken(r, "it has a medium that there is not");
        return;
    }
    devemu_device_attach_block(r->dev, len > 0 ? &block : NULL, r);
}

static void replay_port_ready(void *chr)
{
    replay_ready(((const ReplayPort *)chr)->replay);
}

static void attach_ports(DevemuReplay *r)
{
    static const DevemuCharOps ops = {
        .size = sizeof(ops), .write = replay_port_write, .ready = replay_port_ready};

    for (unsigned i = 1; i < devemu_device_ports(r->dev); i++) {
        r->ports[i] = (ReplayPort){.replay = r, .number = i};
        devemu_device_attach_port(r->dev, i, &ops, &r->ports[i]);
    }
}

static void connect(DevemuReplay *r)
{
    static const DevemuHostOps ops = {
        .size = sizeof(ops),
        .dma_read = replay_dma_read,
        .dma_write = replay_dma_write,
        .set_line = replay_set_line,
        .msi = replay_msi,
        .now = replay_now,
        .deadline = replay_deadline,
        .trace = replay_trace,
    };
    static const DevemuNetOps net = {.size = sizeof(net),
                                     .send = replay_send,
                                     .ready = replay_ready,
                                     .offloads = replay_offloads,
                                     .send_offload = replay_send_offload};
    static const DevemuCharOps chr = {.size = sizeof(chr),
                                      .write = replay_write,
                                      .ready = replay_ready,
                                      .control = replay_control};

    devemu_device_set_host(r->dev, &ops, r);
    if (r->dev->model->is_char) {
        devemu_device_attach_char(r->dev, &chr, r);
        attach_ports(r);
    } else {
        devemu_device_attach_net(r->dev, &net, r);
    }
}

/* --- events ------------------------------------------------------------------------ */

static void do_access(DevemuReplay *r, const RecordEvent *e)
{
    DevemuAccess access;
    uint64_t value = 0;

    if (e->a >= r->dev->model->bank_count) {
        devemu_replay_broken(r, "it has an access to a bank that the model does not have");
        return;
    }
    if (e->c != 1 && e->c != 2 && e->c != 4 && e->c != 8) {
        devemu_replay_broken(r, "it has an access of a width that there is not");
        return;
    }
    if (e->kind == RECORD_READ) {
        access = devemu_device_read(r->dev, (unsigned)e->a, e->b, (unsigned)e->c, &value);
    } else {
        access = devemu_device_write(r->dev, (unsigned)e->a, e->b, (unsigned)e->c, e->d);
    }
    output(r, RECORD_ITEM_RETURN, access, access == DEVEMU_ACCESS_OK ? value : 0);
}

static void do_receive(DevemuReplay *r, const RecordEvent *e)
{
    size_t taken;

    if (e->a > 0 && e->a >= devemu_device_ports(r->dev)) {
        devemu_replay_broken(r, "it has characters for a port that the model does not have");
        return;
    }
    taken = devemu_device_receive_port(r->dev, (unsigned)e->a, e->data, e->len);
    output(r, RECORD_ITEM_RETURN, DEVEMU_ACCESS_OK, taken);
}

static void do_packet(DevemuReplay *r, const RecordEvent *e)
{
    DevemuNetOffload offload;
    size_t taken;

    if (e->len < DEVEMU_NET_OFFLOAD_BYTES || !devemu_net_offload_get(e->data, &offload)) {
        devemu_replay_broken(r, "it has a frame without a header");
        return;
    }
    taken = devemu_device_receive_packet(r->dev, &offload, e->data + DEVEMU_NET_OFFLOAD_BYTES,
                                         e->len - DEVEMU_NET_OFFLOAD_BYTES, e->a != 0);
    output(r, RECORD_ITEM_RETURN, DEVEMU_ACCESS_OK, taken);
}

static void do_line(DevemuReplay *r, const RecordEvent *e)
{
    if (e->a >= DEVEMU_LINES) {
        devemu_replay_broken(r, "it has an input line that no device has");
        return;
    }
    devemu_device_line(r->dev, (unsigned)e->a, e->b != 0);
}

static void do_input(DevemuReplay *r, const RecordEvent *e)
{
    DevemuInput input;

    if (e->len != 24 || devemu_le32(e->data) > DEVEMU_INPUT_PLACE) {
        devemu_replay_broken(r, "it has an input that there is not");
        return;
    }
    input = (DevemuInput){
        .kind = (DevemuInputKind)devemu_le32(e->data),
        .code = devemu_le32(e->data + 4),
        .value = (int32_t)devemu_le32(e->data + 8),
        .x = (int32_t)devemu_le32(e->data + 12),
        .y = (int32_t)devemu_le32(e->data + 16),
        .z = (int32_t)devemu_le32(e->data + 20),
    };
    devemu_device_input(r->dev, &input);
}

static void do_complete(DevemuReplay *r, const RecordEvent *e)
{
    g_autoptr(GArray) done = devemu_replay_completions(r->requests, e->data, e->len);

    if (done == NULL || done->len == 0) {
        devemu_replay_broken(r, "it is malformed");
        return;
    }
    devemu_device_complete(r->dev, (const DevemuBlockCompletion *)(void *)done->data, done->len);
}

static void do_reset(DevemuReplay *r, const RecordEvent *e)
{
    if (e->a != DEVEMU_RESET_HARD && e->a != DEVEMU_RESET_SOFT) {
        devemu_replay_broken(r, "it has a reset that there is not");
        return;
    }
    devemu_device_reset(r->dev, (DevemuReset)e->a);
}

/* What the device tells at a load is compared by the SETTLE events that follow. */
static bool load(DevemuReplay *r, GVariant *state, GError **error)
{
    bool ok;

    r->comparing = false;
    ok = devemu_device_load(r->dev, state, error);
    r->comparing = true;
    return ok;
}

static void do_load(DevemuReplay *r, const RecordEvent *e)
{
    GVariant *state = devemu_record_state_from_bytes(e->data, e->len);
    GError *why = NULL;

    if (!load(r, state, &why)) {
        devemu_replay_broken(r, why->message);
        g_error_free(why);
    }
    g_variant_unref(state);
}

/* Told outside an event: the device stands so already. */
static void do_settle(DevemuReplay *r)
{
    RecordItem item;

    r->comparing = false;
    while (r->items.p < r->items.end && r->outcome == OUTCOME_SAME) {
        RecordCursor before = r->items;
        bool right = true;

        take_asides(r);
        if (r->items.p != before.p) {
            continue;
        }
        if (!take(r, &item)) {
            break;
        }
        if (item.kind == RECORD_ITEM_OUTPUT) {
            bool level = item.a < DEVEMU_LINES && (r->dev->lines >> item.a & 1);

            did(r, RECORD_ITEM_OUTPUT, item.a, level);
            right = level == (item.b != 0);
        } else if (item.kind == RECORD_ITEM_DEADLINE) {
            did(r, RECORD_ITEM_DEADLINE, r->dev->deadline, 0);
            right = r->dev->deadline == item.a;
        }
        if (!right) {
            r->items = before;
            devemu_replay_differs(r);
        }
    }
    r->comparing = true;
}

static void perform(DevemuReplay *r, const RecordEvent *e)
{
    switch (e->kind) {
    case RECORD_READ:
    case RECORD_WRITE:
        do_access(r, e);
        break;
    case RECORD_RECEIVE:
        do_receive(r, e);
        break;
    case RECORD_PACKET:
        do_packet(r, e);
        break;
    case RECORD_READY:
        output(r, RECORD_ITEM_RETURN, DEVEMU_ACCESS_OK, devemu_device_ready(r->dev));
        break;
    case RECORD_LINE:
        do_line(r, e);
        break;
    case RECORD_LINK:
        devemu_device_link(r->dev, (unsigned)e->a);
        break;
    case RECORD_INPUT:
        do_input(r, e);
        break;
    case RECORD_RESET:
        do_reset(r, e);
        break;
    case RECORD_RUN:
        devemu_device_run(r->dev);
        break;
    case RECORD_COMPLETE:
        do_complete(r, e);
        break;
    case RECORD_MEDIUM:
        set_medium(r, e->data, e->len);
        break;
    case RECORD_LOAD:
        do_load(r, e);
        break;
    case RECORD_SETTLE:
        do_settle(r);
        break;
    case RECORD_EVENT_KINDS:
    default:
        devemu_replay_broken(r, "it is malformed");
        break;
    }
}

static void do_event(DevemuReplay *r)
{
    r->items = devemu_replay_event(r, r->position);
    if (!devemu_record_get_event(&r->items, &r->event)) {
        devemu_replay_broken(r, "it is malformed");
        return;
    }
    r->now = r->event.time;
    r->comparing = true;
    perform(r, &r->event);
    if (r->outcome == OUTCOME_SAME) {
        take_asides(r);
        g_byte_array_set_size(r->did, 0);
        if (r->outcome == OUTCOME_SAME && r->items.p < r->items.end) {
            devemu_replay_differs(r);
        }
    }
    r->comparing = false;
}

/* --- the caller's side ------------------------------------------------------------- */

/* A log brings its files with it: one that names a file to be opened was not made by a recorder. */
static bool settings_good(const DevemuReplay *r, const DevemuModel *model, GError **error)
{
    for (guint i = 0; i < r->log.settings->len; i++) {
        const DevemuSetting *setting = &g_array_index(r->log.settings, DevemuSetting, i);

        for (const DevemuProperty *p = model->properties; p && p->name; p++) {
            if (p->type == DEVEMU_PROPERTY_BLOB && strcmp(p->name, setting->name) == 0 &&
                setting->data == NULL) {
                g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG,
                            "record log '%s' lacks the contents of property '%s': record it again",
                            r->log.path, p->name);
                return false;
            }
        }
    }
    return true;
}

DevemuReplay *devemu_replay_new(const char *path, const DevemuModel *model, GError **error)
{
    DevemuReplay *r;

    g_return_val_if_fail(path != NULL, NULL);
    r = g_new0(DevemuReplay, 1);
    r->did = g_byte_array_new();
    r->requests = devemu_record_requests_new();
    if (!devemu_record_open(&r->log, path, error)) {
        devemu_replay_free(r);
        return NULL;
    }
    if (model == NULL && (model = devemu_model_find(r->log.model)) == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "record log '%s' is of model '%s', which this library does not have", path,
                    r->log.model);
        devemu_replay_free(r);
        return NULL;
    }
    if (!settings_good(r, model, error)) {
        devemu_replay_free(r);
        return NULL;
    }
    r->dev = devemu_device_new_with(model, (const DevemuSetting *)(void *)r->log.settings->data,
                                    r->log.settings->len, error);
    if (r->dev == NULL) {
        g_prefix_error(error, "record log '%s': ", path);
        devemu_replay_free(r);
        return NULL;
    }
    connect(r);
    r->seen_count = 0;
    r->initial = devemu_device_save(r->dev);
    return r;
}

static void forget_failure(DevemuReplay *r)
{
    r->outcome = OUTCOME_SAME;
    g_clear_pointer(&r->expected, g_free);
    g_clear_pointer(&r->got, g_free);
    g_clear_pointer(&r->report, g_free);
}

void devemu_replay_free(DevemuReplay *replay)
{
    if (replay) {
        devemu_device_free(replay->dev);
        forget_failure(replay);
        g_clear_pointer(&replay->initial, g_variant_unref);
        devemu_record_reader_clear(&replay->log);
        g_byte_array_unref(replay->did);
        g_hash_table_unref(replay->requests);
        g_free(replay);
    }
}

uint64_t devemu_replay_count(const DevemuReplay *replay)
{
    g_return_val_if_fail(replay != NULL, 0);
    return replay->log.events->len;
}

uint64_t devemu_replay_position(const DevemuReplay *replay)
{
    g_return_val_if_fail(replay != NULL, 0);
    return replay->position;
}

DevemuDevice *devemu_replay_device(DevemuReplay *replay)
{
    g_return_val_if_fail(replay != NULL, NULL);
    return replay->dev;
}

const char *devemu_replay_report(const DevemuReplay *replay)
{
    g_return_val_if_fail(replay != NULL, NULL);
    return replay->report;
}

const char *devemu_replay_note(const DevemuReplay *replay)
{
    g_return_val_if_fail(replay != NULL, NULL);
    return replay->log.note;
}

static bool failed(const DevemuReplay *r, GError **error)
{
    if (r->outcome == OUTCOME_DIFFERS) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG,
                    "%s differs from record log '%s' at event %" PRIu64
                    ": the log has '%s', the device did '%s'",
                    r->dev->model->name, r->log.path, r->position, r->expected, r->got);
    } else {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG,
                    "record log '%s' cannot be replayed by %s beyond event %" PRIu64 ": %s",
                    r->log.path, r->dev->model->name, r->position, r->got);
    }
    return false;
}

bool devemu_replay_step(DevemuReplay *replay, GError **error)
{
    g_return_val_if_fail(replay != NULL, false);
    if (replay->outcome != OUTCOME_SAME) {
        return failed(replay, error);
    }
    if (replay->position == replay->log.events->len) {
        return false;
    }
    do_event(replay);
    if (replay->outcome != OUTCOME_SAME) {
        replay->report =
            replay->outcome == OUTCOME_DIFFERS ? devemu_replay_make_report(replay) : NULL;
        return failed(replay, error);
    }
    replay->position++;
    return true;
}

bool devemu_replay_run(DevemuReplay *replay, GError **error)
{
    g_return_val_if_fail(replay != NULL, false);
    while (devemu_replay_step(replay, error)) {
    }
    return replay->outcome == OUTCOME_SAME;
}

/* --- seeking ----------------------------------------------------------------------- */

/* The last snapshot at or before event n, or NULL. */
static const RecordSnapshot *nearest(const DevemuReplay *r, uint64_t n)
{
    guint from = 0, to = r->log.snapshots->len;

    while (from < to) {
        guint middle = from + (to - from) / 2;

        if (g_array_index(r->log.snapshots, RecordSnapshot, middle).event <= n) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from ? &g_array_index(r->log.snapshots, RecordSnapshot, from - 1) : NULL;
}

static bool restore_snapshot(DevemuReplay *r, const RecordSnapshot *snapshot)
{
    RecordCursor from = devemu_record_payload(&r->log, snapshot->offset);
    GVariant *state;
    const uint8_t *medium;
    size_t medium_len;
    uint8_t flags;
    bool ok;

    devemu_record_get_num(&from);
    r->now = devemu_record_get_u64(&from);
    flags = devemu_record_get_u8(&from);
    medium = from.p;
    medium_len = flags & RECORD_SNAPSHOT_MEDIUM ? RECORD_MEDIUM_BYTES : 0;
    if (from.bad || medium_len > (size_t)(from.end - from.p)) {
        return false;
    }
    from.p += medium_len;
    state = devemu_record_state_from_bytes(from.p, (size_t)(from.end - from.p));
    ok = load(r, state, NULL);
    g_variant_unref(state);
    if (ok) {
        set_medium(r, medium, medium_len);
        r->dev->refused = flags & RECORD_SNAPSHOT_REFUSED;
        r->position = snapshot->event;
    }
    return ok;
}

/* A model that is not the recorded one may not know the snapshots: it goes from the beginning. */
static void restore(DevemuReplay *r, const RecordSnapshot *snapshot)
{
    forget_failure(r);
    r->comparing = false;
    g_hash_table_remove_all(r->requests);
    if (snapshot == NULL || !restore_snapshot(r, snapshot)) {
        r->now = 0;
        load(r, r->initial, NULL);
        r->comparing = false;
        set_medium(r, NULL, 0);
        r->dev->refused = false;
        r->position = 0;
    }
    r->comparing = false;
    r->seen_count = 0;
}

bool devemu_replay_seek(DevemuReplay *replay, uint64_t n, GError **error)
{
    const RecordSnapshot *snapshot;

    g_return_val_if_fail(replay != NULL, false);
    if (n > replay->log.events->len) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG,
                    "record log '%s' has only %u events: seek to 0 to %u", replay->log.path,
                    replay->log.events->len, replay->log.events->len);
        return false;
    }
    snapshot = nearest(replay, n);
    if (n < replay->position || replay->outcome != OUTCOME_SAME ||
        (snapshot && snapshot->event > replay->position)) {
        restore(replay, snapshot);
    }
    while (replay->position < n) {
        if (!devemu_replay_step(replay, error)) {
            return false;
        }
    }
    return true;
}
