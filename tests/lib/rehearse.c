/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rehearse.c: events tried without consequences (lib/rehearse.h), and a network card on a host
 * whose memory is far away: every read by DMA is missing at first.
 */
#include "../../lib/rehearse.h"
#include "../models/net/nic.h"
#include "toy.h"

/* --- a host that has nothing here until it is fetched ------------------------------ */

typedef struct Here {
    uint64_t addr;
    size_t len;
    uint8_t data[4096];
} Here;

typedef struct Far {
    DevemuFake *f;
    DevemuDevice *dev;
    DevemuRehearsal *r;
    GArray *here; /* Here */
    bool in_event;
    unsigned missed;   /* rehearsals that missed */
    unsigned accesses; /* DMA outside events of the host's choice */
    uint64_t deadline, lines;
    unsigned line_changes, logs;
} Far;

static DevemuFetched far_read(void *opaque, uint64_t addr, void *buf, size_t len)
{
    const Far *far = opaque;

    if (addr + len > RAM_BYTES) {
        return DEVEMU_FETCH_FAILED;
    }
    for (guint i = 0; i < far->here->len; i++) {
        const Here *here = &g_array_index(far->here, Here, i);

        if (here->addr == addr && here->len == len) {
            memcpy(buf, here->data, len);
            return DEVEMU_FETCHED;
        }
    }
    return DEVEMU_FETCH_MISSING;
}

static bool far_write(void *opaque, uint64_t addr, size_t len)
{
    (void)opaque;
    return addr + len <= RAM_BYTES;
}

static bool host_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Far *far = host;

    far->accesses += !far->in_event;
    return far_read(far, addr, buf, len) == DEVEMU_FETCHED;
}

static bool host_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Far *far = host;

    far->accesses += !far->in_event;
    if (!far_write(far, addr, len)) {
        return false;
    }
    memcpy(devemu_fake_ram(far->f) + addr, buf, len);
    return true;
}

static void host_line(void *host, unsigned line, bool level)
{
    Far *far = host;
    uint64_t bit = UINT64_C(1) << line;

    far->lines = level ? far->lines | bit : far->lines & ~bit;
    far->line_changes++;
}

static uint64_t host_now(void *host)
{
    return devemu_fake_now(((Far *)host)->f);
}

static void host_deadline(void *host, uint64_t when_ns)
{
    ((Far *)host)->deadline = when_ns;
}

static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    (void)level;
    (void)text;
    ((Far *)host)->logs++;
}

static bool host_deferred(void *host)
{
    (void)host;
    return true;
}

static const DevemuHostOps far_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = host_read,
    .dma_write = host_write,
    .set_line = host_line,
    .now = host_now,
    .deadline = host_deadline,
    .log = host_log,
    .dma_deferred = host_deferred,
};

static const DevemuRehearsalOps far_rehearsal = {.read = far_read, .write = far_write};

static void far_init(Far *far, DevemuFake *f)
{
    *far = (Far){.f = f, .dev = devemu_fake_device(f), .deadline = DEVEMU_NEVER};
    far->here = g_array_new(FALSE, FALSE, sizeof(Here));
    devemu_device_set_host(far->dev, &far_ops, far);
    far->r = devemu_rehearsal_new(far->dev, &far_rehearsal, far);
}

static void far_finish(Far *far)
{
    devemu_rehearsal_free(far->r);
    g_array_unref(far->here);
}

static void fetch(Far *far)
{
    for (guint i = 0; i < far->r->missing->len; i++) {
        const DevemuRange *range = &g_array_index(far->r->missing, DevemuRange, i);
        Here here = {.addr = range->addr, .len = range->len};

        cr_assert_leq(range->len, sizeof(here.data));
        memcpy(here.data, devemu_fake_ram(far->f) + range->addr, range->len);
        g_array_append_val(far->here, here);
    }
}

/* Rehearse until nothing is missing, run, forget. Each rehearsal must leave no trace. */
static size_t far_event(Far *far, const uint8_t *frame, size_t len)
{
    size_t taken = 0;
    bool whole;

    do {
        DevemuDevice core = *far->dev;
        g_autofree uint8_t *state = g_memdup2(far->dev->state, far->dev->model->state_size);
        unsigned changes = far->line_changes, sent = devemu_fake_sent_count(far->f);

        devemu_rehearse_begin(far->r);
        if (frame) {
            devemu_device_receive(far->dev, frame, len);
        } else {
            devemu_device_run(far->dev);
        }
        whole = devemu_rehearse_end(far->r);
        far->missed += !whole;
        cr_assert_arr_eq(far->dev->state, state, far->dev->model->state_size);
        cr_assert_eq(far->dev->lines, core.lines);
        cr_assert_eq(far->dev->deadline, core.deadline);
        cr_assert_eq(far->dev->refused, core.refused);
        cr_assert_eq(far->dev->log_tokens, core.log_tokens);
        cr_assert_eq(far->dev->busy, 0);
        cr_assert_eq(far->line_changes, changes);
        cr_assert_eq(devemu_fake_sent_count(far->f), sent);
        fetch(far);
    } while (!whole);
    far->in_event = true;
    if (frame) {
        taken = devemu_device_receive(far->dev, frame, len);
    } else {
        devemu_device_run(far->dev);
    }
    far->in_event = false;
    g_array_set_size(far->here, 0);
    return taken;
}

