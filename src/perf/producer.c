/* See producer.h. Opened by the main thread, then owned by its worker. */
#include "perf/producer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sysexits.h>

enum {
    RING_OCTETS = 128 * 1024,    /* wanted: stays in the second-level cache */
    RING_OCTETS_MAX = 512 << 20, /* refused beyond */
    BATCH_OCTETS = 64 * 1024,    /* of one write */
    BATCHES_A_STEP = 4,          /* before others have their turn */
    TICK_NS = 20 * 1000,         /* paced: shortest sleep */
};

static void *must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "jackalope-perf: out of memory\n");
        abort();
    }
    return p;
}

static void put_publish(const struct bench *b, struct octets *out, const char *key)
{
    size_t mark = method_begin(out, PEER_CHANNEL, BASIC_PUBLISH);

    put_u16(out, 0);
    put_shortstr(out, topology_exchange_name(&b->topology));
    put_shortstr(out, key);
    put_u8(out, b->o->mandatory ? 1 : 0);
    method_end(out, mark);
}

static uint16_t property_flags(const struct options *o, uint32_t life)
{
    return (uint16_t)((o->type == EXCHANGE_HEADERS || o->delay.max > 0 ? FLAG_HEADERS : 0) |
                      (o->persistent ? FLAG_DELIVERY_MODE : 0) |
                      (o->priorities > 0 ? FLAG_PRIORITY : 0) | (life > 0 ? FLAG_EXPIRATION : 0));
}

static void put_header(const struct options *o, struct octets *out, uint64_t key,
                       const struct message_traits *m)
{
    put_u8(out, FRAME_HEADER);
    put_u16(out, PEER_CHANNEL);
    put_u32(out, 0);
    size_t mark = octets_left(out);
    put_u16(out, CLASS_BASIC);
    put_u16(out, 0);
    put_u64(out, m->size);
    put_u16(out, property_flags(o, m->life));
    if (o->type == EXCHANGE_HEADERS) {
        char value[TOPOLOGY_NAME_MAX];
        size_t table = table_begin(out);
        topology_header(key, value);
        table_str(out, TOPOLOGY_HEADER, value);
        table_str(out, "kind", "load");
        table_end(out, table);
    } else if (o->delay.max > 0) {
        size_t table = table_begin(out);
        table_long(out, "x-delay", m->delay);
        table_end(out, table);
    }
    if (o->persistent)
        put_u8(out, 2);
    if (o->priorities > 0)
        put_u8(out, m->priority);
    if (m->life > 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", m->life);
        put_shortstr(out, text);
    }
    method_end(out, mark);
}

/* Body frames with filler; returns where the stamp goes, from the start of `out`. */
static size_t put_body(struct octets *out, uint64_t size, uint32_t frame_max)
{
    uint64_t most = frame_max - FRAME_OVERHEAD;
    size_t stamp = 0;

    for (uint64_t done = 0; done < size;) {
        uint64_t n = size - done < most ? size - done : most;
        put_u8(out, FRAME_BODY);
        put_u16(out, PEER_CHANNEL);
        put_u32(out, (uint32_t)n);
        if (done == 0)
            stamp = octets_left(out);
        uint8_t *at = octets_add(out, (size_t)n);
        for (uint64_t i = 0; i < n; i++)
            at[i] = (uint8_t)('a' + (done + i) % 26);
        put_u8(out, FRAME_END);
        done += n;
    }
    return stamp;
}

size_t producer_put_message(const struct bench *b, struct octets *out, uint64_t producer,
                            uint64_t key, const struct message_traits *m, uint32_t frame_max)
{
    char name[TOPOLOGY_NAME_MAX];

    topology_key(&b->topology, producer, key, name);
    put_publish(b, out, name);
    put_header(b->o, out, key, m);
    return put_body(out, m->size, frame_max);
}

static uint64_t draw(uint32_t *seed, uint64_t from, uint64_t to)
{
    *seed = *seed * 1664525U + 1013904223U;
    return from + (uint64_t)(*seed >> 8) % (to - from + 1);
}

