/* SPDX-License-Identifier: BSD-3-Clause */
/* Every model in the list keeps what its tables promise. */
#include <devemu/list.h>
#include <devemu/testing.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

/* Numbers, since a test runs in a process of its own, where pointers are others. */
#define MOST_MODELS 256

ParameterizedTestParameters(conformance, model_keeps_its_tables)
{
    static unsigned numbers[MOST_MODELS];
    size_t count = 0;

    while (devemu_models[count] && count < MOST_MODELS) {
        numbers[count] = (unsigned)count;
        count++;
    }
    return cr_make_param_array(unsigned, numbers, count);
}

ParameterizedTest(const unsigned *number, conformance, model_keeps_its_tables)
{
    const DevemuModel *model = devemu_models[*number];

    cr_assert_eq(devemu_conformance(model, NULL), 0, "%s: see above", model->name);
}
