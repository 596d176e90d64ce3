/* One by one, what waits for its time in a queue or a delay line: listed in pages, cancelled by its
 * number. What is in the store alone is read for it. */
#ifndef BROKER_QUEUE_WAITING_H
#define BROKER_QUEUE_WAITING_H

#include "base/err.h"
#include "base/slice.h"
#include "shard/op.h"

#include <stdbool.h>

enum { WAITING_PAGE = 100 };

struct waiting_message {
    uint64_t id;     /* its number there; it has another one whenever it comes to wait again */
    uint64_t due_ms; /* until it is ready */
    uint64_t size;   /* of the body */
    uint32_t delivery_count;
    bool persistent;
    struct slice exchange, key; /* as it was published; owned */
};
struct waiting_page {
    uint64_t next; /* id to go on with; 0: that was all */
    unsigned count;
    struct waiting_message messages[WAITING_PAGE];
};
void waiting_page_free(struct waiting_page **page);
/* WAITING_PAGE: owns the page. */
struct op_waiting {
    struct waiting_page *page;
};
void waiting_release_page(struct op *op);

#endif
