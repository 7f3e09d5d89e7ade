/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-dirty.c: which pages the device has written (vfio.h, DMA_LOGGING_*).
 *
 * While this goes on the device gets no window to write through, so every write comes by
 * vfio_host_dma_write() and is marked here. All writes are marked, whatever ranges the client
 * named: it sees those that it asks for.
 *
 * Bits are kept in chunks that are made when a page in them is written, so the log is as large as
 * what was written and not as what the client mapped, which may be all 64-bit addresses. A guest
 * that scatters its writes over more chunks than CHUNK_LIMIT makes all memory dirty.
 */
#include "vfio-user.h"

enum {
    LEAST_SHIFT = 12, /* vfio.h leaves the choice to us; the kernel's drivers refuse less */
    MOST_SHIFT = 30,
    CHUNK_SHIFT = 12, /* log2 of the pages in a chunk */
    CHUNK_PAGES = 1 << CHUNK_SHIFT,
    CHUNK_LIMIT = 65536, /* 32 MiB of bits: 1 TiB in pages of 4 KiB */
    RANGE_LIMIT = 256,   /* as the kernel: a page of them */
    RANGE_BYTES = 16,
    START_BYTES = 16,
    REPORT_BYTES = 24,
};

typedef struct VfioChunk {
    uint64_t number; /* first page >> CHUNK_SHIFT; the key */
    uint64_t bits[CHUNK_PAGES / 64];
} VfioChunk;

/* What is asked for in a report: [from, to] in bytes, one bit for 1 << shift of them. */
typedef struct Report {
    uint64_t from, to;
    unsigned shift;
    uint8_t *bitmap;
} Report;

/* --- marking ----------------------------------------------------------------------- */

static VfioChunk *find_chunk(VfioDirty *d, uint64_t number)
{
    VfioChunk *chunk = d->last;

    if (chunk && chunk->number == number) {
        return chunk;
    }
    chunk = g_hash_table_lookup(d->chunks, &number);
    if (chunk == NULL) {
        if (g_hash_table_size(d->chunks) == CHUNK_LIMIT) {
            d->all = true;
            return NULL;
        }
        chunk = g_new0(VfioChunk, 1);
        chunk->number = number;
        g_hash_table_add(d->chunks, chunk);
    }
    d->last = chunk;
    return chunk;
}

void vfio_dirty_mark(DevemuVfioUser *s, uint64_t addr, size_t len)
{
    VfioDirty *d = &s->dirty;
    uint64_t last;

    if (len == 0 || d->all || addr + (len - 1) < addr) {
        return;
    }
    last = (addr + (len - 1)) >> d->shift;
    for (uint64_t page = addr >> d->shift; page <= last; page++) {
        VfioChunk *chunk = find_chunk(d, page >> CHUNK_SHIFT);

        if (chunk == NULL) {
            return;
        }
        chunk->bits[page % CHUNK_PAGES / 64] |= UINT64_C(1) << page % 64;
    }
}

/* --- start and stop ---------------------------------------------------------------- */

void vfio_dirty_clear(DevemuVfioUser *s)
{
    g_clear_pointer(&s->dirty.chunks, g_hash_table_unref);
    s->dirty = (VfioDirty){.on = false};
}

static bool is_power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static unsigned log2_of(uint64_t power)
{
    unsigned shift = 0;

    while (power >> shift != 1) {
        shift++;
    }
    return shift;
}

static int check_ranges(const uint8_t *ranges, uint32_t count, uint64_t page_size)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t addr = server_get64(ranges + i * RANGE_BYTES);
        uint64_t len = server_get64(ranges + i * RANGE_BYTES + 8);

        if (addr % page_size != 0 || len % page_size != 0 || len == 0) {
            return EINVAL;
        }
        if (addr + (len - 1) < addr) {
            return EOVERFLOW;
        }
    }
    return 0;
}

