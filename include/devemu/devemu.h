/* SPDX-License-Identifier: BSD-3-Clause */
/* devemu.h: everything for a program that uses devices. Interfaces may change until 1.0. */
#ifndef DEVEMU_H
#define DEVEMU_H

#define DEVEMU_VERSION_MAJOR 0
#define DEVEMU_VERSION_MINOR 1
#define DEVEMU_VERSION_MICRO 0

#include <devemu/backend.h>
#include <devemu/bus.h>
#include <devemu/chipset.h>
#include <devemu/device.h>
#include <devemu/fw-cfg.h>
#include <devemu/host.h>
#include <devemu/list.h>
#include <devemu/model.h>
#include <devemu/record.h>
#include <devemu/screen.h>
#include <devemu/trace.h>
#include <devemu/virtio.h>

#endif
