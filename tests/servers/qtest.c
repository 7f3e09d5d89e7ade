/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest.c: the server of the qtest protocol, in memory and at a socket. The machine is a toy chip
 * at port 300h and at C0000000h, and 64 KiB of memory.
 */
#include "../lib/toy.h"

#include <devemu/bus.h>
#include <devemu/qtest.h>

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Machine {
    DevemuDevice *system, *toy;
    DevemuQtest *server;
    uint8_t ram[0x10000];
    GString *moments; /* of the second thing on the clock */
    uint64_t other_ns;
    unsigned before, after, closed;
    bool told;
    GString *log;
} Machine;

static void before(void *opaque)
{
    ((Machine *)opaque)->before++;
}

/* The toy's IRQ is line 5 of "pic". */
static void after(void *opaque)
{
    Machine *m = opaque;

    m->after++;
    if (m->told) {
        devemu_qtest_line(m->server, 5, devemu_device_lines(m->toy) & 1);
    }
}

static uint64_t deadline(void *opaque)
{
    return ((Machine *)opaque)->other_ns;
}

static void run(void *opaque)
{
    Machine *m = opaque;

    g_string_append_printf(m->moments, "%" PRIu64 " ", devemu_qtest_now(m->server));
    m->other_ns = m->other_ns < 3000 ? m->other_ns + 1000 : DEVEMU_NEVER;
}

static bool intercept(void *opaque, const char *path, const char *name, bool outputs)
{
    Machine *m = opaque;

    m->told = strcmp(path, "pic") == 0 && (name == NULL) == !outputs;
    return m->told;
}

static bool set_line(void *opaque, const char *path, const char *name, uint64_t line, bool level)
{
    Machine *m = opaque;

    if (strcmp(path, "toy") != 0 || name != NULL || line > 1) {
        return false;
    }
    devemu_device_line(m->toy, (unsigned)line, level);
    return true;
}

static void traffic(void *opaque, bool from_client, const char *line)
{
    g_string_append_printf(((Machine *)opaque)->log, "%c %s\n", from_client ? 'R' : 'S', line);
}

static void closed(void *opaque)
{
    ((Machine *)opaque)->closed++;
}

static const DevemuQtestOps ops = {
    .size = sizeof(DevemuQtestOps),
    .before = before,
    .after = after,
    .deadline = deadline,
    .run = run,
    .intercept = intercept,
    .set_line = set_line,
    .traffic = traffic,
    .closed = closed,
};

static Machine *machine_new(void)
{
    Machine *m = g_new0(Machine, 1);

    m->system = devemu_device_new(&devemu_model_system, NULL, NULL);
    m->toy = devemu_device_new(&devemu_model_toy, NULL, NULL);
    m->moments = g_string_new(NULL);
    m->log = g_string_new(NULL);
    m->other_ns = DEVEMU_NEVER;
    cr_assert(devemu_bus_plug(m->system, m->toy, NULL, NULL));
    devemu_system_map(m->system, DEVEMU_SYSTEM_PIO, 0x300, 32, m->toy, TOY_IO, 0, 0, NULL);
    devemu_system_map(m->system, DEVEMU_SYSTEM_MEMORY, 0xc0000000, 16, m->toy, TOY_LANES, 0, 0,
                      NULL);
    devemu_system_map_ram(m->system, 0, sizeof(m->ram), m->ram, DEVEMU_RAM_RW, 0, NULL);
    m->server = devemu_qtest_new(m->system, &ops, m);
    return m;
}

static void machine_free(Machine *m)
{
    devemu_qtest_free(m->server);
    devemu_device_free(m->system);
    g_string_free(m->moments, TRUE);
    g_string_free(m->log, TRUE);
    g_free(m);
}

/* All that the client gets for what it sends. */
static char *ask_bytes(Machine *m, const char *text, size_t len)
{
    GString *got = g_string_new(NULL);

    for (size_t done = 0;;) {
        const char *out;
        size_t waiting;
        bool more;

        done += devemu_qtest_put(m->server, text + done, len - done);
        more = devemu_qtest_run(m->server);
        out = devemu_qtest_output(m->server, &waiting);
        g_string_append_len(got, out, (gssize)waiting);
        devemu_qtest_taken(m->server, waiting);
        if (!more && waiting == 0 && done == len) {
            return g_string_free(got, FALSE);
        }
    }
}

