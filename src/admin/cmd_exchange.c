/* Looking into one exchange. Every shard's replica has the whole of it. */
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/report.h"

#include "broker/exchange/consistent_hash.h"
#include "broker/exchange/exchange.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <sysexits.h>

enum { BUCKETS_MAX = 1 << 16 }; /* in one answer */

static const struct hash_ring *find_ring(const struct call *call)
{
    const struct vhost *vhost =
        routing_find_vhost(routing_of(call->shard), slice_str(call_vhost(call)));
    const struct exchange *x =
        vhost ? vhost_find_exchange(vhost, slice_str(call->args.words[0])) : NULL;
    if (!x || exchange_get_type(x) != &exchange_consistent_hash)
        return NULL;
    return consistent_hash_ring(exchange_get_instance(x));
}

static struct slice name_of(const struct destination *to)
{
    return to->queue ? to->queue->def->name : exchange_get_def(to->exchange)->name;
}

static void put_bucket(struct buf *out, const struct binding *binding, uint64_t bucket, bool json)
{
    struct slice name = name_of(&binding->to);
    if (json) {
        buf_printf(out, "%s\"%" PRIu64 "\":", bucket ? "," : "", bucket);
        cell_put_string(out, name);
        return;
    }
    buf_printf(out, "Ring index: %" PRIu64 ", %s: '%.*s'\n", bucket,
               binding->to.queue ? "queue" : "exchange", SLICE_ARG(name));
}

static void put_head(struct buf *out, struct call *call)
{
    buf_append_str(out, "{\"result\":\"ok\",\"exchange\":");
    cell_put_string(out, slice_str(call->args.words[0]));
    buf_append_str(out, ",\"vhost\":");
    cell_put_string(out, slice_str(call_vhost(call)));
    buf_append_str(out, ",\"buckets\":{");
}

void run_consistent_hash_exchange_ring_state(struct call *call)
{
    bool json = call->request.json;
    struct buf out = BUF_INIT;
    call_banner(call,
                "Inspecting consistent hashing ring state for exchange %s in virtual host '%s'...",
                call->args.words[0], call_vhost(call));
    const struct hash_ring *ring = find_ring(call);
    if (!ring) {
        call_fail(call, EX_DATAERR, "Exchange does not exist or is of a different type");
        return;
    }
    if (hash_ring_buckets(ring) > BUCKETS_MAX) {
        call_fail(call, EX_UNAVAILABLE, "the ring has %" PRIu64 " buckets, more than %d",
                  hash_ring_buckets(ring), (int)BUCKETS_MAX);
        return;
    }
    if (json)
        put_head(&out, call);
    for (size_t i = 0, bucket = 0; i < ring->count; i++) {
        for (; bucket < ring->items[i].end; bucket++)
            put_bucket(&out, ring->items[i].binding, bucket, json);
    }
    if (json)
        buf_append_str(&out, "}}");
    else if (out.len)
        out.len--;
    struct buf lines = BUF_INIT;
    if (json)
        report_value(&lines, buf_slice(&out));
    else if (out.len)
        report_print_slice(&lines, buf_slice(&out));
    call_write(call, buf_slice(&lines));
    buf_fini(&lines);
    buf_fini(&out);
    call_exit(call);
}
