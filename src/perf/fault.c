/* See fault.h. */
#include "perf/fault.h"

#include <stdarg.h>
#include <stdio.h>

void fault_set(struct fault *f, int code, const char *fmt, ...)
{
    int none = 0;
    va_list ap;

    if (!atomic_compare_exchange_strong(&f->taken, &none, 1))
        return;
    f->code = code;
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
    atomic_store_explicit(&f->taken, 2, memory_order_release);
}
