/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record-log.c: writing and reading the file of record-log.h.
 */
#include "record-log.h"

#include <glib/gstdio.h>

#define BUFFER_BYTES (256 * 1024)

/* --- writing: pieces --------------------------------------------------------------- */

static void put_u8(GByteArray *to, uint8_t value)
{
    g_byte_array_append(to, &value, 1);
}

void devemu_record_put_num(GByteArray *to, uint64_t value)
{
    uint8_t buf[10];
    unsigned len = 0;

    while (value >= 0x80) {
        buf[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    buf[len++] = (uint8_t)value;
    g_byte_array_append(to, buf, len);
}

void devemu_record_put_u64(GByteArray *to, uint64_t value)
{
    uint8_t buf[8];

    devemu_put_le64(buf, value);
    g_byte_array_append(to, buf, sizeof(buf));
}

void devemu_record_put_bytes(GByteArray *to, const void *data, size_t len)
{
    devemu_record_put_num(to, len);
    if (len > 0) {
        g_byte_array_append(to, data, (guint)len);
    }
}

void devemu_record_put_event(GByteArray *to, const RecordEvent *event)
{
    put_u8(to, RECORD_TAG_EVENT);
    put_u8(to, (uint8_t)event->kind);
    devemu_record_put_u64(to, event->time);
    devemu_record_put_num(to, event->a);
    devemu_record_put_num(to, event->b);
    devemu_record_put_num(to, event->c);
    devemu_record_put_num(to, event->d);
    devemu_record_put_bytes(to, event->data, event->len);
}

void devemu_record_put_item(GByteArray *to, RecordItemKind kind, uint64_t a, uint64_t b)
{
    put_u8(to, (uint8_t)kind);
    devemu_record_put_num(to, a);
    devemu_record_put_num(to, b);
}

void devemu_record_put_item_data(GByteArray *to, RecordItemKind kind, uint64_t a, const void *data,
                                 size_t len)
{
    put_u8(to, (uint8_t)kind);
    devemu_record_put_num(to, a);
    devemu_record_put_bytes(to, data, len);
}

void devemu_record_put_frame(GByteArray *to, const DevemuNetOffload *offload,
                             const DevemuSlice *slices, size_t count, bool more)
{
    uint8_t header[DEVEMU_NET_OFFLOAD_BYTES];
    size_t len = offload ? sizeof(header) : 0;

    for (size_t i = 0; i < count; i++) {
        len += slices[i].len;
    }
    put_u8(to, offload ? RECORD_ITEM_PACKET : RECORD_ITEM_SEND);
    devemu_record_put_num(to, more);
    devemu_record_put_num(to, len);
    if (offload) {
        devemu_net_offload_put(offload, header);
        g_byte_array_append(to, header, sizeof(header));
    }
    for (size_t i = 0; i < count; i++) {
        if (slices[i].len > 0) {
            g_byte_array_append(to, slices[i].data, (guint)slices[i].len);
        }
    }
}

GBytes *devemu_record_state_to_bytes(GVariant *state)
{
    if (G_BYTE_ORDER == G_BIG_ENDIAN) {
        GVariant *swapped = g_variant_byteswap(state);
        GBytes *bytes = g_variant_get_data_as_bytes(swapped);

        g_variant_unref(swapped);
        return bytes;
    }
    return g_variant_get_data_as_bytes(state);
}

GVariant *devemu_record_state_from_bytes(const uint8_t *data, size_t len)
{
    /* A copy, since a GVariant wants its data aligned. */
    GBytes *bytes = g_bytes_new(data, len);
    GVariant *state =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, bytes, FALSE));

    g_bytes_unref(bytes);
    if (G_BYTE_ORDER == G_BIG_ENDIAN) {
        GVariant *swapped = g_variant_byteswap(state);

        g_variant_unref(state);
        return swapped;
    }
    return state;
}

/* --- writing: the file ------------------------------------------------------------- */

static void write_some(RecordWriter *writer, const void *data, size_t len)
{
    if (writer->error == 0) {
        errno = 0;
        if (fwrite(data, 1, len, writer->file) != len) {
            writer->error = errno ? errno : EIO;
        }
    }
}