static char *ask(Machine *m, const char *text)
{
    return ask_bytes(m, text, strlen(text));
}

/* expect(m, question, answer): both without their newlines at the end. */
#define expect(m, question, answer)                                                                \
    do {                                                                                           \
        g_autofree char *got_ = ask(m, question "\n");                                             \
        cr_assert_str_eq(got_, answer "\n", "%s: %s", question, got_);                             \
    } while (0)

static void expect_fail(Machine *m, const char *question)
{
    g_autofree char *line = g_strdup_printf("%s\n", question);
    g_autofree char *got = ask(m, line);
    char *end = strchr(got, '\n');

    cr_assert(g_str_has_prefix(got, "FAIL") || g_str_has_prefix(got, "ERR"), "%s: %s", question,
              got);
    cr_assert(end && end[1] == '\0', "%s: one line: %s", question, got);
}

/* --- accesses ---------------------------------------------------------------------- */

Test(qtest, ports_are_read_and_written_in_three_widths)
{
    Machine *m = machine_new();

    expect(m, "endianness", "OK little");
    expect(m, "outw 0x31c 0xabcd", "OK");
    expect(m, "inw 0x31c", "OK 0xabcd");
    expect(m, "outl 0x318 0x44332211", "OK");
    expect(m, "outb 0x318 0x1ff", "OK");
    expect(m, "inb 792", "OK 0x00ff");
    expect(m, "inw 0x319", "OK 0x3322");
    expect(m, "outl 0x308 0x12345678", "OK");
    expect(m, "inl 0x308", "OK 0x12345678");

    machine_free(m);
}

Test(qtest, where_nobody_answers_all_is_ones)
{
    Machine *m = machine_new();

    expect(m, "inb 0", "OK 0x00ff");
    expect(m, "inw 0", "OK 0xffff");
    expect(m, "inl 0", "OK 0xffffffff");
    expect(m, "readq 0xffffffffffffff00", "OK 0xffffffffffffffff");
    expect(m, "readb 0x10000", "OK 0x00000000000000ff");
    expect(m, "outl 0 5", "OK");
    expect(m, "writeq 0x10000 5", "OK");

    machine_free(m);
}

Test(qtest, memory_is_little_endian_and_answers_in_sixteen_digits)
{
    Machine *m = machine_new();

    expect(m, "writeq 0x100 0x1122334455667788", "OK");
    expect(m, "readb 0x100", "OK 0x0000000000000088");
    expect(m, "readw 0x101", "OK 0x0000000000006677");
    expect(m, "readl 0x104", "OK 0x0000000011223344");
    expect(m, "readq 0x100", "OK 0x1122334455667788");
    expect(m, "read 0x100 8", "OK 0x8877665544332211");
    expect(m, "writel 0x102 0xa5a5a5a5", "OK");
    expect(m, "read 0x100 8", "OK 0x8877a5a5a5a52211");

    machine_free(m);
}

Test(qtest, pieces_of_memory_in_hexadecimal_and_base64)
{
    Machine *m = machine_new();

    expect(m, "write 0x11 5 0x0102Ff", "OK");
    expect(m, "read 0x10 7", "OK 0x000102ff000000");
    expect(m, "write 0x11 1 0x99aa", "OK");
    expect(m, "write 0x12 2 0x7", "OK");
    expect(m, "read 0x10 7", "OK 0x00990000000000");
    expect(m, "b64write 0x200 5 aGVsbG8=", "OK");
    expect(m, "b64read 0x200 5", "OK aGVsbG8=");
    expect(m, "b64write 0x200 2 SEVMTE8=", "OK");
    expect(m, "b64read 0x200 5", "OK SEVsbG8=");
    expect(m, "b64read 0x200 0", "OK ");
    expect(m, "memset 0x201 3 0x2a", "OK");
    expect(m, "memset 0x201 0 0x2b", "OK");
    expect(m, "read 0x200 5", "OK 0x482a2a2a6f");
    expect(m, "write 0 1 0x", "ERR invalid argument size");

    machine_free(m);
}

