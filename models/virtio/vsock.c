/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsock.c: virtio socket device (virtio 1.4, 5.10).
 *
 * A table of connections, each between a port of the guest and one of the host, whose other ends a
 * backend holds (DevemuVsockOps). Data are not kept here: what the guest sends goes to the backend,
 * which has room for what the guest was granted; what comes goes into the guest's buffers or is
 * refused. What cannot be told to the guest for want of a buffer is one bit of its connection, or,
 * where there is no connection, a reply of a bounded number.
 *
 * The file is long because each packet may begin, change or end a connection, which all of it
 * knows.
 *
 * Not modelled: addresses other than the guest's own and the host's; datagrams, which 1.4 does not
 * have.
 */
#include "vsock.h"

/* --- what the guest is to hear -------------------------------------------------------- */

/* 5.10.6.7 */
static void tell_event(struct virtio_vsock *s)
{
    DevemuVirtqueue *q = virtio_ready(&s->v, EVENTQ);
    DevemuVirtqueueChain chain;
    const uint8_t event[4] = {0}; /* VIRTIO_VSOCK_EVENT_TRANSPORT_RESET */

    if (!s->transport_reset || q == NULL ||
        (devemu_virtqueue_pop(q, &chain, 1) == 0 &&
         (!devemu_virtqueue_listen(q) || devemu_virtqueue_pop(q, &chain, 1) == 0))) {
        return;
    }
    devemu_virtqueue_push(q, &chain,
                          (uint32_t)devemu_virtqueue_write(q, &chain, 0, event, sizeof(event)));
    s->transport_reset = false;
    virtio_flush(&s->v, EVENTQ);
}

static void vsock_process(void *state, unsigned queue)
{
    struct virtio_vsock *s = state;
    bool was_full = s->reply_count == REPLIES;

    if (queue == EVENTQ) {
        tell_event(s);
        return;
    }
    if (queue == TXQ) {
        vsock_transmit(s);
    } else {
        s->starved = false;
    }
    if (vsock_tell(s) && queue == RXQ) {
        devemu_send_ready(s->v.dev);
    }
    virtio_flush(&s->v, RXQ);
    if (was_full && s->reply_count < REPLIES && queue == RXQ) {
        virtio_again(&s->v, TXQ);
    }
}

/* --- what the host sends ------------------------------------------------------------------ */

/* The bytes taken; 0: no buffer. */
static size_t deliver(struct virtio_vsock *s, unsigned i, const DevemuVsockMessage *m)
{
    const uint8_t *bytes = m->data;
    size_t done = 0;

    if (m->len > vsock_peer_free(s, i)) {
        vsock_break_off(s, i); /* the backend was told how much there is */
        return m->len;
    }
    do {
        size_t len = m->len - done;
        Packet p = {
            .guest_port = s->guest_port[i],
            .host_port = s->host_port[i],
            .type = s->type[i],
            .op = OP_RW,
            .flags = s->type[i] == DEVEMU_VSOCK_SEQPACKET ? m->flags & 3 : 0,
            .buf_alloc = DEVEMU_VSOCK_BUFFER,
            .fwd_cnt = s->gone[i],
        };

        if (!vsock_put(s, &p, bytes + done, &len)) {
            break;
        }
        s->told[i] = s->gone[i];
        done += len;
    } while (done < m->len);
    s->sent[i] += (uint32_t)done;
    if (done > 0 && vsock_peer_free(s, i) == 0) {
        s->tell[i] |= ASK_CREDIT;
    }
    return done;
}

static void called(struct virtio_vsock *s, const DevemuVsockMessage *m)
{
    DevemuVsockMessage no = {.op = DEVEMU_VSOCK_CLOSE,
                             .type = m->type,
                             .guest_port = m->guest_port,
                             .host_port = m->host_port};
    unsigned i = CONNECTIONS;

    if (virtio_running(&s->v) && vsock_type_known(s, m->type) &&
        vsock_find(s, m->guest_port, m->host_port) == CONNECTIONS) {
        i = vsock_new(s, m->guest_port, m->host_port, m->type, CALLING);
    }
    if (i == CONNECTIONS) {
        devemu_send_vsock(s->v.dev, &no);
        return;
    }
    s->tell[i] = TELL_REQUEST;
}

/* What the backend passed on. */
static void passed(struct virtio_vsock *s, unsigned i, uint32_t limit)
{
    uint32_t gone = limit - DEVEMU_VSOCK_BUFFER;

    if (s->came[i] - gone <= DEVEMU_VSOCK_BUFFER) {
        s->gone[i] = gone;
        if (gone - s->told[i] >= DEVEMU_VSOCK_BUFFER / 4) {
            s->tell[i] |= TELL_CREDIT;
        }
    }
}

