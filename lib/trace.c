/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace.c: events and registers as text, and the tracer.
 */
#include <devemu/trace.h>

#include "record-log.h"

/* Elements of a register array that a dump shows. */
#define DUMP_ELEMENTS 64

/* --- registers --------------------------------------------------------------------- */

static unsigned reg_size(const DevemuReg *reg)
{
    return reg->size ? reg->size : 1;
}

static void append_bits(GString *to, const DevemuBits *bits, uint64_t value)
{
    const char *space = " [";

    for (; bits && bits->name; bits++) {
        uint64_t field = value & bits->mask;
        unsigned shift = bits->mask ? (unsigned)__builtin_ctzll(bits->mask) : 0;

        if (field == 0) {
            continue;
        }
        g_string_append_printf(to, "%s%s", space, bits->name);
        if ((bits->mask >> shift) != 1) {
            g_string_append_printf(to, "=%" PRIx64, field >> shift);
        }
        space = " ";
    }
    if (space[1] == '\0') {
        g_string_append_c(to, ']');
    }
}

static void append_reg(GString *to, const DevemuReg *reg, uint64_t value)
{
    g_string_append_printf(to, "%0*" PRIx64, (int)reg_size(reg) * 2, value);
    append_bits(to, reg->bits, value);
}

char *devemu_reg_format(const DevemuReg *reg, uint64_t value)
{
    GString *text;

    g_return_val_if_fail(reg != NULL, NULL);
    text = g_string_new(NULL);
    append_reg(text, reg, value);
    return g_string_free(text, FALSE);
}

/* --- events ------------------------------------------------------------------------ */

void devemu_text_bytes(GString *to, const void *data, size_t len)
{
    const uint8_t *p = data;

    g_string_append_printf(to, "%zu byte%s", len, len == 1 ? "" : "s");
    for (size_t i = 0; p && i < MIN(len, RECORD_SHOWN_BYTES); i++) {
        g_string_append_printf(to, "%s%02x", i ? " " : ": ", p[i]);
    }
    if (p && len > RECORD_SHOWN_BYTES) {
        g_string_append(to, " ..");
    }
}

/* As many digits as the last byte of the bank needs, an even number. */
static int place_digits(const DevemuBank *bank)
{
    uint64_t last = bank->size ? bank->size - 1 : UINT32_MAX;
    int count = 2;

    while (count < 16 && last >> (count * 4) != 0) {
        count += 2;
    }
    return count;
}

static void append_place(GString *to, const DevemuTrace *trace)
{
    if (trace->reg) {
        g_string_append(to, trace->reg->name);
        if (trace->reg->count > 1) {
            g_string_append_printf(to, "[%u]", trace->index);
        }
    } else if (trace->bank) {
        g_string_append_printf(to, "%s+%0*" PRIx64, trace->bank->name, place_digits(trace->bank),
                               trace->at);
    } else {
        g_string_append_printf(to, "+%" PRIx64, trace->at);
    }
}

static void append_access(GString *to, const DevemuTrace *trace)
{
    static const char *const failed[] = {"", "nothing there", "wrong width", "busy"};

    append_place(to, trace);
    g_string_append(to, trace->kind == DEVEMU_TRACE_READ ? " -> " : " <- ");
    if (trace->access != DEVEMU_ACCESS_OK) {
        unsigned access = (unsigned)trace->access;

        g_string_append(to, access < G_N_ELEMENTS(failed) ? failed[access] : "?");
    } else if (trace->reg) {
        append_reg(to, trace->reg, trace->value);
    } else {
        g_string_append_printf(to, "%0*" PRIx64, (int)(trace->size ? trace->size * 2 : 2),
                               trace->value);
    }
}

static void append_line(GString *to, const char *what, const DevemuTrace *trace)
{
    if (trace->name) {
        g_string_append_printf(to, "%s %s = %" PRIu64, what, trace->name, trace->value);
    } else {
        g_string_append_printf(to, "%s %" PRIu64 " = %" PRIu64, what, trace->at, trace->value);
    }
}

static void append_dma(GString *to, const char *what, const DevemuTrace *trace)
{
    g_string_append_printf(to, "%s %08" PRIx64 ", ", what, trace->at);
    devemu_text_bytes(to, trace->data, trace->len);
    if (!trace->value) {
        g_string_append(to, ", failed");
    }
}

