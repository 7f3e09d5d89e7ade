/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock.c: connections between a guest and its host over UNIX sockets.
 *
 * A connection of the host begins with a line, "CONNECT port\n", and is answered "OK port\n" with
 * its own port, as in other virtual machine monitors; one of the guest to port P goes to PATH_P.
 */
#define _GNU_SOURCE
#include "vsock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* --- what the device sends -------------------------------------------------------------- */

static void refuse(DevemuVsock *v, const DevemuVsockMessage *m)
{
    DevemuVsockMessage no = {.op = DEVEMU_VSOCK_CLOSE,
                             .type = m->type,
                             .guest_port = m->guest_port,
                             .host_port = m->host_port};

    for (guint i = 0; i < v->refusals->len; i++) {
        const DevemuVsockMessage *other = &g_array_index(v->refusals, DevemuVsockMessage, i);

        if (other->guest_port == m->guest_port && other->host_port == m->host_port) {
            return;
        }
    }
    g_array_append_val(v->refusals, no);
}

/* To PATH_P. A UNIX socket connects at once or not at all. */
static void guest_connects(DevemuVsock *v, const DevemuVsockMessage *m)
{
    g_autofree char *path = g_strdup_printf("%s_%u", v->path ? v->path : "", m->host_port);
    struct sockaddr_un address;
    Link *l;
    int fd;

    if (v->path == NULL || v->links->len >= LINKS || !unix_address(path, &address)) {
        refuse(v, m);
        return;
    }
    fd = unix_socket(vsock_socket_type(m->type));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        refuse(v, m);
        return;
    }
    l = vsock_link_new(v, fd, m->type, LINK_OPEN);
    l->guest_port = m->guest_port;
    l->host_port = m->host_port;
    l->limit = m->limit;
    l->accept = true;
}

