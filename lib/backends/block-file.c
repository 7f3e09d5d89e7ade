/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-file.c: files and block devices as media: the system calls of each request.
 */
#define _GNU_SOURCE /* O_DIRECT, RWF_DSYNC, FALLOC_FL_* */
#include "block-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ZEROES_LEN   (UINT64_C(1) << 20)
#define ZEROES_COUNT 16
#define SLICES_MAX   1024

/* What BlockRequest.stage says: what its step is. */
enum { STAGE_FIRST, STAGE_WRITE_ZEROES, STAGE_SYNC };

/* --- memory that the file cannot take ---------------------------------------------- */

static bool is_aligned(const BlockRequest *request, size_t align)
{
    for (size_t i = 0; i < request->count; i++) {
        if (((uintptr_t)request->iov[i].iov_base | request->iov[i].iov_len) & (align - 1)) {
            return false;
        }
    }
    return true;
}

static void gather(const BlockRequest *request, uint8_t *to)
{
    for (size_t i = 0; i < request->count; i++) {
        memcpy(to, request->iov[i].iov_base, request->iov[i].iov_len);
        to += request->iov[i].iov_len;
    }
}

/* Direct access wants memory that is aligned as the blocks are. */
static bool bounce(BlockFile *file, BlockRequest *request)
{
    size_t align = file->block.info.block_size;

    if (!file->direct || request->count == 0 || is_aligned(request, align)) {
        return true;
    }
    if (posix_memalign(&request->bounce, align, request->len) != 0) {
        request->bounce = NULL;
        return false;
    }
    if (request->op == DEVEMU_BLOCK_WRITE) {
        gather(request, request->bounce);
    }
    request->user_iov = request->iov;
    request->user_count = request->count;
    request->one = (struct iovec){request->bounce, request->len};
    request->iov = &request->one;
    request->count = 1;
    return true;
}

static void unbounce(BlockRequest *request)
{
    const uint8_t *from = request->bounce;

    if (from == NULL) {
        return;
    }
    request->iov = request->user_iov;
    request->count = request->user_count;
    for (size_t i = 0; request->op == DEVEMU_BLOCK_READ && i < request->count; i++) {
        memcpy(request->iov[i].iov_base, from, request->iov[i].iov_len);
        from += request->iov[i].iov_len;
    }
    free(request->bounce);
    request->bounce = NULL;
}

static bool finish(BlockRequest *request, int status)
{
    unbounce(request);
    block_done(request, status);
    return false;
}

/* --- steps ------------------------------------------------------------------------- */

static bool wants_sync(const BlockFile *file, const BlockRequest *request)
{
    return file->sync || request->flags & DEVEMU_BLOCK_FUA;
}

static void move(BlockFile *file, BlockRequest *request)
{
    BlockStep *step = &request->step;

    step->kind = request->op == DEVEMU_BLOCK_READ ? BLOCK_STEP_READ : BLOCK_STEP_WRITE;
    step->at = request->at + request->done;
    step->flags = request->op == DEVEMU_BLOCK_WRITE && wants_sync(file, request) ? RWF_DSYNC : 0;
    if (request->done == 0 && request->count <= SLICES_MAX) {
        step->iov = request->iov;
        step->count = request->count;
    } else {
        step->iov = block_cut(request, request->done, request->len - request->done, SLICES_MAX,
                              &step->count);
    }
}

/* The same zeroes again and again. */
static void write_zeroes(BlockFile *file, BlockRequest *request)
{
    uint64_t left = request->len - request->done;
    size_t count = 0;

    if (request->cut_room < ZEROES_COUNT) {
        g_free(request->cut);
        request->cut_room = ZEROES_COUNT;
        request->cut = g_new(struct iovec, request->cut_room);
    }
    for (; count < ZEROES_COUNT && left > 0; count++) {
        request->cut[count] = (struct iovec){file->zeroes, MIN(left, ZEROES_LEN)};
        left -= request->cut[count].iov_len;
    }
    request->stage = STAGE_WRITE_ZEROES;
    request->step = (BlockStep){.kind = BLOCK_STEP_WRITE,
                                .iov = request->cut,
                                .count = count,
                                .at = request->at + request->done};
}

static void allocate(BlockRequest *request, int flags)
{
    request->step = (BlockStep){.kind = BLOCK_STEP_ALLOCATE,
                                .at = request->at,
                                .len = request->len,
                                .flags = flags | FALLOC_FL_KEEP_SIZE};
}

