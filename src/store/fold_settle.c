/* Taking out of the database what was settled: whole blocks where all of one is covered, by their
 * heads alone, bitmaps where not.
 *
 * A set that leaves next to nothing of a long run (a purge) would touch all of it: instead what
 * remains is counted, the ranges become "dead", and the blocks in them are deleted over several
 * checkpoints. Blocks in dead ranges count as not there. */
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_checkpoint.h"
#include "store/fold_message_table.h"
#include "store/fold_queue.h"

#include <stdio.h>
#include <stdlib.h>

struct walk {
    struct fold_txn *t; /* NULL: counts only */
    struct kv_txn *txn;
    const struct fold_replica *q;
    const struct fold_run *run;
    const struct fold_ranges *settled;
    const struct fold_ranges *dead;
    bool holes; /* there may be some */
    bool made_holes;
    uint64_t count, bytes;           /* of what goes */
    uint64_t left_count, left_bytes; /* in the block just done */
    struct fold_blocks b;
    struct buf scratch;
};

void fold_release_id(struct fold_txn *t, uint64_t id)
{
    MEM_GROW(t->released, t->released_cap, t->released_count + 1);
    t->released[t->released_count++] = id;
}

struct fold_stored *fold_stage(struct fold_txn *t, struct fold_replica *q, struct fold_run *run)
{
    if (!run->staged) {
        run->staged = true;
        run->next_stored = run->stored;
        fold_ranges_clear(&run->next_dead);
        fold_ranges_add_all(&run->next_dead, &run->dead);
        MEM_GROW(t->staged, t->staged_cap, t->staged_count + 1);
        t->staged[t->staged_count++] = (struct fold_staged){q, run};
    }
    return &run->next_stored;
}

static enum kv_status walk_open(struct walk *w)
{
    return fold_blocks_open(&w->b, w->txn, w->q->id, w->run->number);
}

static void walk_close(struct walk *w)
{
    fold_blocks_close(&w->b);
    buf_fini(&w->scratch);
}

void fold_damage(struct fold *f, uint64_t queue, uint16_t run, uint64_t first, const char *why)
{
    pthread_mutex_lock(&f->damage_lock);
    bool known = false;
    for (size_t i = 0; i < f->damaged_count && !known; i++)
        known = f->damaged[i].queue == queue && f->damaged[i].run == run &&
                f->damaged[i].first == first;
    if (!known) {
        MEM_GROW(f->damaged, f->damaged_cap, f->damaged_count + 1);
        struct fold_damaged *d = &f->damaged[f->damaged_count++];
        *d = (struct fold_damaged){.queue = queue, .run = run, .first = first};
        snprintf(d->why, sizeof d->why, "%s", why);
    }
    pthread_mutex_unlock(&f->damage_lock);
    if (known)
        return;
    char text[200];
    snprintf(
        text, sizeof text,
        "the block of messages from %llu on (level %u%s) is damaged: %s; they are left out, and "
        "the block is set aside",
        (unsigned long long)first, run / 2u, run % 2 ? ", transient" : "", why);
    fold_report(f, queue, text);
}

static void damaged(struct walk *w, const char *why)
{
    if (w->t)
        fold_damage(w->t->f, w->q->id, w->run->number, w->b.first, why);
}

/* Marks what is settled, or all of it; releases messages; counts what goes and what stays. */
static enum kv_status scan_block(struct walk *w, bool all, struct fold_holes *holes, bool *ret_good)
{
    struct slice rest;
    struct entry e;
    bool any;
    FOLD_TRY(fold_blocks_entries(&w->b, &w->scratch, &rest, ret_good));
    if (!*ret_good) {
        damaged(w, "its checksum is wrong");
        return KV_OK;
    }
    memset(holes, 0, sizeof *holes);
    if (w->holes)
        FOLD_TRY(fold_holes_get(w->txn, w->q->id, w->run->number, w->b.first, holes, &any));
    w->left_count = w->left_bytes = 0;
    for (unsigned i = 0; i < w->b.head.count; i++) {
        if (!record_get_entry(&rest, &e)) {
            damaged(w, "an entry cannot be parsed");
            *ret_good = false;
            return KV_OK;
        }
        if (fold_holes_has(holes, i))
            continue;
        if (!all && !fold_ranges_has(w->settled, e.seq)) {
            w->left_count++;
            w->left_bytes += fold_body_size(e.body_len);
            continue;
        }
        fold_holes_set(holes, i);
        w->count++;
        w->bytes += fold_body_size(e.body_len);
        if (e.id && w->t)
            fold_release_id(w->t, e.id);
    }
    return KV_OK;
}

