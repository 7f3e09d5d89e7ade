/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lance.c: initialisation, start, stop, suspend, polling and interrupts of the LANCE family.
 * See lance.h.
 *
 * Where the datasheet is silent:
 * - A bus master access that fails sets MERR and, on PCnets, SINT, and turns both sections off, as
 *   "Re-Initialization" says of MERR. The silicon tells a bus that was not granted in time (MERR)
 *   from an abort (SINT with a stop of everything); a host of this library cannot, and a driver
 *   sees both causes.
 * - INIT and STRT written to a controller that is already initialised, or started, do nothing: the
 *   bits work when they change.
 */
#include "lance.h"

/* --- access conditions ------------------------------------------------------------- */

bool lance_stopped(const void *state)
{
    const struct lance *s = state;

    return (s->csr0 & CSR0_STOP) != 0;
}

bool lance_stopped_or_suspended(const void *state)
{
    const struct lance *s = state;

    return (s->csr0 & CSR0_STOP) != 0 || lance_suspended(s);
}

/* --- interrupts: CSR0, CSR3, CSR4, CSR5 -------------------------------------------- */

static bool intr(const struct lance *s)
{
    unsigned causes = s->csr0 & CSR0_CAUSES & ~(unsigned)(s->csr3 & CSR3_MASKS);

    causes |= s->csr4 & CSR4_UINT;
    causes |= s->csr4 & CSR4_MASKED & ~((unsigned)s->csr4 << 1);
    causes |= s->csr5 & CSR5_W1C & ((unsigned)s->csr5 << 1);
    return causes != 0;
}

/* DS CSR5: SINT does not depend on INEA. */
bool lance_interrupt(const struct lance *s)
{
    const unsigned system = CSR5_SINT | CSR5_SINTE;

    if ((s->csr0 & CSR0_INEA) == 0 && (s->csr5 & CSR5_SINT) == 0) {
        return false;
    }
    return ((s->csr0 & CSR0_INEA) != 0 && intr(s)) || (s->csr5 & system) == system;
}

uint64_t lance_csr0_read(const void *state, unsigned index)
{
    const struct lance *s = state;
    unsigned value = s->csr0;

    (void)index;
    value |= value & CSR0_ERRORS ? CSR0_ERR : 0;
    value |= intr(s) ? CSR0_INTR : 0;
    return value;
}

/* --- work: now, or where the host wants no DMA in an access, right behind it -------- */

static void do_work(struct lance *s, unsigned work)
{
    if (work & LANCE_WORK_RX) {
        lance_rx_poll(s);
    }
    if (work & LANCE_WORK_TX) {
        lance_tx_poll(s);
    }
}

static void work(struct lance *s, unsigned work)
{
    if (!devemu_dma_deferred(s->dev)) {
        do_work(s, work);
        return;
    }
    s->work |= (uint8_t)work;
    s->work_ns = devemu_now(s->dev);
}

void lance_work_expired(void *state, uint64_t due_ns)
{
    struct lance *s = state;
    unsigned work = s->work;

    (void)due_ns;
    s->work = 0;
    if (lance_active(s)) {
        do_work(s, work);
    }
}

static void no_work(struct lance *s)
{
    s->work_ns = DEVEMU_NEVER;
    s->work = 0;
}

/* --- polling: CSR46, CSR47 --------------------------------------------------------- */

/* DS CSR47: two's complement of the interval in clocks; bits 3-0 are not looked at; 0 is 65536. */
static uint64_t poll_interval_ns(const struct lance *s)
{
    if (s->chip->poll_ns) {
        return s->chip->poll_ns;
    }
    return (0x10000 - (uint64_t)(s->pollint & 0xfff0)) * LANCE_CLOCK_NS;
}

static void poll_start(struct lance *s, uint64_t first_ns)
{
    s->poll_ns = s->csr0 & (CSR0_RXON | CSR0_TXON) ? first_ns : DEVEMU_NEVER;
}

