/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * events.c: all that comes to a device besides accesses: memory, time, frames and characters,
 * lines, input, resets, DMA that fails.
 */
#include "harness.h"

/* --- memory ------------------------------------------------------------------------ */

static void put_word(Fuzz *f, unsigned at, uint32_t word)
{
    fuzz_say(f, "devemu_put_le32(devemu_fake_ram(fake) + 0x%x, 0x%08x);", at, word);
    devemu_put_le32(f->ram + at, word);
    f->defined[at / FUZZ_GRANULE] = 1;
    f->defined[(at + 3) / FUZZ_GRANULE] = 1;
}

void fuzz_op_ram_words(Fuzz *f)
{
    unsigned at = (unsigned)fuzz_take(&f->in, 2) & ~1u;
    unsigned count = 1 + fuzz_byte(&f->in) % 8;

    for (unsigned i = 0; i < count; i++, at += 4) {
        at = MIN(at, FUZZ_RAM_BYTES - 4);
        put_word(f, at, fuzz_word(&f->in, fuzz_take, devemu_le32(f->ram + at)));
    }
}

void fuzz_op_ram_fill(Fuzz *f)
{
    unsigned at = (unsigned)fuzz_take(&f->in, 2);
    unsigned len = fuzz_length(&f->in, fuzz_take);
    uint8_t byte = fuzz_byte(&f->in);

    len = MIN(len, FUZZ_RAM_BYTES - at);
    if (len == 0) {
        return;
    }
    fuzz_say(f, "memset(devemu_fake_ram(fake) + 0x%x, 0x%02x, %u);", at, byte, len);
    memset(f->ram + at, byte, len);
    memset(f->defined + at / FUZZ_GRANULE, 1,
           (at + len - 1) / FUZZ_GRANULE - at / FUZZ_GRANULE + 1);
}

void fuzz_op_ram_forget(Fuzz *f)
{
    unsigned first = fuzz_byte(&f->in) * (unsigned)(sizeof(f->defined) / 256);

    memset(f->defined + first, 0, sizeof(f->defined) - first);
}

/* --- time -------------------------------------------------------------------------- */

static uint64_t until_deadline(Fuzz *f)
{
    uint64_t when = devemu_device_deadline(f->top);
    unsigned kind = fuzz_byte(&f->in);
    uint64_t ns = when == DEVEMU_NEVER ? 0 : when > f->now ? when - f->now : 0;

    if (kind % 8 == 6 && ns > 0) {
        return ns - 1;
    }
    return kind % 8 == 7 ? ns + 1 + (kind >> 3) : ns;
}

void fuzz_op_time(Fuzz *f, FuzzOp op)
{
    uint64_t ns;

    switch (op) {
    case FUZZ_TIME_NEXT:
        ns = until_deadline(f);
        break;
    case FUZZ_TIME_SMALL:
        ns = fuzz_take(&f->in, 2);
        break;
    case FUZZ_TIME_MEDIUM:
        ns = fuzz_take(&f->in, 2) * 1000;
        break;
    case FUZZ_TIME_IDLE:
        ns = fuzz_take(&f->in, 2) << fuzz_byte(&f->in) % 24;
        break;
    default:
        ns = UINT64_C(1) << fuzz_byte(&f->in) % 58;
        break;
    }
    if (op == FUZZ_TIME_IDLE) {
        fuzz_say(f, "devemu_fake_idle(fake, %" PRIu64 "u);", ns);
    } else {
        fuzz_say(f, "devemu_fake_jump(fake, %" PRIu64 "u);", ns);
    }
    fuzz_time(f, ns, op != FUZZ_TIME_IDLE);
}

/* --- payload ----------------------------------------------------------------------- */

