/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest-command.c: the commands of the qtest protocol. What the client gets wrong is answered by a
 * line that begins with FAIL or ERR, and changes nothing.
 */
#include "qtest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MOST_WORDS 6

typedef struct Command Command;

/* A command with its arguments: the first are numbers, the rest text. */
typedef struct Call {
    DevemuQtest *server;
    const Command *command;
    uint64_t number[3];
    char *text[MOST_WORDS + 1]; /* all arguments, NULL behind the last */
} Call;

struct Command {
    const char *name;
    void (*run)(const Call *call);
    unsigned size;    /* of an access, in bytes */
    unsigned needs;   /* arguments */
    unsigned numbers; /* of these */
    const char *form; /* the arguments, for a complaint */
};

/* --- accesses ---------------------------------------------------------------------- */

static uint64_t ones(unsigned size)
{
    return UINT64_MAX >> (64 - size * 8);
}

/* Where nobody answers the bus floats high. */
static uint64_t get(const Call *call, unsigned space, uint64_t at, unsigned size)
{
    uint64_t value = 0;

    if (devemu_device_read(call->server->system, space, at, size, &value) != DEVEMU_ACCESS_OK) {
        value = ones(size);
    }
    return value & ones(size);
}

static void put(const Call *call, unsigned space, uint64_t at, unsigned size, uint64_t value)
{
    devemu_device_write(call->server->system, space, at, size, value & ones(size));
}

static bool is_port(const Call *call)
{
    if (call->number[0] > 0xffff) {
        qtest_say(call->server, "FAIL there is no port 0x%" PRIx64, call->number[0]);
        return false;
    }
    return true;
}

static void run_in(const Call *call)
{
    if (is_port(call)) {
        uint64_t value = get(call, DEVEMU_SYSTEM_PIO, call->number[0], call->command->size);

        qtest_settle(call->server);
        qtest_say(call->server, "OK 0x%04" PRIx64, value);
    }
}

static void run_out(const Call *call)
{
    if (is_port(call)) {
        put(call, DEVEMU_SYSTEM_PIO, call->number[0], call->command->size, call->number[1]);
        qtest_settle(call->server);
        qtest_say(call->server, "OK");
    }
}

static void run_read_one(const Call *call)
{
    uint64_t value = get(call, DEVEMU_SYSTEM_MEMORY, call->number[0], call->command->size);

    qtest_settle(call->server);
    qtest_say(call->server, "OK 0x%016" PRIx64, value);
}

static void run_write_one(const Call *call)
{
    put(call, DEVEMU_SYSTEM_MEMORY, call->number[0], call->command->size, call->number[1]);
    qtest_settle(call->server);
    qtest_say(call->server, "OK");
}

/* --- pieces of memory -------------------------------------------------------------- */

/* Registers see accesses of a natural size. */
static unsigned natural(uint64_t at, uint64_t len)
{
    unsigned size = 8;

    while (size > len || (at & (size - 1)) != 0) {
        size /= 2;
    }
    return size;
}

static void read_bytes(const Call *call, uint64_t at, uint8_t *data, uint64_t len)
{
    while (len > 0) {
        unsigned size = natural(at, len);
        uint64_t value = get(call, DEVEMU_SYSTEM_MEMORY, at, size);

        for (unsigned i = 0; i < size; i++) {
            data[i] = (uint8_t)(value >> (i * 8));
        }
        at += size;
        data += size;
        len -= size;
    }
}

static void write_bytes(const Call *call, uint64_t at, const uint8_t *data, uint64_t len)
{
    while (len > 0) {
        unsigned size = natural(at, len);
        uint64_t value = 0;

        for (unsigned i = 0; i < size; i++) {
            value |= (uint64_t)data[i] << (i * 8);
        }
        put(call, DEVEMU_SYSTEM_MEMORY, at, size, value);
        at += size;
        data += size;
        len -= size;
    }
}

/* Checked before anything is allocated. */
static bool is_piece(const Call *call, uint64_t least)
{
    uint64_t at = call->number[0], len = call->number[1];

    if (len < least || len > DEVEMU_QTEST_MOST_BYTES || (len > 0 && at > UINT64_MAX - (len - 1))) {
        qtest_say(call->server,
                  "FAIL %s of %" PRIu64 " bytes at 0x%" PRIx64 ": from %" PRIu64
                  " to %d bytes below the end of memory can be moved",
                  call->command->name, len, at, least, DEVEMU_QTEST_MOST_BYTES);
        return false;
    }
    return true;
}

static void run_read(const Call *call)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t len = call->number[1];
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;

    if (!is_piece(call, 1)) {
        return;
    }
    data = g_malloc(len);
    text = g_malloc(2 * len + 1);
    read_bytes(call, call->number[0], data, len);
    for (uint64_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    text[2 * len] = '\0';
    qtest_settle(call->server);
    qtest_say(call->server, "OK 0x%s", text);
}

