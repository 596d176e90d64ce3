/* Queues, exchanges and consumers of the sink: names, routes, and the copying of messages. */
#include "perf/sink.h"

#include <stdlib.h>

static uint32_t bucket_of(const uint8_t *name, uint8_t len)
{
    uint32_t h = 2166136261U;

    for (uint8_t i = 0; i < len; i++)
        h = (h ^ name[i]) * 16777619U;
    return (h ^ h >> 16) & (SINK_BUCKETS - 1);
}

struct sink_queue *sink_queue_find(struct sink *s, const uint8_t *name, uint8_t len)
{
    struct sink_queue *q = s->queues[bucket_of(name, len)];

    while (q != NULL && (q->name_len != len || memcmp(q->name, name, len) != 0))
        q = q->next;
    return q;
}

struct sink_queue *sink_queue_declare(struct sink *s, const uint8_t *name, uint8_t len)
{
    struct sink_queue *q = sink_queue_find(s, name, len);

    if (q != NULL)
        return q;
    struct sink_queue **bucket = &s->queues[bucket_of(name, len)];
    q = sink_must(calloc(1, sizeof *q));
    memcpy(q->name, name, len);
    q->name_len = len;
    q->next = *bucket;
    *bucket = q;
    s->version++;
    return q;
}

static void unbind_everywhere(struct sink *s, const struct sink_queue *q)
{
    for (uint32_t b = 0; b < SINK_BUCKETS; b++)
        for (struct sink_exchange *x = s->exchanges[b]; x != NULL; x = x->next)
            for (uint32_t i = 0; i < x->nqueues; i++)
                if (x->queues[i] == q)
                    x->queues[i--] = x->queues[--x->nqueues];
}

static void queue_free(struct sink_queue *q)
{
    octets_fini(&q->backlog);
    free(q->consumers);
    free(q);
}

void sink_queue_delete(struct sink *s, struct sink_queue *q)
{
    struct sink_queue **at = &s->queues[bucket_of((const uint8_t *)q->name, q->name_len)];

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    for (uint32_t i = 0; i < q->nconsumers; i++)
        q->consumers[i]->queue = NULL;
    if (s->nexchanges > 0)
        unbind_everywhere(s, q);
    queue_free(q);
    s->version++;
}

struct sink_exchange *sink_exchange_find(struct sink *s, const uint8_t *name, uint8_t len)
{
    struct sink_exchange *x = s->exchanges[bucket_of(name, len)];

    while (x != NULL && (x->name_len != len || memcmp(x->name, name, len) != 0))
        x = x->next;
    return x;
}

void sink_exchange_declare(struct sink *s, const uint8_t *name, uint8_t len)
{
    if (sink_exchange_find(s, name, len) != NULL)
        return;
    struct sink_exchange **bucket = &s->exchanges[bucket_of(name, len)];
    struct sink_exchange *x = sink_must(calloc(1, sizeof *x));
    memcpy(x->name, name, len);
    x->name_len = len;
    x->next = *bucket;
    *bucket = x;
    s->nexchanges++;
    s->version++;
}

void sink_exchange_delete(struct sink *s, const uint8_t *name, uint8_t len)
{
    struct sink_exchange *x = sink_exchange_find(s, name, len);
    struct sink_exchange **at = &s->exchanges[bucket_of(name, len)];

    if (x == NULL)
        return;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    free(x->queues);
    free(x);
    s->nexchanges--;
    s->version++;
}

void sink_exchange_bind(struct sink *s, struct sink_exchange *x, struct sink_queue *q)
{
    for (uint32_t i = 0; i < x->nqueues; i++)
        if (x->queues[i] == q)
            return;
    x->queues = sink_must(realloc(x->queues, (x->nqueues + 1) * sizeof(void *)));
    x->queues[x->nqueues++] = q;
    s->version++;
}

/* Copies header and body frames, putting another channel number in if need be. */
static void put_content(uint8_t *to, const struct sink_message *m, uint16_t channel)
{
    memcpy(to, m->content, m->content_len);
    if (get_u16(m->content + 1) == channel)
        return;
    for (size_t at = 0; at < m->content_len; at += get_u32(to + at + 3) + (size_t)FRAME_OVERHEAD)
        set_u16(to + at + 1, channel);
}

static void deliver(struct sink_consumer *k, const struct sink_message *m)
{
    struct sink_conn *c = k->conn;
    uint32_t method_len = k->head_len + 9 + m->route_len + 1;
    uint8_t *p = octets_add(&c->out, method_len + m->content_len);

    memcpy(p, k->head, k->head_len);
    set_u32(p + 3, method_len - FRAME_OVERHEAD);
    set_u64(p + k->head_len, ++c->channels[k->channel].delivery_tag);
    p[k->head_len + 8] = 0;
    memcpy(p + k->head_len + 9, m->route, m->route_len);
    p[method_len - 1] = FRAME_END;
    put_content(p + method_len, m, k->channel);
    sink_touch(c);
}

/* A message in the backlog: two lengths, route, content. */
static void keep(struct sink_queue *q, const struct sink_message *m)
{
    uint8_t *p = octets_add(&q->backlog, 8 + m->route_len + m->content_len);

    set_u32(p, m->route_len);
    set_u32(p + 4, (uint32_t)m->content_len);
    memcpy(p + 8, m->route, m->route_len);
    memcpy(p + 8 + m->route_len, m->content, m->content_len);
    q->ready++;
}

static struct sink_message take(struct sink_queue *q)
{
    const uint8_t *p = q->backlog.data + q->backlog.off;
    struct sink_message m = {.route_len = get_u32(p), .content_len = get_u32(p + 4)};

