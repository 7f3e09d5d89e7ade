/* SPDX-License-Identifier: BSD-3-Clause */
/* measure.h: time on a machine that others use too: medians of short samples. */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <stdlib.h>
#include <time.h>

enum { SAMPLES = 21 };
#define SAMPLE_NS 3000000.0

static inline double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Of SAMPLES values, which are sorted. */
static inline double median(double *values)
{
    qsort(values, SAMPLES, sizeof(double), by_value);
    return values[SAMPLES / 2];
}

#endif
