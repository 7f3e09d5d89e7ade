/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers from tables, events, timers, lines, re-entry: the rules of docs/design.md. */
#include "toy.h"

#include <devemu/bus.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>

Test(core, conforms)
{
    cr_assert_eq(devemu_conformance(&devemu_model_toy, NULL), 0);
}

Test(core, reserved_bits_keep_their_reset_value_and_the_guest_is_blamed)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_CTRL, 2, 0x5fff);

    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_CTRL, 2), 0xafff);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
    cr_assert_str_eq(devemu_fake_last_log(fake), "toy: CTRL");
}

Test(core, each_rule_of_a_bit_does_what_its_name_says)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new_mode(&devemu_model_toy, NULL, 4096, 0);
    struct toy *toy = devemu_device_state(devemu_fake_device(fake));

    toy->status = 1 | 2 | 4 | 16;
    devemu_fake_write(fake, TOY_IO, TOY_STATUS, 2, 0x10);
    cr_assert_eq(toy->status, 1 | 2 | 4 | 16, "nothing may change");
    devemu_fake_write(fake, TOY_IO, TOY_STATUS, 2, 1 | 8);
    cr_assert_eq(toy->status, 2 | 4 | 8, "W1C cleared, W1S set, W0C cleared");
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_STATUS, 2), 2 | 4 | 8);
    cr_assert_eq(toy->status, 2 | 8, "RC cleared by the read");
}

Test(core, a_window_reaches_the_register_that_the_index_names)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_INDEX, 2, 2);
    devemu_fake_write(fake, TOY_IO, TOY_DATA, 2, 0xbeef);
    devemu_fake_write(fake, TOY_IO, TOY_INDEX, 2, 0);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_DATA, 2), 0);
    devemu_fake_write(fake, TOY_IO, TOY_INDEX, 2, 2);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_DATA, 2), 0xbeef);
    devemu_fake_write(fake, TOY_IO, TOY_INDEX, 2, 0xffff);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_DATA, 2), 0xdead, "no such register");
}

Test(core, a_locked_register_ignores_writes)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_LOCKED, 2, 5);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_LOCKED, 2), 0);
    devemu_fake_write(fake, TOY_IO, TOY_CTRL, 2, 0xa001);
    devemu_fake_write(fake, TOY_IO, TOY_LOCKED, 2, 5);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_LOCKED, 2), 5);
}

Test(core, the_first_decoded_row_of_a_place_answers)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_BANKED, 2, 1);
    devemu_fake_write(fake, TOY_IO, TOY_CTRL, 2, 0xa002);
    devemu_fake_write(fake, TOY_IO, TOY_BANKED, 2, 2);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_BANKED, 2), 2);
    devemu_fake_write(fake, TOY_IO, TOY_CTRL, 2, 0xa000);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_BANKED, 2), 1);
}

Test(core, a_write_only_register_reads_as_zero)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_SECRET, 2, 0x1111);

    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_SECRET, 2), 0);
}

Test(core, accesses_of_the_wrong_width_and_beyond_the_end_are_told_apart)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_CTRL, 4), 0xffffffff);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_SIZE);
    devemu_fake_read(fake, TOY_IO, TOY_CTRL + 1, 1);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_SIZE);
    devemu_fake_read(fake, TOY_IO, 0x16, 2);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE);
    devemu_fake_read(fake, TOY_IO, 32, 2);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE);
    devemu_fake_read(fake, TOY_INNER, 0, 2);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE, "an indexed bank is no bus");
}

Test(core, lanes_touch_only_the_bytes_written)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_LANES, 0, 4, 0x00332211);
    devemu_fake_write(fake, TOY_LANES, 1, 1, 0xaa);
    cr_assert_eq(devemu_fake_read(fake, TOY_LANES, 0, 4), 0x0033aa11);
    devemu_fake_write(fake, TOY_LANES, 2, 4, 0x77665544);
    cr_assert_eq(devemu_fake_read(fake, TOY_LANES, 0, 8), 0x000077660044aa11u);
    cr_assert_eq(devemu_fake_read(fake, TOY_LANES, 7, 2), 0xff00, "behind the last register");
}

Test(core, array_registers_have_elements)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_ARRAY + 3, 1, 0x42);

    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_ARRAY + 3, 1), 0x42);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_ARRAY + 2, 1), 0);
}

Test(core, kinds_of_reset_return_the_bits_that_the_row_names)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_KEPT, 2, 0xabcd);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_SOFT);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_KEPT, 2), 0xabcd);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert_eq(devemu_fake_read(fake, TOY_IO, TOY_KEPT, 2), 0x12cd);
}

