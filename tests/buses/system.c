/* SPDX-License-Identifier: BSD-3-Clause */
/* System bus: priorities, holes, splitting, memory, gates, DMA, snapshots. */
#include "../lib/toy.h"

#include <devemu/bus.h>

#include <criterion/criterion.h>

typedef struct Machine {
    DevemuDevice *system, *toy;
    uint8_t ram[0x10000], rom[0x1000];
    unsigned changes;
} Machine;

static void changed(void *opaque)
{
    ((Machine *)opaque)->changes++;
}

static Machine *machine_new(void)
{
    Machine *m = g_new0(Machine, 1);

    m->system = devemu_device_new(&devemu_model_system, NULL, NULL);
    m->toy = devemu_device_new(&devemu_model_toy, NULL, NULL);
    memset(m->rom, 0x55, sizeof(m->rom));
    cr_assert(devemu_bus_plug(m->system, m->toy, NULL, NULL));
    devemu_system_map(m->system, DEVEMU_SYSTEM_PIO, 0x300, 32, m->toy, TOY_IO, 0, 0, NULL);
    devemu_system_map_ram(m->system, 0, sizeof(m->ram), m->ram, DEVEMU_RAM_RW, 0, NULL);
    devemu_system_watch(m->system, changed, m);
    return m;
}

static void machine_free(Machine *m)
{
    devemu_device_free(m->system);
    g_free(m);
}

static uint64_t in(Machine *m, unsigned space, uint64_t at, unsigned size)
{
    uint64_t value = 0xbadbadbad;

    return devemu_device_read(m->system, space, at, size, &value) == DEVEMU_ACCESS_OK ? value
                                                                                      : 0xbadbadbad;
}

Test(system, an_access_reaches_the_device_at_its_place_and_nothing_elsewhere)
{
    Machine *m = machine_new();
    uint64_t value;

    devemu_device_write(m->system, DEVEMU_SYSTEM_PIO, 0x31c, 2, 0xabcd);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_PIO, 0x31c, 2), 0xabcd);
    cr_assert_eq(devemu_device_read(m->system, DEVEMU_SYSTEM_PIO, 0x320, 1, &value),
                 DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_read(m->system, DEVEMU_SYSTEM_PIO, 0xffff, 2, &value),
                 DEVEMU_ACCESS_NONE, "an access that wraps");

    machine_free(m);
}

Test(system, a_wider_access_is_split_lowest_address_first)
{
    Machine *m = machine_new();

    devemu_device_write(m->system, DEVEMU_SYSTEM_PIO, 0x318, 4, 0x04030201);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_PIO, 0x318, 1), 1);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_PIO, 0x31b, 1), 4);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_PIO, 0x318, 4), 0x04030201);
    /* Half of it answers: the other half floats. */
    cr_assert_eq(in(m, DEVEMU_SYSTEM_PIO, 0x31e, 4), 0xffff0000);

    machine_free(m);
}

Test(system, the_higher_priority_is_asked_first_and_may_decline)
{
    Machine *m = machine_new();

    devemu_system_map_ram(m->system, 0x1000, 0x1000, m->rom, DEVEMU_RAM_ROM, 1, NULL);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x1000, 4), 0x55555555);
    devemu_device_write(m->system, DEVEMU_SYSTEM_MEMORY, 0x1000, 4, 0);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x1000, 4), 0x55555555, "ROM");
    cr_assert_eq(m->ram[0x1000], 0, "and not the RAM below");
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0xffe, 4), 0x55550000, "across the edge");

    machine_free(m);
}

Test(system, reads_and_writes_can_be_switched_apart)
{
    Machine *m = machine_new();
    unsigned rom =
        devemu_system_map_ram(m->system, 0x1000, 0x1000, m->rom, DEVEMU_RAM_ROM, 1, NULL);
    unsigned before = m->changes;

    devemu_system_enable(m->system, rom, true, false);
    devemu_device_write(m->system, DEVEMU_SYSTEM_MEMORY, 0x1004, 1, 7);
    cr_assert_eq(m->ram[0x1004], 7, "writes go to RAM: shadowing");
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x1004, 1), 0x55);
    devemu_system_enable(m->system, rom, false, false);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x1004, 1), 7);
    cr_assert_eq(m->changes, before + 2);

    machine_free(m);
}

