/* SPDX-License-Identifier: BSD-3-Clause */
/* National PC16550D, against its datasheet TL/C/8652 ("DS"), with the probes of Linux 8250. */
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_ns16550a;

enum {
    RBR = 0,
    THR = 0,
    DLL = 0,
    IER = 1,
    DLM = 1,
    IIR = 2,
    FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7,
};

enum {
    INTR,
    OUT1,
    OUT2,
};

enum {
    CTS = 1,
    DSR = 2,
    RI = 4,
    DCD = 8,
    BREAK = 16,
};

/* 115200 baud, eight bits, no parity: ten bits of 8680.5 ns. */
#define CHAR_NS 86805

static uint8_t in(DevemuFake *fake, unsigned reg)
{
    return (uint8_t)devemu_fake_read(fake, 0, reg, 1);
}

static void out(DevemuFake *fake, unsigned reg, uint8_t value)
{
    devemu_fake_write(fake, 0, reg, 1, value);
}

/* 8N1 at the divisor, OUT2 on. */
static DevemuFake *open_at(const char *options, unsigned divisor)
{
    DevemuFake *fake = devemu_fake_new(&devemu_model_ns16550a, options, 0);

    out(fake, LCR, 0x83);
    out(fake, DLL, (uint8_t)divisor);
    out(fake, DLM, (uint8_t)(divisor >> 8));
    out(fake, LCR, 0x03);
    out(fake, MCR, 0x0b);
    return fake;
}

static DevemuFake *quick(void)
{
    return open_at(NULL, 1);
}

static DevemuFake *timed(void)
{
    return open_at("latency=datasheet", 1);
}

static void set_modem(DevemuFake *fake, unsigned modem)
{
    devemu_device_link(devemu_fake_device(fake), modem);
}

Test(ns16550a, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_ns16550a, NULL), 0);
    cr_assert_eq(devemu_conformance(&devemu_model_ns16550a, "latency=datasheet"), 0);
}

/* DS Table III. */
Test(ns16550a, registers_after_master_reset)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, IER, 0x0f);
    out(fake, FCR, 0xc1);
    out(fake, SCR, 0x5a);
    devemu_device_reset(devemu_fake_device(fake), DEVEMU_RESET_HARD);

    cr_assert_eq(in(fake, IER), 0);
    cr_assert_eq(in(fake, IIR), 1);
    cr_assert_eq(in(fake, LCR), 0);
    cr_assert_eq(in(fake, MCR), 0);
    cr_assert_eq(in(fake, LSR), 0x60);
    cr_assert_eq(in(fake, MSR) & 0x0f, 0);
    cr_assert_eq(in(fake, SCR), 0x5a);
}

/* DS 8.1 bit 7: DLAB banks registers 0 and 1. */
Test(ns16550a, dlab_shows_the_divisor)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, IER, 0x05);
    out(fake, LCR, 0x83);
    out(fake, DLL, 0x34);
    out(fake, DLM, 0x12);
    cr_assert_eq(in(fake, DLL), 0x34);
    cr_assert_eq(in(fake, DLM), 0x12);
    out(fake, LCR, 0x03);
    cr_assert_eq(in(fake, IER), 0x05);
    cr_assert_str_empty(devemu_fake_output(fake));
}

/* Linux autoconfig(): IER holds four bits, SCR all, FCR bit 0 shows C0h in IIR. */
Test(ns16550a, linux_takes_it_for_a_16550a)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, IER, 0x0f);
    cr_assert_eq(in(fake, IER), 0x0f);
    out(fake, IER, 0xff);
    cr_assert_eq(in(fake, IER), 0x0f);
    out(fake, IER, 0x00);
    out(fake, FCR, 0x01);
    cr_assert_eq(in(fake, IIR) & 0xc0, 0xc0);
    out(fake, FCR, 0x00);
    cr_assert_eq(in(fake, IIR) & 0xc0, 0x00);
    out(fake, SCR, 0xa5);
    cr_assert_eq(in(fake, SCR), 0xa5);
}

Test(ns16550a, characters_go_out_at_once_without_latency)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, THR, 'o');
    out(fake, THR, 'k');

    cr_assert_str_eq(devemu_fake_output(fake), "ok");
    cr_assert_eq(in(fake, LSR), 0x60);
}

