/* SPDX-License-Identifier: BSD-3-Clause */
/* threads.h: the parts of the program for TSan. */
#ifndef TESTS_LIB_THREADS_H
#define TESTS_LIB_THREADS_H

#include <stdbool.h>

/* threads-vhost.c */
bool vhost_threads_work(bool is_net);

#endif
