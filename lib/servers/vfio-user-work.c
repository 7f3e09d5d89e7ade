/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-work.c: events of a device whose memory is reached by messages.
 *
 * An event (time, a frame, a completion, a write that moves DMA) is rehearsed, see rehearse.h. What
 * it misses is asked for, and when the replies are there it is rehearsed again. When nothing is
 * missing, what it writes is sent, and when that is answered, too, the event is done: memory is as
 * the device says before its registers and interrupts say so. All the while accesses are served, on
 * the device as it was before the event. QEMU needs that: it answers DMA from its main loop, under
 * the lock that a CPU holds while it waits for a register.
 *
 * A command that changes something meanwhile: what was read is thrown away and asked for again, for
 * the guest may have changed its memory first. After DISCARDS times the event takes what it has,
 * read piece by piece while the guest wrote, as a chip's would be. If the event's writes are on
 * their way already, it is done at once, and its interrupts wait for the replies alone.
 *
 * A write that moves DMA itself (no model of ours does on this host, see devemu_dma_deferred()) has
 * been answered; what comes behind it waits until it is done. A client like QEMU, that cannot
 * answer DMA while a guest reads a register, must not be asked to wait like that.
 */
#include "vfio-user-far.h"

#include <unistd.h>

/* How often an event may start reading anew because of what the guest did, and how many
 * rehearsals it gets. The latter is bounded by what it may read as well. */
#define DISCARDS 16
#define TRIES    4096

/* Of commands that wait for a write. */
#define HELD_LIMIT (4u << 20)

typedef enum VfioWorkKind {
    WORK_RUN,
    WORK_FRAME,
    WORK_COMPLETE,
    WORK_STORE,
} VfioWorkKind;

typedef struct VfioWork {
    VfioWorkKind kind;
    DevemuDevice *dev;
    uint8_t *data; /* of a frame or store */
    size_t len;
    size_t taken;
    DevemuNetOffload offload; /* frame */
    bool more;
    unsigned port;   /* characters */
    unsigned region; /* store */
    uint64_t at;
    DevemuBlockCompletion *completions;
    size_t count; /* of them */
} VfioWork;

typedef struct VfioHeld {
    VfioMessage m; /* payload and descriptors are its own */
    int fds[VFIO_MAX_FDS];
} VfioHeld;

static void work_free(VfioWork *work)
{
    if (work) {
        g_free(work->data);
        g_free(work->completions);
        g_free(work);
    }
}

/* --- one event --------------------------------------------------------------------- */

static void do_work(DevemuVfioUser *s, VfioWork *work)
{
    switch (work->kind) {
    case WORK_RUN:
        devemu_device_run(s->function);
        break;
    case WORK_FRAME:
        work->taken = devemu_receive_now(work->dev, work->port, &work->offload, work->data,
                                         work->len, work->more);
        break;
    case WORK_COMPLETE:
        devemu_complete_now(work->dev, work->completions, work->count);
        break;
    case WORK_STORE:
        vfio_region_put(s, work->region, work->at, work->len, work->data);
        break;
    }
}

/* The clock stands from here until the event is done, so that it does what was rehearsed. */
static bool rehearse(DevemuVfioUser *s, VfioWork *work)
{
    if (s->far.frozen_ns == DEVEMU_NEVER) {
        s->far.frozen_ns = vfio_device_now(s);
    }
    devemu_rehearse_begin(s->far.rehearsal);
    do_work(s, work);
    return devemu_rehearse_end(s->far.rehearsal);
}

static void unfreeze(DevemuVfioUser *s)
{
    s->far.frozen_ns = DEVEMU_NEVER;
}

/* Does it come to its end without memory that is far? Then it can be done at once. */
static bool is_near(DevemuVfioUser *s, VfioWork *work)
{
    bool near = rehearse(s, work) && s->far.rehearsal->writes->len == 0;

    unfreeze(s);
    return near;
}

/* Back to before the first rehearsal. */
static void leave_work(DevemuVfioUser *s)
{
    s->far.phase = VFIO_PHASE_IDLE;
    s->far.stale = false;
    unfreeze(s);
    vfio_far_forget(s);
}

static void commit(DevemuVfioUser *s)
{
    VfioWork *work = g_queue_pop_head(&s->far.works);

    s->far.committing = true;
    do_work(s, work);
    s->far.committing = false;
    leave_work(s);
    if (s->far.parked) {
        /* Something has happened: perhaps it is wanted now. */
        g_queue_push_tail(&s->far.works, g_steal_pointer(&s->far.parked));
    }
    if (work->kind == WORK_FRAME && work->taken < work->len) {
        /* Characters: the rest. */
        work->len -= work->taken;
        memmove(work->data, work->data + work->taken, work->len);
        s->far.parked = work;
    } else {
        work_free(work);
    }
}

