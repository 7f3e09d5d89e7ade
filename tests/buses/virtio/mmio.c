/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio over MMIO, versions 2 and 1; sections of virtio 1.4. */
#include "mmio.h"

#include <devemu/bus.h>
#include <devemu/list.h>

/* 4.2.2.1 */
Test(mmio, says_what_it_is)
{
    Mmio *m = mmio_new(NULL);

    cr_assert_eq(get(m, MAGIC), 0x74726976);
    cr_assert_eq(get(m, VERSION), 2);
    cr_assert_eq(get(m, DEVICE_ID), 42);
    cr_assert_neq(get(m, VENDOR_ID), 0);
    put(m, MAGIC, 0);
    put(m, VERSION, 0);
    cr_assert_eq(get(m, MAGIC), 0x74726976, "read-only");
    cr_assert_eq(get(m, VERSION), 2);
    mmio_free(m);
}

/* 4.2.2.2: drivers use 32 bits, aligned, for control registers; nothing else does anything. */
Test(mmio, control_registers_are_32_bits_wide)
{
    static const unsigned sizes[] = {1, 2, 8};
    Mmio *m = mmio_new(NULL);
    uint64_t value = 5;

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        cr_assert_neq(devemu_device_read(m->transport, 0, MAGIC, sizes[i], &value),
                      DEVEMU_ACCESS_OK);
        cr_assert_neq(devemu_device_write(m->transport, 0, STATUS, sizes[i], 1), DEVEMU_ACCESS_OK);
    }
    cr_assert_neq(devemu_device_read(m->transport, 0, MAGIC + 2, 4, &value), DEVEMU_ACCESS_OK);
    cr_assert_neq(devemu_device_read(m->transport, 0, 0x18, 4, &value), DEVEMU_ACCESS_OK);
    cr_assert_neq(devemu_device_read(m->transport, 0, 0x200, 4, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 5);
    cr_assert_eq(get(m, STATUS), 0);
    mmio_free(m);
}

/* 4.2.2: widths of fields, at byte alignment. */
Test(mmio, configuration_space_follows)
{
    Mmio *m = mmio_new(NULL);
    uint64_t value = 0;

    put(m, CONFIG + TOY_FILL, 0x04030201);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(devemu_device_read(m->transport, 0, CONFIG + i, 1, &value), DEVEMU_ACCESS_OK);
        cr_assert_eq(value, i + 1);
    }
    cr_assert_eq(devemu_device_write(m->transport, 0, CONFIG + 2, 2, 0xaabb), DEVEMU_ACCESS_OK);
    cr_assert_eq(get(m, CONFIG), 0xaabb0201);
    cr_assert_neq(devemu_device_read(m->transport, 0, CONFIG + 8, 4, &value), DEVEMU_ACCESS_OK,
                  "it ends");
    mmio_free(m);
}

/* 4.2.2: which 32 bits, by the last selector written; a third word is none. */
Test(mmio, features_are_read_and_written_by_halves)
{
    Mmio *m = mmio_new(NULL);

    cr_assert_eq(offered(m) & (FEATURE(3) | FEATURE(VIRTIO_F_VERSION_1)),
                 FEATURE(3) | FEATURE(VIRTIO_F_VERSION_1));
    put(m, DEVICE_FEATURES_SEL, 2);
    cr_assert_eq(get(m, DEVICE_FEATURES), 0);
    features(m, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(4));
    put(m, STATUS, 11);
    cr_assert_eq(get(m, STATUS), 3, "bit 4 is not offered");
    features(m, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(3));
    put(m, STATUS, 11);
    cr_assert_eq(get(m, STATUS), 11);
    mmio_free(m);
}

/* 4.2.2.1, 4.2.3.4: from the moment it takes place until it is acknowledged. */
Test(mmio, used_buffers_interrupt_until_acknowledged)
{
    Mmio *m = mmio_new(NULL);

    modern_start(m, 0);
    cr_assert_eq(get(m, INTERRUPT_STATUS), 0);
    cr_assert_not(m->line);
    call(m, TOY_SIZE);
    cr_assert_eq(get(m, INTERRUPT_STATUS), 1, "and no other bit");
    cr_assert_eq(get(m, INTERRUPT_STATUS), 1, "reading changes nothing");
    cr_assert(m->line);
    put(m, INTERRUPT_ACK, 2);
    cr_assert(m->line, "another event");
    put(m, INTERRUPT_ACK, 1);
    cr_assert_not(m->line);
    cr_assert_eq(get(m, INTERRUPT_STATUS), 0);
    call(m, TOY_SIZE);
    cr_assert_eq(m->rises, 3, "that of the configuration, at the start, and two");
    mmio_free(m);
}

