/* Deliveries that are not acknowledged in time. Times are seconds of the shard's clock within 24
 * bits; they are compared by their difference, so limits are at most LIMIT_MAX, some months. */
#include "amqp/timeout.h"

#include "amqp/channel_priv.h"
#include "base/mem.h"
#include "base/table.h"

#include <inttypes.h>
#include <stdlib.h>

enum { TICK_MS = 1000, SECONDS = 1 << 24, LIMIT_MAX = SECONDS / 2 - 2 };

static uint32_t now(const struct amqp_shard *a)
{
    return (uint32_t)(shard_now_ms(a->shard) / TICK_MS) % SECONDS;
}

static bool is_before(uint32_t x, uint32_t y)
{
    return (x - y) % SECONDS > SECONDS / 2;
}

/* ---- limits ---- */

static bool policy_timeout(const struct amqp_shard *a, const struct queue_def *def, int64_t *ret_ms)
{
    struct table_value value;
    struct applied applied = routing_match_queue(a->routing, def);
    if (!policy_find(&applied, "consumer-timeout", &value) || !table_is_int(value.type))
        return false;
    *ret_ms = value.integer;
    return true;
}

uint64_t timeout_of(const struct amqp_shard *a, const struct queue_def *def, struct slice args)
{
    static const struct slice name = {(const uint8_t *)"x-consumer-timeout", 18};
    int64_t ms;
    if (args.len && table_find_int(args, name, &ms))
        return (uint64_t)ms;
    if (def && def->args.len && table_find_int(def->args, name, &ms))
        return (uint64_t)ms;
    return def && policy_timeout(a, def, &ms) ? (uint64_t)ms : a->options.consumer_timeout_ms;
}

static void refresh_channel(struct channel *ch)
{
    for (uint32_t n = 0; n < ch->consumer_cap; n++) {
        struct channel_consumer *cc = ch->consumers[n];
        if (cc && cc->def)
            cc->timeout_ms = timeout_of(ch->amqp, cc->def, cc->args);
    }
}

void timeout_refresh(struct amqp_shard *a)
{
    list_each (it, &a->connections) {
        const struct connection *c = list_entry(it, struct connection, link);
        struct channel *ch;
        for (unsigned n = 0; (ch = channel_table_next(&c->channels, n)); n = ch->number + 1)
            refresh_channel(ch);
    }
}

/* ---- deliveries ---- */

static void note_queue(struct timeouts *t, struct addr queue, uint64_t ms)
{
    for (size_t i = 0; i < t->count; i++) {
        if (addr_eq(t->queues[i].queue, queue)) {
            t->queues[i].ms = ms;
            return;
        }
    }
    MEM_GROW(t->queues, t->cap, t->count + 1);
    t->queues[t->count++] = (struct timed_queue){queue, ms};
}

void timeout_start(struct channel *ch, struct unacked_tag *entry, uint64_t ms)
{
    struct timeouts *t = &ch->timeouts;
    struct amqp_shard *a = ch->amqp;
    uint64_t seconds = ms / TICK_MS + (ms % TICK_MS != 0);
    uint32_t due = (now(a) + (uint32_t)(seconds < LIMIT_MAX ? seconds : LIMIT_MAX)) % SECONDS;
    due += !due; /* 0 says that there is no limit */
    entry->due = due & (SECONDS - 1);
    if (!t->count || !addr_eq(t->queues[t->count - 1].queue, entry->queue) ||
        t->queues[t->count - 1].ms != ms)
        note_queue(t, entry->queue, ms);
    if (!list_empty(&t->link)) {
        t->next = is_before(due, t->next) ? due : t->next;
        return;
    }
    t->next = due;
    list_append(&a->timed, &t->link);
    if (!timer_is_set(&a->timeout))
        timer_set(&a->timeout, TICK_MS);
}

void timeout_forget(struct channel *ch)
{
    struct timeouts *t = &ch->timeouts;
    list_remove(&t->link);
    free(t->queues);
    t->queues = NULL;
    t->count = t->cap = 0;
}

/* ---- the tick ---- */

static uint64_t limit_of(const struct timeouts *t, struct addr queue)
{
    for (size_t i = 0; i < t->count; i++) {
        if (addr_eq(t->queues[i].queue, queue))
            return t->queues[i].ms;
    }
    return 0;
}

static const char *consumer_of(const struct channel *ch, struct addr queue, struct slice *ret_tag)
{
    for (uint32_t n = 0; n < ch->consumer_cap; n++) {
        const struct channel_consumer *cc = ch->consumers[n];
        if (!cc || !cc->def || !addr_eq(cc->def->addr, queue))
            continue;
        *ret_tag = cc->tag;
        return "consumer ";
    }
    *ret_tag = SLICE("basic.get");
    return "";
}

static void close_late(struct channel *ch, const struct unacked_tag *e)
{
    uint64_t ms = limit_of(&ch->timeouts, e->queue);
    struct slice tag;
    const char *kind = consumer_of(ch, e->queue, &tag);
    log_warning(CHANNEL, &ch->log,
                "%s'%.*s' did not acknowledge delivery tag %" PRIu64 " within %" PRIu64 " ms", kind,
                SLICE_ARG(tag), e->tag, ms);
    ch->method = NULL;
    consumers_drop(ch);
    settle_all(ch, SETTLE_REQUEUE); /* as RabbitMQ sees it, nobody failed with these */
    channel_failf(
        ch, ERR_PRECONDITION_FAILED,
        "delivery acknowledgement on channel %u timed out. Timeout value used: %" PRIu64
        " ms. This timeout value can be configured, see consumers doc guide to learn more",
        ch->number, ms);
}

/* All of what it holds, at most once a limit: what comes later is late later. The channel may be
 * gone afterwards. */
static void look_at(struct channel *ch, uint32_t second)
{
    const struct unacked_tags *u = &ch->unacked;
    struct timeouts *t = &ch->timeouts;
    bool any = false;
    for (size_t i = 0; i < u->count; i++) {
        const struct unacked_tag *e = unacked_tags_at(u, i);
        if (e->state != TAG_LIVE || !e->due)
            continue;
        if (is_before(e->due, second)) {
            close_late(ch, e);
            return;
        }
        if (!any || is_before(e->due, t->next))
            t->next = e->due;
        any = true;
    }
    if (!any)
        list_remove(&t->link);
}

static void on_tick(struct timer *timer)
{
    struct amqp_shard *a = list_entry(timer, struct amqp_shard, timeout);
    uint32_t second = now(a);
    struct list left; /* one that is closed may take others along */
    list_init(&left);
    list_splice(&left, &a->timed);
    while (!list_empty(&left)) {
        struct channel *ch = list_entry(left.next, struct channel, timeouts.link);
        list_remove(&ch->timeouts.link);
        list_append(&a->timed, &ch->timeouts.link);
        if (is_before(ch->timeouts.next, second))
            look_at(ch, second);
    }
    if (!list_empty(&a->timed))
        timer_set(timer, TICK_MS);
}

void timeout_init(struct amqp_shard *a)
{
    list_init(&a->timed);
    timer_init(&a->timeout, a->shard, on_tick);
}