static void begin(DevemuVfioUser *s)
{
    s->far.phase = VFIO_PHASE_READING;
    s->far.tries = s->far.discards = 0;
}

/* Returns false if there is something to wait for. */
static bool try_reading(DevemuVfioUser *s)
{
    VfioWork *work = g_queue_peek_head(&s->far.works);

    if (s->far.stale) {
        s->far.stale = false;
        vfio_far_ask_wanted(s);
    }
    if (s->far.reading > 0) {
        return false;
    }
    if (rehearse(s, work)) {
        vfio_far_send_writes(s);
        s->far.phase = VFIO_PHASE_WRITING;
        return true;
    }
    if (++s->far.tries < TRIES && vfio_far_ask_missing(s)) {
        unfreeze(s);
        return s->far.reading == 0;
    }
    vfio_log(s, "an event wants more memory than can be fetched: the rest of its DMA fails");
    commit(s);
    return true;
}

/* --- messages that wait ------------------------------------------------------------ */

static bool storing(const DevemuVfioUser *s)
{
    for (const GList *l = s->far.works.head; l; l = l->next) {
        if (((const VfioWork *)l->data)->kind == WORK_STORE) {
            return true;
        }
    }
    return false;
}

static void held_free(VfioHeld *held)
{
    for (unsigned i = 0; i < held->m.fd_count; i++) {
        if (held->fds[i] >= 0) {
            close(held->fds[i]);
        }
    }
    g_free((void *)(uintptr_t)held->m.payload);
    g_free(held);
}

bool vfio_work_holds(DevemuVfioUser *s, const VfioMessage *m)
{
    VfioHeld *held;

    if (!storing(s) && s->far.held.length == 0) {
        return false;
    }
    if (m->len + sizeof(*held) > HELD_LIMIT - s->far.held_bytes) {
        vfio_fail(s, "too much comes behind a write that waits for memory");
        return true;
    }
    held = g_new0(VfioHeld, 1);
    held->m = *m;
    held->m.payload = g_memdup2(m->payload, m->len);
    held->m.fds = held->fds;
    for (unsigned i = 0; i < m->fd_count; i++) {
        held->fds[i] = m->fds[i];
        m->fds[i] = -1;
    }
    s->far.held_bytes += m->len + sizeof(*held);
    g_queue_push_tail(&s->far.held, held);
    return true;
}

static void release(DevemuVfioUser *s)
{
    while (s->far.held.length > 0 && !storing(s) && !s->failed) {
        VfioHeld *held = g_queue_pop_head(&s->far.held);

        s->far.held_bytes -= held->m.len + sizeof(*held);
        vfio_handle(s, &held->m);
        held_free(held);
    }
}

/* --- going on ---------------------------------------------------------------------- */

/* Backends that were sent away may come again. */
static void welcome(DevemuVfioUser *s)
{
    DevemuDevice *child;

    if (!s->far.refused || s->far.works.length > 0 || s->far.parked) {
        return;
    }
    s->far.refused = false;
    for (unsigned i = 0; (child = devemu_device_child(s->function, i)) != NULL; i++) {
        devemu_send_ready(child);
    }
}

static bool step(DevemuVfioUser *s)
{
    switch (s->far.phase) {
    case VFIO_PHASE_IDLE:
        if (s->far.works.length == 0) {
            return false;
        }
        begin(s);
        return true;
    case VFIO_PHASE_READING:
        return try_reading(s);
    case VFIO_PHASE_WRITING:
        if (s->far.writing > 0) {
            return false;
        }
        commit(s);
        return true;
    }
    return false;
}

void vfio_work_step(DevemuVfioUser *s)
{
    if (s->far.stepping || s->far.rehearsal == NULL) {
        return;
    }
    s->far.stepping = true;
    while (!s->failed && !vfio_stopped(s) && step(s)) {
        release(s);
    }
    release(s);
    s->far.stepping = false;
    welcome(s);
}

void vfio_work_touch(DevemuVfioUser *s)
{
    if (s->far.phase == VFIO_PHASE_WRITING) {
        commit(s);
    } else if (s->far.phase == VFIO_PHASE_READING && !s->far.stale && s->far.discards < DISCARDS) {
        s->far.discards++;
        s->far.stale = true;
        vfio_far_discard(s);
    }
    if (s->far.parked) {
        g_queue_push_tail(&s->far.works, g_steal_pointer(&s->far.parked));
    }
}

bool vfio_work_pending(const DevemuVfioUser *s)
{
    return s->far.works.length > 0;
}

/* --- what comes in ----------------------------------------------------------------- */

void vfio_work_run(DevemuVfioUser *s)
{
    if (!vfio_far(s)) {
        devemu_device_run(s->function);
        return;
    }
    if (!vfio_work_pending(s)) {
        g_queue_push_tail(&s->far.works, g_new0(VfioWork, 1));
        vfio_work_step(s);
    }
}

