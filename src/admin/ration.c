#include "admin/ration.h"

enum { US = 1000 };

bool ration_is_left(struct ration *r, uint64_t now_ns)
{
    if (now_ns >= r->rested_ns)
        r->spent_ns = 0;
    return r->spent_ns < RATION_US * US;
}

void ration_spend(struct ration *r, uint64_t from_ns, uint64_t to_ns)
{
    enum { MAX = RATION_REST_MAX * US };
    r->spent_ns += to_ns - from_ns;
    r->rested_ns = to_ns + (r->spent_ns < MAX ? r->spent_ns : MAX);
}

uint64_t ration_rest(const struct ration *r, uint64_t now_ns)
{
    return r->rested_ns > now_ns ? r->rested_ns - now_ns : 0;
}
