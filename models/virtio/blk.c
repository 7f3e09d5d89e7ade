/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk.c: virtio block device (virtio 1.4, 5.2). What it is, what it offers and its configuration
 * space are those of the medium behind it.
 *
 * Not modelled: request barriers and SCSI commands (legacy, never offered), a legacy driver of a
 * big-endian guest.
 */
#include "blk.h"

enum {
    MAX_SECTORS = 1 << 22, /* of a discard where the medium has no limit: 2 GiB */
    ZONED_SIZE_MAX = 1 << 20,
    HEADS = 16,
    TRACK = 63,

    /* 5.2.4, model */
    Z_NONE = 0,
    Z_HM = 1,
    Z_HA = 2,
};

/* --- features: 5.2.3 --------------------------------------------------------------- */

static uint64_t blk_offer(const void *state)
{
    const struct virtio_blk *s = state;
    const BlkConfig *c = &s->config;
    uint64_t features = BIT(BLK_F_FLUSH);

    features |= s->config_wce ? BIT(BLK_F_CONFIG_WCE) : 0;
    features |= s->num_queues > 1 ? BIT(BLK_F_MQ) : 0;
    if (!s->medium) {
        return features;
    }
    features |= BIT(BLK_F_SEG_MAX) | BIT(BLK_F_GEOMETRY) | BIT(BLK_F_BLK_SIZE);
    features |= BIT(BLK_F_TOPOLOGY);
    features |= c->size_max ? BIT(BLK_F_SIZE_MAX) : 0;
    features |= s->info.read_only ? BIT(BLK_F_RO) : 0;
    features |= c->max_discard_seg ? BIT(BLK_F_DISCARD) : 0;
    features |= c->max_write_zeroes_seg ? BIT(BLK_F_WRITE_ZEROES) : 0;
    features |= c->max_secure_erase_seg ? BIT(BLK_F_SECURE_ERASE) : 0;
    features |= s->info.lifetime ? BIT(BLK_F_LIFETIME) : 0;
    features |= c->model != Z_NONE ? BIT(BLK_F_ZONED) : 0;
    return features;
}

/* 5.2.5.2: a host-managed medium MUST NOT go with a driver that does not know zones; ZONED is
 * nothing for a legacy one. */
static bool blk_accept(const void *state, uint64_t features)
{
    const struct virtio_blk *s = state;
    bool zoned = features & BIT(BLK_F_ZONED);

    return features & BIT(VIRTIO_F_VERSION_1) ? zoned || s->config.model != Z_HM : !zoned;
}

static unsigned blk_queue_size(const void *state, unsigned queue)
{
    const struct virtio_blk *s = state;

    return queue < s->num_queues ? BLK_QUEUE_SIZE : 0;
}

static bool blk_busy(const void *state, unsigned queue)
{
    return ((const struct virtio_blk *)state)->flying[queue] != 0;
}

static void blk_queue_reset(void *state, unsigned queue)
{
    blk_forget(state, queue);
}

/* --- the configuration space: 5.2.4 ------------------------------------------------ */

static uint32_t sectors_of(uint64_t bytes, uint32_t most)
{
    uint64_t sectors = bytes / BLK_SECTOR;

    return sectors == 0 || sectors > most ? most : (uint32_t)sectors;
}

static uint8_t log2_of(uint32_t value)
{
    return value ? (uint8_t)(31 - __builtin_clz(value)) : 0;
}

/* A geometry is of use to legacy drivers alone; this is what disks have said since there were more
 * than 16383 cylinders. */
static void fill_geometry(BlkConfig *c)
{
    uint64_t cylinders = c->capacity / (HEADS * TRACK);

    c->cylinders = (uint16_t)(cylinders < 16383 ? cylinders : 16383);
    c->heads = HEADS;
    c->sectors = TRACK;
}

