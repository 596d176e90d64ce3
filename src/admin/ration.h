/* How much of a shard's time visits get: some, then none for as long as they took. Pure. */
#ifndef ADMIN_RATION_H
#define ADMIN_RATION_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RATION_US = 50,        /* spent, then the shard rests from visits */
    RATION_REST_MAX = 1000 /* us, however much that was */
};

struct ration {
    uint64_t spent_ns;  /* since the last rest */
    uint64_t rested_ns; /* when a rest from that would be over */
};

/* Another portion may be run. now_ns: of any clock that is always the same. */
bool ration_is_left(struct ration *ration, uint64_t now_ns);
/* A portion was run. */
void ration_spend(struct ration *ration, uint64_t from_ns, uint64_t to_ns);
/* How long to rest when none is left. */
uint64_t ration_rest(const struct ration *ration, uint64_t now_ns);

#endif
