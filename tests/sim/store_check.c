/* Compares a fold with the model of what it was given. */
#include "base/bug.h"
#include "store_sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- queues ---- */

static void check_level(struct world *w, const struct model_queue *q, uint16_t level,
                        const struct fold_level *there)
{
    uint64_t count = 0, bytes = 0, first = 0, last = 0, expiry = 0;
    for (uint64_t seq = 1; seq < q->next_seq; seq++) {
        const struct model_message *m = &q->messages[seq];
        if (m->state != MODEL_LIVE || m->level != level)
            continue;
        count++;
        bytes += model_body_len(m->uid);
        first = first ? first : seq;
        last = seq;
        if (m->expiry && (!expiry || m->expiry < expiry))
            expiry = m->expiry;
    }
    sim_check(w, count == (there ? there->count : 0) && bytes == (there ? there->bytes : 0),
              "queue %" PRIu64 " level %u: %" PRIu64 " messages of %" PRIu64
              " bytes, counted as %" PRIu64 " of %" PRIu64,
              q->id, level, count, bytes, there ? there->count : 0, there ? there->bytes : 0);
    if (!count)
        return;
    sim_check(w, there->first <= first && there->last >= last,
              "queue %" PRIu64 " level %u: %" PRIu64 " to %" PRIu64 ", said to be %" PRIu64
              " to %" PRIu64,
              q->id, level, first, last, there->first, there->last);
    sim_check(w, !expiry || (there->expiry && there->expiry <= expiry),
              "queue %" PRIu64 " level %u: expires at %" PRIu64 ", said to at %" PRIu64, q->id,
              level, expiry, there->expiry);
}

static void check_counters(struct world *w, const struct model_queue *q)
{
    static struct fold_queue there;
    bool found = fold_get_queue(w->fold, q->id, &there);
    if (is_dead(w))
        return;
    sim_check(w, found, "queue %" PRIu64 " is missing", q->id);
    sim_check(w, there.id == q->id && there.durable == q->durable,
              "queue %" PRIu64 " is another: %" PRIu64 " durable %d", q->id, there.id,
              there.durable);
    sim_check(w,
              (there.next_seq ? there.next_seq : 1) > q->last_seq && there.next_seq <= q->next_seq,
              "queue %" PRIu64 ": next is %" PRIu64 ", not in %" PRIu64 " to %" PRIu64, q->id,
              there.next_seq, q->last_seq + 1, q->next_seq);
    for (int l = 0; l < MODEL_LEVELS; l++) {
        const struct fold_level *level = NULL;
        for (unsigned i = 0; i < there.level_count; i++) {
            if (there.levels[i].level == model_levels[l])
                level = &there.levels[i];
        }
        check_level(w, q, model_levels[l], level);
    }
}

/* ---- messages ---- */

static void check_entry(struct world *w, const struct model_queue *q, const struct entry *e,
                        bool redelivered)
{
    sim_check(w, e->seq && e->seq < q->next_seq, "queue %" PRIu64 ": seq %" PRIu64 " invented",
              q->id, e->seq);
    const struct model_message *m = &q->messages[e->seq];
    sim_check(w, m->state == MODEL_LIVE, "queue %" PRIu64 ": seq %" PRIu64 " is back (state %d)",
              q->id, e->seq, m->state);
    sim_check(w,
              e->level == m->level && e->transient == m->transient && e->expiry == m->expiry &&
                  e->id == m->id && e->count == m->count,
              "queue %" PRIu64 ": seq %" PRIu64 " differs: level %u %u, transient %d %d, expiry "
              "%" PRIu64 " %" PRIu64 ", id %" PRIu64 " %" PRIu64 ", count %u %u",
              q->id, e->seq, e->level, m->level, e->transient, m->transient, e->expiry, m->expiry,
              e->id, m->id, e->count, m->count);
    bool expected = m->count || e->seq < q->redelivered_below;
    sim_check(w, redelivered == expected, "queue %" PRIu64 ": seq %" PRIu64 " redelivered %d",
              q->id, e->seq, redelivered);
    model_content(m->uid, &w->room);
    const struct content *a = &e->content, *b = &w->room.content;
    sim_check(w,
              e->body_len == b->body.len && slice_eq(a->names, b->names) &&
                  slice_eq(a->properties, b->properties) && slice_eq(a->hidden, b->hidden) &&
                  slice_eq(a->body, b->body) && a->flags == b->flags,
              "queue %" PRIu64 ": seq %" PRIu64 " (id %" PRIu64
              ") has another content: body of %zu (%" PRIu64 "), not %zu bytes",
              q->id, e->seq, e->id, a->body.len, e->body_len, b->body.len);
}

