/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-threads.c: files by system calls that wait, each on a thread of a pool. The threads touch
 * nothing of a request but its step and its result.
 */
#define _GNU_SOURCE /* preadv2(), fallocate() */
#include "block-file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct Threads {
    GThreadPool *pool;
    int event;
    GMutex lock; /* guards the queue */
    GCond ended;
    BlockQueue done;
    gint waiting; /* of done; atomic, so that a look costs nothing */
    gint silent;  /* nobody sleeps on event */
} Threads;

static int call(const BlockFile *file, const BlockStep *step)
{
    ssize_t result = 0;

    switch (step->kind) {
    case BLOCK_STEP_READ:
        result = preadv(file->fd, step->iov, (int)step->count, (off_t)step->at);
        break;
    case BLOCK_STEP_WRITE:
        result = pwritev2(file->fd, step->iov, (int)step->count, (off_t)step->at, step->flags);
        break;
    case BLOCK_STEP_SYNC:
        result = fdatasync(file->fd);
        break;
    case BLOCK_STEP_ALLOCATE:
        result = fallocate(file->fd, step->flags, (off_t)step->at, (off_t)step->len);
        break;
    }
    return result < 0 ? -errno : (int)result;
}

static void work(gpointer data, gpointer opaque)
{
    BlockRequest *request = data;
    const BlockFile *file = opaque;
    Threads *t = file->engine;
    uint64_t one = 1;
    bool first;

    request->result = call(file, &request->step);
    g_mutex_lock(&t->lock);
    first = t->done.head == NULL;
    block_queue_push(&t->done, request);
    g_atomic_int_inc(&t->waiting);
    g_cond_signal(&t->ended);
    if (first && !g_atomic_int_get(&t->silent)) {
        /* Under the lock: the descriptor lives as long as somebody waits for this request. */
        while (write(t->event, &one, sizeof(one)) < 0 && errno == EINTR) {
        }
    }
    g_mutex_unlock(&t->lock);
}

static void submit(DevemuBlock *block, BlockRequest *request)
{
    BlockFile *file = (BlockFile *)block;

    block_file_begin(file, request);
    g_thread_pool_push(((Threads *)file->engine)->pool, request, NULL);
}

static void reap(DevemuBlock *block)
{
    BlockFile *file = (BlockFile *)block;
    Threads *t = file->engine;
    BlockQueue ended;
    BlockRequest *request;

    if (g_atomic_int_get(&t->waiting) == 0) {
        return;
    }
    g_mutex_lock(&t->lock);
    ended = t->done;
    t->done = (BlockQueue){NULL, NULL, 0};
    g_atomic_int_set(&t->waiting, 0);
    g_mutex_unlock(&t->lock);
    while ((request = block_queue_pop(&ended)) != NULL) {
        if (block_file_step(file, request, request->result)) {
            g_thread_pool_push(t->pool, request, NULL);
        }
    }
}

static void wait_for_one(DevemuBlock *block)
{
    Threads *t = ((BlockFile *)block)->engine;

    g_mutex_lock(&t->lock);
    while (t->done.head == NULL) {
        g_cond_wait(&t->ended, &t->lock);
    }
    g_mutex_unlock(&t->lock);
    reap(block);
}

static void watch(DevemuBlock *block)
{
    loop_watch(block->loop, ((Threads *)((BlockFile *)block)->engine)->event, G_IO_IN);
}

static void fetch(DevemuBlock *block)
{
    Threads *t = ((BlockFile *)block)->engine;
    uint64_t count;

    if (loop_found(block->loop, t->event)) {
        while (read(t->event, &count, sizeof(count)) < 0 && errno == EINTR) {
        }
    }
    reap(block);
}

static void set_polled(DevemuBlock *block, bool polled)
{
    g_atomic_int_set(&((Threads *)((BlockFile *)block)->engine)->silent, polled);
    reap(block); /* what ended in silence */
}

static void finish(DevemuBlock *block)
{
    BlockFile *file = (BlockFile *)block;
    Threads *t = file->engine;

    if (t) {
        g_thread_pool_free(t->pool, FALSE, TRUE);
        close(t->event);
        g_mutex_clear(&t->lock);
        g_cond_clear(&t->ended);
        g_free(t);
    }
    block_file_close(file);
}

const BlockClass block_threads_class = {
    .name = "file",
    .submit = submit,
    .reap = reap,
    .wait = wait_for_one,
    .watch = watch,
    .fetch = fetch,
    .set_polled = set_polled,
    .resize = block_file_resize,
    .finish = finish,
};

bool block_threads_init(BlockFile *file, unsigned threads, GError **error)
{
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    Threads *t;

    if (event < 0) {
        return block_refuse(error, "file: no eventfd: %s", g_strerror(errno));
    }
    t = g_new0(Threads, 1);
    t->event = event;
    g_mutex_init(&t->lock);
    g_cond_init(&t->ended);
    file->engine = t;
    t->pool = g_thread_pool_new(work, file, (gint)threads, FALSE, NULL);
    return true;
}