/* The ring holds every key the same number of times, in order. */
static bool build_ring(struct producer *p)
{
    const struct bench *b = p->actor.bench;
    const struct options *o = b->o;
    uint64_t nkeys = b->topology.nkeys;
    uint64_t each = (o->size_min + o->size_max) / 2 + 100;
    uint64_t rounds = 1;
    uint32_t seed = p->id;
    struct octets ring = {0};

    while (rounds * nkeys * each < RING_OCTETS || (o->size_min != o->size_max && rounds < 16) ||
           rounds * nkeys < o->priorities)
        rounds++;
    if (rounds * nkeys * each > RING_OCTETS_MAX) {
        fault_set(&p->actor.bench->fault, EX_USAGE,
                  "%llu keys with bodies of %llu octets are more than a producer prepares",
                  (unsigned long long)nkeys, (unsigned long long)o->size_max);
        return false;
    }
    p->nslots = (uint32_t)(rounds * nkeys);
    p->slot = must(calloc(p->nslots + 1, sizeof *p->slot));
    p->stamp = must(calloc(p->nslots, sizeof *p->stamp));
    p->life = must(calloc(p->nslots, sizeof *p->life));
    for (uint32_t i = 0; i < p->nslots; i++) {
        struct message_traits m = {.size = draw(&seed, o->size_min, o->size_max)};
        if (o->priorities > 0)
            m.priority = (uint8_t)(i % o->priorities);
        if (o->expiration.max > 0)
            m.life = (uint32_t)draw(&seed, o->expiration.min, o->expiration.max);
        if (o->delay.max > 0)
            m.delay = (uint32_t)draw(&seed, o->delay.min, o->delay.max);
        p->life[i] = m.life + m.delay;
        p->slot[i] = octets_left(&ring);
        size_t stamp =
            producer_put_message(b, &ring, p->id, i % nkeys, &m, p->actor.peer.frame_max);
        p->stamp[i] = (uint32_t)(stamp - p->slot[i]);
    }
    p->slot[p->nslots] = octets_left(&ring);
    p->ring = ring.data;
    return true;
}

static void open_confirms(struct producer *p)
{
    uint64_t n = 1;

    p->window = p->actor.bench->o->confirm;
    while (n < p->window + 1)
        n *= 2;
    p->mask = n - 1;
    p->sent_at = must(calloc(n, sizeof *p->sent_at));
    p->settled = must(calloc(n, sizeof *p->settled));
    p->low = 1;
}

static void settle(struct producer *p, uint64_t tag, bool nack)
{
    struct worker *w = p->actor.worker;
    uint64_t at = p->sent_at[tag & p->mask];

    if (nack) {
        COUNTER_ADD(w->counters.nacked, 1);
        return;
    }
    COUNTER_ADD(w->counters.confirmed, 1);
    if (at >= p->actor.bench->measure_from)
        hist_add(&w->confirm, p->actor.peer.now > at ? p->actor.peer.now - at : 0);
}

static void on_confirm(struct peer *peer, uint64_t tag, bool multiple, bool nack)
{
    struct producer *p = (struct producer *)peer;

    if (multiple && tag == 0)
        tag = p->seq;
    if (p->window == 0 || tag == 0 || tag > p->seq || tag < p->low ||
        (!multiple && p->settled[tag & p->mask])) {
        peer_fail(peer, EX_PROTOCOL, "the broker confirmed tag %llu, which is not outstanding",
                  (unsigned long long)tag);
        return;
    }
    if (!multiple) {
        settle(p, tag, nack);
        p->settled[tag & p->mask] = 1;
    } else {
        for (uint64_t t = p->low; t <= tag; t++) {
            if (!p->settled[t & p->mask])
                settle(p, t, nack);
            p->settled[t & p->mask] = 1;
        }
    }
    while (p->low <= p->seq && p->settled[p->low & p->mask])
        p->settled[p->low++ & p->mask] = 0;
}

static void on_message(struct peer *peer, const struct peer_message *msg)
{
    struct producer *p = (struct producer *)peer;

    if (msg->method == BASIC_RETURN)
        COUNTER_ADD(p->actor.worker->counters.returned, 1);
}

