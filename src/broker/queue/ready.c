/* Levels are a map of bits and an array of sequences: 256 cost no more time than two. */
#include "broker/queue/ready.h"

#include "base/bug.h"
#include "base/mem.h"
#include "broker/queue/expiry.h"
#include "broker/queue/extent.h"

#include <stdlib.h>

enum { WORDS = 4, WORD_BITS = 64, LATER = 255 };

struct ready_levels {
    uint64_t filled[WORDS];
    unsigned count;
    struct sequence sequences[];
};

void ready_init(struct ready *r, unsigned max_priority)
{
    *r = (struct ready){0};
    if (!max_priority)
        return;
    r->levels = mem_zalloc(sizeof *r->levels + (max_priority + 1) * sizeof(struct sequence));
    r->levels->count = max_priority + 1;
}

void ready_fini(struct ready *r)
{
    free(r->levels);
    if (r->later)
        expiry_free(&r->later->times);
    free(r->later);
    expiry_free(&r->expiry);
    *r = (struct ready){0};
}

/* ---- levels ---- */

static struct sequence *level_of(struct ready *r, const struct ready_entry *entry)
{
    struct ready_levels *levels = r->levels;
    if (ready_is_later(r, entry->level))
        return &r->later->sequence;
    if (!levels)
        return &r->plain;
    levels->filled[entry->level / WORD_BITS] |= UINT64_C(1) << entry->level % WORD_BITS;
    return &levels->sequences[entry->level];
}

unsigned ready_first_level(const struct ready *r)
{
    if (!r->levels)
        return 0;
    unsigned word = WORDS - 1;
    while (word && !r->levels->filled[word])
        word--;
    if (!r->levels->filled[word])
        return 0;
    return word * WORD_BITS + WORD_BITS - 1 - (unsigned)__builtin_clzll(r->levels->filled[word]);
}

unsigned ready_level_count(const struct ready *r)
{
    return r->levels ? r->levels->count : 1;
}

struct sequence *ready_level(const struct ready *r, unsigned level)
{
    if (ready_is_later(r, level))
        return &r->later->sequence;
    return r->levels ? &r->levels->sequences[level] : (struct sequence *)(uintptr_t)&r->plain;
}

unsigned ready_next_level(const struct ready *r, unsigned level)
{
    if (level + 1 < ready_level_count(r))
        return level + 1;
    return r->later && level != r->later->level ? r->later->level : READY_LEVELS;
}

unsigned ready_later_level(const struct ready *r)
{
    return ready_level_count(r) > LATER ? LATER + 1 : LATER;
}

void ready_open_later(struct ready *r)
{
    if (r->later)
        return;
    r->later = NEW(struct ready_later);
    r->later->level = ready_later_level(r);
    r->later->times = NEW(struct expiry);
}

void ready_note_gain(struct ready *r, unsigned level)
{
    if (r->levels && !ready_is_later(r, level))
        r->levels->filled[level / WORD_BITS] |= UINT64_C(1) << level % WORD_BITS;
}

void ready_note_loss(struct ready *r, unsigned level)
{
    if (!r->levels || ready_is_later(r, level))
        return;
    const struct sequence *s = &r->levels->sequences[level];
    if (!s->first && !s->backlog)
        r->levels->filled[level / WORD_BITS] &= ~(UINT64_C(1) << level % WORD_BITS);
}

/* ---- in and out ---- */

void ready_note_expiry(struct ready *r, unsigned level, struct ready_chunk *c, uint64_t at)
{
    if (!r->expiry)
        r->expiry = NEW(struct expiry);
    expiry_note(ready_is_later(r, level) ? r->later->times : r->expiry, c, at);
}

void ready_push(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry)
{
    struct sequence *s = level_of(r, entry);
    if (s->backlog)
        s = &s->backlog->tail;
    struct ready_chunk *c = sequence_push(s, pool, entry);
    if (entry->expiry)
        ready_note_expiry(r, entry->level, c, entry->expiry);
    r->filled |= ready_chunk_is_full(c);
    ready_count_in(r, entry->level, ready_amount_of(entry->msg));
}

