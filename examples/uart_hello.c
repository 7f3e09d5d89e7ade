/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uart_hello.c: a serial port without a computer. Writes to the ports of a 16550 as a driver would,
 * and the text comes out at a character backend: uart_hello [BACKEND] ("stdio", "file:PATH" ...)
 */
#include <devemu/backends.h>
#include <devemu/list.h>

#include <stdio.h>

enum { THR = 0, FCR = 2, LCR = 3, LSR = 5, LSR_THRE = 0x20 };

int main(int argc, char **argv)
{
    static const char text[] = "Hello from a 16550 without a computer.\r\n";
    g_autoptr(GError) error = NULL;
    g_autoptr(DevemuChr) chr = devemu_chr_new(argc > 1 ? argv[1] : "stdio,raw=off", NULL, &error);
    g_autoptr(DevemuDevice) uart = devemu_device_new(devemu_model_find("ns16550a"), NULL, NULL);
    uint64_t lsr = 0;

    if (chr == NULL) {
        fprintf(stderr, "uart_hello: %s\n", error->message);
        return 2;
    }
    devemu_chr_attach(chr, uart);
    devemu_device_write(uart, 0, LCR, 1, 0x03); /* 8N1 */
    devemu_device_write(uart, 0, FCR, 1, 0x07); /* FIFOs on and empty */
    for (const char *c = text; *c; c++) {
        devemu_device_read(uart, 0, LSR, 1, &lsr);
        if (lsr & LSR_THRE) {
            devemu_device_write(uart, 0, THR, 1, (uint8_t)*c);
        }
    }
    return 0;
}
