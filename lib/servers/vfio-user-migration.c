/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-migration.c: DEVICE_FEATURE and the data of a migration: the states of vfio.h's enum
 * vfio_device_mig_state, over the library's own snapshot.
 *
 * While the device is stopped its clock stands, what is below the function is held (registers of
 * BARs read as ones and writes go nowhere; a network keeps its frames), and interrupts wait.
 * Configuration space stays there: vfio.h wants it for VMMs that restore it.
 *
 * The stream is records, each behind a header of 8 bytes: HELLO, which names the format and the
 * model, and STATE, the clock and the snapshot. HELLO can be read in PRE_COPY, so that a
 * destination may refuse another model before the source has stopped; nothing else of a device here
 * is large enough to be sent ahead. Numbers are little-endian. The destination trusts none of it:
 * what is not whole and right moves it to ERROR, where a reset recovers.
 */
#include "vfio-user.h"

#include "../internal.h"

/* vfio.h, struct vfio_device_feature. */
enum {
    FEATURE_INDEX = 0xffff,
    FEATURE_GET = 1 << 16,
    FEATURE_SET = 1 << 17,
    FEATURE_PROBE = 1 << 18,
    FEATURE_FLAGS = FEATURE_INDEX | FEATURE_GET | FEATURE_SET | FEATURE_PROBE,

    FEATURE_MIGRATION = 1,
    FEATURE_MIG_DEVICE_STATE = 2,
    FEATURE_DMA_LOGGING_START = 6,
    FEATURE_DMA_LOGGING_STOP = 7,
    FEATURE_DMA_LOGGING_REPORT = 8,
    FEATURES,

    MIGRATION_STOP_COPY = 1 << 0,
    MIGRATION_PRE_COPY = 1 << 2,
};

/* The stream. */
enum {
    RECORD_HELLO = 1,
    RECORD_STATE = 2,
    RECORD_BYTES = 8, /* type, bytes behind it */
    STREAM_VERSION = 1,
    STATE_CLOCK_BYTES = 8,
    STREAM_LIMIT = 64 << 20, /* our choice; a snapshot has far less */
};

static const uint8_t magic[8] = {'D', 'E', 'V', 'E', 'M', 'U', 'V', 'U'};

/* A clock that stands higher would not live as long as a guest may. */
#define CLOCK_LIMIT (UINT64_MAX / 4)

/* --- the clock --------------------------------------------------------------------- */

uint64_t vfio_device_now(const DevemuVfioUser *s)
{
    return (vfio_stopped(s) ? s->migration.stopped_ns : server_now()) + s->migration.clock_offset;
}

/* When is it on our clock that the device's stands at when_ns? */
static uint64_t to_our_clock(const DevemuVfioUser *s, uint64_t when_ns)
{
    uint64_t now, device_now;

    if (when_ns == DEVEMU_NEVER || s->migration.clock_offset == 0) {
        return when_ns;
    }
    now = server_now();
    device_now = now + s->migration.clock_offset;
    if (when_ns <= device_now) {
        return now;
    }
    return when_ns - device_now > UINT64_MAX - now ? DEVEMU_NEVER : now + (when_ns - device_now);
}

void vfio_set_deadline(DevemuVfioUser *s, uint64_t when_ns)
{
    if (!vfio_stopped(s)) {
        s->deadline_ns = to_our_clock(s, when_ns);
    }
}

/* --- stop and go ------------------------------------------------------------------- */

static void hold_tree(DevemuDevice *dev)
{
    DevemuDevice *child;

    for (unsigned i = 0; (child = devemu_device_child(dev, i)) != NULL; i++) {
        hold_tree(child);
        devemu_hold(child);
    }
}

static void release_tree(DevemuDevice *dev)
{
    DevemuDevice *child;

    for (unsigned i = 0; (child = devemu_device_child(dev, i)) != NULL; i++) {
        devemu_release(child);
        release_tree(child);
    }
}