/* DS 8.1: with seven bits the eighth is not sent. */
Test(ns16550a, word_length_cuts_characters)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, LCR, 0x02);
    out(fake, THR, 0xc1);
    devemu_fake_receive(fake, "\xe2", 1);

    cr_assert_str_eq(devemu_fake_output(fake), "A");
    cr_assert_eq(in(fake, RBR), 0x62);
}

/* DS 8.3, 8.4: divisor and word length give the time; THRE comes when the character moves on, TEMT
 * when it is out. */
Test(ns16550a, a_character_takes_its_time)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, THR, 'a');
    cr_assert_eq(in(fake, LSR), 0x20);
    out(fake, THR, 'b');
    cr_assert_eq(in(fake, LSR), 0x00);
    devemu_fake_advance(fake, CHAR_NS - 1);
    cr_assert_str_empty(devemu_fake_output(fake));
    devemu_fake_advance(fake, 1);
    cr_assert_str_eq(devemu_fake_output(fake), "a");
    cr_assert_eq(in(fake, LSR), 0x20);
    devemu_fake_advance(fake, CHAR_NS);
    cr_assert_str_eq(devemu_fake_output(fake), "ab");
    cr_assert_eq(in(fake, LSR), 0x60);
}

/* DS 8.1: 5 bits, parity, 1.5 stop bits are 8.5 bits; 300 baud is divisor 384. */
Test(ns16550a, odd_formats_have_their_own_time)
{
    g_autoptr(DevemuFake) fake = open_at("latency=datasheet", 384);

    out(fake, LCR, 0x0c);
    out(fake, THR, 0x1f);
    devemu_fake_advance(fake, 28333332);
    cr_assert_eq(devemu_fake_sent_count(fake), 0);
    devemu_fake_advance(fake, 2);
    cr_assert_eq(devemu_fake_sent_count(fake), 1);
}

/* DS 8.3: divisors begin at 1; chosen: 0 makes no clock, and what waits goes on with the next one.
 */
Test(ns16550a, divisor_0_stops_the_transmitter)
{
    g_autoptr(DevemuFake) fake = open_at("latency=datasheet", 0);

    out(fake, THR, 'x');
    devemu_fake_advance(fake, 10 * CHAR_NS);
    cr_assert_eq(in(fake, LSR), 0x00);
    out(fake, LCR, 0x83);
    out(fake, DLL, 1);
    out(fake, LCR, 0x03);
    devemu_fake_advance(fake, CHAR_NS);
    cr_assert_str_eq(devemu_fake_output(fake), "x");
}

/* A late timer keeps step: after a long silence all of the FIFO is out. */
Test(ns16550a, sixteen_characters_drain_in_order)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, FCR, 0x01);
    for (unsigned i = 0; i < 16; i++) {
        out(fake, THR, (uint8_t)('A' + i));
    }
    devemu_fake_advance(fake, 15 * CHAR_NS);
    cr_assert_str_eq(devemu_fake_output(fake), "ABCDEFGHIJKLMNO");
    devemu_fake_advance(fake, CHAR_NS);
    cr_assert_str_eq(devemu_fake_output(fake), "ABCDEFGHIJKLMNOP");
}

/* One character is in the shift register, sixteen in the FIFO; the next has no place. */
Test(ns16550a, a_full_transmit_fifo_loses)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, FCR, 0x01);
    for (unsigned i = 0; i < 18; i++) {
        out(fake, THR, (uint8_t)('A' + i));
    }
    devemu_fake_advance(fake, 20 * CHAR_NS);

    cr_assert_str_eq(devemu_fake_output(fake), "ABCDEFGHIJKLMNOPQ");
    cr_assert_eq(devemu_fake_guest_errors(fake), 1);
}

/* --- interrupts -------------------------------------------------------------------- */

/* DS 8.6: reading IIR serves THRE if it is shown; writing THR does, too. */
Test(ns16550a, reading_iir_serves_thre)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, IER, 0x02);
    cr_assert(devemu_fake_line(fake, INTR));
    cr_assert_eq(in(fake, IIR), 0x02);
    cr_assert_not(devemu_fake_line(fake, INTR));
    cr_assert_eq(in(fake, IIR), 0x01);
    out(fake, THR, 'a');
    cr_assert(devemu_fake_line(fake, INTR)); /* it moved on to the shift register */
    out(fake, THR, 'b');
    cr_assert_not(devemu_fake_line(fake, INTR));
    devemu_fake_advance(fake, CHAR_NS);
    cr_assert(devemu_fake_line(fake, INTR));
}

