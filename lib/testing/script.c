/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * script.c: scripted accesses on the fake host.
 */
#include <devemu/testing.h>

#include <stdio.h>

static bool step(DevemuFake *fake, const DevemuStep *s, uint64_t *ret_got)
{
    uint64_t mask = s->mask ? s->mask : UINT64_MAX;

    *ret_got = 0;
    switch (s->kind) {
    case DEVEMU_STEP_READ:
        *ret_got = devemu_fake_read(fake, s->bank, s->at, s->size);
        return ((*ret_got ^ s->value) & mask) == 0;
    case DEVEMU_STEP_WRITE:
        devemu_fake_write(fake, s->bank, s->at, s->size, s->value);
        return true;
    case DEVEMU_STEP_TIME:
        devemu_fake_advance(fake, s->value);
        return true;
    case DEVEMU_STEP_LINE:
        *ret_got = devemu_fake_line(fake, (unsigned)s->at);
        return *ret_got == s->value;
    default:
        return false;
    }
}

int devemu_fake_script(DevemuFake *fake, const DevemuStep *steps, size_t count)
{
    static const char *const names[] = {"read", "write", "time", "line"};

    for (size_t i = 0; i < count; i++) {
        uint64_t got;

        if (!step(fake, &steps[i], &got)) {
            fprintf(stderr,
                    "%s: step %zu, %s of 0x%" G_GINT64_MODIFIER "x: got 0x%" G_GINT64_MODIFIER
                    "x, expected 0x%" G_GINT64_MODIFIER "x\n",
                    devemu_device_model(devemu_fake_device(fake))->name, i,
                    names[steps[i].kind & 3], steps[i].at, got, steps[i].value);
            return (int)i;
        }
    }
    return -1;
}
