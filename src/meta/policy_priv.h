/* The table of policy keys, for policy.c and policy_check.c. */
#ifndef META_POLICY_PRIV_H
#define META_POLICY_PRIV_H

#include "meta/policy.h"

enum policy_rule { POLICY_NO, POLICY_LOWER, POLICY_HIGHER, POLICY_WINS };

/* POLICY_NO for a key that there is not. */
enum policy_rule policy_rule(struct slice key);

#endif