/* What came while it was held, and who was turned away. */
static void wake_tree(DevemuDevice *dev)
{
    DevemuDevice *child;

    for (unsigned i = 0; (child = devemu_device_child(dev, i)) != NULL; i++) {
        wake_tree(child);
        devemu_device_settle(child);
        devemu_send_ready(child);
    }
}

/* Doorbells rung by now are heard; those that follow wait in their descriptors. */
static void stop(DevemuVfioUser *s)
{
    vfio_doorbells_ring(s);
    vfio_doorbells_watch(s, false);
    devemu_device_drain(s->function);
    s->migration.stopped_ns = server_now();
    s->deadline_ns = DEVEMU_NEVER;
    hold_tree(s->function);
}

/* state says already that it runs. */
static void go(DevemuVfioUser *s)
{
    release_tree(s->function);
    s->migration.clock_offset -= server_now() - s->migration.stopped_ns;
    vfio_set_deadline(s, devemu_device_deadline(s->function));
    vfio_irqs_go(s);
    wake_tree(s->function);
    vfio_doorbells_watch(s, true);
}

/* --- the stream, out --------------------------------------------------------------- */

static void append_record(GByteArray *stream, uint32_t type, size_t len)
{
    uint8_t header[RECORD_BYTES];

    devemu_put_le32(header, type);
    devemu_put_le32(header + 4, (uint32_t)len);
    g_byte_array_append(stream, header, sizeof(header));
}

static const char *model_name(const DevemuVfioUser *s)
{
    return devemu_device_model(devemu_device_child(s->function, 0))->name;
}

static void begin_stream(DevemuVfioUser *s)
{
    uint8_t version[4];
    const char *name = model_name(s);

    g_byte_array_set_size(s->migration.stream, 0);
    s->migration.stream_at = 0;
    append_record(s->migration.stream, RECORD_HELLO,
                  sizeof(magic) + sizeof(version) + strlen(name));
    g_byte_array_append(s->migration.stream, magic, sizeof(magic));
    devemu_put_le32(version, STREAM_VERSION);
    g_byte_array_append(s->migration.stream, version, sizeof(version));
    g_byte_array_append(s->migration.stream, (const guint8 *)name, (guint)strlen(name));
}

static void append_state(DevemuVfioUser *s)
{
    GVariant *state = devemu_device_save(s->function);
    uint8_t clock[STATE_CLOCK_BYTES];

    if (G_BYTE_ORDER == G_BIG_ENDIAN) {
        GVariant *swapped = g_variant_byteswap(state);

        g_variant_unref(state);
        state = swapped;
    }
    devemu_put_le64(clock, vfio_device_now(s));
    append_record(s->migration.stream, RECORD_STATE, sizeof(clock) + g_variant_get_size(state));
    g_byte_array_append(s->migration.stream, clock, sizeof(clock));
    g_byte_array_append(s->migration.stream, g_variant_get_data(state),
                        (guint)g_variant_get_size(state));
    g_variant_unref(state);
}

static void end_stream(DevemuVfioUser *s)
{
    g_byte_array_unref(s->migration.stream);
    s->migration.stream = g_byte_array_new();
    s->migration.stream_at = 0;
}

/* --- the stream, in ---------------------------------------------------------------- */

/* The next record: its type, or 0 if there is none or it is cut off. */
static uint32_t next_record(const GByteArray *stream, size_t *at, const uint8_t **ret_data,
                            size_t *ret_len)
{
    size_t left = stream->len - *at;
    const uint8_t *header;

    /* An empty stream has no data at all. */
    if (left < RECORD_BYTES) {
        return 0;
    }
    header = stream->data + *at;
    if (devemu_le32(header + 4) > left - RECORD_BYTES) {
        return 0;
    }
    *ret_data = header + RECORD_BYTES;
    *ret_len = devemu_le32(header + 4);
    *at += RECORD_BYTES + *ret_len;
    return devemu_le32(header);
}

