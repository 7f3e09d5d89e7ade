/* SPDX-License-Identifier: BSD-3-Clause */
/* Intel 8237A, against its datasheet 231466 ("DS"), with the sequences of the PC. */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_i8237;

enum {
    IO,
    IO16,
    PAGE,
    DACK,
};

enum {
    COMMAND = 8,
    STATUS = 8,
    REQUEST = 9,
    MASK_BIT = 10,
    MODE = 11,
    CLEAR_FLIP_FLOP = 12,
    MASTER_CLEAR = 13,
    TEMPORARY = 13,
    CLEAR_MASK = 14,
    MASK = 15,
};

enum {
    VERIFY = 0x00,
    WRITE = 0x04,
    READ = 0x08,
    AUTOINIT = 0x10,
    DECREMENT = 0x20,
    DEMAND = 0x00,
    SINGLE = 0x40,
    BLOCK = 0x80,
    CASCADE = 0xc0,
};

enum {
    HRQ,
    EOP,
    DACK0,
    INPUT_HLDA = 4,
    INPUT_EOP = 5,
};

static const uint8_t page_of[4] = {7, 3, 1, 2};

static DevemuFake *dma_new(const char *options)
{
    return devemu_fake_new(&devemu_model_i8237, options, 0x40000);
}

static uint8_t in(DevemuFake *fake, unsigned reg)
{
    return (uint8_t)devemu_fake_read(fake, IO, reg, 1);
}

static void out(DevemuFake *fake, unsigned reg, unsigned value)
{
    devemu_fake_write(fake, IO, reg, 1, value & 0xff);
}

static void out16(DevemuFake *fake, unsigned reg, unsigned value)
{
    out(fake, CLEAR_FLIP_FLOP, 0);
    out(fake, reg, value);
    out(fake, reg, value >> 8);
}

static unsigned in16(DevemuFake *fake, unsigned reg)
{
    unsigned low;

    out(fake, CLEAR_FLIP_FLOP, 0);
    low = in(fake, reg);
    return low | (unsigned)in(fake, reg) << 8;
}

/* As a PC driver does it: mask, mode, address, page, count, unmask. */
static void setup(DevemuFake *fake, unsigned ch, uint8_t mode, unsigned addr, unsigned count)
{
    out(fake, MASK_BIT, 4 | ch);
    out(fake, MODE, mode | ch);
    out16(fake, 2 * ch, addr);
    devemu_fake_write(fake, PAGE, page_of[ch], 1, addr >> 16);
    out16(fake, 2 * ch + 1, count);
    out(fake, MASK_BIT, ch);
}

static void dreq(DevemuFake *fake, unsigned ch, bool level)
{
    devemu_fake_set_input(fake, ch, level);
}

static bool granted(DevemuFake *fake, unsigned ch)
{
    return devemu_fake_line(fake, DACK0 + ch);
}

/* One cycle; false if it was not given. */
static bool put(DevemuFake *fake, unsigned ch, uint8_t value)
{
    devemu_fake_write(fake, DACK, ch, 1, value);
    return devemu_fake_access(fake) == DEVEMU_ACCESS_OK;
}

static bool take(DevemuFake *fake, unsigned ch, uint8_t *ret_value)
{
    *ret_value = (uint8_t)devemu_fake_read(fake, DACK, ch, 1);
    return devemu_fake_access(fake) == DEVEMU_ACCESS_OK;
}

Test(i8237, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_i8237, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_i8237, "width=16,cascaded=on"), 0);
}

/* --- registers --------------------------------------------------------------------- */

/* DS "Clear First/Last Flip-Flop"; base and current are written together, current is read. */
Test(i8237, addresses_and_counts_go_by_bytes)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    for (unsigned reg = 0; reg < 8; reg++) {
        out16(fake, reg, 0x1234 + 0x1111 * reg);
    }
    for (unsigned reg = 0; reg < 8; reg++) {
        cr_expect_eq(in16(fake, reg), 0x1234 + 0x1111 * reg);
    }
    in(fake, 0);
    cr_assert_eq(in(fake, 1), (0x1234 + 0x1111) >> 8); /* one flip-flop for all */
    in(fake, 0);
    out(fake, CLEAR_FLIP_FLOP, 0);
    cr_assert_eq(in(fake, 0), 0x34);
}

