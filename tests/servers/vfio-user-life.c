/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-life.c: the vfio-user server beyond one conversation: addresses, one client after the
 * other, several devices on one context, a thread a device, deadlines, doorbells, a bounded log.
 */
#define _GNU_SOURCE
#include "../buses/pci/toy.h"
#include "vfio-client.h"

#include <sys/stat.h>
#include <sys/un.h>

enum {
    BAR0 = VFIO_REGION_BAR0,
    CONFIG = VFIO_REGION_CONFIG,
};

/* --- sockets by name --------------------------------------------------------------- */

typedef struct Place {
    char *folder, *path;
} Place;

static Place place_new(void)
{
    Place p = {.folder = g_strdup("vfio-life-XXXXXX")};

    cr_assert_not_null(g_mkdtemp(p.folder));
    p.path = g_build_filename(p.folder, "socket", NULL);
    return p;
}

static void place_free(Place *p)
{
    unlink(p->path);
    rmdir(p->folder);
    g_free(p->folder);
    g_free(p->path);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* A server at a path, and a client that may connect several times. */
static Client *named_new(const char *path, const DevemuModel *model)
{
    Client *c = g_new0(Client, 1);
    GError *error = NULL;

    c->context = g_main_context_new();
    c->fd = -1;
    c->log = g_string_new(NULL);
    c->server = devemu_vfio_user_new(make(model, NULL), path, c->context, &error);
    cr_assert_not_null(c->server, "%s", error ? error->message : "");
    devemu_vfio_user_set_log(c->server, client_log, c);
    return c;
}

static void come(Client *c, const char *path)
{
    c->fd = connect_to(path);
    cr_assert_eq(client_version(c, NULL), 0);
}

static void go(Client *c)
{
    close(c->fd);
    c->fd = -1;
    client_run(c);
}

static struct toy *toy_of(Client *c)
{
    return devemu_device_state(devemu_device_child(c->server->function, 0));
}

static void expect_refusal(const char *address, const char *sentence)
{
    DevemuDevice *dev = make(&toy_model, NULL);
    g_autoptr(GError) error = NULL;

    cr_assert_null(devemu_vfio_user_new(dev, address, NULL, &error));
    cr_assert_not_null(strstr(error->message, sentence), "%s", error->message);
    cr_assert_null(devemu_device_parent(dev));
    devemu_device_free(dev);
}

Test(vfio_user_life, the_socket_is_made_and_removed)
{
    Place p = place_new();
    Client *c = named_new(p.path, &toy_model);

    come(c, p.path);
    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    client_free(c);
    cr_assert_neq(access(p.path, F_OK), 0);
    place_free(&p);
}

Test(vfio_user_life, addresses_that_cannot_be_are_refused_and_the_device_stays_the_callers)
{
    Place p = place_new();
    g_autofree char *both = g_strdup_printf("%s,spin=1,spin=x", p.path);
    Client *c = named_new(p.path, &toy_model);

    expect_refusal(p.path, "another server listens there");
    expect_refusal(p.folder, "something else than a socket");
    expect_refusal("", "give the name of a socket");
    expect_refusal("fd:", "must be followed by the number");
    expect_refusal("fd:1x", "must be followed by the number");
    expect_refusal("fd:4000", "no open UNIX stream socket");
    expect_refusal("/dev/null/x", "cannot make the socket");
    expect_refusal("x,colour=red", "there is no option colour");
    expect_refusal("x,spin=1000001", "option spin is");
    expect_refusal(both, "option spin is");
    client_free(c);
    place_free(&p);
}

Test(vfio_user_life, a_device_that_is_no_pci_device_is_refused)
{
    static const DevemuModel plain = {.name = "plain", .state_size = sizeof(struct toy)};
    DevemuDevice *dev = make(&plain, NULL);
    g_autoptr(GError) error = NULL;

    cr_assert_null(devemu_vfio_user_new(dev, "x", NULL, &error));
    cr_assert_not_null(strstr(error->message, "not a PCI device"));
    devemu_device_free(dev);
}

Test(vfio_user_life, a_function_is_served_as_it_is)
{
    DevemuDevice *function = devemu_pci_function_new(make(&toy_model, NULL), NULL);
    Client *c = client_ready(function);

    cr_assert_eq(c->server->function, function);
    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    client_free(c);
}

Test(vfio_user_life, a_comma_in_a_path_is_doubled)
{
    Place p = place_new();
    g_autofree char *path = g_build_filename(p.folder, "a,b", NULL);
    g_autofree char *address = g_strdup_printf("%s/a,,b,spin=7", p.folder);
    Client *c = named_new(address, &toy_model);

    come(c, path);
    cr_assert_eq(c->server->spin_us, 7);
    client_free(c);
    place_free(&p);
}

/* --- one client after the other ---------------------------------------------------- */

Test(vfio_user_life, a_client_that_goes_leaves_nothing_and_the_next_finds_a_reset_device)
{
    Place p = place_new();
    Client *c = named_new(p.path, &toy_full_model);
    Memory ram = memory_new(0x1000, 0);
    int event = event_new();

    come(c, p.path);
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    cr_assert_eq(client_map(c, 0, 0x1000, ram.fd, 0, 3), 0);
    cr_assert_eq(client_irqs(c, 4 | 32, VFIO_IRQ_MSIX, 0, 1, &event, 1), 0);
    client_write(c, BAR0, TOY_VALUE, 4, 5);
    go(c);

    cr_assert_eq(c->server->map_count, 0);
    cr_assert_eq(g_hash_table_size(c->server->files.table), 0);
    cr_assert_eq(c->server->irqs[VFIO_IRQ_MSIX].armed, 0);
    cr_assert_eq(toy_of(c)->resets, 1);
    come(c, p.path);
    cr_assert_eq(client_read(c, CONFIG, REG_COMMAND, 2), 0);
    cr_assert_eq(c->log->len, 0);
    client_free(c);
    place_free(&p);
}

Test(vfio_user_life, a_client_that_talks_rubbish_is_put_out_and_the_next_is_served)
{
    Place p = place_new();
    Client *c = named_new(p.path, &toy_model);

    for (unsigned i = 0; i < 20; i++) {
        char byte;

        c->fd = connect_to(p.path);
        client_send_bytes(c, "GET / HTTP/1.1\r\nHost: example\r\n\r\n", 33, NULL, 0);
        client_run(c);
        cr_assert_leq(recv(c->fd, &byte, 1, MSG_DONTWAIT), 0);
        go(c);
    }
    come(c, p.path);
    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    client_free(c);
    place_free(&p);
}

Test(vfio_user_life, the_log_is_bounded)
{
    Place p = place_new();
    Client *c = named_new(p.path, &toy_model);
    unsigned lines = 0;

    for (unsigned i = 0; i < 200; i++) {
        c->server->log.refill_ns = UINT64_MAX; /* time stands still */
        c->fd = connect_to(p.path);
        client_send_bytes(c, "0123456789abcdef", 16, NULL, 0);
        client_run(c);
        go(c);
    }
    for (const char *at = c->log->str; (at = strchr(at, '\n')); at++) {
        lines++;
    }
    cr_assert_eq(lines, 16);
    client_free(c);
    place_free(&p);
}

Test(vfio_user_life, a_client_may_go_in_the_middle_of_a_message)
{
    Place p = place_new();
    Client *c = named_new(p.path, &toy_model);
    Memory ram = memory_new(0x1000, 0);
    uint8_t part[20] = {1};

    come(c, p.path);
    server_put16(part + 2, VFIO_USER_DMA_MAP);
    server_put32(part + 4, 48);
    client_send_bytes(c, part, sizeof(part), &ram.fd, 1);
    client_run(c);
    cr_assert_eq(c->server->stream.fd_count, 1);
    go(c);
    cr_assert_eq(c->server->stream.fd_count, 0);
    come(c, p.path);
    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    client_free(c);
    place_free(&p);
}

/* Its posted writes are done all the same. */
Test(vfio_user_life, what_a_client_said_before_it_went_is_done)
{
    Place p = place_new();
    Client *c = named_new(p.path, &toy_model);

    come(c, p.path);
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    client_send(c, VFIO_USER_DEVICE_RESET, VFIO_FLAG_NO_REPLY, NULL, 0, NULL, 0);
    go(c);
    cr_assert_eq(toy_of(c)->resets, 2);
    client_free(c);
    place_free(&p);
}

Test(vfio_user_life, a_second_client_waits_for_the_first_to_go)
{
    Place p = place_new();
    Client *c = named_new(p.path, &toy_model);
    int second;

    come(c, p.path);
    second = connect_to(p.path);
    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    go(c);
    c->fd = second;
    cr_assert_eq(client_version(c, NULL), 0);
    cr_assert_eq(client_read(c, CONFIG, 0, 4), 0x56781234);
    client_free(c);
    place_free(&p);
}

/* --- several devices --------------------------------------------------------------- */

Test(vfio_user_life, two_devices_on_one_context_do_not_disturb_each_other)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    Client *c = client_new_on(make(&toy_model, NULL), "", context);
    Client *d = client_new_on(make(&toy_full_model, NULL), "", context);
    uint8_t payload[16];

    client_version(c, NULL);
    client_version(d, NULL);
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    client_write(d, CONFIG, REG_COMMAND, 2, 7);
    /* One asks and does not read. */
    access_payload(payload, 1, 0, 4096);
    while (!c->server->loop.stalled) {
        uint8_t message[32] = {1};

        server_put16(message + 2, VFIO_USER_REGION_READ);
        server_put32(message + 4, 32);
        memcpy(message + 16, payload, 16);
        send(c->fd, message, sizeof(message), MSG_DONTWAIT);
        client_run(c);
    }
    client_write(d, BAR0, TOY_VALUE, 4, 77);
    cr_assert_eq(client_read(d, BAR0, TOY_VALUE, 4), 77);
    cr_assert_eq(toy_of(c)->value, 0);
    client_free(c);
    client_write(d, BAR0, TOY_VALUE, 4, 78);
    cr_assert_eq(client_read(d, BAR0, TOY_VALUE, 4), 78);
    client_free(d);
}

