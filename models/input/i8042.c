/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8042.c: the keyboard and auxiliary device controller of the PS/2, an Intel 8042 with IBM's
 * program, and the keyboard and the mouse that hang on it (ps2.h).
 *
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary
 * Device Controller" ("HITR").
 *
 * Not modelled: the 8042 itself and its program; the password (no password is ever installed) and
 * the diagnostic dump; polling of the input port by C1h and C2h; parity errors; the other bits of
 * the output port as outputs; a keyboard that is not there.
 *
 * Output lines LED_* are the lamps of the keyboard.
 */
#include "i8042.h"

#define CODE_BREAK 0xf0

enum {
    LINE_IRQ1,
    LINE_IRQ12,
    LINE_A20,
    LINE_RESET,
    LINE_LED_SCROLL,
    LINE_LED_NUM,
    LINE_LED_CAPS,
};

/* --- from the devices to the output buffer ----------------------------------------- */

static unsigned source(const struct i8042 *c)
{
    if (!(c->ram[0] & CCB_KBD_OFF) && ps2_has(&c->kbd.out)) {
        return PORT_KBD;
    }
    if (!(c->ram[0] & CCB_AUX_OFF) && ps2_has(&c->mouse.out)) {
        return PORT_AUX;
    }
    return PORT_NONE;
}

void i8042_put_output(struct i8042 *c, uint8_t byte, bool aux)
{
    c->output = byte;
    c->obf = 1;
    c->obf_aux = aux;
}

static void deliver(struct i8042 *c, uint64_t now);

/* While the output buffer is full the clocks are held, and devices wait (HITR "Output Buffer"). */
void i8042_fetch(struct i8042 *c, uint64_t from, uint64_t gap)
{
    if (c->obf || c->fetch_ns != DEVEMU_NEVER || source(c) == PORT_NONE) {
        return;
    }
    if (i8042_slow(c)) {
        gap = BYTE_NS;
    }
    if (gap > 0) {
        c->fetch_ns = from + gap;
    } else {
        deliver(c, from);
    }
}

/* HITR "Controller Command Byte" bit 6: set 2 becomes set 1, F0h becomes bit 7 of what follows. */
static bool translated(struct i8042 *c, uint8_t *byte)
{
    if (!(c->ram[0] & CCB_TRANSLATE)) {
        c->release = 0;
        return true;
    }
    if (*byte == CODE_BREAK) {
        c->release = 1;
        return false;
    }
    *byte = ps2_set2_to_set1[*byte] | (c->release ? 0x80 : 0);
    c->release = 0;
    return true;
}

/* A byte is in. With translation it may say nothing yet: then the next one follows. */
static void deliver(struct i8042 *c, uint64_t now)
{
    for (unsigned i = 0; i <= PS2_BUFFER + PS2_REPLIES; i++) {
        unsigned port = c->obf ? PORT_NONE : source(c);
        uint8_t byte;

        if (port == PORT_NONE) {
            return;
        }
        if (port == PORT_AUX) {
            i8042_put_output(c, ps2_mouse_take(&c->mouse, now), true);
            return;
        }
        byte = ps2_kbd_take(&c->kbd);
        if (translated(c, &byte)) {
            i8042_put_output(c, byte, false);
            return;
        }
        if (i8042_slow(c)) {
            i8042_fetch(c, now, 0);
            return;
        }
    }
}

static void fetched(void *state, uint64_t due_ns)
{
    deliver(state, due_ns);
}

/* --- to the devices ---------------------------------------------------------------- */

static void device_write(struct i8042 *c, unsigned port, uint8_t byte, uint64_t now)
{
    if (port == PORT_KBD) {
        ps2_kbd_write(&c->kbd, byte, now, i8042_slow(c));
    } else if (c->has_mouse) {
        ps2_mouse_write(&c->mouse, byte, now, i8042_slow(c));
    } else {
        /* HITR "Status Register" bit 6: nobody clocked the byte in; FEh stands in its place. */
        c->timeout = 1;
        i8042_put_output(c, PS2_RESEND, true);
    }
    i8042_fetch(c, now, 0);
}