void devemu_record_add(RecordWriter *writer, const GByteArray *payload)
{
    uint8_t head[RECORD_HEAD];

    devemu_put_le32(head, payload->len);
    devemu_put_le32(head + 4, devemu_crc32(0, payload->data, payload->len));
    devemu_put_le32(head + 8, devemu_crc32(0, head, 8));
    write_some(writer, head, sizeof(head));
    write_some(writer, payload->data, payload->len);
}

static bool cannot_write(const RecordWriter *writer, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG, "cannot write the record log '%s': %s",
                writer->path, g_strerror(writer->error));
    return false;
}

bool devemu_record_flush(RecordWriter *writer, GError **error)
{
    if (writer->error == 0) {
        errno = 0;
        if (fflush(writer->file) != 0) {
            writer->error = errno ? errno : EIO;
        }
    }
    return writer->error == 0 || cannot_write(writer, error);
}

void devemu_record_close(RecordWriter *writer, uint64_t events)
{
    if (writer->file) {
        GByteArray *end = g_byte_array_new();

        put_u8(end, RECORD_TAG_END);
        devemu_record_put_num(end, events);
        devemu_record_add(writer, end);
        g_byte_array_unref(end);
        fclose(writer->file);
    }
    g_free(writer->path);
    memset(writer, 0, sizeof(*writer));
}

static void put_head(GByteArray *to, const char *model, const DevemuSetting *settings, size_t count)
{
    put_u8(to, RECORD_TAG_HEAD);
    devemu_record_put_bytes(to, model, strlen(model));
    devemu_record_put_num(to, count);
    for (size_t i = 0; i < count; i++) {
        const char *text = settings[i].text ? settings[i].text : "";

        devemu_record_put_bytes(to, settings[i].name, strlen(settings[i].name));
        devemu_record_put_bytes(to, text, strlen(text));
        put_u8(to, settings[i].data != NULL);
        devemu_record_put_bytes(to, settings[i].data, settings[i].data ? settings[i].len : 0);
    }
}

bool devemu_record_create(RecordWriter *writer, const char *path, const char *model,
                          const DevemuSetting *settings, size_t count, GError **error)
{
    uint8_t head[RECORD_FILE_HEAD] = RECORD_MAGIC;
    GByteArray *payload;
    bool ok;

    memset(writer, 0, sizeof(*writer));
    writer->path = g_strdup(path);
    writer->file = g_fopen(path, "wb");
    if (writer->file == NULL) {
        writer->error = errno;
        cannot_write(writer, error);
        g_free(writer->path);
        memset(writer, 0, sizeof(*writer));
        return false;
    }
    setvbuf(writer->file, NULL, _IOFBF, BUFFER_BYTES);
    devemu_put_le32(head + 8, RECORD_VERSION);
    devemu_put_le32(head + 12, devemu_crc32(0, head, 12));
    write_some(writer, head, sizeof(head));
    payload = g_byte_array_new();
    put_head(payload, model, settings, count);
    devemu_record_add(writer, payload);
    g_byte_array_unref(payload);
    ok = devemu_record_flush(writer, error);
    if (!ok) {
        fclose(writer->file);
        g_free(writer->path);
        memset(writer, 0, sizeof(*writer));
    }
    return ok;
}

/* --- reading: pieces --------------------------------------------------------------- */

static const uint8_t *get(RecordCursor *from, size_t len)
{
    const uint8_t *p = from->p;

    if (from->bad || len > (size_t)(from->end - from->p)) {
        from->bad = true;
        return NULL;
    }
    from->p += len;
    return p;
}

uint8_t devemu_record_get_u8(RecordCursor *from)
{
    const uint8_t *p = get(from, 1);

    return p ? *p : 0;
}

uint64_t devemu_record_get_num(RecordCursor *from)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = devemu_record_get_u8(from);

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return value;
        }
    }
    from->bad = true;
    return 0;
}

uint64_t devemu_record_get_u64(RecordCursor *from)
{
    const uint8_t *p = get(from, 8);

    return p ? devemu_le64(p) : 0;
}

const uint8_t *devemu_record_get_bytes(RecordCursor *from, size_t *ret_len)
{
    uint64_t len = devemu_record_get_num(from);
    const uint8_t *p = len <= SIZE_MAX ? get(from, (size_t)len) : NULL;

    *ret_len = p ? (size_t)len : 0;
    return p;
}

