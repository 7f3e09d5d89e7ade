/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-irq.c: interrupts to the client by eventfd (spec "VFIO_USER_DEVICE_SET_IRQS").
 *
 * INTx is a level here and an edge on the eventfd. It is signalled once and then taken as masked
 * until the client unmasks it. A level that still stands then is signalled again, but not at once:
 * QEMU unmasks at the guest's first access to any BAR, which seldom is the one that acknowledges.
 * So it is done when the client has said nothing for REFIRE_IDLE_NS, or REFIRE_MOST_NS have gone.
 * A level that fell and rose while masked is news, and signalled at the unmasking.
 *
 * Which of INTx, MSI and MSI-X is on is what the client set up here, whatever the function's
 * registers say: QEMU emulates both capabilities and keeps most writes to itself.
 */
#define _GNU_SOURCE
#include "vfio-user.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    INFO_EVENTFD = 1 << 0,
    INFO_MASKABLE = 1 << 1,
    INFO_AUTOMASKED = 1 << 2,

    SET_DATA_NONE = 1 << 0,
    SET_DATA_BOOL = 1 << 1,
    SET_DATA_EVENTFD = 1 << 2,
    SET_DATA = 7,
    SET_ACTION_MASK = 1 << 3,
    SET_ACTION_UNMASK = 1 << 4,
    SET_ACTION_TRIGGER = 1 << 5,
    SET_ACTION = 7 << 3,

    SET_BYTES = 20,

    REFIRE_IDLE_NS = 1000000,
    REFIRE_MOST_NS = 10000000,
};

typedef struct SetIrqs {
    uint32_t data, action, index, start, count;
    const uint8_t *bools;
} SetIrqs;

/* --- the eventfds ------------------------------------------------------------------ */

static void signal_fd(int fd)
{
    if (fd >= 0) {
        server_event_signal(fd, false);
    }
}

static void signal_vector(DevemuVfioUser *s, unsigned index, uint64_t vector)
{
    const VfioIrq *irq = &s->irqs[index];

    if (vector < irq->count) {
        signal_fd(irq->fds[vector]);
    }
}

static void put_fd(VfioIrq *irq, unsigned vector, int fd)
{
    if (irq->fds[vector] >= 0) {
        close(irq->fds[vector]);
    }
    irq->fds[vector] = fd;
}

static void disarm(VfioIrq *irq)
{
    for (unsigned i = 0; i < irq->count; i++) {
        put_fd(irq, i, -1);
    }
    irq->armed = 0;
}

/* --- INTx -------------------------------------------------------------------------- */

static void intx_signal(DevemuVfioUser *s)
{
    VfioIrq *irq = &s->irqs[VFIO_IRQ_INTX];

    s->refire_ns = DEVEMU_NEVER;
    if (s->intx_level && !s->intx_masked && !vfio_stopped(s) && !s->far.writing && irq->count &&
        irq->fds[0] >= 0) {
        s->intx_masked = true;
        s->intx_news = false;
        signal_fd(irq->fds[0]);
    }
}

void vfio_host_set_line(void *host, unsigned line, bool level)
{
    DevemuVfioUser *s = host;

    if (line != 0) {
        return;
    }
    s->intx_level = level;
    if (level) {
        s->intx_news = true;
        intx_signal(s);
    } else {
        s->refire_ns = DEVEMU_NEVER;
    }
}

static void intx_unmask(DevemuVfioUser *s)
{
    s->intx_masked = false;
    if (s->intx_level && s->intx_news) {
        intx_signal(s);
    } else if (s->intx_level) {
        uint64_t now = server_now();

        s->refire_ns = now + REFIRE_IDLE_NS;
        s->refire_last_ns = now + REFIRE_MOST_NS;
    }
}

void vfio_irqs_heard(DevemuVfioUser *s, uint64_t now)
{
    if (s->refire_ns != DEVEMU_NEVER) {
        s->refire_ns = MIN(now + REFIRE_IDLE_NS, s->refire_last_ns);
    }
}