static void on_method(struct peer *peer, uint32_t method)
{
    struct producer *p = (struct producer *)peer;

    if (method == TX_COMMIT_OK && p->tx_waiting) {
        p->tx_waiting = false;
        p->tx_left = p->actor.bench->o->tx;
        COUNTER_ADD(p->actor.worker->counters.commits, 1);
        if (p->tx_sent_at >= p->actor.bench->measure_from)
            hist_add(&p->actor.worker->confirm, peer->now - p->tx_sent_at);
    }
    if (method == BASIC_QOS_OK && p->fence_sent)
        p->fence_back = true;
}

static const struct peer_ops producer_ops = {
    .on_message = on_message,
    .on_confirm = on_confirm,
    .on_method = on_method,
};

/* Writes what is stamped, then control frames. True: nothing is left. */
static bool flush(struct producer *p)
{
    struct peer *peer = &p->actor.peer;

    while (p->write_off < p->write_end) {
        ssize_t n =
            send(peer->fd, p->ring + p->write_off, p->write_end - p->write_off, MSG_NOSIGNAL);
        if (n > 0) {
            p->write_off += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            return false;
        /* The reason may be on its way in: the next read finds it, or the end of the stream. */
        if (errno == EPIPE || errno == ECONNRESET)
            return false;
        peer_fail(peer, EX_UNAVAILABLE, "cannot write to the broker: %s", strerror(errno));
        return false;
    }
    return peer_flush(peer) && octets_left(&peer->out) == 0;
}

static uint64_t outstanding(const struct bench *b)
{
    struct counters sum = bench_sum(b);
    uint64_t due = sum.published * b->topology.reach;

    return due > sum.delivered ? due - sum.delivered : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many messages are due at `now`, and when the next one is. */
static uint64_t due_count(struct producer *p, uint64_t now)
{
    double since = (double)(now - p->actor.bench->start) - p->offset;
    uint64_t due = since < 0 ? 0 : (uint64_t)(since / p->interval) + 1;
    double next = p->offset + (double)due * p->interval;

    p->actor.due = p->actor.bench->start + (uint64_t)next;
    if (p->actor.due < now + TICK_NS)
        p->actor.due = now + TICK_NS;
    return due > p->seq ? due - p->seq : 0;
}

/* How many messages --inflight allows. Flat out nothing goes until a quarter of the bound is free,
 * so that writes stay large. */
static uint64_t room_in_flight(struct producer *p, uint64_t now)
{
    const struct bench *b = p->actor.bench;
    uint64_t out = outstanding(b);
    uint64_t free = out < b->o->inflight ? b->o->inflight - out : 0;

    if (p->interval > 0 || free >= b->o->inflight / 4)
        return (free + b->topology.reach - 1) / b->topology.reach;
    p->actor.due = now + TICK_NS;
    return 0;
}

/* How many messages may go now. */
static uint64_t allowance(struct producer *p, uint64_t now)
{
    const struct options *o = p->actor.bench->o;
    uint64_t n = p->limit - p->seq;

    if (bench_phase(p->actor.bench) >= PHASE_DRAIN)
        return 0;
    if (p->interval > 0)
        n = smaller(n, due_count(p, now));
    if (p->window > 0)
        n = smaller(n, p->window - (p->seq + 1 - p->low));
    if (o->tx > 0)
        n = p->tx_waiting ? 0 : smaller(n, p->tx_left);
    if (o->inflight > 0 && n > 0)
        n = smaller(n, room_in_flight(p, now));
    return n;
}

static uint64_t time_of(const struct producer *p, uint64_t seq, uint64_t now)
{
    if (p->interval == 0)
        return now;
    return p->actor.bench->start + (uint64_t)(p->offset + (double)seq * p->interval);
}

/* Stamps up to n messages that lie in one piece. */
static void stamp_batch(struct producer *p, uint64_t n, uint64_t now)
{
    uint64_t who = (uint64_t)p->id << 48;
    uint64_t run = (uint64_t)p->actor.bench->topology.run << 48;
    size_t begin = p->slot[p->next];
    uint32_t i = p->next;
    uint64_t seq = p->seq;
    bool confirms = p->window > 0;
    bool paced = p->interval > 0;

    while (n > 0 && i < p->nslots && p->slot[i] - begin < BATCH_OCTETS) {
        uint64_t time = paced ? time_of(p, seq, now) : now;
        uint64_t due = time + (uint64_t)p->life[i] * 1000000;
        stamp_put(p->ring + p->slot[i] + p->stamp[i], who | seq, run | (due & STAMP_MASK));
        seq++;
        if (confirms)
            p->sent_at[seq & p->mask] = time;
        i++;
        n--;
    }
    p->write_off = begin;
    p->write_end = p->slot[i];
    p->next = i == p->nslots ? 0 : i;
    COUNTER_ADD(p->actor.worker->counters.published, seq - p->seq);
    if (p->actor.bench->o->tx > 0)
        p->tx_left -= seq - p->seq;
    p->seq = seq;
}

static void commit(struct producer *p, uint64_t now)
{
    method_empty(&p->actor.peer.out, PEER_CHANNEL, TX_COMMIT);
    p->tx_waiting = true;
    p->tx_sent_at = now;
}

/* After the last message: waits for all answers. True when there is nothing to wait for. */
static bool finished(struct producer *p, uint64_t now)
{
    const struct options *o = p->actor.bench->o;

    if (p->window > 0)
        return p->low > p->seq;
    if (o->tx > 0) {
        if (!p->tx_waiting && p->tx_left < o->tx)
            commit(p, now);
        return !p->tx_waiting;
    }
    if (p->actor.bench->consuming)
        return true;
    if (!p->fence_sent) {
        size_t mark = method_begin(&p->actor.peer.out, PEER_CHANNEL, BASIC_QOS);
        put_u32(&p->actor.peer.out, 0);
        put_u16(&p->actor.peer.out, 0);
        put_u8(&p->actor.peer.out, 0);
        method_end(&p->actor.peer.out, mark);
        p->fence_sent = true;
    }
    return p->fence_back;
}

static void producer_step(struct actor *a, uint64_t now)
{
    struct producer *p = (struct producer *)a;

    a->want_out = false;
    a->due = 0;
    for (int i = 0; i < BATCHES_A_STEP; i++) {
        if (a->peer.state == PEER_CLOSED)
            return;
        if (!flush(p)) {
            a->want_out = true;
            return;
        }
        uint64_t n = allowance(p, now);
        if (n == 0)
            break;
        stamp_batch(p, n, now);
        if (p->actor.bench->o->tx > 0 && p->tx_left == 0)
            commit(p, now);
        if (p->interval == 0)
            a->want_out = true;
    }
    if (a->done || (p->seq < p->limit && bench_phase(a->bench) < PHASE_DRAIN))
        return;
    if (p->write_off == p->write_end && finished(p, now)) {
        a->done = true;
        p->done_at = now;
        a->want_out = false;
        atomic_fetch_add_explicit(&a->bench->producers_done, 1, memory_order_release);
    }
    if (!flush(p))
        a->want_out = true;
}

bool producer_open(struct producer *p, struct worker *w, uint16_t id)
{
    struct bench *b = w->bench;
    const struct options *o = b->o;
    struct peer *peer = &p->actor.peer;

    *p = (struct producer){
        .id = id, .limit = UINT64_MAX, .actor = {.bench = b, .worker = w, .step = producer_step}};
    peer_init(peer, &b->o->uri, &producer_ops, &b->fault, PEER_READ_SMALL * 4);
    if (!peer_open(peer))
        return false;
    if (o->confirm > 0) {
        size_t mark = method_begin(&peer->out, PEER_CHANNEL, CONFIRM_SELECT);
        put_u8(&peer->out, 0);
        method_end(&peer->out, mark);
        if (!peer_await(peer, CONFIRM_SELECT_OK, 1))
            return false;
        open_confirms(p);
    }
    if (o->tx > 0) {
        method_empty(&peer->out, PEER_CHANNEL, TX_SELECT);
        if (!peer_await(peer, TX_SELECT_OK, 1))
            return false;
        p->tx_left = o->tx;
    }
    if (o->count > 0)
        p->limit = o->count / o->producers + (id < o->count % o->producers);
    if (o->rate > 0) {
        p->interval = 1e9 * (double)o->producers / (double)o->rate;
        p->offset = p->interval * id / (double)o->producers;
    }
    return build_ring(p);
}

void producer_fini(struct producer *p)
{
    peer_fini(&p->actor.peer);
    free(p->ring);
    free(p->slot);
    free(p->stamp);
    free(p->life);
    free(p->sent_at);
    free(p->settled);
}
