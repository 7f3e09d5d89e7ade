/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * world.c: the device and what it is plugged into.
 */
#include "harness.h"

#define ISA_FREE_PORT 0x300 /* for a bank that has no place of its own */

/* --- settings from the input, a byte or more for each property --------------------- */

static char *setting_uint(FuzzInput *in, const DevemuProperty *p)
{
    unsigned bits = p->width >= 8 ? 64 : p->width * 8;
    uint64_t most = p->max ? p->max : UINT64_MAX >> (64 - bits);
    uint64_t value;

    switch (fuzz_byte(in) % 6) {
    case 1:
        value = p->min;
        break;
    case 2:
        value = most;
        break;
    case 3:
        value = fuzz_take(in, 1);
        break;
    case 4:
        value = fuzz_take(in, 2);
        break;
    case 5:
        value = fuzz_take(in, 4);
        break;
    default:
        return NULL;
    }
    return g_strdup_printf("%" PRIu64, CLAMP(value, p->min, most));
}

/* Nothing, bytes of the input, or a size and one byte to fill it. */
static uint8_t *setting_blob(FuzzInput *in, const DevemuProperty *p, size_t *ret_len)
{
    unsigned kind = fuzz_byte(in);
    uint8_t *data;

    if (kind % 4 == 0) {
        return NULL;
    }
    if (kind % 4 == 1) {
        *ret_len = kind >> 2 ? kind >> 2 : fuzz_take(in, 2) % 1024;
        data = g_malloc(*ret_len + 1);
        for (size_t i = 0; i < *ret_len; i++) {
            data[i] = fuzz_byte(in);
        }
        return data;
    }
    *ret_len = kind % 4 == 2 ? p->min : (size_t)1 << (kind >> 2) % 17;
    *ret_len = CLAMP(*ret_len, p->min, p->max ? p->max : 1 << 16);
    data = g_malloc(*ret_len + 1);
    memset(data, fuzz_byte(in), *ret_len + 1);
    return data;
}

static char *setting_text(FuzzInput *in, const DevemuProperty *p)
{
    unsigned count = 0;

    switch (p->type) {
    case DEVEMU_PROPERTY_UINT:
        return setting_uint(in, p);
    case DEVEMU_PROPERTY_BOOL:
        return g_strdup(fuzz_byte(in) & 1 ? "on" : "off");
    case DEVEMU_PROPERTY_ENUM:
        while (p->choices[count]) {
            count++;
        }
        return g_strdup(p->choices[fuzz_byte(in) % count]);
    default:
        return NULL;
    }
}

static void setting_say(Fuzz *f, const DevemuSetting *s)
{
    char *bytes;
    size_t at;

    if (f->text == NULL || f->twin) {
        return;
    }
    bytes = s->data ? fuzz_bytes(s->data, s->len) : NULL;
    at = strlen(f->text->settings);
    g_snprintf(f->text->settings + at, sizeof(f->text->settings) - at,
               bytes ? "    {.name = \"%s\", .data = (const uint8_t[]){%s}, .len = %zu},\n"
                     : "    {.name = \"%s\", .text = \"%s\"},\n",
               s->name, bytes ? bytes : s->text, s->len);
    g_free(bytes);
}

void fuzz_settings_take(Fuzz *f)
{
    const DevemuProperty *p = f->model->properties;

    for (; p && p->name && f->setting_count < FUZZ_SETTINGS; p++) {
        DevemuSetting s = {.name = p->name};

        if (p->type == DEVEMU_PROPERTY_BLOB) {
            s.data = setting_blob(&f->in, p, &s.len);
        } else {
            s.text = setting_text(&f->in, p);
        }
        if (s.data || s.text) {
            f->settings[f->setting_count++] = s;
        }
    }
}

void fuzz_settings_free(Fuzz *f)
{
    for (unsigned i = 0; i < f->setting_count; i++) {
        g_free((char *)(uintptr_t)f->settings[i].text);
        g_free((void *)(uintptr_t)f->settings[i].data);
    }
    f->setting_count = 0;
}

/* A person's mistake is an error with a message, and then the defaults are taken. */
static DevemuDevice *device_new(Fuzz *f)
{
    GError *error = NULL;
    DevemuDevice *dev = devemu_device_new_with(f->model, f->settings, f->setting_count, &error);

    if (dev == NULL) {
        if (error == NULL) {
            fuzz_fail(f, NULL, "the device was refused without a message");
        }
        g_clear_error(&error);
        fuzz_settings_free(f);
        dev = devemu_device_new_with(f->model, NULL, 0, &error);
        g_clear_error(&error);
    }
    return dev;
}

/* --- buses ------------------------------------------------------------------------- */

static uint64_t config_at(unsigned reg)
{
    return (uint64_t)FUZZ_DEVFN << 12 | reg;
}

static bool bar_place(Fuzz *f, unsigned n, bool *ret_wide)
{
    static const unsigned rom = 6;
    FuzzBar *bar = &f->bars[n];
    unsigned reg = n == rom ? 0x30 : 0x10 + 4 * n;
    uint32_t flags, mask;

    *ret_wide = false;
    fuzz_top_write(f, DEVEMU_PCI_CONFIG, config_at(reg), 4, n == rom ? 0xfffff800 : 0xffffffff,
                   "BAR");
    fuzz_top_read(f, DEVEMU_PCI_CONFIG, config_at(reg), 4, "BAR");
    mask = (uint32_t)f->last_read;
    if (mask == 0) {
        return false;
    }
    flags = n == rom ? 1 : mask & 7;
    bar->used = true;
    bar->io = n != rom && (flags & 1);
    bar->bank =
        n == rom || !f->model->pci->bars[n].bank ? UINT_MAX : f->model->pci->bars[n].bank - 1;
    bar->base = bar->io ? 0x1000u * (n + 1) : 0x1000000u * (n + 1);
    *ret_wide = !bar->io && n != rom && (flags & 6) == 4;
    fuzz_top_write(f, DEVEMU_PCI_CONFIG, config_at(reg), 4, bar->base | (n == rom ? 1 : 0), "BAR");
    return true;
}