/* A register whose bits 31:24 are cleared by ones sees one access, not four. */
Test(qtest, pieces_reach_registers_as_natural_accesses)
{
    Machine *m = machine_new();
    struct toy *toy = devemu_device_state(m->toy);

    toy->wide[0] = 0xff000000;
    expect(m, "write 0xc0000000 8 0x1122330044556677", "OK");
    expect(m, "read 0xc0000000 8", "OK 0x112233ff44556600");
    toy->wide[0] = 0;
    expect(m, "writel 0xc0000000 0x00abcdef", "OK");
    expect(m, "readl 0xc0000000", "OK 0x0000000000abcdef");

    machine_free(m);
}

Test(qtest, what_a_command_causes_is_done_before_its_answer)
{
    Machine *m = machine_new();

    expect(m, "writel 0x40 41", "OK");
    expect(m, "outl 0x30c 0x40", "OK");
    expect(m, "readl 0x40", "OK 0x000000000000002a");
    expect(m, "outl 0x308 0", "OK");
    expect(m, "inw 0x302", "OK 0x0001");
    cr_assert_eq(m->before, 5);
    cr_assert_geq(m->after, 5);

    machine_free(m);
}

/* --- time -------------------------------------------------------------------------- */

Test(qtest, the_clock_stands_at_0_and_moves_when_told_to)
{
    Machine *m = machine_new();

    expect(m, "clock_step",
           "FAIL cannot advance clock to the next deadline because there is no pending deadline");
    expect(m, "clock_step 100", "OK 100");
    expect(m, "clock_set 250", "OK 250");
    expect(m, "clock_set 250", "OK 250");
    expect(m, "clock_set 249", "FAIL 250");
    expect(m, "clock_step 0", "FAIL could not advance time");
    expect(m, "clock_step -5", "FAIL could not advance time");
    expect(m, "clock_step 0x7fffffffffffffff", "FAIL could not advance time");
    cr_assert_eq(devemu_qtest_now(m->server), 250);
    expect(m, "clock_set 0x7fffffffffffffff", "OK 9223372036854775807");
    expect(m, "clock_step 1", "FAIL could not advance time");

    machine_free(m);
}

Test(qtest, clock_step_stops_at_the_next_deadline)
{
    Machine *m = machine_new();

    expect(m, "outl 0x308 700", "OK");
    expect(m, "clock_step 699", "OK 699");
    expect(m, "inw 0x302", "OK 0x0000");
    expect(m, "clock_step", "OK 700");
    expect(m, "inw 0x302", "OK 0x0001");

    machine_free(m);
}

Test(qtest, moments_on_the_way_come_in_order)
{
    Machine *m = machine_new();

    m->other_ns = 1000;
    expect(m, "irq_intercept_in pic", "OK");
    expect(m, "outl 0x308 2500", "OK");
    expect(m, "clock_step 4000", "IRQ raise 5\nOK 4000");
    cr_assert_str_eq(m->moments->str, "1000 2000 3000 ");

    machine_free(m);
}

/* --- lines ------------------------------------------------------------------------- */

Test(qtest, intercepted_lines_are_told_before_the_answer)
{
    Machine *m = machine_new();

    expect(m, "outl 0x308 0", "OK");
    expect(m, "outw 0x302 1", "OK");
    expect(m, "irq_intercept_in nowhere", "FAIL Unknown device");
    expect(m, "irq_intercept_in pic", "OK");
    expect(m, "irq_intercept_in pic", "OK");
    expect(m, "irq_intercept_in other", "FAIL IRQ intercept already enabled");
    expect(m, "outl 0x308 0", "IRQ raise 5\nOK");
    expect(m, "outw 0x302 1", "IRQ lower 5\nOK");
    expect(m, "outw 0x302 1", "OK");

    machine_free(m);
}

Test(qtest, outputs_are_intercepted_by_name)
{
    Machine *m = machine_new();

    expect(m, "irq_intercept_in pic lines",
           "FAIL Interception of named in-GPIOs not yet supported");
    expect(m, "irq_intercept_out pic lines", "OK");
    expect(m, "outl 0x308 0", "IRQ raise 5\nOK");

    machine_free(m);
}