static void fill_ranges(BlkConfig *c, const DevemuBlockInfo *info)
{
    uint32_t granule =
        info->discard_granularity > info->block_size ? info->discard_granularity : info->block_size;

    /* 5.2.5.1: nothing to discard where zones must be written in order. */
    if (info->discard && !info->read_only && info->zoned != DEVEMU_BLOCK_HOST_MANAGED) {
        c->max_discard_sectors = sectors_of(info->max_discard, MAX_SECTORS);
        c->max_discard_seg = BLK_RANGES;
        c->discard_sector_alignment = granule / BLK_SECTOR;
    }
    if (info->write_zeroes && !info->read_only && info->zoned != DEVEMU_BLOCK_HOST_MANAGED) {
        c->max_write_zeroes_sectors = sectors_of(info->max_zeroes, MAX_SECTORS);
        c->max_write_zeroes_seg = BLK_RANGES;
        c->write_zeroes_may_unmap = info->zeroes_unmap;
    }
    /* Of zones it would have to be a reset; that is there under its own name. */
    if (info->secure_erase && !info->read_only && info->zoned == DEVEMU_BLOCK_NOT_ZONED) {
        c->max_secure_erase_sectors = sectors_of(info->max_erase, MAX_SECTORS);
        c->max_secure_erase_seg = BLK_RANGES;
        c->secure_erase_sector_alignment = granule / BLK_SECTOR;
    }
}

static void fill_zones(BlkConfig *c, const DevemuBlockInfo *info)
{
    if (info->zoned == DEVEMU_BLOCK_NOT_ZONED || info->zone_size / BLK_SECTOR == 0) {
        return;
    }
    c->model = info->zoned == DEVEMU_BLOCK_HOST_MANAGED ? Z_HM : Z_HA;
    c->zone_sectors = (uint32_t)(info->zone_size / BLK_SECTOR);
    c->max_open_zones = info->zone_max_open;
    c->max_active_zones = info->zone_max_active;
    /* One piece, which fits our own memory: it cannot be cut. */
    c->max_append_sectors =
        (info->zone_max_append < BLK_BOUNCE ? info->zone_max_append : BLK_BOUNCE) / BLK_SECTOR;
    c->write_granularity =
        info->zone_write_granularity ? info->zone_write_granularity : info->block_size;
    /* 5.2.5.2: max_append_sectors is bounded by it, so it is to be there. */
    c->size_max = c->size_max ? c->size_max : ZONED_SIZE_MAX;
}

static void fill(const struct virtio_blk *s, const DevemuBlockInfo *info, BlkConfig *ret_config)
{
    BlkConfig *c = ret_config;

    memset(c, 0, sizeof(*c));
    c->capacity = info->capacity / BLK_SECTOR;
    c->size_max = s->size_max;
    c->seg_max = BLK_QUEUE_SIZE - 2;
    c->blk_size = info->block_size;
    c->physical_block_exp = log2_of(info->physical_size / info->block_size);
    c->min_io_size = (uint16_t)(info->min_io / info->block_size);
    c->opt_io_size = info->opt_io / info->block_size;
    fill_geometry(c);
    fill_ranges(c, info);
    fill_zones(c, info);
}

/* 5.2.6.2: the capacity MAY change. So may all the rest, with another medium; without one all stays
 * as it is, and requests fail. */
bool blk_told(const struct virtio_blk *s)
{
    BlkConfig config;

    if (!s->medium) {
        return true;
    }
    fill(s, &s->info, &config);
    return memcmp(&config, &s->config, sizeof(config)) == 0;
}

void blk_tell(struct virtio_blk *s)
{
    if (!blk_told(s)) {
        fill(s, &s->info, &s->config);
        virtio_config_changed(&s->v);
    }
}

static void blk_medium(void *state, const DevemuBlockInfo *info)
{
    struct virtio_blk *s = state;

    s->medium = info != NULL && info->block_size >= BLK_SECTOR;
    if (s->medium) {
        s->info = *info;
        blk_tell(s);
    }
}

static uint64_t num_queues_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_blk *)state)->num_queues;
}

/* Before the driver chose: write-back for one that can flush (5.2.5.2: MUST be 0 with CONFIG_WCE
 * and no FLUSH). 5.2.5.3: under a legacy driver feature bits change nothing, and status bits only
 * DRIVER_OK, if CONFIG_WCE is not among the features. */
static bool write_back(const struct virtio_blk *s)
{
    if (s->writeback_set) {
        return s->writeback;
    }
    if (s->v.status & DEVEMU_VIRTIO_FEATURES_OK) {
        return virtio_has(&s->v, BLK_F_FLUSH);
    }
    return !(s->v.status & DEVEMU_VIRTIO_DRIVER_OK) || virtio_has(&s->v, BLK_F_CONFIG_WCE) ||
           virtio_has(&s->v, BLK_F_FLUSH);
}

