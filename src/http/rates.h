/* How fast counters grow, as of the last two times that somebody looked, some seconds apart: so
 * that what nobody looks at costs nothing. One a shard, used by that shard alone. */
#ifndef HTTP_RATES_H
#define HTTP_RATES_H

#include <stddef.h>
#include <stdint.h>

enum {
    RATES_COUNTERS = 17,      /* of an object at most */
    RATES_INTERVAL_MS = 4000, /* looks that are nearer to each other count as one */
    RATES_FORGET_MS = 60000,  /* objects that nobody looked at are forgotten */
    RATES_OBJECTS = 50000     /* remembered at most; what is more has no rates */
};

struct rates;

struct rates *rates_new(void);
void rates_free(struct rates **rates);
/* What an id is of: those of different kinds have nothing to do with each other. */
enum rates_kind { RATES_QUEUE, RATES_CONNECTION, RATES_CHANNEL, RATES_VHOST, RATES_EXCHANGE };

/* The counters of an object as they are now, always as many; ret_rates gets the growth of each a
 * second, 0 when it is not known. id: never another object's of that kind. */
void rates_look(struct rates *rates, enum rates_kind kind, uint64_t id, uint64_t now_ms,
                const uint64_t *counters, size_t count, double *ret_rates);
/* The same as of the last look, which this is none; zeros if nobody looked. */
void rates_recall(const struct rates *rates, enum rates_kind kind, uint64_t id, uint64_t now_ms,
                  size_t count, double *ret_rates);

#endif
