/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest.h: the inside of a DevemuQtest.
 */
#ifndef DEVEMU_SERVERS_QTEST_H
#define DEVEMU_SERVERS_QTEST_H

#include <devemu/bus.h>
#include <devemu/qtest.h>

#include "../backends/loop.h"

#define QTEST_LINES 256

/* An answer that is due when the clock has come to the target. */
typedef enum QtestStep {
    QTEST_STEP_NONE,
    QTEST_STEP_STEP, /* clock_step */
    QTEST_STEP_SET,  /* clock_set */
} QtestStep;

struct DevemuQtest {
    DevemuDevice *system;
    DevemuQtestOps ops;
    void *opaque;

    uint64_t now_ns, deadline_ns, target_ns;
    QtestStep step;

    GString *in;      /* what the client sent */
    size_t in_at;     /* where the next line begins */
    size_t in_looked; /* no newline before this */
    bool skipping;    /* the rest of a line that is too long */
    GString *out;     /* what it is to get ... */
    size_t out_at;    /* ... from here on */

    char *intercepted; /* path of the one device whose lines are told */
    uint8_t levels[QTEST_LINES];

    Loop *loop;
    int fd_in, fd_out; /* -1: none */
    bool ended;        /* nothing more comes */
    bool gone;         /* nobody reads */
    bool closed;       /* the program knows */
};

/* A line to the client. */
G_GNUC_PRINTF(2, 3) void qtest_say(DevemuQtest *server, const char *format, ...);
/* One line of the client, without its newline; is changed. */
void qtest_command(DevemuQtest *server, char *line);
/* What has to happen by now, behind a command or a moment of the clock. */
void qtest_settle(DevemuQtest *server);

#endif
