/* Insides of a channel, for this folder. */
#ifndef AMQP_CHANNEL_PRIV_H
#define AMQP_CHANNEL_PRIV_H

#include "amqp/channel.h"
#include "amqp/confirms.h"
#include "amqp/connection_priv.h"
#include "amqp/timeout.h"
#include "amqp/unacked.h"
#include "base/hash.h"
#include "broker/limits.h"
#include "broker/msg.h"
#include "meta/meta.h"
#include "meta/tally.h"

enum channel_state { CH_OPEN, CH_CLOSING /* close sent, waits for close-ok */ };
enum channel_mode { MODE_PLAIN, MODE_CONFIRM, MODE_TX };

/* A message being received. */
struct incoming {
    enum { CONTENT_NONE, CONTENT_HEADER, CONTENT_BODY } expects;
    bool mandatory;
    struct buf names; /* exchange and routing key, wire form */
    struct msg *msg;
    uint64_t received;
    uint8_t *body; /* of a large one: grows with what has come */
    size_t body_cap;
};

/* A request to a queue whose answer is to come. Answers of one target come in order. */
struct pending {
    uint16_t kind; /* of the op that asked */
    bool no_wait;
    bool counts;           /* answers of the master wait for it */
    struct queue_def *def; /* one reference; NULL: a reply address is asked for */
    struct slice name;     /* that address, owned */
    struct meta_request
        *declare; /* STAT: to be sent on if the queue is gone meanwhile, may be NULL */
};

struct pending_fifo {
    struct pending *items;
    size_t head, count, cap; /* cap: power of two or 0 */
};

struct channel_consumer {
    uint32_t number;
    struct slice tag; /* owned */
    struct queue_def *def;
    uint32_t queue_number, serial;
    bool no_ack, no_wait, exclusive;
    bool unlimited;  /* by the prefetch of the channel */
    bool ready;      /* consume-ok was sent: queue_number is known */
    bool cancelling; /* basic.cancel sent to the queue */
    bool cancel_no_wait;
    bool paused; /* the queue waits for OP_CREDIT_RESUME */
    uint32_t window, portion, credit_due;
    uint64_t timeout_ms; /* for an acknowledgement, 0: none */
    struct slice args;   /* of basic.consume; owned */
    struct list due;     /* in channel.credits_due */
};

/* A publish kept until tx.commit. */
struct tx_publish {
    struct msg *msg;
    struct queue_def **targets; /* one reference each */
    uint32_t count;
    bool mandatory, heard; /* heard: it reaches a queue, not only what keeps a copy */
};
struct tx_settle {
    uint64_t tag;
    enum settle_how how;
};
struct tx {
    struct tx_publish *publishes;
    size_t publish_count, publish_cap;
    struct tx_settle *settles;
    size_t settle_count, settle_cap;
};

/* Settlements of this turn for one queue. */
struct settle_batch {
    struct addr queue;
    enum settle_how how;
    uint32_t count, cap;
    uint32_t *slots; /* heap */
};

struct publish_cache {
    uint64_t version; /* of the routing replica; 0 = empty */
    struct exchange *exchange;
    struct tally *tally; /* of exchange */
    struct slice name;   /* owned */
    bool topic;
};

/* Answers of the metadata master that came while a queue was asked for the counts that an answer
 * before them tells. */
struct held_answers {
    bool counting;                    /* a queue is asked */
    const struct meta_request *again; /* it was gone and is declared anew: this one's turn */
    struct meta_request **items;      /* owned */
    size_t count, cap;
};