bool devemu_record_get_event(RecordCursor *from, RecordEvent *ret_event)
{
    uint8_t kind = devemu_record_get_u8(from);

    memset(ret_event, 0, sizeof(*ret_event));
    ret_event->kind = (RecordEventKind)kind;
    ret_event->time = devemu_record_get_u64(from);
    ret_event->a = devemu_record_get_num(from);
    ret_event->b = devemu_record_get_num(from);
    ret_event->c = devemu_record_get_num(from);
    ret_event->d = devemu_record_get_num(from);
    ret_event->data = devemu_record_get_bytes(from, &ret_event->len);
    return !from->bad && kind < RECORD_EVENT_KINDS;
}

static bool has_data(RecordItemKind kind)
{
    return kind == RECORD_ITEM_DMA_WRITE || kind == RECORD_ITEM_SEND || kind == RECORD_ITEM_CHARS ||
           kind == RECORD_ITEM_SUBMIT || kind == RECORD_ITEM_PACKET;
}

bool devemu_record_get_item(RecordCursor *from, RecordItem *ret_item)
{
    uint8_t kind = devemu_record_get_u8(from);

    memset(ret_item, 0, sizeof(*ret_item));
    if (kind >= RECORD_ITEM_KINDS) {
        from->bad = true;
        return false;
    }
    ret_item->kind = (RecordItemKind)kind;
    ret_item->a = devemu_record_get_num(from);
    if (has_data(ret_item->kind)) {
        ret_item->data = devemu_record_get_bytes(from, &ret_item->len);
    } else {
        ret_item->b = devemu_record_get_num(from);
    }
    if (kind == RECORD_ITEM_DMA_READ || kind == RECORD_ITEM_DMA_WRITE) {
        ret_item->ok = devemu_record_get_u8(from) != 0;
    }
    if (kind == RECORD_ITEM_DMA_READ) {
        ret_item->len = ret_item->b <= SIZE_MAX ? (size_t)ret_item->b : SIZE_MAX;
        ret_item->data = get(from, ret_item->len);
    }
    return !from->bad;
}

/* --- reading: the file ------------------------------------------------------------- */

static bool unusable(const RecordReader *reader, GError **error, const char *why)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG, "record log '%s' %s", reader->path, why);
    return false;
}

static bool damaged(const RecordReader *reader, uint64_t at, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG,
                "record log '%s' is damaged at byte %" PRIu64 ", in event %u: record it again",
                reader->path, at, reader->events->len);
    return false;
}

static void setting_clear(void *opaque)
{
    DevemuSetting *setting = opaque;

    g_free((char *)(uintptr_t)setting->name);
    g_free((char *)(uintptr_t)setting->text);
}

static char *get_text(RecordCursor *from)
{
    size_t len;
    const uint8_t *p = devemu_record_get_bytes(from, &len);

    return g_strndup(p ? (const char *)p : "", len);
}

static bool read_head(RecordReader *reader, RecordCursor from)
{
    uint64_t count;

    reader->model = get_text(&from);
    count = devemu_record_get_num(&from);
    for (uint64_t i = 0; i < count && !from.bad; i++) {
        DevemuSetting setting = {0};
        const uint8_t *data;
        bool blob;

        setting.name = get_text(&from);
        setting.text = get_text(&from);
        blob = devemu_record_get_u8(&from) != 0;
        data = devemu_record_get_bytes(&from, &setting.len);
        setting.data = blob ? data : NULL;
        g_array_append_val(reader->settings, setting);
    }
    return !from.bad;
}

static bool read_snapshot(RecordReader *reader, uint64_t offset, RecordCursor from)
{
    RecordSnapshot snapshot = {.event = devemu_record_get_num(&from), .offset = offset};

    g_array_append_val(reader->snapshots, snapshot);
    return !from.bad && snapshot.event == reader->events->len;
}

RecordCursor devemu_record_payload(const RecordReader *reader, uint64_t offset)
{
    uint32_t len = devemu_le32(reader->data + offset - RECORD_HEAD);

    return (RecordCursor){reader->data + offset + 1, reader->data + offset + len, false};
}

