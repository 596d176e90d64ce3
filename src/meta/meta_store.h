/* Definitions as the store keeps them: a key and a value for each, by noun.
 *
 * A key is made of names as short strings, virtual host first, so that what belongs together lies
 * together. A value has all there is to know, the names too: the version of its form, a checksum,
 * then the fields of meta_store.c. What is not durable is never stored; what a virtual host
 * is born with (its exchanges amq.*) is not either. */
#ifndef META_META_STORE_H
#define META_META_STORE_H

#include "meta/def_priv.h"

enum noun {
#define NOUN(symbol, name, number, text) NOUN_##symbol = number,
#include "meta/nouns.def"
#undef NOUN
    NOUN_END
};

enum {
    STORED_KEY_MAX = 255 /* a longer key ends in the digest of all of it */
};

/* A fact of the node: there or not. */
struct node_def {
    struct slice name;
};

/* A definition as read: slices are borrowed from the value. Of a binding there are the names, the
 * key and the arguments, no identity. */
union stored {
    struct node_def node;
    struct vhost_def vhost;
    struct user_def user;
    struct permission_def permission;
    struct policy_def policy;
    struct parameter_def parameter;
    struct exchange_def exchange;
    struct queue_def queue;
    struct binding_def binding;
};

enum stored_state {
    STORED_FINE,
    STORED_DAMAGED,
    STORED_NEWER /* written by a later program */
};

/* Of the form that is written, the newest that is read. What keeps its form is read by older
 * releases. */
uint8_t meta_store_version(enum noun noun);
/* def: the struct of the noun (permission_def for both kinds of permission, policy_def for both of
 * policies, parameter_def for parameters and limits). Appends. */
void meta_store_put_key(enum noun noun, const void *def, struct buf *out);
void meta_store_put_value(enum noun noun, const void *def, struct buf *out);
enum stored_state meta_store_get(enum noun noun, struct slice value, union stored *ret_like);

/* The name of a virtual host whose value cannot be read. */
bool meta_store_get_vhost_key(struct slice key, struct slice *ret_name);

/* Tags of a user, commas alone between them; NULL: only the bits are wanted. */
unsigned meta_parse_tags(struct slice list, struct buf *out);

#endif
