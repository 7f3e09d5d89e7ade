/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * input.c: virtio input device (virtio 1.4, 5.8): a keyboard, a mouse or a tablet.
 *
 * What devemu_device_input() brings becomes one report, which ends with SYN_REPORT. A report is
 * shown to the driver as a whole or waits in a bounded store; one that does not fit is dropped as a
 * whole. The keyboard's lamps are output lines. Types and codes are those of Linux's
 * input-event-codes.h.
 *
 * Not modelled: touch screens, joysticks.
 */
#include "virtio.h"

enum {
    EVENTQ,
    STATUSQ,
    QUEUES,
    QUEUE_SIZE = 64,
    EVENT_BYTES = 8,
    STORE = 128,    /* events */
    REPORT_MAX = 4, /* x, y, wheel, SYN */

    CFG_ID_NAME = 0x01,
    CFG_ID_SERIAL = 0x02,
    CFG_ID_DEVIDS = 0x03,
    CFG_PROP_BITS = 0x10,
    CFG_EV_BITS = 0x11,
    CFG_ABS_INFO = 0x12,
    CFG_BYTES = 128,

    EV_SYN = 0x00,
    EV_KEY = 0x01,
    EV_REL = 0x02,
    EV_ABS = 0x03,
    EV_LED = 0x11,
    EV_REP = 0x14,
    AXIS_X = 0x00,
    AXIS_Y = 0x01,
    REL_WHEEL = 0x08,
    BTN_LEFT = 0x110,
    BUTTONS = 3,
    KEY_MAX = 248, /* the last key before the buttons: KEY_MICMUTE */
    LEDS = 3,      /* NUML, CAPSL, SCROLLL */

    BUS_VIRTUAL = 0x06,
    PLACE_MAX = 32767,
};

enum {
    KEYBOARD,
    MOUSE,
    TABLET,
};

struct virtio_input {
    VirtioDevice v;
    uint64_t store[STORE]; /* type | code << 16 | value << 32; whole reports */
    uint16_t first, count; /* of the store */
    uint8_t select, subsel;
    uint8_t leds;
    uint8_t unused;

    /* Properties. */
    uint16_t kind;
    char name[CFG_BYTES], serial[CFG_BYTES];
    uint8_t unused_2[6];
};

typedef struct Report {
    uint64_t events[REPORT_MAX];
    unsigned count;
} Report;

/* --- events: 5.8.6 ------------------------------------------------------------------------- */

static uint64_t event(unsigned type, unsigned code, int value)
{
    return type | (uint64_t)code << 16 | (uint64_t)(uint32_t)value << 32;
}

static void add(Report *report, unsigned type, unsigned code, int value)
{
    report->events[report->count++] = event(type, code, value);
}

/* The events of the report that begins the store, with its SYN. */
static unsigned report_len(const struct virtio_input *s)
{
    unsigned n = 0;

    while (n < s->count && (s->store[(s->first + n) % STORE] & 0xffff) != EV_SYN) {
        n++;
    }
    return n + 1;
}

/* 5.8.6.2: all events of a report, or none yet. */
static bool deliver_report(struct virtio_input *s, DevemuVirtqueue *q)
{
    DevemuVirtqueueChain chains[REPORT_MAX];
    uint32_t written[REPORT_MAX];
    unsigned len = report_len(s), n = 0;

    for (; n < len; n++) {
        uint8_t bytes[EVENT_BYTES];

        if (devemu_virtqueue_pop(q, &chains[n], 1) == 0 &&
            (!devemu_virtqueue_listen(q) || devemu_virtqueue_pop(q, &chains[n], 1) == 0)) {
            devemu_virtqueue_unpop(q, chains, n);
            return false;
        }
        devemu_put_le64(bytes, s->store[(s->first + n) % STORE]);
        written[n] = (uint32_t)devemu_virtqueue_write(q, &chains[n], 0, bytes, sizeof(bytes));
    }
    for (unsigned i = 0; i < len; i++) {
        devemu_virtqueue_push(q, &chains[i], written[i]);
    }
    s->first = (uint16_t)((s->first + len) % STORE);
    s->count = (uint16_t)(s->count - len);
    return true;
}

