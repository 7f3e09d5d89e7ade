/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-nbd.c: disks behind NBD, by libnbd, and qcow2 images, which a child process opens for us:
 * qemu-nbd, reached by NBD on a socket that nobody else has, and gone when the medium is freed.
 *
 * libnbd moves its state on when it is told that its socket is ready, and calls back from there, or
 * from within a submission. The callback may not use the handle, so a second command of a request
 * (a flush where the server knows no FUA) is sent after it.
 */
#define _GNU_SOURCE /* O_CLOEXEC */
#include "block.h"

#ifdef DEVEMU_HAVE_NBD

#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <string.h>
#include <unistd.h>

/* Our choice: what most servers allow, and what a server without a limit of its own gets. */
#define MAX_TRANSFER (UINT64_C(32) << 20)
#define MAX_CLEAR    (UINT64_C(1) << 30)
#define CONNECT_MS   20000

typedef struct BlockNbd {
    DevemuBlock block;
    struct nbd_handle *nbd;
    bool fua, flush;
    BlockQueue again; /* requests that go on with a flush */
} BlockNbd;

/* --- memory ------------------------------------------------------------------------ */

/* A command of the protocol has one piece of memory. */
static void bounce(BlockRequest *request)
{
    uint8_t *to;

    if (request->count <= 1) {
        return;
    }
    to = request->bounce = g_malloc(request->len);
    for (size_t i = 0; request->op == DEVEMU_BLOCK_WRITE && i < request->count; i++) {
        memcpy(to, request->iov[i].iov_base, request->iov[i].iov_len);
        to += request->iov[i].iov_len;
    }
}

static void unbounce(BlockRequest *request, int status)
{
    const uint8_t *from = request->bounce;

    if (from == NULL) {
        return;
    }
    for (size_t i = 0; request->op == DEVEMU_BLOCK_READ && status == 0 && i < request->count; i++) {
        memcpy(request->iov[i].iov_base, from, request->iov[i].iov_len);
        from += request->iov[i].iov_len;
    }
    g_free(request->bounce);
    request->bounce = NULL;
}

/* --- commands ---------------------------------------------------------------------- */

static void finish_request(BlockRequest *request, int status)
{
    unbounce(request, status);
    block_done(request, status);
}

static int on_end(void *opaque, int *error)
{
    BlockRequest *request = opaque;
    BlockNbd *n = (BlockNbd *)request->block;

    if (*error == 0 && request->stage == 1) {
        request->stage = 2;
        block_queue_push(&n->again, request);
    } else {
        finish_request(request, -*error);
    }
    return 1; /* libnbd forgets it */
}

static int64_t send_flush(BlockNbd *n, BlockRequest *request)
{
    nbd_completion_callback end = {.callback = on_end, .user_data = request};

    return nbd_aio_flush(n->nbd, end, 0);
}

static int64_t send_first(BlockNbd *n, BlockRequest *request)
{
    nbd_completion_callback end = {.callback = on_end, .user_data = request};
    uint32_t flags = request->flags & DEVEMU_BLOCK_FUA && n->fua ? LIBNBD_CMD_FLAG_FUA : 0;
    void *data = request->bounce  ? request->bounce
                 : request->count ? request->iov[0].iov_base
                                  : NULL;

    /* FUA that the server does not know is a flush behind it. */
    request->stage = request->flags & DEVEMU_BLOCK_FUA && !n->fua && n->flush;
    switch (request->op) {
    case DEVEMU_BLOCK_READ:
        return nbd_aio_pread(n->nbd, data, request->len, request->at, end, 0);
    case DEVEMU_BLOCK_WRITE:
        return nbd_aio_pwrite(n->nbd, data, request->len, request->at, end, flags);
    case DEVEMU_BLOCK_DISCARD:
        return nbd_aio_trim(n->nbd, request->len, request->at, end, flags);
    case DEVEMU_BLOCK_WRITE_ZEROES:
        flags |= request->flags & DEVEMU_BLOCK_UNMAP ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;
        return nbd_aio_zero(n->nbd, request->len, request->at, end, flags);
    default:
        return send_flush(n, request);
    }
}

