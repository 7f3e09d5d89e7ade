/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record-log.h: the file between recorder and replay.
 *
 * All numbers are little-endian; "num" is seven bits a byte, lowest first, bit 7 set on all but the
 * last; "bytes" is a num and so many bytes.
 *
 * - file: "devemlog", u32 version, u32 CRC-32 of these twelve bytes, then records;
 * - record: u32 length of the payload, u32 CRC-32 of it, u32 CRC-32 of these eight bytes, payload;
 * - payload: u8 tag, then by tag:
 *   - 'H', once, first: bytes model, num settings, each of them bytes name, bytes text, u8 has
 *     data, bytes data;
 *   - 'E', an event: u8 kind, u64 moment, num a b c d, bytes data, items;
 *   - 'S', a snapshot: num event that comes next, u64 moment, u8 flags, with one of them what the
 *     block medium is, the rest is the device's state as a serialised GVariant a{sv};
 *   - 'Z', once, last: num events; missing if the recording was killed;
 * - item: u8 kind, num a, then by kind num b or bytes data, then the host's answer, if it has one.
 *
 * The head of a record has a checksum of its own, so that a file that was cut off can be told from
 * one that was damaged.
 */
#ifndef DEVEMU_RECORD_LOG_H
#define DEVEMU_RECORD_LOG_H

#include "internal.h"

#include <stdio.h>

#define RECORD_MAGIC            "devemlog"
#define RECORD_VERSION          1u
#define RECORD_FILE_HEAD        16
#define RECORD_HEAD             12
#define RECORD_DEFAULT_INTERVAL 10000u

enum {
    RECORD_TAG_HEAD = 'H',
    RECORD_TAG_EVENT = 'E',
    RECORD_TAG_SNAPSHOT = 'S',
    RECORD_TAG_END = 'Z',
};

/* Flags of a snapshot. */
enum {
    RECORD_SNAPSHOT_REFUSED = 1 << 0, /* something was refused since the last ready */
    RECORD_SNAPSHOT_MEDIUM = 1 << 1,
};

/* What comes in; the members of RecordEvent that each kind uses. */
typedef enum RecordEventKind {
    RECORD_READ,     /* bank, at, size */
    RECORD_WRITE,    /* bank, at, size, value */
    RECORD_RECEIVE,  /* port, data */
    RECORD_READY,    /* asked, and the answer was no: this arms ready() */
    RECORD_LINE,     /* line, level */
    RECORD_LINK,     /* link */
    RECORD_INPUT,    /* data: six i32 kind, code, value, x, y, z */
    RECORD_RESET,    /* kind */
    RECORD_RUN,      /* the deadline has come */
    RECORD_COMPLETE, /* count; data: each completion, see devemu_record_completions() */
    RECORD_LOAD,     /* data: a snapshot was loaded */
    RECORD_SETTLE,   /* lines and deadline told outside an event: after a load, at the beginning */
    RECORD_MEDIUM,   /* data: what the block medium is; none: it went */
    RECORD_PACKET,   /* more, data: offload as devemu_net_offload_put() has it, and the frame */
    RECORD_EVENT_KINDS,
} RecordEventKind;

typedef struct RecordEvent {
    RecordEventKind kind;
    uint64_t time;
    uint64_t a, b, c, d;
    const uint8_t *data;
    size_t len;
} RecordEvent;

/* What happens inside an event, in order. */
typedef enum RecordItemKind {
    /* Asked of the host. The clock is no output: a model may look more or less often. */
    RECORD_ITEM_NOW,      /* a = nanoseconds since the last known moment */
    RECORD_ITEM_DMA_READ, /* a = address, b = bytes; answer: u8 ok, the bytes */
    /* Outputs. */
    RECORD_ITEM_DMA_WRITE, /* a = address, data; answer: u8 ok */
    RECORD_ITEM_OUTPUT,    /* line, level */
    RECORD_ITEM_MSI,       /* address, data */
    RECORD_ITEM_SEND,      /* a = more, data */
    RECORD_ITEM_CHARS,     /* a = port, data */
    RECORD_ITEM_CONTROL,   /* lines */
    RECORD_ITEM_READY,     /* to the backend */
    RECORD_ITEM_DEADLINE,  /* moment */
    RECORD_ITEM_RETURN,    /* a = DevemuAccess, b = value; or b = bytes taken */
    /* Came in meanwhile. */
    RECORD_ITEM_LINE,    /* line, level */
    RECORD_ITEM_REFUSED, /* a frame was offered, or room asked for */
    /* An output. */
    RECORD_ITEM_SUBMIT, /* a = more, data: see devemu_record_put_request() */
    RECORD_ITEM_PACKET, /* a = more, data: as in RECORD_PACKET */
    RECORD_ITEM_KINDS,
} RecordItemKind;

typedef struct RecordItem {
    RecordItemKind kind;
    uint64_t a, b;
    const uint8_t *data;
    size_t len;
    bool ok; /* the answer */
} RecordItem;

/* --- writing ----------------------------------------------------------------------- */

void devemu_record_put_num(GByteArray *to, uint64_t value);
void devemu_record_put_u64(GByteArray *to, uint64_t value);
void devemu_record_put_bytes(GByteArray *to, const void *data, size_t len);
void devemu_record_put_event(GByteArray *to, const RecordEvent *event);
/* The whole payload of a snapshot record; RECORD_SNAPSHOT_MEDIUM is added where there is one. */
void devemu_record_put_snapshot(GByteArray *payload, uint64_t events, uint64_t moment,
                                uint8_t flags, const DevemuBlockInfo *medium, GVariant *state);