/* 4.2.2.1: ConfigGeneration; 4.2.3.4 */
Test(mmio, configuration_changes_interrupt_and_change_the_generation)
{
    Mmio *m = mmio_new(NULL);
    uint32_t generation;

    modern_start(m, 0);
    generation = get(m, CONFIG_GENERATION);
    cr_assert_eq(get(m, CONFIG_GENERATION), generation);
    put(m, CONFIG + TOY_FILL, 7);
    cr_assert_neq(get(m, CONFIG_GENERATION), generation);
    cr_assert_eq(get(m, INTERRUPT_STATUS), 2);
    cr_assert(m->line);
    put(m, INTERRUPT_ACK, 3);
    cr_assert_not(m->line);
    mmio_free(m);
}

/* 4.2.2.1: upon reset all bits of InterruptStatus and QueueReady are cleared. */
Test(mmio, a_reset_clears_interrupts_and_queues)
{
    Mmio *m = mmio_new(NULL);

    modern_start(m, 0);
    call(m, TOY_SIZE);
    put(m, CONFIG + TOY_FILL, 7);
    cr_assert_eq(get(m, INTERRUPT_STATUS), 3);
    put(m, STATUS, 0);
    cr_assert_eq(get(m, STATUS), 0);
    cr_assert_eq(get(m, INTERRUPT_STATUS), 0);
    cr_assert_not(m->line);
    for (unsigned i = 0; i < TOY_QUEUES; i++) {
        put(m, QUEUE_SEL, i);
        cr_assert_eq(get(m, QUEUE_READY), 0);
        cr_assert_eq(get(m, QUEUE_RESET), 0);
    }
    modern_start(m, 0);
    call(m, TOY_SIZE);
    devemu_device_reset(m->transport, DEVEMU_RESET_HARD);
    cr_assert_eq(get(m, STATUS), 0);
    cr_assert_not(m->line);
    mmio_free(m);
}

/* 4.2.2.1: no access to a queue while QueueReady is 0. */
Test(mmio, a_queue_that_is_not_ready_is_left_alone)
{
    Mmio *m = mmio_new(NULL);
    uint64_t dmas;

    modern_start(m, 0);
    put(m, QUEUE_SEL, 0);
    put(m, QUEUE_READY, 0);
    cr_assert_eq(get(m, QUEUE_READY), 0);
    dmas = m->dmas;
    give(m, 0, TOY_SIZE);
    put(m, QUEUE_NOTIFY, 0);
    run(m);
    cr_assert_eq(m->dmas, dmas);
    cr_assert_not(back(m, 0));
    modern_queue(m, 0);
    call(m, TOY_SIZE);
    mmio_free(m);
}

/* 4.2.2.1, 2.6.1 */
Test(mmio, a_queue_reset_lasts_until_the_device_lets_go)
{
    Mmio *m = mmio_new(NULL);

    modern_start(m, FEATURE(VIRTIO_F_RING_RESET));
    give(m, 1, TOY_SIZE);
    put(m, QUEUE_NOTIFY, 1);
    run(m);
    put(m, QUEUE_SEL, 1);
    cr_assert_eq(get(m, QUEUE_RESET), 0);
    put(m, QUEUE_RESET, 1);
    cr_assert_eq(get(m, QUEUE_RESET), 1, "a buffer is kept");
    cr_assert_eq(devemu_device_write(m->transport, 0, CONFIG + TOY_RELEASE, 1, 1),
                 DEVEMU_ACCESS_OK);
    cr_assert_eq(get(m, QUEUE_RESET), 0);
    cr_assert_eq(get(m, QUEUE_READY), 0);
    put(m, QUEUE_SEL, 0);
    cr_assert_eq(get(m, QUEUE_READY), 1, "the other queue goes on");
    call(m, TOY_SIZE);
    modern_queue(m, 1);
    cr_assert_eq(get(m, QUEUE_RESET), 0);
    mmio_free(m);
}

