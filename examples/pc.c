/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pc.c: a small VMM: a CPU engine (engine.h), a board (board.h), and between them this loop.
 *
 * Time is what the CPU has done: each basic block that it executes takes BLOCK_NS, and while it is
 * halted time jumps to the next deadline. So a run is a function of its inputs; with a network that
 * is played back, of nothing outside.
 */
#include "pc.h"

#include <devemu/screen.h>

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long the CPU runs before sockets and signals are looked at. */
#define SLICE_BLOCKS 50000

/* A halted CPU whose network is the real world waits this long for it before time jumps, in
 * milliseconds a jump. */
#define HALT_WAIT_MS 2

/* --- the host of the board --------------------------------------------------------- */

uint64_t pc_now(void *opaque)
{
    Pc *pc = opaque;

    return pc->skipped_ns + engine_blocks(pc->engine) * BLOCK_NS;
}

static void host_deadline(void *host, uint64_t when_ns)
{
    Pc *pc = host;

    pc->deadline = when_ns;
    if (when_ns < pc->target_ns) {
        engine_stop(pc->engine);
    }
}

static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    Pc *pc = host;

    if (pc->options.verbose) {
        fprintf(stderr, "pc: %s%s\n", text, level == DEVEMU_LOG_UNIMPL ? " is not modelled" : "");
    }
}

/* DMA went to memory that the CPU may have translated code from. */
static void memory_written(void *opaque, uint64_t addr, uint64_t len)
{
    engine_ram_written(((Pc *)opaque)->engine, addr, len);
}

static const DevemuHostOps host_ops = {
    .size = sizeof(DevemuHostOps),
    .now = pc_now,
    .deadline = host_deadline,
    .log = host_log,
};

/* --- pins -------------------------------------------------------------------------- */

static void pin_intr(void *opaque, bool level)
{
    engine_set_intr(((Pc *)opaque)->engine, level);
}

static void pin_a20(void *opaque, bool open)
{
    engine_set_a20(((Pc *)opaque)->engine, open);
}

static void pin_reset(void *opaque)
{
    Pc *pc = opaque;

    pc->reset = true;
    engine_stop(pc->engine);
}

static void pin_power_off(void *opaque)
{
    Pc *pc = opaque;

    pc->quit = PC_POWER_OFF;
    engine_stop(pc->engine);
}

static void pin_memory(void *opaque)
{
    Pc *pc = opaque;

    pc->remap = true;
    if (pc->running) {
        pc_map_memory(pc);
    }
}

static const BoardPins pins = {
    .intr = pin_intr,
    .a20 = pin_a20,
    .reset = pin_reset,
    .power_off = pin_power_off,
    .memory = pin_memory,
};

/* --- the CPU's accesses ------------------------------------------------------------ */

static uint64_t backends_deadline(const Pc *pc)
{
    uint64_t when = DEVEMU_NEVER;

    for (unsigned i = 0; i < pc->board->nets->len; i++) {
        when = MIN(when, devemu_net_deadline(g_ptr_array_index(pc->board->nets, i)));
    }
    for (unsigned i = 0; i < pc->board->disks->len; i++) {
        when = MIN(when, devemu_block_deadline(g_ptr_array_index(pc->board->disks, i)));
    }
    return when;
}

/* An access may have made a frame, or a request's end, deliverable earlier than the engine would
 * stop: what is seen when must not depend on where the slices end. */
static void replan(Pc *pc)
{
    if (backends_deadline(pc) < pc->target_ns) {
        engine_stop(pc->engine);
    }
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned size)
{
    Pc *pc = opaque;
    uint64_t value = UINT32_MAX;

    devemu_device_read(pc->board->system, DEVEMU_SYSTEM_PIO, port, size, &value);
    replan(pc);
    return (uint32_t)value;
}

static void port_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    Pc *pc = opaque;

    devemu_device_write(pc->board->system, DEVEMU_SYSTEM_PIO, port, size, value);
    replan(pc);
}

static uint64_t mmio_read(void *opaque, uint64_t addr, unsigned size)
{
    Pc *pc = opaque;
    uint64_t value = UINT64_MAX;

    devemu_device_read(pc->board->system, DEVEMU_SYSTEM_MEMORY, addr, size, &value);
    replan(pc);
    return value;
}

