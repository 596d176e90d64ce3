/* All shards of the process: made together, run as threads, ended together. */
#include "base/bug.h"
#include "base/mem.h"
#include "base/thread.h"
#include "shard/shard_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct node *panicking; /* exception: a panic report has no argument */

static void dump_history(int fd)
{
    struct node *node = panicking;
    char line[160];
    for (unsigned i = 0; node && i < node->count; i++) {
        struct shard *s = &node->shards[i];
        int n = snprintf(line, sizeof line, "last ops of shard %u, newest first:\n", i);
        if (write(fd, line, (size_t)n) < 0)
            return;
        for (uint32_t k = 1; k <= 32 && k <= s->history_next; k++) {
            uint16_t kind = s->history[(s->history_next - k) % OP_HISTORY];
            n = snprintf(line, sizeof line, "  %s\n", node->ops[kind].label);
            if (write(fd, line, (size_t)n) < 0)
                return;
        }
    }
}

struct node *node_new(const struct node_options *options)
{
    bug_on(options->shards < 1 || options->shards > SHARDS_MAX);
    struct node *node = NEW(struct node);
    node->count = options->shards;
    node->busy_wait_ns = options->busy_wait_ns;
    node->house.window_ns = options->shards > 1 ? options->gather_ns : 0;
    pthread_mutex_init(&node->house.lock, NULL);
    node->ops = options->ops;
    node->op_count = options->op_count;
    node->context = options->context;
    node->shards = aligned_alloc(64, (node->count * sizeof *node->shards + 63) / 64 * 64);
    bug_on(!node->shards);
    node->reserves = mem_zalloc(node->count * sizeof *node->reserves);
    for (unsigned i = 0; i < node->count; i++)
        shard_init(&node->shards[i], node, i);
    if (options->awake.device) {
        node->awake = awake_new(&options->awake, node->count);
        awake_attach(node->awake, &node->shards[0]);
    }
    if (!panicking) {
        panicking = node;
        bug_on_panic(dump_history);
    }
    return node;
}

unsigned node_shard_count(const struct node *node)
{
    return node->count;
}

struct shard *node_shard(struct node *node, unsigned index)
{
    return &node->shards[index];
}

void *node_context(struct node *node)
{
    return node->context;
}

void *node_local(const struct node *node, enum shard_local which)
{
    return node->local_of[which];
}

void node_set_local(struct node *node, enum shard_local which, void *local)
{
    node->local_of[which] = local;
}

void node_each_shard(struct node *node, void (*fn)(struct shard *shard, void *arg), void *arg)
{
    struct shard *before = shard_self();
    for (unsigned i = 0; i < node->count; i++) {
        shard_enter(&node->shards[i]);
        fn(&node->shards[i], arg);
    }
    shard_enter(before ? before : &node->shards[0]);
}

static void *thread_main(void *arg)
{
    struct shard *s = arg;
    thread_wake_soon();
    shard_run(s);
    return NULL;
}

static void start_threads(struct node *node)
{
    for (unsigned i = 1; i < node->count; i++) {
        struct shard *s = &node->shards[i];
        char name[24];
        snprintf(name, sizeof name, "shard-%u", i);
        bug_on(!thread_start(&s->thread, name, thread_main, s));
    }
}

void node_run(struct node *node)
{
    start_threads(node);
    thread_wake_soon();
    shard_run(&node->shards[0]);
    for (unsigned i = 1; i < node->count; i++)
        pthread_join(node->shards[i].thread, NULL);
}

void node_stop(struct node *node)
{
    atomic_store_explicit(&node->stopping, true, memory_order_release);
    for (unsigned i = 0; i < node->count; i++)
        shard_wake(&node->shards[i]);
}

void node_drop_ops(struct node *node)
{
    bool any;
    node->dropping = true;
    do {
        any = false;
        for (unsigned i = 0; i < node->count; i++) {
            shard_enter(&node->shards[i]);
            any |= shard_drop_ops(&node->shards[i]);
        }
    } while (any);
    shard_enter(&node->shards[0]);
}

void node_free(struct node **node)
{
    struct node *n = *node;
    node_drop_ops(n);
    awake_free(&n->awake);
    for (unsigned i = 0; i < n->count; i++) {
        shard_fini(&n->shards[i]);
        slot_table_fini(&n->reserves[i].table);
    }
    pthread_mutex_destroy(&n->house.lock);
    if (panicking == n)
        panicking = NULL;
    free(n->shards);
    free(n->reserves);
    free(n);
    *node = NULL;
    shard_enter(NULL);
}
