/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-message.c: the stream of messages: framing, whose descriptors are whose, dispatch,
 * replies. Messages are handled where they were received, in order, and replies gathered, so many
 * pipelined commands cost one receive and one send.
 */
#include "vfio-user.h"

#include <unistd.h>

/* spec "Commands". What is not here is not for a server, or not supported. */
static const VfioCommand commands[VFIO_USER_COMMANDS] = {
    [VFIO_USER_VERSION] = {"VERSION", 4, vfio_version, .looks = true},
    [VFIO_USER_DMA_MAP] = {"DMA_MAP", 32, vfio_dma_map},
    [VFIO_USER_DMA_UNMAP] = {"DMA_UNMAP", 24, vfio_dma_unmap},
    [VFIO_USER_DEVICE_GET_INFO] = {"DEVICE_GET_INFO", 16, vfio_device_info, .looks = true},
    [VFIO_USER_DEVICE_GET_REGION_INFO] = {"DEVICE_GET_REGION_INFO", 32, vfio_region_info,
                                          .looks = true},
    [VFIO_USER_DEVICE_GET_REGION_IO_FDS] = {"DEVICE_GET_REGION_IO_FDS", 16, vfio_region_io_fds,
                                            .looks = true},
    [VFIO_USER_DEVICE_GET_IRQ_INFO] = {"DEVICE_GET_IRQ_INFO", 16, vfio_irq_info, .looks = true},
    [VFIO_USER_DEVICE_SET_IRQS] = {"DEVICE_SET_IRQS", 20, vfio_set_irqs, .looks = true},
    [VFIO_USER_REGION_READ] = {"REGION_READ", 16, vfio_region_read, .looks = true},
    [VFIO_USER_REGION_WRITE] = {"REGION_WRITE", 16, vfio_region_write},
    [VFIO_USER_DEVICE_RESET] = {"DEVICE_RESET", 0, vfio_device_reset},
    [VFIO_USER_REGION_WRITE_MULTI] = {"REGION_WRITE_MULTI", 8, vfio_region_write_multi},
    [VFIO_USER_DEVICE_FEATURE] = {"DEVICE_FEATURE", 8, vfio_device_feature},
    [VFIO_USER_MIG_DATA_READ] = {"MIG_DATA_READ", 8, vfio_mig_data_read},
    [VFIO_USER_MIG_DATA_WRITE] = {"MIG_DATA_WRITE", 8, vfio_mig_data_write},
};

void vfio_fail(DevemuVfioUser *s, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (s->failed) {
        return;
    }
    s->failed = true;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    vfio_log(s, "connection closed: %s", text);
}

/* --- in ---------------------------------------------------------------------------- */

static void close_fds(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

void vfio_message_reset(DevemuVfioUser *s)
{
    close_fds(s->fds, s->fd_count);
    s->fd_count = s->fd_held = 0;
    s->fd_mark = 0;
    s->in_start = s->in_end = 0;
    s->out_start = s->out_end = 0;
    s->out_fd_count = 0;
    s->negotiated = s->failed = s->left = false;
}

/* Bytes of the first message in the buffer; 0: not even its header is there. */
static size_t first_bytes(const DevemuVfioUser *s)
{
    return s->in_end - s->in_start < VFIO_HEADER_BYTES ? 0 : vfio_get32(s->in + s->in_start + 4);
}

static bool whole(const DevemuVfioUser *s)
{
    size_t bytes = first_bytes(s);

    return bytes != 0 && bytes <= s->in_end - s->in_start;
}

bool vfio_hungry(const DevemuVfioUser *s)
{
    return !s->failed && !whole(s);
}

uint8_t *vfio_room(DevemuVfioUser *s, size_t *ret_len)
{
    size_t bytes = first_bytes(s);

    if (s->in_start == s->in_end) {
        s->in_start = s->in_end = 0;
    } else if (s->in_end == s->in_size || bytes > s->in_size - s->in_start) {
        memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
        s->in_end -= s->in_start;
        s->in_start = 0;
    }
    /* The length was checked when the header came. */
    if (bytes > s->in_size) {
        s->in_size = bytes;
        s->in = g_realloc(s->in, s->in_size);
    }
    *ret_len = s->in_end == s->in_size ? 0 : s->in_size - s->in_end;
    return s->in + s->in_end;
}

/* Descriptors come with the last message that a receive holds bytes of: the kernel ends a receive
 * behind the piece that they were sent with. */
static void take_fds(DevemuVfioUser *s, const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (s->fd_count < VFIO_MAX_FDS) {
            s->fds[s->fd_count++] = fds[i];
        } else {
            close(fds[i]);
            vfio_fail(s, "a message with more than %d file descriptors", VFIO_MAX_FDS);
        }
    }
    s->fd_mark = s->in_end - 1;
}

void vfio_received(DevemuVfioUser *s, size_t len, const int *fds, unsigned fd_count)
{
    /* What came before belongs to the message that is not whole yet. */
    s->fd_held = s->fd_count;
    s->in_end += len;
    if (fd_count > 0) {
        take_fds(s, fds, fd_count);
    }
}

/* How many of the descriptors belong to the message that ends at `end`, an index of the buffer. */
static unsigned fds_of(const DevemuVfioUser *s, size_t end)
{
    return s->fd_count > s->fd_held && s->fd_mark < end ? s->fd_count : s->fd_held;
}