Test(qtest, inputs_are_set)
{
    Machine *m = machine_new();

    expect(m, "set_irq_in toy unnamed-gpio-in 0 1", "OK");
    expect(m, "inw 0x302", "OK 0x0002");
    expect(m, "set_irq_in toy unnamed-gpio-in 0 0", "OK");
    expect(m, "inw 0x302", "OK 0x0000");
    expect(m, "set_irq_in toy unnamed-gpio-in 2 0", "FAIL Unknown device");
    expect(m, "set_irq_in toy unnamed-gpio-in x 0", "FAIL 'x 0' are not two numbers");

    machine_free(m);
}

/* --- a bad client ------------------------------------------------------------------ */

Test(qtest, mistakes_are_answered_and_change_nothing)
{
    static const char *const questions[] = {
        "nonsense",
        "OUTB 0x300 1",
        "outb",
        "outb 0x300",
        "outb 0x300 one",
        "outb 0x300 0x",
        "outb 0x300 1x",
        "outb 0x10000 1",
        "outb 99999999999999999999 1",
        "inb",
        "inl -1",
        "readb",
        "writeq 0",
        "read 0",
        "read 0 0",
        "read 0 0x7fffffffffff",
        "read 0 16777217",
        "read 0xffffffffffffffff 2",
        "write 0 4",
        "write 0 4 12345678",
        "write 0 4 0x1234567g",
        "write 0 0xffffffffffffffff 0x12345678",
        "write 0xfffffffffffffffe 4 0x12345678",
        "b64read 0 0x7fffffffffff",
        "b64write 0 4",
        "b64write 0 0x7fffffffffff AAAA",
        "memset 0 4",
        "memset 0 0x7fffffffffff 1",
        "memset 0xffffffffffffffff 2 1",
        "clock_step soon",
        "clock_set",
        "clock_set -1",
        "irq_intercept_in",
        "irq_intercept_out",
        "set_irq_in toy",
        "module_load a b",
        "rtas x",
        "csr x",
    };
    Machine *m = machine_new();
    GVariant *state = g_variant_ref_sink(devemu_device_save(m->system));
    GVariant *now;

    for (size_t i = 0; i < G_N_ELEMENTS(questions); i++) {
        expect_fail(m, questions[i]);
    }

    now = g_variant_ref_sink(devemu_device_save(m->system));
    cr_assert(g_variant_equal(state, now));
    for (size_t i = 0; i < sizeof(m->ram); i++) {
        cr_assert_eq(m->ram[i], 0);
    }
    g_variant_unref(state);
    g_variant_unref(now);
    machine_free(m);
}

Test(qtest, blanks_and_empty_lines_do_not_count)
{
    Machine *m = machine_new();

    expect(m, "\n\n   \n  outw   0x31c    7  more words than are needed ", "OK");
    expect(m, "inw 0x31c\r", "OK 0x0007");

    machine_free(m);
}

Test(qtest, any_bytes_are_survived)
{
    Machine *m = machine_new();
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    g_autofree char *bytes = g_malloc(100000);
    g_autofree char *got = NULL;

    for (unsigned i = 0; i < 100000; i++) {
        bytes[i] = (char)g_rand_int(rand);
    }
    bytes[99999] = '\n';
    got = ask_bytes(m, bytes, 100000);
    expect(m, "endianness", "OK little");

    machine_free(m);
}

/* The longest write there is goes through; a longer line is refused, and the next one is good. */
Test(qtest, lines_are_bounded)
{
    Machine *m = machine_new();
    GString *line = g_string_new("write 0x8000 16777216 0x");
    g_autofree char *longest = NULL, *longer = NULL;

    g_string_set_size(line, line->len + 2 * DEVEMU_QTEST_MOST_BYTES);
    memset(line->str + 24, 'c', line->len - 24);
    g_string_append_c(line, '\n');
    longest = ask_bytes(m, line->str, line->len);
    cr_assert_str_eq(longest, "OK\n");
    expect(m, "readl 0xfffc", "OK 0x00000000cccccccc");

    g_string_insert_len(line, 24, line->str + 24, 1024);
    longer = ask_bytes(m, line->str, line->len);
    cr_assert(g_str_has_prefix(longer, "FAIL the line is longer"), "%.80s", longer);
    expect(m, "endianness", "OK little");

    g_string_free(line, TRUE);
    machine_free(m);
}

