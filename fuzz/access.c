/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access.c: registers chosen from the tables, values made from their named bits; through the bus
 * where the model is behind one.
 */
#include "harness.h"

static unsigned bits_count(const DevemuReg *reg)
{
    unsigned count = 0;

    while (reg->bits && reg->bits[count].name) {
        count++;
    }
    return count;
}

void fuzz_rows_init(Fuzz *f)
{
    unsigned count = 0;

    for (size_t b = 0; b < f->model->bank_count; b++) {
        count += (unsigned)f->model->banks[b].reg_count;
    }
    f->rows = g_new0(FuzzRow, count ? count : 1);
    f->row_count = count;
    count = 0;
    for (size_t b = 0; b < f->model->bank_count; b++) {
        const DevemuBank *bank = &f->model->banks[b];

        for (size_t i = 0; i < bank->reg_count; i++) {
            const DevemuReg *reg = &bank->regs[i];
            unsigned size = reg->size ? reg->size : 1;

            f->rows[count++] = (FuzzRow){
                .reg = reg,
                .bank = (unsigned)b,
                .count = reg->count ? reg->count : 1,
                .stride = reg->stride                         ? reg->stride
                          : bank->kind == DEVEMU_BANK_INDEXED ? 1
                                                              : size,
                .size = size,
            };
        }
    }
}

/* --- one access -------------------------------------------------------------------- */

/* Where a bank of the model stands on the bus; false: nowhere. */
static bool pci_route(const Fuzz *f, unsigned bank, unsigned *ret_bank, uint64_t *ret_base)
{
    const DevemuPci *pci = f->model->pci;
    DevemuPciRange ranges[16];
    unsigned count;

    for (unsigned n = 0; n < FUZZ_BARS; n++) {
        if (f->bars[n].used && f->bars[n].bank == bank) {
            *ret_bank = f->bars[n].io ? DEVEMU_PCI_IO : DEVEMU_PCI_MEMORY;
            *ret_base = f->bars[n].base;
            return true;
        }
    }
    if (pci->config_bank == bank + 1) {
        *ret_bank = DEVEMU_PCI_CONFIG;
        *ret_base = (uint64_t)FUZZ_DEVFN << 12;
        return true;
    }
    count = pci->ranges ? pci->ranges(devemu_device_state(f->dev), ranges, 16) : 0;
    for (unsigned i = 0; i < count; i++) {
        if (ranges[i].bank == bank) {
            *ret_bank = ranges[i].io ? DEVEMU_PCI_IO : DEVEMU_PCI_MEMORY;
            *ret_base = ranges[i].base - ranges[i].at;
            return true;
        }
    }
    return false;
}

static bool isa_route(const Fuzz *f, unsigned bank, unsigned *ret_bank, uint64_t *ret_base)
{
    unsigned ports = 0;

    for (unsigned b = 0; b < bank; b++) {
        ports += f->model->banks[b].kind == DEVEMU_BANK_PIO;
    }
    if (f->model->banks[bank].kind != DEVEMU_BANK_PIO || ports >= 8) {
        return false;
    }
    *ret_bank = DEVEMU_ISA_PIO;
    *ret_base = f->model->isa->bases[ports] ? f->model->isa->bases[ports] : 0x300u + 0x40 * ports;
    return true;
}

static void said(Fuzz *f, DevemuAccess access, uint64_t value)
{
    fuzz_digest_number(f, access);
    if (access == DEVEMU_ACCESS_OK) {
        f->last_read = value;
        fuzz_digest_number(f, value);
    }
    if (access == DEVEMU_ACCESS_BUSY) {
        fuzz_fail(f, NULL, "the device is busy, but in no event");
    }
}

static DevemuAccess do_read(Fuzz *f, DevemuDevice *to, unsigned bank, uint64_t at, unsigned size,
                            const char *name)
{
    uint64_t value = 0;
    DevemuAccess access;

    if (to == f->top) {
        fuzz_say(f, "devemu_fake_read(fake, %u, 0x%" PRIx64 ", %u); /* %s */", bank, at, size,
                 name);
    } else {
        fuzz_say(f, "devemu_device_read(dev, %u, 0x%" PRIx64 ", %u, &value); /* %s */", bank, at,
                 size, name);
    }
    access = devemu_device_read(to, bank, at, size, &value);
    said(f, access, value);
    if (access == DEVEMU_ACCESS_OK && size < 8 && value >> (size * 8) != 0) {
        fuzz_fail(f, NULL, "a read of %u bytes gave %#" PRIx64, size, value);
    }
    return access;
}

