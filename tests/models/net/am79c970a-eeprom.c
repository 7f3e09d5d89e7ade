/* SPDX-License-Identifier: BSD-3-Clause */
/* Am79C970A: the Microwire EEPROM behind BCR19, bit by bit, as NM93C46 "Instruction Set" has it. */
#include "nic.h"

enum {
    PVALID = 0x8000,
    PREAD = 0x4000,
    EEDET = 0x2000,
    EEN = 0x0010,
    ECS = 0x0004,
    ESK = 0x0002,
    EDI = 0x0001,
};

enum {
    OP_EXTENDED = 0,
    OP_WRITE = 1,
    OP_READ = 2,
    OP_ERASE = 3,
};

static void pins(DevemuFake *f, unsigned value)
{
    bcr_write(f, 19, EEN | value);
}

static void put(DevemuFake *f, unsigned value, unsigned count)
{
    while (count-- > 0) {
        unsigned di = value >> count & 1 ? EDI : 0;

        pins(f, ECS | di);
        pins(f, ECS | di | ESK);
        pins(f, ECS | di);
    }
}

static unsigned get(DevemuFake *f, unsigned count)
{
    unsigned value = 0;

    while (count-- > 0) {
        pins(f, ECS | ESK);
        value = value << 1 | (bcr_read(f, 19) & EDI);
        pins(f, ECS);
    }
    return value;
}

static void begin(DevemuFake *f, unsigned op, unsigned address)
{
    pins(f, 0);
    pins(f, ECS);
    put(f, 1, 1);
    put(f, op, 2);
    put(f, address, 6);
}

static void end(DevemuFake *f)
{
    pins(f, 0);
    bcr_write(f, 19, 0);
}

static unsigned read_word(DevemuFake *f, unsigned address)
{
    unsigned value;

    begin(f, OP_READ, address);
    cr_assert_eq(bcr_read(f, 19) & EDI, 0, "the dummy zero before a word");
    value = get(f, 16);
    end(f);
    return value;
}

static void write_enable(DevemuFake *f, bool on)
{
    begin(f, OP_EXTENDED, on ? 0x30 : 0x00);
    end(f);
}

static void write_word(DevemuFake *f, unsigned address, unsigned value)
{
    begin(f, OP_WRITE, address);
    put(f, value, 16);
    pins(f, 0);
    pins(f, ECS);
    cr_assert_eq(bcr_read(f, 19) & EDI, EDI, "ready after programming");
    end(f);
}

static DevemuFake *with_image(const uint8_t *image)
{
    DevemuSetting setting = {.name = "eeprom", .data = image, .len = 128};

    return devemu_fake_new_with(&devemu_model_am79c970a, &setting, 1, RAM_BYTES);
}

/* The sum of the first 36 bytes is ffh. */
static void balance(uint8_t *image)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 35; i++) {
        sum = (uint8_t)(sum + image[i]);
    }
    image[35] = (uint8_t)(0xff - sum);
}

static void make_image(uint8_t *image)
{
    static const uint8_t head[] = {0x00, 0x0c, 0x29, 1, 2, 3, 0, 0, 0, 0x11, 0, 0, 0, 0, 'W', 'W'};
    static const uint16_t words[] = {0x1002, 0x00c1, 0x0085, 0x0089,
                                     0x0091, 0x0001, 0x5041, 0x1812};

    for (unsigned i = 0; i < 128; i++) {
        image[i] = (uint8_t)(i ^ 0x5a);
    }
    memcpy(image, head, sizeof(head));
    for (unsigned i = 0; i < 8; i++) {
        devemu_put_le16(image + 16 + 2 * i, words[i]);
    }
    balance(image);
}

Test(am79c970a_eeprom, reads_every_word_of_the_image)
{
    uint8_t image[128];
    g_autoptr(DevemuFake) f = NULL;

    make_image(image);
    f = with_image(image);

    for (unsigned i = 0; i < 64; i++) {
        cr_assert_eq(read_word(f, i), devemu_le16(image + 2 * i), "word %u", i);
    }
}

/* "Sequential read": with chip select kept high the next word follows. */
Test(am79c970a_eeprom, goes_on_with_the_next_word_while_selected)
{
    uint8_t image[128];
    g_autoptr(DevemuFake) f = NULL;

    make_image(image);
    f = with_image(image);
    begin(f, OP_READ, 62);

    cr_assert_eq(get(f, 16), devemu_le16(image + 124));
    cr_assert_eq(get(f, 16), devemu_le16(image + 126));
    cr_assert_eq(get(f, 16), devemu_le16(image));
}

Test(am79c970a_eeprom, zeros_before_the_start_bit_are_no_command)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    pins(f, ECS);
    put(f, 0, 5);
    put(f, 1, 1);
    put(f, OP_READ, 2);
    put(f, 0, 6);

    cr_assert_eq(get(f, 16), 0x5452);
}

Test(am79c970a_eeprom, is_written_after_ewen_only)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_word(f, 40, 0xbeef);
    cr_assert_eq(read_word(f, 40), 0);
    write_enable(f, true);
    write_word(f, 40, 0xbeef);
    cr_assert_eq(read_word(f, 40), 0xbeef);
    write_enable(f, false);
    write_word(f, 40, 0x1234);
    cr_assert_eq(read_word(f, 40), 0xbeef);
}

