/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-limit.c: rates of a medium.
 */
#include "block.h"

#define SECOND_NS UINT64_C(1000000000)
/* No request is put off for longer than this by one piece: the sums stay far from their end. */
#define COST_LIMIT_NS (UINT64_C(3600) * SECOND_NS)

static uint64_t cost(uint64_t amount, uint64_t per_second)
{
    uint64_t whole = amount / per_second, rest = amount % per_second;

    if (whole >= COST_LIMIT_NS / SECOND_NS) {
        return COST_LIMIT_NS;
    }
    /* per_second is below 2^34, and so is rest: the product fits. */
    return whole * SECOND_NS + rest * SECOND_NS / per_second;
}

uint64_t block_limit_take(BlockLimit *limit, uint64_t amount, uint64_t now)
{
    uint64_t start;

    if (limit->per_second == 0 || amount == 0) {
        return now;
    }
    limit->full_ns = MAX(limit->full_ns, now);
    start = limit->full_ns - now > limit->burst_ns ? limit->full_ns - limit->burst_ns : now;
    limit->full_ns += cost(amount, limit->per_second);
    return start;
}
