/* The headers of a dead letter, and its way. Runs on the shard of the queue that it leaves. */
#include "broker/queue/deadletter.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/broker.h"
#include "broker/durable.h"
#include "broker/queue/rules.h"

static const char *const reasons[] = {[DEATH_REJECTED] = "rejected",
                                      [DEATH_EXPIRED] = "expired",
                                      [DEATH_MAXLEN] = "maxlen",
                                      [DEATH_DELIVERY_LIMIT] = "delivery_limit"};

/* ---- x-death ---- */

/* A table of x-death as a client may have sent it: what is missing is empty. */
static bool next_record(struct table_iter *it, struct slice *ret_record)
{
    struct table_value value;
    while (array_next(it, &value)) {
        if (value.type == TABLE_TABLE) {
            *ret_record = value.bytes;
            return true;
        }
    }
    return false;
}

static bool is_of(struct slice record, struct slice queue, struct slice reason)
{
    struct slice q = SLICE_EMPTY, r = SLICE_EMPTY;
    return table_find_str(record, SLICE("queue"), &q) && slice_eq(q, queue) &&
           table_find_str(record, SLICE("reason"), &r) && slice_eq(r, reason);
}

/* The record of the same queue and reason, counted up; its other fields stay those of the first
 * time. */
static void put_again(struct slice record, struct buf *out)
{
    int64_t count = 0;
    if (!table_find_int(record, SLICE("count"), &count) || count < 1)
        count = 1;
    struct table_value more = table_value_i64(count + 1);
    size_t mark = array_open(out, TABLE_TABLE);
    table_replace(record, SLICE("count"), &more, out);
    table_close(out, mark);
}

static void put_keys(struct slice headers, struct slice key, struct buf *out)
{
    struct table_value value;
    struct slice cc;
    size_t mark = table_open(out, SLICE("routing-keys"), TABLE_ARRAY);
    array_put_str(out, key);
    if (table_find_array(headers, SLICE("CC"), &cc)) {
        for (struct table_iter it = table_iter(cc); array_next(&it, &value);) {
            if (value.type == TABLE_LONGSTR)
                array_put(out, &value);
        }
    }
    table_close(out, mark);
}

static void put_new(struct slice headers, const struct death_record *record, struct buf *out)
{
    size_t mark = array_open(out, TABLE_TABLE);
    table_put_i64(out, SLICE("count"), 1);
    table_put_str(out, SLICE("reason"), slice_str(reasons[record->death]));
    table_put_str(out, SLICE("queue"), record->queue);
    table_put_timestamp(out, SLICE("time"), record->time_s);
    table_put_str(out, SLICE("exchange"), record->exchange);
    put_keys(headers, record->key, out);
    if (record->had_expiration)
        table_put_str(out, SLICE("original-expiration"), record->expiration);
    table_close(out, mark);
}

/* Newest first, one record for a queue and a reason. */
static void put_deaths(struct slice headers, struct slice deaths, const struct death_record *record,
                       struct buf *out)
{
    struct slice reason = slice_str(reasons[record->death]), each;
    bool known = false;
    size_t mark = table_open(out, SLICE("x-death"), TABLE_ARRAY);
    for (struct table_iter it = table_iter(deaths); !known && next_record(&it, &each);) {
        known = is_of(each, record->queue, reason);
        if (known)
            put_again(each, out);
    }
    if (!known)
        put_new(headers, record, out);
    for (struct table_iter it = table_iter(deaths); next_record(&it, &each);) {
        if (!is_of(each, record->queue, reason))
            array_put_table(out, each);
    }
    table_close(out, mark);
}

static void put_summary(const char *const names[3], const struct death_record *record,
                        struct buf *out)
{
    table_put_str(out, slice_str(names[0]), slice_str(reasons[record->death]));
    table_put_str(out, slice_str(names[1]), record->queue);
    table_put_str(out, slice_str(names[2]), record->exchange);
}

