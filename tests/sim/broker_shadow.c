/* Listens to what queues tell the recorder, and to when the store says that it is safe. */
#include "base/bug.h"
#include "base/clock.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/durable.h"
#include "broker/queue/actor.h"
#include "broker/queue/recorder.h"
#include "tests/sim/broker_sim.h"

#include <inttypes.h>
#include <stdlib.h>

/* Waits as the broker's own: what was written before is safe then. */
struct probe {
    struct store_wait wait;
    struct list link;
    unsigned shard;
    uint64_t written;
};

struct shadow *shadow_find(uint64_t id)
{
    for (size_t i = 0; i < sim->shadow_count; i++) {
        if (sim->shadows[i].id == id)
            return &sim->shadows[i];
    }
    return NULL;
}

static struct copy *place(struct shadow *q, uint64_t seq)
{
    size_t old = q->cap;
    MEM_GROW(q->copies, q->cap, seq + 1);
    if (q->cap > old)
        memset(q->copies + old, 0, (q->cap - old) * sizeof *q->copies);
    if (seq >= q->next)
        q->next = seq + 1;
    return &q->copies[seq];
}

struct copy *shadow_copy(struct shadow *q, uint64_t seq)
{
    sim_check(seq < q->next && q->copies[seq].uid, "queue %" PRIu64 " has no message %" PRIu64,
              q->id, seq);
    return &q->copies[seq];
}

struct shadow_transaction *shadow_transaction(uint64_t id)
{
    for (size_t i = 0; i < sim->transaction_count; i++) {
        if (sim->transactions[i].id == id)
            return &sim->transactions[i];
    }
    MEM_GROW(sim->transactions, sim->transaction_cap, sim->transaction_count + 1);
    struct shadow_transaction *t = &sim->transactions[sim->transaction_count++];
    *t = (struct shadow_transaction){.id = id};
    return t;
}

void shadow_forget(struct shadow *q)
{
    sim->plans[q->name].forgotten = true;
    free(q->copies);
    *q = sim->shadows[--sim->shadow_count];
}

void shadow_fini(void)
{
    while (sim->shadow_count)
        shadow_forget(&sim->shadows[0]);
    free(sim->shadows);
    free(sim->transactions);
}

void shadow_end_life(void)
{
    while (!list_empty(&sim->probes)) {
        struct probe *p = list_entry(sim->probes.next, struct probe, link);
        list_remove(&p->link);
        free(p);
    }
}

/* ---- effects ---- */

/* A body begins with the message's number. */
static uint32_t uid_of(const struct msg *m)
{
    uint32_t uid;
    bug_on(m->body_len < sizeof uid);
    memcpy(&uid, m->body, sizeof uid);
    sim_check(uid && uid < sim->message_count, "message %u invented", uid);
    return uid;
}

static void check_order(struct shadow *q, uint32_t uid)
{
    const struct message *m = &sim->messages[uid];
    if (sim->plans[q->name].letters_come)
        return;
    sim_check(m->targets >> q->name & 1, "message %u came to queue %s", uid,
              sim->plans[q->name].name);
    sim_check(uid > q->last[m->client], "message %u came to queue %s after %u", uid,
              sim->plans[q->name].name, q->last[m->client]);
    q->last[m->client] = uid;
}

/* It was to move to a queue, which has gone: it comes back. */
static const struct copy *find_picked(const struct shadow *q, uint32_t uid)
{
    for (uint64_t seq = q->next; seq-- > 1;) {
        if (q->copies[seq].uid == uid && q->copies[seq].picked_to)
            return &q->copies[seq];
    }
    return NULL;
}

/* As it was: with its count and its time, and what waited waits. */
static void check_same(const struct shadow *q, const struct copy *before, const struct effect *e,
                       uint64_t wall)
{
    if (sim->plans[q->name].letters_come)
        return;
    sim_check(!before->live && before->level == e->level && before->count == e->delivery_count &&
                  before->expiry == (e->expiry ? e->expiry + wall : 0),
              "queue %s: message %u does not come back as it was", sim->plans[q->name].name,
              before->uid);
}

bool shadow_is_one_of_a_kind(const struct shadow *q, uint32_t uid)
{
    return sim->plans[q->name].rules.deduplicates && sim->messages[uid].value;
}

