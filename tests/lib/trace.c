/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of events and registers, and the tracer: the contract of trace.h. */
#include "duck.h"

#include <devemu/trace.h>

#include <criterion/criterion.h>

static const DevemuBits csr0_bits[] = {{"ERR", 0x8000}, {"INEA", 0x40}, {"TDMD", 8},
                                       {"STOP", 4},     {"MODE", 3},    {NULL, 0}};
static const DevemuReg csr0 = {.name = "CSR0", .bits = csr0_bits, .size = 2};
static const DevemuReg plain = {.name = "PLAIN", .size = 4};
static const DevemuReg byte = {.name = "BYTE", .count = 4};
static const DevemuBank vram = {.name = "vram", .kind = DEVEMU_BANK_MMIO, .size = 0x40000};

#define assert_text(call, expected)                                                                \
    do {                                                                                           \
        g_autofree char *text = call;                                                              \
        cr_assert_str_eq(text, expected);                                                          \
    } while (0)

Test(trace, a_register_shows_its_value_and_the_names_of_the_bits_that_are_set)
{
    assert_text(devemu_reg_format(&csr0, 0x0048), "0048 [INEA TDMD]");
    assert_text(devemu_reg_format(&csr0, 0x8007), "8007 [ERR STOP MODE=3]");
    assert_text(devemu_reg_format(&csr0, 0), "0000");
    assert_text(devemu_reg_format(&plain, 0x12345678), "12345678");
    assert_text(devemu_reg_format(&byte, 0x5), "05");
}

Test(trace, an_access_shows_device_place_direction_and_value)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_duck, NULL, NULL);
    DevemuTrace trace = {.kind = DEVEMU_TRACE_WRITE, .device = dev, .reg = &csr0, .value = 0x48};

    assert_text(devemu_trace_format(&trace), "duck CSR0 <- 0048 [INEA TDMD]");
    trace.kind = DEVEMU_TRACE_READ;
    assert_text(devemu_trace_format(&trace), "duck CSR0 -> 0048 [INEA TDMD]");
    trace.reg = &byte;
    trace.index = 3;
    assert_text(devemu_trace_format(&trace), "duck BYTE[3] -> 48");
    trace.reg = NULL;
    trace.bank = &vram;
    trace.at = 0x12;
    trace.size = 1;
    assert_text(devemu_trace_format(&trace), "duck vram+000012 -> 48");
    trace.size = 4;
    assert_text(devemu_trace_format(&trace), "duck vram+000012 -> 00000048");
    trace.access = DEVEMU_ACCESS_SIZE;
    assert_text(devemu_trace_format(&trace), "duck vram+000012 -> wrong width");
}

Test(trace, every_other_kind_of_event_has_a_text)
{
    static const uint8_t data[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    const struct {
        DevemuTrace trace;
        const char *text;
    } cases[] = {
        {{.kind = DEVEMU_TRACE_OUTPUT, .value = 1, .name = "INTA"}, "? output INTA = 1"},
        {{.kind = DEVEMU_TRACE_INPUT, .at = 3}, "? input 3 = 0"},
        {{.kind = DEVEMU_TRACE_DMA_READ, .at = 0x1000, .data = data, .len = 4, .value = 1},
         "? dma read 00001000, 4 bytes: 01 02 03 04"},
        {{.kind = DEVEMU_TRACE_DMA_WRITE, .at = UINT64_C(0x123456789), .data = data, .len = 1},
         "? dma write 123456789, 1 byte: 01, failed"},
        {{.kind = DEVEMU_TRACE_MSI, .at = 0xfee00000, .value = 0x41}, "? msi fee00000 41"},
        {{.kind = DEVEMU_TRACE_TIMER, .name = "poll_ns", .value = 99},
         "? timer poll_ns, due at 99"},
        {{.kind = DEVEMU_TRACE_RECEIVE, .data = data, .len = 20, .value = 20},
         "? receive 20 bytes: 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 .."},
        {{.kind = DEVEMU_TRACE_RECEIVE, .data = data, .len = 2},
         "? receive 2 bytes: 01 02, refused"},
        {{.kind = DEVEMU_TRACE_RECEIVE, .data = data, .len = 2, .value = 1},
         "? receive 2 bytes: 01 02, took 1"},
        {{.kind = DEVEMU_TRACE_SEND, .data = data, .len = 3}, "? send 3 bytes: 01 02 03"},
        {{.kind = DEVEMU_TRACE_RESET, .value = DEVEMU_RESET_HARD}, "? reset hard"},
        {{.kind = DEVEMU_TRACE_LOG, .name = "CSR4", .value = DEVEMU_LOG_GUEST}, "? guest: CSR4"},
    };

    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(cases); i++) {
        assert_text(devemu_trace_format(&cases[i].trace), cases[i].text);
    }
}