static void mmio_write(void *opaque, uint64_t addr, unsigned size, uint64_t value)
{
    Pc *pc = opaque;

    devemu_device_write(pc->board->system, DEVEMU_SYSTEM_MEMORY, addr, size, value);
    replan(pc);
}

static uint8_t acknowledge(void *opaque)
{
    return board_acknowledge(((Pc *)opaque)->board);
}

/* A time stamp counter of 1 GHz. */
static uint64_t tsc(void *opaque)
{
    return pc_now(opaque);
}

static const EngineOps engine_ops = {port_read,  port_write,  mmio_read,
                                     mmio_write, acknowledge, tsc};

/* --- memory ------------------------------------------------------------------------ */

typedef struct Mapped {
    uint64_t addr, len;
} Mapped;

static void map_range(void *opaque, uint64_t base, uint64_t len, uint8_t *data, bool readable,
                      bool writable)
{
    Pc *pc = opaque;
    Mapped mapped = {base, len};

    if (readable) {
        engine_map_ram(pc->engine, base, len, data, !writable);
        g_array_append_val(pc->mapped, mapped);
    }
}

/* Give the engine the flat view anew. */
void pc_map_memory(Pc *pc)
{
    for (unsigned i = 0; i < pc->mapped->len; i++) {
        const Mapped *mapped = &g_array_index(pc->mapped, Mapped, i);

        engine_unmap(pc->engine, mapped->addr, mapped->len);
    }
    g_array_set_size(pc->mapped, 0);
    devemu_system_ranges(pc->board->system, map_range, pc);
    pc->remap = false;
}

/* --- trace, transcript, screen ----------------------------------------------------- */

static void trace_line(void *opaque, const char *line)
{
    Pc *pc = opaque;
    const char *device = strchr(line, ' ');
    const char *only = pc->options.trace_device;

    if (only && (device == NULL || strncmp(device + 1, only, strlen(only)) != 0 ||
                 (device[1 + strlen(only)] != ' ' && device[1 + strlen(only)] != '.'))) {
        return;
    }
    fputs(line, pc->trace);
}

/* The serial line's new output goes to stdout, and is searched for the text that ends the run. */
static void transcript(Pc *pc)
{
    size_t len;
    const char *output;

    if (!pc->watch) {
        return;
    }
    output = devemu_chr_output(pc->serial, &len);
    if (len > pc->printed) {
        const char *until = pc->options.until;
        /* The text may have begun before what is new. */
        size_t from = until ? pc->printed - MIN(pc->printed, strlen(until) - 1) : 0;

        fwrite(output + pc->printed, 1, len - pc->printed, stdout);
        fflush(stdout);
        pc->printed = len;
        if (until && strstr(output + from, until)) {
            pc->quit = PC_FOUND;
        }
    }
}

static bool write_screen(Pc *pc)
{
    g_autoptr(GError) error = NULL;

    if (pc->options.screen &&
        !devemu_screen_write_png(pc->board->vga, pc->options.screen, &error)) {
        fprintf(stderr, "pc: %s\n", error->message);
        return false;
    }
    return true;
}

/* --- the loop ---------------------------------------------------------------------- */

static void serve(Pc *pc)
{
    if (pc->deadline <= pc_now(pc)) {
        devemu_device_run(pc->board->system);
    }
    for (unsigned i = 0; i < pc->board->nets->len; i++) {
        devemu_net_run(g_ptr_array_index(pc->board->nets, i));
    }
    for (unsigned i = 0; i < pc->board->disks->len; i++) {
        devemu_block_run(g_ptr_array_index(pc->board->disks, i));
    }
    if (pc->reset) {
        pc->reset = false;
        board_reset(pc->board);
        engine_reset(pc->engine);
    }
    if (pc->remap) {
        pc_map_memory(pc);
    }
    transcript(pc);
}

/* Nothing to execute: time goes on to the next deadline. Where sockets may bring something first
 * they get a moment of real time. */