static void run_b64read(const Call *call)
{
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;

    if (!is_piece(call, 0)) {
        return;
    }
    data = g_malloc(call->number[1] + 1);
    read_bytes(call, call->number[0], data, call->number[1]);
    text = g_base64_encode(data, call->number[1]);
    qtest_settle(call->server);
    qtest_say(call->server, "OK %s", text);
}

static void write_and_answer(const Call *call, const uint8_t *data, uint64_t len)
{
    write_bytes(call, call->number[0], data, len);
    qtest_settle(call->server);
    qtest_say(call->server, "OK");
}

/* Digits of whole bytes count; what is missing is 0. */
static void run_write(const Call *call)
{
    const char *text = call->text[2];
    uint64_t len = call->number[1];
    g_autofree uint8_t *data = NULL;

    if (strlen(text) < 3) {
        qtest_say(call->server, "ERR invalid argument size");
        return;
    }
    if (!is_piece(call, 0)) {
        return;
    }
    if (text[0] != '0' || text[1] != 'x' ||
        strspn(text + 2, "0123456789abcdefABCDEF") != strlen(text + 2)) {
        qtest_say(call->server, "FAIL the data is not hexadecimal, as in 0x12ab");
        return;
    }
    data = g_malloc0(len + 1);
    text += 2;
    for (uint64_t i = 0; i < len && text[0] && text[1]; i++, text += 2) {
        data[i] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    }
    write_and_answer(call, data, len);
}

static void run_b64write(const Call *call)
{
    g_autofree uint8_t *data = NULL;
    gsize found;

    if (strlen(call->text[2]) < 3) {
        qtest_say(call->server, "ERR invalid argument size");
        return;
    }
    if (is_piece(call, 0)) {
        data = g_base64_decode(call->text[2], &found);
        write_and_answer(call, data, MIN(found, call->number[1]));
    }
}

static void run_memset(const Call *call)
{
    uint64_t len = call->number[1];
    g_autofree uint8_t *data = NULL;

    if (is_piece(call, 0)) {
        data = g_malloc(len + 1);
        memset(data, (int)(call->number[2] & 0xff), len);
        write_and_answer(call, data, len);
    }
}

/* --- time -------------------------------------------------------------------------- */

static uint64_t next_deadline(const DevemuQtest *server)
{
    uint64_t other =
        server->ops.deadline ? server->ops.deadline(server->opaque) : (uint64_t)DEVEMU_NEVER;

    return MIN(server->deadline_ns, other);
}

static bool parse_number(const char *text, uint64_t *ret_value)
{
    char *end;

    errno = 0;
    *ret_value = g_ascii_strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0';
}

/* The answer comes when the clock has arrived; see devemu_qtest_run(). */
static void begin_step(DevemuQtest *server, QtestStep step, uint64_t target_ns)
{
    server->step = step;
    server->target_ns = target_ns;
}

static void run_clock_step(const Call *call)
{
    DevemuQtest *server = call->server;
    uint64_t when = next_deadline(server);
    uint64_t step;

    if (call->text[0] == NULL && when == DEVEMU_NEVER) {
        qtest_say(server, "FAIL cannot advance clock to the next deadline because there is no "
                          "pending deadline");
        return;
    }
    if (call->text[0] == NULL) {
        step = when > server->now_ns ? when - server->now_ns : 0;
    } else if (!parse_number(call->text[0], &step)) {
        qtest_say(server, "FAIL '%s' is not a number", call->text[0]);
        return;
    }
    if (step == 0 || step > INT64_MAX - server->now_ns) {
        qtest_say(server, "FAIL could not advance time");
        return;
    }
    begin_step(server, QTEST_STEP_STEP, server->now_ns + step);
}

static void run_clock_set(const Call *call)
{
    DevemuQtest *server = call->server;

    if (call->number[0] < server->now_ns || call->number[0] > INT64_MAX) {
        qtest_say(server, "FAIL %" PRIu64, server->now_ns);
        return;
    }
    begin_step(server, QTEST_STEP_SET, call->number[0]);
}

/* --- lines ------------------------------------------------------------------------- */

static void run_intercept(const Call *call)
{
    DevemuQtest *server = call->server;
    const char *path = call->text[0], *name = call->text[1];
    bool outputs = strcmp(call->command->name, "irq_intercept_out") == 0;

    if (server->intercepted) {
        qtest_say(server, strcmp(server->intercepted, path) == 0
                              ? "OK"
                              : "FAIL IRQ intercept already enabled");
    } else if (name && !outputs) {
        qtest_say(server, "FAIL Interception of named in-GPIOs not yet supported");
    } else if (server->ops.intercept &&
               server->ops.intercept(server->opaque, path, name, outputs)) {
        server->intercepted = g_strdup(path);
        qtest_say(server, "OK");
    } else {
        qtest_say(server, "FAIL Unknown device");
    }
}

