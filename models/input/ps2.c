/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ps2.c: output buffer and keyboard of ps2.h; keys and their codes are in ps2-keys.c, the mouse is
 * in ps2-mouse.c.
 *
 * The file is long because half of it is what keys do to the buffer, and half the commands.
 *
 * Not modelled: the codes that extended keys send around themselves while Shift or Num Lock is
 * down (KB, notes to set 1 and 2); the self test's report after power-on; a bad self test.
 */
#include "ps2.h"

/* Commands (KB "Commands from the System"). */
enum {
    CMD_LEDS = 0xed,
    CMD_ECHO = 0xee,
    CMD_SET = 0xf0,
    CMD_ID = 0xf2,
    CMD_TYPEMATIC = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULT = 0xf6,
    CMD_ALL_TYPEMATIC = 0xf7,
    CMD_ALL_MAKE_BREAK = 0xf8,
    CMD_ALL_MAKE = 0xf9,
    CMD_ALL_ALL = 0xfa,
    CMD_KEY_TYPEMATIC = 0xfb,
    CMD_KEY_MAKE_BREAK = 0xfc,
    CMD_KEY_MAKE = 0xfd,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
};

enum {
    CODE_EXTENDED = 0xe0,
    CODE_EXTENDED1 = 0xe1,
    CODE_BREAK = 0xf0,
    CODE_PRINT = 0x7c,
    CODE_SHIFT = 0x12,
    CODE_SYS_REQ = 0x84,
    CODE_CTRL_PAUSE = 0x7e,
    OVERRUN_SET1 = 0xff,
    OVERRUN = 0x00,
};

/* Linux codes of keys that are unlike the others. */
enum {
    KEY_LEFTCTRL = 29,
    KEY_LEFTSHIFT = 42,
    KEY_RIGHTSHIFT = 54,
    KEY_LEFTALT = 56,
    KEY_RIGHTCTRL = 97,
    KEY_SYSRQ = 99,
    KEY_RIGHTALT = 100,
    KEY_PAUSE = 119,
};

enum {
    MOD_LEFTCTRL = 1 << 0,
    MOD_RIGHTCTRL = 1 << 1,
    MOD_LEFTSHIFT = 1 << 2,
    MOD_RIGHTSHIFT = 1 << 3,
    MOD_LEFTALT = 1 << 4,
    MOD_RIGHTALT = 1 << 5,
    MOD_CTRL = MOD_LEFTCTRL | MOD_RIGHTCTRL,
    MOD_SHIFT = MOD_LEFTSHIFT | MOD_RIGHTSHIFT,
    MOD_ALT = MOD_LEFTALT | MOD_RIGHTALT,
};

#define ID_FIRST          0xab
#define ID_SECOND         0x83
#define TYPEMATIC_DEFAULT 0x2b /* 500 ms, 10.9 a second */
#define LEDS_MASK         0x07
#define OPTION_MAX        0x7f
#define SEQUENCE_MAX      8

#define NS_PER_MS   UINT64_C(1000000)
#define BAT_NS      (500 * NS_PER_MS) /* KB "Power-On Routine": 300 to 500 ms */
#define DELAY_NS    (250 * NS_PER_MS)
#define PERIOD_TICK UINT64_C(4166667) /* 1/240 s */

/* --- output ------------------------------------------------------------------------ */

uint8_t ps2_out_take(struct ps2_out *out)
{
    uint8_t byte = 0;

    if (out->reply_count > 0) {
        byte = out->replies[0];
        out->reply_count--;
        memmove(out->replies, out->replies + 1, out->reply_count);
    } else if (out->count > 0) {
        byte = out->buffer[out->head];
        out->head = (out->head + 1) % sizeof(out->buffer);
        out->count--;
    }
    return byte;
}

void ps2_reply(struct ps2_out *out, uint8_t byte)
{
    if (out->reply_count < PS2_REPLIES) {
        out->replies[out->reply_count++] = byte;
    }
}