/* DS CSR46: counts up to zero. */
uint64_t lance_csr46_read(const void *state, unsigned index)
{
    const struct lance *s = state;
    uint64_t now;

    (void)index;
    if (s->poll_ns == DEVEMU_NEVER) {
        return s->csr46;
    }
    now = devemu_now(s->dev);
    if (s->poll_ns <= now) {
        return 0;
    }
    return (0x10000 - (s->poll_ns - now + LANCE_CLOCK_NS - 1) / LANCE_CLOCK_NS) & 0xffff;
}

void lance_poll_expired(void *state, uint64_t due_ns)
{
    struct lance *s = state;
    uint64_t interval_ns = poll_interval_ns(s);
    uint64_t late_ns = devemu_now(s->dev) - due_ns;

    poll_start(s, due_ns + (late_ns / interval_ns + 1) * interval_ns);
    if (!lance_active(s)) {
        return;
    }
    lance_rx_poll(s);
    /* DS CSR4: TXDPOLL turns the poll of the transmit ring off. */
    if ((s->csr4 & CSR4_TXDPOLL) == 0) {
        lance_tx_poll(s);
    }
}

/* --- suspend, Magic Packet: neither ring is touched, and positions are kept -------- */

static void pause_work(struct lance *s)
{
    s->csr46 = (uint16_t)lance_csr46_read(s, 0);
    s->poll_ns = DEVEMU_NEVER;
    lance_rings_show(s);
}

static void resume_work(struct lance *s)
{
    uint64_t left = 0x10000 - (uint64_t)s->csr46;

    if ((s->csr0 & CSR0_STOP) != 0) {
        return;
    }
    poll_start(s, devemu_now(s->dev) + left * LANCE_CLOCK_NS);
    work(s, LANCE_WORK_RX | LANCE_WORK_TX);
    devemu_send_ready(s->dev);
}

/* DS CSR5: SPND reads as one when the frame under way is over. */
void lance_suspend_if_idle(struct lance *s)
{
    if (!s->suspending || (s->latency == LATENCY_DATASHEET && s->tx_ns != DEVEMU_NEVER)) {
        return;
    }
    s->suspending = 0;
    s->tx_ns = DEVEMU_NEVER;
    if (lance_active(s)) {
        pause_work(s);
    }
    s->csr5 |= CSR5_SPND;
}

void lance_csr5_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct lance *s = state;
    uint16_t written = s->csr5;
    bool was_active, is_active;

    (void)index;
    s->csr5 = (uint16_t)old;
    was_active = lance_active(s);
    s->csr5 = written;
    if ((value & CSR5_SPND) == 0) {
        s->suspending = 0;
    } else if ((old & CSR5_SPND) == 0) {
        s->csr5 &= (uint16_t)~CSR5_SPND;
        /* DS CSR5: SPND can only be set while STOP is zero. */
        if (s->csr0 & CSR0_STOP) {
            devemu_guest_error(s->dev, "CSR5: SPND set while STOP is set");
        } else {
            s->suspending = 1;
        }
    }
    is_active = lance_active(s);
    if (was_active && !is_active) {
        pause_work(s);
    } else if (!was_active && is_active) {
        resume_work(s);
    }
    lance_suspend_if_idle(s);
}

/* --- initialisation ---------------------------------------------------------------- */

/* DS "Initialization Block", SSIZE32 = 0: 12 words; the highest address byte is CSR2's. */
static bool init_block16(struct lance *s)
{
    uint32_t at = lance_pair(s->iadr);
    uint32_t high = at & 0xff000000;
    unsigned rlen, tlen;
    uint8_t b[24];

    if (!devemu_dma_read(s->dev, at, b, sizeof(b))) {
        return false;
    }
    s->mode = devemu_le16(b) & s->chip->mode;
    for (unsigned i = 0; i < 3; i++) {
        s->padr[i] = devemu_le16(b + 2 + 2 * i);
    }
    for (unsigned i = 0; i < 4; i++) {
        s->ladrf[i] = devemu_le16(b + 8 + 2 * i);
    }
    lance_set_pair(lance_csr18(s, CSR_BADR), high | (devemu_le32(b + 16) & 0xfffff8));
    lance_set_pair(lance_csr18(s, CSR_BADX), high | (devemu_le32(b + 20) & 0xfffff8));
    rlen = b[19] >> 5;
    tlen = b[23] >> 5;
    s->rcvrl = (uint16_t)(0x10000 - (1 << rlen));
    s->xmtrl = (uint16_t)(0x10000 - (1 << tlen));
    s->csr6 = (uint16_t)(tlen << 12 | rlen << 8);
    return true;
}

