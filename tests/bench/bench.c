/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.c: what the library costs, beside a hand-written minimum in the same program. Run by
 * tests/bench/run; by hand, never as a test.
 *
 * - bench: the table; median of SAMPLES samples, ours and the minimum in turn, and the median of
 *   the ratios of pairs, which are what to believe on a noisy machine
 * - bench --list: the names of the rows
 * - bench --only NAME N: N times one row inside bench_collect(), for callgrind; "NAME.min" is its
 *   minimum
 * - bench --counts: what needs no clock
 */
#define _POSIX_C_SOURCE 200809L

#include "measure.h"

#include <devemu/devemu.h>
#include <devemu/model.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM_BYTES (1u << 20)

/* --- the machine around the card --------------------------------------------------- */

enum {
    RING = 32, /* descriptors, both ways */
    INIT_AT = 0x100,
    RX_RING_AT = 0x1000,
    TX_RING_AT = 0x2000,
    RX_BUFFERS_AT = 0x10000,
    TX_BUFFERS_AT = 0x40000,
    BUFFER = 2048,
    IO_BASE = 0xc000,
    RDP = 0x10,
    RAP = 0x12,
};

typedef struct Rig {
    uint8_t *ram;
    DevemuDevice *bus, *nic;
    unsigned style;
    unsigned tx, rx; /* next descriptor */
    uint8_t sink[BUFFER];
    uint64_t frames, bytes, wakes;
    uint64_t slow; /* accesses */
    bool map;
} Rig;

static bool rig_read(void *host, uint64_t addr, void *buf, size_t len)
{
    Rig *rig = host;

    if (addr > RAM_BYTES || len > RAM_BYTES - addr) {
        return false;
    }
    memcpy(buf, rig->ram + addr, len);
    return true;
}

static bool rig_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    Rig *rig = host;

    if (addr > RAM_BYTES || len > RAM_BYTES - addr) {
        return false;
    }
    memcpy(rig->ram + addr, buf, len);
    return true;
}

static bool rig_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    Rig *rig = host;

    if (!rig->map || addr >= RAM_BYTES) {
        return false;
    }
    *ret_window = (DevemuWindow){0, RAM_BYTES, rig->ram, true};
    return true;
}

/* A backend does with a frame what all do: it copies it. */
static void rig_send(void *net, const DevemuSlice *slices, size_t count, bool more)
{
    Rig *rig = net;
    size_t len = 0;

    for (size_t i = 0; i < count && len + slices[i].len <= BUFFER; i++) {
        memcpy(rig->sink + len, slices[i].data, slices[i].len);
        len += slices[i].len;
    }
    rig->frames++;
    rig->bytes += len;
    rig->wakes += !more;
}

static const DevemuHostOps rig_ops = {.size = sizeof(DevemuHostOps),
                                      .dma_read = rig_read,
                                      .dma_write = rig_write,
                                      .dma_map = rig_map};
static const DevemuNetOps rig_net = {.size = sizeof(DevemuNetOps), .send = rig_send};

static void out(Rig *rig, unsigned port, uint64_t value)
{
    devemu_device_write(rig->bus, DEVEMU_PCI_IO, IO_BASE + port, 2, value);
}

static uint64_t in(Rig *rig, unsigned port)
{
    uint64_t value = 0;

    devemu_device_read(rig->bus, DEVEMU_PCI_IO, IO_BASE + port, 2, &value);
    return value;
}

static void csr(Rig *rig, unsigned number, uint64_t value)
{
    out(rig, RAP, number);
    out(rig, RDP, value);
}

static void config(Rig *rig, unsigned reg, uint32_t value)
{
    devemu_device_write(rig->bus, DEVEMU_PCI_CONFIG, 3 << 15 | reg, 4, value);
}

/* A descriptor of style 2 or 3 (DS "Receive/Transmit Descriptor, SWSTYLE"); len with its ONES. */
static void descriptor(const Rig *rig, uint32_t at, uint32_t buffer, unsigned len, uint32_t flags)
{
    uint8_t *p = rig->ram + at;
    uint32_t status = flags << 16 | 0xf000 | ((0x1000 - len) & 0xfff);

    devemu_put_le32(p + (rig->style == 3 ? 8 : 0), buffer);
    devemu_put_le32(p + (rig->style == 3 ? 0 : 8), 0);
    devemu_put_le32(p + 4, status);
}

static void give_tx(Rig *rig, unsigned len)
{
    unsigned n = rig->tx++ % RING;

    descriptor(rig, TX_RING_AT + n * 16, TX_BUFFERS_AT + n * BUFFER, len, 0x8300);
}

