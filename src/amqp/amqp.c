/* State of the AMQP front on each shard: options, connections, reactions to changes, shutdown. */
#include "amqp/amqp.h"
#include "amqp/hook.h"

#include "amqp/channel_priv.h"
#include "base/mem.h"
#include "shard/slot.h"

#include <stdlib.h>

/* Ops of this folder's own actor carry one of these. */
struct op_amqp {
    struct amqp_options *options; /* new options: owned; first, as in struct op_text */
    char *reason;                 /* shutdown: owned until the node ends */
};

/* On shard 0, while the node goes down. */
struct shutdown {
    struct timer timer;
    struct node *node;
    uint64_t deadline_ms;
    void (*done)(void *arg);
    void *arg;
    char *reason;
    unsigned passes, awaited; /* to come; answers of the one under way */
};

/* Of a pass: shard 0 -> each shard -> each shard -> shard 0. Between any two of them what was
 * posted before is then handled; as many passes follow as what that led to may go on to lead to. */
enum { PASS_OUT, PASS_ON, PASS_BACK, PASSES = 5 };

/* ---- changes ---- */

/* A user or vhost that went takes its connections along. */
static void on_change(void *arg, const struct meta_change *change)
{
    struct amqp_shard *a = arg;
    enum meta_change_kind kind = meta_change_kind(change);
    a->tracing = routing_is_traced(a->routing);
    if (kind == CHANGE_POLICY)
        timeout_refresh(a);
    if (kind != CHANGE_VHOST_REMOVED && kind != CHANGE_USER_REMOVED)
        return;
    struct slice name =
        kind == CHANGE_VHOST_REMOVED ? meta_change_vhost(change) : meta_change_name(change);
    list_each_safe (it, &a->connections) {
        struct connection *c = list_entry(it, struct connection, link);
        if (c->state != CONN_RUNNING)
            continue;
        if (kind == CHANGE_VHOST_REMOVED && slice_eq(c->vhost, name))
            connection_failf(c, NULL, ERR_CONNECTION_FORCED, "vhost '%.*s' is down",
                             SLICE_ARG(name));
        else if (kind == CHANGE_USER_REMOVED && slice_eq(c->user, name))
            connection_failf(c, NULL, ERR_CONNECTION_FORCED, "user '%.*s' is deleted",
                             SLICE_ARG(name));
    }
}

/* ---- shutdown and options ---- */

static void stop_connections(struct amqp_shard *a, const char *reason)
{
    a->stopping = reason;
    list_each_safe (it, &a->connections) {
        struct connection *c = list_entry(it, struct connection, link);
        if (c->state == CONN_RUNNING)
            connection_failf(c, NULL, ERR_CONNECTION_FORCED,
                             "broker forced connection closure with reason '%s'", reason);
        else if (c->state < CONN_RUNNING)
            connection_finish(c, 0);
        else if (c->state == CONN_CLOSED)
            stream_abort(c->stream, "the broker is stopping");
    }
}

static void take_options(struct amqp_shard *a, struct amqp_options *options)
{
    a->options = *options;
    free(options);
    timeout_refresh(a);
}

static void pass_to(struct amqp_shard *to, unsigned stage)
{
    struct op op = {.to = to->addr, .kind = OP_AMQP_PASS, .n = stage};
    post(&op);
}

static void pass_to_all(struct node *node, unsigned stage)
{
    for (unsigned i = 0; i < node_shard_count(node); i++)
        pass_to(amqp_of(node_shard(node, i)), stage);
}

/* The last connection is gone, but what it gave back may be on its way to the queues still. */
static void next_pass(struct shutdown *s)
{
    unsigned shards = node_shard_count(s->node);
    if (!s->passes) {
        s->done(s->arg);
        return;
    }
    s->passes--;
    s->awaited = shards * shards;
    pass_to_all(s->node, PASS_OUT);
}

static void on_pass(struct amqp_shard *a, unsigned stage)
{
    struct node *node = shard_node(a->shard);
    if (stage == PASS_OUT)
        pass_to_all(node, PASS_ON);
    else if (stage == PASS_ON)
        pass_to(amqp_of(node_shard(node, 0)), PASS_BACK);
    else if (!--a->shutdown->awaited)
        next_pass(a->shutdown);
}

