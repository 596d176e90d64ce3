/* After a start: what was promised is there, what is there was there, and what is uncertain is
 * uncertain as a whole. */
#include "base/bug.h"
#include "base/mem.h"
#include "broker/queue/ready.h"
#include "meta/routing.h"
#include "tests/sim/broker_sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum answer { NO, MAYBE, YES };

static enum answer by_transaction(uint64_t id)
{
    const struct shadow_transaction *t = shadow_transaction(id);
    return t->safe ? YES : t->asked ? MAYBE : NO;
}

/* It came to the disk. */
static enum answer has_come(const struct shadow *q, const struct copy *c)
{
    if (!c->stored)
        return NO;
    if (c->came_by)
        return by_transaction(c->came_by);
    return c->promised || c->came <= sim->safe[q->shard] ? YES : MAYBE;
}

/* That it went did. */
static enum answer has_gone(const struct shadow *q, const struct copy *c)
{
    if (c->live || c->unrecorded)
        return NO;
    if (c->went_by)
        return by_transaction(c->went_by);
    return c->promised_gone || c->went <= sim->safe[q->shard] ? YES : MAYBE;
}

/* Times that it was given back by what is on the disk. */
static uint32_t least_count(const struct shadow *q, const struct copy *c)
{
    bool safe =
        c->counted_by ? by_transaction(c->counted_by) == YES : c->counted <= sim->safe[q->shard];
    return safe ? c->count : c->safe_count;
}

static void decide(uint64_t transaction, bool whole, const struct shadow *q, const struct copy *c)
{
    struct shadow_transaction *t = shadow_transaction(transaction);
    enum verdict verdict = whole ? WHOLE : NOTHING;
    sim_check(t->verdict == OPEN || t->verdict == verdict,
              "queue %s: message %u says that transaction %" PRIu64 " %s, others did not",
              sim->plans[q->name].name, c->uid, transaction, whole ? "happened" : "did not happen");
    t->verdict = verdict;
}

/* ---- one message ---- */

static void check_content(const struct shadow *q, const struct copy *c, const struct entry *e)
{
    const char *name = sim->plans[q->name].name;
    sim_check(slice_eq(e->content.body, check_body(c->uid)),
              "queue %s: message %u has another body", name, c->uid);
    sim_check(e->level == c->level, "queue %s: message %u has level %u, not %u", name, c->uid,
              e->level, c->level);
    sim_check(e->expiry == c->expiry, "queue %s: message %u expires at %" PRIu64 ", not %" PRIu64,
              name, c->uid, e->expiry, c->expiry);
    sim_check(e->count >= least_count(q, c) && e->count <= c->count,
              "queue %s: message %u was returned %u to %u times, not %u", name, c->uid,
              least_count(q, c), c->count, e->count);
    sim_check(!e->transient, "queue %s: message %u is transient", name, c->uid);
}

/* The marks are those of what was given back, and after a crash of all that may have been seen. */
static void check_redelivered(const struct shadow *q, const struct copy *c, const struct entry *e,
                              bool redelivered)
{
    const char *name = sim->plans[q->name].name;
    bool certain = e->count || c->redelivered;
    if (sim->ended_well) {
        sim_check(redelivered == certain, "queue %s: message %u is redelivered %d", name, c->uid,
                  redelivered);
        return;
    }
    sim_check(redelivered || !(certain || c->seen), "queue %s: message %u was seen before", name,
              c->uid);
    sim_check(!redelivered || certain || q->touched,
              "queue %s: message %u is redelivered for no reason", name, c->uid);
}

static void check_found(struct shadow *q, const struct entry *e, bool redelivered)
{
    struct copy *c = shadow_copy(q, e->seq);
    const char *name = sim->plans[q->name].name;
    sim_check(has_come(q, c) != NO, "queue %s: message %u (%" PRIu64 ") invented", name, c->uid,
              e->seq);
    sim_check(has_gone(q, c) != YES, "queue %s: message %u (%" PRIu64 ") is back", name, c->uid,
              e->seq);
    check_content(q, c, e);
    check_redelivered(q, c, e, redelivered);
    if (c->came_by)
        decide(c->came_by, true, q, c);
    if (c->went_by)
        decide(c->went_by, false, q, c);
    c->found = true;
    c->count = e->count;
    c->redelivered = redelivered;
}

