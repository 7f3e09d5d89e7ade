/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon.c: virtio traditional memory balloon device (virtio 1.4, 5.5).
 *
 * The program works the host's side through the bank "host": it sets how many pages the balloon
 * wants, asks for statistics, starts and ends rounds of hints. Pages in the balloon and reported
 * ones go to DevemuHostOps.discard.
 *
 * Hinted pages are counted and left alone: their driver may have taken them back before we see the
 * hint (5.5.6.7), so only who knows what was written since can use them.
 *
 * Not modelled: MUST_TELL_HOST, since a page that was given back comes again when it is touched;
 * big-endian legacy drivers. A legacy driver's `actual` counts as it is written, byte by byte.
 */
#include "virtio.h"

enum {
    F_STATS_VQ = 1,
    F_DEFLATE_ON_OOM = 2,
    F_FREE_PAGE_HINT = 3,
    F_PAGE_POISON = 4,
    F_PAGE_REPORTING = 5,

    INFLATEQ = 0,
    DEFLATEQ,
    STATSQ,
    FREE_PAGE_VQ,
    REPORTING_VQ,
    QUEUES,
    QUEUE_SIZE = 128,

    PAGE_SHIFT = 12, /* whatever the guest's pages are (5.5.6) */
    /* Pages that one buffer may name, and statistics: drivers have 256, and 10. */
    PAGES_MAX = 4096,
    STATS_MAX = 64,
    STAT_BYTES = 10,
    STATS = 10,

    /* free_page_hint_cmd_id: 5.5.6.7 */
    CMD_ID_STOP = 0,
    CMD_ID_DONE = 1,
    CMD_ID_FIRST = 2,

    /* What is written to `hint`. */
    HINT_STOP = 0,
    HINT_DONE = 1,
    HINT_START = 2,

    BANK_HOST = DEVEMU_VIRTIO_BANKS,
};

#define BIT(n) (UINT32_C(1) << (n))

struct virtio_balloon {
    VirtioDevice v;
    uint64_t stats[STATS]; /* by tag */
    uint64_t hinted;       /* bytes of this round */
    uint32_t stats_known;  /* tags that the driver told, by bits */
    uint32_t stats_count;  /* buffers of statistics so far */
    uint32_t num_pages, actual, poison;
    uint32_t hint_id;               /* free_page_hint_cmd_id */
    uint32_t hint_last;             /* the last ID that began a round */
    uint16_t stats_id, stats_descs; /* of the buffer that we keep */
    bool stats_kept, stats_asked;
    bool stats_first; /* the next buffer is the first since DRIVER_OK */
    bool hinting;     /* the driver gives pages for hint_id */

    bool deflate_on_oom; /* property */
    uint8_t unused[3];
};

static uint64_t balloon_offer(const void *state)
{
    const struct virtio_balloon *s = state;

    return BIT(F_STATS_VQ) | BIT(F_FREE_PAGE_HINT) | BIT(F_PAGE_POISON) | BIT(F_PAGE_REPORTING) |
           (s->deflate_on_oom ? BIT(F_DEFLATE_ON_OOM) : 0);
}

static unsigned balloon_queue_size(const void *state, unsigned queue)
{
    (void)state;
    return queue < QUEUES ? QUEUE_SIZE : 0;
}

/* --- pages: 5.5.6, 5.5.6.9 -------------------------------------------------------------- */

/* The array of page numbers, neighbours as one. */
static void discard_pages(struct virtio_balloon *s, const uint8_t *numbers, size_t count)
{
    uint64_t first = 0, pages = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t page = devemu_le32(numbers + i * 4);

        if (pages > 0 && page == first + pages) {
            pages++;
            continue;
        }
        devemu_discard(s->v.dev, first << PAGE_SHIFT, pages << PAGE_SHIFT);
        first = page;
        pages = 1;
    }
    devemu_discard(s->v.dev, first << PAGE_SHIFT, pages << PAGE_SHIFT);
}

static bool inflate(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                    uint32_t *ret_written)
{
    struct virtio_balloon *s = state;
    DevemuVirtqueue *q = devemu_virtio_queue(s->v.dev, queue);
    uint8_t numbers[1024];
    size_t got;

    (void)ret_written;
    if (chain->readable_len > PAGES_MAX * 4) {
        devemu_guest_error(s->v.dev, "inflateq: the buffer names more than 4096 pages");
    }
    for (uint64_t at = 0; at < PAGES_MAX * 4; at += sizeof(numbers)) {
        got = devemu_virtqueue_read(q, chain, at, numbers, sizeof(numbers));
        discard_pages(s, numbers, got / 4);
        if (got < sizeof(numbers)) {
            break;
        }
    }
    return true;
}

