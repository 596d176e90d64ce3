/* Definitions as they are exported: a field table with RabbitMQ's keys, from the rows of a walk. */
#include "base/table.h"
#include "meta/args.h"
#include "meta/meta_priv.h"

/* The items of a list that is kept with commas. */
static void put_list(struct buf *out, struct slice key, struct slice commas)
{
    size_t mark = table_open(out, key, TABLE_ARRAY);
    for (size_t i = 0; i < commas.len;) {
        size_t start = i;
        while (i < commas.len && commas.data[i] != ',')
            i++;
        array_put_str(out, slice_of(commas.data + start, i - start));
        i++;
    }
    table_close(out, mark);
}

static void put_metadata(const struct vhost_def *def, struct buf *out)
{
    table_put_str(out, SLICE("description"), def->description);
    put_list(out, SLICE("tags"), def->tags);
    if (def->has_queue_type)
        table_put_str(out, SLICE("default_queue_type"),
                      slice_str(args_queue_type_name(def->queue_type)));
    if (def->is_protected)
        table_put_bool(out, SLICE("protected_from_deletion"), true);
}

/* Of a parameter: its value, under a key. */
static void put_value(struct buf *out, struct slice key, const struct parameter_def *def)
{
    struct table_value value;
    if (table_find(def->value, SLICE("value"), &value))
        table_put(out, key, &value);
}

bool definition_put_vhost(const void *object, struct buf *out)
{
    const struct vhost *vhost = object;
    const struct vhost_def *def = vhost->def;
    const struct parameter_def like = {.kind = PARAMETER_OF_VHOST,
                                       .vhost = def->name,
                                       .component = SLICE("vhost-limits"),
                                       .name = SLICE("limits")};
    const struct parameter_def *limits = parameters_find(vhost->routing, &like);
    table_put_str(out, SLICE("name"), def->name);
    put_metadata(def, out);
    size_t mark = table_open(out, SLICE("metadata"), TABLE_TABLE);
    put_metadata(def, out);
    table_close(out, mark);
    if (limits)
        put_value(out, SLICE("limits"), limits);
    else
        table_put_array(out, SLICE("limits"), SLICE_EMPTY);
    return true;
}

bool definition_put_user(const void *object, struct buf *out)
{
    const struct user *user = object;
    const struct user_def *def = user->def;
    table_put_str(out, SLICE("name"), def->name);
    table_put_str(out, SLICE("password_hash"), def->hash);
    table_put_str(out, SLICE("hashing_algorithm"), slice_str(digest_kind_name(def->algorithm)));
    put_list(out, SLICE("tags"), def->tags);
    if (user->limits)
        put_value(out, SLICE("limits"), user->limits);
    else
        table_put_table(out, SLICE("limits"), SLICE_EMPTY);
    return true;
}

bool definition_put_permission(const void *object, struct buf *out)
{
    const struct permission_def *def = ((const struct permission *)object)->def;
    table_put_str(out, SLICE("user"), def->user);
    table_put_str(out, SLICE("vhost"), def->vhost);
    if (def->topic)
        table_put_str(out, SLICE("exchange"), def->exchange);
    else
        table_put_str(out, SLICE("configure"), def->patterns[ACCESS_CONFIGURE]);
    table_put_str(out, SLICE("write"), def->patterns[ACCESS_WRITE]);
    table_put_str(out, SLICE("read"), def->patterns[ACCESS_READ]);
    return true;
}

static void put_rule(struct buf *out, const struct policy_def *def)
{
    table_put_str(out, SLICE("pattern"), def->pattern);
    table_put_str(out, SLICE("apply-to"), slice_str(policy_apply_to_name(def->apply_to)));
    table_put_table(out, SLICE("definition"), def->args);
    table_put_i64(out, SLICE("priority"), def->priority);
}

/* An operator policy is a parameter to RabbitMQ. */
bool definition_put_policy(const void *object, struct buf *out)
{
    const struct policy_def *def = ((const struct policy *)object)->def;
    table_put_str(out, SLICE("vhost"), def->vhost);
    table_put_str(out, SLICE("name"), def->name);
    if (!def->operator_made) {
        put_rule(out, def);
        return true;
    }
    table_put_str(out, SLICE("component"), SLICE("operator_policy"));
    size_t mark = table_open(out, SLICE("value"), TABLE_TABLE);
    put_rule(out, def);
    table_close(out, mark);
    return true;
}

/* Global ones whose name says so are the broker's own. */
bool definition_put_parameter(const void *object, struct buf *out)
{
    const struct parameter_def *def = ((const struct parameter *)object)->def;
    if (def->kind == PARAMETER_GLOBAL && slice_starts(def->name, SLICE("internal")))
        return false;
    if (def->kind == PARAMETER_OF_VHOST) {
        table_put_str(out, SLICE("vhost"), def->vhost);
        table_put_str(out, SLICE("component"), def->component);
    }
    table_put_str(out, SLICE("name"), def->name);
    put_value(out, SLICE("value"), def);
    return true;
}

/* Those that come and go with their virtual host are not exported, nor any of their prefix. */
bool definition_put_exchange(const void *object, struct buf *out)
{
    const struct exchange_def *def = ((const struct exchange *)object)->def;
    if (!def->name.len || slice_starts(def->name, SLICE("amq.")))
        return false;
    table_put_str(out, SLICE("name"), def->name);
    table_put_str(out, SLICE("vhost"), def->vhost);
    table_put_str(out, SLICE("type"), def->type);
    table_put_bool(out, SLICE("durable"), def->durable);
    table_put_bool(out, SLICE("auto_delete"), def->auto_delete);
    table_put_bool(out, SLICE("internal"), def->internal);
    table_put_table(out, SLICE("arguments"), def->args);
    return true;
}

/* Exclusive ones are not: nobody could restore them. */
bool definition_put_queue(const void *object, struct buf *out)
{
    const struct queue_def *def = object;
    if (def->exclusive)
        return false;
    table_put_str(out, SLICE("name"), def->name);
    table_put_str(out, SLICE("vhost"), def->vhost);
    table_put_bool(out, SLICE("durable"), def->durable);
    table_put_bool(out, SLICE("auto_delete"), def->auto_delete);
    table_put_str(out, SLICE("type"), slice_str(args_queue_type_name(def->type)));
    table_put_table(out, SLICE("arguments"), def->args);
    return true;
}

bool definition_put_binding(const void *object, struct buf *out)
{
    const struct binding_def *def = object;
    if (!def->to_exchange && def->bounds[0]->binding.to.queue->def->exclusive)
        return false;
    table_put_str(out, SLICE("source"), def->source);
    table_put_str(out, SLICE("vhost"), def->vhost);
    table_put_str(out, SLICE("destination"), def->destination);
    table_put_str(out, SLICE("destination_type"),
                  def->to_exchange ? SLICE("exchange") : SLICE("queue"));
    table_put_str(out, SLICE("routing_key"), def->key);
    table_put_table(out, SLICE("arguments"), def->args);
    return true;
}
