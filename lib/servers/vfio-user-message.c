/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-message.c: the stream of messages: framing, dispatch, replies. Messages are handled
 * where they were received, in order, and replies gathered, so many pipelined commands cost one
 * receive and one send.
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

void vfio_message_reset(DevemuVfioUser *s)
{
    server_stream_reset(&s->stream);
    s->negotiated = s->failed = false;
}

/* Bytes of the first message in the buffer; 0: not even its header is there. */
static size_t first_bytes(const DevemuVfioUser *s)
{
    return server_stream_waiting(&s->stream) < VFIO_HEADER_BYTES
               ? 0
               : server_get32(server_stream_first(&s->stream) + 4);
}

static bool whole(const DevemuVfioUser *s)
{
    size_t bytes = first_bytes(s);

    return bytes != 0 && bytes <= server_stream_waiting(&s->stream);
}

bool vfio_hungry(const DevemuVfioUser *s)
{
    return !s->failed && !whole(s);
}

/* The length of the first message was checked when its header came. */
bool vfio_receive(DevemuVfioUser *s)
{
    bool came = server_stream_receive(&s->stream, s->socket.client, first_bytes(s));

    if (s->stream.wrong) {
        vfio_fail(s, "%s", s->stream.wrong);
    }
    return came;
}

/* --- out --------------------------------------------------------------------------- */

static uint8_t *begin(DevemuVfioUser *s, const VfioMessage *m, size_t len, uint32_t flags)
{
    uint8_t *header = server_stream_out(&s->stream, VFIO_HEADER_BYTES + len);

    s->replied = true;
    s->last_reply = (size_t)(header - s->stream.out);
    server_put16(header, m->id);
    server_put16(header + 2, m->command);
    server_put32(header + 4, (uint32_t)(VFIO_HEADER_BYTES + len));
    server_put32(header + 8, VFIO_TYPE_REPLY | flags);
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
    server_put32(header + 12, (uint32_t)error);
}

void vfio_reply_fds(DevemuVfioUser *s, const int *fds, unsigned count)
{
    g_assert(s->replied && count <= VFIO_MAX_FDS);
    server_stream_out_fds(&s->stream, s->last_reply, fds, count);
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
    return s->stream.out_end - s->stream.out_start >= VFIO_OUT_LIMIT || s->stream.out_fd_count > 0;
}

void vfio_process(DevemuVfioUser *s)
{
    while (!s->failed && server_stream_waiting(&s->stream) >= VFIO_HEADER_BYTES && !full(s)) {
        const uint8_t *header = server_stream_first(&s->stream);
        size_t bytes = server_get32(header + 4);
        VfioMessage m;

        if (!check_length(s, bytes) || bytes > server_stream_waiting(&s->stream)) {
            return;
        }
        m = (VfioMessage){
            .id = server_get16(header),
            .command = server_get16(header + 2),
            .flags = server_get32(header + 8),
            .error = server_get32(header + 12),
            .payload = header + VFIO_HEADER_BYTES,
            .len = bytes - VFIO_HEADER_BYTES,
            .fds = s->stream.fds,
            .fd_count = server_stream_fds_of(&s->stream, bytes),
        };
        dispatch(s, &m);
        server_stream_drop(&s->stream, bytes, m.fd_count);
    }
    vfio_work_step(s);
}
