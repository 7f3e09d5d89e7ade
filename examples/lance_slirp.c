/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lance_slirp.c: a network card without a computer. This program is the guest: it finds an
 * Am79C970A on a PCI bus, starts it with port writes as a driver would, with rings in an array that
 * stands for the guest's RAM, and sends an ARP request and a ping to libslirp's router. Each step
 * is printed with the virtual time, which is all the time there is, so two runs print the same.
 *
 *     lance_slirp [NETWORK]     default "slirp,ipv6=off"; try "slirp,ipv6=off,pcap=ping.pcap"
 */
#include <devemu/backends.h>
#include <devemu/bus.h>
#include <devemu/list.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* --- the guest's RAM, as it lays it out -------------------------------------------- */

enum {
    RAM_BYTES = 0x10000,
    INIT_BLOCK = 0x1000,
    RX_RING = 0x2000, /* descriptors of 16 bytes */
    TX_RING = 0x2100,
    RX_BUFFERS = 0x4000,
    TX_BUFFER = 0x8000,
    RING_LOG2 = 2,
    RING_LEN = 1 << RING_LOG2,
    BUFFER_BYTES = 1536,
};

/* --- the chip: word I/O mode, software style 2 ------------------------------------- */

enum {
    DEVICE = 3,
    PORTS = 0xc000,
    RDP = PORTS + 0x10,
    RAP = PORTS + 0x12,
    RESET = PORTS + 0x14,
    BDP = PORTS + 0x16,
    CSR0_INIT = 0x0001,
    CSR0_STRT = 0x0002,
    CSR0_TDMD = 0x0008,
    CSR0_INEA = 0x0040,
    CSR0_IDON = 0x0100,
    CSR0_TINT = 0x0200,
    CSR0_RINT = 0x0400,
};

#define MD1_OWN  0x80000000U
#define MD1_STP  0x02000000U
#define MD1_ENP  0x01000000U
#define MD1_ONES 0x0000f000U

typedef struct World {
    uint64_t now_ns;
    uint8_t ram[RAM_BYTES];
    bool interrupt;
    DevemuDevice *bus, *nic;
    DevemuNet *net;
    unsigned rx_at, tx_at;
    uint8_t mac[6];
} World;

G_GNUC_PRINTF(2, 3) static void say(const World *world, const char *format, ...)
{
    va_list args;

    printf("%9" PRIu64 " ns  ", world->now_ns);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* --- what the host gives the bus --------------------------------------------------- */

static bool reaches(uint64_t addr, size_t len)
{
    return addr <= RAM_BYTES && len <= RAM_BYTES - addr;
}

static bool host_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    const World *world = host;

    if (!reaches(addr, len)) {
        return false;
    }
    memcpy(buf, world->ram + addr, len);
    return true;
}

static bool host_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    World *world = host;

    if (!reaches(addr, len)) {
        return false;
    }
    memcpy(world->ram + addr, buf, len);
    return true;
}

static uint64_t host_now(void *host)
{
    return ((World *)host)->now_ns;
}

static void host_set_line(void *host, unsigned line, bool level)
{
    World *world = host;

    world->interrupt = level;
    say(world, "INT%c# %s", 'A' + (int)line, level ? "rises" : "falls");
}

static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    (void)level;
    say(host, "the card says: %s", text);
}

static const DevemuHostOps host_ops = {
    .size = sizeof(DevemuHostOps),
    .dma_read = host_dma_read,
    .dma_write = host_dma_write,
    .now = host_now,
    .set_line = host_set_line,
    .log = host_log,
};

/* --- ports ------------------------------------------------------------------------- */

static void out(World *world, unsigned bank, unsigned port, unsigned size, uint32_t value)
{
    devemu_device_write(world->bus, bank, port, size, value);
}

static uint32_t in(World *world, unsigned bank, unsigned port, unsigned size)
{
    uint64_t value = UINT32_MAX;

    devemu_device_read(world->bus, bank, port, size, &value);
    return (uint32_t)value;
}

static void config_select(World *world, unsigned reg)
{
    out(world, DEVEMU_PCI_MECHANISM_1, 0, 4, 0x80000000U | DEVICE << 11 | reg);
}

static void config_write(World *world, unsigned reg, unsigned size, uint32_t value)
{
    config_select(world, reg & ~3U);
    out(world, DEVEMU_PCI_MECHANISM_1, 4 + (reg & 3), size, value);
}

static uint32_t config_read(World *world, unsigned reg, unsigned size)
{
    config_select(world, reg & ~3U);
    return in(world, DEVEMU_PCI_MECHANISM_1, 4 + (reg & 3), size);
}

static void csr_write(World *world, unsigned index, uint16_t value)
{
    out(world, DEVEMU_PCI_IO, RAP, 2, index);
    out(world, DEVEMU_PCI_IO, RDP, 2, value);
}