static void begin_zeroes(BlockFile *file, BlockRequest *request)
{
    if (request->flags & DEVEMU_BLOCK_UNMAP && !file->no_punch) {
        allocate(request, FALLOC_FL_PUNCH_HOLE);
    } else if (!file->no_zero) {
        allocate(request, FALLOC_FL_ZERO_RANGE);
    } else {
        write_zeroes(file, request);
    }
}

static void sync_file(BlockRequest *request)
{
    request->stage = STAGE_SYNC;
    request->step = (BlockStep){.kind = BLOCK_STEP_SYNC};
}

void block_file_begin(BlockFile *file, BlockRequest *request)
{
    switch (request->op) {
    case DEVEMU_BLOCK_READ:
    case DEVEMU_BLOCK_WRITE:
        if (!bounce(file, request)) {
            /* Fails as the system call would, by the way of all that fails. */
            request->step = (BlockStep){.kind = BLOCK_STEP_SYNC};
            request->verdict = -ENOMEM;
            request->stage = STAGE_SYNC;
            break;
        }
        move(file, request);
        break;
    case DEVEMU_BLOCK_DISCARD:
        allocate(request, FALLOC_FL_PUNCH_HOLE);
        break;
    case DEVEMU_BLOCK_WRITE_ZEROES:
        begin_zeroes(file, request);
        break;
    default:
        sync_file(request);
        break;
    }
}

/* --- results ----------------------------------------------------------------------- */

/* A file ends where it ends; one that has become shorter is an error. */
static bool read_nothing(const BlockFile *file, BlockRequest *request)
{
    uint64_t from = request->done;
    size_t count;
    const struct iovec *rest;

    if (request->at + request->done < file->whole) {
        return finish(request, -EIO);
    }
    rest = block_cut(request, from, request->len - from, request->count, &count);
    for (size_t i = 0; i < count; i++) {
        memset(rest[i].iov_base, 0, rest[i].iov_len);
    }
    return finish(request, 0);
}

static bool moved(BlockFile *file, BlockRequest *request, int result)
{
    if (result == 0) {
        return request->op == DEVEMU_BLOCK_READ ? read_nothing(file, request)
                                                : finish(request, -ENOSPC);
    }
    request->done += (unsigned)result;
    if (request->done >= request->len) {
        return finish(request, 0);
    }
    move(file, request);
    return true;
}

static bool is_missing(int result)
{
    return result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL || result == -ENODEV;
}

static bool allocated(BlockFile *file, BlockRequest *request, int result)
{
    if (request->op == DEVEMU_BLOCK_DISCARD) {
        /* It is a hint. */
        return finish(request, is_missing(result) ? 0 : result);
    }
    if (is_missing(result)) {
        bool punched = request->step.flags & FALLOC_FL_PUNCH_HOLE;

        file->no_punch |= punched;
        file->no_zero |= !punched;
        begin_zeroes(file, request);
        return true;
    }
    if (result < 0 || !wants_sync(file, request)) {
        return finish(request, result);
    }
    sync_file(request);
    return true;
}

static bool zeroed(BlockFile *file, BlockRequest *request, int result)
{
    if (result == 0) {
        return finish(request, -ENOSPC);
    }
    request->done += (unsigned)result;
    if (request->done < request->len) {
        write_zeroes(file, request);
        return true;
    }
    if (!wants_sync(file, request)) {
        return finish(request, 0);
    }
    sync_file(request);
    return true;
}

bool block_file_step(BlockFile *file, BlockRequest *request, int result)
{
    if (result == -EINTR || result == -EAGAIN) {
        return true; /* the same again */
    }
    if (request->step.kind == BLOCK_STEP_ALLOCATE) {
        return allocated(file, request, result);
    }
    if (result < 0 || request->step.kind == BLOCK_STEP_SYNC) {
        return finish(request, result);
    }
    return request->stage == STAGE_WRITE_ZEROES ? zeroed(file, request, result)
                                                : moved(file, request, result);
}

/* --- opening ----------------------------------------------------------------------- */