void vfio_irqs_refire(DevemuVfioUser *s, uint64_t now)
{
    if (now >= s->refire_ns) {
        intx_signal(s);
    }
}

/* --- messages ---------------------------------------------------------------------- */

static DevemuPciMessages mode(const DevemuVfioUser *s)
{
    if (s->irqs[VFIO_IRQ_MSIX].armed) {
        return DEVEMU_PCI_MESSAGES_MSIX;
    }
    return s->irqs[VFIO_IRQ_MSI].armed ? DEVEMU_PCI_MESSAGES_MSI : DEVEMU_PCI_MESSAGES_OWN;
}

static void update_mode(DevemuVfioUser *s)
{
    devemu_pci_function_messages(s->function, mode(s), s->irqs[VFIO_IRQ_MSI].armed);
}

/* While the client has set up neither, a message is a write to an address of the guest's that the
 * client does not listen at. */
void vfio_host_msi(void *host, uint64_t addr, uint32_t data)
{
    DevemuVfioUser *s = host;
    DevemuPciMessages how = mode(s);

    (void)data;
    if (vfio_stopped(s) || s->far.writing) {
        if (addr < VFIO_MSIX_VECTORS) {
            s->migration.messages[addr / 64] |= UINT64_C(1) << addr % 64;
        }
    } else if (how != DEVEMU_PCI_MESSAGES_OWN) {
        signal_vector(s, how == DEVEMU_PCI_MESSAGES_MSIX ? VFIO_IRQ_MSIX : VFIO_IRQ_MSI, addr);
    }
}

/* Interrupts that waited while the device was stopped. A level may have come with a snapshot. */
void vfio_irqs_go(DevemuVfioUser *s)
{
    s->intx_news = s->intx_level;
    vfio_irqs_flush(s);
}

void vfio_irqs_flush(DevemuVfioUser *s)
{
    intx_signal(s);
    for (unsigned vector = 0; vector < VFIO_MSIX_VECTORS; vector++) {
        if (s->migration.messages[vector / 64] >> vector % 64 & 1) {
            vfio_host_msi(s, vector, 0);
        }
    }
    memset(s->migration.messages, 0, sizeof(s->migration.messages));
}

/* --- life -------------------------------------------------------------------------- */

static unsigned power_of_two(unsigned n)
{
    unsigned power = n ? 1 : 0;

    while (power < n) {
        power *= 2;
    }
    return power;
}

void vfio_irqs_init(DevemuVfioUser *s)
{
    const DevemuPci *pci = devemu_pci_of(devemu_device_child(s->function, 0));
    const unsigned counts[VFIO_IRQS] = {
        [VFIO_IRQ_INTX] = pci->interrupt_pin ? 1 : 0,
        [VFIO_IRQ_MSI] = power_of_two(pci->msi_vectors),
        [VFIO_IRQ_MSIX] = pci->msix_vectors,
        /* Never signalled: no device here has errors of its own, or wants to leave. */
        [VFIO_IRQ_ERR] = 1,
        [VFIO_IRQ_REQ] = 1,
    };

    for (unsigned i = 0; i < VFIO_IRQS; i++) {
        s->irqs[i].count = counts[i];
        s->irqs[i].fds = g_new(int, MAX(counts[i], 1));
        for (unsigned v = 0; v < counts[i]; v++) {
            s->irqs[i].fds[v] = -1;
        }
    }
    s->refire_ns = DEVEMU_NEVER;
}

/* The client's go; the level is the device's. */
void vfio_irqs_clear(DevemuVfioUser *s)
{
    for (unsigned i = 0; i < VFIO_IRQS; i++) {
        disarm(&s->irqs[i]);
    }
    s->intx_masked = false;
    s->refire_ns = DEVEMU_NEVER;
    update_mode(s);
}