void ready_return(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry)
{
    struct sequence *s = level_of(r, entry);
    bug_on(s->backlog && s->backlog->count && entry->seq >= backlog_at(s->backlog, 0)->first);
    struct ready_chunk *c = sequence_insert(s, pool, entry);
    c->returned = true;
    if (entry->expiry)
        ready_note_expiry(r, entry->level, c, entry->expiry);
    r->filled |= ready_chunk_is_full(c);
    ready_count_in(r, entry->level, ready_amount_of(entry->msg));
}

bool ready_pop(struct ready *r, struct ready_pool *pool, struct ready_entry *ret_entry)
{
    if (!r->count)
        return false;
    struct sequence *s = r->levels ? ready_level(r, ready_first_level(r)) : &r->plain;
    if (!s->first)
        return false;
    sequence_pop(s, pool, ret_entry);
    if (!s->first)
        ready_note_loss(r, ret_entry->level);
    ready_count_out(r, ret_entry->level, ready_amount_of(ret_entry->msg));
    return true;
}

bool ready_first_is_away(struct ready *r)
{
    return r->count && !ready_level(r, ready_first_level(r))->first;
}

/* ---- expiry ---- */

uint64_t ready_next_expiry(const struct ready *r)
{
    return r->expiry ? expiry_first(r->expiry) : 0;
}

/* Takes out what is due and sets the chunk's time to that of the rest. */
static unsigned expire_chunk(struct ready *r, struct ready_chunk *c, uint64_t until_ms,
                             struct ready_entry *ret_entries)
{
    unsigned n = 0;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = c->head; i < c->tail; i++) {
        struct ready_entry *e = &c->entries[i];
        if (!e->msg || !e->expiry)
            continue;
        if (e->expiry > until_ms) {
            next = e->expiry < next ? e->expiry : next;
            continue;
        }
        ready_count_out(r, e->level, ready_amount_of(e->msg));
        ret_entries[n++] = *e;
        e->msg = NULL;
        c->holes++;
    }
    if (next == UINT64_MAX)
        expiry_remove(c);
    else
        expiry_postpone(c->expiry, next);
    return n;
}

static void tidy(struct ready *r, struct ready_pool *pool, struct sequence *s,
                 struct ready_chunk *c, unsigned level)
{
    if (c->holes < c->tail - c->head)
        ready_chunk_trim(c);
    sequence_tidy(s, pool, c);
    ready_note_loss(r, level);
}

unsigned ready_expire(struct ready *r, struct ready_pool *pool, uint64_t now_ms,
                      struct ready_entry ret_entries[READY_CHUNK_ENTRIES])
{
    unsigned n = 0;
    while (!n && r->expiry && r->expiry->count && expiry_first(r->expiry) <= now_ms) {
        struct ready_chunk *c = r->expiry->heap[0].chunk;
        struct sequence *s = c->home;
        n = expire_chunk(r, c, now_ms, ret_entries);
        if (n)
            tidy(r, pool, s, c, ret_entries[0].level);
    }
    return n;
}

/* Of the first chunk. */
static uint64_t limit_of_first(const struct expiry *x, const struct ready_limit *l)
{
    bool held = l->held && x->heap[0].chunk->home == l->held && l->held_until < l->until;
    return held ? l->held_until : l->until;
}

uint64_t ready_next_in_order(const struct ready *r, const struct ready_limit *limit)
{
    const struct expiry *x = ready_in_order(r);
    if (!x || !x->count || expiry_first(x) > limit_of_first(x, limit))
        return 0;
    return expiry_first(x);
}