int vfio_dirty_start(DevemuVfioUser *s, const VfioMessage *m)
{
    const uint8_t *data = m->payload + 8;
    uint64_t page_size = server_get64(data);
    uint32_t count = server_get32(data + 8);
    uint8_t *reply;
    int error;

    if (s->dirty.on || !is_power_of_two(page_size)) {
        return EINVAL;
    }
    if (count > RANGE_LIMIT) {
        return E2BIG;
    }
    if (m->len - 8 - START_BYTES != count * (size_t)RANGE_BYTES) {
        return EINVAL;
    }
    error = check_ranges(data + START_BYTES, count, page_size);
    if (error) {
        return error;
    }
    s->dirty.on = true;
    s->dirty.shift = CLAMP(log2_of(page_size), LEAST_SHIFT, MOST_SHIFT);
    s->dirty.chunks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    devemu_device_revoke(s->function);
    reply = vfio_reply(s, m, m->len);
    if (reply) {
        memcpy(reply, m->payload, m->len);
        server_put64(reply + 8, UINT64_C(1) << s->dirty.shift);
    }
    return 0;
}

/* Of something that does not go on: no error with the kernel's drivers. */
int vfio_dirty_stop(DevemuVfioUser *s, const VfioMessage *m)
{
    (void)m;
    vfio_dirty_clear(s);
    devemu_device_revoke(s->function);
    return 0;
}

/* --- reports ----------------------------------------------------------------------- */

/* Set the bits of [from, to] as far as they were asked for. */
static void report_bytes(const Report *r, uint64_t from, uint64_t to)
{
    uint64_t first, last;

    if (to < r->from || from > r->to) {
        return;
    }
    first = (MAX(from, r->from) - r->from) >> r->shift;
    last = (MIN(to, r->to) - r->from) >> r->shift;
    for (uint64_t bit = first; bit <= last; bit++) {
        uint8_t *word = r->bitmap + bit / 64 * 8;

        server_put64(word, server_get64(word) | UINT64_C(1) << bit % 64);
    }
}

/* Reported pages are clean from now on; one that was reported in part stays dirty. */
static void report_chunk(const VfioDirty *d, const Report *r, VfioChunk *chunk)
{
    for (unsigned i = 0; i < CHUNK_PAGES; i++) {
        uint64_t page = chunk->number * CHUNK_PAGES + i;
        uint64_t from = page << d->shift;
        uint64_t to = from + ((UINT64_C(1) << d->shift) - 1);

        if (chunk->bits[i / 64] == 0) {
            i |= 63;
            continue;
        }
        if (!(chunk->bits[i / 64] >> i % 64 & 1)) {
            continue;
        }
        report_bytes(r, from, to);
        if (from >= r->from && to <= r->to) {
            chunk->bits[i / 64] &= ~(UINT64_C(1) << i % 64);
        }
    }
}

static void report_all(VfioDirty *d, const Report *r)
{
    GHashTableIter iter;
    gpointer chunk;

    if (d->all) {
        report_bytes(r, r->from, r->to);
        return;
    }
    g_hash_table_iter_init(&iter, d->chunks);
    while (g_hash_table_iter_next(&iter, &chunk, NULL)) {
        uint64_t number = ((VfioChunk *)chunk)->number;

        if (number >= r->from >> (d->shift + CHUNK_SHIFT) &&
            number <= r->to >> (d->shift + CHUNK_SHIFT)) {
            report_chunk(d, r, chunk);
        }
    }
}

int vfio_dirty_report(DevemuVfioUser *s, const VfioMessage *m)
{
    uint64_t addr = server_get64(m->payload + 8);
    uint64_t len = server_get64(m->payload + 16);
    uint64_t page_size = server_get64(m->payload + 24);
    Report report = {.from = addr};
    uint64_t words;
    uint8_t *data;

    /* The kernel refuses pages of less than 4 KiB, too. */
    if (!s->dirty.on || !is_power_of_two(page_size) || page_size < 1 << LEAST_SHIFT || len == 0) {
        return EINVAL;
    }
    if (addr + (len - 1) < addr) {
        return EOVERFLOW;
    }
    report.to = addr + (len - 1);
    report.shift = log2_of(page_size);
    words = ((len - 1) >> report.shift) / 64 + 1;
    if (words > (VFIO_MAX_XFER - REPORT_BYTES) / 8) {
        return E2BIG;
    }
    data = vfio_feature_reply(s, m, REPORT_BYTES + words * 8);
    if (data) {
        memcpy(data, m->payload + 8, REPORT_BYTES);
        report.bitmap = data + REPORT_BYTES;
        report_all(&s->dirty, &report);
    }
    return 0;
}