unsigned shadow_later_level(const struct shadow *q)
{
    return sim->plans[q->name].rules.max_priority == 255 ? 256 : 255;
}

/* A dead letter that has not come to all queues; its old place is left in the log after that. Its
 * value is free again. */
static bool is_kept(const struct shadow *q, unsigned level, uint32_t count)
{
    return level == shadow_later_level(q) && count >> 31;
}

/* None of its kind is there; but transactions and dead letters do not wait for each
 * other. Of what is not stored it is not known whether it is part of one. */
static void check_alone(const struct shadow *q, uint32_t uid, uint64_t transaction, bool stored)
{
    bool may_be_two = transaction || !stored || sim->plans[q->name].letters_come;
    if (!shadow_is_one_of_a_kind(q, uid))
        return;
    for (uint64_t seq = 1; seq < q->next; seq++) {
        const struct copy *c = &q->copies[seq];
        if (!c->uid || !c->live || sim->messages[c->uid].value != sim->messages[uid].value ||
            is_kept(q, c->level, c->count))
            continue;
        sim_check(may_be_two && c->came_by && c->came_by != transaction,
                  "message %u came to queue %s, where %u is", uid, sim->plans[q->name].name,
                  c->uid);
    }
}

/* It was in the queue already, and leaves its old place in the same moment: given back to the tail,
 * or to wait, or since it has waited long enough. */
static bool is_move(const struct shadow *q, const struct effect_log *log, size_t i)
{
    const struct effect *came = &log->effects[i], *went = came + 1;
    return came->kind == EFFECT_ENQ && !came->paged && i + 1 < log->count &&
           went->kind == EFFECT_SETTLE && went->seq < came->seq &&
           q->copies[went->seq].uid == uid_of(came->msg);
}

/* It waited, and the store has it, or had it in this life. */
static bool has_waited(const struct shadow *q, const struct copy *c, uint64_t seq)
{
    return c->uid && c->level == shadow_later_level(q) && (c->stored || seq >= q->found_next);
}

/* A message has waited: so has everything that waits equally long and came before it. That is not
 * so in a queue where what came later was due before, also if it has left since: the clock was set
 * back, or a policy made the time shorter. Parts of it are read for one time then, each when it is
 * needed, and may be late for another. */
static void check_turn(const struct shadow *q, uint64_t seq)
{
    const struct copy *before = NULL;
    uint64_t latest = 0;
    if (q->copies[seq].level != shadow_later_level(q))
        return;
    for (uint64_t s = 1; s < q->next; s++) {
        const struct copy *c = &q->copies[s];
        if (!has_waited(q, c, s))
            continue;
        if (c->expiry < latest)
            return;
        latest = c->expiry;
        if (c->live && s < seq)
            before = c;
    }
    sim_check(!before, "queue %s: message %u leaves its delay before %u", sim->plans[q->name].name,
              q->copies[seq].uid, before ? before->uid : 0);
}

static bool has_uid(const struct shadow *q, uint32_t uid)
{
    for (uint64_t seq = 1; seq < q->next; seq++) {
        if (q->copies[seq].uid == uid)
            return true;
    }
    return false;
}

/* The letter stays: it was refused, or not sent, and is to come later to those that lack it. */
static void follow_no_more(struct shadow *q, uint32_t uid)
{
    for (size_t i = 0; i < sim->shadow_count; i++) {
        const struct shadow *to = &sim->shadows[i];
        bool came = has_uid(to, uid);
        for (uint64_t seq = 1; seq < q->next && !came; seq++) {
            if (q->copies[seq].uid == uid)
                q->copies[seq].followed &= ~(1u << to->name);
        }
    }
}

static void see_enq(struct shadow *q, const struct effect *e, bool moves, uint64_t transaction,
                    uint64_t wall)
{
    struct copy *c = place(q, e->seq);
    uint32_t uid = uid_of(e->msg);
    if (e->paged) {
        sim_check(c->live && c->uid == uid && !c->stored, "paged out: message %u", uid);
        return;
    }
    sim_check(!c->uid, "queue %" PRIu64 ": two messages %" PRIu64, q->id, e->seq);
    if (!moves && !is_kept(q, e->level, e->delivery_count)) {
        const struct copy *picked = find_picked(q, uid);
        if (picked)
            check_same(q, picked, e, wall);
        else
            check_order(q, uid);
        check_alone(q, uid, transaction, e->stored);
    }
    if (is_kept(q, e->level, e->delivery_count))
        follow_no_more(q, uid);
    *c = (struct copy){.uid = uid,
                       .level = e->level,
                       .live = true,
                       .stored = e->stored,
                       .count = e->delivery_count,
                       .safe_count = e->delivery_count,
                       .expiry = e->expiry ? e->expiry + wall : 0,
                       .came = sim->effects[q->shard],
                       .came_by = transaction};
    q->live++;
    q->live_bytes += e->msg->body_len;
}

