/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bank.c: registers from tables. Dispatch is O(1): an array by place (bank-build.c) leads to the
 * rows that cover it.
 *
 * The file is long because the entries have all that is before them inlined: an access is to cost
 * little.
 */
#include "internal.h"

/* --- finding a row ----------------------------------------------------------------- */

typedef struct Found {
    DevemuRow *row;
    unsigned index; /* element */
    unsigned byte;  /* of the element that `place` is */
} Found;

static bool row_covers(DevemuRow *row, uint64_t place, bool indexed, const void *state,
                       Found *ret_found)
{
    uint64_t off = place - row->at;
    unsigned index = 0;

    if (row->count > 1) {
        index = (unsigned)(off / row->stride);
        off -= (uint64_t)index * row->stride;
    }
    if (place < row->at || index >= row->count || off >= (indexed ? 1u : row->size)) {
        return false;
    }
    if (row->reg->decoded && !row->reg->decoded(state)) {
        return false;
    }
    *ret_found = (Found){row, index, (unsigned)off};
    return true;
}

/* The first decoded row over place; with size, the first that begins there and is so wide. */
static bool find(const DevemuDevice *dev, const DevemuBankIndex *index, uint64_t place,
                 unsigned size, Found *ret_found, bool *ret_other)
{
    bool indexed = index->bank->kind == DEVEMU_BANK_INDEXED;
    Found found;

    if (index->first == NULL) {
        for (size_t i = 0; i < index->bank->reg_count; i++) {
            if (!row_covers(&index->rows[i], place, indexed, dev->state, &found)) {
                continue;
            }
            if (size == 0 || (found.byte == 0 && found.row->size == size)) {
                *ret_found = found;
                return true;
            }
            *ret_other = true;
        }
        return false;
    }
    if (place >= index->places) {
        return false;
    }
    for (unsigned n = index->first[place]; n != 0; n = index->nodes[n - 1].next) {
        DevemuRow *row = &index->rows[index->nodes[n - 1].row];

        if (!row_covers(row, place, indexed, dev->state, &found)) {
            continue;
        }
        if (size == 0 || (found.byte == 0 && row->size == size)) {
            *ret_found = found;
            return true;
        }
        *ret_other = true;
    }
    return false;
}

/* --- one register ------------------------------------------------------------------ */

static uint64_t row_peek(const DevemuDevice *dev, const DevemuRow *row, unsigned index)
{
    const DevemuReg *reg = row->reg;

    if (reg->window) {
        uint64_t at = devemu_member_get(dev->state, reg->window_index, reg->window_width);

        return devemu_bank_peek(dev, reg->window - 1u, at) & row->mask;
    }
    if (reg->read) {
        return reg->read(dev->state, index) & row->mask;
    }
    if (row->width) {
        return devemu_member_get(dev->state, devemu_row_element(row, index), row->width) &
               row->shown;
    }
    return reg->reset & row->shown;
}

static void trace_reg(DevemuDevice *dev, DevemuTraceKind kind, const DevemuBank *bank,
                      const Found *found, uint64_t value)
{
    DevemuTrace trace = {
        .kind = kind,
        .bank = bank,
        .reg = found->row->reg,
        .index = found->index,
        .size = found->row->size,
        .at = found->row->at + (uint64_t)found->index * found->row->stride,
        .value = value,
    };

    devemu_trace_emit(dev, &trace);
}

static void say_unimpl(DevemuDevice *dev, DevemuRow *row)
{
    if (row->reg->unimpl && !row->said) {
        row->said = !dev->rehearsing;
        devemu_log(dev, DEVEMU_LOG_UNIMPL, row->reg->name);
    }
}

static uint64_t row_read(DevemuDevice *dev, const DevemuBank *bank, const Found *found)
{
    DevemuRow *row = found->row;
    const DevemuReg *reg = row->reg;
    uint64_t value;

    if (reg->window) {
        uint64_t at = devemu_member_get(dev->state, reg->window_index, reg->window_width);

        return devemu_bank_read(dev, reg->window - 1u, at) & row->mask;
    }
    value = row_peek(dev, row, found->index);
    if (G_UNLIKELY(dev->tracing)) {
        trace_reg(dev, DEVEMU_TRACE_READ, bank, found, value);
    }
    if (row->quiet_read) {
        return value;
    }
    if (reg->rc && row->width) {
        uint32_t at = devemu_row_element(row, found->index);
        uint64_t stored = devemu_member_get(dev->state, at, row->width);

        devemu_member_set(dev->state, at, row->width, stored & ~reg->rc);
    }
    if (reg->took) {
        reg->took(dev->state, found->index);
    }
    return value;
}

