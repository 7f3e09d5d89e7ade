/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * criterion.h: as much of Criterion as the tests of models and buses use, for machines that have
 * no Criterion (tests/bigendian). Each test runs in a process of its own, one after the other.
 * Messages of assertions and options of tests are left out; the expression and its place are
 * printed.
 */
#ifndef SHIM_CRITERION_H
#define SHIM_CRITERION_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct ShimTest {
    const char *suite, *name;
    void (*run)(void);
    struct ShimTest *next;
} ShimTest;

static ShimTest *shim_tests;
static int shim_failed;

static inline void shim_add(ShimTest *test)
{
    test->next = shim_tests;
    shim_tests = test;
}

static inline void shim_check(int ok, int fatal, const char *what, const char *file, int line)
{
    if (ok) {
        return;
    }
    printf("%s:%d: %s\n", file, line, what);
    shim_failed = 1;
    if (fatal) {
        fflush(stdout);
        _exit(1);
    }
}

#define Test(SUITE, NAME, ...)                                                                     \
    static void shim_run_##SUITE##_##NAME(void);                                                   \
    __attribute__((constructor)) static void shim_add_##SUITE##_##NAME(void)                       \
    {                                                                                              \
        static ShimTest test = {#SUITE, #NAME, shim_run_##SUITE##_##NAME, NULL};                   \
        shim_add(&test);                                                                           \
    }                                                                                              \
    static void shim_run_##SUITE##_##NAME(void)

#define SHIM(COND, FATAL, TEXT) shim_check(!!(COND), FATAL, TEXT, __FILE__, __LINE__)
#define SHIM_TEXT(A, OP, B)     #A " " OP " " #B

#define cr_assert(A, ...)              SHIM(A, 1, #A)
#define cr_assert_not(A, ...)          SHIM(!(A), 1, "not " #A)
#define cr_assert_null(A, ...)         SHIM((A) == NULL, 1, #A " is null")
#define cr_assert_not_null(A, ...)     SHIM((A) != NULL, 1, #A " is not null")
#define cr_assert_eq(A, B, ...)        SHIM((A) == (B), 1, SHIM_TEXT(A, "==", B))
#define cr_assert_neq(A, B, ...)       SHIM((A) != (B), 1, SHIM_TEXT(A, "!=", B))
#define cr_assert_lt(A, B, ...)        SHIM((A) < (B), 1, SHIM_TEXT(A, "<", B))
#define cr_assert_leq(A, B, ...)       SHIM((A) <= (B), 1, SHIM_TEXT(A, "<=", B))
#define cr_assert_gt(A, B, ...)        SHIM((A) > (B), 1, SHIM_TEXT(A, ">", B))
#define cr_assert_geq(A, B, ...)       SHIM((A) >= (B), 1, SHIM_TEXT(A, ">=", B))
#define cr_assert_str_eq(A, B, ...)    SHIM(strcmp(A, B) == 0, 1, SHIM_TEXT(A, "==", B))
#define cr_assert_str_empty(A, ...)    SHIM((A)[0] == '\0', 1, #A " is empty")
#define cr_assert_arr_eq(A, B, N, ...) SHIM(memcmp(A, B, N) == 0, 1, SHIM_TEXT(A, "==", B))
#define cr_expect(A, ...)              SHIM(A, 0, #A)
#define cr_expect_not(A, ...)          SHIM(!(A), 0, "not " #A)
#define cr_expect_eq(A, B, ...)        SHIM((A) == (B), 0, SHIM_TEXT(A, "==", B))
#define cr_expect_gt(A, B, ...)        SHIM((A) > (B), 0, SHIM_TEXT(A, ">", B))
#define cr_expect_leq(A, B, ...)       SHIM((A) <= (B), 0, SHIM_TEXT(A, "<=", B))
#define cr_expect_arr_eq(A, B, N, ...) SHIM(memcmp(A, B, N) == 0, 0, SHIM_TEXT(A, "==", B))

/* The one program that includes this runs all its tests, or those whose name contains argv[1]. */
int main(int argc, char **argv)
{
    int passed = 0, failed = 0, status;

    for (ShimTest *test = shim_tests; test; test = test->next) {
        if (argc > 1 && strstr(test->name, argv[1]) == NULL) {
            continue;
        }
        fflush(stdout);
        pid_t child = fork();

        if (child == 0) {
            test->run();
            fflush(stdout);
            _exit(shim_failed);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            printf("FAILED %s: %s\n", test->suite, test->name);
            failed++;
        } else {
            passed++;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#endif
