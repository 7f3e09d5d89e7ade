/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-zone.c: a zoned disk made of any medium: host-managed, as ZBC and virtio have them. Zones
 * that must be written in sequence, after some that need not. What is behind a write pointer reads
 * as zeroes. The write pointers live with the program; a disk begins with empty zones.
 *
 * Where the standards differ this does what Linux's null_blk does: closing an empty or full zone
 * and opening a full one is an error, finishing a full one and resetting an empty one is none.
 */
#include "block.h"

#include <errno.h>
#include <string.h>

/* Our choice; a zone has at most this many bytes appended at once, if it has as many. */
#define MAX_APPEND (UINT64_C(1) << 20)
/* As many as 16 bytes each may take. */
#define MAX_ZONES (1u << 20)

typedef struct Zone {
    uint64_t pointer; /* the byte that is written next */
    DevemuBlockZoneState state;
} Zone;

struct BlockZones {
    uint64_t size, capacity;
    unsigned count;
    unsigned max_open, max_active; /* 0: no limit */
    unsigned open, active;         /* active counts the open ones, too */
    Zone zones[];
};

static uint64_t zone_start(const BlockZones *z, unsigned i)
{
    return i * z->size;
}

static uint64_t zone_end(const BlockZones *z, unsigned i)
{
    return MIN((i + 1) * z->size, z->capacity);
}

static bool is_open(const Zone *zone)
{
    return zone->state == DEVEMU_ZONE_IMPLICIT_OPEN || zone->state == DEVEMU_ZONE_EXPLICIT_OPEN;
}

static bool is_active(const Zone *zone)
{
    return is_open(zone) || zone->state == DEVEMU_ZONE_CLOSED;
}

/* --- from state to state ----------------------------------------------------------- */

static void become(BlockZones *z, Zone *zone, DevemuBlockZoneState state)
{
    z->open -= is_open(zone);
    z->active -= is_active(zone);
    zone->state = state;
    z->open += is_open(zone);
    z->active += is_active(zone);
}

/* A zone that nobody asked to be open makes place for another. */
static bool close_one(BlockZones *z)
{
    for (unsigned i = 0; i < z->count; i++) {
        if (z->zones[i].state == DEVEMU_ZONE_IMPLICIT_OPEN) {
            become(z, &z->zones[i], DEVEMU_ZONE_CLOSED);
            return true;
        }
    }
    return false;
}

/* Is there place for one more that is open? */
static int admit(BlockZones *z, const Zone *zone)
{
    if (is_open(zone)) {
        return 0;
    }
    if (zone->state == DEVEMU_ZONE_EMPTY && z->max_active && z->active >= z->max_active) {
        return -EOVERFLOW;
    }
    if (z->max_open && z->open >= z->max_open && !close_one(z)) {
        return -ETOOMANYREFS;
    }
    return 0;
}

static int open_zone(BlockZones *z, Zone *zone)
{
    int status = zone->state == DEVEMU_ZONE_FULL ? -EINVAL : admit(z, zone);

    if (status == 0) {
        become(z, zone, DEVEMU_ZONE_EXPLICIT_OPEN);
    }
    return status;
}

static int close_zone(BlockZones *z, Zone *zone, uint64_t start)
{
    if (!is_active(zone)) {
        return -EINVAL;
    }
    become(z, zone, zone->pointer == start ? DEVEMU_ZONE_EMPTY : DEVEMU_ZONE_CLOSED);
    return 0;
}

static int finish_zone(BlockZones *z, Zone *zone, uint64_t end)
{
    int status = zone->state == DEVEMU_ZONE_FULL ? 0 : admit(z, zone);

    if (status == 0) {
        become(z, zone, DEVEMU_ZONE_FULL);
        zone->pointer = end;
    }
    return status;
}

static void reset_zone(BlockZones *z, Zone *zone, uint64_t start)
{
    become(z, zone, DEVEMU_ZONE_EMPTY);
    zone->pointer = start;
}