/* Stands behind the block afterwards. */
static enum kv_status take_partly(struct walk *w)
{
    struct fold_holes holes;
    bool good;
    uint64_t before = w->count;
    FOLD_TRY(scan_block(w, false, &holes, &good));
    if (good && w->t && !w->left_count)
        return fold_blocks_del(&w->b, w->holes);
    if (good && w->t && w->count != before) {
        FOLD_TRY(
            fold_holes_put(w->txn, w->q->id, w->run->number, w->b.first, &holes, w->b.head.count));
        w->made_holes = true;
    }
    return fold_blocks_next(&w->b);
}

static enum kv_status take_whole(struct walk *w)
{
    struct fold_holes holes;
    bool any = false, good = true;
    if (w->holes)
        FOLD_TRY(fold_holes_get(w->txn, w->q->id, w->run->number, w->b.first, &holes, &any));
    if (any || (w->b.head.flags & BLOCK_BY_ID && w->t)) {
        FOLD_TRY(scan_block(w, true, &holes, &good));
    } else {
        w->count += w->b.head.count;
        w->bytes += w->b.head.bytes;
    }
    if (!good || !w->t)
        return fold_blocks_next(&w->b);
    return fold_blocks_del(&w->b, any);
}

/* Stands on a block that is not dead, or on none. */
static enum kv_status skip_dead(struct walk *w)
{
    struct fold_range range;
    enum kv_status status = KV_OK;
    while (w->b.here && fold_ranges_find(w->dead, w->b.first, &range) &&
           range.first <= w->b.first && status == KV_OK)
        status = range.last == UINT64_MAX ? (w->b.here = false, KV_NONE)
                                          : fold_blocks_at(&w->b, range.last + 1);
    return status;
}

/* Blocks in the order of seqs, as far as a range touches them. */
static enum kv_status walk_settled(struct walk *w, uint64_t from, uint64_t end)
{
    struct fold_range range;
    uint64_t seq = from;
    enum kv_status status = KV_OK;
    while (seq < end && fold_ranges_find(w->settled, seq, &range) && range.first < end) {
        uint64_t at = range.first > seq ? range.first : seq;
        if (!w->b.here || w->b.first > at || !w->b.good || w->b.head.last < at)
            status = fold_blocks_seek(&w->b, at);
        if (status == KV_OK)
            status = skip_dead(w);
        if (status != KV_OK)
            break;
        if (w->b.first > range.last) {
            seq = w->b.first;
            continue;
        }
        if (!w->b.good) {
            damaged(w, "its head is");
            seq = w->b.first > at ? w->b.first : at;
            status = fold_blocks_next(&w->b);
            if (status != KV_OK)
                break;
            seq = w->b.first > seq ? w->b.first : seq;
            continue;
        }
        seq = w->b.head.last + 1;
        status = w->b.first >= range.first && w->b.head.last <= range.last ? take_whole(w)
                                                                           : take_partly(w);
        if (status != KV_OK)
            break;
    }
    return status == KV_NONE ? KV_OK : status;
}

enum kv_status fold_count_settled(struct kv_txn *txn, const struct fold_replica *q,
                                  const struct fold_run *run, const struct fold_ranges *settled,
                                  uint64_t *ret_count, uint64_t *ret_bytes)
{
    struct walk w = {.txn = txn,
                     .q = q,
                     .run = run,
                     .settled = settled,
                     .dead = &run->dead,
                     .holes = run->stored.holes};
    enum kv_status status = walk_open(&w);
    if (status == KV_OK)
        status = walk_settled(&w, run->stored.first, run->stored.end);
    walk_close(&w);
    *ret_count = w.count;
    *ret_bytes = w.bytes;
    return status;
}

/* ---- counts of returned messages ---- */