/* --- a thread a device ------------------------------------------------------------- */

typedef struct Worker {
    Client *c;
    GMainLoop *loop;
    GThread *thread;
} Worker;

static gpointer work(gpointer opaque)
{
    Worker *w = opaque;

    g_main_loop_run(w->loop);
    return NULL;
}

/* Without iterating the context, which is the thread's. */
static void exchange(Client *c, unsigned command, const void *payload, size_t len, uint8_t *reply,
                     size_t reply_len)
{
    g_autofree uint8_t *message = g_malloc0(VFIO_HEADER_BYTES + len);

    server_put16(message + 2, (uint16_t)command);
    server_put32(message + 4, (uint32_t)(VFIO_HEADER_BYTES + len));
    memcpy(message + VFIO_HEADER_BYTES, payload, len);
    cr_assert_eq(send(c->fd, message, VFIO_HEADER_BYTES + len, 0),
                 (ssize_t)(VFIO_HEADER_BYTES + len));
    cr_assert_eq(recv(c->fd, reply, reply_len, MSG_WAITALL), (ssize_t)reply_len);
}

static void put(Client *c, unsigned region, uint64_t at, unsigned size, uint64_t value)
{
    uint8_t payload[24], reply[32];
    size_t len = write_payload(payload, region, at, size, value);

    exchange(c, VFIO_USER_REGION_WRITE, payload, len, reply, sizeof(reply));
}