/* 5.10.6.5: both sides are done when the guest says RST, or after a while. */
static void host_shuts(struct virtio_vsock *s, unsigned i, uint8_t flags)
{
    s->host_shut[i] |= flags & SHUTDOWN_BOTH;
    s->tell[i] |= TELL_SHUTDOWN;
    if (s->host_shut[i] == SHUTDOWN_BOTH && s->ends_ns[i] == DEVEMU_NEVER) {
        s->ends_ns[i] = devemu_now(s->v.dev) + END_NS;
        s->end_ns = s->end_ns < s->ends_ns[i] ? s->end_ns : s->ends_ns[i];
    }
}

static void host_closes(struct virtio_vsock *s, unsigned i)
{
    if (s->state[i] == CALLING && (s->tell[i] & TELL_REQUEST)) {
        vsock_free(s, i);
    } else {
        vsock_end(s, i);
    }
}

/* All connections are gone. */
static void host_resets(struct virtio_vsock *s)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        vsock_free(s, i);
    }
    s->reply_count = 0;
    s->end_ns = DEVEMU_NEVER;
    s->transport_reset = virtio_running(&s->v);
    tell_event(s);
}

static void told(struct virtio_vsock *s, unsigned i, const DevemuVsockMessage *m)
{
    if (m->op == DEVEMU_VSOCK_ACCEPT && s->state[i] == ASKED) {
        s->state[i] = OPEN;
        s->tell[i] |= TELL_RESPONSE;
    } else if (m->op == DEVEMU_VSOCK_CREDIT) {
        passed(s, i, m->limit);
    } else if (m->op == DEVEMU_VSOCK_SHUTDOWN && s->state[i] == OPEN) {
        host_shuts(s, i, m->flags);
    } else if (m->op == DEVEMU_VSOCK_CLOSE) {
        host_closes(s, i);
    }
}

static size_t vsock_ready(const void *state)
{
    return ((const struct virtio_vsock *)state)->starved ? 0 : DEVEMU_VSOCK_HEAD;
}

static size_t vsock_receive(void *state, const uint8_t *bytes, size_t len)
{
    struct virtio_vsock *s = state;
    size_t taken = len;
    DevemuVsockMessage m;
    unsigned i;

    if (!devemu_vsock_unpack(bytes, len, &m)) {
        return len;
    }
    i = vsock_find(s, m.guest_port, m.host_port);
    if (m.op == DEVEMU_VSOCK_RESET) {
        host_resets(s);
    } else if (m.op == DEVEMU_VSOCK_CONNECT) {
        called(s, &m);
    } else if (i < CONNECTIONS && s->state[i] != ENDING && m.op == DEVEMU_VSOCK_DATA) {
        size_t done = 0;

        /* In order: what was said before goes first. */
        if (s->state[i] == OPEN && m.len > 0) {
            done = vsock_tell(s) ? deliver(s, i, &m) : 0;
            taken = done > 0 ? DEVEMU_VSOCK_HEAD + done : 0;
        }
    } else if (i < CONNECTIONS && s->state[i] != ENDING) {
        told(s, i, &m);
    }
    vsock_tell(s);
    virtio_flush(&s->v, RXQ);
    return taken;
}

/* --- a clean disconnect that is not answered ------------------------------------------------ */

/* While the guest has data that it has not looked at, it is asked how far it is. */
static void end_expired(void *state, uint64_t due_ns)
{
    struct virtio_vsock *s = state;
    uint64_t now = devemu_now(s->v.dev);

    (void)due_ns;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (s->ends_ns[i] > now) {
            s->end_ns = s->end_ns < s->ends_ns[i] ? s->end_ns : s->ends_ns[i];
        } else if (s->peer_fwd[i] == s->sent[i]) {
            vsock_break_off(s, i);
        } else {
            s->tell[i] |= ASK_CREDIT;
            s->ends_ns[i] = now + END_NS;
            s->end_ns = s->end_ns < s->ends_ns[i] ? s->end_ns : s->ends_ns[i];
        }
    }
    vsock_tell(s);
    virtio_flush(&s->v, RXQ);
}

/* --- tables ---------------------------------------------------------------------------------- */

static uint64_t vsock_offer(const void *state)
{
    const struct virtio_vsock *s = state;

    return UINT64_C(1) << F_STREAM | UINT64_C(1) << F_NO_IMPLIED_STREAM |
           (uint64_t)s->seqpacket << F_SEQPACKET;
}