static void append_receive(GString *to, const DevemuTrace *trace)
{
    g_string_append(to, "receive ");
    devemu_text_bytes(to, trace->data, trace->len);
    if (trace->value == 0 && trace->len > 0) {
        g_string_append(to, ", refused");
    } else if (trace->value < trace->len) {
        g_string_append_printf(to, ", took %" PRIu64, trace->value);
    }
}

static const char *word(const char *const *words, size_t count, uint64_t i)
{
    return i < count ? words[i] : "?";
}

static void append_event(GString *to, const DevemuTrace *trace)
{
    static const char *const resets[] = {"power", "hard", "soft", "stop"};
    static const char *const levels[] = {"guest", "unimplemented", "debug"};

    switch (trace->kind) {
    case DEVEMU_TRACE_READ:
    case DEVEMU_TRACE_WRITE:
        append_access(to, trace);
        break;
    case DEVEMU_TRACE_OUTPUT:
        append_line(to, "output", trace);
        break;
    case DEVEMU_TRACE_INPUT:
        append_line(to, "input", trace);
        break;
    case DEVEMU_TRACE_DMA_READ:
        append_dma(to, "dma read", trace);
        break;
    case DEVEMU_TRACE_DMA_WRITE:
        append_dma(to, "dma write", trace);
        break;
    case DEVEMU_TRACE_MSI:
        g_string_append_printf(to, "msi %" PRIx64 " %" PRIx64, trace->at, trace->value);
        break;
    case DEVEMU_TRACE_TIMER:
        g_string_append_printf(to, "timer %s, due at %" PRIu64, trace->name ? trace->name : "?",
                               trace->value);
        break;
    case DEVEMU_TRACE_RECEIVE:
        append_receive(to, trace);
        break;
    case DEVEMU_TRACE_SEND:
        g_string_append(to, "send ");
        devemu_text_bytes(to, trace->data, trace->len);
        break;
    case DEVEMU_TRACE_RESET:
        g_string_append_printf(to, "reset %s", word(resets, G_N_ELEMENTS(resets), trace->value));
        break;
    case DEVEMU_TRACE_LOG:
        g_string_append_printf(to, "%s: %s", word(levels, G_N_ELEMENTS(levels), trace->value),
                               trace->name ? trace->name : "");
        break;
    case DEVEMU_TRACE_SUBMIT:
        g_string_append_printf(to, "submit %u: %s at %" PRIu64 ", %" PRIu64 " bytes", trace->index,
                               trace->name ? trace->name : "?", trace->at, trace->value);
        break;
    case DEVEMU_TRACE_COMPLETE:
        g_string_append_printf(to, "complete %u: %" PRId64, trace->index, (int64_t)trace->value);
        break;
    default:
        g_string_append(to, "?");
        break;
    }
}

char *devemu_trace_format(const DevemuTrace *trace)
{
    GString *text;

    g_return_val_if_fail(trace != NULL, NULL);
    text = g_string_new(trace->device ? trace->device->name : "?");
    g_string_append_c(text, ' ');
    append_event(text, trace);
    return g_string_free(text, FALSE);
}

/* --- dump -------------------------------------------------------------------------- */

/* What a read gives; where reads give nothing, what is stored. */
static uint64_t reg_value(const DevemuDevice *dev, const DevemuReg *reg, unsigned index)
{
    unsigned size = reg_size(reg);
    uint64_t mask = size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;

    if (reg->read) {
        return reg->read(dev->state, index) & mask;
    }
    return devemu_member_get(dev->state, reg->member + (uint32_t)index * reg->width, reg->width) &
           mask;
}

static void dump_reg(GString *to, const DevemuDevice *dev, const DevemuBank *bank,
                     const DevemuReg *reg)
{
    unsigned count = reg->count ? reg->count : 1;

    if (reg->window || (!reg->read && !reg->width) || (reg->decoded && !reg->decoded(dev->state))) {
        return;
    }
    g_string_append_printf(to, "%s.%s", bank->name, reg->name);
    if (count == 1) {
        g_string_append_c(to, ' ');
        append_reg(to, reg, reg_value(dev, reg, 0));
    } else {
        g_string_append_printf(to, "[%u]", count);
        for (unsigned i = 0; i < MIN(count, DUMP_ELEMENTS); i++) {
            g_string_append_printf(to, " %0*" PRIx64, (int)reg_size(reg) * 2,
                                   reg_value(dev, reg, i));
        }
        g_string_append(to, count > DUMP_ELEMENTS ? " .." : "");
    }
    g_string_append_c(to, '\n');
}

