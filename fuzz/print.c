/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * print.c: an input as a Criterion test that does the same through the fake host.
 *
 *     fuzz_print MODEL FILE EDIT.H     (use fuzz/replay)
 *
 * The input is run in a child: one that crashes has written down what led to it.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "harness.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The lines of path between "BEGIN name" and "END name". */
static void print_part(const char *path, const char *name)
{
    char *text = NULL;
    char *begin = g_strdup_printf("/* BEGIN %s */\n", name);
    char *end = g_strdup_printf("/* END %s */\n", name);
    char *from, *to;

    if (g_file_get_contents(path, &text, NULL, NULL) && (from = strstr(text, begin)) != NULL &&
        (to = strstr(from, end)) != NULL) {
        from += strlen(begin);
        printf("%.*s\n", (int)(to - from), from);
    }
    g_free(text);
    g_free(begin);
    g_free(end);
}

static void print_make(const DevemuModel *model, const FuzzText *text)
{
    const char *settings = *text->settings ? "settings, G_N_ELEMENTS(settings)" : "NULL, 0";

    if (*text->settings) {
        printf("static const DevemuSetting settings[] = {\n%s};\n\n", text->settings);
    }
    if (!text->bus && model->is_block) {
        printf("static DevemuFake *make(void)\n{\n"
               "    DevemuFake *fake = devemu_fake_new_with(devemu_model_find(\"%s\"), %s, 0x%x);\n"
               "    DevemuBlock *block = devemu_block_new(\"%s\", NULL, NULL);\n\n"
               "    devemu_fake_set_block(fake, block);\n    return fake;\n}\n\n",
               model->name, settings, FUZZ_RAM_BYTES, FUZZ_MEDIUM);
        return;
    }
    if (!text->bus) {
        printf("static DevemuFake *make(void)\n{\n"
               "    return devemu_fake_new_with(devemu_model_find(\"%s\"), %s, 0x%x);\n}\n\n",
               model->name, settings, FUZZ_RAM_BYTES);
        return;
    }
    printf("static DevemuDevice *dev;\n\n"
           "static void plug(DevemuFake *fake)\n{\n");
    if (text->pci) {
        printf("    cr_assert(devemu_pci_plug(devemu_fake_device(fake), dev, 0x%x, NULL));\n}\n\n",
               FUZZ_DEVFN);
    } else {
        printf("    uint16_t bases[8] = {0};\n    unsigned count = 0;\n\n"
               "    for (unsigned b = 0; b < devemu_device_model(dev)->bank_count; b++) {\n"
               "        if (devemu_device_model(dev)->banks[b].kind == DEVEMU_BANK_PIO) {\n"
               "            bases[count] = devemu_device_model(dev)->isa->bases[count];\n"
               "            bases[count] = bases[count] ? bases[count] : (uint16_t)(0x300 + 0x40 * "
               "count);\n"
               "            count++;\n        }\n    }\n"
               "    cr_assert(devemu_isa_plug(devemu_fake_device(fake), dev, bases, count, -1, "
               "NULL));\n}\n\n");
    }
    printf("static DevemuFake *make(void)\n{\n"
           "    DevemuFake *fake = devemu_fake_new_mode(&%s, NULL, 0x%x, DEVEMU_FAKE_PLAIN);\n\n"
           "    dev = devemu_device_new_with(devemu_model_find(\"%s\"), %s, NULL);\n"
           "%s    plug(fake);\n    return fake;\n}\n\n",
           text->pci ? "devemu_model_pci_bus" : "devemu_model_isa", FUZZ_RAM_BYTES, model->name,
           settings,
           model->is_block ? "    devemu_block_attach(devemu_block_new(\"" FUZZ_MEDIUM
                             "\", NULL, NULL), dev);\n"
                           : "");
}

