/* A read outlives its queue if that goes meanwhile: then its answer is dropped. */
#include "broker/queue/pager.h"

#include "base/clock.h"
#include "base/mem.h"
#include "broker/limits.h"
#include "broker/msg.h"

#include <stdlib.h>

const struct paging_limits pager_limits = {.window = READY_WINDOW,
                                           .window_bytes = READY_WINDOW_BYTES,
                                           .chunk_bytes = READY_CHUNK_BYTES,
                                           .portion = READY_PORTION,
                                           .portion_bytes = READY_PORTION_BYTES,
                                           .extent = READY_EXTENT,
                                           .shard_bytes = READY_SHARD_BYTES};

struct page_read {
    struct store_read read;
    struct pager *pager;
    struct list all;            /* in the pager */
    struct list mine;           /* in the reader */
    struct page_reader *reader; /* NULL: gone */
    uint64_t ticket;
};

void pager_init(struct pager *p, struct store_log *log)
{
    *p = (struct pager){.log = log};
    list_init(&p->reads);
}

static void read_free(struct page_read *r)
{
    list_remove(&r->all);
    list_remove(&r->mine);
    fold_page_fini(&r->read.page);
    free(r);
}

void pager_fini(struct pager *p)
{
    while (!list_empty(&p->reads)) {
        struct page_read *r = list_entry(p->reads.next, struct page_read, all);
        store_read_cancel(&r->read);
        read_free(r);
    }
    free(p->entries);
}

void page_reader_init(struct page_reader *r, struct pager *p, uint64_t queue,
                      void (*on_page)(struct page_reader *, const struct page_answer *))
{
    *r = (struct page_reader){.pager = p, .queue = queue, .on_page = on_page};
    list_init(&r->reads);
}

void page_reader_fini(struct page_reader *r)
{
    while (!list_empty(&r->reads)) {
        struct page_read *read = list_entry(r->reads.next, struct page_read, mine);
        list_remove(&read->mine);
        read->reader = NULL;
    }
}

uint64_t pager_local_expiry(uint64_t expiry, uint64_t wall, uint64_t now)
{
    if (!expiry)
        return 0;
    return expiry + now > wall ? expiry + now - wall : 1;
}

static struct ready_entry entry_of(const struct entry *e, bool redelivered, uint64_t wall,
                                   uint64_t now)
{
    struct msg *m = msg_from_content(&e->content);
    m->store_id = e->id;
    return (struct ready_entry){.msg = m,
                                .seq = e->seq,
                                .expiry = pager_local_expiry(e->expiry, wall, now),
                                .delivery_count = e->count,
                                .redelivered = redelivered};
}

static void on_read(struct store_read *read)
{
    struct page_read *r = list_entry(read, struct page_read, read);
    struct pager *p = r->pager;
    const struct fold_page *page = &read->page;
    if (r->reader) {
        struct page_answer a = {.ticket = r->ticket, .count = page->count, .next = page->next};
        uint64_t wall = clock_wall_ms(), now = shard_now_ms(shard_self());
        MEM_GROW(p->entries, p->cap, page->count);
        for (size_t i = 0; i < page->count; i++)
            p->entries[i] = entry_of(&page->entries[i], page->redelivered[i], wall, now);
        a.entries = p->entries;
        if (a.next > read->query.to)
            a.next = read->query.to + 1;
        r->reader->on_page(r->reader, &a);
    }
    read_free(r);
}

void page_reader_ask(struct page_reader *reader, const struct page_request *request)
{
    struct page_read *r = NEW(struct page_read);
    r->pager = reader->pager;
    r->reader = reader;
    r->ticket = request->ticket;
    r->read.fn = on_read;
    r->read.mark = reader->mark;
    r->read.query = (struct fold_query){.queue = reader->queue,
                                        .from = request->from,
                                        .to = request->to,
                                        .level = request->level,
                                        .max_count = request->max_count,
                                        .max_bytes = request->max_bytes};
    list_append(&r->pager->reads, &r->all);
    list_append(&reader->reads, &r->mine);
    store_read(r->pager->log, &r->read);
}
