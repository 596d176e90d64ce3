/* Shards under TSan: every shard floods every other through full rings; each op arrives once, in
 * order, and ops of shard 0 are seen before those posted in knowledge of them. */
#include "base/bug.h"
#include "base/mem.h"
#include "shard/io.h"
#include "shard/shard.h"
#include "shard/slot.h"
#include "shard/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KIND_NONE, KIND_NUMBER, KIND_NEWS, KIND_COUNT };
enum { SHARDS = 4, ROUNDS = 60, BURST = 3000 };

struct peer {
    struct shard *shard;
    struct addr addr;
    struct addr all[SHARDS];
    uint64_t sent, received, expected[SHARDS];
    uint64_t news; /* highest number shard 0 published that was seen here */
    struct timer tick;
    unsigned round;
};

struct number {
    uint64_t value, news;
    unsigned from;
};

static _Atomic unsigned finished;

static void on_op(void *object, struct op *op)
{
    struct peer *p = object;
    struct number *n = op_body(op, struct number);
    bug_on(shard_self() != p->shard);
    if (op->kind == KIND_NEWS) {
        bug_on(n->value != p->news + 1);
        p->news = n->value;
        return;
    }
    bug_on(n->value != p->expected[n->from]);
    bug_on(n->news > p->news);
    p->expected[n->from]++;
    if (++p->received == (uint64_t)(SHARDS)*ROUNDS * BURST && ++finished == SHARDS)
        node_stop(shard_node(p->shard));
}

static const struct actor_type peer_type = {"peer", on_op};

static void burst(struct timer *t)
{
    struct peer *p = (struct peer *)(void *)((char *)t - offsetof(struct peer, tick));
    if (shard_index(p->shard) == 0) {
        for (unsigned i = 0; i < SHARDS; i++) {
            struct op op = {.to = p->all[i], .kind = KIND_NEWS};
            op_body(&op, struct number)->value = p->round + 1;
            post(&op);
        }
    }
    for (unsigned k = 0; k < BURST; k++, p->sent++) {
        for (unsigned i = 0; i < SHARDS; i++) {
            struct op op = {.to = p->all[i], .kind = KIND_NUMBER};
            *op_body(&op, struct number) = (struct number){p->sent, p->news, shard_index(p->shard)};
            post(&op);
        }
    }
    if (++p->round < ROUNDS)
        timer_set(&p->tick, 0);
}

static void make(struct shard *shard, void *arg)
{
    struct peer *p = (struct peer *)arg + shard_index(shard);
    p->shard = shard;
    p->addr = slot_new(shard, &peer_type, p);
    timer_init(&p->tick, shard, burst);
    timer_set(&p->tick, 1);
}

int main(void)
{
    static const struct op_kind kinds[KIND_COUNT] = {
        {"none", NULL}, {"number", NULL}, {"news", NULL}};
    struct node_options options = {.shards = SHARDS, .ops = kinds, .op_count = KIND_COUNT};
    struct node *node = node_new(&options);
    struct peer *peers = mem_zalloc(SHARDS * sizeof *peers);
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
    return 0;
}
