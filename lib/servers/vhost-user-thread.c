/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-thread.c: queues that are served on threads of their own.
 *
 * A device and its queues are one thread's (device.h), so it is not a device that several threads
 * share: each thread has a device of its own, of the same model and options, with a backend of its
 * own, and of all the client's rings starts those that are its. Around that device stands a server
 * like any other, a part, but for the client: it has its rings, its mappings of the client's memory
 * and its log, and nothing of another thread's. The whole, which has the client, is a part as well,
 * on its own context.
 *
 * A thread holds its lock except while it sleeps in poll(). What the client says is done on the
 * whole's thread with the locks of all others held: they have let go of their queues then, and take
 * them up again as they find them. Messages about a ring go to its part, those about the device go
 * to all of them.
 *
 * The locks are those of the C library and not GLib's, since TSan sees them.
 */
#define _GNU_SOURCE
#include "vhost-user.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct VhostThread {
    DevemuVhostUser *part;
    GMainContext *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t go;
    bool wanted; /* by the whole's thread, which must not wait for a busy one to be idle */
    bool quit;
};

/* --- the thread -------------------------------------------------------------------- */

static void take_up(VhostThread *t)
{
    pthread_mutex_lock(&t->lock);
    while (__atomic_load_n(&t->wanted, __ATOMIC_ACQUIRE)) {
        pthread_cond_wait(&t->go, &t->lock);
    }
}

static void let_go(VhostThread *t)
{
    pthread_mutex_unlock(&t->lock);
}

static void *run(void *opaque)
{
    VhostThread *t = opaque;
    g_autofree GPollFD *fds = g_new(GPollFD, 16);
    gint size = 16, count, priority, timeout;

    g_main_context_push_thread_default(t->context);
    take_up(t);
    while (!t->quit) {
        g_main_context_prepare(t->context, &priority);
        while ((count = g_main_context_query(t->context, priority, &timeout, fds, size)) > size) {
            size = count;
            fds = g_renew(GPollFD, fds, size);
        }
        let_go(t);
        g_poll(fds, (guint)count, timeout);
        take_up(t);
        if (g_main_context_check(t->context, priority, fds, count)) {
            g_main_context_dispatch(t->context);
        }
        let_go(t);
        take_up(t);
    }
    let_go(t);
    g_main_context_pop_thread_default(t->context);
    return NULL;
}

/* Signals are the program's, but for those that an access raises. */
static int start(VhostThread *t)
{
    static const int raised[] = {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP};
    sigset_t all, old;
    int result;

    sigfillset(&all);
    for (unsigned i = 0; i < G_N_ELEMENTS(raised); i++) {
        sigdelset(&all, raised[i]);
    }
    pthread_sigmask(SIG_SETMASK, &all, &old);
    result = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return result;
}

/* --- stop and go ------------------------------------------------------------------- */

void vhost_threads_stop(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->thread_count; i++) {
        __atomic_store_n(&s->threads[i]->wanted, true, __ATOMIC_RELEASE);
    }
    for (unsigned i = 0; i < s->thread_count; i++) {
        pthread_mutex_lock(&s->threads[i]->lock);
    }
}

/* Their contexts are looked at anew: sources may have come, gone, or become ready. */
void vhost_threads_go(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->thread_count; i++) {
        VhostThread *t = s->threads[i];

        __atomic_store_n(&t->wanted, false, __ATOMIC_RELEASE);
        pthread_cond_signal(&t->go);
        pthread_mutex_unlock(&t->lock);
        g_main_context_wakeup(t->context);
    }
}

void vhost_threads_clear(DevemuVhostUser *s)
{
    vhost_threads_stop(s);
    for (unsigned i = 0; i < s->thread_count; i++) {
        vhost_clear(s->threads[i]->part);
    }
    vhost_threads_go(s);
}

/* --- what a part has to say -------------------------------------------------------- */

void vhost_thread_tell(DevemuVhostUser *part)
{
    __atomic_store_n(&part->whole->told, true, __ATOMIC_RELEASE);
    g_main_context_wakeup(g_source_get_context(part->whole->loop.source));
}

