/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns16550a-line.c: receiver and transmitter of the PC16550D, and their time. See ns16550a.c.
 */
#include "ns16550a.h"

/* --- the line: word length and baud rate (DS 8.1, 8.3) ----------------------------- */

static uint64_t divisor(const struct ns16550a *u)
{
    return (uint64_t)u->dlm << 8 | u->dll;
}

static uint8_t word_mask(const struct ns16550a *u)
{
    return (uint8_t)(0xff >> (3 - (u->lcr & LCR_WLS)));
}

/* DS 8.1 bit 2: one stop bit, or one and a half with 5-bit words, or two. */
static unsigned stop_half_bits(const struct ns16550a *u)
{
    if ((u->lcr & LCR_STB) == 0) {
        return 2;
    }
    return (u->lcr & LCR_WLS) == 0 ? 3 : 4;
}

static unsigned char_half_bits(const struct ns16550a *u)
{
    unsigned bits = 1 + 5 + (u->lcr & LCR_WLS) + (u->lcr & LCR_PEN ? 1 : 0);

    return bits * 2 + stop_half_bits(u);
}

static uint64_t half_bits_ns(const struct ns16550a *u, unsigned half_bits)
{
    return half_bits * (CLOCKS_PER_BIT / 2) * divisor(u) * NS_PER_S / u->clock_hz;
}

/* DS 8.3 gives divisors from 1 to 65535. With 0 no clock is made (chosen): nothing moves until the
 * divisor is set. Without latency the divisor does not matter. */
static bool clock_stopped(const struct ns16550a *u)
{
    return u->latency == LATENCY_DATASHEET && divisor(u) == 0;
}

static uint64_t char_ns(const struct ns16550a *u)
{
    return u->latency == LATENCY_DATASHEET ? half_bits_ns(u, char_half_bits(u)) : 0;
}

/* --- receiver (DS 8.4, 8.5, 8.11) -------------------------------------------------- */

static void timeout_start(struct ns16550a *u, uint64_t from_ns)
{
    u->timeout_ns = DEVEMU_NEVER;
    if (!ns16550a_fifos(u) || u->rx_count == 0 || clock_stopped(u)) {
        return;
    }
    if (u->latency == LATENCY_INSTANT) {
        u->timeout = 1;
    } else {
        u->timeout_ns = from_ns + TIMEOUT_CHARS * char_ns(u);
    }
}

/* DS 8.4: an error is revealed when its character is on top of the FIFO. */
static void rx_reveal(struct ns16550a *u)
{
    if (u->rx_count > 0) {
        u->lsr_errors |= u->rx_errors[u->rx_head];
    }
}

/* A whole character arrived. */
void ns16550a_rx_put(struct ns16550a *u, uint8_t c, uint8_t errors, uint64_t at_ns)
{
    uint8_t tail;

    c &= word_mask(u);
    if (u->rx_count == ns16550a_depth(u)) {
        /* DS 8.4 bit 1: without FIFO the new character replaces the old one; with it the new one is
         * lost in the shift register. */
        u->lsr_errors |= LSR_OE;
        if (!ns16550a_fifos(u)) {
            u->rx[u->rx_head] = c;
            u->rx_errors[u->rx_head] = errors;
            rx_reveal(u);
        }
        return;
    }
    tail = (u->rx_head + u->rx_count) % FIFO_SIZE;
    u->rx[tail] = c;
    u->rx_errors[tail] = errors;
    u->rx_count++;
    if (u->rx_count == 1) {
        rx_reveal(u);
    }
    if (!u->timeout) {
        timeout_start(u, at_ns);
    }
}

uint8_t ns16550a_rx_room(const struct ns16550a *u)
{
    uint8_t depth = ns16550a_depth(u);
    uint8_t used = u->rx_count + u->wire_count;

    if (u->overrun) {
        return FIFO_SIZE - u->wire_count;
    }
    return used < depth ? depth - used : 0;
}

void ns16550a_rx_take(struct ns16550a *u)
{
    if (u->rx_count == 0) {
        return;
    }
    u->rx_last = u->rx[u->rx_head];
    u->rx_errors[u->rx_head] = 0;
    u->rx_head = (u->rx_head + 1) % FIFO_SIZE;
    u->rx_count--;
    /* A character error belongs to the character: what was not read from the LSR is gone. */
    u->lsr_errors &= LSR_OE;
    rx_reveal(u);
    u->timeout = 0;
    timeout_start(u, devemu_now(u->dev));
    ns16550a_go_on(u);
    if (ns16550a_rx_room(u) > 0) {
        devemu_send_ready(u->dev);
    }
}

void ns16550a_rx_clear(struct ns16550a *u)
{
    u->rx_head = 0;
    u->rx_count = 0;
    u->timeout = 0;
    u->timeout_ns = DEVEMU_NEVER;
    u->lsr_errors &= LSR_OE;
    memset(u->rx_errors, 0, sizeof(u->rx_errors));
}

/* latency=datasheet: what the backend gave comes in one character's time after the other. */
static void wire_start(struct ns16550a *u, uint64_t from_ns)
{
    if (u->wire_count > 0 && u->wire_ns == DEVEMU_NEVER && !clock_stopped(u)) {
        u->wire_ns = from_ns + char_ns(u);
    }
}

