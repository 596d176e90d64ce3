/* Levels of priority, each with the list of those that can be served now. */
#include "broker/queue/consumers.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

struct consumer_level {
    int64_t priority;
    uint32_t members;
    struct list turns;
};

struct consumer_number {
    struct consumer *consumer; /* NULL = free */
    uint32_t next_free;
};

void consume_request_free(struct consume_request **request)
{
    struct consume_request *r = *request;
    slice_free(&r->tag);
    slice_free(&r->queue);
    slice_free(&r->user);
    slice_free(&r->args);
    free(r);
    *request = NULL;
}

void consumers_init(struct consumers *cs, bool single_active, bool takes_over)
{
    *cs = (struct consumers){.single_active = single_active,
                             .takes_over = single_active && takes_over,
                             .next_serial = 1};
    list_init(&cs->all);
}

void consumers_fini(struct consumers *cs)
{
    bug_on(cs->count);
    free(cs->by_number);
    free(cs->levels);
}

static struct consumer_level *level_join(struct consumers *cs, int64_t priority)
{
    size_t at = 0;
    while (at < cs->level_count && cs->levels[at]->priority > priority)
        at++;
    if (at == cs->level_count || cs->levels[at]->priority != priority) {
        struct consumer_level *level = NEW(struct consumer_level);
        level->priority = priority;
        list_init(&level->turns);
        MEM_GROW(cs->levels, cs->level_cap, cs->level_count + 1);
        memmove(cs->levels + at + 1, cs->levels + at, (cs->level_count - at) * sizeof *cs->levels);
        cs->levels[at] = level;
        cs->level_count++;
    }
    cs->levels[at]->members++;
    return cs->levels[at];
}

static void level_leave(struct consumers *cs, struct consumer_level *level)
{
    if (--level->members)
        return;
    size_t at = 0;
    while (cs->levels[at] != level)
        at++;
    cs->level_count--;
    memmove(cs->levels + at, cs->levels + at + 1, (cs->level_count - at) * sizeof *cs->levels);
    free(level);
}

static uint32_t number_take(struct consumers *cs, struct consumer *c)
{
    uint32_t n;
    if (cs->free) {
        n = cs->free - 1;
        cs->free = cs->by_number[n].next_free;
    } else {
        MEM_GROW(cs->by_number, cs->cap, cs->used + 1);
        n = (uint32_t)cs->used++;
    }
    cs->by_number[n].consumer = c;
    return n;
}

static void number_give(struct consumers *cs, uint32_t n)
{
    cs->by_number[n] = (struct consumer_number){NULL, cs->free};
    cs->free = n + 1;
}

bool consumers_is_leaving(const struct consumers *cs, const struct consumer *c)
{
    return cs->takes_over && cs->active == c && cs->levels[0] != c->level;
}

static bool can_take(const struct consumers *cs, const struct consumer *c)
{
    const struct consume_request *r = c->request;
    return !c->paused && c->window && (r->no_ack || !r->prefetch || c->unacked < r->prefetch) &&
           consumers_is_active(cs, c) && !consumers_is_leaving(cs, c);
}

static void update(const struct consumers *cs, struct consumer *c)
{
    bool can = can_take(cs, c);
    if (can == !list_empty(&c->turn))
        return;
    if (can)
        list_append(&c->level->turns, &c->turn);
    else
        list_remove(&c->turn);
}

/* Of the highest level the one that came first. */
static struct consumer *find_next(const struct consumers *cs)
{
    list_each (it, &cs->all) {
        struct consumer *c = list_entry(it, struct consumer, link);
        if (c->level == cs->levels[0])
            return c;
    }
    return NULL;
}

/* Others came or went, or the active one holds less. */
static void elect(struct consumers *cs)
{
    struct consumer *before = cs->active;
    if (!before || (consumers_is_leaving(cs, before) && !before->unacked))
        cs->active = find_next(cs);
    if (before)
        update(cs, before);
    if (cs->active && cs->active != before)
        update(cs, cs->active);
}

void consumers_update(struct consumers *cs, struct consumer *c)
{
    if (cs->takes_over)
        elect(cs);
    update(cs, c);
}

struct consumer *consumers_add(struct consumers *cs, struct consume_request *request)
{
    struct consumer *c = NEW(struct consumer);
    c->request = request;
    c->window = request->window;
    c->serial = cs->next_serial++;
    if (!cs->next_serial)
        cs->next_serial = 1;
    c->number = number_take(cs, c);
    list_init(&c->turn);
    list_append(&cs->all, &c->link);
    c->level = level_join(cs, request->priority);
    cs->count++;
    if (request->exclusive)
        cs->exclusive = c;
    if (cs->single_active)
        elect(cs);
    consumers_update(cs, c);
    return c;
}

void consumers_remove(struct consumers *cs, struct consumer *c)
{
    list_remove(&c->turn);
    list_remove(&c->link);
    level_leave(cs, c->level);
    number_give(cs, c->number);
    if (cs->exclusive == c)
        cs->exclusive = NULL;
    if (cs->active == c)
        cs->active = NULL;
    if (!--cs->count) {
        free(cs->by_number);
        free(cs->levels);
        cs->by_number = NULL;
        cs->levels = NULL;
        cs->cap = cs->used = cs->free = 0;
        cs->level_cap = cs->level_count = 0;
    } else if (cs->single_active) {
        elect(cs);
    }
    consume_request_free(&c->request);
    free(c);
}

struct consumer *consumers_find(const struct consumers *cs, uint32_t number, uint32_t serial)
{
    struct consumer *c = number < cs->used ? cs->by_number[number].consumer : NULL;
    if (!c)
        return NULL;
    return !serial || c->serial == serial ? c : NULL;
}

struct consumer *consumers_next(struct consumers *cs)
{
    for (size_t i = 0; i < cs->level_count; i++) {
        struct list *turns = &cs->levels[i]->turns;
        if (list_empty(turns))
            continue;
        struct list *first = turns->next;
        if (first->next != turns) {
            list_remove(first);
            list_append(turns, first);
        }
        return list_entry(first, struct consumer, turn);
    }
    return NULL;
}

bool consumers_level_ready(const struct consumers *cs, size_t n)
{
    return !list_empty(&cs->levels[n]->turns);
}
