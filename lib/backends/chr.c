/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr.c: what all character backends have in common: the bytes that wait for the device.
 */
#include "chr.h"

#include <errno.h>
#include <string.h>

#define IN_BYTES 4096
/* A device that never says "ready" is asked again after this. */
#define RETRY_US 10000

/* --- towards the device ------------------------------------------------------------ */

static void wake(DevemuChr *chr)
{
    chr->due_us = 0;
}

void chr_push(DevemuChr *chr, const uint8_t *data, size_t len)
{
    if (chr->in->len == 0) {
        wake(chr);
    }
    g_byte_array_append(chr->in, data, (guint)len);
}

void devemu_chr_run(DevemuChr *chr)
{
    size_t taken;

    g_return_if_fail(chr != NULL);
    chr->due_us = G_MAXINT64;
    if (chr->in->len == 0 || chr->dev == NULL) {
        return;
    }
    taken = devemu_device_receive_port(chr->dev, chr->port, chr->in->data, chr->in->len);
    if (taken > 0) {
        g_byte_array_remove_range(chr->in, 0, (guint)MIN(taken, chr->in->len));
    }
    if (chr->in->len > 0) {
        chr->due_us = MIN(chr->due_us, g_get_monotonic_time() + RETRY_US);
    }
}

void devemu_chr_put(DevemuChr *chr, const void *data, size_t len)
{
    g_return_if_fail(chr != NULL && (data != NULL || len == 0));
    if (len > 0) {
        chr_push(chr, data, len);
    }
}

size_t devemu_chr_waiting(const DevemuChr *chr)
{
    g_return_val_if_fail(chr != NULL, 0);
    return chr->in->len;
}

/* --- the main loop ----------------------------------------------------------------- */

static void loop_prepare(void *owner)
{
    DevemuChr *chr = owner;

    loop_watch_begin(chr->loop);
    if (chr->class->watch) {
        chr->class->watch(chr, chr->in->len < IN_BYTES);
    }
    loop_watch_end(chr->loop);
}

static bool loop_due(void *owner, gint *ret_timeout_ms)
{
    const DevemuChr *chr = owner;
    gint64 left_us;

    if (chr->held && chr->dev && chr->class->writable(chr)) {
        *ret_timeout_ms = 0;
        return true;
    }
    if (chr->in->len == 0 || chr->dev == NULL || chr->due_us == G_MAXINT64) {
        return false;
    }
    left_us = chr->due_us - g_get_monotonic_time();
    *ret_timeout_ms = (gint)CLAMP((left_us + 999) / 1000, 0, G_MAXINT);
    return left_us <= 0;
}

static void loop_dispatch(void *owner)
{
    DevemuChr *chr = owner;
    gint timeout_ms;

    if (chr->class->fetch) {
        chr->class->fetch(chr);
    }
    if (chr->held && chr->dev && chr->class->writable(chr)) {
        chr->held = !devemu_device_writable(chr->dev, chr->port);
    }
    if (loop_due(chr, &timeout_ms)) {
        devemu_chr_run(chr);
    }
}

static const LoopOps loop_ops = {
    .prepare = loop_prepare,
    .due = loop_due,
    .dispatch = loop_dispatch,
};

/* --- the device's side ------------------------------------------------------------- */

static void ops_write(void *opaque, const void *data, size_t len)
{
    DevemuChr *chr = opaque;

    chr->class->write(chr, data, len);
}

static void ops_ready(void *opaque)
{
    wake(opaque);
}

static void ops_control(void *opaque, unsigned lines)
{
    ((DevemuChr *)opaque)->control = lines;
}

static bool ops_writable(void *opaque)
{
    DevemuChr *chr = opaque;

    chr->asks = true;
    chr->held = chr->class->writable && !chr->class->writable(chr);
    return !chr->held;
}

bool devemu_chr_attach_port(DevemuChr *chr, DevemuDevice *dev, unsigned port)
{
    static const DevemuCharOps ops = {
        .size = sizeof(DevemuCharOps),
        .write = ops_write,
        .ready = ops_ready,
        .control = ops_control,
        .writable = ops_writable,
    };

    g_return_val_if_fail(chr != NULL, false);
    if (dev && port >= devemu_device_ports(dev)) {
        return false;
    }
    if (chr->dev) {
        devemu_device_attach_port(chr->dev, chr->port, NULL, NULL);
    }
    chr->dev = dev;
    chr->port = port;
    chr->asks = chr->held = false;
    if (dev) {
        devemu_device_attach_port(dev, port, &ops, chr);
        wake(chr);
    }
    return true;
}

void devemu_chr_attach(DevemuChr *chr, DevemuDevice *dev)
{
    devemu_chr_attach_port(chr, dev, 0);
}

const char *devemu_chr_path(const DevemuChr *chr)
{
    g_return_val_if_fail(chr != NULL, NULL);
    return chr->path;
}

uint64_t devemu_chr_dropped(const DevemuChr *chr)
{
    g_return_val_if_fail(chr != NULL, 0);
    return chr->dropped;
}

unsigned devemu_chr_control(const DevemuChr *chr)
{
    g_return_val_if_fail(chr != NULL, 0);
    return chr->control;
}

/* --- making and freeing ------------------------------------------------------------ */

void *chr_new(size_t size, const ChrClass *class, GMainContext *context)
{
    DevemuChr *chr = g_malloc0(size);

    chr->class = class;
    chr->in = g_byte_array_new();
    chr->due_us = G_MAXINT64;
    chr->loop = loop_new(context, &loop_ops, chr, class->name);
    return chr;
}

void devemu_chr_free(DevemuChr *chr)
{
    if (chr == NULL) {
        return;
    }
    loop_free(chr->loop);
    if (chr->class->finish) {
        chr->class->finish(chr);
    }
    g_byte_array_unref(chr->in);
    if (chr->output) {
        g_string_free(chr->output, TRUE);
    }
    g_free(chr->path);
    g_free(chr);
}

void *chr_refuse(const char *what, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "%s: %s", what, g_strerror(errno));
    return NULL;
}

DevemuChr *devemu_chr_new(const char *text, GMainContext *context, GError **error)
{
    static const struct {
        const char *name;
        ChrMake *make;
    } kinds[] = {
        {"fd", chr_fd_make},       {"file", chr_file_make}, {"memory", chr_memory_make},
        {"null", chr_null_make},   {"pty", chr_pty_make},   {"random", chr_random_make},
        {"stdio", chr_stdio_make}, {"unix", chr_unix_make},
    };
    size_t len;

    g_return_val_if_fail(text != NULL, NULL);
    len = strcspn(text, ":,");
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strlen(kinds[i].name) == len && strncmp(kinds[i].name, text, len) == 0) {
            return kinds[i].make(text[len] ? text + len + 1 : NULL, context, error);
        }
    }
    options_refuse(error,
                   "there is no character backend \"%s\"; there are fd:N, file:PATH, memory, null, "
                   "pty, random, stdio, unix:PATH",
                   text);
    return NULL;
}
