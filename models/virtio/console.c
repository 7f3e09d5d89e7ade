/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console.c: virtio console device (virtio 1.4, 5.3).
 *
 * Port 0's characters are the device's; the other ports are its further lines
 * (devemu_device_attach_port()). Ports come and go, open and close, and the console gets another
 * size, through the bank "host". Messages to the driver are made from the state when there is a
 * buffer for them, so none is kept and none is lost.
 *
 * The order of columns and rows in RESIZE is the specification's; Linux has had both.
 *
 * The file is long because ports, their messages and their characters are one table of states.
 *
 * Not modelled: big-endian legacy drivers.
 */
#include "virtio.h"

enum {
    F_SIZE = 0,
    F_MULTIPORT = 1,
    F_EMERG_WRITE = 2,

    CONTROL_RX = 2,
    CONTROL_TX = 3,
    QUEUE_SIZE = 128,
    PORTS_MAX = 31, /* as many as DEVEMU_VIRTIO_QUEUES are enough for */
    NAMES = 256,
    /* What one buffer may hold. Drivers use pages; more is not looked at, so that an event ends. */
    BUFFER_MAX = 1 << 20,
    CONTROL_BYTES = 8,

    BANK_HOST = DEVEMU_VIRTIO_BANKS,
};

/* 5.3.6.2 */
enum {
    DEVICE_READY,
    DEVICE_ADD,
    DEVICE_REMOVE,
    PORT_READY,
    CONSOLE_PORT,
    RESIZE,
    PORT_OPEN,
    PORT_NAME,
    EVENTS,
};

#define BIT(n) (UINT32_C(1) << (n))

struct virtio_console {
    VirtioDevice v;

    /* Ports, by bits: what the host wants, and what the driver knows. */
    uint32_t plugged, host_open;
    uint32_t added; /* DEVICE_ADD was sent */
    uint32_t ready; /* PORT_READY came */
    uint32_t guest_open;
    uint32_t starved;           /* no buffers for input, until the next notification */
    uint8_t due[PORTS_MAX + 1]; /* messages to be sent, by bits of the event */
    uint16_t cols, rows;
    bool driver_ready; /* DEVICE_READY came */
    uint8_t unused_1;

    /* Properties. */
    uint8_t port_count, console_count;
    char names[NAMES];
};

/* --- ports -------------------------------------------------------------------------- */

/* 5.3.2: the control queues stand behind port 0's. */
static unsigned rx_queue(unsigned port)
{
    return port == 0 ? 0 : 2 + 2 * port;
}

static unsigned queue_port(unsigned queue)
{
    return queue < 2 ? 0 : queue / 2 - 1;
}

/* A port that is to be found by its name needs MULTIPORT, too. */
static bool offers_multiport(const struct virtio_console *s)
{
    return s->port_count > 1 || s->console_count == 0;
}

static uint32_t all_ports(const struct virtio_console *s)
{
    return BIT(s->port_count) - 1;
}

static bool multiport(const struct virtio_console *s)
{
    return virtio_has(&s->v, F_MULTIPORT);
}

/* Without MULTIPORT there is port 0 alone, and it is always open. */
static bool can_receive(const struct virtio_console *s, unsigned port)
{
    return multiport(s) ? s->added & s->ready & s->guest_open & BIT(port) : port == 0;
}

static const char *port_name(const struct virtio_console *s, unsigned port, size_t *ret_len)
{
    const char *name = s->names, *end = memchr(s->names, 0, NAMES);
    const char *stop;

    for (;; name = stop + 1) {
        stop = memchr(name, ':', (size_t)(end - name));
        if (port == 0 || stop == NULL) {
            break;
        }
        port--;
    }
    *ret_len = port == 0 ? (size_t)((stop ? stop : end) - name) : 0;
    return name;
}

/* --- messages to the driver: 5.3.6.2 ------------------------------------------------- */

static bool next_message(const struct virtio_console *s, unsigned *ret_port, unsigned *ret_event)
{
    for (unsigned port = 0; port < s->port_count; port++) {
        uint32_t bit = BIT(port);

        *ret_port = port;
        if ((s->added ^ s->plugged) & bit) {
            *ret_event = s->plugged & bit ? DEVICE_ADD : DEVICE_REMOVE;
            return true;
        }
        if ((s->added & s->ready & bit) && s->due[port]) {
            *ret_event = (unsigned)__builtin_ctz(s->due[port]);
            return true;
        }
    }
    return false;
}