static DevemuAccess do_write(Fuzz *f, DevemuDevice *to, unsigned bank, uint64_t at, unsigned size,
                             uint64_t value, const char *name)
{
    DevemuAccess access;

    value &= UINT64_MAX >> (64 - size * 8);
    if (to == f->top) {
        fuzz_say(f, "devemu_fake_write(fake, %u, 0x%" PRIx64 ", %u, 0x%" PRIx64 "); /* %s */", bank,
                 at, size, value, name);
    } else {
        fuzz_say(f, "devemu_device_write(dev, %u, 0x%" PRIx64 ", %u, 0x%" PRIx64 "); /* %s */",
                 bank, at, size, value, name);
    }
    access = devemu_device_write(to, bank, at, size, value);
    fuzz_digest_number(f, access);
    return access;
}

static DevemuDevice *route(Fuzz *f, unsigned *bank, uint64_t *at)
{
    unsigned to = 0;
    uint64_t base = 0;

    if (!f->bus) {
        return f->dev;
    }
    if (f->plugged &&
        !(f->model->pci ? pci_route(f, *bank, &to, &base) : isa_route(f, *bank, &to, &base))) {
        return f->dev;
    }
    /* Unplugged: some other place of the bus. */
    *bank = to;
    *at += base;
    return f->top;
}

DevemuAccess fuzz_read(Fuzz *f, unsigned bank, uint64_t at, unsigned size, const char *name)
{
    DevemuDevice *to = route(f, &bank, &at);

    return do_read(f, to, bank, at, size, name);
}

DevemuAccess fuzz_write(Fuzz *f, unsigned bank, uint64_t at, unsigned size, uint64_t value,
                        const char *name)
{
    DevemuDevice *to = route(f, &bank, &at);

    return do_write(f, to, bank, at, size, value, name);
}

DevemuAccess fuzz_top_read(Fuzz *f, unsigned bank, uint64_t at, unsigned size, const char *name)
{
    return do_read(f, f->top, bank, at, size, name);
}

DevemuAccess fuzz_top_write(Fuzz *f, unsigned bank, uint64_t at, unsigned size, uint64_t value,
                            const char *name)
{
    return do_write(f, f->top, bank, at, size, value, name);
}

/* --- rows -------------------------------------------------------------------------- */

static uint64_t row_at(const FuzzRow *row, unsigned element)
{
    return row->reg->at + (uint64_t)element * row->stride;
}

static unsigned take_row(Fuzz *f, unsigned *ret_element)
{
    unsigned row = (unsigned)fuzz_take(&f->in, f->row_count > 256 ? 2 : 1) % f->row_count;
    unsigned count = f->rows[row].count;

    *ret_element = count > 1 ? (unsigned)fuzz_take(&f->in, count > 256 ? 2 : 1) % count : 0;
    return row;
}

static bool is_window(const Fuzz *f, const FuzzRow *row, unsigned bank, bool decoded)
{
    const DevemuReg *reg = row->reg;

    return reg->window == bank + 1 &&
           (!decoded || !reg->decoded || reg->decoded(devemu_device_state(f->dev)));
}

/* The n-th row (modulo their number) that is a window on bank, one that answers now if there is
 * any; NULL if none. */
static const FuzzRow *find_window(const Fuzz *f, unsigned bank, unsigned n)
{
    unsigned all = 0, now = 0;

    for (unsigned i = 0; i < f->row_count; i++) {
        all += is_window(f, &f->rows[i], bank, false);
        now += is_window(f, &f->rows[i], bank, true);
    }
    for (unsigned i = 0, left = n % MAX(now ? now : all, 1); i < f->row_count; i++) {
        if (is_window(f, &f->rows[i], bank, now != 0) && left-- == 0) {
            return &f->rows[i];
        }
    }
    return NULL;
}

/* Set the index register that a window uses: a row of the window's own bank if possible (there may
 * be several of different width). */
static bool write_index(Fuzz *f, const FuzzRow *window, uint64_t at)
{
    const FuzzRow *found = NULL;

    for (unsigned i = 0; i < f->row_count; i++) {
        const FuzzRow *row = &f->rows[i];

        if (row->reg->width && row->reg->member == window->reg->window_index &&
            f->model->banks[row->bank].kind != DEVEMU_BANK_INDEXED &&
            (found == NULL || (row->bank == window->bank && row->size == window->size))) {
            found = row;
        }
    }
    if (found == NULL) {
        return false;
    }
    fuzz_write(f, found->bank, found->reg->at, found->size, at, found->reg->name);
    return true;
}

/* The row that the bus sees for this one: itself, or a window set to it. */
static const FuzzRow *reach(Fuzz *f, const FuzzRow *row, unsigned *element)
{
    const FuzzRow *window;

    if (f->model->banks[row->bank].kind != DEVEMU_BANK_INDEXED) {
        return row;
    }
    window = find_window(f, row->bank, fuzz_byte(&f->in));
    if (window == NULL || !write_index(f, window, row_at(row, *element))) {
        return NULL;
    }
    *element = 0;
    return window;
}

