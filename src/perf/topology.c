/* See topology.h. Used by the main thread before and after the load. */
#include "perf/topology.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RPC_WINDOW = 500, /* declares and binds under way */
    DURABLE = 2,
};

void topology_init(struct topology *t, const struct options *o)
{
    uint64_t seed = now_ns() ^ (uint64_t)getpid() << 20;

    *t = (struct topology){.o = o, .nkeys = 1, .stride = 1, .reach = 1};
    seed *= UINT64_C(0x9E3779B97F4A7C15);
    t->run = (uint16_t)(seed >> 48);
    if (o->prefix != NULL)
        snprintf(t->prefix, sizeof t->prefix, "%s", o->prefix);
    else
        snprintf(t->prefix, sizeof t->prefix, "jackalope-perf-%d-%04x", getpid(), t->run);

    switch (o->type) {
    case EXCHANGE_DEFAULT:
    case EXCHANGE_DIRECT:
        if (!o->pin)
            t->nkeys = t->stride = o->queues;
        break;
    case EXCHANGE_FANOUT:
        t->reach = o->queues;
        break;
    default:
        if (o->queues > o->match)
            t->stride = o->queues / o->match;
        t->groups = o->bindings / o->match;
        t->groups -= t->groups % t->stride;
        t->nkeys = t->groups;
        t->reach = o->queues < o->match ? o->queues : o->match;
        break;
    }
    t->reach *= topology_readers(t);
}

uint64_t topology_readers(const struct topology *t)
{
    return t->o->stream && t->o->consumers > t->o->queues ? t->o->consumers / t->o->queues : 1;
}

static bool matching(const struct topology *t)
{
    return t->o->type == EXCHANGE_TOPIC || t->o->type == EXCHANGE_HEADERS;
}

void topology_queue_name(const struct topology *t, uint64_t queue, char *name_)
{
    snprintf(name_, TOPOLOGY_NAME_MAX, "%.230s.%llu", t->prefix, (unsigned long long)queue);
}

void topology_source_name(const struct topology *t, uint64_t queue, char *name_)
{
    topology_queue_name(t, queue, name_);
    if (t->o->dead_letters)
        memcpy(name_ + strlen(name_), ".dead", sizeof ".dead");
}

const char *topology_exchange_name(const struct topology *t)
{
    return t->o->type == EXCHANGE_DEFAULT ? "" : t->prefix;
}

void topology_key(const struct topology *t, uint64_t producer, uint64_t key, char *name_)
{
    switch (t->o->type) {
    case EXCHANGE_DEFAULT:
    case EXCHANGE_DIRECT:
        topology_queue_name(t, t->o->pin ? producer % t->o->queues : key, name_);
        break;
    case EXCHANGE_TOPIC:
        snprintf(name_, TOPOLOGY_NAME_MAX, "perf.%llu.data", (unsigned long long)key);
        break;
    default:
        name_[0] = '\0';
    }
}

void topology_header(uint64_t key, char *value_)
{
    snprintf(value_, TOPOLOGY_NAME_MAX, "%llu", (unsigned long long)key);
}

bool topology_feeds(const struct topology *t, uint64_t producer, uint64_t queue)
{
    return !t->o->pin || producer % t->o->queues == queue;
}

uint64_t topology_phase(const struct topology *t, uint64_t queue)
{
    if (t->stride == 1)
        return 0;
    return matching(t) ? queue / t->o->match : queue;
}

uint64_t topology_expected(const struct topology *t, uint64_t producer, uint64_t queue,
                           uint64_t sent)
{
    uint64_t phase = topology_phase(t, queue);

    if (!topology_feeds(t, producer, queue) || sent <= phase)
        return 0;
    return (sent - phase - 1) / t->stride + 1;
}