/* In a quorum queue a message that is given back goes to the tail: it is in one of its places. */
static void check_move(const struct shadow *q, const struct copy *c)
{
    bool certain = false, found = c->found;
    for (uint64_t seq = c->before; seq && !found; seq = q->copies[seq].before) {
        const struct copy *before = &q->copies[seq];
        found = before->found;
        certain |= has_come(q, before) == YES && !before->went_by && !before->acked_by;
    }
    sim_check(found || !certain, "queue %s: message %u is lost on its way to the tail",
              sim->plans[q->name].name, c->uid);
}

/* Nor is it in two: both are written in one piece, also where a crash tears what a turn wrote. */
static void check_one_place(const struct shadow *q, const struct copy *c)
{
    for (uint64_t seq = c->before; seq; seq = q->copies[seq].before)
        sim_check(!q->copies[seq].found, "queue %s: message %u is there twice, as %" PRIu64,
                  sim->plans[q->name].name, c->uid, seq);
}

static void check_missing(struct shadow *q, const struct copy *c)
{
    enum answer came = has_come(q, c), went = has_gone(q, c);
    sim_check(!(came == YES && went == NO), "queue %s: message %u (%zu) is lost",
              sim->plans[q->name].name, c->uid, (size_t)(c - q->copies));
    if (came == YES && went == MAYBE && c->went_by)
        decide(c->went_by, true, q, c);
    if (went == NO && came == MAYBE && c->came_by)
        decide(c->came_by, false, q, c);
    if (c->live)
        check_move(q, c);
}

/* ---- a queue ---- */

static void check_level(const struct shadow *q, const struct fold_queue *there, unsigned level,
                        uint64_t count, uint64_t bytes)
{
    const struct fold_level *l = NULL;
    for (unsigned i = 0; i < there->level_count; i++) {
        if (there->levels[i].level == level)
            l = &there->levels[i];
    }
    sim_check((l ? l->count : 0) == count && (l ? l->bytes : 0) == bytes,
              "queue %s, level %u: %" PRIu64 " messages of %" PRIu64 " bytes, counted %" PRIu64
              " of %" PRIu64,
              sim->plans[q->name].name, level, count, bytes, l ? l->count : 0, l ? l->bytes : 0);
}

static void read_level(struct shadow *q, const struct fold_queue *there, unsigned level)
{
    struct fold_query query = {.queue = q->id,
                               .to = UINT64_MAX,
                               .level = (uint16_t)level,
                               .max_count = 1 + (uint32_t)rnd(60),
                               .max_bytes = 1 + rnd(100000)};
    uint64_t last = 0, count = 0, bytes = 0;
    do {
        struct fold_page page = {0};
        fold_read(store_fold(sim->store), &query, &page);
        sim_check(!page.lost, "queue %s: a page lacks messages", sim->plans[q->name].name);
        for (size_t i = 0; i < page.count; i++) {
            const struct entry *e = &page.entries[i];
            sim_check(e->seq > last, "queue %s: out of order", sim->plans[q->name].name);
            sim_trace("  found %" PRIu64 " of queue %s, returned %u times%s\n", e->seq,
                      sim->plans[q->name].name, e->count,
                      page.redelivered[i] ? ", redelivered" : "");
            check_found(q, e, page.redelivered[i]);
            last = e->seq;
            count++;
            bytes += e->body_len;
        }
        query.from = page.next;
        fold_page_fini(&page);
    } while (query.from != UINT64_MAX);
    check_level(q, there, level, count, bytes);
}

