/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pc.h: what the files of the example VMM share: pc.c (the loop), pc-options.c and pc-snapshot.c.
 */
#ifndef EXAMPLES_PC_H
#define EXAMPLES_PC_H

#include "board.h"
#include "engine.h"

#include <stdio.h>

/* What a basic block takes: a PC of about ten million instructions a second. A faster one would do
 * no more work here, but count more of its polling while it waits. */
#define BLOCK_NS 500

typedef struct PcOptions {
    char *firmware, *serial, *debug, *screen, *trace, *trace_device, *record, *until, *load, *save;
    char **roms, **nics, **devices;
    char *boot;
    int ram_mib;
    gboolean verbose;
    uint64_t stop_at; /* nanoseconds */
} PcOptions;

/* Why the loop ended. */
enum { PC_RUNS, PC_FOUND, PC_TIME, PC_SIGNAL, PC_POWER_OFF, PC_DEAD };

typedef struct Pc {
    PcOptions options;
    Board *board;
    Engine *engine;
    DevemuChr *serial, *debug;
    DevemuTracer *tracer;
    FILE *trace;
    GArray *mapped;      /* what the engine has as RAM */
    uint64_t skipped_ns; /* time that passed while the CPU was halted */
    uint64_t deadline;   /* of the board */
    uint64_t target_ns;  /* where the engine stops by itself; 0: it does not run */
    size_t printed;
    int quit;
    const char *message;
    bool running, reset, remap, live;
    bool watch; /* COM1 is kept in memory, printed, and searched */
} Pc;

/* False and one sentence in error. */
bool pc_options(PcOptions *o, int *argc, char ***argv, GError **error);

uint64_t pc_now(void *opaque);
void pc_map_memory(Pc *pc);

/* The whole machine: devices, memory, CPU, clock, place in a played back network. */
bool pc_save(Pc *pc, const char *path, GError **error);
bool pc_load(Pc *pc, const char *path, GError **error);

#endif