bool ps2_queue(struct ps2_out *out, const uint8_t *bytes, size_t count)
{
    if (out->count > PS2_BUFFER || count > (size_t)(PS2_BUFFER - out->count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        out->buffer[(out->head + out->count) % sizeof(out->buffer)] = bytes[i];
        out->count++;
    }
    return true;
}

void ps2_flush(struct ps2_out *out)
{
    out->head = 0;
    out->count = 0;
    out->reply_count = 0;
}

void ps2_repeat_last(struct ps2_out *out)
{
    for (unsigned i = 0; i < out->last_count; i++) {
        ps2_reply(out, out->last[i]);
    }
}

bool ps2_out_valid(const struct ps2_out *out)
{
    return out->head < sizeof(out->buffer) && out->count <= sizeof(out->buffer) &&
           out->reply_count <= PS2_REPLIES && out->last_count <= PS2_REPLIES;
}

/* --- sequences (KB "Scan Codes") --------------------------------------------------- */

struct sequence {
    uint8_t bytes[SEQUENCE_MAX];
    size_t count;
};

static void put(struct sequence *seq, uint8_t byte)
{
    if (seq->count < SEQUENCE_MAX) {
        seq->bytes[seq->count++] = byte;
    }
}

static void put_code(struct sequence *seq, bool extended, uint8_t code, bool press)
{
    if (extended) {
        put(seq, CODE_EXTENDED);
    }
    if (!press) {
        put(seq, CODE_BREAK);
    }
    put(seq, code);
}

/* KB set 2, key 124: Print Screen carries a Shift of its own unless Ctrl or Shift is held; with Alt
 * it is SysReq. */
static void put_print(struct ps2_kbd *kbd, struct sequence *seq, bool press)
{
    if (press) {
        kbd->sys_req = (kbd->mods & MOD_ALT) != 0;
    }
    if (kbd->sys_req) {
        put_code(seq, false, CODE_SYS_REQ, press);
        return;
    }
    if (kbd->mods & (MOD_CTRL | MOD_SHIFT)) {
        put_code(seq, true, CODE_PRINT, press);
    } else if (press) {
        put_code(seq, true, CODE_SHIFT, true);
        put_code(seq, true, CODE_PRINT, true);
    } else {
        put_code(seq, true, CODE_PRINT, false);
        put_code(seq, true, CODE_SHIFT, false);
    }
}

/* KB set 2, key 126: Pause sends make and break when pressed; with Ctrl it is Break. */
static void put_pause(const struct ps2_kbd *kbd, struct sequence *seq, bool press)
{
    static const uint8_t pause[] = {CODE_EXTENDED1, 0x14, 0x77,       CODE_EXTENDED1,
                                    CODE_BREAK,     0x14, CODE_BREAK, 0x77};

    if (!press) {
        return;
    }
    if (kbd->mods & MOD_CTRL) {
        put_code(seq, true, CODE_CTRL_PAUSE, true);
        put_code(seq, true, CODE_CTRL_PAUSE, false);
        return;
    }
    for (size_t i = 0; i < sizeof(pause); i++) {
        put(seq, pause[i]);
    }
}

static struct sequence set2_sequence(struct ps2_kbd *kbd, unsigned code, bool press)
{
    struct sequence seq = {.count = 0};

    if (code == KEY_SYSRQ) {
        put_print(kbd, &seq, press);
    } else if (code == KEY_PAUSE) {
        put_pause(kbd, &seq, press);
    } else if (ps2_keys[code].set2 != 0) {
        put_code(&seq, ps2_keys[code].extended, ps2_keys[code].set2, press);
    }
    return seq;
}

/* Set 1 is set 2 seen through the controller's translation: F0h becomes bit 7. */
static struct sequence set1_sequence(const struct sequence *set2)
{
    struct sequence seq = {.count = 0};
    uint8_t release = 0;

    for (size_t i = 0; i < set2->count; i++) {
        if (set2->bytes[i] == CODE_BREAK) {
            release = 0x80;
            continue;
        }
        put(&seq, ps2_set2_to_set1[set2->bytes[i]] | release);
        release = 0;
    }
    return seq;
}

static bool type_breaks(uint8_t type)
{
    return type == PS2_TYPE_MAKE_BREAK || type == PS2_TYPE_ALL;
}

static bool type_repeats(uint8_t type)
{
    return type == PS2_TYPE_TYPEMATIC || type == PS2_TYPE_ALL;
}

static struct sequence set3_sequence(const struct ps2_kbd *kbd, unsigned code, bool press)
{
    struct sequence seq = {.count = 0};
    uint8_t set3 = ps2_keys[code].set3;

    if (set3 != 0 && (press || type_breaks(kbd->types[set3]))) {
        put_code(&seq, false, set3, press);
    }
    return seq;
}

static void overrun(struct ps2_out *out, uint8_t code)
{
    uint8_t last = out->buffer[(out->head + out->count + PS2_BUFFER) % sizeof(out->buffer)];

    if (out->count <= PS2_BUFFER && last != code) {
        out->buffer[(out->head + out->count) % sizeof(out->buffer)] = code;
        out->count++;
    }
}

/* KB "Keyboard Buffer": a sequence fits whole or is lost, and then the overrun code
 * stands in its place, the 17th at last. */
static void send_key(struct ps2_kbd *kbd, unsigned code, bool press)
{
    struct ps2_out *out = &kbd->out;
    struct sequence seq;

    if (kbd->set == 3) {
        seq = set3_sequence(kbd, code, press);
    } else {
        seq = set2_sequence(kbd, code, press);
        if (kbd->set == 1) {
            seq = set1_sequence(&seq);
        }
    }
    if (seq.count > 0 && !ps2_queue(out, seq.bytes, seq.count)) {
        overrun(out, kbd->set == 1 ? OVERRUN_SET1 : OVERRUN);
    }
}

/* --- keys -------------------------------------------------------------------------- */

static uint8_t modifier(unsigned code)
{
    static const struct {
        uint8_t code, mod;
    } mods[] = {
        {KEY_LEFTCTRL, MOD_LEFTCTRL},   {KEY_RIGHTCTRL, MOD_RIGHTCTRL},
        {KEY_LEFTSHIFT, MOD_LEFTSHIFT}, {KEY_RIGHTSHIFT, MOD_RIGHTSHIFT},
        {KEY_LEFTALT, MOD_LEFTALT},     {KEY_RIGHTALT, MOD_RIGHTALT},
    };

    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(mods); i++) {
        if (mods[i].code == code) {
            return mods[i].mod;
        }
    }
    return 0;
}

