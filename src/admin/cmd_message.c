/* Messages: one of a queue, looked at where it is, and how large they were. */
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/listing.h"

#include "base/json.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/broker.h"
#include "broker/msg.h"
#include "broker/queue/waiting.h"
#include "meta/def.h"
#include "meta/meta.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

/* ---- one of a queue ---- */

enum { PAYLOAD_MAX = 64, KEY_MAX = 255 };

static void put_text(struct buf *table, const char *name, struct slice text)
{
    if (text.len)
        table_put_str(table, slice_str(name), text);
}

static void put_properties(struct buf *table, const struct amqp_basic_properties *p)
{
    const struct {
        const char *name;
        struct slice text;
    } texts[] = {{"content_type", p->content_type},
                 {"content_encoding", p->content_encoding},
                 {"correlation_id", p->correlation_id},
                 {"reply_to", p->reply_to},
                 {"expiration", p->expiration},
                 {"message_id", p->message_id},
                 {"type", p->type},
                 {"user_id", p->user_id},
                 {"app_id", p->app_id},
                 {"cluster_id", p->reserved}};
    if (p->flags & AMQP_PROP_DELIVERY_MODE)
        table_put_i32(table, SLICE("delivery_mode"), p->delivery_mode);
    if (p->flags & AMQP_PROP_PRIORITY)
        table_put_i32(table, SLICE("priority"), p->priority);
    if (p->flags & AMQP_PROP_TIMESTAMP)
        table_put_i64(table, SLICE("timestamp"), (int64_t)p->timestamp);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put_text(table, texts[i].name, texts[i].text);
}

static void put_header(struct buf *table, struct slice name, const struct table_value *value)
{
    struct buf key = BUF_INIT;
    buf_printf(&key, "header.%.*s", SLICE_ARG(name));
    table_put(table, slice_of(key.data, key.len < KEY_MAX ? key.len : KEY_MAX), value);
    buf_fini(&key);
}

static void put_routing_key(struct buf *table, struct slice key, bool as_list)
{
    const struct table_value value = table_value_str(key);
    struct buf keys = BUF_INIT;
    array_put(&keys, &value);
    if (as_list)
        table_put(table, SLICE("routing_keys"),
                  &(struct table_value){.type = TABLE_ARRAY, .bytes = buf_slice(&keys)});
    else
        table_put(table, SLICE("routing_keys"), &value);
    buf_fini(&keys);
}

/* What RabbitMQ tells of a message of a quorum queue, in a field table. */
static void describe(struct buf *table, const struct waiting_message *m, bool quorum, bool as_list)
{
    struct amqp_basic_properties all = {0};
    struct table_value value = table_value_i64(m->delivery_count);
    struct slice key, payload = msg_body(m->msg);
    bool good = props_decode(msg_properties(m->msg), &all) == 0;
    payload.len = payload.len < PAYLOAD_MAX ? payload.len : PAYLOAD_MAX;
    table_put_str(table, SLICE("exchange"), msg_exchange(m->msg));
    put_routing_key(table, msg_routing_key(m->msg), as_list);
    table_put_str(table, SLICE("payload (max 64 bytes)"), payload);
    if (quorum)
        put_header(table, SLICE("x-delivery-count"), &value);
    if (!good)
        return;
    put_properties(table, &all);
    struct table_iter it = table_iter(all.headers);
    while (table_next(&it, &key, &value))
        put_header(table, key, &value);
}

static void put_cell(struct buf *out, const struct rows *rows, const struct table_value *value)
{
    struct buf text = BUF_INIT;
    if (value->type == TABLE_LONGSTR)
        buf_append_slice(&text, value->bytes);
    else
        table_value_print_term(value, &text);
    row_put(out, rows, "values", value_text(buf_slice(&text)));
    buf_fini(&text);
}

static void show_table(struct call *call, struct slice table)
{
    static const char *const names[] = {"keys", "values"};
    struct table_iter it = table_iter(table);
    struct table_value value;
    struct slice key;
    struct rows rows;
    struct buf out = BUF_INIT;
    rows_begin_boxed(call, &rows, names, 2);
    while (table_next(&it, &key, &value)) {
        row_begin(&out);
        row_put(&out, &rows, "keys", value_text(key));
        put_cell(&out, &rows, &value);
        row_end(&out);
    }
    call_write(call, buf_slice(&out));
    buf_fini(&out);
}