static void see_gone(struct shadow *q, struct copy *c, uint64_t transaction)
{
    c->live = false;
    c->went = sim->effects[q->shard];
    c->went_by = transaction;
    q->live--;
    q->live_bytes -= sim->messages[c->uid].size;
}

/* The names of queues that there are for the dead letters, and that every shard knows. */
static unsigned targets_of(const struct shadow *q)
{
    const struct plan *plan = &sim->plans[q->name];
    unsigned names = 0;
    for (size_t i = 0; i < sim->shadow_count; i++) {
        const struct shadow *to = &sim->shadows[i];
        bool goes = to->name + 1 == plan->letters_to || to->name + 1 == plan->letters_also;
        bool bound = !plan->letters_also || to->bound >> q->name & 1;
        if (goes && bound && to->declared && !to->deleting && !to->deleted)
            names |= 1u << to->name;
    }
    return names;
}

/* It was to be moved there, and there is no other way that it may have gone. */
static unsigned target_of(const struct shadow *q, const struct copy *c)
{
    if (!c->picked_to || sim->plans[q->name].letters_to)
        return 0;
    for (size_t i = 0; i < sim->shadow_count; i++) {
        const struct shadow *to = &sim->shadows[i];
        if (to->name + 1 == c->picked_to && to->declared && !to->deleting && !to->deleted)
            return 1u << to->name;
    }
    return 0;
}

static void see_settle(struct shadow *q, const struct effect *e, uint64_t transaction)
{
    const struct plan *plan = &sim->plans[q->name];
    for (uint64_t seq = e->seq; seq <= e->last; seq++) {
        if (seq >= q->next || !q->copies[seq].uid || q->copies[seq].level != e->level)
            continue;
        struct copy *c = &q->copies[seq];
        if (e->seq == e->last)
            sim_check(c->live, "queue %" PRIu64 ": message %" PRIu64 " went twice", q->id, seq);
        if (!c->live)
            continue;
        sim_check(!plan->plain || c->acked_by || c->picked || q->no_ack || c->expiry ||
                      plan->quorum || q->deleting,
                  "queue %" PRIu64 ": message %" PRIu64 " went for no reason", q->id, seq);
        see_gone(q, c, transaction);
        c->letter = e->buried && !c->picked;
        c->followed = !e->buried ? 0 : c->picked ? target_of(q, c) : targets_of(q);
        c->unrecorded = e->buried && e->stored && !transaction;
    }
}

static void see_return(const struct shadow *q, struct copy *c, uint32_t count, uint64_t transaction)
{
    if (!c->counted_by && c->counted <= sim->safe[q->shard])
        c->safe_count = c->count;
    c->count = count;
    c->counted = sim->effects[q->shard];
    c->counted_by = transaction;
}

static bool is_consumed(uint64_t queue)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        for (unsigned k = 0; k < SIM_CONSUMERS; k++) {
            const struct client_consumer *there = &sim->clients[i].consumers[k];
            if (there->state == CONSUMER_THERE && there->queue == queue)
                return true;
        }
    }
    return false;
}

/* Nobody asked for its end. */
static void see_end(struct shadow *s)
{
    const struct shard *shard = shard_self();
    for (size_t i = 0; i < listing_count(shard, LISTING_QUEUES) && !s->deleting; i++) {
        const struct queue_face *face = listing_at(shard, LISTING_QUEUES, i);
        if (!queue_actor_is(face))
            continue;
        const struct queue *q = queue_actor_queue(face);
        if (queue_get_def(q)->id != s->id || !queue_is_dead(q))
            continue;
        sim_check(sim->plans[s->name].leaves && !is_consumed(s->id), "queue %s is gone",
                  sim->plans[s->name].name);
        s->deleting = true;
    }
}

