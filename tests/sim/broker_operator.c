/* Beside the clients: policies that come and go, and a disk that fills and empties. */
#include "base/bug.h"
#include "base/table.h"
#include "tests/sim/broker_sim.h"

#include <stdio.h>

/* ---- policies ---- */

static const char *const overflows[] = {"drop-head", "reject-publish", "reject-publish-dlx"};

void operator_put_letters(const struct plan *p, const char *prefix, struct buf *out)
{
    char key[64];
    const char *exchange = p->letters_also ? "amq.direct" : "";
    const char *name = p->letters_also ? p->name : sim->plans[p->letters_to - 1].name;
    snprintf(key, sizeof key, "%sdead-letter-exchange", prefix);
    table_put_str(out, slice_str(key), slice_str(exchange));
    snprintf(key, sizeof key, "%sdead-letter-routing-key", prefix);
    table_put_str(out, slice_str(key), slice_str(name));
}

void operator_bind(struct client *c, const struct queue_def *def)
{
    unsigned number = (unsigned)(def->name.data[1] - '0') + 1;
    for (unsigned i = 0; i < sim->queue_count; i++) {
        const struct plan *p = &sim->plans[i];
        if (!p->letters_also || (p->letters_to != number && p->letters_also != number))
            continue;
        struct meta_request *r = meta_request_new(META_BIND, c->addr);
        r->flags = META_TRUSTED;
        r->cookie = def->id * SIM_QUEUES + i;
        meta_request_set(&r->vhost, SLICE("/"));
        meta_request_set(&r->name, def->name);
        meta_request_set(&r->source, SLICE("amq.direct"));
        meta_request_set(&r->key, slice_str(p->name));
        meta_request_set(&r->args, SLICE_EMPTY);
        c->asked++;
        meta_post(sim->node, &r);
    }
}

/* A number, now and then. */
static void put_some(struct buf *out, unsigned n, const char *key, uint64_t least, uint64_t below)
{
    if (one_in(n))
        table_put_i64(out, slice_str(key), (int64_t)(least + rnd(below)));
}

/* What comes, and what is given back, is ready later. */
static void put_waiting(struct buf *out)
{
    static const char *const types[] = {"disabled", "all", "failed", "returned"};
    static const char *const schedules[] = {"linear", "exponential"};
    put_some(out, 2, "delay", 0, 400);
    if (one_in(3))
        return;
    table_put_str(out, SLICE("delayed-retry-type"), slice_str(types[rnd(4)]));
    put_some(out, 1, "delayed-retry-min", 0, 300);
    put_some(out, 2, "delayed-retry-max", 0, 800);
    table_put_str(out, SLICE("delayed-retry-schedule"), slice_str(schedules[rnd(2)]));
}

/* What a policy may say of the queue without its plan being wrong. */
static void put_definition(const struct plan *p, struct buf *out)
{
    size_t mark = table_open(out, SLICE("value"), TABLE_TABLE);
    put_some(out, 3, "message-ttl", 0, 1500);
    put_some(out, 3, "max-length", 0, 20);
    put_some(out, 4, "max-length-bytes", 0, 3000);
    put_some(out, 4, "delivery-limit", 0, 4);
    if (p->leaves)
        put_some(out, 2, "expires", 1, 3000);
    if (p->letters_to && one_in(2))
        operator_put_letters(p, "", out);
    if (one_in(3))
        put_waiting(out);
    if (p->may_keep && one_in(2))
        table_put_str(out, SLICE("dead-letter-strategy"), SLICE("at-least-once"));
    table_put_str(out, SLICE("overflow"), slice_str(overflows[p->rules.overflow]));
    table_close(out, mark);
}

static void set_policy(struct meta_request *r, const struct plan *p)
{
    static const char *const kinds[] = {"queues", "all", "classic_queues", "quorum_queues"};
    struct buf args = BUF_INIT;
    char pattern[16];
    int n = snprintf(pattern, sizeof pattern, "^%s$", p->name);
    unsigned own = p->quorum ? 3 : 2;
    put_definition(p, &args);
    meta_request_set(&r->args, buf_slice(&args));
    meta_request_set(&r->pattern, slice_of(pattern, (size_t)n));
    meta_request_set(&r->apply_to, slice_str(kinds[one_in(2) ? own : rnd(2)]));
    buf_fini(&args);
}

void operator_act(struct client *c)
{
    const struct plan *p = &sim->plans[rnd(sim->queue_count)];
    bool set = rnd(3) != 0;
    if (!p->policies)
        return;
    struct meta_request *r = meta_request_new(set ? META_POLICY_SET : META_POLICY_CLEAR, c->addr);
    r->flags = META_TRUSTED;
    meta_request_set(&r->vhost, SLICE("/"));
    meta_request_set(&r->name, slice_str(p->name));
    if (set)
        set_policy(r, p);
    c->asked++;
    sim_trace("step %u: client %u %s the policy of %s\n", sim->step, c->index,
              set ? "sets" : "clears", p->name);
    meta_post(sim->node, &r);
}

/* ---- the disk ---- */

void operator_fill(void)
{
    sim->full = true;
    sim->tables_full = one_in(2);
    if (!sim->tables_full || one_in(2))
        disk_memory_set_room(power_disk(), one_in(2) ? 0 : rnd(200000));
    operator_stay_full();
    sim_trace("step %u: the disk is full\n", sim->step);
}

/* The database finds no room each time that it tries, or nearly. */
void operator_stay_full(void)
{
    if (sim->full && sim->tables_full && rnd(8))
        kv_memory_fail(power_kv(), rnd(30), KV_FULL, false);
}

void operator_make_room(void)
{
    disk_memory_set_room(power_disk(), UINT64_MAX);
    kv_memory_fail(power_kv(), UINT64_MAX, KV_FULL, false);
    if (!sim->full)
        return;
    sim->full = false;
    sim_trace("step %u: there is room on the disk\n", sim->step);
}
