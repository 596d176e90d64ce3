/* What waits for its time: the delay lines of exchanges and queues. */
#include "admin/handlers.h"
#include "admin/listing.h"

#include "broker/broker.h"
#include "broker/queue/actor.h"
#include "meta/def.h"

#include <string.h>

struct delayed_visit {
    struct visit visit;
    struct rows rows;
    struct slice vhost; /* owned */
};

static void delayed_fini(struct visit *visit)
{
    slice_free(&((struct delayed_visit *)visit)->vhost);
}

static const char *kind_of(const struct queue_def *line)
{
    return line->line_of == LINE_OF_QUEUE ? "queue" : "exchange";
}

static struct value next_in(const struct queue *line, const struct shard *shard)
{
    uint64_t next = queue_next_due(line), now = shard_now_ms(shard);
    if (!next)
        return value_none();
    return value_int(next > now ? (int64_t)(next - now) : 0);
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
    return listing_get(LISTING_LINES, object, column);
}

static void put_line(struct delayed_visit *v, const struct shard *shard, const void *object)
{
    const struct queue *line = queue_actor_queue(object);
    const struct queue_def *def = queue_get_def(line);
    struct buf *out = &v->visit.out, key = BUF_INIT;
    if (queue_is_dead(line) || !slice_eq(def->vhost, v->vhost))
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

static bool delayed_run(struct visit *visit, struct shard *shard)
{
    struct delayed_visit *v = (struct delayed_visit *)visit;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, LISTING_LINES), &budget, &index))
        put_line(v, shard, listing_at(shard, LISTING_LINES, index));
    return !visit->left;
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
