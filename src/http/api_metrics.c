/* Metrics in the text form of Prometheus: series of the node, and those of single objects, a family
 * at a time, so that what is kept is one portion however many objects there are. What there is,
 * says metrics.def. */
#include "http/metrics.h"

#include "admin/memory.h"
#include "broker/queue/face.h"
#include "http/bounds.h"
#include "http/handlers.h"
#include "http/http_priv.h"
#include "http/session.h"
#include "http/target.h"
#include "http/weigh.h"
#include "meta/def.h"
#include "meta/routing.h"
#include "meta/tally.h"

#include <inttypes.h>
#include <string.h>

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

/* Objects that are asked for, by the kind of a label. */
struct filter {
    struct slice vhosts, queues; /* owned: names with a NUL behind each; empty: all */
};

struct question {
    const char *endpoint, *prefix;
    uint64_t groups;
    bool sums, each; /* sums of single objects; single objects */
    struct filter filter;
};

static bool is_among(struct slice names, struct slice name)
{
    for (size_t at = 0; at < names.len;) {
        struct slice one = slice_str((const char *)names.data + at);
        if (slice_eq(one, name))
            return true;
        at += one.len + 1;
    }
    return !names.len;
}

/* ---- single objects ---- */

struct object_metrics {
    struct visit visit;
    struct question question;
    unsigned family;
    bool headed;
    struct meta_cursor cursor; /* of exchanges */
};

static void objects_fini(struct visit *visit)
{
    struct filter *f = &((struct object_metrics *)visit)->question.filter;
    slice_free(&f->vhosts);
    slice_free(&f->queues);
}

static const struct queue_def *def_of(const void *queue)
{
    const struct queue_face *face = queue;
    return face->type->is_dead(face) ? NULL : face->type->def(face);
}

/* False: this one is not asked for. */
static bool put_labels(const struct object_metrics *m, enum listing what, const void *object,
                       struct buf *out)
{
    if (what == LISTING_QUEUES) {
        const struct queue_def *def = def_of(object);
        if (!def || !is_among(m->question.filter.vhosts, def->vhost) ||
            !is_among(m->question.filter.queues, def->name))
            return false;
        metrics_put_label(out, "vhost", def->vhost);
        buf_append_byte(out, ',');
        metrics_put_label(out, "queue", def->name);
        return true;
    }
    struct value pid = listing_get(what, object, "pid");
    metrics_put_label(out, what == LISTING_CHANNELS ? "channel" : "connection", pid.bytes);
    value_fini(&pid);
    return true;
}

struct exchange_lines {
    struct object_metrics *metrics;
    const struct metrics_family *family;
    struct slice name; /* what a line begins with */
};

/* An exchange that nobody used has no line. */
static bool put_exchange(const struct meta_row *row, void *arg)
{
    const struct exchange_lines *l = arg;
    const struct exchange *x = meta_row_exchange(row);
    const struct exchange_def *def = exchange_get_def(x);
    bool routed = strcmp(l->family->column, "routed") == 0;
    uint64_t in = tally_of_exchange(x, EXCHANGE_IN).sum;
    if (!in || !is_among(l->metrics->question.filter.vhosts, def->vhost))
        return true;
    uint64_t n = routed ? tally_of_exchange(x, EXCHANGE_OUT).sum : in;
    struct value v = value_int((int64_t)n);
    struct buf labels = BUF_INIT;
    metrics_put_label(&labels, "vhost", def->vhost);
    buf_append_byte(&labels, ',');
    metrics_put_label(&labels, "exchange", def->name);
    metrics_put_value(&l->metrics->visit.out, l->name, buf_slice(&labels), &v);
    buf_fini(&labels);
    return true;
}

/* A portion of those that shard 0 knows, which are all. */
static bool put_exchanges(struct object_metrics *m, const struct shard *shard)
{
    const struct node *node = shard_node(shard);
    struct buf name = BUF_INIT;
    if (shard_index(shard))
        return true;
    if (!m->visit.begun)
        m->cursor = meta_cursor_begin(node, META_EXCHANGES, SLICE_EMPTY);
    m->visit.begun = true;
    struct exchange_lines lines = {.metrics = m, .family = metrics_family(m->family)};
    metrics_put_name(&name, m->question.prefix, lines.family);
    lines.name = buf_slice(&name);
    bool more = meta_cursor_next(node, &m->cursor, VISIT_OBJECTS, put_exchange, &lines);
    buf_fini(&name);
    return !more;
}

