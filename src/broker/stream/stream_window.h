/* Which messages of a stream are in memory: the tail, as it was published, and pages that were read
 * from its files; shared by all its readers. What nobody reads is not kept.
 *
 * Invariant: a message that is handed out bears its offset in the header x-stream-offset. */
#ifndef BROKER_STREAM_STREAM_WINDOW_H
#define BROKER_STREAM_STREAM_WINDOW_H

#include "base/list.h"
#include "broker/msg.h"
#include "partition/partition.h"

/* PAGES: more only while readers that may have more are in them. */
enum { WINDOW_TAIL_BYTES = 4 << 20, WINDOW_TAIL_MESSAGES = 1 << 16, WINDOW_PAGES = 64 };

struct page_entry {
    uint64_t offset;
    uint32_t at, len; /* in the page's bytes */
    uint32_t batch;
    struct msg *msg; /* NULL: was not asked for yet */
};

struct page_batch {
    uint32_t end; /* entries below are its, or of those before */
    bool unfiltered;
    struct slice filter;
};

struct stream_page {
    struct list link;
    uint32_t readers;
    uint64_t first, next; /* all entries from first up to next are in it, as far as they exist */
    struct buf bytes;
    struct page_entry *entries;
    size_t count, cap;
    struct page_batch *batches;
    size_t batch_count, batch_cap;
    struct segments_cursor end; /* where the next one begins */
};

struct tail_entry {
    struct msg *msg;
    bool marked; /* bears its offset */
};

struct stream_window {
    struct tail_entry *tail; /* by offset, cap a power of two */
    size_t cap;
    uint64_t tail_first, tail_next;
    uint64_t tail_bytes;
    struct list pages; /* the newest last */
    size_t page_count;
    struct buf scratch;
};

void window_init(struct stream_window *w);
void window_fini(struct stream_window *w);

/* The message with the next offset, one reference; if it does not follow the tail, that is begun
 * anew. */
void window_add(struct stream_window *w, uint64_t offset, struct msg *msg);
/* Those below are not needed any more. */
void window_trim(struct stream_window *w, uint64_t offset);
static inline bool window_has(const struct stream_window *w, uint64_t offset)
{
    return offset >= w->tail_first && offset < w->tail_next;
}
/* Of one that it has; borrowed. */
struct msg *window_get(struct stream_window *w, uint64_t offset);

/* What was read from offset on, until the page is dropped. Takes the batches. NULL: nothing. */
struct stream_page *window_add_page(struct stream_window *w, uint64_t offset,
                                    struct partition_read *read);
/* NULL: not in memory. */
struct stream_page *window_find_page(const struct stream_window *w, uint64_t offset);
/* The first entry of an offset not below. */
size_t page_find(const struct stream_page *page, uint64_t offset);
/* Borrowed. */
struct msg *page_get(struct stream_window *w, struct stream_page *page, size_t n);
/* Drops pages that nobody reads, but for the last ones if there are readers. */
void window_sweep(struct stream_window *w, size_t readers);

/* A message as an entry of the log, and its size. */
size_t stream_entry_size(const struct msg *msg);
void stream_entry_put(uint8_t *to, const struct msg *msg);

#endif
