/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay-report.c: the first difference between a log and a device, for people.
 */
#include <devemu/trace.h>

#include "replay.h"

/* Events that a report shows before the one that differs. */
#define REPORT_EVENTS 10

RecordCursor devemu_replay_event(const DevemuReplay *r, uint64_t n)
{
    return devemu_record_payload(&r->log, g_array_index(r->log.events, uint64_t, n));
}

/* --- differences ------------------------------------------------------------------- */

void devemu_replay_broken(DevemuReplay *r, const char *what)
{
    if (r->outcome == OUTCOME_SAME) {
        r->outcome = OUTCOME_BROKEN;
        r->got = g_strdup(what);
    }
}

/* The register that a read of this event came to, for the names of its bits. */
static const DevemuTrace *seen_read(const DevemuReplay *r)
{
    for (unsigned i = 0; i < MIN(r->seen_count, SEEN_MAX); i++) {
        const Seen *seen = &r->seen[(r->seen_count - 1 - i) % SEEN_MAX];

        if (seen->event != r->position) {
            return NULL;
        }
        if (seen->trace.kind == DEVEMU_TRACE_READ && seen->trace.reg) {
            return &seen->trace;
        }
    }
    return NULL;
}

static char *item_text(const DevemuReplay *r, const RecordItem *item)
{
    const DevemuTrace *read = r->event.kind == RECORD_READ ? seen_read(r) : NULL;
    GString *text = g_string_new(NULL);

    devemu_text_item(text, r->dev, item);
    if (item->kind == RECORD_ITEM_RETURN && item->a == DEVEMU_ACCESS_OK && read &&
        r->event.c == (read->reg->size ? read->reg->size : 1u)) {
        char *value = devemu_reg_format(read->reg, item->b);

        g_string_append_printf(text, ", %s %s", read->reg->name, value);
        g_free(value);
    }
    return g_string_free(text, FALSE);
}

static void say_first_byte(DevemuReplay *r, const RecordItem *expected, const RecordItem *got)
{
    size_t i = 0;
    char *text;

    if (expected->kind != got->kind || expected->a != got->a || !expected->data || !got->data) {
        return;
    }
    while (i < MIN(expected->len, got->len) && expected->data[i] == got->data[i]) {
        i++;
    }
    if (i < RECORD_SHOWN_BYTES || i == MIN(expected->len, got->len)) {
        return; /* the texts show it */
    }
    text = g_strdup_printf("%s; byte %zu is %02x, not %02x", r->got, i, got->data[i],
                           expected->data[i]);
    g_free(r->got);
    r->got = text;
}

void devemu_replay_differs(DevemuReplay *r)
{
    RecordCursor from = r->items;
    RecordItem expected = {0}, got = {0};
    bool more = from.p < from.end;

    if (r->outcome != OUTCOME_SAME) {
        return;
    }
    if (more && !devemu_record_get_item(&from, &expected)) {
        devemu_replay_broken(r, "it is malformed");
        return;
    }
    r->expected = more ? item_text(r, &expected) : g_strdup("nothing more");
    if (r->did->len == 0) {
        r->got = g_strdup("nothing more");
    } else {
        /* Room for an answer that the device has not got. */
        const uint8_t none = 0;

        g_byte_array_append(r->did, &none, 1);
        from = (RecordCursor){r->did->data, r->did->data + r->did->len, false};
        devemu_record_get_item(&from, &got);
        r->got = item_text(r, &got);
        if (more) {
            say_first_byte(r, &expected, &got);
        }
    }
    r->outcome = OUTCOME_DIFFERS;
}

/* --- the report -------------------------------------------------------------------- */

static void report_traces(GString *to, const DevemuReplay *r, uint64_t event)
{
    unsigned count = MIN(r->seen_count, SEEN_MAX);

    for (unsigned i = count; i > 0; i--) {
        const Seen *seen = &r->seen[(r->seen_count - i) % SEEN_MAX];

        if (seen->event == event) {
            char *text = devemu_trace_format(&seen->trace);

            g_string_append_printf(to, "        %s\n", text);
            g_free(text);
        }
    }
}

static void report_event(GString *to, const DevemuReplay *r, uint64_t n)
{
    RecordCursor from = devemu_replay_event(r, n);
    RecordEvent event;

    if (!devemu_record_get_event(&from, &event)) {
        g_string_append_printf(to, "%8" PRIu64 " ?\n", n);
        return;
    }
    g_string_append_printf(to, "%8" PRIu64 " at %" PRIu64 " ns: ", n, event.time);
    devemu_text_event(to, r->dev, &event);
    g_string_append_c(to, '\n');
    report_traces(to, r, n);
}

char *devemu_replay_make_report(const DevemuReplay *r)
{
    GString *to = g_string_new(NULL);
    uint64_t first = r->position > REPORT_EVENTS ? r->position - REPORT_EVENTS : 0;
    char *dump = devemu_device_dump(r->dev);

    g_string_append_printf(to, "%s: event %" PRIu64 " of %u differs from the log\n",
                           r->dev->model->name, r->position, r->log.events->len);
    g_string_append_printf(to, "the log has:     %s\n", r->expected);
    g_string_append_printf(to, "the device did:  %s\n", r->got);
    g_string_append(to, "what came in, and what the device did with it:\n");
    report_event(to, r, r->position);
    if (first < r->position) {
        g_string_append(to, "before that:\n");
    }
    for (uint64_t n = first; n < r->position; n++) {
        report_event(to, r, n);
    }
    g_string_append_printf(to, "registers of the device now:\n%s", dump);
    g_free(dump);
    return g_string_free(to, FALSE);
}

char *devemu_replay_event_text(const DevemuReplay *replay, uint64_t n)
{
    RecordCursor from;
    RecordEvent event;
    RecordItem item;
    GString *to;

    g_return_val_if_fail(replay != NULL && n < replay->log.events->len, NULL);
    from = devemu_replay_event(replay, n);
    if (!devemu_record_get_event(&from, &event)) {
        return g_strdup("malformed\n");
    }
    to = g_string_new(NULL);
    g_string_append_printf(to, "%" PRIu64 " at %" PRIu64 " ns: ", n, event.time);
    devemu_text_event(to, replay->dev, &event);
    g_string_append_c(to, '\n');
    while (from.p < from.end && devemu_record_get_item(&from, &item)) {
        if (item.kind != RECORD_ITEM_NOW) {
            g_string_append(to, "    ");
            devemu_text_item(to, replay->dev, &item);
            g_string_append_c(to, '\n');
        }
    }
    return g_string_free(to, FALSE);
}