static bool is_gone(const BlockNbd *n)
{
    return nbd_aio_is_dead(n->nbd) > 0 || nbd_aio_is_closed(n->nbd) > 0;
}

/* A command that libnbd did not take: nothing will call back. */
static void not_sent(BlockNbd *n, BlockRequest *request)
{
    int error = nbd_get_errno();

    finish_request(request, is_gone(n) ? -ENOTCONN : -(error ? error : EIO));
}

static void submit(DevemuBlock *block, BlockRequest *request)
{
    BlockNbd *n = (BlockNbd *)block;

    if (request->op == DEVEMU_BLOCK_FLUSH && !n->flush) {
        block_done(request, 0);
        return;
    }
    bounce(request);
    if (send_first(n, request) < 0) {
        not_sent(n, request);
    }
}

static void send_again(BlockNbd *n)
{
    BlockRequest *request;

    while ((request = block_queue_pop(&n->again)) != NULL) {
        if (send_flush(n, request) < 0) {
            not_sent(n, request);
        }
    }
}

/* --- the socket -------------------------------------------------------------------- */

static void reap(DevemuBlock *block)
{
    BlockNbd *n = (BlockNbd *)block;

    if (!is_gone(n)) {
        nbd_poll(n->nbd, 0);
    }
    send_again(n);
}

static void wait_for_one(DevemuBlock *block)
{
    BlockNbd *n = (BlockNbd *)block;

    if (n->again.head == NULL && !is_gone(n)) {
        nbd_poll(n->nbd, -1);
    }
    send_again(n);
}

static void watch(DevemuBlock *block)
{
    BlockNbd *n = (BlockNbd *)block;
    unsigned direction = nbd_aio_get_direction(n->nbd);
    int fd = nbd_aio_get_fd(n->nbd);

    if (fd >= 0 && !is_gone(n)) {
        loop_watch(block->loop, fd,
                   (direction & LIBNBD_AIO_DIRECTION_READ ? G_IO_IN : 0) |
                       (direction & LIBNBD_AIO_DIRECTION_WRITE ? G_IO_OUT : 0));
    }
}

static void fetch(DevemuBlock *block)
{
    BlockNbd *n = (BlockNbd *)block;
    GIOCondition found = is_gone(n) ? 0 : loop_found(block->loop, nbd_aio_get_fd(n->nbd));
    unsigned direction = nbd_aio_get_direction(n->nbd);

    if (found & (G_IO_IN | G_IO_HUP | G_IO_ERR) && direction & LIBNBD_AIO_DIRECTION_READ) {
        nbd_aio_notify_read(n->nbd);
    } else if (found && direction & LIBNBD_AIO_DIRECTION_WRITE) {
        nbd_aio_notify_write(n->nbd);
    }
    send_again(n);
}

static void finish(DevemuBlock *block)
{
    BlockNbd *n = (BlockNbd *)block;

    if (n->nbd) {
        if (nbd_aio_is_ready(n->nbd) > 0) {
            nbd_shutdown(n->nbd, 0);
        }
        nbd_close(n->nbd); /* waits for the child, which ends with its connection */
    }
}

static const BlockClass nbd_class = {
    .name = "nbd",
    .submit = submit,
    .reap = reap,
    .wait = wait_for_one,
    .watch = watch,
    .fetch = fetch,
    .finish = finish,
};

/* --- making ------------------------------------------------------------------------ */

static bool connect_now(BlockNbd *n, int begun)
{
    gint64 until = g_get_monotonic_time() + CONNECT_MS * 1000;

    while (begun == 0 && nbd_aio_is_connecting(n->nbd) > 0) {
        gint64 left_ms = (until - g_get_monotonic_time()) / 1000;

        if (left_ms <= 0 || nbd_poll(n->nbd, (int)left_ms) < 0) {
            break;
        }
    }
    return begun == 0 && nbd_aio_is_ready(n->nbd) > 0;
}