Test(system, a_gate_follows_lines_and_survives_a_snapshot)
{
    Machine *m = machine_new(), *n = machine_new();
    unsigned rom;
    g_autoptr(GVariant) state = NULL;

    rom = devemu_system_map_ram(m->system, 0x1000, 0x1000, m->rom, DEVEMU_RAM_ROM, 1, NULL);
    devemu_system_gate(m->system, rom, m->toy, 1, 1);
    rom = devemu_system_map_ram(n->system, 0x1000, 0x1000, n->rom, DEVEMU_RAM_ROM, 1, NULL);
    devemu_system_gate(n->system, rom, n->toy, 1, 1);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x1000, 1), 0);
    devemu_device_line(m->toy, 0, true); /* the toy copies its input to output 1 */
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x1000, 1), 0x55);
    state = devemu_device_save(m->system);
    cr_assert(devemu_device_load(n->system, state, NULL));
    cr_assert_eq(in(n, DEVEMU_SYSTEM_MEMORY, 0x1000, 1), 0x55);
    devemu_device_line(m->toy, 0, false);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x1000, 1), 0);

    machine_free(m);
    machine_free(n);
}

typedef struct Ranges {
    unsigned count;
    uint64_t base[8], len[8];
    bool writable[8];
} Ranges;

static void range(void *opaque, uint64_t base, uint64_t len, uint8_t *data, bool readable,
                  bool writable)
{
    Ranges *ranges = opaque;

    (void)data;
    cr_assert(readable);
    cr_assert_lt(ranges->count, 8);
    ranges->base[ranges->count] = base;
    ranges->len[ranges->count] = len;
    ranges->writable[ranges->count++] = writable;
}

Test(system, the_flat_view_shows_what_a_vmm_may_map)
{
    Machine *m = machine_new();
    Ranges ranges = {0};

    devemu_system_map_ram(m->system, 0x1000, 0x1000, m->rom, DEVEMU_RAM_ROM, 1, NULL);
    devemu_system_ranges(m->system, range, &ranges);

    cr_assert_eq(ranges.count, 3);
    cr_assert_eq(ranges.base[1], 0x1000);
    cr_assert_eq(ranges.len[1], 0x1000);
    cr_assert_not(ranges.writable[1]);
    cr_assert_eq(ranges.len[2], 0xe000);

    machine_free(m);
}

Test(system, dma_of_a_device_reaches_memory_rom_and_nothing)
{
    Machine *m = machine_new();

    m->ram[0x40] = 9;
    devemu_device_write(m->toy, TOY_IO, TOY_DMA, 4, 0x40);
    cr_assert_eq(m->ram[0x40], 10);
    devemu_system_map_ram(m->system, 0, 0x1000, m->rom, DEVEMU_RAM_ROM, 1, NULL);
    devemu_device_write(m->toy, TOY_IO, TOY_DMA, 4, 0x40);
    cr_assert_eq(m->ram[0x40], 10, "the window into RAM was revoked");
    cr_assert_eq(m->rom[0x40], 0x55, "ROM stays");

    machine_free(m);
}

Test(system, dma_into_the_devices_own_registers_is_not_answered)
{
    Machine *m = machine_new();

    devemu_system_map(m->system, DEVEMU_SYSTEM_MEMORY, 0x20000, 32, m->toy, TOY_IO, 0, 0, NULL);
    devemu_device_write(m->toy, TOY_IO, TOY_DMA, 4, 0x20000 + TOY_LOCKED);

    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x20000 + TOY_LOCKED, 2), 0);

    machine_free(m);
}

Test(system, what_does_not_fit_is_refused_with_a_sentence)
{
    Machine *m = machine_new();
    g_autoptr(GError) error = NULL;

    cr_assert_eq(
        devemu_system_map(m->system, DEVEMU_SYSTEM_PIO, 0xfff0, 32, m->toy, TOY_IO, 0, 0, &error),
        0);
    cr_assert_str_eq(error->message,
                     "cannot map toy at 0xfff0, 32 bytes: it does not fit the space");
    g_clear_error(&error);
    cr_assert_eq(
        devemu_system_map(m->system, DEVEMU_SYSTEM_PIO, 0, 33, m->toy, TOY_IO, 0, 0, &error), 0);
    cr_assert_str_eq(error->message, "cannot map 33 bytes of toy's bank 'io': it is smaller");

    machine_free(m);
}

