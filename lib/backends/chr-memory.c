/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr-memory.c: characters into a string, or nowhere.
 */
#include "chr.h"

static void memory_write(DevemuChr *chr, const uint8_t *data, size_t len)
{
    g_string_append_len(chr->output, (const char *)data, (gssize)len);
}

static const ChrClass memory_class = {
    .name = "memory",
    .write = memory_write,
};

static void null_write(DevemuChr *chr, const uint8_t *data, size_t len)
{
    (void)chr;
    (void)data;
    (void)len;
}

static const ChrClass null_class = {
    .name = "null",
    .write = null_write,
};

static const Option none[] = {{.name = NULL}};

DevemuChr *chr_memory_make(const char *arg, GMainContext *context, GError **error)
{
    DevemuChr *chr;

    if (!options_parse("memory", none, arg, NULL, error)) {
        return NULL;
    }
    chr = chr_new(sizeof(DevemuChr), &memory_class, context);
    chr->output = g_string_new(NULL);
    return chr;
}

DevemuChr *chr_null_make(const char *arg, GMainContext *context, GError **error)
{
    return options_parse("null", none, arg, NULL, error)
               ? chr_new(sizeof(DevemuChr), &null_class, context)
               : NULL;
}

const char *devemu_chr_output(const DevemuChr *chr, size_t *ret_len)
{
    g_return_val_if_fail(chr != NULL, NULL);
    if (chr->output == NULL) {
        return NULL;
    }
    if (ret_len) {
        *ret_len = chr->output->len;
    }
    return chr->output->str;
}

void devemu_chr_clear(DevemuChr *chr)
{
    g_return_if_fail(chr != NULL);
    if (chr->output) {
        g_string_truncate(chr->output, 0);
    }
}
