/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-uring.c: files by io_uring.
 *
 * A batch is one system call. What the kernel ends within that call is seen right behind it; for
 * the rest it signals an eventfd, unless the program polls the ring.
 */
#define _GNU_SOURCE
#include "block-file.h"

#ifdef DEVEMU_HAVE_URING

#include <errno.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Requests of one batch; there may be more in flight, which the kernel keeps. */
#define ENTRIES 256
#define REAP    64

typedef struct Uring {
    struct io_uring ring;
    int event;
    bool unsubmitted; /* there are entries that the kernel has not seen */
} Uring;

static void prepare(struct io_uring_sqe *sqe, const BlockStep *step)
{
    switch (step->kind) {
    case BLOCK_STEP_READ:
        if (step->count == 1 && step->iov->iov_len <= INT32_MAX) {
            io_uring_prep_read(sqe, 0, step->iov->iov_base, (unsigned)step->iov->iov_len, step->at);
        } else {
            io_uring_prep_readv(sqe, 0, step->iov, (unsigned)step->count, step->at);
        }
        break;
    case BLOCK_STEP_WRITE:
        if (step->count == 1 && step->iov->iov_len <= INT32_MAX) {
            io_uring_prep_write(sqe, 0, step->iov->iov_base, (unsigned)step->iov->iov_len,
                                step->at);
            sqe->rw_flags = step->flags;
        } else {
            io_uring_prep_writev2(sqe, 0, step->iov, (unsigned)step->count, step->at, step->flags);
        }
        break;
    case BLOCK_STEP_SYNC:
        io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
        break;
    case BLOCK_STEP_ALLOCATE:
        io_uring_prep_fallocate(sqe, 0, step->flags, (off_t)step->at, (off_t)step->len);
        break;
    }
    sqe->flags |= IOSQE_FIXED_FILE;
}

static struct io_uring_sqe *get_entry(Uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

    while (sqe == NULL) {
        /* Full. The kernel takes them, or, if it has too much to tell, after that. */
        if (io_uring_submit(&u->ring) < 0) {
            io_uring_get_events(&u->ring);
        }
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static void queue(BlockFile *file, BlockRequest *request)
{
    Uring *u = file->engine;
    struct io_uring_sqe *sqe = get_entry(u);

    prepare(sqe, &request->step);
    io_uring_sqe_set_data(sqe, request);
    u->unsubmitted = true;
}

static void submit(DevemuBlock *block, BlockRequest *request)
{
    BlockFile *file = (BlockFile *)block;

    block_file_begin(file, request);
    queue(file, request);
}

/* False if there was nothing, or the kernel did not take it: that stays in the ring. What ends
 * within the call is not signalled: the caller looks for it. */
static bool flush(const DevemuBlock *block)
{
    Uring *u = ((const BlockFile *)block)->engine;
    bool taken;

    if (!u->unsubmitted) {
        return false;
    }
    io_uring_cq_eventfd_toggle(&u->ring, false);
    taken = io_uring_submit(&u->ring) >= 0;
    io_uring_cq_eventfd_toggle(&u->ring, !block->polled);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* what was not signalled is seen by a look now */
    u->unsubmitted = !taken;
    return taken;
}

static void reap_once(BlockFile *file)
{
    Uring *u = file->engine;
    struct io_uring_cqe *cqes[REAP];
    unsigned count;

    while ((count = io_uring_peek_batch_cqe(&u->ring, cqes, REAP)) > 0) {
        for (unsigned i = 0; i < count; i++) {
            BlockRequest *request = io_uring_cqe_get_data(cqes[i]);

            if (block_file_step(file, request, cqes[i]->res)) {
                queue(file, request);
            }
        }
        io_uring_cq_advance(&u->ring, count);
    }
}

/* A request has few steps. */
static void reap(DevemuBlock *block)
{
    BlockFile *file = (BlockFile *)block;
    Uring *u = file->engine;

    do {
        reap_once(file);
    } while (flush(block));
    block->unkicked = u->unsubmitted;
}

static void kick(DevemuBlock *block)
{
    flush(block);
    reap(block);
}

static void wait_for_one(DevemuBlock *block)
{
    Uring *u = ((BlockFile *)block)->engine;
    struct io_uring_cqe *cqe;

    if (u->unsubmitted) {
        u->unsubmitted = io_uring_submit_and_wait(&u->ring, 1) < 0;
    } else {
        io_uring_wait_cqe(&u->ring, &cqe);
    }
    reap(block);
}

static void watch(DevemuBlock *block)
{
    loop_watch(block->loop, ((Uring *)((BlockFile *)block)->engine)->event, G_IO_IN);
}

static void fetch(DevemuBlock *block)
{
    Uring *u = ((BlockFile *)block)->engine;
    uint64_t count;

    if (loop_found(block->loop, u->event)) {
        while (read(u->event, &count, sizeof(count)) < 0 && errno == EINTR) {
        }
    }
    reap(block);
}

static void set_polled(DevemuBlock *block, bool polled)
{
    io_uring_cq_eventfd_toggle(&((Uring *)((BlockFile *)block)->engine)->ring, !polled);
    reap(block); /* what ended in silence */
}

static void finish(DevemuBlock *block)
{
    BlockFile *file = (BlockFile *)block;
    Uring *u = file->engine;

    if (u) {
        io_uring_queue_exit(&u->ring);
        close(u->event);
        g_free(u);
    }
    block_file_close(file);
}

const BlockClass block_uring_class = {
    .name = "file",
    .submit = submit,
    .kick = kick,
    .reap = reap,
    .wait = wait_for_one,
    .watch = watch,
    .fetch = fetch,
    .set_polled = set_polled,
    .resize = block_file_resize,
    .finish = finish,
};

/* Has the kernel all that prepare() asks for? */
static bool able(struct io_uring *ring)
{
    static const int wanted[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_READ,
                                 IORING_OP_WRITE, IORING_OP_FSYNC,  IORING_OP_FALLOCATE};
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool all = probe != NULL && ring->features & IORING_FEAT_NODROP;

    for (size_t i = 0; all && i < G_N_ELEMENTS(wanted); i++) {
        all = io_uring_opcode_supported(probe, wanted[i]);
    }
    io_uring_free_probe(probe);
    return all;
}

bool block_uring_init(BlockFile *file, GError **error)
{
    Uring *u = g_new0(Uring, 1);
    int result = io_uring_queue_init(ENTRIES, &u->ring, 0);

    if (result < 0) {
        g_free(u);
        return block_refuse(error, "file: this system gives no io_uring (%s); use aio=threads",
                            g_strerror(-result));
    }
    u->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (u->event < 0 || !able(&u->ring) || io_uring_register_files(&u->ring, &file->fd, 1) < 0 ||
        io_uring_register_eventfd(&u->ring, u->event) < 0) {
        io_uring_queue_exit(&u->ring);
        if (u->event >= 0) {
            close(u->event);
        }
        g_free(u);
        return block_refuse(error, "file: the io_uring of this system is too old; use aio=threads");
    }
    file->engine = u;
    return true;
}

#else

const BlockClass block_uring_class = {.name = "file"};

bool block_uring_init(BlockFile *file, GError **error)
{
    (void)file;
    return block_refuse(error, "file: this build of the library has no io_uring (liburing); use "
                               "aio=threads");
}

#endif
