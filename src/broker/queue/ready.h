/* The ready messages of a queue in order: one sequence, or one for each level of priority. A
 * message that is returned goes back to where it was, by sequence number within its level; one that
 * expires leaves from wherever it is. Costs do not grow with the length; an empty one holds no
 * messages' memory, and of a long one most may be in the store alone (paging.c). */
#ifndef BROKER_QUEUE_READY_H
#define BROKER_QUEUE_READY_H

#include "broker/queue/sequence.h"

struct paged;
struct ready_levels;

/* What waits for its time, at a level of its own, which is never the first: the expiry of an entry
 * is when it is to be ready. That level is 255, or 256 where 255 is a priority. */
struct ready_later {
    unsigned level;
    struct sequence sequence;
    uint64_t count, bytes;          /* of bodies; with those that are not in memory */
    uint64_t letters, letter_bytes; /* of these, dead letters */
    /* those a start found, which count as dead letters all or none */
    uint64_t found_below;
    bool found_are_letters;
    struct expiry *times;
};
enum { READY_LEVELS = 257 };

struct ready {
    uint64_t count, bytes; /* bytes of bodies; with those that are not in memory, without later */
    uint64_t persistent, persistent_bytes; /* the same with later */
    struct sequence plain;
    struct ready_levels *levels; /* NULL: all is in plain */
    struct ready_later *later;   /* NULL: nothing ever waited */
    struct expiry *expiry;       /* NULL: no message ever had one; of all but later */
    struct paged *paged;         /* NULL: all are in memory */
    bool filled;                 /* a chunk became full since somebody looked */
};

/* What was discarded and is to be freed bit by bit. */
struct ready_garbage {
    struct ready_chunk **chunks;
    uint32_t at, count, cap;
};

/* max_priority 0: no levels. */
void ready_init(struct ready *r, unsigned max_priority);
/* It must be empty. */
void ready_fini(struct ready *r);
/* seq must be above all that were pushed before. To that of later only once it was opened. */
void ready_push(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry);
/* Puts an entry back at its place. */
void ready_return(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry);
/* The first in order; false if there is none, or it is not in memory. */
bool ready_pop(struct ready *r, struct ready_pool *pool, struct ready_entry *ret_entry);
/* There are messages, but the first is not in memory. */
bool ready_first_is_away(struct ready *r);
static inline bool ready_is_blocked(struct ready *r)
{
    return r->paged && ready_first_is_away(r);
}
/* When the next message in memory may expire, 0 = never. */
uint64_t ready_next_expiry(const struct ready *r);
/* Takes out messages whose time has come, up to all of one chunk, in order; how many. 0: there are
 * none (left). Of later there is another function. */
unsigned ready_expire(struct ready *r, struct ready_pool *pool, uint64_t now_ms,
                      struct ready_entry ret_entries[READY_CHUNK_ENTRIES]);
/* Those of several chunks in the order of their times. */
struct ready_limit {
    uint64_t until;              /* messages leave whose time is up to this one, */
    const struct sequence *held; /* but for those of this sequence, NULL: none, up to that one */
    uint64_t held_until;
};
/* The same of later, or else of the levels. */
unsigned ready_expire_in_order(struct ready *r, struct ready_pool *pool,
                               const struct ready_limit *limit,
                               struct ready_entry ret_entries[READY_CHUNK_ENTRIES]);
/* What these functions look at; NULL: nothing. */
static inline struct expiry *ready_in_order(const struct ready *r)
{
    return r->later ? r->later->times : r->expiry;
}
/* When the first of that leaves, 0 = never or not yet. */
uint64_t ready_next_in_order(const struct ready *r, const struct ready_limit *limit);
/* Takes out one that is in memory, wherever it is; false: it is not there. */
bool ready_take(struct ready *r, struct ready_pool *pool, unsigned level, uint64_t seq,
                struct ready_entry *ret_entry);
/* Moves everything to garbage; forgets what is not in memory. */
void ready_discard(struct ready *r, struct ready_garbage *garbage);
/* Frees about budget messages; true if some are left. */
bool ready_sweep(struct ready_garbage *garbage, struct ready_pool *pool, unsigned budget);

/* ---- what waits ---- */
static inline bool ready_is_later(const struct ready *r, unsigned level)
{
    return r->later && level == r->later->level;
}
static inline uint64_t ready_later_count(const struct ready *r)
{
    return r->later ? r->later->count : 0;
}
static inline uint64_t ready_later_bytes(const struct ready *r)
{
    return r->later ? r->later->bytes : 0;
}
void ready_open_later(struct ready *r);
/* Which one it is, or would be. */
unsigned ready_later_level(const struct ready *r);

/* ---- for paging.c ---- */
/* 1 without priorities; that of later does not count. */
unsigned ready_level_count(const struct ready *r);
/* From 0 on, that of later last if there is one; READY_LEVELS behind the last. */
unsigned ready_next_level(const struct ready *r, unsigned level);
/* Messages come to, or leave, a level otherwise than by the functions above. */
static inline void ready_count_in(struct ready *r, unsigned level, struct ready_amount a)
{
    if (__builtin_expect(ready_is_later(r, level), 0)) {
        r->later->count += a.count;
        r->later->bytes += a.bytes;
    } else {
        r->count += a.count;
        r->bytes += a.bytes;
    }
    r->persistent += a.persistent;
    r->persistent_bytes += a.persistent_bytes;
}
static inline void ready_count_out(struct ready *r, unsigned level, struct ready_amount a)
{
    ready_count_in(r, level,
                   (struct ready_amount){-a.count, -a.bytes, -a.persistent, -a.persistent_bytes});
}
struct sequence *ready_level(const struct ready *r, unsigned level);
/* Of the first in order; 0 if there is none. */
unsigned ready_first_level(const struct ready *r);
/* The level got, or may have lost, messages otherwise than by the functions above. */
void ready_note_gain(struct ready *r, unsigned level);
void ready_note_loss(struct ready *r, unsigned level);
/* Something in the chunk, which is of this level, expires at that time. */
void ready_note_expiry(struct ready *r, unsigned level, struct ready_chunk *c, uint64_t at);
void ready_garbage_add(struct ready_garbage *garbage, struct ready_chunk *c);

#endif