static void give_rx(Rig *rig)
{
    unsigned n = rig->rx++ % RING;

    descriptor(rig, RX_RING_AT + n * 16, RX_BUFFERS_AT + n * BUFFER, BUFFER, 0x8000);
}

static void start_card(Rig *rig)
{
    uint8_t *init = rig->ram + INIT_AT;

    memset(init, 0, 28);
    devemu_put_le32(init, 5u << 28 | 5u << 20); /* rings of 32, MODE 0 */
    memcpy(init + 4, "\x52\x54\x00\x12\x34\x56", 6);
    devemu_put_le32(init + 20, RX_RING_AT);
    devemu_put_le32(init + 24, TX_RING_AT);
    out(rig, RAP, 20);
    out(rig, 0x16, rig->style);
    csr(rig, 1, INIT_AT);
    csr(rig, 2, 0);
    for (unsigned i = 0; i < RING; i++) {
        give_rx(rig);
    }
    csr(rig, 0, 0x0001); /* INIT */
    csr(rig, 0, 0x0002); /* STRT */
    out(rig, RAP, 0);
}

static Rig *rig_new(unsigned style, bool map)
{
    Rig *rig = g_new0(Rig, 1);
    GError *error = NULL;

    rig->ram = g_malloc0(RAM_BYTES);
    rig->style = style;
    rig->map = map;
    rig->bus = devemu_device_new(&devemu_model_pci_bus, NULL, &error);
    rig->nic = devemu_device_new(devemu_model_find("am79c970a"), "mac=52:54:00:12:34:56", &error);
    if (!rig->nic || !devemu_pci_plug(rig->bus, rig->nic, 3 << 3, &error)) {
        fprintf(stderr, "bench: %s\n", error->message);
        exit(2);
    }
    devemu_device_set_host(rig->bus, &rig_ops, rig);
    devemu_device_attach_net(rig->nic, &rig_net, rig);
    config(rig, 0x10, IO_BASE);
    config(rig, 0x04, 0x0007);
    start_card(rig);
    return rig;
}

static void rig_free(Rig *rig)
{
    devemu_device_free(rig->bus);
    g_free(rig->ram);
    g_free(rig);
}

/* --- the hand-written minimum: a switch and memcpy --------------------------------- */

typedef struct Least {
    uint8_t *ram;
    uint16_t rap, csr[128];
    unsigned tx, rx;
    uint8_t sink[BUFFER];
    uint64_t frames;
} Least;

static __attribute__((noinline)) uint64_t least_read(Least *least, unsigned port)
{
    switch (port) {
    case RDP:
        return least->csr[least->rap & 127];
    case RAP:
        return least->rap;
    default:
        return 0xffff;
    }
}

static void least_transmit(Least *least)
{
    for (unsigned i = 0; i < RING; i++) {
        uint8_t *d = least->ram + TX_RING_AT + least->tx % RING * 16;
        uint32_t status = devemu_le32(d + 4);

        if (!(status & 0x80000000u)) {
            return;
        }
        memcpy(least->sink, least->ram + devemu_le32(d), (0x1000 - status) & 0xfff);
        devemu_put_le32(d + 4, status & ~0x80000000u);
        least->tx++;
        least->frames++;
    }
}

static __attribute__((noinline)) void least_write(Least *least, unsigned port, uint64_t value)
{
    switch (port) {
    case RDP:
        least->csr[least->rap & 127] = (uint16_t)value;
        if (least->rap == 0 && (value & 8)) {
            least_transmit(least);
        }
        break;
    case RAP:
        least->rap = (uint16_t)value;
        break;
    default:
        break;
    }
}

static __attribute__((noinline)) void least_receive(Least *least, const uint8_t *data, size_t len)
{
    uint8_t *d = least->ram + RX_RING_AT + least->rx % RING * 16;
    uint32_t status = devemu_le32(d + 4);

    if (!(status & 0x80000000u)) {
        return;
    }
    memcpy(least->ram + devemu_le32(d), data, len);
    devemu_put_le32(d + 8, (uint32_t)len + 4);
    devemu_put_le32(d + 4, (status & 0x7fffffff) | 0x03000000);
    least->rx++;
}

/* --- the rows ---------------------------------------------------------------------- */

typedef struct Env {
    Rig *rig;
    Rig least_rig; /* for its descriptors */
    Least least;
    DevemuDevice *pic;
    GVariant *state;
    unsigned len, batch;
    uint8_t frame[1514];
    uint64_t sum;
} Env;

static void read_csr0(Env *env)
{
    env->sum += in(env->rig, RDP);
}