static void deliver(struct virtio_input *s)
{
    DevemuVirtqueue *q = virtio_ready(&s->v, EVENTQ);

    if (q == NULL) {
        return;
    }
    while (s->count > 0 && deliver_report(s, q)) {
        continue;
    }
    virtio_flush(&s->v, EVENTQ);
}

/* Without a driver nobody is there to look. */
static void put_report(struct virtio_input *s, Report *report)
{
    if (report->count == 0 || !virtio_running(&s->v)) {
        return;
    }
    add(report, EV_SYN, 0, 0);
    if (s->count + report->count > STORE) {
        return;
    }
    for (unsigned i = 0; i < report->count; i++) {
        s->store[(s->first + s->count++) % STORE] = report->events[i];
    }
    if (!virtio_put_off(&s->v, EVENTQ)) {
        deliver(s);
    }
}

/* The wheel's number grows towards the person (as a PS/2 mouse's), REL_WHEEL's away. */
static void add_motion(Report *report, const DevemuInput *input, bool axes)
{
    if (axes && input->x != 0) {
        add(report, EV_REL, AXIS_X, input->x);
    }
    if (axes && input->y != 0) {
        add(report, EV_REL, AXIS_Y, input->y);
    }
    if (input->z != 0) {
        add(report, EV_REL, REL_WHEEL, (int)-(unsigned)input->z);
    }
}

static int on_screen(int at)
{
    return at < 0 ? 0 : at > PLACE_MAX ? PLACE_MAX : at;
}

/* What this kind of device cannot feel is not for it. */
static void input_input(void *state, const DevemuInput *input)
{
    struct virtio_input *s = state;
    bool keyboard = s->kind == KEYBOARD;
    Report report = {.count = 0};

    if (input->kind == DEVEMU_INPUT_KEY && keyboard && input->code >= 1 && input->code <= KEY_MAX) {
        add(&report, EV_KEY, input->code, input->value != 0);
    } else if (input->kind == DEVEMU_INPUT_BUTTON && !keyboard && input->code < BUTTONS) {
        add(&report, EV_KEY, BTN_LEFT + input->code, input->value != 0);
    } else if (input->kind == DEVEMU_INPUT_MOVE && !keyboard) {
        add_motion(&report, input, s->kind == MOUSE);
    } else if (input->kind == DEVEMU_INPUT_PLACE && s->kind == TABLET) {
        add(&report, EV_ABS, AXIS_X, on_screen(input->x));
        add(&report, EV_ABS, AXIS_Y, on_screen(input->y));
    }
    put_report(s, &report);
}

/* Lamps; others are not there. */
static bool status(void *state, unsigned queue, const DevemuVirtqueueChain *chain,
                   uint32_t *ret_written)
{
    struct virtio_input *s = state;
    uint8_t bytes[EVENT_BYTES];
    unsigned code;

    (void)ret_written;
    if (devemu_virtqueue_read(devemu_virtio_queue(s->v.dev, queue), chain, 0, bytes,
                              sizeof(bytes)) < sizeof(bytes)) {
        devemu_guest_error(s->v.dev, "statusq: the buffer is shorter than an event");
        return true;
    }
    code = devemu_le16(bytes + 2);
    if (s->kind == KEYBOARD && devemu_le16(bytes) == EV_LED && code < LEDS) {
        uint8_t bit = (uint8_t)(1u << code);

        s->leds = devemu_le32(bytes + 4) ? s->leds | bit : s->leds & (uint8_t)~bit;
    }
    return true;
}

static void input_process(void *state, unsigned queue)
{
    if (queue == STATUSQ) {
        virtio_each(state, queue, status);
    } else {
        deliver(state);
    }
}

static uint64_t input_lines(const void *state)
{
    return ((const struct virtio_input *)state)->leds;
}

/* --- what the device is: 5.8.4 -------------------------------------------------------------- */

static const char *const kind_names[] = {"keyboard", "mouse", "tablet", NULL};

