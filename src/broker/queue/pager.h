/* Reads of a shard's queues from the store: pages of what they keep there alone. */
#ifndef BROKER_QUEUE_PAGER_H
#define BROKER_QUEUE_PAGER_H

#include "base/clock.h"
#include "broker/queue/queue.h"
#include "store/store.h"

extern const struct paging_limits pager_limits;

/* One a shard. */
struct pager {
    struct store_log *log;
    struct clock_wall *wall; /* the recorder's */
    struct list reads;       /* under way */
    struct ready_entry *entries;
    size_t cap;
    uint64_t kept_bytes; /* of publishes that wait for reads (recall.h) */
};

enum { PAGE_MARKS = 16 };

/* What gets the answers for a queue. Of what went to the end of its extents lately it knows how
 * much of the log an answer has to see, number by number: the first of a long backlog can be read
 * while the store still takes the last. */
struct page_reader {
    struct pager *pager;
    struct list reads;
    uint64_t queue; /* id */
    uint64_t mark;  /* what answers have to see of the log, */
    uint64_t ends;  /* and those to questions that do not name their messages */
    struct page_mark {
        uint64_t last; /* numbers up to here, above those of the mark before */
        uint64_t mark;
    } marks[PAGE_MARKS];
    unsigned mark_count;
    uint64_t lsn; /* the same of other shards' commits */
    /* The messages are the receiver's, the array is not. */
    void (*on_page)(struct page_reader *reader, const struct page_answer *answer);
};

void pager_init(struct pager *p, struct store_log *log, struct clock_wall *wall);
/* From a time of day to one of the queue's clock. */
uint64_t pager_local_expiry(struct pager *p, uint64_t expiry, uint64_t now_ms);
/* Cancels what is under way. */
void pager_fini(struct pager *p);

void page_reader_init(struct page_reader *r, struct pager *p, uint64_t queue,
                      void (*on_page)(struct page_reader *, const struct page_answer *));
/* Nothing is answered any more. */
void page_reader_fini(struct page_reader *r);
/* Later answers see what the log's buffer has by now. */
void page_reader_mark(struct page_reader *r);
/* The same, but only where messages are not asked for by their numbers: some have left. */
void page_reader_mark_ends(struct page_reader *r);
/* The same, but only those that have one of these numbers, which were put behind all others. */
void page_reader_mark_tail(struct page_reader *r, const struct seq_range *range);
/* Later answers see all transactions that are known to be committed. */
void page_reader_mark_commits(struct page_reader *r);
/* May answer fewer than are asked for, then with a next within the range. */
void page_reader_ask(struct page_reader *r, const struct page_request *request);

#endif
