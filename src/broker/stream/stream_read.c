/* Deliveries: a reader takes what is committed from the tail, else from pages, which are asked for
 * ahead of need. */
#include "broker/stream/stream_priv.h"

#include "base/clock.h"
#include "base/mem.h"

static void on_page(void *arg, struct partition_read *read);

/* ---- pages ---- */

static bool is_asked(const struct stream_queue *q, uint64_t offset)
{
    for (size_t i = 0; i < q->asked_count; i++) {
        if (q->asked[i] == offset)
            return true;
    }
    return false;
}

static void ask(struct stream_queue *q, uint64_t offset, struct segments_cursor cursor)
{
    if (is_asked(q, offset))
        return;
    MEM_GROW(q->asked, q->asked_cap, q->asked_count + 1);
    q->asked[q->asked_count++] = offset;
    struct partition_read read = {.offset = offset, .cursor = cursor};
    partition_read(q->log, &read, on_page);
}

/* The one behind, while this is being read. */
static void ask_ahead(struct stream_queue *q, const struct stream_page *page)
{
    if (page->next < partition_offsets(q->log).committed && !window_has(&q->window, page->next) &&
        !window_find_page(&q->window, page->next))
        ask(q, page->next, page->end);
}

void stream_leave_page(struct stream_queue *q, struct stream_reader *r)
{
    (void)q;
    if (r->page)
        r->page->readers--;
    r->page = NULL;
}

/* True: the reader is in the page that has its next message, or there is none to wait for. */
static bool enter_page(struct stream_queue *q, struct stream_reader *r, uint64_t committed)
{
    struct segments_cursor cursor = {UINT64_MAX, 0};
    if (r->page)
        cursor = r->page->end;
    stream_leave_page(q, r);
    struct stream_page *page = window_find_page(&q->window, r->next);
    if (!page) {
        if (r->stuck != committed)
            ask(q, r->next, cursor);
        r->waiting = r->stuck != committed;
        return false;
    }
    page->readers++;
    r->page = page;
    r->at = page_find(page, r->next);
    ask_ahead(q, page);
    return true;
}

static void on_page(void *arg, struct partition_read *read)
{
    struct stream_queue *q = arg;
    uint64_t offset = read->offset, committed = partition_offsets(q->log).committed;
    for (size_t i = 0; i < q->asked_count; i++) {
        if (q->asked[i] == offset)
            q->asked[i--] = q->asked[--q->asked_count];
    }
    struct stream_page *page = window_add_page(&q->window, offset, read);
    for (size_t i = 0; i < q->reader_cap; i++) {
        struct stream_reader *r = q->readers[i];
        if (!r || !r->waiting || is_asked(q, r->next))
            continue;
        r->waiting = false;
        if (!page && r->next == offset)
            r->stuck = committed;
        stream_pump(q, r);
    }
    window_sweep(&q->window, 2 * (size_t)q->reader_count + 1);
}

/* ---- deliveries ---- */

static void deliver(struct stream_queue *q, struct stream_reader *r, struct msg *m, uint64_t offset)
{
    struct op op = {.to = r->request->channel, .kind = OP_DELIVER, .n = r->request->number};
    *op_body(&op, struct op_deliver) = (struct op_deliver){
        .msg = msg_ref_n(m, 1), .queue = q->def->addr, .seq = offset, .slot = stream_slot(r)};
    r->unacked++;
    r->window--;
    r->delivered++;
    post(&op);
}

static void offer(struct stream_queue *q, struct stream_reader *r, struct msg *m, uint64_t offset)
{
    struct slice value = SLICE_EMPTY;
    if (r->filter.on) {
        bool has = stream_filter_value(m, &value);
        if (!stream_filter_takes(&r->filter, has, value))
            return;
    }
    deliver(q, r, m, offset);
}

/* The next entry of the page that may be for the reader. */
static void take_from_page(struct stream_queue *q, struct stream_reader *r)
{
    struct stream_page *page = r->page;
    while (r->filter.on && r->at < page->count) {
        const struct page_batch *b = &page->batches[page->entries[r->at].batch];
        if (stream_filter_may_take(&r->filter, b->filter, b->unfiltered))
            break;
        r->at = b->end;
    }
    if (r->at >= page->count) {
        r->next = page->next;
        return;
    }
    uint64_t offset = page->entries[r->at].offset;
    struct msg *m = page_get(&q->window, page, r->at++);
    r->next = offset + 1;
    if (m)
        offer(q, r, m, offset);
}

static bool may_take(const struct stream_reader *r)
{
    return r->unacked < r->request->prefetch && r->window;
}

void stream_pump(struct stream_queue *q, struct stream_reader *r)
{
    struct partition_offsets o = partition_offsets(q->log);
    if (r->seeking || r->waiting)
        return;
    if (r->next < o.first)
        r->next = o.first;
    while (may_take(r) && r->next < o.committed) {
        if (window_has(&q->window, r->next)) {
            stream_leave_page(q, r);
            uint64_t offset = r->next++;
            offer(q, r, window_get(&q->window, offset), offset);
        } else if ((r->page && r->next < r->page->next) || enter_page(q, r, o.committed)) {
            take_from_page(q, r);
        } else {
            return;
        }
    }
}

/* What all readers have passed leaves memory. */
void stream_trim(struct stream_queue *q)
{
    uint64_t lowest = q->window.tail_next;
    for (size_t i = 0; i < q->reader_cap; i++) {
        const struct stream_reader *r = q->readers[i];
        if (r && r->next >= q->window.tail_first && r->next < lowest)
            lowest = r->next;
    }
    window_trim(&q->window, lowest);
}

void stream_pump_all(struct stream_queue *q)
{
    for (size_t i = 0; i < q->reader_cap; i++) {
        if (q->readers[i])
            stream_pump(q, q->readers[i]);
    }
    stream_trim(q);
}

/* ---- where to begin ---- */

/* Of all readers that asked for that time. */
static void on_located(void *arg, struct partition_read *read)
{
    struct stream_queue *q = arg;
    uint32_t slot = (uint32_t)read->cursor.position;
    struct stream_reader *r = stream_find_reader(q, slot & 0xffff, slot >> 16);
    if (!r || !r->seeking)
        return;
    r->seeking = false;
    r->next = r->began = read->offset;
    stream_pump(q, r);
}

void stream_seek(struct stream_queue *q, struct stream_reader *r)
{
    struct partition_offsets o = partition_offsets(q->log);
    uint64_t number;
    switch (stream_start(r->request->args, clock_wall_ms(), &number)) {
    case START_FIRST:
        r->next = o.first;
        break;
    case START_LAST:
        r->next = o.last;
        break;
    case START_NEXT:
        r->next = o.next;
        break;
    case START_OFFSET:
        r->next = number > o.first ? number : o.first;
        break;
    case START_TIME:
        r->seeking = true;
        partition_read(q->log,
                       &(struct partition_read){.offset = number,
                                                .by_time = true,
                                                .cursor = {.position = stream_slot(r)}},
                       on_located);
        return;
    }
    r->began = r->next;
}
