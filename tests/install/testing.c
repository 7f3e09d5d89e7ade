/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver author's test against the installed testing library. */
#include <devemu/list.h>
#include <devemu/testing.h>

int main(void)
{
    DevemuFake *fake = devemu_fake_new(devemu_model_find("debugcon"), NULL, 4096);

    devemu_fake_write(fake, 0, 0, 1, '!');
    if (devemu_fake_output(fake)[0] != '!') {
        return 1;
    }
    devemu_fake_free(fake);
    return 0;
}