/* The shadow is what was found. */
static void adopt(struct shadow *q, uint64_t next)
{
    q->live = q->live_bytes = 0;
    for (uint64_t seq = 1; seq < q->next; seq++) {
        struct copy *c = &q->copies[seq];
        if (!c->uid)
            continue;
        *c = (struct copy){.uid = seq < next ? c->uid : 0,
                           .level = c->level,
                           .live = c->found,
                           .stored = c->found,
                           .redelivered = c->redelivered,
                           .seen = c->seen,
                           .count = c->count,
                           .safe_count = c->count,
                           .expiry = c->expiry,
                           .promised = true,
                           .promised_gone = !c->found};
        q->live += c->live;
        q->live_bytes += c->live ? sim->messages[c->uid].size : 0;
    }
    q->next = next;
    q->declared = true;
    q->deleting = q->no_ack = q->purged = false;
    q->touched &= sim->full; /* with no room for the checkpoint the journal says it again */
}

static void check_queue(struct shadow *q)
{
    static struct fold_queue there;
    uint64_t last = 0;
    if (!fold_get_queue(store_fold(sim->store), q->id, &there))
        there = (struct fold_queue){.id = q->id, .next_seq = 1};
    for (uint64_t seq = 1; seq < q->next; seq++)
        q->copies[seq].found = false;
    for (unsigned level = 0; level < 4; level++)
        read_level(q, &there, level);
    for (unsigned level = 252; level < 255 && sim->plans[q->name].rules.max_priority > 3; level++)
        read_level(q, &there, level);
    read_level(q, &there, 255);
    if (shadow_later_level(q) != 255)
        read_level(q, &there, shadow_later_level(q));
    for (uint64_t seq = 1; seq < q->next; seq++) {
        const struct copy *c = &q->copies[seq];
        if (c->uid && !c->found)
            check_missing(q, c);
        if (c->uid && c->found)
            check_one_place(q, c);
        if (c->uid && (c->found || has_come(q, c) == YES))
            last = seq;
    }
    uint64_t next = there.next_seq ? there.next_seq : 1;
    sim_check(next > last && next <= q->next,
              "queue %s: next is %" PRIu64 ", not %" PRIu64 " to %" PRIu64,
              sim->plans[q->name].name, next, last + 1, q->next);
    q->found_next = next;
}

/* A message that left as a dead letter, and is not where it was, came to where it went. */
static void check_letter(const struct shadow *from, const struct shadow *to, const struct copy *c)
{
    for (uint64_t seq = 1; seq < to->next; seq++) {
        const struct copy *there = &to->copies[seq];
        if (there->uid == c->uid && (there->found || !there->stored || has_gone(to, there) != NO))
            return;
    }
    sim_fail("dead letter %u of queue %s is lost", c->uid, sim->plans[from->name].name);
}

static void check_letters(const struct shadow *q, unsigned name)
{
    const struct shadow *to = NULL;
    size_t there = 0;
    for (size_t i = 0; i < sim->shadow_count; i++) {
        if (sim->shadows[i].name == name) {
            to = &sim->shadows[i];
            there++;
        }
    }
    /* of several with the name, all but one deleted, none is sure */
    if (there != 1 || !to->stores || to->deleting || to->deleted || q->deleting ||
        sim->plans[to->name].rules.overflow != OVERFLOW_DROP_HEAD ||
        sim->plans[to->name].rules.deduplicates)
        return;
    for (uint64_t seq = 1; seq < q->next; seq++) {
        const struct copy *c = &q->copies[seq];
        if (!c->uid)
            continue; /* a number that no message got */
        bool kept = sim->plans[to->name].quorum || sim->messages[c->uid].persistent;
        if (c->followed >> name & 1 && !c->found && c->stored && !c->went_by && kept &&
            has_come(q, c) == YES)
            check_letter(q, to, c);
    }
}

/* It may have been there, and be gone from there. */
static bool was_in(const struct shadow *to, uint32_t uid)
{
    for (uint64_t seq = 1; seq < to->next; seq++) {
        const struct copy *c = &to->copies[seq];
        if (c->uid == uid && (c->found || !c->stored || has_gone(to, c) != NO))
            return true;
    }
    return false;
}