static void drop_fds(DevemuVfioUser *s, unsigned count)
{
    close_fds(s->fds, count);
    memmove(s->fds, s->fds + count, (s->fd_count - count) * sizeof(s->fds[0]));
    s->fd_count -= count;
    s->fd_held = 0;
}

/* --- out --------------------------------------------------------------------------- */

uint8_t *vfio_out(DevemuVfioUser *s, size_t len)
{
    uint8_t *at;

    if (s->out_start == s->out_end) {
        s->out_start = s->out_end = 0;
    }
    if (len > s->out_size - s->out_end) {
        s->out_size = s->out_end + len;
        s->out = g_realloc(s->out, s->out_size);
    }
    at = s->out + s->out_end;
    s->out_end += len;
    memset(at, 0, len);
    return at;
}

static uint8_t *begin(DevemuVfioUser *s, const VfioMessage *m, size_t len, uint32_t flags)
{
    uint8_t *header = vfio_out(s, VFIO_HEADER_BYTES + len);

    s->replied = true;
    s->last_reply = (size_t)(header - s->out);
    vfio_put16(header, m->id);
    vfio_put16(header + 2, m->command);
    vfio_put32(header + 4, (uint32_t)(VFIO_HEADER_BYTES + len));
    vfio_put32(header + 8, VFIO_TYPE_REPLY | flags);
    return header;
}

uint8_t *vfio_reply(DevemuVfioUser *s, const VfioMessage *m, size_t len)
{
    if (m->flags & VFIO_FLAG_NO_REPLY) {
        return NULL;
    }
    return begin(s, m, len, 0) + VFIO_HEADER_BYTES;
}

/* spec "Header": an error reply is a header only. */
void vfio_reply_error(DevemuVfioUser *s, const VfioMessage *m, int error)
{
    uint8_t *header;

    if (m->flags & VFIO_FLAG_NO_REPLY) {
        return;
    }
    header = begin(s, m, 0, error ? VFIO_FLAG_ERROR : 0);
    vfio_put32(header + 12, (uint32_t)error);
}

void vfio_reply_fds(DevemuVfioUser *s, const int *fds, unsigned count)
{
    g_assert(s->replied && s->out_fd_count == 0 && count <= VFIO_MAX_FDS);
    memcpy(s->out_fds, fds, count * sizeof(fds[0]));
    s->out_fd_count = count;
    s->out_fd_mark = s->last_reply;
    s->out_fd_end = s->out_end;
}

/* --- dispatch ---------------------------------------------------------------------- */

void vfio_handle(DevemuVfioUser *s, const VfioMessage *m)
{
    const VfioCommand *command = m->command < VFIO_USER_COMMANDS && commands[m->command].handle
                                     ? &commands[m->command]
                                     : NULL;
    int error;

    if (!s->negotiated && m->command != VFIO_USER_VERSION) {
        vfio_fail(s, "the first message is command %u, but must be VERSION", m->command);
        return;
    }
    s->replied = false;
    if (command == NULL) {
        error = ENOTSUP;
    } else if (m->len < command->least) {
        error = EINVAL;
    } else {
        if (!command->looks) {
            vfio_work_touch(s);
        }
        error = command->handle(s, m);
    }
    g_assert(error <= 0 || !s->replied);
    if (error >= 0 && !s->replied) {
        vfio_reply_error(s, m, error);
    }
}

static void dispatch(DevemuVfioUser *s, const VfioMessage *m)
{
    unsigned type = m->flags & VFIO_FLAG_TYPE;

    s->messages++;
    if (type == VFIO_TYPE_COMMAND) {
        if (!vfio_work_holds(s, m)) {
            vfio_handle(s, m);
        }
    } else if (type != VFIO_TYPE_REPLY) {
        vfio_fail(s, "a message of type %u", type);
    } else if (!vfio_answered(s, m)) {
        vfio_fail(s, "a reply to command %u, which was not asked", m->command);
    }
}

static bool check_length(DevemuVfioUser *s, size_t bytes)
{
    if (bytes < VFIO_HEADER_BYTES || bytes > VFIO_MAX_MESSAGE) {
        vfio_fail(s, "a message of %zu bytes, but they have %d to %d", bytes, VFIO_HEADER_BYTES,
                  VFIO_MAX_MESSAGE);
        return false;
    }
    return true;
}

/* Is so much on its way out that the client must read first? */
static bool full(const DevemuVfioUser *s)
{
    return s->out_end - s->out_start >= VFIO_OUT_LIMIT || s->out_fd_count > 0;
}

void vfio_process(DevemuVfioUser *s)
{
    while (!s->failed && s->in_end - s->in_start >= VFIO_HEADER_BYTES && !full(s)) {
        const uint8_t *header = s->in + s->in_start;
        size_t bytes = vfio_get32(header + 4);
        VfioMessage m;

        if (!check_length(s, bytes) || bytes > s->in_end - s->in_start) {
            return;
        }
        m = (VfioMessage){
            .id = vfio_get16(header),
            .command = vfio_get16(header + 2),
            .flags = vfio_get32(header + 8),
            .error = vfio_get32(header + 12),
            .payload = header + VFIO_HEADER_BYTES,
            .len = bytes - VFIO_HEADER_BYTES,
            .fds = s->fds,
            .fd_count = fds_of(s, s->in_start + bytes),
        };
        dispatch(s, &m);
        if (m.fd_count > 0) {
            drop_fds(s, m.fd_count);
        }
        s->fd_held = 0;
        s->in_start += bytes;
    }
    vfio_work_step(s);
}
