/* UNIT(suite, name) { ... }: a Criterion test that also fails when its body leaks. Criterion alone
 * lets a leak pass: the report of LeakSanitizer does not change the result of a test. */
#ifndef UNIT_H
#define UNIT_H

#include <criterion/criterion.h>

/* there in sanitizer builds only */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

#define UNIT(suite, name)                                                \
    static void suite##_##name##_body(void) __attribute__((noinline));   \
    Test(suite, name)                                                    \
    {                                                                    \
        suite##_##name##_body();                                         \
        if (__lsan_do_recoverable_leak_check)                            \
            cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "leak"); \
    }                                                                    \
    static void suite##_##name##_body(void)

#endif