static void show(struct call *call, const struct waiting_message *m)
{
    struct buf table = BUF_INIT, json = BUF_INIT;
    const struct target_queue *queue = call_find_queue(call, call->args.words[0]);
    describe(&table, m, queue && queue->def->type == QUEUE_QUORUM, call->request.typed);
    if (call->request.typed) {
        buf_append_str(&json, "{\"result\":\"ok\",\"message\":");
        json_put_table(&json, buf_slice(&table));
        buf_append_byte(&json, '}');
        call_value(call, buf_slice(&json));
    } else {
        show_table(call, buf_slice(&table));
    }
    call_exit(call);
    buf_fini(&table);
    buf_fini(&json);
}

static void ask(struct call *call, unsigned level, uint64_t from)
{
    struct op op = {.to = call->target, .kind = OP_BROWSE, .n = level};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = call->addr, .cookie = from};
    post(&op);
}

static void fail_no_message(struct call *call)
{
    call_fail(call, EX_UNAVAILABLE, "Target queue does not have a message at that position");
}

/* wanted: how many come before it. What waits for its time is behind all others, and has no
 * position. */
static void on_page(struct call *call, const struct waiting_page *page)
{
    if (page->waits) {
        fail_no_message(call);
    } else if (call->wanted < page->count) {
        show(call, &page->messages[call->wanted]);
    } else {
        call->wanted -= page->count;
        if (page->level < WAITING_LEVELS)
            ask(call, page->level, page->next);
        else
            fail_no_message(call);
    }
}

static void on_gone(struct call *call, const struct op_queue_query *answer)
{
    (void)answer;
    fail_no_message(call);
}

void run_peek(struct call *call)
{
    const char *name = call->args.words[0], *position = call->args.words[1];
    uint64_t number;
    if (!args_number(position, 1, UINT64_MAX, &number)) {
        call_refuse(call, EX_DATAERR, "position value must be a positive integer");
        return;
    }
    call_banner(call, "Peeking at queue %s at position %s on node %s ...", name, position,
                meta_node_name(call_node(call)));
    const struct target_queue *queue = call_find_queue(call, name);
    if (!queue || queue->def->type == QUEUE_STREAM) {
        if (queue)
            call_fail(call, EX_UNAVAILABLE, "Cannot peek into a stream");
        else
            call_fail(call, EX_UNAVAILABLE, "Target queue was not found in virtual host '%s'",
                      call_vhost(call));
        return;
    }
    if (call_is_dry(call))
        return;
    call->target = queue->def->addr;
    call->wanted = number - 1;
    call->on_waiting = on_page;
    call->on_query = on_gone;
    ask(call, WAITING_FIRST, 0);
}

/* ---- sizes ---- */

struct sizes_visit {
    struct visit visit;
    uint64_t counts[BROKER_BODY_SIZES], all;
};

static bool sizes_run(struct visit *visit, struct shard *shard)
{
    struct sizes_visit *v = (struct sizes_visit *)visit;
    for (unsigned i = 0; i < BROKER_BODY_SIZES; i++) {
        uint64_t n = broker_totals(shard)[TOTAL_BODY_SIZES + i];
        v->counts[i] += n;
        v->all += n;
    }
    return true;
}

static void on_counted(struct call *call, struct visit *visit)
{
    static const char *const names[] = {"Message Size", "Count", "Percentage"};
    static const char *const sizes[] = {"below 100B",
                                        "between 100B and 1KB",
                                        "between 1KB and 10KB",
                                        "between 10KB and 100KB",
                                        "between 100KB and 1MB",
                                        "between 1MB and 10MB",
                                        "between 10MB and 50MB",
                                        "between 50MB and 100MB",
                                        "above 100MB"};
    _Static_assert(sizeof sizes / sizeof *sizes == BROKER_BODY_SIZES, "one each");
    const struct sizes_visit *v = (struct sizes_visit *)visit;
    struct buf out = BUF_INIT;
    struct rows rows;
    rows_begin_boxed(call, &rows, names, 3);
    for (unsigned i = 0; i < BROKER_BODY_SIZES; i++) {
        char percent[16];
        snprintf(percent, sizeof percent, "%.2f",
                 v->all ? (double)v->counts[i] * 100 / (double)v->all : 0);
        row_begin(&out);
        row_put_text(&out, &rows, sizes[i]);
        row_put_int(&out, &rows, v->counts[i]);
        row_put_text(&out, &rows, percent);
        row_end(&out);
    }
    call_write(call, buf_slice(&out));
    buf_fini(&out);
    call_exit(call);
}

void run_message_size_stats(struct call *call)
{
    struct sizes_visit *v = visit_new(sizeof *v, sizes_run, on_counted);
    call_banner(call, "Gathering message size statistics from cluster via %s ...",
                meta_node_name(call_node(call)));
    call_visit(call, &v->visit);
}
