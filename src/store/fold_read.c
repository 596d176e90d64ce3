/* Reading a page of a queue's level: blocks, the frozen and the active ring of both its runs,
 * merged by seq. Entries that are in the journal yet are chosen first and read together after. */
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_checkpoint.h"
#include "store/fold_message_table.h"
#include "store/fold_part.h"
#include "store/fold_queue.h"

#include <stdlib.h>

enum { SOURCES = 6, GAP_MAX = 4096, SPAN_MAX = 1 << 20 };

/* One ordered sequence of entries. */
struct source {
    const struct fold_run *run;
    bool there; /* seq and what follows are of the next entry */
    uint64_t seq;
    uint64_t id;
    uint64_t size;    /* about, with the body */
    struct slice raw; /* of a block */
    /* a ring */
    const struct fold_ring *ring;
    const struct fold_part *part;
    const struct fold_ranges *settled; /* by a newer part, may be NULL */
    uint32_t i;
    /* blocks */
    struct fold_blocks b;
    bool open;
    struct slice rest;
    unsigned position;
    struct fold_holes holes;
    struct buf scratch;
};

/* An entry of the page, before it is parsed. */
struct pick {
    size_t at;
    uint32_t len;
    bool lost;
    const struct fold_part *part; /* its bytes are to be fetched */
    struct fold_place place;
    struct fold_place head; /* len 0: it has its own */
    uint64_t seq;
    bool transient;
    bool by_id;
    struct fold_found found;
};

struct reading {
    struct fold *f;
    struct kv_txn *txn;
    const struct fold_query *query;
    uint64_t from, to; /* of what is being looked for */
    struct fold_page *page;
    const struct fold_replica *q;
    struct source sources[SOURCES];
    unsigned source_count;
    struct pick *picks;
    size_t pick_count, pick_cap;
    size_t bytes;
    uint64_t end; /* where it broke off */
    bool broken_off;
};

/* ---- sources ---- */

static void ring_next(struct source *s)
{
    for (s->there = false; s->i < s->ring->count; s->i++) {
        const struct fold_entry *e = fold_ring_at(s->ring, s->i);
        if (e->gone || (s->settled && fold_ranges_has(s->settled, e->seq)))
            continue;
        s->seq = e->seq;
        s->id = fold_entry_id(e);
        s->size = (uint64_t)e->len + (s->id ? e->body : e->next ? e->head_len : 0);
        s->there = true;
        return;
    }
}

static void lost_block(struct reading *r, struct source *s, const char *why)
{
    r->page->lost += s->b.good ? s->b.head.count : 1;
    fold_damage(r->f, r->q->id, s->run->number, s->b.first, why);
    s->rest = SLICE_EMPTY;
}

/* Begins with the block where b stands; false: there is none. */
static bool enter_block(struct reading *r, struct source *s)
{
    struct fold_range dead;
    enum kv_status status = KV_OK;
    bool good, any;
    while (s->b.here && fold_ranges_find(&s->run->dead, s->b.first, &dead) &&
           dead.first <= s->b.first && status == KV_OK) {
        s->b.here = dead.last != UINT64_MAX;
        status = s->b.here ? fold_blocks_at(&s->b, dead.last + 1) : KV_NONE;
    }
    if (!s->b.here || s->b.first > r->to)
        return false;
    s->position = 0;
    status = fold_blocks_entries(&s->b, &s->scratch, &s->rest, &good);
    if (status != KV_OK)
        return false;
    if (!good)
        lost_block(r, s, s->b.good ? "its checksum is wrong" : "its head is");
    memset(&s->holes, 0, sizeof s->holes);
    if (s->run->stored.holes)
        fold_holes_get(r->txn, r->q->id, s->run->number, s->b.first, &s->holes, &any);
    return true;
}

static bool is_settled(const struct source *s, uint64_t seq)
{
    return fold_ranges_has(&s->run->settled[0], seq) || fold_ranges_has(&s->run->settled[1], seq);
}

/* The next entry of the block; false: there is no further one. */
static bool block_entry(struct reading *r, struct source *s)
{
    struct entry e;
    while (s->rest.len && s->position < s->b.head.count) {
        struct slice before = s->rest;
        unsigned position = s->position++;
        if (!record_get_entry(&s->rest, &e)) {
            lost_block(r, s, "an entry cannot be parsed");
            return false;
        }
        if (e.seq < r->from || fold_holes_has(&s->holes, position) || is_settled(s, e.seq))
            continue;
        s->seq = e.seq;
        s->id = e.id;
        s->raw = slice_of(before.data, before.len - s->rest.len);
        s->size = s->raw.len + (e.id ? e.body_len : 0);
        s->there = true;
        return true;
    }
    return false;
}

