/* What waits for its time: in queues, and in the delay lines of exchanges. */
#include "admin/handlers.h"
#include "admin/listing.h"

#include "broker/broker.h"
#include "broker/msg.h"
#include "broker/queue/actor.h"
#include "broker/queue/waiting.h"
#include "meta/def.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct delayed_visit {
    struct visit visit;
    struct rows rows;
    struct slice vhost; /* owned */
    bool queues_done;   /* of this shard */
};

static void delayed_fini(struct visit *visit)
{
    slice_free(&((struct delayed_visit *)visit)->vhost);
}

static const char *kind_of(const struct queue_def *def)
{
    return def->line_of == LINE_OF_EXCHANGE ? "exchange" : "queue";
}

static struct value next_in(const struct queue *line, const struct shard *shard)
{
    uint64_t next = queue_next_due(line), now = shard_now_ms(shard);
    if (!next)
        return value_none();
    return value_int(next > now ? (int64_t)(next - now) : 0);
}

/* Of a queue what waits is only a part. */
static const char *own_column(const struct queue_def *def, const char *column)
{
    static const char *const names[][2] = {{"messages", "messages_delayed"},
                                           {"message_bytes", "message_bytes_delayed"},
                                           {"messages_ram", "messages_delayed_ram"},
                                           {"message_bytes_ram", "message_bytes_delayed_ram"}};
    for (size_t i = 0; !def->line_of && i < sizeof names / sizeof *names; i++) {
        if (!strcmp(column, names[i][0]))
            return names[i][1];
    }
    return column;
}

static struct value column_of(const struct shard *shard, const void *object, const char *column)
{
    const struct queue *line = queue_actor_queue(object);
    if (!strcmp(column, "kind"))
        return value_text(slice_str(kind_of(queue_get_def(line))));
    if (!strcmp(column, "next_in"))
        return next_in(line, shard);
    if (!strcmp(column, "shard"))
        return value_int(shard_index(shard));
    return listing_get(LISTING_LINES, object, own_column(queue_get_def(line), column));
}

static void put_line(struct delayed_visit *v, const struct shard *shard, const void *object)
{
    const struct queue *line = queue_actor_queue(object);
    const struct queue_def *def = queue_get_def(line);
    struct buf *out = &v->visit.out, key = BUF_INIT;
    if (queue_is_dead(line) || def->line_of == LINE_OF_VALUES || !slice_eq(def->vhost, v->vhost))
        return;
    buf_append_slice(&key, def->name);
    buf_append_str(&key, kind_of(def));
    row_begin(out);
    row_put_key(out, buf_slice(&key));
    for (size_t i = 0; i < v->rows.columns.count; i++) {
        const char *column = v->rows.columns.names[i];
        row_put(out, &v->rows, column, column_of(shard, object, column));
    }
    row_end(out);
    buf_fini(&key);
}

static void put_queue(struct delayed_visit *v, const struct shard *shard, const void *object)
{
    if (queue_actor_is(object) && queue_delays(queue_actor_queue(object)))
        put_line(v, shard, object);
}

/* The queues, then the lines. */
static bool delayed_run(struct visit *visit, struct shard *shard)
{
    struct delayed_visit *v = (struct delayed_visit *)visit;
    enum listing listing = v->queues_done ? LISTING_LINES : LISTING_QUEUES;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, listing), &budget, &index))
        (v->queues_done ? put_line : put_queue)(v, shard, listing_at(shard, listing, index));
    if (visit->left)
        return false;
    v->queues_done = !v->queues_done;
    visit->begun = false;
    return !v->queues_done;
}

void run_list_delayed(struct call *call)
{
    struct rows rows;
    if (!rows_begin(call, &rows, "name kind messages next_in", true,
                    "Listing what is delayed in vhost %s ...", call_vhost(call)))
        return;
    struct delayed_visit *v = visit_new(sizeof *v, delayed_run, call_visit_end);
    v->visit.fini = delayed_fini;
    v->rows = rows;
    v->vhost = slice_dup(slice_str(call_vhost(call)));
    call_visit(call, &v->visit);
}

/* ---- message by message ---- */

static const char *kind_word(const struct call *call)
{
    return call->args.words[0];
}

static const char *name_word(const struct call *call)
{
    return call->args.words[1];
}

