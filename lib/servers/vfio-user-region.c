/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-region.c: what the device is, and accesses to its regions: BARs, ROM, configuration
 * space.
 *
 * A region answers every access inside it: what the device does not decode reads as ones, and
 * writes there go nowhere, as on the bus. A width that the device refuses is split into narrower
 * ones, lowest address first. Only what lies outside a region is an error.
 */
#include "vfio-user.h"

enum {
    DEVICE_FLAGS_RESET = 1 << 0,
    DEVICE_FLAGS_PCI = 1 << 1,

    REGION_FLAG_READ = 1 << 0,
    REGION_FLAG_WRITE = 1 << 1,

    CONFIG_BYTES = 256,
    /* As the kernel does; means nothing where nothing is mapped. */
    REGION_OFFSET_SHIFT = 40,

    WRITE_BYTES = 24, /* of one write of REGION_WRITE_MULTI */
};

/* The function's bank behind a region. */
static unsigned bank_of(unsigned region)
{
    return region == VFIO_REGION_CONFIG ? 0 : 1 + region;
}

static uint64_t region_bytes(const DevemuVfioUser *s, unsigned region)
{
    DevemuPciBarInfo info;

    if (region == VFIO_REGION_CONFIG) {
        return CONFIG_BYTES;
    }
    if (region > VFIO_REGION_ROM || !devemu_pci_function_bar(s->function, region, &info)) {
        return 0;
    }
    return info.size;
}

/* --- what there is ----------------------------------------------------------------- */

int vfio_device_info(DevemuVfioUser *s, const VfioMessage *m)
{
    uint8_t *reply;

    if (server_get32(m->payload) < 16) {
        return EINVAL;
    }
    reply = vfio_reply(s, m, 16);
    if (reply) {
        server_put32(reply, 16);
        server_put32(reply + 4, DEVICE_FLAGS_RESET | DEVICE_FLAGS_PCI);
        server_put32(reply + 8, VFIO_REGIONS);
        server_put32(reply + 12, VFIO_IRQS);
    }
    return 0;
}

static uint32_t region_flags(unsigned region, uint64_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    return region == VFIO_REGION_ROM ? REGION_FLAG_READ : REGION_FLAG_READ | REGION_FLAG_WRITE;
}

int vfio_region_info(DevemuVfioUser *s, const VfioMessage *m)
{
    uint32_t region = server_get32(m->payload + 8);
    uint64_t bytes;
    uint8_t *reply;

    if (server_get32(m->payload) < 32 || region >= VFIO_REGIONS) {
        return EINVAL;
    }
    bytes = region_bytes(s, region);
    reply = vfio_reply(s, m, 32);
    if (reply) {
        server_put32(reply, 32);
        server_put32(reply + 4, region_flags(region, bytes));
        server_put32(reply + 8, region);
        server_put64(reply + 16, bytes);
        server_put64(reply + 24, (uint64_t)region << REGION_OFFSET_SHIFT);
    }
    return 0;
}

/* --- accesses ---------------------------------------------------------------------- */

/* The widest access that begins at `at` and does not go beyond left bytes. */
static unsigned step_at(uint64_t at, size_t left)
{
    unsigned size = 8;

    while (size > left || at % size != 0) {
        size /= 2;
    }
    return size;
}

static void read_piece(DevemuVfioUser *s, unsigned bank, uint64_t at, unsigned size, uint8_t *to)
{
    uint64_t value;
    DevemuAccess access = devemu_device_read(s->function, bank, at, size, &value);

    if (access == DEVEMU_ACCESS_OK) {
        uint8_t bytes[8];

        devemu_put_le64(bytes, value);
        memcpy(to, bytes, size);
    } else if (access == DEVEMU_ACCESS_SIZE && size > 1) {
        read_piece(s, bank, at, size / 2, to);
        read_piece(s, bank, at + size / 2, size / 2, to + size / 2);
    } else {
        memset(to, 0xff, size);
    }
}

static void write_piece(DevemuVfioUser *s, unsigned bank, uint64_t at, unsigned size,
                        const uint8_t *from)
{
    uint8_t bytes[8] = {0};
    DevemuAccess access;

    memcpy(bytes, from, size);
    access = devemu_device_write(s->function, bank, at, size, devemu_le64(bytes));
    if (access == DEVEMU_ACCESS_SIZE && size > 1) {
        write_piece(s, bank, at, size / 2, from);
        write_piece(s, bank, at + size / 2, size / 2, from + size / 2);
    }
}

