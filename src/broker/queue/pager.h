/* Reads of a shard's queues from the store: pages of what they keep there alone. */
#ifndef BROKER_QUEUE_PAGER_H
#define BROKER_QUEUE_PAGER_H

#include "broker/queue/queue.h"
#include "store/store.h"

extern const struct paging_limits pager_limits;

/* One a shard. */
struct pager {
    struct store_log *log;
    struct list reads; /* under way */
    struct ready_entry *entries;
    size_t cap;
};

/* What gets the answers for a queue. */
struct page_reader {
    struct pager *pager;
    struct list reads;
    uint64_t queue; /* id */
    /* The messages are the receiver's, the array is not. */
    void (*on_page)(struct page_reader *reader, const struct page_answer *answer);
};

void pager_init(struct pager *p, struct store_log *log);
/* Cancels what is under way. */
void pager_fini(struct pager *p);

void page_reader_init(struct page_reader *r, struct pager *p, uint64_t queue,
                      void (*on_page)(struct page_reader *, const struct page_answer *));
/* Nothing is answered any more. */
void page_reader_fini(struct page_reader *r);
/* Everything the queue did must be in the log's buffer. */
void page_reader_ask(struct page_reader *r, const struct page_request *request);

#endif