bool blk_write_through(const struct virtio_blk *s)
{
    if (virtio_has(&s->v, BLK_F_CONFIG_WCE)) {
        return !write_back(s);
    }
    return !virtio_has(&s->v, BLK_F_FLUSH);
}

static uint64_t writeback_read(const void *state, unsigned index)
{
    (void)index;
    return write_back(state);
}

static bool writeback_writable(const void *state)
{
    const struct virtio_blk *s = state;
    uint8_t settled = DEVEMU_VIRTIO_FEATURES_OK | DEVEMU_VIRTIO_DRIVER_OK;

    return virtio_has(&s->v, BLK_F_CONFIG_WCE) || (s->config_wce && !(s->v.status & settled));
}

static void writeback_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_blk *s = state;

    (void)index;
    (void)old;
    s->writeback = value != 0;
    s->writeback_set = true;
}

/* 5.2.5.2: all of it SHOULD be zero where ZONED was not accepted. */
static bool zones_shown(const void *state)
{
    const struct virtio_blk *s = state;

    return !(s->v.status & (DEVEMU_VIRTIO_FEATURES_OK | DEVEMU_VIRTIO_DRIVER_OK)) ||
           virtio_has(&s->v, BLK_F_ZONED);
}

/* --- tables ------------------------------------------------------------------------ */

#define ALL(bytes) (UINT64_MAX >> (64 - 8 * (bytes)))
#define TOLD_IF(field, words, place, bytes, shown)                                                 \
    {                                                                                              \
        .name = #field, .title = (words), .section = "5.2.4", .at = (place), .size = (bytes),      \
        DEVEMU_IN(struct virtio_blk, config.field), .ro = ALL(bytes), .keep_hard = ALL(bytes),     \
        .keep_soft = ALL(bytes), .decoded = (shown)                                                \
    }
#define TOLD(field, words, place, bytes)  TOLD_IF(field, words, place, bytes, NULL)
#define ZONED(field, words, place, bytes) TOLD_IF(field, words, place, bytes, zones_shown)

static const DevemuReg config_regs[] = {
    TOLD(capacity, "Sectors of 512 bytes", 0, 8),
    TOLD(size_max, "Greatest segment, in bytes", 8, 4),
    TOLD(seg_max, "Most segments of a request", 12, 4),
    TOLD(cylinders, "Cylinders", 16, 2),
    TOLD(heads, "Heads", 18, 1),
    TOLD(sectors, "Sectors of a track", 19, 1),
    TOLD(blk_size, "Bytes of a block", 20, 4),
    TOLD(physical_block_exp, "Blocks of a physical one, as a power of 2", 24, 1),
    TOLD(min_io_size, "Least good size of a request, in blocks", 26, 2),
    TOLD(opt_io_size, "Best size of a request, in blocks", 28, 4),
    {.name = "writeback",
     .title = "1: completed writes may need a flush",
     .section = "5.2.4",
     .at = 32,
     .size = 1,
     .writable = writeback_writable,
     .read = writeback_read,
     .wrote = writeback_wrote},
    {.name = "num_queues",
     .title = "Number of queues",
     .section = "5.2.4",
     .at = 34,
     .size = 2,
     .read = num_queues_read},
    TOLD(max_discard_sectors, "Most sectors of a range", 36, 4),
    TOLD(max_discard_seg, "Most ranges of a discard", 40, 4),
    TOLD(discard_sector_alignment, "Sectors that are discarded together", 44, 4),
    TOLD(max_write_zeroes_sectors, "Most sectors of a range", 48, 4),
    TOLD(max_write_zeroes_seg, "Most ranges of a write zeroes", 52, 4),
    TOLD(write_zeroes_may_unmap, "May write zeroes free space?", 56, 1),
    TOLD(max_secure_erase_sectors, "Most sectors of a range", 60, 4),
    TOLD(max_secure_erase_seg, "Most ranges of a secure erase", 64, 4),
    TOLD(secure_erase_sector_alignment, "Sectors that are erased together", 68, 4),
    ZONED(zone_sectors, "Sectors of a zone", 72, 4),
    ZONED(max_open_zones, "Most zones that are open; 0: no limit", 76, 4),
    ZONED(max_active_zones, "Most zones that are active; 0: no limit", 80, 4),
    ZONED(max_append_sectors, "Most sectors of a zone append", 84, 4),
    ZONED(write_granularity, "Bytes in whose multiples zones are written", 88, 4),
    ZONED(model, "1 host-managed, 2 host-aware", 92, 1),
};

