/* What routing one message costs, by exchange type and number of bindings: JSON on stdout.
 * The replica is a plain one of this file, so that the figures are those of route.c and the types.
 * Every scenario cycles through random messages; the best of several runs counts, since other
 * programs disturb. An argument names the scenarios to run (a prefix). */
#include "broker/route.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/table.h"
#include "broker/exchange/exchange.h"

#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 4096, RUNS = 9 };

struct exchange {
    const struct exchange_type *type;
    void *instance;
    uint32_t stamp;
};

struct bench_queue {
    struct target_queue target;
    struct slice name;
};

struct vhost {
    struct hash queues;
};

struct routing {
    uint32_t stamp;
};

static struct slice queue_name(const void *object)
{
    return ((const struct bench_queue *)object)->name;
}

struct target_queue *vhost_find_queue(const struct vhost *vhost, struct slice name)
{
    struct bench_queue *queue = hash_find(&vhost->queues, name);
    return queue ? &queue->target : NULL;
}

const struct exchange_type *exchange_get_type(const struct exchange *exchange)
{
    return exchange->type;
}

const void *exchange_get_instance(const struct exchange *exchange)
{
    return exchange->instance;
}

struct exchange *exchange_find_alternate(struct exchange *exchange)
{
    (void)exchange;
    return NULL;
}

struct target_queue *exchange_find_line(struct exchange *exchange)
{
    (void)exchange;
    return NULL;
}

bool exchange_is_bound(const struct exchange *exchange)
{
    (void)exchange;
    return true;
}

uint32_t *exchange_stamp(struct exchange *exchange)
{
    return &exchange->stamp;
}

uint32_t routing_next_stamp(struct routing *routing)
{
    return ++routing->stamp; /* too few routes to wrap */
}

/* --- scenarios --- */

struct scenario {
    const char *name;
    const struct exchange_type *type; /* NULL: the default exchange */
    unsigned bindings;
    /* of binding n, and of a message that it matches */
    void (*make_binding)(unsigned n, struct buf *key, struct buf *args);
    void (*make_message)(unsigned n, struct buf *key, struct buf *headers);
};

static void plain(unsigned n, struct buf *key, struct buf *table)
{
    (void)table;
    buf_printf(key, "queue-%u", n);
}

/* A third each of plain keys, '*' and '#'. */
static void topic_binding(unsigned n, struct buf *key, struct buf *args)
{
    (void)args;
    static const char *const last[] = {"new", "*", "#"};
    buf_printf(key, "orders.shop%u.%s", n, last[n % 3]);
}

static void topic_message(unsigned n, struct buf *key, struct buf *headers)
{
    (void)headers;
    buf_printf(key, "orders.shop%u.new", n);
}

/* Two arguments that all share, one of its own. */
static void put_document(unsigned n, struct buf *table)
{
    table_put_str(table, SLICE("format"), SLICE("pdf"));
    table_put_str(table, SLICE("kind"), SLICE("report"));
    table_put_i32(table, SLICE("customer"), (int32_t)n);
}

static void all_binding(unsigned n, struct buf *key, struct buf *args)
{
    (void)key;
    table_put_str(args, SLICE("x-match"), SLICE("all"));
    put_document(n, args);
}

static void any_binding(unsigned n, struct buf *key, struct buf *args)
{
    (void)key;
    table_put_str(args, SLICE("x-match"), SLICE("any"));
    table_put_i32(args, SLICE("customer"), (int32_t)n);
    table_put_i32(args, SLICE("payer"), (int32_t)n);
}

static void document(unsigned n, struct buf *key, struct buf *headers)
{
    (void)key;
    put_document(n, headers);
    table_put_str(headers, SLICE("trace"), SLICE("4bf92f3577b34da6a3ce929d0e0e4736"));
}

