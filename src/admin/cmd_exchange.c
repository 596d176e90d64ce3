/* Looking into one exchange. Every shard's replica has the whole of it; the call's is looked at, in
 * portions. */
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/report.h"

#include "broker/exchange/consistent_hash.h"
#include "broker/exchange/exchange.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <sysexits.h>

enum { JSON_BUCKETS_MAX = 1 << 16 }; /* in one value */

struct ring_visit {
    struct visit visit;
    struct slice vhost, exchange; /* owned */
    bool json, missing;
    uint64_t bucket, buckets; /* that comes next; all */
    struct buf value;         /* JSON of those before */
};

static void ring_fini(struct visit *visit)
{
    struct ring_visit *v = (struct ring_visit *)visit;
    slice_free(&v->vhost);
    slice_free(&v->exchange);
    buf_fini(&v->value);
}

static const struct hash_ring *find_ring(const struct ring_visit *v, struct shard *shard)
{
    const struct vhost *vhost = routing_find_vhost(routing_of(shard), v->vhost);
    const struct exchange *x = vhost ? vhost_find_exchange(vhost, v->exchange) : NULL;
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
    buf_printf(out, "%sRing index: %" PRIu64 ", %s: '%.*s'", out->len ? "\n" : "", bucket,
               binding->to.queue ? "queue" : "exchange", SLICE_ARG(name));
}

static void put_head(struct ring_visit *v)
{
    buf_append_str(&v->value, "{\"result\":\"ok\",\"exchange\":");
    cell_put_string(&v->value, v->exchange);
    buf_append_str(&v->value, ",\"vhost\":");
    cell_put_string(&v->value, v->vhost);
    buf_append_str(&v->value, ",\"buckets\":{");
}

static void put_some(struct ring_visit *v, const struct hash_ring *ring)
{
    struct buf lines = BUF_INIT, *out = v->json ? &v->value : &lines;
    for (size_t n = 0; n < VISIT_OBJECTS && v->bucket < v->buckets; n++, v->bucket++)
        put_bucket(out, hash_ring_find(ring, v->bucket), v->bucket, v->json);
    if (lines.len)
        report_print_slice(&v->visit.out, buf_slice(&lines));
    buf_fini(&lines);
}

static bool ring_run(struct visit *visit, struct shard *shard)
{
    struct ring_visit *v = (struct ring_visit *)visit;
    const struct hash_ring *ring = find_ring(v, shard);
    v->missing = !ring;
    v->buckets = ring ? hash_ring_buckets(ring) : 0;
    if (v->missing || (v->json && v->buckets > JSON_BUCKETS_MAX))
        return true;
    if (v->json && !v->value.len)
        put_head(v);
    put_some(v, ring);
    if (v->bucket < v->buckets)
        return false;
    if (v->json) {
        buf_append_str(&v->value, "}}");
        report_value(&visit->out, buf_slice(&v->value));
    }
    return true;
}

static void on_shown(struct call *call, struct visit *visit)
{
    const struct ring_visit *v = (struct ring_visit *)visit;
    if (v->missing)
        call_fail(call, EX_DATAERR, "Exchange does not exist or is of a different type");
    else if (v->json && v->buckets > JSON_BUCKETS_MAX)
        call_fail(call, EX_UNAVAILABLE,
                  "the ring has %" PRIu64 " buckets, more than the %d that JSON is made of",
                  v->buckets, (int)JSON_BUCKETS_MAX);
    else
        call_exit(call);
}

void run_consistent_hash_exchange_ring_state(struct call *call)
{
    struct ring_visit *v = visit_new(sizeof *v, ring_run, on_shown);
    v->visit.fini = ring_fini;
    v->vhost = slice_dup(slice_str(call_vhost(call)));
    v->exchange = slice_dup(slice_str(call->args.words[0]));
    v->json = call->request.json;
    call_banner(call,
                "Inspecting consistent hashing ring state for exchange %s in virtual host '%s'...",
                call->args.words[0], call_vhost(call));
    call_visit_alone(call, &v->visit, shard_index(call->shard));
}
