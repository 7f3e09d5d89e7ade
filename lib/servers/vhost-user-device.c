/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-device.c: what the client negotiates: features, status, the configuration space.
 *
 * The protocol has no moment at which a device is reset by its driver: a client that stops all
 * rings may have a driver that begins anew, or a guest that pauses. So the device is reset when its
 * first ring starts again from the beginning, when other features are set, and by RESET_DEVICE.
 */
#include "vhost-user.h"

#define OFFERED                                                                                    \
    (VHOST_BIT(VHOST_F_MQ) | VHOST_BIT(VHOST_F_LOG_SHMFD) | VHOST_BIT(VHOST_F_REPLY_ACK) |         \
     VHOST_BIT(VHOST_F_BACKEND_REQ) | VHOST_BIT(VHOST_F_INFLIGHT_SHMFD) |                          \
     VHOST_BIT(VHOST_F_RESET_DEVICE) | VHOST_BIT(VHOST_F_INBAND_NOTIFICATIONS) |                   \
     VHOST_BIT(VHOST_F_CONFIGURE_MEM_SLOTS) | VHOST_BIT(VHOST_F_STATUS) |                          \
     VHOST_BIT(VHOST_F_DEVICE_STATE))

/* What is about all queues together is not for devices whose queues are on several threads. */
#define ONE_THREAD                                                                                 \
    (VHOST_BIT(VHOST_F_INFLIGHT_SHMFD) | VHOST_BIT(VHOST_F_INBAND_NOTIFICATIONS) |                 \
     VHOST_BIT(VHOST_F_DEVICE_STATE))

/* Virtio 1.4, 5.1: CTRL_VQ, HASH_REPORT, RSS. */
#define NET_DEVICE     1
#define NET_ONE_THREAD (VHOST_BIT(17) | VHOST_BIT(57) | VHOST_BIT(60))

/* --- registers --------------------------------------------------------------------- */

static uint8_t device_status(const DevemuVhostUser *s)
{
    return (uint8_t)devemu_virtio_read(s->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1);
}

static void add_status(DevemuVhostUser *s, uint8_t bits)
{
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1, device_status(s) | bits);
}

/* --- features ---------------------------------------------------------------------- */

/* An eventfd carries no data with a notification. */
static uint64_t offered(const DevemuVhostUser *s)
{
    uint64_t features = devemu_virtio_offered(s->dev) & ~VHOST_BIT(VIRTIO_F_NOTIFICATION_DATA);

    if (vhost_has_threads(s) && devemu_device_model(s->dev)->virtio->device_id == NET_DEVICE) {
        features &= ~NET_ONE_THREAD;
    }
    return features | VHOST_BIT(VHOST_LOG_ALL) | VHOST_BIT(VHOST_PROTOCOL_FEATURES);
}

static uint64_t device_features(uint64_t features)
{
    return features & ~(VHOST_BIT(VHOST_LOG_ALL) | VHOST_BIT(VHOST_PROTOCOL_FEATURES));
}

const char *vhost_get_features(DevemuVhostUser *s, const VhostMessage *m)
{
    vhost_reply_u64(s, m, offered(s));
    return NULL;
}

static void replay_config(DevemuVhostUser *s);

void vhost_begin(DevemuVhostUser *s)
{
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    s->begun = false;
    add_status(s, DEVEMU_VIRTIO_ACKNOWLEDGE);
    add_status(s, DEVEMU_VIRTIO_DRIVER);
    devemu_virtio_accept(s->dev, device_features(s->features));
    s->agreed = true;
    /* A driver of a legacy device knows no FEATURES_OK (virtio 1.4, 3.1.2). */
    if (s->features & VHOST_BIT(VIRTIO_F_VERSION_1)) {
        add_status(s, DEVEMU_VIRTIO_FEATURES_OK);
        s->agreed = device_status(s) & DEVEMU_VIRTIO_FEATURES_OK;
    }
    replay_config(s);
}

/* The client negotiates all over again, as far as it sees; the device has done so already. */
void vhost_loaded(DevemuVhostUser *s)
{
    uint64_t features = 0;

    for (unsigned half = 0; half < 2; half++) {
        devemu_virtio_write(s->dev, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, half);
        features |= devemu_virtio_read(s->dev, DEVEMU_VIRTIO_DRIVER_FEATURE, 4) << (half * 32);
    }
    s->features = features | (s->features & ~device_features(s->features));
    s->agreed = (device_status(s) & DEVEMU_VIRTIO_FEATURES_OK) ||
                !(features & VHOST_BIT(VIRTIO_F_VERSION_1));
    s->begun = false;
}