static void receive(Fuzz *f, const uint8_t *head, unsigned head_len, uint8_t fill, unsigned len)
{
    /* Of the exact size, so that reading behind it is found. */
    uint8_t *data = g_malloc(len ? len : 1);
    char *bytes = f->text ? fuzz_bytes(head, MIN(head_len, len)) : g_strdup("");
    size_t taken;

    memset(data, fill, len ? len : 1);
    memcpy(data, head, MIN(head_len, len));
    fuzz_say(f, "receive(%s, (const uint8_t[]){%s}, %u, 0x%02x, %u);", f->bus ? "dev" : "fake",
             *bytes ? bytes : "0", MIN(head_len, len), fill, len);
    taken = devemu_device_receive(f->dev, data, len);
    if (taken > len && fuzz_listens(f->model)) {
        fuzz_fail(f, NULL, "%zu of %u bytes were taken", taken, len);
    }
    if (f->model->is_net && fuzz_listens(f->model) && taken != 0 && taken != len) {
        fuzz_fail(f, NULL, "a part of a frame was taken: %zu of %u bytes", taken, len);
    }
    fuzz_digest_number(f, taken);
    g_free(bytes);
    g_free(data);
}

static void receive_frame(Fuzz *f)
{
    static const uint8_t multicast[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};
    unsigned kind = fuzz_byte(&f->in);
    unsigned len = fuzz_length(&f->in, fuzz_take);
    uint8_t head[16];

    memset(head, 0xff, sizeof(head));
    if (kind % 4 == 1 && f->mac) {
        memcpy(head, f->mac, 6);
    } else if (kind % 4 == 2) {
        memcpy(head, multicast, 6);
    }
    for (unsigned i = kind % 4 == 3 ? 0 : 12; i < sizeof(head); i++) {
        head[i] = fuzz_byte(&f->in);
    }
    receive(f, head, sizeof(head), (uint8_t)kind, len);
}

void fuzz_op_receive(Fuzz *f)
{
    uint8_t head[16] = {0};
    unsigned kind, len;

    if (!fuzz_listens(f->model) || !f->plugged) {
        fuzz_op_write(f);
        return;
    }
    if (f->model->is_net) {
        receive_frame(f);
        return;
    }
    kind = fuzz_byte(&f->in);
    len = kind & 0x80 ? fuzz_length(&f->in, fuzz_take) : kind % 17;
    for (unsigned i = 0; i < MIN(len, sizeof(head)); i++) {
        head[i] = fuzz_byte(&f->in);
    }
    receive(f, head, sizeof(head), head[0], len);
}

void fuzz_op_loop(Fuzz *f)
{
    if (!fuzz_listens(f->model) || !f->plugged || f->frame_len == 0) {
        fuzz_op_receive(f);
        return;
    }
    receive(f, f->frame, (unsigned)f->frame_len, 0, (unsigned)f->frame_len);
}

/* Once: asking again arms the notice again, which is no part of a snapshot. */
void fuzz_op_ready(Fuzz *f)
{
    if (f->plugged) {
        fuzz_say(f, "devemu_device_ready(%s);", fuzz_dev(f));
        fuzz_digest_number(f, devemu_device_ready(f->dev) != 0);
    }
}

void fuzz_op_link(Fuzz *f)
{
    unsigned link = fuzz_byte(&f->in);

    if (f->model->is_net) {
        link &= 1;
    }
    if (f->plugged) {
        fuzz_say(f, "devemu_device_link(%s, 0x%x);", fuzz_dev(f), link);
        devemu_device_link(f->dev, link);
    }
}

void fuzz_op_input(Fuzz *f)
{
    unsigned kind = fuzz_byte(&f->in);
    DevemuInput input = {.kind = (DevemuInputKind)(kind % 3)};

    if (f->model->input == NULL || !f->plugged) {
        fuzz_op_write(f);
        return;
    }
    input.code = (unsigned)fuzz_take(&f->in, kind & 0x40 ? 4 : 1);
    if (input.kind == DEVEMU_INPUT_MOVE) {
        unsigned bytes = kind & 0x80 ? 4 : 1;

        input.x = (int)(int32_t)fuzz_take(&f->in, bytes);
        input.y = (int)(int32_t)fuzz_take(&f->in, bytes);
        input.z = (int)(int8_t)fuzz_take(&f->in, 1);
        if (bytes == 1) {
            input.x = (int8_t)input.x;
            input.y = (int8_t)input.y;
        }
    } else {
        input.value = kind >> 4 & 3;
    }
    fuzz_say(f,
             "devemu_device_input(%s, &(DevemuInput){.kind = %u, .code = %u, .value = %d, .x = "
             "%d, .y = %d, .z = %d});",
             fuzz_dev(f), input.kind, input.code, input.value, input.x, input.y, input.z);
    devemu_device_input(f->dev, &input);
}

