/* Walks over definitions that change meanwhile, and the roster beneath them. */
#include "unit.h"
#include "world.h"

#include "base/mem.h"
#include "meta/roster.h"

enum { OBJECTS = 200 };

/* How often each name came up: of "q7" the seventh. */
struct tally {
    unsigned times[4 * OBJECTS];
    unsigned others;
    const char *column;
    size_t stop_at; /* rows of a portion, 0: as many as there are */
    size_t rows;
};

static bool count_name(const struct meta_row *row, void *arg)
{
    struct tally *t = arg;
    struct value v = meta_row_get(row, t->column);
    cr_assert_eq(v.type, VALUE_TEXT);
    char text[32];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(v.bytes));
    unsigned n = 0;
    if (sscanf(text, "%*[a-z]%u", &n) == 1 && n < 4 * OBJECTS)
        t->times[n]++;
    else
        t->others++;
    value_fini(&v);
    return ++t->rows != t->stop_at;
}

static bool step(struct world *w, struct meta_cursor *cursor, size_t max, struct tally *t)
{
    t->rows = 0;
    bool more = meta_cursor_next(w->node, cursor, max, count_name, t);
    cr_assert_leq(t->rows, max);
    return more;
}

static void name_of(char text[32], const char *prefix, unsigned n)
{
    snprintf(text, 32, "%s%u", prefix, n);
}

static void put_queue(struct world *w, unsigned n)
{
    char name[32];
    name_of(name, "q", n);
    must(do_queue(w, name, 0, ""));
    must(do_bind(w, "amq.direct", name, name, 0, ""));
}

static void drop_queue(struct world *w, unsigned n)
{
    char name[32];
    name_of(name, "q", n);
    struct meta_request *rq = request(w, META_QUEUE_DELETE, 0);
    meta_request_set(&rq->name, slice_str(name));
    must(do_request(w, rq));
}

static void expect(const struct tally *t, unsigned n, unsigned least, unsigned most)
{
    cr_expect(t->times[n] >= least && t->times[n] <= most, "%u came up %u times", n, t->times[n]);
}