static void far_pump(Far *far)
{
    while (far->deadline <= devemu_fake_now(far->f)) {
        far_event(far, NULL, 0);
    }
}

/* --- what a rehearsal is ----------------------------------------------------------- */

Test(rehearse, missed_event_leaves_no_trace_and_says_what_it_missed)
{
    g_autoptr(DevemuFake) f = devemu_fake_new(&devemu_model_toy, NULL, RAM_BYTES);
    Far far;
    g_autoptr(GVariant) before = NULL;
    g_autoptr(GVariant) after = NULL;

    far_init(&far, f);
    devemu_device_write(far.dev, TOY_IO, TOY_CTRL, 2, 0xa000);
    before = devemu_device_save(far.dev);

    devemu_rehearse_begin(far.r);
    devemu_device_write(far.dev, TOY_IO, TOY_DMA, 4, 0x1000);
    devemu_device_write(far.dev, TOY_IO, TOY_CTRL, 2, 0xa003);
    devemu_device_line(far.dev, 0, true);
    cr_assert_eq(devemu_device_lines(far.dev), 2);
    cr_assert_not(devemu_rehearse_end(far.r));

    after = devemu_device_save(far.dev);
    cr_assert(g_variant_equal(before, after));
    cr_assert_eq(devemu_device_lines(far.dev), 0);
    cr_assert_eq(devemu_device_inputs(far.dev), 0);
    cr_assert_eq(far.line_changes, 0);
    cr_assert_eq(far.logs, 0);
    cr_assert_eq(far.r->missing->len, 1);
    cr_assert_eq(g_array_index(far.r->missing, DevemuRange, 0).addr, 0x1000);
    cr_assert_eq(g_array_index(far.r->missing, DevemuRange, 0).len, 4);
    far_finish(&far);
}

Test(rehearse, event_reads_what_it_wrote_itself)
{
    g_autoptr(DevemuFake) f = devemu_fake_new(&devemu_model_toy, NULL, RAM_BYTES);
    Here here = {.addr = 0x1000, .len = 4, .data = {7}};
    Far far;

    far_init(&far, f);
    g_array_append_val(far.here, here);

    devemu_rehearse_begin(far.r);
    devemu_device_write(far.dev, TOY_IO, TOY_DMA, 4, 0x1000);
    devemu_device_write(far.dev, TOY_IO, TOY_DMA, 4, 0x1000);
    cr_assert(devemu_rehearse_end(far.r));

    cr_assert_eq(far.r->writes->len, 2);
    cr_assert_eq(far.r->bytes->data[0], 8);
    cr_assert_eq(far.r->bytes->data[4], 9);
    cr_assert_eq(devemu_fake_ram(f)[0x1000], 0);
    far_finish(&far);
}

Test(rehearse, notes_a_bounded_number_of_ranges)
{
    g_autoptr(DevemuFake) f = devemu_fake_new(&devemu_model_toy, NULL, RAM_BYTES);
    Far far;

    far_init(&far, f);

    devemu_rehearse_begin(far.r);
    for (unsigned i = 0; i <= DEVEMU_REHEARSAL_RANGES; i++) {
        devemu_device_write(far.dev, TOY_IO, TOY_DMA, 4, 0x1000 + i * 8);
    }
    cr_assert_not(devemu_rehearse_end(far.r));

    cr_assert_eq(far.r->missing->len, DEVEMU_REHEARSAL_RANGES);
    cr_assert(far.r->overflowed);
    far_finish(&far);
}

Test(rehearse, what_was_logged_in_a_rehearsal_is_logged_by_the_event)
{
    g_autoptr(DevemuFake) f = devemu_fake_new(&devemu_model_toy, NULL, RAM_BYTES);
    Far far;

    far_init(&far, f);

    for (unsigned i = 0; i < 2 * DEVEMU_LOG_BURST; i++) {
        devemu_rehearse_begin(far.r);
        devemu_device_write(far.dev, TOY_IO, TOY_DMA, 4, RAM_BYTES);
        cr_assert(devemu_rehearse_end(far.r));
    }
    cr_assert_eq(far.logs, 0);
    devemu_device_write(far.dev, TOY_IO, TOY_DMA, 4, RAM_BYTES);
    cr_assert_eq(far.logs, 1);
    far_finish(&far);
}