/* DS Figure 6: these are illegal to read. */
Test(i8237, what_is_only_written_does_not_drive_the_bus)
{
    static const uint8_t regs[] = {REQUEST, MASK_BIT, MODE, CLEAR_FLIP_FLOP, CLEAR_MASK, MASK};
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        cr_expect_eq(in(fake, regs[i]), 0xff);
    }
}

/* DS "Master Clear": as a reset; the mask is set, the flip-flop cleared. */
Test(i8237, master_clear_masks_all_channels)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, SINGLE | WRITE, 0x1000, 10);
    out(fake, COMMAND, 0x10);
    in(fake, 0);
    dreq(fake, 1, true);
    cr_assert(devemu_fake_line(fake, HRQ));

    out(fake, MASTER_CLEAR, 0);
    cr_assert_not(devemu_fake_line(fake, HRQ));
    cr_assert_not(granted(fake, 1));
    cr_assert_eq(in(fake, 2), 0x00);
    cr_assert_eq(in(fake, 2), 0x10);
    out(fake, MASK_BIT, 1);
    cr_assert(granted(fake, 1));
}

Test(i8237, a_reset_masks_all_channels)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, SINGLE | WRITE, 0x1000, 10);
    dreq(fake, 1, true);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);
    cr_assert_not(devemu_fake_line(fake, HRQ));
    cr_assert_eq(in16(fake, 2), 0x1000);
}

/* DS "Mask Register": one bit, all bits, and none. */
Test(i8237, masks_are_set_one_by_one_or_together)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    for (unsigned ch = 0; ch < 4; ch++) {
        out(fake, MODE, SINGLE | WRITE | ch);
        dreq(fake, ch, true);
    }
    cr_assert_not(devemu_fake_line(fake, HRQ));
    out(fake, MASK_BIT, 2);
    cr_assert(granted(fake, 2));
    out(fake, MASK_BIT, 4 | 2);
    cr_assert_not(devemu_fake_line(fake, HRQ));
    out(fake, MASK, 0x07);
    cr_assert(granted(fake, 3));
    out(fake, MASK, 0xff);
    out(fake, CLEAR_MASK, 0);
    cr_assert(granted(fake, 0));
}

/* DS "Status Register": requests show masked or not; terminal counts go with the read. */
Test(i8237, the_status_shows_requests_and_terminal_counts)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    dreq(fake, 3, true);
    cr_assert_eq(in(fake, STATUS), 0x80);
    dreq(fake, 3, false);
    setup(fake, 1, SINGLE | WRITE, 0x1000, 0);
    dreq(fake, 1, true);
    cr_assert(put(fake, 1, 0));
    cr_assert_eq(in(fake, STATUS), 0x22);
    cr_assert_eq(in(fake, STATUS), 0x20);
}

/* DS "Command Register" bit 2. */
Test(i8237, a_disabled_controller_gives_no_service)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, SINGLE | WRITE, 0x1000, 10);
    out(fake, COMMAND, 0x04);
    dreq(fake, 1, true);
    cr_assert_not(devemu_fake_line(fake, HRQ));
    cr_assert_not(put(fake, 1, 0));
    out(fake, COMMAND, 0x00);
    cr_assert(put(fake, 1, 0));
}

/* DS "Command Register" bit 6. */
Test(i8237, dreq_may_be_active_low)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, SINGLE | WRITE, 0x1000, 10);
    dreq(fake, 1, true);
    out(fake, COMMAND, 0x40);
    cr_assert_not(devemu_fake_line(fake, HRQ));
    dreq(fake, 1, false);
    cr_assert(granted(fake, 1));
}

/* AT: page registers 80h-87h; those of no channel are storage. */
Test(i8237, page_registers_read_back)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    for (unsigned i = 0; i < 8; i++) {
        devemu_fake_write(fake, PAGE, i, 1, 0x10 + i);
    }
    for (unsigned i = 0; i < 8; i++) {
        cr_expect_eq(devemu_fake_read(fake, PAGE, i, 1), 0x10 + i);
    }
}

/* --- transfers --------------------------------------------------------------------- */

/* DS "Transfer Types": write is to memory. */
Test(i8237, a_write_transfer_moves_bytes_to_memory)
{
    static const uint8_t data[] = {0x11, 0x22, 0x33};
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 2, SINGLE | WRITE, 0x21234, 2);
    dreq(fake, 2, true);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(granted(fake, 2));
        cr_assert(put(fake, 2, data[i]));
    }
    cr_assert_arr_eq(devemu_fake_ram(fake) + 0x21234, data, 3);
    cr_assert_eq(in16(fake, 4), 0x1237);
    cr_assert_eq(in16(fake, 5), 0xffff);
}