static void see_purge(struct shadow *q, const struct effect *e)
{
    see_end(q);
    sim_check(q->purged || q->deleting, "queue %" PRIu64 " purged", q->id);
    size_t k = 0;
    for (uint64_t seq = 1; seq < e->seq && seq < q->next; seq++) {
        while (k < e->kept_count && e->kept[k] < seq)
            k++;
        bool kept = k < e->kept_count && e->kept[k] == seq;
        if (q->copies[seq].uid && q->copies[seq].live && !kept)
            see_gone(q, &q->copies[seq], 0);
    }
}

static void see(struct shadow *q, const struct effect_log *log, size_t i, uint64_t transaction,
                uint64_t wall)
{
    const struct effect *e = &log->effects[i];
    transaction = e->own ? transaction : 0;
    sim->effects[q->shard]++;
    sim_trace("  queue %s: %s %" PRIu64 "..%" PRIu64 " count %u%s%s in %" PRIu64 "\n",
              sim->plans[q->name].name,
              (const char *const[]){"enq", "settle", "return", "purge"}[e->kind], e->seq, e->last,
              e->delivery_count, e->stored ? " stored" : "", e->paged ? " paged" : "", transaction);
    switch (e->kind) {
    case EFFECT_ENQ:
        if (sim->plans[q->name].delays && !sim->plans[q->name].may_keep && is_move(q, log, i))
            check_turn(q, e[1].seq);
        see_enq(q, e, is_move(q, log, i), transaction, wall);
        return;
    case EFFECT_SETTLE:
        see_settle(q, e, transaction);
        return;
    case EFFECT_RETURN: {
        struct copy *c = shadow_copy(q, e->seq);
        sim_check(c->live && e->delivery_count == c->count + 1, "queue %" PRIu64 ": count", q->id);
        see_return(q, c, e->delivery_count, transaction);
        return;
    }
    case EFFECT_PURGE:
        see_purge(q, e);
    }
}

/* What moves comes to its new place, and goes where it was. */
static void note_moves(struct shadow *q, const struct effect_log *log)
{
    for (size_t i = 0; i + 1 < log->count; i++) {
        if (is_move(q, log, i))
            q->copies[log->effects[i].seq].before = log->effects[i + 1].seq;
    }
}

/* A persistent message of a durable queue is not stored only if it was gone at once. */
static void check_stored(const struct shadow *q, const struct effect *e)
{
    const struct copy *c = &q->copies[e->seq];
    if (e->kind == EFFECT_ENQ && !e->stored && q->stores && sim->messages[c->uid].persistent)
        sim_check(!c->live, "queue %" PRIu64 ": message %" PRIu64 " is not stored", q->id, e->seq);
}

void __real_recorder_take(struct recorder *r, struct recorded *q, uint64_t transaction,
                          uint64_t now_ms);
void __wrap_recorder_take(struct recorder *r, struct recorded *q, uint64_t transaction,
                          uint64_t now_ms);
void __real_recorder_init(struct recorder *r, struct store_log *log);
void __wrap_recorder_init(struct recorder *r, struct store_log *log);
void __real_recorder_settle(struct recorder *r, struct recorded *q, uint16_t level, uint64_t seq);
void __wrap_recorder_settle(struct recorder *r, struct recorded *q, uint16_t level, uint64_t seq);
void __real_recorder_flush(struct recorder *r);
void __wrap_recorder_flush(struct recorder *r);
void __real_recorded_init(struct recorded *q, const struct queue_def *def);
void __wrap_recorded_init(struct recorded *q, const struct queue_def *def);
void __real_store_sync(struct store_log *log, struct store_wait *wait);
void __wrap_store_sync(struct store_log *log, struct store_wait *wait);

void __wrap_recorder_take(struct recorder *r, struct recorded *q, uint64_t transaction,
                          uint64_t now_ms)
{
    struct shadow *shadow = shadow_find(q->id);
    uint64_t wall = clock_wall_offset(&r->wall, now_ms);
    if (!shadow)
        once_see(q->id, &r->effects);
    if (!shadow || power_is_cut()) { /* a life after death */
        __real_recorder_take(r, q, transaction, now_ms);
        return;
    }
    for (size_t i = 0; i < r->effects.count; i++)
        see(shadow, &r->effects, i, transaction, wall);
    note_moves(shadow, &r->effects);
    for (size_t i = 0; i < r->effects.count; i++)
        check_stored(shadow, &r->effects.effects[i]);
    __real_recorder_take(r, q, transaction, now_ms);
}