/* --- values ------------------------------------------------------------------------ */

static uint64_t some_mask(Fuzz *f, const FuzzRow *row)
{
    unsigned count = bits_count(row->reg);
    unsigned n = fuzz_byte(&f->in);

    return count ? row->reg->bits[n % count].mask : UINT64_C(1) << n % (row->size * 8);
}

static uint64_t some_field(Fuzz *f, const FuzzRow *row, uint64_t old)
{
    uint64_t mask = some_mask(f, row);
    unsigned shift = mask ? (unsigned)__builtin_ctzll(mask) : 0;

    return (old & ~mask) | ((uint64_t)fuzz_byte(&f->in) << shift & mask);
}

static uint64_t current(Fuzz *f, const FuzzRow *row, unsigned element)
{
    uint64_t value = 0;

    devemu_device_peek(f->dev, row->bank, row_at(row, element), row->size, &value);
    return value;
}

static uint64_t some_value(Fuzz *f, const FuzzRow *row, unsigned element)
{
    FuzzInput *in = &f->in;
    unsigned kind = fuzz_byte(in);
    unsigned shift;

    switch ((FuzzValue)(kind % FUZZ_VALUE_COUNT)) {
    case FUZZ_VALUE_RAW:
        return fuzz_take(in, row->size);
    case FUZZ_VALUE_ONES:
        return UINT64_MAX;
    case FUZZ_VALUE_BIT:
        return some_mask(f, row);
    case FUZZ_VALUE_FLIP:
        return current(f, row, element) ^ some_mask(f, row);
    case FUZZ_VALUE_RESET:
        return row->reg->reset;
    case FUZZ_VALUE_POINTER:
        return fuzz_take(in, 2) & ~UINT64_C(3);
    case FUZZ_VALUE_LENGTH:
        return -(uint64_t)fuzz_length(in, fuzz_take);
    case FUZZ_VALUE_LAST:
        return f->last_read;
    case FUZZ_VALUE_BYTE:
        return fuzz_byte(in);
    case FUZZ_VALUE_TWO_BITS:
        return some_mask(f, row) | some_mask(f, row);
    case FUZZ_VALUE_FLIP_TWO:
        return current(f, row, element) ^ (some_mask(f, row) | some_mask(f, row));
    case FUZZ_VALUE_FIELD:
        return some_field(f, row, 0);
    case FUZZ_VALUE_INSERT:
        return some_field(f, row, current(f, row, element));
    case FUZZ_VALUE_HALF:
        return fuzz_take(in, 2);
    case FUZZ_VALUE_SHIFTED:
        shift = fuzz_byte(in) % (row->size * 8);
        return (uint64_t)fuzz_byte(in) << shift;
    case FUZZ_VALUE_ZERO:
    default:
        return 0;
    }
}

/* --- operations -------------------------------------------------------------------- */

/* A bank without a window: some place may take the index and the value in turn. */
static void write_in_turn(Fuzz *f, uint64_t index, uint64_t value)
{
    const FuzzRow *row = &f->rows[fuzz_byte(&f->in) % f->row_count];

    if (f->model->banks[row->bank].kind != DEVEMU_BANK_INDEXED) {
        fuzz_write(f, row->bank, row->reg->at, row->size, index, row->reg->name);
        fuzz_write(f, row->bank, row->reg->at, row->size, value, row->reg->name);
    }
}

static void write_row(Fuzz *f, uint64_t value)
{
    const FuzzRow *row = &f->rows[f->last_row];
    unsigned element = f->last_element;
    const FuzzRow *at = reach(f, row, &element);

    f->last_write = value;
    if (at) {
        fuzz_write(f, at->bank, row_at(at, element), at->size, value, row->reg->name);
    } else {
        write_in_turn(f, row_at(row, f->last_element), value);
    }
}

void fuzz_op_write(Fuzz *f)
{
    uint64_t value;

    if (f->row_count == 0) {
        fuzz_op_raw_write(f);
        return;
    }
    f->last_row = take_row(f, &f->last_element);
    value = some_value(f, &f->rows[f->last_row], f->last_element);
    write_row(f, value);
}

void fuzz_op_repeat(Fuzz *f)
{
    unsigned count = fuzz_byte(&f->in);
    unsigned step = count >> 6;

    for (unsigned i = 0; f->row_count && i < count % 32; i++) {
        write_row(f, f->last_write + step);
    }
}

void fuzz_op_read(Fuzz *f)
{
    const FuzzRow *row, *at;
    unsigned element;

    if (f->row_count == 0) {
        fuzz_op_raw_read(f);
        return;
    }
    row = &f->rows[take_row(f, &element)];
    at = reach(f, row, &element);
    if (at) {
        fuzz_read(f, at->bank, row_at(at, element), at->size, row->reg->name);
    }
}

