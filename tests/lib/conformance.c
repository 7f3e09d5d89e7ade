/* SPDX-License-Identifier: BSD-3-Clause */
/* Every model in the list keeps what its tables promise. */
#include <devemu/list.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

ParameterizedTestParameters(conformance, model_keeps_its_tables)
{
    size_t count = 0;

    while (devemu_models[count]) {
        count++;
    }
    return cr_make_param_array(const DevemuModel *, (void *)(uintptr_t)devemu_models, count);
}

ParameterizedTest(const DevemuModel **model, conformance, model_keeps_its_tables)
{
    cr_assert_eq(devemu_conformance(*model, NULL), 0, "%s: see above", (*model)->name);
}
