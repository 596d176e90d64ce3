/* Levels are a map of bits and an array of sequences: 255 cost no more time than two. */
#include "broker/queue/ready.h"

#include "base/mem.h"
#include "broker/queue/expiry.h"

#include <stdlib.h>

enum { WORDS = 4, WORD_BITS = 64 };

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
    free(r->expiry ? r->expiry->heap : NULL);
    free(r->expiry);
    *r = (struct ready){0};
}

/* ---- levels ---- */

static struct sequence *level_of(struct ready *r, const struct ready_entry *entry)
{
    struct ready_levels *levels = r->levels;
    if (!levels)
        return &r->plain;
    levels->filled[entry->level / WORD_BITS] |= UINT64_C(1) << entry->level % WORD_BITS;
    return &levels->sequences[entry->level];
}

/* There is a message. */
static struct sequence *highest(struct ready *r)
{
    if (!r->levels)
        return &r->plain;
    unsigned word = WORDS - 1;
    while (!r->levels->filled[word])
        word--;
    unsigned bit = WORD_BITS - 1 - (unsigned)__builtin_clzll(r->levels->filled[word]);
    return &r->levels->sequences[word * WORD_BITS + bit];
}

/* A sequence lost messages. */
static void note_loss(struct ready *r, const struct sequence *s)
{
    if (s->first || !r->levels)
        return;
    size_t level = (size_t)(s - r->levels->sequences);
    r->levels->filled[level / WORD_BITS] &= ~(UINT64_C(1) << level % WORD_BITS);
}

/* ---- in and out ---- */

static void note_expiry(struct ready *r, struct ready_chunk *c, uint64_t at)
{
    if (!r->expiry)
        r->expiry = NEW(struct expiry);
    expiry_note(r->expiry, c, at);
}

void ready_push(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry)
{
    struct ready_chunk *c = sequence_push(level_of(r, entry), pool, entry);
    if (entry->expiry)
        note_expiry(r, c, entry->expiry);
    r->count++;
    r->bytes += entry->msg->body_len;
}

void ready_return(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry)
{
    struct ready_chunk *c = sequence_insert(level_of(r, entry), pool, entry);
    if (entry->expiry)
        note_expiry(r, c, entry->expiry);
    r->count++;
    r->bytes += entry->msg->body_len;
}

bool ready_pop(struct ready *r, struct ready_pool *pool, struct ready_entry *ret_entry)
{
    if (!r->count)
        return false;
    struct sequence *s = highest(r);
    sequence_pop(s, pool, ret_entry);
    note_loss(r, s);
    r->count--;
    r->bytes -= ret_entry->msg->body_len;
    return true;
}

/* ---- expiry ---- */

uint64_t ready_next_expiry(const struct ready *r)
{
    return r->expiry ? expiry_first(r->expiry) : 0;
}

/* Takes out what is due and sets the chunk's time to that of the rest. */
static unsigned expire_chunk(struct ready *r, struct ready_chunk *c, uint64_t now_ms,
                             struct ready_entry *ret_entries)
{
    unsigned n = 0;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = c->head; i < c->tail; i++) {
        struct ready_entry *e = &c->entries[i];
        if (!e->msg || !e->expiry)
            continue;
        if (e->expiry > now_ms) {
            next = e->expiry < next ? e->expiry : next;
            continue;
        }
        r->count--;
        r->bytes -= e->msg->body_len;
        ret_entries[n++] = *e;
        e->msg = NULL;
        c->holes++;
    }
    if (next == UINT64_MAX)
        expiry_remove(c);
    else
        expiry_postpone(r->expiry, next);
    return n;
}

unsigned ready_expire(struct ready *r, struct ready_pool *pool, uint64_t now_ms,
                      struct ready_entry ret_entries[READY_CHUNK_ENTRIES])
{
    unsigned n = 0;
    while (!n && r->expiry && r->expiry->count && expiry_first(r->expiry) <= now_ms) {
        struct ready_chunk *c = r->expiry->heap[0].chunk;
        struct sequence *s = c->home;
        n = expire_chunk(r, c, now_ms, ret_entries);
        if (!n)
            continue;
        if (c->holes < c->tail - c->head)
            ready_chunk_trim(c);
        sequence_tidy(s, pool, c);
        note_loss(r, s);
    }
    return n;
}

/* ---- discarding ---- */

static void discard(struct sequence *s, struct ready_garbage *g)
{
    if (g->at + g->count + s->count > g->cap) {
        g->cap = (g->at + g->count + s->count) * 2;
        g->chunks = mem_realloc(g->chunks, g->cap * sizeof(struct ready_chunk *));
    }
    for (uint32_t i = 0; i < s->count; i++)
        g->chunks[g->at + g->count++] = sequence_at(s, i);
    free(s->chunks);
    *s = (struct sequence){0};
}

void ready_discard(struct ready *r, struct ready_garbage *garbage)
{
    if (r->expiry)
        expiry_clear(r->expiry);
    if (r->plain.count)
        discard(&r->plain, garbage);
    for (unsigned i = 0; r->levels && i < r->levels->count; i++) {
        if (r->levels->sequences[i].count)
            discard(&r->levels->sequences[i], garbage);
    }
    if (r->levels)
        memset(r->levels->filled, 0, sizeof r->levels->filled);
    r->count = r->bytes = 0;
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
