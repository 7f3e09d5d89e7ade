/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.c: the host of the fuzzer. Memory is filled from the input when the device reads it.
 */
#include "harness.h"

#define WORDS        4  /* of a granule */
#define RICH_BYTES   64 /* of a long read that are filled word by word; the rest is one byte */
#define OWN_ACCESSES 16 /* on the device's own registers, for one DMA */

static bool touches(uint64_t addr, size_t len, uint64_t base, uint64_t base_len)
{
    return base_len && len && addr < base + base_len && base < addr + len;
}

/* --- memory ------------------------------------------------------------------------ */

/* Word by word. */
static void fill_granule(Fuzz *f, unsigned g)
{
    uint8_t *to = f->ram + g * FUZZ_GRANULE;

    for (unsigned i = 0; i < WORDS && f->in.back > f->in.front; i++) {
        uint32_t old = devemu_le32(to + 4 * i);
        uint32_t word = fuzz_word(&f->in, fuzz_take_back, old);

        if (word != old) {
            devemu_put_le32(to + 4 * i, word);
            fuzz_say_before(f, "devemu_put_le32(devemu_fake_ram(fake) + 0x%x, 0x%08x);",
                            g * FUZZ_GRANULE + 4 * i, word);
        }
    }
}

/* Granules [first, end) with one byte. */
static void fill_same(Fuzz *f, unsigned first, unsigned end, uint8_t byte)
{
    unsigned at = first * FUZZ_GRANULE, len = (end - first) * FUZZ_GRANULE;

    memset(f->ram + at, byte, len);
    fuzz_say_before(f, "memset(devemu_fake_ram(fake) + 0x%x, 0x%02x, %u);", at, byte, len);
}

static bool stale(const Fuzz *f, unsigned g)
{
    return !f->defined[g] || (f->head & FUZZ_HEAD_REFILL);
}

static void fill(Fuzz *f, uint64_t addr, size_t len)
{
    unsigned g = (unsigned)(addr / FUZZ_GRANULE);
    unsigned end = (unsigned)((addr + len - 1) / FUZZ_GRANULE) + 1;
    unsigned rich = MIN(end, g + RICH_BYTES / FUZZ_GRANULE);
    uint8_t byte;

    for (; g < rich; g++) {
        if (stale(f, g)) {
            f->defined[g] = 1;
            fill_granule(f, g);
        }
    }
    byte = g < end ? (uint8_t)fuzz_take_back(&f->in, 1) : 0;
    while (g < end) {
        unsigned first = g;

        while (g < end && stale(f, g)) {
            f->defined[g++] = 1;
        }
        if (g > first) {
            fill_same(f, first, g, byte);
        }
        g += g < end;
    }
}

/* The device is in an event: its registers must not answer. */
static void own_registers(Fuzz *f, uint64_t addr, size_t len, bool write)
{
    for (size_t i = 0; i < len && i < 2 * OWN_ACCESSES; i += 2) {
        uint64_t at = (addr + i) & 0x1e, value = 0;
        DevemuAccess access = write ? devemu_device_write(f->dev, f->own_bank, at, 2, UINT16_MAX)
                                    : devemu_device_read(f->dev, f->own_bank, at, 2, &value);

        if (access == DEVEMU_ACCESS_OK) {
            fuzz_fail(f, NULL, "the device answered its own DMA");
        }
        if (f->bus && f->model->pci) {
            uint64_t place = (addr + i) & (FUZZ_OWN_BYTES - 1);

            devemu_device_read(f->top, DEVEMU_PCI_MEMORY, place, 1, &value);
        }
    }
}

static void count_dma(Fuzz *f, size_t len)
{
    f->dma_calls++;
    f->dma_bytes += len;
    if (f->dma_calls > FUZZ_DMA_CALLS || f->dma_bytes > FUZZ_DMA_BYTES) {
        fuzz_fail(f, NULL, "unbounded work: %u DMA accesses, %" PRIu64 " bytes in one operation",
                  f->dma_calls, f->dma_bytes);
    }
}

static bool reachable(const Fuzz *f, uint64_t addr, size_t len)
{
    return addr <= FUZZ_RAM_BYTES && len <= FUZZ_RAM_BYTES - addr &&
           !touches(addr, len, f->fail_addr, f->fail_len);
}

