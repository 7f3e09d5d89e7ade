/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr.h: the inside of a DevemuChr.
 */
#ifndef DEVEMU_BACKENDS_CHR_H
#define DEVEMU_BACKENDS_CHR_H

#include <devemu/backends.h>

#include "loop.h"
#include "options.h"

typedef struct ChrClass {
    const char *name;
    void (*write)(DevemuChr *chr, const uint8_t *data, size_t len);
    /* What to wait for, with loop_watch(); room: there is room for input. */
    void (*watch)(DevemuChr *chr, bool room);
    void (*fetch)(DevemuChr *chr);
    bool (*writable)(const DevemuChr *chr); /* as DevemuCharOps.writable; NULL: always */
    void (*finish)(DevemuChr *chr);
} ChrClass;

struct DevemuChr {
    const ChrClass *class;
    DevemuDevice *dev;
    unsigned port; /* of dev */
    Loop *loop;
    GByteArray *in;   /* for the device */
    gint64 due_us;    /* when to offer it, in monotonic time; G_MAXINT64: not now */
    GString *output;  /* memory: all that was written */
    char *path;       /* what devemu_chr_path() answers */
    uint64_t dropped; /* bytes of the device */
    unsigned control;
    bool asks; /* the device holds output back */
    bool held; /* it does so now */
};

/* A descriptor pair; what they need. */
typedef struct ChrFd {
    DevemuChr chr;
    int in, out; /* -1: none */
    bool close_in, close_out;
    bool blocking;    /* output waits for the reader */
    bool patient;     /* a socket; output waits for somebody to be there */
    GByteArray *late; /* output that did not fit */
    int keep;         /* held open, for a pty; -1: none */
} ChrFd;

/* size is that of a struct that begins with a DevemuChr. */
void *chr_new(size_t size, const ChrClass *class, GMainContext *context);
/* Input from the file behind. */
void chr_push(DevemuChr *chr, const uint8_t *data, size_t len);

ChrFd *chr_fd_new(size_t size, const ChrClass *class, GMainContext *context);
void chr_fd_write(DevemuChr *chr, const uint8_t *data, size_t len);
void chr_fd_watch(DevemuChr *chr, bool room);
void chr_fd_fetch(DevemuChr *chr);
/* A piece of what there is to be read; at its end, in is -1. */
void chr_fd_read(ChrFd *fd);
/* Write what waits, as much as goes. False: nobody will take any more. */
bool chr_fd_flush(ChrFd *fd);
bool chr_fd_writable(const DevemuChr *chr);
void chr_fd_finish(DevemuChr *chr);
bool chr_nonblocking(const char *kind, int fd, GError **error);

/* arg is what follows the kind and a colon or comma; NULL if nothing does. */
typedef DevemuChr *ChrMake(const char *arg, GMainContext *context, GError **error);
ChrMake chr_fd_make, chr_file_make, chr_stdio_make, chr_pty_make, chr_memory_make, chr_null_make,
    chr_random_make, chr_unix_make;

/* An error of DEVEMU_ERROR_BACKEND with the text of errno; NULL, for return. */
void *chr_refuse(const char *what, GError **error);

#endif