/* What the rules of a register make of a write; lanes: the bits that the access carries. */
static inline uint64_t row_stored(const DevemuRow *row, uint64_t old, uint64_t value,
                                  uint64_t lanes)
{
    const DevemuReg *reg = row->reg;
    uint64_t set = row->rw & lanes;
    uint64_t stored = (old & ~set) | (value & set);

    if (row->special) {
        stored &= ~(value & reg->w1c);
        stored |= value & reg->w1s;
        stored &= value | ~(reg->w0c & lanes);
    }
    return stored;
}

static bool row_allows_write(DevemuDevice *dev, const DevemuReg *reg)
{
    if (reg->writable && !reg->writable(dev->state)) {
        devemu_guest_error(dev, reg->name);
        return false;
    }
    return true;
}

/* lanes: the bits that the access carries. */
static void row_write(DevemuDevice *dev, const DevemuBank *bank, const Found *found, uint64_t value,
                      uint64_t lanes)
{
    DevemuRow *row = found->row;
    const DevemuReg *reg = row->reg;
    uint32_t at = devemu_row_element(row, found->index);
    uint64_t old = 0;

    value &= row->mask & lanes;
    if (reg->window) {
        uint64_t place = devemu_member_get(dev->state, reg->window_index, reg->window_width);

        devemu_bank_write(dev, reg->window - 1u, place, value);
        return;
    }
    if (G_UNLIKELY(dev->tracing)) {
        trace_reg(dev, DEVEMU_TRACE_WRITE, bank, found, value);
    }
    if (!row_allows_write(dev, reg)) {
        return;
    }
    if (row->width) {
        old = devemu_member_get(dev->state, at, row->width);
        devemu_member_set(dev->state, at, row->width, row_stored(row, old, value, lanes));
        value |= old & ~lanes & ~(reg->w1c | reg->w1s) & row->mask;
        if (((value ^ reg->reset) & reg->rsvd & lanes) != 0) {
            devemu_guest_error(dev, reg->name);
        }
    }
    say_unimpl(dev, row);
    if (reg->wrote) {
        reg->wrote(dev->state, found->index, value, old);
    }
}

/* --- inner access through a window, or by the model -------------------------------- */

uint64_t devemu_bank_read(DevemuDevice *dev, unsigned bank, uint64_t at)
{
    const DevemuBankIndex *index = &dev->banks[bank];
    bool other = false;
    Found found;

    if (!find(dev, index, at, 0, &found, &other)) {
        return index->bank->absent;
    }
    return row_read(dev, index->bank, &found);
}

void devemu_bank_write(DevemuDevice *dev, unsigned bank, uint64_t at, uint64_t value)
{
    const DevemuBankIndex *index = &dev->banks[bank];
    bool other = false;
    Found found;

    if (find(dev, index, at, 0, &found, &other)) {
        row_write(dev, index->bank, &found, value, UINT64_MAX);
    } else {
        devemu_guest_error(dev, "write to a register that does not exist");
    }
}

uint64_t devemu_bank_peek(const DevemuDevice *dev, unsigned bank, uint64_t at)
{
    const DevemuBankIndex *index = &dev->banks[bank];
    bool other = false;
    Found found;

    if (!find(dev, index, at, 0, &found, &other)) {
        return index->bank->absent;
    }
    return row_peek(dev, found.row, found.index);
}

/* --- byte lanes: any size anywhere ------------------------------------------------- */

static uint64_t absent_byte(const DevemuBank *bank, uint64_t at)
{
    return (bank->absent >> ((at & 7) * 8)) & 0xff;
}

static uint64_t lanes_read(DevemuDevice *dev, const DevemuBankIndex *index, uint64_t at,
                           unsigned size, bool peek)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size;) {
        bool other = false;
        unsigned step = 1;
        uint64_t part;
        Found found;

        if (find(dev, index, at + i, 0, &found, &other)) {
            part =
                peek ? row_peek(dev, found.row, found.index) : row_read(dev, index->bank, &found);
            part >>= found.byte * 8;
            step = MIN(found.row->size - found.byte, size - i);
            part &= devemu_ones(step);
        } else {
            part = absent_byte(index->bank, at + i);
        }
        value |= part << (i * 8);
        i += step;
    }
    return value;
}

