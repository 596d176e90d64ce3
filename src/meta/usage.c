/* Counters that every shard may touch. */
#include "meta/usage.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

struct usage *usage_new(void)
{
    struct usage *u = NEW(struct usage);
    u->refs = 1;
    return u;
}

struct usage *usage_ref(struct usage *u)
{
    atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
    return u;
}

void usage_unref(struct usage **usage)
{
    struct usage *u = *usage;
    *usage = NULL;
    if (u && atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) == 1)
        free(u);
}

bool usage_take(_Atomic int64_t *counter, int64_t limit)
{
    int64_t before = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    if (limit < 0 || before < limit)
        return true;
    usage_give(counter);
    return false;
}

void usage_give(_Atomic int64_t *counter)
{
    int64_t before = atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
    bug_on(before < 1);
}