static bool hello_fits(const DevemuVfioUser *s, const uint8_t *data, size_t len)
{
    const char *name = model_name(s);
    size_t fixed = sizeof(magic) + 4;

    return len == fixed + strlen(name) && memcmp(data, magic, sizeof(magic)) == 0 &&
           devemu_le32(data + sizeof(magic)) == STREAM_VERSION &&
           memcmp(data + fixed, name, strlen(name)) == 0;
}

static GVariant *read_snapshot(const uint8_t *data, size_t len)
{
    /* Aligned, as GVariant wants it, and good for longer than the stream. */
    gpointer copy = g_memdup2(data, len);
    GVariant *state =
        g_variant_new_from_data(G_VARIANT_TYPE_VARDICT, copy, len, FALSE, g_free, copy);

    if (G_BYTE_ORDER == G_BIG_ENDIAN) {
        GVariant *swapped = g_variant_byteswap(g_variant_ref_sink(state));

        g_variant_unref(state);
        return swapped;
    }
    return g_variant_ref_sink(state);
}

static bool load_snapshot(DevemuVfioUser *s, const uint8_t *data, size_t len)
{
    GVariant *state = read_snapshot(data, len);
    g_autoptr(GError) error = NULL;
    bool ok;

    release_tree(s->function);
    ok = devemu_device_load(s->function, state, &error);
    hold_tree(s->function);
    g_variant_unref(state);
    if (!ok) {
        vfio_log(s, "state refused: %s", error->message);
    }
    return ok;
}

/* A whole stream is one HELLO and one STATE, and nothing behind them. */
static bool load_stream(DevemuVfioUser *s)
{
    const GByteArray *stream = s->migration.stream;
    const uint8_t *data = NULL;
    size_t at = 0, len = 0;
    uint64_t clock;

    if (next_record(stream, &at, &data, &len) != RECORD_HELLO || !hello_fits(s, data, len)) {
        vfio_log(s, "state refused: not of a %s, or of another version", model_name(s));
        return false;
    }
    if (next_record(stream, &at, &data, &len) != RECORD_STATE || len < STATE_CLOCK_BYTES ||
        at != stream->len) {
        vfio_log(s, "state refused: cut off, or more than a state");
        return false;
    }
    clock = devemu_le64(data);
    if (clock > CLOCK_LIMIT ||
        !load_snapshot(s, data + STATE_CLOCK_BYTES, len - STATE_CLOCK_BYTES)) {
        return false;
    }
    s->migration.clock_offset = clock - s->migration.stopped_ns;
    return true;
}

/* --- states (vfio.h, enum vfio_device_mig_state; spec "Direct State Transitions") --- */

/*
 * The first step from one state to another: the shortest way whose inner states are not of the
 * saving group (spec "Complex State Transitions"). ERROR: there is none. P2P states we do not have.
 */
static const uint8_t next_states[VFIO_STATES][VFIO_STATES] = {
#define STATE(name) VFIO_STATE_##name
    [STATE(STOP)] = {[STATE(STOP)] = STATE(STOP),
                     [STATE(RUNNING)] = STATE(RUNNING),
                     [STATE(STOP_COPY)] = STATE(STOP_COPY),
                     [STATE(RESUMING)] = STATE(RESUMING),
                     [STATE(PRE_COPY)] = STATE(RUNNING)},
    [STATE(RUNNING)] = {[STATE(STOP)] = STATE(STOP),
                        [STATE(RUNNING)] = STATE(RUNNING),
                        [STATE(STOP_COPY)] = STATE(STOP),
                        [STATE(RESUMING)] = STATE(STOP),
                        [STATE(PRE_COPY)] = STATE(PRE_COPY)},
    [STATE(STOP_COPY)] = {[STATE(STOP)] = STATE(STOP),
                          [STATE(RUNNING)] = STATE(STOP),
                          [STATE(STOP_COPY)] = STATE(STOP_COPY),
                          [STATE(RESUMING)] = STATE(STOP)},
    [STATE(RESUMING)] = {[STATE(STOP)] = STATE(STOP),
                         [STATE(RUNNING)] = STATE(STOP),
                         [STATE(STOP_COPY)] = STATE(STOP),
                         [STATE(RESUMING)] = STATE(RESUMING),
                         [STATE(PRE_COPY)] = STATE(STOP)},
    [STATE(PRE_COPY)] = {[STATE(STOP)] = STATE(RUNNING),
                         [STATE(RUNNING)] = STATE(RUNNING),
                         [STATE(STOP_COPY)] = STATE(STOP_COPY),
                         [STATE(RESUMING)] = STATE(RUNNING),
                         [STATE(PRE_COPY)] = STATE(PRE_COPY)},
#undef STATE
};