/* Strings come without their NUL. */
static unsigned put_string(uint8_t *to, const char *text)
{
    const char *end = memchr(text, 0, CFG_BYTES);
    unsigned len = end ? (unsigned)(end - text) : CFG_BYTES;

    memcpy(to, text, len);
    return len;
}

static unsigned put_name(const struct virtio_input *s, uint8_t *to)
{
    static const char prefix[] = "virtio ";
    const unsigned prefix_len = sizeof(prefix) - 1;
    const char *kind = kind_names[s->kind];
    unsigned len = 0;

    if (s->name[0]) {
        return put_string(to, s->name);
    }
    memcpy(to, prefix, prefix_len);
    for (; kind[len]; len++) {
        to[prefix_len + len] = (uint8_t)kind[len];
    }
    return prefix_len + len;
}

static unsigned put_devids(const struct virtio_input *s, uint8_t *to)
{
    devemu_put_le16(to, BUS_VIRTUAL);
    devemu_put_le16(to + 2, 0);
    devemu_put_le16(to + 4, (uint16_t)(s->kind + 1));
    devemu_put_le16(to + 6, 1);
    return 8;
}

static unsigned put_keys(const struct virtio_input *s, uint8_t *to)
{
    if (s->kind != KEYBOARD) {
        to[BTN_LEFT / 8] = (1 << BUTTONS) - 1;
        return BTN_LEFT / 8 + 1;
    }
    for (unsigned key = 1; key <= KEY_MAX; key++) {
        to[key / 8] |= (uint8_t)(1 << key % 8);
    }
    return KEY_MAX / 8 + 1;
}

static unsigned put_event_bits(const struct virtio_input *s, uint8_t *to)
{
    bool keyboard = s->kind == KEYBOARD;

    if (s->subsel == EV_KEY) {
        return put_keys(s, to);
    }
    if (s->subsel == EV_REL && !keyboard) {
        to[0] = s->kind == MOUSE ? 1 << AXIS_X | 1 << AXIS_Y : 0;
        to[1] = 1 << (REL_WHEEL - 8);
        return 2;
    }
    if (s->subsel == EV_ABS && s->kind == TABLET) {
        to[0] = 1 << AXIS_X | 1 << AXIS_Y;
        return 1;
    }
    if (s->subsel == EV_LED && keyboard) {
        to[0] = (1 << LEDS) - 1;
        return 1;
    }
    /* The driver's system repeats keys: delay and period. */
    if (s->subsel == EV_REP && keyboard) {
        to[0] = 3;
        return 1;
    }
    return 0;
}

/* 5.8.5.2: size is 0 for what is not there. */
static unsigned config_data(const struct virtio_input *s, uint8_t *to)
{
    memset(to, 0, CFG_BYTES);
    if (s->select == CFG_EV_BITS) {
        return put_event_bits(s, to);
    }
    if (s->select == CFG_ABS_INFO) {
        if (s->kind != TABLET || s->subsel > AXIS_Y) {
            return 0;
        }
        devemu_put_le32(to + 4, PLACE_MAX);
        return 20;
    }
    if (s->subsel != 0) {
        return 0;
    }
    switch (s->select) {
    case CFG_ID_NAME:
        return put_name(s, to);
    case CFG_ID_SERIAL:
        return put_string(to, s->serial);
    case CFG_ID_DEVIDS:
        return put_devids(s, to);
    case CFG_PROP_BITS:
        to[0] = s->kind == MOUSE; /* INPUT_PROP_POINTER */
        return s->kind == MOUSE;
    default:
        return 0;
    }
}

static uint64_t size_read(const void *state, unsigned index)
{
    uint8_t data[CFG_BYTES];

    (void)index;
    return config_data(state, data);
}

static uint64_t data_read(const void *state, unsigned index)
{
    uint8_t data[CFG_BYTES];

    config_data(state, data);
    return data[index];
}

