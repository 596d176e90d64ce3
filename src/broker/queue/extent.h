/* What of a queue is not in memory: extents, runs of messages whose entries are in the store alone.
 * Every message of a level whose number lies within an extent belongs to it: consumers hold none of
 * them, for they get messages only from in front of the first extent. Private to this folder. */
#ifndef BROKER_QUEUE_EXTENT_H
#define BROKER_QUEUE_EXTENT_H

#include "broker/queue/due.h"

#define EXTENT_UNKNOWN UINT64_MAX

struct extent {
    uint64_t first, last;  /* all numbers are within these */
    uint64_t count, bytes; /* bytes of bodies */
    uint64_t expiry;       /* none expires before but those read ahead, 0 = none ever */
    uint64_t latest;       /* all have expired then, or EXTENT_UNKNOWN */
    uint64_t persistent, persistent_bytes;
    uint64_t last_expiry; /* the highest, of those that expire */
    bool ordered;         /* those that expire do so in the order of their numbers */
    bool fifo;            /* so do those in due, though others that were not left already */
    uint64_t losses;      /* struct paging's, when the last one left it that may not be in due */
    struct due *due; /* when each expires; then expiry is exact. NULL: it has to be read first */
};

/* What of a level lies behind the messages that are next: extents in order, then what came last. */
struct backlog {
    struct extent *extents; /* from at */
    uint32_t at, count, cap;
    struct sequence tail;
};

static inline struct ready_amount extent_amount(const struct extent *x)
{
    return (struct ready_amount){x->count, x->bytes, x->persistent, x->persistent_bytes};
}

/* Over all levels of a queue. */
struct paged {
    uint64_t count, bytes;
    uint64_t persistent, persistent_bytes;
    uint64_t expiry; /* nothing is to be done for what expires there before, 0 = never */
    uint32_t levels; /* with a backlog */
};

static inline struct extent *backlog_at(const struct backlog *b, uint32_t i)
{
    return &b->extents[b->at + i];
}

/* An extent that has no messages yet. */
struct extent extent_empty(void);
/* One more message; numbers come in order. */
void extent_add(struct extent *x, const struct ready_entry *entry);
/* The one that was added last is in x->due too, if it expires. */
void extent_add_due(struct extent *x, const struct ready_entry *entry);
/* Sets expiry by x->due, after something left that; if that is empty, it goes. */
void extent_look_at_due(struct extent *x);

/* What was read of it: times as they were when it left, whatever the clocks say since. */
void extent_keep_times(const struct extent *x, struct ready_entry *entries, size_t count);

/* Behind the last, in front of the first: joined with it, unless that would make an extent of more
 * than limit messages some of which expire, or less would be known of when they do. The backlog has
 * x->due from then on. */
void backlog_append(struct backlog *b, const struct extent *x, uint32_t limit);
void backlog_prepend(struct backlog *b, const struct extent *x, uint32_t limit);
void backlog_insert(struct backlog *b, uint32_t i, const struct extent *x);
void backlog_remove(struct backlog *b, uint32_t i);
/* The first extent that ends at this number or later; count: none. */
uint32_t backlog_from(const struct backlog *b, uint64_t seq);
/* The extent that has this number; NULL: none. */
struct extent *backlog_find(const struct backlog *b, uint64_t seq);
void backlog_free(struct backlog **b);

#endif
