/* SPDX-License-Identifier: BSD-3-Clause */
/* Intel 8259A, against its datasheet 231468 ("DS"), with the sequences of PC firmware and Linux. */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_i8259;

enum {
    IO,
    ELCR,
    INTA,
};

enum {
    VECTOR = 0x20,
    EOI = 0x20,
    READ_IRR = 0x0a,
    READ_ISR = 0x0b,
    POLL = 0x0c,
    SMM_ON = 0x68,
    SMM_OFF = 0x48,
};

static uint8_t in(DevemuFake *fake, unsigned port)
{
    return (uint8_t)devemu_fake_read(fake, IO, port, 1);
}

static void out(DevemuFake *fake, unsigned port, uint8_t value)
{
    devemu_fake_write(fake, IO, port, 1, value);
}

static unsigned inta(DevemuFake *fake)
{
    return (unsigned)devemu_fake_read(fake, INTA, 0, 2);
}

static uint8_t irr(DevemuFake *fake)
{
    out(fake, 0, READ_IRR);
    return in(fake, 0);
}

static uint8_t isr(DevemuFake *fake)
{
    out(fake, 0, READ_ISR);
    return in(fake, 0);
}

static void line(DevemuFake *fake, unsigned level, bool high)
{
    devemu_fake_set_input(fake, level, high);
}

static bool interrupts(DevemuFake *fake)
{
    return devemu_fake_line(fake, 0);
}

/* One chip alone, 8086 mode, with more bits of ICW1 and ICW4. */
static DevemuFake *single(const char *options, uint8_t icw1, uint8_t icw4)
{
    DevemuFake *fake = devemu_fake_new(&devemu_model_i8259, options, 0);

    out(fake, 0, 0x13 | icw1);
    out(fake, 1, VECTOR);
    out(fake, 1, 0x01 | icw4);
    return fake;
}

/* A master with a slave on IR2. */
static DevemuFake *master(uint8_t icw4)
{
    DevemuFake *fake = devemu_fake_new(&devemu_model_i8259, NULL, 0);

    out(fake, 0, 0x11);
    out(fake, 1, VECTOR);
    out(fake, 1, 0x04);
    out(fake, 1, 0x01 | icw4);
    return fake;
}

Test(i8259, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_i8259, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_i8259, "slave=on,elcr-mask=0xde"), 0);
}

/* DS "Interrupt Sequence" 1-5. */
Test(i8259, an_acknowledge_gives_the_vector_and_puts_the_level_in_service)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 3, true);
    cr_assert(interrupts(fake));
    cr_assert_eq(irr(fake), 1 << 3);
    cr_assert_eq(inta(fake), VECTOR + 3);

    cr_assert_not(interrupts(fake));
    cr_assert_eq(irr(fake), 0);
    cr_assert_eq(isr(fake), 1 << 3);
}

/* DS "Initialization": ready after the command words. */
Test(i8259, no_request_is_taken_before_the_initialization_is_complete)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8259, NULL, 0);

    line(fake, 0, true);
    cr_assert_not(interrupts(fake));
    out(fake, 0, 0x13);
    line(fake, 1, true);
    out(fake, 1, VECTOR);
    cr_assert_not(interrupts(fake));

    out(fake, 1, 0x01);
    cr_assert(interrupts(fake));
    cr_assert_eq(inta(fake), VECTOR + 1);
}

/* DS "Initialization Command Words 1 and 2" a. */
Test(i8259, icw1_resets_the_edge_sense_circuit)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 4, true);
    out(fake, 0, 0x13);
    out(fake, 1, VECTOR);
    out(fake, 1, 0x01);
    cr_assert_not(interrupts(fake));

    line(fake, 4, false);
    line(fake, 4, true);
    cr_assert(interrupts(fake));
}

/* DS "Initialization Command Words 1 and 2" b-e. */
Test(i8259, icw1_clears_the_mask_and_the_modes_and_selects_irr)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    out(fake, 1, 0xff);
    out(fake, 0, 0xc2); /* lowest is 2 */
    out(fake, 0, SMM_ON);
    out(fake, 0, READ_ISR);
    out(fake, 0, 0x13);
    cr_assert_eq(in(fake, 1), 0x00);
    out(fake, 1, VECTOR);
    out(fake, 1, 0x01);
    line(fake, 0, true);
    line(fake, 3, true);

    cr_assert_eq(in(fake, 0), 0x09);
    cr_assert_eq(inta(fake), VECTOR + 0);
}

