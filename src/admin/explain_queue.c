/* explain queue: why nothing is delivered. A visit of the queue's shard reads the queue and walks
 * its consumers in portions; a second one walks the connections of every shard for the names of
 * those that were found. */
#include "admin/cell.h"
#include "admin/explain.h"
#include "admin/report.h"

#include "base/mem.h"
#include "broker/broker.h"
#include "broker/queue/explain.h"
#include "broker/queue/face.h"
#include "broker/queue/queue.h"
#include "meta/args.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

enum { NAMED_MAX = 100 }; /* consumers whose connection is looked for */

/* A consumer that is shown. */
struct shown {
    struct consumer_view view; /* tag and user are owned */
    struct slice connection;   /* owned; empty: not found */
    struct slice state;        /* owned: of the connection */
};

struct findings {
    bool json, begun, gone;
    size_t limit;
    struct slice vhost, name; /* owned */
    struct addr addr;
    struct queue_def *def; /* one reference, once found */
    struct queue_standing standing;
    const char *alarm;
    uint32_t next; /* number of a consumer */
    uint64_t counts[CONSUMER_STANDING_COUNT];
    uint64_t unacked; /* of the consumers seen */
    struct shown *shown;
    size_t count, cap;
};

struct queue_visit {
    struct visit visit;
    struct findings f;
};

static void findings_fini(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        slice_free(&f->shown[i].view.tag);
        slice_free(&f->shown[i].view.user);
        slice_free(&f->shown[i].connection);
        slice_free(&f->shown[i].state);
    }
    free(f->shown);
    slice_free(&f->vhost);
    slice_free(&f->name);
    if (f->def)
        queue_def_unref(&f->def);
}

static void queue_visit_fini(struct visit *visit)
{
    findings_fini(&((struct queue_visit *)visit)->f);
}

/* ---- the queue ---- */

static void take_consumer(struct findings *f, const struct consumer_view *view)
{
    f->counts[view->standing]++;
    f->unacked += view->unacked;
    if (f->count >= f->limit)
        return;
    MEM_GROW(f->shown, f->cap, f->count + 1);
    struct shown *shown = &f->shown[f->count++];
    *shown = (struct shown){.view = *view};
    shown->view.tag = slice_dup(view->tag);
    shown->view.user = slice_dup(view->user);
}

static bool queue_run(struct visit *visit, struct shard *shard)
{
    struct findings *f = &((struct queue_visit *)visit)->f;
    const struct queue_face *q = queue_face_find(shard, f->addr);
    if (!q) {
        f->gone = true;
        return true;
    }
    struct consumer_view view;
    if (!f->begun)
        f->def = queue_def_ref((struct queue_def *)(uintptr_t)q->type->def(q));
    f->begun = true;
    f->alarm = broker_alarm(shard);
    f->standing = q->type->explain(q, shard_now_ms(shard));
    for (unsigned i = 0; i < VISIT_OBJECTS && f->next < f->standing.consumer_numbers; i++) {
        if (q->type->explain_consumer(q, f->next++, &view))
            take_consumer(f, &view);
    }
    return f->next >= f->standing.consumer_numbers;
}

/* ---- the connections ---- */

static struct slice text_of(const void *connection, const char *column)
{
    struct value v = listing_get(LISTING_CONNECTIONS, connection, column);
    if (v.type == VALUE_TEXT)
        return v.bytes;
    value_fini(&v);
    return SLICE_EMPTY;
}

static void look_at(struct findings *f, const void *connection)
{
    struct value id = listing_get(LISTING_CONNECTIONS, connection, "id");
    for (size_t i = 0; i < f->count && i < NAMED_MAX; i++) {
        struct shown *shown = &f->shown[i];
        if (shown->view.connection != (uint64_t)id.integer || shown->connection.data)
            continue;
        shown->connection = text_of(connection, "name");
        shown->state = text_of(connection, "state");
    }
}

static bool connections_run(struct visit *visit, struct shard *shard)
{
    struct findings *f = &((struct queue_visit *)visit)->f;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, LISTING_CONNECTIONS), &budget, &index))
        look_at(f, listing_at(shard, LISTING_CONNECTIONS, index));
    return !visit->left;
}

/* ---- telling ---- */

static uint64_t held_by_others(const struct findings *f)
{
    return f->standing.unacked > f->unacked ? f->standing.unacked - f->unacked : 0;
}

static void put_limits_json(const struct queue_standing *s, struct buf *out)
{
    if (s->overflow) {
        buf_append_str(out, ",\"limits\":{");
        if (s->max_length != UINT64_MAX)
            buf_printf(out, "\"max_length\":%" PRIu64 ",", s->max_length);
        if (s->max_bytes != UINT64_MAX)
            buf_printf(out, "\"max_length_bytes\":%" PRIu64 ",", s->max_bytes);
        buf_printf(out, "\"overflow\":\"%s\",\"full\":%s}", s->overflow,
                   s->full ? "true" : "false");
    }
    if (s->expires)
        buf_printf(out, ",\"next_expiry_ms\":%" PRIu64, s->expires_ms);
    if (s->has_idle)
        buf_printf(out, ",\"unused_expiry_ms\":%" PRIu64, s->idle_ms);
    if (s->reading)
        buf_printf(out, ",\"reading_ms\":%" PRIu64 ",\"waiting_gets\":%" PRIu64, s->reading_ms,
                   s->waiting_gets);
}