static uint64_t next_live(const struct model_queue *q, uint16_t level, uint64_t from)
{
    for (uint64_t seq = from; seq < q->next_seq; seq++) {
        if (q->messages[seq].state == MODEL_LIVE && q->messages[seq].level == level)
            return seq;
    }
    return UINT64_MAX;
}

/* False: the power went meanwhile. */
static bool check_range(struct world *w, const struct model_queue *q, uint16_t level, uint64_t from,
                        uint64_t to, bool one_page)
{
    struct fold_query query = {.queue = q->id, .from = from, .to = to, .level = level};
    uint64_t expected = next_live(q, level, from);
    bool more = true;
    while (more) {
        struct fold_page page = {0};
        query.max_count = 1 + (uint32_t)rnd(w, 40);
        query.max_bytes = one_in(w, 3) ? 1 + rnd(w, 20000) : 1 << 20;
        fold_read(w->fold, &query, &page);
        if (is_dead(w)) {
            fold_page_fini(&page);
            return false;
        }
        sim_check(w, page.lost == 0, "queue %" PRIu64 ": %" PRIu64 " messages lost", q->id,
                  page.lost);
        sim_check(w, page.count <= query.max_count, "a page of %zu messages", page.count);
        for (size_t i = 0; i < page.count; i++) {
            sim_check(w, page.entries[i].seq == expected,
                      "queue %" PRIu64 " level %u from %" PRIu64 " to %" PRIu64 ": seq %" PRIu64
                      " read where %" PRIu64 " should be",
                      q->id, level, query.from, to, page.entries[i].seq, expected);
            check_entry(w, q, &page.entries[i], page.redelivered[i]);
            expected = next_live(q, level, expected + 1);
        }
        bool all = page.next > to || page.next == UINT64_MAX;
        sim_check(w, page.next > query.from, "a read that goes nowhere");
        sim_check(w, page.next <= expected || all,
                  "queue %" PRIu64 " level %u: %" PRIu64 " passed over by next %" PRIu64, q->id,
                  level, expected, page.next);
        more = !all && !one_page;
        if (all)
            sim_check(w, expected > to || expected == UINT64_MAX,
                      "queue %" PRIu64 " level %u from %" PRIu64 " to %" PRIu64 ": %" PRIu64
                      " is missing",
                      q->id, level, from, to, expected);
        query.from = page.next;
        fold_page_fini(&page);
    }
    return true;
}

static bool is_live(const struct model_queue *q, uint16_t level, uint64_t seq)
{
    return q->messages[seq].state == MODEL_LIVE && q->messages[seq].level == level;
}

/* Messages by their numbers, some of which are gone. */
static void check_named(struct world *w, const struct model_queue *q, uint16_t level)
{
    enum { MOST = 64 };
    uint64_t seqs[MOST], step = 1 + rnd(w, 30), seq = rnd(w, q->next_seq);
    uint32_t n = 0;
    for (; n < MOST && seq < q->next_seq; seq += 1 + rnd(w, step))
        seqs[n++] = seq;
    if (!n)
        return;
    struct fold_query query = {.queue = q->id,
                               .from = seqs[0],
                               .to = seqs[n - 1],
                               .level = level,
                               .max_count = one_in(w, 3) ? 1 + (uint32_t)rnd(w, 10) : MOST,
                               .max_bytes = one_in(w, 3) ? 1 + rnd(w, 20000) : 1 << 20,
                               .seqs = seqs,
                               .seq_count = n};
    struct fold_page page = {0};
    fold_read(w->fold, &query, &page);
    size_t at = 0;
    for (uint32_t i = 0; !is_dead(w) && i < n && seqs[i] < page.next; i++) {
        bool there = at < page.count && page.entries[at].seq == seqs[i];
        sim_check(w, there == is_live(q, level, seqs[i]),
                  "queue %" PRIu64 " level %u: seq %" PRIu64 " is %s", q->id, level, seqs[i],
                  there ? "there" : "missing");
        if (there) {
            check_entry(w, q, &page.entries[at], page.redelivered[at]);
            at++;
        }
    }
    sim_check(w, is_dead(w) || (at == page.count && page.next > query.from),
              "queue %" PRIu64 ": more was read than asked for, or nothing", q->id);
    fold_page_fini(&page);
}