/* Of a queue that keeps dead letters: it is there, or was let go of; or it is where it goes to. */
static bool is_letter_somewhere(const struct shadow *q, const struct copy *letter)
{
    const struct plan *plan = &sim->plans[q->name];
    for (uint64_t seq = 1; seq < q->next; seq++) {
        const struct copy *c = &q->copies[seq];
        if (c->uid == letter->uid && (c->found || (!c->letter && has_gone(q, c) != NO)))
            return true;
    }
    for (size_t i = 0; i < sim->shadow_count; i++) {
        const struct shadow *to = &sim->shadows[i];
        unsigned name = to->name + 1;
        if ((name == plan->letters_to || name == plan->letters_also) &&
            (!to->stores || to->deleting || was_in(to, letter->uid)))
            return true;
    }
    return false;
}

/* What comes there is seen, and stays in the shadow. */
static bool is_witness(unsigned name)
{
    const struct plan *p = name ? &sim->plans[name - 1] : NULL;
    return !p || (!p->forgotten && !p->rules.deduplicates);
}

static void check_kept(const struct shadow *q)
{
    const struct plan *plan = &sim->plans[q->name];
    if (!plan->rules.keeps_letters || q->deleting || !is_witness(plan->letters_to) ||
        !is_witness(plan->letters_also))
        return;
    for (uint64_t seq = 1; seq < q->next; seq++) {
        const struct copy *c = &q->copies[seq];
        if (c->uid && c->letter && c->stored && !c->found && !c->went_by &&
            (plan->quorum || sim->messages[c->uid].persistent) && has_come(q, c) == YES)
            sim_check(is_letter_somewhere(q, c), "letter %u, which queue %s keeps, is lost", c->uid,
                      plan->name);
    }
}

static bool is_defined(const struct shadow *q)
{
    const struct vhost *v = routing_find_vhost(routing_of(node_shard(sim->node, 0)), SLICE("/"));
    struct target_queue *t = v ? vhost_find_queue(v, slice_str(sim->plans[q->name].name)) : NULL;
    return t && t->def->id == q->id;
}

void check_recovery(void)
{
    for (size_t i = sim->shadow_count; i-- > 0;) {
        struct shadow *q = &sim->shadows[i];
        const struct plan *plan = &sim->plans[q->name];
        bool defined = is_defined(q);
        sim_check(defined || !plan->durable || !q->declared || q->deleting, "queue %s is lost",
                  plan->name);
        sim_check(!defined || (plan->durable && !q->deleted), "queue %s is back", plan->name);
        if (defined)
            check_queue(q);
    }
    for (size_t i = 0; i < sim->shadow_count; i++) {
        for (unsigned name = 0; name < sim->queue_count; name++)
            check_letters(&sim->shadows[i], name);
    }
    for (size_t i = 0; i < sim->shadow_count; i++)
        check_kept(&sim->shadows[i]);
    for (size_t i = 0; i < sim->shadow_count; i++) {
        if (is_defined(&sim->shadows[i]))
            adopt(&sim->shadows[i], sim->shadows[i].found_next);
    }
    for (size_t i = sim->shadow_count; i-- > 0;) {
        if (!is_defined(&sim->shadows[i]))
            shadow_forget(&sim->shadows[i]);
    }
    sim->transaction_count = 0;
    for (unsigned i = 0; i < SIM_SHARDS; i++)
        sim->effects[i] = sim->written[i] = sim->safe[i] = 0;
}

/* ---- the end ---- */

static bool on_blob(const char *name, void *unused)
{
    (void)unused;
    sim_fail("a body is left: blobs/%s", name);
}

void check_empty(void)
{
    static const struct {
        enum kv_table t;
        const char *name;
    } tables[] = {{KV_QUEUES, "queues"},   {KV_BLOCKS, "blocks"},      {KV_HOLES, "holes"},
                  {KV_COUNTS, "counts"},   {KV_REFS, "refs"},          {KV_MESSAGES, "messages"},
                  {KV_PENDING, "pending"}, {KV_SET_ASIDE, "set aside"}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        size_t n = kv_memory_count(power_kv(), tables[i].t);
        sim_check(n == 0, "%zu rows are left in %s", n, tables[i].name);
    }
    int status = disk_list(power_disk(), "blobs", on_blob, NULL);
    bug_on(status < 0 && status != -ENOENT);
}