/* A byte for a device opens its interface. */
void i8042_send(struct i8042 *c, unsigned port, uint8_t byte)
{
    uint64_t now = devemu_now(c->dev);

    c->ram[0] &= (uint8_t) ~(port == PORT_KBD ? CCB_KBD_OFF : CCB_AUX_OFF);
    c->timeout = 0;
    if (i8042_slow(c)) {
        c->sending = (uint8_t)port;
        c->sent = byte;
        c->send_ns = now + BYTE_NS;
    } else {
        device_write(c, port, byte, now);
    }
}

static void send_done(void *state, uint64_t due_ns)
{
    struct i8042 *c = state;
    unsigned port = c->sending;

    c->sending = PORT_NONE;
    if (port != PORT_NONE) {
        device_write(c, port, c->sent, due_ns);
    }
}

/* --- register callbacks ------------------------------------------------------------ */

static uint64_t data_read(const void *state, unsigned index)
{
    const struct i8042 *c = state;

    (void)index;
    return c->output;
}

static void data_took(void *state, unsigned index)
{
    struct i8042 *c = state;

    (void)index;
    c->obf = 0;
    c->obf_aux = 0;
    i8042_fetch(c, devemu_now(c->dev), GAP_NS);
}

/* HITR "Input Buffer": neither port may be written while IBF is 1. */
static bool input_full(struct i8042 *c)
{
    if (c->sending == PORT_NONE) {
        return false;
    }
    devemu_guest_error(c->dev, "60h or 64h written while IBF is 1");
    return true;
}

static void data_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8042 *c = state;
    uint8_t command = c->command;

    (void)index;
    (void)old;
    if (input_full(c)) {
        return;
    }
    c->last_command = 0;
    c->command = 0;
    if (command != 0) {
        i8042_command_data(c, command, (uint8_t)value);
    } else {
        i8042_send(c, PORT_KBD, (uint8_t)value);
    }
}

static uint64_t status_read(const void *state, unsigned index)
{
    const struct i8042 *c = state;
    uint64_t status = STATUS_INH;

    (void)index;
    status |= c->obf ? STATUS_OBF : 0;
    status |= c->obf && c->obf_aux ? STATUS_AOBF : 0;
    status |= c->sending != PORT_NONE ? STATUS_IBF : 0;
    status |= c->ram[0] & CCB_SYS ? STATUS_SYS : 0;
    status |= c->last_command ? STATUS_CMD : 0;
    status |= c->timeout ? STATUS_TO : 0;
    return status;
}

static void command_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8042 *c = state;

    (void)index;
    (void)old;
    if (input_full(c)) {
        return;
    }
    c->last_command = 1;
    c->command = 0;
    i8042_command(c, (uint8_t)value);
}

static void ccb_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct i8042 *c = state;

    (void)index;
    (void)value;
    (void)old;
    i8042_fetch(c, devemu_now(c->dev), 0);
}

/* --- tables ------------------------------------------------------------------------ */

static const DevemuBits status_bits[] = {
    {"OBF", STATUS_OBF}, {"IBF", STATUS_IBF},   {"SYS", STATUS_SYS},
    {"CMD", STATUS_CMD}, {"INH", STATUS_INH},   {"AOBF", STATUS_AOBF},
    {"TO", STATUS_TO},   {"PERR", STATUS_PERR}, {0},
};

static const DevemuBits ccb_bits[] = {
    {"KBD_IRQ", CCB_KBD_IRQ},
    {"AUX_IRQ", CCB_AUX_IRQ},
    {"SYS", CCB_SYS},
    {"KBD_OFF", CCB_KBD_OFF},
    {"AUX_OFF", CCB_AUX_OFF},
    {"TRANSLATE", CCB_TRANSLATE},
    {0},
};

static const DevemuReg data_regs[] = {
    {
        .name = "DATA",
        .title = "output buffer (read), input buffer (write)",
        .section = "Output Buffer, Input Buffer",
        .at = 0,
        .read = data_read,
        .took = data_took,
        .wrote = data_wrote,
    },
};