/* --- requests ---------------------------------------------------------------------- */

/* Not from a sequential zone on into another. */
static int read_zone(const BlockZones *z, const BlockRequest *request)
{
    unsigned i = (unsigned)(request->at / z->size);

    return z->zones[i].state != DEVEMU_ZONE_NOT_WP && request->len > zone_end(z, i) - request->at
               ? -EINVAL
               : BLOCK_ZONES_GO_ON;
}

static int write_zone(BlockZones *z, BlockRequest *request)
{
    unsigned i = (unsigned)(request->at / z->size);
    Zone *zone = &z->zones[i];
    uint64_t end = zone_end(z, i);
    int status;

    if (zone->state == DEVEMU_ZONE_NOT_WP) {
        /* Not on into zones with rules of their own. */
        uint64_t last = (request->at + request->len - 1) / z->size;

        return request->op == DEVEMU_BLOCK_ZONE_APPEND || z->zones[last].state != DEVEMU_ZONE_NOT_WP
                   ? -EINVAL
                   : 0;
    }
    if (request->op == DEVEMU_BLOCK_ZONE_APPEND) {
        if (request->at != zone_start(z, i)) {
            return -EINVAL;
        }
        request->at = request->value = zone->pointer;
    }
    if (zone->state == DEVEMU_ZONE_FULL || request->len > end - request->at) {
        return -EINVAL;
    }
    if (request->at != zone->pointer) {
        return -ESPIPE;
    }
    status = admit(z, zone);
    if (status < 0) {
        return status;
    }
    if (!is_open(zone)) {
        become(z, zone, DEVEMU_ZONE_IMPLICIT_OPEN);
    }
    zone->pointer += request->len;
    if (zone->pointer == end) {
        become(z, zone, DEVEMU_ZONE_FULL);
    }
    return 0;
}

static void copy_out(BlockRequest *request, uint64_t from, const void *data, size_t len)
{
    size_t count;
    const struct iovec *pieces = block_cut(request, from, len, request->count, &count);
    const uint8_t *p = data;

    for (size_t i = 0; i < count; i++) {
        memcpy(pieces[i].iov_base, p, pieces[i].iov_len);
        p += pieces[i].iov_len;
    }
}

static void report(const BlockZones *z, BlockRequest *request)
{
    uint64_t room = request->len / sizeof(DevemuBlockZone);

    for (unsigned i = (unsigned)(request->at / z->size); i < z->count && request->value < room;
         i++) {
        const Zone *zone = &z->zones[i];
        DevemuBlockZone said = {
            .start = zone_start(z, i),
            .capacity = zone_end(z, i) - zone_start(z, i),
            .write_pointer = zone->pointer,
            .type = zone->state == DEVEMU_ZONE_NOT_WP ? DEVEMU_ZONE_CONVENTIONAL
                                                      : DEVEMU_ZONE_SEQUENTIAL,
            .state = zone->state,
        };

        copy_out(request, request->value * sizeof(said), &said, sizeof(said));
        request->value++;
    }
}

static int manage(BlockZones *z, const BlockRequest *request)
{
    unsigned i = (unsigned)(request->at / z->size);
    Zone *zone = &z->zones[i];

    if (request->at != zone_start(z, i) || zone->state == DEVEMU_ZONE_NOT_WP) {
        return -EINVAL;
    }
    switch (request->op) {
    case DEVEMU_BLOCK_ZONE_OPEN:
        return open_zone(z, zone);
    case DEVEMU_BLOCK_ZONE_CLOSE:
        return close_zone(z, zone, zone_start(z, i));
    case DEVEMU_BLOCK_ZONE_FINISH:
        return finish_zone(z, zone, zone_end(z, i));
    default:
        reset_zone(z, zone, zone_start(z, i));
        return 0;
    }
}

static void reset_all(BlockZones *z)
{
    for (unsigned i = 0; i < z->count; i++) {
        if (z->zones[i].state != DEVEMU_ZONE_NOT_WP) {
            reset_zone(z, &z->zones[i], zone_start(z, i));
        }
    }
}

