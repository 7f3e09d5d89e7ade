/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c: what all media have in common: the way of a request down to its
 * kind and up to the device, and who drives it.
 */
#define _GNU_SOURCE /* timerfd */
#include "block.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Completions told in one event. */
#define BATCH 256
/* A device that never says "ready" is asked again after this. */
#define RETRY_NS 10000000

void *block_refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error) {
        *error = g_error_new_valist(DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, format, args);
    }
    va_end(args);
    return NULL;
}

static uint64_t now_ns(const DevemuBlock *block)
{
    return block->clock ? block->clock(block->clock_opaque)
                        : (uint64_t)g_get_monotonic_time() * 1000;
}

static bool due_later(const BlockRequest *a, const BlockRequest *b)
{
    return a->due_ns > b->due_ns;
}

static bool came_later(const BlockRequest *a, const BlockRequest *b)
{
    return a->serial > b->serial;
}

/* --- up: to the device ------------------------------------------------------------- */

static void ended(BlockRequest *request, int status)
{
    DevemuBlock *block = request->block;

    request->status = request->verdict ? request->verdict : status;
    if (G_UNLIKELY(block->zones != NULL)) {
        block_zones_end(block->zones, request);
    }
    if (G_UNLIKELY(block->clock != NULL)) {
        block_queue_insert(&block->done, request, came_later);
        block->wake_ns = MIN(block->wake_ns, now_ns(block) + 1);
    } else {
        block_queue_push(&block->done, request);
    }
}

void block_done(BlockRequest *request, int status)
{
    request->block->in_flight--;
    ended(request, status);
}

static void count(DevemuBlockStats *stats, const BlockRequest *request)
{
    stats->requests[request->asked]++;
    if (request->status != 0) {
        stats->errors++;
    } else if (request->asked == DEVEMU_BLOCK_READ) {
        stats->bytes_read += request->len;
    } else if (request->asked == DEVEMU_BLOCK_WRITE || request->asked == DEVEMU_BLOCK_ZONE_APPEND) {
        stats->bytes_written += request->len;
    }
}

/* It has been told of them. */
static void retire(DevemuBlock *block, BlockQueue *batch)
{
    BlockRequest *request;

    while ((request = block_queue_pop(batch)) != NULL) {
        if ((unsigned)request->asked < DEVEMU_BLOCK_OPS) {
            count(&block->stats, request);
        } else {
            block->stats.errors++;
        }
        block_queue_push(&block->unused, request);
    }
}

static void put_back(DevemuBlock *block, BlockQueue *batch)
{
    if (block->done.head) {
        batch->tail->next = block->done.head;
        batch->tail = block->done.tail;
        batch->count += block->done.count;
    }
    block->done = *batch;
    block->retry_ns = now_ns(block) + RETRY_NS;
}

/* One event. The queue is not touched by it: the device may drain from inside, and submit. */
static size_t tell_batch(DevemuBlock *block, size_t max)
{
    DevemuBlockCompletion completions[BATCH];
    BlockQueue batch = {NULL, NULL, 0};
    size_t n = MIN(max, BATCH);

    for (size_t i = 0; i < n; i++) {
        BlockRequest *request = block_queue_pop(&block->done);

        completions[i] = (DevemuBlockCompletion){request->tag, request->status, request->value};
        block_queue_push(&batch, request);
    }
    if (block->dev && !devemu_device_complete(block->dev, completions, n)) {
        put_back(block, &batch);
        return 0;
    }
    block->stats.batches++;
    retire(block, &batch);
    return n;
}

/* What has ended by now; what ends meanwhile is for later. */
static size_t tell(DevemuBlock *block)
{
    size_t left = block->done.count, told = 0, n;

    block->retry_ns = 0;
    if (block->telling && (block->dev == NULL || devemu_device_medium(block->dev))) {
        block->telling = false;
    }
    while (left > 0 && (n = tell_batch(block, left)) > 0) {
        left -= MIN(n, left);
        left = MIN(left, block->done.count);
        told += n;
    }
    return told;
}