static size_t put_message(const struct virtio_console *s, unsigned port, unsigned event,
                          uint8_t *message)
{
    size_t len = 0;
    const char *name;

    memset(message, 0, CONTROL_BYTES);
    devemu_put_le32(message, port);
    devemu_put_le16(message + 4, (uint16_t)event);
    switch (event) {
    case CONSOLE_PORT:
        devemu_put_le16(message + 6, 1);
        return CONTROL_BYTES;
    case PORT_OPEN:
        devemu_put_le16(message + 6, s->host_open >> port & 1);
        return CONTROL_BYTES;
    case RESIZE:
        devemu_put_le16(message + CONTROL_BYTES, s->cols);
        devemu_put_le16(message + CONTROL_BYTES + 2, s->rows);
        return CONTROL_BYTES + 4;
    case PORT_NAME:
        name = port_name(s, port, &len);
        memcpy(message + CONTROL_BYTES, name, len);
        return CONTROL_BYTES + len;
    default:
        return CONTROL_BYTES;
    }
}

static void message_sent(struct virtio_console *s, unsigned port, unsigned event)
{
    if (event == DEVICE_ADD) {
        s->added |= BIT(port);
    } else if (event == DEVICE_REMOVE) {
        s->added &= ~BIT(port);
        s->ready &= ~BIT(port);
        s->guest_open &= ~BIT(port);
        s->due[port] = 0;
    } else {
        s->due[port] &= (uint8_t)~BIT(event);
    }
}

/* A buffer, if there is one; else the driver will notify. */
static bool take(DevemuVirtqueue *q, DevemuVirtqueueChain *chain)
{
    return devemu_virtqueue_pop(q, chain, 1) == 1 ||
           (devemu_virtqueue_listen(q) && devemu_virtqueue_pop(q, chain, 1) == 1);
}

static void send_messages(struct virtio_console *s)
{
    DevemuVirtqueue *q = virtio_ready(&s->v, CONTROL_RX);
    uint8_t message[CONTROL_BYTES + NAMES];
    unsigned port, event, budget = QUEUE_SIZE;
    DevemuVirtqueueChain chain;

    if (q == NULL || !multiport(s) || !s->driver_ready) {
        return;
    }
    while (next_message(s, &port, &event)) {
        size_t len = put_message(s, port, event, message);

        if (budget-- == 0) {
            virtio_again(&s->v, CONTROL_RX);
            break;
        }
        if (!take(q, &chain)) {
            break;
        }
        if (chain.writable_len < len) {
            devemu_guest_error(s->v.dev, "control receiveq: the buffer is too short");
            devemu_virtqueue_push(q, &chain, 0);
            continue;
        }
        devemu_virtqueue_push(q, &chain,
                              (uint32_t)devemu_virtqueue_write(q, &chain, 0, message, len));
        message_sent(s, port, event);
    }
    virtio_flush(&s->v, CONTROL_RX);
}

/* --- messages from the driver -------------------------------------------------------- */

/* Now the driver hears what else there is to say of the port. */
static void port_ready(struct virtio_console *s, unsigned port)
{
    bool console = port < s->console_count;
    size_t name_len;
    uint32_t due = s->host_open & BIT(port) ? BIT(PORT_OPEN) : 0;

    port_name(s, port, &name_len);
    due |= console ? BIT(CONSOLE_PORT) : 0;
    due |= port == 0 && console && virtio_has(&s->v, F_SIZE) ? BIT(RESIZE) : 0;
    due |= name_len > 0 ? BIT(PORT_NAME) : 0;
    s->ready |= BIT(port);
    s->due[port] = (uint8_t)due;
}

static void port_message(struct virtio_console *s, uint32_t port, unsigned event, unsigned value)
{
    if (port >= s->port_count || !(s->added & BIT(port))) {
        devemu_guest_error(s->v.dev, "control transmitq: there is no such port");
        return;
    }
    if (event == PORT_READY) {
        if (value == 1) {
            port_ready(s, port);
        }
    } else if (value == 1) {
        s->guest_open |= BIT(port);
        devemu_send_ready(s->v.dev);
    } else {
        s->guest_open &= ~BIT(port);
    }
}

