/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bank-build.c: from the rows of a table to what dispatch wants, and their reset values.
 */
#include "internal.h"

/* Above this a bank has raw handlers or few rows, and is searched. */
#define MAX_PLACES 8192

/* Small banks have an index by place and size besides. */
#define MAX_EXACT 512

static void row_build(DevemuRow *row, const DevemuReg *reg, const DevemuBank *bank)
{
    bool indexed = bank->kind == DEVEMU_BANK_INDEXED;
    uint64_t special = reg->ro | reg->w1c | reg->w1s | reg->w0c | reg->rc | reg->rsvd;

    row->reg = reg;
    row->at = reg->at;
    row->member = reg->member;
    row->width = reg->width;
    row->size = reg->size ? reg->size : 1;
    row->count = reg->count ? reg->count : 1;
    row->stride = reg->stride ? reg->stride : (indexed ? 1 : row->size);
    row->mask = devemu_ones(row->size);
    row->rw = row->mask & ~special;
    row->shown = row->mask & ~reg->wo;
    row->decoded = reg->decoded;
    row->read = reg->read;
    row->window = reg->window;
    row->window_width = reg->window_width;
    row->window_index = reg->window_index;
    row->special = (special & row->mask) != 0;
    row->quiet_read = !reg->took && !reg->rc && !reg->window;
    row->quick_write = row->width && !reg->writable && !reg->window && !reg->unimpl;
}

static unsigned row_span(const DevemuRow *row, const DevemuBank *bank)
{
    unsigned element = bank->kind == DEVEMU_BANK_INDEXED ? 1 : row->size;

    return (unsigned)(row->count - 1) * row->stride + element;
}

/* With lanes the first row over each byte answers, whatever its size: only a row that shares none
 * with another can be taken at once. */
static bool shares_lanes(const DevemuBankIndex *index, uint64_t place, unsigned size)
{
    for (unsigned b = 0; index->bank->lanes && b < size; b++) {
        if (index->nodes[index->first[place + b] - 1].next != 0) {
            return true;
        }
    }
    return false;
}

/* Which row an access of the right size at the right place means, in one step. */
static void exact_build(DevemuBankIndex *index)
{
    const DevemuBank *bank = index->bank;
    bool indexed = bank->kind == DEVEMU_BANK_INDEXED;

    if (bank->decoded || bank->size > MAX_EXACT) {
        return;
    }
    index->exact_places = bank->size;
    index->exact = g_new0(uint16_t, bank->size * 4);
    for (size_t i = bank->reg_count; i-- > 0;) {
        DevemuRow *row = &index->rows[i];

        /* No access is as wide as the three bytes of a class code. */
        if (!indexed && ((row->size & (row->size - 1)) != 0 ||
                         (bank->sizes && (bank->sizes & row->size) == 0))) {
            continue;
        }
        for (unsigned e = 0; e < row->count; e++) {
            unsigned log = indexed ? 0 : (unsigned)__builtin_ctz(row->size);
            uint64_t place = row->at + (uint64_t)e * row->stride;
            uint16_t *first = &index->exact[place * 4 + log];

            if (!shares_lanes(index, place, row->size)) {
                row->next = row->count == 1 ? *first : 0;
                *first = (uint16_t)(i + 1);
            }
        }
    }
}

/* Every place of every row gets a node behind those of earlier rows. */
static void index_build(DevemuBankIndex *index)
{
    const DevemuBank *bank = index->bank;
    size_t nodes = 0;
    uint16_t used = 0;

    for (size_t i = 0; i < bank->reg_count; i++) {
        nodes += row_span(&index->rows[i], bank);
    }
    g_assert(nodes < UINT16_MAX);
    index->places = bank->size;
    index->first = g_new0(uint16_t, bank->size);
    index->nodes = g_new0(DevemuNode, nodes ? nodes : 1);
    for (size_t i = bank->reg_count; i-- > 0;) {
        const DevemuRow *row = &index->rows[i];
        unsigned element = bank->kind == DEVEMU_BANK_INDEXED ? 1 : row->size;

        for (unsigned e = 0; e < row->count; e++) {
            for (unsigned b = 0; b < element; b++) {
                uint64_t place = row->at + (uint64_t)e * row->stride + b;

                g_assert(place < bank->size);
                index->nodes[used] = (DevemuNode){.row = (uint16_t)i, .next = index->first[place]};
                index->first[place] = ++used;
            }
        }
    }
}

/* Is that member only an index of windows? */
static bool selects(const DevemuModel *model, const DevemuReg *reg)
{
    for (size_t b = 0; b < model->bank_count; b++) {
        for (size_t i = 0; i < model->banks[b].reg_count; i++) {
            const DevemuReg *other = &model->banks[b].regs[i];

            if (other->window && other->window_index == reg->member && !reg->wrote) {
                return true;
            }
        }
    }
    return false;
}

void devemu_banks_build(DevemuDevice *dev)
{
    const DevemuModel *model = dev->model;

    dev->banks = g_new0(DevemuBankIndex, model->bank_count ? model->bank_count : 1);
    for (size_t b = 0; b < model->bank_count; b++) {
        DevemuBankIndex *index = &dev->banks[b];
        const DevemuBank *bank = &model->banks[b];

        index->bank = bank;
        index->inner = bank->kind == DEVEMU_BANK_INDEXED;
        index->passing = model->is_bus && bank->read && bank->write && bank->reg_count == 0 &&
                         !bank->decoded && !bank->sizes && !bank->lanes;
        if (bank->reg_count == 0) {
            continue;
        }
        index->rows = g_new0(DevemuRow, bank->reg_count);
        for (size_t i = 0; i < bank->reg_count; i++) {
            row_build(&index->rows[i], &bank->regs[i], bank);
            index->rows[i].still = bank->kind == DEVEMU_BANK_PIO && bank->regs[i].width &&
                                   selects(model, &bank->regs[i]);
        }
        if (bank->size <= MAX_PLACES) {
            index_build(index);
            exact_build(index);
        }
    }
}

void devemu_banks_free(DevemuDevice *dev)
{
    for (size_t b = 0; b < dev->model->bank_count; b++) {
        g_free(dev->banks[b].rows);
        g_free(dev->banks[b].first);
        g_free(dev->banks[b].nodes);
        g_free(dev->banks[b].exact);
    }
    g_free(dev->banks);
}

/* --- reset from the tables --------------------------------------------------------- */

static uint64_t reset_bits(const DevemuRow *row, DevemuReset kind)
{
    uint64_t all = UINT64_MAX;

    if (kind == DEVEMU_RESET_HARD) {
        return all & ~row->reg->keep_hard;
    }
    if (kind == DEVEMU_RESET_SOFT) {
        return all & ~row->reg->keep_soft;
    }
    return kind == DEVEMU_RESET_STOP ? row->reg->stop : all;
}

void devemu_reset_banks(DevemuDevice *dev, DevemuReset kind)
{
    for (size_t b = 0; b < dev->model->bank_count; b++) {
        const DevemuBankIndex *index = &dev->banks[b];

        for (size_t i = 0; i < index->bank->reg_count; i++) {
            const DevemuRow *row = &index->rows[i];
            uint64_t bits = reset_bits(row, kind);

            for (unsigned e = 0; row->width && bits && e < row->count; e++) {
                uint32_t at = devemu_row_element(row, e);
                uint64_t old = devemu_member_get(dev->state, at, row->width);

                devemu_member_set(dev->state, at, row->width,
                                  (old & ~bits) | (row->reg->reset & bits));
            }
        }
    }
}