/* Items without their answers. */
void devemu_record_put_item(GByteArray *to, RecordItemKind kind, uint64_t a, uint64_t b);
void devemu_record_put_item_data(GByteArray *to, RecordItemKind kind, uint64_t a, const void *data,
                                 size_t len);
/* offload NULL: a plain frame. */
void devemu_record_put_frame(GByteArray *to, const DevemuNetOffload *offload,
                             const DevemuSlice *slices, size_t count, bool more);

/* Settings with the contents of files in place of their names. */
typedef struct RecordSettings {
    GArray *all;      /* DevemuSetting; what they point to is the caller's, but for: */
    GPtrArray *files; /* contents, owned */
} RecordSettings;

RecordSettings devemu_record_settings(const DevemuModel *model, const DevemuSetting *settings,
                                      size_t count);
void devemu_record_settings_clear(RecordSettings *s);

typedef struct RecordWriter {
    FILE *file;
    char *path;
    int error; /* errno of what stopped it; 0: it goes on */
} RecordWriter;

bool devemu_record_create(RecordWriter *writer, const char *path, const char *model,
                          const DevemuSetting *settings, size_t count, GError **error);
/* Add a record; its tag is its first byte. After a failure nothing is written any more. */
void devemu_record_add(RecordWriter *writer, const GByteArray *payload);
bool devemu_record_flush(RecordWriter *writer, GError **error);
/* With the end mark after so many events. */
void devemu_record_close(RecordWriter *writer, uint64_t events);

/* --- reading ----------------------------------------------------------------------- */

/* Bounds are kept whatever the bytes are; bad once something was missing. */
typedef struct RecordCursor {
    const uint8_t *p, *end;
    bool bad;
} RecordCursor;

uint8_t devemu_record_get_u8(RecordCursor *from);
uint64_t devemu_record_get_num(RecordCursor *from);
uint64_t devemu_record_get_u64(RecordCursor *from);
const uint8_t *devemu_record_get_bytes(RecordCursor *from, size_t *ret_len);
bool devemu_record_get_event(RecordCursor *from, RecordEvent *ret_event);
/* With its answer. */
bool devemu_record_get_item(RecordCursor *from, RecordItem *ret_item);

typedef struct RecordSnapshot {
    uint64_t event; /* that comes next */
    uint64_t offset;
} RecordSnapshot;

typedef struct RecordReader {
    GMappedFile *map;
    const uint8_t *data;
    size_t len;
    char *path;
    char *model;
    GArray *settings;  /* DevemuSetting, texts owned, data borrowed from the map */
    GArray *events;    /* uint64_t: offset of the payload */
    GArray *snapshots; /* RecordSnapshot, in order */
    char *note;        /* what is not as it should be, though usable; or NULL */
} RecordReader;

/* Checks every record and makes the index. */
bool devemu_record_open(RecordReader *reader, const char *path, GError **error);
void devemu_record_reader_clear(RecordReader *reader);
/* The payload behind its tag. */
RecordCursor devemu_record_payload(const RecordReader *reader, uint64_t offset);

/* A state in the byte order of the file, and back. */
GVariant *devemu_record_state_from_bytes(const uint8_t *data, size_t len);
GBytes *devemu_record_state_to_bytes(GVariant *state);

/* --- block requests: record-block.c ------------------------------------------------ */

/* A DevemuBlockInfo in a log: 64 bits for each member. */
#define RECORD_MEDIUM_BYTES (8 * 26)

void devemu_record_medium_to_bytes(const DevemuBlockInfo *info, uint8_t *bytes);
bool devemu_record_medium_from_bytes(DevemuBlockInfo *ret_info, const uint8_t *data, size_t len);

/* The requests in flight, with the memory that those want filled. */
GHashTable *devemu_record_requests_new(void);
void devemu_record_requests_add(GHashTable *requests, const DevemuBlockRequest *request);
/* An item: op, tag, flags, at, len as nums, then the bytes that are written. */
void devemu_record_put_request(GByteArray *to, const DevemuBlockRequest *request, bool more);
/* For each completion tag, status and value as nums, then as bytes what was read. The requests are
 * not in flight any more. Free with g_byte_array_unref(). */
GByteArray *devemu_record_completions(GHashTable *requests,
                                      const DevemuBlockCompletion *completions, size_t count);
/* The other way: DevemuBlockCompletion, and memory filled; NULL if that is malformed. Free with
 * g_array_unref(). */
GArray *devemu_replay_completions(GHashTable *requests, const uint8_t *data, size_t len);

/* --- text: replay-text.c ----------------------------------------------------------- */

/* Bytes of a frame or of DMA that a line of text shows. */
#define RECORD_SHOWN_BYTES 16

void devemu_text_event(GString *to, const DevemuDevice *dev, const RecordEvent *event);
void devemu_text_item(GString *to, const DevemuDevice *dev, const RecordItem *item);
/* "60 bytes: 00 01 ..", as traces have it: trace.c. */
void devemu_text_bytes(GString *to, const void *data, size_t len);
const char *devemu_text_line_name(const char *const *names, uint64_t line);

#endif
