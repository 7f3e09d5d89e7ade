/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * migration.c: a card moves from one server process to another while two streams pass through it.
 *
 *     migration SERVE
 *
 * This program is the VMM, the guest's driver, and the network: a peer behind a stream socket that
 * sends BYTES_IN to the guest, in frames with numbers and a window of WINDOW that the guest's
 * acknowledgements move, and takes BYTES_OUT. A migration is cancelled first, out of a stopped
 * device. Then, while both streams go on, memory is copied by the device's log of dirty pages and
 * the driver's, in rounds; the device is stopped, the rest copied, and all goes on in a second
 * process with a second memory.
 *
 * No frame may be lost, doubled or changed. Those that the peer had sent and the first process had
 * not given to its device when it stopped are the network's to send again, as at any migration.
 */
#define _GNU_SOURCE
#include "nic-driver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BYTES_IN = 6 << 20,
    BYTES_OUT = 3 << 20,
    CHUNK = 1400,
    WINDOW = 48,
    STOPPED = 12, /* frames that the peer sends to a stopped device, whatever the window says */
    ROUNDS = 4,

    TYPE = 0x88b5, /* IEEE 802: for experiments */
    AT_TYPE = 12,
    AT_SEQ = 14,
    AT_ACK = 18,
    AT_LEN = 22,
    AT_DATA = 24,
    HEAD = 4,
};

#define BASE UINT64_C(0x40000000)

static const uint8_t peer_mac[6] = {0x02, 0, 0, 0, 0, 1};

static void fail(const char *what)
{
    fprintf(stderr, "migration: %s\n", what);
    exit(1);
}

static void check(bool ok, const char *what)
{
    if (!ok) {
        fail(what);
    }
}

/* --- the streams ------------------------------------------------------------------- */

/* Byte n of a stream: anything that does not repeat within a frame. */
static void fill(uint8_t *to, uint64_t at, size_t len, unsigned stream)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t x = (at + i + 1) * UINT64_C(0x9e3779b97f4a7c15) + stream;

        to[i] = (uint8_t)(x >> 56 ^ x >> 23);
    }
}

static char *digest_of(uint64_t len, unsigned stream)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t piece[CHUNK];
    char *text;

    for (uint64_t at = 0; at < len; at += CHUNK) {
        size_t step = MIN(CHUNK, len - at);

        fill(piece, at, step, stream);
        g_checksum_update(sum, piece, (gssize)step);
    }
    text = g_strdup(g_checksum_get_string(sum));
    g_checksum_free(sum);
    return text;
}

/* A sender's and a receiver's side of the two streams. */
typedef struct End {
    uint32_t next_seq;   /* the next frame to send */
    uint64_t sent_bytes; /* of the stream */
    uint64_t total;      /* bytes to send */
    uint32_t expected;   /* the next frame to come */
    uint64_t got_bytes;
    uint32_t acked; /* the first frame of ours that the other has not seen */
    GChecksum *sum;
    unsigned stream; /* which one it sends */
} End;

static void end_init(End *end, uint64_t total, unsigned stream)
{
    *end = (End){.total = total, .stream = stream, .sum = g_checksum_new(G_CHECKSUM_SHA256)};
}

static size_t build(const End *end, uint8_t *frame, const uint8_t *to, const uint8_t *from)
{
    uint64_t at = MIN((uint64_t)end->next_seq * CHUNK, end->total);
    size_t len = (size_t)MIN(CHUNK, end->total - at);
    uint32_t seq = end->next_seq, ack = end->expected;

    memset(frame, 0, 60);
    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    frame[AT_TYPE] = TYPE >> 8;
    frame[AT_TYPE + 1] = TYPE & 0xff;
    memcpy(frame + AT_SEQ, &seq, 4);
    memcpy(frame + AT_ACK, &ack, 4);
    frame[AT_LEN] = (uint8_t)len;
    frame[AT_LEN + 1] = (uint8_t)(len >> 8);
    fill(frame + AT_DATA, at, len, end->stream);
    return MAX(60, AT_DATA + len);
}