static void put_consumer_json(const struct shown *c, struct buf *out)
{
    const struct consumer_view *v = &c->view;
    buf_append_str(out, "{\"consumer_tag\":");
    cell_put_string(out, v->tag);
    explain_put_json(out, "user", v->user);
    buf_printf(out,
               ",\"channel_pid\":\"<%" PRIu64 ".%u>\",\"ack_required\":%s,\"prefetch_count\":%u"
               ",\"messages_unacknowledged\":%u,\"priority\":%" PRId64
               ",\"active\":%s,\"standing\":\"%s\"",
               v->connection, v->channel, v->no_ack ? "false" : "true", v->prefetch, v->unacked,
               v->priority, v->active ? "true" : "false", consumer_standing_name(v->standing));
    if (c->connection.data)
        explain_put_json(out, "connection", c->connection);
    if (c->state.data)
        explain_put_json(out, "connection_state", c->state);
    if (v->has_offset)
        buf_printf(out, ",\"offset\":%" PRIu64, v->offset);
    buf_append_byte(out, '}');
}

static void tell_json(const struct findings *f, struct buf *out)
{
    const struct queue_standing *s = &f->standing;
    struct buf json = BUF_INIT;
    buf_append_str(&json, "{\"queue\":");
    cell_put_string(&json, f->name);
    explain_put_json(&json, "vhost", f->vhost);
    explain_put_json(&json, "type", slice_str(args_queue_type_name(f->def->type)));
    explain_put_json(&json, "verdict", slice_str(queue_verdict_name(s->verdict)));
    explain_put_json(&json, "text", slice_str(queue_verdict_text(s->verdict)));
    buf_printf(&json,
               ",\"shard\":%u,\"messages_ready\":%" PRIu64 ",\"message_bytes_ready\":%" PRIu64
               ",\"messages_paged_out\":%" PRIu64 ",\"messages_unacknowledged\":%" PRIu64
               ",\"messages_unacknowledged_elsewhere\":%" PRIu64,
               f->addr.shard, s->ready, s->ready_bytes, s->away, s->unacked, held_by_others(f));
    if (s->later)
        buf_printf(&json,
                   ",\"messages_delayed\":%" PRIu64 ",\"message_bytes_delayed\":%" PRIu64
                   ",\"next_delayed_ms\":%" PRIu64,
                   s->later, s->later_bytes, s->later_ms);
    if (s->letters)
        buf_printf(&json, ",\"messages_dlx\":%" PRIu64, s->letters);
    put_limits_json(s, &json);
    if (f->alarm)
        explain_put_json(&json, "publishers_blocked", slice_str(f->alarm));
    buf_printf(&json, ",\"consumer_count\":%u,\"standings\":{", s->consumers);
    for (unsigned i = 0; i < CONSUMER_STANDING_COUNT; i++)
        buf_printf(&json, "%s\"%s\":%" PRIu64, i ? "," : "",
                   consumer_standing_name((enum consumer_standing)i), f->counts[i]);
    buf_append_str(&json, "},\"consumers\":[");
    for (size_t i = 0; i < f->count; i++) {
        if (i)
            buf_append_byte(&json, ',');
        put_consumer_json(&f->shown[i], &json);
    }
    buf_append_str(&json, "]}");
    report_value(out, buf_slice(&json));
    buf_fini(&json);
}

static void tell_limits(const struct findings *f, struct buf *out)
{
    const struct queue_standing *s = &f->standing;
    struct buf text = BUF_INIT;
    if (s->max_length != UINT64_MAX)
        buf_printf(&text, "at most %" PRIu64 " messages", s->max_length);
    if (s->max_bytes != UINT64_MAX)
        buf_printf(&text, "%sat most %" PRIu64 " bytes of bodies", text.len ? ", " : "",
                   s->max_bytes);
    if (s->overflow)
        report_print(out, "Limits: %s, then %s%s", buf_cstr(&text), s->overflow,
                     s->full ? "; reached now" : "");
    if (s->expires)
        report_print(out, "Expiry: the next message may expire in %" PRIu64 " ms", s->expires_ms);
    if (s->has_idle)
        report_print(out, "Expiry: the queue, unused, goes in %" PRIu64 " ms", s->idle_ms);
    if (s->reading)
        report_print(out,
                     "Store: a portion is being read back for %" PRIu64 " ms, %" PRIu64
                     " requests for a message wait",
                     s->reading_ms, s->waiting_gets);
    if (f->alarm)
        report_print(out, "Alarm: publishers are blocked, %s", f->alarm);
    buf_fini(&text);
}