Test(i8237, a_read_transfer_moves_bytes_from_memory)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);
    uint8_t value;

    devemu_fake_ram(fake)[0x30000] = 0x5a;
    devemu_fake_ram(fake)[0x2ffff] = 0xa5;
    setup(fake, 1, SINGLE | READ | DECREMENT, 0x30000, 9);
    dreq(fake, 1, true);
    cr_assert(take(fake, 1, &value));
    cr_assert_eq(value, 0x5a);
    cr_assert_eq(in16(fake, 2), 0xffff); /* DS: decrement; the page does not follow */
    cr_assert_eq(in16(fake, 3), 8);
    cr_assert(take(fake, 1, &value));
    cr_assert_eq(value, devemu_fake_ram(fake)[0x3ffff]);
}

/* DS "Transfer Types": verify counts, but drives neither memory nor device. */
Test(i8237, a_verify_transfer_only_counts)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);
    uint8_t value;

    devemu_fake_ram(fake)[0x1000] = 0x77;
    setup(fake, 1, SINGLE | VERIFY, 0x1000, 1);
    dreq(fake, 1, true);
    cr_assert(put(fake, 1, 0x12));
    cr_assert(take(fake, 1, &value));
    cr_assert_eq(value, 0xff);
    cr_assert_eq(devemu_fake_ram(fake)[0x1000], 0x77);
    cr_assert_eq(devemu_fake_dma_bytes(fake), 0);
    cr_assert_eq(in(fake, STATUS) & 0x0f, 0x02);
}

Test(i8237, the_wrong_direction_gets_no_strobe)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);
    uint8_t value;

    setup(fake, 1, SINGLE | WRITE, 0x1000, 1);
    dreq(fake, 1, true);
    cr_assert_not(take(fake, 1, &value));
    setup(fake, 1, SINGLE | READ, 0x1000, 1);
    cr_assert_not(put(fake, 1, 0));
    cr_assert_eq(in16(fake, 3), 1);
}

Test(i8237, a_cycle_needs_dack)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, SINGLE | WRITE, 0x1000, 1);
    cr_assert_not(put(fake, 1, 0)); /* no request */
    dreq(fake, 1, true);
    cr_assert_not(put(fake, 0, 0)); /* another channel */
    cr_assert_not(put(fake, 5, 0)); /* no channel */
    devemu_fake_write(fake, DACK, 1, 2, 0);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE); /* not eight bits */
    cr_assert_eq(in16(fake, 3), 1);
    cr_assert(put(fake, 1, 0));
}

/* Memory that is not there: ones are read, and the transfer goes on. */
Test(i8237, a_bus_without_memory_gives_ones)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);
    uint8_t value;

    setup(fake, 1, SINGLE | READ, 0xff0000, 1);
    dreq(fake, 1, true);
    cr_assert(take(fake, 1, &value));
    cr_assert_eq(value, 0xff);
    cr_assert_eq(in16(fake, 3), 0);
}

/* DS "Current Word Register", "Mask Register": FFFFh is terminal count; the channel is masked. */
Test(i8237, terminal_count_masks_the_channel)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, SINGLE | WRITE, 0x1000, 1);
    dreq(fake, 1, true);
    put(fake, 1, 0);
    cr_assert_not(devemu_fake_line(fake, EOP));
    put(fake, 1, 0);
    cr_assert(devemu_fake_line(fake, EOP));
    cr_assert_not(granted(fake, 1));
    cr_assert_not(put(fake, 1, 0));
    out(fake, MASK_BIT, 1);
    cr_assert(granted(fake, 1));
    dreq(fake, 1, false);
    cr_assert_not(devemu_fake_line(fake, EOP));
}

/* DS "Autoinitialize": base registers are restored, the mask stays clear. */
Test(i8237, autoinitialize_begins_anew)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, SINGLE | WRITE | AUTOINIT, 0x1000, 1);
    dreq(fake, 1, true);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert(put(fake, 1, (uint8_t)i));
        cr_assert_eq(devemu_fake_line(fake, EOP), i & 1);
    }
    cr_assert_eq(devemu_fake_ram(fake)[0x1000], 4);
    cr_assert_eq(devemu_fake_ram(fake)[0x1001], 3);
    cr_assert_eq(in16(fake, 2), 0x1001);
    cr_assert_eq(in16(fake, 3), 0);
}