/* KB "Sequence Key-Code Scanning", commands EDh, F0h, F3h: no scanning while disabled, while the
 * self test runs, or while an option byte is awaited. */
static bool scanning(const struct ps2_kbd *kbd)
{
    return kbd->enabled && !kbd->bat && kbd->command == 0;
}

static bool repeats(const struct ps2_kbd *kbd, unsigned code)
{
    if (kbd->set == 3) {
        return ps2_keys[code].set3 != 0 && type_repeats(kbd->types[ps2_keys[code].set3]);
    }
    return code != KEY_PAUSE;
}

static uint64_t typematic_delay_ns(const struct ps2_kbd *kbd)
{
    return ((kbd->typematic >> 5 & 3) + 1) * DELAY_NS;
}

/* KB command F3h: (8 + A) * 2^B / 240 s. */
static uint64_t typematic_period_ns(const struct ps2_kbd *kbd)
{
    return ((8 + (kbd->typematic & 7u)) << (kbd->typematic >> 3 & 3)) * PERIOD_TICK;
}

static void stop_repeat(struct ps2_kbd *kbd)
{
    kbd->repeat_key = 0;
    kbd->repeat_ns = DEVEMU_NEVER;
}

void ps2_kbd_key(struct ps2_kbd *kbd, unsigned code, bool press, uint64_t now_ns)
{
    uint8_t mod;

    if (code == 0 || code >= PS2_KEYS) {
        return;
    }
    mod = modifier(code);
    kbd->mods = press ? kbd->mods | mod : kbd->mods & (uint8_t)~mod;
    if (!scanning(kbd)) {
        return;
    }
    send_key(kbd, code, press);
    if (press) {
        /* KB "Typematic": the key pressed last repeats. */
        stop_repeat(kbd);
        if (repeats(kbd, code)) {
            kbd->repeat_key = (uint8_t)code;
            kbd->repeat_ns = now_ns + typematic_delay_ns(kbd);
        }
    } else if (code == kbd->repeat_key) {
        stop_repeat(kbd);
    }
}

