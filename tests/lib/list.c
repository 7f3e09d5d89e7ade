/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of models: in order, no name twice, each found by its name. */
#include <devemu/list.h>

#include <criterion/criterion.h>

Test(list, models_stand_in_alphabetical_order_and_none_twice)
{
    cr_assert_not_null(devemu_models[0]);
    for (size_t i = 1; devemu_models[i]; i++) {
        cr_assert_lt(strcmp(devemu_models[i - 1]->name, devemu_models[i]->name), 0, "%s, %s",
                     devemu_models[i - 1]->name, devemu_models[i]->name);
    }
}

Test(list, each_model_is_found_by_its_name_and_nothing_else_is)
{
    for (size_t i = 0; devemu_models[i]; i++) {
        cr_assert_eq(devemu_model_find(devemu_models[i]->name), devemu_models[i]);
    }
    cr_assert_null(devemu_model_find("am79c970"), "the beginning of a name is no name");
    cr_assert_null(devemu_model_find(""));
}