void check_page(struct world *w)
{
    const struct model_queue *q = &w->fed.queues[rnd(w, MODEL_QUEUES)];
    if (!q->id)
        return;
    if (one_in(w, 3)) {
        check_named(w, q, model_levels[rnd(w, MODEL_LEVELS)]);
        return;
    }
    uint64_t from = rnd(w, q->next_seq + 1), to = one_in(w, 2) ? UINT64_MAX : from + rnd(w, 60);
    check_range(w, q, model_levels[rnd(w, MODEL_LEVELS)], from, to, true);
}

/* ---- definitions ---- */

struct walk {
    struct world *w;
    unsigned noun, key;
    unsigned seen;
    char last[64];
    size_t last_len;
};

static void on_definition(struct slice key, struct slice value, void *arg)
{
    struct walk *walk = arg;
    struct world *w = walk->w;
    sim_check(w, !walk->seen || slice_cmp(slice_of(walk->last, walk->last_len), key) < 0,
              "definitions out of order at %.*s", SLICE_ARG(key));
    sim_check(w, key.len <= sizeof walk->last, "a key of %zu bytes", key.len);
    memcpy(walk->last, key.data, key.len);
    walk->last_len = key.len;
    walk->seen++;
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        char room[64];
        if (!slice_eq(model_key(walk->noun, k, room), key))
            continue;
        uint32_t uid = w->fed.definitions[walk->noun][k];
        sim_check(w, uid, "definition %.*s is back", SLICE_ARG(key));
        sim_check(w, slice_eq(value, model_value(uid, &w->room)),
                  "definition %.*s has another value", SLICE_ARG(key));
        return;
    }
    sim_fail(w, "definition %.*s invented", SLICE_ARG(key));
}

static void check_definitions(struct world *w)
{
    for (unsigned noun = 0; noun < MODEL_NOUNS; noun++) {
        struct walk walk = {.w = w, .noun = noun};
        unsigned count = 0;
        for (unsigned k = 0; k < MODEL_KEYS; k++)
            count += w->fed.definitions[noun][k] != 0;
        fold_each_definition(w->fold, (uint8_t)noun, on_definition, &walk);
        if (is_dead(w))
            return;
        sim_check(w, walk.seen == count, "%u definitions of noun %u, not %u", walk.seen, noun,
                  count);
    }
}

/* ---- all ---- */

struct listing {
    struct world *w;
    unsigned seen;
};

static void on_queue(uint64_t id, bool durable, void *arg)
{
    struct listing *l = arg;
    for (int i = 0; i < MODEL_QUEUES; i++) {
        const struct model_queue *q = &l->w->fed.queues[i];
        if (q->id == id && q->durable == durable) {
            l->seen |= 1u << i;
            return;
        }
    }
    sim_fail(l->w, "queue %" PRIu64 " (durable %d) invented", id, durable);
}

void check_all(struct world *w)
{
    struct listing l = {.w = w};
    if (w->damaged) {
        check_lenient(w);
        return;
    }
    fold_each_queue(w->fold, on_queue, &l);
    for (int i = 0; i < MODEL_QUEUES; i++) {
        const struct model_queue *q = &w->fed.queues[i];
        if (is_dead(w))
            return;
        sim_check(w, (l.seen >> i & 1) == (q->id != 0), "queue %" PRIu64 " is not listed", q->id);
        if (!q->id)
            continue;
        check_counters(w, q);
        for (int level = 0; level < MODEL_LEVELS; level++) {
            if (!check_range(w, q, model_levels[level], 0, UINT64_MAX, false))
                return;
        }
    }
    check_definitions(w);
    if (is_dead(w))
        return;
    sim_check(w, fold_last_queue_id(w->fold) >= w->fed.last_queue_id, "queue ids start again");
    sim_check(w, fold_last_message_id(w->fold) >= w->fed.last_message_id,
              "message ids start again");
}