/* A frame came in: it must be the very next one. */
static void take(End *end, const uint8_t *frame, size_t len, const char *who)
{
    size_t bytes = (size_t)frame[AT_LEN] | (size_t)frame[AT_LEN + 1] << 8;
    uint32_t seq, ack;

    memcpy(&seq, frame + AT_SEQ, 4);
    memcpy(&ack, frame + AT_ACK, 4);
    if (seq != end->expected || AT_DATA + bytes > len || frame[AT_TYPE] != TYPE >> 8) {
        fprintf(stderr, "migration: frame %u came to the %s, %u was expected\n", seq, who,
                end->expected);
        exit(1);
    }
    end->expected++;
    end->got_bytes += bytes;
    end->acked = ack;
    g_checksum_update(end->sum, frame + AT_DATA, (gssize)bytes);
}

/* --- the peer ---------------------------------------------------------------------- */

typedef struct Peer {
    int fd;
    End end;
    size_t have;
    uint8_t in[HEAD + 2048];
} Peer;

static bool peer_send(Peer *peer, const uint8_t *mac, unsigned window)
{
    uint8_t message[HEAD + NIC_FRAME];
    size_t len, done = 0;

    if ((uint64_t)peer->end.next_seq * CHUNK >= peer->end.total ||
        peer->end.next_seq - peer->end.acked >= window) {
        return false;
    }
    len = build(&peer->end, message + HEAD, mac, peer_mac);
    message[0] = message[1] = 0;
    message[2] = (uint8_t)(len >> 8);
    message[3] = (uint8_t)len;
    while (done < HEAD + len) {
        ssize_t step = send(peer->fd, message + done, HEAD + len - done, MSG_NOSIGNAL);

        check(step > 0, "the server closed the network");
        done += (size_t)step;
    }
    peer->end.next_seq++;
    return true;
}

/* What the guest sent. */
static bool peer_receive(Peer *peer)
{
    bool any = false;

    for (;;) {
        size_t want = HEAD;
        ssize_t got;

        if (peer->have >= HEAD) {
            want += (size_t)peer->in[2] << 8 | peer->in[3];
            check(want <= sizeof(peer->in), "a frame of the guest's is too long");
        }
        if (peer->have >= HEAD && peer->have == want) {
            take(&peer->end, peer->in + HEAD, want - HEAD, "peer");
            peer->have = 0;
            any = true;
            continue;
        }
        got = recv(peer->fd, peer->in + peer->have, want - peer->have, MSG_DONTWAIT);
        if (got <= 0) {
            return any;
        }
        peer->have += (size_t)got;
    }
}

/* --- the guest --------------------------------------------------------------------- */

typedef struct Guest {
    NicDriver nic;
    End end;
    int irq;
    bool must_ack;
} Guest;

static bool guest_send(Guest *guest)
{
    uint8_t frame[NIC_FRAME];
    bool data = (uint64_t)guest->end.next_seq * CHUNK < guest->end.total;
    size_t len;

    if (!data && !guest->must_ack) {
        return false;
    }
    len = build(&guest->end, frame, peer_mac, guest->nic.mac);
    if (!nic_send(&guest->nic, frame, len)) {
        return false;
    }
    guest->end.next_seq++;
    guest->must_ack = false;
    return true;
}

static bool guest_run(Guest *guest)
{
    uint8_t frame[NIC_FRAME];
    bool any = false, sent = false;
    uint64_t count;
    int len;

    if (read(guest->irq, &count, sizeof(count)) == sizeof(count)) {
        check(nic_acknowledge(&guest->nic), "the server left");
        any = true;
    }
    while ((len = nic_receive(&guest->nic, frame)) != 0) {
        check(len > 0, "a received frame is marked as wrong");
        take(&guest->end, frame, (size_t)len, "guest");
        guest->must_ack = true;
        any = true;
    }
    for (unsigned i = 0; i < 8 && guest_send(guest); i++) {
        sent = true;
    }
    if (sent) {
        check(nic_kick(&guest->nic), "the server left");
    }
    return any || sent;
}

/* --- the machine ------------------------------------------------------------------- */

typedef struct Machine {
    const char *serve;
    pid_t pid;
    Peer peer;
    Guest guest;
    uint8_t *ram;
    unsigned copied; /* pages */
} Machine;

static int socket_pair(int *ret_other)
{
    int pair[2];

    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "no socket");
    *ret_other = pair[1];
    return pair[0];
}

