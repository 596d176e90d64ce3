/* What lives of the frozen part becomes blocks. Entries are read from the journal in the order in
 * which they lie there, in pieces as large as they lie together, a batch at a time; then they are
 * packed by queue, run and seq.
 *
 * As a rule a run's entries are behind all that is stored. Those that are not (of a transaction
 * that was committed late, of transient messages paged out in another order) go between the blocks,
 * or are packed anew with the entries of the block they fall into. */
#include "base/mem.h"
#include "store/fold_checkpoint.h"
#include "store/fold_queue.h"

#include <stdlib.h>

enum { GAP_MAX = 128, SPAN_MAX = 4 << 20 };

struct item {
    uint64_t seq;
    const uint8_t *data; /* NULL: could not be read */
    uint64_t at;         /* in the arena */
    uint32_t offset, len;
    uint16_t slot;
};

struct group {
    struct fold_replica *queue;
    struct fold_run *run;
    size_t first, count; /* of items */
};

struct batch {
    struct fold_txn *t;
    struct item *items;
    size_t count, cap;
    struct group *groups;
    size_t group_count, group_cap;
    uint32_t *order; /* by place */
    size_t bytes;
    uint8_t *arena;
};

struct packer {
    struct fold_txn *t;
    struct fold_replica *q;
    struct fold_run *run;
    struct fold_stored *s;
    struct fold_block_head head;
    uint64_t first;
    size_t len; /* of entries */
    uint8_t value[KV_VALUE_MAX];
};

/* ---- writing blocks ---- */

static void block_key(const struct packer *p, struct fold_key *k, uint64_t first, uint16_t part)
{
    k->len = 0;
    fold_key_run(k, p->q->id, p->run->number);
    fold_key_u64(k, first);
    fold_key_u16(k, part);
}

static void count_block(struct packer *p)
{
    struct fold_stored *s = p->s;
    if (!s->count || p->first < s->first)
        s->first = p->first;
    if (p->head.last >= s->end)
        s->end = p->head.last + 1;
    s->count += p->head.count;
    s->bytes += p->head.bytes;
}

static enum kv_status flush(struct packer *p)
{
    struct fold_key k;
    if (!p->head.count)
        return KV_OK;
    p->head.length = (uint32_t)p->len;
    fold_block_put_head(p->value, &p->head, p->len);
    count_block(p);
    block_key(p, &k, p->first, 0);
    size_t len = p->len + BLOCK_HEAD;
    p->head = (struct fold_block_head){0};
    p->len = 0;
    return kv_put(p->t->txn, KV_BLOCKS, fold_key_slice(&k), slice_of(p->value, len));
}

/* An entry of more than one value. */
static enum kv_status put_large(struct packer *p, struct slice raw)
{
    struct fold_key k;
    unsigned n = 0;
    size_t len = BLOCK_ROOM;
    p->head.length = (uint32_t)raw.len;
    memcpy(p->value + BLOCK_HEAD, raw.data, len);
    fold_block_put_head(p->value, &p->head, len);
    count_block(p);
    block_key(p, &k, p->first, 0);
    p->head = (struct fold_block_head){0};
    FOLD_TRY(kv_put(p->t->txn, KV_BLOCKS, fold_key_slice(&k), slice_of(p->value, KV_VALUE_MAX)));
    raw = slice_of(raw.data + len, raw.len - len);
    while (raw.len) {
        len = fold_block_put_part(p->value, raw);
        block_key(p, &k, p->first, (uint16_t)++n);
        FOLD_TRY(kv_put(p->t->txn, KV_BLOCKS, fold_key_slice(&k),
                        slice_of(p->value, len + BLOCK_PART_HEAD)));
        raw = slice_of(raw.data + len, raw.len - len);
    }
    return KV_OK;
}

static enum kv_status add(struct packer *p, const struct entry *e, struct slice raw)
{
    if (p->head.count && (p->len + raw.len > BLOCK_ROOM || p->head.count == UINT16_MAX))
        FOLD_TRY(flush(p));
    if (!p->head.count)
        p->first = e->seq;
    p->head.last = e->seq;
    p->head.count++;
    p->head.bytes += fold_body_size(e->body_len);
    p->head.flags |= e->id ? BLOCK_BY_ID : 0;
    if (e->expiry && (!p->s->expiry || e->expiry < p->s->expiry))
        p->s->expiry = e->expiry;
    if (raw.len > BLOCK_ROOM)
        return put_large(p, raw);
    memcpy(p->value + BLOCK_HEAD + p->len, raw.data, raw.len);
    p->len += raw.len;
    return KV_OK;
}

/* What the journal gave is looked at again: it was read long after it was written. */
static bool parse_item(struct packer *p, const struct item *item, struct entry *ret_entry)
{
    struct slice rest = slice_of(item->data, item->len);
    if (item->data && record_get_entry(&rest, ret_entry) && !rest.len &&
        ret_entry->seq == item->seq)
        return true;
    fold_report(p->t->f, p->q->id, "a message could not be read back from the journal; it is lost");
    return false;
}