static void blocks_next(struct reading *r, struct source *s)
{
    s->there = false;
    while (s->b.here && !block_entry(r, s)) {
        if (fold_blocks_next(&s->b) != KV_OK || !enter_block(r, s))
            s->b.here = false;
    }
}

static void source_next(struct reading *r, struct source *s)
{
    if (s->ring) {
        s->i++;
        ring_next(s);
    } else {
        blocks_next(r, s);
    }
}

static void add_ring(struct reading *r, const struct fold_run *run, unsigned part)
{
    if (!run->ring[part].live)
        return;
    struct source *s = &r->sources[r->source_count++];
    *s = (struct source){.run = run, .ring = &run->ring[part], .part = &r->f->parts[part]};
    if (part != r->f->active)
        s->settled = &run->settled[r->f->active];
    s->i = fold_ring_find(s->ring, r->from);
    ring_next(s);
}

static void add_blocks(struct reading *r, const struct fold_run *run)
{
    if (!run->stored.count || run->stored.end <= r->from)
        return;
    struct source *s = &r->sources[r->source_count++];
    *s = (struct source){.run = run};
    s->open = fold_blocks_open(&s->b, r->txn, r->q->id, run->number) == KV_OK;
    if (!s->open || fold_blocks_seek(&s->b, r->from) != KV_OK || !enter_block(r, s))
        s->b.here = false;
    blocks_next(r, s);
}

static void open_sources(struct reading *r)
{
    for (unsigned number = r->query->level * 2u; number < r->query->level * 2u + 2; number++) {
        const struct fold_run *run = fold_find_run(r->q, number);
        if (!run)
            continue;
        add_blocks(r, run);
        add_ring(r, run, 1 - r->f->active);
        add_ring(r, run, r->f->active);
    }
}

static void close_sources(struct reading *r)
{
    for (unsigned i = 0; i < r->source_count; i++) {
        if (r->sources[i].open)
            fold_blocks_close(&r->sources[i].b);
        buf_fini(&r->sources[i].scratch);
    }
    r->source_count = 0;
}

/* ---- choosing ---- */

static struct source *lowest(struct reading *r)
{
    struct source *best = NULL;
    for (unsigned i = 0; i < r->source_count; i++) {
        struct source *s = &r->sources[i];
        if (s->there && s->seq <= r->to && (!best || s->seq < best->seq))
            best = s;
    }
    return best;
}

static void choose(struct reading *r, const struct source *s)
{
    struct buf *out = &r->page->bytes;
    MEM_GROW(r->picks, r->pick_cap, r->pick_count + 1);
    struct pick *p = &r->picks[r->pick_count++];
    *p = (struct pick){.at = out->len, .by_id = s->id != 0};
    r->bytes += s->size;
    if (s->ring) {
        const struct fold_entry *e = fold_ring_at(s->ring, s->i);
        p->part = s->part;
        p->place = (struct fold_place){.offset = e->offset, .len = e->len, .slot = e->slot};
        p->len = e->len;
        p->seq = e->seq;
        p->transient = s->run->number % 2;
        if (e->next)
            p->head = (struct fold_place){.offset = e->head, .len = e->head_len, .slot = e->slot};
        size_t room = e->len + (e->next ? e->head_len + RECORD_EXPAND : 0);
        buf_reserve(out, room);
        out->len += room;
    } else {
        p->len = (uint32_t)s->raw.len;
        buf_append_slice(out, s->raw);
    }
}

static void choose_all(struct reading *r)
{
    struct source *s;
    uint64_t before = 0;
    while ((s = lowest(r))) {
        bool again = r->pick_count && s->seq == before;
        if (!again && r->pick_count &&
            (r->pick_count >= r->query->max_count || r->bytes + s->size > r->query->max_bytes)) {
            r->broken_off = true;
            r->end = s->seq;
            return;
        }
        if (!again)
            choose(r, s);
        before = s->seq;
        source_next(r, s);
    }
}

static void choose_between(struct reading *r, uint64_t from, uint64_t to)
{
    r->from = from;
    r->to = to;
    open_sources(r);
    choose_all(r);
    close_sources(r);
}

/* Nothing of its block is that high. */
static bool is_behind(const struct source *s, uint64_t seq)
{
    return s->b.here && s->b.good && s->b.head.last < seq;
}

/* The source stands at its first entry from r->from on. The next block is tried first. */
static void seek_forward(struct reading *r, struct source *s)
{
    if (s->there && s->seq >= r->from)
        return;
    if (s->ring) {
        s->i = fold_ring_find(s->ring, r->from);
        ring_next(s);
        return;
    }
    if (is_behind(s, r->from)) {
        enum kv_status status = fold_blocks_next(&s->b);
        if (status == KV_OK && is_behind(s, r->from))
            status = fold_blocks_seek(&s->b, r->from);
        if (status != KV_OK || !enter_block(r, s))
            s->b.here = false;
    }
    blocks_next(r, s);
}

