/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cover.h: which registers a test touched. When the environment variable DEVEMU_COVER_REGISTERS
 * names a file, the fake host traces, and appends a line for each register to it:
 *
 *     MODEL BANK REGISTER write|read
 */
#ifndef DEVEMU_TESTING_COVER_H
#define DEVEMU_TESTING_COVER_H

#include <devemu/device.h>

typedef struct Cover Cover;

/* NULL if nobody asks. */
Cover *cover_new(void);
/* Note one event, if it is an access to a register of dev. */
void cover_note(Cover *cover, DevemuDevice *dev, const DevemuTrace *trace);
/* Append what was noted to the file. NULL is allowed. */
void cover_free(Cover *cover);

#endif
