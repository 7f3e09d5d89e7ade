/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nic-driver.c: see nic-driver.h. Facts: AMD 19436, Am79C970A.
 */
#define _GNU_SOURCE
#include "nic-driver.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    INIT_BLOCK = 0x0,
    RX_RING = 0x1000, /* descriptors of 16 bytes */
    TX_RING = 0x2000,
    RX_BUFFERS = 0x10000,
    TX_BUFFERS = 0x30000,
    BUFFER_BYTES = 2048,
    RING_LOG2 = 6,

    RDP = 0x10,
    RAP = 0x12,
    RESET = 0x14,
    BDP = 0x16,

    CSR0_INIT = 0x0001,
    CSR0_STRT = 0x0002,
    CSR0_TDMD = 0x0008,
    CSR0_INEA = 0x0040,
    CSR0_CAUSES = 0x7f00,
    CSR0_IDON = 0x0100,
    MODE_LOOP = 0x0004,
    MODE_INTL = 0x0040,
};

#define MD1_OWN  0x80000000U
#define MD1_ERR  0x40000000U
#define MD1_STP  0x02000000U
#define MD1_ENP  0x01000000U
#define MD1_ONES 0x0000f000U

/* --- memory ------------------------------------------------------------------------ */

uint8_t *nic_memory(int *ret_fd)
{
    int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint8_t *ram;

    if (fd < 0 || ftruncate(fd, NIC_RAM_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
        return NULL;
    }
    ram = mmap(NULL, NIC_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *ret_fd = fd;
    return ram == MAP_FAILED ? NULL : ram;
}

static void touched(NicDriver *nic, unsigned at)
{
    nic->wrote[at / NIC_PAGE / 64] |= UINT64_C(1) << at / NIC_PAGE % 64;
}

/* The device may look at the word at any moment. */
static void put32(NicDriver *nic, unsigned at, uint32_t value)
{
    __atomic_store_n((uint32_t *)(void *)(nic->ram + at), GUINT32_TO_LE(value), __ATOMIC_RELEASE);
    touched(nic, at);
}

static uint32_t get32(const NicDriver *nic, unsigned at)
{
    return GUINT32_FROM_LE(
        __atomic_load_n((const uint32_t *)(const void *)(nic->ram + at), __ATOMIC_ACQUIRE));
}

static void copy_in(NicDriver *nic, unsigned at, const void *data, size_t len)
{
    memcpy(nic->ram + at, data, len);
    touched(nic, at);
    touched(nic, at + (unsigned)len - 1);
}

/* BCNT is a negative number of 12 bits. */
static uint32_t bcnt(size_t len)
{
    return MD1_ONES | (-(uint32_t)len & 0x0fff);
}

/* --- registers --------------------------------------------------------------------- */

static bool out(NicDriver *nic, unsigned port, unsigned size, uint32_t value)
{
    return vu_write(nic->client, VU_BAR0, port, size, value) == 0;
}

static bool in(NicDriver *nic, unsigned port, unsigned size, uint64_t *ret_value)
{
    return vu_read(nic->client, VU_BAR0, port, size, ret_value) == 0;
}

static bool csr_write(NicDriver *nic, unsigned index, uint16_t value)
{
    return out(nic, RAP, 2, index) && out(nic, RDP, 2, value);
}

static bool csr_read(NicDriver *nic, unsigned index, uint64_t *ret_value)
{
    return out(nic, RAP, 2, index) && in(nic, RDP, 2, ret_value);
}

/* --- starting ---------------------------------------------------------------------- */

static void rx_give(NicDriver *nic, unsigned i)
{
    unsigned md = RX_RING + i * 16;

    put32(nic, md, (uint32_t)nic->base + RX_BUFFERS + i * BUFFER_BYTES);
    put32(nic, md + 8, 0);
    put32(nic, md + 4, MD1_OWN | bcnt(BUFFER_BYTES));
}

static bool find_card(NicDriver *nic)
{
    uint64_t id = 0, value;

    if (vu_read(nic->client, VU_CONFIG, 0, 4, &id) != 0 || id != 0x20001022 ||
        vu_write(nic->client, VU_CONFIG, 4, 2, 5) != 0 || !in(nic, RESET, 2, &value)) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        if (!in(nic, i, 1, &value)) {
            return false;
        }
        nic->mac[i] = (uint8_t)value;
    }
    return true;
}

bool nic_start(NicDriver *nic, bool loopback)
{
    uint32_t mode = loopback ? MODE_LOOP | MODE_INTL : 0;
    uint64_t csr0 = 0;

    nic->rx_at = nic->tx_at = nic->tx_done = 0;
    nic->sent = 0;
    if (!find_card(nic)) {
        return false;
    }
    for (unsigned i = 0; i < NIC_RING; i++) {
        rx_give(nic, i);
        put32(nic, TX_RING + i * 16 + 4, 0);
    }
    put32(nic, INIT_BLOCK, (uint32_t)RING_LOG2 << 28 | RING_LOG2 << 20 | mode);
    copy_in(nic, INIT_BLOCK + 4, nic->mac, 6);
    put32(nic, INIT_BLOCK + 20, (uint32_t)nic->base + RX_RING);
    put32(nic, INIT_BLOCK + 24, (uint32_t)nic->base + TX_RING);
    if (!out(nic, RAP, 2, 20) || !out(nic, BDP, 2, 2) ||
        !csr_write(nic, 1, (uint16_t)(nic->base + INIT_BLOCK)) ||
        !csr_write(nic, 2, (uint16_t)((nic->base + INIT_BLOCK) >> 16)) ||
        !csr_write(nic, 0, CSR0_INIT)) {
        return false;
    }
    while (!(csr0 & CSR0_IDON)) {
        if (!csr_read(nic, 0, &csr0)) {
            return false;
        }
    }
    return csr_write(nic, 0, CSR0_IDON | CSR0_STRT | CSR0_INEA);
}

/* --- running ----------------------------------------------------------------------- */

bool nic_send(NicDriver *nic, const uint8_t *frame, size_t len)
{
    unsigned md = TX_RING + nic->tx_at * 16, buffer = TX_BUFFERS + nic->tx_at * BUFFER_BYTES;

    nic_reap(nic);
    if ((nic->tx_at + 1) % NIC_RING == nic->tx_done) {
        return false;
    }
    copy_in(nic, buffer, frame, len);
    put32(nic, md, (uint32_t)nic->base + buffer);
    put32(nic, md + 8, 0);
    put32(nic, md + 4, MD1_OWN | MD1_STP | MD1_ENP | bcnt(len));
    nic->tx_at = (nic->tx_at + 1) % NIC_RING;
    return true;
}

bool nic_kick(NicDriver *nic)
{
    return vu_post(nic->client, VU_BAR0, RDP, 2, CSR0_TDMD | CSR0_INEA) == 0;
}

void nic_reap(NicDriver *nic)
{
    while (nic->tx_done != nic->tx_at && !(get32(nic, TX_RING + nic->tx_done * 16 + 4) & MD1_OWN)) {
        nic->tx_done = (nic->tx_done + 1) % NIC_RING;
        nic->sent++;
    }
}

int nic_receive(NicDriver *nic, uint8_t *frame)
{
    unsigned i = nic->rx_at;
    uint32_t md1 = get32(nic, RX_RING + i * 16 + 4);
    uint32_t len = get32(nic, RX_RING + i * 16 + 8) & 0x0fff;

    if (md1 & MD1_OWN) {
        return 0;
    }
    nic->rx_at = (i + 1) % NIC_RING;
    if (md1 & MD1_ERR || len < 4 || len - 4 > NIC_FRAME) {
        rx_give(nic, i);
        return -1;
    }
    memcpy(frame, nic->ram + RX_BUFFERS + i * BUFFER_BYTES, len - 4);
    rx_give(nic, i);
    return (int)len - 4;
}

/* RAP stays at CSR0. */
bool nic_acknowledge(NicDriver *nic)
{
    uint64_t csr0;

    return csr_read(nic, 0, &csr0) &&
           out(nic, RDP, 2, ((uint32_t)csr0 & CSR0_CAUSES) | CSR0_INEA) &&
           vu_unmask(nic->client) == 0;
}

int nic_missed(NicDriver *nic)
{
    uint64_t missed;

    return csr_read(nic, 112, &missed) && out(nic, RAP, 2, 0) ? (int)missed : -1;
}
