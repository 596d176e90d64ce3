/* list_queues of a broker that is stopped: what is defined, and what the store has of each queue,
 * as a start would find it. Shard 0. */
#include "admin/offline_queues.h"

#include "base/mem.h"
#include "broker/queue/face.h"
#include "meta/def.h"
#include "meta/routing.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

struct offline_visit {
    struct visit visit;
    struct rows rows;
    struct slice vhost; /* owned */
    struct meta_cursor cursor;
    struct node *node;
};

struct holdings {
    bool known; /* streams have theirs elsewhere */
    uint64_t messages, bytes;
};

static void offline_fini(struct visit *visit)
{
    slice_free(&((struct offline_visit *)visit)->vhost);
}

static struct holdings content_of(struct node *node, const struct queue_def *def)
{
    struct holdings c = {.known = def->type != QUEUE_STREAM};
    struct fold_queue *found = mem_alloc(sizeof *found);
    if (c.known && fold_get_queue(store_fold(store_of(node)), def->id, found)) {
        for (unsigned i = 0; i < found->level_count; i++) {
            c.messages += found->levels[i].count;
            c.bytes += found->levels[i].bytes;
        }
    }
    free(found);
    return c;
}

static struct value count_of(const struct holdings *c, const char *column)
{
    static const char *const messages[] = {"messages", "messages_ready", "messages_persistent"};
    static const char *const bytes[] = {"message_bytes", "message_bytes_ready",
                                        "message_bytes_persistent"};
    static const char *const none[] = {"messages_unacknowledged", "message_bytes_unacknowledged",
                                       "consumers"};
    for (size_t i = 0; i < 3; i++) {
        if (c->known && !strcmp(column, messages[i]))
            return value_int((int64_t)c->messages);
        if (c->known && !strcmp(column, bytes[i]))
            return value_int((int64_t)c->bytes);
        if (!strcmp(column, none[i]))
            return value_int(0);
    }
    return value_none();
}

static struct value column_of(const struct offline_visit *v, const struct queue_def *def,
                              const struct holdings *content, const char *column)
{
    struct value value = queue_face_definition(def, column);
    if (value.type == VALUE_NONE)
        value = queue_face_policy(routing_of(node_shard(v->node, 0)), def, column);
    if (value.type == VALUE_NONE && !strcmp(column, "state"))
        value = value_text(SLICE("down"));
    return value.type == VALUE_NONE ? count_of(content, column) : value;
}

static const struct queue_def *def_of(struct node *node, const struct meta_row *row)
{
    struct value vhost_name = meta_row_get(row, "vhost"), name = meta_row_get(row, "name");
    const struct vhost *vhost =
        routing_find_vhost(routing_of(node_shard(node, 0)), vhost_name.bytes);
    const struct target_queue *queue = vhost ? vhost_find_queue(vhost, name.bytes) : NULL;
    value_fini(&vhost_name);
    value_fini(&name);
    return queue ? queue->def : NULL;
}

static bool on_row(const struct meta_row *row, void *arg)
{
    struct offline_visit *v = arg;
    struct buf *out = &v->visit.out;
    const struct queue_def *def = def_of(v->node, row);
    if (!def)
        return true;
    struct holdings content = content_of(v->node, def);
    row_begin(out);
    row_put_key(out, def->name);
    for (size_t i = 0; i < v->rows.columns.count; i++) {
        const char *column = v->rows.columns.names[i];
        row_put(out, &v->rows, column, column_of(v, def, &content, column));
    }
    row_end(out);
    return out->len < VISIT_BYTES;
}

static bool offline_run(struct visit *visit, struct shard *shard)
{
    struct offline_visit *v = (struct offline_visit *)visit;
    v->node = shard_node(shard);
    if (!visit->begun)
        v->cursor = meta_cursor_begin(v->node, META_QUEUES, v->vhost);
    visit->begun = true;
    return !meta_cursor_next(v->node, &v->cursor, VISIT_OBJECTS, on_row, v);
}

void offline_queues_list(struct call *call, const struct rows *rows)
{
    struct offline_visit *v = visit_new(sizeof *v, offline_run, call_visit_end);
    v->visit.fini = offline_fini;
    v->rows = *rows;
    v->vhost = slice_dup(slice_str(call_vhost(call)));
    call_visit_first(call, &v->visit);
}