/* DS "Initialization Command Words 1 and 2" f, ICW1 bits IC4 and SNGL. */
Test(i8259, icw1_says_which_words_follow)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0x02); /* AEOI */

    out(fake, 0, 0x12); /* single, no ICW4: its functions are zero */
    out(fake, 1, VECTOR);
    out(fake, 1, 0xfe); /* the mask already */
    cr_assert_eq(in(fake, 1), 0xfe);
    line(fake, 0, true);
    inta(fake);
    cr_assert_eq(isr(fake), 0x01);

    out(fake, 0, 0x10); /* cascade, no ICW4 */
    out(fake, 1, VECTOR);
    out(fake, 1, 0x80);
    out(fake, 1, 0xfd);
    cr_assert_eq(in(fake, 1), 0xfd);
}

/* DS "Initialization Command Words 1 and 2": T7-T3 of the vector. */
Test(i8259, the_vector_has_five_bits_of_icw2)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    out(fake, 0, 0x13);
    out(fake, 1, 0x77);
    out(fake, 1, 0x01);
    line(fake, 2, true);
    cr_assert_eq(inta(fake), 0x72);
}

/* DS "Operation Control Word 1". */
Test(i8259, a_masked_request_shows_in_irr_but_does_not_interrupt)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    out(fake, 1, 1 << 5);
    line(fake, 5, true);
    cr_assert_not(interrupts(fake));
    cr_assert_eq(irr(fake), 1 << 5);

    out(fake, 1, 0);
    cr_assert(interrupts(fake));
}

/* DS "Fully Nested Mode". */
Test(i8259, only_a_higher_level_interrupts_one_in_service)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 4, true);
    cr_assert_eq(inta(fake), VECTOR + 4);
    line(fake, 6, true);
    cr_assert_not(interrupts(fake));
    line(fake, 1, true);
    cr_assert_eq(inta(fake), VECTOR + 1);

    out(fake, 0, EOI);
    cr_assert_not(interrupts(fake));
    out(fake, 0, EOI);
    cr_assert_eq(inta(fake), VECTOR + 6);
}

/* DS "End of Interrupt": non-specific. */
Test(i8259, a_non_specific_eoi_ends_the_highest_level_in_service)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 4, true);
    inta(fake);
    line(fake, 2, true);
    inta(fake);

    out(fake, 0, EOI);
    cr_assert_eq(isr(fake), 1 << 4);
}

/* DS "End of Interrupt": specific. */
Test(i8259, a_specific_eoi_ends_the_level_it_names)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 4, true);
    inta(fake);
    line(fake, 2, true);
    inta(fake);

    out(fake, 0, 0x60 | 4);
    cr_assert_eq(isr(fake), 1 << 2);
}

/* DS "Operation Control Word 2": R = 0, SL = 1, EOI = 0. */
Test(i8259, ocw2_with_sl_alone_does_nothing)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 0, true);
    inta(fake);
    out(fake, 0, 0x40);
    cr_assert_eq(isr(fake), 0x01);
}

/* DS "Automatic Rotation". */
Test(i8259, rotate_on_non_specific_eoi_makes_the_level_the_lowest)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 4, true);
    inta(fake);
    out(fake, 0, 0xa0);
    line(fake, 4, false);
    line(fake, 4, true);
    line(fake, 6, true);

    cr_assert_eq(inta(fake), VECTOR + 6);
    cr_assert_not(interrupts(fake));
    out(fake, 0, EOI);
    cr_assert_eq(inta(fake), VECTOR + 4);
}

/* DS "Specific Rotation": set priority, and rotate on specific EOI. */
Test(i8259, software_sets_the_lowest_priority)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    out(fake, 0, 0xc0 | 5);
    line(fake, 0, true);
    line(fake, 6, true);
    cr_assert_eq(inta(fake), VECTOR + 6);

    out(fake, 0, 0xe0 | 6);
    cr_assert_eq(isr(fake), 0);
    line(fake, 7, true);
    cr_assert_eq(inta(fake), VECTOR + 7);
}