/* --- down: to the kind ------------------------------------------------------------- */

static void start(DevemuBlock *block, BlockRequest *request)
{
    if (G_UNLIKELY(block->zones != NULL)) {
        int status = block_zones_begin(block->zones, request);

        if (status != BLOCK_ZONES_GO_ON) {
            ended(request, status);
            return;
        }
    }
    block->in_flight++;
    block->unkicked = true;
    block->class->submit(block, request);
    if (G_UNLIKELY(block->clock != NULL)) {
        block->wake_ns = MIN(block->wake_ns, now_ns(block) + 1);
    }
}

static void kick(DevemuBlock *block)
{
    if (block->unkicked) {
        block->unkicked = false;
        if (block->class->kick) {
            block->class->kick(block);
        }
    }
}

/* A request that a fault keeps from the medium waits its time, too. */
static void start_or_fail(DevemuBlock *block, BlockRequest *request)
{
    if (request->stage) {
        ended(request, 0);
    } else {
        start(block, request);
    }
}

static void start_delayed(DevemuBlock *block, uint64_t now)
{
    while (block->delayed.head && block->delayed.head->due_ns <= now) {
        start_or_fail(block, block_queue_pop(&block->delayed));
    }
    kick(block);
}

static void delay(DevemuBlock *block, BlockRequest *request)
{
    uint64_t now = now_ns(block), extra = block->latency_ns, first, second;
    bool moves = request->op == DEVEMU_BLOCK_READ || request->op == DEVEMU_BLOCK_WRITE ||
                 request->op == DEVEMU_BLOCK_ZONE_APPEND;

    if (block->faults) {
        request->stage = !block_faults_apply(block->faults, request, &extra);
    }
    first = block_limit_take(&block->requests, 1, now);
    second = block_limit_take(&block->bytes, moves ? request->len : 0, now);
    request->due_ns = MAX(first, second) + extra;
    if (request->due_ns > now) {
        block_queue_insert(&block->delayed, request, due_later);
    } else {
        start_or_fail(block, request);
    }
}

/* --- the device's side ------------------------------------------------------------- */

static void ops_info(void *opaque, DevemuBlockInfo *ret_info)
{
    *ret_info = ((DevemuBlock *)opaque)->info;
}

static void ops_submit(void *opaque, const DevemuBlockRequest *from, bool more)
{
    DevemuBlock *block = opaque;
    BlockRequest *request = block_request_new(block, from);
    int status = block_check(&block->info, from);

    if (status < 0 ||
        (from->len == 0 && from->op < DEVEMU_BLOCK_ZONE_REPORT && from->op != DEVEMU_BLOCK_FLUSH)) {
        ended(request, status);
    } else if (G_UNLIKELY(block->delays)) {
        delay(block, request);
    } else {
        start(block, request);
    }
    if (!more) {
        kick(block);
    }
}

static bool at_rest(const DevemuBlock *block)
{
    return block->in_flight == 0 && block->delayed.head == NULL;
}

static void ops_drain(void *opaque)
{
    DevemuBlock *block = opaque;
    size_t told = 0;

    while (!at_rest(block) || block->done.head) {
        start_delayed(block, UINT64_MAX);
        while (block->in_flight > 0) {
            block->class->wait(block);
        }
        told = tell(block);
        if (told == 0 && at_rest(block)) {
            break; /* refused: they wait */
        }
    }
}

static void ops_ready(void *opaque)
{
    ((DevemuBlock *)opaque)->retry_ns = 0;
}

static unsigned ops_poll(void *opaque)
{
    return devemu_block_poll(opaque);
}

static void ops_set_polled(void *opaque, bool polled)
{
    devemu_block_set_polled(opaque, polled);
}