static enum kv_status add_item(struct packer *p, const struct item *item)
{
    struct entry e;
    if (!parse_item(p, item, &e))
        return KV_OK;
    return add(p, &e, slice_of(item->data, item->len));
}

/* ---- between the blocks ---- */

/* A block's living entries, copied out of the table. */
struct old {
    struct buf bytes;
    struct slice rest;
    struct entry next;
    struct slice raw; /* of next; empty: no more */
};

static void old_step(struct old *o)
{
    struct slice before = o->rest;
    o->raw = SLICE_EMPTY;
    if (o->rest.len && record_get_entry(&o->rest, &o->next))
        o->raw = slice_of(before.data, before.len - o->rest.len);
}

/* Takes the block where b stands out of the table. *ret_good false: it is damaged and stays. */
static enum kv_status take_block(struct packer *p, struct fold_blocks *b, struct old *o,
                                 bool *ret_good)
{
    struct fold_holes holes = {0};
    struct slice rest, before;
    struct entry e;
    bool any = false;
    FOLD_TRY(fold_blocks_entries(b, &p->t->scratch, &rest, ret_good));
    if (p->s->holes)
        FOLD_TRY(fold_holes_get(b->txn, b->queue, b->run, b->first, &holes, &any));
    uint64_t count = 0, bytes = 0;
    for (unsigned i = 0; *ret_good && i < b->head.count; i++) {
        before = rest;
        *ret_good = record_get_entry(&rest, &e);
        if (!*ret_good || fold_holes_has(&holes, i))
            continue;
        buf_append(&o->bytes, before.data, before.len - rest.len);
        count++;
        bytes += fold_body_size(e.body_len);
    }
    if (!*ret_good) {
        buf_clear(&o->bytes);
        fold_damage(p->t->f, b->queue, b->run, b->first, "its contents cannot be read");
        return KV_OK;
    }
    p->s->count -= count < p->s->count ? count : p->s->count;
    p->s->bytes -= bytes < p->s->bytes ? bytes : p->s->bytes;
    o->rest = buf_slice(&o->bytes);
    old_step(o);
    enum kv_status status = fold_blocks_del(b, p->s->holes);
    return status == KV_NONE ? KV_OK : status;
}

static enum kv_status merge_old(struct packer *p, struct old *o, const struct item *item)
{
    while (o->raw.len && o->next.seq < item->seq) {
        FOLD_TRY(add(p, &o->next, o->raw));
        old_step(o);
    }
    if (!o->raw.len || o->next.seq != item->seq)
        return add_item(p, item);
    struct entry twice;
    if (parse_item(p, item, &twice) && twice.id)
        fold_release_id(p->t, twice.id);
    return KV_OK;
}

/* Items from *i on, up to the next block. */
static enum kv_status insert_some(struct packer *p, struct fold_blocks *b, const struct item *items,
                                  size_t n, size_t *i)
{
    struct old o = {0};
    bool good = false;
    uint64_t limit = UINT64_MAX;
    enum kv_status status = fold_blocks_seek(b, items[*i].seq);
    if (status == KV_OK && b->first <= items[*i].seq && b->good) {
        status = take_block(p, b, &o, &good);
        if (status == KV_OK && !good)
            status = fold_blocks_next(b);
    } else if (status == KV_OK && b->first <= items[*i].seq) {
        fold_damage(p->t->f, b->queue, b->run, b->first, "its head is");
        status = fold_blocks_next(b);
    }
    if (status == KV_OK && b->here)
        limit = b->first;
    if (status == KV_NONE)
        status = KV_OK;
    while (status == KV_OK && *i < n && items[*i].seq < limit)
        status = merge_old(p, &o, &items[(*i)++]);
    while (status == KV_OK && o.raw.len) {
        status = add(p, &o.next, o.raw);
        old_step(&o);
    }
    buf_fini(&o.bytes);
    return status == KV_OK ? flush(p) : status;
}

static enum kv_status write_group(struct fold_txn *t, const struct group *g,
                                  const struct item *items)
{
    struct packer p = {.t = t, .q = g->queue, .run = g->run};
    struct fold_blocks b;
    size_t i = 0;
    enum kv_status status = KV_OK;
    p.s = fold_stage(t, g->queue, g->run);
    if (items[0].seq < p.s->end && !fold_ranges_empty(&g->run->next_dead))
        FOLD_TRY(fold_bury_run(t, g->queue, g->run));
    if (items[0].seq < p.s->end && p.s->count) {
        uint64_t end = p.s->end;
        size_t between = 0;
        while (between < g->count && items[between].seq < end)
            between++;
        status = fold_blocks_open(&b, t->txn, g->queue->id, g->run->number);
        while (status == KV_OK && i < between)
            status = insert_some(&p, &b, items, between, &i);
        fold_blocks_close(&b);
    }
    while (status == KV_OK && i < g->count)
        status = add_item(&p, &items[i++]);
    return status == KV_OK ? flush(&p) : status;
}

