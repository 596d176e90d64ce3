/* How many connections and channels a virtual host or a user has, counted over all shards. Lives as
 * long as a definition or a connection knows it. */
#ifndef META_USAGE_H
#define META_USAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct usage {
    _Atomic uint32_t refs;
    _Atomic int64_t connections, channels;
};

struct usage *usage_new(void);
struct usage *usage_ref(struct usage *usage);
void usage_unref(struct usage **usage);

/* One more, unless there are as many as the limit; below 0 is none. */
bool usage_take(_Atomic int64_t *counter, int64_t limit);
void usage_give(_Atomic int64_t *counter);

#endif
