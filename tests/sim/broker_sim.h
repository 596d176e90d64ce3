/* Inside the simulation of the broker: the world of one seed. */
#ifndef SIM_BROKER_SIM_H
#define SIM_BROKER_SIM_H

#include "base/buf.h"
#include "broker/queue/rules.h"
#include "broker/route.h"
#include "meta/meta.h"
#include "store/store.h"
#include "tests/sim/broker_stream.h"
#include "tests/sim/machine.h"
#include "tests/sim/power.h"

enum {
    SIM_SHARDS = 3,
    SIM_CLIENTS = 3,
    SIM_QUEUES = 5,
    SIM_CONSUMERS = 4, /* of a client, at a time */
    SIM_HELD = 256,
    SIM_TARGETS = 3,
    SIM_VALUES = 24 /* that go through the deduplicating exchange */
};

/* ---- what is published ---- */

/* By its number, from 1; everything about it follows from that and from these. */
struct message {
    unsigned client, size, priority;
    uint64_t ttl;   /* RULES_NONE: none of its own */
    unsigned value; /* of the deduplication header, 0: none */
    bool persistent;
    unsigned targets; /* names, a bit each */
};

/* What a queue is to be, the same for all its lives. */
struct plan {
    char name[12];
    bool durable, quorum, plain; /* plain: lets go of nothing by itself */
    bool auto_delete, leaves;    /* leaves: goes by itself */
    bool policies;               /* come and go */
    bool delays;                 /* what is published, all by the same time, and nothing else */
    unsigned letters_to;         /* name + 1, 0: nowhere */
    unsigned letters_also;       /* the same; both by bindings, if there are two */
    bool letters_come;           /* dead letters of another */
    bool may_keep;               /* these, until all have them: none refuses for ever */
    bool forgotten;              /* a queue of that name went */
    struct rules rules;
    struct buf args;
};

/* ---- the shadow: what effects of steps say of the contents (broker_shadow.c) ---- */

struct copy {
    uint32_t uid; /* 0: there never was one */
    uint16_t level;
    bool live; /* ready, or with a consumer */
    bool stored;
    bool redelivered;             /* since a start */
    bool letter;                  /* went as a dead letter */
    bool picked;                  /* somebody asked for its end */
    unsigned picked_to;           /* in that queue, name + 1; 0: nowhere */
    unsigned followed;            /* to queues that were there: names, a bit each */
    bool unrecorded;              /* and has to be there until it has arrived */
    bool seen;                    /* by a client, in this life or before */
    uint32_t count, safe_count;   /* times given back; at least by what is safe */
    uint64_t counted;             /* place of the last of these */
    uint64_t counted_by;          /* transaction */
    uint64_t before;              /* number until it was given back, to the tail */
    uint64_t expiry;              /* time of day, 0 = never */
    uint64_t came, went;          /* places in the shard's effects; went 0: did not */
    uint64_t came_by, went_by;    /* transactions */
    bool promised, promised_gone; /* to a client */
    unsigned acked_by;            /* client + 1, 0: not */
    uint64_t acked_at;            /* the client's count of ops */
    bool found;                   /* for a check */
};
struct shadow {
    uint64_t id; /* 0: free */
    unsigned name, shard;
    bool stores; /* persistent messages */
    bool declared, deleting, deleted;
    bool touched;        /* in this life something may have been delivered */
    bool no_ack, purged; /* asked for by somebody */
    unsigned bound;      /* to letters of these names, a bit each */
    struct copy *copies; /* by number */
    size_t cap;
    uint64_t next;       /* above all numbers */
    uint64_t found_next; /* as a start found it */
    uint64_t live, live_bytes;
    uint32_t last[SIM_CLIENTS]; /* message that came from each */
};
/* What waits in it is at this level. */
unsigned shadow_later_level(const struct shadow *q);
enum verdict { OPEN, WHOLE, NOTHING };
struct shadow_transaction {
    uint64_t id;
    bool asked, safe; /* committed, by a client; and said to be */
    enum verdict verdict;
};

/* ---- clients (broker_client.c) ---- */

struct publish {
    uint32_t uid;
    uint64_t at;               /* the client's count of ops */
    uint64_t made[SIM_SHARDS]; /* effects seen when it was made */
    unsigned left;
    bool refused;
    uint64_t queues[SIM_TARGETS]; /* ids */
    unsigned queue_count;
};
struct held {
    struct addr addr;
    uint64_t queue, seq;
    uint32_t slot;
    bool stored;
};
struct client_consumer {
    enum { CONSUMER_NONE, CONSUMER_ASKED, CONSUMER_THERE, CONSUMER_GOING } state;
    struct addr addr;
    uint64_t queue;
    uint32_t number, serial, used; /* used: of its window */
    bool no_ack;
};
struct client {
    unsigned index;
    struct shard *shard;
    struct addr addr;
    uint64_t at;
    struct publish *publishes; /* by sequence number, from 1 */
    size_t publish_count, publish_cap;
    struct held held[SIM_HELD];
    size_t held_count;
    struct client_consumer consumers[SIM_CONSUMERS];
    unsigned asked;         /* answers that are to come */
    unsigned publish_waits; /* queues that it is to publish no more for */
    uint64_t transaction;
    struct held settles[SIM_HELD]; /* of the transaction */
    size_t settle_count;
    struct publish *in_transaction;
    size_t in_count, in_cap;
};