/* Linux serial8250_do_startup(): a UART that does not do this gets UART_BUG_THRE. */
Test(ns16550a, enabling_thre_again_asserts_it_again)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, IER, 0x02);
    cr_assert_eq(in(fake, IIR), 0x02);
    out(fake, IER, 0x00);
    out(fake, IER, 0x02);
    cr_assert_eq(in(fake, IIR), 0x02);
}

/* DS 8.11 B: one character without company delays THRE by its time less the stop bit; two together
 * end that. */
Test(ns16550a, thre_of_a_lone_character_is_delayed_in_fifo_mode)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, FCR, 0x01);
    out(fake, THR, 'a'); /* DS: the first one after changing FCR0 is immediate */
    cr_assert_eq(in(fake, LSR), 0x20);
    devemu_fake_advance(fake, CHAR_NS);
    out(fake, THR, 'b');
    cr_assert_eq(in(fake, LSR), 0x00);
    devemu_fake_advance(fake, CHAR_NS * 9 / 10 - 1);
    cr_assert_eq(in(fake, LSR), 0x00);
    devemu_fake_advance(fake, 2);
    cr_assert_eq(in(fake, LSR), 0x20);
}

/* DS Table IV: line status, received data, time-out, THRE, modem status. */
Test(ns16550a, interrupts_have_priorities)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, IER, 0x0f);
    set_modem(fake, CTS);
    devemu_fake_receive(fake, "x", 1);
    set_modem(fake, CTS | BREAK); /* overruns the only place */

    cr_assert_eq(in(fake, IIR), 0x06);
    cr_assert_eq(in(fake, LSR), 0x7b);
    cr_assert_eq(in(fake, IIR), 0x04);
    cr_assert_eq(in(fake, RBR), 0x00);
    cr_assert_eq(in(fake, IIR), 0x02);
    cr_assert_eq(in(fake, IIR), 0x00);
    cr_assert_eq(in(fake, MSR), 0x11);
    cr_assert_eq(in(fake, IIR), 0x01);
    cr_assert_not(devemu_fake_line(fake, INTR));
}

/* A PC gates INTR with OUT2. */
Test(ns16550a, out2_gates_the_interrupt)
{
    g_autoptr(DevemuFake) fake = quick();
    g_autoptr(DevemuFake) open = open_at("out2-gate=off", 1);

    out(fake, IER, 0x01);
    devemu_fake_receive(fake, "x", 1);
    cr_assert(devemu_fake_line(fake, INTR));
    cr_assert(devemu_fake_line(fake, OUT2));
    out(fake, MCR, 0x03);
    cr_assert_not(devemu_fake_line(fake, INTR));
    out(open, MCR, 0x00);
    out(open, IER, 0x01);
    devemu_fake_receive(open, "x", 1);
    cr_assert(devemu_fake_line(open, INTR));
}

/* --- receiver ---------------------------------------------------------------------- */

/* DS 8.5 bits 6, 7: the interrupt comes with the trigger level and goes below it. */
Test(ns16550a, trigger_level)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, FCR, 0x81);
    out(fake, IER, 0x01);
    cr_assert_eq(devemu_fake_receive(fake, "01234567", 8), 8);
    devemu_fake_advance(fake, 7 * CHAR_NS);
    cr_assert_not(devemu_fake_line(fake, INTR));
    devemu_fake_advance(fake, CHAR_NS);
    cr_assert_eq(in(fake, IIR), 0xc4);
    cr_assert_eq(in(fake, RBR), '0');
    cr_assert_eq(in(fake, IIR), 0xc1);
}

/* DS 8.11: four characters' time after the last character or read, and a read clears it. */
Test(ns16550a, character_timeout)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, FCR, 0xc1);
    out(fake, IER, 0x01);
    devemu_fake_receive(fake, "ab", 2);
    devemu_fake_advance(fake, 2 * CHAR_NS + 4 * CHAR_NS - 1);
    cr_assert_eq(in(fake, IIR), 0xc1);
    devemu_fake_advance(fake, 1);
    cr_assert(devemu_fake_line(fake, INTR));
    cr_assert_eq(in(fake, IIR), 0xcc);
    cr_assert_eq(in(fake, RBR), 'a');
    cr_assert_eq(in(fake, IIR), 0xc1);
    devemu_fake_advance(fake, 4 * CHAR_NS);
    cr_assert_eq(in(fake, IIR), 0xcc);
    cr_assert_eq(in(fake, RBR), 'b');
    devemu_fake_advance(fake, 10 * CHAR_NS);
    cr_assert_eq(in(fake, IIR), 0xc1);
}

