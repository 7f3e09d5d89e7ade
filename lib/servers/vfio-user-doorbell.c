/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-doorbell.c: registers that the guest may write without the client, through an eventfd
 * that the client gives to KVM (spec "VFIO_USER_DEVICE_GET_REGION_IO_FDS"). The model's table says
 * which: DevemuReg.doorbell.
 *
 * A doorbell is rung behind what the client had sent before, so the socket is emptied first.
 */
#define _GNU_SOURCE
#include "vfio-user.h"

#include <sys/eventfd.h>
#include <unistd.h>

enum {
    INFO_BYTES = 16,
    ENTRY_BYTES = 40,

    IO_FD_EVENTFD = 0, /* VFIO_USER_IO_FD_TYPE_IOEVENTFD */
    FLAG_PIO = 1 << 1, /* linux/kvm.h: KVM_IOEVENTFD_FLAG_PIO */
};

static const DevemuBank *bank_of(const DevemuVfioUser *s, unsigned region)
{
    const DevemuDevice *dev = devemu_device_child(s->function, 0);
    unsigned bank = region < 6 ? devemu_pci_of(dev)->bars[region].bank : 0;

    return bank ? &devemu_device_model(dev)->banks[bank - 1] : NULL;
}

static void add(DevemuVfioUser *s, unsigned region, const DevemuReg *reg, unsigned index)
{
    unsigned size = reg->size ? reg->size : 1;
    VfioDoorbell *bell = &s->doorbells[s->doorbell_count];

    bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell->fd < 0) {
        return;
    }
    bell->region = region;
    bell->size = size;
    bell->index = index;
    bell->at = reg->at + (uint64_t)index * (reg->stride ? reg->stride : size);
    bell->tag = g_source_add_unix_fd(s->loop.source, bell->fd, vfio_stopped(s) ? 0 : G_IO_IN);
    s->doorbell_count++;
}

/* Once a region and connection. */
static void make(DevemuVfioUser *s, unsigned region)
{
    const DevemuBank *bank = bank_of(s, region);

    if (bank == NULL || s->doorbells_made >> region & 1) {
        return;
    }
    s->doorbells_made |= 1u << region;
    for (size_t i = 0; i < bank->reg_count; i++) {
        const DevemuReg *reg = &bank->regs[i];

        for (unsigned e = 0; reg->doorbell && e < (reg->count ? reg->count : 1u) &&
                             s->doorbell_count < VFIO_DOORBELLS;
             e++) {
            add(s, region, reg, e);
        }
    }
}

void vfio_doorbells_clear(DevemuVfioUser *s)
{
    for (unsigned i = 0; i < s->doorbell_count; i++) {
        g_source_remove_unix_fd(s->loop.source, s->doorbells[i].tag);
        close(s->doorbells[i].fd);
    }
    s->doorbell_count = 0;
    s->doorbells_made = 0;
}

bool vfio_doorbells_rung(const DevemuVfioUser *s)
{
    for (unsigned i = 0; i < s->doorbell_count; i++) {
        if (g_source_query_unix_fd(s->loop.source, s->doorbells[i].tag)) {
            return true;
        }
    }
    return false;
}

void vfio_doorbells_watch(DevemuVfioUser *s, bool on)
{
    for (unsigned i = 0; i < s->doorbell_count; i++) {
        g_source_modify_unix_fd(s->loop.source, s->doorbells[i].tag, on ? G_IO_IN : 0);
    }
}

/* However often it was rung, the device hears of it once. A stopped one hears of it later. */
void vfio_doorbells_ring(DevemuVfioUser *s)
{
    if (vfio_stopped(s)) {
        return;
    }
    for (unsigned i = 0; i < s->doorbell_count; i++) {
        const VfioDoorbell *bell = &s->doorbells[i];
        uint64_t rings;

        if (read(bell->fd, &rings, sizeof(rings)) == sizeof(rings)) {
            uint8_t bytes[8];

            devemu_put_le64(bytes, bell->index);
            vfio_work_touch(s);
            vfio_region_store(s, bell->region, bell->at, bell->size, bytes);
            vfio_work_step(s);
        }
    }
}

/* --- the message ------------------------------------------------------------------- */

static void put_entry(uint8_t *to, const VfioDoorbell *bell, unsigned fd_index, bool io)
{
    server_put64(to, bell->at);
    server_put64(to + 8, bell->size);
    server_put32(to + 16, fd_index);
    server_put32(to + 20, IO_FD_EVENTFD);
    server_put32(to + 24, io ? FLAG_PIO : 0);
}

static void put_entries(DevemuVfioUser *s, unsigned region, uint8_t *to, unsigned count)
{
    const DevemuBank *bank = bank_of(s, region);
    int fds[VFIO_MAX_FDS];
    unsigned n = 0;

    for (unsigned i = 0; i < s->doorbell_count && n < count; i++) {
        const VfioDoorbell *bell = &s->doorbells[i];

        if (bell->region == region) {
            put_entry(to + n * ENTRY_BYTES, bell, n, bank->kind == DEVEMU_BANK_PIO);
            fds[n++] = bell->fd;
        }
    }
    if (n) {
        vfio_reply_fds(s, fds, n);
    }
}

static unsigned count_doorbells(const DevemuVfioUser *s, unsigned region)
{
    unsigned count = 0;

    for (unsigned i = 0; i < s->doorbell_count; i++) {
        count += s->doorbells[i].region == region;
    }
    return (unsigned)MIN(count, MIN(s->peer.max_fds, VFIO_MAX_FDS));
}

int vfio_region_io_fds(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t argsz = server_get32(m->payload);
    uint32_t region = server_get32(m->payload + 8);
    unsigned count;
    size_t bytes;
    bool fits;
    uint8_t *reply;

    if (argsz < INFO_BYTES || server_get32(m->payload + 4) != 0 ||
        server_get32(m->payload + 12) != 0 || region >= VFIO_REGIONS ||
        (m->flags & VFIO_FLAG_NO_REPLY)) {
        return EINVAL;
    }
    make(s, region);
    count = count_doorbells(s, region);
    bytes = INFO_BYTES + (size_t)count * ENTRY_BYTES;
    fits = bytes <= argsz;
    reply = vfio_reply(s, m, fits ? bytes : INFO_BYTES);
    server_put32(reply, (uint32_t)bytes);
    server_put32(reply + 8, region);
    server_put32(reply + 12, count);
    if (fits) {
        put_entries(s, region, reply + INFO_BYTES, count);
    }
    return 0;
}
