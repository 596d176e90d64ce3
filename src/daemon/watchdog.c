/* Signs of life for systemd, twice as often as it expects them. A sign is given once every shard
 * has answered: one that does not come back from its work is not noticed by the others. All of it
 * is shard 0's; the other shards read where answers go, which is set before they run. */
#include "daemon/watchdog.h"

#include "base/mem.h"
#include "daemon/notify.h"
#include "shard/slot.h"

#include <inttypes.h>
#include <stdlib.h>

struct watchdog {
    struct timer timer;
    struct node *node;
    uint64_t interval_ms;           /* 0: nobody waits for signs */
    struct addr shards[SHARDS_MAX]; /* what is asked; shard 0's takes the answers, too */
    struct addr home;
    uint64_t awaited; /* shards that did not answer yet, a bit each */
    bool late;        /* the sign is due */
};

static void answer(const struct watchdog *w)
{
    const struct op op = {
        .to = w->home, .kind = WATCHDOG_OP_ANSWER, .n = shard_index(shard_self())};
    post(&op);
}

static void on_answer(struct watchdog *w, unsigned shard)
{
    w->awaited &= ~(UINT64_C(1) << shard);
    if (w->awaited || !w->late)
        return;
    w->late = false;
    notify_watchdog();
}

static void on_op(void *object, struct op *op)
{
    if (op->kind == WATCHDOG_OP_ASK)
        answer(object);
    else
        on_answer(object, op->n);
}

static const struct actor_type watchdog_type = {"watchdog", on_op};

const struct op_kind *watchdog_op_kinds(void)
{
    static const struct op_kind kinds[] = {
        {"watchdog -> shard: ask", NULL},
        {"shard -> watchdog: answer", NULL},
    };
    return kinds;
}

static void ask_all(struct watchdog *w)
{
    for (unsigned i = 0; i < node_shard_count(w->node); i++) {
        const struct op op = {.to = w->shards[i], .kind = WATCHDOG_OP_ASK};
        w->awaited |= UINT64_C(1) << i;
        post(&op);
    }
}

static void on_timer(struct timer *t)
{
    struct watchdog *w = list_entry(t, struct watchdog, timer);
    if (!w->awaited) {
        notify_watchdog();
        ask_all(w);
    } else if (!w->late) {
        w->late = true;
        log_warning(DEFAULT, NULL, "shard %d has not answered for %" PRIu64 " ms",
                    __builtin_ctzll(w->awaited), w->interval_ms);
    }
    timer_set(t, w->interval_ms);
}

static void add_shard(struct shard *shard, void *watchdog)
{
    struct watchdog *w = watchdog;
    w->shards[shard_index(shard)] = slot_new(shard, &watchdog_type, w);
}

static void remove_shard(struct shard *shard, void *watchdog)
{
    struct watchdog *w = watchdog;
    slot_free(shard, w->shards[shard_index(shard)]);
}

int watchdog_start(struct daemon *d, struct failure *why)
{
    (void)why;
    struct watchdog *w = d->watchdog = NEW(struct watchdog);
    w->node = d->node;
    w->interval_ms = notify_watchdog_ms() / 2;
    timer_init(&w->timer, node_shard(d->node, 0), on_timer);
    if (!w->interval_ms)
        return 0;
    node_each_shard(d->node, add_shard, w);
    w->home = w->shards[0];
    timer_set(&w->timer, w->interval_ms);
    return 0;
}

void watchdog_stop(struct daemon *d)
{
    struct watchdog *w = d->watchdog;
    if (!w)
        return;
    timer_stop(&w->timer);
    if (w->interval_ms)
        node_each_shard(d->node, remove_shard, w);
    free(w);
    d->watchdog = NULL;
}
