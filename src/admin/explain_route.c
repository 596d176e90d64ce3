/* explain route: the way a message would take now. A visit of shard 0: what the queues are is
 * asked as a publish asks it; then the bindings of each exchange on the way are judged one by one,
 * in portions, for people who want to know why. */
#include "admin/cell.h"
#include "admin/explain.h"
#include "admin/report.h"

#include "base/mem.h"
#include "base/table.h"
#include "broker/route.h"
#include "meta/bound_walk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

enum arrival { BY_PUBLISH, BY_BINDING, BY_ALTERNATE };

/* An exchange on the way. */
struct hop {
    struct bound_walk walk;
    enum arrival arrival;
    size_t from; /* number of the hop before */
    uint64_t matched, missed;
    struct buf hits, misses; /* lines, or JSON objects */
};

struct route_visit {
    struct visit visit;
    bool json;
    size_t shown;
    struct slice vhost, exchange, key, headers; /* owned */
    struct route route;
    struct slice *keys; /* borrowed from key and headers */
    size_t key_count;
    struct hop *hops;
    size_t hop, count, cap; /* hop: being walked */
    bool begun;
    uint64_t queues;
    struct buf queue_names; /* lines, or JSON strings */
    struct buf problem;     /* why nothing can be explained */
    struct buf json_hops;
};

static void route_fini_visit(struct visit *visit)
{
    struct route_visit *v = (struct route_visit *)visit;
    for (size_t i = 0; i < v->count; i++) {
        bound_walk_fini(&v->hops[i].walk);
        buf_fini(&v->hops[i].hits);
        buf_fini(&v->hops[i].misses);
    }
    free(v->hops);
    free(v->keys);
    route_fini(&v->route);
    slice_free(&v->vhost);
    slice_free(&v->exchange);
    slice_free(&v->key);
    slice_free(&v->headers);
    buf_fini(&v->queue_names);
    buf_fini(&v->problem);
    buf_fini(&v->json_hops);
}

/* ---- what the message is ---- */

static void put_keys(struct buf *table, struct slice name, const char *text)
{
    size_t mark = table_open(table, name, TABLE_ARRAY);
    while (*text) {
        size_t n = strcspn(text, ",");
        array_put_str(table, slice_of(text, n));
        text += n + (text[n] == ',');
    }
    table_close(table, mark);
}

/* name=value: true and false, whole numbers, else text; CC and BCC are lists of keys. */
static void put_header(struct buf *table, const char *word)
{
    const char *equals = strchr(word, '=');
    struct slice name = slice_of(word, equals ? (size_t)(equals - word) : strlen(word));
    const char *text = equals ? equals + 1 : "";
    char *end;
    long long number = strtoll(text, &end, 10);
    size_t len = strlen(text);
    if (!equals)
        table_put_void(table, name);
    else if (slice_eq_str(name, "CC") || slice_eq_str(name, "BCC"))
        put_keys(table, name, text);
    else if (!strcmp(text, "true") || !strcmp(text, "false"))
        table_put_bool(table, name, *text == 't');
    else if (len && !*end && *text != ' ' && *text != '+')
        table_put_i64(table, name, number);
    else if (len >= 2 && *text == '"' && text[len - 1] == '"')
        table_put_str(table, name, slice_of(text + 1, len - 2));
    else
        table_put_str(table, name, slice_str(text));
}

/* ---- the way ---- */

static bool has_hop(const struct route_visit *v, const struct exchange *x)
{
    for (size_t i = 0; i < v->count; i++) {
        if (v->hops[i].walk.exchange == exchange_get_def(x))
            return true;
    }
    return false;
}

static void add_hop(struct route_visit *v, const struct exchange *x, enum arrival arrival)
{
    if (has_hop(v, x))
        return;
    MEM_GROW(v->hops, v->cap, v->count + 1);
    struct hop *hop = &v->hops[v->count++];
    *hop = (struct hop){.arrival = arrival, .from = v->hop};
    bound_walk_init(&hop->walk, x);
}