/* One family's objects of this shard. */
static bool objects_run(struct visit *visit, struct shard *shard)
{
    struct object_metrics *m = (struct object_metrics *)visit;
    const struct metrics_family *f = metrics_family(m->family);
    struct buf labels = BUF_INIT, name = BUF_INIT;
    size_t budget = VISIT_OBJECTS, index;
    if (!m->headed)
        metrics_put_head(&visit->out, m->question.prefix, f);
    m->headed = true;
    if (f->listing == LISTING_EXCHANGES)
        return put_exchanges(m, shard);
    metrics_put_name(&name, m->question.prefix, f);
    while (visit_next(visit, listing_count(shard, f->listing), &budget, &index)) {
        const void *object = listing_at(shard, f->listing, index);
        buf_clear(&labels);
        if (!put_labels(m, f->listing, object, &labels))
            continue;
        struct value v = listing_get(f->listing, object, f->column);
        metrics_put_value(&visit->out, buf_slice(&name), buf_slice(&labels), &v);
        value_fini(&v);
    }
    buf_fini(&labels);
    buf_fini(&name);
    return !visit->left;
}

/* False: it was the last one. */
static bool next_family(struct object_metrics *m)
{
    const struct metrics_family *f;
    while ((f = metrics_family(m->family)) && !(m->question.groups >> f->group & 1))
        m->family++;
    m->headed = false;
    return f != NULL;
}

static void on_objects(struct session *s, struct visit *visit);

static void start_family(struct session *s, struct object_metrics *m)
{
    if (next_family(m)) {
        session_visit(s, &m->visit, node_shard_count(session_node(s)) - 1, on_objects);
        return;
    }
    visit_free(&m->visit);
    reply_close(s);
}

static void on_objects(struct session *s, struct visit *visit)
{
    struct object_metrics *m = (struct object_metrics *)visit;
    reply_write(s, buf_slice(&visit->out));
    buf_clear(&visit->out);
    if (session_visit_on(s, visit))
        return;
    m->family++;
    start_family(s, m);
}

/* ---- the node ---- */

struct node_metrics {
    struct visit visit;
    struct gauge *gauge; /* owned */
    const struct http *http;
    struct question question; /* the filter is handed on */
};

static void node_fini(struct visit *visit)
{
    struct node_metrics *n = (struct node_metrics *)visit;
    if (n->gauge)
        visit_free(&n->gauge->visit);
    slice_free(&n->question.filter.vhosts);
    slice_free(&n->question.filter.queues);
}

static void put_identity(struct buf *out, const char *version, const char *endpoint,
                         const char *node, struct slice cluster)
{
    metrics_put_info_head(out, "build_info", "Versions of the broker");
    buf_printf(out,
               "rabbitmq_build_info{rabbitmq_version=\"" FACTS_RABBITMQ_VERSION
               "\",product_name=\"Jackalope\",product_version=\"%s\"} 1\n",
               version);
    metrics_put_info_head(out, "identity_info", "The node, its cluster, and what was asked");
    buf_append_str(out, "rabbitmq_identity_info{");
    metrics_put_label(out, "rabbitmq_node", slice_str(node));
    buf_append_byte(out, ',');
    metrics_put_label(out, "rabbitmq_cluster", cluster);
    buf_printf(out, ",rabbitmq_endpoint=\"%s\"} 1\n", endpoint);
}

static bool show_node_run(struct visit *visit, struct shard *shard)
{
    struct node_metrics *n = (struct node_metrics *)visit;
    struct node *node = shard_node(shard);
    struct facts_now now = facts_now(shard);
    put_identity(&visit->out, n->http->options.version, n->question.endpoint, now.node_name,
                 routing_cluster_name(routing_of(shard)));
    struct metrics_facts facts = {
        .now = &now,
        .totals = &n->gauge->totals,
        .churn = meta_churn(node),
        .exchanges = meta_count(node, META_EXCHANGES),
        .vhosts = meta_count(node, META_VHOSTS),
        .shards = node_shard_count(node),
        .awake = awake_facts(node),
    };
    if (store_of(node)) {
        store_read_stats(store_of(node), &facts.store);
        facts.store_full = store_is_full(store_of(node));
    }
    metrics_put_node(&visit->out, n->question.prefix, &facts, n->question.groups, n->question.sums);
    return true;
}

static void on_node(struct session *s, struct visit *visit)
{
    struct node_metrics *n = (struct node_metrics *)visit;
    reply_open(s, 200, content_type);
    reply_write(s, buf_slice(&visit->out));
    if (!n->question.each) {
        visit_free(visit);
        reply_close(s);
        return;
    }
    struct object_metrics *m = session_visit_new(sizeof *m, objects_run);
    m->visit.fini = objects_fini;
    m->question = n->question;
    n->question.filter = (struct filter){SLICE_EMPTY, SLICE_EMPTY};
    visit_free(visit);
    start_family(s, m);
}

