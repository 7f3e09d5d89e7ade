/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-version.c: the first message: version and capabilities (spec "VFIO_USER_VERSION").
 *
 * The client's capabilities are JSON (RFC 8259), read here without a tree: of all that is in it,
 * the numbers and booleans of the object "capabilities" are looked at.
 */
#include "vfio-user.h"

enum {
    VERSION_MAJOR = 0,
    VERSION_MINOR = 0,
    JSON_DEPTH = 16,
};

/* --- JSON -------------------------------------------------------------------------- */

/* A reader of a text that ends with NUL. */
typedef struct Json {
    const char *at;
    bool bad;
} Json;

/* What a member of "capabilities" may be. */
typedef struct Capability {
    const char *name;
    size_t member; /* a uint64_t of the server */
} Capability;

static char peek(Json *j)
{
    while (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r') {
        j->at++;
    }
    return *j->at;
}

static bool eat(Json *j, char c)
{
    if (peek(j) != c) {
        return false;
    }
    j->at++;
    return true;
}

static void expect(Json *j, char c)
{
    if (!eat(j, c)) {
        j->bad = true;
    }
}

/* A string: where it stands, escapes as they are. No name that we know has any. */
static const char *string(Json *j, size_t *ret_len)
{
    const char *from;

    expect(j, '"');
    from = j->at;
    while (!j->bad && *j->at != '"') {
        if ((unsigned char)*j->at < 0x20 || (*j->at == '\\' && *++j->at == '\0')) {
            j->bad = true;
            break;
        }
        j->at++;
    }
    *ret_len = (size_t)(j->at - from);
    expect(j, '"');
    return from;
}

/* A number, true, false or null; whole numbers and booleans have a value. */
static bool scalar(Json *j, uint64_t *ret_value)
{
    static const char *const words[] = {"false", "true", "null"};
    char *end;

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_str_has_prefix(j->at, words[i])) {
            j->at += strlen(words[i]);
            *ret_value = i;
            return i < 2;
        }
    }
    if (g_ascii_isdigit(*j->at)) {
        *ret_value = g_ascii_strtoull(j->at, &end, 10);
        if (*end != '.' && *end != 'e' && *end != 'E') {
            j->at = end;
            return true;
        }
    } else if (*j->at != '-' || !g_ascii_isdigit(j->at[1])) {
        j->bad = true;
        return false;
    }
    g_ascii_strtod(j->at, &end);
    j->bad = end == j->at;
    j->at = end;
    return false;
}

/* An object or array that the reader is in, and the name that it is at. */
typedef struct Level {
    const char *name;
    size_t len;
    bool object;
} Level;

static void read_name(Json *j, Level *level)
{
    level->name = string(j, &level->len);
    expect(j, ':');
}

static bool named(const Level *level, const char *name)
{
    return level->object && level->len == strlen(name) &&
           memcmp(level->name, name, level->len) == 0;
}

static void found(const Capability *table, const Level *levels, unsigned depth, uint64_t value,
                  void *values)
{
    if (depth != 2 || !named(&levels[0], "capabilities")) {
        return;
    }
    for (; table->name; table++) {
        if (named(&levels[1], table->name)) {
            memcpy((uint8_t *)values + table->member, &value, sizeof(value));
        }
    }
}

/* Go into an object or array; true if it is not empty. */
static bool enter(Json *j, Level *levels, unsigned *depth)
{
    Level *level = &levels[*depth];

    if (*depth == JSON_DEPTH) {
        j->bad = true;
        return false;
    }
    *level = (Level){.object = *j->at == '{'};
    j->at++;
    if (eat(j, level->object ? '}' : ']')) {
        return false;
    }
    ++*depth;
    if (level->object) {
        read_name(j, level);
    }
    return true;
}

/* Behind a value: to the next one, or up and out. True if there is a next one. */
static bool next(Json *j, Level *levels, unsigned *depth)
{
    while (!j->bad && *depth > 0) {
        Level *level = &levels[*depth - 1];

        if (eat(j, ',')) {
            if (level->object) {
                read_name(j, level);
            }
            return true;
        }
        expect(j, level->object ? '}' : ']');
        --*depth;
    }
    return false;
}

/* Numbers and booleans of "capabilities" that the table names; false if it is no JSON. */
static bool read_capabilities(const char *text, const Capability *table, void *values)
{
    Json j = {.at = text};
    Level levels[JSON_DEPTH];
    unsigned depth = 0;
    size_t len;

    for (;;) {
        char c = peek(&j);
        uint64_t value;

        if (c == '{' || c == '[') {
            if (enter(&j, levels, &depth) && !j.bad) {
                continue;
            }
        } else if (c == '"') {
            string(&j, &len);
        } else if (scalar(&j, &value)) {
            found(table, levels, depth, value, values);
        }
        if (!next(&j, levels, &depth)) {
            break;
        }
    }
    return !j.bad && peek(&j) == '\0';
}

/* --- the message ------------------------------------------------------------------- */

#define CAPABILITY(text, field)                                                                    \
    {                                                                                              \
        .name = (text), .member = offsetof(VfioPeer, field)                                        \
    }

static const Capability capabilities[] = {
    CAPABILITY("max_msg_fds", max_fds),
    CAPABILITY("max_data_xfer_size", max_xfer),
    CAPABILITY("write_multiple", write_multiple),
    {NULL, 0},
};

/* spec: what a client is that says nothing. */
static const VfioPeer silent_peer = {.max_fds = 1, .max_xfer = VFIO_MAX_XFER};

/* The text is not the client's to end: it must hold its NUL. */
static bool read_peer(VfioPeer *peer, const uint8_t *text, size_t len)
{
    *peer = silent_peer;
    if (len == 0) {
        return true;
    }
    return text[len - 1] == '\0' && read_capabilities((const char *)text, capabilities, peer);
}

/* cloud-hypervisor wants "capabilities", whatever is in it. */
static char *our_capabilities(const DevemuVfioUser *s)
{
    GString *text = g_string_new(NULL);

    g_string_printf(text,
                    "{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":%d,"
                    "\"max_dma_maps\":%d,\"pgsizes\":4096",
                    VFIO_MAX_FDS, VFIO_MAX_XFER, VFIO_MAX_MAPS);
    if (s->write_multiple && s->peer.write_multiple) {
        g_string_append(text, ",\"write_multiple\":true");
    }
    g_string_append(text, "}}");
    return g_string_free(text, FALSE);
}

int vfio_version(DevemuVfioUser *s, const VfioMessage *m)
{
    uint16_t major = server_get16(m->payload);
    VfioPeer peer;
    g_autofree char *text = NULL;
    uint8_t *reply;

    if (s->negotiated) {
        return EINVAL;
    }
    if (major != VERSION_MAJOR) {
        vfio_fail(s, "the client speaks version %u of the protocol, this server %d", major,
                  VERSION_MAJOR);
        return VFIO_LATER;
    }
    if (!read_peer(&peer, m->payload + 4, m->len - 4)) {
        vfio_fail(s, "the client's capabilities are not JSON");
        return VFIO_LATER;
    }
    s->peer = peer;
    s->negotiated = true;
    text = our_capabilities(s);
    reply = vfio_reply(s, m, 4 + strlen(text) + 1);
    if (reply) {
        server_put16(reply, VERSION_MAJOR);
        server_put16(reply + 2, VERSION_MINOR);
        memcpy(reply + 4, text, strlen(text));
    }
    return 0;
}
