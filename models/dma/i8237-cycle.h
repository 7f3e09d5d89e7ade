/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8237-cycle.h: requests, priority and transfers of the 8237A, for i8237.c.
 */
#ifndef DEVEMU_MODELS_DMA_I8237_CYCLE_H
#define DEVEMU_MODELS_DMA_I8237_CYCLE_H

#include <devemu/model.h>

/* Command register, DS "Command Register". */
enum {
    CMD_MEM_TO_MEM = 1 << 0,
    CMD_CH0_HOLD = 1 << 1,
    CMD_DISABLE = 1 << 2,
    CMD_COMPRESSED = 1 << 3,
    CMD_ROTATE = 1 << 4,
    CMD_EXTENDED = 1 << 5,
    CMD_DREQ_LOW = 1 << 6,
    CMD_DACK_HIGH = 1 << 7,
};

/* Mode register, DS "Mode Register". */
enum {
    MODE_CHANNEL = 0x03,
    MODE_TYPE = 0x0c,
    MODE_VERIFY = 0x00,
    MODE_WRITE = 0x04, /* device to memory */
    MODE_READ = 0x08,
    MODE_AUTOINIT = 0x10,
    MODE_DECREMENT = 0x20,
    MODE_SERVICE = 0xc0,
    MODE_DEMAND = 0x00,
    MODE_SINGLE = 0x40,
    MODE_BLOCK = 0x80,
    MODE_CASCADE = 0xc0,
};

/* Request and single mask bit: the channel, and what its bit becomes. */
enum {
    BIT_CHANNEL = 0x03,
    BIT_SET = 0x04,
};

enum {
    CHANNELS = 4,
    NO_CHANNEL = 4,
};

struct dma {
    DevemuDevice *dev;
    uint64_t memory_ns; /* the end of the next bytes of a memory-to-memory transfer */
    uint16_t base_addr[CHANNELS];
    uint16_t base_count[CHANNELS];
    uint16_t addr[CHANNELS];
    uint16_t count[CHANNELS];
    uint8_t mode[CHANNELS];
    uint8_t page[8];
    uint32_t active; /* the channel in service, or NO_CHANNEL */
    uint32_t lowest; /* the channel of lowest priority, when it rotates */
    uint16_t dreq;   /* levels of the inputs */
    uint8_t command;
    uint8_t tc;      /* status bits 0-3 */
    uint8_t request; /* by software */
    uint8_t mask;
    uint8_t temp;
    bool hlda;
    bool eop;
    bool flip_flop; /* the next byte is the high one */
    bool cascaded;
    uint8_t wide;
};

/* Channels that ask, by DREQ; and those that may be served. */
uint8_t dma_dreqs(const struct dma *dma);
uint8_t dma_eligible(const struct dma *dma);
/* Give the bus to a channel, once the controller has it and nobody holds it. To be called whenever
 * something changed. */
void dma_arbitrate(struct dma *dma);
/* EOP# from outside. */
void dma_external_eop(struct dma *dma);

/* Was a memory-to-memory transfer asked for? Is one under way? */
bool dma_memory_asked(const struct dma *dma);
bool dma_memory_busy(const struct dma *dma);
void dma_memory_due(void *state, uint64_t due_ns);

/* Cycles of bank "dack". */
DevemuAccess dma_dack_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value);
DevemuAccess dma_dack_write(void *state, uint64_t at, unsigned size, uint64_t value);

#endif
