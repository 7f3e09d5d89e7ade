/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ps2-mouse.c: the mouse of ps2.h, with the IntelliMouse's wheel.
 *
 * Not modelled: IntelliMouse Explorer (five buttons); resolution does not scale what the host
 * gives, since those are counts already; the self test's report after power-on.
 */
#include "ps2.h"

/* Commands (MS "Commands"). */
enum {
    CMD_SCALING_1_1 = 0xe6,
    CMD_SCALING_2_1 = 0xe7,
    CMD_RESOLUTION = 0xe8,
    CMD_STATUS = 0xe9,
    CMD_STREAM = 0xea,
    CMD_READ = 0xeb,
    CMD_RESET_WRAP = 0xec,
    CMD_WRAP = 0xee,
    CMD_REMOTE = 0xf0,
    CMD_ID = 0xf2,
    CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULT = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
};

#define PS2_MOUSE_ERROR 0xfc /* MS: the answer to a second bad byte in a row */

enum {
    BUTTON_LEFT = 1 << 0,
    BUTTON_RIGHT = 1 << 1,
    BUTTON_MIDDLE = 1 << 2,
    BUTTONS = 7,
};

/* First byte of a packet (MS "Data Packet Format"). */
enum {
    PACKET_ONE = 1 << 3,
    PACKET_X_SIGN = 1 << 4,
    PACKET_Y_SIGN = 1 << 5,
};

/* First byte of the status (MS command E9h). Its buttons are in another order. */
enum {
    STATUS_RIGHT = 1 << 0,
    STATUS_MIDDLE = 1 << 1,
    STATUS_LEFT = 1 << 2,
    STATUS_SCALING = 1 << 4,
    STATUS_ENABLED = 1 << 5,
    STATUS_REMOTE = 1 << 6,
};

enum {
    ID_PLAIN = 0,
    ID_WHEEL = 3,
};

#define RATE_DEFAULT       100
#define RESOLUTION_DEFAULT 2
#define RESOLUTION_MAX     3
#define COUNT_MAX          255
#define COUNT_MIN          (-256)
#define WHEEL_MAX          7
#define WHEEL_MIN          (-8)

#define NS_PER_S UINT64_C(1000000000)
#define BAT_NS   UINT64_C(400000000) /* MS "Reset": 300 to 500 ms */

static const uint8_t rates[] = {10, 20, 40, 60, 80, 100, 200};

/* --- packets ----------------------------------------------------------------------- */

static int clamp(int value, int min, int max)
{
    return value < min ? min : value > max ? max : value;
}

/* What a counter gives to one packet. The rest stays for the next one (chosen: a host's steps can
 * be greater than a ball's within a sample; IBM's mouse would set the overflow bit and lose it). */
static int take_count(int16_t *counter, int min, int max)
{
    int part = clamp(*counter, min, max);

    *counter = (int16_t)(*counter - part);
    return part;
}

/* MS command E7h: in stream mode counts are converted, 1 to 5 by a table, from 6 on doubled. */
static int scaled(const struct ps2_mouse *mouse, int count)
{
    static const uint8_t table[] = {0, 1, 1, 3, 6, 9};
    int size = count < 0 ? -count : count;

    if (!mouse->scaling || mouse->remote) {
        return count;
    }
    size = size < (int)DEVEMU_N_ELEMENTS(table) ? table[size] : size * 2;
    return clamp(count < 0 ? -size : size, COUNT_MIN, COUNT_MAX);
}

static size_t packet(struct ps2_mouse *mouse, uint8_t *bytes)
{
    int dx = scaled(mouse, take_count(&mouse->dx, COUNT_MIN, COUNT_MAX));
    int dy = scaled(mouse, take_count(&mouse->dy, COUNT_MIN, COUNT_MAX));
    uint8_t buttons = mouse->buttons | mouse->clicked;

    mouse->clicked = 0;
    mouse->reported = buttons;
    bytes[0] = (uint8_t)(PACKET_ONE | buttons | (dx < 0 ? PACKET_X_SIGN : 0) |
                         (dy < 0 ? PACKET_Y_SIGN : 0));
    bytes[1] = (uint8_t)dx;
    bytes[2] = (uint8_t)dy;
    if (mouse->id != ID_WHEEL) {
        mouse->dz = 0;
        return 3;
    }
    /* IM: towards the user is positive. */
    bytes[3] = (uint8_t)-take_count(&mouse->dz, -WHEEL_MAX, -WHEEL_MIN);
    return 4;
}

static bool news(const struct ps2_mouse *mouse)
{
    return mouse->dx != 0 || mouse->dy != 0 || (mouse->dz != 0 && mouse->id == ID_WHEEL) ||
           mouse->clicked || mouse->buttons != mouse->reported;
}

static bool streaming(const struct ps2_mouse *mouse)
{
    return mouse->enabled && !mouse->remote && !mouse->wrap && !mouse->bat && mouse->command == 0;
}

static void remember(struct ps2_mouse *mouse, const uint8_t *bytes, size_t count)
{
    memcpy(mouse->out.last, bytes, count);
    mouse->out.last_count = (uint8_t)count;
}