/* vfio.h: the ROM is readable whether or not its BAR is enabled. */
static void read_rom(DevemuVfioUser *s, uint64_t at, size_t count, uint8_t *to)
{
    size_t len = 0;
    const uint8_t *image = devemu_pci_function_rom(s->function, &len);

    memset(to, 0xff, count);
    if (image && at < len) {
        memcpy(to, image + at, MIN(count, len - at));
    }
}

static bool inside(const DevemuVfioUser *s, uint32_t region, uint64_t at, uint32_t count)
{
    uint64_t bytes = region_bytes(s, region);

    return count > 0 && count <= VFIO_MAX_XFER && at < bytes && count <= bytes - at;
}

void vfio_region_put(DevemuVfioUser *s, unsigned region, uint64_t at, size_t count,
                     const uint8_t *from)
{
    unsigned bank = bank_of(region);
    unsigned step;

    if (region == VFIO_REGION_ROM) {
        return;
    }
    for (size_t i = 0; i < count; i += step) {
        step = step_at(at + i, count - i);
        write_piece(s, bank, at + i, step, from + i);
    }
}

void vfio_region_store(DevemuVfioUser *s, unsigned region, uint64_t at, size_t count,
                       const uint8_t *from)
{
    if (vfio_far(s) && region < VFIO_REGION_ROM) {
        vfio_work_store(s, region, at, count, from);
    } else {
        vfio_region_put(s, region, at, count, from);
    }
}

/* Into the reply, which may move: the device can have commands for the client sent meanwhile. */
static void read_bytes(DevemuVfioUser *s, unsigned region, uint64_t at, size_t count, size_t out)
{
    unsigned bank = bank_of(region);
    unsigned step;

    for (size_t i = 0; i < count; i += step) {
        uint8_t bytes[8];

        step = step_at(at + i, count - i);
        read_piece(s, bank, at + i, step, bytes);
        memcpy(s->stream.out + out + i, bytes, step);
    }
}

int vfio_region_read(DevemuVfioUser *s, const VfioMessage *m)
{
    uint64_t at = server_get64(m->payload);
    uint32_t region = server_get32(m->payload + 8);
    uint32_t count = server_get32(m->payload + 12);
    uint8_t *reply;

    if (!inside(s, region, at, count) || (m->flags & VFIO_FLAG_NO_REPLY)) {
        return EINVAL;
    }
    reply = vfio_reply(s, m, 16 + (size_t)count);
    memcpy(reply, m->payload, 16);
    if (region == VFIO_REGION_ROM) {
        read_rom(s, at, count, reply + 16);
    } else {
        read_bytes(s, region, at, count, s->last_reply + VFIO_HEADER_BYTES + 16);
    }
    return 0;
}

int vfio_region_write(DevemuVfioUser *s, const VfioMessage *m)
{
    uint64_t at = server_get64(m->payload);
    uint32_t region = server_get32(m->payload + 8);
    uint32_t count = server_get32(m->payload + 12);
    uint8_t *reply;

    if (count != m->len - 16 || !inside(s, region, at, count)) {
        return EINVAL;
    }
    /* Answered before the device may want something of the client's. */
    reply = vfio_reply(s, m, 16);
    if (reply) {
        memcpy(reply, m->payload, 16);
    }
    vfio_region_store(s, region, at, count, m->payload + 16);
    return 0;
}

/* All is checked before the first is done. */
int vfio_region_write_multi(DevemuVfioUser *s, const VfioMessage *m)
{
    uint64_t writes = server_get64(m->payload);
    const uint8_t *first = m->payload + 8;
    uint8_t *reply;

    if (writes > VFIO_MAX_MESSAGE / WRITE_BYTES || writes * WRITE_BYTES != m->len - 8) {
        return EINVAL;
    }
    for (uint64_t i = 0; i < writes; i++) {
        const uint8_t *w = first + i * WRITE_BYTES;

        if (server_get32(w + 12) > 8 ||
            !inside(s, server_get32(w + 8), server_get64(w), server_get32(w + 12))) {
            return EINVAL;
        }
    }
    reply = vfio_reply(s, m, 8);
    if (reply) {
        server_put64(reply, writes);
    }
    for (uint64_t i = 0; i < writes; i++) {
        const uint8_t *w = first + i * WRITE_BYTES;

        vfio_region_store(s, server_get32(w + 8), server_get64(w), server_get32(w + 12), w + 16);
    }
    return 0;
}

int vfio_device_reset(DevemuVfioUser *s, const VfioMessage *m)
{
    (void)m;
    vfio_reset(s);
    return 0;
}