static uint16_t csr_read(World *world, unsigned index)
{
    out(world, DEVEMU_PCI_IO, RAP, 2, index);
    return (uint16_t)in(world, DEVEMU_PCI_IO, RDP, 2);
}

/* --- time -------------------------------------------------------------------------- */

/* Time goes on to what happens next. False if nothing ever will. */
static bool step(World *world)
{
    uint64_t next_ns = MIN(devemu_device_deadline(world->bus), devemu_net_deadline(world->net));

    g_main_context_iteration(NULL, FALSE); /* sockets, if there are any */
    if (next_ns == DEVEMU_NEVER) {
        return false;
    }
    world->now_ns = MAX(world->now_ns, next_ns);
    devemu_device_run(world->bus);
    devemu_net_run(world->net);
    return true;
}

/* Until CSR0 has one of these bits, which is then acknowledged. */
static bool wait_for(World *world, uint16_t bits, const char *name)
{
    uint64_t limit_ns = world->now_ns + 10000000000;

    while (!(csr_read(world, 0) & bits)) {
        if (world->now_ns > limit_ns || !step(world)) {
            say(world, "no %s came", name);
            return false;
        }
    }
    say(world, "CSR0 is %04x: %s", csr_read(world, 0), name);
    csr_write(world, 0, bits | CSR0_INEA);
    return true;
}

/* --- the driver -------------------------------------------------------------------- */

static bool find_card(World *world)
{
    uint32_t id = config_read(world, 0, 4);

    say(world, "PCI device %d is %04x:%04x", DEVICE, id & 0xffff, id >> 16);
    if (id != 0x20001022) {
        return false;
    }
    config_write(world, 0x10, 4, PORTS);
    config_write(world, 0x04, 2, 0x0005); /* I/O space, bus master */
    in(world, DEVEMU_PCI_IO, RESET, 2);
    for (unsigned i = 0; i < 6; i++) {
        world->mac[i] = (uint8_t)in(world, DEVEMU_PCI_IO, PORTS + i, 1);
    }
    say(world, "its address is %02x:%02x:%02x:%02x:%02x:%02x", world->mac[0], world->mac[1],
        world->mac[2], world->mac[3], world->mac[4], world->mac[5]);
    return true;
}

static uint8_t *descriptor(World *world, unsigned ring, unsigned i)
{
    return world->ram + ring + i * 16;
}

/* BCNT is a negative number of 12 bits. */
static uint32_t bcnt(unsigned len)
{
    return MD1_ONES | (-len & 0x0fff);
}

static void rx_give(World *world, unsigned i)
{
    uint8_t *md = descriptor(world, RX_RING, i);

    devemu_put_le32(md, RX_BUFFERS + i * BUFFER_BYTES);
    devemu_put_le32(md + 8, 0);
    devemu_put_le32(md + 4, MD1_OWN | bcnt(BUFFER_BYTES));
}

static bool start_card(World *world)
{
    uint8_t *block = world->ram + INIT_BLOCK;

    for (unsigned i = 0; i < RING_LEN; i++) {
        rx_give(world, i);
    }
    devemu_put_le32(block, (uint32_t)RING_LOG2 << 28 | RING_LOG2 << 20);
    memcpy(block + 4, world->mac, 6);
    devemu_put_le32(block + 20, RX_RING);
    devemu_put_le32(block + 24, TX_RING);

    out(world, DEVEMU_PCI_IO, RAP, 2, 20);
    out(world, DEVEMU_PCI_IO, BDP, 2, 2); /* BCR20: software style 2 */
    csr_write(world, 1, INIT_BLOCK & 0xffff);
    csr_write(world, 2, INIT_BLOCK >> 16);
    csr_write(world, 0, CSR0_INIT | CSR0_INEA);
    say(world, "CSR0 <- INIT");
    if (!wait_for(world, CSR0_IDON, "IDON")) {
        return false;
    }
    csr_write(world, 0, CSR0_STRT | CSR0_INEA);
    say(world, "CSR0 <- STRT");
    return true;
}

static bool transmit(World *world, const uint8_t *frame, unsigned len)
{
    uint8_t *md = descriptor(world, TX_RING, world->tx_at);

    memcpy(world->ram + TX_BUFFER, frame, len);
    devemu_put_le32(md, TX_BUFFER);
    devemu_put_le32(md + 8, 0);
    devemu_put_le32(md + 4, MD1_OWN | MD1_STP | MD1_ENP | bcnt(len));
    world->tx_at = (world->tx_at + 1) % RING_LEN;
    say(world, "%u bytes in the transmit ring, CSR0 <- TDMD", len);
    csr_write(world, 0, CSR0_TDMD | CSR0_INEA);
    return wait_for(world, CSR0_TINT, "TINT");
}

