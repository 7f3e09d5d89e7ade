/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * input.c: numbers from the bytes of an input. Where a device wants a pointer, a length or a flag,
 * plain random bytes are nearly never one: words of memory are made of parts that look like those.
 */
#include "harness.h"

/* Frames and buffers: nothing, headers, the shortest and longest of Ethernet (IEEE 802.3 4.4.2),
 * the edges of common buffers. */
static const uint16_t lengths[] = {0,    1,    4,    13,   14,   15,   20,   59,   60,   61,   64,
                                   100,  128,  256,  576,  1499, 1500, 1513, 1514, 1515, 1518, 1519,
                                   1522, 1536, 2048, 4091, 4092, 4093, 4095, 4096, 9018, 65535};

uint64_t fuzz_take(FuzzInput *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        if (in->front >= in->back) {
            in->ended = true;
            break;
        }
        value |= (uint64_t)in->data[in->front++] << (i * 8);
    }
    return value;
}

uint64_t fuzz_take_back(FuzzInput *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && in->front < in->back; i++) {
        value |= (uint64_t)in->data[--in->back] << (i * 8);
    }
    return value;
}

unsigned fuzz_length(FuzzInput *in, FuzzTake *take)
{
    unsigned kind = (unsigned)take(in, 1);

    if (kind < 2 * G_N_ELEMENTS(lengths)) {
        return lengths[kind % G_N_ELEMENTS(lengths)];
    }
    return kind & 1 ? kind >> 1 : (unsigned)take(in, 2);
}

static uint32_t pointer(FuzzInput *in, FuzzTake *take)
{
    return (uint32_t)take(in, 2) & ~UINT32_C(3);
}

static uint32_t two_s(unsigned len)
{
    return 0xf000 | (-len & 0xfff);
}

uint32_t fuzz_word(FuzzInput *in, FuzzTake *take, uint32_t old)
{
    unsigned kind = (unsigned)take(in, 1);
    uint32_t word = 0;

    switch ((FuzzWord)((kind & 0x7f) % FUZZ_WORD_COUNT)) {
    case FUZZ_WORD_KEEP:
        return old;
    case FUZZ_WORD_ONES:
        word = UINT32_MAX;
        break;
    case FUZZ_WORD_RAW:
        word = (uint32_t)take(in, 4);
        break;
    case FUZZ_WORD_POINTER:
        word = pointer(in, take);
        break;
    case FUZZ_WORD_POINTER_FLAGS:
        word = pointer(in, take);
        word |= (uint32_t)take(in, 1) << 24;
        break;
    case FUZZ_WORD_LENGTH_FLAGS:
        word = two_s(fuzz_length(in, take));
        word |= (uint32_t)take(in, 1) << 24;
        break;
    case FUZZ_WORD_LENGTH:
        word = two_s(fuzz_length(in, take));
        break;
    case FUZZ_WORD_POINTER_TOP:
        word = pointer(in, take);
        word |= (uint32_t)take(in, 1) << 29;
        break;
    case FUZZ_WORD_BYTE:
        word = (uint32_t)take(in, 1) * 0x01010101u;
        break;
    case FUZZ_WORD_LOW:
        word = (uint32_t)take(in, 2);
        break;
    case FUZZ_WORD_HIGH:
        word = (uint32_t)take(in, 2) << 16;
        break;
    case FUZZ_WORD_ZERO:
    default:
        break;
    }
    return kind & FUZZ_WORD_SWAP ? GUINT32_SWAP_LE_BE(word) : word;
}
