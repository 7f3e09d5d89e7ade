/* SPDX-License-Identifier: BSD-3-Clause */
/* A stranger's program: C and C++ alike. Makes a device by name, reads a register, takes a snapshot. */
#include <devemu/devemu.h>

#include <stdio.h>

int main(void)
{
    GError *error = NULL;
    const DevemuModel *model = devemu_model_find("am79c970a");
    DevemuDevice *dev = devemu_device_new(model, "mac=52:54:00:12:34:56", &error);
    uint64_t value = 0;
    GVariant *state;

    if (dev == NULL) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    if (devemu_device_read(dev, 0, 0, 1, &value) != DEVEMU_ACCESS_OK || value != 0x52) {
        fprintf(stderr, "APROM byte 0 is %02x\n", (unsigned)value);
        return 1;
    }
    state = devemu_device_save(dev);
    g_variant_unref(state);
    devemu_device_free(dev);
    return 0;
}
