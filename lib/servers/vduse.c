/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vduse.c: a virtio device as a vDPA device in user space, by the interface of linux/vduse.h: the
 * kernel says status, queues and addresses, the server is the device's host.
 *
 * Not here: memory registered by the kernel's user (VDUSE_IOTLB_REG_UMEM), and features that the
 * kernel does not let through, see MASKED.
 */
#define _GNU_SOURCE
#include "vduse.h"

#include <fcntl.h>
#include <linux/vduse.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONTROL   "/dev/vduse/control"
#define VQ_ALIGN  4096
#define BIT(n)    (UINT64_C(1) << (n))
#define RW        VDUSE_ACCESS_RW
#define CONFIG_AT 4096 /* greatest configuration space */

enum {
    NETWORK = 1, /* device types, virtio 1.4, 5 */
    BLOCK = 2,
};

/*
 * The kernel's vduse driver refuses a disk whose cache mode can be written, and a network with a
 * control queue (drivers/vdpa/vdpa_user: features_is_valid()), so what hangs on these goes, too:
 * CTRL_GUEST_OFFLOADS, CTRL_VQ and all of its commands, MQ, RSS, HASH_REPORT, statistics and
 * coalescing (virtio 1.4, 5.1.3.1). An eventfd carries no data, and it knows no reset of one queue.
 */
#define MASKED_NETWORK                                                                             \
    (BIT(2) | BIT(17) | BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(22) | BIT(23) | BIT(50) |      \
     BIT(52) | BIT(53) | BIT(57) | BIT(60))
#define MASKED_BLOCK BIT(11)
#define MASKED       (BIT(VIRTIO_F_NOTIFICATION_DATA) | BIT(VIRTIO_F_RING_RESET))

typedef struct VduseSource {
    GSource source;
    DevemuVduse *server;
} VduseSource;

void vduse_say(DevemuVduse *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    server_log_va(&s->log, format, args);
    va_end(args);
}

/* --- the device's registers -------------------------------------------------------- */

static uint64_t offered(const DevemuVduse *s)
{
    unsigned type = devemu_device_model(s->dev)->virtio->device_id;

    return devemu_virtio_offered(s->dev) &
           ~(MASKED | (type == NETWORK ? MASKED_NETWORK : MASKED_BLOCK));
}

static uint32_t config_bytes(const DevemuVduse *s)
{
    uint64_t size = devemu_device_model(s->dev)->banks[DEVEMU_VIRTIO_CONFIG].size;

    return (uint32_t)MIN(size, CONFIG_AT);
}

static void config_read(DevemuVduse *s, uint8_t *to)
{
    for (uint32_t i = 0; i < config_bytes(s); i++) {
        uint64_t value = 0;

        devemu_device_read(s->dev, DEVEMU_VIRTIO_CONFIG, i, 1, &value);
        to[i] = (uint8_t)value;
    }
}

/* --- the device's host ------------------------------------------------------------- */

static bool host_dma_read(void *host, uint64_t addr, void *buf, size_t len)
{
    return vduse_move(host, addr, buf, NULL, len);
}

static bool host_dma_write(void *host, uint64_t addr, const void *buf, size_t len)
{
    return vduse_move(host, addr, NULL, buf, len);
}

static bool host_dma_map(void *host, uint64_t addr, DevemuWindow *ret_window)
{
    VduseRegion *region = vduse_region_at(host, addr);

    if (region == NULL || !(region->perm & VDUSE_ACCESS_RO)) {
        return false;
    }
    *ret_window = (DevemuWindow){.addr = region->start,
                                 .len = region->last - region->start + 1,
                                 .data = region->data,
                                 .writable = region->perm == RW};
    return true;
}

/* The kernel has a copy of the configuration space. */
static void config_changed(DevemuVduse *s)
{
    uint32_t bytes = config_bytes(s);
    g_autofree struct vduse_config_data *data = g_malloc0(sizeof(*data) + bytes);

    data->length = bytes;
    config_read(s, data->buffer);
    if (bytes > 0 && ioctl(s->fd, VDUSE_DEV_SET_CONFIG, data) < 0) {
        vduse_say(s, "the configuration space cannot be told: %s", g_strerror(errno));
    }
    ioctl(s->fd, VDUSE_DEV_INJECT_CONFIG_IRQ);
}

static void host_msi(void *host, uint64_t queue, uint32_t unused)
{
    DevemuVduse *s = host;
    uint32_t index = (uint32_t)queue;

    (void)unused;
    if (queue == DEVEMU_VIRTIO_CONFIG_CHANGE) {
        config_changed(s);
    } else {
        /* A queue that the driver has just stopped cannot be interrupted, and need not be. */
        ioctl(s->fd, VDUSE_VQ_INJECT_IRQ, &index);
    }
}

