/* Metrics as text for Prometheus: the table of metrics.def. Pure. */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include "admin/facts.h"
#include "base/buf.h"
#include "base/value.h"
#include "broker/broker.h"
#include "http/gauge.h"
#include "meta/meta.h"
#include "shard/awake.h"
#include "store/store.h"

enum metrics_group {
#define GROUP(symbol, name) METRICS_##symbol,
#define EACH_GROUP          GROUP
#define SERIES(...)
#define EACH(...)
#include "http/metrics.def"
#undef GROUP
#undef EACH_GROUP
#undef SERIES
#undef EACH
    METRICS_GROUP_COUNT
};
/* A group as a bit of a set. */
#define METRICS_BIT(group) (UINT64_C(1) << (group))
#define METRICS_ALL        (METRICS_BIT(METRICS_GROUP_COUNT) - 1)

/* The groups of that name. */
uint64_t metrics_groups(struct slice name);

/* What the series of the node are made of. */
struct metrics_facts {
    const struct facts_now *now;
    const struct gauge_totals *totals;
    struct store_stats store;
    struct meta_churn churn;
    size_t exchanges, vhosts;
    unsigned shards;
    struct awake_facts awake;
    bool store_full;
};
/* sums: those of groups of single objects too. */
void metrics_put_node(struct buf *out, const char *prefix, const struct metrics_facts *facts,
                      uint64_t groups, bool sums);

/* A family of single objects. Exchanges are definitions: shard 0 has their sums. */
enum { LISTING_EXCHANGES = LISTING_COUNT };
struct metrics_family {
    enum metrics_group group;
    const char *name, *type, *help;
    unsigned listing; /* enum listing, or that one */
    const char *column;
};
/* The n-th, NULL behind the last. */
const struct metrics_family *metrics_family(unsigned n);
void metrics_put_head(struct buf *out, const char *prefix, const struct metrics_family *family);
/* What each of its lines begins with. */
void metrics_put_name(struct buf *out, const char *prefix, const struct metrics_family *family);
/* A line; labels without their braces. Nothing for what is no number. */
void metrics_put_value(struct buf *out, struct slice name, struct slice labels,
                       const struct value *value);

/* name="text" */
void metrics_put_label(struct buf *out, const char *name, struct slice text);
/* TYPE and HELP of a series with rabbitmq_ in front. */
void metrics_put_info_head(struct buf *out, const char *name, const char *help);

void metrics_put_docs(struct buf *out);

#endif