static const Option options[] = {
    {"path", OPTION_TEXT, offsetof(BlockFileOptions, path), 0, 0},
    {"aio", OPTION_TEXT, offsetof(BlockFileOptions, aio), 0, 0},
    {"cache", OPTION_TEXT, offsetof(BlockFileOptions, cache), 0, 0},
    {"direct", OPTION_BOOL, offsetof(BlockFileOptions, direct), 0, 0},
    {"lock", OPTION_BOOL, offsetof(BlockFileOptions, lock), 0, 0},
    {"threads", OPTION_UINT, offsetof(BlockFileOptions, threads), 1, 64},
    {.name = NULL},
};

static bool options_good(const BlockFileOptions *o, GError **error)
{
    if (o->path == NULL) {
        return options_refuse(error, "file: which one? Write file:PATH");
    }
    if (o->aio && strcmp(o->aio, "io_uring") != 0 && strcmp(o->aio, "threads") != 0) {
        return options_refuse(error, "file: aio=%s is not known; there are io_uring and threads",
                              o->aio);
    }
    return block_cache_good("file", o->cache, error);
}

static bool open_file(BlockFile *file, const BlockFileOptions *o, bool read_only, GError **error)
{
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (o->direct ? O_DIRECT : 0);

    file->direct = o->direct;
    file->sync = o->cache && strcmp(o->cache, "writethrough") == 0;
    file->block.info.read_only = read_only;
    file->fd = open(o->path, flags);
    if (file->fd < 0 && errno == EINVAL && o->direct) {
        block_refuse(error, "file: '%s' is on a file system without direct access; use direct=off",
                     o->path);
        return false;
    }
    if (file->fd < 0) {
        block_refuse(error, "file: cannot open '%s'%s: %s", o->path,
                     read_only ? "" : " for writing (readonly=on only reads)", g_strerror(errno));
        return false;
    }
    file->zeroes = mmap(NULL, ZEROES_LEN, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (file->zeroes == MAP_FAILED) {
        file->zeroes = NULL;
        block_refuse(error, "file: no memory for '%s'", o->path);
        return false;
    }
    return block_file_info(file, o->path, error) &&
           (!o->lock || block_file_lock(file->fd, o->path, read_only, error));
}

static bool start_engine(BlockFile *file, const BlockFileOptions *o, GError **error)
{
    bool any = o->aio == NULL;

    if (any || strcmp(o->aio, "io_uring") == 0) {
        bool done = block_uring_init(file, any ? NULL : error);

        if (done) {
            file->block.class = &block_uring_class;
        }
        if (done || !any) {
            return done;
        }
    }
    return block_threads_init(file, (unsigned)o->threads, error);
}

static DevemuBlock *make(const BlockFileOptions *o, const BlockCommon *common,
                         GMainContext *context, GError **error)
{
    BlockFile *file = block_new(sizeof(*file), &block_threads_class, common, context, error);

    if (file == NULL) {
        return NULL;
    }
    file->fd = -1;
    if (!open_file(file, o, common->read_only, error) ||
        !block_finish_info(&file->block, common, error) || !start_engine(file, o, error)) {
        devemu_block_free(&file->block);
        return NULL;
    }
    return &file->block;
}

DevemuBlock *block_file_make(const DevemuSetting *settings, const BlockCommon *common,
                             GMainContext *context, GError **error)
{
    BlockFileOptions o = {.lock = true, .threads = 8};
    DevemuBlock *block = NULL;

    if (!options_fill("file", options, settings, &o, error)) {
        return NULL;
    }
    if (options_good(&o, error)) {
        block = make(&o, common, context, error);
    }
    options_clear(options, &o);
    return block;
}

bool block_file_resize(DevemuBlock *block, uint64_t capacity, GError **error)
{
    BlockFile *file = (BlockFile *)block;

    if (file->is_device || block->info.read_only) {
        return options_refuse(error, "file: the size of a %s cannot be changed from here",
                              file->is_device ? "block device" : "read-only image");
    }
    if (ftruncate(file->fd, (off_t)capacity) < 0) {
        block_refuse(error, "file: cannot be %" G_GUINT64_FORMAT " bytes: %s", capacity,
                     g_strerror(errno));
        return false;
    }
    file->whole = capacity;
    return true;
}

void block_file_close(BlockFile *file)
{
    if (file->zeroes) {
        munmap(file->zeroes, ZEROES_LEN);
    }
    if (file->fd >= 0) {
        block_file_unlock(file->fd); /* an io_uring lets go of the file later */
        close(file->fd);
    }
}