/* A server process; the peer and a client at its sockets. */
static VuClient *start_server(Machine *m)
{
    int fds[2], client = socket_pair(&fds[0]);
    g_autofree char *fd = g_strdup_printf("%d", fds[0]);
    g_autofree char *device = NULL;
    VuClient *c;

    m->peer.fd = socket_pair(&fds[1]);
    m->peer.have = 0;
    device = g_strdup_printf("am79c970a,mac=02:00:00:00:00:02,backend=stream,fd=%d", fds[1]);
    m->pid = vu_spawn((const char *const[]){m->serve, "--fd", fd, device, NULL}, fds, 2, NULL);
    c = vu_client_new(client);
    check(c != NULL, "the server does not answer");
    return c;
}

static void stop_server(pid_t pid)
{
    int status = 0;

    kill(pid, SIGTERM);
    check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "a server did not end well");
}

/* The device's place in a server: memory and interrupt. */
static void connect_device(Machine *m, VuClient *c, uint8_t *ram, int fd)
{
    check(vu_map(c, BASE, NIC_RAM_BYTES, ram, fd) == 0, "the memory was refused");
    check(vu_irq(c, VU_INTX, 0, m->guest.irq) == 0, "the interrupt was refused");
    close(fd);
}

/* Until the guest has this many frames of the peer's. */
static void run_until(Machine *m, uint32_t frames)
{
    while (m->guest.end.expected < frames) {
        struct pollfd fds[2] = {{m->guest.irq, POLLIN, 0}, {m->peer.fd, POLLIN, 0}};
        bool any = guest_run(&m->guest);

        any = peer_receive(&m->peer) || any;
        while (peer_send(&m->peer, m->guest.nic.mac, WINDOW)) {
            any = true;
        }
        if (!any) {
            poll(fds, 2, -1);
        }
    }
}

/* --- migrating --------------------------------------------------------------------- */

/* Pages that the device or the driver wrote since the last time. */
static unsigned copy_dirty(Machine *m, uint8_t *to)
{
    uint64_t bits[NIC_PAGES / 64 + 1] = {0};
    unsigned count = 0;

    check(vu_log_report(m->guest.nic.client, BASE, NIC_RAM_BYTES, NIC_PAGE, bits) == 0,
          "no report of dirty pages");
    for (unsigned page = 0; page < NIC_PAGES; page++) {
        if ((bits[page / 64] | m->guest.nic.wrote[page / 64]) >> page % 64 & 1) {
            memcpy(to + page * NIC_PAGE, m->ram + page * NIC_PAGE, NIC_PAGE);
            count++;
        }
    }
    memset(m->guest.nic.wrote, 0, sizeof(m->guest.nic.wrote));
    m->copied += count;
    return count;
}

/* Everything that left the device has come to the peer. */
static void drain_network(Machine *m)
{
    nic_reap(&m->guest.nic);
    while (m->peer.end.expected < m->guest.nic.sent) {
        struct pollfd fd = {m->peer.fd, POLLIN, 0};

        poll(&fd, 1, -1);
        peer_receive(&m->peer);
    }
}

/* Frames for a stopped device: they wait, and its memory stays as it is. */
static void send_to_stopped(Machine *m)
{
    unsigned under_way = m->peer.end.next_seq - m->peer.end.acked;
    g_autofree uint8_t *before = g_memdup2(m->ram, NIC_RAM_BYTES);
    uint32_t state;

    while (peer_send(&m->peer, m->guest.nic.mac, under_way + STOPPED)) {
    }
    /* Two turns of the server's loop, in which it looks at its network, too. */
    for (unsigned i = 0; i < 2; i++) {
        check(vu_get_state(m->guest.nic.client, &state) == 0 && state == VU_STOP_COPY,
              "it is not stopped");
    }
    check(memcmp(before, m->ram, NIC_RAM_BYTES) == 0, "a stopped device writes memory");
}

static void cancelled(Machine *m)
{
    VuClient *c = m->guest.nic.client;
    GByteArray *data = g_byte_array_new();

    check(vu_set_state(c, VU_STOP_COPY) == 0 && vu_read_data(c, data) == 0, "cannot save");
    check(data->len > 0, "there is no state");
    send_to_stopped(m);
    check(vu_set_state(c, VU_RUNNING) == 0, "cannot go on");
    g_byte_array_unref(data);
}

