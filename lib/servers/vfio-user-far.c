/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-far.c: memory that is reached by messages: DMA_READ and DMA_WRITE, their replies, and
 * what the device sees of it. vfio-user-work.c says when.
 *
 * Data is fetched for one event. A piece is what the device reads at once, cut where maps end.
 * Pieces are asked for in the order in which the device wants them, so that what a descriptor
 * guards is read behind it. Replies may come in any order; one that nobody asked for ends the
 * connection, and one that is not what was asked for is a DMA that failed.
 */
#include "vfio-user-far.h"

/* --- commands to the client -------------------------------------------------------- */

static size_t most_xfer(const DevemuVfioUser *s)
{
    return (size_t)MIN(s->peer.max_xfer, VFIO_MAX_XFER);
}

/* Returns where the data of a write goes, or NULL if nothing more can be asked. */
static uint8_t *ask(DevemuVfioUser *s, const VfioAsked *what, uint64_t addr)
{
    bool write = what->command == VFIO_USER_DMA_WRITE;
    VfioAsked *asked;
    uint8_t *message;

    if (g_hash_table_size(s->far.asked) >= FAR_ASKED_LIMIT) {
        vfio_fail(s, "the client leaves %d DMA commands without an answer", FAR_ASKED_LIMIT);
        return NULL;
    }
    asked = g_memdup2(what, sizeof(*what));
    do {
        asked->id = ++s->far.id;
    } while (g_hash_table_contains(s->far.asked, GUINT_TO_POINTER(asked->id)));
    asked->addr = addr;
    asked->generation = s->far.generation;
    g_hash_table_insert(s->far.asked, GUINT_TO_POINTER(asked->id), asked);
    message = server_stream_out(&s->stream,
                                VFIO_HEADER_BYTES + FAR_ACCESS_BYTES + (write ? what->len : 0));
    server_put16(message, asked->id);
    server_put16(message + 2, what->command);
    server_put32(message + 4, (uint32_t)(VFIO_HEADER_BYTES + FAR_ACCESS_BYTES) +
                                  (write ? (uint32_t)what->len : 0));
    server_put32(message + 8, VFIO_TYPE_COMMAND);
    server_put64(message + VFIO_HEADER_BYTES, addr);
    server_put64(message + VFIO_HEADER_BYTES + 8, what->len);
    return message + VFIO_HEADER_BYTES + FAR_ACCESS_BYTES;
}

static void ask_piece(DevemuVfioUser *s, guint index)
{
    VfioPiece *piece = &g_array_index(s->far.pieces, VfioPiece, index);
    VfioAsked asked = {.command = VFIO_USER_DMA_READ, .index = index};

    piece->state = PIECE_ASKED;
    piece->left = piece->len;
    for (; asked.at < piece->len; asked.at += asked.len) {
        asked.len = MIN(piece->len - asked.at, most_xfer(s));
        if (ask(s, &asked, piece->addr + asked.at)) {
            s->far.reading++;
        }
    }
}

static void send_write(DevemuVfioUser *s, guint index, uint64_t addr, const uint8_t *from,
                       size_t len)
{
    VfioAsked asked = {.command = VFIO_USER_DMA_WRITE, .index = index};

    for (size_t at = 0; at < len; at += asked.len) {
        uint8_t *to;

        asked.len = MIN(len - at, most_xfer(s));
        to = ask(s, &asked, addr + at);
        if (to) {
            memcpy(to, from + at, asked.len);
            s->far.writing++;
        }
    }
}

/* --- replies ----------------------------------------------------------------------- */

static bool as_asked(const VfioAsked *asked, const VfioMessage *m)
{
    return (m->flags & VFIO_FLAG_ERROR) == 0 && m->len >= FAR_ACCESS_BYTES + asked->len &&
           server_get64(m->payload) == asked->addr && server_get64(m->payload + 8) == asked->len;
}

static void read_answered(DevemuVfioUser *s, const VfioAsked *asked, const VfioMessage *m)
{
    VfioPiece *piece;

    if (asked->generation != s->far.generation) {
        return;
    }
    s->far.reading--;
    piece = &g_array_index(s->far.pieces, VfioPiece, asked->index);
    if (!as_asked(asked, m)) {
        vfio_log(s, "DMA_READ at 0x%" PRIx64 " failed: %s", asked->addr,
                 m->flags & VFIO_FLAG_ERROR ? g_strerror((int)m->error) : "a wrong reply");
        piece->state = PIECE_FAILED;
        return;
    }
    memcpy(piece->data + asked->at, m->payload + FAR_ACCESS_BYTES, asked->len);
    piece->left -= asked->len;
    if (piece->left == 0 && piece->state == PIECE_ASKED) {
        piece->state = PIECE_HERE;
    }
}

