/* The rules are looked at one by one, length first. */
#include "meta/credentials.h"

#include "meta/meta_priv.h"

void meta_set_credential_rules(struct node *node, size_t least, struct slice regexp)
{
    struct credential_rules *rules = &meta_of(node)->credentials;
    if (rules->patterned)
        pattern_fini(&rules->pattern);
    rules->least = least;
    rules->patterned = regexp.data != NULL;
    if (rules->patterned)
        pattern_init(&rules->pattern, regexp);
}

enum err meta_check_password(struct meta *m, struct slice password, struct failure *why)
{
    const struct credential_rules *rules = &m->credentials;
    if (password.len < rules->least)
        return failure_set(why, ERR_PRECONDITION_FAILED, "minimum required password length is %zu",
                           rules->least);
    if (rules->patterned && !pattern_matches(&rules->pattern, m->local->matcher, password))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "provided password does not match the validator regular expression");
    return ERR_NONE;
}