static void put_binding(const struct route_visit *v, struct buf *out, const struct binding *b,
                        struct slice key, struct slice why)
{
    struct slice name =
        b->to.queue ? b->to.queue->def->name : exchange_get_def(b->to.exchange)->name;
    const char *kind = b->to.queue ? "queue" : "exchange";
    bool other_key = !slice_eq(key, v->key);
    if (v->json) {
        buf_printf(out, "%s{\"destination_type\":\"%s\"", out->len ? "," : "", kind);
        explain_put_json(out, "destination", name);
        explain_put_json(out, "routing_key", b->key);
        buf_append_str(out, ",\"arguments\":");
        struct value args = {.type = VALUE_TABLE, .bytes = b->args};
        cell_put(out, &args, true);
        if (why.data)
            explain_put_json(out, "reason", why);
        else if (other_key)
            explain_put_json(out, "matched_key", key);
        buf_append_byte(out, '}');
        return;
    }
    buf_printf(out, "    %s '%.*s' by '%.*s'", kind, SLICE_ARG(name), SLICE_ARG(b->key));
    if (b->args.len) {
        buf_append_byte(out, ' ');
        table_print(b->args, out);
    }
    if (why.data)
        buf_printf(out, ": %.*s", SLICE_ARG(why));
    else if (other_key)
        buf_printf(out, " with the key '%.*s'", SLICE_ARG(key));
    buf_append_byte(out, '\n');
}

/* The first of the message's keys with which the binding matches; why is about the first of all. */
static bool judge(const struct route_visit *v, const struct exchange_type *type,
                  const struct binding *b, struct slice *ret_key, struct buf *why)
{
    *ret_key = v->key;
    if (!type->judge)
        return true;
    for (size_t i = 0; i < (type->keyless ? 1 : v->key_count); i++) {
        struct route_input input = {.key = v->keys[i], .headers = v->headers};
        size_t start = why->len;
        if (type->judge(b, &input, why)) {
            *ret_key = v->keys[i];
            return true;
        }
        if (i)
            why->len = start;
    }
    return false;
}

static void on_binding(const struct binding *b, void *arg)
{
    struct route_visit *v = arg;
    struct hop *hop = &v->hops[v->hop];
    struct buf why = BUF_INIT;
    struct slice key;
    const struct exchange_def *x = hop->walk.exchange;
    const struct exchange_type *type = exchange_type_acting(x->type, x->args);
    if (!judge(v, type, b, &key, &why)) {
        if (hop->missed++ < v->shown)
            put_binding(v, &hop->misses, b, key, buf_slice(&why));
    } else {
        if (hop->matched++ < v->shown)
            put_binding(v, &hop->hits, b, key, SLICE_EMPTY);
        if (b->to.exchange)
            add_hop(v, b->to.exchange, BY_BINDING);
    }
    buf_fini(&why);
}

/* ---- telling ---- */

