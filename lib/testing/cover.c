/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cover.c: see cover.h.
 */
#include "cover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct Cover {
    char *path;
    GHashTable *lines; /* a set of char * */
};

Cover *cover_new(void)
{
    const char *path = g_getenv("DEVEMU_COVER_REGISTERS");
    Cover *cover;

    if (path == NULL || *path == '\0') {
        return NULL;
    }
    cover = g_new0(Cover, 1);
    cover->path = g_strdup(path);
    cover->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return cover;
}

/* A write that the register refuses (it is not writable now) tests the refusal only. */
static bool refused(DevemuDevice *dev, const DevemuTrace *trace)
{
    return trace->kind == DEVEMU_TRACE_WRITE && trace->reg->writable &&
           !trace->reg->writable(devemu_device_state(dev));
}

void cover_note(Cover *cover, DevemuDevice *dev, const DevemuTrace *trace)
{
    bool write = trace->kind == DEVEMU_TRACE_WRITE;

    if (trace->device != dev || trace->reg == NULL || trace->bank == NULL ||
        (!write && trace->kind != DEVEMU_TRACE_READ) || refused(dev, trace)) {
        return;
    }
    g_hash_table_add(cover->lines, g_strdup_printf("%s %s %s %s\n", devemu_device_model(dev)->name,
                                                   trace->bank->name, trace->reg->name,
                                                   write ? "write" : "read"));
}

/* Tests run beside each other: one write for all. */
static void append(const Cover *cover)
{
    GString *text = g_string_new(NULL);
    GHashTableIter iter;
    gpointer line;
    int fd = open(cover->path, O_WRONLY | O_CREAT | O_APPEND, 0666);

    g_hash_table_iter_init(&iter, cover->lines);
    while (g_hash_table_iter_next(&iter, &line, NULL)) {
        g_string_append(text, line);
    }
    if (fd < 0 || write(fd, text->str, text->len) != (gssize)text->len) {
        fprintf(stderr, "DEVEMU_COVER_REGISTERS: cannot write %s: %s\n", cover->path,
                g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    g_string_free(text, TRUE);
}

void cover_free(Cover *cover)
{
    if (cover == NULL) {
        return;
    }
    append(cover);
    g_hash_table_unref(cover->lines);
    g_free(cover->path);
    g_free(cover);
}