static const DevemuReg command_regs[] = {
    {
        .name = "STATUS",
        .title = "status (read), command (write)",
        .section = "Status Register, Controller Commands",
        .bits = status_bits,
        .at = 0,
        .read = status_read,
        .wrote = command_wrote,
    },
};

static const DevemuReg ram_regs[] = {
    {
        .name = "CCB",
        .title = "controller command byte",
        .section = "Controller Command Byte",
        .bits = ccb_bits,
        .at = 0,
        .width = 1,
        .member = offsetof(struct i8042, ram),
        /* Chosen: the interfaces are closed until a command opens them. */
        .reset = CCB_POWER,
        .wrote = ccb_wrote,
    },
    {
        .name = "RAM",
        .title = "the rest of the controller's RAM",
        .section = "Controller Commands 20h, 60h",
        .at = 1,
        .count = RAM_BYTES - 1,
        .width = 1,
        .member = offsetof(struct i8042, ram) + 1,
    },
};

static const DevemuBank banks[] = {
    [BANK_DATA] = {.name = "data",
                   .kind = DEVEMU_BANK_PIO,
                   .size = 1,
                   .regs = data_regs,
                   .reg_count = DEVEMU_N_ELEMENTS(data_regs)},
    [BANK_COMMAND] = {.name = "command",
                      .kind = DEVEMU_BANK_PIO,
                      .size = 1,
                      .regs = command_regs,
                      .reg_count = DEVEMU_N_ELEMENTS(command_regs)},
    [BANK_RAM] = {.name = "ram",
                  .kind = DEVEMU_BANK_INDEXED,
                  .size = RAM_BYTES,
                  .regs = ram_regs,
                  .reg_count = DEVEMU_N_ELEMENTS(ram_regs)},
};

/* --- input, timers of the devices -------------------------------------------------- */

static void i8042_input(void *state, const DevemuInput *input)
{
    struct i8042 *c = state;
    uint64_t now = devemu_now(c->dev);

    if (input->kind == DEVEMU_INPUT_KEY) {
        ps2_kbd_key(&c->kbd, input->code, input->value != 0, now);
    } else if (c->has_mouse && input->kind == DEVEMU_INPUT_BUTTON) {
        ps2_mouse_button(&c->mouse, input->code, input->value != 0, now);
    } else if (c->has_mouse && input->kind == DEVEMU_INPUT_MOVE) {
        int up = input->y == INT32_MIN ? INT32_MAX : -input->y;

        ps2_mouse_move(&c->mouse, input->x, up, input->z, now);
    }
    i8042_fetch(c, now, 0);
}

static void kbd_repeats(void *state, uint64_t due_ns)
{
    struct i8042 *c = state;

    ps2_kbd_repeat(&c->kbd, due_ns, devemu_now(c->dev));
    i8042_fetch(c, due_ns, 0);
}

static void kbd_tested(void *state, uint64_t due_ns)
{
    struct i8042 *c = state;

    ps2_kbd_bat_done(&c->kbd);
    i8042_fetch(c, due_ns, 0);
}

static void mouse_samples(void *state, uint64_t due_ns)
{
    struct i8042 *c = state;

    ps2_mouse_sample(&c->mouse, due_ns);
    i8042_fetch(c, due_ns, 0);
}

static void mouse_tested(void *state, uint64_t due_ns)
{
    struct i8042 *c = state;

    ps2_mouse_bat_done(&c->mouse);
    i8042_fetch(c, due_ns, 0);
}

/* --- reset, lines ------------------------------------------------------------------ */

/* The reset wire goes to the 8042; the devices on the cables do not see it. */
static void i8042_reset(void *state, DevemuReset kind)
{
    struct i8042 *c = state;

    c->output = 0;
    c->obf = 0;
    c->obf_aux = 0;
    c->timeout = 0;
    c->last_command = 0;
    c->command = 0;
    c->p2 = P2_LINES;
    c->pulsing = 0;
    c->release = 0;
    c->sending = PORT_NONE;
    c->fetch_ns = DEVEMU_NEVER;
    c->send_ns = DEVEMU_NEVER;
    c->pulse_ns = DEVEMU_NEVER;
    if (kind == DEVEMU_RESET_POWER) {
        ps2_kbd_power(&c->kbd);
        ps2_mouse_power(&c->mouse);
    }
}