static void put_more(struct buf *text, uint64_t count, size_t shown)
{
    if (count > shown)
        buf_printf(text, "    and %" PRIu64 " more\n", count - shown);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* How an exchange that chooses among its bindings chose. */
static void put_choice(const struct route_visit *v, struct exchange *x, struct buf *out)
{
    const struct exchange_type *type = exchange_get_type(x);
    struct route_input input = {.key = v->key, .headers = v->headers};
    if (type->tell)
        type->tell(exchange_get_instance(x), &input, out);
}

static void tell_hop(struct route_visit *v, const struct hop *hop, struct slice alternate,
                     bool found, struct slice choice)
{
    const struct exchange_def *def = hop->walk.exchange;
    struct buf text = BUF_INIT;
    struct slice from = v->hops[hop->from].walk.exchange->name;
    buf_printf(&text, "Exchange '%.*s' (%.*s)", SLICE_ARG(def->name), SLICE_ARG(def->type));
    if (hop->arrival == BY_BINDING)
        buf_printf(&text, ", bound to '%.*s'", SLICE_ARG(from));
    else if (hop->arrival == BY_ALTERNATE)
        buf_printf(&text, ", alternate exchange of '%.*s'", SLICE_ARG(from));
    else if (def->internal)
        buf_append_str(&text, ", internal: clients cannot publish to it");
    buf_printf(&text, "\n  %" PRIu64 " binding%s match%s\n", hop->matched, plural(hop->matched),
               hop->matched == 1 ? "es" : "");
    if (choice.len)
        buf_printf(&text, "  %.*s\n", SLICE_ARG(choice));
    buf_append_slice(&text, buf_slice(&hop->hits));
    put_more(&text, hop->matched, v->shown);
    if (hop->missed) {
        buf_printf(&text, "  %" PRIu64 " binding%s do%s not\n", hop->missed, plural(hop->missed),
                   hop->missed == 1 ? "es" : "");
        buf_append_slice(&text, buf_slice(&hop->misses));
        put_more(&text, hop->missed, v->shown);
    }
    if (!hop->matched && alternate.data)
        buf_printf(&text, "  the alternate exchange '%.*s' %s\n", SLICE_ARG(alternate),
                   found ? "gets it" : "does not exist");
    text.len--;
    report_print_slice(&v->visit.out, buf_slice(&text));
    buf_fini(&text);
}

static void note_hop(struct route_visit *v, const struct hop *hop, struct slice alternate,
                     bool found, struct slice choice)
{
    static const char *const arrivals[] = {"publish", "binding", "alternate"};
    struct buf *out = &v->json_hops;
    const struct exchange_def *def = hop->walk.exchange;
    buf_printf(out, "%s{\"via\":\"%s\"", out->len ? "," : "", arrivals[hop->arrival]);
    explain_put_json(out, "exchange", def->name);
    explain_put_json(out, "type", def->type);
    if (hop->arrival != BY_PUBLISH)
        explain_put_json(out, "from", v->hops[hop->from].walk.exchange->name);
    buf_printf(out,
               ",\"internal\":%s,\"matched\":%" PRIu64 ",\"unmatched\":%" PRIu64
               ",\"matching\":[%.*s],\"not_matching\":[%.*s]",
               def->internal ? "true" : "false", hop->matched, hop->missed,
               SLICE_ARG(buf_slice(&hop->hits)), SLICE_ARG(buf_slice(&hop->misses)));
    if (alternate.data) {
        explain_put_json(out, "alternate_exchange", alternate);
        buf_printf(out, ",\"alternate_used\":%s", !hop->matched && found ? "true" : "false");
    }
    if (choice.len)
        explain_put_json(out, "choice", choice);
    buf_append_byte(out, '}');
}

/* All its bindings were seen. */
static void end_hop(struct route_visit *v, const struct routing *routing)
{
    const struct exchange_def *def = v->hops[v->hop].walk.exchange;
    const struct vhost *vhost = routing_find_vhost(routing, v->vhost);
    struct exchange *x = vhost ? vhost_find_exchange(vhost, def->name) : NULL;
    struct exchange *alternate = x ? exchange_find_alternate(x) : NULL;
    struct slice name = alternate ? exchange_get_def(alternate)->name : def->alternate;
    if (!v->hops[v->hop].matched && alternate)
        add_hop(v, alternate, BY_ALTERNATE);
    const struct hop *hop = &v->hops[v->hop];
    struct buf choice = BUF_INIT;
    if (x)
        put_choice(v, x, &choice);
    if (v->json)
        note_hop(v, hop, name, alternate != NULL, buf_slice(&choice));
    else
        tell_hop(v, hop, name, alternate != NULL, buf_slice(&choice));
    buf_fini(&choice);
    v->hop++;
}

static void tell_default(struct route_visit *v, const struct vhost *vhost)
{
    for (size_t i = 0; i < v->key_count; i++) {
        bool found = vhost_find_queue(vhost, v->keys[i]);
        report_print(&v->visit.out, "Default exchange\n  %s queue is named '%.*s'",
                     found ? "a" : "no", SLICE_ARG(v->keys[i]));
    }
}

static void tell_queues(struct route_visit *v)
{
    struct buf text = BUF_INIT, *out = &v->visit.out;
    if (v->json) {
        buf_append_str(&text, "{\"vhost\":");
        cell_put_string(&text, v->vhost);
        explain_put_json(&text, "exchange", v->exchange);
        explain_put_json(&text, "routing_key", v->key);
        buf_printf(&text,
                   ",\"routed\":%s,\"queue_count\":%" PRIu64 ",\"queues\":[%.*s],\"route\":[%.*s]}",
                   v->queues ? "true" : "false", v->queues, SLICE_ARG(buf_slice(&v->queue_names)),
                   SLICE_ARG(buf_slice(&v->json_hops)));
        report_value(out, buf_slice(&text));
    } else if (v->queues) {
        buf_printf(&text, "The message reaches %" PRIu64 " queue%s\n", v->queues,
                   plural(v->queues));
        buf_append_slice(&text, buf_slice(&v->queue_names));
        put_more(&text, v->queues, v->shown);
        text.len--;
        report_print_slice(out, buf_slice(&text));
    } else {
        report_print(out, "The message reaches no queue: it is dropped, or returned if it is "
                          "published as mandatory");
    }
    buf_fini(&text);
}

/* ---- the visit ---- */

static void take_targets(struct route_visit *v)
{
    const struct route *r = &v->route;
    size_t n = 0;
    v->queues = r->count - r->unheard;
    for (size_t i = 0; i < r->count && n < v->shown; i++) {
        struct slice name = r->targets[i]->def->name;
        if (r->targets[i]->def->line_of == LINE_OF_HISTORY)
            continue;
        if (!v->json) {
            buf_printf(&v->queue_names, "    '%.*s'\n", SLICE_ARG(name));
            n++;
            continue;
        }
        if (n++)
            buf_append_byte(&v->queue_names, ',');
        cell_put_string(&v->queue_names, name);
    }
    v->keys = mem_alloc(r->key_count * sizeof *v->keys);
    memcpy(v->keys, r->keys, r->key_count * sizeof *v->keys);
    v->key_count = r->key_count;
}

/* False: there is a problem. */
static bool begin(struct route_visit *v, struct routing *routing)
{
    struct failure why;
    const struct vhost *vhost = routing_find_vhost(routing, v->vhost);
    if (!vhost) {
        buf_printf(&v->problem, "Virtual host '%.*s' does not exist", SLICE_ARG(v->vhost));
        return false;
    }
    struct exchange *x = v->exchange.len ? vhost_find_exchange(vhost, v->exchange) : NULL;
    if (v->exchange.len && !x) {
        buf_printf(&v->problem, "no exchange '%.*s' in vhost '%.*s'", SLICE_ARG(v->exchange),
                   SLICE_ARG(v->vhost));
        return false;
    }
    struct route_input input = {.key = v->key, .headers = v->headers};
    if (route_message(&v->route, routing, vhost, x, &input, &why)) {
        buf_append_str(&v->problem, why.text);
        return false;
    }
    take_targets(v);
    if (x)
        add_hop(v, x, BY_PUBLISH);
    else if (!v->json)
        tell_default(v, vhost);
    return true;
}

static bool route_run(struct visit *visit, struct shard *shard)
{
    struct route_visit *v = (struct route_visit *)visit;
    struct routing *routing = routing_of(shard);
    size_t budget = VISIT_OBJECTS;
    if (!v->begun && !begin(v, routing))
        return true;
    v->begun = true;
    while (v->hop < v->count) {
        if (bound_walk_next(&v->hops[v->hop].walk, routing, &budget, on_binding, v))
            return false;
        end_hop(v, routing);
        budget -= budget > 0; /* exchanges without bindings count too */
        if (!budget)
            return false;
    }
    tell_queues(v);
    return true;
}

static void on_end(struct call *call, struct visit *visit)
{
    struct route_visit *v = (struct route_visit *)visit;
    if (v->problem.len)
        call_fail(call, EX_UNAVAILABLE, "%s", buf_cstr(&v->problem));
    else
        call_exit(call);
}

void explain_route(struct call *call, const char *const *words, size_t count, size_t shown)
{
    struct buf headers = BUF_INIT;
    bool by_default = !strcmp(words[0], "amq.default");
    for (size_t i = 2; i < count; i++) {
        if (!*words[i] || *words[i] == '=' || strcspn(words[i], "=") > UINT8_MAX) {
            call_refuse(call, EX_USAGE, "a header is name=value");
            buf_fini(&headers);
            return;
        }
        put_header(&headers, words[i]);
    }
    struct route_visit *v = visit_new(sizeof *v, route_run, on_end);
    v->visit.fini = route_fini_visit;
    v->json = call->request.json;
    v->shown = shown;
    v->vhost = slice_dup(slice_str(call_vhost(call)));
    v->exchange = slice_dup(slice_str(by_default ? "" : words[0]));
    v->key = slice_dup(slice_str(words[1]));
    v->headers = slice_dup(buf_slice(&headers));
    route_init(&v->route);
    buf_fini(&headers);
    call_banner(call, "Explaining the route of '%s' through exchange '%s' in vhost '%s' ...",
                words[1], words[0], call_vhost(call));
    call_visit_first(call, &v->visit);
}