/* ---- a deduplicating exchange and the queue behind it (broker_once.c) ---- */

struct once {
    struct shard *shard; /* of who publishes */
    struct addr addr;
    struct route route;
    unsigned *sent; /* values, by sequence number in this life */
    uint64_t sent_count;
    size_t sent_cap;
    unsigned publish_waits; /* as a client's */
    bool confirmed[SIM_VALUES];
    unsigned let_in[SIM_VALUES]; /* last, the life + 1 */
};

struct world {
    uint64_t seed;
    unsigned step, life;
    unsigned shards, queue_count;
    struct plan plans[SIM_QUEUES];
    uint32_t segment_size;
    size_t unit_large; /* 0: as in a daemon */
    size_t large;
    struct node *node;
    struct store *store;
    struct partitions *partitions;
    bool fills, full;         /* the disk does now and then; is */
    bool purges;              /* often, and the disk fills: seeds that 5 divides */
    bool tables_full;         /* so is the database */
    bool ended_well;          /* the last process */
    bool ending;              /* nobody turns any more, or yet */
    bool amid;                /* in a turn amid another */
    struct message *messages; /* by uid */
    size_t message_count, message_cap;
    struct shadow *shadows;
    size_t shadow_count, shadow_cap;
    struct shadow_transaction *transactions; /* of this life */
    size_t transaction_count, transaction_cap;
    uint64_t effects[SIM_SHARDS]; /* seen */
    uint64_t written[SIM_SHARDS]; /* of these, those whose records are in the log for sure */
    uint64_t safe[SIM_SHARDS];    /* and on the disk */
    struct list probes;
    uint64_t begun; /* the last transaction */
    struct client clients[SIM_CLIENTS];
    struct once once;
    struct stream_world stream;
    struct buf room;
};

extern struct world *sim; /* exception: wrapped calls have no argument */

_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define sim_check(cond, ...)              \
    do {                                  \
        if (__builtin_expect(!(cond), 0)) \
            sim_fail(__VA_ARGS__);        \
    } while (0)

static inline uint64_t rnd(uint64_t below)
{
    return machine_rnd(below);
}
static inline bool one_in(uint64_t n)
{
    return machine_one_in(n);
}

/* ---- broker_shadow.c ---- */
/* NULL: no such queue. */
struct shadow *shadow_find(uint64_t id);
/* The copy with that number; fails if there never was one. */
struct copy *shadow_copy(struct shadow *q, uint64_t seq);
struct shadow_transaction *shadow_transaction(uint64_t id);
void shadow_forget(struct shadow *q);
/* The message is one of those that the queue wants only one of. */
bool shadow_is_one_of_a_kind(const struct shadow *q, uint32_t uid);
/* The queues of a shard have what the shadow says. */
void shadow_compare(struct shard *shard);
void shadow_fini(void);
/* The process has ended. */
void shadow_end_life(void);

/* ---- broker_check.c ---- */
/* What a start found, against what there has to be; the shadow goes on with it. */
void check_recovery(void);
/* Nothing is left of any queue. */
void check_empty(void);
/* The body of a message, borrowed. */
struct slice check_body(uint32_t uid);

/* ---- broker_once.c ---- */
void once_begin(void);
void once_end(void);
void once_declare(void);
void once_delete(void);
/* Publishes some values, whether they were sent before or not. */
void once_act(void);
struct effect_log;
/* Effects of a queue that is not in the shadow. */
void once_see(uint64_t queue, const struct effect_log *log);
/* What a start found. */
void once_check(void);

/* ---- broker_operator.c ---- */
/* The keys of arguments, or of a policy, that say where dead letters go. */
void operator_put_letters(const struct plan *p, const char *prefix, struct buf *out);
/* Binds a queue that was declared for the letters that come to it. */
void operator_bind(struct client *c, const struct queue_def *def);
/* Sets or takes away a policy, for the client who is told. */
void operator_act(struct client *c);
/* The disk has no room for more, until it has again. */
void operator_fill(void);
void operator_stay_full(void);
void operator_make_room(void);

/* ---- broker_client.c ---- */
void clients_begin(void);
void clients_end(void);
/* Something that a client does. */
void client_act(struct client *c);
/* All but waiting for what was asked is over: gives back what it holds. */
void client_leave(struct client *c);
void client_declare(struct client *c, unsigned name);
/* Takes everything out of all queues; a step of it. */
void client_drain(struct client *c);
void client_delete_all(struct client *c);

#endif