static uint64_t i8042_lines(const void *state)
{
    const struct i8042 *c = state;
    uint8_t p2 = c->p2 & (uint8_t)~c->pulsing;
    uint64_t lines = (uint64_t)c->kbd.leds << LINE_LED_SCROLL;

    lines |= c->obf && !c->obf_aux && (c->ram[0] & CCB_KBD_IRQ) ? UINT64_C(1) << LINE_IRQ1 : 0;
    lines |= c->obf && c->obf_aux && (c->ram[0] & CCB_AUX_IRQ) ? UINT64_C(1) << LINE_IRQ12 : 0;
    lines |= p2 & P2_A20 ? UINT64_C(1) << LINE_A20 : 0;
    lines |= p2 & P2_RESET ? 0 : UINT64_C(1) << LINE_RESET;
    return lines;
}

static bool i8042_valid(const void *state)
{
    const struct i8042 *c = state;

    return ps2_kbd_valid(&c->kbd) && ps2_mouse_valid(&c->mouse) &&
           (c->sending != PORT_NONE) == (c->send_ns != DEVEMU_NEVER) &&
           (c->pulsing != 0) == (c->pulse_ns != DEVEMU_NEVER);
}

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct i8042, output),
    DEVEMU_SAVE_MAX(struct i8042, obf, 1),
    DEVEMU_SAVE_MAX(struct i8042, obf_aux, 1),
    DEVEMU_SAVE_MAX(struct i8042, timeout, 1),
    DEVEMU_SAVE_MAX(struct i8042, last_command, 1),
    DEVEMU_SAVE(struct i8042, command),
    DEVEMU_SAVE_MAX(struct i8042, p2, P2_LINES),
    DEVEMU_SAVE_MAX(struct i8042, pulsing, P2_LINES),
    DEVEMU_SAVE_MAX(struct i8042, release, 1),
    DEVEMU_SAVE_MAX(struct i8042, sending, PORT_AUX),
    DEVEMU_SAVE(struct i8042, sent),
    DEVEMU_SKIP(struct i8042, unused),
    DEVEMU_SAVE_ARRAY(struct i8042, kbd.out.buffer),
    DEVEMU_SAVE(struct i8042, kbd.out.head),
    DEVEMU_SAVE(struct i8042, kbd.out.count),
    DEVEMU_SAVE_ARRAY(struct i8042, kbd.out.replies),
    DEVEMU_SAVE(struct i8042, kbd.out.reply_count),
    DEVEMU_SAVE_ARRAY(struct i8042, kbd.out.last),
    DEVEMU_SAVE(struct i8042, kbd.out.last_count),
    DEVEMU_SAVE(struct i8042, kbd.command),
    DEVEMU_SAVE(struct i8042, kbd.set),
    DEVEMU_SAVE(struct i8042, kbd.leds),
    DEVEMU_SAVE(struct i8042, kbd.typematic),
    DEVEMU_SAVE_MAX(struct i8042, kbd.enabled, 1),
    DEVEMU_SAVE_MAX(struct i8042, kbd.bat, 1),
    DEVEMU_SAVE(struct i8042, kbd.mods),
    DEVEMU_SAVE_MAX(struct i8042, kbd.sys_req, 1),
    DEVEMU_SAVE(struct i8042, kbd.repeat_key),
    DEVEMU_SKIP(struct i8042, kbd.unused),
    DEVEMU_SAVE_ARRAY(struct i8042, kbd.types),
    DEVEMU_SAVE_ARRAY(struct i8042, mouse.out.buffer),
    DEVEMU_SAVE(struct i8042, mouse.out.head),
    DEVEMU_SAVE(struct i8042, mouse.out.count),
    DEVEMU_SAVE_ARRAY(struct i8042, mouse.out.replies),
    DEVEMU_SAVE(struct i8042, mouse.out.reply_count),
    DEVEMU_SAVE_ARRAY(struct i8042, mouse.out.last),
    DEVEMU_SAVE(struct i8042, mouse.out.last_count),
    DEVEMU_SAVE(struct i8042, mouse.command),
    DEVEMU_SAVE(struct i8042, mouse.id),
    DEVEMU_SAVE(struct i8042, mouse.rate),
    DEVEMU_SAVE_ARRAY(struct i8042, mouse.rates),
    DEVEMU_SAVE(struct i8042, mouse.resolution),
    DEVEMU_SAVE_MAX(struct i8042, mouse.scaling, 1),
    DEVEMU_SAVE_MAX(struct i8042, mouse.remote, 1),
    DEVEMU_SAVE_MAX(struct i8042, mouse.wrap, 1),
    DEVEMU_SAVE_MAX(struct i8042, mouse.enabled, 1),
    DEVEMU_SAVE_MAX(struct i8042, mouse.bat, 1),
    DEVEMU_SAVE_MAX(struct i8042, mouse.error, 1),
    DEVEMU_SAVE(struct i8042, mouse.buttons),
    DEVEMU_SAVE(struct i8042, mouse.clicked),
    DEVEMU_SAVE(struct i8042, mouse.reported),
    DEVEMU_SAVE(struct i8042, mouse.dx),
    DEVEMU_SAVE(struct i8042, mouse.dy),
    DEVEMU_SAVE(struct i8042, mouse.dz),
    DEVEMU_SKIP(struct i8042, mouse.unused),
    {0},
};

