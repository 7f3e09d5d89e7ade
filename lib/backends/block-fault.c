/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-fault.c: requests that are to fail, or to be slow, on purpose.
 */
#include "block.h"

#include <errno.h>
#include <string.h>

typedef struct Fault {
    bool ops[DEVEMU_BLOCK_OPS];
    int error;         /* 0: none, a delay alone */
    bool torn;         /* half of it is written first */
    uint64_t delay_ns; /* more than the others */
    uint64_t every;    /* of the requests that fit, each so-manieth */
    uint64_t after;    /* the first so many are spared */
    uint64_t times;    /* at most; 0: no end */
    uint64_t at, len;  /* bytes of the medium; len 0: all of it */
    uint64_t seen, hits;
} Fault;

struct BlockFaults {
    GArray *rules; /* Fault */
};

/* --- the text ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    int error;
} errors[] = {
    {"EIO", EIO},
    {"ENOSPC", ENOSPC},
    {"ENOMEM", ENOMEM},
    {"EAGAIN", EAGAIN},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EINVAL", EINVAL},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EROFS", EROFS},
    {"ENODEV", ENODEV},
};

static const struct {
    const char *name;
    DevemuBlockOp first, last;
} ops[] = {
    {"any", (DevemuBlockOp)0, (DevemuBlockOp)(DEVEMU_BLOCK_OPS - 1)},
    {"read", DEVEMU_BLOCK_READ, DEVEMU_BLOCK_READ},
    {"write", DEVEMU_BLOCK_WRITE, DEVEMU_BLOCK_WRITE},
    {"flush", DEVEMU_BLOCK_FLUSH, DEVEMU_BLOCK_FLUSH},
    {"discard", DEVEMU_BLOCK_DISCARD, DEVEMU_BLOCK_DISCARD},
    {"zeroes", DEVEMU_BLOCK_WRITE_ZEROES, DEVEMU_BLOCK_WRITE_ZEROES},
    {"erase", DEVEMU_BLOCK_SECURE_ERASE, DEVEMU_BLOCK_SECURE_ERASE},
    {"zone", DEVEMU_BLOCK_ZONE_REPORT, DEVEMU_BLOCK_ZONE_APPEND},
};

static bool parse_op(const char *word, Fault *fault)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        if (strcmp(word, ops[i].name) == 0) {
            for (unsigned op = ops[i].first; op <= (unsigned)ops[i].last; op++) {
                fault->ops[op] = true;
            }
            return true;
        }
    }
    return false;
}

static bool parse_error(const char *word, Fault *fault)
{
    if (strcmp(word, "torn") == 0) {
        fault->torn = true;
        fault->error = EIO;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        if (strcmp(word, errors[i].name) == 0) {
            fault->error = errors[i].error;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *word, Fault *fault, GError **error)
{
    static const Option table[] = {
        {.name = "delay", OPTION_UINT, offsetof(Fault, delay_ns), 0, UINT64_C(1) << 32},
        {.name = "every", OPTION_UINT, offsetof(Fault, every), 1, UINT64_MAX},
        {.name = "after", OPTION_UINT, offsetof(Fault, after), 0, UINT64_MAX},
        {.name = "times", OPTION_UINT, offsetof(Fault, times), 1, UINT64_MAX},
        {.name = "at", OPTION_UINT, offsetof(Fault, at), 0, UINT64_MAX},
        {.name = "len", OPTION_UINT, offsetof(Fault, len), 1, UINT64_MAX},
        {.name = NULL},
    };

    return options_parse("fault", table, word, fault, error);
}

static bool parse(const char *text, Fault *fault, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ":", -1);
    bool acts = false;

    *fault = (Fault){.every = 1};
    if (words[0] == NULL || !parse_op(words[0], fault)) {
        return options_refuse(error,
                              "fault: \"%s\" begins with no operation; there are any, read, write, "
                              "flush, discard, zeroes, erase, zone",
                              text);
    }
    for (unsigned i = 1; words[i]; i++) {
        if (parse_error(words[i], fault)) {
            acts = true;
        } else if (strchr(words[i], '=') == NULL) {
            return options_refuse(error,
                                  "fault: \"%s\" is no error; there are EIO, ENOSPC, ENOMEM, "
                                  "EAGAIN, ETIMEDOUT, EINVAL, EOPNOTSUPP, EROFS, ENODEV, torn",
                                  words[i]);
        } else if (!parse_number(words[i], fault, error)) {
            return false;
        }
    }
    if (!acts && fault->delay_ns == 0) {
        return options_refuse(error, "fault: \"%s\" does nothing; add an error or delay=US", text);
    }
    fault->delay_ns *= 1000;
    if (fault->len == 0 && fault->at > 0) {
        fault->len = UINT64_MAX - fault->at;
    }
    return true;
}

BlockFaults *block_faults_new(const GPtrArray *texts, GError **error)
{
    BlockFaults *faults;

    if (texts == NULL) {
        return NULL;
    }
    faults = g_new0(BlockFaults, 1);
    faults->rules = g_array_new(FALSE, FALSE, sizeof(Fault));
    for (unsigned i = 0; i < texts->len; i++) {
        Fault fault;

        if (!parse(g_ptr_array_index(texts, i), &fault, error)) {
            block_faults_free(faults);
            return NULL;
        }
        g_array_append_val(faults->rules, fault);
    }
    return faults;
}

void block_faults_free(BlockFaults *faults)
{
    if (faults) {
        g_array_unref(faults->rules);
        g_free(faults);
    }
}

/* --- what befalls a request -------------------------------------------------------- */

static bool fits(const Fault *fault, const BlockRequest *request)
{
    if (!fault->ops[request->op]) {
        return false;
    }
    return fault->len == 0 ||
           (request->at < fault->at + fault->len && fault->at < request->at + MAX(request->len, 1));
}

static bool strikes(Fault *fault)
{
    fault->seen++;
    if (fault->seen <= fault->after || (fault->seen - fault->after) % fault->every != 0 ||
        (fault->times > 0 && fault->hits == fault->times)) {
        return false;
    }
    fault->hits++;
    return true;
}

/* Half of its blocks, rounded down. False if that is nothing. */
static bool tear(BlockRequest *request)
{
    uint64_t block = request->block->info.block_size;
    uint64_t len = request->len / block / 2 * block;
    size_t count;

    if (len == 0 ||
        (request->op != DEVEMU_BLOCK_WRITE && request->op != DEVEMU_BLOCK_WRITE_ZEROES)) {
        return false;
    }
    if (request->count > 0) {
        const struct iovec *half = block_cut(request, 0, len, request->count, &count);

        memcpy(request->iov, half, count * sizeof(*half));
        request->count = count;
    }
    request->len = len;
    return true;
}

bool block_faults_apply(BlockFaults *faults, BlockRequest *request, uint64_t *delay_ns)
{
    for (unsigned i = 0; i < faults->rules->len; i++) {
        Fault *fault = &g_array_index(faults->rules, Fault, i);

        if (!fits(fault, request) || !strikes(fault)) {
            continue;
        }
        *delay_ns += fault->delay_ns;
        if (fault->error) {
            request->verdict = -fault->error;
            return fault->torn && tear(request);
        }
    }
    return true;
}
