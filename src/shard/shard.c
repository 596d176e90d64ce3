/* The turn of a shard: what runs when, and how ops get from one shard to another. */
#include "shard/shard.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shard/ring.h"
#include "shard/shard_priv.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    TURN_NS = 5 * 1000 * 1000, /* then the turn ends, and sockets are looked at again */
    TURN_ROUNDS = 32,          /* the same in rounds of ops and deferred work */
    TURN_INBOUND_ROUNDS = 4,   /* of these, how many take what came from other shards meanwhile */
    ROUND_OPS = 4096,
    LOOK_OPS = 128,         /* ops between two looks at the clock */
    CONGESTION_OPS = 16384, /* local ops that wait: a message to many queues is many ops */
    WAKE_EVERY = 128,       /* ops to one target within a turn before it is woken early */
    LOOK_NS = 10 * 1000,    /* looking at the sockets takes less; what takes more is a wait */
    SLOW_TURN_NS = 10 * 1000 * 1000,
};

static _Thread_local struct shard *self; /* exception: which shard this thread is */

struct shard *shard_self(void)
{
    return self;
}

void shard_enter(struct shard *shard)
{
    self = shard;
}

/* ---- op fifo ---- */

static void fifo_drop_first(struct op_fifo *f)
{
    f->head = (f->head + 1) & (f->cap - 1);
    f->count--;
}

/* A spike must not keep its memory. */
static void fifo_trim(struct op_fifo *f)
{
    enum { KEEP = 8192 };
    if (f->count || f->cap <= KEEP)
        return;
    free(f->ops);
    *f = (struct op_fifo){0};
}

/* ---- delivery ---- */

static void release_op(struct node *node, struct op *op)
{
    if (node->ops[op->kind].release)
        node->ops[op->kind].release(op);
}

static void deliver(struct shard *s, struct op *op)
{
    struct slot *slot = slot_lookup(s, op->to);
    s->history[s->history_next++ % OP_HISTORY] = op->kind;
    if (!slot) {
        s->stats.stale_ops++;
        release_op(s->node, op);
        return;
    }
    slot->type->on_op(slot->object, op);
}

static void post_remote(struct shard *s, unsigned target, const struct op *op)
{
    uint64_t bit = 1ull << target;
    struct ring *ring = &s->node->shards[target].inbound[s->index];
    s->stats.ops_out++;
    s->posted_to |= bit;
    if (!ring_is_spilled(ring) && ring_push(ring, op)) {
        if (atomic_load_explicit(&ring->tail, memory_order_relaxed) % WAKE_EVERY == 0)
            shard_wake(&s->node->shards[target]);
        return;
    }
    s->stats.ring_full++;
    s->overflowing |= bit;
    ring_spill(ring, op);
}

void post(const struct op *op)
{
    struct shard *s = self;
    bug_on(!s || op->to.shard >= s->node->count);
    if (s->node->dropping) {
        op_fifo_push(&s->node->shards[op->to.shard].local, op);
        return;
    }
    if (op->to.shard == s->index)
        op_fifo_push(&s->local, op);
    else
        post_remote(s, op->to.shard, op);
}

/* Notes which targets took what was spilled. */
static void look_at_spills(struct shard *s)
{
    for (uint64_t bits = s->overflowing; bits; bits &= bits - 1) {
        unsigned target = (unsigned)__builtin_ctzll(bits);
        if (!ring_is_spilled(&s->node->shards[target].inbound[s->index]))
            s->overflowing &= ~(1ull << target);
    }
}

bool shard_congested(const struct shard *shard)
{
    return shard->overflowing != 0 || shard->held || shard->local.count > CONGESTION_OPS;
}

void shard_hold(struct shard *shard, bool hold)
{
    shard->held += hold ? 1 : -1;
}

/* ---- inbound ---- */

static bool turn_is_long(const struct shard *s)
{
    return clock_mono_ns() - s->turn_start_ns > TURN_NS;
}

/* Up to count ops; some take long, so time is looked at now and then unless all have to run. */
static void run_local(struct shard *s, size_t count, bool all)
{
    for (size_t n = 0; s->local.count && n < count; n++) {
        if (!all && n % LOOK_OPS == LOOK_OPS - 1 && turn_is_long(s))
            break;
        struct op op = s->local.ops[s->local.head];
        fifo_drop_first(&s->local);
        s->stats.ops_local++;
        deliver(s, &op);
    }
    fifo_trim(&s->local);
}

