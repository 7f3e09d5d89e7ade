/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c: see space.h.
 */
#include "space.h"

void devemu_space_init(DevemuSpace *space, uint64_t last)
{
    memset(space, 0, sizeof(*space));
    space->last = last;
    space->mappings = g_array_new(FALSE, TRUE, sizeof(DevemuMapping));
    space->segments = g_array_new(FALSE, TRUE, sizeof(DevemuSegment));
    space->order = g_array_new(FALSE, TRUE, sizeof(unsigned));
    space->stale = true;
}

void devemu_space_finish(DevemuSpace *space)
{
    g_array_unref(space->mappings);
    g_array_unref(space->segments);
    g_array_unref(space->order);
}

static DevemuMapping *mapping_at(const DevemuSpace *space, unsigned i)
{
    return &g_array_index(space->mappings, DevemuMapping, i);
}

static void changed(DevemuSpace *space)
{
    space->stale = true;
    space->changes++;
}

unsigned devemu_space_add(DevemuSpace *space, const DevemuMapping *mapping, uint64_t len,
                          GError **error)
{
    DevemuMapping m = *mapping;

    m.last = m.base + (len - 1);
    if (len == 0 || m.last < m.base || m.last > space->last) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "cannot map %s at 0x%" PRIx64 ", %" PRIu64 " bytes: it does not fit the space",
                    m.dev ? m.dev->name : "memory", m.base, len);
        return 0;
    }
    m.id = ++space->next_id;
    m.reads = m.writes = true;
    g_array_append_val(space->mappings, m);
    changed(space);
    return m.id;
}

bool devemu_space_remove(DevemuSpace *space, const DevemuDevice *dev)
{
    unsigned before = space->mappings->len;

    for (unsigned i = before; i-- > 0;) {
        if (devemu_device_is_below(mapping_at(space, i)->dev, dev)) {
            g_array_remove_index(space->mappings, i);
            changed(space);
        }
    }
    return space->mappings->len != before;
}

bool devemu_space_enable(DevemuSpace *space, unsigned id, bool reads, bool writes)
{
    for (unsigned i = 0; i < space->mappings->len; i++) {
        DevemuMapping *m = mapping_at(space, i);

        if (m->id == id && (m->reads != reads || m->writes != writes)) {
            m->reads = reads;
            m->writes = writes;
            return true;
        }
    }
    return false;
}

/* --- the flat list ----------------------------------------------------------------- */

static int by_number(gconstpointer a, gconstpointer b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Where a segment begins: at 0, at each mapping, and behind each. */
static GArray *starts(const DevemuSpace *space)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    uint64_t zero = 0;

    g_array_append_val(all, zero);
    for (unsigned i = 0; i < space->mappings->len; i++) {
        const DevemuMapping *m = mapping_at(space, i);
        uint64_t behind = m->last + 1;

        g_array_append_val(all, m->base);
        if (m->last < space->last) {
            g_array_append_val(all, behind);
        }
    }
    g_array_sort(all, by_number);
    return all;
}

/* The mappings over a place, highest priority first, then in the order in which they were made. */
static void order_add(DevemuSpace *space, DevemuSegment *segment)
{
    segment->first = space->order->len;
    for (unsigned i = 0; i < space->mappings->len; i++) {
        const DevemuMapping *m = mapping_at(space, i);
        unsigned to = segment->first;

        if (segment->base < m->base || segment->base > m->last) {
            continue;
        }
        while (to < space->order->len &&
               mapping_at(space, g_array_index(space->order, unsigned, to))->priority >=
                   m->priority) {
            to++;
        }
        g_array_insert_val(space->order, to, i);
        segment->count++;
    }
}