/* 2.4.1: Status reads 0 when the reset is done. */
Test(mmio, a_reset_lasts_until_the_device_lets_go)
{
    Mmio *m = mmio_new(NULL);

    modern_start(m, 0);
    give(m, 1, TOY_SIZE);
    put(m, QUEUE_NOTIFY, 1);
    run(m);
    put(m, STATUS, 0);
    cr_assert_neq(get(m, STATUS), 0);
    devemu_device_write(m->transport, 0, CONFIG + TOY_RELEASE, 1, 1);
    cr_assert_eq(get(m, STATUS), 0);
    mmio_free(m);
}

/* 4.2.3.3: the queue's number in 16 bits, and more above them. */
Test(mmio, notifications_may_carry_data)
{
    Mmio *m = mmio_new(NULL);

    modern_start(m, FEATURE(VIRTIO_F_NOTIFICATION_DATA));
    give(m, 0, TOY_SIZE);
    put(m, QUEUE_NOTIFY, 1 << 16);
    run(m);
    cr_assert(back(m, 0));
    put(m, QUEUE_NOTIFY, 64);
    put(m, QUEUE_NOTIFY, 0xffff);
    run(m);
    mmio_free(m);
}

/* Numbers that do not fit in the 16 bits that a device has for them are not cut. */
Test(mmio, large_numbers_are_no_queue_and_no_size)
{
    Mmio *m = mmio_new(NULL);

    features(m, FEATURE(VIRTIO_F_VERSION_1));
    put(m, STATUS, 11);
    put(m, QUEUE_SEL, 0x10000);
    cr_assert_eq(get(m, QUEUE_NUM_MAX), 0);
    put(m, QUEUE_SEL, 0);
    put(m, QUEUE_NUM, 0x10000 + TOY_SIZE);
    put64(m, QUEUE_DESC, RING);
    put64(m, QUEUE_DRIVER, RING + 0x1000);
    put64(m, QUEUE_DEVICE, RING + 0x2000);
    put(m, QUEUE_READY, 1);
    cr_assert_eq(get(m, QUEUE_READY), 0);
    put(m, STATUS, 0x100);
    cr_assert_eq(get(m, STATUS), 11, "no reset");
    mmio_free(m);
}

/* 4.2.2: SHMLen, SHMBase. */
Test(mmio, there_is_no_shared_memory)
{
    Mmio *m = mmio_new(NULL);

    put(m, SHM_SEL, 0);
    for (unsigned i = 0; i < 8; i += 4) {
        cr_assert_eq(get(m, SHM_LEN + i), UINT32_MAX);
        cr_assert_eq(get(m, SHM_BASE + i), UINT32_MAX);
    }
    mmio_free(m);
}

/* 4.2.4: pages and alignment as the driver says. */
Test(mmio, legacy_queues_stand_where_the_page_is)
{
    Mmio *m = mmio_new("version=1");

    cr_assert_eq(get(m, VERSION), 1);
    cr_assert_eq(offered(m) >> 32, 0);
    cr_assert(offered(m) & FEATURE(3));
    legacy_start(m);
    for (unsigned i = 0; i < 20; i++) {
        call(m, 8);
    }
    cr_assert_eq(get(m, INTERRUPT_STATUS), 1);
    put(m, QUEUE_PFN, 0);
    cr_assert_eq(get(m, QUEUE_PFN), 0);
    give(m, 0, 8);
    put(m, QUEUE_NOTIFY, 0);
    run(m);
    cr_assert_not(back(m, 0));
    mmio_free(m);
}

/* 4.2.4: a reset sets QueuePFN to zero. */
Test(mmio, a_legacy_reset_takes_the_queues_away)
{
    Mmio *m = mmio_new("version=1");

    legacy_start(m);
    put(m, STATUS, 0);
    put(m, QUEUE_SEL, 0);
    cr_assert_eq(get(m, QUEUE_PFN), 0);
    legacy_start(m);
    call(m, 8);
    mmio_free(m);
}

Test(mmio, a_legacy_queue_that_is_not_possible_is_not_in_use)
{
    static const uint32_t aligns[] = {0, 3, 2, 0x80000001};
    Mmio *m = mmio_new("version=1");

    features(m, 0);
    put(m, QUEUE_SEL, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(aligns); i++) {
        put(m, GUEST_PAGE_SIZE, 4096);
        put(m, QUEUE_ALIGN, aligns[i]);
        put(m, QUEUE_PFN, 4);
        cr_assert_eq(get(m, QUEUE_PFN), 0, "%u", aligns[i]);
    }
    cr_assert_gt(m->errors, 0);
    put(m, QUEUE_ALIGN, 4096);
    put(m, GUEST_PAGE_SIZE, UINT32_MAX);
    put(m, QUEUE_PFN, UINT32_MAX);
    cr_assert_eq(get(m, QUEUE_PFN), 0, "misaligned");
    put(m, QUEUE_SEL, TOY_QUEUES);
    put(m, QUEUE_PFN, 4);
    cr_assert_eq(get(m, QUEUE_PFN), 0, "no such queue");
    mmio_free(m);
}