/* The entry is of the first source that has it. False: there is no room for it. */
static bool choose_one(struct reading *r, uint64_t seq)
{
    for (unsigned i = 0; i < r->source_count; i++) {
        struct source *s = &r->sources[i];
        seek_forward(r, s);
        if (!s->there || s->seq != seq)
            continue;
        if (r->pick_count && r->bytes + s->size > r->query->max_bytes)
            return false;
        choose(r, s);
        return true;
    }
    return true;
}

/* Sources only go on: of what is wanted much lies side by side. */
static void choose_wanted(struct reading *r)
{
    const struct fold_query *query = r->query;
    r->from = query->seqs[0];
    r->to = query->to;
    open_sources(r);
    for (uint32_t i = 0; i < query->seq_count && query->seqs[i] <= query->to; i++) {
        r->from = query->seqs[i];
        if (r->pick_count < query->max_count && choose_one(r, r->from))
            continue;
        r->broken_off = true;
        r->end = r->from;
        break;
    }
    close_sources(r);
}

/* ---- the journal ---- */

/* Picks from i on that lie together; returns behind the last. */
static size_t span(const struct reading *r, size_t i, uint32_t *ret_len)
{
    const struct pick *first = &r->picks[i];
    uint64_t end = (uint64_t)first->place.offset + first->place.len;
    while (++i < r->pick_count) {
        const struct pick *next = &r->picks[i];
        if (next->part != first->part || next->place.slot != first->place.slot ||
            next->place.offset < end || next->place.offset > end + GAP_MAX ||
            next->place.offset + next->place.len - first->place.offset > SPAN_MAX)
            break;
        end = (uint64_t)next->place.offset + next->place.len;
    }
    *ret_len = (uint32_t)(end - first->place.offset);
    return i;
}

/* The head that picks of one unit share. */
struct head {
    const struct fold_part *part;
    struct fold_place place;
    struct buf bytes;
    bool good;
};

static void get_head(struct reading *r, struct head *h, const struct pick *p)
{
    if (h->part == p->part && h->place.slot == p->head.slot && h->place.offset == p->head.offset)
        return;
    h->part = p->part;
    h->place = p->head;
    buf_clear(&h->bytes);
    h->good = fold_fetch(r->f, p->part, p->head, buf_reserve(&h->bytes, p->head.len));
}

/* bytes: what the journal has at its place. */
static void fill_pick(struct reading *r, struct head *h, struct pick *p, const uint8_t *bytes)
{
    uint8_t *out = r->page->bytes.data + p->at;
    if (!p->head.len) {
        memcpy(out, bytes, p->len);
        return;
    }
    get_head(r, h, p);
    p->len = !h->good ? 0
                      : (uint32_t)record_expand(out, p->seq, r->query->level, p->transient,
                                                slice_of(h->bytes.data, p->head.len),
                                                slice_of(bytes, p->len));
    p->lost = !p->len;
}

static void fetch_all(struct reading *r)
{
    struct buf room = BUF_INIT;
    struct head head = {0};
    uint32_t len;
    for (size_t i = 0; i < r->pick_count;) {
        const struct pick *first = &r->picks[i];
        if (!first->part) {
            i++;
            continue;
        }
        size_t end = span(r, i, &len);
        buf_clear(&room);
        uint8_t *p = buf_reserve(&room, len);
        struct fold_place place = first->place;
        place.len = len;
        bool good = fold_fetch(r->f, first->part, place, p);
        for (; i < end; i++) {
            struct pick *pick = &r->picks[i];
            pick->lost = !good;
            if (good)
                fill_pick(r, &head, pick, p + (pick->place.offset - place.offset));
        }
    }
    buf_fini(&head.bytes);
    buf_fini(&room);
}

/* ---- entries of the page ---- */

static bool parse(const struct reading *r, const struct pick *p, struct entry *ret_entry)
{
    struct slice raw = slice_of(r->page->bytes.data + p->at, p->len);
    return !p->lost && record_get_entry(&raw, ret_entry);
}

/* Contents of messages stored once, behind all the rest. */
static void fetch_messages(struct reading *r)
{
    for (size_t i = 0; i < r->pick_count; i++) {
        struct pick *p = &r->picks[i];
        struct entry e;
        if (!p->by_id || p->lost)
            continue;
        p->lost =
            !parse(r, p, &e) || !fold_message_read(r->f, r->txn, e.id, &r->page->bytes, &p->found);
    }
}

