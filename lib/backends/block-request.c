/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-request.c: one request to a medium: its memory, its pieces, and whether it can be.
 */
#include "block.h"

#include <errno.h>

/* --- queues ------------------------------------------------------------------------ */

void block_queue_push(BlockQueue *queue, BlockRequest *request)
{
    request->next = NULL;
    if (queue->tail) {
        queue->tail->next = request;
    } else {
        queue->head = request;
    }
    queue->tail = request;
    queue->count++;
}

BlockRequest *block_queue_pop(BlockQueue *queue)
{
    BlockRequest *request = queue->head;

    if (request) {
        queue->head = request->next;
        queue->tail = queue->head ? queue->tail : NULL;
        queue->count--;
    }
    return request;
}

void block_queue_insert(BlockQueue *queue, BlockRequest *request,
                        bool (*later)(const BlockRequest *a, const BlockRequest *b))
{
    BlockRequest **slot = &queue->head;

    if (queue->tail == NULL || !later(queue->tail, request)) {
        block_queue_push(queue, request);
        return;
    }
    while (!later(*slot, request)) {
        slot = &(*slot)->next;
    }
    request->next = *slot;
    *slot = request;
    queue->count++;
}

/* --- requests ---------------------------------------------------------------------- */

BlockRequest *block_request_new(DevemuBlock *block, const DevemuBlockRequest *from)
{
    BlockRequest *request = block_queue_pop(&block->unused);

    if (request == NULL) {
        request = g_new0(BlockRequest, 1);
    }
    if (request->room < from->count) {
        g_free(request->iov);
        request->room = MAX(from->count, 8);
        request->iov = g_new(struct iovec, request->room);
    }
    request->block = block;
    request->serial = block->serial++;
    request->tag = from->tag;
    request->asked = request->op = from->op;
    request->flags = from->flags;
    request->at = from->at;
    request->len = from->len;
    request->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        request->iov[i].iov_base = from->slices[i].data;
        request->iov[i].iov_len = from->slices[i].len;
    }
    request->status = request->verdict = request->result = 0;
    request->value = request->done = 0;
    request->stage = 0;
    request->due_ns = 0;
    request->bounce = NULL;
    return request;
}

void block_request_free(BlockRequest *request)
{
    g_free(request->iov);
    g_free(request->cut);
    g_free(request);
}

const struct iovec *block_cut(BlockRequest *request, uint64_t from, uint64_t len, size_t max,
                              size_t *ret_count)
{
    size_t count = 0;

    if (request->cut_room < request->count) {
        g_free(request->cut);
        request->cut_room = request->room;
        request->cut = g_new(struct iovec, request->cut_room);
    }
    for (size_t i = 0; i < request->count && len > 0 && count < max; i++) {
        const struct iovec *whole = &request->iov[i];

        if (from >= whole->iov_len) {
            from -= whole->iov_len;
            continue;
        }
        request->cut[count].iov_base = (uint8_t *)whole->iov_base + from;
        request->cut[count].iov_len = MIN(whole->iov_len - from, len);
        len -= request->cut[count].iov_len;
        from = 0;
        count++;
    }
    *ret_count = count;
    return request->cut;
}

static uint64_t slices_len(const DevemuBlockRequest *request)
{
    uint64_t len = 0;

    for (size_t i = 0; i < request->count; i++) {
        if (request->slices[i].len > UINT64_MAX - len) {
            return UINT64_MAX;
        }
        len += request->slices[i].len;
    }
    return len;
}

static bool within(uint64_t len, uint64_t limit)
{
    return limit == 0 || len <= limit;
}

static int check_zone(const DevemuBlockInfo *info, const DevemuBlockRequest *request)
{
    bool appends = request->op == DEVEMU_BLOCK_ZONE_APPEND;

    if (request->op != DEVEMU_BLOCK_ZONE_REPORT && !appends) {
        return request->len == 0 ? 0 : -EINVAL;
    }
    return slices_len(request) == request->len &&
                   (!appends || (request->len > 0 && within(request->len, info->zone_max_append)))
               ? 0
               : -EINVAL;
}

/* Does the medium have this operation, with as many bytes? */
static int check_op(const DevemuBlockInfo *info, const DevemuBlockRequest *request)
{
    switch (request->op) {
    case DEVEMU_BLOCK_READ:
    case DEVEMU_BLOCK_WRITE:
        return slices_len(request) == request->len && within(request->len, info->max_transfer) &&
                       within(request->count, info->max_segments)
                   ? 0
                   : -EINVAL;
    case DEVEMU_BLOCK_DISCARD:
        return !info->discard ? -EOPNOTSUPP : within(request->len, info->max_discard) ? 0 : -EINVAL;
    case DEVEMU_BLOCK_WRITE_ZEROES:
        return !info->write_zeroes                      ? -EOPNOTSUPP
               : within(request->len, info->max_zeroes) ? 0
                                                        : -EINVAL;
    case DEVEMU_BLOCK_SECURE_ERASE:
        return !info->secure_erase                     ? -EOPNOTSUPP
               : within(request->len, info->max_erase) ? 0
                                                       : -EINVAL;
    default:
        return info->zoned && (unsigned)request->op < DEVEMU_BLOCK_OPS ? check_zone(info, request)
                                                                       : -EOPNOTSUPP;
    }
}

int block_check(const DevemuBlockInfo *info, const DevemuBlockRequest *request)
{
    int status;

    if (request->op == DEVEMU_BLOCK_FLUSH) {
        return 0;
    }
    status = check_op(info, request);
    if (status < 0) {
        return status;
    }
    if (info->read_only && request->op != DEVEMU_BLOCK_READ &&
        request->op != DEVEMU_BLOCK_ZONE_REPORT) {
        return -EROFS;
    }
    if (request->op == DEVEMU_BLOCK_ZONE_REPORT) {
        return request->at < info->capacity ? 0 : -ERANGE;
    }
    if ((request->at | request->len) & (info->block_size - 1)) {
        return -EINVAL;
    }
    if (request->op > DEVEMU_BLOCK_ZONE_REPORT && request->at >= info->capacity) {
        return -ERANGE;
    }
    if (request->at > info->capacity || request->len > info->capacity - request->at) {
        return -ERANGE;
    }
    return 0;
}
