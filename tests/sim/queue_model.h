/* A naive queue beside the real one: what it should have, and what it says that it has done. */
#ifndef SIM_QUEUE_MODEL_H
#define SIM_QUEUE_MODEL_H

#include "broker/queue/queue_priv.h"
#include "tests/sim/queue_store.h"

enum { CONSUMERS = 4, MESSAGES = 1024, PLACES = 4096, MODEL_STEPS = 400, ALIVE = -1 };
enum state { ABSENT, READY, WAITING, HELD, GONE };

struct held {
    uint64_t seq;
    uint32_t slot;
    int consumer; /* -1: basic.get */
};

/* A message at a place: it gets another one when it comes to wait, and when it has. */
struct model_message {
    uint64_t uid;
    enum state state, told; /* told: what the effects say */
    bool redelivered, persistent, sent;
    bool woken;     /* in this step */
    uint32_t count; /* of deliveries that failed */
    unsigned level, own_level;
    uint64_t ttl, expiry, size;
    int died, buried; /* enum death by the model, by the queue */
};

struct world {
    uint64_t random, now;
    struct queue *queue;
    struct queue_def *def;
    struct queue_out out;
    struct ready_pool pool;
    struct effect_log log;
    struct rules rules;                    /* as the model knows them */
    struct model_message messages[PLACES]; /* by seq */
    uint64_t last, used, uids;
    uint64_t places[MESSAGES]; /* by uid: where it is, or was at last */
    struct held held[MESSAGES];
    size_t held_count;
    struct {
        bool there, no_ack;
        uint32_t number, serial, prefetch, unacked, window;
    } consumers[CONSUMERS];
    uint64_t answered, refused, published;
    bool gone, woken;            /* some were ready in this step that had waited */
    struct paging_limits limits; /* window 0: all stays in memory */
    struct queue_store store;
    bool gets[MODEL_STEPS]; /* no_ack of each; those that were answered before get_first */
    size_t get_first, get_last;
};

uint64_t model_random(struct world *w, uint64_t below);

/* The next in order, 0 = none. */
uint64_t model_first(const struct world *w);
/* Not in memory. */
bool model_is_away(const struct world *w, uint64_t seq);
void model_count(const struct world *w, enum state state, uint64_t *ret_count, uint64_t *ret_bytes);
void model_place(struct world *w, uint64_t seq, const struct model_message *m);
/* To a number of its own; what was there is gone. */
struct model_message *model_move(struct world *w, uint64_t from, enum state state, unsigned level,
                                 uint64_t expiry);
/* How long a message waits that was given back so often. */
uint64_t model_back_off(const struct world *w, enum settle_how how, uint32_t n);
void model_death(struct world *w, uint64_t seq, enum death why);
/* What is ready and expired leaves. */
void model_expire(struct world *w);
/* There are more than a limit allows that drops the first. */
bool model_is_over(const struct world *w);
/* Until one is met that is not in memory. */
void model_drop_head(struct world *w);
/* A consumer would take a message. */
bool model_anybody(const struct world *w);

void model_apply_effects(struct world *w);
/* What the last step gave out. */
void model_look(struct world *w);

#endif