/* A place of a bank, near its rows or anywhere; also behind its end. */
static unsigned take_place(Fuzz *f, uint64_t *ret_at, unsigned *ret_size)
{
    unsigned count = (unsigned)f->model->bank_count;
    unsigned bank = fuzz_byte(&f->in) % (count ? count : 1);
    unsigned kind = fuzz_byte(&f->in);
    uint64_t size = count ? f->model->banks[bank].size : 0;

    *ret_size = 1u << (kind & 3);
    *ret_at = fuzz_take(&f->in, size > 0x10000 ? 3 : size > 0x100 ? 2 : 1);
    if (size && !(kind & 0x80)) {
        *ret_at %= size;
    }
    if (kind & 0x40) {
        *ret_at &= ~(uint64_t)(*ret_size - 1);
    }
    if ((kind & 0x38) == 0x38) {
        *ret_at = size - 1 - (*ret_at & 7);
    }
    return bank;
}

void fuzz_op_raw_write(Fuzz *f)
{
    unsigned size;
    uint64_t at;
    unsigned bank = take_place(f, &at, &size);

    if (f->model->bank_count) {
        fuzz_write(f, bank, at, size, fuzz_take(&f->in, size), f->model->banks[bank].name);
    }
}

void fuzz_op_raw_read(Fuzz *f)
{
    unsigned size;
    uint64_t at;
    unsigned bank = take_place(f, &at, &size);

    if (f->model->bank_count) {
        fuzz_read(f, bank, at, size, f->model->banks[bank].name);
    }
}

/* A debugger looks: nothing may change. */
void fuzz_op_peek(Fuzz *f)
{
    unsigned size;
    uint64_t at, value = 0;
    unsigned bank = take_place(f, &at, &size);
    uint64_t deadline = devemu_device_deadline(f->dev);
    DevemuAccess access;

    if (f->model->bank_count == 0) {
        return;
    }
    access = devemu_device_peek(f->dev, bank, at, size, &value);
    fuzz_digest_number(f, access);
    fuzz_digest_number(f, access == DEVEMU_ACCESS_OK ? value : 0);
    if (deadline != devemu_device_deadline(f->dev)) {
        fuzz_fail(f, NULL, "a look at a register changed the deadline");
    }
}

/* A BAR and what stands around it, the ports, or any place. */
static unsigned take_bus_place(Fuzz *f, uint64_t *ret_at, unsigned *ret_size)
{
    unsigned kind = fuzz_byte(&f->in);
    unsigned bank = kind >> 4 & 1;
    unsigned n = kind >> 5;

    *ret_size = 1u << (kind & 3);
    *ret_at = fuzz_take(&f->in, 2);
    if (f->model->pci) {
        bank = kind >> 4 & 1 ? DEVEMU_PCI_MECHANISM_1 : DEVEMU_PCI_IO;
        if (bank == DEVEMU_PCI_MECHANISM_1) {
            *ret_at &= 7;
        } else if (n < FUZZ_BARS && f->bars[n].used) {
            bank = f->bars[n].io ? DEVEMU_PCI_IO : DEVEMU_PCI_MEMORY;
            *ret_at += f->bars[n].base;
        }
    }
    return bank;
}

void fuzz_op_bus_write(Fuzz *f)
{
    unsigned size, bank;
    uint64_t at;

    if (!f->bus) {
        fuzz_op_write(f);
        return;
    }
    bank = take_bus_place(f, &at, &size);
    fuzz_top_write(f, bank, at, size, fuzz_take(&f->in, size), "bus");
}

void fuzz_op_bus_read(Fuzz *f)
{
    unsigned size, bank;
    uint64_t at;

    if (!f->bus) {
        fuzz_op_read(f);
        return;
    }
    bank = take_bus_place(f, &at, &size);
    fuzz_top_read(f, bank, at, size, "bus");
}

void fuzz_op_config_write(Fuzz *f)
{
    unsigned reg, size;

    if (!f->bus || !f->model->pci) {
        fuzz_op_write(f);
        return;
    }
    reg = fuzz_byte(&f->in);
    size = 1u << fuzz_byte(&f->in) % 3;
    fuzz_top_write(f, DEVEMU_PCI_CONFIG, (uint64_t)FUZZ_DEVFN << 12 | (reg & ~(size - 1)), size,
                   fuzz_take(&f->in, size), "configuration");
}

void fuzz_op_config_read(Fuzz *f)
{
    unsigned reg, size;

    if (!f->bus || !f->model->pci) {
        fuzz_op_read(f);
        return;
    }
    reg = fuzz_byte(&f->in);
    size = 1u << fuzz_byte(&f->in) % 3;
    fuzz_top_read(f, DEVEMU_PCI_CONFIG, (uint64_t)FUZZ_DEVFN << 12 | (reg & ~(size - 1)), size,
                  "configuration");
}
