/* Exchanges, queues and bindings. Whoever changes them needs the rights that AMQP asks for: the
 * metadata master and the queues check them. */
#include "http/body.h"
#include "http/handlers.h"
#include "http/kind.h"
#include "http/session.h"
#include "http/target.h"

#include "base/table.h"
#include "broker/broker.h"
#include "meta/access.h"
#include "meta/routing.h"

#include <string.h>

static bool is_set(const struct session *s, const char *param)
{
    return slice_eq_str(target_param(&s->target, param), "true");
}

static struct vhost *vhost_of(const struct session *s)
{
    return routing_find_vhost(session_routing(s), s->vhost);
}

static void on_put(struct session *s, const struct meta_request *request)
{
    if (request->code)
        session_fail(s, &request->why);
    else
        reply_empty(s, request->created ? 201 : 204);
}

static void on_queue_put(struct session *s, const struct meta_request *request)
{
    broker_totals(s->shard)[TOTAL_QUEUES_DECLARED] += !request->code;
    on_put(s, request);
}

/* ---- exchanges ---- */

void api_exchanges(struct session *s)
{
    list_start(s, &kind_exchanges, list_asker(s));
}

void api_exchange(struct session *s)
{
    struct asker asker = list_asker(s);
    asker.text = slice_dup(target_exchange(s->args[1]));
    list_start_one(s, &kind_exchange_details, asker);
}