static void tell_consumer(const struct shown *c, struct buf *out)
{
    const struct consumer_view *v = &c->view;
    struct buf text = BUF_INIT;
    buf_printf(&text, "  '%.*s' of user '%.*s' on channel <%" PRIu64 ".%u>", SLICE_ARG(v->tag),
               SLICE_ARG(v->user), v->connection, v->channel);
    if (c->connection.data)
        buf_printf(&text, " of connection %.*s", SLICE_ARG(c->connection));
    if (c->state.data && !slice_eq_str(c->state, "running"))
        buf_printf(&text, " (%.*s)", SLICE_ARG(c->state));
    buf_printf(&text, ": %s", consumer_standing_text(v->standing));
    if (v->no_ack)
        buf_append_str(&text, "; acknowledges nothing");
    else if (v->prefetch)
        buf_printf(&text, "; holds %u of at most %u", v->unacked, v->prefetch);
    else
        buf_printf(&text, "; holds %u, without a limit of its own", v->unacked);
    if (v->has_offset)
        buf_printf(&text, "; reads on at offset %" PRIu64, v->offset);
    if (v->priority)
        buf_printf(&text, "; priority %" PRId64, v->priority);
    report_print_slice(out, buf_slice(&text));
    buf_fini(&text);
}

static void tell_text(const struct findings *f, struct buf *out)
{
    const struct queue_standing *s = &f->standing;
    uint64_t others = held_by_others(f);
    report_print(out, "Queue '%.*s' in vhost '%.*s' (%s), on shard %u: %s", SLICE_ARG(f->name),
                 SLICE_ARG(f->vhost), args_queue_type_name(f->def->type), f->addr.shard,
                 queue_verdict_text(s->verdict));
    report_print(out,
                 "Messages: %" PRIu64 " ready (%" PRIu64 " bytes %s; %" PRIu64
                 " in the store alone), %" PRIu64 " unacknowledged",
                 s->ready, s->ready_bytes,
                 f->def->type == QUEUE_STREAM ? "of segments" : "of bodies", s->away, s->unacked);
    if (others)
        report_print(out,
                     "  %" PRIu64 " of them by basic.get, or by channels whose consumer was "
                     "cancelled",
                     others);
    if (s->letters)
        report_print(out, "Dead letters: %" PRIu64 " are kept until every queue has them",
                     s->letters);
    if (s->later)
        report_print(out,
                     "Delayed: %" PRIu64 " wait for their time (%" PRIu64
                     " bytes of bodies), the next is ready in %" PRIu64 " ms",
                     s->later, s->later_bytes, s->later_ms);
    tell_limits(f, out);
    report_print(out, "Consumers: %u", s->consumers);
    for (unsigned i = 0; i < CONSUMER_STANDING_COUNT; i++) {
        if (f->counts[i])
            report_print(out, "  %" PRIu64 " %s", f->counts[i],
                         consumer_standing_name((enum consumer_standing)i));
    }
    for (size_t i = 0; i < f->count; i++)
        tell_consumer(&f->shown[i], out);
    if (s->consumers > f->count)
        report_print(out, "  and %zu more", s->consumers - f->count);
}

static void tell(struct call *call, const struct findings *f)
{
    struct buf out = BUF_INIT;
    if (f->json)
        tell_json(f, &out);
    else
        tell_text(f, &out);
    call_write(call, buf_slice(&out));
    buf_fini(&out);
    call_exit(call);
}

/* ---- the visits ---- */

static void on_named(struct call *call, struct visit *visit)
{
    tell(call, &((struct queue_visit *)visit)->f);
}

static void on_read(struct call *call, struct visit *visit)
{
    struct findings *f = &((struct queue_visit *)visit)->f;
    if (f->gone) {
        call_fail(call, EX_UNAVAILABLE, "no queue '%.*s' in vhost '%.*s'", SLICE_ARG(f->name),
                  SLICE_ARG(f->vhost));
        return;
    }
    if (!f->count) {
        tell(call, f);
        return;
    }
    struct queue_visit *next = visit_new(sizeof *next, connections_run, on_named);
    next->visit.fini = queue_visit_fini;
    next->f = *f;
    *f = (struct findings){0};
    call_visit(call, &next->visit);
}

void explain_queue(struct call *call, const char *const *words, size_t count, size_t shown)
{
    (void)count;
    const struct vhost *vhost =
        routing_find_vhost(routing_of(call->shard), slice_str(call_vhost(call)));
    const struct target_queue *queue = vhost ? vhost_find_queue(vhost, slice_str(words[0])) : NULL;
    call_banner(call, "Explaining queue '%s' in vhost '%s' ...", words[0], call_vhost(call));
    if (!queue) {
        call_fail(call, EX_UNAVAILABLE, "no queue '%s' in vhost '%s'", words[0], call_vhost(call));
        return;
    }
    struct queue_visit *v = visit_new(sizeof *v, queue_run, on_read);
    v->visit.fini = queue_visit_fini;
    v->f = (struct findings){.json = call->request.json,
                             .limit = shown,
                             .vhost = slice_dup(queue->def->vhost),
                             .name = slice_dup(queue->def->name),
                             .addr = queue->def->addr};
    call_visit_alone(call, &v->visit, queue->def->addr.shard);
}