static bool control(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                    uint32_t *ret_written)
{
    struct virtio_console *s = state;
    uint8_t message[CONTROL_BYTES];
    unsigned event;

    (void)ret_written;
    if (devemu_virtqueue_read(devemu_virtio_queue(s->v.dev, queue), chain, 0, message,
                              sizeof(message)) < sizeof(message)) {
        devemu_guest_error(s->v.dev, "control transmitq: the message is too short");
        return true;
    }
    event = devemu_le16(message + 4);
    if (event == DEVICE_READY) {
        s->driver_ready = devemu_le16(message + 6) == 1;
    } else if (event == PORT_READY || event == PORT_OPEN) {
        port_message(s, devemu_le32(message), event, devemu_le16(message + 6));
    } else {
        devemu_guest_error(s->v.dev, "control transmitq: this event is none of a driver's");
    }
    return true;
}

/* --- characters: 5.3.6 ---------------------------------------------------------------- */

static bool transmit(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                     uint32_t *ret_written)
{
    struct virtio_console *s = state;
    DevemuVirtqueue *q = devemu_virtio_queue(s->v.dev, queue);
    unsigned port = queue_port(queue);
    uint8_t bytes[1024];
    uint64_t len = chain->readable_len < BUFFER_MAX ? chain->readable_len : BUFFER_MAX;

    (void)ret_written;
    if (chain->readable_len > BUFFER_MAX) {
        devemu_guest_error(s->v.dev, "transmitq: the buffer is longer than 1 MiB");
    }
    if (multiport(s) && !(s->added & BIT(port))) {
        devemu_guest_error(s->v.dev, "transmitq: there is no such port");
        return true;
    }
    for (uint64_t at = 0; at < len;) {
        size_t want = len - at < sizeof(bytes) ? (size_t)(len - at) : sizeof(bytes);
        size_t got = devemu_virtqueue_read(q, chain, at, bytes, want);

        if (got == 0) {
            break;
        }
        devemu_send_port(s->v.dev, port, bytes, got);
        at += got;
    }
    return true;
}

/* Generic ports wait for a slow reader. A console does not: Linux's driver would spin until its
 * character is taken, with its guest at a standstill. */
static bool may_transmit(void *state, unsigned queue)
{
    struct virtio_console *s = state;
    unsigned port = queue_port(queue);

    return port < s->console_count || devemu_port_writable(s->v.dev, port);
}

static void console_writable(void *state, unsigned port)
{
    struct virtio_console *s = state;

    if (virtio_ready(&s->v, rx_queue(port) + 1) != NULL) {
        virtio_again(&s->v, rx_queue(port) + 1);
    }
}

static size_t receive_port(void *state, unsigned port, const uint8_t *data, size_t len)
{
    struct virtio_console *s = state;
    unsigned queue = rx_queue(port);
    DevemuVirtqueue *q = can_receive(s, port) ? virtio_ready(&s->v, queue) : NULL;
    DevemuVirtqueueChain chain;
    size_t taken = 0;

    if (q == NULL) {
        return 0;
    }
    for (unsigned n = 0; n < QUEUE_SIZE && taken < len; n++) {
        size_t put;

        if (!take(q, &chain)) {
            s->starved |= BIT(port);
            break;
        }
        put = devemu_virtqueue_write(q, &chain, 0, data + taken, len - taken);
        devemu_virtqueue_push(q, &chain, (uint32_t)put);
        taken += put;
    }
    virtio_flush(&s->v, queue);
    return taken;
}

static size_t console_receive(void *state, const uint8_t *data, size_t len)
{
    return receive_port(state, 0, data, len);
}

static size_t console_ready(const void *state)
{
    const struct virtio_console *s = state;

    return virtio_running(&s->v) && can_receive(s, 0) && !(s->starved & 1) ? 4096 : 0;
}

/* --- queues, features ------------------------------------------------------------------ */

static uint64_t console_offer(const void *state)
{
    const struct virtio_console *s = state;

    return BIT(F_SIZE) | BIT(F_EMERG_WRITE) | (offers_multiport(s) ? BIT(F_MULTIPORT) : 0);
}

static unsigned console_queue_size(const void *state, unsigned queue)
{
    const struct virtio_console *s = state;

    return queue < (offers_multiport(s) ? 2 + 2U * s->port_count : 2) ? QUEUE_SIZE : 0;
}

