/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk.h: the smallest device with a block backend, and what every medium must do.
 */
#ifndef TESTS_BACKENDS_DISK_H
#define TESTS_BACKENDS_DISK_H

#include <devemu/backends.h>

#include "../../lib/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

typedef struct Disk {
    DevemuDevice *dev;
    GArray *done; /* DevemuBlockCompletion, of the test */
    unsigned events;
    DevemuBlockInfo info;
    unsigned media;                       /* times that medium() was called */
    void (*completed)(struct Disk *disk); /* in the event */
} Disk;

static inline void disk_complete(void *state, const DevemuBlockCompletion *completions,
                                 size_t count)
{
    Disk *disk = state;

    g_array_append_vals(disk->done, completions, (guint)count);
    disk->events++;
    if (disk->completed) {
        disk->completed(disk);
    }
}

static inline void disk_medium(void *state, const DevemuBlockInfo *info)
{
    Disk *disk = state;

    disk->media++;
    disk->info = info ? *info : (DevemuBlockInfo){0};
}

static const DevemuField disk_fields[] = {
    DEVEMU_SKIP(Disk, done),  DEVEMU_SKIP(Disk, events),    DEVEMU_SKIP(Disk, info),
    DEVEMU_SKIP(Disk, media), DEVEMU_SKIP(Disk, completed), {.name = NULL},
};

static const DevemuModel disk_model = {
    .name = "toy-disk",
    .title = "a disk that passes on what it is told to",
    .datasheet = "none",
    .not_modelled = "all",
    .state_size = sizeof(Disk),
    .fields = disk_fields,
    .complete = disk_complete,
    .medium = disk_medium,
    .is_block = true,
};

static inline Disk *disk_new(DevemuBlock *block)
{
    GError *error = NULL;
    DevemuDevice *dev = devemu_device_new(&disk_model, NULL, &error);
    Disk *disk;

    cr_assert_null(error);
    disk = devemu_device_state(dev);
    disk->done = g_array_new(FALSE, FALSE, sizeof(DevemuBlockCompletion));
    if (block) {
        devemu_block_attach(block, dev);
    }
    return disk;
}

static inline void disk_free(Disk *disk)
{
    GArray *done = disk->done;

    devemu_device_free(disk->dev);
    g_array_unref(done);
}

static inline DevemuBlock *disk_block(const char *text)
{
    GError *error = NULL;
    DevemuBlock *block = devemu_block_new(text, NULL, &error);

    cr_assert_not_null(block, "%s: %s", text, error ? error->message : "?");
    return block;
}

/* text is refused, and the sentence has `says` in it. */
static inline void disk_refused(const char *text, const char *says)
{
    GError *error = NULL;
    DevemuBlock *block = devemu_block_new(text, NULL, &error);

    cr_assert_null(block, "%s was made", text);
    cr_assert_not_null(error);
    cr_assert_not_null(strstr(error->message, says), "%s: %s", text, error->message);
    g_error_free(error);
}

static inline void disk_submit(Disk *disk, uint32_t tag, DevemuBlockOp op, uint32_t flags,
                               uint64_t at, void *data, size_t len)
{
    DevemuBlockSlice slice = {data, len};
    DevemuBlockRequest request = {.tag = tag,
                                  .op = op,
                                  .flags = flags,
                                  .at = at,
                                  .len = len,
                                  .slices = &slice,
                                  .count = data ? 1 : 0};

    cr_assert(devemu_submit(disk->dev, &request, false));
}

static inline gboolean disk_give_up(gpointer opaque)
{
    *(bool *)opaque = true;
    return G_SOURCE_REMOVE;
}

/* Turn the main loop until so many requests have ended; 20 s is for ever. */
static inline void disk_wait(Disk *disk, guint count)
{
    bool late = false;
    guint timer = g_timeout_add(20000, disk_give_up, &late);

    while (disk->done->len < count && !late) {
        g_main_context_iteration(NULL, TRUE);
    }
    cr_assert_not(late, "%u of %u requests ended", disk->done->len, count);
    g_source_remove(timer);
}

static inline const DevemuBlockCompletion *disk_done(const Disk *disk, guint i)
{
    cr_assert_lt(i, disk->done->len);
    return &g_array_index(disk->done, DevemuBlockCompletion, i);
}

/* One request, to its end: its status. */
static inline int disk_do(Disk *disk, DevemuBlockOp op, uint32_t flags, uint64_t at, void *data,
                          size_t len)
{
    guint before = disk->done->len;

    disk_submit(disk, 7, op, flags, at, data, len);
    disk_wait(disk, before + 1);
    return disk_done(disk, before)->status;
}

/* --- random requests beside a shadow ----------------------------------------------- */

enum { SHADOW_DEPTH = 24, SHADOW_BYTES = 1 << 20, SHADOW_LEN = 64 << 10 };

typedef struct ShadowRequest {
    bool busy;
    DevemuBlockOp op;
    uint64_t at;
    size_t len;
    uint8_t data[SHADOW_LEN];
} ShadowRequest;

typedef struct Shadow {
    Disk *disk;
    uint32_t seed;
    unsigned block; /* bytes */
    guint seen;     /* completions */
    uint8_t bytes[SHADOW_BYTES];
    bool unknown[SHADOW_BYTES / 512]; /* discarded */
    ShadowRequest requests[SHADOW_DEPTH];
} Shadow;

static inline uint32_t shadow_random(Shadow *s)
{
    s->seed = s->seed * 1664525u + 1013904223u;
    return s->seed >> 8;
}

