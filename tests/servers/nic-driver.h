/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nic-driver.h: a small driver of an Am79C970A behind vfio-user, for tests: 64 descriptors each
 * way (software style 2) in memory that it shares with the device, or gives it by messages. All of
 * the guest's state is in NicDriver and in that memory, so a copy of both goes on elsewhere.
 */
#ifndef TESTS_SERVERS_NIC_DRIVER_H
#define TESTS_SERVERS_NIC_DRIVER_H

#include "vfio-user-client.h"

enum {
    NIC_RAM_BYTES = 0x60000,
    NIC_PAGE = 4096,
    NIC_PAGES = NIC_RAM_BYTES / NIC_PAGE,
    NIC_RING = 64,
    NIC_FRAME = 1514,
};

typedef struct NicDriver {
    VuClient *client;
    uint8_t *ram;  /* NIC_RAM_BYTES */
    uint64_t base; /* where the device sees it */
    unsigned rx_at, tx_at, tx_done;
    uint64_t sent; /* transmit descriptors that came back */
    uint8_t mac[6];
    uint64_t
        wrote[NIC_PAGES / 64 + 1]; /* pages that the driver wrote; cleared by who copies them */
} NicDriver;

/* Memory for a driver: a sealed memfd. */
uint8_t *nic_memory(int *ret_fd);

/* Find, reset and start the card; the client has mapped the memory. loopback: what it sends it
 * receives. False if any of it fails. */
bool nic_start(NicDriver *nic, bool loopback);
/* False if the ring is full. The device is told by nic_kick(). */
bool nic_send(NicDriver *nic, const uint8_t *frame, size_t len);
bool nic_kick(NicDriver *nic);
/* Take back what the device has sent. */
void nic_reap(NicDriver *nic);
/* The next frame, without FCS, into NIC_FRAME bytes; 0 if there is none, -1 if it was marked as
 * wrong. */
int nic_receive(NicDriver *nic, uint8_t *frame);
/* The interrupt came: acknowledge and unmask it. */
bool nic_acknowledge(NicDriver *nic);
/* Frames that the device counted as missed since it started. */
int nic_missed(NicDriver *nic);

#endif
