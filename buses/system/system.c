/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * system.c: the bus at the root of a machine: ports and memory, mappings by priority, host memory,
 * and gates by which lines of a chipset switch mappings (PAM, SMRAM).
 *
 * Not modelled: bus cycles, wait states, locked cycles.
 */
#include "../space.h"

#define SYSTEM_GATES (DEVEMU_LINES / 2)

struct system {
    DevemuDevice *dev;
    DevemuSpace spaces[2];
    unsigned gated[SYSTEM_GATES]; /* mapping whose reads and writes follow inputs 2n and 2n + 1 */
    unsigned gate_count;
    void (*changed)(void *opaque);
    void *opaque;
    void (*written)(void *opaque, uint64_t addr, uint64_t len);
    void *written_opaque;
};

static void memory_changed(struct system *system)
{
    devemu_device_revoke(system->dev);
    if (system->changed) {
        system->changed(system->opaque);
    }
}

/* --- accesses from above ----------------------------------------------------------- */

static DevemuAccess pio_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct system *system = state;

    return devemu_space_read(&system->spaces[DEVEMU_SYSTEM_PIO], at, size, ret_value);
}

static DevemuAccess pio_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct system *system = state;

    return devemu_space_write(&system->spaces[DEVEMU_SYSTEM_PIO], at, size, value);
}

static DevemuAccess memory_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct system *system = state;

    return devemu_space_read(&system->spaces[DEVEMU_SYSTEM_MEMORY], at, size, ret_value);
}

static DevemuAccess memory_write(void *state, uint64_t at, unsigned size, uint64_t value)
{
    struct system *system = state;

    return devemu_space_write(&system->spaces[DEVEMU_SYSTEM_MEMORY], at, size, value);
}

/* --- DMA from below ---------------------------------------------------------------- */

static bool has_memory(const struct system *system)
{
    return system->spaces[DEVEMU_SYSTEM_MEMORY].mappings->len > 0;
}

static bool child_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    DevemuDevice *dev = host;
    struct system *system = dev->state;

    if (!has_memory(system)) {
        return devemu_passing_ops.dma_read(dev, addr, buf, len);
    }
    return devemu_space_dma(&system->spaces[DEVEMU_SYSTEM_MEMORY], addr, buf, len, false);
}

static bool child_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    DevemuDevice *dev = host;
    struct system *system = dev->state;
    bool ok;

    if (!has_memory(system)) {
        return devemu_passing_ops.dma_write(dev, addr, buf, len);
    }
    ok = devemu_space_dma(&system->spaces[DEVEMU_SYSTEM_MEMORY], addr, (uint8_t *)(uintptr_t)buf,
                          len, true);
    if (system->written) {
        system->written(system->written_opaque, addr, len);
    }
    return ok;
}

static bool child_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    DevemuDevice *dev = host;
    struct system *system = dev->state;
    bool readable;

    if (!has_memory(system)) {
        return devemu_passing_ops.dma_map(dev, addr, ret_window);
    }
    if (!devemu_space_window(&system->spaces[DEVEMU_SYSTEM_MEMORY], addr, ret_window, &readable)) {
        return false;
    }
    if (system->written) {
        ret_window->writable = false;
    }
    return readable;
}

static void child_msi(void *host, uint64_t addr, uint32_t data)
{
    devemu_passing_ops.msi(host, addr, data);
}

static const DevemuHostOps child_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = child_dma_read,
    .dma_write = child_dma_write,
    .dma_map = child_dma_map,
    .msi = child_msi,
};

/* --- configuration ----------------------------------------------------------------- */

static bool is_system(const DevemuDevice *dev)
{
    return dev != NULL && dev->model == &devemu_model_system;
}

/* What users get for a mapping says of which space it is. */
static unsigned handle(unsigned id, unsigned space)
{
    return id ? id << 1 | space : 0;
}