static void on_op(void *object, struct op *op)
{
    struct amqp_shard *a = object;
    struct op_amqp *in = op_body(op, struct op_amqp);
    if (op->kind == OP_AMQP_STOP)
        stop_connections(a, in->reason);
    else if (op->kind == OP_AMQP_PASS)
        on_pass(a, op->n);
    else if (op->kind == OP_AMQP_OPTIONS)
        take_options(a, in->options);
    else if (op->kind == OP_REPLY)
        reply_on_op(a, op);
}

static const struct actor_type amqp_type = {"amqp", on_op};

static void check_gone(struct timer *t)
{
    struct shutdown *s = list_entry(t, struct shutdown, timer);
    if (amqp_connection_count(s->node) && shard_now_ms(t->shard) < s->deadline_ms) {
        timer_set(t, 20);
        return;
    }
    next_pass(s);
}

void amqp_shutdown(struct node *node, const char *reason, unsigned timeout_ms,
                   void (*done)(void *arg), void *arg)
{
    struct amqp_shard *first = amqp_of(node_shard(node, 0));
    struct shutdown *s = NEW(struct shutdown);
    timer_init(&s->timer, first->shard, check_gone);
    s->node = node;
    s->deadline_ms = shard_now_ms(first->shard) + timeout_ms;
    s->done = done;
    s->arg = arg;
    s->passes = PASSES;
    s->reason = mem_strdup(reason);
    first->shutdown = s;
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        struct op op = {.to = amqp_of(node_shard(node, i))->addr, .kind = OP_AMQP_STOP};
        op_body(&op, struct op_amqp)->reason = s->reason;
        post(&op);
    }
    timer_set(&s->timer, 10);
}

void amqp_set_options(struct node *node, const struct amqp_options *options)
{
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        struct op op = {.to = amqp_of(node_shard(node, i))->addr, .kind = OP_AMQP_OPTIONS};
        struct amqp_options *copy = NEW(struct amqp_options);
        *copy = *options;
        op_body(&op, struct op_amqp)->options = copy;
        post(&op);
    }
}

size_t amqp_connection_count(struct node *node)
{
    size_t n = 0;
    for (unsigned i = 0; i < node_shard_count(node); i++)
        n += amqp_of(node_shard(node, i))->count;
    return n;
}

/* ---- life ---- */

static void init_shard(struct shard *shard, void *options)
{
    struct amqp_shard *a = NEW(struct amqp_shard);
    a->shard = shard;
    a->options = *(const struct amqp_options *)options;
    a->routing = routing_of(shard);
    route_init(&a->route);
    route_init(&a->trace_route);
    list_init(&a->connections);
    a->totals = broker_totals(shard);
    timeout_init(a);
    a->listener = (struct routing_listener){.on_change = on_change, .arg = a};
    routing_listen(a->routing, &a->listener);
    shard_set_local(shard, SHARD_LOCAL_AMQP, a);
    a->addr = slot_new(shard, &amqp_type, a);
}

void amqp_set_hook(struct shard *shard, struct amqp_hook *hook)
{
    amqp_of(shard)->hook = hook;
}

static void fini_shard(struct shard *shard, void *unused)
{
    (void)unused;
    struct amqp_shard *a = amqp_of(shard);
    if (a->shutdown) {
        timer_stop(&a->shutdown->timer);
        free(a->shutdown->reason);
        free(a->shutdown);
    }
    slot_free(shard, a->addr);
    timer_stop(&a->timeout);
    route_fini(&a->route);
    route_fini(&a->trace_route);
    buf_fini(&a->scratch);
    shard_set_local(shard, SHARD_LOCAL_AMQP, NULL);
    free(a);
}

static const void *find_channel(struct shard *shard, struct addr addr)
{
    return channel_at(shard, addr);
}

void amqp_init(struct node *node, const struct amqp_options *options)
{
    listing_set_getter(LISTING_CONNECTIONS, connection_column);
    listing_set_getter(LISTING_CHANNELS, channel_column);
    listing_set_teller(LISTING_CONNECTIONS, connection_tell);
    listing_set_finder(LISTING_CONNECTIONS, connection_at);
    listing_set_finder(LISTING_CHANNELS, find_channel);
    node_each_shard(node, init_shard, (void *)(uintptr_t)options);
}

void amqp_fini(struct node *node)
{
    node_each_shard(node, fini_shard, NULL);
}

const struct protocol *amqp_protocol(void)
{
    static const struct protocol protocol = {.name = "amqp", .on_open = connection_open};
    return &protocol;
}