static void lanes_write(DevemuDevice *dev, const DevemuBankIndex *index, uint64_t at, unsigned size,
                        uint64_t value)
{
    for (unsigned i = 0; i < size;) {
        bool other = false;
        unsigned step = 1;
        Found found;

        if (find(dev, index, at + i, 0, &found, &other)) {
            step = MIN(found.row->size - found.byte, size - i);
            row_write(dev, index->bank, &found, (value >> (i * 8)) << (found.byte * 8),
                      devemu_ones(step) << (found.byte * 8));
        }
        i += step;
    }
}

/* --- the entries ------------------------------------------------------------------- */

static void trace_memory(DevemuDevice *dev, DevemuTraceKind kind, const DevemuBank *bank,
                         uint64_t at, unsigned size, uint64_t value, DevemuAccess access)
{
    DevemuTrace trace = {
        .kind = kind, .access = access, .bank = bank, .at = at, .size = size, .value = value};

    devemu_trace_emit(dev, &trace);
}

static inline bool size_ok(unsigned size)
{
    return size - 1 < 8 && (size & (size - 1)) == 0;
}

static bool in_bank(const DevemuBank *bank, uint64_t at, unsigned size)
{
    return bank->size == 0 || (at < bank->size && size <= bank->size - at);
}

/* What no row took: lanes, raw handlers, or nothing. */
static DevemuAccess read_other(DevemuDevice *dev, const DevemuBankIndex *index, uint64_t at,
                               unsigned size, bool wrong_size, uint64_t *ret_value)
{
    const DevemuBank *bank = index->bank;
    DevemuAccess access = wrong_size ? DEVEMU_ACCESS_SIZE : DEVEMU_ACCESS_NONE;

    if (!in_bank(bank, at, size)) {
        return DEVEMU_ACCESS_NONE;
    }
    if (bank->lanes) {
        *ret_value = lanes_read(dev, index, at, size, false);
        return DEVEMU_ACCESS_OK;
    }
    if (dev->decorator) {
        return dev->decorator->read(dev->state, (unsigned)(index - dev->banks), at, size,
                                    ret_value);
    }
    if (bank->read) {
        access = bank->read(dev->state, at, size, ret_value);
        if (dev->tracing && !dev->is_bus) {
            trace_memory(dev, DEVEMU_TRACE_READ, bank, at, size,
                         access == DEVEMU_ACCESS_OK ? *ret_value : 0, access);
        }
        return access;
    }
    return access;
}

static bool bank_answers(const DevemuDevice *dev, const DevemuBank *bank)
{
    return bank->kind != DEVEMU_BANK_INDEXED && (!bank->decoded || bank->decoded(dev->state));
}

/* The row that answers an access without more thought, or NULL. */
static inline DevemuRow *quick_row(const DevemuDevice *dev, const DevemuBankIndex *index,
                                   uint64_t at, unsigned size)
{
    DevemuRow *row;
    unsigned number;

    if (G_UNLIKELY(at >= index->exact_places)) {
        return NULL;
    }
    number = index->exact[at * 4 + (unsigned)__builtin_ctz(size)];
    if (G_UNLIKELY(number == 0)) {
        return NULL;
    }
    row = &index->rows[number - 1];
    while (row->decoded && !row->decoded(dev->state)) {
        if (row->next == 0) {
            return NULL;
        }
        row = &index->rows[row->next - 1];
    }
    return row;
}

static inline unsigned quick_element(const DevemuRow *row, uint64_t at)
{
    return row->count == 1 ? 0 : (unsigned)((at - row->at) / row->stride);
}

static inline uint64_t quick_value(const DevemuDevice *dev, const DevemuRow *row, unsigned index)
{
    if (row->read) {
        return row->read(dev->state, index) & row->mask;
    }
    if (row->width) {
        return devemu_member_get(dev->state, devemu_row_element(row, index), row->width) &
               row->shown;
    }
    return row->reg->reset & row->shown;
}

/* The register behind a window, as quick_row(). */
static inline DevemuRow *quick_inner(const DevemuDevice *dev, const DevemuRow *row,
                                     uint64_t *ret_at)
{
    *ret_at = devemu_member_get(dev->state, row->window_index, row->window_width);
    return quick_row(dev, &dev->banks[row->window - 1], *ret_at, 1);
}