/* Logging is switched on and off while rings run; whatever else changes is for a driver that begins
 * anew. */
const char *vhost_set_features(DevemuVhostUser *s, const VhostMessage *m)
{
    uint64_t features = server_get64(m->payload);
    bool same = s->agreed && device_features(features) == device_features(s->features);

    if (features & ~offered(s)) {
        return "they are not all offered";
    }
    if (!same) {
        vhost_rings_stop(s);
        vhost_pages_clear(s);
    }
    s->features = features;
    if (!(features & VHOST_BIT(VHOST_PROTOCOL_FEATURES))) {
        for (unsigned i = 0; i < s->ring_count; i++) {
            s->rings[i].enabled = true;
        }
    }
    if (!same) {
        vhost_begin(s);
    }
    vhost_log_update(s);
    vhost_rings_update(s);
    return s->agreed ? NULL : "the device does not take these together";
}

/* Where there is no configuration space QEMU would warn that it has no use for it. */
static uint64_t offered_protocol(const DevemuVhostUser *s)
{
    const DevemuBank *config = &devemu_device_model(s->dev)->banks[DEVEMU_VIRTIO_CONFIG];
    bool has_config = config->reg_count > 0 || config->read != NULL;

    return (OFFERED & ~(vhost_has_threads(s) ? ONE_THREAD : 0)) |
           (has_config ? VHOST_BIT(VHOST_F_CONFIG) : 0);
}

const char *vhost_get_protocol_features(DevemuVhostUser *s, const VhostMessage *m)
{
    vhost_reply_u64(s, m, offered_protocol(s));
    return NULL;
}

/* spec "In-band notifications": then there is no other way to say no. */
const char *vhost_set_protocol_features(DevemuVhostUser *s, const VhostMessage *m)
{
    const uint64_t with = VHOST_BIT(VHOST_F_BACKEND_REQ) | VHOST_BIT(VHOST_F_REPLY_ACK);
    uint64_t features = server_get64(m->payload);

    if (features & ~offered_protocol(s)) {
        return "they are not all offered";
    }
    if ((features & VHOST_BIT(VHOST_F_INBAND_NOTIFICATIONS)) && (features & with) != with) {
        vhost_fail(s, "in-band notifications without BACKEND_REQ and REPLY_ACK");
        return NULL;
    }
    s->protocol = features;
    return NULL;
}

/* A network device has pairs of them, and clients ask for pairs (QEMU, DPDK). */
const char *vhost_get_queue_num(DevemuVhostUser *s, const VhostMessage *m)
{
    bool pairs = devemu_device_model(s->dev)->virtio->device_id == NET_DEVICE;

    vhost_reply_u64(s, m, pairs ? s->ring_count / 2 : s->ring_count);
    return NULL;
}

/* --- status ------------------------------------------------------------------------ */

const char *vhost_set_owner(DevemuVhostUser *s, const VhostMessage *m)
{
    (void)s;
    (void)m;
    return NULL;
}

/* spec: not used any more; it may disable all rings. */
const char *vhost_reset_owner(DevemuVhostUser *s, const VhostMessage *m)
{
    (void)m;
    vhost_rings_stop(s);
    for (unsigned i = 0; i < s->ring_count; i++) {
        s->rings[i].enabled = false;
    }
    return NULL;
}

static void forget_config(DevemuVhostUser *s)
{
    memset(s->config_set, 0, sizeof(s->config_set));
}

const char *vhost_reset_device(DevemuVhostUser *s, const VhostMessage *m)
{
    vhost_reset_owner(s, m);
    vhost_rings_halt(s);
    vhost_pages_clear(s);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    for (unsigned i = 0; i < s->ring_count; i++) {
        s->rings[i].exact = false;
        s->rings[i].position = 0;
    }
    forget_config(s);
    s->agreed = s->begun = false;
    s->status = 0;
    return NULL;
}

void vhost_driver_ok(DevemuVhostUser *s)
{
    s->begun = true;
    if (!(device_status(s) & DEVEMU_VIRTIO_DRIVER_OK)) {
        add_status(s, DEVEMU_VIRTIO_DRIVER_OK);
    }
}

/* 0 is a driver that resets its device or, from QEMU, a guest that pauses. */
const char *vhost_set_status(DevemuVhostUser *s, const VhostMessage *m)
{
    uint64_t status = server_get64(m->payload);

    if (status > UINT8_MAX) {
        return "a status has eight bits";
    }
    if (status == 0) {
        vhost_rings_halt(s);
    } else if (status & ~(uint64_t)s->status & DEVEMU_VIRTIO_FAILED) {
        add_status(s, DEVEMU_VIRTIO_FAILED);
    }
    s->status = (uint8_t)status;
    return NULL;
}

