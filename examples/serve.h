/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.h: what serve.c and its control socket share.
 */
#ifndef EXAMPLES_SERVE_H
#define EXAMPLES_SERVE_H

#include <devemu/backends.h>
#include <devemu/devemu.h>
#include "device-text.h"

#include <devemu/vduse.h>
#include <devemu/vfio-user.h>
#include <devemu/vhost-user.h>

#define SERVED_THREADS 16

/* What another thread of the server has of the device: its backend, and what that lives on. */
typedef struct ServedThread {
    GMainContext *context;
    DeviceBackend backend;
} ServedThread;

typedef enum ServedBy {
    BY_VFIO_USER,
    BY_VHOST_USER,
    BY_VDUSE,
} ServedBy;

/* A device at its socket. */
typedef struct Served {
    DevemuDevice *dev; /* of the server */
    DeviceBackend backend;
    ServedBy by; /* one of these is there */
    DevemuVfioUser *server;
    DevemuVhostUser *vhost_server;
    DevemuVduse *vduse_server;
    char *address;
    GMainContext *context;
    GMainLoop *loop; /* with --threads, of its own thread */
    GThread *thread;
    ServedThread others[SERVED_THREADS - 1]; /* with threads= of vhost-user */
    unsigned other_count;
} Served;

typedef struct Control Control;

/* Commands by lines on a UNIX socket, see docs/vfio-user.md. served is borrowed. NULL and one
 * sentence in error. */
Control *control_new(const char *path, GPtrArray *served, GMainLoop *loop, GError **error);
void control_free(Control *control);

#endif