static uint64_t limit_of(const BlockNbd *n, int which)
{
    int64_t size = nbd_get_block_size(n->nbd, which);

    return size > 0 ? (uint64_t)size : 0;
}

static void set_info(BlockNbd *n, bool read_only)
{
    DevemuBlockInfo *info = &n->block.info;
    int64_t size = nbd_get_size(n->nbd);
    uint64_t most = limit_of(n, LIBNBD_SIZE_MAXIMUM);
    uint64_t least = limit_of(n, LIBNBD_SIZE_MINIMUM);
    uint64_t preferred = limit_of(n, LIBNBD_SIZE_PREFERRED);

    n->fua = nbd_can_fua(n->nbd) > 0;
    n->flush = nbd_can_flush(n->nbd) > 0;
    info->block_size = least > 512 && least <= 65536 ? (uint32_t)least : 512;
    info->physical_size = info->block_size;
    info->capacity = size > 0 ? (uint64_t)size / info->block_size * info->block_size : 0;
    info->opt_io = preferred <= UINT32_MAX ? (uint32_t)preferred : 0;
    info->max_transfer = most ? MIN(most, MAX_TRANSFER) : MAX_TRANSFER;
    info->max_discard = info->max_zeroes = MAX_CLEAR;
    info->read_only = read_only || nbd_is_read_only(n->nbd) > 0;
    info->write_cache = n->flush;
    info->rotational = nbd_is_rotational(n->nbd) > 0;
    info->discard = nbd_can_trim(n->nbd) > 0;
    info->write_zeroes = info->zeroes_unmap = nbd_can_zero(n->nbd) > 0;
}

static BlockNbd *nbd_new(const BlockCommon *common, GMainContext *context, GError **error)
{
    BlockNbd *n = block_new(sizeof(*n), &nbd_class, common, context, error);

    if (n && (n->nbd = nbd_create()) == NULL) {
        block_refuse(error, "nbd: %s", nbd_get_error());
        devemu_block_free(&n->block);
        return NULL;
    }
    return n;
}

static DevemuBlock *begin(BlockNbd *n, const BlockCommon *common, GError **error)
{
    set_info(n, common->read_only);
    if (!block_finish_info(&n->block, common, error)) {
        devemu_block_free(&n->block);
        return NULL;
    }
    return &n->block;
}

static DevemuBlock *not_connected(BlockNbd *n, const char *kind, const char *what, GError **error)
{
    const char *why = nbd_get_error();

    block_refuse(error, "%s: cannot reach '%s': %s", kind, what, why ? why : "it does not answer");
    devemu_block_free(&n->block);
    return NULL;
}

static DevemuBlock *connect_to(const char *uri, const BlockCommon *common, GMainContext *context,
                               GError **error)
{
    BlockNbd *n = nbd_new(common, context, error);
    int begun;

    if (n == NULL) {
        return NULL;
    }
    begun =
        strstr(uri, "://") ? nbd_aio_connect_uri(n->nbd, uri) : nbd_aio_connect_unix(n->nbd, uri);
    return connect_now(n, begun) ? begin(n, common, error) : not_connected(n, "nbd", uri, error);
}

DevemuBlock *block_nbd_make(const DevemuSetting *settings, const BlockCommon *common,
                            GMainContext *context, GError **error)
{
    static const Option table[] = {{.name = "uri", .type = OPTION_TEXT}, {.name = NULL}};
    char *uri = NULL;
    DevemuBlock *block = NULL;

    if (!options_fill("nbd", table, settings, &uri, error)) {
        return NULL;
    }
    if (uri == NULL) {
        options_refuse(error, "nbd: where? Write nbd:nbd://HOST/EXPORT or nbd:/a/socket");
    } else {
        block = connect_to(uri, common, context, error);
    }
    options_clear(table, &uri);
    return block;
}

