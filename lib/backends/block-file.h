/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-file.h: files as media. What system calls a request needs, one after the other, is
 * block-file.c's business; an engine makes them without waiting: block-uring.c, block-threads.c.
 */
#ifndef DEVEMU_BACKENDS_BLOCK_FILE_H
#define DEVEMU_BACKENDS_BLOCK_FILE_H

#include "block.h"

typedef struct BlockFile {
    DevemuBlock block;
    int fd;
    bool is_device; /* a block device */
    bool direct;
    bool sync;      /* write through */
    uint64_t whole; /* bytes of the file that are whole blocks; behind them zeroes are read */
    bool no_punch;  /* what the file system turned out not to have */
    bool no_zero;
    uint8_t *zeroes; /* to write, when it comes to that */
    void *engine;
} BlockFile;

/* What is known before the engine is chosen. */
typedef struct BlockFileOptions {
    char *path, *aio, *cache;
    bool direct, lock;
    uint64_t threads;
} BlockFileOptions;

/* The request begins: its first step is in request->step. */
void block_file_begin(BlockFile *file, BlockRequest *request);
/* Its step has ended with the result of the system call, or a negative errno. True: there is
 * another one in request->step; false: block_done() was called. */
bool block_file_step(BlockFile *file, BlockRequest *request, int result);

/* For the engines' classes. */
bool block_file_resize(DevemuBlock *block, uint64_t capacity, GError **error);
void block_file_close(BlockFile *file);

/* The engines. io_uring may be refused by the kernel, or not be in this build. */
extern const BlockClass block_uring_class, block_threads_class;
bool block_uring_init(BlockFile *file, GError **error);
bool block_threads_init(BlockFile *file, unsigned threads, GError **error);

/* Refuse an image that somebody else writes, or, for a writer, that anybody else uses. The lock
 * goes with fd. */
bool block_file_lock(int fd, const char *path, bool read_only, GError **error);
void block_file_unlock(int fd);
/* Fill info from the file. False if it is none that a medium can be. */
bool block_file_info(BlockFile *file, const char *path, GError **error);

#endif
