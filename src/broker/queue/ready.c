/* Chunks of 128 entries; the heap is used only after a return. */
#include "broker/queue/ready.h"

#include "base/mem.h"
#include "broker/limits.h"

#include <stdlib.h>

enum { CHUNK_ENTRIES = 128 };

struct ready_chunk {
    struct ready_chunk *next;
    uint32_t head, tail;
    struct ready_entry entries[CHUNK_ENTRIES];
};

static struct ready_chunk *chunk_get(struct ready_pool *pool)
{
    struct ready_chunk *c = pool->free;
    if (c) {
        pool->free = c->next;
        pool->count--;
    } else {
        c = mem_alloc(sizeof *c);
    }
    c->next = NULL;
    c->head = c->tail = 0;
    return c;
}

static void chunk_put(struct ready_pool *pool, struct ready_chunk *c)
{
    if (pool->count >= READY_CHUNKS_KEPT) {
        free(c);
        return;
    }
    c->next = pool->free;
    pool->free = c;
    pool->count++;
}

void ready_pool_fini(struct ready_pool *pool)
{
    while (pool->free) {
        struct ready_chunk *c = pool->free;
        pool->free = c->next;
        free(c);
    }
    pool->count = 0;
}

void ready_push(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry)
{
    if (!r->last || r->last->tail == CHUNK_ENTRIES) {
        struct ready_chunk *c = chunk_get(pool);
        if (r->last)
            r->last->next = c;
        else
            r->first = c;
        r->last = c;
    }
    r->last->entries[r->last->tail++] = *entry;
    r->count++;
    r->bytes += entry->msg->body_len;
}

void ready_return(struct ready *r, const struct ready_entry *entry)
{
    MEM_GROW(r->returned, r->returned_cap, r->returned_count + 1);
    size_t i = r->returned_count++;
    while (i && r->returned[(i - 1) / 2].seq > entry->seq) {
        r->returned[i] = r->returned[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    r->returned[i] = *entry;
    r->count++;
    r->bytes += entry->msg->body_len;
}

static void pop_returned(struct ready *r, struct ready_entry *ret_entry)
{
    *ret_entry = r->returned[0];
    struct ready_entry last = r->returned[--r->returned_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= r->returned_count)
            break;
        if (child + 1 < r->returned_count && r->returned[child + 1].seq < r->returned[child].seq)
            child++;
        if (last.seq <= r->returned[child].seq)
            break;
        r->returned[i] = r->returned[child];
        i = child;
    }
    r->returned[i] = last;
    if (!r->returned_count) {
        free(r->returned);
        r->returned = NULL;
        r->returned_cap = 0;
    }
}

/* Messages of a backlog have left the caches: those soon to be sent are fetched ahead. */
static void fetch_ahead(const struct ready_chunk *c)
{
    enum { AHEAD = 6, LINE = 64 };
    if (c->head + AHEAD >= c->tail)
        return;
    const char *msg = (const char *)c->entries[c->head + AHEAD].msg;
    __builtin_prefetch(msg);
    __builtin_prefetch(msg + LINE);
    __builtin_prefetch(msg + 2 * (size_t)LINE);
}

static void pop_chunk(struct ready *r, struct ready_pool *pool, struct ready_entry *ret_entry)
{
    struct ready_chunk *c = r->first;
    *ret_entry = c->entries[c->head++];
    fetch_ahead(c);
    if (c->head < c->tail)
        return;
    r->first = c->next;
    if (!r->first)
        r->last = NULL;
    chunk_put(pool, c);
}

bool ready_pop(struct ready *r, struct ready_pool *pool, struct ready_entry *ret_entry)
{
    if (!r->count)
        return false;
    if (r->returned_count &&
        (!r->first || r->returned[0].seq < r->first->entries[r->first->head].seq))
        pop_returned(r, ret_entry);
    else
        pop_chunk(r, pool, ret_entry);
    r->count--;
    r->bytes -= ret_entry->msg->body_len;
    return true;
}

void ready_discard(struct ready *r, struct ready *garbage)
{
    struct ready_entry e;
    while (r->returned_count) {
        pop_returned(r, &e);
        r->count--;
        r->bytes -= e.msg->body_len;
        ready_return(garbage, &e);
    }
    if (r->first) {
        if (garbage->last)
            garbage->last->next = r->first;
        else
            garbage->first = r->first;
        garbage->last = r->last;
    }
    garbage->count += r->count;
    garbage->bytes += r->bytes;
    *r = (struct ready){0};
}