static void dump_timers(GString *to, const DevemuDevice *dev)
{
    for (const DevemuTimer *t = dev->model->timers; t && t->name; t++) {
        uint64_t due = devemu_member_get(dev->state, t->member, 8);

        if (due == DEVEMU_NEVER) {
            g_string_append_printf(to, "timer.%s off\n", t->name);
        } else {
            g_string_append_printf(to, "timer.%s %" PRIu64 "\n", t->name, due);
        }
    }
}

char *devemu_device_dump(const DevemuDevice *dev)
{
    GString *text;

    g_return_val_if_fail(dev != NULL, NULL);
    while (dev->decorator) {
        dev = devemu_device_child(dev, 0);
    }
    text = g_string_new(NULL);
    for (size_t b = 0; b < dev->model->bank_count; b++) {
        const DevemuBank *bank = &dev->model->banks[b];

        for (size_t i = 0; i < bank->reg_count; i++) {
            dump_reg(text, dev, bank, &bank->regs[i]);
        }
    }
    dump_timers(text, dev);
    return g_string_free(text, FALSE);
}

/* --- the tracer -------------------------------------------------------------------- */

struct DevemuTracer {
    DevemuHostOps above;
    void *host;
    DevemuHostOps ops; /* for the device: as above, through the tracer */
    void (*write)(void *opaque, const char *line);
    void *opaque;
};

static bool tracer_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuTracer *t = host;

    return t->above.dma_read(t->host, addr, buf, len);
}

static bool tracer_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuTracer *t = host;

    return t->above.dma_write(t->host, addr, buf, len);
}

static bool tracer_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuTracer *t = host;

    return t->above.dma_map(t->host, addr, ret_window);
}

static void tracer_set_line(void *host, unsigned line, bool level)
{
    DevemuTracer *t = host;

    t->above.set_line(t->host, line, level);
}

static void tracer_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuTracer *t = host;

    t->above.msi(t->host, addr, data);
}

static uint64_t tracer_now(void *host)
{
    DevemuTracer *t = host;

    return t->above.now(t->host);
}

static void tracer_deadline(void *host, uint64_t when_ns)
{
    DevemuTracer *t = host;

    t->above.deadline(t->host, when_ns);
}

static void tracer_log(void *host, DevemuLogLevel level, const char *text)
{
    DevemuTracer *t = host;

    t->above.log(t->host, level, text);
}

static void tracer_trace(void *host, const DevemuTrace *trace)
{
    DevemuTracer *t = host;
    uint64_t now = t->above.now ? t->above.now(t->host) : 0;
    char *text = devemu_trace_format(trace);
    char *line = g_strdup_printf("%" PRIu64 " %s\n", now, text);

    t->write(t->opaque, line);
    g_free(line);
    g_free(text);
    if (t->above.trace) {
        t->above.trace(t->host, trace);
    }
}

/* What the host does not do, the tracer does not either: the library knows what to do then. */
static DevemuHostOps tracer_ops(const DevemuHostOps *above)
{
    return (DevemuHostOps){
        .size = sizeof(DevemuHostOps),
        .dma_read = above->dma_read ? tracer_dma_read : NULL,
        .dma_write = above->dma_write ? tracer_dma_write : NULL,
        .dma_map = above->dma_map ? tracer_dma_map : NULL,
        .set_line = above->set_line ? tracer_set_line : NULL,
        .msi = above->msi ? tracer_msi : NULL,
        .now = above->now ? tracer_now : NULL,
        .deadline = above->deadline ? tracer_deadline : NULL,
        .log = above->log ? tracer_log : NULL,
        .trace = tracer_trace,
    };
}

DevemuTracer *devemu_tracer_new(const DevemuHostOps *ops, void *host,
                                void (*write)(void *opaque, const char *line), void *opaque)
{
    DevemuTracer *t;

    g_return_val_if_fail(write != NULL, NULL);
    t = g_new0(DevemuTracer, 1);
    if (ops) {
        memcpy(&t->above, ops, MIN(ops->size, sizeof(t->above)));
    }
    t->host = host;
    t->ops = tracer_ops(&t->above);
    t->write = write;
    t->opaque = opaque;
    return t;
}

void devemu_tracer_free(DevemuTracer *tracer)
{
    g_free(tracer);
}

void devemu_tracer_attach(DevemuTracer *tracer, DevemuDevice *dev)
{
    g_return_if_fail(tracer != NULL && dev != NULL);
    devemu_device_set_host(dev, &tracer->ops, tracer);
}