static void fill_content(const struct reading *r, const struct pick *p, struct entry *e)
{
    const uint8_t *bytes = r->page->bytes.data;
    struct slice head = slice_of(bytes + p->found.head, p->found.head_len);
    struct record m;
    if (!record_get(&head, &m) || m.kind != RECORD_MESSAGE)
        return;
    e->content = m.entry.content;
    e->content.body = slice_of(bytes + p->found.body, p->found.body_len);
}

/* Counts of a run in the database, walked along with the entries. */
struct counting {
    struct kv_cursor *cursor;
    struct fold_key prefix;
    uint64_t seq;
    uint32_t count;
    bool there;
};

static void counting_take(struct counting *c, enum kv_status status, struct slice key,
                          struct slice value)
{
    struct slice payload;
    uint64_t count;
    c->there = status == KV_OK && key.len == FOLD_COUNT_KEY &&
               slice_starts(key, fold_key_slice(&c->prefix));
    if (!c->there)
        return;
    c->seq = wire_load_u64(key.data + FOLD_RUN_KEY);
    c->count =
        fold_unseal(value, &payload) && record_get_varint(&payload, &count) ? (uint32_t)count : 1;
}

static void counting_open(struct counting *c, struct reading *r, unsigned transient)
{
    struct slice key = SLICE_EMPTY, value = SLICE_EMPTY;
    c->cursor = NULL;
    c->there = false;
    c->prefix.len = 0;
    if (!r->q->counts_stored || kv_cursor_open(r->txn, KV_COUNTS, &c->cursor) != KV_OK)
        return;
    fold_key_run(&c->prefix, r->q->id, (uint16_t)(r->query->level * 2u + transient));
    struct fold_key k = {0};
    fold_key_bytes(&k, fold_key_slice(&c->prefix));
    fold_key_u64(&k, r->query->from);
    counting_take(c, kv_seek(c->cursor, fold_key_slice(&k), &key, &value), key, value);
}

static uint32_t counting_get(struct counting *c, uint64_t seq)
{
    struct slice key = SLICE_EMPTY, value = SLICE_EMPTY;
    while (c->there && c->seq < seq)
        counting_take(c, kv_next(c->cursor, &key, &value), key, value);
    return c->there && c->seq == seq ? c->count : 0;
}

static uint32_t count_of(const struct reading *r, struct counting *c, const struct entry *e)
{
    uint32_t counts[] = {fold_counts_get(&r->q->counts[0], e->level, e->seq),
                         fold_counts_get(&r->q->counts[1], e->level, e->seq),
                         counting_get(&c[e->transient], e->seq)};
    uint32_t count = e->count;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        count = counts[i] > count ? counts[i] : count;
    return count;
}

static void make_entries(struct reading *r)
{
    struct fold_page *page = r->page;
    struct counting counting[2];
    if (page->cap < r->pick_count) {
        page->cap = r->pick_count;
        page->entries = mem_realloc(page->entries, page->cap * sizeof *page->entries);
        page->redelivered = mem_realloc(page->redelivered, page->cap * sizeof *page->redelivered);
    }
    for (unsigned transient = 0; transient < 2; transient++)
        counting_open(&counting[transient], r, transient);
    for (size_t i = 0; i < r->pick_count; i++) {
        const struct pick *p = &r->picks[i];
        struct entry *e = &page->entries[page->count];
        if (!parse(r, p, e)) {
            page->lost++;
            fold_report(r->f, r->q->id, "a message cannot be read; it is left out");
            continue;
        }
        if (e->id)
            fill_content(r, p, e);
        e->count = count_of(r, counting, e);
        page->redelivered[page->count++] = e->count || e->seq < r->q->redelivered_below;
    }
    for (unsigned transient = 0; transient < 2; transient++)
        kv_cursor_close(&counting[transient].cursor);
}

void fold_read(struct fold *f, const struct fold_query *query, struct fold_page *page)
{
    struct reading r = {.f = f, .query = query, .page = page};
    page->count = 0;
    page->lost = 0;
    page->next = query->to == UINT64_MAX ? UINT64_MAX : query->to + 1;
    buf_clear(&page->bytes);
    if (query->from > query->to)
        return;
    if (fold_begin_read(f, &r.txn) != KV_OK) {
        fold_report(f, query->queue, kv_error(f->kv));
        return;
    }
    r.q = hash_find(&f->queues, slice_of(&query->queue, sizeof query->queue));
    if (r.q && !r.q->dropped) {
        if (query->seqs)
            choose_wanted(&r);
        else
            choose_between(&r, query->from, query->to);
        fetch_all(&r);
        fetch_messages(&r);
        make_entries(&r);
        if (r.broken_off)
            page->next = r.end;
    }
    fold_end_read(f, &r.txn);
    free(r.picks);
}

void fold_page_fini(struct fold_page *page)
{
    free(page->entries);
    free(page->redelivered);
    buf_fini(&page->bytes);
    *page = (struct fold_page){0};
}
