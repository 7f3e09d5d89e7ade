/* SPDX-License-Identifier: BSD-3-Clause */
/* keyboard.h: what the tests of the keyboard controller and its devices share. */
#ifndef TESTS_KEYBOARD_H
#define TESTS_KEYBOARD_H

#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_i8042;

enum {
    BANK_DATA,
    BANK_COMMAND,
};

enum {
    IRQ1,
    IRQ12,
    A20,
    RESET,
    LED_SCROLL,
    LED_NUM,
    LED_CAPS,
};

enum {
    OBF = 0x01,
    IBF = 0x02,
    SYS = 0x04,
    CMD = 0x08,
    INH = 0x10,
    AOBF = 0x20,
    TO = 0x40,
};

/* Linux input event codes. */
enum {
    KEY_ESC = 1,
    KEY_A = 30,
    KEY_S = 31,
    KEY_LEFTCTRL = 29,
    KEY_LEFTSHIFT = 42,
    KEY_LEFTALT = 56,
    KEY_F1 = 59,
    KEY_F7 = 65,
    KEY_KP7 = 71,
    KEY_RIGHTCTRL = 97,
    KEY_SYSRQ = 99,
    KEY_UP = 103,
    KEY_PAUSE = 119,
};

static inline uint8_t status(DevemuFake *fake)
{
    return (uint8_t)devemu_fake_read(fake, BANK_COMMAND, 0, 1);
}

static inline uint8_t data(DevemuFake *fake)
{
    return (uint8_t)devemu_fake_read(fake, BANK_DATA, 0, 1);
}

static inline void put(DevemuFake *fake, uint8_t byte)
{
    devemu_fake_write(fake, BANK_DATA, 0, 1, byte);
}

static inline void command(DevemuFake *fake, uint8_t byte)
{
    devemu_fake_write(fake, BANK_COMMAND, 0, 1, byte);
}

static inline void command2(DevemuFake *fake, uint8_t byte, uint8_t parameter)
{
    command(fake, byte);
    put(fake, parameter);
}

static inline void key(DevemuFake *fake, unsigned code, bool press)
{
    const DevemuInput input = {.kind = DEVEMU_INPUT_KEY, .code = code, .value = press};

    devemu_device_input(devemu_fake_device(fake), &input);
}

static inline void button(DevemuFake *fake, unsigned code, bool press)
{
    const DevemuInput input = {.kind = DEVEMU_INPUT_BUTTON, .code = code, .value = press};

    devemu_device_input(devemu_fake_device(fake), &input);
}

static inline void move(DevemuFake *fake, int x, int y, int z)
{
    const DevemuInput input = {.kind = DEVEMU_INPUT_MOVE, .x = x, .y = y, .z = z};

    devemu_device_input(devemu_fake_device(fake), &input);
}

/* All that comes within a few milliseconds, as text: "fa aa". Bytes of the mouse have an m. */
static inline const char *bytes(DevemuFake *fake, GString *text)
{
    g_string_truncate(text, 0);
    for (unsigned idle = 0; idle < 5;) {
        uint8_t s = status(fake);

        if (s & OBF) {
            g_string_append_printf(text, "%s%s%02x", text->len ? " " : "", s & AOBF ? "m" : "",
                                   data(fake));
            idle = 0;
        } else {
            devemu_fake_advance(fake, 1000000);
            idle++;
        }
    }
    return text->str;
}

#define assert_bytes(fake, expected)                                                               \
    do {                                                                                           \
        g_autoptr(GString) text_ = g_string_new(NULL);                                             \
        cr_assert_str_eq(bytes(fake, text_), expected);                                            \
    } while (0)

/* A controller as firmware leaves it; ccb is its command byte. */
static inline DevemuFake *ready_with(const char *options, uint8_t ccb)
{
    DevemuFake *fake = devemu_fake_new(&devemu_model_i8042, options, 0);

    command2(fake, 0x60, ccb);
    return fake;
}

#endif