void vfio_irqs_finish(DevemuVfioUser *s)
{
    for (unsigned i = 0; i < VFIO_IRQS; i++) {
        disarm(&s->irqs[i]);
        g_free(s->irqs[i].fds);
    }
}

/* --- the messages ------------------------------------------------------------------ */

int vfio_irq_info(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t index = server_get32(m->payload + 8);
    uint8_t *reply;

    if (server_get32(m->payload) < 16 || index >= VFIO_IRQS) {
        return EINVAL;
    }
    reply = vfio_reply(s, m, 16);
    if (reply) {
        server_put32(reply, 16);
        server_put32(reply + 4, index == VFIO_IRQ_INTX
                                    ? INFO_EVENTFD | INFO_MASKABLE | INFO_AUTOMASKED
                                    : INFO_EVENTFD);
        server_put32(reply + 8, index);
        server_put32(reply + 12, s->irqs[index].count);
    }
    return 0;
}

/* Descriptors for [start, start + count), or none to take them away. */
static int assign(DevemuVfioUser *s, const SetIrqs *set, const VfioMessage *m)
{
    VfioIrq *irq = &s->irqs[set->index];

    if (set->action != SET_ACTION_TRIGGER || (m->fd_count != 0 && m->fd_count != set->count)) {
        return EINVAL;
    }
    for (unsigned i = 0; i < m->fd_count; i++) {
        if (!server_event_usable(m->fds[i], NULL)) {
            return EINVAL;
        }
    }
    for (unsigned i = 0; i < set->count; i++) {
        put_fd(irq, set->start + i, m->fd_count ? m->fds[i] : -1);
        if (m->fd_count) {
            m->fds[i] = -1;
            irq->armed = MAX(irq->armed, set->start + i + 1);
        }
    }
    if (set->index == VFIO_IRQ_INTX) {
        s->intx_masked = false;
        intx_signal(s);
    }
    update_mode(s);
    return 0;
}

static void act(DevemuVfioUser *s, const SetIrqs *set, unsigned vector)
{
    if (set->action == SET_ACTION_TRIGGER) {
        signal_vector(s, set->index, vector);
    } else if (set->action == SET_ACTION_MASK) {
        s->intx_masked = true;
        s->refire_ns = DEVEMU_NEVER;
    } else {
        intx_unmask(s);
    }
}

static int act_all(DevemuVfioUser *s, const SetIrqs *set)
{
    if (set->action != SET_ACTION_TRIGGER && set->index != VFIO_IRQ_INTX) {
        return EINVAL;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->bools == NULL || set->bools[i]) {
            act(s, set, set->start + i);
        }
    }
    return 0;
}

static bool single(uint32_t bits)
{
    return bits != 0 && (bits & (bits - 1)) == 0;
}

int vfio_set_irqs(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t flags = server_get32(m->payload + 4);
    SetIrqs set = {
        .data = flags & SET_DATA,
        .action = flags & SET_ACTION,
        .index = server_get32(m->payload + 8),
        .start = server_get32(m->payload + 12),
        .count = server_get32(m->payload + 16),
    };
    VfioIrq *irq;

    if (server_get32(m->payload) < SET_BYTES || flags & ~(uint32_t)(SET_DATA | SET_ACTION) ||
        !single(set.data) || !single(set.action) || set.index >= VFIO_IRQS) {
        return EINVAL;
    }
    irq = &s->irqs[set.index];
    if (set.start > irq->count || set.count > irq->count - set.start) {
        return EINVAL;
    }
    if (set.data == SET_DATA_EVENTFD) {
        return assign(s, &set, m);
    }
    if (set.data == SET_DATA_BOOL) {
        if (m->len - SET_BYTES < set.count) {
            return EINVAL;
        }
        set.bools = m->payload + SET_BYTES;
    } else if (set.count == 0 && set.start == 0 && set.action == SET_ACTION_TRIGGER) {
        disarm(irq);
        update_mode(s);
        return 0;
    }
    return act_all(s, &set);
}
