/* Listings of what lives on the shards: queues, consumers, connections, channels. Rows bear a
 * hidden key, by which the client sorts them and drops what came up twice (see visit_next). */
#include "admin/admin_priv.h"
#include "admin/handlers.h"
#include "admin/listing.h"
#include "admin/offline_queues.h"

#include "broker/broker.h"
#include "broker/queue/face.h"
#include "meta/def.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct list_visit {
    struct visit visit;
    struct rows rows;
    enum listing what;
    struct slice vhost; /* owned; empty: all */
    unsigned consumer;  /* of the queue being shown */
};

static void list_fini(struct visit *visit)
{
    slice_free(&((struct list_visit *)visit)->vhost);
}

/* ---- keys ---- */

/* Digits sort by value behind their length. */
static void put_number(struct buf *key, const char *digits, size_t length)
{
    buf_printf(key, "%02zu%.*s", length, (int)length, digits);
}

static void put_numbers(struct buf *key, struct slice text)
{
    for (size_t i = 0; i < text.len;) {
        size_t n = 0;
        while (i + n < text.len && text.data[i + n] >= '0' && text.data[i + n] <= '9')
            n++;
        if (n)
            put_number(key, (const char *)text.data + i, n);
        i += n ? n : 1;
    }
}

static void put_column_numbers(struct buf *key, enum listing what, const void *object,
                               const char *column)
{
    struct buf text = BUF_INIT;
    struct value v = listing_get(what, object, column);
    if (v.type == VALUE_INT)
        buf_printf(&text, "%" PRId64, v.integer);
    else if (v.type == VALUE_TEXT)
        buf_append_slice(&text, v.bytes);
    put_numbers(key, buf_slice(&text));
    value_fini(&v);
    buf_fini(&text);
}

static const struct queue_def *def_of(const struct queue_face *face)
{
    return face->type->def(face);
}

static void put_key(struct buf *out, enum listing what, const void *object)
{
    struct buf key = BUF_INIT;
    if (what == LISTING_QUEUES) {
        row_put_key(out, def_of(object)->name);
        return;
    }
    put_column_numbers(&key, what, object, what == LISTING_CHANNELS ? "connection" : "pid");
    if (what == LISTING_CHANNELS)
        put_column_numbers(&key, what, object, "number");
    row_put_key(out, buf_slice(&key));
    buf_fini(&key);
}

/* ---- queues, connections, channels ---- */

/* Living queues of the virtual host that is meant. */
static bool is_meant(const struct list_visit *v, const struct queue_face *queue)
{
    return !queue->type->is_dead(queue) &&
           (!v->vhost.len || slice_eq(def_of(queue)->vhost, v->vhost));
}

/* Names for the queue and for the connection that owns it, as a connection's pid is written. */
static struct value queue_pid(const struct queue_def *def, const char *column)
{
    char text[64];
    int n = 0;
    if (!strcmp(column, "pid"))
        n = snprintf(text, sizeof text, "<%u.%u.%u>", def->addr.shard, def->addr.slot & 0x7fffffffu,
                     def->addr.gen);
    else if (!strcmp(column, "owner_pid") && def->owner)
        n = snprintf(text, sizeof text, "<%" PRIu64 ">", def->owner);
    return n ? value_text(slice_of(text, (size_t)n)) : value_none();
}

static struct value column_of(const struct list_visit *v, const struct shard *shard,
                              const void *object, const char *column)
{
    struct value value = listing_get(v->what, object, column);
    if (value.type != VALUE_NONE)
        return value;
    if (!strcmp(column, "shard"))
        return value_int(shard_index(shard));
    if (v->what == LISTING_QUEUES)
        return queue_pid(def_of(object), column);
    return value;
}

static void put_object(struct list_visit *v, const struct shard *shard, const void *object)
{
    struct buf *out = &v->visit.out;
    if (v->what == LISTING_QUEUES && !is_meant(v, object))
        return;
    row_begin(out);
    put_key(out, v->what, object);
    for (size_t i = 0; i < v->rows.columns.count; i++) {
        const char *column = v->rows.columns.names[i];
        row_put(out, &v->rows, column, column_of(v, shard, object, column));
    }
    row_end(out);
}

static bool list_run(struct visit *visit, struct shard *shard)
{
    struct list_visit *v = (struct list_visit *)visit;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, v->what), &budget, &index))
        put_object(v, shard, listing_at(shard, v->what, index));
    return !visit->left;
}

static void start(struct call *call, struct list_visit *v, enum listing what, const char *vhost)
{
    v->visit.fini = list_fini;
    v->what = what;
    if (vhost)
        v->vhost = slice_dup(slice_str(vhost));
    call_visit(call, &v->visit);
}

static struct list_visit *new_visit(bool (*run)(struct visit *visit, struct shard *shard),
                                    const struct rows *rows)
{
    struct list_visit *v = visit_new(sizeof *v, run, call_visit_end);
    v->rows = *rows;
    return v;
}

void run_list_queues(struct call *call)
{
    struct rows rows;
    if (!rows_begin(call, &rows, "name messages", true, "Listing queues for vhost %s ...",
                    call_vhost(call)))
        return;
    if (admin_of(call_node(call))->options.offline)
        offline_queues_list(call, &rows);
    else if (call_has(call, OPT_OFFLINE)) /* all are up */
        call_exit(call);
    else
        start(call, new_visit(list_run, &rows), LISTING_QUEUES, call_vhost(call));
}

void run_list_connections(struct call *call)
{
    struct rows rows;
    if (rows_begin(call, &rows, "user peer_host peer_port state", true, "Listing connections ..."))
        start(call, new_visit(list_run, &rows), LISTING_CONNECTIONS, NULL);
}

void run_list_channels(struct call *call)
{
    struct rows rows;
    if (rows_begin(call, &rows, "pid user consumer_count messages_unacknowledged", true,
                   "Listing channels ..."))
        start(call, new_visit(list_run, &rows), LISTING_CHANNELS, NULL);
}

/* ---- consumers ---- */

/* Queue, then order of arrival: a queue that comes up twice shows its consumers with the same keys.
 */
static void put_consumer(const struct queue_face *queue, const void *consumer, void *arg)
{
    struct list_visit *v = arg;
    struct buf *out = &v->visit.out, key = BUF_INIT;
    buf_append_slice(&key, def_of(queue)->name);
    buf_printf(&key, "\x01%08u", v->consumer++);
    row_begin(out);
    row_put_key(out, buf_slice(&key));
    for (size_t i = 0; i < v->rows.columns.count; i++) {
        const char *column = v->rows.columns.names[i];
        row_put(out, &v->rows, column, queue->type->consumer_column(queue, consumer, column));
    }
    row_end(out);
    buf_fini(&key);
}

static bool consumers_run(struct visit *visit, struct shard *shard)
{
    struct list_visit *v = (struct list_visit *)visit;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, LISTING_QUEUES), &budget, &index)) {
        const struct queue_face *queue = listing_at(shard, LISTING_QUEUES, index);
        v->consumer = 0;
        if (is_meant(v, queue))
            queue->type->each_consumer(queue, put_consumer, v);
    }
    return !visit->left;
}

void run_list_consumers(struct call *call)
{
    struct rows rows;
    if (rows_begin(call, &rows,
                   "queue_name channel_pid consumer_tag ack_required prefetch_count active "
                   "arguments",
                   true, "Listing consumers in vhost %s ...", call_vhost(call)))
        start(call, new_visit(consumers_run, &rows), LISTING_QUEUES, call_vhost(call));
}