void death_headers(struct slice headers, const struct death_record *record, struct buf *out)
{
    static const char *const first[] = {"x-first-death-reason", "x-first-death-queue",
                                        "x-first-death-exchange"};
    static const char *const last[] = {"x-last-death-reason", "x-last-death-queue",
                                       "x-last-death-exchange"};
    struct table_value value;
    struct slice name, deaths = SLICE_EMPTY;
    bool died_before = table_find(headers, SLICE("x-death"), &value);
    if (died_before && value.type == TABLE_ARRAY)
        deaths = value.bytes;
    for (struct table_iter it = table_iter(headers); table_next(&it, &name, &value);) {
        if ((record->drop_cc && slice_eq_str(name, "CC")) || slice_eq_str(name, "x-death") ||
            slice_starts(name, SLICE("x-last-death-")) ||
            (!died_before && slice_starts(name, SLICE("x-first-death-"))))
            continue;
        table_put(out, name, &value);
    }
    put_deaths(headers, deaths, record, out);
    if (!died_before)
        put_summary(first, record, out);
    put_summary(last, record, out);
}

bool death_is_cycle(struct slice headers, struct slice queue)
{
    struct slice deaths, record, word;
    if (!table_find_array(headers, SLICE("x-death"), &deaths))
        return false;
    for (struct table_iter it = table_iter(deaths); next_record(&it, &record);) {
        if (table_find_str(record, SLICE("reason"), &word) && slice_eq_str(word, "rejected"))
            return false;
        if (table_find_str(record, SLICE("queue"), &word) && slice_eq(word, queue))
            return true;
    }
    return false;
}

/* ---- the way ---- */

void deadletters_init(struct deadletters *d, struct shard *shard)
{
    *d = (struct deadletters){.shard = shard};
    route_init(&d->route);
}

void deadletters_fini(struct deadletters *d)
{
    route_fini(&d->route);
    buf_fini(&d->headers);
    buf_fini(&d->props);
    buf_fini(&d->routed);
}

static void make_headers(struct deadletters *d, const struct queue_def *def,
                         const struct rules *rules, const struct dead_letter *letter)
{
    struct slice props = msg_properties(letter->msg);
    struct death_record record = {.death = letter->death,
                                  .queue = def->name,
                                  .exchange = msg_exchange(letter->msg),
                                  .key = msg_routing_key(letter->msg),
                                  .time_s = clock_wall_ms() / 1000,
                                  .drop_cc = rules->has_key};
    record.had_expiration = props_find(props, AMQP_PROP_EXPIRATION, &record.expiration);
    buf_clear(&d->headers);
    death_headers(props_headers(props), &record, &d->headers);
}

/* The keys of a BCC header count where the message keeps its own. */
static bool find_targets(struct deadletters *d, const struct queue_def *def,
                         const struct rules *rules, const struct msg *m, struct slice key)
{
    struct failure why;
    struct routing *routing = routing_of(d->shard);
    struct vhost *vhost = routing_find_vhost(routing, def->vhost);
    struct exchange *exchange = NULL;
    struct slice headers = buf_slice(&d->headers), hidden = msg_hidden_keys(m);
    if (vhost && rules->exchange.len)
        exchange = vhost_find_exchange(vhost, rules->exchange);
    if (!vhost || (rules->exchange.len && !exchange))
        return false;
    if (hidden.len && !rules->has_key) {
        buf_clear(&d->routed);
        buf_append_slice(&d->routed, headers);
        table_put_array(&d->routed, SLICE("BCC"), hidden);
        headers = buf_slice(&d->routed);
    }
    struct route_input input = {key, headers, msg_properties(m)};
    return !route_message(&d->route, routing, vhost, exchange, &input, &why);
}

/* Leaves out the queues that it would go round to for ever. */
static size_t drop_cycles(struct deadletters *d, enum death death)
{
    struct route *r = &d->route;
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct queue_def *def = r->targets[i]->def;
        if (death == DEATH_REJECTED || def->line_of || /* that bears an exchange's name */
            !death_is_cycle(buf_slice(&d->headers), def->name))
            r->targets[n++] = r->targets[i];
    }
    return n;
}

static bool has_it(const struct letter_way *way, uint64_t id)
{
    for (size_t i = 0; i < way->done_count; i++) {
        if (way->done[i] == id)
            return true;
    }
    return false;
}