static uint64_t host_now(void *host)
{
    (void)host;
    return server_now();
}

static void host_deadline(void *host, uint64_t when_ns)
{
    DevemuVduse *s = host;

    s->deadline_ns = when_ns;
    g_source_set_ready_time(s->source,
                            when_ns == DEVEMU_NEVER ? -1 : (gint64)((when_ns + 999) / 1000));
}

static void host_log(void *host, DevemuLogLevel level, const char *text)
{
    if (level != DEVEMU_LOG_DEBUG) {
        vduse_say(host, "%s", text);
    }
}

static const DevemuHostOps host_ops = {
    .size = sizeof(host_ops),
    .dma_read = host_dma_read,
    .dma_write = host_dma_write,
    .dma_map = host_dma_map,
    .msi = host_msi,
    .now = host_now,
    .deadline = host_deadline,
    .log = host_log,
};

/* --- queues ------------------------------------------------------------------------ */

static bool is_packed(DevemuVduse *s)
{
    uint64_t features = 0;

    return ioctl(s->fd, VDUSE_DEV_GET_FEATURES, &features) == 0 &&
           (features >> VIRTIO_F_RING_PACKED & 1);
}

/* devemu_virtqueue_position() of a queue with nothing in flight. */
static uint32_t position_of(const struct vduse_vq_info *info, bool packed)
{
    if (!packed) {
        return (uint32_t)info->split.avail_index << 16 | info->split.avail_index;
    }
    return (uint32_t)(info->packed.last_avail_idx | info->packed.last_avail_counter << 15) |
           (uint32_t)(info->packed.last_used_idx | info->packed.last_used_counter << 15) << 16;
}

static bool queue_start(DevemuVduse *s, unsigned index, bool packed)
{
    struct vduse_vq_info info = {.index = index};
    struct vduse_vq_eventfd kick = {.index = index, .fd = s->kicks[index].fd};

    if (ioctl(s->fd, VDUSE_VQ_GET_INFO, &info) < 0) {
        return false;
    }
    if (!info.ready) {
        return true;
    }
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_SELECT, 2, index);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_SIZE, 2, info.num);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_DESC, 8, info.desc_addr);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_DRIVER, 8, info.driver_addr);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_DEVICE, 8, info.device_addr);
    if (position_of(&info, packed) != 0) {
        devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_POSITION, 4, position_of(&info, packed));
    }
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
    return devemu_virtio_read(s->dev, DEVEMU_VIRTIO_QUEUE_ENABLE, 2) == 1 &&
           ioctl(s->fd, VDUSE_VQ_SETUP_KICKFD, &kick) == 0;
}

static bool queues_start(DevemuVduse *s)
{
    bool packed = is_packed(s);

    for (unsigned i = 0; i < s->queue_count; i++) {
        if (!queue_start(s, i, packed)) {
            vduse_say(s, "queue %u cannot be used as the kernel set it up", i);
            return false;
        }
    }
    return true;
}

static void kicked(DevemuVduse *s, unsigned index)
{
    uint64_t count;

    if (read(s->kicks[index].fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
        devemu_device_write(s->dev, DEVEMU_VIRTIO_NOTIFY, index * 4, 2, index);
    }
}

/* --- the kernel's messages --------------------------------------------------------- */

static bool features_take(DevemuVduse *s)
{
    uint64_t features = 0;

    if (ioctl(s->fd, VDUSE_DEV_GET_FEATURES, &features) < 0) {
        return false;
    }
    devemu_virtio_accept(s->dev, features);
    return true;
}

/* False: the kernel hears that it failed. */
static bool status_set(DevemuVduse *s, uint8_t status)
{
    uint8_t added = status & (uint8_t)~devemu_virtio_read(s->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1);

    if (status == 0) {
        devemu_device_drain(s->dev);
    } else if ((added & DEVEMU_VIRTIO_FEATURES_OK) && !features_take(s)) {
        return false;
    } else if ((added & DEVEMU_VIRTIO_DRIVER_OK) && !queues_start(s)) {
        return false;
    }
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1, status);
    if ((status & ~devemu_virtio_read(s->dev, DEVEMU_VIRTIO_DEVICE_STATUS, 1)) &
        DEVEMU_VIRTIO_FEATURES_OK) {
        vduse_say(s, "the device does not take the driver's features together");
        return false;
    }
    return true;
}

/* The queue is paused: the kernel saves where it stands. */
static bool state_get(DevemuVduse *s, const struct vduse_vq_state *asked,
                      struct vduse_vq_state *ret_state)
{
    uint32_t position;