    m.route = p + 8;
    m.content = m.route + m.route_len;
    q->backlog.off += 8 + m.route_len + m.content_len;
    q->ready--;
    return m;
}

static void enqueue(struct sink_queue *q, const struct sink_message *m)
{
    if (q->nconsumers == 0 || q->ready > 0) {
        keep(q, m);
        return;
    }
    if (q->turn >= q->nconsumers)
        q->turn = 0;
    deliver(q->consumers[q->turn++], m);
}

void sink_queue_pump(struct sink_queue *q)
{
    uint32_t full = 0;

    while (q->ready > 0 && full < q->nconsumers) {
        struct sink_consumer *k = q->consumers[q->turn++ % q->nconsumers];
        if (k->conn->full) {
            full++;
            continue;
        }
        full = 0;
        struct sink_message m = take(q);
        deliver(k, &m);
    }
    if (q->ready == 0)
        octets_fini(&q->backlog);
}

static void look_up(struct sink_conn *c, const struct sink_message *m)
{
    const uint8_t *key = m->route + 1 + m->route[0];

    memcpy(c->route, m->route, m->route_len);
    c->route_len = m->route_len;
    c->route_version = c->sink->version;
    c->route_queue = NULL;
    c->route_exchange = NULL;
    if (m->route[0] == 0)
        c->route_queue = sink_queue_find(c->sink, key + 1, key[0]);
    else
        c->route_exchange = sink_exchange_find(c->sink, m->route + 1, m->route[0]);
}

void sink_publish(struct sink_conn *c, const struct sink_message *m)
{
    if (m->route_len != c->route_len || c->route_version != c->sink->version ||
        memcmp(m->route, c->route, m->route_len) != 0)
        look_up(c, m);
    if (c->route_queue != NULL)
        enqueue(c->route_queue, m);
    else if (c->route_exchange != NULL)
        for (uint32_t i = 0; i < c->route_exchange->nqueues; i++)
            enqueue(c->route_exchange->queues[i], m);
}

void sink_queue_get(struct sink_conn *c, uint16_t channel, struct sink_queue *q)
{
    if (q == NULL || q->ready == 0) {
        size_t mark = method_begin(&c->out, channel, BASIC_GET_EMPTY);
        put_shortstr(&c->out, "");
        method_end(&c->out, mark);
        sink_touch(c);
        return;
    }
    struct sink_message m = take(q);
    uint32_t method_len = 7 + 4 + 9 + m.route_len + 4 + 1;
    uint8_t *p = octets_add(&c->out, method_len + m.content_len);
    p[0] = FRAME_METHOD;
    set_u16(p + 1, channel);
    set_u32(p + 3, method_len - FRAME_OVERHEAD);
    set_u32(p + 7, BASIC_GET_OK);
    set_u64(p + 11, ++c->channels[channel].delivery_tag);
    p[19] = 0;
    memcpy(p + 20, m.route, m.route_len);
    set_u32(p + 20 + m.route_len, (uint32_t)q->ready);
    p[method_len - 1] = FRAME_END;
    put_content(p + method_len, &m, channel);
    sink_touch(c);
}

void sink_consume(struct sink_conn *c, struct sink_queue *q, uint16_t channel, const uint8_t *tag,
                  uint8_t tag_len)
{
    struct sink_consumer *k = sink_must(calloc(1, sizeof *k));

    k->conn = c;
    k->queue = q;
    k->channel = channel;
    k->head[0] = FRAME_METHOD;
    set_u16(k->head + 1, channel);
    set_u32(k->head + 7, BASIC_DELIVER);
    k->head[11] = tag_len;
    memcpy(k->head + 12, tag, tag_len);
    k->head_len = 12U + tag_len;
    c->consumers = sink_must(realloc(c->consumers, (c->nconsumers + 1) * sizeof(void *)));
    c->consumers[c->nconsumers++] = k;
    q->consumers = sink_must(realloc(q->consumers, (q->nconsumers + 1) * sizeof(void *)));
    q->consumers[q->nconsumers++] = k;
}

static void consumer_remove(struct sink_conn *c, uint32_t at)
{
    struct sink_consumer *k = c->consumers[at];
    struct sink_queue *q = k->queue;

    for (uint32_t i = 0; q != NULL && i < q->nconsumers; i++)
        if (q->consumers[i] == k)
            q->consumers[i--] = q->consumers[--q->nconsumers];
    c->consumers[at] = c->consumers[--c->nconsumers];
    free(k);
}

void sink_cancel(struct sink_conn *c, const uint8_t *tag, uint8_t tag_len)
{
    for (uint32_t i = 0; i < c->nconsumers; i++) {
        const struct sink_consumer *k = c->consumers[i];
        if (k->head[11] == tag_len && memcmp(k->head + 12, tag, tag_len) == 0) {
            consumer_remove(c, i);
            return;
        }
    }
}

void sink_cancel_all(struct sink_conn *c)
{
    while (c->nconsumers > 0)
        consumer_remove(c, c->nconsumers - 1);
}

void sink_free_all(struct sink *s)
{
    for (uint32_t b = 0; b < SINK_BUCKETS; b++) {
        while (s->queues[b] != NULL) {
            struct sink_queue *q = s->queues[b];
            s->queues[b] = q->next;
            queue_free(q);
        }
        while (s->exchanges[b] != NULL) {
            struct sink_exchange *x = s->exchanges[b];
            s->exchanges[b] = x->next;
            free(x->queues);
            free(x);
        }
    }
}
