/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * standalone.c: run inputs under any compiler and sanitizer.
 *
 *     fuzz_corpus MODEL FILE-OR-FOLDER...
 */
#include "harness.h"

#include <stdlib.h>

static bool run_file(const DevemuModel *model, const char *path)
{
    char *data;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    if (g_getenv("FUZZ_VERBOSE")) {
        fprintf(stderr, "%s\n", path);
    }
    fuzz_run(model, (const uint8_t *)data, len, NULL);
    g_free(data);
    return true;
}

static bool run_folder(const DevemuModel *model, const char *path, unsigned *count)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    bool ok = true;

    while (dir && (name = g_dir_read_name(dir)) != NULL) {
        char *file = g_build_filename(path, name, NULL);

        ok = run_file(model, file) && ok;
        (*count)++;
        g_free(file);
    }
    g_clear_pointer(&dir, g_dir_close);
    return ok;
}

int main(int argc, char **argv)
{
    const DevemuModel *model = argc > 1 ? devemu_model_find(argv[1]) : NULL;
    unsigned count = 0;
    bool ok = true;

    if (model == NULL) {
        fprintf(stderr, "usage: fuzz_corpus MODEL FILE-OR-FOLDER...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        if (g_file_test(argv[i], G_FILE_TEST_IS_DIR)) {
            ok = run_folder(model, argv[i], &count) && ok;
        } else {
            ok = run_file(model, argv[i]) && ok;
            count++;
        }
    }
    printf("%s: %u inputs\n", model->name, count);
    return ok ? 0 : 1;
}