void devemu_block_attach(DevemuBlock *block, DevemuDevice *dev)
{
    static const DevemuBlockOps ops = {
        .size = sizeof(DevemuBlockOps),
        .info = ops_info,
        .submit = ops_submit,
        .drain = ops_drain,
        .ready = ops_ready,
        .poll = ops_poll,
        .set_polled = ops_set_polled,
    };

    g_return_if_fail(block != NULL);
    if (block->dev) {
        devemu_device_attach_block(block->dev, NULL, NULL);
        retire(block, &block->done);
    }
    block->dev = dev;
    block->telling = false;
    block->retry_ns = 0;
    if (dev) {
        devemu_device_attach_block(dev, &ops, block);
    }
}

/* --- the program's side ------------------------------------------------------------ */

void devemu_block_info(const DevemuBlock *block, DevemuBlockInfo *ret_info)
{
    g_return_if_fail(block != NULL && ret_info != NULL);
    *ret_info = block->info;
}

void devemu_block_stats(const DevemuBlock *block, DevemuBlockStats *ret_stats)
{
    g_return_if_fail(block != NULL && ret_stats != NULL);
    *ret_stats = block->stats;
    ret_stats->in_flight = block->in_flight + block->delayed.count + block->done.count;
}

bool devemu_block_resize(DevemuBlock *block, uint64_t capacity, GError **error)
{
    g_return_val_if_fail(block != NULL, false);
    if (capacity == 0 || capacity % block->info.block_size != 0 || capacity > INT64_MAX) {
        return options_refuse(
            error, "%s: a medium of %" G_GUINT64_FORMAT " bytes cannot be; give a multiple of %u",
            block->class->name, capacity, block->info.block_size);
    }
    if (block->class->resize == NULL || block->zones) {
        return options_refuse(error, "%s: the size of such a medium cannot be changed from here",
                              block->class->name);
    }
    ops_drain(block);
    if (!block->class->resize(block, capacity, error)) {
        return false;
    }
    block->info.capacity = capacity;
    block->telling = block->dev && !devemu_device_medium(block->dev);
    return true;
}

void devemu_block_set_clock(DevemuBlock *block, DevemuBlockClock *clock, void *opaque)
{
    g_return_if_fail(block != NULL);
    block->clock = clock;
    block->clock_opaque = opaque;
}

uint64_t devemu_block_deadline(const DevemuBlock *block)
{
    uint64_t when_ns;

    g_return_val_if_fail(block != NULL, DEVEMU_NEVER);
    when_ns = block->delayed.head ? block->delayed.head->due_ns : DEVEMU_NEVER;
    if (block->retry_ns) {
        return MIN(when_ns, block->retry_ns);
    }
    return block->in_flight > 0 || block->done.head ? MIN(when_ns, block->wake_ns) : when_ns;
}

void devemu_block_run(DevemuBlock *block)
{
    uint64_t now;

    g_return_if_fail(block != NULL);
    now = now_ns(block);
    if (block->clock && block->wake_ns <= now) {
        while (block->in_flight > 0) {
            block->class->wait(block);
        }
        block->wake_ns = DEVEMU_NEVER;
        tell(block);
    } else if (block->clock == NULL && block->retry_ns <= now) {
        tell(block);
    }
    start_delayed(block, now);
}

unsigned devemu_block_poll(DevemuBlock *block)
{
    g_return_val_if_fail(block != NULL, 0);
    kick(block);
    if (block->in_flight > 0 && block->class->reap) {
        block->class->reap(block);
    }
    if (block->delayed.head) {
        start_delayed(block, now_ns(block));
    }
    if ((block->done.head == NULL && !block->telling) || block->clock ||
        (block->retry_ns && block->retry_ns > now_ns(block))) {
        return 0;
    }
    return (unsigned)tell(block);
}

void devemu_block_set_polled(DevemuBlock *block, bool polled)
{
    g_return_if_fail(block != NULL);
    if (block->polled != polled) {
        block->polled = polled;
        if (block->class->set_polled) {
            block->class->set_polled(block, polled);
        }
    }
}