static uint32_t fetch(Client *c, unsigned region, uint64_t at)
{
    uint8_t payload[16], reply[36];

    access_payload(payload, region, at, 4);
    exchange(c, VFIO_USER_REGION_READ, payload, 16, reply, sizeof(reply));
    return devemu_le32(reply + 32);
}

Test(vfio_user_life, servers_on_threads_of_their_own_are_independent, .timeout = 60)
{
    Worker workers[2];

    for (unsigned i = 0; i < 2; i++) {
        Worker *w = &workers[i];

        w->c = client_ready(make(&toy_model, NULL));
        w->loop = g_main_loop_new(w->c->context, FALSE);
        w->thread = g_thread_new("device", work, w);
        put(w->c, CONFIG, REG_COMMAND, 2, 7);
    }
    for (uint32_t n = 0; n < 500; n++) {
        put(workers[0].c, BAR0, TOY_VALUE, 4, n);
        put(workers[1].c, BAR0, TOY_VALUE, 4, ~n);
        cr_assert_eq(fetch(workers[0].c, BAR0, TOY_VALUE), n);
        cr_assert_eq(fetch(workers[1].c, BAR0, TOY_VALUE), ~n);
    }
    for (unsigned i = 0; i < 2; i++) {
        g_main_loop_quit(workers[i].loop);
        g_thread_join(workers[i].thread);
        g_main_loop_unref(workers[i].loop);
        client_free(workers[i].c);
    }
}