static bool host_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Fuzz *f = host;

    count_dma(f, len);
    if (f->own && touches(addr, len, FUZZ_OWN_BASE, FUZZ_OWN_BYTES)) {
        own_registers(f, addr, len, false);
        return false;
    }
    if (len == 0 || !reachable(f, addr, len)) {
        return false;
    }
    fill(f, addr, len);
    memcpy(buf, f->ram + addr, len);
    return true;
}

static bool host_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Fuzz *f = host;

    count_dma(f, len);
    if (f->own && touches(addr, len, FUZZ_OWN_BASE, FUZZ_OWN_BYTES)) {
        own_registers(f, addr, len, true);
        return false;
    }
    if (len == 0 || !reachable(f, addr, len)) {
        return false;
    }
    fuzz_digest_number(f, addr);
    fuzz_digest(f, buf, len);
    memcpy(f->ram + addr, buf, len);
    memset(f->defined + addr / FUZZ_GRANULE, 1,
           (addr + len - 1) / FUZZ_GRANULE - addr / FUZZ_GRANULE + 1);
    return true;
}

static bool host_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    Fuzz *f = host;

    if (f->own || f->fail_len || addr >= FUZZ_RAM_BYTES) {
        return false;
    }
    *ret_window = (DevemuWindow){0, FUZZ_RAM_BYTES, f->ram, true};
    return true;
}

/* --- what the device tells --------------------------------------------------------- */

/* No callback may enter the device again: it is busy, and says so. */
static void nosy(Fuzz *f)
{
    uint64_t value;

    if (!(f->head & FUZZ_HEAD_NOSY) || f->dev == NULL || !devemu_device_busy(f->dev)) {
        return;
    }
    if (devemu_device_read(f->dev, f->own_bank, 0, 1, &value) == DEVEMU_ACCESS_OK ||
        devemu_device_write(f->dev, f->own_bank, 0, 1, 0xff) == DEVEMU_ACCESS_OK) {
        fuzz_fail(f, NULL, "the device was entered again from a callback");
    }
    devemu_device_run(f->dev);
    if (fuzz_listens(f->model) && devemu_device_receive(f->dev, f->ram, 64) != 0) {
        fuzz_fail(f, NULL, "the busy device took a frame");
    }
}

static void host_set_line(void *host, unsigned line, bool level)
{
    Fuzz *f = host;
    uint64_t bit = UINT64_C(1) << (line & 63);

    if (line >= 64 || level == ((f->lines & bit) != 0)) {
        fuzz_fail(f, NULL, "line %u was told twice", line);
    }
    f->lines ^= bit;
    nosy(f);
}

static void host_msi(void *host, uint64_t addr, uint32_t data)
{
    Fuzz *f = host;

    fuzz_digest_number(f, addr);
    fuzz_digest_number(f, data);
    nosy(f);
}

static uint64_t host_now(void *host)
{
    return ((Fuzz *)host)->now;
}

static void host_deadline(void *host, uint64_t when_ns)
{
    Fuzz *f = host;

    f->deadline = when_ns;
    nosy(f);
}

/* The library promises a burst of 16 and then one each 100 ms, for each device of the tree. */
static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    Fuzz *f = host;

    if (text == NULL || strchr(text, '\n')) {
        fuzz_fail(f, NULL, "a log text is not one line");
    }
    f->logs += level == DEVEMU_LOG_GUEST;
    f->unimpls += level == DEVEMU_LOG_UNIMPL;
    if (!f->twin && f->logs > (f->bus ? 3 : 1) * (20 + (f->now - f->born) / 100000000)) {
        fuzz_fail(f, NULL, "the guest can fill the log");
    }
    if (!f->twin && f->unimpls > f->row_count + 100) {
        fuzz_fail(f, NULL, "unimplemented registers are reported again and again");
    }
    nosy(f);
}

static void host_trace(void *host, const DevemuTrace *trace)
{
    Fuzz *f = host;
    const uint8_t *data = trace->data;

    if (trace->device == NULL || (trace->len && data == NULL)) {
        fuzz_fail(f, NULL, "a trace is not whole");
    }
    for (size_t i = 0; i < trace->len; i += 64) {
        f->sink ^= data[i]; /* it must be readable */
    }
    nosy(f);
}

/* --- what the device sends --------------------------------------------------------- */