static enum kv_status del_counts(struct fold_txn *t, const struct fold_replica *q, uint16_t run,
                                 uint64_t first, uint64_t last)
{
    struct kv_cursor *c;
    struct slice key, value;
    struct fold_key k = {0};
    fold_key_run(&k, q->id, run);
    struct slice prefix = slice_of(k.bytes, k.len);
    enum kv_status status = kv_cursor_open(t->txn, KV_COUNTS, &c);
    if (status != KV_OK)
        return status;
    struct fold_key from = k;
    fold_key_u64(&from, first);
    status = kv_seek(c, fold_key_slice(&from), &key, &value);
    while (status == KV_OK && key.len == FOLD_COUNT_KEY && slice_starts(key, prefix)) {
        if (wire_load_u64(key.data + FOLD_RUN_KEY) > last)
            break;
        status = kv_cursor_del(c);
        if (status == KV_OK)
            status = kv_next(c, &key, &value);
    }
    kv_cursor_close(&c);
    return status == KV_NONE ? KV_OK : status;
}

/* ---- purges ---- */

/* Whether the ranges leave at most so many seqs of the run that one would look at these instead. */
static bool leaves_little(const struct fold_stored *s, const struct fold_ranges *settled,
                          size_t portion)
{
    struct fold_range range;
    uint64_t left = 0, at = s->first;
    size_t n = 0;
    if (s->count < portion)
        return false;
    fold_ranges_each(range, settled, s->first)
    {
        if (range.first >= s->end)
            break;
        if (range.first > at)
            left += range.first - at;
        if (left > portion || ++n > portion / 8)
            return false;
        at = range.last == UINT64_MAX ? range.last : range.last + 1;
    }
    if (at < s->end)
        left += s->end - at;
    return left <= portion;
}

/* What blocks have of the seqs from a on to b stays: counts it. A block that reaches into a range
 * is kept out of the dead. */
static enum kv_status keep_gap(struct walk *w, uint64_t *a, uint64_t b, struct fold_stored *left,
                               struct fold_ranges *alive)
{
    enum kv_status status = fold_blocks_seek(&w->b, *a);
    while (status == KV_OK) {
        status = skip_dead(w);
        if (status != KV_OK || !w->b.here || w->b.first > b)
            break;
        if (!w->b.good) {
            damaged(w, "its head is");
            fold_ranges_add(alive, w->b.first, w->b.first);
            status = fold_blocks_next(&w->b);
            continue;
        }
        *a = w->b.head.last + 1;
        uint64_t first = w->b.first;
        w->left_count = w->left_bytes = 0;
        status = take_partly(w);
        left->count += w->left_count;
        left->bytes += w->left_bytes;
        if (status == KV_OK || status == KV_NONE)
            fold_ranges_add(alive, first, first);
        if (*a > b)
            break;
    }
    return status == KV_NONE ? KV_OK : status;
}

static enum kv_status purge(struct walk *w, struct fold_stored *s, struct fold_ranges *dead)
{
    struct fold_stored left = {0};
    struct fold_ranges alive = {0}, fresh = {0};
    struct fold_range range;
    uint64_t at = s->first;
    enum kv_status status = KV_OK;
    bool more = fold_ranges_find(w->settled, at, &range);
    while (status == KV_OK && at < s->end) {
        uint64_t gap_end = more && range.first < s->end ? range.first : s->end;
        if (at < gap_end)
            status = keep_gap(w, &at, gap_end - 1, &left, &alive);
        if (!more || range.first >= s->end)
            break;
        uint64_t last = range.last < s->end ? range.last : s->end - 1;
        fold_ranges_add(&fresh, range.first > s->first ? range.first : s->first, last);
        if (at <= last)
            at = last + 1;
        more = range.last != UINT64_MAX && fold_ranges_find(w->settled, range.last + 1, &range);
    }
    /* each range but for the keys of what is alive */
    fold_ranges_each(range, &fresh, 0)
    {
        uint64_t from = range.first;
        struct fold_range key;
        while (from <= range.last && fold_ranges_find(&alive, from, &key) &&
               key.first <= range.last) {
            if (key.first > from)
                fold_ranges_add(dead, from, key.first - 1);
            from = key.last + 1;
        }
        if (from <= range.last)
            fold_ranges_add(dead, from, range.last);
    }
    s->count = left.count;
    s->bytes = left.bytes;
    fold_ranges_clear(&alive);
    fold_ranges_clear(&fresh);
    return status;
}

/* ---- one run ---- */