struct channel {
    struct connection *connection;
    struct amqp_shard *amqp;
    unsigned number;
    enum channel_state state;
    enum channel_mode mode;
    struct addr addr;
    struct vhost *vhost;
    struct tally *tally;               /* of vhost */
    uint64_t vhost_version, active_ms; /* when a method came, or a message went */
    const struct wire_method *method;  /* being handled */
    struct incoming content;
    struct publish_cache publish;
    uint64_t publish_seq, delivery_tag, reply_secret;
    uint32_t publish_waits; /* queues that let publishes wait */
    struct confirms confirms;
    /* requests on their way */
    struct addr target;
    uint32_t outstanding;
    struct pending_fifo pending;
    struct held_answers held;
    /* consuming */
    struct hash by_tag;
    struct channel_consumer **consumers; /* by number, NULL = free */
    uint32_t consumer_cap, consumer_count, prefetch, global_prefetch;
    struct list credits_due;
    struct channel_consumer *reply_consumer; /* direct reply-to */
    struct unacked_tags unacked;
    bool any_paused;
    struct timeouts timeouts;
    struct settle_batch settles;
    struct tx *tx;
    struct slice last_queue; /* owned */
    struct access_cache *access;
    struct deferred turn_end;
    struct listed listed;
    struct log_context log;
    char number_text[8];
    uint64_t done[VHOST_OWN]; /* by enum broker_total, for listings */
};

static inline struct channel *channel_of_listed(struct listed *l)
{
    return (struct channel *)l->object;
}

/* ---- answers and errors ---- */
static inline void channel_send(struct channel *ch, enum amqp_method method, const void *args)
{
    connection_send(ch->connection, ch->number, method, args);
}
/* Closes the channel or, where the code says so, the connection; the caller must not touch ch
 * afterwards. Returns STEP_DONE. */