static void net_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    Fuzz *f = net;

    (void)more;
    f->frame_len = 0;
    for (size_t i = 0; i < count; i++) {
        size_t room = MIN(slices[i].len, FUZZ_FRAME - f->frame_len);

        fuzz_digest(f, slices[i].data, slices[i].len);
        if (room) {
            memcpy(f->frame + f->frame_len, slices[i].data, room);
        }
        f->frame_len += room;
    }
    count_dma(f, 0);
    nosy(f);
}

static void backend_ready(void *backend)
{
    nosy(backend);
}

static void char_write(void *chr, const void *data, size_t len)
{
    Fuzz *f = chr;

    fuzz_digest(f, data, len);
    nosy(f);
}

static void char_control(void *chr, unsigned lines)
{
    Fuzz *f = chr;

    fuzz_digest_number(f, lines);
    nosy(f);
}

static const DevemuNetOps net_ops = {
    .size = sizeof(DevemuNetOps), .send = net_send, .ready = backend_ready};
static const DevemuCharOps char_ops = {.size = sizeof(DevemuCharOps),
                                       .write = char_write,
                                       .ready = backend_ready,
                                       .control = char_control};

/* --- the whole --------------------------------------------------------------------- */

static uint8_t *ram, *frame;

void fuzz_host_init(Fuzz *f)
{
    f->ops = (DevemuHostOps){
        .size = sizeof(DevemuHostOps),
        .dma_read = host_dma_read,
        .dma_write = host_dma_write,
        .dma_map = f->head & FUZZ_HEAD_MAP ? host_dma_map : NULL,
        .set_line = host_set_line,
        .msi = host_msi,
        .now = host_now,
        .deadline = host_deadline,
        .log = host_log,
        .trace = f->head & FUZZ_HEAD_TRACE ? host_trace : NULL,
    };
    /* Made once: of the exact size, so that the sanitizers see what is behind it. */
    if (ram == NULL) {
        ram = g_malloc(FUZZ_RAM_BYTES);
        frame = g_malloc(FUZZ_FRAME);
    }
    memset(ram, 0, FUZZ_RAM_BYTES);
    f->ram = ram;
    f->frame = frame;
    while (f->own_bank + 1 < f->model->bank_count &&
           f->model->banks[f->own_bank].kind == DEVEMU_BANK_INDEXED) {
        f->own_bank++;
    }
    fuzz_host_forget(f);
}

void fuzz_host_forget(Fuzz *f)
{
    f->lines = 0;
    f->deadline = DEVEMU_NEVER;
}

void fuzz_attach(Fuzz *f)
{
    devemu_device_attach_net(f->dev, &net_ops, f);
    devemu_device_attach_char(f->dev, &char_ops, f);
    if (f->model->is_block) {
        if (f->block == NULL) {
            f->block = devemu_block_new(FUZZ_MEDIUM, NULL, NULL);
            devemu_block_set_clock(f->block, host_now, f);
        }
        devemu_block_attach(f->block, f->dev);
    }
}

static uint64_t next_deadline(const Fuzz *f)
{
    uint64_t when = devemu_device_deadline(f->top);

    return f->block ? MIN(when, devemu_block_deadline(f->block)) : when;
}

/* Requests that end at other times than before are no other behaviour: with migrations, and in the
 * run that is compared with that, none outlives its operation. */
void fuzz_block_end(Fuzz *f)
{
    if (f->block && fuzz_head_twin(f->head)) {
        devemu_device_drain(f->dev);
    }
}

void fuzz_time(Fuzz *f, uint64_t ns, bool run)
{
    f->now = ns > FUZZ_CLOCK_MAX - f->now ? FUZZ_CLOCK_MAX : f->now + ns;
    if (!run) {
        return;
    }
    for (unsigned i = 0; i < FUZZ_STALLS; i++) {
        if (f->block && devemu_block_deadline(f->block) <= f->now) {
            devemu_block_run(f->block);
        }
        devemu_device_run(f->top);
        if (next_deadline(f) > f->now) {
            return;
        }
        f->dma_calls = 0;
        f->dma_bytes = 0;
    }
    fuzz_fail(f,
              "cr_expect(devemu_device_deadline(devemu_fake_device(fake)) > "
              "devemu_fake_now(fake));",
              "the device does not let time go on: its deadline stays at %" PRIu64
              ", it is %" PRIu64 " now",
              devemu_device_deadline(f->top), f->now);
}