/* --- qcow2 ------------------------------------------------------------------------- */

typedef struct Qcow2 {
    char *path, *cache;
} Qcow2;

/* What can be said better here than by a child that ends. */
static bool is_image(const char *path, bool read_only, GError **error)
{
    char magic[4] = {0};
    int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    bool right;

    if (fd < 0) {
        return block_refuse(error, "qcow2: cannot open '%s'%s: %s", path,
                            read_only ? "" : " for writing (readonly=on only reads)",
                            g_strerror(errno));
    }
    right = read(fd, magic, sizeof(magic)) == sizeof(magic) && memcmp(magic, "QFI\xfb", 4) == 0;
    close(fd);
    return right ||
           options_refuse(error, "qcow2: '%s' is no qcow2 image; file:PATH takes raw ones", path);
}

/* Its options are a list with commas, in which a comma is written twice. */
static char *image_options(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", parts);

    return g_strdup_printf("driver=qcow2,file.driver=file,file.filename=%s", escaped);
}

static DevemuBlock *open_image(const Qcow2 *q, const BlockCommon *common, GMainContext *context,
                               GError **error)
{
    g_autofree char *program = g_find_program_in_path("qemu-nbd");
    g_autofree char *image = image_options(q->path);
    const char *argv[8] = {program, "--image-opts", image, "--discard=unmap"};
    size_t count = 4;
    BlockNbd *n;
    int begun;

    if (program == NULL) {
        return block_refuse(error, "qcow2: the program qemu-nbd, which opens such images, is not "
                                   "installed; on Debian it is in qemu-utils");
    }
    if (!is_image(q->path, common->read_only, error) ||
        (n = nbd_new(common, context, error)) == NULL) {
        return NULL;
    }
    argv[count++] = q->cache && strcmp(q->cache, "writethrough") == 0 ? "--cache=writethrough"
                                                                      : "--cache=writeback";
    if (common->read_only) {
        argv[count++] = "--read-only";
    }
    begun = nbd_aio_connect_systemd_socket_activation(n->nbd, (char **)(uintptr_t)argv);
    if (!connect_now(n, begun)) {
        return not_connected(n, "qcow2", q->path, error);
    }
    return begin(n, common, error);
}

DevemuBlock *block_qcow2_make(const DevemuSetting *settings, const BlockCommon *common,
                              GMainContext *context, GError **error)
{
    static const Option table[] = {
        {"path", OPTION_TEXT, offsetof(Qcow2, path), 0, 0},
        {"cache", OPTION_TEXT, offsetof(Qcow2, cache), 0, 0},
        {.name = NULL},
    };
    Qcow2 q = {NULL, NULL};
    DevemuBlock *block = NULL;

    if (!options_fill("qcow2", table, settings, &q, error)) {
        return NULL;
    }
    if (q.path == NULL) {
        options_refuse(error, "qcow2: which image? Write qcow2:PATH");
    } else if (block_cache_good("qcow2", q.cache, error)) {
        block = open_image(&q, common, context, error);
        if (block && q.cache && strcmp(q.cache, "writethrough") == 0) {
            block->info.write_cache = false;
        }
    }
    options_clear(table, &q);
    return block;
}

#else

static DevemuBlock *missing(const char *kind, GError **error)
{
    return block_refuse(error, "%s: this build of the library has no NBD (libnbd)", kind);
}

DevemuBlock *block_nbd_make(const DevemuSetting *settings, const BlockCommon *common,
                            GMainContext *context, GError **error)
{
    (void)settings;
    (void)common;
    (void)context;
    return missing("nbd", error);
}

DevemuBlock *block_qcow2_make(const DevemuSetting *settings, const BlockCommon *common,
                              GMainContext *context, GError **error)
{
    (void)settings;
    (void)common;
    (void)context;
    return missing("qcow2", error);
}

#endif
