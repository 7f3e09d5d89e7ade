/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * target.c: the libFuzzer target of one model; meson compiles it once for each, with
 * DEVEMU_FUZZ_MODEL set to the model's name.
 */
#include "harness.h"

#define SYMBOL_(name) devemu_model_##name
#define SYMBOL(name)  SYMBOL_(name)

extern const DevemuModel SYMBOL(DEVEMU_FUZZ_MODEL);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_run(&SYMBOL(DEVEMU_FUZZ_MODEL), data, size, NULL);
    return 0;
}
