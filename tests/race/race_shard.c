/* Shards under TSan: every shard floods every other through full rings; each op arrives once, in
 * order, and ops of shard 0 are seen before those posted in knowledge of them. Then shard 0 alone
 * floods one shard after the other, itself too, so that what others tell of its news takes empty
 * rings. At last the shards have little to do, then for a moment much, so that the first thread
 * takes the others' and gives them back, while a thread that is no shard calls them; so often that
 * the cores are kept awake. */
#include "base/bug.h"
#include "base/mem.h"
#include "shard/bell.h"
#include "shard/io.h"
#include "shard/shard.h"
#include "shard/slot.h"
#include "shard/timer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KIND_NONE, KIND_NUMBER, KIND_NEWS, KIND_RUMOUR, KIND_COUNT };
enum { SHARDS = 4, ROUNDS = 60, BURST = 3000 };

struct peer {
    struct shard *shard;
    struct addr addr;
    struct addr all[SHARDS];
    uint64_t sent, received, expected[SHARDS];
    uint64_t news; /* highest number shard 0 published that was seen here */
    uint64_t rumours;
    bool alone; /* only shard 0 floods */
    struct timer tick;
    unsigned round;
};

struct number {
    uint64_t value, news;
    unsigned from;
};

static _Atomic unsigned finished;

static void finish(struct peer *p)
{
    if (++finished == SHARDS)
        node_stop(shard_node(p->shard));
}

static void spread(struct peer *p, uint64_t news)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct op op = {.to = p->all[i], .kind = KIND_RUMOUR};
        op_body(&op, struct number)->value = news;
        if (i != shard_index(p->shard))
            post(&op);
    }
}

static void on_op(void *object, struct op *op)
{
    struct peer *p = object;
    struct number *n = op_body(op, struct number);
    bug_on(shard_self() != p->shard);
    if (op->kind == KIND_NEWS) {
        bug_on(n->value != p->news + 1);
        p->news = n->value;
        if (p->alone && shard_index(p->shard) != 0)
            spread(p, p->news);
        return;
    }
    if (op->kind == KIND_RUMOUR) {
        bug_on(n->value > p->news);
        if (++p->rumours == (uint64_t)ROUNDS * (SHARDS - (shard_index(p->shard) ? 2 : 1)))
            finish(p);
        return;
    }
    if (p->alone)
        return;
    bug_on(n->value != p->expected[n->from]);
    bug_on(n->news > p->news);
    p->expected[n->from]++;
    if (++p->received == (uint64_t)SHARDS * ROUNDS * BURST)
        finish(p);
}

static const struct actor_type peer_type = {"peer", on_op};

static void publish(struct peer *p)
{
    shard_publish_begin(p->shard);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct op op = {.to = p->all[i], .kind = KIND_NEWS};
        op_body(&op, struct number)->value = p->round + 1;
        post(&op);
    }
    shard_publish_end(p->shard);
}

static void flood_one(struct timer *t)
{
    struct peer *p = (struct peer *)(void *)((char *)t - offsetof(struct peer, tick));
    unsigned target = p->round % SHARDS;
    for (unsigned k = 0; k < (target ? BURST : 10 * BURST); k++) {
        struct op op = {.to = p->all[target], .kind = KIND_NUMBER};
        post(&op);
    }
    publish(p);
    if (++p->round < ROUNDS)
        timer_set(&p->tick, 1);
}

static void flood_all(struct timer *t)
{
    struct peer *p = (struct peer *)(void *)((char *)t - offsetof(struct peer, tick));
    if (shard_index(p->shard) == 0)
        publish(p);
    for (unsigned k = 0; k < BURST; k++, p->sent++) {
        for (unsigned i = 0; i < SHARDS; i++) {
            struct op op = {.to = p->all[i], .kind = KIND_NUMBER};
            *op_body(&op, struct number) = (struct number){p->sent, p->news, shard_index(p->shard)};
            post(&op);
        }
    }
    if (++p->round < ROUNDS)
        timer_set(&p->tick, 1);
}

static void make(struct shard *shard, void *arg)
{
    struct peer *p = (struct peer *)arg + shard_index(shard);
    p->shard = shard;
    p->addr = slot_new(shard, &peer_type, p);
    timer_init(&p->tick, shard, p->alone ? flood_one : flood_all);
    if (!p->alone || shard_index(shard) == 0)
        timer_set(&p->tick, 1);
}

static void run(bool alone)
{
    static const struct op_kind kinds[KIND_COUNT] = {
        {"none", NULL}, {"number", NULL}, {"news", NULL}};
    struct node_options options = {.shards = SHARDS, .ops = kinds, .op_count = KIND_COUNT};
    struct node *node = node_new(&options);
    struct peer *peers = mem_zalloc(SHARDS * sizeof *peers);
    finished = 0;
    for (unsigned i = 0; i < SHARDS; i++)
        peers[i].alone = alone;
    node_each_shard(node, make, peers);
    for (unsigned i = 0; i < SHARDS; i++) {
        for (unsigned k = 0; k < SHARDS; k++)
            peers[i].all[k] = peers[k].addr;
    }
    node_run(node);
    for (unsigned i = 0; i < SHARDS; i++)
        bug_on(peers[i].news != ROUNDS);
    struct shard_stats stats;
    shard_read_stats(node_shard(node, 1), &stats);
    printf("ok: %llu ops in, ring full %llu times\n", (unsigned long long)stats.ops_in,
           (unsigned long long)stats.ring_full);
    node_free(&node);
    free(peers);
}

