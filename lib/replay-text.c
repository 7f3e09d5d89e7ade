/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay-text.c: events and items of a record log as text, from the log alone. Numbers come from a
 * file and may be anything.
 */
#include "record-log.h"

static const char *bank_name(const DevemuDevice *dev, uint64_t bank)
{
    return bank < dev->model->bank_count ? dev->model->banks[bank].name : "?";
}

static unsigned digits(uint64_t size)
{
    return size == 0 || size > 8 ? 1 : (unsigned)size * 2;
}

static void append_hex(GString *to, uint64_t value, unsigned width)
{
    g_string_append_printf(to, "%0*" PRIx64, (int)width, value);
}

static const char *access_name(uint64_t access)
{
    static const char *const names[] = {"answered", "nothing there", "wrong width", "busy"};

    return access < G_N_ELEMENTS(names) ? names[access] : "?";
}

const char *devemu_text_line_name(const char *const *names, uint64_t line)
{
    for (uint64_t i = 0; names && names[i]; i++) {
        if (i == line) {
            return names[i];
        }
    }
    return "?";
}

static void append_line(GString *to, const char *what, const char *const *names, uint64_t line,
                        uint64_t level)
{
    g_string_append_printf(to, "%s %s (%" PRIu64 ") becomes %" PRIu64, what,
                           devemu_text_line_name(names, line), line, level);
}

static void append_access(GString *to, const DevemuDevice *dev, const RecordEvent *event)
{
    g_string_append_printf(to, "%s %s+", event->kind == RECORD_READ ? "read" : "write",
                           bank_name(dev, event->a));
    append_hex(to, event->b, 4);
    g_string_append_printf(to, ", %" PRIu64 " byte%s", event->c, event->c == 1 ? "" : "s");
    if (event->kind == RECORD_WRITE) {
        g_string_append(to, ": ");
        append_hex(to, event->d, digits(event->c));
    }
}

static void append_input(GString *to, const RecordEvent *event)
{
    static const char *const kinds[] = {"key", "button", "move"};
    uint32_t v[6] = {0};

    for (unsigned i = 0; event->len == sizeof(v) && i < 6; i++) {
        v[i] = devemu_le32(event->data + 4 * i);
    }
    g_string_append_printf(
        to, "input: %s, code %" PRIu32 ", value %" PRId32 ", at %" PRId32 " %" PRId32 " %" PRId32,
        v[0] < G_N_ELEMENTS(kinds) ? kinds[v[0]] : "?", v[1], (int32_t)v[2], (int32_t)v[3],
        (int32_t)v[4], (int32_t)v[5]);
}

static void append_completions(GString *to, const RecordEvent *event)
{
    RecordCursor from = {event->data, event->data + event->len, false};
    const char *comma = "";

    while (from.p < from.end && !from.bad) {
        uint64_t tag = devemu_record_get_num(&from);
        uint64_t status = devemu_record_get_num(&from);
        uint64_t value = devemu_record_get_num(&from);
        size_t len;
        const uint8_t *data = devemu_record_get_bytes(&from, &len);

        g_string_append_printf(to, "%srequest %" PRIu64 " complete, status %" PRId32, comma, tag,
                               (int32_t)(uint32_t)status);
        if (value) {
            g_string_append_printf(to, ", value %" PRIu64, value);
        }
        if (len > 0) {
            g_string_append(to, ", ");
            devemu_text_bytes(to, data, len);
        }
        comma = "; ";
    }
}

static void append_medium(GString *to, const RecordEvent *event)
{
    DevemuBlockInfo info;

    if (devemu_record_medium_from_bytes(&info, event->data, event->len)) {
        g_string_append_printf(to, "medium of %" PRIu64 " bytes", info.capacity);
    } else {
        g_string_append(to, "no medium");
    }
}

static void append_port(GString *to, uint64_t port)
{
    if (port > 0) {
        g_string_append_printf(to, "at port %" PRIu64 ", ", port);
    }
}

/* A frame behind what is said of it. */
static void append_packet(GString *to, const char *what, const uint8_t *data, size_t len)
{
    static const char *const kinds[] = {"", "TCPv4", "TCPv6", "UDP"};
    DevemuNetOffload offload;

    if (len < DEVEMU_NET_OFFLOAD_BYTES || !devemu_net_offload_get(data, &offload)) {
        g_string_append_printf(to, "%s?", what);
        return;
    }
    g_string_append(to, what);
    if (offload.gso != DEVEMU_GSO_NONE) {
        g_string_append_printf(to, "%s in pieces of %u%s, ", kinds[offload.gso & 3],
                               offload.gso_size, offload.ecn ? " with ECN" : "");
    }
    if (offload.needs_csum) {
        g_string_append_printf(to, "checksum from %u at %u, ", offload.csum_start,
                               offload.csum_start + offload.csum_offset);
    }
    g_string_append(to, offload.data_valid ? "checksum verified, " : "");
    devemu_text_bytes(to, data + DEVEMU_NET_OFFLOAD_BYTES, len - DEVEMU_NET_OFFLOAD_BYTES);
}