unsigned ready_expire_in_order(struct ready *r, struct ready_pool *pool,
                               const struct ready_limit *limit,
                               struct ready_entry ret_entries[READY_CHUNK_ENTRIES])
{
    struct expiry *x = ready_in_order(r);
    unsigned n = 0;
    while (!n && ready_next_in_order(r, limit)) {
        struct ready_chunk *c = x->heap[0].chunk;
        struct sequence *s = c->home;
        n = expire_chunk(r, c, expiry_turn(x, limit_of_first(x, limit)), ret_entries);
        if (n)
            tidy(r, pool, s, c, ret_entries[0].level);
    }
    return n;
}

/* ---- one of them ---- */

static bool take_from(struct ready *r, struct ready_pool *pool, struct sequence *s, uint64_t seq,
                      struct ready_entry *ret_entry)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct ready_chunk *c = sequence_at(s, i);
        if (c->entries[c->tail - 1].seq < seq)
            continue;
        uint32_t k = c->head;
        while (c->entries[k].seq < seq)
            k++;
        if (c->entries[k].seq != seq || !c->entries[k].msg)
            return false;
        *ret_entry = c->entries[k];
        c->entries[k].msg = NULL;
        c->holes++;
        ready_count_out(r, ret_entry->level, ready_amount_of(ret_entry->msg));
        if (c->holes < c->tail - c->head)
            ready_chunk_trim(c);
        sequence_tidy(s, pool, c);
        return true;
    }
    return false;
}

bool ready_take(struct ready *r, struct ready_pool *pool, unsigned level, uint64_t seq,
                struct ready_entry *ret_entry)
{
    struct sequence *s = ready_level(r, level);
    bool taken = take_from(r, pool, s, seq, ret_entry) ||
                 (s->backlog && take_from(r, pool, &s->backlog->tail, seq, ret_entry));
    if (taken)
        ready_note_loss(r, level);
    return taken;
}

/* ---- discarding ---- */

void ready_garbage_add(struct ready_garbage *g, struct ready_chunk *c)
{
    if (g->at + g->count == g->cap) {
        g->cap = (g->at + g->count + 1) * 2;
        g->chunks = mem_realloc(g->chunks, g->cap * sizeof(struct ready_chunk *));
    }
    g->chunks[g->at + g->count++] = c;
}

static void discard(struct sequence *s, struct ready_garbage *g)
{
    for (uint32_t i = 0; i < s->count; i++)
        ready_garbage_add(g, sequence_at(s, i));
    free(s->chunks);
    if (s->backlog) {
        discard(&s->backlog->tail, g);
        backlog_free(&s->backlog);
    }
    *s = (struct sequence){0};
}

void ready_discard(struct ready *r, struct ready_garbage *garbage)
{
    if (r->expiry)
        expiry_clear(r->expiry);
    if (r->later)
        expiry_clear(r->later->times);
    for (unsigned i = 0; i < READY_LEVELS; i = ready_next_level(r, i))
        discard(ready_level(r, i), garbage);
    if (r->later)
        *r->later = (struct ready_later){.level = r->later->level, .times = r->later->times};
    if (r->levels)
        memset(r->levels->filled, 0, sizeof r->levels->filled);
    free(r->paged);
    r->paged = NULL;
    r->count = r->bytes = r->persistent = r->persistent_bytes = 0;
}

bool ready_sweep(struct ready_garbage *garbage, struct ready_pool *pool, unsigned budget)
{
    while (garbage->count && budget) {
        struct ready_chunk *c = garbage->chunks[garbage->at];
        for (; c->head < c->tail && budget; budget--) {
            struct msg *m = c->entries[c->head++].msg;
            if (m)
                msg_unref(m);
        }
        if (c->head < c->tail)
            break;
        ready_chunk_put(pool, c);
        garbage->at++;
        garbage->count--;
    }
    if (!garbage->count) {
        free(garbage->chunks);
        *garbage = (struct ready_garbage){0};
    }
    return garbage->count != 0;
}