static void greet(Link *l)
{
    g_autofree char *line = g_strdup_printf("OK %u\n", l->host_port);

    /* Its buffer is empty: nothing was sent before. */
    if (send(l->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        vsock_host_is_deaf(l);
    }
}

static void guest_sends(Link *l, const DevemuVsockMessage *m)
{
    uint8_t head[4];

    if (l->host_deaf) {
        l->passed += (uint32_t)m->len;
        return;
    }
    g_byte_array_append(l->out, m->data, (guint)m->len);
    /* An empty one would be the end, to its reader. */
    if (l->type == DEVEMU_VSOCK_SEQPACKET && (m->flags & DEVEMU_VSOCK_EOM) && l->out->len > 0) {
        devemu_put_le32(head, l->out->len);
        g_byte_array_append(l->messages, head, sizeof(head));
        g_byte_array_append(l->messages, l->out->data, l->out->len);
        g_byte_array_set_size(l->out, 0);
    }
    vsock_link_write(l);
}

static void guest_shuts(Link *l, uint8_t flags)
{
    l->guest_done = l->guest_done || (flags & DEVEMU_VSOCK_NO_SEND);
    l->guest_deaf = l->guest_deaf || (flags & DEVEMU_VSOCK_NO_RECEIVE);
    vsock_link_write(l);
}

/* What is left for the program still reaches it, as far as its socket takes it. */
static void guest_closes(Link *l)
{
    vsock_link_write(l);
    l->dead = true;
}

static void ops_send(void *opaque, const DevemuVsockMessage *m)
{
    DevemuVsock *v = opaque;
    Link *l = vsock_link_find(v, m->guest_port, m->host_port);

    if (v->reset) {
        return; /* of before */
    }
    if (m->op == DEVEMU_VSOCK_CONNECT && l == NULL) {
        guest_connects(v, m);
    } else if (l == NULL) {
        if (m->op != DEVEMU_VSOCK_CLOSE) {
            refuse(v, m);
        }
    } else if (m->op == DEVEMU_VSOCK_ACCEPT && l->state == LINK_CALLING) {
        l->state = LINK_OPEN;
        l->limit = m->limit;
        greet(l);
    } else if (m->op == DEVEMU_VSOCK_DATA) {
        guest_sends(l, m);
    } else if (m->op == DEVEMU_VSOCK_CREDIT) {
        l->limit = m->limit;
    } else if (m->op == DEVEMU_VSOCK_SHUTDOWN) {
        guest_shuts(l, m->flags);
    } else if (m->op == DEVEMU_VSOCK_CLOSE) {
        guest_closes(l);
    }
}

static void ops_ready(void *opaque)
{
    ((DevemuVsock *)opaque)->blocked = false;
}

static void forget(DevemuVsock *v)
{
    for (unsigned i = 0; i < v->links->len; i++) {
        Link *l = g_ptr_array_index(v->links, i);

        l->dead = l->dead || l->state != LINK_GREETING;
    }
    g_array_set_size(v->refusals, 0);
}

static void ops_restored(void *opaque)
{
    DevemuVsock *v = opaque;

    forget(v);
    v->reset = true;
    v->blocked = false;
}

/* --- to the device ------------------------------------------------------------------------- */

static bool tell(DevemuVsock *v, const DevemuVsockMessage *m, size_t *ret_taken)
{
    size_t taken = 0;

    if (v->blocked || v->dev == NULL) {
        return false;
    }
    /* Before the call: the device may say "ready" inside it. */
    v->blocked = true;
    v->retry_us = g_get_monotonic_time() + RETRY_MS * 1000;
    if (!devemu_device_vsock(v->dev, m, &taken)) {
        return false;
    }
    v->blocked = false;
    if (ret_taken) {
        *ret_taken = taken;
    }
    return true;
}

static DevemuVsockMessage about(const Link *l, DevemuVsockOp op)
{
    return (DevemuVsockMessage){.op = (uint8_t)op,
                                .type = l->type,
                                .guest_port = l->guest_port,
                                .host_port = l->host_port,
                                .limit = l->passed + DEVEMU_VSOCK_BUFFER};
}

static bool tell_flag(DevemuVsock *v, const Link *l, DevemuVsockOp op, bool *flag)
{
    DevemuVsockMessage m = about(l, op);

    if (!*flag) {
        return true;
    }
    if (!tell(v, &m, NULL)) {
        return false;
    }
    *flag = false;
    return true;
}

static bool tell_data(DevemuVsock *v, Link *l)
{
    while (l->in->len > 0 && vsock_link_room(l)) {
        DevemuVsockMessage m = about(l, DEVEMU_VSOCK_DATA);
        size_t taken = 0;

        m.data = l->in->data;
        m.len = MIN(MIN(l->in->len, DEVEMU_VSOCK_DATA_MAX), l->limit - l->sent);
        if (l->in_ends && m.len == l->in->len) {
            m.flags = (uint8_t)(DEVEMU_VSOCK_EOM | (l->in_eor ? DEVEMU_VSOCK_EOR : 0));
        }
        if (!tell(v, &m, &taken)) {
            return false;
        }
        l->sent += (uint32_t)taken;
        g_byte_array_remove_range(l->in, 0, (guint)taken);
        if (taken < m.len) {
            return true; /* more when the guest has buffers */
        }
    }
    return true;
}

static bool tell_end(DevemuVsock *v, Link *l)
{
    DevemuVsockMessage m = about(l, DEVEMU_VSOCK_SHUTDOWN);

    if (!l->eof || l->in->len > 0 || l->shut_told == l->shut) {
        return true;
    }
    m.flags = l->shut;
    if (!tell(v, &m, NULL)) {
        return false;
    }
    l->shut_told = l->shut;
    return true;
}

/* False: the device takes nothing more now. *ret_gone: the link is. */
static bool link_tell(DevemuVsock *v, Link *l, bool *ret_gone)
{
    DevemuVsockMessage credit = about(l, DEVEMU_VSOCK_CREDIT);

    *ret_gone = false;
    if (l->close && l->call) {
        *ret_gone = true; /* it never heard of it */
        return true;
    }
    if (!tell_flag(v, l, DEVEMU_VSOCK_CONNECT, &l->call) ||
        !tell_flag(v, l, DEVEMU_VSOCK_ACCEPT, &l->accept)) {
        return false;
    }
    if (l->passed != l->told) {
        if (!tell(v, &credit, NULL)) {
            return false;
        }
        l->told = l->passed;
    }
    if (l->state == LINK_OPEN && (!tell_data(v, l) || !tell_end(v, l))) {
        return false;
    }
    *ret_gone = l->close;
    return tell_flag(v, l, DEVEMU_VSOCK_CLOSE, &l->close);
}

static bool tell_refusals(DevemuVsock *v)
{
    while (v->refusals->len > 0) {
        DevemuVsockMessage m = g_array_index(v->refusals, DevemuVsockMessage, 0);

        if (!tell(v, &m, NULL)) {
            return false;
        }
        g_array_remove_index(v->refusals, 0);
    }
    return true;
}

static bool tell_reset(DevemuVsock *v)
{
    static const DevemuVsockMessage reset = {.op = DEVEMU_VSOCK_RESET};

    if (v->reset && !tell(v, &reset, NULL)) {
        return false;
    }
    v->reset = false;
    return true;
}

/* A message may make the device close the link that it is about, or another one: those are dead,
 * and still there. */
void devemu_vsock_run(DevemuVsock *v)
{
    g_return_if_fail(v != NULL);
    v->blocked = false;
    if (!tell_reset(v) || !tell_refusals(v)) {
        return;
    }
    for (unsigned i = 0; i < v->links->len; i++) {
        Link *l = g_ptr_array_index(v->links, i);
        bool gone = false;

        if (l->state != LINK_GREETING && !l->dead && !link_tell(v, l, &gone)) {
            /* Not the same one first every time. */
            g_ptr_array_add(v->links, g_ptr_array_steal_index(v->links, i));
            return;
        }
        l->dead = l->dead || gone;
    }
}

static void reap(DevemuVsock *v)
{
    for (unsigned i = v->links->len; i-- > 0;) {
        if (((const Link *)g_ptr_array_index(v->links, i))->dead) {
            g_ptr_array_remove_index_fast(v->links, i);
        }
    }
}

/* --- the main loop ---------------------------------------------------------------------------- */

static bool link_has_news(const Link *l)
{
    bool room = vsock_link_room(l);

    if (l->dead || l->state == LINK_GREETING) {
        return false;
    }
    return l->call || l->accept || l->close || l->passed != l->told ||
           (l->state == LINK_OPEN && l->in->len > 0 && room) ||
           (l->state == LINK_OPEN && l->in->len == 0 && l->eof && l->shut != l->shut_told);
}

static bool has_news(const DevemuVsock *v)
{
    if (v->reset || v->refusals->len > 0) {
        return true;
    }
    for (unsigned i = 0; i < v->links->len; i++) {
        if (link_has_news(g_ptr_array_index(v->links, i))) {
            return true;
        }
    }
    return false;
}

static GIOCondition link_wants(const Link *l)
{
    GIOCondition wanted = 0;

    if (l->state == LINK_GREETING ||
        (l->state == LINK_OPEN && !l->eof && l->in->len == 0 && vsock_link_room(l))) {
        wanted |= G_IO_IN;
    }
    if (vsock_link_waits(l)) {
        wanted |= G_IO_OUT;
    }
    return wanted;
}

/* A socket that hangs up says so whatever is asked of it: when that is known it is left alone. */
static void loop_prepare(void *owner)
{
    DevemuVsock *v = owner;
    bool room;

    reap(v);
    room = v->links->len < LINKS;
    loop_watch_begin(v->loop);
    for (unsigned i = 0; room && i < G_N_ELEMENTS(v->listeners); i++) {
        if (v->listeners[i].fd >= 0) {
            loop_watch(v->loop, v->listeners[i].fd, G_IO_IN);
        }
    }
    for (unsigned i = 0; i < v->links->len; i++) {
        const Link *l = g_ptr_array_index(v->links, i);
        GIOCondition wanted = link_wants(l);

        if (wanted || (l->eof && !l->host_deaf)) {
            loop_watch(v->loop, l->fd, wanted);
        }
    }
    loop_watch_end(v->loop);
}

static bool loop_due(void *owner, gint *ret_timeout_ms)
{
    const DevemuVsock *v = owner;
    gint64 left_us;

    if (v->dev == NULL || !has_news(v)) {
        return false;
    }
    left_us = v->blocked ? v->retry_us - g_get_monotonic_time() : 0;
    *ret_timeout_ms = (gint)CLAMP((left_us + 999) / 1000, 0, RETRY_MS);
    return left_us <= 0;
}

static void link_look(DevemuVsock *v, Link *l)
{
    GIOCondition found = loop_found(v->loop, l->fd);

    if (l->dead || found == 0) {
        return;
    }
    if (l->state == LINK_GREETING) {
        l->dead = !vsock_read_greeting(v, l);
        return;
    }
    if (vsock_link_waits(l)) {
        vsock_link_write(l);
    }
    if (l->state == LINK_OPEN) {
        vsock_link_read(l);
    }
    if (l->eof && !l->host_deaf && (found & (G_IO_HUP | G_IO_ERR))) {
        vsock_host_is_deaf(l);
    }
}

static void loop_dispatch(void *owner)
{
    DevemuVsock *v = owner;
    gint timeout_ms;

    for (unsigned i = 0; i < v->links->len; i++) {
        link_look(v, g_ptr_array_index(v->links, i));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(v->listeners); i++) {
        if (v->listeners[i].fd >= 0 && loop_found(v->loop, v->listeners[i].fd)) {
            vsock_accept_link(v, &v->listeners[i]);
        }
    }
    if (loop_due(v, &timeout_ms)) {
        devemu_vsock_run(v);
    }
}

static const LoopOps loop_ops = {
    .prepare = loop_prepare,
    .due = loop_due,
    .dispatch = loop_dispatch,
};

/* --- making and freeing ------------------------------------------------------------------------
 */

static bool listen_at(Listener *listener, char *path, uint8_t type, GError **error)
{
    listener->path = path;
    listener->type = type;
    listener->fd = unix_listen(path, vsock_socket_type(type), error);
    return listener->fd >= 0;
}

static DevemuVsock *make(GMainContext *context)
{
    DevemuVsock *v = g_new0(DevemuVsock, 1);

    v->links = g_ptr_array_new_with_free_func(vsock_link_free);
    v->refusals = g_array_new(FALSE, FALSE, sizeof(DevemuVsockMessage));
    v->next_port = FIRST_PORT;
    v->listeners[0].fd = v->listeners[1].fd = -1;
    v->loop = loop_new(context, &loop_ops, v, "vsock");
    return v;
}

DevemuVsock *devemu_vsock_new(const char *text, GMainContext *context, GError **error)
{
    DevemuVsock *v;

    g_return_val_if_fail(text != NULL, NULL);
    if (strcmp(text, "null") == 0) {
        return make(context);
    }
    if (!g_str_has_prefix(text, "unix:") || text[strlen("unix:")] == '\0') {
        options_refuse(error, "there are no connections of the kind '%s'; write unix:PATH, or null",
                       text);
        return NULL;
    }
    v = make(context);
    v->path = g_strdup(text + strlen("unix:"));
    if (!listen_at(&v->listeners[0], g_strdup(v->path), DEVEMU_VSOCK_STREAM, error) ||
        !listen_at(&v->listeners[1], g_strconcat(v->path, "_seqpacket", NULL),
                   DEVEMU_VSOCK_SEQPACKET, error)) {
        devemu_vsock_free(v);
        return NULL;
    }
    return v;
}

void devemu_vsock_free(DevemuVsock *v)
{
    if (v == NULL) {
        return;
    }
    loop_free(v->loop);
    for (unsigned i = 0; i < G_N_ELEMENTS(v->listeners); i++) {
        if (v->listeners[i].fd >= 0) {
            close(v->listeners[i].fd);
            unlink(v->listeners[i].path);
        }
        g_free(v->listeners[i].path);
    }
    g_ptr_array_unref(v->links);
    g_array_unref(v->refusals);
    g_free(v->path);
    g_free(v);
}

void devemu_vsock_attach(DevemuVsock *v, DevemuDevice *dev)
{
    static const DevemuVsockOps ops = {
        .size = sizeof(ops), .send = ops_send, .ready = ops_ready, .restored = ops_restored};

    g_return_if_fail(v != NULL);
    if (v->dev) {
        devemu_device_attach_vsock(v->dev, NULL, NULL);
    }
    v->dev = dev;
    if (dev) {
        devemu_device_attach_vsock(dev, &ops, v);
        ops_restored(v); /* whatever it may believe */
    }
}