/* ---- reading the journal ---- */

static int compare_places(const void *a, const void *b, void *arg)
{
    const struct item *items = arg;
    const struct item *x = &items[*(const uint32_t *)a], *y = &items[*(const uint32_t *)b];
    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void sort_by_place(struct batch *b)
{
    bool sorted = true;
    b->order = mem_alloc(b->count * sizeof *b->order);
    for (size_t i = 0; i < b->count; i++) {
        const struct item *x = &b->items[i ? i - 1 : 0], *y = &b->items[i];
        b->order[i] = (uint32_t)i;
        sorted &= x->slot < y->slot || (x->slot == y->slot && x->offset <= y->offset);
    }
    if (!sorted)
        qsort_r(b->order, b->count, sizeof *b->order, compare_places, b->items);
}

/* The items from order[i] on that lie together; returns behind the last, *ret_len: bytes of all. */
static size_t span(const struct batch *b, size_t i, uint64_t *ret_len)
{
    const struct item *first = &b->items[b->order[i]];
    uint64_t end = (uint64_t)first->offset + first->len;
    while (++i < b->count) {
        const struct item *next = &b->items[b->order[i]];
        if (next->slot != first->slot || next->offset > end + GAP_MAX ||
            end - first->offset + next->len > SPAN_MAX)
            break;
        uint64_t next_end = (uint64_t)next->offset + next->len;
        end = next_end > end ? next_end : end;
    }
    *ret_len = end - first->offset;
    return i;
}

static void lay_out(struct batch *b)
{
    uint64_t total = 0, len;
    for (size_t i = 0; i < b->count;) {
        const struct item *first = &b->items[b->order[i]];
        for (size_t end = span(b, i, &len); i < end; i++) {
            struct item *item = &b->items[b->order[i]];
            item->at = total + (item->offset - first->offset);
        }
        total += len;
    }
    b->arena = mem_alloc(total ? total : 1);
}

static void load(struct batch *b)
{
    const struct fold_part *part = b->t->part;
    uint64_t len;
    sort_by_place(b);
    lay_out(b);
    for (size_t i = 0; i < b->count;) {
        const struct item *first = &b->items[b->order[i]];
        size_t end = span(b, i, &len);
        struct fold_place place = {
            .offset = first->offset, .len = (uint32_t)len, .slot = first->slot};
        bool good = fold_fetch(b->t->f, part, place, b->arena + first->at);
        for (; i < end; i++) {
            struct item *item = &b->items[b->order[i]];
            item->data = good ? b->arena + item->at : NULL;
        }
    }
    free(b->order);
}

/* ---- batches ---- */

static enum kv_status write_batch(struct batch *b)
{
    enum kv_status status = KV_OK;
    if (!b->count)
        return KV_OK;
    load(b);
    for (size_t i = 0; i < b->group_count && status == KV_OK; i++)
        status = write_group(b->t, &b->groups[i], b->items + b->groups[i].first);
    free(b->arena);
    b->arena = NULL;
    b->count = b->group_count = b->bytes = 0;
    return status;
}

static void begin_group(struct batch *b, struct fold_replica *q, struct fold_run *run)
{
    MEM_GROW(b->groups, b->group_cap, b->group_count + 1);
    b->groups[b->group_count++] = (struct group){.queue = q, .run = run, .first = b->count};
}

static enum kv_status add_run(struct batch *b, struct fold_replica *q, struct fold_run *run)
{
    const struct fold_ring *ring = &run->ring[b->t->index];
    if (!ring->live)
        return KV_OK;
    begin_group(b, q, run);
    for (uint32_t i = 0; i < ring->count; i++) {
        const struct fold_entry *e = fold_ring_at(ring, i);
        if (e->gone)
            continue;
        if (b->bytes + e->len > FOLD_BATCH && b->bytes) {
            FOLD_TRY(write_batch(b));
            begin_group(b, q, run);
        }
        MEM_GROW(b->items, b->cap, b->count + 1);
        b->items[b->count++] =
            (struct item){.seq = e->seq, .offset = e->offset, .len = e->len, .slot = e->slot};
        b->groups[b->group_count - 1].count++;
        b->bytes += e->len + sizeof(struct item);
    }
    if (!b->groups[b->group_count - 1].count)
        b->group_count--;
    return KV_OK;
}

enum kv_status fold_pack_all(struct fold_txn *t)
{
    struct batch b = {.t = t};
    enum kv_status status = KV_OK;
    for (size_t i = 0; i < t->part->queue_count && status == KV_OK; i++) {
        struct fold_replica *q = t->part->queues[i].queue;
        if (t->part->queues[i].dropped)
            continue;
        for (struct fold_run *run = fold_next_run(t->f, q, NULL); run && status == KV_OK;
             run = fold_next_run(t->f, q, run))
            status = add_run(&b, q, run);
    }
    if (status == KV_OK)
        status = write_batch(&b);
    free(b.items);
    free(b.groups);
    return status;
}