void fuzz_op_line(Fuzz *f)
{
    unsigned kind = fuzz_byte(&f->in), count = 0, line;
    bool level = kind & 1;

    while (f->model->inputs && f->model->inputs[count]) {
        count++;
    }
    if (count == 0 || !f->plugged) {
        fuzz_op_write(f);
        return;
    }
    line = (kind >> 1) % count;
    fuzz_say(f, "devemu_device_line(%s, %u, %s);", fuzz_dev(f), line, level ? "true" : "false");
    devemu_device_line(f->dev, line, level);
}

/* --- a picture --------------------------------------------------------------------- */

void fuzz_op_screen(Fuzz *f)
{
    unsigned short_by = fuzz_byte(&f->in) & 1;
    DevemuScreen screen = {0};
    size_t pixels;
    bool ok;

    if (f->model->screen == NULL) {
        fuzz_op_read(f);
        return;
    }
    fuzz_say(f, "screen(%s, %u);", fuzz_dev(f), short_by);
    fuzz_uses(f, FUZZ_USES_SCREEN);
    if (devemu_device_screen(f->dev, &screen)) {
        fuzz_fail(f, NULL, "a screen without room was drawn");
    }
    pixels = (size_t)screen.width * screen.height;
    if (pixels > (1 << 24)) {
        fuzz_fail(f, NULL, "a screen of %u x %u", screen.width, screen.height);
    }
    if (pixels <= short_by) {
        return;
    }
    screen.capacity = pixels - short_by;
    screen.pixels = g_new(uint32_t, screen.capacity);
    ok = devemu_device_screen(f->dev, &screen);
    if (ok && short_by) {
        fuzz_fail(f, NULL, "a screen that does not fit was drawn");
    }
    if (ok) {
        fuzz_digest(f, screen.pixels, pixels * sizeof(uint32_t));
    }
    g_free(screen.pixels);
}

/* --- resets, DMA that goes wrong --------------------------------------------------- */

void fuzz_op_reset(Fuzz *f)
{
    unsigned kind = fuzz_byte(&f->in);
    DevemuReset reset = kind & 1 ? DEVEMU_RESET_HARD : DEVEMU_RESET_SOFT;

    fuzz_say(f, "devemu_device_reset(%s, %s);", kind & 2 ? "devemu_fake_device(fake)" : fuzz_dev(f),
             kind & 1 ? "DEVEMU_RESET_HARD" : "DEVEMU_RESET_SOFT");
    devemu_device_reset(kind & 2 ? f->top : f->dev, reset);
}

void fuzz_op_fail_dma(Fuzz *f)
{
    unsigned kind = fuzz_byte(&f->in);

    f->fail_addr = fuzz_take(&f->in, 2);
    f->fail_len = kind & 1 ? UINT64_C(1) << kind % 17 : 0;
    fuzz_say(f, "devemu_fake_fail_dma(fake, 0x%" PRIx64 ", 0x%" PRIx64 ");", f->fail_addr,
             f->fail_len);
    devemu_device_revoke(f->top);
}

void fuzz_op_own_dma(Fuzz *f)
{
    f->own = fuzz_byte(&f->in) & 1;
    fuzz_say(f, "devemu_fake_own_dma(fake, 0x%x, 0x%x, %u);", FUZZ_OWN_BASE,
             f->own ? FUZZ_OWN_BYTES : 0, f->own_bank);
    devemu_device_revoke(f->top);
}