Test(am79c970a_eeprom, erases_a_word_and_all_of_them)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_enable(f, true);
    begin(f, OP_ERASE, 3);
    end(f);
    cr_assert_eq(read_word(f, 3), 0xffff);
    cr_assert_eq(read_word(f, 0), 0x5452);
    begin(f, OP_EXTENDED, 0x20);
    end(f);
    cr_assert_eq(read_word(f, 0), 0xffff);
    begin(f, OP_EXTENDED, 0x10);
    put(f, 0xa55a, 16);
    end(f);

    cr_assert_eq(read_word(f, 0), 0xa55a);
    cr_assert_eq(read_word(f, 63), 0xa55a);
}

/* DS BCR19: the pins follow the bits only with EEN. */
Test(am79c970a_eeprom, does_not_see_the_pins_without_een)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_enable(f, true);
    /* nine ones would erase the last word */
    for (unsigned i = 0; i < 9; i++) {
        bcr_write(f, 19, ECS | EDI);
        bcr_write(f, 19, ECS | EDI | ESK);
    }
    cr_assert_eq(read_word(f, 63), 0);
    for (unsigned i = 0; i < 9; i++) {
        bcr_write(f, 19, EEN | ECS | EDI);
        bcr_write(f, 19, EEN | ECS | EDI | ESK);
    }

    cr_assert_eq(read_word(f, 63), 0xffff);
}

/* DS "EEPROM Interface": the configuration comes from the image after H_RESET. */
Test(am79c970a_eeprom, configures_the_controller)
{
    uint8_t image[128];
    g_autoptr(DevemuFake) f = NULL;

    make_image(image);
    f = with_image(image);

    cr_assert_eq(bcr_read(f, 19), PVALID | EEDET);
    cr_assert_eq(devemu_fake_read(f, 0, 0, 4), 0x01290c00);
    cr_assert_eq(csr_read(f, 12), 0x0c00);
    cr_assert_eq(csr_read(f, 14), 0x0302);
    cr_assert_eq(bcr_read(f, 2), 0x1002);
    cr_assert_eq(bcr_read(f, 4) & 0x7fff, 0x00c1);
    cr_assert_eq(bcr_read(f, 9), 0x0001);
    cr_assert_eq(bcr_read(f, 18), 0x5041);
    cr_assert_eq(bcr_read(f, 22), 0x1812);
}

Test(am79c970a_eeprom, with_a_wrong_sum_is_not_valid_and_defaults_stand)
{
    uint8_t image[128];
    g_autoptr(DevemuFake) f = NULL;

    make_image(image);
    image[20] ^= 1;
    f = with_image(image);

    cr_assert_eq(bcr_read(f, 19), EEDET);
    cr_assert_eq(bcr_read(f, 2), 0x0002);
    cr_assert_eq(bcr_read(f, 18), 0x9001);
}

/* DS BCR19, PREAD: needs STOP or SPND, resets itself; the image may have been changed meanwhile. */
Test(am79c970a_eeprom, is_read_again_by_pread)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);
    unsigned old, adjust;

    write_enable(f, true);
    old = read_word(f, 0);
    adjust = read_word(f, 17);
    write_word(f, 0, (old & 0xff00) | 0x02);
    bcr_write(f, 19, PREAD);
    cr_assert_eq(bcr_read(f, 19), EEDET);
    write_word(f, 17, (adjust + (0x50 << 8)) & 0xffff);
    csr_write(f, 15, MODE_DRX | MODE_DTX);
    csr_write(f, 0, CSR0_STRT);
    bcr_write(f, 19, PREAD);
    cr_assert_eq(bcr_read(f, 19), EEDET);
    csr_write(f, 0, CSR0_STOP);
    bcr_write(f, 19, PREAD);

    cr_assert_eq(bcr_read(f, 19), PVALID | EEDET);
    cr_assert_eq(devemu_fake_read(f, 0, 0, 1), 0x02);
    cr_assert_eq(csr_read(f, 12), 0x5402);
}

/* DS BCR19: PREAD does not work beside EEN. */
Test(am79c970a_eeprom, is_not_read_by_pread_beside_een)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_enable(f, true);
    write_word(f, 0, 0x1234);
    bcr_write(f, 19, PREAD | EEN);

    cr_assert_eq(bcr_read(f, 19) & (PVALID | PREAD), PVALID);
    cr_assert_eq(devemu_fake_read(f, 0, 0, 2), 0x5452);
}

/* NM93C46: power on disables programming, and here brings the first contents back. Plain: a
 * recorder knows no power-on but the one at its creation. */
Test(am79c970a_eeprom, is_not_written_after_power_on)
{
    g_autoptr(DevemuFake) f =
        devemu_fake_new_mode(&devemu_model_am79c970a, NULL, RAM_BYTES, DEVEMU_FAKE_PLAIN);

    write_enable(f, true);
    devemu_device_reset(devemu_fake_device(f), DEVEMU_RESET_POWER);
    write_word(f, 40, 0xbeef);

    cr_assert_eq(read_word(f, 40), 0);
}

/* Written words stay over a reset of the bus, not of the power. */
Test(am79c970a_eeprom, keeps_its_words_over_h_reset)
{
    g_autoptr(DevemuFake) f = nic_new(NULL);

    write_enable(f, true);
    write_word(f, 50, 0x4711);
    devemu_device_reset(devemu_fake_device(f), DEVEMU_RESET_HARD);

    cr_assert_eq(read_word(f, 50), 0x4711);
}

Test(am79c970a_eeprom, of_another_size_is_refused)
{
    uint8_t image[64] = {0};
    DevemuSetting setting = {.name = "eeprom", .data = image, .len = sizeof(image)};
    GError *error = NULL;

    cr_assert_null(devemu_device_new_with(&devemu_model_am79c970a, &setting, 1, &error));
    cr_assert_not_null(strstr(error->message, "eeprom"));
    g_error_free(error);
}