static unsigned vsock_queue_size(const void *state, unsigned queue)
{
    (void)state;
    return queue < QUEUES ? QUEUE_SIZE : 0;
}

static uint64_t guest_cid_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_vsock *)state)->guest_cid;
}

/* The host's programs see their connections end. */
static void vsock_reset(void *state, DevemuReset kind)
{
    struct virtio_vsock *s = state;

    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (s->state[i] != FREE && s->state[i] != ENDING) {
            vsock_message(s, i, DEVEMU_VSOCK_CLOSE, 0);
        }
        vsock_free(s, i);
    }
    s->reply_at = s->reply_count = 0;
    s->transport_reset = s->starved = false;
    s->end_ns = DEVEMU_NEVER;
    virtio_reset(state, kind);
}

static bool connection_valid(const struct virtio_vsock *s, unsigned i)
{
    bool ends = s->ends_ns[i] != DEVEMU_NEVER;

    if (s->state[i] == FREE) {
        return s->tell[i] == 0 && !ends;
    }
    return s->state[i] < STATES && s->tell[i] <= TELL_ALL && (s->state[i] == OPEN || !ends) &&
           (s->type[i] == DEVEMU_VSOCK_STREAM || s->type[i] == DEVEMU_VSOCK_SEQPACKET) &&
           s->came[i] - s->gone[i] <= DEVEMU_VSOCK_BUFFER;
}

static bool vsock_valid(const void *state)
{
    const struct virtio_vsock *s = state;

    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (!connection_valid(s, i)) {
            return false;
        }
    }
    return s->reply_at < REPLIES && s->reply_count <= REPLIES && virtio_valid(state);
}

static const DevemuReg config_regs[] = {
    {.name = "guest_cid",
     .title = "Address of the guest",
     .section = "5.10.4",
     .at = 0,
     .size = 8,
     .ro = UINT64_MAX,
     .read = guest_cid_read},
};

static const DevemuBank banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config",
                              .kind = DEVEMU_BANK_MMIO,
                              .size = 8,
                              .regs = config_regs,
                              .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                              .lanes = true},
};

static const DevemuField fields[] = {
    VIRTIO_FIELDS,
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, ends_ns),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, guest_port),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, host_port),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, peer_alloc),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, peer_fwd),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, sent),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, came),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, gone),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, told),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, state),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, type),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, tell),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, guest_shut),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, host_shut),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, reply_guest),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, reply_host),
    DEVEMU_SAVE_ARRAY(struct virtio_vsock, reply_type),
    DEVEMU_SAVE(struct virtio_vsock, reply_at),
    DEVEMU_SAVE(struct virtio_vsock, reply_count),
    DEVEMU_SAVE(struct virtio_vsock, transport_reset),
    DEVEMU_SAVE(struct virtio_vsock, starved),
    DEVEMU_SKIP(struct virtio_vsock, unused),
    {.name = NULL},
};

static const DevemuTimer timers[] = {
    VIRTIO_TIMERS,
    DEVEMU_TIMER(struct virtio_vsock, end_ns, end_expired),
    {.name = NULL},
};

static const DevemuProperty properties[] = {
    VIRTIO_PROPERTIES,
    {.name = "guest-cid",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct virtio_vsock, guest_cid),
     .value = "3",
     .min = 3,
     .max = 0xfffffffe,
     .doc = "Address of the guest"},
    {.name = "seqpacket",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct virtio_vsock, seqpacket),
     .value = "on",
     .doc = "Offer sockets that carry messages (SEQPACKET)?"},
    {.name = NULL},
};

static const DevemuVirtio virtio = {
    .device_id = 19,
    .class_code = 0x078000, /* other communication controller: chosen */
    .in_order = true,
    .offer = vsock_offer,
    .queue_size = vsock_queue_size,
    .process = vsock_process,
};

const DevemuModel devemu_model_virtio_vsock = {
    .name = "virtio-vsock",
    .title = "virtio socket device",
    .datasheet = "OASIS Virtual I/O Device 1.4, 5.10",
    .not_modelled = "other guests than one's own as peers",
    .state_size = sizeof(struct virtio_vsock),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .configure = virtio_configure,
    .reset = vsock_reset,
    .saving = virtio_saving,
    .valid = vsock_valid,
    .loaded = virtio_loaded,
    .receive = vsock_receive,
    .ready = vsock_ready,
    .virtio = &virtio,
    .is_vsock = true,
};
