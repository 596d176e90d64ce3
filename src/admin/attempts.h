/* How often clients logged in, or failed to: by protocol, or by where they came from. */
#ifndef ADMIN_ATTEMPTS_H
#define ADMIN_ATTEMPTS_H

#include "admin/visit.h"
#include "meta/logins.h"

/* Goes to every shard; then rows has what was counted since the start or since it was forgotten,
 * each source once, those without any left out. By protocol alone: address and user are empty. */
struct attempts {
    struct visit visit;
    bool by_source;
    struct login_source *rows; /* texts owned */
    size_t count, cap;
};

/* The run of such a visit. */
bool attempts_count(struct visit *visit, struct shard *shard);
/* At home, behind the last shard: brings the rows in order. */
void attempts_merge(struct attempts *attempts);
/* Its fini. */
void attempts_fini(struct visit *visit);
/* The run of a visit of any size, to every shard: counts from 0 again. */
bool attempts_forget(struct visit *visit, struct shard *shard);

#endif