unsigned devemu_system_map(DevemuDevice *system, unsigned space, uint64_t base, uint64_t len,
                           DevemuDevice *dev, unsigned bank, uint64_t at, int priority,
                           GError **error)
{
    struct system *s;
    unsigned id;

    g_return_val_if_fail(is_system(system) && dev != NULL && space < 2, 0);
    g_return_val_if_fail(bank < dev->model->bank_count, 0);
    s = system->state;
    if (dev->model->banks[bank].size != 0 &&
        (at > dev->model->banks[bank].size || len > dev->model->banks[bank].size - at)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "cannot map %" PRIu64 " bytes of %s's bank '%s': it is smaller", len, dev->name,
                    dev->model->banks[bank].name);
        return 0;
    }
    id = devemu_space_add(
        &s->spaces[space],
        &(DevemuMapping){.base = base, .dev = dev, .bank = bank, .at = at, .priority = priority},
        len, error);
    if (id != 0 && space == DEVEMU_SYSTEM_MEMORY) {
        memory_changed(s);
    }
    return handle(id, space);
}

unsigned devemu_system_map_ram(DevemuDevice *system, uint64_t base, uint64_t len, void *data,
                               DevemuRam kind, int priority, GError **error)
{
    struct system *s;
    unsigned id;

    g_return_val_if_fail(is_system(system) && data != NULL, 0);
    s = system->state;
    id = devemu_space_add(
        &s->spaces[DEVEMU_SYSTEM_MEMORY],
        &(DevemuMapping){
            .base = base, .ram = data, .rom = kind == DEVEMU_RAM_ROM, .priority = priority},
        len, error);
    if (id != 0) {
        memory_changed(s);
    }
    return handle(id, DEVEMU_SYSTEM_MEMORY);
}

void devemu_system_enable(DevemuDevice *system, unsigned mapping, bool reads, bool writes)
{
    struct system *s;

    g_return_if_fail(is_system(system));
    s = system->state;
    if (devemu_space_enable(&s->spaces[mapping & 1], mapping >> 1, reads, writes) &&
        (mapping & 1) == DEVEMU_SYSTEM_MEMORY) {
        memory_changed(s);
    }
}

static void gate_apply(struct system *system, unsigned gate)
{
    uint64_t inputs = system->dev->inputs;

    if (gate < system->gate_count) {
        devemu_system_enable(system->dev, system->gated[gate], inputs >> (2 * gate) & 1,
                             inputs >> (2 * gate + 1) & 1);
    }
}

void devemu_system_gate(DevemuDevice *system, unsigned mapping, DevemuDevice *dev,
                        unsigned read_line, unsigned write_line)
{
    struct system *s;
    unsigned gate;

    g_return_if_fail(is_system(system) && dev != NULL);
    s = system->state;
    g_return_if_fail(s->gate_count < SYSTEM_GATES);
    g_return_if_fail(read_line < dev->output_count && write_line < dev->output_count);
    gate = s->gate_count++;
    s->gated[gate] = mapping;
    devemu_device_wire(dev, read_line, system, 2 * gate, NULL);
    devemu_device_wire(dev, write_line, system, 2 * gate + 1, NULL);
    gate_apply(s, gate);
}

static void system_input_line(void *state, unsigned line, bool level)
{
    (void)level;
    gate_apply(state, line / 2);
}

void devemu_system_watch(DevemuDevice *system, void (*changed)(void *opaque), void *opaque)
{
    struct system *s;

    g_return_if_fail(is_system(system));
    s = system->state;
    s->changed = changed;
    s->opaque = opaque;
}

void devemu_system_watch_writes(DevemuDevice *system,
                                void (*written)(void *opaque, uint64_t addr, uint64_t len),
                                void *opaque)
{
    struct system *s;

    g_return_if_fail(is_system(system));
    s = system->state;
    s->written = written;
    s->written_opaque = opaque;
    devemu_device_revoke(system);
}

void devemu_system_ranges(DevemuDevice *system, DevemuSystemRange *range, void *opaque)
{
    DevemuSpace *space;
    uint64_t at = 0;

    g_return_if_fail(is_system(system) && range != NULL);
    space = &((struct system *)system->state)->spaces[DEVEMU_SYSTEM_MEMORY];
    for (;;) {
        DevemuWindow window;
        bool readable;

        if (!devemu_space_window(space, at, &window, &readable)) {
            return;
        }
        if (window.data) {
            range(opaque, window.addr, window.len, window.data, readable, window.writable);
        }
        at = window.addr + window.len;
        if (at == 0) {
            return;
        }
    }
}

