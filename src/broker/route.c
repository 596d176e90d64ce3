/* Collects the queues that a message reaches. Runs on the shard of the replica that it reads;
 * queues and exchanges carry the stamp of the routing that took them, so that each is taken once.
 */
#include "broker/route.h"

#include "base/mem.h"
#include "base/table.h"
#include "broker/delay.h"

#include <stdlib.h>

static void take_queue(struct route *r, struct target_queue *queue)
{
    if (queue->stamp == r->stamp)
        return;
    queue->stamp = r->stamp;
    MEM_GROW(r->targets, r->target_cap, r->count + 1);
    r->targets[r->count++] = queue;
}

static void take_exchange(struct route *r, struct exchange *exchange)
{
    uint32_t *stamp = exchange_stamp(exchange);
    if (*stamp == r->stamp)
        return;
    *stamp = r->stamp;
    MEM_GROW(r->exchanges, r->exchange_cap, r->exchange_count + 1);
    r->exchanges[r->exchange_count++] = exchange;
}

static void on_found(struct route_sink *sink, const struct destination *to)
{
    struct route *r = (struct route *)sink;
    r->matched = true;
    if (to->queue)
        take_queue(r, to->queue);
    else
        take_exchange(r, to->exchange);
}

void route_init(struct route *r)
{
    *r = (struct route){.sink = {on_found}};
    MEM_GROW(r->targets, r->target_cap, 1);
    MEM_GROW(r->keys, r->key_cap, 1);
}

void route_fini(struct route *r)
{
    free(r->targets);
    free(r->keys);
    free(r->exchanges);
}

/* --- keys --- */

static enum err add_keys(struct route *r, const char *name, const struct table_value *value,
                         struct failure *why)
{
    if (value->type != TABLE_ARRAY)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "invalid message: {unacceptable_type_in_header,\"%s\",%s}", name,
                           table_type_name(value->type));
    if (value->bytes.len == 0)
        return ERR_NONE;
    struct table_value key;
    for (struct table_iter it = table_iter(value->bytes); array_next(&it, &key);) {
        if (key.type != TABLE_LONGSTR)
            continue;
        MEM_GROW(r->keys, r->key_cap, r->key_count + 1);
        r->keys[r->key_count++] = key.bytes;
    }
    return ERR_NONE;
}

/* In one pass; of a header that repeats, the first counts. */
static enum err find_keys(struct route *r, struct slice headers, struct failure *why)
{
    struct table_value value, cc, bcc;
    bool has_cc = false;
    struct slice name;
    for (struct table_iter it = table_iter(headers); table_next(&it, &name, &value);) {
        if (!has_cc && slice_eq(name, SLICE("CC"))) {
            has_cc = true;
            cc = value;
        } else if (!r->has_bcc && slice_eq(name, SLICE("BCC"))) {
            r->has_bcc = true;
            bcc = value;
        }
    }
    enum err err = has_cc ? add_keys(r, "CC", &cc, why) : ERR_NONE;
    if (!err && r->has_bcc)
        err = add_keys(r, "BCC", &bcc, why);
    return err;
}

/* --- exchanges --- */

/* Its value is looked at first, if it would go on then. */
static bool is_sifted(const struct route *r, struct exchange *exchange, struct slice headers)
{
    struct table_value value;
    return headers.len && exchange != r->sifted &&
           table_find(headers, SLICE("x-deduplication-header"), &value) &&
           exchange_is_bound(exchange);
}

/* A copy for those that bind later. */
static void remember(struct route *r, struct target_queue *line, struct slice headers)
{
    size_t before = r->count;
    bool no = false;
    if (headers.len)
        table_find_bool(headers, SLICE("x-recent-history-no-store"), &no);
    if (!no)
        take_queue(r, line);
    r->unheard += r->count - before;
}

/* It waits for its time first, or is looked at. */
static bool is_kept(struct route *r, struct exchange *exchange, struct slice headers)
{
    struct target_queue *line = exchange_find_line(exchange);
    if (!line)
        return false;
    if (line->def->line_of == LINE_OF_HISTORY) {
        remember(r, line, headers);
        return false;
    }
    if (line->def->line_of == LINE_OF_VALUES ? !is_sifted(r, exchange, headers)
                                             : !delay_of(headers))
        return false;
    take_queue(r, line);
    return true;
}

static void ask(struct route *r, struct exchange *exchange, const struct route_input *message)
{
    if (is_kept(r, exchange, message->headers))
        return;
    const struct exchange_type *type = exchange_get_type(exchange);
    const void *instance = exchange_get_instance(exchange);
    size_t times = type->keyless ? 1 : r->key_count;
    r->matched = false;
    for (size_t i = 0; i < times; i++) {
        struct route_input input = {r->keys[i], message->headers, message->props};
        type->route(instance, &input, &r->sink);
    }
    if (r->matched)
        return;
    struct exchange *alternate = exchange_find_alternate(exchange);
    if (alternate)
        take_exchange(r, alternate);
}

static void ask_default(struct route *r, const struct vhost *vhost)
{
    for (size_t i = 0; i < r->key_count; i++) {
        struct target_queue *queue = vhost_find_queue(vhost, r->keys[i]);
        if (queue)
            take_queue(r, queue);
    }
}

enum err route_message(struct route *r, struct routing *routing, const struct vhost *vhost,
                       struct exchange *exchange, const struct route_input *message,
                       struct failure *why)
{
    r->count = r->unheard = r->exchange_count = r->exchange_done = 0;
    r->has_bcc = false;
    r->keys[0] = message->key;
    r->key_count = 1;
    if (message->headers.len) {
        enum err err = find_keys(r, message->headers, why);
        if (err)
            return err;
    }
    r->stamp = routing_next_stamp(routing);
    if (!exchange) {
        ask_default(r, vhost);
        return ERR_NONE;
    }
    *exchange_stamp(exchange) = r->stamp;
    for (struct exchange *x = exchange; x;) {
        ask(r, x, message);
        x = r->exchange_done < r->exchange_count ? r->exchanges[r->exchange_done++] : NULL;
    }
    return ERR_NONE;
}
