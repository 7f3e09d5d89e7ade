/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the example VMM asks of a CPU. An engine is one file that implements these functions; it
 * knows no device, and the board knows no engine. One CPU, one thread.
 *
 * Time is counted in executed basic blocks. An engine with ENGINE_DETERMINISTIC gives, from the
 * same state and with the same answers from its callbacks, the same callbacks at the same block
 * counts, wherever engine_run() was left and entered in between, also in another process after
 * engine_save() and engine_load().
 */
#ifndef EXAMPLES_ENGINE_H
#define EXAMPLES_ENGINE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef struct Engine Engine;

/*
 * The machine around the CPU. All members but tsc are needed. A callback may call engine_blocks(),
 * engine_set_intr(), engine_set_a20(), engine_map_ram(), engine_unmap(), engine_ram_written() and
 * engine_stop(), nothing else.
 */
typedef struct {
    uint32_t (*port_read)(void *opaque, uint16_t port, unsigned size);
    void (*port_write)(void *opaque, uint16_t port, unsigned size, uint32_t val);
    /* Every address without RAM; where nothing is, the answer is ones. size is 1, 2, 4 or 8. */
    uint64_t (*mmio_read)(void *opaque, uint64_t addr, unsigned size);
    void (*mmio_write)(void *opaque, uint64_t addr, unsigned size, uint64_t val);
    /* The interrupt acknowledge cycle: the vector. Called only while the line is up. */
    uint8_t (*acknowledge)(void *opaque);
    /* The time stamp counter; NULL counts blocks. */
    uint64_t (*tsc)(void *opaque);
} EngineOps;

typedef enum {
    ENGINE_BUDGET,   /* the block count was reached */
    ENGINE_HALT,     /* the CPU waits for an interrupt; engine_can_wake() */
    ENGINE_STOPPED,  /* engine_stop() */
    ENGINE_SHUTDOWN, /* a triple fault; only engine_reset() or engine_load() goes on */
    ENGINE_ERROR,    /* the engine cannot go on; engine_message() */
} EngineExit;

enum { ENGINE_DETERMINISTIC = 1u << 0 };

/* The CPU is in its reset state. NULL with error set when this library cannot do it. */
Engine *engine_new(const EngineOps *ops, void *opaque, GError **error);
void engine_free(Engine *engine);

const char *engine_name(const Engine *engine);
unsigned engine_features(const Engine *engine);

/*
 * RAM or ROM at addr, over whatever was there; writes to ROM are dropped. The memory stays the
 * caller's and must outlive the mapping. addr and size are multiples of 4096.
 * Data accesses see the change at once, instructions from the next block on.
 */
void engine_map_ram(Engine *engine, uint64_t addr, uint64_t size, void *ram, bool readonly);
/* The range goes to mmio_read() and mmio_write() again. */
void engine_unmap(Engine *engine, uint64_t addr, uint64_t size);
/* Somebody other than the CPU wrote to mapped memory (DMA, a snapshot); code in it is stale. */
void engine_ram_written(Engine *engine, uint64_t addr, uint64_t len);

/* The INTR pin. Taken between blocks, when the guest allows it. */
void engine_set_intr(Engine *engine, bool level);
/* The A20 pin: false masks address bit 20; open at first. */
void engine_set_a20(Engine *engine, bool open);
/*
 * The RESET pin, between two runs: a port that resets calls engine_stop(), and the board resets
 * everything when engine_run() returns. The levels of INTR and A20 and the block count stay.
 */
void engine_reset(Engine *engine);

/* Runs until engine_blocks() is until_block, or an earlier reason. */
EngineExit engine_run(Engine *engine, uint64_t until_block);
/* From a callback: engine_run() returns ENGINE_STOPPED when the block ends. */
void engine_stop(Engine *engine);
/* Blocks begun since creation; in a callback the current one is counted. */
uint64_t engine_blocks(const Engine *engine);
/* False: halted for ever, interrupts are off. */
bool engine_can_wake(Engine *engine);

/* Why ENGINE_SHUTDOWN or ENGINE_ERROR; owned by the engine, never NULL. */
const char *engine_message(const Engine *engine);
/* The registers as text, for people; the caller frees it. */
char *engine_describe(Engine *engine);

/* The whole CPU, between two runs; not the memory, not the map, not the level of INTR. */
GBytes *engine_save(Engine *engine);
/* False and nothing changed when the bytes are not this engine's. Restore memory and map first. */
bool engine_load(Engine *engine, GBytes *state, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Engine, engine_free)

G_END_DECLS

#endif