Test(trace, a_dump_has_all_registers_by_name)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_duck, NULL, NULL);

    devemu_device_write(dev, DUCK_IO, DUCK_CTRL, 2, CTRL_DTR | CTRL_MSI);
    devemu_device_write(dev, DUCK_IO, DUCK_INDEX, 2, 2);
    devemu_device_write(dev, DUCK_IO, DUCK_DATA, 2, 0xbeef);

    assert_text(devemu_device_dump(dev), "io.CTRL 0014 [DTR MSI]\n"
                                         "io.STATUS 0000\n"
                                         "io.ADDR 00000000\n"
                                         "io.LEN 0000\n"
                                         "io.INDEX 0002\n"
                                         "io.SUM 00000000\n"
                                         "io.FRAME 0000\n"
                                         "csr.CSR[4] 0000 0000 beef 0000\n"
                                         "config.LATCH 00\n"
                                         "timer.done_ns off\n");
}

static void append(void *opaque, const char *line)
{
    g_string_append(opaque, line);
}

Test(trace, a_tracer_writes_the_moment_and_the_event_and_passes_all_on)
{
    Pond *bare = pond_new(devemu_device_new(&devemu_model_duck, NULL, NULL));
    Pond *traced = pond_new(devemu_device_new(&devemu_model_duck, NULL, NULL));
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(DevemuTracer) tracer = devemu_tracer_new(&pond_ops, traced, append, text);

    devemu_tracer_attach(tracer, traced->dev);
    traced->now = 12345678;
    pond_write(traced, DUCK_IO, DUCK_CTRL, 2, CTRL_OOPS);
    cr_assert_str_eq(text->str, "12345678 duck CTRL <- 0008 [OOPS]\n"
                                "12345678 duck guest: CTRL.OOPS\n");
    cr_assert_str_eq(traced->last_log, "duck: CTRL.OOPS");

    bare->now = 12345678;
    pond_write(bare, DUCK_IO, DUCK_CTRL, 2, CTRL_OOPS);
    pond_live(bare, 2000, 77);
    pond_live(traced, 2000, 77);

    cr_assert_eq(bare->digest, traced->digest);
    cr_assert_eq(memcmp(bare->ram, traced->ram, sizeof(bare->ram)), 0);
    pond_free(bare);
    pond_free(traced);
}

Test(trace, a_host_without_services_is_enough_for_a_tracer)
{
    g_autoptr(DevemuDevice) dev = devemu_device_new(&devemu_model_duck, NULL, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(DevemuTracer) tracer = devemu_tracer_new(NULL, NULL, append, text);
    uint64_t value;

    devemu_tracer_attach(tracer, dev);
    devemu_device_read(dev, DUCK_IO, DUCK_LEN, 2, &value);
    devemu_device_write(dev, DUCK_IO, DUCK_LEN, 2, 1);
    devemu_device_write(dev, DUCK_IO, DUCK_CTRL, 2, CTRL_GO);

    cr_assert(g_str_has_prefix(text->str, "0 duck LEN -> 0000\n"
                                          "0 duck LEN <- 0001\n"
                                          "0 duck CTRL <- 0001 [GO]\n"
                                          "0 duck dma read 00000000, 1 byte: ff, failed\n"));
}
