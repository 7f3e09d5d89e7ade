/* SPDX-License-Identifier: BSD-3-Clause */
/* The firmware configuration device, against QEMU's docs/specs/fw_cfg.rst ("FW"). */
#include <devemu/fw-cfg.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>

extern const DevemuModel devemu_model_fw_cfg;

enum {
    SELECTOR = 0,
    DATA = 1,
    DMA_HIGH = 4,
    DMA_LOW = 8,
};

enum {
    ERROR = 1,
    READ = 2,
    SKIP = 4,
    SELECT = 8,
    WRITE = 16,
};

#define RAM_BYTES   0x20000
#define DESCRIPTOR  0x100
#define DESTINATION 0x1000

static DevemuFake *with_items(const DevemuFwCfgBuilder *builder)
{
    g_autofree uint8_t *blob = NULL;
    DevemuSetting setting = {.name = "items"};

    blob = devemu_fw_cfg_builder_to_blob(builder, &setting.len);
    setting.data = blob;
    return devemu_fake_new_with(&devemu_model_fw_cfg, &setting, 1, RAM_BYTES);
}

static DevemuFake *plain(void)
{
    g_autoptr(DevemuFwCfgBuilder) builder = devemu_fw_cfg_builder_new();

    devemu_fw_cfg_builder_add_number(builder, DEVEMU_FW_CFG_NB_CPUS, 3, 2);
    devemu_fw_cfg_builder_add_number(builder, DEVEMU_FW_CFG_RAM_SIZE, 0x12345678, 8);
    devemu_fw_cfg_builder_add_file(builder, "etc/first", "abcdefgh", 8);
    devemu_fw_cfg_builder_add_file(builder, "opt/test/second", "xyz", 3);
    return with_items(builder);
}

static void choose(DevemuFake *fake, uint16_t key)
{
    devemu_fake_write(fake, 0, SELECTOR, 2, key);
}

static void take(DevemuFake *fake, char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = (char)devemu_fake_read(fake, 0, DATA, 1);
    }
}

static uint32_t be32(const uint8_t *p)
{
    return GUINT32_SWAP_LE_BE(devemu_le32(p));
}

static void put_be32(uint8_t *p, uint32_t value)
{
    devemu_put_le32(p, GUINT32_SWAP_LE_BE(value));
}

/* A descriptor at DESCRIPTOR, started. Returns the control field afterwards. */
static uint32_t dma(DevemuFake *fake, uint32_t control, uint32_t length, uint64_t address)
{
    uint8_t *d = devemu_fake_ram(fake) + DESCRIPTOR;

    put_be32(d, control);
    put_be32(d + 4, length);
    put_be32(d + 8, (uint32_t)(address >> 32));
    put_be32(d + 12, (uint32_t)address);
    devemu_fake_write(fake, 0, DMA_LOW, 4, GUINT32_SWAP_LE_BE((uint32_t)DESCRIPTOR));
    return be32(d);
}

Test(fw_cfg, tables_keep_their_word)
{
    cr_assert_eq(devemu_conformance(&devemu_model_fw_cfg, NULL), 0);
}

/* FW "Signature". */
Test(fw_cfg, the_signature_is_item_0)
{
    g_autoptr(DevemuFake) fake = plain();
    char buf[4];

    choose(fake, 0);
    take(fake, buf, 4);

    cr_assert_arr_eq(buf, "QEMU", 4);
}

/* FW "Revision / feature bitmap". */
Test(fw_cfg, the_feature_bitmap_tells_of_dma)
{
    g_autoptr(DevemuFake) fake = plain();
    g_autoptr(DevemuFake) without = devemu_fake_new(&devemu_model_fw_cfg, "dma=off", 0);
    char buf[4];

    choose(fake, 1);
    take(fake, buf, 4);
    cr_assert_arr_eq(buf, "\3\0\0\0", 4);
    choose(without, 1);
    take(without, buf, 4);
    cr_assert_arr_eq(buf, "\1\0\0\0", 4);
    devemu_fake_read(without, 0, DMA_LOW, 4);
    cr_assert_eq(devemu_fake_access(without), DEVEMU_ACCESS_NONE);
}

