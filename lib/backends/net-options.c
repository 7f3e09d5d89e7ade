/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-options.c: networks by name.
 */
#include "net.h"

#include <string.h>

typedef struct Common {
    char *pcap, *record;
    uint64_t flush_frames;
} Common;

static const Option common_options[] = {
    {.name = "pcap", .type = OPTION_TEXT, .member = offsetof(Common, pcap)},
    {.name = "record", .type = OPTION_TEXT, .member = offsetof(Common, record)},
    {.name = "flush",
     .type = OPTION_UINT,
     .member = offsetof(Common, flush_frames),
     .max = G_MAXUINT},
    {.name = NULL},
};

static DevemuNet *null_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    static const Option none[] = {{.name = NULL}};

    (void)context;
    return options_fill("null", none, settings, NULL, error) ? devemu_net_null_new() : NULL;
}

static DevemuNet *playback_new(const DevemuSetting *settings, GMainContext *context, GError **error)
{
    static const Option table[] = {{.name = "path", .type = OPTION_TEXT}, {.name = NULL}};
    char *path = NULL;
    DevemuNet *net = NULL;

    if (!options_fill("playback", table, settings, &path, error)) {
        return NULL;
    }
    if (path == NULL) {
        options_refuse(error, "playback: option path is missing; it names the recording");
    } else {
        net = devemu_net_playback_new(path, context, error);
    }
    options_clear(table, &path);
    return net;
}

static const struct {
    const char *name;
    DevemuNet *(*make)(const DevemuSetting *settings, GMainContext *context, GError **error);
} kinds[] = {
    {"null", null_new},       {"packet", net_packet_new}, {"playback", playback_new},
    {"slirp", net_slirp_new}, {"stream", net_stream_new}, {"tap", net_tap_new},
};

/* Take the settings that every kind has out of the list. */
static bool take_common(DevemuSetting *settings, Common *common, GError **error)
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
        } else if (!options_fill("net", common_options, pair, common, error)) {
            return false;
        }
    }
    settings[kept] = (DevemuSetting){.name = NULL};
    return true;
}

static DevemuNet *decorate(DevemuNet *net, const Common *common, GError **error)
{
    DevemuNet *outer = net;

    if (common->record) {
        outer = devemu_net_record_new(net, common->record, error);
        if (outer == NULL) {
            devemu_net_free(net);
            return NULL;
        }
        net = outer;
    }
    if (common->pcap) {
        outer = devemu_net_pcap_new(net, common->pcap, (unsigned)common->flush_frames, error);
        if (outer == NULL) {
            devemu_net_free(net);
        }
    }
    return outer;
}

static DevemuNet *make(const char *kind, DevemuSetting *settings, GMainContext *context,
                       GError **error)
{
    Common common = {.flush_frames = 0};
    DevemuNet *net = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].name, kind) != 0) {
            continue;
        }
        if (take_common(settings, &common, error)) {
            net = kinds[i].make(settings, context, error);
        }
        net = net ? decorate(net, &common, error) : NULL;
        options_clear(common_options, &common);
        return net;
    }
    options_refuse(
        error, "there is no network \"%s\"; there are null, packet, playback, slirp, stream, tap",
        kind);
    return NULL;
}

DevemuNet *devemu_net_new(const char *text, GMainContext *context, GError **error)
{
    g_autofree char *kind = NULL;
    const char *comma;
    DevemuSetting *settings;
    g_autofree DevemuSetting *view = NULL;
    size_t count = 0;
    DevemuNet *net;

    g_return_val_if_fail(text != NULL, NULL);
    comma = strchr(text, ',');
    kind = g_strndup(text, comma ? (gsize)(comma - text) : strlen(text));
    settings = devemu_settings_parse(comma ? comma + 1 : "", error);
    if (settings == NULL) {
        return NULL;
    }
    while (settings[count].name) {
        count++;
    }
    view = g_new0(DevemuSetting, count + 1);
    memcpy(view, settings, count * sizeof(*view));
    net = make(kind, view, context, error);
    devemu_settings_free(settings);
    return net;
}

static DevemuNet *from_text(DevemuNet *(*constructor)(const DevemuSetting *settings,
                                                      GMainContext *context, GError **error),
                            const char *options, GMainContext *context, GError **error)
{
    DevemuSetting *settings = devemu_settings_parse(options ? options : "", error);
    DevemuNet *net;

    if (settings == NULL) {
        return NULL;
    }
    net = constructor(settings, context, error);
    devemu_settings_free(settings);
    return net;
}

DevemuNet *devemu_net_slirp_new(const char *options, GMainContext *context, GError **error)
{
    return from_text(net_slirp_new, options, context, error);
}

DevemuNet *devemu_net_tap_new(const char *options, GMainContext *context, GError **error)
{
    return from_text(net_tap_new, options, context, error);
}

DevemuNet *devemu_net_packet_new(const char *options, GMainContext *context, GError **error)
{
    return from_text(net_packet_new, options, context, error);
}

DevemuNet *devemu_net_stream_new(const char *options, GMainContext *context, GError **error)
{
    return from_text(net_stream_new, options, context, error);
}