void vhost_threads_hear(DevemuVhostUser *s)
{
    if (!__atomic_exchange_n(&s->told, false, __ATOMIC_ACQ_REL)) {
        return;
    }
    vhost_threads_stop(s);
    for (unsigned i = 0; i < s->thread_count; i++) {
        DevemuVhostUser *part = s->threads[i]->part;

        s->failed |= part->failed;
        if (part->config_changed) {
            part->config_changed = false;
            vhost_channel_config(s);
        }
    }
    vhost_threads_go(s);
}

/* --- messages ---------------------------------------------------------------------- */

/* Those about one ring; its number is the first of the payload. */
static bool is_of_ring(uint32_t request)
{
    switch (request) {
    case VHOST_USER_SET_VRING_NUM:
    case VHOST_USER_SET_VRING_ADDR:
    case VHOST_USER_SET_VRING_BASE:
    case VHOST_USER_GET_VRING_BASE:
    case VHOST_USER_SET_VRING_KICK:
    case VHOST_USER_SET_VRING_CALL:
    case VHOST_USER_SET_VRING_ERR:
    case VHOST_USER_SET_VRING_ENABLE:
        return true;
    default:
        return false;
    }
}

/* Those about the device, which each thread has one of. */
static bool is_for_all(uint32_t request)
{
    switch (request) {
    case VHOST_USER_SET_FEATURES:
    case VHOST_USER_SET_PROTOCOL_FEATURES:
    case VHOST_USER_RESET_OWNER:
    case VHOST_USER_RESET_DEVICE:
    case VHOST_USER_SET_STATUS:
    case VHOST_USER_SET_CONFIG:
    case VHOST_USER_SET_MEM_TABLE:
    case VHOST_USER_ADD_MEM_REG:
    case VHOST_USER_REM_MEM_REG:
    case VHOST_USER_IOTLB_MSG:
    case VHOST_USER_SET_LOG_BASE:
    case VHOST_USER_SET_LOG_FD:
        return true;
    default:
        return false;
    }
}

/* A network device's queues go in pairs. What does not fit is the whole's to refuse. */
static DevemuVhostUser *part_of(DevemuVhostUser *s, const VhostMessage *m)
{
    bool by_fd = m->request == VHOST_USER_SET_VRING_KICK ||
                 m->request == VHOST_USER_SET_VRING_CALL || m->request == VHOST_USER_SET_VRING_ERR;
    uint32_t ring = server_get32(m->payload) & (by_fd ? 0xff : UINT32_MAX);
    unsigned unit = devemu_device_model(s->dev)->is_net ? ring / 2 : ring;
    unsigned owner = unit % (s->thread_count + 1);

    return ring >= s->ring_count || owner == 0 ? s : s->threads[owner - 1]->part;
}

/* What a part answers is the whole's to send. */
static const char *handle_ring(DevemuVhostUser *s, VhostHandler *handle, const VhostMessage *m)
{
    DevemuVhostUser *part = part_of(s, m);
    const char *why;
    size_t len;

    if (part == s) {
        return handle(s, m);
    }
    part->replied = false;
    why = handle(part, m);
    s->failed |= part->failed;
    if (part->replied) {
        len = part->stream.out_end - part->stream.out_start;
        memcpy(server_stream_out(&s->stream, len), part->stream.out + part->stream.out_start, len);
        server_stream_reset(&part->stream);
        s->replied = true;
    }
    return why;
}