static enum kv_status find_first(struct fold_blocks *b, const struct fold_ranges *dead,
                                 struct fold_stored *s)
{
    struct walk w = {.b = *b, .dead = dead};
    enum kv_status status = fold_blocks_at(&w.b, s->first);
    if (status == KV_OK)
        status = skip_dead(&w);
    if (status == KV_OK && w.b.here)
        s->first = w.b.first;
    else if (status == KV_OK || status == KV_NONE)
        s->first = s->end;
    return status == KV_NONE ? KV_OK : status;
}

enum kv_status fold_apply_settled(struct fold_txn *t, struct fold_replica *q, struct fold_run *run)
{
    struct fold_ranges *settled = &run->settled[t->index];
    struct fold_range range;
    if (fold_ranges_empty(settled) || !fold_stored_now(run)->count)
        return KV_OK;
    struct fold_stored *s = fold_stage(t, q, run);
    struct walk w = {.t = t,
                     .txn = t->txn,
                     .q = q,
                     .run = run,
                     .settled = settled,
                     .dead = &run->next_dead,
                     .holes = s->holes};
    enum kv_status status = walk_open(&w);
    if (status == KV_OK && leaves_little(s, settled, fold_portion(t->f))) {
        status = purge(&w, s, &run->next_dead);
    } else if (status == KV_OK) {
        status = walk_settled(&w, s->first, s->end);
        s->count -= w.count < s->count ? w.count : s->count;
        s->bytes -= w.bytes < s->bytes ? w.bytes : s->bytes;
    }
    s->holes |= w.made_holes;
    if (status == KV_OK)
        status = find_first(&w.b, w.dead, s);
    walk_close(&w);
    if (!s->count) {
        s->bytes = s->expiry = 0;
        s->holes = s->holes && !fold_ranges_empty(&run->next_dead);
    }
    if (q->counts_stored) {
        fold_ranges_each(range, settled, 0)
        {
            if (status == KV_OK)
                status = del_counts(t, q, run->number, range.first, range.last);
        }
    }
    return status;
}

/* ---- damaged blocks ---- */

/* Counts all blocks anew. */
static enum kv_status recount(struct fold_txn *t, const struct fold_replica *q,
                              struct fold_run *run)
{
    const struct fold_ranges none = {0};
    struct fold_stored *s = &run->next_stored;
    struct walk w = {.txn = t->txn,
                     .q = q,
                     .run = run,
                     .settled = &none,
                     .dead = &run->next_dead,
                     .holes = true};
    uint64_t count = 0, bytes = 0;
    enum kv_status status = walk_open(&w);
    if (status == KV_OK)
        status = fold_blocks_at(&w.b, 0);
    while (status == KV_OK) {
        struct fold_holes holes;
        bool any = false, good = true;
        status = skip_dead(&w);
        if (status != KV_OK || !w.b.here)
            break;
        if (w.b.good) {
            status = fold_holes_get(w.txn, q->id, run->number, w.b.first, &holes, &any);
            w.left_count = w.b.head.count;
            w.left_bytes = w.b.head.bytes;
            if (status == KV_OK && any)
                status = scan_block(&w, false, &holes, &good);
            count += good ? w.left_count : 0;
            bytes += good ? w.left_bytes : 0;
        }
        if (status == KV_OK)
            status = fold_blocks_next(&w.b);
    }
    walk_close(&w);
    s->count = count;
    s->bytes = bytes;
    return status == KV_NONE ? KV_OK : status;
}

static enum kv_status next_aside(struct fold_txn *t, uint64_t *ret_n)
{
    struct kv_cursor *c;
    struct slice key, value;
    enum kv_status status = kv_cursor_open(t->txn, KV_SET_ASIDE, &c);
    if (status != KV_OK)
        return status;
    status = kv_prev(c, &key, &value);
    *ret_n = status == KV_OK && key.len >= 8 ? wire_load_u64(key.data) + 1 : 1;
    kv_cursor_close(&c);
    return status == KV_NONE ? KV_OK : status;
}