/* A page that leaves the balloon comes again by being touched. */
static bool deflate(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                    uint32_t *ret_written)
{
    (void)state;
    (void)queue;
    (void)chain;
    (void)ret_written;
    return true;
}

/* 5.5.6.9.2: with PAGE_POISON a page MUST NOT get another value than poison_val, and what is
 * discarded may come back as zeroes. */
static bool report(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                   uint32_t *ret_written)
{
    struct virtio_balloon *s = state;

    (void)queue;
    (void)ret_written;
    if (virtio_has(&s->v, F_PAGE_POISON) && s->poison != 0) {
        return true;
    }
    for (uint32_t i = 0; i < chain->writable; i++) {
        const DevemuVirtqueueSegment *segment = &chain->segments[chain->readable + i];

        devemu_discard(s->v.dev, segment->addr, segment->len);
    }
    return true;
}

/* 5.5.6.7: the driver begins with the ID, then come pages, STOP ends. */
static bool hint(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                 uint32_t *ret_written)
{
    struct virtio_balloon *s = state;
    uint8_t id[4];

    (void)ret_written;
    if (chain->readable_len > 0) {
        DevemuVirtqueue *q = devemu_virtio_queue(s->v.dev, queue);

        if (devemu_virtqueue_read(q, chain, 0, id, sizeof(id)) < sizeof(id)) {
            devemu_guest_error(s->v.dev, "free_page_vq: a command ID has 4 bytes");
            return true;
        }
        s->hinting = s->hint_id >= CMD_ID_FIRST && devemu_le32(id) == s->hint_id;
    } else if (s->hinting) {
        s->hinted += chain->writable_len;
    }
    return true;
}

/* --- statistics: 5.5.6.3 ------------------------------------------------------------------ */

/* The driver answers with a new buffer. */
static void stats_request(struct virtio_balloon *s)
{
    DevemuVirtqueue *q = virtio_ready(&s->v, STATSQ);
    const DevemuVirtqueueChain chain = {.id = s->stats_id, .descs = s->stats_descs};

    if (q == NULL || !s->stats_kept) {
        return;
    }
    s->stats_kept = s->stats_asked = false;
    devemu_virtqueue_push(q, &chain, 0);
    virtio_flush(&s->v, STATSQ);
}

/* Entries in any order; tags that we do not know are ignored (5.5.6.3.2). */
static void stats_take(struct virtio_balloon *s, const uint8_t *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned tag = devemu_le16(entries + i * STAT_BYTES);

        if (tag < STATS) {
            s->stats[tag] = devemu_le64(entries + i * STAT_BYTES + 2);
            s->stats_known |= BIT(tag);
        }
    }
    s->stats_count++;
}

/* 5.5.6.3.3: the first buffer of a legacy driver holds anything. */
static bool stats_came(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                       uint32_t *ret_written)
{
    struct virtio_balloon *s = state;
    DevemuVirtqueue *q = devemu_virtio_queue(s->v.dev, queue);
    uint8_t entries[STATS_MAX * STAT_BYTES];
    size_t got = devemu_virtqueue_read(q, chain, 0, entries, sizeof(entries));

    (void)ret_written;
    if (s->stats_kept) {
        devemu_guest_error(s->v.dev, "statsq: there is a buffer already");
        return true;
    }
    if (!s->stats_first || virtio_has(&s->v, VIRTIO_F_VERSION_1)) {
        stats_take(s, entries, got / STAT_BYTES);
    }
    s->stats_first = false;
    s->stats_kept = true;
    s->stats_id = chain->id;
    s->stats_descs = chain->descs;
    return false;
}

/* --- queues ------------------------------------------------------------------------------- */

static void balloon_start(void *state)
{
    ((struct virtio_balloon *)state)->stats_first = true;
}

