/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop.h: a backend's place in the program's main loop: one GSource with a changing set of file
 * descriptors. GLib wakes the loop for each change of the set, so the set is compared and only
 * differences are made known.
 */
#ifndef DEVEMU_BACKENDS_LOOP_H
#define DEVEMU_BACKENDS_LOOP_H

#include <glib.h>
#include <stdbool.h>

typedef struct Loop Loop;

typedef struct LoopOps {
    /* Before the loop sleeps: say what to watch. May be NULL. */
    void (*prepare)(void *owner);
    /* Is there something to do without any descriptor? If not now, *ret_timeout_ms says when; -1 is
     * never. */
    bool (*due)(void *owner, gint *ret_timeout_ms);
    void (*dispatch)(void *owner);
} LoopOps;

/* context NULL is the default one. owner is borrowed. */
Loop *loop_new(GMainContext *context, const LoopOps *ops, void *owner, const char *name);
void loop_free(Loop *loop);

/* The set anew: begin, watch each, end. */
void loop_watch_begin(Loop *loop);
void loop_watch(Loop *loop, int fd, GIOCondition events);
void loop_watch_end(Loop *loop);
/* What the last sleep found; 0 for a descriptor that is not watched. */
GIOCondition loop_found(const Loop *loop, int fd);

#endif