static const struct scenario scenarios[] = {
    {"default-1000", NULL, 1000, plain, plain},
    {"direct-1000", &exchange_direct, 1000, plain, plain},
    {"fanout-1", &exchange_fanout, 1, plain, plain},
    {"fanout-100", &exchange_fanout, 100, plain, plain},
    {"topic-10", &exchange_topic, 10, topic_binding, topic_message},
    {"topic-1000", &exchange_topic, 1000, topic_binding, topic_message},
    {"topic-10000", &exchange_topic, 10000, topic_binding, topic_message},
    {"headers-all-10", &exchange_headers, 10, all_binding, document},
    {"headers-all-1000", &exchange_headers, 1000, all_binding, document},
    {"headers-any-10", &exchange_headers, 10, any_binding, document},
    {"headers-any-1000", &exchange_headers, 1000, any_binding, document},
};

/* --- running --- */

struct bench {
    struct routing routing;
    struct vhost vhost;
    struct exchange exchange;
    struct route route;
    struct bench_queue *queues;
    struct binding *bindings;
    struct slice keys[MESSAGES], headers[MESSAGES];
};

static struct bench *bench_new(const struct scenario *s)
{
    struct bench *b = NEW(struct bench);
    struct buf key = BUF_INIT, table = BUF_INIT;
    hash_init(&b->vhost.queues, queue_name);
    b->queues = mem_zalloc(s->bindings * sizeof *b->queues);
    b->bindings = mem_zalloc(s->bindings * sizeof *b->bindings);
    b->exchange.type = s->type;
    b->exchange.instance = s->type ? s->type->new (s->type, SLICE_EMPTY) : NULL;
    for (unsigned n = 0; n < s->bindings; n++) {
        plain(n, &key, NULL);
        b->queues[n].name = buf_take(&key);
        hash_add(&b->vhost.queues, &b->queues[n]);
        s->make_binding(n, &key, &table);
        b->bindings[n] = (struct binding){
            .to = {.queue = &b->queues[n].target}, .key = buf_take(&key), .args = buf_take(&table)};
        if (s->type)
            s->type->bind(b->exchange.instance, &b->bindings[n]);
    }
    uint64_t random = 1;
    for (unsigned i = 0; i < MESSAGES; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        s->make_message((unsigned)(random >> 33) % s->bindings, &key, &table);
        b->keys[i] = buf_take(&key);
        b->headers[i] = buf_take(&table);
    }
    route_init(&b->route);
    return b;
}

static void bench_free(struct bench *b, const struct scenario *s)
{
    if (s->type)
        s->type->free(b->exchange.instance);
    for (unsigned n = 0; n < s->bindings; n++) {
        slice_free(&b->queues[n].name);
        slice_free(&b->bindings[n].key);
        slice_free(&b->bindings[n].args);
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        slice_free(&b->keys[i]);
        slice_free(&b->headers[i]);
    }
    hash_fini(&b->vhost.queues);
    route_fini(&b->route);
    free(b->queues);
    free(b->bindings);
    free(b);
}

static void run(const struct scenario *s, bool first)
{
    struct bench *b = bench_new(s);
    struct exchange *x = s->type ? &b->exchange : NULL;
    double best = 0;
    size_t targets = 0;
    unsigned rounds = s->bindings == 100 ? 4 : 25;
    for (unsigned i = 0; i < RUNS; i++) {
        targets = 0;
        uint64_t start = clock_mono_ns();
        for (unsigned j = 0; j < rounds * MESSAGES; j++) {
            unsigned m = j % MESSAGES;
            struct route_input input = {.key = b->keys[m], .headers = b->headers[m]};
            if (route_message(&b->route, &b->routing, &b->vhost, x, &input, NULL))
                abort();
            targets += b->route.count;
        }
        double ns = (double)(clock_mono_ns() - start) / (rounds * MESSAGES);
        if (i == 0 || ns < best)
            best = ns;
    }
    printf("%s    {\"name\": \"%s\", \"bindings\": %u, \"ns_per_route\": %.1f, \"targets\": %.2f}",
           first ? "" : ",\n", s->name, s->type ? s->bindings : 0, best,
           (double)targets / (rounds * MESSAGES));
    bench_free(b, s);
}

int main(int argc, char **argv)
{
    bool first = true;
    printf("{\n  \"benchmark\": \"route\",\n  \"results\": [\n");
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (argc > 1 && strncmp(scenarios[i].name, argv[1], strlen(argv[1])) != 0)
            continue;
        run(&scenarios[i], first);
        first = false;
    }
    printf("\n  ]\n}\n");
    return 0;
}
