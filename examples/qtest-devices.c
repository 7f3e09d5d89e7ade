/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qtest-devices.c: cards in the PCI bus by the names of QEMU, and their hot plug by the ports of
 * ACPI tables for PCI hot plug (QEMU docs/specs/acpi_pci_hotplug.rst), without its event interrupt:
 * tests look at the bits, or only write the eject port.
 */
#include "qtest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HOTPLUG_BASE 0xae00
#define FIRST_SLOT   2 /* behind host bridge and PIIX */
#define SLOTS        32

/* --- cards ------------------------------------------------------------------------- */

/* QEMU's name of a card, and ours. */
static const struct {
    const char *theirs, *ours;
} drivers[] = {
    {"pcnet", "am79c970a"},
};

/* A card is a PCI function that is no bridge (PCI 3.0 D: base class 06h): the chipset is there. */
static bool is_card(const DevemuModel *model)
{
    return model->pci && model->pci->class_code >> 16 != 0x06;
}

const char *qtest_driver(unsigned i)
{
    unsigned at = G_N_ELEMENTS(drivers);

    if (i < at) {
        return drivers[i].theirs;
    }
    for (const DevemuModel *const *model = devemu_models; *model; model++) {
        if (is_card(*model) && at++ == i) {
            return (*model)->name;
        }
    }
    return NULL;
}

static const DevemuModel *find_driver(const char *name, GError **error)
{
    const DevemuModel *model;

    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
        if (strcmp(drivers[i].theirs, name) == 0) {
            name = drivers[i].ours;
        }
    }
    model = devemu_model_find(name);
    if (model == NULL || !is_card(model)) {
        qtest_refuse(error, "'%s' is not a valid device model name", name);
        return NULL;
    }
    return model;
}

static bool model_has(const DevemuModel *model, const char *property)
{
    for (const DevemuProperty *p = model->properties; p && p->name; p++) {
        if (strcmp(p->name, property) == 0) {
            return true;
        }
    }
    return false;
}

/* One property of QEMU's as one of the model's; false if the model has none such. */
static bool translate(const DevemuModel *model, const DevemuSetting *theirs, DevemuSetting *ret)
{
    *ret = *theirs;
    if (strcmp(theirs->name, "romfile") == 0) {
        ret->name = "rom";
    }
    return model_has(model, ret->name) && !(strcmp(ret->name, "rom") == 0 && ret->text[0] == '\0');
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {"id", "bus", "addr", "netdev", "driver"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What -global says of this driver comes first, so that -device overrides it. */
static void add_globals(const Qtest *q, const char *driver, GArray *to)
{
    for (guint i = 0; i < q->options.globals->len; i++) {
        const char *text = g_ptr_array_index(q->options.globals, i);
        const char *dot = strchr(text, '.'), *is = dot ? strchr(dot, '=') : NULL;

        if (is && strlen(driver) == (size_t)(dot - text) &&
            strncmp(driver, text, strlen(driver)) == 0) {
            g_autofree char *name = g_strndup(dot + 1, (gsize)(is - dot - 1));
            const DevemuSetting setting = {.name = g_intern_string(name), .text = is + 1};

            g_array_append_val(to, setting);
        }
    }
}

/* The model's settings; each once, the last one given. */
static GArray *card_settings(const Qtest *q, const DevemuModel *model, const char *driver,
                             const DevemuSetting *settings, const char *mac)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(DevemuSetting));
    GArray *own = g_array_new(TRUE, TRUE, sizeof(DevemuSetting));
    const DevemuSetting first = {.name = "mac", .text = mac};

    g_array_append_val(all, first);
    add_globals(q, driver, all);
    for (; settings->name; settings++) {
        g_array_append_val(all, *settings);
    }
    for (guint i = 0; i < all->len; i++) {
        const DevemuSetting *theirs = &g_array_index(all, DevemuSetting, i);
        DevemuSetting setting;

        if (is_ours(theirs->name)) {
            continue;
        }
        if (!translate(model, theirs, &setting)) {
            if (i > 0) {
                qtest_note("%s: property %s is passed over", driver, theirs->name);
            }
            continue;
        }
        for (guint k = 0; k < own->len; k++) {
            if (strcmp(g_array_index(own, DevemuSetting, k).name, setting.name) == 0) {
                g_array_remove_index(own, k--);
            }
        }
        g_array_append_val(own, setting);
    }
    return own;
}

static bool is_taken(const Qtest *q, unsigned slot)
{
    for (guint i = 0; i < q->cards->len; i++) {
        if (((Card *)g_ptr_array_index(q->cards, i))->slot == slot) {
            return true;
        }
    }
    return slot < FIRST_SLOT;
}

/* Slots are given out as QEMU does, which has a VGA and a network card of its own unless told
 * otherwise. */