/* DS "Active Cycle", single transfer mode: the bus is given back after each. */
Test(i8237, in_single_mode_another_channel_comes_between)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 0, SINGLE | WRITE, 0x1000, 9);
    setup(fake, 3, SINGLE | WRITE, 0x2000, 9);
    dreq(fake, 3, true);
    cr_assert(granted(fake, 3));
    dreq(fake, 0, true);
    cr_assert(granted(fake, 3));
    cr_assert(put(fake, 3, 0));
    cr_assert(granted(fake, 0));
    cr_assert_not(granted(fake, 3));
}

/* DS "Active Cycle", demand transfer mode: until DREQ falls. */
Test(i8237, in_demand_mode_the_channel_has_the_bus_while_it_asks)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 0, SINGLE | WRITE, 0x1000, 9);
    setup(fake, 3, DEMAND | WRITE, 0x2000, 9);
    dreq(fake, 3, true);
    put(fake, 3, 0);
    dreq(fake, 0, true);
    put(fake, 3, 0);
    cr_assert(granted(fake, 3));
    dreq(fake, 3, false);
    cr_assert(granted(fake, 0));
    cr_assert_eq(in16(fake, 7), 7);
}

/* DS "Active Cycle", block transfer mode: until terminal count; DREQ is held until DACK only. */
Test(i8237, in_block_mode_the_channel_has_the_bus_to_the_end)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 0, SINGLE | WRITE, 0x1000, 9);
    setup(fake, 3, BLOCK | WRITE, 0x2000, 2);
    dreq(fake, 3, true);
    dreq(fake, 3, false);
    dreq(fake, 0, true);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(granted(fake, 3));
        cr_assert(put(fake, 3, 0));
    }
    cr_assert_not(granted(fake, 3));
    cr_assert(granted(fake, 0));
}

/* DS "Request Register": not maskable, and reset by terminal count. */
Test(i8237, software_requests_a_block)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 2, BLOCK | WRITE, 0x1000, 1);
    out(fake, MASK_BIT, 4 | 2);
    out(fake, REQUEST, 4 | 2);
    cr_assert(granted(fake, 2));
    cr_assert_eq(in(fake, STATUS) & 0xf0, 0x40);
    put(fake, 2, 0);
    put(fake, 2, 0);
    cr_assert_not(devemu_fake_line(fake, HRQ));
    cr_assert_eq(in(fake, STATUS), 0x04);
}

/* DS "Priority": rotating. */
Test(i8237, rotating_priority_puts_the_last_one_served_behind)
{
    static const unsigned order[] = {0, 1, 3, 0, 1, 3};
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    out(fake, COMMAND, 0x10);
    for (unsigned ch = 0; ch < 4; ch++) {
        setup(fake, ch, SINGLE | WRITE, 0x1000, 9);
    }
    out(fake, MASK, 0x0f);
    dreq(fake, 0, true);
    dreq(fake, 1, true);
    dreq(fake, 3, true);
    out(fake, CLEAR_MASK, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        cr_assert(granted(fake, order[i]), "%u", i);
        cr_assert(put(fake, order[i], 0));
    }
}

/* DS "EOP#": from outside. */
Test(i8237, an_external_eop_ends_the_service)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    setup(fake, 1, BLOCK | WRITE | AUTOINIT, 0x1000, 9);
    dreq(fake, 1, true);
    dreq(fake, 1, false);
    put(fake, 1, 0);
    devemu_fake_set_input(fake, INPUT_EOP, true);
    cr_assert_not(granted(fake, 1));
    cr_assert_eq(in(fake, STATUS), 0x02);
    cr_assert_eq(in16(fake, 2), 0x1000);
    cr_assert_eq(in16(fake, 3), 9);
}

/* --- memory-to-memory -------------------------------------------------------------- */

static void memory_setup(DevemuFake *fake, uint8_t mode0, uint8_t mode1, unsigned count)
{
    for (unsigned i = 0; i < 0x400; i++) {
        devemu_fake_ram(fake)[0x1000 + i] = (uint8_t)(i * 7 + 1);
    }
    out(fake, MODE, BLOCK | READ | mode0 | 0);
    out(fake, MODE, BLOCK | WRITE | mode1 | 1);
    out16(fake, 0, 0x1000);
    out16(fake, 1, count);
    out16(fake, 2, 0x2000);
    out16(fake, 3, count);
    devemu_fake_write(fake, PAGE, 7, 1, 0);
    devemu_fake_write(fake, PAGE, 3, 1, 1);
}