static void run_set_irq_in(const Call *call)
{
    DevemuQtest *server = call->server;
    const char *name = strcmp(call->text[1], "unnamed-gpio-in") == 0 ? NULL : call->text[1];
    uint64_t line, level;

    if (!parse_number(call->text[2], &line) || !parse_number(call->text[3], &level)) {
        qtest_say(server, "FAIL '%s %s' are not two numbers", call->text[2], call->text[3]);
    } else if (server->ops.set_line &&
               server->ops.set_line(server->opaque, call->text[0], name, line, level != 0)) {
        qtest_settle(server);
        qtest_say(server, "OK");
    } else {
        qtest_say(server, "FAIL Unknown device");
    }
}

/* --- the rest ---------------------------------------------------------------------- */

static void run_endianness(const Call *call)
{
    qtest_say(call->server, "OK little");
}

/* What machines of another kind have: modules, hypercalls. */
static void run_never(const Call *call)
{
    qtest_say(call->server, "FAIL");
}

static const Command commands[] = {
    {"inb", run_in, 1, 1, 1, "PORT"},
    {"inw", run_in, 2, 1, 1, "PORT"},
    {"inl", run_in, 4, 1, 1, "PORT"},
    {"outb", run_out, 1, 2, 2, "PORT VALUE"},
    {"outw", run_out, 2, 2, 2, "PORT VALUE"},
    {"outl", run_out, 4, 2, 2, "PORT VALUE"},
    {"readb", run_read_one, 1, 1, 1, "ADDRESS"},
    {"readw", run_read_one, 2, 1, 1, "ADDRESS"},
    {"readl", run_read_one, 4, 1, 1, "ADDRESS"},
    {"readq", run_read_one, 8, 1, 1, "ADDRESS"},
    {"writeb", run_write_one, 1, 2, 2, "ADDRESS VALUE"},
    {"writew", run_write_one, 2, 2, 2, "ADDRESS VALUE"},
    {"writel", run_write_one, 4, 2, 2, "ADDRESS VALUE"},
    {"writeq", run_write_one, 8, 2, 2, "ADDRESS VALUE"},
    {"read", run_read, 0, 2, 2, "ADDRESS LENGTH"},
    {"write", run_write, 0, 3, 2, "ADDRESS LENGTH 0xDATA"},
    {"b64read", run_b64read, 0, 2, 2, "ADDRESS LENGTH"},
    {"b64write", run_b64write, 0, 3, 2, "ADDRESS LENGTH DATA"},
    {"memset", run_memset, 0, 3, 3, "ADDRESS LENGTH VALUE"},
    {"clock_step", run_clock_step, 0, 0, 0, "[NANOSECONDS]"},
    {"clock_set", run_clock_set, 0, 1, 1, "NANOSECONDS"},
    {"irq_intercept_in", run_intercept, 0, 1, 0, "PATH"},
    {"irq_intercept_out", run_intercept, 0, 1, 0, "PATH [NAME]"},
    {"set_irq_in", run_set_irq_in, 0, 4, 0, "PATH NAME LINE LEVEL"},
    {"endianness", run_endianness, 0, 0, 0, ""},
    {"module_load", run_never, 0, 0, 0, ""},
    {"rtas", run_never, 0, 0, 0, ""},
    {"csr", run_never, 0, 0, 0, ""},
};

static const Command *find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* Words stand in the line itself. More than the commands have are not looked at. */
static unsigned split(char *line, char **words)
{
    unsigned count = 0;

    while (count < MOST_WORDS) {
        line += strspn(line, " \r");
        if (*line == '\0') {
            break;
        }
        words[count++] = line;
        line += strcspn(line, " \r");
        if (*line != '\0') {
            *line++ = '\0';
        }
    }
    words[count] = NULL;
    return count;
}

void qtest_command(DevemuQtest *server, char *line)
{
    char *words[MOST_WORDS + 1];
    unsigned count = split(line, words);
    Call call = {.server = server};

    if (count == 0) {
        return;
    }
    call.command = find(words[0]);
    if (call.command == NULL) {
        qtest_say(server, "FAIL Unknown command '%.64s'", words[0]);
        return;
    }
    memcpy(call.text, words + 1, count * sizeof(*words));
    if (count - 1 < call.command->needs) {
        qtest_say(server, "FAIL the form is: %s %s", call.command->name, call.command->form);
        return;
    }
    for (unsigned i = 0; i < call.command->numbers; i++) {
        if (!parse_number(call.text[i], &call.number[i])) {
            qtest_say(server, "FAIL '%.64s' is not a number", call.text[i]);
            return;
        }
    }
    if (server->ops.before) {
        server->ops.before(server->opaque);
    }
    call.command->run(&call);
}