static const DevemuTimer timers[] = {
    DEVEMU_TIMER(struct i8042, fetch_ns, fetched),
    DEVEMU_TIMER(struct i8042, send_ns, send_done),
    DEVEMU_TIMER(struct i8042, pulse_ns, i8042_pulse_done),
    DEVEMU_TIMER(struct i8042, kbd.repeat_ns, kbd_repeats),
    DEVEMU_TIMER(struct i8042, kbd.bat_ns, kbd_tested),
    DEVEMU_TIMER(struct i8042, mouse.sample_ns, mouse_samples),
    DEVEMU_TIMER(struct i8042, mouse.bat_ns, mouse_tested),
    {0},
};

static const char *const latencies[] = {"instant", "datasheet", NULL};

static const DevemuProperty properties[] = {
    {.name = "latency",
     .type = DEVEMU_PROPERTY_ENUM,
     DEVEMU_OPTION(struct i8042, latency),
     .value = "instant",
     .choices = latencies,
     .doc = "Do bytes on the cables and self tests take no time, or that of a real device?"},
    {.name = "mouse",
     .type = DEVEMU_PROPERTY_BOOL,
     DEVEMU_OPTION(struct i8042, has_mouse),
     .value = "on",
     .doc = "Is a mouse plugged in?"},
    {0},
};

static const char *const outputs[] = {"IRQ1",       "IRQ12",   "A20",      "RESET",
                                      "LED_SCROLL", "LED_NUM", "LED_CAPS", NULL};
static const DevemuIsa isa = {.bases = {0x60, 0x64}, .irq = 1};

const DevemuModel devemu_model_i8042 = {
    .name = "i8042",
    .title = "PS/2 keyboard and mouse controller (Intel 8042) with keyboard and mouse",
    .datasheet = "IBM Personal System/2 Hardware Interface Technical Reference, October 1990",
    .not_modelled = "the 8042's own program; password; diagnostic dump; polling of the input port; "
                    "parity errors; shift codes around extended keys; IntelliMouse Explorer; the "
                    "self tests' reports after power-on",
    .state_size = sizeof(struct i8042),
    .banks = banks,
    .bank_count = DEVEMU_N_ELEMENTS(banks),
    .fields = fields,
    .timers = timers,
    .properties = properties,
    .outputs = outputs,
    .lines = i8042_lines,
    .reset = i8042_reset,
    .valid = i8042_valid,
    .input = i8042_input,
    .isa = &isa,
};
