/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * microwire.h: a serial EEPROM of 64 words, as seen at its pins (93C46, ORG high).
 */
#ifndef MICROWIRE_H
#define MICROWIRE_H

#include <devemu/model.h>

#define MICROWIRE_WORDS  64u
#define MICROWIRE_PHASES 10u

struct microwire {
    uint16_t words[MICROWIRE_WORDS];
    uint16_t shift;
    uint8_t phase;
    uint8_t count;   /* bits of the command, or of a word */
    uint8_t address; /* of a word */
    uint8_t enabled; /* after EWEN */
    uint8_t cs, sk;  /* pins as last seen */
    uint8_t data_out;
    uint8_t spare[7];
};

/* Power on. */
void microwire_power(struct microwire *m);
/* New levels at the inputs chip select, clock and data. */
void microwire_pins(struct microwire *m, bool cs, bool sk, bool di);
bool microwire_valid(const struct microwire *m);

#endif