static unsigned first_slot(const QtestOptions *o)
{
    bool vga = !o->nodefaults && !o->no_vga;
    bool net = !o->nodefaults && !o->no_net && o->netdevs->len == 0;

    return FIRST_SLOT + vga + net;
}

/* "4", "04.0", "0x4": hexadecimal in any case. */
static bool choose_slot(const Qtest *q, const char *addr, unsigned *ret_slot, GError **error)
{
    unsigned slot = first_slot(&q->options);
    char *end = NULL;

    while (addr == NULL && slot < SLOTS && is_taken(q, slot)) {
        slot++;
    }
    if (addr) {
        slot = (unsigned)MIN(g_ascii_strtoull(addr, &end, 16), SLOTS);
    }
    if (end && (end == addr || (*end != '\0' && strcmp(end, ".0") != 0))) {
        return qtest_refuse(error, "addr=%s: give the slot of a card with one function, as in 04.0",
                            addr);
    }
    if (slot >= SLOTS || is_taken(q, slot)) {
        return qtest_refuse(error, "PCI: slot %s is %s", addr ? addr : "",
                            slot >= SLOTS ? "not there" : "in use");
    }
    *ret_slot = slot;
    return true;
}

static Card *find_card(const Qtest *q, const char *id)
{
    for (guint i = 0; i < q->cards->len; i++) {
        Card *card = g_ptr_array_index(q->cards, i);

        if (card->id && strcmp(card->id, id) == 0) {
            return card;
        }
    }
    return NULL;
}