static void take_spill(struct shard *s, struct op_fifo *spill)
{
    s->stats.ops_in += spill->count;
    while (spill->count) {
        struct op op = spill->ops[spill->head];
        fifo_drop_first(spill);
        deliver(s, &op);
    }
    free(spill->ops);
}

static void take_ring(struct shard *s, unsigned source, struct ring_part *part)
{
    enum { GIVE_BACK = 64 };
    struct ring *ring = &s->inbound[source];
    uint32_t head = ring_head(ring), tail = part->tail;
    s->stats.ops_in += tail - head;
    while (head != tail) {
        struct op op = *ring_at(ring, head++);
        if (head % GIVE_BACK == 0 || head == tail)
            ring_advance(ring, head);
        deliver(s, &op);
    }
    take_spill(s, &part->spill);
}

bool shard_inbound_pending(const struct shard *s)
{
    for (unsigned i = 0; i < s->node->count; i++) {
        if (i != s->index && ring_pending(&s->inbound[i]))
            return true;
    }
    return false;
}

void shard_publish_begin(struct shard *shard)
{
    bug_on(shard->index != 0);
    atomic_fetch_add_explicit(&shard->node->publication, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* of the posts that follow: odd is seen with them */
}

void shard_publish_end(struct shard *shard)
{
    atomic_fetch_add_explicit(&shard->node->publication, 1, memory_order_release);
}

/* Some shards have the news and this one may not: it takes some posts until it has, unless shard 0
 * is not running just then. */
static void wait_for_publication(const struct shard *s)
{
    while (atomic_load_explicit(&s->node->publication, memory_order_acquire) & 1)
        sched_yield();
}

/* Shard 0's ring is looked at last and taken first: an op that another shard posted because of what
 * shard 0 published is in a ring seen before, so what shard 0 published is in the part taken now.
 * What shard 0 published to itself is among its local ops. */
static void take_inbound(struct shard *s)
{
    struct ring_part parts[SHARDS_MAX];
    bug_on(s->taking);
    s->taking = true;
    for (unsigned i = s->node->count; i-- > 0;) {
        if (i == s->index)
            continue;
        if (i == 0)
            wait_for_publication(s);
        uint32_t head = ring_head(&s->inbound[i]);
        if (ring_look(&s->inbound[i], &parts[i]))
            s->posted_to |= 1ull << i; /* its readers wait for relief */
        s->busy |= parts[i].tail != head;
    }
    if (s->index == 0)
        run_local(s, s->local.count, true);
    for (unsigned i = 0; i < s->node->count; i++) {
        if (i != s->index)
            take_ring(s, i, &parts[i]);
    }
    s->taking = false;
}

void shard_sync(struct shard *shard)
{
    if (shard->index == 0)
        return;
    wait_for_publication(shard);
    if (ring_pending(&shard->inbound[0]))
        take_inbound(shard);
}

/* ---- deferred work ---- */

void shard_defer(struct shard *shard, enum defer_phase phase, struct deferred *d)
{
    if (list_empty(&d->link))
        list_append(&shard->deferred[phase], &d->link);
}

void shard_on_relief(struct shard *shard, struct deferred *d)
{
    if (list_empty(&d->link))
        list_append(&shard->relief, &d->link);
}

static bool run_deferred(struct list *from)
{
    struct list now;
    if (list_empty(from))
        return false;
    list_init(&now);
    list_splice(&now, from);
    while (!list_empty(&now)) {
        struct deferred *d = list_entry(now.next, struct deferred, link);
        list_remove(&d->link);
        d->fn(d);
    }
    return true;
}

/* ---- the turn ---- */

void shard_wake(struct shard *s)
{
    if (guest_is_near(s)) {
        s->guest.ready = true;
        return;
    }
    ev_async_send(s->loop, &s->wake);
    guest_ring(s);
}

static void wake_targets(struct shard *s)
{
    for (uint64_t bits = s->posted_to; bits; bits &= bits - 1) {
        struct shard *target = &s->node->shards[__builtin_ctzll(bits)];
        s->stats.wakes++;
        shard_wake(target);
    }
    s->posted_to = 0;
}

bool shard_has_work(const struct shard *s)
{
    return s->local.count || !list_empty(&s->deferred[DEFER_POST]) ||
           !list_empty(&s->deferred[DEFER_FLUSH]) || shard_inbound_pending(s);
}

/* Readers that stopped go on. */
static bool relieve(struct shard *s)
{
    look_at_spills(s);
    return !shard_congested(s) && run_deferred(&s->relief);
}

void shard_finish_turn(struct shard *s)
{
    bool relieved = false; /* once a turn: it makes new work, and answers must be taken as fast */
    for (int round = 0; round < TURN_ROUNDS; round++) {
        if (round && turn_is_long(s)) {
            if (!relieved)
                relieve(s);
            run_deferred(&s->deferred[DEFER_FLUSH]);
            break;
        }
        run_local(s, ROUND_OPS, false);
        if (run_deferred(&s->deferred[DEFER_POST]))
            continue;
        if (round < TURN_INBOUND_ROUNDS && shard_inbound_pending(s)) {
            take_inbound(s);
            continue;
        }
        if (!relieved && relieve(s)) {
            relieved = true;
            continue;
        }
        if (!run_deferred(&s->deferred[DEFER_FLUSH]) && !s->local.count)
            break;
    }
    look_at_spills(s);
    wake_targets(s);
}

/* The longest wait of late: a long one is forgotten over some short ones. */
static void count_wait(struct shard *s, uint64_t waited_ns, uint64_t limit)
{
    uint64_t faded = s->idle_ns - s->idle_ns / 4;
    waited_ns = waited_ns < 2 * limit ? waited_ns : 2 * limit;
    s->idle_ns = waited_ns > faded ? waited_ns : faded;
}

/* Work that comes one piece at a time, each soon after the last was done: to sleep in between costs
 * more than to look for it. Others that can run on this core go first. */
static bool stays_awake(struct shard *s, bool work_left, uint64_t now)
{
    uint64_t limit = s->node->busy_wait_ns;
    if (s->busy || work_left) {
        uint64_t waited = s->turn_start_ns - s->idle_since_ns;
        count_wait(s, waited, limit);
        if (waited >= LOOK_NS)
            awake_on_wait_end(s, now);
        s->idle_since_ns = now;
        s->busy = false;
    }
    if (work_left)
        return true;
    if (s->idle_ns >= limit || now - s->idle_since_ns >= limit)
        return false;
    sched_yield();
    return true;
}

static void before_poll(struct ev_loop *loop, ev_prepare *w, int revents)
{
    (void)revents;
    struct shard *s = w->data;
    shard_finish_turn(s);
    bool left = s->index == 0 && guests_run(s);
    timer_arm(s);
    uint64_t now = clock_mono_ns();
    uint64_t took = now - s->turn_start_ns;
    s->stats.turns++;
    if (took > s->stats.longest_turn_ns)
        s->stats.longest_turn_ns = took;
    if (took > SLOW_TURN_NS)
        log_debug(DEFAULT, NULL, "a turn of shard %u took %llu ms; its last op was '%s'", s->index,
                  (unsigned long long)(took / 1000000u),
                  s->node->ops[s->history[(s->history_next - 1) % OP_HISTORY]].label);
    left |= shard_has_work(s) || (!list_empty(&s->relief) && !s->overflowing && !s->held);
    if (guest_is(s)) {
        s->busy = false;
        s->guest.left = left;
        return;
    }
    bool stopping = atomic_load_explicit(&s->node->stopping, memory_order_acquire);
    bool leaves = guest_count_turn(s, now, took, left) && !stopping;
    if (!leaves && stays_awake(s, left, now))
        ev_idle_start(loop, &s->more);
    else
        ev_idle_stop(loop, &s->more);
    s->guest.leaving = leaves;
    if (stopping && s->index == 0)
        guests_close(s);
    if ((!left && stopping) || leaves)
        ev_break(loop, EVBREAK_ALL);
}

static void after_poll(struct ev_loop *loop, ev_check *w, int revents)
{
    (void)loop;
    (void)revents;
    struct shard *s = w->data;
    s->now_ns = s->turn_start_ns = clock_mono_ns();
    take_inbound(s);
    timer_run_due(s);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
}

static void on_alarm(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct shard *s = w->data;
    s->alarm_due_ns = 0;
    s->now_ns = clock_mono_ns();
    timer_run_due(s);
}

static void on_more(struct ev_loop *loop, ev_idle *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
}

/* ---- life ---- */

void shard_init(struct shard *s, struct node *node, unsigned index)
{
    *s = (struct shard){.node = node, .index = index};
    s->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    bug_on(!s->loop);
    s->now_ns = s->turn_start_ns = clock_mono_ns();
    for (int i = 0; i < DEFER_PHASES; i++)
        list_init(&s->deferred[i]);
    list_init(&s->relief);
    list_init(&s->signals);
    s->inbound = aligned_alloc(64, node->count * sizeof *s->inbound);
    bug_on(!s->inbound);
    for (unsigned i = 0; i < node->count; i++)
        ring_init(&s->inbound[i],
                  i == index ? 0 : (node->count <= 8 ? RING_SLOTS : RING_SLOTS_MANY));

    ev_prepare_init(&s->before_poll, before_poll);
    ev_set_priority(&s->before_poll, EV_MINPRI);
    ev_check_init(&s->after_poll, after_poll);
    ev_set_priority(&s->after_poll, EV_MAXPRI);
    ev_async_init(&s->wake, on_wake);
    ev_timer_init(&s->alarm, on_alarm, 0., 0.);
    ev_idle_init(&s->more, on_more);
    s->before_poll.data = s->after_poll.data = s->alarm.data = s;
    ev_prepare_start(s->loop, &s->before_poll);
    ev_check_start(s->loop, &s->after_poll);
    ev_async_start(s->loop, &s->wake);
    guest_init(s);
}

void shard_run(struct shard *s)
{
    shard_enter(s);
    ev_run(s->loop, 0);
    while (s->guest.leaving) {
        guest_offer(s);
        s->now_ns = s->turn_start_ns = clock_mono_ns();
        ev_run(s->loop, 0);
    }
}

static bool drop_fifo(struct node *node, struct op_fifo *f)
{
    bool any = f->count > 0;
    while (f->count) {
        struct op op = f->ops[f->head];
        fifo_drop_first(f);
        release_op(node, &op);
    }
    return any;
}

bool shard_drop_ops(struct shard *s)
{
    bool any = drop_fifo(s->node, &s->local);
    for (unsigned i = 0; i < s->node->count; i++) {
        struct ring *ring = &s->inbound[i];
        for (uint32_t head = ring_head(ring); head != ring_tail(ring); head++, any = true) {
            struct op op = *ring_at(ring, head);
            ring_advance(ring, head + 1);
            release_op(s->node, &op);
        }
        any |= drop_fifo(s->node, &ring->spill);
    }
    return any;
}

void shard_fini(struct shard *s)
{
    shard_signals_fini(s);
    guest_fini(s);
    ev_loop_destroy(s->loop);
    for (unsigned i = 0; i < s->node->count; i++)
        ring_fini(&s->inbound[i]);
    free(s->inbound);
    free(s->local.ops);
    free(s->heap);
    slot_table_fini(&s->own);
    slot_table_fini(&s->assigned);
}

/* ---- facts ---- */

struct node *shard_node(const struct shard *shard)
{
    return shard->node;
}

unsigned shard_index(const struct shard *shard)
{
    return shard->index;
}

void *shard_get_local(const struct shard *shard, enum shard_local which)
{
    return shard->local_of[which];
}

void shard_set_local(struct shard *shard, enum shard_local which, void *local)
{
    shard->local_of[which] = local;
}

uint64_t shard_now_ms(const struct shard *shard)
{
    return shard->now_ns / 1000000u;
}

void shard_read_stats(const struct shard *shard, struct shard_stats *ret_stats)
{
    *ret_stats = shard->stats;
}

size_t shard_memory(const struct shard *shard)
{
    size_t n = mem_size(shard->local.ops) + mem_size(shard->own.slots) +
               mem_size(shard->assigned.slots) + mem_size(shard->heap);
    if (shard->index == 0)
        n += mem_size(shard->node->shards);
    for (unsigned i = 0; i < shard->node->count; i++)
        n += mem_size(shard->inbound[i].slots);
    for (unsigned i = 0; shard->index == 0 && i < shard->node->count; i++)
        n += mem_size(shard->node->reserves[i].table.slots);
    return n;
}