static void rebuild(DevemuSpace *space)
{
    GArray *all = starts(space);

    g_array_set_size(space->segments, 0);
    g_array_set_size(space->order, 0);
    for (unsigned i = 0; i < all->len; i++) {
        uint64_t base = g_array_index(all, uint64_t, i);
        DevemuSegment segment = {.base = base, .last = space->last};

        if (i + 1 < all->len) {
            uint64_t next = g_array_index(all, uint64_t, i + 1);

            if (next == base) {
                continue;
            }
            segment.last = next - 1;
        }
        order_add(space, &segment);
        g_array_append_val(space->segments, segment);
    }
    g_array_unref(all);
    space->hit = 0;
    space->stale = false;
}

static const DevemuSegment *segment_find(DevemuSpace *space, uint64_t at)
{
    const DevemuSegment *segments;
    unsigned low = 0, high;

    if (G_UNLIKELY(space->stale)) {
        rebuild(space);
    }
    segments = &g_array_index(space->segments, DevemuSegment, 0);
    if (G_LIKELY(at >= segments[space->hit].base && at <= segments[space->hit].last)) {
        return &segments[space->hit];
    }
    high = space->segments->len - 1;
    while (low < high) {
        unsigned middle = (low + high + 1) / 2;

        if (segments[middle].base <= at) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    space->hit = low;
    return &segments[low];
}

/* Is m asked before other? Mappings of one priority are, in the order in which they were made. */
static bool outranks(const DevemuMapping *m, const DevemuMapping *other)
{
    return m->priority != other->priority ? m->priority > other->priority : m->id < other->id;
}

/* May m take an access that goes on behind the segment where it begins? Only if it covers all of it
 * and nobody who is asked before it has a part. */
static bool takes_whole(DevemuSpace *space, const DevemuMapping *m, uint64_t at, unsigned size)
{
    const DevemuSegment *segment = segment_find(space, at);
    const DevemuSegment *end = &g_array_index(space->segments, DevemuSegment, 0);
    uint64_t last = at + (size - 1);

    end += space->segments->len;
    if (last > m->last) {
        return false;
    }
    for (segment++; segment < end && segment->base <= last; segment++) {
        if (outranks(mapping_at(space, g_array_index(space->order, unsigned, segment->first)), m)) {
            return false;
        }
    }
    return true;
}

/* --- accesses ---------------------------------------------------------------------- */

static uint64_t ram_read(const uint8_t *p, unsigned size)
{
    switch (size) {
    case 1:
        return *p;
    case 2:
        return devemu_le16(p);
    case 4:
        return devemu_le32(p);
    default:
        return devemu_le64(p);
    }
}

static void ram_write(uint8_t *p, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        *p = (uint8_t)value;
        break;
    case 2:
        devemu_put_le16(p, (uint16_t)value);
        break;
    case 4:
        devemu_put_le32(p, (uint32_t)value);
        break;
    default:
        devemu_put_le64(p, value);
        break;
    }
}

/* Two halves, lower address first, as a bus does for a narrower device. */
static DevemuAccess read_halves(DevemuSpace *space, uint64_t at, unsigned size, uint64_t *ret_value)
{
    unsigned half = size / 2;
    uint64_t low = devemu_ones(half), high = devemu_ones(half);
    DevemuAccess first = DEVEMU_ACCESS_NONE, second;

    if (size > 1) {
        first = devemu_space_read(space, at, half, &low);
        second = devemu_space_read(space, at + half, half, &high);
        if (first == DEVEMU_ACCESS_OK || second == DEVEMU_ACCESS_OK) {
            *ret_value = low | high << (half * 8);
            return DEVEMU_ACCESS_OK;
        }
    }
    return first;
}

static DevemuAccess write_halves(DevemuSpace *space, uint64_t at, unsigned size, uint64_t value)
{
    unsigned half = size / 2;
    DevemuAccess first = DEVEMU_ACCESS_NONE, second;

    if (size > 1) {
        first = devemu_space_write(space, at, half, value & devemu_ones(half));
        second = devemu_space_write(space, at + half, half, value >> (half * 8));
        if (first == DEVEMU_ACCESS_OK || second == DEVEMU_ACCESS_OK) {
            return DEVEMU_ACCESS_OK;
        }
    }
    return first;
}