static void console_process(void *state, unsigned queue)
{
    struct virtio_console *s = state;

    if (queue >= 2 && !multiport(s)) {
        return;
    }
    if (queue == CONTROL_RX) {
        send_messages(s);
    } else if (queue == CONTROL_TX) {
        virtio_each(&s->v, queue, control);
        send_messages(s);
    } else if (queue & 1) {
        virtio_each_if(&s->v, queue, transmit, may_transmit);
    } else {
        s->starved &= ~BIT(queue_port(queue));
        devemu_send_ready(s->v.dev);
    }
}

static unsigned console_ports(const void *state)
{
    return ((const struct virtio_console *)state)->port_count;
}

/* --- registers -------------------------------------------------------------------------- */

static uint64_t cols_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_console *)state)->cols;
}

static uint64_t rows_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_console *)state)->rows;
}

static uint64_t ports_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_console *)state)->port_count;
}

/* 5.3.5.1: at any time, configured or not; the lower byte. */
static void emerg_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    uint8_t byte = (uint8_t)value;

    (void)index;
    (void)old;
    devemu_send_chars(((struct virtio_console *)state)->v.dev, &byte, 1);
}

static void host_has_news(struct virtio_console *s)
{
    if (!virtio_put_off(&s->v, CONTROL_RX)) {
        send_messages(s);
    }
}

/* 5.3.6: the size is port 0's; with MULTIPORT Linux looks at RESIZE only. */
static void size_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_console *s = state;

    (void)index;
    if (value == old || !virtio_has(&s->v, F_SIZE)) {
        return;
    }
    virtio_config_changed(&s->v);
    if (s->ready & 1 && s->console_count > 0) {
        s->due[0] |= BIT(RESIZE);
        host_has_news(s);
    }
}

static uint64_t plugged_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_console *)state)->plugged;
}

static void plugged_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_console *s = state;

    (void)index;
    (void)old;
    s->plugged = (uint32_t)value & all_ports(s);
    host_has_news(s);
}

static uint64_t open_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_console *)state)->host_open;
}

static void open_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct virtio_console *s = state;
    uint32_t open = (uint32_t)value & all_ports(s), changed = open ^ s->host_open;

    (void)index;
    (void)old;
    s->host_open = open;
    for (unsigned port = 0; port < s->port_count; port++) {
        if (changed & s->ready & BIT(port)) {
            s->due[port] |= BIT(PORT_OPEN);
        }
    }
    host_has_news(s);
}

static uint64_t guest_open_read(const void *state, unsigned index)
{
    (void)index;
    return ((const struct virtio_console *)state)->guest_open;
}

#define SHOWN(label, words, place, bytes, reader)                                                  \
    {                                                                                              \
        .name = (label), .title = (words), .section = "5.3.4", .at = (place), .size = (bytes),     \
        .read = (reader)                                                                           \
    }

static const DevemuReg config_regs[] = {
    SHOWN("cols", "Columns of the console", 0, 2, cols_read),
    SHOWN("rows", "Rows of the console", 2, 2, rows_read),
    SHOWN("max_nr_ports", "Greatest number of ports", 4, 4, ports_read),
    {.name = "emerg_wr",
     .title = "A character for port 0, without a queue",
     .section = "5.3.4",
     .at = 8,
     .size = 4,
     .wo = UINT32_MAX,
     .wrote = emerg_wrote},
};

#define SIZE(label, words, place, field, value)                                                    \
    {                                                                                              \
        .name = (label), .title = (words), .section = "ours", .at = (place), .size = 2,            \
        DEVEMU_IN(struct virtio_console, field), .reset = (value), .keep_hard = 0xffff,            \
        .keep_soft = 0xffff, .wrote = size_wrote                                                   \
    }
#define MASK(label, words, place, reader, writer)                                                  \
    {                                                                                              \
        .name = (label), .title = (words), .section = "ours", .at = (place), .size = 4,            \
        .read = (reader), .wrote = (writer)                                                        \
    }

static const DevemuReg host_regs[] = {
    SIZE("cols", "Columns of the console", 0, cols, 80),
    SIZE("rows", "Rows of the console", 2, rows, 25),
    MASK("ports", "Ports that are there, by bits", 4, plugged_read, plugged_wrote),
    MASK("open", "Ports that are open on the host's side", 8, open_read, open_wrote),
    MASK("guest_open", "Ports that are open on the guest's side", 12, guest_open_read, NULL),
};

