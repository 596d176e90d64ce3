/* The queues of a list that is sorted by virtual host and name, from shard 0, which has them
 * sorted: a page takes what it shows, however many are before and behind it, unless names are
 * filtered. */
#ifndef HTTP_BY_NAME_H
#define HTTP_BY_NAME_H

#include "http/bounds.h"
#include "meta/queue_walk.h"

struct asker;
struct filter;
struct visit;

struct by_name {
    struct queue_walk walk;
    const struct asker *asker;   /* borrowed */
    const struct filter *filter; /* borrowed */
    bool counts;                 /* a page: all are counted, */
    uint64_t skip;               /* and so many of those that pass come before it */
    size_t want;                 /* queues of the page; else of a portion */
    size_t total, matched;
    struct addr found[HTTP_PAGE_SIZE_MAX];
    size_t found_count, taken;
    bool over; /* there are none but those found */
    struct visit *visit;
};

/* asker and filter stay. page_size 0: all queues, a portion a run. */
struct by_name *by_name_new(const struct asker *asker, const struct filter *filter, bool backwards,
                            uint64_t skip, size_t page_size);
void by_name_free(struct by_name **by_name);
/* On shard 0, when all that was found is taken: true, if the page, or a portion, is found. */
bool by_name_run(struct by_name *by_name, struct visit *visit, struct shard *shard);
/* The next one that was found; false: there is none. */
bool by_name_take(struct by_name *by_name, struct addr *ret_queue);

#endif
