/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dump_model.c: what the tables of a model say.
 *
 *     dump_model MODEL          register reference as Markdown
 *     dump_model --dict MODEL   dictionary for libFuzzer
 *     dump_model --list         all models as a Markdown table, with what is not modelled
 *     dump_model --buses        the same for the buses
 *     dump_model --registers    MODEL BANK REGISTER rw|ro of each register of each model
 */
#include <devemu/bus.h>
#include <devemu/device.h>
#include <devemu/list.h>

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- Markdown ---------------------------------------------------------------------- */

/* A text in a cell of a table: no bars, no line breaks. */
static void cell(const char *text)
{
    for (; text && *text; text++) {
        if (*text == '|') {
            fputs("\\|", stdout);
        } else {
            putchar(*text == '\n' ? ' ' : *text);
        }
    }
}

static const char *kind_name(DevemuBankKind kind)
{
    static const char *const names[] = {
        [DEVEMU_BANK_PIO] = "ports",
        [DEVEMU_BANK_MMIO] = "memory",
        [DEVEMU_BANK_CONFIG] = "PCI configuration space",
        [DEVEMU_BANK_INDEXED] = "reached through an index register",
        [DEVEMU_BANK_CYCLE] = "special bus cycles",
    };

    return names[kind];
}

static unsigned size_of(const DevemuReg *reg)
{
    return reg->size ? reg->size : 1;
}

static unsigned count_of(const DevemuReg *reg)
{
    return reg->count ? reg->count : 1;
}

static uint64_t mask_of(const DevemuReg *reg)
{
    unsigned size = size_of(reg);

    return size == 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

static void rule(const char *name, uint64_t mask, unsigned digits, bool *first)
{
    if (mask) {
        printf("%s%s %0*" PRIx64, *first ? "" : ", ", name, (int)digits, mask);
        *first = false;
    }
}

/* Access rules as masks in hexadecimal; what is not named is read-write. */
static void rules(const DevemuReg *reg)
{
    unsigned digits = size_of(reg) * 2;
    bool first = true;

    if (reg->window) {
        printf("window");
        return;
    }
    rule("RO", reg->ro, digits, &first);
    rule("W1C", reg->w1c, digits, &first);
    rule("W1S", reg->w1s, digits, &first);
    rule("W0C", reg->w0c, digits, &first);
    rule("RC", reg->rc, digits, &first);
    rule("WO", reg->wo, digits, &first);
    rule("RSVD", reg->rsvd, digits, &first);
    if (first) {
        printf("RW");
    }
    if (reg->writable) {
        printf(", writable at times");
    }
    if (reg->unimpl) {
        printf(", without effect");
    }
}

static void bits(const DevemuReg *reg)
{
    const char *comma = "";

    for (const DevemuBits *bit = reg->bits; bit && bit->name; bit++) {
        printf("%s", comma);
        cell(bit->name);
        printf(" %0*" PRIx64, (int)size_of(reg) * 2, bit->mask);
        comma = ", ";
    }
}

static void place(const DevemuReg *reg, const DevemuBank *bank)
{
    bool indexed = bank->kind == DEVEMU_BANK_INDEXED;

    printf(indexed ? "%u" : "%02x", reg->at);
    if (count_of(reg) > 1) {
        unsigned stride = reg->stride ? reg->stride : indexed ? 1 : size_of(reg);

        printf(indexed ? "-%u" : "-%02x", reg->at + (count_of(reg) - 1) * stride);
    }
}

/* What a guest reads after power on. */
static uint64_t reset_value(const DevemuReg *reg, DevemuDevice *dev)
{
    return (reg->read ? reg->read(devemu_device_state(dev), 0) : reg->reset & ~reg->wo) &
           mask_of(reg);
}

static void bank_reference(const DevemuBank *bank, DevemuDevice *dev)
{
    bool indexed = bank->kind == DEVEMU_BANK_INDEXED;

    printf("\n## Bank `%s`\n\n%s, %" PRIu64 " %s.\n", bank->name, kind_name(bank->kind), bank->size,
           indexed ? "registers" : "bytes");
    if (bank->reg_count == 0) {
        return;
    }
    printf("\n| %s | Bytes | Register | Title | Reset | Rules | Bits | Section |\n"
           "|---|---|---|---|---|---|---|---|\n",
           indexed ? "Index" : "At");
    for (size_t i = 0; i < bank->reg_count; i++) {
        const DevemuReg *reg = &bank->regs[i];

        printf("| ");
        place(reg, bank);
        printf(" | %u | ", size_of(reg));
        cell(reg->name);
        printf(" | ");
        cell(reg->title);
        if (reg->window) {
            printf(" | | ");
        } else {
            printf(" | %0*" PRIx64 " | ", (int)size_of(reg) * 2, reset_value(reg, dev));
        }
        rules(reg);
        printf(" | ");
        bits(reg);
        printf(" | ");
        cell(reg->section);
        printf(" |\n");
    }
}

static void line_names(const char *title, const char *const *names)
{
    if (names == NULL || names[0] == NULL) {
        return;
    }
    printf("\n%s:", title);
    for (unsigned i = 0; names[i]; i++) {
        printf("%s %u %s", i ? "," : "", i, names[i]);
    }
    printf(".\n");
}

static void property_reference(const DevemuModel *model)
{
    if (model->properties == NULL || model->properties->name == NULL) {
        return;
    }
    printf("\n## Properties\n\n| Name | Default | Choices | Meaning |\n|---|---|---|---|\n");
    for (const DevemuProperty *property = model->properties; property->name; property++) {
        printf("| `%s` | ", property->name);
        cell(property->value);
        printf(" | ");
        for (unsigned i = 0; property->choices && property->choices[i]; i++) {
            printf("%s%s", i ? ", " : "", property->choices[i]);
        }
        if (property->choices == NULL && property->max) {
            printf("%" PRIu64 " to %" PRIu64, property->min, property->max);
        }
        printf(" | ");
        cell(property->doc);
        printf(" |\n");
    }
}

static void reference(const DevemuModel *model)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(model, NULL, NULL);

    printf("# %s: %s\n\nMade from the tables of the model; masks are hexadecimal, what no rule "
           "names is read-write.\n\nDatasheet: %s.\n\nNot modelled: %s.\n",
           model->name, model->title, model->datasheet, model->not_modelled);
    if (model->pci) {
        printf("\nPCI identity %04x:%04x, class %06x, revision %02x.\n", model->pci->vendor,
               model->pci->device, model->pci->class_code, model->pci->revision);
    }
    line_names("Output lines", model->outputs);
    line_names("Input lines", model->inputs);
    property_reference(model);
    for (size_t i = 0; i < model->bank_count; i++) {
        bank_reference(&model->banks[i], dev);
    }
}