/* DS "Automatic End of Interrupt Mode". */
Test(i8259, in_aeoi_mode_the_acknowledge_ends_the_service)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0x02);

    line(fake, 3, true);
    cr_assert_eq(inta(fake), VECTOR + 3);
    cr_assert_eq(isr(fake), 0);
    line(fake, 5, true);
    cr_assert(interrupts(fake));
}

/* DS "Automatic Rotation": in AEOI mode it is set by 100 and cleared by 000. */
Test(i8259, in_aeoi_mode_the_priorities_rotate_while_that_is_set)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0x02);

    out(fake, 0, 0x80);
    line(fake, 0, true);
    inta(fake);
    line(fake, 0, false);
    line(fake, 0, true);
    line(fake, 7, true);
    cr_assert_eq(inta(fake), VECTOR + 7);

    out(fake, 0, 0x00);
    cr_assert_eq(inta(fake), VECTOR + 0);
    line(fake, 0, false);
    line(fake, 0, true);
    line(fake, 7, false);
    line(fake, 7, true);
    cr_assert_eq(inta(fake), VECTOR + 0);
}

/* DS "Special Mask Mode". */
Test(i8259, special_mask_mode_lets_lower_levels_in)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 2, true);
    inta(fake);
    line(fake, 6, true);
    out(fake, 1, 1 << 2);
    cr_assert_not(interrupts(fake));
    out(fake, 0, SMM_ON);
    cr_assert_eq(inta(fake), VECTOR + 6);

    out(fake, 0, SMM_OFF);
    line(fake, 7, true);
    cr_assert_not(interrupts(fake));
}

/* DS "End of Interrupt": a masked level is not cleared by a non-specific EOI in that mode. */
Test(i8259, in_special_mask_mode_a_non_specific_eoi_spares_masked_levels)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 2, true);
    inta(fake);
    out(fake, 1, 1 << 2);
    out(fake, 0, SMM_ON);
    line(fake, 6, true);
    inta(fake);

    out(fake, 0, EOI);
    cr_assert_eq(isr(fake), 1 << 2);
    out(fake, 0, EOI);
    cr_assert_eq(isr(fake), 1 << 2);
    out(fake, 0, 0x60 | 2);
    cr_assert_eq(isr(fake), 0);
}

/* DS "Operation Control Word 3": SMM has no effect without ESMM. */
Test(i8259, smm_needs_esmm)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 2, true);
    inta(fake);
    line(fake, 6, true);
    out(fake, 1, 1 << 2);
    out(fake, 0, 0x28);
    cr_assert_not(interrupts(fake));
}

/* DS "Poll Command". */
Test(i8259, a_poll_reads_the_level_and_acknowledges_it)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 5, true);
    out(fake, 0, POLL);
    cr_assert_eq(in(fake, 0), 0x85);

    cr_assert_not(interrupts(fake));
    cr_assert_eq(in(fake, 0), 0x00); /* IRR again */
    cr_assert_eq(isr(fake), 1 << 5);
    out(fake, 0, POLL);
    cr_assert_eq(in(fake, 0) & 0x80, 0x00);
}

/* DS "Poll Command": frozen from the write to the read; the read may be at either address. */
Test(i8259, a_poll_is_frozen_from_the_write_to_the_read)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 5, true);
    out(fake, 0, POLL);
    line(fake, 1, true);
    cr_assert_eq(in(fake, 1), 0x85);
    cr_assert_eq(in(fake, 1), 0x00);
    cr_assert_eq(inta(fake), VECTOR + 1);
}

/* DS "Reading the 8259A Status": the poll overrides the status read. */
Test(i8259, a_poll_comes_before_a_status_read)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 3, true);
    out(fake, 0, POLL | READ_ISR);
    cr_assert_eq(in(fake, 0), 0x83);
    cr_assert_eq(in(fake, 0), 1 << 3);
}

