/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.c: plugging, whatever the bus.
 */
#include "internal.h"

bool devemu_bus_plug(DevemuDevice *bus, DevemuDevice *dev, const char *where, GError **error)
{
    g_return_val_if_fail(bus != NULL && dev != NULL, false);
    if (bus->model->plug == NULL) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "%s is no bus: %s cannot be plugged into it", bus->name, dev->name);
        return false;
    }
    if (dev->parent) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS, "%s is plugged into %s already",
                    dev->name, dev->parent->name);
        return false;
    }
    if (devemu_device_is_below(bus, dev)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS, "%s cannot be plugged into itself",
                    dev->name);
        return false;
    }
    return bus->model->plug(bus, dev, where, error);
}

void devemu_bus_unplug(DevemuDevice *dev)
{
    DevemuDevice *bus;

    g_return_if_fail(dev != NULL && dev->parent != NULL && !dev->busy);
    bus = dev->parent;
    for (DevemuDevice *above = bus; above; above = above->parent) {
        if (above->model->forget) {
            above->model->forget(above, dev);
        }
    }
    if (bus->model->unplug) {
        bus->model->unplug(bus, dev);
    }
    if (dev->parent) {
        devemu_device_orphan(dev);
    }
}