Test(rehearse, bus_with_memory_of_its_own_cannot_be_rehearsed)
{
    g_autoptr(DevemuDevice) bus = devemu_device_new(&devemu_model_pci_bus, NULL, NULL);

    cr_assert_not(devemu_rehearsal_possible(bus));
}

/* --- a network card on it ---------------------------------------------------------- */

/* What a driver does: rings of four, three frames out, three in; the fourth finds no descriptor
 * until the driver gives one and says so. */
static void drive(DevemuFake *f, unsigned style, Far *far)
{
    uint8_t frame[600];

    init_block(f, style, 0, 2, 2, 0);
    csr_write(f, 0, CSR0_STOP);
    bcr_write(f, 20, style);
    csr_set_pair(f, 1, INIT_AT);
    for (unsigned i = 0; i < 3; i++) {
        frame_make(tx_buf(f, i), 100 + 200 * i, nic_broadcast);
        tx_give(f, style, i, 100 + 200 * i, STP | ENP);
        rx_give(f, style, i, 256);
    }
    csr_write(f, 0, CSR0_INIT | CSR0_STRT | CSR0_INEA);
    if (far) {
        far_pump(far);
    }
    for (unsigned i = 0; i < 3; i++) {
        size_t len = i == 1 ? 400 : 64; /* the second takes two descriptors */

        frame_make(frame, len, nic_mac);
        if (far && devemu_device_ready(far->dev)) {
            far_event(far, frame, len);
        } else if (!far && devemu_device_ready(devemu_fake_device(f))) {
            devemu_device_receive(devemu_fake_device(f), frame, len);
        }
    }
    tx_give(f, style, 3, 64, STP | ENP);
    rx_give(f, style, 3, 256);
    csr_write(f, 0, CSR0_TDMD | CSR0_INEA);
    if (far) {
        far_pump(far);
        far_event(far, frame, 64);
    } else {
        devemu_device_receive(devemu_fake_device(f), frame, 64);
    }
}

static void compare(unsigned style)
{
    g_autoptr(DevemuFake) near =
        devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);
    g_autoptr(DevemuFake) away =
        devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);
    Far far;

    far_init(&far, away);
    devemu_fake_set_map(near, false); /* as the other */
    drive(near, style, NULL);
    drive(away, style, &far);

    cr_assert_gt(far.missed, 10);
    cr_assert_eq(far.accesses, 0, "%u DMA inside a register access", far.accesses);
    cr_assert_arr_eq(devemu_fake_ram(near), devemu_fake_ram(away), RAM_BYTES);
    cr_assert_eq(devemu_fake_sent_count(near), 4);
    cr_assert_eq(devemu_fake_sent_count(away), 4);
    for (unsigned i = 0; i < 4; i++) {
        size_t len = 0;
        const uint8_t *data = devemu_fake_sent(near, i, &len);

        expect_sent(away, i, data, len);
    }
    cr_assert(devemu_fake_line(near, 0));
    cr_assert_eq(far.lines, devemu_device_lines(devemu_fake_device(near)));
    for (unsigned csr = 0; csr < 80; csr++) {
        cr_expect(csr == 46 || csr_read(near, csr) == csr_read(away, csr), "CSR%u: %04x, far %04x",
                  csr, csr_read(near, csr), csr_read(away, csr));
    }
    far_finish(&far);
}

Test(rehearse, network_card_does_the_same_when_all_memory_is_far_in_style_0)
{
    compare(0);
}

Test(rehearse, network_card_does_the_same_when_all_memory_is_far_in_style_2)
{
    compare(2);
}

Test(rehearse, network_card_does_the_same_when_all_memory_is_far_in_style_3)
{
    compare(3);
}

/* DS CSR0: STOP overrides; what waited for the end of the access is gone. */
Test(rehearse, stop_ends_what_was_put_off)
{
    g_autoptr(DevemuFake) f =
        devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);
    Far far;

    far_init(&far, f);
    drive(f, 2, &far);
    tx_give(f, 2, 0, 64, STP | ENP);

    csr_write(f, 0, CSR0_TDMD | CSR0_INEA);
    cr_assert_eq(far.deadline, devemu_fake_now(f));
    csr_write(f, 0, CSR0_STOP);

    cr_assert_gt(far.deadline, devemu_fake_now(f)); /* lamps */
    cr_assert_eq(devemu_fake_sent_count(f), 4);
    far_finish(&far);
}