static void migrate(Machine *m, uint32_t frames)
{
    VuClient *from = m->guest.nic.client, *to;
    GByteArray *data = g_byte_array_new();
    pid_t old = m->pid;
    int old_peer = m->peer.fd, fd;
    uint8_t *ram = nic_memory(&fd);
    uint32_t again;

    check(ram != NULL, "no memory");
    m->copied = 0;
    memset(m->guest.nic.wrote, 0, sizeof(m->guest.nic.wrote));
    check(vu_log_start(from, NIC_PAGE) == 0, "cannot log");
    check(vu_set_state(from, VU_PRE_COPY) == 0, "no pre-copy");
    memcpy(ram, m->ram, NIC_RAM_BYTES);
    check(vu_read_data(from, data) == 0 && data->len > 0, "pre-copy has no data");
    for (unsigned i = 0; i < ROUNDS; i++) {
        run_until(m, m->guest.end.expected + frames);
        check(copy_dirty(m, ram) > 0, "no page is dirty");
    }
    check(vu_set_state(from, VU_STOP_COPY) == 0, "cannot stop");
    copy_dirty(m, ram);
    check(memcmp(ram, m->ram, NIC_RAM_BYTES) == 0, "a page that changed was not reported");
    check(vu_read_data(from, data) == 0, "no state");
    send_to_stopped(m);
    drain_network(m);

    to = start_server(m);
    connect_device(m, to, ram, fd);
    check(vu_set_state(to, VU_RESUMING) == 0 && vu_write_data(to, data) == 0, "cannot load");
    check(vu_set_state(to, VU_STOP) == 0, "the state was refused");
    m->guest.nic.client = to;
    m->guest.nic.ram = m->ram = ram;
    check(vu_set_state(to, VU_RUNNING) == 0, "cannot go on");
    vu_client_free(from);
    stop_server(old);
    close(old_peer);

    /* What lies in the rings is the guest's already; the rest is sent again. */
    guest_run(&m->guest);
    again = m->peer.end.next_seq - m->guest.end.expected;
    check(again >= STOPPED, "a stopped device took frames");
    check(again <= WINDOW + STOPPED, "more frames are missing than were under way");
    m->peer.end.next_seq = m->peer.end.acked = m->guest.end.expected;
    printf("| %u bytes of state, %u of %u pages copied again, %u frames sent again\n", data->len,
           m->copied, NIC_PAGES, again);
    g_byte_array_unref(data);
}

static void check_stream(const End *end, uint64_t len, unsigned stream, const char *what)
{
    g_autofree char *right = digest_of(len, stream);

    check(end->got_bytes == len && strcmp(g_checksum_get_string(end->sum), right) == 0, what);
    printf("| %s: %" G_GUINT64_FORMAT " bytes, SHA-256 %.16s...\n", what, len, right);
}

/* The guest's stream may be longer on its way than the peer's. */
static void finish(Machine *m)
{
    uint32_t frames_out = (BYTES_OUT + CHUNK - 1) / CHUNK;

    run_until(m, (BYTES_IN + CHUNK - 1) / CHUNK);
    while (m->peer.end.expected < frames_out || m->peer.end.expected < m->guest.end.next_seq) {
        struct pollfd fds[2] = {{m->guest.irq, POLLIN, 0}, {m->peer.fd, POLLIN, 0}};

        if (!guest_run(&m->guest) && !peer_receive(&m->peer)) {
            poll(fds, 2, -1);
        }
    }
    check(nic_missed(&m->guest.nic) == 0, "the device missed frames");
}

int main(int argc, char **argv)
{
    Machine *m = g_new0(Machine, 1);
    uint32_t tenth = (BYTES_IN / CHUNK) / 10;
    int fd;

    check(argc == 2, "usage: migration SERVE");
    m->serve = argv[1];
    m->guest.irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    end_init(&m->peer.end, BYTES_IN, 1);
    end_init(&m->guest.end, BYTES_OUT, 2);
    m->ram = nic_memory(&fd);
    check(m->ram != NULL, "no memory");
    m->guest.nic = (NicDriver){.client = start_server(m), .ram = m->ram, .base = BASE};
    connect_device(m, m->guest.nic.client, m->ram, fd);
    check(nic_start(&m->guest.nic, false), "the card does not start");

    run_until(m, tenth);
    cancelled(m);
    run_until(m, 2 * tenth);
    for (unsigned i = 0; i < 3; i++) {
        migrate(m, tenth / ROUNDS / 2);
        run_until(m, m->guest.end.expected + tenth);
    }
    finish(m);
    check_stream(&m->guest.end, BYTES_IN, 1, "to the guest");
    check_stream(&m->peer.end, BYTES_OUT, 2, "from the guest");
    vu_client_free(m->guest.nic.client);
    stop_server(m->pid);
    g_free(m);
    return 0;
}