static void print_helpers(const FuzzText *text)
{
    if (text->uses & FUZZ_USES_MIGRATE) {
        puts("/* Another device with the same state, memory and time. */\n"
             "static DevemuFake *migrate(DevemuFake *old)\n{\n"
             "    GVariant *state = devemu_device_save(devemu_fake_device(old));\n"
             "    DevemuFake *fake = make();\n\n"
             "    memcpy(devemu_fake_ram(fake), devemu_fake_ram(old), 0x10000);\n"
             "    devemu_fake_idle(fake, devemu_fake_now(old));\n"
             "    cr_assert(devemu_device_load(devemu_fake_device(fake), state, NULL));\n"
             "    g_variant_unref(state);\n    devemu_fake_free(old);\n    return fake;\n}\n");
    }
    if (text->uses & FUZZ_USES_ROUND) {
        puts("static bool round_trip(DevemuDevice *top)\n{\n"
             "    GVariant *before = devemu_device_save(top), *after;\n"
             "    bool same = devemu_device_load(top, before, NULL);\n\n"
             "    after = devemu_device_save(top);\n"
             "    same = same && g_variant_equal(before, after);\n"
             "    g_variant_unref(before);\n    g_variant_unref(after);\n    return same;\n}\n");
    }
    if (text->uses & FUZZ_USES_SCREEN) {
        puts("static void screen(DevemuDevice *device, size_t short_by)\n{\n"
             "    DevemuScreen s = {0};\n\n"
             "    devemu_device_screen(device, &s);\n"
             "    s.capacity = (size_t)s.width * s.height;\n"
             "    if (s.capacity > short_by) {\n"
             "        s.capacity -= short_by;\n"
             "        s.pixels = g_new(uint32_t, s.capacity);\n"
             "        devemu_device_screen(device, &s);\n"
             "        g_free(s.pixels);\n    }\n}\n");
    }
    if (strstr(text->body, "    receive(")) {
        printf("static void receive(%s, const uint8_t *head, size_t head_len, uint8_t fill, size_t "
               "len)\n{\n"
               "    uint8_t *data = g_malloc(len ? len : 1);\n\n"
               "    memset(data, fill, len);\n    memcpy(data, head, head_len);\n"
               "    %s(to, data, len);\n    g_free(data);\n}\n\n",
               text->bus ? "DevemuDevice *to" : "DevemuFake *to",
               text->bus ? "devemu_device_receive" : "devemu_fake_receive");
    }
}

/* The test's name: the digest of the input, as libFuzzer calls its files. */
static char *test_name(const char *data, size_t len)
{
    char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *)data, len);
    char *name = g_strdup_printf("fuzz_%.8s", sum);

    g_free(sum);
    return name;
}

static void print_test(const DevemuModel *model, const FuzzText *text, const char *name,
                       const char *edit_path, bool crashed)
{
    g_autofree char *suite = g_strdup(model->name);

    puts("/* SPDX-License-Identifier: BSD-3-Clause */\n"
         "#include <devemu/bus.h>\n#include <devemu/list.h>\n#include <devemu/testing.h>\n\n"
         "#include <criterion/criterion.h>\n#include <string.h>\n");
    print_make(model, text);
    print_helpers(text);
    if (text->uses & FUZZ_USES_EDIT) {
        print_part(edit_path, "edit");
    }
    if (text->uses & FUZZ_USES_PATCH) {
        print_part(edit_path, "patch");
    }
    printf("Test(%s, %s)\n{\n    DevemuFake *fake = make();\n", g_strdelimit(suite, "-", '_'),
           name);
    if (strstr(text->body, "&value")) {
        puts("    uint64_t value = 0;");
    }
    puts("");
    if (text->refill) {
        puts("    /* Memory changed under every read: what is written to it here comes before the "
             "operation\n     * that read it, which may not be enough to see the same. */");
    }
    fputs(text->body, stdout);
    if (crashed && !text->broken) {
        puts("    /* fuzz: crashed in the line above */");
    }
    puts("\n    devemu_fake_free(fake);\n}");
}

int main(int argc, char **argv)
{
    const DevemuModel *model = argc > 3 ? devemu_model_find(argv[1]) : NULL;
    FuzzText *text =
        mmap(NULL, sizeof(*text), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    GError *error = NULL;
    char *data, *name;
    int status = 0;
    gsize len;
    pid_t child;

    if (argc != 4 || text == MAP_FAILED) {
        fprintf(stderr, "usage: fuzz_print MODEL FILE EDIT.H\n");
        return 2;
    }
    if (model == NULL) {
        fprintf(stderr, "fuzz_print: there is no model '%s'; dump_model --list names them\n",
                argv[1]);
        return 2;
    }
    if (!g_file_get_contents(argv[2], &data, &len, &error)) {
        fprintf(stderr, "fuzz_print: %s\n", error->message);
        return 2;
    }
    child = fork();
    if (child == 0) {
        alarm(60); /* an endless loop is a crash, too */
        fuzz_run(model, (const uint8_t *)data, len, text);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return 2;
    }
    name = test_name(data, len);
    print_test(model, text, name, argv[3], status != 0);
    g_free(name);
    g_free(data);
    return 0;
}
