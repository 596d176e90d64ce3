/* How often something failed lately, by the hash of whose fault it was: a table that does not grow.
 * Each failure is forgotten after its time. When all places for a hash are taken, the one that is
 * over first is given up: who fails from very many addresses is then held back less, others never
 * more. Any thread. */
#ifndef META_THROTTLE_H
#define META_THROTTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { THROTTLE_SLOTS = 4096, THROTTLE_WAYS = 4, THROTTLE_WINDOW_MS = 60000 };

/* Of a slot: above, part of the hash; below, when the last failure is forgotten. */
struct throttle {
    _Atomic uint64_t slots[THROTTLE_SLOTS];
};

/* most failures, evenly forgotten, in THROTTLE_WINDOW_MS: whether there are as many. 0: no limit.
 */
bool throttle_is_full(struct throttle *t, uint64_t hash, uint32_t most, uint64_t now_ms);
void throttle_note(struct throttle *t, uint64_t hash, uint32_t most, uint64_t now_ms);
/* It was right after all. */
void throttle_forget(struct throttle *t, uint64_t hash);

#endif