/* FW "Data Register": the offset moves on; behind the end there are zeros. */
Test(fw_cfg, an_item_is_read_byte_by_byte)
{
    g_autoptr(DevemuFake) fake = plain();
    char buf[12];

    choose(fake, DEVEMU_FW_CFG_RAM_SIZE);
    take(fake, buf, 12);

    cr_assert_arr_eq(buf, "\x78\x56\x34\x12\0\0\0\0\0\0\0\0", 12);
}

/* FW "Selector": selecting sets the offset to zero; bit 14 asks for writing and is ignored. */
Test(fw_cfg, selecting_begins_anew)
{
    g_autoptr(DevemuFake) fake = plain();

    choose(fake, DEVEMU_FW_CFG_NB_CPUS);
    cr_assert_eq(devemu_fake_read(fake, 0, DATA, 1), 3);
    cr_assert_eq(devemu_fake_read(fake, 0, DATA, 1), 0);
    choose(fake, DEVEMU_FW_CFG_NB_CPUS | 0x4000);
    cr_assert_eq(devemu_fake_read(fake, 0, DATA, 1), 3);
}

Test(fw_cfg, an_unknown_item_reads_as_zeros)
{
    g_autoptr(DevemuFake) fake = plain();

    choose(fake, 0x3fff);

    cr_assert_eq(devemu_fake_read(fake, 0, DATA, 1), 0);
    cr_assert_eq(devemu_fake_access(fake), DEVEMU_ACCESS_OK);
}

/* FW "File Directory": big-endian count, then 64 bytes a file. */
Test(fw_cfg, files_are_found_by_the_directory)
{
    g_autoptr(DevemuFake) fake = plain();
    uint8_t dir[4 + 2 * 64];
    char buf[8];
    const uint8_t *entry = dir + 4 + 64;

    choose(fake, DEVEMU_FW_CFG_FILE_DIR);
    take(fake, (char *)dir, sizeof(dir));

    cr_assert_eq(be32(dir), 2);
    cr_assert_eq(be32(dir + 4), 8);
    cr_assert_str_eq((const char *)dir + 4 + 8, "etc/first");
    cr_assert_eq(be32(entry), 3);
    cr_assert_str_eq((const char *)entry + 8, "opt/test/second");
    cr_assert_eq(entry[4] << 8 | entry[5], 0x21);
    choose(fake, 0x20);
    take(fake, buf, 8);
    cr_assert_arr_eq(buf, "abcdefgh", 8);
}

/* FW "Signature": what reading the DMA address register gives. */
Test(fw_cfg, the_dma_register_reads_as_a_signature)
{
    g_autoptr(DevemuFake) fake = plain();
    uint8_t bytes[8];

    devemu_put_le32(bytes, (uint32_t)devemu_fake_read(fake, 0, DMA_HIGH, 4));
    devemu_put_le32(bytes + 4, (uint32_t)devemu_fake_read(fake, 0, DMA_LOW, 4));

    cr_assert_arr_eq(bytes, "QEMU CFG", 8);
}

/* FW "Guest-side DMA Interface". */
Test(fw_cfg, dma_selects_and_reads)
{
    g_autoptr(DevemuFake) fake = plain();

    cr_assert_eq(dma(fake, 0x20 << 16 | SELECT | READ, 8, DESTINATION), 0);

    cr_assert_arr_eq(devemu_fake_ram(fake) + DESTINATION, "abcdefgh", 8);
}

Test(fw_cfg, dma_goes_on_where_it_was_and_skips)
{
    g_autoptr(DevemuFake) fake = plain();

    cr_assert_eq(dma(fake, 0x20 << 16 | SELECT | READ, 2, DESTINATION), 0);
    cr_assert_eq(dma(fake, SKIP, 3, 0), 0);
    cr_assert_eq(dma(fake, READ, 2, DESTINATION), 0);

    cr_assert_arr_eq(devemu_fake_ram(fake) + DESTINATION, "fg", 2);
    cr_assert_eq(devemu_fake_read(fake, 0, DATA, 1), 'h');
}

