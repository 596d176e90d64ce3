/* What RabbitMQ's API asks of quorum queues that have replicas. Here the node is the only member of
 * all of them: what is so already is done, what cannot be is refused. */
#include "http/handlers.h"
#include "http/session.h"

#include "base/json.h"
#include "base/table.h"
#include "http/body.h"
#include "meta/def.h"
#include "meta/meta.h"
#include "meta/routing.h"

/* NULL: it was answered. */
static const struct queue_def *find_quorum(struct session *s)
{
    struct routing *routing = session_routing(s);
    const struct vhost *vhost = routing_find_vhost(routing, s->vhost);
    const struct target_queue *queue = vhost ? vhost_find_queue(vhost, s->args[1]) : NULL;
    if (!queue)
        reply_not_found(s);
    else if (queue->def->type == QUEUE_QUORUM)
        return queue->def;
    else
        reply_error(s, 503, "service_unavailable",
                    queue->def->type == QUEUE_STREAM ? "not_quorum_queue"
                                                     : "classic_queue_not_supported");
    return NULL;
}

/* Whether the body's node is this one; false, too, if it was answered. */
static bool names_this_node(struct session *s, bool *ret_this)
{
    struct buf table;
    struct slice node;
    if (!body_parse(s, &table))
        return false;
    bool good = body_has(s, buf_slice(&table), "node");
    if (good && !table_find_str(buf_slice(&table), SLICE("node"), &node)) {
        good = false;
        reply_bad(s, "node is a text");
    }
    *ret_this = good && slice_eq_str(node, meta_node_name(session_node(s)));
    buf_fini(&table);
    return good;
}

void api_add_member(struct session *s)
{
    bool is_this;
    if (!find_quorum(s) || !names_this_node(s, &is_this))
        return;
    if (is_this)
        reply_empty(s, 204);
    else
        reply_error(s, 503, "service_unavailable", "node_not_running");
}

void api_delete_member(struct session *s)
{
    bool is_this;
    if (!find_quorum(s) || !names_this_node(s, &is_this))
        return;
    if (is_this)
        reply_error(s, 503, "service_unavailable", "last_node");
    else
        reply_empty(s, 202);
}

void api_grow_members(struct session *s)
{
    struct buf table;
    if (!session_names_node(s) || !body_parse(s, &table))
        return;
    if (body_has(s, buf_slice(&table), "vhost_pattern queue_pattern strategy"))
        reply_empty(s, 204);
    buf_fini(&table);
}

void api_shrink_members(struct session *s)
{
    if (session_names_node(s))
        reply_empty(s, 202);
}

void api_quorum_status(struct session *s)
{
    struct buf json = BUF_INIT;
    if (!find_quorum(s))
        return;
    buf_append_str(&json, "[{\"Node Name\":");
    json_put_string(&json, slice_str(meta_node_name(session_node(s))));
    buf_append_str(&json, ",\"Raft State\":\"leader\",\"Membership\":\"voter\"}]");
    reply_json(s, 200, buf_slice(&json));
    buf_fini(&json);
}

void api_sessions_of(struct session *s)
{
    reply_bad(s, "connection does not use AMQP 1.0");
}