Test(system, an_unplugged_device_answers_nothing)
{
    Machine *m = machine_new();
    uint64_t value;

    devemu_bus_unplug(m->toy);
    cr_assert_eq(devemu_device_read(m->system, DEVEMU_SYSTEM_PIO, 0x300, 2, &value),
                 DEVEMU_ACCESS_NONE);

    devemu_device_free(m->toy);
    machine_free(m);
}

Test(system, the_earliest_deadline_of_the_tree_is_the_trees)
{
    Machine *m = machine_new();

    devemu_device_write(m->toy, TOY_IO, TOY_ALARM, 4, 500);
    cr_assert_eq(devemu_device_deadline(m->system), 500);
    devemu_device_reset(m->system, DEVEMU_RESET_HARD);

    machine_free(m);
}

Test(system, handles_of_ports_and_of_memory_are_apart)
{
    Machine *m = machine_new();
    unsigned ports =
        devemu_system_map(m->system, DEVEMU_SYSTEM_PIO, 0x400, 32, m->toy, TOY_IO, 0, 0, NULL);
    unsigned changes = m->changes;
    uint64_t value;

    devemu_system_map_ram(m->system, 0x20000, 0x1000, m->rom, DEVEMU_RAM_ROM, 0, NULL);
    changes = m->changes;
    devemu_system_enable(m->system, ports, false, false);
    cr_assert_eq(devemu_device_read(m->system, DEVEMU_SYSTEM_PIO, 0x400, 2, &value),
                 DEVEMU_ACCESS_NONE);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x20000, 1), 0x55, "memory is as it was");
    cr_assert_eq(m->changes, changes);

    machine_free(m);
}

Test(system, an_access_across_an_edge_is_answered_as_its_bytes_would_be)
{
    Machine *m = machine_new();

    /* Of one priority the mapping made first is asked first. */
    devemu_system_map_ram(m->system, 0x20002, 2, m->rom, DEVEMU_RAM_ROM, 0, NULL);
    devemu_system_map_ram(m->system, 0x20000, 8, m->ram, DEVEMU_RAM_RW, 0, NULL);
    cr_assert_eq(in(m, DEVEMU_SYSTEM_MEMORY, 0x20000, 4), 0x55550000);

    machine_free(m);
}

/* A device that declines a read, and takes another out of the machine meanwhile. */
struct jealous {
    DevemuDevice *dev;
    DevemuDevice *rival;
    uint64_t asked;
};

static DevemuAccess jealous_read(void *state, uint64_t at, unsigned size, uint64_t *ret_value)
{
    struct jealous *jealous = state;

    (void)at;
    (void)size;
    (void)ret_value;
    jealous->asked++;
    devemu_device_free(jealous->rival);
    jealous->rival = NULL;
    return DEVEMU_ACCESS_NONE;
}

Test(system, a_device_that_leaves_during_an_access_is_not_asked)
{
    const DevemuBank bank = {
        .name = "io", .kind = DEVEMU_BANK_PIO, .size = 32, .read = jealous_read};
    const DevemuModel model = {
        .name = "jealous", .state_size = sizeof(struct jealous), .banks = &bank, .bank_count = 1};
    Machine *m = machine_new();
    DevemuDevice *dev = devemu_device_new(&model, NULL, NULL);
    uint64_t value;

    cr_assert(devemu_bus_plug(m->system, dev, NULL, NULL));
    devemu_system_map(m->system, DEVEMU_SYSTEM_PIO, 0x300, 32, dev, 0, 0, 1, NULL);
    ((struct jealous *)devemu_device_state(dev))->rival = m->toy;
    cr_assert_eq(devemu_device_read(m->system, DEVEMU_SYSTEM_PIO, 0x31c, 2, &value),
                 DEVEMU_ACCESS_NONE);
    cr_assert_eq(((struct jealous *)devemu_device_state(dev))->asked, 1);

    machine_free(m);
}
