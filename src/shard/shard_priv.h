/* Insides of a shard, for this folder and its tests. */
#ifndef SHARD_PRIV_H
#define SHARD_PRIV_H

#include "shard/io.h"
#include "shard/shard.h"
#include "shard/slot.h"
#include "shard/timer.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>

/* A growable FIFO of ops, one thread at a time. */
struct op_fifo {
    struct op *ops;
    size_t head, count, cap; /* cap is a power of two or 0 */
};

/* Single producer, single consumer; slots is a power of two. The producer fills and moves tail, the
 * consumer takes and moves head; each keeps a copy of the other's index to touch its line rarely.
 * What finds the ring full goes to the spill, and so does all that follows until the consumer took
 * it: it takes the spill with the ring, so that a full ring makes no op arrive later than its order
 * allows. */
struct ring {
    _Alignas(64) _Atomic uint32_t tail;
    uint32_t head_seen; /* producer's */
    _Alignas(64) _Atomic uint32_t head;
    _Alignas(64) struct op *slots;
    uint32_t mask;
    _Atomic bool spilled; /* there is a spill; changed under lock */
    pthread_mutex_t lock; /* of spill */
    struct op_fifo spill;
};

/* What the consumer may take of a ring now: up to tail, then the spill. */
struct ring_part {
    uint32_t tail;
    struct op_fifo spill;
};

struct slot {
    void *object;
    const struct actor_type *type;
    uint32_t next_free;
    uint16_t gen;
};

struct slot_table {
    struct slot *slots;
    size_t count, cap;
    uint32_t free_first,
        free_last; /* FIFO, so a slot is reused as late as can be; index + 1, 0 = none */
};

/* Of the metadata master: which assigned slots of a shard are free. */
struct slot_reserve {
    struct slot_table table; /* object and type unused */
};

/* Who runs the shard, and how much there is to do: guest.c. */
struct guest {
    _Atomic(struct shard *) host; /* NULL: its own thread does */
    _Atomic uint32_t rung;        /* by another thread than the host's */
    bool ready;                   /* it or its sockets have work, says the host's thread */
    bool left;                    /* it has not finished its work */
    bool leaving;                 /* its thread is about to offer it */
    bool away;                    /* it was offered and is not back: under the node's lock */
    pthread_cond_t back;
    ev_io polled;           /* in the host's loop: the descriptor of this one's */
    uint64_t ran_ns;        /* by the host in this window */
    uint64_t since_ns;      /* when it became a guest */
    uint64_t not_before_ns; /* no offer before */
    unsigned pause_windows;
    /* of windows */
    uint64_t window_start_ns, busy_ns;
    unsigned in_a_row;         /* low ones of its own thread; high ones of the host */
    _Atomic uint32_t share;    /* thousandths of the last that it was busy */
    _Atomic uint64_t share_ns; /* when that ended */
};

/* What the host has: of the node, since there is one. */
struct guest_house {
    uint64_t window_ns; /* 0: there are no guests */
    uint64_t guests;    /* a bit each; of the host's thread */
    _Atomic uint64_t offered;
    pthread_mutex_t lock;
    bool closed;                 /* under lock */
    _Atomic uint64_t offered_ns; /* the last time */
};

enum { OP_HISTORY = 256, RING_SLOTS = 1024, RING_SLOTS_MANY = 256 };

struct shard {
    struct node *node;
    unsigned index;
    bool taking; /* inside take_inbound */
    int held;    /* by so many: shard_hold */
    struct ev_loop *loop;
    pthread_t thread;
    ev_prepare before_poll;
    ev_check after_poll;
    ev_async wake;
    ev_timer alarm;
    ev_idle more; /* active while a turn left work behind */
    uint64_t now_ns, turn_start_ns;
    bool busy;              /* there was something to do in this turn */
    uint64_t idle_since_ns; /* the last turn that had */
    uint64_t idle_ns;       /* how long it is without, of late */
    struct op_fifo local;
    struct ring *inbound; /* one a source */
    uint64_t posted_to;   /* targets to wake, a bit each */
    uint64_t overflowing; /* targets whose ring has a spill of ours, a bit each */
    struct list deferred[DEFER_PHASES];
    struct list relief;
    struct slot_table own, assigned;
    struct timer **heap;
    size_t heap_count, heap_cap;
    uint64_t alarm_due_ns;
    struct guest guest;
    void *local_of[SHARD_LOCAL_COUNT];
    struct shard_stats stats;
    uint16_t history[OP_HISTORY]; /* kinds of the last ops, a ring */
    uint32_t history_next;
    struct list signals;
};