void ps2_kbd_repeat(struct ps2_kbd *kbd, uint64_t due_ns, uint64_t now_ns)
{
    uint64_t period = typematic_period_ns(kbd);
    uint64_t missed = now_ns > due_ns ? (now_ns - due_ns) / period : 0;

    if (kbd->repeat_key == 0 || !scanning(kbd)) {
        kbd->repeat_key = 0;
        return;
    }
    /* KB "Typematic": while nothing is taken only the first make code is stored. A late timer
     * repeats once, and keeps step. */
    if (kbd->out.count == 0) {
        send_key(kbd, kbd->repeat_key, true);
    }
    kbd->repeat_ns = due_ns + (missed + 1) * period;
}

/* KB command FEh: what is sent again is the last byte that was not itself a Resend. */
uint8_t ps2_kbd_take(struct ps2_kbd *kbd)
{
    uint8_t byte = ps2_out_take(&kbd->out);

    if (byte != PS2_RESEND) {
        kbd->out.last[0] = byte;
        kbd->out.last_count = 1;
    }
    return byte;
}

/* --- commands ---------------------------------------------------------------------- */

static void all_types(struct ps2_kbd *kbd, uint8_t type)
{
    memset(kbd->types, type, sizeof(kbd->types));
}

static void default_types(struct ps2_kbd *kbd)
{
    all_types(kbd, PS2_TYPE_TYPEMATIC);
    for (unsigned code = 0; code < PS2_KEYS; code++) {
        if (ps2_keys[code].set3 != 0) {
            kbd->types[ps2_keys[code].set3] = ps2_keys[code].type;
        }
    }
}

/* KB commands F5h, F6h: the state after power-on; the buffer is cleared. */
static void defaults(struct ps2_kbd *kbd)
{
    ps2_flush(&kbd->out);
    stop_repeat(kbd);
    default_types(kbd);
    kbd->set = 2;
    kbd->typematic = TYPEMATIC_DEFAULT;
}

void ps2_kbd_bat_done(struct ps2_kbd *kbd)
{
    kbd->bat = 0;
    ps2_reply(&kbd->out, PS2_BAT_OK);
}

static void reset(struct ps2_kbd *kbd, uint64_t now_ns, bool slow)
{
    defaults(kbd);
    kbd->leds = 0;
    kbd->enabled = 1;
    ps2_reply(&kbd->out, PS2_ACK);
    if (slow) {
        kbd->bat = 1;
        kbd->bat_ns = now_ns + BAT_NS;
    } else {
        ps2_kbd_bat_done(kbd);
    }
}

static void command_option(struct ps2_kbd *kbd, uint8_t command)
{
    kbd->command = command;
    ps2_reply(&kbd->out, PS2_ACK);
}

static void command_simple(struct ps2_kbd *kbd, uint8_t command)
{
    if (command == CMD_ENABLE) {
        ps2_flush(&kbd->out);
        stop_repeat(kbd);
        kbd->enabled = 1;
    } else {
        defaults(kbd);
        kbd->enabled = command == CMD_DISABLE ? 0 : kbd->enabled;
    }
    ps2_reply(&kbd->out, PS2_ACK);
}

static void command_id(struct ps2_kbd *kbd, uint8_t command)
{
    (void)command;
    ps2_reply(&kbd->out, PS2_ACK);
    ps2_reply(&kbd->out, ID_FIRST);
    ps2_reply(&kbd->out, ID_SECOND);
}

static void command_echo(struct ps2_kbd *kbd, uint8_t command)
{
    ps2_reply(&kbd->out, command);
}

static void command_all_types(struct ps2_kbd *kbd, uint8_t command)
{
    static const uint8_t types[] = {PS2_TYPE_TYPEMATIC, PS2_TYPE_MAKE_BREAK, PS2_TYPE_MAKE,
                                    PS2_TYPE_ALL};

    all_types(kbd, types[command - CMD_ALL_TYPEMATIC]);
    ps2_flush(&kbd->out);
    ps2_reply(&kbd->out, PS2_ACK);
}

static void command_resend(struct ps2_kbd *kbd, uint8_t command)
{
    (void)command;
    ps2_repeat_last(&kbd->out);
}