static bool check_id(const Qtest *q, const char *id, GError **error)
{
    if (id && (!g_ascii_isalpha(id[0]) ||
               id[strspn(id, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._")])) {
        return qtest_refuse(error,
                            "id=%s: an id is a letter, then letters, digits, '-', '.' and '_'", id);
    }
    return id == NULL || find_card(q, id) == NULL ||
           qtest_refuse(error, "Duplicate device ID '%s'", id);
}

static bool choose_netdev(const Qtest *q, const char *name, Netdev **ret_netdev, GError **error)
{
    Netdev *netdev = name ? qtest_find_netdev(q, name) : NULL;

    if (name && (netdev == NULL || netdev->dev)) {
        return qtest_refuse(error, "Property 'netdev' %s '%s'",
                            netdev ? "is in use:" : "can't find value", name);
    }
    *ret_netdev = netdev;
    return true;
}

static bool plug_card(Qtest *q, DevemuDevice *dev, const char *id, unsigned slot, Netdev *netdev,
                      GError **error)
{
    Card *card;

    if (!board_plug(q->board, dev, (int)slot, error)) {
        return false;
    }
    card = g_new0(Card, 1);
    *card = (Card){.id = g_strdup(id), .dev = dev, .netdev = netdev, .slot = slot};
    g_ptr_array_add(q->cards, card);
    if (netdev) {
        netdev->dev = dev;
        devemu_net_attach(netdev->net, dev);
    }
    return true;
}

bool qtest_add_card(Qtest *q, const char *driver, const DevemuSetting *settings, GError **error)
{
    const DevemuModel *model = find_driver(driver, error);
    const char *id = qtest_setting(settings, "id");
    char mac[] = "52:54:00:12:34:00";
    g_autoptr(GArray) own = NULL;
    Netdev *netdev = NULL;
    DevemuDevice *dev;
    unsigned slot = 0;

    if (model == NULL || !check_id(q, id, error) ||
        !choose_netdev(q, qtest_setting(settings, "netdev"), &netdev, error) ||
        !choose_slot(q, qtest_setting(settings, "addr"), &slot, error)) {
        return false;
    }
    g_snprintf(mac, sizeof(mac), "52:54:00:12:34:%02x", (0x56 + q->cards->len) & 0xff);
    own = card_settings(q, model, driver, settings, mac);
    dev = devemu_device_new_with(model, (const DevemuSetting *)(void *)own->data, own->len, error);
    return dev && plug_card(q, dev, id, slot, netdev, error);
}

static void free_card(gpointer data)
{
    Card *card = data;

    g_free(card->id);
    g_free(card);
}

static void remove_card(Qtest *q, Card *card)
{
    g_autofree char *id = g_strdup(card->id);

    if (card->netdev) {
        devemu_net_attach(card->netdev->net, NULL);
        card->netdev->dev = NULL;
    }
    board_unplug(card->dev);
    g_ptr_array_remove(q->cards, card);
    if (id) {
        qtest_event(q, "DEVICE_DELETED", "\"device\": \"%s\", \"path\": \"/machine/peripheral/%s\"",
                    id, id);
    }
}

bool qtest_set_link(Qtest *q, const char *id, bool up)
{
    for (guint i = 0; i < q->cards->len; i++) {
        Card *card = g_ptr_array_index(q->cards, i);

        if ((card->id && strcmp(card->id, id) == 0) ||
            (card->netdev && strcmp(card->netdev->id, id) == 0)) {
            devemu_device_link(card->dev, up);
            return true;
        }
    }
    return false;
}

/* --- hot plug ---------------------------------------------------------------------- */

enum { HOTPLUG_UP = 0x00, HOTPLUG_DOWN = 0x04, HOTPLUG_EJECT = 0x08, HOTPLUG_REMOVABLE = 0x0c };

struct hotplug {
    DevemuDevice *dev;
    Qtest *q;
    uint32_t down, eject;
};

/* Taking a card out is no part of an event: it is done behind the command. */
static void eject_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    struct hotplug *s = state;

    (void)index;
    (void)old;
    s->q->ejected |= (uint32_t)value;
    s->down &= ~(uint32_t)value;
}

static uint64_t removable_read(const void *state, unsigned index)
{
    (void)state;
    (void)index;
    return UINT32_MAX;
}

static const DevemuReg hotplug_regs[] = {
    {.name = "UP", .at = HOTPLUG_UP, .size = 4, .ro = UINT32_MAX},
    {.name = "DOWN",
     .at = HOTPLUG_DOWN,
     .size = 4,
     DEVEMU_IN(struct hotplug, down),
     .ro = UINT32_MAX},
    {.name = "EJECT",
     .at = HOTPLUG_EJECT,
     .size = 4,
     DEVEMU_IN(struct hotplug, eject),
     .wo = UINT32_MAX,
     .wrote = eject_wrote},
    {.name = "REMOVABLE",
     .at = HOTPLUG_REMOVABLE,
     .size = 4,
     .ro = UINT32_MAX,
     .read = removable_read},
    {.name = "BUS", .at = 0x10, .size = 4, .ro = UINT32_MAX},
};

static const DevemuBank hotplug_banks[] = {
    {.name = "io",
     .kind = DEVEMU_BANK_PIO,
     .size = 0x14,
     .regs = hotplug_regs,
     .reg_count = DEVEMU_N_ELEMENTS(hotplug_regs)},
};

static const DevemuField hotplug_fields[] = {DEVEMU_SKIP(struct hotplug, q), {.name = NULL}};

static const DevemuModel hotplug_model = {
    .name = "pci-hotplug",
    .title = "PCI hot plug by ACPI",
    .datasheet = "QEMU docs/specs/acpi_pci_hotplug.rst",
    .not_modelled = "the event interrupt; buses behind bridges",
    .state_size = sizeof(struct hotplug),
    .banks = hotplug_banks,
    .bank_count = DEVEMU_N_ELEMENTS(hotplug_banks),
    .fields = hotplug_fields,
};

bool qtest_make_hotplug(Qtest *q, GError **error)
{
    DevemuDevice *dev = devemu_device_new(&hotplug_model, NULL, error);

    if (dev == NULL || !devemu_bus_plug(q->board->system, dev, NULL, error)) {
        devemu_device_free(dev);
        return false;
    }
    ((struct hotplug *)devemu_device_state(dev))->q = q;
    q->hotplug = dev;
    return devemu_system_map(q->board->system, DEVEMU_SYSTEM_PIO, HOTPLUG_BASE, 0x14, dev, 0, 0, 8,
                             error) != 0;
}

bool qtest_ask_card(Qtest *q, const char *id, GError **error)
{
    struct hotplug *hotplug = devemu_device_state(q->hotplug);
    Card *card = find_card(q, id);

    if (card == NULL) {
        return qtest_refuse(error, "Device '%s' not found", id);
    }
    if (card->asked) {
        return qtest_refuse(error, "Device %s is already in the process of unplug", id);
    }
    card->asked = true;
    hotplug->down |= UINT32_C(1) << card->slot;
    return true;
}

static void eject(Qtest *q, uint32_t slots, bool asked_only)
{
    for (guint i = q->cards->len; i-- > 0;) {
        Card *card = g_ptr_array_index(q->cards, i);

        if (slots >> card->slot & 1 && (card->asked || !asked_only)) {
            remove_card(q, card);
        }
    }
}

void qtest_eject(Qtest *q, uint32_t slots)
{
    eject(q, slots, false);
}

void qtest_eject_asked(Qtest *q)
{
    eject(q, UINT32_MAX, true);
}

void qtest_devices_init(Qtest *q)
{
    q->nets = g_ptr_array_new_with_free_func(qtest_free_netdev);
    q->cards = g_ptr_array_new_with_free_func(free_card);
    q->hubs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)devemu_switch_free);
}

/* Behind the board: cards are gone with it. */
void qtest_devices_free(Qtest *q)
{
    g_clear_pointer(&q->cards, g_ptr_array_unref);
    g_clear_pointer(&q->nets, g_ptr_array_unref);
    g_clear_pointer(&q->hubs, g_hash_table_unref);
}