/* FW "Data Register": zeros behind the end also by DMA. */
Test(fw_cfg, dma_behind_the_end_gives_zeros)
{
    g_autoptr(DevemuFake) fake = plain();

    memset(devemu_fake_ram(fake) + DESTINATION, 0xee, 600);
    cr_assert_eq(dma(fake, 0x21 << 16 | SELECT | READ, 500, DESTINATION), 0);

    cr_assert_arr_eq(devemu_fake_ram(fake) + DESTINATION, "xyz\0\0", 5);
    cr_assert_eq(devemu_fake_ram(fake)[DESTINATION + 499], 0);
    cr_assert_eq(devemu_fake_ram(fake)[DESTINATION + 500], 0xee);
}

/* Bounded work: a length far behind the end is refused. */
Test(fw_cfg, a_huge_length_is_an_error)
{
    g_autoptr(DevemuFake) fake = plain();

    cr_assert_eq(dma(fake, 0x21 << 16 | SELECT | READ, 0xffffffff, DESTINATION), ERROR);
    cr_assert_eq(dma(fake, READ, 100, UINT64_MAX - 50), ERROR);
    cr_assert_eq(dma(fake, 0x21 << 16 | SELECT | READ, 3, RAM_BYTES - 1), ERROR);
}

/* FW: writes to read-only items are rejected. */
Test(fw_cfg, a_dma_write_is_refused)
{
    g_autoptr(DevemuFake) fake = plain();

    cr_assert_eq(dma(fake, 0x20 << 16 | SELECT | WRITE, 1, DESTINATION), ERROR);
    cr_assert_gt(devemu_fake_guest_errors(fake), 0);
}

/* FW: an address above 4 GiB is given by the most significant half, which is 0 again afterwards. */
Test(fw_cfg, a_descriptor_out_of_reach_does_no_harm)
{
    g_autoptr(DevemuFake) fake = plain();

    devemu_fake_write(fake, 0, DMA_HIGH, 4, GUINT32_SWAP_LE_BE(1u));
    devemu_fake_write(fake, 0, DMA_LOW, 4, 0);

    cr_assert_eq(dma(fake, 0x20 << 16 | SELECT | READ, 8, DESTINATION), 0);
}

Test(fw_cfg, the_builder_refuses_what_the_guest_could_not_find)
{
    g_autoptr(DevemuFwCfgBuilder) builder = devemu_fw_cfg_builder_new();
    char longest[57];

    memset(longest, 'n', sizeof(longest) - 1);
    longest[56] = '\0';

    cr_assert_not(devemu_fw_cfg_builder_add(builder, 0, "x", 1));
    cr_assert_not(devemu_fw_cfg_builder_add(builder, 1, "x", 1));
    cr_assert_not(devemu_fw_cfg_builder_add(builder, DEVEMU_FW_CFG_FILE_DIR, "x", 1));
    cr_assert_not(devemu_fw_cfg_builder_add(builder, 0x20, "x", 1));
    cr_assert_not(devemu_fw_cfg_builder_add(builder, 0x4005, "x", 1));
    cr_assert(devemu_fw_cfg_builder_add(builder, DEVEMU_FW_CFG_E820, "x", 1));
    cr_assert_not(devemu_fw_cfg_builder_add(builder, DEVEMU_FW_CFG_E820, "x", 1));
    cr_assert_not(devemu_fw_cfg_builder_add_file(builder, "", "x", 1));
    cr_assert_not(devemu_fw_cfg_builder_add_file(builder, longest, "x", 1));
    longest[55] = '\0';
    cr_assert(devemu_fw_cfg_builder_add_file(builder, longest, NULL, 0));
    cr_assert_not(devemu_fw_cfg_builder_add_file(builder, longest, NULL, 0));
}

Test(fw_cfg, a_broken_list_is_refused_with_a_reason)
{
    static const uint8_t head[] = {5, 0, 0, 0, 2, 0, 0};
    static const uint8_t longer[] = {5, 0, 0, 0, 2, 0, 0, 0, 1};
    static const uint8_t key[] = {5, 0x40, 0, 0, 0, 0, 0, 0};
    const DevemuSetting lists[] = {
        {.name = "items", .data = head, .len = sizeof(head)},
        {.name = "items", .data = longer, .len = sizeof(longer)},
        {.name = "items", .data = key, .len = sizeof(key)},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(GError) error = NULL;

        cr_assert_null(devemu_device_new_with(&devemu_model_fw_cfg, &lists[i], 1, &error));
        cr_assert_not_null(strstr(error->message, "items"));
    }
}