static void balloon_process(void *state, unsigned queue)
{
    static const struct {
        uint8_t feature; /* 0: none is needed */
        VirtioUse *use;
    } uses[QUEUES] = {
        [INFLATEQ] = {0, inflate},
        [DEFLATEQ] = {0, deflate},
        [STATSQ] = {F_STATS_VQ, stats_came},
        [FREE_PAGE_VQ] = {F_FREE_PAGE_HINT, hint},
        [REPORTING_VQ] = {F_PAGE_REPORTING, report},
    };
    struct virtio_balloon *s = state;

    if (uses[queue].feature && !virtio_has(&s->v, uses[queue].feature)) {
        return;
    }
    virtio_each(&s->v, queue, uses[queue].use);
    if (queue == STATSQ && s->stats_asked) {
        stats_request(s);
    }
}

static void balloon_queue_reset(void *state, unsigned queue)
{
    struct virtio_balloon *s = state;

    if (queue == STATSQ) {
        s->stats_kept = false;
    } else if (queue == FREE_PAGE_VQ) {
        s->hinting = false;
    }
}

/* --- registers ------------------------------------------------------------------------------ */

static uint64_t num_pages_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_balloon *)state)->num_pages;
}

static uint64_t hint_id_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_balloon *)state)->hint_id;
}

static uint64_t actual_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_balloon *)state)->actual;
}

static void target_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    if (value != old) {
        virtio_config_changed(state);
    }
}

static void stats_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_balloon *s = state;

    (void)index;
    (void)value;
    (void)old;
    s->stats_asked = virtio_has(&s->v, F_STATS_VQ);
    if (!virtio_put_off(&s->v, STATSQ)) {
        stats_request(s);
    }
}

/* 5.5.6.7.2: no ID is used twice before 2^32 of them were. */
static void hint_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_balloon *s = state;

    (void)index;
    (void)old;
    if (!virtio_has(&s->v, F_FREE_PAGE_HINT) || value > HINT_START) {
        return;
    }
    if (value == HINT_START) {
        s->hint_last = s->hint_last < CMD_ID_FIRST || s->hint_last == UINT32_MAX ? CMD_ID_FIRST
                                                                                 : s->hint_last + 1;
        s->hint_id = s->hint_last;
        s->hinted = 0;
    } else {
        s->hint_id = value == HINT_DONE ? CMD_ID_DONE : CMD_ID_STOP;
    }
    s->hinting = false;
    virtio_config_changed(&s->v);
}

static uint64_t hinting_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_balloon *)state)->hinting;
}

static uint64_t hinted_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_balloon *)state)->hinted;
}

static uint64_t stats_count_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_balloon *)state)->stats_count;
}

static uint64_t stats_known_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_balloon *)state)->stats_known;
}

static uint64_t stat_read(const void *state, unsigned index)
{
    return ((const struct virtio_balloon *)state)->stats[index];
}

#define SHOWN(label, words, part, place, bytes, reader)                                            \
    {                                                                                              \
        .name = (label), .title = (words), .section = (part), .at = (place), .size = (bytes),      \
        .read = (reader)                                                                           \
    }

static const DevemuReg config_regs[] = {
    SHOWN("num_pages", "Pages that the balloon wants", "5.5.4", 0, 4, num_pages_read),
    {.name = "actual",
     .title = "Pages that it has",
     .section = "5.5.4",
     .at = 4,
     .size = 4,
     DEVEMU_IN(struct virtio_balloon, actual)},
    SHOWN("free_page_hint_cmd_id", "0: stop; 1: done; else give hints", "5.5.4", 8, 4,
          hint_id_read),
    {.name = "poison_val",
     .title = "What the driver fills free pages with",
     .section = "5.5.4",
     .at = 12,
     .size = 4,
     DEVEMU_IN(struct virtio_balloon, poison)},
};

static const DevemuReg host_regs[] = {
    {.name = "target",
     .title = "Pages that the balloon wants",
     .section = "ours",
     .at = 0,
     .size = 4,
     DEVEMU_IN(struct virtio_balloon, num_pages),
     .keep_hard = UINT32_MAX,
     .keep_soft = UINT32_MAX,
     .wrote = target_wrote},
    SHOWN("actual", "Pages that it has", "ours", 4, 4, actual_read),
    {.name = "stats_request",
     .title = "A write asks for new statistics",
     .section = "ours",
     .at = 8,
     .size = 4,
     .wo = UINT32_MAX,
     .wrote = stats_wrote},
    SHOWN("stats_count", "How often statistics came", "ours", 12, 4, stats_count_read),
    SHOWN("stats_known", "Statistics that the driver has, by bits", "ours", 16, 4,
          stats_known_read),
    {.name = "hint",
     .title = "0: stop hints; 1: they are not needed any more; 2: begin a round",
     .section = "ours",
     .at = 20,
     .size = 4,
     .read = hint_id_read,
     .wrote = hint_wrote},
    SHOWN("hinting", "The driver is at it", "ours", 24, 4, hinting_read),
    SHOWN("hinted", "Bytes that were hinted in this round", "ours", 32, 8, hinted_read),
    {.name = "stat",
     .title = "A statistic, by its tag",
     .section = "5.5.6.3",
     .at = 64,
     .size = 8,
     .count = STATS,
     .read = stat_read},
};