/* Row 0: the key and why; the others: the values as they were. */
static enum kv_status copy_aside(struct fold_txn *t, const struct fold_damaged *d,
                                 struct fold_blocks *b)
{
    struct buf about = BUF_INIT, raw = BUF_INIT;
    struct kv_cursor *c;
    struct slice key, value;
    uint64_t n = 0;
    unsigned row = 0;
    FOLD_TRY(next_aside(t, &n));
    buf_append_slice(&about, b->key);
    buf_append_str(&about, d->why);
    struct fold_key k = {0}, from = {0};
    fold_key_bytes(&from, b->key);
    fold_key_u64(&k, n);
    fold_key_u16(&k, (uint16_t)row++);
    enum kv_status status =
        fold_put_sealed(t->txn, KV_SET_ASIDE, fold_key_slice(&k), buf_slice(&about));
    buf_fini(&about);
    if (status != KV_OK)
        return status;
    FOLD_TRY(kv_cursor_open(t->txn, KV_BLOCKS, &c));
    status = kv_seek(c, fold_key_slice(&from), &key, &value);
    while (status == KV_OK && key.len == FOLD_BLOCK_KEY &&
           memcmp(key.data, from.bytes, FOLD_SEQ_KEY) == 0 && row <= UINT16_MAX) {
        buf_clear(&raw);
        buf_append_slice(&raw, value);
        k.len = 8;
        fold_key_u16(&k, (uint16_t)row++);
        status = kv_put(t->txn, KV_SET_ASIDE, fold_key_slice(&k), buf_slice(&raw));
        if (status == KV_OK)
            status = kv_next(c, &key, &value);
    }
    kv_cursor_close(&c);
    buf_fini(&raw);
    return status == KV_NONE ? KV_OK : status;
}

/* It was written anew meanwhile. */
static enum kv_status is_sound(struct fold_txn *t, struct fold_blocks *b, bool *ret_sound)
{
    struct slice rest;
    struct entry e;
    FOLD_TRY(fold_blocks_entries(b, &t->scratch, &rest, ret_sound));
    for (unsigned i = 0; i < b->head.count && *ret_sound; i++)
        *ret_sound = record_get_entry(&rest, &e);
    return KV_OK;
}

static enum kv_status set_aside(struct fold_txn *t, const struct fold_damaged *d,
                                struct fold_replica *q, struct fold_run *run, bool *names)
{
    struct fold_blocks b;
    enum kv_status status = fold_blocks_open(&b, t->txn, q->id, run->number);
    if (status == KV_OK)
        status = fold_blocks_at(&b, d->first);
    bool sound = false;
    if (status == KV_OK && b.here && b.first == d->first)
        status = is_sound(t, &b, &sound);
    if (status == KV_OK && b.here && b.first == d->first && !sound) {
        fold_stage(t, q, run);
        *names |= !b.good || b.head.flags & BLOCK_BY_ID;
        status = copy_aside(t, d, &b);
        if (status == KV_OK)
            status = fold_blocks_del(&b, true);
        if (status == KV_OK || status == KV_NONE)
            status = recount(t, q, run);
    }
    fold_blocks_close(&b);
    return status == KV_NONE ? KV_OK : status;
}

/* What blocks that are gone named is known by what the others do not. */
static enum kv_status release_lost(struct fold_txn *t)
{
    struct fold_ref_count *counts = NULL;
    size_t n = 0;
    enum kv_status status = fold_count_refs(t->txn, &counts, &n);
    for (size_t i = 0; i < n && status == KV_OK; i++) {
        for (; counts[i].found < counts[i].refs; counts[i].found++)
            fold_release_id(t, counts[i].id);
    }
    free(counts);
    return status;
}

enum kv_status fold_set_aside(struct fold_txn *t)
{
    struct fold *f = t->f;
    bool names = false;
    pthread_mutex_lock(&f->damage_lock);
    size_t n = f->damaged_count;
    pthread_mutex_unlock(&f->damage_lock);
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&f->damage_lock);
        struct fold_damaged d = f->damaged[i];
        pthread_mutex_unlock(&f->damage_lock);
        pthread_rwlock_rdlock(&f->lock);
        struct fold_replica *q = hash_find(&f->queues, slice_of(&d.queue, sizeof d.queue));
        struct fold_run *run = q ? fold_find_run(q, d.run) : NULL;
        pthread_rwlock_unlock(&f->lock);
        if (run)
            FOLD_TRY(set_aside(t, &d, q, run, &names));
    }
    t->damage_handled = n;
    return names ? release_lost(t) : KV_OK;
}