Test(mmio, each_version_has_its_own_registers)
{
    static const uint16_t old[] = {GUEST_PAGE_SIZE, QUEUE_ALIGN, QUEUE_PFN};
    static const uint16_t new[] = {QUEUE_READY, QUEUE_DESC,  QUEUE_DRIVER,     QUEUE_DEVICE + 4,
                                   SHM_LEN,     QUEUE_RESET, CONFIG_GENERATION};
    Mmio *v1 = mmio_new("version=1"), *v2 = mmio_new("version=2");
    uint64_t value;

    for (unsigned i = 0; i < G_N_ELEMENTS(old); i++) {
        cr_assert_eq(devemu_device_write(v1->transport, 0, old[i], 4, 0), DEVEMU_ACCESS_OK);
        cr_assert_neq(devemu_device_read(v2->transport, 0, old[i], 4, &value), DEVEMU_ACCESS_OK);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(new); i++) {
        cr_assert_eq(devemu_device_read(v2->transport, 0, new[i], 4, &value), DEVEMU_ACCESS_OK);
        cr_assert_neq(devemu_device_read(v1->transport, 0, new[i], 4, &value), DEVEMU_ACCESS_OK);
    }
    mmio_free(v1);
    mmio_free(v2);
}

/* 2.1.2 */
Test(mmio, a_broken_queue_needs_a_reset_and_says_so)
{
    Mmio *m = mmio_new(NULL);

    modern_start(m, 0);
    devemu_put_le16(m->ram + m->driver[0] + 2, 1000);
    put(m, QUEUE_NOTIFY, 0);
    run(m);
    cr_assert_eq(get(m, STATUS), 15 | 64);
    cr_assert_eq(get(m, INTERRUPT_STATUS), 2);
    modern_start(m, 0);
    call(m, TOY_SIZE);
    mmio_free(m);
}

static void migrate(Mmio *m, const char *options)
{
    GVariant *state = devemu_device_save(m->transport);
    g_autoptr(GError) error = NULL;

    devemu_device_free(m->transport);
    m->line = false;
    m->deadline = DEVEMU_NEVER;
    make(m, options);
    cr_assert(devemu_device_load(m->transport, state, &error), "%s", error ? error->message : "");
    g_variant_unref(state);
}

Test(mmio, a_snapshot_goes_on)
{
    Mmio *m = mmio_new(NULL);

    modern_start(m, 0);
    call(m, TOY_SIZE);
    migrate(m, NULL);
    cr_assert(m->line, "the interrupt still stands");
    cr_assert_eq(get(m, INTERRUPT_STATUS), 1);
    put(m, INTERRUPT_ACK, 1);
    cr_assert_not(m->line);
    for (unsigned i = 0; i < 20; i++) {
        call(m, TOY_SIZE);
        migrate(m, NULL);
    }
    mmio_free(m);
}

Test(mmio, a_legacy_snapshot_goes_on)
{
    Mmio *m = mmio_new("version=1");

    legacy_start(m);
    call(m, 8);
    put(m, STATUS, 0);
    features(m, 0);
    put(m, GUEST_PAGE_SIZE, 1024);
    put(m, QUEUE_SEL, 0);
    put(m, QUEUE_NUM, 8);
    put(m, QUEUE_ALIGN, 256);
    migrate(m, "version=1");
    place(m, 0, RING + 128, RING + 256);
    put(m, QUEUE_PFN, RING / 1024);
    put(m, STATUS, 7);
    migrate(m, "version=1");
    cr_assert_eq(get(m, QUEUE_PFN), RING / 1024);
    put(m, CONFIG + TOY_FILL, FILL);
    call(m, 8);
    mmio_free(m);
}