/* DS "Reading the 8259A Status": the choice stays; A0 = 1 always reads the mask. */
Test(i8259, the_choice_of_the_status_register_stays)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    out(fake, 1, 0x80);
    line(fake, 1, true);
    line(fake, 7, true);
    inta(fake);
    out(fake, 0, READ_ISR);
    cr_assert_eq(in(fake, 0), 0x02);
    cr_assert_eq(in(fake, 0), 0x02);
    cr_assert_eq(in(fake, 1), 0x80);
    out(fake, 0, 0x08); /* RR = 0 */
    cr_assert_eq(in(fake, 0), 0x02);
    out(fake, 0, READ_IRR);
    cr_assert_eq(in(fake, 0), 0x80);
}

/* DS "Interrupt Sequence", "Edge and Level Triggered Modes": a default IR7. */
Test(i8259, a_request_that_goes_before_the_acknowledge_gives_ir7_and_no_service)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 2, true);
    line(fake, 2, false);
    cr_assert_not(interrupts(fake));
    cr_assert_eq(inta(fake), VECTOR + 7);
    cr_assert_eq(isr(fake), 0);

    line(fake, 7, true);
    cr_assert_eq(inta(fake), VECTOR + 7);
    cr_assert_eq(isr(fake), 0x80);
}

/* DS "Edge and Level Triggered Modes". */
Test(i8259, in_edge_mode_an_input_that_stays_high_asks_once)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    line(fake, 3, true);
    inta(fake);
    out(fake, 0, EOI);
    cr_assert_not(interrupts(fake));
    cr_assert_eq(irr(fake), 0);

    line(fake, 3, false);
    line(fake, 3, true);
    cr_assert(interrupts(fake));
}

/* DS "Edge and Level Triggered Modes": LTIM. */
Test(i8259, in_level_mode_an_input_that_stays_high_asks_again)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0x08, 0);

    line(fake, 3, true);
    inta(fake);
    cr_assert_not(interrupts(fake));
    out(fake, 0, EOI);
    cr_assert_eq(inta(fake), VECTOR + 3);

    line(fake, 3, false);
    out(fake, 0, EOI);
    cr_assert_not(interrupts(fake));
}

/* PIIX3, ELCR1 and ELCR2; ICW1.LTIM has no effect there. */
Test(i8259, elcr_makes_single_inputs_level_triggered)
{
    g_autoptr(DevemuFake) fake = single("elcr-mask=0xf8", 0x08, 0);

    devemu_fake_write(fake, ELCR, 0, 1, 0xff);
    cr_assert_eq(devemu_fake_read(fake, ELCR, 0, 1), 0xf8);
    devemu_fake_write(fake, ELCR, 0, 1, 0x20);
    line(fake, 3, true);
    line(fake, 5, true);
    inta(fake);
    out(fake, 0, EOI);
    inta(fake);
    out(fake, 0, EOI);

    cr_assert_eq(irr(fake), 0x20);
    cr_assert_eq(inta(fake), VECTOR + 5);
}

Test(i8259, without_elcr_nothing_answers_there)
{
    g_autoptr(DevemuFake) fake = single(NULL, 0, 0);

    devemu_fake_read(fake, ELCR, 0, 1);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_NONE);
}

/* The 8259A has no reset pin; ELCR is 00h after a reset (PIIX3). */
Test(i8259, a_hard_reset_clears_elcr_only)
{
    g_autoptr(DevemuFake) fake = single("elcr-mask=0xf8", 0, 0);

    out(fake, 1, 0x5a);
    devemu_fake_write(fake, ELCR, 0, 1, 0x08);
    line(fake, 0, true);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);

    cr_assert_eq(devemu_fake_read(fake, ELCR, 0, 1), 0x00);
    cr_assert_eq(in(fake, 1), 0x5a);
    cr_assert_eq(inta(fake), VECTOR + 0);
}

/* DS "Cascade Mode": the master gives the slave's number, not a vector. */
Test(i8259, a_master_gives_the_number_of_the_slave)
{
    g_autoptr(DevemuFake) fake = master(0);

    line(fake, 2, true);
    cr_assert_eq(inta(fake), 0x102);
    cr_assert_eq(isr(fake), 0x04);
    line(fake, 1, true);
    cr_assert_eq(inta(fake), VECTOR + 1);
}