    if (asked->index >= s->queue_count) {
        return false;
    }
    devemu_device_drain(s->dev);
    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_SELECT, 2, asked->index);
    position = (uint32_t)devemu_virtio_read(s->dev, DEVEMU_VIRTIO_QUEUE_POSITION, 4);
    ret_state->index = asked->index;
    if (is_packed(s)) {
        ret_state->packed.last_avail_idx = position & 0x7fff;
        ret_state->packed.last_avail_counter = position >> 15 & 1;
        ret_state->packed.last_used_idx = position >> 16 & 0x7fff;
        ret_state->packed.last_used_counter = (uint16_t)(position >> 31);
    } else {
        ret_state->split.avail_index = (uint16_t)position;
    }
    return true;
}

static void request_serve(DevemuVduse *s, const struct vduse_dev_request *request)
{
    struct vduse_dev_response response = {.request_id = request->request_id};
    bool done = true;

    switch (request->type) {
    case VDUSE_GET_VQ_STATE:
        done = state_get(s, &request->vq_state, &response.vq_state);
        break;
    case VDUSE_SET_STATUS:
        done = status_set(s, request->s.status);
        break;
    case VDUSE_UPDATE_IOTLB:
        vduse_regions_drop(s, request->iova.start, request->iova.last);
        break;
    default:
        vduse_say(s, "the kernel asks something unknown, number %u", request->type);
        done = false;
        break;
    }
    response.result = done ? VDUSE_REQ_RESULT_OK : VDUSE_REQ_RESULT_FAILED;
    if (write(s->fd, &response, sizeof(response)) != (ssize_t)sizeof(response)) {
        vduse_say(s, "an answer cannot be given: %s", g_strerror(errno));
    }
}

/* --- the loop ---------------------------------------------------------------------- */

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    DevemuVduse *s = ((VduseSource *)source)->server;
    struct vduse_dev_request request;

    (void)callback;
    (void)opaque;
    if (g_source_query_unix_fd(source, s->tag) & G_IO_IN) {
        if (read(s->fd, &request, sizeof(request)) == (ssize_t)sizeof(request)) {
            request_serve(s, &request);
        }
    }
    for (unsigned i = 0; i < s->queue_count; i++) {
        if (g_source_query_unix_fd(source, s->kicks[i].tag) & G_IO_IN) {
            kicked(s, i);
        }
    }
    if (s->deadline_ns <= server_now()) {
        devemu_device_run(s->dev);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.dispatch = source_dispatch};

/* --- life -------------------------------------------------------------------------- */

static bool refuse(GError **error, DevemuError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool refuse(GError **error, DevemuError code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error) {
        *error = g_error_new_valist(DEVEMU_ERROR, (gint)code, format, args);
    }
    va_end(args);
    return false;
}

static bool check_device(DevemuVduse *s, GError **error)
{
    const DevemuModel *model = devemu_device_model(s->dev);

    if (model->virtio == NULL ||
        (model->virtio->device_id != NETWORK && model->virtio->device_id != BLOCK)) {
        return refuse(error, DEVEMU_ERROR_MODEL,
                      "vduse: %s is neither a virtio network nor a virtio disk, and the kernel "
                      "takes no other",
                      model->name);
    }
    if (!(offered(s) >> VIRTIO_F_ACCESS_PLATFORM & 1)) {
        return refuse(error, DEVEMU_ERROR_OPTION,
                      "vduse: %s must have iommu_platform=on, as the kernel takes no other",
                      model->name);
    }
    if (s->name[0] == '\0' || strlen(s->name) >= VDUSE_NAME_MAX || strchr(s->name, '/')) {
        return refuse(error, DEVEMU_ERROR_OPTION,
                      "vduse: '%s' is no name for a device; give a short word, without '/'",
                      s->name);
    }
    return true;
}

static bool create(DevemuVduse *s, GError **error)
{
    uint64_t version = VDUSE_API_VERSION;
    uint32_t bytes = config_bytes(s);
    g_autofree struct vduse_dev_config *config = g_malloc0(sizeof(*config) + bytes);

    s->control = open(CONTROL, O_RDWR | O_CLOEXEC);
    if (s->control < 0) {
        return refuse(error, DEVEMU_ERROR_BACKEND,
                      "vduse: " CONTROL ": %s; it needs root and a kernel with the module vduse",
                      g_strerror(errno));
    }
    g_strlcpy(config->name, s->name, sizeof(config->name));
    config->device_id = devemu_device_model(s->dev)->virtio->device_id;
    config->vendor_id = 0x1af4;
    config->features = offered(s);
    config->vq_num = s->queue_count;
    config->vq_align = VQ_ALIGN;
    config->config_size = bytes;
    config_read(s, config->config);
    if (ioctl(s->control, VDUSE_SET_API_VERSION, &version) < 0 ||
        ioctl(s->control, VDUSE_CREATE_DEV, config) < 0) {
        return refuse(error, DEVEMU_ERROR_BACKEND, "vduse: the device '%s' cannot be made: %s",
                      s->name, g_strerror(errno));
    }
    return true;
}

