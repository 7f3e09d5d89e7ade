/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fw-cfg-builder.c: makes the packed list of items of the model fw_cfg.
 */
#include <devemu/fw-cfg.h>
#include <devemu/model.h>

/* The directory of files: 64 bytes an entry behind a count, big-endian (QEMU docs/specs/fw_cfg.rst,
 * "File Directory"). */
#define ENTRY_BYTES 64
#define NAME_BYTES  56

#define KEY_WRITE_MODE 0x4000
#define KEY_ARCH       0x8000

typedef struct Item {
    uint16_t key;
    char *name; /* NULL: not a file */
    uint8_t *data;
    size_t len;
} Item;

struct DevemuFwCfgBuilder {
    GPtrArray *items;
    unsigned files;
};

static void item_free(void *opaque)
{
    Item *item = opaque;

    g_free(item->name);
    g_free(item->data);
    g_free(item);
}

DevemuFwCfgBuilder *devemu_fw_cfg_builder_new(void)
{
    DevemuFwCfgBuilder *builder = g_new0(DevemuFwCfgBuilder, 1);

    builder->items = g_ptr_array_new_with_free_func(item_free);
    return builder;
}

void devemu_fw_cfg_builder_free(DevemuFwCfgBuilder *builder)
{
    if (builder) {
        g_ptr_array_unref(builder->items);
        g_free(builder);
    }
}

static void append(DevemuFwCfgBuilder *builder, uint16_t key, const char *name, const void *data,
                   size_t len)
{
    Item *item = g_new0(Item, 1);

    item->key = key;
    item->name = g_strdup(name);
    item->data = g_memdup2(data, len);
    item->len = len;
    g_ptr_array_add(builder->items, item);
}

static bool key_taken(const DevemuFwCfgBuilder *builder, uint16_t key)
{
    for (unsigned i = 0; i < builder->items->len; i++) {
        const Item *item = g_ptr_array_index(builder->items, i);

        if (item->key == key) {
            return true;
        }
    }
    return false;
}

static bool name_taken(const DevemuFwCfgBuilder *builder, const char *name)
{
    for (unsigned i = 0; i < builder->items->len; i++) {
        const Item *item = g_ptr_array_index(builder->items, i);

        if (item->name && strcmp(item->name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool devemu_fw_cfg_builder_add(DevemuFwCfgBuilder *builder, uint16_t key, const void *data,
                               size_t len)
{
    g_return_val_if_fail(builder != NULL && (data != NULL || len == 0), false);
    g_return_val_if_fail(len <= UINT32_MAX, false);
    /* Generic keys from 20h on are the files'. */
    if (key <= 1 || key == DEVEMU_FW_CFG_FILE_DIR || (key & KEY_WRITE_MODE) ||
        (key >= DEVEMU_FW_CFG_FILE_FIRST && !(key & KEY_ARCH)) || key_taken(builder, key)) {
        return false;
    }
    append(builder, key, NULL, data, len);
    return true;
}

bool devemu_fw_cfg_builder_add_number(DevemuFwCfgBuilder *builder, uint16_t key, uint64_t value,
                                      unsigned size)
{
    uint8_t bytes[8];

    g_return_val_if_fail(builder != NULL && size >= 1 && size <= sizeof(bytes), false);
    devemu_put_le64(bytes, value);
    return devemu_fw_cfg_builder_add(builder, key, bytes, size);
}

bool devemu_fw_cfg_builder_add_file(DevemuFwCfgBuilder *builder, const char *name, const void *data,
                                    size_t len)
{
    g_return_val_if_fail(builder != NULL && name != NULL && (data != NULL || len == 0), false);
    g_return_val_if_fail(len <= UINT32_MAX, false);
    if (*name == '\0' || strlen(name) >= NAME_BYTES || name_taken(builder, name) ||
        DEVEMU_FW_CFG_FILE_FIRST + builder->files >= KEY_WRITE_MODE) {
        return false;
    }
    append(builder, (uint16_t)(DEVEMU_FW_CFG_FILE_FIRST + builder->files), name, data, len);
    builder->files++;
    return true;
}

static void put_item(GByteArray *blob, uint16_t key, const void *data, size_t len)
{
    uint8_t head[8] = {0};

    devemu_put_le16(head, key);
    devemu_put_le32(head + 4, (uint32_t)len);
    g_byte_array_append(blob, head, sizeof(head));
    if (len > 0) {
        g_byte_array_append(blob, data, (guint)len);
    }
}

static void put_directory(GByteArray *blob, const DevemuFwCfgBuilder *builder)
{
    size_t len = 4 + (size_t)builder->files * ENTRY_BYTES;
    uint8_t *directory = g_malloc0(len);
    uint8_t *entry = directory + 4;

    devemu_put_le32(directory, GUINT32_SWAP_LE_BE(builder->files));
    for (unsigned i = 0; i < builder->items->len; i++) {
        const Item *item = g_ptr_array_index(builder->items, i);

        if (item->name) {
            devemu_put_le32(entry, GUINT32_SWAP_LE_BE((uint32_t)item->len));
            devemu_put_le16(entry + 4, GUINT16_SWAP_LE_BE(item->key));
            memcpy(entry + 8, item->name, strlen(item->name));
            entry += ENTRY_BYTES;
        }
    }
    put_item(blob, DEVEMU_FW_CFG_FILE_DIR, directory, len);
    g_free(directory);
}

uint8_t *devemu_fw_cfg_builder_to_blob(const DevemuFwCfgBuilder *builder, size_t *ret_len)
{
    g_autoptr(GByteArray) blob = NULL;

    g_return_val_if_fail(builder != NULL && ret_len != NULL, NULL);
    blob = g_byte_array_new();
    put_directory(blob, builder);
    for (unsigned i = 0; i < builder->items->len; i++) {
        const Item *item = g_ptr_array_index(builder->items, i);

        put_item(blob, item->key, item->data, item->len);
    }
    return g_byte_array_steal(blob, ret_len);
}
