/* A read outlives its queue if that goes meanwhile: then its answer is dropped. */
#include "broker/queue/pager.h"

#include "base/mem.h"
#include "broker/limits.h"
#include "broker/msg.h"

#include <stdlib.h>
#include <string.h>

const struct paging_limits pager_limits = {.window = READY_WINDOW,
                                           .window_bytes = READY_WINDOW_BYTES,
                                           .chunk_bytes = READY_CHUNK_BYTES,
                                           .portion = READY_PORTION,
                                           .portion_bytes = READY_PORTION_BYTES,
                                           .extent = READY_EXTENT,
                                           .shard_bytes = READY_SHARD_BYTES,
                                           .transient_bytes = READY_TRANSIENT_BYTES,
                                           .letters = LETTERS_KNOWN,
                                           .passing_bytes = PASSING_BYTES,
                                           .recall_bytes = READY_RECALL_BYTES,
                                           .pace_bytes = PACE_BYTES,
                                           .pace_ahead = PACE_AHEAD};

struct page_read {
    struct store_read read;
    struct pager *pager;
    struct list all;            /* in the pager */
    struct list mine;           /* in the reader */
    struct page_reader *reader; /* NULL: gone */
    uint64_t ticket;
    uint64_t seqs[];
};

void pager_init(struct pager *p, struct store_log *log, struct clock_wall *wall)
{
    *p = (struct pager){.log = log, .wall = wall};
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

uint64_t pager_local_expiry(struct pager *p, uint64_t expiry, uint64_t now)
{
    uint64_t offset = clock_wall_offset(p->wall, now);
    if (!expiry)
        return 0;
    return expiry > offset ? expiry - offset : 1;
}

static struct ready_entry entry_of(struct pager *p, const struct entry *e, bool redelivered,
                                   uint64_t now)
{
    struct msg *m = msg_from_content(&e->content);
    m->store_id = e->id;
    return (struct ready_entry){.msg = m,
                                .seq = e->seq,
                                .expiry = pager_local_expiry(p, e->expiry, now),
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
        uint64_t now = shard_now_ms(shard_self());
        MEM_GROW(p->entries, p->cap, page->count);
        for (size_t i = 0; i < page->count; i++)
            p->entries[i] = entry_of(p, &page->entries[i], page->redelivered[i], now);
        a.entries = p->entries;
        if (a.next > read->query.to)
            a.next = read->query.to + 1;
        r->reader->on_page(r->reader, &a);
    }
    read_free(r);
}

/* What came before stays below what comes later. */
void page_reader_mark(struct page_reader *r)
{
    r->mark = store_mark(r->pager->log);
    if (r->mark_count)
        r->marks[0] = (struct page_mark){r->marks[r->mark_count - 1].last, r->mark};
    r->mark_count = r->mark_count != 0;
}

void page_reader_mark_ends(struct page_reader *r)
{
    r->ends = store_mark(r->pager->log);
}

/* What the store knows anyway needs one mark; of two neighbours that it does not know yet the later
 * one tells of both. */
static void thin_out(struct page_reader *r)
{
    unsigned fed = 0, n;
    while (fed < r->mark_count && store_is_fed(r->pager->log, r->marks[fed].mark))
        fed++;
    if (fed > 1) {
        r->mark_count -= fed - 1;
        memmove(r->marks, r->marks + fed - 1, r->mark_count * sizeof *r->marks);
        return;
    }
    for (n = fed; 2 * n + 1 - fed < r->mark_count; n++)
        r->marks[n] = r->marks[2 * n + 1 - fed];
    if ((r->mark_count - fed) % 2)
        r->marks[n++] = r->marks[r->mark_count - 1];
    r->mark_count = n;
}

void page_reader_mark_tail(struct page_reader *r, const struct seq_range *range)
{
    uint64_t mark = store_mark(r->pager->log);
    if (r->mark_count && r->marks[r->mark_count - 1].last >= range->first) {
        page_reader_mark(r);
        if (r->marks[0].last < range->last)
            r->marks[0].last = range->last;
        return;
    }
    if (r->mark_count && r->marks[r->mark_count - 1].mark == mark) {
        r->marks[r->mark_count - 1].last = range->last;
        return;
    }
    if (r->mark_count == PAGE_MARKS)
        thin_out(r);
    r->marks[r->mark_count++] = (struct page_mark){range->last, mark};
}

void page_reader_mark_commits(struct page_reader *r)
{
    r->lsn = store_durable(r->pager->log);
}

/* What an answer from there on has to see, and up to which number it can then be given: as much as
 * the store knows already, or the least. */
static uint64_t mark_of(struct page_reader *r, uint64_t from, uint64_t *to)
{
    unsigned first = 0;
    while (first < r->mark_count && r->marks[first].last < from)
        first++;
    if (first == r->mark_count)
        return r->mark;
    unsigned i = first;
    while (i + 1 < r->mark_count && store_is_fed(r->pager->log, r->marks[i + 1].mark))
        i++;
    if (*to > r->marks[i].last)
        *to = r->marks[i].last;
    return r->marks[i].mark > r->mark ? r->marks[i].mark : r->mark;
}

void page_reader_ask(struct page_reader *reader, const struct page_request *request)
{
    struct page_read *r = mem_zalloc(sizeof *r + request->seq_count * sizeof *r->seqs);
    r->pager = reader->pager;
    r->reader = reader;
    r->ticket = request->ticket;
    r->read.fn = on_read;
    uint64_t to = request->to;
    r->read.lsn = reader->lsn;
    r->read.mark = mark_of(reader, request->from, &to);
    if (!request->seqs && r->read.mark < reader->ends)
        r->read.mark = reader->ends;
    r->read.query = (struct fold_query){.queue = reader->queue,
                                        .from = request->from,
                                        .to = to,
                                        .level = request->level,
                                        .max_count = request->max_count,
                                        .max_bytes = request->max_bytes,
                                        .seq_count = request->seq_count};
    if (request->seq_count) {
        memcpy(r->seqs, request->seqs, request->seq_count * sizeof *r->seqs);
        r->read.query.seqs = r->seqs;
    }
    list_append(&r->pager->reads, &r->all);
    list_append(&reader->reads, &r->mine);
    store_read(r->pager->log, &r->read);
}