static void least_read_csr0(Env *env)
{
    env->sum += least_read(&env->least, RDP);
}

static void rap_and_read(Env *env)
{
    out(env->rig, RAP, 0);
    env->sum += in(env->rig, RDP);
}

static void least_rap_and_read(Env *env)
{
    least_write(&env->least, RAP, 0);
    env->sum += least_read(&env->least, RDP);
}

static void write_csr(Env *env)
{
    out(env->rig, RAP, 0);
    out(env->rig, RDP, 0x0040);
}

static void least_write_csr(Env *env)
{
    least_write(&env->least, RAP, 0);
    least_write(&env->least, RDP, 0x0040);
}

static void read_pic(Env *env)
{
    uint64_t value = 0;

    devemu_device_read(env->pic, 0, 1, 1, &value);
    env->sum += value;
}

static void write_pic(Env *env)
{
    devemu_device_write(env->pic, 0, 1, 1, 0xff);
}

static void read_config(Env *env)
{
    uint64_t value = 0;

    devemu_device_write(env->rig->bus, DEVEMU_PCI_MECHANISM_1, 0, 4, 0x80000000u | 3 << 11);
    devemu_device_read(env->rig->bus, DEVEMU_PCI_MECHANISM_1, 4, 4, &value);
    env->sum += value;
}

static void dma_64(Env *env)
{
    devemu_dma_read(env->rig->nic, 0x40000, env->frame, 64);
    env->sum += env->frame[0];
}

static void transmit(Env *env)
{
    for (unsigned i = 0; i < env->batch; i++) {
        give_tx(env->rig, env->len);
    }
    out(env->rig, RDP, 0x0248); /* TINT off, INEA, TDMD */
}

static void least_transmit_row(Env *env)
{
    for (unsigned i = 0; i < env->batch; i++) {
        give_tx(&env->least_rig, env->len);
    }
    least_write(&env->least, RDP, 0x0248);
}

static void receive(Env *env)
{
    for (unsigned i = 0; i < env->batch; i++) {
        devemu_device_receive(env->rig->nic, env->frame, env->len);
    }
    for (unsigned i = 0; i < env->batch; i++) {
        give_rx(env->rig);
    }
    out(env->rig, RDP, 0x0440); /* RINT off, INEA */
}

static void least_receive_row(Env *env)
{
    for (unsigned i = 0; i < env->batch; i++) {
        least_receive(&env->least, env->frame, env->len);
    }
    for (unsigned i = 0; i < env->batch; i++) {
        give_rx(&env->least_rig);
    }
    least_write(&env->least, RDP, 0x0440);
}

static void fcs(Env *env)
{
    env->sum += devemu_crc32(0, env->frame, env->len);
}

static void save(Env *env)
{
    g_variant_unref(devemu_device_save(env->rig->nic));
}

static void load(Env *env)
{
    devemu_device_load(env->rig->nic, env->state, NULL);
}

static void create(Env *env)
{
    DevemuDevice *dev = devemu_device_new(devemu_model_find("am79c970a"), NULL, NULL);

    env->sum += dev != NULL;
    devemu_device_free(dev);
}

typedef struct Row {
    const char *name;
    void (*ours)(Env *env);
    void (*least)(Env *env); /* NULL: none */
    unsigned len, batch, style;
    bool no_map;
    double goal; /* ns, 0: none */
} Row;

