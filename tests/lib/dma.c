/* SPDX-License-Identifier: BSD-3-Clause */
/* Bus mastering: windows and when they are used, views, failures, the trace. */
#include "toy.h"

#include <criterion/criterion.h>

#define PAGE 0x1000u

/* Memory that is given out page by page; the last page is given for reading only. */
typedef struct Host {
    uint8_t ram[4 * PAGE];
    unsigned maps, reads, writes, traces;
    DevemuTrace last;
} Host;

static bool host_read(void *opaque, uint64_t addr, void *buf, size_t len)
{
    Host *host = opaque;

    host->reads++;
    if (addr > sizeof(host->ram) || len > sizeof(host->ram) - addr) {
        return false;
    }
    memcpy(buf, host->ram + addr, len);
    return true;
}

static bool host_write(void *opaque, uint64_t addr, const void *buf, size_t len)
{
    Host *host = opaque;

    host->writes++;
    if (addr > sizeof(host->ram) || len > sizeof(host->ram) - addr) {
        return false;
    }
    memcpy(host->ram + addr, buf, len);
    return true;
}

static bool host_map(void *opaque, uint64_t addr, DevemuWindow *ret_window)
{
    Host *host = opaque;
    uint64_t base = addr & ~(uint64_t)(PAGE - 1);

    host->maps++;
    if (addr >= sizeof(host->ram)) {
        return false;
    }
    *ret_window = (DevemuWindow){base, PAGE, host->ram + base, base != 3 * PAGE};
    return true;
}

static void host_trace(void *opaque, const DevemuTrace *trace)
{
    Host *host = opaque;

    if (trace->kind == DEVEMU_TRACE_DMA_READ || trace->kind == DEVEMU_TRACE_DMA_WRITE) {
        host->traces++;
        host->last = *trace;
    }
}

static DevemuHostOps host_ops(void)
{
    return (DevemuHostOps){.size = sizeof(DevemuHostOps),
                           .dma_read = host_read,
                           .dma_write = host_write,
                           .dma_map = host_map};
}

static DevemuDevice *toy_new(Host *host, const DevemuHostOps *ops)
{
    DevemuDevice *dev = devemu_device_new(&devemu_model_toy, NULL, NULL);

    devemu_device_set_host(dev, ops, host);
    return dev;
}

Test(dma, two_windows_are_kept_so_a_ring_and_its_buffers_need_no_new_ones)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = toy_new(&host, &ops);
    uint8_t buf[4];

    for (unsigned i = 0; i < 10; i++) {
        cr_assert(devemu_dma_read(dev, 0x100, buf, 4));
        cr_assert(devemu_dma_write(dev, PAGE + 0x100, buf, 4));
    }

    cr_assert_eq(host.maps, 2);
    cr_assert_eq(host.reads + host.writes, 0);
}

Test(dma, an_access_over_the_end_of_a_window_goes_through_the_callback)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = toy_new(&host, &ops);
    uint8_t buf[4] = {1, 2, 3, 4};

    cr_assert(devemu_dma_write(dev, PAGE - 2, buf, 4));

    cr_assert_eq(host.writes, 1);
    cr_assert_eq(host.ram[PAGE + 1], 4);
}

Test(dma, a_window_for_reading_is_not_written_through)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = toy_new(&host, &ops);
    uint8_t buf[4];

    cr_assert(devemu_dma_read(dev, 3 * PAGE, buf, 4));
    cr_assert_eq(host.reads, 0);
    cr_assert(devemu_dma_write(dev, 3 * PAGE, buf, 4));
    cr_assert_eq(host.writes, 1);
    cr_assert_null(devemu_dma_view_write(dev, 3 * PAGE, 4));
}

Test(dma, revoked_windows_are_asked_for_again)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = toy_new(&host, &ops);
    uint8_t buf[4];

    devemu_dma_read(dev, 0, buf, 4);
    devemu_device_revoke(dev);
    devemu_dma_read(dev, 0, buf, 4);

    cr_assert_eq(host.maps, 2);
}

Test(dma, another_host_gets_no_access_through_windows_of_the_last)
{
    Host host = {0}, other = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = toy_new(&host, &ops);
    uint8_t buf[1] = {7};

    devemu_dma_write(dev, 0, buf, 1);
    devemu_device_set_host(dev, &ops, &other);
    devemu_dma_write(dev, 1, buf, 1);

    cr_assert_eq(host.ram[1], 0);
    cr_assert_eq(other.ram[1], 7);
}

Test(dma, a_view_is_the_memory_itself_or_nothing)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = toy_new(&host, &ops);

    cr_assert_eq(devemu_dma_view(dev, 0x123, 16), host.ram + 0x123);
    cr_assert_eq(devemu_dma_view_write(dev, 0x123, 16), host.ram + 0x123);
    cr_assert_null(devemu_dma_view(dev, PAGE - 1, 2), "not one piece");
    cr_assert_null(devemu_dma_view(dev, sizeof(host.ram), 1), "no memory");
}

Test(dma, what_fails_reads_as_ones_and_a_range_that_wraps_is_not_tried)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = toy_new(&host, &ops);
    uint8_t buf[4] = {0};

    cr_assert_not(devemu_dma_read(dev, sizeof(host.ram) - 2, buf, 4));
    cr_assert_eq(devemu_le32(buf), 0xffffffff);
    cr_assert_eq(host.reads, 1);
    memset(buf, 0, 4);
    cr_assert_not(devemu_dma_read(dev, UINT64_MAX - 1, buf, 4));
    cr_assert_eq(devemu_le32(buf), 0xffffffff);
    cr_assert_not(devemu_dma_write(dev, UINT64_MAX - 1, buf, 4));
    cr_assert_eq(host.reads + host.writes, 1);
}

static bool lying_map(void *opaque, uint64_t addr, DevemuWindow *ret_window)
{
    Host *host = opaque;

    *ret_window = (DevemuWindow){addr + 0x10, PAGE, host->ram, true};
    return true;
}

Test(dma, a_window_that_does_not_hold_the_place_asked_for_is_not_used)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = NULL;
    uint8_t buf[4];

    ops.dma_map = lying_map;
    dev = toy_new(&host, &ops);

    cr_assert_null(devemu_dma_view(dev, 0x40, 4));
    cr_assert(devemu_dma_read(dev, 0x40, buf, 4));
    cr_assert_eq(host.reads, 1);
}

Test(dma, the_trace_sees_what_goes_through_windows)
{
    Host host = {0};
    DevemuHostOps ops = host_ops();
    g_autoptr(DevemuDevice) dev = NULL;
    uint8_t buf[4];

    ops.trace = host_trace;
    dev = toy_new(&host, &ops);
    host.ram[0x10] = 0x42;
    devemu_dma_read(dev, 0x10, buf, 4);
    cr_assert_eq(host.traces, 1);
    cr_assert_eq(host.last.at, 0x10);
    cr_assert_eq(host.last.len, 4);
    cr_assert_eq(host.last.value, 1, "it succeeded");
    cr_assert_eq(host.reads, 0, "through the window all the same");
    cr_assert_not_null(devemu_dma_view(dev, 0x10, 4));
    cr_assert_eq(host.traces, 2);
    cr_assert_null(devemu_dma_view_write(dev, 0x10, 4), "what is written must be seen");
}
