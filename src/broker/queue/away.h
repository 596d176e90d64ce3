/* What of a queue is not in memory, as counts: extents come, lose messages, and go. And what is
 * shared by those who read and drop them: paging.c what is next, overdue.c what expires. Private to
 * this folder. */
#ifndef BROKER_QUEUE_AWAY_H
#define BROKER_QUEUE_AWAY_H

#include "broker/queue/extent.h"
#include "broker/queue/queue_priv.h"

/* What expires within the first is known, and being read, by then, if there is room; the second is
 * how far it is looked ahead. */
enum { AWAY_LEAD_MS = 200, AWAY_AHEAD_MS = 1000 };
/* To look through an extent of which nothing is known takes that long, about. */
enum { AWAY_READS_A_MS = 100 };

/* Of two times, 0 = never. */
static inline uint64_t away_earlier(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

/* A message that is to be read since its time comes soon. */
struct wanted {
    uint64_t seq, expiry;
    uint32_t size; /* as in struct due_entry */
    bool gone;
    bool fifo; /* its extent is */
};

/* What waits for its time at this level leaves in the order of these times. */
static inline bool away_is_line(const struct queue *q, unsigned level)
{
    return ready_is_later(&q->ready, level) || (q->rules && q->rules->line);
}
static inline bool away_has_line(const struct queue *q)
{
    return q->ready.later || (q->rules && q->rules->line);
}
/* Which one that is. */
static inline unsigned away_line_level(const struct queue *q)
{
    return q->ready.later ? q->ready.later->level : 0;
}

/* ---- away.c ---- */
struct paging *away_paging(struct queue *q);
/* Bytes that queues of its kind may have in memory, over all of the shard. */
uint64_t away_limit(const struct queue *q, const struct paging_limits *l);
/* So long before they expire messages are asked for of which it is known when they do. */
static inline uint64_t away_lead(const struct queue *q)
{
    uint64_t half = q->paging->sweep.ms / 2;
    return half && half < AWAY_LEAD_MS ? half : AWAY_LEAD_MS;
}
/* When something has to be done for what expires there, 0 = never. */
uint64_t away_wake(const struct queue *q, const struct extent *x);
/* The extent is of the queue; it is not any more, or not like that. */
void away_count_in(struct queue *q, const struct extent *x);
void away_count_out(struct queue *q, const struct extent *x);
/* The level has extents from now on. */
void away_open(struct queue *q, struct sequence *s);
/* If no extents are left, the level is in memory again. */
void away_close(struct queue *q, unsigned level);
/* Takes the extent, and all in it, off the queue. */
void away_drop(struct queue *q, unsigned level, uint32_t i);
void away_drop_empty(struct queue *q, unsigned level);
/* A message of the extent is gone; size: as in struct due_entry. */
void away_lose(struct queue *q, unsigned level, struct extent *x, uint32_t size);
/* Part of the extent was read, all below next: what is left of it; the counts are put right. */
void away_shrink(struct queue *q, unsigned level, uint32_t i, const struct extent *part,
                 uint64_t next, struct queue_out *out);
/* Its numbers are being read from the first on: nothing of it may leave otherwise. */
bool away_is_being_read(const struct queue *q, unsigned level, const struct extent *x);

/* ---- paging.c ---- */
/* Asks for the first of the extent; index: to know when they expire, not to keep them. */
void paging_request(struct queue *q, unsigned level, const struct extent *x, bool index,
                    uint64_t now, struct queue_out *out);
/* Little is left in front of the extents. */
bool paging_is_hungry(const struct queue *q, const struct sequence *s,
                      const struct ready_pool *pool);

/* ---- overdue.c ---- */
/* Asks for what is needed for messages that expire; false: nothing. */
bool overdue_ask(struct queue *q, uint64_t now, struct queue_out *out);
/* Answers to that, of READ_INDEX and of READ_DUE. */
void overdue_take_index(struct queue *q, const struct page_answer *a, uint64_t now,
                        struct queue_out *out);
void overdue_take(struct queue *q, const struct page_answer *a, struct queue_out *out);
/* The level's messages with these numbers leave their extent, or are gone. */
void overdue_forget(struct queue *q, unsigned level, uint64_t first, uint64_t last);
/* The same of what a read found that began with the extent's first: part, all below next. */
void overdue_forget_read(struct queue *q, const struct extent *x, const struct extent *part,
                         uint64_t next);
/* Takes an extent off, unread. */
void overdue_drop(struct queue *q, unsigned level, uint32_t i, struct queue_out *out);
/* All of them are. */
void overdue_forget_all(struct paging *p);
/* One that was read ahead may leave at its time. */
bool overdue_may_go(const struct queue *q, const struct ready_entry *e);

/* ---- order.c ---- */
/* The extent is there. Where one goes, or what is known of it, order.stale is to be set. */
void order_note(struct queue *q, const struct extent *x);
/* The entry waits for nothing that is to be read; full: or not any more. */
bool order_lets_go(const struct queue *q, const struct ready_entry *e, bool full);
/* Of a line, nothing in memory goes before it. */
bool order_is_in_turn(const struct queue *q, const struct ready_entry *e);

#endif