/* --- spinning ---------------------------------------------------------------------- */

Test(vfio_user_life, a_server_that_spins_answers_and_sleeps_again)
{
    Client *c = client_new(make(&toy_model, NULL), ",spin=200");

    client_version(c, NULL);
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    for (unsigned i = 0; i < 100; i++) {
        client_post(c, BAR0, TOY_VALUE, 4, i);
        cr_assert_eq(client_read(c, BAR0, TOY_VALUE, 4), i);
    }
    client_run(c);
    cr_assert_not(g_main_context_pending(c->context));
    client_free(c);
}

/* --- time -------------------------------------------------------------------------- */

/* Writing D asks for a deadline D microseconds from now; the timer counts. */
struct clock {
    DevemuDevice *dev;
    uint32_t delay, count;
    uint64_t due_ns;
};

static void delay_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct clock *s = state;

    (void)index;
    (void)old;
    s->due_ns = devemu_now(s->dev) + value * 1000;
}

static void expired(void *state, uint64_t due_ns)
{
    struct clock *s = state;

    (void)due_ns;
    s->count++;
}

static uint32_t bell_count[4];

static void bell_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)state;
    (void)old;
    cr_assert_eq(value, index);
    bell_count[index]++;
}

static const DevemuReg clock_regs[] = {
    {"DELAY", .at = 0, .size = 4, DEVEMU_IN(struct clock, delay), .wrote = delay_wrote},
    {"COUNT", .at = 4, .size = 4, DEVEMU_IN(struct clock, count), .ro = 0xffffffff},
    {"BELL", .at = 0x10, .size = 2, .count = 4, .stride = 4, .wrote = bell_wrote, .doorbell = true},
};
static const DevemuBank clock_banks[] = {{.name = "mem",
                                          .kind = DEVEMU_BANK_MMIO,
                                          .size = 0x20,
                                          .regs = clock_regs,
                                          .reg_count = DEVEMU_N_ELEMENTS(clock_regs)}};
static const DevemuTimer clock_timers[] = {DEVEMU_TIMER(struct clock, due_ns, expired), {NULL}};
static const DevemuPci clock_pci = {.vendor = 0x1234, .device = 1, .bars = {{.bank = 1}}};
static const DevemuModel clock_model = {.name = "clock",
                                        .state_size = sizeof(struct clock),
                                        .banks = clock_banks,
                                        .bank_count = 1,
                                        .timers = clock_timers,
                                        .pci = &clock_pci};

static Client *clock_client(void)
{
    Client *c = client_new(make(&clock_model, NULL), "");

    client_version(c, "{\"capabilities\":{\"max_msg_fds\":8}}");
    client_write(c, CONFIG, REG_COMMAND, 2, 2);
    return c;
}

Test(vfio_user_life, deadlines_wake_the_server)
{
    Client *c = clock_client();
    struct clock *s = devemu_device_state(devemu_device_child(c->server->function, 0));

    client_write(c, BAR0, 0, 4, 3000);
    while (s->count == 0) {
        g_main_context_iteration(c->context, TRUE);
    }
    cr_assert_eq(c->server->deadline_ns, DEVEMU_NEVER);
    client_write(c, BAR0, 0, 4, 0);
    client_run(c);
    cr_assert_eq(s->count, 2);
    client_free(c);
}

Test(vfio_user_life, a_deadline_may_be_put_off_and_brought_forward)
{
    Client *c = clock_client();
    struct clock *s = devemu_device_state(devemu_device_child(c->server->function, 0));

    client_write(c, BAR0, 0, 4, 1000);
    client_write(c, BAR0, 0, 4, 4000000000);
    client_write(c, BAR0, 0, 4, 2000);
    while (s->count == 0) {
        g_main_context_iteration(c->context, TRUE);
    }
    cr_assert_eq(s->count, 1);
    client_free(c);
}

/* --- doorbells --------------------------------------------------------------------- */

static int ask_doorbells(Client *c, unsigned region, unsigned argsz)
{
    uint8_t payload[16] = {0};

    server_put32(payload, argsz);
    server_put32(payload + 8, region);
    return client_ask(c, VFIO_USER_DEVICE_GET_REGION_IO_FDS, payload, 16);
}