/* DS "The Special Fully Nested Mode" a. */
Test(i8259, in_special_fully_nested_mode_a_slave_in_service_is_not_locked_out)
{
    g_autoptr(DevemuFake) fake = master(0x10);

    line(fake, 2, true);
    inta(fake);
    line(fake, 3, true);
    cr_assert_not(interrupts(fake)); /* a lower level is */
    line(fake, 2, false);
    line(fake, 2, true);
    cr_assert_eq(inta(fake), 0x102);
}

Test(i8259, in_fully_nested_mode_a_slave_in_service_is_locked_out)
{
    g_autoptr(DevemuFake) fake = master(0);

    line(fake, 2, true);
    inta(fake);
    line(fake, 2, false);
    line(fake, 2, true);
    cr_assert_not(interrupts(fake));
}

/* DS "ICW4": with BUF set M/S says if it is a master, whatever the pin says. */
Test(i8259, in_buffered_mode_ms_makes_a_slave)
{
    g_autoptr(DevemuFake) fake = master(0x08);

    line(fake, 2, true);
    cr_assert_eq(inta(fake), VECTOR + 2);
}

/* DS "ICW4": uPM = 0 is MCS-80/85 mode. */
Test(i8259, mcs80_mode_is_said_not_to_be_modelled)
{
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8259, NULL, 0);

    out(fake, 0, 0x13);
    out(fake, 1, VECTOR);
    out(fake, 1, 0x00);
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
}

/* Linux arch/x86/kernel/i8259.c, probe_8259A() and init_8259A(): a mask that reads back, then the
 * words. */
Test(i8259, linux_finds_and_initializes_it)
{
    static const DevemuStep steps[] = {
        {DEVEMU_STEP_WRITE, IO, 1, 1, 0xfb}, {DEVEMU_STEP_READ, IO, 1, 1, 0xfb},
        {DEVEMU_STEP_WRITE, IO, 1, 1, 0xff}, {DEVEMU_STEP_WRITE, IO, 1, 0, 0x11},
        {DEVEMU_STEP_WRITE, IO, 1, 1, 0x30}, {DEVEMU_STEP_WRITE, IO, 1, 1, 0x04},
        {DEVEMU_STEP_WRITE, IO, 1, 1, 0x01}, {DEVEMU_STEP_WRITE, IO, 1, 1, 0xfb},
        {DEVEMU_STEP_READ, IO, 1, 1, 0xfb},  {DEVEMU_STEP_WRITE, IO, 1, 0, READ_ISR},
        {DEVEMU_STEP_READ, IO, 1, 0, 0x00},  {DEVEMU_STEP_WRITE, IO, 1, 0, READ_IRR},
        {DEVEMU_STEP_READ, IO, 1, 0, 0x00},
    };
    g_autoptr(DevemuFake) fake = devemu_fake_new(&devemu_model_i8259, NULL, 0);

    cr_assert_eq(devemu_fake_script(fake, steps, G_N_ELEMENTS(steps)), -1);
}

/* --- the pair of a PC -------------------------------------------------------------- */

typedef struct Pair {
    DevemuDevice *chips[2];
} Pair;

static void pair_out(const Pair *pair, unsigned chip, unsigned port, uint8_t value)
{
    cr_assert_eq(devemu_device_write(pair->chips[chip], IO, port, 1, value), DEVEMU_ACCESS_OK);
}

static unsigned pair_in(const Pair *pair, unsigned chip, unsigned port)
{
    uint64_t value = 0;

    cr_assert_eq(devemu_device_read(pair->chips[chip], IO, port, 1, &value), DEVEMU_ACCESS_OK);
    return (unsigned)value;
}

/* As the board does it. */
static unsigned pair_inta(const Pair *pair)
{
    uint64_t value = 0;

    cr_assert_eq(devemu_device_read(pair->chips[0], INTA, 0, 2, &value), DEVEMU_ACCESS_OK);
    if (value & 0x100) {
        cr_assert_eq(value & 7, 2);
        cr_assert_eq(devemu_device_read(pair->chips[1], INTA, 0, 2, &value), DEVEMU_ACCESS_OK);
    }
    return (unsigned)value;
}