static bool queue_prepare(DevemuVduse *s, unsigned index)
{
    struct vduse_vq_config config = {.index = index};

    devemu_virtio_write(s->dev, DEVEMU_VIRTIO_QUEUE_SELECT, 2, index);
    config.max_size = (uint16_t)devemu_virtio_read(s->dev, DEVEMU_VIRTIO_QUEUE_MAX, 2);
    s->kicks[index].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->kicks[index].fd < 0 || ioctl(s->fd, VDUSE_VQ_SETUP, &config) < 0) {
        return false;
    }
    s->kicks[index].tag = g_source_add_unix_fd(s->source, s->kicks[index].fd, G_IO_IN);
    return true;
}

static bool open_device(DevemuVduse *s, GError **error)
{
    g_autofree char *path = g_strconcat("/dev/vduse/", s->name, NULL);

    for (unsigned tries = 0; tries < 100; tries++) {
        s->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (s->fd >= 0 || errno != ENOENT) {
            break;
        }
        g_usleep(10000); /* who makes the node may take a moment */
    }
    if (s->fd < 0) {
        return refuse(error, DEVEMU_ERROR_BACKEND, "vduse: %s: %s", path, g_strerror(errno));
    }
    s->tag = g_source_add_unix_fd(s->source, s->fd, G_IO_IN);
    for (unsigned i = 0; i < s->queue_count; i++) {
        if (!queue_prepare(s, i)) {
            return refuse(error, DEVEMU_ERROR_BACKEND, "vduse: queue %u of '%s': %s", i, s->name,
                          g_strerror(errno));
        }
    }
    return true;
}

DevemuVduse *devemu_vduse_new(DevemuDevice *dev, const char *name, GMainContext *context,
                              GError **error)
{
    DevemuVduse *s;

    g_return_val_if_fail(dev != NULL && name != NULL, NULL);
    s = g_new0(DevemuVduse, 1);
    s->dev = dev;
    s->name = g_strdup(name);
    s->control = s->fd = -1;
    s->deadline_ns = DEVEMU_NEVER;
    s->regions = g_array_new(FALSE, FALSE, sizeof(VduseRegion));
    s->log.what = "vduse";
    s->log.label = g_strdup(name);
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        s->kicks[i].fd = -1;
    }
    s->source = g_source_new(&source_funcs, sizeof(VduseSource));
    ((VduseSource *)s->source)->server = s;
    g_source_set_name(s->source, "vduse");
    if (check_device(s, error)) {
        s->queue_count = (unsigned)devemu_virtio_read(s->dev, DEVEMU_VIRTIO_NUM_QUEUES, 2);
        if (create(s, error) && open_device(s, error)) {
            devemu_device_set_host(dev, &host_ops, s);
            g_source_attach(s->source, context);
            return s;
        }
    }
    s->dev = NULL; /* stays the caller's */
    devemu_vduse_free(s);
    return NULL;
}

void devemu_vduse_free(DevemuVduse *s)
{
    if (s == NULL) {
        return;
    }
    g_source_destroy(s->source);
    if (s->dev) {
        vduse_regions_drop(s, 0, UINT64_MAX);
        devemu_device_set_host(s->dev, NULL, NULL);
        devemu_device_free(s->dev);
    }
    for (unsigned i = 0; i < DEVEMU_VIRTIO_QUEUES; i++) {
        if (s->kicks[i].fd >= 0) {
            close(s->kicks[i].fd);
        }
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->control >= 0) {
        char name[VDUSE_NAME_MAX] = "";

        g_strlcpy(name, s->name, sizeof(name));
        ioctl(s->control, VDUSE_DESTROY_DEV, name);
        close(s->control);
    }
    g_source_unref(s->source);
    g_array_unref(s->regions);
    g_free(s->log.label);
    g_free(s->name);
    g_free(s);
}

void devemu_vduse_set_log(DevemuVduse *s, DevemuVduseLog *log, void *opaque)
{
    g_return_if_fail(s != NULL);
    s->log.sink = log;
    s->log.opaque = opaque;
}