static void enter(DevemuVfioUser *s, uint32_t state)
{
    bool was = vfio_stopped(s);

    if (!was && vfio_state_stops(state)) {
        stop(s);
    }
    s->migration.state = state;
    if (was && !vfio_state_stops(state)) {
        go(s);
    }
}

/* One arc: what begins and ends with it. */
static int arc(DevemuVfioUser *s, uint32_t to)
{
    uint32_t from = s->migration.state;

    if (from == VFIO_STATE_RESUMING && !load_stream(s)) {
        end_stream(s);
        enter(s, VFIO_STATE_ERROR);
        return EINVAL;
    }
    enter(s, to);
    if (to == VFIO_STATE_PRE_COPY) {
        begin_stream(s);
    } else if (to == VFIO_STATE_STOP_COPY) {
        if (from != VFIO_STATE_PRE_COPY) {
            begin_stream(s);
        }
        append_state(s);
    } else {
        end_stream(s);
    }
    return 0;
}

static int set_state(DevemuVfioUser *s, uint32_t to)
{
    int error = 0;

    if (to >= VFIO_STATES || next_states[s->migration.state][to] == VFIO_STATE_ERROR) {
        return EINVAL;
    }
    while (error == 0 && s->migration.state != to) {
        error = arc(s, next_states[s->migration.state][to]);
    }
    return error;
}

void vfio_migration_init(DevemuVfioUser *s)
{
    s->migration.state = VFIO_STATE_RUNNING;
    s->migration.stream = g_byte_array_new();
}

/* The device is reset before it runs again: nothing of what it was is seen outside. */
void vfio_reset(DevemuVfioUser *s)
{
    bool held = vfio_stopped(s);

    end_stream(s);
    vfio_work_reset(s);
    if (held) {
        release_tree(s->function);
    }
    devemu_device_reset(s->function, DEVEMU_RESET_HARD);
    if (held) {
        hold_tree(s->function);
        memset(s->migration.messages, 0, sizeof(s->migration.messages));
    }
    enter(s, VFIO_STATE_RUNNING);
}

void vfio_migration_finish(DevemuVfioUser *s)
{
    if (vfio_stopped(s)) {
        release_tree(s->function);
        s->migration.state = VFIO_STATE_RUNNING;
    }
    g_clear_pointer(&s->migration.stream, g_byte_array_unref);
}

/* --- DEVICE_FEATURE (spec "VFIO_USER_DEVICE_FEATURE") ------------------------------- */

static int get_migration(DevemuVfioUser *s, const VfioMessage *m)
{
    uint8_t *data = vfio_feature_reply(s, m, 8);

    if (data) {
        server_put64(data, MIGRATION_STOP_COPY | MIGRATION_PRE_COPY);
    }
    return 0;
}

static int get_device_state(DevemuVfioUser *s, const VfioMessage *m)
{
    uint8_t *data = vfio_feature_reply(s, m, 8);

    if (data) {
        server_put32(data, s->migration.state);
        server_put32(data + 4, UINT32_MAX); /* data_fd, which nobody uses here */
    }
    return 0;
}

static int set_device_state(DevemuVfioUser *s, const VfioMessage *m)
{
    return set_state(s, server_get32(m->payload + 8));
}

typedef struct Feature {
    int (*get)(DevemuVfioUser *s, const VfioMessage *m);
    int (*set)(DevemuVfioUser *s, const VfioMessage *m);
    size_t get_bytes, set_bytes; /* of data that a request has at least */
} Feature;