/* Of one write after the other: it goes before events that have not been done. */
static void queue_store(DevemuVfioUser *s, VfioWork *work)
{
    guint at = 0;

    for (const GList *l = s->far.works.head; l; l = l->next) {
        if (((const VfioWork *)l->data)->kind != WORK_STORE) {
            break;
        }
        at++;
    }
    if (at == 0) {
        leave_work(s);
    }
    g_queue_push_nth(&s->far.works, work, (gint)at);
}

void vfio_work_store(DevemuVfioUser *s, unsigned region, uint64_t at, size_t count,
                     const uint8_t *from)
{
    VfioWork work = {.kind = WORK_STORE, .region = region, .at = at, .len = count};

    work.data = g_memdup2(from, count);
    if (vfio_stopped(s) || (!storing(s) && is_near(s, &work))) {
        do_work(s, &work);
        g_free(work.data);
    } else {
        queue_store(s, g_memdup2(&work, sizeof(work)));
    }
}

static bool closed(void *opaque)
{
    DevemuVfioUser *s = opaque;
    bool away = s->far.works.length > 0 || s->far.parked;

    s->far.refused |= away;
    return away;
}

/* A frame that the device needs far memory for is taken and kept until then: only so is it known
 * which memory. One at a time; others are refused meanwhile. */
static size_t receive(void *opaque, DevemuDevice *dev, unsigned port,
                      const DevemuNetOffload *offload, const void *data, size_t len, bool more)
{
    DevemuVfioUser *s = opaque;
    VfioWork work = {.kind = WORK_FRAME, .dev = dev, .port = port, .len = len, .more = more};

    if (closed(s)) {
        dev->refused = true;
        return 0;
    }
    if (!vfio_far(s) || vfio_stopped(s) || s->function->busy || dev->busy) {
        return devemu_receive_now(dev, port, offload, data, len, more);
    }
    if (offload) {
        work.offload = *offload;
    }
    work.data = g_memdup2(data, len);
    if (is_near(s, &work)) {
        g_free(work.data);
        return devemu_receive_now(dev, port, offload, data, len, more);
    }
    g_queue_push_tail(&s->far.works, g_memdup2(&work, sizeof(work)));
    vfio_work_step(s);
    return len;
}

static bool complete(void *opaque, DevemuDevice *dev, const DevemuBlockCompletion *completions,
                     size_t count)
{
    DevemuVfioUser *s = opaque;
    VfioWork *work;

    if (!vfio_far(s) || vfio_stopped(s)) {
        return devemu_complete_now(dev, completions, count);
    }
    work = g_new0(VfioWork, 1);
    *work = (VfioWork){.kind = WORK_COMPLETE, .dev = dev, .count = count};
    work->completions = g_memdup2(completions, count * sizeof(*completions));
    g_queue_push_tail(&s->far.works, work);
    vfio_work_step(s);
    return true;
}

static const DevemuGate gate = {.receive = receive, .complete = complete, .closed = closed};

/* --- life -------------------------------------------------------------------------- */

static void piece_clear(gpointer piece)
{
    g_free(((VfioPiece *)piece)->data);
}

void vfio_work_init(DevemuVfioUser *s)
{
    s->far.frozen_ns = DEVEMU_NEVER;
    s->far.pieces = g_array_new(FALSE, FALSE, sizeof(VfioPiece));
    g_array_set_clear_func(s->far.pieces, piece_clear);
    s->far.failed = g_array_new(FALSE, FALSE, sizeof(bool));
    s->far.asked = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    g_queue_init(&s->far.works);
    g_queue_init(&s->far.held);
    if (devemu_rehearsal_possible(s->function)) {
        s->far.rehearsal = devemu_rehearsal_new(s->function, &vfio_far_rehearsal, s);
        devemu_gate_set(s->function, &gate, s);
    }
}

void vfio_work_reset(DevemuVfioUser *s)
{
    leave_work(s);
    g_queue_clear_full(&s->far.works, (GDestroyNotify)work_free);
    g_clear_pointer(&s->far.parked, work_free);
}

void vfio_work_clear(DevemuVfioUser *s)
{
    vfio_work_reset(s);
    g_queue_clear_full(&s->far.held, (GDestroyNotify)held_free);
    s->far.held_bytes = 0;
    g_hash_table_remove_all(s->far.asked);
    s->far.writing = 0;
}

void vfio_work_finish(DevemuVfioUser *s)
{
    if (s->far.asked == NULL) {
        return;
    }
    vfio_work_clear(s);
    devemu_gate_set(s->function, NULL, NULL);
    g_clear_pointer(&s->far.rehearsal, devemu_rehearsal_free);
    g_array_unref(s->far.pieces);
    g_array_unref(s->far.failed);
    g_clear_pointer(&s->far.asked, g_hash_table_unref);
}