static const Row rows[] = {
    {"read CSR0 through the PCI bus", read_csr0, least_read_csr0, 0, 1, 2, false, 10},
    {"RAP, then read CSR0", rap_and_read, least_rap_and_read, 0, 1, 2, false, 0},
    {"RAP, then write CSR0", write_csr, least_write_csr, 0, 1, 2, false, 0},
    {"read an 8259 port", read_pic, NULL, 0, 1, 2, false, 0},
    {"write an 8259 port", write_pic, NULL, 0, 1, 2, false, 0},
    {"PCI config dword, mechanism 1", read_config, NULL, 0, 1, 2, false, 0},
    {"DMA read of 64 bytes", dma_64, NULL, 0, 1, 2, false, 5},
    {"tx 60, 1 a doorbell", transmit, least_transmit_row, 60, 1, 2, false, 0},
    {"tx 60, 16 a doorbell", transmit, least_transmit_row, 60, 16, 2, false, 15},
    {"tx 576, 1 a doorbell", transmit, least_transmit_row, 576, 1, 2, false, 0},
    {"tx 576, 16 a doorbell", transmit, least_transmit_row, 576, 16, 2, false, 0},
    {"tx 1514, 1 a doorbell", transmit, least_transmit_row, 1514, 1, 2, false, 0},
    {"tx 1514, 16 a doorbell", transmit, least_transmit_row, 1514, 16, 2, false, 35},
    {"tx 60, 16, style 3", transmit, least_transmit_row, 60, 16, 3, false, 0},
    {"tx 1514, 16, style 3", transmit, least_transmit_row, 1514, 16, 3, false, 0},
    {"tx 60, 16, no dma_map", transmit, least_transmit_row, 60, 16, 2, true, 0},
    {"tx 1514, 16, no dma_map", transmit, least_transmit_row, 1514, 16, 2, true, 0},
    {"rx 60, 1 at a time", receive, least_receive_row, 60, 1, 2, false, 0},
    {"rx 60, 16 at a time", receive, least_receive_row, 60, 16, 2, false, 30},
    {"rx 576, 1 at a time", receive, least_receive_row, 576, 1, 2, false, 0},
    {"rx 576, 16 at a time", receive, least_receive_row, 576, 16, 2, false, 0},
    {"rx 1514, 1 at a time", receive, least_receive_row, 1514, 1, 2, false, 0},
    {"rx 1514, 16 at a time", receive, least_receive_row, 1514, 16, 2, false, 90},
    {"rx 60, 16, style 3", receive, least_receive_row, 60, 16, 3, false, 0},
    {"rx 1514, 16, style 3", receive, least_receive_row, 1514, 16, 3, false, 0},
    {"rx 60, 16, no dma_map", receive, least_receive_row, 60, 16, 2, true, 0},
    {"rx 1514, 16, no dma_map", receive, least_receive_row, 1514, 16, 2, true, 0},
    {"FCS of 1514 bytes alone", fcs, NULL, 1514, 1, 2, false, 0},
    {"snapshot save", save, NULL, 0, 1, 2, false, 0},
    {"snapshot load", load, NULL, 0, 1, 2, false, 0},
    {"create and free a card", create, NULL, 0, 1, 2, false, 20000},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static Env *env_new(const Row *row)
{
    Env *env = g_new0(Env, 1);

    env->rig = rig_new(row->style, !row->no_map);
    env->pic = devemu_device_new(devemu_model_find("i8259"), NULL, NULL);
    env->state = devemu_device_save(env->rig->nic);
    env->len = row->len;
    env->batch = row->batch;
    memcpy(env->frame, "\x52\x54\x00\x12\x34\x56\x52\x55\x0a\x00\x02\x02\x08\x00", 14);
    env->least.ram = env->least_rig.ram = g_malloc0(RAM_BYTES);
    env->least_rig.style = 2;
    for (unsigned i = 0; i < RING; i++) {
        give_rx(&env->least_rig);
    }
    return env;
}

static void env_free(Env *env)
{
    rig_free(env->rig);
    devemu_device_free(env->pic);
    g_variant_unref(env->state);
    g_free(env->least.ram);
    g_free(env);
}

/* --- measuring --------------------------------------------------------------------- */

/* What callgrind collects. */
__attribute__((noinline)) void bench_collect(void (*row)(Env *env), Env *env, unsigned n);

void bench_collect(void (*row)(Env *env), Env *env, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        row(env);
    }
}

static double sample(void (*row)(Env *env), Env *env, unsigned n)
{
    double begin = now_ns();

    bench_collect(row, env, n);
    return (now_ns() - begin) / n / env->batch;
}

static unsigned repeats(void (*row)(Env *env), Env *env)
{
    double each = sample(row, env, 100) * env->batch;
    double n = SAMPLE_NS / MAX(each, 0.5);

    return n < 3 ? 3 : (unsigned)n;
}

static void measure(const Row *row)
{
    Env *env = env_new(row);
    double ours[SAMPLES], least[SAMPLES], ratio[SAMPLES];
    unsigned n = repeats(row->ours, env);
    unsigned m = row->least ? repeats(row->least, env) : 0;

    for (unsigned i = 0; i < SAMPLES; i++) {
        ours[i] = sample(row->ours, env, n);
        least[i] = row->least ? sample(row->least, env, m) : 0;
        ratio[i] = row->least ? ours[i] / least[i] : 0;
    }
    printf("%-32s %9.1f", row->name, median(ours));
    if (row->least) {
        printf(" %9.1f %7.1fx", median(least), median(ratio));
    } else {
        printf(" %9s %8s", "-", "-");
    }
    if (row->goal > 0) {
        printf("   goal %.0f", row->goal);
    }
    printf("\n");
    fflush(stdout);
    env_free(env);
}

