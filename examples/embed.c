/* SPDX-License-Identifier: BSD-3-Clause */
/* embed.c: a network card on libslirp in a program of your own; README.md quotes it. */
#include <devemu/backends.h>
#include <devemu/devemu.h>

typedef struct Vm {
    uint8_t ram[1 << 20];
    uint64_t now_ns;
    bool intx[4];
} Vm;
static bool dma_map(void *vm, uint64_t addr, DevemuWindow *ret_window)
{
    *ret_window = (DevemuWindow){0, sizeof(((Vm *)vm)->ram), ((Vm *)vm)->ram, true};
    return addr < sizeof(((Vm *)vm)->ram);
}
static void set_line(void *vm, unsigned line, bool level)
{
    ((Vm *)vm)->intx[line] = level; /* on to the interrupt controller */
}
static uint64_t now(void *vm)
{
    return ((Vm *)vm)->now_ns;
}
int main(void)
{
    static const DevemuHostOps ops = {sizeof(ops), .dma_map = dma_map, .set_line = set_line,
                                      .now = now};
    static Vm vm;
    g_autoptr(DevemuNet) net = devemu_net_new("slirp,ipv6=off", NULL, NULL);
    g_autoptr(DevemuDevice) pci = devemu_device_new(&devemu_model_pci_bus, NULL, NULL);
    DevemuDevice *lance = devemu_device_new(devemu_model_find("am79c970a"), NULL, NULL);
    uint64_t id = 0;

    if (net == NULL || !devemu_pci_plug(pci, lance, 3 << 3, NULL)) {
        return 1; /* pass a GError to hear why */
    }
    devemu_device_set_host(pci, &ops, &vm);
    devemu_net_attach(net, lance);
    devemu_device_write(pci, DEVEMU_PCI_MECHANISM_1, 0, 4, 0x80001800); /* outl 0xcf8 */
    devemu_device_read(pci, DEVEMU_PCI_MECHANISM_1, 4, 4, &id);         /* inl 0xcfc */
    g_print("%04x:%04x\n", (unsigned)id & 0xffff, (unsigned)id >> 16);
    vm.now_ns = (uint64_t)g_get_monotonic_time() * 1000; /* the main loop: time, */
    devemu_device_run(pci);                              /* what the card has to do by now, */
    g_main_context_iteration(NULL, FALSE);               /* and sockets */
}
