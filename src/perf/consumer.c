/* See consumer.h. Opened by the main thread, then owned by its worker. */
#include "perf/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static void *must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "jackalope-perf: out of memory\n");
        abort();
    }
    return p;
}

uint32_t consumer_local(const struct consumer *c, uint64_t queue)
{
    uint64_t first = c->id % c->actor.bench->o->queues;

    if (queue < first || (queue - first) % c->step != 0)
        return UINT32_MAX;
    uint64_t local = (queue - first) / c->step;
    return local < c->nqueues ? (uint32_t)local : UINT32_MAX;
}

static uint64_t queue_of(const struct consumer *c, uint32_t local)
{
    return c->id % c->actor.bench->o->queues + (uint64_t)local * c->step;
}

/* Checks one message of a known producer and run. */
static void verify(struct consumer *c, uint32_t local, const struct stamp *stamp, bool redelivered)
{
    const struct topology *t = &c->actor.bench->topology;
    uint64_t index = stamp->seq;

    if (t->stride > 1) {
        index = stamp->seq / t->stride;
        if (stamp->seq - index * t->stride != topology_phase(t, queue_of(c, local))) {
            c->corrupt++;
            return;
        }
    }
    struct track *track = &c->tracks[(size_t)local * c->actor.bench->nproducers + stamp->producer];
    uint64_t fresh = track->fresh;
    track_add(track, &c->actor.worker->pool, index,
              redelivered || options_unordered(c->actor.bench->o));
    c->batch_fresh += track->fresh - fresh;
}

static void count_message(struct consumer *c, uint32_t local, const struct peer_message *msg)
{
    struct bench *b = c->actor.bench;

    c->batch_delivered++;
    c->batch_octets += msg->size;
    c->redelivered += msg->redelivered;
    if (msg->have < STAMP_SIZE || local >= c->nqueues || msg->size < b->o->size_min ||
        msg->size > b->o->size_max) {
        c->corrupt++;
        return;
    }
    struct stamp stamp = stamp_get(msg->stamp);
    if (stamp.run != b->topology.run || stamp.producer >= b->nproducers) {
        c->foreign++;
        return;
    }
    verify(c, local, &stamp, msg->redelivered);
    if (!c->get && ((stamp.time - b->measure_from) & STAMP_MASK) >> 47 == 0)
        hist_add(&c->actor.worker->latency, stamp_age(stamp.time, c->actor.peer.now));
}

static void put_ack(struct consumer *c, uint64_t tag)
{
    ack_put(octets_add(&c->actor.peer.out, ACK_FRAME_SIZE), PEER_CHANNEL, tag, true);
    c->unacked = 0;
}

static void on_message(struct peer *peer, const struct peer_message *msg)
{
    struct consumer *c = (struct consumer *)peer;
    uint32_t local = 0;

    if (msg->method == BASIC_RETURN)
        return;
    if (c->get) {
        uint64_t slot = c->answered++ % c->window;
        local = c->asked_queue[slot];
        hist_add(&c->actor.worker->latency, peer->now - c->asked_at[slot]);
    } else if (c->nqueues > 1) {
        local = consumer_local(c, msg->queue);
    }
    count_message(c, local, msg);
    c->last_tag = msg->tag;
    if (c->ack_every > 0 && ++c->unacked >= c->ack_every)
        put_ack(c, msg->tag);
}

static void on_method(struct peer *peer, uint32_t method)
{
    struct consumer *c = (struct consumer *)peer;

    if (method != BASIC_GET_EMPTY || !c->get)
        return;
    uint32_t local = c->asked_queue[c->answered++ % c->window];
    if (!c->empty[local]) {
        c->empty[local] = true;
        c->nempty++;
    }
}

static const struct peer_ops consumer_ops = {
    .on_message = on_message,
    .on_method = on_method,
};

static void put_get(struct consumer *c, uint64_t now)
{
    struct octets *out = &c->actor.peer.out;
    char name[TOPOLOGY_NAME_MAX];

    while (c->empty[c->turn])
        c->turn = (c->turn + 1) % c->nqueues;
    topology_queue_name(&c->actor.bench->topology, queue_of(c, c->turn), name);
    size_t mark = method_begin(out, PEER_CHANNEL, BASIC_GET);
    put_u16(out, 0);
    put_shortstr(out, name);
    put_u8(out, c->ack_every == 0);
    method_end(out, mark);
    c->asked_queue[c->asked % c->window] = c->turn;
    c->asked_at[c->asked % c->window] = now;
    c->asked++;
    c->turn = (c->turn + 1) % c->nqueues;
}

/* Keeps the window full; half of it may be answered before it is filled up, so that requests and
 * replies travel in batches. */