static const DevemuBank banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config",
                              .kind = DEVEMU_BANK_MMIO,
                              .size = 12,
                              .regs = config_regs,
                              .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                              .lanes = true},
    [BANK_HOST] = {.name = "host",
                   .kind = DEVEMU_BANK_MMIO,
                   .size = 16,
                   .regs = host_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(host_regs)},
};

/* --- reset, snapshots --------------------------------------------------------------------- */

static bool console_configure(void *state, const char **ret_property, const char **ret_message)
{
    const struct virtio_console *s = state;

    if (s->console_count > s->port_count) {
        *ret_property = "consoles";
        *ret_message = "must be at most the number of ports";
        return false;
    }
    return virtio_configure(state, ret_property, ret_message);
}

static void console_reset(void *state, DevemuReset kind)
{
    struct virtio_console *s = state;

    virtio_reset(state, kind);
    s->added = s->ready = s->guest_open = s->starved = 0;
    s->driver_ready = false;
    memset(s->due, 0, sizeof(s->due));
    if (kind == DEVEMU_RESET_POWER) {
        s->plugged = s->host_open = all_ports(s);
    }
}

static bool console_valid(const void *state)
{
    const struct virtio_console *s = state;
    uint32_t known = s->plugged | s->host_open | s->added | s->starved;

    for (unsigned i = 0; i <= PORTS_MAX; i++) {
        if (s->due[i] & ~(BIT(CONSOLE_PORT) | BIT(RESIZE) | BIT(PORT_OPEN) | BIT(PORT_NAME))) {
            return false;
        }
    }
    return (known & ~all_ports(s)) == 0 && ((s->ready | s->guest_open) & ~s->added) == 0 &&
           virtio_valid(state);
}

static const DevemuField fields[] = {
    VIRTIO_FIELDS,
    DEVEMU_SAVE(struct virtio_console, plugged),
    DEVEMU_SAVE(struct virtio_console, host_open),
    DEVEMU_SAVE(struct virtio_console, added),
    DEVEMU_SAVE(struct virtio_console, ready),
    DEVEMU_SAVE(struct virtio_console, guest_open),
    DEVEMU_SAVE(struct virtio_console, starved),
    DEVEMU_SAVE_ARRAY(struct virtio_console, due),
    DEVEMU_SAVE(struct virtio_console, driver_ready),
    DEVEMU_SKIP(struct virtio_console, unused_1),
    {0},
};

static const DevemuTimer timers[] = {VIRTIO_TIMERS, {0}};

static const DevemuProperty properties[] = {
    VIRTIO_PROPERTIES,
    {.name = "ports",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct virtio_console, port_count),
     .value = "1",
     .min = 1,
     .max = PORTS_MAX,
     .doc = "Number of ports; more than one need a driver that knows MULTIPORT."},
    {.name = "consoles",
     .type = DEVEMU_PROPERTY_UINT,
     DEVEMU_OPTION(struct virtio_console, console_count),
     .value = "1",
     .max = PORTS_MAX,
     .doc = "How many of the ports, from port 0 on, are consoles; the others are generic."},
    {.name = "names",
     .type = DEVEMU_PROPERTY_TEXT,
     DEVEMU_OPTION(struct virtio_console, names),
     .doc = "Names of the ports from port 0 on, with colons between them."},
    {0},
};

static const DevemuVirtio virtio = {
    .device_id = 3,
    .transitional_id = 0x1003,
    .class_code = 0x078000,
    .in_order = true,
    .offer = console_offer,
    .queue_size = console_queue_size,
    .process = console_process,
};

const DevemuModel devemu_model_virtio_console = {
    .name = "virtio-console",
    .title = "virtio console device",
    .datasheet = "OASIS Virtual I/O Device 1.4, 5.3",
    .not_modelled = "big-endian legacy drivers",
    .state_size = sizeof(struct virtio_console),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .configure = console_configure,
    .reset = console_reset,
    .saving = virtio_saving,
    .valid = console_valid,
    .loaded = virtio_loaded,
    .receive = console_receive,
    .receive_port = receive_port,
    .writable = console_writable,
    .ports = console_ports,
    .ready = console_ready,
    .virtio = &virtio,
    .is_char = true,
};