void api_put_exchange(struct session *s)
{
    struct buf table;
    if (!body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    struct meta_request *rq = session_request(s, META_EXCHANGE_DECLARE, false);
    meta_request_set(&rq->vhost, s->vhost);
    meta_request_set_name(&rq->name, s->args[1]);
    meta_request_set(&rq->type, SLICE("direct"));
    meta_request_set(&rq->args, SLICE_EMPTY);
    if (body_text(s, body, "type", &rq->type) &&
        body_flag(s, body, "durable", META_DURABLE, &rq->flags) &&
        body_flag(s, body, "auto_delete", META_AUTO_DELETE, &rq->flags) &&
        body_flag(s, body, "internal", META_INTERNAL, &rq->flags) &&
        body_table(s, body, "arguments", &rq->args))
        session_submit(s, &rq, on_put);
    meta_request_free(&rq);
    buf_fini(&table);
}

void api_delete_exchange(struct session *s)
{
    struct slice name = target_exchange(s->args[1]);
    if (!vhost_find_exchange(vhost_of(s), name)) {
        reply_not_found(s);
        return;
    }
    struct meta_request *rq = session_request(s, META_EXCHANGE_DELETE, false);
    meta_request_set(&rq->vhost, s->vhost);
    meta_request_set(&rq->name, name);
    rq->flags |= is_set(s, "if-unused") ? META_IF_UNUSED : 0;
    session_submit(s, &rq, NULL);
}

/* ---- queues ---- */

void api_queues(struct session *s)
{
    struct asker asker = list_asker(s);
    struct slice type = target_param(&s->target, "type");
    if (type.len)
        asker.text2 = slice_dup(type);
    list_start(s, &kind_queues, asker);
}

void api_queue(struct session *s)
{
    struct target_queue *queue = vhost_find_queue(vhost_of(s), s->args[1]);
    if (!queue) {
        reply_not_found(s);
        return;
    }
    struct asker asker = list_asker(s);
    asker.text = slice_dup(s->args[1]);
    list_start_at(s, &kind_queue_details, asker, queue->def->addr);
}

void api_put_queue(struct session *s)
{
    struct buf table;
    if (!body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    struct meta_request *rq = session_request(s, META_QUEUE_DECLARE, false);
    meta_request_set(&rq->vhost, s->vhost);
    meta_request_set_name(&rq->name, s->args[1]);
    meta_request_set(&rq->args, SLICE_EMPTY);
    if (body_flag(s, body, "durable", META_DURABLE, &rq->flags) &&
        body_flag(s, body, "auto_delete", META_AUTO_DELETE, &rq->flags) &&
        body_table(s, body, "arguments", &rq->args))
        session_submit(s, &rq, on_queue_put);
    meta_request_free(&rq);
    buf_fini(&table);
}

static struct op query(const struct session *s, const struct target_queue *queue, uint16_t kind)
{
    struct op op = {.to = queue->def->addr, .kind = kind};
    op_body(&op, struct op_queue_query)->reply_to = s->addr;
    return op;
}

/* NULL: the user may not, it is a connection's own, or there is none; it was answered. */
static struct target_queue *find_queue(struct session *s, enum access_right right)
{
    struct target_queue *queue = vhost_find_queue(vhost_of(s), s->args[1]);
    struct failure why;
    if (!queue) {
        reply_not_found(s);
        return NULL;
    }
    if (access_check(session_routing(s), NULL, s->user, s->vhost, right, "queue", s->args[1],
                     &why) ||
        meta_check_owner(queue->def, 0, &why)) {
        session_fail(s, &why);
        return NULL;
    }
    return queue;
}

static void on_deleted(struct session *s, const struct op_queue_query *answer)
{
    if (!answer->code)
        reply_empty(s, 204);
    else if (answer->why == QUEUE_REFUSED_IN_USE)
        reply_bad(s, "queue '%.*s' in vhost '%.*s' in use", SLICE_ARG(s->args[1]),
                  SLICE_ARG(s->vhost));
    else if (answer->why == QUEUE_REFUSED_NOT_EMPTY)
        reply_bad(s, "queue '%.*s' in vhost '%.*s' is not empty", SLICE_ARG(s->args[1]),
                  SLICE_ARG(s->vhost));
    else
        reply_not_found(s);
}

void api_delete_queue(struct session *s)
{
    struct target_queue *queue = find_queue(s, ACCESS_CONFIGURE);
    if (!queue)
        return;
    struct op op = query(s, queue, OP_DELETE);
    op.flags = (uint16_t)((is_set(s, "if-unused") ? OP_DELETE_IF_UNUSED : 0) |
                          (is_set(s, "if-empty") ? OP_DELETE_IF_EMPTY : 0));
    s->on_query = on_deleted;
    post(&op);
}

void api_queue_action(struct session *s)
{
    struct buf table;
    struct slice action = SLICE_EMPTY;
    if (!vhost_find_queue(routing_find_vhost(session_routing(s), s->vhost), s->args[1])) {
        reply_not_found(s);
        return;
    }
    if (!body_parse(s, &table))
        return;
    (void)table_find_str(buf_slice(&table), SLICE("action"), &action);
    if (slice_eq_str(action, "sync") || slice_eq_str(action, "cancel_sync"))
        reply_empty(s, 204);
    else
        reply_bad(s, "unknown_action");
    buf_fini(&table);
}

static void on_purged(struct session *s, const struct op_queue_query *answer)
{
    if (answer->code)
        reply_not_found(s);
    else
        reply_empty(s, 204);
}

void api_purge_queue(struct session *s)
{
    struct target_queue *queue = find_queue(s, ACCESS_READ);
    if (!queue)
        return;
    if (queue->def->type == QUEUE_STREAM) {
        reply_bad(s,
                  "NOT_IMPLEMENTED - queue.purge not supported by stream queues queue '%.*s' in "
                  "vhost '%.*s'",
                  SLICE_ARG(s->args[1]), SLICE_ARG(s->vhost));
        return;
    }
    struct op op = query(s, queue, OP_PURGE);
    s->on_query = on_purged;
    post(&op);
}

/* ---- bindings ---- */

void api_bindings(struct session *s)
{
    bool some = is_set(s, "explicit");
    list_start(s, some ? &kind_explicit_bindings : &kind_bindings, list_asker(s));
}

void api_bindings_from(struct session *s)
{
    struct asker asker = list_asker(s);
    asker.text = slice_dup(target_exchange(s->args[1]));
    list_start(s, &kind_bindings, asker);
}

static void bindings_to(struct session *s, const char *kind)
{
    struct asker asker = list_asker(s);
    asker.text2 = slice_dup(target_exchange(s->args[1]));
    asker.text3 = slice_dup(slice_str(kind));
    list_start(s, &kind_bindings, asker);
}

void api_bindings_to_exchange(struct session *s)
{
    bindings_to(s, "e");
}

void api_bindings_to_queue(struct session *s)
{
    bindings_to(s, "q");
}

/* The arguments of paths: vhost, source, kind, destination, key. */
enum { SOURCE = 1, KIND, DESTINATION, KEY };

static bool check_kind(struct session *s)
{
    if (slice_eq_str(s->args[KIND], "q") || slice_eq_str(s->args[KIND], "e"))
        return true;
    reply_not_found(s);
    return false;
}

static struct asker asker_between(const struct session *s)
{
    struct asker asker = list_asker(s);
    asker.text = slice_dup(target_exchange(s->args[SOURCE]));
    asker.text2 = slice_dup(target_exchange(s->args[DESTINATION]));
    asker.text3 = slice_dup(s->args[KIND]);
    return asker;
}

void api_bindings_between(struct session *s)
{
    if (check_kind(s))
        list_start(s, &kind_bindings, asker_between(s));
}

static void put_kind_and_key(const struct session *s, struct slice *field)
{
    struct buf text = BUF_INIT;
    buf_append_slice(&text, s->args[KIND]);
    buf_append_slice(&text, s->args[KEY]);
    slice_free(field);
    *field = slice_dup(buf_slice(&text));
    buf_fini(&text);
}

void api_binding(struct session *s)
{
    if (!check_kind(s))
        return;
    struct asker asker = asker_between(s);
    put_kind_and_key(s, &asker.text3);
    list_start_one(s, &kind_bindings, asker);
}

static struct meta_request *binding_request(struct session *s, enum meta_verb verb)
{
    struct meta_request *rq = session_request(s, verb, false);
    meta_request_set(&rq->vhost, s->vhost);
    meta_request_set(&rq->source, target_exchange(s->args[SOURCE]));
    meta_request_set(&rq->name, target_exchange(s->args[DESTINATION]));
    meta_request_set(&rq->key, SLICE_EMPTY);
    meta_request_set(&rq->args, SLICE_EMPTY);
    rq->flags |= slice_eq_str(s->args[KIND], "e") ? META_TO_EXCHANGE : 0;
    return rq;
}

/* Where the binding is found, relative to the path that was asked: its properties_key is at the
 * end, which some clients take from there. */
static void on_bound(struct session *s, const struct meta_request *request)
{
    struct buf key = BUF_INIT, *location = &s->reply.location;
    if (request->code) {
        session_fail(s, &request->why);
        return;
    }
    kind_put_properties_key(&key, request->key, request->args);
    target_encode(location, s->args[DESTINATION]);
    buf_append_byte(location, '/');
    target_encode(location, buf_slice(&key));
    buf_fini(&key);
    reply_empty(s, 201);
}

void api_bind(struct session *s)
{
    struct buf table;
    if (!check_kind(s) || !body_parse(s, &table))
        return;
    struct meta_request *rq = binding_request(s, META_BIND);
    if (body_text(s, buf_slice(&table), "routing_key", &rq->key) &&
        body_table(s, buf_slice(&table), "arguments", &rq->args))
        session_submit(s, &rq, on_bound);
    meta_request_free(&rq);
    buf_fini(&table);
}

/* Looks for the binding of a properties_key: what it was bound with. */
struct search {
    struct visit visit;
    struct slice vhost, source, destination, wanted; /* owned */
    bool to_exchange, found;
    struct slice key, args; /* owned, when found */
    struct meta_cursor cursor;
};

static void search_fini(struct visit *visit)
{
    struct search *b = (struct search *)visit;
    slice_free(&b->vhost);
    slice_free(&b->source);
    slice_free(&b->destination);
    slice_free(&b->wanted);
    slice_free(&b->key);
    slice_free(&b->args);
}

static bool row_is(const struct meta_row *row, const char *column, struct slice wanted)
{
    struct value v = meta_row_get(row, column);
    bool same = slice_eq(v.bytes, wanted);
    value_fini(&v);
    return same;
}

static bool on_row(const struct meta_row *row, void *arg)
{
    struct search *b = arg;
    if (!row_is(row, "source_name", b->source) ||
        !row_is(row, "destination_name", b->destination) ||
        !row_is(row, "destination_kind", b->to_exchange ? SLICE("exchange") : SLICE("queue")))
        return true;
    struct value key = meta_row_get(row, "routing_key"), args = meta_row_get(row, "arguments");
    struct buf name = BUF_INIT;
    kind_put_properties_key(&name, key.bytes, args.bytes);
    b->found = slice_eq(buf_slice(&name), b->wanted) ||
               (!args.bytes.len && key.bytes.len && slice_eq(key.bytes, b->wanted));
    buf_fini(&name);
    if (b->found) {
        b->key = slice_dup(key.bytes);
        b->args = slice_dup(args.bytes);
    }
    value_fini(&key);
    value_fini(&args);
    return !b->found;
}

static bool search_run(struct visit *visit, struct shard *shard)
{
    struct search *b = (struct search *)visit;
    if (!visit->begun)
        b->cursor = meta_cursor_begin(shard_node(shard), META_BINDINGS, b->vhost);
    visit->begun = true;
    bool more = meta_cursor_next(shard_node(shard), &b->cursor, VISIT_OBJECTS, on_row, b);
    return b->found || !more;
}

static void on_found(struct session *s, struct visit *visit)
{
    struct search *b = (struct search *)visit;
    if (session_visit_on(s, visit))
        return;
    if (b->found) {
        struct meta_request *rq = binding_request(s, META_UNBIND);
        meta_request_set(&rq->key, b->key);
        meta_request_set(&rq->args, b->args);
        session_submit(s, &rq, NULL);
    } else {
        reply_not_found(s);
    }
    visit_free(visit);
}

void api_unbind(struct session *s)
{
    if (!check_kind(s))
        return;
    struct search *b = session_visit_new(sizeof *b, search_run);
    b->visit.fini = search_fini;
    b->vhost = slice_dup(s->vhost);
    b->source = slice_dup(target_exchange(s->args[SOURCE]));
    b->destination = slice_dup(target_exchange(s->args[DESTINATION]));
    b->wanted = slice_dup(s->args[KEY]);
    b->to_exchange = slice_eq_str(s->args[KIND], "e");
    session_visit(s, &b->visit, 0, on_found);
}