struct node {
    unsigned count;
    uint64_t busy_wait_ns;
    struct awake *awake; /* NULL: nothing is asked for */
    struct guest_house house;
    struct shard *shards;
    const struct op_kind *ops;
    unsigned op_count;
    void *context;
    void *local_of[SHARD_LOCAL_COUNT];
    struct slot_reserve *reserves;
    _Atomic bool stopping;
    char apart[64];               /* what all shards read often, away from what is written often */
    _Atomic uint32_t publication; /* odd while shard 0 is telling others what is new */
    char apart_too[64];
    bool dropping; /* after the loops ended: ops are released, not delivered */
};

void shard_init(struct shard *shard, struct node *node, unsigned index);
void shard_fini(struct shard *shard);
void shard_run(struct shard *shard);
/* Releases what is queued anywhere for or by this shard; true if there was something. */
bool shard_drop_ops(struct shard *shard);
void shard_enter(struct shard *shard);
void shard_signals_fini(struct shard *shard);
/* Work that is not for later: ops, deferred, inbound. */
bool shard_has_work(const struct shard *shard);
bool shard_inbound_pending(const struct shard *shard);
/* Runs all there is and wakes whom it posted to. */
void shard_finish_turn(struct shard *shard);
/* Makes it run a turn soon. From any thread. */
void shard_wake(struct shard *shard);

void slot_table_fini(struct slot_table *table);
struct slot *slot_lookup(struct shard *shard, struct addr addr);

void guest_init(struct shard *shard);
void guest_fini(struct shard *shard);
/* After something was sent to its loop: makes the host look, if it has one. From any thread. */
void guest_ring(struct shard *shard);
/* The same thread runs it as runs the caller's shard. */
bool guest_is_near(const struct shard *shard);
static inline bool guest_is(const struct shard *shard)
{
    return atomic_load_explicit(&shard->guest.host, memory_order_relaxed) != NULL;
}
/* Counts the turn that ended now. True if its thread shall offer the shard to the host. */
bool guest_count_turn(struct shard *shard, uint64_t now, uint64_t took_ns, bool left);
/* By its thread, outside the loop: returns when the shard is its own again. */
void guest_offer(struct shard *shard);
/* At the end of the host's turn. True if a guest has work left. */
bool guests_run(struct shard *host);
/* The earlier of due and what guests wait for; 0 is none. */
uint64_t guests_due(const struct shard *host, uint64_t due);
/* Sends all home, and takes none any more. */
void guests_close(struct shard *host);

/* Opens the device; if it can't be, the facts say why and nothing is held. */
struct awake *awake_new(const struct awake_options *options, unsigned shards);
/* Before the loops run. */
void awake_attach(struct awake *awake, struct shard *host);
/* After the loops ended. */
void awake_free(struct awake **awake);
/* By the thread that runs the shard: it has work after a wait that was no mere look at its sockets.
 */
void awake_on_wait_end(struct shard *shard, uint64_t now);
/* The same without the shard. True, and once: shard 0 shall hold. */
bool awake_count(struct awake *awake, unsigned shard, uint64_t now);
/* On shard 0. */
void awake_hold(struct awake *awake, uint64_t now);
/* Some times a second while it is held, on shard 0. False: it was let go. */
bool awake_stays_held(struct awake *awake, uint64_t now);
void awake_read(const struct awake *awake, uint64_t now, struct awake_facts *ret_facts);

/* Runs what is due; sets the loop's alarm for the next. */
void timer_run_due(struct shard *shard);
void timer_arm(struct shard *shard);

#endif
