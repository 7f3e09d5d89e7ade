/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest-qmp.h: between the monitor's protocol and its commands.
 */
#ifndef EXAMPLES_QTEST_QMP_H
#define EXAMPLES_QTEST_QMP_H

#include "qtest.h"

#include <json-glib/json-glib.h>

/* A command's answer, or NULL and error: one of DEVEMU_ERROR with the text for the client. */
typedef JsonNode *QmpRun(Qtest *q, JsonObject *arguments, GError **error);

typedef struct QmpCommand {
    const char *name;
    QmpRun *run;
} QmpCommand;

extern const QmpCommand qmp_commands[]; /* ends with a NULL name */

#endif
