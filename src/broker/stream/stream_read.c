/* Deliveries: a reader takes what is committed from the tail, else from pages, which are asked for
 * ahead of need. */
#include "broker/stream/stream_priv.h"

#include "base/clock.h"
#include "base/mem.h"

enum { RETRY_MS = 1000 };

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

/* False: so much is on its way that this has to wait. */
static bool ask(struct stream_queue *q, uint64_t offset, struct segments_cursor cursor)
{
    if (is_asked(q, offset))
        return true;
    if (q->asked_count == STREAM_ASKED_MAX)
        return false;
    q->asked[q->asked_count++] = offset;
    struct partition_read read = {.offset = offset, .cursor = cursor};
    partition_read(q->log, &read, on_page);
    return true;
}

/* The one behind, while this is being read. */
static void ask_ahead(struct stream_queue *q, const struct stream_page *page)
{
    if (q->window.page_count < WINDOW_PAGES && page->next < partition_offsets(q->log).committed &&
        !window_has(&q->window, page->next) && !window_find_page(&q->window, page->next))
        ask(q, page->next, page->end);
}

void stream_leave_page(struct stream_reader *r)
{
    if (r->page)
        r->page->readers--;
    r->page = NULL;
}

/* True: the reader is in the page that has its next message, or there is none to wait for. */
static bool enter_page(struct stream_queue *q, struct stream_reader *r)
{
    struct segments_cursor cursor = {UINT64_MAX, 0};
    if (r->page)
        cursor = r->page->end;
    stream_leave_page(r);
    struct stream_page *page = window_find_page(&q->window, r->next);
    if (!page) {
        if (r->stuck)
            return false;
        r->waiting = true;
        r->queued = !ask(q, r->next, cursor);
        q->queued += r->queued;
        return false;
    }
    page->readers++;
    r->page = page;
    r->at = page_find(page, r->next);
    ask_ahead(q, page);
    return true;
}

/* Those that could not ask, in turn. */
static void let_ask(struct stream_queue *q)
{
    for (size_t i = 0; i < q->reader_cap && q->queued && q->asked_count < STREAM_ASKED_MAX; i++) {
        struct stream_reader *r = q->readers[q->turn++ % q->reader_cap];
        if (!r || !r->queued)
            continue;
        r->queued = r->waiting = false;
        q->queued--;
        stream_pump(q, r);
    }
}

static void try_again(struct stream_queue *q)
{
    if (!timer_is_set(&q->retry) && !q->dead)
        timer_set(&q->retry, RETRY_MS);
}

static void on_page(void *arg, struct partition_read *read)
{
    struct stream_queue *q = arg;
    uint64_t offset = read->offset, next = offset;
    for (size_t i = 0; i < q->asked_count; i++) {
        if (q->asked[i] == offset)
            q->asked[i--] = q->asked[--q->asked_count];
    }
    struct stream_page *page = window_find_page(&q->window, offset);
    if (!page)
        page = window_add_page(&q->window, offset, read);
    if (page) {
        page->readers++; /* it stays while they are served */
        offset = page->first;
        next = page->next;
    }
    for (size_t i = 0; i < q->reader_cap; i++) {
        struct stream_reader *r = q->readers[i];
        if (!r || !r->waiting || r->next < offset || (r->next >= next && r->next != read->offset))
            continue;
        q->queued -= r->queued;
        r->waiting = r->queued = false;
        r->stuck = !page;
        stream_pump(q, r);
    }
    if (page)
        page->readers--;
    else
        try_again(q);
    let_ask(q);
    window_sweep(&q->window, q->reader_count);
}

/* What could not be read may be there again: the error was of a moment, or what is behind the
 * damage is safe now. */
static void on_retry(struct timer *t)
{
    struct stream_queue *q = list_entry(t, struct stream_queue, retry);
    for (size_t i = 0; i < q->reader_cap; i++) {
        struct stream_reader *r = q->readers[i];
        if (r && r->stuck && r->seeking)
            stream_seek(q, r);
        if (r)
            r->stuck = false;
    }
    stream_pump_all(q);
}

void stream_read_init(struct stream_queue *q)
{
    timer_init(&q->retry, q->shard, on_retry);
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
    q->delivered++;
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

/* A reader that is full does not keep a page from others, if there are many. */
static void rest(struct stream_queue *q, struct stream_reader *r)
{
    if (!r->page || may_take(r) || q->window.page_count <= WINDOW_PAGES)
        return;
    stream_leave_page(r);
    window_sweep(&q->window, q->reader_count);
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
            stream_leave_page(r);
            uint64_t offset = r->next++;
            offer(q, r, window_get(&q->window, offset), offset);
        } else if ((r->page && r->next < r->page->next) || enter_page(q, r)) {
            take_from_page(q, r);
        } else {
            return;
        }
    }
    rest(q, r);
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
    r->stuck = read->failed;
    if (read->failed) {
        try_again(q);
        return;
    }
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