static const struct {
    uint8_t first, last;
    void (*run)(struct ps2_kbd *kbd, uint8_t command);
} commands[] = {
    {CMD_LEDS, CMD_LEDS, command_option},
    {CMD_ECHO, CMD_ECHO, command_echo},
    {CMD_SET, CMD_SET, command_option},
    {CMD_ID, CMD_ID, command_id},
    {CMD_TYPEMATIC, CMD_TYPEMATIC, command_option},
    {CMD_ENABLE, CMD_DEFAULT, command_simple},
    {CMD_ALL_TYPEMATIC, CMD_ALL_ALL, command_all_types},
    {CMD_KEY_TYPEMATIC, CMD_KEY_MAKE, command_option},
    {CMD_RESEND, CMD_RESEND, command_resend},
};

/* KB command F0h: option 0 asks for the set, 1 to 3 choose one. */
static bool option_set(struct ps2_kbd *kbd, uint8_t option)
{
    if (option > 3) {
        return false;
    }
    ps2_flush(&kbd->out);
    stop_repeat(kbd);
    ps2_reply(&kbd->out, PS2_ACK);
    if (option == 0) {
        ps2_reply(&kbd->out, kbd->set);
    } else {
        kbd->set = option;
    }
    return true;
}

/* KB commands FBh to FDh: keys are named by their codes of set 3 until a command comes. */
static bool option_key(struct ps2_kbd *kbd, uint8_t command, uint8_t option)
{
    static const uint8_t types[] = {PS2_TYPE_TYPEMATIC, PS2_TYPE_MAKE_BREAK, PS2_TYPE_MAKE};

    if (option >= PS2_SET3_MAX) {
        return false;
    }
    kbd->types[option] = types[command - CMD_KEY_TYPEMATIC];
    kbd->command = command;
    ps2_reply(&kbd->out, PS2_ACK);
    return true;
}

/* False: it is no option of this command, but a command itself. */
static bool option(struct ps2_kbd *kbd, uint8_t byte)
{
    uint8_t command = kbd->command;

    kbd->command = 0;
    if (command >= CMD_KEY_TYPEMATIC && command <= CMD_KEY_MAKE) {
        return option_key(kbd, command, byte);
    }
    if (byte > OPTION_MAX) {
        return false;
    }
    if (command == CMD_SET) {
        return option_set(kbd, byte);
    }
    if (command == CMD_LEDS) {
        kbd->leds = byte & LEDS_MASK;
    } else {
        kbd->typematic = byte;
    }
    ps2_reply(&kbd->out, PS2_ACK);
    return true;
}

void ps2_kbd_write(struct ps2_kbd *kbd, uint8_t byte, uint64_t now_ns, bool slow)
{
    if (kbd->bat) {
        return; /* nobody listens during the self test */
    }
    kbd->out.reply_count = 0;
    if (kbd->command != 0 && option(kbd, byte)) {
        return;
    }
    if (byte == CMD_RESET) {
        reset(kbd, now_ns, slow);
        return;
    }
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(commands); i++) {
        if (byte >= commands[i].first && byte <= commands[i].last) {
            commands[i].run(kbd, byte);
            return;
        }
    }
    /* KB "Commands to the System": Resend answers an invalid input. */
    ps2_reply(&kbd->out, PS2_RESEND);
}

/* --- life -------------------------------------------------------------------------- */

void ps2_kbd_power(struct ps2_kbd *kbd)
{
    kbd->command = 0;
    kbd->leds = 0;
    kbd->enabled = 1;
    kbd->bat = 0;
    kbd->bat_ns = DEVEMU_NEVER;
    defaults(kbd);
}

bool ps2_kbd_valid(const struct ps2_kbd *kbd)
{
    for (size_t i = 0; i < sizeof(kbd->types); i++) {
        if (kbd->types[i] > PS2_TYPE_ALL) {
            return false;
        }
    }
    return ps2_out_valid(&kbd->out) && kbd->set >= 1 && kbd->set <= 3 &&
           kbd->typematic <= OPTION_MAX && kbd->leds <= LEDS_MASK &&
           (kbd->bat != 0) == (kbd->bat_ns != DEVEMU_NEVER);
}
