/* Columns that queues of all types have. */
#include "broker/queue/face.h"

#include "broker/queue/actor.h"
#include "broker/queue/consumers.h"
#include "broker/stream/stream_queue.h"
#include "meta/args.h"
#include "meta/policy.h"
#include "meta/routing.h"

#include <stdio.h>
#include <string.h>

const struct queue_face *queue_face_find(struct shard *shard, struct addr addr)
{
    const void *object = queue_actor_find(shard, addr);
    return object ? object : stream_queue_find(shard, addr);
}

static struct value effective(const struct applied *applied)
{
    struct buf merged = BUF_INIT;
    policy_put_effective(applied, &merged);
    struct value v = value_table(buf_slice(&merged));
    buf_fini(&merged);
    return v;
}

struct value queue_face_policy(const struct routing *routing, const struct queue_def *def,
                               const char *column)
{
    const struct policy_def *policy;
    if (!strcmp(column, "effective_policy_definition")) {
        struct applied applied = routing_match_queue(routing, def);
        return effective(&applied);
    }
    if (!strcmp(column, "policy"))
        policy = routing_match_queue(routing, def).policy;
    else if (!strcmp(column, "operator_policy"))
        policy = routing_match_queue(routing, def).operator_policy;
    else
        return value_none();
    return policy ? value_text(policy->name) : value_none();
}

struct value queue_face_definition(const struct queue_def *def, const char *column)
{
    if (!strcmp(column, "name"))
        return value_text(def->name);
    if (!strcmp(column, "vhost"))
        return value_text(def->vhost);
    if (!strcmp(column, "durable"))
        return value_bool(def->durable);
    if (!strcmp(column, "auto_delete"))
        return value_bool(def->auto_delete);
    if (!strcmp(column, "exclusive"))
        return value_bool(def->exclusive);
    if (!strcmp(column, "arguments"))
        return value_table(def->args);
    if (!strcmp(column, "type"))
        return value_text(slice_str(args_queue_type_name(def->type)));
    return value_none();
}

struct value queue_face_request(const struct consume_request *r, const struct queue_def *def,
                                const char *column)
{
    if (!strcmp(column, "queue_name"))
        return value_text(def->name);
    if (!strcmp(column, "vhost"))
        return value_text(def->vhost);
    if (!strcmp(column, "channel_pid")) {
        char text[64];
        int n = snprintf(text, sizeof text, "<%llu.%u>", (unsigned long long)r->connection,
                         r->channel.slot);
        return value_text(slice_of(text, (size_t)n));
    }
    if (!strcmp(column, "channel_addr"))
        return value_int((int64_t)addr_u64(r->channel));
    if (!strcmp(column, "consumer_tag"))
        return value_text(r->tag);
    if (!strcmp(column, "ack_required"))
        return value_bool(!r->no_ack);
    if (!strcmp(column, "prefetch_count"))
        return value_int(r->prefetch);
    if (!strcmp(column, "exclusive"))
        return value_bool(r->exclusive);
    if (!strcmp(column, "priority"))
        return value_int(r->priority);
    if (!strcmp(column, "arguments"))
        return value_table(r->args);
    return value_none();
}