static void list(const char *title, const DevemuModel *const *models)
{
    printf("| %s | What | Datasheet | Not modelled |\n|---|---|---|---|\n", title);
    for (size_t i = 0; models[i]; i++) {
        const DevemuModel *model = models[i];

        printf("| `%s` | ", model->name);
        cell(model->title);
        printf(" | ");
        cell(model->datasheet);
        printf(" | ");
        cell(model->not_modelled);
        printf(" |\n");
    }
}

/* --- what can be written ----------------------------------------------------------- */

/* Does a write do anything? A window only passes it on. */
static bool is_writable(const DevemuReg *reg)
{
    if (reg->window) {
        return false;
    }
    return reg->wrote || (reg->width && (mask_of(reg) & ~(reg->ro | reg->rc | reg->rsvd)) != 0);
}

static void registers(const DevemuModel *model)
{
    for (size_t b = 0; b < model->bank_count; b++) {
        const DevemuBank *bank = &model->banks[b];

        for (size_t i = 0; i < bank->reg_count; i++) {
            printf("%s %s %s %s\n", model->name, bank->name, bank->regs[i].name,
                   is_writable(&bank->regs[i]) ? "rw" : "ro");
        }
    }
}

/* --- libFuzzer --------------------------------------------------------------------- */

/* A token is a number as it lies in an input: little-endian. Each is printed once. */
static void token(GHashTable *seen, const char *name, uint64_t value, unsigned bytes)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < bytes; i++) {
        g_string_append_printf(text, "\\x%02x", (unsigned)(value >> (8 * i)) & 0xff);
    }
    if (g_hash_table_add(seen, g_strdup(text->str))) {
        printf("# %s\n\"%s\"\n", name, text->str);
    }
}

static void bank_tokens(GHashTable *seen, const DevemuBank *bank)
{
    for (size_t i = 0; i < bank->reg_count; i++) {
        const DevemuReg *reg = &bank->regs[i];

        token(seen, reg->name, reg->at, bank->size > 256 ? 2 : 1);
        if (reg->reset & mask_of(reg)) {
            token(seen, reg->name, reg->reset, size_of(reg));
        }
        for (const DevemuBits *bit = reg->bits; bit && bit->name; bit++) {
            token(seen, bit->name, bit->mask, size_of(reg));
        }
    }
}

static void dictionary(const DevemuModel *model)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    printf("# %s: places of registers, reset values, bits\n", model->name);
    for (size_t i = 0; i < model->bank_count; i++) {
        bank_tokens(seen, &model->banks[i]);
    }
}

/* What needs no model's name. False: no such request. */
static bool print_all(const char *what)
{
    static const DevemuModel *const buses[] = {&devemu_model_isa, &devemu_model_pci_bus,
                                               &devemu_model_system, NULL};

    if (strcmp(what, "--list") == 0) {
        list("Model", devemu_models);
    } else if (strcmp(what, "--buses") == 0) {
        list("Bus", buses);
    } else if (strcmp(what, "--registers") == 0) {
        for (size_t i = 0; devemu_models[i]; i++) {
            registers(devemu_models[i]);
        }
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bool dict = argc == 3 && strcmp(argv[1], "--dict") == 0;
    const DevemuModel *model;

    if (argc == 2 && print_all(argv[1])) {
        return 0;
    }
    if ((argc != 2 || argv[1][0] == '-') && !dict) {
        fprintf(stderr,
                "usage: dump_model MODEL | --dict MODEL | --list | --buses | --registers\n");
        return 2;
    }
    model = devemu_model_find(argv[argc - 1]);
    if (model == NULL) {
        fprintf(stderr, "dump_model: there is no model \"%s\"; dump_model --list names them\n",
                argv[argc - 1]);
        return 2;
    }
    if (dict) {
        dictionary(model);
    } else {
        reference(model);
    }
    return 0;
}
