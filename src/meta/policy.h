/* Policies in effect for a queue or an exchange: at most one policy and one operator policy, each
 * the best of those that match. Where both say something, the rule of the key decides: the
 * lower number, or the operator's word. Any thread. */
#ifndef META_POLICY_H
#define META_POLICY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/table.h"
#include "meta/def.h"

struct applied {
    struct policy_def *policy, *operator_policy; /* NULL: none */
};

/* References of its own in place of what it had; with may be all NULL. */
void applied_set(struct applied *a, const struct applied *with);
void applied_fini(struct applied *a);
static inline bool applied_equal(const struct applied *a, const struct applied *b)
{
    return a->policy == b->policy && a->operator_policy == b->operator_policy;
}

/* Both are numbers, and the first one limits more; below 0 there is no limit. */
bool policy_is_lower(const struct table_value *a, const struct table_value *b);
/* The value in effect, borrowed from the definitions. */
bool policy_find(const struct applied *a, const char *key, struct table_value *ret_value);
/* All that is in effect, as a table with its keys in order. */
void policy_put_effective(const struct applied *a, struct buf *out);

const char *policy_apply_to_name(enum apply_to apply_to); /* "queues" */
bool policy_apply_to_parse(struct slice name, enum apply_to *ret_apply_to);

/* A key of policies, for the manual; NULL behind the last. */
struct policy_key {
    const char *name;
    unsigned types; /* of queues that know it: bits 1 << enum queue_type */
    bool for_operators;
    const char *text;
};
const struct policy_key *policy_key_at(size_t index);
bool policy_has_key(struct slice key, bool operator_made);
/* Whether all keys of a definition mean something to queues of that type; a policy with others
 * does not match them. */
bool policy_suits(const struct policy_def *def, enum queue_type type);

/* Of a policy that is to be set, with RabbitMQ's texts. */
enum err policy_check(const struct policy_def *like, const struct table_value *definition,
                      struct slice apply_to, struct failure *why);

#endif