/* A read of the most frequent kind: nothing happens by it, or it goes through a window to a
 * register of which that is true. */
static inline bool quick_read(const DevemuDevice *dev, const DevemuBankIndex *index, uint64_t at,
                              unsigned size, uint64_t *ret_value)
{
    const DevemuRow *row = quick_row(dev, index, at, size);
    uint64_t mask;

    if (G_UNLIKELY(row == NULL)) {
        return false;
    }
    mask = row->mask;
    if (row->window) {
        row = quick_inner(dev, row, &at);
    }
    if (row == NULL || !row->quiet_read) {
        return false;
    }
    *ret_value = quick_value(dev, row, quick_element(row, at)) & mask;
    return true;
}

static DevemuAccess read_slow(DevemuDevice *dev, unsigned bank, uint64_t at, unsigned size,
                              uint64_t *ret_value)
{
    const DevemuBankIndex *index = &dev->banks[bank];
    DevemuAccess access = DEVEMU_ACCESS_OK;
    bool wrong_size = false;
    unsigned was_busy = dev->busy;
    Found found;

    if (!devemu_enter(dev)) {
        return DEVEMU_ACCESS_BUSY;
    }
    if (!bank_answers(dev, index->bank)) {
        access = DEVEMU_ACCESS_NONE;
    } else if (index->bank->sizes != 0 && (index->bank->sizes & size) == 0) {
        access = in_bank(index->bank, at, size) ? DEVEMU_ACCESS_SIZE : DEVEMU_ACCESS_NONE;
    } else if (!index->bank->lanes && index->rows &&
               find(dev, index, at, size, &found, &wrong_size)) {
        *ret_value = row_read(dev, index->bank, &found);
    } else {
        access = read_other(dev, index, at, size, wrong_size, ret_value);
    }
    dev->busy = was_busy;
    if (access == DEVEMU_ACCESS_OK && !dev->is_bus) {
        devemu_device_settle(dev);
    }
    return access;
}

DevemuAccess devemu_device_read(DevemuDevice *dev, unsigned bank, uint64_t at, unsigned size,
                                uint64_t *ret_value)
{
    g_return_val_if_fail(dev != NULL && ret_value != NULL && size_ok(size) &&
                             bank < dev->bank_count,
                         DEVEMU_ACCESS_NONE);
    if (dev->banks[bank].passing && in_bank(dev->banks[bank].bank, at, size)) {
        return dev->banks[bank].bank->read(dev->state, at, size, ret_value);
    }
    if (G_LIKELY(!dev->tracing && !dev->busy && !dev->banks[bank].inner) &&
        quick_read(dev, &dev->banks[bank], at, size, ret_value)) {
        return DEVEMU_ACCESS_OK;
    }
    return read_slow(dev, bank, at, size, ret_value);
}

static DevemuAccess write_other(DevemuDevice *dev, unsigned bank, uint64_t at, unsigned size,
                                uint64_t value, bool wrong_size)
{
    const DevemuBankIndex *index = &dev->banks[bank];
    const DevemuBank *b = index->bank;

    if (!in_bank(b, at, size)) {
        return DEVEMU_ACCESS_NONE;
    }
    if (b->lanes) {
        lanes_write(dev, index, at, size, value);
        return DEVEMU_ACCESS_OK;
    }
    if (dev->decorator) {
        return dev->decorator->write(dev->state, bank, at, size, value);
    }
    if (b->write) {
        if (dev->tracing && !dev->is_bus) {
            trace_memory(dev, DEVEMU_TRACE_WRITE, b, at, size, value, DEVEMU_ACCESS_OK);
        }
        return b->write(dev->state, at, size, value);
    }
    return wrong_size ? DEVEMU_ACCESS_SIZE : DEVEMU_ACCESS_NONE;
}