/* dead: the queue for dead letters, NULL: they are none of ours */
static void put_queue_args(const struct options *o, struct octets *out, const char *dead)
{
    size_t table = table_begin(out);

    if (dead != NULL) {
        table_str(out, "x-dead-letter-exchange", "");
        table_str(out, "x-dead-letter-routing-key", dead);
    }
    for (uint32_t i = 0; i < o->nqueue_args; i++) {
        char key[TOPOLOGY_NAME_MAX];
        const char *eq = strchr(o->queue_args[i], '=');
        char *end;
        snprintf(key, sizeof key, "%.*s", (int)(eq - o->queue_args[i]), o->queue_args[i]);
        long long n = strtoll(eq + 1, &end, 10);
        if (eq[1] != '\0' && *end == '\0')
            table_long(out, key, n);
        else if (strcmp(eq + 1, "true") == 0 || strcmp(eq + 1, "false") == 0)
            table_bool(out, key, eq[1] == 't');
        else
            table_str(out, key, eq + 1);
    }
    table_end(out, table);
}

static size_t begin_declare(const struct options *o, struct octets *out, const char *queue)
{
    size_t mark = method_begin(out, PEER_CHANNEL, QUEUE_DECLARE);

    put_u16(out, 0);
    put_shortstr(out, queue);
    put_u8(out, o->durable ? DURABLE : 0);
    return mark;
}

void topology_put_declare(const struct options *o, struct octets *out, const char *queue)
{
    size_t mark = begin_declare(o, out, queue);

    put_queue_args(o, out, NULL);
    method_end(out, mark);
}

/* The queue and the one for its dead letters. */
static void put_declare_both(const struct options *o, struct octets *out, const char *queue,
                             const char *dead)
{
    size_t mark = begin_declare(o, out, dead);

    put_u32(out, 0);
    method_end(out, mark);
    mark = begin_declare(o, out, queue);
    put_queue_args(o, out, dead);
    method_end(out, mark);
}

void topology_put_delete(struct octets *out, const char *queue)
{
    size_t mark = method_begin(out, PEER_CHANNEL, QUEUE_DELETE);

    put_u16(out, 0);
    put_shortstr(out, queue);
    put_u8(out, 0);
    method_end(out, mark);
}

static void put_exchange(const struct topology *t, struct octets *out)
{
    size_t mark = method_begin(out, PEER_CHANNEL, EXCHANGE_DECLARE);

    put_u16(out, 0);
    put_shortstr(out, t->prefix);
    const char *type = options_type_name(t->o->type);
    bool delayed = t->o->delay.max > 0;
    put_shortstr(out, delayed ? "x-delayed-message" : type);
    put_u8(out, t->o->durable ? DURABLE : 0);
    size_t table = table_begin(out);
    if (delayed)
        table_str(out, "x-delayed-type", type);
    table_end(out, table);
    method_end(out, mark);
}

/* Four patterns, each of which only the keys of its group match. */
static void binding_pattern(uint64_t group, uint64_t shape, char *key_)
{
    unsigned long long g = group;

    if (shape == 0)
        snprintf(key_, TOPOLOGY_NAME_MAX, "*.%llu.data", g);
    else if (shape == 1)
        snprintf(key_, TOPOLOGY_NAME_MAX, "perf.%llu.#", g);
    else if (shape == 2)
        snprintf(key_, TOPOLOGY_NAME_MAX, "#.%llu.*", g);
    else
        snprintf(key_, TOPOLOGY_NAME_MAX, "perf.%llu.*", g);
}

/* Four argument tables, likewise. */
static void put_binding_headers(struct octets *out, uint64_t group, uint64_t shape)
{
    char value[TOPOLOGY_NAME_MAX];
    size_t table = table_begin(out);

    topology_header(group, value);
    table_str(out, "x-match", shape == 1 || shape == 3 ? "any" : "all");
    table_str(out, TOPOLOGY_HEADER, value);
    if (shape == 1)
        table_str(out, "absent", value);
    if (shape == 2)
        table_str(out, "kind", "load");
    if (shape == 3)
        table_str(out, "kind", "other");
    table_end(out, table);
}

