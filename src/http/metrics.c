#include "http/metrics.h"

#include <inttypes.h>
#include <string.h>

#define AMQP "{protocol=\"amqp091\"}"
#define HTTP "{protocol=\"http\"}"

static const struct {
    const char *name;
    bool each;
} groups[] = {
#define GROUP(symbol, name)      [METRICS_##symbol] = {name, false},
#define EACH_GROUP(symbol, name) [METRICS_##symbol] = {name, true},
#define SERIES(...)
#define EACH(...)
#include "http/metrics.def"
#undef GROUP
#undef EACH_GROUP
#undef EACH
};
_Static_assert(METRICS_GROUP_COUNT < 64, "a bit each");

uint64_t metrics_groups(struct slice name)
{
    uint64_t found = 0;
    for (unsigned i = 0; i < METRICS_GROUP_COUNT; i++)
        found |= slice_eq_str(name, groups[i].name) ? METRICS_BIT(i) : 0;
    return found;
}

/* ---- forms ---- */

static const char *prefix_of(const char *prefix, const char *name)
{
    return strncmp(name, "jackalope_", 10) ? prefix : "";
}

static void put_head(struct buf *out, const char *prefix, const char *name, const char *type,
                     const char *help)
{
    prefix = prefix_of(prefix, name);
    buf_printf(out, "# TYPE %s%s %s\n# HELP %s%s %s\n", prefix, name, type, prefix, name, help);
}

void metrics_put_info_head(struct buf *out, const char *name, const char *help)
{
    put_head(out, "rabbitmq_", name, "gauge", help);
}

void metrics_put_label(struct buf *out, const char *name, struct slice text)
{
    buf_append_str(out, name);
    buf_append_str(out, "=\"");
    buf_append_escaped(out, text);
    buf_append_byte(out, '"');
}

/* ---- the node ---- */

struct put {
    struct buf *out;
    const char *prefix;
    uint64_t groups;
    bool sums;
    const char *name; /* of the series that is put */
};

static bool begin(struct put *p, enum metrics_group group, const char *name, const char *type,
                  const char *help)
{
    if (!(p->groups >> group & 1) || (groups[group].each && !p->sums))
        return false;
    p->name = name;
    put_head(p->out, p->prefix, name, type, help);
    return true;
}

static void put_value(const struct put *p, const char *labels, uint64_t n)
{
    buf_printf(p->out, "%s%s%s %" PRIu64 "\n", prefix_of(p->prefix, p->name), p->name, labels, n);
}

static void put_seconds(const struct put *p, const char *labels, uint64_t us)
{
    buf_printf(p->out, "%s%s%s %" PRIu64 ".%06u\n", prefix_of(p->prefix, p->name), p->name, labels,
               us / 1000000, (unsigned)(us % 1000000));
}

static void put_sizes(const struct put *p, const uint64_t *done)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < BROKER_BODY_SIZES; i++) {
        n += done[TOTAL_BODY_SIZES + i];
        buf_printf(p->out, "%s%s_bucket{protocol=\"amqp091\",le=\"", p->prefix, p->name);
        if (broker_body_sizes[i] == UINT64_MAX)
            buf_append_str(p->out, "+Inf");
        else
            buf_printf(p->out, "%" PRIu64, broker_body_sizes[i]);
        buf_printf(p->out, "\"} %" PRIu64 "\n", n);
    }
    buf_printf(p->out, "%s%s_count" AMQP " %" PRIu64 "\n", p->prefix, p->name, n);
    buf_printf(p->out, "%s%s_sum" AMQP " %" PRIu64 "\n", p->prefix, p->name,
               done[TOTAL_BODY_BYTES]);
}

static uint64_t delivered(const struct gauge_totals *t)
{
    return t->done[TOTAL_DELIVERED] + t->done[TOTAL_DELIVERED_NO_ACK] + t->done[TOTAL_GOT] +
           t->done[TOTAL_GOT_NO_ACK];
}

