/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c: run inputs of one target under any compiler and sanitizer.
 *
 *     fuzz_corpus_NAME FILE-OR-FOLDER...
 */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool run_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    if (g_getenv("FUZZ_VERBOSE")) {
        fprintf(stderr, "%s\n", path);
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, len);
    return true;
}

static bool run(const char *path, unsigned *count)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    bool ok = true;

    if (dir == NULL) {
        (*count)++;
        return run_file(path);
    }
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        ok = run_file(file) && ok;
        (*count)++;
    }
    g_dir_close(dir);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    bool ok = true;

    for (int i = 1; i < argc; i++) {
        ok = run(argv[i], &count) && ok;
    }
    printf("%u inputs\n", count);
    return ok && count > 0 ? 0 : 1;
}