/* MS "Stream Mode": a packet at most once in a sample, and none before the last one was taken. */
static void stream(struct ps2_mouse *mouse, uint64_t now_ns)
{
    uint8_t bytes[4];
    size_t count;

    if (!streaming(mouse) || !news(mouse) || mouse->sample_ns != DEVEMU_NEVER ||
        ps2_has(&mouse->out)) {
        return;
    }
    count = packet(mouse, bytes);
    ps2_queue(&mouse->out, bytes, count);
    remember(mouse, bytes, count);
    mouse->sample_ns = now_ns + NS_PER_S / mouse->rate;
}

void ps2_mouse_sample(struct ps2_mouse *mouse, uint64_t now_ns)
{
    stream(mouse, now_ns);
}

uint8_t ps2_mouse_take(struct ps2_mouse *mouse, uint64_t now_ns)
{
    uint8_t byte = ps2_out_take(&mouse->out);

    stream(mouse, now_ns);
    return byte;
}

/* --- movement ---------------------------------------------------------------------- */

static int16_t add(int16_t counter, int delta)
{
    return (int16_t)clamp(counter + clamp(delta, -INT16_MAX, INT16_MAX), -INT16_MAX, INT16_MAX);
}

void ps2_mouse_move(struct ps2_mouse *mouse, int dx, int dy, int dz, uint64_t now_ns)
{
    /* A mouse that nobody asks for packets counts nothing (chosen); one in remote mode does. */
    if (!mouse->enabled && !mouse->remote) {
        return;
    }
    mouse->dx = add(mouse->dx, dx);
    mouse->dy = add(mouse->dy, dy);
    mouse->dz = add(mouse->dz, dz);
    stream(mouse, now_ns);
}

void ps2_mouse_button(struct ps2_mouse *mouse, unsigned button, bool press, uint64_t now_ns)
{
    static const uint8_t masks[] = {BUTTON_LEFT, BUTTON_RIGHT, BUTTON_MIDDLE};

    if (button >= DEVEMU_N_ELEMENTS(masks)) {
        return;
    }
    if (press) {
        mouse->buttons |= masks[button];
        mouse->clicked |= streaming(mouse) ? masks[button] : 0;
    } else {
        mouse->buttons &= (uint8_t)~masks[button];
    }
    stream(mouse, now_ns);
}

/* --- commands ---------------------------------------------------------------------- */

static void clear_counters(struct ps2_mouse *mouse)
{
    mouse->dx = 0;
    mouse->dy = 0;
    mouse->dz = 0;
    mouse->clicked = 0;
    mouse->reported = mouse->buttons;
}

/* MS command F6h. */
static void defaults(struct ps2_mouse *mouse)
{
    mouse->rate = RATE_DEFAULT;
    mouse->resolution = RESOLUTION_DEFAULT;
    mouse->scaling = 0;
    mouse->remote = 0;
    mouse->wrap = 0;
    mouse->enabled = 0;
    mouse->sample_ns = DEVEMU_NEVER;
    clear_counters(mouse);
}

static void reply(struct ps2_mouse *mouse, uint8_t byte)
{
    ps2_reply(&mouse->out, byte);
}

void ps2_mouse_bat_done(struct ps2_mouse *mouse)
{
    mouse->bat = 0;
    reply(mouse, PS2_BAT_OK);
    reply(mouse, mouse->id);
}

static void reset(struct ps2_mouse *mouse, uint64_t now_ns, bool slow)
{
    defaults(mouse);
    mouse->id = ID_PLAIN;
    memset(mouse->rates, 0, sizeof(mouse->rates));
    reply(mouse, PS2_ACK);
    if (slow) {
        mouse->bat = 1;
        mouse->bat_ns = now_ns + BAT_NS;
    } else {
        ps2_mouse_bat_done(mouse);
    }
}

static void command_scaling(struct ps2_mouse *mouse, uint8_t command)
{
    mouse->scaling = command == CMD_SCALING_2_1;
}

static void command_parameter(struct ps2_mouse *mouse, uint8_t command)
{
    mouse->command = command;
}

static void command_status(struct ps2_mouse *mouse, uint8_t command)
{
    uint8_t status = 0;

    (void)command;
    status |= mouse->buttons & BUTTON_RIGHT ? STATUS_RIGHT : 0;
    status |= mouse->buttons & BUTTON_MIDDLE ? STATUS_MIDDLE : 0;
    status |= mouse->buttons & BUTTON_LEFT ? STATUS_LEFT : 0;
    status |= mouse->scaling ? STATUS_SCALING : 0;
    status |= mouse->enabled ? STATUS_ENABLED : 0;
    status |= mouse->remote ? STATUS_REMOTE : 0;
    reply(mouse, status);
    reply(mouse, mouse->resolution);
    reply(mouse, mouse->rate);
}

static void command_mode(struct ps2_mouse *mouse, uint8_t command)
{
    mouse->remote = command == CMD_REMOTE;
    clear_counters(mouse);
}