void metrics_put_node(struct buf *out, const char *prefix, const struct metrics_facts *m,
                      uint64_t wanted, bool sums)
{
    struct put put = {out, prefix, wanted, sums, NULL}, *p = &put;
    const struct facts_now *now = m->now;
    const struct gauge_totals *t = m->totals;
    const struct store_stats *store = &m->store;
#undef SERIES
#define GROUP(...)
#define EACH_GROUP(...)
#define EACH(...)
#define VALUE(labels, number)   put_value(p, labels, (number));
#define SECONDS(labels, number) put_seconds(p, labels, (number));
#define SERIES(group, name, type, help, ...)           \
    if (begin(p, METRICS_##group, name, type, help)) { \
        __VA_ARGS__;                                   \
    }
#include "http/metrics.def"
#undef SERIES
#undef EACH
}

/* ---- single objects ---- */

const struct metrics_family *metrics_family(unsigned n)
{
    static const struct metrics_family families[] = {
#define SERIES(...)
#define EACH(group, name, type, listing, column, help) \
    {METRICS_##group, name, type, help, LISTING_##listing, column},
#include "http/metrics.def"
#undef SERIES
#undef EACH
    };
    return n < sizeof families / sizeof *families ? &families[n] : NULL;
}

void metrics_put_head(struct buf *out, const char *prefix, const struct metrics_family *f)
{
    put_head(out, prefix, f->name, f->type, f->help);
}

void metrics_put_name(struct buf *out, const char *prefix, const struct metrics_family *f)
{
    buf_append_str(out, prefix_of(prefix, f->name));
    buf_append_str(out, f->name);
    buf_append_byte(out, '{');
}

/* There are very many of these. */
void metrics_put_value(struct buf *out, struct slice name, struct slice labels,
                       const struct value *value)
{
    if (value->type != VALUE_INT && value->type != VALUE_DOUBLE)
        return;
    buf_append_slice(out, name);
    buf_append_slice(out, labels);
    buf_append_str(out, "} ");
    if (value->type == VALUE_INT && value->integer >= 0)
        buf_append_u64(out, (uint64_t)value->integer);
    else if (value->type == VALUE_INT)
        buf_printf(out, "%" PRId64, value->integer);
    else
        buf_printf(out, "%g", value->real);
    buf_append_byte(out, '\n');
}

/* ---- the manual ---- */

static void put_row(struct buf *out, enum metrics_group group, const char *name, const char *type,
                    const char *help)
{
    buf_printf(out, "| `%s%s` | %s | `%s` | %s |\n", prefix_of("rabbitmq_", name), name, type,
               groups[group].name, help);
}

void metrics_put_docs(struct buf *out)
{
    buf_append_str(
        out,
        "# Metrics\n\n"
        "Printed by `jackaloped --dump-docs`. What `prometheus.listeners` serve, with RabbitMQ's "
        "names; those with `jackalope_` are about what RabbitMQ does not have.\n\n"
        "- `/metrics`: the series of the node, and sums over queues, channels, exchanges and "
        "connections\n"
        "- `/metrics/per-object`: the series of the node, and each queue, channel, connection "
        "and exchange that was used, with its labels\n"
        "- `/metrics/detailed?family=GROUP`: those of the groups that are named, `family` any "
        "number "
        "of times, with `rabbitmq_detailed_` instead of `rabbitmq_`; `vhost` and `queue` choose "
        "queues\n"
        "- `/metrics/memory-breakdown`: what the memory of the process is used for\n\n"
        "Each has `rabbitmq_build_info` and `rabbitmq_identity_info`, whose labels are the "
        "versions, the node, the cluster and the path that was asked.\n\n"
        "## The node\n\n| series | type | group | what |\n|---|---|---|---|\n");
#define SERIES(group, name, type, help, ...) put_row(out, METRICS_##group, name, type, help);
#define EACH(...)
#include "http/metrics.def"
#undef SERIES
#undef EACH
    buf_append_str(out,
                   "\n## Queues, channels, exchanges, connections\n\nThe labels are `vhost` and "
                   "`queue`, or `vhost` and `exchange`, or `channel`, or `connection`.\n\n| series "
                   "| type | group | what "
                   "|\n|---|---|---|---|\n");
#define SERIES(...)
#define EACH(group, name, type, listing, column, help) \
    put_row(out, METRICS_##group, name, type, help);
#include "http/metrics.def"
}
