/* One published change: made by the master, applied by every shard's replica. Owns one reference of
 * what it is about; counted, since every shard gets the same. */
#ifndef META_CHANGE_PRIV_H
#define META_CHANGE_PRIV_H

#include "meta/def_priv.h"
#include "meta/meta.h"

struct meta_change {
    _Atomic uint32_t refs;
    enum meta_change_kind kind;
    bool cleared; /* permissions, policies, parameters: taken away, not set */
    union {
        struct vhost_def *vhost;
        struct exchange_def *exchange;
        struct queue_def *queue;
        struct binding_def *binding;
        struct user_def *user;
        struct permission_def *permission;
        struct policy_def *policy;
        struct parameter_def *parameter;
    };
};

/* The object is set by the caller, who gives its reference away. */
struct meta_change *change_new(enum meta_change_kind kind);
void change_ref(struct meta_change *change);
void change_unref(struct meta_change **change);

#endif
