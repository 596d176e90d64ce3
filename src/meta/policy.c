/* What policies say together. */
#include "meta/policy.h"

#include "base/bug.h"
#include "meta/args.h"
#include "meta/policy_priv.h"

static const char *const apply_to_names[APPLY_TO_COUNT] = {
    [APPLY_TO_ALL] = "all",
    [APPLY_TO_QUEUES] = "queues",
    [APPLY_TO_EXCHANGES] = "exchanges",
    [APPLY_TO_CLASSIC_QUEUES] = "classic_queues",
    [APPLY_TO_QUORUM_QUEUES] = "quorum_queues",
    [APPLY_TO_STREAMS] = "streams",
};

const char *policy_apply_to_name(enum apply_to apply_to)
{
    return apply_to_names[apply_to];
}

bool policy_apply_to_parse(struct slice name, enum apply_to *ret_apply_to)
{
    for (unsigned i = 0; i < APPLY_TO_COUNT; i++) {
        if (slice_eq_str(name, apply_to_names[i])) {
            *ret_apply_to = (enum apply_to)i;
            return true;
        }
    }
    return false;
}

/* --- references --- */

static void replace(struct policy_def **def, struct policy_def *with)
{
    struct policy_def *former = *def;
    *def = with ? policy_def_ref(with) : NULL;
    policy_def_unref(&former);
}

void applied_set(struct applied *a, const struct applied *with)
{
    replace(&a->policy, with->policy);
    replace(&a->operator_policy, with->operator_policy);
}

void applied_fini(struct applied *a)
{
    policy_def_unref(&a->policy);
    policy_def_unref(&a->operator_policy);
}

/* --- merging --- */

bool policy_is_lower(const struct table_value *a, const struct table_value *b)
{
    return table_is_int(a->type) && table_is_int(b->type) &&
           (uint64_t)a->integer < (uint64_t)b->integer;
}

bool policy_find(const struct applied *a, const char *key, struct table_value *ret_value)
{
    struct table_value mine, theirs;
    struct slice k = slice_str(key);
    bool has_mine = a->policy && table_find(a->policy->args, k, &mine);
    bool has_theirs = a->operator_policy && table_find(a->operator_policy->args, k, &theirs);
    if (has_mine && has_theirs) {
        enum policy_rule rule = policy_rule(k);
        has_theirs =
            rule == POLICY_WINS || (rule == POLICY_HIGHER ? !policy_is_lower(&theirs, &mine)
                                                          : !policy_is_lower(&mine, &theirs));
    }
    if (has_theirs)
        *ret_value = theirs;
    else if (has_mine)
        *ret_value = mine;
    return has_mine || has_theirs;
}

static bool next_of(struct table_iter *it, struct slice *key)
{
    struct table_value value;
    return table_next(it, key, &value);
}

/* Both have their keys in order. */
void policy_put_effective(const struct applied *a, struct buf *out)
{
    struct table_iter mine = table_iter(a->policy ? a->policy->args : SLICE_EMPTY);
    struct table_iter theirs =
        table_iter(a->operator_policy ? a->operator_policy->args : SLICE_EMPTY);
    struct slice k, o;
    struct table_value value;
    bool has_k = next_of(&mine, &k), has_o = next_of(&theirs, &o);
    while (has_k || has_o) {
        int order = !has_k ? 1 : !has_o ? -1 : slice_cmp(k, o);
        struct slice key = order <= 0 ? k : o;
        char name[256];
        memcpy(name, key.data, key.len);
        name[key.len] = '\0';
        if (policy_find(a, name, &value))
            table_put(out, key, &value);
        if (order <= 0)
            has_k = next_of(&mine, &k);
        if (order >= 0)
            has_o = next_of(&theirs, &o);
    }
}