/* ---- with damage ---- */

static bool was_there(struct world *w, uint64_t queue, const struct entry *e)
{
    for (size_t i = 0; i < w->history_count; i++) {
        const struct op *op = &w->history[i];
        if (op->number != queue || op->first != e->seq || op->last != e->id)
            continue;
        model_content(op->uid, &w->room);
        const struct content *a = &e->content, *b = &w->room.content;
        if (op->level == e->level && slice_eq(a->names, b->names) &&
            slice_eq(a->properties, b->properties) && slice_eq(a->hidden, b->hidden) &&
            slice_eq(a->body, b->body) && a->flags == b->flags)
            return true;
    }
    return false;
}

static void read_lenient(uint64_t id, bool durable, void *arg)
{
    struct world *w = arg;
    (void)durable;
    for (int l = 0; l < MODEL_LEVELS; l++) {
        struct fold_query query = {.queue = id,
                                   .to = UINT64_MAX,
                                   .level = model_levels[l],
                                   .max_count = 20,
                                   .max_bytes = 1 << 16};
        uint64_t last = 0;
        do {
            struct fold_page page = {0};
            fold_read(w->fold, &query, &page);
            for (size_t i = 0; i < page.count; i++) {
                const struct entry *e = &page.entries[i];
                sim_check(w, e->seq > last, "queue %" PRIu64 " out of order at %" PRIu64, id,
                          e->seq);
                sim_check(w, was_there(w, id, e), "queue %" PRIu64 ": seq %" PRIu64 " is wrong", id,
                          e->seq);
                last = e->seq;
            }
            sim_check(w, page.next > query.from, "a read that goes nowhere");
            query.from = page.next;
            fold_page_fini(&page);
        } while (query.from <= UINT32_MAX && query.from);
    }
}

static void on_some_definition(struct slice key, struct slice value, void *arg)
{
    (void)key;
    (void)value;
    (void)arg;
}

struct ids {
    uint64_t ids[256];
    size_t count;
};

static void collect(uint64_t id, bool durable, void *arg)
{
    struct ids *list = arg;
    (void)durable;
    if (list->count < 256)
        list->ids[list->count++] = id;
}

void check_lenient(struct world *w)
{
    static struct fold_queue there;
    struct ids list = {.count = 0};
    fold_each_queue(w->fold, collect, &list);
    for (size_t i = 0; i < list.count; i++) {
        fold_get_queue(w->fold, list.ids[i], &there);
        read_lenient(list.ids[i], true, w);
    }
    for (unsigned noun = 0; noun < MODEL_NOUNS; noun++)
        fold_each_definition(w->fold, (uint8_t)noun, on_some_definition, w);
}

/* ---- the end ---- */

static bool on_blob(const char *name, void *arg)
{
    sim_fail(arg, "a body is left: blobs/%s", name);
}

void check_empty(struct world *w)
{
    static const struct {
        enum kv_table t;
        const char *name;
    } tables[] = {{KV_DEFS, "definitions"}, {KV_QUEUES, "queues"},   {KV_BLOCKS, "blocks"},
                  {KV_HOLES, "holes"},      {KV_COUNTS, "counts"},   {KV_MESSAGES, "messages"},
                  {KV_REFS, "refs"},        {KV_PENDING, "pending"}, {KV_SET_ASIDE, "set aside"}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        sim_check(w, kv_memory_count(w->kv, tables[i].t) == 0, "%zu rows are left in %s",
                  kv_memory_count(w->kv, tables[i].t), tables[i].name);
    int status = disk_list(w->disk, "blobs", on_blob, w);
    bug_on(status < 0 && status != -ENOENT);
}