Test(core, a_timer_is_told_as_a_deadline_and_raises_the_line_when_due)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_ALARM, 4, 1000);
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), 1000);
    devemu_fake_advance(fake, 999);
    cr_assert_not(devemu_fake_line(fake, 0));
    devemu_fake_advance(fake, 1);
    cr_assert(devemu_fake_line(fake, 0));
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), DEVEMU_NEVER);
    devemu_fake_write(fake, TOY_IO, TOY_STATUS, 2, 1);
    cr_assert_not(devemu_fake_line(fake, 0));
    cr_assert_eq(devemu_fake_rises(fake, 0), 1);
}

Test(core, dma_goes_through_a_window_where_there_is_one)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new_mode(&devemu_model_toy, NULL, 4096, 0);

    devemu_put_le32(devemu_fake_ram(fake) + 0x100, 41);
    devemu_fake_write(fake, TOY_IO, TOY_DMA, 4, 0x100);
    cr_assert_eq(devemu_le32(devemu_fake_ram(fake) + 0x100), 42);
    cr_assert_eq(devemu_fake_dma_bytes(fake), 0);
    devemu_fake_set_map(fake, false);
    devemu_fake_write(fake, TOY_IO, TOY_DMA, 4, 0x100);
    cr_assert_eq(devemu_le32(devemu_fake_ram(fake) + 0x100), 43);
    cr_assert_eq(devemu_fake_dma_bytes(fake), 8);
}

Test(core, dma_that_fails_reads_as_ones)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_write(fake, TOY_IO, TOY_DMA, 4, 4094);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
    devemu_fake_fail_dma(fake, 0x102, 1);
    devemu_fake_write(fake, TOY_IO, TOY_DMA, 4, 0x100);
    cr_assert_eq(devemu_fake_guest_errors(fake), 2);
}

Test(core, a_busy_device_does_not_answer_its_own_dma)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);

    devemu_fake_own_dma(fake, 0x200, 0x100, TOY_IO);

    /* The fake ends the test if the device answers. */
    devemu_fake_write(fake, TOY_IO, TOY_DMA, 4, 0x200);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
}

Test(core, guest_mistakes_are_told_at_a_bounded_rate)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new_mode(&devemu_model_toy, NULL, 4096, 0);

    for (unsigned i = 0; i < 10000; i++) {
        devemu_fake_write(fake, TOY_IO, TOY_CTRL, 2, 0);
    }

    cr_assert_leq(devemu_fake_guest_errors(fake), 17);
}

Test(core, a_refused_frame_is_asked_for_again)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_toy, NULL, 4096);
    uint8_t frame[60] = {0};

    cr_assert_eq(devemu_fake_receive(fake, frame, 60), 60);
    cr_assert_eq(devemu_fake_receive(fake, frame, 60), 0);
    cr_assert_eq(devemu_fake_readies(fake), 0);
    devemu_fake_read(fake, TOY_IO, TOY_FRAMES, 2);
    cr_assert_eq(devemu_fake_readies(fake), 1);
    cr_assert_eq(devemu_fake_receive(fake, frame, 60), 60);
}

Test(core, peeking_changes_nothing)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new_mode(&devemu_model_toy, NULL, 4096, 0);
    struct toy *toy = devemu_device_state(devemu_fake_device(fake));
    uint64_t value;

    toy->status = 4;
    cr_assert_eq(devemu_device_peek(devemu_fake_device(fake), TOY_IO, TOY_STATUS, 2, &value),
                 DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 4);
    cr_assert_eq(toy->status, 4);
    cr_assert_eq(devemu_device_peek(devemu_fake_device(fake), TOY_INNER, 1, 2, &value),
                 DEVEMU_ACCESS_OK, "indexed banks can be looked at");
}

Test(core, an_old_host_table_without_a_tail_is_taken)
{
    DevemuHostOps ops = {.size = offsetof(DevemuHostOps, deadline)};
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);

    memset((uint8_t *)&ops + ops.size, 0xee, sizeof(ops) - ops.size);
    devemu_device_set_host(dev, &ops, NULL);

    cr_assert_eq(devemu_device_write(dev, TOY_IO, TOY_ALARM, 4, 5), DEVEMU_ACCESS_OK);
}

static void count_log(void *host, DevemuLogLevel level, const char *text)
{
    (void)level;
    (void)text;
    ++*(unsigned *)host;
}

static uint64_t clock_ns;

static uint64_t clock_now(void *host)
{
    (void)host;
    return clock_ns;
}

Test(core, the_log_speaks_again_when_the_clock_is_set_back)
{
    const DevemuHostOps ops = {.size = sizeof(ops), .log = count_log, .now = clock_now};
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_toy, NULL, NULL);
    unsigned logs = 0;

    devemu_device_set_host(dev, &ops, &logs);
    clock_ns = UINT64_C(3600000000000);
    for (unsigned i = 0; i < 100; i++) {
        devemu_device_write(dev, TOY_IO, TOY_CTRL, 2, 0);
    }
    logs = 0;
    clock_ns = 0;
    devemu_device_write(dev, TOY_IO, TOY_CTRL, 2, 0);

    cr_assert_eq(logs, 1);
}