DevemuAccess devemu_space_read(DevemuSpace *space, uint64_t at, unsigned size, uint64_t *ret_value)
{
    const DevemuSegment *segment;
    unsigned first, count, changes;
    bool crosses;

    if (at > space->last || size - 1 > space->last - at) {
        return DEVEMU_ACCESS_NONE;
    }
    segment = segment_find(space, at);
    crosses = size - 1 > segment->last - at;
    first = segment->first;
    count = segment->count;
    changes = space->changes;
    /* A device that declines may have moved mappings all the same: then nobody else is asked. */
    for (unsigned i = 0; i < count && changes == space->changes; i++) {
        const DevemuMapping *m =
            mapping_at(space, g_array_index(space->order, unsigned, first + i));
        DevemuAccess access;

        if (!m->reads) {
            continue;
        }
        if (G_UNLIKELY(crosses) && !takes_whole(space, m, at, size)) {
            return read_halves(space, at, size, ret_value);
        }
        if (m->dev == NULL) {
            *ret_value = ram_read(m->ram + (at - m->base), size);
            return DEVEMU_ACCESS_OK;
        }
        access = devemu_device_read(m->dev, m->bank, at - m->base + m->at, size, ret_value);
        if (G_LIKELY(access == DEVEMU_ACCESS_OK) || access == DEVEMU_ACCESS_BUSY) {
            return access;
        }
        if (access == DEVEMU_ACCESS_SIZE) {
            return read_halves(space, at, size, ret_value);
        }
    }
    return crosses ? read_halves(space, at, size, ret_value) : DEVEMU_ACCESS_NONE;
}

DevemuAccess devemu_space_write(DevemuSpace *space, uint64_t at, unsigned size, uint64_t value)
{
    const DevemuSegment *segment;
    unsigned first, count, changes;
    bool crosses;

    if (at > space->last || size - 1 > space->last - at) {
        return DEVEMU_ACCESS_NONE;
    }
    segment = segment_find(space, at);
    crosses = size - 1 > segment->last - at;
    first = segment->first;
    count = segment->count;
    changes = space->changes;
    /* A device that declines may have moved mappings all the same: then nobody else is asked. */
    for (unsigned i = 0; i < count && changes == space->changes; i++) {
        const DevemuMapping *m =
            mapping_at(space, g_array_index(space->order, unsigned, first + i));
        DevemuAccess access;

        if (!m->writes) {
            continue;
        }
        if (G_UNLIKELY(crosses) && !takes_whole(space, m, at, size)) {
            return write_halves(space, at, size, value);
        }
        if (m->dev == NULL) {
            if (!m->rom) {
                ram_write(m->ram + (at - m->base), size, value);
            }
            return DEVEMU_ACCESS_OK;
        }
        access = devemu_device_write(m->dev, m->bank, at - m->base + m->at, size, value);
        if (G_LIKELY(access == DEVEMU_ACCESS_OK) || access == DEVEMU_ACCESS_BUSY) {
            return access;
        }
        if (access == DEVEMU_ACCESS_SIZE) {
            return write_halves(space, at, size, value);
        }
    }
    return crosses ? write_halves(space, at, size, value) : DEVEMU_ACCESS_NONE;
}

/* --- DMA --------------------------------------------------------------------------- */

/* The first mapping of a segment that is enabled for this direction. */
static const DevemuMapping *answering(const DevemuSpace *space, const DevemuSegment *segment,
                                      bool write)
{
    for (unsigned i = 0; i < segment->count; i++) {
        const DevemuMapping *m =
            mapping_at(space, g_array_index(space->order, unsigned, segment->first + i));

        if (write ? m->writes : m->reads) {
            return m;
        }
    }
    return NULL;
}

