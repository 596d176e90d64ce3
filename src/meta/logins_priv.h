/* What the node and its shards keep of logins. */
#ifndef META_LOGINS_PRIV_H
#define META_LOGINS_PRIV_H

#include "base/hash.h"
#include "meta/throttle.h"

/* The node's; any thread. */
struct login_guard {
    struct throttle pairs, addresses;
    _Atomic uint32_t of_user, of_address;
    _Atomic bool track;
};

/* A shard's. */
struct login_sources {
    struct hash table; /* struct source */
};

void login_sources_init(struct login_sources *sources);
void login_sources_fini(struct login_sources *sources);

#endif