Test(ns16550a, without_latency_a_timeout_comes_at_once)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, FCR, 0xc1);
    out(fake, IER, 0x01);
    devemu_fake_receive(fake, "a", 1);

    cr_assert_eq(in(fake, IIR), 0xcc);
}

/* The backend is asked to wait, and hears when there is room. */
Test(ns16550a, a_full_receiver_holds_the_backend_back)
{
    g_autoptr(DevemuFake) fake = quick();

    cr_assert_eq(devemu_device_ready(devemu_fake_device(fake)), 1);
    cr_assert_eq(devemu_fake_receive(fake, "ab", 2), 1);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(fake)), 0);
    out(fake, FCR, 0x01);
    cr_assert_eq(devemu_device_ready(devemu_fake_device(fake)), 16);
    cr_assert_eq(devemu_fake_receive(fake, "0123456789abcdefgh", 18), 16);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(in(fake, RBR), "0123456789abcdef"[i]);
    }
    cr_assert_eq(in(fake, LSR), 0x60);
}

Test(ns16550a, room_is_told_after_a_refusal)
{
    g_autoptr(DevemuFake) fake =
        devemu_fake_new_mode(&devemu_model_ns16550a, NULL, 0, DEVEMU_FAKE_PLAIN);
    unsigned before;

    out(fake, LCR, 0x03);
    devemu_fake_receive(fake, "ab", 2);
    before = devemu_fake_readies(fake);
    cr_assert_eq(in(fake, RBR), 'a');

    cr_assert_eq(devemu_fake_readies(fake), before + 1);
}

/* DS 8.4 bit 1: without FIFO the new character replaces the old one, with FIFO it is lost. */
Test(ns16550a, overrun)
{
    g_autoptr(DevemuFake) fake = open_at("overrun=on", 1);

    cr_assert_eq(devemu_fake_receive(fake, "ab", 2), 2);
    cr_assert_eq(in(fake, LSR), 0x63);
    cr_assert_eq(in(fake, LSR), 0x61);
    cr_assert_eq(in(fake, RBR), 'b');
    out(fake, FCR, 0x01);
    cr_assert_eq(devemu_fake_receive(fake, "0123456789abcdefg", 17), 17);
    cr_assert_eq(in(fake, LSR), 0x63);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(in(fake, RBR), "0123456789abcdef"[i]);
    }
    cr_assert_eq(in(fake, LSR), 0x60);
}

/* DS 8.4: the errors of a character are shown when it is on top; bit 7 tells of any in the FIFO. */
Test(ns16550a, a_break_waits_for_its_turn_in_the_fifo)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, FCR, 0x01);
    devemu_fake_receive(fake, "a", 1);
    set_modem(fake, BREAK);
    set_modem(fake, 0);

    cr_assert_eq(in(fake, LSR), 0xe1);
    cr_assert_eq(in(fake, RBR), 'a');
    cr_assert_eq(in(fake, LSR), 0xf9);
    cr_assert_eq(in(fake, LSR), 0x61);
    cr_assert_eq(in(fake, RBR), 0);
    cr_assert_eq(in(fake, LSR), 0x60);
}

/* DS 8.5: bits 1 and 2 clear the FIFOs, so does changing bit 0; without bit 0 nothing is
 * programmed. */
Test(ns16550a, fifo_resets)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, FCR, 0x01);
    devemu_fake_receive(fake, "ab", 2);
    devemu_fake_advance(fake, 2 * CHAR_NS);
    out(fake, FCR, 0x03);
    cr_assert_eq(in(fake, LSR), 0x60);
    out(fake, THR, 'x');
    out(fake, THR, 'y');
    out(fake, FCR, 0x05);
    devemu_fake_advance(fake, 5 * CHAR_NS);
    cr_assert_str_eq(devemu_fake_output(fake), "x");
    devemu_fake_receive(fake, "ab", 2);
    devemu_fake_advance(fake, 2 * CHAR_NS);
    out(fake, FCR, 0x00);
    cr_assert_eq(in(fake, LSR), 0x60);
    out(fake, FCR, 0xc0);
    out(fake, FCR, 0x01);
    out(fake, IER, 0x01);
    devemu_fake_receive(fake, "a", 1);
    devemu_fake_advance(fake, CHAR_NS);
    cr_assert_eq(in(fake, IIR), 0xc4);
}