static inline bool shadow_overlaps(const Shadow *s, uint64_t at, size_t len)
{
    for (unsigned i = 0; i < SHADOW_DEPTH; i++) {
        const ShadowRequest *r = &s->requests[i];

        if (r->busy && r->op != DEVEMU_BLOCK_FLUSH && at < r->at + r->len && r->at < at + len) {
            return true;
        }
    }
    return false;
}

static inline void shadow_check_read(const Shadow *s, const ShadowRequest *r)
{
    for (size_t i = 0; i < r->len; i += 512) {
        if (!s->unknown[(r->at + i) / 512]) {
            cr_assert_arr_eq(r->data + i, s->bytes + r->at + i, 512, "at %zu", (size_t)r->at + i);
        }
    }
}

static inline void shadow_take(Shadow *s)
{
    for (; s->seen < s->disk->done->len; s->seen++) {
        const DevemuBlockCompletion *done = disk_done(s->disk, s->seen);
        ShadowRequest *r = &s->requests[done->tag];

        cr_assert(r->busy);
        cr_assert_eq(done->status, 0, "operation %d at %zu: %d", r->op, (size_t)r->at,
                     done->status);
        r->busy = false;
        if (r->op == DEVEMU_BLOCK_READ) {
            shadow_check_read(s, r);
        } else if (r->op == DEVEMU_BLOCK_WRITE) {
            memcpy(s->bytes + r->at, r->data, r->len);
        } else if (r->op == DEVEMU_BLOCK_WRITE_ZEROES) {
            memset(s->bytes + r->at, 0, r->len);
        }
        for (size_t i = 0; r->op != DEVEMU_BLOCK_READ && i < r->len; i += 512) {
            s->unknown[(r->at + i) / 512] = r->op == DEVEMU_BLOCK_DISCARD;
        }
    }
}

/* Cut into pieces of any length. */
static inline void shadow_submit(Shadow *s, unsigned tag, bool more)
{
    ShadowRequest *r = &s->requests[tag];
    bool moves = r->op == DEVEMU_BLOCK_READ || r->op == DEVEMU_BLOCK_WRITE;
    DevemuBlockSlice slices[5];
    DevemuBlockRequest request = {
        .tag = tag, .op = r->op, .at = r->at, .len = r->len, .slices = slices};
    size_t from = 0;

    while (moves && from < r->len) {
        size_t left = r->len - from;
        size_t some = 1 + shadow_random(s) % 9000;
        size_t len = request.count == 4 ? left : MIN(left, some);

        slices[request.count++] = (DevemuBlockSlice){r->data + from, len};
        from += len;
    }
    if (r->op == DEVEMU_BLOCK_WRITE && shadow_random(s) % 8 == 0) {
        request.flags = DEVEMU_BLOCK_FUA;
    } else if (r->op == DEVEMU_BLOCK_WRITE_ZEROES) {
        request.flags = shadow_random(s) & (DEVEMU_BLOCK_FUA | DEVEMU_BLOCK_UNMAP);
    }
    r->busy = true;
    cr_assert(devemu_submit(s->disk->dev, &request, more));
}

static inline bool shadow_choose(Shadow *s, unsigned tag)
{
    static const DevemuBlockOp ops[] = {
        DEVEMU_BLOCK_READ,  DEVEMU_BLOCK_READ,    DEVEMU_BLOCK_READ,         DEVEMU_BLOCK_WRITE,
        DEVEMU_BLOCK_WRITE, DEVEMU_BLOCK_DISCARD, DEVEMU_BLOCK_WRITE_ZEROES, DEVEMU_BLOCK_FLUSH,
    };
    ShadowRequest *r = &s->requests[tag];
    uint64_t blocks = SHADOW_BYTES / s->block;

    r->op = ops[shadow_random(s) % G_N_ELEMENTS(ops)];
    r->at = shadow_random(s) % blocks * s->block;
    r->len = (1 + shadow_random(s) % (SHADOW_LEN / s->block)) * s->block;
    r->len = MIN(r->len, SHADOW_BYTES - r->at);
    if (r->op == DEVEMU_BLOCK_FLUSH) {
        r->at = r->len = 0;
        return true;
    }
    for (size_t i = 0; r->op == DEVEMU_BLOCK_WRITE && i < r->len; i += 4) {
        devemu_put_le32(r->data + i, shadow_random(s));
    }
    return !shadow_overlaps(s, r->at, r->len);
}

/* So many requests, up to SHADOW_DEPTH at once, on a medium of SHADOW_BYTES that is all zeroes. */
static inline void shadow_run(DevemuBlock *block, unsigned count, uint32_t seed)
{
    Shadow *s = g_new0(Shadow, 1);
    unsigned sent = 0;

    s->disk = disk_new(block);
    s->seed = seed;
    s->block = s->disk->info.block_size;
    cr_assert_eq(s->disk->info.capacity, SHADOW_BYTES);
    while (sent < count) {
        unsigned tag = shadow_random(s) % SHADOW_DEPTH;

        if (s->requests[tag].busy) {
            disk_wait(s->disk, s->seen + 1);
            shadow_take(s);
        } else if (shadow_choose(s, tag)) {
            shadow_submit(s, tag, sent + 1 < count && shadow_random(s) % 2);
            sent++;
        }
    }
    devemu_device_drain(s->disk->dev);
    shadow_take(s);
    cr_assert_eq(s->seen, count);
    devemu_block_attach(block, NULL);
    disk_free(s->disk);
    g_free(s);
}

#endif