/* --- the main loop ----------------------------------------------------------------- */

/* GLib counts in milliseconds; what is delayed is due to the microsecond. */
static void arm(DevemuBlock *block)
{
    struct itimerspec when = {{0, 0}, {0, 0}};
    uint64_t now = now_ns(block), left;

    if (block->timer < 0) {
        block->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (block->timer < 0) {
            return;
        }
    }
    left = block->delayed.head->due_ns > now ? block->delayed.head->due_ns - now : 1;
    when.it_value.tv_sec = (time_t)(left / 1000000000);
    when.it_value.tv_nsec = (long)(left % 1000000000);
    timerfd_settime(block->timer, 0, &when, NULL);
    loop_watch(block->loop, block->timer, G_IO_IN);
}

static void loop_prepare(void *owner)
{
    DevemuBlock *block = owner;

    kick(block);
    loop_watch_begin(block->loop);
    if (block->class->watch && !block->polled) {
        block->class->watch(block);
    }
    if (block->delayed.head && block->clock == NULL) {
        arm(block);
    }
    loop_watch_end(block->loop);
}

static bool loop_due(void *owner, gint *ret_timeout_ms)
{
    const DevemuBlock *block = owner;
    uint64_t now;

    if (block->unkicked) {
        *ret_timeout_ms = 1; /* the system did not take it just now */
    }
    if (block->clock || (block->done.head == NULL && !block->telling)) {
        return false;
    }
    if (block->retry_ns == 0) {
        return true;
    }
    now = now_ns(block);
    if (block->retry_ns > now) {
        *ret_timeout_ms = (gint)MIN((block->retry_ns - now + 999999) / 1000000, G_MAXINT);
        return false;
    }
    return true;
}

static void loop_dispatch(void *owner)
{
    DevemuBlock *block = owner;

    if (block->class->fetch) {
        block->class->fetch(block);
    }
    if (block->clock == NULL) {
        devemu_block_run(block);
    }
}

static const LoopOps loop_ops = {
    .prepare = loop_prepare,
    .due = loop_due,
    .dispatch = loop_dispatch,
};

/* --- making and freeing ------------------------------------------------------------ */

void *block_new(size_t size, const BlockClass *class, const BlockCommon *common,
                GMainContext *context, GError **error)
{
    DevemuBlock *block = g_malloc0(size);
    uint64_t burst_ns = common->burst_ms * 1000000;

    block->class = class;
    block->timer = -1;
    block->wake_ns = DEVEMU_NEVER;
    block->requests = (BlockLimit){.per_second = common->iops, .burst_ns = burst_ns};
    block->bytes = (BlockLimit){.per_second = common->bps, .burst_ns = burst_ns};
    block->latency_ns = common->latency_us * 1000;
    block->faults = block_faults_new(common->faults, error);
    if (common->faults && block->faults == NULL) {
        g_free(block);
        return NULL;
    }
    block->delays = common->iops || common->bps || common->latency_us || block->faults;
    block->loop = loop_new(context, &loop_ops, block, class->name);
    return block;
}

static void queue_clear(BlockQueue *queue)
{
    BlockRequest *request;

    while ((request = block_queue_pop(queue)) != NULL) {
        block_request_free(request);
    }
}

void devemu_block_free(DevemuBlock *block)
{
    if (block == NULL) {
        return;
    }
    kick(block);
    while (block->in_flight > 0) {
        block->class->wait(block);
    }
    loop_free(block->loop);
    if (block->class->finish) {
        block->class->finish(block);
    }
    if (block->timer >= 0) {
        close(block->timer);
    }
    queue_clear(&block->done);
    queue_clear(&block->delayed);
    queue_clear(&block->unused);
    block_faults_free(block->faults);
    g_free(block->zones);
    g_free(block);
}
