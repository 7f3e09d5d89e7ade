/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8237-cycle.c: requests, priority and transfers of the 8237A. The datasheets ("DS", "82C37A",
 * "AT") and what is not modelled: see i8237.c.
 */
#include "i8237-cycle.h"

/* Memory-to-memory: eight states a byte (DS "Memory-to-Memory"), of 200 ns as with the 8237A-5's
 * 5 MHz; so many bytes in one event. */
#define MEM_BYTE_NS UINT64_C(1600)
#define MEM_CHUNK   128

/* AT: the page register of each channel, in both controllers. */
static const uint8_t page_of[CHANNELS] = {7, 3, 1, 2};

/* --- requests and priority --------------------------------------------------------- */

/* DS "Command Register" bit 6. */
uint8_t dma_dreqs(const struct dma *dma)
{
    return (dma->command & CMD_DREQ_LOW ? ~dma->dreq : dma->dreq) & 15;
}

/* DS "Request Register": requests by software are not masked. Channel 0's starts a
 * memory-to-memory transfer where those are enabled, and is none of its own. */
uint8_t dma_eligible(const struct dma *dma)
{
    uint8_t soft = dma->request;

    if (dma->command & CMD_DISABLE) {
        return 0;
    }
    if (dma->command & CMD_MEM_TO_MEM) {
        soft &= (uint8_t)~1u;
    }
    return (uint8_t)((dma_dreqs(dma) & ~dma->mask) | soft);
}

static uint8_t service_of(const struct dma *dma, unsigned ch)
{
    return dma->mode[ch] & MODE_SERVICE;
}

/* Does the channel in service stay so? DS "Active Cycle": in block mode until terminal count, else
 * while it asks. */
static bool holds(const struct dma *dma)
{
    unsigned ch = dma->active;

    if (ch == NO_CHANNEL || (dma->command & CMD_DISABLE)) {
        return false;
    }
    if (service_of(dma, ch) == MODE_BLOCK) {
        return (dma->request >> ch & 1) || (dma->mask >> ch & 1) == 0;
    }
    return dma_eligible(dma) >> ch & 1;
}

bool dma_memory_busy(const struct dma *dma)
{
    return dma->memory_ns != DEVEMU_NEVER;
}

/* DS "Priority": fixed, channel 0 first; or behind the one that was served last. */
static unsigned highest(const struct dma *dma)
{
    uint8_t asking = dma_eligible(dma);
    unsigned first = dma->command & CMD_ROTATE ? dma->lowest + 1u : 0;

    for (unsigned i = 0; i < CHANNELS; i++) {
        unsigned ch = (first + i) % CHANNELS;

        if (asking >> ch & 1) {
            return ch;
        }
    }
    return NO_CHANNEL;
}

/* A service is over. */
static void release(struct dma *dma)
{
    dma->lowest = dma->active & (CHANNELS - 1);
    dma->active = NO_CHANNEL;
}

bool dma_memory_asked(const struct dma *dma)
{
    return (dma->command & CMD_MEM_TO_MEM) && (dma->command & CMD_DISABLE) == 0 &&
           (dma->request & 1);
}

/* The end of the next bytes of a memory-to-memory transfer that begins at a moment. */
static uint64_t memory_next(const struct dma *dma, uint64_t from_ns)
{
    uint64_t bytes = dma->count[1] + UINT64_C(1);

    return from_ns + (bytes < MEM_CHUNK ? bytes : MEM_CHUNK) * MEM_BYTE_NS;
}

/* DS "Memory-to-Memory": started by a software request of channel 0. */
static void memory_start(struct dma *dma)
{
    if (dma->wide) {
        devemu_guest_error(dma->dev, "COMMAND: memory-to-memory with a 16-bit controller");
        dma->request &= (uint8_t)~1u;
        return;
    }
    dma->eop = false;
    dma->memory_ns = memory_next(dma, devemu_now(dma->dev));
}

/* Give the bus to a channel, once the controller has it and nobody holds it. To be called whenever
 * something changed. */
void dma_arbitrate(struct dma *dma)
{
    if (dma->active != NO_CHANNEL && !holds(dma)) {
        release(dma);
    }
    if (dma->active != NO_CHANNEL || dma_memory_busy(dma) || (dma->cascaded && !dma->hlda)) {
        return;
    }
    if (dma_memory_asked(dma)) {
        memory_start(dma);
    }
    if (!dma_memory_busy(dma)) {
        dma->active = highest(dma);
    }
}

/* --- counting ---------------------------------------------------------------------- */

static void autoinit(struct dma *dma, unsigned ch)
{
    dma->addr[ch] = dma->base_addr[ch];
    dma->count[ch] = dma->base_count[ch];
}

/* DS "EOP#", "Autoinitialize", "Mask Register": terminal count, or EOP# from outside, ends the
 * service: the request is reset; the channel is masked, or begins anew. */
static void terminal(struct dma *dma, unsigned ch)
{
    uint8_t bit = (uint8_t)(1u << ch);

    dma->tc |= bit;
    dma->request &= (uint8_t)~bit;
    dma->eop = true;
    if (dma->mode[ch] & MODE_AUTOINIT) {
        autoinit(dma, ch);
    } else {
        dma->mask |= bit;
    }
}