/* Of an event that has been done, or none: it can only be told to a person. */
static void write_answered(DevemuVfioUser *s, const VfioAsked *asked, const VfioMessage *m)
{
    s->far.writing--;
    if (m->flags & VFIO_FLAG_ERROR) {
        vfio_log(s, "DMA_WRITE at 0x%" PRIx64 " failed: %s", asked->addr,
                 g_strerror((int)m->error));
        if (asked->generation == s->far.generation && asked->index < s->far.failed->len) {
            g_array_index(s->far.failed, bool, asked->index) = true;
        }
    }
    if (s->far.writing == 0) {
        vfio_irqs_flush(s);
    }
}

bool vfio_answered(DevemuVfioUser *s, const VfioMessage *m)
{
    gpointer key = GUINT_TO_POINTER(m->id);
    const VfioAsked *asked = s->far.asked ? g_hash_table_lookup(s->far.asked, key) : NULL;

    if (asked == NULL || asked->command != m->command) {
        return false;
    }
    if (asked->command == VFIO_USER_DMA_READ) {
        read_answered(s, asked, m);
    } else {
        write_answered(s, asked, m);
    }
    g_hash_table_remove(s->far.asked, key);
    return true;
}

/* --- what the device sees ---------------------------------------------------------- */

/* The map at addr, and how much of len lies in it; NULL where the access is not allowed. */
static const VfioMap *map_at(DevemuVfioUser *s, uint64_t addr, size_t len, bool write,
                             size_t *ret_len)
{
    const VfioMap *map = vfio_map_find(s, addr);

    if (map == NULL || !(write ? map->writable : map->readable)) {
        return NULL;
    }
    *ret_len = (size_t)MIN(len, map->len - (addr - map->addr));
    return map;
}

static const VfioPiece *find_piece(const DevemuVfioUser *s, uint64_t addr, size_t len)
{
    for (guint i = 0; i < s->far.pieces->len; i++) {
        const VfioPiece *piece = &g_array_index(s->far.pieces, VfioPiece, i);
        uint64_t at = addr - piece->addr;

        if (at < piece->len && len <= piece->len - at) {
            return piece;
        }
    }
    return NULL;
}

static DevemuFetched fetch_piece(const DevemuVfioUser *s, uint64_t addr, uint8_t *to, size_t len)
{
    const VfioPiece *piece = find_piece(s, addr, len);

    if (piece == NULL || piece->state == PIECE_WANTED || piece->state == PIECE_ASKED) {
        return DEVEMU_FETCH_MISSING;
    }
    if (piece->state == PIECE_FAILED) {
        return DEVEMU_FETCH_FAILED;
    }
    memcpy(to, piece->data + (addr - piece->addr), len);
    return DEVEMU_FETCHED;
}

static DevemuFetched fetch(void *opaque, uint64_t addr, void *buf, size_t len)
{
    DevemuVfioUser *s = opaque;
    DevemuFetched fetched = DEVEMU_FETCHED;
    uint8_t *to = buf;
    size_t step;

    for (; len > 0 && fetched == DEVEMU_FETCHED; addr += step, to += step, len -= step) {
        const VfioMap *map = map_at(s, addr, len, false, &step);

        if (map == NULL) {
            return DEVEMU_FETCH_FAILED;
        }
        if (map->data) {
            memcpy(to, map->data + (addr - map->addr), step);
        } else {
            fetched = fetch_piece(s, addr, to, step);
        }
    }
    return fetched;
}

static bool may_write(void *opaque, uint64_t addr, size_t len)
{
    size_t step;

    for (; len > 0; addr += step, len -= step) {
        if (map_at(opaque, addr, len, true, &step) == NULL) {
            return false;
        }
    }
    return true;
}

const DevemuRehearsalOps vfio_far_rehearsal = {.read = fetch, .write = may_write};

/* Outside an event that was rehearsed nothing is here. */
bool vfio_far_read(DevemuVfioUser *s, uint64_t addr, void *buf, size_t len)
{
    return fetch(s, addr, buf, len) == DEVEMU_FETCHED;
}

/* To memory at once, to what is far by a message. */
static void put(DevemuVfioUser *s, guint index, uint64_t addr, const uint8_t *from, size_t len,
                bool near_too)
{
    size_t step;

    for (; len > 0; addr += step, from += step, len -= step) {
        const VfioMap *map = map_at(s, addr, len, true, &step);

        if (map == NULL) {
            return;
        }
        if (map->data == NULL) {
            if (index != FAR_DONE) {
                send_write(s, index, addr, from, step);
            }
        } else if (near_too) {
            memcpy(map->data + (addr - map->addr), from, step);
        }
    }
}

