/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chr-stdio.c: characters on the program's own terminal, or whatever its standard input and output
 * are. There is one per process, and so is the terminal's mode to go back to: the one piece of
 * static data among the backends.
 */
#define _DEFAULT_SOURCE
#include "chr.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

typedef struct StdioOptions {
    bool raw, signals;
} StdioOptions;

static const Option stdio_options[] = {
    {.name = "raw", .type = OPTION_BOOL, .member = offsetof(StdioOptions, raw)},
    {.name = "signals", .type = OPTION_BOOL, .member = offsetof(StdioOptions, signals)},
    {.name = NULL},
};

static struct {
    bool used;
    bool raw;        /* the mode was changed */
    bool registered; /* with atexit() */
    struct termios before;
} terminal;

static void leave_raw(void)
{
    if (terminal.raw) {
        terminal.raw = false;
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    }
}

/* Output processing stays as it is, for what else the program prints. */
static void enter_raw(bool signals)
{
    struct termios mode;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &terminal.before) != 0) {
        return;
    }
    mode = terminal.before;
    mode.c_iflag &= (tcflag_t) ~(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON);
    mode.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | IEXTEN | (signals ? 0 : ISIG));
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    if (!terminal.registered) {
        terminal.registered = atexit(leave_raw) == 0;
    }
    terminal.raw = tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
}

static void stdio_finish(DevemuChr *chr)
{
    leave_raw();
    terminal.used = false;
    chr_fd_finish(chr);
}

static const ChrClass stdio_class = {
    .name = "stdio",
    .write = chr_fd_write,
    .watch = chr_fd_watch,
    .fetch = chr_fd_fetch,
    .finish = stdio_finish,
};

DevemuChr *chr_stdio_make(const char *arg, GMainContext *context, GError **error)
{
    StdioOptions options = {.raw = true, .signals = true};
    ChrFd *fd;

    if (!options_parse("stdio", stdio_options, arg, &options, error)) {
        return NULL;
    }
    if (terminal.used) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND,
                    "stdio: it is taken by another device already");
        return NULL;
    }
    terminal.used = true;
    if (options.raw) {
        enter_raw(options.signals);
    }
    fd = chr_fd_new(sizeof(ChrFd), &stdio_class, context);
    fd->in = STDIN_FILENO;
    fd->out = STDOUT_FILENO;
    fd->blocking = true;
    return &fd->chr;
}
