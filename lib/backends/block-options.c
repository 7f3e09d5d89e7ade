/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-options.c: media by name.
 */
#include "block.h"

#include <stdio.h>
#include <string.h>

static const Option common_options[] = {
    {"readonly", OPTION_BOOL, offsetof(BlockCommon, read_only), 0, 0},
    {"discard", OPTION_BOOL, offsetof(BlockCommon, discard), 0, 0},
    {"block-size", OPTION_UINT, offsetof(BlockCommon, block_size), 512, 65536},
    {"iops", OPTION_UINT, offsetof(BlockCommon, iops), 0, UINT64_C(1) << 32},
    {"bps", OPTION_UINT, offsetof(BlockCommon, bps), 0, UINT64_C(1) << 34},
    {"burst", OPTION_UINT, offsetof(BlockCommon, burst_ms), 0, 3600000},
    {"latency", OPTION_UINT, offsetof(BlockCommon, latency_us), 0, UINT64_C(3600000000)},
    {"fault", OPTION_LIST, offsetof(BlockCommon, faults), 0, 0},
    {"lifetime", OPTION_TEXT, offsetof(BlockCommon, lifetime), 0, 0},
    {"zoned", OPTION_UINT, offsetof(BlockCommon, zone_size), 512, UINT64_C(1) << 40},
    {"zones-conventional", OPTION_UINT, offsetof(BlockCommon, zones_conventional), 0, UINT32_MAX},
    {"zones-open", OPTION_UINT, offsetof(BlockCommon, zones_open), 0, UINT32_MAX},
    {"zones-active", OPTION_UINT, offsetof(BlockCommon, zones_active), 0, UINT32_MAX},
    {.name = NULL},
};

static const struct {
    const char *name;
    const char *first; /* the option that stands behind the colon */
    BlockMake *make;
} kinds[] = {
    {"file", "path", block_file_make},   {"memory", "size", block_memory_make},
    {"null", "size", block_null_make},   {"nbd", "uri", block_nbd_make},
    {"qcow2", "path", block_qcow2_make},
};

/* --- what the options say of the medium -------------------------------------------- */

static bool set_lifetime(DevemuBlockInfo *info, const char *text, GError **error)
{
    unsigned values[3];
    char rest;

    if (sscanf(text, "%u:%u:%u%c", &values[0], &values[1], &values[2], &rest) != 3 ||
        values[0] > 3 || values[1] > 11 || values[2] > 11) {
        return options_refuse(error,
                              "lifetime \"%s\" is not EOL:A:B: end of life 0 to 3, two estimates 0 "
                              "to 11, as in JEDEC eMMC",
                              text);
    }
    info->lifetime = true;
    info->pre_eol = (uint16_t)values[0];
    info->life_a = (uint16_t)values[1];
    info->life_b = (uint16_t)values[2];
    return true;
}

bool block_finish_info(DevemuBlock *block, const BlockCommon *common, GError **error)
{
    DevemuBlockInfo *info = &block->info;
    uint64_t size = common->block_size;

    if (size & (size - 1)) {
        return options_refuse(error, "block-size is a power of 2, not %" G_GUINT64_FORMAT, size);
    }
    if (size && size < info->block_size) {
        return options_refuse(error, "block-size: this medium has blocks of %u bytes, no smaller",
                              info->block_size);
    }
    if (size) {
        info->block_size = (uint32_t)size;
    }
    if (info->capacity == 0 || info->capacity % info->block_size != 0) {
        return options_refuse(error,
                              "%s: %" G_GUINT64_FORMAT " bytes are not a whole number of blocks of "
                              "%u bytes",
                              block->class->name, info->capacity, info->block_size);
    }
    info->physical_size = MAX(info->physical_size, info->block_size);
    info->discard_granularity = MAX(info->discard_granularity, info->block_size);
    info->discard = info->discard && common->discard && !info->read_only;
    info->zeroes_unmap = info->zeroes_unmap && common->discard;
    info->write_zeroes = info->write_zeroes && !info->read_only;
    info->secure_erase = info->secure_erase && !info->read_only;
    if (common->zone_size) {
        block->zones = block_zones_new(common, info, error);
        if (block->zones == NULL) {
            return false;
        }
    }
    return common->lifetime == NULL || set_lifetime(info, common->lifetime, error);
}

bool block_cache_good(const char *kind, const char *text, GError **error)
{
    return text == NULL || strcmp(text, "writeback") == 0 || strcmp(text, "writethrough") == 0 ||
           options_refuse(error, "%s: cache=%s is not known; there are writeback and writethrough",
                          kind, text);
}

/* --- by name ----------------------------------------------------------------------- */

/* Take the settings that every kind has out of the list. */
static bool take_common(DevemuSetting *settings, BlockCommon *common, GError **error)
{
    size_t kept = 0;

    for (size_t i = 0; settings[i].name; i++) {
        DevemuSetting pair[2] = {settings[i], {.name = NULL}};
        bool is_common = false;

        for (const Option *option = common_options; option->name; option++) {
            is_common |= strcmp(option->name, settings[i].name) == 0;
        }
        if (!is_common) {
            settings[kept++] = settings[i];
        } else if (!options_fill("block", common_options, pair, common, error)) {
            return false;
        }
    }
    settings[kept] = (DevemuSetting){.name = NULL};
    return true;
}

static DevemuBlock *make(size_t kind, DevemuSetting *settings, GMainContext *context,
                         GError **error)
{
    BlockCommon common = {.discard = true, .burst_ms = 100};
    DevemuBlock *block = NULL;

    if (take_common(settings, &common, error)) {
        block = kinds[kind].make(settings, &common, context, error);
    }
    options_clear(common_options, &common);
    return block;
}

/* rest is what follows the kind. */
static DevemuBlock *parse_and_make(size_t kind, const char *rest, GMainContext *context,
                                   GError **error)
{
    g_autofree char *text = NULL;
    g_autofree DevemuSetting *view = NULL;
    DevemuSetting *settings;
    DevemuBlock *block;
    size_t count = 0;

    if (rest[0] == ':' && rest[1] != '\0') {
        text = g_strdup_printf("%s=%s", kinds[kind].first, rest + 1);
    } else {
        text = g_strdup(rest[0] ? rest + 1 : "");
    }
    settings = devemu_settings_parse(text, error);
    if (settings == NULL) {
        return NULL;
    }
    while (settings[count].name) {
        count++;
    }
    view = g_memdup2(settings, (count + 1) * sizeof(*view));
    block = make(kind, view, context, error);
    devemu_settings_free(settings);
    return block;
}

DevemuBlock *devemu_block_new(const char *text, GMainContext *context, GError **error)
{
    size_t len;

    g_return_val_if_fail(text != NULL, NULL);
    len = strcspn(text, ":,");
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strlen(kinds[i].name) == len && strncmp(kinds[i].name, text, len) == 0) {
            return parse_and_make(i, text + len, context, error);
        }
    }
    options_refuse(error,
                   "there is no block medium \"%s\"; there are file:PATH, memory:SIZE, null:SIZE, "
                   "nbd:URI, qcow2:PATH",
                   text);
    return NULL;
}
