/* What passwords must be like, as the configuration says; asked when one is set in plain text, not
 * when its hash is. Shard 0's. */
#ifndef META_CREDENTIALS_H
#define META_CREDENTIALS_H

#include "meta/pattern.h"

#include <stddef.h>

struct node;
struct meta;

struct credential_rules {
    size_t least; /* bytes */
    bool patterned;
    struct pattern pattern; /* if patterned */
};

/* Replaces the rules. least 0: any length; regexp of no data: any form. */
void meta_set_credential_rules(struct node *node, size_t least, struct slice regexp);
/* Refused with RabbitMQ's texts. */
enum err meta_check_password(struct meta *m, struct slice password, struct failure *why);

#endif
