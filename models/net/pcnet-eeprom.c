/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcnet-eeprom.c: DS "EEPROM Interface", BCR19.
 *
 * The controller reads 36 bytes after H_RESET and on PREAD: the address PROM, then the words of
 * the bus configuration registers that can be programmed, below. The sum of the 36 bytes is FFh in
 * its lowest byte; otherwise PVALID is zero and those registers have their defaults (so the
 * datasheet of the Am79C965A, page 113, of the same interface).
 *
 * Chosen: which word belongs to which register, from the tables of the Am79C971 without what the
 * Am79C970A has not; DWIO cannot be programmed; the reading takes no time.
 */
#include "pcnet.h"

#define READ_BYTES  36u
#define ADJUST_AT   35u
#define HARDWARE_ID 0x11

/* Byte address of the word -> member and the bits that it sets. */
static const struct word {
    uint8_t at;
    uint16_t bits;
    uint32_t member;
    uint16_t value; /* default */
} words[] = {
    {0x10, (uint16_t)~BCR2_RES, offsetof(struct pcnet, bcr2), 0x0002},
    {0x12, 0x63ff, offsetof(struct pcnet, leds[0]), 0x00c0},
    {0x14, 0x63ff, offsetof(struct pcnet, leds[1]), 0x0084},
    {0x16, 0x63ff, offsetof(struct pcnet, leds[2]), 0x0088},
    {0x18, 0x63ff, offsetof(struct pcnet, leds[3]), 0x0090},
    {0x1a, BCR9_FDEN | BCR9_AUIFD | BCR9_FDRPAD, offsetof(struct pcnet, lance.fdc), 0x0000},
    {0x1c, (uint16_t) ~(BCR18_RES | BCR18_DWIO), offsetof(struct pcnet, bcr18), 0x9001},
    {0x1e, 0xffff, offsetof(struct pcnet, bcr22), 0xff06},
};

static uint8_t byte_at(const struct pcnet *p, unsigned at)
{
    return (uint8_t)(p->eeprom.words[at / 2] >> (at % 2 * 8));
}

static void set_byte(struct pcnet *p, unsigned at, uint8_t value)
{
    unsigned shift = at % 2 * 8;
    uint16_t *word = &p->eeprom.words[at / 2];

    *word = (uint16_t)((*word & ~(0xffu << shift)) | (unsigned)value << shift);
}

static uint8_t sum(const struct pcnet *p)
{
    uint8_t total = 0;

    for (unsigned i = 0; i < READ_BYTES; i++) {
        total = (uint8_t)(total + byte_at(p, i));
    }
    return total;
}

/* What AMD's drivers look for: hardware id, 'WW', and the sum of the other bytes at 12 and 13. */
static void synthesize(struct pcnet *p)
{
    unsigned total = 0;

    memset(p->eeprom.words, 0, sizeof(p->eeprom.words));
    for (unsigned i = 0; i < sizeof(p->lance.mac); i++) {
        set_byte(p, i, p->lance.mac[i]);
    }
    set_byte(p, 9, HARDWARE_ID);
    set_byte(p, 14, 'W');
    set_byte(p, 15, 'W');
    for (unsigned i = 0; i < PCNET_APROM; i++) {
        total += byte_at(p, i);
    }
    p->eeprom.words[6] = (uint16_t)total;
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(words); i++) {
        p->eeprom.words[words[i].at / 2] = words[i].value;
    }
    set_byte(p, ADJUST_AT, (uint8_t)(0xff - sum(p)));
}

void pcnet_eeprom_power(struct pcnet *p)
{
    microwire_power(&p->eeprom);
    if (p->eeprom_image.len == PCNET_EEPROM_BYTES) {
        for (unsigned i = 0; i < MICROWIRE_WORDS; i++) {
            p->eeprom.words[i] = devemu_le16(p->eeprom_image.data + i * 2);
        }
    } else {
        synthesize(p);
    }
}

void pcnet_eeprom_load(struct pcnet *p)
{
    bool valid = sum(p) == 0xff;

    for (unsigned i = 0; i < PCNET_APROM; i++) {
        p->aprom[i] = byte_at(p, i);
    }
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(words); i++) {
        const struct word *w = &words[i];
        uint16_t value = valid ? p->eeprom.words[w->at / 2] : w->value;
        uint16_t stored;

        memcpy(&stored, (const uint8_t *)p + w->member, sizeof(stored));
        stored = (uint16_t)((stored & ~w->bits) | (value & w->bits));
        memcpy((uint8_t *)p + w->member, &stored, sizeof(stored));
    }
    if (valid) {
        /* DS CSR12: the physical address comes from the EEPROM after H_RESET. */
        for (unsigned i = 0; i < 3; i++) {
            p->lance.padr[i] = p->eeprom.words[i];
        }
    }
    p->bcr19 = (uint16_t)((p->bcr19 & ~BCR19_PVALID) | BCR19_EEDET | (valid ? BCR19_PVALID : 0));
    pcnet_ports(p);
    pcnet_lamps(p);
}

/* DS BCR19: bit 0 is the output of the EEPROM when read. */
uint64_t pcnet_bcr19_read(const void *state, unsigned index)
{
    const struct pcnet *p = state;

    (void)index;
    if ((p->bcr19 & BCR19_EEN) == 0) {
        return p->bcr19;
    }
    return (p->bcr19 & ~(uint64_t)BCR19_EDI) | (p->eeprom.data_out ? BCR19_EDI : 0);
}

void pcnet_bcr19_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct pcnet *p = state;
    bool enabled = (value & BCR19_EEN) != 0;

    (void)index;
    (void)old;
    p->bcr19 &= (uint16_t)~BCR19_PREAD;
    microwire_pins(&p->eeprom, enabled && (value & BCR19_ECS), enabled && (value & BCR19_ESK),
                   enabled && (value & BCR19_EDI));
    if ((value & BCR19_PREAD) == 0) {
        return;
    }
    /* DS BCR19: PREAD resets itself; it needs STOP or SPND, and does not work beside EEN. */
    if (enabled || !lance_stopped_or_suspended(p)) {
        devemu_guest_error(p->lance.dev, "BCR19: PREAD without STOP or SPND, or with EEN");
        return;
    }
    pcnet_eeprom_load(p);
}