static const DevemuBank banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config",
                              .kind = DEVEMU_BANK_MMIO,
                              .size = 96,
                              .regs = config_regs,
                              .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                              .lanes = true},
};

#define SAVE(field) DEVEMU_SAVE_ARRAY(struct virtio_blk, saved.field)
#define SKIP(field) DEVEMU_SKIP(struct virtio_blk, field)

static const DevemuField fields[] = {
    VIRTIO_FIELDS,
    SKIP(config.unused),
    DEVEMU_SAVE(struct virtio_blk, writeback),
    DEVEMU_SAVE(struct virtio_blk, writeback_set),
    SKIP(unused_1),
    SKIP(unused_2),
    SKIP(medium),
    SKIP(untold),
    SKIP(unused_3),
    SKIP(info),
    SKIP(free_requests),
    SKIP(free_units),
    SKIP(starved),
    SKIP(dirty),
    SKIP(free_bounces),
    SKIP(first_waiting),
    SKIP(last_waiting),
    SKIP(flying),
    SKIP(requests),
    SKIP(segments),
    SKIP(held),
    SKIP(slices),
    SKIP(holding),
    SKIP(half),
    SKIP(unused_4),
    SKIP(bounces),
    SAVE(sector),
    SAVE(done),
    SAVE(type),
    SAVE(id),
    SAVE(descs),
    SAVE(unit),
    SAVE(readable),
    SAVE(writable),
    SAVE(queue),
    SAVE(segment_addr),
    SAVE(segment_len),
    {0},
};

static const DevemuTimer timers[] = {
    VIRTIO_TIMERS,
    DEVEMU_TIMER(struct virtio_blk, look_ns, blk_look),
    {0},
};

static const DevemuProperty properties[] = {
    VIRTIO_PROPERTIES,
    {.name = "num_queues",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct virtio_blk, num_queues),
     .value = "1",
     .min = 1,
     .max = DEVEMU_VIRTIO_QUEUES,
     .doc = "Number of request queues; more than one is MQ."},
    {.name = "serial",
     .type = DEVEMU_PROPERTY_TEXT,
     DEVEMU_OPTION(struct virtio_blk, serial),
     .doc = "The device ID string, at most 20 characters."},
    {.name = "size_max",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct virtio_blk, size_max),
     .value = "0",
     .max = UINT32_MAX,
     .doc = "Greatest segment of a request, in bytes (SIZE_MAX); 0: not offered."},
    {.name = "config_wce",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct virtio_blk, config_wce),
     .value = "on",
     .doc = "May the driver switch the write cache (CONFIG_WCE)?"},
    {0},
};

/* --- life -------------------------------------------------------------------------- */

static void blk_reset(void *state, DevemuReset kind)
{
    struct virtio_blk *s = state;

    if (kind == DEVEMU_RESET_POWER) {
        blk_pools_reset(s);
    }
    virtio_reset(state, kind);
    s->look_ns = DEVEMU_NEVER;
    s->writeback = s->writeback_set = false;
}

static bool blk_valid(const void *state)
{
    const struct virtio_blk *s = state;

    return virtio_valid(state) && blk_saved_valid(s) &&
           (s->config.zone_sectors == 0 || s->config.write_granularity != 0);
}

static const DevemuVirtio virtio = {
    .device_id = 2,
    .transitional_id = 0x1001,
    .class_code = 0x010000, /* SCSI controller, as other devices say; the specification is silent */
    .offer = blk_offer,
    .queue_size = blk_queue_size,
    .accept = blk_accept,
    .process = blk_process,
    .busy = blk_busy,
    .queue_reset = blk_queue_reset,
};

const DevemuModel devemu_model_virtio_blk = {
    .name = "virtio-blk",
    .title = "virtio block device",
    .datasheet = "OASIS Virtual I/O Device 1.4, 5.2",
    .not_modelled = "request barriers, SCSI commands, legacy drivers of big-endian guests",
    .state_size = sizeof(struct virtio_blk),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .configure = virtio_configure,
    .reset = blk_reset,
    .saving = blk_saving,
    .valid = blk_valid,
    .loaded = blk_loaded,
    .complete = blk_complete,
    .medium = blk_medium,
    .virtio = &virtio,
    .is_block = true,
};
