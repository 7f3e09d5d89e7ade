/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-memory.c: media without a file: memory, and nothing.
 */
#define _GNU_SOURCE /* mremap() */
#include "block.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Zeroes that one request may ask for: so much is written without a pause. */
#define MAX_ZEROES (UINT64_C(64) << 20)

typedef struct BlockMemory {
    DevemuBlock block;
    uint8_t *data;
    uint64_t mapped; /* bytes */
} BlockMemory;

/* --- memory ------------------------------------------------------------------------ */

static void copy(BlockMemory *m, const BlockRequest *request)
{
    uint8_t *at = m->data + request->at;

    for (size_t i = 0; i < request->count; i++) {
        if (request->op == DEVEMU_BLOCK_READ) {
            memcpy(request->iov[i].iov_base, at, request->iov[i].iov_len);
        } else {
            memcpy(at, request->iov[i].iov_base, request->iov[i].iov_len);
        }
        at += request->iov[i].iov_len;
    }
}

/* Whole pages go back to the system, and read as zeroes. */
static void clear(BlockMemory *m, uint64_t at, uint64_t len)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = (at + page - 1) / page * page;
    uint64_t to = (at + len) / page * page;

    if (from >= to || madvise(m->data + from, to - from, MADV_DONTNEED) < 0) {
        memset(m->data + at, 0, len);
        return;
    }
    memset(m->data + at, 0, from - at);
    memset(m->data + to, 0, at + len - to);
}

static void memory_submit(DevemuBlock *block, BlockRequest *request)
{
    BlockMemory *m = (BlockMemory *)block;

    switch (request->op) {
    case DEVEMU_BLOCK_READ:
    case DEVEMU_BLOCK_WRITE:
        copy(m, request);
        break;
    case DEVEMU_BLOCK_WRITE_ZEROES:
        if (!(request->flags & DEVEMU_BLOCK_UNMAP)) {
            memset(m->data + request->at, 0, request->len);
            break;
        }
        clear(m, request->at, request->len);
        break;
    case DEVEMU_BLOCK_SECURE_ERASE:
        memset(m->data + request->at, 0, request->len);
        break;
    case DEVEMU_BLOCK_DISCARD:
        clear(m, request->at, request->len);
        break;
    default:
        break; /* a flush: it is where it will be */
    }
    block_done(request, 0);
}

static uint8_t *map(uint64_t len)
{
    uint8_t *data;

    if (len > SIZE_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    data =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

static bool memory_resize(DevemuBlock *block, uint64_t capacity, GError **error)
{
    BlockMemory *m = (BlockMemory *)block;
    uint8_t *data = mremap(m->data, m->mapped, capacity, MREMAP_MAYMOVE);

    if (data == MAP_FAILED) {
        block_refuse(error, "memory: cannot be %" G_GUINT64_FORMAT " bytes: %s", capacity,
                     g_strerror(errno));
        return false;
    }
    m->data = data;
    m->mapped = capacity;
    return true;
}

static void memory_finish(DevemuBlock *block)
{
    BlockMemory *m = (BlockMemory *)block;

    if (m->data) {
        munmap(m->data, m->mapped);
    }
}

/* --- nothing ----------------------------------------------------------------------- */

static void null_submit(DevemuBlock *block, BlockRequest *request)
{
    (void)block;
    for (size_t i = 0; request->op == DEVEMU_BLOCK_READ && i < request->count; i++) {
        memset(request->iov[i].iov_base, 0, request->iov[i].iov_len);
    }
    block_done(request, 0);
}

static bool null_resize(DevemuBlock *block, uint64_t capacity, GError **error)
{
    (void)block;
    (void)capacity;
    (void)error;
    return true;
}

/* --- making ------------------------------------------------------------------------ */

static const BlockClass memory_class = {
    .name = "memory",
    .submit = memory_submit,
    .resize = memory_resize,
    .finish = memory_finish,
};

static const BlockClass null_class = {
    .name = "null",
    .submit = null_submit,
    .resize = null_resize,
};

static BlockMemory *make(const BlockClass *class, const DevemuSetting *settings,
                         const BlockCommon *common, GMainContext *context, GError **error)
{
    static const Option table[] = {
        {.name = "size", .type = OPTION_UINT, .min = 512, .max = INT64_MAX / 512 * 512},
        {.name = NULL},
    };
    uint64_t size = 0;
    BlockMemory *m;

    if (!options_fill(class->name, table, settings, &size, error)) {
        return NULL;
    }
    if (size == 0) {
        options_refuse(error, "%s: how large? Write %s:64M, say", class->name, class->name);
        return NULL;
    }
    m = block_new(sizeof(*m), class, common, context, error);
    if (m == NULL) {
        return NULL;
    }
    m->block.info = (DevemuBlockInfo){
        .capacity = size,
        .block_size = 512,
        .physical_size = 512,
        .read_only = common->read_only,
        .discard = true,
        .write_zeroes = true,
        .zeroes_unmap = true,
        .secure_erase = true,
        .max_zeroes = MAX_ZEROES,
        .max_discard = MAX_ZEROES,
        .max_erase = MAX_ZEROES,
    };
    if (!block_finish_info(&m->block, common, error)) {
        devemu_block_free(&m->block);
        return NULL;
    }
    return m;
}

DevemuBlock *block_memory_make(const DevemuSetting *settings, const BlockCommon *common,
                               GMainContext *context, GError **error)
{
    BlockMemory *m = make(&memory_class, settings, common, context, error);

    if (m == NULL) {
        return NULL;
    }
    m->mapped = m->block.info.capacity;
    m->data = map(m->mapped);
    if (m->data == NULL) {
        block_refuse(error, "memory: cannot be %" G_GUINT64_FORMAT " bytes: %s", m->mapped,
                     g_strerror(errno));
        devemu_block_free(&m->block);
        return NULL;
    }
    return &m->block;
}

DevemuBlock *block_null_make(const DevemuSetting *settings, const BlockCommon *common,
                             GMainContext *context, GError **error)
{
    BlockMemory *m = make(&null_class, settings, common, context, error);

    return m ? &m->block : NULL;
}