/* What stays comes up once; what goes once at most; what comes back or comes later, not again. */
UNIT(list, queues_come_and_go_during_a_walk)
{
    struct world *w = world_new();
    struct tally t = {.column = "name"};
    for (unsigned i = 0; i < OBJECTS; i++)
        put_queue(w, i);
    struct meta_cursor cursor = meta_cursor_begin(w->node, META_QUEUES, SLICE("/"));
    unsigned later = OBJECTS;
    for (unsigned turn = 0; step(w, &cursor, 7, &t); turn++) {
        if (turn * 6 < OBJECTS)
            drop_queue(w, turn * 6); /* behind the walk, at it */
        if (turn < 20)
            drop_queue(w, OBJECTS - 1 - turn * 3); /* before it */
        put_queue(w, later++);
        cr_assert_lt(turn, OBJECTS);
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        expect(&t, i, i % 6 != 0 && i < OBJECTS - 60, 1);
    for (unsigned i = OBJECTS; i < later; i++)
        expect(&t, i, 0, 0);
    cr_expect_eq(t.others, 0);
    cr_expect_eq(t.times[OBJECTS - 1], 0);
    world_free(&w);
}

/* A queue is shown by its binding to the default exchange, then by the one that was made. */
UNIT(list, bindings_come_and_go_during_a_walk)
{
    struct world *w = world_new();
    struct tally t = {.column = "destination_name"};
    for (unsigned i = 0; i < OBJECTS; i++)
        put_queue(w, i);
    struct meta_cursor cursor = meta_cursor_begin(w->node, META_BINDINGS, SLICE("/"));
    for (unsigned turn = 0; step(w, &cursor, 16, &t); turn++) {
        drop_queue(w, turn);
        put_queue(w, turn);
    }
    for (unsigned i = OBJECTS / 2; i < OBJECTS; i++)
        expect(&t, i, 2, 2);
    for (unsigned i = 0; i < OBJECTS / 2; i++)
        expect(&t, i, 0, 2);
    world_free(&w);
}

static enum err delete_vhost(struct world *w, const char *name)
{
    struct meta_request *rq = request(w, META_VHOST_DELETE, 0);
    meta_request_set(&rq->name, slice_str(name));
    return do_request(w, rq);
}

/* The vhost being walked goes: those behind it are walked all the same. */
UNIT(list, vhosts_go_during_a_walk)
{
    struct world *w = world_new();
    struct tally t = {.column = "name", .stop_at = 3};
    must(do_vhost(w, "v1", 0));
    must(do_vhost(w, "v2", 0));
    struct meta_cursor inside = meta_cursor_begin(w->node, META_EXCHANGES, SLICE("v1"));
    struct meta_cursor all = meta_cursor_begin(w->node, META_EXCHANGES, SLICE_EMPTY);
    cr_assert(step(w, &inside, 3, &t));
    cr_assert(step(w, &all, 10, &t)); /* 3 of / */
    cr_assert(step(w, &all, 10, &t));
    cr_assert(step(w, &all, 10, &t)); /* the last of /, 2 of v1 */
    must(delete_vhost(w, "v1"));
    must(do_vhost(w, "v1", 0));
    t.others = 0;
    cr_expect(!step(w, &inside, 3, &t), "over with its vhost");
    while (step(w, &all, 10, &t))
        ;
    cr_expect_eq(t.others, 7, "those of v2: %u", t.others);
    world_free(&w);
}

/* Rights and users that are set again keep their place. */
UNIT(list, permissions_change_during_a_walk)
{
    struct world *w = world_new();
    struct tally t = {.column = "user"};
    char name[32];
    for (unsigned i = 0; i < 20; i++) {
        name_of(name, "u", i);
        must(do_user(w, name, "pw", "", 0));
        must(do_permission(w, name, "a", "b", "c"));
        must(do_topic_permission(w, name, "amq.topic", "w", "r"));
    }
    struct meta_cursor rights = meta_cursor_begin(w->node, META_PERMISSIONS, SLICE("/"));
    struct meta_cursor users = meta_cursor_begin(w->node, META_USERS, SLICE_EMPTY);
    cr_assert(step(w, &rights, 9, &t));
    cr_assert(step(w, &users, 9, &t));
    for (unsigned i = 0; i < 20; i++) {
        name_of(name, "u", i);
        must(do_permission(w, name, "x", "y", "z"));
        must(do_user(w, name, "pw", "monitoring", 0));
    }
    while (step(w, &rights, 9, &t))
        ;
    while (step(w, &users, 9, &t))
        ;
    for (unsigned i = 0; i < 20; i++)
        expect(&t, i, 2, 2);
    world_free(&w);
}

/* ---- the roster ---- */

UNIT(list, roster_against_a_plain_array)
{
    enum { NUMBERS = 3000 };
    struct roster roster = {0};
    static char objects[NUMBERS]; /* exception: addresses to tell apart */
    bool there[NUMBERS] = {false};
    uint32_t random = 1;
    for (unsigned n = 1; n < NUMBERS; n++) {
        roster_add(&roster, n, &objects[n]);
        there[n] = true;
        for (unsigned tries = 0; tries < 2 && n > 50; tries++) {
            random = random * 1103515245 + 12345;
            unsigned victim = 1 + (random >> 8) % n;
            if (there[victim])
                roster_remove(&roster, victim);
            there[victim] = false;
        }
        cr_assert_leq(roster.gaps, roster.count / 2 + 17);
    }
    for (unsigned n = 1; n < NUMBERS; n++) {
        cr_assert_eq(roster_find(&roster, n), there[n] ? &objects[n] : NULL);
        size_t at = roster_after(&roster, n);
        cr_assert(at == roster.count || roster.entries[at].number > n);
        cr_assert(at == 0 || roster.entries[at - 1].number <= n);
    }
    for (unsigned n = 1; n < NUMBERS; n++) {
        if (there[n])
            roster_remove(&roster, n);
    }
    cr_expect_eq(roster.count, 0);
    cr_expect_null(roster.entries);
    cr_expect_null(roster_find(&roster, 1));
}
