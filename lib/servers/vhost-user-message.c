/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-message.c: the stream of messages: framing, dispatch, replies.
 */
#include "vhost-user.h"

typedef struct VhostRequest {
    const char *name;
    size_t least; /* bytes of payload */
    VhostHandler *handle;
    unsigned fds;   /* most that may go with it */
    bool answers;   /* it replies by itself */
    unsigned needs; /* the protocol feature + 1; 0: none */
} VhostRequest;

#define NEEDS(feature) (VHOST_F_##feature + 1)

/* spec "Front-end message types". What is not here is not for this server. */
static const VhostRequest requests[VHOST_USER_REQUESTS] = {
    [VHOST_USER_GET_FEATURES] = {"GET_FEATURES", 0, vhost_get_features, .answers = true},
    [VHOST_USER_SET_FEATURES] = {"SET_FEATURES", 8, vhost_set_features},
    [VHOST_USER_SET_OWNER] = {"SET_OWNER", 0, vhost_set_owner},
    [VHOST_USER_RESET_OWNER] = {"RESET_OWNER", 0, vhost_reset_owner},
    [VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE", 8, vhost_set_mem_table, VHOST_TABLE_REGIONS},
    [VHOST_USER_SET_LOG_BASE] = {"SET_LOG_BASE", 16, vhost_set_log_base, 1, true, NEEDS(LOG_SHMFD)},
    [VHOST_USER_SET_LOG_FD] = {"SET_LOG_FD", 0, vhost_set_log_fd, 1},
    [VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", 8, vhost_set_vring_num},
    [VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR", 40, vhost_set_vring_addr},
    [VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", 8, vhost_set_vring_base},
    [VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", 8, vhost_get_vring_base, .answers = true},
    [VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", 8, vhost_set_vring_kick, 1},
    [VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", 8, vhost_set_vring_call, 1},
    [VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", 8, vhost_set_vring_err, 1},
    [VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, vhost_get_protocol_features,
                                          .answers = true},
    [VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", 8, vhost_set_protocol_features},
    [VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, vhost_get_queue_num, .answers = true},
    [VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", 8, vhost_set_vring_enable},
    [VHOST_USER_SET_BACKEND_REQ_FD] = {"SET_BACKEND_REQ_FD", 0, vhost_set_backend_req_fd, 1, false,
                                       NEEDS(BACKEND_REQ)},
    [VHOST_USER_IOTLB_MSG] = {"IOTLB_MSG", 26, vhost_iotlb_msg},
    [VHOST_USER_GET_CONFIG] = {"GET_CONFIG", 12, vhost_get_config, 0, true, NEEDS(CONFIG)},
    [VHOST_USER_SET_CONFIG] = {"SET_CONFIG", 12, vhost_set_config, 0, false, NEEDS(CONFIG)},
    [VHOST_USER_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", 20, vhost_get_inflight_fd, 0, true,
                                    NEEDS(INFLIGHT_SHMFD)},
    [VHOST_USER_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", 20, vhost_set_inflight_fd, 1, false,
                                    NEEDS(INFLIGHT_SHMFD)},
    [VHOST_USER_RESET_DEVICE] = {"RESET_DEVICE", 0, vhost_reset_device, 0, false,
                                 NEEDS(RESET_DEVICE)},
    [VHOST_USER_VRING_KICK] = {"VRING_KICK", 8, vhost_vring_kick, 0, false,
                               NEEDS(INBAND_NOTIFICATIONS)},
    [VHOST_USER_GET_MAX_MEM_SLOTS] = {"GET_MAX_MEM_SLOTS", 0, vhost_get_max_mem_slots, 0, true,
                                      NEEDS(CONFIGURE_MEM_SLOTS)},
    [VHOST_USER_ADD_MEM_REG] = {"ADD_MEM_REG", 40, vhost_add_mem_reg, 1, false,
                                NEEDS(CONFIGURE_MEM_SLOTS)},
    [VHOST_USER_REM_MEM_REG] = {"REM_MEM_REG", 40, vhost_rem_mem_reg, 1, false,
                                NEEDS(CONFIGURE_MEM_SLOTS)},
    [VHOST_USER_SET_STATUS] = {"SET_STATUS", 8, vhost_set_status, 0, false, NEEDS(STATUS)},
    [VHOST_USER_GET_STATUS] = {"GET_STATUS", 0, vhost_get_status, 0, true, NEEDS(STATUS)},
    [VHOST_USER_SET_DEVICE_STATE_FD] = {"SET_DEVICE_STATE_FD", 8, vhost_set_device_state_fd, 1,
                                        true, NEEDS(DEVICE_STATE)},
    [VHOST_USER_CHECK_DEVICE_STATE] = {"CHECK_DEVICE_STATE", 0, vhost_check_device_state, 0, true,
                                       NEEDS(DEVICE_STATE)},
};

void vhost_fail(DevemuVhostUser *s, const char *format, ...)
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
    vhost_log(s, "connection closed: %s", text);
    if (s->whole) {
        vhost_thread_tell(s);
    }
}

/* --- in ---------------------------------------------------------------------------- */

/* Bytes of the first message in the buffer; 0: not even its header is there. */
static size_t first_bytes(const DevemuVhostUser *s)
{
    return server_stream_waiting(&s->stream) < VHOST_HEADER_BYTES
               ? 0
               : VHOST_HEADER_BYTES + (size_t)server_get32(server_stream_first(&s->stream) + 8);
}

bool vhost_hungry(const DevemuVhostUser *s)
{
    size_t bytes = first_bytes(s);

    return !s->failed && (bytes == 0 || bytes > server_stream_waiting(&s->stream));
}

bool vhost_receive(DevemuVhostUser *s)
{
    bool came = server_stream_receive(&s->stream, s->socket.client, first_bytes(s));

    if (s->stream.wrong) {
        vhost_fail(s, "%s", s->stream.wrong);
    }
    return came;
}

/* --- out --------------------------------------------------------------------------- */

uint8_t *vhost_reply(DevemuVhostUser *s, const VhostMessage *m, size_t len)
{
    uint8_t *header = server_stream_out(&s->stream, VHOST_HEADER_BYTES + len);

    s->replied = true;
    s->last_reply = (size_t)(header - s->stream.out);
    server_put32(header, m->request);
    server_put32(header + 4, VHOST_VERSION | VHOST_FLAG_REPLY);
    server_put32(header + 8, (uint32_t)len);
    return header + VHOST_HEADER_BYTES;
}

void vhost_reply_u64(DevemuVhostUser *s, const VhostMessage *m, uint64_t value)
{
    server_put64(vhost_reply(s, m, sizeof(value)), value);
}

void vhost_reply_fd(DevemuVhostUser *s, int fd)
{
    server_stream_out_fds(&s->stream, s->last_reply, &fd, 1);
}

/* --- dispatch ---------------------------------------------------------------------- */

static const char *handle(DevemuVhostUser *s, const VhostRequest *request, const VhostMessage *m)
{
    if (request == NULL) {
        return "this server does not know it";
    }
    if (m->len < request->least) {
        return "it is too short";
    }
    if (m->fd_count > request->fds) {
        return "it has more descriptors than it may";
    }
    if (request->needs && !vhost_has(s, request->needs - 1)) {
        return "its protocol feature is not negotiated";
    }
    return s->thread_count > 0 ? vhost_threads_handle(s, request->handle, m)
                               : request->handle(s, m);
}

/* spec "VHOST_USER_PROTOCOL_F_REPLY_ACK". A client that waits for an answer of its own kind, and
 * cannot get it, is better off without the connection. */
static void dispatch(DevemuVhostUser *s, const VhostMessage *m)
{
    const VhostRequest *request = m->request < VHOST_USER_REQUESTS && requests[m->request].handle
                                      ? &requests[m->request]
                                      : NULL;
    g_autofree char *number = request ? NULL : g_strdup_printf("request %u", m->request);
    const char *why;

    s->messages++;
    s->replied = false;
    why = handle(s, request, m);
    if (why && request && request->answers && !s->replied) {
        vhost_fail(s, "%s: %s", request->name, why);
    } else if (why) {
        vhost_log(s, "%s is refused: %s", request ? request->name : number, why);
    }
    if (!s->replied && (m->flags & VHOST_FLAG_NEED_REPLY) && vhost_has(s, VHOST_F_REPLY_ACK)) {
        vhost_reply_u64(s, m, why != NULL);
    }
}

static bool check_header(DevemuVhostUser *s, uint32_t flags, size_t len)
{
    if ((flags & VHOST_FLAG_VERSION) != VHOST_VERSION) {
        vhost_fail(s, "a message of version %u, but there is only %d", flags & VHOST_FLAG_VERSION,
                   VHOST_VERSION);
    } else if (flags & VHOST_FLAG_REPLY) {
        vhost_fail(s, "a reply, and nobody asked");
    } else if (len > VHOST_MAX_PAYLOAD) {
        vhost_fail(s, "a message of %zu bytes, but they have %d at most", len, VHOST_MAX_PAYLOAD);
    }
    return !s->failed;
}

/* Is so much on its way out that the client must read first? */
static bool full(const DevemuVhostUser *s)
{
    return s->stream.out_end - s->stream.out_start >= VHOST_OUT_LIMIT || s->stream.out_fd_count > 0;
}

void vhost_process(DevemuVhostUser *s)
{
    while (!s->failed && server_stream_waiting(&s->stream) >= VHOST_HEADER_BYTES && !full(s)) {
        const uint8_t *header = server_stream_first(&s->stream);
        size_t bytes = first_bytes(s);
        VhostMessage m = {
            .request = server_get32(header),
            .flags = server_get32(header + 4),
            .payload = header + VHOST_HEADER_BYTES,
            .len = bytes - VHOST_HEADER_BYTES,
            .fds = s->stream.fds,
        };

        if (!check_header(s, m.flags, m.len) || bytes > server_stream_waiting(&s->stream)) {
            return;
        }
        m.fd_count = server_stream_fds_of(&s->stream, bytes);
        dispatch(s, &m);
        server_stream_drop(&s->stream, bytes, m.fd_count);
    }
}