/* Characters on the way when the FIFO is switched off are held, not lost. */
Test(ns16550a, what_is_on_the_wire_waits_for_room)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, FCR, 0x01);
    cr_assert_eq(devemu_fake_receive(fake, "abc", 3), 3);
    out(fake, FCR, 0x00);
    devemu_fake_advance(fake, 10 * CHAR_NS);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(in(fake, LSR), 0x61);
        cr_assert_eq(in(fake, RBR), "abc"[i]);
        devemu_fake_advance(fake, CHAR_NS);
    }
    cr_assert_eq(in(fake, LSR), 0x60);
}

/* --- modem ------------------------------------------------------------------------- */

/* DS 8.9: bits 0 to 3 tell changes and are cleared by reading; RI counts when it goes. */
Test(ns16550a, modem_status_tells_changes)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, IER, 0x08);
    cr_assert_eq(in(fake, MSR), 0x00);
    set_modem(fake, CTS | DSR | RI | DCD);
    cr_assert(devemu_fake_line(fake, INTR));
    cr_assert_eq(in(fake, MSR), 0xfb);
    cr_assert_eq(in(fake, MSR), 0xf0);
    cr_assert_not(devemu_fake_line(fake, INTR));
    set_modem(fake, CTS | DSR | DCD);
    cr_assert_eq(in(fake, MSR), 0xb4);
}

/* DS 8.8 bit 4; Linux autoconfig() writes LOOP, OUT2 and RTS and expects 90h. */
Test(ns16550a, loopback_turns_modem_outputs_to_inputs)
{
    g_autoptr(DevemuFake) fake = quick();

    out(fake, MCR, 0x1a);
    cr_assert_eq(in(fake, MSR) & 0xf0, 0x90);
    out(fake, MCR, 0x15);
    cr_assert_eq(in(fake, MSR) & 0xf0, 0x60);
    out(fake, MCR, 0x10);
    cr_assert_eq(in(fake, MSR) & 0x0f, 0x06);
    cr_assert_not(devemu_fake_line(fake, OUT2));
}

/* DS 8.8 bit 4: what is sent is received, and nothing from outside. */
Test(ns16550a, loopback_hears_itself_only)
{
    g_autoptr(DevemuFake) fake = timed();

    out(fake, MCR, 0x1b);
    out(fake, THR, 'q');
    devemu_fake_receive(fake, "z", 1);
    devemu_fake_advance(fake, 2 * CHAR_NS);

    cr_assert_str_empty(devemu_fake_output(fake));
    cr_assert_eq(in(fake, LSR), 0x61);
    cr_assert_eq(in(fake, RBR), 'q');
    cr_assert_eq(in(fake, LSR), 0x60);
}

static void keep_lines(void *chr, unsigned lines)
{
    *(unsigned *)chr = lines;
}

/* DS 8.1 bit 6, 8.8: modem outputs and break reach the backend; in loopback they are inactive. */
Test(ns16550a, the_backend_hears_of_the_modem_outputs)
{
    const DevemuCharOps ops = {.size = sizeof(ops), .control = keep_lines};
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_ns16550a, NULL, NULL);
    unsigned lines = 99;

    devemu_device_attach_char(dev, &ops, &lines);
    devemu_device_write(dev, 0, MCR, 1, 0x03);
    cr_assert_eq(lines, DEVEMU_CHAR_DTR | DEVEMU_CHAR_RTS);
    devemu_device_write(dev, 0, LCR, 1, 0x43);
    cr_assert_eq(lines, DEVEMU_CHAR_DTR | DEVEMU_CHAR_RTS | DEVEMU_CHAR_BREAK);
    devemu_device_write(dev, 0, MCR, 1, 0x13);
    cr_assert_eq(lines, 0);
    devemu_device_write(dev, 0, MCR, 1, 0x01);
    devemu_device_reset(dev, DEVEMU_RESET_HARD);
    cr_assert_eq(lines, 0);
}
