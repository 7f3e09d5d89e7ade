/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcnet.h: what the Am79C970A has beyond the ring engine: bus configuration registers, address
 * PROM, EEPROM, lamps. "DS" as in lance.h.
 */
#ifndef PCNET_H
#define PCNET_H

#include "lance.h"
#include "microwire.h"

/* BCR2, miscellaneous configuration */
enum {
    BCR2_TMAULOOP = 0x4000,
    BCR2_LEDPE = 0x1000,
    BCR2_APROMWE = 0x0100,
    BCR2_INTLEVEL = 0x0080,
    BCR2_DXCVRCTL = 0x0020,
    BCR2_DXCVRPOL = 0x0010,
    BCR2_EADISEL = 0x0008,
    BCR2_AWAKE = 0x0004,
    BCR2_ASEL = 0x0002,
    BCR2_XMAUSEL = 0x0001,
    BCR2_RES = 0xae40,
};

/* BCR4 to BCR7, lamps */
enum {
    LED_LEDOUT = 0x8000,
    LED_LEDPOL = 0x4000,
    LED_LEDDIS = 0x2000,
    LED_RES = 0x1c00,
    LED_MPSE = 0x0200,
    LED_FDLSE = 0x0100,
    LED_PSE = 0x0080,
    LED_LNKSE = 0x0040,
    LED_RCVME = 0x0020,
    LED_XMTE = 0x0010,
    LED_RXPOLE = 0x0008,
    LED_RCVE = 0x0004,
    LED_JABE = 0x0002,
    LED_COLE = 0x0001,
};

/* BCR18, bus size and burst control */
enum {
    BCR18_ROMTMG = 0xf000,
    BCR18_RES = 0x0c18,
    BCR18_MEMCMD = 0x0200,
    BCR18_EXTREQ = 0x0100,
    BCR18_DWIO = 0x0080,
    BCR18_BREADE = 0x0040,
    BCR18_BWRITE = 0x0020,
    BCR18_LINBC = 0x0007,
};

/* BCR19, EEPROM control and status */
enum {
    BCR19_PVALID = 0x8000,
    BCR19_PREAD = 0x4000,
    BCR19_EEDET = 0x2000,
    BCR19_RES = 0x1fe8,
    BCR19_EEN = 0x0010,
    BCR19_ECS = 0x0004,
    BCR19_ESK = 0x0002,
    BCR19_EDI = 0x0001, /* EDO when read */
};

enum {
    BANK_IO,   /* BAR 0 */
    BANK_MMIO, /* BAR 1 */
    BANK_CSR,
    BANK_BCR,
    BANK_CONFIG,
};

/* Output lines */
enum {
    LINE_INTA,
    LINE_LEDS, /* the first of four */
};

#define PCNET_LEDS         4u
#define PCNET_APROM        16u
#define PCNET_EEPROM_BYTES (MICROWIRE_WORDS * 2)

struct pcnet {
    struct lance lance;

    /* configuration */
    DevemuBlob eeprom_image;
    DevemuBlob rom;

    uint64_t led_ns; /* timer: the stretched pulses end */

    uint16_t csr80;
    uint16_t csr82;
    uint16_t csr84[2];
    uint16_t csr86;
    uint16_t csr92;
    uint16_t csr94;
    uint16_t bcr0;
    uint16_t bcr1;
    uint16_t bcr2;
    uint16_t leds[PCNET_LEDS];
    uint16_t bcr18;
    uint16_t bcr19;
    uint16_t bcr21;
    uint16_t bcr22;
    uint8_t aprom[PCNET_APROM];
    struct microwire eeprom;

    uint8_t led_lit; /* activity now shown */
    uint8_t lamps;   /* computed from the above: lines */
    uint8_t spare[10];
};

/* pcnet-csr.c */
#define PCNET_CSRS 56u
extern const DevemuReg pcnet_csrs[PCNET_CSRS];

/* pcnet-bcr.c */
#define PCNET_BCRS 15u
extern const DevemuReg pcnet_bcrs[PCNET_BCRS];
void pcnet_ports(struct pcnet *p); /* after a change of BCR2 */
void pcnet_lamps(struct pcnet *p);
void pcnet_saw(void *state);
void pcnet_led_expired(void *state, uint64_t due_ns);
void pcnet_sws_wrote(void *state, unsigned index, uint64_t value, uint64_t old);

/* pcnet-eeprom.c */
void pcnet_eeprom_power(struct pcnet *p);
void pcnet_eeprom_load(struct pcnet *p);
uint64_t pcnet_bcr19_read(const void *state, unsigned index);
void pcnet_bcr19_wrote(void *state, unsigned index, uint64_t value, uint64_t old);

#endif