/* ---- what is asked ---- */

static struct node_metrics *asked(struct session *s, struct question question)
{
    struct node_metrics *n = session_visit_new(sizeof *n, show_node_run);
    n->visit.fini = node_fini;
    n->http = s->http;
    n->question = question;
    return n;
}

static void on_gauge(struct session *s, struct gauge *gauge)
{
    struct node_metrics *n = asked(s, (struct question){.endpoint = "aggregated",
                                                        .prefix = "rabbitmq_",
                                                        .groups = METRICS_ALL,
                                                        .sums = true});
    n->gauge = gauge;
    session_visit(s, &n->visit, 0, on_node);
}

static void on_gauge_before_objects(struct session *s, struct gauge *gauge)
{
    struct node_metrics *n = asked(s, (struct question){.endpoint = "per-object",
                                                        .prefix = "rabbitmq_",
                                                        .groups = METRICS_ALL,
                                                        .each = true});
    n->gauge = gauge;
    session_visit(s, &n->visit, 0, on_node);
}

void api_metrics(struct session *s)
{
    gauge_start(s, on_gauge);
}

void api_metrics_per_object(struct session *s)
{
    gauge_start(s, on_gauge_before_objects);
}

/* ---- memory ---- */

static void put_memory(struct buf *out, const struct breakdown *b)
{
    struct memory_facts f = memory_read();
    const struct {
        const char *name, *help;
        uint64_t bytes;
    } parts[] = {
        {"resident", "Resident, without pages of files", f.rss},
        {"files", "Pages of files that are mapped, which the system takes back when it likes",
         f.files},
        {"allocated", "Handed out by the allocator", f.allocated},
        {"definitions", "Of that, for definitions", f.definitions},
        {"tls", "Of that, for TLS", f.tls},
        {"allocated_unused", "Free inside the allocator", f.unused},
        {"allocator", "The allocator's own", f.metadata},
        {"stacks", "Stacks of threads", f.stacks},
        {"code", "Programs and libraries", f.code},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buf_printf(out,
                   "# TYPE jackalope_memory_%s_bytes gauge\n# HELP jackalope_memory_%s_bytes %s\n"
                   "jackalope_memory_%s_bytes %" PRIu64 "\n",
                   parts[i].name, parts[i].name, parts[i].help, parts[i].name, parts[i].bytes);
    buf_append_str(out,
                   "# TYPE jackalope_memory_used_bytes gauge\n# HELP jackalope_memory_used_bytes "
                   "By what it is used for: together all that is resident\n");
    for (unsigned i = 0; i < PART_COUNT; i++)
        buf_printf(out, "jackalope_memory_used_bytes{use=\"%s\"} %" PRIu64 "\n",
                   memory_part_name((enum memory_part)i), b->parts[i]);
}

static void show_memory(struct session *s, const struct breakdown *b)
{
    struct buf out = BUF_INIT;
    put_identity(&out, s->http->options.version, "memory-breakdown",
                 meta_node_name(session_node(s)), routing_cluster_name(routing_of(s->shard)));
    put_memory(&out, b);
    reply_open(s, 200, content_type);
    reply_write(s, buf_slice(&out));
    buf_fini(&out);
    reply_close(s);
}

void api_metrics_memory(struct session *s)
{
    weigh_start(s, show_memory);
}

static void add_name(struct buf *names, struct slice name)
{
    if (memchr(name.data, 0, name.len))
        return;
    buf_append_slice(names, name);
    buf_append_byte(names, 0);
}

/* Groups that the query names, of queues that it names. */
static struct question detailed(const struct session *s)
{
    struct question q = {.endpoint = "detailed", .prefix = "rabbitmq_detailed_", .each = true};
    struct buf vhosts = BUF_INIT, queues = BUF_INIT;
    for (size_t i = 0; i < s->target.param_count; i++) {
        struct param p = s->target.params[i];
        if (slice_eq_str(p.name, "vhost"))
            add_name(&vhosts, p.value);
        else if (slice_eq_str(p.name, "queue"))
            add_name(&queues, p.value);
        else if (slice_eq_str(p.name, "family"))
            q.groups |= metrics_groups(p.value);
    }
    q.filter = (struct filter){buf_take(&vhosts), buf_take(&queues)};
    return q;
}

static void on_gauge_detailed(struct session *s, struct gauge *gauge)
{
    struct node_metrics *n = asked(s, detailed(s));
    n->gauge = gauge;
    session_visit(s, &n->visit, 0, on_node);
}

/* Nothing is counted that was not asked for. */
void api_metrics_detailed(struct session *s)
{
    gauge_start(s, on_gauge_detailed);
}