/* Is this the write that the rehearsal did next? Then it has been sent, and what became of it is
 * known. */
static bool foreseen(DevemuVfioUser *s, uint64_t addr, const void *buf, size_t len, bool *ret_ok)
{
    const DevemuRehearsal *r = s->far.rehearsal;
    const DevemuRange *range;

    if (!s->far.committing || s->far.next_write >= s->far.failed->len) {
        return false;
    }
    range = &g_array_index(r->writes, DevemuRange, s->far.next_write);
    if (range->addr != addr || range->len != len ||
        memcmp(r->bytes->data + range->at, buf, len) != 0) {
        s->far.next_write = s->far.failed->len; /* another course of events */
        return false;
    }
    *ret_ok = !g_array_index(s->far.failed, bool, s->far.next_write++);
    return true;
}

/* What was fetched is what the event reads, so it must know what the event wrote: a device that
 * comes round its ring looks at descriptors that it gave back. */
static void refresh(DevemuVfioUser *s, uint64_t addr, const uint8_t *from, size_t len)
{
    for (guint i = 0; i < s->far.pieces->len; i++) {
        VfioPiece *piece = &g_array_index(s->far.pieces, VfioPiece, i);
        uint64_t begin = MAX(addr, piece->addr);
        uint64_t end = MIN(addr + (len - 1), piece->addr + (piece->len - 1));

        if (begin <= end) {
            memcpy(piece->data + (begin - piece->addr), from + (begin - addr), end - begin + 1);
        }
    }
}

bool vfio_far_write(DevemuVfioUser *s, uint64_t addr, const void *buf, size_t len)
{
    bool ok = true;

    if (len == 0) {
        return true;
    }
    if (!may_write(s, addr, len)) {
        return false;
    }
    refresh(s, addr, buf, len);
    if (foreseen(s, addr, buf, len, &ok)) {
        put(s, FAR_DONE, addr, buf, len, true);
    } else {
        put(s, FAR_POSTED, addr, buf, len, true);
    }
    return ok;
}

/* --- what an event needs ----------------------------------------------------------- */

static bool want(DevemuVfioUser *s, uint64_t addr, size_t len)
{
    VfioPiece piece = {.addr = addr, .len = len};

    if (find_piece(s, addr, len)) {
        return true;
    }
    if (s->far.pieces->len == FAR_PIECES || len > FAR_BYTES - s->far.bytes) {
        return false;
    }
    piece.data = g_malloc(len);
    g_array_append_val(s->far.pieces, piece);
    s->far.bytes += len;
    return true;
}

static bool want_range(DevemuVfioUser *s, uint64_t addr, size_t len)
{
    bool fits = true;
    size_t step;

    for (; len > 0 && fits; addr += step, len -= step) {
        const VfioMap *map = map_at(s, addr, len, false, &step);

        if (map == NULL) {
            break;
        }
        fits = map->data || want(s, addr, step);
    }
    return fits;
}

bool vfio_far_ask_missing(DevemuVfioUser *s)
{
    const GArray *missing = s->far.rehearsal->missing;

    for (guint i = 0; i < missing->len; i++) {
        const DevemuRange *range = &g_array_index(missing, DevemuRange, i);

        if (!want_range(s, range->addr, range->len)) {
            return false;
        }
    }
    vfio_far_ask_wanted(s);
    return true;
}

void vfio_far_discard(DevemuVfioUser *s)
{
    s->far.generation++;
    s->far.reading = 0;
    for (guint i = 0; i < s->far.pieces->len; i++) {
        g_array_index(s->far.pieces, VfioPiece, i).state = PIECE_WANTED;
    }
}

void vfio_far_ask_wanted(DevemuVfioUser *s)
{
    for (guint i = 0; i < s->far.pieces->len; i++) {
        if (g_array_index(s->far.pieces, VfioPiece, i).state == PIECE_WANTED) {
            ask_piece(s, i);
        }
    }
}

void vfio_far_send_writes(DevemuVfioUser *s)
{
    const DevemuRehearsal *r = s->far.rehearsal;

    g_array_set_size(s->far.failed, r->writes->len);
    for (guint i = 0; i < r->writes->len; i++) {
        const DevemuRange *range = &g_array_index(r->writes, DevemuRange, i);

        g_array_index(s->far.failed, bool, i) = false;
        put(s, i, range->addr, r->bytes->data + range->at, range->len, false);
    }
    s->far.next_write = 0;
}

void vfio_far_forget(DevemuVfioUser *s)
{
    s->far.generation++;
    s->far.reading = 0;
    s->far.bytes = 0;
    s->far.next_write = 0;
    g_array_set_size(s->far.pieces, 0);
    g_array_set_size(s->far.failed, 0);
}