Test(vfio_user_life, doorbells_are_eventfds_that_write_the_index_of_their_element)
{
    Client *c = clock_client();
    const uint64_t rings = 3;
    int bell;

    cr_assert_eq(ask_doorbells(c, BAR0, 4096), 0);
    cr_assert_eq(server_get32(client_payload(c)), 16 + 4 * 40);
    cr_assert_eq(server_get32(client_payload(c) + 12), 4);
    cr_assert_eq(server_get64(client_payload(c) + 16 + 2 * 40), 0x18);
    cr_assert_eq(server_get64(client_payload(c) + 16 + 2 * 40 + 8), 2);
    cr_assert_eq(server_get32(client_payload(c) + 16 + 2 * 40 + 16), 2);
    cr_assert_eq(c->reply_fd_count, 4);
    bell = dup(c->reply_fds[2]);
    cr_assert_eq(write(bell, &rings, sizeof(rings)), sizeof(rings));
    client_run(c);
    cr_assert_eq(bell_count[2], 1);
    cr_assert_eq(bell_count[0] + bell_count[1] + bell_count[3], 0);
    /* Asked again, they are the same. */
    cr_assert_eq(ask_doorbells(c, BAR0, 4096), 0);
    cr_assert_eq(c->server->doorbell_count, 4);
    client_free(c);
}

static void set_state(Client *c, uint32_t state)
{
    uint8_t payload[16] = {0};

    server_put32(payload, sizeof(payload));
    server_put32(payload + 4, 2 | 1 << 17); /* SET MIG_DEVICE_STATE */
    server_put32(payload + 8, state);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_FEATURE, payload, sizeof(payload)), 0);
}

/* vfio.h: a stopped device changes nothing. */
Test(vfio_user_life, doorbells_and_deadlines_wait_while_the_device_is_stopped)
{
    Client *c = clock_client();
    struct clock *s = devemu_device_state(devemu_device_child(c->server->function, 0));
    const uint64_t one = 1;
    int bell;

    cr_assert_eq(ask_doorbells(c, BAR0, 4096), 0);
    bell = dup(c->reply_fds[1]);
    client_write(c, BAR0, 0, 4, 0); /* due at once */
    client_run(c);
    cr_assert_eq(s->count, 1);
    client_write(c, BAR0, 0, 4, 1000000000);
    set_state(c, VFIO_STATE_STOP);
    s->due_ns = 0; /* as if it had come meanwhile */
    cr_assert_eq(write(bell, &one, sizeof(one)), sizeof(one));
    client_run(c);
    cr_assert_not(g_main_context_pending(c->context), "it must sleep");
    cr_assert_eq(bell_count[1], 0);
    cr_assert_eq(s->count, 1);

    set_state(c, VFIO_STATE_RUNNING);
    client_run(c);
    cr_assert_eq(bell_count[1], 1);
    cr_assert_eq(s->count, 2);
    close(bell);
    client_free(c);
}

/* What the client sent before it rang is done before. */
Test(vfio_user_life, a_doorbell_comes_behind_the_posted_writes_before_it)
{
    Client *c = clock_client();
    const uint64_t one = 1;

    cr_assert_eq(ask_doorbells(c, BAR0, 4096), 0);
    client_post(c, CONFIG, REG_COMMAND, 2, 0);
    cr_assert_eq(write(c->reply_fds[0], &one, sizeof(one)), sizeof(one));
    client_run(c);
    cr_assert_eq(bell_count[0], 0);
    client_free(c);
}

Test(vfio_user_life, doorbells_that_do_not_fit_are_counted)
{
    Client *c = clock_client();
    uint8_t payload[16] = {16, 0, 0, 0, 1};

    cr_assert_eq(ask_doorbells(c, BAR0, 16 + 4 * 40 - 1), 0);
    cr_assert_eq(c->reply_len, VFIO_HEADER_BYTES + 16);
    cr_assert_eq(server_get32(client_payload(c)), 16 + 4 * 40);
    cr_assert_eq(c->reply_fd_count, 0);
    cr_assert_eq(ask_doorbells(c, CONFIG, 4096), 0);
    cr_assert_eq(server_get32(client_payload(c) + 12), 0);
    cr_assert_eq(ask_doorbells(c, 9, 4096), EINVAL);
    cr_assert_eq(ask_doorbells(c, BAR0, 15), EINVAL);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_REGION_IO_FDS, payload, 16), EINVAL);
    client_free(c);
}
