/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop.c: one GSource per backend.
 */
#include "loop.h"

typedef struct Watch {
    gpointer tag;
    GIOCondition events;
    bool seen;
} Watch;

typedef struct LoopSource {
    GSource source;
    Loop *loop;
    bool inside; /* its dispatch */
} LoopSource;

struct Loop {
    GMainContext *context;
    GSource *source;
    const LoopOps *ops;
    void *owner;
    GHashTable *watches; /* fd: Watch */
};

static bool found_any(const Loop *loop)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, loop->watches);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (g_source_query_unix_fd(loop->source, ((Watch *)value)->tag) != 0) {
            return true;
        }
    }
    return false;
}

static gboolean source_prepare(GSource *source, gint *ret_timeout)
{
    Loop *loop = ((LoopSource *)source)->loop;

    *ret_timeout = -1;
    if (((LoopSource *)source)->inside) {
        return FALSE;
    }
    if (loop->ops->prepare) {
        loop->ops->prepare(loop->owner);
    }
    return loop->ops->due(loop->owner, ret_timeout);
}

static gboolean source_check(GSource *source)
{
    Loop *loop = ((LoopSource *)source)->loop;
    gint timeout;

    if (((LoopSource *)source)->inside) {
        return FALSE;
    }
    return found_any(loop) || loop->ops->due(loop->owner, &timeout);
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    Loop *loop = ((LoopSource *)source)->loop;

    (void)callback;
    (void)user_data;
    ((LoopSource *)source)->inside = true;
    loop->ops->dispatch(loop->owner);
    ((LoopSource *)source)->inside = false;
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
};

Loop *loop_new(GMainContext *context, const LoopOps *ops, void *owner, const char *name)
{
    Loop *loop = g_new0(Loop, 1);

    loop->context = g_main_context_ref(context ? context : g_main_context_default());
    loop->ops = ops;
    loop->owner = owner;
    loop->watches = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    loop->source = g_source_new(&source_funcs, sizeof(LoopSource));
    ((LoopSource *)loop->source)->loop = loop;
    g_source_set_name(loop->source, name);
    /* Else GLib takes the descriptors out of the poll and back in at each dispatch, and wakes the
     * loop for each: two system calls a descriptor. `inside` guards instead. */
    g_source_set_can_recurse(loop->source, TRUE);
    g_source_attach(loop->source, loop->context);
    return loop;
}

void loop_free(Loop *loop)
{
    if (loop == NULL) {
        return;
    }
    g_source_destroy(loop->source);
    g_source_unref(loop->source);
    g_main_context_unref(loop->context);
    g_hash_table_unref(loop->watches);
    g_free(loop);
}

void loop_watch_begin(Loop *loop)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, loop->watches);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ((Watch *)value)->seen = false;
    }
}

void loop_watch(Loop *loop, int fd, GIOCondition events)
{
    Watch *watch = g_hash_table_lookup(loop->watches, GINT_TO_POINTER(fd));

    if (watch == NULL) {
        watch = g_new0(Watch, 1);
        watch->events = events;
        watch->tag = g_source_add_unix_fd(loop->source, fd, events);
        g_hash_table_insert(loop->watches, GINT_TO_POINTER(fd), watch);
    } else if (watch->events != events) {
        watch->events = events;
        g_source_modify_unix_fd(loop->source, watch->tag, events);
    }
    watch->seen = true;
}

void loop_watch_end(Loop *loop)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, loop->watches);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Watch *watch = value;

        if (!watch->seen) {
            g_source_remove_unix_fd(loop->source, watch->tag);
            g_hash_table_iter_remove(&iter);
        }
    }
}

GIOCondition loop_found(const Loop *loop, int fd)
{
    const Watch *watch = g_hash_table_lookup(loop->watches, GINT_TO_POINTER(fd));

    return watch ? g_source_query_unix_fd(loop->source, watch->tag) : 0;
}