static const DevemuReg config_regs[] = {
    {.name = "select",
     .title = "What is asked",
     .section = "5.8.4",
     .at = 0,
     .size = 1,
     DEVEMU_IN(struct virtio_input, select)},
    {.name = "subsel",
     .title = "Of which type or axis",
     .section = "5.8.4",
     .at = 1,
     .size = 1,
     DEVEMU_IN(struct virtio_input, subsel)},
    {.name = "size",
     .title = "Bytes of the answer",
     .section = "5.8.4",
     .at = 2,
     .size = 1,
     .read = size_read},
    {.name = "u",
     .title = "The answer",
     .section = "5.8.4",
     .at = 8,
     .size = 1,
     .count = CFG_BYTES,
     .read = data_read},
};

static const DevemuBank banks[] = {
    VIRTIO_BANKS,
    [DEVEMU_VIRTIO_CONFIG] = {.name = "config",
                              .kind = DEVEMU_BANK_MMIO,
                              .size = 8 + CFG_BYTES,
                              .regs = config_regs,
                              .reg_count = DEVEMU_N_ELEMENTS(config_regs),
                              .lanes = true},
};

/* --- the rest --------------------------------------------------------------------------------- */

static uint64_t input_offer(const void *state)
{
    (void)state;
    return 0;
}

static unsigned input_queue_size(const void *state, unsigned queue)
{
    (void)state;
    return queue < QUEUES ? QUEUE_SIZE : 0;
}

static void input_reset(void *state, DevemuReset kind)
{
    struct virtio_input *s = state;

    virtio_reset(state, kind);
    memset(s->store, 0, sizeof(s->store));
    s->first = s->count = 0;
    s->leds = 0;
}

/* The store holds whole reports, none of them longer than one can be. */
static bool input_valid(const void *state)
{
    const struct virtio_input *s = state;
    unsigned len = 0;

    if (s->first >= STORE || s->count > STORE || s->leds >= 1 << LEDS) {
        return false;
    }
    for (unsigned i = 0; i < s->count; i++) {
        len = (s->store[(s->first + i) % STORE] & 0xffff) == EV_SYN ? 0 : len + 1;
        if (len >= REPORT_MAX) {
            return false;
        }
    }
    return len == 0 && virtio_valid(state);
}

static const DevemuField fields[] = {
    VIRTIO_FIELDS,
    DEVEMU_SAVE_ARRAY(struct virtio_input, store),
    DEVEMU_SAVE(struct virtio_input, first),
    DEVEMU_SAVE(struct virtio_input, count),
    DEVEMU_SAVE(struct virtio_input, leds),
    DEVEMU_SKIP(struct virtio_input, unused),
    DEVEMU_SKIP(struct virtio_input, unused_2),
    {0},
};

static const DevemuTimer timers[] = {VIRTIO_TIMERS, {0}};

static const DevemuProperty properties[] = {
    VIRTIO_PROPERTIES,
    {.name = "kind",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct virtio_input, kind),
     .choices = kind_names,
     .value = "keyboard",
     .doc = "What it is."},
    {.name = "name",
     .type = DEVEMU_PROPERTY_TEXT,
     DEVEMU_OPTION(struct virtio_input, name),
     .doc = "Its name; empty: one after its kind."},
    {.name = "serial",
     .type = DEVEMU_PROPERTY_TEXT,
     DEVEMU_OPTION(struct virtio_input, serial),
     .doc = "Its serial number."},
    {0},
};

static const char *const outputs[] = {"NUML", "CAPSL", "SCROLLL", NULL};

static const DevemuVirtio virtio = {
    .device_id = 18,
    .class_code = 0x098000, /* another input controller */
    .in_order = true,
    .offer = input_offer,
    .queue_size = input_queue_size,
    .process = input_process,
};

const DevemuModel devemu_model_virtio_input = {
    .name = "virtio-input",
    .title = "virtio input device: keyboard, mouse or tablet",
    .datasheet = "OASIS Virtual I/O Device 1.4, 5.8",
    .not_modelled = "touch screens, joysticks",
    .state_size = sizeof(struct virtio_input),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = input_lines,
    .configure = virtio_configure,
    .reset = input_reset,
    .saving = virtio_saving,
    .valid = input_valid,
    .loaded = virtio_loaded,
    .input = input_input,
    .virtio = &virtio,
};