int block_zones_begin(BlockZones *z, BlockRequest *request)
{
    int status;

    switch (request->op) {
    case DEVEMU_BLOCK_READ:
        return read_zone(z, request);
    case DEVEMU_BLOCK_FLUSH:
        return BLOCK_ZONES_GO_ON;
    case DEVEMU_BLOCK_WRITE:
    case DEVEMU_BLOCK_ZONE_APPEND:
        status = write_zone(z, request);
        request->op = DEVEMU_BLOCK_WRITE;
        return status < 0 ? status : BLOCK_ZONES_GO_ON;
    case DEVEMU_BLOCK_ZONE_REPORT:
        report(z, request);
        return 0;
    case DEVEMU_BLOCK_ZONE_RESET_ALL:
        reset_all(z);
        return 0;
    default:
        return manage(z, request);
    }
}

void block_zones_end(const BlockZones *z, BlockRequest *request)
{
    uint64_t at = request->at, end = request->at + request->len;
    size_t count;

    if (request->op != DEVEMU_BLOCK_READ || request->status != 0) {
        return;
    }
    while (at < end) {
        unsigned i = (unsigned)(at / z->size);
        uint64_t to = MIN(end, zone_end(z, i));
        uint64_t from = z->zones[i].state == DEVEMU_ZONE_NOT_WP ? to : MAX(at, z->zones[i].pointer);

        if (from < to) {
            const struct iovec *pieces =
                block_cut(request, from - request->at, to - from, request->count, &count);

            for (size_t n = 0; n < count; n++) {
                memset(pieces[n].iov_base, 0, pieces[n].iov_len);
            }
        }
        at = to;
    }
}

/* --- making ------------------------------------------------------------------------ */

static bool sizes_good(const BlockCommon *common, const DevemuBlockInfo *info, GError **error)
{
    if (common->zone_size % info->block_size != 0 ||
        info->capacity / common->zone_size >= MAX_ZONES) {
        return options_refuse(error,
                              "zoned: zones of %" G_GUINT64_FORMAT
                              " bytes are not possible; they are whole blocks of %u bytes, and %u "
                              "of them at most",
                              common->zone_size, info->block_size, MAX_ZONES);
    }
    return common->zones_active == 0 || common->zones_open <= common->zones_active ||
           options_refuse(error, "zoned: zones-open cannot be more than zones-active");
}

static void tell_info(const BlockZones *z, DevemuBlockInfo *info)
{
    info->zoned = DEVEMU_BLOCK_HOST_MANAGED;
    info->zone_size = z->size;
    info->zone_max_open = z->max_open;
    info->zone_max_active = z->max_active;
    info->zone_max_append = (uint32_t)MIN(z->size, MAX_APPEND);
    info->zone_write_granularity = info->block_size;
    info->discard = info->write_zeroes = info->zeroes_unmap = info->secure_erase = false;
}

BlockZones *block_zones_new(const BlockCommon *common, DevemuBlockInfo *info, GError **error)
{
    BlockZones *z;
    uint64_t count = (info->capacity + common->zone_size - 1) / common->zone_size;

    if (!sizes_good(common, info, error)) {
        return NULL;
    }
    z = g_malloc0(sizeof(*z) + count * sizeof(z->zones[0]));
    z->size = common->zone_size;
    z->capacity = info->capacity;
    z->count = (unsigned)count;
    z->max_open = (unsigned)common->zones_open;
    z->max_active = (unsigned)common->zones_active;
    for (unsigned i = 0; i < z->count; i++) {
        bool free_form = i < common->zones_conventional;

        z->zones[i].state = free_form ? DEVEMU_ZONE_NOT_WP : DEVEMU_ZONE_EMPTY;
        z->zones[i].pointer = free_form ? UINT64_MAX : zone_start(z, i);
    }
    tell_info(z, info);
    return z;
}
