/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fw-cfg.h: what a program puts into the firmware configuration device (model "fw_cfg").
 *
 *     g_autoptr(DevemuFwCfgBuilder) items = devemu_fw_cfg_builder_new();
 *     size_t len;
 *     g_autofree uint8_t *blob = NULL;
 *
 *     devemu_fw_cfg_builder_add_number(items, DEVEMU_FW_CFG_RAM_SIZE, ram_bytes, 8);
 *     devemu_fw_cfg_builder_add_file(items, "etc/sercon-port", &port, 2);
 *     blob = devemu_fw_cfg_builder_to_blob(items, &len);
 *     dev = devemu_device_new_with(&devemu_model_fw_cfg,
 *                                  &(DevemuSetting){.name = "items", .data = blob, .len = len},
 *                                  1, &error);
 */
#ifndef DEVEMU_FW_CFG_H
#define DEVEMU_FW_CFG_H

#include <devemu/host.h>

#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys that firmware of PCs asks for; numbers are little-endian, of the given size. */
enum {
    DEVEMU_FW_CFG_UUID = 0x02,       /* 16 bytes */
    DEVEMU_FW_CFG_RAM_SIZE = 0x03,   /* 8 */
    DEVEMU_FW_CFG_NOGRAPHIC = 0x04,  /* 2 */
    DEVEMU_FW_CFG_NB_CPUS = 0x05,    /* 2 */
    DEVEMU_FW_CFG_NUMA = 0x0d,       /* 8 each */
    DEVEMU_FW_CFG_BOOT_MENU = 0x0e,  /* 2 */
    DEVEMU_FW_CFG_MAX_CPUS = 0x0f,   /* 2 */
    DEVEMU_FW_CFG_FILE_DIR = 0x19,   /* made by the builder */
    DEVEMU_FW_CFG_FILE_FIRST = 0x20, /* files, in the order in which they were added */
    DEVEMU_FW_CFG_E820 = 0x8003,     /* 20 bytes each */
};

typedef struct DevemuFwCfgBuilder DevemuFwCfgBuilder;

/* An empty list of items. */
DEVEMU_API DevemuFwCfgBuilder *devemu_fw_cfg_builder_new(void);
/* NULL is allowed. */
DEVEMU_API void devemu_fw_cfg_builder_free(DevemuFwCfgBuilder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuFwCfgBuilder, devemu_fw_cfg_builder_free)

/* An item under a key of its own; data is copied. False, and nothing added, if the key is taken,
 * is one of the model's (0, 1), of the builder's (the file directory), or has bit 14 set. */
DEVEMU_API bool devemu_fw_cfg_builder_add(DevemuFwCfgBuilder *builder, uint16_t key,
                                          const void *data, size_t len);
/* A little-endian number of size bytes (1 to 8). */
DEVEMU_API bool devemu_fw_cfg_builder_add_number(DevemuFwCfgBuilder *builder, uint16_t key,
                                                 uint64_t value, unsigned size);
/* A file, found by the guest through the directory; data is copied. False if the name is taken, is
 * empty, or longer than 55 bytes. */
DEVEMU_API bool devemu_fw_cfg_builder_add_file(DevemuFwCfgBuilder *builder, const char *name,
                                               const void *data, size_t len);
/* The packed list for the property "items", with the directory; free with g_free(). The builder
 * can be used on. */
DEVEMU_API uint8_t *devemu_fw_cfg_builder_to_blob(const DevemuFwCfgBuilder *builder,
                                                  size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
