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
    uint32_t head; /* of batch.heads, + 1; 0: it has its own */
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
    struct item *heads; /* that items share */
    size_t head_count, head_cap;
    struct group *groups;
    size_t group_count, group_cap;
    uint32_t *order; /* items, then heads, by place */
    size_t bytes;
    uint8_t *arena;
    struct buf room; /* the packers' */
};

struct packer {
    struct fold_txn *t;
    struct fold_replica *q;
    struct fold_run *run;
    struct fold_stored *s;
    struct fold_block_head head;
    uint64_t first;
    size_t len; /* of entries */
    const struct item *heads;
    struct buf room; /* for an entry that is put together */
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

/* As it goes into a block; empty: it could not be read. */
static struct slice raw_of(struct packer *p, const struct item *item)
{
    struct slice raw = slice_of(item->data, item->len);
    if (!item->data || !item->head)
        return item->data ? raw : SLICE_EMPTY;
    const struct item *head = &p->heads[item->head - 1];
    if (!head->data)
        return SLICE_EMPTY;
    buf_clear(&p->room);
    uint8_t *out = buf_reserve(&p->room, head->len + item->len + RECORD_EXPAND);
    return slice_of(out, record_expand(out, item->seq, (uint16_t)(p->run->number / 2),
                                       p->run->number % 2, slice_of(head->data, head->len), raw));
}

/* What the journal gave is looked at again: it was read long after it was written. */
static bool parse_item(struct packer *p, const struct item *item, struct entry *ret_entry,
                       struct slice *ret_raw)
{
    struct slice rest = *ret_raw = raw_of(p, item);
    if (rest.len && record_get_entry(&rest, ret_entry) && !rest.len && ret_entry->seq == item->seq)
        return true;
    fold_report(p->t->f, p->q->id, "a message could not be read back from the journal; it is lost");
    return false;
}

static enum kv_status add_item(struct packer *p, const struct item *item)
{
    struct entry e;
    struct slice raw;
    if (!parse_item(p, item, &e, &raw))
        return KV_OK;
    return add(p, &e, raw);
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
    struct slice raw;
    if (parse_item(p, item, &twice, &raw) && twice.id)
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

/* Those that go between the blocks; *ret_n: how many they are. */
static enum kv_status insert_group(struct packer *p, const struct group *g,
                                   const struct item *items, size_t *ret_n)
{
    struct fold_blocks b;
    size_t i = 0, between = 0;
    uint64_t end = p->s->end;
    while (between < g->count && items[between].seq < end)
        between++;
    enum kv_status status = fold_blocks_open(&b, p->t->txn, g->queue->id, g->run->number);
    while (status == KV_OK && i < between)
        status = insert_some(p, &b, items, between, &i);
    fold_blocks_close(&b);
    *ret_n = between;
    return status;
}

static enum kv_status write_group(struct batch *b, const struct group *g)
{
    const struct item *items = b->items + g->first;
    struct packer p = {.t = b->t, .q = g->queue, .run = g->run, .heads = b->heads, .room = b->room};
    size_t i = 0;
    enum kv_status status = KV_OK;
    p.s = fold_stage(b->t, g->queue, g->run);
    if (items[0].seq < p.s->end && !fold_ranges_empty(&g->run->next_dead))
        FOLD_TRY(fold_bury_run(b->t, g->queue, g->run));
    if (items[0].seq < p.s->end && p.s->count)
        status = insert_group(&p, g, items, &i);
    while (status == KV_OK && i < g->count)
        status = add_item(&p, &items[i++]);
    b->room = p.room;
    return status == KV_OK ? flush(&p) : status;
}

/* ---- reading the journal ---- */

static struct item *item_of(const struct batch *b, uint32_t i)
{
    return i < b->count ? &b->items[i] : &b->heads[i - b->count];
}

static int compare_places(const void *a, const void *b, void *arg)
{
    const struct item *x = item_of(arg, *(const uint32_t *)a),
                      *y = item_of(arg, *(const uint32_t *)b);
    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void sort_by_place(struct batch *b)
{
    bool sorted = true;
    size_t n = b->count + b->head_count;
    b->order = mem_alloc(n * sizeof *b->order);
    for (uint32_t i = 0; i < n; i++) {
        const struct item *x = item_of(b, i ? i - 1 : 0), *y = item_of(b, i);
        b->order[i] = i;
        sorted &= x->slot < y->slot || (x->slot == y->slot && x->offset <= y->offset);
    }
    if (!sorted)
        qsort_r(b->order, n, sizeof *b->order, compare_places, b);
}

/* The items from order[i] on that lie together; returns behind the last, *ret_len: bytes of all. */
static size_t span(const struct batch *b, size_t i, uint64_t *ret_len)
{
    const struct item *first = item_of(b, b->order[i]);
    uint64_t end = (uint64_t)first->offset + first->len;
    while (++i < b->count + b->head_count) {
        const struct item *next = item_of(b, b->order[i]);
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
    for (size_t i = 0; i < b->count + b->head_count;) {
        const struct item *first = item_of(b, b->order[i]);
        for (size_t end = span(b, i, &len); i < end; i++) {
            struct item *item = item_of(b, b->order[i]);
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
    for (size_t i = 0; i < b->count + b->head_count;) {
        const struct item *first = item_of(b, b->order[i]);
        size_t end = span(b, i, &len);
        struct fold_place place = {
            .offset = first->offset, .len = (uint32_t)len, .slot = first->slot};
        bool good = fold_fetch(b->t->f, part, place, b->arena + first->at);
        for (; i < end; i++) {
            struct item *item = item_of(b, b->order[i]);
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
        status = write_group(b, &b->groups[i]);
    free(b->arena);
    b->arena = NULL;
    b->count = b->head_count = b->group_count = b->bytes = 0;
    return status;
}

static void begin_group(struct batch *b, struct fold_replica *q, struct fold_run *run)
{
    MEM_GROW(b->groups, b->group_cap, b->group_count + 1);
    b->groups[b->group_count++] = (struct group){.queue = q, .run = run, .first = b->count};
}

/* Those of a unit share one. */
static uint32_t head_of(struct batch *b, const struct fold_entry *e)
{
    const struct item *last = b->head_count ? &b->heads[b->head_count - 1] : NULL;
    if (last && last->slot == e->slot && last->offset == e->head)
        return (uint32_t)b->head_count;
    MEM_GROW(b->heads, b->head_cap, b->head_count + 1);
    b->heads[b->head_count++] =
        (struct item){.offset = e->head, .len = e->head_len, .slot = e->slot};
    b->bytes += e->head_len + sizeof(struct item);
    return (uint32_t)b->head_count;
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
        b->items[b->count++] = (struct item){.seq = e->seq,
                                             .offset = e->offset,
                                             .len = e->len,
                                             .head = e->next ? head_of(b, e) : 0,
                                             .slot = e->slot};
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
    free(b.heads);
    free(b.groups);
    buf_fini(&b.room);
    return status;
}