static void halted(Pc *pc)
{
    uint64_t when = MIN(pc->deadline, backends_deadline(pc));
    uint64_t now = pc_now(pc);

    if (!engine_can_wake(pc->engine)) {
        pc->quit = PC_DEAD;
        pc->message = "the CPU is halted with interrupts off";
        return;
    }
    if (pc->live) {
        gint64 until = g_get_monotonic_time() + HALT_WAIT_MS * 1000;
        uint64_t before = backends_deadline(pc);

        while (!pc->quit && g_get_monotonic_time() < until && backends_deadline(pc) >= before) {
            g_main_context_iteration(NULL, FALSE);
            g_usleep(50);
        }
        when = MIN(pc->deadline, backends_deadline(pc));
    }
    if (when == DEVEMU_NEVER) {
        when = now + 1000000; /* only sockets or a signal can end this */
    }
    g_main_context_iteration(NULL, FALSE);
    when = MIN(when, pc->options.stop_at);
    if (when > now) {
        pc->skipped_ns += when - now;
    }
}

static void run_cpu(Pc *pc)
{
    uint64_t now = pc_now(pc);
    uint64_t next = MIN(MIN(pc->deadline, backends_deadline(pc)), pc->options.stop_at);
    uint64_t blocks = engine_blocks(pc->engine);
    uint64_t until = blocks + SLICE_BLOCKS;
    EngineExit why;

    if (next > now) {
        until = MIN(until, blocks + (next - now + BLOCK_NS - 1) / BLOCK_NS);
    } else {
        until = blocks + 1;
    }
    pc->target_ns = pc->skipped_ns + until * BLOCK_NS;
    pc->running = true;
    why = engine_run(pc->engine, until);
    pc->running = false;
    pc->target_ns = 0;
    /* What the CPU came to behind the access that asked for a reset or for the end is of no
     * account: the pins act at once. */
    if (pc->reset || pc->quit) {
        return;
    }
    if (why == ENGINE_HALT) {
        halted(pc);
    } else if (why == ENGINE_SHUTDOWN || why == ENGINE_ERROR) {
        pc->quit = PC_DEAD;
        pc->message = engine_message(pc->engine);
    }
}

static int loop(Pc *pc)
{
    uint64_t looked = 0;

    while (!pc->quit) {
        run_cpu(pc);
        serve(pc);
        if (engine_blocks(pc->engine) - looked >= SLICE_BLOCKS) {
            looked = engine_blocks(pc->engine);
            g_main_context_iteration(NULL, FALSE);
        }
        if (!pc->quit && pc_now(pc) >= pc->options.stop_at) {
            pc->quit = PC_TIME;
        }
    }
    transcript(pc);
    return pc->quit;
}

/* --- beginning and end ------------------------------------------------------------- */

static gboolean on_signal(gpointer opaque)
{
    ((Pc *)opaque)->quit = PC_SIGNAL;
    return G_SOURCE_CONTINUE;
}

static gboolean on_screen(gpointer opaque)
{
    write_screen(opaque);
    return G_SOURCE_CONTINUE;
}

static bool is_live(char **nics)
{
    for (char **nic = nics; nic && *nic; nic++) {
        if (strstr(*nic, "backend=slirp") || strstr(*nic, "backend=tap")) {
            return true;
        }
    }
    return false;
}

static bool open_consoles(Pc *pc, GError **error)
{
    const char *serial = pc->options.serial;

    if (serial) {
        pc->watch = pc->options.until != NULL || strcmp(serial, "stdout") == 0;
        pc->serial = devemu_chr_new(pc->watch ? "memory" : serial, NULL, error);
        if (pc->serial == NULL) {
            return false;
        }
        if (devemu_chr_path(pc->serial)) {
            fprintf(stderr, "pc: COM1 is %s\n", devemu_chr_path(pc->serial));
        }
    }
    if (pc->options.debug) {
        pc->debug = devemu_chr_new(pc->options.debug, NULL, error);
    }
    return pc->options.debug == NULL || pc->debug != NULL;
}

