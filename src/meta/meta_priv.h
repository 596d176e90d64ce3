/* The inside of the metadata master. It keeps its objects in shard 0's replica; what is here is
 * what only the master needs. */
#ifndef META_META_PRIV_H
#define META_META_PRIV_H

#include "base/hash.h"
#include "base/table.h"
#include "meta/access.h"
#include "meta/credentials.h"
#include "meta/limits.h"
#include "meta/routing_priv.h"
#include "meta/vhost_defaults.h"
#include "store/store.h"

enum { META_MAGIC = 0x4d455441 };

/* Queues by the slot the master reserved for them. */
struct slot_index {
    struct queue_def **queues;
    size_t cap;
    size_t count; /* queues on that shard */
};

struct meta {
    uint32_t magic;
    struct node *node;
    struct addr addr;
    struct routing *local; /* shard 0's replica */
    unsigned shards;
    unsigned next_shard; /* where the search for a queue's home begins */
    bool direct;         /* no loop runs yet: changes are applied, not posted */
    struct slot_index slots[SHARDS_MAX];
    struct addr makers[SHARDS_MAX];
    struct addr replicas[SHARDS_MAX];
    struct hash owners; /* of exclusive queues, by connection id */
    struct {
        struct store_log *log; /* shard 0's; NULL: nothing is kept */
        bool recorded;         /* what is being handled changed something that is kept */
        bool seeded;
        struct list imports;    /* facts of what was imported last, see meta_import.c */
        uint64_t last_queue_id; /* without a store */
        struct buf key, value;
        struct hash fronts;    /* those for whom answers are held */
        struct addr asker;     /* of the request that is handled */
        struct held *reserved; /* the place of its answer */
    } store;
    struct limits limits;
    struct login_guard logins;
    struct vhost_defaults *vhost_defaults; /* NULL: none */
    struct credential_rules credentials;
    struct meta_options options;
    struct buf scratch;    /* identity of the binding in question */
    uint64_t last_binding; /* order of the newest one */
    struct meta_churn churn;
};

struct meta *meta_of(const struct node *node);

/* Does what a request asks, and tells of it; also within another request. */
enum err meta_handle(struct meta *m, struct meta_request *rq);

/* Takes the change: it is recorded, and every shard applies it, this one at once. */
void meta_publish(struct meta *m, struct meta_change *change);
/* The two parts of it. Recording comes first, while shard 0's replica is as before. */
void meta_record(struct meta *m, const struct meta_change *change);
void meta_distribute(struct meta *m, struct meta_change *change);

/* Takes an answer: it leaves when what the request changed is safe, and behind former answers of
 * the same front. */
void meta_answer(struct meta *m, const struct op *op);
/* What was recorded is handed over, to be safe as soon as can be: nothing else will be recorded for
 * this request, and its answer waits from now on. */
void meta_answer_soon(struct meta *m);
void meta_answers_init(struct meta *m);
void meta_answers_fini(struct meta *m);
uint64_t meta_new_queue_id(struct meta *m);

/* NULL with NOT_FOUND in why. */
struct vhost *meta_get_vhost(struct meta *m, const struct meta_request *rq, struct failure *why);
/* The right of the asking user, given to trusted askers. kind: "queue" or "exchange". */
enum err meta_check_right(struct meta *m, const struct meta_request *rq, enum access_right right,
                          const char *kind, struct slice name, struct failure *why);
/* The argument names an exchange (dead letters, alternate): its type, read on the object and write
 * on the target. */
enum err meta_check_target(struct meta *m, const struct meta_request *rq, const char *kind,
                           struct slice name, const char *argument, struct failure *why);
enum err meta_check_default_exchange(struct slice name, struct failure *why);
/* Without CR and LF, in place. */
void meta_clean(struct slice *name);

