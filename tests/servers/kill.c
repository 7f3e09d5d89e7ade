/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kill.c: kill -9 in the middle of traffic. The one that is left lives and goes on.
 *
 *     kill SERVE SOCKET
 *
 * Five times the client dies, with memory mapped, an interrupt set up, and frames in both rings:
 * the same server must serve the next client, and have given back what the dead one lent it. Five
 * times the server dies: the client must be told by an error, and its next server start where it
 * left nothing behind but a socket. The card loops back what it sends, so there is always traffic.
 */
#define _GNU_SOURCE
#include "nic-driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROUNDS = 5,
    FRAMES = 500,
    FRAME = 1000,
};

#define BASE UINT64_C(0x10000000)

static void fail(const char *what)
{
    fprintf(stderr, "kill: %s\n", what);
    exit(1);
}

static void check(bool ok, const char *what)
{
    if (!ok) {
        fail(what);
    }
}

/* --- a client with traffic --------------------------------------------------------- */

typedef struct Client {
    NicDriver nic;
    int irq, ram_fd;
    uint32_t next, expected;
} Client;

static bool client_start(Client *c, const char *path)
{
    *c = (Client){.irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    c->nic = (NicDriver){.client = vu_client_connect(path), .base = BASE};
    c->nic.ram = nic_memory(&c->ram_fd);
    check(c->irq >= 0 && c->nic.ram != NULL, "no memory");
    return c->nic.client != NULL &&
           vu_map(c->nic.client, BASE, NIC_RAM_BYTES, c->nic.ram, c->ram_fd) == 0 &&
           vu_irq(c->nic.client, VU_INTX, 0, c->irq) == 0 && nic_start(&c->nic, true);
}

static void client_end(Client *c)
{
    vu_client_free(c->nic.client);
    munmap(c->nic.ram, NIC_RAM_BYTES);
    close(c->ram_fd);
    close(c->irq);
}

/* Keep the rings full; false if the server has gone. */
static bool client_step(Client *c)
{
    uint8_t frame[NIC_FRAME] = {0};
    uint64_t count;
    int len;

    if (read(c->irq, &count, sizeof(count)) == sizeof(count) && !nic_acknowledge(&c->nic)) {
        return false;
    }
    while ((len = nic_receive(&c->nic, frame)) != 0) {
        check(len == FRAME && memcmp(frame + 14, &c->expected, 4) == 0, "a frame is not the next");
        c->expected++;
    }
    memcpy(frame, c->nic.mac, 6);
    memcpy(frame + 6, c->nic.mac, 6);
    while (c->next - c->expected < NIC_RING / 2) {
        memcpy(frame + 14, &c->next, 4);
        if (!nic_send(&c->nic, frame, FRAME)) {
            break;
        }
        c->next++;
    }
    return nic_kick(&c->nic);
}

/* Traffic until so many frames came back. */
static bool client_run(Client *c, uint32_t frames)
{
    while (c->expected < frames) {
        struct pollfd fds[2] = {{c->irq, POLLIN, 0}, {c->nic.client->fd, POLLIN, 0}};

        if (!client_step(c) || poll(fds, 2, -1) < 0 || fds[1].revents) {
            return false;
        }
    }
    return true;
}

/* --- the server -------------------------------------------------------------------- */

static pid_t server_start(const char *serve, const char *path)
{
    g_autofree char *address = g_strconcat("vfio-user:", path, NULL);
    char line[256];
    int out;
    pid_t pid = vu_spawn((const char *const[]){serve, address, "am79c970a", NULL}, NULL, 0, &out);

    check(pid > 0 && read(out, line, sizeof(line)) > 0, "the server does not start");
    close(out);
    return pid;
}

static unsigned open_files(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    unsigned count = 0;

    check(dir != NULL, "the server died");
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static void kill_and_wait(pid_t pid)
{
    int status;

    check(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
              WTERMSIG(status) == SIGKILL,
          "it died by itself");
}

/* --- who dies ---------------------------------------------------------------------- */

/* In a process of its own: traffic for ever. A byte at `to` says that it is in the middle of it. */
static void victim(const char *path, int to)
{
    Client c;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!client_start(&c, path) || !client_run(&c, FRAMES) || write(to, "x", 1) != 1) {
        _exit(1);
    }
    client_run(&c, UINT32_MAX);
    _exit(1);
}

static void kill_a_client(const char *path)
{
    int pipe_fds[2];
    pid_t pid;
    char byte;

    check(pipe2(pipe_fds, O_CLOEXEC) == 0, "no pipe");
    pid = fork();
    if (pid == 0) {
        victim(path, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    check(read(pipe_fds[0], &byte, 1) == 1, "a client has no traffic");
    close(pipe_fds[0]);
    kill_and_wait(pid);
}

/* A whole client's life at this server. */
static void be_served(const char *path)
{
    Client c;

    check(client_start(&c, path) && client_run(&c, FRAMES), "the server does not serve");
    check(nic_missed(&c.nic) == 0, "frames were missed");
    client_end(&c);
}

static void clients_die(const char *serve, const char *path)
{
    pid_t server = server_start(serve, path);
    unsigned files;
    int status;

    be_served(path);
    be_served(path);
    files = open_files(server);
    for (unsigned i = 0; i < ROUNDS; i++) {
        kill_a_client(path);
        be_served(path);
    }
    /* The last client may not have been forgotten yet, nor the one before the count. */
    check(open_files(server) <= files + 4, "the server keeps what dead clients lent it");
    kill(server, SIGTERM);
    check(waitpid(server, &status, 0) == server && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "the server did not end well");
}

static void servers_die(const char *serve, const char *path)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        pid_t server = server_start(serve, path);
        uint64_t value;
        Client c;

        check(client_start(&c, path) && client_run(&c, FRAMES), "the server does not serve");
        check(client_step(&c), "the server left");
        kill_and_wait(server);
        check(!client_run(&c, UINT32_MAX), "traffic without a server");
        check(vu_read(c.nic.client, VU_CONFIG, 0, 4, &value) == ENOTCONN, "an answer from nobody");
        client_end(&c);
    }
}

int main(int argc, char **argv)
{
    check(argc == 3, "usage: kill SERVE SOCKET");
    clients_die(argv[1], argv[2]);
    servers_die(argv[1], argv[2]);
    unlink(argv[2]);
    printf("| %d clients and %d servers killed in traffic\n", ROUNDS, ROUNDS);
    return 0;
}
