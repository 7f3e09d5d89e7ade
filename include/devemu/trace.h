/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace.h: the tracer, a decorator that writes one line of text for every event of the devices
 * below it:
 *
 *     12345678 am79c970a CSR0 <- 0048 [INEA TDMD]
 *
 * The number is the host's clock in nanoseconds. It is a host to what is below and passes every
 * call on to the host above, so it fits between any two.
 */
#ifndef DEVEMU_TRACE_H
#define DEVEMU_TRACE_H

#include <devemu/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DevemuTracer DevemuTracer;

/* Each line goes to write(opaque, text), with its newline. ops is copied; host and opaque are
 * borrowed. */
DEVEMU_API DevemuTracer *devemu_tracer_new(const DevemuHostOps *ops, void *host,
                                           void (*write)(void *opaque, const char *line),
                                           void *opaque);
DEVEMU_API void devemu_tracer_free(DevemuTracer *tracer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuTracer, devemu_tracer_free)

/* Put the tracer above dev: same as devemu_device_set_host() with the tracer's own table. */
DEVEMU_API void devemu_tracer_attach(DevemuTracer *tracer, DevemuDevice *dev);

/* The text of one event, without time and newline; free with g_free(). */
DEVEMU_API char *devemu_trace_format(const DevemuTrace *trace);

/* A register's value with bit names: "0048 [INEA TDMD]"; free with g_free(). */
DEVEMU_API char *devemu_reg_format(const DevemuReg *reg, uint64_t value);

/* All registers by name with bit names, one a line ("csr.CSR0 0048 [INEA TDMD]"), and the timers;
 * no side effects. Bits that cannot be read show what is stored. Free with g_free(). */
DEVEMU_API char *devemu_device_dump(const DevemuDevice *dev);

#ifdef __cplusplus
}
#endif

#endif