Test(mmio, a_snapshot_with_other_interrupts_is_refused)
{
    Mmio *m = mmio_new(NULL);
    g_autoptr(GVariant) state = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GString) edited = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) parsed = NULL;

    modern_start(m, 0);
    call(m, TOY_SIZE);
    state = devemu_device_save(m->transport);
    text = g_variant_print(state, TRUE);
    edited = g_string_new(text);
    cr_assert_gt(g_string_replace(edited, "'mmio.InterruptStatus': <uint32 1>",
                                  "'mmio.InterruptStatus': <uint32 4>", 0),
                 0, "%s", text);
    parsed = g_variant_ref_sink(g_variant_parse(NULL, edited->str, NULL, NULL, &error));
    cr_assert(parsed, "%s", error ? error->message : "");
    cr_assert_not(devemu_device_load(m->transport, parsed, &error));
    cr_assert_eq(get(m, INTERRUPT_STATUS), 1, "as it was");
    mmio_free(m);
}

Test(mmio, an_unplugged_device_stands_alone)
{
    Mmio *m = mmio_new(NULL);
    uint64_t value = 0;

    modern_start(m, 0);
    call(m, TOY_SIZE);
    devemu_bus_unplug(m->child); /* frees the transport */
    cr_assert_null(devemu_device_parent(m->child));
    cr_assert_eq(devemu_device_read(m->child, DEVEMU_VIRTIO_CONFIG, TOY_FILL, 4, &value),
                 DEVEMU_ACCESS_OK);
    cr_assert_eq(value, FILL);
    m->transport = devemu_virtio_mmio_new(m->child, NULL, NULL);
    devemu_device_set_host(m->transport, &host_ops, m);
    m->line = false;
    modern_start(m, 0);
    call(m, TOY_SIZE);
    mmio_free(m);
}

/* On a bus with memory of its own, where a wider access is split and one that it refuses not. */
Test(mmio, works_on_the_system_bus)
{
    Mmio *m = mmio_new(NULL);
    DevemuDevice *system = devemu_device_new(&devemu_model_system, NULL, NULL), *mmio;
    g_autoptr(GError) error = NULL;
    uint64_t value = 0;

    mmio = m->transport;
    devemu_device_set_host(mmio, NULL, NULL);
    cr_assert(devemu_bus_plug(system, mmio, NULL, &error), "%s", error ? error->message : "");
    cr_assert(
        devemu_system_map(system, DEVEMU_SYSTEM_MEMORY, 0xd0000000, 0x200, mmio, 0, 0, 0, &error));
    cr_assert(devemu_system_map_ram(system, 0, RAM, m->ram, DEVEMU_RAM_RW, 0, &error));
    cr_assert_eq(devemu_device_read(system, DEVEMU_SYSTEM_MEMORY, 0xd0000000, 4, &value),
                 DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 0x74726976);
    modern_start(m, 0);
    give(m, 0, TOY_SIZE);
    cr_assert_eq(devemu_device_write(system, DEVEMU_SYSTEM_MEMORY, 0xd0000000 + QUEUE_NOTIFY, 4, 0),
                 DEVEMU_ACCESS_OK);
    devemu_device_run(system);
    cr_assert(back(m, 0));
    cr_assert_eq(devemu_le32(m->ram + DATA), FILL);
    cr_assert(devemu_device_lines(mmio) & 1);
    devemu_bus_unplug(m->child);
    cr_assert_neq(devemu_device_read(system, DEVEMU_SYSTEM_MEMORY, 0xd0000000, 4, &value),
                  DEVEMU_ACCESS_OK);
    devemu_device_free(m->child);
    devemu_device_free(system);
    m->transport = NULL;
    mmio_free(m);
}

Test(mmio, refuses_what_it_cannot_be)
{
    DevemuDevice *dev = devemu_device_new(devemu_model_find("port61"), NULL, NULL);
    DevemuDevice *toy = devemu_device_new(&toy_model, NULL, NULL), *new;
    DevemuVirtio new_type = toy_virtio;
    DevemuModel new_model = toy_model;
    g_autoptr(GError) error = NULL;

    cr_assert_null(devemu_virtio_mmio_new(dev, NULL, &error));
    cr_assert_str_eq(error->message, "port61: not a virtio device");
    g_clear_error(&error);
    cr_assert_null(devemu_virtio_mmio_new(toy, "version=3", &error));
    cr_assert(error);
    g_clear_error(&error);
    new_type.transitional_id = 0;
    new_model.virtio = &new_type;
    new = devemu_device_new(&new_model, NULL, NULL);
    cr_assert_null(devemu_virtio_mmio_new(new, "version=1", &error));
    cr_assert_str_eq(error->message, "toy has no legacy interface: version must be 2");
    devemu_device_free(new);
    devemu_device_free(dev);
    devemu_device_free(toy);
}