/* The next frame of this type, without its FCS; NULL if none comes. Good until the next call. */
static const uint8_t *receive(World *world, unsigned type, unsigned *ret_len)
{
    static uint8_t frame[BUFFER_BYTES];

    for (;;) {
        unsigned i = world->rx_at;
        const uint8_t *md = descriptor(world, RX_RING, i);

        while (devemu_le32(md + 4) & MD1_OWN) {
            if (!wait_for(world, CSR0_RINT, "RINT")) {
                return NULL;
            }
        }
        *ret_len = MIN(devemu_le32(md + 8) & 0x0fff, BUFFER_BYTES) - 4;
        memcpy(frame, world->ram + RX_BUFFERS + i * BUFFER_BYTES, *ret_len);
        rx_give(world, i);
        world->rx_at = (i + 1) % RING_LEN;
        if ((unsigned)(frame[12] << 8 | frame[13]) == type) {
            return frame;
        }
    }
}

/* --- ARP and ping ------------------------------------------------------------------ */

static const uint8_t my_ip[4] = {10, 0, 2, 15};
static const uint8_t router_ip[4] = {10, 0, 2, 2};

static void ethernet(const World *world, uint8_t *frame, const uint8_t *to, unsigned type)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, world->mac, 6);
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
}

static bool ask_arp(World *world, uint8_t *ret_mac)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    uint8_t frame[60] = {0};
    const uint8_t *reply;
    unsigned len;

    ethernet(world, frame, everybody, 0x0806);
    memcpy(frame + 14, request, sizeof(request));
    memcpy(frame + 22, world->mac, 6);
    memcpy(frame + 28, my_ip, 4);
    memcpy(frame + 38, router_ip, 4);
    say(world, "ARP: who has 10.0.2.2?");
    if (!transmit(world, frame, sizeof(frame))) {
        return false;
    }
    reply = receive(world, 0x0806, &len);
    if (reply == NULL) {
        return false;
    }
    memcpy(ret_mac, reply + 22, 6);
    say(world, "ARP: 10.0.2.2 is at %02x:%02x:%02x:%02x:%02x:%02x", reply[22], reply[23], reply[24],
        reply[25], reply[26], reply[27]);
    return true;
}

/* RFC 1071, of an even number of bytes. */
static void put_checksum(uint8_t *at, const uint8_t *data, unsigned len)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < len; i += 2) {
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16)) & 0xffff;
    at[0] = (uint8_t)(sum >> 8);
    at[1] = (uint8_t)sum;
}

static bool ping(World *world, const uint8_t *router_mac)
{
    uint8_t frame[14 + 20 + 8 + 56] = {0};
    uint8_t *ip = frame + 14, *icmp = frame + 34;
    const uint8_t *reply;
    unsigned len;

    ethernet(world, frame, router_mac, 0x0800);
    ip[0] = 0x45;
    ip[3] = 20 + 8 + 56;
    ip[8] = 64;
    ip[9] = 1;
    memcpy(ip + 12, my_ip, 4);
    memcpy(ip + 16, router_ip, 4);
    put_checksum(ip + 10, ip, 20);
    icmp[0] = 8;
    icmp[7] = 1;
    memset(icmp + 8, '!', 56);
    put_checksum(icmp + 2, icmp, 8 + 56);
    say(world, "ping 10.0.2.2");
    if (!transmit(world, frame, sizeof(frame))) {
        return false;
    }
    reply = receive(world, 0x0800, &len);
    if (reply == NULL || reply[34] != 0) {
        return false;
    }
    say(world, "%u bytes from %u.%u.%u.%u: sequence %u, time to live %u", len - 34, reply[26],
        reply[27], reply[28], reply[29], reply[41], reply[22]);
    return true;
}

/* --- the machine ------------------------------------------------------------------- */

static bool build(World *world, const char *network, GError **error)
{
    world->net = devemu_net_new(network, NULL, error);
    if (world->net == NULL) {
        return false;
    }
    devemu_net_set_clock(world->net, host_now, world);
    world->bus = devemu_device_new(&devemu_model_pci_bus, NULL, error);
    world->nic = devemu_device_new(devemu_model_find("am79c970a"), "latency=datasheet", error);
    if (world->bus == NULL || world->nic == NULL ||
        !devemu_pci_plug(world->bus, world->nic, DEVICE << 3, error)) {
        return false;
    }
    devemu_device_set_host(world->bus, &host_ops, world);
    devemu_net_attach(world->net, world->nic);
    return true;
}

int main(int argc, char **argv)
{
    World *world = g_new0(World, 1);
    g_autoptr(GError) error = NULL;
    uint8_t router_mac[6];
    int status = 2;

    if (argc > 2 || !build(world, argc > 1 ? argv[1] : "slirp,ipv6=off", &error)) {
        fprintf(stderr, "lance_slirp: %s\n",
                error ? error->message : "too many arguments; give one network");
    } else if (find_card(world) && start_card(world) && ask_arp(world, router_mac) &&
               ping(world, router_mac)) {
        status = 0;
    } else {
        status = 1;
    }
    devemu_device_free(world->bus);
    devemu_net_free(world->net);
    g_free(world);
    return status;
}