static void memory(unsigned count)
{
    DevemuDevice **all = g_new0(DevemuDevice *, count);
    struct mallinfo2 before, after;
    void **plain = g_new0(void *, count);
    double begin, least, bytes;

    before = mallinfo2();
    begin = now_ns();
    for (unsigned i = 0; i < count; i++) {
        all[i] = devemu_device_new(devemu_model_find("am79c970a"), NULL, NULL);
    }
    begin = now_ns() - begin;
    after = mallinfo2();
    bytes = (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / count;
    /* The same memory, allocated and written once: what the kernel asks for its pages. */
    least = now_ns();
    for (unsigned i = 0; i < count; i++) {
        plain[i] = memset(g_malloc((gsize)bytes), 1, (gsize)bytes);
    }
    least = now_ns() - least;
    printf("%5u cards: %.0f bytes each (goal 65536), made in %.0f ns each (goal 20000); "
           "as much memory, written once: %.0f ns\n",
           count, bytes, begin / count, least / count);
    for (unsigned i = 0; i < count; i++) {
        devemu_device_free(all[i]);
        g_free(plain[i]);
    }
    g_free(all);
    g_free(plain);
}

/* One card's registers read in turn over many cards: caches, not the library, are what is
 * different. */
static void many(unsigned count)
{
    Rig **rigs = g_new0(Rig *, count);
    double begin;
    uint64_t sum = 0;
    unsigned rounds = 2000000 / count;

    for (unsigned i = 0; i < count; i++) {
        rigs[i] = g_new0(Rig, 1);
        rigs[i]->nic = devemu_device_new(devemu_model_find("am79c970a"), NULL, NULL);
    }
    begin = now_ns();
    for (unsigned r = 0; r < rounds; r++) {
        for (unsigned i = 0; i < count; i++) {
            uint64_t value = 0;

            devemu_device_read(rigs[i]->nic, 0, RDP, 2, &value);
            sum += value;
        }
    }
    begin = now_ns() - begin;
    printf("%5u cards: %.1f ns for a CSR0 read, without a bus (sum %u)\n", count,
           begin / rounds / count, (unsigned)(sum & 1));
    for (unsigned i = 0; i < count; i++) {
        devemu_device_free(rigs[i]->nic);
        g_free(rigs[i]);
    }
    g_free(rigs);
}

/* Sixteen frames a doorbell, each way, as an interrupt-driven driver does it. */
static void counts(void)
{
    Env *env = env_new(&rows[8]);
    unsigned n = 1000;

    env->rig->frames = env->rig->wakes = 0;
    bench_collect(transmit, env, n);
    printf(
        "tx 60, 16 a doorbell: %.4f register accesses and %.4f wake-ups of the backend a frame\n",
        (double)n / (double)env->rig->frames, (double)env->rig->wakes / (double)env->rig->frames);
    env->batch = 1;
    env->rig->frames = env->rig->wakes = 0;
    bench_collect(transmit, env, n);
    printf(
        "tx 60, 1 a doorbell:  %.4f register accesses and %.4f wake-ups of the backend a frame\n",
        (double)n / (double)env->rig->frames, (double)env->rig->wakes / (double)env->rig->frames);
    env_free(env);
}

static int only(const char *name, unsigned n)
{
    for (unsigned i = 0; i < ROWS; i++) {
        size_t len = strlen(rows[i].name);
        bool least = strncmp(name, rows[i].name, len) == 0 && strcmp(name + len, ".min") == 0;

        if (strcmp(name, rows[i].name) == 0 || (least && rows[i].least)) {
            Env *env = env_new(&rows[i]);

            /* Warm: the lazy things are done. */
            (least ? rows[i].least : rows[i].ours)(env);
            bench_collect(least ? rows[i].least : rows[i].ours, env, n);
            printf("%u\n", env->batch);
            env_free(env);
            return 0;
        }
    }
    fprintf(stderr, "bench: no row '%s'\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (unsigned i = 0; i < ROWS; i++) {
            printf("%s%s\n", rows[i].name, rows[i].least ? "\tmin" : "");
        }
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "--only") == 0) {
        return only(argv[2], (unsigned)atoi(argv[3]));
    }
    if (argc == 2 && strcmp(argv[1], "--counts") == 0) {
        counts();
        return 0;
    }
    printf("%-32s %9s %9s %8s\n", "per access or frame, in ns", "ours", "minimum", "ratio");
    for (unsigned i = 0; i < ROWS; i++) {
        measure(&rows[i]);
    }
    counts();
    memory(1);
    memory(10000);
    many(1);
    many(10000);
    return 0;
}