/* Every BAR gets an address, as firmware does (PCI 3.0 6.2.5.1). */
static void pci_setup(Fuzz *f)
{
    for (unsigned n = 0; n < FUZZ_BARS; n++) {
        bool wide;

        if (bar_place(f, n, &wide) && wide) {
            fuzz_top_write(f, DEVEMU_PCI_CONFIG, config_at(0x10 + 4 * (n + 1)), 4, 0, "BAR");
            n++;
        }
    }
    fuzz_top_write(f, DEVEMU_PCI_CONFIG, config_at(4), 2, 7, "COMMAND");
}

static unsigned isa_bases(const Fuzz *f, uint16_t bases[8])
{
    unsigned count = 0;

    for (unsigned b = 0; b < f->model->bank_count && count < 8; b++) {
        if (f->model->banks[b].kind == DEVEMU_BANK_PIO) {
            bases[count] = f->model->isa->bases[count];
            if (bases[count] == 0) {
                bases[count] = (uint16_t)(ISA_FREE_PORT + 0x40 * count);
            }
            count++;
        }
    }
    return count;
}

void fuzz_plug(Fuzz *f)
{
    GError *error = NULL;
    bool ok;

    if (f->model->pci) {
        ok = devemu_pci_plug(f->top, f->dev, FUZZ_DEVFN, &error);
    } else {
        uint16_t bases[8];
        unsigned count = isa_bases(f, bases);

        ok = devemu_isa_plug(f->top, f->dev, bases, count, -1, &error);
    }
    if (!ok) {
        fuzz_fail(f, NULL, "cannot plug: %s", error ? error->message : "without a message");
    }
    f->plugged = true;
}

void fuzz_unplug(Fuzz *f)
{
    if (!f->bus) {
        fuzz_say(f, "/* the host goes and comes again */");
        devemu_device_set_host(f->dev, NULL, NULL);
        fuzz_host_forget(f);
        devemu_device_set_host(f->dev, &f->ops, f);
    } else if (f->plugged) {
        fuzz_say(f, "devemu_bus_unplug(dev);");
        devemu_bus_unplug(f->dev);
        f->plugged = false;
        if (devemu_device_lines(f->top) != 0) {
            fuzz_fail(f, "cr_expect(devemu_device_lines(devemu_fake_device(fake)) == 0);",
                      "a line of the empty bus is high");
        }
        if (devemu_device_deadline(f->top) != DEVEMU_NEVER) {
            fuzz_fail(f, NULL, "the empty bus has a deadline");
        }
    } else {
        fuzz_say(f, "plug(fake);");
        fuzz_plug(f);
    }
}

/* --- the whole --------------------------------------------------------------------- */

static void tree_new(Fuzz *f)
{
    f->dev = device_new(f);
    if (f->dev == NULL) {
        return;
    }
    f->born = f->now;
    f->logs = f->unimpls = 0;
    fuzz_host_forget(f);
    if (f->bus) {
        f->top = devemu_device_new(f->model->pci ? &devemu_model_pci_bus : &devemu_model_isa, NULL,
                                   NULL);
    } else {
        f->top = f->dev;
        f->plugged = true;
    }
    fuzz_attach(f);
}

static void find_mac(Fuzz *f)
{
    f->mac = NULL;
    for (const DevemuProperty *p = f->model->properties; p && p->name; p++) {
        if (p->type == DEVEMU_PROPERTY_MAC) {
            f->mac = (const uint8_t *)devemu_device_state(f->dev) + p->member;
        }
    }
}

/* False if the model cannot be made from its defaults. */
bool fuzz_world_new(Fuzz *f)
{
    f->bus = (f->head & FUZZ_HEAD_BUS) && (f->model->pci || f->model->isa);
    tree_new(f);
    if (f->dev == NULL) {
        return false;
    }
    for (unsigned i = 0; i < f->setting_count; i++) {
        setting_say(f, &f->settings[i]);
    }
    devemu_device_set_host(f->top, &f->ops, f);
    if (f->bus) {
        fuzz_plug(f);
    }
    find_mac(f);
    if (f->bus && f->model->pci) {
        pci_setup(f);
    }
    return true;
}

void fuzz_world_free(Fuzz *f)
{
    if (f->bus && !f->plugged) {
        devemu_device_free(f->dev);
    }
    devemu_device_free(f->top);
    f->top = f->dev = NULL;
    g_clear_pointer(&f->block, devemu_block_free);
}

void fuzz_migrate(Fuzz *f)
{
    GVariant *state;
    DevemuDevice *old = f->top;
    uint64_t lines = f->lines;
    GError *error = NULL;

    devemu_device_drain(f->top);
    state = devemu_device_save(f->top);
    if (f->block) {
        /* The old one is told that its medium goes, and may say so: to nobody. */
        devemu_device_set_host(old, NULL, NULL);
    }
    tree_new(f);
    if (f->bus) {
        fuzz_plug(f);
    }
    if (!devemu_device_load(f->top, state, &error)) {
        fuzz_fail(f, NULL, "another device refused the snapshot: %s",
                  error ? error->message : "without a message");
    }
    g_variant_unref(state);
    devemu_device_free(old);
    devemu_device_set_host(f->top, &f->ops, f);
    find_mac(f);
    if (f->lines != lines) {
        fuzz_fail(f, NULL, "a migration changed the lines from %#" PRIx64 " to %#" PRIx64, lines,
                  f->lines);
    }
}
