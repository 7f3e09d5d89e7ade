/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr-random.c: random bytes of the host, as many as the device takes.
 */
#include "chr.h"

#include <sys/random.h>

static void random_write(DevemuChr *chr, const uint8_t *data, size_t len)
{
    (void)chr;
    (void)data;
    (void)len;
}

/* Some bytes are ready at all times; the device says when it wants them. */
static void random_watch(DevemuChr *chr, bool room)
{
    uint8_t data[256]; /* so many the system gives whole (getrandom(2)) */

    if (room && getrandom(data, sizeof(data), 0) == (ssize_t)sizeof(data)) {
        chr_push(chr, data, sizeof(data));
    }
}

static const ChrClass random_class = {
    .name = "random",
    .write = random_write,
    .watch = random_watch,
};

static const Option none[] = {{.name = NULL}};

DevemuChr *chr_random_make(const char *arg, GMainContext *context, GError **error)
{
    return options_parse("random", none, arg, NULL, error)
               ? chr_new(sizeof(DevemuChr), &random_class, context)
               : NULL;
}