/* DS "Current Word Register": terminal count is when it goes from zero to FFFFh. */
static bool count_down(struct dma *dma, unsigned ch)
{
    return dma->count[ch]-- == 0;
}

static void step(struct dma *dma, unsigned ch)
{
    dma->addr[ch] = (uint16_t)(dma->addr[ch] + (dma->mode[ch] & MODE_DECREMENT ? 0xffffu : 1u));
}

/* AT: eight bits of page above the address, for words without the lowest one. */
static uint64_t bus_addr(const struct dma *dma, unsigned ch)
{
    uint64_t page = dma->page[page_of[ch]];

    return dma->wide ? (page & 0xfe) << 16 | (uint64_t)dma->addr[ch] << 1
                     : page << 16 | dma->addr[ch];
}

/* --- cycles: DS "Active Cycle", "Transfer Types" ----------------------------------- */

static void count_cycle(struct dma *dma, unsigned ch)
{
    dma->eop = false;
    step(dma, ch);
    if (count_down(dma, ch)) {
        terminal(dma, ch);
        release(dma);
    } else if (service_of(dma, ch) == MODE_SINGLE) {
        release(dma);
    }
    dma_arbitrate(dma);
}

/* May a cycle of this type go on in this channel now? */
static bool grants(const struct dma *dma, uint64_t at, unsigned size, uint8_t type)
{
    unsigned ch = (unsigned)at;
    uint8_t mode;

    if (at >= CHANNELS || ch != dma->active || size != (dma->wide ? 2u : 1u)) {
        return false;
    }
    mode = dma->mode[ch];
    return (mode & MODE_SERVICE) != MODE_CASCADE &&
           ((mode & MODE_TYPE) == type || (mode & MODE_TYPE) == MODE_VERIFY);
}

DevemuAccess dma_dack_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct dma *dma = state;
    unsigned ch = (unsigned)at;
    uint8_t buf[2] = {0xff, 0xff};

    if (!grants(dma, at, size, MODE_READ)) {
        return DEVEMU_ACCESS_NONE;
    }
    if ((dma->mode[ch] & MODE_TYPE) == MODE_READ) {
        devemu_dma_read(dma->dev, bus_addr(dma, ch), buf, size);
    }
    *ret_value = size == 2 ? devemu_le16(buf) : buf[0];
    count_cycle(dma, ch);
    return DEVEMU_ACCESS_OK;
}

DevemuAccess dma_dack_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct dma *dma = state;
    unsigned ch = (unsigned)at;
    uint8_t buf[2];

    if (!grants(dma, at, size, MODE_WRITE)) {
        return DEVEMU_ACCESS_NONE;
    }
    devemu_put_le16(buf, (uint16_t)value);
    if ((dma->mode[ch] & MODE_TYPE) == MODE_WRITE) {
        devemu_dma_write(dma->dev, bus_addr(dma, ch), buf, size);
    }
    count_cycle(dma, ch);
    return DEVEMU_ACCESS_OK;
}

/* --- memory-to-memory -------------------------------------------------------------- */

/* DS "Memory-to-Memory": a byte goes through the temporary register; the word count of channel 1
 * ends it. 82C37A: channel 0 gives no EOP of its own, but begins anew if it is set to. */
static bool memory_byte(struct dma *dma)
{
    bool ends;

    devemu_dma_read(dma->dev, bus_addr(dma, 0), &dma->temp, 1);
    devemu_dma_write(dma->dev, bus_addr(dma, 1), &dma->temp, 1);
    if ((dma->command & CMD_CH0_HOLD) == 0) {
        step(dma, 0);
    }
    step(dma, 1);
    ends = count_down(dma, 1);
    if (count_down(dma, 0) && (dma->mode[0] & MODE_AUTOINIT)) {
        autoinit(dma, 0);
    }
    return !ends;
}

static void memory_end(struct dma *dma)
{
    dma->memory_ns = DEVEMU_NEVER;
    dma->request &= (uint8_t)~1u;
    terminal(dma, 1);
    dma_arbitrate(dma);
}

void dma_memory_due(void *state, uint64_t due_ns)
{
    struct dma *dma = state;

    if (!dma_memory_asked(dma)) {
        dma_arbitrate(dma);
        return;
    }
    for (unsigned i = 0; i < MEM_CHUNK; i++) {
        if (!memory_byte(dma)) {
            memory_end(dma);
            return;
        }
    }
    dma->memory_ns = memory_next(dma, due_ns);
}

/* DS "EOP#": an external one ends the service like terminal count. */
void dma_external_eop(struct dma *dma)
{
    unsigned ch = dma->active;

    if (dma_memory_busy(dma)) {
        memory_end(dma);
    } else if (ch != NO_CHANNEL && service_of(dma, ch) != MODE_CASCADE) {
        terminal(dma, ch);
        release(dma);
        dma_arbitrate(dma);
    }
}
