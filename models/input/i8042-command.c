/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * i8042-command.c: commands to the keyboard controller itself; see i8042.c.
 */
#include "i8042.h"

/* HITR "Controller Commands" */
enum {
    CMD_READ_RAM = 0x20,
    CMD_WRITE_RAM = 0x60,
    CMD_TEST_PASSWORD = 0xa4,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_OFF = 0xad,
    CMD_KBD_ON = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_WRITE_KBD_OBF = 0xd2,
    CMD_WRITE_AUX_OBF = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_A20_OFF = 0xdd, /* not IBM's, but common */
    CMD_A20_ON = 0xdf,
    CMD_TEST_INPUTS = 0xe0,
    CMD_PULSE = 0xf0,
};

enum {
    NO_PASSWORD = 0xf1,
    SELF_TEST_OK = 0x55,
    INTERFACE_OK = 0x00,
    INPUT_PORT = 0x80, /* the lock is open */
    TEST_KBD_CLOCK = 1 << 0,
    TEST_AUX_CLOCK = 1 << 1,
};

/* The controller's own answer replaces what is in the output buffer: guests disable the devices and
 * read before they ask. */
static void answer(struct i8042 *c, uint8_t byte)
{
    i8042_put_output(c, byte, false);
}

static void interfaces(struct i8042 *c, uint8_t clear, uint8_t set)
{
    c->ram[0] = (uint8_t)((c->ram[0] & ~clear) | set);
    i8042_fetch(c, devemu_now(c->dev), 0);
}

static void run_read_ram(struct i8042 *c, uint8_t command)
{
    answer(c, (uint8_t)devemu_bank_read(c->dev, BANK_RAM, command % RAM_BYTES));
}

static void run_wait(struct i8042 *c, uint8_t command)
{
    c->command = command;
}

static void run_test_password(struct i8042 *c, uint8_t command)
{
    (void)command;
    answer(c, NO_PASSWORD);
}

static void run_aux_off(struct i8042 *c, uint8_t command)
{
    (void)command;
    interfaces(c, 0, CCB_AUX_OFF);
}

static void run_aux_on(struct i8042 *c, uint8_t command)
{
    (void)command;
    interfaces(c, CCB_AUX_OFF, 0);
}

static void run_kbd_off(struct i8042 *c, uint8_t command)
{
    (void)command;
    interfaces(c, 0, CCB_KBD_OFF);
}

static void run_kbd_on(struct i8042 *c, uint8_t command)
{
    (void)command;
    interfaces(c, CCB_KBD_OFF, 0);
}

static void run_interface_test(struct i8042 *c, uint8_t command)
{
    (void)command;
    answer(c, INTERFACE_OK);
}

/* HITR "Status Register" bit 2: set by the self test. The rest of the command byte stays (chosen:
 * some programs of the 8042 also disable the interfaces). */
static void run_self_test(struct i8042 *c, uint8_t command)
{
    (void)command;
    c->ram[0] |= CCB_SYS;
    answer(c, SELF_TEST_OK);
}

static void run_read_input(struct i8042 *c, uint8_t command)
{
    (void)command;
    answer(c, INPUT_PORT);
}

static void run_read_output(struct i8042 *c, uint8_t command)
{
    uint8_t port = P2_IDLE | c->p2;

    (void)command;
    port |= c->obf && !c->obf_aux ? P2_IRQ1 : 0;
    port |= c->obf && c->obf_aux ? P2_IRQ12 : 0;
    answer(c, port);
}

static void run_a20(struct i8042 *c, uint8_t command)
{
    c->p2 = (uint8_t)((c->p2 & ~P2_A20) | (command == CMD_A20_ON ? P2_A20 : 0));
}

static void run_test_inputs(struct i8042 *c, uint8_t command)
{
    uint8_t inputs = 0;

    (void)command;
    inputs |= c->ram[0] & CCB_KBD_OFF ? 0 : TEST_KBD_CLOCK;
    inputs |= c->ram[0] & CCB_AUX_OFF ? 0 : TEST_AUX_CLOCK;
    answer(c, inputs);
}

/* Commands F0h to FFh: output lines whose bit is 0 pulse low. */
static void run_pulse(struct i8042 *c, uint8_t command)
{
    c->pulsing = (uint8_t)(~command & P2_LINES);
    c->pulse_ns = c->pulsing ? devemu_now(c->dev) + PULSE_NS : DEVEMU_NEVER;
}

void i8042_pulse_done(void *state, uint64_t due_ns)
{
    struct i8042 *c = state;

    (void)due_ns;
    c->pulsing = 0;
}

static const struct {
    uint8_t first, last;
    void (*run)(struct i8042 *c, uint8_t command);
} commands[] = {
    {CMD_READ_RAM, CMD_READ_RAM + RAM_BYTES - 1, run_read_ram},
    {CMD_WRITE_RAM, CMD_WRITE_RAM + RAM_BYTES - 1, run_wait},
    {CMD_TEST_PASSWORD, CMD_TEST_PASSWORD, run_test_password},
    {CMD_AUX_OFF, CMD_AUX_OFF, run_aux_off},
    {CMD_AUX_ON, CMD_AUX_ON, run_aux_on},
    {CMD_AUX_TEST, CMD_AUX_TEST, run_interface_test},
    {CMD_SELF_TEST, CMD_SELF_TEST, run_self_test},
    {CMD_KBD_TEST, CMD_KBD_TEST, run_interface_test},
    {CMD_KBD_OFF, CMD_KBD_OFF, run_kbd_off},
    {CMD_KBD_ON, CMD_KBD_ON, run_kbd_on},
    {CMD_READ_INPUT, CMD_READ_INPUT, run_read_input},
    {CMD_READ_OUTPUT, CMD_READ_OUTPUT, run_read_output},
    {CMD_WRITE_OUTPUT, CMD_WRITE_AUX, run_wait},
    {CMD_A20_OFF, CMD_A20_OFF, run_a20},
    {CMD_A20_ON, CMD_A20_ON, run_a20},
    {CMD_TEST_INPUTS, CMD_TEST_INPUTS, run_test_inputs},
    {CMD_PULSE, 0xff, run_pulse},
};

void i8042_command(struct i8042 *c, uint8_t command)
{
    for (size_t i = 0; i < DEVEMU_N_ELEMENTS(commands); i++) {
        if (command >= commands[i].first && command <= commands[i].last) {
            commands[i].run(c, command);
            return;
        }
    }
    devemu_guest_error(c->dev, "64h: not a command of this controller");
}

/* The byte at 60h that a command waited for. */
void i8042_command_data(struct i8042 *c, uint8_t command, uint8_t byte)
{
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + RAM_BYTES) {
        devemu_bank_write(c->dev, BANK_RAM, command % RAM_BYTES, byte);
    } else if (command == CMD_WRITE_OUTPUT) {
        c->p2 = byte & P2_LINES;
    } else if (command == CMD_WRITE_AUX) {
        i8042_send(c, PORT_AUX, byte);
    } else {
        i8042_put_output(c, byte, command == CMD_WRITE_AUX_OBF);
    }
}
