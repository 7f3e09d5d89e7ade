/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.c: runs a device alone from the log of a recorder, and says where it first does something
 * else than it did then.
 *
 *     replay LOG [--seek N] [--steps N] [--model NAME] [--dump]
 *
 * --seek goes to just before event N, --steps does so many events and prints each, without it all
 * that are left are done; so "--seek 1000 --steps 0 --dump" shows the registers before event 1000.
 * Ends with 0 if all was the same, 1 at a difference, 2 if the log cannot be used.
 */
#include <devemu/devemu.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    EXIT_SAME = 0,
    EXIT_DIFFERENT = 1,
    EXIT_UNUSABLE = 2,
};

typedef struct Options {
    gint64 seek;
    gint64 steps;
    char *model;
    gboolean dump;
    char **logs;
} Options;

static bool parse(Options *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"seek", 0, 0, G_OPTION_ARG_INT64, &options->seek, "Go to just before event N", "N"},
        {"steps", 0, 0, G_OPTION_ARG_INT64, &options->steps,
         "Do N events and print each (default: all that are left)", "N"},
        {"model", 0, 0, G_OPTION_ARG_STRING, &options->model,
         "Try this model on the log (default: the one it names)", "NAME"},
        {"dump", 0, 0, G_OPTION_ARG_NONE, &options->dump, "Show the registers at the end", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->logs, NULL, "LOG"},
        {.long_name = NULL},
    };
    GOptionContext *context = g_option_context_new(NULL);
    bool ok;

    g_option_context_set_summary(
        context, "Runs a device alone from a record log and compares all that it puts out.");
    g_option_context_add_main_entries(context, entries, NULL);
    ok = g_option_context_parse(context, argc, argv, error);
    g_option_context_free(context);
    if (ok && (options->seek < 0 || options->steps < 0)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                    "--%s counts events from 0: give it a number that is not negative",
                    options->seek < 0 ? "seek" : "steps");
        ok = false;
    }
    if (ok && (options->logs == NULL || options->logs[0] == NULL || options->logs[1] != NULL)) {
        g_set_error_literal(error, DEVEMU_ERROR, DEVEMU_ERROR_OPTION,
                            "give one log: replay LOG [--seek N] [--steps N] [--model NAME] "
                            "[--dump]");
        ok = false;
    }
    return ok;
}

/* Several names may be one chip with different tables: try one on the log of another. */
static bool find_model(const char *name, const DevemuModel **ret_model, GError **error)
{
    const DevemuModel *model = name ? devemu_model_find(name) : NULL;

    if (name && model == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_MODEL,
                    "there is no model '%s': give --model the name of one in the library", name);
        return false;
    }
    *ret_model = model;
    return true;
}

/* Do what is asked; false and error at a difference. */
static bool do_steps(DevemuReplay *replay, const Options *options, GError **error)
{
    if (options->seek > 0 && !devemu_replay_seek(replay, (uint64_t)options->seek, error)) {
        return false;
    }
    if (options->steps == G_MAXINT64) {
        return devemu_replay_run(replay, error);
    }
    for (gint64 i = 0; i < options->steps; i++) {
        uint64_t n = devemu_replay_position(replay);
        GError *why = NULL;

        if (n < devemu_replay_count(replay)) {
            g_autofree char *text = devemu_replay_event_text(replay, n);

            fputs(text, stdout);
        }
        if (!devemu_replay_step(replay, &why)) {
            if (why) {
                g_propagate_error(error, why);
                return false;
            }
            break;
        }
    }
    return true;
}

static int replay_log(const Options *options, GError **error)
{
    g_autoptr(DevemuReplay) replay = NULL;
    const DevemuModel *model;
    const char *name;
    bool same;

    if (!find_model(options->model, &model, error)) {
        return EXIT_UNUSABLE;
    }
    replay = devemu_replay_new(options->logs[0], model, error);
    if (replay == NULL) {
        return EXIT_UNUSABLE;
    }
    if (devemu_replay_note(replay)) {
        fprintf(stderr, "replay: %s\n", devemu_replay_note(replay));
    }
    name = devemu_device_model(devemu_replay_device(replay))->name;
    printf("%s: %" G_GUINT64_FORMAT " events\n", name, devemu_replay_count(replay));
    same = do_steps(replay, options, error);
    if (devemu_replay_report(replay)) {
        fputs(devemu_replay_report(replay), stdout);
        g_clear_error(error);
        return EXIT_DIFFERENT;
    }
    if (!same) {
        return EXIT_UNUSABLE;
    }
    printf("%s: the same up to event %" G_GUINT64_FORMAT "\n", name,
           devemu_replay_position(replay));
    if (options->dump) {
        g_autofree char *dump = devemu_device_dump(devemu_replay_device(replay));

        fputs(dump, stdout);
    }
    return EXIT_SAME;
}

int main(int argc, char **argv)
{
    Options options = {.steps = G_MAXINT64};
    GError *error = NULL;
    int status = EXIT_UNUSABLE;

    if (parse(&options, &argc, &argv, &error)) {
        status = replay_log(&options, &error);
    }
    if (error) {
        fprintf(stderr, "replay: %s\n", error->message);
        g_error_free(error);
    }
    g_free(options.model);
    g_strfreev(options.logs);
    return status;
}
