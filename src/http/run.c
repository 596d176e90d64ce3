#include "http/run.h"

#include "base/mem.h"

#include <stdlib.h>

enum {
    KEEP_SLACK = 200 /* entries beyond twice those to be kept, before the others are dropped */
};

struct entry {
    size_t at, len; /* of the key in the run's bytes */
    struct place place;
};

struct run {
    struct buf bytes;
    struct entry *entries;
    size_t count, cap;
    size_t next;
};

bool runs_sweep(struct runs *r, size_t count)
{
    for (; count && r->count; count--) {
        struct run *run = &r->list[--r->count];
        buf_fini(&run->bytes);
        free(run->entries);
    }
    return !r->count;
}

static void free_runs(struct runs *r)
{
    (void)runs_sweep(r, r->count);
    free(r->list);
    free(r->heap);
    r->list = NULL;
    r->heap = NULL;
    r->count = r->cap = r->heap_count = r->held = 0;
}

void runs_fini(struct runs *r)
{
    free_runs(r);
    buf_fini(&r->last);
    buf_fini(&r->bound);
    *r = (struct runs){.count = 0};
}

void runs_restart(struct runs *r)
{
    free_runs(r);
    r->only_beyond = r->last.data != NULL;
}

void runs_keep(struct runs *r, size_t count)
{
    r->keep = count;
    buf_fini(&r->bound);
}

void runs_begin(struct runs *r, bool reverse)
{
    MEM_GROW(r->list, r->cap, r->count + 1);
    r->list[r->count++] = (struct run){.bytes = BUF_INIT};
    r->reverse = reverse;
}

static struct run *last(struct runs *r)
{
    return &r->list[r->count - 1];
}

struct buf *runs_begin_key(struct runs *r)
{
    r->key_at = last(r)->bytes.len;
    return &last(r)->bytes;
}

static uint8_t *put_number(uint8_t *at, uint64_t n)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(n >> shift);
    return at;
}

static void put_place(struct buf *key, struct place p)
{
    uint8_t bytes[3 * sizeof(uint64_t) + 1];
    uint8_t *at = put_number(bytes, (uint64_t)p.addr.node << 56 | (uint64_t)p.addr.shard << 48 |
                                        (uint64_t)p.addr.gen << 32 | p.addr.slot);
    at = put_number(at, p.vhost);
    at = put_number(at, p.number);
    *at = p.explicit;
    buf_append(key, bytes, sizeof bytes);
}

static bool is_beyond(const struct runs *r, struct slice key, const struct buf *other)
{
    int c = slice_cmp(key, buf_slice(other));
    return r->reverse ? c < 0 : c > 0;
}

bool runs_wants_key(struct runs *r)
{
    struct buf *bytes = &last(r)->bytes;
    size_t len = bytes->len - r->key_at;
    if (!r->bound.data || !len)
        return true;
    int c = memcmp(bytes->data + r->key_at, r->bound.data, len < r->bound.len ? len : r->bound.len);
    if (r->reverse ? c >= 0 : c <= 0)
        return true;
    bytes->len = r->key_at;
    return false;
}

bool runs_end_key(struct runs *r, struct place place)
{
    struct run *run = last(r);
    put_place(&run->bytes, place);
    struct entry entry = {.at = r->key_at, .len = run->bytes.len - r->key_at, .place = place};
    struct slice key = slice_of(run->bytes.data + entry.at, entry.len);
    if ((r->only_beyond && !is_beyond(r, key, &r->last)) ||
        (r->bound.data && is_beyond(r, key, &r->bound))) {
        run->bytes.len = r->key_at;
        return false;
    }
    MEM_GROW(run->entries, run->cap, run->count + 1);
    run->entries[run->count++] = entry;
    return true;
}

static struct slice key_of(const struct run *run, const struct entry *e)
{
    return slice_of(run->bytes.data + e->at, e->len);
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct run *run = arg;
    return slice_cmp(key_of(run, a), key_of(run, b));
}

static int compare_reverse(const void *a, const void *b, void *arg)
{
    return compare(b, a, arg);
}

/* ---- the merge ---- */

static struct slice first_key(const struct runs *r, size_t index)
{
    const struct run *run = &r->list[index];
    return key_of(run, &run->entries[run->next]);
}

static bool is_before(const struct runs *r, size_t a, size_t b)
{
    int c = slice_cmp(first_key(r, a), first_key(r, b));
    return r->reverse ? c > 0 : c < 0;
}

static void sink(struct runs *r, size_t at)
{
    for (;;) {
        size_t best = at, left = 2 * at + 1;
        for (size_t child = left; child < left + 2 && child < r->heap_count; child++) {
            if (is_before(r, r->heap[child], r->heap[best]))
                best = child;
        }
        if (best == at)
            return;
        size_t run = r->heap[at];
        r->heap[at] = r->heap[best];
        r->heap[best] = run;
        at = best;
    }
}

static void make_heap(struct runs *r)
{
    r->heap = mem_alloc(r->count * sizeof *r->heap);
    for (size_t i = 0; i < r->count; i++)
        r->heap[i] = i;
    r->heap_count = r->count;
    for (size_t i = r->heap_count / 2 + 1; i-- > 0;)
        sink(r, i);
}

/* Behind the first key. */
static void advance(struct runs *r)
{
    struct run *run = &r->list[r->heap[0]];
    if (++run->next == run->count) {
        buf_fini(&run->bytes);
        r->heap[0] = r->heap[--r->heap_count];
    }
    sink(r, 0);
}

/* One run of those to be kept is left. */
static void drop_others(struct runs *r)
{
    struct run kept = {.bytes = BUF_INIT};
    make_heap(r);
    while (kept.count < r->keep && r->heap_count) {
        struct slice key = first_key(r, r->heap[0]);
        const struct run *run = &r->list[r->heap[0]];
        MEM_GROW(kept.entries, kept.cap, kept.count + 1);
        kept.entries[kept.count++] =
            (struct entry){kept.bytes.len, key.len, run->entries[run->next].place};
        buf_append_slice(&kept.bytes, key);
        advance(r);
    }
    free_runs(r);
    MEM_GROW(r->list, r->cap, 1);
    r->list[r->count++] = kept;
    r->held = kept.count;
    buf_clear(&r->bound);
    buf_append_slice(&r->bound, key_of(&kept, &kept.entries[kept.count - 1]));
}

void runs_end(struct runs *r)
{
    struct run *run = last(r);
    if (!run->count) {
        buf_fini(&run->bytes);
        r->count--;
        return;
    }
    qsort_r(run->entries, run->count, sizeof *run->entries, r->reverse ? compare_reverse : compare,
            run);
    r->held += run->count;
    if (r->keep && r->held > 2 * r->keep + KEEP_SLACK)
        drop_others(r);
}

void runs_merge(struct runs *r)
{
    if (r->count)
        make_heap(r);
}

bool runs_pop(struct runs *r, struct place *ret_place)
{
    if (!r->heap_count)
        return false;
    const struct run *run = &r->list[r->heap[0]];
    buf_clear(&r->last);
    buf_append_slice(&r->last, first_key(r, r->heap[0]));
    *ret_place = run->entries[run->next].place;
    advance(r);
    return true;
}