enum step channel_fail(struct channel *ch, const struct failure *why);
enum step channel_failf(struct channel *ch, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct addr channel_address(struct channel *ch);
/* NULL if no channel has that address. */
struct channel *channel_at(struct shard *shard, struct addr addr);

/* ---- waiting for others ---- */
/* True if a request to target may be sent now: nothing is outstanding to anybody else. */
bool channel_may_ask(const struct channel *ch, struct addr target);
/* True if nothing is outstanding: methods that answer at once keep the order of answers. */
bool channel_is_idle(const struct channel *ch);
void channel_asked(struct channel *ch, struct addr target);
void channel_answered(struct channel *ch);
struct addr channel_meta_addr(const struct channel *ch);
void pending_push(struct channel *ch, struct pending p);
struct pending pending_pop(struct channel *ch);
void pending_fini(struct pending *p);

/* ---- names ---- */
struct vhost *channel_vhost(struct channel *ch);
/* Of its vhost too. */
void channel_count(struct channel *ch, enum broker_total what, uint64_t n);
/* The queue a method means: "" is the channel's last one. False with why set if there is none. */
bool channel_queue_name(struct channel *ch, struct slice given, struct slice *ret_name,
                        struct failure *why);
/* Finds a queue that this connection may use: 404 or 405 otherwise. */
struct target_queue *channel_find_queue(struct channel *ch, struct slice name, struct failure *why);
/* The queue that basic.get or queue.purge may ask now. NULL: the step to return, the channel failed
 * or the method has to wait. */
enum step channel_readable_queue(struct channel *ch, struct slice given,
                                 struct target_queue **ret_queue);
/* Streams do not know the method. */
enum step channel_refuse_stream(struct channel *ch, const char *what, const struct queue_def *def);
void channel_set_last_queue(struct channel *ch, struct slice name);
enum err channel_check(struct channel *ch, enum access_right right, const char *resource,
                       struct slice name, struct failure *why);

/* ---- publishing: content.c, publish.c ---- */
enum step content_interrupted(struct channel *ch);
void content_begin(struct channel *ch, const struct amqp_basic_publish *in, struct slice names);
void content_fini(struct channel *ch);
/* Takes the message. */
void channel_publish(struct channel *ch, struct msg *msg, bool mandatory);
/* Sends a message whose routing key is a reply address there; false if it is none. */
bool publish_reply(struct channel *ch, struct msg *msg);
/* Puts a copy with the property changed in place of the message. */
void publish_replace_property(struct channel *ch, struct msg **msg, enum amqp_property flag,
                              struct slice value);
void publish_return(struct channel *ch, const struct msg *msg);
void publish_enqueue(struct channel *ch, struct msg *msg, struct addr queue, uint64_t seq,
                     bool confirm);
void channel_on_confirm(struct channel *ch, struct op *op);

/* ---- events.c; nothing happens while nobody wants events ---- */
/* created false: closed, deleted */
void event_channel(const struct channel *ch, bool created);
void event_consumer(const struct channel *ch, const struct channel_consumer *cc, bool created);

/* ---- copies for amq.rabbitmq.trace: firehose.c; only while amqp_shard.tracing ---- */
/* msg as published, with the queues and keys of the route. */
void firehose_published(struct channel *ch, struct msg *msg, const struct route *route);
void firehose_delivered(struct channel *ch, struct msg *msg, const struct queue_def *queue,
                        bool redelivered);

/* ---- direct reply-to: reply.c ---- */
/* reply_to naming the pseudo-queue becomes this channel's reply address. False with why if it has
 * none. */
bool reply_rewrite(struct channel *ch, struct msg **msg, struct failure *why);
/* Sends to the reply address that key is; false if it is none. checked: the answer is a confirm of
 * seq (if that is not 0) or OP_UNROUTABLE. */
bool reply_post(struct channel *ch, struct slice key, struct msg *msg, bool checked, uint64_t seq);
/* Asks whether anybody listens at the address; the answer is that of OP_STAT. False: it is none. */
bool reply_ask(struct channel *ch, struct slice key, struct addr *ret_target);
/* OP_REPLY at the shard of the address. */
void reply_on_op(struct amqp_shard *a, struct op *op);
/* A mandatory reply found nobody. */
void channel_on_unroutable(struct channel *ch, struct op *op);

/* ---- consuming: consume.c, deliver.c ---- */
struct channel_consumer *consumer_find(const struct channel *ch, struct slice tag);
struct channel_consumer *consumer_new(struct channel *ch, struct slice tag, struct queue_def *def);
void consumer_free(struct channel *ch, struct channel_consumer *cc);
void consumers_drop(struct channel *ch);
void channel_on_consume_reply(struct channel *ch, struct op *op);
void channel_on_cancel_ok(struct channel *ch, struct op *op);
void channel_on_cancelled(struct channel *ch, struct op *op);
void channel_on_deliver(struct channel *ch, struct op *op);
void channel_on_got(struct channel *ch, struct op *op);
void channel_give_credit(struct channel *ch);
/* After acknowledgements under a channel-wide prefetch. */
void channel_unpause(struct channel *ch);
void deliver_content(struct channel *ch, const struct msg *msg);
/* To the consumer of replies. */
void deliver_reply(struct channel *ch, struct msg *msg);

/* ---- settling: settle.c ---- */
enum step channel_settle(struct channel *ch, uint64_t tag, bool multiple, enum settle_how how);
void settle_add(struct channel *ch, struct addr queue, uint32_t slot, enum settle_how how);
void settle_flush(struct channel *ch);
void settle_all(struct channel *ch, enum settle_how how);

/* ---- answers of queues and of the master: methods/ ---- */
/* Sends a request to the master on behalf of the method being handled. */
struct meta_request *channel_meta_request(struct channel *ch, enum meta_verb verb);
void channel_meta_post(struct channel *ch, struct meta_request *r, bool no_wait);
void queue_on_reply(struct channel *ch, struct op *op);
void meta_on_reply(struct channel *ch, struct op *op);
/* Ends the counting: what was held is answered. The channel may be gone afterwards. */
void meta_answer_held(struct channel *ch);
/* Forgets what is held. */
void meta_drop_held(struct channel *ch);
/* Takes the request if it may have to be sent again. */
void queue_on_declared(struct channel *ch, struct meta_request **request, bool no_wait);
void queue_on_got_empty(struct channel *ch, struct op *op);

/* ---- tx.c ---- */
void tx_keep(struct channel *ch, struct msg *msg, const struct route *route, bool mandatory);
void tx_fini(struct channel *ch);
void tx_committed(struct channel *ch, const struct op *op);

struct value channel_column(const void *object, const char *column);

/* One function a method: on_basic_publish(ch, struct amqp_basic_publish *). */
#define X(name, index, sync, content) enum step on_##name(struct channel *ch, const void *args);
AMQP_CLIENT_METHODS(X)
#undef X

#endif