static bool system_plug(DevemuDevice *bus, DevemuDevice *dev, const char *where, GError **error)
{
    (void)error;
    devemu_device_adopt(bus, dev, &child_ops, bus, where ? where : dev->name);
    return true;
}

static void system_forget(DevemuDevice *bus, DevemuDevice *dev)
{
    struct system *system = bus->state;

    devemu_space_remove(&system->spaces[DEVEMU_SYSTEM_PIO], dev);
    if (devemu_space_remove(&system->spaces[DEVEMU_SYSTEM_MEMORY], dev)) {
        memory_changed(system);
    }
}

/* --- the device -------------------------------------------------------------------- */

static bool system_configure(void *state, const char **ret_property, const char **ret_message)
{
    struct system *system = state;

    (void)ret_property;
    (void)ret_message;
    devemu_space_init(&system->spaces[DEVEMU_SYSTEM_PIO], 0xffff);
    devemu_space_init(&system->spaces[DEVEMU_SYSTEM_MEMORY], UINT64_MAX);
    return true;
}

static void system_finish(void *state)
{
    struct system *system = state;

    if (system->spaces[0].mappings) {
        devemu_space_finish(&system->spaces[DEVEMU_SYSTEM_PIO]);
        devemu_space_finish(&system->spaces[DEVEMU_SYSTEM_MEMORY]);
    }
}

/* A reset of the machine resets all that is plugged in. */
static void system_reset(void *state, DevemuReset kind)
{
    struct system *system = state;
    DevemuDevice *child;

    for (unsigned i = 0; (child = devemu_device_child(system->dev, i)) != NULL; i++) {
        devemu_device_reset(child, kind);
    }
}

static void system_loaded(void *state)
{
    struct system *system = state;

    for (unsigned gate = 0; gate < system->gate_count; gate++) {
        gate_apply(system, gate);
    }
    memory_changed(system);
}

static const DevemuBank system_banks[] = {
    [DEVEMU_SYSTEM_PIO] = {.name = "io",
                           .kind = DEVEMU_BANK_PIO,
                           .size = 0x10000,
                           .read = pio_read,
                           .write = pio_write},
    [DEVEMU_SYSTEM_MEMORY] = {.name = "memory",
                              .kind = DEVEMU_BANK_MMIO,
                              .read = memory_read,
                              .write = memory_write},
};

/* Everything here is configuration: what is mapped where is the board's business, and the gates are
 * a function of the inputs, which the library saves. */
static const DevemuField system_fields[] = {
    DEVEMU_SKIP(struct system, spaces),         DEVEMU_SKIP(struct system, gated),
    DEVEMU_SKIP(struct system, gate_count),     DEVEMU_SKIP(struct system, changed),
    DEVEMU_SKIP(struct system, opaque),         DEVEMU_SKIP(struct system, written),
    DEVEMU_SKIP(struct system, written_opaque), {0},
};

#define GATES_8 "GATE", "GATE", "GATE", "GATE", "GATE", "GATE", "GATE", "GATE"

static const char *const system_inputs[DEVEMU_LINES + 1] = {
    GATES_8, GATES_8, GATES_8, GATES_8, GATES_8, GATES_8, GATES_8, GATES_8, NULL,
};

const DevemuModel devemu_model_system = {
    .name = "system",
    .title = "system bus",
    .datasheet = "none: the library's own",
    .not_modelled = "bus cycles, wait states, locked cycles",
    .state_size = sizeof(struct system),
    .banks = system_banks,
    .bank_count = DEVEMU_N_ELEMENTS(system_banks),
    .fields = system_fields,
    .inputs = system_inputs,
    .configure = system_configure,
    .reset = system_reset,
    .loaded = system_loaded,
    .finish = system_finish,
    .input_line = system_input_line,
    .plug = system_plug,
    .forget = system_forget,
    .is_bus = true,
};