static void ask(struct consumer *c, uint64_t now)
{
    uint64_t under_way = c->asked - c->answered;

    if (bench_phase(c->actor.bench) >= PHASE_DRAIN || c->nempty == c->nqueues) {
        if (under_way == 0 && !c->actor.done) {
            c->actor.done = true;
            atomic_fetch_add_explicit(&c->actor.bench->consumers_done, 1, memory_order_release);
        }
        return;
    }
    if (under_way > c->window / 2)
        return;
    for (; under_way < c->window; under_way++)
        put_get(c, now);
}

static void consumer_step(struct actor *a, uint64_t now)
{
    struct consumer *c = (struct consumer *)a;
    struct counters *sum = &a->worker->counters;

    if (c->batch_delivered > 0) {
        a->worker->last_rx = a->peer.now;
        COUNTER_ADD(sum->delivered, c->batch_delivered);
        COUNTER_ADD(sum->fresh, c->batch_fresh);
        COUNTER_ADD(sum->octets, c->batch_octets);
        c->batch_delivered = c->batch_fresh = c->batch_octets = 0;
    }
    if (a->peer.state == PEER_CLOSED)
        return;
    if (c->get)
        ask(c, now);
    if (c->unacked > 0 && (bench_phase(a->bench) >= PHASE_DRAIN || a->done))
        put_ack(c, c->last_tag);
    if (octets_left(&a->peer.out) > 0)
        peer_flush(&a->peer);
    a->want_out = octets_left(&a->peer.out) > 0;
}

/* A stream is read from its first message on, whenever the consumer comes. */
static void put_consume_args(const struct options *o, struct octets *out)
{
    size_t table = table_begin(out);

    if (o->stream)
        table_str(out, "x-stream-offset", "first");
    table_end(out, table);
}

static bool subscribe(struct consumer *c)
{
    const struct options *o = c->actor.bench->o;
    struct peer *peer = &c->actor.peer;

    if (o->prefetch > 0) {
        size_t mark = method_begin(&peer->out, PEER_CHANNEL, BASIC_QOS);
        put_u32(&peer->out, 0);
        put_u16(&peer->out, (uint16_t)o->prefetch);
        put_u8(&peer->out, 0);
        method_end(&peer->out, mark);
        if (!peer_await(peer, BASIC_QOS_OK, 1))
            return false;
    }
    for (uint32_t i = 0; i < c->nqueues; i++) {
        char name[TOPOLOGY_NAME_MAX];
        char tag[32];
        topology_source_name(&c->actor.bench->topology, queue_of(c, i), name);
        snprintf(tag, sizeof tag, "q%llu", (unsigned long long)queue_of(c, i));
        size_t mark = method_begin(&peer->out, PEER_CHANNEL, BASIC_CONSUME);
        put_u16(&peer->out, 0);
        put_shortstr(&peer->out, name);
        put_shortstr(&peer->out, tag);
        put_u8(&peer->out, c->ack_every == 0 ? 2 : 0);
        put_consume_args(o, &peer->out);
        method_end(&peer->out, mark);
    }
    /* When nobody publishes, a backlog waits: then the worker sends these when time begins. */
    return !c->actor.bench->producing || peer_await(peer, BASIC_CONSUME_OK, c->nqueues);
}

static void open_gets(struct consumer *c)
{
    c->window = (uint32_t)c->actor.bench->o->pipeline;
    c->asked_queue = must(calloc(c->window, sizeof *c->asked_queue));
    c->asked_at = must(calloc(c->window, sizeof *c->asked_at));
    c->empty = must(calloc(c->nqueues, sizeof *c->empty));
}

bool consumer_open(struct consumer *c, struct worker *w, uint32_t id, bool get)
{
    struct bench *b = w->bench;
    const struct options *o = b->o;
    uint64_t nqueues = 1;

    if (o->consumers < o->queues)
        nqueues = (o->queues - id + o->consumers - 1) / o->consumers;
    *c = (struct consumer){
        .actor = {.bench = b, .worker = w, .step = consumer_step},
        .id = id,
        .nqueues = (uint32_t)nqueues,
        .step = (uint32_t)(o->consumers < o->queues ? o->consumers : o->queues),
        .ack_every = o->ack,
        .get = get,
    };
    c->tracks = must(calloc(nqueues * (b->nproducers + 1), sizeof *c->tracks));
    peer_init(&c->actor.peer, &o->uri, &consumer_ops, &b->fault, PEER_READ_BIG);
    if (!peer_open(&c->actor.peer))
        return false;
    if (!get)
        return subscribe(c);
    open_gets(c);
    return true;
}

void consumer_fini(struct consumer *c)
{
    peer_fini(&c->actor.peer);
    if (c->tracks != NULL)
        for (size_t i = 0; i < (size_t)c->nqueues * c->actor.bench->nproducers; i++)
            track_fini(&c->tracks[i]);
    free(c->tracks);
    free(c->asked_queue);
    free(c->asked_at);
    free(c->empty);
}