/* Device memory: pieces of a natural size, so that a register is touched once. */
static size_t dma_piece(DevemuSpace *space, uint64_t at, uint8_t *buf, size_t len, bool write,
                        bool *ok)
{
    unsigned size = 4;
    uint64_t value = 0;
    DevemuAccess access;

    while (size > len || (at & (size - 1)) != 0) {
        size /= 2;
    }
    if (write) {
        for (unsigned i = 0; i < size; i++) {
            value |= (uint64_t)buf[i] << (i * 8);
        }
        access = devemu_space_write(space, at, size, value);
    } else {
        value = devemu_ones(size);
        access = devemu_space_read(space, at, size, &value);
        for (unsigned i = 0; i < size; i++) {
            buf[i] = (uint8_t)(value >> (i * 8));
        }
    }
    if (access != DEVEMU_ACCESS_OK) {
        *ok = false;
    }
    return size;
}

bool devemu_space_dma(DevemuSpace *space, uint64_t at, uint8_t *buf, size_t len, bool write)
{
    bool ok = true;

    while (len > 0) {
        const DevemuSegment *segment;
        const DevemuMapping *m;
        uint64_t room;
        size_t step;

        if (at > space->last) {
            return false;
        }
        segment = segment_find(space, at);
        m = answering(space, segment, write);
        room = segment->last - at;
        step = room < len - 1 ? (size_t)room + 1 : len;
        if (m == NULL) {
            if (!write) {
                memset(buf, 0xff, step);
            }
            ok = false;
        } else if (m->dev == NULL) {
            uint8_t *ram = m->ram + (at - m->base);

            if (!write) {
                memcpy(buf, ram, step);
            } else if (!m->rom) {
                memcpy(ram, buf, step);
            }
        } else {
            step = dma_piece(space, at, buf, step, write, &ok);
        }
        at += step;
        buf += step;
        len -= step;
        if (at == 0 && len > 0) {
            return false;
        }
    }
    return ok;
}

/* Host memory behind a segment; NULL if reads do not come from memory. */
static uint8_t *segment_memory(const DevemuSpace *space, const DevemuSegment *segment,
                               bool *ret_writable)
{
    const DevemuMapping *reads = answering(space, segment, false);
    const DevemuMapping *writes = answering(space, segment, true);

    if (reads == NULL || reads->dev != NULL) {
        return NULL;
    }
    *ret_writable = writes == reads && !reads->rom;
    return reads->ram + (segment->base - reads->base);
}

bool devemu_space_window(DevemuSpace *space, uint64_t at, DevemuWindow *ret_window,
                         bool *ret_readable)
{
    const DevemuSegment *segments, *segment;
    unsigned i, first, last;
    uint8_t *data;
    bool writable = false, other = false;

    if (at > space->last) {
        return false;
    }
    segment = segment_find(space, at);
    segments = &g_array_index(space->segments, DevemuSegment, 0);
    data = segment_memory(space, segment, &writable);
    i = first = last = (unsigned)(segment - segments);
    *ret_readable = data != NULL;
    /* Neighbours that go on in the same memory belong to it. */
    while (data && first > 0 &&
           segment_memory(space, &segments[first - 1], &other) ==
               segment_memory(space, &segments[first], &other) -
                   (segments[first].base - segments[first - 1].base) &&
           segment_memory(space, &segments[first - 1], &other) && other == writable) {
        first--;
    }
    while (data && last + 1 < space->segments->len &&
           segment_memory(space, &segments[last + 1], &other) ==
               segment_memory(space, &segments[last], &other) +
                   (segments[last + 1].base - segments[last].base) &&
           segment_memory(space, &segments[last + 1], &other) && other == writable) {
        last++;
    }
    ret_window->addr = segments[first].base;
    ret_window->len = segments[last].last - segments[first].base + 1;
    ret_window->writable = writable;
    ret_window->data = data ? data - (segments[i].base - segments[first].base) : NULL;
    return true;
}
