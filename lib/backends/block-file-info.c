/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-file-info.c: what a file or a block device is as a medium.
 */
#define _GNU_SOURCE /* major() */
#include "block-file.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Blocks that direct access may want. */
#define DIRECT_MAX 4096

/* A number of the queue of a block device; 0 if it is not known. */
static uint64_t queue_value(const struct stat *st, const char *name)
{
    g_autofree char *path = NULL, *text = NULL;

    for (unsigned i = 0; i < 2; i++) {
        /* A partition has none of its own: its disk is the folder above. */
        g_free(path);
        path = g_strdup_printf("/sys/dev/block/%u:%u/%squeue/%s", major(st->st_rdev),
                               minor(st->st_rdev), i ? "../" : "", name);
        if (g_file_get_contents(path, &text, NULL, NULL)) {
            return g_ascii_strtoull(text, NULL, 10);
        }
    }
    return 0;
}

static bool device_info(BlockFile *file, const struct stat *st)
{
    DevemuBlockInfo *info = &file->block.info;
    unsigned value;
    int logical;

    if (ioctl(file->fd, BLKGETSIZE64, &info->capacity) < 0 ||
        ioctl(file->fd, BLKSSZGET, &logical) < 0) {
        return false;
    }
    info->block_size = (uint32_t)logical;
    if (ioctl(file->fd, BLKPBSZGET, &value) == 0) {
        info->physical_size = value;
    }
    if (ioctl(file->fd, BLKIOMIN, &value) == 0) {
        info->min_io = value;
    }
    if (ioctl(file->fd, BLKIOOPT, &value) == 0) {
        info->opt_io = value;
    }
    info->rotational = queue_value(st, "rotational") != 0;
    info->max_discard = queue_value(st, "discard_max_bytes");
    info->discard = info->max_discard > 0;
    info->discard_granularity = (uint32_t)queue_value(st, "discard_granularity");
    file->whole = info->capacity;
    return true;
}

/* The smallest blocks that can be read past the page cache. */
static uint32_t direct_size(int fd)
{
    uint32_t size = 512;
    void *buf = NULL;

    if (posix_memalign(&buf, DIRECT_MAX, DIRECT_MAX) != 0) {
        return DIRECT_MAX;
    }
    while (size < DIRECT_MAX && pread(fd, buf, size, size) < 0 && errno == EINVAL) {
        size *= 2;
    }
    free(buf);
    return size;
}

static void regular_info(BlockFile *file, const struct stat *st)
{
    DevemuBlockInfo *info = &file->block.info;
    uint64_t size = (uint64_t)st->st_size;

    info->block_size = file->direct ? direct_size(file->fd) : 512;
    info->physical_size = (uint32_t)st->st_blksize;
    info->capacity = (size + info->block_size - 1) / info->block_size * info->block_size;
    info->discard = true;
    info->discard_granularity = (uint32_t)st->st_blksize;
    file->whole = size / info->block_size * info->block_size;
}

bool block_file_info(BlockFile *file, const char *path, GError **error)
{
    DevemuBlockInfo *info = &file->block.info;
    struct stat st;

    if (fstat(file->fd, &st) < 0) {
        return block_refuse(error, "file: '%s': %s", path, g_strerror(errno));
    }
    file->is_device = S_ISBLK(st.st_mode);
    if (!file->is_device && !S_ISREG(st.st_mode)) {
        return options_refuse(error, "file: '%s' is neither a file nor a block device", path);
    }
    if (file->is_device && !device_info(file, &st)) {
        return block_refuse(error, "file: '%s': %s", path, g_strerror(errno));
    }
    if (!file->is_device) {
        regular_info(file, &st);
    }
    if (info->capacity == 0) {
        return options_refuse(
            error, "file: '%s' is empty; give it a size first, as with truncate -s 1G", path);
    }
    if (info->physical_size & (info->physical_size - 1)) {
        info->physical_size = info->block_size;
    }
    info->max_segments = 1024; /* IOV_MAX of Linux */
    info->write_cache = !file->sync;
    info->write_zeroes = info->zeroes_unmap = true;
    return true;
}