/* SSIZE32 = 1: seven double words; lengths above 512 are 512. */
static bool init_block32(struct lance *s)
{
    unsigned rlen, tlen;
    uint8_t b[28];

    if (!devemu_dma_read(s->dev, lance_pair(s->iadr), b, sizeof(b))) {
        return false;
    }
    s->mode = devemu_le16(b) & s->chip->mode;
    rlen = b[2] >> 4;
    tlen = b[3] >> 4;
    for (unsigned i = 0; i < 3; i++) {
        s->padr[i] = devemu_le16(b + 4 + 2 * i);
    }
    for (unsigned i = 0; i < 4; i++) {
        s->ladrf[i] = devemu_le16(b + 12 + 2 * i);
    }
    lance_set_pair(lance_csr18(s, CSR_BADR), devemu_le32(b + 20) & ~15u);
    lance_set_pair(lance_csr18(s, CSR_BADX), devemu_le32(b + 24) & ~15u);
    s->rcvrl = (uint16_t)(0x10000 - (1 << (rlen < 9 ? rlen : 9)));
    s->xmtrl = (uint16_t)(0x10000 - (1 << (tlen < 9 ? tlen : 9)));
    s->csr6 = (uint16_t)(tlen << 12 | rlen << 8);
    return true;
}

/* DS "Re-Initialization": a restart begins at the base of the rings again, but on a LANCE only
 * INIT does that. */
static void start(struct lance *s)
{
    if (s->chip->pcnet) {
        lance_rings_restart(s);
    }
    s->csr0 |= s->mode & MODE_DRX ? 0 : CSR0_RXON;
    s->csr0 |= s->mode & MODE_DTX ? 0 : CSR0_TXON;
    poll_start(s, devemu_now(s->dev) + poll_interval_ns(s));
    if (lance_active(s)) {
        work(s, LANCE_WORK_RX | LANCE_WORK_TX);
    }
}

static void init_now(struct lance *s)
{
    bool ok = s->sws & SWS_SSIZE32 ? init_block32(s) : init_block16(s);

    if (!ok) {
        lance_bus_error(s, "CSR1, CSR2: the initialization block cannot be read");
        return;
    }
    s->pollint = 0; /* DS CSR47 */
    lance_rings_restart(s);
    s->csr0 |= CSR0_IDON;
    if (s->csr0 & CSR0_STRT) {
        start(s);
    }
}

void lance_init_expired(void *state, uint64_t due_ns)
{
    (void)due_ns;
    init_now(state);
}

/* --- CSR0 -------------------------------------------------------------------------- */

/* DS CSR0: STOP ends all activity; what it leaves of each register is in the tables. */
void lance_stop(struct lance *s)
{
    if (lance_active(s) && (s->csr0 & CSR0_STOP) == 0) {
        pause_work(s);
    }
    devemu_reset_banks(s->dev, DEVEMU_RESET_STOP);
    s->poll_ns = DEVEMU_NEVER;
    s->init_ns = DEVEMU_NEVER;
    s->tx_ns = DEVEMU_NEVER;
    s->rx_ns = DEVEMU_NEVER;
    no_work(s);
    s->suspending = 0;
    s->rx_blocked = 0;
    if (s->chip->saw) {
        s->chip->saw(s); /* MPINT is gone */
    }
    devemu_send_ready(s->dev);
}