/* ---- little to do ---- */

enum { TRICKLE_MS = 700, CALLS_EVERY_US = 150, WORK_EVERY = 64, WINDOW_NS = 100 * 1000 };

struct member {
    struct shard *shard;
    struct addr addr, next;
    struct bell *bell;
    struct timer tick;
    uint64_t got, ticks;
    _Atomic uint64_t calls, answered; /* the last call that was seen */
};

static _Atomic bool trickle_over;

static void member_on_op(void *object, struct op *op)
{
    struct member *m = object;
    bug_on(shard_self() != m->shard);
    m->got++;
    if (op->n == 0)
        return;
    struct op on = {.to = m->next, .kind = KIND_NUMBER, .n = op->n - 1};
    post(&on);
}

static const struct actor_type member_type = {"member", member_on_op};

static void on_call(void *arg)
{
    struct member *m = arg;
    bug_on(shard_self() != m->shard);
    m->answered = m->calls;
}

/* A few ops go round; now and then so many that a thread is busy for some windows. */
static void on_tick(struct timer *t)
{
    struct member *m = (struct member *)(void *)((char *)t - offsetof(struct member, tick));
    bug_on(shard_self() != m->shard);
    unsigned rounds = ++m->ticks % WORK_EVERY == 0 ? 4000 : 5;
    for (unsigned k = 0; k < 3; k++) {
        struct op op = {.to = m->next, .kind = KIND_NUMBER, .n = rounds};
        post(&op);
    }
    if (!trickle_over)
        timer_set(&m->tick, 1);
}

static void *caller(void *arg)
{
    struct member *members = arg;
    for (unsigned k = 0; k < TRICKLE_MS * 1000 / CALLS_EVERY_US; k++) {
        struct member *m = &members[k % SHARDS];
        m->calls++;
        bell_ring(m->bell);
        usleep(CALLS_EVERY_US);
        for (int i = 0; m->answered != m->calls && i < 20000; i++)
            usleep(500);
        bug_on(m->answered != m->calls);
    }
    trickle_over = true;
    node_stop(shard_node(members[0].shard));
    return NULL;
}

static void make_member(struct shard *shard, void *arg)
{
    struct member *m = (struct member *)arg + shard_index(shard);
    m->shard = shard;
    m->addr = slot_new(shard, &member_type, m);
    m->bell = bell_new(shard, on_call, m);
    timer_init(&m->tick, shard, on_tick);
    timer_set(&m->tick, 1);
}

static void trickle(void)
{
    static const struct op_kind kinds[KIND_COUNT] = {{"none", NULL}, {"number", NULL}};
    struct node_options options = {.shards = SHARDS,
                                   .gather_ns = WINDOW_NS,
                                   .awake = {.device = "/dev/null", .wakes_per_s = 200},
                                   .ops = kinds,
                                   .op_count = KIND_COUNT};
    struct node *node = node_new(&options);
    struct member *members = mem_zalloc(SHARDS * sizeof *members);
    pthread_t thread;
    uint64_t gathered = 0;
    node_each_shard(node, make_member, members);
    for (unsigned i = 0; i < SHARDS; i++)
        members[i].next = members[(i + 1) % SHARDS].addr;
    bug_on(pthread_create(&thread, NULL, caller, members) != 0);
    node_run(node);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard_stats stats;
        shard_read_stats(node_shard(node, i), &stats);
        gathered += stats.gathered;
        bell_free(&members[i].bell);
    }
    printf("ok: %llu times a shard went to another's thread\n", (unsigned long long)gathered);
    bug_on(gathered < SHARDS);
    bug_on(!awake_facts(node).held_ns);
    node_free(&node);
    free(members);
}

/* ---- a timer that asks for a descriptor, and nothing else happens ---- */

enum { ASKS = 400 };

struct asker {
    struct shard *shard;
    struct timer timer;
    struct io *io;
    int ends[2];
    unsigned served;
};

static void on_ask(struct timer *t)
{
    struct asker *a = (struct asker *)(void *)((char *)t - offsetof(struct asker, timer));
    io_want(a->io, IO_READ);
}

static void on_readable(void *arg, unsigned events)
{
    struct asker *a = arg;
    (void)events;
    io_want(a->io, 0);
    if (++a->served == ASKS)
        node_stop(shard_node(a->shard));
    else
        timer_set(&a->timer, 1);
}

static void make_asker(struct shard *shard, void *arg)
{
    struct asker *a = arg;
    if (shard_index(shard) != 1)
        return;
    a->shard = shard;
    bug_on(pipe(a->ends) != 0 || write(a->ends[1], "x", 1) != 1);
    a->io = io_new(shard, a->ends[0], on_readable, a);
    timer_init(&a->timer, shard, on_ask);
    timer_set(&a->timer, 1);
}

static void ask(void)
{
    static const struct op_kind kinds[KIND_COUNT] = {{"none", NULL}, {"number", NULL}};
    struct node_options options = {
        .shards = 2, .gather_ns = WINDOW_NS, .ops = kinds, .op_count = KIND_COUNT};
    struct node *node = node_new(&options);
    struct shard_stats stats;
    struct asker a = {0};
    node_each_shard(node, make_asker, &a);
    node_run(node);
    shard_read_stats(node_shard(node, 1), &stats);
    bug_on(!stats.gathered || a.served != ASKS);
    io_free(&a.io);
    close(a.ends[0]);
    close(a.ends[1]);
    node_free(&node);
}

int main(void)
{
    alarm(250);
    trickle();
    ask();
    run(false);
    run(true);
    return 0;
}