/* Leaves out the queues that have it; all, if these are several and it is for one alone. */
static size_t drop_done(struct route *r, size_t count, struct letter_way *way)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!has_it(way, r->targets[i]->def->id))
            r->targets[n++] = r->targets[i];
    }
    if (way->one_alone && n > 1)
        n = 0;
    way->sent = n ? mem_alloc(n * sizeof *way->sent) : NULL;
    for (size_t i = 0; i < n; i++)
        way->sent[i] = r->targets[i]->def->id;
    return n;
}

static struct msg *make_letter(struct deadletters *d, const struct rules *rules, struct msg *m,
                               struct slice key)
{
    uint8_t names[2 * 256];
    struct slice old = msg_properties(m);
    struct buf *p = &d->props;
    names[0] = (uint8_t)rules->exchange.len;
    memcpy(names + 1, rules->exchange.data, rules->exchange.len);
    names[1 + rules->exchange.len] = (uint8_t)key.len;
    memcpy(names + 2 + rules->exchange.len, key.data, key.len);
    buf_clear(p);
    buf_clear(&d->routed);
    props_replace(old, AMQP_PROP_HEADERS, buf_slice(&d->headers), &d->routed);
    buf_append(p, msg_header(m).data, CONTENT_HEADER_FIXED);
    props_remove(buf_slice(&d->routed), AMQP_PROP_EXPIRATION, p);
    return msg_derive(m, slice_of(names, 2 + rules->exchange.len + key.len), buf_slice(p),
                      rules->has_key ? SLICE_EMPTY : msg_hidden_keys(m));
}

size_t deadletters_publish(struct deadletters *d, const struct queue_def *def,
                           const struct rules *rules, struct dead_letter *letter,
                           struct addr answers, uint64_t number, struct letter_way *way)
{
    struct msg *m = letter->msg;
    struct slice key = rules->has_key ? rules->key : msg_routing_key(m);
    broker_totals(d->shard)[TOTAL_DEAD_REJECTED + letter->death] += !way;
    make_headers(d, def, rules, letter);
    size_t n = find_targets(d, def, rules, m, key) ? drop_cycles(d, letter->death) : 0;
    if (way)
        n = drop_done(&d->route, n, way);
    if (n) {
        struct op op = {.kind = OP_ENQUEUE};
        if (!addr_is_none(answers))
            op.flags = OP_ENQUEUE_CONFIRM | OP_ENQUEUE_LETTER;
        struct msg *out = make_letter(d, rules, m, key);
        d->route.count = n;
        durable_prepare_route(d->shard, out, &d->route);
        msg_ref_n(out, (uint32_t)n - 1);
        *op_body(&op, struct op_enqueue) =
            (struct op_enqueue){.msg = out, .channel = answers, .seq = number, .waiter = def->addr};
        for (size_t i = 0; i < n; i++) {
            op.to = d->route.targets[i]->addr;
            post(&op);
            op_body(&op, struct op_enqueue)->seq += way != NULL;
        }
    }
    msg_unref(m);
    return n;
}

/* ---- moving ---- */

bool deadletters_can_move(const struct queue_def *def)
{
    struct vhost *vhost = routing_find_vhost(routing_of(shard_self()), def->vhost);
    const struct target_queue *queue = vhost ? vhost_find_queue(vhost, def->name) : NULL;
    return queue && queue->def == def;
}

void deadletters_move(struct deadletters *d, const struct dead_letter *moved, struct addr answers,
                      uint64_t number)
{
    const struct msg *m = moved->msg;
    struct op op = {.to = moved->to->addr,
                    .kind = OP_ENQUEUE,
                    .flags = OP_ENQUEUE_MOVED | OP_ENQUEUE_CONFIRM | OP_ENQUEUE_LETTER};
    struct msg *out =
        msg_with_header(moved->msg, msg_header(m)); /* of an id of its own in the store */
    struct queue_def *to = moved->to;
    out->flags |= m->flags & MSG_EXPIRES;
    if (m->flags & MSG_EXPIRES)
        op.flags |= OP_ENQUEUE_EXPIRES;
    durable_prepare(d->shard, out, &to, 1);
    *op_body(&op, struct op_enqueue) =
        (struct op_enqueue){.msg = out, .channel = answers, .seq = number};
    post(&op);
}