/* While output waits nothing is done, and no more is taken than a line needs. */
Test(qtest, a_client_that_does_not_read_stops_itself)
{
    Machine *m = machine_new();
    const char *question = "b64read 0 0x10000\n";
    size_t waiting = 0, answers = 0, len;
    unsigned put = 0;
    GString *text = g_string_new(NULL);

    for (; put < 100; put++) {
        cr_assert_eq(devemu_qtest_put(m->server, question, strlen(question)), strlen(question));
        while (devemu_qtest_run(m->server)) {
        }
    }
    devemu_qtest_output(m->server, &waiting);
    cr_assert_lt(waiting, 2 << 20);
    do {
        const char *out = devemu_qtest_output(m->server, &len);

        g_string_append_len(text, out, (gssize)MIN(len, 1000));
        devemu_qtest_taken(m->server, MIN(len, 1000));
    } while (devemu_qtest_run(m->server) || len > 0);
    for (const char *at = text->str; (at = strstr(at, "OK ")) != NULL; at++) {
        answers++;
    }
    cr_assert_eq(answers, put);

    g_string_free(text, TRUE);
    machine_free(m);
}

/* --- at a socket ------------------------------------------------------------------- */

typedef struct Client {
    Machine *m;
    GMainContext *context;
    int fd;
} Client;

static void client_new(Client *client)
{
    int fds[2];
    GError *error = NULL;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    client->m = machine_new();
    client->context = g_main_context_new();
    client->fd = fds[1];
    cr_assert(devemu_qtest_open(client->m->server, fds[0], fds[0], client->context, &error));
}

static void client_free(Client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
    }
    machine_free(client->m);
    g_main_context_unref(client->context);
}

static void settle(const Client *client)
{
    while (g_main_context_iteration(client->context, FALSE)) {
    }
}

Test(qtest, it_serves_at_a_socket_and_keeps_a_log)
{
    Client client;
    char got[64] = "";

    client_new(&client);
    cr_assert_eq(write(client.fd, "endian", 6), 6);
    settle(&client);
    cr_assert_eq(write(client.fd, "ness\nclock_step 5\n", 18), 18);
    settle(&client);

    cr_assert_eq(read(client.fd, got, sizeof(got)), 15);
    cr_assert_str_eq(got, "OK little\nOK 5\n");
    cr_assert_str_eq(client.m->log->str, "R endianness\nS OK little\nR clock_step 5\nS OK 5\n");
    client_free(&client);
}

Test(qtest, a_client_that_leaves_gets_its_commands_done)
{
    Client client;

    client_new(&client);
    cr_assert_eq(write(client.fd, "writel 0 7\nclock_step 5\noutb 0x300", 34), 34);
    close(client.fd);
    client.fd = -1;
    settle(&client);

    cr_assert_eq(client.m->ram[0], 7);
    cr_assert_eq(devemu_qtest_now(client.m->server), 5);
    cr_assert_eq(client.m->closed, 1);
    settle(&client);
    cr_assert_eq(client.m->closed, 1, "once");
    client_free(&client);
}

Test(qtest, a_full_socket_does_not_block_the_program)
{
    Client client;
    const char *question = "b64read 0 0x10000\n";
    size_t answers = 0;
    bool pending = true;

    client_new(&client);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(write(client.fd, question, strlen(question)), (ssize_t)strlen(question));
    }
    settle(&client);
    shutdown(client.fd, SHUT_WR);
    while (pending) {
        static char got[65536];
        ssize_t len = recv(client.fd, got, sizeof(got), MSG_DONTWAIT);

        for (ssize_t i = 0; i < len; i++) {
            answers += got[i] == '\n';
        }
        settle(&client);
        pending = len > 0 || !client.m->closed;
    }
    cr_assert_eq(answers, 100);
    client_free(&client);
}

Test(qtest, a_descriptor_that_is_none_is_refused)
{
    Machine *m = machine_new();
    GError *error = NULL;

    cr_assert_not(devemu_qtest_open(m->server, 9999, 9999, NULL, &error));
    cr_assert_not_null(strstr(error->message, "9999"));
    g_error_free(error);

    machine_free(m);
}