static void init_and_start(struct lance *s, unsigned set)
{
    s->csr0 &= (uint16_t)~CSR0_STOP;
    if (set & CSR0_INIT) {
        if (s->latency == LATENCY_DATASHEET) {
            s->init_ns = devemu_now(s->dev) + s->chip->init_ns;
        } else if (devemu_dma_deferred(s->dev)) {
            s->init_ns = devemu_now(s->dev);
        } else {
            init_now(s); /* starts as well if STRT is set */
            return;
        }
    }
    if ((set & CSR0_STRT) && s->init_ns == DEVEMU_NEVER) {
        start(s);
    }
}

void lance_csr0_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct lance *s = state;
    unsigned set = (unsigned)value & ~(unsigned)old & (CSR0_INIT | CSR0_STRT);

    (void)index;
    /* DS CSR0: STOP overrides STRT and INIT. */
    if (value & CSR0_STOP) {
        lance_stop(s);
        return;
    }
    if (set) {
        init_and_start(s, set);
    }
    /* DS 7990, CSR0: INEA cannot be set while STOP is. */
    if (!s->chip->pcnet && (s->csr0 & CSR0_STOP)) {
        s->csr0 &= (uint16_t)~CSR0_INEA;
    }
    /* The driver that acknowledges an interrupt may have given buffers back; see lance_ready(). */
    if (s->rx_blocked && lance_active(s)) {
        work(s, LANCE_WORK_RX);
    }
    if ((s->csr0 & CSR0_TDMD) == 0) {
        return;
    }
    /* DS CSR0: with TXON zero TDMD is reset, and nothing is read. */
    if ((s->csr0 & CSR0_TXON) == 0) {
        s->csr0 &= (uint16_t)~CSR0_TDMD;
    } else {
        work(s, LANCE_WORK_TX);
    }
}

/* --- errors, link, reset ----------------------------------------------------------- */

void lance_bus_error(struct lance *s, const char *text)
{
    devemu_guest_error(s->dev, text);
    s->csr0 |= CSR0_MERR;
    s->csr0 &= (uint16_t) ~(CSR0_RXON | CSR0_TXON | CSR0_TDMD);
    if (s->chip->pcnet) {
        s->csr5 |= CSR5_SINT;
    }
    s->poll_ns = DEVEMU_NEVER;
    s->tx_ns = DEVEMU_NEVER;
    no_work(s);
    s->rx_blocked = 0;
}

void lance_link(void *state, unsigned link)
{
    struct lance *s = state;

    s->link_up = link != 0;
}

/* After the tables. */
void lance_reset(struct lance *s, DevemuReset kind)
{
    if (kind == DEVEMU_RESET_POWER) {
        s->link_up = s->link;
        s->gap_ns = 0;
        s->seen = 0;
        s->lamps_busy = s->chip->saw == NULL;
    }
    s->poll_ns = DEVEMU_NEVER;
    s->init_ns = DEVEMU_NEVER;
    s->tx_ns = DEVEMU_NEVER;
    s->rx_ns = DEVEMU_NEVER;
    no_work(s);
    s->suspending = 0;
    s->rx_blocked = 0;
    s->runts = 0;
    devemu_send_ready(s->dev);
}

bool lance_valid(const void *state)
{
    const struct lance *s = state;

    bool stopped = (s->csr0 & CSR0_STOP) != 0;
    bool at_work = (s->csr0 & (CSR0_RXON | CSR0_TXON | CSR0_TDMD)) != 0 ||
                   s->poll_ns != DEVEMU_NEVER || s->init_ns != DEVEMU_NEVER ||
                   s->tx_ns != DEVEMU_NEVER || s->rx_ns != DEVEMU_NEVER ||
                   s->work_ns != DEVEMU_NEVER;

    return (s->csr0 & (CSR0_ERR | CSR0_INTR)) == 0 && (s->mode & ~s->chip->mode) == 0 &&
           !(stopped && at_work);
}
