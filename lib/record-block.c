/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record-block.c: block requests in a record log. What a request read is known when it completes,
 * so the recorder and the replay both keep where it is wanted.
 */
#include "record-log.h"

/* --- the medium -------------------------------------------------------------------- */

#define MEMBER(field)                                                                              \
    {                                                                                              \
        offsetof(DevemuBlockInfo, field), DEVEMU_WIDTH(DevemuBlockInfo, field)                     \
    }

static const struct {
    uint32_t member;
    unsigned width;
} members[] = {
    MEMBER(capacity),
    MEMBER(block_size),
    MEMBER(physical_size),
    MEMBER(min_io),
    MEMBER(opt_io),
    MEMBER(max_transfer),
    MEMBER(max_segments),
    MEMBER(read_only),
    MEMBER(write_cache),
    MEMBER(rotational),
    MEMBER(discard),
    MEMBER(write_zeroes),
    MEMBER(secure_erase),
    MEMBER(zeroes_unmap),
    MEMBER(discard_granularity),
    MEMBER(max_discard),
    MEMBER(max_zeroes),
    MEMBER(max_erase),
    MEMBER(zoned),
    MEMBER(zone_size),
    MEMBER(zone_max_open),
    MEMBER(zone_max_active),
    MEMBER(zone_max_append),
    MEMBER(zone_write_granularity),
    MEMBER(lifetime),
    /* The three small ones together. */
    {offsetof(DevemuBlockInfo, pre_eol), 0},
};

G_STATIC_ASSERT(G_N_ELEMENTS(members) * 8 == RECORD_MEDIUM_BYTES);

void devemu_record_medium_to_bytes(const DevemuBlockInfo *info, uint8_t *bytes)
{
    for (size_t i = 0; i < G_N_ELEMENTS(members) - 1; i++) {
        devemu_put_le64(bytes + 8 * i,
                        devemu_member_get(info, members[i].member, members[i].width));
    }
    devemu_put_le64(bytes + RECORD_MEDIUM_BYTES - 8,
                    info->pre_eol | (uint64_t)info->life_a << 16 | (uint64_t)info->life_b << 32);
}

bool devemu_record_medium_from_bytes(DevemuBlockInfo *ret_info, const uint8_t *data, size_t len)
{
    uint64_t life;

    if (len != RECORD_MEDIUM_BYTES) {
        return false;
    }
    memset(ret_info, 0, sizeof(*ret_info));
    for (size_t i = 0; i < G_N_ELEMENTS(members) - 1; i++) {
        uint64_t value = devemu_le64(data + 8 * i);

        /* A bool is 0 or 1 whatever the file says. */
        devemu_member_set(ret_info, members[i].member, members[i].width,
                          members[i].width == sizeof(bool) ? value != 0 : value);
    }
    life = devemu_le64(data + RECORD_MEDIUM_BYTES - 8);
    ret_info->pre_eol = (uint16_t)life;
    ret_info->life_a = (uint16_t)(life >> 16);
    ret_info->life_b = (uint16_t)(life >> 32);
    return true;
}

/* --- requests in flight ------------------------------------------------------------ */

/* Those that fill memory have slices, others none. */
typedef struct Wanted {
    size_t count;
    DevemuBlockSlice slices[];
} Wanted;

static bool fills(DevemuBlockOp op)
{
    return op == DEVEMU_BLOCK_READ || op == DEVEMU_BLOCK_ZONE_REPORT;
}

GHashTable *devemu_record_requests_new(void)
{
    return g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
}

void devemu_record_requests_add(GHashTable *requests, const DevemuBlockRequest *request)
{
    size_t count = fills(request->op) ? request->count : 0;
    Wanted *wanted = g_malloc(sizeof(*wanted) + count * sizeof(wanted->slices[0]));

    wanted->count = count;
    if (count > 0) {
        memcpy(wanted->slices, request->slices, count * sizeof(wanted->slices[0]));
    }
    g_hash_table_insert(requests, GUINT_TO_POINTER(request->tag), wanted);
}

static size_t wanted_len(const Wanted *wanted)
{
    size_t len = 0;

    for (size_t i = 0; i < wanted->count; i++) {
        len += wanted->slices[i].len;
    }
    return len;
}