static DevemuAccess write_slow(DevemuDevice *dev, unsigned bank, uint64_t at, unsigned size,
                               uint64_t value)
{
    const DevemuBankIndex *index = &dev->banks[bank];
    const DevemuBank *b = index->bank;
    DevemuAccess access = DEVEMU_ACCESS_OK;
    bool wrong_size = false;
    bool settle = true;
    unsigned was_busy = dev->busy;
    Found found;

    if (!devemu_enter(dev)) {
        return DEVEMU_ACCESS_BUSY;
    }
    if (!bank_answers(dev, b)) {
        access = DEVEMU_ACCESS_NONE;
    } else if (b->sizes != 0 && (b->sizes & size) == 0) {
        access = in_bank(b, at, size) ? DEVEMU_ACCESS_SIZE : DEVEMU_ACCESS_NONE;
    } else if (!b->lanes && index->rows && find(dev, index, at, size, &found, &wrong_size)) {
        row_write(dev, b, &found, value, UINT64_MAX);
    } else {
        access = write_other(dev, bank, at, size, value, wrong_size);
        settle = !dev->is_bus || b->lanes;
    }
    dev->busy = was_busy;
    if (access == DEVEMU_ACCESS_OK && settle) {
        devemu_device_settle(dev);
    }
    return access;
}

/* A register whose masks say it all, or a window on one. */
static inline bool quick_write(DevemuDevice *dev, const DevemuBankIndex *index, uint64_t at,
                               unsigned size, uint64_t value)
{
    const DevemuRow *row = quick_row(dev, index, at, size);
    uint64_t old;
    uint32_t member;
    unsigned number;

    if (row && row->window) {
        value &= row->mask;
        row = quick_inner(dev, row, &at);
    }
    if (row == NULL || !row->quick_write) {
        return false;
    }
    value &= row->mask;
    if (((value ^ row->reg->reset) & row->reg->rsvd) != 0) {
        return false; /* the guest is to be blamed */
    }
    number = quick_element(row, at);
    member = devemu_row_element(row, number);
    old = devemu_member_get(dev->state, member, row->width);
    devemu_member_set(dev->state, member, row->width, row_stored(row, old, value, UINT64_MAX));
    if (row->reg->wrote) {
        dev->busy = 1;
        row->reg->wrote(dev->state, number, value, old);
        dev->busy = 0;
    }
    if (!row->still) {
        devemu_device_settle(dev);
    }
    return true;
}

DevemuAccess devemu_device_write(DevemuDevice *dev, unsigned bank, uint64_t at, unsigned size,
                                 uint64_t value)
{
    g_return_val_if_fail(dev != NULL && size_ok(size) && bank < dev->bank_count,
                         DEVEMU_ACCESS_NONE);
    value &= devemu_ones(size);
    if (dev->banks[bank].passing && in_bank(dev->banks[bank].bank, at, size)) {
        return dev->banks[bank].bank->write(dev->state, at, size, value);
    }
    if (G_LIKELY(!dev->tracing && !dev->busy && !dev->banks[bank].inner) &&
        quick_write(dev, &dev->banks[bank], at, size, value)) {
        return DEVEMU_ACCESS_OK;
    }
    return write_slow(dev, bank, at, size, value);
}

DevemuAccess devemu_device_peek(const DevemuDevice *dev, unsigned bank, uint64_t at, unsigned size,
                                uint64_t *ret_value)
{
    const DevemuBankIndex *index;
    bool wrong_size = false;
    Found found;

    g_return_val_if_fail(dev != NULL && ret_value != NULL && size_ok(size), DEVEMU_ACCESS_NONE);
    g_return_val_if_fail(bank < dev->model->bank_count, DEVEMU_ACCESS_NONE);
    if (dev->decorator) {
        return devemu_device_peek(devemu_device_child(dev, 0), bank, at, size, ret_value);
    }
    index = &dev->banks[bank];
    if (index->bank->decoded && !index->bank->decoded(dev->state)) {
        return DEVEMU_ACCESS_NONE;
    }
    if (index->bank->lanes) {
        if (!in_bank(index->bank, at, size)) {
            return DEVEMU_ACCESS_NONE;
        }
        /* row_peek() changes nothing; lanes_read() shares its loop. */
        *ret_value = lanes_read((DevemuDevice *)(uintptr_t)dev, index, at, size, true);
        return DEVEMU_ACCESS_OK;
    }
    if (!index->rows || !find(dev, index, at, index->bank->kind == DEVEMU_BANK_INDEXED ? 0 : size,
                              &found, &wrong_size)) {
        return wrong_size ? DEVEMU_ACCESS_SIZE : DEVEMU_ACCESS_NONE;
    }
    *ret_value = row_peek(dev, found.row, found.index);
    return DEVEMU_ACCESS_OK;
}
