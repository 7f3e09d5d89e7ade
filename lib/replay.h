/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.h: inside a replay. replay.c runs the device, replay-report.c says what is different.
 */
#ifndef DEVEMU_LIB_REPLAY_H
#define DEVEMU_LIB_REPLAY_H

#include "record-log.h"

#include <devemu/record.h>

/* Lines of trace kept for a report. */
#define SEEN_MAX 128

/* A trace that outlives its call. */
typedef struct Seen {
    uint64_t event;
    DevemuTrace trace;
    uint8_t data[RECORD_SHOWN_BYTES];
    char name[64];
} Seen;

typedef enum Outcome {
    OUTCOME_SAME,    /* so far */
    OUTCOME_DIFFERS, /* expected and got say how */
    OUTCOME_BROKEN,  /* the log asks for what cannot be done; got says what */
} Outcome;

/* A character line that is not the first. */
typedef struct ReplayPort {
    struct DevemuReplay *replay;
    unsigned number;
} ReplayPort;

struct DevemuReplay {
    RecordReader log;
    DevemuDevice *dev;
    GVariant *initial; /* state before event 0 */
    uint64_t position;
    uint64_t now;

    bool comparing;
    RecordEvent event;  /* under way */
    RecordCursor items; /* what the log still has of it */
    GByteArray *did;    /* what the device does, as an item */
    ReplayPort ports[DEVEMU_PORTS];

    GHashTable *requests; /* in flight, as the recorder's */
    DevemuBlockInfo medium;

    Outcome outcome;
    char *expected, *got;
    char *report;

    Seen seen[SEEN_MAX];
    unsigned seen_count; /* ever; the ring's place is the remainder */
};

/* The payload of event n. */
RecordCursor devemu_replay_event(const DevemuReplay *r, uint64_t n);
/* The log asks for what cannot be done; the first failure counts. */
void devemu_replay_broken(DevemuReplay *r, const char *what);
/* The device did r->did, or, if that is empty, no more; the log has something else next. */
void devemu_replay_differs(DevemuReplay *r);
/* The text for devemu_replay_report(). */
char *devemu_replay_make_report(const DevemuReplay *r);

#endif