static void command_read(struct ps2_mouse *mouse, uint8_t command)
{
    uint8_t bytes[4];
    size_t count = packet(mouse, bytes);

    (void)command;
    for (size_t i = 0; i < count; i++) {
        reply(mouse, bytes[i]);
    }
}

static void command_wrap(struct ps2_mouse *mouse, uint8_t command)
{
    mouse->wrap = command == CMD_WRAP;
    clear_counters(mouse);
}

static void command_id(struct ps2_mouse *mouse, uint8_t command)
{
    (void)command;
    reply(mouse, mouse->id);
}

static void command_enable(struct ps2_mouse *mouse, uint8_t command)
{
    mouse->enabled = command == CMD_ENABLE;
    mouse->sample_ns = DEVEMU_NEVER;
    clear_counters(mouse);
}

static void command_default(struct ps2_mouse *mouse, uint8_t command)
{
    (void)command;
    defaults(mouse);
}

static const struct {
    uint8_t byte;
    void (*run)(struct ps2_mouse *mouse, uint8_t command);
} commands[] = {
    {CMD_SCALING_1_1, command_scaling},  {CMD_SCALING_2_1, command_scaling},
    {CMD_RESOLUTION, command_parameter}, {CMD_STATUS, command_status},
    {CMD_STREAM, command_mode},          {CMD_READ, command_read},
    {CMD_RESET_WRAP, command_wrap},      {CMD_WRAP, command_wrap},
    {CMD_REMOTE, command_mode},          {CMD_ID, command_id},
    {CMD_RATE, command_parameter},       {CMD_ENABLE, command_enable},
    {CMD_DISABLE, command_enable},       {CMD_DEFAULT, command_default},
};

/* MS "Error Handling": Resend for a bad byte, Error for a second one. */
static void bad(struct ps2_mouse *mouse)
{
    reply(mouse, mouse->error ? PS2_MOUSE_ERROR : PS2_RESEND);
    mouse->error = 1;
}

static bool rate_known(uint8_t rate)
{
    for (size_t i = 0; i < sizeof(rates); i++) {
        if (rates[i] == rate) {
            return true;
        }
    }
    return false;
}

/* IM: the rates 200, 100, 80 in a row turn the wheel on. */
static void knock(struct ps2_mouse *mouse, uint8_t rate)
{
    if (mouse->rates[0] == 200 && mouse->rates[1] == 100 && rate == 80) {
        mouse->id = ID_WHEEL;
    }
    mouse->rates[0] = mouse->rates[1];
    mouse->rates[1] = rate;
}

static void parameter(struct ps2_mouse *mouse, uint8_t command, uint8_t value)
{
    bool ok = command == CMD_RATE ? rate_known(value) : value <= RESOLUTION_MAX;

    if (!ok) {
        /* A second try is the parameter again. */
        mouse->command = mouse->error ? 0 : command;
        bad(mouse);
        return;
    }
    if (command == CMD_RATE) {
        mouse->rate = value;
        knock(mouse, value);
    } else {
        mouse->resolution = value;
    }
    mouse->error = 0;
    reply(mouse, PS2_ACK);
}

static void command_run(struct ps2_mouse *mouse, uint8_t byte)
{
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(commands); i++) {
        if (commands[i].byte == byte) {
            mouse->error = 0;
            reply(mouse, PS2_ACK);
            commands[i].run(mouse, byte);
            return;
        }
    }
    bad(mouse);
}

void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte, uint64_t now_ns, bool slow)
{
    uint8_t command = mouse->command;

    if (mouse->bat) {
        return; /* nobody listens during the self test */
    }
    /* A packet under way is given up: what follows is the answer. */
    ps2_flush(&mouse->out);
    mouse->command = 0;
    if (byte == CMD_RESEND) {
        ps2_repeat_last(&mouse->out);
        return;
    }
    if (byte == CMD_RESET) {
        reset(mouse, now_ns, slow);
    } else if (mouse->wrap && byte != CMD_RESET_WRAP) {
        reply(mouse, byte); /* MS "Wrap Mode": everything but two commands comes back */
    } else if (command != 0 && byte < CMD_SCALING_1_1) {
        parameter(mouse, command, byte);
    } else {
        command_run(mouse, byte);
    }
    remember(mouse, mouse->out.replies, mouse->out.reply_count);
}

/* --- life -------------------------------------------------------------------------- */

void ps2_mouse_power(struct ps2_mouse *mouse)
{
    ps2_flush(&mouse->out);
    defaults(mouse);
    mouse->id = ID_PLAIN;
    mouse->command = 0;
    mouse->error = 0;
    mouse->bat = 0;
    mouse->bat_ns = DEVEMU_NEVER;
}

bool ps2_mouse_valid(const struct ps2_mouse *mouse)
{
    return ps2_out_valid(&mouse->out) && (mouse->id == ID_PLAIN || mouse->id == ID_WHEEL) &&
           rate_known(mouse->rate) && mouse->resolution <= RESOLUTION_MAX &&
           ((mouse->buttons | mouse->clicked | mouse->reported) & ~BUTTONS) == 0 &&
           (mouse->bat != 0) == (mouse->bat_ns != DEVEMU_NEVER);
}