static const Feature features[FEATURES] = {
    [FEATURE_MIGRATION] = {.get = get_migration},
    [FEATURE_MIG_DEVICE_STATE] = {.get = get_device_state, .set = set_device_state, .set_bytes = 8},
    [FEATURE_DMA_LOGGING_START] = {.set = vfio_dirty_start, .set_bytes = 16},
    [FEATURE_DMA_LOGGING_STOP] = {.set = vfio_dirty_stop},
    [FEATURE_DMA_LOGGING_REPORT] = {.get = vfio_dirty_report, .get_bytes = 24},
};

/* spec "Message sizes": what is longer than the client has room for is not sent, and argsz says
 * what there is. */
uint8_t *vfio_feature_reply(DevemuVfioUser *s, const VfioMessage *m, size_t len)
{
    bool fits = server_get32(m->payload) >= 8 + len;
    uint8_t *reply = vfio_reply(s, m, fits ? 8 + len : 8);

    if (reply == NULL) {
        return NULL;
    }
    server_put32(reply, (uint32_t)(8 + len));
    server_put32(reply + 4, server_get32(m->payload + 4));
    return fits ? reply + 8 : NULL;
}

/* spec: the reply to SET and PROBE is the request. */
static void echo(DevemuVfioUser *s, const VfioMessage *m)
{
    uint8_t *reply = vfio_reply(s, m, m->len);

    if (reply) {
        memcpy(reply, m->payload, m->len);
    }
}

int vfio_device_feature(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t flags = server_get32(m->payload + 4);
    uint32_t index = flags & FEATURE_INDEX;
    bool get = flags & FEATURE_GET, set = flags & FEATURE_SET, probe = flags & FEATURE_PROBE;
    const Feature *feature;
    int error = 0;

    if (server_get32(m->payload) < 8 || flags & ~(uint32_t)FEATURE_FLAGS ||
        (!probe && get == set)) {
        return EINVAL;
    }
    feature = index < FEATURES ? &features[index] : NULL;
    if (feature == NULL || (feature->get == NULL && feature->set == NULL)) {
        return ENOTTY;
    }
    if ((get && feature->get == NULL) || (set && feature->set == NULL)) {
        return EINVAL;
    }
    if (!probe && m->len - 8 < (get ? feature->get_bytes : feature->set_bytes)) {
        return EINVAL;
    }
    if (get && !probe) {
        return feature->get(s, m);
    }
    if (set && !probe) {
        error = feature->set(s, m);
    }
    if (error == 0 && !s->replied) {
        echo(s, m);
    }
    return error;
}

/* --- data (spec "VFIO_USER_MIG_DATA_READ", "VFIO_USER_MIG_DATA_WRITE") --------------- */

int vfio_mig_data_read(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t argsz = server_get32(m->payload);
    uint32_t size = server_get32(m->payload + 4);
    const GByteArray *stream = s->migration.stream;
    uint8_t *reply;

    if (s->migration.state != VFIO_STATE_PRE_COPY && s->migration.state != VFIO_STATE_STOP_COPY) {
        return EINVAL;
    }
    if (argsz < 8 || size > argsz - 8 || size > VFIO_MAX_XFER || (m->flags & VFIO_FLAG_NO_REPLY)) {
        return EINVAL;
    }
    size = (uint32_t)MIN(size, stream->len - s->migration.stream_at);
    reply = vfio_reply(s, m, 8 + (size_t)size);
    server_put32(reply, 8 + size);
    server_put32(reply + 4, size);
    if (size > 0) {
        memcpy(reply + 8, stream->data + s->migration.stream_at, size);
    }
    s->migration.stream_at += size;
    return 0;
}

int vfio_mig_data_write(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t size = server_get32(m->payload + 4);

    if (s->migration.state != VFIO_STATE_RESUMING || size != m->len - 8) {
        return EINVAL;
    }
    if (size > STREAM_LIMIT - s->migration.stream->len) {
        return EFBIG;
    }
    g_byte_array_append(s->migration.stream, m->payload + 8, size);
    return 0;
}