/* A dead letter has arrived, or there is nowhere for it to go. */
void __wrap_recorder_settle(struct recorder *r, struct recorded *q, uint16_t level, uint64_t seq)
{
    struct shadow *shadow = shadow_find(q->id);
    __real_recorder_settle(r, q, level, seq);
    if (power_is_cut())
        return;
    struct copy *c = shadow_copy(shadow, seq);
    sim_check(c->unrecorded && c->level == level, "queue %" PRIu64 ": an end of message %" PRIu64,
              q->id, seq);
    sim_trace("  queue %s: %" PRIu64 " has arrived\n", sim->plans[shadow->name].name, seq);
    c->unrecorded = false;
    c->went = ++sim->effects[shadow->shard];
}

/* Transient messages are to be seen too. */
void __wrap_recorder_init(struct recorder *r, struct store_log *log)
{
    __real_recorder_init(r, log);
    r->effects.all = true;
}

void __wrap_recorder_flush(struct recorder *r)
{
    unsigned shard = shard_index(shard_self());
    __real_recorder_flush(r);
    if (!power_is_cut())
        sim->written[shard] = sim->effects[shard];
}

void __wrap_recorded_init(struct recorded *r, const struct queue_def *def)
{
    __real_recorded_init(r, def);
    struct shadow *q = shadow_find(def->id);
    if (def->name.data[0] != sim->plans[0].name[0])
        return;
    if (!q) {
        MEM_GROW(sim->shadows, sim->shadow_cap, sim->shadow_count + 1);
        q = &sim->shadows[sim->shadow_count++];
        *q = (struct shadow){.id = def->id,
                             .name = (unsigned)(def->name.data[1] - '0'),
                             .next = 1,
                             .stores = durable_queue(def)};
    }
    q->shard = def->addr.shard;
}

/* ---- what is safe ---- */

static void on_safe(struct store_wait *wait)
{
    struct probe *p = list_entry(wait, struct probe, wait);
    if (!power_is_cut() && p->written > sim->safe[p->shard])
        sim->safe[p->shard] = p->written;
    list_remove(&p->link);
    free(p);
}

void __wrap_store_sync(struct store_log *log, struct store_wait *wait)
{
    struct probe *p = NEW(struct probe);
    p->shard = shard_index(shard_self());
    p->written = sim->written[p->shard];
    p->wait.fn = on_safe;
    list_append(&sim->probes, &p->link);
    __real_store_sync(log, wait);
    __real_store_sync(log, &p->wait);
}

uint64_t __real_broker_add_transaction(struct shard *shard, struct open_transaction *t);
uint64_t __wrap_broker_add_transaction(struct shard *shard, struct open_transaction *t);

uint64_t __wrap_broker_add_transaction(struct shard *shard, struct open_transaction *t)
{
    return sim->begun = __real_broker_add_transaction(shard, t);
}

/* ---- what queues have ---- */

void shadow_compare(struct shard *shard)
{
    for (size_t i = 0; i < listing_count(shard, LISTING_QUEUES); i++) {
        const struct queue_face *face = listing_at(shard, LISTING_QUEUES, i);
        if (!queue_actor_is(face))
            continue;
        const struct queue *q = queue_actor_queue(face);
        const struct shadow *s = shadow_find(queue_get_def(q)->id);
        struct queue_counts n = queue_count(q);
        if (!s || queue_is_dead(q))
            continue;
        sim_check(n.ready + n.later + n.unacked == s->live,
                  "queue %s has %" PRIu64 ", %" PRIu64 " and %" PRIu64 " messages, not %" PRIu64,
                  sim->plans[s->name].name, n.ready, n.later, n.unacked, s->live);
        sim_check(n.ready_bytes + n.later_bytes + n.unacked_bytes == s->live_bytes,
                  "queue %s has %" PRIu64 ", %" PRIu64 " and %" PRIu64 " bytes, not %" PRIu64,
                  sim->plans[s->name].name, n.ready_bytes, n.later_bytes, n.unacked_bytes,
                  s->live_bytes);
    }
}