static void put_bind(const struct topology *t, struct octets *out, uint64_t binding)
{
    const struct options *o = t->o;
    char queue[TOPOLOGY_NAME_MAX];
    char key[TOPOLOGY_NAME_MAX] = "";
    uint64_t group = binding / o->match;
    uint64_t shape = binding % o->match;
    uint64_t to = binding;

    if (matching(t))
        to = t->stride > 1 ? group % t->stride * o->match + shape : shape % o->queues;
    topology_queue_name(t, to, queue);
    if (o->type == EXCHANGE_TOPIC)
        binding_pattern(group, shape, key);
    if (o->type == EXCHANGE_DIRECT)
        topology_queue_name(t, binding, key);

    size_t mark = method_begin(out, PEER_CHANNEL, QUEUE_BIND);
    put_u16(out, 0);
    put_shortstr(out, queue);
    put_shortstr(out, t->prefix);
    put_shortstr(out, key);
    put_u8(out, 0);
    if (o->type == EXCHANGE_HEADERS)
        put_binding_headers(out, group, shape);
    else
        put_u32(out, 0);
    method_end(out, mark);
}

static bool flush_window(struct peer *admin, uint32_t method, uint64_t *pending, bool last)
{
    if (*pending < RPC_WINDOW && !(last && *pending > 0))
        return true;
    bool ok = peer_await(admin, method, (uint32_t)*pending);
    *pending = 0;
    return ok;
}

bool topology_declare(const struct topology *t, struct peer *admin)
{
    const struct options *o = t->o;
    uint64_t pending = 0;

    for (uint64_t q = 0; q < o->queues; q++) {
        char name[TOPOLOGY_NAME_MAX], source[TOPOLOGY_NAME_MAX];
        topology_queue_name(t, q, name);
        topology_source_name(t, q, source);
        if (o->dead_letters)
            put_declare_both(o, &admin->out, name, source);
        else
            topology_put_declare(o, &admin->out, name);
        pending += o->dead_letters ? 2 : 1;
        if (!flush_window(admin, QUEUE_DECLARE_OK, &pending, q + 1 == o->queues))
            return false;
    }
    if (o->type == EXCHANGE_DEFAULT)
        return true;

    put_exchange(t, &admin->out);
    if (!peer_await(admin, EXCHANGE_DECLARE_OK, 1))
        return false;
    uint64_t nbindings = matching(t) ? o->bindings : o->queues;
    for (uint64_t b = 0; b < nbindings; b++) {
        put_bind(t, &admin->out, b);
        pending++;
        if (!flush_window(admin, QUEUE_BIND_OK, &pending, b + 1 == nbindings))
            return false;
    }
    return true;
}

bool topology_delete(const struct topology *t, struct peer *admin)
{
    const struct options *o = t->o;
    uint64_t pending = 0;

    if (o->type != EXCHANGE_DEFAULT) {
        size_t mark = method_begin(&admin->out, PEER_CHANNEL, EXCHANGE_DELETE);
        put_u16(&admin->out, 0);
        put_shortstr(&admin->out, t->prefix);
        put_u8(&admin->out, 0);
        method_end(&admin->out, mark);
        if (!peer_await(admin, EXCHANGE_DELETE_OK, 1))
            return false;
    }
    for (uint64_t q = 0; q < o->queues; q++) {
        char name[TOPOLOGY_NAME_MAX], source[TOPOLOGY_NAME_MAX];
        topology_queue_name(t, q, name);
        topology_source_name(t, q, source);
        topology_put_delete(&admin->out, name);
        if (o->dead_letters)
            topology_put_delete(&admin->out, source);
        pending += o->dead_letters ? 2 : 1;
        if (!flush_window(admin, QUEUE_DELETE_OK, &pending, q + 1 == o->queues))
            return false;
    }
    return true;
}