const char *vhost_get_status(DevemuVhostUser *s, const VhostMessage *m)
{
    uint8_t status = s->status;

    if (!s->agreed) {
        status &= (uint8_t)~DEVEMU_VIRTIO_FEATURES_OK;
    }
    status |= vhost_threads_need_reset(s) ? DEVEMU_VIRTIO_NEEDS_RESET : 0;
    vhost_reply_u64(s, m, status | (device_status(s) & DEVEMU_VIRTIO_NEEDS_RESET));
    return NULL;
}

/* --- the configuration space ------------------------------------------------------- */

/* The greatest aligned access that the register there takes. Returns its bytes; 0: nothing is
 * there. */
static unsigned access(DevemuVhostUser *s, unsigned at, unsigned left, uint8_t *bytes, bool write)
{
    for (unsigned size = 8; size > 0; size /= 2) {
        uint8_t buf[8] = {0};
        uint64_t value = 0;
        DevemuAccess result;

        if (size > left || at % size != 0) {
            continue;
        }
        if (write) {
            memcpy(buf, bytes, size);
            result = devemu_device_write(s->dev, DEVEMU_VIRTIO_CONFIG, at, size, devemu_le64(buf));
        } else {
            result = devemu_device_read(s->dev, DEVEMU_VIRTIO_CONFIG, at, size, &value);
            devemu_put_le64(buf, value);
        }
        if (result == DEVEMU_ACCESS_OK) {
            if (!write) {
                memcpy(bytes, buf, size);
            }
            return size;
        }
    }
    return 0;
}

static void access_all(DevemuVhostUser *s, unsigned at, unsigned len, uint8_t *bytes, bool write)
{
    while (len > 0) {
        unsigned step = MAX(access(s, at, len, bytes, write), 1u);

        at += step;
        bytes += step;
        len -= step;
    }
}

static bool fits(const VhostMessage *m, uint32_t *ret_offset, uint32_t *ret_size)
{
    *ret_offset = server_get32(m->payload);
    *ret_size = server_get32(m->payload + 4);
    return *ret_size <= VHOST_CONFIG_BYTES && *ret_offset <= VHOST_CONFIG_BYTES - *ret_size;
}

/* Behind the end of the space there are zeros: a client may know a longer one. spec: no payload
 * says that it went wrong. */
const char *vhost_get_config(DevemuVhostUser *s, const VhostMessage *m)
{
    uint32_t offset, size;
    uint8_t *reply;

    if (!fits(m, &offset, &size)) {
        vhost_reply(s, m, 0);
        return "a configuration space has 256 bytes";
    }
    reply = vhost_reply(s, m, 12 + (size_t)size);
    memcpy(reply, m->payload, 12);
    access_all(s, offset, size, reply + 12, false);
    return NULL;
}

/* What may not be written stays as it is. */
const char *vhost_set_config(DevemuVhostUser *s, const VhostMessage *m)
{
    uint32_t offset, size;
    uint8_t bytes[VHOST_CONFIG_BYTES];

    if (!fits(m, &offset, &size) || m->len < 12 + (size_t)size) {
        return "it does not fit";
    }
    memcpy(bytes, m->payload + 12, size);
    access_all(s, offset, size, bytes, true);
    memcpy(s->config + offset, bytes, size);
    memset(s->config_set + offset, true, size);
    return NULL;
}

/* As it was written: a register that took two bytes at once takes them so again. */
static void replay_config(DevemuVhostUser *s)
{
    for (unsigned from = 0, to; from < VHOST_CONFIG_BYTES; from = to + 1) {
        for (to = from; to < VHOST_CONFIG_BYTES && s->config_set[to]; to++) {
        }
        access_all(s, from, to - from, s->config + from, true);
    }
}

bool vhost_same_device(DevemuVhostUser *one, DevemuVhostUser *other)
{
    uint8_t config[2][VHOST_CONFIG_BYTES] = {{0}};

    access_all(one, 0, VHOST_CONFIG_BYTES, config[0], false);
    access_all(other, 0, VHOST_CONFIG_BYTES, config[1], false);
    return one->ring_count == other->ring_count &&
           devemu_virtio_offered(one->dev) == devemu_virtio_offered(other->dev) &&
           memcmp(config[0], config[1], VHOST_CONFIG_BYTES) == 0;
}

void vhost_device_clear(DevemuVhostUser *s)
{
    devemu_device_drain(s->dev);
    devemu_device_reset(s->dev, DEVEMU_RESET_HARD);
    forget_config(s);
    s->features = s->protocol = 0;
    s->agreed = s->begun = false;
    s->status = 0;
}