/* DS "Memory-to-Memory": channel 0's software request; eight states a byte. */
Test(i8237, memory_goes_to_memory)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    memory_setup(fake, 0, 0, 299);
    out(fake, COMMAND, 0x01);
    out(fake, REQUEST, 4 | 0);
    cr_assert(devemu_fake_line(fake, HRQ));
    devemu_fake_advance(fake, 300 * 1600 - 1);
    cr_assert_not(devemu_fake_line(fake, EOP));
    devemu_fake_advance(fake, 1);

    cr_assert(devemu_fake_line(fake, EOP));
    cr_assert_not(devemu_fake_line(fake, HRQ));
    cr_assert_arr_eq(devemu_fake_ram(fake) + 0x12000, devemu_fake_ram(fake) + 0x1000, 300);
    cr_assert_eq(devemu_fake_ram(fake)[0x12000 + 300], 0);
    cr_assert_eq(in(fake, STATUS), 0x02);
    cr_assert_eq(in(fake, TEMPORARY), (uint8_t)(299 * 7 + 1));
    cr_assert_eq(in16(fake, 0), 0x1000 + 300);
    cr_assert_eq(in16(fake, 3), 0xffff);
}

/* DS "Command Register" bit 1: one byte fills a block. */
Test(i8237, channel_0_may_hold_its_address)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    memory_setup(fake, 0, DECREMENT, 15);
    out(fake, COMMAND, 0x03);
    out(fake, REQUEST, 4 | 0);
    cr_assert(devemu_fake_settle(fake, 1000000));
    for (unsigned i = 0; i < 16; i++) {
        cr_expect_eq(devemu_fake_ram(fake)[0x12000 - i], 1);
    }
    cr_assert_eq(in16(fake, 0), 0x1000);
}

/* 82C37A: both channels begin anew if their counts are equal. */
Test(i8237, memory_to_memory_can_autoinitialize)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    memory_setup(fake, AUTOINIT, AUTOINIT, 7);
    out(fake, COMMAND, 0x01);
    out(fake, REQUEST, 4 | 0);
    cr_assert(devemu_fake_settle(fake, 1000000));
    cr_assert_eq(in16(fake, 0), 0x1000);
    cr_assert_eq(in16(fake, 1), 7);
    cr_assert_eq(in16(fake, 2), 0x2000);
    cr_assert_eq(in16(fake, 3), 7);
}

/* While the bus is held no channel is served; a master clear ends it. */
Test(i8237, memory_to_memory_holds_the_bus)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);

    memory_setup(fake, 0, 0, 0xffff);
    setup(fake, 3, SINGLE | WRITE, 0x3000, 9);
    out(fake, COMMAND, 0x01);
    out(fake, REQUEST, 4 | 0);
    dreq(fake, 3, true);
    devemu_fake_advance(fake, 50000);
    cr_assert_not(granted(fake, 3));
    out(fake, MASTER_CLEAR, 0);
    cr_assert_not(devemu_fake_line(fake, HRQ));
    cr_assert_eq(devemu_device_deadline(devemu_fake_device(fake)), DEVEMU_NEVER);
}

Test(i8237, memory_to_memory_is_no_matter_of_sixteen_bits)
{
    g_autoptr(DevemuFake) fake = dma_new("width=16");

    memory_setup(fake, 0, 0, 9);
    out(fake, COMMAND, 0x01);
    out(fake, REQUEST, 4 | 0);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
    cr_assert_not(devemu_fake_line(fake, HRQ));
}

/* DMA into the controller's own registers: it is busy, and answers nothing. */
Test(i8237, it_does_not_answer_its_own_cycles)
{
    g_autoptr(DevemuFake) fake = dma_new(NULL);
    uint8_t value;

    setup(fake, 1, SINGLE | READ, 0x1000, 9);
    devemu_fake_own_dma(fake, 0x1000, 16, IO);
    dreq(fake, 1, true);
    cr_assert(take(fake, 1, &value));
    cr_assert_eq(value, 0xff);
}

/* --- the second controller of a PC ------------------------------------------------- */