static bool open_trace(Pc *pc, GError **error)
{
    if (pc->options.trace == NULL) {
        return true;
    }
    pc->trace = g_fopen(pc->options.trace, "w");
    if (pc->trace == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "trace: cannot write %s: %s",
                    pc->options.trace, g_strerror(errno));
        return false;
    }
    pc->tracer = devemu_tracer_new(&host_ops, pc, trace_line, pc);
    devemu_tracer_attach(pc->tracer, pc->board->system);
    return true;
}

static bool start(Pc *pc, GError **error)
{
    BoardConfig config = {
        .ram_bytes = (uint64_t)pc->options.ram_mib << 20,
        .rtc_seconds = 1000000000, /* the same in every run: 2001-09-09 */
        .firmware = pc->options.firmware,
        .boot = {.order = pc->options.boot ? pc->options.boot : "n", .no_floppy_check = true},
        .roms = pc->options.roms,
        .nics = pc->options.nics,
        .devices = pc->options.devices,
        .record = pc->options.record,
        .clock = pc_now,
        .pins = &pins,
        .opaque = pc,
    };

    pc->mapped = g_array_new(FALSE, FALSE, sizeof(Mapped));
    pc->deadline = DEVEMU_NEVER;
    pc->live = is_live(pc->options.nics);
    pc->engine = engine_new(&engine_ops, pc, error);
    if (pc->engine == NULL || !open_consoles(pc, error)) {
        return false;
    }
    config.serial = pc->serial;
    config.debug = pc->debug;
    pc->board = board_new(&config, error);
    if (pc->board == NULL) {
        return false;
    }
    devemu_device_set_host(pc->board->system, &host_ops, pc);
    pc_map_memory(pc);
    devemu_system_watch_writes(pc->board->system, memory_written, pc);
    g_unix_signal_add(SIGINT, on_signal, pc);
    g_unix_signal_add(SIGTERM, on_signal, pc);
    g_unix_signal_add(SIGHUP, on_signal, pc);
    g_unix_signal_add(SIGUSR1, on_screen, pc);
    signal(SIGPIPE, SIG_IGN);
    /* A load tells the levels that lines have: no events, so the trace begins behind it. */
    return (pc->options.load == NULL || pc_load(pc, pc->options.load, error)) &&
           open_trace(pc, error);
}

static void finish(Pc *pc)
{
    board_free(pc->board);
    devemu_tracer_free(pc->tracer);
    devemu_chr_free(pc->serial);
    devemu_chr_free(pc->debug);
    engine_free(pc->engine);
    if (pc->trace) {
        fclose(pc->trace);
    }
    g_clear_pointer(&pc->mapped, g_array_unref);
}

/* What is wanted at the end: all that can be written is. */
static bool write_files(Pc *pc)
{
    g_autoptr(GError) error = NULL;
    bool ok = write_screen(pc);

    if (pc->options.save && !pc_save(pc, pc->options.save, &error)) {
        fprintf(stderr, "pc: %s\n", error->message);
        ok = false;
    }
    if (pc->trace && (fflush(pc->trace) != 0 || ferror(pc->trace))) {
        fprintf(stderr, "pc: trace: %s is not whole: %s\n", pc->options.trace, g_strerror(errno));
        ok = false;
    }
    return ok;
}

/* 0: ended as asked; 1: the guest did not get there; 2: the operator erred. */
static int run(Pc *pc)
{
    g_autoptr(GError) error = NULL;
    int why;

    if (!start(pc, &error)) {
        fprintf(stderr, "pc: %s\n", error->message);
        return 2;
    }
    why = loop(pc);
    if (why == PC_DEAD) {
        fprintf(stderr, "pc: %s\n", pc->message);
    }
    if (why == PC_TIME && pc->options.until) {
        fprintf(stderr, "pc: COM1 did not print '%s' in the time given\n", pc->options.until);
    }
    if (!write_files(pc)) {
        return 2;
    }
    return why == PC_DEAD || (why == PC_TIME && pc->options.until) ? 1 : 0;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Pc pc = {0};
    int status;

    if (!pc_options(&pc.options, &argc, &argv, &error)) {
        fprintf(stderr, "pc: %s\n", error->message);
        return 2;
    }
    status = run(&pc);
    finish(&pc);
    return status;
}