/* IBM PC AT BIOS, and SeaBIOS pic_setup(). */
static Pair pair_new(void)
{
    static const uint8_t words[2][4] = {{0x11, 0x08, 0x04, 0x01}, {0x11, 0x70, 0x02, 0x01}};
    Pair pair = {{devemu_device_new(&devemu_model_i8259, "elcr-mask=0xf8", NULL),
                  devemu_device_new(&devemu_model_i8259, "slave=on,elcr-mask=0xde", NULL)}};

    cr_assert(devemu_device_wire(pair.chips[1], 0, pair.chips[0], 2, NULL));
    for (unsigned chip = 0; chip < 2; chip++) {
        for (unsigned i = 0; i < 4; i++) {
            pair_out(&pair, chip, i ? 1 : 0, words[chip][i]);
        }
    }
    pair_out(&pair, 0, 1, 0x00);
    pair_out(&pair, 1, 1, 0x00);
    return pair;
}

static void pair_free(Pair *pair)
{
    devemu_device_free(pair->chips[1]);
    devemu_device_free(pair->chips[0]);
}

Test(i8259, in_a_pair_the_slave_supplies_its_vector)
{
    Pair pair = pair_new();

    devemu_device_line(pair.chips[1], 0, true); /* IRQ8 */
    cr_assert_eq(devemu_device_lines(pair.chips[0]), 1);
    cr_assert_eq(pair_inta(&pair), 0x70);
    cr_assert_eq(devemu_device_lines(pair.chips[0]), 0);
    pair_out(&pair, 1, 0, EOI);
    pair_out(&pair, 0, 0, EOI);
    devemu_device_line(pair.chips[0], 0, true); /* IRQ0 */
    cr_assert_eq(pair_inta(&pair), 0x08);

    pair_free(&pair);
}

/* The request goes between the master's and the slave's part: IRQ15, and only the master has a
 * level in service (Linux mask_and_ack_8259A(): spurious_8259A_irq). */
Test(i8259, in_a_pair_a_spurious_irq15_leaves_the_master_in_service)
{
    Pair pair = pair_new();
    uint64_t value = 0;

    devemu_device_line(pair.chips[1], 3, true);
    cr_assert_eq(devemu_device_read(pair.chips[0], INTA, 0, 2, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 0x102);
    devemu_device_line(pair.chips[1], 3, false);
    cr_assert_eq(devemu_device_read(pair.chips[1], INTA, 0, 2, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 0x77);
    pair_out(&pair, 1, 0, READ_ISR);
    pair_out(&pair, 0, 0, READ_ISR);
    cr_assert_eq(pair_in(&pair, 1, 0), 0x00);
    cr_assert_eq(pair_in(&pair, 0, 0), 0x04);

    pair_free(&pair);
}

/* Priorities of a PC: IRQ0, 1, 8-15, 3-7. */
Test(i8259, in_a_pair_the_slave_comes_between_irq1_and_irq3)
{
    Pair pair = pair_new();
    static const unsigned vectors[] = {0x09, 0x70, 0x77, 0x0b};

    devemu_device_line(pair.chips[0], 3, true);
    devemu_device_line(pair.chips[1], 7, true);
    devemu_device_line(pair.chips[1], 0, true);
    devemu_device_line(pair.chips[0], 1, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        cr_assert_eq(pair_inta(&pair), vectors[i]);
        if (vectors[i] >= 0x70) {
            pair_out(&pair, 1, 0, EOI);
        }
        pair_out(&pair, 0, 0, EOI);
    }
    cr_assert_eq(devemu_device_lines(pair.chips[0]), 0);

    pair_free(&pair);
}

/* A level triggered PCI interrupt at IRQ11 (ELCR2 bit 3) comes again until the device lets go. */
Test(i8259, in_a_pair_a_level_interrupt_comes_again)
{
    Pair pair = pair_new();

    cr_assert_eq(devemu_device_write(pair.chips[1], ELCR, 0, 1, 0x08), DEVEMU_ACCESS_OK);
    devemu_device_line(pair.chips[1], 3, true);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(pair_inta(&pair), 0x73);
        pair_out(&pair, 1, 0, EOI);
        pair_out(&pair, 0, 0, EOI);
        cr_assert_eq(devemu_device_lines(pair.chips[0]), 1);
    }
    devemu_device_line(pair.chips[1], 3, false);
    cr_assert_eq(devemu_device_lines(pair.chips[0]), 0);

    pair_free(&pair);
}
