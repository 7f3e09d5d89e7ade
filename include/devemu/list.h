/* SPDX-License-Identifier: BSD-3-Clause */
/* list.h: the models in this library. */
#ifndef DEVEMU_LIST_H
#define DEVEMU_LIST_H

#include <devemu/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every model, in alphabetical order, ended by NULL. Static. */
extern DEVEMU_API const DevemuModel *const devemu_models[];

/* The model of that name ("am79c970a"), or NULL. '-' and '_' are the same. */
DEVEMU_API const DevemuModel *devemu_model_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