/* Only with overrun=on a character may find no room. */
static bool held_back(const struct ns16550a *u)
{
    return !u->overrun && !(u->mcr & MCR_LOOP) && u->rx_count >= ns16550a_depth(u);
}

void ns16550a_wire_arrived(void *state, uint64_t due_ns)
{
    struct ns16550a *u = state;
    uint8_t c;

    if (u->wire_count == 0 || held_back(u)) {
        return;
    }
    c = u->wire[u->wire_head];
    u->wire_head = (u->wire_head + 1) % FIFO_SIZE;
    u->wire_count--;
    /* DS 8.8: in loopback the receiver hears its own transmitter only. */
    if (!(u->mcr & MCR_LOOP)) {
        ns16550a_rx_put(u, c, 0, due_ns);
    }
    wire_start(u, due_ns);
    if (ns16550a_rx_room(u) > 0) {
        devemu_send_ready(u->dev);
    }
}

void ns16550a_timed_out(void *state, uint64_t due_ns)
{
    struct ns16550a *u = state;

    (void)due_ns;
    u->timeout = u->rx_count > 0;
}

size_t ns16550a_ready(const void *state)
{
    return ns16550a_rx_room(state);
}

size_t ns16550a_receive(void *state, const uint8_t *data, size_t len)
{
    struct ns16550a *u = state;
    size_t taken = 0;
    uint64_t now = devemu_now(u->dev);

    while (taken < len && ns16550a_rx_room(u) > 0) {
        if (u->latency == LATENCY_INSTANT) {
            if (!(u->mcr & MCR_LOOP)) {
                ns16550a_rx_put(u, data[taken], 0, now);
            }
            taken++;
            continue;
        }
        u->wire[(u->wire_head + u->wire_count) % FIFO_SIZE] = data[taken++];
        u->wire_count++;
    }
    wire_start(u, now);
    return taken;
}

/* --- transmitter (DS 8.4, 8.11) ---------------------------------------------------- */

static void thre_set(struct ns16550a *u)
{
    u->thre = 1;
    u->thre_pending = 1;
    u->thre_delays = 1;
}

static void tx_out(struct ns16550a *u, uint8_t c, uint64_t at_ns)
{
    if (u->mcr & MCR_LOOP) {
        ns16550a_rx_put(u, c, 0, at_ns);
    } else {
        devemu_send_chars(u->dev, &c, 1);
    }
}

/* The THR or FIFO ran empty: THRE, at once or DS 8.11 B: one character's time less the last stop
 * bit later, if there have not been two bytes in the FIFO since the last THRE. */
static void tx_ran_empty(struct ns16550a *u, uint64_t at_ns)
{
    if (ns16550a_fifos(u) && u->thre_delays && u->latency == LATENCY_DATASHEET) {
        u->thre_ns = at_ns + half_bits_ns(u, char_half_bits(u) - 2);
    } else {
        thre_set(u);
    }
}

static void tx_start(struct ns16550a *u, uint64_t at_ns)
{
    if (u->tsr_busy || u->tx_count == 0 || clock_stopped(u)) {
        return;
    }
    u->tsr = u->tx[u->tx_head] & word_mask(u);
    u->tx_head = (u->tx_head + 1) % FIFO_SIZE;
    u->tx_count--;
    u->tsr_busy = 1;
    if (u->latency == LATENCY_DATASHEET) {
        u->tx_ns = at_ns + char_ns(u);
    } else {
        tx_out(u, u->tsr, at_ns);
        u->tsr_busy = 0;
    }
    if (u->tx_count == 0) {
        tx_ran_empty(u, at_ns);
    }
}

void ns16550a_tx_done(void *state, uint64_t due_ns)
{
    struct ns16550a *u = state;

    if (u->tsr_busy) {
        tx_out(u, u->tsr, due_ns);
    }
    u->tsr_busy = 0;
    tx_start(u, due_ns);
}

void ns16550a_thre_delayed(void *state, uint64_t due_ns)
{
    struct ns16550a *u = state;

    (void)due_ns;
    if (u->tx_count == 0) {
        thre_set(u);
    }
}

void ns16550a_tx_put(struct ns16550a *u, uint8_t c)
{
    u->thre = 0;
    u->thre_pending = 0;
    u->thre_ns = DEVEMU_NEVER;
    if (u->tx_count == ns16550a_depth(u)) {
        if (ns16550a_fifos(u)) {
            devemu_guest_error(u->dev, "THR: written while the transmitter FIFO is full");
            return;
        }
        u->tx[u->tx_head] = c; /* the holding register holds the newer one */
        return;
    }
    u->tx[(u->tx_head + u->tx_count) % FIFO_SIZE] = c;
    u->tx_count++;
    if (u->tx_count >= 2) {
        u->thre_delays = 0;
    }
    tx_start(u, devemu_now(u->dev));
}

/* DS 8.5 bit 2: the FIFO is cleared, the shift register is not. */
void ns16550a_tx_clear(struct ns16550a *u)
{
    u->tx_head = 0;
    u->tx_count = 0;
    u->thre_ns = DEVEMU_NEVER;
    if (!u->thre) {
        thre_set(u);
    }
}

void ns16550a_go_on(struct ns16550a *u)
{
    uint64_t now = devemu_now(u->dev);

    tx_start(u, now);
    wire_start(u, now);
}