static const DevemuBank banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config",
                              .kind = DEVEMU_BANK_MMIO,
                              .size = 16,
                              .regs = config_regs,
                              .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                              .lanes = true},
    [BANK_HOST] = {.name = "host",
                   .kind = DEVEMU_BANK_MMIO,
                   .size = 64 + 8 * STATS,
                   .regs = host_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(host_regs)},
};

/* --- reset, snapshots -------------------------------------------------------------------- */

static void balloon_reset(void *state, DevemuReset kind)
{
    struct virtio_balloon *s = state;

    virtio_reset(state, kind);
    memset(s->stats, 0, sizeof(s->stats));
    s->stats_known = s->stats_count = 0;
    s->hinted = 0;
    s->hint_id = CMD_ID_STOP;
    s->stats_id = s->stats_descs = 0;
    s->stats_kept = s->stats_asked = s->stats_first = s->hinting = false;
    if (kind == DEVEMU_RESET_POWER) {
        s->hint_last = 0;
    }
}

static bool balloon_valid(const void *state)
{
    const struct virtio_balloon *s = state;

    return (s->stats_known & ~(BIT(STATS) - 1)) == 0 &&
           (!s->stats_kept || (s->v.enabled[STATSQ] && s->stats_id < s->v.size[STATSQ])) &&
           (!s->hinting || s->hint_id >= CMD_ID_FIRST) && virtio_valid(state);
}

static const DevemuField fields[] = {
    VIRTIO_FIELDS,
    DEVEMU_SAVE_ARRAY(struct virtio_balloon, stats),
    DEVEMU_SAVE(struct virtio_balloon, hinted),
    DEVEMU_SAVE(struct virtio_balloon, stats_known),
    DEVEMU_SAVE(struct virtio_balloon, stats_count),
    DEVEMU_SAVE(struct virtio_balloon, hint_id),
    DEVEMU_SAVE(struct virtio_balloon, hint_last),
    DEVEMU_SAVE(struct virtio_balloon, stats_id),
    DEVEMU_SAVE(struct virtio_balloon, stats_descs),
    DEVEMU_SAVE(struct virtio_balloon, stats_kept),
    DEVEMU_SAVE(struct virtio_balloon, stats_asked),
    DEVEMU_SAVE(struct virtio_balloon, stats_first),
    DEVEMU_SAVE(struct virtio_balloon, hinting),
    DEVEMU_SKIP(struct virtio_balloon, unused),
    {0},
};

static const DevemuTimer timers[] = {VIRTIO_TIMERS, {0}};

static const DevemuProperty properties[] = {
    VIRTIO_PROPERTIES,
    {.name = "deflate_on_oom",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct virtio_balloon, deflate_on_oom),
     .value = "off",
     .doc = "Offer DEFLATE_ON_OOM: the guest may take pages back when it runs out of memory?"},
    {0},
};

static const DevemuVirtio virtio = {
    .device_id = 5,
    .transitional_id = 0x1002,
    .class_code = 0x00ff00,
    .in_order = true,
    .offer = balloon_offer,
    .queue_size = balloon_queue_size,
    .start = balloon_start,
    .process = balloon_process,
    .queue_reset = balloon_queue_reset,
};

const DevemuModel devemu_model_virtio_balloon = {
    .name = "virtio-balloon",
    .title = "virtio traditional memory balloon device",
    .datasheet = "OASIS Virtual I/O Device 1.4, 5.5",
    .not_modelled = "MUST_TELL_HOST; use of hinted pages; big-endian legacy drivers",
    .state_size = sizeof(struct virtio_balloon),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .configure = virtio_configure,
    .reset = balloon_reset,
    .saving = virtio_saving,
    .valid = balloon_valid,
    .loaded = virtio_loaded,
    .virtio = &virtio,
};