/* One whole record with the right checksum. */
static bool read_record(RecordReader *reader, uint64_t offset, uint32_t len, bool *ret_end)
{
    uint8_t tag = len > 0 ? reader->data[offset] : 0;
    RecordCursor from;

    if (tag == 0 || *ret_end || (reader->model == NULL) != (tag == RECORD_TAG_HEAD)) {
        return false;
    }
    from = devemu_record_payload(reader, offset);
    switch (tag) {
    case RECORD_TAG_HEAD:
        return read_head(reader, from);
    case RECORD_TAG_EVENT:
        g_array_append_val(reader->events, offset);
        return true;
    case RECORD_TAG_SNAPSHOT:
        return read_snapshot(reader, offset, from);
    case RECORD_TAG_END:
        *ret_end = true;
        return devemu_record_get_num(&from) == reader->events->len && !from.bad;
    default:
        return false;
    }
}

static bool read_records(RecordReader *reader, GError **error)
{
    uint64_t at = RECORD_FILE_HEAD;
    bool end = false;

    while (reader->len - at >= RECORD_HEAD) {
        const uint8_t *head = reader->data + at;
        uint32_t len = devemu_le32(head);

        if (devemu_le32(head + 8) != devemu_crc32(0, head, 8)) {
            return damaged(reader, at, error);
        }
        if (len > reader->len - at - RECORD_HEAD) {
            break;
        }
        if (devemu_le32(head + 4) != devemu_crc32(0, head + RECORD_HEAD, len) ||
            !read_record(reader, at + RECORD_HEAD, len, &end)) {
            return damaged(reader, at, error);
        }
        at += RECORD_HEAD + len;
    }
    if (reader->model == NULL) {
        return unusable(reader, error,
                        "ends before it says which device it is of: record it again");
    }
    if (at != reader->len || !end) {
        reader->note =
            g_strdup_printf("record log '%s' was not closed: it ends after event %u, and "
                            "%" PRIu64 " bytes behind that are left out",
                            reader->path, reader->events->len, reader->len - at);
    }
    return true;
}

static bool read_file(RecordReader *reader, GError **error)
{
    GError *why = NULL;

    reader->map = g_mapped_file_new(reader->path, FALSE, &why);
    if (reader->map == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG, "cannot read the record log: %s",
                    why->message);
        g_error_free(why);
        return false;
    }
    reader->data = (const uint8_t *)g_mapped_file_get_contents(reader->map);
    reader->len = g_mapped_file_get_length(reader->map);
    if (reader->len < RECORD_FILE_HEAD ||
        memcmp(reader->data, RECORD_MAGIC, strlen(RECORD_MAGIC)) != 0) {
        return unusable(reader, error,
                        reader->len == 0 ? "is empty: record it again"
                                         : "is no record log: give a file that a recorder wrote");
    }
    if (devemu_le32(reader->data + 12) != devemu_crc32(0, reader->data, 12)) {
        return damaged(reader, 8, error);
    }
    if (devemu_le32(reader->data + 8) != RECORD_VERSION) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG,
                    "record log '%s' has version %" PRIu32 ", but this library reads version %u",
                    reader->path, devemu_le32(reader->data + 8), RECORD_VERSION);
        return false;
    }
    return read_records(reader, error);
}

bool devemu_record_open(RecordReader *reader, const char *path, GError **error)
{
    memset(reader, 0, sizeof(*reader));
    reader->path = g_strdup(path);
    reader->settings = g_array_new(TRUE, TRUE, sizeof(DevemuSetting));
    g_array_set_clear_func(reader->settings, setting_clear);
    reader->events = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    reader->snapshots = g_array_new(FALSE, FALSE, sizeof(RecordSnapshot));
    if (!read_file(reader, error)) {
        devemu_record_reader_clear(reader);
        return false;
    }
    return true;
}

void devemu_record_reader_clear(RecordReader *reader)
{
    g_clear_pointer(&reader->map, g_mapped_file_unref);
    g_clear_pointer(&reader->settings, g_array_unref);
    g_clear_pointer(&reader->events, g_array_unref);
    g_clear_pointer(&reader->snapshots, g_array_unref);
    g_free(reader->path);
    g_free(reader->model);
    g_free(reader->note);
    memset(reader, 0, sizeof(*reader));
}