/* AT: registers at every second port, addresses and counts of words, bit 0 of the page unused. */
Test(i8237, with_sixteen_bits_it_moves_words)
{
    g_autoptr(DevemuFake) fake = dma_new("width=16");

    devemu_fake_write(fake, IO16, 2 * MASK_BIT, 1, 4 | 1);
    devemu_fake_write(fake, IO16, 2 * MODE, 1, SINGLE | WRITE | 1);
    devemu_fake_write(fake, IO16, 2 * CLEAR_FLIP_FLOP, 1, 0);
    devemu_fake_write(fake, IO16, 2 * 2, 1, 0x00);
    devemu_fake_write(fake, IO16, 2 * 2, 1, 0x88); /* 0x31000 >> 1 */
    devemu_fake_write(fake, PAGE, 3, 1, 0x03);
    devemu_fake_write(fake, IO16, 2 * 3, 1, 0x01);
    devemu_fake_write(fake, IO16, 2 * 3, 1, 0x00);
    devemu_fake_write(fake, IO16, 2 * MASK_BIT + 1, 1, 1);
    dreq(fake, 1, true);
    devemu_fake_write(fake, DACK, 1, 2, 0x1234);
    devemu_fake_write(fake, DACK, 1, 2, 0x5678);

    cr_assert_eq(devemu_le32(devemu_fake_ram(fake) + 0x31000), 0x56781234);
    cr_assert_eq(devemu_fake_read(fake, IO16, 2 * STATUS, 1), 0x22);
    cr_assert_not(put(fake, 1, 0));
}

/* DS "Active Cycle", cascade mode: request and acknowledge only. */
Test(i8237, a_cascade_channel_makes_no_cycles)
{
    g_autoptr(DevemuFake) fake = dma_new("width=16");

    out(fake, MODE, CASCADE | 0);
    out(fake, MASK_BIT, 0);
    dreq(fake, 0, true);
    cr_assert(granted(fake, 0));
    devemu_fake_write(fake, DACK, 0, 2, 0x1234);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE);
    dreq(fake, 0, false);
    cr_assert_not(devemu_fake_line(fake, HRQ));
}

Test(i8237, a_cascaded_controller_waits_for_hlda)
{
    g_autoptr(DevemuFake) fake = dma_new("cascaded=on");

    setup(fake, 1, SINGLE | WRITE, 0x1000, 9);
    dreq(fake, 1, true);
    cr_assert(devemu_fake_line(fake, HRQ));
    cr_assert_not(granted(fake, 1));
    devemu_fake_set_input(fake, INPUT_HLDA, true);
    cr_assert(granted(fake, 1));
}

static void pair_out(DevemuDevice *dev, unsigned reg, unsigned value)
{
    cr_assert_eq(devemu_device_write(dev, IO, reg, 1, value), DEVEMU_ACCESS_OK);
}

static bool ram_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    uint8_t *ram = host;

    if (addr + len > 0x10000) {
        return false;
    }
    memcpy(ram + addr, buf, len);
    return true;
}

/* The PC's pair: the floppy's channel 2 gets the bus through channel 4. */
Test(i8237, in_a_pair_the_first_one_is_granted_through_the_second)
{
    static uint8_t ram[0x10000];
    const DevemuHostOps ops = {.size = sizeof(ops), .dma_write = ram_write};
    g_autoptr(DevemuDevice) second = devemu_device_new(&devemu_model_i8237, "width=16", NULL);
    g_autoptr(DevemuDevice) first = devemu_device_new(&devemu_model_i8237, "cascaded=on", NULL);

    devemu_device_set_host(first, &ops, ram);
    cr_assert(devemu_device_wire(first, HRQ, second, 0, NULL));
    cr_assert(devemu_device_wire(second, DACK0, first, INPUT_HLDA, NULL));
    pair_out(second, MODE, CASCADE | 0);
    pair_out(first, MODE, SINGLE | WRITE | 2);
    pair_out(first, 5, 0x01);
    pair_out(first, 5, 0x00);
    pair_out(first, MASK_BIT, 2);
    devemu_device_line(first, 2, true);
    cr_assert_eq(devemu_device_lines(first) >> DACK0 & 15, 0); /* channel 4 is masked */

    pair_out(second, MASK_BIT, 0);
    cr_assert_eq(devemu_device_lines(first) >> DACK0 & 15, 1 << 2);
    cr_assert_eq(devemu_device_write(first, DACK, 2, 1, 0x42), DEVEMU_ACCESS_OK);
    cr_assert_eq(ram[0], 0x42);
    devemu_device_line(first, 2, false);
    cr_assert_eq(devemu_device_lines(second), 0);
}