/* With descriptors of its own; its answer is the same as the whole's. */
static const char *handle_copy(DevemuVhostUser *part, VhostHandler *handle, const VhostMessage *m)
{
    VhostMessage copy = *m;
    int fds[SERVER_FDS];
    const char *why = NULL;

    copy.fds = fds;
    for (unsigned i = 0; i < m->fd_count; i++) {
        fds[i] = fcntl(m->fds[i], F_DUPFD_CLOEXEC, 0);
        why = fds[i] < 0 ? "there are no more descriptors" : why;
    }
    why = why ? why : handle(part, &copy);
    for (unsigned i = 0; i < m->fd_count; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    server_stream_reset(&part->stream);
    return why;
}

static const char *handle_all(DevemuVhostUser *s, VhostHandler *handle, const VhostMessage *m)
{
    const char *why = NULL, *why_here;

    for (unsigned i = 0; i < s->thread_count; i++) {
        const char *why_there = handle_copy(s->threads[i]->part, handle, m);

        why = why ? why : why_there;
        s->failed |= s->threads[i]->part->failed;
    }
    why_here = handle(s, m);
    return why_here ? why_here : why;
}

const char *vhost_threads_handle(DevemuVhostUser *s, VhostHandler *handle, const VhostMessage *m)
{
    const char *why;

    vhost_threads_stop(s);
    if (is_of_ring(m->request)) {
        why = handle_ring(s, handle, m);
    } else if (is_for_all(m->request)) {
        why = handle_all(s, handle, m);
    } else {
        why = handle(s, m);
    }
    vhost_threads_go(s);
    return why;
}

bool vhost_threads_need_reset(const DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->thread_count; i++) {
        if (devemu_virtio_read(s->threads[i]->part->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1) &
            DEVEMU_VIRTIO_NEEDS_RESET) {
            return true;
        }
    }
    return false;
}

/* --- life -------------------------------------------------------------------------- */

static void thread_free(VhostThread *t)
{
    devemu_vhost_user_free(t->part);
    pthread_cond_destroy(&t->go);
    pthread_mutex_destroy(&t->lock);
    g_main_context_unref(t->context);
    g_free(t);
}

void vhost_threads_end(DevemuVhostUser *s)
{
    for (unsigned i = 0; i < s->thread_count; i++) {
        VhostThread *t = s->threads[i];

        pthread_mutex_lock(&t->lock);
        t->quit = true;
        pthread_mutex_unlock(&t->lock);
        g_main_context_wakeup(t->context);
        pthread_join(t->thread, NULL);
        thread_free(t);
    }
    g_clear_pointer(&s->threads, g_free);
    s->thread_count = 0;
}

static bool refuse(GError **error, const char *format, const char *name)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL, format, name);
    return false;
}

bool devemu_vhost_user_add_thread(DevemuVhostUser *server, DevemuDevice *dev, GMainContext *context,
                                  GError **error)
{
    VhostThread *t;
    DevemuVhostUser *part;

    g_return_val_if_fail(server != NULL && dev != NULL && dev->parent == NULL, false);
    g_return_val_if_fail(context != NULL && server->messages == 0, false);
    if (!dev->model->virtio || !(dev->model->is_net || dev->model->is_block)) {
        return refuse(error,
                      "'%s' is served by one thread; virtio-net and virtio-blk can have more",
                      dev->model->name);
    }
    if (devemu_virtio_offered(dev) & VHOST_BIT(VIRTIO_F_ACCESS_PLATFORM)) {
        return refuse(error, "'%s' has iommu_platform=on, which is served by one thread",
                      dev->model->name);
    }
    part = vhost_part_new(server, dev, context, error);
    if (part == NULL) {
        return false;
    }
    if (dev->model != server->dev->model || !vhost_same_device(server, part)) {
        vhost_part_forget(part);
        return refuse(error,
                      "'%s' for another thread is not the same as the server's: give it the "
                      "same options, and a backend of the same kind",
                      dev->name);
    }
    t = g_new0(VhostThread, 1);
    t->part = part;
    t->context = g_main_context_ref(context);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->go, NULL);
    if (start(t) != 0) {
        vhost_part_forget(part);
        t->part = NULL;
        thread_free(t);
        return refuse(error, "there can be no thread for '%s'", dev->name);
    }
    server->threads = g_renew(VhostThread *, server->threads, server->thread_count + 1);
    server->threads[server->thread_count++] = t;
    return true;
}
