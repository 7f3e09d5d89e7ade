/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crc32.c: the FCS of IEEE 802.3, section 3.2.9. libdeflate does it by carry-less multiplication
 * where the machine has that; without libdeflate a table is used.
 */
#include "internal.h"

#ifdef DEVEMU_LIBDEFLATE

#include <libdeflate.h>

uint32_t devemu_crc32(uint32_t crc, const void *data, size_t len)
{
    return libdeflate_crc32(crc, data, len);
}

#else

/* The polynomial 04c11db7h, bit-reversed, four bits at a time. */
static const uint32_t nibbles[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

uint32_t devemu_crc32(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;

    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

#endif