/* --- the log ----------------------------------------------------------------------- */

void devemu_record_put_request(GByteArray *to, const DevemuBlockRequest *request, bool more)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    devemu_record_put_num(data, request->op);
    devemu_record_put_num(data, request->tag);
    devemu_record_put_num(data, request->flags);
    devemu_record_put_num(data, request->at);
    devemu_record_put_num(data, request->len);
    for (size_t i = 0; i < request->count && !fills(request->op); i++) {
        g_byte_array_append(data, request->slices[i].data, (guint)request->slices[i].len);
    }
    devemu_record_put_item_data(to, RECORD_ITEM_SUBMIT, more, data->data, data->len);
}

GByteArray *devemu_record_completions(GHashTable *requests,
                                      const DevemuBlockCompletion *completions, size_t count)
{
    GByteArray *to = g_byte_array_new();

    for (size_t i = 0; i < count; i++) {
        gpointer key = GUINT_TO_POINTER(completions[i].tag);
        const Wanted *wanted = g_hash_table_lookup(requests, key);
        bool filled = wanted && completions[i].status == 0;

        devemu_record_put_num(to, completions[i].tag);
        devemu_record_put_num(to, (uint32_t)completions[i].status);
        devemu_record_put_num(to, completions[i].value);
        devemu_record_put_num(to, filled ? wanted_len(wanted) : 0);
        for (size_t j = 0; filled && j < wanted->count; j++) {
            g_byte_array_append(to, wanted->slices[j].data, (guint)wanted->slices[j].len);
        }
        g_hash_table_remove(requests, key);
    }
    return to;
}

static bool fill(const Wanted *wanted, const uint8_t *data, size_t len)
{
    if (len == 0) {
        return true;
    }
    if (wanted == NULL || len != wanted_len(wanted)) {
        return false;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        if (wanted->slices[i].len > 0) {
            memcpy(wanted->slices[i].data, data, wanted->slices[i].len);
            data += wanted->slices[i].len;
        }
    }
    return true;
}

GArray *devemu_replay_completions(GHashTable *requests, const uint8_t *data, size_t len)
{
    GArray *to = g_array_new(FALSE, FALSE, sizeof(DevemuBlockCompletion));
    RecordCursor from = {data, data + len, false};

    while (from.p < from.end) {
        uint64_t tag = devemu_record_get_num(&from);
        uint64_t status = devemu_record_get_num(&from);
        DevemuBlockCompletion done = {
            .tag = (uint32_t)tag,
            .status = (int32_t)(uint32_t)status,
            .value = devemu_record_get_num(&from),
        };
        size_t bytes_len;
        const uint8_t *bytes = devemu_record_get_bytes(&from, &bytes_len);
        const Wanted *wanted = g_hash_table_lookup(requests, GUINT_TO_POINTER(done.tag));

        if (from.bad || tag > UINT32_MAX || !fill(wanted, bytes, bytes_len)) {
            g_array_unref(to);
            return NULL;
        }
        g_hash_table_remove(requests, GUINT_TO_POINTER(done.tag));
        g_array_append_val(to, done);
    }
    return to;
}

/* --- snapshots --------------------------------------------------------------------- */

void devemu_record_put_snapshot(GByteArray *payload, uint64_t events, uint64_t moment,
                                uint8_t flags, const DevemuBlockInfo *medium, GVariant *state)
{
    GBytes *bytes = devemu_record_state_to_bytes(state);
    uint8_t tag = RECORD_TAG_SNAPSHOT, info[RECORD_MEDIUM_BYTES];
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);

    flags |= (uint8_t)(medium ? RECORD_SNAPSHOT_MEDIUM : 0);
    g_byte_array_set_size(payload, 0);
    g_byte_array_append(payload, &tag, 1);
    devemu_record_put_num(payload, events);
    devemu_record_put_u64(payload, moment);
    g_byte_array_append(payload, &flags, 1);
    if (medium) {
        devemu_record_medium_to_bytes(medium, info);
        g_byte_array_append(payload, info, sizeof(info));
    }
    g_byte_array_append(payload, data, (guint)len);
    g_bytes_unref(bytes);
}