/* The verbs. Each fills rq->why when it returns a code. */
enum err meta_queue_declare(struct meta *m, struct meta_request *rq);
enum err meta_queue_delete(struct meta *m, struct meta_request *rq);
enum err meta_connection_down(struct meta *m, struct meta_request *rq);
enum err meta_exchange_declare(struct meta *m, struct meta_request *rq);
enum err meta_exchange_delete(struct meta *m, struct meta_request *rq);
enum err meta_bind(struct meta *m, struct meta_request *rq);
enum err meta_unbind(struct meta *m, struct meta_request *rq);
enum err meta_vhost_put(struct meta *m, struct meta_request *rq);
enum err meta_vhost_delete(struct meta *m, struct meta_request *rq);
enum err meta_user_put(struct meta *m, struct meta_request *rq);
enum err meta_user_delete(struct meta *m, struct meta_request *rq);
enum err meta_permission_set(struct meta *m, struct meta_request *rq);
enum err meta_permission_clear(struct meta *m, struct meta_request *rq);
enum err meta_topic_permission_set(struct meta *m, struct meta_request *rq);
enum err meta_topic_permission_clear(struct meta *m, struct meta_request *rq);
enum err meta_policy_set(struct meta *m, struct meta_request *rq);
enum err meta_policy_clear(struct meta *m, struct meta_request *rq);
enum err meta_parameter_set(struct meta *m, struct meta_request *rq);
enum err meta_parameter_clear(struct meta *m, struct meta_request *rq);
enum err meta_user_limits_set(struct meta *m, struct meta_request *rq);
enum err meta_user_limits_clear(struct meta *m, struct meta_request *rq);

/* What the verbs have in common with the start. */
void meta_put_vhost(struct meta *m, const struct vhost_def *like);
void meta_make_default_vhost(struct meta *m);
/* What the configuration has for one that was made just now. */
void meta_put_vhost_defaults(struct meta *m, struct slice vhost);
void meta_restore_queue(struct meta *m, const struct queue_def *like);
/* An exchange that comes and goes with its virtual host. */
bool meta_is_predeclared(struct slice exchange);

/* meta_import.c */
void meta_imports_init(struct meta *m);
void meta_imports_fini(struct meta *m);
/* Of a virtual host that goes. */
void meta_forget_import(struct meta *m, struct slice vhost);
/* A fact of the node as it was kept; one of another kind is left alone. */
void meta_load_import(struct meta *m, struct slice fact);
/* Facts of the node are kept and given up. */
void meta_keep_fact(struct meta *m, struct slice name);
void meta_drop_fact(struct meta *m, struct slice name);

/* OP_QUEUE_GONE. */
void meta_on_queue_gone(struct meta *m, const struct op_queue_gone *gone);
void meta_queues_init(struct meta *m);
void meta_queues_fini(struct meta *m);
/* Ends the queue's actor, and that of its delay line, and frees the address; the replicas are the
 * caller's. */
void meta_drop_queue(struct meta *m, struct queue_def *def);
/* A line; as a queue it is made, and its address used, once it was started. id 0: a new one.
 * One reference. */
struct queue_def *meta_new_line(struct meta *m, const struct queue_def *like, enum line_of of,
                                uint64_t id, struct addr near);
void meta_start_line(struct meta *m, struct queue_def *line);
/* Publishes the exchange, with a line if its type has one. */
void meta_add_exchange(struct meta *m, const struct exchange_def *like, struct addr near);

/* The fields of an exported definition; false: it is not exported. object: that of the noun's rows.
 */
bool definition_put_vhost(const void *object, struct buf *out);
bool definition_put_user(const void *object, struct buf *out);
bool definition_put_permission(const void *object, struct buf *out);
bool definition_put_policy(const void *object, struct buf *out);
bool definition_put_parameter(const void *object, struct buf *out);
bool definition_put_exchange(const void *object, struct buf *out);
bool definition_put_queue(const void *object, struct buf *out);
bool definition_put_binding(const void *object, struct buf *out);

/* Exchanges that delete themselves once nothing is bound from them: those that lose a binding are
 * noted before it goes, looked at afterwards. */
struct orphans {
    struct exchange_def **defs; /* a reference each */
    size_t count, cap;
};
/* The sources of what is bound to a destination. */
void orphans_note(struct orphans *o, const struct list *bounds_in);
void orphans_note_one(struct orphans *o, const struct exchange *x);
/* Deletes those that are without bindings now, and what that orphans in turn. */
void orphans_reap(struct meta *m, struct orphans *o);

#endif
