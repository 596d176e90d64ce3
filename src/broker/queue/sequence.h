/* Messages in the order of their sequence numbers: chunks of entries, taken from the front, added
 * at the back, put back where they were, or taken out from the middle. A chunk has holes where
 * entries were taken out; its first and its last entry are never holes. Where a level's messages
 * are not all in memory, a sequence holds those at its front, and its backlog (extent.h) the rest.
 * Private to this folder. */
#ifndef BROKER_QUEUE_SEQUENCE_H
#define BROKER_QUEUE_SEQUENCE_H

#include "broker/msg.h"

struct backlog;
struct expiry;
struct sequence;

struct ready_entry {
    struct msg *msg; /* NULL in a chunk: a hole, whose seq still tells the place */
    uint64_t seq;
    uint64_t expiry; /* ms of the queue's clock, 0 = never */
    uint32_t delivery_count;
    bool redelivered;
    bool stored; /* in the log, by ENQ */
    uint16_t level;
};
_Static_assert(sizeof(struct ready_entry) == 32, "two to a cache line");

/* Messages and bytes of their bodies; of these, the persistent ones. */
struct ready_amount {
    uint64_t count, bytes;
    uint64_t persistent, persistent_bytes;
};
static inline struct ready_amount ready_amount_of(const struct msg *m)
{
    uint64_t persistent = (m->flags & MSG_PERSISTENT) != 0;
    return (struct ready_amount){1, m->body_len, persistent, -persistent & m->body_len};
}

static inline void ready_amount_add(struct ready_amount *sum, const struct msg *m)
{
    struct ready_amount a = ready_amount_of(m);
    sum->count += a.count;
    sum->bytes += a.bytes;
    sum->persistent += a.persistent;
    sum->persistent_bytes += a.persistent_bytes;
}

enum { READY_CHUNK_ENTRIES = 128 };

struct ready_chunk {
    struct ready_chunk *next; /* in the pool */
    struct sequence *home;
    struct expiry *expiry; /* the index it is in, NULL = none */
    uint32_t place;        /* in the index */
    uint32_t head, tail, holes;
    uint32_t end;     /* nothing is added from here on */
    bool returned;    /* has messages that were given back: others may still be, within its range */
    uint64_t bytes;   /* of bodies added at the back, also of those that left */
    uint64_t limit;   /* of these bytes: then it is full */
    uint64_t counted; /* of them, those in the pool's count */
    struct ready_entry entries[READY_CHUNK_ENTRIES];
};

/* How much of a queue stays in memory. */
struct paging_limits {
    uint32_t window; /* messages of a queue; and */
    uint64_t window_bytes;
    uint64_t chunk_bytes; /* of bodies: then a chunk is full */
    uint32_t portion;     /* messages of a read; or */
    uint64_t portion_bytes;
    uint32_t extent;          /* messages of an extent in which some expire */
    uint64_t shard_bytes;     /* about, over all queues of the shard: beyond, windows are small, far
                                 below, they are wide */
    uint64_t transient_bytes; /* the same for queues that store nothing; below half of that nothing
                                 of theirs leaves */
    uint32_t letters;         /* of which it is known who has them (letters.h) */
    uint64_t passing_bytes;   /* of publishes on their way through a deduplicating exchange */
    uint64_t recall_bytes;    /* of publishes that wait for a start's reads (recall.h) */
    uint64_t pace_bytes;      /* of a queue that has a pace (pace.h); and */
    uint32_t pace_ahead;
};

/* Spare chunks and what the chunks in use hold, one a shard. */
struct ready_pool {
    struct ready_chunk *free;
    unsigned count;
    const struct paging_limits *limits; /* NULL: all stays in memory */
    uint64_t used;                      /* chunks in use */
    uint64_t bytes; /* of messages in those that are full, and of those read ahead (ahead.h) */
};

/* What all queues of the shard have in memory. */
static inline uint64_t ready_pool_held(const struct ready_pool *pool)
{
    return pool->bytes + pool->used * sizeof(struct ready_chunk);
}

struct sequence {
    struct ready_chunk *first, *last;
    struct ready_chunk **chunks; /* all, from at; NULL while there never was more than one */
    uint32_t at, count, cap;
    struct backlog *backlog; /* what follows; NULL: nothing */
};

void ready_pool_fini(struct ready_pool *pool);
void ready_chunk_put(struct ready_pool *pool, struct ready_chunk *c);

/* A chunk with room at the back. */
struct ready_chunk *sequence_extend(struct sequence *s, struct ready_pool *pool);
/* The first chunk has nothing left. */
void sequence_drop_first(struct sequence *s, struct ready_pool *pool);
/* Puts an entry where its number belongs; the chunk it went to. */
struct ready_chunk *sequence_insert(struct sequence *s, struct ready_pool *pool,
                                    const struct ready_entry *entry);
/* After holes were made in a chunk, with its counts as ready_expire leaves them: drops it if
 * nothing is left, joins it with a neighbour if little is. */
void sequence_tidy(struct sequence *s, struct ready_pool *pool, struct ready_chunk *c);
/* Front and back of a chunk that has holes. */
void ready_chunk_trim(struct ready_chunk *c);
/* Takes chunk i out; the caller has it now. */
struct ready_chunk *sequence_take(struct sequence *s, uint32_t i);
/* Puts a chunk behind all others. */
void sequence_append(struct sequence *s, struct ready_chunk *c);

static inline struct ready_chunk *sequence_at(const struct sequence *s, uint32_t i)
{
    return s->chunks ? s->chunks[s->at + i] : s->first;
}

/* The number must be above all others. */
static inline struct ready_chunk *sequence_push(struct sequence *s, struct ready_pool *pool,
                                                const struct ready_entry *entry)
{
    struct ready_chunk *c = s->last;
    if (!c || c->tail >= c->end)
        c = sequence_extend(s, pool);
    c->entries[c->tail++] = *entry;
    c->bytes += entry->msg->body_len;
    if (c->bytes >= c->limit)
        c->end = c->tail;
    return c;
}

/* Nothing is added to it any more, but what is given back. */
static inline bool ready_chunk_is_full(const struct ready_chunk *c)
{
    return c->tail >= c->end;
}

/* Messages of a backlog have left the caches: those soon to be sent are fetched ahead. */
static inline void ready_chunk_fetch(const struct ready_chunk *c)
{
    enum { AHEAD = 6, LINE = 64 };
    if (c->head + AHEAD >= c->tail)
        return;
    const char *msg = (const char *)c->entries[c->head + AHEAD].msg;
    __builtin_prefetch(msg);
    __builtin_prefetch(msg + LINE);
    __builtin_prefetch(msg + 2 * (size_t)LINE);
}

/* The sequence must not be empty. */
static inline void sequence_pop(struct sequence *s, struct ready_pool *pool,
                                struct ready_entry *ret_entry)
{
    struct ready_chunk *c = s->first;
    *ret_entry = c->entries[c->head++];
    ready_chunk_fetch(c);
    if (c->holes)
        ready_chunk_trim(c);
    if (c->head == c->tail)
        sequence_drop_first(s, pool);
}

#endif