void devemu_text_event(GString *to, const DevemuDevice *dev, const RecordEvent *event)
{
    switch (event->kind) {
    case RECORD_READ:
    case RECORD_WRITE:
        append_access(to, dev, event);
        break;
    case RECORD_RECEIVE:
        g_string_append(to, "receive ");
        append_port(to, event->a);
        devemu_text_bytes(to, event->data, event->len);
        break;
    case RECORD_PACKET:
        append_packet(to, event->a ? "receive, with more to come, " : "receive ", event->data,
                      event->len);
        break;
    case RECORD_READY:
        g_string_append(to, "asked for room, has none");
        break;
    case RECORD_LINE:
        append_line(to, "input line", dev->model->inputs, event->a, event->b);
        break;
    case RECORD_LINK:
        g_string_append_printf(to, "link becomes %" PRIu64, event->a);
        break;
    case RECORD_INPUT:
        append_input(to, event);
        break;
    case RECORD_RESET:
        g_string_append_printf(to, "%s reset", event->a == DEVEMU_RESET_HARD ? "hard" : "soft");
        break;
    case RECORD_RUN:
        g_string_append(to, "time has come");
        break;
    case RECORD_COMPLETE:
        append_completions(to, event);
        break;
    case RECORD_MEDIUM:
        append_medium(to, event);
        break;
    case RECORD_LOAD:
        g_string_append_printf(to, "snapshot loaded, %zu bytes", event->len);
        break;
    case RECORD_SETTLE:
        g_string_append(to, "lines and deadline told again");
        break;
    case RECORD_EVENT_KINDS:
    default:
        g_string_append(to, "?");
        break;
    }
}

static void append_dma(GString *to, const char *what, const RecordItem *item, uint64_t len)
{
    g_string_append_printf(to, "%s ", what);
    append_hex(to, item->a, 8);
    if (item->data) {
        g_string_append(to, ", ");
        devemu_text_bytes(to, item->data, item->len);
    } else {
        g_string_append_printf(to, ", %" PRIu64 " bytes", len);
    }
}

static void append_return(GString *to, const RecordItem *item)
{
    if (item->a != DEVEMU_ACCESS_OK) {
        g_string_append_printf(to, "answer: %s", access_name(item->a));
    } else {
        g_string_append(to, "answer: ");
        append_hex(to, item->b, 2);
    }
}

static void append_request(GString *to, const RecordItem *item)
{
    RecordCursor from = {item->data, item->data + item->len, false};
    uint64_t op = devemu_record_get_num(&from);
    uint64_t tag = devemu_record_get_num(&from);
    uint64_t flags = devemu_record_get_num(&from);
    uint64_t at = devemu_record_get_num(&from);
    uint64_t len = devemu_record_get_num(&from);

    g_string_append_printf(to, "request %" PRIu64 ": %s at %" PRIu64 ", %" PRIu64 " bytes", tag,
                           devemu_block_op_name(op), at, len);
    if (flags) {
        g_string_append_printf(to, ", flags %" PRIx64, flags);
    }
    if (from.p < from.end) {
        g_string_append(to, ", ");
        devemu_text_bytes(to, from.p, (size_t)(from.end - from.p));
    }
}

void devemu_text_item(GString *to, const DevemuDevice *dev, const RecordItem *item)
{
    switch (item->kind) {
    case RECORD_ITEM_NOW:
        g_string_append_printf(to, "looks at the clock, %" PRIu64 " ns later", item->a);
        break;
    case RECORD_ITEM_DMA_READ:
        append_dma(to, "DMA read from", item, item->b);
        break;
    case RECORD_ITEM_DMA_WRITE:
        append_dma(to, "DMA write to", item, item->len);
        break;
    case RECORD_ITEM_OUTPUT:
        append_line(to, "output line", dev->model->outputs, item->a, item->b);
        break;
    case RECORD_ITEM_MSI:
        g_string_append_printf(to, "MSI %" PRIx64 ", data %" PRIx64, item->a, item->b);
        break;
    case RECORD_ITEM_SEND:
        g_string_append(to, item->a ? "send, with more to come, " : "send ");
        devemu_text_bytes(to, item->data, item->len);
        break;
    case RECORD_ITEM_PACKET:
        append_packet(to, item->a ? "send, with more to come, " : "send ", item->data, item->len);
        break;
    case RECORD_ITEM_CHARS:
        g_string_append(to, "send ");
        append_port(to, item->a);
        devemu_text_bytes(to, item->data, item->len);
        break;
    case RECORD_ITEM_CONTROL:
        g_string_append_printf(to, "modem outputs %" PRIx64, item->a);
        break;
    case RECORD_ITEM_READY:
        g_string_append(to, "ready for a frame or characters");
        break;
    case RECORD_ITEM_DEADLINE:
        if (item->a == DEVEMU_NEVER) {
            g_string_append(to, "no deadline");
        } else {
            g_string_append_printf(to, "deadline %" PRIu64 " ns", item->a);
        }
        break;
    case RECORD_ITEM_RETURN:
        append_return(to, item);
        break;
    case RECORD_ITEM_LINE:
        append_line(to, "meanwhile input line", dev->model->inputs, item->a, item->b);
        break;
    case RECORD_ITEM_REFUSED:
        g_string_append(to, "meanwhile something was offered, and refused");
        break;
    case RECORD_ITEM_SUBMIT:
        append_request(to, item);
        break;
    case RECORD_ITEM_KINDS:
    default:
        g_string_append(to, "?");
        break;
    }
}