/* Where messages of the queue or the exchange wait; false: it was refused. */
static bool find_waiting(struct call *call)
{
    const struct vhost *vhost =
        routing_find_vhost(routing_of(call->shard), slice_str(call_vhost(call)));
    struct slice name = slice_str(name_word(call));
    bool of_queue = !strcmp(kind_word(call), "queue");
    if (!of_queue && strcmp(kind_word(call), "exchange")) {
        call_refuse(call, EX_USAGE, "messages wait in a queue or in an exchange");
        return false;
    }
    struct target_queue *queue = vhost && of_queue ? vhost_find_queue(vhost, name) : NULL;
    struct exchange *exchange = vhost && !of_queue ? vhost_find_exchange(vhost, name) : NULL;
    if (exchange)
        queue = exchange_find_line(exchange);
    if (!queue || queue->def->type == QUEUE_STREAM) {
        call_fail(call, EX_UNAVAILABLE, "no %s '%s' in vhost '%s' that delays messages",
                  kind_word(call), name_word(call), call_vhost(call));
        return false;
    }
    call->target = queue->addr; /* of a queue with a line: that */
    return true;
}

static void ask(struct call *call, uint16_t kind, uint64_t id)
{
    if (call_is_dry(call))
        return;
    struct op op = {.to = call->target, .kind = kind};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = call->addr, .cookie = id};
    post(&op);
}

static void put_message(struct call *call, const struct waiting_message *m)
{
    struct rows rows = {.json = call->request.typed};
    struct buf out = BUF_INIT, key = BUF_INIT;
    buf_printf(&key, "%020llu", (unsigned long long)m->id);
    row_begin(&out);
    row_put_key(&out, buf_slice(&key));
    row_put(&out, &rows, "id", value_int((int64_t)m->id));
    row_put(&out, &rows, "due_in", value_int((int64_t)m->due_ms));
    row_put(&out, &rows, "size", value_int((int64_t)m->msg->body_len));
    row_put(&out, &rows, "delivery_count", value_int(m->delivery_count));
    row_put(&out, &rows, "exchange", value_text(msg_exchange(m->msg)));
    row_put(&out, &rows, "routing_key", value_text(msg_routing_key(m->msg)));
    row_end(&out);
    call_write(call, buf_slice(&out));
    buf_fini(&out);
    buf_fini(&key);
}

/* Once the client took what it has got. */
static void go_on(struct call *call)
{
    enum { LOOK_MS = 10 };
    if (stream_is_full(call->stream))
        timer_set(&call->timer, LOOK_MS);
    else
        ask(call, OP_WAITING_LIST, call->next);
}

static void on_waiting(struct call *call, const struct waiting_page *page)
{
    for (unsigned i = 0; i < page->count && call->wanted; i++, call->wanted--)
        put_message(call, &page->messages[i]);
    call->next = page->next;
    if (page->next && call->wanted)
        go_on(call);
    else
        call_exit(call);
}

/* It went meanwhile. */
static void on_nothing(struct call *call, const struct op_queue_query *answer)
{
    (void)answer;
    call_exit(call);
}

void run_list_delayed_messages(struct call *call)
{
    const char *limit = call_option(call, OPT_LIMIT, "1000");
    struct rows rows;
    if (!args_number(limit, 0, 1000000, &call->wanted)) {
        call_refuse(call, EX_USAGE, "limit must be a number up to 1000000");
        return;
    }
    if (!find_waiting(call))
        return;
    call_banner(call, "Listing what waits in %s '%s' in vhost '%s' ...", kind_word(call),
                name_word(call), call_vhost(call));
    rows_begin_fixed(call, &rows, "id due_in size delivery_count exchange routing_key", true);
    call->on_waiting = on_waiting;
    call->on_query = on_nothing;
    call->on_timer = go_on;
    ask(call, OP_WAITING_LIST, 0);
}

static void on_cancelled(struct call *call, const struct op_queue_query *answer)
{
    if (answer->code)
        call_fail(call, EX_UNAVAILABLE, "no message %llu waits in %s '%s' in vhost '%s'",
                  (unsigned long long)answer->cookie, kind_word(call), name_word(call),
                  call_vhost(call));
    else
        call_exit(call);
}

void run_cancel_delayed_message(struct call *call)
{
    const char *id = call->args.words[2];
    uint64_t number;
    if (!args_number(id, 0, UINT64_MAX, &number)) {
        call_refuse(call, EX_USAGE, "an id is a number");
        return;
    }
    if (!find_waiting(call))
        return;
    call_banner(call, "Cancelling message %" PRIu64 " of %s '%s' in vhost '%s' ...", number,
                kind_word(call), name_word(call), call_vhost(call));
    call->on_query = on_cancelled;
    ask(call, OP_WAITING_CANCEL, number);
}
